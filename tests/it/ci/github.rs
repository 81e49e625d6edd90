//! GitHub: the action and the workflows, whose shell steps run as GitHub's runner runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{
    all_here, commands, feedgrade_on_path, json, make_executable, program, read, root, yaml,
};
use crate::tiny::{content, copy, specimen, told};

/// Files of GitHub's, with the schema that each must keep.
fn github_files() -> Vec<(PathBuf, &'static str)> {
    let mut files = vec![(root().join("action.yml"), "vendor.github-actions")];
    for entry in fs::read_dir(root().join("ci/github")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|end| end == "yml") {
            files.push((entry.path(), "vendor.github-workflows"));
        }
    }
    assert!(files.len() > 2);
    files
}

/// Every step of an action or a workflow.
fn steps(file: &Value) -> Vec<Value> {
    let of = |value: &Value| value["steps"].as_array().cloned().unwrap_or_default();
    let mut steps = of(&file["runs"]);
    for job in file["jobs"].as_object().into_iter().flatten() {
        steps.extend(of(job.1));
    }
    assert!(!steps.is_empty());
    steps
}

#[test]
fn workflow_files_keep_githubs_schema() {
    if !all_here(&["check-jsonschema"]) {
        return;
    }
    for (file, schema) in github_files() {
        let checked = Command::new("check-jsonschema")
            .args(["--builtin-schema", schema])
            .arg(&file)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", told(&checked));
    }
}

/// What the linter of GitHub's workflows for security finds: `your-course/feedgrade@v1` stands for a
/// commit that a course chooses, and that is all.
#[test]
fn a_linter_for_security_finds_nothing_in_the_workflows() {
    if !all_here(&["zizmor"]) {
        return;
    }
    for (path, _) in github_files() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let text = read(&path).replace("feedgrade@v1", &format!("feedgrade@{commit}"));
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(path.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        let linted = Command::new("zizmor")
            .args(["--offline", "--no-progress"])
            .arg(&copy)
            .output()
            .unwrap();
        assert!(linted.status.success(), "{}", told(&linted));
    }
}

#[test]
fn no_script_of_a_workflow_takes_a_value_but_from_its_environment() {
    for (path, _) in github_files() {
        for step in steps(&yaml(&path)) {
            let script = step["run"].as_str().unwrap_or_default();
            assert!(!script.contains("${{"), "{}: {script}", path.display());
        }
        let text = read(&path);
        assert!(
            !text.contains("\n  pull_request_target"),
            "{}",
            path.display()
        );
        assert!(!text.contains("${{ secrets."), "{}", path.display());
    }
}

#[test]
fn a_workflow_may_read_and_keeps_no_token_beside_a_learners_code_and_names_commits() {
    for (path, schema) in github_files() {
        let file = yaml(&path);
        if schema == "vendor.github-workflows" {
            assert_eq!(file["permissions"], serde_json::json!({"contents": "read"}));
        }
        for step in steps(&file) {
            let uses = step["uses"].as_str().unwrap_or_default();
            // A tag can be moved to other code, a commit cannot. The course's own copy is its own.
            let version = uses.split_once('@').map_or("", |(_, version)| version);
            let is_commit = version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit());
            let is_own = uses.starts_with("your-course/");
            assert!(uses.is_empty() || is_own || is_commit, "{uses}");
            if uses.starts_with("actions/checkout@") {
                assert_eq!(
                    step["with"]["persist-credentials"],
                    false,
                    "{}",
                    path.display()
                );
            }
        }
    }
}

/// One job on a machine of GitHub's, as far as shell steps know it.
struct Runner {
    folder: tempfile::TempDir,
    /// `inputs.x`, `matrix.x`, `steps.id.outputs.x`.
    values: BTreeMap<String, String>,
    log: String,
}

