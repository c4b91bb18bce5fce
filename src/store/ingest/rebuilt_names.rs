//! The names of persons, and the titles and types of contents, that a rebuild takes from the records.
//!
//! A rebuild collects them in memory while it replays the records, and writes them at its end where they differ from the
//! stored ones. Until then everybody reads the stored ones. A rebuild sees every record, so it knows each stamp exactly
//! and reads none.

use std::collections::HashMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::Activity;

use crate::store::db::StoreError;
use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{FromRow, columns};
use crate::store::db::conversions::Readable;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::unreadable::{id_of, skip_unreadable};
use crate::store::ingest::latest_names::{CachedContent, CachedPerson, ContentKind, LatestName, to_stamp};
use crate::store::ingest::persons::stamp_columns;
use crate::store::ingest::stored_statement::{Platform, StoredStatement};

/// A set of keys. Keys are small numbers without large gaps, so a bit for each is enough.
#[derive(Default)]
pub(crate) struct KeySet {
    words: Vec<u64>,
}

impl KeySet {
    /// Inserts a key. Returns false if the set contains it already.
    pub(crate) fn insert(&mut self, key: i64) -> bool {
        let (word, bit) = position(key);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn contains(&self, key: i64) -> bool {
        let (word, bit) = position(key);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The next keys after `after`, at most `limit`, in ascending order.
    pub(crate) fn keys_after(&self, after: i64, limit: usize) -> Vec<i64> {
        let first = position(after).0 as i64;
        let keys = (first..self.words.len() as i64).flat_map(|word| (0..64).map(move |bit| word * 64 + bit));
        keys.filter(|key| *key > after && self.contains(*key))
            .take(limit)
            .collect()
    }
}

/// The word of a key and its bit there. Keys begin at 1.
fn position(key: i64) -> (usize, u64) {
    let key = u64::try_from(key).unwrap_or_default();
    ((key / 64) as usize, 1 << (key % 64))
}

/// What the replayed records say about persons and contents.
#[derive(Default)]
pub(crate) struct RebuiltNames {
    persons: HashMap<i64, RebuiltPerson>,
    contents: HashMap<i64, RebuiltContent>,
    /// The contents of activities.
    used_contents: KeySet,
}

/// The name of a person that no user owns.
struct RebuiltPerson {
    name: LatestName<String>,
    /// The end of the person's period, when the first record was replayed.
    end: Option<Timestamp>,
    /// Whether the period was divided while records were replayed.
    is_divided: bool,
}

/// The title and type of a content that is not registered.
struct RebuiltContent {
    title: LatestName<String>,
    kind: LatestName<ContentKind>,
}

impl RebuiltContent {
    const NOTHING: Self = Self {
        title: LatestName::NOTHING,
        kind: LatestName::NOTHING,
    };
}

columns! {
    /// The stored name of a person.
    struct NamedPerson {
        key: i64 = "key",
        valid_until: Option<Timestamp> = "valid_until",
        user_key: Option<i64> = "user_key",
        name: Option<String> = "name",
        named_at: Timestamp = "named_at",
        named_by: Uuid = "named_by",
        tracked: bool = "tracked",
    }
}

columns! {
    /// The stored title and type of a content.
    struct NamedContent {
        key: i64 = "key",
        registered: bool = "registered",
        listed: bool = "listed",
        title: Option<String> = "title",
        learning_type: Readable<LearningType> = "type",
        content_type: Readable<ContentFormat> = "content_type",
        defined_at: Timestamp = "defined_at",
        defined_by: Uuid = "defined_by",
        tracked: bool = "tracked",
        typed_at: Timestamp = "typed_at",
        typed_by: Uuid = "typed_by",
        type_tracked: bool = "type_tracked",
    }
}

impl RebuiltNames {
    /// Takes the name of the actor from a record.
    pub(crate) fn observe_person(&mut self, person: &CachedPerson, record: &StoredStatement) {
        // The directory decides the name of a user.
        if person.owned {
            return;
        }
        let rebuilt = self.persons.entry(person.key).or_insert(RebuiltPerson {
            name: LatestName::NOTHING,
            end: person.valid_until,
            is_divided: false,
        });
        rebuilt.is_divided |= rebuilt.end != person.valid_until;
        rebuilt.name.take_replayed(person.name_in(record), record);
    }

    /// Takes the title and type of the content from a record.
    pub(crate) fn observe_content(
        &mut self,
        content: &CachedContent,
        platform: &Platform<'_>,
        activity: &Activity,
        record: &StoredStatement,
    ) {
        self.used_contents.insert(content.key);
        // The catalogue decides the title and type of a registered content.
        if content.registered {
            return;
        }
        let rebuilt = self
            .contents
            .entry(content.key)
            .or_insert(RebuiltContent::NOTHING);
        let (title, kind) = CachedContent::named_in(platform, record, activity);
        rebuilt.title.take_replayed(title, record);
        rebuilt.kind.take_replayed(kind, record);
    }

    /// Writes the names of the next `limit` persons after `after`. All records must be replayed. Returns the last key;
    /// `None` after the last person.
    pub(crate) async fn replace_persons(
        &self,
        tx: &mut OrgTx,
        after: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        let select = format!("SELECT {} FROM persons", NamedPerson::COLUMNS);
        let (persons, last) = fetch_step::<NamedPerson>(tx, "person", &select, after, limit).await?;
        for person in persons {
            let rebuilt = self
                .persons
                .get(&person.key)
                .filter(|_| person.user_key.is_none());
            match (rebuilt, person.valid_until) {
                (Some(rebuilt), Some(end)) if rebuilt.is_divided || rebuilt.end != Some(end) => {
                    tx.rename_until(person.key, end).await?;
                }
                (Some(rebuilt), _) => person.replace(tx, &rebuilt.name).await?,
                (None, _) => person.replace(tx, &LatestName::NOTHING).await?,
            }
        }
        Ok(last)
    }

    /// Writes the titles and types of the next `limit` contents after `after`, and marks contents with another type to be
    /// projected again. All records must be replayed. Returns the last key; `None` after the last content.
    pub(crate) async fn replace_contents(
        &self,
        tx: &mut OrgTx,
        after: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        let select = format!("SELECT {} FROM contents", NamedContent::COLUMNS);
        let (contents, last) = fetch_step::<NamedContent>(tx, "content", &select, after, limit).await?;
        for content in contents.into_iter().filter(|content| !content.registered) {
            let is_used = self.used_contents.contains(content.key);
            let rebuilt = self
                .contents
                .get(&content.key)
                .unwrap_or(&RebuiltContent::NOTHING);
            content.replace(tx, rebuilt, is_used).await?;
        }
        Ok(last)
    }
}

/// The rows of a step, the next `limit` after the key `after`, that can be read, and the key of its last row. `select` reads
/// the columns of a table, the key first.
async fn fetch_step<T: FromRow>(
    tx: &mut OrgTx,
    kind: &'static str,
    select: &str,
    after: i64,
    limit: i64,
) -> Result<(Vec<T>, Option<i64>), StoreError> {
    let select = format!("{select} WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3");
    let select = Sql::new(&select).with(tx.org).with(after).with(limit);
    let rows = tx.fetch_all(select).await?;
    let last = rows.last().map(|row| row.get(0)).transpose()?;
    let readable = rows
        .iter()
        .filter_map(|row| skip_unreadable(kind, || id_of(row, 0), T::from_row(row)).transpose());
    Ok((readable.collect::<Result<_, _>>()?, last))
}

impl NamedPerson {
    /// Writes the rebuilt name if it differs.
    async fn replace(self, tx: &mut OrgTx, rebuilt: &LatestName<String>) -> Result<(), StoreError> {
        let stored = LatestName {
            value: self.name,
            at: to_stamp(self.named_at, self.named_by),
            tracked: self.tracked,
        };
        if stored.is_as_good_as(rebuilt) {
            return Ok(());
        }
        let (at, by) = stamp_columns(rebuilt.at);
        let update = Sql::new(
            "UPDATE persons SET name = $3, named_at = $4, named_by = $5, tracked = $6 WHERE org = $1 AND key = $2",
        );
        let update = update.with(tx.org).with(self.key).with(rebuilt.value.clone());
        tx.execute(update.with(at).with(by).with(rebuilt.tracked)).await?;
        Ok(())
    }
}

impl NamedContent {
    /// Writes the rebuilt title and type if they differ.
    async fn replace(
        self,
        tx: &mut OrgTx,
        rebuilt: &RebuiltContent,
        is_used: bool,
    ) -> Result<(), StoreError> {
        let title = LatestName {
            value: self.title,
            at: to_stamp(self.defined_at, self.defined_by),
            tracked: self.tracked,
        };
        let typed_at = to_stamp(self.typed_at, self.typed_by);
        let types = (self.learning_type.0, self.content_type.0);
        let (learning_type, content_type) = types;
        let kind = LatestName {
            value: typed_at.map(|_| ContentKind {
                learning_type,
                content_type,
            }),
            at: typed_at,
            tracked: self.type_tracked,
        };
        let is_same = title.is_as_good_as(&rebuilt.title) && kind.is_as_good_as(&rebuilt.kind);
        if is_same && self.listed == is_used {
            return Ok(());
        }
        let new_types = rebuilt
            .kind
            .value
            .map_or((None, None), |kind| (kind.learning_type, kind.content_type));
        let (defined_at, defined_by) = stamp_columns(rebuilt.title.at);
        let (typed_at, typed_by) = stamp_columns(rebuilt.kind.at);
        let title = rebuilt.title.value.clone();
        let update = Sql::new(
            "UPDATE contents SET title = $3, title_folded = $4, defined_at = $5, defined_by = $6, tracked = $7, \
             type = $8, content_type = $9, typed_at = $10, typed_by = $11, type_tracked = $12, listed = $13 \
             WHERE org = $1 AND key = $2",
        );
        let update = update
            .with(tx.org)
            .with(self.key)
            .with(title.clone())
            .with(fold(title.as_deref().unwrap_or_default()))
            .with(defined_at)
            .with(defined_by)
            .with(rebuilt.title.tracked)
            .with(new_types.0)
            .with(new_types.1)
            .with(typed_at)
            .with(typed_by)
            .with(rebuilt.kind.tracked)
            .with(is_used);
        tx.execute(update).await?;
        tx.note_resource(ResourceKind::Content, self.key);
        if types != new_types {
            tx.mark_for_reprojection(self.key).await?;
        }
        Ok(())
    }
}

/// Resets contents that are not registered.
pub(crate) async fn reset_contents(tx: &mut OrgTx, keys: Vec<i64>, listed: bool) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let update = Sql::new(
        "UPDATE contents SET title = NULL, title_folded = '', type = NULL, content_type = NULL, \
         defined_at = $3, defined_by = $4, tracked = $5, typed_at = $3, typed_by = $4, type_tracked = $5, \
         listed = $6 \
         WHERE org = $1 AND key IN LIST($2) AND NOT registered",
    );
    for content in &keys {
        tx.note_resource(ResourceKind::Content, *content);
    }
    let update = update.with(tx.org).with(keys).with(i64::MIN);
    tx.execute(update.with(Uuid::nil()).with(false).with(listed))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::KeySet;

    #[test]
    fn key_set_returns_its_keys_in_order() {
        let mut set = KeySet::default();
        for key in [200, 1, 64, 63, 65] {
            assert!(set.insert(key));
            assert!(!set.insert(key));
        }
        assert!(set.contains(64) && !set.contains(2) && !set.contains(100_000));
        assert_eq!(set.keys_after(0, 3), [1, 63, 64]);
        assert_eq!(set.keys_after(64, 10), [65, 200]);
        assert!(set.keys_after(200, 10).is_empty());
    }
}
