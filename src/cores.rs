//! Processors: which of them serve, and which send load.
//!
//! Servers and databases are held to as many as the exercise says, so that a machine with many shows
//! the same faults as one with few, and the load generator gets others, where there are any.

use std::collections::BTreeSet;
use std::fs;

/// Who gets which processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allotment {
    /// For the server and its database. Empty where they cannot be held to any.
    pub served: Vec<usize>,
    /// For the load generator alone. Empty when it shares the others'.
    pub generator: Vec<usize>,
}

impl Allotment {
    /// Allots the processors that this process may use; `wanted` of them serve.
    #[must_use]
    pub fn new(wanted: usize) -> Self {
        let allowed = allowed();
        let siblings: Vec<BTreeSet<usize>> = allowed
            .iter()
            .map(|cpu| {
                let path =
                    format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
                let mut siblings = parse_list(&fs::read_to_string(path).unwrap_or_default());
                siblings.insert(*cpu);
                siblings
            })
            .collect();
        allot(&allowed, &siblings, wanted)
    }
}

/// Those that serve are each on a core of its own, as far as there are so many, and the load
/// generator is on none of their cores, as far as that leaves any.
fn allot(allowed: &[usize], siblings: &[BTreeSet<usize>], wanted: usize) -> Allotment {
    if allowed.len() <= wanted {
        return Allotment {
            served: allowed.to_vec(),
            generator: Vec::new(),
        };
    }
    let (mut first, mut second, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (cpu, siblings) in allowed.iter().zip(siblings) {
        let is_new = siblings.is_disjoint(&seen);
        seen.insert(*cpu);
        if is_new { &mut first } else { &mut second }.push(*cpu);
    }
    first.extend(second);
    let served: Vec<usize> = first.iter().copied().take(wanted).collect();
    let shares_a_core = |cpu: &usize| {
        allowed
            .iter()
            .zip(siblings)
            .any(|(other, siblings)| served.contains(other) && siblings.contains(cpu))
    };
    let rest: Vec<usize> = first.into_iter().skip(wanted).collect();
    let apart: Vec<usize> = rest
        .iter()
        .copied()
        .filter(|cpu| !shares_a_core(cpu))
        .collect();
    Allotment {
        served,
        generator: if apart.is_empty() { rest } else { apart },
    }
}

/// `0-2,7` as a set; what cannot be read is left out.
fn parse_list(list: &str) -> BTreeSet<usize> {
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some(from.parse::<usize>().ok()?..=to.parse().ok()?)
        })
        .flatten()
        .collect()
}

/// A list of processors for people and for Docker: `0-2,7`.
#[must_use]
pub fn list(cpus: &[usize]) -> String {
    let mut sorted: Vec<usize> = cpus.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for cpu in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    text.join(",")
}

/// Those that this process may use.
#[cfg(target_os = "linux")]
#[must_use]
pub fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    sched_getaffinity(None).map_or(Vec::new(), |set| {
        (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect()
    })
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Holds the calling thread, and all that it starts, to some processors. Nothing happens for an empty
/// list, where the system knows no such thing, or when it refuses.
pub fn hold(cpus: &[usize]) {
    #[cfg(target_os = "linux")]
    if !cpus.is_empty() {
        let mut set = rustix::thread::CpuSet::new();
        for cpu in cpus {
            set.set(*cpu);
        }
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = cpus;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allotted(siblings: &[&[usize]], wanted: usize) -> (Vec<usize>, Vec<usize>) {
        let allowed: Vec<usize> = (0..siblings.len()).collect();
        let siblings: Vec<BTreeSet<usize>> = siblings
            .iter()
            .map(|siblings| siblings.iter().copied().collect())
            .collect();
        let Allotment { served, generator } = allot(&allowed, &siblings, wanted);
        (served, generator)
    }

    #[test]
    fn a_small_machine_is_shared() {
        assert_eq!(allotted(&[&[0], &[1]], 2), (vec![0, 1], vec![]));
        assert_eq!(allotted(&[&[0]], 2), (vec![0], vec![]));
    }

    #[test]
    fn the_generator_gets_other_cores_where_there_are_any() {
        assert_eq!(
            allotted(&[&[0], &[1], &[2], &[3]], 2),
            (vec![0, 1], vec![2, 3])
        );
        // Two threads a core, neighbours: 0 and 2 serve, 4 to 7 send load.
        let pairs: &[&[usize]] = &[
            &[0, 1],
            &[0, 1],
            &[2, 3],
            &[2, 3],
            &[4, 5],
            &[4, 5],
            &[6, 7],
            &[6, 7],
        ];
        let (served, mut generator) = allotted(pairs, 2);
        generator.sort_unstable();
        assert_eq!((served, generator), (vec![0, 2], vec![4, 5, 6, 7]));
        // Two cores with two threads each: the other threads are better than nothing.
        let (served, generator) = allotted(&pairs[..4], 2);
        assert_eq!((served, generator), (vec![0, 2], vec![1, 3]));
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        assert_eq!(parse_list("0-2,7\n"), BTreeSet::from([0, 1, 2, 7]));
        assert_eq!(list(&[7, 1, 0, 2]), "0-2,7");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn a_thread_is_held_to_what_it_is_told() {
        let Some(first) = allowed().first().copied() else {
            return;
        };
        let held = std::thread::spawn(move || {
            hold(&[first]);
            allowed()
        });
        assert_eq!(held.join().unwrap(), [first]);
    }
}
