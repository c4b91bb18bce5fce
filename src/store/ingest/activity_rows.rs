//! Writing rows of the log.

use std::collections::HashMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fold_if_different;
use crate::base::ids::{StatementId, UserId};
use crate::log::answers::count_answers;
use crate::log::{Action, ContentFacts, ContentKey, Percent, PersonKey, VerbKey, VerbTable, project};
use crate::record::Origin;
use crate::store::db::StoreError;
use crate::store::db::columns::stored_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::ingest::identifier_cache::IdentifierCache;
use crate::store::ingest::stored_statement::{Named, StoredStatement};

stored_row! {
    /// A row of `activities`. The only list of its columns.
    #[derive(PartialEq)]
    pub(crate) struct ActivityRow in "activities" {
        pub(crate) org: i64 = "org",
        pub(crate) seq: i64 = "seq",
        pub(crate) id: StatementId = "id",
        pub(crate) happened_at: Timestamp = "happened_at",
        pub(crate) stored_at: Timestamp = "stored_at",
        pub(crate) person: PersonKey = "person",
        pub(crate) verb: VerbKey = "verb",
        pub(crate) content: Option<ContentKey> = "content",
        pub(crate) part: Option<String> = "part",
        pub(crate) action: Action = "action",
        pub(crate) origin: Origin = "origin",
        pub(crate) completed: bool = "completed",
        pub(crate) latest: bool = "latest",
        pub(crate) answers: i16 = "answers",
        pub(crate) success: Option<bool> = "success",
        pub(crate) completion: Option<bool> = "completion",
        pub(crate) certified: bool = "certified",
        pub(crate) scaled: Option<f64> = "scaled",
        pub(crate) raw: Option<f64> = "raw",
        pub(crate) min: Option<f64> = "min",
        pub(crate) max: Option<f64> = "max",
        pub(crate) percent: Option<Percent> = "percent",
        pub(crate) seconds: Option<i64> = "seconds",
        pub(crate) time_limit: Option<i64> = "time_limit",
        pub(crate) expired_at: Option<Timestamp> = "expired_at",
        pub(crate) certificate_expires_at: Option<Timestamp> = "certificate_expires_at",
        pub(crate) registration: Option<Uuid> = "registration",
        pub(crate) session: Option<i64> = "session",
        pub(crate) import: Option<Uuid> = "import",
        pub(crate) certificate_name: Option<String> = "certificate_name",
        pub(crate) response: Option<String> = "response",
        pub(crate) device_type: Option<String> = "device_type",
        pub(crate) recorded_by: Option<UserId> = "recorded_by",
        pub(crate) comment: Option<String> = "comment",
        pub(crate) source: Option<String> = "source",
        pub(crate) device_type_folded: Option<String> = "device_type_folded",
        pub(crate) source_folded: Option<String> = "source_folded",
    }
}

impl ActivityRow {
    /// Projects a record.
    pub(crate) fn new(
        verbs: &VerbTable,
        org: i64,
        record: &StoredStatement,
        named: Named,
        facts: Option<&ContentFacts>,
    ) -> Self {
        let projected = project(verbs, &record.statement, &record.envelope, record.stored, facts);
        let certified = projected.certificate.is_some();
        let certificate = projected.certificate.unwrap_or_default();
        Self {
            org,
            seq: record.seq,
            id: record.id,
            happened_at: projected.happened_at,
            stored_at: record.stored,
            person: PersonKey(named.actor),
            verb: VerbKey(named.verb),
            content: named.content.map(ContentKey),
            part: projected.part,
            action: projected.action,
            origin: projected.origin,
            completed: projected.completed,
            latest: false,
            answers: count_answers(verbs, &record.statement, &record.envelope),
            success: projected.success,
            completion: projected.completion,
            certified,
            scaled: projected.score.scaled,
            raw: projected.score.raw,
            min: projected.score.min,
            max: projected.score.max,
            percent: projected.score.percent,
            seconds: projected.seconds,
            time_limit: projected.time_limit,
            expired_at: projected.expired_at,
            certificate_expires_at: certificate.expires_at,
            registration: projected.registration,
            session: projected.session,
            import: projected.import,
            certificate_name: certificate.name,
            response: projected.response,
            device_type_folded: fold_if_different(projected.device_type.as_deref()),
            source_folded: fold_if_different(projected.source.as_deref()),
            device_type: projected.device_type,
            recorded_by: projected.recorded_by,
            comment: projected.comment,
            source: projected.source,
        }
    }
}

