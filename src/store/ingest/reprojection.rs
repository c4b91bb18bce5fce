//! Rows whose content changed what it is, or what it demanded: they are projected again from their records
//! (product text, section 6, rule 10). At once where they are few, in the background where they are many.

use crate::base::ids::OrgId;
use crate::catalogue::{ContentFormat, DemandHistory, LearningType};
use crate::log::ContentFacts;

use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::ActivityRow;
use crate::store::ingest::demands::{demand_histories, kind_from, type_from};
use crate::store::ingest::stored_statement::{Named, StoredStatement};

/// Rows that are projected again at once; more go to the background.
const AT_ONCE: usize = 1_000;
/// Rows that the background takes in one transaction, so that writers wait for it only shortly.
const CHUNK: i64 = 500;

/// A content as its rows are projected with it.
#[derive(Clone, PartialEq)]
struct Facts {
    learning_type: Option<LearningType>,
    content_type: Option<ContentFormat>,
    demands: DemandHistory,
}

/// The last row that was done, in the order of the content's index.
type Place = (i64, i64);

impl OrgTx {
    /// Projects the content's rows again: now, or in the background where they are many. Called whenever
    /// its type, content type or demands have changed.
    pub(crate) async fn reproject(&mut self, content: i64) -> Result<(), StoreError> {
        let select = Sql::new("SELECT seq FROM activities WHERE org = $1 AND content = $2 LIMIT $3");
        let select = select.with(self.org).with(content).with(AT_ONCE as i64 + 1);
        let many = self.fetch_all(select).await?.len() > AT_ONCE;
        if many {
            let mark = Sql::new("UPDATE contents SET reprojecting = $3 WHERE org = $1 AND key = $2");
            let mark = mark.with(self.org).with(content).with(true);
            self.execute(mark).await?;
            self.store().wake_reprojection();
            return Ok(());
        }
        let facts = self.facts(content).await?;
        let mut place = Some((i64::MIN, i64::MIN));
        while let Some(after) = place {
            place = self.reproject_chunk(content, &facts, after).await?;
        }
        Ok(())
    }

    async fn facts(&mut self, content: i64) -> Result<Facts, StoreError> {
        let select = Sql::new("SELECT type, content_type FROM contents WHERE org = $1 AND key = $2");
        let select = select.with(self.org).with(content);
        let row = self.fetch_optional(select).await?;
        let row = row.ok_or(StoreError::Invariant("a content that is not there"))?;
        let demands = demand_histories(self, vec![content])
            .await?
            .remove(&content)
            .unwrap_or_default();
        Ok(Facts {
            learning_type: type_from(row.get(0)?),
            content_type: kind_from(row.get(1)?),
            demands,
        })
    }

    /// Projects the next rows again and answers the last of them; `None` when there was none left.
    async fn reproject_chunk(
        &mut self,
        content: i64,
        facts: &Facts,
        after: Place,
    ) -> Result<Option<Place>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {}, a.person, a.verb, s.object, a.happened_at \
             FROM activities a JOIN statements s ON s.org = a.org AND s.seq = a.seq \
             WHERE a.org = $1 AND a.content = $2 AND (a.happened_at, a.seq) > ($3, $4) \
             ORDER BY a.happened_at, a.seq LIMIT $5",
            StoredStatement::COLUMNS
        ));
        let select = select
            .with(self.org)
            .with(content)
            .with(after.0)
            .with(after.1)
            .with(CHUNK);
        let rows = self.fetch_all(select).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last = (last.get(9)?, last.get(0)?);
        let store = self.store().clone();
        let (mut seqs, mut again) = (Vec::new(), Vec::new());
        for row in &rows {
            let record = StoredStatement::read(row)?;
            let named = Named {
                actor: row.get(6)?,
                verb: row.get(7)?,
                object: row.get(8)?,
                content: Some(content),
            };
            let facts = ContentFacts {
                learning_type: facts.learning_type,
                content_type: facts.content_type,
                demands: facts.demands.at(record.stamp().0),
            };
            seqs.push(record.seq);
            again.push(ActivityRow::new(
                store.verbs(),
                self.org,
                &record,
                named,
                Some(&facts),
            ));
        }
        // Rows with a content are never session events, so nobody's visits change.
        self.delete_activities(seqs).await?;
        self.insert_rows(again).await?;
        Ok(Some(last))
    }
}

impl Store {
    fn wake_reprojection(&self) {
        self.reprojection().notify_one();
    }

    /// Projects again, in small transactions, whatever is marked. Any number of replicas may do so at
    /// once: the work is the same and done under the organisation's ledger.
    ///
    /// Runs until it is dropped; a restart begins marked contents anew.
    pub async fn reproject_in_background(&self) {
        loop {
            if let Err(error) = self.reproject_marked().await {
                tracing::error!(%error, "projecting again failed; it is tried again");
            }
            let wait = std::time::Duration::from_secs(60);
            let _ = tokio::time::timeout(wait, self.reprojection().notified()).await; // or another replica's mark
        }
    }

    async fn reproject_marked(&self) -> Result<(), StoreError> {
        let select = Sql::new(
            "SELECT o.id, c.key FROM contents c JOIN organisations o ON o.key = c.org WHERE c.reprojecting",
        );
        for row in self.db().fetch_all(select).await? {
            let org: OrgId = read_id(&row, 0)?;
            self.reproject_content(&org, row.get(1)?).await?;
        }
        Ok(())
    }

    async fn reproject_content(&self, org: &OrgId, content: i64) -> Result<(), StoreError> {
        let mut began: Option<Facts> = None;
        let mut after = (i64::MIN, i64::MIN);
        loop {
            let mut tx = self.write(org).await?;
            let facts = tx.facts(content).await?;
            if began.as_ref().is_some_and(|began| *began != facts) {
                // It changed again meanwhile: from the start, with what it is now.
                after = (i64::MIN, i64::MIN);
            }
            match tx.reproject_chunk(content, &facts, after).await? {
                Some(last) => after = last,
                None => {
                    let done = Sql::new("UPDATE contents SET reprojecting = $3 WHERE org = $1 AND key = $2");
                    let done = done.with(tx.org).with(content).with(false);
                    tx.execute(done).await?;
                    return tx.commit().await;
                }
            }
            tx.commit().await?;
            began = Some(facts);
        }
    }
}
