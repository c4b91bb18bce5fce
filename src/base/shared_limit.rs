//! A limit on concurrency that keys share, for example organisations. No key takes all of it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How many permits there are, and how many of them one key may hold.
///
/// The last free permit is for a key that holds none. So a key that never gives its permits back leaves one for others, and
/// two keys do so too if one key may hold at most all but two ([`Shares::for_three`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    all: usize,
    of_one: usize,
}

impl Shares {
    /// `all` permits, of which one key may hold `of_one`. A key may hold at most all but one, and at least one.
    pub fn new(all: usize, of_one: usize) -> Self {
        Self::leaving(1, all, of_one)
    }

    /// The same, with all but two at most. With three permits or more, two keys leave one for a third.
    pub fn for_three(all: usize, of_one: usize) -> Self {
        Self::leaving(2, all, of_one)
    }

    fn leaving(left: usize, all: usize, of_one: usize) -> Self {
        Self {
            all,
            of_one: of_one.clamp(1, all.saturating_sub(left).max(1)),
        }
    }

    /// The number of permits.
    pub fn all(self) -> usize {
        self.all
    }

    /// The number of permits that one key may hold.
    pub fn of_one(self) -> usize {
        self.of_one
    }

    /// Whether a key that holds `held` permits may get another one, while all keys together hold `used`.
    pub fn permit(self, held: usize, used: usize) -> bool {
        let free = self.all.saturating_sub(used);
        held < self.of_one && free > usize::from(held > 0)
    }
}

/// A number of permits that all keys share, see [`Shares`]. Keys without users need no memory.
#[derive(Debug)]
pub struct SharedLimit<K: Hash + Eq + Clone>(Arc<Mutex<State<K>>>);

#[derive(Debug)]
struct State<K: Hash + Eq + Clone> {
    shares: Shares,
    max_waiting: usize,
    used: usize,
    held: HashMap<K, usize>,
    /// In the order in which they began to wait. Some may have given up.
    waiting: VecDeque<Waiting<K>>,
}

#[derive(Debug)]
struct Waiting<K: Hash + Eq + Clone> {
    key: K,
    grant: oneshot::Sender<SharedPermit<K>>,
}

/// Too many users wait for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWaiting;

/// A permit of a key, until it is dropped.
#[derive(Debug)]
pub struct SharedPermit<K: Hash + Eq + Clone> {
    limit: Arc<Mutex<State<K>>>,
    key: K,
}

impl<K: Hash + Eq + Clone> SharedLimit<K> {
    /// A limit for which at most `max_waiting` users of each key wait.
    pub fn new(shares: Shares, max_waiting: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            shares,
            max_waiting,
            used: 0,
            held: HashMap::new(),
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a permit. Of the users that may get one, the first that began to wait gets it.
    ///
    /// # Errors
    ///
    /// Too many users wait for the key already.
    pub async fn acquire(&self, key: &K) -> Result<SharedPermit<K>, TooManyWaiting> {
        let granted = {
            let mut state = lock(&self.0);
            if state.permits(key) {
                state.take(key);
                return Ok(SharedPermit {
                    limit: Arc::clone(&self.0),
                    key: key.clone(),
                });
            }
            state.wait_for(key)?
        };
        // The sender is dropped only together with the limit.
        granted.await.map_err(|_| TooManyWaiting)
    }
}

impl<K: Hash + Eq + Clone> State<K> {
    fn permits(&self, key: &K) -> bool {
        let held = self.held.get(key).copied().unwrap_or_default();
        self.shares.permit(held, self.used)
    }

    fn take(&mut self, key: &K) {
        self.used += 1;
        *self.held.entry(key.clone()).or_default() += 1;
    }

    fn give_back(&mut self, key: &K) {
        self.used -= 1;
        if let Some(held) = self.held.get_mut(key) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(key);
            }
        }
    }

    fn wait_for(&mut self, key: &K) -> Result<oneshot::Receiver<SharedPermit<K>>, TooManyWaiting> {
        self.waiting.retain(|one| !one.grant.is_closed());
        if self.waiting.iter().filter(|one| one.key == *key).count() >= self.max_waiting {
            return Err(TooManyWaiting);
        }
        let (grant, granted) = oneshot::channel();
        let key = key.clone();
        self.waiting.push_back(Waiting { key, grant });
        Ok(granted)
    }

    /// Removes the first user in the queue that may get a permit.
    fn next_waiting(&mut self) -> Option<Waiting<K>> {
        self.waiting.retain(|one| !one.grant.is_closed());
        let next = self.waiting.iter().position(|one| self.permits(&one.key))?;
        self.waiting.remove(next)
    }
}

