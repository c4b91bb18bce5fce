//! Reads on any connection of a pool: another connection is tried where one is lost or silent.

use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout};

use super::lease::AllRows;
use super::{GRACE, Lease, PostgresPool, PostgresTx, READ_ATTEMPTS, Read, Work};
use crate::store::db::StoreError;
use crate::store::db::database::{Row, Sql};

/// A short query is tried on a second connection after this part of its limit: a quarter.
const SECOND_TRY_PART: u32 = 4;
/// The most queries of a pool that are tried on a second connection at the same time.
pub(super) const MOST_SECOND_TRIES: usize = 4;

impl PostgresPool {
    /// Reads all rows of a query.
    pub(in crate::store::db) async fn fetch_all(&self, sql: &Sql) -> Result<Vec<Row>, StoreError> {
        self.read(&AllRows(sql)).await
    }

    /// Reads all rows of a query, without help of the primary.
    pub(in crate::store::db) async fn fetch_all_here(&self, sql: &Sql) -> Result<Vec<Row>, StoreError> {
        let mut alone = self.clone();
        alone.fallback = None;
        alone.fetch_all(sql).await
    }

    /// Reads. If the connection is lost, another one is tried, since a read changes nothing.
    pub(in crate::store::db) async fn read<R: Read>(&self, query: &R) -> Result<R::Rows, StoreError> {
        let limit = self.limits.of_read(self.work) + GRACE;
        let deadline = Instant::now() + self.limits.of_read(self.work);
        let mut lease = self.acquire_somewhere().await?;
        let mut attempt = 1;
        loop {
            match self.read_or_try_another(&mut lease, query, limit).await {
                Err(error)
                    if error.is_worth_a_retry() && attempt < READ_ATTEMPTS && Instant::now() < deadline =>
                {
                    attempt += 1;
                    lease = self.for_another_try().acquire_tested().await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads. If a short query takes long, it is sent on another connection too, and the first answer counts: the first
    /// connection may be silent. A slow database gets only [`MOST_SECOND_TRIES`] more queries at a time by that; the others
    /// wait for their turn.
    async fn read_or_try_another<R: Read>(
        &self,
        lease: &mut Lease,
        query: &R,
        limit: Duration,
    ) -> Result<R::Rows, StoreError> {
        let mut first = Box::pin(self.read_once(lease, query, limit));
        if self.work == Work::Long {
            return first.await;
        }
        if let Ok(outcome) = timeout(limit / SECOND_TRY_PART, &mut first).await {
            return outcome;
        }
        let second = Box::pin(async {
            let _permit = self
                .second_tries
                .acquire()
                .await
                .map_err(|_| StoreError::Closed)?;
            let mut lease = self.for_another_try().acquire_tested().await?;
            self.read_once(&mut lease, query, limit).await
        });
        let rows = match select(first, second).await {
            Either::Left((Err(error), second)) if error.is_disconnected() => {
                let rows = timeout(self.limits.wait, second).await;
                return rows.unwrap_or(Err(error));
            }
            Either::Left((outcome, _)) => return outcome,
            Either::Right((Err(_), first)) => return first.await,
            Either::Right((Ok(rows), _)) => rows,
        };
        // The first connection has still not answered.
        lease.discard();
        self.health.mark_as_suspect();
        self.test_idle();
        Ok(rows)
    }

    /// Reads on this connection. At a fixed moment, the query gets a transaction of its own. Behind a pooler too: the pooler
    /// may run the parts of a query outside of one on different connections. Its rows are the result, so it is ended in the
    /// background.
    async fn read_once<R: Read>(
        &self,
        lease: &mut Lease,
        query: &R,
        limit: Duration,
    ) -> Result<R::Rows, StoreError> {
        if !self.is_behind_pooler && self.moment.is_none() {
            return query.read(lease, limit).await;
        }
        let mut tx = PostgresTx::new(lease.take(), limit);
        let begin = self.begin_text();
        tx.lease()?.execute_text(&begin, self.limits.begin).await?;
        query.read(tx.lease()?, limit).await
    }
}
