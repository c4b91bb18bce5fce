//! Two processes of `rollbook serve` on one PostgreSQL, one of which is killed in the midst of its work.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollbook::reports::sender::RUNS_AT_ONCE;
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{FROM, deliveries, report, schedule};
use crate::support::server::{SECRET, sign};
use crate::support::smtp_server::SmtpServer;

const RUNS: usize = 20;

struct Process {
    child: Child,
    base: String,
}

impl Process {
    /// Starts it and waits until it says where it listens.
    fn start(database: &Database, mails: &SmtpServer) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rollbook"))
            .args([
                "serve",
                "--migrate",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--database",
            ])
            .arg(database.url())
            .env("ROLLBOOK_JWT_SECRET", SECRET)
            .env("ROLLBOOK_SMTP_URL", mails.url())
            .env("ROLLBOOK_MAIL_FROM", FROM)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = child.stderr.take().expect("the log is piped");
        let mut lines = BufReader::new(log).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let entry: Value = serde_json::from_str(&line).ok()?;
            let address = entry
                .pointer("/fields/address")
                .or_else(|| entry.get("address"))?;
            address.as_str().map(str::to_owned)
        });
        let base = format!("http://{}", address.expect("the log says where it listens"));
        // Read on, or the server would wait for somebody to take its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    fn ada(&self) -> Caller {
        let claims = json!({"sub": "ada", "org": "acme", "role": "admin", "exp": 4_000_000_000_i64});
        Caller::nobody(reqwest::Client::new(), self.base.clone()).with_token(&sign(&claims))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

async fn one_of_two_is_killed(database: &Database) {
    let mails = SmtpServer::start().await;
    // Longer than either waits before it looks for something to do.
    mails.behave(|manners| manners.answer = Duration::from_secs(8));
    let (left, doomed) = (Process::start(database, &mails), Process::start(database, &mails));
    let ada = left.ada();
    let myself = user("ada").set("email", "ada@example.org").set("role", "admin");
    ada.put("/v1/users/ada", &myself).await.expect(201);
    ada.post("/v1/activities", &activity("ada", "logged_out"))
        .await
        .expect(201);
    let report = report(&ada, "Everything", json!({})).await;
    for _ in 0..RUNS {
        schedule(&ada, &report, json!({}), &["ada"]).await;
    }
    let now = "(extract(epoch FROM now()) * 1000000)::bigint";
    database
        .execute(&format!("UPDATE schedules SET next_run_at = {now}"))
        .await;

    // One process alone has no more than eight under way.
    let until = Instant::now() + Duration::from_secs(30);
    while mails.received().len() <= RUNS_AT_ONCE {
        assert!(
            Instant::now() < until,
            "only {} messages have come",
            mails.received().len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(doomed); // SIGKILL
    mails.behave(|manners| manners.answer = Duration::ZERO);

    let until = Instant::now() + Duration::from_secs(90);
    let listed = loop {
        let listed = deliveries(&ada, &report).await;
        if listed.len() == RUNS {
            break listed;
        }
        assert!(Instant::now() < until, "{} of {RUNS} have ended", listed.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(listed.iter().all(|one| one["status"] == "sent"), "{listed:?}");
    let due: BTreeSet<String> = listed
        .iter()
        .map(|one| format!("<{}.0@example.org>", one["id"].as_str().expect("an id")))
        .collect();
    let received = mails.received();
    let came: BTreeSet<String> = received.iter().map(|one| one.header("Message-ID")).collect();
    assert_eq!(came, due);
    // What the killed one had sent and not noted came twice, and nothing else.
    assert!(
        received.len() <= RUNS + RUNS_AT_ONCE,
        "{} messages",
        received.len()
    );
}

#[test]
fn what_a_killed_process_left_behind_is_sent_by_the_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async {
        let database = Database::postgres();
        database.create().await;
        one_of_two_is_killed(&database).await;
        database.delete().await;
    });
}
