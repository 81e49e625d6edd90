//! Cargo: turns a copied folder into one binary, and tells the learner's errors from the machine's.
//!
//! Dependencies are compiled once for each set of them and copied into every build's own target
//! folder. Target folders are never shared: with equal package names, cargo would take another
//! submission's binary for this one's.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cache::{Cache, key};
use crate::evidence::{Build, BuildOutcome};
use crate::process::{Command, Exit, Finished};
use crate::scratch::Scratch;

/// Fetching dependencies may take this long.
const FETCH: Duration = Duration::from_mins(5);
/// Compiling dependencies may take this long; it happens once for each set of them.
const DEPENDENCIES: Duration = Duration::from_mins(20);
/// Errors of the compiler that are kept, and the characters of all of them together.
const MOST_ERRORS: usize = 8;
const MOST_ERROR_CHARS: usize = 12_000;
/// The name of the package that stands in for a submission while its dependencies are compiled.
const STAND_IN: &str = "feedgrade-dependencies";

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
/// `target`, which must not exist yet. `seconds` is the deadline of the package's own compilation.
///
/// # Errors
/// When the machine fails: no toolchain, no network and no dependencies, a full disk.
pub async fn build(
    package: &Path,
    target: &Path,
    seconds: u64,
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
            outcome: BuildOutcome::Failed { errors },
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
    let dependencies = Dependencies::of(&manifest, package);
    let dependencies_reused = match &dependencies {
        Some(dependencies) => dependencies.place(target, scratch, &on_progress).await?,
        None => false,
    };
    on_progress("compiling");
    let finished = cargo(
        package,
        &["build", "--release", "--offline", "--message-format=json"],
    )
    .arg("--target-dir")
    .arg(target)
    .run(scratch, Duration::from_secs(seconds))
    .await?;
    let (outcome, binary) = outcome(&finished, package, target, seconds)?;
    let build = Build {
        outcome,
        seconds: (finished.seconds * 1000.0).round() / 1000.0,
        dependencies_reused,
        notes: Vec::new(),
    };
    Ok(Built { build, binary })
}

