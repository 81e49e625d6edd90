//! A rubric's patterns and rules, parsed once and ready to be used.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Error;

use super::pattern::{self, Mistake, Node, Pattern, Vocabulary};
use super::rule::{Mark, Rule};
use super::spelling::Speller;
use super::{AnswersRubric, Polarity, QuestionRubric, Role};
use crate::yaml::{Located, Source};

/// A whole rubric of answers.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// The groups, in the order of their names.
    pub groups: Vec<Vec<Node>>,
    /// All words that patterns know.
    pub vocabulary: Vocabulary,
    /// Typo tolerance for them.
    pub speller: Speller,
    /// By question.
    pub questions: BTreeMap<String, Question>,
}

/// One question.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Whether hedging costs nothing.
    pub guess: bool,
    /// In the rubric's order.
    pub ideas: Vec<Idea>,
    /// In the rubric's order.
    pub misconceptions: Vec<Misconception>,
    /// The first that holds gives its mark.
    pub rules: Vec<(Mark, Rule)>,
    /// Fingerprints of answers that go around.
    pub known_texts: Vec<String>,
    /// Fingerprints of further texts that learners are given.
    pub given_texts: Vec<String>,
}

/// One idea.
#[derive(Debug, Clone)]
pub struct Idea {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// Its share when there are no rules.
    pub weight: u32,
    /// Which way round it counts.
    pub polarity: Polarity,
    /// Patterns, each with whether it is a weak one.
    pub patterns: Vec<(Pattern, bool)>,
    /// For learners.
    pub hint: Option<String>,
}

/// One mistaken idea.
#[derive(Debug, Clone)]
pub struct Misconception {
    /// Its id.
    pub id: String,
    /// The ceiling.
    pub cap: Mark,
    /// Which way round it counts.
    pub polarity: Polarity,
    /// Patterns.
    pub patterns: Vec<Pattern>,
    /// For learners.
    pub hint: String,
}

/// An author's mistake: the text that it is in, and where in it.
#[derive(Debug)]
pub struct AuthorMistake {
    spot: Located<String>,
    mistake: Mistake,
}

impl AuthorMistake {
    fn new(spot: &Located<String>, message: impl Into<String>) -> Self {
        Self {
            spot: spot.clone(),
            mistake: Mistake {
                offset: 0,
                message: message.into(),
            },
        }
    }

    /// The error for the author, its caret under the character in question.
    #[must_use]
    pub fn complaint(&self, source: &Source) -> Error {
        let mut spot = self.spot.clone();
        let quoted = source
            .text
            .lines()
            .nth(spot.line.saturating_sub(1))
            .and_then(|line| line.chars().nth(spot.column.saturating_sub(1)))
            .is_some_and(|c| matches!(c, '"' | '\''));
        if self.mistake.offset > 0 {
            spot.column += self.mistake.offset + usize::from(quoted);
        }
        source.complaint(&spot, &self.mistake.message)
    }
}

impl Compiled {
    /// Parses all patterns and rules.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(rubric: &AnswersRubric) -> Result<Self, AuthorMistake> {
        let mut vocabulary = Vocabulary::default();
        let names: BTreeMap<String, usize> = rubric.groups.keys().cloned().zip(0..).collect();
        let mut groups = Vec::new();
        for sources in rubric.groups.values() {
            let mut nodes = Vec::new();
            for source in sources {
                nodes.push(group_node(source, &names, &mut vocabulary)?);
            }
            groups.push(nodes);
        }
        for (at, sources) in rubric.groups.values().enumerate() {
            for (node, source) in groups[at].iter().zip(sources) {
                if reaches(node, at, &groups, &mut BTreeSet::new()) {
                    let message = "this group leads back to itself";
                    return Err(AuthorMistake::new(source, message));
                }
            }
        }
        let mut questions = BTreeMap::new();
        for (id, question) in &rubric.questions {
            let compiled = Question::new(question, &names, &mut vocabulary)?;
            questions.insert(id.clone(), compiled);
        }
        let speller = Speller::new(&vocabulary);
        Ok(Self {
            groups,
            vocabulary,
            speller,
            questions,
        })
    }
}

fn parse(
    source: &Located<String>,
    names: &BTreeMap<String, usize>,
    vocabulary: &mut Vocabulary,
) -> Result<Pattern, AuthorMistake> {
    pattern::parse(source, names, vocabulary).map_err(|mistake| AuthorMistake {
        spot: source.clone(),
        mistake,
    })
}

