//! A connection that is in use, and a transaction on one.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres};
use tokio::time::timeout;

use super::limits::limits_text;
use super::{GRACE, PostgresPool, RETURN_TIME, Work};
use crate::store::db::StoreError;
use crate::store::db::database::{Row, Sql};

/// A query that changes nothing, and what is read of its rows.
pub(crate) trait Read: Sync {
    /// What is read.
    type Rows: Send;

    /// Reads within the limit.
    fn read(
        &self,
        lease: &mut Lease,
        limit: Duration,
    ) -> impl Future<Output = Result<Self::Rows, StoreError>> + Send;
}

/// All rows of a query.
pub(super) struct AllRows<'s>(pub(super) &'s Sql);

impl Read for AllRows<'_> {
    type Rows = Vec<Row>;

    async fn read(&self, lease: &mut Lease, limit: Duration) -> Result<Vec<Row>, StoreError> {
        lease.fetch_all(self.0, limit).await
    }
}

/// A connection of a pool, until it is dropped. After a failure it is closed and does not return to the pool.
pub(crate) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    pool: PostgresPool,
}

impl Lease {
    pub(in crate::store::db) fn new(connection: PoolConnection<Postgres>, pool: PostgresPool) -> Self {
        Self {
            connection: Some(connection),
            pool,
        }
    }

    /// The connection, which does not belong to the pool any more.
    pub(in crate::store::db) fn detach(mut self) -> Result<PgConnection, StoreError> {
        Ok(self.connection.take().ok_or_else(closed)?.detach())
    }

    pub(in crate::store::db) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.connection.as_deref_mut().ok_or_else(closed)
    }

    /// The pool to which the connection belongs.
    pub(in crate::store::db) fn pool(&self) -> &PostgresPool {
        &self.pool
    }

    /// Closes the connection at once, without waiting for the database. The database ends its transaction.
    pub(in crate::store::db) fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }

    /// Leaves no connection here and returns it in a lease of its own.
    pub(super) fn take(&mut self) -> Self {
        Self {
            connection: self.connection.take(),
            pool: self.pool.clone(),
        }
    }

    /// The query as this connection sends it. Behind a pooler a prepared statement has no name, because the next
    /// transaction may run on another connection to the database.
    pub(in crate::store::db) fn query(
        &self,
        sql: &Sql,
    ) -> Result<Query<'static, Postgres, PgArguments>, StoreError> {
        let (text, arguments) = sql.for_postgres()?;
        Ok(self.query_with(text, arguments))
    }

    fn query_with(&self, text: String, arguments: PgArguments) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        query.persistent(!self.pool.is_behind_pooler)
    }

    pub(in crate::store::db) async fn fetch_all(
        &mut self,
        sql: &Sql,
        limit: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        let query = self.query(sql)?;
        let outcome = within(limit, query.fetch_all(self.connection()?)).await;
        let rows = self.observe(outcome)?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    pub(super) async fn execute(
        &mut self,
        text: String,
        arguments: PgArguments,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let query = self.query_with(text, arguments);
        let outcome = within(limit, query.execute(self.connection()?)).await;
        Ok(self.observe(outcome)?.rows_affected())
    }

    /// Runs statements without values in one round trip.
    pub(super) async fn execute_text(&mut self, text: &str, limit: Duration) -> Result<(), StoreError> {
        let connection = self.connection()?;
        let outcome = within(limit, connection.execute(AssertSqlSafe(text.to_owned()))).await;
        self.observe(outcome).map(drop)
    }

    /// Notes whether the connection works. If it does not, it is closed, and the idle ones are tested.
    pub(in crate::store::db) fn observe<T>(
        &mut self,
        outcome: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &outcome {
            Err(error) if error.is_disconnected() => {
                self.discard();
                self.pool.health.mark_as_suspect();
                self.pool.test_idle();
            }
            Err(error) if error.is_read_only() => {
                self.discard();
                self.pool.health.count_failure();
                self.pool.close_idle();
            }
            Ok(_) | Err(_) => self.pool.health.note_answer(),
        }
        outcome
    }
}

