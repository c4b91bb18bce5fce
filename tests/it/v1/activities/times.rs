//! Tests of times in requests, and of the rules for scores.

use serde_json::{Value, json};

use super::{id, numbered_activity, post_batch, read_log, record_numbers, set_up};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::{Answer, Caller};
use crate::support::records::STATEMENTS;
use crate::support::{TestServer, apply, both_databases};

/// Each member of a `/v1` body that is a time: method, path, body without the time, the member.
fn bodies_with_times() -> Vec<(&'static str, &'static str, Body, &'static str)> {
    let viewed = || activity("ada", "viewed").set("content", "fire");
    let certified = viewed().set("certificate.name", "Licence");
    vec![
        ("POST", "/v1/activities", viewed(), "happened_at"),
        ("POST", "/v1/activities", viewed(), "expired_at"),
        ("POST", "/v1/activities", certified, "certificate.expires_at"),
        ("POST", "/v1/users/ada/notes", Body::default().set("text", "Late"), "happened_at"),
        (
            "POST",
            "/v1/completions",
            Body::default().set("content", "fire").set("users", json!(["bo"])).set("dry_run", true),
            "happened_at",
        ),
        ("PUT", "/v1/users/ada", user("ada").set("active", false), "deactivated_at"),
        ("PUT", "/v1/contents/fire", content("fire", "quiz"), "archived_at"),
        ("PUT", "/v1/contents/fire", content("fire", "quiz").set("pass_mark", 70), "effective_from"),
        ("POST", "/v1/reports", Body::default().set("name", "Old"), "filter.from"),
        ("POST", "/v1/reports", Body::default().set("name", "Old"), "filter.to"),
    ]
}

async fn send(caller: &Caller, method: &str, path: &str, body: &Body) -> Answer {
    match method {
        "PUT" => caller.put(path, body).await,
        _ => caller.post(path, body).await,
    }
}

#[apply(both_databases)]
async fn time_without_zone_is_refused_in_every_body(server: &TestServer) {
    let admin = set_up(server).await;
    for (method, path, body, member) in bodies_with_times() {
        let pointer = format!("/{}", member.replace('.', "/"));
        for time in ["2026-03-01T10:00:00", "2026-03-01T10:00", "2026-03-01T10:00:00.123"] {
            let refused = send(&admin, method, path, &body.clone().set(member, time)).await.expect(400);
            assert_eq!(refused.error_pointers(), [pointer.as_str()], "{path} {member} {time}");
            let detail = refused.json()["errors"][0]["detail"].as_str().expect("a detail").to_owned();
            assert!(detail.contains("time zone"), "{detail}");
        }
        for time in ["2026-03-01T10:00Z", "2026-03-01T12:00+02:00", "2026-03-01T10:00:00.5Z"] {
            send(&admin, method, path, &body.clone().set(member, time)).await.expect_one_of(&[200, 201]);
        }
    }
    let note = admin.post("/v1/users/bo/notes", &json!({"text": "Late"})).await.expect(201).json();
    let path = format!("/v1/notes/{}", note["id"].as_str().expect("an id"));
    let refused = admin.patch(&path, &json!({"happened_at": "2026-03-01T10:00:00"})).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/happened_at"]);
    for parameter in ["from", "to"] {
        for path in ["/v1/activities", "/v1/users/ada/timeline", "/v1/activities/export.csv"] {
            let refused = admin.get(&format!("{path}?{parameter}=2026-03-01T10:00")).await.expect(400);
            assert!(refused.error_parameters().contains(parameter), "{path} {parameter}");
            admin.get(&format!("{path}?{parameter}=2026-03-01T10:00Z")).await.expect(200);
        }
    }
}

#[apply(both_databases)]
async fn statement_keeps_its_rule_for_times(server: &TestServer) {
    let admin = set_up(server).await;
    for (n, time) in [
        (1, "2026-03-01T10:00Z"),
        (2, "2026-03-01T10:00:00"),
        (3, "2026-03-01T12:00+02:00"),
        // A statement may be about the future.
        (4, "2099-01-01T00:00:00Z"),
    ] {
        let sent = statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/attended", "urn:c");
        let sent = sent.set("id", id(n)).set("timestamp", time);
        admin.post(STATEMENTS, &sent).await.expect(200);
    }
    let rows = read_log(&admin).await;
    assert_eq!(record_numbers(&rows), [1, 2, 3, 4]);
    for row in &rows[..3] {
        assert_eq!(row["happened_at"], "2026-03-01T10:00:00.000Z");
    }
}

