//! Tests of `/v1/reports/{id}/keys`: a key gives access to one report with the current rights of its owner.

use reqwest::Method;
use serde_json::json;

use super::reports::{NO_SUCH_REPORT, create_report, location};
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const NO_SUCH_KEY: &str = "00000000-0000-4000-8000-00000000000b";

/// Creates the quiz `fire`, completed by each of the managers `top` over `mo` over `bo`, and `eve` under
/// `top`. Returns the admin `root`.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = vec![
        user("root").set("role", "admin"),
        user("top").set("role", "manager"),
        user("mo").set("role", "manager").set("manager", "top"),
        user("bo").set("manager", "mo"),
        user("eve").set("manager", "top"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let done: Vec<Body> = ["top", "mo", "bo", "eve"]
        .map(|user_id| activity(user_id, "completed").set("content", "fire"))
        .into();
    admin.post("/v1/activities/batch", &done).await.expect(201);
    admin
}

/// Creates a key of a report and returns its path and secret.
async fn create_key(owner: &Caller, report: &str) -> (String, String) {
    let created = owner.post(&format!("{report}/keys"), &json!({"name": "Power BI"})).await.expect(201);
    let secret = created.json()["secret"].as_str().expect("a secret").to_owned();
    (location(&created), secret)
}

/// The users in the rows that the key's holder reads.
async fn visible_people(holder: &Caller, report: &str) -> Vec<String> {
    let rows = holder.list(&format!("{report}/activities?limit=2"), "activities").await;
    let mut people: Vec<String> =
        rows.iter().map(|row| row["user"]["id"].as_str().unwrap_or("?").to_owned()).collect();
    people.sort_unstable();
    people
}

