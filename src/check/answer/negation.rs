//! Negation: which words of an answer stand in the scope of a `not`, a `never`, a `without`.
//!
//! A window and no parser: a cue reaches to the end of its clause, to a word that opens another
//! one, or to its limit, whichever comes first. A pattern that uses the cue itself (`not shared`)
//! is not negated by it; `matching` sees to that.

use super::token::{Token, Tokens};

/// What is negated in an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Negations {
    /// For each token the cue in whose scope it stands.
    pub scopes: Vec<Option<usize>>,
    /// For each token whether it is a cue.
    pub cues: Vec<bool>,
}

impl Negations {
    /// Of an answer in which nothing counts as negated.
    #[must_use]
    pub fn none(tokens: &Tokens) -> Self {
        Self {
            scopes: vec![None; tokens.tokens.len()],
            cues: vec![false; tokens.tokens.len()],
        }
    }

    /// The number of cues.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cues.iter().filter(|cue| **cue).count()
    }
}

/// Finds the cues and their scopes.
#[must_use]
pub fn find(tokens: &Tokens) -> Negations {
    let mut negations = Negations::none(tokens);
    let tokens = &tokens.tokens;
    let scopes = &mut negations.scopes;
    for (at, token) in tokens.iter().enumerate() {
        if dismisses(tokens, at) {
            // `More servers do not help`: what stands before is denied.
            let before = tokens[..at].iter().enumerate().rev().take(BACK);
            for (place, previous) in before {
                if previous.clause != token.clause || ends_scope(&previous.word, 0) {
                    break;
                }
                scopes[place] = Some(at);
            }
        }
        let Some(reach) = reach(tokens, at) else {
            continue;
        };
        negations.cues[at] = true;
        // `not without`, `nobody does not`: two cues undo each other.
        let undone = scopes[at].take().is_some();
        let bare = is_bare(tokens, at);
        for (distance, next) in tokens[at + 1..].iter().take(reach).enumerate() {
            let not_because = distance == 0 && next.word == "because";
            let finite = bare && distance >= 1 && is_finite(&next.word);
            if next.clause != token.clause
                || finite
                || ends_scope(&next.word, distance) && !not_because
            {
                break;
            }
            scopes[at + 1 + distance] = if undone { None } else { Some(at) };
        }
    }
    negations
}

/// How far back a dismissal reaches.
const BACK: usize = 10;

/// Whether the words at `at` dismiss what stands before them.
fn dismisses(tokens: &[Token], at: usize) -> bool {
    let word = |index: usize| tokens.get(index).map_or("", |token| token.word.as_str());
    match word(at) {
        "useless" | "unnecessary" | "pointless" | "overkill" | "unneeded" | "superfluous" => true,
        "not" => (at + 1..=at + 2).any(|next| {
            matches!(
                word(next),
                "help" | "needed" | "necessary" | "useful" | "required" | "worth"
            ) || word(next) == "make" && word(next + 1) == "sense"
                || matches!(
                    word(next),
                    "take" | "change" | "bring" | "reduce" | "improve"
                ) && matches!(word(next + 1), "any" | "anything" | "much" | "a")
        }),
        _ => false,
    }
}

/// How many tokens the cue at `at` reaches, when there is one.
fn reach(tokens: &[Token], at: usize) -> Option<usize> {
    let word = |index: usize| tokens.get(index).map_or("", |token| token.word.as_str());
    let before = at.checked_sub(1).map_or("", word);
    let next = word(at + 1);
    match word(at) {
        "not" => {
            let pseudo = matches!(
                next,
                "only" | "just" | "merely" | "sure" | "enough" | "until" | "before" | "necessarily"
            ) || matches!(before, "why" | "or" | "if" | "whether");
            let sentence = (at + 1..at + 3).any(|at| {
                matches!(word(at), "true" | "correct" | "case" | "right") && word(at + 1) == "that"
            });
            let pseudo = pseudo || waits(tokens, at);
            (!pseudo).then_some(if sentence { 25 } else { 8 })
        }
        "never" => (!waits(tokens, at)).then_some(8),
        "no" => match next {
            "matter" | "doubt" | "wonder" | "idea" | "alternative" | "choice" => None,
            "longer" | "one" | "need" | "reason" => Some(7),
            _ => Some(3),
        },
        "without" => Some(3),
        "nobody" | "none" | "nothing" | "noone" | "neither" | "nor" => Some(6),
        "hardly" | "barely" | "rarely" | "seldom" => Some(5),
        "of" if before == "instead" => Some(5),
        "than" if before == "rather" => Some(5),
        "avoid" | "avoids" | "avoiding" | "prevent" | "prevents" => Some(4),
        "wrong" | "false" | "untrue" if next == "that" => Some(10),
        _ => None,
    }
}

