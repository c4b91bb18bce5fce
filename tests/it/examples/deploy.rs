//! Runs the files of `examples/deploy`: a proxy, units and manifests, and copies of a database.

use std::process::Command;

use rollbook::http::AppOptions;
use serde_json::json;

use super::{root, run_command};
use crate::support::builders::{activity, content, user};
use crate::support::http::Caller;
use crate::support::process::{Process, serve_at};
use crate::support::server::{run_with, sign};
use crate::support::tools::{is_installed, report_skipped};
use crate::support::{Database, TestServer, apply, both_databases};

/// The command of a script of the example.
fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(root().join("examples/deploy").join(name));
    command
}

fn sign_token() -> String {
    sign(&json!({"org": "acme", "sub": "root", "role": "admin", "exp": 4_000_000_000_i64}))
}

/// nginx in front of a server passes everything on, the unit and the manifest have no faults, and each setting exists.
#[test]
fn files_for_operators_work() {
    let trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    let options = AppOptions { trusted_proxies, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let (code, output_text) = run_command(
            script("check.sh")
                .env("ROLLBOOK_CLIENT_URL", &server.base)
                .env("ROLLBOOK_CLIENT_TOKEN", sign_token())
                .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook")),
        );
        assert_eq!(code, Some(0), "{output_text}");
        assert!(output_text.contains("the files work"), "{output_text}");
        report_skipped(&output_text);
    });
}

/// The address as operators write it: the tools of PostgreSQL refuse the parameters that sqlx adds.
fn address(database: &Database) -> String {
    database.url().split('?').next().unwrap_or_default().to_owned()
}

/// Records an activity of Bo with this number, and returns whether it was acknowledged.
async fn record(admin: &Caller, number: usize) -> bool {
    let happened_at = format!("2026-02-01T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
    let body = activity("bo", "viewed").set("content", "fire").set("happened_at", happened_at);
    admin.post("/v1/activities", &body).await.status == 201
}

async fn count_activities(admin: &Caller) -> u64 {
    let page = admin.get("/v1/activities?limit=1&count=exact").await.expect(200).json();
    page["total"].as_u64().expect("a total")
}

/// A copy that is made while records come has all that was acknowledged before, and nothing half.
#[apply(both_databases)]
async fn copy_of_a_running_server_is_restored(database: &Database) {
    if database.is_distributed() {
        println!("skipped: the scripts copy one database, and each node of a cluster has its own");
        return;
    }
    let program = match database {
        Database::Sqlite { .. } => "sqlite3",
        Database::Postgres { .. } => "pg_dump",
    };
    if !is_installed(program) {
        return;
    }
    let server = Process::start(serve_at(&database.url()));
    let client = Caller::anonymous(reqwest::Client::new(), server.base.clone());
    let admin = client.with_token(&sign_token());
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "item")).await.expect(201);
    for number in 0..20 {
        assert!(record(&admin, number).await);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("copy");
    let mut backup = script("backup.sh");
    backup.arg(&copy).env("ROLLBOOK_DATABASE", address(database));
    let backup = tokio::task::spawn_blocking(move || backup.output());
    let mut recorded = 20;
    while !backup.is_finished() {
        assert!(record(&admin, recorded).await, "the server goes on while it is copied");
        recorded += 1;
    }
    let backup = backup.await.expect("the task ends").expect("bash runs");
    assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    drop(server);

    let empty = match database {
        Database::Sqlite { .. } => Database::sqlite(),
        Database::Postgres { .. } => Database::postgres(),
    };
    empty.create().await;
    let restore = || run_command(script("restore.sh").arg(&copy).env("ROLLBOOK_DATABASE", address(&empty)));
    let (code, output_text) = restore();
    assert_eq!(code, Some(0), "{output_text}");
    let (code, _) = restore();
    assert_eq!(code, Some(1), "a database with data is not overwritten");
    let restored = Process::start(serve_at(&empty.url()));
    let admin = Caller::anonymous(reqwest::Client::new(), restored.base.clone()).with_token(&sign_token());
    let found = count_activities(&admin).await;
    assert!((20..=recorded as u64).contains(&found), "{found} of {recorded}");
    // The restored server records on.
    assert!(record(&admin, recorded).await);
    assert_eq!(count_activities(&admin).await, found + 1);
    drop(restored);
    empty.delete().await;
}

/// Everybody on the machine can read the arguments of a process.
#[test]
fn password_of_the_database_is_no_argument() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (calls, copy) = (folder.path().join("calls"), folder.path().join("copy"));
    // It writes down how it is called, creates the file of `pg_dump`, and says that a database has no tables.
    let program = format!(
        "#!/bin/bash\necho \"$0 $* [$PGPASSWORD]\" >>{}\nfor argument; do case $argument in\n  --file=*) echo x >\"${{argument#--file=}}\" ;;\nesac; done\necho 0\n",
        calls.display()
    );
    for name in ["pg_dump", "pg_restore", "psql"] {
        let file = folder.path().join(name);
        std::fs::write(&file, &program).expect("a program");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("a path"));
    for address in [
        "postgres://bo:se%20cr%2Fet@db.example.org:5432/rollbook?sslmode=require",
        "postgres://bo@db.example.org:5432/rollbook?password=se%20cr%2Fet&sslmode=require",
    ] {
        for name in ["backup.sh", "restore.sh"] {
            let run = script(name).arg(&copy).env("ROLLBOOK_DATABASE", address).env("PATH", &path).output();
            let run = run.expect("bash runs");
            assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        }
        std::fs::remove_file(&copy).expect("a copy");
        let called = std::fs::read_to_string(&calls).expect("calls");
        std::fs::remove_file(&calls).expect("calls");
        assert_eq!(called.lines().count(), 5, "{called}");
        for line in called.lines() {
            let (arguments, password) = line.split_once(" [").expect("the environment");
            assert_eq!(password, "se cr/et]", "{line}");
            assert!(!arguments.contains("cr%2Fet") && !arguments.contains("cr/et"), "{line}");
        }
        let connections =
            called.matches("postgres://bo@db.example.org:5432/rollbook?sslmode=require").count();
        assert_eq!(connections, 4, "{called}");
    }
}
