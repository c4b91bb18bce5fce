//! `/v1/reports/{id}/keys`: a password that opens one report, as its owner may see it now, and nothing else.

use reqwest::Method;
use serde_json::json;

use super::reports::{NO_SUCH_REPORT, path_of, saved};
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const NO_SUCH_KEY: &str = "00000000-0000-4000-8000-00000000000b";

/// An admin `root`; `top` over `mo` over `bo`, `eve` under `top`; each of these has done something on the quiz `fire`.
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
    let done: Vec<Body> =
        ["top", "mo", "bo", "eve"].map(|who| activity(who, "completed").set("content", "fire")).into();
    admin.post("/v1/activities/batch", &done).await.expect(201);
    admin
}

/// Has a key made to a report and gives its path and its secret.
async fn key(owner: &Caller, report: &str) -> (String, String) {
    let created = owner.post(&format!("{report}/keys"), &json!({"name": "Power BI"})).await.expect(201);
    let secret = created.json()["secret"].as_str().expect("a secret").to_owned();
    (path_of(&created), secret)
}

/// Whose rows the key shows.
async fn people(holder: &Caller, report: &str) -> Vec<String> {
    let rows = holder.list(&format!("{report}/activities?limit=2"), "activities").await;
    let mut people: Vec<String> =
        rows.iter().map(|row| row["user"]["id"].as_str().unwrap_or("?").to_owned()).collect();
    people.sort_unstable();
    people
}

#[apply(both_databases)]
async fn a_key_opens_its_report_with_any_user_name(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    for visibility in ["private", "shared"] {
        let report = saved(&mo, "Mine", visibility, json!({"type": "quiz"})).await;
        let (path, secret) = key(&mo, &report).await;
        assert!(path.starts_with(&format!("{report}/keys/")), "{path}");
        assert!(secret.starts_with("rbk_") && secret.len() == 47, "{secret}");
        for user_name in ["", "key", "mo", "somebody else", "Ünknown"] {
            let holder = server.anonymous().with_basic(user_name, &secret);
            assert_eq!(people(&holder, &report).await, ["bo", "mo"], "{user_name}");
            for name in ["export.csv", "export.ndjson"] {
                let exported = holder.get(&format!("{report}/{name}")).await.expect(200);
                assert_eq!(exported.text(), mo.get(&format!("{report}/{name}")).await.text());
            }
        }
        let holder = server.anonymous().with_basic("", &secret);
        let head = holder.send(Method::HEAD, &format!("{report}/export.csv"), &[], Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        // What is added narrows it, as for anybody.
        let narrowed = holder.list(&format!("{report}/activities?user=bo"), "activities").await;
        assert_eq!(narrowed.len(), 1);
        holder.get(&format!("{report}/activities?include_deactivated=true")).await.expect(400);
        holder.get(&format!("{report}/activities?scope=company")).await.expect(403);
        assert_eq!(holder.list(&format!("{report}/activities?scope=managed"), "activities").await.len(), 1);
    }
    // It is the password: the secret as a user name, or changed in a character, is nobody.
    let report = saved(&admin, "All", "private", json!({})).await;
    let (_, secret) = key(&admin, &report).await;
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
async fn a_key_opens_nothing_else(server: &TestServer) {
    let admin = set_up(server).await;
    let report = saved(&admin, "All", "shared", json!({})).await;
    let other = saved(&admin, "Other", "shared", json!({})).await;
    let (path, secret) = key(&admin, &report).await;
    let holder = server.anonymous().with_basic("", &secret);
    // Its rows and its export: not even what it is called, what it asks or whose it is.
    let own =
        ["/v1/reports/{id}/activities", "/v1/reports/{id}/export.csv", "/v1/reports/{id}/export.ndjson"];
    let mut walked = 0;
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
                walked += 1;
            }
            if expected == 200 {
                for other in [&other, NO_SUCH_REPORT] {
                    let address = route.replace("/v1/reports/{id}", other);
                    holder.get(&address).await.expect(404);
                }
            }
        }
    }
    assert!(walked > 60, "{walked} operations");
    assert_eq!(admin.get(&report).await.expect(200).header("etag"), Some("\"1\""), "nothing was changed");
    assert_eq!(admin.list(&format!("{report}/keys"), "keys").await.len(), 1);
    // Its report is nobody else's either: another organisation's is 404, with the same id too.
    let foreign = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    foreign.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    let theirs = saved(&foreign, "Theirs", "shared", json!({})).await;
    for name in ["/activities", "/export.csv"] {
        holder.get(&format!("{theirs}{name}")).await.expect(404);
    }
    let same =
        "UPDATE reports SET id = (SELECT o.id FROM reports o WHERE o.name = 'All') WHERE name = 'Theirs'";
    server.database().execute(same).await;
    assert_eq!(people(&holder, &report).await, ["bo", "eve", "mo", "top"]);
    let (_, secret) = key(&foreign, &report).await;
    let holder = server.anonymous().with_basic("", &secret);
    assert_eq!(people(&holder, &report).await, Vec::<String>::new());
}

