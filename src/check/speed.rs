//! A stage was about as fast as the reference solution in the same run on the same machine, the two
//! loaded in turn.

use schemars::JsonSchema;
use serde::Deserialize;

use super::success_rate::{self, Loaded, Success};
use super::{Context, Finding, SoFar};
use crate::evidence::{self, Evidence};
use crate::exercise::{ServerKind, Step};
use crate::sequential::{Duet, Leg, Level, Side};
use crate::yaml::Located;

/// `speed: {stage: index, at_least: 0.99, p99_at_most_times: 3}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// The stage, run by the reference too.
    pub stage: Located<String>,
    /// The share of requests that must succeed, 0 to 1: fast failures are not fast.
    pub at_least: Located<f64>,
    /// How many times the reference's p99 the submission's may be.
    pub p99_at_most_times: Located<f64>,
}

impl Speed {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        self.compare(evidence, success_rate::truth(context, &self.stage))
    }

    fn compare(&self, evidence: &Evidence, truth: Option<&Step>) -> Finding {
        let rule = format!(
            "at least {} succeed, and p99 is at most {} times the reference's",
            success_rate::percent(*self.at_least),
            *self.p99_at_most_times
        );
        let loaded = match Loaded::of_submission(evidence, &self.stage, truth) {
            Ok(loaded) => loaded,
            Err(missing) => return missing.into_finding(rule),
        };
        let (stage, load) = (loaded.stage, loaded.load);
        let seen = success_rate::seen(load);
        match loaded.success(*self.at_least) {
            Success::Enough => {}
            Success::TooLittle(reason) => {
                let reason = format!("Too many requests failed for their speed to count: {reason}");
                return Finding::not_met(rule, Some(seen), reason);
            }
            Success::Unknown(why) => {
                return Finding {
                    actual: Some(seen),
                    ..Finding::ungraded(rule, why)
                };
            }
        }
        let (reference, yardstick) = reference(evidence, &self.stage, *self.at_least);
        let duet = duet(reference, &stage.legs);
        let Some((times, low, high)) = duet.ratio() else {
            return Finding::ungraded(
                rule,
                "The reference solution was not measured on this machine, so there is nothing to \
                 compare with.",
            );
        };
        let noise = duet.noise();
        let at_ceiling = reference.iter().filter(|leg| leg.at_ceiling).count();
        let expected = format!(
            "{rule}, the two loaded in turn (its p99 here: {})",
            ms(yardstick)
        );
        let actual = format!(
            "{} times the reference's in the middle of {} rounds ({} to {}); p99 {}, {seen}",
            digits(times),
            duet.rounds(),
            digits(low),
            digits(high),
            ms(load.latency_ms.p99),
        );
        let doubt = |why: String| Finding {
            actual: Some(actual.clone()),
            ..Finding::ungraded(expected.clone(), why)
        };
        match duet.side(*self.p99_at_most_times, Level::Judge) {
            Side::Below if duet.slowed() > SLOWED => doubt(format!(
                "The reference took {} times as long beside the submission as before it ran, so what \
                 the two are compared by is in doubt.",
                digits(duet.slowed())
            )),
            Side::Below if at_ceiling * 2 > reference.len() => doubt(
                "The load generator itself was the bottleneck: on this machine it cannot ask fast \
                 enough to tell the two apart."
                    .into(),
            ),
            Side::Below => Finding::met(expected, actual),
            Side::Above => Finding::not_met(
                expected,
                Some(actual),
                format!(
                    "The slowest hundredth of the requests took {} times as long as the \
                     reference's; the reference itself differed from one time to the next by \
                     {} times.",
                    digits(times),
                    digits(noise)
                ),
            ),
            Side::Open => {
                let disturbance = super::disturbance(&stage.legs)
                    .or_else(|| super::disturbance(reference))
                    .map(|(_, sentence)| sentence)
                    .unwrap_or_default();
                doubt(
                    format!(
                        "{} times as long as the reference's is too close to {} times to call: here \
                         the reference itself differed from one time to the next by {} times. \
                         {disturbance}",
                        digits(times),
                        *self.p99_at_most_times,
                        digits(noise)
                    )
                    .trim_end()
                    .to_owned(),
                )
            }
        }
    }

    pub(super) fn is_open(&self, so_far: SoFar<'_>) -> bool {
        use crate::sequential::share;
        let failures = so_far
            .windows
            .iter()
            .map(|window| (window.failed, window.requests));
        match share(failures, 1.0 - *self.at_least, Level::Stop) {
            // Fast failures are not fast, whatever the rest says.
            Side::Above => false,
            Side::Open => true,
            Side::Below => {
                duet(so_far.reference, so_far.submission).side(*self.p99_at_most_times, Level::Stop)
                    == Side::Open
            }
        }
    }
}

/// A reference that is slower than that many times its own first legs was slowed down by something,
/// and a submission must not profit from it.
const SLOWED: f64 = 2.0;

