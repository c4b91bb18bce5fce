//! Tests of the counter, against a naive count and at its limits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000_000;

/// A row with its teams.
#[derive(Debug, Clone)]
struct TestRow {
    row: CountedActivity<'static>,
    teams: Vec<i64>,
}

impl TestRow {
    fn as_counted(&self) -> CountedActivity<'_> {
        CountedActivity {
            teams: &self.teams,
            ..self.row.clone()
        }
    }
}

fn row(user: Option<i64>) -> CountedActivity<'static> {
    CountedActivity {
        happened_at: Timestamp::default(),
        seq: 0,
        person: user.unwrap_or(100),
        user,
        teams: &[],
        content: None,
        learning_type: None,
        content_type: None,
        action: Action::Viewed,
        completed: false,
        success: None,
        percent: None,
        is_part: false,
        seconds: None,
        registration: None,
        session: None,
    }
}

fn any_row() -> impl Strategy<Value = TestRow> {
    let people = (
        0..4_i64,
        prop::option::of(10..13_i64),
        prop::collection::btree_set(20..24_i64, 0..3),
    );
    let content = (prop::option::of(30..33_i64), prop::option::of(0..2_u128));
    let outcome = (
        any::<bool>(),
        prop::option::of(any::<bool>()),
        prop::option::of(-20_000..20_000_i64),
        prop::option::of(0..1_000_i64),
    );
    let session = (prop::option::of(0..2_i64), any::<bool>());
    let when = (-400..400_i64, 0..1_000_000_i64, prop::sample::select(Action::ALL));
    (people, content, outcome, session, when).prop_map(
        |(
            (person, user, teams),
            (content, registration),
            (completed, success, percent, seconds),
            (session, is_part),
            (at, seq, action),
        )| {
            TestRow {
                teams: teams.into_iter().filter(|_| user.is_some()).collect(),
                row: CountedActivity {
                    happened_at: Timestamp::from_micros(at * HOUR),
                    seq,
                    session,
                    is_part,
                    person,
                    content,
                    learning_type: content.and_then(|content| {
                        i16::try_from(content - 30).ok().and_then(LearningType::from_code)
                    }),
                    content_type: content.and_then(|content| {
                        i16::try_from(content - 30)
                            .ok()
                            .and_then(ContentFormat::from_code)
                    }),
                    action,
                    completed,
                    success,
                    percent: percent.map(Percent),
                    seconds,
                    registration: registration.map(Uuid::from_u128),
                    ..row(user)
                },
            }
        },
    )
}

/// The values of a row in a dimension, computed directly from the specification.
fn values(made: &TestRow, dimension: Dimension) -> Vec<i64> {
    let day = made.row.happened_at.to_datetime().date_naive();
    let or_no_value = |value: Option<i64>| vec![value.unwrap_or(NO_VALUE)];
    use chrono::Datelike;
    match dimension {
        Dimension::Action => vec![made.row.action.code().into()],
        Dimension::Day => vec![day.num_days_from_ce().into()],
        Dimension::Week => {
            let monday = day
                .iter_days()
                .rev()
                .find(|day| day.weekday() == chrono::Weekday::Mon);
            or_no_value(monday.map(|monday| monday.num_days_from_ce().into()))
        }
        Dimension::Month => vec![i64::from(day.year()) * 12 + i64::from(day.month()) - 1],
        Dimension::User => vec![made.row.user.unwrap_or(made.row.person)],
        Dimension::Team if made.teams.is_empty() => vec![NO_VALUE],
        Dimension::Team => made.teams.clone(),
        Dimension::Content => or_no_value(made.row.content),
        Dimension::Type => or_no_value(made.row.learning_type.map(|kind| kind.code().into())),
        Dimension::ContentType => or_no_value(made.row.content_type.map(|kind| kind.code().into())),
        Dimension::Result => or_no_value(made.row.success.map(i64::from)),
    }
}

