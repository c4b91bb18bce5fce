//! Tests of `/v1/launches`: an LMS starts content for a user, and the content writes about that user only.

mod bounds;
mod clients;
mod leaks;
mod tokens;

use serde_json::{Value, json};

use crate::support::builders::{Body, content, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

/// The IRI of the content `fire`.
pub const FIRE: &str = "https://rollbook.invalid/acme/contents/fire";
/// The registration of nothing.
const OTHER_REGISTRATION: &str = "00000000-0000-4000-8000-00000000000b";

/// Creates the users `ada` and `bo`, and the contents `fire` and `ice` with an address and `pack` without one. Returns the
/// admin `root`.
pub async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = vec![user("root").set("role", "admin"), user("ada"), user("bo"), user("gone")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.patch("/v1/users/gone", &json!({"active": false})).await.expect(200);
    let at = |id: &str| {
        content(id, "item").set("url", format!("https://content.example/{id}/index.html?v=2#/start"))
    };
    let contents = [
        at("fire"),
        at("ice"),
        content("pack", "item"),
        at("old").set("archived_at", "2026-01-01T00:00:00Z"),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    admin
}

/// Launches a content by xAPI. Returns the answer.
pub async fn launch(lms: &Caller, user: &str, content: &str, further: Value) -> Value {
    let mut body = json!({"user": user, "content": content, "standard": "xapi"});
    for (name, value) in further.as_object().expect("members") {
        body[name] = value.clone();
    }
    lms.post("/v1/launches", &body).await.expect(201).json()
}

/// The content of a launch as a caller, by the header that the address contains.
pub fn content_of(server: &TestServer, launch: &Value) -> Caller {
    let id = launch["id"].as_str().expect("an id");
    server.anonymous().with_basic(id, launch["token"].as_str().expect("a token"))
}

/// A statement that the content of a launch may write.
pub fn statement_of(launch: &Value, verb: &str) -> Value {
    json!({
        "actor": launch["xapi"]["actor"],
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": launch["activity_id"]},
        "context": {"registration": launch["registration"]},
    })
}

/// Sends statements and returns the status.
pub async fn write(content: &Caller, statements: &Value) -> u16 {
    content.post("/xapi/statements", statements).await.status
}

/// The parameters in the query of an address.
pub fn query_of(url: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(url).expect("an address");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[apply(both_databases)]
async fn address_has_what_xapi_content_reads(server: &TestServer) {
    let admin = set_up(server).await;
    let answer = admin
        .post(
            "/v1/launches",
            &json!({"user": "ada", "content": "fire", "standard": "xapi", "language": "de-CH",
                "return_url": "https://lms.example/back?c=1", "expires_in": 60}),
        )
        .await
        .expect(201);
    let created = answer.json();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = format!("/v1/launches/{}", created["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let url = created["url"].as_str().expect("an address");
    assert!(url.starts_with("https://content.example/fire/index.html?v=2&endpoint=http"), "{url}");
    assert!(url.ends_with("#/start") && !url.contains('+'), "{url}");
    let parameters = query_of(url);
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["v", "endpoint", "auth", "actor", "registration", "activity_id", "return_url", "language"]
    );
    let value = |name: &str| parameters.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone());
    assert!(value("endpoint").is_some_and(|endpoint| endpoint.ends_with("/xapi/")));
    assert_eq!(value("auth").as_deref(), created["xapi"]["auth"].as_str());
    let actor: Value = serde_json::from_str(&value("actor").expect("an actor")).expect("JSON");
    assert_eq!(
        actor,
        json!({"objectType": "Agent", "name": "ada Example",
            "account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}})
    );
    assert_eq!(actor, created["xapi"]["actor"]);
    assert_eq!(value("registration").as_deref(), created["registration"].as_str());
    assert_eq!(value("activity_id").as_deref(), Some(FIRE));
    assert_eq!((&created["scorm"], &created["status"]), (&Value::Null, &json!("active")));
    assert_eq!(created["created_by"], "user:root");
    // The stored launch has everything but the token.
    let mut expected = created.clone();
    for member in ["token", "url", "xapi", "cmi5", "scorm"] {
        expected.as_object_mut().expect("members").remove(member);
    }
    assert_eq!(admin.get(&location).await.expect(200).json(), expected);
}

#[apply(both_databases)]
async fn scorm_launch_has_the_settings_of_the_player(server: &TestServer) {
    let admin = set_up(server).await;
    let body = json!({"user": "ada", "content": "pack", "standard": "scorm"});
    let created = admin.post("/v1/launches", &body).await.expect(201).json();
    assert_eq!((&created["url"], &created["xapi"]), (&Value::Null, &Value::Null));
    let settings = &created["scorm"]["settings"];
    assert!(
        settings["lmsCommitUrl"].as_str().is_some_and(|url| url.contains("/v1/scorm/pack?access_token=rbl_")),
        "{settings}"
    );
    assert_eq!(settings["dataCommitFormat"], "json");
    assert_eq!(settings["includeCommitSequence"], true);
    let with_page = json!({"user": "ada", "content": "fire", "standard": "scorm"});
    let with_page = admin.post("/v1/launches", &with_page).await.expect(201).json();
    let parameters = query_of(with_page["url"].as_str().expect("an address"));
    let commit_url = &with_page["scorm"]["settings"]["lmsCommitUrl"];
    assert_eq!(parameters[1], ("lms_commit_url".to_owned(), commit_url.as_str().expect("text").to_owned()));
    let bearer = format!("Bearer {}", created["token"].as_str().expect("a token"));
    assert_eq!(settings["xhrHeaders"]["Authorization"], bearer);
}

#[apply(both_databases)]
async fn launch_that_cannot_begin_is_refused_at_its_member(server: &TestServer) {
    let admin = set_up(server).await;
    let of_ada = launch(&admin, "ada", "fire", json!({})).await;
    for (user, content, further, pointer) in [
        ("nobody", "fire", json!({}), "/user"),
        ("gone", "fire", json!({}), "/user"),
        ("ada", "none", json!({}), "/content"),
        ("ada", "old", json!({}), "/content"),
        ("ada", "pack", json!({}), "/content"),
        ("bo", "fire", json!({"registration": of_ada["registration"]}), "/registration"),
        ("ada", "fire", json!({"return_url": "javascript:alert(1)"}), "/return_url"),
        ("ada", "fire", json!({"expires_in": 86_401}), "/expires_in"),
    ] {
        let mut body = json!({"user": user, "content": content, "standard": "xapi"});
        body.as_object_mut().expect("members").extend(further.as_object().expect("members").clone());
        let problem = admin.post("/v1/launches", &body).await.expect(400).json();
        assert_eq!(
            (&problem["code"], &problem["pointer"]),
            (&json!("invalid-body"), &json!(pointer)),
            "{body}"
        );
    }
    assert_eq!(admin.list("/v1/launches", "launches").await.len(), 1, "nothing else is stored");
    let again = launch(&admin, "ada", "fire", json!({"registration": of_ada["registration"]})).await;
    assert_eq!(again["registration"], of_ada["registration"]);
}

#[apply(both_databases)]
async fn launches_are_listed_by_user_content_and_registration(server: &TestServer) {
    let admin = set_up(server).await;
    let integration = server.credential("acme", &["activities/write"]).await;
    let mut ids = Vec::new();
    for (user, content) in [("ada", "fire"), ("bo", "fire"), ("ada", "ice"), ("ada", "fire")] {
        ids.push(launch(&integration, user, content, json!({})).await["id"].clone());
    }
    let list = async |query: &str| -> Vec<Value> {
        let launches = admin.list(&format!("/v1/launches?limit=1{query}"), "launches").await;
        launches.iter().map(|launch| launch["id"].clone()).collect()
    };
    let newest_first =
        |positions: &[usize]| -> Vec<Value> { positions.iter().map(|at| ids[*at].clone()).collect() };
    assert_eq!(list("").await, newest_first(&[3, 2, 1, 0]));
    assert_eq!(list("&user=ada").await, newest_first(&[3, 2, 0]));
    assert_eq!(list("&content=fire").await, newest_first(&[3, 1, 0]));
    assert_eq!(list("&content=fire&user=ada").await, newest_first(&[3, 0]));
    assert_eq!(list("&user=nobody").await, newest_first(&[]));
    let stored =
        admin.get(&format!("/v1/launches/{}", ids[1].as_str().expect("an id"))).await.expect(200).json();
    assert!(stored["created_by"].as_str().is_some_and(|by| by.starts_with("key:rk_")), "{stored}");
    let registration = stored["registration"].as_str().expect("a registration");
    assert_eq!(list(&format!("&registration={registration}")).await, newest_first(&[1]));
    admin.get("/v1/launches?user=ada&user=bo").await.expect(400);
    // Another organisation has none of them.
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    assert_eq!(other.list("/v1/launches", "launches").await, Vec::<Value>::new());
    other.get(&format!("/v1/launches/{}", ids[0].as_str().expect("an id"))).await.expect(404);
    other.delete(&format!("/v1/launches/{}", ids[0].as_str().expect("an id"))).await.expect(404);
}
