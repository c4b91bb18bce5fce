//! Errors of Citus whose code says too little. The message tells what they are.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

/// Errors that Citus reports with a code that says too little: the code, the begin and the end of the message, and the code
/// that they stand for. Citus does not translate its messages.
const UNCODED: [(&str, &str, &str, &str); 12] = [
    // A part was split or moved while the statement was planned. The next attempt sees the new place. Where Citus notices
    // a split itself, it reports `serialization_failure`.
    ("XX000", "could not find valid entry for shard ", "", "40001"),
    ("XX000", "no active placements were found for shard ", "", "40001"),
    ("XX000", "shard ", " does not have any shard placements", "40001"),
    // The old place of one table was read, and the new one of another.
    ("0A000", "found no worker with all shard placements", "", "40001"),
    (
        "0A000",
        "cannot find a worker that has active placements for all shards in the query",
        "",
        "40001",
    ),
    // Citus inserts many rows by a COPY to the node, and reports an error of it with the message of the node alone.
    ("XX000", "", ": No space left on device", "53100"),
    ("XX000", "", ": Disk quota exceeded", "53100"),
    ("XX000", "", ": Input/output error", "58030"),
    ("XX000", "cannot execute ", " in a read-only transaction", "25006"),
    ("XX000", "deadlock detected", "", "40P01"),
    ("XX000", "canceling statement due to lock timeout", "", "55P03"),
    (
        "XX000",
        "duplicate key value violates unique constraint ",
        "",
        "23505",
    ),
];

/// The code of an error of the database, or the one that its message stands for.
pub(super) fn code_of(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
    let (code, message) = (error.code()?, error.message());
    let known = UNCODED.iter().find(|(uncoded, begin, end, _)| {
        code == *uncoded && message.starts_with(begin) && message.ends_with(end)
    });
    Some(known.map_or(code, |(.., meant)| Cow::Borrowed(*meant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::error::{Failure, StoreError, WriteFault};

    /// An error of PostgreSQL.
    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Reported {
        code: &'static str,
        message: &'static str,
    }

    impl DatabaseError for Reported {
        fn message(&self) -> &str {
            self.message
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.code.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    #[test]
    fn errors_of_citus_are_known_by_their_message() {
        use Failure::{Locked, NotWritable, Passing, Permanent};
        for (code, message, expected) in [
            ("XX000", "could not find valid entry for shard 102045", Passing),
            (
                "XX000",
                "could not find valid entry for shard placement 77",
                Passing,
            ),
            (
                "XX000",
                "no active placements were found for shard 102045",
                Passing,
            ),
            (
                "XX000",
                "shard 102045 does not have any shard placements",
                Passing,
            ),
            ("0A000", "found no worker with all shard placements", Passing),
            (
                "0A000",
                "cannot find a worker that has active placements for all shards in the query",
                Passing,
            ),
            ("40001", "shard for the given value does not exist", Passing),
            (
                "XX000",
                "could not extend file \"base/5/77\": No space left on device",
                NotWritable(WriteFault::DiskFull),
            ),
            (
                "XX000",
                "could not read block 7 in file \"base/5/77\": Input/output error",
                NotWritable(WriteFault::DiskFailed),
            ),
            (
                "XX000",
                "cannot execute COPY FROM in a read-only transaction",
                NotWritable(WriteFault::ReadOnly),
            ),
            ("XX000", "canceling statement due to lock timeout", Locked),
            ("XX000", "deadlock detected", Passing),
            (
                "XX000",
                "could not find valid entry for node \"127.0.0.1:5432\"",
                Permanent,
            ),
            ("XX000", "cache lookup failed for relation 77", Permanent),
            (
                "0A000",
                "complex joins are only supported when all distributed tables are co-located",
                Permanent,
            ),
            ("42P01", "could not find valid entry for shard 102045", Permanent),
        ] {
            let error = sqlx::Error::Database(Box::new(Reported { code, message }));
            assert_eq!(Failure::from_error(&error), expected, "{code} {message}");
            let error = StoreError::from(error);
            assert_eq!(error.is_worth_a_retry(), expected == Passing, "{code} {message}");
        }
    }
}
