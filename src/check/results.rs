//! The learner's own measurements agree in shape with what was measured here: which run failed,
//! which was slow, which was fast. Never how fast: another machine may be five times slower.

use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::quantity::{self, Unit};
use super::answer::stem::stem;
use super::{Context, Finding, Judgement};
use crate::answers::{self, ResultsTable};
use crate::evidence::{Evidence, Load, Migrations, ServerRun};
use crate::exercise::{Exercise, ServerKind};
use crate::grade::Spot;
use crate::submission::AnswersFile;
use crate::yaml::Located;

/// `results: {failed: baseline, slow: pooling, fast: index}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The stage whose column shows failing requests.
    pub failed: Located<String>,
    /// The stage whose column shows success and long waits.
    pub slow: Located<String>,
    /// The stage whose column shows success and short waits.
    pub fast: Located<String>,
}

/// Success below this is a run that failed, in percent.
const FAILED_BELOW: f64 = 90.0;
/// Success from this on is a run that worked.
const WORKED_FROM: f64 = 95.0;
/// A slow run takes so many times as long as a fast one.
const CLEARLY: f64 = 3.0;
/// Machines differ by so much.
const MACHINES: f64 = 5.0;

/// One column of the table, as far as it is filled in and can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Column {
    success: Option<f64>,
    failed: Option<f64>,
    average: Option<f64>,
    p99: Option<f64>,
    per_second: Option<f64>,
}

impl Column {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether requests succeeded; `None` when that cannot be told.
    fn worked(&self) -> Option<bool> {
        match (self.success, self.failed) {
            (Some(success), _) if success < FAILED_BELOW => Some(false),
            (Some(success), _) if success >= WORKED_FROM => Some(true),
            (None, Some(failed)) => Some(failed < 50.0),
            (Some(_) | None, _) => None,
        }
    }

    fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(success) = self.success {
            parts.push(format!("{} % success", short(success)));
        } else if let Some(failed) = self.failed {
            parts.push(format!("{} failed", short(failed)));
        }
        if let Some(latency) = self.p99.or(self.average) {
            parts.push(format!("{} ms", short(latency)));
        } else if let Some(rate) = self.per_second {
            parts.push(format!("{} requests/s", short(rate)));
        }
        if parts.is_empty() {
            "nothing".into()
        } else {
            parts.join(", ")
        }
    }
}

fn short(value: f64) -> String {
    let text = if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

impl Results {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let stages = [&self.failed, &self.slow, &self.fast];
        let titles = stages.map(|stage| {
            context
                .exercise
                .stage(stage)
                .map_or_else(|| stage.value.clone(), |stage| stage.title.clone())
        });
        let expected = format!(
            "your own numbers in “{}”, “{}” and “{}”, alike in shape to what was measured here",
            titles[0], titles[1], titles[2]
        );
        let table = match &evidence.answers {
            AnswersFile::Text { text, .. } => {
                answers::parse(text, &context.material.template).results
            }
            AnswersFile::Missing => {
                return Finding::not_met(expected, None, "There is no ANSWERS.md.");
            }
            AnswersFile::TooLarge { .. } => {
                return Finding::not_met(expected, None, "ANSWERS.md is too large to be read.");
            }
        };
        let Some(table) = table else {
            let reason = "ANSWERS.md has no table under the heading `Results`.";
            return Finding::not_met(expected, None, reason);
        };
        let at = Some(Spot::in_answers(table.line));
        let columns = columns(&table, &titles);
        let measured = self.measured(context.exercise, evidence);
        judge_columns(expected, &titles, columns, measured).at(at)
    }

    /// The same three runs as they were measured here, where they were.
    fn measured(&self, exercise: &Exercise, evidence: &Evidence) -> [Option<Column>; 3] {
        // A server that migrates itself has its index in every stage here, and had none when its
        // learner measured: then the reference stands for it.
        let migrates_itself = evidence
            .stages
            .iter()
            .any(|run| run.migrations == Migrations::ByServer);
        [&self.failed, &self.slow, &self.fast].map(|stage| {
            let spec = exercise.stage(stage)?;
            let stands_in = migrates_itself && !spec.migrations;
            // The learner's server where it ran, the starter in the stage that shows the fault.
            let load = evidence
                .stages
                .iter()
                .filter(|run| run.stage == **stage && spec.servers.contains(&run.server))
                .filter(|run| !(stands_in && run.server == ServerKind::Submission))
                .max_by_key(|run| run.server)
                .and_then(|run| match &run.run {
                    ServerRun::Ran { seen, .. } => seen.load.seen(),
                    ServerRun::NotReady { .. } => None,
                })?;
            Some(column_of(load))
        })
    }
}

