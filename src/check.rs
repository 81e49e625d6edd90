//! Checks: the kinds of criterion. Each is a pure function of evidence.
//!
//! To add one: a file in `check/`, a variant of [`Check`], an arm in [`Check::judge`] and one in
//! [`Check::names`]. The compiler shows the places.

pub mod build;
pub mod api;
pub mod success_rate;
pub mod connections;
pub mod plan;
pub mod speed;
pub mod data;
pub mod answer;
pub mod results;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::evidence::{
    Connections, Evidence, Fact, Leg, Load, Machine, Migrations, ServerRun, StageSeen, Window,
};
use crate::exercise::{Exercise, ServerKind};
use crate::grade::{AnswerGrade, Basis, Spot};
use crate::yaml::Located;

/// What a check may use beside the evidence: the author's side of the matter.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The exercise.
    pub exercise: &'a Exercise,
    /// What judges its written answers.
    pub grader: &'a answer::grader::Grader<'a>,
    /// Texts that learners were given or must not have, for telling copies apart.
    pub material: &'a Material,
}

/// Texts of an exercise that answers are compared with.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// The exercise's README.md.
    pub brief: String,
    /// The starter's ANSWERS.md.
    pub template: String,
    /// The starter's source files, joined.
    pub starter_code: String,
    /// The reference solution's ANSWERS.md.
    pub key: String,
}

/// A kind of criterion, with its settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// The build succeeded.
    Build(build::Build),
    /// Every step of a probe was answered as the exercise expects.
    Api(api::Api),
    /// Enough requests of a stage succeeded.
    SuccessRate(success_rate::SuccessRate),
    /// Few connections were opened in a stage.
    Connections(connections::Connections),
    /// A statement reads its table through an index that gives the order.
    Plan(plan::Plan),
    /// A stage was about as fast as the reference.
    Speed(speed::Speed),
    /// Seeded rows are unchanged, and what was written under load is read back.
    Data(data::Data),
    /// A written answer holds the ideas.
    Answer(answer::Answer),
    /// The learner's own measurements agree in shape with what was measured here.
    Results(results::Results),
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The verdict, with its reason.
    pub judgement: Judgement,
    /// What was wanted, for learners.
    pub expected: String,
    /// What was seen, for learners.
    pub actual: Option<String>,
    /// Direction that fits this finding; the rubric's own hint is used when there is none.
    pub hint: Option<String>,
    /// Set by checks of written answers.
    pub answer: Option<AnswerGrade>,
    /// The line of the submission that it is about.
    pub at: Option<Spot>,
}

/// A verdict before leaning is considered. A reason is there exactly when it is not `Met`.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// All points.
    Met,
    /// A share of the points, above 0 and below 1.
    PartlyMet {
        /// The share.
        share: f64,
        /// Why not all.
        reason: String,
    },
    /// No points.
    NotMet {
        /// Why.
        reason: String,
    },
    /// The machine owes the fact.
    Ungraded {
        /// Why.
        reason: String,
    },
}

impl Finding {
    /// All points.
    pub fn met(expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self::new(Judgement::Met, expected, Some(actual.into()))
    }

    /// No points.
    pub fn not_met(
        expected: impl Into<String>,
        actual: Option<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::new(
            Judgement::NotMet {
                reason: reason.into(),
            },
            expected,
            actual,
        )
    }

    /// No verdict, because the machine owes a fact.
    pub fn ungraded(expected: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(
            Judgement::Ungraded {
                reason: reason.into(),
            },
            expected,
            None,
        )
    }

    fn new(judgement: Judgement, expected: impl Into<String>, actual: Option<String>) -> Self {
        Self {
            judgement,
            expected: expected.into(),
            actual,
            hint: None,
            answer: None,
            at: None,
        }
    }

    /// The same finding, about a line of the submission.
    #[must_use]
    pub fn at(self, spot: Option<Spot>) -> Self {
        Self { at: spot, ..self }
    }
}

