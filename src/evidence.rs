//! Evidence: everything that was seen while a submission was built, started, asked and loaded.
//!
//! Pure data, saved as `evidence.json` between gathering and judging. It holds facts, never points:
//! a corrected rubric marks the same evidence again. What the learner did wrong is an ordinary
//! value here; a fact that the machine failed to deliver is [`Fact::Unknown`], which no check may
//! take for a fault.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exercise::ServerKind;
use crate::histogram::{Bucket, Latency};
use crate::query_plan::QueryPlan;
use crate::submission::AnswersFile;

/// The version of `evidence.json` that this program writes.
pub const VERSION: u32 = 2;

/// All that was seen of one submission in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The exercise's slug.
    pub exercise: String,
    /// The submission folder's name, for people.
    pub submission: String,
    /// When gathering started, RFC 3339 in UTC.
    pub started_at: String,
    /// Where it was gathered.
    pub environment: Environment,
    /// ANSWERS.md.
    pub answers: AnswersFile,
    /// What `cargo build --release` did.
    pub build: Build,
    /// What the server answered to each probe of the exercise, run alone, before any load. Empty
    /// when nothing was built.
    pub api: Option<ServerRun<Vec<ProbeRun>>>,
    /// Every stretch of load, in the order in which it ran.
    pub stages: Vec<StageRun>,
    /// How long each phase took, in the order in which they ran.
    pub phases: Vec<Phase>,
}

/// A fact, or why this machine could not establish it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It was seen.
    Seen(T),
    /// The harness or the machine failed; never the learner's fault.
    Unknown {
        /// One sentence.
        why: String,
    },
}

impl<T> Fact<T> {
    /// The fact, if it is known.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(fact) => Some(fact),
            Self::Unknown { .. } => None,
        }
    }
}

/// Where evidence was gathered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// The version of feedgrade that gathered.
    pub feedgrade: String,
    /// `container`, `local` or `url`.
    pub database: String,
    /// Why that one, in one sentence.
    pub database_reason: String,
    /// Postgres' own version, e.g. `15.18`.
    pub postgres: String,
    /// The settings that can move a verdict, as the server reports them.
    pub settings: BTreeMap<String, String>,
    /// Processors that this process may use.
    pub cores: usize,
    /// Who got which of them.
    #[serde(default)]
    pub footing: Footing,
    /// How far the submission's programs were confined.
    #[serde(default)]
    pub isolation: Confined,
    /// `rustc --version`.
    pub rustc: String,
    /// Operating system and architecture, e.g. `linux x86_64`.
    pub platform: String,
}

/// Which processors served and which sent load, as lists like `0-1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Footing {
    /// How many the exercise wants for the server and its database together.
    pub wanted: usize,
    /// Those that the server was held to; empty when it was held to none.
    pub server: String,
    /// Those that the database was held to; empty when it was held to none.
    pub database: String,
    /// Those that the load generator had to itself; empty when it shared the server's.
    pub generator: String,
}

/// How far the submission's build and server were confined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confined {
    /// In one word.
    pub level: Level,
    /// What was enforced.
    pub enforced: Vec<String>,
    /// What was not, and why.
    pub missing: Vec<String>,
}

/// How far programs are confined, in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Files, ports, signals, system calls and resources.
    Full,
    /// Some of these.
    Limits,
    /// Not at all.
    #[default]
    None,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Limits => "limits",
            Self::None => "none",
        })
    }
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// E.g. `build the submission`.
    pub name: String,
    /// Wall time in seconds, three decimals.
    pub seconds: f64,
}

/// What `cargo build --release` did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// How it ended.
    pub outcome: BuildOutcome,
    /// Wall time of the learner's own build in seconds, three decimals.
    pub seconds: f64,
    /// Whether the dependencies were there already from an earlier build.
    pub dependencies_reused: bool,
    /// What the copy left out or changed, one sentence each (a symlink, a `target/` folder …).
    pub notes: Vec<String>,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildOutcome {
    /// There is one binary.
    Built,
    /// The compiler or cargo said no.
    Failed {
        /// The errors, trimmed to what matters, without escape sequences.
        errors: String,
    },
    /// It ran past its deadline.
    TimedOut {
        /// The deadline.
        seconds: u64,
    },
    /// It was not built: too large, no binary, two binaries, an unreadable manifest.
    Refused {
        /// One sentence for the learner.
        reason: String,
    },
}

