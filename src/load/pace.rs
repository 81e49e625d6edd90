//! When things happen: the clock that all threads of a load share, and an open loop's schedule.
//!
//! Arithmetic on instants. Reads the clock once, when it is made; waits for nothing.

use std::time::{Duration, Instant, SystemTime};

use super::plan::{LoadPlan, Pace};

/// The instants of one load. Time is cut into slots of a window or less, numbered from 0: first
/// those of the warm-up, then those that are measured, then what is left to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) start: Instant,
    pub(super) start_wall: SystemTime,
    /// Measuring begins.
    pub(super) from: Instant,
    /// Measuring ends.
    pub(super) until: Instant,
    window: Duration,
    warm_up_slots: u64,
    measured_slots: u64,
}

/// What a slot of time is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretch {
    WarmUp,
    Measured,
    /// Open loop: requests that were due are seen to their end.
    Late,
}

/// A slot of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: u64,
    pub(super) stretch: Stretch,
    pub(super) end: Instant,
}

impl Clock {
    /// The load starts now.
    pub(super) fn start(plan: &LoadPlan) -> Self {
        let start = Instant::now();
        let from = start + plan.warm_up;
        let measured = match (plan.pace, plan.max_requests) {
            (Pace::Rate { per_second, .. }, Some(max)) => {
                instant_of(max, per_second).min(plan.duration)
            }
            _ => plan.duration,
        };
        Self {
            start,
            start_wall: SystemTime::now(),
            from,
            until: from + measured,
            window: plan.window,
            warm_up_slots: slots(plan.warm_up, plan.window),
            measured_slots: slots(measured, plan.window),
        }
    }

    /// The slot of that number.
    pub(super) fn slot(&self, index: u64) -> Slot {
        let windows = |count: u64| self.window * u32::try_from(count).unwrap_or(u32::MAX);
        let (stretch, end) =
            if let Some(late) = index.checked_sub(self.warm_up_slots + self.measured_slots) {
                (Stretch::Late, self.until + windows(late + 1))
            } else if let Some(measured) = index.checked_sub(self.warm_up_slots) {
                let end = self.from + windows(measured + 1);
                (Stretch::Measured, end.min(self.until))
            } else {
                let end = self.start + windows(index + 1);
                (Stretch::WarmUp, end.min(self.from))
            };
        Slot {
            index,
            stretch,
            end,
        }
    }

    /// The number of the measured window in which an instant lies; the first for what was before.
    pub(super) fn window_of(&self, at: Instant) -> usize {
        let since = at.saturating_duration_since(self.from).as_nanos();
        usize::try_from(since / self.window.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    /// The same instant as people tell it.
    pub(super) fn wall(&self, instant: Instant) -> SystemTime {
        self.start_wall + instant.saturating_duration_since(self.start)
    }
}

fn slots(time: Duration, window: Duration) -> u64 {
    let slots = time.as_nanos().div_ceil(window.as_nanos().max(1));
    u64::try_from(slots).unwrap_or(u64::MAX)
}

/// The requests of an open loop that one of several threads sends. Each is due at a fixed instant;
/// thread `k` of `n` takes every `n`-th, beginning with the `k`-th.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    clock: Clock,
    rate: f64,
    /// This many are due before measuring begins.
    warm_up: u64,
    total: u64,
    next: u64,
    step: u64,
}

impl Schedule {
    pub(super) fn new(plan: &LoadPlan, clock: Clock, rate: f64, thread: u64, threads: u64) -> Self {
        let warm_up = count_in(plan.warm_up, rate);
        let measured = count_in(plan.duration, rate)
            .max(1)
            .min(plan.max_requests.unwrap_or(u64::MAX));
        Self {
            clock,
            rate,
            warm_up,
            total: warm_up + measured,
            next: thread,
            step: threads,
        }
    }

    /// When the next request is due; `None` after the last.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.next < self.total).then(|| match self.next.checked_sub(self.warm_up) {
            Some(measured) => self.clock.from + instant_of(measured, self.rate),
            None => self.clock.start + instant_of(self.next, self.rate),
        })
    }

    /// Whether the next request is due in the measured time.
    pub(super) fn counts(&self) -> bool {
        self.next >= self.warm_up
    }

    /// Goes on to the one after.
    pub(super) fn advance(&mut self) {
        self.next += self.step;
    }
}

/// How many requests of a rate are due in a stretch of time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a plan's rate and times are positive, their product below 2^37"
)]
fn count_in(time: Duration, rate: f64) -> u64 {
    // The small part makes up for products like 0.3 s × 10 = 2.9999….
    (time.as_secs_f64() * rate + 1e-6).floor() as u64
}

/// When the request of that number is due, counted from the first.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn instant_of(index: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(index as f64 / rate).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Reach;
    use super::*;

    fn plan(pace: Pace, warm_up: f64, duration: f64) -> LoadPlan {
        LoadPlan {
            address: ([127, 0, 0, 1], 1).into(),
            reach: Reach::ThisMachine,
            host: "x".into(),
            targets: Vec::new(),
            pace,
            warm_up: Duration::from_secs_f64(warm_up),
            duration: Duration::from_secs_f64(duration),
            max_requests: None,
            window: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            body_check: None,
            threads: None,
            cores: Vec::new(),
        }
    }

    #[test]
    fn slots_cover_warm_up_and_measured_time_and_go_on() {
        let clock = Clock::start(&plan(Pace::Users(1), 1.5, 2.25));
        let ends: Vec<(Stretch, u128)> = (0..6)
            .map(|index| clock.slot(index))
            .map(|slot| (slot.stretch, (slot.end - clock.start).as_millis()))
            .collect();
        assert_eq!(
            ends,
            [
                (Stretch::WarmUp, 1000),
                (Stretch::WarmUp, 1500),
                (Stretch::Measured, 2500),
                (Stretch::Measured, 3500),
                (Stretch::Measured, 3750),
                (Stretch::Late, 4750),
            ]
        );
    }

    #[test]
    fn all_threads_together_send_the_whole_schedule_once() {
        let pace = Pace::Rate {
            per_second: 10.0,
            connections: 1,
        };
        let plan = plan(pace, 0.5, 0.3);
        let clock = Clock::start(&plan);
        let mut due = Vec::new();
        for thread in 0..3 {
            let mut schedule = Schedule::new(&plan, clock, 10.0, thread, 3);
            while let Some(instant) = schedule.due() {
                due.push(((instant - clock.start).as_millis(), schedule.counts()));
                schedule.advance();
            }
        }
        due.sort_unstable();
        let expected = [0, 100, 200, 300, 400].map(|ms| (ms, false));
        assert_eq!(due[..5], expected);
        assert_eq!(due[5..], [500, 600, 700].map(|ms| (ms, true)));
    }

    #[test]
    fn a_count_of_requests_shortens_an_open_loop() {
        let pace = Pace::Rate {
            per_second: 100.0,
            connections: 1,
        };
        let mut plan = plan(pace, 0.0, 60.0);
        plan.max_requests = Some(50);
        let clock = Clock::start(&plan);
        assert_eq!(clock.until - clock.from, Duration::from_millis(500));
    }
}
