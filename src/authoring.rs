//! Authoring: what proves an exercise, as its author would want it proved.
//!
//! Grades the starter, the solution and every specimen like any submission, and compares with what
//! they must get. Who grades the grader? This.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::Material;
use crate::content::{Assignment, Content};
use crate::database;
use crate::event::{Event, OnEvent};
use crate::gather::{Order, gather};
use crate::grade::{Grade, Outcome, Verdict};
use crate::judge::judge;
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
    /// The specimen's name.
    pub name: String,
    /// What it proves.
    pub proves: String,
    /// Its grade.
    pub grade: Grade,
    /// Where the grade is not as expected, one sentence each.
    pub differences: Vec<String>,
    /// Wall time.
    pub seconds: f64,
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
        for id in expected.verdicts.keys() {
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

/// Grades a specimen and compares.
///
/// # Errors
/// When the machine fails.
pub async fn prove(
    content: &Content,
    assignment: &Assignment,
    specimen: &Specimen,
    database: &database::Choice,
    on_event: OnEvent<'_>,
) -> Result<Proof> {
    let started = std::time::Instant::now();
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
        database,
        is_full_length: false,
    };
    let evidence = gather(&order, &scratch, on_event)
        .await
        .with_context(|| format!("grade the specimen {}", specimen.name))?;
    // The specimens' answers are the key's own; here that is no sign of a copy.
    let material = Material {
        key: String::new(),
        ..assignment.material.clone()
    };
    let grade = judge(
        &assignment.exercise,
        &assignment.rubric,
        &material,
        &evidence,
    );
    Ok(Proof {
        name: specimen.name.clone(),
        proves: specimen.expected.proves.clone(),
        differences: differences(&specimen.expected, &grade),
        grade,
        seconds: started.elapsed().as_secs_f64(),
    })
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
        let wanted = *expected
            .verdicts
            .get(&criterion.id)
            .unwrap_or(&expected.otherwise);
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
