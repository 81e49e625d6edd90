//! One stage of a run: who is loaded when, and when enough was measured.
//!
//! Servers that a rubric compares are loaded in turn: reference, reference (what a difference of
//! nothing looks like on this machine), submission, reference, submission, reference … Others are
//! loaded by themselves. Either ends as soon as going on could not change a verdict; see
//! [`crate::sequential`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::contender::{Contender, Prepared};
use super::program::Program;
use super::{Ground, Run};
use crate::check::answer::grader::Grader;
use crate::check::{Context, Judgement, SoFar};
use crate::event::Event;
use crate::evidence::{Ended, Evidence, Leg, Load, Migrations, ServerRun, StageRun, Window};
use crate::exercise::{ServerKind, StageSpec};
use crate::load::LoadPlan;
use crate::probing;
use crate::watch::{Processing, Watch};

/// How often a stage is measured at most, when others use the machine meanwhile.
const ATTEMPTS: u32 = 3;
/// How long one waits for the others to be done, before each further attempt.
const CALM: Duration = Duration::from_secs(10);
/// Of a stage that is not short at least so much is measured, however sure one is: people look at the
/// figures.
const LEAST: Duration = Duration::from_secs(2);
/// One leg of a comparison is so long, or twice that for a server that answers slowly.
const LEG: Duration = Duration::from_secs(1);
/// At the start of a leg all users ask at once; so long is left out.
const SETTLE: Duration = Duration::from_millis(150);