impl<K: Hash + Eq + Clone> Drop for SharedPermit<K> {
    fn drop(&mut self) {
        let mut given_up = Vec::new();
        let mut state = lock(&self.limit);
        state.give_back(&self.key);
        while let Some(Waiting { key, grant }) = state.next_waiting() {
            state.take(&key);
            let permit = SharedPermit {
                limit: Arc::clone(&self.limit),
                key,
            };
            // A permit of a user that has given up comes back.
            given_up.extend(grant.send(permit).err());
        }
        // Dropping a permit takes the lock.
        drop(state);
        drop(given_up);
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock, so the state is never half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn limit(all: usize, of_one: usize) -> SharedLimit<u32> {
        SharedLimit::new(Shares::for_three(all, of_one), 10)
    }

    fn try_acquire(limit: &SharedLimit<u32>, key: u32) -> Option<SharedPermit<u32>> {
        limit.acquire(&key).now_or_never().and_then(Result::ok)
    }

    /// The permits that the keys get one after another until none gets a further one.
    fn take_all(limit: &SharedLimit<u32>, keys: &[u32]) -> Vec<SharedPermit<u32>> {
        let mut permits = Vec::new();
        loop {
            let before = permits.len();
            permits.extend(keys.iter().filter_map(|key| try_acquire(limit, *key)));
            if permits.len() == before {
                return permits;
            }
        }
    }

    #[test]
    fn two_keys_leave_a_permit_for_others() {
        for all in 3..12 {
            for of_one in 1..=all {
                for keys in [&[7, 8][..], &[8, 7], &[7]] {
                    let limit = limit(all, of_one);
                    let permits = take_all(&limit, keys);
                    assert!(permits.len() < all, "{all} {of_one}");
                    assert!(try_acquire(&limit, 9).is_some(), "{all} {of_one}");
                }
                // Nor do they get all in the order 7, 7, …, 8, 8, ….
                let limit = limit(all, of_one);
                let _first = take_all(&limit, &[7]);
                let _second = take_all(&limit, &[8]);
                assert!(try_acquire(&limit, 9).is_some(), "{all} {of_one}");
            }
        }
    }

    #[test]
    fn one_key_leaves_a_permit_for_others() {
        for all in 2..12 {
            let limit = SharedLimit::new(Shares::new(all, all), 10);
            let permits = take_all(&limit, &[7]);
            assert_eq!(permits.len(), all - 1);
            assert!(try_acquire(&limit, 8).is_some());
        }
    }

    #[test]
    fn permit_that_is_given_back_goes_to_the_first_that_may_have_it() {
        let limit = limit(4, 2);
        let mut sevens = take_all(&limit, &[7]);
        assert_eq!(sevens.len(), 2);
        let _eight = try_acquire(&limit, 8).unwrap();
        let mut further = Box::pin(limit.acquire(&8));
        assert!(
            further.as_mut().now_or_never().is_none(),
            "the last permit is not for 8"
        );
        let nine = try_acquire(&limit, 9).unwrap();
        let mut other = Box::pin(limit.acquire(&10));
        assert!(other.as_mut().now_or_never().is_none(), "all permits are taken");
        // One free permit: 8 waits for longer, but holds one.
        drop(nine);
        let other = other.now_or_never().unwrap().unwrap();
        drop(sevens.pop());
        assert!(further.as_mut().now_or_never().is_none());
        drop(other);
        assert!(further.now_or_never().is_some());
    }

    #[test]
    fn user_that_gives_up_waiting_takes_nothing() {
        let limit = limit(1, 1);
        let first = try_acquire(&limit, 7).unwrap();
        let mut second = Box::pin(limit.acquire(&7));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        // The permit was granted, but never taken.
        drop(second);
        let first = try_acquire(&limit, 8).unwrap();
        let mut second = Box::pin(limit.acquire(&7));
        assert!(second.as_mut().now_or_never().is_none());
        drop(second);
        drop(first);
        assert!(try_acquire(&limit, 9).is_some());
        let state = lock(&limit.0);
        assert!(state.held.is_empty() && state.waiting.is_empty());
    }

    #[test]
    fn too_many_waiting_users_of_a_key_are_refused_at_once() {
        let limit = SharedLimit::new(Shares::new(1, 1), 1);
        let _first = limit.acquire(&7).now_or_never().unwrap().unwrap();
        let mut waiting = Box::pin(limit.acquire(&7));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(
            limit.acquire(&7).now_or_never().unwrap().err(),
            Some(TooManyWaiting)
        );
        let mut other = Box::pin(limit.acquire(&8));
        assert!(other.as_mut().now_or_never().is_none(), "another key may wait");
    }
}
