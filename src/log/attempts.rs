//! Attempts at an exercise: what a person `submitted`, and how it was `graded` (docs/specification.md#exercise-attempts).
//!
//! An attempt is a `submitted` with the `graded` of the same person and registration. A `graded` belongs to the last
//! `submitted` before it, else to the first one after it. A `graded` without a `submitted` is an attempt too. The last
//! `graded` of an attempt counts.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::texts::Language;

use super::activity::{ActivityScore, ActivityUser};
use super::cursor::Position;

/// A `submitted` or a `graded` of an exercise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    /// The key that all persons of one user share.
    pub owner: i64,
    /// The registration.
    pub registration: Option<Uuid>,
    /// The place in the log.
    pub position: Position,
    /// Whether it is a `graded`.
    pub is_grade: bool,
}

/// The rows of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRows {
    /// The row that stands for the attempt: the `submitted`, else the `graded`.
    pub anchor: Position,
    /// The `seq` of the `submitted`.
    pub submitted: Option<i64>,
    /// The `seq` of the last `graded`.
    pub graded: Option<i64>,
}

/// Groups rows to attempts. `rows` are all rows of the persons for one exercise, in any order.
pub fn group_attempts(mut rows: Vec<Submission>) -> Vec<AttemptRows> {
    rows.sort_unstable_by_key(|row| (row.owner, row.registration, row.position));
    let mut attempts = Vec::new();
    for rows in rows.chunk_by(|one, other| (one.owner, one.registration) == (other.owner, other.registration))
    {
        attempts.extend(attempts_of_registration(rows));
    }
    attempts
}

/// The attempts among the rows of one person and one registration, which are in the order of time.
fn attempts_of_registration(rows: &[Submission]) -> Vec<AttemptRows> {
    let mut attempts: Vec<AttemptRows> = Vec::new();
    let mut early = None;
    for row in rows {
        match (row.is_grade, attempts.last_mut()) {
            (true, Some(attempt)) => attempt.graded = Some(row.position.seq),
            (true, None) => early = Some(row.position.seq),
            (false, _) => attempts.push(AttemptRows {
                anchor: row.position,
                submitted: Some(row.position.seq),
                graded: None,
            }),
        }
    }
    if let Some(first) = attempts.first_mut() {
        first.graded = first.graded.or(early);
        return attempts;
    }
    let to_attempt = |row: &Submission| AttemptRows {
        anchor: row.position,
        submitted: None,
        graded: Some(row.position.seq),
    };
    match rows {
        // Nothing says that grades without a registration belong together.
        [first, ..] if first.registration.is_none() => rows.iter().map(to_attempt).collect(),
        rows => rows.last().map(to_attempt).into_iter().collect(),
    }
}

/// The attempts by the `seq` of their anchors.
pub fn by_anchor(attempts: Vec<AttemptRows>) -> HashMap<i64, AttemptRows> {
    attempts
        .into_iter()
        .map(|attempt| (attempt.anchor.seq, attempt))
        .collect()
}

/// An attempt at an exercise.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExerciseAttempt {
    /// The person.
    pub user: ActivityUser,
    /// The registration of the attempt.
    #[schema(required)]
    pub registration: Option<Uuid>,
    /// `graded`, or `submitted` if nobody has graded it.
    #[schema(example = "graded")]
    pub status: AttemptStatus,
    /// What was submitted; null if there is a grade only.
    #[schema(required)]
    pub submitted: Option<SubmittedWork>,
    /// How it was graded; null if it was not. It is the last grade.
    #[schema(required)]
    pub graded: Option<Grade>,
}

/// Whether an attempt was graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// It was submitted, and nobody has graded it.
    Submitted,
    /// It was graded.
    Graded,
}

impl AttemptStatus {
    /// The label in exports.
    pub fn label_in(self, language: Language) -> &'static str {
        let key = match self {
            Self::Submitted => "submitted",
            Self::Graded => "graded",
        };
        language.label("attempt", key)
    }
}

/// What a person submitted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SubmittedWork {
    /// The activity.
    #[schema(value_type = Uuid)]
    pub activity: StatementId,
    /// When it was submitted.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The text that was submitted: `result.response`.
    #[schema(required)]
    pub response: Option<String>,
    /// The comment of the recorder.
    #[schema(required)]
    pub comment: Option<String>,
    /// The attached files.
    pub files: Vec<AttachedFile>,
}

