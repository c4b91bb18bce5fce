//! A limit on concurrency that organisations share, and within each organisation its callers.
//!
//! No organisation takes all permits, and no caller takes all permits of its organisation. A permit that becomes free
//! goes to the waiting organisation with the fewest permits, and there to the waiting caller with the fewest. Among
//! equals, the one whose last permit was granted the longest time ago comes first. So many requests of one caller never
//! delay a request of another one by more than the duration of one request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::base::ids::OrgId;
use crate::base::shared_limit::{Shares, TooManyWaiting};

/// A caller of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sharer {
    /// The organisation.
    pub organisation: OrgId,
    /// The id of the caller, unique in its organisation.
    pub caller: String,
}

/// How many permits there are, and how many of them one organisation and one caller may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairShares {
    organisations: Shares,
    callers: Shares,
}

impl FairShares {
    /// `all` permits. One organisation may hold all but one, and one caller `of_caller`, but at most all but one of its
    /// organisation. Each may hold at least one.
    pub fn new(all: usize, of_caller: usize) -> Self {
        Self::for_organisations(all, all, of_caller)
    }

    /// The same, with at most `of_organisation` permits for one organisation.
    pub fn for_organisations(all: usize, of_organisation: usize, of_caller: usize) -> Self {
        let organisations = Shares::new(all, of_organisation);
        Self {
            organisations,
            callers: Shares::new(organisations.of_one(), of_caller),
        }
    }

    /// The number of permits.
    pub fn all(self) -> usize {
        self.organisations.all()
    }

    /// The number of permits that one caller may hold.
    pub fn of_caller(self) -> usize {
        self.callers.of_one()
    }
}

/// A number of permits that callers share fairly, see [`FairShares`]. Callers without requests need no memory.
#[derive(Debug)]
pub struct FairLimit(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    shares: FairShares,
    max_waiting: usize,
    used: usize,
    /// The number of permits that were granted so far.
    granted: u64,
    organisations: HashMap<OrgId, Organisation>,
}

/// An organisation that holds a permit or waits for one.
#[derive(Debug, Default)]
struct Organisation {
    held: usize,
    /// The value of [`State::granted`] at its last permit.
    last: u64,
    callers: HashMap<String, Caller>,
}

/// A caller that holds a permit or waits for one.
#[derive(Debug, Default)]
struct Caller {
    held: usize,
    last: u64,
    /// In the order in which they began to wait. Some may have given up.
    waiting: VecDeque<oneshot::Sender<FairPermit>>,
}

/// A permit of a caller, until it is dropped.
#[derive(Debug)]
pub struct FairPermit {
    limit: Arc<Mutex<State>>,
    sharer: Sharer,
}

impl FairLimit {
    /// A limit for which at most `max_waiting` requests of each caller wait.
    pub fn new(shares: FairShares, max_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            shares,
            max_waiting,
            used: 0,
            granted: 0,
            organisations: HashMap::new(),
        })))
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// Too many requests of the caller wait already.
    pub async fn acquire(&self, sharer: &Sharer) -> Result<FairPermit, TooManyWaiting> {
        let granted = {
            let mut state = lock(&self.0);
            if state.permits(sharer) {
                state.take(sharer);
                return Ok(FairPermit {
                    limit: Arc::clone(&self.0),
                    sharer: sharer.clone(),
                });
            }
            state.wait_for(sharer)?
        };
        // The sender is dropped only together with the limit.
        granted.await.map_err(|_| TooManyWaiting)
    }
}

impl State {
    fn permits(&self, sharer: &Sharer) -> bool {
        let organisation = self.organisations.get(&sharer.organisation);
        let caller = organisation.and_then(|organisation| organisation.callers.get(&sharer.caller));
        let held_by_all_callers = organisation.map_or(0, |organisation| organisation.held);
        self.permits_organisation(held_by_all_callers)
            && self.permits_caller(caller.map_or(0, |caller| caller.held), held_by_all_callers)
    }

    fn permits_organisation(&self, held: usize) -> bool {
        self.shares.organisations.permit(held, self.used)
    }

    fn permits_caller(&self, held: usize, held_by_all_callers: usize) -> bool {
        self.shares.callers.permit(held, held_by_all_callers)
    }

    fn take(&mut self, sharer: &Sharer) {
        self.used += 1;
        self.granted += 1;
        let organisation = self.organisations.entry(sharer.organisation.clone()).or_default();
        organisation.held += 1;
        organisation.last = self.granted;
        let caller = organisation.callers.entry(sharer.caller.clone()).or_default();
        caller.held += 1;
        caller.last = self.granted;
    }

