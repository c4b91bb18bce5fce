//! Stored rows that cannot be read: they fail no page, no export, no voiding and no rebuild.

use std::collections::BTreeSet;

use reqwest::Method;
use rollbook::base::ids::OrgId;
use rollbook::http::metrics;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::builders::{content, mailbox, statement, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::outbox::{Outbox, quick, report, run_now, schedule, sender};
use crate::support::records::{COMPLETED, STATEMENTS, id, page_numbers, record_numbers, voiding_statement};
use crate::support::{Database, TestServer, apply, both_databases};

/// The records of the set-up. Those with the numbers 3 to 8 are broken in different ways.
const RECORDS: usize = 10;
const BROKEN: std::ops::RangeInclusive<usize> = 3..=8;

/// Ten statements of `ada@example.org` about one content, recorded in the order of their numbers.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("owner", "root");
    let records: Vec<Value> = (1..=RECORDS)
        .map(|n| {
            statement(mailbox("ada@example.org"), COMPLETED, "urn:fire")
                .set("id", id(n))
                .set("timestamp", format!("2026-03-01T10:00:{n:02}Z"))
                .set("object.definition", json!({"name": {"en": "Fire Safety"}}))
                .json()
        })
        .collect();
    admin.post(STATEMENTS, &records).await.expect(200);
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin
}

/// A literal of bytes.
fn bytes(database: &Database, hex: &str) -> String {
    match database {
        Database::Sqlite { .. } => format!("X'{hex}'"),
        Database::Postgres { .. } => format!("decode('{hex}', 'hex')"),
    }
}

/// The place of a row in the order of recording, from 1.
fn rank_in(table: &str) -> String {
    format!("(SELECT count(*) FROM {table} b WHERE b.org = {table}.org AND b.seq <= {table}.seq)")
}

