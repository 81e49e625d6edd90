//! The main job from the command line: grade, report, grade again from what was saved.
//!
//! Uses the tiny exercise of the fixtures, whose servers need no dependencies.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::tiny::{content, feedgrade, postgres_is_here, specimen};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// As many instants as `FEEDGRADE_TEST_KILLS` says, 8 without it, at random and before `end`.
pub(crate) fn random_instants(end: Duration) -> impl Iterator<Item = Duration> {
    let kills = std::env::var("FEEDGRADE_TEST_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let mut seed = u64::from(std::process::id());
    std::iter::repeat_with(move || {
        // Knuth's linear congruential generator.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Duration::from_millis((seed >> 33) % u64::try_from(end.as_millis()).unwrap())
    })
    .take(kills)
}

fn check(submission: &Path, out: &Path, more: &[&str]) -> Output {
    feedgrade()
        .args(["check", "--database", "local", "--out"])
        .arg(out)
        .arg(submission)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn the_solution_passes_and_grading_its_evidence_again_gives_the_same_bytes() {
    if !postgres_is_here() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let junit = out.path().join("junit.xml");
    let more = format!("junit={}", junit.display());
    let output = check(
        &specimen("solution"),
        out.path(),
        &["--write", "json=-", "--write", &more],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["outcome"], &report["points"]),
        (&"passed".into(), &100.into())
    );
    assert_eq!(report["environment"]["database"], "local");
    // The exercise wants one processor for server and database; the load generator gets the others.
    let footing = &report["environment"]["footing"];
    if report["environment"]["cores"].as_u64() > Some(1) {
        assert_eq!(footing["server"], footing["database"]);
        let (server, generator) = (&footing["server"], footing["generator"].as_str().unwrap());
        assert!(!generator.is_empty() && *server != generator, "{footing}");
    }
    let stage = &report["stages"][1];
    assert_eq!(
        (&stage["ended"], &stage["attempts"]),
        (&"sure".into(), &1.into())
    );
    assert!(text(&std::fs::read(junit).unwrap()).contains("<testsuite"));
    let schema: serde_json::Value = serde_json::from_slice(
        &feedgrade()
            .args(["exercise", "schema", "report"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    assert!(jsonschema::is_valid(&schema, &report));

    let saved =
        ["report.json", "report.html"].map(|name| std::fs::read(out.path().join(name)).unwrap());
    assert_eq!(saved[0], output.stdout);
    let again = feedgrade().arg("regrade").arg(out.path()).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let anew =
        ["report.json", "report.html"].map(|name| std::fs::read(out.path().join(name)).unwrap());
    assert!(saved == anew, "the same evidence gave another report");
}

#[test]
fn below_the_pass_mark_the_code_is_1_and_what_the_options_say() {
    let out = tempfile::tempdir().unwrap();
    let broken = specimen("does-not-compile");
    let output = check(&broken, out.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("mismatched types"),
        "{}",
        text(&output.stdout)
    );
    for more in [["--exit-zero", ""], ["--fail-under", "0"]] {
        let more: Vec<&str> = more.into_iter().filter(|word| !word.is_empty()).collect();
        let again = feedgrade()
            .arg("regrade")
            .arg(out.path())
            .args(&more)
            .output()
            .unwrap();
        // A must is missing, so no pass mark is low enough.
        let wanted = i32::from(more[0] == "--fail-under");
        assert_eq!(again.status.code(), Some(wanted), "{more:?}");
    }
}

#[test]
fn nothing_is_written_into_the_submission() {
    let submission = specimen("does-not-compile");
    let list = || {
        let mut names: Vec<_> = std::fs::read_dir(&submission)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = list();
    let out = tempfile::tempdir().unwrap();
    check(&submission, out.path(), &[]);
    assert_eq!(list(), before);
    let inside = check(&submission, &submission.join("results"), &[]);
    assert_eq!(inside.status.code(), Some(2));
    assert!(
        text(&inside.stderr).contains("choose another --out"),
        "{}",
        text(&inside.stderr)
    );
    assert_eq!(list(), before);
}

#[test]
fn every_fault_of_a_tiny_server_gets_exactly_its_verdicts() {
    if !postgres_is_here() {
        return;
    }
    let output = feedgrade()
        .args(["exercise", "check", "--database", "local"])
        .output()
        .unwrap();
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("All 12 got exactly what they must get."),
        "{told}"
    );
}

#[test]
fn an_interrupt_ends_a_run_with_130_and_leaves_nothing_running() {
    if !postgres_is_here() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let binary = assert_cmd::cargo::cargo_bin("feedgrade");
    let mut child = std::process::Command::new(binary)
        .args([
            "--content".as_ref(),
            content().as_os_str(),
            "check".as_ref(),
        ])
        .args(["--database", "local", "--out"])
        .arg(out.path())
        .arg(specimen("never-listens"))
        .env("FEEDGRADE_SCRATCH", scratch.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The server is there: builds and Postgres were before it.
    let started = Instant::now();
    while started.elapsed() < Duration::from_mins(1) && running_below(scratch.path()) < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(running_below(scratch.path()) >= 2);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(running_below(scratch.path()), 0);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

/// Processes whose program or arguments lie below a folder.
pub(crate) fn running_below(folder: &Path) -> usize {
    let folder = folder.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|b| b.is_ascii_digit())
        })
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&folder))
        .count()
}
