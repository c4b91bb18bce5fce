//! Two replicas on one PostgreSQL, with concurrent writers, and one of them killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{record, set_up};
use crate::support::builders::{Body, activity, content, user};
use crate::support::events::{Events, STREAM};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::server::{run, sign};
use crate::support::{Database, TestServer};

async fn check_other_replica(server: &TestServer) {
    let admin = set_up(server).await;
    let replica = server.start_replica().await;
    let mut events = Events::open(&replica.person("admin", "root"), STREAM).await;
    for _ in 0..5 {
        let id = record(&admin, "far", "viewed").await;
        let event = tokio::time::timeout(Duration::from_secs(1), events.next_activity()).await;
        assert_eq!(event.expect("it comes within a second")["id"], *id);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(events);
    replica.stop().await;
}

#[test]
fn activity_of_another_replica_comes_within_a_second() {
    run(Database::postgres(), check_other_replica);
}

fn caller(process: &Process, role: &str, user: &str) -> Caller {
    let claims = json!({"sub": user, "org": "acme", "role": role, "exp": 4_000_000_000_i64});
    Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&sign(&claims))
}

/// Writes batches until it is told to stop. The server may be killed meanwhile.
async fn write(writer: Caller, user: String, stop: Arc<AtomicBool>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let actions = ["viewed", "completed", "failed"];
        let one = |index: usize| activity(&user, actions[(number + index) % 3]).set("content", "c1");
        let batch: Vec<Body> = (0..1 + number % 7).map(one).collect();
        let path = "/v1/activities/batch";
        // A killed server answers nothing, which the client of the tests takes for a failed test.
        let writing = tokio::spawn({
            let writer = writer.clone();
            async move { writer.post(path, &batch).await.status }
        });
        if !matches!(writing.await, Ok(201)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Reads a stream over all interruptions until it is told to stop, and then until nothing more comes.
async fn follow(callers: Vec<Caller>, parameters: &str, stop: Arc<AtomicBool>) -> Vec<Value> {
    let path = format!("{STREAM}?{parameters}");
    let (mut received, mut last, mut attempt) = (Vec::new(), "0".to_owned(), 0);
    loop {
        let caller = &callers[attempt % callers.len()];
        attempt += 1;
        let opening = tokio::spawn({
            let (caller, path, last) = (caller.clone(), path.clone(), last.clone());
            async move { Events::resume(&caller, &path, &last).await }
        });
        let Ok(mut events) = opening.await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Every connection is left after some events, at any place.
        let most = 5 + attempt * 37 % 200;
        for _ in 0..most {
            let next = tokio::time::timeout(Duration::from_millis(1_500), events.next()).await;
            match next {
                Ok(Some(event)) => {
                    assert_eq!(event.name.as_deref(), Some("activity"));
                    received.push(event.data.expect("data"));
                    last = events.last_id.clone().expect("an id");
                }
                Ok(None) => break,
                Err(_) if stop.load(Ordering::Relaxed) => return received,
                Err(_) => {}
            }
        }
    }
}

async fn check_killed_replica(database: &Database) {
    let start = || Process::start(serve(database));
    let (surviving, killed) = (start(), start());
    let admin = caller(&surviving, "admin", "root");
    let mut users = vec![user("boss").set("role", "manager")];
    users.extend((0..4).map(|number| user(&format!("u{number}")).set("manager", "boss")));
    users.extend((4..6).map(|number| user(&format!("u{number}"))));
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);

    let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut writers = Vec::new();
    for number in 0..6 {
        let process = [&surviving, &killed][number % 2];
        let writer = caller(process, "admin", "root");
        writers.push(tokio::spawn(write(writer, format!("u{number}"), Arc::clone(&stop))));
    }
    let readers = [
        ("admin", "root", ""),
        ("admin", "root", "action=completed"),
        ("manager", "boss", ""),
        ("learner", "u1", ""),
        ("learner", "u5", "completed=true"),
    ];
    let mut following = Vec::new();
    for (role, id, parameters) in readers {
        let both = vec![caller(&killed, role, id), caller(&surviving, role, id)];
        following.push(tokio::spawn(follow(both, parameters, Arc::clone(&stopped))));
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    drop(killed); // SIGKILL
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    stopped.store(true, Ordering::Relaxed);
    for ((role, id, parameters), following) in readers.into_iter().zip(following) {
        let received = following.await.expect("the reader ends");
        let reader = caller(&surviving, role, id);
        let listed = reader.list(&format!("/v1/activities?limit=1000&{parameters}"), "activities").await;
        let ids: BTreeSet<&str> = received.iter().map(|one| one["id"].as_str().expect("an id")).collect();
        assert_eq!(ids.len(), received.len(), "nothing comes twice to {id}");
        let expected: BTreeSet<&str> = listed.iter().map(|one| one["id"].as_str().expect("an id")).collect();
        assert!(!expected.is_empty(), "{id} has activities");
        assert_eq!(ids, expected, "{id} gets what the log shows");
        for event in received.iter().rev().take(50) {
            assert!(listed.contains(event), "an event is not as in the log: {event}");
        }
    }
}

#[test]
fn streams_show_what_the_log_shows_while_a_replica_is_killed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let database = Database::postgres();
        database.create().await;
        check_killed_replica(&database).await;
        database.delete().await;
    });
}
