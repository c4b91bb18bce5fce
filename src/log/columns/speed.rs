//! The speed of counting ten million rows. Run it by
//! `cargo test --release --lib log::columns::speed -- --ignored --nocapture`; `ROLLBOOK_SPEED_ROWS` sets the number of rows.

use std::collections::HashMap;
use std::time::Instant;

use chrono_tz::Tz;
use uuid::Uuid;

use super::people::People;
use super::selection::{RowSelection, SelectedPersons};
use super::tests::{everything, row};
use super::{ColumnRow, LogColumns};
use crate::base::clock::Timestamp;
use crate::log::action::Action;
use crate::log::facets::FacetCounter;
use crate::log::facets::columns::RememberedFacets;
use crate::log::filter::Filter;
use crate::log::summary::counter::columns::SummaryLookups;
use crate::log::summary::counter::remembered::{Question, RememberedSummaries};
use crate::log::summary::{Dimension, MOST_GROUPS};
use crate::record::Origin;

const USERS: u64 = 50_000;
const YEARS: i64 = 2 * 365 * 86_400 * 1_000_000;

/// A number that looks random: the next one of a multiplicative sequence.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// Small numbers are more frequent.
    fn skewed(&mut self, limit: u64) -> u64 {
        let one = self.below(limit);
        self.below(one + 1)
    }
}

fn some_row(numbers: &mut Numbers, seq: i64, rows: i64) -> ColumnRow {
    let user = numbers.skewed(USERS) as i64;
    let content = numbers.skewed(5_000) as i64;
    let completed = numbers.below(4) == 0;
    let action = match (completed, numbers.below(3)) {
        (true, _) => Action::Completed,
        (false, 0) => Action::Viewed,
        (false, 1) => Action::Failed,
        _ => Action::Clicked,
    };
    let registered = numbers.below(10) < 4;
    // Three rows in a hundred arrive late.
    let late = if numbers.below(100) < 3 {
        numbers.below(YEARS as u64 / 10) as i64
    } else {
        0
    };
    ColumnRow {
        happened_at: Timestamp::from_micros(seq * (YEARS / rows) - late),
        person: user * 4 + numbers.below(2) as i64,
        content: (numbers.below(20) > 0).then_some(1_000_000 + content),
        verb: i64::from(action.code()),
        action,
        origin: Origin::ALL[numbers.below(Origin::ALL.len() as u64) as usize],
        completed,
        success: completed.then(|| numbers.below(4) > 0),
        percent: (numbers.below(3) == 0).then(|| numbers.below(10_001) as i64),
        seconds: (numbers.below(2) == 0).then(|| numbers.below(7_200) as i64),
        expired_at: (completed && numbers.below(5) == 0).then_some(Timestamp::from_micros(seq * 2)),
        registration: registered
            .then(|| Uuid::from_u128((user * 5_000 + content) as u128 * 8 + (seq % 3) as u128)),
        device_type: (numbers.below(2) == 0)
            .then(|| ["web", "ios", "android"][numbers.below(3) as usize].to_owned()),
        source: (numbers.below(4) == 0).then(|| format!("library {}", numbers.below(20))),
        ..row(seq)
    }
}

#[test]
#[ignore = "measures the time; run it in a release build"]
fn time_of_counting_ten_million_rows_is_printed() {
    let rows = std::env::var("ROLLBOOK_SPEED_ROWS").map_or(10_000_000, |rows| rows.parse().unwrap());
    let mut numbers = Numbers(7);
    let begin = Instant::now();
    let mut columns = LogColumns::new();
    for seq in 0..rows {
        columns.put(some_row(&mut numbers, seq, rows)).unwrap();
    }
    println!(
        "{rows} rows in {:?}, {} bytes a row",
        begin.elapsed(),
        columns.bytes() / rows as usize
    );
    let users: HashMap<i64, i64> = (0..USERS as i64 * 4)
        .map(|person| (person, 10_000_000 + person / 4))
        .collect();
    let begin = Instant::now();
    let mut people = People::default();
    people.extend(&columns, &users);
    println!("people in {:?}, {} MiB", begin.elapsed(), people.bytes() >> 20);
    let teams: HashMap<i64, Vec<i64>> = (0..USERS as i64)
        .map(|user| (10_000_000 + user, vec![user % 300, 300 + user % 7]))
        .collect();
    let hidden = RowSelection {
        filter: Filter::default(),
        persons: SelectedPersons::AllExcept((0..2_000).collect()),
        ..everything()
    };
    let scope = RowSelection {
        persons: SelectedPersons::Only((0..25_000).map(|person| person * 8 % 200_000).collect()),
        ..hidden.clone()
    };
    for (name, selection) in [("everyone", hidden), ("6,250 people", scope)] {
        let measure = |what: &str, run: &dyn Fn() -> u64| {
            let mut times: Vec<_> = (0..5)
                .map(|_| {
                    let begin = Instant::now();
                    let counted = run();
                    (begin.elapsed(), counted)
                })
                .collect();
            times.sort();
            println!("{name}: {what}: {:?} ({})", times[2].0, times[2].1);
        };
        measure("count", &|| selection.compile(&columns).count());
        measure("facets", &|| {
            FacetCounter::from_columns(
                &RememberedFacets::default(),
                &selection.compile(&columns),
                &people,
                Timestamp::from_micros(0),
            )
            .rows
        });
        for by in [
            vec![Dimension::Action],
            vec![Dimension::Month],
            vec![Dimension::Day, Dimension::Action],
            vec![Dimension::Content],
            vec![Dimension::Team],
            vec![Dimension::Team, Dimension::Month],
            vec![Dimension::User],
            vec![Dimension::User, Dimension::Action],
            vec![Dimension::Content, Dimension::Month],
            vec![Dimension::User, Dimension::Content],
        ] {
            measure(&format!("{by:?}"), &|| {
                let lookups = SummaryLookups {
                    people: &people,
                    teams: teams.clone(),
                    kinds: HashMap::new(),
                };
                let selected = selection.compile(&columns);
                let question = Question {
                    by: &by,
                    zone: Tz::UTC,
                    selected: &selected,
                    lookups: &lookups,
                };
                let counted = RememberedSummaries::default().count(question, MOST_GROUPS);
                counted.map_or(0, |counted| counted.groups.len() as u64)
            });
        }
    }
}
