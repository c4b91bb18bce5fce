//! Until when everything stored can be read: `X-Experience-API-Consistent-Through` (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! What is promised holds for ever: no record is stored at that moment or before it from then on, whichever
//! replica writes and however its clock goes. A writer stores at the ledger's moment or later. So while
//! somebody writes, the millisecond before the ledger's moment is what can be promised. While nobody does, the
//! moment is moved up to now first, without waiting for whoever begins to write meanwhile.
//!
//! On SQLite a process is alone with its file, so that what it promised need not be written down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::{Engine, Sql};
use crate::store::db::{Store, StoreError};

/// Microseconds of a millisecond: what times of storing are counted in.
const MILLISECOND: i64 = 1_000;
/// How far behind now a promise may stay, in microseconds, so that not every question moves the ledger.
const BEHIND: i64 = 20 * MILLISECOND;

/// What was promised within this process, by the organisation's key.
#[derive(Debug, Default, Clone)]
pub(crate) struct ConsistentThrough(Arc<Mutex<HashMap<i64, Promise>>>);

#[derive(Debug, Default, Clone, Copy)]
struct Promise {
    /// Nothing is stored at this moment or before it any more.
    through: i64,
    /// Transactions under way.
    writers: u32,
}

/// A transaction under way in an organisation's name.
pub(crate) struct Writing {
    promises: ConsistentThrough,
    org: i64,
}

impl ConsistentThrough {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Promise>> {
        // A thread that panicked while it held the lock can't have left half a promise.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a transaction writes; nothing beyond the ledger is promised until it ends.
    pub(crate) fn begin(&self, org: i64) -> Writing {
        self.lock().entry(org).or_default().writers += 1;
        Writing {
            promises: self.clone(),
            org,
        }
    }

    /// ConsistentThrough up to that moment where nobody writes; answers what is promised.
    fn promise(&self, org: i64, through: i64) -> i64 {
        let mut promises = self.lock();
        let promise = promises.entry(org).or_default();
        if promise.writers == 0 {
            promise.through = promise.through.max(through);
        }
        promise.through
    }
}

impl Writing {
    /// The first moment at which this transaction may store.
    pub(crate) fn earliest(&self) -> i64 {
        let promises = self.promises.lock();
        promises
            .get(&self.org)
            .map_or(i64::MIN, |promise| promise.through + MILLISECOND)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(promise) = self.promises.lock().get_mut(&self.org) {
            promise.writers = promise.writers.saturating_sub(1);
        }
    }
}

impl Store {
    /// The moment through which everything stored can be read, now and for ever.
    pub async fn consistent_through(&self, organisation: &OrgId) -> Result<Timestamp, StoreError> {
        let now = self.clock().now().whole_millisecond();
        let Some(org) = self.organisation_key(organisation).await? else {
            // There is no ledger yet to hold whoever writes first to a promise.
            return Ok(Timestamp::from_micros(0));
        };
        let select = Sql::new("SELECT stored FROM ledgers WHERE org = $1").with(org);
        let stored: i64 = match self.db().fetch_optional(select).await? {
            Some(row) => row.get(0)?,
            None => return Err(StoreError::Invariant("an organisation without a ledger")),
        };
        let ledger = stored - MILLISECOND;
        let through = match self.db().engine() {
            Engine::Sqlite => ledger.max(self.writers().promise(org, now.micros() - MILLISECOND)),
            Engine::Postgres if stored >= now.micros() - BEHIND => ledger,
            Engine::Postgres if self.move_ledger(org, now).await? => now.micros() - MILLISECOND,
            Engine::Postgres => ledger,
        };
        Ok(Timestamp::from_micros(through))
    }

    /// Moves the ledger's moment up to now, unless somebody writes just then.
    async fn move_ledger(&self, org: i64, now: Timestamp) -> Result<bool, StoreError> {
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
