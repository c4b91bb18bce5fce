//! Tests of every member of the short form, valid and invalid, and of the statement.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::clock::Timestamp;
use crate::log::short_form::{Resolved, ResolvedContent};
use crate::record::{Envelope, Limits, Origin, Statement, Version, parse_statement};

const RULES: ShortFormRules = ShortFormRules {
    recorder: true,
    depth: 16,
    now: NOW,
};

/// 2026-06-01T12:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_780_315_200_000_000);

fn parse(value: &Value) -> ShortForm {
    ShortForm::parse(&value.to_string(), &RULES).unwrap()
}

fn pointers(value: &Value, rules: &ShortFormRules) -> Vec<String> {
    let faults = ShortForm::parse(&value.to_string(), rules).unwrap_err();
    faults.into_iter().map(|fault| fault.pointer).collect()
}

/// A valid activity with some members changed.
fn activity(changed: Value) -> Value {
    let mut activity = json!({"user": "ada", "action": "completed", "content": "fire-safety"});
    for (key, value) in changed.as_object().unwrap() {
        activity[key] = value.clone();
    }
    activity
}

fn full() -> Value {
    json!({
        "id": "0190a000-0000-7000-8000-00000000000A", "user": {"mbox": "mailto:ada@acme.example", "name": "Ada"},
        "action": "completed",
        "content": {"id": "quiz", "title": "Forklift \"Quiz\"", "type": "quiz", "content_type": null},
        "happened_at": "2026-03-01T09:00:00.123456Z",
        "result": {"success": true, "completion": true, "score": 92.5, "total_time": "0000:05:30.00", "response": "b"},
        "responses": [{"question": "1", "prompt": "Why?", "response": "", "correct": true, "score": 1, "seconds": 2.5}],
        "certificate": {"name": "Warden", "expires_at": "2027-03-01T00:00:00Z"}, "expired_at": "2027-01-01T00:00:00Z",
        "device_type": "mobile", "source": "library", "registration": "0190a000-0000-7000-8000-00000000000b",
        "recorded_by": "bob", "comment": "in person",
    })
}

#[test]
fn every_member_is_parsed() {
    let form = parse(&full());
    assert_eq!(
        form.id.unwrap().to_string(),
        "0190a000-0000-7000-8000-00000000000a"
    );
    assert!(matches!(&form.user, UserRef::Agent { name: Some(name), .. } if name == "Ada"));
    assert_eq!(form.action, ActionOrVerb::Action(Action::Completed));
    assert!(form.content.as_ref().unwrap().can_create_content());
    assert_eq!(form.result.score.unwrap().scaled, Some(0.925));
    assert_eq!(form.result.total_time.as_ref().unwrap().whole_seconds(), 330);
    assert_eq!(form.responses.len(), 1);
    assert_eq!(form.recorded_by.as_ref().unwrap().as_str(), "bob");
    let envelope = form.envelope(Envelope {
        origin: Origin::Api,
        defines: true,
        ..Envelope::default()
    });
    assert_eq!(envelope.origin, Origin::Api);
    assert_eq!(envelope.device_type.as_deref(), Some("mobile"));
    assert_eq!(
        envelope.certificate.as_ref().unwrap().name.as_deref(),
        Some("Warden")
    );
    assert_eq!(envelope.comment.as_deref(), Some("in person"));
    assert!(envelope.defines);
}

#[test]
fn envelope_takes_omitted_values_from_its_base() {
    let base = Envelope {
        device_type: Some("api".to_owned()),
        recorded_by: UserId::new("eve").ok(),
        ..Envelope::default()
    };
    let envelope = parse(&activity(json!({"source": null}))).envelope(base.clone());
    assert_eq!(envelope, base);
}

#[test]
fn user_is_an_id_an_address_or_an_agent() {
    let user = |user: Value| parse(&activity(json!({"user": user}))).user;
    assert_eq!(user(json!("ada")), UserRef::Id(UserId::new("ada").unwrap()));
    assert!(
        matches!(user(json!({"email": "Ada@acme.example"})), UserRef::Email { email, .. } if email == "Ada@acme.example")
    );
    let account = json!({"account": {"homePage": "https://acme.example", "name": "7"}});
    assert!(matches!(
        user(account),
        UserRef::Agent {
            identifier: Identifier::Account { .. },
            name: None
        }
    ));
}

