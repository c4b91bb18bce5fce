//! The answers to the questions of a content: a page, all of them, their number, and by attempts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fault::Place;
use crate::base::ids::StatementId;
use crate::base::json;
use crate::log::answers::attempt::{AnsweredRecord, Attempt, AttemptGrouper};
use crate::log::answers::statistics::QuestionCounter;
use crate::log::answers::{Answer, find_answers, needs_catalogue};
use crate::log::{PersonKey, Position, ResultFilter, Sort};
use crate::record::Definition;

use crate::store::activity_log::content_records::{
    ContentRecords, StoredBody, Walk, piece_length, push_from,
};
use crate::store::activity_log::log::push_order;
use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::row_stream::{RowReader, SkippedRows};
use crate::store::db::unreadable::report_unreadable;

/// The most persons whose attempts are found at once.
const PERSONS_PER_BATCH: i64 = 50;
/// The most rows whose attempts are found at once, if they belong to several users.
const ROWS_PER_BATCH: i64 = 5_000;
/// The most bytes of the definitions of the catalogue that are cached. A fuller cache is emptied.
const MAX_DEFINITION_BYTES: usize = 4 * 1024 * 1024;

columns! {
    /// A row of the log with answers.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct AnswerRow {
        seq: i64 = "a.seq",
        id: StatementId = "a.id",
        happened_at: Timestamp = "a.happened_at",
        person: PersonKey = "a.person",
        registration: Option<Uuid> = "a.registration",
        bytes: i64 = "COALESCE((SELECT CAST(octet_length(s.body) + octet_length(s.envelope) AS BIGINT) \
             FROM statements s WHERE s.org = $1 AND s.seq = a.seq), 0)",
    }
}

impl AnswerRow {
    fn position(&self) -> Position {
        Position {
            happened_at: self.happened_at,
            seq: self.seq,
        }
    }
}

/// A record with its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRecord {
    /// The statement's id.
    pub id: StatementId,
    /// The place in the log.
    pub position: Position,
    /// The person.
    pub person: PersonKey,
    /// The registration.
    pub registration: Option<Uuid>,
    /// Whether the answers came in the short form.
    pub is_short_form: bool,
    /// The answers, in their order.
    pub answers: Vec<Answer>,
}

impl AnswerRecord {
    /// Removes the answers without one of the results. An empty list keeps all.
    pub fn keep(&mut self, results: &[ResultFilter]) {
        self.answers.retain(|answer| answer.has_result(results));
    }
}

/// The definitions of questions in the catalogue, by the keys of the questions.
#[derive(Default)]
struct Definitions {
    known: HashMap<i64, Option<Definition>>,
    bytes: usize,
}

/// Reads records with answers in the order of their rows, piece by piece.
pub struct AnswerReader {
    records: ContentRecords,
    rows: VecDeque<AnswerRow>,
    chunks: Pin<Box<dyn Stream<Item = Result<Vec<AnswerRow>, StoreError>> + Send>>,
    definitions: Definitions,
    last: Option<Position>,
}

impl AnswerReader {
    /// A reader of these rows only.
    fn of_rows(records: ContentRecords, rows: Vec<AnswerRow>) -> Self {
        Self {
            records,
            rows: rows.into(),
            chunks: stream::empty().boxed(),
            definitions: Definitions::default(),
            last: None,
        }
    }

    /// A reader of all rows of a query.
    fn of_query(records: ContentRecords, sql: Option<Sql>, skipped: &SkippedRows) -> Self {
        let reader = RowReader {
            read: AnswerRow::read,
            bytes: |_| 0,
            copied: None,
        };
        let (db, runtime) = (records.store.db().clone(), records.store.runtime().clone());
        let chunks = sql.map(|sql| db.stream(&runtime, sql, reader, skipped.clone()));
        Self {
            chunks: stream::iter(chunks).flatten().boxed(),
            ..Self::of_rows(records, Vec::new())
        }
    }

    /// The next records, without those that cannot be read. `None` is the end.
    pub async fn next_piece(&mut self) -> Result<Option<Vec<AnswerRecord>>, StoreError> {
        while self.rows.is_empty() {
            match self.chunks.try_next().await? {
                Some(chunk) => self.rows.extend(chunk),
                None => return Ok(None),
            }
        }
        let length = piece_length(self.rows.iter().map(|row| row.bytes));
        let piece: Vec<AnswerRow> = self.rows.drain(..length).collect();
        self.last = piece.last().map(AnswerRow::position);
        self.records
            .load_answers(&piece, &mut self.definitions)
            .await
            .map(Some)
    }

    /// The position of the last record that was read or could not be read.
    pub fn last_position(&self) -> Option<Position> {
        self.last
    }

