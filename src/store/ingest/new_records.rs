//! New records in a transaction: which are accepted, and what is written for them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::record::{Envelope, ServerFields, Statement};
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;
use crate::store::db::unreadable::skip_unreadable;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::{find_session_events, project_records};
use crate::store::ingest::cmi5::Sessions;
use crate::store::ingest::completion_check::CompletionCheck;
use crate::store::ingest::identifier_cache::{IdentifierCache, ResolvedRecords};
use crate::store::ingest::notes::NoteRow;
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};
use crate::store::ingest::stored_statement::{read_envelope, read_statement};
use crate::store::ingest::submission::{
    CompletionMark, IdConflict, Incoming, Outcome, RecordError, Recorded, Submission,
};

/// A record that will be written.
pub(crate) struct Accepted<'s> {
    incoming: &'s Incoming,
    submission: &'s Submission,
}

/// A stored record with the id of an incoming one. `None` if it cannot be read.
struct Existing(Option<(Statement, Envelope)>);

impl Existing {
    /// Whether the incoming record repeats this one. A record that cannot be read counts as different.
    fn is_same_as(&self, incoming: &Incoming) -> bool {
        let same = |(statement, envelope): &(Statement, Envelope)| incoming.is_same_as(statement, envelope);
        self.0.as_ref().is_some_and(same)
    }
}

impl Accepted<'_> {
    /// The check of the record, if it marks content as complete.
    pub(crate) fn mark(&self) -> Option<CompletionCheck> {
        self.incoming.mark.as_ref().map(|mark| mark.check)
    }

    /// The record's id.
    pub(crate) fn id(&self) -> StatementId {
        self.incoming.id
    }
}

/// Returns the records that are new, and the outcome of each submission if they are written.
///
/// `unconfirmed` are the ids of records that an earlier attempt has sent, and of which the database has not confirmed the
/// commit. One that is stored is new for its sender all the same.
pub(crate) async fn accept<'s>(
    tx: &mut OrgTx,
    submissions: &'s [Submission],
    unconfirmed: &HashSet<StatementId>,
) -> Result<(Vec<Accepted<'s>>, Vec<Outcome>, Sessions), StoreError> {
    let (org, records) = (
        tx.org,
        submissions.iter().flat_map(|submission| &submission.records),
    );
    let may_exist = |record: &&Incoming| record.id_was_given || unconfirmed.contains(&record.id);
    let existing = find_existing(tx, org, records.filter(may_exist)).await?;
    let mut unneeded = Unneeded::find(tx, submissions).await?;
    let mut sessions = Sessions::load(tx, submissions).await?;
    let mut accepted: Vec<Accepted<'s>> = Vec::new();
    let mut positions: HashMap<StatementId, usize> = HashMap::new();
    let mut outcomes = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let begin = accepted.len();
        if tx.has_lost_import(submission).await? {
            outcomes.push(Err(RecordError::ImportLost));
            continue;
        }
        if let Some(index) = find_unreadable(submission) {
            outcomes.push(Err(RecordError::Unreadable { index }));
            continue;
        }
        let mut recorded = Vec::with_capacity(submission.records.len());
        let mut conflicts = Vec::new();
        for (index, incoming) in submission.records.iter().enumerate() {
            let id = incoming.id;
            if let Some(stored) = existing.get(&id)
                && unconfirmed.contains(&id)
                && stored.is_same_as(incoming)
            {
                recorded.push(Recorded::New(id));
                continue;
            }
            let earlier = positions.get(&id).and_then(|position| accepted.get(*position));
            let is_same = |other: &Accepted<'_>| {
                incoming.is_same_as(&other.incoming.statement, &other.incoming.envelope)
            };
            let existing = existing.get(&id).map(|existing| existing.is_same_as(incoming));
            match existing.or_else(|| earlier.map(is_same)) {
                Some(true) => recorded.push(Recorded::Already(id)),
                Some(false) => conflicts.push(IdConflict { index, id }),
                None => recorded.push(unneeded.outcome(incoming).unwrap_or_else(|| {
                    positions.insert(id, accepted.len());
                    accepted.push(Accepted { incoming, submission });
                    Recorded::New(id)
                })),
            }
        }
        let new: Vec<&Incoming> = accepted
            .iter()
            .skip(begin)
            .map(|record| record.incoming)
            .collect();
        let refusal = match conflicts.is_empty() {
            true => sessions.apply(submission, &new).err(),
            false => Some(RecordError::Conflicts(conflicts)),
        };
        match refusal {
            None => {
                unneeded.add_voided(new.into_iter());
                outcomes.push(Ok(recorded));
            }
            Some(refusal) => {
                for refused in accepted.drain(begin..) {
                    positions.remove(&refused.incoming.id);
                }
                outcomes.push(Err(refusal));
            }
        }
    }
    Ok((accepted, outcomes, sessions))
}

