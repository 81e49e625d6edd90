//! Sheets: a class's points in the sheet that an instructor exported from Canvas or Moodle.
//!
//! Pure. A sheet is filled in and never made: the program that reads it back finds learners and
//! assignments by what it wrote itself. So every byte stays as it was, but for the points of rows
//! that are there already. Whoever has no grade gets none: their cell keeps what it holds.
//!
//! Points are all that is written, so nothing that a learner chose gets into a sheet.

pub mod cells;
pub mod canvas;
pub mod moodle;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};

use super::escape::{clean, one_line, shorten};
use crate::class::{Class, Row, Standing};

use cells::{Cell, Record};

/// Whose sheet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The gradebook of a Canvas course.
    Canvas,
    /// The grading worksheet of a Moodle assignment.
    Moodle,
}

/// What the instructor wants.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The column of the points: its heading, or for Canvas the title or number in it.
    pub column: Option<String>,
    /// Points are converted where the sheet has another maximum.
    pub scale: bool,
    /// Fills in what is there, also when most of the class is not in the sheet.
    pub partial: bool,
}

/// A sheet that is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The whole sheet.
    pub text: String,
    /// Members whose points stand in it now.
    pub members: usize,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

/// What a sheet of either kind comes down to.
#[derive(Debug)]
struct Layout {
    /// The column of the points, from 0.
    column: usize,
    /// The maximum that the sheet says, and as it is written there.
    maximum: Option<(f64, String)>,
    people: Vec<Person>,
}

/// A row of the sheet.
#[derive(Debug)]
struct Person {
    /// Which of the sheet's records.
    record: usize,
    label: String,
    /// What tells it from all others: a number, a login, an e-mail address.
    keys: BTreeSet<String>,
    /// What may be another's, too.
    name: Option<String>,
    /// Why the points cannot be changed.
    locked: Option<&'static str>,
}

/// Fills in the sheet `source`, whose bytes are `sheet`.
///
/// # Errors
/// When it is no such sheet, or one of another course or assignment.
pub fn fill(kind: Kind, source: &str, sheet: &[u8], class: &Class, wish: &Wish) -> Result<Filled> {
    let Ok(text) = std::str::from_utf8(sheet) else {
        bail!(
            "{source} is not UTF-8: export it once more, and do not save it with another program"
        );
    };
    let records = cells::scan(source, text)?;
    let layout = match kind {
        Kind::Canvas => canvas::layout(source, &records, class, wish)?,
        Kind::Moodle => moodle::layout(source, &records, wish)?,
    };
    let factor = factor(source, &layout, class, wish)?;
    let found = found(&layout.people, &class.rows);
    belongs(source, &found, class, wish)?;

    let mut edits = Vec::new();
    let mut members = 0;
    let mut changed = Vec::new();
    let mut locked = Vec::new();
    for (row, person) in &found.pairs {
        let Some(points) = row.points.filter(|_| row.standing.is_graded()) else {
            continue;
        };
        if let Some(why) = person.locked {
            locked.push(format!("{} ({why})", person.label));
            continue;
        }
        let record = &records[person.record];
        let Some(cell) = record.cells.get(layout.column) else {
            bail!(
                "{source}:{}: the row ends before the column of the points: export the sheet once \
                 more",
                record.line
            );
        };
        let score = (f64::from(points) * factor * 100.0).round() / 100.0;
        members += 1;
        match number(&cell.text) {
            Some(before) if (before - score).abs() < 0.005 => continue,
            Some(before) => changed.push(format!("{} {before} → {score}", person.label)),
            None => {}
        }
        edits.push((cell, written(score, cell, &layout, &records)));
    }
    let mut notes = notes(class, &found, &changed, &locked);
    let formulas = records
        .iter()
        .flat_map(|record| &record.cells)
        .filter(|cell| cell.is_formula())
        .count();
    if formulas > 0 {
        notes.push(format!(
            "{formulas} cells of the sheet begin like a formula and stand as they were exported: \
             upload it without opening it in a spreadsheet"
        ));
    }
    Ok(Filled {
        text: cells::replaced(text, edits),
        members,
        notes,
    })
}

