//! The status of everyone with a row of a content, for requests that select or count people by their progress.

use std::collections::{BTreeMap, HashMap};

use crate::base::clock::Timestamp;
use crate::log::progress::{State, StateCounts, StatusFilter};
use crate::store::db::StoreError;

/// The state and the expiry of each user and person that has a row of the content, also outside the reach.
///
/// It is not public data: only [`ContentProgress::find_page`](super::ContentProgress::find_page)
/// and [`ContentProgress::count_people`](super::ContentProgress::count_people) use it, and both apply the reach.
#[derive(Debug, Clone, Default)]
pub struct StateSurvey {
    pub(super) users: HashMap<i64, SurveyedStatus>,
    /// The persons without a user.
    pub(super) persons: BTreeMap<i64, SurveyedStatus>,
}

/// A row of the survey: a user or else a person, the code of the state, and the expiry or [`NEVER`].
pub(super) type Row = (Option<i64>, Option<i64>, i64, Option<i64>);

/// The state of a person, and the expiry of the completion that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct SurveyedStatus {
    pub(super) state: State,
    expires_at: Option<Timestamp>,
}

/// The status of a person without a row of the content.
pub(super) const NOT_STARTED: SurveyedStatus = SurveyedStatus {
    state: State::NotStarted,
    expires_at: None,
};

/// The expiry in a survey of a completion that never expires. It is later than all others.
pub(super) const NEVER: i64 = i64::MAX;

/// The number of people of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeopleCounts {
    /// The selected people.
    pub total: u64,
    /// All people in scope, by state.
    pub states: StateCounts,
}

impl StateSurvey {
    /// Adds the status of a user, or else of a person without a user.
    pub(super) fn add(&mut self, user: Option<i64>, person: Option<i64>, status: SurveyedStatus) {
        if let Some(user) = user {
            self.users.insert(user, status);
        } else if let Some(person) = person {
            self.persons.insert(person, status);
        }
    }
}

impl SurveyedStatus {
    /// The status of the code of a state, and an expiry or [`NEVER`].
    pub(super) fn from_columns(code: i64, expiry: Option<i64>) -> Result<Self, StoreError> {
        Ok(Self {
            state: State::from_code(code).ok_or_else(|| StoreError::corrupt("state", code))?,
            expires_at: expiry.filter(|at| *at != NEVER).map(Timestamp::from_micros),
        })
    }

    /// Whether the filter selects people with this status.
    pub(super) fn matches(&self, filter: &StatusFilter) -> bool {
        filter.matches(self.state, self.expires_at)
    }
}
