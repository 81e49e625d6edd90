//! Patterns: how an author writes what an idea sounds like.
//!
//! ```text
//! each request ~4 new|own @pool      in this order; `~4`: up to four words between, 2 without it
//! wait|queue ~2 behind               alternatives for one word
//! (line up|queue) ~2 behind          in brackets, alternatives are whole phrases
//! scan*   =pool   #150ms   #10k      a beginning, this form only, a number
//! #any                               any number
//! ^ the? index                       at the start of a sentence
//! A|option                           a capital letter that names something, not an article
//! only? @new @pool                   `?`: may be missing
//! @slow & @grow                      both in one sentence or in two neighbouring ones
//! @pool && reuse && !share           all anywhere in the answer; `!`: must be missing
//! ```
//!
//! Words match in all their regular forms and with a typo. No regular expressions: they escape
//! typo tolerance, negation and evidence. This file parses; `matching` finds.

use std::collections::{BTreeMap, BTreeSet};

use super::quantity::{self, Quantity};
use super::stem::stem;
use super::token::Token;

/// Words that may stand between two steps when the author says nothing.
const GAP: usize = 2;
/// The widest gap that an author may ask for.
const MAX_GAP: usize = 12;
/// How deep brackets may nest.
const MAX_DEPTH: usize = 6;

/// A parsed pattern: parts that must all be found, or be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// As the author wrote it.
    pub source: String,
    /// At least one; the first is never `absent`.
    pub parts: Vec<Part>,
}

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What to find.
    pub steps: Vec<Step>,
    /// Whether it must be near the first part and not just anywhere.
    pub near: bool,
    /// Whether it must be missing.
    pub absent: bool,
}

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How many words may stand before it.
    pub gap: usize,
    /// What to find.
    pub node: Node,
    /// Whether it may be missing.
    pub optional: bool,
}

/// What one step finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A word, by its id in the [`Vocabulary`].
    Word(u32),
    /// One of several words, their ids ascending.
    Words(Vec<u32>),
    /// A group of synonyms, by its place.
    Group(usize),
    /// A number.
    Number(Quantity),
    /// Any number.
    AnyNumber,
    /// The start of a sentence; it uses no word.
    Start,
    /// One of several.
    Any(Vec<Node>),
    /// Several in order.
    Sequence(Vec<Step>),
}

/// A mistake in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, in characters from the pattern's start.
    pub offset: usize,
    /// What is wrong, and the way out.
    pub message: String,
}

/// All words that the patterns of a rubric know, each with an id.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    stems: BTreeMap<String, u32>,
    exact: BTreeMap<String, u32>,
    prefixes: BTreeMap<String, u32>,
    letters: BTreeMap<String, u32>,
    plain: BTreeMap<String, u32>,
    /// The words as written, for typo tolerance.
    pub surface: BTreeSet<String>,
    next: u32,
}

impl Vocabulary {
    fn id(&mut self, word: &str) -> u32 {
        let (map, key) = if word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase()) {
            (&mut self.letters, word.to_lowercase())
        } else if let Some(word) = word.strip_prefix('=') {
            self.surface.insert(word.to_owned());
            (&mut self.exact, word.to_owned())
        } else if let Some(head) = word.strip_suffix('*') {
            (&mut self.prefixes, head.to_owned())
        } else {
            self.surface.insert(word.to_owned());
            (&mut self.stems, stem(word))
        };
        let id = *map.entry(key).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        if self.surface.contains(word) {
            self.plain.insert(word.to_owned(), id);
        }
        id
    }

    /// The ids that a token answers to. Without `stems`, only words as they are written do.
    #[must_use]
    pub fn ids(&self, token: &Token, stems: bool) -> Vec<u32> {
        let mut ids = Vec::new();
        ids.extend(if stems {
            self.stems.get(&token.stem)
        } else {
            self.plain.get(&token.word)
        });
        ids.extend(self.exact.get(&token.word));
        if token.letter {
            ids.extend(self.letters.get(&token.word));
        }
        // A prefix of a word sorts before it, so only entries up to the word can match.
        for (end, _) in token.word.char_indices().skip(1).take(24) {
            ids.extend(self.prefixes.get(&token.word[..end]));
        }
        ids.extend(self.prefixes.get(&token.word));
        ids
    }

    /// Whether some pattern knows the word in some form.
    #[must_use]
    pub fn knows(&self, word: &str) -> bool {
        self.exact.contains_key(word) || self.stems.contains_key(&stem(word))
    }
}

