//! Tests of CORS: which requests a page of another origin may send, and which headers it can read, also of
//! errors.

use std::collections::BTreeSet;

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::json;

use super::versions::{RawAnswer, VERSION, admin_token, send_bare};
use crate::support::builders::{mailbox, statement};
use crate::support::http::encode_segment;
use crate::support::records::STATEMENTS;
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

const ORIGIN: &str = "https://learn.example.org";

/// Runs a server that allows these origins. The database does not matter, so that it is SQLite.
fn run_with_origins(origins: &[&str], test: impl AsyncFnOnce(&TestServer)) {
    let options = AppOptions {
        cors_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        limits: Limits { body_bytes: 10_000, ..Limits::default() },
        ..AppOptions::default()
    };
    run_with(Database::sqlite(), options, test);
}

/// The names of a header with a list, in lower case.
fn header_list(answer: &RawAnswer, header: &str) -> BTreeSet<String> {
    let values = answer.headers.get_all(header).iter();
    let text = values.map(|value| value.to_str().expect("text"));
    text.flat_map(|text| text.split(',')).map(|name| name.trim().to_lowercase()).collect()
}

/// Sends the preflight request of a browser.
async fn preflight(server: &TestServer, origin: &str, method: &str, path: &str, headers: &str) -> RawAnswer {
    let headers_of_preflight = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    send_bare(server, Method::OPTIONS, path, &headers_of_preflight, "").await
}

#[test]
fn preflight_needs_no_credentials() {
    const SENT: &str =
        "authorization,content-type,if-match,if-none-match,accept-language,x-experience-api-version";
    for (configured, allowed) in [(vec![ORIGIN, "http://localhost:3000"], ORIGIN), (vec!["*"], "*")] {
        run_with_origins(&configured, async |server: &TestServer| {
            let table = rollbook::http::table().into_iter();
            for (path, methods) in table.filter(|(path, _)| path.starts_with("/xapi")) {
                for method in methods.iter().copied().chain(["head"]).map(str::to_uppercase) {
                    let answer = preflight(server, ORIGIN, &method, path, SENT).await;
                    assert_eq!(answer.status, 200, "{method} {path}");
                    assert_eq!(answer.header("access-control-allow-origin"), Some(allowed), "{path}");
                    let methods = header_list(&answer, "access-control-allow-methods");
                    assert!(methods.contains(&method.to_lowercase()), "{method} {path}: {methods:?}");
                    let headers = header_list(&answer, "access-control-allow-headers");
                    assert!(SENT.split(',').all(|name| headers.contains(name)), "{path}: {headers:?}");
                    assert!(answer.header("access-control-max-age").is_some(), "{path}");
                    assert!(answer.header(VERSION).is_some(), "{method} {path}");
                    assert!(answer.body.is_empty());
                }
            }
        });
    }
}

#[test]
fn other_origins_cannot_read_answers() {
    const OTHER: &str = "https://evil.example";
    for configured in [vec![ORIGIN], vec![]] {
        run_with_origins(&configured, async |server: &TestServer| {
            for origin in [OTHER, "null", "https://learn.example.org.evil.example"] {
                let answer = preflight(server, origin, "GET", STATEMENTS, "authorization").await;
                assert!(answer.status >= 400, "{origin}");
                assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{origin}");
                let problem = answer.json();
                assert_eq!(problem["status"], answer.status, "{origin}");
                assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{origin}");
                let admin = admin_token(server);
                let headers = [("origin", origin), ("authorization", admin.as_str()), (VERSION, "1.0.3")];
                // The server answers the request, because other clients may send any origin.
                let read = send_bare(server, Method::GET, STATEMENTS, &headers, "").await;
                assert_eq!(read.status, 200, "{origin}");
                for answer in [answer, read] {
                    for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
                        assert_eq!(answer.header(name), None, "{origin}");
                    }
                }
            }
        });
    }
}

/// Headers that every page can read, and headers that only concern the browser.
const ALWAYS_READABLE: [&str; 10] = [
    "cache-control",
    "content-security-policy",
    "last-modified",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "vary",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-expose-headers",
];

