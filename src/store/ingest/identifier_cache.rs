//! What records name: persons, verbs, contents. What has been seen already is remembered, so that in the
//! steady state a record writes its own rows and upserts nothing.
//!
//! What they say of these, a name, a title and a type, is the matter of `said`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalogue::content::ContentDraft;
use crate::log::{PersonRef, person_of};
use crate::record::{Activity, Identifier, Object};

use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{StoreError, digest};
use crate::store::ingest::definitions::Definitions;
use crate::store::ingest::demands::{demand_histories, kind_from, type_from};
use crate::store::ingest::latest_names::{CachedContent, CachedPerson, Definition, LatestName, read_stamp};
use crate::store::ingest::persons::{PERSON_COLUMNS, PersonId, digest_of, digest_of_person, stamp_columns};
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};

/// Persons, verbs and contents remembered at most, together; past it the memory is emptied.
const REMEMBERED: usize = 400_000;
/// What has been seen of one organisation.
#[derive(Default)]
pub(crate) struct IdentifierCache {
    epoch: i64,
    home_page: Option<String>,
    persons: HashMap<Vec<u8>, CachedPerson>,
    verbs: HashMap<Vec<u8>, i64>,
    contents: HashMap<Vec<u8>, CachedContent>,
    by_key: HashMap<i64, Vec<u8>>,
    definitions: Definitions,
}

