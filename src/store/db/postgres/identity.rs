//! Which database a server of PostgreSQL has: a replica must have the one of its primary.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::sync::{Notify, OnceCell};

use super::PostgresPool;
use crate::store::db::StoreError;
use crate::store::db::database::Sql;

/// The number of the cluster, which its physical replicas have too, and the database. A role without the right to read
/// the number compares a secret of the database, which a copy by dump and restore has too.
const BY_NUMBER: &str =
    "SELECT system_identifier::text || ' ' || current_database() FROM pg_control_system()";
const BY_SECRET: &str = "SELECT encode(sha256(secret), 'hex') || ' ' || current_database() FROM cursor_keys";
/// Whether the role may read the number.
const MAY_READ_NUMBER: &str = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')";

/// The database of a primary.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    expected: OnceCell<Expected>,
    mismatches: Notify,
}

#[derive(Debug)]
struct Expected {
    query: &'static str,
    answer: String,
}

impl Identity {
    /// Asks the primary, the first time.
    pub(crate) async fn learn(&self, primary: &PostgresPool) -> Result<(), StoreError> {
        let ask = async || {
            let first = async |query: &'static str| {
                let rows = primary.fetch_all(&Sql::new(query)).await?;
                let row = rows.into_iter().next();
                row.ok_or(StoreError::Invariant(
                    "a query of the database's identity returned no row",
                ))
            };
            let query = if first(MAY_READ_NUMBER).await?.get::<bool>(0)? {
                BY_NUMBER
            } else {
                BY_SECRET
            };
            let answer = first(query).await?.get(0)?;
            Ok::<_, StoreError>(Expected { query, answer })
        };
        self.expected.get_or_try_init(ask).await?;
        Ok(())
    }

    /// Whether a connection leads to this database. True as long as the primary was not asked.
    pub(super) async fn is_of(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Some(expected) = self.expected.get() else {
            return Ok(true);
        };
        let row = sqlx::raw_sql(AssertSqlSafe(expected.query))
            .fetch_one(connection)
            .await?;
        let is_same = row.try_get::<String, _>(0)? == expected.answer;
        if !is_same {
            self.mismatches.notify_waiters();
        }
        Ok(is_same)
    }

    /// Ready when a connection leads to another database.
    pub(crate) async fn wait_for_mismatch(&self) {
        self.mismatches.notified().await;
    }
}
