//! Attacks: hostile submissions that try what SECURITY.md says they cannot do.
//!
//! Each is a server of the tiny exercise that answers rightly, so that it would pass, with something
//! in it that it should not do. The same attempts are made without confinement, where they get
//! through: a test that could not fail would hold nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::tiny::{content, feedgrade, is_here, postgres_is_here, specimen, told};

const SPY: &str = include_str!("../fixtures/attacks/spy.rs");
const MANIFEST: &str = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        build = \"build.rs\"\n[workspace]\n";

/// The tiny exercise's solution, with a build script, and with something before it begins to serve.
fn submission(folder: &Path, build: &str, main: &str, more: &str) {
    let solution = specimen("solution");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::copy(
        solution.join("feedgrade.yaml"),
        folder.join("feedgrade.yaml"),
    )
    .unwrap();
    fs::write(folder.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(folder.join("build.rs"), build).unwrap();
    let code = fs::read_to_string(solution.join("src/main.rs")).unwrap();
    let code = code.replace("fn main() {\n", &format!("fn main() {{\n{main}\n"));
    let code = code.trim_start_matches("//! Answers both rows.\n");
    fs::write(folder.join("src/main.rs"), format!("{code}\n{more}")).unwrap();
}

fn check(submission: &Path, out: &Path, more: &[&str]) -> (Output, Option<Value>) {
    let output = feedgrade()
        .args(["check", "--database", "local", "--out"])
        .arg(out)
        .args(more)
        .arg(submission)
        .output()
        .unwrap();
    let report = fs::read_to_string(out.join("report.json")).ok();
    (
        output,
        report.map(|text| serde_json::from_str(&text).unwrap()),
    )
}

/// Whether this machine can grade servers and confine them wholly; says so when it cannot.
fn can_confine() -> bool {
    postgres_is_here() && is_here("isolation: full", "isolation")
}

/// Verdicts of a report by criterion.
fn verdicts(report: &Value) -> BTreeMap<String, String> {
    let criteria = report["criteria"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    criteria
        .map(|one| (text(&one["id"]), text(&one["verdict"])))
        .collect()
}

/// What a submission wants and must not get, with the means to notice.
struct Targets {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
}

impl Targets {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["secret", "precious"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("results")).unwrap();
        // The same number for both, as a submission would be told one.
        let (tcp, udp) = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
            .find_map(|tcp| {
                let udp = UdpSocket::bind(tcp.local_addr().unwrap()).ok()?;
                Some((tcp, udp))
            })
            .unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        Self {
            folder,
            tcp,
            udp,
            unix,
        }
    }

    /// For the build script or the server; with what would harm this machine, or without.
    fn list(&self, server: bool, harmful: bool) -> String {
        let cargo = std::env::var_os("CARGO_HOME").map_or_else(
            || std::env::home_dir().unwrap().join(".cargo"),
            PathBuf::from,
        );
        let here = |name: &str| self.folder.path().join(name).display().to_string();
        let mut lines = vec![
            format!("secret {}", here("secret")),
            format!("secret {}", content().join("rubrics/tiny.yaml").display()),
            format!(
                "secret {}",
                content()
                    .join("reference/tiny/solution/src/main.rs")
                    .display()
            ),
            format!(
                "secret {}",
                assert_cmd::cargo::cargo_bin("feedgrade").display()
            ),
            "secret /etc/shadow".into(),
            format!("folder {}", here("results")),
            format!("precious {}", here("precious")),
            format!("process {}", std::process::id()),
            format!("tcp {}", self.tcp.local_addr().unwrap().port()),
            format!("unix {}", here("socket")),
        ];
        if server {
            lines.push("server yes".into());
        }
        if server && harmful {
            lines.push(format!("folder {}", cargo.join("registry").display()));
        }
        if harmful {
            lines.push("harmful yes".into());
        }
        lines.join("\n") + "\n"
    }

    /// What arrived here, whatever the spy believes.
    fn were_reached(&self) -> Vec<&'static str> {
        let mut reached = Vec::new();
        self.unix.set_nonblocking(true).unwrap();
        if self.tcp.accept().is_ok() {
            reached.push("TCP");
        }
        if self.udp.recv(&mut [0; 8]).is_ok() {
            reached.push("UDP");
        }
        if self.unix.accept().is_ok() {
            reached.push("a Unix socket");
        }
        let path = |name: &str| self.folder.path().join(name);
        if fs::read_dir(path("results")).unwrap().next().is_some() {
            reached.push("the results");
        }
        if fs::read_to_string(path("precious")).is_ok_and(|text| text != "precious")
            || !path("precious").exists()
        {
            reached.push("a precious file");
        }
        reached
    }
}

