//! What a thread of the generator costs: its CPU time, and the time it waited for a processor.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The thread's figures at some instant. Valid only on the thread that took it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    at: Instant,
    cpu: Duration,
    waited: Option<Duration>,
}

/// What a thread cost between two readings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// User and system time.
    pub(super) cpu: Duration,
    /// Ready to run but without a processor. `None` where the kernel does not tell.
    pub(super) waited: Option<Duration>,
}

impl Reading {
    /// This thread's figures now.
    pub(super) fn take() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Self {
            at: Instant::now(),
            cpu: Duration::new(
                u64::try_from(time.tv_sec).unwrap_or(0),
                u32::try_from(time.tv_nsec).unwrap_or(0),
            ),
            waited: run_queue_delay(),
        }
    }

    /// The cost since then.
    pub(super) fn cost(self) -> Cost {
        let now = Self::take();
        Cost {
            wall: now.at.saturating_duration_since(self.at),
            cpu: now.cpu.saturating_sub(self.cpu),
            waited: match (now.waited, self.waited) {
                (Some(now), Some(before)) => Some(now.saturating_sub(before)),
                _ => None,
            },
        }
    }
}

impl Cost {
    /// The share of the time in which the thread worked or wanted to, 0 to 1.
    pub(super) fn busy(self) -> f64 {
        let wanted = self.cpu + self.waited.unwrap_or_default();
        if self.wall.is_zero() {
            0.0
        } else {
            (wanted.as_secs_f64() / self.wall.as_secs_f64()).min(1.0)
        }
    }
}

/// The second number of the kernel's `schedstat`: nanoseconds spent on a run queue
/// (Documentation/scheduler/sched-stats.rst).
fn run_queue_delay() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_cpu_time_and_busy_is_a_share() {
        let before = Reading::take();
        let mut x = 1_u64;
        while before.cost().cpu < Duration::from_millis(2) {
            x = std::hint::black_box(x.wrapping_mul(31));
        }
        assert!(before.cost().busy() > 0.0 && before.cost().busy() <= 1.0);
        assert!(Cost::default().busy().abs() < f64::EPSILON);
    }
}