#[apply(both_databases)]
async fn a_key_shows_what_its_owner_may_see_now(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    let report = saved(&mo, "Mine", "private", json!({"scope": "company"})).await;
    let (_, secret) = key(&mo, &report).await;
    let holder = server.anonymous().with_basic("excel", &secret);
    let now = async |expected: &[&str]| assert_eq!(people(&holder, &report).await, expected);
    now(&["bo", "mo"]).await;
    // People move, and the report with them.
    admin.patch("/v1/users/eve", &json!({"manager": "mo"})).await.expect(200);
    now(&["bo", "eve", "mo"]).await;
    admin.patch("/v1/users/bo", &json!({"manager": "eve"})).await.expect(200);
    now(&["bo", "eve", "mo"]).await;
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    now(&["eve", "mo"]).await;
    // A page goes on for whoever the owner is by then.
    let page = holder.get(&format!("{report}/activities?limit=1")).await.expect(200).json();
    admin.patch("/v1/users/eve", &json!({"manager": null})).await.expect(200);
    let rest = holder.list(page["next"].as_str().expect("more"), "activities").await;
    assert_eq!(rest.iter().map(|row| &row["user"]["id"]).collect::<Vec<_>>(), ["mo"]);
    now(&["mo"]).await;
    admin.patch("/v1/users/mo", &json!({"role": "hr"})).await.expect(200);
    now(&["bo", "eve", "mo", "top"]).await;
    // Without reporting access it opens nothing, whatever address is asked for; the directory knows no permissions.
    let closed = async |why: &str| {
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
        closed(role).await;
    }
    admin.patch("/v1/users/mo", &json!({"role": "reporter"})).await.expect(200);
    now(&["bo", "eve", "mo", "top"]).await;
    admin.patch("/v1/users/mo", &json!({"active": false})).await.expect(200);
    closed("deactivated").await;
    admin
        .patch("/v1/users/mo", &json!({"active": true, "role": "manager", "manager": null}))
        .await
        .expect(200);
    now(&["mo"]).await;
    // A token's role is nothing to the key: the directory's counts, and whom it doesn't have has none.
    for (role, user) in [("owner", "stranger"), ("admin", "bo")] {
        let owner = server.person(role, user);
        let report = saved(&owner, "Theirs", "shared", json!({})).await;
        let (_, secret) = key(&owner, &report).await;
        server.anonymous().with_basic("", &secret).get(&format!("{report}/activities")).await.expect(403);
    }
}

#[apply(both_databases)]
async fn a_key_is_made_by_the_owner_and_shown_once(server: &TestServer) {
    let admin = set_up(server).await;
    let (mo, top) = (server.person("manager", "mo"), server.person("manager", "top"));
    let report = saved(&mo, "Ours", "shared", json!({})).await;
    let keys = format!("{report}/keys");
    let created = mo.post(&keys, &json!({"name": " Power BI "})).await.expect(201);
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let created = created.json();
    let shown = json!({"id": created["id"], "name": "Power BI", "created_at": "2026-03-18T10:17:23.000Z"});
    assert_eq!(created.as_object().expect("an object").len(), 4);
    let secret = created["secret"].as_str().expect("a secret");
    for lister in [&mo, &admin, &server.person("owner", "olu")] {
        let list = lister.get(&keys).await.expect(200);
        assert_eq!(list.json(), json!({"keys": [shown], "next": null}));
    }
    for path in [&report, "/v1/reports", &keys] {
        assert!(!mo.get(path).await.expect(200).text().contains(secret), "{path}");
    }
    // Whoever else sees the report sees no keys, and only its owner makes them: not an admin, who would see less or more.
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
    // Of a private one, or none, nobody is told.
    let private = saved(&mo, "Mine", "private", json!({})).await;
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
        key(&mo, &report).await;
    }
    assert_eq!(mo.post(&keys, &json!({"name": "One too many"})).await.expect(409).json()["code"], "conflict");
    let all = mo.list(&keys, "keys").await;
    assert_eq!((all.len(), &all[49]), (50, &shown), "the newest first");
    key(&mo, &private).await;
}

#[apply(both_databases)]
async fn a_revoked_key_opens_nothing_at_once(server: &TestServer) {
    let admin = set_up(server).await;
    let mo = server.person("manager", "mo");
    let report = saved(&mo, "Ours", "shared", json!({})).await;
    let (path, secret) = key(&mo, &report).await;
    let (kept_path, stored) = key(&mo, &report).await;
    let open = async |secret: &str| {
        server.anonymous().with_basic("", secret).get(&format!("{report}/activities")).await.status
    };
    assert_eq!((open(&secret).await, open(&stored).await), (200, 200));
    mo.delete(&path).await.expect(204);
    assert_eq!((open(&secret).await, open(&stored).await), (401, 200));
    mo.delete(&path).await.expect(404);
    mo.delete(&format!("{report}/keys/none")).await.expect(404);
    // By another report's address it is not there to be revoked.
    let other = saved(&mo, "Other", "shared", json!({})).await;
    let id = kept_path.rsplit('/').next().expect("an id");
    mo.delete(&format!("{other}/keys/{id}")).await.expect(404);
    assert_eq!(open(&stored).await, 200);
    // An admin revokes those of what they see.
    admin.delete(&kept_path).await.expect(204);
    assert_eq!(open(&stored).await, 401);
    // With the report its keys are gone.
    let (_, secret) = key(&mo, &report).await;
    mo.delete(&report).await.expect(204);
    assert_eq!(open(&secret).await, 401);
    assert_eq!(server.database().query_number("SELECT count(*) FROM report_keys").await, 0);
}
