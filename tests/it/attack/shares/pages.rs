//! Pages have a byte budget besides their limit of rows. The next page has the rest.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SlowClient, credential_with, person, set_up, start, token};
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::random::Random;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::ORG;
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

/// The budget of the servers of most tests.
const BUDGET: usize = 100_000;

/// The settings of a server with this budget.
const SETTINGS: [(&str, &str); 1] = [("ROLLBOOK_MAX_PAGE_BYTES", "100000")];

/// Reads all pages of a list and checks the size of each. Returns the elements and the number of pages.
async fn read_pages(caller: &Caller, path: &str, name: &str, next: &str) -> (Vec<Value>, usize) {
    let (mut elements, mut pages, mut address) = (Vec::new(), 0, path.to_owned());
    while !address.is_empty() {
        let answer = caller.get(&address).await.expect(200);
        let page = answer.json();
        let list = page[name].as_array().expect("the page has the list");
        assert!(!list.is_empty(), "{address}: a page has at least one element");
        let fits = answer.body.len() <= BUDGET + 1_000;
        assert!(fits || list.len() == 1, "{address}: {} bytes, {} elements", answer.body.len(), list.len());
        elements.extend(list.iter().cloned());
        address = page[next].as_str().unwrap_or_default().to_owned();
        pages += 1;
    }
    (elements, pages)
}

/// A size that is often small, sometimes just below the budget, and rarely above it.
fn odd_size(random: &mut Random) -> usize {
    match random.below(10) {
        0 => BUDGET + random.below(50_000),
        1 => BUDGET - random.below(600),
        2..=4 => random.below(BUDGET / 2),
        _ => random.below(2_000),
    }
}

fn ids_of(list: &[Value]) -> Vec<String> {
    list.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[apply(both_databases)]
async fn statements_of_odd_sizes_are_paged_without_a_gap(database: &Database) {
    let process = start(database, &SETTINGS);
    let xapi = credential_with(&process, ORG, "all").await;
    let mut random = Random::new(7);
    let mut stored = Vec::new();
    for _ in 0..40 {
        let response = "r".repeat(odd_size(&mut random));
        let sent = statement(mailbox("a@x.example"), COMPLETED, "urn:c").set("result.response", response);
        let ids = xapi.post(STATEMENTS, &sent).await.expect(200).json();
        stored.push(ids[0].as_str().expect("an id").to_owned());
    }
    for query in ["ascending=true", "ascending=true&limit=3", "ascending=true&format=ids"] {
        let (read, pages) = read_pages(&xapi, &format!("{STATEMENTS}?{query}"), "statements", "more").await;
        assert_eq!(ids_of(&read), stored, "{query}");
        assert!(pages > 5, "{query}: {pages} pages");
    }
    stored.reverse();
    let (read, _) = read_pages(&xapi, STATEMENTS, "statements", "more").await;
    assert_eq!(ids_of(&read), stored);
}

/// A multipart request with a statement and its attachment.
fn multipart(number: usize, content: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let sha2: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let attachment = json!({"usageType": "urn:u", "display": {"en": "a"}, "contentType": "text/plain",
        "length": content.len(), "sha2": sha2});
    let sent = statement(mailbox("a@x.example"), COMPLETED, &format!("urn:c{number}"));
    let sent = sent.set("attachments", json!([attachment])).json();
    let head = format!(
        "--b\r\nContent-Type: application/json\r\n\r\n{sent}\r\n--b\r\nContent-Type: text/plain\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--b--\r\n"].concat()
}

#[apply(both_databases)]
async fn contents_of_attachments_count_for_the_budget(database: &Database) {
    let process = start(database, &SETTINGS);
    let xapi = credential_with(&process, ORG, "all").await;
    let mut stored = Vec::new();
    for (number, size) in [10, 60_000, 30_000, 150_000, 50_000, 40_000, 40_000].into_iter().enumerate() {
        let body = multipart(number, &vec![b'a' + number as u8; size]);
        let headers = [("content-type", "multipart/mixed; boundary=b")];
        let answer = xapi.send(reqwest::Method::POST, STATEMENTS, &headers, body).await.expect(200).json();
        stored.push(answer[0].as_str().expect("an id").to_owned());
    }
    let mut address = format!("{STATEMENTS}?ascending=true&attachments=true");
    let (mut read, mut sizes) = (Vec::new(), Vec::new());
    while !address.is_empty() {
        let answer = xapi.get(&address).await.expect(200);
        let text = String::from_utf8(answer.body.clone()).expect("text");
        let start = text.find("\r\n\r\n").expect("a part") + 4;
        let mut json = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        let page = json.next().expect("a page").expect("JSON");
        let ids = ids_of(page["statements"].as_array().expect("statements"));
        sizes.push(ids.len());
        assert!(answer.body.len() < BUDGET + 3_000 || ids.len() == 1, "{}", answer.body.len());
        read.extend(ids);
        address = page["more"].as_str().expect("more").to_owned();
    }
    assert_eq!(read, stored);
    assert_eq!(sizes, [3, 1, 2, 1]);
}

#[apply(both_databases)]
async fn lists_of_large_elements_are_paged_without_a_gap(database: &Database) {
    let process = start(database, &SETTINGS);
    set_up(&process, ORG).await;
    let admin = person(&process, ORG, "admin", "root");
    let writer = credential_with(&process, ORG, "activities/write").await;
    let mut random = Random::new(11);
    let mut count = 0..;
    let custom: serde_json::Map<String, Value> =
        (0..100).map(|field| (format!("Field {field}"), json!("c".repeat(1_900)))).collect();
    let users: Vec<Value> = (0..30)
        .map(|number| {
            let user = user(&format!("u{number:02}"));
            if number % 4 == 0 { user.set("custom", custom.clone()).json() } else { user.json() }
        })
        .collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let tags: Vec<String> = (0..190).map(|tag| format!("{tag:03}{}", "t".repeat(240))).collect();
    let contents: Vec<Value> = (0..30)
        .map(|number| content(&format!("d{number:02}"), "quiz").set("tags", tags.clone()).json())
        .collect();
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let rows: Vec<Value> = (0..30)
        .map(|number| {
            let row = activity("bo", "answered").set("content", format!("d{number:02}"));
            row.set("result.response", "r".repeat(odd_size(&mut random).min(99_999) + 1)).json()
        })
        .collect();
    writer.post("/v1/activities/batch", &rows).await.expect(201);
    for _ in 0..30 {
        let hour = count.next().expect("a number");
        let note =
            json!({"text": "n".repeat(9_000), "happened_at": format!("2026-01-01T{:02}:30:00Z", hour % 24)});
        person(&process, ORG, "admin", "ada").post("/v1/users/bo/notes", &note).await.expect(201);
    }
    for (path, name, expected) in [
        ("/v1/users?limit=1000", "users", 31),
        ("/v1/contents?limit=1000", "contents", 31),
        ("/v1/activities?limit=1000", "activities", 31),
        ("/v1/activities?limit=7&sort=happened_at", "activities", 31),
        ("/v1/users/bo/activities?limit=1000", "activities", 31),
        ("/v1/users/bo/notes?limit=1000", "notes", 30),
        ("/v1/users/bo/timeline?limit=1000", "entries", 61),
    ] {
        let reader = person(&process, ORG, "admin", "ada");
        let (elements, pages) = read_pages(&reader, path, name, "next").await;
        assert_eq!(elements.len(), expected, "{path}");
        assert!(pages > 2, "{path}: {pages} pages");
        let mut ids: Vec<String> = elements.iter().map(Value::to_string).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), expected, "{path}: nothing is doubled");
    }
}

