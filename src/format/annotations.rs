//! GitHub annotations: workflow commands that mark lines of a change with what was found.
//!
//! GitHub keeps 10 of a kind for a step and drops the rest without a word, so the last one of a full
//! kind says how many more there are. Musts come first.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;

use anyhow::Result;

use super::escape::{clean_report, one_line, shorten};
use crate::grade::{CriterionGrade, Outcome, Spot, Verdict};
use crate::report::Report;

/// Annotations of one kind that GitHub shows for a step.
pub const MOST: usize = 10;

/// One line a finding. `folder` is the submission's, from the repository's root; empty when it is
/// the root.
pub fn render(report: &Report, folder: &str) -> Result<String> {
    let report = &clean_report(report)?;
    let mut out = String::new();
    for kind in ["error", "warning", "notice"] {
        let all: Vec<Annotation> = annotations(report)
            .into_iter()
            .filter(|annotation| annotation.kind == kind)
            .collect();
        let shown = if all.len() > MOST {
            MOST - 1
        } else {
            all.len()
        };
        for annotation in &all[..shown] {
            annotation.write(&mut out, folder)?;
        }
        if shown < all.len() {
            let rest = Annotation {
                kind,
                title: "There is more".into(),
                at: None,
                text: format!("{} more are in the report.", all.len() - shown),
            };
            rest.write(&mut out, folder)?;
        }
    }
    Ok(out)
}

struct Annotation {
    kind: &'static str,
    title: String,
    at: Option<Spot>,
    text: String,
}

impl Annotation {
    fn write(&self, out: &mut String, folder: &str) -> Result<()> {
        write!(out, "::{} ", self.kind)?;
        if let Some(Spot { file, line }) = &self.at {
            let folder = folder.trim_matches('/');
            let file = match folder {
                "" | "." => file.clone(),
                folder => format!("{folder}/{file}"),
            };
            write!(out, "file={},line={line},", property(&file))?;
        }
        let title = shorten(&one_line(&self.title), 120);
        let text = shorten(&one_line(&self.text), 1000);
        writeln!(out, "title={}::{}", property(&title), data(&text))?;
        Ok(())
    }
}

fn annotations(report: &Report) -> Vec<Annotation> {
    let mut all = vec![Annotation {
        // A machine that failed is the one thing that nobody may take for a grade.
        kind: if report.outcome == Outcome::Ungraded {
            "error"
        } else {
            "notice"
        },
        title: match report.outcome {
            Outcome::Ungraded => "Not graded, no points are lost".into(),
            Outcome::Passed => format!("Passed: {} of {}", report.points, report.max_points),
            Outcome::Failed => {
                format!("Not passed yet: {} of {}", report.points, report.max_points)
            }
        },
        at: None,
        text: report.headline.clone(),
    }];
    let (musts, others): (Vec<_>, Vec<_>) = report.criteria.iter().partition(|c| c.must);
    for criterion in musts.into_iter().chain(others) {
        all.extend(of_criterion(criterion));
    }
    all
}

fn of_criterion(criterion: &CriterionGrade) -> Option<Annotation> {
    let kind = match criterion.verdict {
        Verdict::NotMet if criterion.must => "error",
        Verdict::NotMet | Verdict::PartlyMet | Verdict::Ungraded => "warning",
        Verdict::Met if criterion.needs_review => "notice",
        // What it leans on says it already.
        Verdict::Skipped | Verdict::Met => return None,
    };
    let mut text = match criterion.verdict {
        Verdict::Ungraded => "Not graded, no points are lost. ".to_owned(),
        _ => format!("{} of {} points. ", criterion.points, criterion.max_points),
    };
    if criterion.needs_review {
        text.push_str("A person should look at this. ");
    }
    for part in [&criterion.reason, &criterion.hint].into_iter().flatten() {
        text.push_str(part);
        text.push(' ');
    }
    Some(Annotation {
        kind,
        title: criterion.title.clone(),
        at: criterion.at.clone().or_else(|| {
            // Older reports know the line of an answer alone.
            let answer = criterion.answer.as_ref()?;
            (answer.line > 0).then(|| Spot::in_answers(answer.line))
        }),
        text,
    })
}

/// The text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_annotation_ends_it_or_begins_another() {
        let annotation = Annotation {
            kind: "error",
            title: "a,file=x::b".into(),
            at: Some(Spot {
                file: "a,b:c%.sql".into(),
                line: 3,
            }),
            text: "50 %\n::set-output name=x::y".into(),
        };
        let mut out = String::new();
        annotation.write(&mut out, "one,two/").unwrap();
        assert_eq!(
            out,
            "::error file=one%2Ctwo/a%2Cb%3Ac%25.sql,line=3,title=a%2Cfile=x%3A%3Ab::50 %25 ::set-output name=x::y\n"
        );
    }
}
