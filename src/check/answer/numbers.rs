//! Numbers among tokens: words that are numbers, and numbers that were typed as several words.

use super::quantity::{Quantity, Unit, parse, scale_of};
use super::token::Token;

fn word_value(word: &str) -> Option<f64> {
    Some(match word {
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "six" => 6.0,
        "seven" => 7.0,
        "eight" => 8.0,
        "nine" => 9.0,
        "ten" => 10.0,
        "twenty" => 20.0,
        "thirty" => 30.0,
        "fifty" => 50.0,
        "hundred" => 100.0,
        "thousand" => 1e3,
        "million" => 1e6,
        _ => return None,
    })
}

/// Turns words into numbers and joins `10 000`, `1 million`, `150 ms` and `30 %` into one token.
pub fn join(tokens: &mut Vec<Token>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    for mut token in tokens.drain(..) {
        let digits = token.word.starts_with(|c: char| c.is_ascii_digit());
        token.quantity = if digits {
            parse(&token.word)
        } else {
            word_value(&token.word).map(|value| Quantity {
                value,
                unit: Unit::None,
            })
        };
        if let Some(last) = joined.last_mut() {
            let near = last.clause == token.clause && token.start.saturating_sub(last.end) <= 1;
            if near && extend(last, &token, digits) {
                last.end = token.end;
                last.word.push(' ');
                last.word.push_str(&token.word);
                last.stem.clone_from(&last.word);
                continue;
            }
        }
        joined.push(token);
    }
    *tokens = joined;
}

/// Widens the number `last` by the token after it, when the two are one number.
fn extend(last: &mut Token, token: &Token, digits: bool) -> bool {
    let Some(quantity) = &mut last.quantity else {
        return false;
    };
    if quantity.unit != Unit::None {
        return false;
    }
    // `10 000`, but not `posts 20 100`.
    if digits {
        let groups = token.word.len() == 3
            && token.word.bytes().all(|b| b.is_ascii_digit())
            && last.word.len() <= 11
            && last
                .word
                .split(' ')
                .next()
                .is_some_and(|head| head.len() <= 3)
            && last.word.bytes().all(|b| b.is_ascii_digit() || b == b' ');
        if groups && let Some(rest) = token.quantity {
            quantity.value = quantity.value * 1e3 + rest.value;
        }
        return groups;
    }
    // `two thousand`, `hundred thousand`.
    if let Some(factor) = word_value(&token.word) {
        let larger = factor >= 100.0 && factor > quantity.value.min(999.0);
        if larger {
            quantity.value *= factor;
        }
        return larger;
    }
    let unit = match token.word.as_str() {
        // `100 times` and `3 m users` are not joined: `times` is a word that patterns want.
        "x" | "times" | "th" | "m" => None,
        word => scale_of(word),
    };
    if let Some((factor, unit)) = unit {
        quantity.value *= factor;
        quantity.unit = unit;
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::reader::read;
    use super::*;

    fn numbers(text: &str) -> Vec<(f64, Unit)> {
        read(text)
            .tokens
            .iter()
            .filter_map(|token| token.quantity)
            .map(|quantity| (quantity.value, quantity.unit))
            .collect()
    }

    #[test]
    fn ten_thousand_is_the_same_in_every_spelling() {
        for text in [
            "10,000",
            "10.000",
            "10 000",
            "10k",
            "10K",
            "ten thousand",
            "10 thousand",
            "10000",
            "10'000 rows",
        ] {
            assert_eq!(numbers(text)[0], (10_000.0, Unit::None), "{text}");
        }
        for text in ["1,000,000", "1 000 000", "1M", "1 million", "a million"] {
            assert_eq!(numbers(text)[0], (1e6, Unit::None), "{text}");
        }
    }

    #[test]
    fn times_are_the_same_in_every_unit() {
        for text in [
            "150ms",
            "150 ms",
            "0.15 s",
            "0,15s",
            "150 milliseconds",
            "0.150 s",
        ] {
            let (value, unit) = numbers(text)[0];
            assert!(
                (value - 150.0).abs() < 1e-6 && unit == Unit::Millis,
                "{text}"
            );
        }
        assert_eq!(numbers("99 %"), [(99.0, Unit::Percent)]);
        assert_eq!(numbers("12,5%"), [(12.5, Unit::Percent)]);
    }

    #[test]
    fn a_sign_before_three_digits_groups_unless_a_unit_follows() {
        for (text, wanted) in [
            ("1.234", 1234.0),
            ("1.234s", 1234.0),
            ("2.5", 2.5),
            ("1,234.5", 1234.5),
            ("0.512", 0.512),
        ] {
            assert!((numbers(text)[0].0 - wanted).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn neighbours_that_are_two_numbers_stay_two() {
        assert_eq!(numbers("500, 100").len(), 2);
        assert_eq!(numbers("20 100000").len(), 2);
        assert_eq!(numbers("100 times").len(), 1);
    }
}
