//! Dates of other systems. Their format and time zone come from the mapping and are never guessed.

use std::fmt;

use chrono::{DateTime, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::base::timestamp;

/// The formats of dates and their time zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DateRules {
    /// The formats: a pattern such as `%d/%m/%Y %H:%M`, or one of `day_first`, `month_first`, `year_first`, `serial_1900`,
    /// `serial_1904`, `unix_seconds`, `unix_milliseconds`. A text that two of them read as different moments is refused.
    pub formats: Vec<String>,
    /// The IANA name of the time zone of times without an offset.
    pub time_zone: Option<String>,
}

/// Why a text is not a date. The message is for the person that sends the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateError(String);

impl fmt::Display for DateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Patterns of times after a date.
const TIMES: [&str; 6] = ["", " %H:%M:%S%.f", " %H:%M", ", %H:%M:%S", ", %H:%M", " %I:%M %p"];

impl DateRules {
    /// The time zone.
    ///
    /// # Errors
    ///
    /// The name of no time zone.
    pub(super) fn zone(&self) -> Result<Option<Tz>, String> {
        let zone = self.time_zone.as_deref().map(str::parse).transpose();
        zone.map_err(|_| {
            let name = self.time_zone.as_deref().unwrap_or_default();
            format!("`{name}` is not the IANA name of a time zone, such as `Europe/London`")
        })
    }

    /// Checks the formats and the time zone.
    ///
    /// # Errors
    ///
    /// A format is not known, or needs a time zone and there is none.
    pub(super) fn check(&self) -> Result<(), String> {
        let zone = self.zone()?;
        for format in &self.formats {
            let is_unix = format.starts_with("unix_");
            let has_offset = format.contains("%z") || format.contains("%:z");
            if format.contains('%') {
                let items = chrono::format::StrftimeItems::new(format);
                if items.into_iter().any(|item| item == chrono::format::Item::Error) {
                    return Err(format!(
                        "`{format}` is not a pattern of dates, such as `%d/%m/%Y %H:%M`"
                    ));
                }
            } else if !NAMED.contains(&format.as_str()) {
                let known = NAMED.join("`, `");
                return Err(format!(
                    "`{format}` is not a format of dates; known are `{known}` and patterns such as `%d/%m/%Y`"
                ));
            }
            if zone.is_none() && !is_unix && !has_offset {
                return Err(format!(
                    "dates in the format `{format}` need a `time_zone`, such as `Europe/London`"
                ));
            }
        }
        Ok(())
    }

    /// Reads a date. RFC 3339 with an offset is always understood.
    pub(super) fn parse(&self, text: &str) -> Result<Timestamp, DateError> {
        if let Ok(at) = timestamp::parse_zoned(text) {
            return Ok(at);
        }
        let zone = self.zone().map_err(DateError)?;
        let mut found: Option<(&str, Result<Timestamp, DateError>)> = None;
        for format in &self.formats {
            let at = match read_format(text, format) {
                Some(Found::Moment(at)) => in_range(at, text),
                Some(Found::Local(at)) => match zone {
                    Some(zone) => to_moment(at, zone, text),
                    None => Err(DateError(format!("`{text}` has no time zone"))),
                },
                None => continue,
            };
            match &found {
                Some((first, other)) if *other != at => {
                    return Err(DateError(format!(
                        "`{text}` is a different time in the formats `{first}` and `{format}`; import the rows of each format \
                         with a mapping of their own"
                    )));
                }
                Some(_) => {}
                None => found = Some((format, at)),
            }
        }
        if let Some((_, at)) = found {
            return at;
        }
        Err(DateError(match self.formats.as_slice() {
            [] => format!(
                "`{text}` is not a time with an offset, such as `2026-06-30T23:30:00Z`; for another format say in a mapping \
                 what it is"
            ),
            formats => format!("`{text}` does not have the format `{}`", formats.join("` or `")),
        }))
    }
}

