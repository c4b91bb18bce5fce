//! When a schedule runs (product text, section 9): daily, weekly, monthly or quarterly, at a time of day in a time zone.
//!
//! - **Daylight saving.** The time of day is what clocks of the zone show. One that they leave out (02:30 on the night
//!   on which they are put forward) is the first moment after the gap; one that they show twice is the first of the two. So
//!   each day has one run, never none and never two.
//! - **Short months.** A day of the month that a month doesn't have is its last one: the 31st is 28 or 29 February, and
//!   30 April. The next month has its 31st again.
//! - **Quarters** begin with January, April, July and October; the day counts in that month.
//!
//! Where a zone leaves out a whole day (Samoa, 30 December 2011), that day's time of day is left out like any other: its run is
//! the first moment of the day after, and where that is the moment of the next day's run, one run is both.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::log::period::first_moment_of;
use crate::store::{KeptTiming, StoreError};

/// How often a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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

impl Frequency {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Daily, Self::Weekly, Self::Monthly, Self::Quarterly];

    /// The value of the member `frequency`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
        }
    }

    /// The frequency with that key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|frequency| frequency.key() == key)
    }
}

/// The days on which a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunDays {
    /// Every day.
    Daily,
    /// Every week on that day.
    Weekly(Weekday),
    /// Every month on that day, 1 to 31, or the month's last one.
    Monthly(u32),
    /// The same for the first months of quarters.
    Quarterly(u32),
}

/// The weekdays by the value of the member `weekday`, from Monday.
pub const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];

/// The value of the member `weekday`.
pub fn weekday_key(day: Weekday) -> &'static str {
    WEEKDAYS[day.num_days_from_monday() as usize].0
}

/// When a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// On which days.
    pub days: RunDays,
    /// At which time of day, to the minute.
    pub at: NaiveTime,
    /// Of which zone's clocks.
    pub zone: Tz,
}

impl Timing {
    /// The first run after that moment.
    pub fn next_after(&self, after: Timestamp) -> Timestamp {
        let today = after.to_datetime().with_timezone(&self.zone).date_naive();
        // The run of a day before may still be to come, where a gap moved it on past midnight.
        let mut day = self
            .days
            .first_from(today.checked_sub_days(Days::new(2)).unwrap_or(today));
        loop {
            let run = first_moment_of(day.and_time(self.at), self.zone);
            if run > after {
                return run;
            }
            match self.days.next(day) {
                Some(next) => day = next,
                // The end of chrono's calendar, some 262,000 years away: nothing runs after it.
                None => return Timestamp::from_micros(i64::MAX),
            }
        }
    }

    /// How often, in words for a message: `every Monday at 08:00 (Europe/London)`.
    pub fn sentence(&self) -> String {
        let days = match self.days {
            RunDays::Daily => "every day".to_owned(),
            RunDays::Weekly(day) => {
                let key = weekday_key(day);
                format!("every {}{}", key[..1].to_uppercase(), &key[1..])
            }
            RunDays::Monthly(day) => format!("every month {}", on_day(day)),
            RunDays::Quarterly(day) => format!("every quarter {} of its first month", on_day(day)),
        };
        format!("{days} at {} ({})", self.at.format("%H:%M"), self.zone)
    }

    /// As it is kept.
    pub fn to_kept(self) -> KeptTiming {
        let (frequency, weekday, day_of_month) = self.days.parts();
        let small = |number: u32| i16::try_from(number).unwrap_or(i16::MAX); // all of them below 1,440
        KeptTiming {
            frequency: frequency.key().to_owned(),
            at_minute: small(minute_of_day(self.at)),
            time_zone: self.zone.name().to_owned(),
            weekday: weekday.map(|day| small(day.number_from_monday())),
            day_of_month: day_of_month.map(small),
        }
    }

    /// Reads what [`Timing::to_kept`] wrote.
    ///
    /// # Errors
    ///
    /// Where that is not what it wrote, or names a zone that this server doesn't know.
    pub fn from_kept(kept: &KeptTiming) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt("schedule's timing", format!("{kept:?}"));
        let number = |value: Option<i16>| value.and_then(|value| u32::try_from(value).ok());
        let day_of_month = || number(kept.day_of_month).filter(|day| (1..=31).contains(day));
        let weekday = || {
            let place = number(kept.weekday)?.checked_sub(1)?;
            WEEKDAYS.get(place as usize).map(|(_, day)| *day)
        };
        let days = Frequency::from_key(&kept.frequency).and_then(|frequency| match frequency {
            Frequency::Daily => Some(RunDays::Daily),
            Frequency::Weekly => weekday().map(RunDays::Weekly),
            Frequency::Monthly => day_of_month().map(RunDays::Monthly),
            Frequency::Quarterly => day_of_month().map(RunDays::Quarterly),
        });
        let at = number(Some(kept.at_minute))
            .and_then(|minute| NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0));
        Ok(Self {
            days: days.ok_or_else(corrupt)?,
            at: at.ok_or_else(corrupt)?,
            zone: kept.time_zone.parse().map_err(|_| corrupt())?,
        })
    }
}

fn minute_of_day(at: NaiveTime) -> u32 {
    use chrono::Timelike;
    at.num_seconds_from_midnight() / 60
}

fn on_day(day: u32) -> String {
    let ending = match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    let short = if day > 28 {
        ", or the month's last day,"
    } else {
        ""
    };
    format!("on the {day}{ending}{short}")
}

impl RunDays {
    /// How often, and the day of the week or of the month where that says which.
    pub const fn parts(self) -> (Frequency, Option<Weekday>, Option<u32>) {
        match self {
            Self::Daily => (Frequency::Daily, None, None),
            Self::Weekly(day) => (Frequency::Weekly, Some(day), None),
            Self::Monthly(day) => (Frequency::Monthly, None, Some(day)),
            Self::Quarterly(day) => (Frequency::Quarterly, None, Some(day)),
        }
    }

    /// The first such day from `day` on.
    fn first_from(self, day: NaiveDate) -> NaiveDate {
        let mut first = match self {
            Self::Daily => return day,
            Self::Weekly(weekday) => {
                let ahead = (7 + weekday.num_days_from_monday() - day.weekday().num_days_from_monday()) % 7;
                return day.checked_add_days(Days::new(ahead.into())).unwrap_or(day);
            }
            Self::Monthly(asked) => in_month(day, asked),
            Self::Quarterly(asked) => {
                let into = day.month0() % 3;
                let first = day
                    .with_day(1)
                    .and_then(|first| first.checked_sub_months(Months::new(into)));
                in_month(first.unwrap_or(day), asked)
            }
        };
        while first < day {
            match self.next(first) {
                Some(next) => first = next,
                None => return day,
            }
        }
        first
    }

    /// The one after `day`, which is one of them; `None` at the end of chrono's calendar.
    fn next(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Daily => day.checked_add_days(Days::new(1)),
            Self::Weekly(_) => day.checked_add_days(Days::new(7)),
            Self::Monthly(asked) => Some(in_month(
                day.with_day(1)?.checked_add_months(Months::new(1))?,
                asked,
            )),
            Self::Quarterly(asked) => Some(in_month(
                day.with_day(1)?.checked_add_months(Months::new(3))?,
                asked,
            )),
        }
    }
}

/// The day of `day`'s month with that number, or the month's last one.
fn in_month(day: NaiveDate, asked: u32) -> NaiveDate {
    (1..=asked)
        .rev()
        .find_map(|number| day.with_day(number))
        .unwrap_or(day)
}

#[cfg(test)]
mod tests;
