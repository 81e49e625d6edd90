//! Gates: texts that are no answer, and texts that a person should see.
//!
//! A gate gives no points and says what to do. A review reason leaves the points as they are, or
//! caps them, and says why a person should look. What is compared here are runs of three words.

use std::collections::BTreeSet;

use super::english;
use super::token::{Token, Tokens};

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

fn runs(tokens: &[Token]) -> impl Iterator<Item = u32> {
    tokens.windows(RUN).map(|run| {
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
        self.0.extend(runs(&tokens.tokens));
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
    pub fn hold_most_of(&self, tokens: &[Token], least: usize) -> bool {
        hold_most_of(&[self], tokens, least)
    }
}

/// Whether more than six of ten runs of a text are in one of the sets.
#[must_use]
pub fn hold_most_of(sets: &[&Shingles], tokens: &[Token], least: usize) -> bool {
    let count = tokens.len().saturating_sub(RUN - 1);
    let known = |run: &u32| sets.iter().any(|set| set.0.contains(run));
    tokens.len() >= least && count > 0 && runs(tokens).filter(known).count() * 10 > count * 6
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
        .filter(|line| !line.is_empty() && !line.starts_with("```"))
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
            || line.contains("::") && line.ends_with(')')
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
    // `1M = 33x` says something of something.
    if all < 5 || tokens.arrows > 0 || text.contains(" = ") {
        return false;
    }
    // The `A` of `option A` is no article.
    let count = |is: fn(&str) -> bool| {
        let words = tokens.tokens.iter().filter(|token| !token.letter);
        words.filter(|token| is(&token.word)).count()
    };
    let grammar = count(english::is_function_word);
    let glue = count(english::is_glue) + text.matches([':', '=', '+']).count();
    let verbs = tokens
        .tokens
        .iter()
        .filter(|token| english::is_verb(&token.stem))
        .count();
    let parts = 1 + text.matches([',', ';', '/', '\n']).count();
    // Not even little words of other kinds: `150 ms per request` has one in four.
    let finite = |token: &Token| english::is_verb(&token.stem) && token.word.ends_with('s');
    let bare = grammar * 4 < all && verbs * 8 <= all;
    let list = all >= 10 && verbs * 10 <= all || all >= 8 && bare;
    if glue == 0 && list && !tokens.tokens.iter().any(finite) {
        return true;
    }
    if glue == 0 && grammar == 0 && verbs == 0 && parts == 1 && all >= 6 {
        return true;
    }
    if verbs > 0 {
        return glue == 0 && parts >= 5 && parts * 3 >= all && verbs * 8 <= all;
    }
    if glue == 0 && all >= 8 {
        return true;
    }
    grammar * 100 < all * 16 && (all >= 8 || parts * 2 > all)
}

/// Whether too many words are none.
#[must_use]
pub fn is_gibberish(tokens: &Tokens, is_known: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .filter(|token| token.quantity.is_none())
        .map(|token| token.word.as_str())
        .collect();
    let unknown: Vec<&&str> = words.iter().filter(|word| !is_known(word)).collect();
    let odd = unknown
        .iter()
        .filter(|word| is_unpronounceable(word))
        .count();
    let distinct: BTreeSet<&&str> = words.iter().collect();
    words.len() >= 6 && distinct.len() * 4 <= words.len()
        || odd * 3 > words.len()
        || odd > 0 && unknown.len() * 5 >= words.len() * 2 && odd * 2 >= unknown.len()
}

/// Whether most words are unknown and yet could be words: perhaps a language that is not listed.
#[must_use]
pub fn is_unknown_language(tokens: &Tokens, is_known: impl Fn(&str) -> bool) -> bool {
    let words = tokens
        .tokens
        .iter()
        .filter(|token| token.quantity.is_none());
    let (known, unknown): (Vec<_>, Vec<_>) = words.partition(|token| is_known(&token.word));
    let odd = unknown
        .iter()
        .filter(|token| is_unpronounceable(&token.word))
        .count();
    unknown.len() >= 4 && unknown.len() > known.len() && odd * 3 < unknown.len()
}

/// Keys hit at random: hardly a vowel, or many consonants in a row.
fn is_unpronounceable(word: &str) -> bool {
    let mut run = 0;
    let mut longest = 0;
    for c in word.chars() {
        run = if "aeiouy".contains(c) { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    word.is_ascii() && word.len() >= 3 && (longest >= 4 || longest == word.len())
}

/// Whether a text has the words of a key and hardly any of its runs: a shuffled key.
#[must_use]
pub fn is_shuffled(tokens: &Tokens, key: &Tokens) -> bool {
    let known: BTreeSet<&str> = key.tokens.iter().map(|token| token.word.as_str()).collect();
    let all = tokens.tokens.len();
    let shared = tokens
        .tokens
        .iter()
        .filter(|token| known.contains(token.word.as_str()))
        .count();
    let mut own = Shingles::default();
    own.add(key);
    let kept = runs(&tokens.tokens)
        .filter(|run| own.0.contains(run))
        .count();
    all >= 15 && all * 2 >= key.tokens.len() && shared * 10 >= all * 9 && kept * 4 < all
}

/// Words that announce that something is not meant as it is said.
#[must_use]
pub fn is_ironic(tokens: &Tokens) -> bool {
    let words: Vec<&str> = tokens
        .tokens
        .iter()
        .map(|token| token.word.as_str())
        .collect();
    let has = |run: &[&str]| words.windows(run.len()).any(|window| window == run);
    [
        &["wow"][..],
        &["congratulations"],
        &["congrats"],
        &["brilliant"],
        &["bravo"],
        &["groundbreaking"],
        &["trust", "me"],
        &["who", "cares"],
        &["yeah", "right"],
        &["thoughts", "and", "prayers"],
        &["happily", "ever"],
        &["let", "me", "guess"],
        &["would", "have", "thought"],
        &["just", "kidding"],
    ]
    .iter()
    .any(|run| has(run))
}

/// Leaves out the sentences that ask, and those that are copied from `given`. What is left is what
/// the writer says.
pub fn leave_out_questions(tokens: &mut Tokens, text: &str, given: &[&Shingles]) {
    let all = std::mem::take(&mut tokens.tokens);
    for sentence in all.chunk_by(|left, right| left.sentence == right.sentence) {
        if !asks(sentence, text) && !hold_most_of(given, sentence, 5) {
            tokens.tokens.extend_from_slice(sentence);
        }
    }
}

/// Whether a sentence ends with a question mark and has a clause that begins like a question.
fn asks(sentence: &[Token], text: &str) -> bool {
    let end = sentence.last().map_or(0, |token| token.end);
    let rest = text.get(end..).unwrap_or("");
    let mark = rest
        .chars()
        .find(|c| !matches!(c, ')' | '`' | '"' | '*' | '_' | ' '));
    let mut clauses = sentence.chunk_by(|left, right| left.clause == right.clause);
    mark == Some('?')
        && clauses.any(|clause| {
            matches!(
                clause.first().map_or("", |token| token.word.as_str()),
                "how" | "what" | "why" | "which" | "when" | "where" | "who" | "would" | "compare"
            )
        })
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

/// Whether the writer leaves open what is said: twice at least, and not in passing.
#[must_use]
pub fn is_hedged(tokens: &Tokens) -> bool {
    let hedges = hedges(tokens);
    hedges >= 2 && hedges * 30 >= tokens.tokens.len()
}

/// How often the writer says that it may be otherwise.
fn hedges(tokens: &Tokens) -> usize {
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
    use super::super::reader::read;
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
            (
                "timeout errors 100 connections pool own 150ms fail most",
                Gate::KeywordList,
            ),
            (
                "load balancer horizontal scaling stateless replicas",
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
            "scale out behind nginx",
            "new PgPool per request, never shared, gives up after 150 ms",
            "full scan + sort for 20 rows; 1M = ~33x",
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
            assert!(shingles.hold_most_of(&copy.tokens, 5));
            assert!(
                !shingles.hold_most_of(&read("Every request has a pool that it closes").tokens, 5)
            );
        }
    }
}