/// Downloads what the package's lock file names. The inner error is the learner's.
async fn fetch(package: &Path, scratch: &Scratch) -> Result<Result<(), String>> {
    // Mostly everything is there already; asking the registry would cost seconds and a network.
    let offline = cargo(package, &["fetch", "--offline"])
        .run(scratch, FETCH)
        .await?;
    if offline.exit.is_success() {
        return Ok(Ok(()));
    }
    let online = cargo(package, &["fetch"]).run(scratch, FETCH).await?;
    if online.exit.is_success() {
        return Ok(Ok(()));
    }
    let learners = [
        "no matching package",
        "failed to select a version",
        "no matching version",
        "failed to parse lock file",
        "failed to parse manifest",
        "cyclic package dependency",
        "does not have feature",
        "does not have the feature",
        "failed to read `",
    ];
    if learners.iter().any(|sign| online.stderr.contains(sign)) {
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
) -> Result<(BuildOutcome, Option<PathBuf>)> {
    if finished.exit == Exit::TimedOut {
        return Ok((BuildOutcome::TimedOut { seconds }, None));
    }
    let messages: Vec<Value> = finished
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if !finished.exit.is_success() {
        for machine in [
            "No space left on device",
            "Cannot allocate memory",
            "signal: 9, SIGKILL",
        ] {
            if finished.stderr.contains(machine) || finished.stdout.contains(machine) {
                bail!("build the submission: {machine}");
            }
        }
        return Ok((
            BuildOutcome::Failed {
                errors: errors(&messages, finished, package),
            },
            None,
        ));
    }
    let mut binaries: Vec<&str> = messages
        .iter()
        .filter(|message| message["target"]["kind"][0] == "bin")
        .filter_map(|message| message["executable"].as_str())
        // A macro may print lines that look like cargo's own.
        .filter(|path| Path::new(path).starts_with(target) && !path.contains(".."))
        .collect();
    binaries.sort_unstable();
    binaries.dedup();
    Ok(match binaries.as_slice() {
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
    })
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
        return shorten(&relative(&last_lines(&said.join("\n"), 40), package));
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

/// The dependencies of a package, apart from the package itself.
#[derive(Debug)]
struct Dependencies {
    manifest: String,
    lock: String,
    stubs: Vec<(&'static str, &'static str)>,
}

impl Dependencies {
    /// What stands in for the package while its dependencies are compiled: the same tables of
    /// dependencies, features and profiles, and an empty `main`. `None` for packages that depend on
    /// folders: what those hold is not in the lock file.
    fn of(manifest: &toml::Table, package: &Path) -> Option<Self> {
        let lock = fs::read_to_string(package.join("Cargo.lock")).ok()?;
        let mut stand_in = toml::Table::new();
        let mut about = toml::Table::new();
        about.insert("name".into(), STAND_IN.into());
        about.insert("version".into(), "0.0.0".into());
        let own = manifest.get("package")?.as_table()?;
        for name in ["edition", "resolver"] {
            if let Some(value) = own.get(name) {
                about.insert(name.into(), value.clone());
            }
        }
        stand_in.insert("package".into(), about.into());
        let mut stubs = vec![("src/main.rs", "fn main() {}\n")];
        for name in [
            "dependencies",
            "build-dependencies",
            "features",
            "profile",
            "target",
        ] {
            if let Some(table) = manifest.get(name) {
                stand_in.insert(name.into(), table.clone());
            }
        }
        if stand_in.contains_key("build-dependencies") {
            stubs.push(("build.rs", "fn main() {}\n"));
        }
        let unlockable = |name: &str| {
            // An empty `[workspace]` only says that the package stands alone.
            manifest
                .get(name)
                .is_some_and(|v| v.as_table().is_none_or(|t| !t.is_empty()))
        };
        stand_in.insert("workspace".into(), toml::Table::new().into());
        if ["patch", "replace", "workspace"]
            .into_iter()
            .any(unlockable)
            || has_path(&toml::Value::Table(stand_in.clone()))
        {
            return None;
        }
        Some(Self {
            manifest: toml::to_string(&stand_in).ok()?,
            lock,
            stubs,
        })
    }

    /// Fills `target` with the compiled dependencies. Whether they were there already; `false` also
    /// when they could not be compiled by themselves, which the package's own build will explain.
    async fn place(
        &self,
        target: &Path,
        scratch: &Scratch,
        on_progress: &impl Fn(&str),
    ) -> Result<bool> {
        let rustc = rustc_version(scratch).await?;
        let cache = Cache::open("dependencies")?;
        let key = key([self.manifest.as_str(), &locked_packages(&self.lock), &rustc]);
        if let Some(compiled) = cache.get(&key) {
            copy_tree(&compiled, target, scratch).await?;
            return Ok(true);
        }
        let _lock = cache.lock(&key)?;
        let (compiled, reused) = if let Some(compiled) = cache.get(&key) {
            (Some(compiled), true)
        } else {
            on_progress("compiling dependencies, once for all who share them");
            (self.compile(&cache, &key, scratch).await?, false)
        };
        if let Some(compiled) = compiled {
            copy_tree(&compiled, target, scratch).await?;
        }
        Ok(reused)
    }

    async fn compile(
        &self,
        cache: &Cache,
        key: &str,
        scratch: &Scratch,
    ) -> Result<Option<PathBuf>> {
        let package = scratch.folder(&format!("dependencies-{key}"))?;
        fs::write(package.join("Cargo.toml"), &self.manifest).context("write a stand-in")?;
        fs::write(package.join("Cargo.lock"), &self.lock).context("write a stand-in")?;
        for (path, code) in &self.stubs {
            let path = package.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&package)).context("write a stand-in")?;
            fs::write(&path, code).context("write a stand-in")?;
        }
        let draft = cache.draft()?;
        let finished = cargo(
            &package,
            &["build", "--release", "--offline", "--target-dir"],
        )
        .arg(draft.path())
        .run(scratch, DEPENDENCIES)
        .await?;
        if finished.stderr.contains("No space left on device") {
            bail!("compile dependencies: No space left on device");
        }
        if !finished.exit.is_success() {
            return Ok(None);
        }
        forget_stand_in(draft.path())?;
        cache.put(key, draft).map(Some)
    }
}

