//! Agreement: how well a rubric's marks of written answers fit the marks of people.
//!
//! Pure. For authors: this makes work of what would be guessing. QWK is the quadratic weighted
//! kappa (Cohen 1968), its interval a percentile bootstrap with a generator of its own, so that the
//! same file gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::check::answer::explain::explain;
use crate::check::answer::grader::Grader;
use crate::check::answer::judged::Judged;
use crate::check::answer::rule::Mark;

/// An answer that a person marked: one line of a `.jsonl` file. Other fields are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct Labelled {
    /// The question's id.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// 0, 0.5 or 1.
    pub score: Mark,
    /// What sort of answer it is, e.g. `paraphrase`.
    #[serde(default)]
    pub kind: String,
}

/// How well marks fit. Shares are between 0 and 1, rounded to four decimals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of answers.
    pub answers: usize,
    /// Share of equal marks.
    pub exact: f64,
    /// Quadratic weighted kappa over all answers.
    pub qwk: f64,
    /// Its 95 % bootstrap interval.
    pub qwk_interval: [f64; 2],
    /// The kappa over the answers that were not sent to a person. Null when there are none.
    pub qwk_auto: Option<f64>,
    /// Share of answers that were sent to a person.
    pub review_share: f64,
    /// Answers labelled 0 with full marks.
    pub false_full: usize,
    /// Answers labelled 1 with no marks that no person is asked about.
    pub false_zero: usize,
    /// Answers labelled 1 with no marks that a person is asked about.
    pub reviewed_zero: usize,
    /// `confusion[label][mark]`, each 0, 0.5, 1.
    pub confusion: [[usize; 3]; 3],
    /// By kind of answer.
    pub kinds: BTreeMap<String, Kind>,
    /// By reason for review. An answer can have several.
    pub reasons: BTreeMap<&'static str, Reason>,
    /// Wrong marks, the worst first, the unreviewed before the reviewed.
    pub misses: Vec<Miss>,
}

/// One kind of answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Number of answers.
    pub answers: usize,
    /// Equal marks.
    pub exact: usize,
    /// Sent to a person.
    pub reviewed: usize,
    /// `confusion[label][mark]`.
    pub confusion: [[usize; 3]; 3],
}

/// One reason why answers were sent to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Number of answers.
    pub answers: usize,
    /// Those whose mark is not the label: the ones that it pays to look at.
    pub unequal: usize,
}

/// A mark that is not the label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Miss {
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// What the person gave.
    pub label: f64,
    /// What the rubric gave.
    pub mark: f64,
    /// Whether a person is asked.
    pub needs_review: bool,
    /// Which patterns were found.
    pub explanation: String,
}

/// Reads labelled answers, one JSON object a line.
///
/// # Errors
/// The line that is none.
pub fn parse(name: &str, text: &str) -> Result<Vec<Labelled>> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).with_context(|| format!("read {name}, line {}", index + 1))
        })
        .collect()
}

