//! Tests of the state of a person, and that it does not depend on the order of rows.

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

/// A row that happened and was recorded at this time.
fn row(action: Action, happened_at: i64) -> OutcomeActivity {
    OutcomeActivity {
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

fn completed(happened_at: i64, expired_at: Option<i64>) -> OutcomeActivity {
    OutcomeActivity {
        expired_at: expired_at.map(at),
        ..row(Action::Completed, happened_at)
    }
}

fn with_score(row: OutcomeActivity, percent: i64) -> OutcomeActivity {
    OutcomeActivity {
        percent: Some(Percent(percent)),
        ..row
    }
}

fn with_certificate(row: OutcomeActivity, name: &str, expires_at: Option<i64>) -> OutcomeActivity {
    OutcomeActivity {
        certificate: Some(Certificate {
            name: Some(name.to_owned()),
            expires_at: expires_at.map(at),
        }),
        ..row
    }
}

/// State, since, expiry and activity.
fn summary(
    rows: &[OutcomeActivity],
    started_at: Option<i64>,
) -> (State, Option<i64>, Option<i64>, Option<StatementId>) {
    let status = ProgressStatus::from_rows(rows, started_at.map(at), NOW);
    let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
    (
        status.state,
        micros(status.since),
        micros(status.expires_at),
        status.activity,
    )
}

#[test]
fn first_state_with_a_true_condition_applies() {
    use State::*;
    let failed = |at| row(Action::Failed, at);
    let received = row(Action::ReceivedCertificateFor, 1);
    for (rows, started_at, expected) in [
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
        // A later failure changes nothing, before and after the expiry.
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
        // An expiry at this moment is not past.
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
        // The completion that is valid longest counts; among equals, the later row.
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
        // A new completion after an expiry counts.
        (
            vec![completed(3, Some(99)), completed(150, Some(1_500))],
            None,
            (Completed, Some(150), Some(1_500), Some(id(150))),
        ),
    ] {
        assert_eq!(summary(&rows, started_at), expected, "{rows:?}");
    }
}

#[test]
fn order_of_recording_decides_between_equal_times() {
    let later = OutcomeActivity {
        seq: 9,
        id: id(9),
        ..completed(3, None)
    };
    assert_eq!(summary(&[later.clone(), completed(3, None)], None).3, Some(id(9)));
    assert_eq!(summary(&[completed(3, None), later], None).3, Some(id(9)));
}

#[test]
fn score_is_the_latest_of_the_deciding_rows() {
    let percent = |rows: &[OutcomeActivity]| {
        ProgressStatus::from_rows(rows, None, NOW)
            .percent
            .map(|percent| percent.0)
    };
    let failed = |at, percent| with_score(row(Action::Failed, at), percent);
    assert_eq!(percent(&[completed(3, None)]), None);
    assert_eq!(
        percent(&[failed(3, 10), failed(5, 20), row(Action::Failed, 9)]),
        Some(20)
    );
    // Without a score of the latest completion, that of an earlier completion counts, but never that of a failure.
    assert_eq!(
        percent(&[
            with_score(completed(3, None), 80),
            completed(5, None),
            failed(9, 10)
        ]),
        Some(80)
    );
    assert_eq!(percent(&[completed(3, None), failed(9, 10)]), None);
    assert_eq!(
        percent(&[
            with_score(completed(3, None), 80),
            with_score(completed(5, Some(99)), 90)
        ]),
        Some(90)
    );
    // Rows of other actions do not count.
    assert_eq!(
        percent(&[with_score(row(Action::ReceivedCertificateFor, 3), 70)]),
        None
    );
}

#[test]
fn certificate_is_the_one_valid_longest_in_every_state() {
    let certificate = |rows: &[OutcomeActivity]| {
        let certificate = ProgressStatus::from_rows(rows, None, NOW).certificate?;
        Some((
            certificate.name?,
            certificate.awarded_at.micros(),
            certificate.expires_at.map(Timestamp::micros),
        ))
    };
    assert_eq!(certificate(&[completed(3, None)]), None);
    let old = with_certificate(row(Action::ReceivedCertificateFor, 3), "old", Some(10));
    assert_eq!(
        certificate(std::slice::from_ref(&old)),
        Some(("old".to_owned(), 3, Some(10)))
    );
    let new = with_certificate(completed(5, Some(99)), "new", Some(2_000));
    assert_eq!(
        certificate(&[new.clone(), old]),
        Some(("new".to_owned(), 5, Some(2_000)))
    );
    let ever = with_certificate(row(Action::Failed, 1), "ever", None);
    assert_eq!(certificate(&[ever, new]), Some(("ever".to_owned(), 1, None)));
}

#[test]
fn codes_and_keys_identify_states() {
    for state in State::ALL {
        assert_eq!(State::from_code(state.code()), Some(*state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.key());
    }
    assert_eq!(State::from_code(5), None);
}

fn any_row() -> impl Strategy<Value = OutcomeActivity> {
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
        |(action, happened_at, (expired_at, percent, completion, certificate))| OutcomeActivity {
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
    /// The status does not depend on the order of rows, and the state is the largest that a single row gives.
    #[test]
    fn order_of_rows_does_not_matter(
        mut rows in prop::collection::vec(any_row(), 0..6),
        started_at in prop::option::of(0..6i64),
        now in 0..6i64,
        rotation in 0..6usize,
    ) {
        for (place, row) in rows.iter_mut().enumerate() {
            row.seq = place as i64;
            row.id = id(row.seq);
        }
        let (started_at, now) = (started_at.map(at), at(now));
        let expected = ProgressStatus::from_rows(&rows, started_at, now);
        let states = rows.iter().map(|row| ProgressStatus::from_rows(std::slice::from_ref(row), started_at, now).state);
        let not_started = ProgressStatus::from_rows(&[], started_at, now).state;
        let largest = states.chain([not_started]).max_by_key(|state| state.code());
        prop_assert_eq!(largest, Some(expected.state));
        let places = rows.len().max(1);
        rows.rotate_left(rotation % places);
        prop_assert_eq!(&ProgressStatus::from_rows(&rows, started_at, now), &expected);
        rows.reverse();
        prop_assert_eq!(&ProgressStatus::from_rows(&rows, started_at, now), &expected);
    }
}