impl Runner {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home/.cache/feedgrade-program/bin", "temp", "workspace"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for name in ["env", "path", "output", "summary"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let runner = Self {
            folder,
            values: BTreeMap::new(),
            log: String::new(),
        };
        // As the cache has it after the first run.
        let bin = runner.path("home/.cache/feedgrade-program/bin/feedgrade");
        std::os::unix::fs::symlink(program(), bin).unwrap();
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// An `${{ expression }}`, of the few kinds that these files have.
    fn value(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (name, after) = after.split_once("}}").unwrap();
            out.push_str(before);
            out.push_str(self.values.get(name.trim()).map_or("", String::as_str));
            rest = after;
        }
        out + rest
    }

    fn is_wanted(&self, step: &Value) -> bool {
        let condition = step["if"].as_str().unwrap_or("true");
        condition.split("&&").all(|part| {
            let (name, is_equal, wanted) = match (part.split_once("!="), part.split_once("==")) {
                (Some((name, wanted)), _) => (name, false, wanted),
                (_, Some((name, wanted))) => (name, true, wanted),
                _ => return true,
            };
            let value = self.values.get(name.trim()).map_or("", String::as_str);
            (value == wanted.trim().trim_matches('\'')) == is_equal
        })
    }

    /// Runs one shell step; its exit code.
    fn run(&mut self, step: &Value) -> i32 {
        for name in ["env", "output"] {
            fs::write(self.path(name), "").unwrap();
        }
        let path = read(&self.path("path"))
            .lines()
            .rev()
            .fold(String::new(), |all, line| all + line + ":")
            + &std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c"])
            .arg(step["run"].as_str().unwrap())
            .current_dir(self.path("workspace"))
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("GITHUB_ACTION_PATH", root())
            .env("GITHUB_WORKSPACE", self.path("workspace"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("FEEDGRADE_CACHE", self.path("home/.cache/feedgrade"));
        for (variable, file) in [
            ("GITHUB_ENV", "env"),
            ("GITHUB_PATH", "path"),
            ("GITHUB_OUTPUT", "output"),
            ("GITHUB_STEP_SUMMARY", "summary"),
        ] {
            command.env(variable, self.path(file));
        }
        // Cargo is found by the home folder unless it is told otherwise.
        let home = std::env::home_dir().unwrap();
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(variable).is_none() && home.join(folder).is_dir() {
                command.env(variable, home.join(folder));
            }
        }
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, self.value(value.as_str().unwrap()));
        }
        let output = command.output().unwrap();
        self.log += &told(&output);
        if let Some(id) = step["id"].as_str() {
            for line in read(&self.path("output")).lines() {
                let (name, value) = line.split_once('=').unwrap();
                self.set(&format!("steps.{id}.outputs.{name}"), value);
            }
        }
        output.status.code().unwrap()
    }

    /// Runs the action's shell steps; the code of the last one that ran.
    fn action(&mut self, inputs: &[(&str, &str)]) -> i32 {
        let action = yaml(&root().join("action.yml"));
        for (name, input) in action["inputs"].as_object().unwrap() {
            self.set(
                &format!("inputs.{name}"),
                input["default"].as_str().unwrap(),
            );
        }
        for (name, value) in inputs {
            self.set(&format!("inputs.{name}"), *value);
        }
        let mut code = 0;
        for step in steps(&action) {
            if step["run"].is_string() && self.is_wanted(&step) && code == 0 {
                code = self.run(&step);
            }
        }
        code
    }

    fn output(&self, name: &str) -> &str {
        let name = format!("steps.grade.outputs.{name}");
        self.values.get(&name).map_or("", String::as_str)
    }
}

fn graded(name: &str, inputs: &[(&str, &str)]) -> (i32, Runner) {
    let mut runner = Runner::new();
    copy(&specimen(name), &runner.path("workspace/app"));
    let content = content();
    let mut all = vec![
        ("submission", "app"),
        ("content", content.to_str().unwrap()),
        ("database", "local"),
    ];
    all.extend(inputs);
    let code = runner.action(&all);
    (code, runner)
}

#[test]
fn the_action_grades_a_good_submission() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    let (code, runner) = graded("solution", &[]);
    assert_eq!(code, 0, "{}", runner.log);
    assert_eq!(runner.output("outcome"), "passed");
    assert_eq!(
        (runner.output("points"), runner.output("max-points")),
        ("100", "100")
    );
    let summary = read(&runner.path("summary"));
    assert!(summary.contains("Passed"), "{summary}");
    let results = PathBuf::from(runner.output("results"));
    for file in ["report.html", "report.json", "evidence.json", "junit.xml"] {
        assert!(results.join(file).is_file(), "{file}");
    }
    assert!(!runner.output("result").is_empty());
    assert!(commands(&runner.log)[0].starts_with("::notice title=Passed"));
    assert_eq!(runner.values["steps.key.outputs.program"].len(), 16);
    let left: Vec<_> = fs::read_dir(runner.path("workspace")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_a_learners_build_says_is_no_command_for_the_runner() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    let mut runner = Runner::new();
    let app = runner.path("workspace/app");
    copy(&specimen("solution"), &app);
    let forged =
        "compile_error!(\"\\n::error::forged\\n::add-mask::100\\n::set-output name=code::0\");\n";
    let main = app.join("src/main.rs");
    fs::write(&main, read(&main) + forged).unwrap();
    let content = content();
    let code = runner.action(&[
        ("submission", "app"),
        ("content", content.to_str().unwrap()),
        ("database", "local"),
    ]);
    assert_eq!(code, 1, "{}", runner.log);
    assert!(runner.log.contains("forged"), "{}", runner.log);
    for command in commands(&runner.log) {
        let is_ours = ["::error ", "::warning ", "::notice "];
        assert!(
            is_ours.iter().any(|kind| command.starts_with(kind)),
            "{command}"
        );
    }
    assert_eq!(
        (runner.output("outcome"), runner.output("points")),
        ("failed", "0")
    );
    let at_line = commands(&runner.log)
        .into_iter()
        .any(|command| command.contains("file=app/src/main.rs,line="));
    assert!(at_line, "{}", runner.log);
}

