//! ANSWERS.md as its questions: what a learner wrote under each heading, and the Results table.
//!
//! Pure. Whatever a real learner does to such a file must still parse, so this is a scan over lines
//! and no Markdown parser: a deleted or unclosed fence swallows nothing, and no nesting can cost
//! more than one look at each line. Nothing here judges.

use std::collections::{BTreeMap, BTreeSet};

/// The most characters of one answer that are kept. More is told by [`Answer::cut`].
pub const MAX_ANSWER_CHARS: usize = 20_000;

/// What a learner wrote to one question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Without fence lines, comments, and lines of the template. Line breaks are as in the file, so
    /// line `n` of this text is line `line + n` of the file, unless the question was there twice.
    pub text: String,
    /// Line of the text's start in the file, from 1; the heading's line when the text is empty.
    pub line: usize,
    /// Whether the text was longer than [`MAX_ANSWER_CHARS`].
    pub cut: bool,
}

/// The table under `## Results`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultsTable {
    /// Line of its first row in the file, from 1.
    pub line: usize,
    /// Its rows, the header first, the line of dashes left out. Cells are trimmed; rows may differ
    /// in length.
    pub rows: Vec<Vec<String>>,
}

/// ANSWERS.md, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// By the question's id in lower case. A question without a heading is missing here.
    pub questions: BTreeMap<String, Answer>,
    /// The Results table, when there is one.
    pub results: Option<ResultsTable>,
}

/// Takes ANSWERS.md apart. Lines that `template` holds under the same heading are the exercise's
/// and not the learner's, and are left out.
#[must_use]
pub fn parse(text: &str, template: &str) -> Answers {
    let given = sections(template);
    let mut answers = Answers::default();
    for (place, section) in sections(text) {
        match place {
            Place::Before => {}
            Place::Question(id) => {
                let known = given.get(&Place::Question(id.clone()));
                answers.questions.insert(id, answer(&section, known));
            }
            Place::Results => answers.results = table(&section),
        }
    }
    answers
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Before,
    Question(String),
    Results,
}

/// Lines with their numbers, from 1; and the numbers of their headings.
#[derive(Debug, Default)]
struct Section<'a> {
    lines: Vec<(usize, &'a str)>,
    heading: usize,
}

fn sections(text: &str) -> BTreeMap<Place, Section<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let marked: BTreeSet<Place> = text
        .lines()
        .filter_map(|line| heading(line, true))
        .collect();
    let mut sections: BTreeMap<Place, Section<'_>> = BTreeMap::new();
    let mut place = Place::Before;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        let next = heading(line, true)
            // `Q1: …` at the start of a line is a heading only where nothing better is.
            .or_else(|| heading(line, false).filter(|place| !marked.contains(place)));
        if let Some(next) = next {
            place = next;
            let section = sections.entry(place.clone()).or_default();
            if section.heading == 0 {
                section.heading = index + 1;
            }
        } else {
            sections
                .entry(place.clone())
                .or_default()
                .lines
                .push((index + 1, line));
        }
    }
    sections
}

