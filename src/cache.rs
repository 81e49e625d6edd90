//! The cache: what is worth keeping from one run to the next, e.g. compiled dependencies.
//!
//! Entries are folders that appear whole or not at all, and are never changed afterwards. Losing
//! the cache costs time and nothing else.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::scratch;

/// Entries of a kind that are kept; the ones that were not used for longest go first.
const KEPT: usize = 12;

/// One kind of entries, e.g. `dependencies`.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache of a kind: below `FEEDGRADE_CACHE`, else the user's cache folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(kind: &str) -> Result<Self> {
        let base = if let Some(path) = std::env::var_os("FEEDGRADE_CACHE") {
            std::path::absolute(path).context("read FEEDGRADE_CACHE")?
        } else if let Some(path) = std::env::var_os("XDG_CACHE_HOME") {
            PathBuf::from(path).join("feedgrade")
        } else {
            let home = std::env::home_dir()
                .context("find your home folder: set FEEDGRADE_CACHE to a folder of your own")?;
            home.join(".cache/feedgrade")
        };
        let folder = base.join(kind);
        fs::create_dir_all(&folder)
            .with_context(|| format!("make the cache folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The entry of that key, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<PathBuf> {
        let path = self.folder.join(key);
        // Touched, so that it counts as used now.
        let touched = File::open(&path).and_then(|folder| folder.set_modified(SystemTime::now()));
        touched.is_ok().then_some(path)
    }

    /// Holds the key until the returned file is dropped: two runs do not make the same entry twice.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub async fn lock(&self, key: &str) -> Result<File> {
        let path = self.folder.join(format!("{key}.lock"));
        let lock = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        scratch::lock(&lock)
            .await
            .with_context(|| format!("lock {}", path.display()))?;
        Ok(lock)
    }

    /// A new folder beside the entries, to be filled and then handed to [`Cache::put`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn draft(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("draft-")
            .tempdir_in(&self.folder)
            .with_context(|| format!("make a folder in {}", self.folder.display()))
    }

    /// Makes a draft the entry of that key. An entry that is already there stays.
    ///
    /// # Errors
    /// When the folder cannot be renamed.
    pub fn put(&self, key: &str, draft: tempfile::TempDir) -> Result<PathBuf> {
        let path = self.folder.join(key);
        if !path.exists() {
            fs::rename(draft.keep(), &path).with_context(|| format!("make {}", path.display()))?;
        }
        self.prune(&path);
        Ok(path)
    }

    fn prune(&self, newest: &Path) {
        let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter(|entry| entry.path() != newest)
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        entries.sort();
        for (used, path) in entries.into_iter().rev().skip(KEPT - 1) {
            // One that is in use right now was touched when that use began.
            if used.elapsed().is_ok_and(|age| age.as_secs() > 3600) {
                let _ = fs::remove_dir_all(&path);
                let _ = fs::remove_file(path.with_extension("lock"));
            }
        }
    }
}

/// A key from all that an entry depends on: SHA-256 over the parts and their lengths, in hex.
#[must_use]
pub fn key<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut hex = String::new();
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_eq!(key(["ab"]).len(), 32);
    }
}
