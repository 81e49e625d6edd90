//! Gathering: everything that happens to one submission between its folder and its evidence.
//!
//! Knows the whole story and orders the hands. What the learner did wrong becomes evidence; what
//! the machine fails to do becomes an error, and then there is no grade.

mod program;
mod picks;
mod contender;
mod stage;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::future::try_join_all;
use serde_json::Value;

use crate::cargo;
use crate::content::{Assignment, Content};
use crate::cores::{self, Allotment};
use crate::database::{self, ClonedDatabase, Database};
use crate::event::{Event, OnEvent};
use crate::evidence::{
    self, Confined, Environment, Evidence, Footing, Migrations, Phase, ProbeRun, ServerRun,
    StageRun,
};
use crate::exercise::ServerKind;
use crate::isolation::Isolation;
use crate::probing;
use crate::sandbox;
use crate::scratch::Scratch;

use program::Program;

/// What to grade, and with what.
#[derive(Debug)]
pub struct Order<'a> {
    /// The submission's folder.
    pub submission: &'a Path,
    /// Its name in the report.
    pub name: String,
    /// Where exercises and references come from.
    pub content: &'a Content,
    /// The exercise.
    pub assignment: &'a Assignment,
    /// Where Postgres comes from.
    pub database: &'a database::Choice,
    /// Whether the submission's programs are confined.
    pub isolation: Isolation,
    /// Measures every stage to its full length, however sure one is before.
    pub is_full_length: bool,
}

/// Gathers the evidence of one submission.
///
/// # Errors
/// When the machine or the harness fails: then there is no grade.
pub async fn gather(
    order: &Order<'_>,
    scratch: &Scratch,
    on_event: OnEvent<'_>,
) -> Result<Evidence> {
    let built = build(order, scratch, on_event).await?;
    measure(order, &built, scratch, on_event).await
}

/// What was built, and what is known so far.
#[derive(Debug)]
pub struct Built {
    /// The submission's own first; none when it was not built.
    programs: Vec<Program>,
    evidence: Evidence,
}

impl Built {
    /// How the submission's own build ended.
    #[must_use]
    pub fn build_outcome(&self) -> &evidence::BuildOutcome {
        &self.evidence.build.outcome
    }
}

/// Builds all servers, and reads the answers.
///
/// # Errors
/// As [`gather`].
pub async fn build(order: &Order<'_>, scratch: &Scratch, on_event: OnEvent<'_>) -> Result<Built> {
    let mut run = Run::new(order, scratch, on_event);
    let isolation = order.isolation.reached(scratch).await?;
    let started_at = jiff::Timestamp::now().to_string();
    let folder = scratch.path().join("submission");
    // Before the build, which could change them.
    let answers = sandbox::read_answers(order.submission)?;
    let built = run.build_submission(&folder).await?;
    let mut programs = Vec::new();
    if let Some(binary) = built.binary {
        programs.push(Program {
            kind: ServerKind::Submission,
            binary,
            folder,
        });
        for kind in [ServerKind::Starter, ServerKind::Reference] {
            let stages = &order.assignment.exercise.stages;
            if stages.iter().any(|stage| stage.servers.contains(&kind)) {
                programs.push(run.build_own(kind).await?);
            }
        }
    }
    Ok(Built {
        programs,
        evidence: Evidence {
            version: evidence::VERSION,
            exercise: order.assignment.exercise.slug.value.clone(),
            submission: order.name.clone(),
            started_at,
            environment: environment(isolation, scratch).await?,
            answers,
            build: built.build,
            api: None,
            stages: Vec::new(),
            phases: run.phases,
        },
    })
}

/// Runs what was built, on a database of its own. May be called again, and measures anew.
///
/// # Errors
/// As [`gather`].
pub async fn measure(
    order: &Order<'_>,
    built: &Built,
    scratch: &Scratch,
    on_event: OnEvent<'_>,
) -> Result<Evidence> {
    let mut run = Run::new(order, scratch, on_event);
    let mut evidence = built.evidence.clone();
    if !built.programs.is_empty() {
        run.run_servers(&built.programs, &mut evidence).await?;
    }
    evidence.phases.extend(run.phases);
    Ok(evidence)
}

struct Run<'a> {
    order: &'a Order<'a>,
    scratch: &'a Scratch,
    on_event: OnEvent<'a>,
    cores: Allotment,
    phases: Vec<Phase>,
    clones: AtomicU32,
}

/// The databases of a run.
struct Ground {
    database: Database,
    /// The reference's own, so that nothing that a submission does to its database touches the
    /// yardstick. `None` on a server that was given, which is the only one there is.
    reference: Option<Database>,
    /// The submission changes its database itself when it starts.
    migrates_itself: bool,
}