fn measures(rows: &[&TestRow]) -> Measures {
    let person = |made: &TestRow| (made.row.user, made.row.user.is_none().then_some(made.row.person));
    // The last score of each attempt, and the longest duration of each session. A row without a registration is its own.
    let attempt = |place: usize, made: &TestRow| {
        let alone = made.row.registration.is_none().then_some(place);
        (person(made), made.row.content, made.row.registration, alone)
    };
    let mut scores = BTreeMap::new();
    let mut part_scores = Vec::new();
    let mut durations = BTreeMap::new();
    let mut ordered: Vec<(usize, &&TestRow)> = rows.iter().enumerate().collect();
    ordered.sort_by_key(|(_, made)| (made.row.happened_at, made.row.seq, made.row.percent));
    for (place, made) in ordered {
        let attempt = attempt(place, made);
        match made.row.percent {
            Some(Percent(percent)) if made.row.is_part => part_scores.push(percent),
            Some(Percent(percent)) => {
                scores.insert(attempt, percent);
            }
            None => {}
        }
        if let Some(seconds) = made.row.seconds {
            let longest = durations.entry((attempt, made.row.session)).or_insert(0);
            *longest = seconds.max(*longest);
        }
    }
    let scores: Vec<i64> = match scores.is_empty() {
        true => part_scores,
        false => scores.into_values().collect(),
    };
    let completed = rows.iter().filter(|made| made.row.completed);
    let count = |wanted| {
        rows.iter()
            .filter(|made| made.row.success == Some(wanted))
            .count() as u64
    };
    Measures {
        rows: rows.len() as u64,
        persons: rows
            .iter()
            .map(|made| person(made))
            .collect::<BTreeSet<_>>()
            .len() as u64,
        completions: completed
            .map(|made| (person(made), made.row.content, made.row.registration))
            .collect::<BTreeSet<_>>()
            .len() as u64,
        passed: count(true),
        failed: count(false),
        // These sums are exact in binary, and `round` rounds halves away from zero.
        average_score: (!scores.is_empty())
            .then(|| Percent((scores.iter().sum::<i64>() as f64 / scores.len() as f64).round() as i64)),
        total_seconds: durations.into_values().sum(),
    }
}

fn count(by: &[Dimension], rows: &[TestRow], max_groups: usize) -> CountedGroups {
    let mut counter = SummaryCounter::new(by, Tz::UTC);
    for made in rows {
        counter.add(&made.as_counted()).unwrap();
    }
    counter.finish(max_groups)
}

proptest! {
    #[test]
    fn groups_and_total_equal_a_naive_count(
        rows in prop::collection::vec(any_row(), 0..60),
        by in prop::sample::subsequence(Dimension::ALL.to_vec(), 1..=2).prop_shuffle(),
    ) {
        let mut expected: BTreeMap<[i64; 2], Vec<&TestRow>> = BTreeMap::new();
        for made in &rows {
            for first in values(made, by[0]) {
                let seconds = by.get(1).map_or(vec![0], |by| values(made, *by));
                for second in seconds {
                    expected.entry([first, second]).or_default().push(made);
                }
            }
        }
        let counted = count(&by, &rows, usize::MAX);
        let actual: BTreeMap<[i64; 2], Measures> = counted.groups.iter().copied().collect();
        prop_assert_eq!(actual.len(), counted.groups.len());
        let expected: BTreeMap<[i64; 2], Measures> =
            expected.into_iter().map(|(key, rows)| (key, measures(&rows))).collect();
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(counted.total, measures(&rows.iter().collect::<Vec<_>>()));
        prop_assert!(!counted.truncated);
        prop_assert_eq!(counted.dimensions(), by);
    }

    #[test]
    fn order_of_rows_does_not_matter(
        (rows, shuffled) in prop::collection::vec(any_row(), 0..30)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        by in prop::sample::subsequence(Dimension::ALL.to_vec(), 1..=2),
        max_groups in 1..6_usize,
    ) {
        let sorted = |mut counted: CountedGroups| {
            counted.groups.sort_unstable_by_key(|(values, _)| *values);
            counted
        };
        prop_assert_eq!(sorted(count(&by, &rows, max_groups)), sorted(count(&by, &shuffled, max_groups)));
    }
}

