//! The guard beside a confined program: sees to it that it uses no more than it may.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::tree::{kill_tree, tree};
use crate::cgroup::Cgroup;
use crate::confinement::{Confinement, Limits};

/// What a confined program used too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Memory, in bytes.
    Memory(u64),
    /// Processes and threads.
    Processes(u32),
    /// What is in its folders, in bytes.
    Disk(u64),
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: &u64| bytes >> 20;
        match self {
            Self::Memory(most) => write!(f, "more than {} MiB of memory", mib(most)),
            Self::Processes(most) => write!(f, "more than {most} processes and threads"),
            Self::Disk(most) => write!(f, "more than {} MiB of disk", mib(most)),
        }
    }
}

/// Sees to it that a confined program uses no more than it may. Memory and processes are counted by
/// the kernel where there is a control group, else looked at now and then, which a program can outrun
/// for a moment; the disk is always looked at.
#[derive(Debug)]
pub(super) struct Guard {
    excess: Arc<Mutex<Option<Excess>>>,
    limits: Limits,
    cgroup: Option<Arc<Cgroup>>,
    watching: tokio::task::JoinHandle<()>,
}

impl Guard {
    /// How often it looks.
    const EVERY: Duration = Duration::from_millis(200);

    pub(super) fn start(pid: u32, confinement: &Confinement, cgroup: Option<Cgroup>) -> Self {
        let (excess, cgroup) = (Arc::new(Mutex::new(None)), cgroup.map(Arc::new));
        let (limits, folders) = (confinement.limits, confinement.write.clone());
        let (seen, group) = (excess.clone(), cgroup.clone());
        let watching = tokio::spawn(async move {
            // What was there before is not the program's.
            let before = used(&folders, u64::MAX);
            let mut looks = 0_u32;
            loop {
                tokio::time::sleep(Self::EVERY).await;
                looks += 1;
                let mut found = by_group(group.as_deref(), limits);
                if found.is_none() && group.is_none() {
                    found = by_looking(pid, limits);
                }
                // A folder of thousands of files takes a while to look through.
                if found.is_none() && looks.is_multiple_of(5) {
                    let most = before.saturating_add(limits.disk);
                    let folders = folders.clone();
                    let is_over = tokio::task::spawn_blocking(move || {
                        used(&folders, most).saturating_add(unlinked(pid)) > most
                    });
                    if is_over.await.unwrap_or(false) {
                        found = Some(Excess::Disk(limits.disk));
                    }
                }
                if let Some(found) = found {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                    kill_tree(pid);
                    if let Some(group) = &group {
                        group.kill();
                    }
                    return;
                }
            }
        });
        Self {
            excess,
            limits,
            cgroup,
            watching,
        }
    }

    /// What there was too much of, if anything.
    pub(super) fn excess(&self) -> Option<Excess> {
        let seen = *self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        seen.or_else(|| by_group(self.cgroup.as_deref(), self.limits))
    }

    pub(super) fn kill(&self) {
        self.watching.abort();
        if let Some(group) = &self.cgroup {
            group.kill();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// What the kernel had to refuse a group.
fn by_group(group: Option<&Cgroup>, limits: Limits) -> Option<Excess> {
    let group = group?;
    if group.ran_out_of_memory() {
        return Some(Excess::Memory(limits.memory));
    }
    let ran_out = group.ran_out_of_processes();
    ran_out.then_some(Excess::Processes(limits.processes))
}

/// What a process and its descendants use that is too much, as `/proc` tells.
fn by_looking(pid: u32, limits: Limits) -> Option<Excess> {
    let (mut bytes, mut threads) = (0_u64, 0_u32);
    let page = rustix::param::page_size() as u64;
    for pid in tree(pid) {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        bytes += resident.unwrap_or(0_u64) * page;
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        threads += u32::try_from(tasks.map_or(0, Iterator::count)).unwrap_or(u32::MAX);
    }
    if bytes > limits.memory {
        return Some(Excess::Memory(limits.memory));
    }
    (threads > limits.processes).then_some(Excess::Processes(limits.processes))
}

/// The bytes on disk in files that a process and its descendants hold open and that have no name any
/// more.
fn unlinked(pid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let descriptors = tree(pid)
        .into_iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok())
        .flatten()
        .flatten();
    descriptors
        // The link is followed to the very file, with or without a name.
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .filter(|file| file.is_file() && file.nlink() == 0)
        .map(|file| file.blocks() * 512)
        .sum()
}

/// The bytes on disk below some folders, as far as `most`: no link is followed, and nobody is kept
/// busy by a tree without end.
fn used(folders: &[PathBuf], most: u64) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let (mut bytes, mut open) = (0_u64, folders.to_vec());
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // What cannot be counted is hidden on purpose.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return u64::MAX,
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            // An empty file is an entry in a folder, and takes an inode.
            bytes += metadata.blocks() * 512 + 512;
            if metadata.is_dir() {
                open.push(entry.path());
            }
            if bytes > most {
                return bytes;
            }
        }
    }
    bytes
}
