//! The columns of organisations in memory, from which the log is counted
//! ([`counting`](crate::store::activity_log::counting) fills and uses them).
//!
//! The cache has a limit in bytes for all organisations together. Beyond it, the organisation that nobody has counted for
//! the longest time loses its columns, unless that was a short time ago: then the one that needs the memory is counted by
//! scans for a while. Columns without a use are dropped after some minutes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{RwLock, Semaphore, watch};
use tokio::time::{Instant, sleep};

use crate::log::columns::LogColumns;
use crate::log::columns::people::People;
use crate::log::facets::columns::RememberedFacets;
use crate::log::summary::counter::remembered::RememberedSummaries;

/// The default of [`DatabaseSettings::counting_memory_bytes`](super::opening::DatabaseSettings::counting_memory_bytes).
pub const DEFAULT_COUNTING_MEMORY_BYTES: u64 = 768 * 1024 * 1024;

/// Columns that are not used for this time are dropped.
const IDLE_TIME: Duration = Duration::from_secs(15 * 60);
/// Columns that were used within this time are not dropped for another organisation.
const PROTECTED_TIME: Duration = Duration::from_secs(60);
/// An organisation without space in the cache is not loaded again for this time.
pub(crate) const NO_SPACE_TIME: Duration = Duration::from_secs(5 * 60);
/// An organisation of which the columns could not be read is not loaded again for this time.
pub(crate) const FAILURE_TIME: Duration = Duration::from_secs(30);

/// The columns of one organisation.
#[derive(Debug)]
pub(crate) struct CachedColumns {
    pub(crate) state: Arc<RwLock<FollowedColumns>>,
    pub(crate) people: Arc<RwLock<CachedPeople>>,
    /// The memory of `people` in bytes.
    pub(crate) people_bytes: AtomicUsize,
    /// The summaries that were counted from the columns.
    pub(crate) summaries: Arc<RememberedSummaries>,
    /// The facets that were counted from the columns.
    pub(crate) facets: Arc<RememberedFacets>,
    /// When the last complete reading of changes began. The lock is held during a reading.
    pub(crate) followed_at: tokio::sync::Mutex<Option<Instant>>,
}

impl CachedColumns {
    /// The memory in bytes of what belongs to columns of this size, and of themselves.
    fn bytes_with(&self, columns: usize) -> usize {
        columns + self.people_bytes.load(Ordering::Relaxed) + self.summaries.bytes() + self.facets.bytes()
    }
}

/// Columns, and up to which change they are complete.
#[derive(Debug)]
pub(crate) struct FollowedColumns {
    pub(crate) columns: LogColumns,
    /// Whether all rows are of one moment. While many changes are read in steps, they are not.
    pub(crate) is_whole: bool,
    /// The number of the last change that they contain.
    pub(crate) through: i64,
    /// The start of the database's server, as in [`CacheVersion`](super::ledger::CacheVersion). After a fail-over that
    /// lost commits, the columns would contain them.
    pub(crate) server: i64,
}

/// The users of the persons in the columns, for a version of the directory.
#[derive(Debug, Default)]
pub(crate) struct CachedPeople {
    pub(crate) version: Option<i64>,
    pub(crate) people: People,
}

/// What the cache has of an organisation.
pub(crate) enum CachedState {
    Ready(Arc<CachedColumns>),
    /// They are being loaded. The receiver ends when that is over.
    Loading(watch::Receiver<()>),
    /// Nothing. The caller loads them.
    Absent(Loading),
    /// They cannot be loaded for a while.
    Refused,
}

#[derive(Debug)]
enum Entry {
    Ready(ReadyEntry),
    Loading {
        bytes: usize,
        receiver: watch::Receiver<()>,
    },
    RefusedUntil(Instant),
}

#[derive(Debug)]
struct ReadyEntry {
    columns: Arc<CachedColumns>,
    bytes: usize,
    used_at: Instant,
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Ready(ready) => ready.bytes,
            Self::Loading { bytes, .. } => *bytes,
            Self::RefusedUntil(_) => 0,
        }
    }
}