impl Ground {
    fn of(&self, kind: ServerKind) -> &Database {
        match &self.reference {
            Some(database) if kind == ServerKind::Reference => database,
            _ => &self.database,
        }
    }
}

impl<'a> Run<'a> {
    fn new(order: &'a Order<'a>, scratch: &'a Scratch, on_event: OnEvent<'a>) -> Self {
        Self {
            order,
            scratch,
            on_event,
            cores: Allotment::new(order.assignment.exercise.server.cores),
            phases: Vec::new(),
            clones: AtomicU32::new(0),
        }
    }

    /// For names that are used once.
    fn next_number(&self) -> u32 {
        self.clones.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, name: &str, expected: Option<f64>) -> Instant {
        (self.on_event)(Event::PhaseStarted {
            name: name.to_owned(),
            expected,
        });
        Instant::now()
    }

    fn end(&mut self, name: &str, started: Instant, result: impl Into<String>) {
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.phases.push(Phase {
            name: name.to_owned(),
            seconds,
        });
        let result = result.into();
        (self.on_event)(Event::PhaseFinished {
            name: name.to_owned(),
            seconds,
            result,
        });
    }

    async fn run_servers(&mut self, programs: &[Program], evidence: &mut Evidence) -> Result<()> {
        let exercise = &self.order.assignment.exercise;
        let mut ground = self.start_databases(programs, evidence).await?;
        let (api, migrates_itself) = self.api(&programs[0], &ground.database).await?;
        ground.migrates_itself = migrates_itself;
        let not_ready = match &api {
            ServerRun::Ran { .. } => None,
            ServerRun::NotReady { reason, output } => Some((reason.clone(), output.clone())),
        };
        evidence.api = Some(api);
        for stage in &exercise.stages {
            match &not_ready {
                None => self.stage(stage, programs, &ground, evidence).await?,
                // It was not ready when it was alone; load would add nothing but minutes.
                Some((reason, output)) if stage.servers.contains(&ServerKind::Submission) => {
                    evidence.stages.push(StageRun {
                        stage: stage.id.value.clone(),
                        server: ServerKind::Submission,
                        migrations: Migrations::NotWanted,
                        run: ServerRun::NotReady {
                            reason: reason.clone(),
                            output: output.clone(),
                        },
                    });
                }
                Some(_) => {}
            }
        }
        let phase = "stop Postgres";
        let started = self.begin(phase, None);
        drop(ground);
        self.end(phase, started, "");
        Ok(())
    }

    /// Starts the databases and fills them.
    async fn start_databases(
        &mut self,
        programs: &[Program],
        evidence: &mut Evidence,
    ) -> Result<Ground> {
        let exercise = &self.order.assignment.exercise;
        let (image, cores) = (&exercise.database.image, &self.cores.served);
        let phase = "start Postgres";
        let started = self.begin(phase, None);
        let database = Database::start(
            self.order.database,
            image,
            cores,
            self.scratch,
            self.on_event,
        )
        .await?;
        let again = match database.kind() {
            database::Kind::Container => Some(database::Choice::Container),
            database::Kind::Local => Some(database::Choice::Local),
            database::Kind::Url => None,
        };
        let has_reference = programs
            .iter()
            .any(|program| program.kind == ServerKind::Reference);
        let reference = match again.filter(|_| has_reference) {
            Some(choice) => {
                Some(Database::start(&choice, image, cores, self.scratch, &|_| {}).await?)
            }
            None => None,
        };
        let held = cores::list(cores);
        evidence.environment = Environment {
            database: database.kind().to_string(),
            database_reason: database.reason().to_owned(),
            postgres: database.version().to_owned(),
            settings: database.settings().await?,
            footing: Footing {
                wanted: exercise.server.cores,
                database: match database.kind() {
                    database::Kind::Url => String::new(),
                    _ => held.clone(),
                },
                server: held,
                generator: cores::list(&self.cores.generator),
            },
            ..evidence.environment.clone()
        };
        self.end(phase, started, database.reason());

        let phase = "seed the database";
        let started = self.begin(phase, None);
        let folder = format!("exercises/{}/starter", *exercise.slug);
        let content = self.order.content;
        let schema = content.source(&format!("{folder}/{}", exercise.database.schema))?;
        let seed = content.source(&format!("{folder}/{}", exercise.database.seed))?;
        let databases = [Some(&database), reference.as_ref()];
        try_join_all(databases.into_iter().flatten().map(async |database| {
            database.limit_growth(exercise.database.disk_mib);
            database.make_template(&schema.text, &seed.text).await
        }))
        .await
        .with_context(|| format!("run {} and {}", schema.name, seed.name))?;
        self.end(phase, started, "");
        Ok(Ground {
            database,
            reference,
            migrates_itself: false,
        })
    }

