//! The rendered cells of the persons, contents and verbs of previous rows, up to a limit of memory.
//!
//! Many rows have the same person or content. Their cells are rendered once ([`Render`]) and found again by key. Each of
//! them has a slot, a number from 0 on. All persons of a user have the slot of the user.
//!
//! An export of few rows looks up the persons of its rows. An export of many rows loads all persons of a directory of
//! moderate size at once, because a query for each chunk of rows would take longer.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::base::ids::OrgId;
use crate::log::{ContentDetails, ContentKey, PersonDetails, PersonKey, Row, VerbDetails, VerbKey};
use crate::store::{BriefRow, FileRow, Store, StoreError, UserKey};

/// The maximum number of bytes of rendered cells, of what they refer to, and of their keys. Beyond it, all are rendered
/// anew.
pub(super) const MAX_CACHED_BYTES: usize = 20 * 1024 * 1024;

/// The number of rows whose persons are loaded at first.
const FIRST_ROWS: usize = 1024;
/// The approximate bytes of the details that are loaded at once.
const LOADED_BYTES: usize = 4 * 1024 * 1024;
/// The approximate bytes of a person's details besides its long texts.
const PERSON_BYTES: usize = 512;

/// The number of rows after which an export may load the whole directory.
const MANY_ROWS: usize = 15_000;
/// The least number of new persons among the rows for which the whole directory is loaded.
const LEAST_MISSING: usize = 512;
/// The greatest number of persons of a directory that is loaded as a whole.
const MOST_PERSONS: usize = 200_000;
/// The number of persons whose keys are read at once.
const PERSON_PAGE: usize = 16 * 1024;
/// The most users that are loaded at once.
const USER_PAGE: usize = 4 * 1024;
/// The queries for users that run at the same time.
const USER_QUERIES: usize = 2;

/// Renders the cells of persons, contents and verbs.
pub(super) trait Render: Sync {
    /// The rendered cells of many persons, contents or verbs.
    type Cells: Cells + Send + Sync;

    /// Renders the person in the next slot.
    fn add_person(&self, person: &PersonDetails, cells: &mut Self::Cells);
    /// Renders the content in the next slot.
    fn add_content(&self, content: &ContentDetails, cells: &mut Self::Cells);
    /// Renders the verb in the next slot.
    fn add_verb(&self, verb: &VerbDetails, cells: &mut Self::Cells);

    /// The bytes of what rendered cells refer to.
    fn shared_bytes(&self) -> usize {
        0
    }
}

/// Rendered cells with a known size.
pub(super) trait Cells: Default {
    /// The bytes of all cells.
    fn bytes(&self) -> usize;
}

/// The slot of a row without content.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// The slots of a row's person, content and verb. A row without content has [`NO_SLOT`], and so has a row with a content
/// that cannot be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSlots {
    pub(super) person: u32,
    pub(super) content: u32,
    pub(super) verb: u32,
}

/// The cached cells of the persons, contents and verbs of previous rows.
pub(super) struct RenderedCells<C> {
    pub(super) persons: CellCache<PersonKey, C>,
    pub(super) contents: CellCache<ContentKey, C>,
    pub(super) verbs: CellCache<VerbKey, C>,
    /// The slots of users among those of persons.
    users: SlotMap<UserKey>,
    /// The details that were loaded, and their bytes.
    loaded: (usize, usize),
    /// The rows whose cells were loaded.
    rows: usize,
    /// Whether the whole directory was loaded, or found to be too large.
    is_directory_tried: bool,
}

impl<C: Cells> Default for RenderedCells<C> {
    fn default() -> Self {
        Self {
            persons: CellCache::default(),
            contents: CellCache::default(),
            verbs: CellCache::default(),
            users: SlotMap::default(),
            loaded: (0, 0),
            rows: 0,
            is_directory_tried: false,
        }
    }
}

impl<C: Cells> RenderedCells<C> {
    /// The number of rows to load at once: fewer queries for more rows, but not more memory, whatever the size of a person.
    pub(super) fn rows_at_once(&self) -> usize {
        let (persons, bytes) = self.loaded;
        match bytes.checked_div(persons) {
            Some(bytes) => (LOADED_BYTES / bytes).max(1),
            None => FIRST_ROWS,
        }
    }

    /// The approximate memory.
    fn bytes(&self) -> usize {
        self.persons.bytes() + self.contents.bytes() + self.verbs.bytes() + self.users.bytes()
    }

    /// Whether the cells must be cleared before others are loaded.
    pub(super) fn is_full(&self, renderer: &impl Render<Cells = C>) -> bool {
        self.bytes() + renderer.shared_bytes() > MAX_CACHED_BYTES
    }

