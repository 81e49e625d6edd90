//! Cargo: turns a copied folder into one binary, and tells the learner's errors from the machine's.
//!
//! Dependencies are compiled once for each set of them and copied into every build's own target
//! folder. Target folders are never shared: with equal package names, cargo would take another
//! submission's binary for this one's.

mod dependencies;
mod sources;

use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::confinement::Confinement;
use crate::evidence::{Build, BuildOutcome};
use crate::exercise::BuildSpec;
use crate::isolation::Isolation;
use crate::process::{Command, Exit, Finished};
use crate::scratch::Scratch;

use dependencies::Dependencies;

/// Fetching dependencies may take this long.
const FETCH: Duration = Duration::from_mins(5);
/// Less free space than this is a full disk, in bytes.
const LEAST_SPACE: u64 = 64 * 1024 * 1024;
/// Errors of the compiler that are kept, and the characters of all of them together.
const MOST_ERRORS: usize = 8;
const MOST_ERROR_CHARS: usize = 12_000;

/// What came of a build.
#[derive(Debug)]
pub struct Built {
    /// For the evidence.
    pub build: Build,
    /// The binary, when there is exactly one.
    pub binary: Option<PathBuf>,
}

/// The compiler's version, e.g. `rustc 1.95.0 (59807616e 2026-04-14)`.
///
/// # Errors
/// When there is no Rust toolchain.
pub async fn rustc_version(scratch: &Scratch) -> Result<String> {
    let command = toolchain(Command::new("rustc", scratch.path())).arg("--version");
    let finished = command
        .run(scratch, Duration::from_secs(30))
        .await
        .context("find a Rust toolchain: install one from https://rustup.rs")?;
    ensure!(
        finished.exit.is_success(),
        "rustc --version: {}",
        finished.stderr.trim()
    );
    Ok(finished.stdout.trim().to_owned())
}

/// Builds the package in `package` with `cargo build --release`, in a target folder of its own at
/// `target`, which must not exist yet.
///
/// # Errors
/// When the machine fails: no toolchain, no network and no dependencies, a full disk.
pub async fn build(
    package: &Path,
    target: &Path,
    spec: &BuildSpec,
    isolation: Isolation,
    scratch: &Scratch,
    on_progress: impl Fn(&str),
) -> Result<Built> {
    let refused = |reason: String| Built {
        build: Build {
            outcome: BuildOutcome::Refused { reason },
            seconds: 0.0,
            dependencies_reused: false,
            notes: Vec::new(),
        },
        binary: None,
    };
    let failed = |errors: String| Built {
        build: Build {
            outcome: BuildOutcome::Failed {
                errors: shorten(&errors),
            },
            seconds: 0.0,
            dependencies_reused: false,
            notes: Vec::new(),
        },
        binary: None,
    };
    let Ok(manifest) = fs::read_to_string(package.join("Cargo.toml")) else {
        return Ok(refused(
            "There is no Cargo.toml in the folder, or it is not text.".into(),
        ));
    };
    let manifest: toml::Table = match manifest.parse() {
        Ok(manifest) => manifest,
        Err(error) => return Ok(failed(format!("Cargo.toml: {error}"))),
    };
    if let Some(reason) = sources::refused(package) {
        return Ok(refused(reason));
    }
    stand_alone(package, &manifest)?;
    // Offline and without dependencies, only the manifest itself can be wrong.
    let checked = cargo(
        package,
        &["metadata", "--no-deps", "--offline", "--format-version=1"],
    )
    .run(scratch, Duration::from_mins(1))
    .await?;
    if !checked.exit.is_success() {
        return Ok(failed(relative(&checked.stderr, package)));
    }
    on_progress("fetching dependencies");
    if let Err(errors) = fetch(package, scratch).await? {
        return Ok(failed(relative(&errors, package)));
    }
    let workshop = Workshop::open(spec, isolation, scratch).await?;
    let dependencies = Dependencies::of(&manifest, package);
    let dependencies_reused = match &dependencies {
        Some(dependencies) => dependencies.place(target, &workshop, &on_progress).await?,
        None => false,
    };
    on_progress("compiling");
    let json = ["--message-format=json"];
    let before = oom_kills();
    let finished = workshop.build(package, target, &json, spec.seconds).await?;
    if !matches!(
        finished.exit,
        Exit::Code(0) | Exit::TimedOut | Exit::Over(_)
    ) {
        workshop.can_build(before).await?;
    }
    let (outcome, binary) = outcome(&finished, package, target, spec.seconds);
    let build = Build {
        outcome,
        seconds: (finished.seconds * 1000.0).round() / 1000.0,
        dependencies_reused,
        notes: Vec::new(),
    };
    Ok(Built { build, binary })
}