/// Everybody of whom something is to be said.
fn notes(class: &Class, found: &Found<'_>, changed: &[String], locked: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: &str, of: &[String]| {
        if !of.is_empty() {
            notes.push(format!("{what}: {}", of.join(", ")));
        }
    };
    note("other points than the sheet had", changed);
    note("left as they were, because the sheet says so", locked);
    note("told by their names alone", &found.by_name);
    let of = |standing| {
        let rows = class
            .rows
            .iter()
            .filter(move |row| row.standing == standing);
        rows.map(label).collect::<Vec<_>>()
    };
    note(
        "without a grade, and left as they were (this is no zero)",
        &of(Standing::Ungraded),
    );
    note(
        "handed in nothing, and left as they were",
        &of(Standing::Missing),
    );
    note("not graded so far", &of(Standing::Waiting));
    note("in the class, and not in the sheet", &found.unknown);
    note(
        "not filled in, because it is not clear which row is whose",
        &found.unclear,
    );
    note("in the sheet, and not in the class", &found.absent);
    let review: Vec<String> = class
        .rows
        .iter()
        .filter(|row| row.standing.is_graded() && row.needs_review())
        .map(label)
        .collect();
    note("filled in, with answers that a person should read", &review);
    if let Some(shard) = class.shard {
        notes.push(format!(
            "these results are shard {shard} and no whole class"
        ));
    }
    notes
}

/// What points are multiplied with.
fn factor(source: &str, layout: &Layout, class: &Class, wish: &Wish) -> Result<f64> {
    let ours = f64::from(class.max_points);
    match &layout.maximum {
        None => Ok(1.0),
        Some((theirs, _)) if (theirs - ours).abs() < 0.005 => Ok(1.0),
        Some((theirs, _)) if wish.scale && *theirs > 0.0 => Ok(theirs / ours),
        Some((theirs, _)) => bail!(
            "{source} is about an assignment of {theirs} points, and {} has {ours}: name the right \
             sheet or column, or convert the points with --scale",
            class.exercise
        ),
    }
}

/// The number as the sheet writes its own: quoted where it was or must be, with its decimal mark.
fn written(score: f64, cell: &Cell, layout: &Layout, records: &[Record]) -> String {
    let mut number = format!("{score}");
    let comma = match &layout.maximum {
        Some((_, text)) => text.contains(','),
        None => false,
    };
    if comma {
        number = number.replace('.', ",");
    }
    let is_parted_by_commas = records
        .first()
        .is_some_and(|record| record.delimiter == b',');
    if cell.is_quoted || (is_parted_by_commas && number.contains(',')) {
        number = format!("\"{number}\"");
    }
    number
}

/// Points as people and programs write them: `85`, `85.00`, `85,5`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().replace(',', ".");
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Which row is whose.
#[derive(Debug, Default)]
struct Found<'a> {
    pairs: Vec<(&'a Row, &'a Person)>,
    by_name: Vec<String>,
    /// Members that are nowhere.
    unknown: Vec<String>,
    /// Members or rows that could be several.
    unclear: Vec<String>,
    /// Rows that are nobody's.
    absent: Vec<String>,
}

