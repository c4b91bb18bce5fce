//! A credential without `define` and `catalogue` adds what is missing and changes nothing that is there.

use reqwest::Method;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use crate::support::builders::{Body, content, mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS, VIEWED, advance_clock, id};
use crate::support::{TestServer, apply, both_databases};

const COURSE: &str = "http://adlnet.gov/expapi/activities/course";
const VIDEO: &str = "http://adlnet.gov/expapi/activities/media";

fn definition(name: &str, type_: &str) -> Value {
    json!({"name": {"en": name}, "description": {"en": name}, "type": type_, "extensions": {"urn:x": name}})
}

/// A statement about a content, with the same definition for its parent.
fn defining(number: usize, iri: &str, name: &str, type_: &str) -> Body {
    statement(mailbox("ada@example.org"), VIEWED, iri)
        .set("id", id(number))
        .set("object.definition", definition(name, type_))
        .set(
            "context.contextActivities.parent",
            json!([{"id": format!("{iri}/parent"), "definition": definition(name, type_)}]),
        )
}

/// A short-form activity about a described content.
fn described(number: usize, iri: &str, name: &str, kind: &str) -> Body {
    Body::default()
        .set("id", id(number))
        .set("user", json!({"email": "ada@example.org"}))
        .set("action", "viewed")
        .set("content", json!({"iri": iri, "title": name, "type": kind, "content_type": "other"}))
}

/// What the APIs say about a content: the catalogue, the definitions of the content and its parent, and the log's newest row.
async fn read_content_everywhere(admin: &Caller, iri: &str) -> Value {
    let encoded = encode_segment(iri);
    let listed = admin.get(&format!("/v1/contents/{encoded}")).await.expect(200).json();
    let defined = admin.get(&format!("/xapi/activities?activityId={encoded}")).await.expect(200).json();
    let parent =
        admin.get(&format!("/xapi/activities?activityId={encoded}%2Fparent")).await.expect(200).json();
    let rows = admin.get(&format!("/v1/activities?content={encoded}&limit=1")).await.expect(200).json();
    json!({
        "title": listed["title"], "type": listed["type"], "content_type": listed["content_type"],
        "definition": defined["definition"], "parent": parent["definition"],
        "row": rows["activities"][0]["content"],
    })
}

async fn rebuild(server: &TestServer) {
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
}

/// Sends forged definitions of a content by every way in.
async fn forge(caller: &Caller, iri: &str, first: usize) {
    let forged = |n: usize| defining(first + n, iri, "Forged", VIDEO);
    caller.post(STATEMENTS, &forged(0)).await.expect(200);
    caller.post(STATEMENTS, &[forged(1), forged(2)]).await.expect(200);
    let path = format!("{STATEMENTS}?statementId={}", id(first + 3));
    caller.put(&path, &forged(3)).await.expect(204);
    let body = format!("--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b--\r\n", forged(4).json());
    let multipart = [("content-type", "multipart/mixed; boundary=b")];
    caller.send(Method::POST, STATEMENTS, &multipart, body.into_bytes()).await.expect(200);
    // Dated later and earlier than the records that are there.
    for (n, at) in [(5, "2026-03-18T10:17:23Z"), (6, "1999-01-01T00:00:00Z"), (7, "2030-01-01T00:00:00Z")] {
        caller.post(STATEMENTS, &forged(n).set("timestamp", at)).await.expect(200);
    }
    // A voiding statement that names the content.
    let voiding = json!({"id": id(first + 8), "actor": mailbox("ada@example.org"),
        "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": id(first)},
        "context": {"contextActivities": {"other": [{"id": iri, "definition": definition("Forged", VIDEO)}]}}});
    caller.post(STATEMENTS, &voiding).await.expect(200);
}

async fn forge_short_form(caller: &Caller, iri: &str, first: usize) {
    let forged = |n: usize| described(first + n, iri, "Forged", "event");
    caller.post("/v1/activities", &forged(0)).await.expect(201);
    caller.post("/v1/activities/batch", &[forged(1), forged(2)]).await.expect(201);
    caller.post("/v1/activities", &forged(3).set("happened_at", "1999-01-01T00:00:00Z")).await.expect(201);
}

