//! A submission: a learner's folder, as far as it can be told without running anything.
//!
//! Pure data. What is read here is hostile: `feedgrade.yaml` and ANSWERS.md are text that a learner
//! controls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `feedgrade.yaml` at the root of a submission, written by `feedgrade new`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmissionFile {
    /// The exercise's slug.
    pub exercise: String,
}

/// The largest ANSWERS.md that is read, in bytes.
pub const MAX_ANSWERS_BYTES: u64 = 1024 * 1024;

/// ANSWERS.md as it was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswersFile {
    /// There is none, or it is no regular file.
    Missing,
    /// It is larger than [`MAX_ANSWERS_BYTES`] and was not read.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Its text. Bytes that are not UTF-8 became U+FFFD.
    Text {
        /// The whole file.
        text: String,
        /// Whether it was UTF-8 throughout.
        utf8: bool,
    },
}
