//! `feedgrade check` and `feedgrade regrade`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Blame as _, Done, Failure, assignment, find_docker, run_until_interrupted};
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::database;
use crate::evidence::{self, Evidence};
use crate::exit_code::ExitCode;
use crate::format::{self, Around, Format, Output, Target};
use crate::gather::{Order, gather};
use crate::grade::{Outcome, Verdict};
use crate::judge::judge;
use crate::marks::{Marks, review_list};
use crate::out_dir::{self, OutDir};
use crate::process;
use crate::report::{Report, report};
use crate::sandbox::read_capped;
use crate::scratch::{self, Scratch};
use crate::submission::SubmissionFile;
use crate::yaml::Source;

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The submission's folder.
    #[arg(default_value = ".")]
    submission: PathBuf,
    /// Which exercise. Else `feedgrade.yaml` in the submission says; else the only one there is.
    #[arg(long, value_name = "SLUG")]
    exercise: Option<String>,
    /// Where Postgres comes from: `auto`, `container`, `local`, or the URL of a server. `auto` takes
    /// a container when a Docker engine answers and has or can pull the image, else a private
    /// cluster from the Postgres programs on this machine.
    #[arg(long, default_value = "auto", value_name = "auto|container|local|URL")]
    database: database::Choice,
    /// Results folder. Never inside what is being graded [default: feedgrade-out, here or beside
    /// the submission]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What `regrade` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RegradeArgs {
    /// Results folders, or `evidence.json` files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Marks that a person gave: a `review.yaml` of a results folder with its scores filled in.
    #[arg(long, value_name = "FILE")]
    marks: Option<PathBuf>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How reports are shown, and what they mean for the exit code.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Writes one more output; `-` is stdout. May be repeated. Formats: json, html, junit, markdown,
    /// csv, text, annotations, gradescope, prairielearn, classroom, classroom50.
    #[arg(long = "write", value_name = "FORMAT=PATH")]
    outputs: Vec<Output>,
    /// Another pass mark for the exit code, in points. What must be met must still be met.
    #[arg(long, value_name = "N")]
    fail_under: Option<u32>,
    /// Exits with 0 whenever a grade was reached.
    #[arg(long)]
    exit_zero: bool,
}

pub(super) fn check(args: &CheckArgs, content: &Content, console: &Console) -> Done {
    let submission = submission_folder(&args.submission).usage()?;
    let slug = match &args.exercise {
        Some(slug) => Some(slug.clone()),
        None => exercise_of(&submission).usage()?,
    };
    let assignment = assignment(content, slug.as_deref()).usage()?;
    let around = Around {
        folder: folder_in_repository(&submission),
        ..around(content).usage()?
    };
    let out_dir = OutDir::open(args.out.as_deref(), &submission).usage()?;
    args.show.probe(Some(&submission), &around).usage()?;
    find_docker(&args.database);
    sweep(console);
    let evidence = run_until_interrupted(async {
        let on_event = |event| console.event(event);
        let scratch = Scratch::new().ungraded()?;
        let order = Order {
            submission: &submission,
            name: submission
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            content,
            assignment: &assignment,
            database: &args.database,
            is_full_length: false,
        };
        gather(&order, &scratch, &on_event)
            .await
            .context("not graded")
            .ungraded()
    })?;
    let text = serde_json::to_string_pretty(&evidence)
        .context("write evidence")
        .ungraded()?;
    out_dir.write("evidence.json", &(text + "\n")).ungraded()?;
    let (report, review) = report_of(&assignment, &evidence, None);
    let page = save(&out_dir, &report, review.as_deref(), &around).ungraded()?;
    args.show.show(&report, &around, console)?;
    console.line(&format!("report: {}", page.display()));
    Ok(args.show.exit_code(&report))
}

