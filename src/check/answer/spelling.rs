//! Typo tolerance: an unknown word is read as the known word that it is a slip of.
//!
//! It starts from the answer's words and not from the pattern's, so a real word is never turned
//! into another: `tool` is English and stays `tool`, `pol` is too short to guess.

use std::collections::BTreeMap;

use strsim::osa_distance;

use super::english;
use super::pattern::Vocabulary;

/// Known words by their length, each with whether a pattern knows it.
#[derive(Debug, Clone, Default)]
pub struct Speller {
    by_length: BTreeMap<usize, BTreeMap<String, bool>>,
}

impl Speller {
    /// A speller for the words of a rubric and common English.
    #[must_use]
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let mut speller = Self::default();
        for word in english::words() {
            speller.add(word.to_owned(), false);
        }
        for word in &vocabulary.surface {
            speller.add(word.clone(), true);
            for ending in ["s", "ed", "ing"] {
                // `lb` and `got` have no forms that anybody would mistype.
                if word.len() < 4 || ending == "s" && word.ends_with('s') {
                    continue;
                }
                let base = word
                    .strip_suffix('e')
                    .filter(|_| ending != "s")
                    .unwrap_or(word);
                speller.add(format!("{base}{ending}"), true);
            }
        }
        speller
    }

    fn add(&mut self, word: String, wanted: bool) {
        let known = self.by_length.entry(word.chars().count()).or_default();
        *known.entry(word).or_default() |= wanted;
    }

    /// The known word that `word` is a slip of. `None` for known words, short ones, and those that
    /// are near nothing.
    #[must_use]
    pub fn correct(&self, word: &str) -> Option<&str> {
        let length = word.chars().count();
        if !(4..=24).contains(&length)
            || !word.chars().all(char::is_alphabetic)
            || english::is_word(word)
            || self
                .by_length
                .get(&length)
                .is_some_and(|words| words.contains_key(word))
        {
            return None;
        }
        let most = if length >= 8 { 2 } else { 1 };
        let mut best: Option<(usize, bool, &str)> = None;
        for (_, words) in self.by_length.range(length - most..=length + most) {
            for (known, wanted) in words {
                if known.len() < 4 || length < 6 && known.chars().next() != word.chars().next() {
                    continue;
                }
                let distance = osa_distance(word, known);
                let candidate = (distance, !wanted, known.as_str());
                if distance <= most && best.is_none_or(|best| candidate < best) {
                    best = Some(candidate);
                }
            }
        }
        best.map(|(_, _, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::pattern::parse;
    use super::*;

    fn speller(words: &str) -> Speller {
        let mut vocabulary = Vocabulary::default();
        parse(words, &BTreeMap::new(), &mut vocabulary).unwrap();
        Speller::new(&vocabulary)
    }

    #[test]
    fn slips_are_read_as_what_was_meant() {
        let speller = speller("pool connection every request simultaneous postgres create");
        for (typo, meant) in [
            ("conection", "connection"),
            ("conectoin", "connection"),
            ("evry", "every"),
            ("reqeust", "request"),
            ("simultanious", "simultaneous"),
            ("postgress", "postgres"),
            ("poool", "pool"),
            ("creatd", "create"),
            ("becuase", "because"),
        ] {
            assert_eq!(speller.correct(typo), Some(meant), "{typo}");
        }
    }

    #[test]
    fn a_real_word_never_becomes_another() {
        let speller = speller("pool new scan request");
        for word in [
            "tool", "poll", "now", "star", "span", "pol", "quest", "news", "cool",
        ] {
            assert_eq!(speller.correct(word), None, "{word}");
        }
        assert_eq!(speller.correct("asdkjh"), None);
    }
}
