//! One batch of records in one transaction: who is refused, what is there already, what is new, what a
//! voiding takes away, which logins become visits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::log::{ContentFacts, Projected, VerbTable, project};
use crate::record::{ServerFields, Statement};

use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::completion_check::CompletionCheck;
use crate::store::ingest::identifier_cache::{IdentifierCache, ResolvedRecords};
use crate::store::ingest::notes::NoteRow;
use crate::store::ingest::recorder::{CompletionMark, Incoming, RecordError, Recorded, Submission};
use crate::store::ingest::stored_statement::{Named, Platform, StoredStatement};
use crate::store::ingest::stored_statement::{read_envelope, read_statement};

/// Organisations whose seen things are remembered at most.
const REMEMBERED_ORGANISATIONS: usize = 1_000;

/// What became of each submission of a batch.
type Outcomes = Vec<Result<Vec<Recorded>, RecordError>>;

/// Writes batches, and remembers what it has seen.
pub(crate) struct Writer {
    store: Store,
    seen: HashMap<OrgId, IdentifierCache>,
}

impl Writer {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            seen: HashMap::new(),
        }
    }

    /// Writes the submissions of one organisation: each whole or not at all, and none failing another.
    pub(crate) async fn write(&mut self, org: &OrgId, submissions: &[Submission]) -> Outcomes {
        let mut outcomes = Vec::with_capacity(submissions.len());
        for run in runs(submissions) {
            outcomes.extend(self.write_run(org, run).await);
        }
        outcomes
    }

    async fn write_run(&mut self, org: &OrgId, submissions: &[Submission]) -> Outcomes {
        match self.attempt(org, submissions).await {
            Ok(outcomes) => outcomes,
            Err(error) if submissions.len() == 1 => vec![Err(error.into())],
            // One of them may be what the database can't take: its neighbours must not pay for it.
            Err(error) => {
                tracing::warn!(%error, submissions = submissions.len(), "a batch failed; writing one by one");
                let mut outcomes = Vec::with_capacity(submissions.len());
                for submission in submissions {
                    let outcome = self.attempt(org, std::slice::from_ref(submission)).await;
                    outcomes.push(
                        outcome
                            .unwrap_or_else(|error| vec![Err(error.into())])
                            .pop()
                            .unwrap_or(Err(RecordError::Store(StoreError::Invariant(
                                "a submission without an outcome",
                            )))),
                    );
                }
                outcomes
            }
        }
    }

    async fn attempt(&mut self, org: &OrgId, submissions: &[Submission]) -> Result<Outcomes, StoreError> {
        // Taken out, so that a transaction that fails takes with it what it only thought it had made.
        let mut seen = self.seen.remove(org).unwrap_or_default();
        let mut tx = self.store.write(org).await?;
        seen.refresh(tx.epoch());
        let (accepted, outcomes) = accept(&mut tx, submissions).await?;
        if !accepted.is_empty() {
            write_accepted(&mut tx, &mut seen, accepted).await?;
            seen.at_epoch(tx.epoch());
            tx.commit().await?;
        }
        if self.seen.len() >= REMEMBERED_ORGANISATIONS {
            self.seen.clear();
        }
        self.seen.insert(org.clone(), seen);
        Ok(outcomes)
    }
}

/// The submissions in runs that can be written together. Where one marks somebody as complete whom an earlier one marks
/// for the same content, the log says only after the earlier one whether that is still needed.
fn runs(submissions: &[Submission]) -> Vec<&[Submission]> {
    let (mut runs, mut began) = (Vec::with_capacity(1), 0);
    let mut marked = HashSet::new();
    for (index, submission) in submissions.iter().enumerate() {
        let marks: Vec<_> = submission.needed().map(CompletionCheck::pair).collect();
        if marks.iter().any(|mark| marked.contains(mark)) {
            runs.push(&submissions[began..index]);
            began = index;
            marked.clear();
        }
        marked.extend(marks);
    }
    if began < submissions.len() {
        runs.push(&submissions[began..]);
    }
    runs
}

/// A record that will be written.
struct Accepted<'s> {
    incoming: &'s Incoming,
    submission: &'s Submission,
}

/// A record under an id that is in the store already.
struct Existing {
    statement: Statement,
    envelope: crate::record::Envelope,
}

