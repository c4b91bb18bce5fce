//! Replays the projection from the records: the log, the names of people whom nobody claims, and the
//! contents that nobody registered come out as they were (product text, section 1: *projection*).

use std::collections::HashSet;

use uuid::Uuid;

use crate::base::ids::OrgId;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::insert_activities;
use crate::store::ingest::identifier_cache::{IdentifierCache, ResolvedRecords};
use crate::store::ingest::stored_statement::{Platform, StoredStatement};

/// Records replayed at a time: memory stays flat.
const CHUNK: i64 = 1_000;

impl Store {
    /// Every organisation there is, by id.
    pub async fn organisations(&self) -> Result<Vec<OrgId>, StoreError> {
        let rows = self
            .db()
            .fetch_all(Sql::new("SELECT id FROM organisations ORDER BY id"))
            .await?;
        rows.iter()
            .map(|row| {
                OrgId::new(row.get::<String>(0)?).map_err(|e| StoreError::corrupt("organisation id", e))
            })
            .collect()
    }

    /// Replays the organisation's records and answers how many there were. All in one transaction: readers
    /// see the old log until the new one is there, writers wait. What an older release didn't keep beside a record
    /// is completed.
    pub async fn rebuild(&self, organisation: &OrgId) -> Result<u64, StoreError> {
        let mut tx = self.write(organisation).await?;
        for text in [
            "DELETE FROM activities WHERE org = $1",
            "DELETE FROM mentions WHERE org = $1",
            "DELETE FROM statement_references WHERE org = $1",
            "DELETE FROM reference_mentions WHERE org = $1",
            "UPDATE persons SET name = NULL, named_at = $2, named_by = $3, contested = $4 WHERE org = $1",
            "UPDATE contents SET title = NULL, title_folded = '', type = NULL, content_type = NULL, \
             defined_at = $2, defined_by = $3, contested = $4, listed = $4 WHERE org = $1 AND NOT registered",
            "UPDATE contents SET definition = NULL WHERE org = $1",
            "UPDATE contents SET reprojecting = $4 WHERE org = $1 AND reprojecting",
        ] {
            let sql = Sql::new(text).with(tx.org);
            let sql = if text.contains("$4") {
                sql.with(i64::MIN).with(Uuid::nil()).with(false)
            } else {
                sql
            };
            tx.execute(sql).await?;
        }
        let home_page = tx.organisation().await?.account_home_page;
        let platform = Platform {
            verbs: self.verbs(),
            home_page: &home_page,
        };
        let mut seen = IdentifierCache::default();
        seen.set_epoch(tx.epoch());
        let mut sessions = HashSet::new();
        let (mut after, mut replayed) = (0_i64, 0);
        loop {
            let select = Sql::new(&format!(
                "SELECT {} FROM statements s WHERE s.org = $1 AND s.seq > $2 ORDER BY s.seq LIMIT $3",
                StoredStatement::COLUMNS
            ));
            let rows = tx.fetch_all(select.with(tx.org).with(after).with(CHUNK)).await?;
            let records = rows
                .iter()
                .map(StoredStatement::read)
                .collect::<Result<Vec<_>, _>>()?;
            let Some(last) = records.last() else { break };
            after = last.seq;
            let ResolvedRecords { named, mentioned } = seen.resolve(&mut tx, &platform, &records).await?;
            tx.insert_mentions(mentioned).await?;
            let linked = records.iter().filter(|record| record.refers_to().is_some());
            let linked = linked.map(|record| record.seq).collect();
            tx.write_references(&mut seen, &platform, linked).await?;
            sessions.extend(insert_activities(&mut tx, &seen, &records, &named).await?);
            replayed += records.len() as u64;
        }
        tx.update_sessions(&sessions.into_iter().collect::<Vec<_>>())
            .await?;
        tx.invalidate_caches();
        tx.commit().await?;
        Ok(replayed)
    }
}
