//! The page's words and figures: a report as the template sees it.
//!
//! Every string is ready to be shown and is escaped later, by the template engine. Nothing here
//! knows HTML, but for the SVG that `chart` draws.

use serde::Serialize;

use super::chart::{self, Chart};
use super::columns::{Column, Line, columns, whose};
use super::escape::{one_line, shorten};
use super::figure;
use super::measured::{Measured, footing, isolation, measured};
use super::plan;
use super::text::sign;
use crate::evidence::{Migrations, PlanSeen};
use crate::grade::{AnswerGrade, Basis, CriterionGrade, Outcome, Verdict};
use crate::report::{Report, Stage, Statement};

/// Statements that are shown with their plans; one that is sent for each row has many sisters.
const MAX_STATEMENTS: usize = 8;

/// All that the template knows. Strings are ready to be shown.
#[derive(Debug, Serialize)]
struct Page<'a> {
    report: &'a Report,
    title: String,
    submission: String,
    started_at: String,
    /// `passed`, `failed` or `ungraded`.
    outcome: &'static str,
    outcome_words: &'static str,
    graded: bool,
    lead: String,
    strip: Vec<Segment>,
    left: u32,
    pass_at: String,
    missing: Vec<&'a CriterionView<'a>>,
    next: Option<&'a CriterionView<'a>>,
    unknown: Vec<&'a CriterionView<'a>>,
    table: Option<Table>,
    load: Option<String>,
    charts: Vec<Chart>,
    /// Series number and title.
    legend: Vec<(usize, String)>,
    statements: Vec<StatementView<'a>>,
    more_statements: Option<String>,
    migrations: Option<MigrationFault<'a>>,
    criteria: &'a [CriterionView<'a>],
    answers: Vec<AnswerView<'a>>,
    phases: Vec<PhaseView<'a>>,
    total: String,
    build_seconds: String,
    measured: Vec<Measured>,
    footing: String,
    isolation: String,
    /// In order; a map would lose it inside Tera.
    settings: Vec<(&'a String, &'a String)>,
}

/// One criterion in the strip of points.
#[derive(Debug, Serialize)]
struct Segment {
    title: String,
    weight: u32,
    verdict: &'static str,
}

#[derive(Debug, Serialize)]
struct CriterionView<'a> {
    of: &'a CriterionGrade,
    anchor: String,
    title: String,
    verdict: &'static str,
    sign: &'static str,
    word: &'static str,
    points: String,
    /// The verdict rests on the clock.
    clocked: bool,
    /// `actual` on several lines, set as it was printed.
    printed: bool,
    /// `actual` is what the compiler said, which has a section of its own.
    compiler: bool,
    /// `reason`, cut.
    brief: Option<String>,
    /// The question, for written answers.
    question: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Table {
    heads: Vec<Head>,
    lines: Vec<TableLine>,
}

#[derive(Debug, Serialize)]
struct Head {
    title: String,
    whose: &'static str,
    series: usize,
    problem: Option<String>,
    errors: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
struct TableLine {
    heading: &'static str,
    meaning: &'static str,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    figure: String,
    reference: Option<String>,
}

#[derive(Debug, Serialize)]
struct StatementView<'a> {
    of: &'a Statement,
    stage: String,
    times: String,
    parameters: String,
    rows: Vec<plan::Row>,
    refused: Option<&'a str>,
    planning: String,
    execution: String,
    against: bool,
    decides: bool,
    settings: &'a [(String, String)],
}

#[derive(Debug, Serialize)]
struct MigrationFault<'a> {
    file: &'a str,
    line: usize,
    statement: &'a str,
    error: &'a str,
}

#[derive(Debug, Serialize)]
struct AnswerView<'a> {
    criterion: &'a CriterionView<'a>,
    of: &'a AnswerGrade,
    found: usize,
    missing: usize,
    summary: String,
    parts: Vec<Part<'a>>,
}

/// A stretch of a learner's answer.
#[derive(Debug, PartialEq, Serialize)]
struct Part<'a> {
    text: &'a str,
    /// Whether an idea was found in it.
    found: bool,
}

#[derive(Debug, Serialize)]
struct PhaseView<'a> {
    name: &'a str,
    seconds: String,
    share: String,
}

