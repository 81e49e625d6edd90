//! Bad input: one clear sentence and the way out, the right exit code, and nothing lost.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn feedgrade(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::cargo_bin("feedgrade")
        .unwrap()
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn usage_error(args: &[&str], says: &str) {
    let (code, stderr) = feedgrade(args);
    assert_eq!(code, Some(2), "{args:?}: {stderr}");
    assert!(stderr.contains(says), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("backtrace"),
        "{stderr}"
    );
}

fn submission() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"x\"\n",
    )
    .unwrap();
    folder
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn a_path_that_is_no_submission() {
    usage_error(
        &["check", "/no/such/folder"],
        "there is no folder /no/such/folder",
    );
    usage_error(&["check", "/etc/hostname"], "is no folder");
    let empty = tempfile::tempdir().unwrap();
    usage_error(
        &["check", path(empty.path())],
        "no Cargo.toml: start with `feedgrade new DIR`",
    );
}

#[test]
fn an_exercise_that_is_not_there() {
    let folder = submission();
    usage_error(
        &["check", path(folder.path()), "--exercise", "nope"],
        "there is connection-pools",
    );
    fs::write(folder.path().join("feedgrade.yaml"), "exercise: other\n").unwrap();
    usage_error(
        &["check", path(folder.path())],
        "there is no exercise \"other\"",
    );
    fs::write(folder.path().join("feedgrade.yaml"), "excercise: other\n").unwrap();
    usage_error(&["check", path(folder.path())], "feedgrade.yaml:1:1");
    usage_error(&["new", "x", "--exercise", "nope"], "there is no exercise");
}

#[test]
fn options_that_mean_nothing() {
    let folder = submission();
    let submission = path(folder.path());
    usage_error(
        &["check", submission, "--database", "mysql"],
        "none of auto, container, local",
    );
    usage_error(
        &["check", submission, "--write", "pdf=x"],
        "there is no format `pdf`",
    );
    usage_error(
        &[
            "check",
            submission,
            "--write",
            "json=/no/such/folder/x.json",
        ],
        "make its folder first",
    );
    usage_error(
        &[
            "check", submission, "--write", "json=-", "--write", "html=-",
        ],
        "only one output fits",
    );
    usage_error(
        &["check", submission, "--out", "/proc/nope"],
        "make the results folder",
    );
    usage_error(&["chekc"], "unrecognized subcommand");
}

#[test]
fn evidence_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    usage_error(
        &["regrade", path(folder.path())],
        "name a results folder or an evidence.json",
    );
    let file = folder.path().join("evidence.json");
    fs::write(&file, "{\"version\": 99}").unwrap();
    usage_error(&["regrade", path(&file)], "this program reads version 2");
    fs::write(&file, "{\"version\": 2}").unwrap();
    usage_error(&["regrade", path(&file)], "is no evidence");
    fs::write(&file, "nonsense").unwrap();
    usage_error(&["regrade", path(&file)], "is no evidence");
}

#[test]
fn a_folder_that_new_would_overwrite() {
    let folder = submission();
    usage_error(&["new", path(folder.path())], "is there already");
    let untouched = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(untouched, 1);
}

#[test]
fn an_exercise_or_rubric_that_its_author_broke_is_told_with_file_line_and_caret() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/content");
    let cases = [
        (
            "exercises/tiny/exercise.yaml",
            "slug: tiny",
            "slug: [tiny",
            "exercise.yaml:",
        ),
        (
            "exercises/tiny/exercise.yaml",
            "minutes: 1",
            "minuets: 1",
            "exercise.yaml:6:1",
        ),
        (
            "exercises/tiny/exercise.yaml",
            "seconds: 5,",
            "seconds: 31,",
            "at most 30",
        ),
        (
            "exercises/tiny/exercise.yaml",
            "kept_rows: [numbers]",
            "kept_rows: [nmbers]",
            "no kept_rows `nmbers`",
        ),
        (
            "rubrics/tiny.yaml",
            "points: 30",
            "points: 29",
            "add up to 98, not to 100",
        ),
        (
            "rubrics/tiny.yaml",
            "stage: short",
            "stage: shrot",
            "no stage `shrot`: the exercise has short",
        ),
        (
            "rubrics/tiny.yaml",
            "probe: one",
            "probe: two",
            "no probe `two`",
        ),
        (
            "rubrics/tiny.yaml",
            "leans_on: [build]",
            "leans_on: [bulid]",
            "no criterion `bulid`",
        ),
        (
            "rubrics/tiny.yaml",
            "check: {build: {}}",
            "check: {build: {x: 1}}",
            "rubrics/tiny.yaml:6",
        ),
        (
            "rubrics/tiny.yaml",
            "check: {build: {}}",
            "check: {answer: {question: q9}}",
            "no question `q9`",
        ),
    ];
    for (file, was, becomes, says) in cases {
        let content = tempfile::tempdir().unwrap();
        for name in ["exercises/tiny/exercise.yaml", "rubrics/tiny.yaml"] {
            let to = content.path().join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let text = fs::read_to_string(fixtures.join(name)).unwrap();
            let text = if name == file {
                text.replace(was, becomes)
            } else {
                text
            };
            assert!(name != file || text.contains(becomes), "{was}");
            fs::write(&to, text).unwrap();
        }
        let args = ["--content", path(content.path()), "exercise", "list"];
        usage_error(&args, says);
        let (_, stderr) = feedgrade(&args);
        assert!(stderr.trim_end().ends_with('^'), "{stderr}");
    }
}

#[test]
fn a_machine_that_cannot_build_gives_no_grade() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/content");
    let solution = fixtures.join("reference/tiny/solution");
    let tools = tempfile::tempdir().unwrap();
    let sysroot = std::process::Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    // A toolchain without the linker that it needs.
    for tool in ["cargo", "rustc"] {
        let program = Path::new(sysroot.trim()).join("bin").join(tool);
        std::os::unix::fs::symlink(program, tools.path().join(tool)).unwrap();
    }
    std::os::unix::fs::symlink("/bin/cp", tools.path().join("cp")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = Command::cargo_bin("feedgrade")
        .unwrap()
        .args([
            "--content",
            path(&fixtures),
            "check",
            path(&solution),
            "--out",
            path(out.path()),
        ])
        .env("PATH", tools.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("cannot build an empty program"), "{stderr}");
    assert!(!out.path().join("report.json").exists());
}
