//! Enough requests of a stage succeeded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Finding, Missing, SoFar};
use crate::evidence::{Evidence, Load, StageSeen, Window};
use crate::sequential::{self, Level, Side};
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
        let (stage, load) = match of_submission(evidence, &self.stage) {
            Ok(seen) => seen,
            Err(missing) => return missing.into_finding(expected),
        };
        let actual = seen(load);
        match success(stage, load, self.at_least) {
            Success::Enough => Finding::met(expected, actual),
            Success::TooLittle(reason) => Finding::not_met(expected, Some(actual), reason),
            Success::Unknown(why) => Finding {
                actual: Some(actual),
                ..Finding::ungraded(expected, why)
            },
        }
    }

    pub(super) fn is_open(&self, so_far: SoFar<'_>) -> bool {
        is_open(so_far.windows, self.at_least)
    }
}

/// Whether enough requests succeeded.
pub(super) enum Success {
    Enough,
    /// Why not.
    TooLittle(String),
    /// Why this cannot be said.
    Unknown(String),
}

/// The load on the submission's server in a stage, and all that was seen there.
pub(super) fn of_submission<'a>(
    evidence: &'a Evidence,
    stage: &str,
) -> Result<(&'a StageSeen, &'a Load), Missing> {
    Ok((
        super::submission_stage(evidence, stage)?,
        super::submission_load(evidence, stage)?,
    ))
}

pub(super) fn success(stage: &StageSeen, load: &Load, at_least: f64) -> Success {
    let too_little = if load.requests == 0 {
        "No request was answered in the whole stage.".to_owned()
    } else if let Some(starved) = starved(load, at_least) {
        starved
    } else {
        match sequential::share(failures(&load.windows), 1.0 - at_least, Level::Judge) {
            Side::Below => return Success::Enough,
            Side::Above => failing(load),
            Side::Open => {
                return Success::Unknown(format!(
                    "{} of {} requests failed, which is too close to the limit to tell.",
                    load.failed, load.requests
                ));
            }
        }
    };
    // A server that was starved of the processor fails for no fault of its own.
    match super::disturbance(&stage.legs) {
        Some((taken, sentence)) if !is_own_fault(load, taken) => {
            Success::Unknown(format!("{too_little} {sentence}"))
        }
        _ => Success::TooLittle(too_little),
    }
}

/// Whether it is the server's doing, although others took the share `taken` of the processors.
fn is_own_fault(load: &Load, taken: f64) -> bool {
    // With half of the processors, a server that works with all of them serves more than that.
    let is_hopeless = load.success_rate < 0.1 && taken <= 0.55;
    // Nor does a busy machine serve some users again and again, and others never.
    let served = u64::from(load.users).saturating_sub(load.starved);
    let is_unfair = load.starved > 0 && load.requests - load.failed >= 10 * served.max(1);
    is_hopeless || is_unfair
}

pub(super) fn is_open(windows: &[Window], at_least: f64) -> bool {
    sequential::share(failures(windows), 1.0 - at_least, Level::Stop) == Side::Open
}

fn failures(windows: &[Window]) -> impl Iterator<Item = (u64, u64)> {
    windows
        .iter()
        .map(|window| (window.failed, window.requests))
}

fn failing(load: &Load) -> String {
    match load.errors.iter().max_by_key(|(_, count)| **count) {
        Some((kind, count)) => format!(
            "{} of {} requests failed, most of them with `{kind}` ({count} times).",
            load.failed, load.requests
        ),
        None => format!("{} of {} requests failed.", load.failed, load.requests),
    }
}

/// Why a load is no success although its requests were: too many users never got an answer.
fn starved(load: &Load, at_least: f64) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Ended, Fact, Leg, Machine};

    /// Twenty windows of 62 requests, of which so many failed.
    fn judged(failed: u64, others: f64) -> Success {
        judged_with(failed, others, 0)
    }

    fn judged_with(failed: u64, others: f64, starved: u64) -> Success {
        let load = Load {
            starved,
            users: 100,
            requests: 20 * 62,
            failed: 20 * failed,
            success_rate: f64::from(62 - u32::try_from(failed).unwrap()) / 62.0,
            windows: vec![
                Window {
                    requests: 62,
                    failed
                };
                20
            ],
            ..Load::default()
        };
        let stage = StageSeen {
            statements: vec![],
            load: Fact::Seen(load.clone()),
            connections: Fact::Unknown { why: String::new() },
            during_load: vec![],
            kept_rows: vec![],
            legs: vec![Leg {
                at: 0.0,
                seconds: 5.0,
                requests: load.requests,
                failed: load.failed,
                p99_ms: 1.0,
                at_ceiling: false,
                machine: Machine {
                    others: Some(others),
                    ..Machine::default()
                },
            }],
            ended: Ended::Sure,
            attempts: 1,
        };
        success(&stage, &load, 0.99)
    }

    #[test]
    fn failures_on_a_machine_that_others_used_are_nobodys_fault() {
        assert!(matches!(judged(0, 0.5), Success::Enough));
        assert!(matches!(judged(50, 0.01), Success::TooLittle(_)));
        match judged(50, 0.5) {
            Success::Unknown(why) => assert!(why.contains("50 % of the processors"), "{why}"),
            _ => panic!("judged"),
        }
        // Next to none succeeds, which half a machine does not explain.
        assert!(matches!(judged(60, 0.5), Success::TooLittle(_)));
        assert!(matches!(judged(60, 0.8), Success::Unknown(_)));
        // Ninety-nine are served a dozen times, and one never.
        assert!(matches!(judged_with(0, 0.8, 2), Success::TooLittle(_)));
    }

    #[test]
    fn a_share_of_failures_near_the_limit_is_too_close_to_call() {
        assert!(matches!(judged(1, 0.01), Success::Unknown(_)));
    }
}
