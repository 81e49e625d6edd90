//! Skipping a test by name and out loud, when this machine lacks what it needs.

use std::io::Write as _;

/// Says that a test is skipped because `what` is missing. Where `FEEDGRADE_TEST_REQUIRE`, a list
/// with commas, names it, a skip is a failure.
pub(crate) fn skip(what: &str, why: &dyn std::fmt::Display) {
    let required = std::env::var("FEEDGRADE_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == what),
        "{what} is required: {why}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {what}: {why}");
}
