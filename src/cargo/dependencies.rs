//! Dependencies: compiled once for each set of them, and copied into every build's own target folder.
//!
//! A stand-in for the package, with the same dependencies and an empty `main`, is what compiles
//! them: nothing of a submission runs while something is made that others will use. What the
//! dependencies themselves run is confined to the one entry that it fills.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Workshop, enough_space, fetch_offline, rustc_version};
use crate::cache::{Cache, key};
use crate::process::Command;
use crate::scratch::Scratch;

/// Compiling them may take so many seconds; it happens once for each set of them.
const DEADLINE: u64 = 20 * 60;
/// The name of the package that stands in for a submission.
const STAND_IN: &str = "feedgrade-dependencies";

/// The dependencies of a package, apart from the package itself.
#[derive(Debug)]
pub(super) struct Dependencies {
    manifest: String,
    lock: String,
    stubs: Vec<(&'static str, &'static str)>,
}

impl Dependencies {
    /// What stands in for the package while its dependencies are compiled: the same tables of
    /// dependencies, features and profiles, and an empty `main`. `None` for packages that depend on
    /// folders: what those hold is not in the lock file.
    pub(super) fn of(manifest: &toml::Table, package: &Path) -> Option<Self> {
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
    pub(super) async fn place(
        &self,
        target: &Path,
        workshop: &Workshop<'_>,
        on_progress: &impl Fn(&str),
    ) -> Result<bool> {
        let scratch = workshop.scratch;
        let rustc = rustc_version(scratch).await?;
        let cache = Cache::open("dependencies")?;
        let key = key([self.manifest.as_str(), &locked_packages(&self.lock), &rustc]);
        if let Some(compiled) = cache.get(&key) {
            copy_tree(&compiled, target, scratch).await?;
            return Ok(true);
        }
        let _lock = cache.lock(&key).await?;
        let (compiled, reused) = if let Some(compiled) = cache.get(&key) {
            (Some(compiled), true)
        } else {
            on_progress("compiling dependencies, once for all who share them");
            (self.compile(&cache, &key, workshop).await?, false)
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
        workshop: &Workshop<'_>,
    ) -> Result<Option<PathBuf>> {
        let package = workshop.scratch.folder(&format!("dependencies-{key}"))?;
        fs::write(package.join("Cargo.toml"), &self.manifest).context("write a stand-in")?;
        fs::write(package.join("Cargo.lock"), &self.lock).context("write a stand-in")?;
        for (path, code) in &self.stubs {
            let path = package.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&package)).context("write a stand-in")?;
            fs::write(&path, code).context("write a stand-in")?;
        }
        if !fetch_offline(&package, workshop.scratch).await? {
            return Ok(None);
        }
        let draft = cache.draft()?;
        let finished = workshop
            .build(&package, draft.path(), &[], DEADLINE)
            .await?;
        if !finished.exit.is_success() {
            enough_space(workshop.scratch)?;
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
    let lock: toml::Table = lock.parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let locked = packages.into_iter().flatten();
    locked
        .filter(|package| package.get("source").is_some())
        .map(toml::Value::to_string)
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
}
