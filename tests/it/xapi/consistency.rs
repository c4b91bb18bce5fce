//! Tests with concurrent writers: no statement appears before the time in `Consistent-Through`, pages have
//! no gaps or duplicates, and one id is one record.
//!
//! On PostgreSQL, two servers with separate, unsteady clocks write and read. On SQLite, one server does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rollbook::base::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::support::builders::mailbox;
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS as PATH};
use crate::support::{Database, TestServer, apply, both_databases};

const WRITERS: usize = 4;
const WRITES: usize = 40;

fn statement_with_id(id: &str, object: &str) -> Value {
    json!({"id": id, "actor": mailbox("ada@example.org"), "verb": {"id": COMPLETED}, "object": {"id": object}})
}

fn id(writer: usize, n: usize) -> String {
    format!("00000000-0000-4000-{:04}-{n:012}", 8000 + writer)
}

/// An admin of one server, and the clock of the server.
struct ServerAccess {
    caller: Caller,
    clock: Clock,
}

/// The accesses to all servers, and the second server if there is one.
async fn server_accesses(server: &TestServer) -> (Vec<ServerAccess>, Option<TestServer>) {
    let second = match server.database() {
        Database::Sqlite { .. } => None,
        Database::Postgres { .. } => Some(server.start_replica().await),
    };
    let access = |server: &TestServer| ServerAccess {
        caller: server.person("admin", "root"),
        clock: server.clock.clone(),
    };
    let accesses = std::iter::once(server).chain(&second).map(access).collect();
    (accesses, second)
}

/// Moves a clock, sometimes backwards.
fn move_clock(clock: &Clock, n: usize) {
    let step = [3, 11, 0, 27, -9, 1, 40][n % 7];
    clock.set(Timestamp::from_micros(clock.now().micros() + step * 1_000));
}

/// Writes statements alone and in batches. Some batches are refused.
async fn write_statements(access: &ServerAccess, writer: usize) {
    for n in 0..WRITES {
        move_clock(&access.clock, n + writer);
        let mut batch = vec![statement_with_id(&id(writer, n), "urn:a")];
        if n % 5 == 0 {
            batch.push(statement_with_id(&id(writer, n + 1_000), "urn:b"));
        }
        if n % 7 == 3 {
            // The batch is refused late, because the id belongs to another record.
            batch.push(statement_with_id(&id(writer, 0), "urn:other"));
            access.caller.post(PATH, &batch).await.expect(409);
        } else {
            access.caller.post(PATH, &batch).await.expect(200);
        }
    }
}

fn parse_time(text: &str) -> Timestamp {
    let at = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
    Timestamp::from_micros(at.timestamp_micros())
}

/// All statements with their time of storing, and the time in `Consistent-Through`.
async fn read_statements(caller: &Caller) -> (Timestamp, BTreeMap<String, Timestamp>) {
    let answer = caller.get(&format!("{PATH}?limit=1000")).await.expect(200);
    let through = answer.header("x-experience-api-consistent-through").expect("a promise");
    let through = parse_time(through);
    let page = answer.json();
    assert_eq!(page["more"], "", "all on one page");
    let statements = page["statements"].as_array().expect("statements").iter();
    let stored = |one: &Value| {
        let text = |name: &str| one[name].as_str().expect("text").to_owned();
        (text("id"), parse_time(&text("stored")))
    };
    (through, statements.map(stored).collect())
}

/// Repeats an action until all writers have finished.
async fn repeat_while_writing<T>(accesses: &[ServerAccess], mut read: impl AsyncFnMut(usize) -> T) -> Vec<T> {
    let done = AtomicBool::new(false);
    let writers = (0..WRITERS).map(|writer| write_statements(&accesses[writer % accesses.len()], writer));
    let writing = async {
        futures_util::future::join_all(writers).await;
        done.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let mut results = Vec::new();
        while !done.load(Ordering::Relaxed) {
            results.push(read(results.len()).await);
        }
        results
    };
    futures_util::future::join(writing, reading).await.1
}

