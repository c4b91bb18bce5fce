//! Receivers that are down, slow, refuse, hang, redirect or never end, and names that lead to private addresses. The list of
//! deliveries tells what happened, and nothing else is held up.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rollbook::subscriptions::egress::{FindAddresses, Names};
use serde_json::{Value, json};

use super::webhooks::{add, admin_of, create_users};
use super::{create, options, path_of, short_sessions, statuses, wait_for_deliveries, with_worker};
use crate::support::http::Caller;
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::records::{STATEMENTS, advance_clock, numbered_statement};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply};

/// Waits until the last delivery has this number of attempts, and returns it.
async fn wait_for_attempts(admin: &Caller, subscription: &Value, attempts: i64) -> Value {
    let found = wait_for_deliveries(admin, subscription, |listed| {
        listed.first().is_some_and(|one| one["attempt_count"] == attempts)
    });
    found.await.remove(0)
}

fn last_reason(delivery: &Value) -> &str {
    let attempts = delivery["attempts"].as_array().expect("attempts");
    attempts.last().expect("an attempt")["reason"].as_str().expect("a reason")
}

#[apply(with_worker)]
async fn failed_delivery_is_tried_again_and_the_next_ones_wait(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    receiver.behave(Behaviour::Status(503, "retry-after: 600\r\n".to_owned()));
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    let first = add(&admin, "ada", "viewed").await;
    let second = add(&admin, "ada", "viewed").await;
    let delivery = wait_for_attempts(&admin, &subscription, 1).await;
    assert_eq!((&delivery["status"], &delivery["finished_at"]), (&json!("retrying"), &Value::Null));
    assert_eq!(last_reason(&delivery), "the receiver answered 503");
    let pending = admin.get(&path_of(&subscription)).await.expect(200).json();
    assert_eq!((&pending["status"], &pending["pending"]["attempts"]), (&json!("retrying"), &json!(1)));
    // The receiver asked for ten minutes.
    assert_eq!(pending["pending"]["next_attempt_at"], "2026-03-18T10:27:23.000Z");
    receiver.behave(Behaviour::status(204));
    advance_clock(server, 601);
    let received = receiver.wait_for(3).await;
    let ids: Vec<Value> = received.iter().map(|one| one.json()["data"]["id"].clone()).collect();
    assert_eq!(ids, [json!(first), json!(first), json!(second)]);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    let listed = wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 2).await;
    assert_eq!(statuses(&listed), ["delivered", "delivered"]);
    assert_eq!((&listed[1]["attempt_count"], &listed[1]["attempts"][1]["status"]), (&json!(2), &json!(204)));
}

#[apply(with_worker)]
async fn delivery_is_given_up_after_its_attempts_and_the_next_one_goes_on(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    receiver.behave(Behaviour::status(500));
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    let id = add(&admin, "ada", "viewed").await;
    for attempt in 1..=3 {
        wait_for_attempts(&admin, &subscription, attempt).await;
        if attempt == 3 {
            break;
        }
        advance_clock(server, 3_600);
    }
    let dead =
        wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["dead"]).await.remove(0);
    assert_eq!(dead["record"], json!(id));
    receiver.behave(Behaviour::status(204));
    add(&admin, "ada", "viewed").await;
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered", "dead"]).await;
    let path = path_of(&subscription);
    let listed = admin.list(&format!("{path}/deliveries?status=dead"), "deliveries").await;
    assert_eq!(listed.len(), 1);
    let retry = format!("{path}/deliveries/{}/retry", dead["id"].as_str().expect("an id"));
    let queued = admin.post(&retry, &json!({})).await.expect(202).json();
    assert_eq!(queued["status"], "queued");
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered", "delivered"]).await;
    let received = receiver.received();
    assert_eq!(received.len(), 5);
    assert_eq!(received[4].header("webhook-id"), received[0].header("webhook-id"));
    admin.post(&retry, &json!({})).await.expect(409);
}

#[apply(with_worker)]
async fn receiver_that_is_gone_disables_the_subscription(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    receiver.behave(Behaviour::status(410));
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    let id = add(&admin, "ada", "viewed").await;
    wait_for_attempts(&admin, &subscription, 1).await;
    let path = path_of(&subscription);
    let disabled = admin.get(&path).await.expect(200).json();
    assert_eq!((&disabled["active"], &disabled["status"]), (&json!(false), &json!("disabled")));
    assert!(disabled["reason"].as_str().is_some_and(|reason| reason.contains("410")), "{disabled}");
    receiver.behave(Behaviour::status(204));
    admin.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].json()["data"]["id"], json!(id));
}

