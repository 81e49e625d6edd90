//! The `feedgrade` command: reads the arguments, does what they say, ends with the contract's code.
//!
//! Started by itself as a launcher, it becomes a stranger's program instead, before anything else.

use std::process::ExitCode;

use feedgrade::launcher::{LAUNCHER, launch};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == LAUNCHER) {
        return launch(arguments.skip(1));
    }
    ExitCode::from(feedgrade::cli::run().number())
}
