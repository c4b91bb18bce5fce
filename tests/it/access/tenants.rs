//! Two organisations in one database: nothing of one is there for the other; and whom an organisation's own
//! directory has put out.

use serde_json::{Value, json};

use crate::support::builders::{activity, content, group, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::records::COMPLETED;
use crate::support::{TestServer, apply, both_databases};

const ID: &str = "00000000-0000-4000-8000-000000000001";
const STATEMENT: &str = "00000000-0000-4000-8000-000000000002";

/// An organisation with one of everything.
async fn fill(admin: &Caller) -> String {
    admin.put("/v1/teams/t", &team("t")).await.expect(201);
    admin.put("/v1/groups/g", &group("g")).await.expect(201);
    let u = user("u")
        .set("email", "u@example.org")
        .set("primary_team", "t")
        .set("groups", json!(["g"]))
        .set("custom.a", "1");
    admin.put("/v1/users/u", &u).await.expect(201);
    admin
        .put(
            "/v1/contents/c",
            &content("c", "quiz").set("iri", "https://example.org/c").set("tags", json!(["x"])),
        )
        .await
        .expect(201);
    admin
        .post("/v1/activities", &activity("u", "completed").set("id", ID).set("content", "c"))
        .await
        .expect(201);
    admin
        .post(
            "/xapi/statements",
            &statement(mailbox("u@example.org"), COMPLETED, "https://example.org/d").set("id", STATEMENT),
        )
        .await
        .expect(200);
    let created =
        admin.post("/v1/credentials", &json!({"name": "k", "scopes": ["all"]})).await.expect(201).json();
    created["id"].as_str().expect("an id").to_owned()
}

/// What an organisation sees of itself, but for its name and moments.
async fn picture(admin: &Caller) -> Value {
    let mut picture = json!({});
    for (path, plural) in [
        ("users", "users"),
        ("teams", "teams"),
        ("groups", "groups"),
        ("contents", "contents"),
        ("activities", "activities"),
    ] {
        picture[path] = json!(admin.list(&format!("/v1/{path}"), plural).await);
    }
    picture["statements"] = admin.get("/xapi/statements").await.expect(200).json();
    picture["csv"] = json!(admin.get("/v1/activities/export.csv?columns=full").await.expect(200).text());
    picture["organisation"] = admin.get("/v1/organisation").await.expect(200).json();
    picture
}

async fn sees_nothing(caller: &Caller) {
    for (path, plural) in [
        ("users", "users"),
        ("users?q=u", "users"),
        ("users?team=t", "users"),
        ("users?group=g", "users"),
        ("users?active=true", "users"),
        ("teams", "teams"),
        ("groups", "groups"),
        ("contents", "contents"),
        ("contents?tag=x", "contents"),
        ("contents?q=content", "contents"),
        ("activities", "activities"),
        ("activities?user=u", "activities"),
        ("activities?team=t", "activities"),
        ("activities?group=g", "activities"),
        ("activities?content=c", "activities"),
        ("activities?tag=x", "activities"),
        ("activities?title=content", "activities"),
        ("activities?custom%5Ba%5D=1", "activities"),
        ("activities?include_deactivated=true", "activities"),
        ("activities?scope=company", "activities"),
        ("me/activities", "activities"),
    ] {
        assert_eq!(caller.list(&format!("/v1/{path}"), plural).await, Vec::<Value>::new(), "{path}");
    }
    assert_eq!(caller.get("/v1/activities?count=exact").await.expect(200).json()["total"], 0);
    assert_eq!(
        caller.get("/v1/activities/export.csv").await.expect(200).text().lines().count(),
        1,
        "headings alone"
    );
    assert!(caller.get("/v1/activities/export.ndjson").await.expect(200).text().is_empty());
    for asked in [
        "",
        "?verb=http://adlnet.gov/expapi/verbs/completed",
        "?activity=https://example.org/d",
        "?agent=%7B%22mbox%22:%22mailto:u@example.org%22%7D",
    ] {
        let answer = caller.get(&format!("/xapi/statements{asked}")).await.expect(200).json();
        assert_eq!(answer["statements"], json!([]), "{asked}");
    }
}

#[apply(both_databases)]
async fn nothing_crosses_between_organisations(server: &TestServer) {
    let ours = server.person("admin", "root");
    let key = fill(&ours).await;
    let before = picture(&ours).await;
    let theirs = server.person_of("other", json!({"sub": "boss", "role": "owner"}));
    sees_nothing(&theirs).await;
    let gone = format!("/v1/credentials/{key}");
    for path in [
        "/v1/users/u",
        "/v1/teams/t",
        "/v1/groups/g",
        "/v1/contents/c",
        "/v1/users/u/activities",
        gone.as_str(),
    ] {
        theirs.get(path).await.expect(404);
    }
    for path in [
        &format!("/v1/activities/{ID}"),
        &format!("/xapi/statements?statementId={STATEMENT}"),
        &format!("/xapi/statements?voidedStatementId={STATEMENT}"),
    ] {
        theirs.get(path).await.expect(404);
    }
    for path in ["/v1/users/u", "/v1/teams/t", "/v1/groups/g", "/v1/contents/c"] {
        theirs.patch(path, &json!({})).await.expect(404);
    }
    for path in [&format!("/v1/activities/{ID}"), &gone] {
        theirs.delete(path).await.expect(404);
    }
    assert_eq!(theirs.get("/v1/credentials").await.expect(200).json()["credentials"], json!([]));
    theirs.post("/v1/activities", &activity("u", "logged_in")).await.expect(400);
    for (member, value) in [
        ("manager", json!("u")),
        ("primary_team", json!("t")),
        ("teams", json!(["t"])),
        ("groups", json!(["g"])),
    ] {
        theirs.put("/v1/users/x", &user("x").set(member, value)).await.expect(400);
    }
    theirs.put("/v1/teams/x", &team("x").set("parent", "t")).await.expect(400);
    // A voiding in another name takes nothing away.
    let voiding_statement = json!({"actor": mailbox("x@example.org"), "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": STATEMENT}});
    theirs.post("/xapi/statements", &voiding_statement).await.expect(200);
    // The same ids, addresses, identifiers and IRIs are free there, and what happens to them stays there.
    fill(&theirs).await;
    theirs.patch("/v1/users/u", &json!({"last_name": "Theirs", "active": false})).await.expect(200);
    theirs.patch("/v1/contents/c", &json!({"title": "Theirs", "pass_mark": 99})).await.expect(200);
    theirs
        .patch(
            "/v1/organisation",
            &json!({"name": "Theirs", "time_zone": "Asia/Tokyo", "managers_see_indirect_reports": false}),
        )
        .await
        .expect(200);
    server
        .person_of("other", json!({"sub": "v", "role": "admin"}))
        .delete(&format!("/v1/activities/{ID}"))
        .await
        .expect(204);
    assert_eq!(picture(&ours).await, before);
    ours.get(&gone).await.expect(200);
}

