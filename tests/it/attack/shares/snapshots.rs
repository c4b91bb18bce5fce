//! A slow export keeps no snapshot of the database, and is exact as of its start.

use std::time::{Duration, Instant};

use sqlx::Connection as _;

use super::{EXPORT, LARGE_ROWS, SlowClient, add_large_rows, person, rows_of, set_up, start, token};
use crate::support::builders::{activity, content, user};
use crate::support::many_persons::{USERS, add_many_persons};
use crate::support::server::{ORG, run_with_database};
use crate::support::{Database, apply, both_databases};

/// The number of snapshots that the connections of the server hold.
async fn count_snapshots(database: &Database) -> i64 {
    match database {
        // The checkpoint is complete, or a reader prevents it.
        Database::Sqlite { .. } => database.query_number("PRAGMA wal_checkpoint(TRUNCATE)").await,
        Database::Postgres { .. } => {
            let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name LIKE 'rollbook%' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)";
            database.query_number(select).await
        }
    }
}

async fn wait_until_no_snapshot(database: &Database) {
    let begin = Instant::now();
    while count_snapshots(database).await > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "an export holds its snapshot");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[apply(both_databases)]
async fn slow_export_holds_no_snapshot_and_is_exact_as_of_its_start(database: &Database) {
    let process = start(database, &[]);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    // The export has read the first rows. Later changes are not in it.
    let newest = admin.get("/v1/activities?limit=2").await.expect(200).json();
    for row in newest["activities"].as_array().expect("rows") {
        let id = row["id"].as_str().expect("an id");
        admin.delete(&format!("/v1/activities/{id}")).await.expect(204);
    }
    for _ in 0..5 {
        admin.post("/v1/activities", &activity("bo", "viewed").set("content", "c1")).await.expect(201);
    }
    wait_until_no_snapshot(database).await;
    // The client still reads slowly, and nothing is lost.
    for _ in 0..20 {
        assert!(slow.read(10_000).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        wait_until_no_snapshot(database).await;
    }
    let rows = rows_of(&slow.body().await.expect("the export is complete"));
    assert_eq!(rows.len(), LARGE_ROWS + 1);
    assert!(rows.iter().all(|row| row["action"] != "viewed"));
}

/// Without a temporary file, the database waits for the client of a slow export.
#[apply(both_databases)]
async fn slow_export_without_a_temporary_file_waits_for_its_client(database: &Database) {
    let process = start(database, &[("TMPDIR", "/this/folder/does/not/exist")]);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // A client that reads at once needs no file.
    assert_eq!(admin.get(EXPORT).await.expect(200).ndjson().len(), LARGE_ROWS + 1);
    let rows = rows_of(&slow.body().await.expect("the export is complete"));
    assert_eq!(rows.len(), LARGE_ROWS + 1);
}

/// Without space for files, the database waits for the client, and other exports go on.
#[apply(both_databases)]
async fn slow_export_without_spool_space_waits_for_its_client(database: &Database) {
    let process = start(database, &[("ROLLBOOK_MAX_EXPORT_SPOOL_BYTES", "100000")]);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let bo = person(&process, ORG, "learner", "bo");
    assert_eq!(bo.get(EXPORT).await.expect(200).ndjson().len(), LARGE_ROWS + 1);
    let rows = rows_of(&slow.body().await.expect("the export is complete"));
    assert_eq!(rows.len(), LARGE_ROWS + 1);
}

/// The server has no space for files, so the database is still read when names change.
#[apply(both_databases)]
async fn names_in_a_slow_export_are_those_of_its_start(database: &Database) {
    if database.is_distributed() {
        println!("skipped: the nodes of a cluster have no common snapshot");
        return;
    }
    let process = start(database, &[("ROLLBOOK_MAX_EXPORT_SPOOL_BYTES", "0")]);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    admin.put("/v1/users/eve", &user("eve")).await.expect(201);
    admin.put("/v1/contents/c2", &content("c2", "quiz")).await.expect(201);
    let oldest = activity("eve", "failed").set("content", "c2").set("happened_at", "2020-01-01T00:00:00Z");
    admin.post("/v1/activities", &oldest).await.expect(201);
    let before = admin.get(EXPORT).await.expect(200).text().to_owned();
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    admin.put("/v1/users/eve", &user("eve").set("first_name", "Evelyn")).await.expect(200);
    admin.put("/v1/contents/c2", &content("c2", "quiz").set("title", "A new title")).await.expect(200);
    let late = activity("eve", "completed").set("happened_at", "2019-01-01T00:00:00Z").set("content", "c2");
    admin.post("/v1/activities", &late).await.expect(201);
    let body = slow.body().await.expect("the export is complete");
    assert!(body == before.as_bytes(), "the names and rows are those of the start");
    let after = admin.get(EXPORT).await.expect(200).text().to_owned();
    assert!(after.contains("Evelyn") && after.contains("A new title"));
}

/// Without space for files, the snapshot of a client that reads slowly ends after a time, and the export with it.
#[apply(both_databases)]
async fn slow_export_that_waits_too_long_for_space_is_interrupted(database: &Database) {
    let settings = [("ROLLBOOK_MAX_EXPORT_SPOOL_BYTES", "0"), ("ROLLBOOK_EXPORT_SPACE_WAIT_SECONDS", "5")];
    let process = start(database, &settings);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let mut slow = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    admin.post("/v1/activities", &activity("bo", "viewed").set("content", "c1")).await.expect(201);
    assert!(count_snapshots(database).await > 0, "the export holds its snapshot meanwhile");
    wait_until_no_snapshot(database).await;
    assert_eq!(slow.body().await, None, "the export was interrupted");
    // A client that reads at once needs no space.
    assert_eq!(admin.get(EXPORT).await.expect(200).ndjson().len(), LARGE_ROWS + 2);
}

#[apply(both_databases)]
async fn client_that_goes_away_frees_snapshot_and_permit(database: &Database) {
    let settings = [("ROLLBOOK_MAX_EXPORT_SPOOL_BYTES", "0"), ("ROLLBOOK_MAX_OPEN_EXPORTS_PER_CALLER", "2")];
    let process = start(database, &settings);
    set_up(&process, ORG).await;
    add_large_rows(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    for _ in 0..3 {
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
            assert_eq!(client.status().await, 200);
            clients.push(client);
        }
        admin.post("/v1/activities", &activity("bo", "viewed").set("content", "c1")).await.expect(201);
        assert!(count_snapshots(database).await > 0, "the exports hold their snapshots");
        drop(clients);
        wait_until_no_snapshot(database).await;
    }
    assert_eq!(admin.get(EXPORT).await.expect(200).ndjson().len(), LARGE_ROWS + 4);
}

/// The query of an export has found no row yet at the deadline of the export. In SQLite no table can block a reader, so
/// this test needs PostgreSQL; a unit test has a query of SQLite without rows.
#[test]
fn query_without_rows_ends_at_the_deadline_of_its_export() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let process = start(database, &[("ROLLBOOK_EXPORT_DEADLINE_SECONDS", "2")]);
        set_up(&process, ORG).await;
        let lock = database.lock_table("activities").await;
        let _client = SlowClient::get(&process.base, EXPORT, Some(&token(ORG, "admin", "root"))).await;
        let select = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock' AND query LIKE '%FROM activities%ORDER BY%'";
        database.wait_for_number(select, 1).await;
        database.wait_for_number(select, 0).await;
        lock.close().await.expect("it closes");
    });
}

