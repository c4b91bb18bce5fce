//! What is true while several write at once (contract section 10): nothing appears at a moment that was promised to
//! be complete, no page skips or repeats, and one id is one record.
//!
//! On PostgreSQL two replicas write and are read, each with a clock of its own that goes as it likes; on
//! SQLite it is one server, which has its file to itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rollbook::base::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::support::builders::mailbox;
use crate::support::http::Caller;
use crate::support::{Database, TestServer, apply, both_databases};

const PATH: &str = "/xapi/statements";
const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const WRITERS: usize = 4;
const WRITES: usize = 40;

fn one(id: &str, object: &str) -> Value {
    json!({"id": id, "actor": mailbox("ada@example.org"), "verb": {"id": COMPLETED}, "object": {"id": object}})
}

fn id(writer: usize, n: usize) -> String {
    format!("00000000-0000-4000-{:04}-{n:012}", 8000 + writer)
}

/// A way in: a server, somebody who may write and read all, and the server's clock.
struct Door {
    caller: Caller,
    clock: Clock,
}

/// The ways in that there are, and the second server where there is one.
async fn doors(server: &TestServer) -> (Vec<Door>, Option<TestServer>) {
    let second = match server.database() {
        Database::Sqlite { .. } => None,
        Database::Postgres { .. } => Some(server.start_replica().await),
    };
    let door =
        |server: &TestServer| Door { caller: server.person("admin", "root"), clock: server.clock.clone() };
    let doors = std::iter::once(server).chain(&second).map(door).collect();
    (doors, second)
}

/// Moves a clock, mostly forward: one that is set back must break nothing.
fn tick(clock: &Clock, n: usize) {
    let step = [3, 11, 0, 27, -9, 1, 40][n % 7];
    clock.set(Timestamp::from_micros(clock.now().micros() + step * 1_000));
}

/// Writes one after the other, singly and in batches, some of them never to be kept.
async fn write(door: &Door, writer: usize) {
    for n in 0..WRITES {
        tick(&door.clock, n + writer);
        let mut batch = vec![one(&id(writer, n), "urn:a")];
        if n % 5 == 0 {
            batch.push(one(&id(writer, n + 1_000), "urn:b"));
        }
        if n % 7 == 3 {
            // Refused when it has begun to write: the id is another record's.
            batch.push(one(&id(writer, 0), "urn:other"));
            door.caller.post(PATH, &batch).await.expect(409);
        } else {
            door.caller.post(PATH, &batch).await.expect(200);
        }
    }
}

fn moment(text: &str) -> Timestamp {
    let at = chrono::DateTime::parse_from_rfc3339(text).expect("a moment");
    Timestamp::from_micros(at.timestamp_micros())
}

/// What can be read, with the time of storing, and through when it is promised to be complete.
async fn look(caller: &Caller) -> (Timestamp, BTreeMap<String, Timestamp>) {
    let answer = caller.get(&format!("{PATH}?limit=1000")).await.expect(200);
    let through = answer.header("x-experience-api-consistent-through").expect("a promise");
    let through = moment(through);
    let page = answer.json();
    assert_eq!(page["more"], "", "all on one page");
    let statements = page["statements"].as_array().expect("statements").iter();
    let stored = |one: &Value| {
        let text = |name: &str| one[name].as_str().expect("text").to_owned();
        (text("id"), moment(&text("stored")))
    };
    (through, statements.map(stored).collect())
}

/// Does something again and again until all writers have finished.
async fn while_writing<T>(doors: &[Door], mut read: impl AsyncFnMut(usize) -> T) -> Vec<T> {
    let done = AtomicBool::new(false);
    let writers = (0..WRITERS).map(|writer| write(&doors[writer % doors.len()], writer));
    let writing = async {
        futures_util::future::join_all(writers).await;
        done.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let mut seen = Vec::new();
        while !done.load(Ordering::Relaxed) {
            seen.push(read(seen.len()).await);
        }
        seen
    };
    futures_util::future::join(writing, reading).await.1
}

