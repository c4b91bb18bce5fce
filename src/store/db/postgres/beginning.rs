//! The beginnings of transactions, with the limits of the pool.

use super::limits::{
    LONG_IDLE_TEXT, STREAM_RESOURCES, idle_text, limits_text, read_plans_text, stream_limits_text,
};
use super::{APPLICATION, Access, GRACE, PostgresPool, PostgresTx, READ_ATTEMPTS, Work};
use crate::base::clock::Clock;
use crate::store::db::StoreError;

impl PostgresPool {
    /// Begins a transaction. Nothing is written by it yet, so a lost connection is replaced.
    pub(in crate::store::db) async fn begin(&self) -> Result<PostgresTx, StoreError> {
        self.begin_with(&self.begin_text()).await
    }

    /// The statements that begin a transaction with the limits of this pool.
    pub(super) fn begin_text(&self) -> String {
        let limits = limits_text(&self.limits, self.work, "SET LOCAL");
        match (self.access, &self.moment) {
            (Access::Write, None) => format!("BEGIN; {limits}"),
            (_, moment) => {
                let begin = moment
                    .as_ref()
                    .map_or_else(|| "BEGIN READ ONLY".to_owned(), |moment| moment.begin_text());
                format!("{begin}; {limits}; {}", read_plans_text("SET LOCAL"))
            }
        }
    }

    /// Begins a transaction for one query, of which the rows are read for as long as a client needs. The database does not
    /// limit it. Also returns the unique name of the connection until the end of the transaction, for
    /// [`PostgresPool::works_at`].
    pub(in crate::store::db) async fn begin_stream(&self) -> Result<(PostgresTx, String), StoreError> {
        self.begin_named("BEGIN READ ONLY", &idle_text(&self.limits))
            .await
    }

    /// [`PostgresPool::begin_stream`] for a snapshot that others import. The transaction is idle until the stream begins,
    /// and after its end for as long as the last rows are written.
    pub(super) async fn begin_shared_stream(&self) -> Result<(PostgresTx, String), StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.begin_named(begin, LONG_IDLE_TEXT).await
    }

    async fn begin_named(&self, begin: &str, idle: &str) -> Result<(PostgresTx, String), StoreError> {
        let name = format!("{APPLICATION} {}", Clock::system().new_uuid());
        let text = format!(
            "{begin}; {}; {idle}; SET LOCAL application_name = '{name}'; {STREAM_RESOURCES}",
            stream_limits_text()
        );
        Ok((self.begin_with(&text).await?, name))
    }

    /// Begins a transaction of which all queries read the database as it was at the first one. The database does not
    /// limit its time.
    pub(in crate::store::db) async fn begin_snapshot(&self) -> Result<PostgresTx, StoreError> {
        let text = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}; {LONG_IDLE_TEXT}",
            stream_limits_text()
        );
        self.for_work(Work::Long).begin_with(&text).await
    }

    async fn begin_with(&self, text: &str) -> Result<PostgresTx, StoreError> {
        let limit = self.limits.of_statement(self.work) + GRACE;
        let mut attempt = 1;
        let mut lease = self.acquire_somewhere().await?;
        loop {
            // If the caller drops this future, the transaction is rolled back as if it had begun.
            let mut tx = PostgresTx::new(lease, limit);
            match tx.lease()?.execute_text(text, self.limits.begin).await {
                Ok(()) => return Ok(tx),
                Err(error) if error.is_disconnected() && attempt < READ_ATTEMPTS => {
                    attempt += 1;
                    lease = self.for_another_try().acquire_tested().await?;
                }
                Err(error) => {
                    tx.lease()?.discard();
                    return Err(error);
                }
            }
        }
    }
}
