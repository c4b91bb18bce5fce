//! Rebuilding an organisation's log from its records: the log, the names of persons without owner, the contents that are
//! not registered, and what filters of statements read (`docs/specification.md#rebuilding-the-log`).
//!
//! The records are replayed in short transactions with a pause after each, so writers wait for a short time only. Each
//! transaction replaces the rows of its records, so a reader sees each record as it was before or as it is after the
//! rebuild. What depends on many records stays as it is until all of them are replayed. It is completed at the end, in
//! transactions that first replay what was recorded meanwhile:
//!
//! - *Definitions* depend on the order of recording. They are merged in a separate table, and then replace the old ones.
//! - *Names, titles and types* are collected in memory, and then replace those that differ. Those without a use are
//!   deleted.
//! - *Visits* depend on all sessions of a user. A row that was a visit stays one until its sessions are updated.
//!
//! A rebuild that stops in the middle leaves a valid log, in which nothing has changed but the rows that it corrected.
//! Another rebuild deletes what is left in the separate table.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::base::ids::OrgId;
use crate::log::Action;

use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::{find_session_persons, project_records};
use crate::store::ingest::definitions::Definitions;
use crate::store::ingest::identifier_cache::{IdentifierCache, ResolvedRecords};
use crate::store::ingest::periods::MovingPersons;
use crate::store::ingest::rebuilt_names::KeySet;
use crate::store::ingest::reprojection::MarkedContents;
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};

/// The number of records in the first transaction. It is then adapted to [`TARGET_DURATION`].
const FIRST_CHUNK: i64 = 200;
/// The maximum number of records in a transaction.
const MAX_CHUNK: i64 = 2_000;
/// The minimum number of records in a transaction.
const MIN_CHUNK: i64 = 20;
/// The intended duration of a transaction.
const TARGET_DURATION: Duration = Duration::from_millis(200);
/// The number of persons, contents or definitions in the first transaction. It is then adapted in the same way, because
/// a person can have any number of sessions.
const FIRST_STEP: i64 = 20;
/// The maximum number of persons, contents or definitions in a transaction.
const MAX_STEP: i64 = 1_000;
/// How often a rebuild tries to get the lock of the ledger.
const LOCK_ATTEMPTS: u32 = 6;

/// The parts of a rebuild, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Deletes the definitions that an earlier rebuild has left behind.
    Clear,
    /// Replays the records.
    Replay,
    ReplaceDefinitions,
    /// Replaces the names of the persons after this key.
    ReplacePersons(i64),
    /// Replaces the titles and types of the contents after this key.
    ReplaceContents(i64),
    /// Updates the sessions of the persons after this key.
    UpdateSessions(i64),
    Finished,
}

/// A rebuild in progress.
struct Rebuild {
    /// Identifies this rebuild in the ledger.
    token: Uuid,
    cache: IdentifierCache,
    phase: Phase,
    /// The number of the last replayed record.
    replayed_through: i64,
    replayed: u64,
    /// The number of records in the next transaction.
    chunk: i64,
    /// The number of persons, contents or definitions in the next transaction.
    step: i64,
    /// The last key that was given before the first definition was replaced. Persons and contents with greater keys are
    /// new: writers have stored everything about them. Without this limit the parts at the end would never be complete
    /// while writers add persons and contents.
    last_key: i64,
    /// The persons with session events.
    session_persons: KeySet,
}

impl Store {
    /// Rebuilds the organisation's log and returns the number of records.
    ///
    /// # Errors
    ///
    /// The organisation stays locked by another writer, or another rebuild of it begins.
    pub async fn rebuild(&self, organisation: &OrgId) -> Result<u64, StoreError> {
        let mut rebuild = Rebuild::new(self.clock().new_uuid());
        let mut tx = self.lock_for_rebuild(organisation).await?;
        rebuild.set_token(&mut tx, Some(rebuild.token)).await?;
        tx.commit().await?;
        while rebuild.phase != Phase::Finished {
            let mut tx = self.lock_for_rebuild(organisation).await?;
            let begin = Instant::now();
            rebuild.check_token(&mut tx).await?;
            rebuild.run_transaction(&mut tx).await?;
            // Writers cache names and definitions that may have changed, and so does this rebuild after the replay.
            tx.invalidate_caches();
            if rebuild.phase == Phase::Replay {
                rebuild.cache.set_version(tx.cache_version());
            }
            tx.commit().await?;
            rebuild.adapt_size(begin.elapsed());
            self.let_writers_in().await;
        }
        self.finish_work::<MovingPersons>(organisation).await?;
        self.finish_work::<MarkedContents>(organisation).await?;
        Ok(rebuild.replayed)
    }

