//! The load generator: asks a server for the same few things, many times, and measures how it does.
//!
//! Runs on threads of its own, apart from whatever else the program does, and as leanly as it can:
//! on a small machine each microsecond that it takes is one that the server under test lacks. So it
//! speaks HTTP/1.1 by itself over non-blocking sockets ([`worker`], [`connection`], [`answer`]),
//! prepares every request once and keeps histograms instead of samples.
//!
//! What goes wrong with the server is data. It never retries silently, follows no redirects and
//! knows no TLS. It judges nothing.

pub mod plan;
mod failure;
mod head;
mod chunked;
mod answer;
mod connection;
mod meter;
mod pace;
mod tally;
mod share;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use mio::{Poll, Waker};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::evidence::{Generator, Load, Second};
use pace::{Clock, Slot, Stretch};
pub use plan::{BodyCheck, BodyPredicate, LoadPlan, Pace, Reach, Target};
use share::{Message, Shared, Summary, WAKER};
use tally::{Closing, Tally};
use worker::Worker;

/// A thread that worked or wanted to for this share of the time was never idle: then the server
/// could have been asked more.
const CEILING: f64 = 0.95;

/// How long after its planned end a load may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// What a load measured, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadRun {
    /// What was measured.
    pub load: Load,
    /// When measuring began, after the warm-up.
    pub measured_from: SystemTime,
    /// When the last request that counts ended, or the measured time if that is later.
    pub measured_until: SystemTime,
}

/// What is told once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Nothing counts yet.
    pub warm_up: bool,
    /// Time since the load began, warm-up included.
    pub elapsed: Duration,
    /// How long the load will take at most, warm-up included, late answers left out.
    pub total: Duration,
    /// The second that just ended.
    pub second: Second,
    /// Requests that counted so far.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

/// Runs a load to its end, or until the returned future is dropped: then all threads are stopped
/// and waited for, which takes a few milliseconds. Needs a tokio runtime with a timer around it.
///
/// `on_second` is called about once a second from within the future.
///
/// # Errors
/// The plan cannot be run, or the generator itself failed: it ran out of file descriptors, ports or
/// threads. A server that refuses, resets or does not answer is no error but part of the result.
pub async fn run(plan: LoadPlan, on_second: impl Fn(&Progress) + Send) -> Result<LoadRun> {
    plan.check()?;
    let mut crew = Crew::start(plan)?;
    let shared = Arc::clone(&crew.shared);
    let latest = shared.clock.until.saturating_duration_since(Instant::now())
        + match shared.plan.pace {
            Pace::Users(_) => Duration::ZERO,
            Pace::Rate { .. } => shared.plan.timeout,
        }
        + GRACE;
    let mut sum = Sum::new(&shared);
    tokio::time::timeout(latest, sum.collect(&mut crew.messages, on_second))
        .await
        .context("the load generator did not end in time: is the machine overloaded?")??;
    Ok(sum.close())
}

/// The threads of a load. Dropping it stops and joins them.
struct Crew {
    shared: Arc<Shared>,
    messages: UnboundedReceiver<Message>,
    threads: Vec<(Waker, JoinHandle<()>)>,
}

impl Crew {
    fn start(plan: LoadPlan) -> Result<Self> {
        let threads = u32::try_from(plan.thread_count()).unwrap_or(1);
        // All that can fail before the clock starts.
        let mut polls = Vec::new();
        for _ in 0..threads {
            let poll = Poll::new().context("open a poll for the load generator")?;
            let waker = Waker::new(poll.registry(), WAKER).context("open a waker")?;
            polls.push((poll, waker));
        }
        let (reports, messages) = unbounded_channel();
        let shared = Arc::new(Shared {
            clock: Clock::start(&plan),
            threads,
            wire: plan.wire(),
            order: plan.order(),
            tickets: match (plan.pace, plan.max_requests) {
                (Pace::Users(_), Some(max)) => {
                    Some(AtomicI64::new(i64::try_from(max).unwrap_or(i64::MAX)))
                }
                _ => None,
            },
            stop: AtomicBool::new(false),
            plan,
        });
        let mut crew = Self {
            shared: Arc::clone(&shared),
            messages,
            threads: Vec::new(),
        };
        for (number, (poll, waker)) in (0..).zip(polls) {
            let shared = Arc::clone(&shared);
            let reports = reports.clone();
            let thread = std::thread::Builder::new()
                .name(format!("load-{number}"))
                .spawn(move || Worker::new(shared, number, poll, reports).run())
                .context("start a thread for the load generator")?;
            crew.threads.push((waker, thread));
        }
        Ok(crew)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for (waker, thread) in self.threads.drain(..) {
            let _ = waker.wake();
            let _ = thread.join();
        }
    }
}

