//! A replica that freezes in the middle of a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Server, viewed};
use crate::support::Database;
use crate::support::builders::mailbox;
use crate::support::builders::statement;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::run_with_database;

/// The number of transactions of this database that wait for their client.
const IDLE_TRANSACTIONS: &str = "SELECT count(*) FROM pg_stat_activity \
                                 WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

/// Records with a content of their own each, and the ones that were acknowledged.
#[derive(Default)]
struct Writers {
    stop: AtomicBool,
    sent: AtomicUsize,
    acknowledged: std::sync::Mutex<Vec<usize>>,
}

impl Writers {
    async fn write(&self, server: &Server) {
        while !self.stop.load(Ordering::SeqCst) {
            let number = self.sent.fetch_add(1, Ordering::SeqCst);
            let record = statement(mailbox("a@x.example"), COMPLETED, &format!("urn:frozen:{number}"));
            let answer = server.admin.post(STATEMENTS, &record).await.expect_one_of(&[200, 503]);
            if answer.status == 200 {
                self.acknowledged.lock().expect("no panic").push(number);
            }
        }
    }
}

#[test]
fn frozen_replica_does_not_stop_the_writes_of_others() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (frozen, healthy) = (Server::start(&database.url()), Server::start(&database.url()));
        frozen.set_up().await;
        healthy.open_connections().await;
        let writers = Arc::new(Writers::default());
        let load = async {
            futures_util::future::join_all((0..6).map(|_| writers.write(&frozen))).await;
        };
        let fault = async {
            freeze_in_a_transaction(&frozen, database).await;
            let begin = Instant::now();
            let answer = healthy.admin.post("/v1/activities", &viewed()).await;
            let first = begin.elapsed();
            let answer = match answer.status {
                // With the short wait of this test the first writer may give up just before the lock is free.
                503 => healthy.admin.post("/v1/activities", &viewed()).await,
                _ => answer,
            };
            answer.expect(201);
            let time = begin.elapsed();
            println!("measured: a frozen replica: first answer after {first:?}, success after {time:?}");
            assert!(time < Duration::from_secs(10), "{time:?}");
            healthy.wait_until_it_works(8, Duration::from_secs(5)).await;
            frozen.process.signal("CONT");
            let recovery = frozen.wait_until_it_works(8, Duration::from_secs(10)).await;
            println!("measured: a frozen replica: it recovered {recovery:?} after it went on");
            writers.stop.store(true, Ordering::SeqCst);
        };
        tokio::join!(load, fault);
        check_records(&writers, database).await;
    });
}

/// Stops the process at a moment at which one of its transactions waits for it.
async fn freeze_in_a_transaction(server: &Server, database: &Database) {
    for attempt in 0..200 {
        tokio::time::sleep(Duration::from_millis(20 + attempt % 7)).await;
        server.process.signal("STOP");
        // What was under way in the database ends.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if database.query_number(IDLE_TRANSACTIONS).await > 0 {
            return;
        }
        server.process.signal("CONT");
    }
    panic!("the process never froze within a transaction");
}

/// Each acknowledged record is stored once, and no record is stored twice.
async fn check_records(writers: &Writers, database: &Database) {
    let stored = "SELECT count(*) FROM statements WHERE convert_from(body, 'UTF8') LIKE '%urn:frozen:%'";
    let stored = database.query_number(stored).await;
    let twice = "SELECT count(*) FROM (SELECT object FROM statements \
                 WHERE convert_from(body, 'UTF8') LIKE '%urn:frozen:%' GROUP BY object HAVING count(*) > 1) AS t";
    assert_eq!(database.query_number(twice).await, 0, "a record is stored twice");
    let acknowledged = writers.acknowledged.lock().expect("no panic").clone();
    for number in acknowledged {
        let one = format!(
            "SELECT count(*) FROM statements WHERE convert_from(body, 'UTF8') LIKE '%\"urn:frozen:{number}\"%'"
        );
        assert_eq!(database.query_number(&one).await, 1, "record {number}");
    }
    println!(
        "measured: a frozen replica: {stored} of {} records stored",
        writers.sent.load(Ordering::SeqCst)
    );
}
