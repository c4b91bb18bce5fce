//! The examples, run as their readers run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::server::TestServer;
use crate::support::{apply, both_databases};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command to its end; the server goes on answering on its own threads.
fn output(command: &mut Command) -> (Option<i32>, String) {
    let run = tokio::task::block_in_place(|| command.output()).expect("the command can be started");
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    (run.status.code(), said)
}

/// Makes a credential of the tests' organisation and gives it as clients want it: `key:secret`.
async fn credential(server: &TestServer, scopes: &[&str]) -> String {
    let admin = server.person("admin", "root");
    let created =
        admin.post("/v1/credentials", &json!({"name": "example", "scopes": scopes})).await.expect(201).json();
    format!("{}:{}", created["key"].as_str().expect("a key"), created["secret"].as_str().expect("a secret"))
}

/// Runs the loader of statements over a file with a new credential of the tests' organisation.
pub async fn load_statements(server: &TestServer, scopes: &[&str], file: &Path) -> (Option<i32>, String) {
    let pair = credential(server, scopes).await;
    output(
        Command::new("python3")
            .arg(root().join("examples/load_statements.py"))
            // In one word: a key may begin with a hyphen.
            .args(["--url", &server.base, &format!("--credential={pair}"), "--batch", "50"])
            .arg(file),
    )
}

/// The tour starts a server of its own: from nothing to a manager's CSV.
#[test]
fn the_tour_ends_with_a_managers_csv() {
    let run = Command::new("bash")
        .arg(root().join("examples/tour.sh"))
        .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook"))
        .env_remove("ROLLBOOK_CLIENT_URL")
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{complaint}");
    assert!(said.contains("First name,Last name,Email address,Role,"), "{said}");
    assert!(said.contains("Bo,Ek,bo@example.com,"), "the manager's report is in it:\n{said}");
    let csv = said.split("First name,").nth(1).unwrap_or_default();
    assert!(!csv.contains("Cy,"), "who is not the manager's is not in it:\n{said}");
}

#[apply(both_databases)]
async fn the_python_integration_records_each_loan_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let pair = credential(server, &["activities/write"]).await;
    for _ in 0..2 {
        let (code, said) = output(
            Command::new("python3")
                .arg("-B")
                .arg(root().join("examples/python_integration/library_loans.py"))
                .env("ROLLBOOK_CLIENT_URL", &server.base)
                .env("ROLLBOOK_CLIENT_CREDENTIAL", &pair),
        );
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said, "6 loans: 6 recorded, 0 refused\n");
    }
    let rows = admin.list("/v1/activities?device_type=api", "activities").await;
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row["action"]["key"] == "read" && row["origin"] == "api"), "{rows:#?}");
}

#[apply(both_databases)]
async fn the_loader_tells_what_was_refused_and_where(server: &TestServer) {
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
    let (code, said) = load_statements(server, &["statements/write"], &file).await;
    let (_, denied) = load_statements(server, &["state"], &file).await;
    std::fs::remove_file(&file).expect("the temporary file can be deleted");

    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("2 taken, 3 refused"), "{said}");
    for place in
        [":2: refused at /result/score/raw: ", ":3: refused at /", ":5: refused at /result/success: "]
    {
        assert!(said.contains(place), "{place} is not in\n{said}");
    }
    let admin = server.person("admin", "root");
    assert_eq!(admin.list("/v1/activities", "activities").await.len(), 2);
    // A credential that may not write stops it; nothing is reported as refused.
    assert!(denied.contains("stopped: the server answers 403"), "{denied}");
}

/// The server's port: a number that no other running server of this machine has.
fn port(server: &TestServer) -> &str {
    server.base.rsplit(':').next().unwrap_or_default()
}
