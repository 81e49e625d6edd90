//! Control groups: limits on a program and all that it starts, counted by the kernel.
//!
//! Only where this process may make some: mostly as root. Both versions are known; of version 1 the
//! controllers `memory` and `pids` are used. Source of the files' names: `cgroup-v1` and `cgroup-v2`
//! in the kernel's documentation.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::scratch;

/// How the names of all groups begin that belong to runs of this scratch folder: runs of another one
/// are not known here to be alive.
fn prefix() -> Option<String> {
    let base = fs::metadata(scratch::base().ok()?).ok()?;
    Some(format!("feedgrade-{:x}-{:x}-", base.dev(), base.ino()))
}

/// A control group: a folder of the kernel's in each hierarchy. Dropping it ends all that is in it.
#[derive(Debug)]
pub struct Cgroup {
    version: Version,
    folders: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where groups can be made.
#[derive(Debug)]
struct Parents {
    version: Version,
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// A new group that may use `memory` bytes and hold `processes`, threads included. `None` where
    /// this process may not make one.
    #[must_use]
    pub fn new(session: &str, memory: u64, processes: u32) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{session}-{number}", prefix()?);
        let parents = parents();
        let mut group = Self {
            version: parents.version,
            folders: Vec::new(),
        };
        for parent in &parents.folders {
            let folder = parent.join(&name);
            fs::create_dir(&folder).ok()?;
            group.folders.push(folder);
        }
        let memory_limit = match group.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let limits = [
            (memory_limit, memory.to_string()),
            ("pids.max", processes.to_string()),
        ];
        let are_set = limits.iter().all(|(file, value)| {
            let folders = &mut group.folders.iter();
            folders.any(|folder| {
                folder.join(file).exists() && fs::write(folder.join(file), value).is_ok()
            })
        });
        // Where there is swap, it is no more memory. Most machines have none, or do not count it.
        for (file, value) in [
            ("memory.swap.max", "0".to_owned()),
            ("memory.memsw.limit_in_bytes", memory.to_string()),
        ] {
            for folder in &group.folders {
                let _ = fs::write(folder.join(file), &value);
            }
        }
        (are_set && !group.folders.is_empty()).then_some(group)
    }

    /// The files to which a process writes `0` to join.
    #[must_use]
    pub fn entrances(&self) -> Vec<PathBuf> {
        let folders = self.folders.iter();
        folders.map(|folder| folder.join("cgroup.procs")).collect()
    }

    /// Whether the kernel ended a process in here because the memory was used up.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.counter(file, "oom_kill") > 0
    }

    /// Whether one more process was wanted than may be.
    #[must_use]
    pub fn ran_out_of_processes(&self) -> bool {
        self.counter("pids.events", "max") > 0
    }

    /// A value of a file of lines like `oom_kill 3`.
    fn counter(&self, file: &str, name: &str) -> u64 {
        let texts = self.folders.iter();
        texts
            .filter_map(|folder| fs::read_to_string(folder.join(file)).ok())
            .flat_map(|text| {
                text.lines()
                    .filter_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                    .collect::<Vec<u64>>()
            })
            .max()
            .unwrap_or(0)
    }

    /// Ends all that is in it.
    pub fn kill(&self) {
        for folder in &self.folders {
            kill(folder);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
    }
}

/// Ends what killed runs left in groups, and removes those.
pub fn sweep() {
    let Some(prefix) = prefix() else { return };
    for parent in parents().folders {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let session = name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.rsplit_once('-'))
                .map(|(session, _)| session);
            if session
                .is_some_and(|session| session.starts_with("run-") && !scratch::is_alive(session))
            {
                remove(&entry.path());
            }
        }
    }
}

/// Whether groups with limits can be made here.
///
/// # Errors
/// When not: why.
pub fn probe(session: &str) -> Result<()> {
    ensure!(
        !parents().folders.is_empty(),
        "there are no control groups for memory and processes here"
    );
    Cgroup::new(session, 1 << 30, 64)
        .map(drop)
        .context("this user may not make control groups with limits")
}

fn kill(folder: &Path) {
    // Version 2 ends all at once.
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..100 {
        let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        let mut is_empty = true;
        for pid in list.lines().filter_map(|line| line.parse::<i32>().ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                is_empty = false;
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        if is_empty {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn remove(folder: &Path) {
    kill(folder);
    // The last process may still be on its way out.
    for _ in 0..200 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}

/// Where this process may make groups, if anywhere.
fn parents() -> Parents {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    parse(&mounts, &own)
}

/// Finds them in `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn parse(mounts: &str, own: &str) -> Parents {
    // `36 25 0:31 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory`
    let mounts = || {
        mounts.lines().filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let folder = before.split(' ').nth(4)?;
            let mut after = after.split(' ');
            Some((after.next()?, folder, after.nth(1)?))
        })
    };
    let one = |controller: &str| {
        let is_its = |list: &str| list.split(',').any(|one| one == controller);
        let (_, folder, _) =
            mounts().find(|(kind, _, options)| *kind == "cgroup" && is_its(options))?;
        // `4:memory:/path`
        let path = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let controllers = parts.nth(1)?;
            is_its(controllers).then_some(parts.next())?
        })?;
        Some(Path::new(folder).join(path.trim_start_matches('/')))
    };
    if let (Some(memory), Some(pids)) = (one("memory"), one("pids")) {
        let mut folders = vec![memory, pids];
        folders.dedup();
        return Parents {
            version: Version::One,
            folders,
        };
    }
    let two = mounts().find(|(kind, _, _)| *kind == "cgroup2");
    Parents {
        version: Version::Two,
        // At the top: a group with processes in it, as ours, has no groups with limits below it.
        folders: two
            .map(|(_, folder, _)| PathBuf::from(folder))
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "8:pids:/\n4:memory:/a/b\n0::/\n";
        let one = parse(mounts, own);
        assert_eq!(one.version, Version::One);
        assert_eq!(
            one.folders,
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids/"].map(PathBuf::from)
        );
        let two = parse(
            "32 25 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "0::/x\n",
        );
        assert_eq!(two.version, Version::Two);
        assert_eq!(two.folders, [PathBuf::from("/sys/fs/cgroup")]);
        assert!(parse("", "").folders.is_empty());
    }

    #[test]
    fn a_group_goes_with_all_that_is_in_it() {
        let Some(group) = Cgroup::new("run-test", 1 << 30, 64) else {
            return;
        };
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        for entrance in group.entrances() {
            fs::write(entrance, child.id().to_string()).unwrap();
        }
        assert!(!group.ran_out_of_memory() && !group.ran_out_of_processes());
        let folders = group.folders.clone();
        drop(group);
        assert!(child.wait().unwrap().code().is_none());
        assert!(folders.iter().all(|folder| !folder.exists()));
    }
}
