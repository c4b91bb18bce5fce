//! Tests of the version of requests and answers, for every resource (xAPI 1.0.3, Communication 3.3).

use reqwest::Method;
use reqwest::header::HeaderMap;
use rollbook::http::AppOptions;
use rollbook::http::xapi::UnversionedAnswer;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer, apply, both_databases};

pub(super) const VERSION: &str = "x-experience-api-version";
const JSON: (&str, &str) = ("content-type", "application/json");

/// An answer to a request without added headers.
pub(super) struct RawAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl RawAnswer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }
}

/// Sends a request with exactly these headers.
pub(super) async fn send_bare(
    server: &TestServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> RawAnswer {
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", server.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(body.into()).send().await.expect("an answer");
    RawAnswer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.expect("the whole answer").to_vec(),
    }
}

/// The `Authorization` value of an admin.
pub(super) fn admin_token(server: &TestServer) -> String {
    let expires = server.clock.now().micros() / 1_000_000 + 3_600;
    let token = sign(&json!({"sub": "root", "org": "acme", "role": "admin", "exp": expires}));
    format!("Bearer {token}")
}

/// Every operation under `/xapi`, with HEAD for each GET.
fn operations() -> Vec<(Method, &'static str)> {
    let mut operations: Vec<(Method, &str)> = rollbook::http::table()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/xapi"))
        .flat_map(|(path, methods)| {
            let methods = methods.iter().map(|method| method.to_uppercase());
            methods.map(move |method| (method.parse().expect("a method"), path))
        })
        .collect();
    assert!(operations.contains(&(Method::GET, "/xapi/statements")));
    let reads = operations.iter().filter(|(method, _)| method == Method::GET);
    let heads: Vec<_> = reads.map(|(_, path)| (Method::HEAD, *path)).collect();
    operations.extend(heads);
    operations
}

const GOOD: [(&str, &str); 6] = [
    ("1.0", "1.0.3"),
    ("1.0.0", "1.0.3"),
    ("1.0.3", "1.0.3"),
    ("1.0.9", "1.0.3"),
    ("2.0", "2.0.0"),
    ("2.0.0", "2.0.0"),
];

const BAD: [&str; 9] = ["", "0.9", "0.95", "1.1.0", "2.1.0", "3.0.0", "1.0.x", "BAD", "1.0.3, 1.0.3"];

#[apply(both_databases)]
async fn every_resource_needs_a_supported_version(server: &TestServer) {
    let admin = admin_token(server);
    for (method, path) in operations() {
        if path == "/xapi/about" {
            continue;
        }
        let send_with_version = async |version: &[(&str, &str)]| {
            let headers = [&[("authorization", admin.as_str()), JSON], version].concat();
            send_bare(server, method.clone(), path, &headers, "{}").await
        };
        let mut refused = vec![
            send_with_version(&[]).await,
            send_with_version(&[(VERSION, "1.0.3"), (VERSION, "2.0.0")]).await,
        ];
        for version in BAD {
            refused.push(send_with_version(&[(VERSION, version)]).await);
        }
        for answer in refused {
            assert_eq!((answer.status, answer.header(VERSION)), (400, Some("0.95")), "{method} {path}");
            if method != Method::HEAD {
                let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
                assert!(detail.contains("X-Experience-API-Version"), "{method} {path}: {detail}");
            }
        }
        for (version_in_request, version_in_answer) in GOOD {
            let answer = send_with_version(&[(VERSION, version_in_request)]).await;
            assert_eq!(
                answer.header(VERSION),
                Some(version_in_answer),
                "{method} {path} {version_in_request}"
            );
            if answer.status == 400 && method != Method::HEAD {
                let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
                assert!(
                    !detail.contains("X-Experience-API-Version"),
                    "{method} {path} {version_in_request}: {detail}"
                );
            }
            assert!(answer.status < 500, "{method} {path} {version_in_request}: {}", answer.status);
        }
    }
}

