//! Tests of `/v1/users`: writing, reading within the reach, and identifiers.

use serde_json::{Value, json};

use crate::support::builders::{Body, activity, group, mailbox, statement, team, user};
use crate::support::http::encode_segment;
use crate::support::records::{COMPLETED, list_ids};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn user_is_created_replaced_and_returned(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/teams/batch", &[team("north"), team("south")]).await.expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    admin.put("/v1/users/boss", &user("boss").set("role", "manager")).await.expect(201);
    let body = json!({
        "first_name": "Ada", "last_name": "Obi", "email": "Ada.Obi@example.org", "role": "learning_designer",
        "job_title": "Designer", "language": "English", "location": "Leeds", "joined_on": "2021-04-01",
        "manager": "boss", "primary_team": "south", "teams": ["north"], "groups": ["aid"],
        "identifiers": [{"openid": "https://id.example.org/ada", "name": "Ada"}],
        "custom": {"Cost centre": "4711"}
    });
    let created = admin.put("/v1/users/u%2F1", &body).await.expect(201);
    assert_eq!(created.header("location"), Some("/v1/users/u%2F1"));
    let mut read = admin.get("/v1/users/u%2F1").await.expect(200).json();
    assert_eq!(created.json(), read);
    let identifiers = read["identifiers"].take();
    assert_eq!(
        read,
        json!({
            "id": "u/1", "first_name": "Ada", "last_name": "Obi", "email": "Ada.Obi@example.org",
            "role": "learning_designer", "job_title": "Designer", "language": "English", "location": "Leeds",
            "joined_on": "2021-04-01", "manager": "boss", "primary_team": "south", "teams": ["north", "south"],
            "groups": ["aid"], "active": true, "deactivated_at": null, "identifiers": null,
            "custom": {"Cost centre": "4711"}
        })
    );
    let identifiers = identifiers.as_array().expect("identifiers").clone();
    for expected in [
        json!({"openid": "https://id.example.org/ada"}),
        json!({"mbox": "mailto:Ada.Obi@example.org"}),
        json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "u/1"}}),
    ] {
        assert!(identifiers.contains(&expected), "{expected} is missing in {identifiers:?}");
    }
    assert_eq!(identifiers.iter().filter(|agent| agent.get("mbox_sha1sum").is_some()).count(), 2);

    let replaced = admin.put("/v1/users/u%2F1", &json!({"last_name": "Ola"})).await.expect(200).json();
    assert_eq!(replaced["first_name"], Value::Null);
    assert_eq!((&replaced["role"], &replaced["manager"]), (&json!("learner"), &Value::Null));
    assert_eq!(
        (&replaced["teams"], &replaced["groups"], &replaced["custom"]),
        (&json!([]), &json!([]), &json!({}))
    );
    let left = json!([
        {"openid": "https://id.example.org/ada"},
        {"account": {"homePage": "https://rollbook.invalid/acme", "name": "u/1"}}
    ]);
    assert_eq!(replaced["identifiers"], left, "only the address is given up");
    // Sending the returned body again changes nothing.
    let again = admin.put("/v1/users/u%2F1", &replaced).await.expect(200).json();
    assert_eq!(again, replaced);
}

#[apply(both_databases)]
async fn patch_changes_only_the_given_members(server: &TestServer) {
    let admin = server.person("owner", "root");
    admin.put("/v1/users/ada", &user("ada").set("custom.a", "1").set("custom.b", "2")).await.expect(201);
    let patched =
        admin.patch("/v1/users/ada", &json!({"first_name": null, "custom": {"a": null, "c": "3"}})).await;
    let patched = patched.expect(200).json();
    assert_eq!((&patched["first_name"], &patched["last_name"]), (&Value::Null, &json!("Example")));
    assert_eq!(patched["custom"], json!({"b": "2", "c": "3"}));
    admin.patch("/v1/users/nobody", &json!({})).await.expect(404);
    let refused = admin.patch("/v1/users/ada", &json!({"role": "boss", "id": "bo"})).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/id", "/role"]);
    admin.patch("/v1/users/ada", &json!([])).await.expect(400);
}

