//! A batch: many submissions of one exercise, graded one after the other.
//!
//! Builds run side by side and load runs alone: a wave of submissions is built, and then each of
//! them is measured. Whatever happens to one of them becomes its own result and touches no other.
//! What the results mean and how they look is not known here: whoever calls gets each as it comes.

pub mod find;
pub mod journal;
pub mod merge;

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::cache::key;
use crate::class::{Basis, RunTimes, thousandths};
use crate::content::{Assignment, Content};
use crate::database;
use crate::event::{Event, OnEvent};
use crate::evidence::{BuildOutcome, Evidence};
use crate::gather::{Built, Order, build, measure};
use crate::isolation::Isolation;
use crate::sandbox;
use crate::scratch::Scratch;

use find::Seat;

/// Submissions that are built before the first of them is measured: so many built servers lie in
/// scratch folders at most, however large the class is.
const WAVE: usize = 8;
/// Far beyond the sum of all deadlines inside: nothing of one submission holds up the others.
const LONGEST: Duration = Duration::from_hours(1);

/// What to grade with.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Where exercises and references come from.
    pub content: &'a Content,
    /// The exercise.
    pub assignment: &'a Assignment,
    /// Where Postgres comes from.
    pub database: &'a database::Choice,
    /// Whether their programs are confined.
    pub isolation: Isolation,
    /// How many are built side by side.
    pub jobs: usize,
    /// Seconds that a measurement took so far, for the first guess of when all is done.
    pub expected: Option<f64>,
}

/// One submission is done.
#[derive(Debug)]
pub struct Done<'a> {
    /// Whose.
    pub seat: &'a Seat,
    /// Digest of the files that were graded; empty when they could not be read.
    pub submission: String,
    /// What was seen; an error when the machine or the harness failed.
    pub seen: Result<Evidence>,
    /// Wall time from the start of its build, in seconds.
    pub seconds: f64,
}

/// What grades rest on, apart from the submissions.
///
/// # Errors
/// When the exercise's files cannot be read.
pub fn basis(content: &Content, assignment: &Assignment) -> Result<Basis> {
    let slug = &assignment.exercise.slug.value;
    let mut parts = Vec::new();
    for folder in [
        format!("exercises/{slug}"),
        format!("reference/{slug}/solution"),
    ] {
        for (path, bytes) in content.files(&folder)? {
            parts.extend([path.into_bytes(), bytes]);
        }
    }
    let rubric = content.source(&format!("rubrics/{slug}.yaml"))?;
    let (exercise, feedgrade) = (key(parts), env!("CARGO_PKG_VERSION").to_owned());
    Ok(Basis {
        submission: String::new(),
        gathered: key([&exercise, &feedgrade]),
        exercise,
        rubric: key([rubric.text]),
        feedgrade,
        evidence: String::new(),
        place: String::new(),
    })
}

/// Digest of a submission's files, as far as they are copied to be graded.
///
/// # Errors
/// When they cannot be read.
pub fn digest(seat: &Seat, assignment: &Assignment) -> Result<String> {
    let path = seat
        .path
        .as_deref()
        .with_context(|| format!("{} has no folder", seat.row.id))?;
    sandbox::digest(path, assignment.exercise.build.max_mib)
}

/// Digest of the folder of a class, by its path.
#[must_use]
pub fn place(class: &Path) -> String {
    key([class.as_os_str().as_encoded_bytes()])
}

/// Digest of evidence, of its file's very text: a later feedgrade may know more fields of it.
#[must_use]
pub fn digest_of_evidence(text: &str) -> String {
    key([text])
}

/// A submission after its build.
struct Ready<'a> {
    seat: &'a Seat,
    began: Instant,
    submission: String,
    built: Result<(Scratch, Built)>,
}

