//! Definitions of senders that may add what is missing, but change nothing (`docs/specification.md#who-may-define`).
//!
//! Such a definition counts if the Activity has no definition, no title and no type yet. It also counts for a content without
//! a title and a type if it repeats the definition that is there: records have named the content in their context before.
//! The decision is stored with the record, so a rebuild has the same result.

use std::collections::{HashMap, HashSet};

use crate::log::placement::title_of;
use crate::record::Activity;
use crate::record::definition::merge;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::latest_names::{CachedContent, ContentKind};
use crate::store::ingest::record_names::RecordNames;
use crate::store::ingest::stored_statement::StoredStatement;

use super::IdentifierCache;

/// The number of definitions that are read at a time. A definition has up to a mebibyte.
const READ_AT_ONCE: usize = 100;

/// The definitions with which the ones of a batch are compared, by the keys of their contents.
type Stored = HashMap<i64, String>;

impl IdentifierCache {
    /// Decides which definitions of the new records count.
    pub(super) async fn decide_definitions(
        &mut self,
        tx: &mut OrgTx,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) -> Result<(), StoreError> {
        let stored = self.fetch_stored_definitions(tx, names, records).await?;
        let mut in_batch: HashMap<i64, &str> = HashMap::new();
        for (names, record) in names.iter().zip(records) {
            let mut added = Vec::new();
            for (digest, activity) in names.all_activities() {
                let (Some(definition), Some(content)) = (&activity.definition, self.contents.get_mut(digest))
                else {
                    continue;
                };
                let text = definition.text.as_str();
                let repeats = || {
                    in_batch.get(&content.key).is_some_and(|first| *first == text)
                        || stored
                            .get(&content.key)
                            .is_some_and(|stored| merge(Some(stored), text).is_none())
                };
                let is_undecided = record.added_definitions.get().is_none();
                let counts = || !content.defined || names_untitled(names, digest, content) && repeats();
                if is_undecided && counts() {
                    added.push(activity.id.as_str().to_owned());
                    in_batch.entry(content.key).or_insert(text);
                    content.defined = true;
                } else if record.defines(activity) {
                    content.defined = true;
                }
            }
            // Decided already: a record of a sender that may change definitions or add none, or a stored record.
            let _ = record.added_definitions.set(added);
        }
        Ok(())
    }

    /// Reads what other replicas may have defined since it was cached, and the definitions that untitled contents have.
    async fn fetch_stored_definitions(
        &mut self,
        tx: &mut OrgTx,
        names: &[RecordNames<'_>],
        records: &[StoredStatement],
    ) -> Result<Stored, StoreError> {
        let (mut keys, mut stored) = (HashSet::new(), Stored::new());
        let undecided = names
            .iter()
            .zip(records)
            .filter(|(_, record)| record.added_definitions.get().is_none());
        for (names, _) in undecided {
            let defining = names
                .all_activities()
                .filter(|(_, activity)| activity.definition.is_some());
            for (digest, activity) in defining {
                let Some(content) = self.contents.get(digest) else {
                    continue;
                };
                let is_new = self.new_contents.contains(&content.key);
                let needs_title = names_untitled(names, digest, content) && has_title_or_type(activity);
                if !is_new && (!content.defined || needs_title) {
                    keys.insert(content.key);
                }
            }
        }
        let keys: Vec<i64> = keys.into_iter().collect();
        for keys in keys.chunks(READ_AT_ONCE) {
            let select = Sql::new(
                "SELECT key, definition FROM contents WHERE org = $1 AND key IN LIST($2) \
                 AND (registered OR definition IS NOT NULL OR title IS NOT NULL OR type IS NOT NULL \
                 OR content_type IS NOT NULL)",
            );
            let select = select.with(tx.org).with(keys.to_vec());
            let rows: Vec<(i64, Option<String>)> = tx.fetch_rows(select).await?;
            for (key, definition) in rows {
                let digest = self.content_digests.get(&key);
                if let Some(content) = digest.and_then(|digest| self.contents.get_mut(digest)) {
                    content.defined = true;
                }
                stored.extend(definition.map(|definition| (key, definition)));
            }
        }
        Ok(stored)
    }
}

/// Whether the Activity with this digest is the content of the record, and has no title and no type.
fn names_untitled(names: &RecordNames<'_>, digest: &[u8], content: &CachedContent) -> bool {
    let is_content = names.content().is_some_and(|(other, _)| other == digest);
    is_content && !content.registered && content.title.value.is_none() && content.kind.value.is_none()
}

fn has_title_or_type(activity: &Activity) -> bool {
    title_of(activity).is_some() || ContentKind::of_activity(activity).is_some()
}
