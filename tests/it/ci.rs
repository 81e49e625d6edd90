//! What `ci/` and `action.yml` hold, run for real: the shell steps of the workflows as GitHub's runner
//! runs them, the autograder of Classroom 50 and the package for Gradescope, each in a folder of its
//! own with the program that was just built, on the tiny exercise.
//!
//! Steps that are somebody else's actions (checkout, caches, artifacts) are not run.

mod classroom50;
mod github;
mod gradescope;
mod many_machines;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::skip::skip;
use crate::tiny::{content, told};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin("feedgrade")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn all_here(wanted: &[&str]) -> bool {
    for what in wanted {
        let (found, why) = match *what {
            "local" => {
                let doctor = Command::new(program())
                    .arg("--content")
                    .arg(content())
                    .arg("doctor")
                    .output()
                    .unwrap();
                let doctor = told(&doctor);
                let mut lines = doctor.lines();
                let here = lines.any(|line| line.starts_with('✓') && line.contains("Postgres"));
                (here, "this machine has no Postgres programs")
            }
            name => {
                let asked = Command::new(name).arg("--version").output();
                (
                    asked.is_ok_and(|o| o.status.success()),
                    "it is not installed",
                )
            }
        };
        if !found {
            skip(what, &why);
            return false;
        }
    }
    true
}

/// A `feedgrade` on a folder of its own that takes the exercise of these tests.
fn feedgrade_on_path(folder: &Path) -> String {
    let script = format!(
        "#!/bin/sh\nexec '{}' --content '{}' \"$@\"\n",
        program().display(),
        content().display()
    );
    fs::write(folder.join("feedgrade"), script).unwrap();
    make_executable(&folder.join("feedgrade"));
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// A file that runs the built program, which is too big to be packed again and again.
fn program_for(path: &Path) {
    fs::write(
        path,
        format!("#!/bin/sh\nexec '{}' \"$@\"\n", program().display()),
    )
    .unwrap();
    make_executable(path);
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The lines that GitHub's runner would take for commands.
fn commands(log: &str) -> Vec<&str> {
    let mut stopped: Option<String> = None;
    let mut commands = Vec::new();
    for line in log.lines() {
        match &stopped {
            Some(token) if line == token => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(token) => stopped = Some(format!("::{token}::")),
                None if line.trim_start().starts_with("::") => commands.push(line),
                None => {}
            },
        }
    }
    assert_eq!(stopped, None, "{log}");
    commands
}
