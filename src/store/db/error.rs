//! Errors of the store.

use std::io;

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
    /// Nothing can be written at the moment. Reads may work.
    #[error("nothing can be written because {fault}: {cause}")]
    NotWritable {
        /// What stands against it.
        fault: WriteFault,
        /// The error of the database or the operating system.
        cause: String,
    },
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
    Thread(#[source] io::Error),
    /// A temporary file could not be written or read.
    #[error("a temporary file could not be written or read: {0}")]
    File(#[source] io::Error),
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

    /// What stands against every write, if it is that.
    pub fn write_fault(&self) -> Option<WriteFault> {
        match self {
            Self::NotWritable { fault, .. } => Some(*fault),
            Self::File(error) if is_out_of_space(error) => Some(WriteFault::DiskFull),
            _ => None,
        }
    }

    /// The same error for the other writers of a batch that failed before anything of it was written.
    pub(crate) fn for_others(&self) -> Self {
        match self {
            Self::NotWritable { fault, cause } => Self::NotWritable {
                fault: *fault,
                cause: cause.clone(),
            },
            _ => Self::Busy,
        }
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
        let Some(code) = code else {
            return Self::Database(error);
        };
        if is_lock_code(&code) {
            return Self::Busy;
        }
        match WriteFault::from_code(&code) {
            Some(fault) => Self::NotWritable {
                fault,
                cause: error.to_string(),
            },
            None => Self::Database(error),
        }
    }
}

/// The number of characters of a code of PostgreSQL. Codes of SQLite are shorter numbers.
const POSTGRES_CODE_LENGTH: usize = 5;

/// Why nothing can be written at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::Display)]
pub enum WriteFault {
    /// There is no space left, or the operating system refuses to write.
    #[strum(to_string = "the disk of the database is full or cannot be written")]
    DiskFull,
    /// The disk fails in another way.
    #[strum(to_string = "the disk of the database fails")]
    DiskFailed,
    /// The database, its file or its folder is read-only.
    #[strum(to_string = "the database is read-only")]
    ReadOnly,
    /// The file of the database was removed or replaced.
    #[strum(to_string = "the file of the database was removed or replaced; restart the server")]
    FileReplaced,
}

impl WriteFault {
    /// The fault that a code of the database stands for.
    fn from_code(code: &str) -> Option<Self> {
        match code.parse::<u16>() {
            Ok(number) if code.len() < POSTGRES_CODE_LENGTH => Self::from_sqlite_code(number),
            _ => Self::from_postgres_code(code),
        }
    }

    fn from_sqlite_code(code: u16) -> Option<Self> {
        const FULL: u16 = 13;
        const READONLY_DBMOVED: u16 = 1032;
        // A quota, a limit on the size of files and a late error of the disk are not FULL but IOERR with one of these:
        // WRITE, FSYNC, DIR_FSYNC, TRUNCATE, SHMOPEN, SHMSIZE, SHMMAP, COMMIT_ATOMIC.
        const IOERR_OF_WRITES: [u16; 8] = [778, 1034, 1290, 1546, 4618, 4874, 5386, 7690];
        // The low byte of an extended code is the kind of the error.
        let kind = code & 0xff;
        match (code, kind) {
            (FULL, _) => Some(Self::DiskFull),
            (READONLY_DBMOVED, _) => Some(Self::FileReplaced),
            (_, 8) => Some(Self::ReadOnly),
            (_, 10) if IOERR_OF_WRITES.contains(&code) => Some(Self::DiskFull),
            (_, 10) => Some(Self::DiskFailed),
            _ => None,
        }
    }

    fn from_postgres_code(code: &str) -> Option<Self> {
        match code {
            // disk_full
            "53100" => Some(Self::DiskFull),
            // io_error
            "58030" => Some(Self::DiskFailed),
            // read_only_sql_transaction
            "25006" => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

/// Whether a code of the database means that a lock was not free in time: `lock_not_available` of PostgreSQL, or
/// `SQLITE_BUSY` with its variants.
fn is_lock_code(code: &str) -> bool {
    matches!(code, "55P03" | "5" | "261" | "517" | "773")
}

/// Whether the operating system has no space for more bytes: a full disk, a quota, or a limit on the size of files.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_either_database_stands_for_its_fault() {
        for (code, fault) in [
            ("53100", Some(WriteFault::DiskFull)),
            ("13", Some(WriteFault::DiskFull)),
            ("778", Some(WriteFault::DiskFull)),
            ("10", Some(WriteFault::DiskFailed)),
            ("266", Some(WriteFault::DiskFailed)),
            ("58030", Some(WriteFault::DiskFailed)),
            ("25006", Some(WriteFault::ReadOnly)),
            ("8", Some(WriteFault::ReadOnly)),
            ("1032", Some(WriteFault::FileReplaced)),
            // string_data_length_mismatch: a number whose low byte is 10.
            ("22026", None),
            ("23505", None),
            ("2067", None),
            ("53300", None),
        ] {
            assert_eq!(WriteFault::from_code(code), fault, "{code}");
        }
    }
}
