//! Child processes: each in a group of its own, with a clean environment, capped output and a
//! deadline, and ended with all its descendants.
//!
//! Every program that feedgrade starts is started here. What a program means by its output is for
//! the caller.

mod tree;
mod output;
mod guard;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tokio::process::Child;

use crate::cgroup::Cgroup;
use crate::confinement::Confinement;
use crate::launcher::{LAUNCHER, Launch};
use crate::scratch::{MARK, Scratch};
pub use guard::Excess;
use guard::Guard;
use output::{Output, read};
pub use tree::{adopt_orphans, kill_tree, signal_tree, tree};
use tree::{as_pid, kill_strays, ours};

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
    /// holds only `PATH`, `LANG=C.UTF-8` and the run's [`MARK`].
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
            .env(MARK, scratch.session())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Started and noted in one step: whoever looks for strays in between must not find it.
        let mut ours = ours();
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
        ours().remove(&self.pid);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::output::KEPT;
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
        assert_eq!(names, [MARK, "LANG", "PATH", "PORT"]);
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
