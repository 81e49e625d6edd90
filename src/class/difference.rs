//! A difference: what changed between two results of a class, for whom, and why.
//!
//! Pure. What a grade rests on is written beside it, so the cause is looked up and not guessed:
//! where several things changed, all of them are told.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Basis, Row, RowCriterion, Standing};
use crate::grade::Verdict;

/// Why a grade changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The learner's files are other ones.
    Submission,
    /// The exercise or its reference solution is another one.
    Exercise,
    /// The rubric is another one.
    Rubric,
    /// Another version of feedgrade.
    Feedgrade,
    /// It was measured again, and nothing else.
    Measurement,
    /// A person marked an answer, or took a mark back.
    Person,
}

impl Cause {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Submission => "the submission changed",
            Self::Exercise => "the exercise changed",
            Self::Rubric => "the rubric changed",
            Self::Feedgrade => "another version of feedgrade",
            Self::Measurement => "measured again, nothing else changed",
            Self::Person => "a person marked it",
        }
    }
}

/// How one member stands before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Who.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Null when they were not in the class.
    pub before: Option<Stand>,
    /// Null when they are not in the class any more.
    pub after: Option<Stand>,
    /// Criteria whose verdict or points changed.
    pub criteria: Vec<CriterionChange>,
}

/// A standing with its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// How they stand.
    pub standing: Standing,
    /// Null without a grade.
    pub points: Option<u32>,
}

/// How one criterion changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CriterionChange {
    /// Its id.
    pub id: String,
    /// Null when it was not judged.
    pub before: Option<Judged>,
    /// Null when it is not judged any more.
    pub after: Option<Judged>,
    /// Why; several where it cannot be told apart.
    pub causes: Vec<Cause>,
    /// The reason beside the new verdict.
    pub reason: Option<String>,
}

/// A verdict with its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Points earned.
    pub points: u32,
}

/// What changed from `old` to `new`, by id. Members without a change are left out.
#[must_use]
pub fn changes(old: &[Row], new: &[Row]) -> Vec<Change> {
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    ids.into_iter()
        .filter_map(|id| change(id, old.get(id).copied(), new.get(id).copied()))
        .collect()
}

fn by_id(rows: &[Row]) -> BTreeMap<&str, &Row> {
    rows.iter().map(|row| (row.id.as_str(), row)).collect()
}

fn change(id: &str, old: Option<&Row>, new: Option<&Row>) -> Option<Change> {
    let stand = |row: &Row| Stand {
        standing: row.standing,
        points: row.points,
    };
    let (before, after) = (old.map(stand), new.map(stand));
    let criteria = match (old, new) {
        (Some(old), Some(new)) => criteria(old, new),
        _ => Vec::new(),
    };
    (before != after || !criteria.is_empty()).then(|| Change {
        id: id.to_owned(),
        name: new.or(old).and_then(|row| row.name.clone()),
        before,
        after,
        criteria,
    })
}

fn criteria(old: &Row, new: &Row) -> Vec<CriterionChange> {
    let mut ids: Vec<&str> = new.criteria.iter().map(|c| c.id.as_str()).collect();
    for criterion in &old.criteria {
        if !ids.contains(&criterion.id.as_str()) {
            ids.push(&criterion.id);
        }
    }
    ids.into_iter()
        .filter_map(|id| {
            let of = |row: &'_ Row| row.criteria.iter().find(|c| c.id == id).cloned();
            let (before, after) = (of(old), of(new));
            let judged = |criterion: &RowCriterion| Judged {
                verdict: criterion.verdict,
                points: criterion.points,
            };
            let (was, is) = (before.as_ref().map(judged), after.as_ref().map(judged));
            if was == is {
                return None;
            }
            let by_person = |c: &Option<RowCriterion>| c.as_ref().is_some_and(|c| c.by_person);
            let causes = if by_person(&before) || by_person(&after) {
                vec![Cause::Person]
            } else {
                causes(&old.basis, &new.basis)
            };
            Some(CriterionChange {
                id: id.to_owned(),
                before: was,
                after: is,
                causes,
                reason: after.and_then(|criterion| criterion.reason),
            })
        })
        .collect()
}

/// What can have changed a verdict. The same evidence cannot come of another submission, nor of
/// another measurement: then it is what judged it.
fn causes(old: &Basis, new: &Basis) -> Vec<Cause> {
    let is_same_evidence = !old.evidence.is_empty() && old.evidence == new.evidence;
    let mut causes = Vec::new();
    let mut add = |cause, changed: bool| {
        if changed {
            causes.push(cause);
        }
    };
    add(
        Cause::Submission,
        !is_same_evidence && old.submission != new.submission,
    );
    add(Cause::Exercise, old.exercise != new.exercise);
    add(Cause::Rubric, old.rubric != new.rubric);
    add(Cause::Feedgrade, old.feedgrade != new.feedgrade);
    if causes.is_empty() {
        // The same files, the same rubric: what differs was measured.
        causes.push(Cause::Measurement);
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Verdict, points: u32, basis: &Basis) -> Row {
        let mut row = Row::without_grade("ann", "ann", Standing::Failed, "");
        row.points = Some(points);
        row.basis = basis.clone();
        row.criteria = vec![RowCriterion {
            id: "pool.shared".into(),
            verdict,
            points,
            reason: None,
            review: None,
            by_person: false,
        }];
        row
    }

    fn basis(text: &str) -> Basis {
        let parts: Vec<&str> = text.split(' ').collect();
        Basis {
            submission: parts[0].into(),
            exercise: parts[1].into(),
            rubric: parts[2].into(),
            feedgrade: parts[3].into(),
            evidence: parts[4].into(),
            ..Basis::default()
        }
    }

    #[test]
    fn a_change_is_told_with_its_cause() {
        let old = row(Verdict::NotMet, 0, &basis("s e r f v"));
        for (now, wanted) in [
            ("s e r f v2", vec![Cause::Measurement]),
            ("s2 e r f v2", vec![Cause::Submission]),
            ("s e r2 f v", vec![Cause::Rubric]),
            ("s e2 r f v2", vec![Cause::Exercise]),
            ("s e r2 f2 v", vec![Cause::Rubric, Cause::Feedgrade]),
        ] {
            let new = row(Verdict::Met, 14, &basis(now));
            let change = change("ann", Some(&old), Some(&new)).unwrap();
            assert_eq!(change.criteria[0].causes, wanted, "{now}");
        }
        assert_eq!(change("ann", Some(&old), Some(&old)), None);
    }

    #[test]
    fn who_comes_and_who_goes_is_told_and_a_persons_mark_is_theirs() {
        let old = row(Verdict::NotMet, 0, &basis("s e r f v"));
        let gone = change("ann", Some(&old), None).unwrap();
        assert!(gone.after.is_none() && gone.before.is_some());
        let mut marked = row(Verdict::Met, 14, &basis("s e r2 f v"));
        marked.criteria[0].by_person = true;
        let change = change("ann", Some(&old), Some(&marked)).unwrap();
        assert_eq!(change.criteria[0].causes, [Cause::Person]);
    }
}
