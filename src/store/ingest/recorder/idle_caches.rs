//! The caches of organisations that are not being written.

use std::collections::{BTreeMap, HashMap};

use crate::base::ids::OrgId;
use crate::store::ingest::identifier_cache::IdentifierCache;

/// The least weight of a cache, so that the number of caches has a limit.
const MIN_WEIGHT: usize = 16;

/// Caches up to a total weight. The one that was used least recently is dropped first.
pub(super) struct IdleCaches {
    caches: HashMap<OrgId, IdleCache>,
    /// The organisations by the time of last use.
    by_last_use: BTreeMap<u64, OrgId>,
    /// Counts the uses.
    uses: u64,
    weight: usize,
    max_weight: usize,
}

struct IdleCache {
    cache: IdentifierCache,
    last_use: u64,
    weight: usize,
}

impl IdleCaches {
    pub(super) fn new(max_weight: usize) -> Self {
        Self {
            caches: HashMap::new(),
            by_last_use: BTreeMap::new(),
            uses: 0,
            weight: 0,
            max_weight,
        }
    }

    /// Removes and returns the organisation's cache; an empty one if there is none.
    pub(super) fn take(&mut self, org: &OrgId) -> IdentifierCache {
        let Some(idle) = self.caches.remove(org) else {
            return IdentifierCache::default();
        };
        self.by_last_use.remove(&idle.last_use);
        self.weight -= idle.weight;
        idle.cache
    }

    pub(super) fn put(&mut self, org: OrgId, cache: IdentifierCache) {
        self.uses += 1;
        let weight = cache.len().max(MIN_WEIGHT);
        self.weight += weight;
        self.by_last_use.insert(self.uses, org.clone());
        let idle = IdleCache {
            cache,
            last_use: self.uses,
            weight,
        };
        self.caches.insert(org, idle);
        while self.weight > self.max_weight
            && let Some((_, oldest)) = self.by_last_use.pop_first()
            && let Some(idle) = self.caches.remove(&oldest)
        {
            self.weight -= idle.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_cache_is_dropped_first() {
        let org = |id: &str| OrgId::new(id).unwrap();
        let mut caches = IdleCaches::new(2 * MIN_WEIGHT);
        caches.put(org("a"), IdentifierCache::default());
        caches.put(org("b"), IdentifierCache::default());
        let cache = caches.take(&org("a"));
        caches.put(org("a"), cache);
        caches.put(org("c"), IdentifierCache::default());
        assert!(!caches.caches.contains_key(&org("b")));
        assert!(caches.caches.contains_key(&org("a")) && caches.caches.contains_key(&org("c")));
        assert_eq!(caches.weight, 2 * MIN_WEIGHT);
        caches.take(&org("a"));
        caches.take(&org("c"));
        assert_eq!((caches.weight, caches.by_last_use.len()), (0, 0));
    }
}
