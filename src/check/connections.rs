//! Few connections were opened in a stage, counted in the database's own log.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Finding, SoFar};
use crate::evidence::{Evidence, Fact};
use crate::sequential::{self, Level, Side};
use crate::yaml::Located;

/// `connections: {stage: pooling, at_most_per_100: 2}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// The stage.
    pub stage: Located<String>,
    /// Attempts to connect per 100 successful requests.
    pub at_most_per_100: Located<f64>,
}

impl Connections {
    pub(super) fn judge(&self, evidence: &Evidence) -> Finding {
        let expected = format!(
            "at most {} new connections per 100 successful requests",
            *self.at_most_per_100
        );
        let seen = match super::submission_stage(evidence, &self.stage) {
            Ok(seen) => seen,
            Err(missing) => return missing.into_finding(expected),
        };
        let connections = match &seen.connections {
            Fact::Seen(connections) => connections,
            Fact::Unknown { why } => return Finding::ungraded(expected, why.clone()),
        };
        let (attempts, successes) = (connections.attempts, connections.successful_requests);
        if successes == 0 {
            return Finding::not_met(
                expected,
                Some(format!(
                    "{attempts} attempts to connect, no successful request"
                )),
                "No request succeeded, so there is nothing that its connections could be shared by.",
            );
        }
        let per_100 = rate(attempts, successes);
        let actual = format!("{per_100:.2} ({attempts} attempts, {successes} successful requests)");
        if per_100 <= *self.at_most_per_100 {
            return Finding::met(expected, actual);
        }
        Finding::not_met(
            expected,
            Some(actual),
            format!(
                "While the load ran, the server went on opening connections to the database: \
                 {attempts} attempts for {successes} successful requests."
            ),
        )
    }

    /// Attempts are counted and not clocked, so how many there were is no question of noise; but after
    /// a short time a few more could still come.
    pub(super) fn is_open(&self, so_far: SoFar<'_>) -> bool {
        let Some(seen) = so_far.connections else {
            return false;
        };
        let requests: u64 = so_far.windows.iter().map(|window| window.requests).sum();
        // As if they had come evenly: the log is read for whole legs.
        let (mut asked, mut told) = (0, 0);
        let counted = so_far.windows.iter().map(|window| {
            asked += window.requests;
            let until_here = seen.attempts * asked / requests.max(1);
            let attempts = until_here - std::mem::replace(&mut told, until_here);
            (
                attempts,
                window.requests - window.failed.min(window.requests),
            )
        });
        sequential::share(counted, *self.at_most_per_100 / 100.0, Level::Stop) == Side::Open
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one stage are far below 2^52"
)]
fn rate(attempts: u64, successes: u64) -> f64 {
    attempts as f64 * 100.0 / successes as f64
}
