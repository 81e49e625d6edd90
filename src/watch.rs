//! Watching the machine while a load runs: did anything else want its processors?
//!
//! Reads what the kernel counts. Judges nothing: what disturbs is for the checks.

use std::fs;
use std::time::{Duration, Instant};

use crate::cores;
use crate::evidence::Machine;
use crate::process::tree;

/// A watch over one stretch of time.
#[derive(Debug)]
pub struct Watch {
    /// The processes that the load is about, and whether they are all.
    pids: Vec<u32>,
    is_whole: bool,
    on: Processing,
    before: Reading,
}

/// Which processors are watched.
#[derive(Debug, Clone, Default)]
pub struct Processing {
    /// Those that serve: what goes on on others is no matter. Empty for all that may be used.
    pub served: Vec<usize>,
    /// This process has others to itself, so that what it does is not on those.
    pub is_apart: bool,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    processors: Option<Processors>,
    /// CPU time of those that are watched, and of this process where it shares their processors.
    own: Duration,
    /// Time in which something waited for a processor.
    pressure: Option<Duration>,
}

/// `/proc/stat`, in ticks over some processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Processors {
    total: u64,
    /// In programs and in the kernel on their behalf.
    worked: u64,
    stolen: u64,
}

impl Watch {
    /// Begins. `pids` are the processes that the load is about, with all their descendants; `None`
    /// among them is one that cannot be seen from here, so that others cannot be told from it.
    #[must_use]
    pub fn start(pids: &[Option<u32>], on: &Processing) -> Self {
        let known: Vec<u32> = pids.iter().flatten().copied().collect();
        Self {
            is_whole: known.len() == pids.len(),
            before: Reading::take(&known, on),
            pids: known,
            on: on.clone(),
        }
    }

    /// What was seen since.
    #[must_use]
    pub fn end(self) -> Machine {
        let now = Reading::take(&self.pids, &self.on);
        let before = self.before;
        let elapsed = now.at.saturating_duration_since(before.at).as_secs_f64();
        let since = now
            .processors
            .zip(before.processors)
            .map(|(now, before)| Processors {
                total: now.total.saturating_sub(before.total).max(1),
                worked: now.worked.saturating_sub(before.worked),
                stolen: now.stolen.saturating_sub(before.stolen),
            });
        let own = now.own.saturating_sub(before.own).as_secs_f64() * ticks_per_second();
        Machine {
            others: since
                .filter(|_| self.is_whole)
                .map(|since| share((count(since.worked) - own) / count(since.total))),
            stolen: since.map(|since| share(count(since.stolen) / count(since.total))),
            pressure: now
                .pressure
                .zip(before.pressure)
                .map(|(now, before)| share(now.saturating_sub(before).as_secs_f64() / elapsed)),
        }
    }
}

impl Reading {
    fn take(pids: &[u32], on: &Processing) -> Self {
        let mut own = pids.iter().map(|pid| tree_time(*pid, true)).sum::<u64>();
        if !on.is_apart {
            own += tree_time(std::process::id(), false);
        }
        let cpus = match &on.served[..] {
            [] => cores::allowed(),
            served => served.to_vec(),
        };
        Self {
            at: Instant::now(),
            processors: fs::read_to_string("/proc/stat")
                .ok()
                .and_then(|text| processors(&text, &cpus)),
            own: Duration::from_secs_f64(count(own) / ticks_per_second()),
            pressure: fs::read_to_string("/proc/pressure/cpu")
                .ok()
                .and_then(|text| pressure(&text)),
        }
    }
}

/// Ticks of a process, or of it and all its descendants, dead ones included.
fn tree_time(pid: u32, with_descendants: bool) -> u64 {
    let pids = if with_descendants {
        tree(pid)
    } else {
        vec![pid]
    };
    pids.into_iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| process_time(&stat, with_descendants))
        .sum()
}