fn column_of(load: &Load) -> Column {
    Column {
        success: Some(load.success_rate * 100.0),
        failed: None,
        average: Some(load.latency_ms.mean),
        p99: Some(load.latency_ms.p99),
        per_second: Some(load.requests_per_second),
    }
}

/// How many times as long `slow` takes as `fast`, by whatever both tell.
fn times_slower(slow: &Column, fast: &Column) -> Option<f64> {
    let ratio = |slow: Option<f64>, fast: Option<f64>| match (slow, fast) {
        (Some(slow), Some(fast)) if slow > 0.0 && fast > 0.0 => Some(slow / fast),
        _ => None,
    };
    ratio(slow.p99, fast.p99)
        .or_else(|| ratio(slow.average, fast.average))
        .or_else(|| ratio(fast.per_second, slow.per_second))
}

fn judge_columns(
    expected: String,
    titles: &[String; 3],
    columns: [Column; 3],
    measured: [Option<Column>; 3],
) -> Finding {
    if columns.iter().all(Column::is_empty) {
        return Finding::not_met(
            expected,
            Some("no numbers".into()),
            "The Results table is not filled in.",
        );
    }
    let described: Vec<String> = titles
        .iter()
        .zip(&columns)
        .map(|(title, column)| format!("{title}: {}", column.describe()))
        .collect();
    let actual = described.join("; ");
    let faults = [
        success_fault(titles, &columns, &measured),
        speed_fault(titles, &columns, &measured),
    ];
    let mut missing = Vec::new();
    for fault in faults {
        match fault {
            None => {}
            Some(Fault::Wrong(reason)) => return Finding::not_met(expected, Some(actual), reason),
            Some(Fault::Missing(what)) => missing.push(what),
        }
    }
    if missing.is_empty() {
        return Finding::met(expected, actual);
    }
    let mut finding = Finding::met(expected, actual);
    finding.judgement = Judgement::PartlyMet {
        share: 0.5,
        reason: format!(
            "What is filled in fits, but something is missing: {}.",
            missing.join(" and ")
        ),
    };
    finding
}

enum Fault {
    Wrong(String),
    Missing(String),
}

fn success_fault(
    titles: &[String; 3],
    columns: &[Column; 3],
    measured: &[Option<Column>; 3],
) -> Option<Fault> {
    let mut missing = None;
    for (index, (title, column)) in titles.iter().zip(columns).enumerate() {
        let wanted = match measured[index] {
            Some(measured) => measured.worked(),
            None => Some(index > 0),
        };
        let told = column.worked();
        if column.success.is_none() && column.failed.is_none() {
            missing = Some(Fault::Missing(format!(
                "how many requests succeeded in “{title}”"
            )));
        } else if let (Some(wanted), Some(told)) = (wanted, told)
            && wanted != told
        {
            let (here, there) = if wanted {
                ("nearly all requests succeed", "many fail")
            } else {
                ("most requests fail", "nearly all succeed")
            };
            return Some(Fault::Wrong(format!(
                "In “{title}” {here} here; in your table {there}. Is it in the right column?"
            )));
        }
    }
    missing
}

fn speed_fault(
    titles: &[String; 3],
    columns: &[Column; 3],
    measured: &[Option<Column>; 3],
) -> Option<Fault> {
    let [_, slow, fast] = columns;
    let Some(told) = times_slower(slow, fast) else {
        return Some(Fault::Missing(format!(
            "the latency in “{}” and “{}”",
            titles[1], titles[2]
        )));
    };
    let here = match measured {
        [_, Some(slow), Some(fast)] => times_slower(slow, fast),
        _ => None,
    };
    let fits = match here {
        Some(here) if here < CLEARLY => told <= here * MACHINES && told >= here / MACHINES,
        Some(here) => told >= (here / MACHINES).clamp(1.5, CLEARLY),
        None => told >= CLEARLY,
    };
    if fits {
        return None;
    }
    let reason = if told < 1.0 {
        format!(
            "In your table “{}” is slower than “{}”. Are the columns swapped?",
            titles[2], titles[1]
        )
    } else if here.is_some_and(|here| here < CLEARLY) {
        format!(
            "In your table “{}” is much faster than “{}”; here the two took about the same time.",
            titles[2], titles[1]
        )
    } else {
        format!(
            "In your table “{}” and “{}” take about the same time; here the first was much slower.",
            titles[1], titles[2]
        )
    };
    Some(Fault::Wrong(reason))
}

