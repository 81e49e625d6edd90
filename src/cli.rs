//! The command line: what people type, and which conductor it sets to work.
//!
//! Parses everything first and acts later. Decides nothing about grades.

mod batch;
mod check;
mod exercise;
mod machine;
mod proof;
mod results;
mod rubric;
mod sheet;

use std::future::Future;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::{Color, Console};
use crate::content::{Assignment, Content};
use crate::database::{Choice, docker_host_to_set};
use crate::exit_code::ExitCode;
use crate::isolation::Isolation;
use crate::loadtest::LoadtestArgs;
use crate::process;

/// Grades backend exercises by running them: a real Postgres, real load, real query plans.
#[derive(Debug, Parser)]
#[command(
    name = "feedgrade",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    /// When to use colours.
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, value_name = "WHEN")]
    color: Color,
    /// Takes exercises, rubrics, references and templates from DIR instead of the ones in this
    /// program.
    #[arg(long, global = true, value_name = "DIR")]
    content: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Grades one submission.
    Check(check::CheckArgs),
    /// Copies an exercise's starter into a new folder, ready to work on.
    New(exercise::NewArgs),
    /// Judges saved evidence again with today's rubric: no build, no database, no load.
    Regrade(check::RegradeArgs),
    /// Grades every submission below a folder: what is finished is never done twice.
    Batch(batch::BatchArgs),
    /// Makes one class of the shards that several machines graded.
    Merge(batch::MergeArgs),
    /// Tells what changed between two results of a class, for whom, and why.
    Diff(batch::DiffArgs),
    /// Fills in a class's points in the sheet that an instructor exported.
    #[command(subcommand)]
    Sheet(sheet::SheetCommand),
    /// Sends load to a server and measures what comes back.
    Loadtest(LoadtestArgs),
    /// Lists, proves and describes exercises.
    #[command(subcommand)]
    Exercise(exercise::ExerciseCommand),
    /// Lints rubrics, and measures them against answers that people marked.
    #[command(subcommand)]
    Rubric(rubric::RubricCommand),
    /// Tells what this machine has and lacks, and what to do about it.
    Doctor,
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Reads the arguments and does what they say.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers and no mistakes.
            let usage = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Passed
            };
            let _ = error.print();
            return usage;
        }
    };
    let console = Console::new(cli.color);
    process::adopt_orphans();
    let content = cli.content.map_or(Content::Embedded, Content::Folder);
    let done = match cli.command {
        Command::Check(args) => check::check(&args, &content, &console),
        Command::New(args) => exercise::new(&args, &content, &console),
        Command::Regrade(args) => check::regrade(&args, &content, &console),
        Command::Batch(args) => batch::batch(&args, &content, &console),
        Command::Merge(args) => batch::merge(&args, &content, &console),
        Command::Diff(args) => batch::diff(&args, &console),
        Command::Sheet(command) => sheet::sheet(command, &console),
        Command::Loadtest(args) => machine::loadtest(args, &console),
        Command::Exercise(command) => exercise::exercise(command, &content, &console),
        Command::Rubric(command) => rubric::rubric(command, &content, &console),
        Command::Doctor => machine::doctor(&content, &console),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "feedgrade", &mut script);
            answer(&console, &String::from_utf8_lossy(&script))
        }
    };
    done.unwrap_or_else(|failure| {
        console.error(&failure.error);
        failure.code
    })
}

/// An error with the exit code that it means.
#[derive(Debug)]
struct Failure {
    code: ExitCode,
    error: anyhow::Error,
}

type Done = Result<ExitCode, Failure>;

/// Whose fault an error is, said where it is known.
trait Blame<T> {
    /// The arguments, the submission's path, the exercise or the rubric: nothing ran.
    fn usage(self) -> Result<T, Failure>;
    /// The harness or the machine: no grade.
    fn ungraded(self) -> Result<T, Failure>;
}

impl<T> Blame<T> for Result<T> {
    fn usage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            code: ExitCode::Usage,
            error,
        })
    }

    fn ungraded(self) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            code: ExitCode::Ungraded,
            error,
        })
    }
}

/// How submissions are run: what `check`, `batch` and `exercise check` share.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Where Postgres comes from: `auto`, `container`, `local`, or the URL of a server. `auto` takes
    /// a container when a Docker engine answers and has or can pull the image, else a private
    /// cluster from the Postgres programs on this machine.
    #[arg(long, default_value = "auto", value_name = "auto|container|local|URL")]
    database: Choice,
    /// Whether what the submission runs is confined: `auto` as far as this machine can, `required`
    /// wholly or not at all, `none` never.
    #[arg(long, value_enum, default_value_t = Isolation::Auto, value_name = "auto|required|none")]
    isolation: Isolation,
}

/// Runs `work` until it ends, or until Ctrl-C, SIGTERM or SIGHUP: then it is dropped, and its guards leave
/// nothing behind.
fn run_until_interrupted<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")
        .ungraded()?;
    runtime.block_on(async {
        let listen = |kind| signal(kind).context("listen for signals").ungraded();
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
            _ = terminate.recv() => Err(interrupted()),
            _ = hang_up.recv() => Err(interrupted()),
        }
    })
}

/// Starts the program again with `DOCKER_HOST` where only rootless Docker or podman answers: the
/// library behind containers reads it from the environment, which nobody may change while threads
/// run. Returns when there is no need to, or it does not work; then the engine is asked as it is.
fn find_docker(database: &Choice) {
    use std::os::unix::process::CommandExt as _;
    if !matches!(database, Choice::Auto | Choice::Container) {
        return;
    }
    let found = run_until_interrupted(async { Ok(docker_host_to_set().await) });
    if let (Ok(Some(host)), Ok(program)) = (found, std::env::current_exe()) {
        let arguments = std::env::args_os().skip(1);
        let _ = std::process::Command::new(program)
            .args(arguments)
            .env("DOCKER_HOST", host)
            .exec();
    }
}

fn interrupted() -> Failure {
    let error = anyhow::anyhow!(
        "interrupted: all that was started is stopped again, and there is no result"
    );
    Failure {
        code: ExitCode::Interrupted,
        error,
    }
}

fn answer(console: &Console, text: &str) -> Done {
    console.answer(text).context("write to stdout").ungraded()?;
    Ok(ExitCode::Passed)
}

/// The named exercise, or the only one there is.
fn assignment(content: &Content, slug: Option<&str>) -> Result<Assignment> {
    if let Some(slug) = slug {
        return content.assignment(slug);
    }
    match content.slugs()?.as_slice() {
        [only] => content.assignment(only),
        [] => bail!("there are no exercises here"),
        several => bail!(
            "name one of the exercises with --exercise: {}",
            several.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is() {
        let mut open = vec![Cli::command()];
        while let Some(command) = open.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {argument}",
                    command.get_name()
                );
            }
            open.extend(command.get_subcommands().cloned());
        }
    }
}
