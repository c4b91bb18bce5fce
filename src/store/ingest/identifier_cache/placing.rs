//! Placing records again after an Activity became better known (`docs/specification.md#content`).
//!
//! The content of a question can be one of several Activities in `grouping`: the best known one. An Activity becomes better
//! known when it is first the object of a record, and when it is registered. The records that mention it are then placed
//! again, at once if they are few, otherwise in the background.

use std::collections::BTreeSet;

use crate::log::ContentFacts;

use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::activity_rows::ActivityRow;
use crate::store::ingest::rebuilt_names::reset_contents;
use crate::store::ingest::record_names::RecordNames;
use crate::store::ingest::reprojection::{CHUNK_ROWS, MAX_AT_ONCE};
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};

use super::IdentifierCache;

columns! {
    /// The columns of a row that placing does not change, and its content.
    struct PlacedColumns {
        person: i64 = "a.person",
        verb: i64 = "a.verb",
        object: i64 = "s.object",
        content: i64 = "a.content",
    }
}

/// A record of the log with its row's keys.
struct PlacedRecord {
    record: StoredStatement,
    keys: PlacedColumns,
}

impl OrgTx {
    /// Places the records that mention the contents again, at once or in the background.
    pub(crate) async fn place_again(&mut self, contents: &[i64]) -> Result<(), StoreError> {
        let mut cache = IdentifierCache::default();
        for content in contents {
            cache.place_mentions(self, *content).await?;
        }
        Ok(())
    }

    /// Places the next records that mention the content again. `after` is the number of the last record before. Returns the
    /// number of the last one; `None` if no records were left.
    pub(crate) async fn place_chunk(&mut self, content: i64, after: i64) -> Result<Option<i64>, StoreError> {
        IdentifierCache::default().place_next(self, content, after).await
    }
}

impl IdentifierCache {
    /// Places the records that mention the content again, at once or in the background.
    pub(crate) async fn place_mentions(&mut self, tx: &mut OrgTx, content: i64) -> Result<(), StoreError> {
        let select = Sql::new("SELECT seq FROM mentions WHERE org = $1 AND thing = $2 LIMIT $3");
        let select = select.with(tx.org).with(content).with(MAX_AT_ONCE as i64 + 1);
        if tx.fetch_all(select).await?.len() > MAX_AT_ONCE {
            return tx.mark_for_reprojection(content).await;
        }
        let mut after = Some(0);
        while let Some(last) = after {
            after = self.place_next(tx, content, last).await?;
        }
        Ok(())
    }

    async fn place_next(
        &mut self,
        tx: &mut OrgTx,
        content: i64,
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        let select = Sql::new(
            "SELECT seq FROM mentions WHERE org = $1 AND thing = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        );
        let select = select.with(tx.org).with(content).with(after).with(CHUNK_ROWS);
        let rows: Vec<(i64,)> = tx.fetch_rows(select).await?;
        let seqs: Vec<i64> = rows.into_iter().map(|(seq,)| seq).collect();
        let last = seqs.last().copied();
        if !seqs.is_empty() {
            let placed = fetch_placed_above(tx, seqs).await?;
            self.move_records(tx, placed).await?;
        }
        Ok(last)
    }

    /// Moves the rows of the records whose content is another one now.
    async fn move_records(&mut self, tx: &mut OrgTx, placed: Vec<PlacedRecord>) -> Result<(), StoreError> {
        let home_page = self.home_page(tx).await?;
        let store = tx.store().clone();
        let platform = Platform {
            verbs: store.verbs(),
            home_page: &home_page,
        };
        let names = placed
            .iter()
            .map(|placed| RecordNames::new(&placed.record, &platform));
        let mut names: Vec<RecordNames<'_>> = names.collect();
        self.find_contents(tx, &home_page, &names).await?;
        self.choose_contents(&mut names);
        let (mut seqs, mut rows, mut moved, mut left) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        for (names, placed) in names.iter().zip(&placed) {
            let Some(content) = names.content().and_then(|(digest, _)| self.contents.get(digest)) else {
                continue;
            };
            if content.key == placed.keys.content {
                continue;
            }
            let named = Named {
                actor: placed.keys.person,
                verb: placed.keys.verb,
                object: Some(placed.keys.object),
                content: Some(content.key),
            };
            let facts = ContentFacts {
                learning_type: content.learning_type,
                content_type: content.content_type,
                demands: content.demands.at(placed.record.happened_at()),
                is_above_object: named.is_above_object(),
            };
            seqs.push(placed.record.seq);
            rows.push(ActivityRow::new(
                store.verbs(),
                tx.org,
                &placed.record,
                named,
                Some(&facts),
            ));
            moved.push((names, &placed.record));
            left.insert(placed.keys.content);
        }
        if seqs.is_empty() {
            return Ok(());
        }
        tx.replace_activities(seqs, rows).await?;
        self.observe_moved(tx, &platform, &moved).await?;
        unlist_unused(tx, left).await
    }

    /// Takes title and type of the new contents from the moved records.
    async fn observe_moved(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        moved: &[(&RecordNames<'_>, &StoredStatement)],
    ) -> Result<(), StoreError> {
        for (names, record) in moved {
            let Some((digest, activity)) = names.content() else {
                continue;
            };
            let Some(content) = self.contents.get_mut(digest) else {
                continue;
            };
            if content.observe(tx, platform, activity, record, &Vec::new).await? {
                tx.reproject(content.key).await?;
            }
        }
        Ok(())
    }
}

/// The records among these that are placed above their object.
async fn fetch_placed_above(tx: &mut OrgTx, seqs: Vec<i64>) -> Result<Vec<PlacedRecord>, StoreError> {
    let select = Sql::new(&format!(
        "SELECT {}, {} FROM activities a JOIN statements s ON s.org = a.org AND s.seq = a.seq \
         WHERE a.org = $1 AND a.seq IN LIST($2) AND a.content <> s.object ORDER BY a.seq",
        StoredStatement::COLUMNS,
        PlacedColumns::COLUMNS
    ));
    let rows = tx.fetch_all(select.with(tx.org).with(seqs)).await?;
    let mut placed = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(record) = StoredStatement::read_or_skip(row)? {
            let keys = PlacedColumns::read_from(row, StoredStatement::COLUMN_COUNT)?;
            placed.push(PlacedRecord { record, keys });
        }
    }
    Ok(placed)
}

/// Takes the contents without any row out of the catalogue, unless they are known for another reason.
async fn unlist_unused(tx: &mut OrgTx, contents: BTreeSet<i64>) -> Result<(), StoreError> {
    let select = Sql::new(
        "SELECT c.key FROM contents c WHERE c.org = $1 AND c.key IN LIST($2) AND NOT c.registered AND NOT c.recorded \
         AND NOT EXISTS (SELECT 1 FROM activities a WHERE a.org = $1 AND a.content = c.key)",
    );
    let contents: Vec<i64> = contents.into_iter().collect();
    let rows: Vec<(i64,)> = tx.fetch_rows(select.with(tx.org).with(contents)).await?;
    let unused: Vec<i64> = rows.into_iter().map(|(key,)| key).collect();
    if !unused.is_empty() {
        reset_contents(tx, unused, false).await?;
        tx.invalidate_caches();
    }
    Ok(())
}