/// Grades the submissions of `seats`; `on_done` gets each as it is done, and an error of it ends the
/// batch.
///
/// # Errors
/// Those of `on_done`.
pub async fn work(
    work: Work<'_>,
    seats: &[&Seat],
    on_event: OnEvent<'_>,
    mut on_done: impl FnMut(Done<'_>) -> Result<()>,
) -> Result<RunTimes> {
    let started = Instant::now();
    let mut pace = Pace {
        all: seats.len(),
        expected: work.expected,
        ..Pace::default()
    };
    let mut times = RunTimes {
        graded: seats.len(),
        wall: 0.0,
        building: 0.0,
        loading: 0.0,
        preparing: 0.0,
        waiting: 0.0,
    };
    on_event(pace.event());
    for wave in seats.chunks(WAVE) {
        let began = Instant::now();
        let builds = wave.iter().map(|seat| ready(work, seat, on_event));
        let mut ready: Vec<Ready<'_>> = stream::iter(builds)
            .buffered(work.jobs.max(1))
            .collect()
            .await;
        if work.jobs > 1 {
            build_again_alone(work, &mut ready, on_event).await;
        }
        pace.built += wave.len();
        pace.building += began.elapsed().as_secs_f64();
        for ready in ready {
            let began = Instant::now();
            let done = Box::pin(measured(work, ready, pace.expected, on_event)).await;
            let is_measured = done.seen.as_ref().is_ok_and(|e| !e.stages.is_empty());
            if let Ok(evidence) = &done.seen {
                for phase in &evidence.phases {
                    if phase.name.starts_with("stage ") {
                        times.loading += phase.seconds;
                    } else if !phase.name.starts_with("build ") {
                        times.preparing += phase.seconds;
                    }
                }
            }
            on_done(done)?;
            pace.done += 1;
            pace.measured(began.elapsed().as_secs_f64(), is_measured);
            on_event(pace.event());
        }
    }
    times.building = pace.building;
    times.wall = started.elapsed().as_secs_f64();
    times.waiting = (times.wall - times.building - times.loading - times.preparing).max(0.0);
    Ok(RunTimes {
        graded: times.graded,
        wall: thousandths(times.wall),
        building: thousandths(times.building),
        loading: thousandths(times.loading),
        preparing: thousandths(times.preparing),
        waiting: thousandths(times.waiting),
    })
}

/// How fast it goes.
#[derive(Debug, Default)]
struct Pace {
    all: usize,
    built: usize,
    done: usize,
    /// Seconds of all builds so far, as they ran side by side.
    building: f64,
    /// Seconds of all measurements so far, and how many they were.
    measuring: (f64, u32),
    /// Seconds of one measurement.
    expected: Option<f64>,
}

impl Pace {
    fn measured(&mut self, seconds: f64, counts: bool) {
        if counts {
            self.measuring.0 += seconds;
            self.measuring.1 += 1;
            self.expected = Some(self.measuring.0 / f64::from(self.measuring.1));
        }
    }

    /// `None` before anything is known.
    #[expect(clippy::cast_precision_loss, reason = "classes are small")]
    fn left(&self) -> Option<f64> {
        let measuring = self.expected? * (self.all - self.done) as f64;
        let building = match self.built {
            0 => 0.0,
            built => self.building / built as f64 * (self.all - self.built) as f64,
        };
        Some(measuring + building)
    }

    fn event(&self) -> Event {
        Event::ClassProgress {
            done: self.done,
            all: self.all,
            left: self.left(),
        }
    }
}

fn order<'a>(work: Work<'a>, seat: &'a Seat) -> Result<Order<'a>> {
    Ok(Order {
        submission: seat.path.as_deref().context("there is no folder")?,
        name: seat.row.id.clone(),
        content: work.content,
        assignment: work.assignment,
        database: work.database,
        isolation: work.isolation,
        is_full_length: false,
    })
}

async fn ready<'a>(work: Work<'a>, seat: &'a Seat, on_event: OnEvent<'_>) -> Ready<'a> {
    let began = Instant::now();
    let id = &seat.row.id;
    let (submission, built) = match digest(seat, work.assignment) {
        Err(error) => (String::new(), Err(error)),
        Ok(submission) => {
            on_event(member(id, "builds", None));
            let tell = |event| on_event(of_member(id, event));
            let built = guarded(async {
                let scratch = Scratch::new()?;
                let built = build(&order(work, seat)?, &scratch, &tell).await?;
                Ok((scratch, built))
            })
            .await;
            on_event(Event::MemberEnded { id: id.clone() });
            (submission, built)
        }
    };
    Ready {
        seat,
        began,
        submission,
        built,
    }
}

