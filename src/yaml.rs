//! Reading the YAML that authors write, with the exact spot of what is wrong.
//!
//! The only module that knows the YAML parser. It reads no files: callers hand over the text and
//! the path that an author would recognise.

use std::ops::Deref;

use anyhow::anyhow;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value and the line (from 1) and column (from 1, in characters) where an author wrote it.
/// `line` is 0 for values that come from no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl<T> Located<T> {
    /// A value that no author wrote, for tests and defaults.
    pub fn nowhere(value: T) -> Self {
        Self {
            value,
            line: 0,
            column: 0,
        }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            line: usize::try_from(spanned.referenced.line()).unwrap_or(0),
            column: usize::try_from(spanned.referenced.column()).unwrap_or(0),
        })
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// One YAML file: its text, and the name by which its author knows it.
#[derive(Debug, Clone)]
pub struct Source {
    /// For error messages only, e.g. `rubrics/connection-pools.yaml`.
    pub name: String,
    /// The whole file.
    pub text: String,
}

impl Source {
    /// Parses the file as a `T`.
    ///
    /// # Errors
    /// One message with the file, line and column, and the line itself with a caret under the spot.
    pub fn parse<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        // The bare syntax first: a type error on broken YAML would point somewhere misleading.
        if let Err(error) = serde_yaml::from_str::<IgnoredAny>(&self.text) {
            return Err(self.yaml_error(&error));
        }
        serde_yaml::from_str(&self.text).map_err(|error| self.yaml_error(&error))
    }

    /// An error about a spot in this file: `file:line:column: message`, the line, and a caret.
    pub fn complaint<T>(&self, spot: &Located<T>, message: &str) -> anyhow::Error {
        self.complaint_at(spot.line, spot.column, message)
    }

    fn yaml_error(&self, error: &serde_yaml::Error) -> anyhow::Error {
        let bare = error.without_snippet();
        let location = bare.location();
        let line = location.map_or(0, |l| usize::try_from(l.line()).unwrap_or(0));
        let column = location.map_or(0, |l| usize::try_from(l.column()).unwrap_or(0));
        let message = bare.to_string();
        // The parser appends "at line 3, column 5", which the prefix already says.
        let message = message
            .split(" at line ")
            .next()
            .unwrap_or(&message)
            .trim_end_matches(':');
        self.complaint_at(line, column, message)
    }

    fn complaint_at(&self, line: usize, column: usize, message: &str) -> anyhow::Error {
        let Some(text) = line
            .checked_sub(1)
            .and_then(|index| self.text.lines().nth(index))
        else {
            return anyhow!("{}: {message}", self.name);
        };
        let gutter = line.to_string().len();
        let caret = " ".repeat(column.saturating_sub(1));
        anyhow!(
            "{}:{line}:{column}: {message}\n{:gutter$} |\n{line} | {text}\n{:gutter$} | {caret}^",
            self.name,
            "",
            ""
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        name: Located<String>,
    }

    fn source(text: &str) -> Source {
        Source {
            name: "thing.yaml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn an_unknown_field_gets_its_line_and_a_caret() {
        let error = source("name: x\nnaem: y\n")
            .parse::<Thing>()
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("thing.yaml:2:1: "), "{error}");
        assert!(error.contains("naem") && error.ends_with('^'), "{error}");
    }

    #[test]
    fn broken_syntax_gets_its_line() {
        let error = source("name: [x\n")
            .parse::<Thing>()
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("thing.yaml:"), "{error}");
    }

    #[test]
    fn a_later_complaint_points_at_the_value() {
        let source = source("# note\nname: zebra\n");
        let thing: Thing = source.parse().unwrap();
        assert_eq!(*thing.name, "zebra");
        let error = source.complaint(&thing.name, "no such name").to_string();
        assert_eq!(
            error,
            "thing.yaml:2:7: no such name\n  |\n2 | name: zebra\n  |       ^"
        );
    }

    #[test]
    fn a_bare_no_is_not_taken_for_a_boolean_where_text_is_wanted() {
        let thing: Thing = source("name: no\n").parse().unwrap();
        assert_eq!(*thing.name, "no");
    }
}
