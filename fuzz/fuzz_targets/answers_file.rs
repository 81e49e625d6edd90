//! Any bytes as an ANSWERS.md: taken apart, its questions and its Results table judged.
#![no_main]

#[path = "../../tests/it/hostile.rs"]
#[allow(dead_code)]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::answers_file(bytes);
});