#[apply(both_databases)]
async fn user_is_deactivated_and_activated_again(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    let deactivated = admin.patch("/v1/users/ada", &json!({"active": false})).await.expect(200).json();
    assert_eq!(deactivated["deactivated_at"], "2026-03-18T10:17:23.000Z");
    server.person("learner", "ada").get("/v1/users/ada").await.expect(403);
    let unchanged = admin.put("/v1/users/ada", &user("ada").set("active", false)).await.expect(200).json();
    assert_eq!(
        unchanged["deactivated_at"], deactivated["deactivated_at"],
        "the time of deactivation does not change"
    );
    let activated = admin.patch("/v1/users/ada", &json!({"active": true})).await.expect(200).json();
    assert_eq!((&activated["active"], &activated["deactivated_at"]), (&json!(true), &Value::Null));
    let dated = json!({"active": false, "deactivated_at": "2025-12-31T23:00:00+01:00"});
    let dated = admin.patch("/v1/users/ada", &dated).await;
    assert_eq!(dated.expect(200).json()["deactivated_at"], "2025-12-31T22:00:00.000Z");
}

#[apply(both_databases)]
async fn deactivation_in_the_future_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    let body = user("ada").set("deactivated_at", "2026-03-18T10:17:23.001Z");
    let refused = admin.put("/v1/users/ada", &body).await.expect(400);
    assert_eq!(refused.json()["pointer"], "/deactivated_at");
    let refused = admin.post("/v1/users/batch", &[user("bo"), body]).await.expect(400);
    assert_eq!(refused.json()["pointer"], "/1/deactivated_at");
    let body = user("ada").set("deactivated_at", "2026-03-18T10:17:23.000Z");
    admin.put("/v1/users/ada", &body).await.expect(201);
    let patch = json!({"deactivated_at": "2027-01-01T00:00:00Z"});
    let refused = admin.patch("/v1/users/ada", &patch).await.expect(400);
    assert_eq!(refused.json()["pointer"], "/deactivated_at");
}

