//! A class in every form: `batch.json` and its schema, `grades.csv`, the page, and the summary.
//!
//! Pure, as all formats. The page wears the style of the learner's page, so both look alike.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::escape::{clean, clean_value, one_line, shorten};
use super::{escape, figure, html};
use crate::class::difference::{Change, CriterionChange, Judged, Stand};
use crate::class::figures::{Counts, CriterionFigures};
use crate::class::{Class, Row, Standing, VERSION};
use crate::grade::Verdict;

/// The page that the program carries.
const TEMPLATE: &str = include_str!("../../templates/class.html");
/// Members in the lists of the slowest and the flakiest.
const MOST_SLOW: usize = 8;
/// Mistaken ideas that are shown.
const MOST_MISCONCEPTIONS: usize = 12;

/// Writes `batch.json`.
///
/// # Errors
/// When it cannot be written as JSON, which it always can.
pub fn json(class: &Class) -> Result<String> {
    let text = serde_json::to_string_pretty(class).context("write the class as JSON")?;
    Ok(escape::json(&text) + "\n")
}

/// The JSON Schema of `batch.json`, draft 2020-12. Fields may be added; these stay.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Class).to_value();
    schema["title"] = json!("feedgrade batch");
    schema["properties"]["version"] = json!({
        "description": "The version of this form.",
        "const": VERSION,
    });
    let row = &mut schema["$defs"]["Row"];
    row["if"] = json!({"properties": {"standing": {"enum": ["passed", "failed"]}}});
    row["then"] = json!({"properties": {"points": {"type": "integer"}}, "required": ["points"]});
    row["else"] = json!({"properties": {"points": {"type": "null"}}});
    schema
}

/// Writes `grades.csv`: a row a member, a column a criterion. An empty cell is no grade and no zero.
///
/// # Errors
/// When the table cannot be written, which it always can.
pub fn csv(class: &Class) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heading = [
        "id",
        "name",
        "email",
        "submission",
        "outcome",
        "points",
        "max_points",
        "needs_review",
        "problem",
    ];
    let ids = class.criteria.iter().map(|criterion| cell(&criterion.id));
    writer.write_record(heading.into_iter().map(str::to_owned).chain(ids))?;
    for row in &class.rows {
        let review: Vec<&str> = row
            .criteria
            .iter()
            .filter(|criterion| criterion.review.is_some())
            .map(|criterion| criterion.id.as_str())
            .collect();
        let points = row
            .points
            .map_or(String::new(), |points| points.to_string());
        let mut cells: Vec<String> = [
            &row.id,
            row.name.as_deref().unwrap_or_default(),
            row.email.as_deref().unwrap_or_default(),
            &row.source,
            row.standing.word(),
            &points,
        ]
        .map(cell)
        .to_vec();
        cells.push(class.max_points.to_string());
        cells.push(cell(&review.join(" ")));
        cells.push(cell(row.problem.as_deref().unwrap_or_default()));
        cells.extend(class.criteria.iter().map(|criterion| {
            let judged = row.criteria.iter().find(|c| c.id == criterion.id);
            judged
                .filter(|judged| judged.verdict != Verdict::Ungraded)
                .map_or(String::new(), |judged| judged.points.to_string())
        }));
        writer.write_record(cells)?;
    }
    let bytes = writer.into_inner().context("write CSV")?;
    String::from_utf8(bytes).context("write CSV")
}

fn cell(text: &str) -> String {
    escape::csv(&clean(text))
}

/// All that the page knows. Strings are ready to be shown.
#[derive(Debug, Serialize)]
struct Page<'a> {
    style: &'a str,
    class: &'a Class,
    title: String,
    when: String,
    headline: String,
    lead: String,
    columns: Vec<Column>,
    pass_at: String,
    attention: Vec<Attention<'a>>,
    criteria: Vec<CriterionView<'a>>,
    misconceptions: Vec<MisconceptionView<'a>>,
    slowest: Vec<Slow<'a>>,
    flakiest: Vec<Flaky<'a>>,
    times: Vec<Part>,
    wall: String,
    each: String,
    rows: Vec<RowView<'a>>,
}

