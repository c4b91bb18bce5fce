//! The definitions of Activities: for each content, the definitions in all records, merged in the order of recording
//! (xAPI 1.0.3, Communication 2.5).
//!
//! Most records repeat a definition that changes nothing. The digests of such texts are cached for each Activity. While
//! records give only these, no definition is read, parsed or written.
//!
//! # Several replicas
//!
//! The cache must not be older than the stored definitions. Otherwise a text that records of another replica have
//! overwritten would count as known, although it changes the definition again. These rules prevent that:
//!
//! - A definition changes only in a transaction that writes records, and in a rebuild, which invalidates all caches.
//! - The records of an organisation are numbered in the order of commit. If the numbers of a batch follow the last batch
//!   that was merged here, no other replica has written records in between.
//! - Otherwise each definition that the batch concerns is read again, under the lock of the ledger. If its digest is
//!   unchanged, the cached texts are still valid, since a merge depends on the two texts alone.
//!
//! So a single replica reads no definition that it has cached. One of several replicas reads at most one row for each
//! Activity in a batch.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use crate::record::definition::merge;

use crate::store::db::StoreError;
use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::stored_statement::StoredStatement;

/// The maximum number of cached Activities. Beyond it the cache is emptied.
const MAX_ACTIVITIES: usize = 50_000;
/// The maximum number of cached texts of an Activity. Several senders may define it alternately.
const MAX_TEXTS: usize = 4;
/// The number of definitions that are read at a time. A definition has up to a mebibyte.
const READ_AT_ONCE: usize = 100;

type Fingerprint = [u8; 32];

/// The cached definitions of one organisation.
#[derive(Default)]
pub(crate) struct Definitions {
    activities: HashMap<i64, CachedDefinition>,
    /// The number of the last merged record.
    through: i64,
    /// Incremented when another replica has written records in between.
    generation: u64,
    target: Target,
}

/// Where the definitions are stored.
#[derive(Clone, Copy, Default)]
enum Target {
    /// In `contents`.
    #[default]
    Contents,
    /// In `rebuilt_definitions`. Contents up to this key have their rebuilt definition already, and are merged by the
    /// writers.
    Rebuilt { replaced_through: i64 },
}

/// The cached facts about the definition of an Activity.
#[derive(Default)]
struct CachedDefinition {
    /// The generation in which the stored definition was last read or written.
    generation: u64,
    /// The digest of the stored definition.
    stored: Option<Fingerprint>,
    /// The digests of texts that change nothing in it, the most recent last.
    included: Vec<Fingerprint>,
}

/// A definition in a record.
struct GivenDefinition<'s> {
    text: &'s str,
    fingerprint: Fingerprint,
}

table_row! {
    struct RebuiltDefinition in "rebuilt_definitions" {
        org: i64 = "org",
        content: i64 = "content",
        definition: String = "definition",
    }
}

impl Definitions {
    /// An empty cache that merges into the table of rebuilt definitions.
    pub(crate) fn for_rebuild() -> Self {
        Self {
            target: Target::Rebuilt { replaced_through: 0 },
            ..Self::default()
        }
    }

