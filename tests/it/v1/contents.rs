//! Tests of `/v1/contents`: the catalogue and the history of demands.

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::http::encode_segment;
use crate::support::records::{COMPLETED, list_ids};
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};

const COURSE: &str = "http://example.org/course?x=1";

#[apply(both_databases)]
async fn content_is_created_replaced_and_returned(server: &TestServer) {
    let admin = server.person("admin", "root");
    let body = json!({
        "title": "Fire Safety", "type": "quiz", "content_type": "scorm", "tags": ["b", "a"],
        "cpd_labels": ["Health"], "source": "Library", "url": "https://example.org/x",
        "archived_at": "2026-01-01T00:00:00Z", "pass_mark": 72.5, "time_limit": "PT30M", "expires_after": "P1Y",
        "certificate": {"name": "Warden", "expires_after": "P2Y"}
    });
    let created = admin.put("/v1/contents/fire%20safety", &body).await.expect(201);
    assert_eq!(created.header("location"), Some("/v1/contents/fire%20safety"));
    let mut expected = body.clone();
    expected["id"] = json!("fire safety");
    expected["iri"] = json!("https://rollbook.invalid/acme/contents/fire%20safety");
    expected["archived_at"] = json!("2026-01-01T00:00:00.000Z");
    expected["registered"] = json!(true);
    expected["reprojecting"] = json!(false);
    assert_eq!(created.json(), expected);
    assert_eq!(admin.get("/v1/contents/fire%20safety").await.expect(200).json(), expected);
    assert_eq!(admin.put("/v1/contents/fire%20safety", &expected).await.expect(200).json(), expected);
    let outcome = admin.post("/v1/contents/batch", &[expected.clone()]).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 0, "updated": 0, "unchanged": 1}));
    let patch =
        json!({"archived_at": null, "tags": ["c"], "certificate": {"name": null}, "time_limit": null});
    let patched = admin.patch("/v1/contents/fire%20safety", &patch).await.expect(200).json();
    assert_eq!((&patched["archived_at"], &patched["tags"]), (&Value::Null, &json!(["c"])));
    assert_eq!(patched["certificate"], json!({"name": null, "expires_after": "P2Y"}));
    assert_eq!((&patched["time_limit"], &patched["pass_mark"]), (&Value::Null, &json!(72.5)));
    let replaced =
        admin.put("/v1/contents/fire%20safety", &json!({"title": "Fire"})).await.expect(200).json();
    assert_eq!(
        (&replaced["type"], &replaced["tags"], &replaced["pass_mark"]),
        (&json!("item"), &json!([]), &Value::Null)
    );
}

#[apply(both_databases)]
async fn contents_are_filtered(server: &TestServer) {
    let admin = server.person("admin", "root");
    let batch = [
        content("a", "quiz").set("title", "Fire Safety").set("tags", json!(["safety", "hot"])),
        content("b", "item").set("content_type", "video").set("title", "STRASSE und Feuer"),
        content("c", "event").set("archived_at", "2026-01-01T00:00:00Z").set("tags", json!(["safety"])),
    ];
    let outcome = admin.post("/v1/contents/batch", &batch).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 3, "updated": 0, "unchanged": 0}));
    let learner = server.person("learner", "ada");
    for (query, expected) in [
        ("", "a b c"),
        ("q=safety+FIRE", "a"),
        ("q=stra%C3%9Fe", "b"),
        ("type=quiz,event", "a c"),
        ("type=quiz&type=item", "a b"),
        ("content_type=video", "b"),
        ("tag=hot&tag=none", "a"),
        ("id=c&id=a&id=none", "a c"),
        ("id=c&archived=false", ""),
        ("tag=safety&archived=true", "c"),
        ("archived=false", "a b"),
    ] {
        let found = learner.list(&format!("/v1/contents?limit=1&{query}"), "contents").await;
        assert_eq!(list_ids(&found).join(" "), expected, "{query}");
    }
    for bad in ["type=film", "archived=1", "team=x", "limit=x"] {
        learner.get(&format!("/v1/contents?{bad}")).await.expect(400);
    }
}

