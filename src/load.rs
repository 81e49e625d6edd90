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
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use mio::{Poll, Waker};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cores;
use crate::evidence::{Generator, Load, Second, Window};
use pace::{Clock, Slot, Stretch};
pub use plan::{BodyCheck, BodyPredicate, LoadPlan, Pace, Reach, Target, WINDOW};
use share::{Message, Shared, Summary, WAKER};
use tally::{Closing, Tally};
use worker::Worker;

/// A thread that worked or wanted to for this share of the time was never idle: then the server
/// could have been asked more.
const CEILING: f64 = 0.95;

/// How long after its planned end a load may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// What a load measured, and when.
#[derive(Debug, Clone)]
pub struct LoadRun {
    /// What was measured.
    pub load: Load,
    /// When measuring began, after the warm-up.
    pub measured_from: SystemTime,
    /// When the last request that counts ended, or the measured time if that is later.
    pub measured_until: SystemTime,
    shared: Arc<Shared>,
    tally: Box<Tally>,
    closing: Closing,
}

/// Several stretches of the same load on one server, as if they had been one. `None` of none.
#[must_use]
pub fn join(runs: Vec<LoadRun>) -> Option<Load> {
    let mut runs = runs.into_iter();
    let mut first = runs.next()?;
    for run in runs {
        first.tally.merge(&run.tally);
        first.closing.join(run.closing);
    }
    Some(first.tally.load(&first.shared.plan, first.closing))
}

/// What is told once a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Nothing counts yet.
    pub warm_up: bool,
    /// Time since the load began, warm-up included.
    pub elapsed: Duration,
    /// How long the load will take at most, warm-up included, late answers left out.
    pub total: Duration,
    /// The window that just ended.
    pub window: Second,
    /// Requests that counted so far.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

/// Runs a load to its end, or until the returned future is dropped: then all threads are stopped
/// and waited for, which takes a few milliseconds. Needs a tokio runtime with a timer around it.
///
/// `on_window` is called after each window from within the future. When it breaks off a closed loop,
/// what was measured up to the end of that window is the whole load.
///
/// # Errors
/// The plan cannot be run, or the generator itself failed: it ran out of file descriptors, ports or
/// threads. A server that refuses, resets or does not answer is no error but part of the result.
pub async fn run(
    plan: LoadPlan,
    on_window: impl FnMut(&Progress) -> ControlFlow<()> + Send,
) -> Result<LoadRun> {
    plan.check()?;
    let mut crew = Crew::start(plan)?;
    let shared = Arc::clone(&crew.shared);
    let latest =
        shared.clock.until.saturating_duration_since(Instant::now()) + shared.plan.timeout + GRACE;
    let mut sum = Sum::new(&shared);
    tokio::time::timeout(latest, sum.collect(&mut crew, on_window))
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
            enough: AtomicBool::new(false),
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
                .spawn(move || {
                    cores::hold(&shared.plan.cores);
                    Worker::new(shared, number, poll, reports).run();
                })
                .context("start a thread for the load generator")?;
            crew.threads.push((waker, thread));
        }
        Ok(crew)
    }
}

