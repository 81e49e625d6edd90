//! Figures of a class: how many stand how, how the points are spread, which criteria and which
//! mistaken ideas are common. Pure functions of the rows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Row, Standing};
use crate::grade::Verdict;
use crate::rubric::Rubric;

/// Columns of the distribution.
const COLUMNS: u32 = 10;
/// Quotes that are kept of a mistaken idea.
const MOST_QUOTES: usize = 3;

/// How many members there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// In all.
    pub members: usize,
    /// Graded and passed.
    pub passed: usize,
    /// Graded and not passed.
    pub failed: usize,
    /// Without a grade, through no fault of the learner or because the folder cannot be graded.
    pub ungraded: usize,
    /// Nothing was handed in.
    pub missing: usize,
    /// Not graded so far.
    pub waiting: usize,
    /// Those of which a person should look at something.
    pub for_review: usize,
}

impl Counts {
    /// Counts the rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let of = |standing| rows.iter().filter(|row| row.standing == standing).count();
        Self {
            members: rows.len(),
            passed: of(Standing::Passed),
            failed: of(Standing::Failed),
            ungraded: of(Standing::Ungraded),
            missing: of(Standing::Missing),
            waiting: of(Standing::Waiting),
            for_review: rows.iter().filter(|row| row.needs_review()).count(),
        }
    }

    /// Those with a grade.
    #[must_use]
    pub fn graded(&self) -> usize {
        self.passed + self.failed
    }
}

/// How the points of those with a grade are spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Points {
    /// The arithmetic mean.
    pub mean: f64,
    /// As many have less as have more.
    pub median: f64,
    /// The least.
    pub lowest: u32,
    /// The most.
    pub highest: u32,
    /// From the lowest points to the highest.
    pub columns: Vec<PointsColumn>,
}

/// One column of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PointsColumn {
    /// The least points that belong to it.
    pub from: u32,
    /// The most points that belong to it.
    pub to: u32,
    /// Members that passed.
    pub passed: usize,
    /// Members that did not.
    pub failed: usize,
}

impl Points {
    /// The points of the rows; `None` while nobody has a grade.
    #[must_use]
    pub fn of(rows: &[Row], max_points: u32) -> Option<Self> {
        let mut points: Vec<u32> = rows.iter().filter_map(|row| row.points).collect();
        points.sort_unstable();
        let (lowest, highest) = (*points.first()?, *points.last()?);
        let sum: f64 = points.iter().map(|points| f64::from(*points)).sum();
        #[expect(clippy::cast_precision_loss, reason = "classes are small")]
        let mean = sum / points.len() as f64;
        let middle = |at: usize| f64::from(points[at]);
        let median = f64::midpoint(middle((points.len() - 1) / 2), middle(points.len() / 2));
        let width = max_points.max(1).div_ceil(COLUMNS);
        let mut columns: Vec<PointsColumn> = (0..max_points.max(1).div_ceil(width))
            .map(|column| PointsColumn {
                from: column * width,
                to: (column + 1) * width - 1,
                passed: 0,
                failed: 0,
            })
            .collect();
        // The whole of the points belongs to the last column.
        if let Some(last) = columns.last_mut() {
            last.to = max_points.max(1);
        }
        for row in rows {
            let Some(column) = row
                .points
                .and_then(|points| columns.iter_mut().rfind(|column| column.from <= points))
            else {
                continue;
            };
            match row.standing {
                Standing::Passed => column.passed += 1,
                _ => column.failed += 1,
            }
        }
        Some(Self {
            mean: (mean * 10.0).round() / 10.0,
            median,
            lowest,
            highest,
            columns,
        })
    }
}

/// A criterion, and how the class stands on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CriterionFigures {
    /// E.g. `pool.shared`.
    pub id: String,
    /// For people.
    pub title: String,
    /// Points that can be earned.
    pub max_points: u32,
    /// Whether passing needs it.
    pub must: bool,
    /// Members with each verdict.
    pub met: usize,
    /// Members with each verdict.
    pub partly_met: usize,
    /// Members with each verdict.
    pub not_met: usize,
    /// Members with each verdict.
    pub skipped: usize,
    /// Members with each verdict.
    pub ungraded: usize,
}

impl CriterionFigures {
    /// Members on whom there is a verdict.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.met + self.partly_met + self.not_met + self.skipped
    }
}

