//! The keys of the persons, verbs and contents that records name.
//!
//! Keys that were found once are cached. So a record usually writes its own rows only, and no row of a person, verb or
//! content. Names, titles and types of these are the subject of `latest_names`.

mod added_definitions;
mod contents;
mod periods;
mod placing;
mod rows;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::log::person_of;
use crate::record::Identifier;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::{CacheVersion, OrgTx};
use crate::store::ingest::definitions::Definitions;
use crate::store::ingest::latest_names::{CachedContent, CachedPerson, LatestName, to_stamp};
use crate::store::ingest::persons::{NewPerson, PersonId, digest_of, digest_of_person};
use crate::store::ingest::rebuilt_names::RebuiltNames;
use crate::store::ingest::record_names::RecordNames;
use crate::store::ingest::references::NewMention;
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};
use periods::CachedPeriods;
use rows::{NewVerb, PersonRow};

/// The maximum number of cached persons, verbs and contents of an organisation. Beyond it the cache is emptied.
const MAX_CACHED: usize = 400_000;

/// The cached keys of one organisation.
#[derive(Default)]
pub(crate) struct IdentifierCache {
    version: CacheVersion,
    home_page: Option<String>,
    persons: HashMap<Vec<u8>, CachedPeriods>,
    verbs: HashMap<Vec<u8>, i64>,
    contents: HashMap<Vec<u8>, CachedContent>,
    /// The digests of contents by their keys.
    content_digests: HashMap<i64, Vec<u8>>,
    definitions: Definitions,
    /// The contents that the current batch creates.
    new_contents: HashSet<i64>,
    /// Set in a rebuild only.
    rebuilt: Option<RebuiltNames>,
}

/// The keys of all things that a batch of records names.
pub(crate) struct ResolvedRecords {
    /// The actor, verb, object and content of each record.
    pub(crate) named: Vec<Named>,
    /// The other persons and Activities that the records name.
    pub(crate) mentions: Vec<NewMention>,
    /// The contents that were only mentioned before and are now the object of a record. Records of earlier batches may
    /// belong to them.
    pub(crate) newly_recorded: Vec<i64>,
}

impl IdentifierCache {
    /// A cache for a rebuild, which collects names, titles and definitions and leaves the stored ones.
    pub(crate) fn for_rebuild() -> Self {
        Self {
            definitions: Definitions::for_rebuild(),
            rebuilt: Some(RebuiltNames::default()),
            ..Self::default()
        }
    }

    /// Drops the cached keys if another replica may have changed something, if another server of the database may have
    /// assigned them again, or if they are too many.
    pub(crate) fn refresh(&mut self, version: CacheVersion) {
        if self.version == version && self.len() <= MAX_CACHED {
            return;
        }
        *self = Self {
            version,
            definitions: self.definitions.emptied(),
            rebuilt: self.rebuilt.take(),
            ..Self::default()
        };
    }

    /// Sets the version for which the cache is valid after a commit.
    pub(crate) fn set_version(&mut self, version: CacheVersion) {
        self.version = version;
    }

    /// The number of cached identifiers.
    pub(crate) fn len(&self) -> usize {
        self.persons.len() + self.verbs.len() + self.contents.len() + self.definitions.len()
    }

    /// The names that a rebuild has collected. `None` outside a rebuild.
    pub(crate) fn rebuilt(&self) -> Option<&RebuiltNames> {
        self.rebuilt.as_ref()
    }

    /// The definitions that the records gave.
    pub(crate) fn definitions(&mut self) -> &mut Definitions {
        &mut self.definitions
    }

    /// The organisation's account home page.
    pub(crate) async fn home_page(&mut self, tx: &mut OrgTx) -> Result<String, StoreError> {
        if let Some(home_page) = &self.home_page {
            return Ok(home_page.clone());
        }
        let home_page = tx.organisation().await?.account_home_page;
        self.home_page = Some(home_page.clone());
        Ok(home_page)
    }

    /// A content that a record of the current batch names.
    pub(crate) fn content(&self, key: i64) -> Option<&CachedContent> {
        self.contents.get(self.content_digests.get(&key)?)
    }

