//! SQL files, cut into statements as `psql` cuts them. Pure: reads no files and knows no database.
//!
//! Quotes, `E''` strings, dollar quotes, nested comments, parentheses and `BEGIN ATOMIC` bodies
//! hide semicolons, by the rules of psql's own lexer
//! (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/fe_utils/psqlscan.l>). What is
//! left open at the end of the file is a statement all the same: the database says best what is
//! wrong with it. Commands of psql itself are refused, and its variables are not replaced.

/// One statement of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// From its first word to its last character, without the semicolon.
    pub sql: &'a str,
    /// The line on which it starts, from 1.
    pub line: usize,
}

/// Why a script cannot be cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, from 1.
    pub line: usize,
    /// That line's text.
    pub text: String,
    /// One sentence for its author.
    pub why: String,
}

/// Cuts a script into statements, in order. Empty statements are left out.
///
/// # Errors
/// At the first command of psql, the first `COPY` that would talk to psql, or the first NUL byte.
pub fn split(script: &str) -> Result<Vec<Statement<'_>>, Unreadable> {
    let start = if script.starts_with('\u{feff}') { 3 } else { 0 };
    let mut scanner = Scanner {
        script,
        bytes: script.as_bytes(),
        at: start,
        line: 1,
        open: None,
        depth: 0,
        words: Words::default(),
        statements: Vec::new(),
    };
    scanner.scan()?;
    Ok(scanner.statements)
}

struct Scanner<'a> {
    script: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// Where the statement that is being read started: offset and line.
    open: Option<(usize, usize)>,
    /// Parentheses that are open.
    depth: usize,
    words: Words,
    statements: Vec<Statement<'a>>,
}

