//! Tests of the columns, against a plain list of rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::selection::{RowSelection, SelectedPersons};
use super::*;
use crate::log::filter::Filter;
use crate::log::filter::ResultFilter;

/// A row with some values.
pub(crate) fn row(seq: i64) -> ColumnRow {
    ColumnRow {
        seq,
        happened_at: Timestamp::from_micros(seq),
        person: 1,
        content: None,
        verb: 1,
        action: Action::Viewed,
        origin: Origin::Api,
        completed: false,
        success: None,
        certified: false,
        is_part: false,
        percent: None,
        seconds: None,
        expired_at: None,
        registration: None,
        session: None,
        import: None,
        device_type: None,
        source: None,
    }
}

/// Rows with few different values.
pub(crate) fn any_row() -> impl Strategy<Value = ColumnRow> {
    let who = (
        0..40_i64,
        -50..50_i64,
        100..106_i64,
        prop::option::of(200..203_i64),
    );
    let what = (
        prop::sample::select(vec![Action::Viewed, Action::Completed, Action::Visited]),
        prop::sample::select(Origin::ALL),
        any::<bool>(),
        prop::option::of(any::<bool>()),
        any::<bool>(),
        any::<bool>(),
    );
    let numbers = (
        prop::option::of(prop_oneof![-20_000..20_000_i64, any::<i64>()]),
        prop::option::of(0..1_000_i64),
        prop::option::of(-5..5_i64),
    );
    let session = (prop::option::of(0..2_u128), prop::option::of(0..2_i64));
    let texts = (
        prop::option::of(0..2_u128),
        prop::option::of(prop::sample::select(vec!["web", "WEB", "ios"])),
        prop::option::of(prop::sample::select(vec!["Library", "library", "other"])),
    );
    (who, what, numbers, session, texts).prop_map(|(who, what, numbers, session, texts)| ColumnRow {
        seq: who.0,
        happened_at: Timestamp::from_micros(who.1),
        person: who.2,
        content: who.3,
        verb: i64::from(what.0.code()),
        action: what.0,
        origin: what.1,
        completed: what.2,
        success: what.3,
        certified: what.4,
        is_part: what.5,
        percent: numbers.0,
        seconds: numbers.1,
        expired_at: numbers.2.map(Timestamp::from_micros),
        registration: session.0.map(Uuid::from_u128),
        session: session.1,
        import: texts.0.map(Uuid::from_u128),
        device_type: texts.1.map(str::to_owned),
        source: texts.2.map(str::to_owned),
    })
}

/// A selection of all rows.
pub(crate) fn everything() -> RowSelection {
    RowSelection {
        persons: SelectedPersons::AllExcept(Vec::new()),
        contents: None,
        filter: Filter {
            actions: Action::ALL.to_vec(),
            ..Filter::default()
        },
        verbs: Vec::new(),
        sources: Vec::new(),
        seqs: (i64::MIN, i64::MAX),
        now: Timestamp::from_micros(0),
    }
}

/// The columns after insertions, replacements and removals, and the rows that remain.
pub(crate) fn apply(changes: Vec<(ColumnRow, bool)>) -> (LogColumns, Vec<ColumnRow>) {
    let mut columns = LogColumns::new();
    let mut rows = BTreeMap::new();
    for (row, removed) in changes {
        if removed {
            columns.remove(row.seq);
            rows.remove(&row.seq);
        } else {
            columns.put(row.clone()).unwrap();
            rows.insert(row.seq, row);
        }
    }
    (columns, rows.into_values().collect())
}

/// A row of the columns as it was put.
fn decode(columns: &LogColumns, block: usize, place: usize) -> Option<ColumnRow> {
    let stored = &columns.blocks()[block];
    let kind = columns.kinds()[stored.kind[place] as usize]?;
    let text = |code: Option<u32>| code.map(|code| columns.text(code).unwrap().to_owned());
    let session = columns.sessions()[stored.session[place] as usize];
    let expiry = stored.expiries.iter().find(|(other, _)| *other as usize == place);
    Some(ColumnRow {
        seq: columns.seq(block, place),
        happened_at: Timestamp::from_micros(stored.happened_at[place]),
        person: columns.persons()[stored.person[place] as usize],
        content: columns.contents()[stored.content[place] as usize],
        verb: kind.verb,
        action: kind.action,
        origin: kind.origin,
        completed: kind.completed,
        success: kind.success,
        certified: kind.certified,
        is_part: kind.is_part,
        percent: stored.percent.get(place),
        seconds: stored.seconds.get(place),
        expired_at: expiry.map(|(_, at)| Timestamp::from_micros(*at)),
        registration: session.and_then(|session| {
            let code = session.registration.checked_sub(1)?;
            columns.registrations.values().get(code as usize).copied()
        }),
        session: session.and_then(|session| columns.cmi5_session(session.session)),
        import: kind.import.and_then(|code| columns.import(code)),
        device_type: text(kind.device_type),
        source: text(kind.source),
    })
}