impl Drop for Lease {
    /// Returns the connection to the pool. It is tested there, within a limit.
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let returned = connection.return_to_pool();
            // The timer must belong to the runtime of the task, so it is created there.
            self.pool.home.spawn(async move {
                let _ = timeout(RETURN_TIME, returned).await; // after the limit the connection is closed
            });
        }
    }
}

/// Waits for the outcome of a query up to the limit.
pub(in crate::store::db) async fn within<T>(
    limit: Duration,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match timeout(limit, query).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StoreError::silence(limit)),
    }
}

/// A writing transaction. Without [`PostgresTx::commit`] it changes nothing.
pub(crate) struct PostgresTx {
    /// The connection; `None` after the end of the transaction.
    lease: Option<Lease>,
    /// The limit on a statement.
    limit: Duration,
}

impl PostgresTx {
    pub(in crate::store::db) fn new(lease: Lease, limit: Duration) -> Self {
        Self {
            lease: Some(lease),
            limit,
        }
    }

    pub(in crate::store::db) fn lease(&mut self) -> Result<&mut Lease, StoreError> {
        self.lease.as_mut().ok_or_else(closed)
    }

    pub(in crate::store::db) async fn fetch_all(&mut self, sql: &Sql) -> Result<Vec<Row>, StoreError> {
        let limit = self.limit;
        self.lease()?.fetch_all(sql, limit).await
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(in crate::store::db) async fn execute(
        &mut self,
        text: String,
        arguments: PgArguments,
    ) -> Result<u64, StoreError> {
        let limit = self.limit;
        self.lease()?.execute(text, arguments, limit).await
    }

    /// Lets the following statements take as long as [`Work::Long`].
    pub(in crate::store::db) async fn allow_long_statements(&mut self) -> Result<(), StoreError> {
        let limit = self.limit;
        let lease = self.lease()?;
        let limits = lease.pool.limits;
        lease
            .execute_text(&limits_text(&limits, Work::Long, "SET LOCAL"), limit)
            .await?;
        self.limit = limits.of_statement(Work::Long) + GRACE;
        Ok(())
    }

    /// Commits all changes.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownOutcome`] if the connection was lost before the answer came. With any other error nothing is
    /// stored.
    pub(in crate::store::db) async fn commit(mut self) -> Result<(), StoreError> {
        let limit = self.limit;
        let lease = self.lease()?;
        lease.connection()?; // if it was lost before, nothing is committed
        // If the caller drops this future, the connection is still in the transaction and is rolled back.
        let committed = lease.execute_text("COMMIT", limit).await;
        if committed.is_err() {
            lease.discard();
        }
        self.lease = None;
        match committed {
            Err(StoreError::Disconnected(cause)) => Err(StoreError::UnknownOutcome(cause)),
            outcome => outcome,
        }
    }

    pub(in crate::store::db) async fn rollback(mut self) -> Result<(), StoreError> {
        let limit = self.limit;
        let rolled_back = self.lease()?.execute_text("ROLLBACK", limit).await;
        if rolled_back.is_err() {
            self.lease()?.discard();
        }
        self.lease = None;
        rolled_back
    }
}

impl Drop for PostgresTx {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let home = lease.pool.home.clone();
            home.spawn(roll_back(lease, RETURN_TIME));
        }
    }
}

/// Ends a transaction without changes. If that is not possible in time, the connection is closed, which ends it too.
async fn roll_back(mut lease: Lease, limit: Duration) -> Result<(), StoreError> {
    let outcome = match lease.connection() {
        Ok(_) => lease.execute_text("ROLLBACK", limit).await,
        Err(_) => Ok(()), // the connection is closed already
    };
    if outcome.is_err() {
        lease.discard();
    }
    outcome
}

fn closed() -> StoreError {
    StoreError::Disconnected("the connection was closed after an earlier failure".to_owned())
}
