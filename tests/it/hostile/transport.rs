//! Tests of errors below the body: sizes, slow requests, invalid framing. Each request has an answer, and
//! the connection stays open if the start of the next request is known.

use std::time::Duration;

use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{count_stored, full_activity, full_statement, set_up};
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer};

/// A connection that sends exactly the given bytes.
struct RawConnection {
    stream: TcpStream,
    read: Vec<u8>,
}

struct RawAnswer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl RawAnswer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, String::from_utf8_lossy(&self.body)))
    }
}

impl RawConnection {
    async fn open(server: &TestServer) -> Self {
        let address = server.base.strip_prefix("http://").expect("an address");
        Self { stream: TcpStream::connect(address).await.expect("the server listens"), read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await; // the next read shows whether the server has closed
    }

    async fn read_more(&mut self) -> bool {
        let mut chunk = [0; 16_384];
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut chunk))
            .await
            .expect("an answer within 20 s");
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&chunk[..count]);
        count > 0
    }

    /// The next answer, or `None` if the server has closed the connection.
    async fn answer(&mut self) -> Option<RawAnswer> {
        let end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if self.read_more().await => {}
                None => return None,
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if status == 100 {
            return Some(RawAnswer { status, head, body: Vec::new() });
        }
        let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.read.len() < length {
            assert!(self.read_more().await, "the body is cut off");
        }
        let body = self.read.drain(..length).collect();
        Some(RawAnswer { status, head, body })
    }

    async fn expect(&mut self, status: u16) -> RawAnswer {
        let answer = self.answer().await.unwrap_or_else(|| panic!("closed instead of {status}"));
        assert_eq!(answer.status, status, "{}\n{}", answer.head, String::from_utf8_lossy(&answer.body));
        answer
    }

    async fn wait_until_closed(&mut self) {
        while self.read_more().await {}
    }
}

fn token(server: &TestServer) -> String {
    let expires = server.clock.now().micros() / 1_000_000 + 600;
    sign(&json!({"sub": "root", "org": "acme", "role": "admin", "exp": expires}))
}

fn request_head(server: &TestServer, line: &str, headers: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nX-Experience-API-Version: 1.0.3\r\n{headers}\r\n",
        token(server)
    )
}

fn post(server: &TestServer, path: &str, body: &[u8]) -> Vec<u8> {
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    [request_head(server, &format!("POST {path}"), &headers).as_bytes(), body].concat()
}

fn get(server: &TestServer, path: &str) -> String {
    request_head(server, &format!("GET {path}"), "")
}

/// Runs a server with these limits on SQLite, because the requests do not reach the database.
fn run_with_limits(limits: Limits, test: impl AsyncFnOnce(&TestServer)) {
    run_with(Database::sqlite(), AppOptions { limits, ..AppOptions::default() }, test);
}

#[test]
fn connection_stays_open_after_refused_requests() {
    run_with_limits(
        Limits { body_bytes: 20_000, batch: 3, ..Limits::default() },
        async |server: &TestServer| {
            let admin = server.person("admin", "root");
            set_up(&admin).await;
            let before = count_stored(&admin).await;
            let mut connection = RawConnection::open(server).await;
            let large = vec![b' '; 30_000];
            for (request, status) in [
                (post(server, "/xapi/statements", b"{"), 400),
                (post(server, "/xapi/statements", &large), 413),
                (post(server, "/v1/activities", b"{}"), 400),
                (post(server, "/v1/activities", &large), 413),
                (post(server, "/v1/activities/batch", b"[1,2,3,4]"), 413),
                (post(server, "/xapi/statements?x=1", b"{}"), 400),
                (post(server, "/v1/nothing", &large), 404),
                (post(server, "/v1/activities/export.csv", &large), 405),
                (post(server, "/v1/users/ada", b"{}"), 405),
                (get(server, "/v1/activities?x=1").into_bytes(), 400),
                (get(server, "/v1/activities/x").into_bytes(), 404),
                (get(server, "/v1/activities").replace("Bearer ", "Bearer x").into_bytes(), 401),
                (
                    String::from_utf8(post(server, "/v1/activities", &large))
                        .expect("text")
                        .replace("Bearer ", "Bearer x")
                        .into_bytes(),
                    401,
                ),
                (
                    String::from_utf8(post(server, "/v1/activities", b"{}"))
                        .expect("text")
                        .replace("application/json", "text/plain")
                        .into_bytes(),
                    415,
                ),
                (get(server, &format!("/v1/activities?title={}", "x".repeat(40_000))).into_bytes(), 414),
                (
                    get(server, "/v1/activities")
                        .replace("Host: x", &format!("Host: x\r\nX-Long: {}", "x".repeat(50_000)))
                        .into_bytes(),
                    431,
                ),
            ] {
                connection.send(&request).await;
                let answer = connection.expect(status).await;
                assert_eq!(answer.json()["status"], status);
                assert!(
                    answer.head.to_lowercase().contains("content-type: application/problem+json"),
                    "{}",
                    answer.head
                );
                connection.send(get(server, "/v1/organisation")).await;
                connection.expect(200).await;
            }
            // Several requests at once are answered in order.
            let all = [
                post(server, "/v1/activities", b"{"),
                get(server, "/v1/organisation").into_bytes(),
                get(server, "/v1/nothing").into_bytes(),
            ]
            .concat();
            connection.send(&all).await;
            for status in [400, 200, 404] {
                connection.expect(status).await;
            }
            assert_eq!(count_stored(&admin).await, before);
        },
    );
}