/// One column of the distribution.
#[derive(Debug, Serialize)]
struct Column {
    label: String,
    passed: usize,
    failed: usize,
    /// Heights, in percent of the highest column.
    passed_height: String,
    failed_height: String,
    count: usize,
}

/// A member whom a person should look at, and why.
#[derive(Debug, Serialize)]
struct Attention<'a> {
    row: &'a Row,
    label: String,
    class: &'static str,
    chip: String,
    why: Vec<String>,
    link: Option<String>,
}

#[derive(Debug, Serialize)]
struct CriterionView<'a> {
    of: &'a CriterionFigures,
    rate: String,
    segments: Vec<(&'static str, usize, &'static str)>,
}

#[derive(Debug, Serialize)]
struct MisconceptionView<'a> {
    criterion: &'a str,
    hint: &'a str,
    members: String,
    quotes: Vec<(&'a str, String)>,
}

#[derive(Debug, Serialize)]
struct Slow<'a> {
    label: String,
    link: Option<String>,
    seconds: String,
    share: String,
    row: &'a Row,
}

#[derive(Debug, Serialize)]
struct Flaky<'a> {
    label: String,
    link: Option<String>,
    why: String,
    row: &'a Row,
}

#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    seconds: String,
    share: String,
}

#[derive(Debug, Serialize)]
struct RowView<'a> {
    row: &'a Row,
    label: String,
    class: &'static str,
    points: String,
    musts: String,
    review: usize,
    link: Option<String>,
}

/// Writes the page of the class.
///
/// # Errors
/// When the template is not one for this page, which the program's own is.
pub fn html(class: &Class) -> Result<String> {
    let mut value = serde_json::to_value(class).context("write the class as JSON")?;
    clean_value(&mut value);
    let class: Class = serde_json::from_value(value).context("read the class back from JSON")?;
    let context = tera::Context::from_serialize(&page(&class)).context("lay out the page")?;
    html::fill("class.html", TEMPLATE, &context)
}

fn page(class: &Class) -> Page<'_> {
    let counts = &class.counts;
    let style = html::TEMPLATE
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map_or("", |(style, _)| style);
    let mut criteria: Vec<&CriterionFigures> = class.criteria.iter().collect();
    criteria.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    Page {
        style,
        class,
        title: shorten(&one_line(&class.title), 120),
        when: when(class),
        headline: headline(counts),
        lead: lead(class),
        columns: columns(class),
        pass_at: percentage(figure::share(
            class.pass_mark as usize,
            class.max_points.max(1) as usize,
        )),
        attention: class.rows.iter().filter_map(attention).collect(),
        criteria: criteria.into_iter().map(criterion).collect(),
        misconceptions: class
            .misconceptions
            .iter()
            .take(MOST_MISCONCEPTIONS)
            .map(|wrong| MisconceptionView {
                criterion: &wrong.criterion,
                hint: &wrong.hint,
                members: figure::plural(wrong.members, "member", "members"),
                quotes: wrong
                    .quotes
                    .iter()
                    .map(|quote| (quote.text.as_str(), link_to(&quote.folder)))
                    .collect(),
            })
            .collect(),
        slowest: slowest(class),
        flakiest: flakiest(class),
        times: parts(class),
        wall: class
            .times
            .map_or(String::new(), |times| figure::seconds(times.wall)),
        each: each(class).unwrap_or_default(),
        rows: class.rows.iter().map(row).collect(),
    }
}

