//! The console: all that people read on stderr while the program runs, and the answer on stdout.
//!
//! The only module besides `main` that prints. Turns [`Event`]s into a spinner or bar when stderr
//! is a terminal, and into one plain line a phase when it is not. A closed pipe ends
//! the talking and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::event::Event;
use crate::format::escape;
use crate::format::figure;

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// As `NO_COLOR`, `CLICOLOR_FORCE` and the terminal say.
    #[default]
    Auto,
    /// Even into a file.
    Always,
    /// Nowhere.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const NOTICE: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();

/// Speaks to people.
#[derive(Debug)]
pub struct Console {
    color: Color,
    live: bool,
    phase: Mutex<Option<ProgressBar>>,
    class: Mutex<Option<ClassBars>>,
}

/// The bars of a batch: one for each submission at work, and below them one for the class.
#[derive(Debug)]
struct ClassBars {
    all: MultiProgress,
    class: ProgressBar,
    members: BTreeMap<String, ProgressBar>,
}

impl Console {
    /// Looks once whether stderr is a terminal.
    #[must_use]
    pub fn new(color: Color) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            color,
            live: io::stderr().is_terminal() && !dumb,
            phase: Mutex::new(None),
            class: Mutex::new(None),
        }
    }

    /// Shows an event.
    pub fn event(&self, event: Event) {
        match event {
            Event::PhaseStarted { name, expected } => self.phase_started(&name, expected),
            Event::PhaseProgress { detail } => {
                if let Some(bar) = &*self.phase() {
                    bar.set_message(escape::one_line(&escape::clean(&detail)));
                }
            }
            Event::PhaseFinished {
                name,
                seconds,
                result,
            } => self.phase_finished(&name, seconds, &result),
            Event::MemberStarted {
                id,
                doing,
                expected,
            } => self.member_started(id, &doing, expected),
            Event::MemberProgress { id, detail } => {
                if let Some(bar) = self.class().as_ref().and_then(|bars| bars.members.get(&id)) {
                    bar.set_message(escape::one_line(&escape::clean(&detail)));
                }
            }
            Event::MemberEnded { id } => {
                if let Some(bars) = &mut *self.class()
                    && let Some(bar) = bars.members.remove(&id)
                {
                    bar.finish_and_clear();
                    bars.all.remove(&bar);
                }
            }
            Event::ClassProgress { done, all, left } => self.class_progress(done, all, left),
            Event::Notice(text) => {
                let text = escape::clean(&text);
                self.line(&format!("{NOTICE}note:{NOTICE:#} {text}"));
            }
        }
    }

    /// `error:`, what went wrong and, on a second line, why.
    pub fn error(&self, error: &anyhow::Error) {
        self.clear();
        let mut causes = error.chain().map(|cause| escape::clean(&cause.to_string()));
        let what = causes.next().unwrap_or_default();
        self.line(&format!("{ERROR}error:{ERROR:#} {}", what.trim_end()));
        let why: Vec<String> = causes.map(|cause| cause.trim_end().to_owned()).collect();
        if !why.is_empty() {
            self.line(&format!("  {}", why.join(": ")));
        }
    }

    /// A line for people on stderr, e.g. where the report is.
    pub fn line(&self, text: &str) {
        let print = || {
            let mut stderr = AutoStream::new(io::stderr(), self.choice_of_stderr());
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(stderr, "{text}");
        };
        if let Some(bars) = &*self.class() {
            return bars.all.suspend(print);
        }
        match &*self.phase() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// The answer on stdout, styles kept only where they are wanted.
    ///
    /// # Errors
    /// When stdout cannot be written. A pipe that was closed by its reader is no error.
    pub fn answer(&self, text: &str) -> io::Result<()> {
        self.clear();
        let mut stdout = AutoStream::new(io::stdout(), self.color.into());
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Bytes for a machine on stdout, as they are.
    ///
    /// # Errors
    /// As [`Console::answer`].
    pub fn raw(&self, text: &str) -> io::Result<()> {
        self.clear();
        let mut stdout = io::stdout();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Takes a spinner away that still turns, e.g. before an error.
    pub fn clear(&self) {
        if let Some(bar) = self.phase().take() {
            bar.finish_and_clear();
        }
        if let Some(bars) = self.class().take() {
            for bar in bars.members.values().chain([&bars.class]) {
                bar.finish_and_clear();
            }
        }
    }

    fn phase_started(&self, name: &str, expected: Option<f64>) {
        self.clear();
        let name = escape::one_line(&escape::clean(name));
        // Without a terminal, one line a phase is enough: the one that says how it ended.
        if !self.live {
            return;
        }
        let bar = ProgressBar::no_length().with_style(match expected {
            Some(seconds) if seconds > 0.0 => {
                timed("{spinner} {prefix} {far} {elapsed} {wide_msg}", seconds)
            }
            _ => style("{spinner} {prefix} {elapsed} {wide_msg}"),
        });
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        *self.phase() = Some(bar);
    }

    /// `  13.4 s  build the submission  4 errors`: times stand below each other.
    fn phase_finished(&self, name: &str, seconds: f64, result: &str) {
        let name = escape::one_line(&escape::clean(name));
        if let Some(bar) = self.phase().take_if(|bar| bar.prefix() == name) {
            bar.finish_and_clear();
        }
        let seconds = figure::seconds(seconds);
        let result = escape::one_line(&escape::clean(result));
        let line = format!("{DIM}{seconds:>8}{DIM:#}  {name}  {result}");
        self.line(line.trim_end());
    }

    /// Without a terminal, the line that tells of each finished submission is enough.
    fn member_started(&self, id: String, doing: &str, expected: Option<f64>) {
        let mut class = self.class();
        let Some(bars) = class.as_mut() else { return };
        let name = escape::shorten(&escape::one_line(&escape::clean(&id)), 32);
        let bar = bars.all.insert_before(
            &bars.class,
            ProgressBar::no_length().with_style(match expected {
                Some(seconds) => timed("  {spinner} {prefix} {far} {left} {wide_msg}", seconds),
                None => style("  {spinner} {prefix} {elapsed} {wide_msg}"),
            }),
        );
        bar.set_prefix(format!("{name} {doing}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        bars.members.insert(id, bar);
    }

    fn class_progress(&self, done: usize, all: usize, left: Option<f64>) {
        if !self.live {
            if let Some(seconds) = left.filter(|_| done > 0 && done < all) {
                let left = figure::seconds(seconds);
                self.line(&format!("{DIM}{:>8}{DIM:#}  about {left} left", ""));
            }
            return;
        }
        let mut class = self.class();
        let bars = class.get_or_insert_with(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let bar = bars.add(ProgressBar::new(all as u64).with_style(
                style("{pos:>4} of {len} {bar:20} {elapsed} {wide_msg}").progress_chars("━━╌"),
            ));
            bar.enable_steady_tick(Duration::from_secs(1));
            ClassBars {
                all: bars,
                class: bar,
                members: BTreeMap::new(),
            }
        });
        bars.class.set_position(done as u64);
        let left = left.map(|seconds| format!("about {} left", figure::seconds(seconds)));
        bars.class.set_message(left.unwrap_or_default());
    }

    fn class(&self) -> std::sync::MutexGuard<'_, Option<ClassBars>> {
        self.class.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choice_of_stderr(&self) -> ColorChoice {
        match self.color {
            Color::Auto => AutoStream::choice(&io::stderr()),
            color => color.into(),
        }
    }

    fn phase(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bar of 20 columns for the part of the expected time that has passed.
fn far(elapsed: f64, expected: f64) -> String {
    const COLUMNS: usize = 20;
    let done = (1..=COLUMNS)
        .filter(|&column| figure::share(column, COLUMNS) <= elapsed / expected)
        .count();
    format!("{}{}", "━".repeat(done), "╌".repeat(COLUMNS - done))
}

/// A style that knows how long it is expected to take: `{far}` is a bar of it, `{left}` the rest.
fn timed(template: &str, expected: f64) -> ProgressStyle {
    // Nothing to be done when there is no terminal any more.
    style(template)
        .with_key("far", move |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&far(state.elapsed().as_secs_f64(), expected));
        })
        .with_key("left", move |state: &ProgressState, out: &mut dyn Write| {
            let left = (expected - state.elapsed().as_secs_f64()).max(0.0);
            let _ = write!(out, "{} left", figure::seconds(left));
        })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_with_time_and_never_overflows() {
        assert_eq!(far(0.0, 10.0).matches('━').count(), 0);
        assert_eq!(far(5.0, 10.0).matches('━').count(), 10);
        assert_eq!(far(50.0, 10.0).matches('━').count(), 20);
    }
}
