//! Tests of manual runs, paused schedules and retries, and of their deliveries and schedules.

use std::time::Duration;

use rollbook::base::clock::Timestamp;
use rollbook::reports::mailer::{Mailer, SmtpSettings};
use rollbook::reports::sender::Sender;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::year::create_ada;
use crate::support::builders::user;
use crate::support::outbox::{FROM, Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::smtp_server::SmtpServer;
use crate::support::{TestServer, apply, both_databases};

const MINUTE: i64 = 60_000_000;

/// A mailer for the mail server.
pub fn smtp_mailer(server: &SmtpServer, timeout: Duration) -> Mailer {
    let settings = SmtpSettings { url: SecretString::from(server.url()), timeout, certificate: None };
    Mailer::smtp(&settings, FROM).expect("valid settings")
}

/// A sender for the mail server.
fn smtp_sender(server: &TestServer, smtp_server: &SmtpServer) -> Sender {
    sender(server, smtp_mailer(smtp_server, Duration::from_secs(5)), quick())
}

#[apply(both_databases)]
async fn manual_runs_are_additional(server: &TestServer) {
    let ada = create_ada(server).await;
    let outbox = Outbox::new();
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    let (first, second) = (run_now(&ada, &daily).await, run_now(&ada, &daily).await);
    assert_ne!(first, second);
    let waiting = ada.get(&path(&daily)).await.expect(200).json();
    assert!(waiting["pending"].is_object(), "{waiting}");
    assert!(deliveries(&ada, &report).await.is_empty(), "a run that has not ended is listed");
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 2);
    let listed = deliveries(&ada, &report).await;
    let ids: Vec<_> = listed.iter().map(|one| one["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, [&first, &second]);
    let after = ada.get(&path(&daily)).await.expect(200).json();
    assert_eq!((&after["pending"], &after["next_run_at"]), (&Value::Null, &daily["next_run_at"]));

    // A paused schedule has only manual runs.
    ada.patch(&path(&daily), &json!({"active": false})).await.expect(200);
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 3 * 86_400_000_000));
    let manual_run = run_now(&ada, &daily).await;
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 1);
    let listed = deliveries(&ada, &report).await;
    assert_eq!((listed.len(), listed[2]["id"].as_str()), (3, Some(manual_run.as_str())));
    let paused = ada.get(&path(&daily)).await.expect(200).json();
    assert_eq!((&paused["active"], &paused["next_run_at"]), (&json!(false), &Value::Null));
}

#[apply(both_databases)]
async fn deleted_schedule_has_no_runs(server: &TestServer) {
    let ada = create_ada(server).await;
    let outbox = Outbox::new();
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    run_now(&ada, &daily).await;
    ada.delete(&path(&daily)).await.expect(204);
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert!(outbox.take().is_empty());
    assert!(deliveries(&ada, &report).await.is_empty());
}

#[apply(both_databases)]
async fn run_fails_after_retries_with_growing_delays(server: &TestServer) {
    let ada = create_ada(server).await;
    let mails = SmtpServer::start().await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    let delivery = run_now(&ada, &daily).await;
    let begin = server.clock.now().micros();
    mails.change_behaviour(|behaviour| behaviour.refuses_message = Some(451));
    let sender = smtp_sender(server, &mails);
    let mut at = begin;
    for (attempt, wait) in [1, 5, 15, 60, 240].into_iter().enumerate() {
        sender.work().await.expect("the sender succeeds");
        assert_eq!(mails.connections(), attempt + 1);
        let pending = ada.get(&path(&daily)).await.expect(200).json()["pending"].clone();
        assert_eq!(pending["attempts"], attempt + 1, "{pending}");
        assert!(pending["reason"].as_str().expect("a reason").contains("ada"), "{pending}");
        at += wait * MINUTE;
        let next = Timestamp::from_micros(at).to_string();
        assert_eq!(pending["next_attempt_at"], next.as_str());
        // Not earlier.
        server.clock.set(Timestamp::from_micros(at - 1));
        sender.work().await.expect("the sender succeeds");
        assert_eq!(mails.connections(), attempt + 1);
        server.clock.set(Timestamp::from_micros(at));
    }
    sender.work().await.expect("the sender succeeds");
    assert_eq!(mails.connections(), 6);
    let listed = deliveries(&ada, &report).await;
    assert_eq!(listed[0]["id"], delivery.as_str());
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&json!("failed"), &json!(6)));
    let recipient = &listed[0]["recipients"][0];
    assert_eq!((&recipient["status"], &recipient["sent_at"]), (&json!("failed"), &Value::Null));
    assert!(recipient["reason"].as_str().expect("a reason").contains("451"), "{recipient}");
    sender.work().await.expect("the sender succeeds");
    assert_eq!(mails.connections(), 6, "no attempt after the last");
}

