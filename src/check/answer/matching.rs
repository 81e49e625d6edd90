//! Matching: where a pattern is found in an answer, and with which words.
//!
//! Every hit carries the tokens that it used: they are the evidence that learners and authors are
//! shown. Work is bounded: what a group finds at a place is computed once, and of several ways from
//! one place to the same end one is kept.

use std::rc::Rc;

use super::negation::Negations;
use super::pattern::{Node, Part, Pattern, Step};
use super::token::Tokens;

/// How far apart, in tokens, the parts of a pattern with `&` may be.
const NEAR: usize = 30;
/// The most ends that are followed from one place.
const MAX_ENDS: usize = 8;
/// The most hits of one part that are kept.
const MAX_HITS: usize = 24;

/// Words that gaps do not count.
const FILLERS: &[&str] = &[
    "a",
    "actually",
    "already",
    "also",
    "an",
    "basically",
    "completely",
    "just",
    "its",
    "my",
    "only",
    "our",
    "really",
    "simply",
    "that",
    "the",
    "their",
    "these",
    "this",
    "those",
    "very",
    "your",
];

/// Where a pattern was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The tokens that it used, ascending.
    pub used: Vec<usize>,
    /// Whether one of them stands in the scope of a negation that it did not use.
    pub negated: bool,
}

#[derive(Debug, Clone)]
struct Span {
    end: usize,
    used: Vec<usize>,
}

/// An answer, ready to be searched.
pub struct Matcher<'a> {
    tokens: &'a Tokens,
    groups: &'a [Vec<Node>],
    ids: Vec<Vec<u32>>,
    filler: Vec<bool>,
    negations: &'a Negations,
    found: Vec<Vec<Option<Rc<Vec<Span>>>>>,
    /// For each word of the vocabulary whether the answer has it.
    present: Vec<bool>,
    /// For each group whether the answer has a word to begin it with, once it is known.
    begun: Vec<Option<bool>>,
    nothing: Rc<Vec<Span>>,
    /// How many looks at one place were taken, for tests.
    pub work: usize,
}

impl<'a> Matcher<'a> {
    /// Prepares an answer: `ids` are what its tokens answer to, `scopes` what `negation::find`
    /// says of them.
    #[must_use]
    pub fn new(
        tokens: &'a Tokens,
        groups: &'a [Vec<Node>],
        ids: Vec<Vec<u32>>,
        negations: &'a Negations,
    ) -> Self {
        let each = &tokens.tokens;
        let all = || {
            ids.iter()
                .flatten()
                .filter_map(|id| usize::try_from(*id).ok())
        };
        let mut present = vec![false; all().max().map_or(0, |most| most + 1)];
        for id in all() {
            present[id] = true;
        }
        Self {
            present,
            begun: vec![None; groups.len()],
            nothing: Rc::default(),
            tokens,
            groups,
            ids,
            filler: each
                .iter()
                .map(|token| FILLERS.contains(&token.word.as_str()))
                .collect(),
            negations,
            found: vec![vec![None; each.len()]; groups.len()],
            work: 0,
        }
    }

    /// Where `pattern` is found: an affirmed hit when there is one, and a negated one when there is
    /// one.
    pub fn find(&mut self, pattern: &Pattern) -> Vec<Hit> {
        let mut parts = pattern.parts.iter();
        let Some(first) = parts.next() else {
            return Vec::new();
        };
        let mut hits = self.part(first);
        for part in parts {
            if hits.is_empty() {
                break;
            }
            let others = self.part(part);
            hits = hits
                .iter()
                .filter_map(|hit| self.joined(hit, &others, part))
                .collect();
        }
        let mut kept: Vec<Hit> = Vec::new();
        for hit in hits {
            if !kept.iter().any(|known| known.negated == hit.negated) {
                kept.push(hit);
            }
        }
        kept
    }

