//! Latencies: recorded into an HDR histogram, told as a few numbers.
//!
//! Wraps `hdrhistogram` so that units and percentiles are the same everywhere. Measures nothing.

use hdrhistogram::Histogram as Hdr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latencies of one stretch of load. Microseconds inside, from 1 µs to 60 s, three digits exact.
#[derive(Debug, Clone)]
pub struct Histogram(Hdr<u64>);

const HIGHEST: u64 = 60_000_000;

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram, all memory taken at once so that recording never allocates.
    #[must_use]
    pub fn new() -> Self {
        // The bounds are constants that the library accepts; its error is about other ones.
        Self(
            Hdr::new_with_bounds(1, HIGHEST, 3).unwrap_or_else(|_| unreachable!("constant bounds")),
        )
    }

    /// Counts one latency. Above 60 s it counts as 60 s.
    pub fn record(&mut self, latency: std::time::Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so this cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below which `quantile` (0 to 1) of the latencies lie, in ms.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        to_ms(self.0.value_at_quantile(quantile))
    }

    /// The summary that reports show.
    #[must_use]
    pub fn latency(&self) -> Latency {
        Latency {
            mean: round(self.0.mean() / 1000.0),
            p50: round(self.quantile_ms(0.50)),
            p90: round(self.quantile_ms(0.90)),
            p99: round(self.quantile_ms(0.99)),
            max: round(to_ms(self.0.max())),
        }
    }

    /// The shape for drawing: upper bound in ms and count of each step, empty ones left out.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        self.0
            .iter_log(100, 1.25)
            .filter(|step| step.count_since_last_iteration() > 0)
            .map(|step| Bucket {
                up_to_ms: round(to_ms(step.value_iterated_to())),
                count: step.count_since_last_iteration(),
            })
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "latencies are far below 2^52 µs"
)]
fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// Two decimals: more is noise, and short numbers keep reports readable.
fn round(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// One step of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Latencies up to this many milliseconds, and above the step before.
    pub up_to_ms: f64,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn percentiles_of_a_known_series() {
        let mut histogram = Histogram::new();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        let latency = histogram.latency();
        assert!((latency.mean - 50.5).abs() < 0.1, "{latency:?}");
        assert!((latency.p50 - 50.0).abs() < 0.1, "{latency:?}");
        assert!((latency.p99 - 99.0).abs() < 0.1, "{latency:?}");
        assert_eq!(
            histogram.buckets().iter().map(|b| b.count).sum::<u64>(),
            100
        );
    }

    #[test]
    fn merged_histograms_count_together() {
        let (mut a, mut b) = (Histogram::new(), Histogram::new());
        a.record(Duration::from_millis(1));
        b.record(Duration::from_secs(90));
        a.merge(&b);
        assert_eq!(a.count(), 2);
        assert!(
            (a.latency().max - 60_000.0).abs() < 60.0,
            "{:?}",
            a.latency()
        );
    }
}
