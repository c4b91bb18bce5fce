//! The JSON of progress, and the cursor of its pages.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::ids::{StatementId, UserId};
use crate::log::activity::{ActivityCertificate, ActivityUser};
use crate::log::projection::Percent;
use crate::log::row::{PersonDetails, PersonKey};

use super::{ProgressStatus, State};

/// One person's progress with a content.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PersonProgress {
    /// The person.
    pub user: ActivityUser,
    /// The state.
    pub state: State,
    /// The time of the completion, the expiry, the latest failure or the start; null for `not_started`.
    #[schema(required, value_type = Option<String>, format = DateTime, example = "2026-03-01T09:00:00.000Z")]
    pub since: Option<Timestamp>,
    /// When the completion expires or expired.
    #[schema(required, value_type = Option<String>, format = DateTime, example = "2027-03-01T09:00:00.000Z")]
    pub expires_at: Option<Timestamp>,
    /// The latest score of the completions, else of the failures, in percent.
    #[schema(required, value_type = Option<f64>, example = 92.5)]
    pub score: Option<Percent>,
    /// The certificate that is valid longest.
    #[schema(required)]
    pub certificate: Option<ActivityCertificate>,
    /// The activity that decides the state; null for `in_progress` and `not_started`.
    #[schema(required, value_type = Option<Uuid>)]
    pub activity: Option<StatementId>,
}

impl PersonProgress {
    /// The JSON of a person's progress.
    pub fn new(person: &PersonDetails, status: ProgressStatus) -> Self {
        Self {
            user: ActivityUser::new(person),
            state: status.state,
            since: status.since,
            expires_at: status.expires_at,
            score: status.percent,
            certificate: status.certificate,
            activity: status.activity,
        }
    }
}

/// The number of persons in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct StateCounts {
    /// Persons that have not started.
    pub not_started: u64,
    /// Persons in progress.
    pub in_progress: u64,
    /// Persons that failed.
    pub failed: u64,
    /// Persons with a valid completion.
    pub completed: u64,
    /// Persons with expired completions.
    pub expired: u64,
}

impl StateCounts {
    /// Counts one more person.
    pub fn add(&mut self, state: State) {
        match state {
            State::NotStarted => self.not_started += 1,
            State::InProgress => self.in_progress += 1,
            State::Failed => self.failed += 1,
            State::Completed => self.completed += 1,
            State::Expired => self.expired += 1,
        }
    }
}

/// A position in the list of persons: users by id, then unclaimed persons in the order of their first record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListPosition {
    /// After the user with this id.
    User(UserId),
    /// After this person. Persons come after all users.
    Person(PersonKey),
}

impl ListPosition {
    /// The place after a person.
    pub fn from_person(person: &PersonDetails) -> Self {
        match &person.user {
            Some(user) => Self::User(user.id.clone()),
            None => Self::Person(person.key),
        }
    }
}

/// The cursor of a page: its position and the moment of the first page, for which all pages are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressCursor {
    /// The moment of the first page.
    pub now: Timestamp,
    /// The end of the previous page.
    pub after: ListPosition,
}

/// The text is not a cursor of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of this list; use the one from `next` unchanged")]
pub struct CursorParseError;

impl fmt::Display for ProgressCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now.micros();
        match &self.after {
            ListPosition::User(id) => write!(f, "{now}:u:{id}"),
            ListPosition::Person(key) => write!(f, "{now}:p:{}", key.0),
        }
    }
}

impl FromStr for ProgressCursor {
    type Err = CursorParseError;

    fn from_str(text: &str) -> Result<Self, CursorParseError> {
        let mut parts = text.splitn(3, ':');
        let (Some(now), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CursorParseError);
        };
        let after = match (kind, rest) {
            ("u", id) => ListPosition::User(UserId::new(id).map_err(|_| CursorParseError)?),
            ("p", key) => ListPosition::Person(PersonKey(key.parse().map_err(|_| CursorParseError)?)),
            _ => return Err(CursorParseError),
        };
        let now = Timestamp::from_micros(now.parse().map_err(|_| CursorParseError)?);
        Ok(Self { now, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_counted() {
        let mut counts = StateCounts::default();
        for (times, state) in State::ALL.iter().enumerate() {
            (0..=times).for_each(|_| counts.add(*state));
        }
        let counts = serde_json::to_value(counts).unwrap();
        assert_eq!(
            (&counts["not_started"], &counts["completed"]),
            (&1.into(), &4.into())
        );
    }

    #[test]
    fn cursor_parses_back_and_other_texts_are_refused() {
        for after in [
            ListPosition::User(UserId::new("a:b:ü").unwrap()),
            ListPosition::Person(PersonKey(i64::MIN)),
        ] {
            let cursor = ProgressCursor {
                now: Timestamp::from_micros(-7),
                after,
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in [
            "",
            "1",
            "1:u",
            "1:u:",
            "x:u:a",
            "1:p:a",
            "1:q:a",
            "99999999999999999999:u:a",
        ] {
            assert_eq!(text.parse::<ProgressCursor>(), Err(CursorParseError), "{text}");
        }
    }
}
