//! Durations that follow the calendar.

use std::fmt;

use chrono::{Days, Months, TimeDelta};
use serde::{Deserialize, Serialize};

use super::{Amount, Duration, DurationError, HOURS, SECONDS, UNITS, WEEKS};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Node, string};

/// A duration that is added to a date by the calendar: `P1Y`, `P6M`, `P2W`, `P1DT12H`. The field `expires_after` of a
/// content is one.
///
/// Years, months, weeks and days follow the calendar. Hours, minutes and seconds have a fixed length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CalendarDuration(Duration);

const MICROS_PER_DAY: i128 = 86_400_000_000;

impl CalendarDuration {
    /// Parses an ISO 8601 duration with designators. Only seconds may have a fraction.
    ///
    /// # Errors
    ///
    /// The text has another format.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let duration = Duration::parse(text)?;
        if duration
            .amounts
            .iter()
            .take(SECONDS)
            .any(|amount| amount.millionths > 0)
        {
            return Err(DurationError(
                "only seconds can have a fraction here; write P6M instead of P0.5Y",
            ));
        }
        Ok(Self(duration))
    }

    /// Reads a calendar duration from a node.
    ///
    /// # Errors
    ///
    /// The node is not a string, or the string is not a calendar duration.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse(string(node, place)?).map_err(|error| place.fault(error.to_string()))
    }

    /// The source text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The moment that is this duration later than `from`, by the calendar in UTC.
    ///
    /// It adds years and months first, then weeks and days, then the time. If the resulting month has no such
    /// day, the day is the last of that month: 31 January plus `P1M` is 28 February. A moment after the year
    /// 9999 becomes the last moment of that year.
    pub fn add_to(&self, from: Timestamp) -> Timestamp {
        self.checked_add_to(from).unwrap_or(Timestamp::MAX)
    }

    /// Whether this duration ends no later than `other` from every start. False if that depends on the start, as for
    /// `P30D` and `P1M`.
    ///
    /// The lengths of months are estimated: a year has 365 or 366 days, and a month 28 to 31. So the answer for durations
    /// of nearly the same length may be false where it could be true, and never the reverse.
    pub fn is_never_longer_than(&self, other: &Self) -> bool {
        let parts = |duration: &Self| Some((i128::from(duration.months()?), duration.micros_after_months()?));
        let (Some((months, micros)), Some((other_months, other_micros))) = (parts(self), parts(other)) else {
            return self == other;
        };
        let further_months = other_months - months;
        let (years, rest) = (further_months / 12, further_months % 12);
        // The smallest difference: short months where `other` has more of them, long ones where it has fewer.
        let days = if further_months >= 0 {
            years * 365 + rest * 28
        } else {
            years * 366 + rest * 31
        };
        micros - other_micros <= days * MICROS_PER_DAY
    }

    /// Years and months, as months.
    fn months(&self) -> Option<u64> {
        let [years, months, ..] = &self.0.amounts;
        years.whole.checked_mul(12)?.checked_add(months.whole)
    }

    /// Weeks, days and time, in microseconds. In UTC every day has 24 hours.
    fn micros_after_months(&self) -> Option<i128> {
        let seconds: i128 = self.0.amounts[WEEKS..]
            .iter()
            .zip(&UNITS[WEEKS..])
            .try_fold(0_i128, |sum, (amount, unit)| {
                sum.checked_add(i128::from(amount.whole).checked_mul(unit.1)?)
            })?;
        let micros = seconds.checked_mul(1_000_000)?;
        micros.checked_add(self.0.amounts[SECONDS].millionths.into())
    }

    fn checked_add_to(&self, from: Timestamp) -> Option<Timestamp> {
        let [_, _, weeks, days, time @ ..] = &self.0.amounts;
        let months = self.months()?;
        let days = weeks.whole.checked_mul(7)?.checked_add(days.whole)?;
        let seconds = |(amount, unit): (&Amount, &(u8, i128))| i128::from(amount.whole) * unit.1;
        let seconds: i128 = time.iter().zip(&UNITS[HOURS..]).map(seconds).sum();
        let micros = seconds * 1_000_000 + i128::from(time[SECONDS - HOURS].millionths);
        let date = from
            .to_datetime()
            .checked_add_months(Months::new(months.try_into().ok()?))?;
        let date = date.checked_add_days(Days::new(days))?;
        Some(
            date.checked_add_signed(TimeDelta::microseconds(micros.try_into().ok()?))?
                .into(),
        )
    }
}

