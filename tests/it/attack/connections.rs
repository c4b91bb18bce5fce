//! Clients that hold connections open, and clients that guess secrets.

mod deadlines;
mod old_clients;
mod readiness;
mod refusals;
mod revocation;

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::Database;
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::server::{ORG, sign};

/// Starts a server process with these settings.
fn start(database: &Database, settings: &[(&str, &str)]) -> Process {
    let mut command = serve(database);
    command.envs(settings.iter().copied());
    Process::start(command)
}

/// The token of an administrator.
fn admin_token() -> String {
    sign(&json!({"sub": "root", "org": ORG, "role": "admin", "exp": 4_000_000_000_i64}))
}

/// A client of a process with the token of an administrator.
fn admin_of(process: &Process) -> Caller {
    Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&admin_token())
}

/// Opens a connection to a server.
async fn connect(base: &str) -> TcpStream {
    let address = base.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.expect("the server listens")
}

/// Sends bytes. An error means that the server has closed the connection, which the next read shows.
async fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref()).await;
}

/// Reads until the server closes the connection or `limit` passes. Returns what was read, and whether it was closed.
async fn read_until_closed(stream: &mut TcpStream, limit: Duration) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let reading = async {
        let mut piece = vec![0; 65_536];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => all.extend_from_slice(&piece[..count]),
            }
        }
    };
    let is_closed = tokio::time::timeout(limit, reading).await.is_ok();
    (all, is_closed)
}

/// The head of a request with the token of an administrator. `headers` end with a line break.
fn head(line: &str, headers: &str) -> String {
    let token = admin_token();
    format!(
        "{line}\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Experience-API-Version: 1.0.3\r\n{headers}\r\n"
    )
}