#[apply(with_worker)]
async fn each_failure_is_named_and_holds_up_no_other_subscription(server: &TestServer) {
    let admin = admin_of(server).await;
    let (healthy, inner) = (Receiver::start().await, Receiver::start().await);
    let down = {
        let receiver = Receiver::start().await;
        receiver.url("/")
    };
    let redirect = format!("location: {}\r\n", inner.url("/secret"));
    let broken = [
        (Behaviour::Hang, "no answer came within 1 seconds"),
        (Behaviour::Hang, "no answer came within 1 seconds"),
        (Behaviour::Slow(Duration::from_secs(30)), "no answer came within 1 seconds"),
        (Behaviour::Close, "the connection broke off"),
        (Behaviour::Endless(500), "the receiver answered 500: xxxx"),
        (Behaviour::Status(302, redirect.clone()), "the receiver answered 302; redirects are not followed"),
        (Behaviour::Status(307, redirect), "the receiver answered 307; redirects are not followed"),
    ];
    let mut receivers = Vec::new();
    let mut subscriptions = vec![(create(&admin, json!({"url": down})).await, "no connection could be made")];
    for (behaviour, reason) in broken {
        let receiver = Receiver::start().await;
        receiver.behave(behaviour);
        subscriptions.push((create(&admin, json!({"url": receiver.url("/")})).await, reason));
        receivers.push(receiver);
    }
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    create_users(&other).await;
    create(&other, json!({"url": healthy.url("/")})).await;
    add(&admin, "ada", "viewed").await;
    let begin = Instant::now();
    add(&other, "ada", "viewed").await;
    healthy.wait_for(1).await;
    assert!(begin.elapsed() < Duration::from_secs(3), "another organisation waited {:?}", begin.elapsed());
    for (subscription, reason) in &subscriptions {
        let delivery = wait_for_attempts(&admin, subscription, 1).await;
        assert_eq!(delivery["status"], "retrying");
        assert!(last_reason(&delivery).starts_with(reason), "{reason}: {delivery}");
    }
    assert!(inner.received().is_empty(), "a redirect was followed");
}

/// The receiver may have stored what it did not acknowledge. What follows must not depend on the number of changes that a
/// session reads.
#[test]
fn activity_that_is_voided_after_an_unclear_attempt_is_deleted_behind_many_other_changes() {
    run_with(Database::sqlite(), short_sessions(), async |server: &TestServer| {
        let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
        receiver.behave(Behaviour::Close);
        let body = json!({"url": receiver.url("/"), "filter": {"action": ["viewed"]}});
        let subscription = create(&admin, body).await;
        let first = add(&admin, "ada", "viewed").await;
        wait_for_attempts(&admin, &subscription, 1).await;
        let others: Vec<Value> = (1..=250).map(numbered_statement).collect();
        admin.post(STATEMENTS, &others).await.expect(200);
        admin.delete(&format!("/v1/activities/{first}")).await.expect_one_of(&[200, 204]);
        receiver.behave(Behaviour::status(204));
        advance_clock(server, 3_600);
        let received = receiver.wait_for(2).await.remove(1).json();
        assert_eq!((&received["type"], &received["data"]["id"]), (&json!("activity.deleted"), &json!(first)));
        wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered", "superseded"])
            .await;
    });
}

#[apply(with_worker)]
async fn success_with_an_endless_body_is_acknowledged(server: &TestServer) {
    let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
    receiver.behave(Behaviour::Endless(200));
    let subscription = create(&admin, json!({"url": receiver.url("/")})).await;
    add(&admin, "ada", "viewed").await;
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered"]).await;
}

/// A name server. Its first answer is this machine, which the test allows, and its later ones are private.
struct Rebinding {
    asked: AtomicUsize,
}

impl FindAddresses for Rebinding {
    fn find_addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let address = match (name, asked) {
            ("hooks.example.org", 0) => "127.0.0.1",
            _ => "169.254.169.254",
        };
        Box::pin(async move { Ok(vec![address.parse().expect("an address")]) })
    }
}

#[test]
fn name_that_leads_to_a_private_address_is_not_reached() {
    let mut options = options();
    let names = Arc::new(Rebinding { asked: AtomicUsize::new(0) });
    options.subscriptions.names = Names::new(Shared(Arc::clone(&names)));
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let (admin, receiver) = (admin_of(server).await, Receiver::start().await);
        // The receiver ends each connection, so that the second delivery needs the name again.
        receiver.behave(Behaviour::Status(204, "connection: close\r\n".to_owned()));
        let url = format!("http://hooks.example.org:{}/", receiver.address.port());
        let subscription = create(&admin, json!({"url": url})).await;
        add(&admin, "ada", "viewed").await;
        let received = receiver.wait_for(1).await;
        assert_eq!(received[0].header("host"), format!("hooks.example.org:{}", receiver.address.port()));
        assert_eq!(names.asked.load(Ordering::SeqCst), 1, "the name is resolved once");
        wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered"]).await;
        add(&admin, "ada", "viewed").await;
        let listed = wait_for_deliveries(&admin, &subscription, |listed| {
            statuses(listed) == ["retrying", "delivered"]
        })
        .await;
        // The address is in the log and not in the answer: clients must not learn those of internal names.
        let expected =
            "the name leads to an address that is not allowed (ROLLBOOK_SUBSCRIPTION_ALLOW_NETWORKS)";
        assert_eq!(last_reason(&listed[0]), expected);
    });
}

/// Lets the test keep the name server.
struct Shared(Arc<Rebinding>);

impl FindAddresses for Shared {
    fn find_addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.0.find_addresses(name)
    }
}
