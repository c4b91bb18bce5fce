//! Tests of the separation of organisations in one database, and of deactivated users and revoked
//! credentials.

use serde_json::{Value, json};

use crate::support::builders::{activity, content, group, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::records::COMPLETED;
use crate::support::{TestServer, apply, both_databases};

const ID: &str = "00000000-0000-4000-8000-000000000001";
const STATEMENT: &str = "00000000-0000-4000-8000-000000000002";

/// Creates one of each kind of data, and returns the id of a credential.
async fn create_one_of_each(admin: &Caller) -> String {
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

/// Everything that an organisation reads, without times and its name.
async fn read_everything(admin: &Caller) -> Value {
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

async fn assert_sees_nothing(caller: &Caller) {
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
        "only headings"
    );
    assert!(caller.get("/v1/activities/export.ndjson").await.expect(200).text().is_empty());
    for query in [
        "",
        "?verb=http://adlnet.gov/expapi/verbs/completed",
        "?activity=https://example.org/d",
        "?agent=%7B%22mbox%22:%22mailto:u@example.org%22%7D",
    ] {
        let answer = caller.get(&format!("/xapi/statements{query}")).await.expect(200).json();
        assert_eq!(answer["statements"], json!([]), "{query}");
    }
}

#[apply(both_databases)]
async fn organisations_are_separate(server: &TestServer) {
    let admin = server.person("admin", "root");
    let key = create_one_of_each(&admin).await;
    let before = read_everything(&admin).await;
    let other_owner = server.person_of("other", json!({"sub": "boss", "role": "owner"}));
    assert_sees_nothing(&other_owner).await;
    let credential_path = format!("/v1/credentials/{key}");
    for path in [
        "/v1/users/u",
        "/v1/teams/t",
        "/v1/groups/g",
        "/v1/contents/c",
        "/v1/users/u/activities",
        credential_path.as_str(),
    ] {
        other_owner.get(path).await.expect(404);
    }
    for path in [
        &format!("/v1/activities/{ID}"),
        &format!("/xapi/statements?statementId={STATEMENT}"),
        &format!("/xapi/statements?voidedStatementId={STATEMENT}"),
    ] {
        other_owner.get(path).await.expect(404);
    }
    for path in ["/v1/users/u", "/v1/teams/t", "/v1/groups/g", "/v1/contents/c"] {
        other_owner.patch(path, &json!({})).await.expect(404);
    }
    for path in [&format!("/v1/activities/{ID}"), &credential_path] {
        other_owner.delete(path).await.expect(404);
    }
    assert_eq!(other_owner.get("/v1/credentials").await.expect(200).json()["credentials"], json!([]));
    other_owner.post("/v1/activities", &activity("u", "logged_in")).await.expect(400);
    for (member, value) in [
        ("manager", json!("u")),
        ("primary_team", json!("t")),
        ("teams", json!(["t"])),
        ("groups", json!(["g"])),
    ] {
        other_owner.put("/v1/users/x", &user("x").set(member, value)).await.expect(400);
    }
    other_owner.put("/v1/teams/x", &team("x").set("parent", "t")).await.expect(400);
    // A voiding in another organisation has no effect.
    let voiding_statement = json!({"actor": mailbox("x@example.org"), "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": STATEMENT}});
    other_owner.post("/xapi/statements", &voiding_statement).await.expect(200);
    // The other organisation can use the same ids, addresses, identifiers and IRIs, without effect on the
    // first.
    create_one_of_each(&other_owner).await;
    other_owner.patch("/v1/users/u", &json!({"last_name": "Theirs", "active": false})).await.expect(200);
    other_owner.patch("/v1/contents/c", &json!({"title": "Theirs", "pass_mark": 99})).await.expect(200);
    other_owner
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
    assert_eq!(read_everything(&admin).await, before);
    admin.get(&credential_path).await.expect(200);
}

#[apply(both_databases)]
async fn credential_belongs_to_one_organisation(server: &TestServer) {
    let admin = server.person("admin", "root");
    create_one_of_each(&admin).await;
    let scopes = ["all", "activities/read", "activities/write", "directory", "catalogue"];
    let other_owner = server.credential("other", &scopes).await;
    for (path, plural) in [("users", "users"), ("contents", "contents"), ("activities", "activities")] {
        assert_eq!(other_owner.list(&format!("/v1/{path}"), plural).await, Vec::<Value>::new(), "{path}");
    }
    other_owner.get(&format!("/v1/activities/{ID}")).await.expect(404);
    other_owner.get(&format!("/xapi/statements?statementId={STATEMENT}")).await.expect(404);
    assert_eq!(other_owner.get("/xapi/statements").await.expect(200).json()["statements"], json!([]));
    other_owner.post("/v1/activities", &activity("u", "logged_in")).await.expect(400);
}

#[apply(both_databases)]
async fn reading_creates_no_organisation(server: &TestServer) {
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
async fn deactivated_user_is_refused_everywhere(server: &TestServer) {
    let admin = server.person("admin", "root");
    create_one_of_each(&admin).await;
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
        // The same id in another organisation is another user.
        server.person_of("other", json!({"sub": "u"})).get("/v1/activities").await.expect(200);
        key.get("/v1/activities").await.expect(200);
        admin.patch("/v1/users/u", &json!({"active": true})).await.expect(200);
        caller.get("/v1/me/activities").await.expect(200);
    }
    // A user that the directory does not contain may send requests, but has no activities.
    let stranger = server.person("learner", "stranger");
    assert_eq!(stranger.list("/v1/activities", "activities").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn revoked_credential_is_refused_at_once(server: &TestServer) {
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
    admin.delete(&format!("/v1/credentials/{}", text("id"))).await.expect(404);
}
