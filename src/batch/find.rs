//! Finding: which folders below a folder are submissions, and whose.
//!
//! A submission is a folder with a Cargo.toml. No link is followed: an archive that a learner made
//! could point at somebody else's work.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::key;
use crate::class::roster::Entry;
use crate::class::{Row, Standing};

/// How deep below the folder of a class submissions are looked for.
const DEEPEST: usize = 5;
/// Folders that hold no submissions.
const NOT_SUBMISSIONS: [&str; 3] = ["target", "feedgrade-out", "node_modules"];
/// Files that a batch writes beside the folders of its members.
const OWN_FILES: [&str; 5] = [
    "batch.json",
    "grades.csv",
    "index.html",
    super::journal::NAME,
    "review.yaml",
];
/// Bytes of an id that stay in the name of its folder.
const LONGEST_NAME: usize = 80;

/// A place in the class, with or without a submission.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Who, and where the results go. No grade yet.
    pub row: Row,
    /// The submission's folder. `None` when there is none to grade.
    pub path: Option<PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Every member, by the names of their results' folders.
    pub seats: Vec<Seat>,
    /// What is worth telling, one sentence each.
    pub notices: Vec<String>,
}

/// Finds the submissions below `dir`, an absolute path. With a roster, its members are the class;
/// `out` is never taken for a submission.
///
/// # Errors
/// When there are none, or the folder cannot be read.
pub fn find(dir: &Path, roster: Option<&[Entry]>, out: &Path) -> Result<Found> {
    ensure!(
        !dir.join("Cargo.toml").is_file(),
        "{} is a submission itself: name the folder above it, or grade it with `feedgrade check`",
        dir.display()
    );
    let mut notices = Vec::new();
    let mut seats = match roster {
        None => from_folders(dir, out, &mut notices)?,
        Some(entries) => from_roster(dir, out, entries, &mut notices),
    };
    ensure!(
        seats.iter().any(|seat| seat.path.is_some()),
        "there are no submissions below {}: a submission is a folder with a Cargo.toml{}",
        dir.display(),
        if roster.is_some() {
            ", and the roster's column `folder` names it"
        } else {
            ""
        }
    );
    name_folders(&mut seats)?;
    seats.sort_by(|a, b| a.row.folder.cmp(&b.row.folder));
    Ok(Found { seats, notices })
}

fn seat(id: &str, source: &str, found: Result<PathBuf, (Standing, String)>) -> Seat {
    let (path, standing, problem) = match found {
        Ok(path) => (Some(path), Standing::Waiting, String::new()),
        Err((standing, problem)) => (None, standing, problem),
    };
    Seat {
        row: Row {
            source: source.to_owned(),
            ..Row::without_grade(id, "", standing, &problem)
        },
        path,
    }
}

/// Every folder in `dir` is a member; one that holds several submissions is several.
fn from_folders(dir: &Path, out: &Path, notices: &mut Vec<String>) -> Result<Vec<Seat>> {
    let mut seats = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry.with_context(|| format!("read {}", dir.display()))?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        let kind = entry
            .file_type()
            .with_context(|| format!("look at {name:?}"))?;
        if kind.is_symlink() && path.is_dir() {
            notices.push(format!("{name:?} is a link, which is not followed"));
        }
        if !kind.is_dir() || is_left_out(&path, &name, out) {
            continue;
        }
        let Searched { found, closed } = searched(&path, out, DEEPEST - 1);
        // A closed folder beside several submissions may be one, too.
        if found.len() > 1 {
            for folder in &closed {
                let source = below(folder, dir);
                seats.push(seat(&source, &source, Err(unreadable(&source))));
            }
        }
        match found.as_slice() {
            [] if !closed.is_empty() => {
                let why = unreadable(&below(&closed[0], dir));
                seats.push(seat(&name, &name, Err(why)));
            }
            [] => {
                let why = "There is no Cargo.toml in the folder.".to_owned();
                seats.push(seat(&name, &name, Err((Standing::Missing, why))));
            }
            [only] => seats.push(seat(&name, &below(only, dir), Ok(only.clone()))),
            several => {
                for one in several {
                    let source = below(one, dir);
                    seats.push(seat(&source, &source, Ok(one.clone())));
                }
            }
        }
    }
    Ok(seats)
}