/// Removes the stand-in's own files from a target folder, so that only dependencies are left.
fn forget_stand_in(target: &Path) -> Result<()> {
    let release = target.join("release");
    for folder in ["", "deps", ".fingerprint", "build"] {
        let folder = release.join(folder);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().replace('_', "-");
            if name.trim_start_matches("lib").starts_with(STAND_IN) {
                let path = entry.path();
                let removed = if path.is_dir() {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                removed.with_context(|| format!("remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Copies a folder with its times, by which cargo knows what is fresh.
async fn copy_tree(from: &Path, to: &Path, scratch: &Scratch) -> Result<()> {
    let copied = Command::new("cp", scratch.path())
        .arg("-a")
        .arg(from)
        .arg(to)
        .run(scratch, Duration::from_mins(2))
        .await?;
    ensure!(
        copied.exit.is_success(),
        "copy compiled dependencies: {}",
        copied.stderr.trim()
    );
    Ok(())
}

fn has_path(value: &toml::Value) -> bool {
    match value {
        toml::Value::Table(table) => {
            table.contains_key("path") || table.contains_key("git") || table.values().any(has_path)
        }
        toml::Value::Array(values) => values.iter().any(has_path),
        _ => false,
    }
}

/// The packages of a lock file that come from a registry: the package's own name and version do
/// not matter to its dependencies.
fn locked_packages(lock: &str) -> String {
    lock.split("\n[[package]]\n")
        .filter(|package| package.contains("\nsource = "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_dependencies_and_nothing_of_the_package() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.lock"), "version = 4\n").unwrap();
        let manifest: toml::Table = r#"
            [package]
            name = "feed"
            version = "1.2.3"
            edition = "2024"
            build = "build.rs"
            [dependencies]
            tokio = { version = "1", features = ["full"] }
            [profile.release]
            debug = true
            [workspace]
        "#
        .parse()
        .unwrap();
        let dependencies = Dependencies::of(&manifest, folder.path()).unwrap();
        let stand_in: toml::Table = dependencies.manifest.parse().unwrap();
        assert_eq!(stand_in["package"]["name"].as_str(), Some(STAND_IN));
        assert_eq!(stand_in["package"]["edition"].as_str(), Some("2024"));
        assert!(stand_in["package"].get("build").is_none());
        assert_eq!(stand_in["dependencies"], manifest["dependencies"]);
        assert_eq!(stand_in["profile"], manifest["profile"]);
    }

    #[test]
    fn packages_that_depend_on_folders_are_compiled_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.lock"), "version = 4\n").unwrap();
        let manifest: toml::Table =
            "[package]\nname = \"feed\"\n[dependencies]\nmine = { path = \"mine\" }"
                .parse()
                .unwrap();
        assert!(Dependencies::of(&manifest, folder.path()).is_none());
    }

    #[test]
    fn the_names_of_submissions_do_not_part_their_dependencies() {
        let lock = |name: &str| {
            format!(
                "version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n\n\
                 [[package]]\nname = \"tokio\"\nversion = \"1.0.0\"\nsource = \"registry\"\n"
            )
        };
        assert_eq!(locked_packages(&lock("ann")), locked_packages(&lock("ben")));
        assert!(locked_packages(&lock("ann")).contains("tokio"));
    }

    #[test]
    fn errors_tell_nothing_of_this_machine_and_carry_no_escapes() {
        let text = relative(
            "error: \u{1b}[31m/scratch/run-1/copy/src/main.rs:1",
            Path::new("/scratch/run-1/copy"),
        );
        assert_eq!(shorten(&text), "error: [31msrc/main.rs:1");
    }
}
