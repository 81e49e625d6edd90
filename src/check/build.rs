//! The build succeeded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Finding;
use crate::evidence::{BuildOutcome, Evidence};

/// `build: {}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {}

impl Build {
    pub(super) fn judge(evidence: &Evidence) -> Finding {
        let expected = "`cargo build --release` succeeds and makes one binary";
        let seconds = evidence.build.seconds;
        match &evidence.build.outcome {
            BuildOutcome::Built => Finding::met(expected, format!("built in {seconds:.1} s")),
            BuildOutcome::Failed { errors } => Finding::not_met(
                expected,
                Some(errors.clone()),
                "`cargo build --release` ended with an error, so nothing else could be run.",
            ),
            BuildOutcome::TimedOut { seconds } => Finding::not_met(
                expected,
                Some(format!("still building after {seconds} s")),
                format!("The build ran past {seconds} s and was stopped."),
            ),
            BuildOutcome::Refused { reason } => Finding::not_met(expected, None, reason.clone()),
        }
    }
}
