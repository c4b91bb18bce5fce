//! One moment of PostgreSQL, which several connections read: an exported snapshot.
//!
//! The transaction that exports the snapshot also reads the stream of rows. The other queries run in transactions of
//! their own that import it. They need the first one to be open, so the stream gives its transaction back at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{PostgresPool, PostgresTx};
use crate::store::db::StoreError;
use crate::store::db::database::Sql;

/// The transaction of a stream, and the unique name of its connection.
pub(in crate::store::db) type Stream = (PostgresTx, String);

/// A moment of the database. It lasts until the last pool that reads at it is dropped.
pub(super) struct Moment {
    /// The name by which other transactions import the snapshot.
    snapshot: String,
    /// `None` while a stream uses it, and after a failure.
    stream: Mutex<Option<Stream>>,
}

impl Moment {
    /// The statements that begin a transaction at this moment.
    ///
    /// Its queries look up the names of a chunk of rows, many times in an export. For a thousand keys PostgreSQL would read
    /// the whole directory each time, or all users for a join with the managers, with several processes.
    pub(super) fn begin_text(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{}'; \
             SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
             SET LOCAL max_parallel_workers_per_gather = 0",
            self.snapshot
        )
    }

    fn stream(&self) -> MutexGuard<'_, Option<Stream>> {
        // No code panics while it holds the lock.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresPool {
    /// The same pool with all queries at one moment, the present one. They run on the same server, which may be a replica.
    pub(in crate::store::db) async fn at_one_moment(&self) -> Result<Self, StoreError> {
        let (mut tx, name) = self.begin_shared_stream().await?;
        let rows = tx.fetch_all(&Sql::new("SELECT pg_export_snapshot()")).await?;
        let snapshot = rows.first().map(|row| row.get::<String>(0)).transpose()?;
        let snapshot = snapshot.ok_or(StoreError::Invariant("a snapshot without a name"))?;
        let mut pool = tx.lease()?.pool().for_work(self.work);
        pool.fallback = None;
        pool.moment = Some(Arc::new(Moment {
            snapshot,
            stream: Mutex::new(Some((tx, name))),
        }));
        Ok(pool)
    }

    /// Takes the transaction of the moment for a stream, or begins one if the pool reads at no fixed moment.
    pub(in crate::store::db) async fn take_stream(&self) -> Result<Stream, StoreError> {
        let Some(moment) = &self.moment else {
            return self.begin_stream().await;
        };
        let stream = moment.stream().take();
        stream.ok_or(StoreError::Invariant("a moment has one stream at a time"))
    }

    /// Gives the transaction of a complete stream back, so that the moment goes on.
    pub(in crate::store::db) fn give_back(&self, stream: Stream) {
        if let Some(moment) = &self.moment {
            *moment.stream() = Some(stream);
        }
    }

    /// Whether all queries read at one moment. A failed stream cannot be tried again then.
    pub(in crate::store::db) fn is_at_one_moment(&self) -> bool {
        self.moment.is_some()
    }
}
