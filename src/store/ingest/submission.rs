//! Records on their way in, and what became of them.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::ids::{OrgId, StatementId, UserId};
use crate::cmi5::RuleFault;
use crate::log::ShortForm;
use crate::record::{Envelope, Statement};
use crate::scorm::AttemptCommit;

use crate::store::db::StoreError;
use crate::store::ingest::attachments::NewAttachment;
use crate::store::ingest::completion_check::CompletionCheck;

/// How a record is compared with a stored record that has the same id.
#[derive(Debug, Clone)]
pub enum Sameness {
    /// As statements (xAPI 1.0.3, Data 2.3.1).
    Statement,
    /// As short forms: only the fields that were sent are compared (`docs/specification.md#repeated-records`).
    ShortForm(Box<ShortForm>),
}

/// A record on its way in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The id that the client gave, or a new one.
    pub id: StatementId,
    /// Whether the client gave the id. Only then a record with this id may be stored already.
    pub id_was_given: bool,
    /// The statement.
    pub statement: Arc<Statement>,
    /// What Rollbook knows about the statement's origin.
    pub envelope: Arc<Envelope>,
    /// How to recognise a repetition of the record.
    pub sameness: Sameness,
    /// Set if the record marks content as complete. It is stored only if the mark is still needed.
    pub mark: Option<CompletionMark>,
    /// Whether the record is stored only if it voids a record that no other one has voided before. Set for a voiding that
    /// Rollbook writes itself, so that of several requests at the same time only one writes a voiding.
    pub voids_first: bool,
}

/// The part of a record that marks content as complete for another user
/// (`docs/specification.md#marking-content-as-complete`).
#[derive(Debug, Clone)]
pub struct CompletionMark {
    /// Decides whether the record is still needed. A submission marks a user at most once for a content.
    pub check: CompletionCheck,
    /// The user that marks.
    pub by: UserId,
    /// A note about the marked user. It is stored together with the record.
    pub note: Option<String>,
}

impl Incoming {
    /// The record that this one voids, if this one is stored only as the first that does so.
    pub(crate) fn target_of_first_voiding(&self) -> Option<StatementId> {
        self.statement.voids().filter(|_| self.voids_first)
    }

    /// Whether a stored record is the same.
    pub(crate) fn is_same_as(&self, statement: &Statement, envelope: &Envelope) -> bool {
        match &self.sameness {
            Sameness::Statement => self.statement.same_as(statement),
            Sameness::ShortForm(sent) => sent.is_same_as(&self.statement, statement, envelope),
        }
    }
}

/// Records that are stored together or not at all.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The organisation that the records belong to.
    pub org: OrgId,
    /// The records in their order.
    pub records: Vec<Incoming>,
    /// The authority of the records, as the JSON of an Agent (xAPI 1.0.3, Data 2.4.9).
    pub authority: String,
    /// The xAPI version of a statement that has none.
    pub version: &'static str,
    /// The sender, as returned by [`Principal::caller_id`](crate::access::Principal::caller_id).
    pub sender: String,
    /// Whether the definitions of records that do not define count for Activities without any
    /// ([`DefinitionRight::Add`](crate::access::DefinitionRight::Add)).
    pub adds_definitions: bool,
    /// The session of cmi5 whose unit sends the records. Its rules decide whether they are stored.
    pub session: Option<Uuid>,
    /// The contents of attachments that the records declare (xAPI 1.0.3, Data 2.4.11).
    pub attachments: Vec<NewAttachment>,
    /// The step of the import that the records belong to. It is stored together with them.
    pub import: Option<Box<ImportStep>>,
    /// A commit of a SCORM player. Its records are made in the transaction that writes them, from the state of the attempt;
    /// `records` is empty.
    pub attempt: Option<Arc<AttemptCommit>>,
}

/// A part of an import: some rows of its file, of which one submission has the records.
#[derive(Debug, Clone)]
pub struct ImportStep {
    /// The key of the import.
    pub import: i64,
    /// The lease of the worker.
    pub lease: Uuid,
    /// The number of rows before the step.
    pub rows_before: i64,
    /// The number of rows of the step.
    pub rows: i64,
    /// Where the next row begins, as JSON.
    pub place: String,
    /// The rows of the step that are rejected.
    pub rejections: Vec<Rejection>,
}

/// A rejected row of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The line of the file on which the row begins.
    pub line: i64,
    /// The heading of the column with the fault, or its JSON pointer. Empty for the whole row.
    pub place: String,
    /// Why the row is rejected, and what to change.
    pub reason: String,
    /// The cells of a CSV row as JSON, or the line of NDJSON.
    pub content: Vec<u8>,
}

/// The number of records that a commit counts as in a batch: its state may be large.
const COMMIT_WEIGHT: usize = 20;

impl Submission {
    /// The number of records that the submission counts as in a batch.
    pub(crate) fn weight(&self) -> usize {
        self.records.len() + self.attempt.as_ref().map_or(0, |_| COMMIT_WEIGHT)
    }

    /// The checks of the records that mark content as complete.
    pub(crate) fn completion_checks(&self) -> impl Iterator<Item = CompletionCheck> {
        self.records
            .iter()
            .filter_map(|record| record.mark.as_ref())
            .map(|mark| mark.check)
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The record is stored now.
    New(StatementId),
    /// The same record was stored before.
    Already(StatementId),
    /// The record would have marked a user as complete that is complete already. It is not stored, and no record has
    /// this id.
    AlreadyCompleted(StatementId),
    /// The record would have voided a record that is voided already. It is not stored, and no record has this id.
    AlreadyVoided(StatementId),
}

impl Recorded {
    /// The record's id.
    pub fn id(self) -> StatementId {
        match self {
            Self::New(id) | Self::Already(id) | Self::AlreadyCompleted(id) | Self::AlreadyVoided(id) => id,
        }
    }
}

/// A record with the id of a different record, which is stored or comes before it in the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdConflict {
    /// The index of the record in the submission.
    pub index: usize,
    /// The id.
    pub id: StatementId,
}

/// Why a submission is refused. None of its records is stored.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Records have the ids of different records. The list is not empty.
    #[error("{} records have the ids of different records", .0.len())]
    Conflicts(Vec<IdConflict>),
    /// The import of the submission was cancelled, or another worker has it.
    #[error("the import was cancelled, or another worker has it")]
    ImportLost,
    /// The attempt at a SCORM package would have too much data.
    #[error("the attempt would have too much data")]
    AttemptTooLarge,
    /// A record breaks the rules of its session of cmi5.
    #[error("record {index} breaks the rules of its session")]
    SessionRule {
        /// The index of the record in the submission.
        index: usize,
        /// Why.
        fault: RuleFault,
    },
    /// A record has a value that would not be read back as it is.
    #[error("the envelope of record {index} is not read back as it is")]
    Unreadable {
        /// The index of the record in the submission.
        index: usize,
    },
    /// The submission could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database has not confirmed the commit, so the records may be stored or not.
    #[error("{cause}")]
    Unconfirmed {
        /// The ids of the records. If they are stored, they have these.
        ids: Vec<StatementId>,
        /// Why the commit was not confirmed.
        cause: StoreError,
    },
}

/// The answer to a submission: an outcome for each record, in their order.
pub(crate) type Outcome = Result<Vec<Recorded>, RecordError>;