/// The columns of all organisations.
#[derive(Debug)]
pub(crate) struct ColumnCache {
    max_bytes: usize,
    entries: Mutex<HashMap<i64, Entry>>,
    /// Whether a task drops columns without a use.
    is_swept: AtomicBool,
    /// Loads one organisation at a time. The others are counted by scans meanwhile.
    pub(crate) loads: Semaphore,
}

/// The right to load the columns of one organisation. If it is dropped, others may try.
pub(crate) struct Loading {
    cache: Arc<ColumnCache>,
    org: i64,
    sender: watch::Sender<()>,
    is_over: bool,
}

impl ColumnCache {
    /// An empty cache. With a limit of 0, nothing is loaded.
    pub(crate) fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            entries: Mutex::default(),
            is_swept: AtomicBool::new(false),
            loads: Semaphore::new(1),
        })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<i64, Entry>> {
        // No code panics while it holds the lock, so the entries are never half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cache has of an organisation, for a use.
    pub(crate) fn find(self: &Arc<Self>, org: i64) -> CachedState {
        self.find_at(org, Instant::now())
    }

    fn find_at(self: &Arc<Self>, org: i64, now: Instant) -> CachedState {
        if self.max_bytes == 0 {
            return CachedState::Refused;
        }
        let mut entries = self.entries();
        match entries.get_mut(&org) {
            Some(Entry::Ready(ready)) => {
                ready.used_at = now;
                return CachedState::Ready(Arc::clone(&ready.columns));
            }
            Some(Entry::Loading { receiver, .. }) => return CachedState::Loading(receiver.clone()),
            Some(Entry::RefusedUntil(end)) if now < *end => return CachedState::Refused,
            _ => {}
        }
        let (sender, receiver) = watch::channel(());
        entries.insert(org, Entry::Loading { bytes: 0, receiver });
        CachedState::Absent(Loading {
            cache: Arc::clone(self),
            org,
            sender,
            is_over: false,
        })
    }

    /// Whether the columns of an organisation are loaded.
    pub(crate) fn is_ready(&self, org: i64) -> bool {
        matches!(self.entries().get(&org), Some(Entry::Ready(_)))
    }

    /// Notes the size of an organisation's columns with what belongs to them, and makes space for it. If there is not enough,
    /// the remembered counts are forgotten. Returns false if there is still not enough.
    pub(crate) fn reserve_for(&self, org: i64, cached: &CachedColumns, columns: usize) -> bool {
        if self.reserve(org, cached.bytes_with(columns)) {
            return true;
        }
        cached.summaries.clear();
        cached.facets.clear();
        self.reserve(org, cached.bytes_with(columns))
    }

    /// Notes the size of an organisation's columns, and makes space for it. Returns false if there is not enough.
    pub(crate) fn reserve(&self, org: i64, size: usize) -> bool {
        self.reserve_at(org, size, Instant::now())
    }

    fn reserve_at(&self, org: i64, size: usize, now: Instant) -> bool {
        if size > self.max_bytes {
            return false; // without dropping the others for it
        }
        let mut entries = self.entries();
        match entries.get_mut(&org) {
            Some(Entry::Ready(ready)) => ready.bytes = size,
            Some(Entry::Loading { bytes, .. }) => *bytes = size,
            _ => return false,
        }
        while entries.values().map(Entry::bytes).sum::<usize>() > self.max_bytes {
            let unused = entries.iter().filter_map(|(other, entry)| match entry {
                Entry::Ready(ready) if *other != org => Some((ready.used_at, *other)),
                _ => None,
            });
            match unused
                .min()
                .filter(|(used_at, _)| *used_at + PROTECTED_TIME < now)
            {
                Some((_, other)) => entries.remove(&other),
                None => return false,
            };
        }
        true
    }

    /// Drops an organisation's columns, which are wrong. They may be loaded again at once.
    pub(crate) fn drop_columns(&self, org: i64, columns: &Arc<CachedColumns>) {
        let mut entries = self.entries();
        if matches!(entries.get(&org), Some(Entry::Ready(ready)) if Arc::ptr_eq(&ready.columns, columns)) {
            entries.remove(&org);
        }
    }

    /// Drops an organisation's columns, and does not load them again for a while.
    pub(crate) fn refuse(&self, org: i64, time: Duration) {
        self.entries()
            .insert(org, Entry::RefusedUntil(Instant::now() + time));
    }

    /// Drops columns without a use.
    fn drop_idle(&self, now: Instant) {
        let mut entries = self.entries();
        entries.retain(|_, entry| match entry {
            Entry::Ready(ready) => ready.used_at + IDLE_TIME > now,
            Entry::Loading { .. } => true,
            Entry::RefusedUntil(end) => *end > now,
        });
    }
}

