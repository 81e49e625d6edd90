//! A class from the command line: graded, killed, gone on with, judged again, compared, merged.
//!
//! Members are the specimens of the tiny exercise, whose servers need no dependencies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

use crate::main_job::random_instants;
use crate::tiny::{content, copy, postgres_is_here, specimen, told};

fn feedgrade(content: &Path, args: &[&str]) -> Output {
    Command::cargo_bin("feedgrade")
        .unwrap()
        .arg("--content")
        .arg(content)
        .args(args)
        .output()
        .unwrap()
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// A class of specimens, each under a name of its own.
fn class(members: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, from) in members {
        copy(&specimen(from), &dir.path().join(name));
    }
    dir
}

fn batch(dir: &Path, out: &Path, more: &[&str]) -> Output {
    let mut args = vec![
        "batch",
        "--database",
        "local",
        "--out",
        path(out),
        path(dir),
    ];
    args.extend(more);
    feedgrade(&content(), &args)
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Standing and verdicts of every member, by id.
fn standings(out: &Path) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
    let class = json(&out.join("batch.json"));
    let string = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = class["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let criteria = row["criteria"].as_array().unwrap().iter();
        let verdicts = criteria.map(|c| (string(&c["id"]), string(&c["verdict"])));
        let verdicts = verdicts.collect();
        (string(&row["id"]), (string(&row["standing"]), verdicts))
    })
    .collect()
}

/// Lines of the journal about each member.
fn journaled(out: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let text = fs::read_to_string(out.join("journal.jsonl")).unwrap_or_default();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let Some(folder) = line["row"]["folder"].as_str() {
            rows.entry(folder.into())
                .or_default()
                .push(line["row"].clone());
        }
    }
    rows
}

/// What the expected.yaml of a specimen says of a criterion.
fn expected(specimen: &str) -> String {
    let path = content().join("reference/tiny").join(specimen);
    fs::read_to_string(path.join("expected.yaml")).unwrap()
}