impl Run<'_> {
    /// Runs a stage and adds it to the evidence, again if something on this machine was in its way.
    pub(super) async fn stage(
        &mut self,
        stage: &StageSpec,
        programs: &[Program],
        ground: &Ground,
        evidence: &mut Evidence,
    ) -> Result<()> {
        let before = evidence.stages.len();
        for attempt in 1..=ATTEMPTS {
            let runs = Box::pin(self.attempt(stage, programs, ground, attempt)).await?;
            evidence.stages.truncate(before);
            evidence.stages.extend(runs);
            let Some(why) = self.in_doubt(stage, evidence) else {
                break;
            };
            if self.order.is_full_length {
                break;
            }
            if attempt < ATTEMPTS {
                (self.on_event)(Event::Notice(format!(
                    "stage {} is measured again: {why}",
                    *stage.id
                )));
                wait_for_calm(&self.processing()).await;
            }
        }
        Ok(())
    }

    /// Why the machine leaves a verdict on this stage in doubt, if it does.
    fn in_doubt(&self, stage: &StageSpec, evidence: &Evidence) -> Option<String> {
        let assignment = self.order.assignment;
        let grader = Grader::new(
            &assignment.rubric.answers,
            &assignment.exercise,
            &assignment.material,
        );
        let context = Context {
            exercise: &assignment.exercise,
            grader: &grader,
            material: &assignment.material,
        };
        assignment
            .rubric
            .criteria
            .iter()
            .filter(|criterion| criterion.check.looks_at(&stage.id))
            .filter(|criterion| {
                // What rests on a later stage as well cannot be judged yet.
                let stages = criterion.check.names().stages;
                stages.iter().all(|id| ***id == *stage.id)
            })
            .find_map(
                |criterion| match criterion.check.judge(context, evidence).judgement {
                    Judgement::Ungraded { reason } => Some(reason),
                    _ => None,
                },
            )
    }

    async fn attempt(
        &mut self,
        stage: &StageSpec,
        programs: &[Program],
        ground: &Ground,
        attempt: u32,
    ) -> Result<Vec<StageRun>> {
        let of = |kind: ServerKind| programs.iter().find(|program| program.kind == kind);
        let is_compared = self
            .order
            .assignment
            .rubric
            .criteria
            .iter()
            .any(|criterion| criterion.check.compares(&stage.id));
        if let (true, Some(reference), Some(submission)) = (
            is_compared
                && [ServerKind::Reference, ServerKind::Submission]
                    .iter()
                    .all(|kind| stage.servers.contains(kind)),
            of(ServerKind::Reference),
            of(ServerKind::Submission),
        ) {
            return Box::pin(self.duet(stage, [reference, submission], ground, attempt)).await;
        }
        let mut runs = Vec::new();
        for program in stage.servers.iter().filter_map(|kind| of(*kind)) {
            runs.push(Box::pin(self.solo(stage, program, ground, attempt)).await?);
        }
        Ok(runs)
    }

    /// One server by itself.
    async fn solo(
        &mut self,
        stage: &StageSpec,
        program: &Program,
        ground: &Ground,
        attempt: u32,
    ) -> Result<StageRun> {
        let phase = format!("stage {}: the {}", *stage.id, program.kind);
        let started = self.begin(&phase, None);
        let database = ground.of(program.kind);
        let prepared = self
            .prepare(stage, program, database, ground.migrates_itself)
            .await?;
        let run = match prepared {
            Prepared::Over(run) => *run,
            Prepared::Ready(contender) => self.solo_load(*contender, attempt).await?,
        };
        self.end(&phase, started, told(&run));
        Ok(run)
    }

    async fn solo_load(&self, mut one: Contender<'_>, attempt: u32) -> Result<StageRun> {
        let began = Instant::now();
        let plan = one.plan(&self.cores.generator);
        let (mut ended, mut failed) = (Ended::OutOfTime, None);
        while plan.duration.as_secs_f64() - one.seconds() >= 0.5 {
            if let Err(error) = self.solo_leg(&mut one, plan.clone(), began).await {
                failed = Some(format!("The load could not be sent: {error:#}"));
                break;
            }
            if !self.order.is_full_length && !self.is_open(&one, &[]) {
                ended = Ended::Sure;
                break;
            }
        }
        one.finish(ended, attempt, failed).await
    }

    /// A leg that lasts until one can be sure as far as the load itself tells.
    async fn solo_leg(
        &self,
        one: &mut Contender<'_>,
        mut plan: LoadPlan,
        began: Instant,
    ) -> Result<()> {
        self.warm_up(one, plan.clone(), plan.warm_up).await?;
        let least = least(plan.duration);
        plan.warm_up = SETTLE;
        plan.duration = plan
            .duration
            .saturating_sub(Duration::from_secs_f64(one.seconds()));
        let stage = one.stage().to_owned();
        let is_judged = one.kind() == ServerKind::Submission;
        let window = plan.window;
        let before = one.windows.len();
        one.leg(plan, began, |windows| {
            let measured = window * u32::try_from(windows.len() - before).unwrap_or(u32::MAX);
            let so_far = SoFar {
                stage: &stage,
                windows,
                connections: None,
                reference: &[],
                submission: &[],
            };
            !self.order.is_full_length && measured >= least && !(is_judged && self.any_open(so_far))
        })
        .await
    }

    /// The reference and the submission in turn.
    async fn duet(
        &mut self,
        stage: &StageSpec,
        [reference, submission]: [&Program; 2],
        ground: &Ground,
        attempt: u32,
    ) -> Result<Vec<StageRun>> {
        let phase = format!(
            "stage {}: the reference and the submission in turn",
            *stage.id
        );
        let started = self.begin(&phase, None);
        let database = ground.of(ServerKind::Reference);
        let runs = match self.prepare(stage, reference, database, false).await? {
            Prepared::Over(run) => {
                // Without the yardstick there is nothing to compare with, but other things to see.
                vec![
                    *run,
                    Box::pin(self.solo(stage, submission, ground, attempt)).await?,
                ]
            }
            Prepared::Ready(reference) => {
                Box::pin(self.duet_load(stage, *reference, submission, ground, attempt)).await?
            }
        };
        let result = runs.iter().map(told).collect::<Vec<_>>().join("; ");
        self.end(&phase, started, result);
        Ok(runs)
    }

    async fn duet_load(
        &self,
        stage: &StageSpec,
        mut reference: Contender<'_>,
        submission: &Program,
        ground: &Ground,
        attempt: u32,
    ) -> Result<Vec<StageRun>> {
        let began = Instant::now();
        let warm_up = Duration::from_secs_f64(stage.load.warm_up).max(LEG / 2);
        let plan = reference.plan(&self.cores.generator);
        let seen = self.warm_up(&mut reference, plan.clone(), warm_up).await?;
        let reference_plan = leg(plan, &seen);
        let never = |_: &[Window]| false;
        for _ in 0..2 {
            reference.leg(reference_plan.clone(), began, never).await?;
        }
        let database = ground.of(ServerKind::Submission);
        let prepared = self
            .prepare(stage, submission, database, ground.migrates_itself)
            .await?;
        let mut submission = match prepared {
            Prepared::Over(run) => {
                return Ok(vec![
                    reference.finish(Ended::Sure, attempt, None).await?,
                    *run,
                ]);
            }
            Prepared::Ready(submission) => *submission,
        };
        let plan = submission.plan(&self.cores.generator);
        let least = least(plan.duration);
        let (mut ended, mut failed) = (Ended::OutOfTime, None);
        let submission_plan = match self.warm_up(&mut submission, plan.clone(), warm_up).await {
            Ok(seen) => leg(plan, &seen),
            Err(error) => {
                let why = Some(format!("The load could not be sent: {error:#}"));
                return Ok(vec![
                    reference.finish(ended, attempt, None).await?,
                    submission.finish(ended, attempt, why).await?,
                ]);
            }
        };
        while submission.seconds() < stage.load.seconds {
            (self.on_event)(Event::PhaseProgress {
                detail: format!("round {}", submission.legs.len() + 1),
            });
            if let Err(error) = submission.leg(submission_plan.clone(), began, never).await {
                failed = Some(format!("The load could not be sent: {error:#}"));
                break;
            }
            // Whatever it does when nobody asks must not slow the reference down.
            submission.server.pause();
            let compared = reference.leg(reference_plan.clone(), began, never).await;
            submission.server.resume();
            compared?;
            let is_long = submission.seconds() >= least.as_secs_f64();
            if is_long && !self.order.is_full_length && !self.is_open(&submission, &reference.legs)
            {
                ended = Ended::Sure;
                break;
            }
        }
        Ok(vec![
            reference.finish(ended, attempt, None).await?,
            submission.finish(ended, attempt, failed).await?,
        ])
    }

    /// Whether a verdict on the submission could still change. Nobody is judged but the submission.
    fn is_open(&self, one: &Contender<'_>, reference: &[Leg]) -> bool {
        one.kind() == ServerKind::Submission
            && self.any_open(SoFar {
                stage: one.stage(),
                windows: &one.windows,
                connections: one.connections.as_ref(),
                reference,
                submission: &one.legs,
            })
    }

    fn any_open(&self, so_far: SoFar<'_>) -> bool {
        let criteria = &self.order.assignment.rubric.criteria;
        criteria
            .iter()
            .any(|criterion| criterion.check.is_open(so_far))
    }

    /// Loads a server until it is warm, with the stage's probe beside the load if it is its turn. The
    /// load lasts at least as long as the probe does.
    async fn warm_up(
        &self,
        one: &mut Contender<'_>,
        plan: LoadPlan,
        least: Duration,
    ) -> Result<Load> {
        let exercise = &self.order.assignment.exercise;
        let probe = exercise
            .stage(one.stage())
            .filter(|_| one.kind() == ServerKind::Submission && one.during_load.is_empty())
            .and_then(|stage| exercise.probe(stage.during_load.as_ref()?));
        let is_probing = AtomicBool::new(probe.is_some());
        let url = one.server.url();
        let probing = async {
            let Some(probe) = probe else {
                return Ok(Vec::new());
            };
            (self.on_event)(Event::PhaseProgress {
                detail: format!("{} under load", *probe.id),
            });
            // Some way into the load, when all users are at it.
            tokio::time::sleep(LEG / 2).await;
            let run = probing::run(probe, &url, one.database()).await;
            is_probing.store(false, Ordering::Relaxed);
            anyhow::Ok(vec![run?])
        };
        let (runs, load) = tokio::join!(probing, one.warm_up(plan, least, &is_probing));
        one.during_load.extend(runs?);
        load
    }
}

