//! Enough requests of a stage succeeded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Finding;
use crate::evidence::{Evidence, Load};
use crate::yaml::Located;

/// `success_rate: {stage: pooling, at_least: 0.99}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessRate {
    /// The stage.
    pub stage: Located<String>,
    /// The share of requests that must succeed, 0 to 1.
    pub at_least: f64,
}

impl SuccessRate {
    pub(super) fn judge(&self, evidence: &Evidence) -> Finding {
        let expected = format!(
            "at least {} of the requests succeed",
            percent(self.at_least)
        );
        let load = match super::submission_load(evidence, &self.stage) {
            Ok(load) => load,
            Err(missing) => return missing.into_finding(expected),
        };
        let actual = seen(load);
        if load.requests == 0 {
            return Finding::not_met(
                expected,
                Some(actual),
                "No request was answered in the whole stage.",
            );
        }
        if let Some(reason) = starved(load, self.at_least) {
            return Finding::not_met(expected, Some(actual), reason);
        }
        if load.success_rate >= self.at_least {
            return Finding::met(expected, actual);
        }
        let reason = match load.errors.iter().max_by_key(|(_, count)| **count) {
            Some((kind, count)) => format!(
                "{} of {} requests failed, most of them with `{kind}` ({count} times).",
                load.failed, load.requests
            ),
            None => format!("{} of {} requests failed.", load.failed, load.requests),
        };
        Finding::not_met(expected, Some(actual), reason)
    }
}

/// Why a load is no success although its requests were: too many users never got an answer.
pub(super) fn starved(load: &Load, at_least: f64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "users are few")]
    let share = load.starved as f64 / f64::from(load.users.max(1));
    (share > 1.0 - at_least + 1e-9).then(|| {
        format!(
            "{} of {} users got no successful answer in the whole stage, while others were served.",
            load.starved, load.users
        )
    })
}

/// E.g. `97.5 % of 12345 requests`.
pub(super) fn seen(load: &Load) -> String {
    format!(
        "{} of {} requests",
        percent(load.success_rate),
        load.requests
    )
}

/// E.g. `99 %`, `97.5 %`. Never rounds up to 100 %.
pub(super) fn percent(share: f64) -> String {
    let percent = (share * 1000.0).floor() / 10.0;
    if percent.fract() == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}