    async fn lock_for_rebuild(&self, organisation: &OrgId) -> Result<OrgTx, StoreError> {
        let mut attempt = 1;
        loop {
            match self.write(organisation).await {
                Err(StoreError::Busy) if attempt < LOCK_ATTEMPTS => {
                    tracing::warn!(%organisation, "the rebuild waits for another writer");
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Rebuild {
    fn new(token: Uuid) -> Self {
        Self {
            token,
            cache: IdentifierCache::for_rebuild(),
            phase: Phase::Clear,
            replayed_through: 0,
            replayed: 0,
            chunk: FIRST_CHUNK,
            step: FIRST_STEP,
            last_key: 0,
            session_persons: KeySet::default(),
        }
    }

    async fn set_token(&self, tx: &mut OrgTx, token: Option<Uuid>) -> Result<(), StoreError> {
        let update = Sql::new("UPDATE ledgers SET rebuild = $2 WHERE org = $1");
        tx.execute(update.with(tx.org).with(token)).await?;
        Ok(())
    }

    /// Two rebuilds of one organisation would merge definitions into the same rows.
    async fn check_token(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let select = Sql::new("SELECT rebuild FROM ledgers WHERE org = $1").with(tx.org);
        let token: Option<(Option<Uuid>,)> = tx.fetch_row(select).await?;
        if token.and_then(|(token,)| token) != Some(self.token) {
            return Err(StoreError::RebuildReplaced);
        }
        Ok(())
    }

    /// Does a part of the work. Every part after the replay is done only when all records are replayed.
    async fn run_transaction(&mut self, tx: &mut OrgTx) -> Result<(), StoreError> {
        self.cache.refresh(tx.cache_version());
        if self.phase == Phase::Clear {
            if !Definitions::delete_rebuilt(tx, MAX_STEP).await? {
                self.phase = Phase::Replay;
            }
            return Ok(());
        }
        self.replay_chunk(tx).await?;
        if self.replayed_through < tx.last_seq() {
            return Ok(());
        }
        self.phase = self.run_phase(tx).await?;
        Ok(())
    }

    /// Does a step of the phase and returns the phase of the next step.
    async fn run_phase(&mut self, tx: &mut OrgTx) -> Result<Phase, StoreError> {
        Ok(match self.phase {
            Phase::Clear | Phase::Replay => {
                self.last_key = tx.last_key();
                Phase::ReplaceDefinitions
            }
            Phase::ReplaceDefinitions => {
                let last = self.cache.definitions().replace_next(tx, self.step).await?;
                match self.unfinished(last) {
                    Some(_) => Phase::ReplaceDefinitions,
                    None => {
                        self.cache.definitions().end_replacing(tx).await?;
                        Phase::ReplacePersons(0)
                    }
                }
            }
            Phase::ReplacePersons(after) => {
                let last = match self.cache.rebuilt() {
                    Some(names) => names.replace_persons(tx, after, self.step).await?,
                    None => None,
                };
                self.unfinished(last)
                    .map_or(Phase::ReplaceContents(0), Phase::ReplacePersons)
            }
            Phase::ReplaceContents(after) => {
                let last = match self.cache.rebuilt() {
                    Some(names) => names.replace_contents(tx, after, self.step).await?,
                    None => None,
                };
                self.unfinished(last)
                    .map_or(Phase::UpdateSessions(0), Phase::ReplaceContents)
            }
            Phase::UpdateSessions(after) => {
                let persons = self
                    .session_persons
                    .keys_after(after, usize::try_from(self.step).unwrap_or(1));
                tx.update_sessions(&persons).await?;
                match self.unfinished(persons.last().copied()) {
                    Some(last) => Phase::UpdateSessions(last),
                    None => {
                        self.set_token(tx, None).await?;
                        Phase::Finished
                    }
                }
            }
            Phase::Finished => Phase::Finished,
        })
    }

    /// The key after which a part goes on; `None` if the part is complete.
    fn unfinished(&self, last: Option<i64>) -> Option<i64> {
        last.filter(|last| *last < self.last_key)
    }

    /// Replaces the rows of the next records.
    async fn replay_chunk(&mut self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM statements s WHERE s.org = $1 AND s.seq > $2 ORDER BY s.seq LIMIT $3",
            StoredStatement::COLUMNS
        ));
        let select = select.with(tx.org).with(self.replayed_through).with(self.chunk);
        let rows = tx.fetch_all(select).await?;
        let records = StoredStatement::read_all(&rows)?;
        let is_last = i64::try_from(rows.len()).is_ok_and(|count| count < self.chunk);
        let through = match rows.last() {
            Some(last) if !is_last => last.get(StoredStatement::SEQ)?,
            // Notes have numbers after the last record, too.
            _ => tx.last_seq(),
        };
        let visits = self.find_visits(tx, through).await?;
        self.delete_rows(tx, through).await?;
        if !records.is_empty() {
            self.insert_rows(tx, &records, &visits).await?;
        }
        self.replayed_through = through;
        self.replayed += rows.len() as u64;
        Ok(())
    }

    /// The logins up to this number that are visits.
    async fn find_visits(&self, tx: &mut OrgTx, through: i64) -> Result<HashSet<i64>, StoreError> {
        let select =
            Sql::new("SELECT seq FROM activities WHERE org = $1 AND seq > $2 AND seq <= $3 AND action = $4");
        let select = select.with(tx.org).with(self.replayed_through).with(through);
        let rows: Vec<(i64,)> = tx.fetch_rows(select.with(Action::Visited)).await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// Deletes everything that is derived from the records up to this number, except the rows of the log.
    async fn delete_rows(&self, tx: &mut OrgTx, through: i64) -> Result<(), StoreError> {
        for table in ["mentions", "statement_references", "reference_mentions"] {
            let delete = format!("DELETE FROM {table} WHERE org = $1 AND seq > $2 AND seq <= $3");
            let delete = Sql::new(&delete).with(tx.org).with(self.replayed_through);
            tx.execute(delete.with(through)).await?;
        }
        Ok(())
    }

    async fn insert_rows(
        &mut self,
        tx: &mut OrgTx,
        records: &[StoredStatement],
        visits: &HashSet<i64>,
    ) -> Result<(), StoreError> {
        let store = tx.store().clone();
        let home_page = self.cache.home_page(tx).await?;
        let platform = Platform {
            verbs: store.verbs(),
            home_page: &home_page,
        };
        // No content is newly recorded, because all records have been recorded before.
        let ResolvedRecords { named, mentions, .. } = self.cache.resolve(tx, &platform, records).await?;
        self.correct_actors(tx, records, &named).await?;
        tx.insert_rows(mentions).await?;
        let referring = records.iter().filter(|record| record.refers_to().is_some());
        let referring = referring.map(|record| record.seq).collect();
        tx.write_references(&mut self.cache, &platform, referring).await?;
        let mut rows = project_records(tx, &self.cache, records, &named);
        for person in find_session_persons(&rows) {
            self.session_persons.insert(person);
        }
        // A login that was a visit stays one until the sessions are updated.
        for row in &mut rows {
            if row.action == Action::LoggedIn && visits.contains(&row.seq) {
                row.action = Action::Visited;
            }
        }
        let replaced = records.iter().map(|record| record.seq).collect();
        tx.replace_activities(replaced, rows).await
    }

    /// Corrects the actors of statements that have not moved to the right period yet.
    async fn correct_actors(
        &self,
        tx: &mut OrgTx,
        records: &[StoredStatement],
        named: &[Named],
    ) -> Result<(), StoreError> {
        let mut by_actor: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (record, named) in records.iter().zip(named) {
            if self.cache.has_divided_actor(record) {
                by_actor.entry(named.actor).or_default().push(record.seq);
            }
        }
        for (actor, seqs) in by_actor {
            tx.set_actor(actor, seqs).await?;
        }
        Ok(())
    }

    /// Halves or doubles the size of the next transaction if the last one took too long or too little time.
    fn adapt_size(&mut self, duration: Duration) {
        let (size, min, max) = match self.phase {
            Phase::Clear | Phase::Replay => (&mut self.chunk, MIN_CHUNK, MAX_CHUNK),
            _ => (&mut self.step, 1, MAX_STEP),
        };
        if duration > TARGET_DURATION {
            *size = (*size / 2).max(min);
        } else if duration < TARGET_DURATION / 2 {
            *size = (*size * 2).min(max);
        }
    }
}