/// What a record names: digests, and what they stand for.
struct Mention<'r> {
    person: (Vec<u8>, PersonRef),
    verb: Vec<u8>,
    object: Option<(Vec<u8>, &'r Activity)>,
    content: Option<(Vec<u8>, &'r Activity)>,
    /// Everybody else, and whether the plain `agent` filter finds them.
    people: Vec<(Vec<u8>, &'r Identifier, bool)>,
    /// Everything else.
    activities: Vec<(Vec<u8>, &'r Activity)>,
}

impl<'r> Mention<'r> {
    fn all_activities(&self) -> impl Iterator<Item = &(Vec<u8>, &'r Activity)> {
        self.object.iter().chain(&self.content).chain(&self.activities)
    }
}

/// A row of `mentions`: a person or an Activity that a record names besides its actor and object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mentioned {
    /// The key of the person or content.
    pub(crate) thing: i64,
    /// The record.
    pub(crate) seq: i64,
    /// Whether the plain `agent` filter finds it.
    pub(crate) direct: bool,
}

/// The keys of all that a batch names.
pub(crate) struct ResolvedRecords {
    /// Of each record.
    pub(crate) named: Vec<Named>,
    /// Of all, what each names besides.
    pub(crate) mentioned: Vec<Mentioned>,
}

impl IdentifierCache {
    /// Forgets what another replica may have changed.
    pub(crate) fn refresh(&mut self, epoch: i64) {
        let size = self.persons.len() + self.verbs.len() + self.contents.len();
        if self.epoch != epoch || size > REMEMBERED {
            *self = Self {
                epoch,
                ..Self::default()
            };
        }
    }

    /// Says under which number the memory is true after a commit of ours.
    pub(crate) fn set_epoch(&mut self, epoch: i64) {
        self.epoch = epoch;
    }

    /// The number of cached identifiers.
    pub(crate) fn len(&self) -> usize {
        self.persons.len() + self.verbs.len() + self.contents.len() + self.definitions.len()
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

    /// The content with that key, which a record of this batch named.
    pub(crate) fn content(&self, key: i64) -> Option<&CachedContent> {
        self.contents.get(self.by_key.get(&key)?)
    }

    /// Finds or makes everything that the records name, and lets them say their names and titles.
    pub(crate) async fn resolve(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        records: &[StoredStatement],
    ) -> Result<ResolvedRecords, StoreError> {
        let mentions: Vec<Mention<'_>> = records.iter().map(|record| mention(record, platform)).collect();
        self.find_persons(tx, &mentions).await?;
        self.find_verbs(tx, &mentions, records).await?;
        self.find_contents(tx, platform.home_page, &mentions).await?;
        for (place, (mention, record)) in mentions.iter().zip(records).enumerate() {
            let earlier = &records[..place];
            if let Some(person) = self.persons.get_mut(&mention.person.0) {
                person.observe(tx, record, earlier).await?;
            }
            if let Some((digest, activity)) = &mention.content
                && let Some(content) = self.contents.get_mut(digest)
            {
                content.observe(tx, platform, activity, record, earlier).await?;
            }
        }
        let said = self.said(&mentions, records)?;
        self.definitions.define(tx, records, &said).await?;
        let named = mentions.iter().map(|mention| self.named(mention));
        Ok(ResolvedRecords {
            named: named.collect::<Result<_, _>>()?,
            mentioned: self.mentioned(&mentions, records)?,
        })
    }

    /// The definitions that the records give, with the keys of what they define, in the order of recording.
    fn said<'r>(
        &self,
        mentions: &[Mention<'r>],
        records: &[StoredStatement],
    ) -> Result<Vec<(i64, &'r str)>, StoreError> {
        let lost = || StoreError::Invariant("a record defines what was not found");
        let defining = mentions
            .iter()
            .zip(records)
            .filter(|(_, record)| record.envelope.defines);
        let mut said = Vec::new();
        for (mention, _) in defining {
            for (digest, activity) in mention.object.iter().chain(&mention.activities) {
                if let Some(definition) = &activity.definition {
                    let content = self.contents.get(digest).ok_or_else(lost)?;
                    said.push((content.key, definition.text.as_str()));
                }
            }
        }
        Ok(said)
    }

    /// What records that are in the store already name besides their actors and objects.
    pub(crate) async fn recall(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        records: &[StoredStatement],
    ) -> Result<Vec<Mentioned>, StoreError> {
        let mentions: Vec<Mention<'_>> = records.iter().map(|record| mention(record, platform)).collect();
        self.find_persons(tx, &mentions).await?;
        self.find_contents(tx, platform.home_page, &mentions).await?;
        self.mentioned(&mentions, records)
    }

    /// What the records name besides their actors and objects, one record's after the other's.
    fn mentioned(
        &self,
        mentions: &[Mention<'_>],
        records: &[StoredStatement],
    ) -> Result<Vec<Mentioned>, StoreError> {
        let mut all = Vec::new();
        for (mention, record) in mentions.iter().zip(records) {
            all.extend(self.mentioned_by(mention, record.seq)?);
        }
        Ok(all)
    }

    /// Each once, and direct where it is so anywhere in the record.
    fn mentioned_by(&self, mention: &Mention<'_>, seq: i64) -> Result<Vec<Mentioned>, StoreError> {
        let lost = || StoreError::Invariant("a record mentions what was not found");
        let mut found: Vec<Mentioned> = Vec::with_capacity(mention.people.len() + mention.activities.len());
        for (digest, _, direct) in &mention.people {
            let thing = self.persons.get(digest).ok_or_else(lost)?.key;
            let direct = *direct;
            found.push(Mentioned { thing, seq, direct });
        }
        for (digest, _) in &mention.activities {
            let thing = self.contents.get(digest).ok_or_else(lost)?.key;
            let direct = false;
            found.push(Mentioned { thing, seq, direct });
        }
        found.sort_unstable_by_key(|one| (one.thing, !one.direct));
        found.dedup_by_key(|one| one.thing);
        Ok(found)
    }

    fn named(&self, mention: &Mention<'_>) -> Result<Named, StoreError> {
        let lost = || StoreError::Invariant("a record names what was not found");
        let content = |mention: &Option<(Vec<u8>, &Activity)>| match mention {
            Some((digest, _)) => self.contents.get(digest).map(|c| Some(c.key)).ok_or_else(lost),
            None => Ok(None),
        };
        Ok(Named {
            actor: self.persons.get(&mention.person.0).ok_or_else(lost)?.key,
            verb: *self.verbs.get(&mention.verb).ok_or_else(lost)?,
            object: content(&mention.object)?,
            content: content(&mention.content)?,
        })
    }

    async fn find_persons(&mut self, tx: &mut OrgTx, mentions: &[Mention<'_>]) -> Result<(), StoreError> {
        let digests = mentions
            .iter()
            .flat_map(|m| std::iter::once(&m.person.0).chain(m.people.iter().map(|(digest, ..)| digest)));
        let unknown = unknown(digests, |digest| self.persons.contains_key(digest));
        if unknown.is_empty() {
            return Ok(());
        }
        let select = Sql::new(
            "SELECT digest, key, user_key, name, named_at, named_by, contested FROM persons \
             WHERE org = $1 AND digest IN LIST($2)",
        );
        for row in tx.fetch_all(select.with(tx.org).with(unknown)).await? {
            let name = LatestName {
                value: row.get(3)?,
                at: read_stamp(&row, 4)?,
                tracked: row.get(6)?,
            };
            let owned = row.get::<Option<i64>>(2)?.is_some();
            self.persons.insert(
                row.get(0)?,
                CachedPerson {
                    key: row.get(1)?,
                    owned,
                    name,
                },
            );
        }
        let mut made = Vec::new();
        for mention in mentions {
            let (digest, person) = &mention.person;
            if !self.persons.contains_key(digest) {
                made.push(self.make_person(tx, digest, PersonId::of(person)?));
            }
            for (digest, identifier, _) in &mention.people {
                if !self.persons.contains_key(digest) {
                    made.push(self.make_person(tx, digest, PersonId::of_identifier(identifier)?));
                }
            }
        }
        tx.insert("persons", &PERSON_COLUMNS, made).await
    }

    fn make_person(&mut self, tx: &mut OrgTx, digest: &[u8], id: PersonId) -> Vec<Value> {
        let key = tx.next_key();
        let person = CachedPerson {
            key,
            owned: false,
            name: LatestName::NOTHING,
        };
        self.persons.insert(digest.to_vec(), person);
        tx.person_row(key, id, None, None, None, false)
    }

    async fn find_verbs(
        &mut self,
        tx: &mut OrgTx,
        mentions: &[Mention<'_>],
        records: &[StoredStatement],
    ) -> Result<(), StoreError> {
        let unknown = unknown(mentions.iter().map(|m| &m.verb), |d| self.verbs.contains_key(d));
        if unknown.is_empty() {
            return Ok(());
        }
        let select = Sql::new("SELECT digest, key FROM verbs WHERE org = $1 AND digest IN LIST($2)");
        for row in tx.fetch_all(select.with(tx.org).with(unknown)).await? {
            self.verbs.insert(row.get(0)?, row.get(1)?);
        }
        let mut made = Vec::new();
        for (mention, record) in mentions.iter().zip(records) {
            if !self.verbs.contains_key(&mention.verb) {
                let key = tx.next_key();
                let verb = &record.statement.verb;
                made.push(vec![
                    tx.org.into(),
                    key.into(),
                    mention.verb.clone().into(),
                    verb.id.as_str().into(),
                    verb.display.pick_english_first().into(),
                ]);
                self.verbs.insert(mention.verb.clone(), key);
            }
        }
        tx.insert("verbs", &["org", "key", "digest", "iri", "display"], made)
            .await
    }

    async fn find_contents(
        &mut self,
        tx: &mut OrgTx,
        home_page: &str,
        mentions: &[Mention<'_>],
    ) -> Result<(), StoreError> {
        let all = || mentions.iter().flat_map(Mention::all_activities);
        let unknown = unknown(all().map(|(digest, _)| digest), |d| self.contents.contains_key(d));
        if !unknown.is_empty() {
            self.load_contents(tx, unknown).await?;
            let mut made = Vec::new();
            for (digest, activity) in all() {
                if !self.contents.contains_key(digest) {
                    let id = free_id(tx, activity.id.as_str(), home_page).await?;
                    made.push(self.make_content(tx, digest, activity.id.as_str(), id));
                }
            }
            tx.insert("contents", &CONTENT_COLUMNS, made).await?;
        }
        let mut listed = Vec::new();
        for (digest, _) in mentions.iter().filter_map(|m| m.content.as_ref()) {
            if let Some(content) = self.contents.get_mut(digest).filter(|content| !content.listed) {
                content.listed = true;
                listed.push(content.key);
            }
        }
        if !listed.is_empty() {
            let update = Sql::new("UPDATE contents SET listed = $2 WHERE org = $1 AND key IN LIST($3)");
            tx.execute(update.with(tx.org).with(true).with(listed)).await?;
        }
        Ok(())
    }

    async fn load_contents(&mut self, tx: &mut OrgTx, digests: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let select = Sql::new(
            "SELECT digest, key, registered, listed, title, type, content_type, defined_at, defined_by, contested \
             FROM contents WHERE org = $1 AND digest IN LIST($2)",
        );
        let rows = tx.fetch_all(select.with(tx.org).with(digests)).await?;
        let keys = rows
            .iter()
            .map(|row| row.get(1))
            .collect::<Result<Vec<i64>, _>>()?;
        let mut histories = demand_histories(tx, keys).await?;
        for row in rows {
            let digest: Vec<u8> = row.get(0)?;
            let key = row.get(1)?;
            let (kind, content_type) = (type_from(row.get(5)?), kind_from(row.get(6)?));
            let at = read_stamp(&row, 7)?;
            let value = at.map(|_| {
                Ok::<_, StoreError>(Definition {
                    title: row.get(4)?,
                    learning_type: kind,
                    content_type,
                })
            });
            let content = CachedContent {
                key,
                registered: row.get(2)?,
                listed: row.get(3)?,
                definition: LatestName {
                    value: value.transpose()?,
                    at,
                    tracked: row.get(9)?,
                },
                learning_type: kind,
                content_type,
                demands: Arc::new(histories.remove(&key).unwrap_or_default()),
            };
            self.by_key.insert(key, digest.clone());
            self.contents.insert(digest, content);
        }
        Ok(())
    }

    fn make_content(&mut self, tx: &mut OrgTx, digest_of_iri: &[u8], iri: &str, id: String) -> Vec<Value> {
        let key = tx.next_key();
        let content = CachedContent {
            key,
            registered: false,
            listed: false,
            definition: LatestName::NOTHING,
            learning_type: None,
            content_type: None,
            demands: Arc::default(),
        };
        self.by_key.insert(key, digest_of_iri.to_vec());
        self.contents.insert(digest_of_iri.to_vec(), content);
        let (defined_at, defined_by) = stamp_columns(None);
        vec![
            tx.org.into(),
            key.into(),
            digest_of_iri.to_vec().into(),
            iri.into(),
            digest(&id).into(),
            id.into(),
            false.into(),
            false.into(),
            "".into(),
            "[]".into(),
            "[]".into(),
            "{}".into(),
            defined_at.into(),
            defined_by.into(),
            false.into(),
            false.into(),
        ]
    }

    /// The key of the person with that identifier, made where it isn't there.
    pub(crate) async fn person(
        &mut self,
        tx: &mut OrgTx,
        identifier: &Identifier,
    ) -> Result<i64, StoreError> {
        let digest = digest_of(identifier);
        if let Some(person) = self.persons.get(&digest) {
            return Ok(person.key);
        }
        let select = Sql::new("SELECT key FROM persons WHERE org = $1 AND digest = $2");
        let kept = tx
            .fetch_optional(select.with(tx.org).with(digest.clone()))
            .await?;
        if let Some(row) = kept {
            return row.get(0);
        }
        let row = self.make_person(tx, &digest, PersonId::of_identifier(identifier)?);
        tx.insert("persons", &PERSON_COLUMNS, vec![row]).await?;
        let made = self.persons.get(&digest).map(|person| person.key);
        made.ok_or(StoreError::Invariant("a person made is not there"))
    }

    /// Before a record leaves the log its words must be accounted for: they still count.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        record: &StoredStatement,
    ) -> Result<(), StoreError> {
        let mention = mention(record, platform);
        let mentions = [mention];
        self.find_persons(tx, &mentions).await?;
        self.find_contents(tx, platform.home_page, &mentions).await?;
        let [mention] = &mentions;
        if let Some(person) = self.persons.get_mut(&mention.person.0)
            && !(person.owned || person.name.tracked)
        {
            person.track(tx, &[]).await?;
        }
        if let Some((digest, _)) = &mention.content
            && let Some(content) = self.contents.get_mut(digest)
            && !(content.registered || content.definition.tracked)
        {
            content.track(tx, platform, &[]).await?;
        }
        Ok(())
    }
}

const CONTENT_COLUMNS: [&str; 16] = [
    "org",
    "key",
    "digest",
    "iri",
    "id_digest",
    "id",
    "registered",
    "listed",
    "title_folded",
    "tags",
    "cpd_labels",
    "demands",
    "defined_at",
    "defined_by",
    "contested",
    "reprojecting",
];

/// The id of a content that nobody registered: its IRI, or, where the IRI is the one that Rollbook gives to a
/// content's id, that id, so that whoever sent the id finds it again.
async fn free_id(tx: &mut OrgTx, iri: &str, home_page: &str) -> Result<String, StoreError> {
    let Some(id) = ContentDraft::id_of_default_iri(iri, home_page) else {
        return Ok(iri.to_owned());
    };
    let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND id_digest = $2");
    let taken = tx
        .fetch_optional(select.with(tx.org).with(digest(id.as_str())))
        .await?
        .is_some();
    Ok(if taken { iri.to_owned() } else { id.into() })
}

fn mention<'r>(record: &'r StoredStatement, platform: &Platform<'_>) -> Mention<'r> {
    let statement = &record.statement;
    let person = person_of(statement);
    let object = match &statement.object {
        Object::Activity(activity) => Some((digest(activity.id.as_str()), activity)),
        _ => None,
    };
    let content = platform
        .content_of(statement)
        .map(|activity| (digest(activity.id.as_str()), activity));
    let display = statement.verb.display.pick_english_first().unwrap_or_default();
    let verb = digest(&format!("{}\n{display}", statement.verb.id.as_str()));
    let others = statement.mentions();
    let people = |identifiers: &[&'r Identifier], direct: bool| {
        let one = |identifier: &&'r Identifier| (digest_of(identifier), *identifier, direct);
        identifiers.iter().map(one).collect::<Vec<_>>()
    };
    Mention {
        person: (digest_of_person(&person), person),
        verb,
        object,
        content,
        people: [people(&others.direct, true), people(&others.related, false)].concat(),
        activities: others
            .activities
            .into_iter()
            .map(|activity| (digest(activity.id.as_str()), activity))
            .collect(),
    }
}

fn unknown<'d>(digests: impl Iterator<Item = &'d Vec<u8>>, known: impl Fn(&Vec<u8>) -> bool) -> Vec<Vec<u8>> {
    let mut unknown: Vec<Vec<u8>> = digests.filter(|digest| !known(digest)).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}
