//! `PrairieLearn`'s `results.json`.
//!
//! A report without a grade is `gradable: false`: the learner loses no attempt and no points.
//! `PrairieLearn` refuses files above 1 MB.
//!
//! <https://docs.prairielearn.com/externalGrading/>

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::escape::{self, clean_report, one_line, shorten};
use super::told;
use crate::grade::Outcome;
use crate::report::Report;

/// Bytes that the file stays below; `PrairieLearn`'s limit is 1 MB.
pub const MAX_BYTES: usize = 900_000;

/// Writes the file.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let text = write(&results(report, true))?;
    if text.len() <= MAX_BYTES {
        return Ok(text);
    }
    write(&results(report, false))
}

fn write(results: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(results).context("write PrairieLearn's results")?;
    Ok(escape::json(&text) + "\n")
}

fn results(report: &Report, with_output: bool) -> Value {
    let headline = shorten(&report.headline, 2000);
    let review = told::for_review(report).join(", ");
    let message = if review.is_empty() {
        headline.clone()
    } else {
        format!(
            "{headline}\nA person should look at these before the points are final: {}",
            shorten(&review, 2000)
        )
    };
    let is_graded = report.outcome != Outcome::Ungraded;
    let tests: Vec<Value> = report
        .criteria
        .iter()
        .map(|criterion| {
            let mut test = json!({
                "name": shorten(&one_line(&criterion.title), 200),
                "message": told::verdict(criterion.verdict),
            });
            if with_output {
                test["output"] = told::text(criterion).into();
            }
            // Points at all tests or at none: `PrairieLearn` hides all when one is missing.
            if is_graded {
                test["points"] = criterion.points.into();
                test["max_points"] = criterion.max_points.into();
            }
            test
        })
        .collect();
    if is_graded {
        let score = f64::from(report.points) / f64::from(report.max_points.max(1));
        json!({"gradable": true, "score": score.clamp(0.0, 1.0), "message": message, "tests": tests})
    } else {
        json!({
            "gradable": false,
            "format_errors": [format!("{headline} Hand it in again, or ask your instructor.")],
            "message": message,
            "tests": tests,
        })
    }
}
