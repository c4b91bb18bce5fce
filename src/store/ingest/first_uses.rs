//! The persons and contents that a rebuild has come across.
//!
//! A rebuild deletes the name of a person and the title of a content when the first record uses them, and then takes
//! names and titles from the records again. What no record uses is reset at the end.

use uuid::Uuid;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

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

/// What a rebuild has come across, and what is new in the current batch.
#[derive(Default)]
pub(crate) struct FirstUses {
    /// Persons that are actors.
    persons: KeySet,
    /// Contents of activities.
    contents: KeySet,
    new_persons: Vec<i64>,
    new_contents: Vec<i64>,
}

impl FirstUses {
    pub(crate) fn begin_batch(&mut self) {
        self.new_persons.clear();
        self.new_contents.clear();
    }

    /// Notes an actor. Returns true at its first use.
    pub(crate) fn insert_person(&mut self, key: i64) -> bool {
        let is_new = self.persons.insert(key);
        if is_new {
            self.new_persons.push(key);
        }
        is_new
    }

    /// Notes a content. Returns true at its first use.
    pub(crate) fn insert_content(&mut self, key: i64) -> bool {
        let is_new = self.contents.insert(key);
        if is_new {
            self.new_contents.push(key);
        }
        is_new
    }

    /// Whether the current batch is the first that uses this content.
    pub(crate) fn is_new_content(&self, key: i64) -> bool {
        self.new_contents.contains(&key)
    }

    /// Deletes the names and titles of what the current batch uses first.
    pub(crate) async fn reset_batch(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        reset_persons(tx, self.new_persons.clone()).await?;
        reset_contents(tx, self.new_contents.clone(), true).await
    }

    /// Resets the persons among the next `limit` after `after` that no record has as its actor. Returns the last key
    /// looked at; `None` after the last person.
    pub(crate) async fn reset_unused_persons(
        &self,
        tx: &mut OrgTx,
        after: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        let select = Sql::new("SELECT key FROM persons WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3");
        let keys = fetch_keys(tx, select.with(tx.org).with(after).with(limit)).await?;
        let last = keys.last().copied();
        let unused = keys.into_iter().filter(|key| !self.persons.contains(*key));
        reset_persons(tx, unused.collect()).await?;
        Ok(last)
    }

    /// Resets the contents among the next `limit` after `after` that no activity has. Returns the last key looked at;
    /// `None` after the last content.
    pub(crate) async fn reset_unused_contents(
        &self,
        tx: &mut OrgTx,
        after: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3");
        let keys = fetch_keys(tx, select.with(tx.org).with(after).with(limit)).await?;
        let last = keys.last().copied();
        let unused = keys.into_iter().filter(|key| !self.contents.contains(*key));
        reset_contents(tx, unused.collect(), false).await?;
        Ok(last)
    }
}

async fn fetch_keys(tx: &mut OrgTx, select: Sql) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(i64,)> = tx.fetch_rows(select).await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

async fn reset_persons(tx: &mut OrgTx, keys: Vec<i64>) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let update = Sql::new(
        "UPDATE persons SET name = NULL, named_at = $3, named_by = $4, tracked = $5 \
         WHERE org = $1 AND key IN LIST($2) AND (name IS NOT NULL OR tracked)",
    );
    let update = update.with(tx.org).with(keys).with(i64::MIN);
    tx.execute(update.with(Uuid::nil()).with(false)).await?;
    Ok(())
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
