//! Nobody gets an event that the log would not show at this moment.

use serde_json::json;

use super::{record, set_up};
use crate::support::builders::{activity, user};
use crate::support::events::{Events, STREAM};
use crate::support::records::{advance_clock, list_ids};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

use std::time::Duration;

use rollbook::http::AppOptions;
use rollbook::live::LiveOptions;

/// Options with which rights are read again each second.
fn quick() -> AppOptions {
    let streams = LiveOptions {
        recheck: Duration::from_secs(1),
        heartbeat: Duration::from_millis(200),
        ..LiveOptions::default()
    };
    AppOptions { streams, ..AppOptions::default() }
}

#[apply(both_databases)]
async fn other_organisations_get_nothing(server: &TestServer) {
    let admin = set_up(server).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.put("/v1/users/boss", &user("boss")).await.expect(201);
    let credential = server.credential("other", &["activities/read"]).await;
    let mut streams =
        [Events::resume(&other, STREAM, "0").await, Events::resume(&credential, STREAM, "0").await];
    for id in ["boss", "far"] {
        record(&admin, id, "completed").await;
    }
    let own = other.post("/v1/activities", &activity("boss", "logged_in")).await.expect(201).json();
    for events in &mut streams {
        assert_eq!(events.next_activity().await["id"], own["id"]);
    }
}

#[apply(both_databases)]
async fn callers_that_may_not_read_the_log_are_refused(server: &TestServer) {
    let admin = set_up(server).await;
    for scopes in [&["statements/read"][..], &["activities/write"], &["directory", "catalogue"], &["all"]] {
        server.credential("acme", scopes).await.get(STREAM).await.expect(403);
    }
    let report = json!({"name": "All", "visibility": "shared", "filter": {}});
    let report =
        admin.post("/v1/reports", &report).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let key =
        admin.post(&format!("/v1/reports/{report}/keys"), &json!({"name": "BI"})).await.expect(201).json();
    let holder = server.anonymous().with_basic("", key["secret"].as_str().expect("a secret"));
    holder.get(STREAM).await.expect(403);
    let learner = server.person("learner", "far");
    for refused in ["scope=company", "scope=managed"] {
        learner.get(&format!("{STREAM}?{refused}")).await.expect(403);
    }
    admin.patch("/v1/users/far", &json!({"active": false})).await.expect(200);
    learner.get(STREAM).await.expect(403);
}

#[apply(both_databases)]
async fn managers_get_the_events_of_their_reports_of_the_moment(server: &TestServer) {
    let admin = set_up(server).await;
    let boss = server.person("manager", "boss");
    let mut everything = Events::open(&boss, STREAM).await;
    let mut direct = Events::open(&boss, &format!("{STREAM}?scope=managed")).await;
    record(&admin, "far", "viewed").await;
    let mut expected = vec![record(&admin, "low", "viewed").await];
    let mut expected_direct = vec![record(&admin, "mid", "viewed").await];
    expected.extend_from_slice(&expected_direct);
    assert_eq!(list_ids(&everything.next_activities(2).await), expected);
    assert_eq!(direct.next_activity().await["id"], *expected_direct[0]);
    // `low` leaves the reach, and `far` enters it.
    admin.patch("/v1/users/low", &json!({"manager": null})).await.expect(200);
    admin.patch("/v1/users/far", &json!({"manager": "boss"})).await.expect(200);
    record(&admin, "low", "viewed").await;
    expected_direct = vec![record(&admin, "far", "viewed").await];
    assert_eq!(everything.next_activity().await["id"], *expected_direct[0]);
    assert_eq!(direct.next_activity().await["id"], *expected_direct[0]);
    // Indirect reports are not shown any more.
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    admin.patch("/v1/users/low", &json!({"manager": "mid"})).await.expect(200);
    record(&admin, "low", "viewed").await;
    let last = record(&admin, "mid", "viewed").await;
    assert_eq!(everything.next_activity().await["id"], *last);
}

