//! A limit on concurrency for each key, for example for each organisation.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of permits for each key. Keys without users need no memory.
#[derive(Debug)]
pub struct KeyedLimit<K: Hash + Eq> {
    entries: Arc<Mutex<HashMap<K, Entry>>>,
    permits: usize,
    max_waiting: usize,
}

#[derive(Debug)]
struct Entry {
    semaphore: Arc<Semaphore>,
    /// The users that wait and those that have a permit.
    users: usize,
}

/// Too many users wait for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWaiting;

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    /// A limit of `permits` for each key, for which at most `max_waiting` users wait.
    pub fn new(permits: usize, max_waiting: usize) -> Self {
        Self {
            entries: Arc::default(),
            permits,
            max_waiting,
        }
    }

    /// Waits for a permit of the key. Users get their permits in the order in which they began to wait.
    ///
    /// # Errors
    ///
    /// Too many users wait for the key already.
    pub async fn acquire(&self, key: &K) -> Result<KeyedPermit<K>, TooManyWaiting> {
        let (registration, semaphore) = self.register(key)?;
        // The semaphore is never closed.
        let permit = semaphore.acquire_owned().await.map_err(|_| TooManyWaiting)?;
        Ok(KeyedPermit {
            _permit: permit,
            _registration: registration,
        })
    }

    fn register(&self, key: &K) -> Result<(Registration<K>, Arc<Semaphore>), TooManyWaiting> {
        let mut entries = lock(&self.entries);
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
            semaphore: Arc::new(Semaphore::new(self.permits)),
            users: 0,
        });
        if entry.users >= self.permits.saturating_add(self.max_waiting) {
            return Err(TooManyWaiting);
        }
        entry.users += 1;
        let registration = Registration {
            entries: Arc::clone(&self.entries),
            key: key.clone(),
        };
        Ok((registration, Arc::clone(&entry.semaphore)))
    }
}

fn lock<K>(entries: &Mutex<HashMap<K, Entry>>) -> MutexGuard<'_, HashMap<K, Entry>> {
    // No code panics while it holds the lock, so the map is never half changed.
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A permit of a key, until it is dropped.
#[derive(Debug)]
pub struct KeyedPermit<K: Hash + Eq> {
    // The permit is dropped first: an entry is removed only when no permit of it exists.
    _permit: OwnedSemaphorePermit,
    _registration: Registration<K>,
}

/// A user of a key. The last one removes the entry.
#[derive(Debug)]
struct Registration<K: Hash + Eq> {
    entries: Arc<Mutex<HashMap<K, Entry>>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Registration<K> {
    fn drop(&mut self) {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                entries.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn second_user_of_a_key_waits() {
        let limit = KeyedLimit::new(1, 10);
        let first = limit.acquire(&"a").await.unwrap();
        assert!(timeout(SHORT, limit.acquire(&"a")).await.is_err());
        limit.acquire(&"b").await.unwrap();
        drop(first);
        limit.acquire(&"a").await.unwrap();
    }

    #[tokio::test]
    async fn too_many_waiting_users_are_refused_at_once() {
        let limit = Arc::new(KeyedLimit::new(1, 1));
        let first = limit.acquire(&"a").await.unwrap();
        let waiting = tokio::spawn({
            let limit = Arc::clone(&limit);
            async move { limit.acquire(&"a").await.is_ok() }
        });
        while lock(&limit.entries)["a"].users < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(limit.acquire(&"a").await.err(), Some(TooManyWaiting));
        drop(first);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn keys_without_users_are_removed() {
        let limit = KeyedLimit::new(1, 10);
        let first = limit.acquire(&"a").await.unwrap();
        assert!(timeout(SHORT, limit.acquire(&"a")).await.is_err());
        assert_eq!(lock(&limit.entries).len(), 1);
        drop(first);
        assert!(lock(&limit.entries).is_empty());
    }
}
