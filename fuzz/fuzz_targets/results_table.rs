//! Any text as a Results table beside real measurements.
#![no_main]

#[path = "../../tests/it/hostile.rs"]
#[allow(dead_code)]
mod hostile;

libfuzzer_sys::fuzz_target!(|text: &str| {
    hostile::results_table(text);
});
