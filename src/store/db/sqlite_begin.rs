//! The beginning of a transaction that writes to SQLite.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Sqlite, SqlitePool};
use tokio::time::Instant;

use super::StoreError;
use super::pool_metrics;
use super::sqlite_file::SqliteFile;

/// Whether the database has refused a lock to a writer, because a transaction outside of this process held it.
#[derive(Default)]
pub(super) struct Refusals(AtomicBool);

impl Refusals {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Begins a transaction as soon as no other process writes. SQLite itself would look for the lock in intervals of up to
/// 100 milliseconds, in which another process can commit and begin again.
pub(super) async fn begin_sqlite(
    write: &SqlitePool,
    file: Option<&SqliteFile>,
    deadline: Instant,
    refusals: &Refusals,
) -> Result<sqlx::Transaction<'static, Sqlite>, StoreError> {
    if file.is_some_and(|file| !file.is_in_place()) {
        return Err(StoreError::file_replaced());
    }
    let begin = Instant::now();
    loop {
        match write
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(StoreError::from)
        {
            Ok(_) if file.is_some_and(|file| !file.has_its_log()) => return Err(StoreError::file_replaced()),
            Err(StoreError::Busy) => {
                refusals.note();
                if Instant::now() >= deadline {
                    return Err(StoreError::Busy);
                }
            }
            outcome => {
                pool_metrics::note_wait("write", begin.elapsed());
                return outcome;
            }
        }
    }
}
