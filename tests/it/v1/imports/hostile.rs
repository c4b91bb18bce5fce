//! Hostile files stay bounded, and do not harm others.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::support::Database;
use crate::support::server::{run_with, sign};
use rollbook::http::AppOptions;
use rollbook::imports::ImportLimits;

#[apply(both_databases)]
async fn hostile_rows_are_rejected_one_by_one(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let long = "x".repeat(2 * 1024 * 1024);
    let mut text = b"user,action,content,happened_at,result.response\n".to_vec();
    for row in [
        "bo,started,fire,2026-01-01T00:00:00Z,a\0b",
        &format!("bo,started,fire,2026-01-01T00:00:00Z,{long}"),
        &format!("bo,started,fire,2026-01-01T00:00:00Z,\"{long}\n{long}\""),
        "\"=cmd|' /C calc'!A0\",started,fire,2026-01-01T00:00:00Z,",
        "bo,started,fire,9999-12-31T23:59:59Z,",
        "bo,started,fire,2026-01-01T00:00:00Z,good",
    ] {
        text.extend_from_slice(row.as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(
        b"bo,started,fire,2026-01-01T00:00:00Z,\xff\xfe\nbo,started,fire,2026-01-01T00:00:00Z,\"open\n",
    );
    let done = import(&admin, "", "text/csv", text).await;
    assert_eq!(counts(&done), [8, 1, 0, 7], "{done}");
    let (_, rows) = errors(&admin, &done).await;
    let lines: Vec<&str> = rows.iter().map(|row| row[5].as_str()).collect();
    assert_eq!(lines, ["2", "3", "4", "6", "7", "9", "10"]);
    assert!(rows[3][0].starts_with("'=cmd"), "{:?}", rows[3]);
    let text = format!(
        "{{\"user\":\"bo\"\n[[[[\n{}\n{{\"user\":\"bo\",\"action\":\"started\",\"action\":\"started\"}}\n\0\n",
        "[".repeat(100_000)
    );
    let done = import(&admin, "?format=ndjson", "application/octet-stream", text).await;
    assert_eq!(counts(&done), [5, 0, 0, 5], "{done}");
}

/// Runs a test with small limits.
fn with_limits(database: Database, limits: ImportLimits, test: impl AsyncFnOnce(&TestServer)) {
    run_with(database, AppOptions { imports: limits, ..AppOptions::default() }, test);
}

async fn limits_end_an_import(server: &TestServer) {
    let admin = admin_of_some(server).await;
    // A gzip bomb.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"user,action\n").expect("compressed");
    for _ in 0..50 {
        encoder.write_all(&vec![b'\n'; 1024 * 1024]).expect("compressed");
    }
    let bomb = encoder.finish().expect("compressed");
    assert!(bomb.len() < 100_000);
    let failed = import(&admin, "", "application/gzip", bomb).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.contains("uncompressed")), "{failed}");
    // Only bad rows.
    let mut text = "user,action\n".to_owned();
    (0..20_000).for_each(|number| text.push_str(&format!("nobody{number},started\n")));
    let failed = import(&admin, "", "text/csv", text).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["rejected"].as_i64() < Some(10_000), "{failed}");
    // The file is too large, also without a declared length.
    let large = format!("user,action\n{}", "bo,started\n".repeat(200_000));
    let answer = send(&admin, "", "text/csv", large).await.expect(413);
    assert_eq!(answer.json()["code"], "body-too-large");
    let ordinary = import(&admin, "", "text/csv", ROWS).await;
    assert_eq!(counts(&ordinary), [2, 2, 0, 0]);
}

async fn full_queue_takes_no_further_bytes(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let large = format!("user,action\n{}", "bo,started\n".repeat(200_000));
    let refused = send(&admin, "", "text/csv", large).await.expect(409).json();
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("100000 bytes")), "{refused}");
    assert_eq!(counts(&import(&admin, "", "text/csv", ROWS).await), [2, 2, 0, 0]);
    // Uploads that have not ended count, too.
    let upload = "UPDATE imports SET status = 0, cleanup_at = 9000000000000000";
    assert_eq!(server.database().execute(upload).await, 1);
    send(&admin, "", "text/csv", format!("{ROWS}\n")).await.expect(409);
}

fn full() -> ImportLimits {
    ImportLimits { max_waiting: 1, max_waiting_bytes: 100_000, ..ImportLimits::default() }
}

#[test]
fn full_queue_takes_no_further_bytes_on_sqlite() {
    with_limits(Database::sqlite(), full(), full_queue_takes_no_further_bytes);
}

