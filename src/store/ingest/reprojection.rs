//! Projecting rows again after the type or the demands of their content changed
//! (`docs/specification.md#demands-over-time`): at once if they are few, otherwise in the background.
//!
//! The background also places the records that mention the content again, because the content may have become better
//! known.

use std::time::Duration;

use crate::base::ids::OrgId;
use crate::catalogue::{ContentFormat, DemandHistory, LearningType};
use crate::log::ContentFacts;

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::columns;
use crate::store::db::conversions::Readable;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::ActivityRow;
use crate::store::ingest::demands::demand_histories;
use crate::store::ingest::marked_work::{MarkedKeys, MarkedWork};
use crate::store::ingest::periods::MovingPersons;
use crate::store::ingest::stored_statement::{Named, StoredStatement};
use crate::store::ingest::transfers::TransferredPersons;

/// The maximum number of rows that are projected again at once.
pub(crate) const MAX_AT_ONCE: usize = 1_000;
/// The number of rows in a transaction of the background, so that writers wait for a short time only.
pub(crate) const CHUNK_ROWS: i64 = 500;
/// When the background looks for contents that other replicas have marked.
const IDLE_PAUSE: Duration = Duration::from_secs(60);
/// When the background tries again after it skipped an organisation.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What the projection of a content's rows depends on.
#[derive(Clone, PartialEq)]
struct Facts {
    learning_type: Option<LearningType>,
    content_type: Option<ContentFormat>,
    demands: DemandHistory,
}

/// The position of a row in the order of the content's index: `happened_at` and `seq`.
type Position = (i64, i64);

/// Before the first row.
const START: Position = (i64::MIN, i64::MIN);

columns! {
    /// The columns of a row that are not projected.
    struct FixedColumns {
        happened_at: i64 = "a.happened_at",
        person: i64 = "a.person",
        verb: i64 = "a.verb",
        object: Option<i64> = "s.object",
    }
}

impl OrgTx {
    /// Projects the content's rows again, at once or in the background. Called when its type or demands changed.
    pub(crate) async fn reproject(&mut self, content: i64) -> Result<(), StoreError> {
        let select = Sql::new("SELECT seq FROM activities WHERE org = $1 AND content = $2 LIMIT $3");
        let select = select.with(self.org).with(content).with(MAX_AT_ONCE as i64 + 1);
        if self.fetch_all(select).await?.len() > MAX_AT_ONCE {
            return self.mark_for_reprojection(content).await;
        }
        let facts = self.fetch_facts(content).await?;
        let mut position = Some(START);
        while let Some(after) = position {
            position = self.reproject_chunk(content, &facts, after).await?;
        }
        Ok(())
    }

    /// Marks a content for the background.
    pub(crate) async fn mark_for_reprojection(&mut self, content: i64) -> Result<(), StoreError> {
        self.wake_background();
        self.set_reprojecting(content, true).await
    }

    async fn set_reprojecting(&mut self, content: i64, reprojecting: bool) -> Result<(), StoreError> {
        let update = Sql::new("UPDATE contents SET reprojecting = $3 WHERE org = $1 AND key = $2");
        self.execute(update.with(self.org).with(content).with(reprojecting))
            .await?;
        self.note_resource(ResourceKind::Content, content);
        Ok(())
    }

    async fn fetch_facts(&mut self, content: i64) -> Result<Facts, StoreError> {
        let select = Sql::new("SELECT type, content_type FROM contents WHERE org = $1 AND key = $2");
        let row = self.fetch_row(select.with(self.org).with(content)).await?;
        let (Readable(learning_type), Readable(content_type)) =
            row.ok_or(StoreError::Invariant("a content to project again does not exist"))?;
        let mut histories = demand_histories(self, vec![content]).await?;
        Ok(Facts {
            learning_type,
            content_type,
            demands: histories.remove(&content).unwrap_or_default(),
        })
    }

