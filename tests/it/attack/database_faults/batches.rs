//! Honest work that takes longer than the limit on waiting.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::{Server, viewed};
use crate::support::Database;
use crate::support::builders::{mailbox, statement, user};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::run_with_database;

/// Each statement takes a quarter of a second, and the database refuses the value of one.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                      IF convert_from(NEW.body, 'UTF8') LIKE '%urn:bad%' THEN \
                        RAISE EXCEPTION 'a bad value' USING ERRCODE = '22023'; \
                      END IF; \
                      PERFORM pg_sleep(0.25); \
                      RETURN NEW; \
                    END $$; \
                    CREATE TRIGGER slow BEFORE INSERT ON statements FOR EACH ROW EXECUTE FUNCTION slow();";

#[test]
fn batch_that_is_written_one_by_one_may_take_longer_than_a_wait() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        database.execute(SLOW).await;
        let begin = Instant::now();
        // The first one is written alone. The others wait meanwhile, so they are one batch.
        let answers = join_all((0..12).map(|number| {
            let object = if number == 5 { "urn:bad".to_owned() } else { format!("urn:good:{number}") };
            let record = statement(mailbox("a@x.example"), COMPLETED, &object);
            let admin = &server.admin;
            async move { admin.post(STATEMENTS, &record).await.status }
        }))
        .await;
        println!("measured: a slow batch with a bad record: {:?}", begin.elapsed());
        for (number, status) in answers.into_iter().enumerate() {
            assert_eq!(status, if number == 5 { 500 } else { 200 }, "record {number}");
        }
    });
}

/// A transaction of the server itself holds the lock for longer than another one waits. That is no fault of the database.
#[test]
fn readiness_is_ok_during_a_long_batch() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        database.execute(SLOW).await;
        let records: Vec<Value> = (0..10)
            .map(|number| statement(mailbox("a@x.example"), COMPLETED, &format!("urn:good:{number}")).json())
            .collect();
        let records = json!(records);
        let batch = async { server.admin.post(STATEMENTS, &records).await.expect(200) };
        let others = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            server.admin.put("/v1/users/cy", &user("cy")).await.expect(503);
            let ready = server.admin.get("/health/ready").await.expect(200).json();
            assert_eq!(ready["writes"], "ok");
        };
        tokio::join!(batch, others);
    });
}

/// A transaction may wait for each of its locks for the whole time, also if the first one has taken most of it.
#[test]
fn wait_for_the_ledger_leaves_the_whole_time_to_later_locks() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        let mut ledger = PgConnection::connect(&database.url()).await.expect("the cluster answers");
        let mut row = PgConnection::connect(&database.url()).await.expect("the cluster answers");
        let lock = "BEGIN; SELECT org FROM ledgers FOR UPDATE";
        sqlx::raw_sql(lock).execute(&mut ledger).await.expect("the ledger is free");
        sqlx::raw_sql("BEGIN; SELECT org FROM users FOR UPDATE").execute(&mut row).await.expect("free rows");
        let change = user("bo").set("first_name", "Bob");
        let write = async { server.admin.put("/v1/users/bo", &change).await.expect(200) };
        let release = async {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            ledger.close().await.expect("it closes");
            tokio::time::sleep(Duration::from_millis(1_000)).await;
            row.close().await.expect("it closes");
        };
        tokio::join!(write, release);
    });
}

/// The database needs longer for the first rows than a long query may take. It works at them, so the export waits.
#[test]
fn export_with_late_rows_is_complete() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        for _ in 0..11 {
            server.admin.post("/v1/activities", &viewed()).await.expect(201);
        }
        let slow = "ALTER TABLE activities RENAME TO all_activities; \
                    CREATE VIEW activities AS \
                    SELECT a.* FROM all_activities AS a WHERE pg_sleep(0.5 + 0 * a.seq) IS NOT NULL";
        database.execute(slow).await;
        let begin = Instant::now();
        let answer = server.admin.get("/v1/activities/export.ndjson").await.expect(200);
        println!("measured: an export with late rows: {:?}", begin.elapsed());
        assert!(begin.elapsed() > Duration::from_secs(5), "{:?}", begin.elapsed());
        assert_eq!(answer.ndjson().len(), 12);
    });
}
