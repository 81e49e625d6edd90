//! Hostile ANSWERS.md and answers: bounded time, bounded output, never a panic. The same functions
//! stand in the fuzz targets.

use std::time::Duration;

use proptest::prelude::*;

use super::hostile::{answers_file, measured, one_answer};

/// Far more than any of these takes, also unoptimised.
const LIMIT: Duration = Duration::from_secs(40);

/// CPU time of this thread, which no other program makes longer.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

/// As a file under a question's heading and under `## Results`, and as an answer by itself.
fn everywhere(text: &str) {
    let begun = cpu_time();
    for question in [3, 6] {
        one_answer(question, text);
    }
    answers_file(format!("## Q4. Why?\n```\n{text}\n```\n").as_bytes());
    answers_file(format!("## Results\n\n{text}\n").as_bytes());
    answers_file(text.as_bytes());
    let taken = cpu_time().saturating_sub(begun);
    assert!(taken < LIMIT, "{taken:?}");
}

#[test]
fn five_megabytes_are_refused_as_a_file_and_cut_as_an_answer() {
    let text = "each request opens its own new pool per request ".repeat(110_000);
    assert!(text.len() > 5_000_000);
    everywhere(&text);
    let grade = answers_file(format!("## Q1\n{text}").as_bytes());
    let first = grade.criteria.iter().find(|one| one.id == "answers.q1");
    let reason = first.and_then(|one| one.reason.as_deref()).unwrap();
    assert!(reason.contains("more than the 1024 KiB"), "{reason}");
}

#[test]
fn a_hundred_thousand_nested_lists_cost_one_look_at_each_line() {
    everywhere(&"- ".repeat(100_000));
    everywhere(&"> ".repeat(100_000));
    everywhere(&"1. * + ".repeat(50_000));
    let stairs: Vec<String> = (0..400).map(|depth| "  ".repeat(depth) + "- a").collect();
    everywhere(&stairs.join("\n"));
}

#[test]
fn zero_width_characters_hide_nothing_and_cost_little() {
    everywhere(&"\u{200b}\u{200d}\u{feff}\u{ad}".repeat(80_000));
    let hidden = "E\u{200b}ach req\u{ad}uest op\u{2060}ens a n\u{200c}ew pool.";
    assert_eq!(
        one_answer(0, hidden),
        one_answer(0, "Each request opens a new pool.")
    );
}

#[test]
fn right_to_left_marks_change_no_mark() {
    everywhere(&"\u{202e}pool\u{2066}\u{202c}".repeat(60_000));
    let turned = "\u{202e}Each request\u{202c} opens a \u{2067}new\u{2069} pool.";
    assert_eq!(
        one_answer(0, turned),
        one_answer(0, "Each request opens a new pool.")
    );
}

#[test]
fn combining_characters_without_end_are_dropped() {
    everywhere(&format!("a{}", "\u{301}\u{327}".repeat(150_000)));
    everywhere(&"e\u{301}\u{301}\u{301} ".repeat(60_000));
}

#[test]
fn attempts_at_endless_matching_end() {
    everywhere(&format!("{}!", "a".repeat(500_000)));
    everywhere(&"new pool new own new pool each each request ".repeat(12_000));
    everywhere(&"not ".repeat(120_000));
    everywhere(&"A B C ".repeat(80_000));
    everywhere(&"1 000 ".repeat(80_000));
    everywhere(&"(".repeat(500_000));
    everywhere(&"<!--".repeat(120_000));
    everywhere(&"|".repeat(500_000));
    everywhere(&"conectoin reqeusts evrey databse ".repeat(15_000));
    // Words that no list knows, all different: each is looked up as a slip.
    let letter = |n: u32| char::from_u32(u32::from(b'a') + n % 26).unwrap();
    let unknown: Vec<String> = (0..30_000)
        .map(|n| {
            ["qw", "zj"].join(&String::from_iter([
                letter(n),
                letter(n / 26),
                letter(n / 676),
            ]))
        })
        .collect();
    everywhere(&unknown.join(" "));
}

#[test]
fn bytes_that_are_no_text_are_read_as_far_as_they_can_be() {
    everywhere(&"\u{fffd}\u{0}\r".repeat(100_000));
    answers_file(&vec![0xff; 300_000]);
    answers_file(b"## Q1\n\xffEach request opens its own pool.\xc3\x28");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_file(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        answers_file(&bytes);
    }

    #[test]
    fn any_lines_are_a_file(lines in proptest::collection::vec(
        prop_oneof![
            Just("## Q1. What?"), Just("# q4"), Just("**Q9.**"), Just("Q5: A"), Just("## Results"),
            Just("```"), Just("~~~rust"), Just("> - x"), Just("<!--"), Just("-->"), Just(""),
            Just("| p99 | 291 ms | 0,7s |"), Just("|---|:-:|"), Just("Success rate | 5 % | 1.0"),
            Just("| | Broken | After pooling | After index |"), Just("a new pool each time\r"),
            Just("not, never; no one"), Just("\u{feff}## Q2"), Just("\t1) every row"),
        ], 0..40)) {
        answers_file(lines.join("\n").as_bytes());
    }

    #[test]
    fn any_mix_of_the_rubrics_words_is_an_answer(words in proptest::collection::vec(
        prop_oneof![
            Just("each"), Just("request"), Just("not"), Just("never"), Just("pool"), Just("new"),
            Just("A"), Just("B,"), Just("and"), Just("index."), Just("10,000"), Just("150 ms"),
            Just("read"), Just("every"), Just("row"), Just("-"), Just("\n"), Just("because"),
            Just("without"), Just("?"), Just("slow"), Just("server"), Just("more"), Just("old"),
        ], 0..80), question in any::<u8>()) {
        one_answer(question, &words.join(" "));
    }

    #[test]
    fn any_text_is_an_answer(text in "\\PC{0,300}", question in any::<u8>()) {
        one_answer(question, &text);
        prop_assert_eq!(measured(&text).answers, 1);
    }
}