/// Lays out a report, which is clean already.
#[must_use]
pub fn page(report: &Report) -> serde_json::Value {
    let criteria: Vec<CriterionView<'_>> = report
        .criteria
        .iter()
        .map(|of| criterion(report, of))
        .collect();
    let find = |id: &String| criteria.iter().find(|view| view.of.id == *id);
    let columns = columns(report);
    let total: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let longest = report
        .phases
        .iter()
        .map(|phase| phase.seconds)
        .fold(0.001, f64::max);
    let (outcome, outcome_words) = match report.outcome {
        Outcome::Passed => ("passed", "Passed"),
        Outcome::Failed => ("failed", "Not passed yet"),
        Outcome::Ungraded => ("ungraded", "Not graded"),
    };
    let page = Page {
        report,
        title: shorten(&one_line(&report.title), 120),
        submission: shorten(&one_line(&report.submission), 120),
        started_at: figure::instant(&report.started_at),
        outcome,
        outcome_words,
        graded: report.outcome != Outcome::Ungraded,
        lead: lead(report),
        strip: criteria
            .iter()
            .filter(|view| view.of.points > 0)
            .map(segment)
            .collect(),
        left: report.max_points.saturating_sub(report.points),
        pass_at: percentage(f64::from(report.pass_mark) / f64::from(report.max_points.max(1))),
        missing: report.missing_musts.iter().filter_map(find).collect(),
        next: report.look_next.as_ref().and_then(find),
        unknown: criteria
            .iter()
            .filter(|view| view.of.verdict == Verdict::Ungraded)
            .collect(),
        table: table(&columns),
        load: load(&columns),
        charts: [
            chart::latency(&columns),
            chart::throughput(&columns),
            chart::distribution(&columns),
        ]
        .into_iter()
        .flatten()
        .collect(),
        legend: columns
            .iter()
            .filter(|column| column.measured())
            .map(|column| (column.series, shorten(&one_line(&column.shown.title), 40)))
            .collect(),
        statements: report
            .statements
            .iter()
            .take(MAX_STATEMENTS)
            .map(|of| statement(report, of))
            .collect(),
        more_statements: report
            .statements
            .len()
            .checked_sub(MAX_STATEMENTS)
            .filter(|more| *more > 0)
            .map(|more| {
                format!(
                    "{} in report.json.",
                    figure::plural(more, "more statement is", "more statements are")
                )
            }),
        migrations: report.stages.iter().find_map(migration_fault),
        criteria: &criteria,
        answers: criteria.iter().filter_map(answer).collect(),
        phases: report
            .phases
            .iter()
            .map(|phase| PhaseView {
                name: &phase.name,
                seconds: figure::seconds(phase.seconds),
                share: percentage(phase.seconds / longest),
            })
            .collect(),
        total: figure::seconds(total),
        build_seconds: figure::seconds(report.build.seconds),
        measured: measured(&report.stages),
        footing: footing(&report.environment.footing),
        isolation: isolation(&report.environment.isolation),
        settings: report.environment.settings.iter().collect(),
    };
    // The page borrows from itself; as a value it can leave.
    serde_json::to_value(page).unwrap_or_default()
}

/// What the outcome means, beside the big words and figures.
fn lead(report: &Report) -> String {
    let all = report.criteria.len();
    let met = report
        .criteria
        .iter()
        .filter(|criterion| criterion.verdict == Verdict::Met)
        .count();
    match report.outcome {
        Outcome::Passed if met == all => format!("All {all} criteria are met."),
        Outcome::Passed => {
            format!("{met} of {all} criteria are met. What is left is shown below.")
        }
        Outcome::Failed if report.missing_musts.is_empty() => format!(
            "Passing needs {} points. {met} of {all} criteria are met so far.",
            report.pass_mark
        ),
        Outcome::Failed => format!(
            "Passing needs {} points and every criterion that is marked “needed to pass”. Of \
             those, still open:",
            report.pass_mark
        ),
        Outcome::Ungraded => "This is no grade. A fact that belongs to it could not be \
            established on this machine, so nothing here counts, and no points are lost."
            .to_owned(),
    }
}

fn percentage(share: f64) -> String {
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

fn anchor(id: &str) -> String {
    let safe: String = id
        .chars()
        .take(60)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("c-{safe}")
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::PartlyMet => "partly",
        Verdict::NotMet => "not",
        Verdict::Skipped => "skipped",
        Verdict::Ungraded => "ungraded",
    }
}

fn criterion<'a>(report: &Report, of: &'a CriterionGrade) -> CriterionView<'a> {
    let (sign, word) = sign(of.verdict);
    CriterionView {
        of,
        anchor: anchor(&of.id),
        title: shorten(&one_line(&of.title), 160),
        verdict: verdict(of.verdict),
        sign,
        word,
        points: match of.verdict {
            Verdict::Ungraded => "–".to_owned(),
            _ => of.points.to_string(),
        },
        clocked: of.basis == Some(Basis::Clocked),
        printed: of
            .actual
            .as_ref()
            .is_some_and(|actual| actual.contains('\n')),
        compiler: of.actual.is_some() && of.actual == report.build.errors,
        brief: of
            .reason
            .as_ref()
            .map(|reason| shorten(&one_line(reason), 400)),
        question: of
            .answer
            .as_ref()
            .map(|answer| answer.question.as_str())
            .filter(|question| !question.is_empty()),
    }
}

fn segment(view: &CriterionView<'_>) -> Segment {
    Segment {
        title: format!(
            "{}: {}, {} of {} points",
            view.title, view.word, view.points, view.of.max_points
        ),
        weight: view.of.points,
        verdict: view.verdict,
    }
}