/// The formats with a name.
const NAMED: [&str; 7] = [
    "day_first",
    "month_first",
    "year_first",
    "serial_1900",
    "serial_1904",
    "unix_seconds",
    "unix_milliseconds",
];

/// A date that was read.
enum Found {
    Moment(DateTime<Utc>),
    Local(NaiveDateTime),
}

fn read_format(text: &str, format: &str) -> Option<Found> {
    match format {
        "day_first" => read_parts(text, &["%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y"]).map(Found::Local),
        "month_first" => read_parts(text, &["%m/%d/%Y", "%m-%d-%Y"]).map(Found::Local),
        "year_first" => read_parts(&text.replacen('T', " ", 1), &["%Y-%m-%d", "%Y/%m/%d"]).map(Found::Local),
        // Day 60 of the 1900 system is 29 February 1900, which does not exist.
        "serial_1900" => read_serial(text, (1899, 12, 30), 61.0).map(Found::Local),
        "serial_1904" => read_serial(text, (1904, 1, 1), 0.0).map(Found::Local),
        "unix_seconds" => DateTime::from_timestamp(text.parse().ok()?, 0).map(Found::Moment),
        "unix_milliseconds" => DateTime::from_timestamp_millis(text.parse().ok()?).map(Found::Moment),
        pattern if pattern.contains("%z") || pattern.contains("%:z") => {
            let at = DateTime::parse_from_str(text, pattern).ok()?;
            has_whole_year(&at).then(|| Found::Moment(at.with_timezone(&Utc)))
        }
        pattern => read_pattern(text, pattern).map(Found::Local),
    }
}

/// Reads a date with one of the patterns, and a time if there is one.
fn read_parts(text: &str, dates: &[&str]) -> Option<NaiveDateTime> {
    let mut patterns = dates
        .iter()
        .flat_map(|date| TIMES.iter().map(move |time| format!("{date}{time}")));
    patterns.find_map(|pattern| read_pattern(text, &pattern))
}

/// Reads a date and time, or a date: its midnight.
fn read_pattern(text: &str, pattern: &str) -> Option<NaiveDateTime> {
    let with_time = NaiveDateTime::parse_from_str(text, pattern).ok();
    let found = with_time.or_else(|| {
        let day = NaiveDate::parse_from_str(text, pattern).ok()?;
        Some(day.and_time(NaiveTime::MIN))
    });
    found.filter(has_whole_year)
}

/// Whether the year has four digits. `%Y` also reads `26`, which means another year than 26.
fn has_whole_year(at: &impl chrono::Datelike) -> bool {
    at.year() >= 1000
}

/// Reads the number of days since the begin of a spreadsheet's calendar.
fn read_serial(text: &str, (year, month, day): (i32, u32, u32), least: f64) -> Option<NaiveDateTime> {
    let days: f64 = text.parse().ok()?;
    if !(least..2_958_466.0).contains(&days) {
        return None;
    }
    // A serial number is precise to about a millisecond.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the number of days is checked above"
    )]
    let millis = (days * 86_400_000.0).round() as i64;
    let begin = NaiveDate::from_ymd_opt(year, month, day)?.and_time(NaiveTime::MIN);
    begin.checked_add_signed(Duration::milliseconds(millis))
}

fn to_moment(at: NaiveDateTime, zone: Tz, text: &str) -> Result<Timestamp, DateError> {
    match zone.from_local_datetime(&at) {
        LocalResult::Single(at) => in_range(at.with_timezone(&Utc), text),
        LocalResult::Ambiguous(..) => Err(DateError(format!(
            "`{text}` occurs twice in {zone}, where the clocks are set back; write it with an offset"
        ))),
        LocalResult::None => Err(DateError(format!(
            "`{text}` does not exist in {zone}, where the clocks are set forward"
        ))),
    }
}

