//! Tests of `/v1/teams`.

use serde_json::{Value, json};

use crate::support::builders::team;
use crate::support::records::list_ids;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn team_is_created_changed_and_listed(server: &TestServer) {
    let admin = server.person("admin", "root");
    let created = admin.put("/v1/teams/sales", &json!({"name": "Sales"})).await.expect(201);
    assert_eq!(created.header("location"), Some("/v1/teams/sales"));
    assert_eq!(created.json(), json!({"id": "sales", "name": "Sales", "parent": null}));
    admin.put("/v1/teams/north", &json!({"name": "North", "parent": "sales"})).await.expect(201);
    admin.put("/v1/teams/north", &json!({"name": "Nord", "parent": "sales"})).await.expect(200);
    let patched = admin.patch("/v1/teams/north", &json!({"name": "Nörd"})).await.expect(200).json();
    assert_eq!(patched, json!({"id": "north", "name": "Nörd", "parent": "sales"}));
    assert_eq!(admin.get("/v1/teams/north").await.expect(200).json(), patched);
    let without_parent = admin.patch("/v1/teams/north", &json!({"parent": null})).await.expect(200).json();
    assert_eq!(without_parent["parent"], Value::Null);
    admin.patch("/v1/teams/north", &json!({"name": null})).await.expect(400);
    admin.put("/v1/teams/north", &json!({"parent": "sales"})).await.expect(400);
    admin.get("/v1/teams/none").await.expect(404);
    for (query, expected) in [("q=N%C3%96", "north"), ("q=sales", "sales"), ("", "north sales")] {
        assert_eq!(
            list_ids(&admin.list(&format!("/v1/teams?limit=1&{query}"), "teams").await).join(" "),
            expected
        );
    }
    admin.get("/v1/teams?active=true").await.expect(400);
}

#[apply(both_databases)]
async fn batch_accepts_parents_in_any_order(server: &TestServer) {
    let admin = server.person("admin", "root");
    let batch = [team("c").set("parent", "b"), team("b").set("parent", "a"), team("a")];
    let outcome = admin.post("/v1/teams/batch", &batch).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 3, "updated": 0, "unchanged": 0}));
    let outcome = admin.post("/v1/teams/batch", &[batch[0].clone(), batch[1].clone().set("name", "B")]).await;
    assert_eq!(outcome.expect(200).json(), json!({"created": 0, "updated": 1, "unchanged": 1}));
    assert_eq!(list_ids(&admin.list("/v1/teams?parent=a&parent=b", "teams").await), ["b", "c"]);
    let refused = admin.post("/v1/teams/batch", &[team("x"), team("y").set("parent", "z")]).await.expect(400);
    assert_eq!(refused.json()["pointer"], "/1/parent");
    let refused = admin.patch("/v1/teams/a", &json!({"parent": "c"})).await.expect(400).json();
    assert_eq!(refused["pointer"], "/parent");
    assert!(refused["detail"].as_str().expect("a detail").contains("a → c → b → a"), "{refused}");
    assert_eq!(admin.list("/v1/teams", "teams").await.len(), 3);
}

#[apply(both_databases)]
async fn every_role_reads_teams_and_only_some_write_them(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/teams/t", &team("t")).await.expect(201);
    let learner = server.person("learner", "ada");
    assert_eq!(list_ids(&learner.list("/v1/teams", "teams").await), ["t"]);
    learner.put("/v1/teams/t", &team("t")).await.expect(403);
    learner.post("/v1/teams/batch", &[team("t")]).await.expect(403);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.get("/v1/teams/t").await.expect(404);
    other.put("/v1/teams/u", &team("u").set("parent", "t")).await.expect(400);
    assert_eq!(other.list("/v1/teams", "teams").await, Vec::<Value>::new());
    server.credential("acme", &["directory"]).await.put("/v1/teams/u", &team("u")).await.expect(201);
    server.credential("acme", &["catalogue"]).await.get("/v1/teams").await.expect(403);
}
