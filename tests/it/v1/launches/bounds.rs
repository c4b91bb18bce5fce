//! What the content of a launch writes.

use serde_json::{Value, json};

use super::{FIRE, OTHER_REGISTRATION, content_of, launch, set_up, statement_of, write};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

/// The path of a state document.
fn state_path(launch: &Value, id: &str) -> String {
    let agent = launch["xapi"]["actor"].to_string();
    document_path(
        id,
        launch["activity_id"].as_str().expect("an IRI"),
        &agent,
        launch["registration"].as_str(),
    )
}

fn document_path(id: &str, activity: &str, agent: &str, registration: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("stateId", id).append_pair("activityId", activity).append_pair("agent", agent);
    if let Some(registration) = registration {
        query.append_pair("registration", registration);
    }
    format!("/xapi/activities/state?{}", query.finish())
}

#[apply(both_databases)]
async fn records_of_content_become_activities_of_the_user(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let mut completed = statement_of(&created, "completed");
    completed["authority"] = json!({"mbox": "mailto:boss@acme.example"});
    completed["result"] = json!({"completion": true, "score": {"scaled": 0.9}});
    let mut answered = statement_of(&created, "answered");
    answered["object"] = json!({"id": format!("{FIRE}/q1"), "definition": {
        "type": "http://adlnet.gov/expapi/activities/cmi.interaction", "interactionType": "true-false",
        "name": {"en": "Is fire hot?"}}});
    answered["context"]["contextActivities"] = json!({"parent": [{"id": FIRE}]});
    answered["result"] = json!({"response": "true", "success": true});
    let batch = json!([statement_of(&created, "initialized"), answered, completed]);
    assert_eq!(write(&content, &batch).await, 200);

    let rows = admin.list("/v1/activities?user=ada", "activities").await;
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!((&row["user"]["id"], &row["content"]["id"]), (&json!("ada"), &json!("fire")));
    }
    // The sender is the launch: it is the authority of each statement, whatever the content claimed.
    let sender = format!("launch:{}", created["id"].as_str().expect("an id"));
    let agent = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": sender}});
    let encoded: String = form_urlencoded::byte_serialize(agent.to_string().as_bytes()).collect();
    let found =
        admin.get(&format!("/xapi/statements?related_agents=true&agent={encoded}")).await.expect(200).json();
    let found = found["statements"].as_array().expect("statements");
    assert_eq!(found.len(), 3);
    for statement in found {
        assert_eq!(statement["authority"]["account"]["name"], sender, "{statement}");
    }
}

#[apply(both_databases)]
async fn one_statement_outside_the_bounds_refuses_the_request(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let mut outside = statement_of(&created, "completed");
    outside["actor"]["account"]["name"] = json!("bo");
    let batch = json!([statement_of(&created, "initialized"), outside]);
    let problem = content.post("/xapi/statements", &batch).await.expect(403).json();
    assert_eq!((&problem["code"], &problem["pointer"]), (&json!("forbidden"), &json!("/1/actor")));
    let id = "0190a000-0000-4000-8000-000000000001";
    content
        .put(&format!("/xapi/statements?statementId={id}"), &outside_registration(&created))
        .await
        .expect(403);
    assert_eq!(admin.list("/v1/activities", "activities").await, Vec::<Value>::new());
}

fn outside_registration(created: &Value) -> Value {
    let mut statement = statement_of(created, "completed");
    statement["context"]["registration"] = json!(OTHER_REGISTRATION);
    statement
}

#[apply(both_databases)]
async fn content_voids_nothing(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let ids = content.post("/xapi/statements", &statement_of(&created, "completed")).await.expect(200).json();
    let mut voiding = statement_of(&created, "voided");
    voiding["object"] = json!({"objectType": "StatementRef", "id": ids[0]});
    content.post("/xapi/statements", &voiding).await.expect(403);
    let row = format!("/v1/activities/{}", ids[0].as_str().expect("an id"));
    content.delete(&row).await.expect(403);
    admin.get(&row).await.expect(200);
}

