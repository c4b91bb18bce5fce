//! Reads what has changed in the log since the columns were read.
//!
//! Every new row has a number, and every later change of a row an entry with a number of the same counter, in the order
//! of the commits. So the rows with a greater number than the last one, and the entries with a greater number, are all
//! that is different. They are read in one snapshot together with the present number.
//!
//! If there are many, they are read in steps with a snapshot each. A step puts the rows into the columns as they are at its
//! moment, so between two steps the columns mix moments. A row that was read early and changed since then has a greater
//! number than its step, so a later step reads it again. After the last step, which leaves nothing out, all rows are as
//! they were at its moment.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::store::activity_log::log::select_rows;
use crate::store::db::column_cache::{CachedColumns, FollowedColumns, NO_SPACE_TIME};
use crate::store::db::columns::{FromRow as _, columns};
use crate::store::db::database::{Row, Sql};
use crate::store::db::{Store, StoreError};

use super::loading::{LedgerState, StoredColumns, Unusable, put_rows, select_after, select_ledger};

/// The number of rows, and of entries, of a step.
const ROWS_PER_STEP: i64 = 5_000;

columns! {
    /// A changed row.
    struct ChangedRow {
        number: i64 = "c.change",
        seq: i64 = "c.seq",
    }
}

/// What a step has read.
struct Step {
    ledger: LedgerState,
    recorded: Vec<Row>,
    changed: Vec<ChangedRow>,
    /// The changed rows that are in the log.
    present: Vec<Row>,
    /// All changes up to this number are in the step.
    through: i64,
    is_last: bool,
}

impl Store {
    /// Brings the columns to the present moment or a later one. Returns false if they cannot be used any more.
    pub(super) async fn follow(&self, org: i64, cached: &Arc<CachedColumns>) -> Result<bool, StoreError> {
        let arrived = Instant::now();
        let mut followed_at = cached.followed_at.lock().await;
        if followed_at.is_some_and(|began| began > arrived) {
            // Another request has read all changes while this one waited.
            return Ok(true);
        }
        let began = Instant::now();
        match self.follow_changes(org, cached).await {
            Ok(true) => {
                *followed_at = Some(began);
                Ok(true)
            }
            Ok(false) => {
                self.column_cache().drop_columns(org, cached);
                Ok(false)
            }
            Err(Unusable::NoSpace | Unusable::Unreadable) => {
                self.column_cache().refuse(org, NO_SPACE_TIME);
                Ok(false)
            }
            // The columns stay as they are. The next request continues from there.
            Err(Unusable::Failed(error)) => Err(error),
        }
    }

    /// Returns false if the columns belong to another state of the database.
    async fn follow_changes(&self, org: i64, cached: &CachedColumns) -> Result<bool, Unusable> {
        let (through, server, is_whole) = {
            let followed = cached.state.read().await;
            (followed.through, followed.server, followed.is_whole)
        };
        let Some(ledger) = self.fetch_ledger(org).await? else {
            return Ok(false);
        };
        let is_known = |ledger: LedgerState| ledger.server == server && ledger.seq >= through;
        if !is_known(ledger) {
            return Ok(false);
        }
        if ledger.seq == through && is_whole {
            return Ok(true);
        }
        let mut after = through;
        loop {
            let step = self.read_step(org, after).await?;
            if !step.as_ref().is_some_and(|step| is_known(step.ledger)) {
                return Ok(false);
            }
            let Some(step) = step else { return Ok(false) };
            let is_last = step.is_last;
            after = step.through;
            let mut followed = Arc::clone(&cached.state).write_owned().await;
            // Not on a thread of requests, which serves others.
            let applying = self
                .runtime()
                .spawn_blocking(move || apply(&mut followed, &step).map(|()| followed.columns.bytes()));
            let bytes = applying.await.map_err(|_| StoreError::Closed)??;
            if !self.column_cache().reserve_for(org, cached, bytes) {
                return Err(Unusable::NoSpace);
            }
            if is_last {
                return Ok(true);
            }
        }
    }

    /// Reads the next changes in one snapshot. `None` if the organisation has no ledger.
    async fn read_step(&self, org: i64, after: i64) -> Result<Option<Step>, StoreError> {
        let mut snapshot = self.db().snapshot().await?;
        let ledger = snapshot.fetch_all(select_ledger(self.db().engine(), org)).await?;
        let Some(ledger) = ledger.first().map(LedgerState::from_row).transpose()? else {
            return Ok(None);
        };
        let recorded = snapshot
            .fetch_all(select_after(org, after, ledger.seq, ROWS_PER_STEP))
            .await?;
        let changed = snapshot.fetch_all(select_changed(org, after)).await?;
        let changed: Result<Vec<ChangedRow>, StoreError> = changed.iter().map(ChangedRow::from_row).collect();
        let changed = changed?;
        let seqs: Vec<i64> = changed.iter().map(|change| change.seq).collect();
        let present = match seqs.is_empty() {
            true => Vec::new(),
            false => snapshot.fetch_all(select_present(org, seqs)).await?,
        };
        drop(snapshot);
        let is_full = |length: usize| length as i64 == ROWS_PER_STEP;
        let mut through = ledger.seq;
        if let Some(last) = recorded.last().filter(|_| is_full(recorded.len())) {
            through = through.min(last.get(0)?);
        }
        if let Some(last) = changed.last().filter(|_| is_full(changed.len())) {
            through = through.min(last.number);
        }
        Ok(Some(Step {
            is_last: !is_full(recorded.len()) && !is_full(changed.len()),
            ledger,
            recorded,
            changed,
            present,
            through,
        }))
    }
}

/// Puts the changes into the columns. Repeating a change is harmless.
fn apply(followed: &mut FollowedColumns, step: &Step) -> Result<(), Unusable> {
    let columns = &mut followed.columns;
    put_rows(columns, &step.recorded)?;
    put_rows(columns, &step.present)?;
    let mut present = HashSet::with_capacity(step.present.len());
    for row in &step.present {
        present.insert(row.get::<i64>(0)?);
    }
    for change in &step.changed {
        if !present.contains(&change.seq) {
            columns.remove(change.seq);
        }
    }
    followed.through = step.through;
    followed.is_whole = step.is_last;
    Ok(())
}

/// The query for the changes after the number.
fn select_changed(org: i64, after: i64) -> Sql {
    let columns = ChangedRow::COLUMNS;
    let select = Sql::new(&format!(
        "SELECT {columns} FROM activity_changes c WHERE c.org = $1 AND c.change > $2 ORDER BY c.change LIMIT $3"
    ));
    select.with(org).with(after).with(ROWS_PER_STEP)
}

/// The query for rows by their numbers.
fn select_present(org: i64, seqs: Vec<i64>) -> Sql {
    let mut select = select_rows(org, StoredColumns::COLUMNS);
    select
        .push(" INDEXED BY sqlite_autoindex_activities_1 WHERE a.org = $1 AND a.seq")
        .any_of(seqs);
    select
}

impl Store {
    /// The database's plans for reading the changes of an organisation and for loading its columns.
    pub async fn explain_counting(&self, org: i64) -> Result<Vec<Vec<String>>, StoreError> {
        let queries = [
            select_after(org, 0, i64::MAX, ROWS_PER_STEP),
            select_changed(org, 0),
            select_present(org, vec![1, 2, 3]),
        ];
        let mut plans = Vec::with_capacity(queries.len());
        for query in queries {
            plans.push(self.db().explain(query).await?);
        }
        Ok(plans)
    }
}
