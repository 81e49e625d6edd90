//! Integration tests.
#[test]
fn x() {}
