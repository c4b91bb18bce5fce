//! Tests of the next run, of pausing, and of runs by hand.

use reqwest::Method;
use serde_json::{Value, json};

use super::{count_rows, create_report, create_schedule, daily_schedule, set_up};
use crate::support::http::Answer;
use crate::support::records::advance_clock;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn pausing_and_resuming_change_the_next_run(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let next = |answer: Answer| answer.expect(200).json()["next_run_at"].clone();
    assert_eq!(next(ada.get(&path).await), "2026-03-19T08:00:00.000Z");
    let paused = ada.patch(&path, &json!({"active": false})).await.expect(200).json();
    assert_eq!(
        (&paused["active"], &paused["next_run_at"], &paused["suspended"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(next(ada.patch(&path, &json!({"at": "09:00"})).await), Value::Null);
    advance_clock(server, 3 * 86_400);
    assert_eq!(next(ada.patch(&path, &json!({"active": true})).await), "2026-03-22T09:00:00.000Z");
    // A new time replaces the next run. Other changes keep a run that is due.
    advance_clock(server, 86_400);
    assert_eq!(next(ada.patch(&path, &json!({"recipients": ["mo"]})).await), "2026-03-22T09:00:00.000Z");
    assert_eq!(next(ada.patch(&path, &json!({"active": true})).await), "2026-03-22T09:00:00.000Z");
    assert_eq!(
        next(ada.patch(&path, &json!({"time_zone": "Asia/Kolkata"})).await),
        "2026-03-23T03:30:00.000Z"
    );

    // A schedule that the sender has suspended shows the reason until it is resumed.
    let suspended =
        "UPDATE schedules SET active = FALSE, suspended = 'the maker has left', next_run_at = NULL";
    for resumed in [json!({"active": true}), json!({"active": null})] {
        assert_eq!(server.database().execute(suspended).await, 1);
        let read = ada.get(&path).await.expect(200).json();
        assert_eq!((&read["active"], &read["suspended"]), (&json!(false), &json!("the maker has left")));
        let changed = ada.patch(&path, &json!({"at": "11:00"})).await.expect(200).json();
        assert_eq!(
            (&changed["active"], &changed["suspended"]),
            (&json!(false), &json!("the maker has left"))
        );
        let resumed_schedule = ada.patch(&path, &resumed).await.expect(200).json();
        assert_eq!(
            (&resumed_schedule["active"], &resumed_schedule["suspended"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(resumed_schedule["next_run_at"], "2026-03-23T05:30:00.000Z");
    }
    assert_eq!(server.database().execute(suspended).await, 1);
    let put = ada.put(&path, &daily_schedule()).await.expect(200).json();
    assert_eq!(
        (&put["active"], &put["suspended"], &put["next_run_at"]),
        (&json!(true), &Value::Null, &json!("2026-03-23T08:00:00.000Z"))
    );
}

#[apply(both_databases)]
async fn manual_run_waits_for_the_sender(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let before = ada.get(&path).await;
    let run = ada.post(&format!("{path}/run"), &json!({})).await.expect(202).json();
    assert_eq!(run["run_at"], "2026-03-18T10:17:23.000Z");
    let after = ada.get(&path).await;
    assert_eq!(after.header("etag"), before.header("etag"));
    let mut expected = before.json();
    expected["pending"] = json!({
        "run_at": "2026-03-18T10:17:23.000Z", "attempts": 0, "next_attempt_at": "2026-03-18T10:17:23.000Z", "reason": null
    });
    assert_eq!(after.json(), expected);
    // Each run has another time, even if the clock does not move. The oldest pending run is shown.
    let second = ada.send(Method::POST, &format!("{path}/run"), &[], Vec::new()).await.expect(202).json();
    assert_eq!(second["run_at"], "2026-03-18T10:17:23.001Z");
    assert_ne!(second["delivery"], run["delivery"]);
    assert_eq!(ada.get(&path).await.json(), expected);
    // A paused schedule can be run by hand, and stays paused.
    ada.patch(&path, &json!({"active": false})).await.expect(200);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    assert_eq!(ada.get(&path).await.json()["active"], false);
    // The number of pending runs is limited.
    for _ in 3..100 {
        ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    }
    ada.post(&format!("{path}/run"), &json!({})).await.expect(409);
    assert_eq!(
        (count_rows(server, "deliveries").await, count_rows(server, "delivery_recipients").await),
        (100, 100)
    );
    ada.delete(&path).await.expect(204);
    for table in ["schedules", "deliveries", "delivery_recipients"] {
        assert_eq!(count_rows(server, table).await, 0, "{table}");
    }
}
