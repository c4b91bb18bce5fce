//! The records of one content: answers to its questions ([`answers`](super::answers)), and attempts at an exercise
//! ([`attempts`](super::attempts)).
//!
//! Each kind of record has a partial index, so the cost depends neither on the records of other contents nor on the other
//! records of this one. A query reads narrow rows. The statements are read by their keys, a few at a time, and within a
//! budget of bytes.
//!
//! A [`ContentRecords`] contains a [`Scoped`] filter, so it never returns records of people outside the reach.

use std::collections::HashMap;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::log::{ContentDetails, Filter, PersonDetails, PersonKey, Position, Sort};
use crate::record::{Envelope, Statement};

use crate::store::activity_log::conditions::push_row_filters;
use crate::store::activity_log::log::{FEW_PERSONS, push_persons, select_rows};
use crate::store::db::columns::{FromRow, columns};
use crate::store::db::database::{self, Engine, Sql};
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::one_more;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::Persons;
use crate::store::ingest::stored_statement::{read_envelope, read_statement};

/// The most statements that are read at once.
const PIECE_ROWS: usize = 50;
/// The most bytes of the statements that are read at once.
const PIECE_BYTES: i64 = 1024 * 1024;

/// The records of a content that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Records with answers to questions.
    Answers,
    /// `submitted` and `graded`.
    Submissions,
}

impl RecordKind {
    /// The condition on rows. It is the one of the indexes.
    const fn condition(self) -> &'static str {
        match self {
            Self::Answers => " AND a.answers > 0",
            Self::Submissions => " AND a.action IN (22, 24)",
        }
    }

    /// The index in the order of time.
    const fn time_index(self) -> &'static str {
        match self {
            Self::Answers => " INDEXED BY activities_answers",
            Self::Submissions => " INDEXED BY activities_submissions",
        }
    }

    /// The index by person.
    const fn person_index(self) -> &'static str {
        match self {
            Self::Answers => " INDEXED BY activities_answers_person",
            Self::Submissions => " INDEXED BY activities_progress",
        }
    }
}

/// Which index SQLite uses. PostgreSQL decides by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// In the order of time.
    Time,
    /// Person by person.
    Persons,
}

/// A request for records of one content at one time.
#[derive(Clone)]
pub struct ContentRecords {
    pub(super) store: Store,
    pub(super) org: i64,
    filter: Scoped<Filter>,
    /// The persons that the filter selects within the reach.
    persons: Persons,
    content: ContentDetails,
    kind: RecordKind,
    now: Timestamp,
}

/// A statement with its envelope.
pub(super) struct StoredBody {
    pub(super) seq: i64,
    /// The key of the Activity that is the object.
    pub(super) object: Option<i64>,
    pub(super) statement: Statement,
    pub(super) envelope: Envelope,
}

columns! {
    struct BodyRow {
        seq: i64 = "s.seq",
        object: Option<i64> = "s.object",
        envelope: String = "s.envelope",
        body: Vec<u8> = "s.body",
    }
}

impl FromRow for StoredBody {
    fn from_row(row: &database::Row) -> Result<Self, StoreError> {
        let row = BodyRow::read(row)?;
        Ok(Self {
            seq: row.seq,
            object: row.object,
            statement: read_statement(&row.body)?,
            envelope: read_envelope(&row.envelope)?,
        })
    }
}

/// The number of rows at the beginning whose statements are read at once. It is at least one, if there is a row.
pub(super) fn piece_length(bytes: impl Iterator<Item = i64>) -> usize {
    let mut sum = 0_i64;
    let fits = |(index, bytes): &(usize, i64)| {
        sum = sum.saturating_add(*bytes);
        *index == 0 || (*index < PIECE_ROWS && sum <= PIECE_BYTES)
    };
    bytes.enumerate().take_while(fits).count()
}

impl Store {
    /// Creates a request for the listed content with this id, or with this IRI if the content is not registered. The
    /// result is `None` if the content does not exist. `now` is the time that relative times refer to.
    pub async fn content_records(
        &self,
        filter: Scoped<Filter>,
        content: &str,
        kind: RecordKind,
        now: Timestamp,
    ) -> Result<Option<ContentRecords>, StoreError> {
        let Some(org) = self.organisation_key(filter.org()).await? else {
            return Ok(None);
        };
        let Some(content) = self.content_details_by_id(org, content).await? else {
            return Ok(None);
        };
        Ok(Some(ContentRecords {
            store: self.clone(),
            org,
            persons: self.persons(org, &filter, filter.inner()).await?,
            filter,
            content,
            kind,
            now,
        }))
    }
}

impl ContentRecords {
    /// The content.
    pub fn content(&self) -> &ContentDetails {
        &self.content
    }