#[test]
fn content_is_an_id_or_a_description() {
    let content = |content: Value| parse(&activity(json!({"content": content}))).content.unwrap();
    assert!(!content(json!("fire")).can_create_content());
    assert!(!content(json!({"id": "fire", "title": "Fire"})).can_create_content());
    assert!(content(json!({"id": "fire", "title": "Fire", "type": "item"})).can_create_content());
    assert!(content(json!({"iri": "https://acme.example/fire"})).can_create_content());
}

#[test]
fn each_fault_has_its_pointer() {
    for (changed, pointer) in [
        (json!({"usr": "ada"}), "/usr"),
        (json!({"user": ""}), "/user"),
        (json!({"user": 7}), "/user"),
        (json!({"user": null}), "/user"),
        (json!({"user": {"email": "ada"}}), "/user/email"),
        (
            json!({"user": {"email": "ada@acme.example", "name": "Ada"}}),
            "/user/name",
        ),
        (json!({"user": {"mbox": "ada"}}), "/user/mbox"),
        (json!({"user": {"name": "Ada"}}), "/user"),
        (
            json!({"user": {"objectType": "Group", "mbox": "mailto:a@acme.example"}}),
            "/user/objectType",
        ),
        (json!({"action": "finished"}), "/action"),
        (json!({"action": null}), "/action"),
        (json!({"verb": "urn:x:y"}), "/verb"),
        (json!({"action": null, "verb": "played"}), "/verb"),
        (
            json!({"action": null, "verb": "http://adlnet.gov/expapi/verbs/voided"}),
            "/verb",
        ),
        (json!({"action": "logged_in"}), "/content"),
        (json!({"content": {"title": "Fire"}}), "/content/id"),
        (json!({"content": {"id": "a", "iri": "urn:x:a"}}), "/content/iri"),
        (json!({"content": {"iri": "fire"}}), "/content/iri"),
        (json!({"content": {"id": "a", "type": "film"}}), "/content/type"),
        (
            json!({"content": {"id": "a", "content_type": "film"}}),
            "/content/content_type",
        ),
        (json!({"content": {"id": "a", "tags": []}}), "/content/tags"),
        (json!({"happened_at": "yesterday"}), "/happened_at"),
        (json!({"happened_at": 5}), "/happened_at"),
        (json!({"happened_at": "2026-03-01T09:00:00"}), "/happened_at"),
        (json!({"happened_at": "2026-06-02T12:00:01Z"}), "/happened_at"),
        (json!({"expired_at": "2027-03-01T09:00:00"}), "/expired_at"),
        (
            json!({"certificate": {"expires_at": "2027-03-01T09:00"}}),
            "/certificate/expires_at",
        ),
        (json!({"id": "7"}), "/id"),
        (json!({"id": "{0190a000-0000-7000-8000-000000000001}"}), "/id"),
        (json!({"registration": "7"}), "/registration"),
        (json!({"result": 5}), "/result"),
        (json!({"result": {"score": 101}}), "/result/score"),
        (json!({"result": {"score": -1}}), "/result/score"),
        (json!({"result": {"score": "45%"}}), "/result/score"),
        (
            json!({"result": {"score": {"percent": 45}}}),
            "/result/score/percent",
        ),
        (
            json!({"result": {"score": {"raw": 5, "max": 4}}}),
            "/result/score/raw",
        ),
        (json!({"result": {"success": "true"}}), "/result/success"),
        (
            json!({"result": {"total_time": "5 minutes"}}),
            "/result/total_time",
        ),
        (json!({"result": {"total_time": -5}}), "/result/total_time"),
        (json!({"result": {"time": 5}}), "/result/time"),
        (json!({"responses": {}}), "/responses"),
        (
            json!({"responses": [{"question": "1", "response": "a"}, {"question": "2"}]}),
            "/responses/1/response",
        ),
        (json!({"responses": [{"response": "a"}]}), "/responses/0/question"),
        (
            json!({"responses": [{"question": "1", "response": "a", "seconds": -1}]}),
            "/responses/0/seconds",
        ),
        (
            json!({"certificate": {"expires": "2027-01-01T00:00:00Z"}}),
            "/certificate/expires",
        ),
        (
            json!({"certificate": {"expires_at": "2027"}}),
            "/certificate/expires_at",
        ),
        (json!({"expired_at": "2027"}), "/expired_at"),
        (json!({"device_type": "x".repeat(256)}), "/device_type"),
        (json!({"recorded_by": ""}), "/recorded_by"),
        (json!({"comment": 5}), "/comment"),
    ] {
        assert_eq!(
            pointers(&activity(changed.clone()), &RULES),
            [pointer],
            "{changed}"
        );
    }
    assert_eq!(pointers(&json!([]), &RULES), [""]);
}

