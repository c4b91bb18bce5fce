//! Tests of a key set at an address when SIGHUP loads the keys of tokens again.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jsonwebtoken::EncodingKey;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::tokens::{jwks_text, key_a, key_b, sign_rs256};
use crate::support::Database;
use crate::support::process::{Process, serve};
use crate::support::server::run_with_database;

/// A server of key sets. It ends with the runtime of the test.
struct KeySetServer {
    address: String,
    /// The key set. Without one, the server answers 503.
    text: Arc<Mutex<Option<String>>>,
    /// The number of requests that were answered.
    answered: Arc<AtomicUsize>,
}

impl KeySetServer {
    async fn start(text: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
        let server =
            Self { address, text: Arc::new(Mutex::new(Some(text))), answered: Arc::new(AtomicUsize::new(0)) };
        let (text, answered) = (Arc::clone(&server.text), Arc::clone(&server.answered));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.read(&mut [0; 4096]).await; // the request fits one segment
                let (status, body) = match text.lock().expect("no panic").clone() {
                    Some(body) => ("200 OK", body),
                    None => ("503 Service Unavailable", String::new()),
                };
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close", body.len());
                let _ = client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                answered.fetch_add(1, Ordering::SeqCst);
            }
        });
        server
    }

    fn set(&self, text: Option<String>) {
        *self.text.lock().expect("no panic") = text;
    }

    /// Waits until the server was asked again.
    async fn wait_for_request_after(&self, answered: usize) {
        let began = Instant::now();
        while self.answered.load(Ordering::SeqCst) <= answered {
            assert!(began.elapsed() < Duration::from_secs(10), "the key set is not read");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn find_status(server: &Process, key: &EncodingKey, kid: &str) -> u16 {
    let claims =
        json!({"iss": "login", "sub": "root", "org": "acme", "role": "owner", "exp": 4_000_000_000_u64});
    let token = sign_rs256(key, Some(kid), &claims);
    let request = reqwest::Client::new().get(format!("{}/v1/actions", server.base)).bearer_auth(token);
    request.send().await.expect("an answer").status().as_u16()
}

/// Sends SIGHUP and waits until the key set is read.
async fn reload(server: &Process, keys: &KeySetServer) {
    let answered = keys.answered.load(Ordering::SeqCst);
    server.signal("HUP");
    keys.wait_for_request_after(answered).await;
}

async fn wait_for_status(server: &Process, key: &EncodingKey, kid: &str, expected: u16) {
    let began = Instant::now();
    while find_status(server, key, kid).await != expected {
        assert!(began.elapsed() < Duration::from_secs(10), "the key {kid} is not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that the key `a` is valid for a while.
async fn check_that_it_stays(server: &Process, key: &EncodingKey) {
    for _ in 0..15 {
        assert_eq!(find_status(server, key, "a").await, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check_reload(database: &Database, with_issuers: bool) {
    let (a, b) = (key_a(), key_b());
    let keys = KeySetServer::start(jwks_text(&[("a", &a)])).await;
    let mut command = serve(database);
    command.env_remove("ROLLBOOK_JWT_SECRET");
    let file = std::env::temp_dir()
        .join(format!("rollbook-issuers-{}.json", keys.address.replace(|c: char| !c.is_ascii_digit(), "")));
    if with_issuers {
        let entry = json!([{"issuer": "login", "organisations": "*", "jwks": keys.address}]);
        std::fs::write(&file, entry.to_string()).expect("a file");
        command.env("ROLLBOOK_JWT_ISSUERS", &file);
    } else {
        command.env("ROLLBOOK_JWT_JWKS", &keys.address);
    }
    let server = tokio::task::spawn_blocking(move || Process::start(command)).await.expect("it starts");
    assert_eq!(find_status(&server, &a, "a").await, 200);

    // An outage of the identity provider: the old keys stay.
    keys.set(None);
    reload(&server, &keys).await;
    check_that_it_stays(&server, &a).await;
    // The same for an answer that is no key set.
    keys.set(Some("<html>".to_owned()));
    reload(&server, &keys).await;
    check_that_it_stays(&server, &a).await;
    // A set without the key withdraws it.
    keys.set(Some(jwks_text(&[("b", &b)])));
    reload(&server, &keys).await;
    wait_for_status(&server, &b, "b", 200).await;
    assert_eq!(find_status(&server, &a, "a").await, 401);
    // So does an empty set.
    keys.set(Some(jwks_text(&[])));
    reload(&server, &keys).await;
    wait_for_status(&server, &b, "b", 401).await;
    let _ = std::fs::remove_file(file); // it may not exist
}

#[test]
fn old_keys_stay_when_an_address_does_not_answer_at_a_hangup() {
    run_with_database(Database::sqlite(), async |database: &Database| check_reload(database, false).await);
}

#[test]
fn old_keys_of_an_issuer_stay_when_its_address_does_not_answer_at_a_hangup() {
    run_with_database(Database::postgres(), async |database: &Database| check_reload(database, true).await);
}
