//! Figures: numbers as people read them, the same in every format.

/// E.g. `29,433`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A positive number as a count: `7,203`, below ten with one decimal: `3.2`.
#[must_use]
pub fn number(value: f64) -> String {
    if value < 9.95 && value.fract() != 0.0 {
        format!("{value:.1}")
    } else {
        count(whole(value))
    }
}

/// Milliseconds: `0.42 ms`, `9.4 ms`, `1,675 ms`, and from ten seconds `12.3 s`.
#[must_use]
pub fn ms(ms: f64) -> String {
    if ms > 0.0 && ms < 0.005 {
        "< 0.01 ms".to_owned()
    } else if ms < 0.995 {
        format!("{ms:.2} ms")
    } else if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 9_999.5 {
        format!("{} ms", count(whole(ms)))
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// Seconds: `0.4 s`, `12.3 s`, `2 min 10 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = whole(seconds);
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// A share as a percentage: `97.5 %`. Never rounds up to 100 %, nor down to 0 %.
#[must_use]
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).floor() / 10.0;
    if share > 0.0 && tenths <= 0.0 {
        "< 0.1 %".to_owned()
    } else if tenths <= 0.0 || tenths >= 100.0 {
        format!("{tenths:.0} %")
    } else {
        format!("{tenths:.1} %")
    }
}

/// `of` per 100: `0.03`, `2.4`, `2,310`.
#[must_use]
pub fn per_100(of: u64, all: u64) -> String {
    let rate = float(of) * 100.0 / float(all);
    if rate < 0.005 && of > 0 {
        "< 0.01".to_owned()
    } else if rate < 9.95 {
        format!("{rate:.2}")
    } else {
        count(whole(rate))
    }
}

/// For arithmetic on counts.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one run are far below 2^52"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// `of` as a share of `all`, 0 to 1; 0 of nothing.
#[must_use]
pub fn share(of: usize, all: usize) -> f64 {
    if all == 0 {
        0.0
    } else {
        float(of as u64) / float(all as u64)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and what is counted is never negative"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// `2026-11-23T15:20:00Z` as `2026-11-23 15:20 UTC`; anything else as it is.
#[must_use]
pub fn instant(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(10..11), rfc3339.get(11..16)) {
        (Some(date), Some("T"), Some(time)) if rfc3339.ends_with('Z') => {
            format!("{date} {time} UTC")
        }
        _ => rfc3339.to_owned(),
    }
}

/// `1 point`, `3 points`.
#[must_use]
pub fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_do_not_flatter() {
        assert_eq!(
            [count(0), count(999), count(29_433), count(1_000_000)],
            ["0", "999", "29,433", "1,000,000"]
        );
        assert_eq!(
            [0.423, 9.41, 23.0, 1675.2, 12_345.0].map(ms),
            ["0.42 ms", "9.4 ms", "23 ms", "1,675 ms", "12.3 s"]
        );
        assert_eq!(
            [0.99999, 1.0, 0.0004, 0.0, 0.042, 0.99].map(percent),
            ["99.9 %", "100 %", "< 0.1 %", "0 %", "4.2 %", "99.0 %"]
        );
        assert_eq!(
            [per_100(10, 29_433), per_100(1, 90_000), per_100(2310, 100)],
            ["0.03", "< 0.01", "2,310"]
        );
        assert_eq!([12.34, 130.2].map(seconds), ["12.3 s", "2 min 10 s"]);
        assert_eq!([3.24, 640.2, 7203.4].map(number), ["3.2", "640", "7,203"]);
    }

    #[test]
    fn an_instant_is_read_to_the_minute() {
        assert_eq!(instant("2026-11-23T15:20:09Z"), "2026-11-23 15:20 UTC");
        assert_eq!(instant("yesterday"), "yesterday");
    }
}