/// Which records are new, and what to answer each submission once they are written.
async fn accept<'s>(
    tx: &mut OrgTx,
    submissions: &'s [Submission],
) -> Result<(Vec<Accepted<'s>>, Outcomes), StoreError> {
    let existing = existing(tx, submissions).await?;
    let needless = tx
        .already_completed(submissions.iter().flat_map(Submission::needed))
        .await?;
    let mut accepted: Vec<Accepted<'s>> = Vec::new();
    let mut places: HashMap<StatementId, usize> = HashMap::new();
    let mut outcomes = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let began = accepted.len();
        let mut recorded = Vec::with_capacity(submission.records.len());
        let mut conflict = None;
        for (index, incoming) in submission.records.iter().enumerate() {
            let id = incoming.id;
            if incoming
                .mark
                .as_ref()
                .is_some_and(|mark| needless.contains(&mark.needed))
            {
                recorded.push(Recorded::AlreadyCompleted(id));
                continue;
            }
            let same = if let Some(there) = existing.get(&id) {
                Some(incoming.is_same_as(&there.statement, &there.envelope))
            } else {
                let twin = places.get(&id).and_then(|place| accepted.get(*place));
                twin.map(|twin| incoming.is_same_as(&twin.incoming.statement, &twin.incoming.envelope))
            };
            match same {
                Some(true) => recorded.push(Recorded::Already(id)),
                Some(false) => {
                    conflict = Some(RecordError::Conflict { index, id });
                    break;
                }
                None => {
                    places.insert(id, accepted.len());
                    accepted.push(Accepted { incoming, submission });
                    recorded.push(Recorded::New(id));
                }
            }
        }
        if let Some(conflict) = conflict {
            for refused in accepted.drain(began..) {
                places.remove(&refused.incoming.id);
            }
            outcomes.push(Err(conflict));
        } else {
            outcomes.push(Ok(recorded));
        }
    }
    Ok((accepted, outcomes))
}

