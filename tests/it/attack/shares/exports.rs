//! Exports, downloads and counts of one caller never stop those of others.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{EXPORT, LARGE_ROWS, OTHER, SlowClient, add_large_rows, person, set_up, start, token};
use crate::support::builders::{activity, content, user};
use crate::support::http::{Answer, Caller};
use crate::support::outbox::{Outbox, quick, report, run_now, schedule, sender};
use crate::support::server::ORG;
use crate::support::watch::watch;
use crate::support::{Database, TestServer, apply, both_databases};
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::sender::SenderOptions;

/// The duration within which a request of another caller must be answered.
const AS_USUAL: Duration = Duration::from_secs(8);

async fn in_time(name: &str, request: impl Future<Output = Answer>) -> Answer {
    let begin = Instant::now();
    let answer = request.await.expect(200);
    let elapsed = begin.elapsed();
    assert!(elapsed < AS_USUAL, "{name} took {elapsed:?}");
    answer
}

/// All requests that share a limit, each in time.
async fn check_shared_requests(caller: &Caller) {
    for path in [
        EXPORT,
        "/v1/activities/export.csv",
        "/v1/contents/c1/progress.csv",
        "/v1/activities/summary?by=action",
        "/v1/facets",
        "/v1/contents/c1/progress?count=exact",
    ] {
        in_time(path, caller.get(path)).await;
    }
}

#[apply(both_databases)]
async fn unread_exports_of_one_learner_delay_nobody_else(database: &Database) {
    let process = start(database, &[("ROLLBOOK_CONCURRENCY_WAIT_SECONDS", "5")]);
    set_up(&process, ORG).await;
    set_up(&process, OTHER).await;
    add_large_rows(&process, ORG).await;
    let learner = token(ORG, "learner", "bo");
    let admin = person(&process, ORG, "admin", "root");
    let other = person(&process, OTHER, "admin", "root");
    let ordinary = {
        let (base, token) = (process.base.clone(), token(ORG, "admin", "root"));
        move |client: &reqwest::Client| client.get(format!("{base}/v1/activities")).bearer_auth(&token)
    };
    let attack = async {
        let mut unread = Vec::new();
        for _ in 0..12 {
            unread.push(SlowClient::get(&process.base, EXPORT, Some(&learner)).await);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        check_shared_requests(&other).await;
        check_shared_requests(&admin).await;
        let exported = in_time("the large export", admin.get(EXPORT)).await;
        assert_eq!(exported.ndjson().len(), LARGE_ROWS + 1);
        let mut statuses = Vec::new();
        for client in &mut unread {
            statuses.push(client.status().await);
        }
        // The learner may have at most eight open exports. The further ones are refused after the wait.
        let sent = statuses.iter().filter(|status| **status == 200).count();
        assert!((1..=8).contains(&sent), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    };
    let ((), measured) = watch("12 unread exports of one learner", &process, ordinary, attack).await;
    assert_eq!(measured.failed, 0);
    assert!(measured.growth() < 200 << 20, "{measured}");
}

/// An export of a client that reads one byte a second, or nothing, is interrupted, and the caller can export again.
#[apply(both_databases)]
async fn export_that_is_read_too_slowly_is_interrupted(database: &Database) {
    let settings = [
        ("ROLLBOOK_EXPORT_WINDOW_SECONDS", "1"),
        ("ROLLBOOK_MAX_OPEN_EXPORTS_PER_CALLER", "1"),
        ("ROLLBOOK_CONCURRENCY_WAIT_SECONDS", "8"),
    ];
    let process = start(database, &settings);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    for _ in 0..3 {
        assert!(slow.read(1).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let whole = in_time("the export after the interrupted one", admin.get(EXPORT)).await;
    assert_eq!(whole.ndjson().len(), LARGE_ROWS + 1);
    assert_eq!(slow.body().await, None, "the slow export was interrupted");
}

#[apply(both_databases)]
async fn export_is_interrupted_at_its_deadline(database: &Database) {
    let process = start(database, &[("ROLLBOOK_EXPORT_DEADLINE_SECONDS", "1")]);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        slow.read(32 * 1024).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The rest of what the connection holds is read, and nothing that waited in the server.
    assert_eq!(slow.body().await, None);
}

/// Sends the log to `bo` by a link, and returns the link.
async fn send_link(server: &TestServer, ada: &Caller) -> String {
    let report = report(ada, "Everything", json!({})).await;
    let schedule = schedule(ada, &report, json!({}), &["bo"]).await;
    run_now(ada, &schedule).await;
    let outbox = Outbox::new();
    let options = SenderOptions {
        sizes: Sizes { gzip_above: 1, link_above: 1 },
        public_url: "https://rollbook.example.org/".to_owned(),
        ..quick()
    };
    sender(server, outbox.mailer(), options).work().await.expect("the sender succeeds");
    let [mail] = &outbox.take()[..] else { panic!("one message") };
    mail.link()
}

#[apply(both_databases)]
async fn unread_downloads_of_one_link_delay_no_other_link(server: &TestServer) {
    let root = server.person("admin", "root");
    for (id, role) in [("ada", "admin"), ("bo", "reporter")] {
        let body = user(id).set("email", format!("{id}@example.org")).set("role", role);
        root.put(&format!("/v1/users/{id}"), &body).await.expect(201);
    }
    root.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let credential = server.credential(ORG, &["activities/write"]).await;
    let row =
        activity("bo", "answered").set("content", "c1").set("result.response", "x".repeat(90_000)).json();
    for _ in 0..2 {
        credential.post("/v1/activities/batch", &vec![row.clone(); 100]).await.expect(201);
    }
    let ada = server.person("admin", "ada");
    let (opened, other) = (send_link(server, &ada).await, send_link(server, &ada).await);
    let mut unread = Vec::new();
    for _ in 0..6 {
        unread.push(SlowClient::get(&server.base, &opened, None).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    in_time("another link", server.anonymous().get(&other)).await;
    in_time("an export", ada.get(EXPORT)).await;
    // The database is read although nobody reads the files, so the same link can be opened again.
    in_time("the same link", server.anonymous().get(&opened)).await;
    for client in &mut unread {
        assert_eq!(client.status().await, 200);
    }
}
