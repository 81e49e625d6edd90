//! Postgres' own programs on this machine: where they are, and which version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::OLDEST;
use crate::process::Command;
use crate::scratch::Scratch;

/// A folder that holds `initdb` and `postgres`.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    /// E.g. `15.18`.
    pub(super) version: String,
}

/// Finds the programs: those on `PATH`, else the newest.
///
/// # Errors
/// When there are none, or only too old ones: one sentence.
pub(super) async fn find(scratch: &Scratch) -> Result<Programs> {
    let mut too_old = None;
    for folder in folders(scratch).await {
        let Some(version) = version(&folder, scratch).await else {
            continue;
        };
        if major(&version) >= OLDEST {
            return Ok(Programs { folder, version });
        }
        too_old.get_or_insert((folder, version));
    }
    match too_old {
        Some((folder, version)) => bail!(
            "the Postgres {version} in {} is too old, {OLDEST} or newer is needed",
            folder.display()
        ),
        None => bail!("no Postgres programs (initdb, postgres) were found on this machine"),
    }
}

async fn folders(scratch: &Scratch) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut others = Vec::new();
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(version) = name.strip_prefix(prefix) {
                others.push((
                    major(version.trim_start_matches('@')),
                    entry.path().join(rest),
                ));
            }
        }
    }
    others.sort();
    folders.extend(others.into_iter().rev().map(|(_, folder)| folder));
    let pg_config = Command::new("pg_config", Path::new("/")).arg("--bindir");
    if let Ok(told) = pg_config.run(scratch, Duration::from_secs(5)).await {
        folders.push(told.stdout.trim().into());
    }
    folders.retain(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    folders
}

async fn version(folder: &Path, scratch: &Scratch) -> Option<String> {
    let command = Command::new(folder.join("postgres"), Path::new("/")).arg("--version");
    let told = command.run(scratch, Duration::from_secs(10)).await.ok()?;
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    let version = told.stdout.split_whitespace().nth(2)?;
    told.exit.is_success().then(|| version.to_owned())
}

fn major(version: &str) -> u32 {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// User and group ids of the users that root may become: `postgres`, else `nobody`.
pub(super) fn unprivileged_users() -> Vec<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"]
        .iter()
        .filter_map(|user| {
            let mut fields = passwd
                .lines()
                .find(|line| line.split(':').next() == Some(user))?
                .split(':');
            let uid = fields.nth(2)?.parse().ok()?;
            Some((uid, fields.next()?.parse().ok()?))
        })
        .collect()
}
