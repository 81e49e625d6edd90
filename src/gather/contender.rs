//! A contender: one server in one stage, with its own database, from its migrations to its end.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::Run;
use super::picks::Picks;
use super::program::Program;
use crate::database::{ClonedDatabase, Database};
use crate::event::Event;
use crate::evidence::{
    AnswerSeen, Connections, Ended, Fact, KeptRows, Leg, Load, Migrations, ProbeRun, ServerRun,
    StageRun, StageSeen, StatementsSeen, StepSeen, Window,
};
use crate::exercise::{KeptRowsSpec, ServerKind, StageSpec, Step};
use crate::load::{self, LoadPlan, LoadRun};
use crate::migration;
use crate::probing;
use crate::scratch;
use crate::server::{self, Server};
use crate::watch::{Processing, Watch};

/// Requests that are sent to see which statements they cause. More than one, so that a server
/// which remembers its last answer shows.
const CAPTURED_REQUESTS: u32 = 3;

/// So many bytes are read of an answer that nobody looks at.
const MOST_BODY: usize = 1 << 20;

/// All migrations of a submission together may take this long.
const MIGRATIONS: Duration = Duration::from_mins(1);

/// Different answers that are kept of a stage: a server that answers rightly gives one or two.
const MOST_ANSWERS: usize = 12;

/// A server that is ready to be loaded, and what was seen of it so far.
pub(super) struct Contender<'a> {
    stage: &'a StageSpec,
    kind: ServerKind,
    own: ClonedDatabase,
    database: &'a Database,
    migrations: Migrations,
    pub(super) server: Server,
    statements: Vec<StatementsSeen>,
    kept_rows: Vec<(&'a KeptRowsSpec, serde_json::Value)>,
    pub(super) during_load: Vec<ProbeRun>,
    runs: Vec<LoadRun>,
    pub(super) legs: Vec<Leg>,
    pub(super) windows: Vec<Window>,
    pub(super) connections: Option<Connections>,
    on: Processing,
    /// What the answers to the load must be, where that is known.
    truth: Option<&'a Step>,
    answers: Vec<AnswerSeen>,
}

/// A server that is ready to be loaded, or how the stage ended before.
pub(super) enum Prepared<'a> {
    Ready(Box<Contender<'a>>),
    Over(Box<StageRun>),
}

impl<'r> Run<'r> {
    /// Clones a database, applies the migrations, starts the server, and looks at its statements.
    pub(super) async fn prepare<'a>(
        &self,
        stage: &'a StageSpec,
        program: &Program,
        database: &'a Database,
        migrates_itself: bool,
    ) -> Result<Prepared<'a>>
    where
        'r: 'a,
    {
        let name = format!("{}-{}", program.kind, self.next_number());
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
        let over = |run| StageRun {
            stage: stage.id.value.clone(),
            server: program.kind,
            migrations: migrations.clone(),
            run,
        };
        if let Migrations::Failed { file, .. } = &migrations {
            let reason = format!("The migration {file} failed, so the server was not started.");
            return Ok(Prepared::Over(Box::new(over(ServerRun::NotReady {
                reason,
                output: String::new(),
            }))));
        }
        let server = match self.start(program, &own).await? {
            Ok(server) => server,
            Err(not_ready) => return Ok(Prepared::Over(Box::new(over(not_ready)))),
        };
        let statements = if is_submission {
            self.statements(stage, &server, &own).await?
        } else {
            Vec::new()
        };
        Ok(Prepared::Ready(Box::new(Contender {
            stage,
            kind: program.kind,
            own,
            database,
            migrations,
            server,
            statements,
            kept_rows,
            during_load: Vec::new(),
            runs: Vec::new(),
            legs: Vec::new(),
            windows: Vec::new(),
            connections: None,
            on: self.processing(),
            truth: is_submission
                .then(|| self.order.assignment.exercise.truth(&stage.load.request))
                .flatten(),
            answers: Vec::new(),
        })))
    }

    /// The processors that matter to a load.
    pub(super) fn processing(&self) -> Processing {
        Processing {
            served: self.cores.served.clone(),
            is_apart: !self.cores.generator.is_empty(),
        }
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
            let mut requests = 0;
            for _ in 0..CAPTURED_REQUESTS {
                // Whether it answers was the probes' matter; here only the database listens.
                let url = format!("{}{}", server.url(), spec.request.path);
                requests += 1;
                let Ok(mut response) = client.request(method.clone(), url).send().await else {
                    break;
                };
                let mut left = MOST_BODY;
                while let Ok(Some(chunk)) = response.chunk().await {
                    left = left.saturating_sub(chunk.len());
                    if left == 0 {
                        break;
                    }
                }
            }
            let statements = Fact::Seen(capture.finish(&spec.reads).await?);
            all.push(StatementsSeen {
                id: spec.id.value.clone(),
                requests,
                statements,
            });
        }
        Ok(all)
    }
}