/// The place that a heading opens. With `marked`, only lines that start with `#` are headings.
fn heading(line: &str, marked: bool) -> Option<Place> {
    // A heading longer than this is none; it also bounds the work on hostile lines.
    let line = line.get(..line.len().min(4_000)).unwrap_or("");
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '>' || c == '\u{feff}');
    let rest = if marked {
        line.strip_prefix('#')?.trim_start_matches('#')
    } else {
        line
    };
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`'));
    let lower: String = rest.chars().take(20).collect::<String>().to_lowercase();
    if marked && lower.starts_with("results") {
        return Some(Place::Results);
    }
    let digits = lower
        .strip_prefix("question")
        .or_else(|| lower.strip_prefix('q'))?
        .trim_start_matches([' ', '.', '-']);
    let number: String = digits.chars().take_while(char::is_ascii_digit).collect();
    if number.is_empty() || number.len() > 3 {
        return None;
    }
    let after = digits[number.len()..].chars().next();
    let opens = if marked {
        after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    } else {
        after.is_none_or(|c| matches!(c, '.' | ':' | ')' | '*' | '-'))
    };
    opens.then(|| Place::Question(format!("q{}", number.trim_start_matches('0'))))
}

fn answer(section: &Section<'_>, template: Option<&Section<'_>>) -> Answer {
    let given: BTreeSet<String> = template
        .map(|template| template.lines.iter().map(|(_, line)| bare(line)).collect())
        .unwrap_or_default();
    let mut comment = false;
    let mut kept: Vec<(usize, String)> = Vec::new();
    for (number, line) in &section.lines {
        let line = without_comments(line, &mut comment);
        let bare = bare(&line);
        let drop = is_fence(&line) || (!bare.is_empty() && given.contains(&bare));
        kept.push((*number, if drop { String::new() } else { line }));
    }
    let is_blank = |(_, line): &&(usize, String)| line.trim().is_empty();
    let skipped = kept.iter().take_while(is_blank).count();
    let trailing = kept.iter().rev().take_while(is_blank).count();
    let Some(kept) = kept.get(skipped..kept.len() - trailing.min(kept.len() - skipped)) else {
        return Answer::default();
    };
    let line = kept.first().map_or(section.heading, |(number, _)| *number);
    let lines: Vec<&str> = kept.iter().map(|(_, line)| line.trim_end()).collect();
    let whole = lines.join("\n");
    let end = whole.char_indices().nth(MAX_ANSWER_CHARS).map(|(at, _)| at);
    Answer {
        text: whole[..end.unwrap_or(whole.len())].to_owned(),
        line,
        cut: end.is_some(),
    }
}

/// A line as it is compared with the template's: quote marks, list marks, emphasis and space gone.
fn bare(line: &str) -> String {
    let mut bare = String::new();
    for word in line.split(|c: char| {
        c.is_whitespace() || matches!(c, '>' | '*' | '_' | '`' | '#' | '\u{a0}' | '\u{feff}')
    }) {
        if !word.is_empty() {
            if !bare.is_empty() {
                bare.push(' ');
            }
            bare.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    bare
}

/// The line without HTML comments; `comment` says whether one is open at its start and end.
fn without_comments(line: &str, comment: &mut bool) -> String {
    let mut kept = String::new();
    let mut rest = line;
    loop {
        if *comment {
            let Some(end) = rest.find("-->") else {
                return kept;
            };
            *comment = false;
            rest = &rest[end + 3..];
        }
        let Some(start) = rest.find("<!--") else {
            kept.push_str(rest);
            return kept;
        };
        kept.push_str(&rest[..start]);
        *comment = true;
        rest = &rest[start + 4..];
    }
}

fn is_fence(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '>');
    ["```", "~~~"].iter().any(|fence| {
        line.strip_prefix(fence).is_some_and(|info| {
            let info = info.trim_start_matches(['`', '~']).trim();
            info.len() <= 20 && !info.contains(char::is_whitespace) && !info.contains('`')
        })
    })
}

/// The most rows and cells of a Results table that are read.
const MAX_CELLS: usize = 50;

