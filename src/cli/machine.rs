//! `feedgrade loadtest` and `feedgrade doctor`.

use std::fmt::Write as _;

use anyhow::Context as _;

use super::{Blame as _, Done, answer, run_until_interrupted};
use crate::console::Console;
use crate::loadtest::{LoadtestArgs, prepare};

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

pub(super) fn doctor(console: &Console) -> Done {
    let mut text = String::new();
    let _ = writeln!(text);
    answer(console, &text)
}
