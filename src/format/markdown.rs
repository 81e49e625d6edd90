//! Markdown for GitHub: a step summary or a comment.
//!
//! A step summary above 1 MiB is refused whole, so long texts are cut and, in the last resort, the
//! details are left out.

use std::fmt::Write as _;

use anyhow::Result;

use super::columns::{Column, Line, columns};
use super::escape::{clean_report, first_lines, html, markdown, shorten};
use super::figure;
use super::text::sign;
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// Bytes that a summary stays below; GitHub's limit is 1,048,576.
pub const MAX_BYTES: usize = 1_000_000;

/// Writes the summary.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let mut out = String::new();
    head(&mut out, report)?;
    stages(&mut out, report)?;
    let summary = out.len();
    criteria(&mut out, report)?;
    details(&mut out, report)?;
    if out.len() > MAX_BYTES {
        out.truncate(summary);
        out.push_str("\nThe details are too long for this place; they are in the report itself.\n");
    }
    Ok(out)
}

/// One line of text, cut.
fn text(text: &str) -> String {
    markdown(&shorten(text, 300))
}

fn head(out: &mut String, report: &Report) -> Result<()> {
    let title = match report.outcome {
        Outcome::Passed => format!(
            "✅ Passed: {} of {} points",
            report.points, report.max_points
        ),
        Outcome::Failed => format!(
            "⏳ Not passed yet: {} of {} points",
            report.points, report.max_points
        ),
        Outcome::Ungraded => "❔ Not graded, no points are lost".to_owned(),
    };
    writeln!(out, "## {title}\n")?;
    writeln!(
        out,
        "{} · {} · {}\n",
        text(&report.title),
        text(&report.submission),
        text(&figure::instant(&report.started_at))
    )?;
    writeln!(out, "{}\n", markdown(&shorten(&report.headline, 1000)))?;
    if let Some(next) = report
        .look_next
        .as_ref()
        .filter(|_| report.outcome != Outcome::Ungraded)
        .and_then(|id| report.criteria.iter().find(|c| c.id == *id))
    {
        let hint = next
            .hint
            .as_deref()
            .or(next.reason.as_deref())
            .unwrap_or_default();
        writeln!(
            out,
            "> **Look at next: {}**<br>{}\n",
            text(&next.title),
            text(hint)
        )?;
    }
    Ok(())
}

fn stages(out: &mut String, report: &Report) -> Result<()> {
    let columns = columns(report);
    if !columns.iter().any(Column::measured) {
        return Ok(());
    }
    out.push_str("| |");
    for column in &columns {
        write!(out, " {} ({}) |", text(&column.shown.title), column.whose())?;
    }
    out.push_str("\n| --- |");
    out.push_str(&" ---: |".repeat(columns.len()));
    out.push('\n');
    for line in Line::ALL {
        write!(out, "| {} |", line.heading())?;
        for column in &columns {
            write!(out, " {}", markdown(&line.figure(column.shown)))?;
            if let Some(reference) = column.reference {
                write!(
                    out,
                    "<br><sub>reference {}</sub>",
                    markdown(&line.figure(reference))
                )?;
            }
            out.push_str(" |");
        }
        out.push('\n');
    }
    out.push('\n');
    Ok(())
}

fn points(criterion: &CriterionGrade) -> String {
    match criterion.verdict {
        Verdict::Ungraded => format!("–/{}", criterion.max_points),
        _ => format!("{}/{}", criterion.points, criterion.max_points),
    }
}

fn criteria(out: &mut String, report: &Report) -> Result<()> {
    out.push_str("| Verdict | Points | Criterion | Seen |\n| --- | ---: | --- | --- |\n");
    for criterion in &report.criteria {
        let (sign, word) = sign(criterion.verdict);
        let must = if criterion.must { " **(must)**" } else { "" };
        let seen = match (&criterion.actual, &criterion.reason) {
            (Some(actual), _) => first_lines(actual, 1),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        };
        writeln!(
            out,
            "| {sign} {word} | {} | {}{must} | {} |",
            points(criterion),
            text(&criterion.title),
            text(&seen)
        )?;
    }
    out.push('\n');
    Ok(())
}

fn details(out: &mut String, report: &Report) -> Result<()> {
    let open = report
        .criteria
        .iter()
        .filter(|c| !matches!(c.verdict, Verdict::Met | Verdict::Skipped));
    for criterion in open {
        let (_, word) = sign(criterion.verdict);
        writeln!(
            out,
            "<details><summary>{}: {word}</summary>\n",
            text(&criterion.title)
        )?;
        let mut line = |label: &str, value: Option<&str>| -> Result<()> {
            let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
                return Ok(());
            };
            if value.contains('\n') {
                // What was printed keeps its lines; nothing in it is Markdown.
                let value = html(&shorten(&first_lines(value, 40), 8000));
                writeln!(out, "- **{label}**\n\n<pre>{value}</pre>\n")?;
            } else {
                writeln!(out, "- **{label}** {}", markdown(&shorten(value, 2000)))?;
            }
            Ok(())
        };
        line("wanted", Some(&criterion.expected))?;
        line("seen", criterion.actual.as_deref())?;
        line("why", criterion.reason.as_deref())?;
        line("hint", criterion.hint.as_deref())?;
        line("look at", criterion.look_at.as_deref())?;
        for idea in criterion.answer.iter().flat_map(|answer| &answer.ideas) {
            line(
                "still missing",
                idea.hint.as_deref().filter(|_| !idea.found),
            )?;
        }
        for review in criterion.answer.iter().flat_map(|a| &a.review_reasons) {
            line("for review", Some(review))?;
        }
        out.push_str("\n</details>\n\n");
    }
    Ok(())
}
