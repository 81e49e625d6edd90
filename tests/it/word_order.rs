//! The table of word order is counted, not typed: here it is counted again.
//!
//! To write it anew after the labelled answers changed:
//! `FEEDGRADE_WRITE_TABLE=1 cargo test --test it word_order`.

use std::fmt::Write as _;

use feedgrade::agreement;
use feedgrade::check::answer::reader;
use feedgrade::check::answer::word_order::{COUNT, classes};

const TABLE: &str = "src/check/answer/word_order.txt";
/// Kinds of answers that are no prose.
const NO_PROSE: [&str; 10] = [
    "stuffed",
    "gibberish",
    "code-copy",
    "code-block",
    "code-only",
    "other-language",
    "question-copy",
    "salad",
    "list",
    "markdown-list",
];

fn prose() -> Vec<Vec<usize>> {
    let labelled = include_str!("../answers/labelled.jsonl");
    let labelled = agreement::parse("labelled.jsonl", labelled).unwrap();
    let answers = labelled
        .iter()
        .filter(|one| !NO_PROSE.contains(&one.kind.as_str()))
        .map(|one| one.answer.as_str());
    let brief = include_str!("../../exercises/connection-pools/README.md");
    let paragraphs = brief.split("\n\n").filter(|paragraph| {
        paragraph.split_whitespace().count() > 12
            && !paragraph.contains(['|', '#'])
            && !paragraph.contains("```")
    });
    answers
        .chain(paragraphs)
        .map(|text| classes(&reader::read(text), text))
        .collect()
}

/// Pointwise mutual information of neighbours in hundredths of a nat. Half a pair, drawn by
/// chance, is added to each row and class.
#[expect(clippy::cast_possible_truncation, reason = "rounded, and small")]
fn table(prose: &[Vec<usize>]) -> Vec<Vec<i32>> {
    let mut pairs = vec![vec![0.0_f64; COUNT]; COUNT];
    let mut second = vec![0.0_f64; COUNT];
    for pair in prose.iter().flat_map(|text| text.windows(2)) {
        pairs[pair[0]][pair[1]] += 1.0;
        second[pair[1]] += 1.0;
    }
    let all: f64 = second.iter().sum();
    let added = 0.5 * f64::from(u32::try_from(COUNT).unwrap());
    let row = |row: &Vec<f64>| {
        let known: f64 = row.iter().sum();
        let information = |(seen, chance): (&f64, f64)| {
            let given = (seen + added * chance) / (known + added);
            ((given / chance).ln() * 100.0).round() as i32
        };
        row.iter()
            .zip(second.iter().map(|count| count.max(0.5) / all))
            .map(information)
            .collect()
    };
    pairs.iter().map(row).collect()
}

#[test]
fn the_table_of_word_order_is_what_the_labelled_answers_give() {
    let mut text = String::new();
    for row in table(&prose()) {
        let cells: Vec<String> = row.iter().map(|cell| format!("{cell:>4}")).collect();
        let _ = writeln!(text, "{}", cells.join(" "));
    }
    if std::env::var_os("FEEDGRADE_WRITE_TABLE").is_some() {
        std::fs::write(TABLE, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(TABLE).unwrap(),
        "the labelled answers changed: see the head of this file"
    );
}

/// The words of a text in an order drawn by `seed`.
fn shuffled(text: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut words: Vec<&str> = text.split_whitespace().collect();
    for last in (1..words.len()).rev() {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state >> 33).unwrap() % (last + 1);
        words.swap(last, other);
    }
    words.join(" ")
}

/// Each tenth of the answers is judged with a table that was counted without it.
#[test]
fn shuffled_answers_are_told_and_honest_ones_pass_also_unseen() {
    let labelled = include_str!("../answers/labelled.jsonl");
    let labelled = agreement::parse("labelled.jsonl", labelled).unwrap();
    let prose: Vec<&str> = labelled
        .iter()
        .filter(|one| !NO_PROSE.contains(&one.kind.as_str()))
        .map(|one| one.answer.as_str())
        .collect();
    let classes_of = |text: &str| classes(&reader::read(text), text);
    let (mut honest, mut salads, mut taken, mut told) = (0, 0, 0, 0);
    for fold in 0..10 {
        let of_fold = |place: &usize| place % 10 == fold;
        let others = prose.iter().enumerate();
        let others = others.filter(|(place, _)| !of_fold(place));
        let others: Vec<Vec<usize>> = others.map(|(_, text)| classes_of(text)).collect();
        let table = table(&others);
        let is_salad = |text: &str| {
            let pairs = classes_of(text);
            let evidence: i32 = pairs.windows(2).map(|pair| table[pair[0]][pair[1]]).sum();
            let words = i32::try_from(reader::read(text).tokens.len()).unwrap();
            evidence < -6 * words
        };
        let own = prose.iter().enumerate().filter(|(place, _)| of_fold(place));
        for (_, text) in own.filter(|(_, text)| text.split_whitespace().count() >= 16) {
            honest += 1;
            taken += usize::from(is_salad(text));
            for seed in 1..=5 {
                salads += 1;
                told += usize::from(is_salad(&shuffled(text, seed)));
            }
        }
    }
    let figures =
        format!("{told} of {salads} shuffled told, {taken} of {honest} honest taken for shuffled");
    assert!(
        taken * 50 <= honest && told * 100 >= salads * 85,
        "{figures}"
    );
}
