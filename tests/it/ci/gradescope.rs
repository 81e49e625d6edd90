//! Gradescope's package.

use std::fs;
use std::process::Command;

use super::{all_here, json, make_executable, program_for, root};
use crate::tiny::{content, copy, specimen, told};

#[test]
fn gradescope_builds_its_image_and_gets_results_of_every_submission() {
    if !all_here(&["local", "bash", "python3"]) {
        return;
    }
    let machine = tempfile::tempdir().unwrap();
    let base = machine.path().join("autograder");
    let zip = machine.path().join("autograder.zip");
    program_for(&machine.path().join("feedgrade"));
    let packed = Command::new("bash")
        .arg(root().join("ci/gradescope/pack.sh"))
        .arg(&zip)
        .arg("--program")
        .arg(machine.path().join("feedgrade"))
        .arg("--content")
        .arg(content())
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", told(&packed));
    let source = base.join("source");
    let unpacked = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&zip, &source])
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{}", told(&unpacked));
    let run = |script: &str| {
        Command::new("bash")
            .arg(source.join(script))
            .env("FEEDGRADE_ROOT", machine.path())
            .env("FEEDGRADE_ACCOUNT", "")
            .env("AUTOGRADER_ROOT", &base)
            .output()
            .unwrap()
    };
    // Unpacking with Python's own program loses what may be executed.
    make_executable(&source.join("feedgrade"));
    let set_up = run("setup.sh");
    assert!(set_up.status.success(), "{}", told(&set_up));

    let results = base.join("results/results.json");
    for (name, folder, score) in [
        ("solution", "", Some(100)),
        ("does-not-compile", "my app", Some(0)),
        ("a link", "", None),
        ("", "", None),
    ] {
        let submission = base.join("submission");
        let _ = fs::remove_dir_all(&submission);
        fs::create_dir_all(&submission).unwrap();
        if name == "a link" {
            std::os::unix::fs::symlink(specimen("solution"), submission.join("mine")).unwrap();
        } else if name.is_empty() {
            fs::write(submission.join("notes \"x\".txt"), "no Cargo.toml").unwrap();
        } else {
            copy(&specimen(name), &submission.join(folder));
        }
        let graded = run("run_autograder");
        assert!(graded.status.success(), "{}", told(&graded));
        let results = json(&results);
        let scores = results["tests"].as_array().map(|tests| {
            tests
                .iter()
                .map(|test| test["score"].as_i64().unwrap())
                .sum::<i64>()
        });
        assert_eq!(scores, score, "{results}");
        if score.is_none() {
            let output = results["output"].as_str().unwrap();
            assert!(
                output.starts_with("NOT GRADED. This is no zero."),
                "{output}"
            );
            assert!(
                output.contains("Cargo.toml") && results["score"].is_null(),
                "{output}"
            );
        }
    }
}
