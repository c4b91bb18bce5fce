//! Keys that queries over the directory have found, for example the users below a manager.
//!
//! An entry is valid for one version of the organisation's directory, which is `ledgers.directory`. Each transaction that
//! changes what such a query can find changes the version too ([`OrgTx`](super::ledger::OrgTx) does so by itself), and
//! each request reads the version before it uses an entry. So an entry is never older than the request, on any number of
//! replicas: a stale one would show rows to a caller that lost the right to see them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::database::Sql;
use super::rows::Reads;
use super::{Store, StoreError};
use crate::store::db::columns::FromRow as _;

/// The most keys in the cache, together with [`ENTRY_KEYS`] for each entry: 16 MiB.
const MAX_KEYS: usize = 2 * 1_024 * 1_024;
/// The most keys of one entry. A larger result is found anew by each request.
const MAX_ENTRY_KEYS: usize = MAX_KEYS / 4;
/// The memory of an entry besides its keys, as a number of keys.
const ENTRY_KEYS: usize = 16;

/// The most keys of one organisation: half of the cache. So the requests of one organisation never remove all entries of
/// the others.
const MAX_SHARE: usize = MAX_KEYS / 2;

/// The found keys.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_org: HashMap<i64, Share>,
    /// The size of all entries.
    size: usize,
}

/// The entries of one organisation.
#[derive(Debug, Default)]
struct Share {
    /// The entries, by the digests of the queries.
    by_query: HashMap<[u8; 32], Entry>,
    /// The size of the entries.
    size: usize,
}

#[derive(Debug)]
struct Entry {
    version: DirectoryVersion,
    keys: Arc<[i64]>,
}

/// A version of an organisation's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryVersion {
    /// The key of the organisation.
    pub(crate) org: i64,
    /// The number of the version; `None` within a transaction that has changed the directory.
    pub(crate) number: Option<i64>,
}

impl Entry {
    fn size(&self) -> usize {
        self.keys.len() + ENTRY_KEYS
    }
}

impl Share {
    /// Inserts an entry. If the share is full, its outdated entries are removed, and if that is not enough, all.
    fn insert(&mut self, query: [u8; 32], entry: Entry) {
        if let Some(replaced) = self.by_query.remove(&query) {
            self.size -= replaced.size();
        }
        if self.size + entry.size() > MAX_SHARE {
            self.by_query.retain(|_, other| other.version == entry.version);
            self.size = self.by_query.values().map(Entry::size).sum();
        }
        if self.size + entry.size() > MAX_SHARE {
            *self = Self::default();
        }
        self.size += entry.size();
        self.by_query.insert(query, entry);
    }
}

impl Entries {
    /// Removes the entries of the organisation that has the most.
    fn remove_largest_share(&mut self) {
        let largest = self.by_org.iter().max_by_key(|(_, share)| share.size);
        if let Some(share) = largest
            .map(|(org, _)| *org)
            .and_then(|org| self.by_org.remove(&org))
        {
            self.size -= share.size;
        }
    }
}

impl KeyCache {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        // No code panics while it holds the lock, so the entries are never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, query: &[u8; 32], version: DirectoryVersion) -> Option<Arc<[i64]>> {
        let entries = self.lock();
        let entry = entries.by_org.get(&version.org)?.by_query.get(query)?;
        (entry.version == version && version.number.is_some()).then(|| Arc::clone(&entry.keys))
    }

    /// Stores an entry. If the cache is full, the organisation with the most keys loses its entries.
    fn put(&self, query: [u8; 32], version: DirectoryVersion, keys: Arc<[i64]>) {
        let entry = Entry { version, keys };
        if version.number.is_none() || entry.keys.len() > MAX_ENTRY_KEYS {
            return;
        }
        let mut entries = self.lock();
        let mut share = entries.by_org.remove(&version.org).unwrap_or_default();
        entries.size -= share.size;
        share.insert(query, entry);
        while !entries.by_org.is_empty() && entries.size + share.size > MAX_KEYS {
            entries.remove_largest_share();
        }
        entries.size += share.size;
        entries.by_org.insert(version.org, share);
    }
}