/// Every line of the roster is a member.
fn from_roster(dir: &Path, out: &Path, entries: &[Entry], notices: &mut Vec<String>) -> Vec<Seat> {
    let mut seats = Vec::new();
    let mut shared: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        let found = in_folder(dir, out, &entry.folder);
        if let Ok(path) = &found {
            shared.entry(path.clone()).or_default().push(&entry.id);
        }
        let mut seat = seat(&entry.id, &entry.folder, found);
        seat.row.name.clone_from(&entry.name);
        seat.row.email.clone_from(&entry.email);
        seats.push(seat);
    }
    for (path, ids) in &shared {
        if ids.len() > 1 {
            notices.push(format!(
                "{} hand in the same folder, {:?}: it is graded for each of them",
                ids.join(" and "),
                below(path, dir)
            ));
        }
    }
    let Searched { found: all, .. } = searched(dir, out, DEEPEST);
    let strangers: Vec<String> = all
        .iter()
        .filter(|path| !shared.contains_key(*path))
        .map(|path| format!("{:?}", below(path, dir)))
        .collect();
    if !strangers.is_empty() {
        notices.push(format!(
            "not on the roster, and not graded: {}",
            strangers.join(", ")
        ));
    }
    seats
}

/// The one submission in a folder that the roster names, or why there is none.
fn in_folder(dir: &Path, out: &Path, folder: &str) -> Result<PathBuf, (Standing, String)> {
    let path = dir.join(folder);
    let missing = |why: String| Err((Standing::Missing, why));
    let Ok(real) = fs::canonicalize(&path) else {
        return missing(format!("There is no folder {folder:?}."));
    };
    if real != path {
        let why = format!("{folder:?} is a link, which is not followed.");
        return Err((Standing::Ungraded, why));
    }
    if !real.is_dir() {
        return missing(format!("{folder:?} is no folder."));
    }
    let Searched { found, closed } = searched(&path, out, DEEPEST - 1);
    match found.as_slice() {
        [] if !closed.is_empty() => Err(unreadable(folder)),
        [] => missing(format!("There is no Cargo.toml in {folder:?}.")),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<String> = several.iter().map(|path| below(path, dir)).collect();
            let why = format!(
                "{folder:?} holds several submissions: let the roster name one of {}.",
                names.join(", ")
            );
            Err((Standing::Ungraded, why))
        }
    }
}

fn unreadable(folder: &str) -> (Standing, String) {
    let why = format!("{folder:?} cannot be read by this user, or not all of it.");
    (Standing::Ungraded, why)
}

/// What is below a folder.
#[derive(Debug, Default)]
struct Searched {
    /// Submissions.
    found: Vec<PathBuf>,
    /// Folders that cannot be read.
    closed: Vec<PathBuf>,
}

fn search(folder: &Path, out: &Path, levels: usize, searched: &mut Searched) {
    if folder.join("Cargo.toml").is_file() {
        searched.found.push(folder.to_owned());
        return;
    }
    if levels == 0 {
        return;
    }
    let entries: std::io::Result<Vec<fs::DirEntry>> =
        fs::read_dir(folder).and_then(Iterator::collect);
    let Ok(mut entries) = entries else {
        searched.closed.push(folder.to_owned());
        return;
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !is_left_out(&entry.path(), &name, out) {
            search(&entry.path(), out, levels - 1, searched);
        }
    }
}

/// All that is found in a folder, and at most so many levels below it.
fn searched(folder: &Path, out: &Path, levels: usize) -> Searched {
    let mut searched = Searched::default();
    search(folder, out, levels, &mut searched);
    searched
}

fn is_left_out(path: &Path, name: &str, out: &Path) -> bool {
    name.starts_with('.') || NOT_SUBMISSIONS.contains(&name) || path == out
}

fn below(path: &Path, dir: &Path) -> String {
    let path = path.strip_prefix(dir).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// Gives every member a folder for the results that no other has, also where capitals do not count.
fn name_folders(seats: &mut [Seat]) -> Result<()> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for seat in &*seats {
        *taken.entry(safe(&seat.row.id).to_lowercase()).or_default() += 1;
    }
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for seat in seats {
        let id = &seat.row.id;
        let name = safe(id);
        seat.row.folder = match taken[&name.to_lowercase()] {
            1 => name,
            _ => distinct(&name, id),
        };
        if let Some(other) = named.insert(seat.row.folder.to_lowercase(), id.clone()) {
            bail!(
                "{other:?} and {id:?} would have their results in one folder: rename one of them, \
                 or give them ids in a roster"
            );
        }
    }
    Ok(())
}

/// A name of a folder: the id itself where it is plain, else what is plain of it and a digest.
fn safe(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c,
            _ => '-',
        })
        .collect();
    let plain = plain.trim_start_matches(['.', '-']);
    let plain = &plain[..plain.len().min(LONGEST_NAME)];
    let is_own = OWN_FILES.contains(&plain.to_lowercase().as_str());
    if plain == id && !plain.is_empty() && !is_own {
        id.to_owned()
    } else {
        distinct(plain, id)
    }
}