#[test]
fn groups_with_the_most_rows_are_kept() {
    let rows: Vec<TestRow> = [1, 2, 2, 3, 4, 4, 4, 5]
        .map(|user| TestRow {
            row: row(Some(user)),
            teams: Vec::new(),
        })
        .into();
    let largest = |max_groups: usize| {
        let counted = count(&[Dimension::User], &rows, max_groups);
        assert_eq!(counted.total.rows, 8);
        assert_eq!(counted.total.persons, 5);
        (counted.keys(Dimension::User), counted.truncated)
    };
    assert_eq!(largest(1), (vec![4], true));
    assert_eq!(largest(3), (vec![1, 2, 4], true));
    assert_eq!(largest(4), (vec![1, 2, 3, 4], true));
    assert_eq!(largest(5), (vec![1, 2, 3, 4, 5], false));
}

#[test]
fn means_round_halves_away_from_zero() {
    let mean_of = |sum, count| mean(sum, count).map(|percent| percent.0);
    assert_eq!(mean_of(0, 0), None);
    assert_eq!(mean_of(9_250, 1), Some(9_250));
    assert_eq!(mean_of(9_250 + 9_251, 2), Some(9_251));
    assert_eq!(mean_of(-9_250 - 9_251, 2), Some(-9_251));
    assert_eq!(mean_of(10, 3), Some(3));
    assert_eq!(mean_of(11, 3), Some(4));
    assert_eq!(mean_of(-10, 3), Some(-3));
    assert_eq!(mean_of(2 * i128::from(i64::MAX), 2), Some(i64::MAX));
}

#[test]
fn sums_of_the_longest_durations_do_not_overflow() {
    let mut counter = SummaryCounter::new(&[Dimension::Action], Tz::UTC);
    for _ in 0..3 {
        let longest = CountedActivity {
            seconds: Some(i64::MAX),
            percent: Some(Percent(i64::MAX)),
            ..row(None)
        };
        counter.add(&longest).unwrap();
    }
    let total = counter.finish(1).total;
    assert_eq!(total.total_seconds, i64::MAX);
    assert_eq!(total.average_score, Some(Percent(i64::MAX)));
}

#[test]
fn count_beyond_a_limit_is_refused() {
    let count = |groups: usize, entries: usize, rows: usize, completed: bool| {
        let mut counter = SummaryCounter::with_limits(&[Dimension::User], Tz::UTC, groups, entries);
        (0..rows).try_for_each(|user| {
            counter.add(&CountedActivity {
                completed,
                ..row(Some(user as i64))
            })
        })
    };
    assert_eq!(count(5, usize::MAX, 5, false), Ok(()));
    assert_eq!(count(5, usize::MAX, 6, false), Err(CountFault::Groups));
    // A person has one entry, and one each in the group and in the total. A completion has four more.
    assert_eq!(count(usize::MAX, 15, 5, false), Ok(()));
    assert_eq!(count(usize::MAX, 14, 5, false), Err(CountFault::Entries));
    assert_eq!(count(usize::MAX, 35, 5, true), Ok(()));
    assert_eq!(count(usize::MAX, 34, 5, true), Err(CountFault::Entries));
}

/// A row of one person, content and registration.
fn row_of_attempt(at: i64, seconds: Option<i64>, percent: Option<i64>) -> CountedActivity<'static> {
    CountedActivity {
        happened_at: Timestamp::from_micros(at * HOUR),
        content: Some(30),
        percent: percent.map(Percent),
        seconds,
        registration: Some(Uuid::from_u128(1)),
        ..row(Some(1))
    }
}

