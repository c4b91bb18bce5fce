//! Addresses, headers and methods of requests without credentials.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::json;

use super::{client, ordinary, refusal, start};
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

const MIB: u64 = 1_048_576;

/// Every path that answers without credentials, and some that do not.
const PATHS: [&str; 10] = [
    "/downloads/x",
    "/xapi/about",
    "/xapi/statements",
    "/v1/activities",
    "/docs/",
    "/docs/problems",
    "/openapi.json",
    "/health/live",
    "/health/ready",
    "/none",
];

#[apply(both_databases)]
async fn long_query_has_a_short_answer(database: &Database) {
    let server = start(database);
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for path in PATHS {
            for query in
                ["%&".repeat(16_000), "a&".repeat(16_000), "&".repeat(32_000), "a=%25&".repeat(5_000)]
            {
                for method in [Method::GET, Method::POST, Method::OPTIONS, Method::DELETE] {
                    let address = format!("{}{path}?{query}", server.base);
                    let answer = client.request(method.clone(), address).send().await;
                    let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
                    if answer.status().as_u16() >= 400 {
                        let body = answer.bytes().await.expect("a body");
                        assert!(body.len() < 64 * 1024, "{method} {path}: {} bytes", body.len());
                    }
                }
            }
        }
        let download = client.get(format!("{}/downloads/x?{}", server.base, "%&".repeat(16_000)));
        assert_eq!(refusal("a download", download).await.0, 400);
    };
    let ((), measured) = watch("long queries", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 30 * MIB, "{measured}");
    assert_eq!(measured.failed, 0, "{measured}");
}

#[apply(both_databases)]
async fn hostile_authorization_is_refused_cheaply(database: &Database) {
    let server = start(database);
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = |header: &str, payload: &str| format!("Bearer {}.{}.c2ln", encode(header), encode(payload));
    let good = r#"{"alg":"HS256"}"#;
    let values = [
        token(&json!({"alg": "HS256", "kid": "k".repeat(20_000)}).to_string(), "{}"),
        token(&"[".repeat(20_000), "{}"),
        token(good, &format!("{{\"a\":{}", "[".repeat(20_000))),
        token(good, &format!("{{\"aud\":[{}\"x\"]}}", "\"a\",".repeat(5_000))),
        token(good, &json!({"sub": "x".repeat(20_000), "org": "acme"}).to_string()),
        format!("Bearer {}", ".".repeat(40_000)),
        format!("Bearer {}", "a".repeat(40_000)),
        format!("Basic {}", STANDARD.encode(format!("{}:{}", "k".repeat(15_000), "s".repeat(15_000)))),
        format!("Basic {}", STANDARD.encode(format!("{}:x", "k".repeat(3_000)))),
        format!("Basic {}", "=".repeat(40_000)),
        format!("Digest {}", "x".repeat(40_000)),
        " ".repeat(40_000),
    ];
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for value in &values {
            for path in ["/v1/activities", "/xapi/statements"] {
                let request = client.get(format!("{}{path}", server.base)).header("authorization", value);
                let what = value.get(..20.min(value.len())).expect("ASCII");
                assert_eq!(refusal(what, request).await.0, 401, "{what}");
            }
        }
    };
    let ((), measured) = watch("hostile authorization", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 20 * MIB, "{measured}");
}

#[apply(both_databases)]
async fn lists_in_headers_cost_little_time(database: &Database) {
    let server = start(database);
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for (name, value) in [
            ("accept-language", "a,".repeat(15_000)),
            ("accept-language", "a-".repeat(15_000) + "b"),
            ("accept-encoding", "gzip;q=0.1,".repeat(3_000)),
            ("if-none-match", "\"a\",".repeat(8_000)),
            ("if-match", "\"a\",".repeat(8_000)),
            ("content-type", "multipart/mixed;a=b".repeat(1_500)),
            ("x-request-id", "i".repeat(30_000)),
            ("access-control-request-headers", "a,".repeat(15_000)),
            ("range", "bytes=0-1,".repeat(3_000)),
        ] {
            for path in PATHS {
                for method in [Method::GET, Method::OPTIONS, Method::POST] {
                    let request =
                        client.request(method, format!("{}{path}", server.base)).header(name, &value);
                    request.send().await.unwrap_or_else(|error| panic!("{name} {path}: {error}"));
                }
            }
        }
    };
    let ((), measured) = watch("lists in headers", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 30 * MIB, "{measured}");
    assert_eq!(measured.failed, 0, "{measured}");
}

/// A compressed body could become a long one.
#[apply(both_databases)]
async fn compressed_bodies_are_refused(database: &Database) {
    let server = start(database);
    let client = client();
    for (path, status) in
        [("/v1/activities", 401), ("/xapi/statements", 401), ("/xapi/statements?method=PUT", 400)]
    {
        let request = client.post(format!("{}{path}", server.base)).header("content-encoding", "gzip");
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(vec![0; 1_000]);
        assert_eq!(refusal(path, request).await.0, status, "{path}");
    }
}
