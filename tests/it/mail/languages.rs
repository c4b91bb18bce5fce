//! Tests of the language of messages: that of the recipient, else of the schedule's maker.

use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use crate::support::builders::{activity, user};
use crate::support::outbox::{Mail, Outbox, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

/// The message for this address.
fn find<'m>(mails: &'m [Mail], address: &str) -> &'m Mail {
    let mail = mails.iter().find(|mail| mail.to == address);
    mail.unwrap_or_else(|| panic!("no message for {address}"))
}

fn partners() -> RecipientRules {
    RecipientRules { domains: vec!["partner.example".to_owned()] }
}

#[test]
fn message_is_in_the_language_of_its_recipient_on_sqlite() {
    let options = AppOptions { recipients: partners(), ..AppOptions::default() };
    run_with(Database::sqlite(), options, check_messages);
}

#[test]
fn message_is_in_the_language_of_its_recipient_on_postgres() {
    let options = AppOptions { recipients: partners(), ..AppOptions::default() };
    run_with(Database::postgres(), options, check_messages);
}

async fn check_messages(server: &TestServer) {
    let root = server.person("admin", "root");
    let admin = |id: &str, language: Option<&str>| {
        let user = user(id).set("email", format!("{id}@example.org")).set("role", "admin");
        language.map_or(user.clone(), |language| user.set("language", language)).json()
    };
    let users: [Value; 4] =
        [admin("ada", Some("de-CH")), admin("max", Some("pl")), admin("kim", Some("sv")), admin("bo", None)];
    root.post("/v1/users/batch", &users).await.expect(200);
    root.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let ada = server.person("admin", "ada");
    let report = report(&ada, "Weekly", json!({"period": "last_7_days"})).await;
    let to = ["ada", "max", "kim", "bo", "eve@partner.example"];
    let weekly = schedule(&ada, &report, json!({"frequency": "weekly"}), &to).await;
    run_now(&ada, &weekly).await;
    let outbox = Outbox::new();
    let options = SenderOptions { recipients: partners(), ..quick() };
    sender(server, outbox.mailer(), options).work().await.expect("the sender succeeds");

    let mails = outbox.take();
    assert_eq!(mails.len(), 5);
    let own = find(&mails, "ada@example.org");
    assert_eq!(own.subject, "Weekly, 12. März 2026 bis 18. März 2026");
    for text in [
        "Bericht:",
        "die letzten 7 Tage: 12. März 2026 bis 18. März 2026",
        "jeden Montag um 08:00 Uhr",
        "Der Bericht enthält die Zeilen, die Sie sehen dürfen.",
    ] {
        assert!(own.text.contains(text), "{text}:\n{}", own.text);
    }
    let polish = find(&mails, "max@example.org");
    assert_eq!(polish.subject, "Weekly, od 12 marca 2026 do 18 marca 2026");
    assert!(polish.text.contains("w każdy poniedziałek o 08:00"), "{}", polish.text);
    // The directory has no language of the last three, or one without texts.
    for address in ["kim@example.org", "bo@example.org", "eve@partner.example"] {
        let mail = find(&mails, address);
        assert!(mail.text.contains("Gesendet an:"), "{address}: {}", mail.text);
    }
    // A program reads the file, so it is the same for all.
    assert!(mails.iter().all(|mail| mail.csv == own.csv && mail.csv.is_some()));
    let csv = String::from_utf8(own.csv.clone().unwrap_or_default()).expect("UTF-8");
    assert!(csv.contains("First name,"), "{csv}");
}
