//! The pages under `/docs`, the metrics, and what a server says at its start about its address.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{client, start};
use crate::support::process::{Process, serve};
use crate::support::{Database, apply, both_databases};

#[apply(both_databases)]
async fn pages_cannot_be_framed_and_load_nothing_from_elsewhere(database: &Database) {
    let server = start(database);
    let client = client();
    for path in ["/docs/", "/docs/index.html", "/docs/swagger-initializer.js", "/docs/problems"] {
        let answer = client.get(format!("{}{path}", server.base)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let policy = header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
    }
    let page = client.get(format!("{}/docs/", server.base)).send().await.expect("an answer");
    let page = page.text().await.expect("a page");
    // Each script is a file of this server.
    assert!(page.contains("<script src=") && !page.contains("<script>"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
}

/// The largest file of the viewer has 1.5 MB. Compressing it for each request would take all processors.
#[apply(both_databases)]
async fn files_of_the_viewer_are_compressed_once(database: &Database) {
    let server = start(database);
    let client = client();
    for path in ["/docs/swagger-ui-bundle.js", "/openapi.json", "/openapi-3.0.json"] {
        let read = async |name: &str, value: &str| {
            let request = client.get(format!("{}{path}", server.base)).header(name, value);
            request.send().await.expect("an answer")
        };
        let first = read("accept-encoding", "gzip").await;
        assert_eq!(first.headers()["content-encoding"], "gzip", "{path}");
        let etag = first.headers()["etag"].to_str().expect("text").to_owned();
        let packed = first.bytes().await.expect("a file");
        assert_eq!(packed.get(..2), Some(&[0x1f, 0x8b][..]), "{path}: gzip");
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(read("accept-encoding", "gzip").await.bytes().await.expect("a file"), packed);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{path}: {:?}", began.elapsed());
        let plain = read("accept-encoding", "identity").await;
        assert_eq!(plain.headers()["etag"].to_str().expect("text"), etag);
        assert!(plain.bytes().await.expect("a file").len() > 3 * packed.len(), "{path}");
        let known = read("if-none-match", &etag).await;
        assert_eq!(
            (known.status().as_u16(), known.bytes().await.expect("nothing").len()),
            (304, 0),
            "{path}"
        );
    }
}

/// The command without the options of the tests, on a free port.
fn serve_by_default(database: &Database) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    let tests = serve(database);
    let of_tests = ["--metrics-on-api", "--listen", "127.0.0.1:0"];
    command.args(tests.get_args().filter(|argument| !of_tests.iter().any(|one| **argument == **one)));
    command.env("ROLLBOOK_LISTEN", "127.0.0.1:0");
    for (name, value) in tests.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[apply(both_databases)]
async fn metrics_are_shown_where_the_operator_wants_them(database: &Database) {
    let client = client();
    let status = async |base: &str| {
        let answer = client.get(format!("{base}/metrics")).send().await.expect("an answer");
        answer.status().as_u16()
    };
    {
        let server = Process::start(serve_by_default(database));
        assert_eq!(status(&server.base).await, 404);
    }
    {
        let mut command = serve_by_default(database);
        command.arg("--metrics-on-api");
        let server = Process::start(command);
        assert_eq!(status(&server.base).await, 200);
    }
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut command = serve_by_default(database);
    command.args(["--metrics-listen", &format!("127.0.0.1:{port}")]);
    let server = Process::start(command);
    assert_eq!((status(&server.base).await, status(&format!("http://127.0.0.1:{port}")).await), (404, 200));
}

/// The messages of warnings in the log of a server until it listens.
fn warnings_at_start(mut command: Command) -> Vec<String> {
    let mut child = command.spawn().expect("the binary starts");
    let log = BufReader::new(child.stderr.take().expect("the log is piped"));
    let mut warnings = Vec::new();
    for line in log.lines().map_while(Result::ok) {
        let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
        let message = entry["message"].as_str().unwrap_or_default();
        if entry["level"] == "WARN" {
            warnings.push(message.to_owned());
        }
        if message == "listening" {
            break;
        }
    }
    child.kill().expect("the server runs");
    child.wait().expect("the server ends");
    warnings
}

#[apply(both_databases)]
async fn server_that_others_reach_without_tls_warns_once(database: &Database) {
    let listen = |address: &str| {
        let mut command = serve_by_default(database);
        command.env("ROLLBOOK_LISTEN", address);
        command
    };
    let about_tls = |command: Command| {
        let warnings = warnings_at_start(command);
        warnings.into_iter().filter(|warning| warning.contains("TLS")).collect::<Vec<_>>()
    };
    let warnings = about_tls(listen("0.0.0.0:0"));
    assert!(warnings.len() == 1 && warnings[0].contains("ROLLBOOK_TRUSTED_PROXIES"), "{warnings:?}");
    assert!(about_tls(listen("127.0.0.1:0")).is_empty());
    let mut behind_proxy = listen("0.0.0.0:0");
    behind_proxy.env("ROLLBOOK_TRUSTED_PROXIES", "10.0.0.7");
    assert!(about_tls(behind_proxy).is_empty());
}
