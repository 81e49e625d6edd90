//! Any text as the answer to one question: the first byte picks the question.
#![no_main]

#[path = "../../tests/it/hostile.rs"]
#[allow(dead_code)]
mod hostile;

libfuzzer_sys::fuzz_target!(|input: (u8, &str)| {
    hostile::one_answer(input.0, input.1);
});
