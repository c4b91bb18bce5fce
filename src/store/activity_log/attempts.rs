//! Attempts at an exercise: pages and all of them, with what is shown of their statements; and the attached files.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::{Stream, stream};
use tokio::time::Instant;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::log::activity::ActivityScore;
use crate::log::attempts::{
    AttachedFile, AttemptRows, Grade, Grader, Submission, SubmittedWork, by_anchor, group_attempts,
};
use crate::log::row::full_name;
use crate::log::{Action, PersonKey, Position, Recorder, ResultFilter, Row, Sort};
use crate::record::attachment::hex_to_bytes;
use crate::record::{Actor, Attachment};

use crate::store::activity_log::content_records::{ContentRecords, StoredBody, Walk, push_from};
use crate::store::activity_log::log::{push_order, select_rows};
use crate::store::db::blobs::BlobKey;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::activity_rows::ActivityRow;
use crate::store::ingest::persons::digest_of;
use crate::store::ingest::stored_statement::read_statement;

/// The most rows of the log that are read at once.
const ROWS_PER_BATCH: i64 = 50;
/// The most attempts that are remembered from batch to batch. More are forgotten when others are needed.
const MAX_KNOWN: usize = 50_000;

columns! {
    /// A `submitted` or `graded`.
    #[derive(Debug, Clone, Copy)]
    struct SubmissionRow {
        seq: i64 = "a.seq",
        happened_at: Timestamp = "a.happened_at",
        person: PersonKey = "a.person",
        registration: Option<Uuid> = "a.registration",
        action: Action = "a.action",
        success: Option<bool> = "a.success",
    }
}

impl SubmissionRow {
    fn position(&self) -> Position {
        Position {
            happened_at: self.happened_at,
            seq: self.seq,
        }
    }
}

/// An attempt with its records.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The place in the list.
    pub position: Position,
    /// The person.
    pub person: PersonKey,
    /// The registration.
    pub registration: Option<Uuid>,
    /// The `submitted`.
    pub submitted: Option<SubmissionRecord>,
    /// The last `graded`.
    pub graded: Option<SubmissionRecord>,
}

/// A `submitted` or `graded` with what is shown of its statement.
#[derive(Debug, Clone)]
pub struct SubmissionRecord {
    /// The row of the log.
    pub row: Row,
    /// The instructor that the statement names.
    pub instructor: Option<Grader>,
    /// The attached files, each with whether its content is stored.
    pub files: Vec<(Attachment, bool)>,
}

impl SubmissionRecord {
    /// What was submitted, as JSON.
    pub fn to_work(&self, files: Vec<AttachedFile>) -> SubmittedWork {
        let projected = &self.row.projected;
        SubmittedWork {
            activity: self.row.id,
            happened_at: projected.happened_at,
            response: projected.response.clone(),
            comment: projected.comment.clone(),
            files,
        }
    }

    /// How it was graded, as JSON. `recorder` is the user of `recorded_by`.
    pub fn to_grade(&self, recorder: Option<&Recorder>, files: Vec<AttachedFile>) -> Grade {
        let projected = &self.row.projected;
        let recorder = recorder.map(|recorder| Grader {
            id: Some(recorder.id.as_str().to_owned()),
            name: recorder.name.clone(),
        });
        Grade {
            activity: self.row.id,
            happened_at: projected.happened_at,
            graded_by: recorder.or_else(|| self.instructor.clone()),
            success: projected.success,
            score: ActivityScore::new(projected),
            comment: projected.comment.clone().or_else(|| projected.response.clone()),
            files,
        }
    }
}

/// A stored file of a statement.
#[derive(Debug, Clone)]
pub struct StoredFile {
    /// The title of the file.
    pub title: Option<String>,
    /// The media type.
    pub content_type: String,
    /// The number of bytes.
    pub length: u64,
    /// The key of the content.
    pub blob: BlobKey,
}

/// Reads the attempts in the order of their rows, batch by batch.
pub struct SubmissionReader {
    records: ContentRecords,
    results: Vec<ResultFilter>,
    sort: Sort,
    /// Where the reader began.
    begin: Option<Position>,
    after: Option<Position>,
    /// When a page stops to look for further attempts.
    deadline: Option<Instant>,
    has_more: bool,
    attempts: VecDeque<(SubmissionRow, AttemptRows)>,
    known: KnownAttempts,
}

/// The attempts of the persons and registrations of earlier batches. Without it, each batch would read all rows of a
/// person with many attempts again.
#[derive(Default)]
struct KnownAttempts {
    groups: HashSet<(PersonKey, Option<Uuid>)>,
    /// The attempts by the `seq` of the row that stands for each.
    attempts: HashMap<i64, AttemptRows>,
    /// The success of each grade.
    grades: HashMap<i64, Option<bool>>,
}

