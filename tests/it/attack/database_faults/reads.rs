//! Requests that read need no connection that writes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use super::Server;
use crate::support::builders::{group, mailbox, statement, team, user};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::{Database, apply, both_databases};

/// The time within which a read is answered.
const READ_TIME: Duration = Duration::from_secs(1);

const AGENT: &str = "%7B%22mbox%22%3A%22mailto%3Aa%40x.example%22%7D";

/// Everything that can be read.
fn paths() -> Vec<String> {
    let with_agent = |path: &str| format!("{path}agent={AGENT}");
    let mut paths: Vec<String> = [
        "/v1/actions",
        "/v1/activities",
        "/v1/activities?action=viewed",
        "/v1/me/activities",
        "/v1/users/bo/activities",
        "/v1/activities/summary?by=action",
        "/v1/activities/export.csv",
        "/v1/activities/export.ndjson",
        "/v1/facets",
        "/v1/users",
        "/v1/users/bo",
        "/v1/users/bo/notes",
        "/v1/users/bo/timeline",
        "/v1/teams",
        "/v1/teams/t",
        "/v1/groups",
        "/v1/groups/g",
        "/v1/contents",
        "/v1/contents/c1",
        "/v1/contents/c1/progress",
        "/v1/contents/c1/progress.csv",
        "/v1/credentials",
        "/v1/organisation",
        "/v1/reports",
        "/v1/schedules",
        "/xapi/about",
        "/xapi/statements",
        "/xapi/statements?limit=1&ascending=true",
        "/xapi/activities?activityId=urn:c",
        "/health/live",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(
        ["/xapi/agents?", "/xapi/agents/profile?", "/xapi/activities/state?activityId=urn:c&stateId=s&"]
            .map(with_agent),
    );
    paths
}

/// Makes every write fail until it is dropped.
enum NoWrites {
    Locked(SqliteConnection),
    ReadOnly,
}

impl NoWrites {
    async fn begin(database: &Database) -> Self {
        match database {
            Database::Sqlite { .. } => {
                let mut connection =
                    SqliteConnection::connect(&database.url()).await.expect("the file opens");
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock is free");
                Self::Locked(connection)
            }
            Database::Postgres { name, .. } => {
                let text = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
                database.execute(&text).await;
                end_connections(database).await;
                Self::ReadOnly
            }
        }
    }

    async fn end(self, database: &Database) {
        match self {
            Self::Locked(connection) => connection.close().await.expect("it closes"),
            Self::ReadOnly => {
                let name = match database {
                    Database::Postgres { name, .. } => name,
                    Database::Sqlite { .. } => unreachable!("SQLite was locked"),
                };
                let mut connection = sqlx::PgConnection::connect(&database.url()).await.expect("it answers");
                sqlx::raw_sql("SET default_transaction_read_only = off")
                    .execute(&mut connection)
                    .await
                    .expect("set");
                let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
                sqlx::raw_sql(sqlx::AssertSqlSafe(reset)).execute(&mut connection).await.expect("reset");
            }
        }
    }
}

/// Ends all connections of the server, as a restart does.
pub(super) async fn end_connections(database: &Database) {
    let text = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.query_number(text).await;
}

#[apply(both_databases)]
async fn every_read_is_answered_while_nothing_can_be_written(database: &Database) {
    let server = Server::start(&database.url());
    server.set_up().await;
    let admin = &server.admin;
    admin.put("/v1/teams/t", &team("t")).await.expect(201);
    admin.put("/v1/groups/g", &group("g")).await.expect(201);
    admin.post(STATEMENTS, &statement(mailbox("a@x.example"), COMPLETED, "urn:c")).await.expect(200);
    let state = format!("/xapi/activities/state?activityId=urn:c&stateId=s&agent={AGENT}");
    admin.put(&state, &json!({"a": 1})).await.expect(204);
    let fault = NoWrites::begin(database).await;
    // The first requests may find connections that the fault has closed.
    admin.get("/v1/users").await.expect(200);
    for path in paths() {
        for method in [Method::GET, Method::HEAD] {
            let begin = Instant::now();
            let answer = admin.send(method.clone(), &path, &[], Vec::new()).await.expect(200);
            assert!(begin.elapsed() < READ_TIME, "{method} {path} took {:?}", begin.elapsed());
            let has_through = answer.headers.contains_key("x-experience-api-consistent-through");
            assert_eq!(has_through, path.starts_with(STATEMENTS), "{method} {path}");
        }
    }
    let begin = Instant::now();
    let refused = admin.put("/v1/users/cy", &user("cy")).await.expect(503);
    assert!(refused.headers.contains_key("retry-after"));
    println!("measured: a write while nothing can be written: refused after {:?}", begin.elapsed());
    fault.end(database).await;
    let recovery = server.wait_until_it_works(8, Duration::from_secs(10)).await;
    println!("measured: nothing could be written: recovered after {recovery:?}");
}

/// Writers that wait for a locked organisation do not delay reads, and what was stored before is declared as complete.
#[apply(both_databases)]
async fn consistent_through_needs_no_writer(database: &Database) {
    let server = Server::start(&database.url());
    server.set_up().await;
    let admin = &server.admin;
    let first = admin.get(STATEMENTS).await.expect(200);
    let through = |answer: &crate::support::http::Answer| {
        let text = answer.header("x-experience-api-consistent-through").expect("the header");
        chrono::DateTime::parse_from_rfc3339(text).expect("a time")
    };
    let before = through(&first);
    let fault = NoWrites::begin(database).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = Instant::now();
        let answer = admin.get(STATEMENTS).await.expect(200);
        times.push(begin.elapsed());
        assert!(through(&answer) >= before, "the declared time never moves back");
    }
    times.sort_unstable();
    println!(
        "measured: Consistent-Through without a writer: median {:?}, longest {:?}",
        times[10], times[19]
    );
    assert!(times[10] < Duration::from_millis(500), "{times:?}");
    fault.end(database).await;
    server.wait_until_it_works(4, Duration::from_secs(10)).await;
    let written =
        admin.post(STATEMENTS, &statement(mailbox("a@x.example"), COMPLETED, "urn:d")).await.expect(200);
    let id = written.json()[0].as_str().expect("an id").to_owned();
    let stored = admin.get(&format!("{STATEMENTS}?statementId={id}")).await.expect(200).json();
    let stored =
        chrono::DateTime::parse_from_rfc3339(stored["stored"].as_str().expect("stored")).expect("a time");
    assert!(stored > before, "{stored} was declared as complete by {before}");
}
