//! Whether an answer is in English. Others are not worse: they go to a person.

use super::english::{OTHER_LANGUAGES, is_function_word};
use super::token::Tokens;

/// What is said of a text that is not in Latin letters.
pub const SCRIPT: &str = "another script";
/// What is said of words that no list here knows.
pub const UNKNOWN: &str = "an unknown language";

/// The language of an answer that is not in English, as far as it can be told.
#[must_use]
pub fn other_than_english(tokens: &Tokens) -> Option<&'static str> {
    if tokens.letters >= 4 && tokens.foreign_letters * 2 > tokens.letters {
        return Some(SCRIPT);
    }
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .map(|token| token.word.as_str())
        .collect();
    let mut best: Option<(usize, &'static str)> = None;
    for (language, list) in OTHER_LANGUAGES {
        let known: Vec<&str> = list.split_whitespace().collect();
        let own = words
            .iter()
            .filter(|word| known.contains(word) && !is_function_word(word))
            .count();
        let english = words
            .iter()
            .filter(|word| is_function_word(word) && !known.contains(word))
            .count();
        let enough = own >= 2 && own * 8 >= words.len() && own > english;
        if enough && best.is_none_or(|(most, _)| own > most) {
            best = Some((own, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;

    #[test]
    fn languages_are_told_apart() {
        for (text, language) in [
            (
                "Jede Anfrage baut ihren eigenen Pool auf und wird nicht schneller",
                "German",
            ),
            (
                "Cada petición abre su propio pool y se agota el tiempo",
                "Spanish",
            ),
            (
                "Chaque requête ouvre son propre pool, et la plupart échouent car il n'y a pas de place",
                "French",
            ),
            (
                "Cada usuário abre o seu próprio pool e não há conexões para todos",
                "Portuguese",
            ),
            ("Каждый запрос открывает новый пул", SCRIPT),
            ("每个请求都会创建一个新的连接池", SCRIPT),
        ] {
            assert_eq!(other_than_english(&read(text)), Some(language), "{text}");
        }
    }

    #[test]
    fn english_of_all_sorts_is_english() {
        for text in [
            "It make connection pool new, maximum one connection. I am not sure when is called.",
            "new pool per request, 150ms timeout, no sharing",
            "asdkjh qwe blue lkj green",
            "In the die hard case we do a scan on all rows, as no index is there",
            "B",
            "",
        ] {
            assert_eq!(other_than_english(&read(text)), None, "{text}");
        }
    }
}
