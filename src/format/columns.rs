//! Columns: the stages side by side, "Broken / After pooling / After index".
//!
//! One column a stage, in the order in which they ran, whatever an exercise calls them. It shows
//! the submission's figures where the submission ran, and the reference's beside them.

use super::figure;
use crate::exercise::ServerKind;
use crate::report::{Report, Stage};

/// One stage.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its colour and dash, 1 to 6. Only a starter's is 1, the colour of what is broken.
    pub series: usize,
    /// The figures that the column shows: the submission's, else the starter's.
    pub shown: &'a Stage,
    /// The reference's, when it ran too and is not shown already.
    pub reference: Option<&'a Stage>,
}

impl Column<'_> {
    /// Whose figures these are, for learners.
    #[must_use]
    pub fn whose(&self) -> &'static str {
        whose(self.shown.server)
    }

    /// Whether there are figures.
    #[must_use]
    pub fn measured(&self) -> bool {
        self.shown.requests > 0
    }
}

/// `your server`, `the starter` or `the reference`.
#[must_use]
pub fn whose(server: ServerKind) -> &'static str {
    match server {
        ServerKind::Submission => "your server",
        ServerKind::Starter => "the starter",
        ServerKind::Reference => "the reference",
    }
}

/// The stages of a report side by side.
#[must_use]
pub fn columns(report: &Report) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for stage in &report.stages {
        match columns
            .iter_mut()
            .find(|column| column.shown.id == stage.id)
        {
            None => columns.push(Column {
                series: 1,
                shown: stage,
                reference: None,
            }),
            Some(column) => match (column.shown.server, stage.server) {
                (_, ServerKind::Reference) => column.reference = Some(stage),
                (ServerKind::Reference, _) => {
                    column.reference = Some(column.shown);
                    column.shown = stage;
                }
                (_, ServerKind::Submission) => column.shown = stage,
                (_, ServerKind::Starter) => {}
            },
        }
    }
    let others = columns
        .iter_mut()
        .filter(|column| column.shown.server != ServerKind::Starter);
    for (i, column) in others.enumerate() {
        column.series = i % 5 + 2;
    }
    columns
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Share of requests that succeeded.
    Success,
    /// Mean latency.
    Mean,
    /// 99th percentile of the latency.
    P99,
    /// Requests a second.
    Throughput,
    /// Attempts to connect to the database per 100 successful requests.
    Connections,
}

impl Line {
    /// Every line, from top to bottom.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::Mean,
        Self::P99,
        Self::Throughput,
        Self::Connections,
    ];

    /// Its heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Success => "Requests that succeed",
            Self::Mean => "Mean latency",
            Self::P99 => "p99 latency",
            Self::Throughput => "Requests per second",
            Self::Connections => "New connections per 100 that succeed",
        }
    }

    /// What it means, for someone who meets it for the first time.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "answered with the right status",
            Self::Mean => "from sending a request to the end of its answer",
            Self::P99 => "99 of 100 requests are at least this fast",
            Self::Throughput => "failed ones count too",
            Self::Connections => "database connections for 100 that succeed",
        }
    }

    /// The figure of a stage; a dash when there is none.
    #[must_use]
    pub fn figure(self, stage: &Stage) -> String {
        if stage.requests == 0 {
            return "–".to_owned();
        }
        match self {
            Self::Success => figure::percent(stage.success_rate),
            Self::Mean => figure::ms(stage.latency_ms.mean),
            Self::P99 => figure::ms(stage.latency_ms.p99),
            Self::Throughput => figure::number(stage.requests_per_second),
            Self::Connections => match &stage.connections {
                None => "–".to_owned(),
                Some(seen) if seen.successful_requests == 0 => "none succeeded".to_owned(),
                Some(seen) => figure::per_100(seen.attempts, seen.successful_requests),
            },
        }
    }
}
