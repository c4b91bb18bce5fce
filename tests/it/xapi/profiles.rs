//! Tests of the access to `/xapi/agents/profile` and `/xapi/activities/profile` (xAPI 1.0.3, Communication
//! 2.6 and 2.7; `docs/specification.md#rights-at-the-lrs`).

use serde_json::{Value, json};

use super::documents::{ACTIVITY, DocumentKind, create_document, post, put_document};
use crate::support::builders::{mailbox, user};
use crate::support::{TestServer, apply, both_databases};

const PEOPLE: [&str; 8] =
    ["owner", "admin", "hr", "reporter", "learning_designer", "curator", "manager", "learner"];
const ADMINISTRATORS: [&str; 2] = ["owner", "admin"];

#[apply(both_databases)]
async fn every_role_reads_activity_profiles(server: &TestServer) {
    let admin = server.person("admin", "root");
    let profile = DocumentKind::activity(ACTIVITY);
    create_document(&admin, &profile.one("x"), "application/json", "{}").await;
    for role in PEOPLE {
        let caller = server.person(role, "ada");
        assert_eq!(caller.get(&profile.one("x")).await.expect(200).text(), "{}", "{role}");
        assert_eq!(caller.get(&profile.all()).await.expect(200).json(), json!(["x"]), "{role}");
        let writes = if ADMINISTRATORS.contains(&role) { 204 } else { 403 };
        post(&caller, &profile.one("x"), "application/json", "{}").await.expect(writes);
        put_document(&caller, &profile.one("x"), "application/json", "{}", ("if-match", "*"))
            .await
            .expect(writes);
        caller.delete(&profile.one("none")).await.expect(writes);
    }
    // Another activity has other profiles.
    admin.get(&DocumentKind::activity("urn:other").one("x")).await.expect(404);
    assert_eq!(admin.get(&DocumentKind::activity("urn:other").all()).await.expect(200).json(), json!([]));
}

#[apply(both_databases)]
async fn people_read_only_their_own_agent_profile(server: &TestServer) {
    let admin = server.person("admin", "root");
    for id in ["ada", "bo"] {
        admin
            .put(&format!("/v1/users/{id}"), &user(id).set("email", format!("{id}@example.org")))
            .await
            .expect(201);
    }
    let (ada, bo) =
        (DocumentKind::agent(&mailbox("ada@example.org")), DocumentKind::agent(&mailbox("bo@example.org")));
    create_document(&admin, &ada.one("x"), "application/json", "{}").await;
    create_document(&admin, &bo.one("x"), "application/json", "{}").await;
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
        put_document(&caller, &ada.one("x"), "application/json", "{}", ("if-match", "*"))
            .await
            .expect(writes);
        caller.delete(&ada.one("none")).await.expect(writes);
    }
}

/// DELETE needs the id of the profile.
#[apply(both_databases)]
async fn profile_is_deleted_only_by_its_id(server: &TestServer) {
    let admin = server.person("admin", "root");
    for profile in [DocumentKind::agent(&mailbox("ada@example.org")), DocumentKind::activity(ACTIVITY)] {
        for name in ["a", "b"] {
            create_document(&admin, &profile.one(name), "a/b", name).await;
        }
        let refused: Value = admin.delete(&profile.all()).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], "profileId");
        admin.delete(&profile.one("a")).await.expect(204);
        assert_eq!(admin.get(&profile.all()).await.expect(200).json(), json!(["b"]));
    }
}
