//! `feedgrade new` and `feedgrade exercise`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::check::sweep;
use super::{Blame as _, Done, answer, assignment, find_docker, run_until_interrupted};
use crate::authoring::{Proof, prove, specimens};
use crate::console::Console;
use crate::content::Content;
use crate::database;
use crate::exercise::Exercise;
use crate::exit_code::ExitCode;
use crate::format;
use crate::rubric::Rubric;

/// What `new` takes.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// The folder to make.
    dir: PathBuf,
    /// Which exercise. Else the only one there is.
    #[arg(long, value_name = "SLUG")]
    exercise: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum ExerciseCommand {
    /// Lists all exercises.
    List,
    /// Proves an exercise: grades its starter, its solution and its specimens, and compares with
    /// what they must get.
    Check {
        /// Which exercise. Else the only one there is.
        exercise: Option<String>,
        /// Where Postgres comes from, as in `check`.
        #[arg(long, default_value = "auto", value_name = "auto|container|local|URL")]
        database: database::Choice,
        /// Grades only these, e.g. `solution`. May be repeated.
        #[arg(long = "only", value_name = "NAME")]
        only: Vec<String>,
    },
    /// Prints the JSON Schema of a kind of file.
    Schema {
        /// The kind of file.
        kind: SchemaKind,
    },
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SchemaKind {
    /// `report.json`
    Report,
    /// `evidence.json`
    Evidence,
    /// `exercise.yaml`
    Exercise,
    /// `rubrics/*.yaml`
    Rubric,
}

pub(super) fn new(args: &NewArgs, content: &Content, console: &Console) -> Done {
    let assignment = assignment(content, args.exercise.as_deref()).usage()?;
    let slug = &assignment.exercise.slug.value;
    let fill = || -> Result<()> {
        let is_empty = fs::read_dir(&args.dir).map_or(true, |mut entries| entries.next().is_none());
        ensure!(
            is_empty && (!args.dir.exists() || args.dir.is_dir()),
            "{} is there already: name a folder that is not",
            args.dir.display()
        );
        content.extract(&format!("exercises/{slug}/starter"), &args.dir)?;
        let submission_file = args.dir.join("feedgrade.yaml");
        fs::write(&submission_file, format!("exercise: {slug}\n"))
            .with_context(|| format!("write {}", submission_file.display()))?;
        for (path, bytes) in content.files(&format!("exercises/{slug}"))? {
            if path == "README.md" || path.starts_with("assets/") {
                let to = args.dir.join(&path);
                fs::create_dir_all(to.parent().unwrap_or(&args.dir))
                    .and_then(|()| fs::write(&to, bytes))
                    .with_context(|| format!("write {}", to.display()))?;
            }
        }
        Ok(())
    };
    fill().usage()?;
    let dir = args.dir.display();
    answer(
        console,
        &format!(
            "{} is ready.\n\n  cd {dir}\n  start with README.md\n  feedgrade check .\n",
            assignment.exercise.title
        ),
    )
}

pub(super) fn exercise(command: ExerciseCommand, content: &Content, console: &Console) -> Done {
    match command {
        ExerciseCommand::List => list(content, console),
        ExerciseCommand::Schema { kind } => {
            let schema = match kind {
                SchemaKind::Report => format::json::schema(),
                SchemaKind::Evidence => schemars::schema_for!(crate::evidence::Evidence).to_value(),
                SchemaKind::Exercise => schemars::schema_for!(Exercise).to_value(),
                SchemaKind::Rubric => schemars::schema_for!(Rubric).to_value(),
            };
            let text = serde_json::to_string_pretty(&schema)
                .context("print the schema")
                .ungraded()?;
            answer(console, &(text + "\n"))
        }
        ExerciseCommand::Check {
            exercise,
            database,
            only,
        } => check(exercise.as_deref(), &database, &only, content, console),
    }
}

fn list(content: &Content, console: &Console) -> Done {
    let mut text = String::new();
    for slug in content.slugs().usage()? {
        let assignment = content.assignment(&slug).usage()?;
        let exercise = &assignment.exercise;
        let _ = writeln!(
            text,
            "{slug}\n  {}\n  {}\n  about {} minutes, {} points, {} to pass",
            exercise.title,
            exercise.summary,
            exercise.minutes,
            *assignment.rubric.max_points,
            *assignment.rubric.pass_mark
        );
    }
    answer(console, &text)
}

fn check(
    exercise: Option<&str>,
    database: &database::Choice,
    only: &[String],
    content: &Content,
    console: &Console,
) -> Done {
    let assignment = assignment(content, exercise).usage()?;
    let mut specimens = specimens(content, &assignment).usage()?;
    for name in only {
        let known: Vec<&str> = specimens
            .iter()
            .map(|specimen| specimen.name.as_str())
            .collect();
        if !known.contains(&name.as_str()) {
            let error = anyhow::anyhow!(
                "there is no specimen `{name}`: there is {}",
                known.join(", ")
            );
            return Err(error).usage();
        }
    }
    specimens.retain(|specimen| only.is_empty() || only.contains(&specimen.name));
    find_docker(database);
    sweep(console);
    let proofs = run_until_interrupted(async {
        let on_event = |event| console.event(event);
        let mut proofs = Vec::new();
        for specimen in &specimens {
            let proof = prove(content, &assignment, specimen, database, &on_event)
                .await
                .ungraded()?;
            proofs.push(proof);
        }
        Ok(proofs)
    })?;
    answer(console, &table(&proofs))?;
    let proved = proofs.iter().all(|proof| proof.differences.is_empty());
    Ok(if proved {
        ExitCode::Passed
    } else {
        ExitCode::Failed
    })
}

fn table(proofs: &[Proof]) -> String {
    let mut text = String::new();
    let width = proofs
        .iter()
        .map(|proof| proof.name.len())
        .max()
        .unwrap_or(0);
    for proof in proofs {
        let _ = writeln!(
            text,
            "{} {:width$}  {:3} of {} points  {:4.0} s  {}",
            if proof.differences.is_empty() {
                "ok  "
            } else {
                "FAIL"
            },
            proof.name,
            proof.grade.points,
            proof.grade.max_points,
            proof.seconds,
            proof.proves
        );
        for difference in &proof.differences {
            let _ = writeln!(text, "     {difference}");
        }
    }
    let wrong = proofs
        .iter()
        .filter(|proof| !proof.differences.is_empty())
        .count();
    let _ = match wrong {
        0 => writeln!(
            text,
            "\nAll {} got exactly what they must get.",
            proofs.len()
        ),
        _ => writeln!(
            text,
            "\n{wrong} of {} did not get what they must get.",
            proofs.len()
        ),
    };
    text
}
