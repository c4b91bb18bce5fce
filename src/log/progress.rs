//! Progress: the state of a person with a content (docs/specification.md#progress).
//!
//! [`ProgressStatus::from_rows`] computes the state from all rows of the person with the content, in any order. The first
//! [`State`] of this table with a true condition applies:
//!
//! | state | condition | since |
//! | --- | --- | --- |
//! | `completed` | a completion that has not expired | the completion that is valid longest |
//! | `expired` | completions, all expired | the last expiry |
//! | `failed` | a failed attempt | the latest failed attempt |
//! | `in_progress` | an activity that [starts learning](Action::starts_learning) | the first such activity |
//! | `not_started` | otherwise | never |
//!
//! A later failure does not undo a completion; a voiding does. A new start hides neither a failure nor an expiry. The
//! certificate is shown in every state.
//!
//! The module `page` has the JSON and the cursors of lists.

mod page;
#[cfg(test)]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::texts::Language;

use super::action::Action;
use super::activity::ActivityCertificate;
use super::period::Window;
use super::projection::{Certificate, Percent};

pub use page::{CursorParseError, ListPosition, PersonProgress, ProgressCursor, StateCounts};

/// The state of a person with a content.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = ProgressState)]
pub enum State {
    /// The person has not started.
    NotStarted,
    /// The person has started, and neither completed nor failed.
    InProgress,
    /// The person failed, and has no completion.
    Failed,
    /// The person has a completion that has not expired.
    Completed,
    /// All completions of the person have expired.
    Expired,
}

impl State {
    /// All states, in the order of the specification.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The name in JSON and in parameters.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The label for people.
    pub fn label_in(self, language: Language) -> &'static str {
        language.label("state", self.key())
    }

    /// A number that grows with the precedence of the state. SQL takes the largest number of a person's rows.
    pub const fn code(self) -> i64 {
        match self {
            Self::NotStarted => 0,
            Self::InProgress => 1,
            Self::Failed => 2,
            Self::Expired => 3,
            Self::Completed => 4,
        }
    }

    /// The state with this code.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }
}

/// The people that a request selects by their progress. Both conditions must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatusFilter {
    /// The states, any of them; every state if the list is empty.
    pub states: Vec<State>,
    /// The window of the expiry of the completion that counts.
    pub expires: Option<Window>,
}

impl StatusFilter {
    /// Whether everyone is selected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a person with this state and expiry is selected.
    pub fn matches(&self, state: State, expires_at: Option<Timestamp>) -> bool {
        (self.states.is_empty() || self.states.contains(&state))
            && self
                .expires
                .is_none_or(|window| expires_at.is_some_and(|at| window.contains(at)))
    }
}

/// A row that decides the state: a completion, a failure, or a row with a certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeActivity {
    /// The order of recording, which orders rows of the same time.
    pub seq: i64,
    /// The id of the activity.
    pub id: StatementId,
    /// When it happened.
    pub happened_at: Timestamp,
    /// The action.
    pub action: Action,
    /// Whether the activity is a completion.
    pub completed: bool,
    /// When the completion expires.
    pub expired_at: Option<Timestamp>,
    /// The score.
    pub percent: Option<Percent>,
    /// The certificate that was awarded.
    pub certificate: Option<Certificate>,
}

impl OutcomeActivity {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expired_at.is_some_and(|at| at < now)
    }

    fn recency(&self) -> (Timestamp, i64) {
        (self.happened_at, self.seq)
    }
}

/// A key that orders by validity: no expiry is the longest, then the later expiry.
fn validity(expires_at: Option<Timestamp>) -> (bool, Option<Timestamp>) {
    (expires_at.is_none(), expires_at)
}

/// The progress of a person with a content.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressStatus {
    /// The state.
    pub state: State,
    /// The beginning of the state; `None` for `not_started`.
    pub since: Option<Timestamp>,
    /// The expiry of the completion that counts.
    pub expires_at: Option<Timestamp>,
    /// The latest score of the completions, else of the failures.
    pub percent: Option<Percent>,
    /// The certificate that is valid longest.
    pub certificate: Option<ActivityCertificate>,
    /// The activity that decides the state, for `completed`, `expired` and `failed`.
    pub activity: Option<StatementId>,
}

impl ProgressStatus {
    /// The progress at the moment `now`, from all outcomes of the person with the content, in any order. `started_at`
    /// is the time of the first row that starts learning; it counts only without completions and failures.
    pub fn from_rows(outcomes: &[OutcomeActivity], started_at: Option<Timestamp>, now: Timestamp) -> Self {
        let certificate = longest_valid_certificate(outcomes);
        let completions: Vec<&OutcomeActivity> = outcomes.iter().filter(|row| row.completed).collect();
        let best = completions
            .iter()
            .max_by_key(|row| (validity(row.expired_at), row.recency()));
        if let Some(best) = best {
            let expired = best.is_expired(now);
            return Self {
                state: if expired { State::Expired } else { State::Completed },
                since: if expired {
                    best.expired_at
                } else {
                    Some(best.happened_at)
                },
                expires_at: best.expired_at,
                percent: latest_percent(&completions),
                certificate,
                activity: Some(best.id),
            };
        }
        let failures: Vec<&OutcomeActivity> = outcomes
            .iter()
            .filter(|row| row.action == Action::Failed)
            .collect();
        if let Some(latest) = failures.iter().max_by_key(|row| row.recency()) {
            return Self {
                state: State::Failed,
                since: Some(latest.happened_at),
                expires_at: None,
                percent: latest_percent(&failures),
                certificate,
                activity: Some(latest.id),
            };
        }
        Self {
            state: if started_at.is_some() {
                State::InProgress
            } else {
                State::NotStarted
            },
            since: started_at,
            expires_at: None,
            percent: None,
            certificate,
            activity: None,
        }
    }
}

fn latest_percent(rows: &[&OutcomeActivity]) -> Option<Percent> {
    let with_score = rows.iter().filter(|row| row.percent.is_some());
    with_score.max_by_key(|row| row.recency())?.percent
}

fn longest_valid_certificate(rows: &[OutcomeActivity]) -> Option<ActivityCertificate> {
    let with_certificate = rows
        .iter()
        .filter_map(|row| Some((row, row.certificate.as_ref()?)));
    let (row, certificate) = with_certificate
        .max_by_key(|(row, certificate)| (validity(certificate.expires_at), row.recency()))?;
    Some(ActivityCertificate {
        name: certificate.name.clone(),
        awarded_at: row.happened_at,
        expires_at: certificate.expires_at,
    })
}
