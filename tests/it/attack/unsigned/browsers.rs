//! Requests that the page of another site makes a browser send, with the Basic password that the browser remembers.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use rollbook::http::AppOptions;
use serde_json::json;

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::records::{PASSED, STATEMENTS};
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer, apply, both_databases};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ALLOWED: &str = "https://learn.example.org";

/// How browsers mark the requests of pages of other sites, modern ones and old ones.
const FOREIGN: [&[(&str, &str)]; 6] = [
    &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "cross-site"), ("origin", "null")],
    &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.org")],
    &[("sec-fetch-site", "cross-site")],
    &[("origin", "https://evil.example")],
    &[("referer", "https://evil.example/page")],
];

fn statement_form(extra: &str) -> Vec<u8> {
    let content = statement(mailbox("ada@example.org"), PASSED, "urn:c").json().to_string();
    format!("X-Experience-API-Version=1.0.3&content={}{extra}", encode_segment(&content)).into_bytes()
}

async fn send(caller: &Caller, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    caller.send(Method::POST, path, headers, body).await
}

async fn count_statements(server: &TestServer) -> usize {
    let page = server.person("admin", "root").get(STATEMENTS).await.expect(200).json();
    page["statements"].as_array().expect("statements").len()
}

#[apply(both_databases)]
async fn form_of_another_site_cannot_use_a_remembered_password(server: &TestServer) {
    let remembered = server.credential("acme", &["all"]).await;
    let (post, get) = (format!("{STATEMENTS}?method=POST"), format!("{STATEMENTS}?method=GET"));
    for foreign in FOREIGN {
        let headers = [&[FORM], foreign].concat();
        let refused = send(&remembered, &post, &headers, statement_form("")).await.expect(403);
        assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("Authorization")));
        let read = b"X-Experience-API-Version=1.0.3".to_vec();
        send(&remembered, &get, &headers, read).await.expect(403);
        // A long form is refused before it is read.
        let long = statement_form(&format!("&x={}", "y".repeat(100_000)));
        send(&remembered, &post, &headers, long).await.expect(403);
    }
    assert_eq!(count_statements(server).await, 0);
    // A program, and the server's own pages.
    send(&remembered, &post, &[FORM], statement_form("")).await.expect(200);
    let own = [FORM, ("sec-fetch-site", "same-origin"), ("origin", &*server.base)];
    send(&remembered, &post, &own, statement_form("")).await.expect(200);
    send(&remembered, &post, &own[..2], statement_form("")).await.expect(200);
    send(&remembered, &post, &[FORM, own[2]], statement_form("")).await.expect(200);
    // A form with its own credentials comes from a program that knows them, as those for Internet Explorer do.
    let token = sign(&json!({"sub": "root", "role": "admin", "org": "acme", "exp": 4_000_000_000_i64}));
    let field = format!("&Authorization={}", encode_segment(&format!("Bearer {token}")));
    for foreign in FOREIGN {
        let headers = [&[FORM], foreign].concat();
        send(&remembered, &post, &headers, statement_form(&field)).await.expect(200);
        send(&server.anonymous(), &post, &headers, statement_form(&field)).await.expect(200);
    }
}

/// A page can send these media types without asking the server first.
#[apply(both_databases)]
async fn page_of_another_site_changes_nothing_with_a_remembered_password(server: &TestServer) {
    let scopes = ["all", "directory", "catalogue", "activities/write", "activities/read"];
    let remembered = server.credential("acme", &scopes).await;
    let admin = server.person("admin", "root");
    let agent = encode_segment(&mailbox("ada@example.org").to_string());
    let state = format!("/xapi/activities/state?activityId=urn:c&agent={agent}&stateId=s");
    let profile = "/xapi/activities/profile?activityId=urn:c&profileId=p".to_owned();
    let activity = json!({"user": {"email": "ada@example.org"}, "action": "logged_in"}).to_string();
    let statement = statement(mailbox("ada@example.org"), PASSED, "urn:c").json().to_string();
    let targets: BTreeMap<&str, &str> = [
        (&*state, "a document"),
        (&*profile, "a document"),
        ("/v1/activities", &*activity),
        ("/v1/activities/batch", "[]"),
        ("/v1/users/batch", r#"[{"id":"evil"}]"#),
        (STATEMENTS, &*statement),
    ]
    .into();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/json",
    ] {
        for foreign in FOREIGN {
            let headers = [&[("content-type", media_type)], foreign].concat();
            for (path, body) in &targets {
                let answer = send(&remembered, path, &headers, body.as_bytes().to_vec()).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{media_type} to {path} with {foreign:?}");
            }
        }
    }
    for method in [Method::PUT, Method::DELETE] {
        remembered.send(method, &state, FOREIGN[0], b"{}".to_vec()).await.expect(403);
    }
    admin.get(&state).await.expect(404);
    assert_eq!(admin.get("/v1/activities").await.expect(200).json()["activities"], json!([]));
    // Reading is as before: the page cannot see the answer. A token is never remembered.
    let foreign = FOREIGN[0];
    remembered.send(Method::GET, STATEMENTS, foreign, Vec::new()).await.expect(200);
    let json = [("content-type", "application/json"), foreign[0], foreign[1]];
    admin.send(Method::POST, STATEMENTS, &json, statement.into_bytes()).await.expect(200);
}

#[test]
fn page_of_an_allowed_origin_sends_its_own_credentials() {
    for (configured, simple) in [(ALLOWED, 200), ("*", 403)] {
        let options = AppOptions { cors_origins: vec![configured.to_owned()], ..AppOptions::default() };
        run_with(Database::sqlite(), options, async |server: &TestServer| {
            let credential = server.credential("acme", &["all", "activities/write"]).await;
            let page = [("origin", ALLOWED), ("sec-fetch-site", "cross-site")];
            let json = [("content-type", "application/json"), page[0], page[1]];
            let body = statement(mailbox("ada@example.org"), PASSED, "urn:c").json().to_string();
            credential.send(Method::POST, STATEMENTS, &json, body.into_bytes()).await.expect(200);
            let activity = json!({"user": {"email": "ada@example.org"}, "action": "logged_in"}).to_string();
            credential.send(Method::POST, "/v1/activities", &json, activity.into_bytes()).await.expect(201);
            // With any origin allowed, the browser asks about no form of an unknown site.
            let form = [FORM, page[0], page[1]];
            send(&credential, &format!("{STATEMENTS}?method=POST"), &form, statement_form(""))
                .await
                .expect(simple);
            let other = [("content-type", "application/json"), ("origin", "https://evil.example")];
            let status = if configured == "*" { 201 } else { 403 };
            let activity = json!({"user": {"email": "bo@example.org"}, "action": "logged_in"}).to_string();
            credential
                .send(Method::POST, "/v1/activities", &other, activity.into_bytes())
                .await
                .expect(status);
        });
    }
}
