//! An exercise: how to run it. Points and words for the learner are in the rubric, not here.
//!
//! Pure data, parsed from `exercises/<slug>/exercise.yaml`. Reads no files.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::yaml::{Located, Source};

/// `exercises/<slug>/exercise.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The version of this file's form: 1.
    pub version: u32,
    /// The folder's name, and what `--exercise` takes.
    pub slug: Located<String>,
    /// For people.
    pub title: String,
    /// One sentence: what a learner practises.
    pub summary: String,
    /// The time that a learner should plan, in minutes.
    pub minutes: u32,
    /// Where its data comes from.
    pub database: DatabaseSpec,
    /// How a submission is built.
    #[serde(default)]
    pub build: BuildSpec,
    /// How a server is started and found ready.
    #[serde(default)]
    pub server: ServerSpec,
    /// Requests whose answers are compared with the database.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// Requests whose SQL is captured and explained.
    #[serde(default)]
    pub statements: Vec<StatementSpec>,
    /// Seeded rows that a submission must leave alone.
    #[serde(default)]
    pub kept_rows: Vec<KeptRowsSpec>,
    /// Stretches of load, in the order in which they run.
    pub stages: Vec<StageSpec>,
    /// The written questions, in order.
    #[serde(default)]
    pub questions: Vec<Question>,
}

/// Where an exercise's data comes from. Paths are relative to its `starter/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// The container image, name and tag, e.g. `postgres:15`. `FEEDGRADE_POSTGRES_IMAGE` overrides it.
    pub image: String,
    /// SQL that makes the tables.
    pub schema: String,
    /// SQL that fills them. Deterministic: the same rows on every run.
    pub seed: String,
    /// So much a submission may add to it, in MiB; then it is locked out.
    #[serde(default = "disk_mib")]
    pub disk_mib: u64,
}

fn disk_mib() -> u64 {
    1024
}

/// How a submission is built.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BuildSpec {
    /// Deadline of `cargo build --release`, in seconds.
    pub seconds: u64,
    /// The largest submission that is copied, in MiB, `target/` left out.
    pub max_mib: u64,
    /// Memory that the compiler and all that it starts may use together, in MiB.
    pub memory_mib: u64,
    /// How many processes and threads there may be.
    pub processes: u32,
    /// What it may write, in MiB.
    pub disk_mib: u64,
}

impl Default for BuildSpec {
    fn default() -> Self {
        Self {
            seconds: 600,
            max_mib: 50,
            memory_mib: 6 * 1024,
            processes: 2_048,
            disk_mib: 4 * 1024,
        }
    }
}

/// How a server is started and found ready.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    /// The path that answers 200 when the server is ready.
    pub ready: String,
    /// Deadline for that, in seconds.
    pub seconds: u64,
    /// Processors that the server and its database are held to together: on a machine with many, a
    /// fault may not show that does on one with few.
    pub cores: usize,
    /// Memory that the server and all that it starts may use together, in MiB.
    pub memory_mib: u64,
    /// How many processes and threads there may be.
    pub processes: u32,
    /// What it may write, in MiB.
    pub disk_mib: u64,
}

impl Default for ServerSpec {
    fn default() -> Self {
        Self {
            ready: "/health".into(),
            seconds: 20,
            cores: 2,
            memory_mib: 2 * 1024,
            processes: 1_024,
            disk_mib: 512,
        }
    }
}

/// A named sequence of requests whose answers are compared with the database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What rubrics and stages call it.
    pub id: Located<String>,
    /// Sent one after the other.
    pub steps: Vec<Step>,
}

/// One request of a probe, and what must come back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Method and path, e.g. `GET /feed`. `{nonce}` becomes eight random letters, the same ones in
    /// a whole probe.
    pub request: Request,
    /// The JSON body. `{nonce}` works in its strings too.
    #[serde(default)]
    pub json: Option<serde_json::Value>,
    /// What the answer must be.
    pub expect: Expect,
    /// A query for the truth, asked right after the answer came.
    #[serde(default)]
    pub rows: Option<String>,
}

/// What a step's answer must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The HTTP status.
    pub status: u16,
    /// How the body relates to the step's `rows`.
    #[serde(default)]
    pub body: BodyShape,
}