/// All records of submissions that Rollbook makes itself.
pub(crate) fn accept_all(submissions: &[Submission]) -> Vec<Accepted<'_>> {
    let mut accepted = Vec::new();
    for submission in submissions {
        accepted.extend(
            submission
                .records
                .iter()
                .map(|incoming| Accepted { incoming, submission }),
        );
    }
    accepted
}

/// The index of the first record whose envelope is not read back from its stored text as it is.
fn find_unreadable(submission: &Submission) -> Option<usize> {
    let is_readable = |record: &Incoming| {
        let text = serde_json::to_string(&*record.envelope).ok();
        text.and_then(|text| read_envelope(&text).ok()).as_ref() == Some(&*record.envelope)
    };
    submission.records.iter().position(|record| !is_readable(record))
}

/// What makes records of a batch unneeded at the time of writing.
struct Unneeded {
    /// The checks of marks that fail: the users have completed the content.
    completed: HashSet<CompletionCheck>,
    /// The records that are voided, among those that a submission may void only as the first.
    voided: HashSet<StatementId>,
}

impl Unneeded {
    async fn find(tx: &mut OrgTx, submissions: &[Submission]) -> Result<Self, StoreError> {
        let checks = submissions.iter().flat_map(Submission::completion_checks);
        let completed = tx.already_completed(checks).await?;
        let records = submissions.iter().flat_map(|submission| &submission.records);
        let targets: Vec<Uuid> = records
            .filter_map(Incoming::target_of_first_voiding)
            .map(|id| id.0)
            .collect();
        let mut voided = HashSet::new();
        if !targets.is_empty() {
            let select = Sql::new("SELECT id FROM statements WHERE org = $1 AND id IN LIST($2) AND voided");
            let rows: Vec<(StatementId,)> = tx.fetch_rows(select.with(tx.org).with(targets)).await?;
            voided.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(Self { completed, voided })
    }

    /// The outcome of a record that is not needed; `None` if it is needed.
    fn outcome(&self, incoming: &Incoming) -> Option<Recorded> {
        let is_completed = |mark: &CompletionMark| self.completed.contains(&mark.check);
        if incoming.mark.as_ref().is_some_and(is_completed) {
            return Some(Recorded::AlreadyCompleted(incoming.id));
        }
        let target = incoming.target_of_first_voiding()?;
        self.voided
            .contains(&target)
            .then_some(Recorded::AlreadyVoided(incoming.id))
    }

    /// Adds what earlier records of the batch void.
    fn add_voided<'r>(&mut self, records: impl Iterator<Item = &'r Incoming>) {
        self.voided
            .extend(records.filter_map(|record| record.statement.voids()));
    }
}

columns! {
    struct ExistingRow {
        envelope: String = "envelope",
        body: Vec<u8> = "body",
    }
}

impl Store {
    /// The records that are refused because a different one has the same id, in their order. Nothing is written.
    pub async fn find_id_conflicts(
        &self,
        organisation: &OrgId,
        records: &[Incoming],
    ) -> Result<Vec<IdConflict>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let given = records.iter().filter(|record| record.id_was_given);
        let existing = find_existing(&mut self.db(), org, given).await?;
        let mut earlier: HashMap<StatementId, &Incoming> = HashMap::new();
        let mut conflicts = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let id = record.id;
            let is_same = match existing.get(&id) {
                Some(existing) => existing.is_same_as(record),
                None => {
                    let first = *earlier.entry(id).or_insert(record);
                    std::ptr::eq(first, record) || record.is_same_as(&first.statement, &first.envelope)
                }
            };
            if !is_same {
                conflicts.push(IdConflict { index, id });
            }
        }
        Ok(conflicts)
    }
}

