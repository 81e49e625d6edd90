//! Scratch folders: everything that a run writes beside its results, in one place that goes with it.
//!
//! A run holds a lock on its folder for as long as it lives. The kernel lets go of the lock however
//! the run ends, so a folder that can be locked belongs to nobody any more, and [`sweep`] ends what
//! that run had started and removes it.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The scratch folder of one run. Removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Held, never read: its lock says that this run is alive.
    #[cfg_attr(not(test), expect(dead_code, reason = "a guard"))]
    lock: File,
}

const LOCK: &str = "lock";

/// The variable that holds the run's [`Scratch::session`] in the environment of all that it starts,
/// whatever that starts in turn. A list of ids would lack what is started at the very moment of a
/// kill; until a program has its environment, it holds a copy of the lock.
pub const MARK: &str = "FEEDGRADE_RUN";

impl Scratch {
    /// A new empty folder below [`base`].
    ///
    /// # Errors
    /// When the folder cannot be made, or is not this user's own.
    pub fn new() -> Result<Self> {
        let base = base()?;
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&base)
            .with_context(|| format!("make a scratch folder in {}", base.display()))?;
        // Locked before it has its name: whoever sweeps must not find it open.
        let unnamed = folder.path().join("lock-to-be");
        let lock = File::create(&unnamed).context("lock the scratch folder")?;
        lock.try_lock().context("lock the scratch folder")?;
        fs::rename(unnamed, folder.path().join(LOCK)).context("lock the scratch folder")?;
        let path = folder.keep();
        Ok(Self { path, lock })
    }

    /// Its path, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name that no other run on this machine has, e.g. for labels: the folder's own.
    #[must_use]
    pub fn session(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// When it cannot be made, e.g. because the disk is full.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Makes a folder in it that was not there, with a name that begins so.
    ///
    /// # Errors
    /// As above.
    pub fn new_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&self.path)
            .with_context(|| format!("make a folder in {}", self.path.display()))?;
        Ok(folder.keep())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The folder that holds all scratch folders of this user: `FEEDGRADE_SCRATCH`, else one in the
/// system's folder for temporary files.
///
/// # Errors
/// When it cannot be made, or belongs to somebody else.
pub fn base() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let base = match std::env::var_os("FEEDGRADE_SCRATCH") {
        Some(path) => std::path::absolute(path).context("read FEEDGRADE_SCRATCH")?,
        None => std::env::temp_dir().join(format!("feedgrade-{uid}")),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&base)
        .with_context(|| format!("make the scratch folder {}", base.display()))?;
    let metadata = fs::symlink_metadata(&base)?;
    ensure!(
        metadata.is_dir() && metadata.uid() == uid,
        "the scratch folder {} is not yours: set FEEDGRADE_SCRATCH to a folder of your own",
        base.display()
    );
    Ok(base)
}

/// Waits for its turn to put load on this machine: two loads at once would measure each other. The
/// turn lasts until the returned file is dropped.
///
/// # Errors
/// When the lock file cannot be made.
pub async fn turn() -> Result<File> {
    let path = base()?.join("load.lock");
    let turn = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    lock(&turn)
        .await
        .with_context(|| format!("lock {}", path.display()))?;
    Ok(turn)
}

/// Locks a file, and can be broken off while it waits for somebody else.
///
/// # Errors
/// When the file cannot be locked at all.
pub async fn lock(file: &File) -> std::io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether a run of that session name is alive on this machine.
#[must_use]
pub fn is_alive(session: &str) -> bool {
    let Ok(base) = base() else { return true };
    File::open(base.join(session).join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Removes what killed runs left behind, and ends their processes with `end`, which gets the id of
/// each. Returns the sessions that were removed.
///
/// # Errors
/// When the folder of scratch folders cannot be read.
pub fn sweep(end: impl Fn(u32)) -> Result<Vec<String>> {
    let base = base()?;
    let mut swept = Vec::new();
    for entry in fs::read_dir(&base).with_context(|| format!("read {}", base.display()))? {
        let entry = entry?;
        let session = entry.file_name().to_string_lossy().into_owned();
        if !session.starts_with("run-") || !entry.file_type()?.is_dir() || is_young(&entry) {
            continue;
        }
        if is_alive(&session) {
            continue;
        }
        end_marked(&base, &session, &end);
        remove(&entry.path());
        swept.push(session);
    }
    Ok(swept)
}

/// Ends all that carries a run's mark, and what that starts meanwhile.
fn end_marked(base: &Path, session: &str, end: impl Fn(u32)) {
    for _ in 0..20 {
        let marked = marked(base, session);
        if marked.is_empty() {
            return;
        }
        marked.into_iter().for_each(&end);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The processes that carry a run's mark, but for this one. None where there is no `/proc`.
fn marked(base: &Path, session: &str) -> Vec<u32> {
    let mark = format!("{MARK}={session}");
    let folder = base.join(session);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let process = PathBuf::from(format!("/proc/{pid}"));
            match fs::read(process.join("environ")) {
                Ok(environment) => environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == mark.as_bytes()),
                // In a container root may not read it of a Postgres that became another user; but
                // everybody sees what its command line names.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    let line = fs::read(process.join("cmdline")).unwrap_or_default();
                    names(&line, &folder)
                }
                Err(_) => false,
            }
        })
        .collect()
}

