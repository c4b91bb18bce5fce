//! Content in a browser, on a page of another origin (contract section 10): what it may ask, and what it may read
//! of the answers, errors included.

use std::collections::BTreeSet;

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::json;

use super::versions::{Bare, VERSION, admin, bare};
use crate::support::builders::{mailbox, statement};
use crate::support::http::encode_segment;
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

const ORIGIN: &str = "https://learn.example.org";
const STATEMENTS: &str = "/xapi/statements";

/// A server that lets pages of these origins in. Browsers and databases have nothing to do with each other:
/// SQLite will do.
fn for_origins(origins: &[&str], test: impl AsyncFnOnce(&TestServer)) {
    let options = AppOptions {
        cors_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        limits: Limits { body_bytes: 10_000, ..Limits::default() },
        ..AppOptions::default()
    };
    run_with(Database::sqlite(), options, test);
}

/// The names in a header that lists some, in small letters.
fn names(answer: &Bare, header: &str) -> BTreeSet<String> {
    let values = answer.headers.get_all(header).iter();
    let text = values.map(|value| value.to_str().expect("text"));
    text.flat_map(|text| text.split(',')).map(|name| name.trim().to_lowercase()).collect()
}

/// What browsers send before a request that no form could make.
async fn preflight(server: &TestServer, origin: &str, method: &str, path: &str, headers: &str) -> Bare {
    let said = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    bare(server, Method::OPTIONS, path, &said, "").await
}

#[test]
fn preflights_are_answered_to_nobody_in_particular() {
    const SENT: &str =
        "authorization,content-type,if-match,if-none-match,accept-language,x-experience-api-version";
    for (configured, allowed) in [(vec![ORIGIN, "http://localhost:3000"], ORIGIN), (vec!["*"], "*")] {
        for_origins(&configured, async |server: &TestServer| {
            let table = rollbook::http::table().into_iter();
            for (path, methods) in table.filter(|(path, _)| path.starts_with("/xapi")) {
                for method in methods.iter().copied().chain(["head"]).map(str::to_uppercase) {
                    let answer = preflight(server, ORIGIN, &method, path, SENT).await;
                    assert_eq!(answer.status, 200, "{method} {path}");
                    assert_eq!(answer.header("access-control-allow-origin"), Some(allowed), "{path}");
                    let methods = names(&answer, "access-control-allow-methods");
                    assert!(methods.contains(&method.to_lowercase()), "{method} {path}: {methods:?}");
                    let headers = names(&answer, "access-control-allow-headers");
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
fn other_origins_read_nothing() {
    const OTHER: &str = "https://evil.example";
    for configured in [vec![ORIGIN], vec![]] {
        for_origins(&configured, async |server: &TestServer| {
            for origin in [OTHER, "null", "https://learn.example.org.evil.example"] {
                let answer = preflight(server, origin, "GET", STATEMENTS, "authorization").await;
                assert!(answer.status >= 400, "{origin}");
                let admin = admin(server);
                let headers = [("origin", origin), ("authorization", admin.as_str()), (VERSION, "1.0.3")];
                // Answered all the same: who isn't a browser may send any origin.
                let read = bare(server, Method::GET, STATEMENTS, &headers, "").await;
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

/// The headers that a page needs no leave to read, and those that are the browser's business alone.
const FREE: [&str; 10] = [
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
fn answers_and_errors_can_be_read_with_all_their_headers() {
    for_origins(&[ORIGIN], async |server: &TestServer| {
        let admin = admin(server);
        let known = ("authorization", admin.as_str());
        let (version, origin) = ((VERSION, "1.0.3"), ("origin", ORIGIN));
        let kind = ("content-type", "application/json");
        let id = "00000000-0000-4000-8000-000000000001";
        let one = statement(mailbox("ada@example.org"), "urn:verb", "urn:c").set("id", id);
        let body = serde_json::to_string(&one).expect("JSON");
        let other = body.replace("urn:verb", "urn:other");
        let agent = encode_segment(&mailbox("ada@example.org").to_string());
        let state = format!("/xapi/activities/state?activityId=urn:c&agent={agent}&stateId=s");
        let all = vec![known, version, kind];
        let none: Vec<(&str, &str)> = vec![version, kind];
        let large = "x".repeat(20_000);
        let cases = [
            (Method::POST, STATEMENTS, all.clone(), body.as_str(), 200),
            (Method::GET, STATEMENTS, all.clone(), "", 200),
            (Method::HEAD, STATEMENTS, all.clone(), "", 200),
            (Method::GET, "/xapi/about", vec![], "", 200),
            (Method::GET, "/xapi/statements?x=1", all.clone(), "", 400),
            (Method::GET, STATEMENTS, vec![known], "", 400),
            (Method::GET, STATEMENTS, none, "", 401),
            (Method::GET, "/xapi/none", all.clone(), "", 404),
            (Method::PATCH, STATEMENTS, all.clone(), "", 405),
            (Method::POST, STATEMENTS, all.clone(), other.as_str(), 409),
            (Method::POST, STATEMENTS, all.clone(), large.as_str(), 413),
            (Method::PUT, &state, all.clone(), "{}", 204),
            (Method::GET, &state, all.clone(), "", 200),
            (Method::PUT, &state, [&all[..], &[("if-none-match", "*")]].concat(), "{}", 412),
            // The alternate syntax needs no preflight: a page may send a form anywhere.
            (
                Method::POST,
                "/xapi/statements?method=GET",
                vec![("content-type", "application/x-www-form-urlencoded")],
                &format!("Authorization={}&X-Experience-API-Version=1.0.3", encode_segment(&admin)),
                200,
            ),
            (Method::GET, "/v1/activities", vec![known], "", 200),
            (Method::GET, "/v1/activities/export.csv", vec![known], "", 200),
            (Method::GET, "/v1/none", vec![known], "", 404),
        ];
        for (method, path, mut headers, body, status) in cases {
            headers.push(origin);
            let answer = bare(server, method.clone(), path, &headers, body).await;
            let said = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, status, "{method} {path}: {said}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{method} {path}");
            assert!(names(&answer, "vary").contains("origin"), "{method} {path}");
            let exposed = names(&answer, "access-control-expose-headers");
            for name in answer.headers.keys().map(reqwest::header::HeaderName::as_str) {
                assert!(
                    exposed.contains(name) || FREE.contains(&name),
                    "{name} of {method} {path} is hidden"
                );
            }
            if status >= 400 {
                assert_eq!(answer.json()["status"], json!(status), "{method} {path}");
                assert!(answer.header("x-request-id").is_some());
            }
        }
        // What no answer here had, and clients need.
        let answer = bare(server, Method::GET, "/xapi/about", &[origin], "").await;
        let exposed = names(&answer, "access-control-expose-headers");
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
fn without_origins_no_answer_speaks_of_them() {
    for_origins(&[], async |server: &TestServer| {
        let answer = bare(server, Method::GET, "/health/live", &[("origin", ORIGIN)], "").await;
        let spoken = answer.headers.keys().any(|name| name.as_str().starts_with("access-control"));
        assert_eq!((answer.status, spoken), (200, false));
    });
}
