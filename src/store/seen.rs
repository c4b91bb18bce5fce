//! What records name: persons, verbs, contents. What has been seen already is remembered, so that in the
//! steady state a record writes its own rows and upserts nothing.
//!
//! A name, and a title and type, are what the *latest* record says, by time of happening and statement id,
//! whatever the order of arrival. To know that without touching a shared row at every record, a thing that
//! everybody names alike keeps no stamp; the first record that says something else makes it *tracked*: the
//! exact stamp of what was said so far is read from the log, and kept from then on.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalogue::content::ContentDraft;
use crate::catalogue::kind::from_activity_type;
use crate::catalogue::{ContentKind, ContentType, DemandHistory};
use crate::clock::Timestamp;
use crate::ids::StatementId;
use crate::log::{PersonRef, VerbTable, content_of, fold, person_of};
use crate::record::{Activity, Envelope, Object, Statement};

use super::db::{Row, Sql};
use super::dialect::Value;
use super::ledger::OrgTx;
use super::persons::{PERSON_COLUMNS, PersonId, digest_of_person, stamp_columns};
use super::reproject::{demand_histories, kind_from, type_from};
use super::statements::{read_envelope, read_statement};
use super::{StoreError, digest};

/// Persons, verbs and contents remembered at most, together; past it the memory is emptied.
const REMEMBERED: usize = 400_000;
/// Rows read at a time when a thing becomes tracked.
const SCAN: i64 = 64;

/// When something was said, and by which statement: the later one counts.
pub(super) type Stamp = (Timestamp, StatementId);

/// A record with its place in the order, ready to be written.
pub(super) struct Sealed {
    pub(super) seq: i64,
    pub(super) id: StatementId,
    pub(super) stored: Timestamp,
    pub(super) statement: Arc<Statement>,
    pub(super) envelope: Arc<Envelope>,
    pub(super) voided: bool,
}

impl Sealed {
    pub(super) fn stamp(&self) -> Stamp {
        (self.statement.timestamp.unwrap_or(self.stored), self.id)
    }
}

/// What decides which Activity of a statement is its content.
pub(super) struct Platform<'p> {
    pub(super) verbs: &'p VerbTable,
    pub(super) home_page: &'p str,
}

impl Platform<'_> {
    fn content_of<'s>(&self, statement: &'s Statement) -> Option<&'s Activity> {
        content_of(self.verbs, statement, self.home_page)
    }
}

/// The keys of what a record names.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) actor: i64,
    pub(super) verb: i64,
    /// The Activity that is the statement's object.
    pub(super) object: Option<i64>,
    /// What was learned, which for an answer is the quiz above it.
    pub(super) content: Option<i64>,
}

/// What the latest record says of something.
#[derive(Debug, Clone)]
struct Said<T> {
    value: Option<T>,
    at: Option<Stamp>,
    tracked: bool,
}

enum Heard {
    /// Nothing to write.
    Same,
    /// The stamp or the value moved.
    Moved { value_changed: bool },
    /// The stamp of what was said so far must be known exactly first.
    Unsure,
}

impl<T: PartialEq> Said<T> {
    /// Whether this differs from what counts so far, so that the stamps decide. Another replica may have
    /// moved the stamp since (never the value: that makes everybody forget), so it is read again first.
    fn disputes(&self, value: &T) -> bool {
        self.tracked && self.value.as_ref().is_some_and(|current| current != value)
    }

    fn hear(&mut self, value: &T, stamp: Stamp) -> Heard
    where
        T: Clone,
    {
        if self.value.is_none() {
            self.value = Some(value.clone());
            self.at = Some(stamp);
            return Heard::Moved { value_changed: true };
        }
        let same = self.value.as_ref() == Some(value);
        if !self.tracked {
            return if same { Heard::Same } else { Heard::Unsure };
        }
        if self.at.is_some_and(|at| at >= stamp) {
            return Heard::Same;
        }
        self.at = Some(stamp);
        if !same {
            self.value = Some(value.clone());
        }
        Heard::Moved { value_changed: !same }
    }
}

/// The title and type that an Activity's definition gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    title: Option<String>,
    kind: Option<ContentType>,
    content_type: Option<ContentKind>,
}

