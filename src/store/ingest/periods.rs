//! Dividing a period of an identifier: what happened from the moment on moves to a person of its own.
//!
//! The activities and statements move at once if they are few, otherwise in the background. Until then they stay with
//! the earlier person, so each record has one person at any time. New records find the right person immediately.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::marked_work::{MarkedKeys, MarkedWork};
use crate::store::ingest::persons::{FIRST_PERIOD, NewPerson};
use crate::store::ingest::stored_statement::StoredStatement;

/// The maximum number of activities that move at once.
pub(crate) const MAX_AT_ONCE: usize = 1_000;
/// The number of activities in a transaction of the background, so that writers wait for a short time only.
const CHUNK_ROWS: usize = 500;

/// A period that is divided.
pub(crate) struct PeriodSplit {
    /// The person of the period, which keeps the time before the moment.
    pub(crate) divided: i64,
    /// Whether a user owns that person.
    pub(crate) is_owned: bool,
    /// The person from the moment on. The moment is its `valid_from`.
    pub(crate) new: NewPerson,
}

impl OrgTx {
    /// Divides periods, and moves up to `limit` activities at once.
    pub(crate) async fn split_periods(
        &mut self,
        splits: Vec<PeriodSplit>,
        mut limit: usize,
    ) -> Result<(), StoreError> {
        if splits.is_empty() {
            return Ok(());
        }
        let mut persons = Vec::with_capacity(2 * splits.len());
        for split in splits {
            persons.extend([split.divided, split.new.key]);
            let moment = split.new.valid_from;
            let update = Sql::new(
                "UPDATE persons SET valid_until = $3, given_up_at = NULL WHERE org = $1 AND key = $2",
            );
            self.execute(update.with(self.org).with(split.divided).with(moment))
                .await?;
            self.insert_rows(vec![split.new]).await?;
            if !split.is_owned {
                self.rename_until(split.divided, moment).await?;
            }
            let moved = self.move_activities(split.divided, limit).await?;
            if moved == limit {
                self.set_moving(split.divided, true).await?;
                self.wake_background();
            }
            limit -= moved;
        }
        self.update_sessions(&persons).await?;
        self.invalidate_caches();
        self.directory_changed();
        Ok(())
    }

    /// Moves up to `limit` records of a person that happened after the end of its period to the persons of the later
    /// periods. Returns the number of activities; fewer than `limit` if no more are left.
    async fn move_activities(&mut self, person: i64, limit: usize) -> Result<usize, StoreError> {
        let later = self.find_later_periods(person).await?;
        let Some((_, end)) = later.first().copied() else {
            return Ok(0);
        };
        let select = select_activities(self.org, person, end, limit);
        let mut records: Vec<(i64, Timestamp)> = self.fetch_rows(select).await?;
        let moved = records.len();
        if moved < limit {
            let voided = self.find_voided(person).await?;
            records.extend(voided.iter().map(|record| (record.seq, record.happened_at())));
        }
        let mut by_person: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (seq, happened_at) in records {
            let period = later.iter().rev().find(|(_, begin)| *begin <= happened_at);
            if let Some((person, _)) = period {
                by_person.entry(*person).or_default().push(seq);
            }
        }
        for (person, seqs) in by_person {
            self.set_person(person, seqs.clone()).await?;
            self.set_actor(person, seqs).await?;
        }
        Ok(moved)
    }

    /// Makes a person the subject of activities.
    async fn set_person(&mut self, person: i64, seqs: Vec<i64>) -> Result<(), StoreError> {
        self.mark_next_completions(seqs.clone()).await?;
        let newest = self.find_newest_completions(seqs.clone()).await?;
        let update = Sql::new(
            "UPDATE activities SET person = $2, latest = (seq IN LIST($4)) WHERE org = $1 AND seq IN LIST($3)",
        );
        let update = update.with(self.org).with(person).with(seqs);
        self.update_activities(update.with(newest.clone())).await?;
        self.unmark_older_completions(newest).await
    }

