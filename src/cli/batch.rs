//! `feedgrade batch`, `merge` and `diff`, and `regrade` of a class.

mod plan;
mod paper;
mod working;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};

use super::check::exercise_of;
use super::results::{ShowArgs, around, read_evidence, read_marks, report_of, save, sweep};
use super::{Blame as _, Done, RunArgs, answer, assignment, find_docker};
use crate::batch::journal::{self, Journal, Opened, Record};
use crate::batch::{self, find, merge as parts};
use crate::class::difference::changes;
use crate::class::roster::{self, Entry};
use crate::class::{self, Basis, Class, Row, Shard, Standing};
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::exit_code::ExitCode;
use crate::format;
use crate::marks::Marks;
use crate::out_dir::{self, OutDir};

use paper::Paper;
use plan::Plan;
use working::Working;

/// What `batch` takes.
#[derive(Debug, clap::Args)]
pub(super) struct BatchArgs {
    /// The folder with the submissions, one folder each.
    dir: PathBuf,
    /// A table of who is in the class: CSV with the columns id, and perhaps name, email and folder.
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// Which exercise. Else `feedgrade.yaml` in the submissions says; else the only one there is.
    #[arg(long, value_name = "SLUG")]
    exercise: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// Results folder, also of the run that this one goes on with [default: feedgrade-out]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Looks at this member only. May be repeated.
    #[arg(long = "only", value_name = "ID")]
    only: Vec<String>,
    /// Also tries again what got no grade because the harness or the machine failed.
    #[arg(long)]
    failed: bool,
    /// Also grades again what changed since: the submission, the rubric, the exercise or feedgrade.
    #[arg(long)]
    changed: bool,
    /// Grades again what has a grade already.
    #[arg(long)]
    again: bool,
    /// Grades one part of the class, for one of several machines; `merge` makes one of them.
    #[arg(long, value_name = "NUMBER/COUNT")]
    shard: Option<Shard>,
    /// How many submissions are built side by side [default: by the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What `merge` takes.
#[derive(Debug, clap::Args)]
pub(super) struct MergeArgs {
    /// Results folders of shards, in any order.
    #[arg(required = true, value_name = "DIR")]
    parts: Vec<PathBuf>,
    /// Results folder of the whole class: a new one.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Merges what is there, also when members have no result yet.
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    show: ShowArgs,
}

/// What `diff` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The earlier results: a results folder of `batch`, or a `batch.json`.
    old: PathBuf,
    /// The later ones.
    new: PathBuf,
    /// Prints JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn batch(args: &BatchArgs, content: &Content, console: &Console) -> Done {
    let dir = fs::canonicalize(&args.dir)
        .with_context(|| format!("find the folder {}", args.dir.display()))
        .usage()?;
    let roster = args
        .roster
        .as_deref()
        .map(read_roster)
        .transpose()
        .usage()?;
    let out = results_folder(args.out.as_deref()).usage()?;
    let found = find::find(&dir, roster.as_deref(), &out).usage()?;
    let mut seats = found.seats;
    for seat in &seats {
        if let Some(path) = &seat.path {
            out_dir::outside(&out, path).usage()?;
        }
    }
    let assignment = assignment_of(args, content, &mut seats).usage()?;
    paper::can_write(&args.show).usage()?;
    let around = around(content).usage()?;
    args.show.probe(None, &around).usage()?;
    let roll: Vec<String> = seats.iter().map(|seat| seat.row.folder.clone()).collect();
    if let Some(shard) = args.shard {
        let mut place = 0..;
        seats.retain(|_| place.next().is_some_and(|place| shard.holds(place)));
    }
    find_docker(&args.run.database);
    let out = OutDir::at(out).usage()?;
    let opened = Opened {
        version: class::VERSION,
        exercise: assignment.exercise.slug.value.clone(),
        shard: args.shard,
        roll,
        again: args.again,
    };
    let basis = Basis {
        place: batch::place(&dir),
        ..batch::basis(content, &assignment).usage()?
    };
    let (mut journal, record) = Journal::open(out.path(), &opened.exercise).usage()?;
    let record = record.unwrap_or(Record {
        opened: opened.clone(),
        rows: std::collections::BTreeMap::new(),
        times: None,
        again: std::collections::BTreeSet::new(),
        lost: 0,
    });
    for notice in &found.notices {
        console.line(&format!("note: {notice}"));
    }
    let (lost, times) = (record.lost, record.times);
    let plan = Plan::new(args, &assignment, &basis, seats, record, out.path()).usage()?;
    let marks = standing_marks(out.path()).usage()?;
    journal.begin(&opened).ungraded()?;
    console.line(&plan.told(&dir, lost));
    let mut paper = Paper::new(&out, &assignment, args.shard, around, marks);
    paper.times = times;
    for row in &plan.rows {
        paper.rows.insert(row.folder.clone(), row.clone());
    }
    for row in &plan.news {
        journal.add(row).ungraded()?;
    }
    sweep(console);
    let mut work = Working {
        paper,
        journal,
        basis,
        console,
        began: Instant::now(),
        done: 0,
        all: plan.due.len(),
    };
    let ended = work.run(args, content, &assignment, &plan);
    let kept = work.paper.write();
    match ended {
        Ok(()) => kept.ungraded()?,
        Err(failure) => return Err(work.kept(failure)),
    }
    work.paper.show(&args.show, console)?;
    let only = (!args.only.is_empty()).then_some(&plan.looked_at);
    Ok(work.paper.exit_code(&args.show, only))
}

