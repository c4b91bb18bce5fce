//! `rollbook views` and `rollbook migrate --views`: what a BI tool reads in the database, and what it can't.

use std::process::Command;

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _};

use crate::support::builders::{activity, content, team, user};
use crate::support::{Database, TestServer, apply, both_databases};

/// Runs the command on the database of the server and returns its output.
fn run(server: &TestServer, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(arguments).args(["--database", &server.database().url()]);
    let run = tokio::task::block_in_place(|| command.output()).expect("the command can be started");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(run.stdout).expect("UTF-8")
}

/// The name of a view of the organisation `acme`.
fn view(server: &TestServer, name: &str) -> String {
    match server.database() {
        Database::Sqlite { .. } => format!("bi_{name}"),
        Database::Postgres { .. } => format!("\"rollbook_acme\".{name}"),
    }
}

/// The condition of the organisation `acme`, which is a column on SQLite.
fn of_acme(server: &TestServer) -> &'static str {
    match server.database() {
        Database::Sqlite { .. } => "organisation = 'acme'",
        Database::Postgres { .. } => "1 = 1",
    }
}

async fn count(server: &TestServer, name: &str, condition: &str) -> i64 {
    let (view, organisation) = (view(server, name), of_acme(server));
    server
        .database()
        .query_number(&format!("SELECT count(*) FROM {view} WHERE {organisation} AND {condition}"))
        .await
}

/// Fills the organisations `acme` and `other`.
async fn set_up(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/teams/sales", &team("sales").set("name", "Sales")).await.expect(201);
    let ada = user("ada").set("first_name", "Ada").set("last_name", "Obi").set("role", "manager");
    admin.put("/v1/users/ada", &ada).await.expect(201);
    let bo = user("bo")
        .set("first_name", "Bo")
        .set("manager", "ada")
        .set("primary_team", "sales")
        .set("custom", json!({"Region": "North"}));
    admin.put("/v1/users/bo", &bo).await.expect(201);
    let fire = content("fire", "quiz").set("title", "Fire Safety").set("tags", json!(["safety", "fire"]));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    admin.put("/v1/contents/film", &content("film", "item")).await.expect(201);
    let integration = server.credential("acme", &["activities/write"]).await;
    let activities = [
        activity("bo", "failed")
            .set("content", "fire")
            .set("happened_at", "2026-03-01T09:30:00.250Z")
            .set("result", json!({"success": false, "score": 40, "total_time": "PT1H5M"})),
        activity("bo", "completed")
            .set("content", "fire")
            .set("happened_at", "2026-03-02T09:30:00Z")
            .set("result", json!({"success": true, "score": 92.5})),
        activity("ada", "completed")
            .set("content", "fire")
            .set("happened_at", "2026-03-02T10:00:00Z")
            .set("expired_at", "2026-03-10T00:00:00Z"),
        activity("ada", "started").set("content", "film").set("happened_at", "2026-03-03T10:00:00Z"),
        activity("bo", "failed").set("content", "film").set("happened_at", "2026-03-04T10:00:00Z"),
        activity("bo", "logged_in").set("happened_at", "2026-03-05T10:00:00Z"),
    ];
    integration.post("/v1/activities/batch", &activities).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/secret", &user("secret")).await.expect(201);
    other.post("/v1/activities", &activity("secret", "logged_in")).await.expect(201);
}

#[apply(both_databases)]
async fn views_show_labels_names_times_and_progress(server: &TestServer) {
    set_up(server).await;
    let installed = run(server, &["migrate", "--views"]);
    assert!(installed.contains("Installed the views"), "{installed}");
    // They can be replaced at any time.
    run(server, &["migrate", "--views"]);

    let (time, date) = match server.database() {
        Database::Sqlite { .. } => {
            ("happened_at = '2026-03-01T09:30:00.250Z'", "since = '2026-03-10T00:00:00.000Z'")
        }
        Database::Postgres { .. } => (
            "happened_at = '2026-03-01T09:30:00.250Z'::timestamptz",
            "since = '2026-03-10T00:00:00Z'::timestamptz",
        ),
    };
    for (name, condition, expected) in [
        ("activity_log", "1 = 1", 6),
        (
            "activity_log",
            "action = 'Failed' AND action_key = 'failed' AND result = 'Fail' AND score_percent = 40",
            1,
        ),
        (
            "activity_log",
            "person = 'Bo' AND user_id = 'bo' AND manager = 'Ada Obi' AND primary_team = 'Sales'",
            4,
        ),
        ("activity_log", "title = 'Fire Safety' AND type = 'Quiz' AND total_time_seconds = 3900", 1),
        ("activity_log", time, 1),
        ("activity_log", "completed AND origin = 'api'", 2),
        ("users", "user_id = 'bo' AND manager_id = 'ada' AND primary_team = 'Sales' AND is_active", 1),
        ("users", "role = 'Manager' AND name = 'Ada Obi'", 1),
        ("user_fields", "user_id = 'bo' AND field = 'Region' AND value = 'North'", 1),
        ("contents", "content_id = 'fire' AND tags = 'safety; fire'", 1),
        ("progress", "1 = 1", 4),
        (
            "progress",
            "user_id = 'bo' AND content_id = 'fire' AND state = 'Completed' AND score_percent = 92.5",
            1,
        ),
        ("progress", "user_id = 'ada' AND content_id = 'fire' AND state = 'Expired'", 1),
        ("progress", date, 1),
        ("progress", "user_id = 'ada' AND content_id = 'film' AND state = 'In progress'", 1),
        ("progress", "user_id = 'bo' AND content_id = 'film' AND state_key = 'failed'", 1),
    ] {
        assert_eq!(count(server, name, condition).await, expected, "{name}: {condition}");
    }
    // The log of the API has the same number of rows.
    let admin = server.person("admin", "root");
    assert_eq!(admin.list("/v1/activities", "activities").await.len(), 6);
}