/// What all threads counted together.
struct Sum<'a> {
    shared: &'a Shared,
    all: Tally,
    in_time: u64,
    requests: u64,
    failed: u64,
    per_second: Vec<Second>,
    /// Slots that some threads have not ended yet, with how many have.
    open: BTreeMap<u64, (Slot, u32, Box<Tally>)>,
    ended: Vec<Summary>,
}

impl<'a> Sum<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            all: Tally::new(&shared.plan),
            in_time: 0,
            requests: 0,
            failed: 0,
            per_second: Vec::new(),
            open: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    async fn collect(
        &mut self,
        messages: &mut UnboundedReceiver<Message>,
        on_second: impl Fn(&Progress),
    ) -> Result<()> {
        let threads = self.shared.threads;
        while self.ended.len() < threads as usize {
            match messages.recv().await {
                Some(Message::Slot(slot, tally)) => {
                    let (_, count, so_far) = self
                        .open
                        .entry(slot.index)
                        .or_insert_with(|| (slot, 0, Box::new(Tally::new(&self.shared.plan))));
                    so_far.merge(&tally);
                    *count += 1;
                    if *count == threads
                        && let Some((_, (slot, _, tally))) = self.open.pop_first()
                    {
                        on_second(&self.add(slot, &tally));
                    }
                }
                Some(Message::Ended(summary)) => self.ended.push(summary),
                Some(Message::Broken(error)) => {
                    return Err(anyhow!(error)).context(
                        "the load generator ran out of something (file descriptors: `ulimit -n`)",
                    );
                }
                None => return Err(anyhow!("a thread of the load generator died")),
            }
        }
        // Threads that ran out of requests earlier have not ended these.
        while let Some((_, (slot, _, tally))) = self.open.pop_first() {
            self.add(slot, &tally);
        }
        Ok(())
    }

    fn add(&mut self, slot: Slot, tally: &Tally) -> Progress {
        let clock = &self.shared.clock;
        let second = tally.second();
        if slot.stretch != Stretch::WarmUp {
            self.all.merge(tally);
            self.requests += second.requests;
            self.failed += second.failed;
            if slot.stretch == Stretch::Measured {
                self.in_time += second.requests;
            }
            // What comes late belongs to the chart only as far as something came.
            if slot.stretch == Stretch::Measured || second.requests > 0 {
                self.per_second.push(second);
            }
        }
        Progress {
            warm_up: slot.stretch == Stretch::WarmUp,
            elapsed: slot.end.saturating_duration_since(clock.start),
            total: clock.until.saturating_duration_since(clock.start),
            second,
            requests: self.requests,
            failed: self.failed,
        }
    }

    fn close(self) -> LoadRun {
        let Clock { from, until, .. } = self.shared.clock;
        let last = self.ended.iter().map(|end| end.at).max().unwrap_or(until);
        let closed = matches!(self.shared.plan.pace, Pace::Users(_));
        let exhausted = closed && self.ended.iter().all(|end| end.exhausted);
        let measured_until = if exhausted { last } else { until };
        let load = self.all.load(
            &self.shared.plan,
            Closing {
                measured: measured_until.saturating_duration_since(from),
                in_time: self.in_time,
                unfinished: self.ended.iter().map(|end| end.unfinished).sum(),
                starved: self.ended.iter().map(|end| end.starved).sum(),
                per_second: self.per_second,
                generator: generator(&self.ended),
            },
        );
        LoadRun {
            load,
            measured_from: self.shared.clock.wall(from),
            measured_until: self.shared.clock.wall(measured_until.max(last)),
        }
    }
}

fn generator(ended: &[Summary]) -> Generator {
    let round = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let busy = ended.iter().map(|end| end.cost.busy()).fold(0.0, f64::max);
    let waits: Option<Duration> = ended.iter().map(|end| end.cost.waited).sum();
    let worst = ended.iter().map(|end| end.worst_lag).max();
    Generator {
        threads: u32::try_from(ended.len()).unwrap_or(u32::MAX),
        cpu_seconds: round(ended.iter().map(|end| end.cost.cpu.as_secs_f64()).sum()),
        cpu_wait_seconds: waits.map(|waits| round(waits.as_secs_f64())),
        busy: round(busy),
        worst_lag_ms: round(worst.unwrap_or_default().as_secs_f64() * 1000.0),
        at_ceiling: busy >= CEILING,
    }
}
