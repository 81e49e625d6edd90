//! Processes and their descendants, as `/proc` tells them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// The processes that were started here and not yet dropped.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Them, for whoever starts one or drops one.
pub(super) fn ours() -> MutexGuard<'static, BTreeSet<u32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process the parent of every orphan below it, so that a program that forks twice
/// cannot outlive its end. Only Linux knows this.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok() {
        ADOPTING.store(true, Ordering::Relaxed);
    }
}

/// Whether children that [`super`] never started are orphans, and not somebody else's.
static ADOPTING: AtomicBool = AtomicBool::new(false);

/// Ends adopted orphans: children of this process that [`super`] never started.
pub(super) fn kill_strays() {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    let me = std::process::id();
    for _ in 0..10 {
        let ours = ours();
        let strays: Vec<u32> = children_of(me)
            .into_iter()
            .filter(|pid| !ours.contains(pid))
            .collect();
        drop(ours);
        if strays.is_empty() {
            return;
        }
        for stray in strays {
            kill_tree(stray);
            let pid = as_pid(stray);
            let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a process, its group and all its descendants, whatever groups they moved to.
pub fn kill_tree(pid: u32) {
    let tree = tree(pid);
    if let Some(group) = as_pid(pid) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    for pid in tree.into_iter().filter_map(as_pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Sends a signal to a process and all its descendants. What has left them is ended.
pub fn signal_tree(pid: u32, signal: Signal) {
    kill_strays();
    for pid in tree(pid).into_iter().filter_map(as_pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// A process and all its descendants, parents first. Only the process itself where there is no
/// `/proc`.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(children_of(parent));
        next += 1;
    }
    tree
}

pub(super) fn as_pid(pid: u32) -> Option<Pid> {
    // 0 and 1 would mean this group and the machine's first process.
    i32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 1)
        .and_then(Pid::from_raw)
}

/// The children of a process. Empty where there is no `/proc`.
fn children_of(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}