/// When the evidence was gathered, from the first to the last.
fn when(class: &Class) -> String {
    let mut instants: Vec<&str> = class
        .rows
        .iter()
        .filter_map(|row| row.started_at.as_deref())
        .collect();
    instants.sort_unstable();
    match (instants.first(), instants.last()) {
        (Some(first), Some(last)) => {
            let (first, last) = (figure::instant(first), figure::instant(last));
            if first == last {
                first
            } else {
                format!("{first} to {last}")
            }
        }
        _ => String::new(),
    }
}

fn headline(counts: &Counts) -> String {
    match counts.graded() {
        0 => "Nobody has a grade yet".to_owned(),
        graded => format!("{} of {graded} passed", counts.passed),
    }
}

fn lead(class: &Class) -> String {
    let counts = &class.counts;
    let mut text = figure::plural(counts.members, "member", "members");
    let mut part = |count: usize, what: &str| {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    };
    part(counts.graded(), "with a grade");
    part(counts.ungraded, "that could not be graded");
    part(counts.missing, "without a submission");
    part(counts.waiting, "not graded so far");
    if let Some(points) = &class.points {
        let _ = write!(
            text,
            ". Half of the grades are {} of {} points or more; the mean is {}, the least {}, the \
             most {}",
            figure::number(points.median),
            class.max_points,
            figure::number(points.mean),
            points.lowest,
            points.highest
        );
    }
    text + "."
}

fn columns(class: &Class) -> Vec<Column> {
    let Some(points) = &class.points else {
        return Vec::new();
    };
    let most = points
        .columns
        .iter()
        .map(|c| c.passed + c.failed)
        .max()
        .unwrap_or(1);
    points
        .columns
        .iter()
        .map(|column| Column {
            label: format!("{}–{}", column.from, column.to),
            passed: column.passed,
            failed: column.failed,
            passed_height: percentage(figure::share(column.passed, most)),
            failed_height: percentage(figure::share(column.failed, most)),
            count: column.passed + column.failed,
        })
        .collect()
}

fn rate(of: &CriterionFigures) -> f64 {
    match of.judged() {
        // Nothing is known: not among the hard ones.
        0 => 2.0,
        judged => figure::share(of.met, judged),
    }
}

fn criterion(of: &CriterionFigures) -> CriterionView<'_> {
    CriterionView {
        of,
        rate: match of.judged() {
            0 => "–".to_owned(),
            judged => figure::percent(figure::share(of.met, judged)),
        },
        segments: [
            ("met", of.met, "met"),
            ("partly", of.partly_met, "partly met"),
            ("not", of.not_met, "not met"),
            ("skipped", of.skipped, "skipped"),
            ("ungraded", of.ungraded, "not graded"),
        ]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .collect(),
    }
}

fn attention(row: &Row) -> Option<Attention<'_>> {
    let problem = || row.problem.iter().cloned().collect::<Vec<_>>();
    let (class, chip, why) = match row.standing {
        Standing::Ungraded => ("ungraded", "no grade".to_owned(), problem()),
        Standing::Missing => ("skipped", "no submission".to_owned(), problem()),
        _ => {
            let why: Vec<String> = row
                .criteria
                .iter()
                .filter_map(|c| Some(format!("{}: {}", c.id, c.review.as_ref()?)))
                .collect();
            if why.is_empty() {
                return None;
            }
            let chip = figure::plural(why.len(), "answer to read", "answers to read");
            ("partly", chip, why)
        }
    };
    Some(Attention {
        row,
        label: label(row),
        class,
        chip,
        why,
        link: link(row),
    })
}

fn slowest(class: &Class) -> Vec<Slow<'_>> {
    let mut rows: Vec<&Row> = class
        .rows
        .iter()
        .filter(|row| row.times.own() > 0.0)
        .collect();
    rows.sort_by(|a, b| b.times.own().total_cmp(&a.times.own()));
    let longest = rows.first().map_or(1.0, |row| row.times.own());
    rows.into_iter()
        .take(MOST_SLOW)
        .map(|row| Slow {
            label: label(row),
            link: link(row),
            seconds: figure::seconds(row.times.own()),
            share: percentage(row.times.own() / longest),
            row,
        })
        .collect()
}

