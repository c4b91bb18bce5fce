//! Writes the submissions of one organisation.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::base::ids::{OrgId, StatementId};
use crate::store::db::{Store, StoreError};
use crate::store::ingest::completion_check::CompletionCheck;
use crate::store::ingest::identifier_cache::IdentifierCache;
use crate::store::ingest::new_records::{Accepted, accept, accept_all, write_accepted};
use crate::store::ingest::scorm_attempts::plan_attempts;
use crate::store::ingest::submission::{Outcome, RecordError, Submission};

/// Writes batches of an organisation and caches the identifiers that its records name.
pub(crate) struct Writer {
    store: Store,
    org: OrgId,
    cache: IdentifierCache,
}

impl Writer {
    pub(crate) fn new(store: Store, org: OrgId, cache: IdentifierCache) -> Self {
        Self { store, org, cache }
    }

    /// Removes the cache from the writer, which continues with an empty one.
    pub(crate) fn take_cache(&mut self) -> IdentifierCache {
        std::mem::take(&mut self.cache)
    }

    /// Writes each submission whole or not at all. A submission with a faulty record does not affect the others. A failure
    /// that no record can cause is the answer to all submissions that are not written yet: they would wait for the same
    /// lock or the same database.
    pub(crate) async fn write(&mut self, submissions: &[Submission]) -> Vec<Outcome> {
        let mut unconfirmed = HashSet::new();
        let mut outcomes = Vec::with_capacity(submissions.len());
        let mut parts: VecDeque<&[Submission]> = split_into_parts(submissions).into();
        while let Some(part) = parts.pop_front() {
            match self.write_part(part, &mut unconfirmed).await {
                Ok(written) => outcomes.extend(written),
                Err(error) if part.len() > 1 && error.is_of_one_record() => {
                    tracing::warn!(%error, submissions = part.len(), "a batch failed; writing one by one");
                    for single in part.chunks(1).rev() {
                        parts.push_front(single);
                    }
                }
                Err(error) if error.is_of_one_record() => outcomes.push(Err(error.into())),
                Err(error) => {
                    tracing::warn!(organisation = %self.org, %error, "a batch was refused");
                    let refused = outcomes.len() + part.len();
                    outcomes.extend(part.iter().map(|submission| Err(refuse(&error, submission))));
                    outcomes.extend(refuse_all(&error.into_refusal(), submissions.len() - refused));
                    break;
                }
            }
        }
        outcomes
    }

    /// Writes submissions in one transaction. If the database fails, the transaction is repeated. That is safe: a commit
    /// that the database has not confirmed is found by the ids of its records.
    async fn write_part(
        &mut self,
        submissions: &[Submission],
        unconfirmed: &mut HashSet<StatementId>,
    ) -> Result<Vec<Outcome>, StoreError> {
        // Each part has the whole time: the time that earlier parts took to be written is no sign of a fault.
        let attempts = self.store.attempts();
        let mut outcome_is_unknown = false;
        loop {
            let wait = attempts.time_left();
            let error = match self.write_once(submissions, wait, unconfirmed).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(error) => error,
            };
            outcome_is_unknown |= matches!(error, StoreError::UnknownOutcome(_));
            if !attempts.again(&error).await {
                return Err(error.after(outcome_is_unknown));
            }
            tracing::info!(organisation = %self.org, %error, "a batch is written again");
        }
    }

    async fn write_once(
        &mut self,
        submissions: &[Submission],
        wait: Duration,
        unconfirmed: &mut HashSet<StatementId>,
    ) -> Result<Vec<Outcome>, StoreError> {
        // If the transaction fails, the cache is dropped: it may contain what the transaction would have created.
        let mut cache = self.take_cache();
        let mut tx = self.store.write_within(&self.org, wait).await?;
        cache.refresh(tx.cache_version());
        let mut planned = plan_attempts(&mut tx, submissions).await?;
        let refused = std::mem::take(&mut planned.refused);
        let (mut accepted, mut outcomes, sessions) =
            accept(&mut tx, &planned.submissions, unconfirmed).await?;
        for (submission, error) in refused {
            if let Some(outcome) = outcomes.get_mut(submission) {
                *outcome = Err(error);
            }
        }
        // The statements that Rollbook adds as the LMS of cmi5.
        let added = sessions.write(&mut tx, &accepted).await?;
        accepted.extend(accept_all(added.as_slice()));
        let has_steps = tx.store_import_steps(submissions, &outcomes).await?;
        if has_steps || planned.changes_attempts() || !accepted.is_empty() {
            let ids: Vec<StatementId> = accepted.iter().map(Accepted::id).collect();
            if !accepted.is_empty() {
                write_accepted(&mut tx, &mut cache, accepted).await?;
            }
            tx.write_attempts(&planned, &outcomes).await?;
            cache.set_version(tx.cache_version());
            let committed = tx.commit().await;
            if matches!(committed, Err(StoreError::UnknownOutcome(_))) {
                unconfirmed.extend(ids);
            }
            committed?;
        }
        self.cache = cache;
        Ok(outcomes)
    }
}

