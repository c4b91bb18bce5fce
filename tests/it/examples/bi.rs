//! The programs of `examples/bi`: DuckDB and pandas read `export.parquet`, and compare it with the CSV.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;

use super::{create_credential, root, run_command};
use crate::support::builders::{activity, content, team, user};
use crate::support::server::TestServer;
use crate::support::{Database, apply, both_databases};

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
        command.args(["-c", "import duckdb, pandas, psycopg2, pyarrow, sqlalchemy"]).stderr(Stdio::null());
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

/// Fills the organisation with people, contents and activities of which each column of the CSV has values and gaps.
async fn set_up(server: &TestServer) {
    let admin = server.person("admin", "root");
    for id in ["sales", "north"] {
        admin.put(&format!("/v1/teams/{id}"), &team(id)).await.expect(201);
    }
    let bo = user("bo")
        .set("first_name", "Bo")
        .set("joined_on", "2021-04-01")
        .set("teams", json!(["sales", "north"]))
        .set("primary_team", "sales")
        .set("custom", json!({"Grade": "=1", "title": "Line 1\nLine \"2\"", "Größe": "ä; ö, ü"}));
    admin.put("/v1/users/bo", &bo).await.expect(201);
    admin.put("/v1/users/cy", &user("cy")).await.expect(201);
    let fire = content("fire", "quiz")
        .set("title", "Fire, \"Safety\"")
        .set("tags", json!(["safety", "fire; smoke"]));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    admin.put("/v1/contents/film", &content("film", "item")).await.expect(201);
    let integration = server.credential("acme", &["activities/write"]).await;
    let mut activities: Vec<_> = (0..60)
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
    let guest = json!({"email": "guest@example.org"});
    activities.push(activity("cy", "failed").set("content", "film"));
    activities.push(activity("cy", "started").set("user", guest).set("content", "film"));
    integration.post("/v1/activities/batch", &activities).await.expect(201);
    // More rows than one batch of columns has.
    let (series, id) = (server.database().series(COPIES), server.database().random_id());
    let copied = "stored_at, person, verb, content, action, origin, completed, success, completion, certified, \
                  scaled, raw, min, max, percent, seconds, time_limit, expired_at, registration, comment, source";
    let copy = format!(
        "INSERT INTO activities (org, seq, id, happened_at, {copied}) \
         SELECT org, seq + 1000 * s.n, {id}, 1700000000123456 + 60000000 * s.n, {copied} \
         FROM (SELECT * FROM activities WHERE action = {}) a CROSS JOIN ({series}) s",
        rollbook::log::Action::Started.code()
    );
    assert_eq!(server.database().execute(&copy).await, u64::from(COPIES));
}

/// The rows that are inserted without the API.
const COPIES: u32 = 3_000;

#[cfg(feature = "parquet")]
#[apply(both_databases)]
async fn duckdb_and_pandas_read_the_parquet_with_the_types_and_rows_of_the_csv(server: &TestServer) {
    let Some(python) = tokio::task::block_in_place(python) else {
        return;
    };
    set_up(server).await;
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
        assert!(output_text.contains("3062 rows, equal to the CSV"), "{program}: {output_text}");
    }
}

/// The address of the database for SQLAlchemy, on PostgreSQL as a role that reads the views of `acme`.
async fn address_for_sqlalchemy(server: &TestServer) -> String {
    let mut install = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    install.args(["migrate", "--views", "--database", &server.database().url()]);
    let address = match server.database() {
        Database::Sqlite { folder } => {
            format!("sqlite:///file:{}?mode=ro&uri=true", folder.join("rollbook.db").display())
        }
        Database::Postgres { cluster, name, .. } => {
            let role = format!("{name}_example");
            server.database().execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'")).await;
            install.args(["--org", "acme", "--role", &role]);
            format!(
                "postgresql+psycopg2://{role}:reader@{}:{}/{name}",
                cluster.get_host(),
                cluster.get_port()
            )
        }
    };
    let (code, output_text) = run_command(&mut install);
    assert_eq!(code, Some(0), "{output_text}");
    address
}

#[apply(both_databases)]
async fn sqlalchemy_reads_the_views_and_finds_the_rows_of_the_csv(server: &TestServer) {
    if server.database().is_distributed() {
        println!("skipped: in a cluster no role reads the views");
        return;
    }
    let Some(python) = tokio::task::block_in_place(python) else {
        return;
    };
    set_up(server).await;
    let pair = create_credential(server, &["activities/read"]).await;
    let address = address_for_sqlalchemy(server).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, output_text) = run_command(
        Command::new(python)
            .arg("-B")
            .arg(root().join("examples/bi/sql_report.py"))
            .arg(&address)
            .arg(folder.path())
            .env("ROLLBOOK_CLIENT_URL", &server.base)
            .env("ROLLBOOK_CLIENT_CREDENTIAL", &pair),
    );
    assert_eq!(code, Some(0), "{output_text}");
    for line in ["2026-02: 40 completed", "Fire, \"Safety\": 1 Completed", "3062 rows, equal to the CSV"] {
        assert!(output_text.contains(line), "{output_text}");
    }
}