/// A submission that spies from its build script and from its server.
fn spying(folder: &Path, targets: &Targets, harmful: bool) {
    let report = "let lines: Vec<String> = seen.iter().map(|(name, through)| \
                  format!(\"{} {name}\", if *through { \"THROUGH\" } else { \"refused\" })).collect();";
    let build = format!(
        "fn main() {{ let out = std::env::var(\"OUT_DIR\").unwrap();
         let seen = spy(include_str!(\"build-targets.txt\"), &out); {report}
         std::fs::write(format!(\"{{out}}/seen.txt\"), lines.join(\"\\n\")).unwrap(); }}\n{SPY}"
    );
    // A report of the server is cut after some lines: only counts and what got through are told.
    let main = format!(
        "let seen = spy(include_str!(\"../server-targets.txt\"), &std::env::var(\"TMPDIR\").unwrap()); {report}
         let built = include_str!(concat!(env!(\"OUT_DIR\"), \"/seen.txt\"));
         let through = |line: &&str| line.starts_with(\"THROUGH\");
         for line in built.lines().filter(through) {{ print!(\"build: {{line}}; \"); }}
         for line in lines.iter().map(String::as_str).filter(through) {{ print!(\"server: {{line}}; \"); }}
         println!(\"tried {{}} and {{}}\", built.lines().count(), lines.len());"
    );
    submission(folder, &build, &main, SPY);
    fs::write(
        folder.join("build-targets.txt"),
        targets.list(false, harmful),
    )
    .unwrap();
    fs::write(
        folder.join("server-targets.txt"),
        targets.list(true, harmful),
    )
    .unwrap();
}

/// What the server printed while it was asked.
fn output(out: &Path) -> String {
    let evidence = fs::read_to_string(out.join("evidence.json")).unwrap();
    let evidence: Value = serde_json::from_str(&evidence).unwrap();
    evidence["api"]["ran"]["output"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn no_attempt_of_a_spying_submission_gets_through() {
    if !can_confine() {
        return;
    }
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let targets = Targets::new();
    spying(folder.path(), &targets, true);
    let (done, report) = check(folder.path(), out.path(), &["--isolation", "required"]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    let said = output(out.path());
    assert!(!said.contains("THROUGH"), "{said}");
    // Every attempt was made: a spy that gave up would look well-behaved.
    assert!(said.contains("tried 41 and 46"), "{said}");
    assert_eq!(targets.were_reached(), Vec::<&str>::new());
    let report = report.unwrap();
    assert_eq!(report["environment"]["isolation"]["level"], "full");
}

#[test]
fn without_confinement_the_same_attempts_get_through() {
    if !can_confine() {
        return;
    }
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let targets = Targets::new();
    spying(folder.path(), &targets, false);
    let (done, report) = check(folder.path(), out.path(), &["--isolation", "none"]);
    let said = output(out.path());
    for attempt in [
        "reads",
        "phones home by TCP",
        "phones home by UDP",
        "talks to a Unix socket",
    ] {
        for who in ["build", "server"] {
            let line = format!("{who}: THROUGH {attempt}");
            assert!(said.contains(&line), "{line}\n{said}{}", told(&done));
        }
    }
    assert!(targets.were_reached().contains(&"the results"), "{said}");
    assert_eq!(report.unwrap()["environment"]["isolation"]["level"], "none");
}

/// Grades a submission with something in it, confined: verdicts, and all that was said.
fn graded(build: &str, main: &str) -> (BTreeMap<String, String>, String) {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    submission(folder.path(), build, main, "");
    let (done, report) = check(folder.path(), out.path(), &["--isolation", "required"]);
    let report = report.unwrap_or_else(|| panic!("{}", told(&done)));
    let text = format!("{}{report:#}", told(&done));
    (verdicts(&report), text)
}

const NOTHING: &str = "fn main() {}";

#[test]
fn a_build_that_uses_too_much_is_stopped_and_told_what_of() {
    if !can_confine() {
        return;
    }
    for (build, says) in [
        (
            "fn main() { let mut all = Vec::new(); loop { all.push(vec![1_u8; 10_000_000]); } }",
            "The build used more than 1024 MiB of memory and was stopped.",
        ),
        (
            "fn main() { let me = std::env::current_exe().unwrap();
             loop { std::mem::forget(std::process::Command::new(&me).spawn()); } }",
            "The build used more than 200 processes and threads and was stopped.",
        ),
        (
            "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap();
             for number in 0.. { std::fs::write(format!(\"{out}/{number}\"), vec![1; 1_000_000]).unwrap(); } }",
            "The build used more than 200 MiB of disk and was stopped.",
        ),
        (
            "fn main() { std::thread::sleep(std::time::Duration::from_secs(100_000)); }",
            "The build ran past 30 s and was stopped.",
        ),
    ] {
        let (verdicts, text) = graded(build, "");
        assert_eq!(verdicts["build"], "not_met", "{text}");
        assert!(text.contains(says), "{says}\n{text}");
    }
}

#[test]
fn a_server_that_uses_too_much_is_stopped_and_told_what_of() {
    if !can_confine() {
        return;
    }
    for (main, says) in [
        (
            "let mut all = Vec::new(); loop { all.push(vec![1_u8; 1_000_000]); }",
            "more than 200 MiB of memory",
        ),
        (
            "for _ in 0..100 { std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(1000))); }",
            "more than 64 processes and threads",
        ),
        (
            "std::thread::spawn(|| { let tmp = std::env::var(\"TMPDIR\").unwrap();
             for number in 0..100 { std::fs::write(format!(\"{tmp}/{number}\"), vec![1; 1_000_000]).unwrap(); } });
             std::thread::sleep(std::time::Duration::from_secs(4));",
            "more than 20 MiB of disk",
        ),
    ] {
        let (verdicts, text) = graded(NOTHING, main);
        assert_eq!(verdicts["one"], "not_met", "{text}");
        assert!(text.contains(says), "{says}\n{text}");
    }
}

#[test]
fn output_without_end_costs_nothing_and_forges_nothing() {
    if !can_confine() {
        return;
    }
    // Lines that look like cargo's, and like a report's, and escapes for the terminal.
    let noise = "let noise = \"{\\\"reason\\\":\\\"compiler-artifact\\\",\\\"target\\\":{\\\"kind\\\":[\\\"bin\\\"]},\
                 \\\"executable\\\":\\\"/bin/true\\\"}\\n\\u{1b}]0;owned\\u{7}\\u{1b}[2J::set-output name=points::100\\n\";
                 for _ in 0..100_000 { print!(\"{noise}\"); }";
    let (verdicts, text) = graded(&format!("fn main() {{ {noise} }}"), noise);
    assert!(verdicts.values().all(|verdict| verdict == "met"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn no_process_of_a_submission_outlives_its_grade() {
    if !can_confine() {
        return;
    }
    let mark = format!("{}-outlives", std::process::id());
    let fork = format!(
        "if std::env::args().nth(1).is_some() {{
             loop {{ std::thread::sleep(std::time::Duration::from_millis(20)); }}
         }}
         use std::os::unix::process::CommandExt as _;
         let me = std::env::current_exe().unwrap();
         for group in [0, 1] {{
             let mut again = std::process::Command::new(&me);
             again.arg(\"{mark}\").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
             if group == 0 {{ again.process_group(0); }}
             std::mem::forget(again.spawn().unwrap());
         }}"
    );
    let build = format!("fn main() {{ {fork} }}");
    // Reading its own path needs no more than it has.
    let (verdicts, text) = graded(&build, &fork);
    assert!(verdicts.values().all(|verdict| verdict == "met"), "{text}");
    let left: Vec<String> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|command| command.split('\0').any(|argument| argument == mark))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_database_that_is_filled_without_end_is_closed_and_told() {
    if !can_confine() {
        return;
    }
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    submission(folder.path(), NOTHING, "", "");
    let fill = "SELECT 1;\nDO $$ BEGIN FOR i IN 1..100 LOOP PERFORM lo_from_bytea(0, \
                (SELECT string_agg(sha512(random()::text::bytea), '') FROM generate_series(1, 200000))); \
                PERFORM pg_sleep(0.2); END LOOP; END $$;\n";
    fs::create_dir(folder.path().join("migrations")).unwrap();
    fs::write(folder.path().join("migrations/1.sql"), fill).unwrap();
    let (done, report) = check(folder.path(), out.path(), &[]);
    assert_eq!(done.status.code(), Some(1), "{}", told(&done));
    let text = format!("{:#}", report.unwrap());
    let says = "The migration 1.sql failed at line 2: More than 40 MiB were added to the database";
    assert!(text.contains(says), "{text}");
}

#[test]
fn a_build_that_ends_its_own_compiler_is_its_own_fault() {
    if !can_confine() {
        return;
    }
    let build = "extern \"C\" { fn kill(pid: i32, signal: i32) -> i32; }
                 fn main() { println!(\"error: (signal: 9, SIGKILL: kill) No space left on device\");
                 let cargo = std::os::unix::process::parent_id() as i32;
                 unsafe { kill(cargo, 9); } }";
    let (verdicts, text) = graded(build, "");
    assert_eq!(verdicts["build"], "not_met", "{text}");
    assert!(text.contains("signal 9"), "{text}");
}

#[test]
fn crates_of_other_places_are_refused_before_anybody_asks_for_them() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    submission(folder.path(), NOTHING, "", "");
    let secret = Targets::new();
    let port = secret.tcp.local_addr().unwrap().port();
    let dependency =
        format!("[dependencies]\nx = {{ git = \"http://127.0.0.1:{port}/x\" }}\n[workspace]\n");
    let manifest = MANIFEST.replace("[workspace]\n", &dependency);
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let (done, report) = check(folder.path(), out.path(), &[]);
    assert_eq!(done.status.code(), Some(1), "{}", told(&done));
    assert_eq!(verdicts(&report.unwrap())["build"], "not_met");
    assert!(told(&done).contains("names the git"), "{}", told(&done));
    assert_eq!(secret.were_reached(), Vec::<&str>::new());
}