pub(super) fn regrade(args: &RegradeArgs, content: &Content, console: &Console) -> Done {
    let around = around(content).usage()?;
    args.show.probe(None, &around).usage()?;
    let marks = args.marks.as_deref().map(read_marks).transpose().usage()?;
    let mut worst = ExitCode::Passed;
    let evidence: Vec<(PathBuf, Evidence)> = args
        .paths
        .iter()
        .map(|path| read_evidence(path))
        .collect::<Result<_>>()
        .usage()?;
    for (folder, evidence) in evidence {
        let assignment = content.assignment(&evidence.exercise).usage()?;
        let (report, review) = report_of(&assignment, &evidence, marks.as_ref());
        let out_dir = OutDir::at(folder).usage()?;
        let page = save(&out_dir, &report, review.as_deref(), &around).ungraded()?;
        args.show.show(&report, &around, console)?;
        console.line(&format!("report: {}", page.display()));
        let code = args.show.exit_code(&report);
        if code.number() > worst.number() {
            worst = code;
        }
    }
    Ok(worst)
}

/// The report, and the answers in it that wait for a person, as a file of marks.
fn report_of(
    assignment: &Assignment,
    evidence: &Evidence,
    marks: Option<&Marks>,
) -> (Report, Option<String>) {
    let Assignment {
        exercise,
        rubric,
        material,
    } = assignment;
    let mut grade = judge(exercise, rubric, material, evidence);
    if let Some(marks) = marks {
        grade = marks.apply(&evidence.submission, rubric, grade);
    }
    let review = review_list(&evidence.submission, &grade);
    (report(exercise, evidence, grade), review)
}

/// Reads a file of marks.
fn read_marks(path: &Path) -> Result<Marks> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Marks::parse(&Source {
        name: path.display().to_string(),
        text,
    })
}

/// What formats need besides the report.
fn around(content: &Content) -> Result<Around> {
    let variables = format::classroom50::VARIABLES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    Ok(Around {
        template: template(content)?,
        folder: String::new(),
        variables,
    })
}

