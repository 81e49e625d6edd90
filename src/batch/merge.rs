//! Merging: the parts of a class that several machines graded, as one.
//!
//! Parts may come in any order. What is there twice, and what is nowhere, is found before anything
//! is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::journal::{self, Journal, Opened, Record};
use crate::class::{Row, RunTimes, Standing};
use crate::out_dir;

/// What a member's folder holds.
const FILES: [&str; 4] = ["evidence.json", "report.json", "report.html", "review.yaml"];
/// Names that an error tells; of a whole class they would fill the screen.
const MOST_NAMES: usize = 10;

/// One results folder.
#[derive(Debug, Clone)]
pub struct Part {
    /// The folder.
    pub folder: PathBuf,
    /// What its journal says.
    pub record: Record,
}

/// Reads the journal of a results folder.
///
/// # Errors
/// When it is none.
pub fn part(folder: &Path) -> Result<Part> {
    let record = journal::read(folder)?.with_context(|| {
        format!(
            "{} holds no results of a batch: name a folder that `feedgrade batch` wrote",
            folder.display()
        )
    })?;
    Ok(Part {
        folder: folder.to_owned(),
        record,
    })
}

/// The parts as one class, each member with the part that holds its results. Without `partial`,
/// every member of the class must be there.
///
/// # Errors
/// When parts do not belong together, a member is there twice, or one is missing.
pub fn join(parts: &[Part], partial: bool) -> Result<(Record, BTreeMap<String, PathBuf>)> {
    let Some(first) = parts.first() else {
        bail!("there is nothing to merge");
    };
    let mut shards = BTreeMap::new();
    for part in parts {
        let (opened, wanted) = (&part.record.opened, &first.record.opened);
        let names = || format!("{} and {}", first.folder.display(), part.folder.display());
        ensure!(
            opened.exercise == wanted.exercise,
            "{} are about two exercises, `{}` and `{}`",
            names(),
            wanted.exercise,
            opened.exercise
        );
        match (opened.shard, wanted.shard) {
            (None, None) => {}
            (Some(shard), Some(other)) if shard.of == other.of => {
                ensure!(
                    opened.roll == wanted.roll,
                    "{} are shards of different classes: grade the same folder on every machine",
                    names()
                );
                if let Some(twice) = shards.insert(shard.number, &part.folder) {
                    bail!(
                        "shard {shard} is there twice, in {} and in {}",
                        twice.display(),
                        part.folder.display()
                    );
                }
            }
            _ => bail!("{} are parts of different divisions of a class", names()),
        }
    }
    if let (Some(shard), false) = (first.record.opened.shard, partial) {
        let gaps: Vec<String> = (1..=shard.of)
            .filter(|number| !shards.contains_key(number))
            .map(|number| format!("{number}/{}", shard.of))
            .collect();
        ensure!(
            gaps.is_empty(),
            "there is no shard {}: name its folder, too, or merge what is there with --partial",
            gaps.join(", ")
        );
    }
    rows(parts, partial)
}

fn rows(parts: &[Part], partial: bool) -> Result<(Record, BTreeMap<String, PathBuf>)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut from: BTreeMap<String, (PathBuf, Rank)> = BTreeMap::new();
    let mut roll: BTreeSet<String> = BTreeSet::new();
    for part in parts {
        roll.extend(part.record.opened.roll.iter().cloned());
        for (folder, row) in &part.record.rows {
            if row.standing == Standing::Waiting {
                continue;
            }
            let rank = rank(&part.record.opened, row);
            match from.get(folder) {
                Some((other, other_rank)) if *other_rank == rank => bail!(
                    "{:?} has results in {} and in {}: leave one of them out",
                    row.id,
                    other.display(),
                    part.folder.display()
                ),
                Some((_, other_rank)) if *other_rank > rank => {}
                _ => {
                    from.insert(folder.clone(), (part.folder.clone(), rank));
                    rows.insert(folder.clone(), row.clone());
                }
            }
        }
    }
    let gaps: Vec<&String> = roll
        .iter()
        .filter(|name| !rows.contains_key(*name))
        .collect();
    ensure!(
        partial || gaps.is_empty(),
        "{} of {} members have no result: {}. Let their batch come to its end, or merge what is \
         there with --partial",
        gaps.len(),
        roll.len(),
        named(&gaps)
    );
    let waiting: Vec<Row> = gaps
        .into_iter()
        .map(|name| Row::without_grade(name, name, Standing::Waiting, "No part has a result."))
        .collect();
    rows.extend(waiting.into_iter().map(|row| (row.folder.clone(), row)));
    roll.extend(rows.keys().cloned());
    let times = parts
        .iter()
        .filter_map(|part| part.record.times)
        .reduce(|a, b| RunTimes {
            graded: a.graded + b.graded,
            wall: a.wall + b.wall,
            building: a.building + b.building,
            loading: a.loading + b.loading,
            preparing: a.preparing + b.preparing,
            waiting: a.waiting + b.waiting,
        });
    let record = Record {
        opened: Opened {
            shard: None,
            roll: roll.into_iter().collect(),
            again: false,
            ..parts[0].record.opened.clone()
        },
        rows,
        times,
        again: BTreeSet::new(),
        lost: 0,
    };
    let from = from.into_iter();
    Ok((record, from.map(|(name, (part, _))| (name, part)).collect()))
}