impl Crew {
    fn wake(&self) {
        for (waker, _) in &self.threads {
            let _ = waker.wake();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake();
        for (_, thread) in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What all threads counted together.
struct Sum<'a> {
    shared: &'a Arc<Shared>,
    all: Tally,
    /// The second that goes on, and how many windows are in it.
    second: (u32, Tally),
    in_time: u64,
    requests: u64,
    failed: u64,
    per_second: Vec<Second>,
    windows: Vec<Window>,
    /// Where the load was broken off.
    broken_off: Option<Instant>,
    /// Slots that some threads have not ended yet, with how many have.
    open: BTreeMap<u64, (Slot, u32, Box<Tally>)>,
    ended: Vec<Summary>,
}

impl<'a> Sum<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        Self {
            shared,
            all: Tally::new(&shared.plan),
            second: (0, Tally::new(&shared.plan)),
            in_time: 0,
            requests: 0,
            failed: 0,
            per_second: Vec::new(),
            windows: Vec::new(),
            broken_off: None,
            open: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    async fn collect(
        &mut self,
        crew: &mut Crew,
        mut on_window: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        let threads = self.shared.threads;
        let is_closed = matches!(self.shared.plan.pace, Pace::Users(_));
        while self.ended.len() < threads as usize {
            match crew.messages.recv().await {
                // What was asked after the end that was chosen is not part of it.
                Some(Message::Slot(slot, tally)) if self.broken_off.is_some() => {
                    if slot.stretch == Stretch::Late {
                        self.add(slot, &tally);
                    }
                }
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
                        let flow = on_window(&self.add(slot, &tally));
                        if flow.is_break() && is_closed && slot.stretch == Stretch::Measured {
                            self.broken_off = Some(slot.end);
                            self.open.clear();
                            self.shared.enough.store(true, Ordering::Relaxed);
                            crew.wake();
                        }
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
        self.end_second();
        // All in the last window would look like a stall, and all in one of their own like a burst.
        if let Some(last) = self.windows.len().checked_sub(1) {
            for (index, late) in self
                .ended
                .iter()
                .flat_map(|end| end.late.iter().enumerate())
            {
                let window = &mut self.windows[index.min(last)];
                window.requests += late.requests;
                window.failed += late.failed;
            }
        }
        Ok(())
    }

    fn add(&mut self, slot: Slot, tally: &Tally) -> Progress {
        let clock = self.shared.clock;
        let window = tally.second();
        if slot.stretch != Stretch::WarmUp {
            self.all.merge(tally);
            self.requests += window.requests;
            self.failed += window.failed;
            if slot.stretch == Stretch::Measured {
                self.in_time += window.requests;
            }
            self.chart(slot, tally, window);
        }
        Progress {
            warm_up: slot.stretch == Stretch::WarmUp,
            elapsed: slot.end.saturating_duration_since(clock.start),
            total: clock.until.saturating_duration_since(clock.start),
            window,
            requests: self.requests,
            failed: self.failed,
        }
    }

    /// Adds to the seconds and windows. Nobody asks in a closed loop when the time is over, so what
    /// ends then is counted with the last second; its windows come with the end of each thread. In an
    /// open loop what comes late is a second of its own, as far as something came.
    fn chart(&mut self, slot: Slot, tally: &Tally, window: Second) {
        let is_measured = slot.stretch == Stretch::Measured;
        if !is_measured && matches!(self.shared.plan.pace, Pace::Users(_)) {
            self.second.1.merge(tally);
        } else if is_measured || window.requests > 0 {
            if self.shared.plan.window * self.second.0 >= Duration::from_secs(1) {
                self.end_second();
            }
            self.second.0 += 1;
            self.second.1.merge(tally);
            if self.shared.plan.window < Duration::from_secs(1) {
                self.windows.push(Window {
                    requests: window.requests,
                    failed: window.failed,
                });
            }
        }
    }

    fn end_second(&mut self) {
        let (count, second) =
            std::mem::replace(&mut self.second, (0, Tally::new(&self.shared.plan)));
        if count > 0 {
            self.per_second.push(second.second());
        }
    }

    fn close(self) -> LoadRun {
        let Clock { from, until, .. } = self.shared.clock;
        let last = self.ended.iter().map(|end| end.at).max().unwrap_or(until);
        let closed = matches!(self.shared.plan.pace, Pace::Users(_));
        let exhausted = closed && self.ended.iter().all(|end| end.exhausted);
        let measured_until = match self.broken_off {
            Some(end) => end,
            None if exhausted => last,
            None => until,
        };
        let closing = Closing {
            measured: measured_until.saturating_duration_since(from),
            in_time: self.in_time,
            starved: self.ended.iter().map(|end| end.starved).sum(),
            per_second: self.per_second,
            windows: self.windows,
            generator: generator(&self.ended),
        };
        let load = self.all.load(&self.shared.plan, closing.clone());
        let counted_until = if self.broken_off.is_some() {
            measured_until
        } else {
            measured_until.max(last)
        };
        LoadRun {
            load,
            measured_from: self.shared.clock.wall(from),
            measured_until: self.shared.clock.wall(counted_until),
            shared: Arc::clone(self.shared),
            tally: Box::new(self.all),
            closing,
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