/// Breaks the statements 3 to 8.
async fn break_statements(database: &Database) {
    let set = async |n: usize, assignment: String| {
        database
            .execute(&format!("UPDATE statements SET {assignment} WHERE {} = {n}", rank_in("statements")))
            .await;
    };
    set(3, r#"envelope = '{"origin":"xapi","expired_at":"+10000-01-01T00:00:00.000Z"}'"#.to_owned()).await;
    set(4, "envelope = '{\"origin\"'".to_owned()).await;
    set(5, "envelope = '{\"origin\":\"elsewhere\"}'".to_owned()).await;
    set(6, format!("body = {}", bytes(database, "7b22"))).await;
    set(7, format!("body = {}", bytes(database, "ff00fe"))).await;
    match database {
        // SQLite stores a text in a column of numbers.
        Database::Sqlite { .. } => set(8, "stored = 'long ago'".to_owned()).await,
        Database::Postgres { .. } => set(8, "envelope = '7'".to_owned()).await,
    }
}

/// The numbers of the statements on all pages.
async fn read_statements(caller: &Caller, query: &str) -> BTreeSet<usize> {
    let (mut all, mut next) = (BTreeSet::new(), format!("{STATEMENTS}?{query}"));
    while !next.is_empty() {
        let page = caller.get(&next).await.expect(200).json();
        all.extend(page_numbers(&page));
        next = page["more"].as_str().expect("`more`").to_owned();
    }
    all
}

async fn read_log(caller: &Caller, query: &str) -> BTreeSet<usize> {
    let mut rows = caller.list(&format!("/v1/activities?{query}"), "activities").await;
    // The voiding statements of DELETE have random ids.
    rows.retain(|row| row["id"].as_str().is_some_and(|id| id.starts_with("00000000-")));
    record_numbers(&rows).into_iter().collect()
}

fn readable_records() -> BTreeSet<usize> {
    (1..=RECORDS).filter(|n| !BROKEN.contains(n)).collect()
}

fn count_skipped_rows() -> u64 {
    let metrics = metrics::recorder().expect("a recorder").render();
    let lines = metrics.lines().filter(|line| line.starts_with("rollbook_unreadable_records_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[apply(both_databases)]
async fn unreadable_statements_fail_no_page(server: &TestServer) {
    let admin = set_up(server).await;
    break_statements(server.database()).await;
    let before = count_skipped_rows();
    for query in ["limit=1", "limit=2&ascending=true", "limit=4&format=exact", "", "attachments=false"] {
        let found = read_statements(&admin, query).await;
        assert!(found.is_superset(&readable_records()), "{query}: {found:?}");
        assert!(!found.contains(&3) && !found.contains(&7), "{query}: {found:?}");
    }
    for format in ["ids", "canonical", "exact"] {
        let found = read_statements(&admin, &format!("format={format}&limit=3")).await;
        assert_eq!(found, readable_records(), "{format}");
    }
    admin.get(&format!("{STATEMENTS}?attachments=true&limit=10")).await.expect(200);
    admin.get(&format!("{STATEMENTS}?statementId={}", id(2))).await.expect(200);
    // A request for the broken statement itself is 500, not 404.
    admin.get(&format!("{STATEMENTS}?statementId={}", id(3))).await.expect(500);
    assert!(count_skipped_rows() > before, "skipped rows are counted");
    // The log has its own rows.
    assert_eq!(read_log(&admin, "limit=2").await, (1..=RECORDS).collect());
}

#[apply(both_databases)]
async fn unreadable_statements_are_voided_and_deleted(server: &TestServer) {
    let admin = set_up(server).await;
    break_statements(server.database()).await;
    for n in [3, 4, 6, 8] {
        admin.delete(&format!("/v1/activities/{}", id(n))).await.expect(204);
        admin.delete(&format!("/v1/activities/{}", id(n))).await.expect(404);
    }
    // Another broken one in one request with a good one.
    admin.post(STATEMENTS, &[voiding_statement(20, 5), voiding_statement(21, 9)]).await.expect(200);
    admin.post(STATEMENTS, &voiding_statement(22, 7)).await.expect(200);
    let left: BTreeSet<usize> = read_log(&admin, "").await.into_iter().filter(|n| *n < 20).collect();
    assert_eq!(left, BTreeSet::from([1, 2, 10]));
    // The id is taken. The neighbours of the same batch of the writer are stored.
    let again = statement(mailbox("ada@example.org"), COMPLETED, "urn:fire").set("id", id(3));
    let other = statement(mailbox("ada@example.org"), COMPLETED, "urn:fire").set("id", id(30));
    let (refused, stored) = tokio::join!(admin.post(STATEMENTS, &again), admin.post(STATEMENTS, &other));
    refused.expect(409);
    stored.expect(200);
    assert!(read_log(&admin, "").await.contains(&30));
}

#[apply(both_databases)]
async fn unreadable_statements_stop_no_rebuild_and_no_background_work(server: &TestServer) {
    let admin = set_up(server).await;
    break_statements(server.database()).await;
    let organisation = OrgId::new("acme").expect("an id");
    let count = server.store.rebuild(&organisation).await.expect("a rebuild");
    assert_eq!(count, RECORDS as u64);
    assert!(read_log(&admin, "").await.is_superset(&readable_records()));
    assert_eq!(read_statements(&admin, "limit=3&format=ids").await, readable_records());
    // Registration and new demands project all rows of the content again.
    let fire = content("fire", "quiz").set("iri", "urn:fire").set("expires_after", "P1Y");
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let rows = admin.list("/v1/activities?limit=3", "activities").await;
    for row in
        rows.iter().filter(|row| readable_records().contains(&record_numbers(std::slice::from_ref(row))[0]))
    {
        assert_eq!(row["content"]["id"], "fire");
        assert!(row["expired_at"].is_string(), "{row}");
    }
    // Names become tracked by a second name, which reads the log of the person and of the content.
    let named = |n: usize, name: &str| {
        statement(json!({"mbox": "mailto:new@example.org", "name": name}), COMPLETED, "urn:other")
            .set("id", id(n))
            .set("object.definition", json!({"name": {"en": name}}))
    };
    admin.post(STATEMENTS, &[named(40, "One"), named(41, "One")]).await.expect(200);
    let rank = rank_in("statements");
    server.database().execute(&format!("UPDATE statements SET envelope = '' WHERE {rank} >= 11")).await;
    admin.post(STATEMENTS, &named(42, "Two")).await.expect(200);
    let newest = admin.get("/v1/activities?limit=1").await.expect(200).json();
    assert_eq!(newest["activities"][0]["content"]["title"], "Two");
    server.store.rebuild(&organisation).await.expect("a second rebuild");
}

#[apply(both_databases)]
async fn unreadable_rows_of_the_log_break_no_page_and_no_export(server: &TestServer) {
    let admin = set_up(server).await;
    let database = server.database();
    let rank = rank_in("activities");
    let set = async |assignment: &str, ranks: &str| {
        database.execute(&format!("UPDATE activities SET {assignment} WHERE {rank} IN ({ranks})")).await;
    };
    set("action = 9999", "3, 10").await;
    set("origin = 77", "4").await;
    set("recorded_by = ''", "5").await;
    // Times outside the years of RFC 3339 are written as the nearest.
    let times = "expired_at = 9223372036854775807, certificate_expires_at = -9223372036854775808";
    set(&format!("certified = TRUE, {times}"), "6").await;
    if matches!(database, Database::Sqlite { .. }) {
        set("happened_at = 'long ago'", "7").await;
    }
    let before = count_skipped_rows();
    let mut expected = BTreeSet::from([1, 2, 6, 7, 8, 9]);
    if matches!(database, Database::Sqlite { .. }) {
        expected.remove(&7);
    }
    for query in ["limit=1", "limit=2", "limit=3&sort=happened_at", "", "limit=1&user=ada"] {
        assert_eq!(read_log(&admin, query).await, expected, "{query}");
    }
    let timeline = admin.list("/v1/users/ada/timeline?limit=1", "entries").await;
    assert_eq!(timeline.len(), expected.len());
    let of_user = admin.list("/v1/users/ada/activities?limit=1", "activities").await;
    assert_eq!(of_user.len(), expected.len());
    for path in [
        "/v1/activities/export.csv",
        "/v1/activities/export.csv?columns=full",
        "/v1/activities/export.ndjson",
    ] {
        let export = admin.get(path).await.expect(200);
        let rows = export.text().trim_end().lines().count();
        assert!(rows > expected.len() - 2, "{path}: {rows}");
    }
    let lines = admin.get("/v1/activities/export.ndjson").await.expect(200);
    assert_eq!(lines.text().trim_end().lines().count(), expected.len());
    for path in [
        "/v1/activities/summary?by=action",
        "/v1/activities/summary?by=content",
        "/v1/facets",
        "/v1/contents/urn%3Afire/progress",
        "/v1/contents/urn%3Afire/progress.csv",
    ] {
        admin.get(path).await.expect(200);
    }
    assert!(count_skipped_rows() > before);
    for n in [3, 4, 10] {
        admin.delete(&format!("/v1/activities/{}", id(n))).await.expect(204);
    }
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    // A rebuild projects the rows anew, so they can be read again.
    assert_eq!(read_log(&admin, "").await, BTreeSet::from([1, 2, 5, 6, 7, 8, 9]));
}

#[apply(both_databases)]
async fn mailed_report_names_the_number_of_unreadable_rows(server: &TestServer) {
    let root = set_up(server).await;
    let body = user("ada").set("email", "ada@example.org").set("role", "admin");
    root.put("/v1/users/ada", &body).await.expect(200);
    let ada = server.person("admin", "ada");
    let rank = rank_in("activities");
    server.database().execute(&format!("UPDATE activities SET action = 9999 WHERE {rank} IN (3, 9)")).await;
    let saved = report(&ada, "Everything", json!({})).await;
    let daily = schedule(&ada, &saved, json!({}), &["ada"]).await;
    run_now(&ada, &daily).await;
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    let [mail] = &outbox.take()[..] else { panic!("one message") };
    let words = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("because they cannot be read: 2."), "{words}");
    assert!(words.contains(&format!("Rows: {}", RECORDS - 2)), "{words}");
}

/// A text as attachment of a statement.
async fn send_with_text(caller: &Caller, n: usize, text: &str) {
    let sha2: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = json!([{"usageType": "https://example.org/file", "display": {"en": "File"},
        "contentType": "text/plain", "length": text.len(), "sha2": sha2}]);
    let statement = statement(mailbox("ada@example.org"), COMPLETED, "urn:fire").set("id", id(n));
    let body = format!(
        "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n{text}\r\n--b--\r\n",
        statement.set("attachments", declared).json()
    );
    let kind = [("content-type", "multipart/mixed; boundary=b")];
    caller.send(Method::POST, STATEMENTS, &kind, body.into_bytes()).await.expect(200);
}

#[apply(both_databases)]
async fn missing_contents_break_no_page_with_attachments(server: &TestServer) {
    let admin = server.person("owner", "root");
    for (n, text) in [(1, "first text"), (2, "second text"), (3, "third text")] {
        send_with_text(&admin, n, text).await;
    }
    let database = server.database();
    let blob = |n: usize| format!("(SELECT blob FROM attachments ORDER BY blob LIMIT 1 OFFSET {})", n - 1);
    database.execute(&format!("DELETE FROM blobs WHERE blob = {}", blob(1))).await;
    let half = bytes(database, "7365636f");
    database.execute(&format!("UPDATE blobs SET bytes = {half} WHERE blob = {}", blob(2))).await;
    let path = format!("{STATEMENTS}?attachments=true");
    let page = admin.get(&path).await.expect(200);
    for (text, expected) in [("first text", false), ("second text", false), ("third text", true)] {
        assert_eq!(page.text().contains(text), expected, "{text}");
    }
    for n in 1..=3 {
        assert!(page.text().contains(&id(n)), "the statement itself is there");
        admin.get(&format!("{STATEMENTS}?attachments=true&statementId={}", id(n))).await.expect(200);
    }
    // Documents: only the broken one fails.
    let state = |name: &str| {
        let agent = encode_segment(r#"{"mbox":"mailto:ada@example.org"}"#);
        format!("/xapi/activities/state?activityId=urn:fire&agent={agent}&stateId={name}")
    };
    for name in ["a", "b"] {
        admin.put(&state(name), &json!({"name": name})).await.expect(204);
    }
    database.execute("DELETE FROM blobs WHERE blob = (SELECT max(blob) FROM documents)").await;
    admin.get(&state("a")).await.expect(200);
    admin.get(&state("b")).await.expect(500);
    let all = state("a").replace("&stateId=a", "");
    assert_eq!(admin.get(&all).await.expect(200).json(), json!(["a", "b"]));
    admin.delete(&state("b")).await.expect(204);
}

#[apply(both_databases)]
async fn unreadable_rows_of_the_directory_fail_no_other_page(server: &TestServer) {
    let admin = set_up(server).await;
    for n in 0..6 {
        admin.put(&format!("/v1/users/u{n}"), &user(&format!("u{n}"))).await.expect(201);
        admin.put(&format!("/v1/contents/c{n}"), &content(&format!("c{n}"), "quiz")).await.expect(201);
    }
    let viewed = json!({"user": "ada", "action": "viewed", "content": "c2"});
    admin.post("/v1/activities", &viewed).await.expect(201);
    let database = server.database();
    database.execute("UPDATE users SET custom = '{' WHERE id IN ('u1', 'u2', 'ada')").await;
    database.execute("UPDATE contents SET tags = '[1' WHERE id IN ('c0', 'c2', 'c5')").await;
    let ids = async |path: &str, plural: &str| -> Vec<String> {
        let elements = admin.list(path, plural).await;
        elements.iter().map(|element| element["id"].as_str().expect("an id").to_owned()).collect()
    };
    // A list or map that cannot be read is empty. The rest of the element is there.
    assert_eq!(ids("/v1/users?limit=1&q=u", "users").await, ["u0", "u1", "u2", "u3", "u4", "u5"]);
    assert_eq!(ids("/v1/contents?limit=1&type=quiz", "contents").await, ["c0", "c1", "c2", "c3", "c4", "c5"]);
    admin.get("/v1/users/u1").await.expect(200);
    // An element with another broken column is left out.
    database.execute("UPDATE users SET role = 'emperor' WHERE id IN ('u2', 'u3')").await;
    database.execute("UPDATE contents SET type = 999 WHERE id IN ('c4', 'c5')").await;
    assert_eq!(ids("/v1/users?limit=1&q=u", "users").await, ["u0", "u1", "u4", "u5"]);
    assert_eq!(ids("/v1/contents?limit=1&q=content", "contents").await, ["c0", "c1", "c2", "c3"]);
    // The log shows the rows, without the names that cannot be read.
    let log = admin.list("/v1/activities?limit=3", "activities").await;
    assert_eq!(log.len(), RECORDS + 1);
    database.execute("UPDATE persons SET value = '{' WHERE user_key IS NULL").await;
    for path in [
        "/v1/activities/export.csv?columns=full",
        "/v1/activities/summary?by=content",
        "/v1/contents/c1/progress",
        "/v1/facets",
    ] {
        admin.get(path).await.expect(200);
    }
    // Records about a content without a readable type are stored and replayed.
    database.execute("UPDATE contents SET type = 999, content_type = 999 WHERE id IN ('c2', 'c3')").await;
    let viewed = json!({"user": "u0", "action": "viewed", "content": "c3"});
    admin.post("/v1/activities", &viewed).await.expect(201);
    let count = server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(count, RECORDS as u64 + 2);
    assert_eq!(admin.list("/v1/activities?limit=3", "activities").await.len(), RECORDS + 2);
}
