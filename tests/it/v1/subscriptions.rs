//! Tests of `/v1/subscriptions`: what clients write and read, and which callers may.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{activity, user};
use crate::support::http::{Answer, Caller};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const PATH: &str = "/v1/subscriptions";
const NOBODY: &str = "/v1/subscriptions/00000000-0000-4000-8000-00000000000b";

async fn create(admin: &Caller, body: Value) -> (String, Value) {
    let created = admin.post(PATH, &body).await.expect(201);
    let path = created.header("location").expect("an address").to_owned();
    (path, created.json())
}

fn webhook() -> Value {
    json!({"name": "Payroll", "url": "https://payroll.example.org/hook", "filter": {"action": ["completed"]}})
}

fn forwarding() -> Value {
    json!({"name": "Warehouse", "url": "https://lrs.example.org/xapi", "format": "statement",
        "auth": {"scheme": "basic", "key": "k1", "secret": "very secret"}})
}

#[apply(both_databases)]
async fn subscription_is_read_as_it_was_written(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.post("/v1/activities", &activity("ada", "viewed")).await.expect(201);
    let created = admin.post(PATH, &webhook()).await.expect(201);
    assert_eq!((created.header("etag"), created.header("cache-control")), (Some("\"1\""), Some("no-store")));
    let (path, body) = (created.header("location").expect("an address").to_owned(), created.json());
    let secret = body["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let read = admin.get(&path).await.expect(200);
    assert!(!read.text().contains(secret));
    let mut expected = body.clone();
    expected.as_object_mut().expect("an object").remove("secret");
    assert_eq!(read.json(), expected);
    let place = admin.get("/v1/activities/changes").await.expect(200).json()["next"].clone();
    let place = place.as_str().expect("an address").rsplit('=').next().map(str::to_owned);
    assert_eq!(place, Some(expected["place"].to_string()), "it begins at the end of the feed");
    for (name, value) in [
        ("format", json!("activity")),
        ("auth", Value::Null),
        ("active", json!(true)),
        ("status", json!("active")),
        ("pending", Value::Null),
        ("filter", json!({"action": ["completed"]})),
        ("created_by", json!({"id": "root", "name": null})),
    ] {
        assert_eq!(expected[name], value, "{name}");
    }
    // What was read can be sent back, and changes nothing.
    let put = admin.put(&path, &expected).await.expect(200);
    assert_eq!((put.header("etag"), put.json()), (Some("\"1\""), expected));
    let (_, second) = create(&admin, forwarding()).await;
    let ids: Vec<Value> =
        admin.list(PATH, "subscriptions").await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [second["id"].clone(), body["id"].clone()]);
    let paged = admin.list(&format!("{PATH}?limit=1"), "subscriptions").await;
    assert_eq!(paged.len(), 2);
}