#[apply(both_databases)]
async fn claimed_identifiers_count_at_once(server: &TestServer) {
    let admin = set_up(server).await;
    let far = server.person("learner", "far");
    let mut events = Events::open(&far, STREAM).await;
    let mut everything = Events::open(&admin, STREAM).await;
    let writer = server.credential("acme", &["statements/write"]).await;
    let statement = |email: &str| {
        json!({"actor": {"mbox": format!("mailto:{email}")}, "object": {"id": "https://example.org/x"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}})
    };
    writer.post("/xapi/statements", &statement("new@example.org")).await.expect(200);
    everything.next_activity().await;
    admin.patch("/v1/users/far", &json!({"email": "new@example.org"})).await.expect(200);
    let id = writer.post("/xapi/statements", &statement("new@example.org")).await.expect(200).json();
    assert_eq!(events.next_activity().await["id"], id[0]);
}

#[apply(both_databases)]
async fn stream_of_a_deactivated_user_ends_without_another_event(server: &TestServer) {
    let admin = set_up(server).await;
    let far = server.person("learner", "far");
    let mut events = Events::open(&far, STREAM).await;
    record(&admin, "far", "viewed").await;
    events.next_activity().await;
    admin.patch("/v1/users/far", &json!({"active": false})).await.expect(200);
    // Their activities are still recorded.
    record(&admin, "far", "viewed").await;
    let reason = events.end().await.expect("a reason");
    assert!(reason.contains("may not read"), "{reason}");
}

#[apply(both_databases)]
async fn stream_of_a_revoked_credential_ends_without_another_event(server: &TestServer) {
    let admin = set_up(server).await;
    let credential = server.credential("acme", &["activities/read"]).await;
    let mut events = Events::open(&credential, STREAM).await;
    record(&admin, "far", "viewed").await;
    events.next_activity().await;
    let listed = admin.list("/v1/credentials", "credentials").await;
    let id = listed[0]["id"].as_str().expect("an id");
    admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
    record(&admin, "far", "viewed").await;
    let reason = events.end().await.expect("a reason");
    assert!(reason.contains("may not read"), "{reason}");
}

async fn check_rights_are_read_again(server: &TestServer) {
    let admin = set_up(server).await;
    let far = server.person("learner", "far");
    let credential = server.credential("acme", &["activities/read"]).await;
    let mut of_user = Events::open(&far, STREAM).await;
    let mut of_credential = Events::open(&credential, STREAM).await;
    admin.patch("/v1/users/far", &json!({"active": false})).await.expect(200);
    let listed = admin.list("/v1/credentials", "credentials").await;
    let id = listed[0]["id"].as_str().expect("an id");
    admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
    // Nothing is recorded, so only the check can end them.
    for events in [&mut of_user, &mut of_credential] {
        let reason = events.end().await.expect("a reason");
        assert!(reason.contains("may not read"), "{reason}");
    }
}

#[test]
fn streams_end_by_the_check_of_rights_on_sqlite() {
    run_with(Database::sqlite(), quick(), check_rights_are_read_again);
}

#[test]
fn streams_end_by_the_check_of_rights_on_postgres() {
    run_with(Database::postgres(), quick(), check_rights_are_read_again);
}

async fn check_expired_token(server: &TestServer) {
    let admin = set_up(server).await;
    let expires = server.clock.now().micros() / 1_000_000 + 60;
    let short = server.person_of("acme", json!({"sub": "far", "role": "learner", "exp": expires}));
    let mut events = Events::open(&short, STREAM).await;
    record(&admin, "far", "viewed").await;
    events.next_activity().await;
    advance_clock(server, 61);
    record(&admin, "far", "viewed").await;
    let reason = events.end().await.expect("a reason");
    assert!(reason.contains("token has expired"), "{reason}");
    short.get(STREAM).await.expect(401);
}

#[test]
fn expired_token_ends_the_stream_on_sqlite() {
    run_with(Database::sqlite(), quick(), check_expired_token);
}

#[test]
fn expired_token_ends_the_stream_on_postgres() {
    run_with(Database::postgres(), quick(), check_expired_token);
}
