//! Child processes: each in a group of its own, with a clean environment, capped output and a
//! deadline, and ended with all its descendants.
//!
//! Every program that feedgrade starts is started here. What a program means by its output is for
//! the caller.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use crate::cgroup::Cgroup;
use crate::confinement::{Confinement, LAUNCHER, Launch, Limits};
use crate::scratch::Scratch;

/// What to start.
#[derive(Debug, Clone)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    cwd: PathBuf,
    env: Vec<(OsString, OsString)>,
    cores: Vec<usize>,
    confinement: Option<Confinement>,
}

impl Command {
    /// A program, found on this process's `PATH` when it is a bare name, with an environment that
    /// holds only `PATH`, and `LANG=C.UTF-8`.
    pub fn new(program: impl AsRef<OsStr>, cwd: &Path) -> Self {
        let command = Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            cwd: cwd.to_owned(),
            env: Vec::new(),
            cores: Vec::new(),
            confinement: None,
        };
        command.inherit("PATH").env("LANG", "C.UTF-8")
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Passes on a variable of this process, if it is set.
    #[must_use]
    pub fn inherit(self, name: &str) -> Self {
        match std::env::var_os(name) {
            Some(value) => self.env(name, value),
            None => self,
        }
    }

    /// Holds it and all its descendants to some processors, where the system can; to none in
    /// particular when there are none here.
    #[must_use]
    pub fn cores(mut self, cores: &[usize]) -> Self {
        self.cores = cores.to_vec();
        self
    }

    /// Confines it and all its descendants, or does not when there is nothing to confine it to.
    #[must_use]
    pub fn confined(mut self, confinement: Option<Confinement>) -> Self {
        self.confinement = confinement;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started at all, or not be confined.
    pub fn start(&self, scratch: &Scratch) -> Result<Process> {
        let mut cgroup = None;
        let mut failure = None;
        let mut command = match &self.confinement {
            None => {
                let mut command = tokio::process::Command::new(&self.program);
                command
                    .args(&self.args)
                    .stdin(Stdio::null())
                    .process_group(0);
                command
            }
            Some(confinement) => {
                let limits = &confinement.limits;
                cgroup = Cgroup::new(&scratch.session(), limits.memory, limits.processes);
                let launch = Launch {
                    confinement: confinement.clone(),
                    cores: self.cores.clone(),
                    entrances: cgroup.as_ref().map_or(Vec::new(), Cgroup::entrances),
                };
                let launch = serde_json::to_string(&launch).context("say what to confine")?;
                let (reader, writer) = std::io::pipe().context("make a pipe")?;
                failure = Some(reader);
                // Not by its path: that program may have been replaced since this one started.
                let mut command = tokio::process::Command::new("/proc/self/exe");
                command
                    .args([LAUNCHER.as_ref(), launch.as_ref(), self.program.as_os_str()])
                    .args(&self.args)
                    .stdin(writer);
                command
            }
        };
        command
            .current_dir(&self.cwd)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Started and noted in one step: whoever looks for strays in between must not find it.
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = self
            .spawn(&mut command)
            .with_context(|| format!("start {}", Path::new(&self.program).display()))?;
        let pid = child.id().context("start a process")?;
        ours.insert(pid);
        drop(ours);
        // Its copy of the writing end must be gone, or reading would never come to an end.
        drop(command);
        let output = Output::default();
        let readers = [
            child
                .stdout
                .take()
                .map(|pipe| tokio::spawn(read(pipe, output.stdout.clone()))),
            child
                .stderr
                .take()
                .map(|pipe| tokio::spawn(read(pipe, output.stderr.clone()))),
        ];
        let process = Process {
            child,
            pid,
            output,
            readers,
            started: Instant::now(),
            guard: self
                .confinement
                .as_ref()
                .map(|confinement| Guard::start(pid, confinement, cgroup)),
        };
        scratch.remember(pid)?;
        if let Some(failure) = failure {
            launched(failure)
                .with_context(|| format!("start {}", Path::new(&self.program).display()))?;
        }
        Ok(process)
    }

    fn spawn(&self, command: &mut tokio::process::Command) -> std::io::Result<Child> {
        // The launcher holds itself; and it ends with the thread that started it.
        if self.cores.is_empty() || self.confinement.is_some() {
            return command.spawn();
        }
        // A program begins on the processors of the thread that starts it, and asks for their number
        // before anybody could change it from outside.
        let runtime = tokio::runtime::Handle::current();
        std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                let _runtime = runtime.enter();
                crate::cores::hold(&self.cores);
                command.spawn()
            });
            starter
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the starting thread panicked")))
        })
    }

    /// Starts it and waits for its end, at most until `deadline` has passed.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub async fn run(&self, scratch: &Scratch, deadline: Duration) -> Result<Finished> {
        let mut process = self.start(scratch)?;
        let exit = match tokio::time::timeout(deadline, process.wait()).await {
            Ok(exit) => exit?,
            Err(_) => Exit::TimedOut,
        };
        let seconds = process.started.elapsed().as_secs_f64();
        process.end().await;
        Ok(Finished {
            exit,
            stdout: process.output.stdout.text(),
            stderr: process.output.stderr.text(),
            seconds,
        })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended because its deadline had passed.
    TimedOut,
    /// It was ended because it had used more than it may.
    Over(Excess),
}

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

