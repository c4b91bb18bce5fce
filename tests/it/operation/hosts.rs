//! A server whose database has several hosts, one of which is the primary, and a host with an old certificate.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::replica::wait_for_schema;
use crate::support::Database;
use crate::support::builders::{activity, user};
use crate::support::helpers::Helper;
use crate::support::http::Caller;
use crate::support::process::{Process, serve, serve_at};
use crate::support::server::{ORG, SECRET, run_with_database, sign};

/// A host with the schema of the database, promoted to a primary of its own.
async fn promote(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the host answers");
    sqlx::raw_sql("SELECT pg_promote()").execute(&mut connection).await.expect("the host is promoted");
    connection.close().await.expect("it closes");
}

/// A caller with the rights of an administrator at a running server.
pub(super) fn admin_at(process: &Process) -> Caller {
    let claims = json!({"sub": "root", "org": ORG, "role": "admin", "exp": 4_000_000_000_i64});
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
    Caller::anonymous(client, process.base.clone()).with_token(&sign(&claims))
}

/// Makes the schema of the database.
async fn make_schema(database: &Database) {
    let database = database.clone();
    let made = tokio::task::spawn_blocking(move || drop(Process::start(serve(&database))));
    made.await.expect("the schema is made");
}

/// Puts a user until the server has done it. Returns how long it took.
async fn put_at_last(admin: &Caller, id: &str) -> Duration {
    let begin = Instant::now();
    while admin.put(&format!("/v1/users/{id}"), &user(id)).await.status != 201 {
        assert!(begin.elapsed() < Duration::from_secs(20), "the server does not reach a primary");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begin.elapsed()
}

/// Starts a server on this database and waits until it is ready.
pub(super) async fn start_at(url: String) -> Process {
    let started = tokio::task::spawn_blocking(move || {
        let mut command = serve_at(&url);
        command.env("ROLLBOOK_JWT_SECRET", SECRET);
        Process::start(command)
    });
    let process = started.await.expect("the server starts");
    let begin = Instant::now();
    loop {
        // A connection to the server that waits for its database ends when it has found it.
        let answer = reqwest::get(format!("{}/health/ready", process.base)).await;
        if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "the server does not get ready: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process
}

#[test]
fn server_goes_on_at_the_host_that_is_promoted() {
    let (Some(first), Some(second)) = (Helper::replica(), Helper::replica()) else { return };
    run_with_database(Database::postgres(), async |database: &Database| {
        make_schema(database).await;
        let (first_url, second_url) = (database.url_at(first.address), database.url_at(second.address));
        wait_for_schema(&first_url).await;
        wait_for_schema(&second_url).await;
        promote(&second_url).await;

        // The first host is a standby, so the server uses the second one.
        let both = format!("{},{}", first.address, second.address);
        let url = first_url.replace(&first.address.to_string(), &both);
        let process = start_at(url).await;
        let admin = admin_at(&process);
        put_at_last(&admin, "low").await;
        admin.post("/v1/activities", &activity("low", "logged_in")).await.expect(201);

        second.stop();
        promote(&first_url).await;
        let refused = put_at_last(&admin, "high").await;
        admin.post("/v1/activities", &activity("high", "logged_in")).await.expect(201);
        let listed = admin.get("/v1/activities?action=logged_in").await.expect(200).json();
        assert_eq!(
            listed["activities"].as_array().map(Vec::len),
            Some(1),
            "the second host is gone: {listed}"
        );
        println!("writes go on after {refused:?}");
        drop(process);
    });
}

#[test]
fn certificate_of_version_1_is_no_reason_to_refuse_a_database() {
    let Some(server) = Helper::replica_with_old_certificate() else { return };
    run_with_database(Database::postgres(), async |database: &Database| {
        make_schema(database).await;
        let url = database.url_at(server.address);
        let plain: PgConnectOptions = url.parse().expect("a URL");
        let plain = plain.ssl_mode(PgSslMode::Disable).to_url_lossy().to_string();
        wait_for_schema(&plain).await;
        promote(&plain).await;
        let process = start_at(url).await;
        put_at_last(&admin_at(&process), "low").await;
        drop(process);
    });
}
