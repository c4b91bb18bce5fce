//! Tests that a mail server that hangs or fails delays only its own run: no other run, no request and no
//! shutdown.

use std::time::{Duration, Instant};

use rollbook::base::clock::Timestamp;
use rollbook::reports::sender::{SenderLimits, SenderOptions};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::runs::smtp_mailer;
use super::year::create_ada;
use crate::support::builders::user;
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer, apply, both_databases};

/// Much longer than a test takes.
const LONG_TIME: Duration = Duration::from_secs(600);

fn exports_of_one_organisation() -> usize {
    SenderLimits::default().exports.of_one()
}

/// Waits until the report has `count` deliveries.
async fn wait_for_deliveries(caller: &Caller, report: &str, count: usize) -> Vec<Value> {
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
async fn hanging_mail_server_delays_only_its_run(server: &TestServer) {
    let mails = SmtpServer::start().await;
    let options = SenderOptions {
        // A short interval would hide a missing wake-up.
        poll: Duration::from_secs(1),
        lease: Duration::from_secs(2),
        ..quick()
    };
    let server_with_sender = server.start_sender(smtp_mailer(&mails, LONG_TIME), options.clone()).await;
    let caller = create_ada(&server_with_sender).await;
    let report = report(&caller, "Everything", json!({})).await;
    let hanging = schedule(&caller, &report, json!({}), &["ada"]).await;
    let quick = schedule(&caller, &report, json!({}), &["ada"]).await;

    mails.change_behaviour(|behaviour| behaviour.answer = LONG_TIME);
    run_now(&caller, &hanging).await;
    let first = mails.wait_for(1).await[0].header("Message-ID");
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::ZERO);
    for run in 1..=5 {
        run_now(&caller, &quick).await;
        wait_for_deliveries(&caller, &report, run).await;
    }
    let pending = caller.get(&path(&hanging)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 0, "the run has ended: {pending}");

    // A shutdown cancels the run and does not wait for the mail server.
    drop(caller);
    let began = Instant::now();
    server_with_sender.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // The sender does not know whether the server accepted the message. It sends the message again with the
    // same id.
    let again = server.start_sender(smtp_mailer(&mails, LONG_TIME), options).await;
    let received = mails.wait_for(7).await;
    assert_eq!(received[6].header("Message-ID"), first);
    let caller = again.person("admin", "ada");
    assert!(wait_for_deliveries(&caller, &report, 6).await.iter().all(|one| one["status"] == "sent"));
    drop(caller);
    again.stop().await;
}

#[apply(both_databases)]
async fn runs_are_retried_after_a_mail_server_was_down(server: &TestServer) {
    let mails = SmtpServer::start().await;
    mails.change_behaviour(|behaviour| behaviour.down = true);
    let server_with_sender = server.start_sender(smtp_mailer(&mails, Duration::from_secs(5)), quick()).await;
    let caller = create_ada(&server_with_sender).await;
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
        wait_for_deliveries(&caller, &report, 12)
            .await
            .iter()
            .all(|one| one["status"] == "sent" && one["attempts"] == 2)
    );
    let metrics = caller.get("/metrics").await.expect(200);
    assert!(metrics.text().contains(r#"rollbook_deliveries_total{status="sent"}"#), "{}", metrics.text());
    assert!(!metrics.text().contains("acme"));
    drop(caller);
    server_with_sender.stop().await;
}

#[apply(both_databases)]
async fn backlog_of_one_organisation_does_not_delay_another(server: &TestServer) {
    let ada = create_ada(server).await;
    let adas_report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &adas_report, json!({}), &["ada"]).await;
    copy_schedules(server, 3_000, "recipients").await;
    // Ten days later. The run of the other organisation is the last due run.
    let later = server.clock.now().micros() + 10 * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(later));
    let zoe = create_zoe(server).await;
    let zoes_report = report(&zoe, "Report of Zoe", json!({})).await;
    let last = schedule(&zoe, &zoes_report, json!({}), &["zoe"]).await;
    let update = "UPDATE schedules SET next_run_at = ";
    let update = format!("{update}{later} WHERE recipients LIKE '%zoe%'");
    assert_eq!(server.database().execute(&update).await, 1, "{last}");

    let outbox = Outbox::new();
    let sender = sender(server, outbox.mailer(), quick());
    let task = tokio::spawn(sender.run(std::future::pending()));
    wait_for_deliveries(&zoe, &zoes_report, 1).await;
    let created = server.database().query_number("SELECT count(*) FROM deliveries").await;
    assert!(created < 1_000, "{created} runs were created before the run of the other organisation was sent");
    // The sender continues with the backlog.
    let sent = "SELECT count(*) FROM deliveries WHERE status = 1";
    let before = server.database().query_number(sent).await;
    let until = Instant::now() + Duration::from_secs(20);
    while server.database().query_number(sent).await < before + 200 {
        assert!(Instant::now() < until, "the backlog does not shrink");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task.abort();
    let _ = task.await; // returns an error because the task was cancelled
    assert!(daily["next_run_at"].is_string());
}

