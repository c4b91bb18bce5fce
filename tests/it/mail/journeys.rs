//! Tests the way of a report from the schedule to the mailbox: the attachment equals the recipient's own
//! export, byte for byte.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use mailin::AuthMechanism::Plain;
use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::reports::mailer::{Mailer, SmtpSettings};
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::rights::RecipientRules;
use rollbook::reports::sender::SenderOptions;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::runs::smtp_mailer;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{FROM, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::smtp_server::{LOGIN, Received, Security, SmtpServer};
use crate::support::{Database, TestServer, apply, both_databases};

/// Creates users and activities. Ada reads all of them, Max reads himself and two people. Some names need
/// quotes in CSV.
async fn set_up(server: &TestServer) -> Caller {
    let root = server.person("admin", "root");
    let users = [
        user("ada").set("email", "ada@example.org").set("role", "admin"),
        user("max").set("email", "max@example.org").set("role", "manager").set("first_name", "Max \"M\""),
        user("bo").set("email", "bo@example.org").set("manager", "max").set("first_name", "Bo, Bö 😀"),
        user("cy").set("email", "cy@example.org").set("manager", "max").set("first_name", "=1+1;=1+1"),
        user("di").set("email", "di@example.org").set("first_name", "."),
    ];
    let users: Vec<Value> = users.iter().map(|user| user.json()).collect();
    root.post("/v1/users/batch", &users).await.expect(200);
    for _ in 0..3 {
        let batch: Vec<Value> =
            ["ada", "max", "bo", "cy", "di"].map(|id| activity(id, "logged_out").json()).into();
        root.post("/v1/activities/batch", &batch).await.expect(201);
    }
    server.person("admin", "ada")
}

/// The message for this address.
fn message_for<'a>(messages: &'a [Received], address: &str) -> &'a Received {
    let mut found = messages.iter().filter(|message| message.to == [address]);
    let message = found.next().unwrap_or_else(|| panic!("nothing for {address}"));
    assert!(found.next().is_none(), "more than one for {address}");
    message
}

async fn export(caller: &Caller, report: &str) -> Vec<u8> {
    caller.get(&format!("/v1/reports/{report}/export.csv?bom=true")).await.expect(200).body
}

/// The recipients of a delivery: the recipient, the status and the number of rows.
fn recipient_results(delivery: &Value) -> Vec<(&str, &str, Option<u64>)> {
    let recipients = delivery["recipients"].as_array().expect("recipients");
    recipients
        .iter()
        .map(|recipient| {
            let text = |name: &str| recipient[name].as_str().expect("a text");
            (text("recipient"), text("status"), recipient["rows"].as_u64())
        })
        .collect()
}

/// Recipients inside and outside the organisation, over TLS with a login.
async fn check_mails(server: &TestServer) {
    let ada = set_up(server).await;
    let mails = SmtpServer::start_with(Security::StartTls, &[Plain]).await;
    let report = report(&ada, "Weekly: Bo, \"Cy\" & Dï", json!({"period": "last_7_days"})).await;
    let to = ["ada", "max@example.org", "eve@partner.example"];
    let weekly = schedule(&ada, &report, json!({"frequency": "weekly"}), &to).await;
    let delivery = run_now(&ada, &weekly).await;

    let settings = SmtpSettings {
        url: SecretString::from(mails.url()),
        timeout: Duration::from_secs(30),
        certificate: Some(mails.certificate()),
    };
    let options = SenderOptions { recipients: partners(), ..quick() };
    let sender = sender(server, Mailer::smtp(&settings, FROM).expect("good settings"), options);
    sender.work().await.expect("the sender succeeds");

    let messages = mails.received();
    assert_eq!(messages.len(), 3);
    let max = server.person("manager", "max");
    for (address, reader) in
        [("ada@example.org", &ada), ("max@example.org", &max), ("eve@partner.example", &ada)]
    {
        let message = message_for(&messages, address);
        assert!(message.encrypted && message.user.as_deref() == Some(LOGIN.0));
        assert_eq!(message.from, "rollbook@example.org");
        let (name, kind, bytes) = message.file();
        assert_eq!((name.as_str(), kind.as_str()), ("weekly-bo-cy-dï-2026-03-18.csv", "text/csv"));
        let expected = export(reader, &report).await;
        assert!(bytes == expected, "{address}: {}", String::from_utf8_lossy(&bytes));
        assert_eq!(message.header("Subject"), "Weekly: Bo, \"Cy\" & Dï, 12 March 2026 to 18 March 2026");
        let text = message.text();
        for expected_text in
            ["the last 7 days: 12 March 2026 to 18 March 2026", "every Monday at 08:00", "To stop it, "]
        {
            assert!(text.contains(expected_text), "the message does not contain {expected_text}:\n{text}");
        }
    }
    let ids: Vec<_> = messages.iter().map(|message| message.header("Message-ID")).collect();
    assert!(ids.iter().all(|id| id.contains(&delivery) && id.ends_with("@example.org>")), "{ids:?}");
    assert!(message_for(&messages, "max@example.org").text().contains("and you may see."));
    assert!(!message_for(&messages, "eve@partner.example").text().contains("and you may see."));

    let listed = deliveries(&ada, &report).await;
    assert_eq!((listed.len(), &listed[0]["status"]), (1, &json!("sent")));
    // Max reads his own rows and those of two people.
    let results = recipient_results(&listed[0]);
    assert_eq!(results.iter().map(|one| one.1).collect::<Vec<_>>(), ["sent"; 3]);
    assert_eq!(results.iter().map(|one| one.2).collect::<Vec<_>>(), [Some(15), Some(9), Some(15)]);
}

