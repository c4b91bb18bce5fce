//! Rows of the Activity Log as they are stored, and which of their columns are read.

use crate::base::clock::Timestamp;
use crate::log::{Action, Certificate, ContentKey, Percent, PersonKey, Projected, Row, Score, VerbKey};

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
    /// The fields of [`BriefRow`].
    Brief,
    /// All fields.
    Whole,
}

columns! {
    /// The fields of a row that every [`Detail`] reads. Code that uses only these works with brief rows.
    #[derive(Debug, Clone, Copy)]
    pub struct BriefRow {
        /// The time when the activity happened.
        pub happened_at: Timestamp = "a.happened_at",
        /// The person that the record is about.
        pub person: PersonKey = "a.person",
        /// The verb of the record.
        pub verb: VerbKey = "a.verb",
        /// The content; `None` for sessions, for example.
        pub content: Option<ContentKey> = "a.content",
        /// The action.
        pub action: Action = "a.action",
        /// Whether the activity is a completion.
        pub completed: bool = "a.completed",
        /// Whether the person passed or failed, if the record contains it.
        pub success: Option<bool> = "a.success",
        /// The score in percent.
        pub percent: Option<Percent> = "a.percent",
        /// The duration in seconds.
        pub seconds: Option<i64> = "a.seconds",
        /// The time when the achievement expires.
        pub expired_at: Option<Timestamp> = "a.expired_at",
        /// The time when the certificate expires.
        pub certificate_expires_at: Option<Timestamp> = "a.certificate_expires_at",
    }
}

impl From<&Row> for BriefRow {
    fn from(row: &Row) -> Self {
        let projected = &row.projected;
        Self {
            happened_at: projected.happened_at,
            person: row.person,
            verb: row.verb,
            content: row.content,
            action: projected.action,
            completed: projected.completed,
            success: projected.success,
            percent: projected.score.percent,
            seconds: projected.seconds,
            expired_at: projected.expired_at,
            certificate_expires_at: projected
                .certificate
                .as_ref()
                .and_then(|certificate| certificate.expires_at),
        }
    }
}

/// A row of an export.
#[derive(Debug)]
pub struct FileRow {
    /// The fields that every export needs.
    pub brief: BriefRow,
    /// All fields; `None` for [`Detail::Brief`].
    pub whole: Option<Box<Row>>,
}

impl From<Row> for FileRow {
    fn from(row: Row) -> Self {
        Self {
            brief: BriefRow::from(&row),
            whole: Some(Box::new(row)),
        }
    }
}

impl FileRow {
    /// Reads a row that was selected with the columns of [`BriefRow`].
    pub(super) fn read_brief(row: &database::Row) -> Result<Self, StoreError> {
        Ok(Self {
            brief: BriefRow::read(row)?,
            whole: None,
        })
    }

    /// Reads a row that was selected with the columns of [`ActivityRow`].
    pub(super) fn read_whole(row: &database::Row) -> Result<Self, StoreError> {
        Ok(Self::from(read_row(row)?))
    }

    /// The bytes of all fields, with the texts that clients choose.
    pub(super) fn heap_bytes(&self) -> usize {
        let whole = self.whole.as_ref();
        whole.map_or(0, |row| size_of::<Row>() + row.text_bytes())
    }
}