#[apply(both_databases)]
async fn user_leaves_the_former_primary_team(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/teams/batch", &[team("a"), team("b"), team("c")]).await.expect(200);
    let ada = user("ada").set("primary_team", "a").set("teams", json!(["b"]));
    admin.put("/v1/users/ada", &ada).await.expect(201);
    for (patch, primary_team, teams) in [
        (json!({"primary_team": "c"}), json!("c"), json!(["b", "c"])),
        (json!({"primary_team": "b"}), json!("b"), json!(["b"])),
        (json!({"primary_team": "b"}), json!("b"), json!(["b"])),
        (json!({"primary_team": "a", "teams": ["b"]}), json!("a"), json!(["a", "b"])),
        (json!({"first_name": "Ada"}), json!("a"), json!(["a", "b"])),
        (json!({"primary_team": null}), json!(null), json!(["b"])),
    ] {
        let after = admin.patch("/v1/users/ada", &patch).await.expect(200).json();
        assert_eq!((&after["primary_team"], &after["teams"]), (&primary_team, &teams), "{patch}");
    }
    assert_eq!(admin.list("/v1/users?team=a", "users").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn last_owner_stays_an_active_owner(server: &TestServer) {
    let owner = server.person("owner", "ada");
    let hr = server.credential("acme", &["directory"]).await;
    let owners = [user("ada").set("role", "owner"), user("bo").set("role", "owner")];
    owner.post("/v1/users/batch", &owners).await.expect(200);
    owner.patch("/v1/users/bo", &json!({"role": "admin"})).await.expect(200);
    for caller in [&owner, &server.person("admin", "bo"), &hr] {
        let refused = caller.patch("/v1/users/ada", &json!({"role": "admin"})).await.expect(409);
        assert_eq!(refused.json()["pointer"], "/role");
        let refused = caller.patch("/v1/users/ada", &json!({"active": false})).await.expect(409);
        assert_eq!(refused.json()["pointer"], "/active");
        caller.put("/v1/users/ada", &user("ada")).await.expect(409);
        let batch = [user("cy"), user("ada").set("role", "owner").set("active", false)];
        let refused = caller.post("/v1/users/batch", &batch).await.expect(409);
        assert_eq!(refused.json()["pointer"], "/1/active");
    }
    owner.get("/v1/users/cy").await.expect(404);
    // A batch is judged by its outcome.
    let batch = [user("ada"), user("bo").set("role", "owner")];
    owner.post("/v1/users/batch", &batch).await.expect(200);
    // A directory without owners stays writable.
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.put("/v1/users/ada", &user("ada").set("role", "admin")).await.expect(201);
    other.patch("/v1/users/ada", &json!({"active": false})).await.expect(200);
}

#[apply(both_databases)]
async fn batch_of_users_is_all_or_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let batch = [user("a").set("manager", "b"), user("b").set("manager", "c"), user("c")];
    let outcome = admin.post("/v1/users/batch", &batch).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 3, "updated": 0, "unchanged": 0}));
    let again = [user("a").set("manager", "b"), user("b").set("email", "b@example.org"), user("d")];
    let outcome = admin.post("/v1/users/batch", &again).await.expect(200).json();
    assert_eq!(outcome, json!({"created": 1, "updated": 1, "unchanged": 1}));
    let lines = "{\"id\":\"e\"}\n\n{\"id\":\"f\",\"manager\":\"e\"}\n";
    let headers = [("content-type", "application/x-ndjson")];
    let sent = admin.send(reqwest::Method::POST, "/v1/users/batch", &headers, lines.into()).await;
    assert_eq!(sent.expect(200).json()["created"], 2);

    let bad = [
        user("g"),
        user("h").set("manager", "nobody").set("teams", json!(["t"])).set("groups", json!(["g"])),
    ];
    let refused = admin.post("/v1/users/batch", &bad).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/manager", "/1/teams", "/1/groups"]);
    let bad = [
        json!({"id": "g"}),
        json!({"name": "?"}),
        json!({"id": "g", "email": "@"}),
        json!({"id": "i", "email": 7}),
    ];
    let refused = admin.post("/v1/users/batch", &bad).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/name", "/1/id", "/2/email", "/2/id", "/3/email"]);
    admin.get("/v1/users/g").await.expect(404);
    admin.post("/v1/users/batch", &json!({"id": "g"})).await.expect(400);
    assert_eq!(list_ids(&admin.list("/v1/users?limit=2", "users").await), ["a", "b", "c", "d", "e", "f"]);
}

#[apply(both_databases)]
async fn cycle_of_managers_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    let chain = [user("a"), user("b").set("manager", "a"), user("c").set("manager", "b")];
    admin.post("/v1/users/batch", &chain).await.expect(200);
    let refused = admin.patch("/v1/users/a", &json!({"manager": "c"})).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/manager"]);
    let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("a → c → b → a"), "{detail}");
    admin.patch("/v1/users/a", &json!({"manager": "a"})).await.expect(400);
    let reversed = [user("c"), user("a").set("manager", "c"), user("b").set("manager", "a")];
    admin.post("/v1/users/batch", &reversed).await.expect(200);
    let cycle = [user("x").set("manager", "y"), user("y").set("manager", "x")];
    let refused = admin.post("/v1/users/batch", &cycle).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/0/manager"]);
    admin.get("/v1/users/x").await.expect(404);
}

