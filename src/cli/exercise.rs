//! `feedgrade new` and `feedgrade exercise`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::proof;
use super::results::sweep;
use super::{Blame as _, Done, RunArgs, answer, assignment, find_docker, run_until_interrupted};
use crate::authoring::{Measuring, Proof, Specimen, prove, specimens};
use crate::console::Console;
use crate::content::Content;
use crate::exercise::Exercise;
use crate::exit_code::ExitCode;
use crate::format;
use crate::out_dir::OutDir;
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
    Check(ProveArgs),
    /// Prints the JSON Schema of a kind of file.
    Schema {
        /// The kind of file.
        kind: SchemaKind,
    },
}

/// What `exercise check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ProveArgs {
    /// Which exercise. Else the only one there is.
    exercise: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// Grades only these, e.g. `solution`. May be repeated.
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// Measures each so often, and tells which verdicts changed: whether the exercise is fair on
    /// machines like this one.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Keeps one processor busy with something else meanwhile.
    #[arg(long)]
    noise: bool,
    /// Measures every stage as long as the exercise allows, however sure one is before.
    #[arg(long)]
    full_length: bool,
    /// Keeps the evidence of every run in DIR, as `<name>-<number>.json`.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
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
    /// `batch.json`
    Batch,
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
                SchemaKind::Batch => format::class::schema(),
            };
            let text = serde_json::to_string_pretty(&schema)
                .context("print the schema")
                .ungraded()?;
            answer(console, &(text + "\n"))
        }
        ExerciseCommand::Check(args) => check(&args, content, console),
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

fn check(args: &ProveArgs, content: &Content, console: &Console) -> Done {
    let assignment = assignment(content, args.exercise.as_deref()).usage()?;
    let mut specimens = specimens(content, &assignment).usage()?;
    for name in &args.only {
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
    specimens.retain(|specimen| args.only.is_empty() || args.only.contains(&specimen.name));
    let kept = args.keep.clone().map(OutDir::at).transpose().usage()?;
    find_docker(&args.run.database);
    sweep(console);
    let measuring = Measuring {
        database: &args.run.database,
        isolation: args.run.isolation,
        repeat: args.repeat,
        has_noise: args.noise,
        is_full_length: args.full_length,
    };
    let proofs = run_until_interrupted(async {
        let on_event = |event| console.event(event);
        let mut all = Vec::new();
        for specimen in &specimens {
            let mut proofs = Vec::new();
            let keep = |proof: Proof| {
                if let Some(folder) = &kept {
                    let name = format!("{}-{}.json", specimen.name, proofs.len() + 1);
                    folder.write(&name, &serde_json::to_string(&proof.evidence)?)?;
                }
                if args.repeat > 1 {
                    console.line(&run_line(specimen, proofs.len() + 1, &proof));
                }
                proofs.push(proof);
                Ok(())
            };
            prove(content, &assignment, specimen, measuring, &on_event, keep)
                .await
                .ungraded()?;
            all.push(proofs);
        }
        Ok(all)
    })?;
    let mut text = String::new();
    let is_proved = if args.repeat == 1 {
        proof::table(&mut text, &specimens, &proofs)
    } else {
        proof::flips(&mut text, &specimens, &proofs)
    };
    answer(console, &text)?;
    Ok(if is_proved {
        ExitCode::Passed
    } else {
        ExitCode::Failed
    })
}

fn run_line(specimen: &Specimen, number: usize, proof: &Proof) -> String {
    let mut line = format!(
        "{} run {number}: {} of {} points, {:.0} s",
        specimen.name, proof.grade.points, proof.grade.max_points, proof.seconds
    );
    for difference in &proof.differences {
        let _ = write!(line, "\n     {difference}");
    }
    line
}
