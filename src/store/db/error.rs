//! Errors of the store.

use std::borrow::Cow;

/// An error of the store. The client did not cause it and does not see its text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting does not name a database that Rollbook supports.
    #[error("the database must be given as `sqlite:PATH` or `postgres://user:password@host/name`")]
    UnknownDatabase,
    /// No connection could be made.
    #[error("the connection to the database failed: {0}")]
    Connect(#[source] sqlx::Error),
    /// A query failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// Another writer held the lock of the organisation for too long, or too many wait for it.
    #[error("the organisation is locked by another writer, or too many writers wait for it")]
    Busy,
    /// Another rebuild of the same organisation has begun.
    #[error("another rebuild of the organisation has begun")]
    RebuildReplaced,
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Stored data contradicts a rule that the code relies on.
    #[error("an invariant is broken: {0}")]
    Invariant(&'static str),
    /// A stored value cannot be read back.
    #[error("a stored {what} is corrupt: {detail}")]
    Corrupt {
        /// The kind of the value.
        what: &'static str,
        /// Why it cannot be read.
        detail: String,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[source] std::io::Error),
    /// A temporary file could not be read.
    #[error("a temporary file could not be read: {0}")]
    File(#[source] std::io::Error),
    /// The store is closing and accepts no more work.
    #[error("the store is closing")]
    Closed,
}

impl StoreError {
    /// Whether the same request may succeed later: a lock or a connection was not free, or the store is closing.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Closed | Self::Database(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        )
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(is_lock_code) {
            Self::Busy
        } else {
            Self::Database(error)
        }
    }
}

/// Whether a code of the database means that a lock was not free in time: `lock_not_available` of PostgreSQL, or
/// `SQLITE_BUSY` with its variants.
fn is_lock_code(code: Cow<'_, str>) -> bool {
    matches!(&*code, "55P03" | "5" | "261" | "517" | "773")
}
