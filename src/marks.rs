//! A person's marks of written answers: the list of what waits for one, and the marks that
//! `regrade` honours.
//!
//! Pure. Both are the same YAML: the list is printed with empty scores, a person fills them in, and
//! the file is given back. A mark belongs to one text: it carries a digest of the answer, so that
//! it is not applied to another.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::check::answer::rule::Mark;
use crate::grade::{AnswerGrade, CriterionGrade, Grade, PersonMark, Verdict};
use crate::judge::{share_of, total};
use crate::rubric::Rubric;
use crate::yaml::{Located, Source};

/// How a list of what waits begins.
const HEAD: &str = "version: 1\nmarks:\n";

/// A file of marks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// The version of this file's form: 1.
    pub version: Located<u32>,
    /// One for each answer.
    pub marks: Vec<MarkEntry>,
}

/// One answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkEntry {
    /// The submission's name, as in its report.
    pub submission: Located<String>,
    /// The question's id.
    pub question: Located<String>,
    /// Which text was marked, as the list tells it. Without it the mark holds for any text.
    #[serde(default)]
    pub answer: Option<String>,
    /// 0, 0.5 or 1; left empty while nobody has marked it.
    #[schemars(with = "Option<f64>")]
    pub score: Option<Mark>,
    /// What the person has to say to the learner.
    #[serde(default)]
    pub note: Option<String>,
}

impl Marks {
    /// Parses a file of marks.
    ///
    /// # Errors
    /// What is wrong, with file, line and caret.
    pub fn parse(source: &Source) -> Result<Self> {
        let marks: Self = source.parse()?;
        if *marks.version != 1 {
            let message = format!(
                "version {} of marks is not known here, only 1",
                *marks.version
            );
            return Err(source.complaint(&marks.version, &message));
        }
        let mut seen = BTreeSet::new();
        for entry in &marks.marks {
            let key = (
                entry.submission.as_str(),
                entry.question.as_str(),
                &entry.answer,
            );
            if !seen.insert(key) {
                let message = "this answer has a mark above already";
                return Err(source.complaint(&entry.question, message));
            }
        }
        Ok(marks)
    }

    /// Whether a person filled in any.
    #[must_use]
    pub fn has_scores(&self) -> bool {
        self.marks.iter().any(|mark| mark.score.is_some())
    }

    /// These, and of `others` those with a score that are about other answers.
    #[must_use]
    pub fn over(mut self, others: Option<Self>) -> Self {
        let known: BTreeSet<_> = self
            .marks
            .iter()
            .filter(|mark| mark.score.is_some())
            .map(key)
            .collect();
        let others = others.into_iter().flat_map(|others| others.marks);
        self.marks
            .extend(others.filter(|mark| mark.score.is_some() && !known.contains(&key(mark))));
        self
    }

    /// As a file, with those that have a score, sorted.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = HEAD.to_owned();
        let mut marks: Vec<&MarkEntry> = self.marks.iter().collect();
        marks.sort_by_key(|mark| key(mark));
        for mark in marks {
            let Some(score) = mark.score else { continue };
            let _ = writeln!(out, "  - submission: {}", quoted(&mark.submission));
            let _ = writeln!(out, "    question: {}", quoted(&mark.question));
            if let Some(answer) = &mark.answer {
                let _ = writeln!(out, "    answer: {}", quoted(answer));
            }
            let _ = writeln!(out, "    score: {}", score.value());
            let note = mark
                .note
                .as_deref()
                .map_or_else(String::new, |note| " ".to_owned() + &quoted(note));
            let _ = writeln!(out, "    note:{note}");
        }
        out
    }

    /// The grade with the marks that a person gave to answers of `submission`. Everything that the
    /// rubric found stays in it; verdict, points and the outcome follow the person.
    #[must_use]
    pub fn apply(&self, submission: &str, rubric: &Rubric, grade: Grade) -> Grade {
        let criteria = grade
            .criteria
            .into_iter()
            .map(|criterion| match self.of(submission, &criterion) {
                Some((mark, note)) => marked(criterion, mark, note),
                None => criterion,
            })
            .collect();
        total(rubric, criteria)
    }

    fn of(&self, submission: &str, criterion: &CriterionGrade) -> Option<(Mark, Option<String>)> {
        let answer = criterion.answer.as_ref()?;
        let digest = digest(&answer.text);
        let entry = self.marks.iter().find(|entry| {
            *entry.submission == submission
                && *entry.question == answer.question
                && entry.answer.as_ref().is_none_or(|wanted| *wanted == digest)
                && entry.score.is_some()
        })?;
        Some((entry.score?, entry.note.clone()))
    }
}

/// Which answer a mark is about.
fn key(entry: &MarkEntry) -> (String, String, Option<String>) {
    let (submission, question) = (&entry.submission.value, &entry.question.value);
    (submission.clone(), question.clone(), entry.answer.clone())
}

