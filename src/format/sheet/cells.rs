//! The cells of a CSV text with the place of each, so that one can be replaced and no other byte is
//! touched. Stricter than readers are: what could be read in two ways is an error.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Where it stands, quotes included.
    pub place: Range<usize>,
    /// What it says.
    pub text: String,
    /// Whether it stands in quotes.
    pub is_quoted: bool,
}

impl Cell {
    /// Whether a spreadsheet would take it for a formula (OWASP, "CSV Injection"). A number is none,
    /// and neither is the `-` of an empty one.
    #[must_use]
    pub fn is_formula(&self) -> bool {
        let text = self.text.trim_start_matches(' ');
        let begins = text.starts_with(['=', '+', '-', '@', '\t', '＝', '＋', '－', '＠']);
        begins && text != "-" && super::number(text).is_none()
    }
}

/// One record that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line in which it begins, from 1.
    pub line: usize,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// What parts them.
    pub delimiter: u8,
}

/// Reads a whole sheet. What parts its cells is what its first line has most of: commas, semicolons
/// or tabs.
///
/// # Errors
/// When quotes are wrong or it is empty.
pub fn scan(source: &str, text: &str) -> Result<Vec<Record>> {
    let begin = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let heading = text[begin..].lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|delimiter| {
            let count = heading.bytes().filter(|byte| byte == delimiter).count();
            (count, *delimiter == b',')
        })
        .unwrap_or(b',');
    let mut scanner = Scanner {
        source,
        text,
        at: begin,
        line: 1,
        delimiter,
    };
    let mut records = Vec::new();
    while scanner.at < text.len() {
        let record = scanner.record()?;
        if record.cells.iter().any(|cell| !cell.text.trim().is_empty()) {
            records.push(record);
        }
    }
    ensure!(!records.is_empty(), "{source} is empty");
    Ok(records)
}

/// The text with other words in some of its cells.
#[must_use]
pub fn replaced(text: &str, mut edits: Vec<(&Cell, String)>) -> String {
    edits.sort_by_key(|(cell, _)| cell.place.start);
    let mut out = String::with_capacity(text.len() + edits.len() * 8);
    let mut at = 0;
    for (cell, words) in edits {
        out.push_str(&text[at..cell.place.start]);
        out.push_str(&words);
        at = cell.place.end;
    }
    out.push_str(&text[at..]);
    out
}

struct Scanner<'a> {
    source: &'a str,
    text: &'a str,
    at: usize,
    line: usize,
    delimiter: u8,
}

impl Scanner<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn record(&mut self) -> Result<Record> {
        let mut record = Record {
            line: self.line,
            cells: Vec::new(),
            delimiter: self.delimiter,
        };
        loop {
            let cell = self.cell()?;
            record.cells.push(cell);
            match self.byte() {
                Some(byte) if byte == self.delimiter => self.at += 1,
                Some(b'\r') => {
                    self.at += 1;
                    if self.byte() == Some(b'\n') {
                        self.at += 1;
                    }
                    break;
                }
                Some(_) => {
                    self.at += 1;
                    break;
                }
                None => break,
            }
        }
        self.line += 1;
        Ok(record)
    }

    fn cell(&mut self) -> Result<Cell> {
        let start = self.at;
        if self.byte() == Some(b'"') {
            return self.quoted();
        }
        while let Some(byte) = self.byte() {
            match byte {
                b'\r' | b'\n' => break,
                byte if byte == self.delimiter => break,
                _ => self.at += 1,
            }
        }
        Ok(Cell {
            place: start..self.at,
            text: self.text[start..self.at].to_owned(),
            is_quoted: false,
        })
    }

    fn quoted(&mut self) -> Result<Cell> {
        let (start, line) = (self.at, self.line);
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(length) = self.text[self.at..].find('"') else {
                bail!("{}:{line}: a quote is opened and not closed", self.source);
            };
            let part = &self.text[self.at..self.at + length];
            self.line += part.matches('\n').count();
            text.push_str(part);
            self.at += length + 1;
            if self.byte() != Some(b'"') {
                break;
            }
            text.push('"');
            self.at += 1;
        }
        let ends = self
            .byte()
            .is_none_or(|byte| byte == self.delimiter || matches!(byte, b'\r' | b'\n'));
        ensure!(
            ends,
            "{}:{}: something stands behind a closing quote",
            self.source,
            self.line
        );
        Ok(Cell {
            place: start..self.at,
            text,
            is_quoted: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn cells_are_what_the_csv_reader_reads(
            rows in proptest::collection::vec(
                proptest::collection::vec("[a\",;\n\r é=]{0,6}", 2..4), 1..5),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let Ok(records) = scan("x.csv", &text) else {
                // Nothing but blanks, or a first line with more of another delimiter.
                return Ok(());
            };
            proptest::prop_assume!(records[0].delimiter == b',');
            let read: Vec<Vec<String>> = records
                .iter()
                .map(|record| record.cells.iter().map(|cell| cell.text.clone()).collect())
                .collect();
            let mut reader = csv::ReaderBuilder::new()
                .flexible(true)
                .has_headers(false)
                .from_reader(text.as_bytes());
            let wanted: Vec<Vec<String>> = reader
                .records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
                .filter(|cells| cells.iter().any(|cell| !cell.trim().is_empty()))
                .collect();
            proptest::prop_assert_eq!(read, wanted);
        }
    }

    #[test]
    fn one_cell_is_replaced_and_no_other_byte() {
        let text = "\u{feff}a;\"b \"\"x\"\"\";c\r\n\r\n1;\"2\n2\";3\r";
        let records = scan("x.csv", text).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].line, records[1].line), (1, 3));
        assert_eq!(records[0].cells[1].text, "b \"x\"");
        let cell = &records[1].cells[1];
        assert_eq!(
            replaced(text, vec![(cell, "9".into())]),
            "\u{feff}a;\"b \"\"x\"\"\";c\r\n\r\n1;9;3\r"
        );
    }

    #[test]
    fn wrong_quotes_are_told_with_their_line() {
        for (text, says) in [
            ("a,b\n\"c,d\n", "x.csv:2: a quote is opened"),
            ("a,b\n\"c\"d,e\n", "x.csv:2: something stands behind"),
            ("", "x.csv is empty"),
            ("\u{feff}\r\n,,\r\n", "x.csv is empty"),
        ] {
            let error = scan("x.csv", text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn formulas_are_told_from_numbers() {
        let is_formula =
            |text: &str| scan("x", &format!("\"{text}\",x")).unwrap()[0].cells[0].is_formula();
        for text in ["=1+1", "@x", "+x", "-x", " =1", "\t=1"] {
            assert!(is_formula(text), "{text:?}");
        }
        for text in ["-", "-1.5", "+3", "Ann", "'=1"] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
