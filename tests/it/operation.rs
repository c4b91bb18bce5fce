//! The binary as an operator runs it: killed, stopped, and started on a database with another schema.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::process::{Process, serve};
use crate::support::server::run_with_database;
use crate::support::{Database, apply, both_databases};

mod distribution;
mod failover;
mod hosts;
mod independence;
mod metrics;
mod openapi_document;
mod pooler;
mod replica;
mod start;
mod views;
mod waiting;

const KEY: &str = "integration";
const SECRET: &str = "a-secret-of-a-test-with-enough-length";

/// The command that serves this database, with a credential for the requests of the tests.
fn serve_with_credential(database: &Database) -> Command {
    let mut command = serve(database);
    command.env("ROLLBOOK_BOOTSTRAP_CREDENTIAL", format!("acme:{KEY}:{SECRET}"));
    command
}

async fn post_activity(client: &reqwest::Client, base: &str, number: usize) -> Option<String> {
    let activity = json!({"user": {"email": format!("u{number}@example.com")}, "action": "logged_out"});
    let answer = client
        .post(format!("{base}/v1/activities"))
        .basic_auth(KEY, Some(SECRET))
        .header("Content-Type", "application/json")
        .body(activity.to_string())
        .send()
        .await
        .ok()?;
    let created = answer.status() == reqwest::StatusCode::CREATED;
    let body: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    created.then(|| body["id"].as_str().expect("an id").to_owned())
}

/// Posts activities from eight clients until `stop`, counts the acknowledged ones, and returns their ids.
async fn post_activities_until(base: &str, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<String> {
    let clients = (0..8).map(|client| {
        let (base, stop, count) = (base.to_owned(), Arc::clone(&stop), Arc::clone(&count));
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                match post_activity(&http, &base, client * 1_000_000 + number).await {
                    Some(id) => {
                        count.fetch_add(1, Ordering::SeqCst);
                        acknowledged.push(id);
                    }
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            acknowledged
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.expect("a client doesn't panic"));
    }
    all
}

async fn all_ids(base: &str) -> std::collections::HashSet<String> {
    let client = reqwest::Client::new();
    let text = client
        .get(format!("{base}/v1/activities/export.ndjson"))
        .basic_auth(KEY, Some(SECRET))
        .send()
        .await
        .expect("the export answers")
        .text()
        .await
        .expect("the export ends well");
    text.lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("a row")["id"].as_str().expect("an id").to_owned()
        })
        .collect()
}

/// Ends the server under load with a signal, and checks that every acknowledged activity is stored.
async fn no_acknowledged_activity_is_lost(database: &Database, signal: &str) {
    let process = Process::start(serve_with_credential(database));
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let clients = tokio::spawn({
        let (base, stop, count) = (process.base.clone(), Arc::clone(&stop), Arc::clone(&count));
        async move { post_activities_until(&base, stop, count).await }
    });
    // Wait until requests are answered, however slow the machine is.
    let deadline = Instant::now() + Duration::from_secs(60);
    while count.load(Ordering::SeqCst) < 50 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.signal(signal);
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::SeqCst);
    let acknowledged = clients.await.expect("the clients end");
    assert!(acknowledged.len() > 20, "only {} activities were acknowledged", acknowledged.len());
    drop(process);
    let restarted = Process::start(serve_with_credential(database));
    let stored = all_ids(&restarted.base).await;
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} activities are lost", lost.len(), acknowledged.len());
}

#[apply(both_databases)]
async fn killed_process_loses_no_acknowledged_activity(database: &Database) {
    no_acknowledged_activity_is_lost(database, "KILL").await;
}

#[apply(both_databases)]
async fn stopped_process_loses_no_acknowledged_activity(database: &Database) {
    no_acknowledged_activity_is_lost(database, "TERM").await;
}

/// The message names the problem: the schema is newer than the binary.
#[apply(both_databases)]
async fn newer_schema_is_refused(database: &Database) {
    drop(Process::start(serve_with_credential(database)));
    let newer = "UPDATE _sqlx_migrations SET version = version + 1000 \
                 WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    database.execute(newer).await;
    let output = serve_with_credential(database).output().expect("the binary starts");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("newer"), "{errors}");
}

/// `serve` migrates a new SQLite file, but never PostgreSQL. Its message names the command to run.
#[test]
fn empty_postgres_is_refused_and_the_message_names_the_migrate_command() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
        let command = command.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(database.url());
        let output = command.output().expect("the binary starts");
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains("rollbook migrate"), "{errors}");
    });
}
