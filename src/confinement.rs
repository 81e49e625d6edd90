//! Confinement: what a stranger's program may touch, and how much it may use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exercise::{BuildSpec, ServerSpec};

/// What a program may touch, and how much it may use. Nothing that is not named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Files and folders that it may read and execute; those that are not there do no harm.
    pub read: Vec<PathBuf>,
    /// Folders in which it may do as it likes.
    pub write: Vec<PathBuf>,
    /// TCP ports on which it may listen. With no port at all it has no network.
    pub listen: Vec<u16>,
    /// TCP ports to which it may connect, on any host: the kernel knows no rule with an address.
    pub connect: Vec<u16>,
    /// Whether it may change modes and times of files. A compiler must, and the kernel knows no rule
    /// that says of which.
    pub changes_modes: bool,
    /// How much it may use.
    pub limits: Limits,
}

/// How much a program may use, with all that it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
    /// What is in its folders, in bytes. A single file may be as large.
    pub disk: u64,
    /// CPU time of one process, in seconds.
    pub cpu: u64,
}

/// The files of a system that any program may need.
const SYSTEM: [&str; 33] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/pki",
    "/etc/crypto-policies",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/passwd",
    "/etc/group",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/version",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

/// What a compiler and a linker need besides.
const TOOLS: [&str; 8] = [
    "/bin",
    "/usr/bin",
    "/usr/libexec",
    "/usr/include",
    "/usr/local/bin",
    "/usr/local/include",
    "/usr/share",
    "/etc/alternatives",
];

impl Confinement {
    /// For a server: it reads its own files, writes its scratch folder, listens on its port and
    /// connects to its database.
    #[must_use]
    pub fn of_server(
        spec: &ServerSpec,
        own: &[&Path],
        scratch: &Path,
        port: u16,
        database: u16,
    ) -> Self {
        let system = SYSTEM.iter().map(Path::new);
        Self {
            read: visible(system.chain(own.iter().copied())),
            write: vec![scratch.to_owned()],
            listen: vec![port],
            connect: vec![database],
            changes_modes: false,
            limits: Limits {
                memory: spec.memory_mib << 20,
                processes: spec.processes,
                disk: spec.disk_mib << 20,
                // A server that outlives this has outlived every stage.
                cpu: 3_600,
            },
        }
    }

    /// For a build of at most so many seconds: it reads the package and the toolchain, writes its
    /// target folder and a scratch folder, and has no network.
    #[must_use]
    pub fn of_build(spec: &BuildSpec, read: &[PathBuf], write: &[&Path], seconds: u64) -> Self {
        Self {
            read: visible(
                SYSTEM
                    .iter()
                    .chain(&TOOLS)
                    .map(Path::new)
                    .chain(read.iter().map(PathBuf::as_path)),
            ),
            write: write.iter().map(|path| path.to_path_buf()).collect(),
            listen: Vec::new(),
            connect: Vec::new(),
            changes_modes: true,
            limits: Limits {
                memory: spec.memory_mib << 20,
                processes: spec.processes,
                disk: spec.disk_mib << 20,
                // A compiler of several threads.
                cpu: seconds.saturating_mul(4),
            },
        }
    }
}

/// Files and folders, without feedgrade itself, which holds every rubric and solution: a folder that it
/// lies in is told entry by entry. What is there under two names is told once.
fn visible<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<PathBuf> {
    let hidden = std::env::current_exe()
        .and_then(std::fs::canonicalize)
        .unwrap_or_default();
    let told: BTreeSet<PathBuf> = paths
        .into_iter()
        .flat_map(|path| without(path.as_ref(), &hidden))
        .map(|path| std::fs::canonicalize(&path).unwrap_or(path))
        .collect();
    told.into_iter().collect()
}

fn without(folder: &Path, hidden: &Path) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    if !hidden.starts_with(&real) {
        return vec![folder.to_owned()];
    }
    let entries = std::fs::read_dir(&real).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path != hidden)
        .flat_map(|path| without(&path, hidden))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_feedgrade_in_it_is_told_entry_by_entry() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(root.join("bin")).unwrap();
        for name in ["a", "bin/feedgrade", "bin/cc"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let mut told = without(&root, &root.join("bin/feedgrade"));
        told.sort();
        assert_eq!(told, [root.join("a"), root.join("bin/cc")]);
        assert_eq!(without(&root, Path::new("/elsewhere")), [root]);
    }
}
