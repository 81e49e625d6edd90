//! A load test told to people: figures, errors and a histogram in plain text.
//!
//! Pure. Readable without colour and in any width from 72 columns.

use std::fmt::Write as _;

use crate::evidence::{Load, OpenLoop};
use crate::histogram::{Bucket, Latency};
use crate::load::Progress;

/// Rows of the histogram at most; finer steps are put together.
const ROWS: usize = 16;
/// Columns of its longest bar.
const BAR: f64 = 36.0;

/// The whole summary; `heading` says what was asked.
pub(super) fn summary(heading: &str, load: &Load) -> String {
    let mut text = format!("{heading}\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  requests  {:>10}   {:.1} a second for {}",
        load.requests,
        load.requests_per_second,
        length(load.seconds)
    );
    let _ = writeln!(
        text,
        "  failed    {:>10}   {} succeeded",
        load.failed,
        percent(load.success_rate)
    );
    for (kind, count) in &load.errors {
        let _ = writeln!(text, "            {count:>10}   {kind}");
    }
    if load.reconnects > 0 {
        let _ = writeln!(
            text,
            "  reconnects{:>10}   connections that ended and were opened again",
            load.reconnects
        );
    }
    if load.requests > 0 {
        let _ = writeln!(text, "\n  latency   {}", latency(&load.latency_ms));
        if let Some(open_loop) = &load.open_loop {
            text.push_str(&open_loop_lines(open_loop));
        }
        if load.targets.len() > 1 {
            text.push('\n');
            text.push_str(&targets(load));
        }
        text.push('\n');
        text.push_str(&histogram(&load.histogram, load.requests));
    }
    let _ = writeln!(
        text,
        "\n  generator {} thread{}, {:.2} s of CPU time, {:.0} % busy",
        load.generator.threads,
        if load.generator.threads == 1 { "" } else { "s" },
        load.generator.cpu_seconds,
        load.generator.busy * 100.0
    );
    if load.generator.at_ceiling {
        text.push_str(
            "  Note: the generator was at its ceiling or short of CPU, so the server may be faster.\n",
        );
    }
    text
}

/// One line about a second that just ended.
pub(super) fn progress(progress: &Progress) -> String {
    let of = format!(
        "{:.0} s of {:.0} s",
        progress.elapsed.as_secs_f64(),
        progress.total.as_secs_f64()
    );
    let second = &progress.window;
    format!(
        "{of}{} · {} requests · p50 {} · p99 {} · {} failed",
        if progress.warm_up { " (warm-up)" } else { "" },
        second.requests,
        ms(second.p50),
        ms(second.p99),
        second.failed
    )
}

fn latency(latency: &Latency) -> String {
    format!(
        "mean {}   p50 {}   p90 {}   p99 {}   max {}",
        ms(latency.mean),
        ms(latency.p50),
        ms(latency.p90),
        ms(latency.p99),
        ms(latency.max)
    )
}

fn open_loop_lines(open_loop: &OpenLoop) -> String {
    format!(
        "    of it\n  waiting   {}\n  service   {}\n",
        latency(&open_loop.lag_ms),
        latency(&open_loop.service_ms)
    )
}

fn targets(load: &Load) -> String {
    let mut text = String::new();
    for target in &load.targets {
        let _ = writeln!(
            text,
            "  {}\n    {} requests, {} succeeded, p50 {}, p99 {}",
            target.request,
            target.requests,
            percent(target.success_rate),
            ms(target.latency_ms.p50),
            ms(target.latency_ms.p99)
        );
    }
    text
}

fn histogram(buckets: &[Bucket], requests: u64) -> String {
    let together = buckets.len().div_ceil(ROWS).max(1);
    let rows: Vec<Bucket> = buckets
        .chunks(together)
        .filter_map(|steps| {
            Some(Bucket {
                up_to_ms: steps.last()?.up_to_ms,
                count: steps.iter().map(|step| step.count).sum(),
            })
        })
        .collect();
    let most = rows.iter().map(|row| row.count).max().unwrap_or(1);
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "  up to {:>9}  {:>9}  {:>7}  {}",
            ms(row.up_to_ms),
            row.count,
            percent(share(row.count, requests)),
            bar(share(row.count, most))
        );
    }
    text
}

/// At least one mark, so that the few slow ones are seen.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is 0 to 1"
)]
fn bar(share: f64) -> String {
    "#".repeat(((share * BAR).round() as usize).max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// `2.0 s`, or `1 ms` for what was over in less than a second.
fn length(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Never rounds up to 100 % nor down to nothing: those numbers mean all of them, and none.
fn percent(share: f64) -> String {
    if share >= 1.0 {
        "100 %".to_owned()
    } else if share > 0.9999 {
        ">99.99 %".to_owned()
    } else if share > 0.0 && share < 0.0001 {
        "<0.01 %".to_owned()
    } else {
        format!("{:.2} %", share * 100.0)
    }
}

fn ms(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.1} s", value / 1000.0)
    } else if value >= 100.0 {
        format!("{value:.0} ms")
    } else if value >= 10.0 {
        format!("{value:.1} ms")
    } else {
        format!("{value:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Generator;

    #[test]
    fn a_summary_shows_figures_errors_and_a_histogram() {
        let load = Load {
            users: 100,
            seconds: 2.0,
            requests: 1000,
            failed: 10,
            success_rate: 0.99,
            requests_per_second: 500.0,
            latency_ms: Latency {
                mean: 20.25,
                p50: 18.0,
                p90: 30.0,
                p99: 200.0,
                max: 12_500.0,
            },
            histogram: vec![
                Bucket {
                    up_to_ms: 20.0,
                    count: 900,
                },
                Bucket {
                    up_to_ms: 250.0,
                    count: 100,
                },
            ],
            errors: [("status 503".to_owned(), 10)].into(),
            reconnects: 3,
            generator: Generator {
                threads: 1,
                cpu_seconds: 0.25,
                busy: 0.125,
                ..Generator::default()
            },
            ..Load::default()
        };
        insta::assert_snapshot!(summary("GET http://127.0.0.1:3000/feed", &load), @r"
        GET http://127.0.0.1:3000/feed

          requests        1000   500.0 a second for 2.0 s
          failed            10   99.00 % succeeded
                            10   status 503
          reconnects         3   connections that ended and were opened again

          latency   mean 20.2 ms   p50 18.0 ms   p90 30.0 ms   p99 200 ms   max 12.5 s

          up to   20.0 ms        900  90.00 %  ####################################
          up to    250 ms        100  10.00 %  ####

          generator 1 thread, 0.25 s of CPU time, 12 % busy
        ");
    }

    #[test]
    fn nothing_measured_is_told_without_figures() {
        let text = summary("GET http://x/", &Load::default());
        assert!(!text.contains("latency") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_hundred_percent_means_all_and_nought_means_none() {
        assert_eq!(percent(0.999_999), ">99.99 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.000_02), "<0.01 %");
        assert_eq!(percent(0.0), "0.00 %");
    }

    #[test]
    fn a_load_that_was_over_at_once_did_not_take_0_seconds() {
        assert_eq!(length(0.001), "1 ms");
        assert_eq!(length(2.0), "2.0 s");
    }
}