/// A build that ran past its deadline beside others may only have been slowed down by them.
async fn build_again_alone<'a>(work: Work<'a>, ready: &mut [Ready<'a>], on_event: OnEvent<'_>) {
    for one in ready {
        let is_late = one
            .built
            .as_ref()
            .is_ok_and(|(_, built)| matches!(built.build_outcome(), BuildOutcome::TimedOut { .. }));
        if is_late {
            on_event(Event::Notice(format!(
                "{} is built again, alone: beside others its build ran past the deadline",
                one.seat.row.id
            )));
            *one = self::ready(work, one.seat, on_event).await;
        }
    }
}

async fn measured<'a>(
    work: Work<'a>,
    ready: Ready<'a>,
    expected: Option<f64>,
    on_event: OnEvent<'_>,
) -> Done<'a> {
    let Ready {
        seat,
        began,
        submission,
        built,
    } = ready;
    let id = &seat.row.id;
    let seen = match built {
        Err(error) => Err(error),
        Ok((scratch, built)) => {
            on_event(member(id, "runs", expected));
            let tell = |event| on_event(of_member(id, event));
            let measuring = async { measure(&order(work, seat)?, &built, &scratch, &tell).await };
            let seen = Box::pin(guarded(measuring)).await;
            on_event(Event::MemberEnded { id: id.clone() });
            seen
        }
    };
    Done {
        seat,
        submission,
        seen,
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn member(id: &str, doing: &str, expected: Option<f64>) -> Event {
    Event::MemberStarted {
        id: id.to_owned(),
        doing: doing.to_owned(),
        expected,
    }
}

/// What a phase of one submission is to those who watch the whole class.
fn of_member(id: &str, event: Event) -> Event {
    let progress = |detail| Event::MemberProgress {
        id: id.to_owned(),
        detail,
    };
    match event {
        Event::PhaseStarted { name, .. } => progress(name),
        Event::PhaseProgress { detail } => progress(detail),
        Event::PhaseFinished { name, .. } => progress(format!("{name}: done")),
        Event::Notice(text) => Event::Notice(format!("{id}: {text}")),
        event => event,
    }
}

/// A fault of the harness in one submission's work, or an end that never comes, is that
/// submission's error.
async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout(LONGEST, caught).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => Err(anyhow!("the grader itself failed: {}", message(&*panic))),
        Err(_) => Err(anyhow!(
            "it did not end within {} minutes",
            LONGEST.as_secs() / 60
        )),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason was given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_of_the_harness_is_one_submissions_error() {
        let error = guarded::<()>(async { panic!("index {} is too large", 7) }).await;
        let told = error.unwrap_err().to_string();
        assert_eq!(told, "the grader itself failed: index 7 is too large");
        assert_eq!(guarded(async { Ok(1) }).await.unwrap(), 1);
    }

    #[test]
    fn the_time_that_is_left_is_told_once_something_is_known() {
        let mut pace = Pace {
            all: 10,
            ..Pace::default()
        };
        assert_eq!(pace.left(), None);
        pace.built = 4;
        pace.building = 8.0;
        pace.measured(20.0, true);
        // One that was not built takes no time and says nothing of the others.
        pace.measured(0.1, false);
        pace.done = 2;
        assert_eq!(pace.left(), Some(8.0 * 20.0 + 6.0 * 2.0));
    }
}
