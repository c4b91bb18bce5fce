//! Tests of `POST /v1/users/{id}/identifiers`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{DAY, SHARED, by_shared_address, find_owners, has_address, rebuild, send};
use crate::support::builders::{activity, mailbox, user};
use crate::support::http::Caller;
use crate::support::records::{
    STATEMENTS, advance_clock, find_statements, id, record_numbers, voiding_statement,
};
use crate::support::{TestServer, apply, both_databases};

/// Creates the users `ada`, with the shared address, `bo` and `cy`, and three records.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [user("ada").set("email", SHARED), user("bo"), user("cy")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    for (n, month) in [(1, 1), (2, 2)] {
        let at = format!("2026-{month:02}-10T09:00:00Z");
        send(&admin, by_shared_address(n).set("timestamp", at)).await;
    }
    send(&admin, by_shared_address(3)).await;
    admin
}

async fn move_to(admin: &Caller, user: &str, from: Option<Value>) {
    let mut body = json!({"identifiers": [mailbox(SHARED)]});
    if let Some(from) = from {
        body["from"] = from;
    }
    admin.post(&format!("/v1/users/{user}/identifiers"), &body).await.expect(200);
}

#[apply(both_databases)]
async fn move_without_time_begins_now(server: &TestServer) {
    let admin = set_up(server).await;
    move_to(&admin, "bo", None).await;
    assert!(has_address(&admin, "bo").await && !has_address(&admin, "ada").await);
    advance_clock(server, DAY);
    send(&admin, by_shared_address(4)).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 ada, 3 ada, 4 bo");
    // An identifier that nobody has had is the user's from the beginning.
    let unknown = mailbox("unknown@example.org");
    let sent = by_shared_address(5).set("actor", unknown.clone()).set("timestamp", "2026-01-01T00:00:00Z");
    send(&admin, sent).await;
    admin.post("/v1/users/bo/identifiers", &json!({"identifiers": [unknown]})).await.expect(200);
    assert_eq!(find_owners(&admin).await, "1 ada, 2 ada, 3 ada, 4 bo, 5 bo");
}

#[apply(both_databases)]
async fn move_begins_at_the_given_time(server: &TestServer) {
    let admin = set_up(server).await;
    move_to(&admin, "bo", Some(json!("2026-02-10T09:00:00Z"))).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 bo, 3 bo");
    // A later move takes everything from its time on, also what another user had from a later time on.
    move_to(&admin, "cy", Some(json!("2026-02-01T00:00:00Z"))).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 cy, 3 cy");
    move_to(&admin, "bo", Some(json!("2026-03-01T00:00:00+01:00"))).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 cy, 3 bo");
    rebuild(server).await;
    assert_eq!(find_owners(&admin).await, "1 ada, 2 cy, 3 bo");
    let hash = "agent=%7B%22mbox%22%3A%22mailto%3Adesk%40example.org%22%7D";
    for (person, expected) in [("ada", vec![1]), ("bo", vec![3]), ("cy", vec![2])] {
        assert_eq!(find_statements(&server.person("learner", person), hash).await, expected, "{person}");
    }
    for (from, pointer) in
        [(json!("2999-01-01T00:00:00Z"), "/from"), (json!("yesterday"), "/from"), (json!(7), "/from")]
    {
        let body = json!({"identifiers": [mailbox(SHARED)], "from": from});
        let refused = admin.post("/v1/users/bo/identifiers", &body).await.expect(400);
        assert_eq!(refused.json()["pointer"], pointer, "{body}");
    }
}

#[apply(both_databases)]
async fn move_of_everything_merges_two_records_of_one_person(server: &TestServer) {
    let admin = set_up(server).await;
    move_to(&admin, "bo", Some(json!("2026-02-10T09:00:00Z"))).await;
    move_to(&admin, "cy", Some(Value::Null)).await;
    assert_eq!(find_owners(&admin).await, "1 cy, 2 cy, 3 cy");
    rebuild(server).await;
    assert_eq!(find_owners(&admin).await, "1 cy, 2 cy, 3 cy");
}

#[apply(both_databases)]
async fn voided_and_referring_statements_move_too(server: &TestServer) {
    let admin = set_up(server).await;
    let voided = voiding_statement(4, 2);
    admin.post(STATEMENTS, &voided).await.expect(200);
    move_to(&admin, "bo", Some(json!("2026-02-01T00:00:00Z"))).await;
    let path = format!("{STATEMENTS}?voidedStatementId={}", id(2));
    server.person("learner", "bo").get(&path).await.expect(200);
    server.person("learner", "ada").get(&path).await.expect(404);
    // A query by agent finds the voiding by its target, in every period.
    let by_agent = "agent=%7B%22mbox%22%3A%22mailto%3Adesk%40example.org%22%7D&ascending=true";
    assert_eq!(find_statements(&admin, by_agent).await, [1, 3, 4]);
    rebuild(server).await;
    assert_eq!(find_statements(&admin, by_agent).await, [1, 3, 4]);
    server.person("learner", "ada").get(&path).await.expect(404);
}

#[apply(both_databases)]
async fn many_activities_move_in_the_background(server: &TestServer) {
    let admin = set_up(server).await;
    for part in 0..3 {
        let records: Vec<_> = (0..500)
            .map(|n| {
                activity("ada", "viewed")
                    .set("user", json!({"email": SHARED}))
                    .set("content", json!({"iri": "urn:c"}))
                    .set("id", id(1_000 + 500 * part + n))
                    .set("happened_at", format!("2026-03-{:02}T09:00:00Z", 1 + n % 15))
            })
            .collect();
        admin.post("/v1/activities/batch", &records).await.expect(201);
    }
    move_to(&admin, "bo", Some(json!("2026-02-20T00:00:00Z"))).await;
    // New records belong to the new user at once.
    send(&admin, by_shared_address(4).set("timestamp", "2026-03-02T09:00:00Z")).await;
    let count = async |user: &str| {
        let path = format!("/v1/users/{user}/activities?count=exact&limit=1");
        admin.get(&path).await.expect(200).json()["total"].as_u64().expect("a total")
    };
    for _ in 0..200 {
        if count("bo").await == 1_502 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((count("ada").await, count("bo").await), (2, 1_502));
    let of_ada = admin.list("/v1/users/ada/activities", "activities").await;
    assert_eq!(record_numbers(&of_ada), [2, 1]);
}

#[apply(both_databases)]
async fn agent_with_many_periods_finds_all_statements(server: &TestServer) {
    let admin = set_up(server).await;
    for month in 1..=12 {
        let user = if month % 2 == 0 { "bo" } else { "cy" };
        move_to(&admin, user, Some(json!(format!("2025-{month:02}-01T00:00:00Z")))).await;
        let at = format!("2025-{month:02}-10T09:00:00Z");
        send(&admin, by_shared_address(10 + month).set("timestamp", at)).await;
    }
    let by_agent = "agent=%7B%22mbox%22%3A%22mailto%3Adesk%40example.org%22%7D&ascending=true";
    let all: Vec<usize> = (1..=3).chain(11..=22).collect();
    assert_eq!(find_statements(&admin, by_agent).await, all);
    let of_bo = find_statements(&server.person("learner", "bo"), by_agent).await;
    assert_eq!(of_bo, [1, 2, 3, 12, 14, 16, 18, 20, 22]);
    let related = format!("{by_agent}&related_agents=true&limit=2");
    assert_eq!(find_statements(&admin, &related).await, [1, 2]);
}
