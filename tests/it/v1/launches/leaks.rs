//! The content of a launch reads its own attempt and nothing else.

use reqwest::Method;
use serde_json::{Value, json};

use super::{FIRE, content_of, launch, set_up, statement_of, write};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

/// The operations that a launch by xAPI may use. All others are refused.
const ALLOWED: &[(&str, &str)] = &[
    ("get", "/xapi/about"),
    ("get", "/xapi/activities"),
    ("get", "/xapi/agents"),
    ("get", "/xapi/statements"),
    ("post", "/xapi/statements"),
    ("put", "/xapi/statements"),
    ("get", "/xapi/activities/state"),
    ("put", "/xapi/activities/state"),
    ("post", "/xapi/activities/state"),
    ("delete", "/xapi/activities/state"),
    ("get", "/xapi/activities/profile"),
    ("get", "/xapi/agents/profile"),
];

/// Operations for everyone, without authorisation.
const PUBLIC: &[&str] = &[
    "/xapi/about",
    "/cmi5/fetch/{secret}",
    "/downloads/{token}",
    "/openapi.json",
    "/openapi-3.0.json",
    "/health/live",
    "/health/ready",
    "/metrics",
];

async fn statements(content: &Caller, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = format!("/xapi/statements?{query}");
    while !next.is_empty() {
        let page = content.get(&next).await.expect(200).json();
        found.extend(page["statements"].as_array().expect("statements").iter().cloned());
        next = page["more"].as_str().expect("more").to_owned();
    }
    found
}

#[apply(both_databases)]
async fn every_other_operation_is_refused(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let scorm = json!({"user": "ada", "content": "pack", "standard": "scorm"});
    let scorm = admin.post("/v1/launches", &scorm).await.expect(201).json();
    let (content, player) = (content_of(server, &created), content_of(server, &scorm));
    let id = created["id"].as_str().expect("an id");
    for (path, methods) in rollbook::http::table() {
        if PUBLIC.contains(&path) || path.starts_with("/v1/scorm/") {
            continue;
        }
        for method in methods {
            let real = path
                .replace("{id}", if path.contains("users") { "ada" } else { id })
                .replace("{content}", "fire")
                .replace("{key}", id);
            let verb: Method = method.to_uppercase().parse().expect("a method");
            let body = if ["get", "delete"].contains(method) { Vec::new() } else { b"{}".to_vec() };
            let headers: &[(&str, &str)] = &[("content-type", "application/json")];
            let status = content.send(verb.clone(), &real, headers, body.clone()).await.status;
            if ALLOWED.contains(&(method, path)) {
                assert!(![401, 403, 500].contains(&status), "{method} {path}: {status}");
            } else {
                assert!([403, 404].contains(&status), "{method} {path}: {status}");
            }
            let status = player.send(verb, &real, headers, body).await.status;
            assert!([403, 404].contains(&status), "{method} {path} by SCORM: {status}");
        }
    }
    admin.get(&format!("/v1/launches/{id}")).await.expect(200);
}