/// Whom the machine let down: measured more than once, or without a verdict in the end.
fn flakiest(class: &Class) -> Vec<Flaky<'_>> {
    let unknown = |row: &Row| {
        let verdicts = row
            .criteria
            .iter()
            .filter(|c| c.verdict == Verdict::Ungraded);
        verdicts.count()
    };
    let mut rows: Vec<&Row> = class
        .rows
        .iter()
        .filter(|row| row.attempts > 1 || unknown(row) > 0)
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((unknown(row), row.attempts)));
    rows.into_iter()
        .take(MOST_SLOW)
        .map(|row| Flaky {
            label: label(row),
            link: link(row),
            why: match unknown(row) {
                0 => format!("a stage was measured {} times", row.attempts),
                count => format!(
                    "{} could not be told",
                    figure::plural(count, "verdict", "verdicts")
                ),
            },
            row,
        })
        .collect()
}

fn parts(class: &Class) -> Vec<Part> {
    let Some(times) = &class.times else {
        return Vec::new();
    };
    [
        ("building", times.building),
        ("loading", times.loading),
        ("databases and questions", times.preparing),
        ("waiting and writing", times.waiting),
    ]
    .into_iter()
    .map(|(name, seconds)| Part {
        name,
        seconds: format!(
            "{}, {}",
            figure::seconds(seconds),
            figure::percent(seconds / times.wall.max(0.001))
        ),
        share: percentage(seconds / times.wall.max(0.001)),
    })
    .collect()
}

fn each(class: &Class) -> Option<String> {
    let times = class.times.filter(|times| times.graded > 0)?;
    Some(format!(
        "{} in {}, {} each",
        figure::plural(times.graded, "submission", "submissions"),
        figure::seconds(times.wall),
        figure::seconds(times.wall / figure::float(times.graded as u64))
    ))
}

fn row(row: &Row) -> RowView<'_> {
    RowView {
        row,
        label: label(row),
        class: match row.standing {
            Standing::Passed => "met",
            Standing::Failed => "partly",
            Standing::Ungraded => "ungraded",
            Standing::Missing | Standing::Waiting => "skipped",
        },
        points: row
            .points
            .map_or("–".to_owned(), |points| points.to_string()),
        musts: row.missing_musts.join(", "),
        review: row.criteria.iter().filter(|c| c.review.is_some()).count(),
        link: link(row),
    }
}

fn label(row: &Row) -> String {
    shorten(&one_line(row.label()), 60)
}

/// Where a member's own page is; those on whom nothing was seen have none.
fn link(row: &Row) -> Option<String> {
    (!row.basis.evidence.is_empty()).then(|| link_to(&row.folder))
}

/// Names of folders are plain, so they need no escaping in a link.
fn link_to(folder: &str) -> String {
    format!("{folder}/report.html")
}

