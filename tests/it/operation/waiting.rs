//! A server that starts while PostgreSQL cannot be reached.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Database;
use crate::support::http::Caller;
use crate::support::process::{Process, serve_at};
use crate::support::proxy::Proxy;
use crate::support::server::run_with_database;

/// Waits until the server is ready.
async fn wait_until_ready(caller: &Caller) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        // While the sockets change hands, a request may be cut.
        let ready = tokio::spawn({
            let caller = caller.clone();
            async move { caller.get("/health/ready").await.status == 200 }
        });
        if ready.await.unwrap_or(false) {
            return;
        }
        assert!(Instant::now() < deadline, "the server is not ready in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn check_start(database: &Database) {
    let proxy = Proxy::start(database).await;
    proxy.refuse(true);
    let url = proxy.url(database);
    let process = tokio::task::spawn_blocking(move || Process::start(serve_at(&url)));
    let process = process.await.expect("the server starts");
    let caller = Caller::anonymous(reqwest::Client::new(), process.base.clone());
    caller.get("/health/live").await.expect(200);
    for path in ["/health/ready", "/v1/activities", "/xapi/statements"] {
        let refused = caller.get(path).await.expect(503);
        assert!(refused.header("retry-after").is_some(), "{path}");
        assert_eq!(refused.json()["code"], "database-unavailable", "{path}");
    }
    // SIGHUP does not end a server that waits. The signals of a process come in their order.
    process.signal("HUP");
    tokio::time::sleep(Duration::from_millis(200)).await;
    caller.get("/health/live").await.expect(200);
    proxy.refuse(false);
    wait_until_ready(&caller).await;
    caller.get("/v1/activities").await.expect(401);
}

#[test]
fn server_answers_503_until_the_database_can_be_reached() {
    run_with_database(Database::postgres(), check_start);
}

async fn check_stop(database: &Database) {
    let proxy = Proxy::start(database).await;
    proxy.refuse(true);
    let url = proxy.url(database);
    let mut command = serve_at(&url);
    command.stdout(Stdio::null());
    let process = tokio::task::spawn_blocking(move || Process::start(command));
    let mut process = process.await.expect("the server starts");
    // An answer shows that the server waits, and for the signal too.
    let caller = Caller::anonymous(reqwest::Client::new(), process.base.clone());
    caller.get("/health/live").await.expect(200);
    process.signal("TERM");
    let status = tokio::task::spawn_blocking(move || process.wait()).await.expect("it can be waited for");
    assert!(status.success(), "{status}");
}

#[test]
fn server_that_waits_for_the_database_can_be_stopped() {
    run_with_database(Database::postgres(), check_stop);
}