async fn existing(
    tx: &mut OrgTx,
    submissions: &[Submission],
) -> Result<HashMap<StatementId, Existing>, StoreError> {
    let given = submissions
        .iter()
        .flat_map(|s| &s.records)
        .filter(|record| record.id_was_given);
    let ids: Vec<Uuid> = given.map(|record| record.id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = Sql::new("SELECT id, envelope, body FROM statements WHERE org = $1 AND id IN LIST($2)");
    let rows = tx.fetch_all(select.with(tx.org).with(ids)).await?;
    rows.iter()
        .map(|row| {
            let envelope = read_envelope(&row.get::<String>(1)?)?;
            let statement = read_statement(&row.get::<Vec<u8>>(2)?)?;
            Ok((StatementId(row.get(0)?), Existing { statement, envelope }))
        })
        .collect()
}

async fn write_accepted(
    tx: &mut OrgTx,
    seen: &mut IdentifierCache,
    accepted: Vec<Accepted<'_>>,
) -> Result<(), StoreError> {
    tx.insert_attachments(accepted.iter().map(|record| record.submission))
        .await?;
    let stored = tx.stored_now();
    let referred = referred_to(tx, &accepted).await?;
    let home_page = seen.home_page(tx).await?;
    let store = tx.store().clone();
    let platform = Platform {
        verbs: store.verbs(),
        home_page: &home_page,
    };
    let mut records = Vec::with_capacity(accepted.len());
    let mut bodies = Vec::with_capacity(accepted.len());
    let mut notes = Vec::new();
    for Accepted { incoming, submission } in accepted {
        notes.extend(incoming.mark.as_ref().and_then(note));
        let seal = ServerFields {
            id: incoming.id,
            stored,
            authority: &submission.authority,
            keep_authority: false,
            default_version: submission.version,
        };
        bodies.push((
            incoming.statement.canonicalise(&seal).into_bytes(),
            submission.sender.clone(),
        ));
        records.push(StoredStatement {
            seq: tx.next_seq(),
            id: incoming.id,
            stored,
            statement: Arc::clone(&incoming.statement),
            envelope: Arc::clone(&incoming.envelope),
            voided: referred.voided.contains(&incoming.id) && incoming.statement.voids().is_none(),
        });
    }
    let ResolvedRecords { named, mentioned } = seen.absorb(tx, &platform, &records).await?;
    insert_statements(tx, &records, &named, bodies).await?;
    tx.insert_mentions(mentioned).await?;
    let linked = records
        .iter()
        .filter(|record| record.refers_to().is_some() || referred.ids.contains(&record.id))
        .map(|record| record.seq);
    let linked: Vec<i64> = linked.collect();
    if !linked.is_empty() {
        tx.write_references(seen, &platform, linked).await?;
    }
    // First the new rows: what a record says that leaves the log is weighed against all that stay.
    let sessions = insert_activities(tx, seen, &records, &named).await?;
    void_existing(tx, seen, &platform, &records).await?;
    tx.settle_sessions(&sessions).await?;
    tx.insert_notes(notes).await
}

/// What is noted about a person who is marked.
fn note(mark: &CompletionMark) -> Option<NoteRow> {
    Some(NoteRow {
        user_key: mark.needed.user(),
        text: mark.note.clone()?,
        happened_at: mark.needed.at(),
        created_by: mark.by.clone(),
    })
}

/// The new records that statements of the store refer to, having come before them.
struct Referred {
    ids: HashSet<StatementId>,
    /// Those that a voiding statement names, one of this batch among them.
    voided: HashSet<StatementId>,
}

async fn referred_to(tx: &mut OrgTx, accepted: &[Accepted<'_>]) -> Result<Referred, StoreError> {
    let mut ids = HashSet::new();
    let mut voided: HashSet<StatementId> = accepted
        .iter()
        .filter_map(|record| record.incoming.statement.voids())
        .collect();
    let given = accepted
        .iter()
        .map(|record| record.incoming)
        .filter(|record| record.id_was_given);
    let given: Vec<Uuid> = given.map(|record| record.id.0).collect();
    if !given.is_empty() {
        let select =
            Sql::new("SELECT reference, voids FROM statements WHERE org = $1 AND reference IN LIST($2)");
        for row in tx.fetch_all(select.with(tx.org).with(given)).await? {
            let id = StatementId(row.get(0)?);
            ids.insert(id);
            if row.get(1)? {
                voided.insert(id);
            }
        }
    }
    Ok(Referred { ids, voided })
}

/// Takes from the log what the new voiding statements name and was there before; a voiding statement
/// itself can't be voided (xAPI 1.0.3, Data 2.3.2).
async fn void_existing(
    tx: &mut OrgTx,
    seen: &mut IdentifierCache,
    platform: &Platform<'_>,
    records: &[StoredStatement],
) -> Result<(), StoreError> {
    let targets: Vec<Uuid> = records
        .iter()
        .filter_map(|r| r.statement.voids())
        .map(|id| id.0)
        .collect();
    if targets.is_empty() {
        return Ok(());
    }
    let new: HashSet<i64> = records.iter().map(|record| record.seq).collect();
    let select = Sql::new(&format!(
        "SELECT {}, s.actor FROM statements s \
         WHERE s.org = $1 AND s.id IN LIST($2) AND NOT s.voids AND NOT s.voided",
        StoredStatement::COLUMNS
    ));
    let rows = tx.fetch_all(select.with(tx.org).with(targets)).await?;
    let (mut seqs, mut actors) = (Vec::new(), Vec::new());
    for row in &rows {
        let record = StoredStatement::read(row)?;
        if new.contains(&record.seq) {
            continue;
        }
        seen.track(tx, platform, &record).await?;
        seqs.push(record.seq);
        actors.push(row.get(6)?);
    }
    if seqs.is_empty() {
        return Ok(());
    }
    let mark = Sql::new("UPDATE statements SET voided = $3 WHERE org = $1 AND seq IN LIST($2)");
    tx.execute(mark.with(tx.org).with(seqs.clone()).with(true))
        .await?;
    tx.delete_activities(seqs).await?;
    tx.settle_sessions(&actors).await
}

async fn insert_statements(
    tx: &mut OrgTx,
    records: &[StoredStatement],
    named: &[Named],
    bodies: Vec<(Vec<u8>, String)>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(records.len());
    for ((record, named), (body, sender)) in records.iter().zip(named).zip(bodies) {
        let statement = &record.statement;
        let envelope = serde_json::to_string(&*record.envelope)
            .map_err(|error| StoreError::corrupt("envelope", error))?;
        rows.push(vec![
            tx.org.into(),
            record.seq.into(),
            record.id.0.into(),
            record.stored.micros().into(),
            named.actor.into(),
            named.verb.into(),
            named.object.into(),
            statement
                .context
                .as_ref()
                .and_then(|context| context.registration)
                .into(),
            record.refers_to().map(|id| id.0).into(),
            sender.into(),
            statement.voids().is_some().into(),
            record.voided.into(),
            envelope.into(),
            body.into(),
        ]);
    }
    const COLUMNS: [&str; 14] = [
        "org",
        "seq",
        "id",
        "stored",
        "actor",
        "verb",
        "object",
        "registration",
        "reference",
        "sender",
        "voids",
        "voided",
        "envelope",
        "body",
    ];
    tx.insert("statements", &COLUMNS, rows).await
}

/// Writes the rows of the log and answers the persons whose sessions must be settled.
pub(crate) async fn insert_activities(
    tx: &mut OrgTx,
    seen: &IdentifierCache,
    records: &[StoredStatement],
    named: &[Named],
) -> Result<Vec<i64>, StoreError> {
    let store = tx.store().clone();
    let mut rows = Vec::with_capacity(records.len());
    let mut sessions = Vec::new();
    for (record, named) in records.iter().zip(named).filter(|(record, _)| !record.voided) {
        let facts = named
            .content
            .and_then(|key| seen.content(key))
            .map(|content| ContentFacts {
                kind: content.kind,
                content_type: content.content_type,
                demands: content.demands.at(record.stamp().0),
            });
        let row = ActivityRow::new(store.verbs(), record, *named, facts.as_ref());
        if row.projected.action.is_session() {
            sessions.push(named.actor);
        }
        rows.push(row.values(tx.org));
    }
    tx.insert("activities", &ACTIVITY_COLUMNS, rows).await?;
    Ok(sessions)
}

/// One row of the log, as it is written.
pub(crate) struct ActivityRow {
    seq: i64,
    id: StatementId,
    stored: Timestamp,
    actor: i64,
    verb: i64,
    content: Option<i64>,
    projected: Projected,
}

impl ActivityRow {
    pub(crate) fn new(
        verbs: &VerbTable,
        record: &StoredStatement,
        named: Named,
        facts: Option<&ContentFacts>,
    ) -> Self {
        let projected = project(verbs, &record.statement, &record.envelope, record.stored, facts);
        Self {
            seq: record.seq,
            id: record.id,
            stored: record.stored,
            actor: named.actor,
            verb: named.verb,
            content: named.content,
            projected,
        }
    }

    pub(crate) fn values(self, org: i64) -> Vec<Value> {
        let Self { projected, .. } = self;
        let certified = projected.certificate.is_some();
        let (certificate_name, certificate_expires_at) = match projected.certificate {
            Some(certificate) => (certificate.name, certificate.expires_at),
            None => (None, None),
        };
        vec![
            org.into(),
            self.seq.into(),
            self.id.0.into(),
            projected.happened_at.micros().into(),
            self.stored.micros().into(),
            self.actor.into(),
            self.verb.into(),
            self.content.into(),
            projected.action.code().into(),
            projected.origin.code().into(),
            projected.completed.into(),
            projected.success.into(),
            projected.completion.into(),
            certified.into(),
            projected.score.scaled.into(),
            projected.score.raw.into(),
            projected.score.min.into(),
            projected.score.max.into(),
            projected.score.percent.map(|percent| percent.0).into(),
            projected.seconds.into(),
            projected.time_limit.into(),
            projected.expired_at.map(Timestamp::micros).into(),
            certificate_expires_at.map(Timestamp::micros).into(),
            projected.registration.into(),
            projected.import.into(),
            certificate_name.into(),
            projected.response.into(),
            projected.device_type.into(),
            projected.recorded_by.map(String::from).into(),
            projected.comment.into(),
            projected.source.into(),
        ]
    }
}

/// The columns of the log, in the order in which they are written and read.
pub(crate) const ACTIVITY_COLUMNS: [&str; 31] = [
    "org",
    "seq",
    "id",
    "happened_at",
    "stored_at",
    "person",
    "verb",
    "content",
    "action",
    "origin",
    "completed",
    "success",
    "completion",
    "certified",
    "scaled",
    "raw",
    "min",
    "max",
    "percent",
    "seconds",
    "time_limit",
    "expired_at",
    "certificate_expires_at",
    "registration",
    "import",
    "certificate_name",
    "response",
    "device_type",
    "recorded_by",
    "comment",
    "source",
];

impl OrgTx {
    /// Takes rows out of the log.
    pub(crate) async fn delete_activities(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM activities WHERE org = $1 AND seq IN LIST($2)");
        let delete = delete.with(self.org).with(seqs);
        self.execute(delete).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::UserId;
    use crate::record::{Limits, Version, parse_statement};
    use crate::store::ingest::recorder::Sameness;

    /// A submission that marks these users for these contents.
    fn marking(pairs: &[(i64, i64)]) -> Submission {
        let text = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"}}"#;
        let statement = parse_statement(text.as_bytes(), Version::V1, &Limits::default());
        let statement = Arc::new(statement.expect("a statement"));
        let records = pairs.iter().map(|pair| Incoming {
            id: StatementId(Uuid::nil()),
            id_was_given: false,
            statement: Arc::clone(&statement),
            envelope: Arc::default(),
            sameness: Sameness::Statement,
            mark: Some(CompletionMark {
                needed: CompletionCheck::of(*pair),
                by: UserId::new("ada").expect("an id"),
                note: None,
            }),
        });
        Submission {
            org: OrgId::new("acme").expect("an id"),
            records: records.collect(),
            authority: String::new(),
            version: "1.0.0",
            sender: String::new(),
            attachments: Vec::new(),
        }
    }

    #[test]
    fn who_is_marked_again_waits_for_the_next_run() {
        let submissions = [
            marking(&[(1, 7), (2, 7)]),
            marking(&[]),
            marking(&[(3, 7), (1, 8)]),
            marking(&[(2, 7), (4, 7)]),
            marking(&[(1, 7)]),
            marking(&[(4, 7)]),
        ];
        let lengths: Vec<usize> = runs(&submissions).iter().map(|run| run.len()).collect();
        assert_eq!(lengths, [3, 2, 1]);
        assert!(runs(&[]).is_empty());
    }
}