    /// Returns the keys of all things that the records name, and updates their names, titles and definitions. Creates
    /// the things that do not exist.
    pub(crate) async fn resolve(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        records: &[StoredStatement],
    ) -> Result<ResolvedRecords, StoreError> {
        let mut names = RecordNames::of_all(records, platform);
        self.find_persons(tx, &names).await?;
        self.find_verbs(tx, &names, records).await?;
        self.find_contents(tx, platform.home_page, &names).await?;
        let newly_recorded = self.mark_recorded(tx, &names).await?;
        self.choose_contents(&mut names);
        self.list_contents(tx, &names).await?;
        self.decide_definitions(tx, &names, records).await?;
        if self.rebuilt.is_some() {
            self.collect_names(platform, &names, records);
        } else {
            self.observe_names(tx, platform, &names, records).await?;
        }
        let definitions = self.given_definitions(&names, records)?;
        self.definitions.merge_batch(tx, records, &definitions).await?;
        let named = names.iter().zip(records);
        let named = named.map(|(names, record)| self.named(names, record));
        Ok(ResolvedRecords {
            named: named.collect::<Result<_, _>>()?,
            mentions: self.mentions(tx.org, &names, records)?,
            newly_recorded,
        })
    }

    /// Takes the names of actors, and the titles and types of contents, from the records.
    async fn observe_names(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) -> Result<(), StoreError> {
        for (index, (current, record)) in names.iter().zip(records).enumerate() {
            let earlier = |is_same: &dyn Fn(&RecordNames<'_>) -> bool| {
                let before = names[..index].iter().zip(&records[..index]);
                let same = before.filter(|(names, _)| is_same(names));
                same.map(|(_, record)| record).collect::<Vec<_>>()
            };
            if let Some(periods) = self.persons.get_mut(&current.person.0) {
                let same_actor = || earlier(&|names| names.person.0 == current.person.0);
                let person = periods.find_mut(record.happened_at());
                person.observe(tx, record, &same_actor).await?;
            }
            let Some((digest, activity)) = current.content() else {
                continue;
            };
            let Some(content) = self.contents.get_mut(digest) else {
                continue;
            };
            let same_content = || earlier(&|names| names.content().is_some_and(|(other, _)| other == digest));
            let type_changed = content
                .observe(tx, platform, activity, record, &same_content)
                .await?;
            if type_changed {
                tx.reproject(content.key).await?;
            }
        }
        Ok(())
    }

    /// In a rebuild, collects the names of actors, and the titles and types of contents.
    fn collect_names(
        &mut self,
        platform: &Platform<'_>,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) {
        let Some(rebuilt) = &mut self.rebuilt else {
            return;
        };
        for (names, record) in names.iter().zip(records) {
            if let Some(periods) = self.persons.get(&names.person.0) {
                rebuilt.observe_person(periods.find(record.happened_at()), record);
            }
            if let Some((digest, activity)) = names.content()
                && let Some(content) = self.contents.get(digest)
            {
                rebuilt.observe_content(content, platform, activity, record);
            }
        }
    }

    /// The definitions that count, with the keys of their contents, in the order of recording.
    fn given_definitions<'r>(
        &self,
        names: &[RecordNames<'r>],
        records: &[StoredStatement],
    ) -> Result<Vec<(i64, &'r str)>, StoreError> {
        let missing = || StoreError::Invariant("a defined Activity has no key");
        let mut given = Vec::new();
        for (names, record) in names.iter().zip(records) {
            for (digest, activity) in names.all_activities() {
                if let Some(definition) = activity.definition.as_ref().filter(|_| record.defines(activity)) {
                    let content = self.contents.get(digest).ok_or_else(missing)?;
                    given.push((content.key, definition.text.as_str()));
                }
            }
        }
        Ok(given)
    }

    /// Whether the identifier of this record's actor has several periods.
    pub(crate) fn has_divided_actor(&self, record: &StoredStatement) -> bool {
        let digest = digest_of_person(&person_of(&record.statement));
        self.persons.get(&digest).is_some_and(CachedPeriods::is_divided)
    }

