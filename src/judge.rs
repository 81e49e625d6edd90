//! Judging: a rubric applied to evidence. Pure: the same two give the same grade.

use std::collections::BTreeSet;

use crate::check::answer::grader::Grader;
use crate::check::{Context, Finding, Judgement, Material};
use crate::evidence::Evidence;
use crate::exercise::Exercise;
use crate::grade::{CriterionGrade, Grade, Outcome, Verdict};
use crate::rubric::{Criterion, Rubric};

/// Judges every criterion of `rubric`.
///
/// Passed needs the pass mark and every must. One ungraded criterion leaves the whole ungraded: a
/// grade that the machine owes is never a lower grade.
#[must_use]
pub fn judge(
    exercise: &Exercise,
    rubric: &Rubric,
    material: &Material,
    evidence: &Evidence,
) -> Grade {
    let grader = Grader::new(&rubric.answers, exercise, material);
    let context = Context {
        exercise,
        grader: &grader,
        material,
    };
    let mut criteria: Vec<CriterionGrade> = Vec::new();
    let mut unmet = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for criterion in &rubric.criteria {
        let grade = if let Some(id) = criterion
            .leans_on
            .iter()
            .find(|id| unmet.contains(id.as_str()))
        {
            skipped(criterion, &title_of(rubric, id))
        } else if let Some(id) = criterion
            .leans_on
            .iter()
            .find(|id| unknown.contains(id.as_str()))
        {
            let reason = format!(
                "“{}” could not be graded, and this leans on it.",
                title_of(rubric, id)
            );
            grade_of(criterion, Finding::ungraded("", reason))
        } else {
            grade_of(criterion, criterion.check.judge(context, evidence))
        };
        match grade.verdict {
            Verdict::Met => {}
            Verdict::PartlyMet | Verdict::NotMet | Verdict::Skipped => {
                unmet.insert(criterion.id.as_str());
            }
            Verdict::Ungraded => {
                unknown.insert(criterion.id.as_str());
            }
        }
        criteria.push(grade);
    }
    total(rubric, criteria)
}

/// What the verdicts on all criteria add up to.
#[must_use]
pub fn total(rubric: &Rubric, criteria: Vec<CriterionGrade>) -> Grade {
    let points = criteria.iter().map(|criterion| criterion.points).sum();
    let outcome = if criteria
        .iter()
        .any(|criterion| criterion.verdict == Verdict::Ungraded)
    {
        Outcome::Ungraded
    } else if points >= *rubric.pass_mark
        && criteria
            .iter()
            .all(|criterion| !criterion.must || criterion.verdict == Verdict::Met)
    {
        Outcome::Passed
    } else {
        Outcome::Failed
    };
    Grade {
        outcome,
        points,
        max_points: rubric
            .criteria
            .iter()
            .map(|criterion| criterion.points)
            .sum(),
        pass_mark: *rubric.pass_mark,
        criteria,
    }
}

fn title_of(rubric: &Rubric, id: &str) -> String {
    rubric
        .criteria
        .iter()
        .find(|criterion| *criterion.id == id)
        .map_or_else(|| id.to_owned(), |criterion| criterion.title.clone())
}

fn skipped(criterion: &Criterion, leaned_on: &str) -> CriterionGrade {
    let finding = Finding::not_met(
        "",
        None,
        format!("It leans on “{leaned_on}”, which was not met."),
    );
    CriterionGrade {
        verdict: Verdict::Skipped,
        hint: None,
        ..grade_of(criterion, finding)
    }
}

fn grade_of(criterion: &Criterion, finding: Finding) -> CriterionGrade {
    let (verdict, points, reason) = match finding.judgement {
        Judgement::Met => (Verdict::Met, criterion.points, None),
        Judgement::PartlyMet { share, reason } => (
            Verdict::PartlyMet,
            share_of(criterion.points, share),
            Some(reason),
        ),
        Judgement::NotMet { reason } => (Verdict::NotMet, 0, Some(reason)),
        Judgement::Ungraded { reason } => (Verdict::Ungraded, 0, Some(reason)),
    };
    let met = verdict == Verdict::Met;
    CriterionGrade {
        id: criterion.id.value.clone(),
        title: criterion.title.clone(),
        points,
        max_points: criterion.points,
        must: criterion.must,
        basis: Some(criterion.check.basis()),
        verdict,
        expected: finding.expected,
        actual: finding.actual,
        reason,
        hint: if met {
            None
        } else {
            finding.hint.or_else(|| criterion.hint.clone())
        },
        look_at: if met { None } else { criterion.look_at.clone() },
        at: finding.at,
        needs_review: finding
            .answer
            .as_ref()
            .is_some_and(|answer| !answer.review_reasons.is_empty()),
        answer: finding.answer,
    }
}

/// A share of whole points, rounded half up: the half point is the learner's.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares are between 0 and 1, points are small"
)]
pub(crate) fn share_of(points: u32, share: f64) -> u32 {
    (f64::from(points) * share.clamp(0.0, 1.0) + 0.5).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::BuildOutcome;
    use crate::evidence::sample::evidence;
    use crate::yaml::Source;

    /// `build`, worth 60, a must; `asked`, worth 40, leans on it.
    fn grade(evidence: &Evidence) -> Grade {
        let source = |text: &str| Source {
            name: "x.yaml".into(),
            text: text.into(),
        };
        let exercise = Exercise::parse(&source(
            "{version: 1, slug: tiny, title: T, summary: S, minutes: 1, \
             database: {image: 'postgres:15', schema: a, seed: b}, stages: [], \
             probes: [{id: p, steps: [{request: GET /, expect: {status: 200}}]}]}",
        ))
        .unwrap();
        let rubric = Rubric::parse(
            &source(
                "{version: 1, exercise: tiny, max_points: 100, pass_mark: 50, criteria: [\
                 {id: build, title: Builds, points: 60, must: true, check: {build: {}}}, \
                 {id: asked, title: Answers, points: 40, leans_on: [build], check: {api: {probe: p}}}]}",
            ),
            &exercise,
        )
        .unwrap();
        judge(&exercise, &rubric, &Material::default(), evidence)
    }

    #[test]
    fn what_leans_on_an_unmet_criterion_is_skipped_and_says_on_which() {
        let grade = grade(&evidence(BuildOutcome::TimedOut { seconds: 9 }));
        assert_eq!(grade.criteria[1].verdict, Verdict::Skipped);
        assert!(
            grade.criteria[1]
                .reason
                .as_ref()
                .unwrap()
                .contains("“Builds”")
        );
        assert_eq!((grade.points, grade.outcome), (0, Outcome::Failed));
    }

    #[test]
    fn a_fact_that_the_machine_owes_leaves_the_whole_ungraded() {
        let grade = grade(&evidence(BuildOutcome::Built));
        assert_eq!(grade.criteria[1].verdict, Verdict::Ungraded);
        assert_eq!((grade.points, grade.outcome), (60, Outcome::Ungraded));
    }

    #[test]
    fn a_reason_is_there_exactly_when_a_criterion_is_not_met() {
        for outcome in [
            BuildOutcome::Built,
            BuildOutcome::Failed { errors: "e".into() },
        ] {
            for criterion in grade(&evidence(outcome)).criteria {
                assert_eq!(
                    criterion.reason.is_none(),
                    criterion.verdict == Verdict::Met
                );
            }
        }
    }

    #[test]
    fn half_points_are_the_learners() {
        assert_eq!(
            [share_of(3, 0.5), share_of(4, 0.5), share_of(3, 0.0)],
            [2, 2, 0]
        );
    }
}