/// How a body relates to the rows that the database gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyShape {
    /// Anything goes.
    #[default]
    Any,
    /// A JSON array of objects: these rows, in this order.
    Rows,
    /// One JSON object: the only row.
    Row,
}

/// `METHOD /path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Starts with a slash.
    pub path: String,
}

impl TryFrom<String> for Request {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(' ') {
            Some((method, path))
                if !method.is_empty()
                    && method.bytes().all(|b| b.is_ascii_uppercase())
                    && path.starts_with('/')
                    && !path.contains(char::is_whitespace) =>
            {
                Ok(Self {
                    method: method.into(),
                    path: path.into(),
                })
            }
            _ => Err(format!(
                "a request is written like `GET /feed`, not `{text}`"
            )),
        }
    }
}

impl From<Request> for String {
    fn from(request: Request) -> Self {
        request.to_string()
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A request whose SQL is captured in the database's log and explained.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementSpec {
    /// What rubrics call it.
    pub id: Located<String>,
    /// The request that makes the server send it.
    pub request: Request,
    /// Statements that read this table are meant; others (a ping, a `BEGIN`) are passed over.
    pub reads: String,
}

/// Seeded rows that a submission must leave alone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptRowsSpec {
    /// What rubrics call them.
    pub id: Located<String>,
    /// A query for one row that is the same exactly when the rows are, e.g. a count and a digest.
    pub digest: String,
}

/// One stretch of load.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// What rubrics call it.
    pub id: Located<String>,
    /// The heading of its column in the report.
    pub title: String,
    /// Which servers run it, in this order.
    pub servers: Vec<ServerKind>,
    /// Whether each server's own migrations are applied first.
    #[serde(default)]
    pub migrations: bool,
    /// The load.
    pub load: LoadSpec,
    /// A probe that is run against the submission while the load goes on.
    #[serde(default)]
    pub during_load: Option<Located<String>>,
    /// Requests whose SQL is captured before the load, by id.
    #[serde(default)]
    pub statements: Vec<Located<String>>,
    /// Rows whose digest is taken before the migrations and again after the load, by id.
    #[serde(default)]
    pub kept_rows: Vec<Located<String>>,
}

/// A load: a closed loop of users without think time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// What every user asks for, again and again. Where a probe sends the same request and compares its
    /// answer with `rows`, some of the answers to the load are compared with them too.
    pub request: Request,
    /// Concurrent users, one keep-alive connection each.
    pub users: u32,
    /// How long each server is measured at the longest, in seconds, 30 at most. It ends earlier, as
    /// soon as going on could not change a verdict.
    pub seconds: f64,
    /// How long it runs before that, unmeasured, in seconds.
    pub warm_up: f64,
    /// Deadline of one request, in seconds; at most the stage's own length, so that a request which
    /// hangs is a failure and not forgotten.
    #[serde(default = "four_seconds")]
    pub timeout: f64,
}

fn four_seconds() -> f64 {
    4.0
}

/// Whose server it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// The exercise's starter, fault and all.
    Starter,
    /// The reference solution: the yardstick.
    Reference,
    /// The learner's.
    Submission,
}

impl std::fmt::Display for ServerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Starter => "starter",
            Self::Reference => "reference",
            Self::Submission => "submission",
        })
    }
}

/// A written question.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// As in the heading `## Q1. …`, in lower case: `q1`.
    pub id: Located<String>,
    /// The question itself.
    pub text: String,
}

impl Exercise {
    /// Parses and checks `exercise.yaml`.
    ///
    /// # Errors
    /// What is wrong, with file, line and caret.
    pub fn parse(source: &Source) -> Result<Self> {
        let exercise: Self = source.parse()?;
        exercise.check(source)?;
        Ok(exercise)
    }

