//! What `feedgrade exercise check` tells: a line a specimen, or after many runs, which verdicts changed.

use std::fmt::Write as _;

use crate::authoring::{Flips, Proof, Specimen};

/// A line for each specimen. Whether all got what they must get.
pub(super) fn table(text: &mut String, specimens: &[Specimen], proofs: &[Vec<Proof>]) -> bool {
    let width = width(specimens);
    let mut wrong = 0;
    for (specimen, proof) in specimens
        .iter()
        .zip(proofs)
        .filter_map(|(specimen, proofs)| Some((specimen, proofs.first()?)))
    {
        wrong += usize::from(!proof.differences.is_empty());
        let _ = writeln!(
            text,
            "{} {:width$}  {:3} of {} points  {:4.0} s  {}",
            if proof.differences.is_empty() {
                "ok  "
            } else {
                "FAIL"
            },
            specimen.name,
            proof.grade.points,
            proof.grade.max_points,
            proof.seconds,
            specimen.expected.proves
        );
        for difference in &proof.differences {
            let _ = writeln!(text, "     {difference}");
        }
    }
    let _ = match wrong {
        0 => writeln!(
            text,
            "\nAll {} got exactly what they must get.",
            specimens.len()
        ),
        wrong => writeln!(
            text,
            "\n{wrong} of {} got something else than they must get.",
            specimens.len()
        ),
    };
    wrong == 0
}

/// How often verdicts changed. Whether none did; what the machine could not tell is no change.
pub(super) fn flips(text: &mut String, specimens: &[Specimen], proofs: &[Vec<Proof>]) -> bool {
    let width = width(specimens);
    let _ = writeln!(
        text,
        "{:width$}  {:>5}  {:>8}  {:>8}  {:>7}  {:>8}  {:>12}",
        "", "runs", "verdicts", "too good", "too bad", "ungraded", "median time"
    );
    let mut total = Flips::default();
    for (specimen, proofs) in specimens.iter().zip(proofs) {
        let mut flips = Flips::default();
        for proof in proofs {
            flips.add(&specimen.expected, &proof.grade);
        }
        let mut seconds: Vec<f64> = proofs.iter().map(|proof| proof.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let _ = writeln!(
            text,
            "{:width$}  {:>5}  {:>8}  {:>8}  {:>7}  {:>8}  {:>10.0} s",
            specimen.name,
            proofs.len(),
            flips.verdicts,
            flips.too_good,
            flips.too_bad,
            flips.ungraded,
            seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
        );
        for ((criterion, verdict), (count, why)) in &flips.unexpected {
            let _ = writeln!(
                text,
                "{:width$}  {criterion}: {count} of {} times {verdict:?} instead of {:?}; the last \
                 time: {why}",
                "",
                proofs.len(),
                specimen.expected.of(criterion)
            );
        }
        total.verdicts += flips.verdicts;
        total.too_good += flips.too_good;
        total.too_bad += flips.too_bad;
        total.ungraded += flips.ungraded;
    }
    let changed = total.too_good + total.too_bad;
    #[expect(clippy::cast_precision_loss, reason = "verdicts are few")]
    let share = total.ungraded as f64 * 100.0 / total.verdicts.max(1) as f64;
    let _ = writeln!(
        text,
        "\n{changed} of {} verdicts were other than they must be: {} too good, {} too bad. {} could \
         not be told ({share:.1} %).",
        total.verdicts, total.too_good, total.too_bad, total.ungraded
    );
    changed == 0
}

fn width(specimens: &[Specimen]) -> usize {
    specimens
        .iter()
        .map(|specimen| specimen.name.len())
        .max()
        .unwrap_or(0)
}
