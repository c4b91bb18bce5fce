//! The time through which everything stored can be read: `X-Experience-API-Consistent-Through` (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! Once declared, the time is final: no replica stores a record at that time or before it any more, even if its clock
//! is slow. A writer stores at the ledger's time or later, so the millisecond before the ledger's time can be declared
//! while a writer is active. While none is, the ledger's time is moved to the present first. This does not wait for a
//! writer that begins meanwhile.
//!
//! On SQLite one process owns the database, so the declared time is held in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::{Engine, Sql};
use crate::store::db::{Store, StoreError};

/// The microseconds of a millisecond, the unit of storing times.
const MILLISECOND: i64 = 1_000;
/// The age in microseconds up to which the ledger's time is declared unchanged. Without it, each request would write.
const MAX_AGE: i64 = 20 * MILLISECOND;

/// The times declared by this process, by the organisation's key.
#[derive(Debug, Default, Clone)]
pub(crate) struct ConsistentThrough(Arc<Mutex<HashMap<i64, State>>>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            Engine::Postgres if self.try_move_ledger(org, now).await? => before_now,
            Engine::Postgres => before_ledger,
        };
        Ok(Timestamp::from_micros(through))
    }

    /// Moves the ledger's time to `now`. Returns false if a writer holds the ledger.
    async fn try_move_ledger(&self, org: i64, now: Timestamp) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE ledgers SET stored = $2 WHERE org = $1 AND stored < $2 \
             AND org IN (SELECT l.org FROM ledgers l WHERE l.org = $1 FOR UPDATE SKIP LOCKED)",
        );
        let mut tx = self.db().begin().await?;
        let moved = tx.execute(update.with(org).with(now.micros())).await?;
        tx.commit().await?;
        Ok(moved == 1)
    }
}
