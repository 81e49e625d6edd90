//! A sandbox: the scratch copy of a folder that strangers wrote.
//!
//! Copies regular files and folders, and nothing else: no link is followed, no device is opened,
//! and sizes are counted before anything is read. What was left out is noted, for the learner.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::submission::{AnswersFile, MAX_ANSWERS_BYTES};

/// More files than this are no submission.
const MOST_FILES: usize = 5_000;
/// Deeper folders than this are no submission.
const DEEPEST: usize = 30;
/// What builds and tools leave at the top of a package. Deeper down, these may be modules.
const LEFT_OUT_AT_THE_TOP: [&str; 2] = ["target", "feedgrade-out"];
/// Names that are never copied, at any depth: what would give a submission power over cargo, and
/// what can be large and is no part of it.
const LEFT_OUT: [&str; 4] = [".git", ".cargo", "rust-toolchain", "rust-toolchain.toml"];

/// What came of copying a submission.
#[derive(Debug)]
pub enum Copied {
    /// It is there.
    Whole {
        /// What was left out, one sentence each.
        notes: Vec<String>,
    },
    /// It is too large or too deep: one sentence.
    Refused(String),
}

/// Copies `from` to `to`, which must not exist yet.
///
/// # Errors
/// When the machine fails: the disk is full, a file cannot be read.
pub fn copy(from: &Path, to: &Path, max_mib: u64) -> Result<Copied> {
    let mut copy = Copy {
        bytes_left: max_mib * 1024 * 1024,
        files_left: MOST_FILES,
        notes: vec![],
    };
    match copy.folder(from, to, Path::new(""), 0)? {
        None => Ok(Copied::Whole { notes: copy.notes }),
        Some(Limit::Bytes) => Ok(Copied::Refused(format!(
            "The folder holds more than {max_mib} MiB besides target/. Leave out what the server \
             does not need."
        ))),
        Some(Limit::Files) => Ok(Copied::Refused(format!(
            "The folder holds more than {MOST_FILES} files besides target/. Leave out what the \
             server does not need."
        ))),
        Some(Limit::Depth) => Ok(Copied::Refused(format!(
            "The folder holds folders more than {DEEPEST} deep. Leave out what the server does not \
             need."
        ))),
    }
}

/// What is never copied, whatever it is.
fn is_left_out(name: &OsStr, depth: usize) -> bool {
    LEFT_OUT.iter().any(|left_out| name == *left_out)
        || depth == 0 && LEFT_OUT_AT_THE_TOP.iter().any(|left_out| name == *left_out)
}