#[apply(both_databases)]
async fn invalid_schedules_do_not_delay_others(server: &TestServer) {
    let ada = create_ada(server).await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    // More schedules than the sender reads at once, with invalid recipients, and due before the valid
    // schedule.
    copy_schedules(server, 300, "'no list'").await;
    let now = server.clock.now().micros() + 3 * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(now));
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 3, "{daily}");
    let waiting = format!("SELECT count(*) FROM schedules WHERE next_run_at <= {now}");
    assert_eq!(server.database().query_number(&waiting).await, 300, "the invalid schedules remain due");
}

/// Creates an admin of an organisation, who receives reports.
async fn create_admin_of(server: &TestServer, organisation: &str) -> Caller {
    let admin = server.person_of(organisation, json!({"sub": "ann", "role": "admin"}));
    let body = user("ann").set("email", "ann@example.org").set("role", "admin");
    admin.put("/v1/users/ann", &body).await.expect(201);
    admin
}

#[apply(both_databases)]
async fn two_hanging_organisations_leave_a_run_for_others(server: &TestServer) {
    let mails = SmtpServer::start().await;
    mails.change_behaviour(|behaviour| behaviour.answer = LONG_TIME);
    let server_with_sender = server.start_sender(smtp_mailer(&mails, LONG_TIME), quick()).await;
    for organisation in ["alpha", "beta"] {
        let ann = create_admin_of(&server_with_sender, organisation).await;
        let report = report(&ann, "Everything", json!({})).await;
        for _ in 0..8 {
            let one = schedule(&ann, &report, json!({}), &["ann"]).await;
            run_now(&ann, &one).await;
        }
    }
    let left = SenderLimits::default().runs.all() - 1;
    mails.wait_for(left).await;
    // Enough time for a run that must not begin.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(mails.received().len(), left);
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::ZERO);
    let ann = create_admin_of(&server_with_sender, "gamma").await;
    let report = report(&ann, "Everything", json!({})).await;
    for run in 1..=3 {
        let one = schedule(&ann, &report, json!({}), &["ann"]).await;
        run_now(&ann, &one).await;
        wait_for_deliveries(&ann, &report, run).await;
    }
    assert_eq!(mails.received().len(), left + 3);
    drop(ann);
    server_with_sender.stop().await;
}

/// Copies the only schedule in the database `copies` times, due one second earlier and with other
/// recipients.
async fn copy_schedules(server: &TestServer, copies: u32, recipients: &str) {
    let database = server.database();
    let (series, id) = (database.series(copies), database.random_id());
    let copied = database
        .execute(&format!(
            "INSERT INTO schedules (org, key, id, report, maker, frequency, at_minute, time_zone, weekday, \
             day_of_month, recipients, bom, active, suspended, next_run_at, version, created_at, updated_at) \
             SELECT s.org, s.key + 1000000 + n, {id}, s.report, s.maker, s.frequency, s.at_minute, s.time_zone, \
             s.weekday, s.day_of_month, {recipients}, s.bom, s.active, s.suspended, s.next_run_at - 1000000, s.version, \
             s.created_at, s.updated_at FROM schedules s CROSS JOIN ({series}) AS numbers"
        ))
        .await;
    assert_eq!(copied, u64::from(copies));
}

