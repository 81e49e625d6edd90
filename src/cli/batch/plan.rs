//! The plan of a batch: what is to be done with whom, before anything slow starts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::BatchArgs;
use crate::batch::find::Seat;
use crate::batch::journal::Record;
use crate::batch::{digest, digest_of_evidence};
use crate::class::{Basis, Row, Standing};
use crate::content::Assignment;
use crate::format::escape::{clean, one_line, shorten};
use crate::format::figure;

/// Names of members that are shown.
const MOST_NAMES: usize = 12;

/// What is to be done with one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Build and measure it.
    Measure,
    /// Judge its saved evidence by today's rubric.
    Judge,
}

/// All that is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order in which it is done.
    pub(super) due: Vec<(Seat, Due)>,
    /// Every member as they stand before the run.
    pub(super) rows: Vec<Row>,
    /// Rows that the journal does not hold yet: of those who handed in nothing, and of a class that
    /// moved.
    pub(super) news: Vec<Row>,
    /// Folders of the members that `--only` names; all without it.
    pub(super) looked_at: BTreeSet<String>,
    /// Finished, and left alone.
    finished: usize,
    /// Finished, and something changed since.
    stale: Vec<String>,
    /// Without a grade, and left alone.
    ungraded: Vec<String>,
    /// In the results, and not in the class any more.
    gone: Vec<String>,
}

impl Plan {
    /// Compares what is there with what is finished.
    ///
    /// # Errors
    /// When `--only` names nobody of the class, or the results are of another one.
    pub(super) fn new(
        args: &BatchArgs,
        assignment: &Assignment,
        basis: &Basis,
        seats: Vec<Seat>,
        record: Record,
        out: &Path,
    ) -> Result<Self> {
        let Record {
            rows: mut stored,
            again,
            ..
        } = record;
        for id in &args.only {
            if !seats.iter().any(|seat| is_named(seat, id)) {
                bail!(
                    "there is no member `{id}`{}: there is {}",
                    args.shard
                        .map_or(String::new(), |shard| format!(" in shard {shard}")),
                    names(seats.iter().map(|seat| seat.row.id.as_str()))
                );
            }
        }
        let mut plan = Self {
            due: Vec::new(),
            rows: Vec::new(),
            news: Vec::new(),
            looked_at: BTreeSet::new(),
            finished: 0,
            stale: Vec::new(),
            ungraded: Vec::new(),
            gone: Vec::new(),
        };
        let mut others = Vec::new();
        for seat in seats {
            let before = stored.remove(&seat.row.folder);
            let is_looked_at =
                args.only.is_empty() || args.only.iter().any(|id| is_named(&seat, id));
            if is_looked_at {
                plan.looked_at.insert(seat.row.folder.clone());
            }
            let is_elsewhere = before.as_ref().is_some_and(|row| {
                let place = &row.basis.place;
                row.standing.is_graded() && !place.is_empty() && *place != basis.place
            });
            let Some(_) = seat.path else {
                if is_elsewhere {
                    others.push(seat.row.id.clone());
                }
                plan.without_submission(seat, before.filter(|_| !is_elsewhere));
                continue;
            };
            let now = Basis {
                // Nothing to compare with: no need to read it now.
                submission: match &before {
                    Some(_) => digest(&seat, assignment).unwrap_or_default(),
                    None => String::new(),
                },
                ..basis.clone()
            };
            let is_same = |row: &Row| row.basis.submission == now.submission;
            let before = match before {
                // A class that moved is the same class.
                Some(mut row) if is_elsewhere && is_same(&row) => {
                    row.basis.place.clone_from(&now.place);
                    plan.news.push(row.clone());
                    Some(row)
                }
                _ if is_elsewhere => {
                    others.push(seat.row.id.clone());
                    None
                }
                before => before,
            };
            let is_again = args.again && !again.contains(&seat.row.folder);
            let evidence = out.join(&seat.row.folder).join("evidence.json");
            let due = due(before.as_ref(), &evidence, &now, args, is_again);
            plan.note(&seat, before.as_ref(), due, &now);
            plan.rows.push(row(&seat, before));
            if let Some(due) = due.filter(|_| is_looked_at) {
                plan.due.push((seat, due));
            }
        }
        // A grade must not go over to somebody else who has the same id.
        if !(others.is_empty() || args.changed || args.again) {
            bail!(
                "{} holds grades of a class in another folder, with other files under the same names: {}. \
                 Choose another --out for another class, or grade these files instead with --changed",
                out.display(),
                names(others.iter().map(String::as_str))
            );
        }
        // Who is gone keeps the last grade.
        for (_, row) in stored {
            plan.gone.push(row.id.clone());
            plan.rows.push(row);
        }
        Ok(plan)
    }

