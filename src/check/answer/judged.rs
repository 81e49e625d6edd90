//! What was found in an answer: ideas, mistaken ideas, the words that they were found in, and how
//! that is told to learners. What it is worth is decided in `grader`.

use crate::answers;
use crate::grade::{AnswerGrade, Idea, Misconception};

use super::compile;
use super::gate::Gate;
use super::matching::{Hit, Matcher};
use super::pattern::Pattern;
use super::review::Review;
use super::rule::Mark;
use super::token::Tokens;
use super::{Polarity, Role};

/// Longest quote of a learner's words, in characters.
const MAX_QUOTE: usize = 160;

/// A pattern that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The pattern as the author wrote it.
    pub pattern: String,
    /// The learner's words.
    pub quote: String,
    /// Bytes in the answer, from and to.
    pub span: (usize, usize),
    /// The stems of the words that were used, numbers left out, sorted.
    pub stems: Vec<String>,
    /// Whether it stands in the scope of a negation.
    pub negated: bool,
    /// Whether it is a weak pattern.
    pub weak: bool,
}

/// An idea of the rubric, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedIdea {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// Its hint.
    pub hint: Option<String>,
    /// The hit that earns it.
    pub found: Option<Found>,
    /// A hit the wrong way round.
    pub denied: Option<Found>,
    /// How many patterns hit the right way and the wrong way round.
    pub hits: (usize, usize),
}

/// A mistaken idea that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedMisconception {
    /// Its id.
    pub id: String,
    /// The ceiling.
    pub cap: Mark,
    /// Its hint.
    pub hint: String,
    /// Where.
    pub found: Found,
}

/// All that is known of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The question.
    pub question: String,
    /// The answer.
    pub text: String,
    /// The mark.
    pub mark: Mark,
    /// The gate that stopped it.
    pub gate: Option<Gate>,
    /// The ideas of the rubric.
    pub ideas: Vec<JudgedIdea>,
    /// Mistaken ideas that were found.
    pub misconceptions: Vec<JudgedMisconception>,
    /// Why a person should look.
    pub reviews: Vec<Review>,
    /// Words that were read as others.
    pub corrections: Vec<(String, String)>,
    /// Further remarks that call for a person.
    pub notes: Vec<String>,
}

impl JudgedIdea {
    pub(super) fn missing(idea: &compile::Idea) -> Self {
        Self {
            id: idea.id.clone(),
            role: idea.role,
            hint: idea.hint.clone(),
            found: None,
            denied: None,
            hits: (0, 0),
        }
    }

    /// Whether the same words say it in one place and deny it in another.
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        match (&self.found, &self.denied) {
            (Some(found), Some(denied)) => {
                !found.stems.is_empty()
                    && found.pattern == denied.pattern
                    && found.stems == denied.stems
            }
            _ => false,
        }
    }
}

impl Judged {
    pub(super) fn new(question: &str, text: &str) -> Self {
        Self {
            question: question.to_owned(),
            text: text.to_owned(),
            mark: Mark::None,
            gate: None,
            ideas: Vec::new(),
            misconceptions: Vec::new(),
            reviews: Vec::new(),
            corrections: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A remark that calls for a person.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Whether a person should look.
    #[must_use]
    pub fn needs_review(&self) -> bool {
        !self.reviews.is_empty() || !self.notes.is_empty()
    }

    fn counted(&self) -> (usize, usize) {
        let needed = |idea: &&JudgedIdea| matches!(idea.role, Role::Needed | Role::Required);
        let all = self.ideas.iter().filter(needed).count();
        let found = self.ideas.iter().filter(needed);
        (found.filter(|idea| idea.found.is_some()).count(), all)
    }

    /// What was seen, for learners.
    #[must_use]
    pub fn actual(&self) -> String {
        if let Some(gate) = self.gate {
            return gate.name().to_owned();
        }
        let (found, all) = self.counted();
        let ideas = if all == 1 { "idea" } else { "ideas" };
        let wrong = match self.misconceptions.len() {
            0 => String::new(),
            1 => ", and a mistaken one".to_owned(),
            count => format!(", and {count} mistaken ones"),
        };
        format!("{found} of {all} {ideas} found{wrong}")
    }

    /// Why it did not earn everything. Also there when it did.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Some(gate) = self.gate {
            return gate.advice().to_owned();
        }
        let (found, all) = self.counted();
        let wrong = self
            .misconceptions
            .iter()
            .any(|wrong| wrong.cap <= self.mark);
        if wrong {
            return "The answer holds an idea that does not fit what the server does.".into();
        }
        if let Some(review) = self.reviews.first()
            && matches!(
                review,
                Review::OtherLanguage(_) | Review::WordSalad | Review::Hedged
            )
        {
            return review.sentence();
        }
        match (found, all) {
            (0, _) => "None of the ideas was found in the answer.".into(),
            (found, all) if found < all => {
                format!("{found} of {all} ideas were found in the answer.")
            }
            _ => "The ideas are there, but not in full.".into(),
        }
    }