    /// What stored records name besides their actors and objects.
    pub(crate) async fn find_mentions(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        records: &[StoredStatement],
    ) -> Result<Vec<NewMention>, StoreError> {
        let names = RecordNames::of_all(records, platform);
        self.find_persons(tx, &names).await?;
        self.find_contents(tx, platform.home_page, &names).await?;
        self.mentions(tx.org, &names, records)
    }

    /// What the records name besides their actors and objects, in the order of the records.
    fn mentions(
        &self,
        org: i64,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) -> Result<Vec<NewMention>, StoreError> {
        let mut all = Vec::new();
        for (names, record) in names.iter().zip(records) {
            all.extend(self.mentions_of(org, names, record.seq)?);
        }
        Ok(all)
    }

    /// What a record names besides its actor and object: each thing once, as direct if it is direct anywhere.
    fn mentions_of(
        &self,
        org: i64,
        names: &RecordNames<'_>,
        seq: i64,
    ) -> Result<Vec<NewMention>, StoreError> {
        let missing = || StoreError::Invariant("a mentioned thing has no key");
        let mut mentions = Vec::with_capacity(names.people.len() + names.activities.len());
        let mut push = |thing, direct| {
            mentions.push(NewMention {
                org,
                thing,
                seq,
                direct,
            })
        };
        for person in &names.people {
            // A query by agent finds the records of all periods, so one of them is enough.
            let periods = self.persons.get(&person.digest).ok_or_else(missing)?;
            push(periods.first().key, person.direct);
        }
        for (digest, _) in &names.activities {
            push(self.contents.get(digest).ok_or_else(missing)?.key, false);
        }
        mentions.sort_unstable_by_key(|mention| (mention.thing, !mention.direct));
        mentions.dedup_by_key(|mention| mention.thing);
        Ok(mentions)
    }

    fn named(&self, names: &RecordNames<'_>, record: &StoredStatement) -> Result<Named, StoreError> {
        let missing = || StoreError::Invariant("a named thing has no key");
        let content = |digest: &Vec<u8>| {
            self.contents
                .get(digest)
                .map(|content| content.key)
                .ok_or_else(missing)
        };
        let periods = self.persons.get(&names.person.0).ok_or_else(missing)?;
        Ok(Named {
            actor: periods.find(record.happened_at()).key,
            verb: *self.verbs.get(&names.verb).ok_or_else(missing)?,
            object: names
                .object
                .as_ref()
                .map(|(digest, _)| content(digest))
                .transpose()?,
            content: names.content().map(|(digest, _)| content(digest)).transpose()?,
        })
    }