/// What came of starting a server, and what was seen while it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerRun<T> {
    /// It became ready.
    Ran {
        /// Seconds from start to ready, three decimals.
        ready_after: f64,
        /// What was seen.
        seen: T,
        /// How it ended, when it ended before it was told to: one sentence.
        died: Option<String>,
        /// The last lines that it printed.
        output: String,
    },
    /// It never became ready.
    NotReady {
        /// One sentence: it exited, did not listen on PORT, or answered something else.
        reason: String,
        /// The last lines that it printed.
        output: String,
    },
}

impl<T> ServerRun<T> {
    /// What was seen, if the server got that far.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Ran { seen, .. } => Some(seen),
            Self::NotReady { .. } => None,
        }
    }
}

/// One run of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeRun {
    /// The probe's id.
    pub probe: String,
    /// One for each of its steps, in order; fewer when the server died.
    pub steps: Vec<StepSeen>,
}

/// One request and what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSeen {
    /// Method and path as sent.
    pub request: String,
    /// The JSON body as sent.
    pub sent: Option<Value>,
    /// What came back.
    pub answer: Answer,
    /// What the database said right afterwards: one JSON object a row, or its message when the
    /// tables are no longer what they were. Null when it was not asked.
    pub rows: Option<Fact<Result<Vec<Value>, String>>>,
}

/// What came back for a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An HTTP response with a JSON body.
    Json {
        /// The status.
        status: u16,
        /// The body.
        body: Value,
    },
    /// An HTTP response with another body.
    Text {
        /// The status.
        status: u16,
        /// Its first 2,000 characters.
        body: String,
    },
    /// No HTTP response: one sentence.
    Failed(String),
}

/// One stretch of load on one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageRun {
    /// The stage's id.
    pub stage: String,
    /// Whose server.
    pub server: ServerKind,
    /// What became of its migrations.
    pub migrations: Migrations,
    /// The server, and what was seen.
    pub run: ServerRun<StageSeen>,
}

/// What became of a server's migrations in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Migrations {
    /// This stage runs without them.
    NotWanted,
    /// The folder is empty or missing.
    None,
    /// The server changes its database itself when it starts, so its files were not applied.
    ByServer,
    /// All were applied.
    Applied {
        /// File names, in order.
        files: Vec<String>,
        /// The first 100 of their statements. Not in older evidence.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        statements: Vec<Applied>,
    },
    /// One failed; the ones after it were not applied.
    Failed {
        /// The file.
        file: String,
        /// Line in it, from 1, where the failing statement starts.
        line: usize,
        /// The statement's first characters.
        statement: String,
        /// What the database said.
        error: String,
    },
}

/// A statement of a migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The file's name.
    pub file: String,
    /// Line in it, from 1, where the statement starts.
    pub line: usize,
    /// The statement's first characters, on one line.
    pub statement: String,
}

/// What was seen in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSeen {
    /// The statements that the server sent for one request, by the exercise's ids.
    pub statements: Vec<StatementsSeen>,
    /// The load. Unknown when the load generator itself failed.
    pub load: Fact<Load>,
    /// Attempts to connect to the database while the load was measured.
    pub connections: Fact<Connections>,
    /// Probes that were run while the load went on.
    pub during_load: Vec<ProbeRun>,
    /// Answers to the load itself that were looked at, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerSeen>,
    /// Digests of seeded rows before the migrations and after the load.
    pub kept_rows: Vec<KeptRows>,
    /// The load once more, leg by leg.
    pub legs: Vec<Leg>,
    /// Why measuring ended when it did.
    pub ended: Ended,
    /// How often the stage was measured: again when others had used the machine meanwhile.
    pub attempts: u32,
}

/// An answer that came while the load was measured, picked at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerSeen {
    /// How often this very answer was picked.
    pub times: u64,
    /// The answer, and what the database said at the end of the leg.
    pub step: StepSeen,
}

/// One leg of a stage: servers that are compared are loaded in turn, for a second or two each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// When measuring began, in seconds since the stage did, three decimals.
    pub at: f64,
    /// Seconds measured, three decimals.
    pub seconds: f64,
    /// As in [`Load`].
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// 99th percentile of the latency in ms.
    pub p99_ms: f64,
    /// The load generator was never idle, so the server may be faster than measured.
    pub at_ceiling: bool,
    /// What else was on the machine.
    pub machine: Machine,
}