#[apply(both_databases)]
async fn statements_of_others_do_not_exist(server: &TestServer) {
    let admin = set_up(server).await;
    let mine = launch(&admin, "ada", "fire", json!({})).await;
    let again = launch(&admin, "ada", "fire", json!({})).await;
    let of_bo = launch(&admin, "bo", "fire", json!({})).await;
    let content = content_of(server, &mine);
    for created in [&mine, &again, &of_bo] {
        assert_eq!(write(&content_of(server, created), &statement_of(created, "experienced")).await, 200);
    }
    // An administrator refers to the statement of bo in the attempt of ada, and names ada elsewhere.
    let all = statements(&admin, "").await;
    let secret =
        all.iter().find(|one| one["context"]["registration"] == of_bo["registration"]).expect("stored");
    let mut reference = statement_of(&mine, "commented");
    reference["object"] = json!({"objectType": "StatementRef", "id": secret["id"]});
    admin.post("/xapi/statements", &reference).await.expect(200);
    let mut about = statement_of(&of_bo, "experienced");
    about["context"]["instructor"] = mine["xapi"]["actor"].clone();
    admin.post("/xapi/statements", &about).await.expect(200);

    let own = |found: &[Value]| {
        found.iter().all(|one| {
            one["actor"]["account"]["name"] == "ada" && one["context"]["registration"] == mine["registration"]
        })
    };
    let registration_of =
        |launch: &Value| launch["registration"].as_str().expect("a registration").to_owned();
    let agent = |launch: &Value| -> String {
        form_urlencoded::byte_serialize(launch["xapi"]["actor"].to_string().as_bytes()).collect()
    };
    let activity: String = form_urlencoded::byte_serialize(FIRE.as_bytes()).collect();
    for (query, count) in [
        (String::new(), 2),
        ("limit=1".to_owned(), 2),
        ("limit=1&ascending=true".to_owned(), 2),
        (format!("registration={}", registration_of(&mine)), 2),
        (format!("registration={}", registration_of(&again)), 0),
        (format!("registration={}", registration_of(&of_bo)), 0),
        (format!("agent={}", agent(&mine)), 2),
        (format!("agent={}&related_agents=true", agent(&mine)), 2),
        (format!("agent={}", agent(&of_bo)), 0),
        (format!("agent={}&related_agents=true", agent(&of_bo)), 0),
        // The reference is not found by what it refers to, which is not readable.
        (format!("activity={activity}"), 1),
        (format!("activity={activity}&related_activities=true"), 1),
        ("verb=http://adlnet.gov/expapi/verbs/experienced".to_owned(), 1),
        ("format=ids".to_owned(), 2),
    ] {
        let found = statements(&content, &query).await;
        assert_eq!(found.len(), count, "{query}");
        assert!(own(&found), "{query}: {found:?}");
    }
    for statement in &all {
        let id = statement["id"].as_str().expect("an id");
        let expected = if own(std::slice::from_ref(statement)) { 200 } else { 404 };
        for parameter in ["statementId", "attachments=true&statementId"] {
            assert_eq!(content.get(&format!("/xapi/statements?{parameter}={id}")).await.status, expected);
        }
        content.get(&format!("/xapi/statements?voidedStatementId={id}")).await.expect(404);
    }
    // A `more` address works for the launch that it was given to.
    let more = content.get("/xapi/statements?limit=1").await.expect(200).json()["more"].clone();
    let more = more.as_str().expect("more");
    for other in [content_of(server, &again), content_of(server, &of_bo), admin] {
        other.get(more).await.expect(400);
    }
}

#[apply(both_databases)]
async fn voided_statements_and_attachments_of_others_do_not_exist(server: &TestServer) {
    let admin = set_up(server).await;
    let mine = launch(&admin, "ada", "fire", json!({})).await;
    let of_bo = launch(&admin, "bo", "fire", json!({})).await;
    let ids = content_of(server, &of_bo).post("/xapi/statements", &statement_of(&of_bo, "completed")).await;
    let id = ids.expect(200).json()[0].clone();
    let mut voiding = statement_of(&of_bo, "voided");
    voiding["object"] = json!({"objectType": "StatementRef", "id": id});
    voiding["context"] = json!({});
    admin.post("/xapi/statements", &voiding).await.expect(200);
    let path = format!("/xapi/statements?voidedStatementId={}", id.as_str().expect("an id"));
    admin.get(&path).await.expect(200);
    for content in
        [content_of(server, &mine), content_of(server, &launch(&admin, "bo", "fire", json!({})).await)]
    {
        content.get(&path).await.expect(404);
    }
    content_of(server, &of_bo).get(&path).await.expect(200);
}

