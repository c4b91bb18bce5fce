//! Days, months and periods in a time zone, by simple use of the calendar.

use chrono::{DateTime, Utc};
use chrono::{Datelike as _, Days, Months as CalendarMonths, NaiveDate, NaiveTime, TimeZone as _};
use chrono_tz::Tz;

use super::question::{Period, When};
use super::world::{Micros, Months};

fn to_datetime(at: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at).expect("the model's times are in range")
}

pub fn add_months(at: Micros, months: Months) -> Micros {
    (to_datetime(at) + CalendarMonths::new(months.0)).timestamp_micros()
}

pub fn to_micros(when: When, tz: Tz) -> Micros {
    match when {
        When::At(at) => at,
        When::Date(date) => midnight(date, tz),
    }
}

/// The start of a day. In the time zones of this test, midnight exists exactly once.
fn midnight(date: NaiveDate, tz: Tz) -> Micros {
    let midnight = tz.from_local_datetime(&date.and_time(NaiveTime::MIN));
    midnight.single().expect("midnight exists once").timestamp_micros()
}

/// The start of a period and its end, which does not belong to it.
pub fn period_bounds(period: Period, tz: Tz, now: Micros) -> (Micros, Micros) {
    let today = to_datetime(now).with_timezone(&tz).date_naive();
    let days = |from: NaiveDate, count: u64| from + Days::new(count);
    let first_of_month = today.with_day(1).expect("every month has a first day");
    let months_before = |date: NaiveDate, count: u32| date - CalendarMonths::new(count);
    let (from, to) = match period {
        Period::Today => (today, days(today, 1)),
        Period::Yesterday => (today - Days::new(1), today),
        Period::Last7Days => (today - Days::new(6), days(today, 1)),
        Period::Last30Days => (today - Days::new(29), days(today, 1)),
        Period::ThisMonth => (first_of_month, first_of_month + CalendarMonths::new(1)),
        Period::PreviousWeek => {
            let monday = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
            (monday - Days::new(7), monday)
        }
        Period::PreviousMonth => (months_before(first_of_month, 1), first_of_month),
        Period::PreviousQuarter => {
            let quarter = months_before(first_of_month, today.month0() % 3);
            (months_before(quarter, 3), quarter)
        }
        Period::PreviousYear => {
            let january = months_before(first_of_month, today.month0());
            (months_before(january, 12), january)
        }
    };
    (midnight(from, tz), midnight(to, tz))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> Micros {
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        midnight(date, chrono_tz::UTC)
    }

    /// 2026-03-18 is a Wednesday.
    #[test]
    fn periods_follow_the_calendar() {
        let noon = day(2026, 3, 18) + 43_200_000_000;
        let table = [
            (Period::Today, day(2026, 3, 18), day(2026, 3, 19)),
            (Period::Yesterday, day(2026, 3, 17), day(2026, 3, 18)),
            (Period::Last7Days, day(2026, 3, 12), day(2026, 3, 19)),
            (Period::Last30Days, day(2026, 2, 17), day(2026, 3, 19)),
            (Period::ThisMonth, day(2026, 3, 1), day(2026, 4, 1)),
            (Period::PreviousWeek, day(2026, 3, 9), day(2026, 3, 16)),
            (Period::PreviousMonth, day(2026, 2, 1), day(2026, 3, 1)),
            (Period::PreviousQuarter, day(2025, 10, 1), day(2026, 1, 1)),
            (Period::PreviousYear, day(2025, 1, 1), day(2026, 1, 1)),
        ];
        for (period, from, to) in table {
            assert_eq!(period_bounds(period, chrono_tz::UTC, noon), (from, to), "{period:?}");
        }
    }
}
