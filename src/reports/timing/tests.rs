use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::base::testing::parse_time;

fn timing(days: RunDays, time: &str, zone: &str) -> Timing {
    Timing {
        days,
        at: NaiveTime::parse_from_str(time, "%H:%M").unwrap(),
        zone: zone.parse().unwrap(),
    }
}

/// The next runs after a time, in local time.
fn runs(timing: Timing, after: &str, count: usize) -> Vec<String> {
    let mut now = parse_time(after);
    let mut runs = Vec::new();
    for _ in 0..count {
        now = timing.next_after(now);
        let local = now.to_datetime().with_timezone(&timing.zone);
        runs.push(local.format("%Y-%m-%d %H:%M %Z").to_string());
    }
    runs
}

#[test]
fn time_in_a_gap_becomes_the_moment_after_it() {
    let daily = timing(RunDays::Daily, "01:30", "Europe/London");
    assert_eq!(
        runs(daily, "2026-03-27T12:00:00Z", 4),
        [
            "2026-03-28 01:30 GMT",
            "2026-03-29 02:00 BST",
            "2026-03-30 01:30 BST",
            "2026-03-31 01:30 BST"
        ]
    );
}

#[test]
fn time_that_occurs_twice_is_the_first_of_the_two() {
    let daily = timing(RunDays::Daily, "01:30", "America/New_York");
    assert_eq!(
        runs(daily, "2026-10-31T12:00:00Z", 3),
        [
            "2026-11-01 01:30 EDT",
            "2026-11-02 01:30 EST",
            "2026-11-03 01:30 EST"
        ]
    );
}

#[test]
fn each_day_has_one_run_in_zones_with_unusual_changes() {
    // The change is half an hour.
    let daily = timing(RunDays::Daily, "02:15", "Australia/Lord_Howe");
    assert_eq!(
        runs(daily, "2026-10-02T12:00:00Z", 3),
        [
            "2026-10-03 02:15 +1030",
            "2026-10-04 02:30 +11",
            "2026-10-05 02:15 +11"
        ]
    );
    let daily = timing(RunDays::Daily, "01:45", "Australia/Lord_Howe");
    assert_eq!(
        runs(daily, "2026-04-03T12:00:00Z", 3),
        [
            "2026-04-04 01:45 +11",
            "2026-04-05 01:45 +11",
            "2026-04-06 01:45 +1030"
        ]
    );
    // The change is at midnight.
    let daily = timing(RunDays::Daily, "00:00", "Asia/Beirut");
    assert_eq!(
        runs(daily, "2026-03-27T12:00:00Z", 3),
        [
            "2026-03-28 00:00 EET",
            "2026-03-29 01:00 EEST",
            "2026-03-30 00:00 EEST"
        ]
    );
    let daily = timing(RunDays::Daily, "00:30", "America/Havana");
    assert_eq!(
        runs(daily, "2026-10-31T12:00:00Z", 2),
        ["2026-11-01 00:30 CDT", "2026-11-02 00:30 CST"]
    );
}

#[test]
fn run_of_a_left_out_day_is_the_first_moment_of_the_next_day() {
    // Samoa left out the 30th.
    let days = |time: &str| -> Vec<String> {
        let daily = timing(RunDays::Daily, time, "Pacific/Apia");
        let runs = runs(daily, "2011-12-29T00:00:00Z", 4);
        runs.iter().map(|run| run[..16].to_owned()).collect()
    };
    assert_eq!(
        days("00:00"),
        [
            "2011-12-29 00:00",
            "2011-12-31 00:00",
            "2012-01-01 00:00",
            "2012-01-02 00:00"
        ]
    );
    assert_eq!(
        days("08:00"),
        [
            "2011-12-29 08:00",
            "2011-12-31 00:00",
            "2011-12-31 08:00",
            "2012-01-01 08:00"
        ]
    );
}

#[test]
fn day_31_is_the_last_day_of_a_shorter_month() {
    let monthly = timing(RunDays::Monthly(31), "08:00", "UTC");
    let days: Vec<String> = runs(monthly, "2027-12-31T08:00:00Z", 6)
        .iter()
        .map(|run| run[..10].to_owned())
        .collect();
    assert_eq!(
        days,
        [
            "2028-01-31",
            "2028-02-29",
            "2028-03-31",
            "2028-04-30",
            "2028-05-31",
            "2028-06-30"
        ]
    );
    let quarterly = timing(RunDays::Quarterly(31), "08:00", "UTC");
    let days: Vec<String> = runs(quarterly, "2026-11-22T00:00:00Z", 4)
        .iter()
        .map(|run| run[..10].to_owned())
        .collect();
    assert_eq!(days, ["2027-01-31", "2027-04-30", "2027-07-31", "2027-10-31"]);
}

