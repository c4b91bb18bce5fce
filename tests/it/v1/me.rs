//! Tests of `/v1/me`.

use serde_json::{Value, json};

use crate::support::builders::user;
use crate::support::{TestServer, apply, both_databases};

fn has(list: &Value, value: &str) -> bool {
    list.as_array().expect("a list").iter().any(|one| one == value)
}

#[apply(both_databases)]
async fn person_reads_role_permissions_and_scopes(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/mo", &user("mo")).await.expect(201);
    admin.patch("/v1/organisation", &json!({"name": "Acme", "time_zone": "Asia/Kolkata"})).await.expect(200);
    let claims = json!({"sub": "mo", "role": "manager", "permissions": ["mark_complete", "unknown"]});
    let manager = server.person_of("acme", claims);
    let me = manager.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["kind"], &me["id"], &me["role"]), (&json!("person"), &json!("mo"), &json!("manager")));
    assert_eq!(me["organisation"], json!({"id": "acme", "name": "Acme", "time_zone": "Asia/Kolkata"}));
    assert_eq!(me["user"], manager.get("/v1/users/mo").await.expect(200).json());
    assert_eq!(me["permissions"], json!(["mark_complete"]));
    assert_eq!(
        (&me["scopes"], &me["include_sub_managers"]),
        (&json!(["managed", "team", "group", "me"]), &json!(true))
    );
    assert!(has(&me["may"], "mark_complete") && has(&me["may"], "manage_reports"), "{me}");
    assert!(!has(&me["may"], "write_activities") && !has(&me["may"], "manage_directory"), "{me}");
    assert!(me["expires_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{me}");
    assert_eq!((&me["limits"]["page_rows"], &me["limits"]["batch_elements"]), (&json!(1000), &json!(1000)));
    // A setting of the organisation decides about indirect reports.
    let setting = json!({"managers_see_indirect_reports": false});
    admin.patch("/v1/organisation", &setting).await.expect(200);
    assert_eq!(manager.get("/v1/me").await.expect(200).json()["include_sub_managers"], false);
    manager.get("/v1/me?x=1").await.expect(400);
}

/// Each scope that `/v1/me` lists is accepted by the log, and each other one is refused.
#[apply(both_databases)]
async fn listed_scopes_are_those_that_the_log_accepts(server: &TestServer) {
    let mut callers = vec![server.credential("acme", &["activities/read"]).await];
    for role in ["owner", "hr", "curator", "manager", "learner"] {
        callers.push(server.person(role, "ada"));
    }
    for caller in callers {
        let me = caller.get("/v1/me").await.expect(200).json();
        for scope in ["company", "managed", "team", "group", "me"] {
            // The two scopes need the filter that they are about.
            let filter = match scope {
                "team" | "group" => format!("&{scope}=x"),
                _ => String::new(),
            };
            let status = caller.get(&format!("/v1/activities?scope={scope}{filter}")).await.status;
            assert_eq!(status, if has(&me["scopes"], scope) { 200 } else { 403 }, "{scope}: {me}");
        }
    }
}

#[apply(both_databases)]
async fn credential_reads_its_own_scopes_and_nothing_of_others(server: &TestServer) {
    let writer = server.credential("acme", &["activities/write", "statements/write"]).await;
    let me = writer.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["kind"], &me["user"], &me["role"]), (&json!("credential"), &Value::Null, &Value::Null));
    assert_eq!(me["credential_scopes"], json!(["statements/write", "activities/write"]));
    assert_eq!((&me["scopes"], &me["expires_at"]), (&json!([]), &Value::Null));
    assert!(has(&me["may"], "write_activities") && !has(&me["may"], "read_activities"), "{me}");
    // The same user id in another organisation is another user.
    server.person("admin", "root").put("/v1/users/ada", &user("ada")).await.expect(201);
    let other = server.person_of("other", json!({"sub": "ada", "role": "owner"}));
    let me = other.get("/v1/me").await.expect(200).json();
    assert_eq!((&me["organisation"]["id"], &me["user"]), (&json!("other"), &Value::Null));
    let gone = json!({"active": false});
    server.person("admin", "root").patch("/v1/users/ada", &gone).await.expect(200);
    let refused = server.person("learner", "ada").get("/v1/me").await.expect(403).json();
    assert_eq!(refused["code"], "deactivated");
}