    /// An empty cache with the same target.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            target: self.target,
            ..Self::default()
        }
    }

    /// The number of cached Activities.
    pub(crate) fn len(&self) -> usize {
        self.activities.len()
    }

    /// Merges the definitions in a batch of records: keys of existing contents with texts, in the order of recording.
    /// Within a record, the definition of its object comes first, then those of [`crate::record::Statement::mentions`].
    ///
    /// It must be called for each batch, also for one without definitions, because it follows the numbers of records.
    pub(crate) async fn merge_batch(
        &mut self,
        tx: &mut OrgTx,
        records: &[StoredStatement],
        given: &[(i64, &str)],
    ) -> Result<(), StoreError> {
        self.follow(records);
        let uncertain: Vec<(i64, Vec<GivenDefinition<'_>>)> =
            self.find_uncertain(given).into_iter().collect();
        for contents in uncertain.chunks(READ_AT_ONCE) {
            self.merge_contents(tx, contents).await?;
        }
        Ok(())
    }

    /// Finds out whether another replica has written records since the last batch.
    fn follow(&mut self, records: &[StoredStatement]) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        if self.activities.len() > MAX_ACTIVITIES {
            self.activities.clear();
        }
        if first.seq != self.through + 1 {
            self.generation += 1;
        }
        self.through = last.seq;
    }

    /// The contents that may get a new definition, in the order of their keys, with all that the batch gives for them.
    fn find_uncertain<'s>(&self, given: &[(i64, &'s str)]) -> BTreeMap<i64, Vec<GivenDefinition<'s>>> {
        let mut all: BTreeMap<i64, Vec<GivenDefinition<'s>>> = BTreeMap::new();
        for (content, text) in given {
            if let Target::Rebuilt { replaced_through } = self.target
                && *content <= replaced_through
            {
                continue;
            }
            let fingerprint = fingerprint(text);
            all.entry(*content)
                .or_default()
                .push(GivenDefinition { text, fingerprint });
        }
        all.retain(|content, given| match self.activities.get(content) {
            Some(cached) if cached.generation == self.generation => given
                .iter()
                .any(|one| !cached.included.contains(&one.fingerprint)),
            _ => true,
        });
        all
    }

    /// Reads the stored definitions of these contents, merges the given ones, and writes those that changed.
    async fn merge_contents(
        &mut self,
        tx: &mut OrgTx,
        contents: &[(i64, Vec<GivenDefinition<'_>>)],
    ) -> Result<(), StoreError> {
        let keys: Vec<i64> = contents.iter().map(|(content, _)| *content).collect();
        let mut stored = self.target.fetch(tx, keys).await?;
        for (content, given) in contents {
            let stored = stored.remove(content).flatten();
            let is_new = stored.is_none();
            let cached = self.activities.entry(*content).or_default();
            cached.generation = self.generation;
            cached.set_stored(stored.as_deref());
            if let Some(merged) = cached.merge(stored, given) {
                self.target.write(tx, *content, merged, is_new).await?;
            }
        }
        Ok(())
    }

    /// Begins to replace definitions: deletes what an earlier rebuild left behind, up to `limit` rows. Returns whether
    /// more are left.
    pub(crate) async fn delete_rebuilt(tx: &mut OrgTx, limit: i64) -> Result<bool, StoreError> {
        let delete = Sql::new(
            "DELETE FROM rebuilt_definitions WHERE org = $1 AND content IN \
             (SELECT d.content FROM rebuilt_definitions d WHERE d.org = $1 ORDER BY d.content LIMIT $2)",
        );
        let deleted = tx.execute(delete.with(tx.org).with(limit)).await?;
        Ok(i64::try_from(deleted).is_ok_and(|deleted| deleted >= limit))
    }

    /// Replaces the definitions of the next `limit` contents by the rebuilt ones. All records must be merged. Returns the
    /// last key; `None` after the last content.
    pub(crate) async fn replace_next(
        &mut self,
        tx: &mut OrgTx,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        let Target::Rebuilt { replaced_through } = self.target else {
            return Ok(None);
        };
        let select = Sql::new(
            "SELECT c.key, c.definition, d.definition FROM contents c \
             LEFT JOIN rebuilt_definitions d ON d.org = c.org AND d.content = c.key \
             WHERE c.org = $1 AND c.key > $2 ORDER BY c.key LIMIT $3",
        );
        let select = select.with(tx.org).with(replaced_through).with(limit);
        let rows: Vec<(i64, Option<String>, Option<String>)> = tx.fetch_rows(select).await?;
        let Some((last, ..)) = rows.last() else {
            return Ok(None);
        };
        let last = *last;
        for (key, stored, rebuilt) in rows {
            if stored != rebuilt {
                let update = Sql::new("UPDATE contents SET definition = $3 WHERE org = $1 AND key = $2");
                tx.execute(update.with(tx.org).with(key).with(rebuilt)).await?;
            }
        }
        let delete =
            Sql::new("DELETE FROM rebuilt_definitions WHERE org = $1 AND content > $2 AND content <= $3");
        tx.execute(delete.with(tx.org).with(replaced_through).with(last))
            .await?;
        self.target = Target::Rebuilt {
            replaced_through: last,
        };
        Ok(Some(last))
    }

    /// Leaves all further contents to the writers. They are newer than the rebuild, so the writers have merged all
    /// definitions of them.
    pub(crate) async fn end_replacing(&mut self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let Target::Rebuilt { replaced_through } = self.target else {
            return Ok(());
        };
        let delete = Sql::new("DELETE FROM rebuilt_definitions WHERE org = $1 AND content > $2");
        tx.execute(delete.with(tx.org).with(replaced_through)).await?;
        self.target = Target::Rebuilt {
            replaced_through: i64::MAX,
        };
        Ok(())
    }
}

impl Target {
    /// The stored definitions of these contents.
    async fn fetch(self, tx: &mut OrgTx, keys: Vec<i64>) -> Result<HashMap<i64, Option<String>>, StoreError> {
        let select = match self {
            Self::Contents => "SELECT key, definition FROM contents WHERE org = $1 AND key IN LIST($2)",
            Self::Rebuilt { .. } => {
                "SELECT content, definition FROM rebuilt_definitions WHERE org = $1 AND content IN LIST($2)"
            }
        };
        let rows = tx.fetch_rows(Sql::new(select).with(tx.org).with(keys)).await?;
        Ok(rows.into_iter().collect())
    }

    async fn write(
        self,
        tx: &mut OrgTx,
        content: i64,
        definition: String,
        is_new: bool,
    ) -> Result<(), StoreError> {
        let update = match self {
            Self::Rebuilt { .. } if is_new => {
                let row = RebuiltDefinition {
                    org: tx.org,
                    content,
                    definition,
                };
                return tx.insert_rows(vec![row]).await;
            }
            Self::Rebuilt { .. } => {
                "UPDATE rebuilt_definitions SET definition = $3 WHERE org = $1 AND content = $2"
            }
            Self::Contents => "UPDATE contents SET definition = $3 WHERE org = $1 AND key = $2",
        };
        let update = Sql::new(update).with(tx.org).with(content).with(definition);
        if tx.execute(update).await? == 0 {
            return Err(StoreError::Invariant("a defined content does not exist"));
        }
        Ok(())
    }
}

impl CachedDefinition {
    /// Notes the stored definition. The cached texts of another definition are not valid any more.
    fn set_stored(&mut self, stored: Option<&str>) {
        let stored = stored.map(fingerprint);
        if self.stored != stored {
            (self.stored, self.included) = (stored, Vec::new());
        }
    }

    /// Merges the given definitions into the stored one. Returns the result if it is different.
    fn merge(&mut self, mut stored: Option<String>, given: &[GivenDefinition<'_>]) -> Option<String> {
        let mut changed = false;
        for one in given {
            if self.included.contains(&one.fingerprint) {
                continue;
            }
            if let Some(merged) = merge(stored.as_deref(), one.text) {
                self.set_stored(Some(&merged));
                stored = Some(merged);
                changed = true;
            }
            if self.included.len() >= MAX_TEXTS {
                self.included.remove(0);
            }
            self.included.push(one.fingerprint);
        }
        stored.filter(|_| changed)
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests;
