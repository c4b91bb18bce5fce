//! Good bodies made bad in one place after another: a wrong type, an unknown member, a key twice, a U+0000.

use reqwest::Method;
use serde_json::{Value, json};

use super::{places, prepared, related, stored, sub_statement, whole_activity, whole_statement};
use crate::support::TestServer;
use crate::support::http::{Answer, Caller};
use crate::support::{apply, both_databases};

/// A body that is good as it is, and where it goes.
struct Good {
    method: Method,
    path: &'static str,
    body: Value,
    /// Whether `null` says that a member is left out.
    null_is_absent: bool,
    /// Places at which another type is right too, with that type.
    free: &'static [(&'static str, &'static str)],
}

fn goods() -> Vec<Good> {
    let post = |path, body| Good { method: Method::POST, path, body, null_is_absent: false, free: &[] };
    let put = |path, body| Good { method: Method::PUT, path, body, null_is_absent: true, free: &[] };
    vec![
        Good {
            // A single one is good for an array of one.
            free: &[("/context/contextActivities/parent", "object")],
            ..post("/xapi/statements", whole_statement())
        },
        post("/xapi/statements", sub_statement()),
        Good {
            null_is_absent: true,
            free: &[("/result/score", "number"), ("/result/total_time", "number")],
            ..post("/v1/activities", whole_activity())
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
        Good {
            null_is_absent: true,
            ..post("/v1/organisation", json!({"name": "Acme", "time_zone": "Europe/London", "managers_see_indirect_reports": false}))
        },
    ]
    .into_iter()
    .map(|good| if good.path == "/v1/organisation" { Good { method: Method::PATCH, ..good } } else { good })
    .collect()
}

fn kind(value: &Value) -> &'static str {
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

/// The first fault of a refusal: 400, with a pointer that leads somewhere in the body that was sent.
fn fault(answer: Answer, body: &Value, what: &str) -> String {
    let status = answer.status;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(status, 400, "{what}: {text}");
    let problem = answer.json();
    let pointer = problem["pointer"].as_str().unwrap_or_else(|| panic!("{what} has no pointer: {text}"));
    assert!(body.pointer(pointer).is_some(), "{what}: nothing is at {pointer}: {text}");
    assert!(!problem["detail"].as_str().expect("a detail").is_empty(), "{what}");
    pointer.to_owned()
}

async fn callers(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    prepared(&admin).await;
    let sender = server.credential("acme", &["all", "activities/write"]).await;
    (admin, sender)
}

/// Who sends it: `recorded_by` is a credential's to say, the directory an admin's.
fn sender<'c>(good: &Good, admin: &'c Caller, sender: &'c Caller) -> &'c Caller {
    if good.path == "/v1/activities" || good.path.starts_with("/xapi") { sender } else { admin }
}

#[apply(both_databases)]
async fn a_wrong_type_anywhere_is_named_at_its_place(server: &TestServer) {
    let (admin, credential) = callers(server).await;
    let before = stored(&admin).await;
    let kinds = [Value::Null, json!(true), json!(-7.5), json!("\u{1F525}"), json!([[]]), json!({})];
    let mut tried = 0;
    for good in goods() {
        let caller = sender(&good, &admin, &credential);
        for place in places(&good.body) {
            let free = place.contains("/extensions/") || (place.starts_with("/custom/") && place.len() < 8);
            if free {
                continue;
            }
            for wrong in &kinds {
                let own = good.body.pointer(&place).expect("it is there");
                let optional = good.null_is_absent && wrong.is_null() && !place.is_empty();
                let empty = kind(wrong) == "object" && good.method == Method::PATCH;
                if kind(own) == kind(wrong)
                    || optional
                    || empty
                    || good.free.contains(&(place.as_str(), kind(wrong)))
                {
                    continue;
                }
                let mut body = good.body.clone();
                *body.pointer_mut(&place).expect("it is there") = wrong.clone();
                let what = format!("{} {} with {wrong} at {place}", good.method, good.path);
                if good.path.starts_with("/xapi") && place.is_empty() && wrong.is_array() {
                    continue; // an array of statements, each looked at for itself
                }
                let pointer =
                    fault(send(caller, &good.method, good.path, body.to_string()).await, &body, &what);
                assert!(related(&pointer, &place), "{what} is told to be at {pointer}");
                tried += 1;
            }
        }
    }
    assert!(tried > 700, "{tried}");
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn a_bad_element_of_a_batch_is_named_with_its_number(server: &TestServer) {
    let (admin, credential) = callers(server).await;
    let before = stored(&admin).await;
    for (path, good) in [("/xapi/statements", whole_statement()), ("/v1/activities/batch", whole_activity())]
    {
        for (n, place) in places(&good).into_iter().enumerate() {
            if place.contains("/extensions/") || n % 3 != 0 {
                continue;
            }
            let mut bad = good.clone();
            *bad.pointer_mut(&place).expect("it is there") = json!([[true]]);
            let mut first = good.clone();
            first["id"] = json!("00000000-0000-4000-8000-00000000000a");
            let body = json!([first, bad, 7]);
            let answer = send(&credential, &Method::POST, path, body.to_string()).await;
            let problem = answer.json();
            let pointer = fault(answer, &body, &place);
            assert!(related(&pointer, &format!("/1{place}")), "{place} is told to be at {pointer}");
            let all: Vec<&str> = problem["errors"]
                .as_array()
                .expect("errors")
                .iter()
                .filter_map(|e| e["pointer"].as_str())
                .collect();
            assert!(all.contains(&"/2"), "every bad element is named: {all:?}");
            assert!(all.iter().all(|pointer| !pointer.starts_with("/0")), "{all:?}");
        }
    }
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn an_unknown_member_is_named(server: &TestServer) {
    let (admin, credential) = callers(server).await;
    let before = stored(&admin).await;
    for good in goods() {
        let caller = sender(&good, &admin, &credential);
        for place in places(&good.body) {
            if place.contains("/extensions/") || place == "/custom" {
                continue;
            }
            for key in ["no such", "iD_", "\u{202E}"] {
                let mut body = good.body.clone();
                let Some(members) = body.pointer_mut(&place).expect("it is there").as_object_mut() else {
                    continue;
                };
                members.insert(key.to_owned(), json!("x"));
                let what = format!("{} {} with {key:?} in {place}", good.method, good.path);
                let pointer =
                    fault(send(caller, &good.method, good.path, body.to_string()).await, &body, &what);
                assert!(related(&pointer, &format!("{place}/{key}")), "{what} is told to be at {pointer}");
            }
        }
    }
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn a_key_twice_is_named(server: &TestServer) {
    let (admin, credential) = callers(server).await;
    let before = stored(&admin).await;
    for good in goods() {
        let caller = sender(&good, &admin, &credential);
        for place in places(&good.body) {
            let Some((key, value)) = good
                .body
                .pointer(&place)
                .and_then(Value::as_object)
                .and_then(|members| members.iter().next())
            else {
                continue;
            };
            // In front of the first member, under the same key, with an escape in it.
            let mut marked = good.body.clone();
            let members =
                marked.pointer_mut(&place).expect("it is there").as_object_mut().expect("an object");
            members.insert("!mark".to_owned(), Value::Null);
            let first = key.chars().next().expect("keys have characters");
            let again = format!("\"\\u{:04x}{}\":{value}", u32::from(first), &key[first.len_utf8()..]);
            let text = marked.to_string().replace("\"!mark\":null", &again);
            let what = format!("{} {} with {key} twice in {place}", good.method, good.path);
            let pointer = fault(send(caller, &good.method, good.path, text).await, &good.body, &what);
            let key = key.replace('~', "~0").replace('/', "~1");
            assert_eq!(pointer, format!("{place}/{key}"), "{what}");
        }
    }
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn u_0000_is_refused_at_its_place(server: &TestServer) {
    let (admin, credential) = callers(server).await;
    let before = stored(&admin).await;
    for good in goods() {
        let caller = sender(&good, &admin, &credential);
        for place in places(&good.body) {
            let mut body = good.body.clone();
            let value = body.pointer_mut(&place).expect("it is there");
            let Value::String(text) = value else { continue };
            text.push('\0');
            let what = format!("{} {} with U+0000 at {place}", good.method, good.path);
            let pointer = fault(send(caller, &good.method, good.path, body.to_string()).await, &body, &what);
            assert_eq!(pointer, place, "{what}");
        }
    }
    // In keys, and where anything may stand.
    for place in
        ["/result/extensions", "/object/definition/extensions", "/verb/display", "/object/definition/name"]
    {
        let mut body = whole_statement();
        body.pointer_mut(place).expect("it is there")["https://example.org/\0"] = json!("x");
        let answer = send(&credential, &Method::POST, "/xapi/statements", body.to_string()).await;
        let pointer = fault(answer, &body, place);
        assert!(related(&pointer, place), "{pointer}");
    }
    let mut body = whole_statement();
    body["result"]["extensions"]["https://example.org/ext"] = json!({"a": [1, {"b": "\0"}]});
    let answer = send(&credential, &Method::POST, "/xapi/statements", body.to_string()).await;
    assert_eq!(fault(answer, &body, "deep"), "/result/extensions/https:~1~1example.org~1ext/a/1/b");
    assert_eq!(stored(&admin).await, before);
    // In addresses and parameters.
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
    assert_eq!(stored(&admin).await, before);
}

#[apply(both_databases)]
async fn the_good_ones_are_good(server: &TestServer) {
    // Without this the tests above might refuse for another reason.
    let (admin, credential) = callers(server).await;
    for good in goods() {
        let caller = sender(&good, &admin, &credential);
        send(caller, &good.method, good.path, good.body.to_string()).await.expect_one_of(&[200, 201]);
    }
    assert_eq!(stored(&admin).await["statements"], 3);
}
