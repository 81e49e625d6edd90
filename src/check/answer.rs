//! Written answers: the rubric language, and how an answer is judged by it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Finding};
use crate::evidence::Evidence;
use crate::yaml::Located;

/// `answer: {question: q1}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question, by its id in the exercise.
    pub question: Located<String>,
}

/// The `answers:` part of a rubric file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnswersRubric {
    /// One for each question.
    pub questions: BTreeMap<String, QuestionRubric>,
}

/// What a good answer to one question holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionRubric {}

impl Answer {
    pub(super) fn judge(&self, _context: Context<'_>, _evidence: &Evidence) -> Finding {
        Finding::ungraded("", "")
    }
}
