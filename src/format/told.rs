//! What other graders' formats say of one criterion, as plain text.

use super::escape::{first_lines, shorten};
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// What was wanted, what was seen, and where to look, one line each; at most some 4,000 characters.
#[must_use]
pub fn text(criterion: &CriterionGrade) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: Option<&str>| {
        if let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) {
            let value = shorten(&first_lines(value, 30), 1500);
            out.push_str(label);
            out.push_str(": ");
            out.push_str(&value);
            out.push('\n');
        }
    };
    if criterion.verdict == Verdict::Ungraded {
        line("not graded", Some("no points are lost"));
    }
    line("wanted", Some(&criterion.expected));
    line("seen", criterion.actual.as_deref());
    line("why", criterion.reason.as_deref());
    line("hint", criterion.hint.as_deref());
    line("look at", criterion.look_at.as_deref());
    for review in criterion.answer.iter().flat_map(|a| &a.review_reasons) {
        line("for review", Some(review));
    }
    shorten(out.trim_end(), 4000)
}

/// The verdict as reports write it.
#[must_use]
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::PartlyMet => "partly_met",
        Verdict::NotMet => "not_met",
        Verdict::Skipped => "skipped",
        Verdict::Ungraded => "ungraded",
    }
}

/// The outcome as reports write it.
#[must_use]
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Ungraded => "ungraded",
    }
}

/// Ids of the criteria that a person should look at.
#[must_use]
pub fn for_review(report: &Report) -> Vec<&str> {
    report
        .criteria
        .iter()
        .filter(|criterion| criterion.needs_review)
        .map(|criterion| criterion.id.as_str())
        .collect()
}
