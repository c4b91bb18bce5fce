//! Limits on work that several runs do at the same time, in total and for each organisation.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::keyed_limit::{KeyedLimit, KeyedPermit};

/// A limit on concurrent work. One organisation never holds all permits.
pub(super) struct OrganisationLimit {
    all: Arc<Semaphore>,
    /// By the organisation's key.
    organisations: KeyedLimit<i64>,
}

/// A permit. It is given back when it is dropped.
pub(super) struct OrganisationPermit {
    _all: OwnedSemaphorePermit,
    _organisation: KeyedPermit<i64>,
}

impl OrganisationLimit {
    /// A limit of `all` permits in total, and of `of_one` permits for each organisation.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            // The runs of an organisation are limited, so waiting needs no limit.
            organisations: KeyedLimit::new(of_one, usize::MAX),
        }
    }

    /// Waits for a permit: first for one of the organisation, so that it never fills the common queue. `None` never happens:
    /// the semaphores are not closed.
    pub(super) async fn acquire(&self, org: i64) -> Option<OrganisationPermit> {
        let organisation = self.organisations.acquire(&org).await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(OrganisationPermit {
            _all: all,
            _organisation: organisation,
        })
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
}