#[apply(both_databases)]
async fn changes_are_checked_and_versioned(server: &TestServer) {
    let admin = server.person("owner", "root");
    let (path, _) = create(&admin, webhook()).await;
    let patched =
        admin.patch(&path, &json!({"name": "Pay", "filter": {"type": "quiz", "action": null}})).await;
    let patched = patched.expect(200);
    assert_eq!(patched.header("etag"), Some("\"2\""));
    assert_eq!(
        (&patched.json()["name"], &patched.json()["filter"]),
        (&json!("Pay"), &json!({"type": ["quiz"]}))
    );
    let stale = [("if-match", "\"1\""), ("content-type", "application/json")];
    let body = serde_json::to_vec(&webhook()).expect("JSON");
    admin.send(Method::PUT, &path, &stale, body.clone()).await.expect(412);
    admin.send(Method::DELETE, &path, &stale[..1], Vec::new()).await.expect(412);
    let current = [("if-match", "\"2\""), ("content-type", "application/json")];
    admin.send(Method::PUT, &path, &current, body).await.expect(200);
    admin.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    assert_eq!(admin.get(&path).await.expect(200).json()["status"], "paused");
    admin.delete(&path).await.expect(204);
    for suffix in ["", "/deliveries"] {
        admin.get(&format!("{path}{suffix}")).await.expect(404);
    }
    assert_eq!(admin.list(PATH, "subscriptions").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn secret_of_the_other_store_goes_to_its_host_only(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (path, created) = create(&admin, forwarding()).await;
    assert_eq!(created["auth"], json!({"scheme": "basic", "key": "k1"}));
    assert_eq!((&created["secret"], &created["xapi_version"]), (&Value::Null, &json!("1.0.3")));
    let read = admin.get(&path).await.expect(200);
    assert!(!read.text().contains("very secret"));
    let mut body = read.json();
    admin.put(&path, &body).await.expect(200);
    body["url"] = json!("https://lrs.example.org/other");
    admin.put(&path, &body).await.expect(200);
    for url in ["https://evil.example.org/xapi", "https://lrs.example.org:8443/xapi"] {
        body["url"] = json!(url);
        let refused = admin.put(&path, &body).await.expect(400);
        assert_eq!(refused.error_pointers(), ["/auth/secret"], "{url}");
        let refused = admin.patch(&path, &json!({"url": url})).await.expect(400);
        assert_eq!(refused.error_pointers(), ["/auth/secret"], "{url}");
    }
    admin.patch(&path, &json!({"auth": {"key": "k2"}})).await.expect(400);
    let changed =
        admin.patch(&path, &json!({"auth": {"key": "k2", "secret": "new"}})).await.expect(200).json();
    assert_eq!(changed["auth"], json!({"scheme": "basic", "key": "k2"}));
    admin.post(&format!("{path}/rotate"), &json!({})).await.expect(409);
}

#[apply(both_databases)]
async fn wrong_bodies_are_refused_with_their_places(server: &TestServer) {
    let admin = server.person("admin", "root");
    let refused = async |change: Value| -> Answer {
        let mut body = webhook();
        for (name, value) in change.as_object().expect("members") {
            body[name] = value.clone();
        }
        admin.post(PATH, &body).await.expect(400)
    };
    for (change, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"name": "a\nb"}), "/name"),
        (json!({"url": null}), "/url"),
        (json!({"url": "payroll.example.org"}), "/url"),
        (json!({"url": "http://payroll.example.org/"}), "/url"),
        (json!({"url": "ftp://payroll.example.org/"}), "/url"),
        (json!({"url": "https://127.0.0.1/"}), "/url"),
        (json!({"url": "https://0x7f.1/"}), "/url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "/url"),
        (json!({"url": "https://169.254.169.254/latest/meta-data"}), "/url"),
        (json!({"url": "https://localhost/"}), "/url"),
        (json!({"url": "https://a:b@payroll.example.org/"}), "/url"),
        (json!({"url": "https://payroll.example.org:25/"}), "/url"),
        (json!({"url": format!("https://payroll.example.org/{}", "a".repeat(2_000))}), "/url"),
        (json!({"filter": {"Tag": "a"}}), "/filter/Tag"),
        (json!({"filter": {"limit": "5"}}), "/filter/limit"),
        (json!({"filter": {"scope": "managed"}}), "/filter/scope"),
        (json!({"filter": {"scope": "me"}}), "/filter/scope"),
        (json!({"filter": []}), "/filter"),
        (json!({"format": "csv"}), "/format"),
        (json!({"secret": "short"}), "/secret"),
        (json!({"secret": "whsec_c2hvcnQ="}), "/secret"),
        (json!({"auth": {"scheme": "basic", "key": "a", "secret": "b"}}), "/auth"),
        (json!({"xapi_version": "1.0.3"}), "/xapi_version"),
        (json!({"active": "yes"}), "/active"),
        (json!({"id": "x"}), "/id"),
        (json!({"format": "statement", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), "/secret"),
        (json!({"format": "statement", "auth": {"scheme": "digest"}}), "/auth/scheme"),
        (json!({"format": "statement", "xapi_version": "3"}), "/xapi_version"),
        (json!({"format": "statement", "xapi_version": "1.0.3\r\nx: y"}), "/xapi_version"),
    ] {
        assert_eq!(refused(change.clone()).await.error_pointers(), [pointer], "{change}");
    }
    assert_eq!(admin.list(PATH, "subscriptions").await, Vec::<Value>::new());
    let (path, _) = create(&admin, webhook()).await;
    let other_format = admin.patch(&path, &json!({"format": "statement"})).await.expect(400);
    assert_eq!(other_format.error_pointers(), ["/format"]);
}

#[apply(both_databases)]
async fn subscriptions_are_for_owners_and_admins_of_the_organisation(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (path, _) = create(&admin, webhook()).await;
    let requests = |path: &str| {
        let post = |suffix: &str, body: Value| (Method::POST, format!("{path}{suffix}"), body);
        vec![
            (Method::GET, path.to_owned(), Value::Null),
            (Method::GET, format!("{path}/deliveries"), Value::Null),
            (Method::PUT, path.to_owned(), webhook()),
            (Method::PATCH, path.to_owned(), json!({"active": false})),
            post("/pause", json!({})),
            post("/resume", json!({})),
            post("/test", json!({})),
            post("/replay", json!({"after": 0})),
            post("/rotate", json!({})),
            post("/deliveries/00000000-0000-4000-8000-00000000000b/retry", json!({})),
            (Method::DELETE, path.to_owned(), Value::Null),
        ]
    };
    let send = async |caller: &Caller, (method, path, body): (Method, String, Value)| {
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).expect("JSON") };
        caller.send(method, &path, &[("content-type", "application/json")], bytes).await
    };
    let all_scopes =
        ["activities/read", "activities/write", "directory", "catalogue", "all", "statements/write"];
    let mut refused = vec![server.credential(ORG, &all_scopes).await];
    for role in ["hr", "reporter", "learning_designer", "curator", "manager", "learner"] {
        refused.push(server.person(role, "somebody"));
    }
    for caller in &refused {
        caller.post(PATH, &webhook()).await.expect(403);
        caller.get(PATH).await.expect(403);
        for request in requests(&path) {
            send(caller, request).await.expect(403);
        }
    }
    let stranger = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    for caller in [&stranger, &admin] {
        let path = if std::ptr::eq(caller, &admin) { NOBODY } else { path.as_str() };
        for request in requests(path) {
            send(caller, request).await.expect(404);
        }
    }
    assert_eq!(stranger.list(PATH, "subscriptions").await, Vec::<Value>::new());
    server.anonymous().get(&path).await.expect(401);
    assert_eq!(admin.get(&path).await.expect(200).header("etag"), Some("\"1\""), "nothing was changed");
}

#[apply(both_databases)]
async fn organisation_has_a_limited_number_of_subscriptions(server: &TestServer) {
    let admin = server.person("admin", "root");
    for _ in 0..50 {
        admin.post(PATH, &webhook()).await.expect(201);
    }
    admin.post(PATH, &webhook()).await.expect(409);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.post(PATH, &webhook()).await.expect(201);
}
