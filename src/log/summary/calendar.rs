//! Days, weeks and months of a time zone.
//!
//! Days are those of `from` and `to` (`log/period.rs`): each begins at its [`start_of_day`] and ends when the next one
//! begins. If clocks are put back across midnight, the repeated hour belongs to the day that has already begun. A summary
//! by day therefore agrees with a filter by day.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::base::clock::Timestamp;
use crate::log::period::start_of_day;
use crate::texts::Language;

use super::{Dimension, KeyAndLabel};

/// The most cached days. The cache is emptied when it is full.
const MAX_DAYS: usize = 100_000;

/// The days of a time zone, with a cache.
#[derive(Debug)]
pub struct Calendar {
    zone: Tz,
    /// The end and the date of each day, by its beginning.
    days: BTreeMap<i64, (i64, NaiveDate)>,
}

impl Calendar {
    /// The calendar of a zone.
    pub fn new(zone: Tz) -> Self {
        Self {
            zone,
            days: BTreeMap::new(),
        }
    }

    /// The zone.
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// The date of the day that contains the moment.
    pub fn date_of(&mut self, at: Timestamp) -> NaiveDate {
        let micros = at.micros();
        if let Some((_, (end, date))) = self.days.range(..=micros).next_back()
            && micros < *end
        {
            return *date;
        }
        let mut date = at.to_datetime().with_timezone(&self.zone).date_naive();
        let mut end = i64::MAX;
        // No zone has ever put its clocks back by more than a day.
        for _ in 0..3 {
            let Some(next) = date.succ_opt() else { break };
            end = start_of_day(next, self.zone).micros();
            if micros < end {
                break;
            }
            date = next;
        }
        if self.days.len() >= MAX_DAYS {
            self.days.clear();
        }
        let begin = start_of_day(date, self.zone).micros();
        self.days.insert(begin, (end, date));
        date
    }

    /// The day, week or month as a number that grows with time; see [`key_and_label`].
    pub fn number_of(&mut self, dimension: Dimension, at: Timestamp) -> i64 {
        let date = self.date_of(at);
        let day = i64::from(date.num_days_from_ce());
        match dimension {
            Dimension::Week => day - i64::from(date.weekday().num_days_from_monday()),
            Dimension::Month => i64::from(date.year()) * 12 + i64::from(date.month0()),
            _ => day,
        }
    }
}

