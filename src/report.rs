//! A report: grade, evidence, where and when, in the form that formats write and people keep.
//!
//! Pure. `report.json` is this type as JSON; every other format is a function of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{
    BuildOutcome, Connections, Ended, Environment, Evidence, Fact, Leg, Migrations, Phase, Second,
    ServerRun, StatementSeen,
};
use crate::exercise::{Exercise, ServerKind};
use crate::grade::{CriterionGrade, Grade, Outcome, Verdict};
use crate::histogram::{Bucket, Latency};

/// The version of `report.json` that this program writes.
pub const VERSION: u32 = 1;

/// `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The exercise's slug.
    pub exercise: String,
    /// The exercise's title.
    pub title: String,
    /// The submission folder's name.
    pub submission: String,
    /// When its evidence was gathered, RFC 3339 in UTC.
    pub started_at: String,
    /// What all verdicts mean together.
    pub outcome: Outcome,
    /// One sentence for the learner: where they stand.
    pub headline: String,
    /// Points earned.
    pub points: u32,
    /// Points that can be earned.
    pub max_points: u32,
    /// Points that passing needs.
    pub pass_mark: u32,
    /// Ids of criteria that passing needs and that were not met.
    pub missing_musts: Vec<String>,
    /// Id of the criterion that is worth looking at next; null when all are met.
    pub look_next: Option<String>,
    /// Every criterion.
    pub criteria: Vec<CriterionGrade>,
    /// Every stretch of load.
    pub stages: Vec<Stage>,
    /// The statements that the submission sent, with their plans.
    pub statements: Vec<Statement>,
    /// How the build went.
    pub build: BuildReport,
    /// Where the evidence was gathered.
    pub environment: Environment,
    /// How long each phase took.
    pub phases: Vec<Phase>,
}

/// One stretch of load on one server. All zero when the server did not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// The stage's id.
    pub id: String,
    /// Its heading, e.g. `After pooling`.
    pub title: String,
    /// Whose server.
    pub server: ServerKind,
    /// What every user asked for, e.g. `GET /feed`.
    pub request: String,
    /// Why there are no figures, or how the server ended before it was told to.
    pub problem: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// 0 to 1.
    pub success_rate: f64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Latencies.
    pub latency_ms: Latency,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Concurrent users.
    pub users: u32,
    /// Seconds measured.
    pub seconds: f64,
    /// Connections that the load generator had to open again.
    pub reconnects: u64,
    /// Attempts to connect to the database; null when they were not counted.
    pub connections: Option<Connections>,
    /// What became of the migrations.
    pub migrations: Migrations,
    /// One value a second.
    pub per_second: Vec<Second>,
    /// The shape of the latencies.
    pub histogram: Vec<Bucket>,
    /// The load once more, leg by leg, with what else was on the machine.
    #[serde(default)]
    pub legs: Vec<Leg>,
    /// Why measuring ended when it did; null when nothing was measured.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// How often it was measured: again when others had used the machine meanwhile.
    #[serde(default)]
    pub attempts: u32,
}

/// A statement that the submission's server sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// The stage in which it was captured.
    pub stage: String,
    /// The request that caused it, e.g. `GET /feed`.
    pub request: String,
    /// The table in question.
    pub reads: String,
    /// The statement and its plan.
    pub seen: StatementSeen,
}

/// How the build went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildReport {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Whether the dependencies were there already.
    pub dependencies_reused: bool,
    /// What the copy left out or changed.
    pub notes: Vec<String>,
    /// The compiler's errors, when there were any.
    pub errors: Option<String>,
    /// The last lines that the server printed in the last stage that ran.
    pub server_output: String,
}

/// Puts a report together.
#[must_use]
pub fn report(exercise: &Exercise, evidence: &Evidence, grade: Grade) -> Report {
    let missing_musts: Vec<String> = grade
        .criteria
        .iter()
        .filter(|criterion| criterion.must && criterion.verdict != Verdict::Met)
        .map(|criterion| criterion.id.clone())
        .collect();
    let look_next = look_next(&grade).map(|criterion| criterion.id.clone());
    Report {
        version: VERSION,
        exercise: evidence.exercise.clone(),
        title: exercise.title.clone(),
        submission: evidence.submission.clone(),
        started_at: evidence.started_at.clone(),
        outcome: grade.outcome,
        headline: headline(&grade),
        points: grade.points,
        max_points: grade.max_points,
        pass_mark: grade.pass_mark,
        missing_musts,
        look_next,
        criteria: grade.criteria,
        stages: stages(exercise, evidence),
        statements: statements(exercise, evidence),
        build: build(evidence),
        environment: evidence.environment.clone(),
        phases: evidence.phases.clone(),
    }
}

