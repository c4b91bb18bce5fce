//! Tests of `/v1/directory/changes`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::copy::Copy;
use super::{completed, rebuild, send};
use crate::support::builders::{content, group, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS, id};
use crate::support::{TestServer, apply, both_databases};
use crate::v1::courses::{course, import, unit};

/// Everything that the lists show, by kind and id.
async fn read_lists(admin: &Caller) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (kind, plural) in [("user", "users"), ("team", "teams"), ("group", "groups"), ("content", "contents")]
    {
        for element in admin.list(&format!("/v1/{plural}?limit=1000"), plural).await {
            all.insert(format!("{kind} {}", element["id"].as_str().expect("an id")), element);
        }
    }
    all
}

#[apply(both_databases)]
async fn each_change_of_the_directory_is_in_its_feed(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_directory());
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    admin.post("/v1/teams/batch", &[team("t1"), team("t2")]).await.expect(200);
    admin.put("/v1/groups/g", &group("g")).await.expect(201);
    assert_eq!(copy.follow(&admin).await, ["upsert team t1", "upsert team t2", "upsert group g"]);
    let ada =
        user("ada").set("email", "ada@example.org").set("teams", json!(["t1"])).set("groups", json!(["g"]));
    admin.put("/v1/users/ada", &ada).await.expect(201);
    admin.put("/v1/users/bo", &user("bo").set("manager", "ada")).await.expect(201);
    assert_eq!(copy.follow(&admin).await, ["upsert user ada", "upsert user bo"]);
    assert_eq!(copy.entries, read_lists(&admin).await, "the shape is that of the resources");
    // The same again is no change.
    admin.put("/v1/users/ada", &ada).await.expect(200);
    admin.put("/v1/groups/g", &group("g")).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    for (path, patch, change) in [
        ("/v1/users/bo", json!({"active": false}), "upsert user bo"),
        ("/v1/users/ada", json!({"teams": ["t2"]}), "upsert user ada"),
        ("/v1/teams/t1", json!({"parent": "t2"}), "upsert team t1"),
        ("/v1/groups/g", json!({"name": "Another"}), "upsert group g"),
    ] {
        admin.patch(path, &patch).await.expect(200);
        assert_eq!(copy.follow(&admin).await, [change], "{path} {patch}");
    }
    // Both users change when an identifier moves.
    let moved = json!({"identifiers": [mailbox("ada@example.org")], "from": null});
    admin.post("/v1/users/bo/identifiers", &moved).await.expect(200);
    let mut changes = copy.follow(&admin).await;
    changes.sort();
    assert_eq!(changes, ["upsert user ada", "upsert user bo"]);
    admin.patch("/v1/users/bo", &json!({"active": true})).await.expect(200);
    let moved = json!({"identifiers": [mailbox("ada@example.org")]});
    admin.post("/v1/users/ada/identifiers", &moved).await.expect(200);
    let mut changes = copy.follow(&admin).await;
    changes.sort();
    assert_eq!(changes, ["upsert user ada", "upsert user bo"]);
    // A new home page claims an account of each user.
    admin.patch("/v1/organisation", &json!({"account_home_page": "https://lms.example"})).await.expect(200);
    copy.follow(&admin).await;
    assert_eq!(copy.entries, read_lists(&admin).await);
    let mut late = Copy::of_directory();
    late.follow(&admin).await;
    assert_eq!(late.entries, copy.entries);
    assert!(late.place() <= copy.place());
}

#[apply(both_databases)]
async fn contents_of_records_and_of_the_catalogue_are_in_the_feed(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_directory());
    let named = |n: usize, title: &str| {
        completed(n, "ada@example.org", "urn:c").set("object.definition", json!({"name": {"en": title}}))
    };
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert content urn:c"]);
    send(&admin, completed(2, "ada@example.org", "urn:c")).await;
    assert_eq!(copy.follow(&admin).await, [""; 0], "a further record changes no content");
    send(&admin, named(3, "One")).await;
    assert_eq!(copy.follow(&admin).await, ["upsert content urn:c"]);
    let typed = completed(4, "ada@example.org", "urn:c")
        .set("object.definition", json!({"type": "http://adlnet.gov/expapi/activities/assessment"}));
    send(&admin, typed).await;
    assert_eq!(copy.follow(&admin).await, ["upsert content urn:c"]);
    assert_eq!(copy.entries, read_lists(&admin).await);
    // Registered under another id: the former one is gone.
    admin.put("/v1/contents/c", &content("c", "quiz").set("iri", "urn:c")).await.expect(201);
    assert_eq!(copy.follow(&admin).await, ["delete content urn:c", "upsert content c"]);
    let demands = json!({"pass_mark": 80, "effective_from": "2026-01-01T00:00:00Z"});
    admin.patch("/v1/contents/c", &demands).await.expect(200);
    assert_eq!(copy.follow(&admin).await, ["upsert content c"]);
    assert_eq!(copy.entries["content c"]["pass_mark"].as_f64(), Some(80.0));
    // What only mentions name is no content of the catalogue, until a record is about it.
    let mention = completed(5, "ada@example.org", "urn:c")
        .set("context.contextActivities.other", json!([{"id": "urn:m"}]));
    send(&admin, mention).await;
    assert_eq!(copy.follow(&admin).await, [""; 0]);
    rebuild(server).await;
    copy.follow(&admin).await;
    assert_eq!(copy.entries, read_lists(&admin).await);
}

#[apply(both_databases)]
async fn content_that_no_record_is_about_any_more_is_deleted(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_directory());
    let question =
        statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/answered", "urn:au/q1")
            .set("id", id(1))
            .set("object.definition", json!({"type": "http://adlnet.gov/expapi/activities/cmi.interaction"}))
            .set("context.contextActivities.grouping", json!([{"id": "urn:publisher"}, {"id": "urn:au"}]));
    admin.post(STATEMENTS, &question).await.expect(200);
    copy.follow(&admin).await;
    assert!(copy.entries.contains_key("content urn:publisher"), "{:?}", copy.entries);
    admin
        .post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:au").set("id", id(2)))
        .await
        .expect(200);
    let changes = copy.follow(&admin).await;
    assert!(changes.contains(&"delete content urn:publisher".to_owned()), "{changes:?}");
    assert_eq!(copy.entries, read_lists(&admin).await);
}

#[apply(both_databases)]
async fn content_that_leaves_its_course_is_in_the_feed(server: &TestServer) {
    let (admin, mut copy) = (server.person("admin", "root"), Copy::of_directory());
    let stays = unit("urn:a1", "", "https://p.example/1");
    let leaves = unit("urn:a2", "", "https://p.example/2");
    let first = course("https://p.example/course", &format!("{stays}{leaves}"));
    let imported = import(&admin, &first).await.expect(201).json();
    let gone = format!("content {}", imported["children"][1]["id"].as_str().expect("an id"));
    copy.follow(&admin).await;
    assert_eq!(copy.entries[&gone]["archived_at"], Value::Null);
    let second = course("https://p.example/course", &stays);
    import(&admin, &second).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [format!("upsert {gone}")]);
    assert!(copy.entries[&gone]["archived_at"].is_string());
    // What is archived already is no change.
    import(&admin, &second).await.expect(200);
    assert_eq!(copy.follow(&admin).await, [""; 0]);
}
