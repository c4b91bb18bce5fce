//! Tests of the query plans of the feeds with many activities and many changes: a page reads its entries by an index, at
//! every place.

use super::{completed, send};
use crate::support::{Database, TestServer, apply, both_databases};

const ROWS: u32 = 100_000;

/// Adds [`ROWS`] activities, of which a third has changed since. Returns the key of the organisation and a place in the
/// middle.
async fn add_many(server: &TestServer) -> (i64, i64) {
    let admin = server.person("admin", "root");
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    let database = server.database();
    let (series, id) = (database.series(ROWS), database.random_id());
    let rows = format!(
        "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, certified) \
         SELECT a.org, a.seq + 2 * s.n, {id}, a.happened_at, a.stored_at, a.person, a.verb, a.content, a.action, a.origin, \
         a.completed, a.certified FROM activities a CROSS JOIN ({series}) s"
    );
    let changes = "INSERT INTO activity_changes (org, seq, change, deleted) \
        SELECT org, seq, seq + 1, FALSE FROM activities WHERE seq % 3 = 0";
    let resources = format!(
        "INSERT INTO directory_changes (org, kind, key, change) \
         SELECT l.org, 1, 1000000 + s.n, l.seq + s.n FROM ledgers l CROSS JOIN ({series}) s"
    );
    for text in [&rows, changes, &resources] {
        database.execute(text).await;
    }
    let org = database.query_number("SELECT org FROM ledgers").await;
    (org, database.query_number("SELECT min(seq) FROM activities").await + i64::from(ROWS))
}

/// The lines that read a table without an index, or sort more than a page.
fn find_costly_lines(database: &Database, plan: &[String]) -> Vec<String> {
    let is_costly = |line: &String| match database {
        Database::Sqlite { .. } => {
            ["SCAN a", "SCAN c", "SCAN l", "SCAN directory_changes"].iter().any(|scan| line.trim() == *scan)
                || line.starts_with("SCAN directory_changes")
        }
        Database::Postgres { .. } => line.contains("Seq Scan") || line.contains("Hash"),
    };
    plan.iter().filter(|line| is_costly(line)).cloned().collect()
}

#[apply(both_databases)]
async fn columns_in_memory_are_loaded_and_followed_by_indexes(server: &TestServer) {
    let (org, _) = add_many(server).await;
    let analyze = match server.database() {
        Database::Sqlite { .. } => "ANALYZE",
        Database::Postgres { .. } => "VACUUM ANALYZE",
    };
    server.database().execute(analyze).await;
    for plan in server.store.explain_counting(org).await.expect("the plans") {
        assert_eq!(find_costly_lines(server.database(), &plan), [""; 0], "{plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE") || line.contains("Sort")), "{plan:?}");
    }
}

#[apply(both_databases)]
async fn page_of_changes_is_read_by_indexes_at_every_place(server: &TestServer) {
    let (org, middle) = add_many(server).await;
    // Without statistics PostgreSQL expects few rows and sorts those of a table with up to some 100,000 rows.
    let states = match server.database() {
        Database::Sqlite { .. } => &[false, true][..],
        Database::Postgres { .. } => &[true],
    };
    for statistics in states.iter().copied() {
        if statistics {
            let analyze = match server.database() {
                Database::Sqlite { .. } => "ANALYZE",
                Database::Postgres { .. } => "VACUUM ANALYZE",
            };
            server.database().execute(analyze).await;
        }
        for after in [0, middle, middle + i64::from(ROWS)] {
            let store = &server.store;
            let activities = store.explain_changes(org, after, 500).await.expect("a plan");
            let directory = store.explain_directory_changes(org, after, 500).await.expect("a plan");
            for (plan, indexes) in [
                (activities, &["activities_pkey|SEARCH a USING PRIMARY KEY", "activity_changes_change"][..]),
                (directory, &["directory_changes_change"]),
            ] {
                let costly = find_costly_lines(server.database(), &plan);
                assert!(costly.is_empty(), "{statistics} {after}: {costly:#?}\n{plan:#?}");
                for index in indexes {
                    let is_used = index.split('|').any(|name| plan.iter().any(|line| line.contains(name)));
                    assert!(is_used, "{statistics} {after} {index}: {plan:#?}");
                }
            }
        }
    }
}
