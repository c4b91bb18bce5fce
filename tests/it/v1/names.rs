//! Tests that ids and names with characters that nobody sees are refused, for every resource.

use serde_json::{Value, json};

use crate::support::builders::{content, group, team, user};
use crate::support::http::encode_segment;
use crate::support::{TestServer, apply, both_databases};

/// Texts that are neither ids nor names.
const INVISIBLE: &[&str] =
    &[" a", "a ", "a\u{A0}", "a\u{200B}b", "\u{FEFF}a", "a\u{200D}b", "a\tb", "a\nb", "a\u{7F}b"];

#[apply(both_databases)]
async fn invisible_characters_in_names_are_refused(server: &TestServer) {
    let admin = server.person("owner", "root");
    admin.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    let report = json!({"name": "R", "filter": {}});
    let report = admin.post("/v1/reports", &report).await.expect(201).json();
    let keys = format!("/v1/reports/{}/keys", report["id"].as_str().expect("an id"));
    for name in INVISIBLE {
        let put: [(&str, Value, &str); 9] = [
            ("/v1/users/u", user("u").set("first_name", *name).json(), "/first_name"),
            ("/v1/users/u", user("u").set("last_name", *name).json(), "/last_name"),
            ("/v1/users/u", user("u").set("email", format!("{name}@example.org")).json(), "/email"),
            ("/v1/users/u", json!({"custom": {*name: "x"}}), "/custom/"),
            ("/v1/teams/t", team("t").set("name", *name).json(), "/name"),
            ("/v1/groups/g", group("g").set("name", *name).json(), "/name"),
            ("/v1/contents/c", content("c", "item").set("title", *name).json(), "/title"),
            ("/v1/contents/c", content("c", "item").set("tags", json!([*name])).json(), "/tags/0"),
            (
                "/v1/contents/c",
                content("c", "item").set("certificate.name", *name).json(),
                "/certificate/name",
            ),
        ];
        for (path, body, pointer) in put {
            let refused = admin.put(path, &body).await.expect(400);
            let found = refused.json()["pointer"].as_str().expect("a pointer").to_owned();
            assert!(found.starts_with(pointer), "{found} of {body}");
        }
        for (path, body) in [
            ("/v1/reports", json!({"name": name, "filter": {}})),
            ("/v1/credentials", json!({"name": name, "scopes": ["activities/read"]})),
            (keys.as_str(), json!({"name": name})),
        ] {
            let refused = admin.post(path, &body).await.expect(400);
            assert_eq!(refused.json()["pointer"], "/name", "{path} {body}");
        }
        let refused = admin.patch("/v1/organisation", &json!({"name": name})).await.expect(400);
        assert_eq!(refused.json()["pointer"], "/name", "{name:?}");
    }
    // Joiners belong to the spelling of some names.
    let named = user("u").set("first_name", "علی\u{200C}رضا").set("last_name", "O’Neill 👩\u{200D}🏫");
    admin.put("/v1/users/u", &named).await.expect(201);
}

#[apply(both_databases)]
async fn invisible_characters_in_ids_are_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    for id in INVISIBLE {
        for (collection, body) in [
            ("users", user(id)),
            ("teams", team(id).set("name", "T")),
            ("groups", group(id).set("name", "G")),
            ("contents", content(id, "item").set("title", "C")),
        ] {
            admin.put(&format!("/v1/{collection}/{}", encode_segment(id)), &body).await.expect(400);
            let refused = admin.post(&format!("/v1/{collection}/batch"), &[body]).await.expect(400);
            assert_eq!(refused.json()["pointer"], "/0/id", "{collection} {id:?}");
            assert_eq!(admin.list(&format!("/v1/{collection}"), collection).await, Vec::<Value>::new());
        }
        for (member, body) in [
            ("/user", json!({"user": id, "action": "viewed", "content": "c"})),
            ("/content", json!({"user": "u", "action": "viewed", "content": id})),
            ("/content/id", json!({"user": "u", "action": "viewed", "content": {"id": id}})),
        ] {
            let refused = admin.post("/v1/activities", &body).await.expect(400);
            assert_eq!(refused.json()["pointer"], member, "{body}");
        }
    }
}
