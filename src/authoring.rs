//! Authoring: what proves an exercise, as its author would want it proved.
//!
//! Grades the starter, the solution and every specimen like any submission, and compares with what
//! they must get. Who grades the grader? This.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::Material;
use crate::content::{Assignment, Content};
use crate::cores::Allotment;
use crate::database;
use crate::event::{Event, OnEvent};
use crate::evidence::Evidence;
use crate::gather::{Order, build, measure};
use crate::grade::{Grade, Outcome, Verdict};
use crate::isolation::Isolation;
use crate::judge::judge;
use crate::process::{Command, Process};
use crate::scratch::Scratch;

/// `reference/<slug>/<specimen>/expected.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// One sentence: the fact that the specimen proves.
    pub proves: String,
    /// What all verdicts mean together.
    pub outcome: Outcome,
    /// The verdict of every criterion that is not listed.
    pub otherwise: Verdict,
    /// Verdicts by criterion.
    #[serde(default)]
    pub verdicts: BTreeMap<String, Verdict>,
    /// Criteria that rightly come out one way on a fast machine and another on a slow one.
    #[serde(default)]
    pub up_to_the_machine: Vec<String>,
}

impl Expected {
    /// The verdict that a criterion must get, if it must get one.
    #[must_use]
    pub fn of(&self, criterion: &str) -> Option<Verdict> {
        let is_open = self.up_to_the_machine.iter().any(|id| id == criterion);
        (!is_open).then(|| *self.verdicts.get(criterion).unwrap_or(&self.otherwise))
    }
}

/// A submission whose verdicts are known beforehand.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// The folder's name; `solution` is always there.
    pub name: String,
    /// The folder in the content that is graded.
    pub folder: String,
    /// What it must get.
    pub expected: Expected,
}

/// What a specimen got.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Its grade.
    pub grade: Grade,
    /// What the grade rests on.
    pub evidence: Evidence,
    /// Where the grade is not as expected, one sentence each.
    pub differences: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

/// How specimens are measured.
#[derive(Debug, Clone, Copy)]
pub struct Measuring<'a> {
    /// Where Postgres comes from.
    pub database: &'a database::Choice,
    /// Whether the servers are confined.
    pub isolation: Isolation,
    /// How often.
    pub repeat: u32,
    /// With a program beside it that never lets go of one processor.
    pub has_noise: bool,
    /// Every stage to its full length, however sure one is before.
    pub is_full_length: bool,
}

/// The solution, and then all specimens of an exercise in name order.
///
/// # Errors
/// When an `expected.yaml` is wrong, with file, line and caret, or none is about the starter.
pub fn specimens(content: &Content, assignment: &Assignment) -> Result<Vec<Specimen>> {
    let slug = &assignment.exercise.slug.value;
    let mut specimens = vec![Specimen {
        name: "solution".into(),
        folder: format!("reference/{slug}/solution"),
        expected: Expected {
            proves: "the solution earns everything".into(),
            outcome: Outcome::Passed,
            otherwise: Verdict::Met,
            verdicts: BTreeMap::new(),
            up_to_the_machine: Vec::new(),
        },
    }];
    for (path, _) in content.files(&format!("reference/{slug}"))? {
        let Some(name) = path.strip_suffix("/expected.yaml") else {
            continue;
        };
        let folder = format!("reference/{slug}/{name}");
        let source = content.source(&format!("{folder}/expected.yaml"))?;
        let expected: Expected = source.parse()?;
        // A copy of the starter would drift from it: `expected.yaml` alone means the starter itself.
        let folder = match content.files(&folder)?.len() {
            1 => format!("exercises/{slug}/starter"),
            _ => folder,
        };
        for id in expected.verdicts.keys().chain(&expected.up_to_the_machine) {
            ensure!(
                assignment
                    .rubric
                    .criteria
                    .iter()
                    .any(|criterion| *criterion.id == *id),
                "{}: the rubric has no criterion `{id}`",
                source.name
            );
        }
        specimens.push(Specimen {
            name: name.to_owned(),
            folder,
            expected,
        });
    }
    let starter = format!("exercises/{slug}/starter");
    ensure!(
        specimens
            .iter()
            .any(|s| s.folder == starter && s.expected.outcome == Outcome::Failed),
        "reference/{slug} says nothing of the starter: add a folder with an expected.yaml alone"
    );
    Ok(specimens)
}

/// Grades a specimen, as often as wanted, and compares. It is built once; `on_proof` gets each grade.
///
/// # Errors
/// When the machine fails, or `on_proof` does.
pub async fn prove(
    content: &Content,
    assignment: &Assignment,
    specimen: &Specimen,
    measuring: Measuring<'_>,
    on_event: OnEvent<'_>,
    mut on_proof: impl FnMut(Proof) -> Result<()>,
) -> Result<()> {
    let mut started = Instant::now();
    on_event(Event::Notice(format!(
        "{}: {}",
        specimen.name, specimen.expected.proves
    )));
    let scratch = Scratch::new()?;
    let folder = scratch.path().join("specimen");
    content.extract(&specimen.folder, &folder)?;
    let order = Order {
        submission: &folder,
        name: specimen.name.clone(),
        content,
        assignment,
        database: measuring.database,
        isolation: measuring.isolation,
        is_full_length: measuring.is_full_length,
    };
    // The specimens' answers are the key's own; here that is no sign of a copy.
    let material = Material {
        key: String::new(),
        ..assignment.material.clone()
    };
    let failing = || format!("grade the specimen {}", specimen.name);
    let built = build(&order, &scratch, on_event)
        .await
        .with_context(failing)?;
    for _ in 0..measuring.repeat {
        let noise = measuring
            .has_noise
            .then(|| hog(assignment, &scratch))
            .transpose()?;
        let evidence = measure(&order, &built, &scratch, on_event)
            .await
            .with_context(failing)?;
        drop(noise);
        let grade = judge(
            &assignment.exercise,
            &assignment.rubric,
            &material,
            &evidence,
        );
        on_proof(Proof {
            differences: differences(&specimen.expected, &grade),
            grade,
            evidence,
            seconds: started.elapsed().as_secs_f64(),
        })?;
        started = Instant::now();
    }
    Ok(())
}