fn distinct(name: &str, id: &str) -> String {
    let digest = key([id]);
    let name = name.trim_end_matches(['.', '-']);
    format!("{name}-{}", &digest[..8])
        .trim_start_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(folders: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in folders {
            let path = dir.path().join(folder);
            fs::create_dir_all(&path).unwrap();
            if !folder.ends_with("empty") {
                fs::write(path.join("Cargo.toml"), "x").unwrap();
            }
        }
        dir
    }

    fn found(dir: &Path, roster: Option<&[Entry]>) -> Found {
        let dir = fs::canonicalize(dir).unwrap();
        find(&dir, roster, &dir.join("results")).unwrap()
    }

    fn entry(id: &str, folder: &str) -> Entry {
        Entry {
            id: id.into(),
            name: None,
            email: None,
            folder: folder.into(),
            line: 2,
        }
    }

    #[test]
    fn every_folder_is_a_member_whatever_it_holds() {
        let dir = class(&[
            "ann",
            "ben/submission",
            "two/a",
            "two/b",
            "empty",
            "results/ann",
            ".git/x",
            "target/x",
        ]);
        std::os::unix::fs::symlink(dir.path().join("ann"), dir.path().join("link")).unwrap();
        let found = found(dir.path(), None);
        let told: Vec<(&str, &str, Standing)> = found
            .seats
            .iter()
            .map(|s| (s.row.id.as_str(), s.row.source.as_str(), s.row.standing))
            .collect();
        assert_eq!(
            told,
            [
                ("ann", "ann", Standing::Waiting),
                ("ben", "ben/submission", Standing::Waiting),
                ("empty", "empty", Standing::Missing),
                ("two/a", "two/a", Standing::Waiting),
                ("two/b", "two/b", Standing::Waiting),
            ]
        );
        assert!(found.notices[0].contains("link"), "{:?}", found.notices);
    }

    #[test]
    fn a_roster_says_who_is_in_the_class() {
        let dir = class(&["ann", "two/a", "two/b", "stranger"]);
        std::os::unix::fs::symlink(dir.path().join("ann"), dir.path().join("link")).unwrap();
        let roster = [
            entry("1", "ann"),
            entry("2", "ann"),
            entry("3", "nowhere"),
            entry("4", "two"),
            entry("5", "link"),
        ];
        let found = found(dir.path(), Some(&roster));
        let standings: Vec<Standing> = found.seats.iter().map(|s| s.row.standing).collect();
        assert_eq!(
            standings,
            [
                Standing::Waiting,
                Standing::Waiting,
                Standing::Missing,
                Standing::Ungraded,
                Standing::Ungraded
            ]
        );
        let told = found.notices.join("\n");
        assert!(told.contains("1 and 2 hand in the same folder"), "{told}");
        assert!(
            told.contains("not on the roster") && told.contains("stranger"),
            "{told}"
        );
    }

    #[test]
    fn names_of_folders_are_plain_and_never_the_same() {
        for id in ["ann", "Ann-B_2.0"] {
            assert_eq!(safe(id), id);
        }
        let long = "x".repeat(300);
        for id in [
            "../../etc",
            "a/b",
            "José",
            "=1+1",
            "batch.json",
            "",
            ".hidden",
            "Index.html",
            &long,
        ] {
            let name = safe(id);
            assert!(
                !name.contains('/') && !name.starts_with(['.', '-']),
                "{name}"
            );
            assert!(name.len() <= 100 && name != *id, "{name}");
        }
        assert_ne!(safe("a/b"), safe("a-b"));
        assert_ne!(safe("a/b"), safe("a b"));
        let mut seats = ["Ann", "ann", "ben"].map(|id| seat(id, id, Ok(PathBuf::new())));
        name_folders(&mut seats).unwrap();
        let folders: Vec<&str> = seats.iter().map(|s| s.row.folder.as_str()).collect();
        assert_eq!(folders[2], "ben");
        assert_ne!(folders[0].to_lowercase(), folders[1].to_lowercase());
    }

    #[test]
    fn a_folder_without_submissions_is_told_with_the_way_out() {
        for folders in [&[][..], &["empty"]] {
            let dir = class(folders);
            let error = find(dir.path(), None, Path::new("/out"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("a submission is a folder with a Cargo.toml"),
                "{error}"
            );
        }
        let one = class(&[""]);
        let error = find(one.path(), None, Path::new("/out"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("feedgrade check"), "{error}");
    }
}
