//! Tests that run the examples.

mod bi;
mod deploy;
mod frontend;
mod schemathesis;
mod sdk;
mod stream;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::server::TestServer;
use crate::support::tools::{is_installed, report_skipped};
use crate::support::{Database, apply, both_databases};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command and returns its status and output. The server keeps running on other threads.
fn run_command(command: &mut Command) -> (Option<i32>, String) {
    let run = tokio::task::block_in_place(|| command.output()).expect("the command can be started");
    let output_text =
        String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    (run.status.code(), output_text)
}

/// Creates a credential and returns it as `key:secret`.
async fn create_credential(server: &TestServer, scopes: &[&str]) -> String {
    let admin = server.person("admin", "root");
    let created =
        admin.post("/v1/credentials", &json!({"name": "example", "scopes": scopes})).await.expect(201).json();
    format!("{}:{}", created["key"].as_str().expect("a key"), created["secret"].as_str().expect("a secret"))
}

/// Runs the statement loader on a file with a new credential.
pub async fn load_statements(server: &TestServer, scopes: &[&str], file: &Path) -> (Option<i32>, String) {
    let pair = create_credential(server, scopes).await;
    run_command(
        Command::new("python3")
            .arg(root().join("examples/load_statements.py"))
            // One argument, because a key may begin with a hyphen.
            .args(["--url", &server.base, &format!("--credential={pair}"), "--batch", "50"])
            .arg(file),
    )
}

/// Each line of `docs/clients.md` names a script of the repository.
#[test]
fn each_client_that_was_tried_has_a_script() {
    let page = std::fs::read_to_string(root().join("docs/clients.md")).expect("the page");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, _, _, _, scripts] = cells[..] else { panic!("a line has five cells: {line}") };
        for script in scripts.split(", ") {
            let path = root().join(script.trim_matches('`'));
            assert!(path.is_file(), "{script} does not exist");
        }
    }
}

/// The tour starts a server and ends with a manager's CSV file.
#[test]
fn tour_ends_with_a_managers_csv() {
    let run = Command::new("bash")
        .arg(root().join("examples/tour.sh"))
        .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook"))
        .env_remove("ROLLBOOK_CLIENT_URL")
        .output()
        .expect("bash runs");
    let output_text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{output_text}\n{errors}");
    assert!(output_text.contains("First name,Last name,Email address,Role,"), "{output_text}");
    assert!(
        output_text.contains("Bo,Ek,bo@example.com,"),
        "the CSV contains the manager's report:\n{output_text}"
    );
    let csv = output_text.split("First name,").nth(1).unwrap_or_default();
    assert!(!csv.contains("Cy,"), "the CSV contains only the manager's reports:\n{output_text}");
}

/// The player of npm plays sessions of both versions in all formats, and in Chromium if it is installed.
#[apply(both_databases)]
async fn scorm_again_plays_its_sessions(database: &Database) {
    if !(is_installed("node") && is_installed("npm")) {
        return;
    }
    let (code, output_text) = run_command(
        Command::new("bash")
            .arg(root().join("examples/scorm/run.sh"))
            .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook"))
            .env("ROLLBOOK_CLIENT_DATABASE", database.url()),
    );
    assert_eq!(code, Some(0), "{output_text}");
    assert!(output_text.contains("sessions of scorm-again played"), "{output_text}");
    report_skipped(&output_text);
}

#[apply(both_databases)]
async fn python_integration_records_each_loan_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let pair = create_credential(server, &["activities/write"]).await;
    for _ in 0..2 {
        let (code, output_text) = run_command(
            Command::new("python3")
                .arg("-B")
                .arg(root().join("examples/python_integration/library_loans.py"))
                .env("ROLLBOOK_CLIENT_URL", &server.base)
                .env("ROLLBOOK_CLIENT_CREDENTIAL", &pair),
        );
        assert_eq!(code, Some(0), "{output_text}");
        assert_eq!(output_text, "6 loans: 6 recorded, 0 refused\n");
    }
    let rows = admin.list("/v1/activities?device_type=api", "activities").await;
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row["action"]["key"] == "read" && row["origin"] == "api"), "{rows:#?}");
}

#[apply(both_databases)]
async fn loader_reports_refused_statements(server: &TestServer) {
    let statement = |result: &str| {
        format!(
            r#"{{"actor": {{"mbox": "mailto:a@example.com"}}, "verb": {{"id": "https://example.com/did"}}, "object": {{"id": "https://example.com/x"}}, "result": {result}}}"#
        )
    };
    let lines = [
        statement("{}"),
        statement(r#"{"score": {"raw": 11, "min": 0, "max": 10}}"#),
        "no JSON".to_owned(),
        statement(r#"{"success": true}"#),
        statement(r#"{"success": "yes"}"#),
    ];
    let file = std::env::temp_dir().join(format!("rollbook-load-{}.jsonl", port(server)));
    std::fs::write(&file, lines.join("\n")).expect("a temporary file can be written");
    let (code, output_text) = load_statements(server, &["statements/write"], &file).await;
    let (_, without_scope) = load_statements(server, &["state"], &file).await;
    std::fs::remove_file(&file).expect("the temporary file can be deleted");

    assert_eq!(code, Some(1), "{output_text}");
    assert!(output_text.contains("2 taken, 3 refused"), "{output_text}");
    for location in
        [":2: refused at /result/score/raw: ", ":3: refused at /", ":5: refused at /result/success: "]
    {
        assert!(output_text.contains(location), "{location} is missing in\n{output_text}");
    }
    let admin = server.person("admin", "root");
    assert_eq!(admin.list("/v1/activities", "activities").await.len(), 2);
    // A credential that may not write stops it; nothing is reported as refused.
    assert!(without_scope.contains("stopped: the server answers 403"), "{without_scope}");
}

/// The server's port, which is unique on this machine.
fn port(server: &TestServer) -> &str {
    server.base.rsplit(':').next().unwrap_or_default()
}