#[apply(both_databases)]
async fn alternate_syntax_has_the_same_bounds(server: &TestServer) {
    let admin = set_up(server).await;
    let mine = launch(&admin, "ada", "fire", json!({})).await;
    let of_bo = launch(&admin, "bo", "fire", json!({})).await;
    let ids = content_of(server, &of_bo).post("/xapi/statements", &statement_of(&of_bo, "completed")).await;
    let id = ids.expect(200).json()[0].as_str().expect("an id").to_owned();
    let auth = mine["xapi"]["auth"].as_str().expect("an authorisation").to_owned();
    let send = async |method: &str, fields: &[(&str, &str)]| -> u16 {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Authorization", &auth).append_pair("X-Experience-API-Version", "1.0.3");
        form.extend_pairs(fields);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let path = format!("/xapi/statements?method={method}");
        server.anonymous().send(Method::POST, &path, &headers, form.finish().into_bytes()).await.status
    };
    assert_eq!(send("GET", &[("statementId", &id)]).await, 404);
    assert_eq!(send("GET", &[("limit", "1")]).await, 200);
    let own = statement_of(&mine, "completed").to_string();
    let foreign = statement_of(&of_bo, "completed").to_string();
    assert_eq!(send("POST", &[("content", &foreign)]).await, 403);
    assert_eq!(send("POST", &[("content", &own)]).await, 200);
    let new = "0190a000-0000-4000-8000-000000000001";
    assert_eq!(send("PUT", &[("statementId", new), ("content", &foreign)]).await, 403);
    assert_eq!(send("PUT", &[("statementId", new), ("content", &own)]).await, 204);
}

#[apply(both_databases)]
async fn agents_and_profiles_of_others_show_nothing(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/users/bo", &json!({"email": "bo@acme.example"})).await.expect(200);
    admin.patch("/v1/users/ada", &json!({"email": "ada@acme.example"})).await.expect(200);
    let mine = launch(&admin, "ada", "fire", json!({})).await;
    let of_bo = launch(&admin, "bo", "fire", json!({})).await;
    for created in [&mine, &of_bo] {
        assert_eq!(write(&content_of(server, created), &statement_of(created, "experienced")).await, 200);
    }
    let content = content_of(server, &mine);
    let query = |launch: &Value, id: &str| -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("agent", &launch["xapi"]["actor"].to_string());
        if !id.is_empty() {
            query.append_pair("profileId", id);
        }
        query.finish()
    };
    let person = async |launch: &Value| {
        content.get(&format!("/xapi/agents?{}", query(launch, ""))).await.expect(200).json()
    };
    assert_eq!(person(&mine).await["mbox"], json!(["mailto:ada@acme.example"]));
    assert_eq!(person(&of_bo).await["mbox"], Value::Null, "only what the request contains");

    let new = [("if-none-match", "*"), ("content-type", "application/json")];
    for (path, readable) in [
        (format!("/xapi/agents/profile?{}", query(&mine, "p")), 200),
        (format!("/xapi/agents/profile?{}", query(&of_bo, "p")), 404),
        (format!("/xapi/activities/profile?profileId=p&activityId={FIRE}"), 200),
        (
            "/xapi/activities/profile?profileId=p&activityId=https://rollbook.invalid/acme/contents/ice"
                .to_owned(),
            404,
        ),
    ] {
        admin.send(Method::PUT, &path, &new, b"{}".to_vec()).await.expect(204);
        content.get(&path).await.expect(readable);
        let changed = content.send(Method::PUT, &path, &new[1..], b"[]".to_vec()).await;
        changed.expect(403);
        content.delete(&path).await.expect(403);
    }
}

#[apply(both_databases)]
async fn token_of_one_organisation_reads_nothing_of_another(server: &TestServer) {
    let admin = set_up(server).await;
    let mine = launch(&admin, "ada", "fire", json!({})).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    let mut same = statement_of(&mine, "completed");
    let ids = other.post("/xapi/statements", &same).await.expect(200).json();
    let content = content_of(server, &mine);
    assert_eq!(statements(&content, "").await, Vec::<Value>::new());
    content
        .get(&format!("/xapi/statements?statementId={}", ids[0].as_str().expect("an id")))
        .await
        .expect(404);
    same["id"] = ids[0].clone();
    assert_eq!(write(&content, &same).await, 200, "the id is free in this organisation");
}
