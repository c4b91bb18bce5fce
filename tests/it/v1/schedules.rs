//! Tests of `/v1/reports/{id}/schedules` and `/v1/schedules/{id}`. The tests in `mail` cover what schedules
//! send.

mod access;
mod listing;
mod recipients;
mod runs;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::reports::{create_report, location};
use crate::support::builders::{Body, user};
use crate::support::http::{Answer, Caller};
use crate::support::records::advance_clock;
use crate::support::{TestServer, apply, both_databases};

const NO_SUCH_SCHEDULE: &str = "/v1/schedules/00000000-0000-4000-8000-00000000000c";

/// Creates the managers `ada` and `mo`, the reporter `rita` and `hal` of hr, all with addresses.
///
/// A learner, a curator, a deactivated reporter and a reporter without address cannot receive reports.
/// Returns an admin.
pub async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let with_address = |id: &str, role: &str| {
        let address = format!("{id}@example.org");
        user(id).set("role", role).set("email", address)
    };
    let users: Vec<Body> = vec![
        with_address("ada", "manager"),
        with_address("mo", "manager"),
        with_address("rita", "reporter"),
        with_address("hal", "hr"),
        with_address("bo", "learner"),
        with_address("cy", "curator"),
        with_address("dee", "reporter").set("active", false),
        user("eve").set("role", "reporter"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin
}

fn daily_schedule() -> Value {
    json!({"frequency": "daily", "at": "08:00", "recipients": ["ada"]})
}

/// Creates a daily schedule of a report and returns its path.
pub async fn create_schedule(maker: &Caller, report: &str) -> String {
    location(&maker.post(&format!("{report}/schedules"), &daily_schedule()).await.expect(201))
}

/// The paths of the schedules that the caller sees.
async fn list_paths(caller: &Caller, report: &str) -> Vec<String> {
    let schedules = caller.list(&format!("{report}/schedules"), "schedules").await;
    schedules
        .iter()
        .map(|schedule| format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id")))
        .collect()
}

/// The statuses of each kind of request for the schedule. The last one deletes it.
async fn all_statuses(caller: &Caller, path: &str) -> Vec<u16> {
    vec![
        caller.get(path).await.status,
        caller.put(path, &daily_schedule()).await.status,
        caller.patch(path, &json!({"active": false})).await.status,
        caller.post(&format!("{path}/run"), &json!({})).await.status,
        caller.delete(path).await.status,
    ]
}

/// Sends a request with the header `If-Match`.
async fn send_if_match(caller: &Caller, method: Method, path: &str, tag: &str, body: &Value) -> Answer {
    let headers = [("if-match", tag), ("content-type", "application/json")];
    let body = match method {
        Method::DELETE => Vec::new(),
        _ => body.to_string().into_bytes(),
    };
    caller.send(method, path, &headers, body).await
}

/// Creates a schedule with these recipients, which must be refused. Returns the pointer and the detail of
/// each error.
async fn refused_recipients(maker: &Caller, report: &str, recipients: Value) -> Vec<(String, String)> {
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    let answer = maker.post(&format!("{report}/schedules"), &body).await.expect(400);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let errors = answer.json()["errors"].as_array().expect("errors").clone();
    errors.iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

async fn count_rows(server: &TestServer, table: &str) -> i64 {
    server.database().query_number(&format!("SELECT count(*) FROM {table}")).await
}

#[apply(both_databases)]
async fn schedule_is_created_and_returned(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/organisation", &json!({"time_zone": "Europe/London"})).await.expect(200);
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let body = json!({"frequency": "weekly", "at": "08:00", "recipients": ["hal", "ada"]});
    let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
    let schedule = created.json();
    let path = location(&created);
    assert_eq!(path, format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id")));
    assert_eq!(
        schedule,
        json!({
            "id": schedule["id"], "report": report.rsplit('/').next(), "maker": {"id": "ada", "name": "ada Example"},
            "frequency": "weekly", "at": "08:00", "time_zone": "Europe/London", "weekday": "monday", "day_of_month": null,
            "recipients": ["hal", "ada"], "bom": true, "active": true, "suspended": null, "next_run_at": "2026-03-23T08:00:00.000Z",
            "pending": null, "created_at": "2026-03-18T10:17:23.000Z", "updated_at": "2026-03-18T10:17:23.000Z"
        })
    );
    let read = ada.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (schedule.clone(), created.header("etag")));
    assert_eq!(created.header("etag"), Some("\"1\""));

    // The server's time is Wednesday, 10:17:23 in London. Summer time begins there on the 29th.
    let mut all = vec![schedule];
    for (timing, next) in [
        (json!({"frequency": "daily", "at": "10:17"}), "2026-03-19T10:17:00.000Z"),
        (json!({"frequency": "daily", "at": "10:18"}), "2026-03-18T10:18:00.000Z"),
        (
            json!({"frequency": "daily", "at": "10:17", "time_zone": "Asia/Kolkata"}),
            "2026-03-19T04:47:00.000Z",
        ),
        (json!({"frequency": "weekly", "at": "09:00", "weekday": "wednesday"}), "2026-03-25T09:00:00.000Z"),
        (json!({"frequency": "monthly", "at": "08:00"}), "2026-04-01T07:00:00.000Z"),
        (json!({"frequency": "monthly", "at": "01:30", "day_of_month": 29}), "2026-03-29T01:00:00.000Z"),
        (json!({"frequency": "quarterly", "at": "23:59", "day_of_month": 31}), "2026-04-30T22:59:00.000Z"),
    ] {
        let mut body = timing;
        body["recipients"] = json!(["ada"]);
        let schedule = ada.post(&format!("{report}/schedules"), &body).await.expect(201).json();
        assert_eq!(schedule["next_run_at"], next, "{body}");
        all.push(schedule);
    }
    let paused = json!({"frequency": "daily", "at": "10:18", "recipients": ["ada"], "active": false});
    let paused = ada.post(&format!("{report}/schedules"), &paused).await.expect(201).json();
    assert_eq!((&paused["active"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    all.push(paused);
    assert_eq!(
        ada.get(&format!("{report}/schedules")).await.expect(200).json(),
        json!({"schedules": all, "next": null})
    );
}

#[apply(both_databases)]
async fn invalid_schedule_is_refused_with_its_pointer(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let valid = json!({"frequency": "weekly", "at": "08:00", "weekday": "friday", "recipients": ["ada"]});
    let path = location(&ada.post(&format!("{report}/schedules"), &valid).await.expect(201));
    let before = ada.get(&path).await.json();
    for (member, value, pointer) in [
        ("frequency", json!("hourly"), "/frequency"),
        ("frequency", json!(null), "/frequency"),
        ("at", json!("8:00"), "/at"),
        ("at", json!("24:00"), "/at"),
        ("at", json!(8), "/at"),
        ("time_zone", json!("Europe/Londn"), "/time_zone"),
        ("weekday", json!("fri"), "/weekday"),
        ("day_of_month", json!(31), "/day_of_month"),
        ("recipients", json!([]), "/recipients"),
        ("recipients", json!("ada"), "/recipients"),
        ("recipients", json!(null), "/recipients"),
        ("recipients", json!(["ada", "@nobody"]), "/recipients/1"),
        ("recipients", json!(["ada", 7]), "/recipients/1"),
        ("recipients", json!((0..101).map(|n| n.to_string()).collect::<Vec<_>>()), "/recipients"),
        ("bom", json!("yes"), "/bom"),
        ("active", json!("yes"), "/active"),
        ("next_run_at", json!("2026-04-01T00:00:00Z"), "/next_run_at"),
        ("maker", json!("mo"), "/maker"),
    ] {
        let mut body = valid.clone();
        body[member] = value;
        assert_eq!(
            ada.post(&format!("{report}/schedules"), &body).await.expect(400).error_pointers(),
            [pointer],
            "{body}"
        );
        let is_read_only = member == "next_run_at" || member == "maker";
        if !is_read_only {
            assert_eq!(ada.put(&path, &body).await.expect(400).error_pointers(), [pointer], "{body}");
        }
        if is_read_only || !body[member].is_null() {
            let patch = json!({member: body[member]});
            assert_eq!(ada.patch(&path, &patch).await.expect(400).error_pointers(), [pointer], "{patch}");
        }
    }
    let all = json!({"at": "noon", "recipients": ["ada"], "weekday": "fri", "day_of_month": 0, "active": 1});
    let answer = ada.post(&format!("{report}/schedules"), &all).await.expect(400);
    assert_eq!(answer.error_pointers(), ["/frequency", "/at", "/weekday", "/day_of_month", "/active"]);
    ada.patch(&path, &json!([])).await.expect(400);
    ada.post(&format!("{report}/schedules?x=1"), &valid).await.expect(400);
    ada.post(&format!("{path}/run?x=1"), &json!({})).await.expect(400);
    let answer = ada.get(&path).await.expect(200);
    assert_eq!((answer.header("etag"), answer.json()), (Some("\"1\""), before));
    assert_eq!(list_paths(&ada, &report).await, [path]);
}

#[apply(both_databases)]
async fn changes_respect_preconditions(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let created = ada.get(&path).await.json();
    advance_clock(server, 60);
    let patched =
        send_if_match(&ada, Method::PATCH, &path, "\"1\"", &json!({"at": "09:00"})).await.expect(200);
    let mut expected = created.clone();
    for (member, value) in [
        ("at", "09:00"),
        ("updated_at", "2026-03-18T10:18:23.000Z"),
        ("next_run_at", "2026-03-19T09:00:00.000Z"),
    ] {
        expected[member] = json!(value);
    }
    assert_eq!((patched.header("etag"), patched.json()), (Some("\"2\""), expected.clone()));
    for (method, body) in [
        (Method::PATCH, json!({"at": "10:00"})),
        (Method::PUT, daily_schedule()),
        (Method::DELETE, json!(null)),
    ] {
        let answer = send_if_match(&ada, method, &path, "\"1\", \"3\"", &body).await.expect(412);
        assert_eq!(answer.json()["code"], "precondition-failed");
    }
    // An equal value is not a new version.
    advance_clock(server, 60);
    for same in [json!({}), json!({"at": "09:00"}), json!({"weekday": null}), json!({"recipients": ["ada"]})]
    {
        let answer = ada.patch(&path, &same).await.expect(200);
        assert_eq!((answer.header("etag"), answer.json()), (Some("\"2\""), expected.clone()), "{same}");
    }
    let answer = send_if_match(
        &ada,
        Method::PUT,
        &path,
        "*",
        &json!({"frequency": "monthly", "at": "07:00", "recipients": ["mo"]}),
    )
    .await;
    let put = answer.expect(200).json();
    let mut expected = created;
    for (member, value) in [
        ("frequency", json!("monthly")),
        ("at", json!("07:00")),
        ("day_of_month", json!(1)),
        ("recipients", json!(["mo"])),
        ("updated_at", json!("2026-03-18T10:19:23.000Z")),
        ("next_run_at", json!("2026-04-01T07:00:00.000Z")),
    ] {
        expected[member] = value;
    }
    assert_eq!(put, expected);
    let quarterly =
        ada.patch(&path, &json!({"frequency": "quarterly", "day_of_month": 31})).await.expect(200).json();
    assert_eq!(
        (&quarterly["day_of_month"], &quarterly["next_run_at"]),
        (&json!(31), &json!("2026-04-30T07:00:00.000Z"))
    );
    let weekly = ada.patch(&path, &json!({"frequency": "weekly"})).await.expect(200).json();
    assert_eq!((&weekly["day_of_month"], &weekly["weekday"]), (&Value::Null, &json!("monday")));
    // One of several concurrent changes with the same tag succeeds.
    let tag = ada.get(&path).await.header("etag").expect("a tag").to_owned();
    let bodies: Vec<Value> = (0..6).map(|hour| json!({"at": format!("0{hour}:30")})).collect();
    let answers =
        join_all(bodies.iter().map(|body| send_if_match(&ada, Method::PATCH, &path, &tag, body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
    send_if_match(&ada, Method::DELETE, &path, "*", &json!(null)).await.expect(204);
    assert_eq!(all_statuses(&ada, &path).await, [404; 5]);
    ada.put(NO_SUCH_SCHEDULE, &daily_schedule()).await.expect(404);
    for invalid in ["/v1/schedules/1", "/v1/schedules/ada"] {
        assert_eq!(all_statuses(&ada, invalid).await, [404; 5]);
    }
}

#[apply(both_databases)]
async fn deleted_report_deletes_its_schedules(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let (report, other) = (
        create_report(&ada, "Ours", "shared", json!({})).await,
        create_report(&ada, "Mine", "private", json!({})).await,
    );
    let (deleted, remaining) = (create_schedule(&mo, &report).await, create_schedule(&ada, &other).await);
    for path in [&deleted, &remaining] {
        server
            .person("manager", if *path == deleted { "mo" } else { "ada" })
            .post(&format!("{path}/run"), &json!({}))
            .await
            .expect(202);
    }
    ada.delete(&report).await.expect(204);
    assert_eq!(all_statuses(&mo, &deleted).await, [404; 5]);
    mo.get(&format!("{report}/schedules")).await.expect(404);
    mo.post(&format!("{report}/schedules"), &daily_schedule()).await.expect(404);
    for table in ["schedules", "deliveries", "delivery_recipients"] {
        assert_eq!(count_rows(server, table).await, 1, "{table}");
    }
    assert!(ada.get(&remaining).await.expect(200).json()["pending"].is_object());
}

#[apply(both_databases)]
async fn report_has_at_most_50_schedules(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    for number in 0..50 {
        create_schedule(if number % 2 == 0 { &ada } else { &mo }, &report).await;
    }
    ada.post(&format!("{report}/schedules"), &daily_schedule()).await.expect(409);
    ada.delete(&list_paths(&ada, &report).await[0]).await.expect(204);
    create_schedule(&mo, &report).await;
}