/// What the kernel counted of the machine while a load ran. Null where it does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The share of the time of the processors that serve, 0 to 1, that went to processes which had
    /// no part in the load.
    pub others: Option<f64>,
    /// The share that the hypervisor gave to other machines.
    pub stolen: Option<f64>,
    /// The share of the time in which something waited for a processor, the load itself included
    /// (pressure-stall information).
    pub pressure: Option<f64>,
}

impl Machine {
    /// The mean over all legs by their time. `None` where the kernel does not tell, or of no legs.
    #[must_use]
    pub fn mean(legs: &[Leg], of: fn(&Self) -> Option<f64>) -> Option<f64> {
        let known = || {
            legs.iter()
                .filter_map(|leg| Some((of(&leg.machine)?, leg.seconds)))
        };
        let seconds: f64 = known().map(|(_, seconds)| seconds).sum();
        (seconds > 0.0).then(|| known().map(|(share, time)| share * time).sum::<f64>() / seconds)
    }
}

/// Why measuring ended when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Going on could not have changed a verdict; see `sequential`.
    Sure,
    /// The longest time that the exercise allows was over.
    OutOfTime,
}

/// What one stretch of load measured. Warm-up is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Concurrent users, each with one connection.
    pub users: u32,
    /// Seconds measured, three decimals.
    pub seconds: f64,
    /// Requests that ended within the measured time or were under way when it was over: one that takes
    /// longer than the time is not left out for that. In an open loop those that were due within it,
    /// whenever they ended.
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// 0 to 1; 0 when there were no requests.
    pub success_rate: f64,
    /// Requests a second that ended within the measured time, failed ones too.
    pub requests_per_second: f64,
    /// From sending a request (connecting first, when that was needed) to the last byte of its
    /// answer, or to its failure. In an open loop from the instant at which it was due.
    pub latency_ms: Latency,
    /// The shape of those latencies.
    pub histogram: Vec<Bucket>,
    /// Failures by kind: `status 500`, `refused`, `reset`, `timed out`, …
    pub errors: BTreeMap<String, u64>,
    /// Connections that the generator had to open again.
    pub reconnects: u64,
    /// Closed loop: users who got no successful answer in the whole measured time. A server that
    /// serves a few very fast and lets the others wait would look good in all other figures.
    #[serde(default)]
    pub starved: u64,
    /// One value a second. What a closed loop ended late is in the last.
    pub per_second: Vec<Second>,
    /// One value a window, where a stage was measured in windows shorter than a second. What a closed
    /// loop ended late is in the window in which it was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Each kind of request by itself, in the order in which they were given.
    #[serde(default)]
    pub targets: Vec<TargetLoad>,
    /// What only an open loop measures.
    #[serde(default)]
    pub open_loop: Option<OpenLoop>,
    /// What the generator itself took and how well it kept up.
    #[serde(default)]
    pub generator: Generator,
}

/// One kind of request in a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetLoad {
    /// Method and path, e.g. `GET /feed`.
    pub request: String,
    /// As in [`Load`].
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// 0 to 1; 0 when there were no requests.
    pub success_rate: f64,
    /// As in [`Load`].
    pub latency_ms: Latency,
}

/// What only an open loop measures: its requests are due at fixed instants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenLoop {
    /// Requests due each second.
    pub rate: f64,
    /// From due to sent. Above a millisecond, either all connections were busy or the generator
    /// came late; [`Generator::worst_lag_ms`] tells which.
    pub lag_ms: Latency,
    /// From sent to done: what a server is like that nobody had to wait for.
    pub service_ms: Latency,
}

/// What the load generator itself took while it measured, and how well it kept up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Threads that it ran on.
    pub threads: u32,
    /// CPU time of all its threads, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Seconds in which they could have run but had no processor; null where the kernel does not
    /// tell. Large when something else runs on the machine.
    pub cpu_wait_seconds: Option<f64>,
    /// The share of the time, 0 to 1, in which its busiest thread worked or waited for a processor.
    pub busy: f64,
    /// The longest that something which was ready had to wait for the generator, in ms: an answer
    /// for those read before it, or in an open loop a request that was due and had a connection.
    pub worst_lag_ms: f64,
    /// Its busiest thread was never idle, so the server may be faster than measured.
    pub at_ceiling: bool,
}

