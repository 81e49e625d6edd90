//! `feedgrade batch`, `merge` and `diff`, and `regrade` of a class.

mod plan;
mod paper;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::check::exercise_of;
use super::results::{ShowArgs, around, read_evidence, read_marks, report_of, save, sweep};
use super::{
    Blame as _, Done, Failure, RunArgs, answer, assignment, find_docker, run_until_interrupted,
};
use crate::batch::journal::{self, Journal, Opened, Record};
use crate::batch::{self, Work, find, merge as parts};
use crate::class::difference::changes;
use crate::class::roster::{self, Entry};
use crate::class::{self, Basis, Class, Row, Shard, Standing, thousandths};
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::evidence::Evidence;
use crate::exit_code::ExitCode;
use crate::format;
use crate::grade::Outcome;
use crate::marks::Marks;
use crate::out_dir::{self, OutDir};

use paper::Paper;
use plan::{Due, Plan};

/// The pages of the class are written again this often while it is graded.
const EVERY: Duration = Duration::from_secs(30);

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

/// A batch at work.
struct Working<'a> {
    paper: Paper<'a>,
    journal: Journal,
    basis: Basis,
    console: &'a Console,
    began: Instant,
    done: usize,
    all: usize,
}

impl Working<'_> {
    fn run(
        &mut self,
        args: &BatchArgs,
        content: &Content,
        assignment: &Assignment,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let (judge, measure): (Vec<_>, Vec<_>) =
            plan.due.iter().partition(|(_, due)| *due == Due::Judge);
        for (seat, _) in judge {
            match self.judge_again(seat) {
                Ok(row) => self
                    .finish(row, self.began.elapsed().as_secs_f64())
                    .ungraded()?,
                Err(error) => {
                    let id = &seat.row.id;
                    self.console
                        .error(&error.context(format!("{id} keeps the earlier grade")));
                }
            }
        }
        if measure.is_empty() {
            return self.journal.end(None).ungraded();
        }
        let seats: Vec<&find::Seat> = measure.into_iter().map(|(seat, _)| seat).collect();
        let work = Work {
            content,
            assignment,
            database: &args.run.database,
            isolation: args.run.isolation,
            jobs: args.jobs.map_or_else(jobs, usize::from),
            expected: plan.expected(),
        };
        let console = self.console;
        let on_event = |event| console.event(event);
        let times = run_until_interrupted(async {
            let mut written = Instant::now();
            let on_done = |done: batch::Done<'_>| {
                self.add(done)?;
                if written.elapsed() >= EVERY {
                    self.paper.write()?;
                    written = Instant::now();
                }
                Ok(())
            };
            let working = Box::pin(batch::work(work, &seats, &on_event, on_done));
            working.await.ungraded()
        })?;
        self.paper.times = Some(times);
        self.journal.end(Some(times)).ungraded()
    }

    /// Writes what came of one submission; when this returns, it is finished and stays so.
    fn add(&mut self, done: batch::Done<'_>) -> Result<()> {
        let (seat, seconds) = (done.seat, done.seconds);
        let basis = Basis {
            submission: done.submission,
            ..self.basis.clone()
        };
        let row = match done.seen {
            Ok(evidence) => match self.unless_graded(&seat.row, &basis, &evidence) {
                Some(earlier) => earlier,
                None => self.graded(seat, basis, &evidence, seconds)?,
            },
            Err(error) => self.without_grade(&seat.row, basis, &format!("{error:#}")),
        };
        self.finish(row, seconds)
    }

    fn finish(&mut self, row: Row, seconds: f64) -> Result<()> {
        self.journal.add(&row)?;
        self.done += 1;
        let line = paper::line(&row, self.done, self.all, seconds);
        self.console.line(&line);
        self.paper.rows.insert(row.folder.clone(), row);
        Ok(())
    }

    fn graded(
        &self,
        seat: &find::Seat,
        basis: Basis,
        evidence: &Evidence,
        seconds: f64,
    ) -> Result<Row> {
        let folder = OutDir::at(self.paper.out.path().join(&seat.row.folder))?;
        let text = serde_json::to_string_pretty(evidence).context("write evidence")? + "\n";
        folder.write("evidence.json", &text)?;
        let mut row = self.paper.judged(&seat.row, evidence)?;
        row.times.waiting = thousandths((seconds - row.times.own()).max(0.0));
        row.basis = Basis {
            evidence: batch::digest_of_evidence(&text),
            ..basis
        };
        Ok(row)
    }

    /// The grade that a member's files have, when grading them again told less.
    fn unless_graded(&self, member: &Row, basis: &Basis, evidence: &Evidence) -> Option<Row> {
        if self.paper.outcome(evidence) != Outcome::Ungraded {
            return None;
        }
        self.earlier(member, basis, "not all of it could be told this time")
    }

    /// The grade that the same files have from an earlier run.
    fn earlier(&self, member: &Row, basis: &Basis, why: &str) -> Option<Row> {
        let row = self.paper.rows.get(&member.folder)?;
        let stands = row.standing.is_graded() && row.basis.submission == basis.submission;
        if stands {
            self.console.line(&format!(
                "note: {} was not graded again, and the earlier grade stands: {why}",
                member.id
            ));
        }
        stands.then(|| row.clone())
    }

    /// What stays of a member whose grading failed: no grade, or the one that the same files have.
    fn without_grade(&self, member: &Row, basis: Basis, why: &str) -> Row {
        if let Some(row) = self.earlier(member, &basis, why) {
            return row;
        }
        let failed = Row::without_grade(&member.id, &member.folder, Standing::Ungraded, why);
        Row {
            name: member.name.clone(),
            email: member.email.clone(),
            source: member.source.clone(),
            basis,
            ..failed
        }
    }

    /// Judges saved evidence by today's rubric.
    fn judge_again(&self, seat: &find::Seat) -> Result<Row> {
        let stored = self.paper.rows[&seat.row.folder].clone();
        let row = self
            .paper
            .judged(&stored, &self.paper.evidence_of(&stored)?)?;
        let basis = Basis {
            rubric: self.basis.rubric.clone(),
            ..stored.basis
        };
        Ok(Row { basis, ..row })
    }

    /// A batch that ends early says what is kept.
    fn kept(&self, failure: Failure) -> Failure {
        let kept = format!(
            "{} of {} were done and are kept in {}: the same command goes on from there",
            self.done,
            self.all,
            self.paper.out.path().display()
        );
        let error = match failure.code {
            ExitCode::Interrupted => anyhow!("interrupted: {kept}"),
            _ => failure
                .error
                .context(format!("the batch ended early; {kept}")),
        };
        Failure {
            code: failure.code,
            error,
        }
    }
}