fn group_node(
    source: &Located<String>,
    names: &BTreeMap<String, usize>,
    vocabulary: &mut Vocabulary,
) -> Result<Node, AuthorMistake> {
    let mut parts = parse(source, names, vocabulary)?.parts.into_iter();
    match (parts.next(), parts.next()) {
        (Some(part), None) => Ok(pattern::sequence(part.steps)),
        _ => Err(AuthorMistake::new(source, "a group's pattern has no `&`")),
    }
}

/// Whether `node` leads to the group `wanted`.
fn reaches(node: &Node, wanted: usize, groups: &[Vec<Node>], seen: &mut BTreeSet<usize>) -> bool {
    match node {
        Node::Group(group) => {
            *group == wanted
                || seen.insert(*group)
                    && groups[*group]
                        .iter()
                        .any(|node| reaches(node, wanted, groups, seen))
        }
        Node::Any(nodes) => nodes.iter().any(|node| reaches(node, wanted, groups, seen)),
        Node::Sequence(steps) => steps
            .iter()
            .any(|step| reaches(&step.node, wanted, groups, seen)),
        Node::Word(_) | Node::Words(_) | Node::Number(_) | Node::AnyNumber | Node::Start => false,
    }
}

impl Question {
    /// All hints of the question; learners have read them.
    pub fn hints(&self) -> impl Iterator<Item = &str> {
        let ideas = self.ideas.iter().filter_map(|idea| idea.hint.as_deref());
        ideas.chain(self.misconceptions.iter().map(|wrong| wrong.hint.as_str()))
    }

    fn new(
        rubric: &QuestionRubric,
        names: &BTreeMap<String, usize>,
        vocabulary: &mut Vocabulary,
    ) -> Result<Self, AuthorMistake> {
        let mut ids = BTreeSet::new();
        let mut ideas = Vec::new();
        for idea in &rubric.ideas {
            if !ids.insert(idea.id.as_str()) {
                let message = format!("idea `{}` is there twice", *idea.id);
                return Err(AuthorMistake::new(&idea.id, message));
            }
            if idea.any.is_empty() {
                return Err(AuthorMistake::new(&idea.id, "an idea needs a pattern"));
            }
            if idea.hint.is_none() && matches!(idea.role, Role::Needed | Role::Required) {
                let message = "a needed idea needs a hint, a question that leads to it";
                return Err(AuthorMistake::new(&idea.id, message));
            }
            let mut patterns = Vec::new();
            for (sources, weak) in [(&idea.any, false), (&idea.weak, true)] {
                for source in sources {
                    patterns.push((parse(source, names, vocabulary)?, weak));
                }
            }
            ideas.push(Idea {
                id: idea.id.value.clone(),
                role: idea.role,
                weight: idea.weight,
                polarity: idea.polarity,
                patterns,
                hint: idea.hint.as_ref().map(|hint| hint.value.clone()),
            });
        }
        let mut misconceptions = Vec::new();
        for misconception in &rubric.misconceptions {
            if misconception.cap == Mark::Full {
                return Err(AuthorMistake::new(
                    &misconception.id,
                    "a misconception's cap is 0 or 0.5",
                ));
            }
            let patterns: Result<Vec<_>, _> = misconception
                .any
                .iter()
                .map(|source| parse(source, names, vocabulary))
                .collect();
            misconceptions.push(Misconception {
                id: misconception.id.value.clone(),
                cap: misconception.cap,
                polarity: misconception.polarity,
                patterns: patterns?,
                hint: misconception.hint.value.clone(),
            });
        }
        let mut rules = Vec::new();
        for rule in &rubric.score {
            let parsed =
                Rule::parse(&rule.when).map_err(|error| AuthorMistake::new(&rule.when, error))?;
            if let Some(id) = parsed.ids().into_iter().find(|id| !ids.contains(id)) {
                let message = format!("there is no idea `{id}` in this question");
                return Err(AuthorMistake::new(&rule.when, message));
            }
            rules.push((rule.give, parsed));
        }
        Ok(Self {
            guess: rubric.guess,
            ideas,
            misconceptions,
            rules,
            known_texts: rubric.known_texts.clone(),
            given_texts: rubric.given_texts.clone(),
        })
    }
}