/// Whether an argument of a command line is a path in a folder.
fn names(line: &[u8], folder: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    line.split(|byte| *byte == 0)
        .any(|argument| Path::new(std::ffi::OsStr::from_bytes(argument)).starts_with(folder))
}

/// Between making a folder and locking it lies a moment in which it looks abandoned.
fn is_young(entry: &fs::DirEntry) -> bool {
    !entry.path().join(LOCK).exists()
        && entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() < 10))
}

/// Removes a tree that strangers may have made: folders without permissions, and so deep that a
/// function which calls itself for each of them would overflow its stack.
pub fn remove(path: &Path) {
    use std::process::{Command, Stdio};
    let run = |program: &str, args: &[&str]| {
        Command::new(program)
            .args(args)
            .arg("--")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map(|status| status.success())
    };
    if !path.exists() {
        return;
    }
    match run("rm", &["-rf"]) {
        Ok(true) => {}
        Ok(false) => {
            let _ = run("chmod", &["-R", "u+rwX"]);
            let _ = run("rm", &["-rf"]);
        }
        // Where no program can be started (no file descriptors are left), no stranger's was either.
        Err(_) => {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    #[test]
    fn a_scratch_folder_goes_with_its_run_and_is_never_swept_before() {
        let scratch = Scratch::new().unwrap();
        let (path, session) = (scratch.path().to_owned(), scratch.session());
        assert!(is_alive(&session));
        sweep(|_| {}).unwrap();
        assert!(path.exists());
        drop(scratch);
        assert!(!path.exists() && !is_alive(&session));
    }

    #[test]
    fn deep_trees_and_closed_folders_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        fs::create_dir(&path).unwrap();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut inner = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            mkdirat(&inner, "d", Mode::RWXU).unwrap();
            inner = openat(&inner, "d", flags, Mode::empty()).unwrap();
        }
        rustix::fs::fchmod(&inner, Mode::empty()).unwrap();
        remove(&path);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_swept_with_its_processes() {
        use std::io::BufRead as _;
        let scratch = Scratch::new().unwrap();
        let start = |session: &str| {
            std::process::Command::new("sh")
                .args(["-c", "sleep 1000 & echo $!; exec setsid sleep 1000"])
                .env(MARK, session)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut started = start(&scratch.session());
        let mut others = start("run-another");
        let mut line = String::new();
        let mut told = std::io::BufReader::new(started.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        let descendant: u32 = line.trim().parse().unwrap();
        let path = scratch.path().to_owned();
        // A killed run: the lock is gone, the folder is not.
        scratch.lock.unlock().unwrap();
        let kill = |pid: u32| {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        };
        sweep(kill).unwrap();
        assert!(!path.exists());
        assert!(started.wait().unwrap().code().is_none());
        let base = base().unwrap();
        assert!(!marked(&base, &scratch.session()).contains(&descendant));
        // Only what is its own.
        assert!(others.try_wait().unwrap().is_none());
        end_marked(&base, "run-another", kill);
        others.wait().unwrap();
        assert!(marked(&base, "run-another").is_empty());
    }

    #[test]
    fn a_command_line_tells_whose_folder_a_process_works_in() {
        let line = b"postgres\0-D\0/tmp/feedgrade-0/run-1/postgres-2/data\0-c\0x\0";
        assert!(names(line, Path::new("/tmp/feedgrade-0/run-1")));
        assert!(!names(line, Path::new("/tmp/feedgrade-0/run")));
        assert!(!names(b"", Path::new("/tmp/feedgrade-0/run-1")));
    }
}
