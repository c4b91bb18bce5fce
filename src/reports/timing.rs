//! When a schedule runs: daily, weekly, monthly or quarterly, at a time of day in a time zone. See
//! `docs/specification.md#when-a-schedule-runs`.
//!
//! - **Daylight saving.** The time of day is the local time of the zone. A time that does not exist on a day (02:30 in the
//!   night when clocks go forward) becomes the first moment after the gap. A time that occurs twice is the first of the two.
//!   So each day has exactly one run.
//! - **Short months.** A day that a month does not have is its last day: the 31st is 28 or 29 February, and 30 April. The next
//!   month has its 31st again.
//! - **Quarters** begin with January, April, July and October. The day is in that month.
//!
//! A zone may leave out a whole day (Samoa, 30 December 2011). The run of that day is at the first moment of the day after.
//! If that is also the time of the next day's run, both are one run.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::log::period::{first_moment_of, local_date};
use crate::store::{StoreError, StoredTiming};
use crate::texts::{Language, Value};

/// How often a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every week, on `weekday`.
    Weekly,
    /// Every month, on `day_of_month`.
    Monthly,
    /// Every quarter, on `day_of_month` of January, April, July and October.
    Quarterly,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the days need no explanation")]
pub enum DayOfWeek {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<Weekday> for DayOfWeek {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Monday,
            Weekday::Tue => Self::Tuesday,
            Weekday::Wed => Self::Wednesday,
            Weekday::Thu => Self::Thursday,
            Weekday::Fri => Self::Friday,
            Weekday::Sat => Self::Saturday,
            Weekday::Sun => Self::Sunday,
        }
    }
}

impl From<DayOfWeek> for Weekday {
    fn from(day: DayOfWeek) -> Self {
        match day {
            DayOfWeek::Monday => Self::Mon,
            DayOfWeek::Tuesday => Self::Tue,
            DayOfWeek::Wednesday => Self::Wed,
            DayOfWeek::Thursday => Self::Thu,
            DayOfWeek::Friday => Self::Fri,
            DayOfWeek::Saturday => Self::Sat,
            DayOfWeek::Sunday => Self::Sun,
        }
    }
}

/// The days on which a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunDays {
    /// Every day.
    Daily,
    /// Every week on this day.
    Weekly(Weekday),
    /// Every month on this day, 1 to 31, or the last day of a shorter month.
    Monthly(u32),
    /// Every quarter on this day of its first month, or the last day of a shorter month.
    Quarterly(u32),
}

/// When a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The days.
    pub days: RunDays,
    /// The time of day, in whole minutes.
    pub at: NaiveTime,
    /// The time zone.
    pub zone: Tz,
}

impl Timing {
    /// The first run after `after`.
    pub fn next_after(&self, after: Timestamp) -> Timestamp {
        let today = local_date(after, self.zone);
        // A gap may move the run of an earlier day past midnight.
        let mut day = self
            .days
            .first_day_from(today.checked_sub_days(Days::new(2)).unwrap_or(today));
        loop {
            let run = first_moment_of(day.and_time(self.at), self.zone);
            if run > after {
                return run;
            }
            match self.days.next_day(day) {
                Some(next) => day = next,
                // The end of chrono's calendar, about 262,000 years from now.
                None => return Timestamp::from_micros(i64::MAX),
            }
        }
    }

    /// The times in words, for a message: `every Monday at 08:00 (Europe/London)`.
    pub fn describe(&self, language: Language) -> String {
        let time = ("time", Value::from(self.at.format("%H:%M").to_string()));
        let zone = ("zone", Value::from(self.zone.name()));
        let day = |number| ("day", Value::from(format_day_of_month(number, language)));
        match self.days {
            RunDays::Daily => language.format("timing-daily", [time, zone]),
            RunDays::Weekly(weekday) => {
                let key: &str = DayOfWeek::from(weekday).into();
                let weekday = ("weekday", Value::from(language.label("every", key)));
                language.format("timing-weekly", [weekday, time, zone])
            }
            RunDays::Monthly(number) => language.format("timing-monthly", [day(number), time, zone]),
            RunDays::Quarterly(number) => language.format("timing-quarterly", [day(number), time, zone]),
        }
    }

