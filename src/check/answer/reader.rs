//! Reading an answer into tokens.
//!
//! Folding makes spellings equal that a reader takes for equal: width, case, accents, quote signs,
//! characters without width. It judges nothing and corrects nothing. One pass, so the work is
//! proportional to the text whatever is in it.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::english;
use super::numbers;
use super::stem::stem;
use super::token::{Token, Tokens};

/// The most tokens of an answer that are judged. Answers are a few hundred words at most.
pub const MAX_TOKENS: usize = 800;
/// The most characters of one word that are kept.
const MAX_WORD: usize = 48;

/// Reads a text.
#[must_use]
pub fn read(text: &str) -> Tokens {
    let mut reader = Reader::default();
    let mut line_is_blank = true;
    for (at, c) in text.char_indices() {
        if reader.tokens.tokens.len() >= MAX_TOKENS {
            reader.tokens.cut = true;
            break;
        }
        if is_invisible(c) {
            continue;
        }
        match c {
            '\n' => {
                reader.end_word(at);
                // A blank line ends a sentence; the mark of a list item does below.
                if line_is_blank {
                    reader.end_sentence();
                }
                line_is_blank = true;
                reader.line_start = true;
                reader.previous = c;
                continue;
            }
            c if c.is_whitespace() => {
                reader.end_word(at);
                reader.previous = c;
                continue;
            }
            _ => {}
        }
        if c == '\u{fffd}' {
            reader.end_word(at);
        } else if c.is_alphanumeric() || is_combining_mark(c) || c == '_' {
            reader.push(at, c);
        } else {
            reader.punctuation(at, c, &text[at + c.len_utf8()..]);
        }
        if !matches!(c, '-' | '*' | '+' | '•' | '>' | '|' | '#' | '`') {
            line_is_blank = false;
            reader.line_start = false;
        }
        reader.previous = c;
    }
    reader.end_word(text.len());
    let mut tokens = reader.tokens;
    name_letters(&mut tokens.tokens);
    numbers::join(&mut tokens.tokens);
    tokens
}

/// Decides which single letters name an option. `b` and `c` are no words, so they always do; an `a`
/// does after `option`, and an `A` does unless it starts a sentence like an article.
fn name_letters(tokens: &mut [Token]) {
    let options = tokens
        .iter()
        .any(|token| matches!(token.word.as_str(), "b" | "c") && token.letter);
    for at in 0..tokens.len() {
        let word = tokens[at].word.as_str();
        if word.len() != 1 || !word.bytes().all(|b| b.is_ascii_lowercase()) || word == "i" {
            tokens[at].letter = false;
            continue;
        }
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let named = before.is_some_and(|before| {
            matches!(
                before.word.as_str(),
                "option" | "options" | "solution" | "approach" | "choice" | "variant"
            )
        });
        let starts = before.is_none_or(|before| before.sentence != tokens[at].sentence);
        let article = word == "a"
            && starts
            // `A root cause, B cosmetics` names options: a clause that begins with an article goes
            // on to a verb.
            && !(options && is_verdict(&tokens[at..]))
            && tokens.get(at + 1).is_some_and(|next| {
                // `A fixes`: after an article no word is in this form.
                !is_third_person(&next.word) && !english::is_function_word(&next.word)
            });
        let tree = tokens
            .get(at + 1)
            .is_some_and(|next| next.word.starts_with("tree"));
        let letter = named || matches!(word, "b" | "c" | "d") || tokens[at].letter && !article;
        let letter = letter && !tree;
        tokens[at].letter = letter;
    }
}

/// Whether the clause at the start of `tokens` is so short, and without a verb, that its first
/// letter is a name and what follows says what it is.
fn is_verdict(tokens: &[Token]) -> bool {
    let clause = tokens
        .iter()
        .take_while(|token| token.clause == tokens[0].clause);
    let words: Vec<&Token> = clause.collect();
    words.len() <= 4 && !words.iter().any(|token| english::is_verb(&token.stem))
}