#[test]
fn a_job_without_a_grade_has_no_points_and_says_that_it_is_no_zero() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    for inputs in [("submission", "nowhere"), ("exercise", "--nothing $(id)")] {
        let (code, runner) = graded("solution", &[inputs]);
        assert_eq!(code, 2, "{}", runner.log);
        assert_eq!(
            (runner.output("outcome"), runner.output("points")),
            ("ungraded", "")
        );
        assert!(read(&runner.path("summary")).contains("no zero"));
        assert!(commands(&runner.log)[0].starts_with("::error title=Not graded"));
    }
    let (code, runner) = graded("dies-at-once", &[("exit-zero", "true")]);
    assert_eq!(
        (code, runner.output("outcome")),
        (0, "failed"),
        "{}",
        runner.log
    );
}

#[test]
fn a_class_is_graded_in_parts_by_the_workflow_and_merged() {
    if !all_here(&["local", "bash"]) {
        return;
    }
    let workflow = yaml(&root().join("ci/github/class.yml"));
    let shards = workflow["jobs"]["part"]["strategy"]["matrix"]["shard"].clone();
    let parts = tempfile::tempdir().unwrap();
    for shard in shards.as_array().unwrap() {
        let mut runner = Runner::new();
        let class = runner.path("workspace/submissions");
        for (name, from) in [
            ("ann", "solution"),
            ("ben", "does-not-compile"),
            ("cid", "solution"),
        ] {
            copy(&specimen(from), &class.join(name));
        }
        runner.set("matrix.shard", shard.as_str().unwrap());
        assert_eq!(runner.action(&[("install-only", "true")]), 0);
        // The exercise and the database of these tests, where the workflow takes what is usual.
        let wrapped = runner.path("temp/bin");
        fs::create_dir(&wrapped).unwrap();
        let script = format!(
            "#!/bin/sh\ncommand=$1; shift\nexec '{}' --content '{}' \"$command\" --database local \"$@\"\n",
            program().display(),
            content().display()
        );
        fs::write(wrapped.join("feedgrade"), script).unwrap();
        make_executable(&wrapped.join("feedgrade"));
        let on_path = read(&runner.path("path"));
        assert!(
            on_path.trim_end().ends_with("feedgrade-program/bin"),
            "{on_path}"
        );
        fs::write(
            runner.path("path"),
            wrapped.to_str().unwrap().to_owned() + "\n",
        )
        .unwrap();
        for step in workflow["jobs"]["part"]["steps"].as_array().unwrap() {
            if step["run"].is_string() {
                assert_eq!(runner.run(step), 0, "{}", runner.log);
            }
        }
        let name = runner.values["steps.part.outputs.name"].clone();
        copy(&runner.path("temp/part"), &parts.path().join(name));
        assert!(commands(&runner.log).is_empty());
    }
    let mut runner = Runner::new();
    copy(parts.path(), &runner.path("workspace/parts"));
    feedgrade_on_path(&runner.path("temp"));
    let temp = runner.path("temp").to_str().unwrap().to_owned();
    fs::write(runner.path("path"), temp + "\n").unwrap();
    for step in workflow["jobs"]["class"]["steps"].as_array().unwrap() {
        if step["run"].is_string() {
            assert_eq!(runner.run(step), 0, "{}", runner.log);
        }
    }
    let counts = &json(&runner.path("workspace/class/batch.json"))["counts"];
    assert_eq!(
        (&counts["passed"], &counts["failed"]),
        (&2.into(), &1.into()),
        "{counts}"
    );
}
