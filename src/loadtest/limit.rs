//! `--fail-on`: a figure, a comparison and a value, such as `p99>200ms`.
//!
//! Pure.

use std::fmt;

use crate::evidence::Load;

use super::values;

/// When a load test is to fail.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    figure: Figure,
    comparison: Comparison,
    value: f64,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Mean,
    P50,
    P90,
    P99,
    Max,
    Success,
    Rps,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

const FIGURES: [(&str, Figure); 8] = [
    ("mean", Figure::Mean),
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("max", Figure::Max),
    ("success", Figure::Success),
    ("rps", Figure::Rps),
    ("failed", Figure::Failed),
];

impl Limit {
    /// `p99>200ms`, `success<99%`, `rps<100`, `failed>0`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no limit: write 'p99>200ms' (also mean, p50, p90, max), \
                 'success<99%', 'rps<100' or 'failed>0'"
            )
        };
        let place = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(place);
        let (comparison, value) = [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?.trim())))
        .ok_or_else(wrong)?;
        let (_, figure) = FIGURES
            .into_iter()
            .find(|(known, _)| name.trim().eq_ignore_ascii_case(known))
            .ok_or_else(wrong)?;
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite()).ok_or_else(wrong)
        };
        let value = match figure {
            Figure::Mean | Figure::P50 | Figure::P90 | Figure::P99 | Figure::Max => {
                if value.parse::<f64>().is_ok() {
                    return Err(format!("`{text}` needs a unit: write {text}ms or {text}s"));
                }
                values::duration(value).map_err(|_| wrong())?.as_secs_f64() * 1000.0
            }
            Figure::Success => number(value.strip_suffix('%').ok_or_else(wrong)?)? / 100.0,
            Figure::Rps | Figure::Failed => number(value)?,
        };
        Ok(Self {
            figure,
            comparison,
            value,
            text: text.to_owned(),
        })
    }

    /// What was seen, if the limit was broken. When nothing was measured, every limit was.
    pub(super) fn broken_by(&self, load: &Load) -> Option<String> {
        if load.requests == 0 {
            return Some("no request ended".to_owned());
        }
        let latency = &load.latency_ms;
        let (seen, words) = match self.figure {
            Figure::Mean => (latency.mean, format!("mean {} ms", latency.mean)),
            Figure::P50 => (latency.p50, format!("p50 {} ms", latency.p50)),
            Figure::P90 => (latency.p90, format!("p90 {} ms", latency.p90)),
            Figure::P99 => (latency.p99, format!("p99 {} ms", latency.p99)),
            Figure::Max => (latency.max, format!("max {} ms", latency.max)),
            Figure::Success => (
                load.success_rate,
                format!("success {:.3} %", load.success_rate * 100.0),
            ),
            Figure::Rps => (
                load.requests_per_second,
                format!("rps {}", load.requests_per_second),
            ),
            Figure::Failed => {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let failed = load.failed as f64;
                (failed, format!("failed {}", load.failed))
            }
        };
        let broken = match self.comparison {
            Comparison::Above => seen > self.value,
            Comparison::AtLeast => seen >= self.value,
            Comparison::Below => seen < self.value,
            Comparison::AtMost => seen <= self.value,
        };
        broken.then_some(words)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Latency;

    fn broken(limit: &str, load: &Load) -> bool {
        Limit::parse(limit).unwrap().broken_by(load).is_some()
    }

    #[test]
    fn limits_compare_figures() {
        let load = Load {
            requests: 200,
            failed: 2,
            success_rate: 0.99,
            requests_per_second: 100.0,
            latency_ms: Latency {
                mean: 20.0,
                p50: 18.0,
                p90: 30.0,
                p99: 200.0,
                max: 500.0,
            },
            ..Load::default()
        };
        for limit in [
            "p99>199ms",
            "p99 >= 0.2s",
            "success<99.5%",
            "rps<101",
            "failed>0",
            "MAX>=500ms",
        ] {
            assert!(broken(limit, &load), "{limit}");
        }
        for limit in [
            "p99>200ms",
            "success<99%",
            "rps<100",
            "failed>2",
            "mean>1s",
            "p50<10ms",
        ] {
            assert!(!broken(limit, &load), "{limit}");
        }
    }

    #[test]
    fn a_load_without_answers_breaks_every_limit() {
        assert!(broken("p99>200ms", &Load::default()));
    }

    #[test]
    fn what_is_no_limit_says_how_to_write_one() {
        for text in [
            "",
            "p99",
            "p99=1ms",
            "p98>1ms",
            "success<99",
            "p99>",
            "rps<many",
            "failed>NaN",
        ] {
            assert!(
                Limit::parse(text).unwrap_err().contains("p99>200ms"),
                "{text}"
            );
        }
        assert!(
            Limit::parse("p99>200")
                .unwrap_err()
                .contains("p99>200ms or")
        );
    }
}