fn marked(criterion: CriterionGrade, mark: Mark, note: Option<String>) -> CriterionGrade {
    let verdict = match mark {
        Mark::Full => Verdict::Met,
        Mark::Half => Verdict::PartlyMet,
        Mark::None => Verdict::NotMet,
    };
    let said = note
        .clone()
        .unwrap_or_else(|| "A person read this answer and marked it.".into());
    let open = verdict != Verdict::Met;
    CriterionGrade {
        verdict,
        points: share_of(criterion.max_points, mark.value()),
        reason: open.then_some(said),
        hint: criterion.hint.filter(|_| open),
        look_at: criterion.look_at.filter(|_| open),
        needs_review: false,
        answer: criterion.answer.map(|answer| AnswerGrade {
            review_reasons: Vec::new(),
            person: Some(PersonMark {
                score: mark.value(),
                note,
            }),
            ..answer
        }),
        ..criterion
    }
}

/// The answers of a grade that wait for a person, as a file of marks with empty scores; the answer
/// and the reasons stand above each as comments. `None` when nothing waits.
#[must_use]
pub fn review_list(submission: &str, grade: &Grade) -> Option<String> {
    let mut out = String::new();
    for criterion in &grade.criteria {
        if let Some(answer) = criterion.answer.as_ref().filter(|_| criterion.needs_review) {
            // Writing to a string cannot fail.
            let _ = write_entry(&mut out, submission, criterion, answer);
        }
    }
    (!out.is_empty()).then(|| format!("{HEAD}{out}"))
}

/// The lists of a whole class as one. `kept` is an earlier one with scores that a person filled in:
/// it stays word for word, and what it does not know is added. `None` when nothing waits and nothing
/// is kept.
#[must_use]
pub fn joined_list<S: AsRef<str>>(
    lists: impl IntoIterator<Item = S>,
    kept: Option<&str>,
) -> Option<String> {
    let parse = |text: &str| {
        let text = text.to_owned();
        let source = Source {
            name: "review.yaml".into(),
            text,
        };
        Marks::parse(&source).map_or(Vec::new(), |marks| marks.marks)
    };
    let known: BTreeSet<_> = parse(kept.unwrap_or_default()).iter().map(key).collect();
    let mut text = kept.map_or_else(|| HEAD.to_owned(), |kept| format!("{}\n", kept.trim_end()));
    let before = text.len();
    for list in lists {
        let mut entry = String::new();
        for line in list.as_ref().strip_prefix(HEAD).unwrap_or_default().lines() {
            entry.push_str(line);
            entry.push('\n');
            // The last line of an entry, as it is written above.
            if line.starts_with("    note:") {
                let is_known = parse(&format!("{HEAD}{entry}"))
                    .first()
                    .is_none_or(|entry| known.contains(&key(entry)));
                if !is_known {
                    text.push_str(&entry);
                }
                entry.clear();
            }
        }
    }
    (kept.is_some() || text.len() > before).then_some(text)
}

fn write_entry(
    out: &mut String,
    submission: &str,
    criterion: &CriterionGrade,
    answer: &AnswerGrade,
) -> std::fmt::Result {
    writeln!(out, "  # {}", one_line(&criterion.title))?;
    for reason in &answer.review_reasons {
        writeln!(out, "  # {}", one_line(reason))?;
    }
    writeln!(
        out,
        "  # The rubric gives {} of {} points for:",
        criterion.points, criterion.max_points
    )?;
    for line in answer.text.lines().take(100) {
        writeln!(out, "  #   {}", one_line(line))?;
    }
    writeln!(out, "  - submission: {}", quoted(submission))?;
    writeln!(out, "    question: {}", quoted(&answer.question))?;
    writeln!(out, "    answer: \"{}\"", digest(&answer.text))?;
    writeln!(out, "    score:   # 0, 0.5 or 1")?;
    writeln!(out, "    note:    # for the learner")
}

/// Without anything that ends a comment.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') {
                ' '
            } else {
                c
            }
        })
        .take(2_000)
        .collect()
}

