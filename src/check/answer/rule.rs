//! Score rules: which ideas together earn which mark.
//!
//! `new-pool and (each-request or handlers) and not startup`, `2 of (a, b, c)`.

use serde::Deserialize;

/// A parsed condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// An idea was found.
    Found(String),
    /// The condition does not hold.
    Not(Box<Rule>),
    /// All hold.
    All(Vec<Rule>),
    /// At least so many hold.
    AtLeast(usize, Vec<Rule>),
}

/// What an answer earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub enum Mark {
    /// 0.
    None,
    /// 0.5
    Half,
    /// 1.
    Full,
}

impl Mark {
    /// 0, 0.5 or 1.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Half => 0.5,
            Self::Full => 1.0,
        }
    }

    /// As people write it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Half => "0.5",
            Self::Full => "1",
        }
    }
}

impl TryFrom<f64> for Mark {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        [Self::None, Self::Half, Self::Full]
            .into_iter()
            .find(|mark| (mark.value() - value).abs() < 1e-9)
            .ok_or_else(|| format!("a score is 0, 0.5 or 1, not {value}"))
    }
}

impl Rule {
    /// Parses a condition.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(source: &str) -> Result<Self, String> {
        let spaced = source
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace(',', " , ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser {
            words: &words,
            depth: 0,
        };
        let rule = parser.either()?;
        match parser.words.first() {
            None => Ok(rule),
            Some(word) => Err(format!("`{word}` does not belong here")),
        }
    }

    /// Whether it holds.
    pub fn holds(&self, found: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Found(id) => found(id),
            Self::Not(rule) => !rule.holds(found),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(found)),
            Self::AtLeast(least, rules) => {
                rules.iter().filter(|rule| rule.holds(found)).count() >= *least
            }
        }
    }

    /// The ideas that it names.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::Found(id) => vec![id],
            Self::Not(rule) => rule.ids(),
            Self::All(rules) | Self::AtLeast(_, rules) => {
                rules.iter().flat_map(Self::ids).collect()
            }
        }
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self, wanted: &str) -> bool {
        let found = self.words.first() == Some(&wanted);
        self.words = &self.words[usize::from(found)..];
        found
    }

    fn either(&mut self) -> Result<Rule, String> {
        let mut rules = vec![self.both()?];
        while self.take("or") {
            rules.push(self.both()?);
        }
        Ok(one_or(rules, |rules| Rule::AtLeast(1, rules)))
    }

    fn both(&mut self) -> Result<Rule, String> {
        let mut rules = vec![self.single()?];
        while self.take("and") {
            rules.push(self.single()?);
        }
        Ok(one_or(rules, Rule::All))
    }

    fn single(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > 50 {
            return Err("the condition nests too deep".into());
        }
        let rule = self.single_inside();
        self.depth -= 1;
        rule
    }

    fn single_inside(&mut self) -> Result<Rule, String> {
        if self.take("not") {
            return Ok(Rule::Not(Box::new(self.single()?)));
        }
        if self.take("(") {
            let rule = self.either()?;
            return self.close(rule);
        }
        let word = self.next()?;
        if let Ok(least) = word.parse::<usize>() {
            if !self.take("of") || !self.take("(") {
                return Err(format!("write `{word} of (a, b, c)`"));
            }
            let mut rules = vec![self.either()?];
            while self.take(",") {
                rules.push(self.either()?);
            }
            if least == 0 || least > rules.len() {
                return Err(format!("{least} of {} makes no sense", rules.len()));
            }
            return self.close(Rule::AtLeast(least, rules));
        }
        if matches!(word, "and" | "or" | "of" | ")" | ",") {
            return Err(format!("an idea is missing before `{word}`"));
        }
        Ok(Rule::Found(word.to_owned()))
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let (word, rest) = self
            .words
            .split_first()
            .ok_or("an idea is missing at the end")?;
        self.words = rest;
        Ok(word)
    }

    fn close(&mut self, rule: Rule) -> Result<Rule, String> {
        if self.take(")") {
            Ok(rule)
        } else {
            Err("a closing bracket is missing".into())
        }
    }
}

fn one_or(mut rules: Vec<Rule>, many: impl FnOnce(Vec<Rule>) -> Rule) -> Rule {
    match rules.pop() {
        Some(rule) if rules.is_empty() => rule,
        last => {
            rules.extend(last);
            many(rules)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_they_read() {
        let holds = |source: &str| {
            Rule::parse(source)
                .unwrap()
                .holds(&|id| ["a", "b-c"].contains(&id))
        };
        for source in [
            "a",
            "a and b-c",
            "x or a",
            "not x",
            "a and (x or b-c)",
            "2 of (a, x, b-c)",
        ] {
            assert!(holds(source), "{source}");
        }
        for source in ["x", "a and x", "not a", "not (x or a)", "2 of (a, x, y)"] {
            assert!(!holds(source), "{source}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for source in [
            "",
            "a and",
            "a b",
            "(a",
            "2 of a",
            "4 of (a, b)",
            "and a",
            "0 of (a)",
        ] {
            assert!(Rule::parse(source).is_err(), "{source}");
        }
        assert!(Rule::parse(&"(".repeat(10_000)).is_err());
        assert!(Rule::parse(&"not ".repeat(10_000)).is_err());
        assert!(Mark::try_from(0.7).is_err());
    }
}
