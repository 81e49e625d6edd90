//! The feedgrade command.
fn main() {}
