//! Tests of `/v1/activities`.
//!
//! [`forms`] tests the short form, [`rules`] how a record becomes an activity, [`parts`] the records about parts
//! and attempts, [`awards`] certificates and cmi5, [`names`] titles and types, [`reading`] the log:
//! filters, pages and deletion, [`times`] times and scores. Permissions are tested in `access.rs`, bad input in `hostile.rs`.

mod arrival;
mod awards;
mod forms;
mod names;
mod parts;
mod reading;
mod rules;
mod times;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::Caller;

pub use crate::support::records::{advance_clock, id, record_numbers};

/// One member of each row. The path is dotted.
pub fn member_values(rows: &[Value], path: &str) -> Vec<Value> {
    let pointer = format!("/{}", path.replace('.', "/"));
    rows.iter()
        .map(|row| row.pointer(&pointer).cloned().unwrap_or_else(|| panic!("{path} in {row}")))
        .collect()
}

/// The whole log, the oldest activity first.
pub async fn read_log(caller: &Caller) -> Vec<Value> {
    caller.list("/v1/activities?sort=happened_at&limit=100", "activities").await
}

/// Creates the users `ada` (ada@example.org) and `bo` and the quiz `fire`. Returns an admin.
pub async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [user("ada").set("email", "Ada@Example.org"), user("bo").set("manager", "ada")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    admin
}

/// Activity number `n` of the user `ada` and the quiz `fire`.
pub fn numbered_activity(n: usize, action: &str) -> Body {
    activity("ada", action).set("id", id(n)).set("content", "fire")
}

/// Posts a batch of activities, which must be accepted.
pub async fn post_batch(caller: &Caller, batch: &[Body]) {
    let stored = caller.post("/v1/activities/batch", batch).await.expect(201).json();
    assert_eq!(stored["ids"].as_array().map(Vec::len), Some(batch.len()));
}

/// A time in March 2026, the month that the server's clock shows.
pub fn in_march(day: u32, hour: u32) -> Value {
    json!(format!("2026-03-{day:02}T{hour:02}:00:00Z"))
}