#[test]
fn activity_may_be_a_day_in_the_future() {
    let form = parse(&activity(json!({"happened_at": "2026-06-02T12:00:00Z"})));
    assert_eq!(
        form.happened_at,
        Some(Timestamp::from_micros(NOW.micros() + 86_400_000_000))
    );
}

#[test]
fn null_members_inside_user_and_score_count_as_missing() {
    let agent = json!({"mbox": null, "account": {"homePage": "https://acme.example", "name": "7"},
        "name": null, "objectType": null, "openid": null, "email": null});
    let form = parse(&activity(json!({"user": agent})));
    assert!(matches!(form.user, UserRef::Agent { name: None, .. }));
    let form = parse(&activity(
        json!({"user": {"email": "ada@acme.example", "name": null, "mbox": null}}),
    ));
    assert!(matches!(form.user, UserRef::Email { .. }));
    assert_eq!(
        pointers(&activity(json!({"user": {"mbox": null}})), &RULES),
        ["/user"]
    );
    let score = parse(&activity(
        json!({"result": {"score": {"raw": 7, "min": null, "max": 10}}}),
    ));
    assert_eq!(score.result.score.and_then(|score| score.max), Some(10.0));
}

#[test]
fn value_of_the_wrong_type_is_told_which_one_is_needed() {
    for (changed, word) in [
        (json!({"result": {"score": "85"}}), "a score is a number"),
        (json!({"result": {"score": [85]}}), "a score is a number"),
        (json!({"result": {"score": {"raw": "85"}}}), "a number is needed"),
        (json!({"result": {"total_time": {}}}), "a number of seconds"),
        (json!({"content": 7}), "a content's id"),
        (json!({"user": 7}), "a user's id"),
    ] {
        let faults = ShortForm::parse(&activity(changed.clone()).to_string(), &RULES).unwrap_err();
        assert!(
            faults.listed()[0].detail.contains(word),
            "{changed}: {}",
            faults.listed()[0].detail
        );
    }
}

#[test]
fn all_faults_are_reported_together() {
    let wrong =
        activity(json!({"user": 7, "action": "finished", "result": {"score": 101, "success": 1}, "x": 1}));
    let mut pointers = pointers(&wrong, &RULES);
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/action", "/result/score", "/result/success", "/user", "/x"]
    );
}

#[test]
fn faults_of_a_batch_point_to_their_elements() {
    let good = activity(json!({})).to_string();
    let bad = activity(json!({"user": 7})).to_string();
    let elements = [
        good.as_str(),
        bad.as_str(),
        "{",
        r#"{"user":"a","action":"started","x\u0000":1}"#,
    ];
    let faults = ShortForm::parse_batch(&elements, &RULES).faults;
    let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(places[..2], ["/1/user", "/2"]);
    assert!(places[2].starts_with("/3") && places.len() == 3, "{places:?}");
    assert_eq!(ShortForm::parse_batch(&elements[..1], &RULES).values.len(), 1);
}

#[test]
fn persons_may_not_send_a_recorder() {
    let rules = ShortFormRules {
        recorder: false,
        ..RULES
    };
    let wrong = activity(json!({"recorded_by": "bob", "comment": "in person"}));
    assert_eq!(pointers(&wrong, &rules), ["/recorded_by", "/comment"]);
    assert!(ShortForm::parse(&activity(json!({"comment": null})).to_string(), &rules).is_ok());
}

fn resolved<'a>(actor: &'a Identifier, content: Option<ResolvedContent<'a>>) -> Resolved<'a> {
    Resolved {
        id: StatementId("0190a000-0000-7000-8000-000000000001".parse().unwrap()),
        actor,
        actor_name: Some("Ada \"A\" Obi"),
        content,
        platform: "https://acme.example",
        happened_at: Timestamp::from_micros(1_767_225_600_123_456),
    }
}

fn ada() -> Identifier {
    Identifier::Account {
        home_page: "https://acme.example".to_owned(),
        name: "ada".to_owned(),
    }
}

/// The statement of the form as JSON text.
fn statement_text(form: &ShortForm, resolved: &Resolved<'_>) -> String {
    form.to_statement(resolved).unwrap().to_json()
}

fn parse_text(text: &str) -> Statement {
    parse_statement(text.as_bytes(), Version::V1, &Limits::default()).unwrap()
}