/// Exports that hang delay other exports, but the waiting time does not count as export time. In SQLite no
/// table can block a reader, so this test needs PostgreSQL.
async fn check_waiting_exports(server: &TestServer) {
    let ada = create_ada(server).await;
    let report = report(&ada, "Everything", json!({})).await;
    for _ in 0..exports_of_one_organisation() + 1 {
        let one = schedule(&ada, &report, json!({}), &["ada"]).await;
        run_now(&ada, &one).await;
    }
    let mut connection = server.database().lock_table("activities").await;
    let outbox = Outbox::new();
    let options = SenderOptions { pack_within: Duration::from_millis(1_500), ..quick() };
    let working = sender(server, outbox.mailer(), options);
    let unlocking = async {
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("the table is unlocked");
    };
    let (worked, ()) = tokio::join!(working.work(), unlocking);
    worked.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 1, "only the export that waited succeeds");
    let attempts = server.database().query_number("SELECT sum(attempts)::bigint FROM deliveries").await;
    assert_eq!(attempts, exports_of_one_organisation() as i64 + 1);
}

#[test]
fn waiting_for_other_exports_is_not_export_time() {
    run(Database::postgres(), check_waiting_exports);
}

/// Creates an admin of another organisation.
async fn create_zoe(server: &TestServer) -> Caller {
    let other = |user: &str| server.person_of("beta", json!({"sub": user, "role": "admin"}));
    let body = user("zoe").set("email", "zoe@example.net").set("role", "admin");
    other("root").put("/v1/users/zoe", &body).await.expect(201);
    other("zoe")
}

/// The ledger and the runs of an organisation are locked. It has more due schedules than the sender reads at
/// once. In SQLite no row can be locked, so this test needs PostgreSQL.
async fn check_locked_organisation(server: &TestServer) {
    let ada = create_ada(server).await;
    let adas_report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &adas_report, json!({}), &["ada"]).await;
    copy_schedules(server, 200, "recipients").await;
    run_now(&ada, &daily).await;
    let later = server.clock.now().micros() + 2 * 86_400_000_000;
    server.clock.set(Timestamp::from_micros(later));
    let zoe = create_zoe(server).await;
    let zoes_report = report(&zoe, "Report of Zoe", json!({})).await;
    let last = schedule(&zoe, &zoes_report, json!({}), &["zoe"]).await;
    server.clock.set(Timestamp::from_micros(later + 86_400_000_000));

    let mut connection =
        sqlx::PgConnection::connect(&server.database().url()).await.expect("the database answers");
    let locked = sqlx::raw_sql(
        "BEGIN; \
         SELECT 1 FROM ledgers l JOIN organisations o ON o.key = l.org WHERE o.id = 'acme' FOR UPDATE OF l; \
         SELECT 1 FROM deliveries FOR UPDATE",
    );
    locked.execute(&mut connection).await.expect("the rows are locked");
    let outbox = Outbox::new();
    let task = tokio::spawn(sender(server, outbox.mailer(), quick()).run(std::future::pending()));
    let began = Instant::now();
    wait_for_deliveries(&zoe, &zoes_report, 1).await;
    // A run that is started by hand is claimed, too.
    run_now(&zoe, &last).await;
    wait_for_deliveries(&zoe, &zoes_report, 2).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(deliveries(&ada, &adas_report).await.is_empty());

    sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("the rows are unlocked");
    wait_for_deliveries(&ada, &adas_report, 1).await;
    task.abort();
    let _ = task.await; // returns an error because the task was cancelled
}

#[test]
fn locked_organisation_does_not_delay_the_runs_of_another() {
    run(Database::postgres(), check_locked_organisation);
}
