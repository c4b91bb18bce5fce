//! The time through which everything stored can be read: `X-Experience-API-Consistent-Through` (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! Once declared, the time is final: no replica stores a record at that time or before it any more, even if its clock
//! is slow. A writer stores at the ledger's time or later, so the millisecond before the ledger's time can be declared
//! while a writer is active. While none is, the ledger's time is moved to the present first. This does not wait for a
//! writer that begins meanwhile.
//!
//! A reader needs no connection that writes. It asks a task to move the ledger's time and waits for it briefly. If the
//! time cannot be moved, because writers need all connections or the database is read-only, an older time is declared,
//! which is true as well.
//!
//! On SQLite one process owns the database, so the declared time is held in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::{Engine, Sql};
use crate::store::db::{Store, StoreError};

/// The microseconds of a millisecond, the unit of storing times.
const MILLISECOND: i64 = 1_000;
/// The age in microseconds up to which the ledger's time is declared unchanged. Without it, each request would write.
const MAX_AGE: i64 = 20 * MILLISECOND;

/// How long a reader waits for the ledger's time to be moved.
const READER_WAIT: Duration = Duration::from_millis(50);
/// How long the task waits for a connection and the database.
const MOVE_TIME: Duration = Duration::from_secs(1);
/// How long readers do not ask again after the time could not be moved.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The times declared by this process, by the organisation's key.
#[derive(Debug, Default, Clone)]
pub(crate) struct ConsistentThrough {
    states: Arc<Mutex<HashMap<i64, State>>>,
    moves: Arc<Mutex<Moves>>,
}

/// The tasks that move the time of ledgers.
#[derive(Debug, Default)]
struct Moves {
    /// One task for each organisation. Readers that come meanwhile wait for the same one.
    running: HashMap<i64, watch::Receiver<Option<i64>>>,
    last_failure: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// No record is stored at this time or before it any more.
    through: i64,
    /// The number of active writing transactions.
    writers: u32,
}

/// An active writing transaction.
pub(crate) struct Writing {
    declared: ConsistentThrough,
    org: i64,
}

impl ConsistentThrough {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, State>> {
        // No code panics while it holds the lock, so a state is never half changed.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a writing transaction. Until it ends, no time after the ledger's is declared.
    pub(crate) fn begin(&self, org: i64) -> Writing {
        self.lock().entry(org).or_default().writers += 1;
        Writing {
            declared: self.clone(),
            org,
        }
    }

    /// Declares `through` unless a writer is active. Returns the latest declared time.
    fn declare(&self, org: i64, through: i64) -> i64 {
        let mut states = self.lock();
        let state = states.entry(org).or_default();
        if state.writers == 0 {
            state.through = state.through.max(through);
        }
        state.through
    }
}

impl Writing {
    /// The first time at which this transaction may store records.
    pub(crate) fn earliest(&self) -> i64 {
        let states = self.declared.lock();
        states
            .get(&self.org)
            .map_or(i64::MIN, |state| state.through + MILLISECOND)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(state) = self.declared.lock().get_mut(&self.org) {
            state.writers = state.writers.saturating_sub(1);
        }
    }
}

impl Store {
    /// The time through which everything stored can be read.
    pub async fn consistent_through(&self, organisation: &OrgId) -> Result<Timestamp, StoreError> {
        let now = self.clock().now().whole_millisecond();
        let Some(org) = self.organisation_key(organisation).await? else {
            // Without a ledger nothing would bind the first writer to a declared time.
            return Ok(Timestamp::from_micros(0));
        };
        let select = Sql::new("SELECT stored FROM ledgers WHERE org = $1").with(org);
        let Some((stored,)) = self.db().fetch_row::<(i64,)>(select).await? else {
            return Err(StoreError::Invariant("an organisation has no ledger"));
        };
        let before_ledger = stored - MILLISECOND;
        let before_now = now.micros() - MILLISECOND;
        let through = match self.db().engine() {
            Engine::Sqlite => before_ledger.max(self.writers().declare(org, before_now)),
            Engine::Postgres if stored >= now.micros() - MAX_AGE => before_ledger,
            Engine::Postgres => match self.ask_for_move(org, now) {
                Some(moved) => wait_for_move(moved).await.unwrap_or(before_ledger),
                None => before_ledger,
            },
        };
        Ok(Timestamp::from_micros(through))
    }

    /// Lets a task move the ledger's time to `now`, unless one does so already. `None` if it failed a moment ago.
    fn ask_for_move(&self, org: i64, now: Timestamp) -> Option<watch::Receiver<Option<i64>>> {
        let mut moves = self.writers().moves();
        if let Some(running) = moves.running.get(&org) {
            return Some(running.clone());
        }
        if moves
            .last_failure
            .is_some_and(|failure| failure.elapsed() < FAILURE_PAUSE)
        {
            return None;
        }
        let (done, moved) = watch::channel(None);
        moves.running.insert(org, moved.clone());
        drop(moves);
        let store = self.clone();
        self.runtime().spawn(async move {
            let outcome = timeout(MOVE_TIME, store.try_move_ledger(org, now)).await;
            let mut moves = store.writers().moves();
            moves.running.remove(&org);
            match outcome {
                Ok(Ok(true)) => drop(done.send(Some(now.micros() - MILLISECOND))),
                Ok(Ok(false)) => {} // a writer holds the ledger
                Ok(Err(_)) | Err(_) => moves.last_failure = Some(Instant::now()),
            }
        });
        Some(moved)
    }

    /// Moves the ledger's time to `now`. Returns false if a writer holds the ledger, or has moved it further.
    async fn try_move_ledger(&self, org: i64, now: Timestamp) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE ledgers SET stored = $2 WHERE org = $1 AND stored < $2 \
             AND org IN (SELECT l.org FROM ledgers l WHERE l.org = $1 FOR UPDATE SKIP LOCKED)",
        );
        let moved = self
            .db()
            .execute_alone(update.with(org).with(now.micros()))
            .await?;
        Ok(moved == 1)
    }
}

/// The declared time after the ledger's time was moved. `None` if it was not moved, or not in time.
async fn wait_for_move(mut moved: watch::Receiver<Option<i64>>) -> Option<i64> {
    match timeout(READER_WAIT, moved.wait_for(Option::is_some)).await {
        Ok(Ok(through)) => *through,
        Ok(Err(_)) | Err(_) => None, // the task has ended without a move
    }
}
