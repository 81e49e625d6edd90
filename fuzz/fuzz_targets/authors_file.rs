//! Any bytes as an exercise.yaml and as a rubric.
#![no_main]

#[path = "../../tests/it/hostile.rs"]
#[allow(dead_code)]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::authors_file(bytes);
});