    /// The records as a stream of pieces.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<AnswerRecord>, StoreError>> + Send + 'static {
        stream::try_unfold(self, async |mut reader| {
            let piece = reader.next_piece().await?;
            Ok(piece.map(|piece| (piece, reader)))
        })
    }
}

impl ContentRecords {
    /// Reads all records with answers.
    pub fn read_answers(&self, sort: Sort, skipped: &SkippedRows) -> AnswerReader {
        let sql = self.answers_query(sort, None, None);
        AnswerReader::of_query(self.clone(), sql, skipped)
    }

    /// Reads up to `limit` records with answers from a position on, including the one at the position.
    pub async fn read_answers_from(
        &self,
        sort: Sort,
        from: Option<Position>,
        limit: usize,
    ) -> Result<AnswerReader, StoreError> {
        let rows = match self.answers_query(sort, from, Some(limit)) {
            Some(sql) => self.store.db().fetch_rows(sql).await?,
            None => Vec::new(),
        };
        Ok(AnswerReader::of_rows(self.clone(), rows))
    }

    fn answers_query(&self, sort: Sort, from: Option<Position>, limit: Option<usize>) -> Option<Sql> {
        let mut sql = self.select(AnswerRow::COLUMNS, Walk::Time)?;
        if let Some(position) = from {
            push_from(&mut sql, sort, position);
        }
        push_order(&mut sql, sort);
        if let Some(limit) = limit {
            sql.push(" LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        Some(sql)
    }

    /// The number of answers.
    pub async fn count_answers(&self) -> Result<u64, StoreError> {
        let Some(sql) = self.select("CAST(COALESCE(SUM(a.answers), 0) AS BIGINT)", Walk::Time) else {
            return Ok(0);
        };
        let count = self.store.long_db().count(sql).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The number of answers with one of the results. It reads all answers.
    pub async fn count_answers_with(&self, results: &[ResultFilter]) -> Result<u64, StoreError> {
        let mut reader = self.read_answers(Sort::OldestFirst, &SkippedRows::default());
        let mut count = 0;
        while let Some(piece) = reader.next_piece().await? {
            let answers = piece.iter().flat_map(|record| &record.answers);
            count += answers.filter(|answer| answer.has_result(results)).count() as u64;
        }
        Ok(count)
    }

    /// Counts the answers with one of the results by question.
    pub async fn count_questions(&self, results: &[ResultFilter]) -> Result<QuestionCounter, StoreError> {
        let mut counter = QuestionCounter::default();
        let mut reader = self.read_answers(Sort::OldestFirst, &SkippedRows::default());
        while let Some(piece) = reader.next_piece().await? {
            let answers = piece.iter().flat_map(|record| &record.answers);
            answers
                .filter(|answer| answer.has_result(results))
                .for_each(|answer| counter.add(answer));
        }
        Ok(counter)
    }

    /// The database's plan of each query, with the name of the query.
    pub async fn explain_answers(&self) -> Result<Vec<(&'static str, Vec<String>)>, StoreError> {
        let from = Position {
            happened_at: self.now(),
            seq: i64::MAX,
        };
        let mut plans = Vec::new();
        for (name, sql) in [
            (
                "page",
                self.answers_query(Sort::NewestFirst, Some(from), Some(51)),
            ),
            ("all", self.answers_query(Sort::OldestFirst, None, None)),
            ("persons", self.persons_query(0)),
        ] {
            if let Some(sql) = sql {
                plans.push((name, self.store.db().explain(sql).await?));
            }
        }
        Ok(plans)
    }

    async fn load_answers(
        &self,
        rows: &[AnswerRow],
        definitions: &mut Definitions,
    ) -> Result<Vec<AnswerRecord>, StoreError> {
        let mut bodies = self.read_bodies(rows.iter().map(|row| row.seq).collect()).await?;
        self.load_definitions(bodies.values(), definitions).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(body) = bodies.remove(&row.seq) else {
                continue;
            };
            let catalogue = body.object.and_then(|key| definitions.known.get(&key)?.as_ref());
            records.push(AnswerRecord {
                id: row.id,
                position: row.position(),
                person: row.person,
                registration: row.registration,
                is_short_form: !body.envelope.responses.is_empty(),
                answers: find_answers(self.store.verbs(), &body.statement, &body.envelope, catalogue),
            });
        }
        Ok(records)
    }

    /// Loads the definitions that the catalogue has of the questions, where they can add something.
    async fn load_definitions(
        &self,
        bodies: impl Iterator<Item = &StoredBody>,
        definitions: &mut Definitions,
    ) -> Result<(), StoreError> {
        if definitions.bytes > MAX_DEFINITION_BYTES {
            *definitions = Definitions::default();
        }
        let needed: HashSet<i64> = bodies
            .filter(|body| needs_catalogue(&body.statement, &body.envelope))
            .filter_map(|body| body.object)
            .filter(|key| !definitions.known.contains_key(key))
            .collect();
        if needed.is_empty() {
            return Ok(());
        }
        let select =
            Sql::new("SELECT c.key, c.definition FROM contents c WHERE c.org = $1 AND c.key IN LIST($2)");
        let keys: Vec<i64> = needed.into_iter().collect();
        let rows: Vec<(i64, Option<String>)> = self
            .store
            .db()
            .fetch_rows(select.with(self.org).with(keys))
            .await?;
        for (key, text) in rows {
            let definition = text.as_deref().and_then(|text| read_definition(key, text));
            definitions.bytes += text.map_or(0, |text| text.len());
            definitions.known.insert(key, definition);
        }
        Ok(())
    }

    /// The query for the next persons with answers.
    fn persons_query(&self, after: i64) -> Option<Sql> {
        let mut sql = self.select("DISTINCT a.person", Walk::Persons)?;
        sql.push(" AND a.person > ").bind(after);
        sql.push(" ORDER BY a.person LIMIT ").bind(PERSONS_PER_BATCH);
        Some(sql)
    }

    /// Reads the attempts person by person, in the order of the first person of each user. `after` is the last person of
    /// the attempts before.
    pub fn read_attempts(&self, after: i64, results: Vec<ResultFilter>) -> AttemptReader {
        AttemptReader {
            answers: AnswerReader::of_rows(self.clone(), Vec::new()),
            begin: after,
            after,
            done: after,
            deadline: None,
            is_at_end: false,
            results,
            owners: HashMap::new(),
            waiting: VecDeque::new(),
            places: HashMap::new(),
            grouper: AttemptGrouper::default(),
            found: VecDeque::new(),
        }
    }
}

/// Reads a definition of the catalogue. One that cannot be read is named in the log and counts as missing.
fn read_definition(key: i64, text: &str) -> Option<Definition> {
    let node = json::parse_stored(text);
    let definition = node.and_then(|node| Definition::from_node(&node, &Place::Root));
    definition
        .map_err(|fault| report_unreadable("definition", key, &fault.to_string()))
        .ok()
}

/// The persons of one owner, whose rows are not read yet.
struct WaitingOwner {
    /// The first person.
    place: i64,
    persons: Vec<i64>,
    /// The number of the rows.
    rows: i64,
}

/// Reads attempts, person by person. The memory is that of the rows of a few persons.
pub struct AttemptReader {
    answers: AnswerReader,
    /// Where the reader began.
    begin: i64,
    /// The last person of the present batch.
    after: i64,
    /// The place of the last owner whose rows are read.
    done: i64,
    /// When a page stops to look for further attempts.
    deadline: Option<Instant>,
    is_at_end: bool,
    results: Vec<ResultFilter>,
    /// The owner of each person of the present batch.
    owners: HashMap<PersonKey, i64>,
    /// The owners of the present batch whose rows are not read yet, in the order of their places.
    waiting: VecDeque<WaitingOwner>,
    /// The first person of each owner.
    places: HashMap<i64, i64>,
    grouper: AttemptGrouper,
    found: VecDeque<(i64, Attempt)>,
}

impl AttemptReader {
    /// Ends the list at this time, but not before a further person is read.
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The person up to which everything is read, if the deadline ended the list.
    pub fn stopped_at(&self) -> Option<i64> {
        (!self.is_at_end).then_some(self.done)
    }

    /// Whether the deadline has passed. A page after a person reads this person again, which is no progress.
    fn is_over(&self) -> bool {
        let has_progress = self.done > self.begin.saturating_add(1);
        has_progress && self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The next attempts, at most `limit`, each with the first person of its owner. An empty list is the end, or the
    /// deadline has passed ([`AttemptReader::stopped_at`]).
    pub async fn next_attempts(&mut self, limit: usize) -> Result<Vec<(i64, Attempt)>, StoreError> {
        let mut attempts = Vec::new();
        attempts.extend(self.next_attempt().await?);
        let others = limit.saturating_sub(attempts.len()).min(self.found.len());
        attempts.extend(self.found.drain(..others));
        Ok(attempts)
    }

    /// The next attempt, with the first person of its owner.
    pub async fn next_attempt(&mut self) -> Result<Option<(i64, Attempt)>, StoreError> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            match self.answers.next_piece().await? {
                Some(piece) => {
                    for record in piece {
                        self.add(record);
                    }
                }
                None => {
                    let last = self.grouper.finish();
                    self.push(last);
                    if self.found.is_empty() && (self.is_over() || !self.read_batch().await?) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The attempts as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<Attempt>, StoreError>> + Send + 'static {
        stream::try_unfold(self, async |mut reader| {
            let found = reader.next_attempts(PERSONS_PER_BATCH as usize).await?;
            let attempts: Vec<Attempt> = found.into_iter().map(|(_, attempt)| attempt).collect();
            Ok((!attempts.is_empty()).then_some((attempts, reader)))
        })
    }

    fn push(&mut self, attempt: Option<Attempt>) {
        if let Some(attempt) = attempt {
            let place = self.places.get(&attempt.owner()).copied().unwrap_or_default();
            self.found.push_back((place, attempt));
        }
    }

    fn add(&mut self, mut record: AnswerRecord) {
        record.keep(&self.results);
        let ended = self.grouper.add(AnsweredRecord {
            owner: self
                .owners
                .get(&record.person)
                .copied()
                .unwrap_or(-record.person.0),
            person: record.person,
            registration: record.registration,
            happened_at: record.position.happened_at,
            is_short_form: record.is_short_form,
            answers: record.answers,
        });
        self.push(ended);
    }

    /// Reads the rows of the next owners. Returns false if there are none.
    async fn read_batch(&mut self) -> Result<bool, StoreError> {
        if self.waiting.is_empty() && !self.find_next_owners().await? {
            self.is_at_end = true;
            return Ok(false);
        }
        let (mut persons, mut count) = (Vec::new(), 0);
        let fits = |owner: &WaitingOwner, count: i64| count == 0 || count + owner.rows <= ROWS_PER_BATCH;
        while self.waiting.front().is_some_and(|owner| fits(owner, count)) {
            let Some(owner) = self.waiting.pop_front() else {
                break;
            };
            persons.extend(owner.persons);
            count += owner.rows;
            self.done = owner.place;
        }
        if self.waiting.is_empty() {
            self.done = self.after;
        }
        let records = &self.answers.records;
        let Some(mut sql) = records.select(AnswerRow::COLUMNS, Walk::Persons) else {
            return Ok(true);
        };
        sql.push(" AND a.person").any_of(persons);
        let mut rows: Vec<AnswerRow> = records.store.db().fetch_rows(sql).await?;
        let owner = |row: &AnswerRow| self.owners.get(&row.person).copied().unwrap_or(-row.person.0);
        let place = |row: &AnswerRow| self.places.get(&owner(row)).copied().unwrap_or_default();
        rows.sort_unstable_by_key(|row| (place(row), row.registration, row.happened_at, row.seq));
        self.answers.rows = rows.into();
        Ok(true)
    }

    /// Finds the owners of the next persons. Returns false if there are no more persons.
    async fn find_next_owners(&mut self) -> Result<bool, StoreError> {
        let records = &self.answers.records;
        let db = records.store.db();
        let Some(sql) = records.persons_query(self.after) else {
            return Ok(false);
        };
        let batch: Vec<(i64,)> = db.fetch_rows(sql).await?;
        let Some((last,)) = batch.last().copied() else {
            return Ok(false);
        };
        self.owners = records
            .find_owners(batch.iter().map(|(key,)| *key).collect())
            .await?;
        let Some(mut sql) = records.select("a.person, COUNT(*)", Walk::Persons) else {
            return Ok(false);
        };
        let persons: Vec<i64> = self.owners.keys().map(|person| person.0).collect();
        sql.push(" AND a.person")
            .any_of(persons)
            .push(" GROUP BY a.person");
        let counts: Vec<(PersonKey, i64)> = db.fetch_rows(sql).await?;
        let mut found: HashMap<i64, WaitingOwner> = HashMap::new();
        for (person, rows) in counts {
            let owner = self.owners.get(&person).copied().unwrap_or(-person.0);
            let waiting = found.entry(owner).or_insert_with(|| WaitingOwner {
                place: person.0,
                persons: Vec::new(),
                rows: 0,
            });
            waiting.place = waiting.place.min(person.0);
            waiting.persons.push(person.0);
            waiting.rows += rows;
        }
        // A user with a smaller person was in an earlier batch.
        found.retain(|_, waiting| waiting.place > self.after);
        self.places = found
            .iter()
            .map(|(owner, waiting)| (*owner, waiting.place))
            .collect();
        let mut waiting: Vec<WaitingOwner> = found.into_values().collect();
        waiting.sort_unstable_by_key(|waiting| waiting.place);
        self.waiting = waiting.into();
        self.after = last;
        Ok(true)
    }
}
