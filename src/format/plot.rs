//! Plot: scales, axes and the field that charts draw into.

use std::fmt::Write as _;

use super::figure;
use crate::evidence::Second;
use crate::report::Stage;

pub(super) const WIDTH: f64 = 310.0;
pub(super) const HEIGHT: f64 = 262.0;
pub(super) const LEFT: f64 = 48.0;
pub(super) const RIGHT: f64 = 8.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = 34.0;

/// A logarithmic scale from a power of ten to another.
pub(super) struct Log {
    low: f64,
    high: f64,
}

impl Log {
    /// Over all positive values; `None` when there is none.
    pub(super) fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .map(|value| value.max(0.01))
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| {
                (low.min(value), high.max(value))
            });
        low.is_finite().then(|| {
            let low = low.log10().floor();
            Self {
                low,
                high: high.log10().ceil().max(low + 1.0),
            }
        })
    }

    pub(super) fn lowest(&self) -> f64 {
        10f64.powf(self.low)
    }

    /// 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value.max(0.01).log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    pub(super) fn at(&self, value: f64, plot: &Plot) -> f64 {
        plot.y(self.share(value))
    }

    /// Powers of ten, and where there are few of them also their doubles and halves.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.high - self.low <= 2.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        self.steps(steps)
    }

    pub(super) fn labels(&self) -> Vec<f64> {
        self.steps(&[1.0])
    }

    pub(super) fn steps(&self, steps: &[f64]) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut decade = self.low;
        while decade <= self.high {
            ticks.extend(
                steps
                    .iter()
                    .map(|step| step * 10f64.powf(decade))
                    .filter(|tick| tick.log10() <= self.high + 1e-9),
            );
            decade += 1.0;
        }
        ticks
    }
}

/// A field for lines over seconds.
pub(super) struct Plot {
    pub(super) seconds: usize,
    pub(super) height: f64,
    pub(super) left: f64,
}

impl Plot {
    pub(super) fn new(stages: &[(usize, &Stage)], height: f64) -> Self {
        Self {
            seconds: stages
                .iter()
                .map(|(_, stage)| stage.per_second.len())
                .max()
                .unwrap_or(1),
            height,
            left: LEFT,
        }
    }

    /// The middle of a second.
    pub(super) fn x(&self, second: usize) -> f64 {
        self.edge(figure::float(second as u64) + 0.5)
    }

    /// Where so many seconds have passed.
    pub(super) fn edge(&self, seconds: f64) -> f64 {
        self.left + (WIDTH - self.left - RIGHT) * seconds / figure::float(self.seconds as u64)
    }

    /// From 0 at the bottom to 1 at the top.
    pub(super) fn y(&self, share: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (bottom - TOP) * share
    }

    pub(super) fn frame(
        &self,
        ticks: &[f64],
        y: impl Fn(f64) -> f64,
        label: &dyn Fn(f64) -> String,
    ) -> String {
        let (right, bottom) = (WIDTH - RIGHT, self.height - BOTTOM);
        let mut svg = String::new();
        for &tick in ticks {
            let at = y(tick);
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{:.1}" x2="{right:.1}" y1="{at:.1}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                self.left,
                self.left - 6.0,
                at + 4.0,
                label(tick)
            );
        }
        let step = self.seconds.div_ceil(6).max(1);
        for second in (0..=self.seconds).step_by(step) {
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{second}</text>"#,
                self.edge(figure::float(second as u64)).min(right - 4.0),
                bottom + 16.0
            );
        }
        let _ = write!(
            svg,
            r#"<line class="axis" x1="{:.1}" x2="{right:.1}" y1="{bottom:.1}" y2="{bottom:.1}"/><text class="unit" x="{right:.1}" y="{:.1}" text-anchor="end">seconds</text>"#,
            self.left,
            bottom + 30.0
        );
        svg
    }

    pub(super) fn close(&self, inside: &str, title: &str, desc: &str) -> String {
        format!(
            r#"<svg viewBox="0 0 {WIDTH} {:.0}" role="img"><title>{title}</title><desc>{desc}</desc>{inside}</svg>"#,
            self.height
        )
    }

    pub(super) fn table(
        &self,
        stages: &[(usize, &Stage)],
        what: &str,
        cell: impl Fn(&Second) -> String,
    ) -> (Vec<String>, Vec<Vec<String>>) {
        let mut head = vec!["Second".to_owned()];
        head.extend(
            stages
                .iter()
                .map(|(_, stage)| format!("{}: {what}", stage.title)),
        );
        let rows = (0..self.seconds)
            .map(|i| {
                let mut row = vec![(i + 1).to_string()];
                row.extend(
                    stages
                        .iter()
                        .map(|(_, stage)| stage.per_second.get(i).map_or("–".into(), &cell)),
                );
                row
            })
            .collect();
        (head, rows)
    }
}

pub(super) fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_powers_of_ten() {
        let scale = Log::new([14.0, 745.0].into_iter()).unwrap();
        assert_eq!(scale.labels().len(), 3);
        assert!((scale.lowest() - 10.0).abs() < 1e-9);
        assert!((scale.share(100.0) - 0.5).abs() < 1e-9);
        assert!(Log::new([].into_iter()).is_none());
        assert!(Log::new([0.0].into_iter()).is_some());
    }
}