fn partners() -> RecipientRules {
    RecipientRules { domains: vec!["partner.example".to_owned()] }
}

fn options_with_partners() -> AppOptions {
    AppOptions { recipients: partners(), ..AppOptions::default() }
}

#[test]
fn report_is_sent_from_schedule_to_mailbox_sqlite() {
    run_with(Database::sqlite(), options_with_partners(), check_mails);
}

#[test]
fn report_is_sent_from_schedule_to_mailbox_postgres() {
    run_with(Database::postgres(), options_with_partners(), check_mails);
}

#[apply(both_databases)]
async fn large_files_are_compressed_or_linked(server: &TestServer) {
    let ada = set_up(server).await;
    let mails = SmtpServer::start().await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    let expected = export(&ada, &report).await;
    let whole = expected.len() as u64;
    for (gzip_above, link_above) in [(whole, whole), (whole - 1, whole), (0, 10)] {
        let options = SenderOptions {
            sizes: Sizes { gzip_above, link_above },
            public_url: "https://learning.example.org/rollbook/".to_owned(),
            ..quick()
        };
        run_now(&ada, &daily).await;
        let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(30)), options);
        sender.work().await.expect("the sender succeeds");
    }
    let [plain, gzip, link] = mails.received().try_into().expect("three messages");
    assert!(plain.file().2 == expected);
    let (name, kind, bytes) = gzip.file();
    assert_eq!((name.as_str(), kind.as_str()), ("everything-2026-03-18.csv.gz", "application/gzip"));
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).expect("a gzip file");
    assert!(unpacked == expected);
    let text = link.text();
    let url = text.lines().find(|line| line.starts_with("https://")).expect("a link");
    let at = url.strip_prefix("https://learning.example.org/rollbook").expect("the public address");
    let downloaded = server.anonymous().get(at).await.expect(200);
    assert!(downloaded.body == expected);
    assert_eq!(link.parsed().subparts.len(), 1, "nothing is attached");

    let listed = deliveries(&ada, &report).await;
    let linked: Vec<_> = listed.iter().map(|one| &one["recipients"][0]["linked"]).collect();
    assert_eq!(linked, [&json!(false), &json!(false), &json!(true)]);
    for delivery in &listed {
        let one = &delivery["recipients"][0];
        assert_eq!((&one["rows"], &one["bytes"]), (&json!(15), &json!(whole)), "{delivery}");
    }
}

#[apply(both_databases)]
async fn dropped_message_is_sent_again_with_the_same_id(server: &TestServer) {
    let ada = set_up(server).await;
    let mails = SmtpServer::start().await;
    let report = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &report, json!({}), &["ada"]).await;
    run_now(&ada, &daily).await;
    mails.change_behaviour(|behaviour| behaviour.drops_message = true);
    let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(30)), quick());
    sender.work().await.expect("the sender succeeds");
    assert!(deliveries(&ada, &report).await.is_empty());
    let pending = ada.get(&path(&daily)).await.expect(200).json()["pending"].clone();
    let reason = pending["reason"].as_str().expect("a reason");
    assert!(pending["attempts"] == 1 && reason.contains("connection"), "{pending}");

    mails.change_behaviour(|behaviour| behaviour.drops_message = false);
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 60_000_000));
    sender.work().await.expect("the sender succeeds");
    let listed = deliveries(&ada, &report).await;
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&json!("sent"), &json!(2)));
    let [first, second] = mails.received().try_into().expect("two messages");
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert!(first.file() == second.file());
}

#[apply(both_databases)]
async fn report_name_cannot_add_headers_or_markup(server: &TestServer) {
    let ada = set_up(server).await;
    let mails = SmtpServer::start().await;
    let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(30)), quick());
    let names = [
        "=?utf-8?q?=0D=0ABcc:_eve=40example.org?=".to_owned(),
        "<script>alert(1)</script>\"'&".to_owned(),
        "....".repeat(63),
        "moc.live%0D%0ABcc: eve@example.org".to_owned(),
        "😀".repeat(255),
    ];
    let mut schedules = Vec::new();
    for name in &names {
        let report = report(&ada, name, json!({})).await;
        schedules.push((report.clone(), schedule(&ada, &report, json!({}), &["ada"]).await));
    }
    for (index, (report, daily)) in schedules.iter().enumerate() {
        run_now(&ada, daily).await;
        sender.work().await.expect("the sender succeeds");
        let messages = mails.received();
        assert_eq!(messages.len(), index + 1);
        let message = &messages[index];
        assert_eq!(
            (message.to.as_slice(), message.header("Bcc")),
            (&["ada@example.org".to_owned()][..], String::new())
        );
        assert!(message.file().2 == export(&ada, report).await);
        let html = message.parsed().subparts[0].subparts[1].get_body().expect("HTML");
        assert!(!html.contains("<script"), "{html}");
    }
    // Names with control characters and invisible ones are refused.
    for name in
        ["a\r\nBcc: eve@example.org", "a\0b", "a\u{85}b", "\u{202e}moc.live", "a\u{2028}Bcc: eve@example.org"]
    {
        let body = json!({"name": name, "filter": {}});
        ada.post("/v1/reports", &body).await.expect(400);
    }
}
