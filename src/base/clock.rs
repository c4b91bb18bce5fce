//! Time and new ids, handed in: no other file asks the system for either.
//!
//! A [`Clock`] is cloned freely; tests hand in one that stands still or that they move.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::base::ids::StatementId;

/// A moment in UTC, in whole microseconds since 1970-01-01: what both databases keep exactly.
///
/// Printed as RFC 3339 with milliseconds and `Z`; finer digits are cut, never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The beginning of its millisecond: what is shown of it.
    pub const fn whole_millisecond(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1_000))
    }

    /// The moment as RFC 3339 with three digits of its second, or with six where it is finer than a millisecond.
    pub fn to_precise_text(self) -> String {
        let digits = if self == self.whole_millisecond() {
            SecondsFormat::Millis
        } else {
            SecondsFormat::Micros
        };
        self.to_datetime().to_rfc3339_opts(digits, true)
    }

    /// The same moment for calendar arithmetic.
    pub fn to_datetime(self) -> DateTime<Utc> {
        // Every moment is made from a DateTime or read back from one, so it is in range; a hand-made
        // one outside chrono's 262,000 years shows as the epoch rather than ending the process.
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time and new ids come from.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `at` until [`Clock::set`] moves it.
    pub fn manual(at: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(at.0))))
    }

    /// Moves a manual clock and all its clones; the system's clock can't be moved.
    pub fn set(&self, at: Timestamp) {
        if let Source::Manual(now) = &self.0 {
            now.store(at.0, Ordering::SeqCst);
        }
    }

    /// Now, to the microsecond.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Utc::now().into(),
            Source::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// A new id for a statement that came without one: a UUID of version 4, since published xAPI clients
    /// refuse versions that are younger than they are.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
    pub fn new_statement_id(&self) -> StatementId {
        StatementId(Uuid::new_v4())
    }

    /// A new UUID of version 7.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