async fn find_existing<'r>(
    reads: &mut impl Reads,
    org: i64,
    records: impl IntoIterator<Item = &'r Incoming>,
) -> Result<HashMap<StatementId, Existing>, StoreError> {
    let ids: Vec<Uuid> = records.into_iter().map(|record| record.id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = Sql::new(&format!(
        "SELECT id, {} FROM statements WHERE org = $1 AND id IN LIST($2)",
        ExistingRow::COLUMNS
    ));
    let rows = reads.rows(select.with(org).with(ids)).await?;
    rows.iter()
        .map(|row| {
            let id = StatementId(row.get(0)?);
            let read = ExistingRow::read_from(row, 1)
                .and_then(|row| Ok((read_statement(&row.body)?, read_envelope(&row.envelope)?)));
            Ok((id, Existing(skip_unreadable("statement", || id, read)?)))
        })
        .collect()
}

/// Writes statements, activities, and everything that follows from them.
pub(crate) async fn write_accepted(
    tx: &mut OrgTx,
    cache: &mut IdentifierCache,
    accepted: Vec<Accepted<'_>>,
) -> Result<(), StoreError> {
    tx.insert_attachments(accepted.iter().map(|record| record.submission))
        .await?;
    let references = find_references(tx, &accepted).await?;
    let home_page = cache.home_page(tx).await?;
    let store = tx.store().clone();
    let platform = Platform {
        verbs: store.verbs(),
        home_page: &home_page,
    };
    let marks = accepted.iter().filter_map(|record| record.incoming.mark.as_ref());
    let notes: Vec<NoteRow> = marks.filter_map(note_of_mark).collect();
    let mut records = Vec::with_capacity(accepted.len());
    let mut bodies = Vec::with_capacity(accepted.len());
    let stored = tx.stored_now();
    for record in &accepted {
        bodies.push(body_of(record, stored));
        records.push(to_stored(record, tx.next_seq(), stored, &references));
    }
    let ResolvedRecords {
        named,
        mentions,
        newly_recorded,
    } = cache.resolve(tx, &platform, &records).await?;
    let senders = accepted.iter().map(|record| record.submission.sender.as_str());
    insert_statements(tx, &records, &named, bodies, senders).await?;
    tx.insert_rows(mentions).await?;
    let linked: Vec<i64> = records
        .iter()
        .filter(|record| record.refers_to().is_some() || references.ids.contains(&record.id))
        .map(|record| record.seq)
        .collect();
    if !linked.is_empty() {
        tx.write_references(cache, &platform, linked).await?;
    }
    // The new rows come first: when a record leaves the log, its names are compared with those of all rows that stay.
    let rows = project_records(tx, cache, &records, &named);
    let mut sessions = find_session_events(&rows);
    tx.insert_activity_rows(rows).await?;
    for content in newly_recorded {
        cache.place_mentions(tx, content).await?;
    }
    sessions.extend(tx.find_next_sessions(&sessions).await?);
    sessions.extend(void_existing(tx, cache, &platform, &records).await?);
    tx.settle_sessions(sessions).await?;
    tx.insert_notes(notes).await
}

/// The statement as it is stored and returned to clients.
fn body_of(record: &Accepted<'_>, stored: Timestamp) -> Vec<u8> {
    let fields = ServerFields {
        id: record.incoming.id,
        stored,
        authority: &record.submission.authority,
        keep_authority: false,
        default_version: record.submission.version,
    };
    record.incoming.statement.canonicalise(&fields).into_bytes()
}

fn to_stored(record: &Accepted<'_>, seq: i64, stored: Timestamp, references: &References) -> StoredStatement {
    let incoming = record.incoming;
    StoredStatement {
        seq,
        id: incoming.id,
        stored,
        statement: Arc::clone(&incoming.statement),
        envelope: Arc::clone(&incoming.envelope),
        voided: references.voided.contains(&incoming.id) && incoming.statement.voids().is_none(),
        added_definitions: match record.submission.adds_definitions && !incoming.envelope.defines {
            true => OnceLock::new(),
            false => OnceLock::from(Vec::new()),
        },
    }
}

/// The note that comes with a mark.
fn note_of_mark(mark: &CompletionMark) -> Option<NoteRow> {
    Some(NoteRow {
        user_key: mark.check.user(),
        text: mark.note.clone()?,
        happened_at: mark.check.completed_at(),
        created_by: mark.by.clone(),
    })
}

/// The new records that other statements refer to.
struct References {
    /// The ids that stored statements refer to.
    ids: HashSet<StatementId>,
    /// The ids that voiding statements name, stored ones or ones of the same batch.
    voided: HashSet<StatementId>,
}

async fn find_references(tx: &mut OrgTx, accepted: &[Accepted<'_>]) -> Result<References, StoreError> {
    let mut ids = HashSet::new();
    let mut voided: HashSet<StatementId> = accepted
        .iter()
        .filter_map(|record| record.incoming.statement.voids())
        .collect();
    // A new id is unknown to all other statements.
    let given: Vec<Uuid> = accepted
        .iter()
        .filter(|record| record.incoming.id_was_given)
        .map(|record| record.incoming.id.0)
        .collect();
    if !given.is_empty() {
        let select =
            Sql::new("SELECT reference, voids FROM statements WHERE org = $1 AND reference IN LIST($2)");
        let rows: Vec<(StatementId, bool)> = tx.fetch_rows(select.with(tx.org).with(given)).await?;
        for (id, voids) in rows {
            ids.insert(id);
            if voids {
                voided.insert(id);
            }
        }
    }
    Ok(References { ids, voided })
}

/// Removes the earlier records that new voiding statements name from the log. Returns the session events after the removed
/// ones. A voiding statement cannot be voided (xAPI 1.0.3, Data 2.3.2).
async fn void_existing(
    tx: &mut OrgTx,
    cache: &mut IdentifierCache,
    platform: &Platform<'_>,
    records: &[StoredStatement],
) -> Result<Vec<i64>, StoreError> {
    let voided = records.iter().filter_map(|record| record.statement.voids());
    let targets: Vec<Uuid> = voided.map(|id| id.0).collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let new: HashSet<i64> = records.iter().map(|record| record.seq).collect();
    let select = Sql::new(&format!(
        "SELECT {} FROM statements s WHERE s.org = $1 AND s.id IN LIST($2) AND NOT s.voids AND NOT s.voided",
        StoredStatement::COLUMNS
    ));
    let rows = tx.fetch_all(select.with(tx.org).with(targets)).await?;
    let mut seqs = Vec::new();
    for row in &rows {
        let seq: i64 = row.get(StoredStatement::SEQ)?;
        if new.contains(&seq) {
            continue;
        }
        if let Some(record) = StoredStatement::read_or_skip(row)? {
            cache.track(tx, platform, &record).await?;
        }
        seqs.push(seq);
    }
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let mark = Sql::new("UPDATE statements SET voided = $3 WHERE org = $1 AND seq IN LIST($2)");
    tx.execute(mark.with(tx.org).with(seqs.clone()).with(true))
        .await?;
    let sessions = tx.find_next_sessions(&seqs).await?;
    tx.delete_activities(seqs).await?;
    Ok(sessions)
}

table_row! {
    /// A row of `statements`.
    struct NewStatement in "statements" {
        org: i64 = "org",
        seq: i64 = "seq",
        id: StatementId = "id",
        stored: Timestamp = "stored",
        actor: i64 = "actor",
        verb: i64 = "verb",
        object: Option<i64> = "object",
        registration: Option<Uuid> = "registration",
        reference: Option<StatementId> = "reference",
        sender: String = "sender",
        voids: bool = "voids",
        voided: bool = "voided",
        envelope: String = "envelope",
        body: Vec<u8> = "body",
    }
}

/// The envelope as it is stored.
fn write_envelope(record: &StoredStatement) -> Result<String, StoreError> {
    let text = match record.added_definitions.get() {
        Some(added) if !added.is_empty() => serde_json::to_string(&Envelope {
            added_definitions: added.clone(),
            ..(*record.envelope).clone()
        }),
        _ => serde_json::to_string(&*record.envelope),
    };
    text.map_err(|error| StoreError::corrupt("envelope", error))
}

async fn insert_statements(
    tx: &mut OrgTx,
    records: &[StoredStatement],
    named: &[Named],
    bodies: Vec<Vec<u8>>,
    senders: impl Iterator<Item = &str>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(records.len());
    for (((record, named), body), sender) in records.iter().zip(named).zip(bodies).zip(senders) {
        let statement = &record.statement;
        let envelope = write_envelope(record)?;
        rows.push(NewStatement {
            org: tx.org,
            seq: record.seq,
            id: record.id,
            stored: record.stored,
            actor: named.actor,
            verb: named.verb,
            object: named.object,
            registration: statement
                .context
                .as_ref()
                .and_then(|context| context.registration),
            reference: record.refers_to(),
            sender: sender.to_owned(),
            voids: statement.voids().is_some(),
            voided: record.voided,
            envelope,
            body,
        });
    }
    tx.insert_rows(rows).await
}
