//! Keeps the write-ahead log of an SQLite database small.
//!
//! SQLite moves the log into the database after every 1,000 pages, as far as no reader needs it, and begins it again when
//! no reader uses it. Under steady reads that moment may not come for long. So a log that is too large is emptied by a
//! connection that waits for that moment.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::store::db::database::Db;
use crate::store::db::{Store, StoreError};

/// The default of [`DatabaseSettings::sqlite_cache_bytes`](super::opening::DatabaseSettings::sqlite_cache_bytes).
pub const DEFAULT_SQLITE_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The size in bytes to which SQLite cuts the log when it begins it again.
pub(super) const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// The size in bytes beyond which the log is emptied.
const MAX_LOG_BYTES: u64 = 2 * LOG_BYTES;

/// The pause between two looks at the size of the log.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long the log may keep writers waiting while it waits for readers.
const WAIT_FOR_READERS: Duration = Duration::from_millis(250);

impl Store {
    /// Empties the write-ahead log of SQLite whenever it is too large. Never ends.
    pub async fn keep_log_small(&self) {
        let Db::Sqlite {
            file: Some(file),
            options,
            ..
        } = self.db()
        else {
            return std::future::pending().await;
        };
        let options = options.as_ref().clone().busy_timeout(WAIT_FOR_READERS);
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            if file.log_bytes() <= MAX_LOG_BYTES || !file.is_in_place() {
                continue;
            }
            // After a failure the next round tries again. Writers note their own failures.
            if let Err(error) = empty_log(&options).await {
                tracing::debug!(%error, "the write-ahead log cannot be emptied");
            }
        }
    }
}

async fn empty_log(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let mut connection = options.connect().await?;
    let emptied = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let _ = connection.close().await; // the outcome is known
    emptied?;
    Ok(())
}