    /// The organisation.
    pub fn org(&self) -> &OrgId {
        self.filter.org()
    }

    /// The details of persons of the records.
    pub async fn find_persons(
        &self,
        persons: &[PersonKey],
    ) -> Result<HashMap<PersonKey, PersonDetails>, StoreError> {
        self.store.person_details(self.org(), persons).await
    }

    /// The time that relative times refer to.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The query for `columns` of the matching rows, without an order. `None` if no row can match.
    pub(super) fn select(&self, columns: &str, walk: Walk) -> Option<Sql> {
        let mut sql = self.select_of_persons(columns, walk, self.persons.clone())?;
        push_row_filters(&mut sql, self.filter.inner(), self.now);
        Some(sql)
    }

    /// The query for `columns` of all rows of these persons. The persons are within the reach; no other filter counts.
    pub(super) fn select_all_of(&self, columns: &str, persons: Vec<i64>) -> Option<Sql> {
        self.select_of_persons(columns, Walk::Persons, Persons::Only(persons))
    }

    fn select_of_persons(&self, columns: &str, walk: Walk, persons: Persons) -> Option<Sql> {
        let count = match &persons {
            Persons::Only(persons) => Some(persons.len()),
            Persons::Everyone { .. } => None,
        };
        if count == Some(0) {
            return None;
        }
        let by_person = walk == Walk::Persons || count.is_some_and(|count| count <= FEW_PERSONS);
        let mut sql = select_rows(self.org, columns);
        if self.store.db().engine() == Engine::Sqlite {
            sql.push(match by_person {
                true => self.kind.person_index(),
                false => self.kind.time_index(),
            });
        }
        sql.push(" WHERE a.org = $1 AND a.content = ")
            .bind(self.content.key.0);
        sql.push(self.kind.condition());
        let column = if by_person || self.store.db().engine() == Engine::Postgres {
            "a.person"
        } else {
            "+a.person"
        };
        push_persons(&mut sql, column, persons);
        Some(sql)
    }

    /// Reads the statements of rows. Statements that cannot be read are missing in the result.
    pub(super) async fn read_bodies(
        &self,
        mut seqs: Vec<i64>,
    ) -> Result<HashMap<i64, StoredBody>, StoreError> {
        let mut bodies = HashMap::with_capacity(seqs.len());
        seqs.sort_unstable();
        while !seqs.is_empty() {
            let mut sql = Sql::new(&format!(
                "SELECT {} FROM statements s WHERE s.org = $1 AND s.seq",
                BodyRow::COLUMNS
            ))
            .with(self.org);
            let piece: Vec<i64> = seqs.drain(..seqs.len().min(PIECE_ROWS)).collect();
            let limits = PageLimits {
                rows: piece.len(),
                bytes: usize::MAX,
            };
            sql.any_of(piece).push(" LIMIT ").bind(one_more(limits.rows));
            let found: crate::base::Page<StoredBody> = self.store.db().fetch_first(sql, limits).await?;
            bodies.extend(found.items.into_iter().map(|body| (body.seq, body)));
        }
        Ok(bodies)
    }

    /// The key that all persons of one user share, for each of these persons and for the other persons of their users. An
    /// unclaimed person has a key of its own.
    pub(super) async fn find_owners(&self, persons: Vec<i64>) -> Result<HashMap<PersonKey, i64>, StoreError> {
        let select =
            Sql::new("SELECT p.key, p.user_key FROM persons p WHERE p.org = $1 AND p.key IN LIST($2)");
        let found: Vec<(PersonKey, Option<i64>)> = self
            .store
            .db()
            .fetch_rows(select.with(self.org).with(persons))
            .await?;
        let mut users: Vec<i64> = found.iter().filter_map(|(_, user)| *user).collect();
        users.sort_unstable();
        users.dedup();
        let mut owners: HashMap<PersonKey, i64> = HashMap::new();
        for (person, user) in found {
            owners.insert(person, user.unwrap_or(-person.0));
        }
        let select = Sql::new(
            "SELECT p.key, p.user_key FROM persons p INDEXED BY persons_user \
             WHERE p.org = $1 AND p.user_key IN LIST($2)",
        );
        let others: Vec<(PersonKey, i64)> = self
            .store
            .db()
            .fetch_rows(select.with(self.org).with(users))
            .await?;
        owners.extend(others);
        Ok(owners)
    }
}

/// Adds the condition that a row is at the position or after it.
pub(super) fn push_from(sql: &mut Sql, sort: Sort, position: Position) {
    sql.push(" AND (a.happened_at, a.seq) ").push(match sort {
        Sort::NewestFirst => "<=",
        Sort::OldestFirst => ">=",
    });
    sql.push(" (")
        .bind(position.happened_at.micros())
        .push(", ")
        .bind(position.seq)
        .push(")");
}
