//! A grade: the verdict on every criterion, and what they add up to. Pure data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to one criterion.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All points.
    Met,
    /// Some points.
    PartlyMet,
    /// No points.
    NotMet,
    /// No points, because a criterion that it leans on was not met.
    Skipped,
    /// The harness or the machine failed to establish a fact: no points are taken or given.
    Ungraded,
}

/// What a verdict rests on, and so whether noise can touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// On things that were counted or compared: another run on another machine gives the same.
    Counted,
    /// On the clock: measured until it was sure, or not judged.
    Clocked,
    /// On what the learner wrote.
    Read,
}

/// What all verdicts together mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The pass mark is reached and every must is met.
    Passed,
    /// It is not, or a must is missing.
    Failed,
    /// At least one criterion could not be graded, so there is no grade.
    Ungraded,
}

/// A place in a file of the submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spot {
    /// The file's path from the submission's root, e.g. `ANSWERS.md`.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl Spot {
    /// A line of ANSWERS.md.
    #[must_use]
    pub fn in_answers(line: usize) -> Self {
        Self {
            file: "ANSWERS.md".into(),
            line: line.max(1),
        }
    }

    /// A line of a file in `migrations/`.
    #[must_use]
    pub fn in_migrations(file: &str, line: usize) -> Self {
        Self {
            file: format!("migrations/{file}"),
            line: line.max(1),
        }
    }
}

/// One criterion with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CriterionGrade {
    /// E.g. `pool.shared`.
    pub id: String,
    /// For people.
    pub title: String,
    /// Points earned.
    pub points: u32,
    /// Points that can be earned.
    pub max_points: u32,
    /// Whether passing needs it.
    pub must: bool,
    /// What the verdict rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The verdict.
    pub verdict: Verdict,
    /// What was wanted.
    pub expected: String,
    /// What was seen.
    pub actual: Option<String>,
    /// Why it is not `met`; null exactly when it is.
    pub reason: Option<String>,
    /// A question or a direction, when it is not `met`.
    pub hint: Option<String>,
    /// Where to look, when it is not `met`.
    pub look_at: Option<String>,
    /// The line that the finding is about, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Spot>,
    /// Whether a person should look at the verdict.
    pub needs_review: bool,
    /// What is known of a written answer.
    pub answer: Option<AnswerGrade>,
}

/// What was found in a written answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerGrade {
    /// The question.
    pub question: String,
    /// The learner's answer as it was judged, capped.
    pub text: String,
    /// Line of the answer in ANSWERS.md, from 1; 0 when there is none.
    pub line: usize,
    /// The ideas that the rubric looks for, in its order.
    pub ideas: Vec<Idea>,
    /// Ideas that contradict the matter: the learner's words, and a question that helps.
    pub misconceptions: Vec<Misconception>,
    /// The gate that stopped it, e.g. `keyword list`, and what to do. Null when none did.
    pub gate: Option<String>,
    /// Why a person should look, one sentence each.
    pub review_reasons: Vec<String>,
    /// The mark that a person gave; it stands above what was found.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonMark>,
}

/// A person's mark of a written answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PersonMark {
    /// 0, 0.5 or 1.
    pub score: f64,
    /// What the person has to say to the learner.
    pub note: Option<String>,
}

/// An idea that a good answer holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Idea {
    /// Whether it was found.
    pub found: bool,
    /// The learner's own words for it, when it was found.
    pub quote: Option<String>,
    /// A question that leads to it, when it was not. Never the key.
    pub hint: Option<String>,
}

/// A mistaken idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Misconception {
    /// The learner's own words.
    pub quote: String,
    /// Something to count or run that shows it.
    pub hint: String,
}

/// All verdicts of one submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// What they mean together.
    pub outcome: Outcome,
    /// Points earned.
    pub points: u32,
    /// Points that can be earned; from the rubric alone.
    pub max_points: u32,
    /// Points that passing needs.
    pub pass_mark: u32,
    /// Every criterion of the rubric, in its order.
    pub criteria: Vec<CriterionGrade>,
}