/// A program that never lets go of one of the processors that serve. Dropping it ends it.
fn hog(assignment: &Assignment, scratch: &Scratch) -> Result<Process> {
    let wanted = assignment.exercise.server.cores;
    let last = Allotment::new(wanted).served.last().copied();
    Command::new("sh", scratch.path())
        .args(["-c", "while :; do :; done"])
        .cores(last.as_slice())
        .start(scratch)
        .context("make noise")
}

/// Where a grade is not what was expected.
fn differences(expected: &Expected, grade: &Grade) -> Vec<String> {
    let mut differences = Vec::new();
    if grade.outcome != expected.outcome {
        differences.push(format!(
            "the outcome is {:?} instead of {:?}",
            grade.outcome, expected.outcome
        ));
    }
    for criterion in &grade.criteria {
        let Some(wanted) = expected.of(&criterion.id) else {
            continue;
        };
        if criterion.verdict != wanted {
            differences.push(format!(
                "{} is {:?} instead of {wanted:?}: {}",
                criterion.id,
                criterion.verdict,
                criterion
                    .reason
                    .as_deref()
                    .or(criterion.actual.as_deref())
                    .unwrap_or("")
            ));
        }
        if criterion.needs_review && wanted == Verdict::Met {
            differences.push(format!("{} asks for a person's review", criterion.id));
        }
    }
    differences
}

/// How the verdicts on a specimen differed from what they must be, over all its proofs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flips {
    /// Verdicts in all.
    pub verdicts: u64,
    /// Points that its `expected.yaml` denies it: a fault that noise hid, or cheating that paid.
    pub too_good: u64,
    /// Points that were taken for no fault of its own.
    pub too_bad: u64,
    /// The machine could not tell.
    pub ungraded: u64,
    /// Each criterion and verdict that was not expected: how often, and why the last time.
    pub unexpected: BTreeMap<(String, Verdict), (u64, String)>,
}

impl Flips {
    /// Adds the verdicts of one grade.
    pub fn add(&mut self, expected: &Expected, grade: &Grade) {
        for criterion in &grade.criteria {
            let Some(wanted) = expected.of(&criterion.id) else {
                continue;
            };
            self.verdicts += 1;
            if criterion.verdict == wanted {
                continue;
            }
            match rank(criterion.verdict).cmp(&rank(wanted)) {
                _ if criterion.verdict == Verdict::Ungraded => self.ungraded += 1,
                Ordering::Greater => self.too_good += 1,
                Ordering::Less => self.too_bad += 1,
                // Another word for no points.
                Ordering::Equal => {}
            }
            let why = criterion.reason.as_ref().or(criterion.actual.as_ref());
            let key = (criterion.id.clone(), criterion.verdict);
            let (count, last) = self.unexpected.entry(key).or_default();
            *count += 1;
            *last = why.cloned().unwrap_or_default();
        }
    }
}

/// More points, higher.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Met => 2,
        Verdict::PartlyMet => 1,
        Verdict::NotMet | Verdict::Skipped | Verdict::Ungraded => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::CriterionGrade;

    fn grade(verdict: Verdict) -> Grade {
        Grade {
            outcome: Outcome::Failed,
            points: 0,
            max_points: 1,
            pass_mark: 1,
            criteria: vec![CriterionGrade {
                id: "speed".into(),
                title: String::new(),
                points: 0,
                max_points: 1,
                must: false,
                basis: None,
                verdict,
                expected: String::new(),
                actual: None,
                reason: Some("why".into()),
                hint: None,
                look_at: None,
                at: None,
                needs_review: false,
                answer: None,
            }],
        }
    }

    #[test]
    fn a_flip_is_too_good_or_too_bad_and_what_the_machine_owes_is_neither() {
        let mut flips = Flips::default();
        let expected = Expected {
            proves: String::new(),
            outcome: Outcome::Failed,
            otherwise: Verdict::NotMet,
            verdicts: BTreeMap::new(),
            up_to_the_machine: Vec::new(),
        };
        for verdict in [
            Verdict::NotMet,
            Verdict::Skipped,
            Verdict::Met,
            Verdict::Ungraded,
        ] {
            flips.add(&expected, &grade(verdict));
        }
        let expected = Expected {
            otherwise: Verdict::Met,
            ..expected
        };
        flips.add(&expected, &grade(Verdict::NotMet));
        let Flips {
            verdicts,
            too_good,
            too_bad,
            ungraded,
            ..
        } = flips;
        assert_eq!((verdicts, too_good, too_bad, ungraded), (5, 1, 1, 1));
    }
}
