//! A stage was about as fast as the reference solution in the same run on the same machine.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Finding;
use crate::evidence::{Evidence, Fact, ServerRun};
use crate::exercise::ServerKind;
use crate::yaml::Located;

/// `speed: {stage: index, at_least: 0.99, p99_at_most_times: 3}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// The stage, run by the reference too.
    pub stage: Located<String>,
    /// The share of requests that must succeed, 0 to 1: fast failures are not fast.
    pub at_least: f64,
    /// How many times the reference's p99 the submission's may be.
    pub p99_at_most_times: f64,
}

impl Speed {
    pub(super) fn judge(&self, evidence: &Evidence) -> Finding {
        let rule = format!(
            "at least {} succeed, and p99 is at most {} times the reference's",
            super::success_rate::percent(self.at_least),
            self.p99_at_most_times
        );
        let load = match super::submission_load(evidence, &self.stage) {
            Ok(load) => load,
            Err(missing) => return missing.into_finding(rule),
        };
        if let Some(reason) = super::success_rate::starved(load, self.at_least) {
            return Finding::not_met(rule, Some(super::success_rate::seen(load)), reason);
        }
        if load.requests == 0 || load.success_rate < self.at_least {
            return Finding::not_met(
                rule,
                Some(super::success_rate::seen(load)),
                "Too many requests failed for their speed to count.",
            );
        }
        let reference = evidence
            .stages
            .iter()
            .filter(|run| run.stage == *self.stage && run.server == ServerKind::Reference)
            .find_map(|run| match &run.run {
                ServerRun::Ran { seen, .. } => match &seen.load {
                    Fact::Seen(load) if load.success_rate >= self.at_least => Some(load),
                    _ => None,
                },
                ServerRun::NotReady { .. } => None,
            });
        let Some(reference) = reference else {
            return Finding::ungraded(
                rule,
                "The reference solution was not measured on this machine, so there is nothing to \
                 compare with.",
            );
        };
        let (p99, limit) = (
            load.latency_ms.p99,
            reference.latency_ms.p99 * self.p99_at_most_times,
        );
        let expected = format!(
            "{rule} ({:.0} ms on this machine, so at most {limit:.0} ms)",
            reference.latency_ms.p99
        );
        let actual = format!("p99 {p99:.0} ms, {}", super::success_rate::seen(load));
        if p99 <= limit {
            return Finding::met(expected, actual);
        }
        let times = p99 / reference.latency_ms.p99.max(0.01);
        Finding::not_met(
            expected,
            Some(actual),
            format!(
                "The slowest hundredth of the requests took {times:.1} times as long as the reference's."
            ),
        )
    }
}
