//! Classroom 50's `result.json`, schema `classroom50/result/v1`.
//!
//! Half of its fields are the runner's and come from the variables that it sets; [`missing`] says
//! before anything slow starts which are not there. The runner writes `owner`, `assignment_type`
//! and `datetime` again with what it knows.
//!
//! The schema wants a score, so a report without a grade cannot be written in it: then `score` and
//! `max-score` are left out, which the runner and the collector refuse. The runner should not even
//! see it, because an exit code other than 0 tells it that the machine failed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::escape::{self, clean_report, one_line, shorten};
use super::told;
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// Variables that the runner sets. `USERNAME` stands in for `OWNER`, `COMMIT_URL` for `REVIEW_URL`.
const NEEDED: [&str; 5] = [
    "CLASSROOM",
    "ASSIGNMENT",
    "SUBMISSION_TAG",
    "COMMIT_URL",
    "RELEASE_URL",
];

/// Those of the variables that may be needed.
pub const VARIABLES: [&str; 10] = [
    "CLASSROOM",
    "ASSIGNMENT",
    "ASSIGNMENT_TYPE",
    "OWNER",
    "USERNAME",
    "SUBMISSION_TAG",
    "COMMIT_URL",
    "RELEASE_URL",
    "REVIEW_URL",
    "SUBMISSION_DATETIME",
];

/// Makes sure that the runner's variables are there.
///
/// # Errors
/// When one is missing, or the tag is no submission's.
pub fn missing(variables: &BTreeMap<String, String>) -> Result<()> {
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|name| variables.get(*name).is_none_or(String::is_empty))
        .collect();
    ensure!(
        missing.is_empty(),
        "the format classroom50 is for Classroom 50's runner, which sets {}: they are missing here",
        missing.join(", ")
    );
    ensure!(
        variables["SUBMISSION_TAG"].starts_with("submit/"),
        "SUBMISSION_TAG is no tag of Classroom 50, which begin with `submit/`"
    );
    Ok(())
}

/// Writes the file.
///
/// # Errors
/// As [`missing`].
pub fn render(report: &Report, variables: &BTreeMap<String, String>) -> Result<String> {
    missing(variables)?;
    let report = &clean_report(report)?;
    let of = |names: &[&str]| -> Option<String> {
        names
            .iter()
            .find_map(|name| variables.get(*name))
            .map(|value| escape::clean(value))
    };
    let mut result = Map::new();
    let mut put = |name: &str, value: Value| result.insert(name.to_owned(), value);
    put("schema", "classroom50/result/v1".into());
    put("classroom", of(&["CLASSROOM"]).into());
    put("assignment", of(&["ASSIGNMENT"]).into());
    let kind = of(&["ASSIGNMENT_TYPE"]).filter(|kind| !kind.is_empty());
    put(
        "assignment_type",
        kind.unwrap_or_else(|| "individual".into()).into(),
    );
    let owner = of(&["OWNER", "USERNAME"]).unwrap_or_else(|| report.submission.clone());
    put("owner", owner.into());
    put("submission", of(&["SUBMISSION_TAG"]).into());
    put("commit", of(&["COMMIT_URL"]).into());
    put("release", of(&["RELEASE_URL"]).into());
    put("review", of(&["REVIEW_URL", "COMMIT_URL"]).into());
    let graded_at = instant(&report.started_at);
    let submitted = match of(&["SUBMISSION_DATETIME"]) {
        Some(text) => Some(instant(&text)?),
        None => None,
    };
    let datetime = submitted.or_else(|| graded_at.as_ref().ok().cloned());
    put(
        "datetime",
        datetime.context("the report has no instant")?.into(),
    );
    if let Ok(graded_at) = graded_at {
        put("graded_at", graded_at.into());
    }
    let is_graded = report.outcome != Outcome::Ungraded;
    if is_graded {
        put("score", report.points.into());
        put("max-score", report.max_points.into());
    }
    let tests = report.criteria.iter().map(|c| test(c, is_graded));
    put("tests", tests.collect());
    let text = serde_json::to_string_pretty(&result).context("write Classroom 50's result")?;
    Ok(escape::json(&text) + "\n")
}

fn test(criterion: &CriterionGrade, is_graded: bool) -> Value {
    let mut test = json!({
        "test-name": shorten(&one_line(&criterion.title), 200),
        "passed": criterion.verdict == Verdict::Met,
        "verdict": told::verdict(criterion.verdict),
        "id": criterion.id,
        "must": criterion.must,
        "needs_review": criterion.needs_review,
        "message": told::text(criterion),
    });
    if is_graded {
        test["score"] = criterion.points.into();
        test["max-score"] = criterion.max_points.into();
    }
    test
}

/// An instant in the form that the schema wants, in UTC and whole seconds.
fn instant(text: &str) -> Result<String> {
    let instant: jiff::Timestamp = text
        .parse()
        .with_context(|| format!("`{text}` is no instant like 2026-09-01T12:00:00Z"))?;
    Ok(instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_in_utc_and_whole_seconds() {
        let written = instant("2026-09-01T14:00:00.25+02:00").unwrap();
        assert_eq!(written, "2026-09-01T12:00:00Z");
        assert!(instant("yesterday").is_err());
    }
}
