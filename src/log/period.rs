//! Days and periods in a time zone (docs/specification.md#dates-and-periods).
//!
//! A day begins at the first moment at which the clocks of the zone show its midnight or a later time:
//!
//! - If clocks skip midnight, the day begins after the gap.
//! - If clocks show midnight twice, the day begins at the first of the two.
//! - If a zone skips a whole day (Samoa, 30 December 2011), the day is empty.
//!
//! Each day ends when the next one begins, so days neither overlap nor leave gaps.

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use crate::base::clock::Timestamp;

/// A time window: it includes `from` and excludes `to`. A window without `from` or `to` is open at that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment after the window.
    pub to: Option<Timestamp>,
}

impl Window {
    /// From `now` to `last`, both included: for an expiry within some duration.
    pub fn until(now: Timestamp, last: Timestamp) -> Self {
        Self {
            from: Some(now),
            // A window excludes its end.
            to: Some(Timestamp::from_micros(last.micros().saturating_add(1))),
        }
    }

    /// Whether the window contains the moment.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// The intersection of both windows. It is empty if one ends before the other begins.
    pub fn intersection(self, other: Window) -> Window {
        Window {
            // `None` sorts before every moment.
            from: self.from.max(other.from),
            to: self.to.into_iter().chain(other.to).min(),
        }
    }
}

/// A period of whole days, relative to the current day.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    utoipa::ToSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum Period {
    /// The current day.
    Today,
    /// The day before the current day.
    Yesterday,
    /// Today and the six days before.
    #[strum(serialize = "last_7_days")]
    #[schema(rename = "last_7_days")]
    Last7Days,
    /// Today and the 29 days before.
    #[strum(serialize = "last_30_days")]
    #[schema(rename = "last_30_days")]
    Last30Days,
    /// The current calendar month, to its end.
    ThisMonth,
    /// The week before the current one. Weeks begin on Monday.
    PreviousWeek,
    /// The calendar month before the current one.
    PreviousMonth,
    /// The quarter of a calendar year before the current one.
    PreviousQuarter,
    /// The calendar year before the current one.
    PreviousYear,
}

impl Period {
    /// All periods, in the order of the specification.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The value of the parameter `period`.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The window of the period at the moment `now`, in days of the zone.
    pub fn window(self, now: Timestamp, zone: Tz) -> Window {
        let (first, end) = self.days(local_date(now, zone));
        Window {
            from: Some(start_of_day(first, zone)),
            to: Some(start_of_day(end, zone)),
        }
    }

    /// Whether every day of the period is in `other` too, on whatever day it is read.
    pub fn is_within(self, other: Self) -> bool {
        let larger: &[Self] = match self {
            Self::Today => &[Self::Last7Days, Self::Last30Days, Self::ThisMonth],
            Self::Yesterday => &[Self::Last7Days, Self::Last30Days],
            Self::Last7Days | Self::PreviousWeek => &[Self::Last30Days],
            Self::Last30Days
            | Self::ThisMonth
            | Self::PreviousMonth
            | Self::PreviousQuarter
            | Self::PreviousYear => &[],
        };
        self == other || larger.contains(&other)
    }

    /// The start of the earliest window that the period has at `now` or later, in any time zone.
    pub fn earliest_start(self, now: Timestamp) -> Timestamp {
        // The zones in which a day begins last and first.
        let today = local_date(now, Tz::Etc__GMTPlus12);
        start_of_day(self.days(today).0, Tz::Pacific__Kiritimati)
    }