/// One window of a load, e.g. a quarter of a second: what sequential tests count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Requests that ended in it.
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
}

/// One second of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Second {
    /// Requests that ended in it.
    pub requests: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// Median latency in ms.
    pub p50: f64,
    /// 99th percentile of the latency in ms.
    pub p99: f64,
}

/// Attempts to connect to the database, as its log tells them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// Connections that the database received from the server, refused and abandoned ones too.
    pub attempts: u64,
    /// Those that it let in.
    pub authorized: u64,
    /// Requests that succeeded in the same time.
    pub successful_requests: u64,
}

/// The statements that a server sent for a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatementsSeen {
    /// The id in the exercise.
    pub id: String,
    /// How often the request was sent.
    pub requests: u32,
    /// Statements that read the table in question, each once, in the order of their first sight.
    /// Unknown when the database's log could not be read.
    pub statements: Fact<Vec<StatementSeen>>,
}

/// One statement, and how the database runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatementSeen {
    /// As the database received it.
    pub sql: String,
    /// Its bound parameters as text, `None` for NULL.
    pub parameters: Vec<Option<String>>,
    /// How often it was sent.
    pub times: u32,
    /// The plan, taken on the grader's own connection with planner settings at their defaults.
    pub plan: PlanSeen,
}

/// The plan of a statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanSeen {
    /// As EXPLAIN (ANALYZE, BUFFERS, VERBOSE, SETTINGS, FORMAT JSON) gave it.
    Explained(Box<QueryPlan>),
    /// The database would not explain it: its message.
    Refused(String),
}

/// Whether seeded rows are still what they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeptRows {
    /// The id in the exercise.
    pub id: String,
    /// The digest's row right after seeding.
    pub before: Value,
    /// The same query at the end of the stage, or the database's message: then the table is no
    /// longer what it was.
    pub after: Result<Value, String>,
}

/// Evidence for the tests of whoever judges it.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    /// Nothing but a build.
    pub(crate) fn evidence(outcome: BuildOutcome) -> Evidence {
        Evidence {
            version: VERSION,
            exercise: "tiny".into(),
            submission: "ann".into(),
            started_at: "2026-01-01T00:00:00Z".into(),
            environment: Environment {
                feedgrade: "0".into(),
                database: "none".into(),
                database_reason: String::new(),
                postgres: String::new(),
                settings: BTreeMap::new(),
                cores: 2,
                footing: Footing::default(),
                isolation: Confined::default(),
                rustc: String::new(),
                platform: String::new(),
            },
            answers: AnswersFile::Missing,
            build: Build {
                outcome,
                seconds: 1.0,
                dependencies_reused: true,
                notes: vec![],
            },
            api: None,
            stages: vec![],
            phases: vec![],
        }
    }

    /// Evidence of a stage in which the reference and the submission were loaded in turn.
    pub(crate) fn loaded(stage: &str, reference: &[Leg], submission: &[Leg]) -> Evidence {
        let run = |server, legs: &[Leg]| StageRun {
            stage: stage.into(),
            server,
            migrations: Migrations::NotWanted,
            run: ServerRun::Ran {
                ready_after: 0.1,
                seen: StageSeen {
                    statements: vec![],
                    load: Fact::Seen(Load {
                        users: 100,
                        requests: legs.iter().map(|leg| leg.requests).sum(),
                        success_rate: 1.0,
                        windows: legs
                            .iter()
                            .flat_map(|leg| {
                                let window = Window {
                                    requests: leg.requests / 4,
                                    failed: leg.failed / 4,
                                };
                                [window; 4]
                            })
                            .collect(),
                        ..Load::default()
                    }),
                    connections: Fact::Unknown { why: String::new() },
                    during_load: vec![],
                    answers: vec![],
                    kept_rows: vec![],
                    legs: legs.to_vec(),
                    ended: Ended::Sure,
                    attempts: 1,
                },
                died: None,
                output: String::new(),
            },
        };
        Evidence {
            stages: vec![
                run(ServerKind::Reference, reference),
                run(ServerKind::Submission, submission),
            ],
            ..evidence(BuildOutcome::Built)
        }
    }
}
