//! Grading one answer: gates, ideas, misconceptions, the mark, and reasons to ask a person.
//!
//! Pure. What was found carries the words that it was found in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::answers;
use crate::check::Material;
use crate::exercise::Exercise;

use super::compile::{self, Compiled, Question};
use super::gate::{self, Gate, Shingles};
use super::judged::{Judged, JudgedIdea, judge_idea, judge_misconception};
use super::matching::Matcher;
use super::negation::{self, Negations};
use super::pattern::Node;
use super::review::Review;
use super::rule::Mark;
use super::token::Tokens;
use super::{AnswersRubric, Role, english, language, reader, stem, word_order};

/// The most different words of an answer that are looked up as slips.
const MAX_CORRECTIONS: usize = 150;

/// From how many words on an answer is so long that it should hold more than some of the ideas.
const LONG: usize = 50;

/// Which steps are taken: all of them, except when an ablation asks what one is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the ablation"
)]
pub struct Steps {
    /// Groups stand for all their synonyms, not for the first only.
    pub synonyms: bool,
    /// Gates stop what is no answer.
    pub gates: bool,
    /// Typos are read as what was meant.
    pub typos: bool,
    /// Negations turn an idea round.
    pub negation: bool,
    /// Misconceptions lower the ceiling.
    pub misconceptions: bool,
    /// Inflected forms are equal.
    pub stems: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            synonyms: true,
            gates: true,
            typos: true,
            negation: true,
            misconceptions: true,
            stems: true,
        }
    }
}

/// Grades answers to the questions of one exercise.
#[derive(Debug)]
pub struct Grader<'a> {
    compiled: &'a Compiled,
    groups: Cow<'a, [Vec<Node>]>,
    texts: BTreeMap<&'a str, Texts>,
    starter: Shingles,
    brief: Shingles,
    steps: Steps,
}

/// What answers to one question are compared with.
#[derive(Debug, Default)]
struct Texts {
    /// The question, its hints, and older wordings.
    given: Shingles,
    /// The key, and what goes around as one.
    known: Shingles,
    key: Tokens,
    /// How often the key denies something.
    key_cues: usize,
    /// The question and its hints.
    topic: Tokens,
}

impl Texts {
    fn new(question: &Question, asked: &str, key: Tokens) -> Self {
        let mut texts = Self::default();
        let mut topic = asked.to_owned();
        texts.given.add(&reader::read(asked));
        for hint in question.hints() {
            texts.given.add(&reader::read(hint));
            topic.push_str("\n\n");
            topic.push_str(hint);
        }
        for fingerprint in &question.given_texts {
            texts.given.add_fingerprint(fingerprint);
        }
        texts.known.add(&key);
        for fingerprint in &question.known_texts {
            texts.known.add_fingerprint(fingerprint);
        }
        Self {
            key_cues: negation::find(&key).count(),
            key,
            topic: reader::read(&topic),
            ..texts
        }
    }

    /// Whether a copy of the key says `not` where the key does not: in every sentence, or more often
    /// than the key by two.
    fn is_altered(&self, tokens: &Tokens, cues: usize) -> bool {
        let sentences = tokens.sentences() + usize::from(tokens.sentences() > 2);
        let mut own = Shingles::default();
        own.add(&self.key);
        let of_the_key = own.hold_most_of(&tokens.tokens, 8);
        cues >= 2 && (cues >= sentences || of_the_key && cues >= self.key_cues + 2)
    }
}

impl<'a> Grader<'a> {
    /// Prepares grading.
    #[must_use]
    pub fn new(rubric: &'a AnswersRubric, exercise: &Exercise, material: &Material) -> Self {
        let mut starter = Shingles::default();
        // Code is longer than what is judged of an answer, so it is read in pieces.
        for piece in material.starter_code.split("\n\n") {
            starter.add(&reader::read(piece));
        }
        let mut brief = Shingles::default();
        for piece in material.brief.split("\n\n") {
            brief.add(&reader::read(piece));
        }
        let keys = answers::parse(&material.key, &material.template).questions;
        let texts = rubric.compiled().questions.iter().map(|(id, question)| {
            let asked = exercise.questions.iter().find(|asked| *asked.id == *id);
            let asked = asked.map_or("", |asked| asked.text.as_str());
            let key = keys.get(id).map(|key| reader::read(&key.text));
            let texts = Texts::new(question, asked, key.unwrap_or_default());
            (id.as_str(), texts)
        });
        Self {
            compiled: rubric.compiled(),
            groups: Cow::Borrowed(&rubric.compiled().groups),
            texts: texts.collect(),
            starter,
            brief,
            steps: Steps::default(),
        }
    }