/// What the words of a statement say about it, as far as its end depends on them.
#[derive(Default)]
struct Words {
    seen: usize,
    is_copy: bool,
    /// First letters of the leading `CREATE`, `OR`, `REPLACE`, `FUNCTION`, `PROCEDURE`.
    leading: Vec<u8>,
    /// `BEGIN` and `CASE` that wait for their `END` in the body of a function.
    begins: usize,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), Unreadable> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => self.advance(1),
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => self.skip_line(),
                b'/' if self.peek(1) == Some(b'*') => self.skip_comment(),
                b';' if self.depth == 0 && self.words.begins == 0 => {
                    self.finish();
                    self.at += 1;
                }
                0 => return Err(self.unreadable("The file holds a NUL byte, so it is not text.")),
                b'\\' => {
                    let command: String = self.script[self.at..]
                        .chars()
                        .take_while(|c| !c.is_whitespace())
                        .take(20)
                        .collect();
                    return Err(self.unreadable(&format!(
                        "`{command}` is a command of psql, not SQL. Migrations are run without \
                         psql: write it in SQL."
                    )));
                }
                _ => self.token(byte)?,
            }
        }
        self.finish();
        Ok(())
    }

    fn token(&mut self, byte: u8) -> Result<(), Unreadable> {
        self.begin();
        match byte {
            b'\'' => self.skip_quoted(b'\'', false),
            b'"' => self.skip_quoted(b'"', false),
            b'$' => self.skip_dollar(),
            b'(' => {
                self.depth += 1;
                self.at += 1;
            }
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            b'0'..=b'9' => self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_'),
            _ if starts_word(byte) => self.word()?,
            _ => self.at += 1,
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        self.skip_while(|b| starts_word(b) || b.is_ascii_digit() || b == b'$');
        let word = &self.script[start..self.at];
        if word.eq_ignore_ascii_case("e") && self.peek(0) == Some(b'\'') {
            self.skip_quoted(b'\'', true);
            return Ok(());
        }
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        if self.words.seen == 0 {
            self.words.is_copy = is("copy");
        } else if self.words.is_copy && self.depth == 0 && (is("stdin") || is("stdout")) {
            return Err(self.unreadable(
                "COPY from or to psql does not work here: use INSERT, which needs no psql.",
            ));
        }
        let leads = ["create", "or", "replace", "function", "procedure"];
        if self.words.seen == self.words.leading.len() && leads.iter().any(|lead| is(lead)) {
            self.words
                .leading
                .push(word.as_bytes()[0].to_ascii_lowercase());
        }
        self.words.seen += 1;
        let makes_routine = matches!(
            self.words.leading.as_slice(),
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p', ..]
        );
        if makes_routine && self.depth == 0 {
            if is("begin") || (is("case") && self.words.begins > 0) {
                self.words.begins += 1;
            } else if is("end") {
                self.words.begins = self.words.begins.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Goes forward over `count` bytes, and counts the lines among them.
    fn advance(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.line += self.bytes[self.at..end].split(|b| *b == b'\n').count() - 1;
        self.at = end;
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.advance(1);
        }
    }

    fn skip_line(&mut self) {
        self.skip_while(|b| b != b'\n' && b != b'\r');
    }

    fn skip_comment(&mut self) {
        let (start, line) = (self.at, self.line);
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => depth += 1,
                (Some(b'*'), Some(b'/')) => depth -= 1,
                _ => {
                    self.advance(1);
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
        // Never closed: the database shall say so, even when there is nothing else.
        self.open.get_or_insert((start, line));
    }

    fn skip_quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            if byte == quote && self.peek(1) == Some(quote) || escapes && byte == b'\\' {
                self.advance(2);
            } else if byte == quote {
                self.at += 1;
                if !(escapes && self.continues()) {
                    return;
                }
            } else {
                self.advance(1);
            }
        }
    }

    /// A string goes on behind white space that holds a line end, in the same kind of quotes.
    fn continues(&mut self) -> bool {
        let rest = &self.script[self.at..];
        let space = rest.len() - rest.trim_ascii_start().len();
        if rest[..space].contains('\n') && rest[space..].starts_with('\'') {
            self.advance(space + 1);
            return true;
        }
        false
    }

    fn skip_dollar(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let tag = rest
            .iter()
            .enumerate()
            .take_while(|(n, b)| starts_word(**b) || (*n > 0 && b.is_ascii_digit()))
            .count();
        if rest.get(tag) != Some(&b'$') {
            self.at += 1;
            return;
        }
        let delimiter = &self.script[self.at..self.at + tag + 2];
        let body = &self.script[self.at + delimiter.len()..];
        let length = body
            .find(delimiter)
            .map_or(body.len(), |end| end + delimiter.len());
        self.advance(delimiter.len() + length);
    }

    fn begin(&mut self) {
        if self.open.is_none() {
            self.open = Some((self.at, self.line));
            self.words = Words::default();
            self.depth = 0;
        }
    }

    fn finish(&mut self) {
        if let Some((start, line)) = self.open.take() {
            let sql = self.script[start..self.at].trim_end();
            self.statements.push(Statement { sql, line });
        }
        self.words = Words::default();
        self.depth = 0;
    }

    fn unreadable(&self, why: &str) -> Unreadable {
        Unreadable {
            line: self.line,
            text: self
                .script
                .trim_start_matches('\u{feff}')
                .split('\n')
                .nth(self.line - 1)
                .unwrap_or_default()
                .trim()
                .replace('\0', "\u{fffd}"),
            why: why.into(),
        }
    }
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statements(script: &str) -> Vec<&str> {
        split(script).unwrap().into_iter().map(|s| s.sql).collect()
    }

    #[test]
    fn semicolons_inside_quotes_comments_and_parentheses_end_nothing() {
        for one in [
            "SELECT ';', 'it''s;', E'a\\';b', U&'d;', \";\", \"a\"\";\"",
            "SELECT $$;$$, $a$;$$;$a$, $ü1$;$ü1$",
            "SELECT 1 /* ; /* ; */ ; */ + 2 -- ;\n + 3",
            "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
            "SELECT E'a'\n  'b\\';'",
            "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC \
             SELECT CASE WHEN a = 1 THEN 2 END; SELECT 3; END",
            "create procedure p() begin atomic; select 1; end",
            "SELECT fooE'\\', a$b$c, $1",
        ] {
            assert_eq!(
                statements(&format!("{one};\n;SELECT 2")),
                [one, "SELECT 2"],
                "{one}"
            );
        }
    }

    #[test]
    fn a_plain_begin_is_a_statement_of_its_own() {
        assert_eq!(
            statements("BEGIN; SELECT CASE WHEN true THEN 1 END; END;"),
            ["BEGIN", "SELECT CASE WHEN true THEN 1 END", "END"]
        );
        assert_eq!(
            statements("CREATE TABLE function (begin int); SELECT 1"),
            ["CREATE TABLE function (begin int)", "SELECT 1"]
        );
    }

    #[test]
    fn lines_count_from_the_first_word_and_byte_order_marks_and_line_ends_are_passed_over() {
        let script = "\u{feff}-- first\r\n\r\nSELECT\r\n  1;\r\n/* a\r\n */ SELECT '\n';SELECT 3";
        let lines: Vec<_> = split(script).unwrap().into_iter().map(|s| s.line).collect();
        assert_eq!(lines, [3, 6, 7]);
        assert_eq!(statements("\u{feff}SELECT 1\r\n"), ["SELECT 1"]);
    }

    #[test]
    fn what_is_left_open_is_left_to_the_database() {
        assert_eq!(
            statements("SELECT 1; SELECT 'a;b"),
            ["SELECT 1", "SELECT 'a;b"]
        );
        assert_eq!(statements("SELECT $x$;$y$"), ["SELECT $x$;$y$"]);
        assert_eq!(statements("/* ; "), ["/* ;"]);
        assert_eq!(statements(" -- nothing\n;; ;"), [""; 0]);
    }

    #[test]
    fn commands_of_psql_are_refused_with_their_line() {
        let unreadable = split("SELECT 1;\n  \\c other\n").unwrap_err();
        assert_eq!(
            (unreadable.line, unreadable.text.as_str()),
            (2, "\\c other")
        );
        assert!(unreadable.why.starts_with("`\\c` is a command of psql"));
        assert!(split("COPY posts (id) FROM stdin;\n1\n\\.\n").is_err());
        assert!(split("COPY (SELECT 'stdout') TO '/tmp/x'").is_ok());
        assert!(split("SELECT 1;\0").is_err());
    }

    fn fragment() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,8}",
            "'[a-z;\"$\\\\(]*'",
            "\"[a-z;'$\\\\]+\"",
            "[eE]'([a-z;\"$]|\\\\'|\\\\\\\\|'')*'",
            "\\$q\\$[a-z;'\"\\\\(\n]*\\$q\\$",
            "/\\*[a-z;'\" \n]*\\*/",
            "--[a-z;'\"]*\n",
            "\\([a-z;]*\\)",
            Just("BEGIN".to_owned()),
            Just("END".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn statements_come_back_as_they_went_in(
            parts in prop::collection::vec(prop::collection::vec(fragment(), 0..6), 0..6)
        ) {
            let wanted: Vec<String> = parts
                .iter()
                .map(|fragments| format!("SELECT {} x", fragments.join(" ")))
                .collect();
            let script = wanted.join(" ;\n") + ";";
            prop_assert_eq!(statements(&script), wanted);
        }

        #[test]
        fn whatever_the_text_statements_are_parts_of_it_in_order(script in "\\PC*|[-'\"$;eE/*\\\\()\na]*") {
            if let Ok(statements) = split(&script) {
                let mut rest = script.as_str();
                for statement in statements {
                    let at = rest.find(statement.sql);
                    prop_assert!(at.is_some());
                    rest = &rest[at.unwrap_or(0) + statement.sql.len()..];
                }
            }
        }
    }
}
