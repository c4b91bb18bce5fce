//! Two processes of `rollbook serve` with one PostgreSQL database, one of which is killed while it sends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::webhooks::create_users;
use super::{create, deliveries};
use crate::support::Database;
use crate::support::builders::activity;
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::server::sign;

const ACTIVITIES: usize = 60;

pub(super) fn start_process(database: &Database) -> Process {
    let mut command = serve(database);
    command.env("ROLLBOOK_SUBSCRIPTION_ALLOW_HTTP", "true");
    command.env("ROLLBOOK_SUBSCRIPTION_ALLOW_NETWORKS", "127.0.0.0/8");
    command.env("ROLLBOOK_SUBSCRIPTION_RETRY_SECONDS", "1");
    Process::start(command)
}

pub(super) fn admin_of(process: &Process) -> Caller {
    let claims = json!({"sub": "ada", "org": "acme", "role": "admin", "exp": 4_000_000_000_i64});
    Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&sign(&claims))
}

/// Checks that each change came at least once, and that the first arrivals are in the order of changes.
fn check_order(receiver: &Receiver, count: usize, killed: usize) {
    let mut ids: BTreeMap<String, i64> = BTreeMap::new();
    let mut first_changes = Vec::new();
    let received = receiver.received();
    for one in &received {
        let change = one.json()["change"].as_i64().expect("a number");
        if ids.insert(one.header("webhook-id").to_owned(), change).is_none() {
            first_changes.push(change);
        }
    }
    assert_eq!(first_changes.len(), count, "each change has one id");
    assert!(first_changes.is_sorted(), "{first_changes:?}");
    // A process that is killed repeats at most the delivery that was not acknowledged.
    assert!(received.len() <= count + killed, "{} requests", received.len());
}

async fn wait_until_all_came(receiver: &Receiver, count: usize) {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let changes: std::collections::BTreeSet<i64> =
            receiver.received().iter().map(|one| one.json()["change"].as_i64().expect("a number")).collect();
        if changes.len() == count {
            return;
        }
        assert!(Instant::now() < until, "{} of {count} changes came", changes.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn check_killed_process(database: &Database) {
    let receivers = [Receiver::start().await, Receiver::start().await];
    let (surviving, killed) = (start_process(database), start_process(database));
    let ada = admin_of(&surviving);
    create_users(&ada).await;
    let mut subscriptions = Vec::new();
    for receiver in &receivers {
        receiver.behave(Behaviour::Slow(Duration::from_millis(30)));
        subscriptions.push(create(&ada, json!({"url": receiver.url("/")})).await);
    }
    for number in 0..ACTIVITIES {
        // Both replicas write.
        let writer = if number % 2 == 0 { &surviving } else { &killed };
        admin_of(writer).post("/v1/activities", &activity("ada", "viewed")).await.expect(201);
    }
    drop(killed); // SIGKILL
    for (receiver, subscription) in receivers.iter().zip(&subscriptions) {
        wait_until_all_came(receiver, ACTIVITIES).await;
        check_order(receiver, ACTIVITIES, 1);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let listed: Vec<Value> = deliveries(&ada, subscription).await;
            let delivered = listed.iter().filter(|one| one["status"] == "delivered").count();
            if delivered == ACTIVITIES && listed.len() == ACTIVITIES {
                break;
            }
            assert!(Instant::now() < until, "{delivered} of {} are delivered", listed.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn subscriptions_of_a_killed_process_are_worked_on_by_the_other() {
    run(Database::postgres(), async |database| check_killed_process(database).await);
}

#[test]
fn deliveries_go_on_after_a_restart() {
    run(Database::sqlite(), async |database| {
        let receiver = Receiver::start().await;
        receiver.behave(Behaviour::Slow(Duration::from_millis(30)));
        let first = start_process(database);
        let ada = admin_of(&first);
        create_users(&ada).await;
        create(&ada, json!({"url": receiver.url("/")})).await;
        for _ in 0..20 {
            ada.post("/v1/activities", &activity("ada", "viewed")).await.expect(201);
        }
        receiver.wait_for(3).await;
        drop(first); // SIGKILL
        let _second = start_process(database);
        wait_until_all_came(&receiver, 20).await;
        check_order(&receiver, 20, 1);
    });
}

pub(super) fn run(database: Database, test: impl AsyncFnOnce(&Database)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        database.create().await;
        test(&database).await;
        database.delete().await;
    });
}
