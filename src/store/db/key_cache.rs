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

/// The found keys, by the digests of the queries.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_query: HashMap<[u8; 32], Entry>,
    /// The size of all entries.
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

impl KeyCache {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        // No code panics while it holds the lock, so the entries are never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, query: &[u8; 32], version: DirectoryVersion) -> Option<Arc<[i64]>> {
        let entries = self.lock();
        let entry = entries.by_query.get(query)?;
        (entry.version == version && version.number.is_some()).then(|| Arc::clone(&entry.keys))
    }

    /// Stores an entry. If the cache is full, the outdated entries of the organisation are removed, and if that is not
    /// enough, all entries.
    fn put(&self, query: [u8; 32], version: DirectoryVersion, keys: Arc<[i64]>) {
        let entry = Entry { version, keys };
        if version.number.is_none() || entry.keys.len() > MAX_ENTRY_KEYS {
            return;
        }
        let mut entries = self.lock();
        if let Some(replaced) = entries.by_query.remove(&query) {
            entries.size -= replaced.size();
        }
        if entries.size + entry.size() > MAX_KEYS {
            let is_current = |other: &Entry| other.version.org != version.org || other.version == version;
            entries.by_query.retain(|_, other| is_current(other));
            entries.size = entries.by_query.values().map(Entry::size).sum();
        }
        if entries.size + entry.size() > MAX_KEYS {
            *entries = Entries::default();
        }
        entries.size += entry.size();
        entries.by_query.insert(query, entry);
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
            assert_eq!(
                entries.size,
                entries.by_query.values().map(Entry::size).sum::<usize>()
            );
        }
        assert_eq!(
            cache.get(&[199; 32], version(1, 66)).map(|keys| keys.len()),
            Some(MAX_ENTRY_KEYS - ENTRY_KEYS)
        );
    }
}
