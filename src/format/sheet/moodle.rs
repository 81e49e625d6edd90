//! The grading worksheet of a Moodle assignment (“offline grading worksheet”), as it is downloaded.
//!
//! Its headings are in the site's language, so rows are told by their first cell, `Participant 4711`
//! in any language, and the maximum is the column after the grade. The heading of the grade is known
//! in English; `--column` names it in another language. Moodle skips a row that was graded since the
//! download: it compares the last column but one, which stays as it is.

use anyhow::{Context as _, Result, ensure};

use super::cells::Record;
use super::{Layout, Person, Wish, headings, key, number, shown};

pub(super) fn layout(source: &str, records: &[Record], wish: &Wish) -> Result<Layout> {
    let heading = &records[0];
    let texts: Vec<&str> = heading.cells.iter().map(|cell| cell.text.trim()).collect();
    let rows = &records[1..];
    ensure!(
        !rows.is_empty(),
        "{source} names nobody: there is nothing to fill in"
    );
    for record in rows {
        ensure!(
            identifier(&record.cells[0].text).is_some(),
            "{source}:{}: this is no row of Moodle's grading worksheet, which begins with an \
             identifier like “Participant 4711”: download it from the assignment",
            record.line
        );
    }
    let wanted = wish
        .column
        .as_deref()
        .unwrap_or("Grade")
        .trim()
        .to_lowercase();
    let mut columns = (1..texts.len()).filter(|at| texts[*at].to_lowercase() == wanted);
    let column = columns.next().with_context(|| {
        format!(
            "{source} has no column “{}”: name that of the grade with --column, one of {}",
            shown(wish.column.as_deref().unwrap_or("Grade")),
            headings(heading)
        )
    })?;
    ensure!(
        columns.next().is_none(),
        "{source} has two columns “{}”: download the worksheet once more",
        shown(texts[column])
    );
    let maximum = maximum(source, &texts, rows, column)?;
    let people = rows.iter().enumerate();
    let people = people.map(|(at, record)| person(at + 1, record, &texts, column));
    Ok(Layout {
        column,
        maximum,
        people: people.collect(),
    })
}

/// The column after the grade says the maximum, the same in every row.
fn maximum(
    source: &str,
    texts: &[&str],
    rows: &[Record],
    column: usize,
) -> Result<Option<(f64, String)>> {
    let cell = |record: &Record| record.cells.get(column + 1).map(|cell| cell.text.clone());
    let first = rows.first().and_then(cell).unwrap_or_default();
    let points = number(&first).filter(|points| *points > 0.0);
    let is_same = rows
        .iter()
        .all(|record| cell(record).as_deref() == Some(&first));
    let is_named = texts
        .get(column + 1)
        .is_some_and(|text| text.eq_ignore_ascii_case("Maximum Grade"));
    match points {
        Some(points) if is_same => Ok(Some((points, first))),
        _ => {
            ensure!(
                !is_named,
                "{source}: the assignment is not graded with points, so none can be filled in"
            );
            Ok(None)
        }
    }
}

fn person(at: usize, record: &Record, texts: &[&str], column: usize) -> Person {
    let cells = &record.cells;
    let mut person = Person {
        record: at,
        label: shown(cells.get(1).map_or("", |cell| &cell.text)),
        keys: std::collections::BTreeSet::new(),
        name: None,
        locked: None,
    };
    person
        .keys
        .extend(identifier(&cells[0].text).map(folder_key));
    // A worksheet of blind marking has no names: then the second cell is the status.
    let has_name = texts
        .get(1)
        .is_some_and(|text| !text.eq_ignore_ascii_case("Status"));
    if column > 1 && has_name {
        person.name = cells.get(1).map(|cell| cell.text.clone());
    }
    // What else stands before the grade are e-mail addresses, logins, numbers of students.
    let others = cells.iter().take(column).skip(2).zip(texts.iter().skip(2));
    for (cell, heading) in others {
        if !heading.eq_ignore_ascii_case("Status") && !cell.text.trim().is_empty() {
            person.keys.insert(key(&cell.text));
        }
    }
    if person.label.is_empty() || !has_name {
        person.label = shown(&cells[0].text);
    }
    let can_change = texts
        .iter()
        .position(|text| text.eq_ignore_ascii_case("Grade can be changed"));
    let says = can_change.and_then(|at| cells.get(at));
    if says.is_some_and(|cell| cell.text.trim().eq_ignore_ascii_case("No")) {
        person.locked = Some("its grade cannot be changed");
    }
    person
}

/// The number at the end of `Participant 4711`, in any language.
fn identifier(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    let number = cell.trim_start_matches(|c: char| !c.is_ascii_digit());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && number.len() < cell.len()).then_some(number)
}

/// The key of a member whose folder Moodle named: `Ann Example_4711_assignsubmission_file`.
pub(super) fn number_in(folder: &str) -> Option<String> {
    let (before, _) = folder.split_once("_assignsubmission_")?;
    let (_, number) = before.rsplit_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| folder_key(number))
}

/// An identifier is a number like many others, so it is told from a student's number.
fn folder_key(number: &str) -> String {
    format!("participant {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_a_word_and_a_number_in_any_language() {
        assert_eq!(identifier("Participant 4711"), Some("4711"));
        assert_eq!(identifier("Teilnehmer/in4711"), Some("4711"));
        for cell in ["4711", "Participant", "", "Ann 1 B"] {
            assert_eq!(identifier(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_folder_that_moodle_named_tells_whose_it_is() {
        let number = number_in("class/Ann Example_4711_assignsubmission_file/app");
        assert_eq!(number.as_deref(), Some("participant 4711"));
        assert_eq!(number_in("ann_4711"), None);
    }
}
