//! Sources: where the crates of a package may come from.
//!
//! From the registry, or from folders of the package itself. Anything else would make the grader ask
//! whatever machine, or read whatever folder, a submission names, before anything is confined.

use std::fs;
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

/// Deeper folders are none of a package's own.
const DEEPEST: usize = 8;

/// Why the package may not be built, if it may not: one sentence for the learner.
pub(super) fn refused(package: &Path) -> Option<String> {
    let mut manifests = Vec::new();
    find(package, 0, &mut manifests);
    for path in manifests {
        let shown = path
            .strip_prefix(package)
            .unwrap_or(&path)
            .display()
            .to_string();
        // What is no manifest is told by cargo, which says it better.
        let Some(manifest) = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.parse().ok())
        else {
            continue;
        };
        let folder = path.parent().unwrap_or(package);
        if let Some(what) = foreign(&manifest, folder, package) {
            return Some(format!(
                "{shown:?} {what}. Crates come from crates.io or from folders of the package itself."
            ));
        }
    }
    let lock: Table = fs::read_to_string(package.join("Cargo.lock"))
        .ok()?
        .parse()
        .ok()?;
    let packages = lock.get("package")?.as_array()?;
    let sources = packages
        .iter()
        .filter_map(|one| one.get("source")?.as_str());
    let is_registry = |source: &&str| {
        [
            "registry+https://github.com/rust-lang/crates.io-index",
            "sparse+https://index.crates.io/",
        ]
        .contains(source)
    };
    sources.into_iter().find(|source| !is_registry(source)).map(|source| {
        format!(
            "Cargo.lock names the source {source:?}. Crates come from crates.io or from folders of \
             the package itself."
        )
    })
}

/// All files called Cargo.toml.
fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth < DEEPEST {
            find(&entry.path(), depth + 1, found);
        } else if entry.file_name() == "Cargo.toml" {
            found.push(entry.path());
        }
    }
}

/// What in a manifest leads elsewhere.
fn foreign(manifest: &Table, folder: &Path, package: &Path) -> Option<String> {
    let about = manifest.get("package").and_then(Value::as_table);
    if let Some(root) = about.and_then(|about| about.get("workspace")?.as_str())
        && !is_inside(folder, root, package)
    {
        return Some(format!("names the workspace {root:?}"));
    }
    manifest
        .iter()
        .filter(|(name, _)| {
            !["package", "features", "profile", "lints", "badges"].contains(&name.as_str())
        })
        .find_map(|(_, value)| leads_elsewhere(value, folder, package))
}

fn leads_elsewhere(value: &Value, folder: &Path, package: &Path) -> Option<String> {
    match value {
        Value::Array(values) => values
            .iter()
            .find_map(|value| leads_elsewhere(value, folder, package)),
        Value::Table(table) => table.iter().find_map(|(name, value)| match value {
            Value::String(text) => match name.as_str() {
                "git" | "registry" | "registry-index" => Some(format!("names the {name} {text:?}")),
                "path" if !is_inside(folder, text, package) => {
                    Some(format!("names the path {text:?}, outside of the package"))
                }
                _ => None,
            },
            value => leads_elsewhere(value, folder, package),
        }),
        _ => None,
    }
}

/// Whether a path in a manifest in `folder` stays in the package. There are no links in a copy.
fn is_inside(folder: &Path, path: &str, package: &Path) -> bool {
    let mut depth = folder
        .strip_prefix(package)
        .map_or(0, |inside| inside.components().count());
    for component in Path::new(path).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_come_from_the_registry_or_from_the_package_itself() {
        let folder = tempfile::tempdir().unwrap();
        let told = |manifest: &str, inner: &str, lock: &str| {
            fs::create_dir_all(folder.path().join("inner")).unwrap();
            fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
            fs::write(folder.path().join("inner/Cargo.toml"), inner).unwrap();
            fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
            refused(folder.path())
        };
        let registry = "[[package]]\nname = \"a\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        for fine in [
            "[dependencies]\naxum = \"0.8\"\ninner = { path = \"inner\" }\n",
            "[[bin]]\nname = \"feed\"\npath = \"src/main.rs\"\n[package.metadata]\ngit = \"x\"\n",
            "not a manifest",
        ] {
            assert_eq!(
                told(fine, "[dependencies]\nup = { path = \"..\" }\n", registry),
                None
            );
        }
        for (manifest, inner, lock, says) in [
            (
                "[dependencies]\nx = { git = \"file:///x\" }\n",
                "",
                "",
                "names the git",
            ),
            (
                "[patch.crates-io]\nx = { git = \"https://x\" }\n",
                "",
                "",
                "names the git",
            ),
            (
                "[target.'cfg(unix)'.build-dependencies.x]\ngit = \"x\"\n",
                "",
                "",
                "names the git",
            ),
            (
                "[dependencies]\nx = { path = \"../x\" }\n",
                "",
                "",
                "outside of the package",
            ),
            (
                "[dependencies]\nx = { path = \"/x\" }\n",
                "",
                "",
                "outside of the package",
            ),
            (
                "[dependencies]\nx = { version = \"1\", registry = \"y\" }\n",
                "",
                "",
                "names the registry",
            ),
            (
                "[package]\nworkspace = \"../../x\"\n",
                "",
                "",
                "names the workspace",
            ),
            (
                "",
                "[dependencies]\nx = { path = \"../../x\" }\n",
                "",
                "\"inner/Cargo.toml\" names the path",
            ),
            (
                "",
                "",
                "[[package]]\nname = \"a\"\nsource = \"git+https://x#1\"\n",
                "names the source",
            ),
        ] {
            let told = told(manifest, inner, lock).unwrap_or_default();
            assert!(told.contains(says), "{manifest}{inner}{lock}: {told}");
        }
    }
}
