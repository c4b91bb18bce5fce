//! Days and periods in a time zone (product text, section 7).
//!
//! A day begins at the first moment at which the zone's clocks show its midnight or later. Where
//! clocks are put forward over midnight that is the moment after the gap (in Beirut the day began at
//! 01:00); where they are put back over it so that midnight comes twice it is the first one; where a
//! zone left out a whole day (Samoa, 30 December 2011) the day is empty. So days never overlap and
//! leave nothing out: each ends where the next begins.

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use crate::base::clock::Timestamp;

/// A stretch of time: from its first moment to the first that is no more part of it. An absent end
/// is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment after.
    pub to: Option<Timestamp>,
}

impl Window {
    /// Whether the moment is part of it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// The stretch that both share: nothing, where one ends before the other begins.
    pub fn and(self, other: Window) -> Window {
        Window {
            // An absent beginning sorts before any other.
            from: self.from.max(other.from),
            to: self.to.into_iter().chain(other.to).min(),
        }
    }
}

/// A stretch of whole days that moves with the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// The day of now.
    Today,
    /// The day before it.
    Yesterday,
    /// Today and the six days before.
    Last7Days,
    /// Today and the 29 days before.
    Last30Days,
    /// The calendar month of now, to its end.
    ThisMonth,
    /// The week before that of now; weeks begin on Monday.
    PreviousWeek,
    /// The calendar month before that of now.
    PreviousMonth,
    /// The quarter of the calendar year before that of now.
    PreviousQuarter,
    /// The calendar year before that of now.
    PreviousYear,
}

impl Period {
    /// All periods, in the order of the product text.
    pub const ALL: &'static [Self] = &[
        Self::Today,
        Self::Yesterday,
        Self::Last7Days,
        Self::Last30Days,
        Self::ThisMonth,
        Self::PreviousWeek,
        Self::PreviousMonth,
        Self::PreviousQuarter,
        Self::PreviousYear,
    ];

    /// The value of the parameter `period`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Yesterday => "yesterday",
            Self::Last7Days => "last_7_days",
            Self::Last30Days => "last_30_days",
            Self::ThisMonth => "this_month",
            Self::PreviousWeek => "previous_week",
            Self::PreviousMonth => "previous_month",
            Self::PreviousQuarter => "previous_quarter",
            Self::PreviousYear => "previous_year",
        }
    }

    /// The period around `now`, in days of the zone.
    pub fn window(self, now: Timestamp, zone: Tz) -> Window {
        let today = now.to_datetime().with_timezone(&zone).date_naive();
        let (first, end) = self.days(today);
        Window {
            from: Some(start_of_day(first, zone)),
            to: Some(start_of_day(end, zone)),
        }
    }

    /// Its first day and the first day after it.
    fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let month = first_of_month(today);
        match self {
            Self::Today => (today, after(today, 1)),
            Self::Yesterday => (before(today, 1), today),
            Self::Last7Days => (before(today, 6), after(today, 1)),
            Self::Last30Days => (before(today, 29), after(today, 1)),
            Self::ThisMonth => (month, months_after(month, 1)),
            Self::PreviousWeek => {
                let monday = before(today, u64::from(today.weekday().num_days_from_monday()));
                (before(monday, 7), monday)
            }
            Self::PreviousMonth => (months_before(month, 1), month),
            Self::PreviousQuarter => {
                let quarter = months_before(month, month.month0() % 3);
                (months_before(quarter, 3), quarter)
            }
            Self::PreviousYear => {
                let year = months_before(month, month.month0());
                (months_before(year, 12), year)
            }
        }
    }
}

// At the ends of chrono's calendar, some 262,000 years away, the steps below stay where they are.

fn before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

fn after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

fn months_before(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_sub_months(Months::new(months)).unwrap_or(day)
}

fn months_after(day: NaiveDate, months: u32) -> NaiveDate {
    day.checked_add_months(Months::new(months)).unwrap_or(day)
}

