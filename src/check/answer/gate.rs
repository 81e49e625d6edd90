//! Gates: texts that are no answer, and texts that a person should see.
//!
//! A gate gives no points and says what to do. A review reason leaves the points as they are, or
//! caps them, and says why a person should look. What is compared here are runs of three words.

use std::collections::BTreeSet;

use super::english;
use super::token::Tokens;

/// Why a text is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Nothing, or next to nothing.
    Blank,
    /// The question again.
    QuestionCopy,
    /// The starter's code again.
    CodeCopy,
    /// Code and no sentence.
    CodeOnly,
    /// Words of the trade without a sentence.
    KeywordList,
    /// Keys hit at random.
    Gibberish,
}

impl Gate {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::QuestionCopy => "question copied",
            Self::CodeCopy => "starter code copied",
            Self::CodeOnly => "code only",
            Self::KeywordList => "keyword list",
            Self::Gibberish => "no words",
        }
    }

    /// What a learner can do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Blank => {
                "There is no answer yet. Two or three sentences in your own words are enough."
            }
            Self::QuestionCopy => "This is the question again. What would you answer to it?",
            Self::CodeCopy => {
                "This is code from the starter. Say in your own words what it does and what \
                 follows from it."
            }
            Self::CodeOnly => {
                "This is code without a sentence. Say in your own words what it shows."
            }
            Self::KeywordList => {
                "These are words without a sentence. Say how they belong together: what does what, \
                 and why?"
            }
            Self::Gibberish => "No words can be made out here. Please write the answer again.",
        }
    }
}

/// Runs of three words, as hashes.
#[derive(Debug, Clone, Default)]
pub struct Shingles(BTreeSet<u32>);

/// The length of the runs.
const RUN: usize = 3;

fn runs(tokens: &Tokens) -> impl Iterator<Item = u32> {
    tokens.tokens.windows(RUN).map(|run| {
        // FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/
        let mut hash = 0x811c_9dc5_u32;
        for token in run {
            for byte in token.word.bytes().chain([b' ']) {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        }
        hash
    })
}

impl Shingles {
    /// Adds a text's runs.
    pub fn add(&mut self, tokens: &Tokens) {
        self.0.extend(runs(tokens));
    }

    /// Adds runs that were written down as hashes, in hexadecimal, separated by white space.
    pub fn add_fingerprint(&mut self, fingerprint: &str) {
        let hashes = fingerprint.split_whitespace();
        self.0
            .extend(hashes.filter_map(|hash| u32::from_str_radix(hash, 16).ok()));
    }

    /// The runs as [`Self::add_fingerprint`] reads them. They tell a copy, and not the text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hashes: Vec<String> = self.0.iter().map(|hash| format!("{hash:08x}")).collect();
        hashes.join(" ")
    }

    /// Whether more than six of ten runs of a text are in here. Texts of fewer than `least` words
    /// are never copies.
    #[must_use]
    pub fn hold_most_of(&self, tokens: &Tokens, least: usize) -> bool {
        let count = tokens.tokens.len().saturating_sub(RUN - 1);
        tokens.tokens.len() >= least
            && count > 0
            && runs(tokens).filter(|run| self.0.contains(run)).count() * 10 > count * 6
    }
}

/// The gate that needs nothing but the text, if it stops there.
#[must_use]
pub fn by_form(text: &str, tokens: &Tokens) -> Option<Gate> {
    let words = tokens
        .tokens
        .iter()
        .filter(|t| t.quantity.is_none())
        .count();
    let placeholder = words <= 3
        && tokens.tokens.iter().all(|t| {
            matches!(
                t.word.as_str(),
                "todo"
                    | "tbd"
                    | "na"
                    | "n"
                    | "a"
                    | "none"
                    | "nothing"
                    | "answer"
                    | "your"
                    | "xxx"
                    | "fixme"
                    | "here"
                    | "later"
                    | "empty"
                    | "my"
                    | "guess"
                    | "write"
            )
        });
    if words == 0 || placeholder {
        return Some(Gate::Blank);
    }
    if is_code(text) {
        return Some(Gate::CodeOnly);
    }
    if is_keyword_list(text, tokens) {
        return Some(Gate::KeywordList);
    }
    None
}

/// Whether nearly all lines are lines of code.
fn is_code(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let is_line = |line: &&&str| {
        let starts = [
            "let ", "fn ", "pub ", "async fn", "use ", "impl ", "struct ", "#[", ".", "//", "}",
            "{", ")", "mod ", "return ", "match ",
        ];
        let upper = [
            "SELECT ", "CREATE ", "INSERT ", "ALTER ", "EXPLAIN ", "DROP ",
        ];
        let sql = upper.iter().any(|word| {
            line.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        }) && line.ends_with(';');
        sql || line.ends_with([';', '{', '}'])
            || starts.iter().any(|start| line.starts_with(start))
                && !line.ends_with(['.', '!', '?'])
    };
    let code = lines.iter().filter(is_line).count();
    let prose: usize = lines
        .iter()
        .filter(|line| !is_line(line))
        .map(|line| line.split_whitespace().count())
        .sum();
    code > 0 && code * 10 >= lines.len() * 7 && prose < 6
}

/// Whether a text is a list of words: hardly any grammar, no verb, no arrow.
fn is_keyword_list(text: &str, tokens: &Tokens) -> bool {
    let all = tokens.tokens.len();
    if all < 5 || tokens.arrows > 0 {
        return false;
    }
    let grammar = tokens
        .tokens
        .iter()
        .filter(|token| english::is_function_word(&token.word))
        .count();
    let verbs = tokens
        .tokens
        .iter()
        .filter(|token| english::is_verb(&token.stem) && token.word != "time")
        .count();
    let commas = text.matches([',', ';', '/', '\n']).count();
    if grammar * 100 >= all * 16 {
        return false;
    }
    // Terse notes have verbs; a list of five words may be a terse note.
    let few_verbs = verbs * 100 < all * 12;
    few_verbs && (all >= 8 || commas * 3 >= all) || grammar == 0 && all >= 10 && verbs * 5 < all
}