    fn check(&self, source: &Source) -> Result<()> {
        if self.version != 1 {
            return Err(source.complaint(
                &self.slug,
                &format!(
                    "version {} of exercises is not known here, only 1",
                    self.version
                ),
            ));
        }
        if self.build.max_mib > 4096 || self.build.seconds == 0 {
            return Err(source.complaint(
                &self.slug,
                "build.max_mib is at most 4096, and build.seconds at least 1",
            ));
        }
        let limits = [
            (
                self.build.memory_mib,
                self.build.disk_mib,
                self.build.processes,
            ),
            (
                self.server.memory_mib,
                self.server.disk_mib,
                self.server.processes,
            ),
        ];
        let sound = 1..=1_048_576;
        if !limits.iter().all(|(memory, disk, processes)| {
            sound.contains(memory) && sound.contains(disk) && *processes > 0
        }) {
            return Err(source.complaint(
                &self.slug,
                "memory_mib and disk_mib are 1 to 1048576, and processes at least 1",
            ));
        }
        no_doubles(source, "probe", self.probes.iter().map(|p| &p.id))?;
        no_doubles(source, "statement", self.statements.iter().map(|s| &s.id))?;
        no_doubles(source, "kept_rows", self.kept_rows.iter().map(|k| &k.id))?;
        no_doubles(source, "stage", self.stages.iter().map(|s| &s.id))?;
        no_doubles(source, "question", self.questions.iter().map(|q| &q.id))?;
        for stage in &self.stages {
            if !(stage.load.seconds > 0.0 && stage.load.seconds <= 30.0) {
                return Err(source.complaint(
                    &stage.id,
                    &format!(
                        "stage {}: load.seconds must be above 0 and at most 30",
                        *stage.id
                    ),
                ));
            }
            let LoadSpec {
                users,
                seconds,
                warm_up,
                timeout,
                ..
            } = stage.load;
            if !(0.0..=30.0).contains(&warm_up) || !(1..=10_000).contains(&users) {
                return Err(source.complaint(
                    &stage.id,
                    &format!(
                        "stage {}: warm_up is 0 to 30 seconds, users are 1 to 10,000",
                        *stage.id
                    ),
                ));
            }
            if !(timeout > 0.0 && timeout <= seconds) {
                return Err(source.complaint(
                    &stage.id,
                    &format!(
                        "stage {}: load.timeout must be above 0 and at most load.seconds",
                        *stage.id
                    ),
                ));
            }
            if let Some(id) = &stage.during_load {
                known(source, "probe", id, self.probes.iter().map(|p| &p.id))?;
            }
            for id in &stage.statements {
                known(
                    source,
                    "statement",
                    id,
                    self.statements.iter().map(|s| &s.id),
                )?;
            }
            for id in &stage.kept_rows {
                known(
                    source,
                    "kept_rows",
                    id,
                    self.kept_rows.iter().map(|k| &k.id),
                )?;
            }
        }
        Ok(())
    }

    /// The stage of that name.
    #[must_use]
    pub fn stage(&self, id: &str) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| *stage.id == id)
    }

    /// The probe of that name.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.probes.iter().find(|probe| *probe.id == id)
    }

    /// What the answer to a request must be wherever it is sent, if a probe says so once and for all:
    /// a step that sends the same request and compares rows, with nothing in it that changes.
    #[must_use]
    pub fn truth(&self, request: &Request) -> Option<&Step> {
        let is_fixed = |text: &str| !text.contains("{nonce}");
        let steps = self.probes.iter().flat_map(|probe| &probe.steps);
        steps
            .filter(|step| step.request == *request && step.json.is_none())
            .filter(|step| step.expect.body != BodyShape::Any && is_fixed(&step.request.path))
            .find(|step| step.rows.as_deref().is_some_and(is_fixed))
    }

    /// The statement of that name.
    #[must_use]
    pub fn statement(&self, id: &str) -> Option<&StatementSpec> {
        self.statements.iter().find(|statement| *statement.id == id)
    }
}

fn no_doubles<'a>(
    source: &Source,
    what: &str,
    ids: impl Iterator<Item = &'a Located<String>>,
) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for id in ids {
        if !seen.insert(id.as_str()) {
            return Err(source.complaint(id, &format!("{what} `{}` is there twice", id.value)));
        }
    }
    Ok(())
}

/// Complains at `id` unless it is one of `ids`.
///
/// # Errors
/// `no probe ...: there is ...`, with the spot.
pub fn known<'a>(
    source: &Source,
    what: &str,
    id: &Located<String>,
    ids: impl Iterator<Item = &'a Located<String>>,
) -> Result<()> {
    let ids: Vec<&str> = ids.map(|id| id.as_str()).collect();
    if ids.contains(&id.as_str()) {
        return Ok(());
    }
    let known = if ids.is_empty() {
        "none at all".to_owned()
    } else {
        ids.join(", ")
    };
    Err(source.complaint(
        id,
        &format!("no {what} `{}`: the exercise has {known}", id.value),
    ))
}