/// Key and label of a number from [`Calendar::number_of`], such as `2026-03-18` and `18 March 2026`. A week has the key of
/// its Monday.
pub fn key_and_label(dimension: Dimension, number: i64, language: Language) -> Option<KeyAndLabel> {
    let day = || NaiveDate::from_num_days_from_ce_opt(i32::try_from(number).ok()?);
    Some(match dimension {
        Dimension::Week => {
            let date = language.date(day()?);
            let label = language.template("week-of").fill(&[("date", &date)]);
            KeyAndLabel::new(day()?.to_string(), label)
        }
        Dimension::Month => {
            let year = i32::try_from(number.div_euclid(12)).ok()?;
            let month = u32::try_from(number.rem_euclid(12)).ok()? + 1;
            let first = NaiveDate::from_ymd_opt(year, month, 1)?;
            KeyAndLabel::new(first.format("%Y-%m").to_string(), language.month(first))
        }
        _ => KeyAndLabel::new(day()?.to_string(), language.date(day()?)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::testing::parse_time;

    fn date(zone: &str, text: &str) -> String {
        Calendar::new(zone.parse().unwrap())
            .date_of(parse_time(text))
            .to_string()
    }

    #[test]
    fn day_is_that_of_the_zone() {
        assert_eq!(date("UTC", "2026-03-18T23:59:59.999999Z"), "2026-03-18");
        assert_eq!(date("UTC", "2026-03-19T00:00:00Z"), "2026-03-19");
        assert_eq!(date("Europe/Berlin", "2026-03-18T23:00:00Z"), "2026-03-19");
        assert_eq!(date("America/New_York", "2026-03-19T03:59:00Z"), "2026-03-18");
        assert_eq!(date("UTC", "1969-12-31T23:59:59Z"), "1969-12-31");
    }

    #[test]
    fn day_begins_after_a_gap_at_midnight() {
        // Clocks are put forward from 00:00 to 01:00 on the 31st.
        assert_eq!(date("Asia/Beirut", "2024-03-30T21:59:59Z"), "2024-03-30");
        assert_eq!(date("Asia/Beirut", "2024-03-30T22:00:00Z"), "2024-03-31");
        // Samoa had no 30 December 2011.
        assert_eq!(date("Pacific/Apia", "2011-12-30T09:59:59Z"), "2011-12-29");
        assert_eq!(date("Pacific/Apia", "2011-12-30T10:00:00Z"), "2011-12-31");
    }

    #[test]
    fn repeated_hour_belongs_to_the_day_that_has_begun() {
        // Havana puts 01:00 back to 00:00: both hours belong to the 3rd.
        assert_eq!(date("America/Havana", "2024-11-03T03:59:00Z"), "2024-11-02");
        assert_eq!(date("America/Havana", "2024-11-03T04:30:00Z"), "2024-11-03");
        assert_eq!(date("America/Havana", "2024-11-03T05:30:00Z"), "2024-11-03");
        // St John's put 00:01 of the 29th back to 23:01 of the 28th, when the 29th had already begun.
        assert_eq!(date("America/St_Johns", "2006-10-29T02:29:59Z"), "2006-10-28");
        assert_eq!(date("America/St_Johns", "2006-10-29T02:30:30Z"), "2006-10-29");
        assert_eq!(date("America/St_Johns", "2006-10-29T02:45:00Z"), "2006-10-29");
        assert_eq!(date("America/St_Johns", "2006-10-29T03:45:00Z"), "2006-10-29");
    }

    #[test]
    fn weeks_begin_on_monday_and_numbers_have_labels() {
        let mut calendar = Calendar::new(Tz::UTC);
        let mut describe = |dimension, text: &str| {
            let number = calendar.number_of(dimension, parse_time(text));
            let value = key_and_label(dimension, number, Language::ENGLISH).unwrap();
            (value.key.unwrap(), value.label)
        };
        let pair = |key: &str, label: &str| (key.to_owned(), label.to_owned());
        for day in [
            "2026-03-16T00:00:00Z",
            "2026-03-18T10:00:00Z",
            "2026-03-22T23:59:59Z",
        ] {
            assert_eq!(
                describe(Dimension::Week, day),
                pair("2026-03-16", "Week of 16 March 2026"),
                "{day}"
            );
        }
        assert_eq!(describe(Dimension::Week, "2026-03-15T23:59:59Z").0, "2026-03-09");
        assert_eq!(
            describe(Dimension::Day, "2026-03-08T12:00:00Z"),
            pair("2026-03-08", "8 March 2026")
        );
        assert_eq!(
            describe(Dimension::Month, "2026-12-31T12:00:00Z"),
            pair("2026-12", "December 2026")
        );
        assert_eq!(
            describe(Dimension::Month, "2027-01-01T12:00:00Z"),
            pair("2027-01", "January 2027")
        );
        assert_eq!(
            describe(Dimension::Month, "0000-01-01T12:00:00Z"),
            pair("0000-01", "January 0000")
        );
    }

    #[test]
    fn extreme_moments_have_a_day() {
        for micros in [
            i64::MIN,
            i64::MAX,
            8_000_000_000_000_000_000,
            -8_000_000_000_000_000_000,
        ] {
            let mut calendar = Calendar::new("Pacific/Auckland".parse().unwrap());
            for dimension in [Dimension::Day, Dimension::Week, Dimension::Month] {
                let number = calendar.number_of(dimension, Timestamp::from_micros(micros));
                assert!(
                    key_and_label(dimension, number, Language::ENGLISH).is_some(),
                    "{micros} {dimension:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn moment_is_between_the_beginnings_of_its_day_and_the_next(
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
                let date = calendar.date_of(at);
                prop_assert!(start_of_day(date, zone) <= at);
                prop_assert!(at < start_of_day(date.succ_opt().unwrap(), zone));
            }
        }
    }
}
