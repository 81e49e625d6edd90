//! The programs of a run: the submission's server, and the exercise's own two.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Run;
use crate::cache::{Cache, key};
use crate::cargo;
use crate::database::ClonedDatabase;
use crate::event::Event;
use crate::evidence::{Build, BuildOutcome, ServerRun};
use crate::exercise::ServerKind;
use crate::sandbox::{self, Copied};
use crate::scratch;
use crate::server::{self, Place, Server, Started};

/// A built server and the folder that it works in.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) kind: ServerKind,
    pub(super) binary: PathBuf,
    pub(super) folder: PathBuf,
}

impl Run<'_> {
    pub(super) async fn build_submission(&mut self, folder: &Path) -> Result<cargo::Built> {
        let spec = &self.order.assignment.exercise.build;
        let phase = "build the submission";
        let started = self.begin(phase, None);
        let mut built = match sandbox::copy(self.order.submission, folder, spec.max_mib)? {
            Copied::Refused(reason) => cargo::Built {
                build: Build {
                    outcome: BuildOutcome::Refused { reason },
                    seconds: 0.0,
                    dependencies_reused: false,
                    notes: Vec::new(),
                },
                binary: None,
            },
            Copied::Whole { notes } => {
                let target = self.scratch.path().join("submission-target");
                let mut built = self.cargo_build(folder, &target).await?;
                built.build.notes.splice(0..0, notes);
                built
            }
        };
        built.binary = match built.binary {
            Some(binary) => Some(self.keep(&binary, ServerKind::Submission)?),
            None => None,
        };
        // Hundreds of megabytes that nobody needs any more; what stays goes with the scratch folder.
        scratch::remove(&self.scratch.path().join("submission-target"));
        let result = match &built.build.outcome {
            BuildOutcome::Built if built.build.dependencies_reused => "dependencies were there",
            BuildOutcome::Built => "",
            BuildOutcome::Failed { .. } => "it does not compile",
            BuildOutcome::TimedOut { .. } => "it ran past its deadline",
            BuildOutcome::Refused { .. } => "not built",
        };
        self.end(phase, started, result);
        Ok(built)
    }

    async fn cargo_build(&self, folder: &Path, target: &Path) -> Result<cargo::Built> {
        let spec = &self.order.assignment.exercise.build;
        let isolation = self.order.isolation;
        cargo::build(folder, target, spec, isolation, self.scratch, |detail| {
            (self.on_event)(Event::PhaseProgress {
                detail: detail.to_owned(),
            });
        })
        .await
    }

    /// Copies a binary out of its target folder, away from whatever is built next.
    fn keep(&self, binary: &Path, kind: ServerKind) -> Result<PathBuf> {
        let kept = self.scratch.folder("servers")?.join(kind.to_string());
        fs::copy(binary, &kept).with_context(|| format!("copy {}", binary.display()))?;
        Ok(kept)
    }

    /// Builds a server of the exercise itself, or takes it from the cache.
    pub(super) async fn build_own(&mut self, kind: ServerKind) -> Result<Program> {
        let slug = &self.order.assignment.exercise.slug.value;
        let content = match kind {
            ServerKind::Starter => format!("exercises/{slug}/starter"),
            _ => format!("reference/{slug}/solution"),
        };
        let phase = format!("build the {kind}");
        let started = self.begin(&phase, None);
        let folder = self.scratch.path().join(kind.to_string());
        self.order.content.extract(&content, &folder)?;
        let mut parts: Vec<Vec<u8>> = vec![cargo::rustc_version(self.scratch).await?.into_bytes()];
        for (path, bytes) in self.order.content.files(&content)? {
            parts.extend([path.into_bytes(), bytes]);
        }
        let (cache, key) = (Cache::open("servers")?, key(parts));
        let _lock = cache.lock(&key).await?;
        let (cached, result) = if let Some(cached) = cache.get(&key) {
            (cached, "it was there")
        } else {
            let target = self.scratch.path().join(format!("{kind}-target"));
            let built = self.cargo_build(&folder, &target).await?;
            let Some(binary) = built.binary else {
                bail!("build {content} on this machine: {:?}", built.build.outcome);
            };
            let draft = cache.draft()?;
            fs::copy(&binary, draft.path().join("server")).context("keep a built server")?;
            (cache.put(&key, draft)?, "")
        };
        let binary = self.keep(&cached.join("server"), kind)?;
        self.end(&phase, started, result);
        Ok(Program {
            kind,
            binary,
            folder,
        })
    }

    pub(super) async fn start<T>(
        &self,
        program: &Program,
        database: &ClonedDatabase,
    ) -> Result<Result<Server, ServerRun<T>>> {
        let spec = &self.order.assignment.exercise.server;
        let place = Place {
            binary: &program.binary,
            folder: &program.folder,
            cores: &self.cores.served,
            isolation: self.order.isolation,
        };
        let (env, port) = (database.env(), database.port());
        let started = server::start(place, &env, port, spec, self.scratch).await?;
        Ok(match started {
            Started::Ready(server) => Ok(*server),
            Started::NotReady { reason, output } => Err(ServerRun::NotReady { reason, output }),
        })
    }
}