#[apply(both_databases)]
async fn registration_adopts_a_content_with_its_activities(server: &TestServer) {
    let admin = server.person("admin", "root");
    let definition =
        json!({"name": {"en": "The Course"}, "type": "http://adlnet.gov/expapi/activities/assessment"});
    let sent = statement(mailbox("ada@example.org"), COMPLETED, COURSE)
        .set("object.definition", definition)
        .set("result", json!({"score": {"scaled": 0.5}}));
    admin.post("/xapi/statements", &sent).await.expect(200);
    let unregistered =
        admin.get(&format!("/v1/contents/{}", encode_segment(COURSE))).await.expect(200).json();
    assert_eq!(
        (&unregistered["id"], &unregistered["iri"], &unregistered["title"]),
        (&json!(COURSE), &json!(COURSE), &json!("The Course"))
    );
    assert_eq!((&unregistered["type"], &unregistered["registered"]), (&json!("quiz"), &json!(false)));
    assert_eq!(list_ids(&admin.list("/v1/contents", "contents").await), [COURSE]);

    let body = json!({"iri": COURSE, "title": "Our Course", "type": "quiz", "pass_mark": 60});
    let adopted = admin.put("/v1/contents/c1", &body).await.expect(201).json();
    assert_eq!((&adopted["iri"], &adopted["registered"]), (&json!(COURSE), &json!(true)));
    admin.get(&format!("/v1/contents/{}", encode_segment(COURSE))).await.expect(404);
    assert_eq!(list_ids(&admin.list("/v1/contents", "contents").await), ["c1"]);
    let rows = admin.get("/v1/activities?content=c1").await.expect(200).json();
    let row = &rows["activities"][0];
    assert_eq!((&row["content"]["id"], &row["content"]["title"]), (&json!("c1"), &json!("Our Course")));
    assert_eq!(row["action"]["key"], "failed", "the first pass mark also applies to the time before it");
    // A statement no longer changes the title, and the same PUT changes nothing.
    let renamed = statement(mailbox("ada@example.org"), COMPLETED, COURSE)
        .set("object.definition", json!({"name": {"en": "Hacked"}}));
    admin.post("/xapi/statements", &renamed).await.expect(200);
    assert_eq!(admin.put("/v1/contents/c1", &body).await.expect(200).json()["title"], "Our Course");
}

#[apply(both_databases)]
async fn content_can_be_registered_under_its_iri(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin
        .post("/xapi/statements", &statement(mailbox("ada@example.org"), COMPLETED, COURSE))
        .await
        .expect(200);
    let address = format!("/v1/contents/{}", encode_segment(COURSE));
    let registered =
        admin.put(&address, &json!({"title": "T", "content_type": "video"})).await.expect(200).json();
    assert_eq!((&registered["id"], &registered["iri"]), (&json!(COURSE), &json!(COURSE)));
    assert_eq!(registered["registered"], true);
    let rows = admin.get("/v1/activities").await.expect(200).json();
    assert_eq!(rows["activities"][0]["action"]["key"], "watched", "the current type applies");
}

#[apply(both_databases)]
async fn iri_belongs_to_one_content_forever(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/contents/a", &content("a", "quiz").set("iri", COURSE)).await.expect(201);
    let refused =
        admin.put("/v1/contents/b", &content("b", "quiz").set("iri", COURSE)).await.expect(409).json();
    assert_eq!(refused["pointer"], "/iri");
    assert!(refused["detail"].as_str().expect("a detail").contains("`a`"), "{refused}");
    admin.put(&format!("/v1/contents/{}", encode_segment(COURSE)), &json!({"title": "T"})).await.expect(409);
    admin.patch("/v1/contents/a", &json!({"iri": "http://example.org/other"})).await.expect(409);
    let stored = admin.put("/v1/contents/a", &content("a", "quiz")).await.expect(200).json();
    assert_eq!(stored["iri"], COURSE, "a missing IRI keeps the stored one");
    let twice = [content("x", "quiz").set("iri", "urn:x"), content("y", "quiz").set("iri", "urn:x")];
    let refused = admin.post("/v1/contents/batch", &twice).await.expect(409).json();
    assert_eq!(refused["pointer"], "/1/iri");
    admin.get("/v1/contents/x").await.expect(404);
    // An id that is an IRI is also the IRI of the content, because a statement could refer to it.
    admin.put("/v1/contents/urn:y", &json!({"title": "T", "iri": "urn:z"})).await.expect(400);
    assert_eq!(
        admin.put("/v1/contents/urn:y", &json!({"title": "T"})).await.expect(201).json()["iri"],
        "urn:y"
    );
    admin
        .post("/xapi/statements", &statement(mailbox("a@example.org"), COMPLETED, "urn:y"))
        .await
        .expect(200);
}

