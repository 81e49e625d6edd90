//! A class in parts: a task of a Slurm array, a pod of an indexed Job.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{all_here, feedgrade_on_path, json, root, yaml};
use crate::tiny::{copy, specimen, told};

/// A folder with a class of two, and a `PATH` that has feedgrade.
fn machine_with_a_class_of_two() -> (tempfile::TempDir, String) {
    let machine = tempfile::tempdir().unwrap();
    for name in ["ann", "ben"] {
        copy(
            &specimen("does-not-compile"),
            &machine.path().join("submissions").join(name),
        );
    }
    let path = feedgrade_on_path(machine.path());
    (machine, path)
}

/// The parts of a class of two, merged.
fn merged(folder: &Path, path: &str) -> Value {
    let out = folder.join("whole");
    let merged = Command::new("feedgrade")
        .env("PATH", path)
        .args(["merge", "--exit-zero", "--out"])
        .arg(&out)
        .args([1, 2].map(|part| folder.join(format!("results/part-{part}"))))
        .output()
        .unwrap();
    assert!(merged.status.success(), "{}", told(&merged));
    json(&out.join("batch.json"))
}

#[test]
fn each_task_of_a_slurm_array_grades_its_part() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    let (machine, path) = machine_with_a_class_of_two();
    let folder = machine.path();
    for task in ["1", "2"] {
        let part = Command::new("bash")
            .arg(root().join("ci/slurm.sh"))
            .args([folder.join("submissions"), folder.join("results")])
            .env("PATH", &path)
            .env("TMPDIR", folder)
            .env("SLURM_ARRAY_TASK_ID", task)
            .env("SLURM_ARRAY_TASK_COUNT", "2")
            .output()
            .unwrap();
        assert!(part.status.success(), "{}", told(&part));
    }
    assert_eq!(merged(folder, &path)["counts"]["failed"], 2);
    let usage = Command::new("bash")
        .arg(root().join("ci/slurm.sh"))
        .output()
        .unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn each_pod_of_an_indexed_job_grades_its_part_and_their_number_is_said_alike() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    let (machine, path) = machine_with_a_class_of_two();
    let folder = machine.path();
    let job = yaml(&root().join("ci/kubernetes.yaml"));
    let pod = &job["spec"]["template"]["spec"]["containers"][0];
    let count = pod["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["name"] == "COMPLETIONS");
    let count = count.unwrap()["value"].as_str().unwrap();
    assert_eq!(job["spec"]["completions"].to_string(), count);
    assert_eq!(pod["command"], serde_json::json!(["bash", "-euc"]));
    // The volume is mounted at the root of the pod.
    let script = pod["args"][0].as_str().unwrap();
    let script = script.replace("/class", folder.to_str().unwrap());
    for index in ["0", "1"] {
        let part = Command::new("bash")
            .args(["-euc", &script])
            .env("PATH", &path)
            .env("FEEDGRADE_SCRATCH", folder.join("scratch"))
            .env("JOB_COMPLETION_INDEX", index)
            .env("COMPLETIONS", "2")
            .output()
            .unwrap();
        assert!(part.status.success(), "{}", told(&part));
    }
    assert_eq!(merged(folder, &path)["counts"]["failed"], 2);
    if all_here(&["kubernetes-validate"]) {
        let checked = Command::new("kubernetes-validate")
            .arg("--strict")
            .arg(root().join("ci/kubernetes.yaml"))
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", told(&checked));
    }
}
