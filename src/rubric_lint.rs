//! Linting the answers part of a rubric: what an author would want to know before learners meet it.
//!
//! Pure. Mistakes that make a rubric unusable are found when it is parsed; here are the ones that
//! make it wrong: a test that fails, a key that does not earn full marks, a hint that gives an idea
//! away, a pattern that can never be the one that hits.

use std::collections::BTreeSet;

use crate::answers;
use crate::check::Material;
use crate::check::answer::compile::Question;
use crate::check::answer::explain::explain;
use crate::check::answer::grader::{Grader, Steps};
use crate::check::answer::judged::{Found, Judged};
use crate::check::answer::pattern::{Node, Pattern};
use crate::check::answer::rule::Mark;
use crate::check::answer::{QuestionRubric, Role};
use crate::exercise::Exercise;
use crate::rubric::Rubric;
use crate::yaml::{Located, Source};

/// How bad a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rubric marks wrongly.
    Fault,
    /// Worth a look.
    Note,
}

/// One remark on a rubric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// How bad it is.
    pub severity: Severity,
    /// File, line, what it is, the line itself, a caret.
    pub text: String,
}

/// All remarks, faults first, otherwise in the order of the file.
#[must_use]
pub fn lint(
    source: &Source,
    rubric: &Rubric,
    exercise: &Exercise,
    material: &Material,
) -> Vec<Remark> {
    let mut linter = Linter {
        source,
        remarks: Vec::new(),
    };
    // The key is compared with itself nowhere here, so it is no copy.
    let open = Material {
        key: String::new(),
        ..material.clone()
    };
    let grader = Grader::new(&rubric.answers, exercise, &open);
    let bare = Grader::new(&rubric.answers, exercise, &open).with_steps(Steps {
        gates: false,
        ..Steps::default()
    });
    let keys = answers::parse(&material.key, &material.template);
    for (id, question) in &rubric.answers.questions {
        linter.tests(id, question, &grader);
        if let Some(key) = keys.questions.get(id) {
            linter.key(id, question, &grader.judge(id, &key.text));
        }
        if let Some(asked) = exercise.questions.iter().find(|asked| *asked.id == *id) {
            linter.question_text(question, &bare.judge(id, &asked.text));
        }
        linter.hints(id, question, &bare);
        if let Some(compiled) = rubric.answers.compiled().questions.get(id) {
            linter.unreachable(question, compiled);
        }
    }
    linter.groups(rubric);
    linter.remarks.sort_by_key(|remark| remark.severity);
    linter.remarks
}

struct Linter<'a> {
    source: &'a Source,
    remarks: Vec<Remark>,
}

