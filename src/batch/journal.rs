//! The journal: what a batch has finished, written so that a kill at any instant loses nothing.
//!
//! One JSON object a line, appended and flushed to the disk before the next thing is done. A line
//! that was cut off is no line. The last line about a member counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::class::{self, Row, RunTimes, Shard};
use crate::out_dir;

/// Its file name, in the results folder.
pub const NAME: &str = "journal.jsonl";
/// Held while a batch works in the folder.
const LOCK: &str = ".journal.lock";

/// A line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Opened(Opened),
    Row(Box<Row>),
    Ended(Option<RunTimes>),
}

/// What a batch is about: the first line, and once more whenever a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// [`class::VERSION`].
    pub version: u32,
    /// The exercise's slug.
    pub exercise: String,
    /// Which part of the class.
    pub shard: Option<Shard>,
    /// The folder names of the whole class, sorted, those of other shards included.
    pub roll: Vec<String>,
    /// The run grades again what has a grade.
    #[serde(default)]
    pub again: bool,
}

/// What a journal says.
#[derive(Debug, Clone)]
pub struct Record {
    /// As the last run began.
    pub opened: Opened,
    /// The last row of each member, by folder name.
    pub rows: BTreeMap<String, Row>,
    /// Of the last run that came to its end.
    pub times: Option<RunTimes>,
    /// Members that were graded again by a run that did not come to its end, by folder name.
    pub again: BTreeSet<String>,
    /// Lines that are none, e.g. because a run was killed while it wrote.
    pub lost: usize,
}

/// Whether a folder is a batch's results folder.
#[must_use]
pub fn is_there(folder: &Path) -> bool {
    folder.join(NAME).is_file()
}

/// Reads the journal of a results folder; `None` when there is nothing in it.
///
/// # Errors
/// When it cannot be read, or a newer feedgrade wrote it.
pub fn read(folder: &Path) -> Result<Option<Record>> {
    let path = folder.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let (mut opened, mut rows, mut times, mut lost) = (None, BTreeMap::new(), None, 0);
    let mut again = BTreeSet::new();
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice::<Line>(line) {
            Ok(Line::Opened(line)) if line.version == class::VERSION => {
                let goes_on = line.again && opened.as_ref().is_some_and(|was: &Opened| was.again);
                if !goes_on {
                    again.clear();
                }
                opened = Some(line);
            }
            Ok(Line::Row(row)) => {
                again.insert(row.folder.clone());
                rows.insert(row.folder.clone(), *row);
            }
            Ok(Line::Ended(line)) => {
                times = line.or(times);
                again.clear();
            }
            Ok(Line::Opened(_)) | Err(_) => {
                refuse_newer(&path, line)?;
                lost += 1;
            }
        }
    }
    match opened {
        Some(opened) => Ok(Some(Record {
            rows,
            times,
            again: if opened.again { again } else { BTreeSet::new() },
            opened,
            lost,
        })),
        // Killed before its first line was whole: nothing was finished.
        None if rows.is_empty() => Ok(None),
        None => bail!(
            "{} does not say which exercise it is about: choose another --out",
            path.display()
        ),
    }
}

fn refuse_newer(path: &Path, line: &[u8]) -> Result<()> {
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    if let Some(version) = value["opened"]["version"].as_u64() {
        ensure!(
            version == u64::from(class::VERSION),
            "{} has version {version} and this program reads version {}: use the feedgrade that \
             wrote it, or choose another --out",
            path.display(),
            class::VERSION
        );
    }
    Ok(())
}

/// A journal that is written to. One process at a time can have it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Held, never read.
    _lock: File,
}

