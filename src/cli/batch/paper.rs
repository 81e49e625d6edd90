//! What a batch leaves behind: the results of each member, and the pages of the class.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{ShowArgs, read_evidence, report_of, save};
use crate::batch::digest_of_evidence;
use crate::class::{About, Class, Row, RunTimes, Shard, Standing};
use crate::cli::{Blame as _, Failure};
use crate::console::Console;
use crate::content::Assignment;
use crate::evidence::Evidence;
use crate::exit_code::ExitCode;
use crate::format::class as written;
use crate::format::escape::{clean, one_line, shorten};
use crate::format::{Around, Format, Target, figure};
use crate::grade::Outcome;
use crate::marks::{Marks, joined_list};
use crate::out_dir::{self, OutDir};

/// Answers that wait for a person, and their marks.
pub(super) const REVIEW: &str = "review.yaml";

/// Everything that a batch writes.
#[derive(Debug)]
pub(super) struct Paper<'a> {
    pub(super) out: &'a OutDir,
    /// Every member, by folder name.
    pub(super) rows: BTreeMap<String, Row>,
    /// Of the last run.
    pub(super) times: Option<RunTimes>,
    assignment: &'a Assignment,
    shard: Option<Shard>,
    around: Around,
    marks: Option<Marks>,
}

impl<'a> Paper<'a> {
    pub(super) fn new(
        out: &'a OutDir,
        assignment: &'a Assignment,
        shard: Option<Shard>,
        around: Around,
        marks: Option<Marks>,
    ) -> Self {
        Self {
            out,
            rows: BTreeMap::new(),
            times: None,
            assignment,
            shard,
            around,
            marks,
        }
    }

    /// Judges evidence and writes the member's own files.
    pub(super) fn judged(&self, row: &Row, evidence: &Evidence) -> Result<Row> {
        let (report, review) = report_of(self.assignment, evidence, self.marks.as_ref());
        let folder = OutDir::at(self.out.path().join(&row.folder))?;
        save(&folder, &report, review.as_deref(), &self.around)?;
        Ok(row.clone().with_report(&report))
    }

    /// The evidence that a member's grade rests on.
    ///
    /// # Errors
    /// When it cannot be read, or is another one.
    pub(super) fn evidence_of(&self, row: &Row) -> Result<Evidence> {
        let folder = self.out.path().join(&row.folder);
        let (_, evidence, text) = read_evidence(&folder)?;
        ensure!(
            digest_of_evidence(&text) == row.basis.evidence,
            "its evidence.json is another one than the grade rests on: grade it once more with \
             `feedgrade batch --again --only {}`",
            row.folder
        );
        Ok(evidence)
    }

    pub(super) fn outcome(&self, evidence: &Evidence) -> Outcome {
        report_of(self.assignment, evidence, self.marks.as_ref())
            .0
            .outcome
    }

    fn class(&self) -> Class {
        let about = About {
            exercise: &self.assignment.exercise.slug,
            title: &self.assignment.exercise.title,
            rubric: &self.assignment.rubric,
            shard: self.shard,
        };
        Class::new(about, self.rows.values().cloned().collect(), self.times)
    }

    /// Writes the pages of the class.
    pub(super) fn write(&self) -> Result<()> {
        let class = self.class();
        self.out.write("batch.json", &written::json(&class)?)?;
        self.out.write("grades.csv", &written::csv(&class)?)?;
        self.out.write("index.html", &written::html(&class)?)?;
        let lists = self.rows.values().filter(|row| row.needs_review());
        let lists = lists.filter_map(|row| {
            let path = self.out.path().join(&row.folder).join(REVIEW);
            fs::read_to_string(path).ok()
        });
        // One that cannot be read is being filled in, or waits for its slip to be mended.
        let Ok(marks) = super::standing_marks(self.out.path()) else {
            return Ok(());
        };
        let kept = marks.and_then(|_| fs::read_to_string(self.out.path().join(REVIEW)).ok());
        match joined_list(lists, kept.as_deref()) {
            Some(list) => self.out.write(REVIEW, &list).map(drop),
            None => self.out.remove(REVIEW),
        }
    }

    /// Writes every output; the summary goes to stdout unless an output is already there.
    pub(super) fn show(&self, show: &ShowArgs, console: &Console) -> Result<(), Failure> {
        let class = self.class();
        let mut is_taken = false;
        for output in &show.outputs {
            let text = match output.format {
                Format::Json => written::json(&class),
                Format::Html => written::html(&class),
                Format::Csv => written::csv(&class),
                _ => Ok(written::text(&class)),
            };
            let text = text.ungraded()?;
            match &output.to {
                Target::File(path) => out_dir::write(path, &text).ungraded()?,
                Target::Stdout => {
                    is_taken = true;
                    console.raw(&text).context("write to stdout").ungraded()?;
                }
            }
        }
        if !is_taken {
            let text = written::text(&class);
            console
                .answer(&text)
                .context("write to stdout")
                .ungraded()?;
        }
        if let Err(error) = super::standing_marks(self.out.path()) {
            console.error(&error.context("the list of answers for review is as it was"));
        }
        let page = self.out.path().join("index.html");
        console.line(&format!("class report: {}", page.display()));
        Ok(())
    }

    /// The worst of the members, or of `only` some of them. Who waits for another run says nothing.
    pub(super) fn exit_code(&self, show: &ShowArgs, only: Option<&BTreeSet<String>>) -> ExitCode {
        self.rows
            .values()
            .filter(|row| only.is_none_or(|only| only.contains(&row.folder)))
            .map(|row| match (row.standing, show.fail_under) {
                (Standing::Waiting, _) => ExitCode::Passed,
                (Standing::Ungraded, _) => ExitCode::Ungraded,
                _ if show.exit_zero => ExitCode::Passed,
                (Standing::Passed, None) => ExitCode::Passed,
                (_, Some(points))
                    if row.points.is_some_and(|p| p >= points) && row.missing_musts.is_empty() =>
                {
                    ExitCode::Passed
                }
                _ => ExitCode::Failed,
            })
            .fold(ExitCode::Passed, ExitCode::or_worse)
    }
}

/// Formats that a class can be written in.
///
/// # Errors
/// When an output is for one report.
pub(super) fn can_write(show: &ShowArgs) -> Result<()> {
    for output in &show.outputs {
        ensure!(
            matches!(
                output.format,
                Format::Json | Format::Html | Format::Csv | Format::Text
            ),
            "{} is for one report, not for a class: take one of json, html, csv, text",
            output.format
        );
    }
    Ok(())
}

/// `  3 of 30  ann  passed, 96 of 100 points, 31.2 s`.
pub(super) fn line(row: &Row, done: usize, all: usize, seconds: f64) -> String {
    let what = match (row.points, &row.problem) {
        (Some(points), _) => format!("{}, {points} points", row.standing.word()),
        (None, Some(problem)) => {
            format!("{}: {}", row.standing.word(), shorten(&clean(problem), 200))
        }
        (None, None) => row.standing.word().to_owned(),
    };
    format!(
        "{done:>4} of {all}  {}  {what}  {}",
        shorten(&one_line(&clean(&row.id)), 40),
        figure::seconds(seconds)
    )
}