impl Linter<'_> {
    fn remark<T>(&mut self, severity: Severity, spot: &Located<T>, message: &str) {
        self.remarks.push(Remark {
            severity,
            text: self.source.complaint(spot, message).to_string(),
        });
    }

    fn tests(&mut self, id: &str, question: &QuestionRubric, grader: &Grader<'_>) {
        for test in &question.tests {
            let judged = grader.judge(id, &test.text);
            let review = test
                .review
                .is_none_or(|wanted| wanted == judged.needs_review());
            if judged.mark != test.score || !review {
                let message = format!(
                    "this answer to {id} must get {}{}, and gets:\n{}",
                    test.score.text(),
                    match test.review {
                        Some(true) => " and be sent to a person",
                        Some(false) => " and not be sent to a person",
                        None => "",
                    },
                    explain(&judged).trim_end()
                );
                self.remark(Severity::Fault, &test.text, &message);
            }
        }
        if question.tests.is_empty()
            && let Some(idea) = question.ideas.first()
        {
            self.remark(Severity::Note, &idea.id, &format!("{id} has no tests"));
        }
    }

    fn key(&mut self, id: &str, question: &QuestionRubric, judged: &Judged) {
        for (idea, found) in question.ideas.iter().zip(&judged.ideas) {
            if matches!(idea.role, Role::Needed | Role::Required) && found.found.is_none() {
                self.remark(
                    Severity::Fault,
                    &idea.id,
                    "the solution's answer does not hold this idea",
                );
            }
        }
        for wrong in &judged.misconceptions {
            let spot = question.misconceptions.iter().find(|m| *m.id == wrong.id);
            if let Some(misconception) = spot {
                let message = format!(
                    "the solution's answer matches this misconception: “{}” by `{}`",
                    wrong.found.quote, wrong.found.pattern
                );
                self.remark(Severity::Fault, &misconception.id, &message);
            }
        }
        if let Some(first) = question.ideas.first()
            && (judged.mark != Mark::Full || judged.needs_review())
        {
            let message = format!(
                "the solution's answer to {id} must get 1 and no review, and gets:\n{}",
                explain(judged).trim_end()
            );
            self.remark(Severity::Fault, &first.id, &message);
        }
    }

    fn question_text(&mut self, question: &QuestionRubric, judged: &Judged) {
        for (idea, judged) in question.ideas.iter().zip(&judged.ideas) {
            let told = matches!(idea.role, Role::Needed | Role::Required);
            if let Some(found) = judged.found.as_ref().filter(|_| told) {
                let spot = idea
                    .any
                    .iter()
                    .chain(&idea.weak)
                    .find(|p| ***p == found.pattern);
                let message = format!("the question itself matches this: “{}”", found.quote);
                self.remark(Severity::Note, spot.unwrap_or(&idea.id), &message);
            }
        }
    }

    fn hints(&mut self, id: &str, question: &QuestionRubric, bare: &Grader<'_>) {
        let hints = question.ideas.iter().filter_map(|idea| idea.hint.as_ref());
        let hints: Vec<&Located<String>> = hints
            .chain(question.misconceptions.iter().map(|wrong| &wrong.hint))
            .collect();
        for hint in hints {
            let judged = bare.judge(id, hint);
            for idea in &judged.ideas {
                let told = matches!(idea.role, Role::Needed | Role::Required);
                // A weak pattern alone earns nothing.
                let proves = |found: &&Found| told && !found.weak;
                if let Some(found) = idea.found.as_ref().filter(proves) {
                    let message = format!(
                        "this hint gives the idea `{}` away: “{}” by `{}`",
                        idea.id, found.quote, found.pattern
                    );
                    self.remark(Severity::Fault, hint, &message);
                }
            }
        }
    }

    fn unreachable(&mut self, question: &QuestionRubric, compiled: &Question) {
        for (idea, compiled) in question.ideas.iter().zip(&compiled.ideas) {
            let sources: Vec<&Located<String>> = idea.any.iter().chain(&idea.weak).collect();
            for (at, (pattern, _)) in compiled.patterns.iter().enumerate() {
                let earlier = compiled.patterns[..at]
                    .iter()
                    .position(|(earlier, _)| covers(earlier, pattern));
                if let Some(earlier) = earlier {
                    let message = format!(
                        "never the first to hit: `{}` hits too",
                        sources[earlier].value
                    );
                    self.remark(Severity::Note, sources[at], &message);
                }
            }
        }
    }

    fn groups(&mut self, rubric: &Rubric) {
        let questions = rubric.answers.questions.values();
        let patterns = questions.flat_map(|question| {
            let ideas = question
                .ideas
                .iter()
                .flat_map(|idea| idea.any.iter().chain(&idea.weak));
            ideas.chain(question.misconceptions.iter().flat_map(|wrong| &wrong.any))
        });
        let all: Vec<&str> = patterns
            .chain(rubric.answers.groups.values().flatten())
            .map(|pattern| pattern.as_str())
            .collect();
        for (name, sources) in &rubric.answers.groups {
            let used = all.iter().any(|pattern| {
                pattern.match_indices('@').any(|(at, _)| {
                    let rest = &pattern[at + 1..];
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
                    &rest[..end.unwrap_or(rest.len())] == name
                })
            });
            if let Some(source) = sources.first().filter(|_| !used) {
                self.remark(
                    Severity::Note,
                    source,
                    &format!("no pattern uses the group `{name}`"),
                );
            }
        }
    }
}

/// Whether `earlier` hits wherever `later` does: it wants one word, and `later` wants it too.
fn covers(earlier: &Pattern, later: &Pattern) -> bool {
    let [part] = earlier.parts.as_slice() else {
        return false;
    };
    let [step] = part.steps.as_slice() else {
        return false;
    };
    let Some(wanted) = words(&step.node) else {
        return false;
    };
    later.parts.iter().filter(|part| !part.absent).any(|part| {
        part.steps.iter().any(|step| {
            !step.optional && words(&step.node).is_some_and(|words| words.is_subset(&wanted))
        })
    })
}

