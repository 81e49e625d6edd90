//! A class: what grading many submissions found, in the form of `batch.json`.
//!
//! Pure. A [`Row`] is what stays of one report: small, so that a class of a thousand fits into
//! memory. Everything else is counted from the rows, in their order, so the same rows give the same
//! bytes.

pub mod roster;
pub mod figures;
pub mod difference;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;
use crate::rubric::Rubric;

use figures::{Counts, CriterionFigures, MisconceptionFigures, Points};

/// The version of `batch.json` and of the journal that this program writes.
pub const VERSION: u32 = 1;

/// Characters of a reason or a quote that a row keeps; the report has the whole.
const MOST_CHARS: usize = 240;

/// `batch.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Class {
    /// [`VERSION`].
    pub version: u32,
    /// The exercise's slug.
    pub exercise: String,
    /// The exercise's title.
    pub title: String,
    /// The version of feedgrade that wrote this.
    pub feedgrade: String,
    /// Points that can be earned.
    pub max_points: u32,
    /// Points that passing needs.
    pub pass_mark: u32,
    /// Which part of the class this is; null for the whole.
    pub shard: Option<Shard>,
    /// How many there are of each kind.
    pub counts: Counts,
    /// How the points are spread; null while nobody has a grade.
    pub points: Option<Points>,
    /// Every criterion of the rubric, with how many met it.
    pub criteria: Vec<CriterionFigures>,
    /// The commonest first.
    pub misconceptions: Vec<MisconceptionFigures>,
    /// Where the time of the last run went; null when it graded nothing.
    pub times: Option<RunTimes>,
    /// Every member, by folder name.
    pub rows: Vec<Row>,
}

/// One part of a class that is graded on several machines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Shard {
    /// From 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// Whether the member at a place of the roll, from 0, belongs to it.
    #[must_use]
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.number - 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl std::str::FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts = text
            .split_once('/')
            .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => anyhow::bail!(
                "`{text}` is no shard: write NUMBER/COUNT with numbers from 1, for example 2/5"
            ),
        }
    }
}

/// How one member of the class stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Graded: the pass mark is reached and every must is met.
    Passed,
    /// Graded, and not passed.
    Failed,
    /// The harness or the machine failed, or the folder cannot be graded: no grade, and no zero.
    Ungraded,
    /// Nothing was handed in.
    Missing,
    /// Not graded so far.
    Waiting,
}

impl Standing {
    /// As in `batch.json`, and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Ungraded => "ungraded",
            Self::Missing => "missing",
            Self::Waiting => "waiting",
        }
    }

    /// Whether there is a grade.
    #[must_use]
    pub fn is_graded(self) -> bool {
        matches!(self, Self::Passed | Self::Failed)
    }
}

/// One member of the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Who: the roster's id, else the name of the submission's folder.
    pub id: String,
    /// The folder with its results, below the batch's own.
    pub folder: String,
    /// From the roster.
    #[serde(default)]
    pub name: Option<String>,
    /// From the roster.
    #[serde(default)]
    pub email: Option<String>,
    /// The submission's folder, below the one that was graded.
    pub source: String,
    /// How they stand.
    pub standing: Standing,
    /// Why there is no grade; null when there is one.
    pub problem: Option<String>,
    /// Points; null without a grade.
    pub points: Option<u32>,
    /// Criteria that passing needs and that were not met.
    pub missing_musts: Vec<String>,
    /// When the evidence was gathered, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Every criterion of the rubric, in its order; empty when nothing was judged.
    pub criteria: Vec<RowCriterion>,
    /// Mistaken ideas in the written answers.
    pub misconceptions: Vec<RowMisconception>,
    /// How often the stage that was measured most often was: more than once when others used the
    /// machine meanwhile.
    pub attempts: u32,
    /// Where the time went.
    pub times: Times,
    /// What the grade rests on.
    pub basis: Basis,
}

/// A verdict, as far as a class needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowCriterion {
    /// E.g. `pool.shared`.
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Points earned.
    pub points: u32,
    /// Why it is not `met`, cut.
    pub reason: Option<String>,
    /// Why a person should look; null when nobody needs to.
    pub review: Option<String>,
    /// A person marked it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_person: bool,
}

/// A mistaken idea.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowMisconception {
    /// The criterion.
    pub criterion: String,
    /// What the rubric has to say to it, which also tells it from others.
    pub hint: String,
    /// The learner's own words.
    pub quote: String,
}

/// Wall time of one member, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Building the submission, and once the exercise's own servers.
    pub building: f64,
    /// Stages of load.
    pub loading: f64,
    /// Starting, filling and stopping the database, and asking the server.
    pub preparing: f64,
    /// Everything else between the start of its build and its report: others' turns.
    pub waiting: f64,
}

impl Times {
    /// Its own work, without waiting for others.
    #[must_use]
    pub fn own(&self) -> f64 {
        self.building + self.loading + self.preparing
    }
}

/// Where the wall time of a run went, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunTimes {
    /// Submissions that were graded in it.
    pub graded: usize,
    /// From the first build to the last report.
    pub wall: f64,
    /// While builds ran, side by side.
    pub building: f64,
    /// While load ran.
    pub loading: f64,
    /// Databases and questions without load.
    pub preparing: f64,
    /// The rest: waiting for a turn, copying, writing results.
    pub waiting: f64,
}

