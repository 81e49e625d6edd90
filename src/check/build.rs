//! The build succeeded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Finding;
use crate::evidence::{BuildOutcome, Evidence};
use crate::grade::Spot;

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
            )
            .at(first_line(errors)),
            BuildOutcome::TimedOut { seconds } => Finding::not_met(
                expected,
                Some(format!("still building after {seconds} s")),
                format!("The build ran past {seconds} s and was stopped."),
            ),
            BuildOutcome::Refused { reason } => Finding::not_met(expected, None, reason.clone()),
        }
    }
}

/// The line of the submission that the compiler names first, as in `  --> src/main.rs:71:22`.
fn first_line(errors: &str) -> Option<Spot> {
    errors.lines().find_map(|line| {
        let place = line.trim_start().strip_prefix("--> ")?;
        let mut parts = place.trim().rsplitn(3, ':');
        let (_column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
        let inside = !file.is_empty() && !file.starts_with('/') && !file.contains("..");
        inside.then_some(Spot {
            file: file.to_owned(),
            line: line.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_first_error_is_found_when_it_is_the_learners() {
        let errors = "error[E0425]: no\n  --> src/main.rs:71:22\n   |\n   --> src/b.rs:1:2\n";
        let at = first_line(errors).unwrap();
        assert_eq!((at.file.as_str(), at.line), ("src/main.rs", 71));
        for elsewhere in [
            "error: no such command",
            "  --> /root/.cargo/registry/src/x/lib.rs:3:4",
            "  --> ../other/main.rs:3:4",
            "  --> src/main.rs",
        ] {
            assert_eq!(first_line(elsewhere), None, "{elsewhere}");
        }
    }
}
