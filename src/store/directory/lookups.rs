//! A cache of the details that pages show with their rows.

use std::collections::HashMap;
use std::hash::Hash;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::log::{
    self, Activity, ContentDetails, ContentKey, PersonDetails, PersonKey, Recorder, VerbDetails, VerbKey,
};
use crate::texts::Language;

use crate::store::db::{Store, StoreError};

/// The maximum number of cached details of each type. A full cache is emptied.
const MAX_CACHED: usize = 50_000;
/// The maximum number of bytes of the long texts of cached persons and contents. A fuller cache is emptied.
const MAX_CACHED_BYTES: usize = 16 * 1024 * 1024;

/// A cache of details for rows of the log.
///
/// Each is loaded once: a page needs at most one query for each type, and an export loads each person and content about
/// once. Of a user, only what an [`Activity`] shows is loaded.
pub struct Lookups {
    store: Store,
    organisation: OrgId,
    persons: HashMap<PersonKey, PersonDetails>,
    contents: HashMap<ContentKey, ContentDetails>,
    verbs: HashMap<VerbKey, VerbDetails>,
    recorders: HashMap<UserId, Recorder>,
    /// The language of labels and sentences.
    language: Language,
    /// The bytes of the long texts of `persons` and `contents`.
    bytes: usize,
}

impl Lookups {
    /// An empty cache for rows of one organisation.
    pub fn new(store: &Store, organisation: &OrgId) -> Self {
        Self {
            store: store.clone(),
            organisation: organisation.clone(),
            persons: HashMap::new(),
            contents: HashMap::new(),
            verbs: HashMap::new(),
            recorders: HashMap::new(),
            language: Language::ENGLISH,
            bytes: 0,
        }
    }

    /// The same, with labels and sentences in a language.
    #[must_use]
    pub fn in_language(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// Loads the details of these rows that are not in the cache.
    pub async fn load<'r>(
        &mut self,
        rows: impl IntoIterator<Item = &'r log::Row, IntoIter: Clone>,
    ) -> Result<(), StoreError> {
        let rows = rows.into_iter();
        if self.bytes > MAX_CACHED_BYTES {
            self.persons.clear();
            self.contents.clear();
            self.bytes = 0;
        }
        let persons = find_missing(&mut self.persons, rows.clone().map(|row| row.person));
        let contents = find_missing(&mut self.contents, rows.clone().filter_map(|row| row.content));
        let verbs = find_missing(&mut self.verbs, rows.clone().map(|row| row.verb));
        let recorders = rows.filter_map(|row| row.projected.recorded_by.clone());
        let recorders = find_missing(&mut self.recorders, recorders);
        let (store, organisation) = (&self.store, &self.organisation);
        // Each is a query of its own, and none needs another.
        let (persons, contents, verbs, recorders) = tokio::try_join!(
            store.person_names(organisation, &persons),
            store.content_details(organisation, &contents),
            store.verb_details(organisation, &verbs),
            store.recorders(organisation, &recorders),
        )?;
        self.bytes += persons
            .values()
            .map(PersonDetails::long_text_bytes)
            .sum::<usize>();
        self.bytes += contents
            .values()
            .map(ContentDetails::long_text_bytes)
            .sum::<usize>();
        self.persons.extend(persons);
        self.contents.extend(contents);
        self.verbs.extend(verbs);
        self.recorders.extend(recorders);
        Ok(())
    }

    /// The person of a loaded row.
    pub fn person(&self, row: &log::Row) -> Result<&PersonDetails, StoreError> {
        self.persons
            .get(&row.person)
            .ok_or(StoreError::Invariant("the person of a row was not loaded"))
    }

    /// The content of a loaded row.
    pub fn content(&self, row: &log::Row) -> Option<&ContentDetails> {
        self.contents.get(&row.content?)
    }

    /// The verb of a loaded row.
    pub fn verb(&self, row: &log::Row) -> Result<&VerbDetails, StoreError> {
        self.verbs
            .get(&row.verb)
            .ok_or(StoreError::Invariant("the verb of a row was not loaded"))
    }

    /// The user that recorded a loaded row.
    pub fn recorder(&self, row: &log::Row) -> Option<&Recorder> {
        self.recorders.get(row.projected.recorded_by.as_ref()?)
    }

    /// A loaded row as JSON.
    pub fn activity(&self, row: &log::Row, now: Timestamp) -> Result<Activity, StoreError> {
        let (person, verb) = (self.person(row)?, self.verb(row)?);
        Ok(Activity::new(
            row,
            person,
            self.content(row),
            verb,
            self.recorder(row),
            now,
            self.language,
        ))
    }
}

/// The keys that are not in the cache, each once. A full cache is emptied first.
fn find_missing<K: Clone + Eq + Hash + Ord, V>(
    cache: &mut HashMap<K, V>,
    keys: impl Iterator<Item = K>,
) -> Vec<K> {
    if cache.len() > MAX_CACHED {
        cache.clear();
    }
    let mut missing: Vec<K> = keys.filter(|key| !cache.contains_key(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}