fn in_range(at: DateTime<Utc>, text: &str) -> Result<Timestamp, DateError> {
    Timestamp::in_range(at).ok_or_else(|| DateError(format!("`{text}` is not in the years 0 to 9999")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(formats: &[&str], zone: &str) -> DateRules {
        DateRules {
            formats: formats.iter().map(|format| (*format).to_owned()).collect(),
            time_zone: Some(zone.to_owned()),
        }
    }

    #[track_caller]
    fn check(format: &str, text: &str, expected: Option<&str>) {
        let parsed = rules(&[format], "Europe/London").parse(text);
        assert_eq!(
            parsed.ok().map(|at| at.to_string()).as_deref(),
            expected,
            "{format} {text}"
        );
    }

    #[test]
    fn format_decides_about_day_and_month() {
        check("day_first", "03/04/2026", Some("2026-04-02T23:00:00.000Z"));
        check("month_first", "03/04/2026", Some("2026-03-04T00:00:00.000Z"));
        check("day_first", "3.4.2026 7:05", Some("2026-04-03T06:05:00.000Z"));
        check(
            "month_first",
            "3/4/2026 01:05 PM",
            Some("2026-03-04T13:05:00.000Z"),
        );
        check("month_first", "13/04/2026", None);
        check("day_first", "03/04/26", None);
        check("%d/%m/%Y", "03/04/26", None);
        check("%d/%m/%Y %H:%M %z", "03/04/26 10:00 +0100", None);
        check(
            "year_first",
            "2026-01-02T03:04:05",
            Some("2026-01-02T03:04:05.000Z"),
        );
        check(
            "%d/%m/%y, %H:%M:%S",
            "25/03/24, 10:15:30",
            Some("2024-03-25T10:15:30.000Z"),
        );
        check(
            "day_first",
            "2026-01-02T03:04:05+01:00",
            Some("2026-01-02T02:04:05.000Z"),
        );
    }

    #[test]
    fn serial_numbers_count_days_of_a_spreadsheet() {
        check("serial_1900", "45000.5", Some("2023-03-15T12:00:00.000Z"));
        check("serial_1904", "43538.5", Some("2023-03-15T12:00:00.000Z"));
        check("serial_1900", "60", None);
        check("serial_1900", "x", None);
        check("unix_seconds", "1700000000", Some("2023-11-14T22:13:20.000Z"));
        check("day_first", "45000", None);
    }

    #[test]
    fn doubtful_times_are_refused() {
        let rules = rules(&["year_first"], "Europe/London");
        for (text, word) in [
            ("2026-10-25 01:30", "twice"),
            ("2026-03-29 01:30", "does not exist"),
            ("01/02/2026", "format"),
        ] {
            let error = rules.parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let none = DateRules::default().parse("2026-01-02 03:04").unwrap_err();
        assert!(none.to_string().contains("mapping"), "{none}");
    }

    #[test]
    fn text_with_two_meanings_is_refused() {
        let both = rules(&["day_first", "month_first", "%d/%m/%Y"], "UTC");
        let error = both.parse("03/04/2026").unwrap_err().to_string();
        assert!(error.contains("`day_first` and `month_first`"), "{error}");
        for (text, expected) in [
            ("13/04/2026", "2026-04-13T00:00:00.000Z"),
            ("04/04/2026", "2026-04-04T00:00:00.000Z"),
            ("04/13/2026", "2026-04-13T00:00:00.000Z"),
        ] {
            assert_eq!(both.parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn rules_are_checked_before_they_are_used() {
        assert!(rules(&["day_first", "%Y"], "Europe/London").check().is_ok());
        assert!(rules(&["day"], "Europe/London").check().is_err());
        assert!(rules(&["%Q"], "Europe/London").check().is_err());
        assert!(rules(&["day_first"], "Mars").check().is_err());
        let without_zone = DateRules {
            formats: vec!["day_first".to_owned()],
            time_zone: None,
        };
        assert!(without_zone.check().is_err());
    }
}