/// The rubric's criteria with their figures.
#[must_use]
pub fn criteria(rubric: &Rubric, rows: &[Row]) -> Vec<CriterionFigures> {
    let mut verdicts: BTreeMap<&str, BTreeMap<Verdict, usize>> = BTreeMap::new();
    for criterion in rows.iter().flat_map(|row| &row.criteria) {
        let counts = verdicts.entry(&criterion.id).or_default();
        *counts.entry(criterion.verdict).or_default() += 1;
    }
    rubric
        .criteria
        .iter()
        .map(|criterion| {
            let of = |verdict| {
                let counts = verdicts.get(criterion.id.as_str());
                counts.and_then(|c| c.get(&verdict)).copied().unwrap_or(0)
            };
            CriterionFigures {
                id: criterion.id.value.clone(),
                title: criterion.title.clone(),
                max_points: criterion.points,
                must: criterion.must,
                met: of(Verdict::Met),
                partly_met: of(Verdict::PartlyMet),
                not_met: of(Verdict::NotMet),
                skipped: of(Verdict::Skipped),
                ungraded: of(Verdict::Ungraded),
            }
        })
        .collect()
}

/// A mistaken idea, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MisconceptionFigures {
    /// The criterion.
    pub criterion: String,
    /// What the rubric has to say to it.
    pub hint: String,
    /// Members who have it.
    pub members: usize,
    /// Some of their words.
    pub quotes: Vec<Quote>,
}

/// A learner's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The folder of their results.
    pub folder: String,
    /// The words.
    pub text: String,
}

/// Mistaken ideas, the commonest first. Ideas are told apart by what the rubric says to them.
#[must_use]
pub fn misconceptions(rows: &[Row]) -> Vec<MisconceptionFigures> {
    let mut all: BTreeMap<(&str, &str), MisconceptionFigures> = BTreeMap::new();
    for row in rows {
        let mut seen = Vec::new();
        for wrong in &row.misconceptions {
            let key = (wrong.criterion.as_str(), wrong.hint.as_str());
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let figures = all.entry(key).or_insert_with(|| MisconceptionFigures {
                criterion: wrong.criterion.clone(),
                hint: wrong.hint.clone(),
                members: 0,
                quotes: Vec::new(),
            });
            figures.members += 1;
            let is_new = !figures.quotes.iter().any(|quote| quote.text == wrong.quote);
            if is_new && figures.quotes.len() < MOST_QUOTES {
                figures.quotes.push(Quote {
                    folder: row.folder.clone(),
                    text: wrong.quote.clone(),
                });
            }
        }
    }
    let mut all: Vec<MisconceptionFigures> = all.into_values().collect();
    // A stable sort: those of one count stay in the order of their criteria.
    all.sort_by_key(|figures| std::cmp::Reverse(figures.members));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::RowMisconception;

    fn row(folder: &str, points: Option<u32>, passed: bool) -> Row {
        let standing = match points {
            None => Standing::Ungraded,
            Some(_) if passed => Standing::Passed,
            Some(_) => Standing::Failed,
        };
        Row {
            points,
            ..Row::without_grade(folder, folder, standing, "")
        }
    }

    #[test]
    fn points_are_spread_over_ten_columns_and_no_grade_is_no_zero() {
        let rows = [
            row("a", Some(0), false),
            row("b", Some(70), true),
            row("c", Some(79), false),
            row("d", Some(100), true),
            row("e", None, false),
        ];
        let points = Points::of(&rows, 100).unwrap();
        assert_eq!((points.lowest, points.highest), (0, 100));
        assert!((points.median - 74.5).abs() < 1e-9 && (points.mean - 62.3).abs() < 1e-9);
        let shown: Vec<(u32, u32, usize, usize)> = points
            .columns
            .iter()
            .map(|c| (c.from, c.to, c.passed, c.failed))
            .collect();
        assert_eq!(shown.len(), 10);
        assert_eq!(shown[0], (0, 9, 0, 1));
        assert_eq!(shown[7], (70, 79, 1, 1));
        assert_eq!(shown[9], (90, 100, 1, 0));
        assert_eq!(Points::of(&rows[4..], 100), None);
        // Few points make few columns, and the most still has a place.
        let few = Points::of(&[row("a", Some(3), true)], 3).unwrap();
        assert_eq!(few.columns.iter().map(|c| c.passed).sum::<usize>(), 1);
    }

    #[test]
    fn a_member_counts_once_for_a_mistaken_idea() {
        let wrong = |quote: &str| RowMisconception {
            criterion: "answers.q4".into(),
            hint: "Count them.".into(),
            quote: quote.into(),
        };
        let mut rows = [row("a", Some(1), false), row("b", Some(1), false)];
        rows[0].misconceptions = vec![wrong("x"), wrong("y")];
        rows[1].misconceptions = vec![wrong("z")];
        let all = misconceptions(&rows);
        assert_eq!((all.len(), all[0].members), (1, 2));
        let quotes: Vec<&str> = all[0].quotes.iter().map(|q| q.text.as_str()).collect();
        assert_eq!(quotes, ["x", "z"]);
    }
}
