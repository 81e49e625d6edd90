//! Classroom 50's autograder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{all_here, commands, json, program_for, read, root};
use crate::tiny::{content, copy, specimen, told};

/// The bundle of Classroom 50, run in a checkout.
fn classroom50(checkout: &Path, variables: &[(&str, &str)]) -> Output {
    let bundle = tempfile::tempdir().unwrap();
    fs::copy(
        root().join("ci/classroom50/autograder.py"),
        bundle.path().join("autograder.py"),
    )
    .unwrap();
    copy(&content(), &bundle.path().join("content"));
    program_for(&bundle.path().join("feedgrade"));
    Command::new("python3")
        .arg(bundle.path().join("autograder.py"))
        .current_dir(checkout)
        .env("CLASSROOM50_BUNDLE_DIR", bundle.path())
        .env("FEEDGRADE_DATABASE", "local")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

const VARIABLES: [(&str, &str); 6] = [
    ("CLASSROOM", "backend"),
    ("ASSIGNMENT", "tiny"),
    ("SUBMISSION_TAG", "submit/2026-11-27T12-00-00Z-abcdef0"),
    ("COMMIT_URL", "https://example.org/c"),
    ("RELEASE_URL", "https://example.org/r"),
    ("USERNAME", "ann"),
];

#[test]
fn classroom_50_gets_a_result_and_an_exit_code_of_0_whatever_the_grade() {
    if !all_here(&["local", "python3"]) {
        return;
    }
    for (name, score) in [("solution", 100), ("does-not-compile", 0)] {
        let checkout = tempfile::tempdir().unwrap();
        let app = checkout.path().join("app");
        copy(&specimen(name), &app);
        // What a learner may have committed in the place of the result.
        let precious = checkout.path().join("precious");
        fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, app.join("result.json")).unwrap();
        fs::create_dir(app.join("release-body.md")).unwrap();
        let output = classroom50(&app, &VARIABLES);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert_eq!(read(&precious), "mine");
        let result = json(&app.join("result.json"));
        assert_eq!(result["schema"], "classroom50/result/v1");
        assert_eq!(
            (&result["score"], &result["owner"]),
            (&score.into(), &"ann".into())
        );
        assert!(app.join("release-body.md").is_file());
        assert!(read(&app.join("feedgrade-report.html")).starts_with("<!doctype html>"));
        assert!(commands(&told(&output)).is_empty());
    }
}

#[test]
fn classroom_50_gets_no_result_when_nothing_was_graded() {
    if !all_here(&["local", "python3"]) {
        return;
    }
    let checkout = tempfile::tempdir().unwrap();
    copy(&specimen("solution"), checkout.path());
    let output = classroom50(checkout.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("this is no zero"));
    assert!(!checkout.path().join("result.json").exists());
}
