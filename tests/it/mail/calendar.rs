//! When schedules are due, by a list of local times that is made day after day: a naive judge, without the code under
//! test.

use chrono::{DateTime, Datelike, Days, Duration, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde_json::{Value, json};

/// A schedule under test.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub frequency: &'static str,
    pub zone: Tz,
    /// Hour and minute.
    pub at: (u32, u32),
}

/// What reports ask about at such a frequency.
const PERIODS: [(&str, &str); 4] = [
    ("daily", "yesterday"),
    ("weekly", "previous_week"),
    ("monthly", "previous_month"),
    ("quarterly", "previous_quarter"),
];

/// Every frequency in three zones whose clocks change: by an hour forward in March, backward in March, and by half an
/// hour. Each at a time of day that the change leaves out or brings twice.
pub fn plans() -> Vec<Plan> {
    let zones = [
        (Tz::Europe__London, (1, 30)),
        (Tz::America__New_York, (2, 30)),
        (Tz::Australia__Lord_Howe, (1, 45)),
    ];
    let of_zone = |(zone, at)| PERIODS.map(|(frequency, _)| Plan { frequency, zone, at });
    zones.into_iter().flat_map(of_zone).collect()
}

impl Plan {
    /// A name that no other plan has.
    pub fn name(&self) -> String {
        format!("{} in {}", self.frequency, self.zone)
    }

    /// The `period` that its report asks for.
    pub fn period(&self) -> &'static str {
        let found = PERIODS.iter().find(|(frequency, _)| *frequency == self.frequency);
        found.expect("a frequency").1
    }

    /// What is sent to schedule it: weeks on Sundays, when clocks change, and months at the 31st, which few have.
    pub fn timing(&self) -> Value {
        let (hour, minute) = self.at;
        let mut timing = json!({"frequency": self.frequency, "time_zone": self.zone.name(),
            "at": format!("{hour:02}:{minute:02}")});
        match self.frequency {
            "weekly" => timing["weekday"] = json!("sunday"),
            "monthly" | "quarterly" => timing["day_of_month"] = json!(31),
            _ => {}
        }
        timing
    }

    /// Every moment from `start` on and before `end` at which it is due.
    pub fn moments(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let days = self.days(start.date_naive() - Days::new(2), end.date_naive() + Days::new(2));
        let moments = days.into_iter().map(|day| self.moment(day));
        moments.filter(|moment| start < *moment && *moment < end).collect()
    }

    fn days(&self, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
        let all = first.iter_days().take_while(|day| *day <= last);
        let last_of_month = |day: &NaiveDate| (*day + Days::new(1)).day() == 1;
        all.filter(|day| match self.frequency {
            "daily" => true,
            "weekly" => day.weekday() == Weekday::Sun,
            "monthly" => last_of_month(day),
            "quarterly" => last_of_month(day) && [1, 4, 7, 10].contains(&day.month()),
            other => panic!("{other}"),
        })
        .collect()
    }

    /// The moment of a day: the first that its clocks show so, or after the gap that leaves it out.
    fn moment(&self, day: NaiveDate) -> DateTime<Utc> {
        let time = NaiveTime::from_hms_opt(self.at.0, self.at.1, 0).expect("a time");
        let mut local = day.and_time(time);
        loop {
            match self.zone.from_local_datetime(&local) {
                LocalResult::Single(moment) => return moment.with_timezone(&Utc),
                LocalResult::Ambiguous(one, other) => return one.min(other).with_timezone(&Utc),
                LocalResult::None => local += Duration::minutes(1),
            }
        }
    }

    /// How many noons in UTC the period has that its report asks for, at that moment. Every local day of these zones has
    /// one.
    pub fn noons(&self, moment: DateTime<Utc>) -> usize {
        let today = moment.with_timezone(&self.zone).date_naive();
        let days_of = |year: i32, month: u32| {
            let first = NaiveDate::from_ymd_opt(year, month, 1).expect("a day");
            first.iter_days().take_while(|day| day.month() == month).count()
        };
        let months_back = |back: u32| {
            let months = today.year() * 12 + today.month0() as i32 - back as i32;
            (months.div_euclid(12), months.rem_euclid(12) as u32 + 1)
        };
        match self.frequency {
            "daily" => 1,
            "weekly" => 7,
            "monthly" => {
                let (year, month) = months_back(1);
                days_of(year, month)
            }
            // Quarterly runs are in the first month of a quarter.
            _ => (1..=3).map(months_back).map(|(year, month)| days_of(year, month)).sum(),
        }
    }
}

#[test]
fn the_judge_knows_the_days_on_which_clocks_change() {
    let [london, ..] = plans()[..] else { panic!() };
    let moment = |year, month, day| {
        let day = NaiveDate::from_ymd_opt(year, month, day).expect("a day");
        london.moment(day).to_rfc3339()
    };
    // 01:30 is left out on the last Sunday of March, and comes twice on the last of October.
    assert_eq!(moment(2026, 3, 28), "2026-03-28T01:30:00+00:00");
    assert_eq!(moment(2026, 3, 29), "2026-03-29T01:00:00+00:00");
    assert_eq!(moment(2026, 3, 30), "2026-03-30T00:30:00+00:00");
    assert_eq!(moment(2026, 10, 25), "2026-10-25T00:30:00+00:00");
    let year = |plan: &Plan| {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a moment");
        plan.moments(start, start + Duration::days(365)).len()
    };
    let runs: Vec<usize> = plans()[..4].iter().map(year).collect();
    assert_eq!(runs, [365, 52, 12, 4]);
}
