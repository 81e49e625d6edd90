//! CSV: one row a submission, one column a criterion, for a table of marks.
//!
//! Cells that a spreadsheet would run are guarded. What was not graded has no number: an empty
//! cell is not a zero.

use anyhow::{Context, Result};

use super::{escape, told};
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// A heading and one row for each report. Criteria get a column in the order of their first sight,
/// so reports of several exercises fit into one table.
pub fn render(reports: &[&Report]) -> Result<String> {
    let mut ids: Vec<&str> = Vec::new();
    for criterion in reports.iter().flat_map(|report| &report.criteria) {
        if !ids.contains(&criterion.id.as_str()) {
            ids.push(&criterion.id);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heading = [
        "submission",
        "outcome",
        "points",
        "max_points",
        "exercise",
        "started_at",
        "needs_review",
    ];
    writer.write_record(heading.into_iter().map(str::to_owned).chain(cells(&ids)))?;
    for report in reports {
        let review = told::for_review(report);
        let (outcome, points) = match report.outcome {
            Outcome::Passed => ("passed", report.points.to_string()),
            Outcome::Failed => ("failed", report.points.to_string()),
            Outcome::Ungraded => ("ungraded", String::new()),
        };
        let mut row: Vec<String> = cells(&[&report.submission, outcome, &points]).collect();
        row.push(report.max_points.to_string());
        row.extend(cells(&[
            &report.exercise,
            &report.started_at,
            &review.join(" "),
        ]));
        row.extend(ids.iter().map(|id| {
            report
                .criteria
                .iter()
                .find(|criterion| criterion.id == *id)
                .map_or(String::new(), points_of)
        }));
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().context("write CSV")?;
    String::from_utf8(bytes).context("write CSV")
}

fn cells<'a>(texts: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    texts.iter().map(|text| escape::csv(&escape::clean(text)))
}

fn points_of(criterion: &CriterionGrade) -> String {
    match criterion.verdict {
        Verdict::Ungraded => String::new(),
        _ => criterion.points.to_string(),
    }
}
