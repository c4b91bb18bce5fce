//! Attempts at SCORM packages: the state after the last commit, and the records that a commit means.
//!
//! A commit is applied in the transaction that writes its records. So two commits at the same time are applied one after
//! the other, and a state without its records, or records without their state, cannot remain after a crash.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::scorm::{AttemptCommit, AttemptState, Event};
use crate::store::db::StoreError;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::submission::{Incoming, Outcome, RecordError, Sameness, Submission};

table_row! {
    struct NewAttempt in "scorm_attempts" {
        org: i64 = "org",
        user_id: UserId = "user_id",
        content: i64 = "content",
        registration: Uuid = "registration",
        begun: i64 = "begun",
        committed_at: Timestamp = "committed_at",
        due: Option<Timestamp> = "due",
        state: String = "state",
    }
}

columns! {
    struct StateRow {
        state: String = "state",
    }
}

/// What identifies an attempt within an organisation.
type AttemptKey = (UserId, i64, Uuid);

/// The submissions of a batch with the records of their commits, and the attempts that change.
pub(crate) struct PlannedBatch<'s> {
    pub(crate) submissions: Cow<'s, [Submission]>,
    changes: Vec<Change>,
    /// The places of the submissions whose commits cannot be applied, and why. They have no records.
    pub(crate) refused: Vec<(usize, RecordError)>,
}

/// The new state of an attempt.
struct Change {
    /// The place of the submission in the batch.
    submission: usize,
    key: AttemptKey,
    is_new: bool,
    committed_at: Timestamp,
    due: Option<Timestamp>,
    state: String,
}

impl PlannedBatch<'_> {
    /// Whether an attempt changes.
    pub(crate) fn changes_attempts(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// Applies the commits of the submissions to their attempts and adds the records that they mean. Nothing is written.
pub(crate) async fn plan_attempts<'s>(
    tx: &mut OrgTx,
    submissions: &'s [Submission],
) -> Result<PlannedBatch<'s>, StoreError> {
    let mut planned = PlannedBatch {
        submissions: Cow::Borrowed(submissions),
        changes: Vec::new(),
        refused: Vec::new(),
    };
    let mut states: HashMap<AttemptKey, Option<AttemptState>> = HashMap::new();
    for (index, submission) in submissions.iter().enumerate() {
        let Some(commit) = &submission.attempt else {
            continue;
        };
        let key = (commit.user.clone(), commit.content, commit.registration);
        if !states.contains_key(&key) {
            match read_state(tx, &key).await {
                Ok(stored) => states.insert(key.clone(), stored),
                // The other attempts of the batch are not damaged.
                Err(error) if error.is_unreadable() => {
                    planned.refused.push((index, error.into()));
                    continue;
                }
                Err(error) => return Err(error),
            };
        }
        let state = states.entry(key.clone()).or_default();
        let is_new = state.is_none();
        let mut next = state.clone().unwrap_or_default();
        let Some(events) = commit.apply_to(&mut next) else {
            continue;
        };
        let text =
            serde_json::to_string(&next).map_err(|error| StoreError::corrupt("SCORM attempt", error))?;
        if commit.makes_too_large(&next, text.len()) {
            planned.refused.push((index, RecordError::AttemptTooLarge));
            continue;
        }
        let records = to_records(tx, commit, &events)?;
        if let Some(submission) = planned.submissions.to_mut().get_mut(index) {
            submission.records = records;
        }
        planned.changes.push(Change {
            submission: index,
            key,
            is_new,
            committed_at: commit.now,
            due: next.due(),
            state: text,
        });
        *state = Some(next);
    }
    Ok(planned)
}

fn to_records(tx: &OrgTx, commit: &AttemptCommit, events: &[Event]) -> Result<Vec<Incoming>, StoreError> {
    let new_record = |event: &Event| {
        let id = tx.store().clock().new_statement_id();
        let statement = commit.to_statement(id, event);
        let statement = statement.ok_or(StoreError::Invariant("a content has an IRI that is none"))?;
        Ok(to_record(commit, statement, id))
    };
    events.iter().map(new_record).collect()
}

fn to_record(
    commit: &AttemptCommit,
    statement: crate::record::Statement,
    id: crate::base::ids::StatementId,
) -> Incoming {
    Incoming {
        id,
        id_was_given: false,
        statement: Arc::new(statement),
        envelope: Arc::clone(&commit.envelope),
        sameness: Sameness::Statement,
        mark: None,
        voids_first: false,
    }
}

async fn read_state(tx: &mut OrgTx, key: &AttemptKey) -> Result<Option<AttemptState>, StoreError> {
    let (user, content, registration) = key;
    let select = Sql::new(
        "SELECT state FROM scorm_attempts \
         WHERE org = $1 AND user_id = $2 AND content = $3 AND registration = $4",
    );
    let select = select
        .with(tx.org)
        .with(user.as_str())
        .with(*content)
        .with(*registration);
    let row: Option<StateRow> = tx.fetch_row(select).await?;
    row.map(|row| parse_state(&row.state)).transpose()
}

/// Reads a stored state.
pub(crate) fn parse_state(text: &str) -> Result<AttemptState, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("SCORM attempt", error))
}

impl OrgTx {
    /// Writes the attempts of the submissions that are accepted.
    pub(crate) async fn write_attempts(
        &mut self,
        planned: &PlannedBatch<'_>,
        outcomes: &[Outcome],
    ) -> Result<(), StoreError> {
        for change in &planned.changes {
            if !outcomes.get(change.submission).is_some_and(Result::is_ok) {
                continue;
            }
            let (user_id, content, registration) = change.key.clone();
            if change.is_new {
                let row = NewAttempt {
                    org: self.org,
                    user_id,
                    content,
                    registration,
                    begun: self.next_seq(),
                    committed_at: change.committed_at,
                    due: change.due,
                    state: change.state.clone(),
                };
                self.insert_rows(vec![row]).await?;
                continue;
            }
            let update = Sql::new(
                "UPDATE scorm_attempts SET committed_at = $5, due = $6, state = $7 \
                 WHERE org = $1 AND user_id = $2 AND content = $3 AND registration = $4",
            );
            let update = update
                .with(self.org)
                .with(user_id.as_str())
                .with(content)
                .with(registration)
                .with(change.committed_at)
                .with(change.due)
                .with(change.state.as_str());
            if self.execute(update).await? == 0 {
                return Err(StoreError::Invariant("an attempt is changed before it is stored"));
            }
        }
        Ok(())
    }
}
