//! Opens the connections to a database, with its settings.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::Semaphore;

use crate::store::db::StoreError;
use crate::store::db::column_cache::DEFAULT_COUNTING_MEMORY_BYTES;
use crate::store::db::database::{Db, Sql, sqlite_all};
use crate::store::db::moment::SqliteMoments;
use crate::store::db::postgres::{Hosts, PostgresPool};
use crate::store::db::replica::Replica;
use crate::store::db::sqlite_file::{self, SqliteFile};
use crate::store::db::sqlite_upkeep;
use crate::store::db::transaction::has_ended;
use crate::store::db::write_health::WriteHealth;

/// How long the connection that writes to SQLite waits for a lock before it looks again whether to go on. SQLite sleeps
/// for 10 milliseconds at most within this time.
const SQLITE_POLL: Duration = Duration::from_millis(20);

/// The largest cache of one SQLite connection in bytes.
const MAX_SQLITE_CACHE: u64 = 16 * 1024 * 1024;

/// The value of the pragma `cache_size` for a cache of this number of bytes: negative numbers are KiB.
pub(super) fn cache_size(bytes: u64) -> String {
    format!("-{}", bytes / 1024)
}

/// How long a connection that reads from SQLite stays open without a use.
const SQLITE_IDLE: Duration = Duration::from_secs(60);

/// How to reach the database, and the limits on its use.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub url: String,
    /// The maximum number of connections. On SQLite this counts the readers; one writer is added.
    pub connections: u32,
    /// How long a request waits for a connection, and a writer for the lock of its organisation, before it is refused.
    pub wait: Duration,
    /// How long a query of an ordinary request may take on PostgreSQL.
    pub query_timeout: Duration,
    /// How long a query of an export, a summary or a change of many rows may take on PostgreSQL.
    pub long_query_timeout: Duration,
    /// The maximum number of writers that wait for the same organisation. One more is refused at once.
    pub waiting_writers_per_organisation: usize,
    /// The memory of SQLite in bytes, for pages and statements of all connections.
    pub sqlite_cache_bytes: u64,
    /// The memory in bytes for the columns from which logs are counted, of all organisations together.
    pub counting_memory_bytes: u64,
    /// Whether a pooler is before PostgreSQL that lends a connection for each transaction, such as pgbouncer.
    pub behind_transaction_pooler: bool,
    /// The address of a replica of PostgreSQL for reads of the log, exports and summaries.
    pub read_url: Option<String>,
    /// How long such a read waits for a replica that is late.
    pub read_wait: Duration,
}

impl DatabaseSettings {
    /// The default settings for a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            wait: Duration::from_secs(10),
            query_timeout: Duration::from_secs(10),
            long_query_timeout: Duration::from_secs(60),
            waiting_writers_per_organisation: 1_000,
            sqlite_cache_bytes: sqlite_upkeep::DEFAULT_SQLITE_CACHE_BYTES,
            counting_memory_bytes: DEFAULT_COUNTING_MEMORY_BYTES,
            behind_transaction_pooler: false,
            read_url: None,
            read_wait: Duration::from_millis(200),
        }
    }
}

impl Db {
    /// Connects. Creates the SQLite file if it does not exist.
    pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        if settings.url.starts_with("sqlite:") {
            Self::open_sqlite(settings).await
        } else if settings.url.starts_with("postgres://") || settings.url.starts_with("postgresql://") {
            Self::open_postgres(settings).await
        } else {
            Err(StoreError::UnknownDatabase)
        }
    }

    async fn open_sqlite(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let cache = MAX_SQLITE_CACHE.min(settings.sqlite_cache_bytes / 4);
        let options = SqliteConnectOptions::from_str(&settings.url)
            .map_err(StoreError::Connect)?
            // The file is created with narrow rights, and never again: after its removal, a new connection must not
            // begin an empty database.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // Each commit is written to the disk, so an acknowledged record survives a power failure.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(settings.wait)
            // Rows that are read ahead of a reader which may end early. They can be large.
            .row_buffer_size(8)
            .pragma("journal_size_limit", sqlite_upkeep::LOG_BYTES.to_string())
            // All connections of the process share this limit. Beyond it, SQLite gives up the page that no connection
            // has used for the longest time.
            .pragma("soft_heap_limit", settings.sqlite_cache_bytes.to_string())
            .pragma("cache_size", cache_size(cache))
            .pragma("temp_store", "memory")
            .statement_cache_capacity(128);
        sqlite_file::create(&settings.url, &options)?;
        let writer = options.clone().busy_timeout(SQLITE_POLL);
        let write_health = Arc::<WriteHealth>::default();
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(settings.wait)
            .after_release(keep_unless_failed(&write_health))
            .connect_with(writer.clone())
            .await
            .map_err(StoreError::connect)?;
        let reader = options.clone().pragma("query_only", "on");
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.wait)
            .idle_timeout(SQLITE_IDLE);
        let moments = SqliteMoments::new(readers.clone(), &reader, cache);
        let read = readers.connect_with(reader).await.map_err(StoreError::connect)?;
        // SQLite creates the write-ahead log with the first transaction.
        sqlite_all(&read, Sql::new("SELECT count(*) FROM sqlite_master")).await?;
        Ok(Self::Sqlite {
            file: SqliteFile::find(&settings.url, &options)?.map(Arc::new),
            write,
            read,
            moments,
            options: Arc::new(writer),
            wait: settings.wait,
            write_health,
        })
    }

    async fn open_postgres(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let hosts = Arc::new(Hosts::from_url(
            &settings.url,
            settings.behind_transaction_pooler,
        )?);
        // A pool would try for as long as a request may wait, and not say why it failed.
        hosts.find_primary(settings.wait).await?;
        let writers = (settings.connections / 4).max(2);
        let readers = settings.connections.saturating_sub(writers).max(2);
        let write = PostgresPool::open_for_writing(settings, &hosts, writers).await?;
        let read = PostgresPool::open_for_reading(settings, &hosts, readers).await?;
        let replica = settings.read_url.as_ref();
        let replica = replica
            .map(|url| Replica::new(settings, url, &read).map(Arc::new))
            .transpose()?;
        Ok(Self::Postgres {
            write,
            read,
            replica,
            lock_waits: Arc::new(Semaphore::new((writers / 2) as usize)),
            announcing: (!settings.behind_transaction_pooler).then_some(hosts),
            write_health: Arc::default(),
        })
    }
}

/// Whether a connection goes back into its pool: not if its transaction has not ended, and not while writing fails.
fn keep_unless_failed<C: sqlx::Connection>(
    health: &Arc<WriteHealth>,
) -> impl Fn(&mut C, PoolConnectionMetadata) -> BoxFuture<'_, Result<bool, sqlx::Error>> + Send + Sync + 'static
{
    let health = Arc::clone(health);
    move |connection, _| {
        let health = Arc::clone(&health);
        Box::pin(async move { Ok(has_ended(connection).await? && health.fault().is_none()) })
    }
}