/// The words that a node is, when it is nothing but single words and groups.
fn words(node: &Node) -> Option<BTreeSet<(u8, usize)>> {
    match node {
        Node::Word(id) => Some(BTreeSet::from([(0, usize::try_from(*id).ok()?)])),
        Node::Words(ids) => {
            let ids = ids.iter().map(|id| Some((0, usize::try_from(*id).ok()?)));
            ids.collect()
        }
        Node::Group(place) => Some(BTreeSet::from([(1, *place)])),
        Node::Any(nodes) => {
            let each: Option<Vec<_>> = nodes.iter().map(words).collect();
            Some(each?.into_iter().flatten().collect())
        }
        Node::Sequence(steps) => match steps.as_slice() {
            [step] => words(&step.node),
            _ => None,
        },
        Node::Number(_) | Node::AnyNumber | Node::Start => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::AnswersRubric;

    const EXERCISE: &str = "
version: 1
slug: x
title: X
summary: X.
minutes: 1
database: {image: 'postgres:15', schema: s, seed: s}
stages: []
questions:
  - {id: q1, text: Why is it slow?}
";

    fn remarks(answers: &str, key: &str) -> Vec<String> {
        let source = Source {
            name: "x.yaml".into(),
            text: answers.into(),
        };
        let exercise = Exercise::parse(&Source {
            name: "exercise.yaml".into(),
            text: EXERCISE.into(),
        })
        .unwrap();
        let parsed: AnswersRubric = source.parse().unwrap();
        parsed.check(&source).unwrap();
        let rubric = Rubric {
            version: 1,
            exercise: Located::nowhere("x".into()),
            max_points: Located::nowhere(0),
            pass_mark: Located::nowhere(0),
            criteria: Vec::new(),
            answers: parsed,
        };
        let material = Material {
            key: format!("## Q1\n{key}\n"),
            ..Material::default()
        };
        let remarks = lint(&source, &rubric, &exercise, &material);
        remarks.into_iter().map(|remark| remark.text).collect()
    }

    fn rubric(any: &str, hint: &str, more: &str) -> String {
        format!(
            "questions:\n  q1:\n    ideas:\n      - id: scan\n        any: [{any}]\n        hint: {hint}\n    tests:\n      - {{text: It reads every row of the table, score: 1}}\n{more}"
        )
    }

    #[test]
    fn a_good_rubric_has_no_remarks() {
        let text = rubric("'read ~3 row'", "What does it do?", "");
        assert_eq!(remarks(&text, "It has to read each of the rows."), [""; 0]);
    }

    #[test]
    fn what_marks_wrongly_is_told_with_its_spot() {
        let text = rubric("'scan ~3 row'", "What does it do?", "");
        let all = remarks(&text, "It has to read each of the rows.").join("\n");
        assert!(
            all.contains("x.yaml:8:16: this answer to q1 must get 1, and gets"),
            "{all}"
        );
        assert!(
            all.contains("the solution's answer does not hold this idea"),
            "{all}"
        );

        let text = rubric(
            "'read ~3 row'",
            "How many rows are read, each row or some?",
            "",
        );
        let text = text.replace("any: ['read ~3 row']", "any: ['read ~3 row', 'row']");
        let all = remarks(&text, "It has to read each of the rows.").join("\n");
        assert!(
            all.contains("this hint gives the idea `scan` away"),
            "{all}"
        );

        let text = rubric("slow, 'slow ~2 row'", "What does it do?", "");
        let all = remarks(&text, "It is slow.").join("\n");
        assert!(
            all.contains("the question itself matches this: “slow”"),
            "{all}"
        );
        assert!(
            all.contains("never the first to hit: `slow` hits too"),
            "{all}"
        );

        let more =
            "    misconceptions:\n      - {id: m, cap: 0, any: [network], hint: What else?}\n";
        let text = rubric("'read ~3 row'", "What does it do?", more);
        let all = remarks(&text, "It reads rows and not the network, the network!").join("\n");
        assert!(
            all.contains("the solution's answer matches this misconception"),
            "{all}"
        );
    }
}
