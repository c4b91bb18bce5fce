//! Parsing timestamps (xAPI 1.0.3, Data 4.5) to a [`Timestamp`].
//!
//! There is one grammar with two rules about the time zone: [`parse`] is for statements and takes a time without a zone as
//! UTC, [`parse_zoned`] is for `/v1` and refuses it.

use chrono::{DateTime, NaiveDate};

use super::fault::{Fault, Place};
use super::json::{Node, string};
use crate::base::clock::Timestamp;

/// Why a text is not a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimestampError(&'static str);

const FORMAT: TimestampError =
    TimestampError("a date and time as in RFC 3339 is needed here, such as 2026-01-31T09:30:00.000Z");
const UNKNOWN_OFFSET: TimestampError =
    TimestampError("the offset -00:00 means that the time zone is unknown; write Z or +00:00");
const NO_ZONE: TimestampError =
    TimestampError("needs a time zone: end it with `Z`, or with an offset such as `+02:00`");
const OUT_OF_RANGE: TimestampError =
    TimestampError("this is outside the years 0000 to 9999 in UTC, and times are stored in UTC");

/// Parses a date and time in the format of RFC 3339. Digits finer than a microsecond are cut off.
///
/// Three other formats of ISO 8601 are accepted. The seconds may be missing (`09:30Z`). The offset may lack its colon or
/// its minutes (`+0100`, `+01`). A time without an offset is in UTC, because xAPI only says that a timestamp *should*
/// have one.
///
/// The offset `-00:00` is refused: it means "unknown" in RFC 3339, and ISO 8601 forbids it. A space instead of the
/// `T` is refused, too.
///
/// # Errors
///
/// The text has another format, or it is not a moment of the years 0000 to 9999.
pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
    parse_parts(text).map(|(at, _)| at)
}

/// Parses a date and time as [`parse`] does, but refuses one without an offset.
///
/// # Errors
///
/// The errors of [`parse`], and a missing offset.
pub fn parse_zoned(text: &str) -> Result<Timestamp, TimestampError> {
    match parse_parts(text)? {
        (at, true) => Ok(at),
        (_, false) => Err(NO_ZONE),
    }
}