#[apply(both_databases)]
async fn earlier_versions_of_a_note_are_paged(database: &Database) {
    let process = start(database, &SETTINGS);
    set_up(&process, ORG).await;
    let ada = person(&process, ORG, "admin", "ada");
    let note = json!({"text": "n".repeat(9_000), "happened_at": "2026-01-01T09:00:00Z"});
    let created = ada.post("/v1/users/bo/notes", &note).await.expect(201).json();
    let path = format!("/v1/notes/{}", created["id"].as_str().expect("an id"));
    for version in 0..25 {
        ada.patch(&path, &json!({"text": format!("{version}{}", "n".repeat(9_000))})).await.expect(200);
    }
    let (versions, pages) = read_pages(&ada, &format!("{path}/history"), "versions", "next").await;
    let numbers: Vec<i64> = versions.iter().filter_map(|version| version["version"].as_i64()).collect();
    assert_eq!(numbers, (1..=25).rev().collect::<Vec<_>>());
    assert!(pages > 2);
}

/// Six clients ask for the same large statements and read nothing.
#[apply(both_databases)]
async fn unread_pages_hold_little_memory(database: &Database) {
    let process = start(database, &[]);
    let xapi = credential_with(&process, ORG, "all").await;
    for _ in 0..6 {
        let large = statement(mailbox("a@x.example"), COMPLETED, "urn:c");
        let large = large.set("result.response", "r".repeat(4_000_000)).json();
        xapi.post(STATEMENTS, &json!([large, large])).await.expect(200);
    }
    let ordinary = {
        let (base, token) = (process.base.clone(), token(ORG, "admin", "root"));
        move |client: &reqwest::Client| client.get(format!("{base}/v1/users")).bearer_auth(&token)
    };
    let reader = token(ORG, "admin", "root");
    let attack = async {
        let mut unread = Vec::new();
        for _ in 0..6 {
            unread.push(SlowClient::get(&process.base, STATEMENTS, Some(&reader)).await);
        }
        for client in &mut unread {
            assert_eq!(client.status().await, 200);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let ((), measured) = watch("6 unread pages of statements of 4 MB", &process, ordinary, attack).await;
    assert_eq!(measured.failed, 0);
    // A page has 8 MiB. Its making needs it up to three times for a moment, and the allocator keeps some of it. All
    // statements have 48 MB, which six answers without a budget would need several times.
    assert!(measured.growth() < (6 * 4 * 8) << 20, "{measured}");
}