/// The names in the exercise that a check leans on, so that a rubric can be checked against it.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// Stages.
    pub stages: Vec<&'a Located<String>>,
    /// Probes.
    pub probes: Vec<&'a Located<String>>,
    /// Statements.
    pub statements: Vec<&'a Located<String>>,
    /// Kept rows.
    pub kept_rows: Vec<&'a Located<String>>,
    /// Questions.
    pub questions: Vec<&'a Located<String>>,
}

impl Check {
    /// Judges the evidence.
    #[must_use]
    pub fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        match self {
            Self::Build(build::Build {}) => build::Build::judge(evidence),
            Self::Api(check) => check.judge(context, evidence),
            Self::SuccessRate(check) => check.judge(context, evidence),
            Self::Connections(check) => check.judge(evidence),
            Self::Plan(check) => check.judge(context, evidence),
            Self::Speed(check) => check.judge(context, evidence),
            Self::Data(check) => check.judge(context, evidence),
            Self::Answer(check) => check.judge(context, evidence),
            Self::Results(check) => check.judge(context, evidence),
        }
    }

    /// The names that must exist in the exercise.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        let mut names = Names::default();
        match self {
            Self::Build(_) => {}
            Self::Api(check) => names.probes.push(&check.probe),
            Self::SuccessRate(check) => names.stages.push(&check.stage),
            Self::Connections(check) => names.stages.push(&check.stage),
            Self::Plan(check) => {
                names.stages.push(&check.stage);
                names.statements.push(&check.statement);
            }
            Self::Speed(check) => names.stages.push(&check.stage),
            Self::Data(check) => {
                names.stages.push(&check.stage);
                names.kept_rows.extend(&check.kept_rows);
                names.probes.extend(&check.probe);
            }
            Self::Answer(check) => names.questions.push(&check.question),
            Self::Results(check) => {
                names
                    .stages
                    .extend([&check.failed, &check.slow, &check.fast]);
            }
        }
        names
    }
}

/// What a stage has shown of the submission while it goes on.
#[derive(Debug, Clone, Copy)]
pub struct SoFar<'a> {
    /// The stage's id.
    pub stage: &'a str,
    /// All windows so far.
    pub windows: &'a [Window],
    /// Attempts to connect in all legs that are over. `None` while the first goes on: the log is
    /// read between legs.
    pub connections: Option<&'a Connections>,
    /// The reference's legs so far.
    pub reference: &'a [Leg],
    /// The submission's.
    pub submission: &'a [Leg],
}

impl Check {
    /// Whether it needs to know more of the stage that goes on: its verdict could still change.
    #[must_use]
    pub fn is_open(&self, so_far: SoFar<'_>) -> bool {
        match self {
            Self::SuccessRate(check) if *check.stage == so_far.stage => check.is_open(so_far),
            Self::Connections(check) if *check.stage == so_far.stage => check.is_open(so_far),
            Self::Speed(check) if *check.stage == so_far.stage => check.is_open(so_far),
            _ => false,
        }
    }

    /// Whether it compares the submission with the reference in a stage, so that the two must be
    /// loaded in turn.
    #[must_use]
    pub fn compares(&self, stage: &str) -> bool {
        matches!(self, Self::Speed(check) if *check.stage == stage)
    }

    /// Whether it judges what was seen in a stage.
    #[must_use]
    pub fn looks_at(&self, stage: &str) -> bool {
        self.names().stages.iter().any(|id| ***id == *stage)
    }

    /// The limits that no measuring could settle, or nobody could meet: where they stand, and one
    /// sentence.
    #[must_use]
    pub fn bad_limit(&self) -> Option<(&Located<f64>, &'static str)> {
        let share = |limit| (limit, "a share of requests is above 0 and at most 1");
        let is_share = |limit: &f64| *limit > 0.0 && *limit <= 1.0;
        match self {
            Self::SuccessRate(check) if !is_share(&check.at_least) => Some(share(&check.at_least)),
            Self::Speed(check) if !is_share(&check.at_least) => Some(share(&check.at_least)),
            Self::Speed(check)
                if !(check.p99_at_most_times.is_finite() && *check.p99_at_most_times >= 1.0) =>
            {
                Some((
                    &check.p99_at_most_times,
                    "nobody is asked to be faster than the reference: 1 or more",
                ))
            }
            Self::Connections(check) if !(0.0..100.0).contains(&*check.at_most_per_100) => Some((
                &check.at_most_per_100,
                "connections per 100 requests are 0 or more and below 100",
            )),
            _ => None,
        }
    }