/// Parses a pattern. `groups` gives the place of each group by its name.
///
/// # Errors
/// The first mistake.
pub fn parse(
    source: &str,
    groups: &BTreeMap<String, usize>,
    vocabulary: &mut Vocabulary,
) -> Result<Pattern, Mistake> {
    let mut parser = Parser {
        chars: source.chars().collect(),
        at: 0,
        depth: 0,
        groups,
        vocabulary,
    };
    let mut parts = Vec::new();
    let (mut near, mut absent) = (false, false);
    loop {
        let steps = parser.steps()?;
        parts.push(Part {
            steps,
            near,
            absent,
        });
        parser.space();
        match parser.peek() {
            None => break,
            Some('&') => {
                parser.at += 1;
                near = !parser.take('&');
                parser.space();
                absent = parser.take('!');
            }
            Some(c) => return Err(parser.mistake(format!("`{c}` does not belong here"))),
        }
    }
    Ok(Pattern {
        source: source.to_owned(),
        parts,
    })
}

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    groups: &'a BTreeMap<String, usize>,
    vocabulary: &'a mut Vocabulary,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake {
            offset: self.at,
            message: message.into(),
        }
    }

    fn while_in(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn steps(&mut self) -> Result<Vec<Step>, Mistake> {
        let mut steps: Vec<Step> = Vec::new();
        let mut gap = None;
        loop {
            self.space();
            match self.peek() {
                None | Some('&' | ')') => break,
                Some('|') if self.depth > 0 => break,
                Some('~') => {
                    if steps.is_empty() || gap.is_some() {
                        return Err(self.mistake("a gap `~` stands between two words"));
                    }
                    self.at += 1;
                    let digits = self.while_in(|c| c.is_ascii_digit());
                    gap = Some(match digits.parse() {
                        Ok(gap) if gap <= MAX_GAP => gap,
                        _ => {
                            let message =
                                format!("a gap is written like `~4`, and {MAX_GAP} at most");
                            return Err(self.mistake(message));
                        }
                    });
                }
                Some(_) => {
                    let start = self.at;
                    let node = self.any()?;
                    // `wait|line up|queue` means two words in a row; hardly ever is that meant.
                    let list = self.depth == 0 && is_list(&node);
                    if list && gap.is_none() && steps.last().is_some_and(|step| is_list(&step.node))
                    {
                        return Err(Mistake {
                            offset: start,
                            message: "two lists side by side: put phrases in brackets, like \
                                      `wait|(line up)|queue`, or a gap like `~2` between the lists"
                                .into(),
                        });
                    }
                    let optional = self.take('?');
                    let gap = gap.take().unwrap_or(GAP);
                    steps.push(Step {
                        gap,
                        node,
                        optional,
                    });
                }
            }
        }
        if gap.is_some() {
            return Err(self.mistake("a word is missing after the gap"));
        }
        if steps
            .iter()
            .all(|step| step.optional || step.node == Node::Start)
        {
            return Err(self.mistake("a word is missing here"));
        }
        Ok(steps)
    }

    fn any(&mut self) -> Result<Node, Mistake> {
        let mut nodes = vec![self.atom()?];
        while self.depth == 0 && self.take('|') {
            nodes.push(self.atom()?);
        }
        Ok(one_of(nodes))
    }

    /// What stands in brackets, the opening one read.
    fn phrases(&mut self) -> Result<Node, Mistake> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.mistake("brackets nest too deep"));
        }
        let mut phrases = vec![sequence(self.steps()?)];
        while self.take('|') {
            phrases.push(sequence(self.steps()?));
        }
        self.depth -= 1;
        if !self.take(')') {
            return Err(self.mistake("a closing bracket is missing"));
        }
        Ok(one_of(phrases))
    }

    fn atom(&mut self) -> Result<Node, Mistake> {
        let start = self.at;
        match self.peek() {
            Some('(') => {
                self.at += 1;
                self.phrases()
            }
            Some('^') => {
                self.at += 1;
                Ok(Node::Start)
            }
            Some('@') => {
                self.at += 1;
                let name = self.while_in(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
                self.groups.get(&name).map_or_else(
                    || {
                        Err(Mistake {
                            offset: start,
                            message: format!("there is no group `{name}`"),
                        })
                    },
                    |place| Ok(Node::Group(*place)),
                )
            }
            Some('#') => {
                self.at += 1;
                let number = self.while_in(|c| c.is_alphanumeric() || matches!(c, '.' | ',' | '%'));
                if number == "any" {
                    return Ok(Node::AnyNumber);
                }
                quantity::parse(&number).map(Node::Number).ok_or(Mistake {
                    offset: start,
                    message: "a number is written like `#150ms`, `#10k` or `#99%`".into(),
                })
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Node, Mistake> {
        let start = self.at;
        let exact = self.take('=');
        let word = self.while_in(|c| c.is_alphanumeric() || c == '_');
        let wrong = |message: String| {
            Err(Mistake {
                offset: start,
                message,
            })
        };
        if word.is_empty() {
            let found = self
                .peek()
                .map_or_else(|| "the end".into(), |c| format!("`{c}`"));
            return Err(self.mistake(format!("a word is wanted, not {found}")));
        }
        let letter = word.len() == 1 && !exact;
        if word != word.to_lowercase() && !letter {
            return wrong(format!(
                "write `{}`: case never matters",
                word.to_lowercase()
            ));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return wrong(format!("write numbers with a `#`: `#{word}`"));
        }
        if matches!(self.peek(), Some('-' | '\'' | '/')) {
            return Err(self.mistake(
                "write the parts as words of their own: `load balancer`, `do not`, `blue green`",
            ));
        }
        let prefix = self.take('*');
        if prefix && (exact || word.chars().count() < 3) {
            return wrong("a beginning needs three letters, and no `=`".into());
        }
        let word = match (exact, prefix) {
            (true, _) => format!("={word}"),
            (_, true) => format!("{word}*"),
            _ => word,
        };
        Ok(Node::Word(self.vocabulary.id(&word)))
    }
}

fn is_list(node: &Node) -> bool {
    matches!(node, Node::Any(_) | Node::Words(_))
}

/// A phrase of one word is that word.
pub(super) fn sequence(mut steps: Vec<Step>) -> Node {
    match steps.pop() {
        Some(step) if steps.is_empty() && !step.optional => step.node,
        last => {
            steps.extend(last);
            Node::Sequence(steps)
        }
    }
}

/// Alternatives. Most are single words, and those are looked up together.
pub(super) fn one_of(nodes: Vec<Node>) -> Node {
    let mut words = Vec::new();
    let mut others = Vec::new();
    for node in nodes {
        match node {
            Node::Word(id) => words.push(id),
            Node::Words(ids) => words.extend(ids),
            Node::Any(nodes) => others.extend(nodes),
            other => others.push(other),
        }
    }
    words.sort_unstable();
    words.dedup();
    match words.as_slice() {
        [] => {}
        [id] => others.push(Node::Word(*id)),
        _ => others.push(Node::Words(words)),
    }
    match others.pop() {
        Some(node) if others.is_empty() => node,
        last => {
            others.extend(last);
            Node::Any(others)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(source: &str) -> (usize, String) {
        let groups = BTreeMap::from([("pool".to_owned(), 0)]);
        let mistake = parse(source, &groups, &mut Vocabulary::default()).unwrap_err();
        (mistake.offset, mistake.message)
    }

    #[test]
    fn mistakes_are_told_with_their_spot() {
        assert_eq!(mistake("new @pol").0, 4);
        assert_eq!(mistake("new ~99 pool").0, 7);
        assert_eq!(mistake("new (pool").1, "a closing bracket is missing");
        assert_eq!(mistake("new pool)").0, 8);
        assert_eq!(mistake("load-balancer").0, 4);
        assert_eq!(mistake("new 100").1, "write numbers with a `#`: `#100`");
        assert_eq!(mistake("Pool").1, "write `pool`: case never matters");
        assert_eq!(mistake("").1, "a word is missing here");
        assert_eq!(mistake("a &").1, "a word is missing here");
        assert_eq!(mistake("a b? ~3").1, "a word is missing after the gap");
        assert_eq!(mistake("#abc").0, 0);
        assert_eq!(mistake("^").1, "a word is missing here");
        assert_eq!(mistake("a | b").0, 2);
        assert_eq!(mistake("wait|line up|queue").0, 10);
        assert!(mistake(&"(".repeat(100)).1.contains("too deep"));
    }

    #[test]
    fn forms_of_a_word_are_one_id() {
        let mut vocabulary = Vocabulary::default();
        let groups = BTreeMap::new();
        let one = parse("create", &groups, &mut vocabulary).unwrap();
        let other = parse("creating", &groups, &mut vocabulary).unwrap();
        assert_eq!(one.parts, other.parts);
        assert!(vocabulary.knows("created") && !vocabulary.knows("pool"));
    }
}