#[apply(both_databases)]
async fn identifier_stays_with_its_user_until_moved(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let refused = admin.put("/v1/users/bo", &user("bo").set("email", "ADA@example.org")).await.expect(409);
    assert_eq!(refused.error_pointers(), ["/email", "/email"]);
    let detail = refused.json()["errors"][0]["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("mailto:ADA@example.org") && detail.contains("`ada`"), "{detail}");
    admin.get("/v1/users/bo").await.expect(404);
    let batch = [user("x").set("email", "x@example.org"), user("y").set("email", "x@example.org")];
    let refused = admin.post("/v1/users/batch", &batch).await.expect(409);
    assert_eq!(refused.error_pointers(), ["/1/email", "/1/email"]);

    // An owner or admin can move it. A credential cannot.
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    let moved = json!({"identifiers": [mailbox("ada@example.org")]});
    let key = server.credential("acme", &["directory"]).await;
    key.post("/v1/users/bo/identifiers", &moved).await.expect(403);
    let bo = admin.post("/v1/users/bo/identifiers", &moved).await.expect(200).json();
    assert!(bo["identifiers"].as_array().expect("identifiers").contains(&mailbox("ada@example.org")));
    let ada = admin.get("/v1/users/ada").await.expect(200).json();
    assert!(!ada["identifiers"].as_array().expect("identifiers").contains(&mailbox("ada@example.org")));
    admin.post("/v1/users/nobody/identifiers", &moved).await.expect(404);
    admin.post("/v1/users/bo/identifiers", &json!({"identifiers": []})).await.expect(400);
    // After the move, the addresses of both users are no conflict.
    admin.patch("/v1/users/bo", &json!({"email": "ada@example.org"})).await.expect(200);
    let outcome = admin.post("/v1/users/batch", &[user("ada").set("email", "ada@example.org")]).await;
    assert_eq!(outcome.expect(200).json()["unchanged"], 1);
}

#[apply(both_databases)]
async fn earlier_activities_of_an_actor_become_the_users(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sent = statement(mailbox("late@example.org"), COMPLETED, "http://example.org/course");
    admin.post("/xapi/statements", &sent).await.expect(200);
    let before = admin.get("/v1/activities").await.expect(200).json();
    assert_eq!(before["activities"][0]["user"]["id"], Value::Null);
    admin.put("/v1/users/late", &user("late").set("email", "late@example.org")).await.expect(201);
    let own = server.person("learner", "late").get("/v1/me/activities").await.expect(200).json();
    assert_eq!(own["activities"][0]["user"]["id"], "late");
    admin.put("/v1/users/other", &user("other")).await.expect(201);
    let moved = json!({"identifiers": [mailbox("late@example.org")], "from": null});
    admin.post("/v1/users/other/identifiers", &moved).await.expect(200);
    let own = server.person("learner", "late").get("/v1/me/activities").await.expect(200).json();
    assert_eq!(own["activities"], json!([]));
    let others = admin.get("/v1/users/other/activities").await.expect(200).json();
    assert_eq!(others["activities"].as_array().map(Vec::len), Some(1));
}

#[apply(both_databases)]
async fn deactivated_user_is_not_in_the_log(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin.post("/v1/activities", &activity("ada", "logged_in")).await.expect(201);
    let rows = async |query: &str| {
        let answer = admin.get(&format!("/v1/activities{query}")).await.expect(200).json();
        answer["activities"].as_array().map(Vec::len)
    };
    assert_eq!(rows("").await, Some(1));
    admin.patch("/v1/users/ada", &json!({"active": false})).await.expect(200);
    assert_eq!(rows("").await, Some(0));
    assert_eq!(rows("?include_deactivated=true").await, Some(1));
    admin.patch("/v1/users/ada", &json!({"active": true})).await.expect(200);
    assert_eq!(rows("").await, Some(1));
}

#[apply(both_databases)]
async fn users_are_filtered_and_paged(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/teams/batch", &[team("t1"), team("t2")]).await.expect(200);
    admin.post("/v1/groups/batch", &[group("g1"), group("g2")]).await.expect(200);
    let users = [
        user("a").set("first_name", "Ödön").set("role", "admin").set("primary_team", "t1"),
        user("b")
            .set("email", "bea@example.org")
            .set("job_title", "Head of Safety")
            .set("teams", json!(["t2", "t1"]))
            .set("manager", "a"),
        user("c").set("groups", json!(["g1"])).set("active", false).set("manager", "b"),
        user("d").set("groups", json!(["g1", "g2"])).set("role", "hr").set("last_name", "100%_sure"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    for (query, expected) in [
        ("q=%C3%B6D%C3%96n+example", "a"),
        ("q=BEA%40", "b"),
        ("q=%25_", "d"),
        ("q=safety+BEA", "b"),
        ("id=c&id=a", "a c"),
        ("id=a&active=false", ""),
        ("id=a&id=none", "a"),
        ("q=x_y", ""),
        ("active=false", "c"),
        ("active=true", "a b d"),
        ("team=t1", "a b"),
        ("team=t2&team=none", "b"),
        ("group=g1", "c d"),
        ("group=g1&active=true", "d"),
        ("manager=a&manager=b", "b c"),
        ("role=admin,hr", "a d"),
        ("role=hr&role=manager", "d"),
        ("team=none", ""),
    ] {
        let found = admin.list(&format!("/v1/users?{query}"), "users").await;
        assert_eq!(list_ids(&found).join(" "), expected, "{query}");
    }
    let first = admin.get("/v1/users?limit=2&active=true").await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert!(
        next.starts_with("/v1/users?") && next.contains("active=true") && next.contains("limit=2"),
        "{next}"
    );
    assert_eq!(first.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    let second = admin.get(&next).await.expect(200).json();
    assert_eq!(
        (list_ids(second["users"].as_array().expect("users")), &second["next"]),
        (vec!["d"], &Value::Null)
    );
    // A cursor is valid only for the same parameters and the same caller.
    admin.get(&next.replace("active=true", "active=false")).await.expect(400);
    server.person("admin", "other").get(&next).await.expect(400);
    admin.get("/v1/users?cursor=nonsense").await.expect(400);
    for bad in
        ["limit=0", "limit=1001", "active=yes", "role=boss", "colour=red", "team=", "q=a&q=b", "scope=me"]
    {
        admin.get(&format!("/v1/users?{bad}")).await.expect(400);
    }
}

#[apply(both_databases)]
async fn caller_sees_only_users_within_reach(server: &TestServer) {
    let admin = server.person("admin", "root");
    let tree =
        [user("top"), user("mid").set("manager", "top"), user("low").set("manager", "mid"), user("far")];
    admin.post("/v1/users/batch", &tree).await.expect(200);
    for (role, who, expected) in [
        ("owner", "far", "far low mid top"),
        ("hr", "far", "far low mid top"),
        ("reporter", "far", "far low mid top"),
        ("learning_designer", "far", "far low mid top"),
        ("curator", "far", "far"),
        ("manager", "top", "low mid top"),
        ("manager", "mid", "low mid"),
        ("manager", "far", "far"),
        ("learner", "top", "top"),
        ("learner", "unknown", ""),
    ] {
        let caller = server.person(role, who);
        let found = caller.list("/v1/users?limit=2", "users").await;
        assert_eq!(list_ids(&found).join(" "), expected, "{role} {who}");
        for id in ["far", "low", "mid", "top"] {
            let status = if expected.split(' ').any(|visible| visible == id) { 200 } else { 404 };
            caller.get(&format!("/v1/users/{id}")).await.expect(status);
        }
    }
    // The token's list of reports replaces the directory. It may contain unknown users.
    let claims = json!({"sub": "top", "role": "manager", "reports": {"direct": ["far", "ghost"], "indirect": ["low"]}});
    let caller = server.person_of("acme", claims);
    assert_eq!(list_ids(&caller.list("/v1/users", "users").await), ["far", "low", "top"]);
    let claims = json!({"sub": "far", "role": "curator", "permissions": ["reporting"]});
    assert_eq!(server.person_of("acme", claims).list("/v1/users", "users").await.len(), 4);
    // The organisation or the token can exclude indirect reports.
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    let direct = server.person("manager", "top");
    assert_eq!(list_ids(&direct.list("/v1/users", "users").await), ["mid", "top"]);
    direct.get("/v1/users/low").await.expect(404);
    let claims = json!({"sub": "top", "role": "manager", "permissions": ["indirect_reports"]});
    assert_eq!(server.person_of("acme", claims).list("/v1/users", "users").await.len(), 3);
    // A filter never widens the reach.
    assert_eq!(list_ids(&direct.list("/v1/users?manager=mid", "users").await), Vec::<&str>::new());
}

#[apply(both_databases)]
async fn users_of_other_organisations_are_not_accessible(server: &TestServer) {
    let acme = server.person("admin", "root");
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    assert_eq!(other.list("/v1/users", "users").await, Vec::<Value>::new());
    acme.put("/v1/teams/t", &team("t")).await.expect(201);
    acme.put("/v1/users/ada", &user("ada").set("email", "ada@example.org").set("teams", json!(["t"])))
        .await
        .expect(201);
    other.get("/v1/users/ada").await.expect(404);
    other.patch("/v1/users/ada", &json!({"first_name": "Eve"})).await.expect(404);
    other
        .post("/v1/users/ada/identifiers", &json!({"identifiers": [mailbox("e@example.org")]}))
        .await
        .expect(404);
    other.put("/v1/users/eve", &user("eve").set("manager", "ada")).await.expect(400);
    other.put("/v1/users/eve", &user("eve").set("teams", json!(["t"]))).await.expect(400);
    // Another organisation may use the same ids and addresses.
    other
        .put("/v1/users/ada", &user("ada").set("email", "ada@example.org").set("first_name", "Eve"))
        .await
        .expect(201);
    assert_eq!(acme.get("/v1/users/ada").await.expect(200).json()["first_name"], "ada");
    assert_eq!(other.list("/v1/users?q=ada", "users").await.len(), 1);
}

#[apply(both_databases)]
async fn only_some_callers_may_write_users(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    for role in ["hr", "reporter", "learning_designer", "curator", "manager", "learner"] {
        let caller = server.person(role, "ada");
        caller.put("/v1/users/ada", &user("ada")).await.expect(403);
        caller.patch("/v1/users/ada", &json!({"role": "owner"})).await.expect(403);
        caller.post("/v1/users/batch", &[user("ada")]).await.expect(403);
        caller
            .post("/v1/users/ada/identifiers", &json!({"identifiers": [mailbox("e@example.org")]}))
            .await
            .expect(403);
    }
    let directory = server.credential("acme", &["directory"]).await;
    directory.put("/v1/users/bo", &user("bo")).await.expect(201);
    assert_eq!(directory.list("/v1/users", "users").await.len(), 2);
    let reader = server.credential("acme", &["activities/read", "catalogue", "all"]).await;
    reader.get("/v1/users").await.expect(403);
    reader.put("/v1/users/bo", &user("bo")).await.expect(403);
    server.anonymous().get("/v1/users").await.expect(401);
    admin.delete("/v1/users/ada").await.expect(405);
}

#[apply(both_databases)]
async fn invalid_users_are_refused_and_not_stored(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (body, pointer) in [
        (r#"{"first_name":"a\u0000b"}"#, "/first_name"),
        (r#"{"joined_on":"yesterday"}"#, "/joined_on"),
        (r#"{"custom":{"a":{"b":"c"}}}"#, "/custom/a"),
        (r#"{"teams":"t"}"#, "/teams"),
        (r#"{"email":"a","email":"b"}"#, "/email"),
        (r#"{"deactivated_at":"2026-01-01"}"#, "/deactivated_at"),
        (r#"{"id":"other"}"#, "/id"),
        ("[]", ""),
        ("{", ""),
    ] {
        let headers = [("content-type", "application/json")];
        let refused =
            admin.send(reqwest::Method::PUT, "/v1/users/ada", &headers, body.into()).await.expect(400);
        assert_eq!(refused.json()["pointer"], pointer, "{body}");
    }
    admin
        .send(reqwest::Method::PUT, "/v1/users/ada", &[("content-type", "text/plain")], "{}".into())
        .await
        .expect(415);
    admin.put(&format!("/v1/users/{}", "x".repeat(256)), &json!({})).await.expect(400);
    assert_eq!(admin.list("/v1/users", "users").await, Vec::<Value>::new());
    let unusual_id = "ä b/c?d#e%f+g\u{1F600}";
    let address = format!("/v1/users/{}", encode_segment(unusual_id));
    admin.put(&address, &Body::default()).await.expect(201);
    assert_eq!(admin.get(&address).await.expect(200).json()["id"], unusual_id);
}
