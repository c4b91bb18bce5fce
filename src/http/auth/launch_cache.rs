//! The launches that were used in the last second, so that content that sends much needs no look-up for each request.
//!
//! A launch is valid for `FRESH` after its look-up began. So every replica refuses a revoked one, and one of a deactivated
//! user, within a second. The replica that revoked it refuses it at once. The time at which a launch expires is checked at
//! each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::ids::OrgId;
use crate::store::OpenedLaunch;

/// The time for which a launch and its organisation's settings are valid after their look-up began.
const FRESH: Duration = Duration::from_millis(900);
/// The most launches in the cache. Beyond it, the cache is emptied.
const MAX_CACHED: usize = 10_000;

/// The cache of one server, by the SHA-256 of tokens.
#[derive(Default)]
pub struct LaunchCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_token: HashMap<[u8; 32], Entry>,
    /// It changes whenever launches are removed.
    generation: u64,
}

struct Entry {
    looked_up_at: Instant,
    launch: Arc<OpenedLaunch>,
}

/// A look-up that is under way.
#[derive(Debug, Clone, Copy)]
pub struct LookUp {
    began: Instant,
    generation: u64,
}

impl LaunchCache {
    /// The launch with this token, if it was looked up a short time ago.
    pub fn find(&self, token: &[u8; 32], now: Instant) -> Option<Arc<OpenedLaunch>> {
        let mut entries = self.lock();
        let entry = entries.by_token.get(token)?;
        if now.saturating_duration_since(entry.looked_up_at) < FRESH {
            return Some(Arc::clone(&entry.launch));
        }
        entries.by_token.remove(token);
        None
    }

    /// Begins a look-up. Its result can be cached only if nothing was removed in the meantime.
    pub fn begin_look_up(&self, now: Instant) -> LookUp {
        LookUp {
            began: now,
            generation: self.lock().generation,
        }
    }

    /// Caches the result of a look-up.
    pub fn put(&self, look_up: LookUp, token: [u8; 32], launch: Arc<OpenedLaunch>) {
        let mut entries = self.lock();
        if entries.generation != look_up.generation {
            return;
        }
        if entries.by_token.len() >= MAX_CACHED {
            entries.by_token.clear();
        }
        let looked_up_at = look_up.began;
        entries.by_token.insert(token, Entry { looked_up_at, launch });
    }

    /// Removes the launches of an organisation, after one was revoked or the organisation's settings or users changed.
    pub fn remove_organisation(&self, org: &OrgId) {
        let mut entries = self.lock();
        entries.generation += 1;
        entries
            .by_token
            .retain(|_, entry| entry.launch.launch.org != *org);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LaunchCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaunchCache")
    }
}