fn total_of(rows: &[CountedActivity<'_>]) -> (i64, Option<i64>) {
    let mut counter = SummaryCounter::new(&[Dimension::Action], Tz::UTC);
    rows.iter().for_each(|row| counter.add(row).unwrap());
    let total = counter.finish(10).total;
    (
        total.total_seconds,
        total.average_score.map(|Percent(percent)| percent),
    )
}

#[test]
fn session_counts_with_its_longest_duration() {
    let row = |seconds| row_of_attempt(0, Some(seconds), None);
    assert_eq!(total_of(&[row(900), row(1_800), row(1_800)]).0, 1_800);
    let in_session = |session, seconds| CountedActivity {
        session: Some(session),
        ..row(seconds)
    };
    let two_sessions = [
        in_session(1, 900),
        in_session(1, 600),
        in_session(2, 700),
        in_session(2, 0),
    ];
    assert_eq!(total_of(&two_sessions).0, 1_600);
    let alone = CountedActivity {
        registration: None,
        ..row(900)
    };
    assert_eq!(total_of(&[alone.clone(), alone]).0, 1_800);
}

#[test]
fn attempt_counts_with_its_last_score() {
    let row = |at, percent| row_of_attempt(at, None, Some(percent));
    assert_eq!(
        total_of(&[row(2, 8_000), row(3, 6_000), row(1, 9_000)]).1,
        Some(6_000)
    );
    let later_recorded = CountedActivity {
        seq: 5,
        ..row(3, 7_000)
    };
    assert_eq!(total_of(&[later_recorded, row(3, 6_000)]).1, Some(7_000));
    let alone = |percent| CountedActivity {
        registration: None,
        ..row(1, percent)
    };
    assert_eq!(total_of(&[alone(4_000), alone(8_000)]).1, Some(6_000));
}

#[test]
fn scores_of_parts_count_only_without_scores_of_attempts() {
    let whole = |at, percent| row_of_attempt(at, None, Some(percent));
    let part = |at, percent| CountedActivity {
        is_part: true,
        ..whole(at, percent)
    };
    assert_eq!(
        total_of(&[part(1, 0), part(2, 10_000), whole(3, 8_000), part(4, 0)]).1,
        Some(8_000)
    );
    assert_eq!(total_of(&[part(1, 0), part(2, 10_000)]).1, Some(5_000));
}

proptest! {
    #[test]
    fn passes_over_parts_of_the_persons_count_as_one_pass(
        rows in prop::collection::vec(any_row(), 0..60),
        by in prop::sample::subsequence(Dimension::ALL.to_vec(), 1..=2).prop_shuffle(),
    ) {
        let sorted = |mut counted: CountedGroups| {
            counted.groups.sort_unstable_by_key(|(values, _)| *values);
            counted
        };
        let whole = count(&by, &rows, usize::MAX);
        let mut counter = SummaryCounter::with_limits(&by, Tz::UTC, usize::MAX, usize::MAX);
        for _ in 0..2 {
            counter = counter.with_smaller_partitions().unwrap();
        }
        loop {
            rows.iter().for_each(|made| counter.add(&made.as_counted()).unwrap());
            if !counter.next_partition() {
                break;
            }
        }
        prop_assert_eq!(sorted(counter.finish(usize::MAX)), sorted(whole));
    }
}

#[test]
fn entries_beyond_the_limit_need_more_passes() {
    let rows: Vec<TestRow> = (0..100)
        .map(|user| TestRow {
            row: CountedActivity {
                completed: true,
                ..row(Some(user))
            },
            teams: Vec::new(),
        })
        .collect();
    let mut counter = SummaryCounter::with_limits(&[Dimension::Action], Tz::UTC, usize::MAX, 300);
    let mut passes = 0;
    let counted = loop {
        passes += 1;
        let outcome = rows.iter().try_for_each(|made| counter.add(&made.as_counted()));
        match outcome {
            Ok(()) if counter.next_partition() => {}
            Ok(()) => break counter.finish(10),
            Err(CountFault::Entries) => counter = counter.with_smaller_partitions().unwrap(),
            Err(CountFault::Groups) => panic!("there is one group"),
        }
    };
    assert!(passes > 4, "{passes}");
    assert_eq!((counted.total.persons, counted.total.completions), (100, 100));
}
