//! What a role of PostgreSQL reads through the views of one organisation, and what it can't.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _};

use super::{run, run_refused, set_up};
use crate::support::builders::{activity, user};
use crate::support::{Database, TestServer, apply, both_databases};

/// The name of a new role, which roles of other tests do not have.
fn role_name(server: &TestServer, suffix: &str) -> String {
    match server.database() {
        Database::Sqlite { .. } => "bi".to_owned(),
        Database::Postgres { name, .. } => format!("{name}_{suffix}"),
    }
}

async fn create_role(server: &TestServer, suffix: &str) -> String {
    let role = role_name(server, suffix);
    server.database().execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'")).await;
    role
}

async fn connect(server: &TestServer, role: &str) -> PgConnection {
    let Database::Postgres { cluster, name, .. } = server.database() else {
        panic!("SQLite has no roles");
    };
    let options: PgConnectOptions = cluster.as_ref().clone().database(name);
    options.username(role).password("reader").connect().await.expect("the role may sign in")
}

/// Connects as a role that may read the views of `acme`. `None` on SQLite, which has no roles, and in
/// a cluster, where they read no views.
pub(super) async fn connect_as_reader(server: &TestServer) -> Option<PgConnection> {
    if !server.database().is_single_postgres() {
        return None;
    }
    let role = create_role(server, "bi").await;
    let installed = run(server, &["migrate", "--views", "--org", "acme", "--role", &role]);
    assert!(installed.contains("can read them"), "{installed}");
    run(server, &["migrate", "--views"]); // the views of the others too; the rights stay
    Some(connect(server, &role).await)
}

async fn try_query(connection: &mut PgConnection, sql: &str) -> Result<Vec<PgRow>, String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    rows.map_err(|error| error.to_string())
}

async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    try_query(connection, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))[0].get(0)
}

#[apply(both_databases)]
async fn role_of_one_organisation_reads_its_views_and_nothing_else(server: &TestServer) {
    set_up(server).await;
    let Some(mut reader) = connect_as_reader(server).await else {
        return;
    };
    assert_eq!(number(&mut reader, "SELECT count(*) FROM activity_log").await, 6);
    assert_eq!(number(&mut reader, "SELECT count(DISTINCT user_id) FROM users").await, 2);
    for forbidden in [
        "SELECT * FROM public.activities",
        "SELECT * FROM public.users",
        "SELECT * FROM public.credentials",
        "SELECT * FROM public.statements",
        "SELECT * FROM public.cursor_keys",
        "SELECT count(*) FROM public.organisations",
        "TABLE public.ledgers",
        "COPY public.users TO STDOUT",
        "SELECT * FROM \"rollbook_other\".users",
        "SELECT * FROM \"rollbook_other\".activity_log",
        "CREATE TABLE rollbook_acme.x (a int)",
        "CREATE VIEW rollbook_acme.x AS SELECT * FROM public.users",
        "CREATE FUNCTION rollbook_acme.x() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON public.users TO PUBLIC",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
    ] {
        let error = try_query(&mut reader, forbidden).await.expect_err(forbidden);
        let parts = ["permission denied", "read-only transaction", "no privileges"];
        assert!(parts.iter().any(|part| error.contains(part)), "{forbidden}: {error}");
    }
    // The setting of the role is only a convenience: it can be switched off, and the rights stay.
    try_query(&mut reader, "SET default_transaction_read_only = off").await.expect("a setting");
    for forbidden in [
        "DELETE FROM contents",
        "UPDATE user_fields SET value = 'x'",
        "INSERT INTO contents (content_id) VALUES ('x')",
        "DROP VIEW contents",
        "ALTER VIEW users SET (security_barrier = false)",
        "ALTER VIEW users OWNER TO CURRENT_USER",
        "ALTER SCHEMA rollbook_acme OWNER TO CURRENT_USER",
        "CREATE RULE r AS ON INSERT TO contents DO INSTEAD NOTHING",
        "CREATE OR REPLACE VIEW contents AS SELECT 1 AS content_id",
        "CREATE TABLE rollbook_acme.x (a int)",
        "CREATE VIEW rollbook_acme.x AS SELECT 1",
        "CREATE SCHEMA mine",
        "DELETE FROM public.activities",
    ] {
        let error = try_query(&mut reader, forbidden).await.expect_err(forbidden);
        let parts = ["permission denied", "must be owner", "must be member", "must be able to SET", "cannot"];
        assert!(parts.iter().any(|part| error.contains(part)), "{forbidden}: {error}");
    }
    assert_eq!(number(&mut reader, "SELECT count(*) FROM activity_log").await, 6);
}

