//! Abandoned sessions.

use serde_json::json;

use super::unit::{SESSION_ID, find, launch, launch_body, prepare};
use crate::support::records::advance_clock;
use crate::support::{Database, TestServer, apply, both_databases};

#[apply(both_databases)]
async fn new_session_abandons_the_open_one(server: &TestServer) {
    let (admin, _, [one, two, _]) = prepare(server).await;
    let first = launch(server, &admin, &launch_body(&one)).await;
    first.report(&["initialized", "experienced"]).await;
    advance_clock(server, 2_700);
    launch(server, &admin, &launch_body(&two)).await;
    let abandoned = find(&admin, "abandoned").await;
    assert_eq!(abandoned.len(), 1);
    let statement = &abandoned[0];
    assert_eq!(statement["context"]["extensions"][SESSION_ID], first.session());
    assert_eq!(statement["object"]["id"], first.activity());
    // From launched at 10:17:23 to the last statement at 11:00:02.
    assert_eq!(statement["result"], json!({"duration": "PT2559S"}));
    first.send(&first.statement("terminated")).await.expect(403);
    // A terminated session is not abandoned.
    let third = launch(server, &admin, &launch_body(&one)).await;
    third.report(&["initialized", "terminated"]).await;
    launch(server, &admin, &launch_body(&one)).await;
    assert_eq!(find(&admin, "abandoned").await.len(), 2);
}

#[apply(both_databases)]
async fn revoked_launch_is_abandoned(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    let path = format!("/v1/launches/{}", unit.launch["id"].as_str().expect("an id"));
    for _ in 0..2 {
        admin.delete(&path).await.expect(204);
    }
    assert_eq!(find(&admin, "abandoned").await.len(), 1);
    unit.send(&unit.statement("initialized")).await.expect(401);
}

#[apply(both_databases)]
async fn expired_session_is_abandoned_once_by_any_replica(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let replica = server.start_replica().await;
    let mut body = launch_body(&one);
    body["expires_in"] = json!(60);
    launch(server, &admin, &body).await.report(&["initialized"]).await;
    advance_clock(server, 61);
    advance_clock(&replica, 61);
    // Both replicas also do this in the background, at any moment.
    let (here, there) =
        tokio::join!(server.store.abandon_expired_sessions(), replica.store.abandon_expired_sessions());
    assert!(here.expect("done") + there.expect("done") <= 1);
    assert_eq!(find(&admin, "abandoned").await.len(), 1);
    replica.stop().await;
}

#[apply(both_databases)]
async fn abandoned_session_is_not_longer_than_the_time_since_its_launch(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    // The clock of the learner's device is ahead by 43 minutes.
    launch(server, &admin, &launch_body(&one)).await.report(&["initialized", "experienced"]).await;
    advance_clock(server, 60);
    launch(server, &admin, &launch_body(&one)).await;
    assert_eq!(find(&admin, "abandoned").await[0]["result"], json!({"duration": "PT60S"}));
}

#[apply(both_databases)]
async fn sessions_that_cannot_be_abandoned_hold_up_no_others(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let mut body = launch_body(&one);
    body["expires_in"] = json!(60);
    launch(server, &admin, &body).await.report(&["initialized"]).await;
    let database = server.database();
    let hash = match database {
        Database::Sqlite { .. } => "randomblob(32)",
        Database::Postgres { .. } => "sha256(gen_random_uuid()::text::bytea)",
    };
    let copied = "org, registration, content, home_page, user_id, publisher_id, activity, launched_at, abandoned, \
         completed, judged";
    let unreadable = format!(
        "INSERT INTO cmi5_sessions ({copied}, id, fetch_hash, mode, expires_at) \
         SELECT {copied}, {}, {hash}, 'unreadable', expires_at - s.n FROM cmi5_sessions CROSS JOIN ({}) s",
        database.random_id(),
        database.series(150),
    );
    assert_eq!(database.execute(&unreadable).await, 150);
    advance_clock(server, 61);
    server.store.abandon_expired_sessions().await.expect("done");
    assert_eq!(find(&admin, "abandoned").await.len(), 1);
}