/// Finds everybody's row: by what is theirs alone, and only then by name. Nobody gets a row that
/// could be another's.
fn found<'a>(people: &'a [Person], rows: &'a [Row]) -> Found<'a> {
    let mut found = Found::default();
    // By the place of the member, the places of the rows that it could have.
    let mut theirs: Vec<BTreeSet<usize>> = Vec::new();
    for row in rows {
        let keys = keys(row);
        let places = people.iter().enumerate();
        let places = places.filter(|(_, person)| !person.keys.is_disjoint(&keys));
        theirs.push(places.map(|(place, _)| place).collect());
    }
    let taken: BTreeSet<usize> = theirs.iter().flatten().copied().collect();
    let mut names: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (place, person) in people.iter().enumerate() {
        if let Some(name) = person.name.as_deref().map(plain_name) {
            names.entry(name).or_default().insert(place);
        }
    }
    let mut is_by_name = BTreeSet::new();
    for (member, row) in rows.iter().enumerate() {
        if !theirs[member].is_empty() {
            continue;
        }
        let name = row.name.as_deref().map(plain_name);
        if let Some(places) = name.and_then(|name| names.get(&name)) {
            // A namesake whose row is known to be another member's is out of the question.
            theirs[member] = places.difference(&taken).copied().collect();
            is_by_name.insert(member);
        }
    }
    let mut wanted: BTreeMap<usize, usize> = BTreeMap::new();
    for place in theirs.iter().flatten() {
        *wanted.entry(*place).or_default() += 1;
    }
    for (member, row) in rows.iter().enumerate() {
        let places: Vec<usize> = theirs[member].iter().copied().collect();
        match places.as_slice() {
            [] => found.unknown.push(label(row)),
            [place] if wanted[place] == 1 => {
                found.pairs.push((row, &people[*place]));
                if is_by_name.contains(&member) {
                    found.by_name.push(label(row));
                }
            }
            _ => found.unclear.push(label(row)),
        }
    }
    found.absent = people
        .iter()
        .enumerate()
        .filter(|(place, _)| !wanted.contains_key(place))
        .map(|(_, person)| person.label.clone())
        .collect();
    found
}

/// A sheet in which hardly anybody of the class is found is another course's.
fn belongs(source: &str, found: &Found<'_>, class: &Class, wish: &Wish) -> Result<()> {
    let (here, all) = (found.pairs.len() + found.unclear.len(), class.rows.len());
    ensure!(
        all > 0,
        "the results name nobody: there is nothing to fill in"
    );
    if here == 0 {
        bail!(
            "{source} holds nobody of this class of {all}, so it is of another course: rows are \
             found by id, login, e-mail address or name, which a --roster gives"
        );
    }
    ensure!(
        wish.partial || here * 2 >= all,
        "{source} holds {here} of the {all} in this class, so it may be of another course: fill in \
         those with --partial when it is not"
    );
    Ok(())
}

/// What tells a member from all others.
fn keys(row: &Row) -> BTreeSet<String> {
    let folder = [&row.id, &row.source];
    let number = folder.into_iter().find_map(|name| moodle::number_in(name));
    let texts = [Some(&row.id), row.email.as_ref()];
    let keys = texts.into_iter().flatten().map(|text| key(text));
    keys.chain(number).filter(|key| !key.is_empty()).collect()
}

/// Logins and e-mail addresses are compared without regard to case.
fn key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A name in one form: `Example, Ann` and `ann  example` are the same.
fn plain_name(name: &str) -> String {
    // Canvas itself guards a name that begins like a formula.
    let name = name.strip_prefix('\'').unwrap_or(name);
    let name = match name.split_once(',') {
        Some((last, first)) if !first.trim().is_empty() => format!("{first} {last}"),
        _ => name.to_owned(),
    };
    one_line(&name).to_lowercase()
}

fn label(row: &Row) -> String {
    shown(row.label())
}

/// A cell for a person at a terminal.
fn shown(text: &str) -> String {
    shorten(&one_line(&clean(text)), 60)
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    match names.len().checked_sub(MOST) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

/// The headings of a sheet, for an error.
fn headings(record: &Record) -> String {
    let cells = record.cells.iter().map(|cell| shown(&cell.text));
    listed(&cells.map(|cell| format!("“{cell}”")).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_either_order() {
        for name in [
            "Ann Example",
            "Example, Ann",
            " example ,  ANN ",
            "'Ann Example",
        ] {
            assert_eq!(plain_name(name), "ann example", "{name}");
        }
        assert_eq!(plain_name("Plato,"), "plato,");
    }

    #[test]
    fn points_are_read_with_either_decimal_mark() {
        assert_eq!(number(" 85,50 "), Some(85.5));
        assert_eq!(number("85.00"), Some(85.0));
        for text in ["", "-", "EX", "1.234,5", "NaN", "inf"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