#[apply(both_databases)]
async fn a_credential_belongs_to_one_organisation(server: &TestServer) {
    let ours = server.person("admin", "root");
    fill(&ours).await;
    let scopes = ["all", "activities/read", "activities/write", "directory", "catalogue"];
    let theirs = server.credential("other", &scopes).await;
    for (path, plural) in [("users", "users"), ("contents", "contents"), ("activities", "activities")] {
        assert_eq!(theirs.list(&format!("/v1/{path}"), plural).await, Vec::<Value>::new(), "{path}");
    }
    theirs.get(&format!("/v1/activities/{ID}")).await.expect(404);
    theirs.get(&format!("/xapi/statements?statementId={STATEMENT}")).await.expect(404);
    assert_eq!(theirs.get("/xapi/statements").await.expect(200).json()["statements"], json!([]));
    theirs.post("/v1/activities", &activity("u", "logged_in")).await.expect(400);
}

#[apply(both_databases)]
async fn reading_makes_no_organisation(server: &TestServer) {
    let reader = server.person_of("new", json!({"sub": "u", "role": "owner"}));
    reader.get("/v1/activities").await.expect(200);
    reader.get("/v1/organisation").await.expect(200);
    reader.get("/xapi/statements").await.expect(200);
    reader.get("/v1/users/u").await.expect(404);
    reader.post("/v1/activities", &activity("u", "logged_in")).await.expect(400);
    assert_eq!(server.store.organisations().await.expect("a list").len(), 0);
    reader.put("/v1/teams/t", &team("t")).await.expect(201);
    assert_eq!(server.store.organisations().await.expect("a list").len(), 1);
}

#[apply(both_databases)]
async fn who_is_deactivated_is_refused_everywhere(server: &TestServer) {
    let admin = server.person("admin", "root");
    fill(&admin).await;
    let key = server.credential("acme", &["activities/read"]).await;
    for role in ["owner", "learner"] {
        let caller = server.person(role, "u");
        caller.get("/v1/me/activities").await.expect(200);
        admin.patch("/v1/users/u", &json!({"active": false})).await.expect(200);
        for path in [
            "/v1/me/activities",
            "/v1/activities",
            "/v1/users",
            "/v1/contents",
            "/v1/organisation",
            "/v1/actions",
            "/xapi/statements",
            "/v1/none",
        ] {
            let refused = caller.get(path).await.expect(403).json();
            assert_eq!(refused["code"], "deactivated", "{path}");
        }
        caller.patch("/v1/users/u", &json!({"active": true})).await.expect(403);
        // The same id elsewhere is somebody else.
        server.person_of("other", json!({"sub": "u"})).get("/v1/activities").await.expect(200);
        key.get("/v1/activities").await.expect(200);
        admin.patch("/v1/users/u", &json!({"active": true})).await.expect(200);
        caller.get("/v1/me/activities").await.expect(200);
    }
    // Whom the directory doesn't have may ask; there is nothing of theirs.
    let stranger = server.person("learner", "stranger");
    assert_eq!(stranger.list("/v1/activities", "activities").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn a_revoked_credential_is_out_at_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let created = admin
        .post("/v1/credentials", &json!({"name": "k", "scopes": ["activities/read"]}))
        .await
        .expect(201)
        .json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    let key = server.anonymous().with_basic(&text("key"), &text("secret"));
    key.get("/v1/activities").await.expect(200);
    server.anonymous().with_basic(&text("key"), "wrong").get("/v1/activities").await.expect(401);
    server.anonymous().with_basic("wrong", &text("secret")).get("/v1/activities").await.expect(401);
    let listed = admin.get("/v1/credentials").await.expect(200);
    assert!(!listed.text().contains(&text("secret")), "the secret is shown once");
    admin.delete(&format!("/v1/credentials/{}", text("id"))).await.expect(204);
    key.get("/v1/activities").await.expect(401);
    admin.delete(&format!("/v1/credentials/{}", text("id"))).await.expect_one_of(&[204, 404]);
}