/// Writes the source text.
impl fmt::Display for CalendarDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for CalendarDuration {
    type Error = DurationError;
    fn try_from(text: String) -> Result<Self, DurationError> {
        Self::parse(&text)
    }
}

impl From<CalendarDuration> for String {
    fn from(duration: CalendarDuration) -> String {
        duration.0.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::timestamp;

    #[test]
    fn comparison_of_durations_holds_from_every_start() {
        let span = |text: &str| CalendarDuration::parse(text).unwrap();
        let texts = [
            "P1D",
            "P7D",
            "P1W",
            "P28D",
            "P30D",
            "P31D",
            "P1M",
            "P1M1D",
            "P2M",
            "P60D",
            "P90D",
            "P3M",
            "P12M",
            "P1Y",
            "P365D",
            "P366D",
            "P1Y1M",
            "PT24H",
            "PT23H59M59.9S",
            "P10Y",
            "P99999999999999999999Y",
        ];
        let starts = (0..3_000).map(|day| Timestamp::from_micros(day * 86_400_000_000 * 2));
        let starts: Vec<Timestamp> = starts.collect();
        for one in texts.map(span) {
            for other in texts.map(span) {
                let holds = starts
                    .iter()
                    .all(|start| one.add_to(*start) <= other.add_to(*start));
                if one.is_never_longer_than(&other) {
                    assert!(holds, "{one} and {other}");
                }
            }
        }
        for (one, other) in [
            ("P1D", "PT24H"),
            ("PT24H", "P1D"),
            ("P7D", "P1W"),
            ("P28D", "P1M"),
            ("P1M", "P31D"),
            ("P1M", "P2M"),
            ("P12M", "P1Y"),
            ("P1Y", "P366D"),
            ("P365D", "P1Y"),
            ("P60D", "P3M"),
            ("P30D", "P30D"),
        ] {
            assert!(span(one).is_never_longer_than(&span(other)), "{one} and {other}");
        }
        for (one, other) in [
            ("P30D", "P1M"),
            ("P1M", "P30D"),
            ("P1Y", "P365D"),
            ("P1DT0.000001S", "P1D"),
        ] {
            assert!(!span(one).is_never_longer_than(&span(other)), "{one} and {other}");
        }
    }

    #[test]
    fn addition_follows_the_calendar() {
        let cases = [
            ("2026-01-31T10:00:00Z", "P1M", "2026-02-28T10:00:00.000Z"),
            ("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00.000Z"),
            ("2026-01-01T00:00:00Z", "P2W", "2026-01-15T00:00:00.000Z"),
            (
                "2026-01-31T00:00:00Z",
                "P1M1DT1H0M0.5S",
                "2026-03-01T01:00:00.500Z",
            ),
            ("2026-01-31T00:00:00Z", "P9000Y", "9999-12-31T23:59:59.999Z"),
            (
                "2026-01-31T00:00:00Z",
                "P99999999999999999999Y",
                "9999-12-31T23:59:59.999Z",
            ),
            (
                "2026-01-31T00:00:00Z",
                "PT99999999999999999999S",
                "9999-12-31T23:59:59.999Z",
            ),
        ];
        for (from, ahead, to) in cases {
            let from = timestamp::parse(from).unwrap();
            match CalendarDuration::parse(ahead) {
                Ok(ahead) => assert_eq!(ahead.add_to(from).to_string(), to, "{ahead}"),
                Err(_) => assert_eq!(to, "", "{ahead}"),
            }
        }
        assert!(CalendarDuration::parse("P0.5Y").is_err());
    }
}