#[test]
fn a_class_is_graded_as_each_member_alone_and_one_that_hangs_touches_no_other() {
    if !postgres_is_here() {
        return;
    }
    let dir = class(&[
        ("ann", "solution"),
        ("ben", "never-listens"),
        ("cid", "does-not-compile"),
        ("dee", "dies-under-load"),
        ("eva", "solution"),
    ]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("eva/feedgrade.yaml"), "exercise: other\n").unwrap();
    let out = tempfile::tempdir().unwrap();
    let first = batch(dir.path(), out.path(), &["--exercise", "tiny"]);
    assert_eq!(first.status.code(), Some(3), "{}", told(&first));
    let standings = standings(out.path());
    let of = |id: &str| standings[id].0.as_str();
    assert_eq!(
        ["ann", "ben", "cid", "dee", "eva", "empty"].map(of),
        [
            "passed", "failed", "failed", "failed", "ungraded", "missing"
        ],
        "{}",
        told(&first)
    );
    // As `check` judges them one by one.
    for id in ["ann", "ben", "cid", "dee"] {
        let alone = tempfile::tempdir().unwrap();
        let submission = dir.path().join(id);
        let args = ["check", "--database", "local", "--out"];
        let args = [&args[..], &[path(alone.path()), path(&submission)]].concat();
        feedgrade(&content(), &args);
        let report = json(&alone.path().join("report.json"));
        let criteria = report["criteria"].as_array().unwrap().iter();
        let alone: BTreeMap<String, String> = criteria
            .map(|c| {
                (
                    c["id"].as_str().unwrap().into(),
                    c["verdict"].as_str().unwrap().into(),
                )
            })
            .collect();
        assert_eq!(standings[id].1, alone, "{id}");
        for file in ["evidence.json", "report.json", "report.html"] {
            assert!(out.path().join(id).join(file).is_file(), "{id}/{file}");
        }
    }
    let schema = feedgrade(&content(), &["exercise", "schema", "batch"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let written = json(&out.path().join("batch.json"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&written)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(written["counts"]["failed"], 3);
    assert!(written["times"]["loading"].as_f64().unwrap() > 0.0);
    let table = fs::read_to_string(out.path().join("grades.csv")).unwrap();
    assert!(table.contains("\nann,,,ann,passed,100,100,"), "{table}");
    assert!(table.contains("\nempty,,,empty,missing,,100,"), "{table}");
    let page = fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains("href=\"ann/report.html\"") && page.contains("1 of 4 passed"));

    // The same command once more has nothing to do, and says the same.
    let before = journaled(out.path());
    let again = batch(dir.path(), out.path(), &["--exercise", "tiny"]);
    assert_eq!(again.status.code(), Some(3));
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(journaled(out.path()), before);
    // What changed is told, and graded again when it is wanted.
    fs::write(dir.path().join("cid/NOTES.md"), "new").unwrap();
    let plain = batch(dir.path(), out.path(), &["--exercise", "tiny"]);
    assert!(
        told(&plain).contains("graded again with --changed: cid"),
        "{}",
        told(&plain)
    );
    let more = ["--exercise", "tiny", "--changed", "--only", "cid"];
    let changed = batch(dir.path(), out.path(), &more);
    assert_eq!(changed.status.code(), Some(1), "{}", told(&changed));
    let rows = journaled(out.path());
    assert_eq!((rows["cid"].len(), rows["ann"].len()), (2, 1));
}

#[test]
fn a_batch_that_is_killed_at_any_instant_goes_on_and_repeats_nothing() {
    if !postgres_is_here() {
        return;
    }
    let members = [
        ("a", "does-not-compile"),
        ("b", "dies-at-once"),
        ("c", "does-not-compile"),
        ("d", "solution"),
        ("e", "ignores-port"),
        ("f", "does-not-compile"),
        ("g", "does-not-compile"),
        ("h", "dies-at-once"),
        ("i", "does-not-compile"),
        ("j", "does-not-compile"),
    ];
    let dir = class(&members);
    let (out, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let binary = assert_cmd::cargo::cargo_bin("feedgrade");
    let run = || {
        let mut command = std::process::Command::new(&binary);
        command
            .args(["--content".as_ref(), content().as_os_str()])
            .args(["batch", "--database", "local", "--out"])
            .args([out.path(), dir.path()])
            .env("FEEDGRADE_SCRATCH", scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let mut finished: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut killed = 0;
    for instant in random_instants(Duration::from_millis(2_500)) {
        let mut child = run().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(30) + instant);
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        let now = journaled(out.path());
        for (id, rows) in &finished {
            assert_eq!(
                now.get(id),
                Some(rows),
                "{id} was graded once more, or lost"
            );
        }
        finished = now;
    }
    assert!(killed > 0);
    let last = run().status().unwrap();
    assert_eq!(last.code(), Some(1));
    let (rows, standings) = (journaled(out.path()), standings(out.path()));
    for (id, specimen) in members {
        assert_eq!(rows[id].len(), 1, "{id}");
        let (standing, verdicts) = &standings[id];
        if specimen == "solution" {
            assert_eq!(standing, "passed", "{id}");
            continue;
        }
        let expected = expected(specimen);
        assert_eq!(standing, "failed", "{id}");
        for (criterion, verdict) in verdicts {
            let is_told = expected.contains(&format!("{criterion}: {verdict}"));
            assert!(
                is_told || verdict == "skipped",
                "{id}: {criterion} is {verdict}"
            );
        }
    }
    assert_eq!(rows.len(), members.len());
}

/// A class whose members do not compile: graded without any database.
fn cheap(names: &[&str]) -> tempfile::TempDir {
    let members: Vec<(&str, &str)> = names.iter().map(|n| (*n, "does-not-compile")).collect();
    class(&members)
}

#[test]
fn shards_make_the_same_class_in_any_order_and_gaps_and_doubles_are_refused() {
    let dir = cheap(&["ann", "ben", "cid"]);
    let out = tempfile::tempdir().unwrap();
    let shard = |number: usize| {
        let folder = out.path().join(format!("shard-{number}"));
        let of = format!("{number}/2");
        let output = batch(dir.path(), &folder, &["--shard", &of]);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        folder
    };
    let (one, two) = (shard(1), shard(2));
    let merge = |parts: &[&Path], to: &Path, more: &[&str]| {
        let mut args = vec!["merge", "--out", path(to)];
        args.extend(parts.iter().map(|part| path(part)));
        args.extend(more);
        feedgrade(&content(), &args)
    };
    let [ab, ba, no] = ["ab", "ba", "no"].map(|name| out.path().join(name));
    let output = merge(&[&one, &two], &ab, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    merge(&[&two, &one], &ba, &[]);
    for file in [
        "batch.json",
        "grades.csv",
        "index.html",
        "journal.jsonl",
        "cid/report.json",
    ] {
        let of = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert!(of(&ab) == of(&ba), "{file}");
    }
    assert_eq!(standings(&ab).len(), 3);
    for (parts, says) in [
        (vec![one.as_path()], "there is no shard 2/2"),
        (
            vec![one.as_path(), one.as_path()],
            "shard 1/2 is there twice",
        ),
        (vec![dir.path()], "holds no results of a batch"),
    ] {
        let output = merge(&parts, &no, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains(says), "{}", told(&output));
        assert!(!no.exists());
    }
    let output = merge(&[&one, &two], &ab, &[]);
    assert!(told(&output).contains("holds results of a batch already"));
    let partial = merge(&[&one], &no, &["--partial"]);
    assert_eq!(partial.status.code(), Some(1), "{}", told(&partial));
    assert_eq!(standings(&no)["ben"].0, "waiting");
}

#[test]
fn a_class_is_judged_again_by_another_rubric_and_the_difference_says_why() {
    let dir = cheap(&["ann", "ben"]);
    let out = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| out.path().join(name));
    batch(dir.path(), &old, &[]);
    let page = fs::read(old.join("index.html")).unwrap();
    let same = feedgrade(&content(), &["regrade", path(&old)]);
    assert_eq!(same.status.code(), Some(1), "{}", told(&same));
    assert!(
        fs::read(old.join("index.html")).unwrap() == page,
        "the same evidence, another page"
    );
    copy(&old, &new);
    let nothing = feedgrade(&content(), &["diff", path(&old), path(&new)]);
    assert!(
        told(&nothing).contains("Nothing changed for any of 2"),
        "{}",
        told(&nothing)
    );

    let kinder = tempfile::tempdir().unwrap();
    copy(&content(), kinder.path());
    let rubric = kinder.path().join("rubrics/tiny.yaml");
    let text = fs::read_to_string(&rubric).unwrap();
    let text = text.replace(
        "leans_on: [build], check: {api: {probe: one}}",
        "check: {build: {}}",
    );
    fs::write(&rubric, text).unwrap();
    let again = feedgrade(kinder.path(), &["regrade", path(&new)]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    let diff = feedgrade(&content(), &["diff", path(&old), path(&new)]);
    assert_eq!(diff.status.code(), Some(0));
    let text = told(&diff);
    assert!(
        text.contains("one: skipped, 0 → not met, 0 (the rubric changed)"),
        "{text}"
    );
    assert!(text.contains("2 of 2 members changed"), "{text}");
    let diff = feedgrade(&content(), &["diff", "--json", path(&old), path(&new)]);
    let changes: Value = serde_json::from_slice(&diff.stdout).unwrap();
    assert_eq!(changes[0]["criteria"][0]["causes"][0], "rubric");
}

#[test]
fn a_slip_in_a_persons_marks_is_told_and_nothing_of_them_is_lost() {
    let dir = cheap(&["ann"]);
    let out = tempfile::tempdir().unwrap();
    batch(dir.path(), out.path(), &[]);
    let review = out.path().join("review.yaml");
    let text = "version: 1\nmarks:\n  - submission: ann\n    question: q1\n    score: 0.75\n";
    fs::write(&review, text).unwrap();
    let journal = fs::read(out.path().join("journal.jsonl")).unwrap();
    for output in [
        feedgrade(&content(), &["regrade", path(out.path())]),
        batch(dir.path(), out.path(), &["--again"]),
    ] {
        let told = told(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("review.yaml:5"), "{told}");
    }
    assert_eq!(fs::read_to_string(&review).unwrap(), text);
    assert!(fs::read(out.path().join("journal.jsonl")).unwrap() == journal);
}

#[test]
fn marks_of_parts_are_kept_and_so_are_they_beside_those_that_are_given_by_name() {
    let dir = cheap(&["ann", "ben"]);
    let out = tempfile::tempdir().unwrap();
    let [one, two, all] = ["1", "2", "all"].map(|name| out.path().join(name));
    let mark = |who: &str, score: &str| {
        format!("  - submission: \"{who}\"\n    question: \"q1\"\n    score: {score}\n    note:\n")
    };
    for (part, shard, who) in [(&one, "1/2", "ann"), (&two, "2/2", "ben")] {
        batch(dir.path(), part, &["--shard", shard]);
        let marks = format!("version: 1\nmarks:\n{}", mark(who, "1"));
        fs::write(part.join("review.yaml"), marks).unwrap();
    }
    let args = ["merge", path(&one), path(&two), "--out", path(&all)];
    let merged = feedgrade(&content(), &args);
    assert_eq!(merged.status.code(), Some(1), "{}", told(&merged));
    let kept = |marks: [String; 2]| {
        let text = fs::read_to_string(all.join("review.yaml")).unwrap();
        for mark in marks {
            assert!(text.contains(&mark), "{mark} {text}");
        }
    };
    kept([mark("ann", "1"), mark("ben", "1")]);
    let given = out.path().join("given.yaml");
    fs::write(&given, "version: 1\nmarks: []\n").unwrap();
    let args = ["regrade", "--marks", path(&given), path(&all)];
    let again = feedgrade(&content(), &args);
    assert!(
        told(&again).contains("hold for this run"),
        "{}",
        told(&again)
    );
    kept([mark("ann", "1"), mark("ben", "1")]);
}

#[test]
fn another_class_does_not_get_the_grades_of_this_one() {
    let monday = cheap(&["team1", "team2"]);
    let out = tempfile::tempdir().unwrap();
    batch(monday.path(), out.path(), &[]);
    let before = fs::read(out.path().join("batch.json")).unwrap();

    let tuesday = cheap(&["team1", "team2"]);
    fs::write(tuesday.path().join("team1/src/main.rs"), "another").unwrap();
    let output = batch(tuesday.path(), out.path(), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let says = "under the same names: team1. Choose another --out";
    assert!(told(&output).contains(says), "{}", told(&output));
    assert!(fs::read(out.path().join("batch.json")).unwrap() == before);
    fs::remove_file(tuesday.path().join("team1/Cargo.toml")).unwrap();
    let output = batch(tuesday.path(), out.path(), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains(says), "{}", told(&output));

    // In the same folder it is the same member's work of another day.
    fs::write(monday.path().join("team1/src/main.rs"), "another").unwrap();
    let output = batch(monday.path(), out.path(), &[]);
    assert!(
        told(&output).contains("with --changed: team1"),
        "{}",
        told(&output)
    );
    batch(tuesday.path(), out.path(), &["--changed"]);
    let standings = standings(out.path());
    assert_eq!(standings["team1"].0, "missing");
    assert_eq!(standings["team2"].0, "failed");
    let moved = tempfile::tempdir().unwrap();
    copy(tuesday.path(), moved.path());
    let output = batch(moved.path(), out.path(), &[]);
    assert!(
        told(&output).contains("0 to grade, 1 finished, 1 without"),
        "{}",
        told(&output)
    );
}

#[test]
fn what_was_measured_by_another_exercise_is_measured_again_though_it_was_judged_by_this_one() {
    let dir = cheap(&["ann"]);
    let (out, newer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    batch(dir.path(), out.path(), &[]);
    copy(&content(), newer.path());
    let readme = newer.path().join("exercises/tiny/README.md");
    fs::write(&readme, "Another text.\n").unwrap();
    feedgrade(newer.path(), &["regrade", path(out.path())]);
    let args = [
        "batch",
        path(dir.path()),
        "--out",
        path(out.path()),
        "--changed",
    ];
    let output = feedgrade(newer.path(), &args);
    assert!(told(&output).contains("1 to grade"), "{}", told(&output));
}

#[test]
fn a_member_whose_folder_cannot_be_read_or_names_another_exercise_stops_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = cheap(&["ann", "ben"]);
    fs::write(dir.path().join("ben/feedgrade.yaml"), "exercise: another\n").unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = batch(dir.path(), out.path(), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let standings = standings(out.path());
    assert_eq!(standings["ann"].0, "failed");
    assert_eq!(standings["ben"].0, "ungraded");

    // Root reads every folder, so somebody else looks at this class.
    let place = tempfile::tempdir().unwrap();
    let class = place.path().join("class");
    copy(&specimen("does-not-compile"), &class.join("ann"));
    fs::create_dir_all(class.join("cid/closed")).unwrap();
    copy(&specimen("does-not-compile"), &class.join("team/dee"));
    copy(&specimen("does-not-compile"), &class.join("team/eva"));
    fs::create_dir_all(class.join("team/fay")).unwrap();
    let program = place.path().join("feedgrade");
    fs::copy(assert_cmd::cargo::cargo_bin("feedgrade"), &program).unwrap();
    let closed = [class.join("cid/closed"), class.join("team/fay")];
    for (path, mode) in [(place.path(), 0o777), (&closed[0], 0), (&closed[1], 0)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let is_root = rustix::process::geteuid().is_root();
    let mut command = if is_root {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program);
        command
    } else {
        std::process::Command::new(&program)
    };
    command.arg("--content").arg(place.path().join("content"));
    copy(&content(), &place.path().join("content"));
    command.args(["batch", "--only", "nobody", "--out"]);
    command.arg(place.path().join("results")).arg(&class);
    command.env("FEEDGRADE_SCRATCH", place.path().join("scratch"));
    let output = command.output().unwrap();
    assert!(
        told(&output).contains("there is ann, cid, team/dee, team/eva, team/fay"),
        "{}",
        told(&output)
    );
    let roster = place.path().join("roster.csv");
    fs::write(&roster, "id,folder\nann,ann\ncid,cid\n").unwrap();
    let output = command.arg("--roster").arg(&roster).output().unwrap();
    assert!(
        told(&output).contains("there is ann, cid"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_roster_names_the_class_and_its_cells_are_no_formulas() {
    let dir = cheap(&["team-1", "team-2"]);
    let roster = dir.path().join("class.csv");
    let cells = "\u{feff}id;name;email;folder\r\n=1+1;\"@Ann; A.\";a@x.org;team-1\r\n\
                 b;Ben;;team-2\r\nc;Cid;;team-3\r\n";
    fs::write(&roster, cells).unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = batch(dir.path(), out.path(), &["--roster", path(&roster)]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let standings = standings(out.path());
    let told: Vec<(&str, &str)> = standings
        .iter()
        .map(|(k, v)| (k.as_str(), v.0.as_str()))
        .collect();
    assert_eq!(
        told,
        [("=1+1", "failed"), ("b", "failed"), ("c", "missing")]
    );
    let table = fs::read_to_string(out.path().join("grades.csv")).unwrap();
    assert!(
        table.contains("'=1+1,'@Ann; A.,a@x.org,team-1,failed,0,"),
        "{table}"
    );
}

#[test]
fn what_cannot_be_a_class_is_told_in_one_sentence() {
    let (empty, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = cheap(&["ann"]);
    let roster = out.path().join("roster.csv");
    fs::write(&roster, "name\nAnn\n").unwrap();
    let results = out.path().join("results");
    let inside = dir.path().join("ann/results");
    let cases: [(&Path, &Path, &[&str], &str); 8] = [
        (
            empty.path(),
            &results,
            &[],
            "there are no submissions below",
        ),
        (
            Path::new("/no/such"),
            &results,
            &[],
            "find the folder /no/such",
        ),
        (&dir.path().join("ann"), &results, &[], "feedgrade check"),
        (dir.path(), &inside, &[], "choose another --out"),
        (
            dir.path(),
            &results,
            &["--roster", path(&roster)],
            "has no column `id`",
        ),
        (
            dir.path(),
            &results,
            &["--only", "bob"],
            "there is no member `bob`",
        ),
        (dir.path(), &results, &["--shard", "3/2"], "for example 2/5"),
        (
            dir.path(),
            &results,
            &["--write", "junit=-"],
            "not for a class",
        ),
    ];
    for (dir, out, more, says) in cases {
        let output = batch(dir, out, more);
        assert_eq!(output.status.code(), Some(2), "{says}: {}", told(&output));
        assert!(told(&output).contains(says), "{says}: {}", told(&output));
    }
    let journal = results.join("journal.jsonl");
    fs::create_dir_all(&results).unwrap();
    for (text, says) in [
        (
            "{\"opened\":{\"version\":1,\"exercise\":\"other\",\"shard\":null,\"roll\":[]}}\n",
            "of the exercise `other`",
        ),
        (
            "{\"opened\":{\"version\":7}}\n",
            "use the feedgrade that wrote it",
        ),
    ] {
        fs::write(&journal, text).unwrap();
        let output = batch(dir.path(), &results, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains(says), "{}", told(&output));
        assert_eq!(fs::read_to_string(&journal).unwrap(), text);
    }
}

#[test]
fn a_folder_that_vanishes_meanwhile_is_a_row_and_stops_nobody() {
    let dir = cheap(&["ann", "ben", "cid"]);
    // The first one's build removes the second one's folder, which it could not if it was confined.
    let gone = dir.path().join("ben");
    let script = format!(
        "fn main() {{ let _ = std::fs::remove_dir_all({:?}); }}",
        path(&gone)
    );
    fs::write(dir.path().join("ann/build.rs"), script).unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = batch(
        dir.path(),
        out.path(),
        &["--jobs", "1", "--isolation", "none"],
    );
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let standings = standings(out.path());
    assert_eq!(
        ["ann", "ben", "cid"].map(|id| standings[id].0.as_str()),
        ["failed", "ungraded", "failed"]
    );
    // Gone for good: the others keep their grades, and so does whoever had one.
    fs::remove_dir_all(dir.path().join("cid")).unwrap();
    let output = batch(dir.path(), out.path(), &[]);
    assert!(
        told(&output).contains("not there any more, and kept as they were"),
        "{}",
        told(&output)
    );
    assert_eq!(self::standings(out.path())["cid"].0, "failed");
}

#[test]
fn a_disk_that_is_full_is_told_and_loses_no_grade() {
    let dir = cheap(&["ann", "ben"]);
    let out = tempfile::tempdir().unwrap();
    batch(dir.path(), out.path(), &[]);
    let files = [
        "batch.json",
        "journal.jsonl",
        "ann/report.json",
        "ann/evidence.json",
    ];
    let of = |name: &str| fs::read(out.path().join(name)).unwrap();
    let before = files.map(of);
    // No file may grow beyond a kilobyte: the same for a writer as a disk that is full. The journal
    // is opened first, so nothing is begun.
    let binary = assert_cmd::cargo::cargo_bin("feedgrade");
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" --content \"$1\" regrade \"$2\"";
    let output = std::process::Command::new("bash")
        .args(["-c".as_ref(), script.as_ref(), binary.as_os_str()])
        .args([content().as_os_str(), out.path().as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("error: write"), "{}", told(&output));
    for (name, before) in files
        .iter()
        .zip(&before)
        .filter(|(name, _)| **name != "journal.jsonl")
    {
        assert!(of(name) == *before, "{name}");
    }
    let again = feedgrade(&content(), &["regrade", path(out.path())]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert!(of("batch.json") == before[0], "a grade was lost");
}