#[apply(both_databases)]
async fn no_statement_appears_before_consistent_through(server: &TestServer) {
    let (accesses, second) = server_accesses(server).await;
    accesses[0].caller.post(PATH, &statement_with_id(&id(9, 0), "urn:first")).await.expect(200);
    let reads = repeat_while_writing(&accesses, async |n| {
        read_statements(&accesses[n % accesses.len()].caller).await
    })
    .await;
    let (_, all) = read_statements(&accesses[0].caller).await;
    assert!(reads.len() > 3, "there was something to see: {}", reads.len());
    for (through, results) in &reads {
        for (id, stored) in &all {
            assert!(
                stored > through || results.contains_key(id),
                "{id} was stored at {stored}, which was promised by {through}"
            );
        }
    }
    // Without writes, `Consistent-Through` follows the clock on every server. Later statements are stored
    // after it.
    for access in &accesses {
        let now =
            accesses.iter().map(|access| access.clock.now().micros()).max().expect("a clock") + 5_000_000;
        access.clock.set(Timestamp::from_micros(now));
        let (through, _) = read_statements(&access.caller).await;
        assert!(through.micros() >= now - 50_000 && through.micros() < now, "{through}");
    }
    let (through, _) = read_statements(&accesses[0].caller).await;
    let last = accesses.last().expect("a door");
    last.clock.set(Timestamp::from_micros(through.micros() - 60_000_000));
    last.caller.post(PATH, &statement_with_id(&id(9, 1), "urn:late")).await.expect(200);
    let (_, all) = read_statements(&accesses[0].caller).await;
    assert!(
        all[&id(9, 1)] > through,
        "a clock that lags breaks no promise: {} and {through}",
        all[&id(9, 1)]
    );
    if let Some(second) = second {
        drop(accesses);
        second.stop().await;
    }
}

#[apply(both_databases)]
async fn pages_have_no_gaps_or_duplicates_while_others_write(server: &TestServer) {
    let (accesses, second) = server_accesses(server).await;
    accesses[0].caller.post(PATH, &statement_with_id(&id(9, 0), "urn:first")).await.expect(200);
    let read_pages = async |caller: &Caller, queries: &str| {
        let mut ids = Vec::new();
        let mut next = format!("{PATH}?limit=7&{queries}");
        while !next.is_empty() {
            let page = caller.get(&next).await.expect(200).json();
            ids.extend(
                page["statements"]
                    .as_array()
                    .expect("statements")
                    .iter()
                    .map(|one| one["id"].as_str().expect("an id").to_owned()),
            );
            next = page["more"].as_str().expect("more").to_owned();
        }
        ids
    };
    let queries = [
        "ascending=true",
        "ascending=false",
        "activity=urn:a",
        "ascending=true&activity=urn:a&related_activities=true",
        "since=2000-01-01T00:00:00Z",
    ];
    let all_pages = repeat_while_writing(&accesses, async |n| {
        (
            queries[n % queries.len()],
            read_pages(&accesses[n % accesses.len()].caller, queries[n % queries.len()]).await,
        )
    })
    .await;
    assert!(all_pages.len() > 3, "there was something to walk: {}", all_pages.len());
    for (queries, ids) in all_pages {
        let all = read_pages(&accesses[0].caller, queries).await;
        let first = ids
            .first()
            .map(|first| all.iter().position(|id| id == first).expect("the first statement is in the list"));
        let expected: Vec<&String> = if queries.contains("ascending=true") {
            all.iter().take(ids.len()).collect()
        } else {
            all.iter().skip(first.unwrap_or(all.len())).collect()
        };
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{queries}");
    }
    if let Some(second) = second {
        drop(accesses);
        second.stop().await;
    }
}

/// Concurrent requests with the same id create one record and get the right status.
#[apply(both_databases)]
async fn concurrent_writes_with_one_id_create_one_record(server: &TestServer) {
    let (accesses, second) = server_accesses(server).await;
    for n in 0..12 {
        let put_statement = |(number, access): (usize, &ServerAccess)| {
            let object = if number % 2 == 0 { "urn:even" } else { "urn:odd" };
            let (caller, path) = (access.caller.clone(), format!("{PATH}?statementId={}", id(1, n)));
            async move { (object, caller.put(&path, &statement_with_id(&id(1, n), object)).await.status) }
        };
        let all = accesses.iter().cycle().take(8).enumerate().map(put_statement);
        let answers = futures_util::future::join_all(all).await;
        let stored =
            accesses[0].caller.get(&format!("{PATH}?statementId={}", id(1, n))).await.expect(200).json();
        for (object, status) in answers {
            let expected = if stored["object"]["id"] == object { 204 } else { 409 };
            assert_eq!(status, expected, "{object}, and {} is kept", stored["object"]["id"]);
        }
    }
    assert_eq!(read_statements(&accesses[0].caller).await.1.len(), 12);
    if let Some(second) = second {
        drop(accesses);
        second.stop().await;
    }
}