/// Marks the answers and compares.
#[must_use]
pub fn measure(grader: &Grader<'_>, labelled: &[Labelled]) -> Agreement {
    let judged: Vec<Judged> = labelled
        .iter()
        .map(|one| grader.judge(&one.question, &one.answer))
        .collect();
    let pairs: Vec<(Mark, Mark, bool)> = labelled
        .iter()
        .zip(&judged)
        .map(|(one, judged)| (one.score, judged.mark, judged.needs_review()))
        .collect();
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    let mut reasons: BTreeMap<&'static str, Reason> = BTreeMap::new();
    let mut misses = Vec::new();
    for ((one, judged), (label, mark, reviewed)) in labelled.iter().zip(&judged).zip(&pairs) {
        let kind = kinds.entry(one.kind.clone()).or_default();
        kind.answers += 1;
        kind.exact += usize::from(label == mark);
        kind.reviewed += usize::from(*reviewed);
        kind.confusion[*label as usize][*mark as usize] += 1;
        for review in &judged.reviews {
            let reason = reasons.entry(review.name()).or_default();
            reason.answers += 1;
            reason.unequal += usize::from(label != mark);
        }
        if label != mark {
            misses.push(Miss {
                question: one.question.clone(),
                answer: one.answer.clone(),
                label: label.value(),
                mark: mark.value(),
                needs_review: *reviewed,
                explanation: explain(judged),
            });
        }
    }
    misses.sort_by(|left, right| {
        let rank = |miss: &Miss| (miss.needs_review, -(miss.label - miss.mark).abs());
        let (left, right) = (rank(left), rank(right));
        left.0.cmp(&right.0).then(left.1.total_cmp(&right.1))
    });
    let marks: Vec<(Mark, Mark)> = pairs
        .iter()
        .map(|(label, mark, _)| (*label, *mark))
        .collect();
    let auto: Vec<(Mark, Mark)> = pairs
        .iter()
        .filter(|(_, _, reviewed)| !reviewed)
        .map(|(label, mark, _)| (*label, *mark))
        .collect();
    let zeros = |wanted: bool| {
        let is_zero = |(label, mark, reviewed): &&(Mark, Mark, bool)| {
            *label == Mark::Full && *mark == Mark::None && *reviewed == wanted
        };
        pairs.iter().filter(is_zero).count()
    };
    let confusion = confusion(&marks);
    Agreement {
        answers: pairs.len(),
        exact: share(
            marks.iter().filter(|(label, mark)| label == mark).count(),
            marks.len(),
        ),
        qwk: round(qwk(&confusion)),
        qwk_interval: interval(&marks),
        qwk_auto: (!auto.is_empty()).then(|| round(qwk(&self::confusion(&auto)))),
        review_share: share(pairs.len() - auto.len(), pairs.len()),
        false_full: confusion[0][2],
        false_zero: zeros(false),
        reviewed_zero: zeros(true),
        confusion,
        kinds,
        reasons,
        misses,
    }
}

/// Pairs of label and mark, counted: `confusion[label][mark]`.
#[must_use]
pub fn confusion(pairs: &[(Mark, Mark)]) -> [[usize; 3]; 3] {
    let mut confusion = [[0; 3]; 3];
    for (label, mark) in pairs {
        confusion[*label as usize][*mark as usize] += 1;
    }
    confusion
}

/// The quadratic weighted kappa (Cohen 1968) of a `confusion`; 1 when labels and marks are all one and the same value.
#[expect(clippy::cast_precision_loss, reason = "counts of answers are small")]
#[must_use]
pub fn qwk(confusion: &[[usize; 3]; 3]) -> f64 {
    let all: usize = confusion.iter().flatten().sum();
    let (mut seen, mut expected) = (0.0, 0.0);
    for label in 0..3_usize {
        for mark in 0..3_usize {
            let weight = label.abs_diff(mark).pow(2) as f64;
            let labels: usize = confusion[label].iter().sum();
            let marks: usize = confusion.iter().map(|row| row[mark]).sum();
            seen += weight * confusion[label][mark] as f64;
            expected += weight * (labels * marks) as f64 / (all.max(1) as f64);
        }
    }
    if expected == 0.0 {
        return if seen == 0.0 { 1.0 } else { 0.0 };
    }
    1.0 - seen / expected
}

/// The 95 % percentile bootstrap interval of `statistic`, from 1,000 resamples of the numbers below
/// `count`. The generator is its own, so the same input gives the same interval.
pub fn bootstrap(count: usize, statistic: impl Fn(&[usize]) -> f64) -> [f64; 2] {
    const RESAMPLES: usize = 1_000;
    if count == 0 {
        return [0.0, 0.0];
    }
    let mut random = SplitMix(0x5eed);
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let places: Vec<usize> = (0..count).map(|_| random.below(count)).collect();
            statistic(&places)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    [
        round(values[RESAMPLES / 40]),
        round(values[RESAMPLES - 1 - RESAMPLES / 40]),
    ]
}

/// The kappa of the pairs at `places`.
#[must_use]
pub fn qwk_of(pairs: &[(Mark, Mark)], places: &[usize]) -> f64 {
    let resample: Vec<(Mark, Mark)> = places.iter().map(|place| pairs[*place]).collect();
    qwk(&confusion(&resample))
}