#[test]
fn allowed_origin_reads_all_headers_of_answers_and_errors() {
    run_with_origins(&[ORIGIN], async |server: &TestServer| {
        let admin = admin_token(server);
        let authorization = ("authorization", admin.as_str());
        let (version, origin) = ((VERSION, "1.0.3"), ("origin", ORIGIN));
        let kind = ("content-type", "application/json");
        let id = "00000000-0000-4000-8000-000000000001";
        let one = statement(mailbox("ada@example.org"), "urn:verb", "urn:c").set("id", id);
        let body = serde_json::to_string(&one).expect("JSON");
        let other = body.replace("urn:verb", "urn:other");
        let agent = encode_segment(&mailbox("ada@example.org").to_string());
        let state = format!("/xapi/activities/state?activityId=urn:c&agent={agent}&stateId=s");
        let all = vec![authorization, version, kind];
        let none: Vec<(&str, &str)> = vec![version, kind];
        let large = "x".repeat(20_000);
        let cases = [
            (Method::POST, STATEMENTS, all.clone(), body.as_str(), 200),
            (Method::GET, STATEMENTS, all.clone(), "", 200),
            (Method::HEAD, STATEMENTS, all.clone(), "", 200),
            (Method::GET, "/xapi/about", vec![], "", 200),
            (Method::GET, "/xapi/statements?x=1", all.clone(), "", 400),
            (Method::GET, STATEMENTS, vec![authorization], "", 400),
            (Method::GET, STATEMENTS, none, "", 401),
            (Method::GET, "/xapi/none", all.clone(), "", 404),
            (Method::PATCH, STATEMENTS, all.clone(), "", 405),
            (Method::POST, STATEMENTS, all.clone(), other.as_str(), 409),
            (Method::POST, STATEMENTS, all.clone(), large.as_str(), 413),
            (Method::PUT, &state, all.clone(), "{}", 204),
            (Method::GET, &state, all.clone(), "", 200),
            (Method::PUT, &state, [&all[..], &[("if-none-match", "*")]].concat(), "{}", 412),
            // The alternate syntax needs no preflight, because any page may send a form.
            (
                Method::POST,
                "/xapi/statements?method=GET",
                vec![("content-type", "application/x-www-form-urlencoded")],
                &format!("Authorization={}&X-Experience-API-Version=1.0.3", encode_segment(&admin)),
                200,
            ),
            (Method::GET, "/v1/activities", vec![authorization], "", 200),
            (Method::GET, "/v1/activities/export.csv", vec![authorization], "", 200),
            (Method::GET, "/v1/none", vec![authorization], "", 404),
        ];
        for (method, path, mut headers, body, status) in cases {
            headers.push(origin);
            let answer = send_bare(server, method.clone(), path, &headers, body).await;
            let headers_of_preflight = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, status, "{method} {path}: {headers_of_preflight}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{method} {path}");
            assert!(header_list(&answer, "vary").contains("origin"), "{method} {path}");
            let exposed = header_list(&answer, "access-control-expose-headers");
            for name in answer.headers.keys().map(reqwest::header::HeaderName::as_str) {
                assert!(
                    exposed.contains(name) || ALWAYS_READABLE.contains(&name),
                    "{name} of {method} {path} cannot be read"
                );
            }
            if status >= 400 {
                assert_eq!(answer.json()["status"], json!(status), "{method} {path}");
                assert!(answer.header("x-request-id").is_some());
            }
        }
        // Headers that do not occur in these answers.
        let answer = send_bare(server, Method::GET, "/xapi/about", &[origin], "").await;
        let exposed = header_list(&answer, "access-control-expose-headers");
        for name in [
            "etag",
            "last-modified",
            "location",
            "link",
            "retry-after",
            "date",
            "allow",
            "www-authenticate",
            "content-type",
            "content-disposition",
            "x-request-id",
            VERSION,
            "x-experience-api-consistent-through",
        ] {
            assert!(exposed.contains(name), "{name}");
        }
    });
}

#[test]
fn no_cors_headers_without_configured_origins() {
    run_with_origins(&[], async |server: &TestServer| {
        let answer = send_bare(server, Method::GET, "/health/live", &[("origin", ORIGIN)], "").await;
        let has_cors_headers = answer.headers.keys().any(|name| name.as_str().starts_with("access-control"));
        assert_eq!((answer.status, has_cors_headers), (200, false));
    });
}
