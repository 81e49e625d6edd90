//! Any bytes as an evidence.json: judged, and written in every format.
#![no_main]

#[path = "../../tests/it/hostile.rs"]
#[allow(dead_code)]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::evidence_file(bytes);
});
