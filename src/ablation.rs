//! Ablation: what each step of judging written answers is worth, so that what adds nothing can go.
//!
//! Pure. The same answers are judged with all steps and with one left out; the difference of the
//! kappas has a paired bootstrap interval. Grading proper always takes all steps.

use std::fmt::Write as _;

use crate::agreement::{self, Agreement, Labelled};
use crate::check::answer::grader::{Grader, Steps};
use crate::check::answer::rule::Mark;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Worth {
    /// What was left out.
    pub step: &'static str,
    /// The agreement without it.
    pub agreement: Agreement,
    /// The kappa with all steps less the kappa without this one.
    pub adds: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
}

type LeaveOut = fn(&mut Steps);

/// Steps that can be left out, by name.
const STEPS: [(&str, LeaveOut); 6] = [
    ("synonyms", |steps| steps.synonyms = false),
    ("gates", |steps| steps.gates = false),
    ("misconceptions", |steps| steps.misconceptions = false),
    ("typo tolerance", |steps| steps.typos = false),
    ("negation", |steps| steps.negation = false),
    ("stems", |steps| steps.stems = false),
];

/// Leaves out one step after the other. `grader` makes one that takes the steps it is given.
#[must_use]
pub fn ablation<'a>(grader: impl Fn(Steps) -> Grader<'a>, labelled: &[Labelled]) -> Vec<Worth> {
    let with = pairs(&grader(Steps::default()), labelled);
    STEPS
        .iter()
        .map(|(step, leave_out)| {
            let mut steps = Steps::default();
            leave_out(&mut steps);
            let grader = grader(steps);
            let without = pairs(&grader, labelled);
            let adds = |places: &[usize]| {
                agreement::qwk_of(&with, places) - agreement::qwk_of(&without, places)
            };
            let all: Vec<usize> = (0..labelled.len()).collect();
            Worth {
                step,
                agreement: agreement::measure(&grader, labelled),
                adds: adds(&all),
                interval: agreement::bootstrap(labelled.len(), adds),
            }
        })
        .collect()
}

fn pairs(grader: &Grader<'_>, labelled: &[Labelled]) -> Vec<(Mark, Mark)> {
    let marked = labelled.iter().map(|one| {
        let judged = grader.judge(&one.question, &one.answer);
        (one.score, judged.mark)
    });
    marked.collect()
}

/// As a table for people; `all` is the agreement with all steps.
#[must_use]
pub fn to_text(all: &Agreement, ablation: &[Worth]) -> String {
    let mut out = format!(
        "{:<23} {:>5}  {:>24}  {:>6} {:>7} {:>11} {:>11}\n",
        "", "QWK", "adds (95 %)", "equal", "review", "full for 0", "zero for 1"
    );
    // Writing to a string cannot fail.
    let _ = write_row(&mut out, "all steps", "", all);
    for worth in ablation {
        let [low, high] = worth.interval;
        let adds = format!("{:+.3}  ({low:+.3} to {high:+.3})", worth.adds);
        let step = format!("without {}", worth.step);
        let _ = write_row(&mut out, &step, &adds, &worth.agreement);
    }
    out
}

fn write_row(out: &mut String, name: &str, adds: &str, agreement: &Agreement) -> std::fmt::Result {
    writeln!(
        out,
        "{name:<23} {:>5.3}  {adds:>24}  {:>5.1}% {:>6.1}% {:>11} {:>11}",
        agreement.qwk,
        agreement.exact * 100.0,
        agreement.review_share * 100.0,
        agreement.false_full,
        agreement.false_zero
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Material;
    use crate::check::answer::AnswersRubric;
    use crate::exercise::Exercise;
    use crate::yaml::Source;

    fn source(text: &str) -> Source {
        Source {
            name: "x.yaml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn what_a_step_adds_is_seen_when_it_is_left_out() {
        let exercise = "version: 1\nslug: x\ntitle: X\nsummary: X.\nminutes: 1\ndatabase: {image: 'postgres:15', schema: s, seed: s}\nstages: []\n";
        let exercise = Exercise::parse(&source(exercise)).unwrap();
        let rubric = source(
            "groups: {db: [database, postgres]}\nquestions:\n  q1:\n    ideas:\n      - {id: scan, any: ['@db ~2 read'], hint: What does it do?}\n",
        );
        let answers: AnswersRubric = rubric.parse().unwrap();
        answers.check(&rubric).unwrap();
        let labelled = "{\"question\":\"q1\",\"answer\":\"Postgres reads it\",\"score\":1}\n{\"question\":\"q1\",\"answer\":\"It sleeps well\",\"score\":0}\n";
        let labelled = agreement::parse("x.jsonl", labelled).unwrap();
        let make = |steps| Grader::new(&answers, &exercise, &Material::default()).with_steps(steps);
        let all = ablation(make, &labelled);
        let adds = |step: &str| all.iter().find(|worth| worth.step == step).unwrap().adds;
        assert!((adds("synonyms") - 1.0).abs() < 1e-9 && adds("gates").abs() < 1e-9);
        assert!((adds("stems") - 1.0).abs() < 1e-9);
        let text = to_text(
            &agreement::measure(&make(Steps::default()), &labelled),
            &all,
        );
        assert!(text.contains("without synonyms"), "{text}");
    }
}
