//! On which day of a time zone something happened, and its week and month.
//!
//! Days are those of `from` and `to` (`log/period.rs`): each begins at its [`start_of_day`] and ends where the next
//! begins. Where clocks are put back over midnight, the hour that they show twice belongs to the day that had already
//! begun, whatever date they show. So a summary by day and a filter by day never disagree.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::base::clock::Timestamp;
use crate::log::period::start_of_day;

use super::{Dimension, Named};

/// Days remembered at most; past it they are forgotten and found again.
const KEPT: usize = 100_000;

/// The days of one zone, as far as somebody asked for them.
#[derive(Debug)]
pub struct Calendar {
    zone: Tz,
    /// By the moment of its beginning: the moment of its end, and its date.
    days: BTreeMap<i64, (i64, NaiveDate)>,
}

impl Calendar {
    /// The calendar of that zone.
    pub fn new(zone: Tz) -> Self {
        Self {
            zone,
            days: BTreeMap::new(),
        }
    }

    /// The date of the day that the moment belongs to.
    pub fn date(&mut self, at: Timestamp) -> NaiveDate {
        let micros = at.micros();
        if let Some((_, (end, date))) = self.days.range(..=micros).next_back()
            && micros < *end
        {
            return *date;
        }
        let mut date = at.to_datetime().with_timezone(&self.zone).date_naive();
        let mut end = i64::MAX;
        // No zone ever put its clocks back by more than a day.
        for _ in 0..3 {
            let Some(next) = date.succ_opt() else { break };
            end = start_of_day(next, self.zone).micros();
            if micros < end {
                break;
            }
            date = next;
        }
        if self.days.len() >= KEPT {
            self.days.clear();
        }
        let begin = start_of_day(date, self.zone).micros();
        self.days.insert(begin, (end, date));
        date
    }

    /// The day, week or month as a number that grows with time; [`named`] reads it.
    pub fn number(&mut self, dimension: Dimension, at: Timestamp) -> i64 {
        let date = self.date(at);
        let day = i64::from(date.num_days_from_ce());
        match dimension {
            Dimension::Week => day - i64::from(date.weekday().num_days_from_monday()),
            Dimension::Month => i64::from(date.year()) * 12 + i64::from(date.month0()),
            _ => day,
        }
    }
}

