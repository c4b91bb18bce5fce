use super::*;
use crate::base::ids::UserId;

const DEPTH: usize = 8;

fn read(body: Value) -> Result<ScheduleForm, Vec<String>> {
    let read = ScheduleForm::parse(&body.to_string(), DEPTH, Tz::Asia__Kolkata);
    read.map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_micros(hour * 3_600_000_000)
}

/// A schedule as it was made at midnight of 1 January 1970.
fn kept(body: Value) -> KeptSchedule {
    let form = read(body).unwrap();
    let new = form.made(form.recipients().to_vec(), at(0));
    KeptSchedule {
        key: 1,
        id: Uuid::nil(),
        report: Uuid::nil(),
        maker: UserId::new("ada").unwrap(),
        timing: new.timing,
        recipients: new.recipients,
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
fn what_is_left_out_is_written_out() {
    let made = |body: Value| {
        let schedule = Schedule::new(kept(body), None).unwrap();
        let said = serde_json::to_value(&schedule).unwrap();
        [
            "frequency",
            "at",
            "time_zone",
            "weekday",
            "day_of_month",
            "active",
        ]
        .map(|member| said[member].clone())
    };
    let all = |values: Value| -> [Value; 6] { serde_json::from_value(values).unwrap() };
    assert_eq!(
        made(json!({"frequency": "daily", "at": "00:00", "recipients": ["bo"]})),
        all(json!(["daily", "00:00", "Asia/Kolkata", null, null, true]))
    );
    assert_eq!(
        made(
            json!({"frequency": "weekly", "at": "23:59", "time_zone": "UTC", "recipients": ["bo"], "active": false})
        ),
        all(json!(["weekly", "23:59", "UTC", "monday", null, false]))
    );
    assert_eq!(
        made(json!({"frequency": "monthly", "at": "08:05", "recipients": ["bo"], "weekday": null})),
        all(json!(["monthly", "08:05", "Asia/Kolkata", null, 1, true]))
    );
    assert_eq!(
        made(json!({"frequency": "quarterly", "at": "08:05", "recipients": ["bo"], "day_of_month": 31})),
        all(json!(["quarterly", "08:05", "Asia/Kolkata", null, 31, true]))
    );
}

#[test]
fn every_fault_has_its_place() {
    assert_eq!(read(json!({})).unwrap_err(), ["/frequency", "/at", "/recipients"]);
    assert_eq!(read(json!([])).unwrap_err(), [""]);
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
        ("day_of_month", json!([0, 32, 1.5, "1", 1])), // of a weekly one
        ("active", json!(["true", 1])),
        ("recipients", json!([null, [], "bo", vec!["bo"; 101]])),
        ("maker", json!(["bo"])),
    ] {
        for value in wrong.as_array().unwrap() {
            let mut body = good.clone();
            body[member] = value.clone();
            // A day that is wrong, and none of a weekly schedule.
            let mut pointers = read(body).unwrap_err();
            pointers.dedup();
            assert_eq!(pointers, [format!("/{member}")], "{value}");
        }
    }
    let mut body = good;
    body["recipients"] = json!(["bo", 7, "x".repeat(321), "cy"]);
    assert_eq!(read(body).unwrap_err(), ["/recipients/1", "/recipients/2"]);
    for frequency in ["daily", "monthly", "quarterly"] {
        let body = json!({"frequency": frequency, "at": "08:00", "recipients": ["bo"], "weekday": "monday"});
        assert_eq!(read(body).unwrap_err(), ["/weekday"]);
    }
}

#[test]
fn another_frequency_takes_its_day_along() {
    let weekly =
        kept(json!({"frequency": "weekly", "at": "08:00", "weekday": "friday", "recipients": ["bo"]}));
    let patched = |kept: &KeptSchedule, patch: Value| ScheduleForm::patched(kept, &patch, DEPTH, Tz::UTC);
    let days = |form: Result<ScheduleForm, Vec<Fault>>| form.unwrap().timing.days;
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
        kept(json!({"frequency": "monthly", "at": "08:00", "day_of_month": 7, "recipients": ["bo"]}));
    assert_eq!(
        days(patched(&monthly, json!({"frequency": "quarterly"}))),
        RunDays::Quarterly(7)
    );
    // What is asked for and doesn't fit is told.
    let wrong = patched(&monthly, json!({"frequency": "daily", "day_of_month": 3})).unwrap_err();
    assert_eq!(wrong[0].pointer, "/day_of_month");
    let wrong = patched(&monthly, json!({"weekday": "friday", "recipients": null})).unwrap_err();
    let pointers: Vec<_> = wrong.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/weekday", "/recipients"]);
}

#[test]
fn a_moment_stays_until_it_has_become_another() {
    let daily = kept(json!({"frequency": "daily", "at": "08:00", "time_zone": "UTC", "recipients": ["bo"]}));
    assert_eq!(daily.next_run_at, Some(at(8)));
    // It is past eight, and the run is not made yet.
    let now = at(9);
    let next = |kept: &KeptSchedule, patch: Value| {
        let form = ScheduleForm::patched(kept, &patch, DEPTH, Tz::UTC).unwrap();
        form.changed(kept, form.recipients().to_vec(), now).next_run_at
    };
    assert_eq!(next(&daily, json!({"recipients": ["cy"]})), Some(at(8)));
    assert_eq!(next(&daily, json!({"at": "10:00"})), Some(at(10)));
    assert_eq!(next(&daily, json!({"active": false})), None);
    let paused = KeptSchedule {
        active: false,
        next_run_at: None,
        suspended: Some("who made it is gone".to_owned()),
        ..daily
    };
    assert_eq!(next(&paused, json!({"at": "10:00"})), None);
    assert_eq!(next(&paused, json!({"active": true})), Some(at(32)));
    let suspended = |patch: Value| {
        let form = ScheduleForm::patched(&paused, &patch, DEPTH, Tz::UTC).unwrap();
        form.changed(&paused, Vec::new(), now).suspended
    };
    assert_eq!(suspended(json!({"at": "10:00"})), paused.suspended);
    assert_eq!(suspended(json!({"active": true})), None);
}