/// Makes the copy a workspace of its own, so that it does not matter in which folder it lies.
fn stand_alone(package: &Path, manifest: &toml::Table) -> Result<()> {
    let says = |table: Option<&toml::Value>| table.is_some_and(|t| t.get("workspace").is_some());
    if manifest.contains_key("workspace") || says(manifest.get("package")) {
        return Ok(());
    }
    fs::OpenOptions::new()
        .append(true)
        .open(package.join("Cargo.toml"))
        .and_then(|mut file| file.write_all(b"\n[workspace]\n"))
        .context("write to the copy of Cargo.toml")
}

/// What it takes to run cargo on a stranger's package.
struct Workshop<'a> {
    spec: &'a BuildSpec,
    isolation: Isolation,
    scratch: &'a Scratch,
    /// The toolchain's own folder.
    sysroot: PathBuf,
    /// Where downloaded sources are.
    cargo_home: PathBuf,
}

impl<'a> Workshop<'a> {
    async fn open(spec: &'a BuildSpec, isolation: Isolation, scratch: &'a Scratch) -> Result<Self> {
        let asked = toolchain(Command::new("rustc", scratch.path()))
            .args(["--print", "sysroot"])
            .run(scratch, Duration::from_secs(30))
            .await
            .context("find the Rust toolchain's folder")?;
        let cargo_home = match std::env::var_os("CARGO_HOME") {
            Some(home) => std::path::absolute(home).context("read CARGO_HOME")?,
            None => std::env::home_dir()
                .context("find your home folder: set CARGO_HOME")?
                .join(".cargo"),
        };
        Ok(Self {
            spec,
            isolation,
            scratch,
            sysroot: asked.stdout.trim().into(),
            cargo_home,
        })
    }

    /// `cargo build --release` without a network, into `target`.
    async fn build(
        &self,
        package: &Path,
        target: &Path,
        more: &[&str],
        seconds: u64,
    ) -> Result<Finished> {
        fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
        let args = ["build", "--release", "--offline"];
        let command = if self.isolation.confines() {
            self.confined(package, target, seconds)?.args(args)
        } else {
            cargo(package, &args)
        };
        command
            .arg("--target-dir")
            .arg(target)
            .args(more)
            .run(self.scratch, Duration::from_secs(seconds))
            .await
    }

    /// The toolchain's own cargo, which sees the package, the toolchain and the downloaded sources,
    /// and changes nothing but `target`. Credentials are not among what it sees.
    fn confined(&self, package: &Path, target: &Path, seconds: u64) -> Result<Command> {
        // New for each build: what the one before left in it is its own matter.
        let tmp = self.scratch.new_folder("build-tmp")?;
        let bin = self.sysroot.join("bin");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(bin.clone()).chain(std::env::split_paths(&paths));
        let read = [
            package.to_owned(),
            self.sysroot.clone(),
            self.cargo_home.join("registry"),
            self.cargo_home.join("config.toml"),
            self.cargo_home.join("config"),
        ];
        let confinement = Confinement::of_build(self.spec, &read, &[target, &tmp], seconds);
        Ok(Command::new(bin.join("cargo"), package)
            .env("PATH", std::env::join_paths(paths).unwrap_or_default())
            .env("CARGO_HOME", &self.cargo_home)
            .env("CARGO_TERM_COLOR", "never")
            .env("HOME", &tmp)
            .env("TMPDIR", &tmp)
            .confined(Some(confinement)))
    }

