//! Tests that change valid bodies at each place: a wrong type, an unknown member, a repeated key, U+0000.

use reqwest::Method;
use serde_json::{Value, json};

use super::{all_pointers, count_stored, full_activity, full_statement, overlaps, set_up, sub_statement};
use crate::support::TestServer;
use crate::support::http::{Answer, Caller};
use crate::support::{apply, both_databases};

/// A valid body and its request.
struct ValidBody {
    method: Method,
    path: &'static str,
    body: Value,
    /// `null` means that a member is missing.
    null_is_absent: bool,
    /// Pointers where another type is valid too, with that type.
    other_types: &'static [(&'static str, &'static str)],
}

fn valid_bodies() -> Vec<ValidBody> {
    let post =
        |path, body| ValidBody { method: Method::POST, path, body, null_is_absent: false, other_types: &[] };
    let put =
        |path, body| ValidBody { method: Method::PUT, path, body, null_is_absent: true, other_types: &[] };
    vec![
        ValidBody {
            // A single activity is valid instead of an array.
            other_types: &[("/context/contextActivities/parent", "object")],
            ..post("/xapi/statements", full_statement())
        },
        post("/xapi/statements", sub_statement()),
        ValidBody {
            null_is_absent: true,
            other_types: &[("/result/score", "number"), ("/result/total_time", "number")],
            ..post("/v1/activities", full_activity())
        },
        put("/v1/users/bo", json!({
            "first_name": "Bo", "last_name": "Ek", "email": "bo@example.org", "role": "manager", "job_title": "j", "language": "l",
            "location": "L", "joined_on": "2026-01-01", "manager": "ada", "teams": [], "groups": [], "active": true,
            "identifiers": [{"openid": "https://id.example.org/bo"}], "custom": {"a": "1"}
        })),
        put("/v1/teams/t", json!({"name": "T", "parent": null})),
        put("/v1/groups/g", json!({"name": "G"})),
        put("/v1/contents/c", json!({
            "iri": "https://example.org/new", "title": "T", "type": "quiz", "content_type": "scorm", "tags": ["a"], "cpd_labels": ["b"],
            "source": "s", "url": "https://example.org/u", "archived_at": "2026-01-01T00:00:00Z", "pass_mark": 50, "time_limit": "PT1M",
            "expires_after": "P1Y", "certificate": {"name": "C", "expires_after": "P1Y"}, "effective_from": "2026-01-01T00:00:00Z"
        })),
        post("/v1/credentials", json!({"name": "k", "scopes": ["all"]})),
        ValidBody {
            null_is_absent: true,
            ..post("/v1/organisation", json!({"name": "Acme", "time_zone": "Europe/London", "managers_see_indirect_reports": false}))
        },
    ]
    .into_iter()
    .map(|valid| if valid.path == "/v1/organisation" { ValidBody { method: Method::PATCH, ..valid } } else { valid })
    .collect()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

async fn send(caller: &Caller, method: &Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    caller.send(method.clone(), path, &[("content-type", "application/json")], body.into()).await
}

/// The pointer of a 400 answer, which must exist in the sent body.
fn first_fault(answer: Answer, body: &Value, mutation: &str) -> String {
    let status = answer.status;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(status, 400, "{mutation}: {text}");
    let problem = answer.json();
    let pointer = problem["pointer"].as_str().unwrap_or_else(|| panic!("{mutation} has no pointer: {text}"));
    assert!(body.pointer(pointer).is_some(), "{mutation}: nothing is at {pointer}: {text}");
    assert!(!problem["detail"].as_str().expect("a detail").is_empty(), "{mutation}");
    pointer.to_owned()
}

async fn create_callers(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let sender = server.credential("acme", &["all", "activities/write"]).await;
    (admin, sender)
}

/// The caller for the body: a credential for records, an admin for the directory.
fn choose_caller<'c>(valid: &ValidBody, admin: &'c Caller, sender: &'c Caller) -> &'c Caller {
    if valid.path == "/v1/activities" || valid.path.starts_with("/xapi") { sender } else { admin }
}

#[apply(both_databases)]
async fn wrong_type_is_reported_with_its_pointer(server: &TestServer) {
    let (admin, credential) = create_callers(server).await;
    let before = count_stored(&admin).await;
    let kinds = [Value::Null, json!(true), json!(-7.5), json!("\u{1F525}"), json!([[]]), json!({})];
    let mut tested = 0;
    for valid in valid_bodies() {
        let caller = choose_caller(&valid, &admin, &credential);
        for pointer_in_body in all_pointers(&valid.body) {
            let other_types = pointer_in_body.contains("/extensions/")
                || (pointer_in_body.starts_with("/custom/") && pointer_in_body.len() < 8);
            if other_types {
                continue;
            }
            for wrong in &kinds {
                let current = valid.body.pointer(&pointer_in_body).expect("the place exists");
                let optional = valid.null_is_absent && wrong.is_null() && !pointer_in_body.is_empty();
                let empty = type_name(wrong) == "object" && valid.method == Method::PATCH;
                if type_name(current) == type_name(wrong)
                    || optional
                    || empty
                    || valid.other_types.contains(&(pointer_in_body.as_str(), type_name(wrong)))
                {
                    continue;
                }
                let mut body = valid.body.clone();
                *body.pointer_mut(&pointer_in_body).expect("the place exists") = wrong.clone();
                let mutation = format!("{} {} with {wrong} at {pointer_in_body}", valid.method, valid.path);
                if valid.path.starts_with("/xapi") && pointer_in_body.is_empty() && wrong.is_array() {
                    continue; // an array of statements, each checked separately
                }
                let pointer = first_fault(
                    send(caller, &valid.method, valid.path, body.to_string()).await,
                    &body,
                    &mutation,
                );
                assert!(overlaps(&pointer, &pointer_in_body), "{mutation}: the pointer is {pointer}");
                tested += 1;
            }
        }
    }
    assert!(tested > 700, "{tested}");
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn invalid_element_of_a_batch_is_reported_with_its_number(server: &TestServer) {
    let (admin, credential) = create_callers(server).await;
    let before = count_stored(&admin).await;
    for (path, valid) in [("/xapi/statements", full_statement()), ("/v1/activities/batch", full_activity())] {
        for (n, pointer_in_body) in all_pointers(&valid).into_iter().enumerate() {
            if pointer_in_body.contains("/extensions/") || n % 3 != 0 {
                continue;
            }
            let mut bad = valid.clone();
            *bad.pointer_mut(&pointer_in_body).expect("the place exists") = json!([[true]]);
            let mut first = valid.clone();
            first["id"] = json!("00000000-0000-4000-8000-00000000000a");
            let body = json!([first, bad, 7]);
            let answer = send(&credential, &Method::POST, path, body.to_string()).await;
            let problem = answer.json();
            let pointer = first_fault(answer, &body, &pointer_in_body);
            assert!(
                overlaps(&pointer, &format!("/1{pointer_in_body}")),
                "{pointer_in_body} is reported at {pointer}"
            );
            let all: Vec<&str> = problem["errors"]
                .as_array()
                .expect("errors")
                .iter()
                .filter_map(|e| e["pointer"].as_str())
                .collect();
            assert!(all.contains(&"/2"), "every invalid element must be reported: {all:?}");
            assert!(all.iter().all(|pointer| !pointer.starts_with("/0")), "{all:?}");
        }
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn unknown_member_is_reported(server: &TestServer) {
    let (admin, credential) = create_callers(server).await;
    let before = count_stored(&admin).await;
    for valid in valid_bodies() {
        let caller = choose_caller(&valid, &admin, &credential);
        for pointer_in_body in all_pointers(&valid.body) {
            if pointer_in_body.contains("/extensions/") || pointer_in_body == "/custom" {
                continue;
            }
            for key in ["no such", "iD_", "\u{202E}"] {
                let mut body = valid.body.clone();
                let Some(members) =
                    body.pointer_mut(&pointer_in_body).expect("the place exists").as_object_mut()
                else {
                    continue;
                };
                members.insert(key.to_owned(), json!("x"));
                let mutation = format!("{} {} with {key:?} in {pointer_in_body}", valid.method, valid.path);
                let pointer = first_fault(
                    send(caller, &valid.method, valid.path, body.to_string()).await,
                    &body,
                    &mutation,
                );
                assert!(
                    overlaps(&pointer, &format!("{pointer_in_body}/{key}")),
                    "{mutation}: the pointer is {pointer}"
                );
            }
        }
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn repeated_key_is_reported(server: &TestServer) {
    let (admin, credential) = create_callers(server).await;
    let before = count_stored(&admin).await;
    for valid in valid_bodies() {
        let caller = choose_caller(&valid, &admin, &credential);
        for pointer_in_body in all_pointers(&valid.body) {
            let Some((key, value)) = valid
                .body
                .pointer(&pointer_in_body)
                .and_then(Value::as_object)
                .and_then(|members| members.iter().next())
            else {
                continue;
            };
            // Before the first member, with the same key in another spelling.
            let mut marked = valid.body.clone();
            let members = marked
                .pointer_mut(&pointer_in_body)
                .expect("the place exists")
                .as_object_mut()
                .expect("an object");
            members.insert("!mark".to_owned(), Value::Null);
            let first = key.chars().next().expect("keys have characters");
            let repeated = format!("\"\\u{:04x}{}\":{value}", u32::from(first), &key[first.len_utf8()..]);
            let text = marked.to_string().replace("\"!mark\":null", &repeated);
            let mutation = format!("{} {} with {key} twice in {pointer_in_body}", valid.method, valid.path);
            let pointer =
                first_fault(send(caller, &valid.method, valid.path, text).await, &valid.body, &mutation);
            let key = key.replace('~', "~0").replace('/', "~1");
            assert_eq!(pointer, format!("{pointer_in_body}/{key}"), "{mutation}");
        }
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn u_0000_is_reported_with_its_pointer(server: &TestServer) {
    let (admin, credential) = create_callers(server).await;
    let before = count_stored(&admin).await;
    for valid in valid_bodies() {
        let caller = choose_caller(&valid, &admin, &credential);
        for pointer_in_body in all_pointers(&valid.body) {
            let mut body = valid.body.clone();
            let value = body.pointer_mut(&pointer_in_body).expect("the place exists");
            let Value::String(text) = value else { continue };
            text.push('\0');
            let mutation = format!("{} {} with U+0000 at {pointer_in_body}", valid.method, valid.path);
            let pointer = first_fault(
                send(caller, &valid.method, valid.path, body.to_string()).await,
                &body,
                &mutation,
            );
            assert_eq!(pointer, pointer_in_body, "{mutation}");
        }
    }
    // In keys, and where any value is allowed.
    for pointer_in_body in
        ["/result/extensions", "/object/definition/extensions", "/verb/display", "/object/definition/name"]
    {
        let mut body = full_statement();
        body.pointer_mut(pointer_in_body).expect("the place exists")["https://example.org/\0"] = json!("x");
        let answer = send(&credential, &Method::POST, "/xapi/statements", body.to_string()).await;
        let pointer = first_fault(answer, &body, pointer_in_body);
        assert!(overlaps(&pointer, pointer_in_body), "{pointer}");
    }
    let mut body = full_statement();
    body["result"]["extensions"]["https://example.org/ext"] = json!({"a": [1, {"b": "\0"}]});
    let answer = send(&credential, &Method::POST, "/xapi/statements", body.to_string()).await;
    assert_eq!(first_fault(answer, &body, "deep"), "/result/extensions/https:~1~1example.org~1ext/a/1/b");
    assert_eq!(count_stored(&admin).await, before);
    // In paths and parameters.
    let parameters = [
        (
            "/v1/activities",
            vec![
                "user",
                "team",
                "group",
                "title",
                "tag",
                "source",
                "device_type",
                "content",
                "verb",
                "cursor",
                "custom%5Ba%5D",
                "nonsense",
            ],
        ),
        ("/v1/users", vec!["q", "team", "group", "manager", "cursor"]),
        ("/v1/teams", vec!["q", "cursor"]),
        ("/v1/groups", vec!["q", "cursor"]),
        ("/v1/contents", vec!["q", "tag", "cursor"]),
        (
            "/xapi/statements",
            vec!["verb", "activity", "agent", "registration", "since", "statementId", "cursor"],
        ),
    ];
    for (path, names) in parameters {
        for name in names {
            admin.get(&format!("{path}?{name}=a%00b")).await.expect(400);
            admin.get(&format!("{path}?{name}%00=ab")).await.expect(400);
        }
    }
    for path in [
        "/v1/users/a%00",
        "/v1/teams/%00",
        "/v1/groups/a%00b",
        "/v1/contents/%00a",
        "/v1/users/%00/activities",
    ] {
        // The id is invalid (400), and no such object exists (404).
        admin.get(path).await.expect_one_of(&[400, 404]);
    }
    for path in ["/v1/users/a%00", "/v1/teams/%00", "/v1/groups/a%00b", "/v1/contents/%00a"] {
        admin
            .send(
                Method::PUT,
                path,
                &[("content-type", "application/json")],
                b"{\"name\":\"x\",\"title\":\"x\"}".to_vec(),
            )
            .await
            .expect(400);
    }
    assert_eq!(count_stored(&admin).await, before);
}

#[apply(both_databases)]
async fn valid_bodies_are_accepted(server: &TestServer) {
    // Without this the tests above might refuse for another reason.
    let (admin, credential) = create_callers(server).await;
    for valid in valid_bodies() {
        let caller = choose_caller(&valid, &admin, &credential);
        let creates = valid.path != "/v1/organisation" && !valid.path.starts_with("/xapi");
        let status = if creates { 201 } else { 200 };
        send(caller, &valid.method, valid.path, valid.body.to_string()).await.expect(status);
    }
    assert_eq!(count_stored(&admin).await["statements"], 3);
}
