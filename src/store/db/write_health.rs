//! Whether anything can be written, for `/health/ready`.
//!
//! Each commit and each failure is noted in [`WriteHealth`]. [`Db::write_fault`] asks the database itself, at most once
//! a second: a fault ends when any small write succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::time::Instant;

use crate::store::db::database::{Db, Sql};
use crate::store::db::transaction::Tx;
use crate::store::db::{StoreError, WriteFault};

/// How long the result of a check is used again.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a check may wait for the database.
const CHECK_TIME: Duration = Duration::from_millis(1_500);

/// The number of bytes that must fit on the disk before it counts as having space again.
const PROBE_BYTES: &str = "1048576";

/// What is known about writing.
pub(crate) struct WriteHealth {
    state: Mutex<State>,
    /// The time of the last check. The lock is held during a check, so that concurrent callers share one.
    checked: tokio::sync::Mutex<Option<Instant>>,
}

struct State {
    fault: Option<WriteFault>,
    /// The organisation whose lock a writer did not get in time.
    locked: Option<i64>,
    last_commit: Option<Instant>,
}

impl Default for WriteHealth {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                fault: None,
                locked: None,
                last_commit: None,
            }),
            checked: tokio::sync::Mutex::default(),
        }
    }
}

impl WriteHealth {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What prevented the last write.
    pub(crate) fn fault(&self) -> Option<WriteFault> {
        self.state().fault
    }

    /// Notes that something was written.
    pub(crate) fn note_success(&self) {
        let mut state = self.state();
        state.last_commit = Some(Instant::now());
        state.locked = None;
        if state.fault.take().is_some() {
            tracing::info!("writing works again");
        }
    }

    /// Notes a failed write, if its error prevents all writes.
    pub(crate) fn note_failure(&self, error: &StoreError) {
        if let Some(fault) = error.write_fault() {
            self.note_fault(fault);
        }
    }

    fn note_fault(&self, fault: WriteFault) {
        let mut state = self.state();
        if state.fault.replace(fault) != Some(fault) {
            tracing::error!("nothing can be written because {fault}");
        }
    }

    /// Notes that a writer of the organisation has waited for its lock since `begin` without success. That prevents all
    /// writes only if none succeeded meanwhile.
    pub(crate) fn note_locked(&self, begin: Instant, org: Option<i64>) {
        let mut state = self.state();
        if state.fault.is_some() || state.last_commit.is_some_and(|commit| commit > begin) {
            return;
        }
        state.locked = org;
        drop(state);
        self.note_fault(WriteFault::Locked);
    }

    /// Whether a write succeeded so recently that no check is needed.
    fn has_written_recently(&self) -> bool {
        let state = self.state();
        let recently = |commit: Instant| commit.elapsed() < CHECK_EVERY;
        state.fault.is_none() && state.last_commit.is_some_and(recently)
    }

    /// Notes what a check has found. `None` means that it could not find out.
    fn note_check(&self, outcome: Option<Result<(), StoreError>>) {
        match outcome {
            None => {}
            Some(Ok(())) => {
                let mut state = self.state();
                state.locked = None;
                if state.fault.take().is_some() {
                    tracing::info!("writing works again");
                }
            }
            Some(Err(error)) => match error.write_fault() {
                Some(fault) => self.note_fault(fault),
                None => tracing::debug!(%error, "the check of writing failed"),
            },
        }
    }
}

impl Db {
    /// What prevents every write at the moment. Asks the database at most once a second.
    pub(crate) async fn write_fault(&self) -> Option<WriteFault> {
        let health = self.write_health();
        let mut checked = health.checked.lock().await;
        let is_due = checked.is_none_or(|at| at.elapsed() >= CHECK_EVERY);
        if is_due && !health.has_written_recently() {
            let outcome = tokio::time::timeout(CHECK_TIME, self.check_writing()).await;
            health.note_check(outcome.unwrap_or(None));
            *checked = Some(Instant::now());
        }
        health.fault()
    }

    /// Writes as little as shows whether the last fault is over. `None` if that cannot be found out at the moment.
    async fn check_writing(&self) -> Option<Result<(), StoreError>> {
        let (fault, locked) = {
            let state = self.write_health().state();
            (state.fault, state.locked)
        };
        let needs_space = matches!(fault, Some(WriteFault::DiskFull | WriteFault::DiskFailed));
        let outcome = match self {
            Db::Sqlite { file, options, .. } => {
                if file.as_ref().is_some_and(|file| !file.is_in_place()) {
                    return Some(Err(StoreError::file_replaced()));
                }
                check_sqlite(options, needs_space).await
            }
            Db::Postgres { write, .. } => {
                if let Err(error) = write.check_that_it_writes().await {
                    return Some(Err(error));
                }
                match locked {
                    Some(org) => self.try_lock(org).await,
                    None if needs_space => self.write_and_undo().await,
                    None => Ok(()),
                }
            }
        };
        match outcome {
            // Another writer is at work. It notes how that ends.
            Err(StoreError::Busy) => None,
            outcome => Some(outcome),
        }
    }

    /// Locks the ledger of an organisation for a moment.
    async fn try_lock(&self, org: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let select = Sql::new("SELECT org FROM ledgers WHERE org = $1 FOR UPDATE NOWAIT");
        tx.fetch_all(select.with(org)).await?;
        tx.rollback().await
    }

    /// Writes bytes that need space. PostgreSQL takes it at once, so that they need not be committed.
    async fn write_and_undo(&self) -> Result<(), StoreError> {
        let mut tx: Tx = self.begin().await?;
        // The text cannot be compressed.
        let insert = format!(
            "INSERT INTO write_probes (bytes) SELECT convert_to(string_agg(md5(n::text), ''), 'UTF8') \
             FROM generate_series(1, {PROBE_BYTES} / 32) AS n"
        );
        tx.execute(Sql::new(&insert)).await?;
        tx.rollback().await
    }
}

/// Checks that the file can be opened and locked for writing, with a connection that never waits for a lock. With
/// `needs_space` it also writes and removes bytes.
async fn check_sqlite(options: &SqliteConnectOptions, needs_space: bool) -> Result<(), StoreError> {
    let options = options.clone().busy_timeout(Duration::ZERO);
    let mut connection = options.connect().await?;
    let text = if needs_space {
        // SQLite writes at the commit only.
        format!(
            "INSERT INTO write_probes (bytes) VALUES (randomblob({PROBE_BYTES})); DELETE FROM write_probes"
        )
    } else {
        // SQLite begins a transaction on a read-only file, and refuses the statement.
        "BEGIN IMMEDIATE; DELETE FROM write_probes; ROLLBACK".to_owned()
    };
    let outcome = connection.execute(sqlx::AssertSqlSafe(text)).await;
    let _ = connection.close().await; // the outcome is known
    outcome?;
    Ok(())
}