proptest! {
    #[test]
    fn columns_have_the_rows_that_were_put_last(
        changes in prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..120),
    ) {
        let (columns, rows) = apply(changes);
        let mut stored = Vec::new();
        for (number, block) in columns.blocks().iter().enumerate() {
            stored.extend((0..block.len()).filter_map(|place| decode(&columns, number, place)));
        }
        stored.sort_by_key(|row| row.seq);
        // The session of a row without a registration counts for nothing and is not stored.
        let rows: Vec<ColumnRow> = rows
            .into_iter()
            .map(|row| ColumnRow { session: row.session.filter(|_| row.registration.is_some()), ..row })
            .collect();
        prop_assert_eq!(stored, rows);
    }

    #[test]
    fn selection_equals_a_naive_filter(
        changes in prop::collection::vec((any_row(), prop::bool::weighted(0.1)), 0..120),
        persons in prop::option::of(prop::collection::vec(100..107_i64, 0..4)),
        contents in prop::option::of(prop::collection::vec(200..204_i64, 0..3)),
        outcome in (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()),
            prop::option::of(any::<bool>()), prop::option::of(any::<bool>())),
        failed_only in any::<bool>(),
        device in any::<bool>(),
        seqs in (-1..40_i64, 0..41_i64),
        visited in any::<bool>(),
        now in -6..6_i64,
    ) {
        let (columns, rows) = apply(changes);
        let (completed, has_certificate, expired, bulk_import) = outcome;
        let filter = Filter {
            actions: if visited { vec![Action::Visited, Action::Completed] } else { Vec::new() },
            completed, has_certificate, expired, bulk_import,
            results: if failed_only { vec![ResultFilter::Failed] } else { Vec::new() },
            device_types: if device { vec!["Web".to_owned()] } else { Vec::new() },
            ..Filter::default()
        };
        let selection = RowSelection {
            persons: match &persons {
                Some(keys) => SelectedPersons::Only(keys.clone()),
                None => SelectedPersons::AllExcept(vec![100]),
            },
            contents: contents.clone(),
            filter: filter.clone(),
            seqs,
            now: Timestamp::from_micros(now),
            ..everything()
        };
        let expected = rows.iter().filter(|row| {
            let actions = match visited {
                true => row.action != Action::Viewed,
                false => row.action != Action::Visited,
            };
            actions
                && persons.as_ref().map_or(row.person != 100, |keys| keys.contains(&row.person))
                && contents.as_ref().is_none_or(|keys| row.content.is_some_and(|key| keys.contains(&key)))
                && completed.is_none_or(|completed| completed == row.completed)
                && has_certificate.is_none_or(|certified| certified == row.certified)
                && bulk_import.is_none_or(|bulk| bulk == row.import.is_some())
                && expired.is_none_or(|expired| {
                    row.expired_at.is_some_and(|at| at < Timestamp::from_micros(now)) == expired
                })
                && (!failed_only || row.success == Some(false))
                && (!device || row.device_type.as_deref().is_some_and(|device| device.eq_ignore_ascii_case("web")))
                && row.seq > seqs.0
                && row.seq <= seqs.1
        });
        prop_assert_eq!(selection.compile(&columns).count(), expected.count() as u64);
    }
}

#[test]
fn rows_beyond_a_block_are_found_again() {
    let mut columns = LogColumns::new();
    let rows = BLOCK_ROWS as i64 * 2 + 10;
    for seq in 0..rows {
        columns.put(row(seq * 3)).unwrap();
    }
    // Rows that come late, also one between two blocks.
    for seq in [1, BLOCK_ROWS as i64 * 3 - 1, 5] {
        columns.put(row(seq)).unwrap();
        columns.put(row(seq)).unwrap();
    }
    let selection = everything();
    assert_eq!(selection.compile(&columns).count(), rows as u64 + 3);
    columns.remove(1);
    columns.remove(3);
    columns.remove(4);
    columns.put(row(rows * 3)).unwrap();
    assert_eq!(selection.compile(&columns).count(), rows as u64 + 2);
    let window = RowSelection {
        seqs: (2, 9),
        ..everything()
    };
    // 5, 6 and 9 are left of 3, 4, 5, 6 and 9.
    assert_eq!(window.compile(&columns).count(), 3);
    assert!(columns.bytes() > 40 * rows as usize);
}
