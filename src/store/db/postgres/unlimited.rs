//! Work without time limits: migrations and the creation of indexes, which commands of operators do.

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::PostgresPool;
use super::limits::no_limits_text;
use crate::store::db::StoreError;

/// The number of the advisory lock of migrations.
const MIGRATION_LOCK: i64 = 0x526f_6c6c_626f_6f6b;

impl PostgresPool {
    /// Runs the migrations that are missing, on a connection that does not belong to the pool any more and has no limits.
    ///
    /// Two replicas migrate one after the other, and the second waits as long as the first needs. Behind a pooler, the lock
    /// and the names of the migrator's statements must not outlive the transaction, because the connection to the database
    /// goes on to other clients.
    pub(in crate::store::db) async fn migrate(&self, mut migrator: Migrator) -> Result<(), StoreError> {
        migrator.set_locking(false);
        let mut connection = self.acquire_tested().await?.detach()?;
        if self.is_behind_pooler {
            let mut tx = connection.begin().await?;
            let prepare = format!(
                "{}; DEALLOCATE ALL; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
                no_limits_text("SET LOCAL")
            );
            tx.execute(AssertSqlSafe(prepare)).await?;
            migrator.run(&mut *tx).await?;
            tx.execute("DEALLOCATE ALL").await?;
            tx.commit().await?;
        } else {
            let prepare = format!(
                "{}; SELECT pg_advisory_lock({MIGRATION_LOCK})",
                no_limits_text("SET")
            );
            connection.execute(AssertSqlSafe(prepare)).await?;
            migrator.run(&mut connection).await?;
        }
        connection.close().await?; // this ends the lock
        Ok(())
    }

    /// Runs statements in one transaction, on a connection that does not belong to the pool any more. Migrations wait for it
    /// and it waits for them.
    pub(in crate::store::db) async fn execute_together(
        &self,
        statements: &[String],
    ) -> Result<(), StoreError> {
        let mut connection = self.acquire_tested().await?.detach()?;
        let mut tx = connection.begin().await?;
        let prepare = format!(
            "{}; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
            no_limits_text("SET LOCAL")
        );
        tx.execute(AssertSqlSafe(prepare)).await?;
        for statement in statements {
            tx.execute(AssertSqlSafe(statement.clone())).await?;
        }
        tx.commit().await?;
        connection.close().await?;
        Ok(())
    }

    /// Runs statements, each in a transaction of its own, on a connection that does not belong to the pool any more.
    pub(in crate::store::db) async fn execute_without_limits(
        &self,
        statements: &[String],
    ) -> Result<(), StoreError> {
        let mut connection = self.acquire_tested().await?.detach()?;
        if !self.is_behind_pooler {
            connection.execute(AssertSqlSafe(no_limits_text("SET"))).await?;
        }
        for statement in statements {
            connection.execute(AssertSqlSafe(statement.clone())).await?;
        }
        connection.close().await?;
        Ok(())
    }
}
