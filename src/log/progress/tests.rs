//! The rule, case by case, and that the order of rows never matters.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000);

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn id(number: i64) -> StatementId {
    StatementId(Uuid::from_u128(number.unsigned_abs().into()))
}

/// A row that happened, and was recorded, at that moment.
fn row(action: Action, happened_at: i64) -> Decisive {
    Decisive {
        seq: happened_at,
        id: id(happened_at),
        happened_at: at(happened_at),
        action,
        completed: action.completes(),
        expired_at: None,
        percent: None,
        certificate: None,
    }
}

fn completed(happened_at: i64, expired_at: Option<i64>) -> Decisive {
    Decisive {
        expired_at: expired_at.map(at),
        ..row(Action::Completed, happened_at)
    }
}

fn scored(row: Decisive, percent: i64) -> Decisive {
    Decisive {
        percent: Some(Percent(percent)),
        ..row
    }
}

fn certified(row: Decisive, name: &str, expires_at: Option<i64>) -> Decisive {
    Decisive {
        certificate: Some(Certificate {
            name: Some(name.to_owned()),
            expires_at: expires_at.map(at),
        }),
        ..row
    }
}

/// State, since, expiry and activity.
fn told(rows: &[Decisive], begun: Option<i64>) -> (State, Option<i64>, Option<i64>, Option<StatementId>) {
    let standing = Standing::of(rows, begun.map(at), NOW);
    let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
    (
        standing.state,
        micros(standing.since),
        micros(standing.expires_at),
        standing.activity,
    )
}

#[test]
fn the_first_state_that_fits() {
    use State::*;
    let failed = |at| row(Action::Failed, at);
    let received = row(Action::ReceivedCertificateFor, 1);
    for (rows, begun, expected) in [
        (vec![], None, (NotStarted, None, None, None)),
        (vec![], Some(5), (InProgress, Some(5), None, None)),
        (vec![received.clone()], Some(1), (InProgress, Some(1), None, None)),
        (vec![failed(7)], Some(1), (Failed, Some(7), None, Some(id(7)))),
        (
            vec![failed(7), failed(9)],
            None,
            (Failed, Some(9), None, Some(id(9))),
        ),
        (
            vec![completed(3, None)],
            None,
            (Completed, Some(3), None, Some(id(3))),
        ),
        // A later failure takes nothing away, expired or not.
        (
            vec![completed(3, None), failed(9)],
            None,
            (Completed, Some(3), None, Some(id(3))),
        ),
        (
            vec![completed(3, Some(99)), failed(200)],
            None,
            (Expired, Some(99), Some(99), Some(id(3))),
        ),
        // What expires now has not expired yet.
        (
            vec![completed(3, Some(1_000))],
            None,
            (Completed, Some(3), Some(1_000), Some(id(3))),
        ),
        (
            vec![completed(3, Some(999))],
            None,
            (Expired, Some(999), Some(999), Some(id(3))),
        ),
        // What holds longest counts: never ending first, then the later end, then the later row.
        (
            vec![completed(3, None), completed(9, Some(2_000))],
            None,
            (Completed, Some(3), None, Some(id(3))),
        ),
        (
            vec![completed(3, Some(3_000)), completed(9, Some(2_000))],
            None,
            (Completed, Some(3), Some(3_000), Some(id(3))),
        ),
        (
            vec![completed(3, None), completed(9, None)],
            None,
            (Completed, Some(9), None, Some(id(9))),
        ),
        (
            vec![
                completed(3, Some(99)),
                completed(150, Some(500)),
                completed(160, Some(400)),
            ],
            None,
            (Expired, Some(500), Some(500), Some(id(150))),
        ),
        // Recurring content: again completed is completed.
        (
            vec![completed(3, Some(99)), completed(150, Some(1_500))],
            None,
            (Completed, Some(150), Some(1_500), Some(id(150))),
        ),
    ] {
        assert_eq!(told(&rows, begun), expected, "{rows:?}");
    }
}

#[test]
fn the_order_of_recording_breaks_ties() {
    let later = Decisive {
        seq: 9,
        id: id(9),
        ..completed(3, None)
    };
    assert_eq!(told(&[later.clone(), completed(3, None)], None).3, Some(id(9)));
    assert_eq!(told(&[completed(3, None), later], None).3, Some(id(9)));
}