#[apply(both_databases)]
async fn states_are_those_of_the_attempt(server: &TestServer) {
    let admin = set_up(server).await;
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let path = state_path(&created, "resume");
    content.put(&path, &json!({"slide": 3})).await.expect(204);
    content.post(&path, &json!({"done": [1, 2]})).await.expect(204);
    assert_eq!(content.get(&path).await.expect(200).json(), json!({"slide": 3, "done": [1, 2]}));

    let ada = created["xapi"]["actor"].to_string();
    let bo = ada.replace("\"name\":\"ada\"", "\"name\":\"bo\"");
    let registration = created["registration"].as_str();
    let outside = [
        document_path("resume", FIRE, &bo, registration),
        document_path("resume", &format!("{FIRE}/slide1"), &ada, registration),
        document_path("resume", FIRE, &ada, Some(OTHER_REGISTRATION)),
        document_path("resume", FIRE, &ada, None),
    ];
    for path in &outside {
        admin.put(path, &json!({"secret": true})).await.expect(204);
        content.get(path).await.expect(404);
        for answer in [
            content.put(path, &json!({})).await,
            content.post(path, &json!({})).await,
            content.delete(path).await,
        ] {
            answer.expect(403);
        }
        let list = path.replace("stateId=resume&", "");
        assert_eq!(content.get(&list).await.expect(200).json(), json!([]), "{list}");
        content.delete(&list).await.expect(403);
        assert_eq!(admin.get(path).await.expect(200).json(), json!({"secret": true}));
    }
    let list = path.replace("stateId=resume&", "");
    assert_eq!(content.get(&list).await.expect(200).json(), json!(["resume"]));
    content.delete(&list).await.expect(204);
    content.get(&path).await.expect(404);
}

/// Writes a statement with this verb and a state, and returns the statuses.
async fn write_both(content: &Caller, launch: &Value, verb: &str) -> (u16, u16) {
    let state = content.put(&state_path(launch, verb), &json!({})).await.status;
    (write(content, &statement_of(launch, verb)).await, state)
}

#[apply(both_databases)]
async fn browse_and_review_record_no_outcome(server: &TestServer) {
    let admin = set_up(server).await;
    for (mode, outcome, state) in [("normal", 200, 204), ("browse", 403, 204), ("review", 403, 403)] {
        let created = launch(&admin, "ada", "fire", json!({"mode": mode})).await;
        assert_eq!(created["mode"], mode);
        let content = content_of(server, &created);
        assert_eq!(write_both(&content, &created, "completed").await, (outcome, state), "{mode}");
        assert_eq!(write_both(&content, &created, "experienced").await, (200, state), "{mode}");
        let in_address = created["url"].as_str().expect("an address").contains(&format!("&mode={mode}"));
        assert_eq!(in_address, mode != "normal");
    }
}

#[apply(both_databases)]
async fn statement_that_counts_for_another_content_is_refused(server: &TestServer) {
    let admin = set_up(server).await;
    let ice = "https://rollbook.invalid/acme/contents/ice";
    let below = format!("{FIRE}/module");
    admin.put("/v1/contents/module", &json!({"title": "Module", "iri": below})).await.expect(201);
    let created = launch(&admin, "ada", "fire", json!({})).await;
    let content = content_of(server, &created);
    let named = |object: Value, context: Value| {
        let mut statement = statement_of(&created, "completed");
        statement["object"] = object;
        statement["context"]["contextActivities"] = context;
        statement
    };
    let question =
        |id: &str| json!({"id": id, "definition": {"type": "http://adlnet.gov/expapi/activities/question"}});
    for refused in [
        named(json!({"id": ice}), json!({"grouping": [{"id": FIRE}]})),
        named(json!({"id": below}), json!({"parent": [{"id": FIRE}]})),
        named(question(&format!("{FIRE}/q1")), json!({"parent": [{"id": ice}]})),
        named(question(&format!("{FIRE}/q1")), json!({"grouping": [{"id": ice}, {"id": FIRE}]})),
    ] {
        let problem = content.post("/xapi/statements", &json!([refused])).await.expect(403).json();
        assert_eq!(problem["pointer"], "/0/object/id", "{refused}");
    }
    for allowed in [
        named(json!({"id": FIRE}), json!({"grouping": [{"id": ice}]})),
        named(json!({"id": format!("{FIRE}/slide1")}), json!({"grouping": [{"id": ice}]})),
        named(question("urn:q1"), json!({"parent": [{"id": FIRE}], "grouping": [{"id": ice}]})),
        named(question("urn:q2"), json!({"grouping": [{"id": FIRE}, {"id": ice}]})),
    ] {
        assert_eq!(write(&content, &allowed).await, 200, "{allowed}");
    }
    for id in ["ice", "module"] {
        let rows = admin.list(&format!("/v1/activities?content={id}"), "activities").await;
        assert_eq!(rows, Vec::<Value>::new(), "{id}");
    }
}