/// The rows of all records that are not voided.
pub(crate) fn project_records(
    tx: &OrgTx,
    cache: &IdentifierCache,
    records: &[StoredStatement],
    named: &[Named],
) -> Vec<ActivityRow> {
    let mut rows = Vec::with_capacity(records.len());
    for (record, named) in records.iter().zip(named).filter(|(record, _)| !record.voided) {
        let content = named.content.and_then(|key| cache.content(key));
        let facts = content.map(|content| ContentFacts {
            learning_type: content.learning_type,
            content_type: content.content_type,
            demands: content.demands.at(record.happened_at()),
            is_above_object: named.is_above_object(),
        });
        let verbs = tx.store().verbs();
        rows.push(ActivityRow::new(verbs, tx.org, record, *named, facts.as_ref()));
    }
    rows
}

/// The persons with session events among the rows.
pub(crate) fn find_session_persons(rows: &[ActivityRow]) -> Vec<i64> {
    let sessions = rows.iter().filter(|row| row.action.is_session());
    sessions.map(|row| row.person.0).collect()
}

/// The numbers of the session events among the rows.
pub(crate) fn find_session_events(rows: &[ActivityRow]) -> Vec<i64> {
    let sessions = rows.iter().filter(|row| row.action.is_session());
    sessions.map(|row| row.seq).collect()
}

/// Marks the newest completion of each person and content among the rows. Returns the numbers of the marked rows.
fn mark_newest_completions(rows: &mut [ActivityRow]) -> Vec<i64> {
    let mut newest: HashMap<(PersonKey, ContentKey), (Timestamp, i64)> = HashMap::new();
    let pair = |row: &ActivityRow| Some((row.person, row.content.filter(|_| row.completed)?));
    for row in &*rows {
        if let Some(pair) = pair(row) {
            let position = newest.entry(pair).or_insert((row.happened_at, row.seq));
            *position = (*position).max((row.happened_at, row.seq));
        }
    }
    for row in rows {
        row.latest = pair(row).is_some_and(|pair| newest.get(&pair) == Some(&(row.happened_at, row.seq)));
    }
    newest.into_values().map(|(_, seq)| seq).collect()
}

/// What replacing rows of the log changes.
#[derive(Default)]
struct Replacement {
    /// The numbers of the rows that are new or different.
    changed: Vec<i64>,
    /// The numbers of the rows that are not inserted again.
    deleted: Vec<i64>,
}

impl OrgTx {
    /// Inserts rows of the log.
    pub(crate) async fn insert_activity_rows(&mut self, rows: Vec<ActivityRow>) -> Result<(), StoreError> {
        self.note_changed_activities(rows.iter().map(|row| row.seq));
        self.insert_with_marks(rows).await
    }

    async fn insert_with_marks(&mut self, mut rows: Vec<ActivityRow>) -> Result<(), StoreError> {
        let marked = mark_newest_completions(&mut rows);
        self.insert_rows(rows).await?;
        self.unmark_older_completions(marked).await
    }

    /// Deletes rows of the log.
    pub(crate) async fn delete_activities(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        self.mark_next_completions(seqs.clone()).await?;
        self.delete_activity_rows(seqs).await
    }

    /// Replaces the rows with these numbers. A row that is inserted again as it was is no change.
    pub(crate) async fn replace_activities(
        &mut self,
        seqs: Vec<i64>,
        rows: Vec<ActivityRow>,
    ) -> Result<(), StoreError> {
        let Replacement { changed, deleted } = self.compare_with_stored(&seqs, &rows).await?;
        self.mark_next_completions(seqs.clone()).await?;
        self.take_activity_rows(seqs).await?;
        self.insert_with_marks(rows).await?;
        self.note_changed_activities(changed);
        self.note_deleted_activities(deleted);
        Ok(())
    }

    /// Compares the rows with the stored ones of these numbers. The mark of the newest completion does not count.
    async fn compare_with_stored(
        &mut self,
        seqs: &[i64],
        rows: &[ActivityRow],
    ) -> Result<Replacement, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM activities WHERE org = $1 AND seq IN LIST($2)",
            ActivityRow::COLUMNS
        ));
        let stored = self.fetch_all(select.with(self.org).with(seqs.to_vec())).await?;
        let mut before = HashMap::with_capacity(stored.len());
        for row in &stored {
            if let Some(row) = skip_unreadable("activity", || name_of(row), ActivityRow::read(row))? {
                before.insert(row.seq, row);
            }
        }
        let mut replacement = Replacement::default();
        for row in rows {
            let is_same = before.remove(&row.seq).is_some_and(|mut stored| {
                stored.latest = row.latest;
                stored == *row
            });
            if !is_same {
                replacement.changed.push(row.seq);
            }
        }
        replacement.deleted = before.into_keys().collect();
        Ok(replacement)
    }
}