#[apply(both_databases)]
async fn key_gives_access_with_any_user_name(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    for visibility in ["private", "shared"] {
        let report = create_report(&mo, "Mine", visibility, json!({"type": "quiz"})).await;
        let (path, secret) = create_key(&mo, &report).await;
        assert!(path.starts_with(&format!("{report}/keys/")), "{path}");
        assert!(secret.starts_with("rbk_") && secret.len() == 47, "{secret}");
        for user_name in ["", "key", "mo", "somebody else", "Ünknown"] {
            let holder = server.anonymous().with_basic(user_name, &secret);
            assert_eq!(visible_people(&holder, &report).await, ["bo", "mo"], "{user_name}");
            for name in ["export.csv", "export.ndjson"] {
                let exported = holder.get(&format!("{report}/{name}")).await.expect(200);
                assert_eq!(exported.text(), mo.get(&format!("{report}/{name}")).await.text());
            }
        }
        let holder = server.anonymous().with_basic("", &secret);
        let head = holder.send(Method::HEAD, &format!("{report}/export.csv"), &[], Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        // Additional parameters narrow the report.
        let narrowed = holder.list(&format!("{report}/activities?user=bo"), "activities").await;
        assert_eq!(narrowed.len(), 1);
        holder.get(&format!("{report}/activities?include_deactivated=true")).await.expect(400);
        holder.get(&format!("{report}/activities?scope=company")).await.expect(403);
        assert_eq!(holder.list(&format!("{report}/activities?scope=managed"), "activities").await.len(), 1);
    }
    // The secret is valid only as the password and unchanged.
    let report = create_report(&admin, "All", "private", json!({})).await;
    let (_, secret) = create_key(&admin, &report).await;
    let changed = format!("{}{}", &secret[..46], if secret.ends_with('A') { "Q" } else { "A" });
    for (user_name, password) in [
        (secret.as_str(), ""),
        ("", changed.as_str()),
        ("", &secret[4..]),
        ("", ""),
        ("", &secret.to_uppercase()),
    ] {
        let refused = server
            .anonymous()
            .with_basic(user_name, password)
            .get(&format!("{report}/activities"))
            .await
            .expect(401);
        assert_eq!(refused.json()["code"], "unauthenticated");
    }
    server.anonymous().with_token(&secret).get(&format!("{report}/activities")).await.expect(401);
}

#[apply(both_databases)]
async fn key_gives_access_to_nothing_else(server: &TestServer) {
    let admin = set_up(server).await;
    let report = create_report(&admin, "All", "shared", json!({})).await;
    let other = create_report(&admin, "Other", "shared", json!({})).await;
    let (path, secret) = create_key(&admin, &report).await;
    let holder = server.anonymous().with_basic("", &secret);
    // A key gives access to the rows and exports of its report, but not to the report itself.
    let own = [
        "/v1/reports/{id}/activities",
        "/v1/reports/{id}/export.csv",
        "/v1/reports/{id}/export.ndjson",
        "/v1/reports/{id}/export.parquet",
    ];
    let mut checked = 0;
    for (route, methods) in rollbook::http::table() {
        for method in methods {
            let address = match route.starts_with("/v1/reports/{id}") {
                true => route
                    .replace("/v1/reports/{id}", &report)
                    .replace("{key}", path.rsplit('/').next().expect("an id")),
                false => route.replace("{id}", "bo").replace("{token}", "x"),
            };
            let headers = [("content-type", "application/json")];
            let body = if *method == "get" || *method == "delete" {
                Vec::new()
            } else {
                b"{\"name\":\"Mine now\"}".to_vec()
            };
            let method: Method = method.to_uppercase().parse().expect("a method");
            let status = holder.send(method.clone(), &address, &headers, body.clone()).await.status;
            let guarded = (route.starts_with("/v1") || route.starts_with("/xapi")) && route != "/xapi/about";
            let expected = match method == Method::GET && own.contains(&route) {
                true => 200,
                false => 403,
            };
            if guarded {
                assert_eq!(status, expected, "{method} {address}");
                checked += 1;
            }
            if expected == 200 {
                for other in [&other, NO_SUCH_REPORT] {
                    let address = route.replace("/v1/reports/{id}", other);
                    holder.get(&address).await.expect(404);
                }
            }
        }
    }
    assert!(checked > 60, "{checked} operations");
    assert_eq!(
        admin.get(&report).await.expect(200).header("etag"),
        Some("\"1\""),
        "the report must not change"
    );
    assert_eq!(admin.list(&format!("{report}/keys"), "keys").await.len(), 1);
    // A report of another organisation does not exist for the key, even with the same id.
    let foreign_admin = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    foreign_admin.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    let foreign_report = create_report(&foreign_admin, "Theirs", "shared", json!({})).await;
    for name in ["/activities", "/export.csv"] {
        holder.get(&format!("{foreign_report}{name}")).await.expect(404);
    }
    let id = report.rsplit('/').next().expect("an id");
    let id = server.database().id_expression(id);
    server.database().execute(&format!("UPDATE reports SET id = {id} WHERE name = 'Theirs'")).await;
    assert_eq!(visible_people(&holder, &report).await, ["bo", "eve", "mo", "top"]);
    let (_, secret) = create_key(&foreign_admin, &report).await;
    let holder = server.anonymous().with_basic("", &secret);
    assert_eq!(visible_people(&holder, &report).await, Vec::<String>::new());
}

#[apply(both_databases)]
async fn key_has_the_current_reach_of_the_owner(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    let report = create_report(&mo, "Mine", "private", json!({"scope": "company"})).await;
    let (_, secret) = create_key(&mo, &report).await;
    let holder = server.anonymous().with_basic("excel", &secret);
    let assert_people =
        async |expected: &[&str]| assert_eq!(visible_people(&holder, &report).await, expected);
    assert_people(&["bo", "mo"]).await;
    // The report follows changes in the directory.
    admin.patch("/v1/users/eve", &json!({"manager": "mo"})).await.expect(200);
    assert_people(&["bo", "eve", "mo"]).await;
    admin.patch("/v1/users/bo", &json!({"manager": "eve"})).await.expect(200);
    assert_people(&["bo", "eve", "mo"]).await;
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    assert_people(&["eve", "mo"]).await;
    // The next page uses the current reach of the owner.
    let page = holder.get(&format!("{report}/activities?limit=1")).await.expect(200).json();
    admin.patch("/v1/users/eve", &json!({"manager": null})).await.expect(200);
    let rest = holder.list(page["next"].as_str().expect("more"), "activities").await;
    assert_eq!(rest.iter().map(|row| &row["user"]["id"]).collect::<Vec<_>>(), ["mo"]);
    assert_people(&["mo"]).await;
    admin.patch("/v1/users/mo", &json!({"role": "hr"})).await.expect(200);
    assert_people(&["bo", "eve", "mo", "top"]).await;
    // Without reporting access of the owner, every address gives 403. Permissions of a token do not count,
    // because the directory does not contain them.
    let assert_closed = async |why: &str| {
        for path in [
            report.as_str(),
            &format!("{report}/activities"),
            &format!("{report}/export.csv"),
            NO_SUCH_REPORT,
            "/v1/activities",
        ] {
            let problem = holder.get(path).await.expect(403).json();
            assert!(
                problem["detail"].as_str().is_some_and(|detail| detail.contains("owner")),
                "{why}: {problem}"
            );
        }
    };
    for role in ["learner", "curator"] {
        admin.patch("/v1/users/mo", &json!({"role": role})).await.expect(200);
        assert_closed(role).await;
    }
    admin.patch("/v1/users/mo", &json!({"role": "reporter"})).await.expect(200);
    assert_people(&["bo", "eve", "mo", "top"]).await;
    admin.patch("/v1/users/mo", &json!({"active": false})).await.expect(200);
    assert_closed("deactivated").await;
    admin
        .patch("/v1/users/mo", &json!({"active": true, "role": "manager", "manager": null}))
        .await
        .expect(200);
    assert_people(&["mo"]).await;
    // The role in the directory counts, not the role of the token that created the key. An owner that the
    // directory does not contain has no role.
    for (role, user) in [("owner", "stranger"), ("admin", "bo")] {
        let owner = server.person(role, user);
        let report = create_report(&owner, "Theirs", "shared", json!({})).await;
        let (_, secret) = create_key(&owner, &report).await;
        server.anonymous().with_basic("", &secret).get(&format!("{report}/activities")).await.expect(403);
    }
}

#[apply(both_databases)]
async fn owner_creates_a_key_and_its_secret_is_shown_once(server: &TestServer) {
    let admin = set_up(server).await;
    let (mo, top) = (server.person("manager", "mo"), server.person("manager", "top"));
    let report = create_report(&mo, "Ours", "shared", json!({})).await;
    let keys = format!("{report}/keys");
    let created = mo.post(&keys, &json!({"name": "Power BI"})).await.expect(201);
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let created = created.json();
    let listed = json!({"id": created["id"], "name": "Power BI", "created_at": "2026-03-18T10:17:23.000Z"});
    assert_eq!(created.as_object().expect("an object").len(), 4);
    let secret = created["secret"].as_str().expect("a secret");
    for lister in [&mo, &admin, &server.person("owner", "olu")] {
        let list = lister.get(&keys).await.expect(200);
        assert_eq!(list.json(), json!({"keys": [listed], "next": null}));
    }
    for path in [&report, "/v1/reports", &keys] {
        assert!(!mo.get(path).await.expect(200).text().contains(secret), "{path}");
    }
    // Other readers of the report do not see its keys. Only the owner creates keys, because an admin has
    // another reach.
    for caller in [&top, &server.person("hr", "hal"), &server.person("reporter", "rae")] {
        caller.get(&keys).await.expect(403);
        caller.delete(&format!("{keys}/{NO_SUCH_KEY}")).await.expect(403);
    }
    for caller in [&top, &admin, &server.person("owner", "olu")] {
        caller.post(&keys, &json!({"name": "Mine"})).await.expect(403);
    }
    let credential = server.credential("acme", &["activities/read", "directory", "all"]).await;
    credential.get(&keys).await.expect(403);
    credential.post(&keys, &json!({"name": "Mine"})).await.expect(403);
    // A private report of another owner does not exist, as an unknown report.
    let private = create_report(&mo, "Mine", "private", json!({})).await;
    for caller in [&top, &admin] {
        for path in [private.as_str(), NO_SUCH_REPORT, "/v1/reports/one"] {
            caller.get(&format!("{path}/keys")).await.expect(404);
            caller.post(&format!("{path}/keys"), &json!({"name": "Mine"})).await.expect(404);
            caller.delete(&format!("{path}/keys/{NO_SUCH_KEY}")).await.expect(404);
        }
    }
    for (body, pointer) in [
        (json!({}), "/name"),
        (json!({"name": ""}), "/name"),
        (json!({"name": "a\nb"}), "/name"),
        (json!({"name": "x".repeat(256)}), "/name"),
        (json!({"name": "Mine", "secret": "rbk_mine"}), "/secret"),
        (json!([]), ""),
    ] {
        assert_eq!(mo.post(&keys, &body).await.expect(400).error_pointers(), [pointer], "{body}");
    }
    for _ in 0..49 {
        create_key(&mo, &report).await;
    }
    assert_eq!(mo.post(&keys, &json!({"name": "One too many"})).await.expect(409).json()["code"], "conflict");
    let all = mo.list(&keys, "keys").await;
    assert_eq!((all.len(), &all[49]), (50, &listed), "the newest first");
    create_key(&mo, &private).await;
}

#[apply(both_databases)]
async fn revoked_key_is_refused_at_once(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    let report = create_report(&mo, "Ours", "shared", json!({})).await;
    let (path, secret) = create_key(&mo, &report).await;
    let (other_path, other_secret) = create_key(&mo, &report).await;
    let status_with = async |secret: &str| {
        server.anonymous().with_basic("", secret).get(&format!("{report}/activities")).await.status
    };
    assert_eq!((status_with(&secret).await, status_with(&other_secret).await), (200, 200));
    mo.delete(&path).await.expect(204);
    assert_eq!((status_with(&secret).await, status_with(&other_secret).await), (401, 200));
    mo.delete(&path).await.expect(404);
    mo.delete(&format!("{report}/keys/none")).await.expect(404);
    // A key does not exist under the address of another report.
    let other = create_report(&mo, "Other", "shared", json!({})).await;
    let id = other_path.rsplit('/').next().expect("an id");
    mo.delete(&format!("{other}/keys/{id}")).await.expect(404);
    assert_eq!(status_with(&other_secret).await, 200);
    // An admin revokes keys of reports that they see.
    admin.delete(&other_path).await.expect(204);
    assert_eq!(status_with(&other_secret).await, 401);
    // Deleting a report deletes its keys.
    let (_, secret) = create_key(&mo, &report).await;
    mo.delete(&report).await.expect(204);
    assert_eq!(status_with(&secret).await, 401);
    assert_eq!(server.database().query_number("SELECT count(*) FROM report_keys").await, 0);
}
