//! Results: the folder that a run leaves behind, and every other file that it was asked to write.
//!
//! Everything is opened before anything slow starts, and appears whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The name of the default results folder.
pub const NAME: &str = "feedgrade-out";

/// A folder for results that can be written to.
#[derive(Debug, Clone)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Opens the folder for the results of `submission`: `wanted`, else [`NAME`] in the working
    /// folder, or beside the submission when that would be inside it.
    ///
    /// # Errors
    /// When it lies in the submission, or cannot be written to.
    pub fn open(wanted: Option<&Path>, submission: &Path) -> Result<Self> {
        let submission = fs::canonicalize(submission)
            .with_context(|| format!("find {}", submission.display()))?;
        let path = if let Some(path) = wanted {
            std::path::absolute(path).context("find the working folder")?
        } else {
            let here = std::env::current_dir().context("find the working folder")?;
            match submission.parent() {
                Some(parent) if here.starts_with(&submission) => parent.join(NAME),
                _ => here.join(NAME),
            }
        };
        outside(&path, &submission)?;
        Self::at(path)
    }

    /// Opens a folder, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn at(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path)
            .with_context(|| format!("make the results folder {}", path.display()))?;
        let out_dir = Self { path };
        // Found out now and not after minutes of load.
        tempfile::tempfile_in(&out_dir.path)
            .with_context(|| format!("write to the results folder {}", out_dir.path.display()))?;
        Ok(out_dir)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// When it cannot be written, e.g. because the disk is full.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        write(&path, text)?;
        Ok(path)
    }

    /// Removes a file that an earlier run left in it, if there is one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Makes sure that a path is not inside a submission, links followed.
///
/// # Errors
/// When it is, with the way out.
pub fn outside(path: &Path, submission: &Path) -> Result<()> {
    let path = std::path::absolute(path).context("find the working folder")?;
    ensure!(
        !resolved(&path).starts_with(submission),
        "{} is inside the submission, which is never written to: choose another --out or --write",
        path.display()
    );
    Ok(())
}

/// Writes a file that appears whole or not at all; what was there before stays until then.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    // A link is written through, and what is no file (a pipe, a terminal) is not replaced by one.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = real.as_path();
    if path.exists() && !path.is_file() {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("write {}", path.display()));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".feedgrade-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Makes sure that [`write`] will be able to write there.
///
/// # Errors
/// When it will not, with the way out.
pub fn probe(path: &Path) -> Result<()> {
    if path.exists() && !path.is_dir() && !path.is_file() {
        return Ok(());
    }
    ensure!(
        !path.is_dir(),
        "{} is a folder: name a file in it",
        path.display()
    );
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder).map(drop).with_context(|| {
        format!(
            "write {}: make its folder first, or choose another",
            path.display()
        )
    })
}

/// The path with the links in the part of it that exists followed.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = fs::canonicalize(ancestor) {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return real.join(rest);
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_never_land_in_the_submission() {
        let submission = tempfile::tempdir().unwrap();
        let inside = submission.path().join("results");
        let error = OutDir::open(Some(&inside), submission.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("choose another --out"), "{error}");
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(submission.path(), elsewhere.path().join("link")).unwrap();
        assert!(OutDir::open(Some(&elsewhere.path().join("link/x")), submission.path()).is_err());
        assert!(!inside.exists());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_found_out_early() {
        let folder = tempfile::tempdir().unwrap();
        assert!(probe(&folder.path().join("report.json")).is_ok());
        assert!(probe(folder.path()).is_err());
        assert!(probe(&folder.path().join("missing/report.json")).is_err());
    }
}