/// Parses a day in the form `YYYY-MM-DD`, of the years 0000 to 9999. `None` for any other text.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    // chrono also accepts signs, white space, fewer digits and years of any length.
    let is_form = text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if text.len() != 10 || !is_form {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// The moment, and whether the text has an offset.
fn parse_parts(text: &str) -> Result<(Timestamp, bool), TimestampError> {
    if !text.is_ascii() || text.as_bytes().get(10) != Some(&b'T') {
        return Err(FORMAT);
    }
    let (minutes, rest) = text.split_at_checked(16).ok_or(FORMAT)?;
    let seconds_length = if rest.starts_with(':') {
        rest.find(|c: char| !matches!(c, ':' | '.' | '0'..='9'))
            .unwrap_or(rest.len())
    } else {
        0
    };
    let (seconds, offset) = rest.split_at(seconds_length);
    let seconds = if seconds.is_empty() { ":00" } else { seconds };
    let has_offset = !offset.is_empty();
    let offset = normalise_offset(offset).ok_or(FORMAT)?;
    if offset == "-00:00" {
        return Err(UNKNOWN_OFFSET);
    }
    let parsed = DateTime::parse_from_rfc3339(&format!("{minutes}{seconds}{offset}")).map_err(|_| FORMAT)?;
    // An offset or a leap second can move a moment of the year 0000 or 9999 out of the years that RFC 3339 can write.
    let at = Timestamp::in_range(parsed.to_utc()).ok_or(OUT_OF_RANGE)?;
    Ok((at, has_offset))
}

/// The offset as RFC 3339 writes it; see [`parse`] for the accepted formats. It does not check the digits.
fn normalise_offset(offset: &str) -> Option<String> {
    if matches!(offset, "" | "Z") {
        return Some("Z".to_owned());
    }
    let (hours, minutes) = offset.split_at_checked(3)?;
    let minutes = match minutes {
        "" => "00",
        minutes => minutes.strip_prefix(':').unwrap_or(minutes),
    };
    let is_valid = hours.starts_with(['+', '-']) && minutes.len() == 2;
    is_valid.then(|| format!("{hours}:{minutes}"))
}

/// Reads a timestamp of a statement from a node, with [`parse`].
///
/// # Errors
///
/// The node is not a string, or the string is not a timestamp.
pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Timestamp, Fault> {
    parse(string(node, place)?).map_err(|error| place.fault(error.to_string()))
}

/// Reads a time of a `/v1` body from a node, with [`parse_zoned`].
///
/// # Errors
///
/// The node is not a string, or the string is not a timestamp with a time zone.
pub fn zoned_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Timestamp, Fault> {
    parse_zoned(string(node, place)?).map_err(|error| place.fault(error.to_string()))
}

/// Serialises an optional timestamp as [`Timestamp::to_precise_text`], so that it is read back exactly.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::base::clock::Timestamp;

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::to_precise_text).serialize(serializer)
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| super::parse(&text))
            .transpose()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_of_rfc_3339_and_iso_8601_are_accepted() {
        let cases = [
            ("2015-11-18T12:17:00Z", "2015-11-18T12:17:00.000Z"),
            ("2015-11-18T12:17:00+00:00", "2015-11-18T12:17:00.000Z"),
            ("2023-05-04T12:00:00-05:00", "2023-05-04T17:00:00.000Z"),
            ("2023-05-04T12:00:00.123456789+0530", "2023-05-04T06:30:00.123Z"),
            ("2023-05-04T12:00:00-05", "2023-05-04T17:00:00.000Z"),
            ("2023-05-04T12:00:00.5", "2023-05-04T12:00:00.500Z"),
            ("2024-06-01T10:00Z", "2024-06-01T10:00:00.000Z"),
            ("2024-06-01T10:00+02:00", "2024-06-01T08:00:00.000Z"),
            ("2024-06-01T10:00-0130", "2024-06-01T11:30:00.000Z"),
            ("2024-06-01T10:00", "2024-06-01T10:00:00.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ];
        for (text, utc) in cases {
            assert_eq!(parse(text).unwrap().to_string(), utc, "{text}");
        }
        let fine = parse("2023-05-04T12:00:00.123456789Z").unwrap();
        assert_eq!(fine.micros() % 1_000_000, 123_456);
    }

    #[test]
    fn other_formats_are_refused() {
        let cases = [
            "01/011/2015",
            "should fail",
            "",
            "2008-09-15T15:53:00.601-00",
            "2008-09-15T15:53:00.601-0000",
            "2008-09-15T15:53:00.601-00:00",
            "2008-09-15 15:53:00Z",
            "2008-09-15T24:00:00Z",
            "2008-09-15T15Z",
            "2008-09-15T15:53.5Z",
            "2008-09-15T15:53:Z",
            "2008-09-15T15:5:00Z",
            "2008-09-15T15:53:00:00Z",
            "2008-09-15T15:53:00.5:1Z",
            "2008-09-31T15:53:00Z",
            "9999-12-31T23:59:60Z",
            "9999-12-31T22:59:60-01:00",
            "2008-09-15",
            "20080915T155300Z",
            "2008-09-15T15:53:00.Z",
            "2008-09-15T15:53:00+1",
            "2008-09-15T15:53:00+ab",
            "2008-09-15T15:53:00Zjunk",
            "2008-09-15T15:53:0\u{663}Z",
        ];
        for text in cases {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_one_form_of_a_day_is_parsed() {
        for text in ["2024-02-29", "0000-01-01", "9999-12-31"] {
            assert_eq!(parse_day(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2024-2-29",
            "2023-02-29",
            "-001-01-01",
            "+024-02-29",
            " 024-02-29",
            "-0206-03-1",
            "2024-02-2 ",
            "20240-02-2",
            "2024-02-29 ",
            "2024/02/29",
            "２024-02-2",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    #[test]
    fn time_without_zone_is_refused_where_a_zone_is_needed() {
        for text in ["2024-06-01T10:00:00", "2024-06-01T10:00", "2024-06-01T10:00:00.5"] {
            assert!(parse(text).is_ok(), "{text}");
            assert_eq!(parse_zoned(text), Err(NO_ZONE), "{text}");
        }
        for text in [
            "2024-06-01T10:00Z",
            "2024-06-01T12:00:00+02",
            "2024-06-01T05:00:00-0500",
        ] {
            assert_eq!(parse_zoned(text).unwrap().to_string(), "2024-06-01T10:00:00.000Z");
        }
        assert_eq!(parse_zoned("2024-06-01T10:00:00-00:00"), Err(UNKNOWN_OFFSET));
    }

    fn texts() -> impl Strategy<Value = String> {
        let year = prop::sample::select(vec![
            "0000", "0001", "1969", "1970", "2016", "2026", "9998", "9999",
        ]);
        let day = prop::sample::select(vec!["01-01", "02-28", "02-29", "06-30", "12-31"]);
        let time = prop::sample::select(vec![
            "00:00",
            "00:00:00",
            "23:59",
            "23:59:59",
            "23:59:60",
            "23:59:60.999999999",
            "00:00:60",
            "22:59:60",
            "23:59:59.9999999",
            "12:30:60.5",
            "00:29:60",
            "24:00:00",
            "23:60:00",
        ]);
        let offset = prop::sample::select(vec![
            "", "Z", "+00:00", "-00:00", "+00:01", "-00:01", "-01:00", "+01", "+2359", "-23:59", "-01:30",
            "+14:00", "+24:00",
        ]);
        (year, day, time, offset).prop_map(|(year, day, time, offset)| format!("{year}-{day}T{time}{offset}"))
    }

    proptest! {
        /// Times at the ends of the range, with leap seconds, fine digits and offsets that carry.
        #[test]
        fn what_is_parsed_is_printed_and_parsed_again(text in texts()) {
            if let Ok(at) = parse(&text) {
                prop_assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at), "{}", text);
                prop_assert_eq!(parse(&at.to_precise_text()), Ok(at));
                prop_assert_eq!(parse(&at.to_string()), Ok(at.whole_millisecond()));
                prop_assert_eq!(parse_zoned(&at.to_string()), Ok(at.whole_millisecond()));
            }
        }
    }
}