/// The moment at which the day begins in the zone; the module's text says what happens around gaps.
pub fn start_of_day(day: NaiveDate, zone: Tz) -> Timestamp {
    first_showing(NaiveDateTime::from(day), zone)
}

/// The first moment at which clocks of the zone show `local`; where they leave it out, the moment after the gap.
pub fn first_showing(local: NaiveDateTime, zone: Tz) -> Timestamp {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc().into(),
        LocalResult::None => end_of_gap(local, zone).into(),
    }
}

/// The first moment whose local time is not before `asked`, where clocks never show `asked`.
fn end_of_gap(asked: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    // No zone is or was further than 16 hours from UTC, and no gap is longer than a day.
    let around = asked.and_utc();
    let reach = TimeDelta::hours(42);
    let mut not_yet = around.checked_sub_signed(reach).unwrap_or(around);
    let mut reached = around.checked_add_signed(reach).unwrap_or(around);
    while reached - not_yet > TimeDelta::seconds(1) {
        let middle = not_yet + (reached - not_yet) / 2;
        // Transitions fall on whole seconds, so whole seconds are enough to halve by.
        let middle = DateTime::from_timestamp(middle.timestamp(), 0).unwrap_or(middle);
        if middle <= not_yet {
            break;
        }
        if local(middle) < asked {
            not_yet = middle;
        } else {
            reached = middle;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
    }

    fn begins(text: &str, name: &str) -> String {
        start_of_day(day(text), zone(name)).to_string()
    }

    #[test]
    fn a_day_begins_at_the_zone_s_midnight() {
        assert_eq!(begins("2026-07-01", "UTC"), "2026-07-01T00:00:00.000Z");
        assert_eq!(begins("2026-07-01", "Europe/Berlin"), "2026-06-30T22:00:00.000Z");
        assert_eq!(
            begins("2026-01-15", "America/New_York"),
            "2026-01-15T05:00:00.000Z"
        );
        assert_eq!(begins("2026-01-15", "Asia/Kathmandu"), "2026-01-14T18:15:00.000Z");
    }

    #[test]
    fn a_midnight_that_clocks_leave_out_is_the_moment_after_the_gap() {
        // Put forward from 00:00 to 01:00.
        assert_eq!(begins("2024-03-31", "Asia/Beirut"), "2024-03-30T22:00:00.000Z");
        assert_eq!(
            begins("2018-11-04", "America/Sao_Paulo"),
            "2018-11-04T03:00:00.000Z"
        );
        // Samoa had no 30 December 2011: that day and the next begin at one moment.
        assert_eq!(begins("2011-12-30", "Pacific/Apia"), "2011-12-30T10:00:00.000Z");
        assert_eq!(begins("2011-12-31", "Pacific/Apia"), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn a_midnight_that_comes_twice_is_the_first() {
        // Put back from 01:00 to 00:00.
        assert_eq!(begins("2024-11-03", "America/Havana"), "2024-11-03T04:00:00.000Z");
    }

    #[test]
    fn each_period_is_what_its_name_says() {
        let of = |period: Period| {
            // A Thursday, already the 13th in Auckland.
            let window = period.window(at("2026-02-12T20:00:00Z"), zone("Pacific/Auckland"));
            let local = |at: Option<Timestamp>| {
                at.unwrap()
                    .to_datetime()
                    .with_timezone(&zone("Pacific/Auckland"))
                    .naive_local()
                    .to_string()
            };
            (local(window.from), local(window.to))
        };
        let days = |from: &str, to: &str| (format!("{from} 00:00:00"), format!("{to} 00:00:00"));
        assert_eq!(of(Period::Today), days("2026-02-13", "2026-02-14"));
        assert_eq!(of(Period::Yesterday), days("2026-02-12", "2026-02-13"));
        assert_eq!(of(Period::Last7Days), days("2026-02-07", "2026-02-14"));
        assert_eq!(of(Period::Last30Days), days("2026-01-15", "2026-02-14"));
        assert_eq!(of(Period::ThisMonth), days("2026-02-01", "2026-03-01"));
        assert_eq!(of(Period::PreviousWeek), days("2026-02-02", "2026-02-09"));
        assert_eq!(of(Period::PreviousMonth), days("2026-01-01", "2026-02-01"));
        assert_eq!(of(Period::PreviousQuarter), days("2025-10-01", "2026-01-01"));
        assert_eq!(of(Period::PreviousYear), days("2025-01-01", "2026-01-01"));
    }

    #[test]
    fn a_window_has_its_first_moment_and_not_its_last() {
        let window = Window {
            from: Some(at("2026-01-01T00:00:00Z")),
            to: Some(at("2026-01-02T00:00:00Z")),
        };
        assert!(window.contains(at("2026-01-01T00:00:00Z")));
        assert!(!window.contains(at("2026-01-02T00:00:00Z")));
        assert!(Window::default().contains(Timestamp::from_micros(i64::MIN)));
    }

    #[test]
    fn the_ends_of_time_end_nothing() {
        for micros in [i64::MIN, i64::MAX, 8_000_000_000_000_000_000] {
            for period in Period::ALL {
                period.window(Timestamp::from_micros(micros), zone("Pacific/Auckland"));
            }
        }
    }

    /// The days of a period by walking from day to day, never by arithmetic on months.
    fn naive(period: Period, today: NaiveDate) -> Vec<NaiveDate> {
        let quarter = |day: NaiveDate| (day.year(), day.month0() / 3);
        let week = |day: NaiveDate| day.iso_week();
        let back: Vec<NaiveDate> = today.iter_days().rev().take(800).collect();
        let forward = today.iter_days().skip(1).take(40);
        let previous = |same: &dyn Fn(NaiveDate, NaiveDate) -> bool| {
            let last = back.iter().find(|day| !same(**day, today)).copied().unwrap();
            back.iter()
                .copied()
                .filter(|day| same(*day, last))
                .collect::<Vec<_>>()
        };
        let mut days = match period {
            Period::Today => vec![today],
            Period::Yesterday => vec![back[1]],
            Period::Last7Days => back[..7].to_vec(),
            Period::Last30Days => back[..30].to_vec(),
            Period::ThisMonth => {
                let same = |day: &NaiveDate| (day.year(), day.month()) == (today.year(), today.month());
                back.iter().copied().chain(forward).filter(same).collect()
            }
            Period::PreviousWeek => previous(&|a, b| week(a) == week(b)),
            Period::PreviousMonth => previous(&|a, b| (a.year(), a.month()) == (b.year(), b.month())),
            Period::PreviousQuarter => previous(&|a, b| quarter(a) == quarter(b)),
            Period::PreviousYear => previous(&|a, b| a.year() == b.year()),
        };
        days.sort_unstable();
        days
    }

    proptest! {
        #[test]
        fn periods_are_the_days_that_a_walk_finds(offset in 0u64..20_000, index in 0..Period::ALL.len()) {
            let today = day("1990-01-01") + Days::new(offset);
            let (first, end) = Period::ALL[index].days(today);
            let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < end).collect();
            prop_assert_eq!(days, naive(Period::ALL[index], today));
        }

        #[test]
        fn a_day_begins_where_a_walk_through_its_minutes_finds_it(
            offset in 0u64..20_000,
            name in prop::sample::select(vec![
                "UTC", "Europe/London", "America/Havana", "America/Sao_Paulo", "Asia/Beirut",
                "America/Santiago", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Tehran",
            ]),
        ) {
            let zone = zone(name);
            let date = day("1980-01-01") + Days::new(offset);
            let start = start_of_day(date, zone).to_datetime();
            prop_assert!(start.with_timezone(&zone).naive_local() >= NaiveDateTime::from(date));
            // Nothing in the two days ahead of it is as late as its midnight.
            let mut earlier = start - TimeDelta::minutes(1);
            while start - earlier < TimeDelta::days(2) {
                prop_assert!(earlier.with_timezone(&zone).naive_local() < NaiveDateTime::from(date));
                earlier -= TimeDelta::minutes(15);
            }
        }
    }
}
