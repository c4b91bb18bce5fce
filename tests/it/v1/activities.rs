//! `/v1/activities`: activities in by the short form, and the log read, filtered, paged and corrected.
//!
//! [`forms`] is what comes in, [`rules`] what section 6 makes of it, [`reading`] how it is asked for. Who may
//! do what is in `access.rs`, what is refused as bad input in `hostile.rs`.

mod forms;
mod reading;
mod rules;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::{Answer, Caller};

pub use crate::support::records::{advance_clock, id, record_numbers};

/// One member of every row, dotted.
pub fn members(rows: &[Value], path: &str) -> Vec<Value> {
    let pointer = format!("/{}", path.replace('.', "/"));
    rows.iter()
        .map(|row| row.pointer(&pointer).cloned().unwrap_or_else(|| panic!("{path} in {row}")))
        .collect()
}

/// The pointers of a problem document, in their order.
pub fn pointers(answer: &Answer) -> Vec<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
}

/// The whole log, the oldest first.
pub async fn log(caller: &Caller) -> Vec<Value> {
    caller.list("/v1/activities?sort=happened_at&limit=100", "activities").await
}

/// The admin of the organisation, with the users `ada` (ada@example.org) and `bo`, and the quiz `fire`.
pub async fn prepared(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [user("ada").set("email", "Ada@Example.org"), user("bo").set("manager", "ada")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    admin
}

/// A numbered activity of `ada` on the quiz `fire`.
pub fn numbered(n: usize, action: &str) -> Body {
    activity("ada", action).set("id", id(n)).set("content", "fire")
}

/// Sends activities as a batch and expects them to be kept.
pub async fn keep(caller: &Caller, batch: &[Body]) {
    let stored = caller.post("/v1/activities/batch", batch).await.expect(201).json();
    assert_eq!(stored["ids"].as_array().map(Vec::len), Some(batch.len()));
}

/// A moment of March 2026, the month in which the clock stands.
pub fn at(day: u32, hour: u32) -> Value {
    json!(format!("2026-03-{day:02}T{hour:02}:00:00Z"))
}