#[test]
fn too_large_body_is_413_in_every_framing() {
    // The server waits for a missing body only for the body timeout.
    let limits = Limits { body_bytes: 10_000, body_timeout: Duration::from_millis(500), ..Limits::default() };
    run_with_limits(limits, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        set_up(&admin).await;
        let before = count_stored(&admin).await;
        for path in [
            "/xapi/statements",
            "/v1/activities",
            "/v1/activities/batch",
            "/v1/users/batch",
            "/v1/credentials",
        ] {
            // The length is declared, but the body is not sent.
            let mut connection = RawConnection::open(server).await;
            connection.send(request_head(
                server,
                &format!("POST {path}"),
                "Content-Type: application/json\r\nContent-Length: 9999999999\r\nExpect: 100-continue\r\n",
            ))
            .await;
            let mut answer = connection.answer().await.expect("an answer");
            if answer.status == 100 {
                answer = connection.answer().await.expect("an answer");
            }
            assert_eq!(answer.json()["code"], "body-too-large", "{path}");
            // In chunks, without a declared length.
            let mut connection = RawConnection::open(server).await;
            connection
                .send(request_head(
                    server,
                    &format!("POST {path}"),
                    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                ))
                .await;
            for _ in 0..11 {
                connection.send(format!("3e8\r\n{}\r\n", " ".repeat(1000))).await;
            }
            connection.send("0\r\n\r\n").await;
            assert_eq!(connection.expect(413).await.json()["code"], "body-too-large", "{path}");
            connection.send(get(server, "/v1/organisation")).await;
            connection.expect(200).await;
        }
        // Exactly at the limit, and one byte above it.
        let mut body = full_statement().to_string().into_bytes();
        body.resize(10_000, b' ');
        let mut connection = RawConnection::open(server).await;
        connection.send(post(server, "/xapi/statements", &[body.as_slice(), b" "].concat())).await;
        connection.expect(413).await;
        assert_eq!(count_stored(&admin).await, before);
        connection.send(post(server, "/xapi/statements", &body)).await;
        connection.expect(200).await;
    });
}