/// The names in a view are bound when it is created, so the reader's search path and temporary tables change nothing.
#[apply(both_databases)]
async fn search_path_and_temporary_tables_of_a_reader_change_no_view(server: &TestServer) {
    set_up(server).await;
    let Some(mut reader) = connect_as_reader(server).await else {
        return;
    };
    for statement in [
        "SET default_transaction_read_only = off",
        "CREATE TEMP TABLE users (org BIGINT, key BIGINT, id TEXT)",
        "CREATE TEMP TABLE activities (org BIGINT, seq BIGINT)",
        "CREATE FUNCTION pg_temp.to_timestamp(double precision) RETURNS TIMESTAMPTZ LANGUAGE sql AS 'SELECT now()'",
        "SET search_path = pg_temp, rollbook_other, rollbook_acme",
    ] {
        try_query(&mut reader, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    assert_eq!(number(&mut reader, "SELECT count(*) FROM rollbook_acme.users").await, 2);
    let old = "SELECT count(*) FROM rollbook_acme.activity_log WHERE happened_at < '2026-03-06Z'";
    assert_eq!(number(&mut reader, old).await, 6);
    // Names that are not there are searched in the reader's own schema only.
    assert_eq!(number(&mut reader, "SELECT count(*) FROM contents").await, 2);
    try_query(&mut reader, "SET search_path = rollbook_other").await.expect("a setting");
    let error = try_query(&mut reader, "SELECT * FROM progress").await.expect_err("another schema");
    assert!(error.contains("does not exist"), "{error}");
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
        "CREATE OPERATOR pg_temp.~~~ (FUNCTION = pg_temp.leak, RIGHTARG = TEXT)",
        "SELECT * FROM users WHERE pg_temp.leak(user_id)",
        "SELECT * FROM users WHERE OPERATOR(pg_temp.~~~) user_id",
        "SELECT * FROM activity_log WHERE pg_temp.leak(user_id)",
        "SELECT * FROM activity_log_with_deactivated WHERE pg_temp.leak(user_id) OR position > 0",
        "SELECT * FROM contents WHERE pg_temp.leak(content_id)",
        "SELECT * FROM progress WHERE pg_temp.leak(user_id) AND pg_temp.leak(content_id)",
        "SELECT * FROM user_fields WHERE pg_temp.leak(user_id)",
    ] {
        try_query(&mut reader, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let leaked = try_query(&mut reader, "SELECT DISTINCT text FROM pg_temp.leaked ORDER BY 1").await;
    let leaked: Vec<Option<String>> = leaked.expect("the notes").iter().map(|row| row.get(0)).collect();
    let leaked: Vec<String> = leaked.into_iter().flatten().collect();
    assert_eq!(leaked, ["ada", "bo", "film", "fire"]);
    // An error would tell a value of a row that it comes from: the id of the other organisation's user is no number.
    let error =
        try_query(&mut reader, "SELECT * FROM users WHERE user_id::int > 0").await.expect_err("no number");
    assert!(!error.contains("secret"), "{error}");
}

/// The ids are chosen by clients of the operator, so any text can come.
const ODD_IDS: [&str; 6] = [
    "Acme",
    "acme-2",
    "x\"; DROP TABLE users; --",
    "it's $1 \\ Größe",
    "organisation-with-a-long-name-of-more-than-sixty-three-bytes-north",
    "organisation-with-a-long-name-of-more-than-sixty-three-bytes-south",
];

#[apply(both_databases)]
async fn organisations_with_odd_ids_have_views_of_their_own(server: &TestServer) {
    for (number, id) in ODD_IDS.iter().enumerate() {
        let admin = server.person_of(id, json!({"sub": "root", "role": "admin"}));
        admin.put(&format!("/v1/users/u{number}"), &user(&format!("u{number}"))).await.expect(201);
        admin.post("/v1/activities", &activity(&format!("u{number}"), "logged_in")).await.expect(201);
    }
    let installed = run(server, &["migrate", "--views"]);
    if let Database::Sqlite { .. } = server.database() {
        for (number, id) in ODD_IDS.iter().enumerate() {
            let id = id.replace('\'', "''");
            let count = format!(
                "SELECT count(*) FROM bi_activity_log WHERE organisation = '{id}' AND user_id = 'u{number}'"
            );
            assert_eq!(server.database().query_number(&count).await, 1, "{id}");
        }
        return;
    }
    let schemas: Vec<&str> = installed
        .lines()
        .filter_map(|line| line.rsplit_once(" in the schema "))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(schemas.len(), ODD_IDS.len(), "{installed}");
    if !server.database().is_single_postgres() {
        return;
    }
    for (number, id) in ODD_IDS.iter().enumerate() {
        let role = create_role(server, &format!("r{number}")).await;
        run(server, &["migrate", "--views", "--org", id, "--role", &role]);
        let mut reader = connect(server, &role).await;
        let rows = try_query(&mut reader, "SELECT user_id FROM activity_log").await.expect("its own log");
        let users: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(users, [format!("u{number}")], "{id}");
        let mut readable = 0;
        for schema in &schemas {
            let name = schema.trim_end_matches('.');
            readable +=
                usize::from(try_query(&mut reader, &format!("SELECT 1 FROM {name}.users")).await.is_ok());
        }
        assert_eq!(readable, 1, "{id}");
    }
}

/// The owner of a schema could replace its views.
#[apply(both_databases)]
async fn schema_of_somebody_else_is_refused_and_nothing_is_installed_in_it(server: &TestServer) {
    set_up(server).await;
    if let Database::Sqlite { .. } = server.database() {
        return;
    }
    let role = create_role(server, "squatter").await;
    let database = server.database();
    database.execute(&format!("CREATE SCHEMA rollbook_acme AUTHORIZATION {role}")).await;
    let message = run_refused(server, &["migrate", "--views", "--org", "acme"]);
    assert!(message.contains("\"rollbook_acme\" exists"), "{message}");
    let views = "SELECT count(*) FROM pg_views WHERE schemaname = 'rollbook_acme'";
    assert_eq!(database.query_number(views).await, 0);
    // A schema of the operator with other things in it is left alone too.
    database.execute("DROP SCHEMA rollbook_acme; CREATE SCHEMA rollbook_acme; CREATE TABLE rollbook_acme.users (a int)").await;
    let message = run_refused(server, &["migrate", "--views", "--org", "acme"]);
    assert!(message.contains("rename it or drop it"), "{message}");
    // The other organisations get their views all the same.
    let message = run_refused(server, &["migrate", "--views"]);
    assert!(message.contains("rename it or drop it"), "{message}");
    let others = "SELECT count(*) FROM pg_views WHERE schemaname = 'rollbook_other'";
    assert!(database.query_number(others).await > 0);
    database.execute("DROP SCHEMA rollbook_acme CASCADE").await;
    run(server, &["migrate", "--views"]);
    // A view that another release made differently is named.
    database
        .execute("DROP VIEW rollbook_acme.contents; CREATE VIEW rollbook_acme.contents AS SELECT 1 AS other")
        .await;
    let message = run_refused(server, &["migrate", "--views"]);
    assert!(
        message.contains("contents cannot be replaced") && message.contains("drop the schema"),
        "{message}"
    );
}

#[apply(both_databases)]
async fn role_that_is_missing_or_reads_tables_is_refused(server: &TestServer) {
    set_up(server).await;
    let missing = role_name(server, "missing");
    let install = |role: &str| run_refused(server, &["migrate", "--views", "--org", "acme", "--role", role]);
    if let Database::Sqlite { .. } = server.database() {
        let message = install(&missing);
        assert!(message.contains("SQLite has neither schemas nor roles"), "{message}");
        return;
    }
    let message = install(&missing);
    if server.database().is_distributed() {
        assert!(
            message.contains("only the owner of the tables and superusers can read the views"),
            "{message}"
        );
        return;
    }
    assert!(message.contains("does not exist: create it first"), "{message}");
    let powerful = create_role(server, "powerful").await;
    server.database().execute(&format!("GRANT SELECT (id) ON users TO {powerful}")).await;
    let message = install(&powerful);
    assert!(message.contains("would not limit it"), "{message}");
    server.database().execute(&format!("ALTER ROLE {powerful} SUPERUSER")).await;
    let message = install(&powerful);
    assert!(message.contains("would not limit it"), "{message}");
    let message = install("odd\"; DROP TABLE users; --");
    assert!(message.contains("does not exist"), "{message}");
    // Nothing was installed on the way.
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'rollbook_acme'";
    assert_eq!(server.database().query_number(schemas).await, 0);
}

/// Before PostgreSQL 15 everybody can create functions in `public`. Those that look like functions of the database must not
/// get into the views, which run with the rights of their owner.
#[apply(both_databases)]
async fn functions_of_other_schemas_do_not_get_into_the_views(server: &TestServer) {
    set_up(server).await;
    let Database::Postgres { name, .. } = server.database() else {
        return;
    };
    let hostile = format!(
        "CREATE FUNCTION public.to_timestamp(double precision) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE \
         AS 'SELECT ''epoch''::timestamptz'; \
         CREATE FUNCTION public.string_agg_of(text, text, text) RETURNS TEXT LANGUAGE sql AS 'SELECT ''hostile'''; \
         CREATE AGGREGATE public.string_agg(text, text) (SFUNC = public.string_agg_of, STYPE = TEXT); \
         ALTER DATABASE {name} SET search_path = public, pg_catalog"
    );
    server.database().execute(&hostile).await;
    run(server, &["migrate", "--views"]);
    for (condition, expected) in [
        ("activity_log WHERE happened_at > '2019-01-01Z'", 6),
        ("contents WHERE tags = 'safety; fire'", 1),
        ("contents WHERE tags = 'hostile'", 0),
    ] {
        let count = format!("SELECT count(*) FROM rollbook_acme.{condition}");
        assert_eq!(server.database().query_number(&count).await, expected, "{condition}");
    }
}