    /// Forgets all cells. The slots begin anew.
    pub(super) fn clear(&mut self) {
        self.persons = CellCache::default();
        self.contents = CellCache::default();
        self.verbs = CellCache::default();
        self.users = SlotMap::default();
    }

    /// Loads and renders the persons, contents and verbs of the rows that are not in the cache.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        organisation: &OrgId,
        rows: &[FileRow],
        renderer: &impl Render<Cells = C>,
    ) -> Result<(), StoreError> {
        let mut persons = self.persons.missing_keys(rows.iter().map(|row| row.brief.person));
        if self.needs_directory(rows.len(), persons.len()) {
            self.load_directory(store, organisation, renderer).await?;
            persons = self.persons.missing_keys(persons.into_iter());
        }
        self.rows += rows.len();
        let contents = self
            .contents
            .missing_keys(rows.iter().filter_map(|row| row.brief.content));
        let verbs = self.verbs.missing_keys(rows.iter().map(|row| row.brief.verb));
        let (users, contents, verbs) = tokio::try_join!(
            store.users_of_persons(organisation, &persons),
            store.content_details(organisation, &contents),
            store.verb_details(organisation, &verbs),
        )?;
        for (key, details) in contents {
            self.contents
                .add(key, |cells| renderer.add_content(&details, cells));
        }
        for (key, details) in verbs {
            self.verbs.add(key, |cells| renderer.add_verb(&details, cells));
        }
        let owned: Vec<(PersonKey, UserKey)> = persons
            .iter()
            .filter_map(|key| Some((*key, *users.get(key)?)))
            .collect();
        persons.retain(|key| !users.contains_key(key));
        let users = self.missing_users(&owned);
        let (users, others) = tokio::try_join!(
            store.users_by_key(organisation, &users),
            store.person_details(organisation, &persons),
        )?;
        self.add_users(&users, renderer);
        for details in others.values() {
            self.add_person(details, renderer);
        }
        self.add_owned(store, organisation, owned, renderer).await
    }

    /// The users of these persons that are not in the cache, without duplicates.
    fn missing_users(&self, owned: &[(PersonKey, UserKey)]) -> Vec<UserKey> {
        let users = owned.iter().map(|(_, user)| *user);
        let mut missing: Vec<UserKey> = users.filter(|user| self.users.get(*user).is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Whether to load the whole directory: many rows, of which many have a new person.
    fn needs_directory(&self, rows: usize, missing: usize) -> bool {
        !self.is_directory_tried && self.rows >= MANY_ROWS && missing >= rows.div_ceil(2).max(LEAST_MISSING)
    }

    /// Loads and renders all persons, as far as they are not too many.
    async fn load_directory(
        &mut self,
        store: &Store,
        organisation: &OrgId,
        renderer: &impl Render<Cells = C>,
    ) -> Result<(), StoreError> {
        self.is_directory_tried = true;
        if store.count_persons(organisation, MOST_PERSONS + 1).await? > MOST_PERSONS {
            return Ok(());
        }
        let (mut owned, mut others) = (Vec::new(), Vec::new());
        let mut after = None;
        loop {
            let page = store.list_persons(organisation, after, PERSON_PAGE).await?;
            after = page.last().map(|(key, _)| *key);
            for (key, user) in &page {
                match user {
                    Some(user) => owned.push((*key, *user)),
                    None => others.push(*key),
                }
            }
            if page.len() < PERSON_PAGE {
                break;
            }
        }
        let users = self.missing_users(&owned);
        others.retain(|key| self.persons.slot(*key).is_none());
        if !self.has_space_for(users.len() + others.len(), renderer) {
            return Ok(());
        }
        let at_once = self.rows_at_once().min(USER_PAGE);
        let mut pages = stream::iter(users.chunks(at_once).map(<[UserKey]>::to_vec).collect::<Vec<_>>())
            .map(|keys| async move { store.users_by_key(organisation, &keys).await })
            .buffered(USER_QUERIES);
        while let Some(users) = pages.try_next().await? {
            self.add_users(&users, renderer);
            if !self.has_space_for(0, renderer) {
                return Ok(());
            }
        }
        drop(pages);
        for keys in others.chunks(at_once) {
            for details in store.person_details(organisation, keys).await?.values() {
                self.add_person(details, renderer);
            }
            if !self.has_space_for(0, renderer) {
                return Ok(());
            }
        }
        owned.retain(|(key, _)| self.persons.slot(*key).is_none());
        self.add_owned(store, organisation, owned, renderer).await
    }

    /// Whether this number of further persons, of the average size, fits in the cache.
    fn has_space_for(&self, persons: usize, renderer: &impl Render<Cells = C>) -> bool {
        let rendered = self.persons.cells.bytes() + renderer.shared_bytes();
        let average = rendered / (self.persons.count as usize).max(1);
        self.bytes() + renderer.shared_bytes() + persons * average <= MAX_CACHED_BYTES
    }

    fn add_person(&mut self, details: &PersonDetails, renderer: &impl Render<Cells = C>) {
        self.note_loaded(details);
        self.persons
            .add(details.key, |cells| renderer.add_person(details, cells));
    }

    fn add_users(&mut self, users: &HashMap<UserKey, PersonDetails>, renderer: &impl Render<Cells = C>) {
        for (user, details) in users {
            self.note_loaded(details);
            let slot = self.persons.add_slot(|cells| renderer.add_person(details, cells));
            self.users.insert(*user, slot);
        }
    }

    /// Adds persons of users that were loaded. The others, whose users cannot be read, are loaded one by one.
    async fn add_owned(
        &mut self,
        store: &Store,
        organisation: &OrgId,
        owned: Vec<(PersonKey, UserKey)>,
        renderer: &impl Render<Cells = C>,
    ) -> Result<(), StoreError> {
        let mut others = Vec::new();
        for (key, user) in owned {
            match self.users.get(user) {
                Some(slot) => self.persons.slots.insert(key, slot),
                None => others.push(key),
            }
        }
        for details in store.person_details(organisation, &others).await?.values() {
            self.add_person(details, renderer);
        }
        Ok(())
    }

    fn note_loaded(&mut self, details: &PersonDetails) {
        self.loaded.0 += 1;
        self.loaded.1 += PERSON_BYTES + details.long_text_bytes();
    }

    /// The slots of the row's person, content and verb.
    pub(super) fn slots_of_row(&self, row: &BriefRow) -> Result<RowSlots, StoreError> {
        let person = self
            .persons
            .slot(row.person)
            .ok_or(StoreError::Invariant("a row without its person"))?;
        let verb = self
            .verbs
            .slot(row.verb)
            .ok_or(StoreError::Invariant("a row without its verb"))?;
        let content = row.content.and_then(|key| self.contents.slot(key));
        Ok(RowSlots {
            person,
            content: content.unwrap_or(NO_SLOT),
            verb,
        })
    }
}

/// All fields of a row for columns that need them.
pub(super) fn whole_row(row: &FileRow) -> Result<&Row, StoreError> {
    let missing = StoreError::Invariant("a column needs a field that was not selected");
    row.whole.as_deref().ok_or(missing)
}

/// A cache of rendered cells.
pub(super) struct CellCache<K, C> {
    slots: SlotMap<K>,
    /// The number of slots.
    count: u32,
    /// The cells of all slots.
    pub(super) cells: C,
}

impl<K, C: Default> Default for CellCache<K, C> {
    fn default() -> Self {
        Self {
            slots: SlotMap::default(),
            count: 0,
            cells: C::default(),
        }
    }
}

impl<K: Key, C: Cells> CellCache<K, C> {
    /// The keys that are not in the cache, without duplicates.
    fn missing_keys(&self, keys: impl Iterator<Item = K>) -> Vec<K> {
        let mut missing: Vec<K> = keys.filter(|key| self.slot(*key).is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Adds a key, whose cells `render` adds in the next slot.
    pub(super) fn add(&mut self, key: K, render: impl FnOnce(&mut C)) {
        let slot = self.add_slot(render);
        self.slots.insert(key, slot);
    }

    /// Adds cells without a key, and returns their slot.
    fn add_slot(&mut self, render: impl FnOnce(&mut C)) -> u32 {
        render(&mut self.cells);
        self.count += 1; // fewer than bytes of memory
        self.count - 1
    }

    #[inline]
    fn slot(&self, key: K) -> Option<u32> {
        self.slots.get(key)
    }

    fn bytes(&self) -> usize {
        self.slots.bytes() + self.cells.bytes()
    }
}

/// A key of the database.
pub(super) trait Key: Copy + Ord {
    fn number(self) -> i64;
}

macro_rules! keys {
    ($($key:ident),*) => {
        $(
            impl Key for $key {
                fn number(self) -> i64 {
                    self.0
                }
            }
        )*
    };
}

keys!(PersonKey, ContentKey, VerbKey, UserKey);

/// Keys below this number have an entry in an array. The keys of an organisation count from 1. The arrays of all maps take at
/// most a quarter of the cache.
const ARRAY_KEYS: usize = 1 << 18;
/// The least length of the array.
const LEAST_ARRAY: usize = 1 << 10;

/// The slots of keys.
struct SlotMap<K> {
    /// The slots of small keys, by key. [`NO_SLOT`] for a key without a slot.
    small: Vec<u32>,
    great: HashMap<i64, u32, BuildHasherDefault<KeyHasher>>,
    keys: PhantomData<fn(K)>,
}

impl<K> Default for SlotMap<K> {
    fn default() -> Self {
        Self {
            small: Vec::new(),
            great: HashMap::default(),
            keys: PhantomData,
        }
    }
}

impl<K: Key> SlotMap<K> {
    #[inline]
    fn get(&self, key: K) -> Option<u32> {
        let number = key.number();
        let small = usize::try_from(number)
            .ok()
            .and_then(|number| self.small.get(number));
        match small {
            Some(slot) => (*slot != NO_SLOT).then_some(*slot),
            None => self.great.get(&number).copied(),
        }
    }

    fn insert(&mut self, key: K, slot: u32) {
        let number = key.number();
        match usize::try_from(number) {
            Ok(index) if index < ARRAY_KEYS => {
                if index >= self.small.len() {
                    let length = (index + 1).next_power_of_two().max(LEAST_ARRAY);
                    self.small.reserve_exact(length - self.small.len());
                    self.small.resize(length, NO_SLOT);
                }
                self.small[index] = slot;
            }
            _ => {
                self.great.insert(number, slot);
            }
        }
    }

    /// The approximate memory.
    fn bytes(&self) -> usize {
        size_of_val(self.small.as_slice()) + self.great.capacity() * (size_of::<(i64, u32)>() + 2)
    }
}

/// A fast hasher for keys of the database. Clients cannot choose these keys, so protection against crafted keys is not
/// necessary.
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
    use std::hash::Hash as _;

    use super::*;

    /// Cells with a number of bytes that each of them has.
    #[derive(Default)]
    struct Bytes(usize);

    impl Cells for Bytes {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    /// Renders nothing.
    struct Nothing;

    impl Render for Nothing {
        type Cells = Bytes;

        fn add_person(&self, _: &PersonDetails, _: &mut Bytes) {}
        fn add_content(&self, _: &ContentDetails, _: &mut Bytes) {}
        fn add_verb(&self, _: &VerbDetails, _: &mut Bytes) {}
    }

    #[test]
    fn cells_are_cleared_when_they_are_too_many() {
        let mut rendered = RenderedCells::<Bytes>::default();
        for key in 0..4 {
            assert!(!rendered.is_full(&Nothing));
            let keys = [PersonKey(key), PersonKey(key)].into_iter();
            assert_eq!(rendered.persons.missing_keys(keys), [PersonKey(key)]);
            rendered
                .persons
                .add(PersonKey(key), |cells| cells.0 += MAX_CACHED_BYTES / 4);
        }
        assert!(rendered.is_full(&Nothing));
        assert_eq!(rendered.persons.slot(PersonKey(3)), Some(3));
        rendered.clear();
        assert!(!rendered.is_full(&Nothing));
        assert_eq!(rendered.persons.slot(PersonKey(3)), None);
    }

    #[test]
    fn keys_of_any_size_have_slots() {
        let mut slots = SlotMap::<PersonKey>::default();
        let keys = [
            0,
            1,
            1_023,
            1_024,
            70_000,
            ARRAY_KEYS as i64 - 1,
            ARRAY_KEYS as i64,
            i64::MAX,
            -1,
        ];
        for (slot, key) in keys.into_iter().enumerate() {
            assert_eq!(slots.get(PersonKey(key)), None, "{key}");
            slots.insert(PersonKey(key), slot as u32);
        }
        for (slot, key) in keys.into_iter().enumerate() {
            assert_eq!(slots.get(PersonKey(key)), Some(slot as u32), "{key}");
        }
        assert_eq!(slots.get(PersonKey(2)), None);
        assert!(slots.bytes() >= ARRAY_KEYS * size_of::<u32>());
    }

    #[test]
    fn directory_is_loaded_once_for_many_rows_of_new_persons() {
        let mut rendered = RenderedCells::<Bytes>::default();
        assert!(!rendered.needs_directory(1_000, 1_000), "the first rows");
        rendered.rows = MANY_ROWS;
        assert!(!rendered.needs_directory(1_000, 511));
        assert!(rendered.needs_directory(1_000, 512));
        assert!(!rendered.needs_directory(1, 1), "a last row");
        rendered.is_directory_tried = true;
        assert!(!rendered.needs_directory(1_000, 1_000));
    }

    #[test]
    fn consecutive_keys_get_different_buckets() {
        let low_bits = |key: i64| {
            let mut hasher = KeyHasher::default();
            key.hash(&mut hasher);
            hasher.finish() & 0xfff
        };
        let buckets: std::collections::HashSet<u64> = (0..4096).map(low_bits).collect();
        assert!(buckets.len() > 2_000, "{}", buckets.len());
    }
}