#[apply(both_databases)]
async fn raised_pass_mark_does_not_change_past_results(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.put("/v1/contents/q", &content("q", "quiz").set("pass_mark", 50)).await.expect(201);
    let attempt = |at: &str| {
        activity("ada", "completed")
            .set("content", "q")
            .set("happened_at", at)
            .set("result", json!({"score": 60}))
    };
    admin.post("/v1/activities", &attempt("2026-01-10T00:00:00Z")).await.expect(201);
    admin.post("/v1/activities", &attempt("2026-02-10T00:00:00Z")).await.expect(201);
    let actions = async || {
        let rows = admin.get("/v1/activities?sort=happened_at").await.expect(200).json();
        let rows = rows["activities"].as_array().expect("activities").clone();
        rows.iter()
            .map(|row| row["action"]["key"].as_str().expect("a key").to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(actions().await, "completed completed");
    server.clock.set(Timestamp::from_micros(START.micros() + 86_400_000_000));
    let raised = admin.patch("/v1/contents/q", &json!({"pass_mark": 80})).await.expect(200).json();
    assert_eq!(raised["pass_mark"], json!(80.0));
    assert_eq!(actions().await, "completed completed");
    // A demand with an earlier `effective_from` changes past results, but not those before it.
    let retroactive = json!({"pass_mark": 70, "effective_from": "2026-02-01T00:00:00Z"});
    let now = admin.patch("/v1/contents/q", &retroactive).await.expect(200).json();
    assert_eq!(now["pass_mark"], json!(80.0), "later values stay in force");
    assert!(now.get("effective_from").is_none());
    assert_eq!(actions().await, "completed failed");
    let before = json!({"pass_mark": 55, "effective_from": "2026-01-01T00:00:00Z"});
    admin.patch("/v1/contents/q", &before).await.expect(200);
    assert_eq!(actions().await, "completed failed");
    // A second value for the same time replaces the first.
    let before = json!({"pass_mark": 61, "effective_from": "2026-01-01T00:00:00Z"});
    admin.patch("/v1/contents/q", &before).await.expect(200);
    assert_eq!(actions().await, "failed failed");
}

#[apply(both_databases)]
async fn first_demand_with_a_time_counts_from_then_on_only(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    let from = "2026-01-01T00:00:00Z";
    let demanding = |id: &str| {
        content(id, "quiz")
            .set("pass_mark", 80)
            .set("expires_after", "P1M")
            .set("time_limit", "PT1M")
            .set("certificate", json!({"name": "Warden"}))
    };
    admin
        .put("/v1/contents/with-time", &demanding("with-time").set("effective_from", from))
        .await
        .expect(201);
    admin.put("/v1/contents/without", &demanding("without")).await.expect(201);
    // Another demand has covered the past before.
    admin.put("/v1/contents/later", &content("later", "quiz").set("pass_mark", 10)).await.expect(201);
    admin.put("/v1/contents/later", &demanding("later").set("effective_from", from)).await.expect(200);
    admin.post("/v1/contents/batch", &[demanding("batch").set("effective_from", from)]).await.expect(200);
    for id in ["with-time", "without", "later", "batch"] {
        for at in ["2025-12-31T23:59:59.999Z", from] {
            let attempt = activity("ada", "completed")
                .set("content", id)
                .set("happened_at", at)
                .set("result", json!({"score": 90, "total_time": "PT2M"}));
            admin.post("/v1/activities", &attempt).await.expect(201);
        }
    }
    for (id, before) in
        [("with-time", json!(null)), ("without", json!(true)), ("later", json!(true)), ("batch", json!(null))]
    {
        let rows = admin.list(&format!("/v1/activities?sort=happened_at&content={id}"), "activities").await;
        let covers_past = id == "without";
        assert_eq!(rows[0]["result"]["success"], before, "{id}");
        assert_eq!(rows[0]["expired_at"].is_null(), !covers_past, "{id}");
        assert_eq!(rows[0]["certificate"].is_null(), !covers_past, "{id}");
        assert_eq!(rows[0]["result"]["time_limit_exceeded"].is_null(), !covers_past, "{id}");
        assert_eq!(rows[1]["result"]["success"], true, "{id}");
        assert_eq!(rows[1]["expired_at"], "2026-02-01T00:00:00.000Z", "{id}");
        assert_eq!(rows[1]["certificate"]["name"], "Warden", "{id}");
        assert_eq!(rows[1]["result"]["time_limit_exceeded"], true, "{id}");
    }
}

#[apply(both_databases)]
async fn patch_with_a_time_changes_only_the_demands_that_it_contains(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.put("/v1/contents/q", &content("q", "quiz").set("pass_mark", 50)).await.expect(201);
    let raise = json!({"pass_mark": 80, "effective_from": "2026-03-01T00:00:00Z"});
    admin.patch("/v1/contents/q", &raise).await.expect(200);
    let attempt = activity("ada", "completed")
        .set("content", "q")
        .set("happened_at", "2026-02-10T00:00:00Z")
        .set("result", json!({"score": 60}));
    admin.post("/v1/activities", &attempt).await.expect(201);
    // The present pass mark does not begin in January, too.
    let expiry = json!({"expires_after": "P1Y", "effective_from": "2026-01-01T00:00:00Z"});
    let patched = admin.patch("/v1/contents/q", &expiry).await.expect(200).json();
    assert_eq!((&patched["pass_mark"], &patched["expires_after"]), (&json!(80.0), &json!("P1Y")));
    let row = admin.get("/v1/activities").await.expect(200).json()["activities"][0].clone();
    assert_eq!((&row["action"]["key"], &row["result"]["success"]), (&json!("completed"), &json!(true)));
    assert_eq!(row["expired_at"], "2027-02-10T00:00:00.000Z");
    // A PUT sets all demands from that time on.
    let all = content("q", "quiz").set("pass_mark", 80).set("effective_from", "2026-01-01T00:00:00Z");
    admin.put("/v1/contents/q", &all).await.expect(200);
    let row = admin.get("/v1/activities").await.expect(200).json()["activities"][0].clone();
    assert_eq!((&row["action"]["key"], &row["expired_at"]), (&json!("failed"), &json!(null)));
}

#[apply(both_databases)]
async fn changed_type_changes_existing_activities(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.put("/v1/contents/v", &content("v", "item").set("content_type", "article")).await.expect(201);
    admin.post("/v1/activities", &activity("ada", "completed").set("content", "v")).await.expect(201);
    let action = async || {
        admin.get("/v1/activities").await.expect(200).json()["activities"][0]["action"]["key"].clone()
    };
    assert_eq!(action().await, "read");
    admin.patch("/v1/contents/v", &json!({"content_type": "audio"})).await.expect(200);
    assert_eq!(action().await, "listened_to");
    admin.patch("/v1/contents/v", &json!({"content_type": null})).await.expect(200);
    assert_eq!(action().await, "completed");
}

#[apply(both_databases)]
async fn contents_of_other_organisations_are_not_accessible(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/contents/a", &content("a", "quiz").set("iri", COURSE)).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.get("/v1/contents/a").await.expect(404);
    other.patch("/v1/contents/a", &json!({"title": "x"})).await.expect(404);
    assert_eq!(other.list("/v1/contents", "contents").await, Vec::<Value>::new());
    other.put("/v1/contents/b", &content("b", "quiz").set("iri", COURSE)).await.expect(201);
    for role in ["hr", "reporter", "learning_designer", "curator", "manager", "learner"] {
        let caller = server.person(role, "ada");
        caller.get("/v1/contents/a").await.expect(200);
        caller.put("/v1/contents/a", &content("a", "quiz")).await.expect(403);
        caller.patch("/v1/contents/a", &json!({})).await.expect(403);
        caller.post("/v1/contents/batch", &[content("a", "quiz")]).await.expect(403);
    }
    let key = server.credential("acme", &["catalogue"]).await;
    key.put("/v1/contents/c", &content("c", "quiz")).await.expect(201);
    assert_eq!(key.list("/v1/contents", "contents").await.len(), 2);
    server.credential("acme", &["directory", "all"]).await.get("/v1/contents").await.expect(403);
}

#[apply(both_databases)]
async fn invalid_contents_are_refused_and_not_stored(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (member, value) in [
        ("title", json!("")),
        ("type", json!("film")),
        ("pass_mark", json!(100.5)),
        ("pass_mark", json!("80")),
        ("time_limit", json!("30 minutes")),
        ("expires_after", json!("P")),
        ("url", json!("javascript:alert(1)")),
        ("tags", json!([""])),
        ("iri", json!("no iri")),
        ("effective_from", json!("2026-01-01")),
    ] {
        let refused =
            admin.put("/v1/contents/a", &content("a", "quiz").set(member, value)).await.expect(400).json();
        let pointer = refused["pointer"].as_str().expect("a pointer");
        assert!(pointer.starts_with(&format!("/{member}")), "{member}: {pointer}");
    }
    let batch = [content("a", "quiz"), content("b", "quiz").set("colour", "red")];
    let refused = admin.post("/v1/contents/batch", &batch).await.expect(400).json();
    assert_eq!(refused["pointer"], "/1/colour");
    assert_eq!(admin.list("/v1/contents", "contents").await, Vec::<Value>::new());
}