/// The first criterion that is a cause and not a consequence: not met, and not merely skipped.
/// Musts come first.
fn look_next(grade: &Grade) -> Option<&CriterionGrade> {
    let open = |criterion: &&CriterionGrade| {
        matches!(criterion.verdict, Verdict::NotMet | Verdict::PartlyMet)
    };
    grade
        .criteria
        .iter()
        .filter(open)
        .find(|criterion| criterion.must)
        .or_else(|| grade.criteria.iter().find(open))
}

fn headline(grade: &Grade) -> String {
    let missing: Vec<&str> = grade
        .criteria
        .iter()
        .filter(|criterion| criterion.must && criterion.verdict != Verdict::Met)
        .map(|criterion| criterion.title.as_str())
        .collect();
    let of = format!("{} of {} points", grade.points, grade.max_points);
    match grade.outcome {
        Outcome::Ungraded => {
            "Not graded: this machine could not establish every fact. No points are lost."
                .to_owned()
        }
        Outcome::Passed => format!("Passed with {of}."),
        Outcome::Failed if missing.is_empty() => {
            format!(
                "Not passed yet: {of}, and passing needs {}.",
                grade.pass_mark
            )
        }
        Outcome::Failed if grade.points >= grade.pass_mark => format!(
            "Not passed yet: {of} would do, but passing also needs this: {}.",
            missing.join("; ")
        ),
        Outcome::Failed => format!(
            "Not passed yet: {of}. Passing needs {} points, and these among them: {}.",
            grade.pass_mark,
            missing.join("; ")
        ),
    }
}

fn stages(exercise: &Exercise, evidence: &Evidence) -> Vec<Stage> {
    evidence
        .stages
        .iter()
        .map(|run| {
            let spec = exercise.stage(&run.stage);
            let title = spec.map_or(&run.stage, |stage| &stage.title);
            let mut stage = Stage {
                id: run.stage.clone(),
                title: title.clone(),
                server: run.server,
                request: spec.map_or(String::new(), |stage| stage.load.request.to_string()),
                problem: None,
                requests: 0,
                failed: 0,
                success_rate: 0.0,
                requests_per_second: 0.0,
                latency_ms: Latency::default(),
                errors: BTreeMap::new(),
                users: 0,
                seconds: 0.0,
                reconnects: 0,
                connections: None,
                migrations: run.migrations.clone(),
                per_second: Vec::new(),
                histogram: Vec::new(),
                legs: Vec::new(),
                ended: None,
                attempts: 0,
            };
            match &run.run {
                ServerRun::NotReady { reason, .. } => stage.problem = Some(reason.clone()),
                ServerRun::Ran { seen, died, .. } => {
                    stage.problem.clone_from(died);
                    stage.connections = seen.connections.seen().cloned();
                    stage.legs.clone_from(&seen.legs);
                    stage.ended = Some(seen.ended);
                    stage.attempts = seen.attempts;
                    match &seen.load {
                        Fact::Unknown { why } => stage.problem = Some(why.clone()),
                        Fact::Seen(load) => {
                            stage.requests = load.requests;
                            stage.failed = load.failed;
                            stage.success_rate = load.success_rate;
                            stage.requests_per_second = load.requests_per_second;
                            stage.latency_ms = load.latency_ms;
                            stage.errors.clone_from(&load.errors);
                            stage.users = load.users;
                            stage.seconds = load.seconds;
                            stage.reconnects = load.reconnects;
                            stage.per_second.clone_from(&load.per_second);
                            stage.histogram.clone_from(&load.histogram);
                        }
                    }
                }
            }
            stage
        })
        .collect()
}

fn statements(exercise: &Exercise, evidence: &Evidence) -> Vec<Statement> {
    let mut all = Vec::new();
    for run in evidence
        .stages
        .iter()
        .filter(|run| run.server == ServerKind::Submission)
    {
        let Some(seen) = run.run.seen() else { continue };
        for captured in &seen.statements {
            let Some(spec) = exercise.statement(&captured.id) else {
                continue;
            };
            for statement in captured.statements.seen().into_iter().flatten() {
                all.push(Statement {
                    stage: run.stage.clone(),
                    request: spec.request.to_string(),
                    reads: spec.reads.clone(),
                    seen: statement.clone(),
                });
            }
        }
    }
    all
}

fn build(evidence: &Evidence) -> BuildReport {
    let output_of = |run: &ServerRun<_>| match run {
        ServerRun::Ran { output, .. } | ServerRun::NotReady { output, .. } => output.clone(),
    };
    let last = evidence
        .stages
        .iter()
        .rfind(|run| run.server == ServerKind::Submission);
    BuildReport {
        seconds: evidence.build.seconds,
        dependencies_reused: evidence.build.dependencies_reused,
        notes: evidence.build.notes.clone(),
        errors: match &evidence.build.outcome {
            BuildOutcome::Failed { errors } => Some(errors.clone()),
            _ => None,
        },
        server_output: last.map(|run| output_of(&run.run)).unwrap_or_default(),
    }
}
