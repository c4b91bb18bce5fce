//! Tests of `/v1/groups`.

use serde_json::{Value, json};

use crate::support::builders::{group, user};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn group_is_created_changed_and_listed(server: &TestServer) {
    let admin = server.person("admin", "root");
    let created = admin.put("/v1/groups/aid", &json!({"name": "First aiders"})).await.expect(201);
    assert_eq!(created.header("location"), Some("/v1/groups/aid"));
    assert_eq!(created.json(), json!({"id": "aid", "name": "First aiders"}));
    admin.put("/v1/groups/aid", &json!({"name": "First aiders"})).await.expect(200);
    let patched = admin.patch("/v1/groups/aid", &json!({"name": "Helpers"})).await.expect(200).json();
    assert_eq!(admin.get("/v1/groups/aid").await.expect(200).json(), patched);
    let outcome = admin.post("/v1/groups/batch", &[group("b"), group("aid").set("name", "Helpers")]).await;
    assert_eq!(outcome.expect(200).json(), json!({"created": 1, "updated": 0, "unchanged": 1}));
    let found = admin.list("/v1/groups?q=HELP", "groups").await;
    assert_eq!(found, [json!({"id": "aid", "name": "Helpers"})]);
    assert_eq!(admin.list("/v1/groups?limit=1", "groups").await.len(), 2);
    admin.get("/v1/groups?parent=aid").await.expect(400);
    admin.patch("/v1/groups/none", &json!({"name": "x"})).await.expect(404);
    admin.post("/v1/groups/batch", &[group("c"), group("c")]).await.expect(400);
    admin.get("/v1/groups/c").await.expect(404);
}

#[apply(both_databases)]
async fn group_keeps_members_after_rename(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    admin.put("/v1/users/ada", &user("ada").set("groups", json!(["aid"]))).await.expect(201);
    admin.patch("/v1/groups/aid", &json!({"name": "Helpers"})).await.expect(200);
    assert_eq!(admin.get("/v1/users/ada").await.expect(200).json()["groups"], json!(["aid"]));
}

#[apply(both_databases)]
async fn groups_belong_to_one_organisation(server: &TestServer) {
    server.person("admin", "root").put("/v1/groups/aid", &group("aid")).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.get("/v1/groups/aid").await.expect(404);
    assert_eq!(other.list("/v1/groups", "groups").await, Vec::<Value>::new());
    other.put("/v1/users/eve", &user("eve").set("groups", json!(["aid"]))).await.expect(400);
    server.person("learner", "ada").put("/v1/groups/aid", &group("aid")).await.expect(403);
    server.person("learner", "ada").get("/v1/groups/aid").await.expect(200);
}
