//! Gradescope's `results.json`: one test a criterion, which Gradescope adds up.
//!
//! It has no word for "not graded", and what it does not hear it may take for nothing. So a report
//! without a grade has no score anywhere, which its documentation calls no valid result, and says
//! so at the top. Where everything was graded there is no score at the top, because that one would
//! stand above the tests.
//!
//! <https://gradescope-autograders.readthedocs.io/en/latest/specs/>

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::escape::{self, clean_report, one_line, shorten};
use super::told;
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// Writes the file.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let is_graded = report.outcome != Outcome::Ungraded;
    let tests: Vec<Value> = report
        .criteria
        .iter()
        .enumerate()
        .map(|(index, criterion)| test(index, criterion, is_graded))
        .collect();
    let mut output = String::new();
    if !is_graded {
        output.push_str("NOT GRADED. This is no zero. ");
    }
    output.push_str(&report.headline);
    let review = told::for_review(report);
    if !review.is_empty() {
        output.push_str("\nA person should look at these before the points are final: ");
        output.push_str(&review.join(", "));
    }
    let seconds: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let results = json!({
        "execution_time": seconds,
        "output": output,
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {
            "exercise": report.exercise,
            "outcome": told::outcome(report.outcome),
            "pass_mark": report.pass_mark,
            "max_points": report.max_points,
            "missing_musts": report.missing_musts,
            "needs_review": review,
            "started_at": report.started_at,
            "feedgrade": report.environment.feedgrade,
        },
    });
    let text = serde_json::to_string_pretty(&results).context("write Gradescope's results")?;
    Ok(escape::json(&text) + "\n")
}

fn test(index: usize, criterion: &CriterionGrade, is_graded: bool) -> Value {
    let mut test = Map::new();
    if is_graded {
        test.insert("score".into(), criterion.points.into());
        test.insert("max_score".into(), criterion.max_points.into());
        let passed = criterion.verdict == Verdict::Met;
        let status = if passed { "passed" } else { "failed" };
        test.insert("status".into(), status.into());
    }
    test.insert("number".into(), (index + 1).to_string().into());
    test.insert(
        "name".into(),
        shorten(&one_line(&criterion.title), 200).into(),
    );
    test.insert("output".into(), told::text(criterion).into());
    let mut tags = vec![told::verdict(criterion.verdict)];
    tags.extend(criterion.must.then_some("must"));
    tags.extend(criterion.needs_review.then_some("needs_review"));
    test.insert("tags".into(), tags.into());
    test.insert("visibility".into(), "visible".into());
    test.insert("extra_data".into(), json!({"id": criterion.id}));
    test.into()
}