    async fn find_persons(&mut self, tx: &mut OrgTx, names: &[RecordNames<'_>]) -> Result<(), StoreError> {
        let digests = names.iter().flat_map(RecordNames::person_digests);
        let unknown = find_unknown(digests, |digest| self.persons.contains_key(digest));
        if unknown.is_empty() {
            return Ok(());
        }
        let select = Sql::new(&format!(
            "SELECT {} FROM persons WHERE org = $1 AND digest IN LIST($2) ORDER BY digest, valid_from",
            PersonRow::COLUMNS
        ));
        let rows: Vec<PersonRow> = tx.fetch_rows(select.with(tx.org).with(unknown)).await?;
        for row in rows {
            let person = CachedPerson {
                key: row.key,
                valid_until: row.valid_until,
                owned: row.user_key.is_some(),
                name: LatestName {
                    value: row.name,
                    at: to_stamp(row.named_at, row.named_by),
                    tracked: row.tracked,
                },
            };
            match self.persons.entry(row.digest) {
                Entry::Vacant(entry) => {
                    entry.insert(CachedPeriods::new(person));
                }
                Entry::Occupied(mut entry) => entry.get_mut().push(person),
            }
        }
        let mut created = Vec::new();
        for names in names {
            let (digest, person) = &names.person;
            if !self.persons.contains_key(digest) {
                created.push(self.create_person(tx, digest, PersonId::of(person)?));
            }
            for person in &names.people {
                if !self.persons.contains_key(&person.digest) {
                    let id = PersonId::of_identifier(person.identifier)?;
                    created.push(self.create_person(tx, &person.digest, id));
                }
            }
        }
        tx.insert_rows(created).await
    }

    fn create_person(&mut self, tx: &mut OrgTx, digest: &[u8], id: PersonId) -> NewPerson {
        let key = tx.next_key();
        let person = CachedPerson {
            key,
            valid_until: None,
            owned: false,
            name: LatestName::NOTHING,
        };
        self.persons.insert(digest.to_vec(), CachedPeriods::new(person));
        NewPerson::new(tx.org, key, id)
    }

    async fn find_verbs(
        &mut self,
        tx: &mut OrgTx,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) -> Result<(), StoreError> {
        let digests = names.iter().map(|names| &names.verb);
        let unknown = find_unknown(digests, |digest| self.verbs.contains_key(digest));
        if unknown.is_empty() {
            return Ok(());
        }
        let select = Sql::new("SELECT digest, key FROM verbs WHERE org = $1 AND digest IN LIST($2)");
        let rows: Vec<(Vec<u8>, i64)> = tx.fetch_rows(select.with(tx.org).with(unknown)).await?;
        self.verbs.extend(rows);
        let mut created = Vec::new();
        for (names, record) in names.iter().zip(records) {
            if !self.verbs.contains_key(&names.verb) {
                let verb = &record.statement.verb;
                let key = tx.next_key();
                created.push(NewVerb {
                    org: tx.org,
                    key,
                    digest: names.verb.clone(),
                    iri: verb.id.as_str().to_owned(),
                    display: verb.display.pick_english_first().map(str::to_owned),
                });
                self.verbs.insert(names.verb.clone(), key);
            }
        }
        tx.insert_rows(created).await
    }

    /// The key of the person with this identifier in its first period. Creates the person if it does not exist.
    pub(crate) async fn find_person(
        &mut self,
        tx: &mut OrgTx,
        identifier: &Identifier,
    ) -> Result<i64, StoreError> {
        let digest = digest_of(identifier);
        if let Some(periods) = self.persons.get(&digest) {
            return Ok(periods.first().key);
        }
        let select =
            Sql::new("SELECT key FROM persons WHERE org = $1 AND digest = $2 ORDER BY valid_from LIMIT 1");
        let select = select.with(tx.org).with(digest.clone());
        if let Some((key,)) = tx.fetch_row(select).await? {
            return Ok(key);
        }
        let person = self.create_person(tx, &digest, PersonId::of_identifier(identifier)?);
        let key = person.key;
        tx.insert_rows(vec![person]).await?;
        Ok(key)
    }

    /// Tracks the names in a record that leaves the log. They still count, but the log no longer shows when they were
    /// given.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        record: &StoredStatement,
    ) -> Result<(), StoreError> {
        let mut names = [RecordNames::new(record, platform)];
        self.find_persons(tx, &names).await?;
        self.find_contents(tx, platform.home_page, &names).await?;
        self.choose_contents(&mut names);
        let [names] = &names;
        if let Some(periods) = self.persons.get_mut(&names.person.0) {
            periods.find_mut(record.happened_at()).track(tx).await?;
        }
        if let Some((digest, activity)) = names.content()
            && let Some(content) = self.contents.get_mut(digest)
        {
            content.track(tx, platform, activity).await?;
        }
        Ok(())
    }
}

/// The digests that are not cached, sorted and without repetitions.
fn find_unknown<'d>(
    digests: impl Iterator<Item = &'d Vec<u8>>,
    is_cached: impl Fn(&Vec<u8>) -> bool,
) -> Vec<Vec<u8>> {
    let mut unknown: Vec<Vec<u8>> = digests.filter(|digest| !is_cached(digest)).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_of_another_server_or_epoch_is_dropped() {
        let version = CacheVersion { epoch: 3, server: 7 };
        for other in [
            CacheVersion { epoch: 3, server: 8 },
            CacheVersion { epoch: 4, server: 7 },
        ] {
            let mut cache = IdentifierCache::default();
            cache.set_version(version);
            cache.verbs.insert(vec![1], 2);
            cache.refresh(version);
            assert_eq!(cache.len(), 1);
            cache.refresh(other);
            assert_eq!(cache.len(), 0);
            assert_eq!(cache.version, other);
        }
    }
}
