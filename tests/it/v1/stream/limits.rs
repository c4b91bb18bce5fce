//! The limits of streams: their number, what they replay, and how slowly they may be read.

use std::time::{Duration, Instant};

use rollbook::http::AppOptions;
use rollbook::live::LiveOptions;
use serde_json::{Value, json};

use super::{record, set_up};
use crate::support::builders::activity;
use crate::support::events::{Events, STREAM};
use crate::support::http::Caller;
use crate::support::records::list_ids;
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

fn with_streams(streams: LiveOptions) -> AppOptions {
    AppOptions { streams, ..AppOptions::default() }
}

async fn check_numbers(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("learner", "far");
    let bo = server.person("learner", "low");
    let first = Events::open(&ada, STREAM).await;
    let _second = Events::open(&ada, STREAM).await;
    let refused = ada.get(STREAM).await.expect(429);
    assert_eq!(
        (refused.header("retry-after"), refused.json()["code"].as_str()),
        (Some("10"), Some("too-many-requests"))
    );
    // HEAD opens no stream, and other requests are not concerned.
    ada.send(reqwest::Method::HEAD, STREAM, &[], Vec::new()).await.expect(200);
    ada.get("/v1/activities/export.csv").await.expect(200);
    let _third = Events::open(&bo, STREAM).await;
    let refused = bo.get(STREAM).await.expect(503);
    assert_eq!(refused.header("retry-after"), Some("10"));
    let other = server.person_of("other", json!({"sub": "far", "role": "admin"}));
    let _fourth = Events::open(&other, STREAM).await;
    other.get(STREAM).await.expect(503);
    drop(first);
    // The server notices at the next heartbeat that the client has gone.
    let until = Instant::now() + Duration::from_secs(10);
    while Events::try_open(&ada, STREAM, &[]).await.is_err() {
        assert!(Instant::now() < until, "the closed stream still counts");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn number_of_streams_is_limited() {
    let limits = LiveOptions {
        streams: 4,
        streams_per_organisation: 3,
        streams_per_caller: 2,
        heartbeat: Duration::from_millis(100),
        ..LiveOptions::default()
    };
    run_with(Database::sqlite(), with_streams(limits), check_numbers);
}

async fn check_heartbeats(server: &TestServer) {
    let admin = set_up(server).await;
    let far = server.person("learner", "far");
    let mut events = Events::open(&far, STREAM).await;
    assert_eq!(events.next_comment().await, "heartbeat");
    let position = events.last_id.clone().expect("a position");
    // Records that are not for this stream move its position.
    record(&admin, "boss", "viewed").await;
    while events.last_id.as_ref() == Some(&position) {
        assert_eq!(events.next_comment().await, "heartbeat");
    }
    let moved: i64 = events.last_id.clone().expect("a position").parse().expect("a number");
    assert!(moved > position.parse().expect("a number"));
}

#[test]
fn heartbeats_come_while_nothing_happens() {
    let limits = LiveOptions { heartbeat: Duration::from_millis(100), ..LiveOptions::default() };
    for database in [Database::sqlite(), Database::postgres()] {
        run_with(database, with_streams(limits.clone()), check_heartbeats);
    }
}

async fn check_replay(server: &TestServer) {
    let admin = set_up(server).await;
    let mut all = Events::open(&admin, STREAM).await;
    let (mut ids, mut positions) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        ids.push(record(&admin, "far", "viewed").await);
        all.next_activity().await;
        positions.push(all.last_id.clone().expect("events have an id"));
    }
    let head: i64 = positions[11].parse().expect("a number");
    let far = server.person("learner", "far");
    for caller in [&admin, &far] {
        let mut replayed = Events::resume(caller, STREAM, &positions[1]).await;
        let replayed = replayed.next_activities(10).await;
        assert_eq!(list_ids(&replayed), ids[ids.len() - 10..]);
    }
    // One record more, and a position that was never given.
    let ahead = [head + 1, i64::MAX].map(|position| position.to_string());
    for position in [positions[0].as_str(), "0", ahead[0].as_str(), ahead[1].as_str()] {
        let mut reset = Events::resume(&admin, STREAM, position).await;
        let event = reset.next().await.expect("the stream goes on");
        assert_eq!((event.name.as_deref(), event.id), (Some("reset"), Some(head.to_string())));
        assert_eq!(event.data, Some(json!({"position": head})));
        assert_eq!(reset.last_id, Some(head.to_string()));
        drop(reset);
    }
    let mut reset = Events::resume(&admin, STREAM, "0").await;
    assert_eq!(reset.next().await.expect("the stream goes on").name.as_deref(), Some("reset"));
    let next = record(&admin, "far", "viewed").await;
    assert_eq!(reset.next_activity().await["id"], *next, "the stream goes on after the reset");
}

#[test]
fn replay_is_bounded() {
    let limits = LiveOptions { replay_records: 10, ..LiveOptions::default() };
    for database in [Database::sqlite(), Database::postgres()] {
        run_with(database, with_streams(limits.clone()), check_replay);
    }
}

/// Records activities with large responses and returns their ids.
async fn record_large(admin: &Caller, batches: usize) -> Vec<Value> {
    let response = "x".repeat(40_000);
    let mut ids = Vec::new();
    for _ in 0..batches {
        let one = activity("far", "answered").set("content", "c1").set("result.response", response.as_str());
        let created = admin.post("/v1/activities/batch", &vec![one; 100]).await.expect(201).json();
        ids.extend(created["ids"].as_array().expect("ids").clone());
    }
    ids
}

async fn check_slow_reader(server: &TestServer) {
    let admin = set_up(server).await;
    let mut quick = Events::open(&admin, STREAM).await;
    let mut slow = Events::open(&admin, STREAM).await;
    let far = server.person("learner", "far");
    let mut narrow = Events::open(&far, &format!("{STREAM}?action=completed")).await;
    slow.next_block().await;
    // 40 MB of events, of which the slow reader reads nothing while the others do.
    let reading = async {
        let mut ids = Vec::new();
        while ids.len() < 1_000 {
            ids.push(quick.next_activity().await["id"].clone());
        }
        ids
    };
    let (ids, received) = tokio::join!(record_large(&admin, 10), reading);
    assert_eq!(received, ids);
    let completed = record(&admin, "far", "completed").await;
    assert_eq!(narrow.next_activity().await["id"], *completed);
    // When it reads, it gets everything once: it has lost nothing and was sent nothing twice.
    let mut late = Vec::new();
    while late.len() < 1_000 {
        late.push(slow.next_activity().await["id"].clone());
    }
    assert_eq!(late, ids);
    assert_eq!(slow.next_activity().await["id"], *completed);
}

#[apply(both_databases)]
async fn slow_reader_delays_nobody_and_loses_nothing(server: &TestServer) {
    check_slow_reader(server).await;
}

async fn check_too_slow_reader(server: &TestServer) {
    let admin = set_up(server).await;
    let mut slow = Events::open(&admin, STREAM).await;
    slow.next_block().await;
    // The large ones fill the buffers of the connection. Then come more records than twice the least that is replayed.
    let mut ids = record_large(&admin, 8).await;
    for _ in 0..25 {
        let one = activity("far", "viewed").set("content", "c1");
        let created = admin.post("/v1/activities/batch", &vec![one; 100]).await.expect(201).json();
        ids.extend(created["ids"].as_array().expect("ids").clone());
    }
    let mut received = 0;
    loop {
        let Some(block) = slow.next_block().await else { break };
        if let Some(data) = block.data {
            assert_eq!(data["id"], ids[received], "in order, without a gap");
            received += 1;
        } else if let Some(comment) = block.comment {
            assert!(comment.contains("too slowly"), "{comment}");
        }
        if received == ids.len() {
            panic!("the slow reader was never cut");
        }
    }
    let last = slow.last_id.clone().expect("a position");
    let mut again = Events::resume(&admin, STREAM, &last).await;
    assert_eq!(again.next().await.expect("the stream goes on").name.as_deref(), Some("reset"));
}

#[test]
fn reader_that_falls_behind_is_cut() {
    let limits = LiveOptions { replay_records: 100, buffer_bytes: 16 * 1024, ..LiveOptions::default() };
    run_with(Database::sqlite(), with_streams(limits), check_too_slow_reader);
}

#[apply(both_databases)]
async fn stopping_server_ends_streams_at_once(server: &TestServer) {
    set_up(server).await;
    let replica = server.start_replica().await;
    let mut events = Events::open(&replica.person("admin", "root"), STREAM).await;
    events.next_block().await;
    let begin = Instant::now();
    let (reason, ()) = tokio::join!(events.end(), replica.stop());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(reason.expect("a reason").contains("stopping"));
}
