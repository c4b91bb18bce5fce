//! Tests of `/v1/activities/stream`: new activities as Server-Sent Events.

mod limits;
mod replicas;
mod rights;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{activity, content, user};
use crate::support::events::{Events, STREAM};
use crate::support::http::Caller;
use crate::support::records::{list_ids, numbered_statement, voiding_statement};
use crate::support::{TestServer, apply, both_databases};

/// The manager `boss` over `mid` over `low`, and `far` beside them.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [
        user("root").set("role", "admin"),
        user("boss").set("role", "manager"),
        user("mid").set("manager", "boss"),
        user("low").set("manager", "mid").set("email", "low@example.org"),
        user("far"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    admin
}

/// Records an activity and returns its id.
async fn record(admin: &Caller, user: &str, action: &str) -> String {
    let created = admin.post("/v1/activities", &activity(user, action).set("content", "c1")).await;
    created.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

/// The activities of the log with the filter, in the order of the ids.
async fn listed_as(caller: &Caller, parameters: &str, ids: &[&str]) -> Vec<Value> {
    let listed = caller.list(&format!("/v1/activities?limit=1000{parameters}"), "activities").await;
    let find = |id: &&str| listed.iter().find(|one| one["id"] == **id).cloned();
    ids.iter().map(|id| find(id).unwrap_or_else(|| panic!("{id} is not in the log"))).collect()
}

#[apply(both_databases)]
async fn new_activities_come_as_the_log_shows_them(server: &TestServer) {
    let admin = set_up(server).await;
    record(&admin, "far", "viewed").await;
    let mut events = Events::open(&admin, STREAM).await;
    let first = events.next_block().await.expect("the stream goes on");
    assert_eq!((first.retry.as_deref(), first.name.as_deref()), (Some("3000"), Some("ready")));
    assert_eq!(first.data, None);
    let beginning: i64 = first.id.expect("the stream has a position at once").parse().expect("a number");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(events.header(name), Some(value));
    }
    let mut ids = Vec::new();
    for user in ["boss", "mid", "low"] {
        ids.push(record(&admin, user, "completed").await);
    }
    let response = "a line\nbreak ".repeat(3_000);
    let answered = activity("far", "answered").set("content", "c1").set("result.response", response);
    let answered = admin.post("/v1/activities", &answered).await.expect(201).json();
    ids.push(answered["id"].as_str().expect("an id").to_owned());
    let received = events.next_activities(4).await;
    assert_eq!(list_ids(&received), ids);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(received, listed_as(&admin, "", &ids).await);
    let last: i64 = events.last_id.expect("events have an id").parse().expect("a number");
    assert!(last > beginning);
}

#[apply(both_databases)]
async fn activity_comes_within_a_second(server: &TestServer) {
    let admin = set_up(server).await;
    let mut events = Events::open(&admin, STREAM).await;
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        record(&admin, "far", "viewed").await;
        let begin = Instant::now();
        events.next_activity().await;
        longest = longest.max(begin.elapsed());
        // The next one comes to a stream that waits.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[apply(both_databases)]
async fn filters_and_scopes_are_those_of_the_log(server: &TestServer) {
    let admin = set_up(server).await;
    let boss = server.person("manager", "boss");
    let credential = server.credential("acme", &["activities/read"]).await;
    let questions = [
        (&admin, ""),
        (&admin, "user=far"),
        (&admin, "action=completed"),
        (&admin, "action=visited"),
        (&admin, "type=quiz&user=low&user=far"),
        (&admin, "type=survey"),
        (&admin, "completed=true&latest=true"),
        (&admin, "period=today"),
        (&admin, "from=2030-01-01"),
        (&admin, "scope=managed"),
        (&admin, "origin=xapi"),
        (&boss, ""),
        (&boss, "scope=managed"),
        (&boss, "scope=managed&include_sub_managers=true"),
        (&boss, "scope=me"),
        (&boss, "user=far"),
        (&boss, "user=low&action=completed"),
        (&credential, ""),
        (&credential, "user=mid"),
    ];
    let mut streams = Vec::new();
    for (caller, parameters) in questions {
        streams.push(Events::open(caller, &format!("{STREAM}?{parameters}")).await);
    }
    for id in ["boss", "mid", "low", "far"] {
        record(&admin, id, "completed").await;
        record(&admin, id, "viewed").await;
    }
    let statement = json!({"actor": {"mbox": "mailto:nobody@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": "https://example.org/x"}});
    let writer = server.credential("acme", &["statements/write"]).await;
    writer.post("/xapi/statements", &statement).await.expect(200);
    // Everybody sees the last one, so that a stream is complete when it has come.
    for ((caller, parameters), events) in questions.iter().zip(&mut streams) {
        let expected =
            caller.list(&format!("/v1/activities?sort=happened_at&{parameters}"), "activities").await;
        let received = events.next_activities(expected.len()).await;
        let mut sorted = received.clone();
        sorted.sort_by_key(|one| expected.iter().position(|other| other["id"] == one["id"]));
        assert_eq!(sorted, expected, "{parameters}");
    }
}

#[apply(both_databases)]
async fn interrupted_stream_resumes_without_loss_or_repetition(server: &TestServer) {
    let admin = set_up(server).await;
    let mut events = Events::open(&admin, STREAM).await;
    events.next_block().await;
    let position = events.last_id.clone().expect("a position");
    drop(events);
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(record(&admin, ["mid", "far"][number % 2], "viewed").await);
    }
    let mut received = Vec::new();
    let mut last = position;
    // One event on each connection. The filter of a later one does not matter for the place.
    while received.len() < 6 {
        let mut events = Events::resume(&admin, STREAM, &last).await;
        received.push(events.next_activity().await);
        last = events.last_id.clone().expect("events have an id");
    }
    assert_eq!(list_ids(&received), ids);
    // By the parameter; the header counts if both are sent.
    let first = format!("{STREAM}?last_event_id=0");
    let mut events = Events::open(&admin, &first).await;
    assert_eq!(list_ids(&events.next_activities(6).await), ids);
    let mut events = Events::resume(&admin, &first, &last).await;
    let next = record(&admin, "far", "viewed").await;
    assert_eq!(events.next_activity().await["id"], *next);
}