fn table(columns: &[Column<'_>]) -> Option<Table> {
    if !columns.iter().any(Column::measured) {
        return None;
    }
    Some(Table {
        heads: columns
            .iter()
            .map(|column| Head {
                title: shorten(&one_line(&column.shown.title), 60),
                whose: whose(column.shown.server),
                series: column.series,
                problem: column.shown.problem.clone(),
                errors: errors(column.shown),
            })
            .collect(),
        lines: Line::ALL
            .into_iter()
            .map(|line| TableLine {
                heading: line.heading(),
                meaning: line.meaning(),
                cells: columns
                    .iter()
                    .map(|column| Cell {
                        figure: line.figure(column.shown),
                        reference: column.reference.map(|stage| line.figure(stage)),
                    })
                    .collect(),
            })
            .collect(),
    })
}

/// The most frequent kinds of failure first, five at most.
fn errors(stage: &Stage) -> Vec<(String, String)> {
    let mut errors: Vec<(&String, u64)> = stage.errors.iter().map(|(k, n)| (k, *n)).collect();
    errors.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    errors
        .into_iter()
        .take(5)
        .map(|(kind, count)| (shorten(&one_line(kind), 60), figure::count(count)))
        .collect()
}

/// E.g. `100 users at once on GET /feed, each asking again as soon as the answer is there`.
fn load(columns: &[Column<'_>]) -> Option<String> {
    let stage = columns.iter().find(|column| column.measured())?.shown;
    let request = if stage.request.is_empty() {
        String::new()
    } else {
        format!(" on {}", stage.request)
    };
    Some(format!(
        "{} users at once{request}, each asking again as soon as the answer is there",
        stage.users
    ))
}

fn statement<'a>(report: &Report, of: &'a Statement) -> StatementView<'a> {
    let (rows, refused, planning, execution, settings): (_, _, _, _, &[(String, String)]) =
        match &of.seen.plan {
            PlanSeen::Explained(plan) => (
                plan::rows(plan, &of.reads),
                None,
                figure::ms(plan.planning_ms),
                figure::ms(plan.execution_ms),
                &plan.settings,
            ),
            PlanSeen::Refused(message) => (
                Vec::new(),
                Some(message.as_str()),
                String::new(),
                String::new(),
                &[],
            ),
        };
    StatementView {
        of,
        stage: report
            .stages
            .iter()
            .find(|stage| stage.id == of.stage)
            .map_or(&of.stage, |stage| &stage.title)
            .clone(),
        times: match of.seen.times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        },
        parameters: of
            .seen
            .parameters
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let value = value.as_deref().unwrap_or("NULL");
                format!("${} = {}", i + 1, shorten(&one_line(value), 80))
            })
            .collect::<Vec<_>>()
            .join(", "),
        against: rows.iter().any(|row| row.mark == "against"),
        decides: rows.iter().any(|row| !row.mark.is_empty()),
        rows,
        refused,
        planning,
        execution,
        settings,
    }
}

fn migration_fault(stage: &Stage) -> Option<MigrationFault<'_>> {
    match &stage.migrations {
        Migrations::Failed {
            file,
            line,
            statement,
            error,
        } if stage.server == crate::exercise::ServerKind::Submission => Some(MigrationFault {
            file,
            line: *line,
            statement,
            error,
        }),
        _ => None,
    }
}

fn answer<'a>(criterion: &'a CriterionView<'a>) -> Option<AnswerView<'a>> {
    let of = criterion.of.answer.as_ref()?;
    let found = of.ideas.iter().filter(|idea| idea.found).count();
    let quotes: Vec<&str> = of
        .ideas
        .iter()
        .filter(|idea| idea.found)
        .filter_map(|idea| idea.quote.as_deref())
        .collect();
    Some(AnswerView {
        criterion,
        of,
        found,
        missing: of.ideas.len() - found,
        summary: match of.ideas.len() {
            0 => String::new(),
            all => format!("{found} of {} found", figure::plural(all, "idea", "ideas")),
        },
        parts: parts(&of.text, &quotes),
    })
}

/// An answer cut where the quotes lie in it. Quotes that are not in it word for word are left out.
fn parts<'a>(text: &'a str, quotes: &[&str]) -> Vec<Part<'a>> {
    let mut spans: Vec<(usize, usize)> = quotes
        .iter()
        .filter(|quote| !quote.is_empty())
        .filter_map(|quote| text.find(quote).map(|at| (at, at + quote.len())))
        .collect();
    spans.sort_unstable();
    let mut parts = Vec::new();
    let mut done = 0;
    let mut push = |from: usize, to: usize, found: bool| {
        if from < to {
            parts.push(Part {
                text: &text[from..to],
                found,
            });
        }
    };
    for (from, to) in spans {
        push(done, from, false);
        push(from.max(done), to, true);
        done = done.max(to);
    }
    push(done, text.len(), false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_found_in_an_answer_even_when_they_overlap() {
        let parts = parts("one two three", &["two three", "one two", "four"]);
        let told: Vec<(&str, bool)> = parts.iter().map(|part| (part.text, part.found)).collect();
        assert_eq!(told, [("one two", true), (" three", true)]);
    }

    #[test]
    fn an_anchor_is_a_plain_name() {
        assert_eq!(anchor("pool.shared"), "c-pool-shared");
        assert_eq!(anchor("\"><script>"), "c----script-");
    }
}