/// The legs of the reference and its p99 in ms, when it did what it must.
fn reference<'a>(evidence: &'a Evidence, stage: &str, at_least: f64) -> (&'a [evidence::Leg], f64) {
    evidence
        .stages
        .iter()
        .filter(|run| run.stage == stage && run.server == ServerKind::Reference)
        .find_map(|run| {
            let seen = run.run.seen()?;
            let load = seen.load.seen()?;
            (load.success_rate >= at_least).then_some((seen.legs.as_slice(), load.latency_ms.p99))
        })
        .unwrap_or_default()
}

fn duet(reference: &[evidence::Leg], submission: &[evidence::Leg]) -> Duet {
    let legs = |legs: &[evidence::Leg]| {
        legs.iter()
            .map(|leg| Leg {
                at: leg.at,
                value: leg.p99_ms,
            })
            .collect::<Vec<_>>()
    };
    Duet::new(&legs(reference), &legs(submission))
}

fn ms(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// E.g. `1.05`, `21.8`.
fn digits(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Judgement;
    use crate::evidence::{Machine, Window};

    fn speed() -> Speed {
        Speed {
            stage: crate::yaml::Source {
                name: "x.yaml".into(),
                text: "index".into(),
            }
            .parse()
            .unwrap(),
            at_least: Located::nowhere(0.99),
            p99_at_most_times: Located::nowhere(3.0),
        }
    }

    fn legs(from: f64, values: &[f64], at_ceiling: bool) -> Vec<evidence::Leg> {
        (0_u32..)
            .zip(values)
            .map(|(i, p99_ms)| evidence::Leg {
                at: from + 2.0 * f64::from(i),
                seconds: 1.0,
                requests: 5_000,
                failed: 0,
                p99_ms: *p99_ms,
                at_ceiling,
                machine: Machine::default(),
            })
            .collect()
    }

    fn judged(reference: &[evidence::Leg], submission: &[evidence::Leg]) -> Judgement {
        let evidence = evidence::sample::loaded("index", reference, submission);
        speed().compare(&evidence, None).judgement
    }

    #[test]
    fn a_server_is_as_fast_as_the_reference_or_it_is_not_or_it_is_too_close_to_call() {
        let reference = legs(0.0, &[13.0, 13.4, 12.9, 13.2, 13.1], false);
        let of = |values: &[f64]| judged(&reference, &legs(3.0, values, false));
        assert_eq!(of(&[14.0, 13.2, 15.0]), Judgement::Met);
        match of(&[380.0, 402.0, 391.0]) {
            Judgement::NotMet { reason } => assert!(reason.contains("29."), "{reason}"),
            other => panic!("{other:?}"),
        }
        match of(&[39.0, 41.0, 37.0]) {
            Judgement::Ungraded { reason } => assert!(reason.contains("too close"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_generator_that_was_the_bottleneck_proves_nothing() {
        let reference = legs(0.0, &[13.0, 13.4, 12.9, 13.2], true);
        let same = judged(&reference, &legs(3.0, &[14.0, 13.2, 15.0], true));
        match same {
            Judgement::Ungraded { reason } => assert!(reason.contains("bottleneck"), "{reason}"),
            other => panic!("{other:?}"),
        }
        // Slower all the same is slower.
        let slower = judged(&reference, &legs(3.0, &[380.0, 402.0, 391.0], false));
        assert!(matches!(slower, Judgement::NotMet { .. }));
    }

    #[test]
    fn a_submission_does_not_profit_from_a_reference_that_it_slows_down() {
        let reference = legs(0.0, &[13.0, 13.4, 80.0, 81.0, 79.0], false);
        match judged(&reference, &legs(3.0, &[70.0, 71.0, 69.0], false)) {
            Judgement::Ungraded { reason } => assert!(reason.contains("before it ran"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_the_reference_there_is_nothing_to_compare_with() {
        let judged = judged(&[], &legs(3.0, &[14.0, 13.2, 15.0], false));
        assert!(matches!(judged, Judgement::Ungraded { .. }));
    }

    #[test]
    fn a_stage_goes_on_until_both_questions_are_settled() {
        let windows = |count| {
            vec![
                Window {
                    requests: 1_500,
                    failed: 0
                };
                count
            ]
        };
        let (reference, submission) = (
            legs(0.0, &[13.0, 13.4, 12.9, 13.2, 13.1], false),
            legs(3.0, &[14.0, 13.2, 15.0], false),
        );
        let is_open = |windows: &[Window], rounds: usize| {
            speed().is_open(SoFar {
                stage: "index",
                windows,
                connections: None,
                reference: &reference,
                submission: &submission[..rounds],
            })
        };
        assert!(is_open(&windows(12), 2));
        assert!(is_open(&windows(3), 3));
        assert!(!is_open(&windows(12), 3));
        let failing = vec![
            Window {
                requests: 1_500,
                failed: 1_400
            };
            4
        ];
        assert!(!is_open(&failing, 1));
    }
}
