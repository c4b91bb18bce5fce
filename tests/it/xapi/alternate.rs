//! Tests of the alternate request syntax of 1.0.3 (Communication 1.3): a request is sent as a POST with a
//! form. The answer is that of the plain request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use super::versions::{RawAnswer, VERSION, admin_token, send_bare};
use crate::support::builders::{mailbox, statement};
use crate::support::http::encode_segment;
use crate::support::records::{PASSED, STATEMENTS, id};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const STATE: &str = "/xapi/activities/state";

fn statement_text(name: &str) -> String {
    let mut actor = mailbox("ada@example.org");
    actor["name"] = json!(name);
    statement(actor, PASSED, "https://example.org/c").json().to_string()
}

fn encode_form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sends a form without a version and credentials in the headers.
async fn send_form(server: &TestServer, method: &str, path: &str, pairs: &[(&str, &str)]) -> RawAnswer {
    let path = format!("{path}?method={method}");
    send_bare(server, Method::POST, &path, &[FORM], encode_form(pairs)).await
}

/// The `Authorization` value of a new credential.
async fn create_basic_authorization(server: &TestServer, scopes: &[&str]) -> String {
    let body = json!({"name": "form", "scopes": scopes});
    let created = server.person("admin", "root").post("/v1/credentials", &body).await;
    let created = created.expect(201).json();
    let text = |name: &str| created[name].as_str().expect("a key and a secret").to_owned();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", text("key"), text("secret"))))
}

async fn count_statements(server: &TestServer) -> usize {
    let page = server.person("admin", "root").get(STATEMENTS).await.expect(200).json();
    page["statements"].as_array().expect("statements").len()
}

/// Credentials, version, conditions and content are all in the form.
#[apply(both_databases)]
async fn statements_are_sent_and_read_with_forms(server: &TestServer) {
    let basic = create_basic_authorization(server, &["all"]).await;
    let common = [("Authorization", basic.as_str()), ("X-Experience-API-Version", "1.0.3")];
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        common.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let send_request = async |method: &str, more: &[(&'static str, &str)]| {
        let pairs = with(more);
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        send_form(server, method, STATEMENTS, &pairs).await
    };

    let name = "Åda & Söhne + 100% = ½ 🎓";
    let put = send_request("PUT", &[("statementId", &id(1)), ("content", &statement_text(name))]).await;
    assert_eq!((put.status, put.body.len(), put.header(VERSION)), (204, 0, Some("1.0.3")));
    let posted = send_request(
        "POST",
        &[
            ("content", &format!("[{},{}]", statement_text("A"), statement_text("B"))),
            ("Content-Type", "application/json"),
        ],
    )
    .await;
    assert_eq!((posted.status, posted.json().as_array().map(Vec::len)), (200, Some(2)));

    let plain = server.person("admin", "root");
    let stored = plain.get(&format!("{STATEMENTS}?statementId={}", id(1))).await.expect(200);
    assert_eq!(stored.json()["actor"]["name"], name);
    let one = send_request("GET", &[("statementId", &id(1))]).await;
    assert_eq!((one.status, one.body == stored.body), (200, true));
    assert_eq!(one.header("content-type"), stored.header("content-type"));

    // A list, and its next page by a plain GET.
    let agent = mailbox("ada@example.org").to_string();
    let list =
        send_request("GET", &[("agent", &agent), ("verb", PASSED), ("limit", "2"), ("ascending", "true")])
            .await;
    assert_eq!(list.status, 200);
    assert!(list.header("x-experience-api-consistent-through").is_some());
    let list = list.json();
    assert_eq!(list["statements"][0]["id"], id(1));
    let more = list["more"].as_str().expect("more");
    let headers = [("authorization", basic.as_str()), (VERSION, "1.0.3")];
    let rest = send_bare(server, Method::GET, more, &headers, "").await.json();
    assert_eq!((rest["statements"].as_array().map(Vec::len), &rest["more"]), (Some(1), &json!("")));

    // HEAD returns the same headers without a body.
    let head = send_request("HEAD", &[("statementId", &id(1))]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), stored.header("content-type"));
    let none = send_request("HEAD", &[("statementId", &id(9))]).await;
    assert_eq!((none.status, none.body.len()), (404, 0));
    assert_eq!(send_request("DELETE", &[]).await.status, 405);
    let conflict = send_request(
        "PUT",
        &[("statementId", &id(1)), ("content", &statement_text("A").replace("passed", "failed"))],
    )
    .await;
    assert_eq!(conflict.status, 409);
}

