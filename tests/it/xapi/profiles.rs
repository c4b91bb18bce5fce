//! `/xapi/agents/profile` and `/xapi/activities/profile`: who may read whose (xAPI 1.0.3, Communication 2.6 and 2.7;
//! product text, section 4).

use serde_json::{Value, json};

use super::documents::{ACTIVITY, Place, post, put, put_new};
use crate::support::builders::{mailbox, user};
use crate::support::{TestServer, apply, both_databases};

const PEOPLE: [&str; 8] =
    ["owner", "admin", "hr", "reporter", "learning_designer", "curator", "manager", "learner"];
const ADMINISTRATORS: [&str; 2] = ["owner", "admin"];

#[apply(both_databases)]
async fn an_activitys_profile_is_for_everybody(server: &TestServer) {
    let admin = server.person("admin", "root");
    let place = Place::activity(ACTIVITY);
    put_new(&admin, &place.one("x"), "application/json", "{}").await;
    for role in PEOPLE {
        let caller = server.person(role, "ada");
        assert_eq!(caller.get(&place.one("x")).await.expect(200).text(), "{}", "{role}");
        assert_eq!(caller.get(&place.all()).await.expect(200).json(), json!(["x"]), "{role}");
        let writes = if ADMINISTRATORS.contains(&role) { 204 } else { 403 };
        post(&caller, &place.one("x"), "application/json", "{}").await.expect(writes);
        put(&caller, &place.one("x"), "application/json", "{}", ("if-match", "*")).await.expect(writes);
        caller.delete(&place.one("none")).await.expect(writes);
    }
    // That of another Activity is another.
    admin.get(&Place::activity("urn:other").one("x")).await.expect(404);
    assert_eq!(admin.get(&Place::activity("urn:other").all()).await.expect(200).json(), json!([]));
}

#[apply(both_databases)]
async fn an_agents_profile_is_for_themselves(server: &TestServer) {
    let admin = server.person("admin", "root");
    for id in ["ada", "bo"] {
        admin
            .put(&format!("/v1/users/{id}"), &user(id).set("email", format!("{id}@example.org")))
            .await
            .expect(201);
    }
    let (ada, bo) = (Place::agent(&mailbox("ada@example.org")), Place::agent(&mailbox("bo@example.org")));
    put_new(&admin, &ada.one("x"), "application/json", "{}").await;
    put_new(&admin, &bo.one("x"), "application/json", "{}").await;
    for role in PEOPLE {
        let caller = server.person(role, "ada");
        assert_eq!(caller.get(&ada.one("x")).await.expect(200).text(), "{}", "{role}");
        assert_eq!(caller.get(&ada.all()).await.expect(200).json(), json!(["x"]), "{role}");
        let all = !["curator", "manager", "learner"].contains(&role);
        caller.get(&bo.one("x")).await.expect(if all { 200 } else { 404 });
        let names = if all { json!(["x"]) } else { json!([]) };
        assert_eq!(caller.get(&bo.all()).await.expect(200).json(), names, "{role}");
        let writes = if ADMINISTRATORS.contains(&role) { 204 } else { 403 };
        post(&caller, &ada.one("x"), "application/json", "{}").await.expect(writes);
        put(&caller, &ada.one("x"), "application/json", "{}", ("if-match", "*")).await.expect(writes);
        caller.delete(&ada.one("none")).await.expect(writes);
    }
}

/// A profile has no DELETE of all: without a name it is refused.
#[apply(both_databases)]
async fn profiles_are_deleted_one_by_one(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in [Place::agent(&mailbox("ada@example.org")), Place::activity(ACTIVITY)] {
        for name in ["a", "b"] {
            put_new(&admin, &place.one(name), "a/b", name).await;
        }
        let refused: Value = admin.delete(&place.all()).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], "profileId");
        admin.delete(&place.one("a")).await.expect(204);
        assert_eq!(admin.get(&place.all()).await.expect(200).json(), json!(["b"]));
    }
}