    /// Makes sure that a build which failed did not fail because of this machine: a disk that is full,
    /// memory that ran out since the kernel had ended `before` processes for that, no linker, a broken
    /// configuration of cargo. Costs a third of a second, and only when a build failed.
    ///
    /// # Errors
    /// When this machine could not have built anything.
    async fn can_build(&self, before: u64) -> Result<()> {
        let scratch = self.scratch;
        enough_space(scratch)?;
        // A submission can end its own compiler, and can print that it was ended.
        ensure!(
            oom_kills() == before,
            "build the submission: memory ran out on this machine while it was built"
        );
        let package = scratch.folder("self-test")?;
        fs::create_dir_all(package.join("src")).context("write a package to try cargo on")?;
        let manifest = "[package]\nname = \"self-test\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(package.join("Cargo.toml"), manifest)
            .context("write a package to try cargo on")?;
        fs::write(package.join("src/main.rs"), "fn main() {}\n")
            .context("write a package to try cargo on")?;
        fetch_offline(&package, scratch).await?;
        let target = scratch.new_folder("self-test-target")?;
        let tried = self.build(&package, &target, &[], 120).await?;
        ensure!(
            tried.exit.is_success(),
            "this machine cannot build an empty program: {}{}",
            last_lines(&tried.stderr, 3),
            if self.isolation.confines() {
                "\nIf it can with --isolation none, its compiler needs what confined builds cannot see."
            } else {
                ""
            }
        );
        Ok(())
    }
}

/// # Errors
/// When the scratch folder's disk is full.
fn enough_space(scratch: &Scratch) -> Result<()> {
    let space = rustix::fs::statvfs(scratch.path()).context("look at the scratch folder")?;
    ensure!(
        space.f_bavail * space.f_frsize >= LEAST_SPACE
            && (space.f_files == 0 || space.f_favail > 100),
        "the scratch folder {} is full: free some space, or set FEEDGRADE_SCRATCH to another folder",
        scratch.path().display()
    );
    Ok(())
}

/// How many processes the kernel has ended on this machine because memory ran out; 0 where it does
/// not tell.
fn oom_kills() -> u64 {
    let counters = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Writes the package's lock file, or anew when it does not fit, which a confined build cannot. Runs
/// nothing of the package's own. Whether everything that it names is there.
async fn fetch_offline(package: &Path, scratch: &Scratch) -> Result<bool> {
    let fetched = cargo(package, &["fetch", "--offline"])
        .run(scratch, FETCH)
        .await?;
    Ok(fetched.exit.is_success())
}

/// Downloads what the package's lock file names. The inner error is the learner's.
async fn fetch(package: &Path, scratch: &Scratch) -> Result<Result<(), String>> {
    // Mostly everything is there already; asking the registry would cost seconds and a network.
    if fetch_offline(package, scratch).await? {
        return Ok(Ok(()));
    }
    let online = cargo(package, &["fetch"]).run(scratch, FETCH).await?;
    if online.exit.is_success() {
        return Ok(Ok(()));
    }
    // Nothing but the registry is asked, so what is no trouble with that is in the package's files.
    let is_machines = [
        "failed to download",
        "failed to query",
        "failed to get successful HTTP response",
        "failed to fetch",
        "network failure",
        "spurious network error",
        "could not connect",
        "ould not resolve",
        "ouldn't resolve",
        "onnection refused",
        "imed out",
        "imeout",
        "SSL",
        "certificate",
        "No space left",
        "Permission denied",
    ]
    .iter()
    .any(|sign| online.stderr.contains(sign));
    if !is_machines {
        return Ok(Err(online.stderr));
    }
    bail!(
        "fetch the submission's dependencies ({}): {}\nConnect this machine to the registry, or run \
         `cargo fetch` in the submission's folder first.",
        online.exit,
        last_lines(&online.stderr, 4)
    );
}

fn outcome(
    finished: &Finished,
    package: &Path,
    target: &Path,
    seconds: u64,
) -> (BuildOutcome, Option<PathBuf>) {
    match finished.exit {
        Exit::TimedOut => return (BuildOutcome::TimedOut { seconds }, None),
        Exit::Over(excess) => {
            let reason = format!("The build used {excess} and was stopped.");
            return (BuildOutcome::Refused { reason }, None);
        }
        Exit::Code(_) | Exit::Signal(_) => {}
    }
    let messages: Vec<Value> = finished
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if !finished.exit.is_success() {
        return (
            BuildOutcome::Failed {
                errors: errors(&messages, finished, package),
            },
            None,
        );
    }
    let mut binaries: Vec<&str> = messages
        .iter()
        .filter(|message| message["target"]["kind"][0] == "bin")
        .filter_map(|message| message["executable"].as_str())
        // A macro may print lines that look like cargo's own, and a build script may leave links.
        .filter(|path| is_inside(Path::new(path), target))
        .collect();
    binaries.sort_unstable();
    binaries.dedup();
    match binaries.as_slice() {
        [binary] => (BuildOutcome::Built, Some(PathBuf::from(binary))),
        [] => {
            let reason = "The package makes no binary. The server needs a src/main.rs.".to_owned();
            (BuildOutcome::Refused { reason }, None)
        }
        several => {
            let names: Vec<String> = several
                .iter()
                .filter_map(|path| {
                    Some(Path::new(path).file_name()?.to_string_lossy().into_owned())
                })
                .collect();
            let reason = format!(
                "The package makes {} binaries ({}), and the grader cannot know which one is the \
                 server. Keep one.",
                several.len(),
                names.join(", ")
            );
            (BuildOutcome::Refused { reason }, None)
        }
    }
}

/// Whether a path leads to a regular file in `folder`, whatever links are on the way.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let (Ok(path), Ok(folder)) = (fs::canonicalize(path), fs::canonicalize(folder)) else {
        return false;
    };
    path.starts_with(folder) && path.is_file()
}

