//! Clients of HTTP/1.0, which know no chunks.

use std::time::Duration;

use super::{connect, read_until_closed, send};
use crate::support::builders::{activity, user};
use crate::support::server::{ORG, sign};
use crate::support::{TestServer, apply, both_databases};

/// Sends a GET of HTTP/1.0 and reads to the end of the connection. Returns the head in lower case, and the body.
async fn get_by_http_1_0(server: &TestServer, path: &str, headers: &str) -> (String, Vec<u8>) {
    let expires = server.clock.now().micros() / 1_000_000 + 600;
    let token = sign(&serde_json::json!({"sub": "root", "org": ORG, "role": "admin", "exp": expires}));
    let mut stream = connect(&server.base).await;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         X-Experience-API-Version: 1.0.3\r\n{headers}\r\n"
    );
    send(&mut stream, request).await;
    let (read, is_closed) = read_until_closed(&mut stream, Duration::from_secs(5)).await;
    assert!(is_closed, "{path}: the end of the connection is the end of the answer");
    let end = read.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8_lossy(&read[..end]).to_lowercase(), read[end..].to_vec())
}

#[apply(both_databases)]
async fn streamed_answer_to_http_1_0_is_not_chunked(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    for _ in 0..50 {
        admin.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    }
    for path in ["/v1/activities/export.csv", "/v1/activities/export.ndjson"] {
        let expected = admin.get(path).await.expect(200).body;
        for headers in ["", "Connection: keep-alive\r\n"] {
            let (head, body) = get_by_http_1_0(server, path, headers).await;
            assert!(head.starts_with("http/1.0 200"), "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
            assert!(!head.contains("keep-alive"), "{head}");
            assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&expected), "{path}");
        }
        let (head, body) = get_by_http_1_0(server, path, "Accept-Encoding: gzip\r\n").await;
        assert!(!head.contains("transfer-encoding"), "{head}");
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body.as_slice()), &mut unpacked)
            .expect("gzip");
        assert_eq!(unpacked, expected, "{path}");
    }
    let (head, body) = get_by_http_1_0(server, "/v1/organisation", "").await;
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
}
