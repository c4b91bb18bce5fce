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