    /// The newest completion of each content among these rows.
    async fn find_newest_completions(&mut self, seqs: Vec<i64>) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT content, happened_at, seq FROM activities \
             WHERE org = $1 AND seq IN LIST($2) AND completed AND content IS NOT NULL",
        );
        let rows: Vec<(i64, Timestamp, i64)> = self.fetch_rows(select.with(self.org).with(seqs)).await?;
        let mut newest: HashMap<i64, (Timestamp, i64)> = HashMap::new();
        for (content, happened_at, seq) in rows {
            let row = newest.entry(content).or_insert((happened_at, seq));
            *row = (happened_at, seq).max(*row);
        }
        Ok(newest.into_values().map(|(_, seq)| seq).collect())
    }

    /// Makes a person the actor of statements, also where others refer to them.
    pub(crate) async fn set_actor(&mut self, person: i64, seqs: Vec<i64>) -> Result<(), StoreError> {
        for (table, seq) in [("statements", "seq"), ("statement_references", "target")] {
            let update = Sql::new(&format!(
                "UPDATE {table} SET actor = $2 WHERE org = $1 AND {seq} IN LIST($3) AND actor <> $2"
            ));
            self.execute(update.with(self.org).with(person).with(seqs.clone()))
                .await?;
        }
        Ok(())
    }

    /// The later periods of the person's identifier, the earliest first: the person and the begin of each.
    async fn find_later_periods(&mut self, person: i64) -> Result<Vec<(i64, Timestamp)>, StoreError> {
        let select = Sql::new(
            "SELECT l.key, l.valid_from FROM persons p \
             JOIN persons l ON l.org = p.org AND l.digest = p.digest AND l.valid_from > p.valid_from \
             WHERE p.org = $1 AND p.key = $2 ORDER BY l.valid_from",
        );
        self.fetch_rows(select.with(self.org).with(person)).await
    }

    /// The voided statements of a person. They have no activity.
    pub(crate) async fn find_voided(&mut self, person: i64) -> Result<Vec<StoredStatement>, StoreError> {
        let rows = self.fetch_all(select_voided(self.org, person)).await?;
        StoredStatement::read_all(&rows)
    }

    async fn set_moving(&mut self, person: i64, moving: bool) -> Result<(), StoreError> {
        let update = Sql::new("UPDATE persons SET moving = $3 WHERE org = $1 AND key = $2");
        self.execute(update.with(self.org).with(person).with(moving))
            .await?;
        Ok(())
    }

    /// Moves the next activities of a marked person. Returns whether more are left.
    async fn move_chunk(&mut self, person: i64) -> Result<bool, StoreError> {
        let moved = self.move_activities(person, CHUNK_ROWS).await?;
        let later = self.find_later_periods(person).await?;
        let mut persons = vec![person];
        persons.extend(later.into_iter().map(|(person, _)| person));
        self.update_sessions(&persons).await?;
        if moved < CHUNK_ROWS {
            self.set_moving(person, false).await?;
        }
        Ok(moved == CHUNK_ROWS)
    }
}

/// The query for the activities of a person from `moment` on, the earliest first.
fn select_activities(org: i64, person: i64, moment: Timestamp, limit: usize) -> Sql {
    let select = Sql::new(
        "SELECT seq, happened_at FROM activities WHERE org = $1 AND person = $2 AND happened_at >= $3 \
         ORDER BY happened_at, seq LIMIT $4",
    );
    select.with(org).with(person).with(moment).with(limit as i64)
}

/// The query for the voided statements of a person.
fn select_voided(org: i64, person: i64) -> Sql {
    let select = Sql::new(&format!(
        "SELECT {} FROM statements s INDEXED BY statements_voided \
         WHERE s.org = $1 AND s.actor = $2 AND s.voided ORDER BY s.seq",
        StoredStatement::COLUMNS
    ));
    select.with(org).with(person)
}

impl Store {
    /// The database's plans for finding what a divided period gives away.
    pub async fn explain_division(&self, org: i64, person: i64) -> Result<Vec<Vec<String>>, StoreError> {
        let activities = select_activities(org, person, FIRST_PERIOD, CHUNK_ROWS);
        let voided = select_voided(org, person);
        Ok(vec![
            self.db().explain(activities).await?,
            self.db().explain(voided).await?,
        ])
    }
}

/// The persons of an organisation that have activities to give away.
pub(super) struct MovingPersons(MarkedKeys);

impl MarkedWork for MovingPersons {
    const NAME: &'static str = "moving activities";
    const MARKED: &'static str =
        "o.id, p.key FROM persons p JOIN organisations o ON o.key = p.org WHERE p.moving";

    fn new(marked: MarkedKeys) -> Self {
        Self(marked)
    }

    fn organisation(&self) -> &OrgId {
        &self.0.organisation
    }

    async fn do_next(&mut self, store: &Store, wait: Duration) -> Result<bool, StoreError> {
        let Some((mut tx, person)) = self.0.begin(store, wait).await? else {
            return Ok(false);
        };
        let more = tx.move_chunk(person).await?;
        self.0.commit(tx, more).await
    }
}
