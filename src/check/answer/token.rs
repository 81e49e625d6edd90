//! Tokens: an answer as folded words and numbers, each with its place in the learner's text.

use super::quantity::Quantity;

/// A word or a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Where it starts in the text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Lower case, without accents.
    pub word: String,
    /// What inflected forms have in common.
    pub stem: String,
    /// The number, when it is one.
    pub quantity: Option<Quantity>,
    /// Whether it is a single capital letter that names something, as in `Option A`.
    pub letter: bool,
    /// Which sentence it is in, from 0. Blank lines and list items end sentences too.
    pub sentence: usize,
    /// Which clause it is in, from 0, counted through the whole text. Commas, colons, dashes and
    /// brackets end clauses.
    pub clause: usize,
}

/// An answer as tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens {
    /// In the order of the text.
    pub tokens: Vec<Token>,
    /// Whether the text has more than [`MAX_TOKENS`].
    pub cut: bool,
    /// Letters that belong to no Latin alphabet.
    pub foreign_letters: usize,
    /// All letters.
    pub letters: usize,
    /// Arrows such as `->`.
    pub arrows: usize,
}

impl Tokens {
    /// Number of sentences.
    #[must_use]
    pub fn sentences(&self) -> usize {
        self.tokens.last().map_or(0, |token| token.sentence + 1)
    }

    /// The learner's own words from token `first` to token `last`, both included.
    #[must_use]
    pub fn quote<'a>(&self, text: &'a str, first: usize, last: usize) -> &'a str {
        match (self.tokens.get(first), self.tokens.get(last)) {
            (Some(first), Some(last)) => text.get(first.start..last.end).unwrap_or(""),
            _ => "",
        }
    }
}
