//! Tests of the callers of the change feeds, and of what each of them sees.

use serde_json::json;

use super::copy::Copy;
use super::{completed, send};
use crate::support::builders::{content, user};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const ACTIVITIES: &str = "/v1/activities/changes";
const DIRECTORY: &str = "/v1/directory/changes";

#[apply(both_databases)]
async fn only_callers_that_see_the_organisation_follow_changes(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/mia", &user("mia").set("role", "manager")).await.expect(201);
    admin
        .put("/v1/users/ada", &user("ada").set("email", "ada@example.org").set("manager", "mia"))
        .await
        .expect(201);
    send(&admin, completed(1, "ada@example.org", "urn:c")).await;
    for path in [ACTIVITIES, DIRECTORY] {
        for role in ["owner", "admin", "hr", "reporter", "learning_designer"] {
            let page = server.person(role, "root").get(path).await.expect(200).json();
            assert_ne!(page["changes"], json!([]), "{role} {path}");
        }
        for (role, person) in [("manager", "mia"), ("learner", "ada"), ("curator", "ada")] {
            let refused = server.person(role, person).get(&format!("{path}?wait=30")).await.expect(403);
            assert!(!refused.text().contains("example.org"), "{}", refused.text());
        }
        let curator = json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]});
        server.person_of(ORG, curator).get(path).await.expect(200);
        server.anonymous().get(path).await.expect(401);
        let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
        let page = other.get(path).await.expect(200).json();
        assert_eq!(page["changes"], json!([]), "{path}");
    }
    // A deactivated administrator reads nothing.
    admin.put("/v1/users/gone", &user("gone").set("role", "admin").set("active", false)).await.expect(201);
    server.person("admin", "gone").get(ACTIVITIES).await.expect(403);
    let report = admin.post("/v1/reports", &json!({"name": "All"})).await.expect(201);
    let id = report.json()["id"].as_str().expect("an id").to_owned();
    let key =
        admin.post(&format!("/v1/reports/{id}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    let reader = server.anonymous().with_basic("any", key["secret"].as_str().expect("a secret"));
    let content = content("fire", "item").set("url", "https://content.example/fire");
    admin.put("/v1/contents/fire", &content).await.expect(201);
    let launch = json!({"user": "ada", "content": "fire", "standard": "xapi"});
    let launch = admin.post("/v1/launches", &launch).await.expect(201).json();
    let launched = server.anonymous().with_token(launch["token"].as_str().expect("a token"));
    for path in [ACTIVITIES, DIRECTORY] {
        reader.get(path).await.expect(403);
        launched.get(path).await.expect(403);
    }
}

#[apply(both_databases)]
async fn credential_follows_what_its_scopes_cover(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin.put("/v1/contents/c", &content("c", "quiz")).await.expect(201);
    send(&admin, completed(1, "ada@example.org", "urn:d")).await;
    server.credential(ORG, &["activities/read"]).await.get(ACTIVITIES).await.expect(200);
    for scopes in [&["activities/read"], &["activities/write"], &["all"], &["statements/read"]] {
        server.credential(ORG, scopes).await.get(DIRECTORY).await.expect(403);
    }
    for scopes in [&["activities/write"], &["all"], &["directory"], &["catalogue"]] {
        server.credential(ORG, scopes).await.get(ACTIVITIES).await.expect(403);
    }
    for (scopes, expected) in [
        (&["directory"][..], &["user ada"][..]),
        (&["catalogue"], &["content c", "content urn:d"]),
        (&["directory", "catalogue"], &["content c", "content urn:d", "user ada"]),
    ] {
        let caller = server.credential(ORG, scopes).await;
        let mut copy = Copy::of_directory();
        // A page of one change also passes over what the caller may not see.
        copy.next = format!("{DIRECTORY}?limit=1");
        copy.follow(&caller).await;
        assert_eq!(
            copy.entries.keys().collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>(),
            "{scopes:?}"
        );
    }
}