/// As a double-quoted YAML scalar, which JSON's strings are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The first twelve hexadecimal digits of the SHA-256 of an answer, white space at its ends aside.
#[must_use]
pub fn digest(answer: &str) -> String {
    let hash = Sha256::digest(answer.trim().as_bytes());
    hash.iter().take(6).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::answer::AnswersRubric;
    use crate::grade::Outcome;

    fn parsed(text: &str) -> Marks {
        let text = text.to_owned();
        let name = "review.yaml".into();
        Marks::parse(&Source { name, text }).unwrap()
    }

    #[test]
    fn joined_marks_are_read_back_and_the_first_counts() {
        let [old, new] = ["1", "0.5"].map(|score| {
            let of = |who| {
                format!("  - {{submission: {who}, question: q1, answer: ab, score: {score}, note: \"so: \\\"{score}\\\"\"}}\n")
            };
            format!("{HEAD}{}{}", of("ann"), of(if score == "1" { "ben" } else { "cid" }))
        });
        let open = "  - {submission: dee, question: q1, score: }\n";
        let joined = parsed(&new).over(Some(parsed(&(old + open))));
        let again = parsed(&joined.text());
        let told: Vec<_> = again
            .marks
            .iter()
            .map(|mark| {
                (
                    mark.submission.as_str(),
                    mark.score.map(Mark::value),
                    mark.note.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("ann", Some(0.5), Some("so: \"0.5\"")),
                ("ben", Some(1.0), Some("so: \"1\"")),
                ("cid", Some(0.5), Some("so: \"0.5\"")),
            ]
        );
    }

    fn rubric() -> Rubric {
        Rubric {
            version: 1,
            exercise: Located::nowhere("x".into()),
            max_points: Located::nowhere(3),
            pass_mark: Located::nowhere(2),
            criteria: Vec::new(),
            answers: AnswersRubric::default(),
        }
    }

    fn grade() -> Grade {
        let criterion = CriterionGrade {
            id: "answers.q4".into(),
            title: "Q4: where requests get stuck".into(),
            points: 0,
            max_points: 3,
            must: false,
            basis: None,
            verdict: Verdict::NotMet,
            expected: "2 ideas, in your own words".into(),
            actual: Some("0 of 2 ideas found".into()),
            reason: Some("None of the ideas was found in the answer.".into()),
            hint: None,
            look_at: None,
            at: None,
            needs_review: true,
            answer: Some(AnswerGrade {
                question: "q4".into(),
                text: "Jede Anfrage: \"eigener\" Pool\n- score: 1".into(),
                review_reasons: vec!["It seems to be in German.".into()],
                ..AnswerGrade::default()
            }),
        };
        total(&rubric(), vec![criterion])
    }

    fn source(text: &str) -> Source {
        Source {
            name: "marks.yaml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn the_list_of_what_waits_is_a_file_of_marks() {
        let list = review_list("ann: \"x\"", &grade()).unwrap();
        let marks = Marks::parse(&source(&list)).unwrap();
        assert_eq!(marks.marks.len(), 1);
        assert_eq!(marks.marks[0].score, None);
        // Nothing is marked yet, so nothing changes.
        assert_eq!(marks.apply("ann: \"x\"", &rubric(), grade()), grade());
        let filled = list.replace("score:   #", "score: 1 #");
        let marks = Marks::parse(&source(&filled)).unwrap();
        let after = marks.apply("ann: \"x\"", &rubric(), grade());
        assert_eq!((after.points, after.outcome), (3, Outcome::Passed));
        assert!(!after.criteria[0].needs_review && after.criteria[0].reason.is_none());
        assert_eq!(review_list("ann: \"x\"", &after), None);
    }

    #[test]
    fn a_mark_holds_for_its_submission_and_its_text_only() {
        let text =
            "version: 1\nmarks:\n  - {submission: bob, question: q4, score: 0.5, note: Nearly.}\n";
        let marks = Marks::parse(&source(text)).unwrap();
        assert_eq!(marks.apply("ann", &rubric(), grade()).points, 0);
        let after = marks.apply("bob", &rubric(), grade());
        assert_eq!(after.points, 2);
        assert_eq!(after.criteria[0].reason.as_deref(), Some("Nearly."));
        let other = text.replace("score", "answer: \"000000000000\", score");
        let marks = Marks::parse(&source(&other)).unwrap();
        assert_eq!(marks.apply("bob", &rubric(), grade()).points, 0);
    }

    #[test]
    fn the_lists_of_a_class_are_one_file_and_scores_in_it_stay() {
        let lists = ["ann", "ben"].map(|who| review_list(who, &grade()).unwrap());
        let joined = joined_list(&lists, None).unwrap();
        assert_eq!(Marks::parse(&source(&joined)).unwrap().marks.len(), 2);
        let filled = joined.replacen("score:   #", "score: 1 #", 1);
        let cid = review_list("cid", &grade()).unwrap();
        let again = joined_list(lists.iter().chain([&cid]), Some(&filled)).unwrap();
        assert!(again.starts_with(filled.trim_end()), "{again}");
        let marks = Marks::parse(&source(&again)).unwrap().marks;
        let told: Vec<(&str, bool)> = marks
            .iter()
            .map(|mark| (mark.submission.as_str(), mark.score.is_some()))
            .collect();
        assert_eq!(told, [("ann", true), ("ben", false), ("cid", false)]);
        assert_eq!(joined_list([""; 0], None), None);
    }

    #[test]
    fn mistakes_are_told_with_their_spot() {
        for (text, wanted) in [
            ("version: 2\nmarks: []\n", "marks.yaml:1:10: version 2"),
            (
                "version: 1\nmarks:\n  - {submission: a, question: q1, score: 0.7}\n",
                "a score is 0, 0.5 or 1",
            ),
            (
                "version: 1\nmarks:\n  - {submission: a, question: q1, score: 1}\n  - {submission: a, question: q1, score: 0}\n",
                "marks.yaml:4:31: this answer has a mark above",
            ),
        ] {
            let error = Marks::parse(&source(text)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
