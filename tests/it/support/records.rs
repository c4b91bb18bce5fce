//! Records that have a number: what names them when they are sent, and which ones came back.

use rollbook::clock::Timestamp;
use serde_json::{Value, json};

use super::TestServer;
use super::builders::mailbox;
use super::http::Caller;

/// Where statements are.
pub const STATEMENTS: &str = "/xapi/statements";

pub const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
pub const PASSED: &str = "http://adlnet.gov/expapi/verbs/passed";
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// The id of the record number `n`.
pub fn id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// The numbers of records, in their order.
pub fn numbers(records: &[Value]) -> Vec<usize> {
    records.iter().map(|one| one["id"].as_str().expect("an id")[24..].parse().expect("a number")).collect()
}

/// The numbers of a page's statements, in its order.
pub fn page_numbers(page: &Value) -> Vec<usize> {
    numbers(page["statements"].as_array().expect("statements"))
}

/// The numbers of the statements that a query finds, in their order.
pub async fn statements_found(caller: &Caller, asked: &str) -> Vec<usize> {
    page_numbers(&caller.get(&format!("{STATEMENTS}?{asked}")).await.expect(200).json())
}

/// A statement that voids another.
pub fn voiding(n: usize, target: usize) -> Value {
    json!({"id": id(n), "actor": mailbox("root@example.org"), "verb": {"id": VOIDED},
        "object": {"objectType": "StatementRef", "id": id(target)}})
}

/// Lets so many seconds pass.
pub fn later(server: &TestServer, seconds: i64) {
    let now = server.clock.now().micros();
    server.clock.set(Timestamp::from_micros(now + seconds * 1_000_000));
}