fn is_third_person(word: &str) -> bool {
    word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) || word == "is"
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

/// A character without width, case and accents.
fn fold(c: char, into: &mut String) {
    if c.is_ascii() {
        into.push(c.to_ascii_lowercase());
        return;
    }
    if is_combining_mark(c) {
        return;
    }
    for c in std::iter::once(c).nfkd() {
        if !is_combining_mark(c) {
            into.extend(c.to_lowercase());
        }
    }
}

#[derive(Default)]
struct Reader {
    tokens: Tokens,
    word: String,
    start: usize,
    sentence: usize,
    clause: usize,
    previous: char,
    line_start: bool,
    capital: bool,
}

impl Reader {
    fn push(&mut self, at: usize, c: char) {
        if self.word.is_empty() {
            if is_combining_mark(c) {
                return;
            }
            self.start = at;
            self.capital = c.is_ascii_uppercase();
        }
        if c.is_alphabetic() {
            self.tokens.letters += 1;
            // Latin, its extensions, and the width variants; the rest is another script.
            if c > '\u{24f}' && !matches!(c, '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}') {
                self.tokens.foreign_letters += 1;
            }
        }
        if self.word.len() < MAX_WORD {
            fold(c, &mut self.word);
        }
    }

    fn punctuation(&mut self, at: usize, c: char, rest: &str) {
        let next = rest.chars().next().unwrap_or(' ');
        match c {
            // Inside numbers, and inside words like `it's`.
            '.' | ',' if self.previous.is_ascii_digit() && next.is_ascii_digit() => {
                self.word.push(c);
            }
            '\'' | '’' | '‘' | '´' | '`' | 'ʼ'
                if !self.word.is_empty() && next.is_alphabetic() && c != '`' =>
            {
                self.word.push('\'');
            }
            '%' | '×' => {
                self.end_word(at);
                self.start = at;
                self.word.push_str(if c == '%' { "%" } else { "times" });
                self.end_word(at + c.len_utf8());
            }
            '.' | '!' | '?' | ';' | '…' | '。' | '？' | '！' => {
                let dotted = c == '.' && (next.is_alphanumeric() || self.is_abbreviation());
                self.end_word(at);
                if !dotted {
                    self.end_sentence();
                }
            }
            ',' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '—' | '–' | '→' | '⇒' => {
                self.end_word(at);
                self.clause += 1;
                if matches!(c, '→' | '⇒') {
                    self.tokens.arrows += 1;
                }
            }
            '-' | '=' | '*' | '+' | '•' | '|' => {
                let arrow = matches!(c, '-' | '=') && next == '>';
                let dash = self.previous.is_whitespace() && next.is_whitespace() || next == c;
                self.end_word(at);
                if self.line_start && next.is_whitespace() {
                    self.end_sentence();
                } else if arrow || dash || c == '|' {
                    self.clause += 1;
                    self.tokens.arrows += usize::from(arrow);
                }
            }
            _ => self.end_word(at),
        }
    }

    /// `e.g.`, `i.e.`, `vs.` and numbers of list items end no sentence.
    fn is_abbreviation(&self) -> bool {
        matches!(
            self.word.as_str(),
            "e" | "g" | "i" | "vs" | "eg" | "ie" | "etc" | "approx" | "ca" | "no"
        ) && !(self.word == "no" || self.word == "i" && self.previous == ' ')
    }

    fn end_sentence(&mut self) {
        self.clause += 1;
        if self
            .tokens
            .tokens
            .last()
            .is_some_and(|last| last.sentence == self.sentence)
        {
            self.sentence += 1;
        }
    }

