//! Durations in the format of ISO 8601 with designators, for example `PT1H30M` or `P6M` (xAPI 1.0.3, Data 4.6).
//!
//! [`Duration`] is the time that something took. Its years and months have a fixed length.
//! [`CalendarDuration`] is added to a date, and its years and months follow the calendar.
//!
//! The code is our own, because xAPI compares durations unit by unit ([`Duration::same_as`]).

mod calendar;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::fault::{Fault, Place};
use crate::base::json::{Node, string};

pub use calendar::CalendarDuration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DurationError(&'static str);

const SHAPE: DurationError =
    DurationError("a duration as in ISO 8601 is needed here, such as PT1H30M, PT45.5S or P4W");

/// The maximum length of the text.
const MAX_LENGTH: usize = 100;

/// The units from years to seconds, each with its designator and its length in seconds. A year has 365 days
/// and a month 30 days.
const UNITS: [(u8, i128); 7] = [
    (b'Y', 365 * 86_400),
    (b'M', 30 * 86_400),
    (b'W', 7 * 86_400),
    (b'D', 86_400),
    (b'H', 3_600),
    (b'M', 60),
    (b'S', 1),
];
/// The index of weeks in [`UNITS`].
const WEEKS: usize = 2;
/// The index of hours in [`UNITS`].
const HOURS: usize = 4;
/// The index of seconds in [`UNITS`].
const SECONDS: usize = 6;

/// The number of a unit, with six decimals. Finer digits are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    whole: u64,
    millionths: u32,
}

/// The amount of each unit in [`UNITS`].
type Amounts = [Amount; 7];

/// The time that something took, with its source text (xAPI 1.0.3, Data 4.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    amounts: Amounts,
}

