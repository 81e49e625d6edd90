//! Gathering: everything that happens to one submission between its folder and its evidence.
//!
//! Knows the whole story and orders the hands. What the learner did wrong becomes evidence; what
//! the machine fails to do becomes an error, and then there is no grade.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cache::{Cache, key};
use crate::cargo;
use crate::content::{Assignment, Content};
use crate::database::{self, ClonedDatabase, Database};
use crate::event::{Event, OnEvent};
use crate::evidence::{
    self, Build, BuildOutcome, Connections, Environment, Evidence, Fact, KeptRows, Migrations,
    Phase, ProbeRun, ServerRun, StageRun, StageSeen, StatementsSeen,
};
use crate::exercise::{ServerKind, StageSpec};
use crate::load::{self, LoadPlan};
use crate::migration;
use crate::probing;
use crate::sandbox::{self, Copied};
use crate::scratch::Scratch;
use crate::server::{self, Server, Started};

/// Requests that are sent to see which statements they cause. More than one, so that a server
/// which remembers its last answer shows.
const CAPTURED_REQUESTS: u32 = 3;

/// All migrations of a submission together may take this long.
const MIGRATIONS: Duration = Duration::from_mins(1);

/// What to grade, and with what.
#[derive(Debug)]
pub struct Order<'a> {
    /// The submission's folder.
    pub submission: &'a Path,
    /// Its name in the report.
    pub name: String,
    /// Where exercises and references come from.
    pub content: &'a Content,
    /// The exercise.
    pub assignment: &'a Assignment,
    /// Where Postgres comes from.
    pub database: &'a database::Choice,
}

/// Gathers the evidence of one submission.
///
/// # Errors
/// When the machine or the harness fails: then there is no grade.
pub async fn gather(
    order: &Order<'_>,
    scratch: &Scratch,
    on_event: OnEvent<'_>,
) -> Result<Evidence> {
    let mut run = Run {
        order,
        scratch,
        on_event,
        phases: Vec::new(),
    };
    let started_at = jiff::Timestamp::now().to_string();
    let folder = scratch.path().join("submission");
    let built = run.build_submission(&folder).await?;
    let mut evidence = Evidence {
        version: evidence::VERSION,
        exercise: order.assignment.exercise.slug.value.clone(),
        submission: order.name.clone(),
        started_at,
        environment: environment(scratch).await?,
        answers: if folder.is_dir() {
            sandbox::read_answers(&folder)?
        } else {
            sandbox::read_answers(order.submission)?
        },
        build: built.build,
        api: None,
        stages: Vec::new(),
        phases: Vec::new(),
    };
    if let Some(binary) = built.binary {
        let submission = Program {
            kind: ServerKind::Submission,
            binary,
            folder,
        };
        run.run_servers(submission, &mut evidence).await?;
    }
    evidence.phases = run.phases;
    Ok(evidence)
}

/// A built server and the folder that it works in.
#[derive(Debug)]
struct Program {
    kind: ServerKind,
    binary: PathBuf,
    folder: PathBuf,
}

struct Run<'a> {
    order: &'a Order<'a>,
    scratch: &'a Scratch,
    on_event: OnEvent<'a>,
    phases: Vec<Phase>,
}