#[test]
fn slow_body_is_408_and_stores_nothing() {
    run_with_limits(
        Limits { body_timeout: Duration::from_millis(300), ..Limits::default() },
        async |server: &TestServer| {
            let admin = server.person("admin", "root");
            set_up(&admin).await;
            let before = count_stored(&admin).await;
            for (path, body) in [
                ("/xapi/statements", full_statement()),
                ("/v1/activities", full_activity()),
                ("/v1/users/batch", json!([])),
            ] {
                let request = post(server, path, body.to_string().as_bytes());
                let mut connection = RawConnection::open(server).await;
                // The last byte is missing.
                connection.send(&request[..request.len() - 1]).await;
                let answer = connection.expect(408).await;
                assert_eq!(answer.json()["code"], "request-timeout", "{path}");
                assert!(answer.head.to_lowercase().contains("connection: close"), "{}", answer.head);
                connection.wait_until_closed().await;
                // Single bytes with pauses.
                let mut connection = RawConnection::open(server).await;
                let (first, rest) = request.split_at(request.len() - 60.min(body.to_string().len()));
                connection.send(first).await;
                for byte in rest.iter().take(50) {
                    connection.send([*byte]).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                if rest.len() > 50 {
                    connection.expect(408).await;
                }
            }
            assert_eq!(count_stored(&admin).await, before);
        },
    );
}

#[test]
fn invalid_framing_closes_only_the_connection() {
    run_with_limits(Limits::default(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        set_up(&admin).await;
        let before = count_stored(&admin).await;
        let valid = full_statement().to_string();
        let with = |headers: &str, body: &str| {
            request_head(
                server,
                "POST /xapi/statements",
                &format!("Content-Type: application/json\r\n{headers}"),
            ) + body
        };
        let length = valid.len();
        for (what, request) in [
            ("not HTTP", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
            ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n".to_owned()),
            ("no version", "GET /v1/users\r\n\r\n".to_owned()),
            ("an unknown version", "GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned()),
            ("a space in the address", get(server, "/v1/a b")),
            ("an invalid length", with("Content-Length: ten\r\n", &valid)),
            ("a negative length", with("Content-Length: -1\r\n", &valid)),
            ("two lengths", with(&format!("Content-Length: {length}\r\nContent-Length: 1\r\n"), &valid)),
            (
                "a length and chunks",
                with(
                    &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
                    "5\r\nhello\r\n0\r\n\r\n",
                ),
            ),
            ("chunks without a size", with("Transfer-Encoding: chunked\r\n", "zz\r\n\r\n")),
            ("an endless chunk size", with("Transfer-Encoding: chunked\r\n", &"f".repeat(40))),
            ("an unknown coding", with("Transfer-Encoding: gzip\r\n", &valid)),
            ("a header without a colon", get(server, "/v1/users").replace("Host: x", "Host x")),
            ("a line break in a header", get(server, "/v1/users").replace("Host: x", "Host: x\r\n folded")),
        ] {
            let mut connection = RawConnection::open(server).await;
            connection.send(&request).await;
            let _ = connection.stream.shutdown().await; // otherwise the server waits for more
            if let Some(answer) = connection.answer().await {
                assert!((400..500).contains(&answer.status), "{what}: {}", answer.head);
            }
        }
        // The connection is closed within the body.
        for cut in [0, 1, length / 2, length - 1] {
            let request = post(server, "/xapi/statements", valid.as_bytes());
            let mut connection = RawConnection::open(server).await;
            connection.send(&request[..request.len() - length + cut]).await;
            drop(connection);
        }
        // Very many headers.
        let mut connection = RawConnection::open(server).await;
        connection
            .send(
                get(server, "/v1/users")
                    .replace("Host: x", &format!("Host: x\r\n{}", "X-A: b\r\n".repeat(500).trim_end())),
            )
            .await;
        if let Some(answer) = connection.answer().await {
            assert!((400..500).contains(&answer.status), "{}", answer.head);
        }
        let mut connection = RawConnection::open(server).await;
        connection
            .send(
                get(server, "/v1/users")
                    .replace("Host: x", &format!("Host: x\r\nX-Long: {}", "x".repeat(2_000_000))),
            )
            .await;
        if let Some(answer) = connection.answer().await {
            assert!((400..500).contains(&answer.status), "{}", answer.head);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(count_stored(&admin).await, before);
    });
}

#[test]
fn too_frequent_requests_are_refused_with_retry_after() {
    run_with_limits(
        Limits { requests_per_second: 1, burst: 5, ..Limits::default() },
        async |server: &TestServer| {
            let caller = server.person("learner", "ada");
            for _ in 0..5 {
                caller.get("/v1/activities").await.expect(200);
            }
            let refused = caller.get("/v1/activities").await.expect(429);
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert_eq!(refused.json()["code"], "too-many-requests");
            caller.post("/v1/activities", &json!({})).await.expect(429);
            server.person("learner", "bo").get("/v1/activities").await.expect(200);
            server.anonymous().get("/health/live").await.expect(200);
        },
    );
}

#[test]
fn limits_are_settings() {
    let limits = Limits { json_depth: 4, page_default: 2, page_max: 3, uri_bytes: 200, ..Limits::default() };
    run_with_limits(limits, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        set_up(&admin).await;
        admin.get("/v1/activities?limit=3").await.expect(200);
        admin.get("/v1/activities?limit=4").await.expect(400);
        admin.get(&format!("/v1/activities?title={}", "x".repeat(200))).await.expect(414);
        let deep = json!({"user": {"account": {"homePage": "https://example.org", "name": "x"}}, "action": "logged_in"});
        admin.post("/v1/activities", &deep).await.expect(201);
        let batch: Vec<Value> =
            (0..3).map(|_| json!({"user": "ada", "action": "viewed", "content": "fire"})).collect();
        admin.post("/v1/activities/batch", &batch).await.expect(201);
        let page = admin.get("/v1/activities").await.expect(200).json();
        assert_eq!(page["activities"].as_array().map(Vec::len), Some(2));
        let sent = json!({"actor": {"mbox": "mailto:a@example.org"}, "verb": {"id": "urn:v"}, "object": {"id": "urn:o"},
            "result": {"extensions": {"urn:e": {"a": {"b": 1}}}}});
        admin.post("/xapi/statements", &sent).await.expect(400);
    });
}

#[test]
fn request_without_a_free_permit_is_503_with_retry_after() {
    let limits = Limits {
        concurrent_exports: 0,
        concurrent_counts: 0,
        concurrency_wait: Duration::from_millis(20),
        ..Limits::default()
    };
    run_with_limits(limits, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        for address in ["/v1/activities/export.csv", "/v1/facets", "/v1/activities/summary?by=action"] {
            let refused = admin.get(address).await.expect(503);
            assert_eq!(refused.header("retry-after"), Some("5"), "{address}");
            assert_eq!(refused.json()["code"], "unavailable", "{address}");
        }
        admin.get("/v1/activities").await.expect(200);
    });
}