#[apply(both_databases)]
async fn documents_are_sent_and_read_with_forms(server: &TestServer) {
    let admin = admin_token(server);
    let agent = mailbox("ada@example.org").to_string();
    let document = [
        ("Authorization", admin.as_str()),
        ("x-experience-api-version", "1.0.3"),
        ("activityId", "https://example.org/c"),
        ("agent", agent.as_str()),
        ("stateId", "s"),
    ];
    let send_request = async |method: &str, path: &str, more: &[(&str, &str)]| {
        send_form(server, method, path, &[&document, more].concat()).await
    };
    let text = "ein Satz; a=b&c=d + ü";
    let put = send_request(
        "PUT",
        STATE,
        &[("content", text), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "3")],
    )
    .await;
    assert_eq!(put.status, 204, "{}", String::from_utf8_lossy(&put.body));
    let stored = send_request("GET", STATE, &[]).await;
    assert_eq!((stored.status, String::from_utf8_lossy(&stored.body).as_ref()), (200, text));
    assert_eq!(stored.header("content-type"), Some("text/plain; charset=utf-8"));
    let etag = stored.header("etag").expect("an ETag").to_owned();
    // Conditions apply as in a plain request.
    assert_eq!(
        send_request(
            "PUT",
            STATE,
            &[("content", "{}"), ("If-Match", "\"0000000000000000000000000000000000000000\"")]
        )
        .await
        .status,
        412
    );
    assert_eq!(send_request("PUT", STATE, &[("content", "{}"), ("IF-NONE-MATCH", "*")]).await.status, 412);
    // The default content type is JSON.
    assert_eq!(
        send_request("PUT", STATE, &[("content", r#"{"a":1}"#), ("if-match", &etag)]).await.status,
        204
    );
    assert_eq!(send_request("POST", STATE, &[("content", r#"{"b":2}"#)]).await.status, 204);
    let merged = send_request("GET", STATE, &[]).await;
    assert_eq!(
        (merged.header("content-type"), merged.json()),
        (Some("application/json"), json!({"a": 1, "b": 2}))
    );
    assert_eq!(send_request("DELETE", STATE, &[]).await.status, 204);
    assert_eq!(send_request("GET", STATE, &[]).await.status, 404);
}

/// Each operation gives the same answer in both syntaxes.
#[apply(both_databases)]
async fn every_operation_gives_the_same_answer_in_both_syntaxes(server: &TestServer) {
    let admin = admin_token(server);
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
                    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", encode_form(query)) };
                // An invalid body, so that the first request does not change the result of the second.
                let body = if sends { "[1" } else { "" };
                let plain =
                    send_bare(server, method.parse().expect("a method"), &address, &headers, body).await;
                let content: &[(&str, &str)] = if sends { &[("content", "[1")] } else { &[] };
                let pairs = [&headers[..2], query, content].concat();
                let alternate = send_form(server, method, path, &pairs).await;
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
async fn invalid_forms_are_refused(server: &TestServer) {
    let admin = admin_token(server);
    let content = statement_text("A");
    let one = id(1);
    let all_pairs = [
        ("Authorization", admin.as_str()),
        (VERSION, "1.0.3"),
        ("statementId", one.as_str()),
        ("content", content.as_str()),
    ];
    let without = |name: &str| -> Vec<(&str, &str)> {
        all_pairs.iter().copied().filter(|(common, _)| *common != name).collect()
    };
    let with = |name, value| [&without(name)[..], &[(name, value)]].concat();
    let put_document = |query: &str, headers: &[(&'static str, &'static str)], body: String| {
        (Method::POST, format!("{STATEMENTS}?{query}"), headers.to_vec(), body)
    };
    let plain = (VERSION, "1.0.3");
    let cases = [
        (
            "another parameter in the address",
            put_document(&format!("method=PUT&statementId={one}"), &[FORM], encode_form(&all_pairs)),
            400,
        ),
        ("an unknown method", put_document("method=PATCH", &[FORM], encode_form(&all_pairs)), 400),
        ("a method in lower case", put_document("method=put", &[FORM], encode_form(&all_pairs)), 400),
        ("no method", put_document("method=", &[FORM], encode_form(&all_pairs)), 400),
        ("two methods", put_document("method=PUT&method=PUT", &[FORM], encode_form(&all_pairs)), 400),
        ("no content", put_document("method=PUT", &[FORM], encode_form(&without("content"))), 400),
        ("an empty body", put_document("method=PUT", &[], String::new()), 400),
        ("content with GET", put_document("method=GET", &[FORM], encode_form(&all_pairs)), 400),
        (
            "content twice",
            put_document("method=PUT", &[FORM], format!("{}&content=1", encode_form(&all_pairs))),
            400,
        ),
        (
            "a header twice",
            put_document("method=PUT", &[FORM], format!("{}&authorization=x", encode_form(&all_pairs))),
            400,
        ),
        (
            "a header with a line break",
            put_document("method=PUT", &[FORM], encode_form(&with("If-Match", "a\r\nX: y"))),
            400,
        ),
        (
            "JSON",
            put_document("method=PUT", &[("content-type", "application/json")], encode_form(&all_pairs)),
            400,
        ),
        (
            "multipart",
            put_document(
                "method=PUT",
                &[("content-type", "multipart/form-data; boundary=x")],
                encode_form(&all_pairs),
            ),
            400,
        ),
        ("no media type and no form", put_document("method=PUT", &[], content.clone()), 400),
        ("JSON with the content type of a form", put_document("method=PUT", &[FORM], content.clone()), 400),
        (
            "compressed",
            put_document("method=PUT", &[FORM, ("content-encoding", "gzip")], encode_form(&all_pairs)),
            400,
        ),
        (
            "invalid UTF-8",
            put_document(
                "method=PUT",
                &[FORM],
                encode_form(&all_pairs).replacen("content=", "content=%FF", 1),
            ),
            400,
        ),
        ("an unknown parameter", put_document("method=PUT", &[FORM], encode_form(&with("x", "1"))), 400),
        (
            "an old version in the form",
            put_document("method=PUT", &[FORM, plain], encode_form(&with(VERSION, "0.8"))),
            400,
        ),
        ("no version at all", put_document("method=PUT", &[FORM], encode_form(&without(VERSION))), 400),
        (
            "version 2 in the form",
            put_document("method=PUT", &[FORM, plain], encode_form(&with(VERSION, "2.0.0"))),
            400,
        ),
        (
            "version 2 in the header",
            put_document("method=PUT", &[FORM, (VERSION, "2.0.0")], encode_form(&all_pairs)),
            400,
        ),
        ("no credentials", put_document("method=PUT", &[FORM], encode_form(&without("Authorization"))), 401),
        (
            "unknown credentials",
            put_document("method=PUT", &[FORM], encode_form(&with("Authorization", "Basic eDp5"))),
            401,
        ),
        (
            "another method than POST",
            (Method::PUT, format!("{STATEMENTS}?method=POST"), vec![FORM, plain], encode_form(&all_pairs)),
            401,
        ),
    ];
    for (what, (method, path, headers, body), status) in cases {
        let answer = send_bare(server, method, &path, &headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
        assert!(answer.header(VERSION).is_some(), "{what}");
    }
    let headers = [("authorization", admin.as_str()), plain, FORM];
    let answer = send_bare(
        server,
        Method::PUT,
        &format!("{STATEMENTS}?method=POST"),
        &headers,
        encode_form(&all_pairs),
    )
    .await;
    assert_eq!(answer.status, 400, "another method than POST, with valid credentials");
    assert_eq!(count_statements(server).await, 0);
    // The valid form is accepted.
    assert_eq!(send_form(server, "PUT", STATEMENTS, &all_pairs).await.status, 204);
    assert_eq!(count_statements(server).await, 1);
}

/// The form takes precedence over the headers.
#[apply(both_databases)]
async fn form_takes_precedence_over_headers(server: &TestServer) {
    let (admin, wrong) = (admin_token(server), "Bearer x");
    let content = statement_text("A");
    let send_request = async |header: &str, form_value: &str| {
        let headers = [FORM, ("authorization", header), (VERSION, "1.0.3")];
        let body =
            encode_form(&[("authorization", form_value), ("statementId", &id(1)), ("content", &content)]);
        send_bare(server, Method::POST, &format!("{STATEMENTS}?method=PUT"), &headers, body).await.status
    };
    assert_eq!(send_request(&admin, wrong).await, 401);
    assert_eq!(send_request(wrong, &admin).await, 204);
    // A header applies if the form does not contain it.
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("authorization", admin.as_str()),
        (VERSION, "1.0.3"),
    ];
    let list =
        send_bare(server, Method::POST, &format!("{STATEMENTS}?method=GET"), &headers, "limit=1").await;
    assert_eq!((list.status, list.json()["statements"].as_array().map(Vec::len)), (200, Some(1)));
    // An empty form needs no content type.
    let list = send_bare(server, Method::POST, &format!("{STATEMENTS}?method=GET"), &headers[1..], "").await;
    assert_eq!(list.status, 200);
}

/// Some content sends the form as plain text, or without a media type.
#[apply(both_databases)]
async fn form_may_have_another_media_type(server: &TestServer) {
    let (admin, content) = (admin_token(server), statement_text("A"));
    let types = ["text/plain", "Text/Plain;charset=UTF-8", "application/x-www-form-urlencoded", ""];
    for (number, media_type) in (1..).zip(types) {
        let pairs = [
            ("Authorization", admin.as_str()),
            (VERSION, "1.0.3"),
            ("statementId", &id(number)),
            ("content", &content),
        ];
        let headers: &[(&str, &str)] =
            if media_type.is_empty() { &[] } else { &[("content-type", media_type)] };
        let path = format!("{STATEMENTS}?method=PUT");
        let answer = send_bare(server, Method::POST, &path, headers, encode_form(&pairs)).await;
        assert_eq!(answer.status, 204, "{media_type}: {}", String::from_utf8_lossy(&answer.body));
    }
    assert_eq!(count_statements(server).await, types.len());
}

#[apply(both_databases)]
async fn language_can_be_in_the_form(server: &TestServer) {
    let (admin, plain) = (admin_token(server), server.person("admin", "root"));
    let sent = statement(mailbox("ada@example.org"), PASSED, "urn:c")
        .set("verb.display", json!({"en": "passed", "de": "bestanden"}));
    plain.post(STATEMENTS, &sent).await.expect(200);
    for (language, expected) in [("de", "bestanden"), ("en", "passed")] {
        let pairs = [
            ("Authorization", admin.as_str()),
            (VERSION, "1.0.3"),
            ("format", "canonical"),
            ("Accept-Language", language),
        ];
        let list = send_form(server, "GET", STATEMENTS, &pairs).await.json();
        assert_eq!(list["statements"][0]["verb"]["display"], json!({language: expected}));
    }
}

#[apply(both_databases)]
async fn scopes_apply_to_forms(server: &TestServer) {
    let reading_credential = create_basic_authorization(server, &["statements/read"]).await;
    let writing_credential = create_basic_authorization(server, &["statements/write"]).await;
    let content = statement_text("A");
    for (who, read, write) in [(&reading_credential, 200, 403), (&writing_credential, 403, 200)] {
        let common = [("Authorization", who.as_str()), (VERSION, "1.0.3")];
        assert_eq!(
            send_form(server, "POST", STATEMENTS, &[&common[..], &[("content", &content)]].concat())
                .await
                .status,
            write
        );
        assert_eq!(send_form(server, "GET", STATEMENTS, &common).await.status, read);
    }
}

#[test]
fn forms_have_the_limits_of_bodies_and_paths() {
    let limits = Limits { body_bytes: 4_000, uri_bytes: 1_000, ..Limits::default() };
    let options = AppOptions { limits, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = admin_token(server);
        let common = [("Authorization", admin.as_str()), (VERSION, "1.0.3")];
        // The length of the verb fills the rest: the path with `?verb=` has 22 bytes.
        for (pairs, status) in [
            (vec![("verb", "x:".to_owned() + &"y".repeat(900))], 200),
            (vec![("verb", "x:".to_owned() + &"y".repeat(1_000))], 414),
            (vec![("verb", "x:".to_owned() + &"y".repeat(4_000))], 413),
        ] {
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = send_form(server, "GET", STATEMENTS, &[&common[..], &pairs].concat()).await;
            assert_eq!(answer.status, status);
        }
        // A body over the limit is refused before authentication, with any content.
        let path = format!("{STATEMENTS}?method=PUT");
        let answer =
            send_bare(server, Method::POST, &path, &[FORM], encode_segment(&"x".repeat(5_000))).await;
        assert_eq!(answer.status, 413);
        assert_eq!(count_statements(server).await, 0);
    });
}
