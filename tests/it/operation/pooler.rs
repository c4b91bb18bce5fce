//! Two servers behind a real pgbouncer that lends a connection for each transaction. It has fewer connections than the
//! servers open.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rollbook::base::clock::Clock;
use rollbook::log::VerbTable;
use rollbook::store::{SchemaState, Store};
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::events::{Events, STREAM};
use crate::support::helpers::Helper;
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::{ORG, run, run_with_database};
use crate::support::{Database, TestServer};

/// The number of clients that write and read at the same time.
const CLIENTS: usize = 16;

/// A value of a session that the pooler lends.
async fn session_value(connection: &mut PgConnection, query: &'static str) -> String {
    let row = sqlx::raw_sql(query).fetch_one(connection).await.expect("the pooler answers");
    row.get::<String, _>(0)
}

/// Nothing of a transaction is left on the connections that the pooler lends to other clients.
async fn check_that_sessions_are_clean(database: &Database) {
    let options = database.settings().url.parse::<sqlx::postgres::PgConnectOptions>().expect("an address");
    let options = options.extra_float_digits(None);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut connection = PgConnection::connect_with(&options).await.expect("the pooler answers");
        // An open transaction keeps its connection, so that the next one gets another.
        sqlx::raw_sql("BEGIN").execute(&mut connection).await.expect("a transaction begins");
        for (query, expected) in [
            ("SELECT count(*)::text FROM pg_prepared_statements", "0"),
            ("SHOW statement_timeout", "0"),
            ("SHOW lock_timeout", "0"),
            ("SHOW plan_cache_mode", "auto"),
            ("SELECT count(*)::text FROM pg_listening_channels()", "0"),
            (
                "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
                "0",
            ),
        ] {
            assert_eq!(session_value(&mut connection, query).await, expected, "{query}");
        }
        open.push(connection);
    }
}

/// Writes activities and statements, reads them at the other server, and returns the ids of the activities.
async fn write_and_read(writer: Caller, xapi: Caller, reader: Caller, number: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for round in 0..6 {
        let one =
            |index: usize| activity(&format!("u{}", (number + index) % 5), "viewed").set("content", "c1");
        let batch: Vec<Body> = (0..1 + round).map(one).collect();
        let created = writer.post("/v1/activities/batch", &batch).await.expect(201).json();
        let created = created["ids"].as_array().expect("a list of ids");
        ids.extend(created.iter().map(|id| id.as_str().expect("an id").to_owned()));
        let sent = statement(mailbox(&format!("u{number}@x.example")), COMPLETED, "urn:c");
        xapi.post(STATEMENTS, &sent).await.expect(200);
        let page = reader.get("/v1/activities?limit=20&count=exact").await.expect(200).json();
        assert!(page["activities"].as_array().is_some_and(|rows| !rows.is_empty()));
        reader.get("/v1/activities/summary?by=day").await.expect(200);
        reader.get(&format!("/v1/users?q=u{number}")).await.expect(200);
    }
    ids
}

async fn check_journey(server: &TestServer) {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = (0..5).map(|number| user(&format!("u{number}"))).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let xapi = server.credential(ORG, &["all"]).await;
    let replica = server.start_replica().await;
    let other = replica.person("admin", "root");

    let clients = (0..CLIENTS).map(|number| {
        let (writer, reader) = match number % 2 {
            0 => (admin.clone(), other.clone()),
            _ => (other.clone(), admin.clone()),
        };
        tokio::spawn(write_and_read(writer, xapi.clone(), reader, number))
    });
    let mut written = BTreeSet::new();
    for ids in join_all(clients.collect::<Vec<_>>()).await {
        written.extend(ids.expect("no client panics"));
    }
    assert_eq!(written.len(), CLIENTS * 21);
    for caller in [&admin, &other] {
        let exported = caller.get("/v1/activities/export.ndjson").await.expect(200).ndjson();
        assert_eq!(exported.len(), CLIENTS * 27);
        let ids: BTreeSet<&str> = exported.iter().filter_map(|row| row["id"].as_str()).collect();
        assert!(written.iter().all(|id| ids.contains(id.as_str())));
        let (_, rows) = caller.get("/v1/activities/export.csv").await.expect(200).csv();
        assert_eq!(rows.len(), CLIENTS * 27);
    }

    // Replicas cannot notify each other through the pooler. They read the ledgers.
    let mut events = Events::open(&other, STREAM).await;
    for _ in 0..3 {
        let created = admin.post("/v1/activities", &activity("u1", "completed").set("content", "c1")).await;
        let created = created.expect(201).json();
        let event = tokio::time::timeout(Duration::from_secs(2), events.next_activity()).await;
        assert_eq!(event.expect("it comes in time")["id"], created["id"]);
    }
    drop(events);

    // A failed statement ends its transaction and leaves the connection usable.
    for _ in 0..CLIENTS {
        let conflict = json!([{"id": "00000000-0000-4000-8000-000000000001", "user": "u1", "action": "viewed"},
            {"id": "00000000-0000-4000-8000-000000000001", "user": "u2", "action": "viewed"}]);
        admin.post("/v1/activities/batch", &conflict).await;
        admin.get("/v1/activities?limit=1").await.expect(200);
    }
    check_that_sessions_are_clean(server.database()).await;
    replica.stop().await;
}

#[test]
fn two_servers_behind_a_pooler_write_and_read_the_same_log() {
    if let Some(pgbouncer) = Helper::pgbouncer() {
        run(Database::postgres().behind_pooler(pgbouncer.address), check_journey);
    }
}

async fn check_migrations(database: &Database) {
    let open = async || {
        let store = Store::open(&database.settings(), Clock::system(), VerbTable::standard()).await;
        store.expect("the database opens")
    };
    let stores = [open().await, open().await, open().await];
    for migrated in join_all(stores.iter().map(Store::migrate)).await {
        migrated.expect("all replicas migrate, one after the other");
    }
    for store in stores {
        assert_eq!(store.schema_state().await.expect("it answers"), SchemaState::Current);
        store.close().await;
    }
    check_that_sessions_are_clean(database).await;
}

#[test]
fn replicas_migrate_through_a_pooler_one_after_the_other() {
    if let Some(pgbouncer) = Helper::pgbouncer() {
        run_with_database(Database::postgres().behind_pooler(pgbouncer.address), check_migrations);
    }
}
