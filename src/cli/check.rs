//! `feedgrade check` and `feedgrade regrade`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::results::{
    ShowArgs, around, folder_in_repository, read_evidence, read_marks, report_of, save, sweep,
};
use super::{Blame as _, Done, RunArgs, assignment, batch, find_docker, run_until_interrupted};
use crate::batch::journal;
use crate::console::Console;
use crate::content::Content;
use crate::exit_code::ExitCode;
use crate::format::Around;
use crate::gather::{Order, gather};
use crate::out_dir::OutDir;
use crate::sandbox::read_capped;
use crate::scratch::Scratch;
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
    #[command(flatten)]
    run: RunArgs,
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
    /// Results folders of `check` or of `batch`, or `evidence.json` files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Marks that a person gave: a `review.yaml` of a results folder with its scores filled in.
    #[arg(long, value_name = "FILE")]
    marks: Option<PathBuf>,
    #[command(flatten)]
    show: ShowArgs,
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
    find_docker(&args.run.database);
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
            database: &args.run.database,
            isolation: args.run.isolation,
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
    let (classes, single): (Vec<&PathBuf>, Vec<&PathBuf>) =
        args.paths.iter().partition(|path| journal::is_there(path));
    if !(args.show.outputs.is_empty() || classes.is_empty() || args.paths.len() == 1) {
        let error = anyhow!("--write is for one class: name its results folder and nothing else");
        return Err(error).usage();
    }
    let evidence = single
        .into_iter()
        .map(|path| read_evidence(path))
        .collect::<Result<Vec<_>>>()
        .usage()?;
    for folder in classes {
        let code = batch::regrade(folder, marks.as_ref(), &args.show, content, console)?;
        worst = worst.or_worse(code);
    }
    for (folder, evidence, _) in evidence {
        let assignment = content.assignment(&evidence.exercise).usage()?;
        let (report, review) = report_of(&assignment, &evidence, marks.as_ref());
        let out_dir = OutDir::at(folder).usage()?;
        let page = save(&out_dir, &report, review.as_deref(), &around).ungraded()?;
        args.show.show(&report, &around, console)?;
        console.line(&format!("report: {}", page.display()));
        worst = worst.or_worse(args.show.exit_code(&report));
    }
    Ok(worst)
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
pub(super) fn exercise_of(submission: &Path) -> Result<Option<String>> {
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