#[test]
fn times_are_described_in_words() {
    let describe = |days| timing(days, "08:05", "Europe/London").describe(Language::ENGLISH);
    assert_eq!(describe(RunDays::Daily), "every day at 08:05 (Europe/London)");
    assert_eq!(
        describe(RunDays::Weekly(Weekday::Mon)),
        "every Monday at 08:05 (Europe/London)"
    );
    assert_eq!(
        describe(RunDays::Monthly(2)),
        "every month on the 2nd at 08:05 (Europe/London)"
    );
    assert_eq!(
        describe(RunDays::Quarterly(31)),
        "every quarter on the 31st, or the month's last day, of its first month at 08:05 (Europe/London)"
    );
}

#[test]
fn stored_timing_is_read_back_and_invalid_ones_are_refused() {
    for days in [
        RunDays::Daily,
        RunDays::Weekly(Weekday::Sun),
        RunDays::Monthly(31),
        RunDays::Quarterly(1),
    ] {
        let timing = timing(days, "23:59", "Pacific/Apia");
        assert_eq!(Timing::from_stored(&timing.to_stored()).unwrap(), timing);
    }
    let good = timing(RunDays::Weekly(Weekday::Mon), "00:00", "UTC").to_stored();
    for bad in [
        StoredTiming {
            weekday: Some(0),
            ..good.clone()
        },
        StoredTiming {
            weekday: Some(8),
            ..good.clone()
        },
        StoredTiming {
            weekday: None,
            ..good.clone()
        },
        StoredTiming {
            at_minute: 1_440,
            ..good.clone()
        },
        StoredTiming {
            at_minute: -1,
            ..good.clone()
        },
        StoredTiming {
            frequency: "hourly".to_owned(),
            ..good.clone()
        },
        StoredTiming {
            time_zone: "Mars/Olympus".to_owned(),
            ..good
        },
    ] {
        assert!(Timing::from_stored(&bad).is_err(), "{bad:?}");
    }
}

/// Whether the schedule runs on this day.
fn is_run_day(days: RunDays, day: NaiveDate) -> bool {
    let last = day.succ_opt().unwrap().month() != day.month();
    let right_day = |number: u32| day.day() == number || (last && day.day() < number);
    match days {
        RunDays::Daily => true,
        RunDays::Weekly(weekday) => day.weekday() == weekday,
        RunDays::Monthly(number) => right_day(number),
        RunDays::Quarterly(number) => [1, 4, 7, 10].contains(&day.month()) && right_day(number),
    }
}

/// The runs of a time range, found minute by minute: for each run day the first minute with the run's local time or a
/// later one.
fn walk(timing: &Timing, from: DateTime<Utc>, days: i64) -> Vec<Timestamp> {
    let mut waiting: Vec<NaiveDateTime> = (-3..days + 3)
        .map(|offset| (from + TimeDelta::days(offset)).date_naive())
        .filter(|day| is_run_day(timing.days, *day))
        .map(|day| day.and_time(timing.at))
        .collect();
    let local = |at: DateTime<Utc>| at.with_timezone(&timing.zone).naive_local();
    // Local times before the range are over.
    let earlier = (0..3 * 24 * 60)
        .map(|minute| local(from - TimeDelta::minutes(minute)))
        .max()
        .unwrap();
    waiting.retain(|run| *run > earlier);
    let mut runs = Vec::new();
    for minute in 1..=days * 24 * 60 {
        let now = from + TimeDelta::minutes(minute);
        let before = waiting.len();
        waiting.retain(|run| *run > local(now));
        if waiting.len() < before {
            runs.push(now.into());
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// No run is skipped or doubled, in zones with all kinds of changes.
    #[test]
    fn runs_equal_those_found_minute_by_minute(
        offset in 0i64..6_000,
        minute in 0u32..1_440,
        name in prop::sample::select(vec![
            "UTC", "Europe/London", "America/New_York", "America/Havana", "Asia/Beirut",
            "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu",
        ]),
        days in prop::sample::select(vec![
            RunDays::Daily, RunDays::Weekly(Weekday::Sun), RunDays::Weekly(Weekday::Wed), RunDays::Monthly(1),
            RunDays::Monthly(29), RunDays::Monthly(31), RunDays::Quarterly(1), RunDays::Quarterly(31),
        ]),
    ) {
        let timing = Timing {
            days,
            at: NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0).unwrap(),
            zone: name.parse().unwrap(),
        };
        let from = DateTime::parse_from_rfc3339("2010-01-01T00:00:00Z").unwrap().to_utc() + TimeDelta::days(offset);
        let expected = walk(&timing, from, 100);
        let mut now = from.into();
        let mut found = Vec::new();
        loop {
            now = timing.next_after(now);
            if now > Timestamp::from(from + TimeDelta::days(100)) {
                break;
            }
            found.push(now);
        }
        prop_assert_eq!(found, expected);
    }
}