    /// The same, with other steps.
    #[must_use]
    pub fn with_steps(mut self, steps: Steps) -> Self {
        self.steps = steps;
        if !steps.synonyms {
            let first = self
                .groups
                .iter()
                .map(|group| group.iter().take(1).cloned().collect());
            self.groups = Cow::Owned(first.collect());
        }
        self
    }

    /// What is wanted of an answer, for learners.
    #[must_use]
    pub fn expected(&self, question: &str) -> String {
        match self.compiled.questions.get(question).map_or(0, wanted) {
            0 => "an answer in your own words".into(),
            1 => "1 idea, in your own words".into(),
            count => format!("{count} ideas, in your own words"),
        }
    }

    /// Judges an answer. A question that the rubric does not know earns nothing.
    #[must_use]
    pub fn judge(&self, question: &str, text: &str) -> Judged {
        let (unknown, no_texts) = (Question::default(), Texts::default());
        let rubric = self.compiled.questions.get(question).unwrap_or(&unknown);
        let texts = self.texts.get(question).unwrap_or(&no_texts);
        let mut tokens = reader::read(text);
        let mut judged = Judged::new(question, text);
        if self.steps.gates {
            judged.gate = self.copy_gate(texts, text, &mut tokens);
            if judged.gate.is_some() {
                judged.ideas = rubric.ideas.iter().map(JudgedIdea::missing).collect();
                return judged;
            }
            if texts.known.hold_most_of(&tokens.tokens, 8) {
                judged.reviews.push(Review::PastedKey);
            } else if gate::is_shuffled(&tokens, &texts.key) {
                judged.reviews.push(Review::WordSalad);
            }
        }
        judged.corrections = self.correct(&mut tokens);
        let other_language = language::other_than_english(&tokens).or_else(|| {
            gate::is_unknown_language(&tokens, |word| self.is_known(word))
                .then_some(language::UNKNOWN)
        });
        let negations = if self.steps.negation {
            negation::find(&tokens)
        } else {
            Negations::none(&tokens)
        };
        let vocabulary = &self.compiled.vocabulary;
        let ids = tokens.tokens.iter();
        let ids = ids
            .map(|token| vocabulary.ids(token, self.steps.stems))
            .collect();
        let mut matcher = Matcher::new(&tokens, &self.groups, ids, &negations);
        for idea in &rubric.ideas {
            judged
                .ideas
                .push(judge_idea(idea, &mut matcher, &tokens, text));
        }
        for misconception in &rubric.misconceptions {
            let found = judge_misconception(misconception, &mut matcher, &tokens, text);
            judged.misconceptions.extend(found);
        }
        if self.steps.gates {
            judged.gate = self.form_gate(text, &tokens, other_language.is_some());
        }
        if judged.gate.is_some() {
            judged.ideas = rubric.ideas.iter().map(JudgedIdea::missing).collect();
            judged.misconceptions.clear();
            judged.reviews.clear();
            return judged;
        }
        let cues = negations.count();
        if judged.reviews.contains(&Review::PastedKey) && texts.is_altered(&tokens, cues) {
            judged.reviews.push(Review::Contradiction);
        }
        self.mark(rubric, &mut judged, &tokens, other_language, cues);
        judged
    }

    /// Reads unknown words as the known ones that they are slips of.
    fn correct(&self, tokens: &mut Tokens) -> Vec<(String, String)> {
        let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
        for token in &mut tokens.tokens {
            if !self.steps.typos
                || token.quantity.is_some()
                || self.compiled.vocabulary.knows(&token.word)
            {
                continue;
            }
            let meant = match known.get(&token.word) {
                Some(meant) => meant.clone(),
                // More unknown words are no slips, and each costs a look at the whole list.
                None if known.len() >= MAX_CORRECTIONS => None,
                None => {
                    let meant = self.compiled.speller.correct(&token.word);
                    let meant = meant.map(str::to_owned);
                    known.insert(token.word.clone(), meant.clone());
                    meant
                }
            };
            if let Some(meant) = meant {
                token.stem = stem::stem(&meant);
                token.word = meant;
            }
        }
        known
            .into_iter()
            .filter_map(|(typo, meant)| Some((typo, meant?)))
            .collect()
    }