    /// Asks the submission everything that the exercise's probes ask, without load. Also finds out
    /// whether the server changes its database by itself when it starts.
    async fn api(
        &mut self,
        program: &Program,
        database: &Database,
    ) -> Result<(ServerRun<Vec<ProbeRun>>, bool)> {
        let exercise = &self.order.assignment.exercise;
        let phase = "ask the server";
        let started = self.begin(phase, None);
        let own = database.clone("api").await?;
        self.check_truth(&own).await?;
        let before = shape(&own).await?;
        let server = match self.start(program, &own).await? {
            Ok(server) => server,
            Err(not_ready) => {
                self.end(phase, started, "it never became ready");
                return Ok((not_ready, false));
            }
        };
        let migrates_itself = is_migrated(&before, &shape(&own).await?);
        let mut seen = Vec::new();
        for probe in &exercise.probes {
            // Probes of a stage belong to its load.
            if exercise
                .stages
                .iter()
                .any(|s| s.during_load.as_ref().is_some_and(|id| **id == *probe.id))
            {
                continue;
            }
            (self.on_event)(Event::PhaseProgress {
                detail: probe.id.value.clone(),
            });
            seen.push(probing::run(probe, &server.url(), &own).await?);
        }
        let ready_after = server.ready_after;
        let (died, output) = server.stop().await;
        let died = died.or_else(|| own.excess());
        own.close().await?;
        self.end(phase, started, "");
        Ok((
            ServerRun::Ran {
                ready_after,
                seen,
                died,
                output,
            },
            migrates_itself,
        ))
    }

    /// Asks the exercise's own questions of untouched data: a mistake in them is the author's, and
    /// must not look like a learner's later on.
    async fn check_truth(&self, own: &ClonedDatabase) -> Result<()> {
        for probe in &self.order.assignment.exercise.probes {
            for sql in probe.steps.iter().filter_map(|step| step.rows.as_ref()) {
                if let Err(error) = own.rows(sql).await? {
                    bail!(
                        "the probe `{}` of the exercise asks the database: {error}",
                        *probe.id
                    );
                }
            }
        }
        Ok(())
    }
}

/// The tables of a database: one object each, with its name, columns and indexes.
async fn shape(own: &ClonedDatabase) -> Result<Vec<Value>> {
    let sql = "
        SELECT t.tablename AS name,
               (SELECT array_agg(c.column_name || ' ' || c.data_type ORDER BY c.ordinal_position)
                FROM information_schema.columns c
                WHERE c.table_schema = t.schemaname AND c.table_name = t.tablename) AS columns,
               (SELECT array_agg(i.indexdef ORDER BY i.indexdef)
                FROM pg_catalog.pg_indexes i
                WHERE i.schemaname = t.schemaname AND i.tablename = t.tablename) AS indexes
        FROM pg_catalog.pg_tables t
        WHERE t.schemaname NOT IN ('pg_catalog', 'information_schema')
        ORDER BY t.schemaname, t.tablename";
    own.rows(sql)
        .await?
        .map_err(|error| anyhow!("read the tables of a database: {error}"))
}

/// Whether a server migrated its database when it started: it left a migration tool's table, or
/// changed a table that was there. A table of its own beside them is no migration of theirs.
fn is_migrated(before: &[Value], after: &[Value]) -> bool {
    let is_history = |table: &Value| {
        let name = table["name"].as_str().unwrap_or_default();
        name.contains("migration") || name.contains("schema_history")
    };
    after
        .iter()
        .any(|table| is_history(table) && !before.contains(table))
        || before.iter().any(|table| !after.contains(table))
}

async fn environment(isolation: Confined, scratch: &Scratch) -> Result<Environment> {
    Ok(Environment {
        feedgrade: env!("CARGO_PKG_VERSION").to_owned(),
        database: "none".to_owned(),
        database_reason: "nothing was run".to_owned(),
        postgres: String::new(),
        settings: std::collections::BTreeMap::new(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        footing: Footing::default(),
        isolation,
        rustc: cargo::rustc_version(scratch).await?,
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_that_makes_a_table_of_its_own_has_not_migrated() {
        let posts = json!({"name": "posts", "columns": ["id bigint"], "indexes": ["pkey"]});
        let indexed =
            json!({"name": "posts", "columns": ["id bigint"], "indexes": ["pkey", "new"]});
        let before = [posts.clone()];
        assert!(!is_migrated(&before, &before));
        assert!(!is_migrated(
            &before,
            &[posts.clone(), json!({"name": "sessions"})]
        ));
        assert!(is_migrated(
            &before,
            &[posts, json!({"name": "_sqlx_migrations"})]
        ));
        assert!(is_migrated(&before, &[indexed]));
    }
}
