//! Tests of attached files: who gets a link, and what it opens.

use serde_json::{Value, json};

use super::{ATTEMPTS, CSV, ESSAY, SUBMITTED, registration, set_up};
use crate::support::builders::{Body, mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS, advance_clock, id, voiding_statement};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};
use crate::xapi::attachments::{declare_attachment, post_with_contents};

const CONTENT: &[u8] = b"<script>alert(1)</script>";

/// Statement number `n`: `bo` submits with files.
fn submitted(n: usize, files: &[Value]) -> Body {
    statement(mailbox("bo@example.org"), SUBMITTED, ESSAY)
        .set("id", id(n))
        .set("timestamp", format!("2026-03-01T09:{n:02}:00Z"))
        .set("context.registration", registration(n))
        .set("attachments", files.to_vec())
}

fn declare(title: &str, content_type: &str, content: &[u8]) -> Value {
    let mut declared = declare_attachment(content);
    declared["display"] = json!({"en": title});
    declared["contentType"] = json!(content_type);
    declared
}

async fn read_files(caller: &Caller) -> Vec<Value> {
    let page = caller.get(ATTEMPTS).await.expect(200).json();
    page["attempts"][0]["submitted"]["files"].as_array().expect("a list").clone()
}

fn url(file: &Value) -> String {
    file["url"].as_str().expect("an address").to_owned()
}

#[apply(both_databases)]
async fn link_opens_the_file_without_authorisation(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let mut elsewhere = declare("Elsewhere", "text/plain", b"not sent");
    elsewhere["fileUrl"] = json!("https://files.example/x");
    let files = [declare("Essay: \"final\"", "text/html", CONTENT), elsewhere];
    post_with_contents(&sender, submitted(1, &files), &[CONTENT]).await;
    let found = read_files(&admin).await;
    assert_eq!(
        json!([found[0]["title"], found[0]["content_type"], found[0]["length"], found[1]["url"]]),
        json!(["Essay: \"final\"", "text/html", CONTENT.len(), "https://files.example/x"])
    );
    let link = url(&found[0]);
    let answer = server.anonymous().get(&link).await.expect(200);
    assert_eq!(answer.body, CONTENT);
    for (header, expected) in [
        ("content-type", "text/html"),
        ("content-disposition", "attachment; filename=\"Essay_ _final_\""),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(header), Some(expected), "{header}");
    }
    // The CSV has absolute links.
    let cell = admin.get(CSV).await.expect(200).csv_column("Submitted files").remove(0);
    let (first, second) = cell.split_once("; ").expect("two files");
    assert_eq!(second, "https://files.example/x");
    let path = first.find("/files/").map(|start| &first[start..]).expect("a link");
    assert!(first.starts_with("http://127.0.0.1:"), "{first}");
    assert_eq!(server.anonymous().get(path).await.expect(200).body, CONTENT);
    // A damaged link, and parameters.
    let damaged = format!("{}A", &link[..link.len() - 1]);
    let other = if damaged == link { format!("{}B", &link[..link.len() - 1]) } else { damaged };
    server.anonymous().get(&other).await.expect(404);
    server.anonymous().get("/files/AAAA").await.expect(404);
    server.anonymous().get(&format!("{link}?x=1")).await.expect(400);
}

#[apply(both_databases)]
async fn link_ends_with_its_caller_its_record_and_its_time(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    post_with_contents(&sender, submitted(1, &[declare("Essay", "text/plain", CONTENT)]), &[CONTENT]).await;
    let bo = server.person("learner", "bo");
    let created = admin
        .post("/v1/credentials", &json!({"name": "k", "scopes": ["activities/read"]}))
        .await
        .expect(201)
        .json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    let credential = server.anonymous().with_basic(&text("key"), &text("secret"));
    let of_bo = url(&read_files(&bo).await[0]);
    let of_credential = url(&read_files(&credential).await[0]);
    let of_admin = url(&read_files(&admin).await[0]);
    let anonymous = server.anonymous();
    for link in [&of_bo, &of_credential, &of_admin] {
        assert_eq!(anonymous.get(link).await.expect(200).body, CONTENT);
    }
    admin.delete(&format!("/v1/credentials/{}", text("id"))).await.expect(204);
    anonymous.get(&of_credential).await.expect(404);
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    anonymous.get(&of_bo).await.expect(404);
    anonymous.get(&of_admin).await.expect(200);
    // Another organisation has another secret.
    let other = server.credential("other", &["all", "activities/read", "activities/write", "define"]).await;
    post_with_contents(&other, submitted(1, &[declare("Essay", "text/plain", CONTENT)]), &[CONTENT]).await;
    let theirs =
        other.get(&format!("/v1/exercises/{}/attempts", encode_segment(ESSAY))).await.expect(200).json();
    let theirs = url(&theirs["attempts"][0]["submitted"]["files"][0]);
    assert_ne!(theirs, of_admin);
    anonymous.get(&theirs).await.expect(200);
    advance_clock(server, 86_400 - 1);
    anonymous.get(&of_admin).await.expect(200);
    advance_clock(server, 1);
    let expired = anonymous.get(&of_admin).await.expect(410);
    assert_eq!(expired.header("cache-control"), Some("no-store"));
    let admin = server.person_of(ORG, json!({"sub": "root", "role": "admin"}));
    let page = admin.get(&format!("{ATTEMPTS}?include_deactivated=true")).await.expect(200).json();
    let fresh = url(&page["attempts"][0]["submitted"]["files"][0]);
    anonymous.get(&fresh).await.expect(200);
    sender.post(STATEMENTS, &json!([voiding_statement(9, 1)])).await.expect(200);
    anonymous.get(&fresh).await.expect(404);
}