impl Journal {
    /// Opens the journal of a results folder. Nothing is written to it before [`Self::begin`].
    ///
    /// # Errors
    /// When another process has it, it is about another exercise, or it cannot be written.
    pub fn open(folder: &Path, exercise: &str) -> Result<(Self, Option<Record>)> {
        let lock_path = folder.join(LOCK);
        let lock =
            File::create(&lock_path).with_context(|| format!("make {}", lock_path.display()))?;
        // A program that is just being started holds a copy of every open file for a moment, also of
        // one that was closed here meanwhile.
        let mut tries = 0..20;
        let locked = loop {
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) if tries.next().is_some() => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                locked => break locked,
            }
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another batch is at work in {}: wait for it, or choose another --out",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", lock_path.display()));
            }
        }
        let record = read(folder)?;
        if let Some(record) = &record {
            ensure!(
                record.opened.exercise == exercise,
                "{} holds results of the exercise `{}`, not of `{exercise}`: choose another --out",
                folder.display(),
                record.opened.exercise,
            );
        }
        let path = folder.join(NAME);
        let open = || -> std::io::Result<File> {
            let mut file = File::options()
                .create(true)
                .read(true)
                .append(true)
                .open(&path)?;
            // A line that was cut off must not swallow the next one.
            if file.metadata()?.len() > 0 {
                file.seek(SeekFrom::End(-1))?;
                let mut last = [0];
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let file = open().with_context(|| format!("open {}", path.display()))?;
        let journal = Self {
            path,
            file,
            _lock: lock,
        };
        Ok((journal, record))
    }

    /// Begins a run.
    ///
    /// # Errors
    /// When it cannot be written, e.g. because the disk is full.
    pub fn begin(&mut self, opened: &Opened) -> Result<()> {
        self.write(&Line::Opened(opened.clone()))
    }

    /// Writes that a member is finished. It is on the disk when this returns.
    ///
    /// # Errors
    /// As above.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        self.write(&Line::Row(Box::new(row.clone())))
    }

    /// Writes that the run came to its end.
    ///
    /// # Errors
    /// As above.
    pub fn end(&mut self, times: Option<RunTimes>) -> Result<()> {
        self.write(&Line::Ended(times))
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).context("write a line of the journal")?;
        text.push('\n');
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data())
            .with_context(|| format!("write {}", self.path.display()))
    }

    /// Writes the whole journal anew; until that is done, the old one stands.
    ///
    /// # Errors
    /// As above.
    pub fn replace(self, record: &Record) -> Result<()> {
        let lines = std::iter::once(Line::Opened(record.opened.clone()))
            .chain(record.rows.values().cloned().map(Box::new).map(Line::Row))
            .chain([Line::Ended(record.times)]);
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(&line).context("write a line of the journal")?;
            text.push('\n');
        }
        out_dir::write(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Standing;

    fn opened(exercise: &str) -> Opened {
        Opened {
            version: class::VERSION,
            exercise: exercise.into(),
            shard: None,
            roll: vec!["ann".into(), "ben".into()],
            again: false,
        }
    }

    /// Opens the journal and begins a run.
    fn begun(folder: &Path, opened: &Opened) -> (Journal, Option<Record>) {
        let (mut journal, record) = Journal::open(folder, &opened.exercise).unwrap();
        journal.begin(opened).unwrap();
        (journal, record)
    }

    fn row(folder: &str, points: u32) -> Row {
        Row {
            points: Some(points),
            ..Row::without_grade(folder, folder, Standing::Failed, "")
        }
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_still_tells_every_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let (mut journal, before) = begun(folder.path(), &opened("tiny"));
        assert!(before.is_none());
        journal.add(&row("ann", 1)).unwrap();
        journal.add(&row("ben", 2)).unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for end in 0..=whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let lines = whole[..end].split(|byte| *byte == b'\n').count() - 1;
            // A line without its line feed may be whole by chance, and counts then.
            let told = read(folder.path())
                .unwrap()
                .map_or(0, |record| 1 + record.rows.len());
            assert!(
                told == lines || told == lines + 1,
                "{end}: {told} of {lines}"
            );
            let (mut journal, _) = begun(folder.path(), &opened("tiny"));
            journal.add(&row("cid", 3)).unwrap();
            drop(journal);
            let record = read(folder.path()).unwrap().unwrap();
            assert_eq!(record.rows["cid"].points, Some(3), "{end}");
            assert_eq!(record.rows.len(), told.max(1), "{end}");
        }
    }

    #[test]
    fn the_last_line_about_a_member_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = begun(folder.path(), &opened("tiny"));
        journal.add(&row("ann", 1)).unwrap();
        journal.add(&row("ann", 7)).unwrap();
        let record = read(folder.path()).unwrap().unwrap();
        assert_eq!(record.rows["ann"].points, Some(7));
        journal.replace(&record).unwrap();
        let again = read(folder.path()).unwrap().unwrap();
        assert_eq!(again.rows, record.rows);
        assert_eq!(
            fs::read_to_string(folder.path().join(NAME))
                .unwrap()
                .lines()
                .count(),
            3
        );
    }

    #[test]
    fn grading_again_goes_on_where_it_was_killed_and_begins_anew_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let again = Opened {
            again: true,
            ..opened("tiny")
        };
        let (mut journal, _) = begun(folder.path(), &opened("tiny"));
        journal.add(&row("ann", 1)).unwrap();
        journal.end(None).unwrap();
        drop(journal);
        let (mut journal, record) = begun(folder.path(), &again);
        assert!(record.unwrap().again.is_empty());
        journal.add(&row("ben", 1)).unwrap();
        drop(journal);
        let (mut journal, record) = begun(folder.path(), &again);
        assert_eq!(record.unwrap().again, ["ben".to_owned()].into());
        journal.end(None).unwrap();
        drop(journal);
        let (_, record) = begun(folder.path(), &again);
        assert!(record.unwrap().again.is_empty());
    }

    #[test]
    fn another_exercise_a_newer_version_and_a_second_batch_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = begun(folder.path(), &opened("tiny"));
        let refused = |exercise| {
            let error = Journal::open(folder.path(), exercise).unwrap_err();
            error.to_string()
        };
        assert!(refused("tiny").contains("another batch is at work"));
        drop(journal);
        assert!(refused("other").contains("of the exercise `tiny`, not of `other`"));
        fs::write(
            folder.path().join(NAME),
            "{\"opened\":{\"version\":9,\"new\":1}}\n",
        )
        .unwrap();
        assert!(refused("tiny").contains("has version 9"));
    }
}
