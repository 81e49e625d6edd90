//! A batch at work: what is due is done, and what came of each is written before the next.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::BatchArgs;
use super::paper::{self, Paper};
use super::plan::{Due, Plan};
use crate::batch::journal::Journal;
use crate::batch::{self, Work, find};
use crate::class::{Basis, Row, Standing, thousandths};
use crate::cli::{Blame as _, Failure, run_until_interrupted};
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::evidence::Evidence;
use crate::exit_code::ExitCode;
use crate::grade::Outcome;
use crate::out_dir::OutDir;

/// The pages of the class are written again this often while it is graded.
const EVERY: Duration = Duration::from_secs(30);

/// A batch at work.
pub(super) struct Working<'a> {
    pub(super) paper: Paper<'a>,
    pub(super) journal: Journal,
    pub(super) basis: Basis,
    pub(super) console: &'a Console,
    pub(super) began: Instant,
    pub(super) done: usize,
    pub(super) all: usize,
}

impl Working<'_> {
    pub(super) fn run(
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
    pub(super) fn kept(&self, failure: Failure) -> Failure {
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

#[cfg(test)]
mod tests {
    use super::super::around;
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
        let whole: Evidence = serde_json::from_str(include_str!(
            "../../../tests/fixtures/evidence/solution.json"
        ))
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
