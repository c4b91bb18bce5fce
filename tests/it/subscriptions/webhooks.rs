//! What a receiver of webhooks gets: each change that the filter shows, in order, signed.

use serde_json::{Value, json};

use super::{create, deliveries, path_of, statuses, wait_for_deliveries, with_worker};
use crate::support::builders::{activity, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::receiver::{Behaviour, Received, Receiver};
use crate::support::records::{COMPLETED, STATEMENTS, advance_clock, id};
use crate::support::{TestServer, apply};

/// Creates an activity and returns its id.
pub(super) async fn add(admin: &Caller, user: &str, action: &str) -> String {
    let created = admin.post("/v1/activities", &activity(user, action)).await.expect(201).json();
    created["id"].as_str().expect("an id").to_owned()
}

/// An admin of an organisation with the users `ada` and `bo`.
pub(super) async fn admin_of(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    create_users(&admin).await;
    admin
}

/// Creates the users `ada` and `bo`.
pub(super) async fn create_users(admin: &Caller) {
    admin.post("/v1/users/batch", &[user("ada"), user("bo")]).await.expect(200);
}

/// The types and ids of webhooks.
fn events(received: &[Received]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let read = |one: &Received| {
        let body = one.json();
        (text(&body["type"]), text(&body["data"]["id"]))
    };
    received.iter().map(read).collect()
}

/// Checks the signature as a receiver does.
fn check_signature(received: &Received, secret: &str, place: usize) {
    let webhook = standardwebhooks::Webhook::new(secret).expect("a secret");
    let timestamp = received.header("webhook-timestamp").parse().expect("seconds");
    let expected =
        webhook.sign(received.header("webhook-id"), timestamp, &received.body).expect("a signature");
    let signatures: Vec<&str> = received.header("webhook-signature").split(' ').collect();
    assert_eq!(signatures[place], expected);
}

#[apply(with_worker)]
async fn each_change_that_the_filter_shows_is_sent_in_order(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    add(&admin, "bo", "viewed").await;
    let body = json!({"url": receiver.url("/hook"), "filter": {"action": ["viewed", "completed"]}});
    let subscription = create(&admin, body).await;
    let secret = subscription["secret"].as_str().expect("a secret");

    let first = add(&admin, "ada", "viewed").await;
    add(&admin, "ada", "downloaded").await;
    let second = add(&admin, "bo", "completed").await;
    // An activity that is gone before it was sent is not sent at all.
    wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 2).await;
    admin.delete(&format!("/v1/activities/{first}")).await.expect_one_of(&[200, 204]);
    let received = receiver.wait_for(3).await;

    let expected =
        [("activity.upserted", &first), ("activity.upserted", &second), ("activity.deleted", &first)];
    let expected = expected.map(|(kind, id)| (kind.to_owned(), id.clone()));
    assert_eq!(events(&received), expected);
    let numbers: Vec<i64> =
        received.iter().map(|one| one.json()["change"].as_i64().expect("a number")).collect();
    assert!(numbers.is_sorted() && numbers[0] > 0, "{numbers:?}");
    for one in &received {
        assert_eq!(one.line, "POST /hook");
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.json()["subscription"], subscription["id"]);
        check_signature(one, secret, 0);
    }
    let shown = admin.get(&format!("/v1/activities/{second}")).await.expect(200).json();
    assert_eq!(received[1].json()["data"]["user"], shown["user"]);

    let listed = wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 3).await;
    assert_eq!(statuses(&listed), ["delivered"; 3]);
    assert_eq!(listed[2]["record"], json!(first));
    assert_eq!(listed[2]["webhook_id"], json!(received[0].header("webhook-id")));
    assert_eq!(listed[2]["attempts"][0]["status"], 204);
}

#[apply(with_worker)]
async fn activity_that_the_filter_no_longer_shows_is_deleted_at_the_receiver(server: &TestServer) {
    let (admin, receiver) = (server.person("admin", "root"), Receiver::start().await);
    for id in ["ada", "bo", "cy"] {
        let body = user(id).set("email", format!("{id}@example.org"));
        admin.put(&format!("/v1/users/{id}"), &body).await.expect(201);
    }
    let subscription = create(&admin, json!({"url": receiver.url("/"), "filter": {"user": ["ada"]}})).await;
    let of = |person: &str, n| {
        statement(mailbox(&format!("{person}@example.org")), COMPLETED, "urn:c").set("id", id(n)).json()
    };
    admin.post(STATEMENTS, &json!([of("ada", 1), of("cy", 2)])).await.expect(200);
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered"]).await;
    let give = async |person: &str, address: &str| {
        let body = json!({"identifiers": [mailbox(&format!("{address}@example.org"))], "from": null});
        admin.post(&format!("/v1/users/{person}/identifiers"), &body).await.expect(200);
    };
    // The filter never showed the activity of cy, so the receiver hears nothing of it.
    give("bo", "cy").await;
    give("bo", "ada").await;
    receiver.wait_for(2).await;
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered"; 2]).await;
    give("ada", "ada").await;
    let received = receiver.wait_for(3).await;
    let kinds = ["activity.upserted", "activity.deleted", "activity.upserted"];
    assert_eq!(events(&received), kinds.map(|kind| (kind.to_owned(), id(1))));
}

