//! Written answers: the rubric's side of them, and the check.
//!
//! An answer is judged by the ideas in it. Authors write in patterns what an idea sounds like; how
//! they are found is in the files below, in this order: `quantity`, `token`, `numbers` and
//! `reader` read the text,
//! `stem`, `english`, `language` and `spelling` know words, `negation` knows scopes, `pattern` and
//! `matching` find phrases, `gate` stops what is no answer, `word_order` tells shuffled words,
//! `rule` makes marks of ideas,
//! `compile` prepares a rubric, `review` and `judged` hold what was found, `grader` does it all for
//! one answer, and `explain` tells authors.

pub mod stem;
pub mod english;
pub mod quantity;
pub mod token;
pub mod numbers;
pub mod reader;
pub mod language;
pub mod pattern;
pub mod spelling;
pub mod negation;
pub mod matching;
pub mod gate;
pub mod word_order;
pub mod rule;
pub mod compile;
pub mod review;
pub mod judged;
pub mod grader;
pub mod explain;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use self::compile::Compiled;
use self::judged::Judged;
use self::rule::Mark;
use super::{Context, Finding, Judgement};
use crate::answers;
use crate::evidence::Evidence;
use crate::grade::Spot;
use crate::submission::AnswersFile;
use crate::yaml::{Located, Source};

/// `answer: {question: q1}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question, by its id in the exercise.
    pub question: Located<String>,
}

/// The `answers:` part of a rubric file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnswersRubric {
    /// Synonyms by name, for `@name` in patterns. Each is a pattern without `&`.
    pub groups: BTreeMap<String, Vec<Located<String>>>,
    /// One for each question.
    pub questions: BTreeMap<String, QuestionRubric>,
    #[serde(skip)]
    compiled: OnceLock<Compiled>,
}

/// What a good answer to one question holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionRubric {
    /// Whether the question asks for a guess: then hedging costs nothing.
    #[serde(default)]
    pub guess: bool,
    /// The ideas, in the order in which reports list them.
    pub ideas: Vec<IdeaRubric>,
    /// Mistaken ideas.
    #[serde(default)]
    pub misconceptions: Vec<MisconceptionRubric>,
    /// The first rule that holds gives the mark; 0 when none does. Without rules the weights of the
    /// needed ideas decide: all of them earn 1, two fifths 0.5.
    #[serde(default)]
    pub score: Vec<ScoreRule>,
    /// Answers that are known to go around, as hashes of their runs of three words, so that a copy
    /// is told without the text being here. A copy is sent to a person.
    #[serde(default)]
    pub known_texts: Vec<String>,
    /// Texts that learners are given beside the question and the README, e.g. an older wording, in
    /// the same form. A copy is no answer.
    #[serde(default)]
    pub given_texts: Vec<String>,
    /// Answers with the marks that they must get; `feedgrade rubric check` runs them.
    #[serde(default)]
    pub tests: Vec<AnswerTest>,
}

/// An idea that an answer may hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdeaRubric {
    /// What rules call it. Learners never see it.
    pub id: Located<String>,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
    /// Its share of the mark when there are no score rules.
    #[serde(default = "one")]
    pub weight: u32,
    /// Which way round it counts.
    #[serde(default)]
    pub polarity: Polarity,
    /// Patterns; one is enough.
    pub any: Vec<Located<String>>,
    /// Patterns that suggest it and do not prove it. They earn nothing; where one would make half a
    /// mark a full one, a person is asked.
    #[serde(default)]
    pub weak: Vec<Located<String>>,
    /// A question for those who do not have it. Never the answer.
    #[serde(default)]
    pub hint: Option<Located<String>>,
}

fn one() -> u32 {
    1
}

/// What an idea is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A good answer holds it.
    #[default]
    Needed,
    /// A good answer holds it, and without it there is half the mark at most.
    Required,
    /// Told when it is found, not missed when it is not.
    Bonus,
    /// For score rules only; learners are not told of it.
    Signal,
}

/// Which way round an idea counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// Only outside the scope of a negation.
    #[default]
    Affirmed,
    /// Only inside.
    Negated,
    /// Wherever it stands.
    Either,
}

