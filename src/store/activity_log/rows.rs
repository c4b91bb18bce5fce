//! Rows of the Activity Log as they are stored, and which of their columns are read.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::{Action, Certificate, ContentKey, Percent, PersonKey, Projected, Row, Score, VerbKey};
use crate::record::Origin;

use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database;
use crate::store::ingest::activity_rows::ActivityRow;

impl From<ActivityRow> for Row {
    fn from(stored: ActivityRow) -> Self {
        Row {
            id: stored.id,
            seq: stored.seq,
            stored_at: stored.stored_at,
            person: stored.person,
            verb: stored.verb,
            content: stored.content,
            projected: Projected {
                happened_at: stored.happened_at,
                part: stored.part,
                action: stored.action,
                success: stored.success,
                completion: stored.completion,
                completed: stored.completed,
                score: Score {
                    scaled: stored.scaled,
                    raw: stored.raw,
                    min: stored.min,
                    max: stored.max,
                    percent: stored.percent,
                },
                response: stored.response,
                seconds: stored.seconds,
                time_limit: stored.time_limit,
                expired_at: stored.expired_at,
                certificate: stored.certified.then_some(Certificate {
                    name: stored.certificate_name,
                    expires_at: stored.certificate_expires_at,
                }),
                registration: stored.registration,
                session: stored.session,
                device_type: stored.device_type,
                origin: stored.origin,
                recorded_by: stored.recorded_by,
                comment: stored.comment,
                source: stored.source,
                import: stored.import,
            },
        }
    }
}

/// Reads a row that was selected with the columns of [`ActivityRow`].
pub(crate) fn read_row(row: &database::Row) -> Result<Row, StoreError> {
    ActivityRow::read(row).map(Row::from)
}

/// Which columns of each row are selected. The database needs more time for each further column, and an export selects
/// all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The fields of [`BriefRow`]. All other fields of a [`Row`] have default values.
    Brief,
    /// All fields.
    Whole,
}

columns! {
    /// The columns of [`Detail::Brief`].
    pub(crate) struct StoredBriefRow {
        happened_at: Timestamp = "a.happened_at",
        person: PersonKey = "a.person",
        verb: VerbKey = "a.verb",
        content: Option<ContentKey> = "a.content",
        action: Action = "a.action",
        completed: bool = "a.completed",
        success: Option<bool> = "a.success",
        percent: Option<Percent> = "a.percent",
        seconds: Option<i64> = "a.seconds",
        expired_at: Option<Timestamp> = "a.expired_at",
        certificate_expires_at: Option<Timestamp> = "a.certificate_expires_at",
    }
}

impl From<StoredBriefRow> for Row {
    fn from(stored: StoredBriefRow) -> Self {
        Row {
            person: stored.person,
            verb: stored.verb,
            content: stored.content,
            projected: Projected {
                happened_at: stored.happened_at,
                action: stored.action,
                completed: stored.completed,
                success: stored.success,
                score: Score {
                    percent: stored.percent,
                    ..Score::default()
                },
                seconds: stored.seconds,
                expired_at: stored.expired_at,
                certificate: stored.certificate_expires_at.map(|at| Certificate {
                    name: None,
                    expires_at: Some(at),
                }),
                part: None,
                response: None,
                completion: None,
                time_limit: None,
                registration: None,
                session: None,
                device_type: None,
                origin: Origin::default(),
                recorded_by: None,
                comment: None,
                source: None,
                import: None,
            },
            id: StatementId(Uuid::nil()),
            seq: 0,
            stored_at: Timestamp::default(),
        }
    }
}

/// Reads a row that was selected with the columns of [`StoredBriefRow`].
pub(crate) fn read_brief_row(row: &database::Row) -> Result<Row, StoreError> {
    StoredBriefRow::read(row).map(Row::from)
}

/// The fields of a row that every [`Detail`] reads. Code that uses only this view works with brief rows.
#[derive(Debug, Clone, Copy)]
pub struct BriefRow<'r>(&'r Row);

impl<'r> BriefRow<'r> {
    /// A view of the row.
    pub fn new(row: &'r Row) -> Self {
        Self(row)
    }

    /// The time when the activity happened.
    pub fn happened_at(self) -> Timestamp {
        self.0.projected.happened_at
    }

    /// The action.
    pub fn action(self) -> Action {
        self.0.projected.action
    }

    /// Whether the activity is a completion.
    pub fn completed(self) -> bool {
        self.0.projected.completed
    }

    /// Whether the person passed or failed, if the record contains it.
    pub fn success(self) -> Option<bool> {
        self.0.projected.success
    }

    /// The score in percent.
    pub fn percent(self) -> Option<Percent> {
        self.0.projected.score.percent
    }

    /// The duration in seconds.
    pub fn seconds(self) -> Option<i64> {
        self.0.projected.seconds
    }

    /// The time when the achievement expires.
    pub fn expired_at(self) -> Option<Timestamp> {
        self.0.projected.expired_at
    }

    /// The time when the certificate expires.
    pub fn certificate_expires_at(self) -> Option<Timestamp> {
        self.0.projected.certificate.as_ref()?.expires_at
    }
}