impl SubmissionReader {
    /// Ends the list at this time, but not before the first batch is read.
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The place up to which everything is read, if the deadline ended the list.
    pub fn stopped_at(&self) -> Option<Position> {
        self.after.filter(|_| self.has_more)
    }

    fn is_over(&self) -> bool {
        self.after != self.begin && self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The next attempts, at most `limit`. An empty list is the end, or the deadline has passed
    /// ([`SubmissionReader::stopped_at`]).
    pub async fn next_attempts(&mut self, limit: usize) -> Result<Vec<AttemptRecord>, StoreError> {
        loop {
            while self.attempts.is_empty() && self.has_more {
                if self.is_over() {
                    return Ok(Vec::new());
                }
                self.read_batch().await?;
            }
            if self.attempts.is_empty() {
                return Ok(Vec::new());
            }
            let count = limit.clamp(1, self.attempts.len());
            let attempts: Vec<_> = self.attempts.drain(..count).collect();
            // Rows of which nothing can be read are left out.
            let records = self.records.load_attempts(&attempts).await?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// The number of all further attempts.
    pub async fn count(mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        while self.has_more {
            self.read_batch().await?;
            count += self.attempts.drain(..).count() as u64;
        }
        Ok(count)
    }

    /// The attempts as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<AttemptRecord>, StoreError>> + Send + 'static {
        stream::try_unfold(self, async |mut reader| {
            let attempts = reader.next_attempts(ROWS_PER_BATCH as usize).await?;
            Ok((!attempts.is_empty()).then_some((attempts, reader)))
        })
    }

    async fn read_batch(&mut self) -> Result<(), StoreError> {
        let Some(sql) = self.records.submissions_query(self.sort, self.after) else {
            self.has_more = false;
            return Ok(());
        };
        let rows: Vec<SubmissionRow> = self.records.store.db().fetch_rows(sql).await?;
        let after = self.after;
        let rows: Vec<_> = rows
            .into_iter()
            .filter(|row| Some(row.position()) != after)
            .collect();
        let Some(last) = rows.last() else {
            self.has_more = false;
            return Ok(());
        };
        self.after = Some(last.position());
        self.load_known(&rows).await?;
        let passes = |attempt: &AttemptRows| {
            let grades = &self.known.grades;
            let success = attempt.graded.and_then(|seq| grades.get(&seq).copied().flatten());
            let wanted = |result: &ResultFilter| success == Some(result.success());
            self.results.is_empty() || self.results.iter().any(wanted)
        };
        for row in rows {
            let attempt = self.known.attempts.get(&row.seq).copied();
            self.attempts
                .extend(attempt.filter(passes).map(|attempt| (row, attempt)));
        }
        Ok(())
    }

    /// Finds the attempts of the persons and registrations of these rows that are not known yet.
    async fn load_known(&mut self, rows: &[SubmissionRow]) -> Result<(), StoreError> {
        let key = |row: &SubmissionRow| (row.person, row.registration);
        if rows.iter().all(|row| self.known.groups.contains(&key(row))) {
            return Ok(());
        }
        if self.known.attempts.len().max(self.known.grades.len()) > MAX_KNOWN {
            self.known = KnownAttempts::default();
        }
        let rows = rows.iter().filter(|row| !self.known.groups.contains(&key(row)));
        let rows: Vec<SubmissionRow> = rows.copied().collect();
        let (attempts, grades) = self.records.find_attempts(&rows).await?;
        self.known.attempts.extend(attempts);
        self.known.grades.extend(grades);
        self.known.groups.extend(rows.iter().map(key));
        Ok(())
    }
}

impl ContentRecords {
    /// Reads the attempts after a position. An attempt is at the position of its `submitted`, else of its `graded`.
    pub fn read_submissions(
        &self,
        sort: Sort,
        after: Option<Position>,
        results: Vec<ResultFilter>,
    ) -> SubmissionReader {
        SubmissionReader {
            records: self.clone(),
            results,
            sort,
            begin: after,
            after,
            deadline: None,
            has_more: true,
            attempts: VecDeque::new(),
            known: KnownAttempts::default(),
        }
    }

    fn submissions_query(&self, sort: Sort, after: Option<Position>) -> Option<Sql> {
        let mut sql = self.select(SubmissionRow::COLUMNS, Walk::Time)?;
        if let Some(position) = after {
            push_from(&mut sql, sort, position);
        }
        push_order(&mut sql, sort);
        // One more than a batch: the first row is the last one of the batch before.
        sql.push(" LIMIT ").bind(ROWS_PER_BATCH + 1);
        Some(sql)
    }

    /// The database's plan of each query, with the name of the query.
    pub async fn explain_submissions(&self) -> Result<Vec<(&'static str, Vec<String>)>, StoreError> {
        let mut plans = Vec::new();
        for (name, sql) in [
            ("page", self.submissions_query(Sort::NewestFirst, None)),
            (
                "persons",
                self.select_all_of(SubmissionRow::COLUMNS, vec![1, 2, 3]),
            ),
        ] {
            if let Some(sql) = sql {
                plans.push((name, self.store.db().explain(sql).await?));
            }
        }
        Ok(plans)
    }

    /// The attempts of which a row stands for one, by the `seq` of that row, and the success of each grade.
    async fn find_attempts(
        &self,
        rows: &[SubmissionRow],
    ) -> Result<(HashMap<i64, AttemptRows>, HashMap<i64, Option<bool>>), StoreError> {
        let persons: HashSet<i64> = rows.iter().map(|row| row.person.0).collect();
        let owners = self.find_owners(persons.into_iter().collect()).await?;
        let all = owners.keys().map(|person| person.0).collect();
        let Some(mut sql) = self.select_all_of(SubmissionRow::COLUMNS, all) else {
            return Ok((HashMap::new(), HashMap::new()));
        };
        // Only the registrations of these rows matter.
        let registrations: HashSet<Uuid> = rows.iter().filter_map(|row| row.registration).collect();
        sql.push(" AND (a.registration")
            .any_of(registrations.into_iter().collect::<Vec<_>>());
        sql.push(match rows.iter().any(|row| row.registration.is_none()) {
            true => " OR a.registration IS NULL)",
            false => ")",
        });
        let found: Vec<SubmissionRow> = self.store.db().fetch_rows(sql).await?;
        let grades = found.iter().filter(|row| row.action == Action::Graded);
        let grades = grades.map(|row| (row.seq, row.success)).collect();
        let to_submission = |row: SubmissionRow| Submission {
            owner: owners.get(&row.person).copied().unwrap_or(-row.person.0),
            registration: row.registration,
            position: row.position(),
            is_grade: row.action == Action::Graded,
        };
        let attempts = group_attempts(found.into_iter().map(to_submission).collect());
        Ok((by_anchor(attempts), grades))
    }

    /// Loads what is shown of attempts.
    async fn load_attempts(
        &self,
        attempts: &[(SubmissionRow, AttemptRows)],
    ) -> Result<Vec<AttemptRecord>, StoreError> {
        let seqs: Vec<i64> = attempts
            .iter()
            .flat_map(|(_, attempt)| attempt.submitted.into_iter().chain(attempt.graded))
            .collect();
        let mut sql = select_rows(self.org, ActivityRow::COLUMNS);
        sql.push(" WHERE a.org = $1 AND a.seq").any_of(seqs.clone());
        let rows: Vec<ActivityRow> = self.store.db().fetch_rows(sql).await?;
        let bodies = self.read_bodies(seqs).await?;
        let stored = self.find_stored_files(bodies.values()).await?;
        let graders = self.find_graders(bodies.values()).await?;
        let mut records: HashMap<i64, SubmissionRecord> = HashMap::new();
        for row in rows {
            let row = Row::from(row);
            let body = bodies.get(&row.seq);
            let instructor = body.and_then(instructor);
            let record = SubmissionRecord {
                instructor: instructor.map(|actor| to_grader(actor, &graders)),
                files: body.map(|body| files(body, &stored)).unwrap_or_default(),
                row,
            };
            records.insert(record.row.seq, record);
        }
        let mut loaded = Vec::with_capacity(attempts.len());
        for (row, attempt) in attempts {
            let record = AttemptRecord {
                position: row.position(),
                person: row.person,
                registration: row.registration,
                submitted: attempt.submitted.and_then(|seq| records.remove(&seq)),
                graded: attempt.graded.and_then(|seq| records.remove(&seq)),
            };
            if record.submitted.is_some() || record.graded.is_some() {
                loaded.push(record);
            }
        }
        Ok(loaded)
    }

    /// The digests of the attached files whose contents are stored.
    async fn find_stored_files(
        &self,
        bodies: impl Iterator<Item = &StoredBody>,
    ) -> Result<HashSet<Vec<u8>>, StoreError> {
        let digests: HashSet<Vec<u8>> = bodies
            .flat_map(|body| body.statement.declared_attachments())
            .map(|(_, attachment)| hex_to_bytes(&attachment.sha2))
            .collect();
        if digests.is_empty() {
            return Ok(digests);
        }
        let select = Sql::new("SELECT sha2 FROM attachments WHERE org = $1 AND sha2 IN LIST($2)");
        let digests: Vec<Vec<u8>> = digests.into_iter().collect();
        let rows: Vec<(Vec<u8>,)> = self
            .store
            .db()
            .fetch_rows(select.with(self.org).with(digests))
            .await?;
        Ok(rows.into_iter().map(|(digest,)| digest).collect())
    }

    /// The users that are instructors, by the digests of their identifiers.
    async fn find_graders(
        &self,
        bodies: impl Iterator<Item = &StoredBody>,
    ) -> Result<HashMap<Vec<u8>, Grader>, StoreError> {
        let identifiers = bodies
            .filter_map(instructor)
            .filter_map(|actor| actor.identifier.as_ref());
        let digests: HashSet<Vec<u8>> = identifiers.map(digest_of).collect();
        if digests.is_empty() {
            return Ok(HashMap::new());
        }
        let select = Sql::new(
            "SELECT p.digest, u.id, u.first_name, u.last_name FROM persons p \
             JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.digest IN LIST($2) AND p.valid_until IS NULL",
        );
        let digests: Vec<Vec<u8>> = digests.into_iter().collect();
        let rows: Vec<GraderRow> = self
            .store
            .db()
            .fetch_rows(select.with(self.org).with(digests))
            .await?;
        let to_entry = |(digest, id, first, last): GraderRow| {
            let name = full_name(first.as_deref(), last.as_deref());
            (digest, Grader { id: Some(id), name })
        };
        Ok(rows.into_iter().map(to_entry).collect())
    }
}

/// The digest of an identifier, and the id, the first and the last name of its user.
type GraderRow = (Vec<u8>, String, Option<String>, Option<String>);

/// The instructor that a statement names.
fn instructor(body: &StoredBody) -> Option<&Actor> {
    body.statement.context.as_ref()?.instructor.as_ref()
}

/// The user with the identifier of the actor, else what the statement says of the actor.
fn to_grader(actor: &Actor, users: &HashMap<Vec<u8>, Grader>) -> Grader {
    let identifier = actor.identifier.as_ref();
    let user = identifier.and_then(|identifier| users.get(&digest_of(identifier)));
    user.cloned().unwrap_or_else(|| Grader {
        id: None,
        name: actor
            .name
            .clone()
            .or_else(|| Some(identifier?.short_name().to_owned())),
    })
}

/// The attached files of a statement.
fn files(body: &StoredBody, stored: &HashSet<Vec<u8>>) -> Vec<(Attachment, bool)> {
    let is_missing = |attachment: &Attachment| {
        let mut missing = body.envelope.without_content.iter();
        missing.any(|sha2| sha2.eq_ignore_ascii_case(&attachment.sha2))
    };
    let attachments = body
        .statement
        .declared_attachments()
        .map(|(_, attachment)| attachment);
    attachments
        .map(|attachment| {
            let is_stored = !is_missing(attachment) && stored.contains(&hex_to_bytes(&attachment.sha2));
            (attachment.clone(), is_stored)
        })
        .collect()
}

impl Store {
    /// Finds the stored file at this index of the attachments of a statement that is in the log. The caller must have the
    /// right to read it.
    pub async fn find_file(
        &self,
        organisation: &OrgId,
        statement: StatementId,
        index: usize,
    ) -> Result<Option<StoredFile>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(
            "SELECT s.body FROM statements s JOIN activities a ON a.org = s.org AND a.seq = s.seq \
             WHERE s.org = $1 AND s.id = $2",
        );
        let Some((body,)) = self
            .db()
            .fetch_row::<(Vec<u8>,)>(select.with(org).with(statement.0))
            .await?
        else {
            return Ok(None);
        };
        let parsed = read_statement(&body)?;
        let Some((_, attachment)) = parsed.declared_attachments().nth(index) else {
            return Ok(None);
        };
        let select = Sql::new("SELECT blob, length FROM attachments WHERE org = $1 AND sha2 = $2");
        let select = select.with(org).with(hex_to_bytes(&attachment.sha2));
        let found: Option<(i64, i64)> = self.db().fetch_row(select).await?;
        Ok(found.map(|(blob, length)| StoredFile {
            title: attachment.display.pick_english_first().map(str::to_owned),
            content_type: attachment.content_type.clone(),
            length: u64::try_from(length).unwrap_or(0),
            blob: BlobKey::new(org, blob),
        }))
    }
}
