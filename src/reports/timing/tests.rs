use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn timing(days: RunDays, time: &str, zone: &str) -> Timing {
    Timing {
        days,
        at: NaiveTime::parse_from_str(time, "%H:%M").unwrap(),
        zone: zone.parse().unwrap(),
    }
}

/// So many runs after that moment, as the zone's clocks show them.
fn runs(timing: Timing, after: &str, count: usize) -> Vec<String> {
    let mut now = at(after);
    let mut runs = Vec::new();
    for _ in 0..count {
        now = timing.next_after(now);
        let local = now.to_datetime().with_timezone(&timing.zone);
        runs.push(local.format("%Y-%m-%d %H:%M %Z").to_string());
    }
    runs
}

#[test]
fn clocks_that_are_put_forward_give_the_moment_after_the_gap() {
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
fn clocks_that_are_put_back_give_the_first_of_two() {
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
fn each_day_has_one_run_whatever_its_clocks_do() {
    // Half an hour is left out, and comes twice.
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
    // Midnight is left out, and comes twice.
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
fn the_run_of_a_day_that_a_zone_left_out_is_the_moment_after() {
    // Samoa went from the 29th to the 31st.
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
fn the_31st_is_the_last_day_of_a_short_month() {
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
fn the_words_say_when() {
    let sentence = |days| timing(days, "08:05", "Europe/London").sentence();
    assert_eq!(sentence(RunDays::Daily), "every day at 08:05 (Europe/London)");
    assert_eq!(
        sentence(RunDays::Weekly(Weekday::Mon)),
        "every Monday at 08:05 (Europe/London)"
    );
    assert_eq!(
        sentence(RunDays::Monthly(2)),
        "every month on the 2nd at 08:05 (Europe/London)"
    );
    assert_eq!(
        sentence(RunDays::Quarterly(31)),
        "every quarter on the 31st, or the month's last day, of its first month at 08:05 (Europe/London)"
    );
}

#[test]
fn what_is_kept_reads_back_and_nothing_else_does() {
    for days in [
        RunDays::Daily,
        RunDays::Weekly(Weekday::Sun),
        RunDays::Monthly(31),
        RunDays::Quarterly(1),
    ] {
        let timing = timing(days, "23:59", "Pacific/Apia");
        assert_eq!(Timing::from_kept(&timing.to_kept()).unwrap(), timing);
    }
    let good = timing(RunDays::Weekly(Weekday::Mon), "00:00", "UTC").to_kept();
    for bad in [
        KeptTiming {
            weekday: Some(0),
            ..good.clone()
        },
        KeptTiming {
            weekday: Some(8),
            ..good.clone()
        },
        KeptTiming {
            weekday: None,
            ..good.clone()
        },
        KeptTiming {
            at_minute: 1_440,
            ..good.clone()
        },
        KeptTiming {
            at_minute: -1,
            ..good.clone()
        },
        KeptTiming {
            frequency: "hourly".to_owned(),
            ..good.clone()
        },
        KeptTiming {
            time_zone: "Mars/Olympus".to_owned(),
            ..good
        },
    ] {
        assert!(Timing::from_kept(&bad).is_err(), "{bad:?}");
    }
}

/// The days on which the schedule runs, by looking at each day alone.
fn is_run_day(days: RunDays, day: NaiveDate) -> bool {
    let last = day.succ_opt().unwrap().month() != day.month();
    let right_day = |asked: u32| day.day() == asked || (last && day.day() < asked);
    match days {
        RunDays::Daily => true,
        RunDays::Weekly(weekday) => day.weekday() == weekday,
        RunDays::Monthly(asked) => right_day(asked),
        RunDays::Quarterly(asked) => [1, 4, 7, 10].contains(&day.month()) && right_day(asked),
    }
}

/// The runs of a stretch of time, by looking at every minute of it: for each run day the first minute at which clocks
/// show that time of that day or later.
fn walk(timing: &Timing, from: DateTime<Utc>, days: i64) -> Vec<Timestamp> {
    let mut waiting: Vec<NaiveDateTime> = (-3..days + 3)
        .map(|offset| (from + TimeDelta::days(offset)).date_naive())
        .filter(|day| is_run_day(timing.days, *day))
        .map(|day| day.and_time(timing.at))
        .collect();
    let local = |at: DateTime<Utc>| at.with_timezone(&timing.zone).naive_local();
    // What clocks showed before the walk begins is past.
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

    /// None skipped, none doubled, each at its moment, in zones whose clocks do what clocks can do.
    #[test]
    fn runs_are_those_that_a_walk_through_every_minute_finds(
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
