//! Conditions on the views use indexes, also through `security_barrier`.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use super::{rights, run};
use crate::support::builders::{Body, activity, content, user};
use crate::support::{Database, TestServer, apply, both_databases};

const ROWS: u32 = 30_000;
const USERS: usize = 300;
const CONTENTS: usize = 30;

/// Inserts activities of all users and contents, one for each minute since 2025.
async fn insert_activities(server: &TestServer) {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = (0..USERS).map(|number| user(&format!("u{number}"))).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let contents: Vec<Body> = (0..CONTENTS).map(|number| content(&format!("c{number}"), "quiz")).collect();
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let integration = server.credential("acme", &["activities/write"]).await;
    integration.post("/v1/activities", &activity("u1", "started").set("content", "c1")).await.expect(201);
    let (series, id) = (server.database().series(ROWS), server.database().random_id());
    let insert = format!(
        "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, \
         completed, success, certified, percent) \
         SELECT p.org, 1000000 + s.n, {id}, 1735689600000000 + s.n * 60000000, 1735689600000000, p.key, v.key, c.key, \
         5, 1, s.n % 3 = 0, NULL, FALSE, 5000 FROM ({series}) s \
         JOIN (SELECT org, key, row_number() OVER (ORDER BY key) - 1 AS i FROM persons WHERE user_key IS NOT NULL AND kind = 4) p \
         ON p.i = s.n * 7919 % {USERS} \
         JOIN (SELECT key, row_number() OVER (ORDER BY key) - 1 AS i FROM contents WHERE registered) c \
         ON c.i = s.n * 104729 % {CONTENTS} CROSS JOIN (SELECT min(key) AS key FROM verbs) v"
    );
    assert_eq!(server.database().execute(&insert).await, u64::from(ROWS));
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/u1", &user("u1")).await.expect(201);
}

/// The plans of one connection.
enum Reader {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Reader {
    /// The plan of a query on a view of `acme`. Nothing may read all activities.
    async fn assert_uses(&mut self, name: &str, condition: &str, index: &str) {
        let plan = match self {
            Self::Sqlite(connection) => {
                let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM bi_{name} WHERE {condition}");
                let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.expect("a plan");
                rows.iter().map(|row| row.get(3)).collect::<Vec<String>>()
            }
            Self::Postgres(connection) => {
                let sql = format!("EXPLAIN SELECT * FROM {name} WHERE {condition}");
                let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.expect("a plan");
                rows.iter().map(|row| row.get(0)).collect()
            }
        };
        let plan = plan.join("\n").replace("a USING PRIMARY KEY (org=? AND seq", "a USING activities_pkey");
        assert!(plan.contains(index), "{name}: {condition}\n{plan}");
        let scans = ["Seq Scan on activities", "SCAN a", "a USING PRIMARY KEY (org=?)"];
        assert!(!scans.iter().any(|scan| plan.contains(scan)), "{name}: {condition}\n{plan}");
    }
}

#[apply(both_databases)]
async fn conditions_on_views_use_indexes(server: &TestServer) {
    insert_activities(server).await;
    run(server, &["migrate", "--views"]);
    let (mut reader, acme, prefix, suffix) = match server.database() {
        Database::Sqlite { folder } => {
            let live = SqliteConnection::connect(&server.database().url()).await.expect("the file opens");
            let mut live = Reader::Sqlite(live);
            // Without statistics these conditions have their index.
            let month = "happened_at >= '2025-01-10T00:00:00.000Z' AND happened_at < '2025-01-11'";
            for acme in ["", "organisation = 'acme' AND "] {
                live.assert_uses("activity_log", &format!("{acme}{month}"), "activities_bi_time").await;
                live.assert_uses("activity_log", &format!("{acme}position > 1029990"), "activities_pkey")
                    .await;
            }
            // The copy that docs/bi.md recommends has statistics.
            let copy = folder.join("bi.db");
            server.database().execute(&format!("VACUUM INTO '{}'", copy.display())).await;
            let mut copy =
                SqliteConnection::connect(&format!("sqlite:{}", copy.display())).await.expect("a copy");
            sqlx::query("ANALYZE").execute(&mut copy).await.expect("statistics");
            (Reader::Sqlite(copy), "organisation = 'acme' AND ", "'", "'")
        }
        Database::Postgres { .. } => {
            server.database().execute("VACUUM ANALYZE").await;
            let reader = match rights::connect_as_reader(server).await {
                Some(reader) => reader,
                None => {
                    assert!(server.database().is_distributed(), "there are readers");
                    let mut owner =
                        PgConnection::connect(&server.database().url()).await.expect("it answers");
                    let path = "SET search_path = rollbook_acme";
                    sqlx::query(path).execute(&mut owner).await.expect("a setting");
                    owner
                }
            };
            (Reader::Postgres(reader), "", "timestamptz '", "'")
        }
    };
    let time = |text: &str| format!("{prefix}{text}{suffix}");
    let (from, until) = (time("2025-01-10T00:00:00.000Z"), time("2025-01-10T06:00:00.000Z"));
    for (name, condition, index) in [
        ("activity_log", format!("happened_at >= {from} AND happened_at < {until}"), "activities_bi_time"),
        (
            "activity_log_with_deactivated",
            format!("happened_at BETWEEN {from} AND {until}"),
            "activities_bi_time",
        ),
        ("activity_log", "position > 1029990".to_owned(), "activities_pkey"),
        ("activity_log", "user_id = 'u7'".to_owned(), "activities_person"),
        ("activity_log", format!("user_id = 'u7' AND happened_at >= {from}"), "activities_person"),
        ("activity_log", "content_id = 'c7' AND user_id = 'u7'".to_owned(), "activities_p"),
        ("users", "user_id = 'u7'".to_owned(), "users_id"),
        ("user_fields", "user_id = 'u7'".to_owned(), "users_id"),
        ("progress", "user_id = 'u7'".to_owned(), "activities_person"),
        ("progress", "user_id = 'u7' AND content_id = 'c7'".to_owned(), "activities_p"),
    ] {
        reader.assert_uses(name, &format!("{acme}{condition}"), index).await;
    }
}

/// An index that a broken installation has left is replaced.
#[apply(both_databases)]
async fn incomplete_index_is_built_again(server: &TestServer) {
    if let Database::Sqlite { .. } = server.database() {
        return;
    }
    insert_activities(server).await;
    run(server, &["migrate", "--views"]);
    let is_valid =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'activities_bi_time'::regclass AND indisvalid";
    let break_it = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'activities_bi_time'::regclass";
    server.database().execute(break_it).await;
    assert_eq!(server.database().query_number(is_valid).await, 0);
    run(server, &["migrate", "--views"]);
    assert_eq!(server.database().query_number(is_valid).await, 1);
}
