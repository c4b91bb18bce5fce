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

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{StatementId, UserId};

use super::action::Action;
use super::activity::{ActivityCertificate, ActivityUser};
use super::projection::{Certificate, Percent};
use super::row::{PersonCard, PersonKey};

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
    pub fn new(person: &PersonCard, standing: Standing) -> Self {
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
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn id(number: i64) -> StatementId {
        StatementId(Uuid::from_u128(number.unsigned_abs().into()))
    }

    /// A row that happened, and was recorded, at that moment.
    fn row(action: Action, happened_at: i64) -> Decisive {
        Decisive {
            seq: happened_at,
            id: id(happened_at),
            happened_at: at(happened_at),
            action,
            completed: action.completes(),
            expired_at: None,
            percent: None,
            certificate: None,
        }
    }

    fn completed(happened_at: i64, expired_at: Option<i64>) -> Decisive {
        Decisive {
            expired_at: expired_at.map(at),
            ..row(Action::Completed, happened_at)
        }
    }

    fn scored(row: Decisive, percent: i64) -> Decisive {
        Decisive {
            percent: Some(Percent(percent)),
            ..row
        }
    }

    fn certified(row: Decisive, name: &str, expires_at: Option<i64>) -> Decisive {
        Decisive {
            certificate: Some(Certificate {
                name: Some(name.to_owned()),
                expires_at: expires_at.map(at),
            }),
            ..row
        }
    }

    /// State, since, expiry and activity.
    fn told(rows: &[Decisive], begun: Option<i64>) -> (State, Option<i64>, Option<i64>, Option<StatementId>) {
        let standing = Standing::of(rows, begun.map(at), NOW);
        let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
        (
            standing.state,
            micros(standing.since),
            micros(standing.expires_at),
            standing.activity,
        )
    }

    #[test]
    fn the_first_state_that_fits() {
        use State::*;
        let failed = |at| row(Action::Failed, at);
        let received = row(Action::ReceivedCertificateFor, 1);
        for (rows, begun, expected) in [
            (vec![], None, (NotStarted, None, None, None)),
            (vec![], Some(5), (InProgress, Some(5), None, None)),
            (vec![received.clone()], Some(1), (InProgress, Some(1), None, None)),
            (vec![failed(7)], Some(1), (Failed, Some(7), None, Some(id(7)))),
            (
                vec![failed(7), failed(9)],
                None,
                (Failed, Some(9), None, Some(id(9))),
            ),
            (
                vec![completed(3, None)],
                None,
                (Completed, Some(3), None, Some(id(3))),
            ),
            // A later failure takes nothing away, expired or not.
            (
                vec![completed(3, None), failed(9)],
                None,
                (Completed, Some(3), None, Some(id(3))),
            ),
            (
                vec![completed(3, Some(99)), failed(200)],
                None,
                (Expired, Some(99), Some(99), Some(id(3))),
            ),
            // What expires now has not expired yet.
            (
                vec![completed(3, Some(1_000))],
                None,
                (Completed, Some(3), Some(1_000), Some(id(3))),
            ),
            (
                vec![completed(3, Some(999))],
                None,
                (Expired, Some(999), Some(999), Some(id(3))),
            ),
            // What holds longest counts: never ending first, then the later end, then the later row.
            (
                vec![completed(3, None), completed(9, Some(2_000))],
                None,
                (Completed, Some(3), None, Some(id(3))),
            ),
            (
                vec![completed(3, Some(3_000)), completed(9, Some(2_000))],
                None,
                (Completed, Some(3), Some(3_000), Some(id(3))),
            ),
            (
                vec![completed(3, None), completed(9, None)],
                None,
                (Completed, Some(9), None, Some(id(9))),
            ),
            (
                vec![
                    completed(3, Some(99)),
                    completed(150, Some(500)),
                    completed(160, Some(400)),
                ],
                None,
                (Expired, Some(500), Some(500), Some(id(150))),
            ),
            // Recurring content: again completed is completed.
            (
                vec![completed(3, Some(99)), completed(150, Some(1_500))],
                None,
                (Completed, Some(150), Some(1_500), Some(id(150))),
            ),
        ] {
            assert_eq!(told(&rows, begun), expected, "{rows:?}");
        }
    }

    #[test]
    fn the_order_of_recording_breaks_ties() {
        let later = Decisive {
            seq: 9,
            id: id(9),
            ..completed(3, None)
        };
        assert_eq!(told(&[later.clone(), completed(3, None)], None).3, Some(id(9)));
        assert_eq!(told(&[completed(3, None), later], None).3, Some(id(9)));
    }

    #[test]
    fn the_latest_score_of_what_counts() {
        let percent = |rows: &[Decisive]| Standing::of(rows, None, NOW).percent.map(|percent| percent.0);
        let failed = |at, percent| scored(row(Action::Failed, at), percent);
        assert_eq!(percent(&[completed(3, None)]), None);
        assert_eq!(
            percent(&[failed(3, 10), failed(5, 20), row(Action::Failed, 9)]),
            Some(20)
        );
        // A completion without a score has that of an earlier completion, never of a failure.
        assert_eq!(
            percent(&[scored(completed(3, None), 80), completed(5, None), failed(9, 10)]),
            Some(80)
        );
        assert_eq!(percent(&[completed(3, None), failed(9, 10)]), None);
        assert_eq!(
            percent(&[scored(completed(3, None), 80), scored(completed(5, Some(99)), 90)]),
            Some(90)
        );
        // What is neither counts for nothing.
        assert_eq!(
            percent(&[scored(row(Action::ReceivedCertificateFor, 3), 70)]),
            None
        );
    }

    #[test]
    fn the_certificate_that_holds_longest_whatever_the_state() {
        let told = |rows: &[Decisive]| {
            let certificate = Standing::of(rows, None, NOW).certificate?;
            Some((
                certificate.name?,
                certificate.awarded_at.micros(),
                certificate.expires_at.map(Timestamp::micros),
            ))
        };
        assert_eq!(told(&[completed(3, None)]), None);
        let old = certified(row(Action::ReceivedCertificateFor, 3), "old", Some(10));
        assert_eq!(
            told(std::slice::from_ref(&old)),
            Some(("old".to_owned(), 3, Some(10)))
        );
        let new = certified(completed(5, Some(99)), "new", Some(2_000));
        assert_eq!(
            told(&[new.clone(), old]),
            Some(("new".to_owned(), 5, Some(2_000)))
        );
        let ever = certified(row(Action::Failed, 1), "ever", None);
        assert_eq!(told(&[ever, new]), Some(("ever".to_owned(), 1, None)));
    }

    #[test]
    fn codes_and_keys_lead_back() {
        for state in State::ALL {
            assert_eq!(State::from_code(state.code()), Some(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.key());
        }
        assert_eq!(State::from_code(5), None);
    }

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
            let cursor = ProgressCursor { now: at(-7), after };
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

    fn any_row() -> impl Strategy<Value = Decisive> {
        let action = prop::sample::select(Action::ALL.to_vec());
        let moment = 0..6i64;
        let certificate = prop::option::of(prop::option::of(moment.clone()));
        let rest = (
            prop::option::of(moment.clone()),
            prop::option::of(0..3i64),
            any::<bool>(),
            certificate,
        );
        (action, moment, rest).prop_map(
            |(action, happened_at, (expired_at, percent, completion, certificate))| Decisive {
                completed: action.completes() || (completion && action != Action::Failed),
                expired_at: expired_at.map(at),
                percent: percent.map(Percent),
                certificate: certificate.map(|expires_at| Certificate {
                    name: None,
                    expires_at: expires_at.map(at),
                }),
                ..row(action, happened_at)
            },
        )
    }

    proptest! {
        /// Any order of the rows gives the same, and the state is the largest that a row by itself gives.
        #[test]
        fn the_order_of_rows_never_matters(
            mut rows in prop::collection::vec(any_row(), 0..6),
            begun in prop::option::of(0..6i64),
            now in 0..6i64,
            turn in 0..6usize,
        ) {
            for (place, row) in rows.iter_mut().enumerate() {
                row.seq = place as i64;
                row.id = id(row.seq);
            }
            let (begun, now) = (begun.map(at), at(now));
            let expected = Standing::of(&rows, begun, now);
            let alone = rows.iter().map(|row| Standing::of(std::slice::from_ref(row), begun, now).state);
            let nothing = Standing::of(&[], begun, now).state;
            let largest = alone.chain([nothing]).max_by_key(|state| state.code());
            prop_assert_eq!(largest, Some(expected.state));
            let places = rows.len().max(1);
            rows.rotate_left(turn % places);
            prop_assert_eq!(&Standing::of(&rows, begun, now), &expected);
            rows.reverse();
            prop_assert_eq!(&Standing::of(&rows, begun, now), &expected);
        }
    }
}
