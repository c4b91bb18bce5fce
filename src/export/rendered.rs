//! The rendered cells of the persons, contents and verbs of previous rows, up to a limit of memory.
//!
//! Many rows have the same person or content. Their cells are rendered once ([`Render`]) and found again by key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::base::ids::OrgId;
use crate::log::{ContentDetails, ContentKey, PersonDetails, PersonKey, Row, VerbDetails, VerbKey};
use crate::store::{BriefRow, FileRow, Store, StoreError};

/// The maximum number of rendered bytes in the cache of persons and in the cache of contents. A cache that exceeds it
/// is cleared.
pub(super) const MAX_CACHED_BYTES: usize = 32 * 1024 * 1024;
/// The approximate memory of a cache entry in addition to its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// The number of rows whose persons are loaded at first.
const FIRST_ROWS: usize = 1024;
/// The approximate bytes of the details that are loaded at once.
const LOADED_BYTES: usize = 4 * 1024 * 1024;
/// The approximate bytes of a person's details besides its long texts.
const PERSON_BYTES: usize = 512;

/// Renders the cells of a person, a content or a verb.
pub(super) trait Render: Sync {
    /// The rendered cells of one of them.
    type Cells: HeapBytes + Send + Sync;

    fn render_person(&self, person: &PersonDetails) -> Self::Cells;
    fn render_content(&self, content: &ContentDetails) -> Self::Cells;
    fn render_verb(&self, verb: &VerbDetails) -> Self::Cells;
}

/// A value with a known size on the heap.
pub(super) trait HeapBytes {
    fn heap_bytes(&self) -> usize;
}

/// The cached cells of the persons, contents and verbs of previous rows.
pub(super) struct RenderedCells<C> {
    pub(super) persons: CellCache<PersonKey, C>,
    pub(super) contents: CellCache<ContentKey, C>,
    pub(super) verbs: CellCache<VerbKey, C>,
    /// The persons that were loaded, and the bytes of their details.
    loaded: (usize, usize),
}

impl<C> Default for RenderedCells<C> {
    fn default() -> Self {
        Self {
            persons: CellCache::default(),
            contents: CellCache::default(),
            verbs: CellCache::default(),
            loaded: (0, 0),
        }
    }
}

impl<C: HeapBytes + Send + Sync> RenderedCells<C> {
    /// The number of rows to load at once: fewer queries for more rows, but not more memory, whatever the size of a person.
    pub(super) fn rows_at_once(&self) -> usize {
        let (persons, bytes) = self.loaded;
        match bytes.checked_div(persons) {
            Some(bytes) => (LOADED_BYTES / bytes).max(1),
            None => FIRST_ROWS,
        }
    }

    /// Loads and renders the persons, contents and verbs of the rows that are not in the cache.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        organisation: &OrgId,
        rows: &[FileRow],
        renderer: &impl Render<Cells = C>,
    ) -> Result<(), StoreError> {
        let persons = self.persons.missing_keys(rows.iter().map(|row| row.brief.person));
        let contents = self
            .contents
            .missing_keys(rows.iter().filter_map(|row| row.brief.content));
        let verbs = self.verbs.missing_keys(rows.iter().map(|row| row.brief.verb));
        let (persons, contents, verbs) = tokio::try_join!(
            store.person_details(organisation, &persons),
            store.content_details(organisation, &contents),
            store.verb_details(organisation, &verbs),
        )?;
        for (key, details) in persons {
            self.loaded.0 += 1;
            self.loaded.1 += PERSON_BYTES + details.long_text_bytes();
            self.persons.insert(key, renderer.render_person(&details));
        }
        for (key, details) in contents {
            self.contents.insert(key, renderer.render_content(&details));
        }
        for (key, details) in verbs {
            self.verbs.insert(key, renderer.render_verb(&details));
        }
        Ok(())
    }

    /// The cells of the row's person, content and verb. A row without content has `no_content`, and so has a row with a
    /// content that cannot be read.
    pub(super) fn cells_of_row<'c>(
        &'c self,
        row: &BriefRow,
        no_content: &'c C,
    ) -> Result<(&'c C, &'c C, &'c C), StoreError> {
        let person = self
            .persons
            .get(row.person)
            .ok_or(StoreError::Invariant("a row without its person"))?;
        let verb = self
            .verbs
            .get(row.verb)
            .ok_or(StoreError::Invariant("a row without its verb"))?;
        let content = row.content.and_then(|key| self.contents.get(key));
        Ok((person, content.unwrap_or(no_content), verb))
    }
}

/// All fields of a row for columns that need them.
pub(super) fn whole_row(row: &FileRow) -> Result<&Row, StoreError> {
    let missing = StoreError::Invariant("a column needs a field that was not selected");
    row.whole.as_deref().ok_or(missing)
}

/// A cache of rendered cells, limited by [`MAX_CACHED_BYTES`].
pub(super) struct CellCache<K, C> {
    entries: HashMap<K, C, BuildHasherDefault<KeyHasher>>,
    bytes: usize,
}

impl<K, C> Default for CellCache<K, C> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            bytes: 0,
        }
    }
}

impl<K: Copy + Ord + Hash, C: HeapBytes> CellCache<K, C> {
    /// The keys that are not in the cache, without duplicates. Clears the cache first if it is too large.
    fn missing_keys(&mut self, keys: impl Iterator<Item = K>) -> Vec<K> {
        if self.bytes > MAX_CACHED_BYTES {
            self.entries = HashMap::default();
            self.bytes = 0;
        }
        let mut missing: Vec<K> = keys.filter(|key| !self.entries.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    pub(super) fn insert(&mut self, key: K, cells: C) {
        self.bytes += cells.heap_bytes() + ENTRY_OVERHEAD_BYTES;
        self.entries.insert(key, cells);
    }

    fn get(&self, key: K) -> Option<&C> {
        self.entries.get(&key)
    }
}

/// A fast hasher for keys of the database, because each line needs three lookups. Clients cannot choose these keys, so
/// protection against crafted keys is not necessary.
#[derive(Debug, Default, Clone, Copy)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing. The hash table takes the bucket from the low bits, so the well mixed high bits move there.
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(32);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(usize);

    impl HeapBytes for Bytes {
        fn heap_bytes(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn cache_is_cleared_when_it_is_full() {
        let mut cache = CellCache::<PersonKey, Bytes>::default();
        for key in 0..4 {
            assert_eq!(
                cache.missing_keys([PersonKey(key), PersonKey(key)].into_iter()),
                [PersonKey(key)]
            );
            cache.insert(PersonKey(key), Bytes(MAX_CACHED_BYTES / 4));
        }
        assert_eq!(
            cache.missing_keys([PersonKey(0), PersonKey(9)].into_iter()),
            [PersonKey(0), PersonKey(9)]
        );
        assert!(cache.entries.is_empty());
    }

    #[test]
    fn consecutive_keys_get_different_buckets() {
        let low_bits = |key: i64| {
            let mut hasher = KeyHasher::default();
            PersonKey(key).hash(&mut hasher);
            hasher.finish() & 0xfff
        };
        let buckets: std::collections::HashSet<u64> = (0..4096).map(low_bits).collect();
        assert!(buckets.len() > 2_000, "{}", buckets.len());
    }
}