#[apply(both_databases)]
async fn voided_activities_are_not_replayed(server: &TestServer) {
    let admin = set_up(server).await;
    let writer = server.credential("acme", &["all"]).await;
    let mut events = Events::open(&admin, STREAM).await;
    for number in 1..=3 {
        writer.post("/xapi/statements", &numbered_statement(number)).await.expect(200);
    }
    events.next_activities(3).await;
    writer.post("/xapi/statements", &voiding_statement(4, 2)).await.expect(200);
    writer.post("/xapi/statements", &numbered_statement(5)).await.expect(200);
    // The voiding is a row of the log, too.
    let after = events.next_activities(2).await;
    let mut replay = Events::resume(&admin, STREAM, "0").await;
    let replayed = replay.next_activities(4).await;
    assert_eq!(replayed[2..], after);
    let listed = admin.list("/v1/activities", "activities").await;
    assert_eq!(listed.len(), 4);
    assert!(replayed.iter().all(|one| listed.contains(one)));
}

#[apply(both_databases)]
async fn bad_requests_are_refused_before_the_stream_begins(server: &TestServer) {
    let admin = set_up(server).await;
    for bad in ["abc", "-1", "1.5", "+1", "9223372036854775808", "1 2", "٣"] {
        let refused = Events::try_open(&admin, STREAM, &[("last-event-id", bad)]).await;
        let parameters = refused.err().expect("refused").expect(400).error_parameters();
        assert!(parameters.contains("Last-Event-ID"), "{bad}");
    }
    for bad in [
        "last_event_id=abc",
        "last_event_id=-1",
        "sort=happened_at",
        "limit=5",
        "count=exact",
        "cursor=x",
        "nonsense=1",
        "token=abc",
        "access_token=abc",
        "user=",
    ] {
        admin.get(&format!("{STREAM}?{bad}")).await.expect(400);
    }
    admin.get(&format!("{STREAM}?last_event_id=")).await.expect(400);
    // An empty header is none, as some clients send it at first.
    let mut events = Events::resume(&admin, STREAM, "").await;
    assert!(events.next_block().await.expect("the stream goes on").id.is_some());
    server.anonymous().get(STREAM).await.expect(401);
    admin.post(STREAM, &json!({})).await.expect(405);
    let head = admin.send(Method::HEAD, STREAM, &[], Vec::new()).await.expect(200);
    assert_eq!((head.body.len(), head.header("content-type")), (0, Some("text/event-stream")));
}

#[apply(both_databases)]
async fn stream_of_an_organisation_without_records_waits_for_the_first(server: &TestServer) {
    let admin = server.person_of("fresh", json!({"sub": "root", "role": "admin"}));
    let mut events = Events::open(&admin, STREAM).await;
    assert_eq!(events.next_block().await.expect("the stream goes on").id.as_deref(), Some("0"));
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let created = admin.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201).json();
    assert_eq!(events.next_activity().await["id"], created["id"]);
}

#[apply(both_databases)]
async fn events_are_not_compressed(server: &TestServer) {
    let admin = set_up(server).await;
    let headers = [("accept-encoding", "gzip, br, zstd")];
    let Ok(mut events) = Events::try_open(&admin, STREAM, &headers).await else {
        panic!("the stream does not open");
    };
    assert_eq!(events.header("content-encoding"), None);
    let id = record(&admin, "far", "viewed").await;
    assert_eq!(events.next_activity().await["id"], *id);
}

#[apply(both_databases)]
async fn stream_is_read_with_http_1_0(server: &TestServer) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let admin = set_up(server).await;
    let token = crate::support::server::sign(
        &json!({"org": "acme", "sub": "root", "role": "admin", "exp": 4_000_000_000_i64}),
    );
    let address = server.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let request = format!("GET {STREAM} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("the server reads");
    let mut text = String::new();
    let mut recorded = None;
    while recorded.as_ref().is_none_or(|id| !text.contains(id)) {
        let mut piece = [0; 4096];
        let read = socket.read(&mut piece).await.expect("the server writes");
        assert!(read > 0, "the server closed the connection: {text}");
        text.push_str(std::str::from_utf8(&piece[..read]).expect("UTF-8"));
        if recorded.is_none() && text.contains("\r\n\r\nretry: ") {
            recorded = Some(record(&admin, "far", "viewed").await);
        }
    }
    assert!(!text.to_lowercase().contains("transfer-encoding"), "{text}");
}
