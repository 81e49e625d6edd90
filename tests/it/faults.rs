//! Faults: one thing is broken at a time while a good submission is graded. Whatever it is, the exit
//! code and the message are right, no criterion is lowered, and nothing is left behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::main_job::{random_instants, running_below};
use crate::skip::skip;
use crate::tiny::{content, postgres_is_here, specimen};

/// A run of `check`, whose scratch folder is its own.
struct Run {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    told: String,
    scratch: PathBuf,
    out: PathBuf,
    _folders: [tempfile::TempDir; 2],
}

impl Run {
    fn start(submission: &Path, more: impl FnOnce(&mut Command)) -> Self {
        Self::start_with("local", submission, more)
    }

    fn start_with(database: &str, submission: &Path, more: impl FnOnce(&mut Command)) -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [scratch, out] = folders.each_ref().map(|folder| folder.path().to_owned());
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("feedgrade"));
        command
            .args(["--content".as_ref(), content().as_os_str()])
            .args(["check", "--database", database, "--out"])
            .args([out.as_path(), submission])
            .env("FEEDGRADE_SCRATCH", &scratch)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        more(&mut command);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            told: String::new(),
            scratch,
            out,
            _folders: folders,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the line that says that a phase is over. Whether it came.
    fn is_past(&mut self, phase: &str) -> bool {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap_or(0) > 0 {
            self.told += &line;
            if line.contains(phase) {
                return true;
            }
            line.clear();
        }
        false
    }

    /// Waits for its end: the exit code, or none when it was killed.
    fn end(&mut self) -> Option<i32> {
        let _ = self.stderr.read_to_string(&mut self.told);
        self.child.wait().unwrap().code()
    }

    fn lowered(&self) -> Vec<String> {
        lowered(&self.out)
    }

    fn leaves_nothing(&self) {
        assert_nothing_left(&self.scratch, &self.told);
    }
}

impl Drop for Run {
    /// A test that failed leaves nothing behind either.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(self.pid(), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// The verdicts that cost points, if there is a report in the results folder.
fn lowered(out: &Path) -> Vec<String> {
    let Ok(report) = fs::read_to_string(out.join("report.json")) else {
        return Vec::new();
    };
    let report: Value = serde_json::from_str(&report).unwrap();
    let criteria = report["criteria"].as_array().unwrap().iter();
    criteria
        .filter(|one| one["verdict"] == "not_met" || one["verdict"] == "skipped")
        .map(|one| one["id"].to_string())
        .collect()
}

fn assert_nothing_left(scratch: &Path, told: &str) {
    assert_eq!(running_below(scratch), 0, "{told}");
    let left: Vec<_> = fs::read_dir(scratch)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().starts_with("run-"))
        .collect();
    assert!(left.is_empty(), "{left:?} {told}");
}

/// All that runs below a folder and whose command line has a word.
fn processes(below: &Path, word: &str) -> Vec<Pid> {
    let below = below.to_string_lossy().into_owned();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&below) && line.contains(word)
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect()
}

#[test]
fn a_postgres_that_is_killed_in_any_phase_is_nobodys_fault() {
    if !postgres_is_here() {
        return;
    }
    for phase in [
        "start Postgres",
        "seed",
        "ask the server",
        "stage short: the reference",
    ] {
        let mut run = Run::start(&specimen("solution"), |_| {});
        assert!(run.is_past(phase), "{}", run.told);
        std::thread::sleep(Duration::from_millis(300));
        let postmasters = processes(&run.scratch, "postgres");
        assert!(!postmasters.is_empty());
        for pid in postmasters {
            // One that ended meanwhile is as dead.
            let _ = kill_process(pid, Signal::KILL);
        }
        assert_eq!(run.end(), Some(3), "{phase}: {}", run.told);
        assert!(run.lowered().is_empty(), "{:?}", run.lowered());
        assert!(run.told.contains("database"), "{phase}: {}", run.told);
        run.leaves_nothing();
    }
}

/// All containers of runs whose scratch folders are below a folder, removed whatever they do.
#[cfg(feature = "docker")]
async fn remove_containers(scratch: &Path) -> usize {
    use testcontainers::bollard::query_parameters::{
        ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    };
    let docker = testcontainers::core::client::docker_client_instance()
        .await
        .unwrap();
    let mut removed = 0;
    for run in fs::read_dir(scratch).unwrap().flatten() {
        let label = format!("feedgrade.session={}", run.file_name().to_string_lossy());
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters);
        for container in docker.list_containers(Some(options.build())).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
            let id = container.id.unwrap();
            docker
                .remove_container(&id, Some(options.build()))
                .await
                .unwrap();
            removed += 1;
        }
    }
    removed
}

