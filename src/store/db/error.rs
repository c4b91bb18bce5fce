//! Errors of the store, and what a failure of the database means for a request.
//!
//! [`Failure`] is the only classification of the codes of both databases. It decides whether a request is tried again,
//! whether a connection is used again, and what a client is answered.

mod citus;

use std::io;
use std::path::Path;
use std::time::Duration;

use citus::code_of;

/// An error of the store. The client did not cause it and does not see its text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting does not name a database that Rollbook supports.
    #[error("the database must be given as `sqlite:PATH` or `postgres://user:password@host/name`")]
    UnknownDatabase,
    /// No connection could be made.
    #[error("the connection to the database failed: {0}{hint}", hint = login_hint(.0))]
    Connect(#[source] sqlx::Error),
    /// The database cannot be reached, or does not take connections yet.
    #[error("the database at {address} cannot be reached: {cause}")]
    Unreachable {
        /// The host and port.
        address: String,
        /// The error of the network or the database.
        cause: String,
    },
    /// A query failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// Another writer held the lock of the organisation for too long, or too many wait for it.
    #[error("the organisation is locked by another writer, or too many writers wait for it")]
    Busy,
    /// Nothing can be written at the moment. Reads may work.
    #[error("nothing can be written because {fault}: {cause}")]
    NotWritable {
        /// What prevents it.
        fault: WriteFault,
        /// The error of the database or the operating system.
        cause: String,
    },
    /// The database cannot answer at the moment: it has too many connections, a time limit has passed, or it has ended
    /// the transaction in favour of another one.
    #[error("the database is not available at the moment: {0}")]
    Unavailable(String),
    /// The connection is lost, or useless since the database restarts, fails over or is silent.
    #[error("the connection to the database is lost: {0}")]
    Disconnected(String),
    /// The connection was lost during a commit, so it is not known whether the changes are stored.
    #[error("the database has not confirmed a commit: {0}")]
    UnknownOutcome(String),
    /// Another server has locked the SQLite database.
    #[error(
        "{} already serves {path}: stop it first, or use PostgreSQL to serve with several processes",
        process.map_or("another server".to_owned(), |id| format!("another server (process {id})"))
    )]
    Served {
        /// The file of the database.
        path: String,
        /// The number of the other process.
        process: Option<u32>,
    },
    /// The file of the SQLite database cannot be created or used.
    #[error("the file {path}: {cause}; the folder must exist, and this user must be able to write to it")]
    DatabaseFile {
        /// The file.
        path: String,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// Another rebuild of the same organisation has begun.
    #[error("another rebuild of the organisation has begun")]
    RebuildReplaced,
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migrate(#[source] sqlx::migrate::MigrateError),
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
    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy
            | Self::Unavailable(_)
            | Self::Disconnected(_)
            | Self::UnknownOutcome(_)
            | Self::NotWritable { .. }
            | Self::Unreachable { .. }
            | Self::Closed => true,
            Self::UnknownDatabase
            | Self::Connect(_)
            | Self::Served { .. }
            | Self::Database(_)
            | Self::RebuildReplaced
            | Self::Migrate(_)
            | Self::Invariant(_)
            | Self::Corrupt { .. }
            | Self::Thread(_) => false,
            Self::File(error) | Self::DatabaseFile { cause: error, .. } => is_out_of_space(error),
        }
    }

    /// Whether a stored value cannot be read. Another row can be.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. } | Self::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
        )
    }

    /// What prevents every write, if this error does so.
    pub fn write_fault(&self) -> Option<WriteFault> {
        match self {
            Self::NotWritable { fault, .. } => Some(*fault),
            Self::File(error) | Self::DatabaseFile { cause: error, .. } if is_out_of_space(error) => {
                Some(WriteFault::DiskFull)
            }
            _ => None,
        }
    }

    /// Whether the connection must not be used again.
    pub(crate) fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_) | Self::UnknownOutcome(_))
    }

    /// Whether the server is, or was, a standby. Then a new connection may lead to another server.
    pub(crate) fn is_read_only(&self) -> bool {
        self.write_fault() == Some(WriteFault::ReadOnly)
    }

    /// Whether it makes sense to try again within the same request, after a short pause. [`StoreError::Busy`] is not
    /// meant: its request has waited as long as it may.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Unavailable(_)) || self.is_disconnected()
    }

    /// Whether one record or value may be the cause, so that other records may succeed.
    pub(crate) fn is_of_one_record(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                code_of(error.as_ref()).is_some_and(|code| is_fault_of_a_value(&code))
            }
            Self::Database(
                sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. },
            )
            | Self::Invariant(_)
            | Self::Corrupt { .. } => true,
            Self::File(error) => !is_out_of_space(error),
            _ => false,
        }
    }

    /// Whether a statement that replaces a view is refused because of the object that is there: `invalid_table_definition`,
    /// `wrong_object_type` or `dependent_objects_still_exist` of PostgreSQL.
    pub(crate) fn is_of_replaced_object(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        let code = error.code();
        code.is_some_and(|code| ["42P16", "42809", "2BP01"].contains(&code.as_ref()))
    }

    /// The error of the last attempt, if an earlier one had an `unknown` outcome.
    pub(crate) fn after(self, unknown: bool) -> Self {
        if unknown && self.is_passing() {
            Self::UnknownOutcome(self.to_string())
        } else {
            self
        }
    }

    pub(crate) fn database_file(path: &Path, cause: io::Error) -> Self {
        Self::DatabaseFile {
            path: path.display().to_string(),
            cause,
        }
    }

    pub(crate) fn file_replaced() -> Self {
        Self::NotWritable {
            fault: WriteFault::FileReplaced,
            cause: "another file, or none, is at its path".to_owned(),
        }
    }

    pub(crate) fn read_only() -> Self {
        Self::NotWritable {
            fault: WriteFault::ReadOnly,
            cause: "transactions are read-only".to_owned(),
        }
    }

    /// The error of a connection that was not made.
    pub(crate) fn connect(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Database(error) => Self::Connect(error),
            error => error,
        }
    }

    /// The same error for another request that was part of the same transaction.
    pub(crate) fn repeat(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Closed => Self::Closed,
            Self::NotWritable { fault, cause } => Self::NotWritable {
                fault: *fault,
                cause: cause.clone(),
            },
            Self::File(error) => Self::File(error.kind().into()),
            Self::Unavailable(cause) => Self::Unavailable(cause.clone()),
            Self::Disconnected(cause) => Self::Disconnected(cause.clone()),
            Self::UnknownOutcome(cause) => Self::UnknownOutcome(cause.clone()),
            other => Self::Database(sqlx::Error::Protocol(other.to_string())),
        }
    }

    /// The error for another request, which was not begun because of this one.
    pub(crate) fn into_refusal(self) -> Self {
        match self {
            Self::UnknownOutcome(cause) => Self::Unavailable(cause),
            other => other,
        }
    }

    /// The error of a connection on which the database has not answered within `limit`.
    pub(crate) fn silence(limit: Duration) -> Self {
        Self::Disconnected(format!("no answer within {limit:?}"))
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
        match Failure::from_error(&error) {
            Failure::Locked => Self::Busy,
            Failure::Passing => Self::Unavailable(error.to_string()),
            Failure::Disconnected => Self::Disconnected(error.to_string()),
            Failure::Closed => Self::Closed,
            Failure::NotWritable(fault) => Self::NotWritable {
                fault,
                cause: error.to_string(),
            },
            Failure::Permanent => Self::Database(error),
        }
    }
}

