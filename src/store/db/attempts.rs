//! Repeating a change after the database failed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::store::db::{Store, StoreError};

/// The pause before a change is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The attempts of a change that can be repeated without harm: it is recognised if an earlier attempt was committed.
pub(crate) struct Attempts {
    deadline: Instant,
}

impl Store {
    /// The attempts of a change that begins now. It may wait as long as for a lock.
    pub(crate) fn attempts(&self) -> Attempts {
        Attempts {
            deadline: Instant::now() + self.wait(),
        }
    }
}

impl Attempts {
    /// The time that is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the change is to be tried again after this error. Pauses before it returns true.
    pub(crate) async fn again(&self, error: &StoreError) -> bool {
        if !error.is_worth_a_retry() || self.time_left() <= PAUSE {
            return false;
        }
        sleep(PAUSE).await;
        true
    }
}
