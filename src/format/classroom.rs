//! The step output `result` of GitHub Classroom's graders: JSON in base64, one runner a report.
//!
//! GitHub Classroom itself was retired on 2026-08-28; its reporter action and other readers of the
//! format go on. The reporter adds up `score` where `max_score` is not 0, and fails the job when
//! `status` is not `pass`. A report without a grade therefore has the status `error` and a
//! `max_score` of 0: it counts for nothing, not even as a zero. Its table in the log shows another
//! sum (passed tests by the number of tests), which no file can change.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::escape::{clean_report, one_line, shorten};
use super::told;
use crate::grade::{Outcome, Verdict};
use crate::report::Report;

/// Bytes of base64 that stay below what fits into an environment variable of a process (128 KiB).
pub const MAX_BYTES: usize = 100_000;

/// Writes the base64, on one line.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let encoded = encode(&result(report, 1500))?;
    if encoded.len() <= MAX_BYTES {
        return Ok(encoded + "\n");
    }
    Ok(encode(&result(report, 100))? + "\n")
}

fn encode(result: &Value) -> Result<String> {
    let text = serde_json::to_string(result).context("write GitHub Classroom's result")?;
    Ok(STANDARD.encode(text))
}

fn result(report: &Report, columns: usize) -> Value {
    let is_graded = report.outcome != Outcome::Ungraded;
    let tests: Vec<Value> = report
        .criteria
        .iter()
        .map(|criterion| {
            json!({
                "name": shorten(&one_line(&criterion.title), 100),
                "status": match criterion.verdict {
                    Verdict::Met => "pass",
                    Verdict::PartlyMet | Verdict::NotMet | Verdict::Skipped => "fail",
                    Verdict::Ungraded => "error",
                },
                "score": if is_graded { criterion.points } else { 0 },
                "message": shorten(&told::text(criterion), columns),
                "test_code": shorten(&criterion.id, 100),
                "filename": criterion.at.as_ref().map_or("", |at| at.file.as_str()),
                "line_no": criterion.at.as_ref().map_or(0, |at| at.line),
                "duration": 0,
            })
        })
        .collect();
    json!({
        "version": 1,
        "status": match report.outcome {
            Outcome::Passed => "pass",
            Outcome::Failed => "fail",
            Outcome::Ungraded => "error",
        },
        "max_score": if is_graded { report.max_points } else { 0 },
        "tests": tests,
    })
}