    /// Projects the next rows again. Returns the position of the last one; `None` if no rows were left.
    async fn reproject_chunk(
        &mut self,
        content: i64,
        facts: &Facts,
        after: Position,
    ) -> Result<Option<Position>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {}, {} FROM activities a JOIN statements s ON s.org = a.org AND s.seq = a.seq \
             WHERE a.org = $1 AND a.content = $2 AND (a.happened_at, a.seq) > ($3, $4) \
             ORDER BY a.happened_at, a.seq LIMIT $5",
            StoredStatement::COLUMNS,
            FixedColumns::COLUMNS
        ));
        let select = select
            .with(self.org)
            .with(content)
            .with(after.0)
            .with(after.1)
            .with(CHUNK_ROWS);
        let rows = self.fetch_all(select).await?;
        let store = self.store().clone();
        let (mut seqs, mut projected, mut last) = (Vec::new(), Vec::new(), None);
        for row in &rows {
            let fixed = FixedColumns::read_from(row, StoredStatement::COLUMN_COUNT);
            let Some(fixed) = skip_unreadable("activity", || name_of(row), fixed)? else {
                continue;
            };
            last = Some((fixed.happened_at, row.get(StoredStatement::SEQ)?));
            let Some(record) = StoredStatement::read_or_skip(row)? else {
                continue;
            };
            let named = Named {
                actor: fixed.person,
                verb: fixed.verb,
                object: fixed.object,
                content: Some(content),
            };
            let facts = ContentFacts {
                learning_type: facts.learning_type,
                content_type: facts.content_type,
                demands: facts.demands.at(record.happened_at()),
                is_above_object: named.is_above_object(),
            };
            seqs.push(record.seq);
            projected.push(ActivityRow::new(
                store.verbs(),
                self.org,
                &record,
                named,
                Some(&facts),
            ));
        }
        // Rows with a content are no session events, so no visit changes.
        if !seqs.is_empty() {
            self.replace_activities(seqs, projected).await?;
        }
        Ok(last)
    }
}

/// The marked contents of an organisation.
pub(super) struct MarkedContents {
    marked: MarkedKeys,
    /// The last record that mentions the content in progress and was placed again; `None` after all of them.
    placed_through: Option<i64>,
    position: Position,
    /// The facts with which the rows up to the position were projected.
    facts: Option<Facts>,
}

impl Store {
    /// Projects the rows of marked contents again, moves the activities of marked persons, and announces the activities of
    /// transferred persons, in short transactions. Any number of replicas may do this at once, since each transaction locks the ledger.
    ///
    /// It runs until it is dropped. After a restart, a content is begun anew.
    pub async fn reproject_in_background(&self) {
        loop {
            let reprojected = self.work_in_turns::<MarkedContents>().await;
            let moved = self.work_in_turns::<MovingPersons>().await;
            let announced = self.work_in_turns::<TransferredPersons>().await;
            let pause = match reprojected.and_then(|skipped| Ok(skipped | moved? | announced?)) {
                Ok(false) => IDLE_PAUSE,
                Ok(true) => RETRY_PAUSE,
                Err(error) => {
                    tracing::error!(%error, "correcting the log failed; it will be tried again");
                    IDLE_PAUSE
                }
            };
            let _ = tokio::time::timeout(pause, self.reprojection().notified()).await; // both end the pause
        }
    }
}

impl MarkedWork for MarkedContents {
    const NAME: &'static str = "projecting rows again";
    const MARKED: &'static str =
        "o.id, c.key FROM contents c JOIN organisations o ON o.key = c.org WHERE c.reprojecting";

    fn new(marked: MarkedKeys) -> Self {
        Self {
            marked,
            placed_through: Some(0),
            position: START,
            facts: None,
        }
    }

    fn organisation(&self) -> &OrgId {
        &self.marked.organisation
    }

    async fn do_next(&mut self, store: &Store, wait: Duration) -> Result<bool, StoreError> {
        let Some((mut tx, content)) = self.marked.begin(store, wait).await? else {
            return Ok(false);
        };
        if let Some(after) = self.placed_through {
            let last = tx.place_chunk(content, after).await?;
            tx.commit().await?;
            self.placed_through = last;
            return Ok(true);
        }
        let facts = tx.fetch_facts(content).await?;
        if self.facts.as_ref().is_some_and(|before| *before != facts) {
            // The content has changed again in the meantime.
            self.position = START;
        }
        let last = tx.reproject_chunk(content, &facts, self.position).await?;
        if last.is_none() {
            tx.set_reprojecting(content, false).await?;
        }
        let is_left = self.marked.commit(tx, last.is_some()).await?;
        match last {
            Some(last) => (self.position, self.facts) = (last, Some(facts)),
            None => {
                (self.position, self.facts) = (START, None);
                self.placed_through = Some(0);
            }
        }
        Ok(is_left)
    }
}