    /// What its verdicts rest on.
    #[must_use]
    pub fn basis(&self) -> Basis {
        match self {
            Self::Build(_)
            | Self::Api(_)
            | Self::Connections(_)
            | Self::Plan(_)
            | Self::Data(_) => Basis::Counted,
            Self::SuccessRate(_) | Self::Speed(_) => Basis::Clocked,
            Self::Answer(_) | Self::Results(_) => Basis::Read,
        }
    }
}

/// Others may take this share of the processors before what is clocked is in doubt. A quiet machine
/// shows a tenth of it.
const OTHERS: f64 = 0.15;
/// So may the hypervisor.
const STOLEN: f64 = 0.15;

/// What else was on the machine while legs were measured, if it was enough to matter: the share of
/// the processors that it took, and one sentence.
fn disturbance(legs: &[Leg]) -> Option<(f64, String)> {
    let (others, stolen) = (
        Machine::mean(legs, |machine| machine.others).unwrap_or(0.0),
        Machine::mean(legs, |machine| machine.stolen).unwrap_or(0.0),
    );
    let sentence = if others > OTHERS {
        format!(
            "Other programs used {:.0} % of the processors meanwhile.",
            others * 100.0
        )
    } else if stolen > STOLEN {
        format!(
            "{:.0} % of the processors' time went to other virtual machines meanwhile.",
            stolen * 100.0
        )
    } else {
        return None;
    };
    Some((others + stolen, sentence))
}

/// Why a stage of the submission holds nothing to judge.
enum Missing {
    /// The learner's doing, and the line where it is known.
    Learner(String, Option<Spot>),
    /// The machine's.
    Machine(String),
}

impl Missing {
    fn into_finding(self, expected: String) -> Finding {
        match self {
            Self::Learner(reason, at) => Finding::not_met(expected, None, reason).at(at),
            Self::Machine(reason) => Finding::ungraded(expected, reason),
        }
    }
}

/// What was seen of the submission's server in a stage.
fn submission_stage<'a>(evidence: &'a Evidence, stage: &str) -> Result<&'a StageSeen, Missing> {
    let run = evidence
        .stages
        .iter()
        .find(|run| run.stage == stage && run.server == ServerKind::Submission)
        .ok_or_else(|| Missing::Machine(format!("The stage `{stage}` was not run.")))?;
    if let Migrations::Failed {
        file, line, error, ..
    } = &run.migrations
    {
        let reason = format!("The migration {file} failed at line {line}: {error}");
        return Err(Missing::Learner(
            reason,
            Some(Spot::in_migrations(file, *line)),
        ));
    }
    match &run.run {
        ServerRun::Ran { seen, .. } => Ok(seen),
        ServerRun::NotReady { reason, .. } => Err(Missing::Learner(reason.clone(), None)),
    }
}

/// How the submission's server ended in a stage, if it did so by itself. Nobody's but its own doing,
/// unless it was killed: then the machine may have been out of memory.
fn died<'a>(evidence: &'a Evidence, stage: &str) -> Option<&'a str> {
    let run = evidence
        .stages
        .iter()
        .find(|run| run.stage == stage && run.server == ServerKind::Submission)?;
    match &run.run {
        ServerRun::Ran { died, .. } => died.as_deref().filter(|died| !died.ends_with("signal 9.")),
        ServerRun::NotReady { .. } => None,
    }
}

/// What the load on the submission's server measured in a stage.
fn submission_load<'a>(evidence: &'a Evidence, stage: &str) -> Result<&'a Load, Missing> {
    match &submission_stage(evidence, stage)?.load {
        Fact::Seen(load) => Ok(load),
        Fact::Unknown { why } => Err(Missing::Machine(why.clone())),
    }
}