/// A digest of all that [`copy`] would copy: paths and bytes. A folder beyond its limits has one,
/// too, of as much as is within them.
///
/// # Errors
/// When the machine cannot read what is there.
pub fn digest(from: &Path, max_mib: u64) -> Result<String> {
    let mut digest = Digest {
        hash: Sha256::new(),
        bytes_left: max_mib * 1024 * 1024,
        files_left: MOST_FILES,
    };
    digest.folder(from, Path::new(""), 0)?;
    let mut hex = String::new();
    for byte in digest.hash.finalize().iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

struct Digest {
    hash: Sha256,
    bytes_left: u64,
    files_left: usize,
}

impl Digest {
    fn folder(&mut self, from: &Path, shown: &Path, depth: usize) -> Result<()> {
        let mut entries: Vec<fs::DirEntry> = fs::read_dir(from)
            .and_then(Iterator::collect)
            .with_context(|| format!("read {}", from.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if is_left_out(&name, depth) || self.files_left == 0 {
                continue;
            }
            self.files_left -= 1;
            let shown = shown.join(&name);
            let kind = entry
                .file_type()
                .with_context(|| format!("look at {shown:?}"))?;
            if kind.is_dir() && depth < DEEPEST {
                self.folder(&entry.path(), &shown, depth + 1)?;
            } else if kind.is_file() {
                self.file(&entry.path(), &shown)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, shown: &Path) -> Result<()> {
        let Some(file) = open_regular(from).with_context(|| format!("open {shown:?}"))? else {
            return Ok(());
        };
        let size = file.metadata()?.len();
        let path = shown.as_os_str().as_encoded_bytes();
        self.hash.update((path.len() as u64).to_le_bytes());
        self.hash.update(path);
        self.hash.update(size.to_le_bytes());
        let read = io::copy(&mut file.take(self.bytes_left), &mut self.hash)
            .with_context(|| format!("read {shown:?}"))?;
        self.bytes_left -= read;
        Ok(())
    }
}

enum Limit {
    Bytes,
    Files,
    Depth,
}

struct Copy {
    bytes_left: u64,
    files_left: usize,
    notes: Vec<String>,
}

impl Copy {
    fn folder(
        &mut self,
        from: &Path,
        to: &Path,
        shown: &Path,
        depth: usize,
    ) -> Result<Option<Limit>> {
        if depth > DEEPEST {
            return Ok(Some(Limit::Depth));
        }
        fs::create_dir(to).with_context(|| format!("make {}", to.display()))?;
        let entries = fs::read_dir(from).with_context(|| format!("read {}", from.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", from.display()))?;
            let name = entry.file_name();
            let shown = shown.join(&name);
            if is_left_out(&name, depth) {
                if name != ".git" && LEFT_OUT.iter().any(|left_out| name == *left_out) {
                    self.note(format!(
                        "{shown:?} was left out: the grader builds with its own settings."
                    ));
                }
                continue;
            }
            if self.files_left == 0 {
                return Ok(Some(Limit::Files));
            }
            self.files_left -= 1;
            let kind = entry
                .file_type()
                .with_context(|| format!("look at {shown:?}"))?;
            let (from, to) = (entry.path(), to.join(&name));
            if kind.is_dir() {
                if let Some(limit) = self.folder(&from, &to, &shown, depth + 1)? {
                    return Ok(Some(limit));
                }
            } else if !kind.is_file() {
                self.note(format!("{shown:?} was left out: it is no regular file."));
            } else if let Some(limit) = self.file(&from, &to, &shown)? {
                return Ok(Some(limit));
            }
        }
        Ok(None)
    }

    fn file(&mut self, from: &Path, to: &Path, shown: &Path) -> Result<Option<Limit>> {
        let Some(file) = open_regular(from).with_context(|| format!("open {shown:?}"))? else {
            self.note(format!("{shown:?} was left out: it is no regular file."));
            return Ok(None);
        };
        let metadata = file
            .metadata()
            .with_context(|| format!("look at {shown:?}"))?;
        if metadata.len() > self.bytes_left {
            return Ok(Some(Limit::Bytes));
        }
        let mut into = File::create_new(to).with_context(|| format!("write {}", to.display()))?;
        let copied = io::copy(&mut file.take(self.bytes_left), &mut into)
            .with_context(|| format!("copy {shown:?}"))?;
        self.bytes_left -= copied;
        Ok(None)
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < 20 {
            self.notes.push(note);
        }
    }
}

/// Opens a regular file for reading; `None` when it is none, e.g. because it was swapped for a
/// link or a pipe a moment ago.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads ANSWERS.md of a copied submission.
///
/// # Errors
/// When the machine cannot read what is there.
pub fn read_answers(copy: &Path) -> Result<AnswersFile> {
    let Some(bytes) = read_capped(&copy.join("ANSWERS.md"), MAX_ANSWERS_BYTES)? else {
        return Ok(AnswersFile::Missing);
    };
    Ok(match bytes {
        Err(bytes) => AnswersFile::TooLarge { bytes },
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => AnswersFile::Text { text, utf8: true },
            Err(error) => AnswersFile::Text {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                utf8: false,
            },
        },
    })
}

/// Reads a regular file of at most `limit` bytes. `None` when there is none; `Err` inside holds the
/// size of one that is too large.
///
/// # Errors
/// When the machine cannot read what is there.
pub fn read_capped(path: &Path, limit: u64) -> Result<Option<Result<Vec<u8>, u64>>> {
    let file = match open_regular(path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    let size = file.metadata()?.len();
    if size > limit {
        return Ok(Some(Err(size)));
    }
    let mut bytes = Vec::new();
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| format!("read {}", path.display()))?;
    Ok(Some(Ok(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn submission() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("Cargo.toml"), "x").unwrap();
        fs::write(folder.path().join("src/main.rs"), "y").unwrap();
        folder
    }

    #[test]
    fn links_pipes_and_build_leftovers_stay_behind() {
        let from = submission();
        let secret = from.path().join("secret");
        fs::write(&secret, "key").unwrap();
        symlink(&secret, from.path().join("ANSWERS.md")).unwrap();
        symlink("/etc", from.path().join("etc")).unwrap();
        fs::create_dir_all(from.path().join("target/release")).unwrap();
        fs::create_dir_all(from.path().join(".cargo")).unwrap();
        let pipe = from.path().join("pipe\n\u{1b}[31m");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let to = tempfile::tempdir().unwrap();
        let copy_path = to.path().join("copy");
        let Copied::Whole { notes } = copy(from.path(), &copy_path, 1).unwrap() else {
            panic!()
        };
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert!(
            notes.iter().all(|note| !note.contains(['\u{1b}', '\n'])),
            "{notes:?}"
        );
        for gone in ["target", ".cargo", "etc", "ANSWERS.md"] {
            assert!(
                fs::symlink_metadata(copy_path.join(gone)).is_err(),
                "{gone}"
            );
        }
        assert_eq!(
            fs::read_to_string(copy_path.join("src/main.rs")).unwrap(),
            "y"
        );
        assert_eq!(read_answers(&copy_path).unwrap(), AnswersFile::Missing);
    }

    #[test]
    fn a_digest_is_of_what_is_copied_and_of_nothing_else() {
        let from = submission();
        let before = digest(from.path(), 1).unwrap();
        fs::create_dir_all(from.path().join("target")).unwrap();
        fs::write(from.path().join("target/x"), "x").unwrap();
        symlink("/etc/hostname", from.path().join("link")).unwrap();
        assert_eq!(digest(from.path(), 1).unwrap(), before);
        fs::write(from.path().join("src/main.rs"), "z").unwrap();
        assert_ne!(digest(from.path(), 1).unwrap(), before);
        fs::write(from.path().join("src/main.rs"), "y").unwrap();
        fs::rename(from.path().join("src"), from.path().join("s")).unwrap();
        assert_ne!(digest(from.path(), 1).unwrap(), before);
        File::create(from.path().join("giant"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        digest(from.path(), 1).unwrap();
    }

    #[test]
    fn a_sparse_giant_is_refused_before_it_is_read() {
        let from = submission();
        File::create(from.path().join("giant"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let to = tempfile::tempdir().unwrap();
        let Copied::Refused(reason) = copy(from.path(), &to.path().join("copy"), 1).unwrap() else {
            panic!()
        };
        assert!(reason.contains("1 MiB"), "{reason}");
    }

    #[test]
    fn answers_that_are_no_utf8_are_kept_and_large_ones_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ANSWERS.md");
        fs::write(&path, b"caf\xe9").unwrap();
        let AnswersFile::Text { text, utf8: false } = read_answers(folder.path()).unwrap() else {
            panic!()
        };
        assert_eq!(text, "caf\u{fffd}");
        fs::write(&path, vec![b'x'; 5_000_000]).unwrap();
        assert_eq!(
            read_answers(folder.path()).unwrap(),
            AnswersFile::TooLarge { bytes: 5_000_000 }
        );
    }
}
