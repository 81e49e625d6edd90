//! The launcher: gives up what a stranger's program must not have, and becomes that program.
//!
//! feedgrade starts itself once more as a launcher, which has one thread. The launcher gives up, one
//! after the other, all that the program must not have: its session, its place among the processes,
//! resources (rlimits), new privileges, files, ports and signals (Landlock), capabilities, system
//! calls (seccomp). Then it becomes the program, under the same process id. What it could not give up,
//! because this kernel is too old, is told when it is called with [`PROBE`], stands in the report, and
//! is what `--isolation required` refuses to do without.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::confinement::Confinement;

#[cfg(target_os = "linux")]
mod linux;

/// How the launcher is called: `feedgrade __confined SPEC PROGRAM ARGUMENT…`.
pub const LAUNCHER: &str = "__confined";
/// Instead of a specification: confines the launcher itself and tells what came of it, as JSON.
pub const PROBE: &str = "probe";

/// What the launcher needs besides.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) confinement: Confinement,
    /// Processors to be held to; none in particular when empty.
    pub(crate) cores: Vec<usize>,
    /// Control groups to join.
    pub(crate) entrances: Vec<PathBuf>,
}

/// Becomes a program that is confined. Returns only when that fails, after telling whoever waits at
/// the other end of stdin.
#[cfg(target_os = "linux")]
pub fn launch(arguments: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    linux::launch(arguments)
}

/// Elsewhere nothing is confined, so nobody calls this.
#[cfg(not(target_os = "linux"))]
pub fn launch(_: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