/// What a grade rests on: when none of it changed, neither does the grade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// Digest of the submission's files, as they are copied.
    pub submission: String,
    /// Digest of the exercise's files and its reference solution.
    pub exercise: String,
    /// Digest of the rubric.
    pub rubric: String,
    /// The version of feedgrade.
    pub feedgrade: String,
    /// Digest of the evidence; empty without any.
    pub evidence: String,
    /// Digest of the exercise and the version of feedgrade with which the evidence was gathered.
    #[serde(default)]
    pub gathered: String,
    /// Digest of the class' folder, by its path.
    #[serde(default)]
    pub place: String,
}

impl Row {
    /// A member without a grade.
    #[must_use]
    pub fn without_grade(id: &str, folder: &str, standing: Standing, problem: &str) -> Self {
        Self {
            id: id.to_owned(),
            folder: folder.to_owned(),
            name: None,
            email: None,
            source: String::new(),
            standing,
            problem: (!problem.is_empty()).then(|| shorten(problem)),
            points: None,
            missing_musts: Vec::new(),
            started_at: None,
            criteria: Vec::new(),
            misconceptions: Vec::new(),
            attempts: 0,
            times: Times::default(),
            basis: Basis::default(),
        }
    }

    /// The same member with what a report says.
    #[must_use]
    pub fn with_report(self, report: &Report) -> Self {
        let standing = match report.outcome {
            Outcome::Passed => Standing::Passed,
            Outcome::Failed => Standing::Failed,
            Outcome::Ungraded => Standing::Ungraded,
        };
        let unknown = report
            .criteria
            .iter()
            .find(|criterion| criterion.verdict == Verdict::Ungraded);
        Self {
            standing,
            problem: unknown.map(|criterion| {
                let why = criterion.reason.as_deref().unwrap_or_default();
                shorten(&format!("{}: {why}", criterion.id))
            }),
            points: standing.is_graded().then_some(report.points),
            missing_musts: report.missing_musts.clone(),
            started_at: Some(report.started_at.clone()),
            criteria: report.criteria.iter().map(criterion).collect(),
            misconceptions: report.criteria.iter().flat_map(misconceptions).collect(),
            attempts: report
                .stages
                .iter()
                .map(|stage| stage.attempts)
                .max()
                .unwrap_or(0),
            times: Times {
                waiting: self.times.waiting,
                ..times(report)
            },
            ..self
        }
    }

    /// Whether a person should look at anything of it.
    #[must_use]
    pub fn needs_review(&self) -> bool {
        self.criteria
            .iter()
            .any(|criterion| criterion.review.is_some())
    }

    /// Its name for people.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

fn criterion(of: &CriterionGrade) -> RowCriterion {
    RowCriterion {
        id: of.id.clone(),
        verdict: of.verdict,
        points: of.points,
        reason: of.reason.as_deref().map(shorten),
        review: of.needs_review.then(|| {
            let reasons = of.answer.as_ref().and_then(|a| a.review_reasons.first());
            shorten(reasons.map_or("The verdict is unsure.", String::as_str))
        }),
        by_person: of.answer.as_ref().is_some_and(|a| a.person.is_some()),
    }
}

fn misconceptions(of: &CriterionGrade) -> impl Iterator<Item = RowMisconception> + '_ {
    of.answer
        .iter()
        .flat_map(|answer| &answer.misconceptions)
        .map(|wrong| RowMisconception {
            criterion: of.id.clone(),
            hint: shorten(&wrong.hint),
            quote: shorten(&wrong.quote),
        })
}

fn times(report: &Report) -> Times {
    let mut times = Times::default();
    for phase in &report.phases {
        let part = if phase.name.starts_with("build ") {
            &mut times.building
        } else if phase.name.starts_with("stage ") {
            &mut times.loading
        } else {
            &mut times.preparing
        };
        *part += phase.seconds;
    }
    Times {
        building: thousandths(times.building),
        loading: thousandths(times.loading),
        preparing: thousandths(times.preparing),
        waiting: 0.0,
    }
}

/// Seconds with three decimals.
#[must_use]
pub fn thousandths(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// One line, cut.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_CHARS) {
        None => line,
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
    }
}

/// What the class is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The exercise's slug.
    pub exercise: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its rubric.
    pub rubric: &'a Rubric,
    /// Which part of the class.
    pub shard: Option<Shard>,
}

impl Class {
    /// Puts a class together.
    #[must_use]
    pub fn new(about: About<'_>, mut rows: Vec<Row>, times: Option<RunTimes>) -> Self {
        rows.sort_by(|a, b| a.folder.cmp(&b.folder));
        let rubric = about.rubric;
        Self {
            version: VERSION,
            exercise: about.exercise.to_owned(),
            title: about.title.to_owned(),
            feedgrade: env!("CARGO_PKG_VERSION").to_owned(),
            max_points: *rubric.max_points,
            pass_mark: *rubric.pass_mark,
            shard: about.shard,
            counts: Counts::of(&rows),
            points: Points::of(&rows, *rubric.max_points),
            criteria: figures::criteria(rubric, &rows),
            misconceptions: figures::misconceptions(&rows),
            times,
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_number_of_a_count() {
        assert_eq!("2/5".parse::<Shard>().unwrap(), Shard { number: 2, of: 5 });
        for wrong in ["0/5", "6/5", "2", "a/b", "1/0", ""] {
            let error = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains("for example 2/5"), "{error}");
        }
    }

    #[test]
    fn what_a_row_keeps_is_one_short_line() {
        let kept = shorten(&"much\n text ".repeat(200));
        assert!(kept.chars().count() <= MOST_CHARS + 1 && !kept.contains('\n'));
        assert_eq!(shorten("short"), "short");
    }
}
