//! Tests of `wait`.

use std::time::{Duration, Instant};

use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use super::copy::Copy;
use super::{completed, send};
use crate::support::builders::user;
use crate::support::http::{Answer, Caller};
use crate::support::server::{ORG, run_with};
use crate::support::{Database, TestServer, apply, both_databases};

/// The address at which nothing has changed yet.
async fn address_of_end(admin: &Caller, feed: &str, wait: usize) -> String {
    let mut copy = Copy::of_log();
    copy.next = feed.to_owned();
    copy.follow(admin).await;
    format!("{feed}?after={}&wait={wait}", copy.place())
}

/// Begins a request in another task.
fn begin(caller: &Caller, path: String) -> tokio::task::JoinHandle<(Answer, Duration)> {
    let caller = caller.clone();
    tokio::spawn(async move {
        let begin = Instant::now();
        let answer = caller.get(&path).await;
        (answer, begin.elapsed())
    })
}

/// Time for requests to arrive and to begin to wait.
async fn let_them_wait() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

#[apply(both_databases)]
async fn waiting_request_is_answered_by_the_next_change(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    let second = server.start_replica().await;
    let on_second = second.person("admin", "root");
    for n in [2, 4] {
        let (reader, writer) = if n == 2 { (&admin, &admin) } else { (&admin, &on_second) };
        let waiting = begin(reader, address_of_end(&admin, "/v1/activities/changes", 20).await);
        let directory = begin(reader, address_of_end(&admin, "/v1/directory/changes", 20).await);
        let_them_wait().await;
        assert!(!waiting.is_finished() && !directory.is_finished());
        send(writer, completed(n, "ada@example.org", "urn:c")).await;
        let (answer, _) = waiting.await.expect("an answer");
        let page = answer.expect(200).json();
        assert_eq!(page["changes"][0]["op"], "upsert");
        assert!(page["next"].as_str().expect("a next page").ends_with("&wait=20"));
        let_them_wait().await;
        assert!(!directory.is_finished(), "a record of a known content is no change of the directory");
        writer.put(&format!("/v1/users/u{n}"), &user(&format!("u{n}"))).await.expect(201);
        let (answer, elapsed) = directory.await.expect("an answer");
        assert_eq!(answer.expect(200).json()["changes"][0]["user"]["id"], format!("u{n}"));
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    }
    second.stop().await;
}

#[apply(both_databases)]
async fn wait_without_a_change_ends_with_an_empty_page(server: &TestServer) {
    let admin = server.person("admin", "root");
    // Nothing was written yet: the organisation does not exist.
    let early = begin(&admin, "/v1/activities/changes?wait=10".to_owned());
    let_them_wait().await;
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    let (answer, elapsed) = early.await.expect("an answer");
    assert_eq!(answer.expect(200).json()["changes"].as_array().map(Vec::len), Some(1));
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    let path = address_of_end(&admin, "/v1/activities/changes", 1).await;
    let (answer, elapsed) = begin(&admin, path.clone()).await.expect("an answer");
    assert_eq!(answer.expect(200).json(), json!({"changes": [], "next": path}));
    assert!(elapsed >= Duration::from_secs(1), "{elapsed:?}");
    // The token ends before the wait.
    let expires = server.clock.now().micros() / 1_000_000 + 2;
    let brief = server.person_of(ORG, json!({"sub": "root", "role": "admin", "exp": expires}));
    let path = address_of_end(&admin, "/v1/directory/changes", 25).await;
    let (answer, elapsed) = begin(&brief, path).await.expect("an answer");
    answer.expect(200);
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

#[apply(both_databases)]
async fn waiting_requests_hold_no_connection_and_end_with_the_server(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    let second = server.start_replica().await;
    let path = address_of_end(&admin, "/v1/activities/changes", 30).await;
    // More than the pool has connections.
    let waiting: Vec<_> =
        (0..30).map(|n| begin(&second.person("admin", &format!("root{}", n % 3)), path.clone())).collect();
    let_them_wait().await;
    assert!(waiting.iter().all(|request| !request.is_finished()));
    let on_second = second.person("admin", "root");
    for _ in 0..5 {
        on_second.get("/v1/activities").await.expect(200);
    }
    let begin = Instant::now();
    drop(on_second);
    second.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    for request in waiting {
        let (answer, _) = request.await.expect("an answer");
        let answer = answer.expect(200);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.json()["changes"], Value::Array(Vec::new()));
    }
}

async fn check_limit(server: &TestServer) {
    let (admin, other) = (server.person("admin", "root"), server.person("admin", "other"));
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    let path = address_of_end(&admin, "/v1/activities/changes", 10).await;
    let first = begin(&admin, path.clone());
    let_them_wait().await;
    let (refused, elapsed) = begin(&admin, path.clone()).await.expect("an answer");
    let refused = refused.expect(503);
    assert!(refused.header("retry-after").is_some() && elapsed < Duration::from_secs(5), "{elapsed:?}");
    let of_other_caller = begin(&other, path);
    // Requests that need not wait have no limit.
    admin.get("/v1/activities/changes?wait=10").await.expect(200);
    let_them_wait().await;
    send(&admin, completed(2, "ada@example.org", "urn:c")).await;
    for request in [first, of_other_caller] {
        request.await.expect("an answer").0.expect(200);
    }
}

#[test]
fn caller_with_too_many_waiting_requests_is_refused() {
    let limits = Limits {
        waiting_feeds: 8,
        waiting_feeds_per_caller: 1,
        concurrency_wait: Duration::from_millis(200),
        ..Limits::default()
    };
    run_with(Database::sqlite(), AppOptions { limits, ..AppOptions::default() }, check_limit);
}