#[apply(both_databases)]
async fn credential_without_the_right_changes_nothing_that_is_there(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(STATEMENTS, &defining(1, "urn:by-statement", "Fire Safety", COURSE)).await.expect(200);
    admin.post("/v1/activities", &described(2, "urn:by-short-form", "First Aid", "quiz")).await.expect(201);
    let registered = content("reg", "quiz").set("iri", "urn:registered").set("title", "Registered");
    admin.put("/v1/contents/reg", &registered).await.expect(201);
    admin.post(STATEMENTS, &defining(3, "urn:nameless", "", COURSE)).await.expect(200);
    advance_clock(server, 3_600);
    let iris = ["urn:by-statement", "urn:by-short-form", "urn:nameless"];
    let mut before = Vec::new();
    for iri in iris {
        before.push(read_content_everywhere(&admin, iri).await);
    }
    let registered = async || {
        let catalogue = admin.get("/v1/contents/reg").await.expect(200).json();
        let defined = admin.get("/xapi/activities?activityId=urn:registered").await.expect(200).json();
        (catalogue["title"].clone(), catalogue["type"].clone(), defined["definition"].clone())
    };
    let registered_before = registered().await;
    let mut number = 100;
    for scopes in [
        &["statements/write", "activities/write"][..],
        &[
            "statements/write",
            "activities/write",
            "state",
            "profile",
            "directory",
            "all/read",
            "activities/read",
        ],
    ] {
        let weak = server.credential("acme", scopes).await;
        for iri in iris.iter().chain(&["urn:registered"]) {
            forge(&weak, iri, number).await;
            forge_short_form(&weak, iri, number + 20).await;
            number += 40;
        }
    }
    let statements_only = server.credential("acme", &["statements/write"]).await;
    forge(&statements_only, "urn:by-statement", number).await;
    let unchanged = async |moment: &str| {
        for (iri, before) in iris.iter().zip(&before) {
            let mut now = read_content_everywhere(&admin, iri).await;
            // The newest row can be another one. Its content is the same.
            let mut before = before.clone();
            if *iri == "urn:by-short-form" {
                // The parent of the statements is new, so it may be added.
                now["parent"] = Value::Null;
                before["parent"] = Value::Null;
            }
            assert_eq!(now, before, "{iri} {moment}");
        }
        assert_eq!(registered().await, registered_before, "{moment}");
    };
    unchanged("after the requests").await;
    rebuild(server).await;
    unchanged("after a rebuild").await;
    // One that may define changes it as before.
    let strong = server.credential("acme", &["statements/write", "catalogue"]).await;
    advance_clock(server, 3_600);
    strong.post(STATEMENTS, &defining(10, "urn:by-statement", "Fire Safety 2", VIDEO)).await.expect(200);
    let now = read_content_everywhere(&admin, "urn:by-statement").await;
    assert_eq!(
        (&now["title"], &now["definition"]["name"]["en"]),
        (&json!("Fire Safety 2"), &json!("Fire Safety 2"))
    );
}

#[apply(both_databases)]
async fn credential_without_the_right_adds_what_is_missing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let weak = server.credential("acme", &["statements/write", "activities/write"]).await;
    let other = server.credential("acme", &["activities/write"]).await;
    weak.post("/v1/activities", &described(1, "urn:new", "Fire Safety", "quiz")).await.expect(201);
    // Two in one batch: the first one counts.
    weak.post(
        "/v1/activities/batch",
        &[described(2, "urn:twice", "One", "quiz"), described(3, "urn:twice", "Two", "event")],
    )
    .await
    .expect(201);
    // Records first name the course above their content, and then the course itself.
    weak.post(STATEMENTS, &defining(4, "urn:lesson", "Lesson", COURSE)).await.expect(200);
    advance_clock(server, 60);
    let parent = defining(5, "urn:lesson/parent", "Lesson", COURSE);
    weak.post(STATEMENTS, &parent).await.expect(200);
    other.post("/v1/activities", &described(6, "urn:new", "Other", "event")).await.expect(201);
    let all = async || {
        let mut all = Vec::new();
        for iri in ["urn:new", "urn:twice", "urn:lesson", "urn:lesson/parent"] {
            all.push(read_content_everywhere(&admin, iri).await);
        }
        all
    };
    let before = all().await;
    let titles: Vec<&Value> = before.iter().map(|one| &one["title"]).collect();
    assert_eq!(titles, [&json!("Fire Safety"), &json!("One"), &json!("Lesson"), &json!("Lesson")]);
    assert_eq!((&before[0]["type"], &before[1]["type"]), (&json!("quiz"), &json!("quiz")));
    assert_eq!(before[0]["definition"]["name"], json!({"und": "Fire Safety"}));
    rebuild(server).await;
    assert_eq!(all().await, before);
    // Registering and revoking change nothing in what counts.
    advance_clock(server, 60);
    let defines = server.credential("acme", &["statements/write", "define"]).await;
    defines.post(STATEMENTS, &defining(7, "urn:new", "Fire Safety 2", COURSE)).await.expect(200);
    weak.post("/v1/activities", &described(8, "urn:new", "Forged", "event")).await.expect(201);
    assert_eq!(read_content_everywhere(&admin, "urn:new").await["title"], "Fire Safety 2");
    rebuild(server).await;
    assert_eq!(read_content_everywhere(&admin, "urn:new").await["title"], "Fire Safety 2");
    // Without a scope that writes activities, only the content itself is made.
    let statements_only = server.credential("acme", &["statements/write"]).await;
    statements_only.post(STATEMENTS, &defining(9, "urn:plain", "Plain", COURSE)).await.expect(200);
    let plain = read_content_everywhere(&admin, "urn:plain").await;
    assert_eq!((&plain["definition"], plain["title"] == "Plain"), (&Value::Null, false));
}

/// Two replicas: the cache of one does not know what the other has defined.
#[apply(both_databases)]
async fn replica_does_not_overwrite_what_another_has_defined(server: &TestServer) {
    let replica = server.start_replica().await;
    let weak = server.credential("acme", &["statements/write", "activities/write"]).await;
    let key = server.credential("acme", &["statements/write", "define"]).await;
    // Both replicas cache the content without a definition.
    let plain = |n: usize| statement(mailbox("ada@example.org"), VIEWED, "urn:shared").set("id", id(n));
    weak.post(STATEMENTS, &plain(1)).await.expect(200);
    let there = replica.person("admin", "root");
    there.post(STATEMENTS, &plain(2)).await.expect(200);
    key.post(STATEMENTS, &plain(3)).await.expect(200);
    there.post(STATEMENTS, &defining(4, "urn:shared", "Fire Safety", COURSE)).await.expect(200);
    weak.post("/v1/activities", &described(5, "urn:shared", "Forged", "event")).await.expect(201);
    let admin = server.person("admin", "root");
    let found = read_content_everywhere(&admin, "urn:shared").await;
    assert_eq!(
        (&found["title"], &found["definition"]["name"]["en"]),
        (&json!("Fire Safety"), &json!("Fire Safety"))
    );
    replica.stop().await;
}
