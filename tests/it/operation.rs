//! The binary as an operator runs it: killed, stopped, started on a schema that is not its own, on the database of
//! an older release.

mod upgrade;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Database;
use crate::support::process::{Process, serve};

const KEY: &str = "integration";
const SECRET: &str = "a-secret-of-a-test-with-enough-length";

/// The command that serves this database, with the integration whose records are counted.
fn serving(database: &Database) -> Command {
    let mut command = serve(database);
    command.env("ROLLBOOK_BOOTSTRAP_CREDENTIAL", format!("acme:{KEY}:{SECRET}"));
    command
}

async fn post(client: &reqwest::Client, base: &str, number: usize) -> Option<String> {
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

/// Posts from eight clients until `stop`, and gives the ids that were acknowledged, counting them as they are.
async fn post_until(base: &str, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<String> {
    let clients = (0..8).map(|client| {
        let (base, stop, count) = (base.to_owned(), Arc::clone(&stop), Arc::clone(&count));
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                match post(&http, &base, client * 1_000_000 + number).await {
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
            serde_json::from_str::<Value>(line).expect("a row")["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
        .collect()
}

/// What was acknowledged before the process ended is there when it runs again.
async fn nothing_acknowledged_is_lost(database: &Database, signal: &str) {
    let process = Process::start(serving(database));
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let posting = tokio::spawn({
        let (base, stop, count) = (process.base.clone(), Arc::clone(&stop), Arc::clone(&count));
        async move { post_until(&base, stop, count).await }
    });
    // In the midst of it, however long a busy machine takes to get there.
    let patience = Instant::now() + Duration::from_secs(60);
    while count.load(Ordering::SeqCst) < 50 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.signal(signal);
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::SeqCst);
    let acknowledged = posting.await.expect("the clients end");
    assert!(
        acknowledged.len() > 20,
        "only {} were acknowledged: no load to speak of",
        acknowledged.len()
    );
    drop(process);
    let again = Process::start(serving(database));
    let kept = all_ids(&again.base).await;
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost",
        lost.len(),
        acknowledged.len()
    );
}

/// A binary refuses a schema that is behind or ahead of its own, and says which command mends it.
async fn another_schema_is_refused(database: &Database) {
    drop(Process::start(serving(database)));
    let ahead = "UPDATE _sqlx_migrations SET version = version + 1000 \
                 WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    database.execute(ahead).await;
    let refused = serving(database).output().expect("the binary runs");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("newer"), "{said}");
}

fn on(database: Database, story: impl AsyncFnOnce(&Database)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async {
        database.create().await;
        story(&database).await;
        database.delete().await;
    });
}

macro_rules! stories {
    ($($name:ident: $story:expr;)+) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn sqlite() {
                    on(Database::sqlite(), $story);
                }

                #[test]
                fn postgres() {
                    on(Database::postgres(), $story);
                }
            }
        )+
    };
}

stories! {
    killed_under_load: async |database: &Database| nothing_acknowledged_is_lost(database, "KILL").await;
    stopped_under_load: async |database: &Database| nothing_acknowledged_is_lost(database, "TERM").await;
    on_a_newer_schema: async |database: &Database| another_schema_is_refused(database).await;
}

/// PostgreSQL is migrated only when asked for; without, the command is named.
#[test]
fn an_empty_postgres_is_refused_with_the_command_that_mends_it() {
    on(Database::postgres(), async |database: &Database| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
        let command = command
            .args(["serve", "--listen", "127.0.0.1:0", "--database"])
            .arg(database.url());
        let refused = command.output().expect("the binary runs");
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("rollbook migrate"), "{said}");
    });
}