fn percentage(share: f64) -> String {
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

/// The summary that `batch` prints.
#[must_use]
pub fn text(class: &Class) -> String {
    let counts = &class.counts;
    let mut text = format!("{}. {}\n", headline(counts), lead(class));
    let _ = writeln!(
        text,
        "{}{}",
        shorten(&one_line(&clean(&class.title)), 80),
        class
            .shard
            .map_or(String::new(), |shard| format!(" · shard {shard}"))
    );
    let labels: Vec<String> = class
        .rows
        .iter()
        .map(|row| shorten(&one_line(&clean(row.label())), 32))
        .collect();
    let width = labels
        .iter()
        .map(|label| escape::width(label))
        .max()
        .unwrap_or(0);
    text.push('\n');
    for (row, label) in class.rows.iter().zip(&labels) {
        let pad = " ".repeat(width - escape::width(label));
        let points = row
            .points
            .map_or("–".to_owned(), |points| points.to_string());
        let _ = write!(text, "{} {label}{pad}  {points:>4}", sign(row.standing));
        let what = match (row.standing, &row.problem) {
            (Standing::Failed, _) if !row.missing_musts.is_empty() => {
                format!("needed to pass: {}", row.missing_musts.join(", "))
            }
            (Standing::Passed | Standing::Failed, _) => String::new(),
            (standing, Some(problem)) => format!("{}: {problem}", standing.word()),
            (standing, None) => standing.word().to_owned(),
        };
        let review = row.criteria.iter().filter(|c| c.review.is_some()).count();
        let review = match review {
            0 => String::new(),
            count => format!(
                "  {} for review",
                figure::plural(count, "answer", "answers")
            ),
        };
        let line = format!("  {}{review}", shorten(&one_line(&clean(&what)), 90));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let mut hard: Vec<&CriterionFigures> = class
        .criteria
        .iter()
        .filter(|criterion| criterion.judged() > criterion.met)
        .collect();
    hard.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    if !hard.is_empty() {
        text.push_str("\nLeast often met\n");
        for criterion in hard.into_iter().take(5) {
            let _ = writeln!(
                text,
                "  {:>7}  {}",
                figure::percent(rate(criterion)),
                shorten(&one_line(&clean(&criterion.title)), 70)
            );
        }
    }
    if let (Some(each), Some(_)) = (each(class), class.times) {
        let parts: Vec<String> = parts(class)
            .iter()
            .map(|part| format!("{} {}", part.name, part.seconds))
            .collect();
        let _ = writeln!(text, "\n{each}: {}", parts.join("; "));
    }
    text
}

fn sign(standing: Standing) -> char {
    match standing {
        Standing::Passed => '✓',
        Standing::Failed => '✗',
        Standing::Ungraded => '?',
        Standing::Missing | Standing::Waiting => '·',
    }
}

/// What `diff` prints.
#[must_use]
pub fn differences(changes: &[Change], members: usize) -> String {
    let mut text = String::new();
    for change in changes {
        let name = shorten(
            &one_line(&clean(change.name.as_ref().unwrap_or(&change.id))),
            60,
        );
        let _ = writeln!(
            text,
            "{name}: {}",
            match (&change.before, &change.after) {
                (Some(before), Some(after)) if before == after => stand(*after),
                (Some(before), Some(after)) => format!("{} → {}", stand(*before), stand(*after)),
                (None, Some(after)) => format!("new, {}", stand(*after)),
                (Some(before), None) => format!("no longer there, was {}", stand(*before)),
                (None, None) => String::new(),
            }
        );
        for criterion in &change.criteria {
            let _ = writeln!(text, "  {}", criterion_change(criterion));
        }
    }
    let _ = match changes.len() {
        0 => writeln!(text, "Nothing changed for any of {members} members."),
        count => writeln!(text, "\n{count} of {members} members changed."),
    };
    text
}

fn stand(stand: Stand) -> String {
    match stand.points {
        Some(points) => format!("{}, {points} points", stand.standing.word()),
        None => stand.standing.word().to_owned(),
    }
}

fn criterion_change(of: &CriterionChange) -> String {
    let causes: Vec<&str> = of.causes.iter().map(|cause| cause.words()).collect();
    let mut line = format!(
        "{}: {} → {} ({})",
        clean(&of.id),
        judged(of.before),
        judged(of.after),
        causes.join(" or ")
    );
    if let Some(reason) = &of.reason {
        let _ = write!(line, ": {}", shorten(&one_line(&clean(reason)), 160));
    }
    line
}

fn judged(judged: Option<Judged>) -> String {
    let Some(judged) = judged else {
        return "not there".to_owned();
    };
    let word = match judged.verdict {
        Verdict::Met => "met",
        Verdict::PartlyMet => "partly met",
        Verdict::NotMet => "not met",
        Verdict::Skipped => "skipped",
        Verdict::Ungraded => return "not graded".to_owned(),
    };
    format!("{word}, {}", judged.points)
}
