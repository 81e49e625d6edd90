//! Enough requests of a stage succeeded.

use schemars::JsonSchema;
use serde::Deserialize;

use super::api::{self, Fault};
use super::{Context, Finding, Missing, SoFar};
use crate::evidence::{Evidence, Load, StageSeen, Window};
use crate::exercise::{ServerKind, Step};
use crate::sequential::{self, Level, Side};
use crate::yaml::Located;

/// `success_rate: {stage: pooling, at_least: 0.99}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessRate {
    /// The stage.
    pub stage: Located<String>,
    /// The share of requests that must succeed, 0 to 1.
    pub at_least: Located<f64>,
}

impl SuccessRate {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let expected = format!(
            "at least {} of the requests succeed",
            percent(*self.at_least)
        );
        let truth = truth(context, &self.stage);
        let loaded = match Loaded::of_submission(evidence, &self.stage, truth) {
            Ok(loaded) => loaded,
            Err(missing) => return missing.into_finding(expected),
        };
        let actual = seen(loaded.load);
        match loaded.success(*self.at_least) {
            Success::Enough => Finding::met(expected, actual),
            Success::TooLittle(reason) => Finding::not_met(expected, Some(actual), reason),
            Success::Unknown(why) => Finding {
                actual: Some(actual),
                ..Finding::ungraded(expected, why)
            },
        }
    }

    pub(super) fn is_open(&self, so_far: SoFar<'_>) -> bool {
        is_open(so_far.windows, *self.at_least)
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

/// A submission's server under a stage's load, with what its success is judged by.
#[derive(Clone, Copy)]
pub(super) struct Loaded<'a> {
    /// All that was seen of it.
    pub(super) stage: &'a StageSeen,
    /// The load on it.
    pub(super) load: &'a Load,
    /// The load on the reference in the same stage, if it was run there.
    reference: Option<&'a Load>,
    /// What every answer must be, if the exercise says so.
    truth: Option<&'a Step>,
    /// How the server ended, if it ended by itself.
    died: Option<&'a str>,
}

impl<'a> Loaded<'a> {
    pub(super) fn of_submission(
        evidence: &'a Evidence,
        stage: &str,
        truth: Option<&'a Step>,
    ) -> Result<Self, Missing> {
        let reference = evidence
            .stages
            .iter()
            .find(|run| run.stage == stage && run.server == ServerKind::Reference)
            .and_then(|run| run.run.seen()?.load.seen());
        Ok(Self {
            stage: super::submission_stage(evidence, stage)?,
            load: super::submission_load(evidence, stage)?,
            reference,
            truth,
            died: super::died(evidence, stage),
        })
    }

    /// Whether enough requests succeeded.
    pub(super) fn success(&self, at_least: f64) -> Success {
        let load = self.load;
        if let Some(wrong) = self.wrong_answers(at_least) {
            return Success::TooLittle(wrong);
        }
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
        match super::disturbance(&self.stage.legs) {
            Some((taken, sentence)) if self.died.is_none() && !is_own_fault(load, taken) => {
                return Success::Unknown(format!("{too_little} {sentence}"));
            }
            _ => {}
        }
        match self.reference {
            Some(reference)
                if self.died.is_none() && is_failing(reference, at_least) && !is_unfair(load) =>
            {
                Success::Unknown(format!(
                    "{too_little} But the reference solution failed here as well, in {} of {} \
                     requests.",
                    reference.failed, reference.requests
                ))
            }
            _ => Success::TooLittle(match self.died {
                Some(died) => format!("{died} {too_little}"),
                None => too_little,
            }),
        }
    }

    /// Why answers that came in time are no success: too many of those that were looked at are wrong.
    fn wrong_answers(&self, at_least: f64) -> Option<String> {
        let step = self.truth?;
        let (mut looked_at, mut wrong, mut first) = (0, 0, None);
        for answer in &self.stage.answers {
            match api::step_fault(step, &answer.step) {
                Ok(()) => looked_at += answer.times,
                Err(Fault::Learner { reason, .. }) => {
                    looked_at += answer.times;
                    wrong += answer.times;
                    first.get_or_insert(reason);
                }
                Err(Fault::Machine(_)) => {}
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "answers looked at are few")]
        let share = wrong as f64 / looked_at.max(1) as f64;
        (share > 1.0 - at_least + 1e-9).then(|| {
            format!(
                "{wrong} of {looked_at} answers that were looked at under load were wrong. The first: {}",
                first.unwrap_or_default()
            )
        })
    }
}

/// What every answer to a stage's load must be, if the exercise says so.
pub(super) fn truth<'a>(context: Context<'a>, stage: &str) -> Option<&'a Step> {
    let load = &context.exercise.stage(stage)?.load;
    context.exercise.truth(&load.request)
}

fn is_failing(load: &Load, at_least: f64) -> bool {
    sequential::share(failures(&load.windows), 1.0 - at_least, Level::Judge) == Side::Above
}

