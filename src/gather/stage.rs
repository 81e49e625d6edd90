//! One stage of a run: migrations, statements, load, and what the database saw of it.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::Run;
use super::program::Program;
use crate::database::{ClonedDatabase, Database};
use crate::event::Event;
use crate::evidence::{
    Connections, Fact, KeptRows, Migrations, ServerRun, StageRun, StageSeen, StatementsSeen,
};
use crate::exercise::{ServerKind, StageSpec};
use crate::load::{self, LoadPlan};
use crate::migration;
use crate::probing;
use crate::scratch;
use crate::server::{self, Server};

/// Requests that are sent to see which statements they cause. More than one, so that a server
/// which remembers its last answer shows.
const CAPTURED_REQUESTS: u32 = 3;

/// All migrations of a submission together may take this long.
const MIGRATIONS: Duration = Duration::from_mins(1);

impl Run<'_> {
    pub(super) async fn stage(
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
            let before = own
                .digest(&spec.digest)
                .await?
                .map_err(|error| anyhow!("the digest `{}` of the exercise: {error}", *spec.id))?;
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
        let _turn = scratch::turn().await?;
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
