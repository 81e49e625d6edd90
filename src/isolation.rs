//! Isolation: how far strangers' programs are confined in a run, as wanted and as reached.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cgroup;
use crate::evidence::{Confined, Level};
use crate::launcher::{LAUNCHER, PROBE};
use crate::process::Command;
use crate::scratch::Scratch;

/// Whether strangers' programs are confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// As far as this machine can; the report says how far.
    #[default]
    Auto,
    /// Wholly, or nothing runs.
    Required,
    /// Not at all.
    None,
}

impl Isolation {
    /// Whether programs are started through the launcher.
    #[must_use]
    pub fn confines(self) -> bool {
        self != Self::None && cfg!(target_os = "linux")
    }

    /// What is reached on this machine.
    ///
    /// # Errors
    /// When that is less than is required.
    pub async fn reached(self, scratch: &Scratch) -> Result<Confined> {
        if self == Self::None {
            return Ok(Confined {
                missing: vec!["--isolation none".into()],
                ..Confined::default()
            });
        }
        let reached = probe(scratch).await?;
        if self == Self::Required && reached.level != Level::Full {
            bail!(
                "--isolation required, and this machine cannot confine programs wholly: {}",
                reached.missing.join("; ")
            );
        }
        Ok(reached)
    }
}

/// What this machine can take from a program, found out by taking it from one.
///
/// # Errors
/// When the launcher does not start.
pub async fn probe(scratch: &Scratch) -> Result<Confined> {
    if !cfg!(target_os = "linux") {
        return Ok(Confined {
            missing: vec!["only Linux has what confines a program without root".into()],
            ..Confined::default()
        });
    }
    let probed = Command::new("/proc/self/exe", Path::new("/"))
        .args([LAUNCHER, PROBE])
        .run(scratch, Duration::from_secs(10))
        .await
        .context("find out what this machine can confine")?;
    ensure!(
        probed.exit.is_success(),
        "find out what this machine can confine: the launcher ended with {}",
        probed.exit
    );
    let mut reached: Confined =
        serde_json::from_str(&probed.stdout).context("read what this machine can confine")?;
    reached.level = match (reached.enforced.is_empty(), reached.missing.is_empty()) {
        (_, true) => Level::Full,
        (false, false) => Level::Limits,
        (true, false) => Level::None,
    };
    // Without it memory and processes are looked at five times a second, which is a limit, too.
    match cgroup::probe(&scratch.session()) {
        Ok(()) => reached.enforced.push("control groups".into()),
        Err(why) => reached.missing.push(format!("control groups: {why:#}")),
    }
    Ok(reached)
}