    /// What reports show of it.
    #[must_use]
    pub fn into_grade(self, line: usize) -> AnswerGrade {
        let mut review_reasons: Vec<String> = self
            .reviews
            .iter()
            .map(|review| review.sentence())
            .collect();
        review_reasons.extend(self.notes);
        let shown = |idea: &JudgedIdea| match idea.role {
            Role::Needed | Role::Required => true,
            Role::Bonus => idea.found.is_some(),
            Role::Signal => false,
        };
        AnswerGrade {
            question: self.question,
            text: self.text.chars().take(answers::MAX_ANSWER_CHARS).collect(),
            line,
            ideas: self
                .ideas
                .into_iter()
                .filter(shown)
                .map(|idea| Idea {
                    found: idea.found.is_some(),
                    hint: if idea.found.is_some() {
                        None
                    } else {
                        idea.hint
                    },
                    quote: idea.found.map(|found| found.quote),
                })
                .collect(),
            misconceptions: self
                .misconceptions
                .into_iter()
                .map(|wrong| Misconception {
                    quote: wrong.found.quote,
                    hint: wrong.hint,
                })
                .collect(),
            gate: self
                .gate
                .map(|gate| format!("{}: {}", gate.name(), gate.advice())),
            review_reasons,
            person: None,
        }
    }
}

pub(super) fn judge_idea(
    idea: &compile::Idea,
    matcher: &mut Matcher<'_>,
    tokens: &Tokens,
    text: &str,
) -> JudgedIdea {
    let mut judged = JudgedIdea::missing(idea);
    for (pattern, weak) in &idea.patterns {
        for hit in matcher.find(pattern) {
            let (place, count) = if counts(idea.polarity, &hit) {
                (&mut judged.found, &mut judged.hits.0)
            } else {
                (&mut judged.denied, &mut judged.hits.1)
            };
            *count += 1;
            let better = place.as_ref().is_none_or(|known| known.weak && !*weak);
            if better {
                *place = Some(found(pattern, *weak, &hit, tokens, text));
            }
        }
    }
    // A bare number beside a denial proves nothing: `no timeout of 150 ms`.
    let bare = judged
        .found
        .as_ref()
        .is_some_and(|found| found.stems.is_empty());
    if bare && judged.denied.is_some() {
        judged.found = None;
    }
    judged
}

fn counts(polarity: Polarity, hit: &Hit) -> bool {
    match polarity {
        Polarity::Affirmed => !hit.negated,
        Polarity::Negated => hit.negated,
        Polarity::Either => true,
    }
}

pub(super) fn judge_misconception(
    misconception: &compile::Misconception,
    matcher: &mut Matcher<'_>,
    tokens: &Tokens,
    text: &str,
) -> Option<JudgedMisconception> {
    misconception.patterns.iter().find_map(|pattern| {
        let hits = matcher.find(pattern);
        let hit = hits
            .iter()
            .find(|hit| counts(misconception.polarity, hit))?;
        Some(JudgedMisconception {
            id: misconception.id.clone(),
            cap: misconception.cap,
            hint: misconception.hint.clone(),
            found: found(pattern, false, hit, tokens, text),
        })
    })
}

fn found(pattern: &Pattern, weak: bool, hit: &Hit, tokens: &Tokens, text: &str) -> Found {
    let (first, last) = match (hit.used.first(), hit.used.last()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => (0, 0),
    };
    let quote = tokens.quote(text, first, last);
    let used = hit.used.iter().filter_map(|at| tokens.tokens.get(*at));
    let words = used.filter(|token| token.quantity.is_none());
    let mut stems: Vec<String> = words.map(|token| token.stem.clone()).collect();
    stems.sort_unstable();
    let start = tokens.tokens.get(first).map_or(0, |token| token.start);
    Found {
        pattern: pattern.source.clone(),
        quote: shortened(quote),
        span: (start, start + quote.len()),
        stems,
        negated: hit.negated,
        weak,
    }
}

/// One line, of bounded length.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_QUOTE {
        return line;
    }
    let head: String = line.chars().take(MAX_QUOTE - 1).collect();
    format!("{head}…")
}