    /// Tells copies, and leaves out what is copied or only asked.
    fn copy_gate(&self, texts: &Texts, text: &str, tokens: &mut Tokens) -> Option<Gate> {
        let given = [&self.brief, &texts.given];
        let before = tokens.tokens.len();
        if gate::hold_most_of(&given, &tokens.tokens, 4) {
            return Some(Gate::QuestionCopy);
        }
        if self.starter.hold_most_of(&tokens.tokens, 6) {
            return Some(Gate::CodeCopy);
        }
        gate::leave_out_questions(tokens, text, &given);
        (before > 1 && tokens.tokens.len() < 2).then_some(Gate::QuestionCopy)
    }

    fn form_gate(&self, text: &str, tokens: &Tokens, other_language: bool) -> Option<Gate> {
        let gate = gate::by_form(text, tokens);
        if gate.is_some() && !(other_language && gate == Some(Gate::KeywordList)) {
            return gate;
        }
        (!other_language && gate::is_gibberish(tokens, |word| self.is_known(word)))
            .then_some(Gate::Gibberish)
    }

    fn is_known(&self, word: &str) -> bool {
        english::is_word(word) || self.compiled.vocabulary.knows(word)
    }

    fn mark(
        &self,
        rubric: &Question,
        judged: &mut Judged,
        tokens: &Tokens,
        other_language: Option<&'static str>,
        cues: usize,
    ) {
        let base = score(rubric, |id| is_found(judged, id, false));
        judged.mark = base;
        if self.steps.misconceptions {
            for misconception in &judged.misconceptions {
                judged.mark = judged.mark.min(misconception.cap);
            }
            // Everything right and something wrong: a person decides, from the middle.
            if base == Mark::Full {
                judged.mark = judged.mark.max(Mark::Half);
            }
        }
        if judged.mark < base && (base == Mark::Full || judged.mark > Mark::None) {
            judged.reviews.push(Review::RightAndWrong);
        }
        // A weak pattern earns nothing, and completes what was begun when a person says so.
        if base > Mark::None && score(rubric, |id| is_found(judged, id, true)) > base {
            judged.reviews.push(Review::Weak);
        }
        let told = |idea: &&JudgedIdea| idea.role != Role::Signal;
        let ideas = || judged.ideas.iter().filter(told);
        let (affirmed, denied) = ideas().fold((0, 0), |sum, idea| {
            (sum.0 + idea.hits.0, sum.1 + idea.hits.1)
        });
        if ideas().any(JudgedIdea::is_contradicted) {
            judged.reviews.push(Review::Contradiction);
        }
        // Only where the mark hangs on it.
        let said = |id: &str| is_found(judged, id, true) || is_denied(judged, id);
        let denials = ideas().filter(|idea| is_denied(judged, &idea.id)).count();
        // A mistaken idea that was found says why there is nothing; one denial more says no more.
        let explained = judged.mark == Mark::None && !judged.misconceptions.is_empty();
        if score(rubric, said) > base && !(explained && denials < 2) {
            judged.reviews.push(Review::Denied);
        }
        // Denials all over: a key with a `not` put into every sentence.
        let all_denied = ideas()
            .filter(|idea| matches!(idea.role, Role::Needed | Role::Required))
            .all(|idea| idea.denied.is_some());
        let dense =
            cues >= 3 && cues * 10 >= tokens.tokens.len() && denied > 0 && denied >= affirmed;
        let altered = judged.reviews.contains(&Review::PastedKey)
            && judged.reviews.contains(&Review::Contradiction);
        if all_denied && denied > 0 && denied * 3 >= affirmed * 2 || dense || altered {
            judged.mark = judged.mark.min(Mark::Half);
            judged.reviews.push(Review::Contradiction);
        }
        if denied > affirmed && judged.mark > Mark::None {
            judged.mark = Mark::None;
            judged.reviews.push(Review::Denied);
        }
        if judged.mark > Mark::None && gate::is_ironic(tokens) {
            judged.reviews.push(Review::Ironic);
        }
        if !rubric.guess && gate::is_hedged(tokens) && judged.mark > Mark::None {
            judged.mark = judged.mark.min(Mark::Half);
            judged.reviews.push(Review::Hedged);
        }
        if let Some(language) = other_language {
            // Never a zero for what cannot be read here.
            let long = tokens.tokens.len() >= 6 || tokens.foreign_letters >= 10;
            judged.mark = judged.mark.max(if long { Mark::Half } else { Mark::None });
            judged.reviews.push(Review::OtherLanguage(language));
        } else if judged.mark > Mark::None && word_order::is_shuffled(tokens, &judged.text)
            || judged.reviews.contains(&Review::WordSalad)
        {
            judged.mark = judged.mark.min(Mark::Half);
            judged.reviews.push(Review::WordSalad);
        } else if judged.mark == Mark::None
            && judged.misconceptions.is_empty()
            && judged.reviews.is_empty()
            && is_unmatched(
                tokens,
                self.texts
                    .get(judged.question.as_str())
                    .map_or(&Tokens::default(), |texts| &texts.topic),
            )
        {
            judged.reviews.push(Review::Unmatched);
        } else if judged.mark == Mark::Half
            && judged.misconceptions.is_empty()
            && judged.reviews.is_empty()
            && (tokens.tokens.len() >= LONG || is_image(tokens))
        {
            judged.reviews.push(Review::Partial);
        }
        if tokens.cut {
            judged.reviews.push(Review::Long);
        }
        judged.reviews.sort_unstable();
        judged.reviews.dedup();
    }
}

