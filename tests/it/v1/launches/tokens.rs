//! How long the token of a launch is valid, and in which headers.

use rollbook::base::clock::Timestamp;
use serde_json::json;

use super::{content_of, launch, set_up, statement_of, write};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn token_is_a_bearer_token_or_a_password(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let token = created["token"].as_str().expect("a token");
    for (number, content) in [
        server.anonymous().with_token(token),
        server.anonymous().with_basic("", token),
        server.anonymous().with_basic("anything", token),
        content_of(server, &created),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(write(content, &statement_of(&created, "experienced")).await, 200, "form {number}");
    }
    // The content sends `auth` as it is.
    let auth = created["xapi"]["auth"].as_str().expect("an authorisation");
    let read = server
        .anonymous()
        .send(reqwest::Method::GET, "/xapi/statements", &[("authorization", auth)], Vec::new())
        .await
        .expect(200);
    assert_eq!(read.json()["statements"].as_array().map(Vec::len), Some(4));
    let (shorter, last) = token.split_at(token.len() - 1);
    let changed = format!("{shorter}{}", if last == "A" { "E" } else { "A" });
    for wrong in [shorter, &format!("{token}a"), &changed, "rbl_"] {
        let wrong = server.anonymous().with_token(wrong);
        assert_eq!(wrong.get("/xapi/statements").await.status, 401);
    }
}

fn advance(server: &TestServer, seconds: i64) {
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + seconds * 1_000_000));
}

#[apply(both_databases)]
async fn expired_token_is_refused(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({"expires_in": 60})).await;
    let content = content_of(server, &created);
    assert_eq!(write(&content, &statement_of(&created, "initialized")).await, 200);
    advance(server, 59);
    assert_eq!(write(&content, &statement_of(&created, "experienced")).await, 200);
    advance(server, 1);
    let refused = content.get("/xapi/statements").await.expect(401);
    assert_eq!(refused.json()["code"], "token_expired");
    let path = format!("/v1/launches/{}", created["id"].as_str().expect("an id"));
    assert_eq!(admin.get(&path).await.expect(200).json()["status"], "expired");
}

#[apply(both_databases)]
async fn revoked_token_is_refused_on_every_replica_within_a_second(server: &TestServer) {
    let admin = set_up(server).await;
    let replica = server.start_replica().await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let elsewhere = content_of(&replica, &created);
    for one in [&content, &elsewhere] {
        assert_eq!(write(one, &statement_of(&created, "experienced")).await, 200);
    }
    let path = format!("/v1/launches/{}", created["id"].as_str().expect("an id"));
    admin.delete(&path).await.expect(204);
    let revoked_at = std::time::Instant::now();
    content.get("/xapi/statements").await.expect(401);
    while elsewhere.get("/xapi/statements").await.status != 401 {
        assert!(revoked_at.elapsed().as_millis() < 1_000, "the replica refuses it within a second");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let stored = admin.get(&path).await.expect(200).json();
    assert_eq!(stored["status"], "revoked");
    admin.delete(&path).await.expect(204);
    assert_eq!(admin.get(&path).await.expect(200).json(), stored, "a second time changes nothing");
    replica.stop().await;
}

#[apply(both_databases)]
async fn launch_of_a_deactivated_user_is_refused_within_a_second(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    assert_eq!(write(&content, &statement_of(&created, "experienced")).await, 200);
    admin.patch("/v1/users/ada", &json!({"active": false})).await.expect(200);
    let deactivated_at = std::time::Instant::now();
    loop {
        let answer = content.get("/xapi/statements").await;
        if answer.status == 403 {
            assert_eq!(answer.json()["code"], "deactivated");
            break;
        }
        assert!(deactivated_at.elapsed().as_millis() < 1_000, "the launch is refused within a second");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
