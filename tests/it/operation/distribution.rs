//! Tests of `rollbook migrate --distributed` and `rollbook distributed status`.

use std::process::{Command, Output};

use serde_json::Value;

use super::{KEY, SECRET, serve_with_credential};
use crate::support::database::distribution::{self, DISTRIBUTED};
use crate::support::process::Process;
use crate::support::server::run_with_database;
use crate::support::{Database, apply, both_databases};

fn run_command(arguments: &[&str], database: &Database) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(arguments).arg("--database").arg(database.url());
    command.output().expect("the binary runs")
}

/// What a command prints that succeeds.
fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[apply(both_databases)]
async fn database_without_a_cluster_is_refused_with_the_reason(database: &Database) {
    if database.is_distributed() {
        println!("skipped: the databases of this run are distributed");
        return;
    }
    let reason = match database {
        Database::Sqlite { .. } => "only PostgreSQL with the extension citus has several nodes",
        Database::Postgres { .. } => "the extension citus is missing in this database",
    };
    run_command(&["migrate"], database);
    for arguments in [["migrate", "--distributed"], ["distributed", "status"]] {
        let output = run_command(&arguments, database);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(reason), "{errors}");
    }
}

async fn send(server: &Process, ids: std::ops::Range<u32>) {
    let client = reqwest::Client::new();
    for id in ids {
        let statement = serde_json::json!({
            "actor": {"mbox": format!("mailto:u{id}@example.org")},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
            "object": {"id": format!("urn:content:{id}")},
        });
        let request = client.post(format!("{}/xapi/statements", server.base)).basic_auth(KEY, Some(SECRET));
        let request = request.header("X-Experience-API-Version", "1.0.3");
        let request = request.header("Content-Type", "application/json").body(statement.to_string());
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
}

async fn count_activities(server: &Process) -> Value {
    let request = reqwest::Client::new().get(format!("{}/v1/activities?count=exact", server.base));
    let answer = request.basic_auth(KEY, Some(SECRET)).send().await.expect("an answer");
    let body = answer.text().await.expect("a body");
    serde_json::from_str::<Value>(&body).expect("a page")["total"].clone()
}

#[test]
fn tables_with_rows_are_distributed_while_a_server_runs() {
    if !distribution::is_demanded() {
        println!("skipped: {DISTRIBUTED} is not set");
        return;
    }
    let database = Database::postgres();
    run_with_database(database, async |database: &Database| {
        let Database::Postgres { cluster, name, .. } = database else { unreachable!("PostgreSQL") };
        distribution::create_empty_database(cluster, name).await;
        let server = Process::start(serve_with_credential(database));
        send(&server, 0..5).await;
        let before = run_command(&["distributed", "status"], database);
        assert!(!before.status.success());
        assert!(String::from_utf8_lossy(&before.stderr).contains("rollbook migrate --distributed"));

        let first = printed(&run_command(&["migrate", "--distributed"], database));
        assert!(first.contains("tables over the nodes of the cluster"), "{first}");
        assert_eq!(count_activities(&server).await, 5);
        send(&server, 5..9).await;
        assert_eq!(count_activities(&server).await, 9);

        let second = printed(&run_command(&["migrate", "--distributed"], database));
        assert!(second.contains("All tables are distributed."), "{second}");
        let status = printed(&run_command(&["distributed", "status", "--org", "acme"], database));
        assert!(status.contains("coordinator") && status.contains("The rows of acme are on "), "{status}");
        assert_eq!(database.query_number("SELECT count(*) FROM activities").await, 9);
    });
}
