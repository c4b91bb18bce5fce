//! A revoked credential is refused: at once where it was revoked, and within a second elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use crate::support::http::Caller;
use crate::support::server::{run, run_with};
use crate::support::{Database, TestServer, apply, both_databases};

/// The time within which every replica refuses a revoked credential.
const WITHIN: Duration = Duration::from_secs(1);

/// Creates a credential. Returns its id, key and secret.
async fn create(admin: &Caller) -> (String, String, String) {
    let body = json!({"name": "Guessed", "scopes": ["activities/read"]});
    let created: Value = admin.post("/v1/credentials", &body).await.expect(201).json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    (text("id"), text("key"), text("secret"))
}

/// Uses a credential from several clients until `stop`, so that it is always being looked up.
fn use_constantly(caller: &Caller, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let clients = (0..6).map(|_| {
        let (caller, stop) = (caller.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                caller.get("/v1/actions").await;
            }
        })
    });
    clients.collect()
}

#[apply(both_databases)]
async fn credential_that_is_revoked_while_it_is_looked_up_is_refused_at_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    for _ in 0..8 {
        let (id, key, secret) = create(&admin).await;
        let caller = server.anonymous().with_basic(&key, &secret);
        let stop = Arc::new(AtomicBool::new(false));
        let clients = use_constantly(&caller, &stop);
        tokio::time::sleep(Duration::from_millis(120)).await;
        admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(250) {
            // The other clients may have used up the attempts of this address.
            let answer = caller.get("/v1/actions").await;
            assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
        }
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.expect("a client does not panic");
        }
    }
}

/// SQLite serves one process, so this is about PostgreSQL only.
#[test]
fn credential_that_one_replica_revoked_is_refused_by_the_others_within_a_second() {
    run(Database::postgres(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let replica = server.start_replica().await;
        for _ in 0..4 {
            let (id, key, secret) = create(&admin).await;
            let elsewhere = replica.anonymous().with_basic(&key, &secret);
            let stop = Arc::new(AtomicBool::new(false));
            let clients = use_constantly(&elsewhere, &stop);
            tokio::time::sleep(Duration::from_millis(700)).await;
            admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
            let revoked = Instant::now();
            let mut answer = elsewhere.get("/v1/actions").await;
            while answer.status == 200 {
                assert!(revoked.elapsed() < WITHIN, "still valid after {:?}", revoked.elapsed());
                answer = elsewhere.get("/v1/actions").await;
            }
            tokio::time::sleep(WITHIN.saturating_sub(revoked.elapsed())).await;
            for _ in 0..10 {
                assert_ne!(elsewhere.get("/v1/actions").await.status, 200);
            }
            stop.store(true, Ordering::SeqCst);
            for client in clients {
                client.await.expect("a client does not panic");
            }
        }
        replica.stop().await;
    });
}

/// The median time of refusing a secret for a key.
async fn median_refusal(caller: &Caller) -> Duration {
    let mut times = Vec::new();
    for _ in 0..25 {
        let begin = Instant::now();
        caller.get("/v1/actions").await.expect(401);
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

async fn compare_refusals(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (_, used, secret) = create(&admin).await;
    let (_, unused, _) = create(&admin).await;
    let (id, revoked, revoked_secret) = create(&admin).await;
    admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
    let valid = server.anonymous().with_basic(&used, &secret);
    valid.get("/v1/actions").await.expect(200);
    let mut medians = Vec::new();
    for _ in 0..6 {
        for (key, secret) in [
            (used.as_str(), "a wrong secret"),
            (unused.as_str(), "a wrong secret"),
            (revoked.as_str(), revoked_secret.as_str()),
            ("rk_nobody-has-this-key", "a wrong secret"),
        ] {
            valid.get("/v1/actions").await.expect(200);
            medians.push(median_refusal(&server.anonymous().with_basic(key, secret)).await);
        }
    }
    // The fastest median of each kind, so that a busy moment of the machine does not count.
    let kind = |index: usize| medians.iter().skip(index).step_by(4).min().expect("a median");
    let fastest = (0..4).map(kind).min().expect("a kind");
    let slowest = (0..4).map(kind).max().expect("a kind");
    assert!(*slowest < *fastest * 2 + Duration::from_millis(1), "{medians:?}");
}

#[test]
fn wrong_secret_takes_as_long_for_an_unknown_key_as_for_a_known_one() {
    for database in [Database::sqlite(), Database::postgres()] {
        let limits = Limits { refusals_per_second: 0, ..Limits::default() };
        run_with(database, AppOptions { limits, ..AppOptions::default() }, compare_refusals);
    }
}