#[apply(both_databases)]
async fn printed_views_are_those_that_are_installed(server: &TestServer) {
    set_up(server).await;
    let printed = run(server, &["views"]);
    assert!(printed.contains("CREATE"), "{printed}");
    for statement in printed.split(";\n").filter(|statement| !statement.is_empty()) {
        server.database().execute(statement).await;
    }
    assert_eq!(count(server, "activity_log", "1 = 1").await, 6);
    let only_acme = run(server, &["views", "--org", "acme"]);
    assert!(!only_acme.contains("rollbook_other"), "{only_acme}");
}

/// Connects as a role with the rights that `rollbook views --role` prints.
async fn connect_as_reader(server: &TestServer) -> Option<PgConnection> {
    let Database::Postgres { cluster, name } = server.database() else {
        return None;
    };
    run(server, &["migrate", "--views"]);
    let role = format!("{name}_bi");
    server.database().execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'")).await;
    let printed = run(server, &["views", "--org", "acme", "--role", &role]);
    for statement in
        printed.split(";\n").filter(|text| text.starts_with("GRANT") || text.starts_with("ALTER"))
    {
        server.database().execute(statement).await;
    }
    let options: PgConnectOptions = cluster.as_ref().clone().database(name);
    Some(options.username(&role).password("reader").connect().await.expect("the role may sign in"))
}

async fn try_query(connection: &mut PgConnection, sql: &str) -> Result<Vec<sqlx::postgres::PgRow>, String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    rows.map_err(|error| error.to_string())
}

#[apply(both_databases)]
async fn role_of_one_organisation_reads_its_views_and_nothing_else(server: &TestServer) {
    set_up(server).await;
    let Some(mut reader) = connect_as_reader(server).await else {
        return;
    };
    let rows = try_query(&mut reader, "SELECT count(*) FROM activity_log").await.expect("its own log");
    assert_eq!(rows[0].get::<i64, _>(0), 6);
    let rows =
        try_query(&mut reader, "SELECT DISTINCT user_id FROM users ORDER BY 1").await.expect("its own users");
    assert_eq!(rows.len(), 2);
    for forbidden in [
        "SELECT * FROM public.activities",
        "SELECT * FROM public.users",
        "SELECT * FROM public.credentials",
        "SELECT * FROM public.statements",
        "SELECT * FROM public.cursor_keys",
        "SELECT * FROM \"rollbook_other\".users",
        "SELECT * FROM \"rollbook_other\".activity_log",
        "CREATE TABLE rollbook_acme.x (a int)",
        "CREATE VIEW rollbook_acme.x AS SELECT * FROM public.users",
        "SET ROLE postgres",
    ] {
        let error = try_query(&mut reader, forbidden).await.expect_err(forbidden);
        assert!(
            error.contains("permission denied") || error.contains("read-only transaction"),
            "{forbidden}: {error}"
        );
    }
    // The setting of the role is only a convenience: it can be switched off, and the rights stay.
    try_query(&mut reader, "SET default_transaction_read_only = off").await.expect("a setting");
    for forbidden in [
        "DELETE FROM contents",
        "UPDATE user_fields SET value = 'x'",
        "INSERT INTO contents (content_id) VALUES ('x')",
        "DROP VIEW contents",
        "CREATE OR REPLACE VIEW contents AS SELECT 1 AS content_id",
    ] {
        let error = try_query(&mut reader, forbidden).await.expect_err(forbidden);
        assert!(
            ["permission denied", "must be owner", "cannot"].iter().any(|part| error.contains(part)),
            "{forbidden}: {error}"
        );
    }
}

/// A function of the reader that costs little would run before the condition on the organisation without
/// `security_barrier`, and would report rows of the others.
#[apply(both_databases)]
async fn cheap_function_of_a_reader_sees_no_other_organisation(server: &TestServer) {
    set_up(server).await;
    let Some(mut reader) = connect_as_reader(server).await else {
        return;
    };
    for statement in [
        "SET default_transaction_read_only = off",
        "CREATE TEMP TABLE leaked (text TEXT)",
        "CREATE FUNCTION pg_temp.leak(value TEXT) RETURNS BOOLEAN LANGUAGE plpgsql COST 0.0000001 \
         AS 'BEGIN INSERT INTO pg_temp.leaked VALUES (value); RETURN TRUE; END'",
        "SELECT * FROM users WHERE pg_temp.leak(user_id)",
        "SELECT * FROM activity_log WHERE pg_temp.leak(user_id)",
        "SELECT * FROM contents WHERE pg_temp.leak(content_id)",
    ] {
        try_query(&mut reader, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let leaked = try_query(&mut reader, "SELECT DISTINCT text FROM pg_temp.leaked ORDER BY 1").await;
    let leaked: Vec<Option<String>> = leaked.expect("the notes").iter().map(|row| row.get(0)).collect();
    let leaked: Vec<String> = leaked.into_iter().flatten().collect();
    assert_eq!(leaked, ["ada", "bo", "film", "fire"]);
}
