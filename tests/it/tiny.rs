//! The tiny exercise of the fixtures: its servers need no dependencies, and its stages are short.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

use crate::skip::skip;

/// The folder with the exercise, its rubric and its specimens.
pub(crate) fn content() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/content")
}

pub(crate) fn specimen(name: &str) -> PathBuf {
    content().join("reference/tiny").join(name)
}

/// feedgrade with this exercise and no other.
pub(crate) fn feedgrade() -> Command {
    let mut command = Command::cargo_bin("feedgrade").unwrap();
    command
        .arg("--content")
        .arg(content())
        .env_remove("NO_COLOR");
    command
}

/// All that a command said.
pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether `feedgrade doctor` has a line of something that is here; says by `name` that a test is
/// skipped when it has not.
pub(crate) fn is_here(line: &str, name: &str) -> bool {
    let doctor = told(&feedgrade().arg("doctor").output().unwrap());
    let is_here = doctor
        .lines()
        .any(|told| told.starts_with('✓') && told.contains(line));
    if !is_here {
        skip(name, &format_args!("feedgrade doctor finds no {line} here"));
    }
    is_here
}

/// Whether this machine has Postgres' programs; says so when it has not.
pub(crate) fn postgres_is_here() -> bool {
    is_here("Postgres", "local")
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