/// Which of two parts' results counts, where members who came later moved one of them to another
/// shard: the one with a grade, then the one of the shard where they belong now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_graded: bool,
    belongs: bool,
}

fn rank(opened: &Opened, row: &Row) -> Rank {
    let place = opened.roll.iter().position(|name| *name == row.folder);
    let belongs = match (opened.shard, place) {
        (Some(shard), Some(place)) => shard.holds(place),
        _ => true,
    };
    Rank {
        // Only between shards: two whole classes are never to be mixed.
        is_graded: opened.shard.is_none() || row.standing.is_graded(),
        belongs,
    }
}

fn named(names: &[&String]) -> String {
    let shown: Vec<&str> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| name.as_str())
        .collect();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Copies the results of every member to `out`, and writes its journal last: without it, nothing
/// there counts.
///
/// # Errors
/// When `out` holds results already, or something cannot be copied.
pub fn copy(record: &Record, from: &BTreeMap<String, PathBuf>, out: &Path) -> Result<()> {
    ensure!(
        !journal::is_there(out),
        "{} holds results of a batch already: choose another --out",
        out.display()
    );
    for (name, part) in from {
        let to = out.join(name);
        for file in FILES {
            let path = part.join(name).join(file);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("read {}", path.display()));
                }
            };
            fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
            out_dir::write(&to.join(file), &text)?;
        }
    }
    let (journal, _) = Journal::open(out, &record.opened.exercise)?;
    journal.replace(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Shard;

    fn part(folder: &str, number: usize, rows: &[&str]) -> Part {
        let row = |name: &&str| {
            let row = Row::without_grade(name, name, Standing::Failed, "");
            ((*name).to_owned(), row)
        };
        Part {
            folder: folder.into(),
            record: Record {
                opened: Opened {
                    version: 1,
                    exercise: "tiny".into(),
                    shard: Some(Shard { number, of: 2 }),
                    roll: vec!["ann".into(), "ben".into(), "cid".into()],
                    again: false,
                },
                rows: rows.iter().map(row).collect(),
                times: None,
                again: BTreeSet::new(),
                lost: 0,
            },
        }
    }

    #[test]
    fn the_order_of_the_parts_does_not_matter() {
        let parts = [part("a", 1, &["ann", "cid"]), part("b", 2, &["ben"])];
        let turned = [parts[1].clone(), parts[0].clone()];
        let (one, from) = join(&parts, false).unwrap();
        let (other, from_other) = join(&turned, false).unwrap();
        assert_eq!((&one.opened, &one.rows), (&other.opened, &other.rows));
        assert_eq!(from, from_other);
        assert_eq!(one.rows.keys().collect::<Vec<_>>(), ["ann", "ben", "cid"]);
        assert_eq!(from["cid"], PathBuf::from("a"));
    }

    #[test]
    fn a_member_that_moved_to_another_shard_is_taken_from_there() {
        let parts = [part("a", 1, &["ann", "cid"]), part("b", 2, &["ben", "cid"])];
        let (record, from) = join(&parts, false).unwrap();
        assert_eq!(record.rows.len(), 3);
        assert_eq!(from["cid"], PathBuf::from("a"));
        // Until there is a grade where they belong, the one that there is counts.
        let mut without = part("a", 1, &["ann", "cid"]);
        let row = without.record.rows.get_mut("cid").unwrap();
        row.standing = Standing::Ungraded;
        let parts = [without, part("b", 2, &["ben", "cid"])];
        let (record, from) = join(&parts, false).unwrap();
        assert_eq!(from["cid"], PathBuf::from("b"));
        assert_eq!(record.rows["cid"].standing, Standing::Failed);
        let parts = [part("a", 1, &["ann"]), part("b", 2, &["ben", "cid"])];
        let (_, from) = join(&parts, false).unwrap();
        assert_eq!(from["cid"], PathBuf::from("b"));
    }

    #[test]
    fn gaps_and_doubles_are_told_by_name() {
        let (one, two) = (part("a", 1, &["ann", "cid"]), part("b", 2, &["ben"]));
        let refused = |parts: &[Part]| join(parts, false).unwrap_err().to_string();
        assert!(refused(std::slice::from_ref(&one)).contains("no shard 2/2"));
        assert!(refused(&[one.clone(), one.clone()]).contains("shard 1/2 is there twice, in a"));
        let short = part("b", 2, &[]);
        assert!(refused(&[one.clone(), short]).contains("1 of 3 members have no result: ben"));
        let [gone, double] = [
            part("a", 1, &["ann", "cid", "eve"]),
            part("b", 2, &["ben", "eve"]),
        ];
        assert!(refused(&[gone, double]).contains("\"eve\" has results in a and in b"));
        let mut other = two.clone();
        other.record.opened.exercise = "other".into();
        assert!(refused(&[one.clone(), other]).contains("two exercises"));
        let mut other = two;
        other.record.opened.roll.pop();
        assert!(refused(&[one.clone(), other]).contains("different classes"));
        let (partial, _) = join(&[one], true).unwrap();
        assert_eq!(partial.rows["ben"].standing, Standing::Waiting);
    }
}
