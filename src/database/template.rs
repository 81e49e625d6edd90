//! The template: one database that is filled once and copied for every server that is graded.

use anyhow::{Context as _, Result, anyhow};

use super::session::identifier;
use super::{Database, ours};
use crate::sql_script;

impl Database {
    /// Makes the database that all clones are copies of, once: its tables, its rows, and
    /// statistics about them.
    ///
    /// # Errors
    /// When a statement fails: its author's fault, with the line. Or when the database is lost.
    pub async fn make_template(&self, schema: &str, seed: &str) -> Result<()> {
        let inner = &self.inner;
        let (owner, template) = (inner.owner(), inner.template());
        inner
            .run(&format!("CREATE ROLE {} NOLOGIN", identifier(&owner)))
            .await?;
        inner
            .run(&format!(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' \
                 LOCALE_PROVIDER libc LOCALE 'C'",
                identifier(&template),
                identifier(&owner)
            ))
            .await?;
        let session = inner.enter(&template).await?;
        ours(
            session
                .run(format!(
                    "SET search_path = public; SET ROLE {}",
                    identifier(&owner)
                ))
                .await?,
        )?;
        for (file, script) in [("schema", schema), ("seed", seed)] {
            let statements = sql_script::split(script)
                .map_err(|unreadable| anyhow!("line {}: {}", unreadable.line, unreadable.why))
                .with_context(|| format!("read the exercise's {file}"))?;
            for statement in statements {
                ours(session.run(statement.sql.into()).await?).with_context(|| {
                    format!(
                        "run the exercise's {file}, statement in line {}",
                        statement.line
                    )
                })?;
            }
        }
        ours(session.run("RESET ROLE".into()).await?)?;
        ours(session.run("VACUUM (FREEZE, ANALYZE)".into()).await?)?;
        session.close().await;
        // Copies then need nobody to leave the template, and a clone's tables can be given to its
        // role without the template itself.
        let close = format!(
            "ALTER DATABASE {template} OWNER TO CURRENT_USER; \
             ALTER DATABASE {template} ALLOW_CONNECTIONS false",
            template = identifier(&template)
        );
        inner.run(&close).await?;
        inner.run("CHECKPOINT").await
    }
}
