//! The programs of `examples/bi`: DuckDB and pandas read `export.parquet`, and compare it with the CSV.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;

use super::{create_credential, root, run_command};
use crate::support::builders::{activity, content, user};
use crate::support::server::TestServer;
use crate::support::{apply, both_databases};

/// Python with the packages of `examples/bi/requirements.txt`, installed once under `target`. `None` if PyPI or Python is
/// missing; then the tests are skipped.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(install_python).as_deref()
}

fn install_python() -> Option<PathBuf> {
    let folder = root().join("target/examples-bi");
    let python = folder.join("bin/python");
    let has_packages = || {
        let mut command = Command::new(&python);
        command.args(["-c", "import duckdb, pandas, pyarrow"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !has_packages() {
        let created = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r"]);
        pip.arg(root().join("examples/bi/requirements.txt")).stdin(Stdio::null());
        let installed = created.is_ok_and(|status| status.success()) && pip.status().is_ok();
        if !installed || !has_packages() {
            eprintln!("skipped: the packages of examples/bi cannot be installed");
            return None;
        }
    }
    Some(python)
}

#[apply(both_databases)]
async fn duckdb_and_pandas_read_the_parquet_with_the_types_and_rows_of_the_csv(server: &TestServer) {
    let Some(python) = tokio::task::block_in_place(python) else {
        return;
    };
    let admin = server.person("admin", "root");
    let bo = user("bo")
        .set("first_name", "Bo")
        .set("joined_on", "2021-04-01")
        .set("custom", json!({"Grade": "=1"}));
    admin.put("/v1/users/bo", &bo).await.expect(201);
    let fire =
        content("fire", "quiz").set("title", "Fire, \"Safety\"").set("tags", json!(["safety", "fire"]));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let integration = server.credential("acme", &["activities/write"]).await;
    let activities: Vec<_> = (0..60)
        .map(|number| {
            let activity = activity("bo", if number % 3 == 0 { "logged_out" } else { "completed" }).set(
                "happened_at",
                format!("2026-02-{:02}T09:30:{number:02}.25{}Z", 1 + number % 28, number % 10),
            );
            if number % 3 == 0 {
                return activity;
            }
            let score = f64::from(number) + 0.25;
            activity.set("content", "fire").set("result", json!({"score": score, "total_time": "PT90S"}))
        })
        .collect();
    integration.post("/v1/activities/batch", &activities).await.expect(201);

    let pair = create_credential(server, &["activities/read"]).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (program, line) in [
        ("duckdb_report.py", "Fire, \"Safety\", 2026-02: 40 completed"),
        ("pandas_report.py", "Bo: 60 minutes"),
    ] {
        let (code, output_text) = run_command(
            Command::new(python)
                .arg("-B")
                .arg(root().join("examples/bi").join(program))
                .arg(folder.path())
                .env("ROLLBOOK_CLIENT_URL", &server.base)
                .env("ROLLBOOK_CLIENT_CREDENTIAL", &pair),
        );
        assert_eq!(code, Some(0), "{program}: {output_text}");
        assert!(output_text.contains(line), "{program}: {output_text}");
        assert!(output_text.contains("60 rows, equal to the CSV"), "{program}: {output_text}");
    }
}
