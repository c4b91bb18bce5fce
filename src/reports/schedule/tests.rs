use chrono::Weekday;

use super::*;
use crate::base::ids::UserId;

const DEPTH: usize = 8;

fn parse(body: Value) -> Result<ScheduleForm, Vec<String>> {
    let form = ScheduleForm::parse(&body.to_string(), DEPTH, Tz::Asia__Kolkata);
    form.map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_micros(hour * 3_600_000_000)
}

/// A schedule that was made at midnight of 1 January 1970.
fn stored(body: Value) -> StoredSchedule {
    let form = parse(body).unwrap();
    let new = form.to_new(form.recipients().to_vec(), at(0));
    StoredSchedule {
        key: 1,
        id: Uuid::nil(),
        report: Uuid::nil(),
        maker: UserId::new("ada").unwrap(),
        timing: new.timing,
        recipients: new.recipients,
        bom: new.bom,
        active: new.active,
        suspended: None,
        next_run_at: new.next_run_at,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
        pending: None,
    }
}

#[test]
fn defaults_are_in_the_representation() {
    let represent = |body: Value| {
        let schedule = Schedule::new(stored(body), None).unwrap();
        let members = serde_json::to_value(&schedule).unwrap();
        [
            "frequency",
            "at",
            "time_zone",
            "weekday",
            "day_of_month",
            "active",
        ]
        .map(|member| members[member].clone())
    };
    let all = |values: Value| -> [Value; 6] { serde_json::from_value(values).unwrap() };
    assert_eq!(
        represent(json!({"frequency": "daily", "at": "00:00", "recipients": ["bo"]})),
        all(json!(["daily", "00:00", "Asia/Kolkata", null, null, true]))
    );
    assert_eq!(
        represent(
            json!({"frequency": "weekly", "at": "23:59", "time_zone": "UTC", "recipients": ["bo"], "active": false})
        ),
        all(json!(["weekly", "23:59", "UTC", "monday", null, false]))
    );
    assert_eq!(
        represent(json!({"frequency": "monthly", "at": "08:05", "recipients": ["bo"], "weekday": null})),
        all(json!(["monthly", "08:05", "Asia/Kolkata", null, 1, true]))
    );
    assert_eq!(
        represent(json!({"frequency": "quarterly", "at": "08:05", "recipients": ["bo"], "day_of_month": 31})),
        all(json!(["quarterly", "08:05", "Asia/Kolkata", null, 31, true]))
    );
}

#[test]
fn faults_have_pointers() {
    assert_eq!(
        parse(json!({})).unwrap_err(),
        ["/frequency", "/at", "/recipients"]
    );
    assert_eq!(parse(json!([])).unwrap_err(), [""]);
    let good = json!({"frequency": "weekly", "at": "08:00", "recipients": ["bo"]});
    for (member, wrong) in [
        ("frequency", json!(["hourly", "Daily", 7, null])),
        (
            "at",
            json!([
                "8:00", "08:00:00", "24:00", "12:60", "noon", "+8:00", "08:0 ", 8, null
            ]),
        ),
        ("time_zone", json!(["Mars/Olympus", "", 1])),
        ("weekday", json!(["mon", "Monday", 1])),
        ("day_of_month", json!([0, 32, 1.5, "1", 1])),
        ("active", json!(["true", 1])),
        ("recipients", json!([null, [], "bo", vec!["bo"; 101]])),
        ("maker", json!(["bo"])),
    ] {
        for value in wrong.as_array().unwrap() {
            let mut body = good.clone();
            body[member] = value.clone();
            // An invalid day of the month has two faults: it is invalid, and a weekly schedule has none.
            let mut pointers = parse(body).unwrap_err();
            pointers.dedup();
            assert_eq!(pointers, [format!("/{member}")], "{value}");
        }
    }
    let mut body = good;
    body["recipients"] = json!(["bo", 7, "x".repeat(321), "cy"]);
    assert_eq!(parse(body).unwrap_err(), ["/recipients/1", "/recipients/2"]);
    for frequency in ["daily", "monthly", "quarterly"] {
        let body = json!({"frequency": frequency, "at": "08:00", "recipients": ["bo"], "weekday": "monday"});
        assert_eq!(parse(body).unwrap_err(), ["/weekday"]);
    }
}

#[test]
fn day_of_the_old_frequency_is_removed() {
    let weekly =
        stored(json!({"frequency": "weekly", "at": "08:00", "weekday": "friday", "recipients": ["bo"]}));
    let patched =
        |stored: &StoredSchedule, patch: Value| ScheduleForm::patched(stored, &patch, DEPTH, Tz::UTC);
    let days = |form: Result<ScheduleForm, Faults>| form.unwrap().timing.days;
    assert_eq!(days(patched(&weekly, json!({}))), RunDays::Weekly(Weekday::Fri));
    assert_eq!(
        days(patched(&weekly, json!({"weekday": null}))),
        RunDays::Weekly(Weekday::Mon)
    );
    assert_eq!(
        days(patched(&weekly, json!({"frequency": "daily"}))),
        RunDays::Daily
    );
    let monthly = json!({"frequency": "monthly", "day_of_month": 31});
    assert_eq!(days(patched(&weekly, monthly)), RunDays::Monthly(31));
    let monthly =
        stored(json!({"frequency": "monthly", "at": "08:00", "day_of_month": 7, "recipients": ["bo"]}));
    assert_eq!(
        days(patched(&monthly, json!({"frequency": "quarterly"}))),
        RunDays::Quarterly(7)
    );
    // A day that the patch sets and the frequency does not have is a fault.
    let wrong = patched(&monthly, json!({"frequency": "daily", "day_of_month": 3})).unwrap_err();
    assert_eq!(wrong.listed()[0].pointer, "/day_of_month");
    let wrong = patched(&monthly, json!({"weekday": "friday", "recipients": null})).unwrap_err();
    let pointers: Vec<_> = wrong.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/weekday", "/recipients"]);
}

#[test]
fn next_run_changes_with_the_times_only() {
    let daily =
        stored(json!({"frequency": "daily", "at": "08:00", "time_zone": "UTC", "recipients": ["bo"]}));
    assert_eq!(daily.next_run_at, Some(at(8)));
    // The run of eight o'clock is due and not created.
    let now = at(9);
    let next = |stored: &StoredSchedule, patch: Value| {
        let form = ScheduleForm::patched(stored, &patch, DEPTH, Tz::UTC).unwrap();
        form.to_changed(stored, form.recipients().to_vec(), now)
            .next_run_at
    };
    assert_eq!(next(&daily, json!({"recipients": ["cy"]})), Some(at(8)));
    assert_eq!(next(&daily, json!({"at": "10:00"})), Some(at(10)));
    assert_eq!(next(&daily, json!({"active": false})), None);
    let paused = StoredSchedule {
        active: false,
        next_run_at: None,
        suspended: Some("the maker was deactivated".to_owned()),
        ..daily
    };
    assert_eq!(next(&paused, json!({"at": "10:00"})), None);
    assert_eq!(next(&paused, json!({"active": true})), Some(at(32)));
    let suspended = |patch: Value| {
        let form = ScheduleForm::patched(&paused, &patch, DEPTH, Tz::UTC).unwrap();
        form.to_changed(&paused, Vec::new(), now).suspended
    };
    assert_eq!(suspended(json!({"at": "10:00"})), paused.suspended);
    assert_eq!(suspended(json!({"active": true})), None);
}
