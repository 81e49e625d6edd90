//! Text: the summary that `check` prints on stdout.
//!
//! Styles are embedded as terminal sequences; whoever prints it does so through `anstream`, which
//! drops them where they are not wanted. Everything is said in words and signs too, within
//! [`WIDTH`] columns.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use super::columns::{Column, Line, columns};
use super::escape::{clean_report, first_lines, one_line, shorten, width};
use super::figure;
use crate::grade::{CriterionGrade, Outcome, Verdict};
use crate::report::Report;

/// Columns that a summary never exceeds.
pub const WIDTH: usize = 100;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Writes the summary.
pub fn render(report: &Report) -> Result<String> {
    let report = &clean_report(report)?;
    let mut out = String::new();
    head(&mut out, report)?;
    stages(&mut out, report)?;
    criteria(&mut out, report)?;
    next(&mut out, report)?;
    Ok(out)
}

fn styled(style: Style, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{style}{text}{style:#}")
}

fn head(out: &mut String, report: &Report) -> Result<()> {
    let colour = match report.outcome {
        Outcome::Passed => GREEN,
        Outcome::Failed => YELLOW,
        Outcome::Ungraded => CYAN,
    };
    for line in wrap(&one_line(&report.headline), WIDTH) {
        writeln!(out, "{}", styled(colour.bold(), &line))?;
    }
    let about = format!(
        "{} · {} · {}",
        one_line(&report.submission),
        one_line(&report.title),
        figure::instant(&report.started_at)
    );
    writeln!(out, "{}\n", styled(DIM, &shorten(&about, WIDTH)))?;
    Ok(())
}

/// Columns of the table's headings.
const LABEL: usize = 34;
/// Columns of one figure.
const CELL: usize = 16;

/// The table of stages. As many columns as fit are shown.
fn stages(out: &mut String, report: &Report) -> Result<()> {
    let columns: Vec<Column<'_>> = columns(report);
    if !columns.iter().any(Column::measured) {
        return Ok(());
    }
    let columns = &columns[..columns.len().min((WIDTH - LABEL) / CELL)];
    let cells = |of: &dyn Fn(&Column<'_>) -> String| -> String {
        columns
            .iter()
            .map(|column| pad_left(&shorten(&of(column), CELL - 2), CELL))
            .collect()
    };
    let heads = cells(&|column| one_line(&column.shown.title));
    writeln!(out, "{}{}", " ".repeat(LABEL), styled(BOLD, &heads))?;
    let whose = cells(&|column| column.whose().to_owned());
    writeln!(out, "{}{}", " ".repeat(LABEL), styled(DIM, &whose))?;
    for line in Line::ALL {
        let figures = cells(&|column| line.figure(column.shown));
        writeln!(out, "{}{figures}", pad_right(line.heading(), LABEL))?;
    }
    if columns.iter().any(|column| column.reference.is_some()) {
        let figures = cells(&|column| {
            column
                .reference
                .map_or(String::new(), |stage| Line::P99.figure(stage))
        });
        let line = format!("{}{figures}", pad_right("p99 of the reference", LABEL));
        writeln!(out, "{}", styled(DIM, line.trim_end()))?;
    }
    out.push('\n');
    Ok(())
}

fn criteria(out: &mut String, report: &Report) -> Result<()> {
    let (met, open): (Vec<_>, Vec<_>) = report
        .criteria
        .iter()
        .partition(|criterion| criterion.verdict == Verdict::Met);
    let (skipped, open): (Vec<_>, Vec<_>) = open
        .into_iter()
        .partition(|criterion| criterion.verdict == Verdict::Skipped);
    for criterion in &open {
        writeln!(out, "{}", criterion_line(criterion, WIDTH).trim_end())?;
        details(out, criterion)?;
    }
    if !open.is_empty() {
        out.push('\n');
    }
    for group in skipped.chunk_by(|a, b| a.reason == b.reason) {
        let reason = group[0].reason.as_deref().unwrap_or_default();
        let reason = shorten(&format!("Skipped. {}", one_line(reason)), WIDTH);
        writeln!(out, "{}", styled(DIM, &reason))?;
        two_columns(out, group)?;
        out.push('\n');
    }
    two_columns(out, &met)?;
    if !met.is_empty() {
        out.push('\n');
    }
    Ok(())
}

/// One below the other on the left, then on the right. The left takes what it needs.
fn two_columns(out: &mut String, criteria: &[&CriterionGrade]) -> Result<()> {
    let (left, right) = criteria.split_at(criteria.len().div_ceil(2));
    let needs = |criterion: &&CriterionGrade| FRONT + width(&one_line(&criterion.title)) + 2;
    let columns = left.iter().map(needs).max().unwrap_or(0);
    let columns = columns.clamp(WIDTH / 3, WIDTH * 3 / 5);
    for (i, criterion) in left.iter().enumerate() {
        let mut line = criterion_line(criterion, columns);
        if let Some(criterion) = right.get(i) {
            line.push_str(&criterion_line(criterion, WIDTH - columns));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Columns of the sign and the points before a title.
const FRONT: usize = 8;

/// The sign that stands before a criterion, and its word.
#[must_use]
pub fn sign(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Met => ("✓", "met"),
        Verdict::PartlyMet => ("◐", "partly met"),
        Verdict::NotMet => ("✗", "not met"),
        Verdict::Skipped => ("·", "skipped"),
        Verdict::Ungraded => ("?", "not graded"),
    }
}

/// `✗  0/14 Connections are shared between requests (must, not met)`, padded to `columns`.
fn criterion_line(criterion: &CriterionGrade, columns: usize) -> String {
    let (sign, word) = sign(criterion.verdict);
    let style = match criterion.verdict {
        Verdict::Met => GREEN,
        Verdict::PartlyMet => YELLOW,
        Verdict::NotMet => RED,
        Verdict::Skipped => DIM,
        Verdict::Ungraded => CYAN,
    };
    let points = match criterion.verdict {
        Verdict::Ungraded => format!("–/{}", criterion.max_points),
        _ => format!("{}/{}", criterion.points, criterion.max_points),
    };
    let mut note = match (criterion.verdict, criterion.must) {
        (Verdict::Met | Verdict::Skipped, _) => String::new(),
        (_, true) => format!(" ({word}, needed to pass)"),
        (_, false) => format!(" ({word})"),
    };
    if criterion.needs_review {
        note.push_str(" (for review)");
    }
    let left = format!("{sign} {points:>5} ");
    let room = columns.saturating_sub(2 + width(&left));
    let title = shorten(
        &one_line(&criterion.title),
        room.saturating_sub(width(&note)),
    );
    let used = width(&left) + width(&title) + width(&note);
    let title = if matches!(criterion.verdict, Verdict::Met | Verdict::Skipped) {
        title
    } else {
        styled(BOLD, &title)
    };
    format!(
        "{}{title}{}{}",
        styled(style, &left),
        styled(DIM, &note),
        " ".repeat(columns.saturating_sub(used))
    )
}

/// Wanted, seen, why and where to look, for a criterion that is not met.
fn details(out: &mut String, criterion: &CriterionGrade) -> Result<()> {
    let field = |out: &mut String, label: &str, text: &str, lines: usize| -> Result<()> {
        const INDENT: usize = FRONT + 10;
        let text = first_lines(text, lines);
        let mut label = label;
        for paragraph in text.lines() {
            let wrapped = wrap(paragraph, WIDTH - INDENT);
            let cut = wrapped.len() > lines;
            for (i, line) in wrapped.iter().take(lines).enumerate() {
                let more = if cut && i + 1 == lines { " …" } else { "" };
                let line = shorten(&format!("{line}{more}"), WIDTH - INDENT);
                writeln!(
                    out,
                    "{}{}{line}",
                    " ".repeat(FRONT),
                    styled(DIM, &format!("{label:<10}"))
                )?;
                label = "";
            }
        }
        Ok(())
    };
    if criterion.verdict == Verdict::Ungraded {
        return field(
            out,
            "why",
            criterion.reason.as_deref().unwrap_or_default(),
            2,
        );
    }
    if criterion.answer.is_some() {
        // The page shows the answer itself; here one line has to do.
        let place = criterion
            .look_at
            .as_ref()
            .map_or(String::new(), |place| format!(" ({place})"));
        let reason = criterion.reason.as_deref().unwrap_or_default();
        return field(out, "why", &format!("{}{place}", one_line(reason)), 2);
    }
    if !criterion.expected.is_empty() {
        field(out, "wanted", &criterion.expected, 3)?;
    }
    match (&criterion.actual, &criterion.reason) {
        (Some(actual), _) => field(out, "seen", actual, 6)?,
        (None, Some(reason)) => field(out, "seen", reason, 3)?,
        (None, None) => {}
    }
    if let (Some(_), Some(reason)) = (&criterion.actual, &criterion.reason) {
        field(out, "why", reason, 3)?;
    }
    if let Some(look_at) = &criterion.look_at {
        field(out, "look at", look_at, 2)?;
    }
    Ok(())
}

fn next(out: &mut String, report: &Report) -> Result<()> {
    let Some(criterion) = report
        .look_next
        .as_ref()
        .filter(|_| report.outcome != Outcome::Ungraded)
        .and_then(|id| report.criteria.iter().find(|c| c.id == *id))
    else {
        return Ok(());
    };
    let hint = criterion
        .hint
        .as_deref()
        .or(criterion.reason.as_deref())
        .unwrap_or_default();
    let title = shorten(&one_line(&criterion.title), WIDTH - 16);
    writeln!(out, "{}{title}", styled(BOLD, "Look at next: "))?;
    for line in wrap(&one_line(hint), WIDTH - 2).iter().take(4) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// Lines of at most `columns` columns, broken at spaces, or inside a word that is longer.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Leading white space is layout in a compiler's message.
    let text = text.replace('\t', "    ");
    let indent = text.len() - text.trim_start_matches(' ').len();
    let mut line_width = indent.min(columns / 2);
    lines[0].push_str(&" ".repeat(line_width));
    let mut first = true;
    for word in text.trim_start().split(' ') {
        let mut word = word.to_owned();
        if !first && line_width + 1 + width(&word) <= columns {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
                line.push_str(&word);
            }
            line_width += 1 + width(&word);
            continue;
        }
        if !first {
            lines.push(String::new());
            line_width = 0;
        }
        first = false;
        while line_width + width(&word) > columns {
            let mut cut = 0;
            let mut used = line_width;
            for (at, c) in word.char_indices() {
                used += width(c.encode_utf8(&mut [0; 4]));
                if used > columns {
                    break;
                }
                cut = at + c.len_utf8();
            }
            let rest = word.split_off(cut);
            if let Some(line) = lines.last_mut() {
                line.push_str(&word);
            }
            word = rest;
            lines.push(String::new());
            line_width = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&word);
        }
        line_width += width(&word);
    }
    lines
}

fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

fn pad_right(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_and_endless_words_are_broken() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("    --> src/main.rs", 40), ["    --> src/main.rs"]);
        assert_eq!(wrap("", 10), [""]);
    }
}
