//! `feedgrade loadtest` and `feedgrade doctor`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{Blame as _, Done, answer, run_until_interrupted};
use crate::cargo;
use crate::console::Console;
use crate::content::Content;
use crate::database::doctor as doctor_of_databases;
use crate::evidence::{Confined, Level};
use crate::isolation;
use crate::loadtest::{LoadtestArgs, prepare};
use crate::scratch::Scratch;

pub(super) fn loadtest(args: LoadtestArgs, console: &Console) -> Done {
    let loadtest = prepare(args).usage()?;
    let told = run_until_interrupted(async {
        loadtest.run(&|event| console.event(event)).await.ungraded()
    })?;
    console
        .raw(&told.text)
        .context("write to stdout")
        .ungraded()?;
    Ok(told.code)
}

pub(super) fn doctor(content: &Content, console: &Console) -> Done {
    let images: BTreeSet<String> = content
        .slugs()
        .and_then(|slugs| {
            slugs
                .iter()
                .map(|slug| content.assignment(slug))
                .collect::<Result<Vec<_>>>()
        })
        .usage()?
        .into_iter()
        .map(|assignment| assignment.exercise.database.image)
        .collect();
    let mut text = format!("feedgrade {}\n", env!("CARGO_PKG_VERSION"));
    run_until_interrupted(async {
        let scratch = Scratch::new().ungraded()?;
        let _ = match cargo::rustc_version(&scratch).await {
            Ok(version) => writeln!(text, "✓ {version}"),
            Err(error) => writeln!(text, "✗ no Rust toolchain\n    {error:#}"),
        };
        match isolation::probe(&scratch).await {
            Ok(reached) => told_isolation(&mut text, &reached),
            Err(error) => {
                let _ = writeln!(text, "✗ isolation: none\n    {error:#}");
            }
        }
        for image in &images {
            for line in doctor_of_databases(image, &scratch).await {
                let _ = writeln!(text, "{} {}", if line.ok { "✓" } else { "✗" }, line.what);
                if let Some(way_out) = line.way_out {
                    let _ = writeln!(text, "    {way_out}");
                }
            }
        }
        Ok(())
    })?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = writeln!(text, "✓ {cores} processor(s)");
    answer(console, &text)
}

/// How far submissions can be confined here, and what is missing for more.
fn told_isolation(text: &mut String, reached: &Confined) {
    let sign = if reached.level == Level::Full {
        "✓"
    } else {
        "✗"
    };
    let _ = writeln!(
        text,
        "{sign} isolation: {} ({})",
        reached.level,
        reached.enforced.join(", ")
    );
    for missing in &reached.missing {
        let _ = writeln!(text, "    without {missing}");
    }
}
