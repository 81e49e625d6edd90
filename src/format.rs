//! Formats: ways to write a report. Each is a pure function of [`Report`].
//!
//! A format touches no file, clock or network, and never prints. What learners wrote reaches it as
//! it was written, so [`render`] passes every display format a copy in which control characters
//! are visible or gone; each format then escapes for its own syntax.
//!
//! To add one: a file in `format/`, a variant of [`Format`], an arm in each `match`. The flag, its
//! help and the test that loops over all formats follow.

pub mod escape;
pub mod figure;
pub mod columns;
pub mod measured;
pub mod plan;
pub mod plot;
pub mod chart;
pub mod text;
pub mod page;
pub mod html;
pub mod json;
pub mod told;
pub mod junit;
pub mod markdown;
pub mod csv;
pub mod annotations;
pub mod gradescope;
pub mod prairielearn;
pub mod classroom;
pub mod classroom50;
pub mod class;
pub mod sheet;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::report::Report;

/// A way to write reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `report.json`, by its schema.
    Json,
    /// One self-contained page.
    Html,
    /// `JUnit` XML for CI.
    Junit,
    /// Markdown for a step summary.
    Markdown,
    /// One row for a table of marks.
    Csv,
    /// The summary that `check` prints.
    Text,
    /// GitHub's annotations.
    Annotations,
    /// Gradescope's `results.json`.
    Gradescope,
    /// `PrairieLearn`'s `results.json`.
    PrairieLearn,
    /// The step output of GitHub Classroom's graders.
    Classroom,
    /// Classroom 50's `result.json`.
    Classroom50,
}

impl Format {
    /// Every format, in the order of the help.
    pub const ALL: [Self; 11] = [
        Self::Json,
        Self::Html,
        Self::Junit,
        Self::Markdown,
        Self::Csv,
        Self::Text,
        Self::Annotations,
        Self::Gradescope,
        Self::PrairieLearn,
        Self::Classroom,
        Self::Classroom50,
    ];

    /// What `--write` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Csv => "csv",
            Self::Text => "text",
            Self::Annotations => "annotations",
            Self::Gradescope => "gradescope",
            Self::PrairieLearn => "prairielearn",
            Self::Classroom => "classroom",
            Self::Classroom50 => "classroom50",
        }
    }

    /// The usual end of its file names, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json | Self::Gradescope | Self::PrairieLearn | Self::Classroom50 => "json",
            Self::Html => "html",
            Self::Junit => "xml",
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Text | Self::Annotations => "txt",
            Self::Classroom => "b64",
        }
    }

    /// All names in one line, for help and errors.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|format| format.name() == name) {
            Some(format) => Ok(format),
            None => bail!("there is no format `{name}`: take one of {}", Self::names()),
        }
    }
}

/// What some formats need besides the report.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// An author's own template for the page.
    pub template: Option<String>,
    /// The submission's folder from the repository's root, for annotations; empty when it is the
    /// root.
    pub folder: String,
    /// Variables of the grader that runs this program ([`classroom50::VARIABLES`]).
    pub variables: BTreeMap<String, String>,
}

/// Writes `report` in `format`; `template` is an author's own for the page.
///
/// # Errors
/// As [`render_in`].
pub fn render(format: Format, report: &Report, template: Option<&str>) -> Result<String> {
    let around = Around {
        template: template.map(str::to_owned),
        ..Around::default()
    };
    render_in(format, report, &around)
}

/// Writes `report` in `format`, with what is around it.
///
/// # Errors
/// When the template is not one for this page, a format's own library refuses, or the variables
/// that a format needs are missing.
pub fn render_in(format: Format, report: &Report, around: &Around) -> Result<String> {
    let template = around.template.as_deref();
    match format {
        Format::Json => json::render(report),
        Format::Html => html::render(report, template.unwrap_or(html::TEMPLATE)),
        Format::Junit => junit::render(report),
        Format::Markdown => markdown::render(report),
        Format::Csv => csv::render(&[report]),
        Format::Text => text::render(report),
        Format::Annotations => annotations::render(report, &around.folder),
        Format::Gradescope => gradescope::render(report),
        Format::PrairieLearn => prairielearn::render(report),
        Format::Classroom => classroom::render(report),
        Format::Classroom50 => classroom50::render(report, &around.variables),
    }
}

/// One `--write FORMAT=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How to write.
    pub format: Format,
    /// Where to.
    pub to: Target,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `-`
    Stdout,
    /// A file, as it was typed.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((format, path)) = text.split_once('=') else {
            bail!(
                "`{text}` names no path: write FORMAT=PATH, for example html=report.html, or \
                 json=- for stdout"
            );
        };
        let format: Format = format.parse()?;
        let to = match path {
            "" => bail!("`{text}` names no path: write {format}=PATH, or {format}=- for stdout"),
            "-" => Target::Stdout,
            path => Target::File(PathBuf::from(path)),
        };
        Ok(Self { format, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_format_and_a_place() {
        let output: Output = "html=out/a=b.html".parse().unwrap();
        assert_eq!(output.format, Format::Html);
        assert_eq!(output.to, Target::File("out/a=b.html".into()));
        let output: Output = "json=-".parse().unwrap();
        assert_eq!(output.to, Target::Stdout);
    }

    #[test]
    fn a_wrong_output_says_the_way_out() {
        for (wrong, way_out) in [
            ("report.html", "write FORMAT=PATH"),
            ("html=", "html=- for stdout"),
            ("pdf=x.pdf", "take one of json, html, junit"),
        ] {
            let error = wrong.parse::<Output>().unwrap_err().to_string();
            assert!(error.contains(way_out), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn every_format_is_found_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
    }
}
