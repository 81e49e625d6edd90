//! `feedgrade loadtest` and `feedgrade doctor`.

use std::fmt::Write as _;

use super::{Done, answer};
use crate::console::Console;

pub(super) fn doctor(console: &Console) -> Done {
    let mut text = String::new();
    let _ = writeln!(text, "");
    answer(console, &text)
}