/// Where the results go, absolute and with its links followed, whether it is there or not.
fn results_folder(wanted: Option<&Path>) -> Result<PathBuf> {
    let path = wanted.unwrap_or(Path::new(out_dir::NAME));
    let path = std::path::absolute(path).context("find the working folder")?;
    Ok(match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match fs::canonicalize(&path) {
            Ok(real) => real,
            Err(_) => fs::canonicalize(parent).map_or(path.clone(), |parent| parent.join(name)),
        },
        _ => path,
    })
}

fn read_roster(path: &Path) -> Result<Vec<Entry>> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    roster::parse(&path.display().to_string(), &bytes)
}

/// The exercise of the class. A submission of another one is no member that can be graded.
fn assignment_of(
    args: &BatchArgs,
    content: &Content,
    seats: &mut [find::Seat],
) -> Result<Assignment> {
    let mut said = Vec::new();
    for seat in seats.iter() {
        let slug = seat.path.as_deref().map(exercise_of);
        said.push(match slug {
            Some(Ok(slug)) => Ok(slug),
            Some(Err(error)) => Err(format!("{error:#}")),
            None => Ok(None),
        });
    }
    let mut slugs: Vec<&String> = said.iter().flatten().flatten().collect();
    slugs.sort();
    slugs.dedup();
    // What nobody knows is one member's slip, and stops no other.
    let known = content.slugs()?;
    if slugs.iter().any(|slug| known.contains(slug)) {
        slugs.retain(|slug| known.contains(slug));
    }
    let slug = match (&args.exercise, slugs.as_slice()) {
        (Some(slug), _) => Some(slug.clone()),
        (None, []) => None,
        (None, [only]) => Some((*only).clone()),
        (None, several) => bail!(
            "the submissions are of several exercises ({}): name one with --exercise",
            several
                .iter()
                .map(|slug| slug.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let assignment = assignment(content, slug.as_deref())?;
    for (seat, said) in seats.iter_mut().zip(said) {
        let why = match said {
            Err(why) => why,
            Ok(Some(other)) if other != *assignment.exercise.slug => {
                format!("Its feedgrade.yaml says that it is of the exercise `{other}`.")
            }
            Ok(_) => continue,
        };
        let (id, folder) = (&seat.row.id, &seat.row.folder);
        let row = Row::without_grade(id, folder, Standing::Ungraded, &why);
        seat.row.standing = row.standing;
        seat.row.problem = row.problem;
        seat.path = None;
    }
    Ok(assignment)
}

/// Scores that a person filled in, in the `review.yaml` of a results folder.
///
/// # Errors
/// When there is such a file and it cannot be read: then nobody knows what is in it.
fn standing_marks(folder: &Path) -> Result<Option<Marks>> {
    let path = folder.join(paper::REVIEW);
    if !path.exists() {
        return Ok(None);
    }
    let marks = read_marks(&path)?;
    Ok(marks.has_scores().then_some(marks))
}

/// Judges the saved evidence of a class again.
pub(super) fn regrade(
    folder: &Path,
    marks: Option<&Marks>,
    show: &ShowArgs,
    content: &Content,
    console: &Console,
) -> Done {
    paper::can_write(show).usage()?;
    let record = journal::read(folder)
        .and_then(|record| record.context("the journal is empty"))
        .usage()?;
    let assignment = content.assignment(&record.opened.exercise).usage()?;
    let around = around(content).usage()?;
    let basis = batch::basis(content, &assignment).usage()?;
    let out = OutDir::at(folder.to_owned()).usage()?;
    let (mut journal, record) = Journal::open(out.path(), &record.opened.exercise).usage()?;
    let mut record = record.context("the journal is empty").ungraded()?;
    let standing = standing_marks(out.path()).usage()?;
    journal.begin(&record.opened).ungraded()?;
    let marks = match marks {
        Some(marks) => {
            console.line(&format!(
                "note: the marks given by --marks hold for this run: put them in {} to keep them",
                out.path().join(paper::REVIEW).display()
            ));
            Some(marks.clone().over(standing))
        }
        None => standing,
    };
    let mut paper = Paper::new(&out, &assignment, record.opened.shard, around, marks);
    paper.times = record.times;
    let mut worst = ExitCode::Passed;
    for (name, row) in &mut record.rows {
        if !row.basis.evidence.is_empty() {
            let anew = paper
                .evidence_of(row)
                .and_then(|evidence| paper.judged(row, &evidence));
            match anew {
                Ok(anew) => {
                    let basis = Basis {
                        exercise: basis.exercise.clone(),
                        rubric: basis.rubric.clone(),
                        feedgrade: basis.feedgrade.clone(),
                        ..row.basis.clone()
                    };
                    *row = Row { basis, ..anew };
                }
                Err(error) => {
                    console.error(&error.context(format!("{name} keeps its earlier grade")));
                    worst = ExitCode::Ungraded;
                }
            }
        }
        paper.rows.insert(name.clone(), row.clone());
    }
    journal.replace(&record).ungraded()?;
    paper.write().ungraded()?;
    paper.show(show, console)?;
    Ok(worst.or_worse(paper.exit_code(show, None)))
}

pub(super) fn merge(args: &MergeArgs, content: &Content, console: &Console) -> Done {
    paper::can_write(&args.show).usage()?;
    let around = around(content).usage()?;
    args.show.probe(None, &around).usage()?;
    let parts = args
        .parts
        .iter()
        .map(|folder| parts::part(folder))
        .collect::<Result<Vec<_>>>()
        .usage()?;
    let (record, from) = parts::join(&parts, args.partial).usage()?;
    let assignment = content.assignment(&record.opened.exercise).usage()?;
    if journal::is_there(&args.out) {
        let error = anyhow!(
            "{} holds results of a batch already: choose another --out",
            args.out.display()
        );
        return Err(error).usage();
    }
    let mut rubrics: Vec<&str> = record
        .rows
        .values()
        .map(|row| row.basis.rubric.as_str())
        .filter(|rubric| !rubric.is_empty())
        .collect();
    rubrics.sort_unstable();
    rubrics.dedup();
    if rubrics.len() > 1 {
        console.line(
            "note: the parts were judged by different rubrics: `feedgrade regrade` judges them \
             all by today's",
        );
    }
    let mut marks: Option<Marks> = None;
    for part in &parts {
        if let Some(mut more) = standing_marks(&part.folder).usage()? {
            // Of who is in two parts, those of the part whose grade counts.
            more.marks.retain(|mark| {
                let mut rows = record.rows.values();
                let row = rows.find(|row| row.id == *mark.submission);
                let its = row.and_then(|row| from.get(&row.folder));
                its.is_none_or(|folder| *folder == part.folder)
            });
            marks = Some(more.over(marks));
        }
    }
    let out = OutDir::at(args.out.clone()).usage()?;
    if let Some(marks) = marks.filter(Marks::has_scores) {
        out.write(paper::REVIEW, &marks.text()).ungraded()?;
    }
    parts::copy(&record, &from, out.path()).ungraded()?;
    let mut paper = Paper::new(&out, &assignment, None, around, None);
    paper.times = record.times;
    paper.rows = record.rows;
    paper.write().ungraded()?;
    paper.show(&args.show, console)?;
    Ok(paper.exit_code(&args.show, None))
}

pub(super) fn diff(args: &DiffArgs, console: &Console) -> Done {
    let (old, new) = (read_rows(&args.old).usage()?, read_rows(&args.new).usage()?);
    if old.0 != new.0 {
        let error = anyhow!(
            "{} is about the exercise `{}` and {} about `{}`",
            args.old.display(),
            old.0,
            args.new.display(),
            new.0
        );
        return Err(error).usage();
    }
    let changes = changes(&old.1, &new.1);
    let text = if args.json {
        let text = serde_json::to_string_pretty(&changes)
            .context("write JSON")
            .ungraded()?;
        format::escape::json(&text) + "\n"
    } else {
        format::class::differences(&changes, old.1.len().max(new.1.len()))
    };
    answer(console, &text)
}

/// The exercise and the rows of a results folder, or of a `batch.json`.
fn read_rows(path: &Path) -> Result<(String, Vec<Row>)> {
    if path.is_dir() {
        let part = parts::part(path)?;
        let rows = part.record.rows.into_values().collect();
        return Ok((part.record.opened.exercise, rows));
    }
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let class: Class = serde_json::from_str(&text)
        .with_context(|| format!("{} is no batch.json of this version", path.display()))?;
    Ok((class.exercise, class.rows))
}
