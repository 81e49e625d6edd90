//! Numbers with units, as people type them: `10,000` = `10.000` = `10k` = `ten thousand`, and
//! `0.15 s` = `150ms` = `150 milliseconds`.
//!
//! Grouping and decimal signs are told apart by one rule: a sign before exactly three digits
//! groups, unless a unit of time or a percent sign follows.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that was written.
    None,
    /// Time; the value is in milliseconds.
    Millis,
    /// Hundredths.
    Percent,
}

/// A number with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// The value, in milliseconds when it is a time.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
}

impl Quantity {
    /// Whether the number in an answer is the one that a pattern asks for. A unit that was left out
    /// in the answer is not missed.
    #[must_use]
    pub fn fits(self, wanted: Self) -> bool {
        (self.value - wanted.value).abs() <= wanted.value.abs() * 1e-9
            && (self.unit == wanted.unit || self.unit == Unit::None)
    }
}

/// Parses a number with its unit in one word, e.g. `10k`, `150ms`, `0,5s`, `99%`.
#[must_use]
pub fn parse(word: &str) -> Option<Quantity> {
    let split = word
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')))
        .unwrap_or(word.len());
    let (digits, suffix) = word.split_at(split);
    let digits = digits.trim_matches(['.', ',']);
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let scale = scale_of(suffix);
    if scale.is_none() && !suffix.is_empty() {
        return None;
    }
    let (factor, unit) = scale.unwrap_or((1.0, Unit::None));
    let value = decimal(digits, unit == Unit::None && suffix.is_empty())? * factor;
    Some(Quantity { value, unit })
}

/// The factor and unit that a suffix stands for.
pub(super) fn scale_of(suffix: &str) -> Option<(f64, Unit)> {
    Some(match suffix {
        "ms" | "msec" | "msecs" | "milli" | "millis" | "millisec" | "millisecs" | "millisecond"
        | "milliseconds" => (1.0, Unit::Millis),
        "s" | "sec" | "secs" | "second" | "seconds" => (1_000.0, Unit::Millis),
        "us" | "µs" | "μs" => (0.001, Unit::Millis),
        "min" | "minute" | "minutes" => (60_000.0, Unit::Millis),
        "%" | "percent" | "pct" => (1.0, Unit::Percent),
        "k" | "thousand" | "thousands" => (1e3, Unit::None),
        "m" | "mio" | "mil" | "mill" | "million" | "millions" => (1e6, Unit::None),
        "x" | "times" | "th" => (1.0, Unit::None),
        _ => return None,
    })
}

fn decimal(digits: &str, grouping: bool) -> Option<f64> {
    let parts: Vec<&str> = digits.split(['.', ',']).collect();
    let groups = parts.len() > 1
        && parts[0].len() <= 3
        && parts[0] != "0"
        && parts[1..].iter().all(|part| part.len() == 3);
    if parts.len() == 1 || (groups && (grouping || parts.len() > 2)) {
        return parts.concat().parse().ok();
    }
    // `1,234.5`: the last sign is the decimal one.
    let (last, front) = parts.split_last()?;
    format!("{}.{last}", front.concat()).parse().ok()
}
