//! Two processes of `rollbook serve` with one PostgreSQL database, one of which is killed while it sends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rollbook::reports::sender::SenderLimits;
use serde_json::json;

use crate::support::Database;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{FROM, deliveries, report, schedule};
use crate::support::process::{Process, serve};
use crate::support::server::sign;
use crate::support::smtp_server::SmtpServer;

const RUNS: usize = 20;

fn runs_at_once() -> usize {
    SenderLimits::default().runs.all()
}

fn start_process(database: &Database, mails: &SmtpServer) -> Process {
    let mut command = serve(database);
    command.env("ROLLBOOK_SMTP_URL", mails.url()).env("ROLLBOOK_MAIL_FROM", FROM);
    Process::start(command)
}

fn admin_of(process: &Process) -> Caller {
    let claims = json!({"sub": "ada", "org": "acme", "role": "admin", "exp": 4_000_000_000_i64});
    Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&sign(&claims))
}

async fn check_killed_process(database: &Database) {
    let mails = SmtpServer::start().await;
    // Longer than the interval at which the processes look for due runs.
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::from_secs(8));
    let (surviving, killed) = (start_process(database, &mails), start_process(database, &mails));
    let ada = admin_of(&surviving);
    let body = user("ada").set("email", "ada@example.org").set("role", "admin");
    ada.put("/v1/users/ada", &body).await.expect(201);
    ada.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let report = report(&ada, "Everything", json!({})).await;
    for _ in 0..RUNS {
        schedule(&ada, &report, json!({}), &["ada"]).await;
    }
    let now = "(extract(epoch FROM now()) * 1000000)::bigint";
    database.execute(&format!("UPDATE schedules SET next_run_at = {now}")).await;

    // One process alone sends at most eight runs at once, so both are sending.
    let until = Instant::now() + Duration::from_secs(30);
    while mails.received().len() <= runs_at_once() {
        assert!(Instant::now() < until, "only {} messages have come", mails.received().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(killed); // SIGKILL
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::ZERO);

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
    let expected_ids: BTreeSet<String> =
        listed.iter().map(|one| format!("<{}.0@example.org>", one["id"].as_str().expect("an id"))).collect();
    let received = mails.received();
    let received_ids: BTreeSet<String> = received.iter().map(|one| one.header("Message-ID")).collect();
    assert_eq!(received_ids, expected_ids);
    // Only messages that the killed process sent without saving that may arrive twice.
    assert!(received.len() <= RUNS + runs_at_once(), "{} messages", received.len());
}

#[test]
fn runs_of_a_killed_process_are_sent_by_the_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let database = Database::postgres();
        database.create().await;
        check_killed_process(&database).await;
        database.delete().await;
    });
}