/// Two builds side by side keep two processors busy: one of them is often alone in its last crate.
fn jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(2, 8)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Fact, ServerRun};

    #[test]
    fn a_grade_stands_when_grading_the_same_files_again_tells_less() {
        let folder = tempfile::tempdir().unwrap();
        let out = OutDir::at(folder.path().to_owned()).unwrap();
        let content = Content::Embedded;
        let assignment = content.assignment("connection-pools").unwrap();
        let basis = batch::basis(&content, &assignment).unwrap();
        let around = around(&content).unwrap();
        let console = Console::new(crate::console::Color::Never);
        let (journal, _) = Journal::open(out.path(), "connection-pools").unwrap();
        let mut work = Working {
            paper: Paper::new(&out, &assignment, None, around, None),
            journal,
            basis,
            console: &console,
            began: Instant::now(),
            done: 0,
            all: 3,
        };
        let seat = find::Seat {
            row: Row::without_grade("ann", "ann", Standing::Waiting, ""),
            path: Some("/class/ann".into()),
        };
        let whole: Evidence =
            serde_json::from_str(include_str!("../../tests/fixtures/evidence/solution.json"))
                .unwrap();
        let mut less = whole.clone();
        for stage in &mut less.stages {
            if let ServerRun::Ran { seen, .. } = &mut stage.run {
                let why = "the log was gone".into();
                seen.connections = Fact::Unknown { why };
            }
        }
        let mut grade = |evidence: &Evidence, files: &str| {
            work.add(batch::Done {
                seat: &seat,
                submission: files.into(),
                seen: Ok(evidence.clone()),
                seconds: 1.0,
            })
            .unwrap();
            let row = work.paper.rows["ann"].clone();
            work.paper.evidence_of(&row).unwrap();
            (row.standing, row.points)
        };
        let passed = grade(&whole, "files");
        assert_eq!(passed.0, Standing::Passed);
        assert_eq!(grade(&less, "files"), passed);
        assert_eq!(grade(&less, "other files").0, Standing::Ungraded);
    }
}
