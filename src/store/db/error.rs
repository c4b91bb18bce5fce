//! What can go wrong in the database, and why.

/// What goes wrong beneath: never the client's doing, and never told to it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting names no database that Rollbook speaks to.
    #[error("the database must be given as `sqlite:PATH` or `postgres://user:password@host/name`")]
    UnknownDatabase,
    /// No connection could be made.
    #[error("can't connect to the database: {0}")]
    Connect(#[source] sqlx::Error),
    /// The database refused or failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement of ours is wrong.
    #[error("a query is wrong: {0}")]
    Query(&'static str),
    /// What is kept can't be read back as what it was.
    #[error("a kept {what} can't be read: {detail}")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// Why it can't be read.
        detail: String,
    },
    /// The writer's thread could not be started.
    #[error("the writer's thread can't be started: {0}")]
    Thread(#[source] std::io::Error),
    /// What was received can't be read from its temporary file.
    #[error("a temporary file can't be read: {0}")]
    File(#[source] std::io::Error),
    /// The store is closing and takes nothing more.
    #[error("the store is closing")]
    Closed,
}

impl StoreError {
    /// Whether trying again later may help: no connection was free, or the store is closing.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Database(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        )
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string(),
        }
    }
}