/// Whether it is the server's doing, although others took the share `taken` of the processors.
fn is_own_fault(load: &Load, taken: f64) -> bool {
    // With half of the processors, a server that works with all of them serves more than that.
    let is_hopeless = load.success_rate < 0.1 && taken <= 0.55;
    is_hopeless || is_unfair(load)
}

/// No busy machine serves some users again and again, and others never.
fn is_unfair(load: &Load) -> bool {
    let served = u64::from(load.users).saturating_sub(load.starved);
    load.starved > 0 && load.requests - load.failed >= 10 * served.max(1)
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
    use crate::evidence::{Answer, AnswerSeen, Ended, Fact, Leg, Machine, StepSeen, sample};
    use serde_json::json;

    #[test]
    fn a_server_that_ended_by_itself_is_excused_by_nothing() {
        let mut evidence = sample::loaded("x", &[], &[]);
        let failing = load(50, 0);
        for run in &mut evidence.stages {
            let crate::evidence::ServerRun::Ran { seen, died, .. } = &mut run.run else {
                panic!("it ran");
            };
            seen.load = Fact::Seen(failing.clone());
            for leg in &mut seen.legs {
                leg.machine.others = Some(0.6);
            }
            *died = Some("The server ended by itself with exit code 3.".into());
        }
        let judged = |evidence: &Evidence| {
            let loaded = Loaded::of_submission(evidence, "x", None).ok();
            loaded.map(|loaded| loaded.success(0.99))
        };
        match judged(&evidence) {
            Some(Success::TooLittle(why)) => assert!(why.contains("exit code 3"), "{why}"),
            _ => panic!("excused"),
        }
        for run in &mut evidence.stages {
            if let crate::evidence::ServerRun::Ran { died, .. } = &mut run.run {
                *died = Some("The server ended by itself with signal 9.".into());
            }
        }
        assert!(matches!(judged(&evidence), Some(Success::Unknown(_))));
    }

    /// Twenty windows of 62 requests, of which so many failed.
    fn judged(failed: u64, others: f64) -> Success {
        judged_with(failed, others, 0)
    }

    fn judged_with(failed: u64, others: f64, starved: u64) -> Success {
        judged_beside(None, failed, others, starved)
    }

    fn load(failed: u64, starved: u64) -> Load {
        Load {
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
        }
    }

    fn judged_beside(reference: Option<&Load>, failed: u64, others: f64, starved: u64) -> Success {
        let load = load(failed, starved);
        let stage = StageSeen {
            statements: vec![],
            load: Fact::Seen(load.clone()),
            connections: Fact::Unknown { why: String::new() },
            during_load: vec![],
            answers: vec![],
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
        let loaded = Loaded {
            stage: &stage,
            load: &load,
            reference,
            truth: None,
            died: None,
        };
        loaded.success(0.99)
    }

    #[test]
    fn where_the_reference_fails_too_nobody_is_to_blame() {
        let beside = |failed, starved| judged_beside(Some(&load(failed, 0)), 50, 0.01, starved);
        assert!(matches!(beside(0, 0), Success::TooLittle(_)));
        match beside(30, 0) {
            Success::Unknown(why) => assert!(why.contains("600 of 1240"), "{why}"),
            _ => panic!("judged"),
        }
        // But it did not leave anybody out for ever.
        let unfair = judged_beside(Some(&load(30, 0)), 5, 0.01, 10);
        assert!(matches!(unfair, Success::TooLittle(_)));
    }

    #[test]
    fn fast_answers_that_are_wrong_are_no_success() {
        let step: Step = crate::yaml::Source {
            name: "x.yaml".into(),
            text: "{request: GET /feed, expect: {status: 200, body: rows}, rows: SELECT 1}".into(),
        }
        .parse()
        .unwrap();
        let load = load(0, 0);
        let mut stage = sample::loaded("x", &[], &[]).stages[1]
            .run
            .seen()
            .unwrap()
            .clone();
        let picked = |times, body: serde_json::Value| AnswerSeen {
            times,
            step: StepSeen {
                request: "GET /feed".into(),
                sent: None,
                answer: Answer::Json { status: 200, body },
                rows: Some(Fact::Seen(Ok(vec![json!({"id": 1})]))),
            },
        };
        let mut judged = |answers: Vec<AnswerSeen>| {
            stage.answers = answers;
            let loaded = Loaded {
                stage: &stage,
                load: &load,
                reference: None,
                truth: Some(&step),
                died: None,
            };
            loaded.success(0.99)
        };
        assert!(matches!(judged(vec![]), Success::Enough));
        let right = || picked(495, json!([{"id": 1}]));
        assert!(matches!(judged(vec![right()]), Success::Enough));
        assert!(matches!(
            judged(vec![right(), picked(5, json!([]))]),
            Success::Enough
        ));
        match judged(vec![right(), picked(55, json!([]))]) {
            Success::TooLittle(why) => {
                assert!(why.starts_with("55 of 550 answers"), "{why}");
                assert!(why.contains("0 elements instead of 1"), "{why}");
            }
            _ => panic!("not judged"),
        }
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
