//! Word order: whether the words of a text follow each other as in sentences, or as if drawn from a
//! bag.
//!
//! No grammar. Words fall into some twenty-five classes, and a table says for each pair how much
//! more often it stands in prose than chance would have it: the pointwise mutual information of
//! neighbours (Church and Hanks 1990), in hundredths of a nat. Over a text these add up to the
//! evidence for order; of shuffled words it is negative. Many second-language mistakes (a missing
//! article, a wrong preposition) cost little, because most pairs around them are as usual.
//!
//! The table is estimated and not typed: the test `word_order` counts it from labelled answers and
//! the brief.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::english;
use super::token::{Token, Tokens};

/// The classes, in the order of the table. The last is the end of a clause, and its start.
const CLASSES: [&str; 28] = [
    "article",
    "possessive",
    "this",
    "each",
    "they",
    "it",
    "them",
    "is",
    "been",
    "has",
    "will",
    "not",
    "to",
    "of",
    "in",
    "and",
    "because",
    "that",
    "which",
    "only",
    "one",
    "option",
    "number",
    "verb",
    "noun",
    "ing-ed-ly",
    "plural",
    "other",
];

/// The number of classes, the ends of clauses included.
pub const COUNT: usize = CLASSES.len() + 1;
/// The class of the end of a clause.
const END: usize = CLASSES.len();

/// For each class the words that are in it, besides those that are told by their form.
const MEMBERS: [&str; 21] = [
    "the a an",
    "its their our your my his her",
    "this these those",
    "each every all any some both no many much few several most more less fewer",
    "they he she we i you",
    "it",
    "them us me him everyone everybody nobody everything nothing something itself",
    "is are was were am",
    "be been being",
    "has have had do does did",
    "will would can could should may might must",
    "not never",
    "to",
    "of",
    "in on at by for from with without into onto over under through between about per via until \
     till before after during behind",
    "and or but",
    "because if when while where so as than since though although",
    "that",
    "which who what how why",
    "only just also too very still again now here there already even then",
    "one another other same",
];

static PLACES: LazyLock<BTreeMap<&str, usize>> = LazyLock::new(|| {
    let lists = MEMBERS.iter().enumerate();
    lists
        .flat_map(|(place, list)| list.split_whitespace().map(move |word| (word, place)))
        .collect()
});

static TABLE: LazyLock<Vec<i32>> = LazyLock::new(|| {
    let numbers = include_str!("word_order.txt").split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
});

/// A capital letter inside a clause on a word like `the`: it began a sentence once.
const CAPITAL: i32 = -300;
/// Shorter texts have no order to speak of.
const LEAST: usize = 12;
/// Evidence below this, for each word, is that of shuffled words. Prose has some 40, shuffled prose
/// some -25.
const SHUFFLED: i32 = -6;

fn class(token: &Token) -> usize {
    let word = token.word.as_str();
    let of = |name: &str| {
        let place = CLASSES.iter().position(|known| *known == name);
        place.unwrap_or(END - 1)
    };
    if token.quantity.is_some() {
        return of("number");
    }
    if token.letter {
        return of("option");
    }
    if let Some(place) = PLACES.get(word) {
        return *place;
    }
    let ends = |ending: &str| word.len() > ending.len() + 1 && word.ends_with(ending);
    if ends("ing") || ends("ed") || ends("ly") {
        of("ing-ed-ly")
    } else if ends("s") && !ends("ss") {
        of("plural")
    } else if english::is_verb(&token.stem) {
        of("verb")
    } else if english::is_of_the_trade(&token.stem) {
        of("noun")
    } else {
        of("other")
    }
}

/// The classes of a text's words, with the ends of clauses and lines between them and around them.
#[must_use]
pub fn classes(tokens: &Tokens, text: &str) -> Vec<usize> {
    let mut classes = vec![END];
    for (at, token) in tokens.tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &tokens.tokens[before]);
        let new_line = |before: &Token| {
            let between = text.get(before.end..token.start).unwrap_or("");
            between.contains('\n')
        };
        if before.is_some_and(|before| before.clause != token.clause || new_line(before)) {
            classes.push(END);
        }
        classes.push(class(token));
    }
    classes.push(END);
    classes
}

/// The evidence for order in hundredths of a nat: above 0 for prose, below for shuffled words.
#[must_use]
pub fn evidence(tokens: &Tokens, text: &str) -> i32 {
    let classes = classes(tokens, text);
    let pairs = classes.windows(2);
    let order: i32 = pairs
        .map(|pair| TABLE.get(pair[0] * COUNT + pair[1]).copied().unwrap_or(0))
        .sum();
    let capitals = tokens.tokens.windows(2).filter(|pair| {
        let between = text.get(pair[0].end..pair[1].start).unwrap_or("");
        let word = text.get(pair[1].start..pair[1].end).unwrap_or("");
        pair[0].clause == pair[1].clause
            && between.chars().all(|c| c == ' ')
            && word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word[1..].chars().all(|c| c.is_ascii_lowercase())
            && english::is_function_word(&pair[1].word)
    });
    order + CAPITAL * i32::try_from(capitals.count()).unwrap_or(i32::MAX / -CAPITAL)
}

/// Whether the words of a text stand in no order.
#[must_use]
pub fn is_shuffled(tokens: &Tokens, text: &str) -> bool {
    let words = tokens.tokens.len();
    let least = i32::try_from(words).map_or(i32::MIN, |words| words * SHUFFLED);
    words >= LEAST && evidence(tokens, text) < least
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;

    fn shuffled(text: &str) -> bool {
        is_shuffled(&read(text), text)
    }

    #[test]
    fn shuffled_words_are_told_from_prose() {
        for salad in [
            "request the of is creates pool a every it and to the is of closes its with has",
            "Its scratch from request returns creates. A HTTP pool brand single every the It new \
             own called gets it of and",
            "rows reads the sort without database every scan index results to it a in table find",
        ] {
            assert!(shuffled(salad), "{salad}");
        }
    }

    #[test]
    fn prose_of_all_sorts_is_in_order() {
        for text in [
            "Each of the requests that has a pool of its own is one of the many.",
            "It make connection pool new, maximum one connection. I am not sure when is called, I \
             think only by the feed endpoint.",
            "A = cause gone, conns get reused. B = same waste, waits longer. C = same waste, fewer \
             ppl. B+C cosmetics",
            "every request have new pool, database become overloaded, so error is coming to the user",
        ] {
            assert!(!shuffled(text), "{text}");
        }
    }

    #[test]
    fn the_table_has_a_cell_for_each_pair_of_classes() {
        assert_eq!(TABLE.len(), COUNT * COUNT);
    }
}
