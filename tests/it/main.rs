//! Integration tests: one binary. Each module is named after what it tests.

#![expect(clippy::unwrap_used, reason = "a test that fails this way says where")]

mod bad_input;
mod attacks;
mod batch;
mod builds;
mod ci;
mod counting_server;
mod database;
mod faults;
mod formats;
mod hostile;
mod hostile_files;
mod hostile_text;
mod load;
mod loadtest;
mod main_job;
mod probing;
mod sheet;
mod shipped_rubric;
mod skip;
mod stopping;
mod structure;
mod tiny;
mod word_order;
