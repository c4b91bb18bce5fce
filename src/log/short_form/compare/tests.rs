//! Tests of the comparison with stored records.

use crate::base::clock::Timestamp;
use crate::log::short_form::{Resolved, ResolvedContent, ShortForm, ShortFormRules};
use crate::record::{Envelope, Identifier, Statement};

const FULL: &str = r#"{"user":"ada","action":"completed","content":"fire","happened_at":"2026-03-01T09:00:00Z",
    "result":{"success":true,"score":92.5,"total_time":"PT1M","response":"b"},
    "responses":[{"question":"1","response":"b"}],"certificate":{"name":"Warden"},"source":"library"}"#;

fn form(text: &str) -> ShortForm {
    ShortForm::parse(
        text,
        &ShortFormRules {
            recorder: true,
            depth: 16,
            now: Timestamp::from_micros(1_780_315_200_000_000),
        },
    )
    .unwrap()
}

fn statement(form: &ShortForm, account: &str) -> Statement {
    let actor = Identifier::Account {
        home_page: "https://acme.example".to_owned(),
        name: account.to_owned(),
    };
    let content = form.content.as_ref().map(|_| ResolvedContent {
        iri: "https://acme.example/fire",
        title: None,
        learning_type: None,
        content_type: None,
    });
    let resolved = Resolved {
        id: crate::base::ids::StatementId("0190a000-0000-7000-8000-000000000001".parse().unwrap()),
        actor: &actor,
        actor_name: None,
        content,
        platform: "https://acme.example",
        happened_at: form.happened_at.unwrap_or(Timestamp::from_micros(1_000_000)),
    };
    form.to_statement(&resolved).unwrap()
}

fn difference(again: &str) -> Option<&'static str> {
    let (stored, again) = (form(FULL), form(again));
    again.difference(
        &statement(&again, "ada"),
        &statement(&stored, "ada"),
        &stored.envelope(Envelope::default()),
    )
}

#[test]
fn repeated_activity_is_the_same() {
    assert_eq!(difference(FULL), None);
    assert_eq!(
        difference(
            &FULL
                .replace("PT1M", "0000:01:00.00")
                .replace("09:00:00Z", "10:00:00+01:00")
        ),
        None
    );
}

#[test]
fn omitted_members_are_not_compared() {
    assert_eq!(difference(r#"{"user":"ada","action":"completed"}"#), None);
    assert_eq!(
        difference(r#"{"user":"ada","action":"completed","result":{"score":{"scaled":0.925}}}"#),
        None
    );
    assert_eq!(
        difference(r#"{"user":"ada","verb":"http://adlnet.gov/expapi/verbs/completed"}"#),
        None
    );
}

#[test]
fn changed_members_are_differences() {
    for (from, to, member) in [
        ("completed", "failed", "/action"),
        ("09:00", "09:01", "/happened_at"),
        ("true", "false", "/result/success"),
        ("92.5", "92", "/result/score"),
        ("PT1M", "PT61S", "/result/total_time"),
        ("\"response\":\"b\"},", "\"response\":\"c\"},", "/result/response"),
        ("\"1\"", "\"2\"", "/responses"),
        ("Warden", "Guard", "/certificate"),
        ("library", "shop", "/source"),
        ("\"source\"", "\"device_type\"", "/device_type"),
        ("\"source\"", "\"comment\"", "/comment"),
        ("\"source\"", "\"recorded_by\"", "/recorded_by"),
    ] {
        assert_eq!(difference(&FULL.replace(from, to)), Some(member));
    }
    let more = FULL.replace("\"source\"", "\"expired_at\":\"2027-01-01T00:00:00Z\",\"source\"");
    assert_eq!(difference(&more), Some("/expired_at"));
    let registered = FULL.replace(
        "\"source\"",
        "\"registration\":\"0190a000-0000-7000-8000-000000000009\",\"source\"",
    );
    assert_eq!(difference(&registered), Some("/registration"));
}

#[test]
fn other_user_or_content_is_a_difference() {
    let (stored, envelope) = (form(FULL), form(FULL).envelope(Envelope::default()));
    let other = form(&FULL.replace("ada", "bob"));
    assert_eq!(
        other.difference(&statement(&other, "bob"), &statement(&stored, "ada"), &envelope),
        Some("/user")
    );
    let login = form(r#"{"user":"ada","action":"completed"}"#);
    assert_eq!(
        stored.difference(&statement(&stored, "ada"), &statement(&login, "ada"), &envelope),
        Some("/content")
    );
    assert!(!stored.is_same_as(&statement(&stored, "ada"), &statement(&login, "ada"), &envelope));
}
