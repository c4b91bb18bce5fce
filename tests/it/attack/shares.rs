//! Callers that take more than their share: exports, downloads, counts and pages.

mod exports;
mod pages;
mod snapshots;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::Database;
use crate::support::builders::{activity, content, user};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::server::sign;

/// The organisation that must not notice the load of another one.
const OTHER: &str = "other";

/// The path of the export of a caller's whole log.
const EXPORT: &str = "/v1/activities/export.ndjson";

/// The number of large rows that [`add_large_rows`] adds.
const LARGE_ROWS: usize = 150;

/// Starts a server process with these settings.
fn start(database: &Database, settings: &[(&str, &str)]) -> Process {
    let mut command = serve(database);
    command.envs(settings.iter().copied());
    Process::start(command)
}

fn token(organisation: &str, role: &str, user: &str) -> String {
    sign(&json!({"sub": user, "role": role, "org": organisation, "exp": 4_000_000_000_u64}))
}

/// A client of the process with the token of a person.
fn person(process: &Process, organisation: &str, role: &str, user: &str) -> Caller {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    Caller::anonymous(client, process.base.clone()).with_token(&token(organisation, role, user))
}

/// A client of the process with a credential that has this scope.
async fn credential_with(process: &Process, organisation: &str, scope: &str) -> Caller {
    let admin = person(process, organisation, "admin", "root");
    let body = json!({"name": scope, "scopes": [scope]});
    let created = admin.post("/v1/credentials", &body).await.expect(201).json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    admin.with_basic(&text("key"), &text("secret"))
}

/// Creates the user `bo`, a content and an activity of `bo`.
async fn set_up(process: &Process, organisation: &str) {
    let admin = person(process, organisation, "admin", "root");
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    admin.post("/v1/activities", &activity("bo", "completed").set("content", "c1")).await.expect(201);
}

/// Adds activities of `bo` with an export of 13 MB, which is larger than all buffers of a connection.
async fn add_large_rows(process: &Process, organisation: &str) {
    let credential = credential_with(process, organisation, "activities/write").await;
    let response = "x".repeat(90_000);
    let row = activity("bo", "answered").set("content", "c1").set("result.response", response).json();
    let batch = vec![row; LARGE_ROWS / 3];
    for _ in 0..3 {
        credential.post("/v1/activities/batch", &batch).await.expect(201);
    }
}

/// A client that decides how much of an answer it reads. Its receive buffer is small.
struct SlowClient {
    stream: TcpStream,
    read: Vec<u8>,
}

impl SlowClient {
    /// Sends a GET request.
    async fn get(base: &str, path: &str, token: Option<&str>) -> Self {
        let address = base.strip_prefix("http://").expect("a base").parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8 * 1024).expect("a size");
        let mut stream = socket.connect(address).await.expect("the server listens");
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nX-Experience-API-Version: 1.0.3\r\n{}\r\n",
            authorization.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        Self { stream, read: Vec::new() }
    }

    /// Reads at most this number of bytes. Returns false at the end of the connection.
    async fn read(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most];
        let read = tokio::time::timeout(Duration::from_secs(30), self.stream.read(&mut bytes)).await;
        let count = read.expect("the server sends or closes").unwrap_or(0);
        self.read.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// Reads the head and returns the status.
    async fn status(&mut self) -> u16 {
        while !self.read.windows(4).any(|four| four == b"\r\n\r\n") {
            assert!(self.read(256).await, "the connection ended before the head");
        }
        let head = String::from_utf8_lossy(&self.read);
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// Reads a chunked answer to its end. Returns its body, or `None` if it was interrupted.
    async fn body(&mut self) -> Option<Vec<u8>> {
        while !self.read.ends_with(b"\r\n0\r\n\r\n") {
            if !self.read(256 * 1024).await {
                return None;
            }
        }
        let start = self.read.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let (mut rest, mut body) = (&self.read[start..], Vec::new());
        loop {
            let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk");
            let size = std::str::from_utf8(&rest[..line]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 2 + size + 2..];
        }
    }
}

/// The rows of an export in NDJSON.
fn rows_of(ndjson: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(ndjson).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
