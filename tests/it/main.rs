//! Integration tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod load;
