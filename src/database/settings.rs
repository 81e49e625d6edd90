//! The settings of every database that submissions are graded on, all in one place, and why.
//!
//! Planner settings are not listed: they stay at Postgres' defaults, and that is held by
//! [`super::Database`] on every backend.

use anyhow::Result;

use super::ours;
use super::session::Session;

/// A setting, and where it can be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) scope: Scope,
}

/// Where a setting can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Only for a whole server. A server that was given (`--database URL`) must have it.
    Server,
    /// Only for a whole server, and not needed: less noise on servers that are started here.
    Throwaway,
    /// For one database too.
    Database,
}

const fn setting(name: &'static str, value: &'static str, scope: Scope) -> Setting {
    Setting { name, value, scope }
}

/// The table.
pub(super) const SETTINGS: &[Setting] = &[
    // The exercises' numbers were found with it; also Postgres' own default.
    setting("max_connections", "100", Scope::Server),
    // The log is read through SQL, which works in a container and on another machine too.
    setting("logging_collector", "on", Scope::Server),
    // One line an entry, with roles and databases in fields of their own. Postgres 15 and later.
    setting("log_destination", "jsonlog", Scope::Server),
    // Attempts to connect are evidence, refused and abandoned ones included.
    setting("log_connections", "on", Scope::Server),
    // The log's instants are compared with the load's.
    setting("log_timezone", "UTC", Scope::Server),
    // The log's messages are read by a program.
    setting("lc_messages", "C", Scope::Server),
    // `terse` would leave out bound parameters, which are in the detail; -1 keeps them whole.
    setting("log_error_verbosity", "default", Scope::Server),
    setting("log_parameter_max_length", "-1", Scope::Server),
    // One log file for a run: no rotation in the middle of a stage.
    setting("log_directory", "log", Scope::Throwaway),
    setting("log_filename", "feedgrade.log", Scope::Throwaway),
    setting("log_rotation_age", "0", Scope::Throwaway),
    setting("log_rotation_size", "0", Scope::Throwaway),
    // A server in distress fails thousands of statements a second; their text is no evidence.
    setting("log_min_error_statement", "panic", Scope::Throwaway),
    // The data outlives nothing, so nothing is gained by waiting for the disk, and much noise.
    setting("fsync", "off", Scope::Throwaway),
    setting("full_page_writes", "off", Scope::Throwaway),
    setting("wal_level", "minimal", Scope::Throwaway),
    setting("max_wal_senders", "0", Scope::Throwaway),
    // No checkpoint in the middle of a stage.
    setting("checkpoint_timeout", "1h", Scope::Throwaway),
    setting("max_wal_size", "4GB", Scope::Throwaway),
    // Nor a vacuum or an analyze, which would make two runs of one server differ. The template is
    // vacuumed and analyzed, its statistics are copied with it, and `ClonedDatabase::settle` does
    // the same after migrations.
    setting("autovacuum", "off", Scope::Throwaway),
    // What initdb chooses on all but tiny machines. The exercises' data fits in.
    setting("shared_buffers", "128MB", Scope::Throwaway),
    // Sorting without end must not fill the disk. No role can lift it.
    setting("temp_file_limit", "1GB", Scope::Throwaway),
    setting("cluster_name", "feedgrade", Scope::Throwaway),
    // Compiling a query takes longer than the queries of the exercises, and comes and goes with
    // the planner's estimates.
    setting("jit", "off", Scope::Database),
    // As for fsync.
    setting("synchronous_commit", "off", Scope::Database),
    // Else the machine's own: an answer must not depend on where it is graded.
    setting("TimeZone", "UTC", Scope::Database),
    setting(
        "default_text_search_config",
        "pg_catalog.english",
        Scope::Database,
    ),
];

/// The settings that change plans, as a condition on `pg_settings`. Kept at Postgres' defaults,
/// but for the table's.
pub(super) const PLANNER: &str = "category LIKE 'Query Tuning%' OR name IN ('work_mem', \
    'hash_mem_multiplier', 'temp_buffers', 'effective_io_concurrency', \
    'max_parallel_workers_per_gather', 'max_parallel_workers', 'parallel_leader_participation')";

/// The settings that go into the report, as a condition on `pg_settings`.
pub(super) fn reported() -> String {
    let names: Vec<String> = SETTINGS
        .iter()
        .map(|setting| format!("'{}'", setting.name))
        .collect();
    format!(
        "{PLANNER} OR name IN ('maintenance_work_mem', 'superuser_reserved_connections', \
         'max_worker_processes', 'server_version', {})",
        names.join(", ")
    )
}

/// Everything that a session can set, at the values that a new session outside of clones has, and
/// planner settings at Postgres' defaults.
pub(super) async fn of_readers(admin: &Session) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT name, value FROM (SELECT name, CASE WHEN {PLANNER} THEN boot_val ELSE reset_val END, context \
         FROM pg_settings) AS s (name, value, context) WHERE value IS NOT NULL AND context = 'user' \
         AND name <> 'application_name' AND name NOT LIKE 'transaction\\_%'"
    );
    let mut values: Vec<(String, String)> = ours(admin.fetch(&sql, &[]).await?)?;
    let ours = [
        ("search_path", "pg_catalog, public, pg_temp"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        // A row that a policy hides is an error, not a missing row.
        ("row_security", "off"),
    ];
    let table = SETTINGS
        .iter()
        .filter(|setting| setting.scope == Scope::Database);
    values.extend(
        table
            .map(|setting| (setting.name, setting.value))
            .chain(ours)
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Ok(values)
}

/// Settings that a server that was given has otherwise than the ones that are started here, and that
/// can be made for one database.
pub(super) async fn of_clones(admin: &Session) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT name, boot_val FROM pg_settings \
         WHERE ({PLANNER}) AND boot_val <> reset_val AND context IN ('user', 'superuser')"
    );
    let mut values: Vec<(String, String)> = ours(admin.fetch(&sql, &[]).await?)?;
    let table = SETTINGS
        .iter()
        .filter(|setting| setting.scope == Scope::Database);
    values.extend(table.map(|setting| (setting.name.to_owned(), setting.value.to_owned())));
    Ok(values)
}