fn table(section: &Section<'_>) -> Option<ResultsTable> {
    let mut comment = false;
    let mut table = ResultsTable::default();
    for (number, line) in &section.lines {
        let line = without_comments(line, &mut comment);
        if !line.contains('|') || table.rows.len() == MAX_CELLS {
            continue;
        }
        let line = line.trim().trim_start_matches('>').trim();
        let inner = line.strip_prefix('|').unwrap_or(line);
        let inner = inner.strip_suffix('|').unwrap_or(inner);
        let cells: Vec<String> = inner
            .split('|')
            .take(MAX_CELLS)
            .map(|cell| cell.trim().chars().take(200).collect())
            .collect();
        let ruler = cells
            .iter()
            .all(|cell: &String| cell.chars().all(|c| matches!(c, '-' | ':' | ' ' | '—')))
            && cells.iter().any(|cell| cell.contains(['-', '—']));
        // A row of dashes under the header; further down, dashes may be a learner's blank cells.
        if ruler && table.rows.len() <= 1 {
            continue;
        }
        if table.rows.is_empty() {
            table.line = *number;
        }
        table.rows.push(cells);
    }
    (!table.rows.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "# Answers\n\n## Q1. What does it do?\n\n> Say what it does.\n\n```\nYour answer:\n\n```\n\n## Q2. Why?\n\n```\nYour answer:\n\n```\n\n## Results\n\n| | Broken | After pooling | After index |\n|---|---|---|---|\n| Success rate | | | |\n";

    fn text(file: &str, id: &str) -> Option<String> {
        parse(file, TEMPLATE)
            .questions
            .remove(id)
            .map(|answer| answer.text)
    }

    #[test]
    fn an_unfilled_template_is_empty_answers() {
        let answers = parse(TEMPLATE, TEMPLATE);
        assert_eq!(answers.questions.len(), 2);
        assert!(answers.questions.values().all(|a| a.text.is_empty()));
        assert_eq!(answers.results.unwrap().rows.len(), 2);
    }

    #[test]
    fn text_in_beside_and_instead_of_the_fence_is_the_answer() {
        for filled in [
            "## Q1. What does it do?\n```\nYour answer:\na pool\n```\n",
            "## Q1. What does it do?\na pool\n```\nYour answer:\n```\n",
            "## Q1. What does it do?\na pool\n",
            "## Q1. What does it do?\n```\nYour answer:\na pool\n",
            "\u{feff}# q1: What does it do?\r\n```text\r\nYour answer:\r\na pool\r\n```\r\n",
            "#### Q1\n> Say what it does.\n~~~\na pool\n~~~\n<!-- x\ny -->\n",
            "**Q1.** What does it do?\na pool\n",
            "###Question 1) What?\n\na pool",
        ] {
            for tail in ["", "\n## Q2. Why?\n```\nbecause\n```\n"] {
                let file = format!("{filled}{tail}");
                assert_eq!(text(&file, "q1").unwrap(), "a pool", "{file:?}");
                if !tail.is_empty() {
                    assert_eq!(text(&file, "q2").unwrap(), "because", "{file:?}");
                }
            }
        }
    }

    #[test]
    fn lists_code_and_headings_inside_an_answer_stay_in_it() {
        let file = "## Q2. Why?\n1. one\n### Step 1\n```rust\nlet x = 1;\n```\ntwo\n## Q1\nlast\n";
        let answer = text(file, "q2").unwrap();
        assert_eq!(answer, "1. one\n### Step 1\n\nlet x = 1;\n\ntwo");
        assert_eq!(text(file, "q1").unwrap(), "last");
    }

    #[test]
    fn a_question_that_is_there_twice_keeps_both_texts_and_a_missing_one_is_missing() {
        let file = "## Q1\nfirst\n## Q3\nx\n## Q1\nsecond\n";
        assert_eq!(text(file, "q1").unwrap(), "first\nsecond");
        assert_eq!(text(file, "q2"), None);
    }

    #[test]
    fn an_answer_knows_its_line() {
        let file = "# Answers\n\n## Q1. What?\n\n```\nYour answer:\na pool\n```\n## Q2\n";
        let answers = parse(file, TEMPLATE);
        assert_eq!(answers.questions["q1"].line, 7);
        assert_eq!(answers.questions["q2"].line, 9);
    }

    #[test]
    fn a_ragged_results_table_is_read_as_it_is() {
        let file = "## results\n\nmine:\n| |Broken|After pooling|\n|--|--|\n|p99 | 291 ms\nSuccess rate|1 %|100|100|\n";
        let table = parse(file, TEMPLATE).results.unwrap();
        assert_eq!(table.line, 4);
        assert_eq!(table.rows.len(), 3);
        assert_eq!(table.rows[1], ["p99", "291 ms"]);
        assert_eq!(table.rows[2], ["Success rate", "1 %", "100", "100"]);
    }

    #[test]
    fn hostile_text_costs_one_look_at_each_line() {
        let deep = "> ".repeat(100_000);
        let lists: String = (0..100_000).map(|_| "- ").collect();
        for hostile in [
            format!("## Q1\n{deep}a pool"),
            format!("## Q1\n{lists}a pool"),
            format!("## Q1\n{}a pool", "> # ".repeat(100_000)),
            format!("## Q1\na pool{}", "<!--".repeat(100_000)),
            format!("## Q1\na pool{}", "\u{200b}\u{301}".repeat(100_000)),
            "```\n".repeat(200_000),
            "## Q1\n".repeat(150_000),
            format!("## Results\n{}", "|".repeat(500_000)),
            "#".repeat(1_000_000),
        ] {
            let answers = parse(&hostile, TEMPLATE);
            assert!(answers.questions.len() <= 1);
        }
    }
}