/// What a row of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Success,
    Failed,
    Average,
    P99,
    PerSecond,
}

fn metric(label: &str) -> Option<Metric> {
    let label = label.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
    Some(if has(&["success", "succeeded", "ok rate"]) {
        Metric::Success
    } else if has(&["fail", "error"]) {
        Metric::Failed
    } else if has(&["99"]) {
        Metric::P99
    } else if has(&["average", "mean", "avg"]) {
        Metric::Average
    } else if has(&["per second", "/s", "rps", "throughput", "per sec"]) {
        Metric::PerSecond
    } else {
        return None;
    })
}

/// The three columns, found by the stages' titles in the header, else by their order.
fn columns(table: &ResultsTable, titles: &[String; 3]) -> [Column; 3] {
    let upright = &table.rows;
    let width = upright.iter().map(Vec::len).max().unwrap_or(0);
    // Some learners turn the table: one row a run.
    let lying = upright
        .first()
        .is_some_and(|header| header.iter().filter(|cell| metric(cell).is_some()).count() >= 2);
    let turned: Vec<Vec<String>>;
    let rows = if lying {
        turned = (0..width)
            .map(|at| {
                upright
                    .iter()
                    .map(|row| row.get(at).cloned().unwrap_or_default())
                    .collect()
            })
            .collect();
        &turned
    } else {
        upright
    };
    let places = rows
        .iter()
        .find_map(|row| header_places(row, titles))
        .unwrap_or([1, 2, 3]);
    let mut columns = [Column::default(); 3];
    for row in rows {
        let Some(metric) = row.first().and_then(|label| metric(label)) else {
            continue;
        };
        let cells = places.map(|place| row.get(place).map_or("", String::as_str));
        let values = values(metric, row.first().map_or("", String::as_str), cells);
        for (column, value) in columns.iter_mut().zip(values) {
            let field = match metric {
                Metric::Success => &mut column.success,
                Metric::Failed => &mut column.failed,
                Metric::Average => &mut column.average,
                Metric::P99 => &mut column.p99,
                Metric::PerSecond => &mut column.per_second,
            };
            *field = field.or(value);
        }
    }
    columns
}

fn header_places(row: &[String], titles: &[String; 3]) -> Option<[usize; 3]> {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .map(|word| stem(&word.to_lowercase()))
            .filter(|word| !word.is_empty() && word != "after")
            .collect()
    };
    let place = |title: &String| {
        let wanted = words(title);
        row.iter()
            .position(|cell| words(cell).iter().any(|word| wanted.contains(word)))
    };
    let places = titles.each_ref().map(place);
    match places {
        [Some(failed), Some(slow), Some(fast)]
            if failed != slow && slow != fast && failed != fast =>
        {
            Some([failed, slow, fast])
        }
        _ => None,
    }
}

/// The numbers of a row: percent, counts, ms, or requests a second.
fn values(metric: Metric, label: &str, cells: [&str; 3]) -> [Option<f64>; 3] {
    let found = cells.map(number);
    let in_seconds = label.to_lowercase().contains("(s)") || label.contains("sec)");
    // 0.06, 1, 1 are shares; 6, 100, 100 are percent.
    let shares = metric == Metric::Success
        && found
            .iter()
            .flatten()
            .all(|(value, unit)| *value <= 1.0 && *unit == Unit::None);
    found.map(|found| {
        let (value, unit) = found?;
        let value = match metric {
            Metric::Success if shares => value * 100.0,
            Metric::Average | Metric::P99 if unit == Unit::None && in_seconds => value * 1_000.0,
            Metric::PerSecond if unit == Unit::Millis => value / 1_000.0,
            _ => value,
        };
        let possible = value >= 0.0 && (metric != Metric::Success || value <= 100.5);
        possible.then_some(value)
    })
}

