//! What a request without a verified caller is answered: the code and the challenges.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::browser::output_of;
use crate::support::http::Answer;
use crate::support::server::sign;
use crate::support::tools::is_installed;
use crate::support::{apply, both_databases};

const BEARER: &str = "Bearer";
const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";
const BASIC: &str = "Basic realm=\"rollbook\", charset=\"UTF-8\"";

async fn send(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.anonymous().send(Method::GET, path, headers, Vec::new()).await.expect(401)
}

fn code_and_challenges(answer: &Answer) -> (String, Vec<String>) {
    let challenges = answer.headers.get_all("www-authenticate").iter();
    let challenges = challenges.map(|value| value.to_str().expect("text").to_owned()).collect();
    (answer.json()["code"].as_str().expect("a code").to_owned(), challenges)
}

/// The tokens of a person: an expired one and a wrong one, as values of `Authorization`.
fn expired_and_wrong(server: &TestServer) -> [String; 2] {
    let now = server.clock.now().micros() / 1_000_000;
    let token = |claims: Value| format!("Bearer {}", sign(&claims));
    let expired = token(json!({"sub": "ada", "org": "acme", "role": "admin", "exp": now - 1}));
    let wrong = token(json!({"sub": "ada", "org": "acme", "role": "root", "exp": now + 600}));
    [expired, wrong]
}

/// The headers of a request, the code of its refusal, and the challenges.
type Refusal<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

#[apply(both_databases)]
async fn refusal_names_its_reason_and_the_schemes_that_help(server: &TestServer) {
    let [expired, wrong] = &expired_and_wrong(server);
    let cors = ("sec-fetch-mode", "cors");
    let navigate = ("sec-fetch-mode", "navigate");
    fn token(value: &str) -> (&str, &str) {
        ("authorization", value)
    }
    let cases: [Refusal; 11] = [
        (&[], "unauthenticated", &[BEARER, BASIC]),
        (&[navigate], "unauthenticated", &[BEARER, BASIC]),
        (&[cors], "unauthenticated", &[BEARER]),
        (&[("origin", "https://learn.example")], "unauthenticated", &[BEARER]),
        (&[token(expired)], "token_expired", &[INVALID_TOKEN]),
        (&[token(expired), navigate], "token_expired", &[INVALID_TOKEN]),
        (&[token(wrong)], "token_invalid", &[INVALID_TOKEN]),
        (&[token("Bearer x"), cors], "token_invalid", &[INVALID_TOKEN]),
        (&[token("Basic eDp5")], "unauthenticated", &[BEARER, BASIC]),
        (&[token("Basic eDp5"), cors], "unauthenticated", &[BEARER]),
        (&[token("Digest x")], "unauthenticated", &[BEARER]),
    ];
    for path in ["/v1/activities", "/xapi/statements", "/v1/me"] {
        for (headers, code, challenges) in &cases {
            let answer = send(server, path, headers).await;
            let expected = ((*code).to_owned(), challenges.iter().map(|one| (*one).to_owned()).collect());
            assert_eq!(code_and_challenges(&answer), expected, "{path} {headers:?}");
            assert_eq!(answer.json()["type"], format!("/docs/problems#{code}"));
        }
    }
}

/// Chromium opens a window of its own for a `Basic` challenge. A page that signs in by itself must not cause it.
#[apply(both_databases)]
async fn browser_opens_no_login_window_for_the_requests_of_a_page(server: &TestServer) {
    if !(is_installed("node") && is_installed("chromium")) {
        return;
    }
    let [expired, wrong] = expired_and_wrong(server);
    let sent = json!([expired, wrong, "Basic eDp5", null]);
    let port = server.base.rsplit(':').next().expect("a port");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/access/login_window.mjs");
    // A browser sends Fetch Metadata to the first address, and not to the second one.
    for base in [format!("http://127.0.0.1:{port}"), format!("http://lrs.example:{port}")] {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut node = Command::new("node");
        let output = output_of(node.arg(&script).arg(&base).arg(profile.path()).arg(sent.to_string()));
        let found: Value = serde_json::from_str(&output).expect("JSON");
        let answers = found["answers"].as_array().expect("answers");
        let expected = [
            ("token_expired", INVALID_TOKEN),
            ("token_invalid", INVALID_TOKEN),
            ("unauthenticated", BEARER),
            ("unauthenticated", BEARER),
        ];
        assert_eq!(answers.len(), expected.len());
        for (answer, (code, challenge)) in answers.iter().zip(expected) {
            assert_eq!(*answer, json!({"code": code, "challenge": challenge, "windows": 0}), "{base}");
        }
        // The window is the only way to sign in for a person that opens an address of the API in a browser.
        assert_eq!(found["windows_of_an_opened_address"], 1, "{base}");
    }
}