/// What to change if the database refuses the user or the password (the class 28 of SQLSTATE).
fn login_hint(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.is_some_and(|code| code.len() == 5 && code.starts_with("28")) {
        true => "; check the user and the password in ROLLBOOK_DATABASE",
        false => "",
    }
}

/// What a failure of the database means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A lock was not free in time.
    Locked,
    /// The same statement may succeed later, also on the same connection.
    Passing,
    /// The same statement may succeed later, on another connection.
    Disconnected,
    /// This process closes its connections.
    Closed,
    /// Nothing can be written at the moment.
    NotWritable(WriteFault),
    /// The same statement fails again.
    Permanent,
}

impl Failure {
    fn from_error(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                code_of(error.as_ref()).map_or(Self::Permanent, |code| Self::of_code(&code))
            }
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidInput => Self::Permanent,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed => Self::Disconnected,
            sqlx::Error::PoolTimedOut => Self::Passing,
            sqlx::Error::PoolClosed => Self::Closed,
            _ => Self::Permanent,
        }
    }

    /// The meaning of an SQLSTATE of PostgreSQL (five characters), or of an extended result code of SQLite (a number of
    /// fewer digits).
    fn of_code(code: &str) -> Self {
        if let Some(fault) = WriteFault::from_code(code) {
            return Self::NotWritable(fault);
        }
        match <[u8; 5]>::try_from(code.as_bytes()) {
            Ok(state) => Self::of_sqlstate(&state),
            Err(_) => code.parse().map_or(Self::Permanent, Self::of_sqlite_code),
        }
    }

    /// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_sqlstate(state: &[u8; 5]) -> Self {
        match state {
            // lock_not_available
            b"55P03" => Self::Locked,
            // connection exceptions
            [b'0', b'8', ..]
            // admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout
            | b"57P01" | b"57P02" | b"57P03" | b"57P05"
            // idle_in_transaction_session_timeout, transaction_timeout: the database has closed the connection
            | b"25P03" | b"25P04"
            // too_many_connections
            | b"53300" => Self::Disconnected,
            // serialization_failure, deadlock_detected, transaction_rollback, statement_completion_unknown
            b"40001" | b"40P01" | b"40000" | b"40003"
            // query_canceled: a time limit, an administrator, or the replay of a standby
            | b"57014"
            // insufficient_resources, out_of_memory
            | b"53000" | b"53200"
            // object_in_use
            | b"55006"
            // system_error
            | b"58000" => Self::Passing,
            _ => Self::Permanent,
        }
    }

    /// See <https://www.sqlite.org/rescode.html>. The lower byte is the primary code.
    fn of_sqlite_code(code: u32) -> Self {
        match code & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED
            5 | 6 => Self::Locked,
            // SQLITE_NOMEM, SQLITE_INTERRUPT, SQLITE_CANTOPEN, SQLITE_PROTOCOL
            7 | 9 | 14 | 15 => Self::Passing,
            _ => Self::Permanent,
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match error {
            Execute(cause) | ExecuteMigration(cause, _) if is_write_fault(&cause) => cause.into(),
            error => Self::Migrate(error),
        }
    }
}