/// The compiler's errors as it would print them; cargo's own words when it never ran.
fn errors(messages: &[Value], finished: &Finished, package: &Path) -> String {
    let mut rendered: Vec<&str> = messages
        .iter()
        .map(|message| &message["message"])
        .filter(|message| message["level"] == "error")
        .filter_map(|message| message["rendered"].as_str())
        .filter(|text| !text.starts_with("error: aborting due to"))
        .collect();
    rendered.dedup();
    if rendered.is_empty() {
        let said: Vec<&str> = finished
            .stderr
            .lines()
            .filter(|line| {
                let line = line.trim_start();
                ![
                    "Compiling ",
                    "Fresh ",
                    "Downloaded ",
                    "Downloading ",
                    "Locking ",
                    "warning: ",
                ]
                .iter()
                .any(|start| line.starts_with(start))
            })
            .collect();
        let said = last_lines(&said.join("\n"), 40);
        if said.is_empty() {
            return format!("The build ended with {}.", finished.exit);
        }
        return shorten(&relative(&said, package));
    }
    let more = rendered.len().saturating_sub(MOST_ERRORS);
    let mut text = rendered[..rendered.len() - more].join("\n");
    if more > 0 {
        let _ = write!(text, "\n… and {more} more errors");
    }
    shorten(&relative(&text, package))
}

/// Paths of this machine say nothing to a learner.
fn relative(text: &str, package: &Path) -> String {
    let package = package.display().to_string();
    text.replace(&format!("{package}/"), "")
        .replace(&package, ".")
        .trim()
        .to_owned()
}

fn shorten(text: &str) -> String {
    // Escape sequences in a file name or a macro's message must not reach a terminal.
    let clean: String = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    match clean.char_indices().nth(MOST_ERROR_CHARS) {
        None => clean,
        Some((end, _)) => format!("{}\n… cut here", &clean[..end]),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn cargo(cwd: &Path, args: &[&str]) -> Command {
    toolchain(Command::new("cargo", cwd))
        .env("CARGO_TERM_COLOR", "never")
        .args(args)
}

/// What rustup, cargo and a network behind a proxy need, and nothing else.
fn toolchain(command: Command) -> Command {
    [
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "TMPDIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CARGO_HTTP_CAINFO",
    ]
    .into_iter()
    .fold(command, Command::inherit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_nothing_of_this_machine_and_carry_no_escapes() {
        let text = relative(
            "error: \u{1b}[31m/scratch/run-1/copy/src/main.rs:1",
            Path::new("/scratch/run-1/copy"),
        );
        assert_eq!(shorten(&text), "error: [31msrc/main.rs:1");
    }
}