/// The outcome of a submission whose transaction failed.
fn refuse(error: &StoreError, submission: &Submission) -> RecordError {
    let cause = error.repeat();
    if let StoreError::UnknownOutcome(_) = cause {
        let ids = submission.records.iter().map(|record| record.id).collect();
        return RecordError::Unconfirmed { ids, cause };
    }
    cause.into()
}

/// The same error as the outcome of several submissions.
fn refuse_all(error: &StoreError, count: usize) -> impl Iterator<Item = Outcome> {
    std::iter::repeat_with(|| Err(error.repeat().into())).take(count)
}

/// Splits the submissions into parts that can be written in one transaction each. A submission that marks a user for
/// the same content as an earlier one begins a new part: the log shows only after the earlier one whether the mark is
/// still needed.
fn split_into_parts(submissions: &[Submission]) -> Vec<&[Submission]> {
    let (mut parts, mut begin) = (Vec::with_capacity(1), 0);
    let mut marked = HashSet::new();
    for (index, submission) in submissions.iter().enumerate() {
        let marks: Vec<_> = submission
            .completion_checks()
            .map(CompletionCheck::keys)
            .collect();
        if marks.iter().any(|mark| marked.contains(mark)) {
            parts.push(&submissions[begin..index]);
            begin = index;
            marked.clear();
        }
        marked.extend(marks);
    }
    if begin < submissions.len() {
        parts.push(&submissions[begin..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::base::ids::UserId;
    use crate::record::{Limits, Version, parse_statement};
    use crate::store::ingest::submission::{CompletionMark, Incoming, Sameness};

    /// A submission that marks each user for a content.
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
                check: CompletionCheck::from_keys(*pair),
                by: UserId::new("ada").expect("an id"),
                note: None,
            }),
            voids_first: false,
        });
        Submission {
            org: OrgId::new("acme").expect("an id"),
            records: records.collect(),
            authority: String::new(),
            version: "1.0.0",
            sender: String::new(),
            adds_definitions: false,
            session: None,
            attachments: Vec::new(),
            import: None,
            attempt: None,
        }
    }

    #[test]
    fn repeated_mark_of_a_user_waits_for_the_next_part() {
        let submissions = [
            marking(&[(1, 7), (2, 7)]),
            marking(&[]),
            marking(&[(3, 7), (1, 8)]),
            marking(&[(2, 7), (4, 7)]),
            marking(&[(1, 7)]),
            marking(&[(4, 7)]),
        ];
        let lengths: Vec<usize> = split_into_parts(&submissions)
            .iter()
            .map(|part| part.len())
            .collect();
        assert_eq!(lengths, [3, 2, 1]);
        assert!(split_into_parts(&[]).is_empty());
    }
}