#[apply(both_databases)]
async fn activity_is_at_most_a_day_in_the_future(server: &TestServer) {
    let admin = set_up(server).await;
    let now = server.clock.now().micros();
    let at =
        |seconds: i64| rollbook::base::clock::Timestamp::from_micros(now + seconds * 1_000_000).to_string();
    let day = 24 * 3_600;
    let sent = |n: usize, seconds: i64| numbered_activity(n, "viewed").set("happened_at", at(seconds));
    admin.post("/v1/activities", &sent(1, day - 60)).await.expect(201);
    let refused = admin.post("/v1/activities", &sent(2, day + 60)).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/happened_at"]);
    let refused = admin.post("/v1/activities/batch", &[sent(3, 0), sent(4, 40 * day)]).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/happened_at"]);
    // An expiry lies in the future.
    let expiring = sent(5, 0).set("expired_at", at(400 * day)).set("certificate.expires_at", at(400 * day));
    admin.post("/v1/activities", &expiring).await.expect(201);
    assert_eq!(read_log(&admin).await.len(), 2);
}

#[apply(both_databases)]
async fn times_that_differ_below_a_millisecond_are_the_same(server: &TestServer) {
    let admin = set_up(server).await;
    let sent = |fraction: &str| {
        statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/attended", "urn:c")
            .set("id", id(1))
            .set("timestamp", format!("2026-03-01T10:00:00.{fraction}Z"))
    };
    admin.post(STATEMENTS, &sent("1239")).await.expect(200);
    // Cut, as it was, in other digits, and rounded.
    for fraction in ["123", "1239", "1231456", "124"] {
        admin.post(STATEMENTS, &sent(fraction)).await.expect(200);
        admin.put(&format!("{STATEMENTS}?statementId={}", id(1)), &sent(fraction)).await.expect(204);
    }
    for fraction in ["122", "1249", "125"] {
        admin.post(STATEMENTS, &sent(fraction)).await.expect(409);
    }
    // The sub-statement, whose time is compared in the same way.
    let planned = |fraction: &str| {
        let mut sub = sent(fraction).json();
        sub["objectType"] = json!("SubStatement");
        sub.as_object_mut().expect("an object").remove("id");
        statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/planned", "urn:c")
            .set("id", id(2))
            .set("object", sub)
    };
    admin.post(STATEMENTS, &planned("5")).await.expect(200);
    admin.post(STATEMENTS, &planned("5004")).await.expect(200);
    admin.post(STATEMENTS, &planned("501")).await.expect(409);
    // The short form.
    let short = |happened: &str, expired: &str| {
        numbered_activity(3, "viewed")
            .set("happened_at", format!("2026-03-01T10:00:00.{happened}Z"))
            .set("expired_at", format!("2026-04-01T10:00:00.{expired}Z"))
    };
    admin.post("/v1/activities", &short("123456", "123456")).await.expect(201);
    admin.post("/v1/activities", &short("123", "1239")).await.expect(200);
    admin.post("/v1/activities", &short("1225", "123")).await.expect(200);
    admin.post("/v1/activities", &short("125", "123")).await.expect(409);
    admin.post("/v1/activities", &short("123", "125")).await.expect(409);
}

#[apply(both_databases)]
async fn points_need_a_maximum_to_be_a_percentage(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/contents/fire", &json!({"pass_mark": 60})).await.expect(200);
    let cases = [
        (json!({"raw": 7}), Value::Null, Value::Null),
        (json!({"raw": 70}), Value::Null, Value::Null),
        (json!({"raw": 7, "min": 0}), Value::Null, Value::Null),
        (json!({"raw": 7, "max": 10}), json!(70), json!(true)),
        (json!({"raw": 5, "max": 10}), json!(50), json!(false)),
        (json!({"raw": 7, "min": 4, "max": 10}), json!(50), json!(false)),
        (json!({"raw": -7, "max": 10}), Value::Null, Value::Null),
        (json!({"scaled": 0.7, "raw": 7}), json!(70), json!(true)),
        (json!(70), json!(70), json!(true)),
    ];
    let batch: Vec<Body> = cases
        .iter()
        .enumerate()
        .map(|(n, (score, ..))| numbered_activity(n, "completed").set("result", json!({"score": score})))
        .collect();
    post_batch(&admin, &batch).await;
    let rows = read_log(&admin).await;
    for (row, (score, percent, success)) in rows.iter().zip(&cases) {
        assert_eq!(row["result"]["score"]["percent"], *percent, "{score}");
        assert_eq!(row["result"]["success"], *success, "{score}");
        let scoring = row["description"].as_str().expect("a text").contains("scoring");
        assert_eq!(scoring, !percent.is_null(), "{score}");
    }
}