#[apply(both_databases)]
async fn errors_have_the_version_header(server: &TestServer) {
    let (admin, learner) = (admin_token(server), server.person("learner", "ada"));
    for (version_in_request, version_in_answer) in GOOD.into_iter().chain(BAD.map(|bad| (bad, "0.95"))) {
        let version = (VERSION, version_in_request);
        let authorization = ("authorization", admin.as_str());
        for (method, path, headers, status) in [
            (Method::GET, "/xapi/statements", vec![version], 401),
            (Method::GET, "/xapi/statements", vec![version, ("authorization", "Basic:xxx")], 401),
            (Method::GET, "/xapi/statements", vec![version, ("authorization", "Basic eDp5")], 401),
            (Method::GET, "/xapi", vec![version], 401),
            (Method::GET, "/xapi/none", vec![version, authorization], 404),
            (Method::GET, "/xapi/statements/x", vec![version, authorization], 404),
            (Method::PATCH, "/xapi/statements", vec![version, authorization], 405),
            (Method::OPTIONS, "/xapi/statements", vec![version, authorization], 405),
        ] {
            let answer = send_bare(server, method.clone(), path, &headers, "").await;
            assert_eq!(
                (answer.status, answer.header(VERSION)),
                (status, Some(version_in_answer)),
                "{method} {path} {version_in_request}"
            );
            assert_eq!(answer.json()["status"], status, "{method} {path} {version_in_request}");
        }
        let refused = learner
            .send(Method::POST, "/xapi/statements", &[version, JSON], b"{}".to_vec())
            .await
            .expect(403);
        assert_eq!(refused.header(VERSION), Some(version_in_answer), "{version_in_request}");
    }
    // Other paths have no version.
    let answer =
        send_bare(server, Method::GET, "/v1/none", &[("authorization", &admin), (VERSION, "1.0.3")], "")
            .await;
    assert_eq!((answer.status, answer.header(VERSION)), (404, None));
}

#[apply(both_databases)]
async fn about_accepts_every_version(server: &TestServer) {
    for (version_in_request, version_in_answer) in GOOD.into_iter().chain(BAD.map(|bad| (bad, "2.0.0"))) {
        for method in [Method::GET, Method::HEAD] {
            let answer =
                send_bare(server, method.clone(), "/xapi/about", &[(VERSION, version_in_request)], "").await;
            assert_eq!(
                (answer.status, answer.header(VERSION)),
                (200, Some(version_in_answer)),
                "{method} {version_in_request}"
            );
        }
    }
    let answer = send_bare(server, Method::GET, "/xapi/about", &[], "").await;
    assert_eq!((answer.status, answer.header(VERSION)), (200, Some("2.0.0")));
}

/// Statements of both versions are read unchanged in the other version.
#[apply(both_databases)]
async fn both_versions_read_the_same_statements(server: &TestServer) {
    let admin = admin_token(server);
    let sent = |n: u32| {
        let id = format!("00000000-0000-4000-8000-{n:012}");
        statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/passed", "urn:c").set("id", id)
    };
    let with = |version| [("authorization", admin.as_str()), JSON, (VERSION, version)];
    for (n, version) in [(1, "1.0.3"), (2, "2.0.0")] {
        let body = serde_json::to_vec(&sent(n)).expect("JSON");
        assert_eq!(
            send_bare(server, Method::POST, "/xapi/statements", &with(version), body).await.status,
            200
        );
    }
    let read = async |version| {
        send_bare(server, Method::GET, "/xapi/statements?ascending=true", &with(version), "").await.json()
    };
    let (first, second) = (read("1.0.3").await, read("2.0.0").await);
    assert_eq!(first, second);
    assert_eq!(
        (&first["statements"][0]["version"], &first["statements"][1]["version"]),
        (&json!("1.0.0"), &json!("2.0.0"))
    );
    // The version of the request decides which versions a statement may have.
    for (n, (statement_version, request, status)) in (10..).zip([
        ("1.0", "1.0.3", 200),
        ("1.0.2", "1.0.3", 200),
        ("2.0.0", "1.0.3", 400),
        ("0.9.9", "1.0.3", 400),
        ("1.1.0", "1.0.3", 400),
        ("1.0.0", "2.0.0", 200),
        ("2.0.0", "2.0.0", 200),
        ("2.1.0", "2.0.0", 400),
    ]) {
        let body = serde_json::to_vec(&sent(n).set("version", statement_version)).expect("JSON");
        assert_eq!(
            send_bare(server, Method::POST, "/xapi/statements", &with(request), body).await.status,
            status,
            "{statement_version} in {request}"
        );
    }
}

#[test]
fn version_of_answers_to_unversioned_requests_is_a_setting() {
    for (xapi_unversioned, expected) in [
        (UnversionedAnswer::V095, "0.95"),
        (UnversionedAnswer::V103, "1.0.3"),
        (UnversionedAnswer::V200, "2.0.0"),
    ] {
        let options = AppOptions { xapi_unversioned, ..AppOptions::default() };
        run_with(Database::sqlite(), options, async |server: &TestServer| {
            let admin = admin_token(server);
            for (headers, status) in [
                (vec![("authorization", admin.as_str())], 400),
                (vec![("authorization", admin.as_str()), (VERSION, "0.9")], 400),
                (vec![], 401),
            ] {
                let answer = send_bare(server, Method::GET, "/xapi/statements", &headers, "").await;
                assert_eq!((answer.status, answer.header(VERSION)), (status, Some(expected)));
            }
            let headers = [("authorization", admin.as_str()), (VERSION, "1.0")];
            let answer = send_bare(server, Method::GET, "/xapi/statements", &headers, "").await;
            assert_eq!((answer.status, answer.header(VERSION)), (200, Some("1.0.3")));
        });
    }
}
