//! Tests of `/v1/scorm/{content}`: commits, the records that they mean, and the data with which a learner goes on.
//!
//! [`sessions`] plays sessions of packages, [`rights`] tests each kind of caller, [`races`] commits at the same time. The
//! player `scorm-again` itself is run by `examples/scorm`.

mod races;
mod rights;
mod sessions;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::{content, user};
use crate::support::http::{Answer, Caller};

/// The content of the tests.
const PATH: &str = "/v1/scorm/fire";

/// A server with the learner `bo` and the package `fire`. Returns the administrator and the learner.
async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/bo", &user("bo").set("last_name", "Ek")).await.expect(201);
    let fire = content("fire", "item").set("content_type", "scorm");
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    (admin, server.person("learner", "bo"))
}

/// Sends a commit in the format `params`.
async fn commit(caller: &Caller, query: &str, body: &str) -> Value {
    send(caller, query, "application/x-www-form-urlencoded", body).await.expect(200).json()
}

async fn send(caller: &Caller, query: &str, media_type: &str, body: &str) -> Answer {
    let path = format!("{PATH}{query}");
    caller.send(Method::POST, &path, &[("content-type", media_type)], body.as_bytes().to_vec()).await
}

/// Checks that the answer is a problem with this code.
#[track_caller]
fn refused(answer: Answer, code: &str) {
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
}

/// The rows of the learner in the order of recording, each as its label with its seconds.
async fn rows(admin: &Caller) -> Vec<String> {
    let rows = admin.list("/v1/users/bo/activities?sort=happened_at", "activities").await;
    let text = |row: &Value| {
        let label = row["action"]["label"].as_str().expect("a label").to_owned();
        match row["result"]["total_time"]["seconds"].as_i64() {
            Some(seconds) => format!("{label} {seconds}"),
            None => label,
        }
    };
    rows.iter().map(text).collect()
}

/// The total time of the learner in the summary.
async fn total_seconds(admin: &Caller) -> Value {
    let summary = admin.get("/v1/activities/summary?by=user&user=bo").await.expect(200).json();
    summary["total"]["total_seconds"].clone()
}

/// The number of statements of the organisation.
async fn count_statements(admin: &Caller) -> usize {
    let page = admin.get("/xapi/statements?limit=500").await.expect(200).json();
    page["statements"].as_array().expect("statements").len()
}

/// A commit of SCORM 1.2 with this status and time.
fn old(status: &str, session_time: &str, more: &str) -> String {
    format!("cmi.core.lesson_status={status}&cmi.core.session_time={session_time}{more}")
}

/// A commit of SCORM 2004 as JSON.
fn new(members: Value) -> String {
    let mut cmi = json!({"location": "p1"});
    let all = cmi.as_object_mut().expect("an object");
    all.extend(members.as_object().expect("an object").clone());
    json!({"cmi": cmi}).to_string()
}
