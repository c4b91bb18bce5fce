//! The alternate request syntax of 1.0.3 (Communication 1.3): any request as a POST of a form. Whatever it stands
//! for, the answer is that of the plain request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use super::versions::{Bare, VERSION, admin, bare};
use crate::support::builders::{mailbox, statement};
use crate::support::http::encode_segment;
use crate::support::records::{PASSED, STATEMENTS, id};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const STATE: &str = "/xapi/activities/state";

fn passed(name: &str) -> String {
    let mut actor = mailbox("ada@example.org");
    actor["name"] = json!(name);
    statement(actor, PASSED, "https://example.org/c").json().to_string()
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sends a form that says nothing but itself: no version, no credentials beside it.
async fn send(server: &TestServer, method: &str, path: &str, pairs: &[(&str, &str)]) -> Bare {
    let path = format!("{path}?method={method}");
    bare(server, Method::POST, &path, &[FORM], form(pairs)).await
}

/// `Basic …` of a new credential.
async fn basic(server: &TestServer, scopes: &[&str]) -> String {
    let body = json!({"name": "form", "scopes": scopes});
    let created = server.person("admin", "root").post("/v1/credentials", &body).await;
    let created = created.expect(201).json();
    let text = |name: &str| created[name].as_str().expect("a key and a secret").to_owned();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", text("key"), text("secret"))))
}

async fn stored(server: &TestServer) -> usize {
    let page = server.person("admin", "root").get(STATEMENTS).await.expect(200).json();
    page["statements"].as_array().expect("statements").len()
}

/// Everything stands in the form: who asks, the version, the conditions, the content.
#[apply(both_databases)]
async fn statements_go_in_and_out_by_forms_alone(server: &TestServer) {
    let basic = basic(server, &["all"]).await;
    let known = [("Authorization", basic.as_str()), ("X-Experience-API-Version", "1.0.3")];
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        known.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let say = async |method: &str, more: &[(&'static str, &str)]| {
        let pairs = with(more);
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send(server, method, STATEMENTS, &pairs).await
    };

    let name = "Åda & Söhne + 100% = ½ 🎓";
    let put = say("PUT", &[("statementId", &id(1)), ("content", &passed(name))]).await;
    assert_eq!((put.status, put.body.len(), put.header(VERSION)), (204, 0, Some("1.0.3")));
    let posted = say(
        "POST",
        &[("content", &format!("[{},{}]", passed("A"), passed("B"))), ("Content-Type", "application/json")],
    )
    .await;
    assert_eq!((posted.status, posted.json().as_array().map(Vec::len)), (200, Some(2)));

    let plain = server.person("admin", "root");
    let stored = plain.get(&format!("{STATEMENTS}?statementId={}", id(1))).await.expect(200);
    assert_eq!(stored.json()["actor"]["name"], name);
    let one = say("GET", &[("statementId", &id(1))]).await;
    assert_eq!((one.status, one.body == stored.body), (200, true));
    assert_eq!(one.header("content-type"), stored.header("content-type"));

    // A list, and its `more` by a plain GET.
    let agent = mailbox("ada@example.org").to_string();
    let list =
        say("GET", &[("agent", &agent), ("verb", PASSED), ("limit", "2"), ("ascending", "true")]).await;
    assert_eq!(list.status, 200);
    assert!(list.header("x-experience-api-consistent-through").is_some());
    let list = list.json();
    assert_eq!(list["statements"][0]["id"], id(1));
    let rest = plain.get(list["more"].as_str().expect("more")).await.expect(200).json();
    assert_eq!((rest["statements"].as_array().map(Vec::len), &rest["more"]), (Some(1), &json!("")));

    // HEAD: the same head, nothing else.
    let head = say("HEAD", &[("statementId", &id(1))]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), stored.header("content-type"));
    let none = say("HEAD", &[("statementId", &id(9))]).await;
    assert_eq!((none.status, none.body.len()), (404, 0));
    assert_eq!(say("DELETE", &[]).await.status, 405);
    let conflict =
        say("PUT", &[("statementId", &id(1)), ("content", &passed("A").replace("passed", "failed"))]).await;
    assert_eq!(conflict.status, 409);
}

#[apply(both_databases)]
async fn documents_go_in_and_out_by_forms_alone(server: &TestServer) {
    let admin = admin(server);
    let agent = mailbox("ada@example.org").to_string();
    let place = [
        ("Authorization", admin.as_str()),
        ("x-experience-api-version", "1.0.3"),
        ("activityId", "https://example.org/c"),
        ("agent", agent.as_str()),
        ("stateId", "s"),
    ];
    let say = async |method: &str, path: &str, more: &[(&str, &str)]| {
        send(server, method, path, &[&place, more].concat()).await
    };
    let text = "ein Satz; a=b&c=d + ü";
    let put = say(
        "PUT",
        STATE,
        &[("content", text), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "3")],
    )
    .await;
    assert_eq!(put.status, 204, "{}", String::from_utf8_lossy(&put.body));
    let stored = say("GET", STATE, &[]).await;
    assert_eq!((stored.status, String::from_utf8_lossy(&stored.body).as_ref()), (200, text));
    assert_eq!(stored.header("content-type"), Some("text/plain; charset=utf-8"));
    let etag = stored.header("etag").expect("an ETag").to_owned();
    // The conditions are judged as those of a plain request.
    assert_eq!(
        say("PUT", STATE, &[("content", "{}"), ("If-Match", "\"0000000000000000000000000000000000000000\"")])
            .await
            .status,
        412
    );
    assert_eq!(say("PUT", STATE, &[("content", "{}"), ("IF-NONE-MATCH", "*")]).await.status, 412);
    // Without a type, content is JSON.
    assert_eq!(say("PUT", STATE, &[("content", r#"{"a":1}"#), ("if-match", &etag)]).await.status, 204);
    assert_eq!(say("POST", STATE, &[("content", r#"{"b":2}"#)]).await.status, 204);
    let merged = say("GET", STATE, &[]).await;
    assert_eq!(
        (merged.header("content-type"), merged.json()),
        (Some("application/json"), json!({"a": 1, "b": 2}))
    );
    assert_eq!(say("DELETE", STATE, &[]).await.status, 204);
    assert_eq!(say("GET", STATE, &[]).await.status, 404);
}

/// The syntax says nothing of its own: with the same words, each operation answers as when asked plainly.
#[apply(both_databases)]
async fn every_operation_answers_as_when_it_is_asked_plainly(server: &TestServer) {
    let admin = admin(server);
    let agent = mailbox("ada@example.org").to_string();
    let queries: [&[(&str, &str)]; 5] = [
        &[],
        &[("activityId", "https://example.org/c")],
        &[("agent", &agent)],
        &[("activityId", "https://example.org/c"), ("agent", &agent), ("stateId", "s"), ("profileId", "p")],
        &[("statementId", "00000000-0000-4000-8000-000000000001"), ("x", "1")],
    ];
    let paths: Vec<&str> = rollbook::http::table()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("/xapi"))
        .collect();
    assert!(paths.contains(&STATEMENTS));
    for path in paths.into_iter().chain(["/xapi/none", "/xapi"]) {
        for method in ["GET", "PUT", "POST", "DELETE", "HEAD"] {
            let sends = method == "PUT" || method == "POST";
            for query in queries {
                let headers = [
                    ("authorization", admin.as_str()),
                    (VERSION, "1.0.3"),
                    ("content-type", "application/json"),
                ];
                let address =
                    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", form(query)) };
                // A body that is read and then refused: nothing is changed between the two.
                let body = if sends { "[1" } else { "" };
                let plain = bare(server, method.parse().expect("a method"), &address, &headers, body).await;
                let content: &[(&str, &str)] = if sends { &[("content", "[1")] } else { &[] };
                let pairs = [&headers[..2], query, content].concat();
                let alternate = send(server, method, path, &pairs).await;
                assert_eq!(alternate.status, plain.status, "{method} {address}");
                assert_eq!(
                    alternate.header("content-type"),
                    plain.header("content-type"),
                    "{method} {address}"
                );
                assert_eq!(alternate.header(VERSION), plain.header(VERSION), "{method} {address}");
                if alternate.status >= 400 && method != "HEAD" {
                    let (mut one, mut other) = (alternate.json(), plain.json());
                    (one["request_id"], other["request_id"]) = (Value::Null, Value::Null);
                    assert_eq!(one, other, "{method} {address}");
                }
                assert!(method != "HEAD" || alternate.body.is_empty(), "{method} {address}");
            }
        }
    }
}

#[apply(both_databases)]
async fn what_is_no_such_form_is_refused(server: &TestServer) {
    let admin = admin(server);
    let content = passed("A");
    let one = id(1);
    let whole = [
        ("Authorization", admin.as_str()),
        (VERSION, "1.0.3"),
        ("statementId", one.as_str()),
        ("content", content.as_str()),
    ];
    let without = |name: &str| -> Vec<(&str, &str)> {
        whole.iter().copied().filter(|(known, _)| *known != name).collect()
    };
    let with = |name, value| [&without(name)[..], &[(name, value)]].concat();
    let put = |query: &str, headers: &[(&'static str, &'static str)], body: String| {
        (Method::POST, format!("{STATEMENTS}?{query}"), headers.to_vec(), body)
    };
    let plain = (VERSION, "1.0.3");
    let cases = [
        (
            "another parameter in the address",
            put(&format!("method=PUT&statementId={one}"), &[FORM], form(&whole)),
            400,
        ),
        ("an unknown method", put("method=PATCH", &[FORM], form(&whole)), 400),
        ("a method in small letters", put("method=put", &[FORM], form(&whole)), 400),
        ("no method", put("method=", &[FORM], form(&whole)), 400),
        ("two methods", put("method=PUT&method=PUT", &[FORM], form(&whole)), 400),
        ("no content", put("method=PUT", &[FORM], form(&without("content"))), 400),
        ("nothing at all", put("method=PUT", &[], String::new()), 400),
        ("content with GET", put("method=GET", &[FORM], form(&whole)), 400),
        ("content twice", put("method=PUT", &[FORM], format!("{}&content=1", form(&whole))), 400),
        ("a header twice", put("method=PUT", &[FORM], format!("{}&authorization=x", form(&whole))), 400),
        ("a header that forges", put("method=PUT", &[FORM], form(&with("If-Match", "a\r\nX: y"))), 400),
        ("JSON", put("method=PUT", &[("content-type", "application/json")], form(&whole)), 400),
        (
            "multipart",
            put("method=PUT", &[("content-type", "multipart/form-data; boundary=x")], form(&whole)),
            400,
        ),
        ("no media type", put("method=PUT", &[], form(&whole)), 400),
        ("JSON that calls itself a form", put("method=PUT", &[FORM], content.clone()), 400),
        ("compressed", put("method=PUT", &[FORM, ("content-encoding", "gzip")], form(&whole)), 400),
        ("no UTF-8", put("method=PUT", &[FORM], form(&whole).replacen("content=", "content=%FF", 1)), 400),
        ("an unknown parameter", put("method=PUT", &[FORM], form(&with("x", "1"))), 400),
        ("an old version in the form", put("method=PUT", &[FORM, plain], form(&with(VERSION, "0.8"))), 400),
        ("no version at all", put("method=PUT", &[FORM], form(&without(VERSION))), 400),
        ("version 2 in the form", put("method=PUT", &[FORM, plain], form(&with(VERSION, "2.0.0"))), 400),
        ("version 2 in the header", put("method=PUT", &[FORM, (VERSION, "2.0.0")], form(&whole)), 400),
        ("nobody", put("method=PUT", &[FORM], form(&without("Authorization"))), 401),
        ("somebody unknown", put("method=PUT", &[FORM], form(&with("Authorization", "Basic eDp5"))), 401),
        (
            "not by POST",
            (Method::PUT, format!("{STATEMENTS}?method=POST"), vec![FORM, plain], form(&whole)),
            401,
        ),
    ];
    for (what, (method, path, headers, body), status) in cases {
        let answer = bare(server, method, &path, &headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        assert!(answer.header(VERSION).is_some(), "{what}");
    }
    let headers = [("authorization", admin.as_str()), plain, FORM];
    let answer =
        bare(server, Method::PUT, &format!("{STATEMENTS}?method=POST"), &headers, form(&whole)).await;
    assert_eq!(answer.status, 400, "not by POST, by somebody known");
    assert_eq!(stored(server).await, 0);
    // And with nothing wrong it is one.
    assert_eq!(send(server, "PUT", STATEMENTS, &whole).await.status, 204);
    assert_eq!(stored(server).await, 1);
}

/// What stands in both places counts as the form says.
#[apply(both_databases)]
async fn the_form_overrules_the_headers(server: &TestServer) {
    let (admin, wrong) = (admin(server), "Bearer x");
    let content = passed("A");
    let say = async |header: &str, form_says: &str| {
        let headers = [FORM, ("authorization", header), (VERSION, "1.0.3")];
        let body = form(&[("authorization", form_says), ("statementId", &id(1)), ("content", &content)]);
        bare(server, Method::POST, &format!("{STATEMENTS}?method=PUT"), &headers, body).await.status
    };
    assert_eq!(say(&admin, wrong).await, 401);
    assert_eq!(say(wrong, &admin).await, 204);
    // What only the header says holds.
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("authorization", admin.as_str()),
        (VERSION, "1.0.3"),
    ];
    let list = bare(server, Method::POST, &format!("{STATEMENTS}?method=GET"), &headers, "limit=1").await;
    assert_eq!((list.status, list.json()["statements"].as_array().map(Vec::len)), (200, Some(1)));
    // A form without anything needs no type.
    let list = bare(server, Method::POST, &format!("{STATEMENTS}?method=GET"), &headers[1..], "").await;
    assert_eq!(list.status, 200);
}

#[apply(both_databases)]
async fn the_language_may_stand_in_the_form(server: &TestServer) {
    let (admin, plain) = (admin(server), server.person("admin", "root"));
    let sent = statement(mailbox("ada@example.org"), PASSED, "urn:c")
        .set("verb.display", json!({"en": "passed", "de": "bestanden"}));
    plain.post(STATEMENTS, &sent).await.expect(200);
    for (language, word) in [("de", "bestanden"), ("en", "passed")] {
        let pairs = [
            ("Authorization", admin.as_str()),
            (VERSION, "1.0.3"),
            ("format", "canonical"),
            ("Accept-Language", language),
        ];
        let list = send(server, "GET", STATEMENTS, &pairs).await.json();
        assert_eq!(list["statements"][0]["verb"]["display"], json!({language: word}));
    }
}

#[apply(both_databases)]
async fn scopes_bind_forms_as_well(server: &TestServer) {
    let reads = basic(server, &["statements/read"]).await;
    let writes = basic(server, &["statements/write"]).await;
    let content = passed("A");
    for (who, read, write) in [(&reads, 200, 403), (&writes, 403, 200)] {
        let known = [("Authorization", who.as_str()), (VERSION, "1.0.3")];
        assert_eq!(
            send(server, "POST", STATEMENTS, &[&known[..], &[("content", &content)]].concat()).await.status,
            write
        );
        assert_eq!(send(server, "GET", STATEMENTS, &known).await.status, read);
    }
}

#[test]
fn forms_have_the_limits_of_bodies_and_addresses() {
    let limits = Limits { body_bytes: 4_000, uri_bytes: 1_000, ..Limits::default() };
    let options = AppOptions { limits, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = admin(server);
        let known = [("Authorization", admin.as_str()), (VERSION, "1.0.3")];
        // The verb's length is what is left for it: the path with `?verb=` has 22 bytes.
        for (pairs, status) in [
            (vec![("verb", "x:".to_owned() + &"y".repeat(900))], 200),
            (vec![("verb", "x:".to_owned() + &"y".repeat(1_000))], 414),
            (vec![("verb", "x:".to_owned() + &"y".repeat(4_000))], 413),
        ] {
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = send(server, "GET", STATEMENTS, &[&known[..], &pairs].concat()).await;
            assert_eq!(answer.status, status);
        }
        // A body past the limit is refused before anybody is asked who they are, and whatever it says.
        let path = format!("{STATEMENTS}?method=PUT");
        let answer = bare(server, Method::POST, &path, &[FORM], encode_segment(&"x".repeat(5_000))).await;
        assert_eq!(answer.status, 413);
        assert_eq!(stored(server).await, 0);
    });
}