    fn give_back(&mut self, sharer: &Sharer) {
        self.used -= 1;
        if let Some(organisation) = self.organisations.get_mut(&sharer.organisation) {
            organisation.held -= 1;
            if let Some(caller) = organisation.callers.get_mut(&sharer.caller) {
                caller.held -= 1;
            }
        }
    }

    fn wait_for(&mut self, sharer: &Sharer) -> Result<oneshot::Receiver<FairPermit>, TooManyWaiting> {
        self.forget_idle();
        let max_waiting = self.max_waiting;
        let organisation = self.organisations.entry(sharer.organisation.clone()).or_default();
        let caller = organisation.callers.entry(sharer.caller.clone()).or_default();
        if caller.waiting.len() >= max_waiting {
            return Err(TooManyWaiting);
        }
        let (grant, granted) = oneshot::channel();
        caller.waiting.push_back(grant);
        Ok(granted)
    }

    /// Removes requests that have given up, and callers and organisations that neither hold a permit nor wait.
    fn forget_idle(&mut self) {
        self.organisations.retain(|_, organisation| {
            organisation.callers.retain(|_, caller| {
                caller.waiting.retain(|grant| !grant.is_closed());
                caller.held > 0 || !caller.waiting.is_empty()
            });
            !organisation.callers.is_empty()
        });
    }

