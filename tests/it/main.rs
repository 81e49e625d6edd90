//! Integration tests: one binary, one file a noun.

mod formats;
