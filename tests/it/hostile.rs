//! Tests of invalid input: the status, a pointer to the place, nothing stored, and a server that continues
//! to answer (`docs/specification.md#errors`).

mod mutations;
mod sizes;
mod texts;
mod transport;

use serde_json::{Value, json};

use crate::support::builders::{content, mailbox, user};
use crate::support::http::Caller;

/// Creates the user `ada` and the quiz `fire`.
async fn set_up(admin: &Caller) {
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
}

/// The number of stored objects of each kind.
async fn count_stored(admin: &Caller) -> Value {
    let mut stored = json!({});
    for resource in ["users", "teams", "groups", "contents"] {
        stored[resource] = json!(admin.list(&format!("/v1/{resource}?limit=1000"), resource).await.len());
    }
    let log =
        admin.get("/v1/activities?count=exact&include_deactivated=true&limit=1").await.expect(200).json();
    stored["activities"] = log["total"].clone();
    let statements = admin.get("/xapi/statements?limit=0").await.expect(200).json();
    stored["statements"] = json!(statements["statements"].as_array().map(Vec::len));
    stored["credentials"] =
        json!(admin.get("/v1/credentials").await.expect(200).json()["credentials"].as_array().map(Vec::len));
    stored["organisation"] = admin.get("/v1/organisation").await.expect(200).json();
    stored
}

/// A statement with nearly every member.
fn full_statement() -> Value {
    json!({
        "id": "00000000-0000-4000-8000-000000000001",
        "actor": {"objectType": "Group", "name": "Crew", "account": {"homePage": "https://example.org", "name": "crew"},
            "member": [{"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"}, {"openid": "https://id.example.org/bo"}]},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed", "de": "beendet"}},
        "object": {
            "objectType": "Activity", "id": "https://example.org/quiz",
            "definition": {
                "name": {"en": "Quiz"}, "description": {"en": "A quiz"}, "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
                "moreInfo": "https://example.org/more", "interactionType": "choice", "correctResponsesPattern": ["a[,]b"],
                "choices": [{"id": "a", "description": {"en": "A"}}, {"id": "b", "description": {"en": "B"}}],
                "extensions": {"https://example.org/ext": {"free": [1, null]}}
            }
        },
        "result": {
            "score": {"scaled": 0.5, "raw": 5, "min": 0, "max": 10}, "success": true, "completion": false, "response": "a[,]b",
            "duration": "PT1M", "extensions": {"https://example.org/ext": 1}
        },
        "context": {
            "registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7", "instructor": mailbox("boss@example.org"),
            "team": {"objectType": "Group", "mbox": "mailto:team@example.org"}, "revision": "1", "platform": "p", "language": "en",
            "statement": {"objectType": "StatementRef", "id": "00000000-0000-4000-8000-000000000002"},
            "contextActivities": {"parent": [{"id": "https://example.org/parent"}], "grouping": [{"id": "https://example.org/g", "objectType": "Activity"}]},
            "extensions": {"https://example.org/ext": "x"}
        },
        "timestamp": "2026-03-01T00:00:00Z", "stored": "2026-03-01T00:00:00Z", "version": "1.0.0",
        "authority": {"objectType": "Agent", "mbox": "mailto:lrs@example.org"},
        "attachments": [{"usageType": "https://example.org/usage", "display": {"en": "A file"}, "description": {"en": "It"},
            "contentType": "text/plain", "length": 3, "sha2": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "fileUrl": "https://example.org/file"}]
    })
}

/// A statement with a SubStatement.
fn sub_statement() -> Value {
    json!({
        "actor": mailbox("ada@example.org"), "verb": {"id": "http://example.org/verbs/planned"},
        "object": {
            "objectType": "SubStatement", "actor": mailbox("bo@example.org"), "verb": {"id": "http://example.org/verbs/visit"},
            "object": {"objectType": "Agent", "mbox": "mailto:cy@example.org"},
            "result": {"score": {"raw": 1}}, "context": {"contextActivities": {"other": {"id": "https://example.org/o"}}},
            "timestamp": "2026-03-01T00:00:00Z"
        }
    })
}

/// An activity with every member that a credential may set.
fn full_activity() -> Value {
    json!({
        "id": "00000000-0000-4000-8000-000000000003", "user": {"mbox": "mailto:ada@example.org", "name": "Ada", "objectType": "Agent"},
        "action": "completed", "content": {"iri": "https://example.org/c", "title": "T", "type": "item", "content_type": "video"},
        "happened_at": "2026-03-01T00:00:00Z",
        "result": {"success": true, "completion": true, "total_time": "PT5M", "response": "x", "score": {"scaled": 0.5, "raw": 5, "min": 0, "max": 10}},
        "responses": [{"question": "q", "prompt": "p", "response": "r", "correct": true, "score": 1, "seconds": 2}],
        "certificate": {"name": "C", "expires_at": "2027-03-01T00:00:00Z"}, "expired_at": "2027-03-01T00:00:00Z",
        "device_type": "phone", "source": "Library", "registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7",
        "recorded_by": "ada", "comment": "c"
    })
}

/// The JSON pointers of a value and of everything within it.
fn all_pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut add = |key: &str, inner: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        found.extend(all_pointers(inner).into_iter().map(|place| format!("/{key}{place}")));
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, inner)| add(key, inner)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(n, inner)| add(&n.to_string(), inner))
        }
        _ => {}
    }
    found
}

/// Returns true if one pointer is equal to the other or within it.
fn overlaps(left: &str, right: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(left, right) || within(right, left)
}
