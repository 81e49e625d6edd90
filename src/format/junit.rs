//! `JUnit` XML: one test case a criterion, for CI systems that draw tables of tests.
//!
//! `JUnit` knows no points: they are properties of the suite, and the message says them. Names are
//! unique, because GitLab keeps only the first of two. What comes out keeps the strictest schema that
//! is in use, the one of Jenkins' xUnit plugin (`junit-10.xsd`), which has no properties of a case.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Property, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::escape::{clean_report, one_line, shorten};
use super::told;
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// Writes the XML.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let mut junit = Junit::new(format!("feedgrade {}", name(&report.exercise)));
    let mut suite = TestSuite::new(name(&report.submission));
    suite.set_time(duration(
        report.phases.iter().map(|phase| phase.seconds).sum(),
    ));
    suite.add_property(Property::new("exercise", one_line(&report.exercise)));
    suite.add_property(Property::new("started_at", one_line(&report.started_at)));
    suite.add_property(Property::new("outcome", told::outcome(report.outcome)));
    if report.outcome != Outcome::Ungraded {
        suite.add_property(Property::new("points", report.points.to_string()));
    }
    suite.add_property(Property::new("max_points", report.max_points.to_string()));
    suite.add_property(Property::new("pass_mark", report.pass_mark.to_string()));
    let mut titles = BTreeSet::new();
    for criterion in &report.criteria {
        let mut title = format!("{} ({})", name(&criterion.title), name(&criterion.id));
        while !titles.insert(title.clone()) {
            title.push('+');
        }
        suite.add_test_case(case(report, criterion, &title));
        for property in properties(criterion) {
            suite.add_property(property);
        }
    }
    junit.add_test_suite(suite);
    let text = junit.to_string().context("write JUnit XML")?;
    Ok(without_skipped(&text))
}

/// The library counts what was skipped in the outermost element, too, where no schema has it.
fn without_skipped(text: &str) -> String {
    // A quote inside an attribute is written as an entity, so this is no part of a name.
    const ATTRIBUTE: &str = " skipped=\"";
    let Some(begin) = text.find("<testsuites ") else {
        return text.to_owned();
    };
    let end = text[begin..]
        .find('>')
        .map_or(text.len(), |end| begin + end);
    match text[begin..end].find(ATTRIBUTE) {
        None => text.to_owned(),
        Some(at) => {
            let (before, after) = text.split_at(begin + at);
            let after = after[ATTRIBUTE.len()..].split_once('"');
            after.map_or_else(|| text.to_owned(), |(_, after)| before.to_owned() + after)
        }
    }
}

/// `pool.shared.points` and so on: what the case has no place for.
fn properties(criterion: &CriterionGrade) -> Vec<Property> {
    let property = |what: &str, value: String| {
        let name = format!("{}.{what}", name(&criterion.id));
        Property::new(name, value)
    };
    let mut properties = vec![property("verdict", told::verdict(criterion.verdict).into())];
    if criterion.verdict != Verdict::Ungraded {
        properties.push(property("points", criterion.points.to_string()));
    }
    properties.extend([
        property("max_points", criterion.max_points.to_string()),
        property("must", criterion.must.to_string()),
        property("needs_review", criterion.needs_review.to_string()),
    ]);
    properties
}

fn case(report: &Report, criterion: &CriterionGrade, title: &str) -> TestCase {
    let status = match criterion.verdict {
        Verdict::Met => TestCaseStatus::success(),
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message(criterion));
            status
        }
        Verdict::PartlyMet | Verdict::NotMet => told(NonSuccessKind::Failure, criterion),
        Verdict::Ungraded => told(NonSuccessKind::Error, criterion),
    };
    let mut case = TestCase::new(title, status);
    case.set_classname(format!("feedgrade.{}", name(&report.exercise)));
    case
}

fn told(kind: NonSuccessKind, criterion: &CriterionGrade) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message(criterion));
    status.set_type(told::verdict(criterion.verdict));
    let mut text = String::new();
    let mut line = |label: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(label);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        }
    };
    line("wanted", Some(&criterion.expected));
    line("seen", criterion.actual.as_deref());
    line("why", criterion.reason.as_deref());
    line("hint", criterion.hint.as_deref());
    line("look at", criterion.look_at.as_deref());
    for review in criterion.answer.iter().flat_map(|a| &a.review_reasons) {
        line("for review", Some(review));
    }
    status.set_description(text);
    status
}

fn message(criterion: &CriterionGrade) -> String {
    let reason = one_line(criterion.reason.as_deref().unwrap_or_default());
    match criterion.verdict {
        Verdict::Ungraded => format!("not graded, no points are lost: {reason}"),
        _ => format!(
            "{} of {} points: {reason}",
            criterion.points, criterion.max_points
        ),
    }
}

fn name(text: &str) -> String {
    shorten(&one_line(text), 200)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