    /// All hits of one part, in the order of the text.
    fn part(&mut self, part: &Part) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        if !self.has_steps(&part.steps) {
            return hits;
        }
        for start in 0..self.tokens.tokens.len() {
            for span in self.sequence(&part.steps, start) {
                let negated = self.is_negated(&span.used);
                // One of each kind at each place is enough.
                if !span.used.is_empty()
                    && self.reaches(&span.used)
                    && hits.last().is_none_or(|last: &Hit| {
                        last.used.first() != span.used.first() || last.negated != negated
                    })
                {
                    hits.push(Hit {
                        used: span.used,
                        negated,
                    });
                }
            }
            if hits.len() >= MAX_HITS {
                break;
            }
        }
        hits
    }

    /// Whether the answer has words for every step that must be there. Most patterns end here.
    fn has_steps(&mut self, steps: &[Step]) -> bool {
        let mut needed = steps.iter().filter(|step| !step.optional);
        needed.all(|step| self.has(&step.node))
    }

    fn has_word(&self, id: u32) -> bool {
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        self.present.get(place).copied().unwrap_or(false)
    }

    fn has(&mut self, node: &Node) -> bool {
        match node {
            Node::Word(id) => self.has_word(*id),
            Node::Words(ids) => ids.iter().any(|id| self.has_word(*id)),
            Node::Number(_) | Node::AnyNumber | Node::Start => true,
            Node::Any(nodes) => nodes.iter().any(|node| self.has(node)),
            Node::Sequence(steps) => self.has_steps(steps),
            Node::Group(place) => {
                if let Some(known) = self.begun[*place] {
                    return known;
                }
                let groups = self.groups;
                let has = groups[*place].iter().any(|node| self.has(node));
                self.begun[*place] = Some(has);
                has
            }
        }
    }

    fn is_negated(&self, used: &[usize]) -> bool {
        // Numbers are not denied: `no answer within 150 ms` says 150 ms.
        used.iter()
            .filter(|token| self.tokens.tokens[**token].quantity.is_none())
            .filter_map(|token| self.negations.scopes[*token])
            .any(|cue| !used.contains(&cue))
    }

    /// Whether every negation that a hit uses reaches the word after it, in the same clause.
    fn reaches(&self, used: &[usize]) -> bool {
        let clause = |at: usize| self.tokens.tokens[at].clause;
        used.windows(2)
            .all(|pair| !self.negations.cues[pair[0]] || clause(pair[0]) == clause(pair[1]))
    }

    fn joined(&self, hit: &Hit, others: &[Hit], part: &Part) -> Option<Hit> {
        let mut near = others
            .iter()
            .filter(|other| !part.near || self.are_near(hit, other));
        if part.absent {
            return near.all(|other| other.negated).then(|| hit.clone());
        }
        let mut best: Option<&Hit> = None;
        for other in near {
            if best.is_none_or(|best| best.negated && !other.negated) {
                best = Some(other);
            }
        }
        best.map(|other| {
            let mut used: Vec<usize> = hit.used.iter().chain(&other.used).copied().collect();
            used.sort_unstable();
            used.dedup();
            let negated = self.is_negated(&used);
            Hit { used, negated }
        })
    }

    fn are_near(&self, hit: &Hit, other: &Hit) -> bool {
        let (Some(first), Some(last)) = (hit.used.first(), hit.used.last()) else {
            return false;
        };
        let (Some(start), Some(end)) = (other.used.first(), other.used.last()) else {
            return false;
        };
        let (left, right) = if first <= start {
            (last, start)
        } else {
            (end, first)
        };
        let sentence = |token: &usize| self.tokens.tokens[*token].sentence;
        right.saturating_sub(*left) <= NEAR && sentence(right) <= sentence(left) + 1
    }

    fn sequence(&mut self, steps: &[Step], start: usize) -> Vec<Span> {
        let mut ways = vec![Span {
            end: start,
            used: Vec::new(),
        }];
        for step in steps {
            let mut next: Vec<Span> = Vec::new();
            for way in &ways {
                for place in self.places(way, step.gap) {
                    for span in self.at(&step.node, place).iter() {
                        push(&mut next, way, span);
                    }
                }
            }
            if step.optional {
                for way in ways {
                    if next.len() < MAX_ENDS && next.iter().all(|known| known.end != way.end) {
                        next.push(way);
                    }
                }
            }
            if next.is_empty() {
                return next;
            }
            ways = next;
        }
        ways
    }

    /// Where the next step may start: after `gap` counted words at most, in the same sentence.
    fn places(&self, way: &Span, gap: usize) -> Vec<usize> {
        let tokens = &self.tokens.tokens;
        let Some(last) = way.used.last() else {
            return if way.end < tokens.len() {
                vec![way.end]
            } else {
                Vec::new()
            };
        };
        let mut places = Vec::new();
        let mut skipped = 0;
        let mut listed = true;
        for place in way.end..tokens.len().min(way.end + gap + 4) {
            if tokens[place].sentence != tokens[*last].sentence || skipped > gap {
                break;
            }
            places.push(place);
            // What is said of one option is not said of the next one, unless both are named in one
            // go: `B and C hide it`.
            let word = tokens[place].word.as_str();
            if tokens[place].letter && !listed {
                break;
            }
            listed &= tokens[place].letter
                || matches!(word, "and" | "or" | "nor" | "option" | "options" | "both");
            skipped += usize::from(!self.filler[place]);
        }
        places
    }

    fn at(&mut self, node: &Node, start: usize) -> Rc<Vec<Span>> {
        self.work += 1;
        let one = || {
            vec![Span {
                end: start + 1,
                used: vec![start],
            }]
        };
        let spans = match node {
            Node::Word(id) if self.ids[start].contains(id) => one(),
            Node::Words(wanted)
                if self.ids[start]
                    .iter()
                    .any(|id| wanted.binary_search(id).is_ok()) =>
            {
                one()
            }
            Node::Number(wanted)
                if self.tokens.tokens[start]
                    .quantity
                    .is_some_and(|found| found.fits(*wanted)) =>
            {
                one()
            }
            Node::AnyNumber if self.tokens.tokens[start].quantity.is_some() => one(),
            Node::Start if self.starts_sentence(start) => vec![Span {
                end: start,
                used: Vec::new(),
            }],
            Node::Word(_) | Node::Words(_) | Node::Number(_) | Node::AnyNumber | Node::Start => {
                return Rc::clone(&self.nothing);
            }
            Node::Sequence(steps) => self.sequence(steps, start),
            Node::Any(nodes) => self.any(nodes, start),
            Node::Group(place) => {
                if let Some(found) = &self.found[*place][start] {
                    return Rc::clone(found);
                }
                let groups = self.groups;
                let found = Rc::new(self.any(&groups[*place], start));
                self.found[*place][start] = Some(Rc::clone(&found));
                return found;
            }
        };
        Rc::new(spans)
    }

    fn starts_sentence(&self, at: usize) -> bool {
        let tokens = &self.tokens.tokens;
        at.checked_sub(1)
            .is_none_or(|before| tokens[before].sentence != tokens[at].sentence)
    }

    fn any(&mut self, nodes: &[Node], start: usize) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for node in nodes {
            for span in self.at(node, start).iter() {
                if spans.len() < MAX_ENDS && spans.iter().all(|known| known.end != span.end) {
                    spans.push(span.clone());
                }
            }
        }
        spans
    }
}

