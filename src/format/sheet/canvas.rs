//! The gradebook of a Canvas course, as it is exported.
//!
//! Columns about the student end with `Section`; then come assignments as `Title (number)`. The
//! row `Points Possible` follows the heading, perhaps after one that says how grades are posted.
//! Canvas finds an assignment by its number and takes an unknown heading for a new assignment, which
//! is why headings are never touched.

use anyhow::{Result, bail, ensure};

use super::cells::Record;
use super::{Layout, Person, Wish, headings, key, number, shown};
use crate::class::Class;

/// Rows before the first student, the heading not counted.
const MOST_ROWS_ABOVE: usize = 3;

pub(super) fn layout(
    source: &str,
    records: &[Record],
    class: &Class,
    wish: &Wish,
) -> Result<Layout> {
    let heading = &records[0];
    let texts: Vec<&str> = heading.cells.iter().map(|cell| cell.text.trim()).collect();
    let section = texts.iter().position(|text| *text == "Section");
    let above = records
        .iter()
        .take(MOST_ROWS_ABOVE + 1)
        .position(|record| record.cells[0].text.contains("Points Possible"));
    let (Some(section), Some(above)) = (section, above) else {
        bail!(
            "{source} is no gradebook of Canvas, which has a column “Section” and a row “Points \
             Possible”: export it under Grades"
        );
    };
    ensure!(
        texts[..section].contains(&"ID"),
        "{source} is no gradebook of Canvas, which has a column “ID”: export it under Grades"
    );
    let possible = &records[above];
    let cell = |record: &Record, at: usize| record.cells.get(at).map(|cell| cell.text.clone());
    let assignments: Vec<usize> = (section + 1..texts.len())
        .filter(|at| title_and_number(texts[*at]).is_some())
        .filter(|at| !cell(possible, *at).is_some_and(|text| text.contains("read only")))
        .collect();
    let column = column(source, heading, &texts, &assignments, class, wish)?;
    let maximum = cell(possible, column).unwrap_or_default();
    let Some(points) = number(&maximum).filter(|points| *points > 0.0) else {
        bail!(
            "{source}: “{}” has no points, so none can be filled in: give the assignment points in \
             Canvas and export the gradebook once more",
            shown(texts[column])
        );
    };
    let people = records.iter().enumerate().skip(above + 1);
    let people = people.map(|(at, record)| person(at, record, &texts[..section], column));
    Ok(Layout {
        column,
        maximum: Some((points, maximum)),
        people: people.collect(),
    })
}

fn person(at: usize, record: &Record, texts: &[&str], column: usize) -> Person {
    let mut person = Person {
        record: at,
        label: shown(&record.cells[0].text),
        keys: std::collections::BTreeSet::new(),
        name: None,
        locked: None,
    };
    for (heading, cell) in texts.iter().zip(&record.cells) {
        match *heading {
            "Student" => person.name = Some(cell.text.clone()),
            "ID" | "SIS User ID" | "SIS Login ID" | "Integration ID"
                if !cell.text.trim().is_empty() =>
            {
                person.keys.insert(key(&cell.text));
            }
            _ => {}
        }
    }
    let score = record.cells.get(column).map(|cell| cell.text.trim());
    if score.is_some_and(|score| score.eq_ignore_ascii_case("EX")) {
        person.locked = Some("excused");
    }
    person
}

/// The column of the assignment: the one that is named, else the one named like the exercise.
fn column(
    source: &str,
    heading: &Record,
    texts: &[&str],
    assignments: &[usize],
    class: &Class,
    wish: &Wish,
) -> Result<usize> {
    let names = |at: usize, wanted: &str| {
        let wanted = wanted.trim().to_lowercase();
        title_and_number(texts[at]).is_some_and(|(title, number)| {
            [texts[at], title, number]
                .iter()
                .any(|text| text.to_lowercase() == wanted)
        })
    };
    let wanted: Vec<&str> = match &wish.column {
        Some(column) => vec![column],
        None => vec![&class.title, &class.exercise],
    };
    let found: Vec<usize> = assignments
        .iter()
        .copied()
        .filter(|at| wanted.iter().any(|wanted| names(*at, wanted)))
        .collect();
    let said = wanted
        .iter()
        .map(|text| format!("“{}”", shown(text)))
        .collect::<Vec<_>>();
    match found.as_slice() {
        [only] => Ok(*only),
        [] if assignments.is_empty() => bail!("{source} has no assignment that can be filled in"),
        [] => bail!(
            "{source} has no assignment {}, so it is another course's, or --column names one of: {}",
            said.join(" or "),
            headings(&Record {
                cells: assignments
                    .iter()
                    .map(|at| heading.cells[*at].clone())
                    .collect(),
                ..heading.clone()
            })
        ),
        several => bail!(
            "{source} has {} assignments {}: name one by its number in parentheses with --column",
            several.len(),
            said.join(" or ")
        ),
    }
}

/// `Pools (4711)` is the assignment `Pools` with the number `4711`.
fn title_and_number(heading: &str) -> Option<(&str, &str)> {
    let (title, number) = heading.strip_suffix(')')?.rsplit_once('(')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (title.trim(), number))
}