/// Whether most words are none.
#[must_use]
pub fn is_gibberish(tokens: &Tokens, is_known: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .filter(|token| token.quantity.is_none())
        .map(|token| token.word.as_str())
        .collect();
    let known = words.iter().filter(|word| is_known(word)).count();
    let distinct: BTreeSet<&&str> = words.iter().collect();
    words.len() >= 2 && known * 2 < words.len()
        || words.len() >= 6 && distinct.len() * 4 <= words.len()
        || words.len() == 1 && known == 0 && words[0].len() > 3
}

/// Whether pairs of words stand together that no sentence has: a shuffled text.
#[must_use]
pub fn is_word_salad(tokens: &Tokens) -> bool {
    let pairs = tokens
        .tokens
        .windows(2)
        .filter(|pair| pair[0].clause == pair[1].clause);
    let (mut impossible, mut all) = (0, 0);
    for pair in pairs {
        all += 1;
        impossible += usize::from(english::is_impossible_pair(&pair[0].word, &pair[1].word));
    }
    impossible >= 2 && impossible * 14 >= all
}

/// Whether the text only asks.
#[must_use]
pub fn is_only_questions(tokens: &Tokens) -> bool {
    tokens.questions > 0 && tokens.questions == tokens.sentences()
}

/// Whether the writer says that they do not know or will not answer.
#[must_use]
pub fn is_refusal(tokens: &Tokens) -> bool {
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .map(|token| token.word.as_str())
        .collect();
    let has = |run: &[&str]| words.windows(run.len()).any(|window| window == run);
    [
        &["not", "know"][..],
        &["no", "idea"],
        &["no", "clue"],
        &["not", "sure", "about"],
        &["not", "understand"],
        &["not", "answer"],
        &["skip"],
        &["skipping"],
        &["skipped"],
        &["sorry"],
        &["ask", "in"],
        &["idk"],
        &["dunno"],
        &["not", "get", "it"],
        &["pass"],
        &["come", "back", "to"],
        &["rather", "just"],
        &["why", "should", "i"],
        &["no", "time"],
        &["not", "have", "time"],
        &["beats", "me"],
        &["not", "read"],
        &["not", "had"],
    ]
    .iter()
    .any(|run| has(run))
}

/// How often the writer says that it may be otherwise.
#[must_use]
pub fn hedges(tokens: &Tokens) -> usize {
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .map(|token| token.word.as_str())
        .collect();
    let single = words
        .iter()
        .filter(|word| {
            matches!(
                **word,
                "maybe"
                    | "perhaps"
                    | "might"
                    | "possibly"
                    | "guess"
                    | "guessing"
                    | "dunno"
                    | "unsure"
                    | "supposedly"
            )
        })
        .count();
    let sure = words
        .windows(2)
        .filter(|pair| *pair == ["not", "sure"])
        .count();
    let know = words
        .windows(2)
        .filter(|pair| *pair == ["not", "know"])
        .count();
    single + sure + know
}

#[cfg(test)]
mod tests {
    use super::super::token::read;
    use super::*;

    fn gate(text: &str) -> Option<Gate> {
        by_form(text, &read(text))
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        for (text, wanted) in [
            ("", Gate::Blank),
            ("-", Gate::Blank),
            ("TODO", Gate::Blank),
            ("n/a", Gate::Blank),
            ("???", Gate::Blank),
            (
                "let pool = PgPool::connect(&url).await?;\npool.close().await;",
                Gate::CodeOnly,
            ),
            ("CREATE INDEX i ON posts (created_at DESC);", Gate::CodeOnly),
            (
                "pool, PgPool, request, handler, max_connections, acquire_timeout, 150ms",
                Gate::KeywordList,
            ),
            (
                "index seq scan full table rows million linear slow latency",
                Gate::KeywordList,
            ),
        ] {
            assert_eq!(gate(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn terse_notes_and_prose_pass() {
        for text in [
            "New pool per request, never shared.",
            "makes new PgPool(max 1); every handler, every request",
            "req -> new pool -> 150ms -> PoolTimedOut",
            "Own pool each. 150 ms. Time out.",
            "full scan, slower with every row, 100x",
            "more servers + load balancer",
            "IT READS EVERY ROW BECAUSE THERE IS NO INDEX",
        ] {
            assert_eq!(gate(text), None, "{text}");
        }
    }

    #[test]
    fn copies_are_known_by_runs_of_words() {
        let source = read("It creates a brand new pool for every request and closes it again");
        let mut shingles = Shingles::default();
        shingles.add(&source);
        let mut stored = Shingles::default();
        stored.add_fingerprint(&shingles.fingerprint());
        for shingles in [shingles, stored] {
            let copy = read("it creates a brand-new pool for every request, and closes it!");
            assert!(shingles.hold_most_of(&copy, 5));
            assert!(!shingles.hold_most_of(&read("Every request has a pool that it closes"), 5));
        }
    }

    #[test]
    fn shuffled_words_are_told_from_prose() {
        let salad =
            "request the of is creates pool a every it and to the is of closes its with has";
        assert!(is_word_salad(&read(salad)));
        assert!(!is_word_salad(&read(
            "Each of the requests that has a pool of its own is one of the many."
        )));
    }
}