/// A mistaken idea. It lowers the ceiling; it never takes points away.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MisconceptionRubric {
    /// For explanations. Learners never see it.
    pub id: Located<String>,
    /// The most that an answer with it can earn: 0 or 0.5.
    #[schemars(with = "f64")]
    pub cap: Mark,
    /// Which way round it counts.
    #[serde(default)]
    pub polarity: Polarity,
    /// Patterns; one is enough.
    pub any: Vec<Located<String>>,
    /// Something to count or to run that shows it.
    pub hint: Located<String>,
}

/// `{give: 0.5, when: "a or b"}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreRule {
    /// 0, 0.5 or 1.
    #[schemars(with = "f64")]
    pub give: Mark,
    /// Ideas joined by `and`, `or`, `not` and brackets, or `2 of (a, b, c)`.
    pub when: Located<String>,
}

/// An answer with the mark that it must get.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerTest {
    /// The answer.
    pub text: Located<String>,
    /// 0, 0.5 or 1.
    #[schemars(with = "f64")]
    pub score: Mark,
    /// Whether a person must be asked; not looked at when missing.
    #[serde(default)]
    pub review: Option<bool>,
}

impl JsonSchema for Compiled {
    fn schema_name() -> Cow<'static, str> {
        "Compiled".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(false)
    }
}

impl AnswersRubric {
    /// Checks every pattern, rule and test of the rubric. Called when a rubric is parsed.
    ///
    /// # Errors
    /// The first mistake, with file, line and a caret under the spot.
    pub fn check(&self, source: &Source) -> Result<()> {
        match Compiled::new(self) {
            Ok(compiled) => {
                // Already there when a rubric is checked twice: then it is the same.
                let _ = self.compiled.set(compiled);
                Ok(())
            }
            Err(mistake) => Err(mistake.complaint(source)),
        }
    }

    /// The patterns, ready to be used; empty when the rubric has mistakes that were not looked for.
    #[must_use]
    pub fn compiled(&self) -> &Compiled {
        self.compiled
            .get_or_init(|| Compiled::new(self).unwrap_or_default())
    }
}

impl Answer {
    pub(super) fn judge(&self, context: Context<'_>, evidence: &Evidence) -> Finding {
        let id = self.question.as_str();
        let grader = context.grader;
        let expected = grader.expected(id);
        let (text, utf8) = match &evidence.answers {
            AnswersFile::Text { text, utf8 } => (text, *utf8),
            AnswersFile::Missing => {
                return Finding::not_met(expected, None, "There is no ANSWERS.md.");
            }
            AnswersFile::TooLarge { bytes } => {
                let reason = format!(
                    "ANSWERS.md has {} KiB, more than the {} KiB that are read.",
                    bytes / 1024,
                    crate::submission::MAX_ANSWERS_BYTES / 1024
                );
                return Finding::not_met(expected, None, reason);
            }
        };
        let parsed = answers::parse(text, &context.material.template);
        let Some(answer) = parsed.questions.get(id) else {
            let reason = format!(
                "ANSWERS.md has no heading for this question, like `## {}.`",
                id.to_uppercase()
            );
            return Finding::not_met(expected, None, reason);
        };
        let mut judged = grader.judge(id, &answer.text);
        if answer.cut {
            judged.note("It is so long that only its beginning was read.");
        }
        if !utf8 && answer.text.contains('\u{fffd}') {
            judged.note("Some of its characters could not be read: the file is not UTF-8.");
        }
        finding(expected, judged, answer.line)
    }
}

/// A verdict for the report, from what is known of an answer.
fn finding(expected: String, judged: Judged, line: usize) -> Finding {
    let actual = judged.actual();
    let reason = judged.reason();
    let judgement = match judged.mark {
        Mark::Full => Judgement::Met,
        Mark::Half => Judgement::PartlyMet { share: 0.5, reason },
        Mark::None => Judgement::NotMet { reason },
    };
    Finding {
        judgement,
        expected,
        actual: Some(actual),
        hint: None,
        answer: Some(judged.into_grade(line)),
        at: Some(Spot::in_answers(line)),
    }
}
