//! Integration tests.

mod load;
