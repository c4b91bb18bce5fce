//! Requests without credentials that try to exhaust memory or time, requests with many faults, and requests that a
//! browser sends for the page of another site.

use std::time::Duration;

use serde_json::Value;

use crate::support::Database;
use crate::support::process::{Process, serve};

mod browsers;
mod faults;
mod forms;
mod pages;
mod recipients;
mod requests;
mod secrets;

/// The key and the secret of the credential of the processes.
const CREDENTIAL: (&str, &str) = ("integration", "a-secret-of-a-test-with-enough-length");

/// The longest problem document, with room for the request's id.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Starts a server with the credential.
fn start(database: &Database) -> Process {
    let mut command = serve(database);
    let (key, secret) = CREDENTIAL;
    command.env("ROLLBOOK_BOOTSTRAP_CREDENTIAL", format!("acme:{key}:{secret}"));
    Process::start(command)
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(30));
    builder.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

/// The ordinary request that is sent during an attack.
fn ordinary(base: &str) -> impl Fn(&reqwest::Client) -> reqwest::RequestBuilder + Send + 'static {
    let address = format!("{base}/health/live");
    move |client| client.get(&address)
}

/// The status and the problem document of a refusal. Asserts that it is short, and that it lists few faults.
async fn refusal(what: &str, request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap_or_else(|error| panic!("{what}: an incomplete answer: {error}"));
    assert!(status >= 400, "{what}: {status}");
    assert!(body.len() <= MAX_PROBLEM_BYTES, "{what}: an answer of {} bytes", body.len());
    let problem: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
    let listed = problem["errors"].as_array().map_or(0, Vec::len);
    assert!(listed <= 50, "{what}: {listed} faults");
    (status, problem)
}