    /// Removes the waiting request that gets the next permit.
    fn next_waiting(&mut self) -> Option<(Sharer, oneshot::Sender<FairPermit>)> {
        self.forget_idle();
        let waiting = self.organisations.iter().filter_map(|(id, organisation)| {
            if !self.permits_organisation(organisation.held) {
                return None;
            }
            let callers = organisation.callers.iter().filter(|(_, caller)| {
                !caller.waiting.is_empty() && self.permits_caller(caller.held, organisation.held)
            });
            let (name, _) = callers.min_by_key(|(_, caller)| (caller.held, caller.last))?;
            Some(((organisation.held, organisation.last), id, name))
        });
        let (_, organisation, caller) = waiting.min_by_key(|(order, ..)| *order)?;
        let sharer = Sharer {
            organisation: organisation.clone(),
            caller: caller.clone(),
        };
        let organisation = self.organisations.get_mut(&sharer.organisation)?;
        let grant = organisation
            .callers
            .get_mut(&sharer.caller)?
            .waiting
            .pop_front()?;
        Some((sharer, grant))
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let mut given_up = Vec::new();
        let mut state = lock(&self.limit);
        state.give_back(&self.sharer);
        while let Some((sharer, grant)) = state.next_waiting() {
            state.take(&sharer);
            let permit = FairPermit {
                limit: Arc::clone(&self.limit),
                sharer,
            };
            // A permit of a request that has given up comes back.
            given_up.extend(grant.send(permit).err());
        }
        // Dropping a permit takes the lock.
        drop(state);
        drop(given_up);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No code panics while it holds the lock, so the state is never half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn sharer(organisation: &str, caller: &str) -> Sharer {
        Sharer {
            organisation: OrgId::new(organisation).unwrap(),
            caller: caller.to_owned(),
        }
    }

    fn limit(all: usize, of_caller: usize) -> FairLimit {
        FairLimit::new(FairShares::new(all, of_caller), 10)
    }

    fn try_acquire(limit: &FairLimit, sharer: &Sharer) -> Option<FairPermit> {
        limit.acquire(sharer).now_or_never().and_then(Result::ok)
    }

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<FairPermit, TooManyWaiting>> + 'a>>;

    /// A request that waits.
    fn wait<'a>(limit: &'a FairLimit, sharer: &'a Sharer) -> Waiting<'a> {
        let mut waiting: Waiting<'_> = Box::pin(limit.acquire(sharer));
        assert!(
            waiting.as_mut().now_or_never().is_none(),
            "no permit is free for {sharer:?}"
        );
        waiting
    }

    #[test]
    fn one_caller_leaves_permits_for_its_organisation_and_for_others() {
        for all in 3..10 {
            for of_caller in 1..=all {
                let limit = limit(all, of_caller);
                let greedy = sharer("acme", "greedy");
                let held: Vec<_> = std::iter::from_fn(|| try_acquire(&limit, &greedy)).collect();
                assert!(held.len() <= of_caller && !held.is_empty());
                let _own = try_acquire(&limit, &sharer("acme", "other")).unwrap();
                assert!(
                    try_acquire(&limit, &sharer("other", "any")).is_some(),
                    "{all} {of_caller}"
                );
            }
        }
    }

    #[test]
    fn single_permit_is_for_everybody() {
        let limit = limit(1, 1);
        let first = try_acquire(&limit, &sharer("acme", "a")).unwrap();
        assert!(try_acquire(&limit, &sharer("other", "b")).is_none());
        drop(first);
        assert!(try_acquire(&limit, &sharer("other", "b")).is_some());
    }

    #[test]
    fn no_permits_at_all_refuse_everybody() {
        assert!(try_acquire(&limit(0, 1), &sharer("acme", "a")).is_none());
    }

    #[test]
    fn caller_that_came_later_does_not_wait_for_the_queue_of_another() {
        let limit = limit(2, 1);
        let (greedy, own, other) = (
            sharer("acme", "greedy"),
            sharer("acme", "own"),
            sharer("other", "b"),
        );
        let held = try_acquire(&limit, &greedy).unwrap();
        let queue: Vec<_> = (0..5).map(|_| wait(&limit, &greedy)).collect();
        let late = wait(&limit, &own);
        let other = try_acquire(&limit, &other).unwrap();
        drop(held);
        let late = late.now_or_never().unwrap().unwrap();
        drop(late);
        let granted: Vec<_> = queue
            .into_iter()
            .filter_map(|request| request.now_or_never())
            .collect();
        assert_eq!(granted.len(), 1);
        drop(other);
    }

    #[test]
    fn organisations_take_turns() {
        let limit = limit(4, 2);
        let (a, b, c) = (sharer("acme", "a"), sharer("acme", "b"), sharer("other", "c"));
        let held_by_a = try_acquire(&limit, &a).unwrap();
        let held_by_b = try_acquire(&limit, &b).unwrap();
        let _held_by_c = try_acquire(&limit, &c).unwrap();
        let (first, mut second) = (wait(&limit, &a), wait(&limit, &c));
        // Now both organisations hold one, and the last permit of `acme` was granted earlier.
        drop(held_by_b);
        let _granted = first.now_or_never().unwrap().unwrap();
        assert!(second.as_mut().now_or_never().is_none());
        drop(held_by_a);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn request_that_gives_up_takes_nothing() {
        let limit = limit(1, 1);
        let (a, b) = (sharer("acme", "a"), sharer("acme", "b"));
        let first = try_acquire(&limit, &a).unwrap();
        let second = wait(&limit, &a);
        drop(first);
        drop(second);
        let first = try_acquire(&limit, &b).unwrap();
        drop(wait(&limit, &a));
        drop(first);
        drop(try_acquire(&limit, &a).unwrap());
        let mut state = lock(&limit.0);
        state.forget_idle();
        assert!(state.organisations.is_empty() && state.used == 0);
    }

    #[test]
    fn too_many_waiting_requests_of_a_caller_are_refused_at_once() {
        let limit = FairLimit::new(FairShares::new(1, 1), 1);
        let (a, b) = (sharer("acme", "a"), sharer("acme", "b"));
        let _first = try_acquire(&limit, &a).unwrap();
        let _waiting = wait(&limit, &a);
        assert_eq!(
            limit.acquire(&a).now_or_never().unwrap().err(),
            Some(TooManyWaiting)
        );
        drop(wait(&limit, &b));
    }

    proptest! {
        /// After any order of requests, grants and returns, no permit is lost.
        #[test]
        fn permits_are_never_lost(steps in prop::collection::vec((0..3usize, 0..3usize, any::<bool>()), 1..60)) {
            let limit = limit(4, 2);
            let mut held = Vec::new();
            let mut waiting = Vec::new();
            for (organisation, caller, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    held.remove(caller % held.len());
                } else {
                    let sharer = sharer(["x", "y", "z"][organisation], ["1", "2", "3"][caller]);
                    waiting.push(Box::pin({
                        let limit = FairLimit(Arc::clone(&limit.0));
                        async move { limit.acquire(&sharer).await }
                    }));
                }
                waiting.retain_mut(|request| match request.as_mut().now_or_never() {
                    Some(granted) => {
                        held.extend(granted.ok());
                        false
                    }
                    None => true,
                });
                prop_assert!(held.len() <= 4);
                prop_assert_eq!(lock(&limit.0).used, held.len());
            }
            drop(waiting);
            drop(held);
            prop_assert_eq!(lock(&limit.0).used, 0);
        }
    }
}