/// User and system time in `/proc/PID/stat` (proc(5), fields 14 to 17), with that of children that
/// ended or without.
fn process_time(stat: &str, with_children: bool) -> Option<u64> {
    // The name in parentheses may hold anything; the fields count from behind it.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let wanted = if with_children { 4 } else { 2 };
    Some(
        fields
            .take(wanted)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum(),
    )
}

/// The lines `cpuN` of `/proc/stat` (proc(5)) of the processors `cpus`: user, nice, system, idle,
/// iowait, irq, softirq, steal. What interrupts take belongs to nobody.
fn processors(text: &str, cpus: &[usize]) -> Option<Processors> {
    let mut sum: Option<Processors> = None;
    for line in text.lines() {
        let Some((name, ticks)) = line.split_once(' ') else {
            continue;
        };
        let cpu = name.strip_prefix("cpu").and_then(|cpu| cpu.parse().ok());
        if !cpu.is_some_and(|cpu: usize| cpus.contains(&cpu)) {
            continue;
        }
        let ticks: Vec<u64> = ticks
            .split_whitespace()
            .take(8)
            .filter_map(|ticks| ticks.parse().ok())
            .collect();
        let [user, nice, system, _, _, _, _, steal] = ticks[..] else {
            return None;
        };
        let sum = sum.get_or_insert(Processors {
            total: 0,
            worked: 0,
            stolen: 0,
        });
        sum.total += ticks.iter().sum::<u64>();
        sum.worked += user + nice + system;
        sum.stolen += steal;
    }
    sum
}

/// The total of the line `some` in `/proc/pressure/cpu` (the kernel's accounting/psi), in µs.
fn pressure(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some"))?;
    let total = some.rsplit_once("total=")?.1.trim().parse().ok()?;
    Some(Duration::from_micros(total))
}

fn ticks_per_second() -> f64 {
    count(rustix::param::clock_ticks_per_second())
}

/// Rounded to a thousandth, 0 to 1.
fn share(value: f64) -> f64 {
    (value.clamp(0.0, 1.0) * 1000.0).round() / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
fn count(ticks: u64) -> f64 {
    ticks as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 1 20 300 4 5 6 7 0 0\ncpu1 8 8 8 8 8 8 8 8\n\
                    intr 1 2\n";
        assert_eq!(
            processors(stat, &[0, 7]),
            Some(Processors {
                total: 443,
                worked: 121,
                stolen: 7
            })
        );
        let stat = "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 10 20 3 4 20 0";
        assert_eq!(process_time(stat, true), Some(37));
        assert_eq!(process_time(stat, false), Some(30));
        let psi = "some avg10=8.16 avg60=4.68 avg300=3.51 total=22085116\nfull avg10=0 total=0\n";
        assert_eq!(pressure(psi), Some(Duration::from_micros(22_085_116)));
        assert_eq!((processors("", &[0]), pressure("")), (None, None));
    }

    #[test]
    fn what_cannot_be_seen_leaves_others_unknown() {
        assert_eq!(
            Watch::start(&[None], &Processing::default()).end().others,
            None
        );
    }

    #[test]
    fn this_process_itself_is_not_somebody_else() {
        if !fs::exists("/proc/stat").unwrap_or(false) {
            return;
        }
        let shared = Processing::default();
        let watch = Watch::start(&[], &shared);
        let begun = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let mut x = 1_u64;
        // A tenth of a second of work.
        loop {
            for _ in 0..10_000 {
                x = std::hint::black_box(x.wrapping_mul(31));
            }
            let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let worked = (now.tv_sec - begun.tv_sec) * 1_000_000_000 + now.tv_nsec - begun.tv_nsec;
            if worked > 100_000_000 {
                break;
            }
        }
        let own = watch.before.own;
        assert!(Reading::take(&[], &shared).own >= own + Duration::from_millis(80));
        let apart = Processing {
            is_apart: true,
            ..shared
        };
        assert_eq!(Reading::take(&[], &apart).own, Duration::ZERO);
    }
}