/// The submission's folder from the root of the repository that a CI job has checked out, else from
/// the working folder.
fn folder_in_repository(submission: &Path) -> String {
    let root = match std::env::var_os("GITHUB_WORKSPACE") {
        Some(root) => fs::canonicalize(root),
        None => std::env::current_dir(),
    };
    root.ok()
        .and_then(|root| submission.strip_prefix(root).ok())
        .map(|folder| folder.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// An author's own template for the page, read once so that its mistakes stop the run.
fn template(content: &Content) -> Result<Option<String>> {
    let Some(source) = content.template()? else {
        return Ok(None);
    };
    format::html::read(&source.text).with_context(|| format!("read {}", source.name))?;
    Ok(Some(source.text))
}

/// Writes `report.json`, `report.html` and, when answers wait for a person, `review.yaml`; the path
/// of the page.
fn save(
    out_dir: &OutDir,
    report: &Report,
    review: Option<&str>,
    around: &Around,
) -> Result<PathBuf> {
    // Scores that a person filled in are never lost to a run.
    let filled_in = read_marks(&out_dir.path().join("review.yaml"))
        .is_ok_and(|marks| marks.marks.iter().any(|mark| mark.score.is_some()));
    match review {
        _ if filled_in => {}
        Some(review) => out_dir.write("review.yaml", review).map(drop)?,
        None => out_dir.remove("review.yaml")?,
    }
    out_dir.write("report.json", &format::render(Format::Json, report, None)?)?;
    out_dir.write(
        "report.html",
        &format::render_in(Format::Html, report, around)?,
    )
}

impl ShowArgs {
    /// Finds out before anything slow starts whether all outputs can be written.
    fn probe(&self, submission: Option<&Path>, around: &Around) -> Result<()> {
        let mut on_stdout = 0;
        for output in &self.outputs {
            if output.format == Format::Classroom50 {
                format::classroom50::missing(&around.variables)?;
            }
            match &output.to {
                Target::Stdout => on_stdout += 1,
                Target::File(path) => {
                    if let Some(submission) = submission {
                        out_dir::outside(path, submission)?;
                    }
                    out_dir::probe(path)?;
                }
            }
        }
        ensure!(
            on_stdout <= 1,
            "only one output fits on stdout: give the others a path"
        );
        Ok(())
    }

    /// Writes every output. The summary for people goes to stdout unless an output is already there.
    fn show(&self, report: &Report, around: &Around, console: &Console) -> Result<(), Failure> {
        let mut stdout_taken = false;
        for output in &self.outputs {
            let text = format::render_in(output.format, report, around).ungraded()?;
            match &output.to {
                Target::File(path) => out_dir::write(path, &text).ungraded()?,
                Target::Stdout => {
                    stdout_taken = true;
                    console.raw(&text).context("write to stdout").ungraded()?;
                }
            }
        }
        if !stdout_taken {
            let text = format::render(Format::Text, report, None).ungraded()?;
            console
                .answer(&text)
                .context("write to stdout")
                .ungraded()?;
        }
        Ok(())
    }

    fn exit_code(&self, report: &Report) -> ExitCode {
        let passed = match self.fail_under {
            None => report.outcome == Outcome::Passed,
            Some(points) => {
                report.points >= points
                    && report
                        .criteria
                        .iter()
                        .all(|c| !c.must || c.verdict == Verdict::Met)
            }
        };
        match report.outcome {
            Outcome::Ungraded => ExitCode::Ungraded,
            _ if passed || self.exit_zero => ExitCode::Passed,
            _ => ExitCode::Failed,
        }
    }
}

/// The folder, absolute, when it is one that can be graded.
fn submission_folder(path: &Path) -> Result<PathBuf> {
    let Ok(folder) = fs::canonicalize(path) else {
        bail!(
            "there is no folder {}: name the folder of your submission",
            path.display()
        );
    };
    ensure!(
        folder.is_dir(),
        "{} is no folder: name the folder of your submission",
        path.display()
    );
    ensure!(
        folder.join("Cargo.toml").is_file(),
        "{} is no submission, because it has no Cargo.toml: start with `feedgrade new DIR`",
        path.display()
    );
    Ok(folder)
}

/// What `feedgrade.yaml` in a submission says.
fn exercise_of(submission: &Path) -> Result<Option<String>> {
    let path = submission.join("feedgrade.yaml");
    let bytes = match read_capped(&path, 64 * 1024)? {
        None => return Ok(None),
        Some(Err(bytes)) => bail!("feedgrade.yaml has {bytes} bytes: it is no feedgrade.yaml"),
        Some(Ok(bytes)) => bytes,
    };
    let text = String::from_utf8(bytes).context("feedgrade.yaml is not UTF-8")?;
    let file: SubmissionFile = Source {
        name: "feedgrade.yaml".into(),
        text,
    }
    .parse()?;
    Ok(Some(file.exercise))
}

/// What every version of `evidence.json` has.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

/// Reads saved evidence: the folder that it lies in, and what it says.
fn read_evidence(path: &Path) -> Result<(PathBuf, Evidence)> {
    let file = if path.is_dir() {
        path.join("evidence.json")
    } else {
        path.to_owned()
    };
    let text = fs::read_to_string(&file).with_context(|| {
        format!(
            "read {}: name a results folder or an evidence.json",
            file.display()
        )
    })?;
    let Version { version } = serde_json::from_str(&text)
        .with_context(|| format!("{} is no evidence", file.display()))?;
    ensure!(
        version == evidence::VERSION,
        "{} has version {version} and this program reads version {}: use the feedgrade that wrote it",
        file.display(),
        evidence::VERSION
    );
    let evidence = serde_json::from_str(&text)
        .with_context(|| format!("{} is no evidence", file.display()))?;
    let file = std::path::absolute(&file).context("find the working folder")?;
    Ok((file.parent().unwrap_or(Path::new("/")).to_owned(), evidence))
}

/// Cleans up after runs that were killed. What cannot be cleaned up is said and stops nothing.
pub(super) fn sweep(console: &Console) {
    match scratch::sweep(process::kill_tree) {
        Ok(swept) if swept.is_empty() => {}
        Ok(swept) => console.line(&format!(
            "cleaned up after {} run(s) that were killed",
            swept.len()
        )),
        Err(error) => console.error(&error.context("clean up after earlier runs")),
    }
}
