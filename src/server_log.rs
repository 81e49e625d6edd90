//! The database's own log: what its lines say about connections and statements. Pure.
//!
//! Lines are in Postgres' jsonlog form
//! (<https://www.postgresql.org/docs/current/runtime-config-logging.html>). Where the bytes come
//! from is not known here. Nothing in a line is trusted to be short: memory stays bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// Longer lines are passed over.
const LONGEST_LINE: usize = 1024 * 1024;

/// The SQLSTATE of connections that are refused because there are too many.
const TOO_MANY: &str = "53300";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Line {
    timestamp: String,
    /// Names one session of the server, for ever.
    pub session_id: String,
    /// The role, once it is known.
    pub user: Option<String>,
    /// The database, once it is known.
    pub dbname: Option<String>,
    /// The SQLSTATE, of errors.
    pub state_code: Option<String>,
    /// The message.
    pub message: String,
    /// More of it, e.g. bound parameters.
    pub detail: Option<String>,
    /// The function that wrote it, if one did.
    pub context: Option<String>,
}

impl Line {
    /// When it was written, by the database's clock. `None` when the log is not in UTC.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        let (time, zone) = self.timestamp.rsplit_once(' ')?;
        if !matches!(zone, "UTC" | "GMT") {
            return None;
        }
        let time: jiff::civil::DateTime = time.parse().ok()?;
        let timestamp = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
        let millis = u64::try_from(timestamp.as_millisecond()).ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Takes the next bytes and hands out the lines that they complete. What is no line of a
    /// jsonlog is passed over.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() + part.len() > LONGEST_LINE {
                self.too_long = true;
                self.rest.clear();
            }
            if !self.too_long {
                self.rest.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if let Ok(line) = serde_json::from_slice(&self.rest) {
                    each(line);
                }
                self.rest.clear();
                self.too_long = false;
            }
        }
    }
}

/// Whose connections are meant.
#[derive(Debug, Clone, Default)]
pub struct Whose {
    /// The submission's role.
    pub role: String,
    /// The grader's own roles.
    pub grader: BTreeSet<String>,
    /// Whether the server has other users besides, whose connections are nobody's business.
    pub shared: bool,
}

/// Counts attempts to connect between two instants of the database's clock.
#[derive(Debug)]
pub struct Attempts {
    whose: Whose,
    from: SystemTime,
    to: SystemTime,
    /// Sessions that were received in time, and whether they were let in.
    sessions: BTreeMap<String, bool>,
}

impl Attempts {
    /// None so far.
    #[must_use]
    pub fn new(whose: Whose, from: SystemTime, to: SystemTime) -> Self {
        Self {
            whose,
            from,
            to,
            sessions: BTreeMap::new(),
        }
    }

    /// Takes the next line.
    ///
    /// Every attempt starts with `connection received`, also one that is refused or given up; only
    /// later lines of the same session tell who it was. An attempt that never told counts. The
    /// application's name counts for nothing: everybody can choose it.
    pub fn push(&mut self, line: &Line) {
        if line.message.starts_with("connection received:") {
            if line
                .time()
                .is_some_and(|time| time >= self.from && time < self.to)
            {
                self.sessions.insert(line.session_id.clone(), false);
            }
            return;
        }
        let Some(user) = line.user.as_ref().filter(|user| !user.is_empty()) else {
            return;
        };
        let authorized = line.message.starts_with("connection authorized:");
        let others = if self.whose.shared {
            *user != self.whose.role
        } else {
            // Anybody can give the grader's name; only the grader gets in with it.
            authorized && self.whose.grader.contains(user)
        };
        if others {
            self.sessions.remove(&line.session_id);
        } else if let Some(let_in) = self.sessions.get_mut(&line.session_id) {
            if authorized {
                *let_in = true;
            } else if line.state_code.as_deref() == Some(TOO_MANY) {
                // The last free connections are kept for superusers, which is found out last.
                *let_in = false;
            }
        }
    }

    /// Attempts, and those of them that were let in.
    #[must_use]
    pub fn count(&self) -> (u64, u64) {
        let authorized = self.sessions.values().filter(|authorized| **authorized);
        (self.sessions.len() as u64, authorized.count() as u64)
    }
}

/// A statement as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// Its text. More than one statement when the simple protocol was used that way.
    pub sql: String,
    /// Bound parameters as text, `None` for NULL.
    pub parameters: Vec<Option<String>>,
}

impl Sent {
    /// The statement that a line tells of, as `log_statement = all` writes it: `statement: …` or
    /// `execute NAME: …`. What is fetched later from the same portal is not told again.
    #[must_use]
    pub fn of(line: &Line) -> Option<Self> {
        // A function can write any message; Postgres itself writes statements without a context.
        if line.context.is_some() {
            return None;
        }
        if let Some(sql) = line.message.strip_prefix("statement: ") {
            return Some(Self {
                sql: sql.into(),
                parameters: Vec::new(),
            });
        }
        let execute = line.message.strip_prefix("execute ")?;
        if execute.starts_with("fetch from ") {
            return None;
        }
        let (_, sql) = execute.split_once(": ")?;
        Some(Self {
            sql: sql.into(),
            parameters: line.detail.as_deref().map(parameters).unwrap_or_default(),
        })
    }
}

