//! Grading one answer: gates, ideas, misconceptions, the mark, and reasons to ask a person.
//!
//! Pure. What was found carries the words that it was found in.

use crate::answers;
use crate::check::Material;
use crate::exercise::Exercise;
use crate::grade::{AnswerGrade, Idea, Misconception};

use super::compile::{self, Compiled, Question};
use super::gate::{self, Gate, Shingles};
use super::matching::{Hit, Matcher};
use super::pattern::Pattern;
use super::rule::Mark;
use super::token::{self, Tokens};
use super::{AnswersRubric, Polarity, Role, english, language, negation, stem};

/// Longest quote of a learner's words, in characters.
const MAX_QUOTE: usize = 160;

/// Which steps are taken: all of them, except when an ablation asks what one is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one switch of the ablation"
)]
pub struct Steps {
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
            gates: true,
            typos: true,
            negation: true,
            misconceptions: true,
            stems: true,
        }
    }
}

/// Why a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Review {
    /// Not in English: the language.
    OtherLanguage(&'static str),
    /// The key again.
    PastedKey,
    /// Words in an order that no sentence has.
    WordSalad,
    /// Right and wrong ideas.
    RightAndWrong,
    /// An idea is said and denied.
    Contradiction,
    /// An idea is denied.
    Denied,
    /// It may be so, it may be otherwise.
    Hedged,
    /// The mark hangs on a weak pattern.
    Weak,
    /// Long and without a known idea.
    Unmatched,
    /// Longer than what is judged.
    Long,
}

impl Review {
    /// Its name in statistics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherLanguage(_) => "other language",
            Self::PastedKey => "pasted key",
            Self::WordSalad => "word salad",
            Self::RightAndWrong => "right and wrong",
            Self::Contradiction => "contradiction",
            Self::Denied => "denied",
            Self::Hedged => "hedged",
            Self::Weak => "weak",
            Self::Unmatched => "unmatched",
            Self::Long => "long",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::OtherLanguage("another script") => {
                "It is not in English, so a person should mark it.".to_owned()
            }
            Self::OtherLanguage(language) => {
                format!("It seems to be in {language}, so a person should mark it.")
            }
            Self::PastedKey => {
                "Most of it is word for word a text that goes around as the answer.".into()
            }
            Self::WordSalad => "Its words stand in an order that sentences do not have.".into(),
            Self::RightAndWrong => "It holds right ideas and a mistaken one.".into(),
            Self::Contradiction => "It says an idea in one place and denies it in another.".into(),
            Self::Denied => "It denies an idea that the question is about.".into(),
            Self::Hedged => "It leaves open whether it is so.".into(),
            Self::Weak => "One of its ideas is only hinted at.".into(),
            Self::Unmatched => "It is a long answer in words that the rubric does not know.".into(),
            Self::Long => "It is so long that only its beginning was judged.".into(),
        }
    }
}

/// A pattern that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The pattern as the author wrote it.
    pub pattern: String,
    /// The learner's words.
    pub quote: String,
    /// Bytes in the answer, from and to.
    pub span: (usize, usize),
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

/// Grades answers to the questions of one exercise.
#[derive(Debug)]
pub struct Grader<'a> {
    compiled: &'a Compiled,
    exercise: &'a Exercise,
    keys: answers::Answers,
    starter: Shingles,
    steps: Steps,
}

impl<'a> Grader<'a> {
    /// Prepares grading.
    #[must_use]
    pub fn new(rubric: &'a AnswersRubric, exercise: &'a Exercise, material: &Material) -> Self {
        let mut starter = Shingles::default();
        // Code is longer than what is judged of an answer, so it is read in pieces.
        for piece in material.starter_code.split("\n\n") {
            starter.add(&token::read(piece));
        }
        Self {
            compiled: rubric.compiled(),
            exercise,
            keys: answers::parse(&material.key, &material.template),
            starter,
            steps: Steps::default(),
        }
    }

    /// The same, with other steps.
    #[must_use]
    pub fn with_steps(mut self, steps: Steps) -> Self {
        self.steps = steps;
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
        let unknown = Question::default();
        let rubric = self.compiled.questions.get(question).unwrap_or(&unknown);
        let mut tokens = token::read(text);
        let corrections = self.correct(&mut tokens);
        let mut judged = Judged {
            question: question.to_owned(),
            text: text.to_owned(),
            mark: Mark::None,
            gate: None,
            ideas: Vec::new(),
            misconceptions: Vec::new(),
            reviews: Vec::new(),
            corrections,
            notes: Vec::new(),
        };
        let other_language = language::other_than_english(&tokens);
        let scopes = if self.steps.negation {
            negation::scopes(&tokens)
        } else {
            vec![None; tokens.tokens.len()]
        };
        let vocabulary = &self.compiled.vocabulary;
        let mut matcher = Matcher::new(&tokens, &self.compiled.groups, vocabulary, &scopes);
        for idea in &rubric.ideas {
            judged
                .ideas
                .push(judge_idea(idea, &mut matcher, &tokens, text));
        }
        for misconception in &rubric.misconceptions {
            let found = judge_misconception(misconception, &mut matcher, &tokens, text);
            judged.misconceptions.extend(found);
        }
        let any = judged.ideas.iter().any(|idea| idea.found.is_some());
        if self.steps.gates {
            judged.gate = self.gate(question, text, &tokens, any, other_language.is_some());
        }
        if judged.gate.is_some() {
            for idea in &mut judged.ideas {
                idea.found = None;
                idea.denied = None;
            }
            judged.misconceptions.clear();
            return judged;
        }
        self.mark(rubric, &mut judged, &tokens, other_language);
        judged
    }