/// What a number of [`Calendar::number`] is called: `2026-03-18` and `18 March 2026`; a week by its Monday.
pub fn named(dimension: Dimension, number: i64) -> Option<Named> {
    let day = || NaiveDate::from_num_days_from_ce_opt(i32::try_from(number).ok()?);
    let words = |date: NaiveDate| date.format("%-d %B %Y");
    Some(match dimension {
        Dimension::Week => Named::new(day()?.to_string(), format!("Week of {}", words(day()?))),
        Dimension::Month => {
            let year = i32::try_from(number.div_euclid(12)).ok()?;
            let month = u32::try_from(number.rem_euclid(12)).ok()? + 1;
            let first = NaiveDate::from_ymd_opt(year, month, 1)?;
            Named::new(
                first.format("%Y-%m").to_string(),
                first.format("%B %Y").to_string(),
            )
        }
        _ => Named::new(day()?.to_string(), words(day()?).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
    }

    fn date(zone: &str, text: &str) -> String {
        Calendar::new(zone.parse().unwrap()).date(at(text)).to_string()
    }

    #[test]
    fn a_day_is_that_of_the_zone() {
        assert_eq!(date("UTC", "2026-03-18T23:59:59.999999Z"), "2026-03-18");
        assert_eq!(date("UTC", "2026-03-19T00:00:00Z"), "2026-03-19");
        assert_eq!(date("Europe/Berlin", "2026-03-18T23:00:00Z"), "2026-03-19");
        assert_eq!(date("America/New_York", "2026-03-19T03:59:00Z"), "2026-03-18");
        assert_eq!(date("UTC", "1969-12-31T23:59:59Z"), "1969-12-31");
    }

    #[test]
    fn a_day_begins_after_a_gap_at_midnight() {
        // Put forward from 00:00 to 01:00 on the 31st.
        assert_eq!(date("Asia/Beirut", "2024-03-30T21:59:59Z"), "2024-03-30");
        assert_eq!(date("Asia/Beirut", "2024-03-30T22:00:00Z"), "2024-03-31");
        // Samoa had no 30 December 2011.
        assert_eq!(date("Pacific/Apia", "2011-12-30T09:59:59Z"), "2011-12-29");
        assert_eq!(date("Pacific/Apia", "2011-12-30T10:00:00Z"), "2011-12-31");
    }

    #[test]
    fn an_hour_that_comes_twice_belongs_to_the_day_that_has_begun() {
        // Havana puts 01:00 back to 00:00: both hours are the 3rd.
        assert_eq!(date("America/Havana", "2024-11-03T03:59:00Z"), "2024-11-02");
        assert_eq!(date("America/Havana", "2024-11-03T04:30:00Z"), "2024-11-03");
        assert_eq!(date("America/Havana", "2024-11-03T05:30:00Z"), "2024-11-03");
        // St John's put 00:01 of the 29th back to 23:01 of the 28th: clocks show the 28th again, and the 29th had begun.
        assert_eq!(date("America/St_Johns", "2006-10-29T02:29:59Z"), "2006-10-28");
        assert_eq!(date("America/St_Johns", "2006-10-29T02:30:30Z"), "2006-10-29");
        assert_eq!(date("America/St_Johns", "2006-10-29T02:45:00Z"), "2006-10-29");
        assert_eq!(date("America/St_Johns", "2006-10-29T03:45:00Z"), "2006-10-29");
    }

    #[test]
    fn weeks_begin_on_monday_and_numbers_have_names() {
        let mut calendar = Calendar::new(Tz::UTC);
        let mut told = |dimension, text: &str| {
            let named = named(dimension, calendar.number(dimension, at(text))).unwrap();
            (named.key.unwrap(), named.label)
        };
        let pair = |key: &str, label: &str| (key.to_owned(), label.to_owned());
        for day in [
            "2026-03-16T00:00:00Z",
            "2026-03-18T10:00:00Z",
            "2026-03-22T23:59:59Z",
        ] {
            assert_eq!(
                told(Dimension::Week, day),
                pair("2026-03-16", "Week of 16 March 2026"),
                "{day}"
            );
        }
        assert_eq!(told(Dimension::Week, "2026-03-15T23:59:59Z").0, "2026-03-09");
        assert_eq!(
            told(Dimension::Day, "2026-03-08T12:00:00Z"),
            pair("2026-03-08", "8 March 2026")
        );
        assert_eq!(
            told(Dimension::Month, "2026-12-31T12:00:00Z"),
            pair("2026-12", "December 2026")
        );
        assert_eq!(
            told(Dimension::Month, "2027-01-01T12:00:00Z"),
            pair("2027-01", "January 2027")
        );
        assert_eq!(
            told(Dimension::Month, "0000-01-01T12:00:00Z"),
            pair("0000-01", "January 0000")
        );
    }

    #[test]
    fn the_ends_of_time_have_a_day() {
        for micros in [
            i64::MIN,
            i64::MAX,
            8_000_000_000_000_000_000,
            -8_000_000_000_000_000_000,
        ] {
            let mut calendar = Calendar::new("Pacific/Auckland".parse().unwrap());
            for dimension in [Dimension::Day, Dimension::Week, Dimension::Month] {
                let number = calendar.number(dimension, Timestamp::from_micros(micros));
                assert!(named(dimension, number).is_some(), "{micros} {dimension:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_day_is_the_one_between_its_beginning_and_the_next(
            seconds in proptest::collection::vec(-3_000_000_000_i64..4_000_000_000, 1..20),
            name in prop::sample::select(vec![
                "UTC", "Europe/London", "America/Havana", "America/St_Johns", "America/Sao_Paulo", "Asia/Beirut",
                "Pacific/Apia", "America/Juneau", "Asia/Manila", "Australia/Lord_Howe",
            ]),
        ) {
            let zone: Tz = name.parse().unwrap();
            let mut calendar = Calendar::new(zone);
            for second in seconds {
                let at = Timestamp::from_micros(second * 1_000_000);
                let date = calendar.date(at);
                prop_assert!(start_of_day(date, zone) <= at);
                prop_assert!(at < start_of_day(date.succ_opt().unwrap(), zone));
            }
        }
    }
}