/// Drops columns without a use from time to time, as long as there is the cache. Only one task does it.
pub(crate) async fn drop_idle_columns(cache: Weak<ColumnCache>) {
    let is_first = |cache: Arc<ColumnCache>| !cache.is_swept.swap(true, Ordering::Relaxed);
    if !cache.upgrade().is_some_and(is_first) {
        return;
    }
    while let Some(cache) = cache.upgrade() {
        cache.drop_idle(Instant::now());
        drop(cache);
        sleep(IDLE_TIME / 15).await;
    }
}

impl Loading {
    /// Ends when the loading is over.
    pub(crate) fn receiver(&self) -> watch::Receiver<()> {
        self.sender.subscribe()
    }

    /// Stores the loaded columns.
    pub(crate) fn finish(mut self, columns: FollowedColumns) {
        self.is_over = true;
        let bytes = columns.columns.bytes();
        let ready = ReadyEntry {
            columns: Arc::new(CachedColumns {
                state: Arc::new(RwLock::new(columns)),
                people: Arc::default(),
                people_bytes: AtomicUsize::new(0),
                summaries: Arc::default(),
                facets: Arc::default(),
                followed_at: tokio::sync::Mutex::default(),
            }),
            bytes,
            used_at: Instant::now(),
        };
        self.cache.entries().insert(self.org, Entry::Ready(ready));
    }

    /// Ends without columns. They are not loaded again for a while.
    pub(crate) fn refuse(mut self, time: Duration) {
        self.is_over = true;
        self.cache.refuse(self.org, time);
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if !self.is_over {
            self.cache.entries().remove(&self.org);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(cache: &Arc<ColumnCache>, org: i64) -> Loading {
        match cache.find(org) {
            CachedState::Absent(loading) => loading,
            _ => panic!("the columns are not absent"),
        }
    }

    fn empty() -> FollowedColumns {
        FollowedColumns {
            is_whole: true,
            columns: LogColumns::new(),
            through: 0,
            server: 0,
        }
    }

    #[test]
    fn unused_columns_make_space_for_others_and_used_ones_do_not() {
        let cache = ColumnCache::new(1_000_000);
        begin(&cache, 1).finish(empty());
        assert!(cache.reserve(1, 600_000));
        let loading = begin(&cache, 2);
        assert!(matches!(cache.find(2), CachedState::Loading(_)));
        assert!(cache.reserve(2, 400_000));
        assert!(!cache.reserve(2, 500_000), "the other one was just used");
        loading.refuse(NO_SPACE_TIME);
        assert!(matches!(cache.find(2), CachedState::Refused));
        let later = Instant::now() + NO_SPACE_TIME;
        let CachedState::Absent(loading) = cache.find_at(2, later) else {
            panic!("the columns are not absent");
        };
        assert!(
            cache.reserve_at(2, 500_000, later),
            "the other one was not used for minutes"
        );
        loading.finish(empty());
        drop(begin(&cache, 1));
        assert!(
            matches!(cache.find(1), CachedState::Absent(_)),
            "a load that ends early may be repeated"
        );
        assert!(!cache.reserve(2, 1_000_001));
    }

    #[test]
    fn idle_columns_are_dropped() {
        let cache = ColumnCache::new(1_000_000);
        begin(&cache, 1).finish(empty());
        begin(&cache, 2).finish(empty());
        let now = Instant::now();
        assert!(matches!(
            cache.find_at(1, now + IDLE_TIME / 2),
            CachedState::Ready(_)
        ));
        cache.drop_idle(now + IDLE_TIME);
        assert!(matches!(cache.find(1), CachedState::Ready(_)));
        assert!(matches!(cache.find(2), CachedState::Absent(_)));
    }

    #[test]
    fn cache_without_memory_loads_nothing() {
        assert!(matches!(ColumnCache::new(0).find(1), CachedState::Refused));
    }
}
