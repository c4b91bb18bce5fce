//! Records with their place in the order of recording.

use std::sync::{Arc, OnceLock};

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::VerbTable;
use crate::log::placement::find_content_candidates;
use crate::record::{Activity, Envelope, Object, Statement};

use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Row;
use crate::store::db::unreadable::{id_of, skip_unreadable};

/// The time from which a record counts, and its id. Of two names, the one with the greater stamp counts.
pub(crate) type Stamp = (Timestamp, StatementId);

/// A record with its place in the order of recording.
pub(crate) struct StoredStatement {
    pub(crate) seq: i64,
    pub(crate) id: StatementId,
    pub(crate) stored: Timestamp,
    pub(crate) statement: Arc<Statement>,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) voided: bool,
    /// The IRIs of [`Envelope::added_definitions`]. Empty until the writer has decided about a new record.
    pub(crate) added_definitions: OnceLock<Vec<String>>,
}

columns! {
    struct StatementRow {
        seq: i64 = "s.seq",
        id: StatementId = "s.id",
        stored: Timestamp = "s.stored",
        voided: bool = "s.voided",
        envelope: String = "s.envelope",
        body: Vec<u8> = "s.body",
    }
}

impl StoredStatement {
    /// The columns that [`StoredStatement::read`] needs, of `statements s`.
    pub(crate) const COLUMNS: &'static str = StatementRow::COLUMNS;

    /// The number of columns.
    pub(crate) const COLUMN_COUNT: usize = StatementRow::COUNT;

    /// The position of the column with the place in the order of recording.
    pub(crate) const SEQ: usize = 0;

    /// The position of the column with the id.
    const ID: usize = 1;

    /// Reads a row that begins with the columns.
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        let row = StatementRow::read(row)?;
        let envelope = read_envelope(&row.envelope)?;
        Ok(Self {
            seq: row.seq,
            id: row.id,
            stored: row.stored,
            voided: row.voided,
            added_definitions: OnceLock::from(envelope.added_definitions.clone()),
            envelope: Arc::new(envelope),
            statement: Arc::new(read_statement(&row.body)?),
        })
    }

    /// Reads a row that begins with the columns. `None` if it cannot be read, which the log names.
    pub(crate) fn read_or_skip(row: &Row) -> Result<Option<Self>, StoreError> {
        skip_unreadable("statement", || id_of(row, Self::ID), Self::read(row))
    }

    /// Reads rows that begin with the columns, without those that cannot be read.
    pub(crate) fn read_all(rows: &[Row]) -> Result<Vec<Self>, StoreError> {
        rows.iter()
            .filter_map(|row| Self::read_or_skip(row).transpose())
            .collect()
    }

    /// The statement that is the object of this one, if the object is a StatementRef.
    pub(crate) fn refers_to(&self) -> Option<StatementId> {
        match self.statement.object {
            Object::StatementRef(id) => Some(id),
            _ => None,
        }
    }

    /// When the record happened.
    pub(crate) fn happened_at(&self) -> Timestamp {
        self.statement.timestamp.unwrap_or(self.stored)
    }

    /// Whether the record's definition of this Activity counts.
    pub(crate) fn defines(&self, activity: &Activity) -> bool {
        let is_added = |added: &Vec<String>| added.iter().any(|iri| iri == activity.id.as_str());
        self.envelope.defines || self.added_definitions.get().is_some_and(is_added)
    }

    /// Whether the record happened before the end of a period. A period without `end` never ends.
    pub(crate) fn is_before(&self, end: Option<Timestamp>) -> bool {
        end.is_none_or(|end| self.happened_at() < end)
    }

    /// A record that is dated in the future counts from the time of storage, so that it does not outdo later ones.
    pub(crate) fn stamp(&self) -> Stamp {
        (self.happened_at().min(self.stored), self.id)
    }
}

/// What decides which Activity of a statement is its content.
pub(crate) struct Platform<'p> {
    pub(crate) verbs: &'p VerbTable,
    pub(crate) home_page: &'p str,
}

impl Platform<'_> {
    /// The Activities of which one is the content of the statement.
    pub(crate) fn content_candidates<'s>(&self, statement: &'s Statement) -> Vec<&'s Activity> {
        find_content_candidates(self.verbs, statement, self.home_page)
    }

    /// What `read` reads of the content `activity` in a record that has this content. Nothing if the record's definition
    /// does not count.
    pub(crate) fn definition_in<T>(
        &self,
        record: &StoredStatement,
        activity: &Activity,
        read: fn(&Activity) -> Option<T>,
    ) -> Option<T> {
        if !record.defines(activity) {
            return None;
        }
        // Most records are about their content itself.
        if let Object::Activity(object) = &record.statement.object
            && object.id == activity.id
        {
            return read(object);
        }
        let candidates = self.content_candidates(&record.statement);
        candidates
            .into_iter()
            .filter(|candidate| candidate.id == activity.id)
            .find_map(read)
    }
}

/// The keys of the things that a record names.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) actor: i64,
    pub(crate) verb: i64,
    /// The Activity that is the statement's object.
    pub(crate) object: Option<i64>,
    /// The content of the record. For an answer it is the quiz that contains the question.
    pub(crate) content: Option<i64>,
}

impl Named {
    /// Whether the content is not the object but the content above it.
    pub(crate) fn is_above_object(self) -> bool {
        self.content.is_some() && self.content != self.object
    }
}

pub(crate) fn read_statement(body: &[u8]) -> Result<Statement, StoreError> {
    let text = std::str::from_utf8(body).map_err(|error| StoreError::corrupt("statement", error))?;
    Statement::parse_stored(text).map_err(|fault| StoreError::corrupt("statement", fault))
}

pub(crate) fn read_envelope(text: &str) -> Result<Envelope, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("envelope", error))
}