/// The directory is loaded after the change, but as of the start of the export.
#[apply(both_databases)]
async fn names_of_many_persons_in_a_slow_export_are_those_of_its_start(database: &Database) {
    if database.is_distributed() {
        println!("skipped: the nodes of a cluster have no common snapshot");
        return;
    }
    let process = start(database, &[("ROLLBOOK_MAX_EXPORT_SPOOL_BYTES", "0")]);
    set_up(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let certified = activity("bo", "completed").set("content", "c1").set("certificate.name", "Warden");
    admin.post("/v1/activities", &certified).await.expect(201);
    add_many_persons(database, "bo", "Warden").await;
    let path = "/v1/activities/export.csv?columns=full";
    let before = admin.get(path).await.expect(200).text().to_owned();
    let mut slow = SlowClient::get(&process.base, path, Some(&token(ORG, "admin", "root"))).await;
    assert_eq!(slow.status().await, 200);
    let rename = "UPDATE users SET last_name = 'Renamed' WHERE last_name = 'Many'";
    assert_eq!(database.execute(rename).await, u64::from(USERS));
    let body = slow.body().await.expect("the export is complete");
    assert!(body == before.as_bytes(), "the names are those of the start");
    let after = admin.get(path).await.expect(200).text().to_owned();
    assert!(after.contains(",Renamed,") && !after.contains(",Many,"));
}