    /// A member with nothing to grade keeps an earlier grade, if there is one.
    fn without_submission(&mut self, seat: Seat, before: Option<Row>) {
        match before {
            Some(row) if row.standing.is_graded() => {
                self.gone.push(row.id.clone());
                self.rows.push(row);
            }
            before => {
                if before.as_ref() != Some(&seat.row) {
                    self.news.push(seat.row.clone());
                }
                self.rows.push(seat.row);
            }
        }
    }

    fn note(&mut self, seat: &Seat, before: Option<&Row>, due: Option<Due>, now: &Basis) {
        let (Some(before), None) = (before, due) else {
            return;
        };
        self.finished += 1;
        if is_stale(&before.basis, now) {
            self.stale.push(seat.row.id.clone());
        }
        if before.standing == Standing::Ungraded {
            self.ungraded.push(seat.row.id.clone());
        }
    }

    /// Seconds that a measurement took in earlier runs.
    #[expect(clippy::cast_precision_loss, reason = "classes are small")]
    pub(super) fn expected(&self) -> Option<f64> {
        let seconds: Vec<f64> = self
            .rows
            .iter()
            .map(|row| row.times.loading + row.times.preparing)
            .filter(|seconds| *seconds > 0.0)
            .collect();
        (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
    }

    /// The plan for people.
    pub(super) fn told(&self, dir: &Path, lost: usize) -> String {
        let of = |wanted: Due| self.due.iter().filter(|(_, due)| *due == wanted).count();
        let mut text = format!(
            "{} below {}: {} to grade",
            figure::plural(self.rows.len(), "member", "members"),
            dir.display(),
            of(Due::Measure)
        );
        let mut part = |count: usize, what: &str| {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        };
        part(of(Due::Judge), "to judge again");
        part(self.finished, "finished");
        let missing = |row: &&Row| row.standing == Standing::Missing;
        part(
            self.rows.iter().filter(missing).count(),
            "without a submission",
        );
        if let Some(seconds) = self.expected().filter(|_| of(Due::Measure) > 0) {
            let all = seconds * figure::float(of(Due::Measure) as u64);
            let _ = write!(text, "; about {} of load", figure::seconds(all));
        }
        let mut say = |ids: &[String], what: &str| {
            if !ids.is_empty() {
                let ids = names(ids.iter().map(String::as_str));
                let _ = write!(text, "\n  {what}: {ids}");
            }
        };
        say(
            &self.stale,
            "changed since they were graded, and graded again with --changed",
        );
        say(
            &self.ungraded,
            "without a grade, and tried again with --failed",
        );
        say(&self.gone, "not there any more, and kept as they were");
        if lost > 0 {
            let _ = write!(
                text,
                "\n  {} of the journal cut off: what was being written when an earlier run was \
                 killed is done again",
                figure::plural(lost, "line was", "lines were")
            );
        }
        text
    }
}

fn is_named(seat: &Seat, id: &str) -> bool {
    seat.row.id == id || seat.row.folder == id
}

/// The member as they stand now, with what is newly known of who they are.
fn row(seat: &Seat, before: Option<Row>) -> Row {
    let Some(before) = before.filter(|row| row.standing != Standing::Missing) else {
        return seat.row.clone();
    };
    Row {
        id: seat.row.id.clone(),
        name: seat.row.name.clone(),
        email: seat.row.email.clone(),
        source: seat.row.source.clone(),
        ..before
    }
}

fn due(
    before: Option<&Row>,
    evidence: &Path,
    now: &Basis,
    args: &BatchArgs,
    is_again: bool,
) -> Option<Due> {
    let Some(before) = before else {
        return Some(Due::Measure);
    };
    let is_lost = before.standing.is_graded() && !evidence.is_file();
    match before.standing {
        Standing::Missing | Standing::Waiting => return Some(Due::Measure),
        _ if is_again || is_lost => return Some(Due::Measure),
        Standing::Ungraded if args.failed => return Some(Due::Measure),
        _ => {}
    }
    let was = &before.basis;
    if !args.changed || !is_stale(was, now) {
        return None;
    }
    let is_only_rubric = !is_stale(
        &Basis {
            rubric: now.rubric.clone(),
            ..was.clone()
        },
        now,
    );
    let is_its_own =
        || fs::read_to_string(evidence).is_ok_and(|text| digest_of_evidence(&text) == was.evidence);
    Some(if is_only_rubric && is_its_own() {
        Due::Judge
    } else {
        Due::Measure
    })
}

fn is_stale(was: &Basis, now: &Basis) -> bool {
    *was != Basis {
        evidence: was.evidence.clone(),
        place: was.place.clone(),
        ..now.clone()
    }
}

fn names<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let ids: Vec<String> = ids.map(|id| shorten(&one_line(&clean(id)), 40)).collect();
    let shown = ids.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>();
    match ids.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