impl Store {
    /// The present version of an organisation's directory.
    pub(crate) async fn directory_version(&self, org: i64) -> Result<DirectoryVersion, StoreError> {
        let select = Sql::new("SELECT directory FROM ledgers WHERE org = $1").with(org);
        let row: Option<(i64,)> = self.db().fetch_row(select).await?;
        let number = row.map(|(number,)| number);
        Ok(DirectoryVersion { org, number })
    }

    /// The keys that the query finds, in ascending order, from the cache or by `reads`.
    ///
    /// `version` was read before. The query reads only what a change of the version announces.
    pub(crate) async fn directory_keys(
        &self,
        reads: &mut impl Reads,
        version: DirectoryVersion,
        sql: Sql,
    ) -> Result<Arc<[i64]>, StoreError> {
        let digest = sql.digest();
        if let Some(keys) = self.key_cache().get(&digest, version) {
            return Ok(keys);
        }
        let rows = reads.rows(sql).await?;
        let keys: Result<Vec<i64>, StoreError> = rows
            .iter()
            .map(|row| <(i64,)>::from_row(row).map(|(key,)| key))
            .collect();
        let mut keys = keys?;
        keys.sort_unstable();
        let keys: Arc<[i64]> = keys.into();
        self.key_cache().put(digest, version, Arc::clone(&keys));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(org: i64, number: i64) -> DirectoryVersion {
        DirectoryVersion {
            org,
            number: Some(number),
        }
    }

    fn keys(count: usize) -> Arc<[i64]> {
        vec![7; count].into()
    }

    #[test]
    fn entry_is_valid_for_its_version_only() {
        let cache = KeyCache::default();
        cache.put([1; 32], version(1, 5), keys(2));
        assert_eq!(cache.get(&[1; 32], version(1, 5)), Some(keys(2)));
        assert_eq!(cache.get(&[1; 32], version(1, 6)), None);
        assert_eq!(cache.get(&[1; 32], version(1, 4)), None);
        assert_eq!(cache.get(&[2; 32], version(1, 5)), None);
        let changed = DirectoryVersion { org: 1, number: None };
        cache.put([3; 32], changed, keys(1));
        assert_eq!(
            cache.get(&[3; 32], changed),
            None,
            "an uncommitted change is never cached"
        );
    }

    #[test]
    fn size_stays_within_the_bound() {
        let cache = KeyCache::default();
        cache.put([0; 32], version(2, 1), keys(MAX_ENTRY_KEYS + 1));
        assert_eq!(cache.get(&[0; 32], version(2, 1)), None);
        for number in 0..200 {
            cache.put(
                [number; 32],
                version(1, i64::from(number / 3)),
                keys(MAX_ENTRY_KEYS - ENTRY_KEYS),
            );
            let entries = cache.lock();
            assert!(entries.size <= MAX_KEYS);
            let all = entries.by_org.values().flat_map(|share| share.by_query.values());
            assert_eq!(entries.size, all.map(Entry::size).sum::<usize>());
        }
        assert_eq!(
            cache.get(&[199; 32], version(1, 66)).map(|keys| keys.len()),
            Some(MAX_ENTRY_KEYS - ENTRY_KEYS)
        );
    }
    #[test]
    fn organisation_never_removes_the_entries_of_a_smaller_one() {
        let cache = KeyCache::default();
        cache.put([255; 32], version(1, 1), keys(10));
        for number in 0..200 {
            cache.put([number; 32], version(2, 1), keys(MAX_ENTRY_KEYS - ENTRY_KEYS));
            assert!(cache.lock().by_org[&2].size <= MAX_SHARE);
        }
        assert_eq!(cache.get(&[255; 32], version(1, 1)), Some(keys(10)));
        for number in 0..20 {
            cache.put(
                [number; 32],
                version(3 + i64::from(number), 1),
                keys(MAX_ENTRY_KEYS - ENTRY_KEYS),
            );
            assert!(cache.lock().size <= MAX_KEYS);
        }
        assert_eq!(cache.get(&[255; 32], version(1, 1)), Some(keys(10)));
    }
}
