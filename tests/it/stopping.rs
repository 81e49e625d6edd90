//! Stopping early changes no verdict: recorded full-length runs of good, bad and borderline servers,
//! judged as far as they would have gone and judged whole. `benches/stopping.py` made the recordings.

use std::collections::BTreeMap;

use feedgrade::sequential::{Duet, Leg, Level, Side, share};
use serde::Deserialize;

const RECORDED: &str = include_str!("../fixtures/recorded.jsonl");

/// One recorded run: either how many requests failed in each window, or the legs of a comparison.
#[derive(Debug, Deserialize)]
struct Run {
    server: String,
    limit: f64,
    /// Failed requests and all of them, a pair a window of a quarter of a second.
    #[serde(default)]
    share: Vec<(u64, u64)>,
    /// When a leg ran and its p99 in ms.
    #[serde(default)]
    reference: Vec<(f64, f64)>,
    #[serde(default)]
    submission: Vec<(f64, f64)>,
}

/// Two seconds, which are measured however sure one is.
const LEAST_WINDOWS: usize = 8;
const LEAST_ROUNDS: usize = 2;

impl Run {
    fn steps(&self) -> std::ops::RangeInclusive<usize> {
        if self.share.is_empty() {
            LEAST_ROUNDS..=self.submission.len()
        } else {
            LEAST_WINDOWS..=self.share.len()
        }
    }

    /// What is known after so many windows or rounds.
    fn side(&self, step: usize, level: Level) -> Side {
        if self.share.is_empty() {
            let legs = |legs: &[(f64, f64)]| {
                legs.iter()
                    .map(|&(at, value)| Leg { at, value })
                    .collect::<Vec<_>>()
            };
            let reference = &self.reference[..(step + 2).min(self.reference.len())];
            Duet::new(&legs(reference), &legs(&self.submission[..step])).side(self.limit, level)
        } else {
            share(self.share[..step].iter().copied(), self.limit, level)
        }
    }

    /// The verdict when one stops as soon as one is sure, and how far one got.
    fn stopped(&self) -> (Side, usize) {
        let sure = self
            .steps()
            .find(|step| self.side(*step, Level::Stop) != Side::Open);
        let step = sure.unwrap_or(*self.steps().end());
        (self.side(step, Level::Judge), step)
    }

    fn whole(&self) -> Side {
        self.side(*self.steps().end(), Level::Judge)
    }
}

fn runs() -> Vec<Run> {
    RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn stopping_early_changes_the_verdict_of_at_most_one_run_in_two_hundred() {
    let runs = runs();
    let changed: Vec<String> = runs
        .iter()
        .filter(|run| run.stopped().0 != run.whole())
        .map(|run| {
            format!(
                "{}: {:?}, whole {:?}",
                run.server,
                run.stopped(),
                run.whole()
            )
        })
        .collect();
    assert!(runs.len() >= 100, "{} runs", runs.len());
    assert!(
        changed.len() * 200 <= runs.len(),
        "{} of {}: {changed:#?}",
        changed.len(),
        runs.len()
    );
}

#[test]
fn good_and_bad_servers_are_told_apart_long_before_the_end() {
    let mut shares: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let runs = runs();
    for run in &runs {
        let clear = ["good", "slower-2.0", "fails-5.0"].contains(&run.server.as_str());
        if clear {
            let whole = u32::try_from(*run.steps().end()).unwrap();
            let step = u32::try_from(run.stopped().1).unwrap();
            let shares = shares.entry(&run.server).or_default();
            shares.push(f64::from(step) / f64::from(whole));
        }
    }
    for (server, mut shares) in shares {
        shares.sort_by(f64::total_cmp);
        let median = shares[shares.len() / 2];
        assert!(median <= 0.5, "{server}: {shares:?}");
    }
}