/// The first number of a cell, with its unit: `~0,5 s`, `1.2k`, `12 %`, `18,090 of 19,200`.
fn number(cell: &str) -> Option<(f64, Unit)> {
    let tokens = super::answer::reader::read(cell);
    let found = tokens.tokens.iter().find_map(|token| token.quantity);
    if let Some(found) = found {
        return Some((found.value, found.unit));
    }
    let word = tokens.tokens.first()?.word.clone();
    match word.as_str() {
        "none" | "no" | "zero" => Some((0.0, Unit::None)),
        "one" => Some((1.0, Unit::None)),
        _ => quantity::parse(&word).map(|found| (found.value, found.unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: [&str; 3] = ["Broken", "After pooling", "After index"];

    fn judge(table: &str, measured: [Option<Column>; 3]) -> Judgement {
        let titles = TITLES.map(str::to_owned);
        let parsed = answers::parse(&format!("## Results\n\n{table}\n"), "")
            .results
            .unwrap();
        judge_columns(String::new(), &titles, columns(&parsed, &titles), measured).judgement
    }

    fn measured(success: f64, p99: f64) -> Column {
        Column {
            success: Some(success),
            p99: Some(p99),
            ..Column::default()
        }
    }

    fn here() -> [Option<Column>; 3] {
        [
            measured(5.0, 291.0),
            measured(100.0, 745.0),
            measured(100.0, 23.0),
        ]
        .map(Some)
    }

    const HEADER: &str = "| | Broken | After pooling | After index |\n|---|---|---|---|\n";

    #[test]
    fn numbers_as_people_type_them_are_met() {
        for rows in [
            "| Success rate | 5.8 % | 100 % | 100 % |\n| p99 latency | 291 ms | 745 ms | 23 ms |",
            "| Success rate | 0.05 | 1 | 1 |\n| p99 latency | 0,3s | 0,7 s | 0,02s |",
            "| success | ~6 | 99.9 | 100 |\n| avg latency (s) | .1 | 0.5 | 0.1 |",
            "| Failed requests | 18,090 of 19,200 | 0 | none |\n| req/s | 640 | 1.2k | 7.2k |",
            "| Success rate | 12% | 100% | 100% |\n| p99 | 300 | 3.7 s | 115 ms |",
            "| Success rate | 45 | 100 | 100 |\n| Average latency | 1 | 2000 | 300 |",
        ] {
            assert_eq!(
                judge(&format!("{HEADER}{rows}"), here()),
                Judgement::Met,
                "{rows}"
            );
            let unknown = [None, None, None];
            assert_eq!(
                judge(&format!("{HEADER}{rows}"), unknown),
                Judgement::Met,
                "{rows}"
            );
        }
    }

    #[test]
    fn columns_are_found_by_their_titles_also_turned() {
        for table in [
            "| | After index | Broken | Pooling |\n|-|-|-|-|\n| Success | 100 | 5 | 100 |\n| p99 | 20 | 300 | 700 |",
            "| Run | Success rate | p99 latency |\n|-|-|-|\n| Broken (step 2) | 5% | 300ms |\n| After fix 1 (pooling) | 100% | 700ms |\n| After fix 2 (index) | 100% | 20ms |",
        ] {
            assert_eq!(judge(table, here()), Judgement::Met, "{table}");
        }
    }

    #[test]
    fn swapped_columns_and_empty_tables_are_not_met() {
        for (rows, why) in [
            (
                "| Success rate | 5 | 100 | 100 |\n| p99 latency | 300 | 23 | 745 |",
                "swapped",
            ),
            (
                "| Success rate | 100 | 5 | 100 |\n| p99 latency | 300 | 745 | 23 |",
                "right column",
            ),
            (
                "| Success rate | 5 | 100 | 100 |\n| p99 latency | 300 | 25 | 23 |",
                "same time",
            ),
            (
                "| Success rate | | | |\n| p99 latency | | - | ? |",
                "not filled in",
            ),
        ] {
            match judge(&format!("{HEADER}{rows}"), here()) {
                Judgement::NotMet { reason } => assert!(reason.contains(why), "{reason}"),
                other => panic!("{rows}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_table_with_holes_is_partly_met() {
        for rows in [
            "| Success rate | 5 | 100 | 100 |",
            "| p99 latency | 300 | 700 | 20 |",
            "| Success rate | 5 | | 100 |\n| p99 latency | 300 | 700 | 20 |",
        ] {
            let judgement = judge(&format!("{HEADER}{rows}"), here());
            assert!(
                matches!(judgement, Judgement::PartlyMet { .. }),
                "{rows}: {judgement:?}"
            );
        }
    }

    #[test]
    fn who_has_no_index_and_says_so_agrees_with_what_was_measured() {
        let rows = "| Success rate | 5 | 100 | 100 |\n| p99 latency | 300 | 700 | 690 |";
        let slow = [
            measured(5.0, 291.0),
            measured(100.0, 745.0),
            measured(100.0, 760.0),
        ]
        .map(Some);
        assert_eq!(judge(&format!("{HEADER}{rows}"), slow), Judgement::Met);
    }
}