fn is_write_fault(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| WriteFault::from_code(&code).is_some())
}

/// The number of characters of a code of PostgreSQL. Codes of SQLite are shorter numbers.
const POSTGRES_CODE_LENGTH: usize = 5;

/// Why nothing can be written at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
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
    /// Every writer waits for a lock that another transaction holds.
    #[strum(to_string = "another transaction holds the lock of the writers")]
    Locked,
}

impl WriteFault {
    /// The name for programs.
    pub const fn key(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::DiskFailed => "disk-failed",
            Self::ReadOnly => "read-only",
            Self::FileReplaced => "file-replaced",
            Self::Locked => "locked",
        }
    }

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
            // READONLY
            (_, 8) => Some(Self::ReadOnly),
            (_, 10) if IOERR_OF_WRITES.contains(&code) => Some(Self::DiskFull),
            // IOERR
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

/// Whether a code says that a value is at fault: data exceptions, constraints and sizes.
fn is_fault_of_a_value(code: &str) -> bool {
    match <[u8; 5]>::try_from(code.as_bytes()) {
        Ok(state) => matches!(&state[..2], b"22" | b"23" | b"44" | b"54"),
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH
        Err(_) => code
            .parse::<u32>()
            .is_ok_and(|code| matches!(code & 0xff, 18..=20)),
    }
}

/// Whether the operating system has no space for more bytes: a full disk, a quota, or a limit on the size of files.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a failure passes, and so is answered with 503.
    fn passes(failure: Failure) -> bool {
        failure != Failure::Permanent
    }

    #[test]
    fn sqlstates_that_pass_are_known() {
        use Failure::{Disconnected, Locked, Passing, Permanent};
        for (codes, expected) in [
            ("55P03", Locked),
            ("08000 08001 08003 08004 08006 08007 08P01", Disconnected),
            ("57P01 57P02 57P03 57P05 25P03 25P04 53300", Disconnected),
            ("40001 40P01 57014 53200 58000", Passing),
            (
                "23505 22P02 42P01 42501 25P02 57P04 28P01 3D000 XX000 XX001 0A000 54000",
                Permanent,
            ),
        ] {
            for code in codes.split(' ') {
                assert_eq!(Failure::of_code(code), expected, "{code}");
                assert_eq!(passes(Failure::of_code(code)), expected != Permanent);
            }
        }
    }

    #[test]
    fn sqlite_codes_that_pass_are_known() {
        use Failure::{Locked, Passing, Permanent};
        for (codes, expected) in [
            ("5 261 517 773 6 262", Locked),
            ("9 7 14", Passing),
            ("19 2067 1555 787 11 26 1 20 21", Permanent),
        ] {
            for code in codes.split(' ') {
                assert_eq!(Failure::of_code(code), expected, "{code}");
            }
        }
    }

    #[test]
    fn only_faults_of_values_are_faults_of_one_record() {
        for code in ["23505", "22021", "54000", "19", "2067", "18"] {
            assert!(is_fault_of_a_value(code), "{code}");
        }
        for code in ["57P01", "25006", "42P01", "53100", "40001", "5", "10", "13"] {
            assert!(!is_fault_of_a_value(code), "{code}");
        }
    }

    #[test]
    fn lost_connections_pass() {
        let lost = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        for (error, expected) in [
            (lost, Failure::Disconnected),
            (sqlx::Error::Protocol("cut".to_owned()), Failure::Disconnected),
            (sqlx::Error::PoolTimedOut, Failure::Passing),
            (sqlx::Error::PoolClosed, Failure::Closed),
            (sqlx::Error::RowNotFound, Failure::Permanent),
        ] {
            assert_eq!(Failure::from_error(&error), expected, "{error}");
        }
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_passing());
        assert!(StoreError::silence(Duration::from_secs(1)).is_disconnected());
    }

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
