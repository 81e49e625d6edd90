//! Charts: our own SVG, inline in the page.
//!
//! No script, no file, no fixed colour: a series is `class="s1"` and the page's style sheet gives
//! it a colour for light, dark and paper. Series also differ in their dashes. The same report gives
//! the same bytes. Drawn for a width of some 310 px, so that text keeps its size on a phone.

use std::fmt::Write as _;

use super::columns::Column;
use super::escape::{html, one_line, shorten};
use super::figure;
use super::plot::{BOTTOM, HEIGHT, Log, Plot, RIGHT, TOP, WIDTH, path};
use crate::report::Stage;

/// A chart with the same figures as a table beside it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// One sentence on how to read it.
    pub caption: String,
    /// An `<svg>` element, escaped.
    pub svg: String,
    /// Headings of the table.
    pub head: Vec<String>,
    /// Its rows; the first cell is the row's heading.
    pub rows: Vec<Vec<String>>,
}

/// Latency of each second, from the median to the 99th percentile. `None` without figures.
#[must_use]
pub fn latency(columns: &[Column<'_>]) -> Option<Chart> {
    let stages = with_seconds(columns);
    let values = || {
        stages
            .iter()
            .flat_map(|(_, stage)| &stage.per_second)
            .filter(|second| second.requests > 0)
            .flat_map(|second| [second.p50, second.p99])
    };
    let y = Log::new(values())?;
    let plot = Plot::new(&stages, HEIGHT);
    let mut svg = plot.frame(&y.ticks(), |ms| y.at(ms, &plot), &short_ms);
    for (series, stage) in &stages {
        let points: Vec<(f64, f64, f64)> = stage
            .per_second
            .iter()
            .enumerate()
            .filter(|(_, second)| second.requests > 0)
            .map(|(i, second)| (plot.x(i), y.at(second.p50, &plot), y.at(second.p99, &plot)))
            .collect();
        let lower = points.iter().map(|&(x, p50, _)| (x, p50));
        let upper = points.iter().map(|&(x, _, p99)| (x, p99));
        let band = path(upper.clone().chain(lower.clone().rev()));
        let _ = write!(
            svg,
            r#"<path class="band s{series}" d="{band}Z"/><path class="line thin s{series}" d="{}"/><path class="line s{series}" d="{}"/>"#,
            path(upper),
            path(lower.clone())
        );
        if let [(x, p50, p99)] = points[..] {
            // One second has no line, so its range is drawn upright.
            let _ = write!(
                svg,
                r#"<path class="line thin s{series}" d="M{x:.1} {p50:.1}V{p99:.1}"/>"#
            );
        }
        dots(&mut svg, *series, lower);
    }
    let what = "Latency over time";
    let caption = "The thick line is the median, the thin one above it the 99th percentile. \
                   The scale grows by factors: a small step up is a long wait.";
    let desc = describe(&stages, |stage| {
        format!(
            "median {}, 99th percentile {}",
            figure::ms(stage.latency_ms.p50),
            figure::ms(stage.latency_ms.p99)
        )
    });
    let (head, rows) = plot.table(&stages, "median / p99", |second| {
        format!("{} / {}", figure::ms(second.p50), figure::ms(second.p99))
    });
    Some(Chart {
        title: what.into(),
        caption: caption.into(),
        svg: plot.close(&svg, what, &desc),
        head,
        rows,
    })
}

/// Successful requests of each second. `None` without figures.
#[must_use]
pub fn throughput(columns: &[Column<'_>]) -> Option<Chart> {
    let stages = with_seconds(columns);
    if stages.is_empty() {
        return None;
    }
    let highest = stages
        .iter()
        .flat_map(|(_, stage)| &stage.per_second)
        .map(|second| figure::float(second.requests - second.failed.min(second.requests)))
        .fold(1.0, f64::max);
    // Equal steps are equal factors, and nothing at all still has a place: log(1 + n).
    let decades = highest.log10().ceil().max(1.0);
    let top = (1.0 + 10f64.powf(decades)).log10();
    let plot = Plot::new(&stages, HEIGHT);
    let at = |n: f64| plot.y((1.0 + n).log10() / top);
    let mut ticks = vec![0.0];
    let mut tick = 1.0;
    while tick <= 10f64.powf(decades) {
        ticks.push(tick);
        tick *= 10.0;
    }
    let mut svg = plot.frame(&ticks, at, &short_count);
    for (series, stage) in &stages {
        let points = stage.per_second.iter().enumerate().map(|(i, second)| {
            (
                plot.x(i),
                at(figure::float(second.requests.saturating_sub(second.failed))),
            )
        });
        let _ = write!(
            svg,
            r#"<path class="line s{series}" d="{}"/>"#,
            path(points.clone())
        );
        dots(&mut svg, *series, points);
    }
    let what = "Successful requests per second";
    let desc = describe(&stages, |stage| {
        format!(
            "{} requests a second, of which {} succeed",
            figure::number(stage.requests_per_second),
            figure::percent(stage.success_rate)
        )
    });
    let (head, rows) = plot.table(&stages, "succeeded / failed", |second| {
        format!(
            "{} / {}",
            figure::count(second.requests.saturating_sub(second.failed)),
            figure::count(second.failed)
        )
    });
    Some(Chart {
        title: what.into(),
        caption: "Only answers that succeed count here. Each grid line up is ten times as many."
            .into(),
        svg: plot.close(&svg, what, &desc),
        head,
        rows,
    })
}

/// How the latencies of each stage are spread, one above the other. `None` without figures.
#[must_use]
pub fn distribution(columns: &[Column<'_>]) -> Option<Chart> {
    let stages: Vec<(usize, &Stage)> = numbered(columns)
        .filter(|(_, stage)| !stage.histogram.is_empty())
        .collect();
    let x = Log::new(stages.iter().flat_map(|(_, stage)| {
        stage
            .histogram
            .iter()
            .flat_map(|bucket| [bucket.up_to_ms / STEP, bucket.up_to_ms])
    }))?;
    // All ridges together are as high as the other charts while there are few of them.
    let ridge = ((HEIGHT - TOP - BOTTOM) / figure::float(stages.len() as u64)).clamp(52.0, 90.0);
    let height = TOP + ridge * figure::float(stages.len() as u64) + BOTTOM;
    let plot = Plot {
        seconds: 1,
        height,
        left: 8.0,
    };
    let at = |ms: f64| plot.left + (WIDTH - plot.left - RIGHT) * x.share(ms);
    let bottom = height - BOTTOM;
    let mut svg = String::new();
    for tick in x.ticks() {
        let at = at(tick);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{bottom:.1}"/>"#
        );
    }
    for tick in x.labels() {
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            at(tick).clamp(14.0, WIDTH - 16.0),
            bottom + 17.0,
            short_ms(tick)
        );
    }
    for (row, (series, stage)) in stages.iter().enumerate() {
        let base = TOP + ridge * figure::float(row as u64 + 1);
        let highest = stage.histogram.iter().map(|b| b.count).max().unwrap_or(1);
        let mut outline = format!("M{:.1} {base:.1}", at(x.lowest()));
        for bucket in &stage.histogram {
            let (from, to) = (at(bucket.up_to_ms / STEP), at(bucket.up_to_ms));
            let up = (ridge - 30.0) * figure::float(bucket.count) / figure::float(highest.max(1));
            // A step that holds anything at all is seen.
            let y = base - up.max(0.8);
            let _ = write!(outline, "L{from:.1} {base:.1}V{y:.1}H{to:.1}V{base:.1}");
        }
        let _ = write!(
            svg,
            r#"<path class="ridge s{series}" d="{outline}Z"/><line class="axis" x1="{:.1}" x2="{:.1}" y1="{base:.1}" y2="{base:.1}"/>"#,
            plot.left,
            WIDTH - RIGHT
        );
        for quantile in [stage.latency_ms.p50, stage.latency_ms.p99] {
            let at = at(quantile);
            let _ = write!(
                svg,
                r#"<line class="mark s{series}" x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                base - ridge + 24.0,
                base + 3.0
            );
        }
        let _ = write!(
            svg,
            r#"<text class="name halo" x="{:.1}" y="{:.1}"><tspan class="strong">{}</tspan>  median {}, p99 {}</text>"#,
            plot.left,
            base - ridge + 14.0,
            name(stage),
            figure::ms(stage.latency_ms.p50),
            figure::ms(stage.latency_ms.p99)
        );
    }
    let what = "How the latencies are spread";
    let desc = describe(&stages, |stage| {
        format!(
            "median {}, 99th percentile {}, slowest {}",
            figure::ms(stage.latency_ms.p50),
            figure::ms(stage.latency_ms.p99),
            figure::ms(stage.latency_ms.max)
        )
    });
    let rows = stages
        .iter()
        .map(|(_, stage)| {
            let of = stage.latency_ms;
            let mut row = vec![stage.title.clone()];
            row.extend([of.mean, of.p50, of.p90, of.p99, of.max].map(figure::ms));
            row
        })
        .collect();
    Some(Chart {
        title: what.into(),
        caption: "The higher, the more requests took that long. The two upright lines are the \
                  median and the 99th percentile."
            .into(),
        svg: plot.close(&svg, what, &desc),
        head: ["Stage", "mean", "median", "p90", "p99", "slowest"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    })
}

/// The ratio of the upper and the lower bound of a histogram's step; see `histogram`.
const STEP: f64 = 1.25;

/// What each column shows, with its series.
fn numbered<'a>(columns: &'a [Column<'a>]) -> impl Iterator<Item = (usize, &'a Stage)> {
    columns.iter().map(|column| (column.series, column.shown))
}

fn with_seconds<'a>(columns: &'a [Column<'a>]) -> Vec<(usize, &'a Stage)> {
    numbered(columns)
        .filter(|(_, stage)| !stage.per_second.is_empty())
        .collect()
}

fn name(stage: &Stage) -> String {
    html(&shorten(&one_line(&stage.title), 22))
}

fn describe(stages: &[(usize, &Stage)], of: impl Fn(&Stage) -> String) -> String {
    stages
        .iter()
        .map(|(_, stage)| format!("{}: {}.", name(stage), of(stage)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn dots(svg: &mut String, series: usize, points: impl Iterator<Item = (f64, f64)>) {
    for (x, y) in points {
        let _ = write!(
            svg,
            r#"<circle class="dot s{series}" cx="{x:.1}" cy="{y:.1}" r="2.6"/>"#
        );
    }
}

fn short_ms(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{} s", ms / 1000.0)
    } else {
        format!("{ms} ms")
    }
}

fn short_count(n: f64) -> String {
    if n >= 1_000_000.0 {
        format!("{}M", n / 1_000_000.0)
    } else if n >= 1000.0 {
        format!("{}k", n / 1000.0)
    } else {
        format!("{n}")
    }
}
