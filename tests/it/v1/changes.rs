//! Tests of the change feeds (`docs/specification.md#change-feed`).

mod copy;
mod directory;
mod plans;
pub(super) mod replicas;
mod rights;
mod waiting;

use rollbook::base::ids::OrgId;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use self::copy::Copy;
use crate::support::builders::{Body, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS, id};
use crate::support::server::{ORG, run_with};
use crate::support::{Database, TestServer, apply, both_databases};

const LOGGED_IN: &str = "https://w3id.org/xapi/adl/verbs/logged-in";
const LOGGED_OUT: &str = "https://w3id.org/xapi/adl/verbs/logged-out";

fn completed(n: usize, email: &str, content: &str) -> Body {
    statement(mailbox(email), COMPLETED, content).set("id", id(n))
}

async fn send(admin: &Caller, statement: Body) {
    admin.post(STATEMENTS, &statement).await.expect(200);
}

async fn rebuild(server: &TestServer) {
    server.store.rebuild(&OrgId::new(ORG).expect("an id")).await.expect("a rebuild");
}

#[apply(both_databases)]
async fn new_and_voided_activities_are_in_the_feed_once(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    send(&admin, completed(2, "bo@example.org", "urn:c")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 01", "upsert 02"]);
    let activity = admin.get("/v1/activities?limit=1").await.expect(200).json()["activities"][0].clone();
    assert_eq!(copy.entries[&id(2)], activity, "the shape is that of the list");
    let entries = server.database().query_number("SELECT count(*) FROM activity_changes").await;
    assert_eq!(entries, 0, "a new record needs no entry");
    // The same record again is no change.
    send(&admin, completed(2, "bo@example.org", "urn:c")).await;
    let place = copy.place();
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    assert_eq!(copy.place(), place);

    admin.delete(&format!("/v1/activities/{}", id(1))).await.expect(204);
    let voiding = copy.follow(&admin).await;
    assert_eq!(voiding.iter().filter(|change| *change == "delete 01").count(), 1, "{voiding:?}");
    assert_eq!(voiding.len(), 2, "the voiding is an activity, too: {voiding:?}");
    // A reader that never had the activity needs no upsert of it.
    send(&admin, completed(3, "bo@example.org", "urn:c")).await;
    admin.delete(&format!("/v1/activities/{}", id(3))).await.expect(204);
    let voided = copy.follow(&admin).await;
    assert!(voided.contains(&"delete 03".to_owned()) && !voided.contains(&"upsert 03".to_owned()));
    copy.follow_until_equal(&admin).await;
    let mut late = Copy::of_log();
    late.follow(&admin).await;
    assert_eq!(late.entries, copy.entries);
    // A statement that was voided before it came is never in the log.
    let voiding = crate::support::records::voiding_statement(5, 4);
    admin.post(STATEMENTS, &voiding).await.expect(200);
    send(&admin, completed(4, "bo@example.org", "urn:c")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 05"]);
}

#[apply(both_databases)]
async fn only_rows_that_are_projected_differently_are_changes(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    let quiz = content("quiz", "quiz").set("iri", "urn:quiz").set("pass_mark", 50);
    admin.put("/v1/contents/quiz", &quiz).await.expect(201);
    for (n, score) in [(1, 0.6), (2, 0.9)] {
        let one =
            completed(n, "ada@example.org", "urn:quiz").set("result", json!({"score": {"scaled": score}}));
        send(&admin, one).await;
    }
    assert_eq!(copy.follow(&admin).await, ["upsert 01", "upsert 02"]);
    assert_eq!(copy.entries[&id(1)]["result"]["success"], true);
    let stricter = json!({"pass_mark": 70, "effective_from": "2020-01-01T00:00:00Z"});
    admin.patch("/v1/contents/quiz", &stricter).await.expect(200);
    assert_eq!(copy.follow(&admin).await, ["upsert 01"]);
    assert_eq!(copy.entries[&id(1)]["result"]["success"], false);
    // Another title is no change of an activity.
    admin.patch("/v1/contents/quiz", &json!({"title": "Another"})).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    rebuild(server).await;
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    // A row that differs from its record is corrected by a rebuild.
    server
        .database()
        .execute("UPDATE activities SET percent = 12 WHERE seq = (SELECT max(seq) FROM activities)")
        .await;
    rebuild(server).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 02"]);
    copy.follow_until_equal(&admin).await;
}

#[apply(both_databases)]
async fn login_that_becomes_a_visit_is_a_change(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    let session = |n: usize, verb: &str, minute: usize| {
        statement(mailbox("ada@example.org"), verb, "https://rollbook.invalid/acme")
            .set("id", id(n))
            .set("timestamp", format!("2026-03-01T09:{minute:02}:00Z"))
    };
    send(&admin, session(1, LOGGED_IN, 20)).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 01"]);
    send(&admin, session(2, LOGGED_IN, 10)).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 02", "upsert 01"]);
    assert_eq!(copy.entries[&id(1)]["action"]["key"], "visited");
    send(&admin, session(3, LOGGED_OUT, 15)).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 03", "upsert 01"]);
    assert_eq!(copy.entries[&id(1)]["action"]["key"], "logged_in");
    // A new login that is a visit from the beginning is one change.
    send(&admin, session(4, LOGGED_IN, 30)).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 04"]);
    assert_eq!(copy.entries[&id(4)]["action"]["key"], "visited");
    admin.delete(&format!("/v1/activities/{}", id(1))).await.expect(204);
    let changes = copy.follow(&admin).await;
    assert!(changes.contains(&"delete 01".to_owned()) && changes.contains(&"upsert 04".to_owned()));
    rebuild(server).await;
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    copy.follow_until_equal(&admin).await;
}

#[apply(both_databases)]
async fn claimed_and_moved_activities_are_changes(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    let at = |n: usize, time: &str| completed(n, "desk@example.org", "urn:c").set("timestamp", time);
    send(&admin, at(1, "2026-01-10T09:00:00Z")).await;
    send(&admin, at(2, "2026-02-10T09:00:00Z")).await;
    send(&admin, completed(3, "other@example.org", "urn:c")).await;
    copy.follow(&admin).await;
    admin.put("/v1/users/ada", &user("ada").set("email", "desk@example.org")).await.expect(201);
    let mut changes = copy.follow(&admin).await;
    changes.sort();
    assert_eq!(changes, ["upsert 01", "upsert 02"]);
    assert_eq!(copy.entries[&id(1)]["user"]["id"], "ada");
    // Writing the same again changes nothing.
    admin.put("/v1/users/ada", &user("ada").set("email", "desk@example.org")).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let divided = json!({"identifiers": [mailbox("desk@example.org")], "from": "2026-02-01T00:00:00Z"});
    admin.post("/v1/users/bo/identifiers", &divided).await.expect(200);
    assert_eq!(copy.follow(&admin).await, ["upsert 02"]);
    assert_eq!(copy.entries[&id(2)]["user"]["id"], "bo");
    let whole = json!({"identifiers": [mailbox("desk@example.org")], "from": null});
    admin.post("/v1/users/bo/identifiers", &whole).await.expect(200);
    assert_eq!(copy.follow(&admin).await, ["upsert 01"]);
    // A deactivated user is a change of the user. The feed has the activities all the same.
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    send(&admin, at(4, "2026-01-11T09:00:00Z")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 04"]);
    copy.follow_until_equal(&admin).await;
}

/// Sends this many completions of the address, with numbers from `first` on.
async fn send_many(admin: &Caller, first: usize, count: usize) {
    let all: Vec<Body> = (first..first + count).map(|n| completed(n, "desk@example.org", "urn:c")).collect();
    for batch in all.chunks(500) {
        admin.post(STATEMENTS, batch).await.expect(200);
    }
}

#[apply(both_databases)]
async fn claim_of_many_activities_is_announced_in_the_background(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    send_many(&admin, 1, 1_200).await;
    copy.follow(&admin).await;
    admin.put("/v1/users/ada", &user("ada").set("email", "desk@example.org")).await.expect(201);
    copy.follow_until_equal(&admin).await;
    assert_eq!(copy.entries.len(), 1_200);
    // Another move begins anew, also after a server that was stopped before it had announced all of them.
    let pending = "INSERT INTO transferred_persons (org, person, happened_at, seq) \
        SELECT DISTINCT org, person, 0, 0 FROM activities";
    server.database().execute(pending).await;
    let replica = server.start_replica().await;
    let mut announced = 0;
    while announced < 1_200 {
        copy.next = format!("/v1/activities/changes?after={}&limit=1000&wait=5", copy.place());
        let page = copy.read_page(&admin).await;
        assert!(!page.is_empty(), "only {announced} were announced");
        announced += page.len();
    }
    assert_eq!(server.database().query_number("SELECT count(*) FROM transferred_persons").await, 0);
    replica.stop().await;
}

#[apply(both_databases)]
async fn newer_completion_changes_no_older_one(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    copy.follow(&admin).await;
    send(&admin, completed(2, "ada@example.org", "urn:c")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 02"]);
}

#[apply(both_databases)]
async fn question_that_is_placed_elsewhere_is_a_change(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    let question =
        statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/answered", "urn:quiz/1")
            .set("id", id(1))
            .set("object.definition", json!({"type": "http://adlnet.gov/expapi/activities/cmi.interaction"}))
            .set(
                "context.contextActivities.grouping",
                json!([{"id": "urn:publisher"}, {"id": "urn:launched"}]),
            );
    send(&admin, question).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 01"]);
    let before = copy.entries[&id(1)]["content"]["iri"].clone();
    let better = if before == "urn:launched" { "urn:publisher" } else { "urn:launched" };
    admin.put("/v1/contents/better", &content("better", "quiz").set("iri", better)).await.expect(201);
    assert_eq!(copy.follow(&admin).await, ["upsert 01"]);
    assert_eq!(copy.entries[&id(1)]["content"]["iri"], better);
}

#[apply(both_databases)]
async fn changes_are_read_in_pages_from_any_place(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=5 {
        send(&admin, completed(n, "ada@example.org", "urn:c")).await;
    }
    let first = admin.get("/v1/activities/changes?limit=2").await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert!(next.starts_with("/v1/activities/changes?after=") && next.ends_with("&limit=2"), "{next}");
    assert_eq!(first.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    let mut copy = Copy::of_log();
    copy.next = "/v1/activities/changes?limit=2".to_owned();
    assert_eq!(copy.read_page(&admin).await.len(), 2);
    let place = copy.next.clone();
    assert_eq!(copy.follow(&admin).await, ["upsert 03", "upsert 04", "upsert 05"]);
    // Reading from an earlier place gives the same again.
    copy.next = place;
    assert_eq!(copy.follow(&admin).await.len(), 3);
    let beyond = "/v1/activities/changes?after=9223372036854775807";
    let page = admin.get(beyond).await.expect(200).json();
    assert_eq!(page, json!({"changes": [], "next": beyond}));
    for (query, parameter) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=9223372036854775808", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("wait=31", "wait"),
        ("wait=-1", "wait"),
        ("user=ada", "user"),
        ("after=1&after=2", "after"),
    ] {
        for path in ["/v1/activities/changes", "/v1/directory/changes"] {
            let refused = admin.get(&format!("{path}?{query}")).await.expect(400);
            assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), [parameter], "{query}");
        }
    }
}

/// Every page has one activity or more, and all of them together have each once.
async fn check_large_rows(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    for n in 1..=8 {
        let large = completed(n, "ada@example.org", "urn:c")
            .set("result", json!({"response": "x".repeat(if n % 2 == 0 { 20_000 } else { 3_000 })}));
        send(&admin, large).await;
    }
    let mut pages = 0;
    while !copy.read_page(&admin).await.is_empty() {
        pages += 1;
    }
    assert!(pages > 4, "only {pages} pages");
    copy.follow_until_equal(&admin).await;
    assert_eq!(copy.entries.len(), 8);
    for n in 1..=3 {
        let name = "n".repeat(200);
        let custom: Value = (0..40).map(|field| (format!("f{field}"), json!(name))).collect();
        admin
            .put(&format!("/v1/users/u{n}"), &user(&format!("u{n}")).set("custom", custom))
            .await
            .expect(201);
    }
    let mut directory = Copy::of_directory();
    directory.follow(&admin).await;
    assert_eq!(directory.entries.keys().filter(|key| key.starts_with("user ")).count(), 3);
}

#[test]
fn page_is_limited_by_its_bytes() {
    let limits = Limits { page_bytes: 25_000, ..Limits::default() };
    for database in [Database::sqlite(), Database::postgres()] {
        run_with(database, AppOptions { limits: limits.clone(), ..AppOptions::default() }, check_large_rows);
    }
}

#[apply(both_databases)]
async fn activity_with_an_unreadable_verb_stays_in_the_feed(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    send(&admin, statement(mailbox("ada@example.org"), LOGGED_OUT, "urn:c").set("id", id(2))).await;
    server.database().execute(&format!("DELETE FROM verbs WHERE iri = '{COMPLETED}'")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert 01", "upsert 02"]);
    assert_eq!(copy.entries[&id(1)]["verb"], "urn:rollbook:unreadable-verb");
    assert_eq!(copy.entries[&id(2)]["verb"], LOGGED_OUT);
    assert_eq!(admin.list("/v1/activities?limit=1", "activities").await.len(), 2);
}

#[apply(both_databases)]
async fn unreadable_row_is_left_out_and_ends_no_feed(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_log());
    for n in 1..=3 {
        send(&admin, completed(n, "ada@example.org", "urn:c")).await;
        admin.put(&format!("/v1/users/u{n}"), &user(&format!("u{n}"))).await.expect(201);
    }
    let second = "(SELECT seq FROM activities ORDER BY seq LIMIT 1 OFFSET 1)";
    server.database().execute(&format!("UPDATE activities SET action = 9999 WHERE seq = {second}")).await;
    server.database().execute("UPDATE users SET role = 'x' WHERE id = 'u2'").await;
    assert_eq!(copy.follow(&admin).await, ["upsert 01", "upsert 03"]);
    copy.next = "/v1/activities/changes?limit=1".to_owned();
    let first = copy.read_page(&admin).await;
    assert_eq!(first.len(), 1);
    assert_eq!(copy.read_page(&admin).await, [format!("upsert {}", id(3))]);
    let mut directory = Copy::of_directory();
    let users = directory.follow(&admin).await;
    assert!(users.contains(&"upsert user u3".to_owned()) && !users.contains(&"upsert user u2".to_owned()));
}
