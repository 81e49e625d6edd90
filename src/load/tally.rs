//! What was counted: by each thread for one second at a time, and summed up for the whole load.
//!
//! The size of a tally depends on the number of targets, never on the number of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::evidence::{Generator, Load, OpenLoop, Second, TargetLoad, Window};
use crate::histogram::Histogram;

use super::failure::Failure;
use super::plan::{LoadPlan, Pace};

/// What was counted in some stretch of time.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    targets: Vec<TargetTally>,
    failures: Vec<(Failure, u64)>,
    /// Connections that were opened again.
    pub(super) reconnects: u64,
    open_loop: Option<OpenLoopTally>,
}

#[derive(Debug, Clone)]
struct TargetTally {
    latencies: Histogram,
    failed: u64,
}

#[derive(Debug, Clone, Default)]
struct OpenLoopTally {
    lag: Histogram,
    service: Histogram,
}

/// One request that ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// The target's index.
    pub(super) target: usize,
    /// From the instant that the pace defines.
    pub(super) latency: Duration,
    /// Why it failed, if it did.
    pub(super) failure: Option<Failure>,
    /// Open loop: from due to sent, when it was sent.
    pub(super) lag: Option<Duration>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let target = TargetTally {
            latencies: Histogram::new(),
            failed: 0,
        };
        Self {
            targets: vec![target; plan.targets.len()],
            failures: Vec::new(),
            reconnects: 0,
            open_loop: matches!(plan.pace, Pace::Rate { .. }).then(OpenLoopTally::default),
        }
    }

    /// Counts one request.
    pub(super) fn count(&mut self, ended: Ended) {
        let target = &mut self.targets[ended.target];
        target.latencies.record(ended.latency);
        if let Some(failure) = ended.failure {
            target.failed += 1;
            self.add_failures(failure, 1);
        }
        if let (Some(open_loop), Some(lag)) = (&mut self.open_loop, ended.lag) {
            open_loop.lag.record(lag);
            open_loop.service.record(ended.latency.saturating_sub(lag));
        }
    }

    /// Adds all that `other` counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (target, other) in self.targets.iter_mut().zip(&other.targets) {
            target.latencies.merge(&other.latencies);
            target.failed += other.failed;
        }
        for &(failure, count) in &other.failures {
            self.add_failures(failure, count);
        }
        self.reconnects += other.reconnects;
        if let (Some(open_loop), Some(other)) = (&mut self.open_loop, &other.open_loop) {
            open_loop.lag.merge(&other.lag);
            open_loop.service.merge(&other.service);
        }
    }

    /// The whole of it as one value of the chart.
    pub(super) fn second(&self) -> Second {
        let latencies = self.latencies();
        Second {
            requests: latencies.count(),
            failed: self.failed(),
            p50: round(latencies.quantile_ms(0.50)),
            p99: round(latencies.quantile_ms(0.99)),
        }
    }

    /// The whole of it as what a load of `plan` measured.
    pub(super) fn load(&self, plan: &LoadPlan, ended: Closing) -> Load {
        let latencies = self.latencies();
        let (requests, failed) = (latencies.count(), self.failed());
        let seconds = (ended.measured.as_secs_f64() * 1000.0).round() / 1000.0;
        Load {
            users: plan.pace.connections(),
            seconds,
            requests,
            failed,
            success_rate: ratio(requests - failed, requests),
            requests_per_second: if seconds > 0.0 {
                round(to_f64(ended.in_time) / seconds)
            } else {
                0.0
            },
            latency_ms: latencies.latency(),
            histogram: latencies.buckets(),
            errors: self.errors(),
            reconnects: self.reconnects,
            starved: ended.starved,
            per_second: ended.per_second,
            windows: ended.windows,
            targets: self.targets(plan),
            open_loop: self.open_loop.as_ref().map(|open_loop| OpenLoop {
                rate: match plan.pace {
                    Pace::Rate { per_second, .. } => per_second,
                    Pace::Users(_) => 0.0,
                },
                lag_ms: open_loop.lag.latency(),
                service_ms: open_loop.service.latency(),
            }),
            generator: ended.generator,
        }
    }

    fn targets(&self, plan: &LoadPlan) -> Vec<TargetLoad> {
        plan.targets
            .iter()
            .zip(&self.targets)
            .map(|(target, tally)| {
                let requests = tally.latencies.count();
                TargetLoad {
                    request: target.to_string(),
                    requests,
                    failed: tally.failed,
                    success_rate: ratio(requests - tally.failed, requests),
                    latency_ms: tally.latencies.latency(),
                }
            })
            .collect()
    }

    fn errors(&self) -> BTreeMap<String, u64> {
        let mut errors = BTreeMap::new();
        for (failure, count) in &self.failures {
            *errors.entry(failure.to_string()).or_insert(0) += count;
        }
        errors
    }

    fn latencies(&self) -> Histogram {
        let mut all = Histogram::new();
        for target in &self.targets {
            all.merge(&target.latencies);
        }
        all
    }

    fn failed(&self) -> u64 {
        self.targets.iter().map(|target| target.failed).sum()
    }

    fn add_failures(&mut self, failure: Failure, count: u64) {
        match self
            .failures
            .iter_mut()
            .find(|(known, _)| *known == failure)
        {
            Some((_, so_far)) => *so_far += count,
            None => self.failures.push((failure, count)),
        }
    }
}

/// What is known only when a load is over.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing {
    /// The time in which requests were counted; for an open loop, in which they were due.
    pub(super) measured: Duration,
    /// Counted requests that ended within it.
    pub(super) in_time: u64,
    /// Users of a closed loop without a successful answer in the measured time.
    pub(super) starved: u64,
    /// One value a second.
    pub(super) per_second: Vec<Second>,
    /// One value a window, where windows are shorter.
    pub(super) windows: Vec<Window>,
    /// What it took.
    pub(super) generator: Generator,
}

impl Closing {
    /// Two stretches of load on one server as one. A user who was served in either was served.
    pub(super) fn join(&mut self, other: Self) {
        self.measured += other.measured;
        self.in_time += other.in_time;
        self.starved = self.starved.min(other.starved);
        self.per_second.extend(other.per_second);
        self.windows.extend(other.windows);
        let (mine, its) = (&mut self.generator, other.generator);
        mine.threads = mine.threads.max(its.threads);
        mine.cpu_seconds += its.cpu_seconds;
        mine.cpu_wait_seconds = mine
            .cpu_wait_seconds
            .zip(its.cpu_wait_seconds)
            .map(|(mine, its)| mine + its);
        mine.busy = mine.busy.max(its.busy);
        mine.worst_lag_ms = mine.worst_lag_ms.max(its.worst_lag_ms);
        mine.at_ceiling |= its.at_ceiling;
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        to_f64(part) / to_f64(whole)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