impl Definition {
    fn of(activity: &Activity) -> Option<Self> {
        let definition = activity.definition.as_ref()?;
        let title = definition.name.pick_english_first().map(str::to_owned);
        let (kind, content_type) = match &definition.type_ {
            Some(iri) => from_activity_type(iri.as_str()),
            None => (None, None),
        };
        (title.is_some() || kind.is_some()).then_some(Self { title, kind, content_type })
    }
}

#[derive(Debug, Clone)]
struct SeenPerson {
    key: i64,
    owned: bool,
    name: Said<String>,
}

/// A content as the writer needs to know it.
#[derive(Debug, Clone)]
pub(super) struct SeenContent {
    key: i64,
    registered: bool,
    listed: bool,
    definition: Said<Definition>,
    pub(super) kind: Option<ContentType>,
    pub(super) content_type: Option<ContentKind>,
    pub(super) demands: Arc<DemandHistory>,
}

/// What has been seen of one organisation.
#[derive(Default)]
pub(super) struct Seen {
    epoch: i64,
    persons: HashMap<Vec<u8>, SeenPerson>,
    verbs: HashMap<Vec<u8>, i64>,
    contents: HashMap<Vec<u8>, SeenContent>,
    by_key: HashMap<i64, Vec<u8>>,
}

/// A digest, and what it stands for.
struct Mention<'r> {
    person: (Vec<u8>, PersonRef),
    verb: Vec<u8>,
    object: Option<(Vec<u8>, &'r Activity)>,
    content: Option<(Vec<u8>, &'r Activity)>,
}

impl Seen {
    /// Forgets what another replica may have changed.
    pub(super) fn refresh(&mut self, epoch: i64) {
        let size = self.persons.len() + self.verbs.len() + self.contents.len();
        if self.epoch != epoch || size > REMEMBERED {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// Says under which number the memory is true after a commit of ours.
    pub(super) fn at_epoch(&mut self, epoch: i64) {
        self.epoch = epoch;
    }

    /// The content with that key, which a record of this batch named.
    pub(super) fn content(&self, key: i64) -> Option<&SeenContent> {
        self.contents.get(self.by_key.get(&key)?)
    }

    /// Finds or makes everything that the records name, and lets them say their names and titles.
    pub(super) async fn absorb(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        records: &[Sealed],
    ) -> Result<Vec<Named>, StoreError> {
        let mentions: Vec<Mention<'_>> =
            records.iter().map(|record| mention(record, platform)).collect();
        self.find_persons(tx, &mentions).await?;
        self.find_verbs(tx, &mentions, records).await?;
        self.find_contents(tx, platform.home_page, &mentions).await?;
        for (place, (mention, record)) in mentions.iter().zip(records).enumerate() {
            let earlier = || mentions.iter().zip(records).take(place);
            let named = earlier().filter(|(other, _)| other.person.0 == mention.person.0).map(|(_, r)| r);
            self.hear_name(tx, mention, record, &named.collect::<Vec<_>>()).await?;
            let same = |other: &Mention<'_>| other.content.as_ref().map(|c| &c.0) == mention.content.as_ref().map(|c| &c.0);
            let defined = earlier().filter(|(other, _)| same(other)).map(|(_, r)| r);
            self.hear_definition(tx, platform, mention, record, &defined.collect::<Vec<_>>()).await?;
        }
        mentions.iter().map(|mention| self.named(mention)).collect()
    }

    fn named(&self, mention: &Mention<'_>) -> Result<Named, StoreError> {
        let lost = || StoreError::Query("a record names what was not found");
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
        let unknown = unknown(mentions.iter().map(|m| &m.person.0), |d| self.persons.contains_key(d));
        if unknown.is_empty() {
            return Ok(());
        }
        let select = Sql::new(
            "SELECT digest, key, user_key, name, named_at, named_by, contested FROM persons \
             WHERE org = $1 AND digest IN LIST($2)",
        );
        for row in tx.fetch_all(select.with(tx.org).with(unknown)).await? {
            let name = Said { value: row.get(3)?, at: read_stamp(&row, 4)?, tracked: row.get(6)? };
            let owned = row.get::<Option<i64>>(2)?.is_some();
            self.persons.insert(row.get(0)?, SeenPerson { key: row.get(1)?, owned, name });
        }
        let mut made = Vec::new();
        for mention in mentions {
            let (digest, person) = &mention.person;
            if !self.persons.contains_key(digest) {
                let key = tx.next_key();
                made.push(tx.person_row(key, PersonId::of(person)?, None, None, None, false));
                let name = Said { value: None, at: None, tracked: false };
                self.persons.insert(digest.clone(), SeenPerson { key, owned: false, name });
            }
        }
        tx.insert("persons", &PERSON_COLUMNS, made).await
    }

    async fn find_verbs(
        &mut self,
        tx: &mut OrgTx,
        mentions: &[Mention<'_>],
        records: &[Sealed],
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
        tx.insert("verbs", &["org", "key", "digest", "iri", "display"], made).await
    }

    async fn find_contents(
        &mut self,
        tx: &mut OrgTx,
        home_page: &str,
        mentions: &[Mention<'_>],
    ) -> Result<(), StoreError> {
        let all = || mentions.iter().flat_map(|m| m.object.iter().chain(&m.content));
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
        let keys = rows.iter().map(|row| row.get(1)).collect::<Result<Vec<i64>, _>>()?;
        let mut histories = demand_histories(tx, keys).await?;
        for row in rows {
            let digest: Vec<u8> = row.get(0)?;
            let key = row.get(1)?;
            let (kind, content_type) = (type_from(row.get(5)?), kind_from(row.get(6)?));
            let at = read_stamp(&row, 7)?;
            let value = at.map(|_| Ok::<_, StoreError>(Definition { title: row.get(4)?, kind, content_type }));
            let content = SeenContent {
                key,
                registered: row.get(2)?,
                listed: row.get(3)?,
                definition: Said { value: value.transpose()?, at, tracked: row.get(9)? },
                kind,
                content_type,
                demands: Arc::new(histories.remove(&key).unwrap_or_default()),
            };
            self.by_key.insert(key, digest.clone());
            self.contents.insert(digest, content);
        }
        Ok(())
    }

    fn make_content(
        &mut self,
        tx: &mut OrgTx,
        digest_of_iri: &[u8],
        iri: &str,
        id: String,
    ) -> Vec<Value> {
        let key = tx.next_key();
        let content = SeenContent {
            key,
            registered: false,
            listed: false,
            definition: Said { value: None, at: None, tracked: false },
            kind: None,
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

    async fn hear_name(
        &mut self,
        tx: &mut OrgTx,
        mention: &Mention<'_>,
        record: &Sealed,
        earlier: &[&Sealed],
    ) -> Result<(), StoreError> {
        let Some(person) = self.persons.get_mut(&mention.person.0).filter(|person| !person.owned) else {
            return Ok(());
        };
        if record.voided && !person.name.tracked {
            make_sure_of_name(tx, person, earlier).await?;
        }
        let Some(name) = &record.statement.actor.name else { return Ok(()) };
        if person.name.disputes(name) {
            person.name.at = kept_stamp(tx, "SELECT named_at, named_by FROM persons", person.key).await?;
        }
        let mut heard = person.name.hear(name, record.stamp());
        if matches!(heard, Heard::Unsure) {
            make_sure_of_name(tx, person, earlier).await?;
            heard = person.name.hear(name, record.stamp());
        }
        let Heard::Moved { value_changed } = heard else { return Ok(()) };
        if value_changed && person.name.tracked {
            tx.forget();
        }
        write_name(tx, person).await
    }

    async fn hear_definition(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        mention: &Mention<'_>,
        record: &Sealed,
        earlier: &[&Sealed],
    ) -> Result<(), StoreError> {
        let Some((digest, activity)) = &mention.content else { return Ok(()) };
        let Some(content) = self.contents.get_mut(digest).filter(|content| !content.registered) else {
            return Ok(());
        };
        if record.voided && !content.definition.tracked {
            make_sure_of_definition(tx, platform, content, earlier).await?;
        }
        let said = Definition::of(activity).filter(|_| record.envelope.defines);
        let Some(said) = said else { return Ok(()) };
        if content.definition.disputes(&said) {
            content.definition.at =
                kept_stamp(tx, "SELECT defined_at, defined_by FROM contents", content.key).await?;
        }
        let mut heard = content.definition.hear(&said, record.stamp());
        if matches!(heard, Heard::Unsure) {
            make_sure_of_definition(tx, platform, content, earlier).await?;
            heard = content.definition.hear(&said, record.stamp());
        }
        let Heard::Moved { value_changed } = heard else { return Ok(()) };
        write_definition(tx, content).await?;
        if value_changed && content.definition.tracked {
            tx.forget();
        }
        let before = (content.kind, content.content_type);
        if value_changed && before != (said.kind, said.content_type) {
            (content.kind, content.content_type) = (said.kind, said.content_type);
            tx.reproject(content.key).await?;
        }
        Ok(())
    }

    /// Before a record leaves the log its words must be accounted for: they still count.
    pub(super) async fn make_sure(&mut self, tx: &mut OrgTx, platform: &Platform<'_>, record: &Sealed) -> Result<(), StoreError> {
        let mention = mention(record, platform);
        let mentions = [mention];
        self.find_persons(tx, &mentions).await?;
        self.find_contents(tx, platform.home_page, &mentions).await?;
        let [mention] = &mentions;
        if let Some(person) = self.persons.get_mut(&mention.person.0).filter(|p| !p.owned && !p.name.tracked) {
            make_sure_of_name(tx, person, &[]).await?;
        }
        if let Some((digest, _)) = &mention.content
            && let Some(content) =
                self.contents.get_mut(digest).filter(|c| !c.registered && !c.definition.tracked)
        {
            make_sure_of_definition(tx, platform, content, &[]).await?;
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
    let Some(id) = ContentDraft::id_of_default_iri(iri, home_page) else { return Ok(iri.to_owned()) };
    let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND id_digest = $2");
    let taken = tx.fetch_optional(select.with(tx.org).with(digest(id.as_str()))).await?.is_some();
    Ok(if taken { iri.to_owned() } else { id.into() })
}

fn mention<'r>(record: &'r Sealed, platform: &Platform<'_>) -> Mention<'r> {
    let statement = &record.statement;
    let person = person_of(statement);
    let object = match &statement.object {
        Object::Activity(activity) => Some((digest(activity.id.as_str()), activity)),
        _ => None,
    };
    let content = platform.content_of(statement).map(|activity| (digest(activity.id.as_str()), activity));
    let display = statement.verb.display.pick_english_first().unwrap_or_default();
    let verb = digest(&format!("{}\n{display}", statement.verb.id.as_str()));
    Mention { person: (digest_of_person(&person), person), verb, object, content }
}

fn unknown<'d>(digests: impl Iterator<Item = &'d Vec<u8>>, known: impl Fn(&Vec<u8>) -> bool) -> Vec<Vec<u8>> {
    let mut unknown: Vec<Vec<u8>> = digests.filter(|digest| !known(digest)).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

fn read_stamp(row: &Row, column: usize) -> Result<Option<Stamp>, StoreError> {
    let at: i64 = row.get(column)?;
    let by: Uuid = row.get(column + 1)?;
    Ok((at != i64::MIN).then_some((Timestamp::from_micros(at), StatementId(by))))
}

async fn make_sure_of_name(
    tx: &mut OrgTx,
    person: &mut SeenPerson,
    earlier: &[&Sealed],
) -> Result<(), StoreError> {
    if let Some(current) = person.name.value.clone() {
        let says = |record: &Sealed| record.statement.actor.name.as_ref() == Some(&current);
        let kept = latest(tx, "person", person.key, says).await?;
        person.name.at = kept.max(latest_of(earlier, says)).max(person.name.at);
    }
    person.name.tracked = true;
    tx.forget();
    write_name(tx, person).await
}

async fn make_sure_of_definition(
    tx: &mut OrgTx,
    platform: &Platform<'_>,
    content: &mut SeenContent,
    earlier: &[&Sealed],
) -> Result<(), StoreError> {
    if let Some(current) = content.definition.value.clone() {
        let says = |record: &Sealed| {
            let content = platform.content_of(&record.statement);
            record.envelope.defines && content.and_then(Definition::of).as_ref() == Some(&current)
        };
        let kept = latest(tx, "content", content.key, says).await?;
        content.definition.at = kept.max(latest_of(earlier, says)).max(content.definition.at);
    }
    content.definition.tracked = true;
    tx.forget();
    write_definition(tx, content).await
}

/// The latest of the batch's earlier records, which are not in the log yet.
fn latest_of(earlier: &[&Sealed], says: impl Fn(&Sealed) -> bool) -> Option<Stamp> {
    earlier.iter().filter(|record| says(record)).map(|record| record.stamp()).max()
}

/// The latest row of the log, of that person or content, whose record says what is asked for.
async fn latest(
    tx: &mut OrgTx,
    column: &str,
    key: i64,
    says: impl Fn(&Sealed) -> bool,
) -> Result<Option<Stamp>, StoreError> {
    let mut before = (i64::MAX, i64::MAX);
    let mut found: Option<Stamp> = None;
    loop {
        let select = Sql::new(&format!(
            "SELECT a.happened_at, a.seq, s.id, s.stored, s.envelope, s.body FROM activities a \
             JOIN statements s ON s.org = a.org AND s.seq = a.seq \
             WHERE a.org = $1 AND a.{column} = $2 AND (a.happened_at, a.seq) < ($3, $4) \
             ORDER BY a.happened_at DESC, a.seq DESC LIMIT $5"
        ));
        let select = select.with(tx.org).with(key).with(before.0).with(before.1).with(SCAN);
        let rows = tx.fetch_all(select).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        before = (last.get(0)?, last.get(1)?);
        for row in &rows {
            let record = read_sealed(row)?;
            // Of several at one time the greatest id counts, so all of that time are looked at.
            if found.is_some_and(|(at, _)| record.stamp().0 < at) {
                return Ok(found);
            }
            if says(&record) {
                found = found.max(Some(record.stamp()));
            }
        }
    }
}

fn read_sealed(row: &Row) -> Result<Sealed, StoreError> {
    Ok(Sealed {
        seq: row.get(1)?,
        id: StatementId(row.get(2)?),
        stored: Timestamp::from_micros(row.get(3)?),
        envelope: Arc::new(read_envelope(&row.get::<String>(4)?)?),
        statement: Arc::new(read_statement(&row.get::<Vec<u8>>(5)?)?),
        voided: false,
    })
}

async fn kept_stamp(tx: &mut OrgTx, columns: &str, key: i64) -> Result<Option<Stamp>, StoreError> {
    let select = Sql::new(&format!("{columns} WHERE org = $1 AND key = $2")).with(tx.org).with(key);
    match tx.fetch_optional(select).await? {
        Some(row) => read_stamp(&row, 0),
        None => Ok(None),
    }
}

async fn write_name(tx: &mut OrgTx, person: &SeenPerson) -> Result<(), StoreError> {
    let (at, by) = stamp_columns(person.name.at);
    let update = Sql::new(
        "UPDATE persons SET name = $3, named_at = $4, named_by = $5, contested = $6 \
         WHERE org = $1 AND key = $2 AND (named_at, named_by) <= ($4, $5)",
    );
    let update = update.with(tx.org).with(person.key).with(person.name.value.clone());
    tx.execute(update.with(at).with(by).with(person.name.tracked)).await?;
    Ok(())
}

async fn write_definition(tx: &mut OrgTx, content: &SeenContent) -> Result<(), StoreError> {
    let (at, by) = stamp_columns(content.definition.at);
    let said = content.definition.value.as_ref();
    let title = said.and_then(|said| said.title.clone());
    let update = Sql::new(
        "UPDATE contents SET title = $3, title_folded = $4, type = $5, content_type = $6, \
         defined_at = $7, defined_by = $8, contested = $9 \
         WHERE org = $1 AND key = $2 AND (defined_at, defined_by) <= ($7, $8)",
    );
    let update = update
        .with(tx.org)
        .with(content.key)
        .with(title.clone())
        .with(fold(title.as_deref().unwrap_or_default()))
        .with(said.and_then(|said| said.kind).map(ContentType::code))
        .with(said.and_then(|said| said.content_type).map(ContentKind::code))
        .with(at)
        .with(by)
        .with(content.definition.tracked);
    tx.execute(update).await?;
    Ok(())
}