#[apply(both_databases)]
async fn removed_recipient_is_not_retried(server: &TestServer) {
    let ada = create_ada(server).await;
    let admin = server.person("admin", "root");
    let bo = user("bo").set("email", "bo@example.org").set("role", "reporter");
    admin.put("/v1/users/bo", &bo).await.expect(201);
    let mails = SmtpServer::start().await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada", "bo"]).await;
    run_now(&ada, &daily).await;
    mails.change_behaviour(|behaviour| {
        _ = behaviour.refused_recipients.insert("bo@example.org".to_owned(), 450)
    });
    let sender = smtp_sender(server, &mails);
    sender.work().await.expect("the sender succeeds");
    mails.change_behaviour(|behaviour| behaviour.refused_recipients.clear());
    ada.patch(&path(&daily), &json!({"recipients": ["ada"]})).await.expect(200);
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + MINUTE));
    sender.work().await.expect("the sender succeeds");
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["ada@example.org"]);
    let listed = deliveries(&ada, &report).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["recipients"][1]["status"]),
        (&json!("failed"), &json!("failed"))
    );
}

#[apply(both_databases)]
async fn recipients_that_got_the_message_are_not_retried(server: &TestServer) {
    let ada = create_ada(server).await;
    let admin = server.person("admin", "root");
    for id in ["bo", "cy"] {
        let body = user(id).set("email", format!("{id}@example.org")).set("role", "reporter");
        admin.put(&format!("/v1/users/{id}"), &body).await.expect(201);
    }
    let mails = SmtpServer::start().await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada", "bo", "cy"]).await;
    run_now(&ada, &daily).await;
    mails.change_behaviour(|behaviour| {
        behaviour.refused_recipients.insert("bo@example.org".to_owned(), 450);
        behaviour.refused_recipients.insert("cy@example.org".to_owned(), 550);
    });
    let sender = smtp_sender(server, &mails);
    sender.work().await.expect("the sender succeeds");
    assert_eq!(mails.received().len(), 1);
    mails.change_behaviour(|behaviour| behaviour.refused_recipients.clear());
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + MINUTE));
    sender.work().await.expect("the sender succeeds");
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["ada@example.org", "bo@example.org"]);
    let listed = deliveries(&ada, &report).await;
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&json!("failed"), &json!(2)));
    let statuses: Vec<_> = listed[0]["recipients"]
        .as_array()
        .expect("recipients")
        .iter()
        .map(|one| one["status"].as_str().expect("a status"))
        .collect();
    assert_eq!(statuses, ["sent", "sent", "failed"]);
    let reason = listed[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("cy") && !reason.contains("bo"), "{reason}");
}

#[apply(both_databases)]
async fn run_with_invalid_report_fails_for_all_recipients(server: &TestServer) {
    let ada = create_ada(server).await;
    let outbox = Outbox::new();
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    run_now(&ada, &daily).await;
    server.database().execute("UPDATE reports SET filter = 'x' || filter").await;
    let sender = sender(server, outbox.mailer(), quick());
    let mut at = server.clock.now().micros();
    for wait in [1, 5, 15, 60, 240, 1] {
        sender.work().await.expect("the sender succeeds");
        at += wait * MINUTE;
        server.clock.set(Timestamp::from_micros(at));
    }
    server.database().execute("UPDATE reports SET filter = substr(filter, 2)").await;
    let listed = deliveries(&ada, &report).await;
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&json!("failed"), &json!(6)));
    let recipient = &listed[0]["recipients"][0];
    assert_eq!(recipient["status"], "failed");
    assert!(recipient["reason"].is_string() && recipient["reason"] == listed[0]["reason"], "{}", listed[0]);
    assert!(outbox.take().is_empty());
}

#[apply(both_databases)]
async fn run_fails_after_six_crashes(server: &TestServer) {
    let ada = create_ada(server).await;
    let outbox = Outbox::new();
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    run_now(&ada, &daily).await;
    let claim = async || {
        let claim = server.store.claim_run(server.clock.now(), Duration::ZERO, &[]).await;
        claim.expect("the sender succeeds").expect("a run")
    };
    // A claim that was released does not count as an attempt.
    for _ in 0..10 {
        let claim = claim().await;
        assert_eq!(claim.attempts, 0);
        assert!(server.store.release_run(&claim, Duration::from_secs(1)).await.expect("the sender succeeds"));
    }
    for attempt in 0..6 {
        assert_eq!(claim().await.attempts, attempt);
    }
    let sender = sender(server, outbox.mailer(), quick());
    sender.work().await.expect("the sender succeeds");
    assert!(outbox.take().is_empty());
    let listed = deliveries(&ada, &report).await;
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&json!("failed"), &json!(6)));
    assert!(listed[0]["seconds"].as_f64().expect("seconds") >= 10.0, "{}", listed[0]);
    let recipient = &listed[0]["recipients"][0];
    assert!(recipient["reason"].as_str().expect("a reason").contains("never came to an end"), "{recipient}");

    // A run that succeeds at its last attempt is sent.
    run_now(&ada, &daily).await;
    for attempt in 0..5 {
        assert_eq!(claim().await.attempts, attempt);
    }
    sender.work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 1);
    let listed = deliveries(&ada, &report).await;
    assert_eq!((&listed[1]["status"], &listed[1]["attempts"]), (&json!("sent"), &json!(6)));
}