impl Run<'_> {
    fn begin(&self, name: &str, expected: Option<f64>) -> Instant {
        (self.on_event)(Event::PhaseStarted {
            name: name.to_owned(),
            expected,
        });
        Instant::now()
    }

    fn end(&mut self, name: &str, started: Instant, result: impl Into<String>) {
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.phases.push(Phase {
            name: name.to_owned(),
            seconds,
        });
        let result = result.into();
        (self.on_event)(Event::PhaseFinished {
            name: name.to_owned(),
            seconds,
            result,
        });
    }

    async fn build_submission(&mut self, folder: &Path) -> Result<cargo::Built> {
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
                let mut built =
                    cargo::build(folder, &target, spec.seconds, self.scratch, |detail| {
                        (self.on_event)(Event::PhaseProgress {
                            detail: detail.to_owned(),
                        });
                    })
                    .await?;
                built.build.notes.splice(0..0, notes);
                built
            }
        };
        built.binary = match built.binary {
            Some(binary) => Some(self.keep(&binary, ServerKind::Submission)?),
            None => None,
        };
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

    /// Copies a binary out of its target folder, away from whatever is built next.
    fn keep(&self, binary: &Path, kind: ServerKind) -> Result<PathBuf> {
        let kept = self.scratch.folder("servers")?.join(kind.to_string());
        fs::copy(binary, &kept).with_context(|| format!("copy {}", binary.display()))?;
        Ok(kept)
    }

    /// Builds a server of the exercise itself, or takes it from the cache.
    async fn build_own(&mut self, kind: ServerKind) -> Result<Program> {
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
        let _lock = cache.lock(&key)?;
        let (cached, result) = if let Some(cached) = cache.get(&key) {
            (cached, "it was there")
        } else {
            let target = self.scratch.path().join(format!("{kind}-target"));
            let seconds = self.order.assignment.exercise.build.seconds;
            let built = cargo::build(&folder, &target, seconds, self.scratch, |detail| {
                (self.on_event)(Event::PhaseProgress {
                    detail: detail.to_owned(),
                });
            })
            .await?;
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

    async fn run_servers(&mut self, submission: Program, evidence: &mut Evidence) -> Result<()> {
        let exercise = &self.order.assignment.exercise;
        let mut programs = vec![submission];
        for kind in [ServerKind::Starter, ServerKind::Reference] {
            if exercise
                .stages
                .iter()
                .any(|stage| stage.servers.contains(&kind))
            {
                programs.push(self.build_own(kind).await?);
            }
        }
        let phase = "start Postgres";
        let started = self.begin(phase, None);
        let database = Database::start(
            self.order.database,
            &exercise.database.image,
            self.scratch,
            self.on_event,
        )
        .await?;
        evidence.environment = Environment {
            database: database.kind().to_string(),
            database_reason: database.reason().to_owned(),
            postgres: database.version().to_owned(),
            settings: database.settings().await?,
            ..evidence.environment.clone()
        };
        self.end(phase, started, database.reason());

        let phase = "seed the database";
        let started = self.begin(phase, None);
        let folder = format!("exercises/{}/starter", *exercise.slug);
        let schema = self
            .order
            .content
            .source(&format!("{folder}/{}", exercise.database.schema))?;
        let seed = self
            .order
            .content
            .source(&format!("{folder}/{}", exercise.database.seed))?;
        database
            .make_template(&schema.text, &seed.text)
            .await
            .with_context(|| format!("run {} and {}", schema.name, seed.name))?;
        self.end(phase, started, "");

        let (api, migrates_itself) = self.api(&programs[0], &database).await?;
        let not_ready = match &api {
            ServerRun::Ran { .. } => None,
            ServerRun::NotReady { reason, output } => Some((reason.clone(), output.clone())),
        };
        evidence.api = Some(api);
        for stage in &exercise.stages {
            for kind in &stage.servers {
                let Some(program) = programs.iter().find(|program| program.kind == *kind) else {
                    continue;
                };
                let run = match &not_ready {
                    // It was not ready when it was alone; load would add nothing but minutes.
                    Some((reason, output)) if *kind == ServerKind::Submission => StageRun {
                        stage: stage.id.value.clone(),
                        server: *kind,
                        migrations: Migrations::NotWanted,
                        run: ServerRun::NotReady {
                            reason: reason.clone(),
                            output: output.clone(),
                        },
                    },
                    Some(_) => continue,
                    None => {
                        self.stage(stage, program, &database, migrates_itself)
                            .await?
                    }
                };
                evidence.stages.push(run);
            }
        }
        let phase = "stop Postgres";
        let started = self.begin(phase, None);
        drop(database);
        self.end(phase, started, "");
        Ok(())
    }

    /// Asks the submission everything that the exercise's probes ask, without load. Also finds out
    /// whether the server changes its database by itself when it starts.
    async fn api(
        &mut self,
        program: &Program,
        database: &Database,
    ) -> Result<(ServerRun<Vec<ProbeRun>>, bool)> {
        let exercise = &self.order.assignment.exercise;
        let phase = "ask the server";
        let started = self.begin(phase, None);
        let own = database.clone("api").await?;
        self.check_truth(&own).await?;
        let before = own.schema_fingerprint().await?;
        let server = match self.start(program, &own).await? {
            Ok(server) => server,
            Err(not_ready) => {
                self.end(phase, started, "it never became ready");
                return Ok((not_ready, false));
            }
        };
        let migrates_itself = own.schema_fingerprint().await? != before;
        let mut seen = Vec::new();
        for probe in &exercise.probes {
            // Probes of a stage belong to its load.
            if exercise
                .stages
                .iter()
                .any(|s| s.during_load.as_ref().is_some_and(|id| **id == *probe.id))
            {
                continue;
            }
            (self.on_event)(Event::PhaseProgress {
                detail: probe.id.value.clone(),
            });
            seen.push(probing::run(probe, &server.url(), &own).await?);
        }
        let ready_after = server.ready_after;
        let (died, output) = server.stop().await;
        own.close().await?;
        self.end(phase, started, "");
        Ok((
            ServerRun::Ran {
                ready_after,
                seen,
                died,
                output,
            },
            migrates_itself,
        ))
    }

    /// Asks the exercise's own questions of untouched data: a mistake in them is the author's, and
    /// must not look like a learner's later on.
    async fn check_truth(&self, own: &ClonedDatabase) -> Result<()> {
        for probe in &self.order.assignment.exercise.probes {
            for sql in probe.steps.iter().filter_map(|step| step.rows.as_ref()) {
                if let Err(error) = own.rows(sql).await? {
                    bail!(
                        "the probe `{}` of the exercise asks the database: {error}",
                        *probe.id
                    );
                }
            }
        }
        Ok(())
    }

    async fn start<T>(
        &self,
        program: &Program,
        database: &ClonedDatabase,
    ) -> Result<Result<Server, ServerRun<T>>> {
        let spec = &self.order.assignment.exercise.server;
        let env = database.env();
        let started =
            server::start(&program.binary, &program.folder, &env, spec, self.scratch).await?;
        Ok(match started {
            Started::Ready(server) => Ok(*server),
            Started::NotReady { reason, output } => Err(ServerRun::NotReady { reason, output }),
        })
    }

    async fn stage(
        &mut self,
        stage: &StageSpec,
        program: &Program,
        database: &Database,
        migrates_itself: bool,
    ) -> Result<StageRun> {
        let phase = format!("stage {}: the {}", *stage.id, program.kind);
        let started = self.begin(&phase, Some(stage.load.warm_up + stage.load.seconds));
        let name = format!("{}-{}", program.kind, self.phases.len());
        let own = database.clone(&name).await?;
        let is_submission = program.kind == ServerKind::Submission;
        let mut kept_rows = Vec::new();
        for spec in self
            .order
            .assignment
            .exercise
            .kept_rows
            .iter()
            .filter(|spec| is_submission && stage.kept_rows.iter().any(|id| **id == *spec.id))
        {
            let before = own.digest(&spec.digest).await?.map_err(|error| {
                anyhow::anyhow!("the digest `{}` of the exercise: {error}", *spec.id)
            })?;
            kept_rows.push((spec, before));
        }
        let migrations = if !stage.migrations {
            Migrations::NotWanted
        } else if is_submission && migrates_itself {
            Migrations::ByServer
        } else {
            migration::apply(&own, &program.folder.join("migrations"), MIGRATIONS).await?
        };
        if matches!(migrations, Migrations::Applied { .. }) {
            // As autovacuum would in time. What the learner's schema forbids of it is no loss.
            let _ = own.settle().await?;
        }
        let finish = |run| StageRun {
            stage: stage.id.value.clone(),
            server: program.kind,
            migrations: migrations.clone(),
            run,
        };
        if let Migrations::Failed { file, .. } = &migrations {
            let reason = format!("The migration {file} failed, so the server was not started.");
            self.end(&phase, started, "a migration failed");
            return Ok(finish(ServerRun::NotReady {
                reason,
                output: String::new(),
            }));
        }
        let server = match self.start(program, &own).await? {
            Ok(server) => server,
            Err(not_ready) => {
                self.end(&phase, started, "it never became ready");
                return Ok(finish(not_ready));
            }
        };
        let statements = if is_submission {
            self.statements(stage, &server, &own).await?
        } else {
            Vec::new()
        };
        let mut seen = self
            .load(stage, &server, &own, database, is_submission)
            .await?;
        seen.statements = statements;
        for (spec, before) in kept_rows {
            let after = own.digest(&spec.digest).await?;
            seen.kept_rows.push(KeptRows {
                id: spec.id.value.clone(),
                before,
                after,
            });
        }
        let ready_after = server.ready_after;
        let (died, output) = server.stop().await;
        own.close().await?;
        let result = match &seen.load {
            Fact::Seen(load) => format!(
                "{} requests, {:.1} % ok, p99 {:.0} ms",
                load.requests,
                load.success_rate * 100.0,
                load.latency_ms.p99
            ),
            Fact::Unknown { .. } => "not measured".to_owned(),
        };
        self.end(&phase, started, result);
        Ok(finish(ServerRun::Ran {
            ready_after,
            seen,
            died,
            output,
        }))
    }

    async fn statements(
        &self,
        stage: &StageSpec,
        server: &Server,
        own: &ClonedDatabase,
    ) -> Result<Vec<StatementsSeen>> {
        let mut all = Vec::new();
        for id in &stage.statements {
            let Some(spec) = self.order.assignment.exercise.statement(id) else {
                continue;
            };
            (self.on_event)(Event::PhaseProgress {
                detail: format!("the plan of {}", spec.request),
            });
            let client = server::client(Duration::from_secs(10))?;
            let method = reqwest::Method::from_bytes(spec.request.method.as_bytes())
                .with_context(|| format!("send {}", spec.request))?;
            let capture = own.capture().await?;
            for _ in 0..CAPTURED_REQUESTS {
                // Whether it answers was the probes' matter; here only the database listens.
                let url = format!("{}{}", server.url(), spec.request.path);
                if let Ok(response) = client.request(method.clone(), url).send().await {
                    let _ = response.bytes().await;
                }
            }
            let statements = Fact::Seen(capture.finish(&spec.reads).await?);
            all.push(StatementsSeen {
                id: spec.id.value.clone(),
                requests: CAPTURED_REQUESTS,
                statements,
            });
        }
        Ok(all)
    }

    async fn load(
        &self,
        stage: &StageSpec,
        server: &Server,
        own: &ClonedDatabase,
        database: &Database,
        is_submission: bool,
    ) -> Result<StageSeen> {
        let since = database.log_position().await?;
        let plan = LoadPlan::for_stage(&stage.load, ([127, 0, 0, 1], server.port).into());
        let load = load::run(plan, |_| {});
        let probe = stage
            .during_load
            .as_ref()
            .filter(|_| is_submission)
            .and_then(|id| self.order.assignment.exercise.probe(id));
        let probing = async {
            let Some(probe) = probe else {
                return anyhow::Ok(Vec::new());
            };
            // Some way into the load, when all users are at it.
            tokio::time::sleep(Duration::from_secs_f64(
                stage.load.warm_up + stage.load.seconds * 0.3,
            ))
            .await;
            Ok(vec![probing::run(probe, &server.url(), own).await?])
        };
        let (load, during_load) = tokio::join!(load, probing);
        let during_load = during_load?;
        let (load, connections) = match load {
            Err(error) => {
                let why = format!("The load could not be sent: {error:#}");
                (Fact::Unknown { why: why.clone() }, Fact::Unknown { why })
            }
            Ok(run) => {
                let successes = run.load.requests - run.load.failed;
                let count = database
                    .connections(own, &since, run.measured_from, run.measured_until)
                    .await?;
                let connections = Connections {
                    attempts: count.attempts,
                    authorized: count.authorized,
                    successful_requests: successes,
                };
                (Fact::Seen(run.load), Fact::Seen(connections))
            }
        };
        Ok(StageSeen {
            statements: Vec::new(),
            load,
            connections,
            during_load,
            kept_rows: Vec::new(),
        })
    }
}

async fn environment(scratch: &Scratch) -> Result<Environment> {
    Ok(Environment {
        feedgrade: env!("CARGO_PKG_VERSION").to_owned(),
        database: "none".to_owned(),
        database_reason: "nothing was run".to_owned(),
        postgres: String::new(),
        settings: std::collections::BTreeMap::new(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        rustc: cargo::rustc_version(scratch).await?,
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