/// Whether the cue at `at` says of whom and not what: `those not served are sent home`, `whoever is
/// not in leaves`.
fn is_bare(tokens: &[Token], at: usize) -> bool {
    let before = tokens[..at].iter().rev().take(3);
    let mut before = before.take_while(|token| token.clause == tokens[at].clause);
    tokens[at].word == "not"
        && before.any(|token| {
            matches!(
                token.word.as_str(),
                "those" | "anyone" | "anybody" | "whoever" | "who" | "ones"
            )
        })
}

fn is_finite(word: &str) -> bool {
    matches!(
        word,
        "is" | "are"
            | "was"
            | "were"
            | "will"
            | "get"
            | "gets"
            | "has"
            | "have"
            | "leave"
            | "leaves"
            | "go"
            | "goes"
            | "gives"
            | "give"
            | "fail"
            | "fails"
            | "receive"
            | "receives"
    )
}

/// Whether the words after the cue at `at` come to pass later: `not stopped before the new one is
/// up`, `do not switch until it answers`.
fn waits(tokens: &[Token], at: usize) -> bool {
    let ahead = tokens[at + 1..].iter().take(10);
    ahead
        .take_while(|next| next.clause == tokens[at].clause)
        .any(|next| {
            matches!(
                next.word.as_str(),
                "before" | "until" | "unless" | "till" | "while"
            )
        })
}

/// Words that open another clause, `distance` tokens after the cue.
fn ends_scope(word: &str, distance: usize) -> bool {
    match word {
        "but" | "because" | "so" | "while" | "whereas" | "until" | "unless" | "before" | "when"
        | "if" | "which" | "where" | "what" | "who" | "although" | "though" | "since" | "than"
        | "why" | "how" | "then" | "therefore" | "hence" | "instead" => true,
        "and" => distance >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;

    fn negated(text: &str) -> Vec<String> {
        let tokens = read(text);
        find(&tokens)
            .scopes
            .iter()
            .zip(&tokens.tokens)
            .filter(|(scope, _)| scope.is_some())
            .map(|(_, token)| token.word.clone())
            .collect()
    }

    #[test]
    fn a_cue_reaches_to_the_end_of_its_clause() {
        assert_eq!(
            negated("It does not open a pool, it shares one"),
            ["open", "a", "pool"]
        );
        assert_eq!(negated("It isn't shared but new"), ["shared"]);
        assert_eq!(
            negated("Those not served in time are sent home"),
            ["served", "in", "time"]
        );
        assert_eq!(
            negated("More servers would not help"),
            ["more", "servers", "would", "help"]
        );
        assert_eq!(negated("not because it fails"), ["because", "it", "fails"]);
        assert_eq!(
            negated("Without an index it reads every row"),
            ["an", "index", "it"]
        );
        assert_eq!(
            negated("It reads instead of caching rows"),
            ["caching", "rows"]
        );
    }

    #[test]
    fn what_only_looks_like_a_cue_negates_nothing() {
        for text in [
            "not only slow but broken",
            "no matter how many rows it reads",
            "no alternative to reading all rows",
            "the old one is not stopped before the new one is up",
            "never switch to the new one until it answers",
            "I am not sure, it reads all",
            "why not read all",
        ] {
            assert_eq!(negated(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn two_cues_undo_each_other() {
        assert_eq!(
            negated("never without a new pool"),
            ["without"][..0].to_vec()
        );
    }
}
