//! The rules that the code keeps by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// `pub mod` lines of lib.rs, in order.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(rust_files(&path)),
            path if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            _ => {}
        }
    }
    files
}

/// Each module of the library with the code of all its files, tests included.
fn code() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut code: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let source = root().join("src");
    for path in rust_files(&source) {
        let name = path
            .strip_prefix(&source)
            .unwrap()
            .components()
            .next()
            .unwrap();
        let name = name
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned();
        code.entry(name)
            .or_default()
            .push((path.clone(), fs::read_to_string(&path).unwrap()));
    }
    code
}

#[test]
fn a_module_uses_only_modules_that_are_listed_above_it() {
    let (modules, code) = (modules(), code());
    for (place, module) in modules.iter().enumerate() {
        for (path, text) in &code[module] {
            for used in text.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let Some(used_place) = modules.iter().position(|name| *name == used) else {
                    continue;
                };
                assert!(
                    used_place <= place,
                    "{} uses {used}, which lib.rs lists below {module}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn words_judgement_and_formats_touch_no_network_clock_file_or_process() {
    let (modules, code) = (modules(), code());
    let hands = modules.iter().position(|name| name == "scratch").unwrap();
    let pure = modules[..hands]
        .iter()
        .chain(modules.iter().filter(|name| *name == "format"));
    let effects = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "Instant::now",
        "SystemTime",
        "tokio::",
    ];
    for module in pure {
        for (path, text) in &code[module] {
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for effect in effects {
                assert!(!text.contains(effect), "{} has {effect}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in code().into_values().flatten() {
        assert!(text.starts_with("//! "), "{} has no header", path.display());
    }
}