#[apply(with_worker)]
async fn paused_subscription_sends_everything_after_it_is_resumed(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    let path = path_of(&subscription);
    let paused = admin.post(&format!("{path}/pause"), &json!({})).await.expect(200).json();
    assert_eq!((&paused["active"], &paused["status"]), (&json!(false), &json!("paused")));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(add(&admin, "ada", "viewed").await);
    }
    assert_eq!(deliveries(&admin, &subscription).await, Vec::<Value>::new());
    let resumed = admin.post(&format!("{path}/resume"), &json!({})).await.expect(200).json();
    assert_eq!(resumed["status"], "active");
    let received = receiver.wait_for(3).await;
    assert_eq!(events(&received).into_iter().map(|(_, id)| id).collect::<Vec<_>>(), ids);
}

#[apply(with_worker)]
async fn replay_sends_the_same_webhooks_again(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    add(&admin, "bo", "viewed").await;
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    for _ in 0..2 {
        add(&admin, "ada", "viewed").await;
    }
    let first = receiver.wait_for(2).await;
    wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 2).await;
    let replay = format!("{}/replay", path_of(&subscription));
    let after = first[0].json()["change"].clone();
    admin.post(&replay, &json!({"after": after})).await.expect(202);
    let again = receiver.wait_for(3).await;
    assert_eq!(again[2].header("webhook-id"), first[1].header("webhook-id"));
    assert_eq!(again[2].json()["data"], first[1].json()["data"]);
    wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 3).await;
    // From the beginning: also what happened before the subscription was created.
    admin.post(&replay, &json!({"after": 0})).await.expect(202);
    let all = receiver.wait_for(6).await;
    assert_eq!(all[3].json()["data"]["user"]["id"], "bo");

    for (body, pointer) in [
        (json!({}), "/after"),
        (json!({"after": -1}), "/after"),
        (json!({"after": 1.5}), "/after"),
        (json!({"after": "1"}), "/after"),
        (json!({"after": 9_000_000_000_000_000_i64}), "/after"),
        (json!({"from": 1}), "/from"),
    ] {
        let refused = admin.post(&replay, &body).await.expect(400);
        assert!(refused.error_pointers().contains(&pointer.to_owned()), "{body}: {}", refused.text());
    }
}

#[apply(with_worker)]
async fn both_secrets_sign_during_a_rotation(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    let chosen = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let subscription = create(&admin, json!({"url": receiver.url("/"), "secret": chosen})).await;
    assert_eq!(subscription["secret"], chosen);
    let path = path_of(&subscription);
    let rotated = admin.post(&format!("{path}/rotate"), &json!({})).await.expect(200);
    assert_eq!(rotated.header("cache-control"), Some("no-store"));
    let secret = rotated.json()["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(rotated.json()["old_secret_until"], "2026-03-19T10:17:23.000Z");
    add(&admin, "ada", "viewed").await;
    let received = receiver.wait_for(1).await;
    check_signature(&received[0], &secret, 0);
    check_signature(&received[0], chosen, 1);
    advance_clock(server, 86_400);
    add(&admin, "ada", "viewed").await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].header("webhook-signature").split(' ').count(), 1);
    check_signature(&received[1], &secret, 0);
}

#[apply(with_worker)]
async fn test_by_hand_tells_what_the_receiver_answers(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    let subscription = create(&admin, json!({"url": receiver.url("/"), "active": false})).await;
    let test = format!("{}/test", path_of(&subscription));
    let tested = admin.post(&test, &json!({})).await.expect(200).json();
    assert_eq!((&tested["status"], &tested["type"]), (&json!("delivered"), &json!("test")));
    let received = receiver.received();
    assert_eq!(received[0].json()["type"], "test");
    check_signature(&received[0], subscription["secret"].as_str().expect("a secret"), 0);
    receiver.behave(Behaviour::status(500));
    let tested = admin.post(&test, &json!({})).await.expect(200).json();
    assert_eq!(tested["status"], "failed");
    assert_eq!(tested["attempts"][0]["reason"], "the receiver answered 500");
    assert_eq!(statuses(&deliveries(&admin, &subscription).await), ["failed", "delivered"]);
}

#[apply(with_worker)]
async fn deleted_subscription_sends_nothing_and_leaves_nothing(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    add(&admin, "ada", "viewed").await;
    wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 1).await;
    admin.delete(&path_of(&subscription)).await.expect(204);
    admin.get(&path_of(&subscription)).await.expect(404);
    add(&admin, "ada", "viewed").await;
    for table in ["subscription_rows", "subscription_deliveries", "subscriptions"] {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while server.database().query_number(&format!("SELECT count(*) FROM {table}")).await > 0 {
            assert!(std::time::Instant::now() < until, "{table} has rows");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    assert_eq!(receiver.received().len(), 1);
}