impl Exit {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(24) => write!(f, "signal 24: its CPU time was used up"),
            Self::Signal(25) => write!(f, "signal 25: it wrote a file larger than it may"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => write!(f, "its deadline"),
            Self::Over(excess) => write!(f, "the grader's kill, because it used {excess}"),
        }
    }
}

/// What is known of a process that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How.
    pub exit: Exit,
    /// What it printed, capped in the middle.
    pub stdout: String,
    /// What it printed on stderr, capped in the middle.
    pub stderr: String,
    /// Wall time.
    pub seconds: f64,
}

/// A running process. Dropping it ends it and all its descendants.
#[derive(Debug)]
pub struct Process {
    child: tokio::process::Child,
    pid: u32,
    output: Output,
    readers: [Option<tokio::task::JoinHandle<()>>; 2],
    started: Instant,
    guard: Option<Guard>,
}

impl Process {
    /// Its id, which is also that of its group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn wait(&mut self) -> Result<Exit> {
        let status = self.child.wait().await.context("wait for a process")?;
        Ok(self.why(status))
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.why(status))
    }

    fn why(&self, status: ExitStatus) -> Exit {
        let excess = self.guard.as_ref().and_then(Guard::excess);
        match excess {
            // What ends well in spite of it was not hindered by it.
            Some(excess) if !status.success() => Exit::Over(excess),
            _ => status.into(),
        }
    }

    /// Asks it to end with `signal`, and ends it the hard way when `grace` has passed.
    pub async fn stop(&mut self, signal: Signal, grace: Duration) {
        if let Some(pid) = as_pid(self.pid) {
            let _ = rustix::process::kill_process(pid, signal);
        }
        let _ = tokio::time::timeout(grace, self.child.wait()).await;
        self.end().await;
    }

    /// Ends it and all its descendants at once, and reads what they still had printed.
    pub async fn end(&mut self) {
        kill_tree(self.pid);
        if let Some(guard) = &self.guard {
            guard.kill();
        }
        let _ = self.child.wait().await;
        kill_strays();
        for reader in self.readers.iter_mut().filter_map(Option::take) {
            // A descendant that escaped may hold the pipe open; its output can wait for ever.
            let _ = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
    }

    /// Both its outputs so far, stdout first, capped in the middle.
    #[must_use]
    pub fn output(&self) -> String {
        let (mut text, errors) = (self.output.stdout.text(), self.output.stderr.text());
        if !text.is_empty() && !errors.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text + &errors
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        kill_tree(self.pid);
        if let Some(guard) = &self.guard {
            guard.kill();
        }
        // Killed, so it ends at once; waiting here means that nothing is left when a guard is gone.
        for _ in 0..200 {
            if self.child.try_wait().ok().flatten().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        OURS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.pid);
        kill_strays();
    }
}