#[test]
fn statement_has_the_values_of_the_short_form() {
    let content = ResolvedContent {
        iri: "https://acme.example/quiz",
        title: Some("Forklift \"Quiz\""),
        learning_type: Some(LearningType::Quiz),
        content_type: None,
    };
    let actor = ada();
    let text = statement_text(&parse(&full()), &resolved(&actor, Some(content)));
    parse_text(&text);
    let expected = json!({
        "id": "0190a000-0000-7000-8000-000000000001",
        "actor": {"objectType": "Agent", "name": "Ada \"A\" Obi",
            "account": {"homePage": "https://acme.example", "name": "ada"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "Completed"}},
        "object": {"objectType": "Activity", "id": "https://acme.example/quiz", "definition": {
            "name": {"und": "Forklift \"Quiz\""}, "type": "http://adlnet.gov/expapi/activities/assessment"}},
        "result": {"score": {"scaled": 0.925}, "success": true, "completion": true, "response": "b",
            "duration": "PT0H5M30S"},
        "context": {"registration": "0190a000-0000-7000-8000-00000000000b"},
        "timestamp": "2026-01-01T00:00:00.123456Z",
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

#[test]
fn statement_without_content_is_about_the_platform() {
    let actor = ada();
    let login = parse(&json!({"user": "ada", "action": "logged_in"}));
    let login = statement_text(&login, &resolved(&actor, None));
    let statement = parse_text(&login);
    let verbs = crate::log::VerbTable::standard();
    assert_eq!(verbs.action(statement.verb.id.as_str()), Action::LoggedIn);
    assert!(
        login.contains(r#""object":{"objectType":"Activity","id":"https://acme.example"}"#),
        "{login}"
    );
    assert!(statement.result.is_none() && statement.context.is_none());
    assert!(
        crate::log::placement::find_content_candidates(&verbs, &statement, "https://acme.example").is_empty()
    );
}

#[test]
fn every_action_and_verb_gives_a_valid_statement() {
    let actor = ada();
    let verbs = crate::log::VerbTable::standard();
    for action in Action::ALL {
        let form = parse(&json!({"user": "ada", "action": action.key()}));
        let statement = parse_text(&statement_text(&form, &resolved(&actor, None)));
        assert_eq!(verbs.action(statement.verb.id.as_str()), *action);
    }
    let form = parse(&json!({"user": "ada", "verb": "urn:x:y"}));
    assert_eq!(
        parse_text(&statement_text(&form, &resolved(&actor, None)))
            .verb
            .id
            .as_str(),
        "urn:x:y"
    );
}

#[test]
fn durations_are_iso_8601_scorm_or_seconds() {
    for (sent, seconds) in [
        (json!("PT5M30S"), 330),
        (json!("0000:05:30.50"), 330),
        (json!("330"), 330),
        (json!(330), 330),
        (json!(330.9), 330),
        (json!(0), 0),
    ] {
        let form = parse(&activity(json!({"result": {"total_time": sent}})));
        assert_eq!(form.result.total_time.as_ref().unwrap().whole_seconds(), seconds);
        let actor = ada();
        let statement = parse_text(&statement_text(&form, &resolved(&actor, None)));
        assert_eq!(
            statement.result.unwrap().duration.unwrap().whole_seconds(),
            seconds
        );
    }
}

proptest! {
    /// The statement has the percentage of the short form.
    #[test]
    fn statement_keeps_the_percentage(hundredths in 0i64..=10_000) {
        let text = crate::log::Percent(hundredths).to_string();
        let body = format!("{{\"user\":\"ada\",\"action\":\"completed\",\"result\":{{\"score\":{text}}}}}");
        let form = ShortForm::parse(&body, &RULES).unwrap();
        let actor = ada();
        let statement = parse_text(&statement_text(&form, &resolved(&actor, None)));
        let verbs = crate::log::VerbTable::standard();
        let projected =
            crate::log::project(&verbs, &statement, &Envelope::default(), Timestamp::from_micros(0), None);
        prop_assert_eq!(projected.score.percent.map(|percent| percent.0), Some(hundredths));
    }

    #[test]
    fn no_body_causes_a_panic(text in any::<String>()) {
        let _ = ShortForm::parse(&text, &RULES);
    }

    /// Any text in title, response and comment gives a valid statement.
    #[test]
    fn any_text_gives_a_valid_statement(text in "[^\\x00]{1,40}") {
        let value = activity(json!({"result": {"response": text}, "comment": text}));
        let actor = ada();
        let content = ResolvedContent { iri: "urn:x:y", title: Some(&text), learning_type: None, content_type: None };
        let statement = parse_text(&statement_text(&parse(&value), &resolved(&actor, Some(content))));
        let response = statement.result.and_then(|result| result.response);
        prop_assert_eq!(response.as_deref(), Some(text.as_str()));
    }
}