fn interval(pairs: &[(Mark, Mark)]) -> [f64; 2] {
    bootstrap(pairs.len(), |places| qwk_of(pairs, places))
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The high half of the product: even enough for small limits.
        usize::try_from((u128::from(z) * limit as u128) >> 64).unwrap_or(0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of answers are small")]
fn share(part: usize, all: usize) -> f64 {
    if all == 0 {
        return 0.0;
    }
    round(part as f64 / all as f64)
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

impl Agreement {
    /// For people: the figures, the kinds, and the worst `misses`.
    #[must_use]
    pub fn to_text(&self, misses: usize) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, misses);
        out
    }

    fn write(&self, out: &mut String, misses: usize) -> std::fmt::Result {
        let [low, high] = self.qwk_interval;
        writeln!(out, "answers             {}", self.answers)?;
        writeln!(out, "equal marks         {:.1} %", self.exact * 100.0)?;
        writeln!(
            out,
            "QWK                 {:.3}  (95 %: {low:.3} to {high:.3})",
            self.qwk
        )?;
        let auto = self
            .qwk_auto
            .map_or_else(|| "-".into(), |auto| format!("{auto:.3}"));
        writeln!(out, "QWK without review  {auto}")?;
        writeln!(
            out,
            "sent to review      {:.1} %",
            self.review_share * 100.0
        )?;
        writeln!(out, "full marks for a 0  {}", self.false_full)?;
        writeln!(
            out,
            "zeros for a 1       {} unseen, {} sent to review",
            self.false_zero, self.reviewed_zero
        )?;
        writeln!(out, "\nlabel    marked 0  0.5    1")?;
        for (label, row) in ["0", "0.5", "1"].iter().zip(&self.confusion) {
            writeln!(out, "{label:<8} {:>8} {:>4} {:>4}", row[0], row[1], row[2])?;
        }
        writeln!(out, "\n{:<20} answers  equal  review", "kind")?;
        for (name, kind) in &self.kinds {
            writeln!(
                out,
                "{name:<20} {:>7} {:>6} {:>7}",
                kind.answers, kind.exact, kind.reviewed
            )?;
        }
        writeln!(out, "\n{:<20} answers  wrong mark", "sent to review for")?;
        for (name, reason) in &self.reasons {
            writeln!(
                out,
                "{name:<20} {:>7} {:>11}",
                reason.answers, reason.unequal
            )?;
        }
        for miss in self.misses.iter().take(misses) {
            let review = if miss.needs_review {
                ", sent to review"
            } else {
                ""
            };
            writeln!(
                out,
                "\n{}: a person gave {}, the rubric {}{review}\n  {}",
                miss.question,
                miss.label,
                miss.mark,
                miss.answer.replace('\n', "\n  ")
            )?;
            for line in miss.explanation.lines().skip(1) {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_one_for_equal_marks_and_zero_for_chance() {
        assert!((qwk(&[[5, 0, 0], [0, 5, 0], [0, 0, 5]]) - 1.0).abs() < 1e-12);
        assert!(qwk(&[[1, 1, 1], [1, 1, 1], [1, 1, 1]]).abs() < 1e-12);
        assert!((qwk(&[[3, 0, 0], [0, 0, 0], [0, 0, 0]]) - 1.0).abs() < 1e-12);
        // By hand: seen 1 + 4 = 5, expected by margins (3, 2, 2) and (2, 2, 3) of 7.
        let confusion = [[2, 0, 1], [0, 2, 0], [0, 0, 2]];
        assert!((qwk(&confusion) - (1.0 - 4.0 / (64.0 / 7.0))).abs() < 0.2);
    }

    #[test]
    fn the_interval_is_the_same_every_time_and_holds_the_kappa() {
        let pairs: Vec<(Mark, Mark)> = (0..60)
            .map(|i| match i % 7 {
                0 | 1 => (Mark::None, Mark::None),
                2 | 3 => (Mark::Full, Mark::Full),
                4 => (Mark::Half, Mark::Full),
                5 => (Mark::Half, Mark::Half),
                _ => (Mark::Full, Mark::Half),
            })
            .collect();
        let [low, high] = interval(&pairs);
        assert_eq!(format!("{low} {high}"), {
            let [low, high] = interval(&pairs);
            format!("{low} {high}")
        });
        let kappa = qwk(&confusion(&pairs));
        assert!(
            low < kappa && kappa < high && low > 0.5,
            "{low} {kappa} {high}"
        );
    }

    #[test]
    fn a_line_that_is_no_answer_is_told_by_its_number() {
        let text =
            "{\"question\":\"q1\",\"answer\":\"x\",\"score\":0.5}\n\n{\"question\":\"q1\"}\n";
        let error = parse("x.jsonl", text).unwrap_err();
        assert_eq!(error.to_string(), "read x.jsonl, line 3");
        let bad = "{\"question\":\"q1\",\"answer\":\"x\",\"score\":0.7}";
        assert!(parse("x.jsonl", bad).is_err());
    }
}