#[test]
fn the_latest_score_of_what_counts() {
    let percent = |rows: &[Decisive]| Standing::of(rows, None, NOW).percent.map(|percent| percent.0);
    let failed = |at, percent| scored(row(Action::Failed, at), percent);
    assert_eq!(percent(&[completed(3, None)]), None);
    assert_eq!(
        percent(&[failed(3, 10), failed(5, 20), row(Action::Failed, 9)]),
        Some(20)
    );
    // A completion without a score has that of an earlier completion, never of a failure.
    assert_eq!(
        percent(&[scored(completed(3, None), 80), completed(5, None), failed(9, 10)]),
        Some(80)
    );
    assert_eq!(percent(&[completed(3, None), failed(9, 10)]), None);
    assert_eq!(
        percent(&[scored(completed(3, None), 80), scored(completed(5, Some(99)), 90)]),
        Some(90)
    );
    // What is neither counts for nothing.
    assert_eq!(
        percent(&[scored(row(Action::ReceivedCertificateFor, 3), 70)]),
        None
    );
}

#[test]
fn the_certificate_that_holds_longest_whatever_the_state() {
    let told = |rows: &[Decisive]| {
        let certificate = Standing::of(rows, None, NOW).certificate?;
        Some((
            certificate.name?,
            certificate.awarded_at.micros(),
            certificate.expires_at.map(Timestamp::micros),
        ))
    };
    assert_eq!(told(&[completed(3, None)]), None);
    let old = certified(row(Action::ReceivedCertificateFor, 3), "old", Some(10));
    assert_eq!(
        told(std::slice::from_ref(&old)),
        Some(("old".to_owned(), 3, Some(10)))
    );
    let new = certified(completed(5, Some(99)), "new", Some(2_000));
    assert_eq!(
        told(&[new.clone(), old]),
        Some(("new".to_owned(), 5, Some(2_000)))
    );
    let ever = certified(row(Action::Failed, 1), "ever", None);
    assert_eq!(told(&[ever, new]), Some(("ever".to_owned(), 1, None)));
}

#[test]
fn codes_and_keys_lead_back() {
    for state in State::ALL {
        assert_eq!(State::from_code(state.code()), Some(*state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.key());
    }
    assert_eq!(State::from_code(5), None);
}

fn any_row() -> impl Strategy<Value = Decisive> {
    let action = prop::sample::select(Action::ALL.to_vec());
    let moment = 0..6i64;
    let certificate = prop::option::of(prop::option::of(moment.clone()));
    let rest = (
        prop::option::of(moment.clone()),
        prop::option::of(0..3i64),
        any::<bool>(),
        certificate,
    );
    (action, moment, rest).prop_map(
        |(action, happened_at, (expired_at, percent, completion, certificate))| Decisive {
            completed: action.completes() || (completion && action != Action::Failed),
            expired_at: expired_at.map(at),
            percent: percent.map(Percent),
            certificate: certificate.map(|expires_at| Certificate {
                name: None,
                expires_at: expires_at.map(at),
            }),
            ..row(action, happened_at)
        },
    )
}

proptest! {
    /// Any order of the rows gives the same, and the state is the largest that a row by itself gives.
    #[test]
    fn the_order_of_rows_never_matters(
        mut rows in prop::collection::vec(any_row(), 0..6),
        begun in prop::option::of(0..6i64),
        now in 0..6i64,
        turn in 0..6usize,
    ) {
        for (place, row) in rows.iter_mut().enumerate() {
            row.seq = place as i64;
            row.id = id(row.seq);
        }
        let (begun, now) = (begun.map(at), at(now));
        let expected = Standing::of(&rows, begun, now);
        let alone = rows.iter().map(|row| Standing::of(std::slice::from_ref(row), begun, now).state);
        let nothing = Standing::of(&[], begun, now).state;
        let largest = alone.chain([nothing]).max_by_key(|state| state.code());
        prop_assert_eq!(largest, Some(expected.state));
        let places = rows.len().max(1);
        rows.rotate_left(turn % places);
        prop_assert_eq!(&Standing::of(&rows, begun, now), &expected);
        rows.reverse();
        prop_assert_eq!(&Standing::of(&rows, begun, now), &expected);
    }
}