#[cfg(feature = "docker")]
#[tokio::test]
async fn a_container_that_is_removed_under_load_is_nobodys_fault() {
    let mut run = Run::start_with("container", &specimen("solution"), |_| {});
    if !run.is_past("stage short: the reference") {
        return skip("container", &run.told);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(remove_containers(&run.scratch).await > 0);
    assert_eq!(run.end(), Some(3), "{}", run.told);
    assert!(run.lowered().is_empty(), "{:?}", run.lowered());
    assert!(run.told.contains("database"), "{}", run.told);
    run.leaves_nothing();
    assert_eq!(remove_containers(&run.scratch).await, 0);
}

#[test]
fn an_interrupt_or_a_termination_at_any_instant_ends_with_130_and_leaves_nothing() {
    if !postgres_is_here() {
        return;
    }
    let begun = Instant::now();
    let mut whole = Run::start(&specimen("solution"), |_| {});
    assert_eq!(whole.end(), Some(0), "{}", whole.told);
    let instants = begun.elapsed() / 12;
    let mut interrupted = 0;
    for (number, signal) in (0..10).zip([Signal::INT, Signal::TERM].into_iter().cycle()) {
        let mut run = Run::start(&specimen("solution"), |_| {});
        std::thread::sleep(Duration::from_millis(20) + instants * number);
        let was_running = run.child.try_wait().unwrap().is_none();
        let _ = kill_process(run.pid(), signal);
        let code = run.end();
        // Before it listens for signals it does with them what its parent does: ends, or ignores them.
        assert!(
            !was_running || code == Some(130) || number == 0 && code.is_none_or(|code| code == 0),
            "{number} {code:?} {}",
            run.told
        );
        interrupted += u32::from(code == Some(130));
        assert!(run.lowered().is_empty());
        run.leaves_nothing();
    }
    assert!(interrupted > 4, "{interrupted}");
}

#[test]
fn after_a_kill_at_any_instant_the_next_run_cleans_up_and_grades() {
    if !postgres_is_here() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let stranger = Command::new("sleep").arg("1000").spawn();
    for instant in random_instants(Duration::from_secs(7)) {
        let mut run = Run::start(&specimen("solution"), |command| {
            command.env("FEEDGRADE_SCRATCH", scratch.path());
        });
        std::thread::sleep(instant);
        let _ = kill_process(run.pid(), Signal::KILL);
        let _ = run.child.wait();
        assert!(run.lowered().is_empty());
    }
    // A folder without a lock looks, for some seconds, like one that is just being made.
    std::thread::sleep(Duration::from_secs(11));
    let mut last = Run::start(&specimen("solution"), |command| {
        command.env("FEEDGRADE_SCRATCH", scratch.path());
    });
    assert_eq!(last.end(), Some(0), "{}", last.told);
    assert!(last.lowered().is_empty());
    last.scratch = scratch.path().to_owned();
    let asked = Instant::now();
    while running_below(scratch.path()) > 0 && asked.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
    last.leaves_nothing();
    // Only what is its own.
    let mut stranger = stranger.unwrap();
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// A file system of a few MiB, gone at its end. `None` where this user may not mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn new(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "small"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_nobodys_fault_whenever_it_is_full() {
    if !postgres_is_here() {
        return;
    }
    for mib in [1, 8, 40, 64] {
        let Some(small) = Small::new(mib) else {
            return skip("mount", &"this user may not mount a small file system");
        };
        let mut run = Run::start(&specimen("solution"), |command| {
            command.env("FEEDGRADE_SCRATCH", small.0.path());
        });
        run.scratch = small.0.path().to_owned();
        assert_eq!(run.end(), Some(3), "{mib} MiB: {}", run.told);
        assert!(run.lowered().is_empty(), "{:?}", run.lowered());
        let says = [
            "full",
            "No space left",
            "could not write",
            "could not extend",
        ];
        assert!(
            says.iter().any(|word| run.told.contains(word)),
            "{mib} MiB: {}",
            run.told
        );
        run.leaves_nothing();
    }
}

#[test]
fn a_full_disk_for_the_results_is_an_error_and_no_grade() {
    let Some(small) = Small::new(1) else {
        return skip("mount", &"this user may not mount a small file system");
    };
    fs::write(small.0.path().join("filler"), vec![0; 1 << 20]).unwrap_or_default();
    let mut run = Run::start(&specimen("does-not-compile"), |command| {
        command.args([
            "--write".to_owned(),
            format!("json={}", small.0.path().join("r.json").display()),
        ]);
    });
    let code = run.end();
    assert!(code == Some(3) || code == Some(2), "{code:?} {}", run.told);
    assert!(run.told.contains("r.json"), "{}", run.told);
}

#[test]
fn too_few_file_descriptors_are_nobodys_fault() {
    if !postgres_is_here() {
        return;
    }
    for most in [12, 24, 40] {
        let feedgrade = assert_cmd::cargo::cargo_bin("feedgrade");
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {most}; exec \"$@\""))
            .arg("sh")
            .arg(feedgrade)
            .args(["--content".as_ref(), content().as_os_str()])
            .args(["check", "--database", "local", "--out"])
            .arg(folders[0].path())
            .arg(specimen("solution"))
            .env("FEEDGRADE_SCRATCH", folders[1].path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // Either it is enough, or it is no grade.
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{most}: {told}"
        );
        assert!(lowered(folders[0].path()).is_empty(), "{most}: {told}");
        assert_nothing_left(folders[1].path(), &told);
    }
}

#[test]
fn dependencies_that_cannot_be_fetched_are_nobodys_fault() {
    let submission = tempfile::tempdir().unwrap();
    fs::create_dir(submission.path().join("src")).unwrap();
    fs::write(submission.path().join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(submission.path().join("feedgrade.yaml"), "exercise: tiny\n").unwrap();
    let manifest = "[package]\nname = \"far\"\nedition = \"2024\"\n[dependencies]\nitoa = \"1\"\n[workspace]\n";
    fs::write(submission.path().join("Cargo.toml"), manifest).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut run = Run::start(submission.path(), |command| {
        command
            .env("CARGO_HOME", home.path())
            .env("CARGO_NET_RETRY", "0")
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env("https_proxy", "http://127.0.0.1:1");
    });
    assert_eq!(run.end(), Some(3), "{}", run.told);
    assert!(
        run.told.contains("fetch the submission's dependencies"),
        "{}",
        run.told
    );
    assert!(run.lowered().is_empty());
    run.leaves_nothing();
}
