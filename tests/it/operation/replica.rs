//! A server that reads from a real streaming replica (`ROLLBOOK_DATABASE_READ`).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::hosts::admin_at;
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::helpers::Helper;
use crate::support::http::Caller;
use crate::support::process::{Process, serve, serve_at};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::{ORG, SECRET, run, run_with_database};
use crate::support::{Database, TestServer};

/// The number of reads that went to this database, by the metrics.
async fn count_reads(caller: &Caller, database: &str) -> u64 {
    let metrics = caller.get("/metrics").await.expect(200);
    let name = format!("rollbook_replica_reads_total{{database=\"{database}\"}} ");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |number| number.parse().expect("a number"))
}

async fn execute_at_replica(database: &Database, query: &'static str) {
    let url = database.replica_url().expect("a replica");
    let mut connection = PgConnection::connect(&url).await.expect("the replica answers");
    sqlx::raw_sql(query).execute(&mut connection).await.expect("the replica takes it");
    connection.close().await.expect("it closes");
}

/// The manager `boss` over `low`.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [
        user("root").set("role", "admin"),
        user("boss").set("role", "manager"),
        user("low").set("manager", "boss"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    admin
}

/// Records an activity and checks that each read has it at once.
async fn check_own_write(admin: &Caller, boss: &Caller, number: usize) {
    let created = admin.post("/v1/activities", &activity("low", "viewed").set("content", "c1")).await;
    let id = created.expect(201).json()["id"].clone();
    let first = boss.get("/v1/activities?limit=1&scope=managed").await.expect(200).json();
    assert_eq!(first["activities"][0]["id"], id, "round {number}");
    let summary = boss.get("/v1/activities/summary?by=action&scope=managed").await.expect(200).json();
    assert_eq!(summary["total"]["rows"], json!(number), "{summary}");
    let exported = boss.get("/v1/activities/export.ndjson?scope=managed").await.expect(200).ndjson();
    assert_eq!(exported.len(), number);
}

async fn check_freshness(server: &TestServer) {
    let admin = set_up(server).await;
    let boss = server.person("manager", "boss");
    let before = count_reads(&admin, "replica").await;
    for number in 1..=5 {
        check_own_write(&admin, &boss, number).await;
    }
    assert!(count_reads(&admin, "replica").await >= before + 10, "the replica is used");

    // A late replica is left out. A right that was taken away does not come back.
    execute_at_replica(server.database(), "SELECT pg_wal_replay_pause()").await;
    let before = count_reads(&admin, "primary").await;
    check_own_write(&admin, &boss, 6).await;
    admin.patch("/v1/users/low", &json!({"manager": null})).await.expect(200);
    let listed = boss.get("/v1/activities?scope=managed").await.expect(200).json();
    assert_eq!(listed["activities"], json!([]));
    assert!(count_reads(&admin, "primary").await > before);
    execute_at_replica(server.database(), "SELECT pg_wal_replay_resume()").await;
}

/// Runs a test against a server that reads from a replica. The test begins when the replica has the database: a read
/// before that would leave the replica out for some seconds.
fn run_beside_replica<F>(test: F)
where
    F: AsyncFnOnce(&TestServer, Helper),
{
    let Some(replica) = Helper::replica() else { return };
    run(Database::postgres().with_replica(replica.address), async |server: &TestServer| {
        wait_for_schema(&server.database().replica_url().expect("a replica")).await;
        test(server, replica).await;
    });
}

#[test]
fn reads_from_a_replica_miss_nothing_that_was_stored_before() {
    run_beside_replica(async |server, _replica| check_freshness(server).await);
}

/// Each statement that is stored at `Consistent-Through` or before it is in the answer that declares the time.
async fn check_consistent_through(server: &TestServer) {
    let xapi = server.credential(ORG, &["all"]).await;
    let mut answers = Vec::new();
    let before = count_reads(&xapi, "replica").await;
    for number in 0..8 {
        let sent = statement(mailbox(&format!("u{number}@x.example")), COMPLETED, "urn:c");
        xapi.post(STATEMENTS, &sent).await.expect(200);
        let answer = xapi.get(STATEMENTS).await.expect(200);
        let through = answer.header("x-experience-api-consistent-through").expect("a time").to_owned();
        answers.push((through, answer.json()["statements"].as_array().expect("a list").len()));
        server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 40_000));
    }
    assert!(count_reads(&xapi, "replica").await >= before + 4, "the replica is used");
    let all: Vec<Value> =
        xapi.get(STATEMENTS).await.expect(200).json()["statements"].as_array().expect("a list").clone();
    for (through, listed) in answers {
        let stored =
            all.iter().filter(|one| one["stored"].as_str().is_some_and(|time| time <= through.as_str()));
        assert!(stored.count() <= listed, "{through}");
    }
}

#[test]
fn consistent_through_is_true_for_reads_from_a_replica() {
    run_beside_replica(async |server, _replica| check_consistent_through(server).await);
}

#[test]
fn reads_go_on_when_the_replica_ends() {
    run_beside_replica(async |server, replica| {
        let admin = set_up(server).await;
        let boss = server.person("manager", "boss");
        check_own_write(&admin, &boss, 1).await;
        replica.stop();
        let begin = Instant::now();
        for number in 2..=4 {
            check_own_write(&admin, &boss, number).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    });
}

/// A server of which the database itself is a standby: what a fail-over leaves behind, or a wrong address.
async fn check_standby(database: &Database) {
    drop(Process::start(serve(database)));
    let standby = database.replica_url().expect("a replica");
    wait_for_schema(&standby).await;
    let mut command = serve_at(&standby);
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = Command::new(command.get_program());
    // A standby cannot be migrated.
    command.args(arguments.iter().filter(|argument| *argument != "--migrate"));
    command.env("ROLLBOOK_JWT_SECRET", SECRET).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = tokio::task::spawn_blocking(move || Process::start(command)).await;
    let process = process.expect("a server on a standby starts");
    let caller = admin_at(&process);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = caller.get("/health/ready").await;
        let state = answer.json();
        if (answer.status, &state["writes"], &state["reads"]) == (503, &json!("read-only"), &json!("ok")) {
            break;
        }
        assert!(Instant::now() < deadline, "{state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let reads = caller.get("/health/ready?for=reads").await.expect(200).json();
    assert_eq!((&reads["reads"], &reads["writes"]), (&json!("ok"), &json!("read-only")));
    let refused = caller.put("/v1/users/low", &user("low")).await.expect(503).json();
    assert_eq!(refused["code"], "unavailable", "{refused}");
    caller.get("/v1/activities").await.expect(200);
}

/// Waits until the standby has the schema of its primary.
pub(super) async fn wait_for_schema(standby: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(mut connection) = PgConnection::connect(standby).await {
            let found = sqlx::raw_sql("SELECT 1 FROM subscriptions").execute(&mut connection).await;
            if found.is_ok() {
                return;
            }
        }
        assert!(Instant::now() < deadline, "the standby does not follow");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn server_on_a_standby_is_ready_for_reads_only() {
    if let Some(replica) = Helper::replica() {
        run_with_database(Database::postgres().with_replica(replica.address), check_standby);
    }
}