/// How many ideas a good answer holds.
fn wanted(question: &Question) -> usize {
    let needed = |idea: &&compile::Idea| matches!(idea.role, Role::Needed | Role::Required);
    question.ideas.iter().filter(needed).count()
}

fn is_found(judged: &Judged, id: &str, weak: bool) -> bool {
    judged
        .ideas
        .iter()
        .any(|idea| idea.id == id && idea.found.as_ref().is_some_and(|found| weak || !found.weak))
}

fn is_denied(judged: &Judged, id: &str) -> bool {
    let mut ideas = judged.ideas.iter();
    ideas.any(|idea| idea.id == id && idea.found.is_none() && idea.denied.is_some())
}

fn score(question: &Question, found: impl Fn(&str) -> bool) -> Mark {
    if !question.rules.is_empty() {
        return question
            .rules
            .iter()
            .find(|(_, rule)| rule.holds(&found))
            .map_or(Mark::None, |(mark, _)| *mark);
    }
    let needed = || {
        question
            .ideas
            .iter()
            .filter(|idea| matches!(idea.role, Role::Needed | Role::Required))
    };
    let all: u32 = needed().map(|idea| idea.weight).sum();
    let have: u32 = needed()
        .filter(|idea| found(&idea.id))
        .map(|idea| idea.weight)
        .sum();
    let complete = needed().all(|idea| idea.role != Role::Required || found(&idea.id));
    if all > 0 && have == all && complete {
        Mark::Full
    } else if have > 0 && have * 5 >= all * 2 {
        Mark::Half
    } else {
        Mark::None
    }
}

/// Whether hardly a word is of the trade: an answer by comparison.
fn is_image(tokens: &Tokens) -> bool {
    let words = tokens.tokens.iter();
    let own = words.filter(|token| !english::is_function_word(&token.word));
    let (mut trade, mut all) = (0, 0);
    for token in own {
        all += 1;
        let fact = token.quantity.is_some() || token.letter;
        trade += usize::from(fact || english::is_of_the_trade(&token.stem));
    }
    tokens.tokens.len() >= 12 && trade * 10 <= all
}

/// Long prose without a known idea, that is neither a refusal nor about other matters: mostly an
/// image, sometimes an idea that the rubric does not know.
fn is_unmatched(tokens: &Tokens, topic: &Tokens) -> bool {
    let matter = |tokens: &Tokens| -> Vec<String> {
        let words = tokens.tokens.iter();
        let words = words.filter(|token| !english::is_function_word(&token.word));
        words.map(|token| token.stem.clone()).collect()
    };
    let (own, asked) = (matter(tokens), matter(topic));
    let shared: BTreeSet<&String> = own.iter().filter(|stem| asked.contains(stem)).collect();
    let on_topic = tokens.tokens.len() >= 25 && shared.len() >= 5;
    (is_image(tokens) || on_topic) && !gate::is_refusal(tokens)
}
