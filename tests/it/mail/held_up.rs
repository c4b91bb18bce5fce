//! A mail server that hangs or fails holds up nothing but the run that speaks to it: no other run, no request, no stop.

use std::time::{Duration, Instant};

use rollbook::base::clock::Timestamp;
use rollbook::reports::sender::{EXPORTS_AT_ONCE, SenderOptions};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::runs::smtp;
use super::year::ada;
use crate::support::builders::user;
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer, apply, both_databases};

/// Longer than the test takes by far.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Waits until there are so many deliveries in the report's list.
async fn listed(caller: &Caller, report: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = deliveries(caller, report).await;
        if listed.len() >= count {
            return listed;
        }
        assert!(Instant::now() < until, "{} deliveries, not {count}", listed.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[apply(both_databases)]
async fn a_hanging_mail_server_holds_up_nothing_else(server: &TestServer) {
    let mails = SmtpServer::start().await;
    let options = SenderOptions {
        // Only a call wakes it, so that what comes soon is what it was woken for.
        poll: Duration::from_secs(1),
        lease: Duration::from_secs(2),
        ..quick()
    };
    let start_sender = server.start_sender(smtp(&mails, FOR_EVER), options.clone()).await;
    let caller = ada(&start_sender).await;
    let report = report(&caller, "Everything", json!({})).await;
    let hanging = schedule(&caller, &report, json!({}), &["ada"]).await;
    let quick = schedule(&caller, &report, json!({}), &["ada"]).await;

    mails.change_behaviour(|behaviour| behaviour.answer = FOR_EVER);
    run_now(&caller, &hanging).await;
    let first = mails.wait_for(1).await[0].header("Message-ID");
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::ZERO);
    for run in 1..=5 {
        run_now(&caller, &quick).await;
        listed(&caller, &report, run).await;
    }
    let pending = caller.get(&path(&hanging)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 0, "it still hangs: {pending}");

    // It is given up when the server stops, and the server waits for it no longer than it was told.
    drop(caller);
    let began = Instant::now();
    start_sender.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // Nobody knows whether that message was taken: it is sent again, and is the same message.
    let again = server.start_sender(smtp(&mails, FOR_EVER), options).await;
    let received = mails.wait_for(7).await;
    assert_eq!(received[6].header("Message-ID"), first);
    let caller = again.person("admin", "ada");
    assert!(listed(&caller, &report, 6).await.iter().all(|one| one["status"] == "sent"));
    drop(caller);
    again.stop().await;
}

#[apply(both_databases)]
async fn a_mail_server_that_is_down_costs_attempts_and_nothing_else(server: &TestServer) {
    let mails = SmtpServer::start().await;
    mails.change_behaviour(|behaviour| behaviour.down = true);
    let start_sender = server.start_sender(smtp(&mails, Duration::from_secs(5)), quick()).await;
    let caller = ada(&start_sender).await;
    let report = report(&caller, "Everything", json!({})).await;
    let mut schedules = Vec::new();
    for _ in 0..12 {
        let one = schedule(&caller, &report, json!({}), &["ada"]).await;
        run_now(&caller, &one).await;
        schedules.push(one);
    }
    for one in &schedules {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let pending = caller.get(&path(one)).await.expect(200).json()["pending"].clone();
            if pending["attempts"] == 1 {
                assert!(pending["reason"].is_string(), "{pending}");
                break;
            }
            assert!(Instant::now() < until, "{pending}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert!(deliveries(&caller, &report).await.is_empty());
    mails.change_behaviour(|behaviour| behaviour.down = false);
    let later = server.clock.now().micros() + 60_000_000;
    server.clock.set(Timestamp::from_micros(later));
    mails.wait_for(12).await;
    assert!(
        listed(&caller, &report, 12).await.iter().all(|one| one["status"] == "sent" && one["attempts"] == 2)
    );
    let metrics = caller.get("/metrics").await.expect(200);
    assert!(metrics.text().contains(r#"rollbook_deliveries_total{status="sent"}"#), "{}", metrics.text());
    assert!(!metrics.text().contains("acme"));
    drop(caller);
    start_sender.stop().await;
}

#[apply(both_databases)]
async fn a_backlog_of_one_organisation_holds_up_no_other(server: &TestServer) {
    let ada = ada(server).await;
    let report_of_ada = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report_of_ada, json!({}), &["ada"]).await;
    copy_schedules(server, 3_000, "recipients").await;
    let other = |user: &str| server.person_of("beta", json!({"sub": user, "role": "admin"}));
    let body = user("zoe").set("email", "zoe@example.net").set("role", "admin");
    other("root").put("/v1/users/zoe", &body).await.expect(201);

    // Ten days later; the other organisation's first moment is the last of all.
    let later = server.clock.now().micros() + 10 * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(later));
    let zoe = other("zoe");
    let report_of_zoe = report(&zoe, "Theirs", json!({})).await;
    let last = schedule(&zoe, &report_of_zoe, json!({}), &["zoe"]).await;
    let its_moment = "UPDATE schedules SET next_run_at = ";
    let its_moment = format!("{its_moment}{later} WHERE recipients LIKE '%zoe%'");
    assert_eq!(server.database().execute(&its_moment).await, 1, "{last}");

    let outbox = Outbox::new();
    let sender = sender(server, outbox.mailer(), quick());
    let start_sender = tokio::spawn(sender.run(std::future::pending()));
    listed(&zoe, &report_of_zoe, 1).await;
    let created = server.database().query_number("SELECT count(*) FROM deliveries").await;
    assert!(created < 1_000, "{created} runs were made before the other organisation's was sent");
    // The backlog goes on all the same, each schedule's oldest first.
    let sent = "SELECT count(*) FROM deliveries WHERE status = 1";
    let before = server.database().query_number(sent).await;
    let until = Instant::now() + Duration::from_secs(20);
    while server.database().query_number(sent).await < before + 200 {
        assert!(Instant::now() < until, "the backlog stands still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start_sender.abort();
    let _ = start_sender.await; // an error says that it was ended
    assert!(daily["next_run_at"].is_string());
}

#[apply(both_databases)]
async fn a_schedule_that_cannot_become_a_run_holds_up_none_behind_it(server: &TestServer) {
    let ada = ada(server).await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    // More than are looked at at once, with lists that can't be read, and due before the good one.
    copy_schedules(server, 300, "'no list'").await;
    let moment = server.clock.now().micros() + 3 * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(moment));
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("it works");
    assert_eq!(outbox.take().len(), 3, "{daily}");
    let waiting = format!("SELECT count(*) FROM schedules WHERE next_run_at <= {moment}");
    assert_eq!(server.database().query_number(&waiting).await, 300, "nothing of them is lost");
}

/// Copies the only schedule so many times, past the API, a second earlier and with other recipients.
async fn copy_schedules(server: &TestServer, copies: u32, recipients: &str) {
    let database = server.database();
    let (series, id) = (database.series(copies), database.random_id());
    let copied = database
        .execute(&format!(
            "INSERT INTO schedules (org, key, id, report, maker, frequency, at_minute, time_zone, weekday, \
             day_of_month, recipients, active, suspended, next_run_at, version, created_at, updated_at) \
             SELECT s.org, s.key + 1000000 + n, {id}, s.report, s.maker, s.frequency, s.at_minute, s.time_zone, \
             s.weekday, s.day_of_month, {recipients}, s.active, s.suspended, s.next_run_at - 1000000, s.version, \
             s.created_at, s.updated_at FROM schedules s CROSS JOIN ({series}) AS numbers"
        ))
        .await;
    assert_eq!(copied, u64::from(copies));
}

/// Exports that hang take the turns of others, and not their time. SQLite has no table that a reader must wait for.
async fn an_export_that_waits_for_its_turn(server: &TestServer) {
    let ada = ada(server).await;
    let report = report(&ada, "Everything", json!({})).await;
    for _ in 0..EXPORTS_AT_ONCE + 1 {
        let one = schedule(&ada, &report, json!({}), &["ada"]).await;
        run_now(&ada, &one).await;
    }
    let mut connection = sqlx::PgConnection::connect(&server.database().url()).await.expect("it answers");
    let locked = sqlx::raw_sql("BEGIN; LOCK TABLE activities IN ACCESS EXCLUSIVE MODE");
    locked.execute(&mut connection).await.expect("it is locked");
    let outbox = Outbox::new();
    let options = SenderOptions { pack_within: Duration::from_millis(1_500), ..quick() };
    let working = sender(server, outbox.mailer(), options);
    let unlocking = async {
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("it is unlocked");
    };
    let (worked, ()) = tokio::join!(working.work(), unlocking);
    worked.expect("it works");
    assert_eq!(outbox.take().len(), 1, "the one that had to wait for its turn");
    let attempts = server.database().query_number("SELECT sum(attempts)::bigint FROM deliveries").await;
    assert_eq!(attempts, EXPORTS_AT_ONCE as i64 + 1);
}

#[test]
fn waiting_for_a_turn_is_not_packing() {
    run(Database::postgres(), an_export_that_waits_for_its_turn);
}
