//! A server that reads from a real streaming replica (`ROLLBOOK_DATABASE_READ`).

use std::time::{Duration, Instant};

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::helpers::Helper;
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::{ORG, run};
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

#[test]
fn reads_from_a_replica_miss_nothing_that_was_stored_before() {
    if let Some(replica) = Helper::replica() {
        run(Database::postgres().with_replica(replica.address), check_freshness);
    }
}

/// Each statement that is stored at `Consistent-Through` or before it is in the answer that declares the time.
async fn check_consistent_through(server: &TestServer) {
    let xapi = server.credential(ORG, &["all"]).await;
    let mut answers = Vec::new();
    for number in 0..8 {
        let sent = statement(mailbox(&format!("u{number}@x.example")), COMPLETED, "urn:c");
        xapi.post(STATEMENTS, &sent).await.expect(200);
        let answer = xapi.get(STATEMENTS).await.expect(200);
        let through = answer.header("x-experience-api-consistent-through").expect("a time").to_owned();
        answers.push((through, answer.json()["statements"].as_array().expect("a list").len()));
        server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 40_000));
    }
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
    if let Some(replica) = Helper::replica() {
        run(Database::postgres().with_replica(replica.address), check_consistent_through);
    }
}

#[test]
fn reads_go_on_when_the_replica_ends() {
    let Some(replica) = Helper::replica() else { return };
    run(Database::postgres().with_replica(replica.address), async |server: &TestServer| {
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
