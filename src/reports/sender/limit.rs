//! Limits on work that several runs do at the same time, in total and for each organisation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on concurrent work. One organisation never holds all permits.
pub(super) struct OrganisationLimit {
    all: Arc<Semaphore>,
    of_one: usize,
    /// The semaphores of organisations that hold or wait for a permit, by the organisation's key.
    organisations: Mutex<HashMap<i64, Arc<Semaphore>>>,
}

/// A permit. It is given back when it is dropped.
pub(super) struct OrganisationPermit {
    _organisation: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl OrganisationLimit {
    /// A limit of `all` permits in total, and of `of_one` permits for each organisation.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_one,
            organisations: Mutex::default(),
        }
    }

    /// Waits for a permit. An organisation waits in the common queue only with work that its own limit permits. `None` never
    /// happens: the semaphores are not closed.
    pub(super) async fn acquire(&self, org: i64) -> Option<OrganisationPermit> {
        let organisation = self.organisation(org).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(OrganisationPermit {
            _organisation: organisation,
            _all: all,
        })
    }

    fn organisation(&self, org: i64) -> Arc<Semaphore> {
        let mut organisations = self.organisations.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits and waiters hold references to their semaphores.
        organisations.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let semaphore = organisations
            .entry(org)
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_one)));
        Arc::clone(semaphore)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_organisation_leaves_a_permit_for_others() {
        let limit = OrganisationLimit::new(3, 2);
        let acquire = |org| limit.acquire(org).now_or_never().flatten();
        let first = acquire(7).unwrap();
        let _second = acquire(7).unwrap();
        assert!(acquire(7).is_none());
        let _other = acquire(8).unwrap();
        assert!(acquire(9).is_none(), "all permits are taken");
        drop(first);
        assert!(acquire(9).is_some());
        assert!(acquire(7).is_some());
    }

    #[test]
    fn organisations_without_permits_are_forgotten() {
        let limit = OrganisationLimit::new(3, 2);
        for org in 0..100 {
            drop(limit.acquire(org).now_or_never().flatten().unwrap());
        }
        assert!(limit.organisations.lock().unwrap().len() <= 2);
    }
}