    /// Reads unknown words as the known ones that they are slips of.
    fn correct(&self, tokens: &mut Tokens) -> Vec<(String, String)> {
        let mut corrections = Vec::new();
        for token in &mut tokens.tokens {
            let known = token.quantity.is_some() || self.compiled.vocabulary.knows(&token.word);
            if self.steps.typos
                && !known
                && let Some(meant) = self.compiled.speller.correct(&token.word)
            {
                corrections.push((token.word.clone(), meant.to_owned()));
                token.stem = stem::stem(meant);
                meant.clone_into(&mut token.word);
            }
            if !self.steps.stems {
                token.stem.clone_from(&token.word);
            }
        }
        corrections
    }

    fn gate(
        &self,
        question: &str,
        text: &str,
        tokens: &Tokens,
        any: bool,
        other_language: bool,
    ) -> Option<Gate> {
        let mut copied = Shingles::default();
        if let Some(question) = self.exercise.questions.iter().find(|q| *q.id == question) {
            copied.add(&token::read(&question.text));
        }
        if copied.hold_most_of(tokens, 4) || !any && gate::is_only_questions(tokens) {
            return Some(Gate::QuestionCopy);
        }
        if self.starter.hold_most_of(tokens, 6) {
            return Some(Gate::CodeCopy);
        }
        let gate = gate::by_form(text, tokens);
        if gate.is_some() && !(other_language && gate == Some(Gate::KeywordList)) {
            return gate;
        }
        let known = |word: &str| english::is_word(word) || self.compiled.vocabulary.knows(word);
        (!other_language && !any && gate::is_gibberish(tokens, known)).then_some(Gate::Gibberish)
    }

    fn mark(
        &self,
        rubric: &Question,
        judged: &mut Judged,
        tokens: &Tokens,
        other_language: Option<&'static str>,
    ) {
        let base = score(rubric, |id| is_found(judged, id, true));
        judged.mark = base;
        if self.steps.misconceptions {
            for misconception in &judged.misconceptions {
                judged.mark = judged.mark.min(misconception.cap);
            }
        }
        if judged.mark < base {
            judged.reviews.push(Review::RightAndWrong);
        }
        if score(rubric, |id| is_found(judged, id, false)) < base {
            judged.reviews.push(Review::Weak);
        }
        let told = |idea: &&JudgedIdea| idea.role != Role::Signal;
        let ideas = || judged.ideas.iter().filter(told);
        if ideas().any(|idea| idea.found.is_some() && idea.denied.is_some()) {
            judged.reviews.push(Review::Contradiction);
        } else if ideas().any(|idea| idea.denied.is_some()) {
            judged.reviews.push(Review::Denied);
        }
        if !rubric.guess && gate::hedges(tokens) >= 2 && judged.mark > Mark::None {
            judged.mark = judged.mark.min(Mark::Half);
            judged.reviews.push(Review::Hedged);
        }
        if let Some(language) = other_language {
            // Never a zero for what cannot be read here.
            judged.mark = judged.mark.max(if tokens.tokens.len() >= 6 {
                Mark::Half
            } else {
                Mark::None
            });
            judged.reviews.push(Review::OtherLanguage(language));
        } else if gate::is_word_salad(tokens) {
            judged.mark = judged.mark.min(Mark::Half);
            judged.reviews.push(Review::WordSalad);
        } else if judged.mark == Mark::None
            && judged.misconceptions.is_empty()
            && judged.reviews.is_empty()
            && is_unmatched(tokens)
        {
            judged.reviews.push(Review::Unmatched);
        }
        if self.is_pasted_key(rubric, &judged.question, tokens) {
            judged.reviews.push(Review::PastedKey);
        }
        if tokens.cut {
            judged.reviews.push(Review::Long);
        }
        judged.reviews.sort_unstable();
    }

    fn is_pasted_key(&self, rubric: &Question, question: &str, tokens: &Tokens) -> bool {
        let mut known = Shingles::default();
        if let Some(key) = self.keys.questions.get(question) {
            known.add(&token::read(&key.text));
        }
        for fingerprint in &rubric.known_texts {
            known.add_fingerprint(fingerprint);
        }
        known.hold_most_of(tokens, 8)
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

fn judge_idea(
    idea: &compile::Idea,
    matcher: &mut Matcher<'_>,
    tokens: &Tokens,
    text: &str,
) -> JudgedIdea {
    let mut judged = JudgedIdea {
        id: idea.id.clone(),
        role: idea.role,
        hint: idea.hint.clone(),
        found: None,
        denied: None,
    };
    for (pattern, weak) in &idea.patterns {
        for hit in matcher.find(pattern) {
            let place = if counts(idea.polarity, &hit) {
                &mut judged.found
            } else {
                &mut judged.denied
            };
            if place.is_none() {
                *place = Some(found(pattern, *weak, &hit, tokens, text));
            }
        }
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

fn judge_misconception(
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
    let start = tokens.tokens.get(first).map_or(0, |token| token.start);
    Found {
        pattern: pattern.source.clone(),
        quote: shortened(quote),
        span: (start, start + quote.len()),
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

/// Long prose without a known idea, that is neither a refusal nor about other matters: mostly an
/// image, sometimes an idea that the rubric does not know.
fn is_unmatched(tokens: &Tokens) -> bool {
    tokens.tokens.len() >= 12 && !gate::is_refusal(tokens)
}

impl Judged {
    /// A remark that calls for a person.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
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
        }
    }
}
