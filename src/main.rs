//! The `feedgrade` command: reads the arguments, does what they say, ends with the contract's code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(feedgrade::cli::run().number())
}
