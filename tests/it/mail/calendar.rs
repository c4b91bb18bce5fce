//! Calculates the expected times of runs from a list of local days, without the tested code.

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

/// The frequencies, each with the period of its report.
const PERIODS: [(&str, &str); 4] = [
    ("daily", "yesterday"),
    ("weekly", "previous_week"),
    ("monthly", "previous_month"),
    ("quarterly", "previous_quarter"),
];

/// Every frequency in three time zones: in two the clocks change by an hour, in one by half an hour. The
/// time of day is skipped or repeated on the days of a change.
pub fn all_plans() -> Vec<Plan> {
    let zones = [
        (Tz::Europe__London, (1, 30)),
        (Tz::America__New_York, (2, 30)),
        (Tz::Australia__Lord_Howe, (1, 45)),
    ];
    let in_zone = |(zone, at)| PERIODS.map(|(frequency, _)| Plan { frequency, zone, at });
    zones.into_iter().flat_map(in_zone).collect()
}

impl Plan {
    /// The name, which is unique.
    pub fn name(&self) -> String {
        format!("{} in {}", self.frequency, self.zone)
    }

    /// The `period` of the report.
    pub fn period(&self) -> &'static str {
        let found = PERIODS.iter().find(|(frequency, _)| *frequency == self.frequency);
        found.expect("a frequency").1
    }

    /// The JSON of the timing: weekly on Sundays, when clocks change, and monthly on the 31st, which few
    /// months have.
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

    /// All times between `start` and `end` at which the plan is due, without both.
    pub fn run_times(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let days = self.days(start.date_naive() - Days::new(2), end.date_naive() + Days::new(2));
        let moments = days.into_iter().map(|day| self.run_time(day));
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

    /// The time of the run on a day. A repeated local time means the first, and a skipped one means the end
    /// of the gap.
    fn run_time(&self, day: NaiveDate) -> DateTime<Utc> {
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

    /// The number of noons in UTC in the report's period, for a run at `moment`. Every local day of these
    /// zones contains one.
    pub fn count_noons(&self, moment: DateTime<Utc>) -> usize {
        let today = moment.with_timezone(&self.zone).date_naive();
        let days_in_month = |year: i32, month: u32| {
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
                days_in_month(year, month)
            }
            // Quarterly runs are in the first month of a quarter.
            _ => (1..=3).map(months_back).map(|(year, month)| days_in_month(year, month)).sum(),
        }
    }
}

#[test]
fn expected_times_respect_clock_changes() {
    let [london, ..] = all_plans()[..] else { panic!() };
    let moment = |year, month, day| {
        let day = NaiveDate::from_ymd_opt(year, month, day).expect("a day");
        london.run_time(day).to_rfc3339()
    };
    // 01:30 is skipped on the last Sunday of March, and repeated on the last Sunday of October.
    assert_eq!(moment(2026, 3, 28), "2026-03-28T01:30:00+00:00");
    assert_eq!(moment(2026, 3, 29), "2026-03-29T01:00:00+00:00");
    assert_eq!(moment(2026, 3, 30), "2026-03-30T00:30:00+00:00");
    assert_eq!(moment(2026, 10, 25), "2026-10-25T00:30:00+00:00");
    let runs_in_a_year = |plan: &Plan| {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
        plan.run_times(start, start + Duration::days(365)).len()
    };
    let runs: Vec<usize> = all_plans()[..4].iter().map(runs_in_a_year).collect();
    assert_eq!(runs, [365, 52, 12, 4]);
}