/// How an attempt was graded.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Grade {
    /// The activity.
    #[schema(value_type = Uuid)]
    pub activity: StatementId,
    /// When it was graded.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The grader: `recorded_by` of the short form, else the `instructor` of the statement.
    #[schema(required)]
    pub graded_by: Option<Grader>,
    /// Whether the attempt passed.
    #[schema(required)]
    pub success: Option<bool>,
    /// The score.
    #[schema(required)]
    pub score: Option<ActivityScore>,
    /// The comment of the grader: `comment` of the short form, else `result.response` of the statement.
    #[schema(required)]
    pub comment: Option<String>,
    /// The attached files.
    pub files: Vec<AttachedFile>,
}

/// The person that graded an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grader {
    /// The id of the user; null for a person that is no user.
    #[schema(required, example = "eve")]
    pub id: Option<String>,
    /// The name.
    #[schema(required, example = "Eve Lund")]
    pub name: Option<String>,
}

/// A file that is attached to a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttachedFile {
    /// The title.
    #[schema(required, example = "Essay")]
    pub title: Option<String>,
    /// The media type.
    #[schema(example = "application/pdf")]
    pub content_type: String,
    /// The length in bytes, as the statement declares it.
    pub length: i64,
    /// The SHA-2 of the content.
    pub sha2: String,
    /// The address of the file; null if there is none. For a stored file it is a link that needs no `Authorization`,
    /// belongs to the caller and expires. For a file that is only referred to, it is the `fileUrl` of the statement.
    #[schema(required, example = "/files/AAAA")]
    pub url: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attempts of rows `(owner, registration, second, is_grade)`, as `submitted/graded` with the number of the row.
    fn group(rows: &[(i64, Option<u128>, i64, bool)]) -> Vec<String> {
        let to_row =
            |(seq, (owner, registration, second, is_grade)): (usize, &(i64, Option<u128>, i64, bool))| {
                Submission {
                    owner: *owner,
                    registration: registration.map(Uuid::from_u128),
                    position: Position {
                        happened_at: Timestamp::from_micros(*second),
                        seq: i64::try_from(seq).unwrap(),
                    },
                    is_grade: *is_grade,
                }
            };
        let mut rows: Vec<_> = rows.iter().enumerate().map(to_row).collect();
        rows.reverse();
        let number = |seq: Option<i64>| seq.map_or("-".to_owned(), |seq| seq.to_string());
        let to_text =
            |attempt: AttemptRows| format!("{}/{}", number(attempt.submitted), number(attempt.graded));
        group_attempts(rows).into_iter().map(to_text).collect()
    }

    #[test]
    fn grade_belongs_to_the_submission_of_its_registration() {
        let rows = [
            (1, Some(1), 1, false),
            (1, Some(2), 2, false),
            (1, Some(1), 3, true),
            (1, Some(2), 4, true),
            (2, Some(1), 5, true),
        ];
        assert_eq!(group(&rows), ["0/2", "1/3", "-/4"]);
    }

    #[test]
    fn last_grade_after_a_submission_counts() {
        let rows = [
            (1, Some(1), 1, false),
            (1, Some(1), 2, true),
            (1, Some(1), 3, true),
            (1, Some(1), 4, false),
            (1, Some(1), 5, false),
            (1, Some(1), 6, true),
        ];
        assert_eq!(group(&rows), ["0/2", "3/-", "4/5"]);
    }

    #[test]
    fn grade_before_the_first_submission_belongs_to_it() {
        assert_eq!(group(&[(1, Some(1), 5, false), (1, Some(1), 3, true)]), ["0/1"]);
        // A later grade counts more.
        assert_eq!(
            group(&[(1, None, 5, false), (1, None, 3, true), (1, None, 6, true)]),
            ["0/2"]
        );
    }

    #[test]
    fn grades_without_submission_are_attempts() {
        assert_eq!(group(&[(1, Some(1), 1, true), (1, Some(1), 2, true)]), ["-/1"]);
        assert_eq!(group(&[(1, None, 1, true), (1, None, 2, true)]), ["-/0", "-/1"]);
    }
}
