//! Records with a number in their id, so that tests can compare short lists of numbers.

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::TestServer;
use super::builders::{mailbox, statement};
use super::http::Caller;

/// The path of statements.
pub const STATEMENTS: &str = "/xapi/statements";

pub const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
pub const PASSED: &str = "http://adlnet.gov/expapi/verbs/passed";
/// A verb of the action `viewed`.
pub const VIEWED: &str = "http://id.tincanapi.com/verb/viewed";
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// The id of record number `n`.
pub fn id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// The ids of the elements of a list, in order.
pub fn list_ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|element| element["id"].as_str().expect("an id")).collect()
}

/// The numbers of records, in order.
pub fn record_numbers(records: &[Value]) -> Vec<usize> {
    records.iter().map(|one| one["id"].as_str().expect("an id")[24..].parse().expect("a number")).collect()
}

/// The numbers of the statements of a page, in order.
pub fn page_numbers(page: &Value) -> Vec<usize> {
    record_numbers(page["statements"].as_array().expect("statements"))
}

/// The numbers of the statements that a query finds, in order.
pub async fn find_statements(caller: &Caller, query: &str) -> Vec<usize> {
    page_numbers(&caller.get(&format!("{STATEMENTS}?{query}")).await.expect(200).json())
}

/// A statement with number `n`: `ada@example.org` completed `urn:c`.
pub fn numbered_statement(n: usize) -> Value {
    statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n)).json()
}

/// A statement with number `n` that voids statement `target`.
pub fn voiding_statement(n: usize, target: usize) -> Value {
    json!({"id": id(n), "actor": mailbox("root@example.org"), "verb": {"id": VOIDED},
        "object": {"objectType": "StatementRef", "id": id(target)}})
}

/// Moves the server's clock forward.
pub fn advance_clock(server: &TestServer, seconds: i64) {
    let now = server.clock.now().micros();
    server.clock.set(Timestamp::from_micros(now + seconds * 1_000_000));
}