fn push(ways: &mut Vec<Span>, way: &Span, span: &Span) {
    if ways.len() < MAX_ENDS && ways.iter().all(|known| known.end != span.end) {
        let used = way.used.iter().chain(&span.used).copied().collect();
        ways.push(Span {
            end: span.end,
            used,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::negation;
    use super::super::pattern::{Vocabulary, parse};
    use super::super::reader::read;
    use super::*;

    /// The hits of a pattern, as quotes, `-` before negated ones.
    fn find(pattern: &str, text: &str) -> Vec<String> {
        let mut vocabulary = Vocabulary::default();
        let names = BTreeMap::from([("new".to_owned(), 0)]);
        let new = ["new", "own", "(of its own)"].map(|source| {
            let pattern = parse(source, &names, &mut vocabulary).unwrap();
            Node::Sequence(pattern.parts.into_iter().next().unwrap().steps)
        });
        let groups = vec![new.to_vec()];
        let pattern = parse(pattern, &names, &mut vocabulary).unwrap();
        let tokens = read(text);
        let scopes = negation::find(&tokens);
        let ids = tokens
            .tokens
            .iter()
            .map(|token| vocabulary.ids(token, true))
            .collect();
        let mut matcher = Matcher::new(&tokens, &groups, ids, &scopes);
        matcher
            .find(&pattern)
            .iter()
            .map(|hit| {
                let quote = tokens.quote(text, hit.used[0], *hit.used.last().unwrap());
                format!("{}{quote}", if hit.negated { "-" } else { "" })
            })
            .collect()
    }

    #[test]
    fn steps_are_in_order_with_gaps_inside_a_sentence() {
        assert_eq!(
            find("@new pool", "a new connection pool"),
            ["new connection pool"]
        );
        assert_eq!(find("@new ~0 pool", "a new connection pool"), [""; 0]);
        assert_eq!(find("@new ~0 pool", "own the pool"), ["own the pool"]);
        assert_eq!(find("pool @new", "a new pool"), [""; 0]);
        assert_eq!(find("@new pool", "It is new. Pools are nice"), [""; 0]);
        assert_eq!(
            find("pool ~3 @new", "a pool of its own"),
            ["pool of its own"]
        );
        assert_eq!(
            find("open only? (a pool)|door", "opens a pool"),
            ["opens a pool"]
        );
    }

    #[test]
    fn numbers_of_any_value_and_starts_of_sentences_are_found() {
        assert_eq!(find("#any request", "five requests"), ["five requests"]);
        assert_eq!(find("#any request", "each request"), [""; 0]);
        assert_eq!(find("^ the? pool", "Well. The pool!"), ["The pool"]);
        assert_eq!(find("^ pool", "a pool"), [""; 0]);
    }

    #[test]
    fn parts_are_found_in_any_order_near_each_other_or_anywhere() {
        let text = "Rows are read. It is slow. That is bad. Bad indeed";
        assert_eq!(find("slow & read", text), ["read. It is slow"]);
        assert_eq!(find("indeed & read", text), [""; 0]);
        assert_eq!(find("indeed && read", text).len(), 1);
        assert_eq!(find("slow && !read", text), [""; 0]);
        assert_eq!(find("slow && !write", text), ["slow"]);
    }

    #[test]
    fn a_hit_in_the_scope_of_a_negation_is_negated_unless_it_uses_the_cue() {
        assert_eq!(
            find("open pool", "It does not open a pool"),
            ["-open a pool"]
        );
        assert_eq!(
            find("not open pool", "It does not open a pool"),
            ["not open a pool"]
        );
        assert_eq!(
            find("open", "It does not open. Now it opens"),
            ["-open", "opens"]
        );
    }

    #[test]
    fn work_grows_with_the_text_and_no_faster() {
        let work = |words: usize| {
            let text = "new pool ".repeat(words) + "never";
            let mut vocabulary = Vocabulary::default();
            let names = BTreeMap::new();
            let source = "new|pool ~12 pool|new ~12 (new ~12 pool|pool) ~12 never";
            let pattern = parse(source, &names, &mut vocabulary).unwrap();
            let tokens = read(&text);
            let scopes = negation::find(&tokens);
            let ids = tokens
                .tokens
                .iter()
                .map(|token| vocabulary.ids(token, true))
                .collect();
            let mut matcher = Matcher::new(&tokens, &[], ids, &scopes);
            matcher.find(&pattern);
            matcher.work
        };
        let (short, long) = (work(100), work(400));
        assert!(long < short * 5, "{short} {long}");
        assert!(long < 800 * 5_000, "{long}");
    }
}
