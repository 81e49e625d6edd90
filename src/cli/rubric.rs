//! `feedgrade rubric`: what the author of a rubric needs to get it right.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Blame as _, Done, answer, assignment};
use crate::ablation;
use crate::agreement;
use crate::answers;
use crate::check::answer::explain::explain;
use crate::check::answer::grader::Grader;
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::exit_code::ExitCode;
use crate::out_dir;
use crate::rubric::Rubric;
use crate::rubric_lint::{Severity, lint};
use crate::yaml::Source;

#[derive(Debug, clap::Subcommand)]
pub(super) enum RubricCommand {
    /// Lints a rubric and runs the tests that stand beside its questions.
    Check {
        /// The rubric, e.g. rubrics/connection-pools.yaml.
        file: PathBuf,
    },
    /// Measures how well a rubric's marks agree with those of people.
    Measure {
        /// The rubric, e.g. rubrics/connection-pools.yaml.
        file: PathBuf,
        /// Answers that people marked: one JSON object a line, with `question`, `answer`, `score`
        /// and `kind`.
        labelled: PathBuf,
        /// Writes the figures too; `json=-` is stdout, instead of the text.
        #[arg(long = "write", value_name = "json=PATH")]
        output: Option<String>,
        /// Misses that are quoted, worst first.
        #[arg(long, default_value_t = 10, value_name = "N")]
        misses: usize,
        /// Also shows what each step of judging adds, with a bootstrap interval.
        #[arg(long)]
        ablation: bool,
    },
    /// Shows which words of an answer earned what, and by which pattern. For authors: it names what
    /// learners must not see.
    Explain {
        /// An ANSWERS.md, or a folder that has one.
        path: PathBuf,
        /// Which exercise. Else the only one there is.
        #[arg(long, value_name = "SLUG")]
        exercise: Option<String>,
        /// Only this question, e.g. `q4`.
        #[arg(long, value_name = "ID")]
        question: Option<String>,
    },
}

pub(super) fn rubric(command: RubricCommand, content: &Content, console: &Console) -> Done {
    match command {
        RubricCommand::Check { file } => check(&file, content, console),
        RubricCommand::Measure {
            file,
            labelled,
            output,
            misses,
            ablation: ablate,
        } => {
            let json = output.as_deref().map(json_path).transpose().usage()?;
            let (_, assignment) = read(&file, content).usage()?;
            let text = fs::read_to_string(&labelled)
                .with_context(|| format!("read {}", labelled.display()))
                .usage()?;
            let labelled = agreement::parse(&labelled.display().to_string(), &text).usage()?;
            let Assignment {
                exercise,
                rubric,
                material,
            } = &assignment;
            let grader = Grader::new(&rubric.answers, exercise, material);
            let measured = agreement::measure(&grader, &labelled);
            let figures = serde_json::to_string_pretty(&measured)
                .context("write the figures")
                .ungraded()?
                + "\n";
            match json {
                Some("-") => {
                    console
                        .raw(&figures)
                        .context("write to stdout")
                        .ungraded()?;
                    return Ok(ExitCode::Passed);
                }
                Some(path) => out_dir::write(Path::new(path), &figures).ungraded()?,
                None => {}
            }
            let mut text = measured.to_text(misses);
            if ablate {
                let make =
                    |steps| Grader::new(&rubric.answers, exercise, material).with_steps(steps);
                text.push('\n');
                let worth = ablation::ablation(make, &labelled);
                text.push_str(&ablation::to_text(&measured, &worth));
            }
            answer(console, &text)
        }
        RubricCommand::Explain {
            path,
            exercise,
            question,
        } => {
            let Assignment {
                exercise,
                rubric,
                material,
            } = assignment(content, exercise.as_deref()).usage()?;
            let path = if path.is_dir() {
                path.join("ANSWERS.md")
            } else {
                path
            };
            let bytes = fs::read(&path)
                .with_context(|| format!("read {}", path.display()))
                .usage()?;
            let answers = answers::parse(&String::from_utf8_lossy(&bytes), &material.template);
            let grader = Grader::new(&rubric.answers, &exercise, &material);
            let mut text = String::new();
            for (id, written) in &answers.questions {
                if question.as_ref().is_none_or(|only| only == id) {
                    text.push_str(&explain(&grader.judge(id, &written.text)));
                    text.push('\n');
                }
            }
            answer(console, &text)
        }
    }
}

fn check(file: &Path, content: &Content, console: &Console) -> Done {
    let (source, assignment) = read(file, content).usage()?;
    let Assignment {
        exercise,
        rubric,
        material,
    } = &assignment;
    let remarks = lint(&source, rubric, exercise, material);
    let faults = remarks
        .iter()
        .filter(|remark| remark.severity == Severity::Fault)
        .count();
    let mut text = String::new();
    for remark in &remarks {
        text.push_str(&remark.text);
        text.push_str("\n\n");
    }
    let _ = match (faults, remarks.len()) {
        (0, 0) => writeln!(text, "No remarks."),
        (faults, all) => writeln!(text, "{faults} faults, {} notes.", all - faults),
    };
    answer(console, &text)?;
    // A faulty rubric is an author's mistake like a malformed one.
    Ok(if faults == 0 {
        ExitCode::Passed
    } else {
        ExitCode::Usage
    })
}

/// A rubric file with the exercise that it is for.
fn read(file: &Path, content: &Content) -> Result<(Source, Assignment)> {
    #[derive(serde::Deserialize)]
    struct Head {
        exercise: String,
    }
    let text =
        fs::read_to_string(file).with_context(|| format!("read the rubric {}", file.display()))?;
    let source = Source {
        name: file.display().to_string(),
        text,
    };
    let head: Head = source.parse()?;
    let mut assignment = content.assignment(&head.exercise)?;
    assignment.rubric = Rubric::parse(&source, &assignment.exercise)?;
    Ok((source, assignment))
}

fn json_path(output: &str) -> Result<&str> {
    let path = output.strip_prefix("json=").unwrap_or_default();
    ensure!(
        !path.is_empty(),
        "`{output}` is no output: write json=PATH, or json=- for stdout"
    );
    if path != "-" {
        out_dir::probe(Path::new(path))?;
    }
    Ok(path)
}
