//! Records with their place in the order, as they are written and read back.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::StatementId;
use crate::log::{VerbTable, content_of};
use crate::record::{Activity, Envelope, Object, Statement};

use super::StoreError;
use super::db::Row;
use super::statements::{read_envelope, read_statement};

/// When something was said, and by which statement: the later one counts.
pub(super) type Stamp = (Timestamp, StatementId);

/// A record with its place in the order, ready to be written.
pub(super) struct Sealed {
    pub(super) seq: i64,
    pub(super) id: StatementId,
    pub(super) stored: Timestamp,
    pub(super) statement: Arc<Statement>,
    pub(super) envelope: Arc<Envelope>,
    pub(super) voided: bool,
}

impl Sealed {
    /// The columns that [`Sealed::read`] takes, of `statements` as `s`.
    pub(super) const COLUMNS: &'static str = "s.seq, s.id, s.stored, s.voided, s.envelope, s.body";

    /// Reads a row that begins with [`Sealed::COLUMNS`].
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
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
    pub(super) fn refers_to(&self) -> Option<StatementId> {
        match self.statement.object {
            Object::StatementRef(id) => Some(id),
            _ => None,
        }
    }

    /// When what it says was said.
    pub(super) fn stamp(&self) -> Stamp {
        (self.statement.timestamp.unwrap_or(self.stored), self.id)
    }
}

/// What decides which Activity of a statement is its content.
pub(super) struct Platform<'p> {
    pub(super) verbs: &'p VerbTable,
    pub(super) home_page: &'p str,
}

impl Platform<'_> {
    pub(super) fn content_of<'s>(&self, statement: &'s Statement) -> Option<&'s Activity> {
        content_of(self.verbs, statement, self.home_page)
    }
}

/// The keys of what a record names.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) actor: i64,
    pub(super) verb: i64,
    /// The Activity that is the statement's object.
    pub(super) object: Option<i64>,
    /// What was learned, which for an answer is the quiz above it.
    pub(super) content: Option<i64>,
}