impl Duration {
    /// Parses an ISO 8601 duration with designators.
    ///
    /// Weeks can't be combined with other units. The last number may have a fraction. A sign is not allowed.
    ///
    /// # Errors
    ///
    /// The text has another format.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        Ok(Self {
            text: text.to_owned(),
            amounts: parse_amounts(text)?,
        })
    }

    /// Parses one of the three formats of the short form: an ISO 8601 duration, a SCORM 1.2 time
    /// (`HHHH:MM:SS.SS`), or seconds (`90`, `12.5`). The text of the result is ISO 8601. See
    /// `docs/specification.md#short-form`.
    ///
    /// # Errors
    ///
    /// The text has another format.
    pub fn parse_loose(text: &str) -> Result<Self, DurationError> {
        if let Some((hours, rest)) = text.split_once(':') {
            return parse_scorm_time(hours, rest);
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let seconds = parse_amount(text).filter(|_| text.len() <= MAX_LENGTH && !text.contains(','));
            return seconds.map(Self::from_seconds).ok_or(SHAPE);
        }
        Self::parse(text)
    }

    fn from_seconds(seconds: Amount) -> Self {
        let mut amounts = Amounts::default();
        amounts[SECONDS] = seconds;
        Self {
            text: format!("PT{seconds}S"),
            amounts,
        }
    }

    /// Reads a duration from a node.
    ///
    /// # Errors
    ///
    /// The node is not a string, or the string is not a duration.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse(string(node, place)?).map_err(|error| place.fault(error.to_string()))
    }

    /// The source text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn micros(&self) -> i128 {
        let micros = |(amount, unit): (&Amount, &(u8, i128))| {
            (i128::from(amount.whole) * 1_000_000 + i128::from(amount.millionths)).saturating_mul(unit.1)
        };
        self.amounts
            .iter()
            .zip(&UNITS)
            .map(micros)
            .fold(0, i128::saturating_add)
    }

    /// The length in hundredths of a second. Finer digits are cut off. xAPI compares durations at this precision.
    ///
    /// A length that does not fit is `i64::MAX`.
    pub fn hundredths(&self) -> i64 {
        i64::try_from(self.micros() / 10_000).unwrap_or(i64::MAX)
    }

    /// The length in seconds. A fraction is cut off. A length that does not fit is `i64::MAX`.
    pub fn whole_seconds(&self) -> i64 {
        i64::try_from(self.micros() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// Whether both durations are the same in every unit, in seconds to the hundredth (xAPI 1.0.3, Data 2.3.1
    /// and 4.6).
    ///
    /// `PT60S` and `PT1M` are different: the specification compares the spelling and not the length.
    pub fn same_as(&self, other: &Self) -> bool {
        let to_hundredths = |duration: &Self| {
            let mut amounts = duration.amounts;
            amounts[SECONDS].millionths /= 10_000;
            amounts
        };
        to_hundredths(self) == to_hundredths(other)
    }
}

/// Writes the source text.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Duration {
    type Error = DurationError;
    fn try_from(text: String) -> Result<Self, DurationError> {
        Self::parse(&text)
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> String {
        duration.text
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.whole)?;
        if self.millionths > 0 {
            write!(f, ".{}", format!("{:06}", self.millionths).trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// Parses the amounts of an ISO 8601 duration.
fn parse_amounts(text: &str) -> Result<Amounts, DurationError> {
    let rest = text
        .strip_prefix('P')
        .filter(|_| text.len() <= MAX_LENGTH && text.is_ascii())
        .ok_or(SHAPE)?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return Err(SHAPE),
        Some((date, time)) => (date, time),
        None if rest.is_empty() => return Err(SHAPE),
        None => (rest, ""),
    };
    let mut amounts = Amounts::default();
    let date_fraction = parse_part(date, 0..HOURS, &mut amounts).ok_or(SHAPE)?;
    parse_part(time, HOURS..UNITS.len(), &mut amounts).ok_or(SHAPE)?;
    // Only the last number may have a fraction.
    if date_fraction && !time.is_empty() {
        return Err(SHAPE);
    }
    let others = rest
        .bytes()
        .filter(|byte| byte.is_ascii_alphabetic() && *byte != b'W')
        .count();
    if date.contains('W') && others > 0 {
        return Err(DurationError(
            "weeks can't be combined with other units; write P4W, or use days: P29D",
        ));
    }
    Ok(amounts)
}

/// Parses the numbers and designators before or after the `T`, and stores them in `amounts`. Returns whether the last
/// number has a fraction, or `None` if the text has another format.
fn parse_part(mut text: &str, units: Range<usize>, amounts: &mut Amounts) -> Option<bool> {
    let mut units = UNITS.iter().zip(amounts).skip(units.start).take(units.len());
    let mut has_fraction = false;
    while !text.is_empty() {
        // Only the last number may have a fraction.
        if has_fraction {
            return None;
        }
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, rest) = text.split_at(end);
        let designator = rest.bytes().next()?;
        // `find` moves on, so the units can only appear in their order.
        let (_, amount) = units.find(|((unit, _), _)| *unit == designator)?;
        *amount = parse_amount(number)?;
        has_fraction = number.contains(['.', ',']);
        text = rest.get(1..)?;
    }
    Some(has_fraction)
}

/// Parses a number without sign and exponent. The decimal separator is a point or a comma. A whole part that
/// does not fit is `u64::MAX`.
fn parse_amount(text: &str) -> Option<Amount> {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some(Amount {
        whole: whole.parse().unwrap_or(u64::MAX),
        millionths: micros.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')),
    })
}

/// Parses a SCORM 1.2 CMITimespan: up to four digits of hours, then `MM:SS` with up to two decimals.
fn parse_scorm_time(hours: &str, rest: &str) -> Result<Duration, DurationError> {
    let shape = DurationError("a SCORM 1.2 time is HHHH:MM:SS.SS, such as 0000:05:30.00");
    let is_two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (minutes, seconds) = rest.split_once(':').ok_or(shape.clone())?;
    let whole_seconds = seconds.split_once('.').map_or(seconds, |(whole, _)| whole);
    let decimals = seconds.len() - whole_seconds.len();
    let is_valid = (1..=4).contains(&hours.len())
        && hours.bytes().all(|byte| byte.is_ascii_digit())
        && is_two_digits(minutes)
        && is_two_digits(whole_seconds)
        && decimals <= 3
        && !seconds.contains(',');
    let (true, Some(seconds)) = (is_valid, parse_amount(seconds)) else {
        return Err(shape);
    };
    let whole = |text: &str| Amount {
        whole: text.parse().unwrap_or(0),
        millionths: 0,
    };
    let mut amounts = Amounts::default();
    amounts[HOURS..].copy_from_slice(&[whole(hours), whole(minutes), seconds]);
    let [.., hours, minutes, seconds] = &amounts;
    Ok(Duration {
        text: format!("PT{hours}H{minutes}M{seconds}S"),
        amounts,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::clock::Timestamp;

    #[test]
    fn durations_of_iso_8601_are_accepted() {
        let cases = [
            ("PT1H0M0.1S", 360_010),
            ("PT4H35M59.14S", 1_655_914),
            ("PT16559.14S", 1_655_914),
            ("P3Y", 3 * 365 * 8_640_000),
            ("P4W", 28 * 8_640_000),
            ("P1DT12H36M0.12567S", (86_400 + 12 * 3_600 + 36 * 60) * 100 + 12),
            ("P2M", 60 * 8_640_000),
            ("PT2M", 12_000),
            ("PT0,5H", 180_000),
            ("P0.5Y", 365 * 4_320_000),
            ("PT0S", 0),
            ("P99999999999999999999999Y", i64::MAX),
        ];
        for (text, hundredths) in cases {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration.hundredths(), hundredths, "{text}");
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn other_formats_are_refused() {
        let cases = [
            "",
            "P",
            "PT",
            "P1DT",
            "T1H",
            "PA1H0M0S",
            "P4W1D",
            "P1Y2W",
            "P4WT1H",
            "P1D1Y",
            "PT1S1H",
            "P1H",
            "PT1D",
            "P1S",
            "PT1.5H3M",
            "P1.5DT1H",
            "PT.5S",
            "PT5.S",
            "-PT1S",
            "PT-1S",
            "P-1D",
            "PT1",
            "P1",
            "pt1s",
            "PTT1S",
            "PT1HT1M",
            "P1DT1H ",
            "should fail",
            "PT1e3S",
            "PT\u{663}S",
            "P0003-06-04T12:30:05",
        ];
        for text in cases {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_cut_off_and_not_rounded() {
        assert_eq!(Duration::parse("PT59.999S").unwrap().whole_seconds(), 59);
        assert_eq!(Duration::parse("PT1.5M").unwrap().whole_seconds(), 90);
        assert_eq!(Duration::parse("P1M").unwrap().whole_seconds(), 30 * 86_400);
    }

    #[test]
    fn durations_are_compared_by_unit_to_the_hundredth() {
        let same = |one: &str, other: &str| {
            Duration::parse(one)
                .unwrap()
                .same_as(&Duration::parse(other).unwrap())
        };
        assert!(same("P1DT12H36M0.12S", "P1DT12H36M0.1237S"));
        assert!(same("PT1.5S", "PT1.50S"));
        assert!(!same("PT1.5S", "PT1.51S"));
        assert!(!same("PT60S", "PT1M"));
        assert!(!same("P30D", "P1M"));
    }

    #[test]
    fn short_form_accepts_three_formats() {
        let cases = [
            ("PT1M", "PT1M"),
            ("0000:05:30.25", "PT0H5M30.25S"),
            ("01:02:03", "PT1H2M3S"),
            ("90", "PT90S"),
            ("12.50", "PT12.5S"),
        ];
        for (text, iso) in cases {
            let duration = Duration::parse_loose(text).unwrap();
            assert_eq!(duration.as_str(), iso);
            assert_eq!(
                Duration::parse(iso).unwrap(),
                duration,
                "the text parses to the same duration"
            );
        }
        for text in [
            "-5",
            "5 minutes",
            "1:2:3",
            "00:00",
            "00000:00:00",
            "1e3",
            "",
            "0:00:00.1234",
            "5,5",
        ] {
            assert!(Duration::parse_loose(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,40}", iso in "P?[0-9]{0,30}[YMWDTHS.,]{0,3}[0-9TYMWDHS.,]{0,12}") {
            for text in [text, iso] {
                let _ = Duration::parse_loose(&text).map(|duration| duration.hundredths());
                let _ = CalendarDuration::parse(&text).map(|ahead| ahead.add_to(Timestamp::default()));
            }
        }

        #[test]
        fn length_is_the_sum_of_all_units(hours in 0..100_000i64, minutes in 0..10_000i64, hundredths in 0..1_000_000i64) {
            let seconds = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let duration = Duration::parse(&format!("PT{hours}H{minutes}M{seconds}S")).unwrap();
            let expected = hours * 360_000 + minutes * 6_000 + hundredths;
            prop_assert_eq!(duration.hundredths(), expected);
            prop_assert_eq!(duration.whole_seconds(), expected / 100);
        }
    }
}
