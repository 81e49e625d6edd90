//! feedgrade grades backend exercises by running them: it builds a learner's server, starts a real
//! Postgres, puts both under load, reads the database's plans and log, checks the written answers,
//! and tells what it saw.
//!
//! # The idea: see, then judge, then show
//!
//! ```text
//! exercises/<slug>/exercise.yaml ─┐                  rubrics/<slug>.yaml   templates/report.html
//! submission folder ──────────────┤                          │                      │
//!                                 ▼                          ▼                      ▼
//!                    gather ──► Evidence ─────────► judge ─► Grade ─► Report ─► format
//!        sandbox database        evidence.json      (pure)            report.json (pure)
//!        server  load
//!             └── Event ──► console (stderr)
//! ```
//!
//! Gathering evidence is slow, has effects and can fail. Judging and formatting are pure: the same
//! evidence and the same rubric give the same report, byte for byte. `evidence.json` is saved
//! between the two, so `feedgrade regrade` marks a class again in a second.
//!
//! # Whose fault it is
//!
//! | whose | how it travels | what the learner gets | exit |
//! | --- | --- | --- | --- |
//! | the learner's | a value in [`evidence::Evidence`], then a verdict with a reason | fewer points, and why | 0 or 1 |
//! | the author's | an error with file, line and caret, before anything starts | nothing ran | 2 |
//! | the machine's | `Err`, or [`evidence::Fact::Unknown`] and the verdict `ungraded` | no grade, never a zero | 3 |
//!
//! # Words
//!
//! exercise (how to run) · rubric (how to judge) · criterion (one way to earn points) · check (a
//! kind of criterion) · submission (a learner's folder) · sandbox (its scratch copy) · server (the
//! learner's running program) · stage (one stretch of load) · probe (requests whose answers are
//! compared with the database) · evidence (what was seen) · verdict (the answer to one criterion) ·
//! grade (all verdicts) · report (grade, evidence, where and when) · format (a way to write
//! reports) · backend (a way to get a Postgres) · specimen (a known submission with its expected
//! verdicts) · batch (many submissions) · class (what a batch found, a row a member) · shard (a part
//! of a class, for one of several machines) · sheet (a table that an instructor exported, which is
//! filled in).
//!
//! # Modules
//!
//! In dependency order: **a module uses only modules that are listed above it.** A test holds this.

// Words: pure data.
pub mod yaml;
pub mod histogram;
pub mod query_plan;
pub mod exercise;
pub mod submission;
pub mod answers;
pub mod evidence;
pub mod grade;

// Judgement: pure, never measures.
pub mod sequential;
pub mod check;
pub mod rubric;
pub mod judge;
pub mod marks;
pub mod agreement;
pub mod ablation;
pub mod rubric_lint;
pub mod report;
pub mod class;
pub mod exit_code;
pub mod event;

// Hands: effects. They know no rubric and no console.
pub mod scratch;
pub mod port;
pub mod cores;
pub mod cgroup;
pub mod confinement;
pub mod launcher;
pub mod process;
pub mod isolation;
pub mod watch;
pub mod sandbox;
pub mod cache;
pub mod cargo;
pub mod sql_script;
pub mod server_log;
pub mod database;
pub mod migration;
pub mod server;
pub mod probing;
pub mod load;
pub mod out_dir;

// Conductors: order the hands, know the whole story.
pub mod content;
pub mod loadtest;
pub mod gather;
pub mod authoring;
pub mod batch;

// Faces: what people and machines see.
pub mod format;
pub mod console;
pub mod cli;