impl Contender<'_> {
    /// The load of the stage on this server, as long as the exercise allows.
    pub(super) fn plan(&self, cores: &[usize]) -> LoadPlan {
        LoadPlan {
            cores: cores.to_vec(),
            ..LoadPlan::for_stage(&self.stage.load, ([127, 0, 0, 1], self.server.port).into())
        }
    }

    /// The stage's id.
    pub(super) fn stage(&self) -> &str {
        &self.stage.id
    }

    /// Whose server it is.
    pub(super) fn kind(&self) -> ServerKind {
        self.kind
    }

    /// The truth for probes while the load goes on.
    pub(super) fn database(&self) -> &ClonedDatabase {
        &self.own
    }

    /// Loads the server once, until the plan's end or until `is_enough` says so of all windows so
    /// far. `began` is when the stage did.
    ///
    /// # Errors
    /// When the generator or the database fails.
    pub(super) async fn leg(
        &mut self,
        mut plan: LoadPlan,
        began: Instant,
        mut is_enough: impl FnMut(&[Window]) -> bool + Send,
    ) -> Result<()> {
        let _turn = scratch::turn().await?;
        let since = self.database.log_position().await?;
        let clocks = Clocks::read();
        let mut watch = None;
        let pids = [Some(self.server.pid()), self.database.pid()];
        if plan.warm_up.is_zero() {
            watch = Some(Watch::start(&pids, &self.on));
        }
        let at = (began.elapsed() + plan.warm_up).as_secs_f64();
        let mut windows = self.windows.clone();
        let picks = Picks::default();
        plan.body_check = self.truth.map(|_| picks.check());
        let run = load::run(plan, |progress| {
            if progress.warm_up {
                // The watch begins where measuring does: with the last window that does not count.
                watch = Some(Watch::start(&pids, &self.on));
                return ControlFlow::Continue(());
            }
            windows.push(Window {
                requests: progress.window.requests,
                failed: progress.window.failed,
            });
            if is_enough(&windows) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .await;
        let machine = watch.map(Watch::end).unwrap_or_default();
        let run = run?;
        clocks.agree()?;
        self.compare(&picks).await;
        // With those that ended when the time was over.
        self.windows.extend(&run.load.windows);
        let count = self
            .database
            .connections(&self.own, &since, run.measured_from, run.measured_until)
            .await?;
        let so_far = self.connections.get_or_insert(Connections {
            attempts: 0,
            authorized: 0,
            successful_requests: 0,
        });
        so_far.attempts += count.attempts;
        so_far.authorized += count.authorized;
        so_far.successful_requests += run.load.requests - run.load.failed;
        let thousandths = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        self.legs.push(Leg {
            at: thousandths(at),
            seconds: run.load.seconds,
            requests: run.load.requests,
            failed: run.load.failed,
            p99_ms: run.load.latency_ms.p99,
            at_ceiling: run.load.generator.at_ceiling,
            machine,
        });
        self.runs.push(run);
        Ok(())
    }

    /// Notes the answers that were picked, with the truth: nobody has written since they were given.
    async fn compare(&mut self, picks: &Picks) {
        let Some((step, sql)) = self
            .truth
            .and_then(|step| Some((step, step.rows.as_ref()?)))
        else {
            return;
        };
        let picked = picks.take();
        if picked.is_empty() {
            return;
        }
        let rows = probing::rows(sql, &self.own).await;
        for (body, times) in picked {
            let step = StepSeen {
                request: step.request.to_string(),
                sent: None,
                answer: probing::answer(step.expect.status, &body),
                rows: Some(rows.clone()),
            };
            let has_room = self.answers.len() < MOST_ANSWERS;
            match self.answers.iter_mut().find(|known| known.step == step) {
                Some(known) => known.times += times,
                None if has_room => {
                    self.answers.push(AnswerSeen { times, step });
                }
                None => {}
            }
        }
    }

    /// Loads the server for `least`, and on while `is_busy`, but not longer than the plan says. It
    /// counts for nothing; tells what the server was like.
    ///
    /// # Errors
    /// When the generator fails.
    pub(super) async fn warm_up(
        &self,
        mut plan: LoadPlan,
        least: Duration,
        is_busy: &AtomicBool,
    ) -> Result<Load> {
        let _turn = scratch::turn().await?;
        plan.warm_up = Duration::ZERO;
        let run = load::run(plan, |progress| {
            if progress.elapsed >= least && !is_busy.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        Ok(run.await?.load)
    }

    /// Seconds measured so far.
    pub(super) fn seconds(&self) -> f64 {
        self.legs.iter().map(|leg| leg.seconds).sum()
    }

    /// Stops the server and says all that was seen. `failed` says why the load could not be sent.
    ///
    /// # Errors
    /// When the database is lost.
    pub(super) async fn finish(
        self,
        ended: Ended,
        attempts: u32,
        failed: Option<String>,
    ) -> Result<StageRun> {
        let mut kept_rows = Vec::new();
        for (spec, before) in self.kept_rows {
            let after = self.own.digest(&spec.digest).await?;
            kept_rows.push(KeptRows {
                id: spec.id.value.clone(),
                before,
                after,
            });
        }
        self.server.resume();
        let ready_after = self.server.ready_after;
        let (died, output) = self.server.stop().await;
        let died = died.or_else(|| self.own.excess());
        self.own.close().await?;
        let why = failed.unwrap_or_else(|| "No load was sent.".to_owned());
        let load = match load::join(self.runs) {
            Some(load) => Fact::Seen(load),
            None => Fact::Unknown { why: why.clone() },
        };
        let connections = match self.connections {
            Some(connections) => Fact::Seen(connections),
            None => Fact::Unknown { why },
        };
        Ok(StageRun {
            stage: self.stage.id.value.clone(),
            server: self.kind,
            migrations: self.migrations,
            run: ServerRun::Ran {
                ready_after,
                seen: StageSeen {
                    statements: self.statements,
                    load,
                    connections,
                    during_load: self.during_load,
                    answers: self.answers,
                    kept_rows,
                    legs: self.legs,
                    ended,
                    attempts,
                },
                died,
                output,
            },
        })
    }
}

/// The machine's two clocks at one instant. Connections are counted by the wall clock, which anybody
/// may set.
struct Clocks {
    steady: Instant,
    wall: SystemTime,
}

impl Clocks {
    /// Further apart than this they never drift by themselves within a stage.
    const MOST: f64 = 0.1;

    fn read() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// # Errors
    /// When the wall clock was set since.
    fn agree(&self) -> Result<()> {
        let seconds = |wall: SystemTime| match wall.duration_since(self.wall) {
            Ok(later) => later.as_secs_f64(),
            Err(earlier) => -earlier.duration().as_secs_f64(),
        };
        let apart = seconds(SystemTime::now()) - self.steady.elapsed().as_secs_f64();
        ensure!(
            apart.abs() < Self::MOST,
            "this machine's clock was set by {apart:.1} s while a server was loaded, so its \
             connections could not be counted"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let clocks = Clocks::read();
        clocks.agree().unwrap();
        for (by, says) in [(-3600.0, "by 3600.0 s"), (5.0, "by -5.0 s")] {
            let wall = if by < 0.0 {
                clocks.wall - Duration::from_secs_f64(-by)
            } else {
                clocks.wall + Duration::from_secs_f64(by)
            };
            let set = Clocks { wall, ..clocks };
            let error = set.agree().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
