//! Embeds `exercises/`, `rubrics/` and `reference/` as one sorted array of paths and bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let mut files = Vec::new();
    for folder in ["exercises", "rubrics", "reference"] {
        println!("cargo:rerun-if-changed={folder}");
        list(&root.join(folder), &mut files);
    }
    files.sort();
    assert!(
        files
            .iter()
            .any(|file| file.ends_with("starter/Cargo.toml")),
        "the exercises are not here: `cargo package` leaves out folders that hold a Cargo.toml, so \
         install from the repository, with `cargo install --path .` or `cargo install --git`"
    );
    let mut code = String::from("&[\n");
    for file in files {
        let name = file
            .strip_prefix(&root)
            .expect("below the root")
            .display()
            .to_string();
        writeln!(code, "    ({name:?}, include_bytes!({file:?})),").expect("write to a string");
    }
    code.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("content_files.rs"), code).expect("write to OUT_DIR");
}

/// The same folders are left out as when content is read from a folder: see `src/content.rs`.
fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            files.push(path);
        } else if entry.file_name() != "target" && entry.file_name() != "feedgrade-out" {
            list(&path, files);
        }
    }
}
