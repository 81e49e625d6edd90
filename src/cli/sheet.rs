//! `feedgrade sheet`: a class's points in the sheet that an instructor exported.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Blame as _, Done};
use crate::class::{Class, VERSION};
use crate::console::Console;
use crate::exit_code::ExitCode;
use crate::format::figure;
use crate::format::sheet::{self, Kind, Wish};
use crate::out_dir;

/// Whose sheet it is.
#[derive(Debug, clap::Subcommand)]
pub(super) enum SheetCommand {
    /// Fills in a gradebook that was exported from a Canvas course.
    Canvas(SheetArgs),
    /// Fills in a grading worksheet that was downloaded from a Moodle assignment.
    Moodle(SheetArgs),
}

/// What both take.
#[derive(Debug, clap::Args)]
pub(super) struct SheetArgs {
    /// Results folder of `batch`, `merge` or `regrade`, or its batch.json.
    results: PathBuf,
    /// The exported sheet. It is read and stays as it is.
    sheet: PathBuf,
    /// Where the filled-in sheet goes; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The column of the points: the assignment's title or number in a Canvas gradebook [default: the
    /// exercise's title], the heading of the grade in a Moodle worksheet [default: Grade]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Converts points where the sheet has another maximum than the exercise.
    #[arg(long)]
    scale: bool,
    /// Fills in what is there, also when most of the class is not in the sheet.
    #[arg(long)]
    partial: bool,
}

pub(super) fn sheet(command: SheetCommand, console: &Console) -> Done {
    let (kind, args) = match command {
        SheetCommand::Canvas(args) => (Kind::Canvas, args),
        SheetCommand::Moodle(args) => (Kind::Moodle, args),
    };
    let class = class(&args.results).usage()?;
    let source = args.sheet.display().to_string();
    let bytes = fs::read(&args.sheet)
        .with_context(|| format!("read {source}"))
        .usage()?;
    let is_stdout = args.out.as_os_str() == "-";
    if !is_stdout {
        keeps(&args.sheet, &args.out).usage()?;
        out_dir::probe(&args.out).usage()?;
    }
    let wish = Wish {
        column: args.column,
        scale: args.scale,
        partial: args.partial,
    };
    let filled = sheet::fill(kind, &source, &bytes, &class, &wish).usage()?;
    if is_stdout {
        console
            .raw(&filled.text)
            .context("write to stdout")
            .ungraded()?;
    } else {
        out_dir::write(&args.out, &filled.text).ungraded()?;
    }
    for note in &filled.notes {
        console.line(&format!("note: {note}"));
    }
    console.line(&format!(
        "{} of {} filled in",
        filled.members,
        figure::plural(class.counts.graded(), "grade", "grades")
    ));
    Ok(ExitCode::Passed)
}

/// The exported sheet is the only one that there is until the import went well.
fn keeps(sheet: &Path, out: &Path) -> Result<()> {
    let is_same = match (fs::canonicalize(sheet), fs::canonicalize(out)) {
        (Ok(sheet), Ok(out)) => sheet == out,
        _ => false,
    };
    ensure!(
        !is_same,
        "--out names the sheet itself, which stays as it is: name another file"
    );
    Ok(())
}

/// What every version of `batch.json` has.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

fn class(results: &Path) -> Result<Class> {
    let path = if results.is_dir() {
        results.join("batch.json")
    } else {
        results.to_owned()
    };
    let name = path.display();
    let text = fs::read_to_string(&path)
        .with_context(|| format!("read {name}: name a folder that `feedgrade batch` wrote"))?;
    let Version { version } =
        serde_json::from_str(&text).with_context(|| format!("{name} is no batch.json"))?;
    ensure!(
        version == VERSION,
        "{name} has version {version} and this program reads version {VERSION}: use the feedgrade \
         that wrote it"
    );
    serde_json::from_str(&text).with_context(|| format!("{name} is no batch.json"))
}
