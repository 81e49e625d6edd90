//! Embeds the exercises.
fn main() {}