    /// The first day of the period and the first day after it.
    fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let month = first_of_month(today);
        match self {
            Self::Today => (today, days_after(today, 1)),
            Self::Yesterday => (days_before(today, 1), today),
            Self::Last7Days => (days_before(today, 6), days_after(today, 1)),
            Self::Last30Days => (days_before(today, 29), days_after(today, 1)),
            Self::ThisMonth => (month, months_after(month, 1)),
            Self::PreviousWeek => {
                let monday = days_before(today, u64::from(today.weekday().num_days_from_monday()));
                (days_before(monday, 7), monday)
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

// At the ends of chrono's calendar, about 262,000 years away, these functions return the day unchanged.

fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

fn days_after(day: NaiveDate, days: u64) -> NaiveDate {
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

/// The date that the calendars of the zone show at the moment.
pub fn local_date(at: Timestamp, zone: Tz) -> NaiveDate {
    at.to_datetime().with_timezone(&zone).date_naive()
}

/// The moment at which the day begins in the zone.
pub fn start_of_day(day: NaiveDate, zone: Tz) -> Timestamp {
    first_moment_of(NaiveDateTime::from(day), zone)
}

/// The first moment at which clocks of the zone show `local`. If clocks skip it, the moment after the gap.
pub fn first_moment_of(local: NaiveDateTime, zone: Tz) -> Timestamp {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc().into(),
        LocalResult::None => end_of_gap(local, zone).into(),
    }
}

/// The first moment with a local time after `skipped`, which the clocks never show.
fn end_of_gap(skipped: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    // No zone is or was more than 16 hours from UTC, and no gap is longer than a day.
    let around = skipped.and_utc();
    let distance = TimeDelta::hours(42);
    let mut before = around.checked_sub_signed(distance).unwrap_or(around);
    let mut after = around.checked_add_signed(distance).unwrap_or(around);
    while after - before > TimeDelta::seconds(1) {
        let middle = before + (after - before) / 2;
        // Transitions happen at whole seconds.
        let middle = DateTime::from_timestamp(middle.timestamp(), 0).unwrap_or(middle);
        if middle <= before {
            break;
        }
        if local(middle) < skipped {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::testing::parse_time;

    fn zone(name: &str) -> Tz {
        name.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn start(text: &str, name: &str) -> String {
        start_of_day(day(text), zone(name)).to_string()
    }

    #[test]
    fn one_period_is_within_another_on_every_day_or_not_at_all() {
        let days: Vec<NaiveDate> = day("2020-01-01").iter_days().take(28 * 366).collect();
        for one in Period::ALL {
            for other in Period::ALL {
                let contained = days.iter().all(|today| {
                    let ((first, end), (other_first, other_end)) = (one.days(*today), other.days(*today));
                    other_first <= first && end <= other_end
                });
                assert_eq!(one.is_within(*other), contained, "{one:?} in {other:?}");
            }
        }
    }

    #[test]
    fn no_zone_has_an_earlier_window_than_the_earliest_start() {
        for now in [
            "2026-03-01T11:59:00Z",
            "2026-03-01T12:00:00Z",
            "2026-12-31T23:59:00Z",
        ]
        .map(parse_time)
        {
            for period in Period::ALL {
                let starts = chrono_tz::TZ_VARIANTS
                    .iter()
                    .map(|zone| period.window(now, *zone).from);
                assert!(
                    starts.min().flatten() >= Some(period.earliest_start(now)),
                    "{period:?} at {now}"
                );
            }
        }
    }

    #[test]
    fn day_begins_at_midnight_of_the_zone() {
        assert_eq!(start("2026-07-01", "UTC"), "2026-07-01T00:00:00.000Z");
        assert_eq!(start("2026-07-01", "Europe/Berlin"), "2026-06-30T22:00:00.000Z");
        assert_eq!(
            start("2026-01-15", "America/New_York"),
            "2026-01-15T05:00:00.000Z"
        );
        assert_eq!(start("2026-01-15", "Asia/Kathmandu"), "2026-01-14T18:15:00.000Z");
    }

    #[test]
    fn day_begins_after_the_gap_if_clocks_skip_midnight() {
        // Clocks are put forward from 00:00 to 01:00.
        assert_eq!(start("2024-03-31", "Asia/Beirut"), "2024-03-30T22:00:00.000Z");
        assert_eq!(
            start("2018-11-04", "America/Sao_Paulo"),
            "2018-11-04T03:00:00.000Z"
        );
        // Samoa had no 30 December 2011: that day and the next begin at one moment.
        assert_eq!(start("2011-12-30", "Pacific/Apia"), "2011-12-30T10:00:00.000Z");
        assert_eq!(start("2011-12-31", "Pacific/Apia"), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn day_begins_at_the_first_of_two_midnights() {
        // Clocks are put back from 01:00 to 00:00.
        assert_eq!(start("2024-11-03", "America/Havana"), "2024-11-03T04:00:00.000Z");
    }

    #[test]
    fn each_period_has_the_days_of_its_name() {
        let window = |period: Period| {
            // A Thursday, already the 13th in Auckland.
            let window = period.window(parse_time("2026-02-12T20:00:00Z"), zone("Pacific/Auckland"));
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
        assert_eq!(window(Period::Today), days("2026-02-13", "2026-02-14"));
        assert_eq!(window(Period::Yesterday), days("2026-02-12", "2026-02-13"));
        assert_eq!(window(Period::Last7Days), days("2026-02-07", "2026-02-14"));
        assert_eq!(window(Period::Last30Days), days("2026-01-15", "2026-02-14"));
        assert_eq!(window(Period::ThisMonth), days("2026-02-01", "2026-03-01"));
        assert_eq!(window(Period::PreviousWeek), days("2026-02-02", "2026-02-09"));
        assert_eq!(window(Period::PreviousMonth), days("2026-01-01", "2026-02-01"));
        assert_eq!(window(Period::PreviousQuarter), days("2025-10-01", "2026-01-01"));
        assert_eq!(window(Period::PreviousYear), days("2025-01-01", "2026-01-01"));
    }

    #[test]
    fn window_includes_its_start_and_excludes_its_end() {
        let window = Window {
            from: Some(parse_time("2026-01-01T00:00:00Z")),
            to: Some(parse_time("2026-01-02T00:00:00Z")),
        };
        assert!(window.contains(parse_time("2026-01-01T00:00:00Z")));
        assert!(!window.contains(parse_time("2026-01-02T00:00:00Z")));
        assert!(Window::default().contains(Timestamp::from_micros(i64::MIN)));
    }

    #[test]
    fn extreme_moments_do_not_panic() {
        for micros in [i64::MIN, i64::MAX, 8_000_000_000_000_000_000] {
            for period in Period::ALL {
                period.window(Timestamp::from_micros(micros), zone("Pacific/Auckland"));
            }
        }
    }

    /// The days of a period, found day by day instead of by arithmetic on months.
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
        fn periods_have_the_days_found_one_by_one(offset in 0u64..20_000, index in 0..Period::ALL.len()) {
            let today = day("1990-01-01") + Days::new(offset);
            let (first, end) = Period::ALL[index].days(today);
            let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < end).collect();
            prop_assert_eq!(days, naive(Period::ALL[index], today));
        }

        #[test]
        fn no_earlier_moment_shows_the_day(
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
            // In the two days before it, clocks show earlier times.
            let mut earlier = start - TimeDelta::minutes(1);
            while start - earlier < TimeDelta::days(2) {
                prop_assert!(earlier.with_timezone(&zone).naive_local() < NaiveDateTime::from(date));
                earlier -= TimeDelta::minutes(15);
            }
        }
    }
}
