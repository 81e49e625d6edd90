//! A rubric: how to judge. Every point is here and nowhere else.
//!
//! Pure data, parsed from `rubrics/<slug>.yaml` and checked against the exercise.

use std::collections::BTreeSet;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::Check;
use crate::check::answer::AnswersRubric;
use crate::exercise::{Exercise, known};
use crate::yaml::{Located, Source};

/// `rubrics/<slug>.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rubric {
    /// The version of this file's form: 1.
    pub version: u32,
    /// The exercise's slug.
    pub exercise: Located<String>,
    /// Points of all criteria together, so that a slip in one is noticed.
    pub max_points: Located<u32>,
    /// Points that passing needs.
    pub pass_mark: Located<u32>,
    /// Ways to earn points, in the order of the report.
    pub criteria: Vec<Criterion>,
    /// How written answers are judged.
    #[serde(default)]
    pub answers: AnswersRubric,
}

/// One way to earn points.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// E.g. `pool.shared`.
    pub id: Located<String>,
    /// For people, e.g. `Connections are shared`.
    pub title: String,
    /// Points.
    pub points: u32,
    /// Whether passing needs it.
    #[serde(default)]
    pub must: bool,
    /// Criteria that stand above it: when one of them is not met, this one is skipped.
    #[serde(default)]
    pub leans_on: Vec<Located<String>>,
    /// How it is judged.
    pub check: Check,
    /// A question or a direction for those who did not meet it. Never the answer.
    #[serde(default)]
    pub hint: Option<String>,
    /// A file, a line or a section of the brief.
    #[serde(default)]
    pub look_at: Option<String>,
}

impl Rubric {
    /// Parses a rubric and checks it against its exercise.
    ///
    /// # Errors
    /// What is wrong, with file, line and caret.
    pub fn parse(source: &Source, exercise: &Exercise) -> Result<Self> {
        let rubric: Self = source.parse()?;
        rubric.check(source, exercise)?;
        Ok(rubric)
    }

    fn check(&self, source: &Source, exercise: &Exercise) -> Result<()> {
        self.answers.check(source)?;
        if self.version != 1 {
            let message = format!(
                "version {} of rubrics is not known here, only 1",
                self.version
            );
            return Err(source.complaint(&self.exercise, &message));
        }
        if *self.exercise != *exercise.slug {
            let message = format!("this rubric is not for the exercise `{}`", *exercise.slug);
            return Err(source.complaint(&self.exercise, &message));
        }
        if let Some(criterion) = self
            .criteria
            .iter()
            .find(|criterion| criterion.points > 10_000)
        {
            return Err(source.complaint(&criterion.id, "a criterion has at most 10,000 points"));
        }
        let total: u32 = self.criteria.iter().map(|criterion| criterion.points).sum();
        if total != *self.max_points {
            let message = format!(
                "the points of the criteria add up to {total}, not to {}",
                *self.max_points
            );
            return Err(source.complaint(&self.max_points, &message));
        }
        if *self.pass_mark > total {
            let message = format!("nobody can reach {} of {total} points", *self.pass_mark);
            return Err(source.complaint(&self.pass_mark, &message));
        }
        let mut above = BTreeSet::new();
        for criterion in &self.criteria {
            for id in &criterion.leans_on {
                if !above.contains(id.as_str()) {
                    let message = format!("no criterion `{}` stands above this one", **id);
                    return Err(source.complaint(id, &message));
                }
            }
            if !above.insert(criterion.id.as_str()) {
                let message = format!("criterion `{}` is there twice", *criterion.id);
                return Err(source.complaint(&criterion.id, &message));
            }
            if let Some((limit, message)) = criterion.check.bad_limit() {
                return Err(source.complaint(limit, message));
            }
            let names = criterion.check.names();
            for id in names.stages {
                known(source, "stage", id, exercise.stages.iter().map(|s| &s.id))?;
            }
            for id in names.probes {
                known(source, "probe", id, exercise.probes.iter().map(|p| &p.id))?;
            }
            for id in names.statements {
                known(
                    source,
                    "statement",
                    id,
                    exercise.statements.iter().map(|s| &s.id),
                )?;
            }
            for id in names.kept_rows {
                known(
                    source,
                    "kept_rows",
                    id,
                    exercise.kept_rows.iter().map(|k| &k.id),
                )?;
            }
            for id in names.questions {
                known(
                    source,
                    "question",
                    id,
                    exercise.questions.iter().map(|q| &q.id),
                )?;
                if !self.answers.questions.contains_key(id.as_str()) {
                    let message = format!("`answers.questions` says nothing of `{}`", **id);
                    return Err(source.complaint(id, &message));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXERCISE: &str = "{version: 1, slug: tiny, title: T, summary: S, minutes: 1, \
        database: {image: 'postgres:15', schema: a, seed: b}, stages: []}";

    fn error(rubric: &str) -> String {
        let source = |text: &str| Source {
            name: "x.yaml".into(),
            text: text.into(),
        };
        let exercise = Exercise::parse(&source(EXERCISE)).unwrap();
        Rubric::parse(&source(rubric), &exercise)
            .unwrap_err()
            .to_string()
    }

    const HEAD: &str = "version: 1\nexercise: tiny\nmax_points: 10\npass_mark: 5\ncriteria:\n";

    #[test]
    fn points_that_do_not_add_up_are_told_at_the_sum() {
        let error = error(&format!(
            "{HEAD}- {{id: a, title: A, points: 9, check: {{build: {{}}}}}}\n"
        ));
        assert!(
            error.starts_with("x.yaml:3:13: the points of the criteria add up to 9"),
            "{error}"
        );
    }

    #[test]
    fn a_limit_that_nothing_could_settle_is_told_where_it_stands() {
        for check in [
            "success_rate: {stage: a, at_least: 0.0}",
            "success_rate: {stage: a, at_least: 99.0}",
            "speed: {stage: a, at_least: 0.99, p99_at_most_times: 0.5}",
            "connections: {stage: a, at_most_per_100: 100.0}",
            "connections: {stage: a, at_most_per_100: -1.0}",
        ] {
            let error = error(&format!(
                "{HEAD}- {{id: a, title: A, points: 10, check: {{{check}}}}}\n"
            ));
            assert!(
                error.contains("above 0 and at most 1")
                    || error.contains("1 or more")
                    || error.contains("below 100"),
                "{check}: {error}"
            );
        }
    }

    #[test]
    fn a_name_that_the_exercise_lacks_is_told_where_it_stands() {
        let error = error(&format!(
            "{HEAD}- {{id: a, title: A, points: 10, check: {{api: {{probe: feed}}}}}}\n"
        ));
        assert!(
            error.contains("no probe `feed`") && error.ends_with('^'),
            "{error}"
        );
    }

    #[test]
    fn a_criterion_leans_only_on_those_above_it() {
        let error = error(&format!(
            "{HEAD}- {{id: a, title: A, points: 10, leans_on: [b], check: {{build: {{}}}}}}\n"
        ));
        assert!(error.contains("no criterion `b` stands above"), "{error}");
    }
}