    /// Converts the times to their stored form.
    pub fn to_stored(self) -> StoredTiming {
        let (frequency, weekday, day_of_month) = self.days.parts();
        // All numbers are below 1,440.
        let small = |number: u32| i16::try_from(number).unwrap_or(i16::MAX);
        let frequency: &str = frequency.into();
        StoredTiming {
            frequency: frequency.to_owned(),
            at_minute: small(minute_of_day(self.at)),
            time_zone: self.zone.name().to_owned(),
            weekday: weekday.map(|day| small(day.number_from_monday())),
            day_of_month: day_of_month.map(small),
        }
    }

    /// Converts the stored form back.
    ///
    /// # Errors
    ///
    /// A value that [`Timing::to_stored`] does not write, or an unknown time zone.
    pub fn from_stored(stored: &StoredTiming) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt("schedule's timing", format!("{stored:?}"));
        let number = |value: Option<i16>| value.and_then(|value| u32::try_from(value).ok());
        let day_of_month = || number(stored.day_of_month).filter(|day| (1..=31).contains(day));
        let weekday = || {
            let from_monday = number(stored.weekday)?.checked_sub(1)?;
            Weekday::try_from(u8::try_from(from_monday).ok()?).ok()
        };
        let days = stored
            .frequency
            .parse::<Frequency>()
            .ok()
            .and_then(|frequency| match frequency {
                Frequency::Daily => Some(RunDays::Daily),
                Frequency::Weekly => weekday().map(RunDays::Weekly),
                Frequency::Monthly => day_of_month().map(RunDays::Monthly),
                Frequency::Quarterly => day_of_month().map(RunDays::Quarterly),
            });
        let at = number(Some(stored.at_minute))
            .and_then(|minute| NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0));
        Ok(Self {
            days: days.ok_or_else(corrupt)?,
            at: at.ok_or_else(corrupt)?,
            zone: stored.time_zone.parse().map_err(|_| corrupt())?,
        })
    }
}

fn minute_of_day(at: NaiveTime) -> u32 {
    use chrono::Timelike;
    at.num_seconds_from_midnight() / 60
}

/// `on the 2nd`. Months that do not have the day have their last one.
fn format_day_of_month(day: u32, language: Language) -> String {
    let text = language.format("day-of-month", [("day", day.into())]);
    match day {
        29.. => language.template("day-or-last-day").fill(&[("day", &text)]),
        _ => text,
    }
}

impl RunDays {
    /// The frequency, with the day of the week or of the month if it has one.
    pub const fn parts(self) -> (Frequency, Option<Weekday>, Option<u32>) {
        match self {
            Self::Daily => (Frequency::Daily, None, None),
            Self::Weekly(day) => (Frequency::Weekly, Some(day), None),
            Self::Monthly(day) => (Frequency::Monthly, None, Some(day)),
            Self::Quarterly(day) => (Frequency::Quarterly, None, Some(day)),
        }
    }

    /// The first run day that is not before `day`.
    fn first_day_from(self, day: NaiveDate) -> NaiveDate {
        let mut first = match self {
            Self::Daily => return day,
            Self::Weekly(weekday) => {
                let ahead = (7 + weekday.num_days_from_monday() - day.weekday().num_days_from_monday()) % 7;
                return day.checked_add_days(Days::new(ahead.into())).unwrap_or(day);
            }
            Self::Monthly(number) => day_in_month(day, number),
            Self::Quarterly(number) => {
                let into = day.month0() % 3;
                let first = day
                    .with_day(1)
                    .and_then(|first| first.checked_sub_months(Months::new(into)));
                day_in_month(first.unwrap_or(day), number)
            }
        };
        while first < day {
            match self.next_day(first) {
                Some(next) => first = next,
                None => return day,
            }
        }
        first
    }

    /// The run day after the run day `day`. `None` at the end of chrono's calendar.
    fn next_day(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Daily => day.checked_add_days(Days::new(1)),
            Self::Weekly(_) => day.checked_add_days(Days::new(7)),
            Self::Monthly(number) => Some(day_in_month(
                day.with_day(1)?.checked_add_months(Months::new(1))?,
                number,
            )),
            Self::Quarterly(number) => Some(day_in_month(
                day.with_day(1)?.checked_add_months(Months::new(3))?,
                number,
            )),
        }
    }
}

/// The day with this number in the month of `day`, or the month's last day.
fn day_in_month(day: NaiveDate, number: u32) -> NaiveDate {
    (1..=number)
        .rev()
        .find_map(|number| day.with_day(number))
        .unwrap_or(day)
}

#[cfg(test)]
mod tests;
