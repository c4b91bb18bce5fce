//! Progress: where a person stands with a content, which a log of events can't show (product text, section 3).
//!
//! [`Standing::of`] is the rule: a function of all the person's rows on the content and of now, whatever their order.
//! The first [`State`] of this table that fits is theirs.
//!
//! | state | when | since |
//! | --- | --- | --- |
//! | `completed` | a completion that has not expired | it happened; of several the one that holds longest |
//! | `expired` | completions, all of them expired | the last of them expired |
//! | `failed` | no completion, an attempt that failed | the latest such attempt |
//! | `in_progress` | something that begins ([`Action::begins`]) | the first such |
//! | `not_started` | else | never |
//!
//! So a later failure takes no completion away (a correction is a voiding), and a new start hides neither a failure
//! nor an expiry. A certificate is shown whatever the state.
//!
//! How it is answered, person by person and page by page, is in `page`.

mod page;
#[cfg(test)]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;

use super::action::Action;
use super::activity::ActivityCertificate;
use super::projection::{Certificate, Percent};

pub use page::{NoPlace, PersonProgress, Place, ProgressCursor, StateCounts};

/// Where a person stands with a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was begun.
    NotStarted,
    /// Something was begun, and neither completed nor failed.
    InProgress,
    /// Failed, and never completed.
    Failed,
    /// Completed, and not expired.
    Completed,
    /// Completed, and all of it expired.
    Expired,
}

impl State {
    /// All of them, in the order of the product text.
    pub const ALL: &'static [Self] = &[
        Self::NotStarted,
        Self::InProgress,
        Self::Failed,
        Self::Completed,
        Self::Expired,
    ];

    /// The name in JSON and in parameters.
    pub const fn key(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::InProgress => "in_progress",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Expired => "expired",
        }
    }

    /// The name that people read.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotStarted => "Not started",
            Self::InProgress => "In progress",
            Self::Failed => "Failed",
            Self::Completed => "Completed",
            Self::Expired => "Expired",
        }
    }

    /// A number that is larger the earlier the state stands in the rule: the largest of a person's rows is theirs.
    pub const fn code(self) -> i64 {
        match self {
            Self::NotStarted => 0,
            Self::InProgress => 1,
            Self::Failed => 2,
            Self::Expired => 3,
            Self::Completed => 4,
        }
    }

    /// The state with that number, if there is one.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }
}

/// A row that decides: a completion, a failure, or one that a certificate came with.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisive {
    /// The order of recording, which breaks ties.
    pub seq: i64,
    /// The activity.
    pub id: StatementId,
    /// When it happened.
    pub happened_at: Timestamp,
    /// What was done.
    pub action: Action,
    /// Whether it is a completion.
    pub completed: bool,
    /// When what was achieved expires.
    pub expired_at: Option<Timestamp>,
    /// The score.
    pub percent: Option<Percent>,
    /// The certificate that came with it.
    pub certificate: Option<Certificate>,
}

impl Decisive {
    fn expired(&self, now: Timestamp) -> bool {
        self.expired_at.is_some_and(|at| at < now)
    }

    fn recency(&self) -> (Timestamp, i64) {
        (self.happened_at, self.seq)
    }
}

/// What holds longest: what never expires before what does, then the later expiry.
fn hold(expires_at: Option<Timestamp>) -> (bool, Option<Timestamp>) {
    (expires_at.is_none(), expires_at)
}

/// Where somebody stands, since when, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Where.
    pub state: State,
    /// Since when; `None` for who has not started.
    pub since: Option<Timestamp>,
    /// When the completion that counts expires, or did.
    pub expires_at: Option<Timestamp>,
    /// The latest score among the completions, or among the failures of who only failed.
    pub percent: Option<Percent>,
    /// The certificate that holds longest, whatever the state.
    pub certificate: Option<ActivityCertificate>,
    /// The activity that the state comes from; `None` where none by itself does.
    pub activity: Option<StatementId>,
}

impl Standing {
    /// Where a person stands by now with all of their `decisive` rows on a content, in any order; `begun` is when the
    /// first row happened that begins something, which only counts where neither a completion nor a failure does.
    pub fn of(decisive: &[Decisive], begun: Option<Timestamp>, now: Timestamp) -> Self {
        let certificate = certificate(decisive);
        let completions: Vec<&Decisive> = decisive.iter().filter(|row| row.completed).collect();
        let best = completions
            .iter()
            .max_by_key(|row| (hold(row.expired_at), row.recency()));
        if let Some(best) = best {
            let expired = best.expired(now);
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
        let failures: Vec<&Decisive> = decisive
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
            state: if begun.is_some() {
                State::InProgress
            } else {
                State::NotStarted
            },
            since: begun,
            expires_at: None,
            percent: None,
            certificate,
            activity: None,
        }
    }
}

fn latest_percent(rows: &[&Decisive]) -> Option<Percent> {
    let scored = rows.iter().filter(|row| row.percent.is_some());
    scored.max_by_key(|row| row.recency())?.percent
}

fn certificate(rows: &[Decisive]) -> Option<ActivityCertificate> {
    let certified = rows
        .iter()
        .filter_map(|row| Some((row, row.certificate.as_ref()?)));
    let (row, certificate) =
        certified.max_by_key(|(row, certificate)| (hold(certificate.expires_at), row.recency()))?;
    Some(ActivityCertificate {
        name: certificate.name.clone(),
        awarded_at: row.happened_at,
        expires_at: certificate.expires_at,
    })
}