/// `parameters: $1 = '20', $2 = NULL, $3 = 'it''s'`, a capital P since Postgres 16.
fn parameters(detail: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let Some((_, mut rest)) = detail
        .split_once(": ")
        .filter(|(head, _)| head.eq_ignore_ascii_case("parameters"))
    else {
        return found;
    };
    while let Some((_, value)) = rest.split_once(" = ") {
        if let Some(after) = value.strip_prefix("NULL") {
            found.push(None);
            rest = after;
            continue;
        }
        let Some(quoted) = value.strip_prefix('\'') else {
            break;
        };
        let (text, after) = unquote(quoted);
        found.push(Some(text));
        rest = after;
    }
    found
}

/// The text up to the closing quote, and what follows it. Two quotes in a row are one.
fn unquote(mut rest: &str) -> (String, &str) {
    let mut text = String::new();
    while let Some((part, after)) = rest.split_once('\'') {
        text.push_str(part);
        let Some(more) = after.strip_prefix('\'') else {
            return (text, after);
        };
        text.push('\'');
        rest = more;
    }
    (text + rest, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u64, session: &str, user: Option<&str>, message: &str) -> Line {
        Line {
            timestamp: format!("2026-11-23 15:00:{second:02}.500 UTC"),
            session_id: session.into(),
            user: user.map(str::to_owned),
            message: message.into(),
            ..Line::default()
        }
    }

    #[test]
    fn attempts_are_counted_whatever_became_of_them() {
        let start = line(0, "", None, "").time().unwrap();
        let whose = Whose {
            role: "learner".into(),
            grader: ["postgres".to_owned()].into(),
            shared: false,
        };
        let count = |whose: Whose| {
            let mut attempts = Attempts::new(
                whose,
                start + Duration::from_secs(1),
                start + Duration::from_secs(9),
            );
            for (second, session, user, message) in [
                (
                    0,
                    "early",
                    None,
                    "connection received: host=127.0.0.1 port=1",
                ),
                (1, "in", None, "connection received: host=127.0.0.1 port=2"),
                (
                    1,
                    "in",
                    Some("learner"),
                    "connection authorized: user=learner",
                ),
                (
                    2,
                    "refused",
                    None,
                    "connection received: host=127.0.0.1 port=3",
                ),
                (
                    2,
                    "refused",
                    Some("learner"),
                    "sorry, too many clients already",
                ),
                (
                    3,
                    "abandoned",
                    None,
                    "connection received: host=127.0.0.1 port=4",
                ),
                (
                    4,
                    "grader",
                    None,
                    "connection received: host=127.0.0.1 port=5",
                ),
                (
                    4,
                    "grader",
                    Some("postgres"),
                    "connection authorized: user=postgres",
                ),
                (
                    5,
                    "liar",
                    None,
                    "connection received: host=127.0.0.1 port=6",
                ),
                (
                    5,
                    "liar",
                    Some("postgres"),
                    "password authentication failed",
                ),
                (
                    6,
                    "other",
                    None,
                    "connection received: host=127.0.0.1 port=7",
                ),
                (
                    6,
                    "other",
                    Some("other"),
                    "connection authorized: user=other",
                ),
                (
                    9,
                    "late",
                    None,
                    "connection received: host=127.0.0.1 port=8",
                ),
            ] {
                attempts.push(&line(second, session, user, message));
            }
            attempts.count()
        };
        assert_eq!(count(whose.clone()), (5, 2));
        let shared = true;
        assert_eq!(count(Whose { shared, ..whose }), (3, 1));
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_rubbish_is_passed_over() {
        let text = "{\"message\":\"a\"}\nrubbish\n{\"message\":\"b\",\"pid\":3}\n{\"message\":\"c";
        for size in 1..text.len() {
            let (mut lines, mut messages) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.push(piece, |line| messages.push(line.message));
            }
            assert_eq!(messages, ["a", "b"], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory() {
        let (mut lines, mut count) = (Lines::default(), 0);
        for _ in 0..40 {
            lines.push(&vec![b'x'; 100_000], |_| count += 1);
            assert!(lines.rest.len() <= LONGEST_LINE);
        }
        lines.push(b"\n{\"message\":\"after\"}\n", |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn bound_parameters_are_read_back() {
        let told = |detail: &str| {
            let line = Line {
                message: "execute sqlx_s_1: SELECT $1: 2".into(),
                detail: Some(detail.into()),
                ..Line::default()
            };
            Sent::of(&line).unwrap()
        };
        let some = |text: &str| Some(text.to_owned());
        let sent = told("parameters: $1 = '20', $2 = NULL, $3 = 'it''s, $4 = ''x''', $4 = ''");
        assert_eq!(sent.sql, "SELECT $1: 2");
        assert_eq!(
            sent.parameters,
            [some("20"), None, some("it's, $4 = 'x'"), some("")]
        );
        assert_eq!(told("Parameters: $1 = 'a'").parameters, [some("a")]);
        assert!(told("parameters: $1 = 'a").parameters.len() == 1);
        let statement = line(0, "", None, "statement: BEGIN");
        assert_eq!(Sent::of(&statement).unwrap().sql, "BEGIN");
        let forged = Line {
            context: Some("PL/pgSQL function inline_code_block line 1 at RAISE".into()),
            ..statement
        };
        assert_eq!(Sent::of(&forged), None);
        let again = line(0, "", None, "execute fetch from sqlx_p: SELECT 1");
        assert_eq!(Sent::of(&again), None);
        assert_eq!(line(0, "", None, "").time().unwrap(), {
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_446_000_500)
        });
    }
}