    fn end_word(&mut self, end: usize) {
        if self.word.is_empty() {
            return;
        }
        let word = std::mem::take(&mut self.word);
        let word = word.trim_matches(|c| matches!(c, '_' | '\''));
        if word.is_empty() {
            return;
        }
        let (start, sentence, clause) = (self.start, self.sentence, self.clause);
        let letter = std::mem::take(&mut self.capital) && word.len() == 1;
        let mut add = |word: &str| {
            self.tokens.tokens.push(Token {
                start,
                end,
                word: word.to_owned(),
                stem: stem(word),
                quantity: None,
                letter,
                sentence,
                clause,
            });
        };
        let bare = word.replace('\'', "");
        if let Some(verb) = negated_verb(&bare) {
            add(verb);
            add("not");
            return;
        }
        match word.split_once('\'') {
            Some((head, "s" | "re" | "ll" | "ve" | "d" | "m")) => add(head),
            Some(_) => add(&bare),
            None => add(word),
        }
    }
}

/// The verb of `don't`, `cant`, `cannot` and their like.
fn negated_verb(bare: &str) -> Option<&'static str> {
    Some(match bare {
        "dont" => "do",
        "doesnt" => "does",
        "didnt" => "did",
        "isnt" | "aint" => "is",
        "arent" => "are",
        "wasnt" => "was",
        "werent" => "were",
        "wont" => "will",
        "cant" | "cannot" => "can",
        "couldnt" => "could",
        "wouldnt" => "would",
        "shouldnt" => "should",
        "havent" => "have",
        "hasnt" => "has",
        "hadnt" => "had",
        "mustnt" => "must",
        "neednt" => "need",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        read(text).tokens.into_iter().map(|t| t.word).collect()
    }

    #[test]
    fn what_readers_take_for_equal_is_equal() {
        for text in [
            "Don't open pools",
            "DON’T OPEN POOLS",
            "dont o\u{200b}pen po\u{ad}ols",
            "Do not open pools",
            "ｄｏｎ't ópen p\u{301}ools",
        ] {
            assert_eq!(words(text), ["do", "not", "open", "pools"], "{text}");
        }
    }

    #[test]
    fn identifiers_stay_whole_and_paths_come_apart() {
        assert_eq!(words("`connect_per_request()`"), ["connect_per_request"]);
        assert_eq!(words("/users/{id}/posts"), ["users", "id", "posts"]);
        assert_eq!(words("per-request it's"), ["per", "request", "it"]);
    }

    #[test]
    fn sentences_end_where_readers_pause() {
        let sentences = |text: &str| read(text).sentences();
        assert_eq!(sentences("One. Two! Three"), 3);
        assert_eq!(
            sentences("About 10.000 rows, e.g. here in src/main.rs too"),
            1
        );
        assert_eq!(sentences("first line\nsame sentence"), 1);
        assert_eq!(sentences("first\n\nsecond\n- third\n- fourth"), 4);
    }

    #[test]
    fn tokens_know_their_place() {
        let text = "A «new» pool!";
        let tokens = read(text);
        assert_eq!(tokens.quote(text, 1, 2), "new» pool");
    }

    #[test]
    fn the_name_of_an_option_is_no_article() {
        let letters = |text: &str| -> String {
            let tokens = read(text).tokens;
            tokens
                .iter()
                .filter(|t| t.letter)
                .map(|t| t.word.as_str())
                .collect()
        };
        assert_eq!(
            letters("Option A. B and C treat symptoms. A is best, A: cure"),
            "abcaa"
        );
        assert_eq!(letters("A pool is a thing. A shared one"), "");
        assert_eq!(letters("A root cause. B, C symptoms"), "abc");
    }

    #[test]
    fn endless_words_and_marks_are_cut() {
        let text = format!("a{} {}", "\u{301}".repeat(100_000), "x".repeat(100_000));
        let tokens = read(&text);
        assert_eq!(tokens.tokens.len(), 2);
        assert!(tokens.tokens[1].word.len() <= MAX_WORD);
        assert!(read(&"pool ".repeat(100_000)).cut);
    }
}