/// The least time that is measured of a stage that may last for `whole`: a fifth of a short one.
fn least(whole: Duration) -> Duration {
    LEAST.min(whole / 5)
}

/// One leg for a server that was like this: long enough for each user to be answered some times.
fn leg(mut plan: LoadPlan, seen: &Load) -> LoadPlan {
    let cycle = Duration::try_from_secs_f64(seen.latency_ms.p90 / 1000.0).unwrap_or(LEG);
    plan.warm_up = SETTLE.max(cycle).min(LEG);
    plan.duration = if cycle * 5 > LEG { LEG * 2 } else { LEG };
    plan
}

async fn wait_for_calm(on: &Processing) {
    let asked = Instant::now();
    while asked.elapsed() < CALM {
        let watch = Watch::start(&[], on);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if watch.end().others.is_none_or(|others| others < 0.1) {
            return;
        }
    }
}

fn told(run: &StageRun) -> String {
    if matches!(run.migrations, Migrations::Failed { .. }) {
        return "a migration failed".into();
    }
    match &run.run {
        ServerRun::NotReady { .. } => "it never became ready".into(),
        ServerRun::Ran { seen, .. } => match seen.load.seen() {
            None => "not measured".into(),
            Some(load) => format!(
                "{} requests in {:.1} s, {:.1} % ok, p99 {:.0} ms",
                load.requests,
                load.seconds,
                load.success_rate * 100.0,
                load.latency_ms.p99
            ),
        },
    }
}