#[test]
fn full_queue_takes_no_further_bytes_on_postgres() {
    with_limits(Database::postgres(), full(), full_queue_takes_no_further_bytes);
}

#[apply(both_databases)]
async fn rejected_rows_are_deleted_after_their_time(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let mut text = "user,action\n".to_owned();
    (0..450).for_each(|number| text.push_str(&format!("nobody{number},started\n")));
    let done = import(&admin, "", "text/csv", text).await;
    let path = format!("/v1/imports/{}", done["id"].as_str().expect("an id"));
    let errors = done["errors"].as_str().expect("rejected rows");
    admin.get(errors).await.expect(200);
    server.database().execute("UPDATE imports SET finished_at = 1, cleanup_at = 1").await;
    while server.database().query_number("SELECT count(*) FROM import_errors").await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let later = admin.get(&path).await.expect(200).json();
    assert_eq!((&later["errors"], &later["rejected"]), (&json!(null), &json!(450)));
    admin.get(errors).await.expect(404);
}

/// A compressed file has no place at which reading can continue, so each turn reads it from its begin.
async fn compressed_file_goes_on_after_each_turn(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"user,action,content,happened_at\n").expect("compressed");
    for number in 0..900 {
        let time = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        writeln!(encoder, "bo,started,fire,{time}").expect("compressed");
    }
    let sent = send(&admin, "", "application/gzip", encoder.finish().expect("compressed")).await;
    let id = sent.expect(202).json()["id"].as_str().expect("an id").to_owned();
    let claims = json!({"sub": "root", "org": "other", "role": "owner", "exp": 4_000_000_000_i64});
    let other = server.anonymous().with_token(&sign(&claims));
    for number in 0..3 {
        let text = format!("user.email,action\nbo{number}@example.org,logged_in\n");
        assert_eq!(counts(&import(&other, "", "text/csv", text).await), [1, 1, 0, 0]);
    }
    assert_eq!(counts(&wait_until_ended(&admin, &id).await), [900, 900, 0, 0]);
}

fn short_turns() -> ImportLimits {
    ImportLimits { workers: 1, step_rows: 30, turn: Duration::from_millis(1), ..ImportLimits::default() }
}

#[test]
fn compressed_file_goes_on_after_each_turn_on_sqlite() {
    with_limits(Database::sqlite(), short_turns(), compressed_file_goes_on_after_each_turn);
}

#[test]
fn compressed_file_goes_on_after_each_turn_on_postgres() {
    with_limits(Database::postgres(), short_turns(), compressed_file_goes_on_after_each_turn);
}

fn small() -> ImportLimits {
    ImportLimits {
        max_bytes: 1024 * 1024,
        max_uncompressed_bytes: 10 * 1024 * 1024,
        max_rejected_bytes: 100_000,
        ..ImportLimits::default()
    }
}

#[test]
fn limits_end_an_import_on_sqlite() {
    with_limits(Database::sqlite(), small(), limits_end_an_import);
}

#[test]
fn limits_end_an_import_on_postgres() {
    with_limits(Database::postgres(), small(), limits_end_an_import);
}

#[apply(both_databases)]
async fn import_delays_neither_others_nor_its_own_organisation(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let mut text = "user,action,content,happened_at\n".to_owned();
    for number in 0..30_000 {
        text.push_str(&format!(
            "bo,started,fire,2026-01-01T{:02}:{:02}:{:02}.{:03}Z\n",
            number / 3_600,
            number / 60 % 60,
            number % 60,
            number % 1_000
        ));
    }
    let sent = send(&admin, "", "text/csv", text).await.expect(202).json();
    let path = format!("/v1/imports/{}", sent["id"].as_str().expect("an id"));
    // The import of another organisation ends first, and writes of this one are answered meanwhile.
    let claims = json!({"sub": "root", "org": "other", "role": "owner", "exp": 4_000_000_000_i64});
    let other = server.anonymous().with_token(&sign(&claims));
    let row = json!({"user": "bo", "action": "viewed", "content": "fire"});
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let begin = std::time::Instant::now();
        admin.post("/v1/activities", &row).await.expect(201);
        longest = longest.max(begin.elapsed());
    }
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let done = import(&other, "", "text/csv", "user.email,action\nbo@example.org,logged_in\n").await;
    assert_eq!(counts(&done), [1, 1, 0, 0]);
    let running = admin.get(&path).await.expect(200).json();
    assert_eq!(running["status"], "running", "{running}");
    admin.delete(&path).await.expect(200);
}
