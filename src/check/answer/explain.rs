//! Explaining a mark: which words earned it by which pattern. For authors, never for learners.

use std::fmt::Write as _;

use super::judged::{Found, Judged};

/// The explanation as text, one line a fact.
#[must_use]
pub fn explain(judged: &Judged) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_explanation(&mut out, judged);
    out
}

fn write_explanation(out: &mut String, judged: &Judged) -> std::fmt::Result {
    writeln!(out, "{}: {}", judged.question, judged.mark.text())?;
    if let Some(gate) = judged.gate {
        writeln!(out, "  stopped at the gate “{}”", gate.name())?;
    }
    for idea in &judged.ideas {
        match &idea.found {
            Some(found) => {
                let more = match idea.hits.0 {
                    0 | 1 => String::new(),
                    hits => format!(", and {} more", hits - 1),
                };
                writeln!(out, "  + {}: {}{more}", idea.id, place(found))?;
            }
            None => writeln!(out, "  - {}", idea.id)?,
        }
        if let Some(denied) = &idea.denied {
            writeln!(out, "    denied: {}", place(denied))?;
        }
    }
    for wrong in &judged.misconceptions {
        let cap = wrong.cap.text();
        writeln!(
            out,
            "  ! {} (at most {cap}): {}",
            wrong.id,
            place(&wrong.found)
        )?;
    }
    for (typo, meant) in &judged.corrections {
        writeln!(out, "  “{typo}” was read as “{meant}”")?;
    }
    for review in &judged.reviews {
        writeln!(
            out,
            "  ask a person ({}): {}",
            review.name(),
            review.sentence()
        )?;
    }
    Ok(())
}

fn place(found: &Found) -> String {
    let weak = if found.weak {
        "weak pattern"
    } else {
        "pattern"
    };
    format!(
        "“{}” at {}..{} by the {weak} `{}`",
        found.quote, found.span.0, found.span.1, found.pattern
    )
}
