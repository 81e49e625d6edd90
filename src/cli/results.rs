//! Results: from evidence to the files, the answer and the exit code, the same for one submission and
//! for a class.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Blame as _, Failure};
use crate::cgroup;
use crate::console::Console;
use crate::content::{Assignment, Content};
use crate::evidence::{self, Evidence};
use crate::exit_code::ExitCode;
use crate::format::{self, Around, Format, Output, Target};
use crate::grade::{Outcome, Verdict};
use crate::judge::judge;
use crate::marks::{Marks, review_list};
use crate::out_dir::{self, OutDir};
use crate::process;
use crate::report::{Report, report};
use crate::scratch;
use crate::yaml::Source;

/// How reports are shown, and what they mean for the exit code.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Writes one more output; `-` is stdout. May be repeated. Formats: json, html, junit, markdown,
    /// csv, text, annotations, gradescope, prairielearn, classroom, classroom50.
    #[arg(long = "write", value_name = "FORMAT=PATH")]
    pub(super) outputs: Vec<Output>,
    /// Another pass mark for the exit code, in points. What must be met must still be met.
    #[arg(long, value_name = "N")]
    pub(super) fail_under: Option<u32>,
    /// Exits with 0 whenever a grade was reached.
    #[arg(long)]
    pub(super) exit_zero: bool,
}

/// The report, and the answers in it that wait for a person, as a file of marks.
pub(super) fn report_of(
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
pub(super) fn read_marks(path: &Path) -> Result<Marks> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Marks::parse(&Source {
        name: path.display().to_string(),
        text,
    })
}

/// What formats need besides the report.
pub(super) fn around(content: &Content) -> Result<Around> {
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
pub(super) fn folder_in_repository(submission: &Path) -> String {
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
pub(super) fn save(
    out_dir: &OutDir,
    report: &Report,
    review: Option<&str>,
    around: &Around,
) -> Result<PathBuf> {
    // Scores that a person filled in are never lost to a run.
    let path = out_dir.path().join("review.yaml");
    let filled_in = path.exists() && !read_marks(&path).is_ok_and(|marks| !marks.has_scores());
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
    pub(super) fn probe(&self, submission: Option<&Path>, around: &Around) -> Result<()> {
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
    pub(super) fn show(
        &self,
        report: &Report,
        around: &Around,
        console: &Console,
    ) -> Result<(), Failure> {
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

    pub(super) fn exit_code(&self, report: &Report) -> ExitCode {
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

/// What every version of `evidence.json` has.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

/// Reads saved evidence: the folder that it lies in, and what it says.
pub(super) fn read_evidence(path: &Path) -> Result<(PathBuf, Evidence, String)> {
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
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((folder, evidence, text))
}

/// Cleans up after runs that were killed. What cannot be cleaned up is said and stops nothing.
pub(super) fn sweep(console: &Console) {
    cgroup::sweep();
    match scratch::sweep(process::kill_tree) {
        Ok(swept) if swept.is_empty() => {}
        Ok(swept) => console.line(&format!(
            "cleaned up after {} run(s) that were killed",
            swept.len()
        )),
        Err(error) => console.error(&error.context("clean up after earlier runs")),
    }
}
