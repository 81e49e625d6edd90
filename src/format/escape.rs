//! Escaping: makes text that a learner controls harmless before it is shown.
//!
//! Two steps. [`clean`] is for every display: terminal sequences and invisible controls go. Then
//! each format escapes for its own syntax. JSON is not cleaned but escaped, so that it stays true.

use anyhow::{Context, Result};
use serde_json::Value;
use unicode_width::UnicodeWidthChar;

use crate::report::Report;

/// A copy of `report` in which every string is [`clean`].
///
/// # Errors
/// When the report does not survive JSON, which its numbers always do when they are finite.
pub fn clean_report(report: &Report) -> Result<Report> {
    let mut value = serde_json::to_value(report).context("write the report as JSON")?;
    clean_value(&mut value);
    serde_json::from_value(value).context("read the report back from JSON")
}

/// Makes every string in a value [`clean`].
pub fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text),
        Value::Array(values) => values.iter_mut().for_each(clean_value),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    clean_value(&mut value);
                    (clean(&key), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Terminal sequences removed, other control characters shown as their picture, marks that turn
/// the direction of text named, line ends unified. Line feeds and tabs stay.
#[must_use]
pub fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let stripped = anstream::adapter::strip_str(&text).to_string();
    let mut clean = String::with_capacity(stripped.len());
    for c in stripped.chars() {
        match c {
            '\n' | '\t' => clean.push(c),
            '\r' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\0'..='\u{1f}' => clean.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => clean.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => clean.push('\u{fffd}'),
            // Invisible and without effect on their own.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => {}
            // Overrides and isolates reorder what stands around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                push(&mut clean, format_args!("[U+{:04X}]", u32::from(c)));
            }
            _ => clean.push(c),
        }
    }
    clean
}

/// All white space, line ends included, as single spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `columns` terminal columns; an ellipsis shows what was cut.
#[must_use]
pub fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        short.push(c);
    }
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// Terminal columns.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The first `lines` lines; a last line says how many more there are.
#[must_use]
pub fn first_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    if all.len() <= lines {
        return all.join("\n");
    }
    let first = all[..lines].join("\n");
    format!("{}\n… {} more lines", first.trim_end(), all.len() - lines)
}

/// For HTML and SVG, in text and in attributes that are quoted.
#[must_use]
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// One line for GitHub's Markdown, table cells included: no markup, link, mention or formula.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            // A mention is looked for after entities are resolved, so it is broken up.
            '@' => escaped.push_str("@&#8203;"),
            '&' | '<' | '>' | '"' | '|' | '`' | '\\' | '*' | '_' | '[' | ']' | '~' | '#' | '$'
            | '{' | '}' => push(&mut escaped, format_args!("&#{};", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
}

/// A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection").
#[must_use]
pub fn csv(text: &str) -> String {
    let text = one_line_keeping_start(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text
    }
}

fn one_line_keeping_start(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// JSON in which control characters and direction marks stand as `\u` escapes: the same values,
/// harmless on a terminal. Such characters can only be inside strings.
#[must_use]
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => push(&mut escaped, format_args!("\\u{:04x}", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = std::fmt::Write::write_fmt(text, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_go_and_other_controls_are_shown() {
        assert_eq!(clean("a\u{1b}[31mred\u{1b}[0m\r\nb\tc"), "ared\nb\tc");
        assert_eq!(clean("\u{1b}]0;title\u{7}x"), "x");
        assert_eq!(clean("no\u{202e}txt"), "no[U+202E]txt");
        assert!(
            clean("\0\u{8}\u{7f}\u{85}\u{9b}31m\u{ffff}")
                .chars()
                .all(|c| !c.is_control())
        );
    }

    #[test]
    fn a_long_line_is_cut_at_its_width() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(width(&shorten("漢字漢字漢字", 6)), 5);
        assert_eq!(first_lines("a\nb\nc\n", 2), "a\nb\n… 1 more lines");
    }

    #[test]
    fn markdown_of_a_learner_is_text() {
        let escaped = markdown("<b>|`*x*` [a](http://x) @team\n#1 www.x.org");
        for markup in ["<", "|", "`", "*", "[", "://", "@t", "\n", " #1", "www."] {
            assert!(!escaped.contains(markup), "{markup} in {escaped}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"] {
            assert!(csv(cell).starts_with(['\'', ' ']), "{cell:?}");
        }
        assert_eq!(csv("plain"), "plain");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text = serde_json::to_string("a\u{9b}31m\u{202e}b").unwrap();
        let escaped = json(&text);
        assert!(escaped.is_ascii());
        let (before, after): (String, String) = (
            serde_json::from_str(&text).unwrap(),
            serde_json::from_str(&escaped).unwrap(),
        );
        assert_eq!(before, after);
    }
}
