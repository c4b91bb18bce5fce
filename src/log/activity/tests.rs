//! Tests of the JSON of activities.

use serde_json::{Value, json};

use super::*;
use crate::log::projection::{Certificate, Score};
use crate::log::testing;
use crate::record::Identifier;

const VERB: &str = "http://adlnet.gov/expapi/verbs/completed";

fn to_json(projected: Projected, content: Option<&ContentDetails>) -> Value {
    let row = testing::row(projected);
    let now = testing::parse_time("2026-07-01T00:00:00Z");
    let verb = testing::verb(VERB, None);
    serde_json::to_value(Activity::new(
        &row,
        &testing::person("bob"),
        content,
        &verb,
        None,
        now,
        Language::ENGLISH,
    ))
    .unwrap()
}

#[test]
fn json_has_all_known_values() {
    let score = Score {
        scaled: Some(0.925),
        raw: Some(37.0),
        min: Some(0.0),
        max: Some(40.0),
        percent: Some(Percent(9_250)),
    };
    let projected = Projected {
        success: Some(true),
        completion: Some(true),
        score,
        seconds: Some(3_900),
        time_limit: Some(3_600),
        expired_at: Some(testing::parse_time("2026-06-01T00:00:00Z")),
        certificate: Some(Certificate {
            name: Some("Warden".to_owned()),
            expires_at: None,
        }),
        device_type: Some("mobile".to_owned()),
        recorded_by: Some(UserId::new("ada").unwrap()),
        comment: Some("in person".to_owned()),
        ..testing::projected()
    };
    let mut content = testing::content("fire", "Fire Safety");
    content.archived_at = Some(testing::parse_time("2026-05-01T00:00:00Z"));
    let expected = json!({
        "id": "0190a000-0000-7000-8000-000000000001",
        "user": {"id": "bob", "first_name": "Bob", "last_name": "Lee", "name": "Bob Lee",
            "email": "bob@acme.example", "active": true, "identifier": null},
        "action": {"key": "completed", "label": "Completed", "colour": "#1a7f37"},
        "verb": VERB,
        "description": "Passed Fire Safety (Archived) scoring 92.5% in 1 hour 5 minutes, marked complete by ada",
        "description_parts": [
            {"text": "Passed ", "key": "passed"}, {"text": "Fire Safety (Archived)", "content": "fire"},
            {"text": " scoring 92.5% in 1 hour 5 minutes, marked complete by "}, {"text": "ada", "user": "ada"},
        ],
        "content": {"id": "fire", "iri": "https://acme.example/fire", "title": "Fire Safety", "type": "item",
            "content_type": "course", "archived": true, "tags": ["safety"], "url": null},
        "happened_at": "2026-03-01T09:00:00.000Z",
        "stored_at": "2026-03-01T09:00:01.000Z",
        "completed": true,
        "expired_at": "2026-06-01T00:00:00.000Z",
        "expired": true,
        "result": {"success": true, "completion": true,
            "score": {"scaled": 0.925, "raw": 37, "min": 0, "max": 40, "percent": 92.5},
            "total_time": {"seconds": 3900, "text": "1 hour 5 minutes"},
            "time_limit": {"seconds": 3600, "text": "1 hour"}, "time_limit_exceeded": true, "response": null},
        "certificate": {"name": "Warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": null},
        "device_type": "mobile",
        "origin": "api",
        "recorded_by": {"id": "ada", "name": null},
        "comment": "in person",
        "import_id": null,
        "source": "library",
        "cpd_labels": ["health"],
        "registration": null,
    });
    assert_eq!(to_json(projected, Some(&content)), expected);
}

#[test]
fn unknown_members_are_null() {
    let login = Projected {
        action: Action::LoggedIn,
        completed: false,
        time_limit: Some(5),
        ..testing::projected()
    };
    let json = to_json(login, None);
    for member in [
        "content",
        "result",
        "certificate",
        "expired_at",
        "recorded_by",
        "source",
        "registration",
    ] {
        assert_eq!(json.get(member), Some(&Value::Null), "{member}");
    }
    assert_eq!(json["expired"], json!(false));
    assert_eq!(json["cpd_labels"], json!([]));
    assert_eq!(json["description"], json!("Logged in"));
}

#[test]
fn unclaimed_actor_has_name_and_email_of_the_record() {
    let person = PersonDetails {
        user: None,
        name: Some("A. Visitor".to_owned()),
        identifier: Some(Identifier::Mbox("mailto:visitor@example.com".to_owned())),
        ..testing::person("bob")
    };
    let json = serde_json::to_value(ActivityUser::new(&person)).unwrap();
    let expected = json!({"id": null, "first_name": null, "last_name": null, "name": "A. Visitor",
        "email": "visitor@example.com", "active": null, "identifier": {"mbox": "mailto:visitor@example.com"}});
    assert_eq!(json, expected);
}

#[test]
fn single_activity_has_answers_and_statement() {
    let row = testing::row(testing::projected());
    let now = row.stored_at;
    let activity = Activity::new(
        &row,
        &testing::person("bob"),
        None,
        &testing::verb(VERB, None),
        None,
        now,
        Language::ENGLISH,
    );
    let response = record::Response {
        question: "1".to_owned(),
        response: "b".to_owned(),
        score: Some(1.0),
        ..record::Response::default()
    };
    let json = serde_json::to_value(activity.in_full("", &[response])).unwrap();
    assert_eq!(json["verb"], json!(VERB));
    assert_eq!(
        json["statement"],
        json!("/xapi/statements?statementId=0190a000-0000-7000-8000-000000000001")
    );
    let expected = json!([{"question": "1", "prompt": null, "response": "b", "correct": null, "score": 1, "seconds": null}]);
    assert_eq!(json["responses"], expected);
}
