//! How many streams are open: in all, of each organisation and of each caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::LiveOptions;
use crate::base::fair_limit::Sharer;
use crate::base::ids::OrgId;

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// That of the caller.
    #[error("you have {0} open streams, which is the limit; close one and try again")]
    Caller(usize),
    /// That of the organisation.
    #[error("your organisation has {0} open streams, which is the limit; try again later")]
    Organisation(usize),
    /// That of the server.
    #[error("the server has {0} open streams, which is the limit; try again later")]
    Server(usize),
}

/// The open streams of a server.
#[derive(Debug, Default, Clone)]
pub(super) struct Slots(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    organisations: HashMap<OrgId, HashMap<String, usize>>,
}

/// A counted stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    sharer: Sharer,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // No code panics while it holds the lock, so the counts are never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more stream of the caller.
    pub(super) fn acquire(&self, limits: &LiveOptions, sharer: &Sharer) -> Result<Slot, Full> {
        let mut counts = self.lock();
        let callers = counts.organisations.get(&sharer.organisation);
        let of_caller = callers.and_then(|callers| callers.get(&sharer.caller)).copied();
        let of_organisation: usize = callers.map_or(0, |callers| callers.values().sum());
        if of_caller.unwrap_or(0) >= limits.streams_per_caller {
            return Err(Full::Caller(limits.streams_per_caller));
        }
        if of_organisation >= limits.streams_per_organisation {
            return Err(Full::Organisation(limits.streams_per_organisation));
        }
        if counts.all >= limits.streams {
            return Err(Full::Server(limits.streams));
        }
        counts.all += 1;
        let callers = counts
            .organisations
            .entry(sharer.organisation.clone())
            .or_default();
        *callers.entry(sharer.caller.clone()).or_default() += 1;
        Ok(Slot {
            slots: self.clone(),
            sharer: sharer.clone(),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.lock();
        counts.all = counts.all.saturating_sub(1);
        let Some(callers) = counts.organisations.get_mut(&self.sharer.organisation) else {
            return;
        };
        if let Some(open) = callers.get_mut(&self.sharer.caller) {
            *open = open.saturating_sub(1);
        }
        callers.retain(|_, open| *open > 0);
        if callers.is_empty() {
            counts.organisations.remove(&self.sharer.organisation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharer(organisation: &str, caller: &str) -> Sharer {
        Sharer {
            organisation: organisation.parse().unwrap(),
            caller: caller.to_owned(),
        }
    }

    #[test]
    fn each_limit_has_its_own_refusal_and_closed_streams_count_no_more() {
        let limits = LiveOptions {
            streams: 4,
            streams_per_organisation: 3,
            streams_per_caller: 2,
            ..LiveOptions::default()
        };
        let slots = Slots::default();
        let acquire = |organisation, caller| slots.acquire(&limits, &sharer(organisation, caller));
        let first = acquire("acme", "ada").unwrap();
        let _second = acquire("acme", "ada").unwrap();
        assert_eq!(acquire("acme", "ada").unwrap_err(), Full::Caller(2));
        let _third = acquire("acme", "bo").unwrap();
        assert_eq!(acquire("acme", "bo").unwrap_err(), Full::Organisation(3));
        let other = acquire("other", "ada").unwrap();
        assert_eq!(acquire("other", "bo").unwrap_err(), Full::Server(4));
        drop(first);
        drop(acquire("acme", "ada").unwrap());
        drop(other);
        assert_eq!(slots.lock().organisations.len(), 1);
    }
}
