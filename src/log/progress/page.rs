//! How progress is answered: a person's entry, how many stand where, and the place where the next page begins.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::ids::{StatementId, UserId};
use crate::log::activity::{ActivityCertificate, ActivityUser};
use crate::log::projection::Percent;
use crate::log::row::{PersonDetails, PersonKey};

use super::{Standing, State};

/// One person's progress with a content.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PersonProgress {
    /// Who.
    pub user: ActivityUser,
    /// Where they stand.
    pub state: State,
    /// Since when: the completion, the expiry, the latest failure or the first beginning; null for `not_started`.
    #[schema(required, value_type = Option<String>, format = DateTime, example = "2026-03-01T09:00:00.000Z")]
    pub since: Option<Timestamp>,
    /// When the completion expires, or did.
    #[schema(required, value_type = Option<String>, format = DateTime, example = "2027-03-01T09:00:00.000Z")]
    pub expires_at: Option<Timestamp>,
    /// The latest score in percent, of completions or else of failures.
    #[schema(required, value_type = Option<f64>, example = 92.5)]
    pub score: Option<Percent>,
    /// The certificate that holds longest.
    #[schema(required)]
    pub certificate: Option<ActivityCertificate>,
    /// The activity that the state comes from; null for `in_progress` and `not_started`.
    #[schema(required, value_type = Option<Uuid>)]
    pub activity: Option<StatementId>,
}

impl PersonProgress {
    /// The JSON of a person's standing.
    pub fn new(person: &PersonDetails, standing: Standing) -> Self {
        Self {
            user: ActivityUser::new(person),
            state: standing.state,
            since: standing.since,
            expires_at: standing.expires_at,
            score: standing.percent,
            certificate: standing.certificate,
            activity: standing.activity,
        }
    }
}

/// How many people stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct StateCounts {
    /// Have not started.
    pub not_started: u64,
    /// Are in progress.
    pub in_progress: u64,
    /// Failed.
    pub failed: u64,
    /// Completed.
    pub completed: u64,
    /// Expired.
    pub expired: u64,
}

impl StateCounts {
    /// Counts one more.
    pub fn add(&mut self, state: State) {
        match state {
            State::NotStarted => self.not_started += 1,
            State::InProgress => self.in_progress += 1,
            State::Failed => self.failed += 1,
            State::Completed => self.completed += 1,
            State::Expired => self.expired += 1,
        }
    }

    /// How many stand in any of these states; in any at all where none is named.
    pub fn total(&self, states: &[State]) -> u64 {
        let states = if states.is_empty() { State::ALL } else { states };
        let of = |state: &State| match state {
            State::NotStarted => self.not_started,
            State::InProgress => self.in_progress,
            State::Failed => self.failed,
            State::Completed => self.completed,
            State::Expired => self.expired,
        };
        states.iter().map(of).sum()
    }
}

/// A place in the list of people: users by id, then the persons whom no user claims, by their coming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// After the user with that id.
    User(UserId),
    /// After that person, who comes after all users.
    Person(PersonKey),
}

/// Where a page begins, and the moment for which its question was first asked: all pages speak of one "now".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressCursor {
    /// The moment.
    pub now: Timestamp,
    /// The end of the page before.
    pub after: Place,
}

/// Why a text is no place in such a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of this list; take it from `next` as it is")]
pub struct NoPlace;

impl fmt::Display for ProgressCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now.micros();
        match &self.after {
            Place::User(id) => write!(f, "{now}:u:{id}"),
            Place::Person(key) => write!(f, "{now}:p:{}", key.0),
        }
    }
}

impl FromStr for ProgressCursor {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let mut parts = text.splitn(3, ':');
        let (Some(now), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoPlace);
        };
        let after = match (kind, rest) {
            ("u", id) => Place::User(UserId::new(id).map_err(|_| NoPlace)?),
            ("p", key) => Place::Person(PersonKey(key.parse().map_err(|_| NoPlace)?)),
            _ => return Err(NoPlace),
        };
        let now = Timestamp::from_micros(now.parse().map_err(|_| NoPlace)?);
        Ok(Self { now, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let mut counts = StateCounts::default();
        for (times, state) in State::ALL.iter().enumerate() {
            (0..=times).for_each(|_| counts.add(*state));
        }
        assert_eq!(counts.total(&[]), 15);
        assert_eq!(counts.total(&[State::NotStarted, State::Expired]), 6);
        assert_eq!(serde_json::to_value(counts).unwrap()["completed"], 4);
    }

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        for after in [
            Place::User(UserId::new("a:b:ü").unwrap()),
            Place::Person(PersonKey(i64::MIN)),
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
            assert_eq!(text.parse::<ProgressCursor>(), Err(NoPlace), "{text}");
        }
    }
}
