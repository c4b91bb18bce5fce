//! The source of the current time and of new ids.
//!
//! No other file reads the system's clock or its random numbers. A [`Clock`] is passed to the code that needs
//! one. Tests pass a manual clock, which changes only when they set it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::base::ids::StatementId;

/// A moment in UTC, in whole microseconds since 1970-01-01T00:00:00Z. Both databases store it exactly.
///
/// Every moment that comes from a client or a calculation is between [`Timestamp::MIN`] and [`Timestamp::MAX`], so that RFC 3339
/// can write it and each reader can parse it. A number outside of these years is written as the nearer of the two.
///
/// `Display` writes RFC 3339 with milliseconds and `Z`. Finer digits are cut off, never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first moment of the year 0000.
    pub const MIN: Self = Self(-62_167_219_200_000_000);

    /// The last moment of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The moment `micros` microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The number of microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The beginning of the millisecond that contains this moment. Answers contain no finer digits.
    pub const fn whole_millisecond(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1_000)))
    }

    /// Whether the moments differ by less than a millisecond. A system may cut or round a moment to whole milliseconds
    /// (xAPI 1.0.3, Data 4.5), so such moments count as the same.
    pub const fn is_within_a_millisecond_of(self, other: Self) -> bool {
        self.0.abs_diff(other.0) < 1_000
    }

    /// The beginning of the next millisecond.
    pub const fn next_millisecond(self) -> Self {
        Self(self.whole_millisecond().0.saturating_add(1_000))
    }

    /// The moment as RFC 3339, with three decimals of the second, or with six if it is finer than a millisecond.
    pub fn to_precise_text(self) -> String {
        let written = Self::from(self.to_datetime());
        let digits = if written == written.whole_millisecond() {
            SecondsFormat::Millis
        } else {
            SecondsFormat::Micros
        };
        self.to_datetime().to_rfc3339_opts(digits, true)
    }

    /// The same moment for calendar arithmetic.
    pub fn to_datetime(self) -> DateTime<Utc> {
        let micros = self.0.clamp(Self::MIN.0, Self::MAX.0);
        // The years 0000 to 9999 are among those of chrono.
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// The moment, or `None` if it is outside the years 0000 to 9999. A leap second counts as the second after it.
    pub fn in_range(at: DateTime<Utc>) -> Option<Self> {
        let micros = at.timestamp_micros();
        (Self::MIN.0..=Self::MAX.0)
            .contains(&micros)
            .then_some(Self(micros))
    }
}

/// A moment outside the years 0000 to 9999 becomes the first or the last one of them.
impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros().clamp(Self::MIN.0, Self::MAX.0))
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

/// The source of the current time and of new ids. Clones of a manual clock share its time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the operating system.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `at` until [`Clock::set`] changes it.
    pub fn manual(at: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(at.0))))
    }

    /// Sets the time of a manual clock and of all its clones. Does nothing to the system's clock.
    pub fn set(&self, at: Timestamp) {
        if let Source::Manual(now) = &self.0 {
            now.store(at.0, Ordering::SeqCst);
        }
    }

    /// The current time, to the microsecond.
    #[allow(
        clippy::disallowed_methods,
        reason = "only this file reads the system's clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Utc::now().into(),
            Source::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// A new id for a statement that has none.
    ///
    /// It is a UUID of version 4, because some published xAPI clients reject newer versions.
    #[allow(
        clippy::disallowed_methods,
        reason = "only this file reads random numbers for ids"
    )]
    pub fn new_statement_id(&self) -> StatementId {
        StatementId(Uuid::new_v4())
    }

    /// A new UUID of version 7.
    #[allow(
        clippy::disallowed_methods,
        reason = "only this file reads the system's clock"
    )]
    pub fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::timestamp::parse;

    proptest! {
        /// The text of any number can be parsed. In the years 0000 to 9999 it is the same moment.
        #[test]
        fn each_text_of_a_moment_is_parsed(micros in any::<i64>()) {
            let at = Timestamp::from_micros(micros);
            let parsed = parse(&at.to_precise_text()).unwrap();
            prop_assert_eq!(parsed, at.clamp(Timestamp::MIN, Timestamp::MAX));
            prop_assert_eq!(parse(&at.to_string()).unwrap(), parsed.whole_millisecond());
        }
    }

    #[test]
    fn moments_outside_the_years_of_rfc_3339_become_the_nearest() {
        for (at, text) in [
            (Timestamp::MAX, "9999-12-31T23:59:59.999999Z"),
            (Timestamp::MIN, "0000-01-01T00:00:00.000Z"),
            (Timestamp::from_micros(i64::MAX), "9999-12-31T23:59:59.999999Z"),
            (Timestamp::from_micros(i64::MIN), "0000-01-01T00:00:00.000Z"),
            // Whole milliseconds: the nearest moment has finer digits.
            (
                Timestamp::from_micros(371_157_546_330_669_000),
                "9999-12-31T23:59:59.999999Z",
            ),
            (DateTime::<Utc>::MAX_UTC.into(), "9999-12-31T23:59:59.999999Z"),
            (DateTime::<Utc>::MIN_UTC.into(), "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(at.to_precise_text(), text);
        }
        assert_eq!(Timestamp::in_range(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(
            Timestamp::in_range(Timestamp::MAX.to_datetime()),
            Some(Timestamp::MAX)
        );
    }
}
