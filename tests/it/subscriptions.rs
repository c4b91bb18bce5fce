//! Tests of what subscriptions send: webhooks and forwarded statements.

mod example;
mod forwarding;
mod processes;
mod receivers;
mod webhooks;

use std::time::{Duration, Instant};

use rollbook::http::AppOptions;
use rollbook::subscriptions::egress::EgressRules;
use rollbook::subscriptions::worker::WorkerOptions;
use serde_json::{Value, json};

use crate::support::http::Caller;

/// A server that sends to receivers on this machine, with short pauses.
fn options() -> AppOptions {
    AppOptions {
        subscriptions: WorkerOptions {
            egress: EgressRules {
                allow_http: true,
                allowed_networks: vec!["127.0.0.0/8".parse().expect("a network")],
                answer_within: Duration::from_secs(1),
                ..EgressRules::default()
            },
            attempts: 3,
            poll: Duration::from_millis(30),
            ..WorkerOptions::default()
        },
        sends_subscriptions: true,
        ..AppOptions::default()
    }
}

/// These options, with sessions that end after their first step.
fn short_sessions() -> AppOptions {
    let mut options = options();
    options.subscriptions.session = Duration::ZERO;
    options
}

/// Runs a function as two tests, each with a server that sends what subscriptions have to send.
macro_rules! with_worker {
    ($($item:tt)*) => {
        $crate::support::both_databases! {
            @tests $crate::subscriptions::run_with_worker;
            $($item)*
        }
    };
}
pub(crate) use with_worker;

/// Runs a test against a server that sends what subscriptions have to send.
fn run_with_worker<F>(database: crate::support::Database, test: F)
where
    F: AsyncFnOnce(&crate::support::TestServer),
{
    crate::support::server::run_with(database, options(), test);
}

/// Creates a subscription and returns it.
async fn create(admin: &Caller, body: Value) -> Value {
    let mut new = json!({"name": "A receiver"});
    for (name, value) in body.as_object().expect("members") {
        new[name] = value.clone();
    }
    admin.post("/v1/subscriptions", &new).await.expect(201).json()
}

/// The path of a subscription.
fn path_of(subscription: &Value) -> String {
    format!("/v1/subscriptions/{}", subscription["id"].as_str().expect("an id"))
}

/// The deliveries of a subscription, the newest first.
async fn deliveries(admin: &Caller, subscription: &Value) -> Vec<Value> {
    admin.list(&format!("{}/deliveries", path_of(subscription)), "deliveries").await
}

/// Waits until the deliveries of a subscription are as the test expects, and returns them.
async fn wait_for_deliveries(
    admin: &Caller,
    subscription: &Value,
    expected: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found = deliveries(admin, subscription).await;
        if expected(&found) {
            return found;
        }
        assert!(Instant::now() < until, "the deliveries are {found:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The statuses of deliveries.
fn statuses(deliveries: &[Value]) -> Vec<&str> {
    deliveries.iter().map(|one| one["status"].as_str().expect("a status")).collect()
}