#[apply(both_databases)]
async fn nothing_appears_within_what_was_promised(server: &TestServer) {
    let (doors, second) = doors(server).await;
    doors[0].caller.post(PATH, &one(&id(9, 0), "urn:first")).await.expect(200);
    let looks = while_writing(&doors, async |n| look(&doors[n % doors.len()].caller).await).await;
    let (_, all) = look(&doors[0].caller).await;
    assert!(looks.len() > 3, "there was something to see: {}", looks.len());
    for (through, seen) in &looks {
        for (id, stored) in &all {
            assert!(
                stored > through || seen.contains_key(id),
                "{id} was stored at {stored}, which was promised by {through}"
            );
        }
    }
    // Idle, the promise follows the clock, whichever replica is asked, and what is written then is after it.
    for door in &doors {
        let now = doors.iter().map(|door| door.clock.now().micros()).max().expect("a clock") + 5_000_000;
        door.clock.set(Timestamp::from_micros(now));
        let (through, _) = look(&door.caller).await;
        assert!(through.micros() >= now - 50_000 && through.micros() < now, "{through}");
    }
    let (through, _) = look(&doors[0].caller).await;
    let last = doors.last().expect("a door");
    last.clock.set(Timestamp::from_micros(through.micros() - 60_000_000));
    last.caller.post(PATH, &one(&id(9, 1), "urn:late")).await.expect(200);
    let (_, all) = look(&doors[0].caller).await;
    assert!(
        all[&id(9, 1)] > through,
        "a clock that lags breaks no promise: {} and {through}",
        all[&id(9, 1)]
    );
    if let Some(second) = second {
        drop(doors);
        second.stop().await;
    }
}

#[apply(both_databases)]
async fn pages_neither_skip_nor_repeat_while_others_write(server: &TestServer) {
    let (doors, second) = doors(server).await;
    doors[0].caller.post(PATH, &one(&id(9, 0), "urn:first")).await.expect(200);
    let walk = async |caller: &Caller, asked: &str| {
        let mut ids = Vec::new();
        let mut next = format!("{PATH}?limit=7&{asked}");
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
    let asked = [
        "ascending=true",
        "ascending=false",
        "activity=urn:a",
        "ascending=true&activity=urn:a&related_activities=true",
        "since=2000-01-01T00:00:00Z",
    ];
    let walks = while_writing(&doors, async |n| {
        (asked[n % asked.len()], walk(&doors[n % doors.len()].caller, asked[n % asked.len()]).await)
    })
    .await;
    assert!(walks.len() > 3, "there was something to walk: {}", walks.len());
    for (asked, ids) in walks {
        let all = walk(&doors[0].caller, asked).await;
        let first =
            ids.first().map(|first| all.iter().position(|id| id == first).expect("it is still there"));
        let expected: Vec<&String> = if asked.contains("ascending=true") {
            all.iter().take(ids.len()).collect()
        } else {
            all.iter().skip(first.unwrap_or(all.len())).collect()
        };
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{asked}");
    }
    if let Some(second) = second {
        drop(doors);
        second.stop().await;
    }
}

/// Two requests that put the same id at once: one record, the right answers.
#[apply(both_databases)]
async fn one_id_is_one_record(server: &TestServer) {
    let (doors, second) = doors(server).await;
    for n in 0..12 {
        let put = |(number, door): (usize, &Door)| {
            let object = if number % 2 == 0 { "urn:even" } else { "urn:odd" };
            let (caller, path) = (door.caller.clone(), format!("{PATH}?statementId={}", id(1, n)));
            async move { (object, caller.put(&path, &one(&id(1, n), object)).await.status) }
        };
        let all = doors.iter().cycle().take(8).enumerate().map(put);
        let answers = futures_util::future::join_all(all).await;
        let stored =
            doors[0].caller.get(&format!("{PATH}?statementId={}", id(1, n))).await.expect(200).json();
        for (object, status) in answers {
            let expected = if stored["object"]["id"] == object { 204 } else { 409 };
            assert_eq!(status, expected, "{object}, and {} is kept", stored["object"]["id"]);
        }
    }
    assert_eq!(look(&doors[0].caller).await.1.len(), 12);
    if let Some(second) = second {
        drop(doors);
        second.stop().await;
    }
}