/// Waits until the launcher has become the program, and says why when it has not.
fn launched(mut failure: std::io::PipeReader) -> Result<()> {
    use std::io::Read as _;
    let mut told = String::new();
    failure
        .read_to_string(&mut told)
        .context("hear from the launcher")?;
    if told.is_empty() {
        return Ok(());
    }
    match told
        .strip_prefix("exec ")
        .and_then(|code| code.parse().ok())
    {
        Some(code) => Err(std::io::Error::from_raw_os_error(code).into()),
        None => bail!("confine it: {told}"),
    }
}

/// Sees to it that a confined program uses no more than it may. Memory and processes are counted by
/// the kernel where there is a control group, else looked at now and then, which a program can outrun
/// for a moment; the disk is always looked at.
#[derive(Debug)]
struct Guard {
    excess: Arc<Mutex<Option<Excess>>>,
    limits: Limits,
    cgroup: Option<Arc<Cgroup>>,
    watching: tokio::task::JoinHandle<()>,
}

impl Guard {
    /// How often it looks.
    const EVERY: Duration = Duration::from_millis(200);

    fn start(pid: u32, confinement: &Confinement, cgroup: Option<Cgroup>) -> Self {
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
    fn excess(&self) -> Option<Excess> {
        let seen = *self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        seen.or_else(|| by_group(self.cgroup.as_deref(), self.limits))
    }

    fn kill(&self) {
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

/// The processes that were started here and not yet dropped.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Makes this process the parent of every orphan below it, so that a program that forks twice
/// cannot outlive its end. Only Linux knows this.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok() {
        ADOPTING.store(true, Ordering::Relaxed);
    }
}

/// Whether children that this module never started are orphans, and not somebody else's.
static ADOPTING: AtomicBool = AtomicBool::new(false);

/// Ends adopted orphans: children of this process that it never started.
fn kill_strays() {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    let me = std::process::id();
    for _ in 0..10 {
        let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
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

fn as_pid(pid: u32) -> Option<Pid> {
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

#[derive(Debug, Default)]
struct Output {
    stdout: Arc<Capped>,
    stderr: Arc<Capped>,
}

/// The first and the last bytes of a stream.
#[derive(Debug, Default)]
struct Capped(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    left_out: u64,
}

/// Bytes kept of a stream's start, and as many of its end.
const KEPT: usize = 512 * 1024;

impl Capped {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT - kept.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        kept.head.extend_from_slice(head);
        kept.tail.extend(rest);
        let over = kept.tail.len().saturating_sub(KEPT);
        kept.tail.drain(..over);
        kept.left_out += over as u64;
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = kept.head.clone();
        if kept.left_out > 0 {
            bytes.extend(format!("\n… {} bytes left out …\n", kept.left_out).bytes());
        }
        bytes.extend(&kept.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, into: Arc<Capped>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        into.push(&buffer[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        Command::new("sh", Path::new("/")).args(["-c", script])
    }

    #[tokio::test]
    async fn a_program_gets_only_the_environment_that_it_was_given() {
        let scratch = Scratch::new().unwrap();
        let finished = sh("env")
            .env("PORT", "1")
            .run(&scratch, Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        let mut names: Vec<&str> = finished
            .stdout
            .lines()
            .filter_map(|line| line.split('=').next())
            .collect();
        names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["LANG", "PATH", "PORT"]);
    }

    #[tokio::test]
    async fn a_deadline_ends_a_program_with_its_descendants() {
        let scratch = Scratch::new().unwrap();
        let finished = sh("sleep 1000 & setsid sleep 1000 & echo $!; wait")
            .run(&scratch, Duration::from_millis(300))
            .await
            .unwrap();
        assert_eq!(finished.exit, Exit::TimedOut);
        let grandchild = finished.stdout.trim();
        let state = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z"), "{state}");
    }

    #[tokio::test]
    async fn output_without_end_costs_bounded_memory() {
        let scratch = Scratch::new().unwrap();
        let finished = sh("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo last")
            .run(&scratch, Duration::from_secs(20))
            .await
            .unwrap();
        assert!(finished.stdout.starts_with("first\n") && finished.stdout.ends_with("last\n"));
        assert!(finished.stdout.len() < 2 * KEPT + 100);
        assert!(finished.stdout.contains("bytes left out"));
    }
}
