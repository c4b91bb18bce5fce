//! Forms of files: compression, encodings, delimiters, headings, limits of a request.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn utf_16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[apply(both_databases)]
async fn each_form_of_a_file_is_read(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let csv = |number: u32, delimiter: &str, line_end: &str| {
        let row = format!("bo,started,fire,2026-01-{number:02}T00:00:00Z,\"é \"\"x\"\" \ny\"");
        format!("user,action,content,happened_at,result.response{line_end}{row}{line_end}")
            .replace(',', delimiter)
    };
    let latin: Vec<u8> = csv(4, ",", "\n").chars().map(|c| u8::try_from(c as u32).expect("latin")).collect();
    let json = r#"[{"user":"bo","action":"started","content":"fire","happened_at":"2026-01-09T00:00:00Z","result":{"response":"é \"x\" \ny"}}]"#;
    for (query, media_type, body) in [
        ("", "text/csv", csv(1, ",", "\r\n").into_bytes()),
        ("", "text/csv; charset=utf-8", format!("\u{feff}{}", csv(2, ";", "\r\n")).into_bytes()),
        ("", "text/csv", utf_16(&csv(3, "\t", "\r\n"))),
        ("?encoding=windows-1252", "text/csv", latin),
        ("", "application/gzip", gzip(csv(5, ",", "\n").as_bytes())),
        ("?format=csv&delimiter=semicolon", "application/gzip", gzip(csv(6, ";", "\n").as_bytes())),
        ("", "text/csv", format!("{},,,,\n  \n", csv(7, ",", "\n")).into_bytes()),
        ("", "text/csv", csv(8, ",", "\r").into_bytes()),
        ("", "application/gzip", gzip(json.as_bytes())),
        ("", "application/octet-stream", json.replace("01-09", "01-10").into_bytes()),
    ] {
        let done = import(&admin, query, media_type, body).await;
        assert_eq!(counts(&done), [1, 1, 0, 0], "{query} {media_type}: {done}");
    }
    let rows = admin.list("/v1/activities", "activities").await;
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["result"]["response"] == "é \"x\" \ny"));
    let headers = [("content-type", "text/csv"), ("content-encoding", "gzip")];
    let body = gzip(csv(11, ",", "\n").as_bytes());
    let sent = admin.send(Method::POST, "/v1/imports", &headers, body).await.expect(202).json();
    let done = wait_until_ended(&admin, sent["id"].as_str().expect("an id")).await;
    assert_eq!(counts(&done), [1, 1, 0, 0]);
}

#[apply(both_databases)]
async fn row_with_half_a_character_is_rejected(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let row = |number: u32| format!("bo,started,fire,2026-01-{number:02}T00:00:00Z,");
    let mut bytes = utf_16(&format!("user,action,content,happened_at,result.response\n{}", row(1)));
    bytes.extend_from_slice(&0xd83d_u16.to_le_bytes());
    bytes.extend_from_slice(&utf_16(&format!("\n{}\u{fffd}\n", row(2)))[2..]);
    let done = import(&admin, "", "text/csv", bytes).await;
    assert_eq!(counts(&done), [2, 1, 0, 1], "{done}");
    let (_, rows) = errors(&admin, &done).await;
    assert_eq!(rows[0][5], "2", "{rows:?}");
    assert!(rows[0][7].contains("encoding"), "{rows:?}");
}

#[apply(both_databases)]
async fn wrong_request_is_refused_and_stores_nothing(server: &TestServer) {
    let admin = admin_of_some(server).await;
    for (query, media_type, body, word) in [
        ("", "text/csv", "", "empty"),
        ("", "text/csv", " \n ", "empty"),
        ("", "text/csv", "user,acton,happened_at\n", "write `action`"),
        ("", "text/csv", "user,wonderful\n", "`wonderful`"),
        ("", "text/csv", "user,action,User \n", "twice"),
        ("", "text/csv", "user,,action\n", "no heading"),
        ("", "text/csv", "\"user,action\n", "no row with headings"),
    ] {
        let answer = send(&admin, query, media_type, body).await.expect(400);
        let detail = answer.json()["errors"][0]["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(word), "{body}: {detail}");
    }
    for (query, name) in [
        ("?format=xml", "format"),
        ("?mapping=nothing", "mapping"),
        ("?mapping=moodle_log", "mapping"),
        ("?time_zone=Europe/London", "mapping"),
        ("?nonsense=1", "nonsense"),
        ("?mapping=%7B%22columns%22%3A%7B%22a%22%3A%22b%22%7D%7D", "mapping"),
        ("?mapping=%7B%22special%22%3A%22learn_amp%22%7D", "mapping"),
    ] {
        let answer = send(&admin, query, "text/csv", ROWS).await.expect(400);
        assert!(answer.error_parameters().contains(name), "{query}");
    }
    send(&admin, "", "application/xml", ROWS).await.expect(415);
    let headers = [("content-type", "text/csv"), ("content-encoding", "br")];
    admin.send(Method::POST, "/v1/imports", &headers, ROWS.into()).await.expect(415);
    assert_eq!(admin.list("/v1/imports", "imports").await, Vec::<Value>::new());
    // Only headings are a file without rows.
    let done = import(&admin, "", "text/csv", "user,action,happened_at\n").await;
    assert_eq!((done["status"].as_str(), counts(&done)), (Some("done"), [0; 4]));
}

#[apply(both_databases)]
async fn template_is_a_file_without_rows(server: &TestServer) {
    let admin = server.person("owner", "root");
    let template = admin.get("/v1/imports/template.csv").await.expect(200);
    let (headings, rows) = template.csv();
    assert!(headings.contains(&"result.score".to_owned()) && rows.is_empty());
    let done = import(&admin, "", "text/csv", template.body).await;
    assert_eq!((done["status"].as_str(), counts(&done)), (Some("done"), [0; 4]));
}

#[apply(both_databases)]
async fn cancelled_import_records_nothing_further(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let mut text = "user,action,content,happened_at\n".to_owned();
    for number in 0..20_000 {
        text.push_str(&format!(
            "bo,started,fire,2026-01-01T{:02}:{:02}:{:02}.{:03}Z\n",
            number / 3_600,
            number / 60 % 60,
            number % 60,
            number % 1_000
        ));
    }
    let sent = send(&admin, "", "text/csv", text.clone()).await.expect(202).json();
    // The same file while it runs is the same import.
    assert_eq!(
        send(&admin, "", "text/csv", text.clone()).await.expect_one_of(&[202]).json()["id"],
        sent["id"]
    );
    let path = format!("/v1/imports/{}", sent["id"].as_str().expect("an id"));
    loop {
        let running = admin.get(&path).await.expect(200).json();
        if running["rows_read"].as_i64() > Some(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cancelled = admin.delete(&path).await.expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
    let later = admin.get(&path).await.expect(200).json();
    assert_eq!(admin.delete(&path).await.expect(200).json(), later);
    let created = later["created"].as_i64().expect("a count");
    assert!(created < 20_000, "{later}");
    let page = admin.get("/v1/activities?count=exact&limit=1").await.expect(200).json();
    assert_eq!(page["total"].as_i64(), Some(created));
    // It can be sent again.
    let again = send(&admin, "", "text/csv", text).await.expect(202).json();
    assert_ne!(again["id"], sent["id"]);
    admin.delete(&format!("/v1/imports/{}", again["id"].as_str().expect("an id"))).await.expect(200);
}
