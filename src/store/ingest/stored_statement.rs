//! Records with their place in the order, as they are written and read back.

use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::{VerbTable, content_of};
use crate::record::{Activity, Envelope, Object, Statement};

use crate::store::db::StoreError;
use crate::store::db::database::Row;

/// When something was said, and by which statement: the later one counts.
pub(crate) type Stamp = (Timestamp, StatementId);

/// A record with its place in the order, ready to be written.
pub(crate) struct StoredStatement {
    pub(crate) seq: i64,
    pub(crate) id: StatementId,
    pub(crate) stored: Timestamp,
    pub(crate) statement: Arc<Statement>,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) voided: bool,
}

impl StoredStatement {
    /// The columns that [`StoredStatement::read`] takes, of `statements` as `s`.
    pub(crate) const COLUMNS: &'static str = "s.seq, s.id, s.stored, s.voided, s.envelope, s.body";

    /// Reads a row that begins with [`StoredStatement::COLUMNS`].
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.get(0)?,
            id: StatementId(row.get(1)?),
            stored: Timestamp::from_micros(row.get(2)?),
            voided: row.get(3)?,
            envelope: Arc::new(read_envelope(&row.get::<String>(4)?)?),
            statement: Arc::new(read_statement(&row.get::<Vec<u8>>(5)?)?),
        })
    }

    /// The statement that this one is about, where it is about one.
    pub(crate) fn refers_to(&self) -> Option<StatementId> {
        match self.statement.object {
            Object::StatementRef(id) => Some(id),
            _ => None,
        }
    }

    /// When what it says was said.
    pub(crate) fn stamp(&self) -> Stamp {
        (self.statement.timestamp.unwrap_or(self.stored), self.id)
    }
}

/// What decides which Activity of a statement is its content.
pub(crate) struct Platform<'p> {
    pub(crate) verbs: &'p VerbTable,
    pub(crate) home_page: &'p str,
}

impl Platform<'_> {
    pub(crate) fn content_of<'s>(&self, statement: &'s Statement) -> Option<&'s Activity> {
        content_of(self.verbs, statement, self.home_page)
    }
}

/// The keys of what a record names.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) actor: i64,
    pub(crate) verb: i64,
    /// The Activity that is the statement's object.
    pub(crate) object: Option<i64>,
    /// What was learned, which for an answer is the quiz above it.
    pub(crate) content: Option<i64>,
}

pub(crate) fn read_statement(body: &[u8]) -> Result<Statement, StoreError> {
    let text = std::str::from_utf8(body).map_err(|error| StoreError::corrupt("statement", error))?;
    Statement::parse_kept(text).map_err(|fault| StoreError::corrupt("statement", fault))
}

pub(crate) fn read_envelope(text: &str) -> Result<Envelope, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("envelope", error))
}
