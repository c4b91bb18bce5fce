//! One moment of the database, which several connections read.
//!
//! An export reads its rows on one connection, and the names of persons and contents on others. All of them see the
//! database as it was at the start of the export ([`Store::at_one_moment`]), also while others write.
//!
//! PostgreSQL exports a snapshot (`postgres/moment.rs`). SQLite has no such thing: two transactions begin one after the
//! other, until nothing was committed between them.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::MutexGuard;

use super::database::{Db, Row, Sql, sqlite_all};
use super::opening::cache_size;
use super::transaction::has_ended;
use super::{Store, StoreError};

/// How often two transactions of SQLite begin until both see the same. A commit takes longer than both beginnings, so
/// the second or third time is enough.
const MOST_BEGINNINGS: usize = 100;

/// The number of rows that SQLite reads ahead of a stream. Each time that it waits, two threads change places.
const STREAM_ROWS: usize = 64;

/// The largest cache of such a connection in bytes. An export passes over the log once, about in the order of its pages,
/// so a page is of little use for later rows, and ten exports at once would fill the memory with them.
const MAX_CACHE: u64 = 4 * 1024 * 1024;

/// The connections of SQLite for reads at a fixed moment, and the moment of a handle.
#[derive(Clone)]
pub(crate) struct SqliteMoments {
    /// Separate from each other, so that an export that has a connection of one never waits for another one of it. And
    /// separate from the readers of short requests.
    streams: SqlitePool,
    names: SqlitePool,
    moment: Option<Arc<SqliteMoment>>,
}

/// Two transactions that see the same.
struct SqliteMoment {
    /// The transaction for a stream of rows; `None` while a stream uses it.
    stream: Mutex<Option<Transaction<'static, Sqlite>>>,
    /// The transaction for all other queries.
    reads: tokio::sync::Mutex<Transaction<'static, Sqlite>>,
}

impl SqliteMoments {
    /// Opens no connection yet. `reader` are the options of connections that read, which have a cache of `cache` bytes.
    pub(super) fn new(pools: SqlitePoolOptions, reader: &SqliteConnectOptions, cache: u64) -> Self {
        // A client that goes away while a transaction begins must leave no open snapshot in the pool.
        let pools = pools.after_release(|connection, _| Box::pin(has_ended(connection)));
        let reader = reader
            .clone()
            .pragma("cache_size", cache_size(cache.min(MAX_CACHE)));
        let streams = reader.clone().row_buffer_size(STREAM_ROWS);
        Self {
            streams: pools.clone().connect_lazy_with(streams),
            names: pools.connect_lazy_with(reader),
            moment: None,
        }
    }

    /// The transaction for queries at the moment; `None` if this handle reads at no fixed moment.
    pub(super) async fn lock_reads(&self) -> Option<MutexGuard<'_, Transaction<'static, Sqlite>>> {
        match &self.moment {
            Some(moment) => Some(moment.reads.lock().await),
            None => None,
        }
    }

    /// All rows of a query at the moment, or now on a connection of `read`.
    pub(super) async fn fetch_all(&self, read: &SqlitePool, sql: Sql) -> Result<Vec<Row>, StoreError> {
        match self.lock_reads().await {
            Some(mut transaction) => sqlite_all(&mut **transaction, sql).await,
            None => sqlite_all(read, sql).await,
        }
    }

    /// Takes the transaction of the moment for a stream, or begins one on a connection of `read`.
    pub(super) async fn take_stream(
        &self,
        read: &SqlitePool,
    ) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let Some(moment) = &self.moment else {
            return Ok(read.begin().await?);
        };
        let mut stream = moment.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream
            .take()
            .ok_or(StoreError::Invariant("a moment has one stream at a time"))
    }

    pub(super) async fn close(&self) {
        self.streams.close().await;
        self.names.close().await;
    }

    /// The present moment.
    async fn begin(&self) -> Result<SqliteMoment, StoreError> {
        let mut reads = self.names.begin().await?;
        let mut version = fetch_version(&mut reads).await?;
        for _ in 0..MOST_BEGINNINGS {
            let mut stream = self.streams.begin().await?;
            sqlite_all(&mut *stream, Sql::new("SELECT count(*) FROM sqlite_master")).await?;
            sqlx::raw_sql("COMMIT; BEGIN").execute(&mut *reads).await?;
            let before = std::mem::replace(&mut version, fetch_version(&mut reads).await?);
            if version == before {
                return Ok(SqliteMoment {
                    stream: Mutex::new(Some(stream)),
                    reads: tokio::sync::Mutex::new(reads),
                });
            }
            stream.rollback().await?;
        }
        Err(StoreError::Busy)
    }
}

/// A number that changes with each commit of another connection. Within a transaction it begins the reading of the
/// database.
async fn fetch_version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let rows = sqlite_all(connection, Sql::new("PRAGMA data_version")).await?;
    let row = rows.first();
    row.ok_or(StoreError::Invariant("a database without a version"))?
        .get(0)
}

impl Db {
    /// The same database with all reads at one moment, the present one, until the last clone is dropped.
    async fn at_one_moment(&self) -> Result<Self, StoreError> {
        let mut db = self.clone();
        match &mut db {
            Db::Sqlite { moments, .. } => moments.moment = Some(Arc::new(moments.begin().await?)),
            Db::Postgres { read, .. } => *read = read.at_one_moment().await?,
        }
        Ok(db)
    }
}

impl Store {
    /// A handle with all reads at one moment, the present one, and with one stream of rows at a time. It holds a
    /// transaction until the last clone is dropped.
    ///
    /// # Errors
    ///
    /// The database does not answer, or has no free connection.
    pub async fn at_one_moment(&self) -> Result<Self, StoreError> {
        Ok(self.with_reads(self.db().at_one_moment().await?))
    }
}
