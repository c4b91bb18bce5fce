//! The contents that records name: their keys, and which of several Activities is the content of a record.

use std::sync::Arc;

use crate::catalogue::content::ContentDraft;
use crate::log::placement::Familiarity;

use crate::store::db::changes::ResourceKind;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{StoreError, digest};
use crate::store::ingest::demands::demand_histories;
use crate::store::ingest::latest_names::{CachedContent, ContentKind, LatestName, to_stamp};
use crate::store::ingest::persons::stamp_columns;
use crate::store::ingest::record_names::RecordNames;

use super::rows::{ContentRow, NewContent};
use super::{IdentifierCache, find_unknown};

impl IdentifierCache {
    /// Finds the keys of all Activities that the records name. Creates those that do not exist.
    pub(super) async fn find_contents(
        &mut self,
        tx: &mut OrgTx,
        home_page: &str,
        names: &[RecordNames<'_>],
    ) -> Result<(), StoreError> {
        self.new_contents.clear();
        let all = || names.iter().flat_map(RecordNames::all_activities);
        let unknown = find_unknown(all().map(|(digest, _)| digest), |digest| {
            self.contents.contains_key(digest)
        });
        if !unknown.is_empty() {
            self.load_contents(tx, unknown).await?;
            let mut created = Vec::new();
            for (digest, activity) in all() {
                if !self.contents.contains_key(digest) {
                    let iri = activity.id.as_str();
                    let id = choose_content_id(tx, iri, home_page).await?;
                    created.push(self.create_content(tx, digest, iri, id));
                }
            }
            tx.insert_rows(created).await?;
        }
        Ok(())
    }

    /// Marks the objects of the records as recorded. Returns those that existed before.
    pub(super) async fn mark_recorded(
        &mut self,
        tx: &mut OrgTx,
        names: &[RecordNames<'_>],
    ) -> Result<Vec<i64>, StoreError> {
        let mut marked = Vec::new();
        for digest in names.iter().filter_map(RecordNames::recorded_object) {
            if let Some(content) = self.contents.get_mut(digest).filter(|content| !content.recorded) {
                content.recorded = true;
                marked.push(content.key);
            }
        }
        if marked.is_empty() {
            return Ok(marked);
        }
        let update = Sql::new("UPDATE contents SET recorded = $2 WHERE org = $1 AND key IN LIST($3)");
        tx.execute(update.with(tx.org).with(true).with(marked.clone()))
            .await?;
        marked.retain(|key| !self.new_contents.contains(key));
        if !marked.is_empty() {
            tx.invalidate_caches();
        }
        Ok(marked)
    }

    /// Chooses the content of each record among its candidates, which have been looked up.
    pub(super) fn choose_contents(&self, names: &mut [RecordNames<'_>]) {
        let familiarity = |digest: &Vec<u8>| match self.contents.get(digest) {
            Some(content) if content.registered => Familiarity::Registered,
            Some(content) if content.recorded => Familiarity::Recorded,
            _ => Familiarity::Mentioned,
        };
        for names in names {
            names.choose_content(familiarity);
        }
    }

    /// Lists the contents of the records in the catalogue.
    pub(super) async fn list_contents(
        &mut self,
        tx: &mut OrgTx,
        names: &[RecordNames<'_>],
    ) -> Result<(), StoreError> {
        let mut listed = Vec::new();
        for (digest, _) in names.iter().filter_map(RecordNames::content) {
            if let Some(content) = self.contents.get_mut(digest).filter(|content| !content.listed) {
                content.listed = true;
                listed.push(content.key);
            }
        }
        for content in &listed {
            tx.note_resource(ResourceKind::Content, *content);
        }
        if !listed.is_empty() {
            let update = Sql::new("UPDATE contents SET listed = $2 WHERE org = $1 AND key IN LIST($3)");
            tx.execute(update.with(tx.org).with(true).with(listed)).await?;
        }
        Ok(())
    }

    async fn load_contents(&mut self, tx: &mut OrgTx, digests: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM contents WHERE org = $1 AND digest IN LIST($2)",
            ContentRow::COLUMNS
        ));
        let rows: Vec<ContentRow> = tx.fetch_rows(select.with(tx.org).with(digests)).await?;
        let keys = rows.iter().map(|row| row.key).collect();
        let mut histories = demand_histories(tx, keys).await?;
        for row in rows {
            let titled_at = to_stamp(row.defined_at, row.defined_by);
            let typed_at = to_stamp(row.typed_at, row.typed_by);
            let kind = ContentKind {
                learning_type: row.learning_type.0,
                content_type: row.content_type.0,
            };
            let content = CachedContent {
                key: row.key,
                registered: row.registered,
                listed: row.listed,
                recorded: row.recorded,
                defined: row.registered || row.has_definition || row.title.is_some() || typed_at.is_some(),
                title: LatestName {
                    value: row.title.filter(|_| titled_at.is_some()),
                    at: titled_at,
                    tracked: row.tracked,
                },
                kind: LatestName {
                    value: typed_at.map(|_| kind),
                    at: typed_at,
                    tracked: row.type_tracked,
                },
                learning_type: row.learning_type.0,
                content_type: row.content_type.0,
                demands: Arc::new(histories.remove(&row.key).unwrap_or_default()),
            };
            self.content_digests.insert(row.key, row.digest.clone());
            self.contents.insert(row.digest, content);
        }
        Ok(())
    }

    fn create_content(&mut self, tx: &mut OrgTx, digest_of_iri: &[u8], iri: &str, id: String) -> NewContent {
        let key = tx.next_key();
        self.new_contents.insert(key);
        let content = CachedContent {
            key,
            registered: false,
            listed: false,
            recorded: false,
            defined: false,
            title: LatestName::NOTHING,
            kind: LatestName::NOTHING,
            learning_type: None,
            content_type: None,
            demands: Arc::default(),
        };
        self.content_digests.insert(key, digest_of_iri.to_vec());
        self.contents.insert(digest_of_iri.to_vec(), content);
        let (defined_at, defined_by) = stamp_columns(None);
        NewContent {
            org: tx.org,
            key,
            digest: digest_of_iri.to_vec(),
            iri: iri.to_owned(),
            id_digest: digest(&id),
            id,
            registered: false,
            listed: false,
            recorded: false,
            title_folded: String::new(),
            tags: "[]".to_owned(),
            cpd_labels: "[]".to_owned(),
            demands: "{}".to_owned(),
            defined_at,
            defined_by,
            tracked: false,
            typed_at: defined_at,
            typed_by: defined_by,
            type_tracked: false,
            reprojecting: false,
        }
    }
}

/// The id of a content that is not registered. It is the IRI. But if Rollbook derived the IRI from an id, it is that id,
/// so that a client finds the content by the id that it sent.
async fn choose_content_id(tx: &mut OrgTx, iri: &str, home_page: &str) -> Result<String, StoreError> {
    let Some(id) = ContentDraft::id_of_default_iri(iri, home_page) else {
        return Ok(iri.to_owned());
    };
    let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND id_digest = $2");
    let select = select.with(tx.org).with(digest(id.as_str()));
    let is_taken = tx.fetch_optional(select).await?.is_some();
    Ok(if is_taken { iri.to_owned() } else { id.into() })
}
