//! HTML: one self-contained page for the learner.
//!
//! `page` turns a report into words and figures; `templates/report.html` sets them. The page loads
//! nothing and runs nothing. Tera escapes every value, because the template's name ends in
//! `.html`; only our own SVG is passed as it is.

use anyhow::{Context, Result};
use tera::{Filter, Kwargs, State, Tera};

use super::escape::{clean_report, html};
use super::page::page;
use crate::report::Report;

/// The template that the program carries.
pub const TEMPLATE: &str = include_str!("../../templates/report.html");

const NAME: &str = "report.html";

/// Writes the page with `template`: [`TEMPLATE`], or an author's own.
///
/// # Errors
/// When the template is not one for this page: Tera's message, with its line.
pub fn render(report: &Report, template: &str) -> Result<String> {
    let report = &clean_report(report)?;
    let context = tera::Context::from_serialize(&page(report)).context("lay out the page")?;
    fill(NAME, template, &context)
}

/// Fills in a template that is called `name`, which ends in `.html`.
///
/// # Errors
/// When it is no template, or asks for what is not there.
pub(super) fn fill(name: &str, template: &str, context: &tera::Context) -> Result<String> {
    engine(name, template)?
        .render(name, context)
        .with_context(|| format!("fill in the template {name}"))
}

/// Reads a template without filling it in: an author's mistake is found before anything starts.
///
/// # Errors
/// When it is no template: Tera's message, with its line.
pub fn read(template: &str) -> Result<Tera> {
    engine(NAME, template)
}

fn engine(name: &str, template: &str) -> Result<Tera> {
    let mut tera = Tera::new();
    tera.register_filter("prose", Prose);
    tera.add_raw_template(name, template)
        .with_context(|| format!("read the template {name}"))?;
    Ok(tera)
}

/// The filter `prose`: escapes a text and sets what stands between backticks as code.
struct Prose;

impl Filter<&str, String> for Prose {
    fn call(&self, text: &str, _: Kwargs, _: &State) -> String {
        prose(text)
    }

    fn is_safe(&self) -> bool {
        true
    }
}

fn prose(text: &str) -> String {
    let escaped = html(text);
    let mut set = String::with_capacity(escaped.len());
    let mut rest = escaped.as_str();
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else {
            break;
        };
        set.push_str(before);
        set.push_str("<code>");
        set.push_str(code);
        set.push_str("</code>");
        rest = after;
    }
    set.push_str(rest);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code_and_markup_stays_text() {
        assert_eq!(prose("run `a <b>` now"), "run <code>a &lt;b&gt;</code> now");
        assert_eq!(prose("one ` alone"), "one ` alone");
    }
}
