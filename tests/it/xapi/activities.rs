//! Tests of `/xapi/activities`: the definition of an activity, merged from all statements.

use reqwest::Method;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use crate::support::builders::{Body, content, mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::{Database, TestServer, apply, both_databases, server};

fn activity_path(iri: &str) -> String {
    format!("/xapi/activities?activityId={}", encode_segment(iri))
}

/// A statement with a defined object.
fn statement_with_definition(object: &str, definition: &Value) -> Body {
    statement(mailbox("ada@example.org"), COMPLETED, object).set("object.definition", definition.clone())
}

fn definition_with_name(name: &Value) -> Value {
    json!({"name": name})
}

/// The returned definition, or null.
async fn get_definition(caller: &Caller, iri: &str) -> Value {
    let answer = caller.get(&activity_path(iri)).await.expect(200).json();
    assert_eq!((&answer["objectType"], &answer["id"]), (&json!("Activity"), &json!(iri)));
    answer["definition"].clone()
}

#[apply(both_databases)]
async fn unknown_activity_is_returned_with_its_id(server: &TestServer) {
    let reader = server.person("learner", "ada");
    for version in ["1.0.3", "2.0.0"] {
        let headers = [("x-experience-api-version", version)];
        for iri in ["http://example.org/a?b=c&d=ü", "urn:x"] {
            let answer =
                reader.send(Method::GET, &activity_path(iri), &headers, Vec::new()).await.expect(200);
            assert_eq!(answer.json(), json!({"objectType": "Activity", "id": iri}));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let head = reader.send(Method::HEAD, &activity_path(iri), &headers, Vec::new()).await.expect(200);
            assert_eq!((head.body.len(), head.header("x-experience-api-version")), (0, Some(version)));
        }
    }
    // An activity without a definition gives the same answer.
    server
        .person("admin", "root")
        .post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:x"))
        .await
        .expect(200);
    assert_eq!(
        reader.get(&activity_path("urn:x")).await.expect(200).json(),
        json!({"objectType": "Activity", "id": "urn:x"})
    );
}

#[apply(both_databases)]
async fn invalid_parameters_are_refused(server: &TestServer) {
    let reader = server.person("learner", "ada");
    for (query, parameter) in [
        ("", "activityId"),
        ("?activityId=", "activityId"),
        ("?activityId=x", "activityId"),
        ("?activityId=true", "activityId"),
        ("?activityId=urn:a&activityId=urn:b", "activityId"),
        ("?activityId=urn:a&x=1", "x"),
        ("?activityId=urn:a&since=2026-01-01T00:00:00Z", "since"),
        ("?ActivityId=urn:a", "ActivityId"),
    ] {
        let refused = reader.get(&format!("/xapi/activities{query}")).await.expect(400).json();
        let named =
            refused["errors"].as_array().expect("errors").iter().any(|error| error["parameter"] == parameter);
        assert!(named, "{query}: {refused}");
    }
    reader
        .send(Method::GET, &activity_path("urn:a"), &[("x-experience-api-version", "0.9")], Vec::new())
        .await
        .expect(400);
}

#[apply(both_databases)]
async fn definition_is_returned_unchanged(server: &TestServer) {
    let admin = server.person("admin", "root");
    let definition = r#"{"type":"http://example.org/t","name":{"en-US":"F\u0069re","fr":"Feu"},"description":{"und":""},"extensions":{"urn:n":1.50e1,"urn:z":[null,{}]},"interactionType":"choice","correctResponsesPattern":["b"],"choices":[{"id":"b","description":{"en":"B"}},{"id":"a"}],"moreInfo":"http://example.org/more"}"#;
    let text = format!(
        r#"{{"actor":{{"mbox":"mailto:ada@example.org"}},"verb":{{"id":"urn:v"}},"object":{{"objectType":"Activity","id":"urn:a","definition":{definition}}}}}"#
    );
    let headers = [("content-type", "application/json")];
    for _ in 0..2 {
        admin.send(Method::POST, STATEMENTS, &headers, text.clone().into_bytes()).await.expect(200);
        let answer = admin.get(&activity_path("urn:a")).await.expect(200);
        assert_eq!(
            answer.text(),
            format!(r#"{{"objectType":"Activity","id":"urn:a","definition":{definition}}}"#)
        );
    }
    admin.post(STATEMENTS, &statement_with_definition("urn:empty", &json!({}))).await.expect(200);
    assert_eq!(get_definition(&admin, "urn:empty").await, json!({}));
}

#[apply(both_databases)]
async fn definitions_are_merged_in_the_order_of_recording(server: &TestServer) {
    let admin = server.person("admin", "root");
    // The first statement has the later timestamp. The order of recording decides.
    let first = statement_with_definition(
        "urn:a",
        &json!({"name": {"en": "Fire", "de": "Feuer"}, "type": "urn:t",
        "extensions": {"urn:x": {"deep": 1}, "urn:y": 2}}),
    )
    .set("timestamp", "2026-03-09T00:00:00Z");
    let second = statement_with_definition(
        "urn:a",
        &json!({"name": {"fr": "Feu", "EN": "Fire Safety"}, "description": {"en": "How not to burn"},
        "extensions": {"urn:x": {"other": 1}}}),
    )
    .set("timestamp", "2026-03-01T00:00:00Z");
    admin.post(STATEMENTS, &[first.clone(), second]).await.expect(200);
    let merged = json!({"name": {"EN": "Fire Safety", "de": "Feuer", "fr": "Feu"}, "description": {"en": "How not to burn"}, "type": "urn:t",
        "extensions": {"urn:x": {"other": 1}, "urn:y": 2}});
    assert_eq!(get_definition(&admin, "urn:a").await, merged);
    // A statement without a definition changes nothing.
    admin.post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:a")).await.expect(200);
    assert_eq!(get_definition(&admin, "urn:a").await, merged);
    // A former definition applies again when it is sent again.
    admin.post(STATEMENTS, &first).await.expect(200);
    let again = get_definition(&admin, "urn:a").await;
    assert_eq!(
        (&again["name"]["en"], &again["name"]["fr"], &again["extensions"]["urn:x"]),
        (&json!("Fire"), &json!("Feu"), &json!({"deep": 1}))
    );
}

#[apply(both_databases)]
async fn definitions_are_read_from_every_part_of_a_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    let activity = |iri: &str| json!({"id": iri, "definition": definition_with_name(&json!({"en": iri}))});
    let question = json!({"id": "urn:question", "definition": {"type": "http://adlnet.gov/expapi/activities/cmi.interaction",
        "interactionType": "true-false", "correctResponsesPattern": ["true"], "name": {"en": "urn:question"}}});
    let context = |suffix: &str| {
        let one = |kind: &str| activity(&format!("urn:{kind}{suffix}"));
        json!({"contextActivities": {"parent": [one("parent")], "grouping": [one("grouping"), one("second")], "category": one("category"), "other": [one("other")]}})
    };
    let sent = json!({"actor": mailbox("ada@example.org"), "verb": {"id": COMPLETED}, "object": {"objectType": "SubStatement",
        "actor": mailbox("bo@example.org"), "verb": {"id": COMPLETED}, "object": question, "context": context("-within")}, "context": context("")});
    admin.post(STATEMENTS, &sent).await.expect(200);
    let kinds = ["parent", "grouping", "second", "category", "other"];
    let all = kinds.iter().flat_map(|kind| [format!("urn:{kind}"), format!("urn:{kind}-within")]);
    for iri in all.chain(["urn:question".to_owned()]) {
        assert_eq!(get_definition(&admin, &iri).await["name"]["en"], json!(iri));
    }
    assert_eq!(get_definition(&admin, "urn:question").await["correctResponsesPattern"], json!(["true"]));
    // Within one statement, the definition in the context comes after the one of the object.
    let twice = statement_with_definition("urn:twice", &definition_with_name(&json!({"en": "object", "de": "Objekt"})))
        .set("context", json!({"contextActivities": {"other": [{"id": "urn:twice", "definition": definition_with_name(&json!({"en": "context"}))}]}}));
    admin.post(STATEMENTS, &twice).await.expect(200);
    assert_eq!(
        get_definition(&admin, "urn:twice").await,
        definition_with_name(&json!({"en": "context", "de": "Objekt"}))
    );
}

#[apply(both_databases)]
async fn definitions_need_the_scope_define(server: &TestServer) {
    let admin = server.person("admin", "root");
    let without_define = server.credential("acme", &["statements/write"]).await;
    let with_define = server.credential("acme", &["statements/write", "define"]).await;
    let all = server.credential("acme", &["all"]).await;
    let define = async |caller: &Caller, name: Value| {
        caller
            .post(
                STATEMENTS,
                &statement_with_definition("urn:a", &definition_with_name(&name)).set(
                    "context.contextActivities.parent",
                    json!([{"id": "urn:p", "definition": definition_with_name(&name)}]),
                ),
            )
            .await
            .expect(200);
        let object = get_definition(&admin, "urn:a").await;
        assert_eq!(
            object,
            get_definition(&admin, "urn:p").await,
            "the object and the parent have the same definition"
        );
        object["name"].clone()
    };
    assert_eq!(define(&without_define, json!({"en": "quiet"})).await, Value::Null);
    assert_eq!(define(&with_define, json!({"en": "one"})).await, json!({"en": "one"}));
    assert_eq!(define(&without_define, json!({"en": "quiet", "de": "still"})).await, json!({"en": "one"}));
    assert_eq!(define(&all, json!({"fr": "deux"})).await, json!({"en": "one", "fr": "deux"}));
    assert_eq!(define(&admin, json!({"fr": "trois"})).await, json!({"en": "one", "fr": "trois"}));
    assert_eq!(define(&with_define, json!({"en": "one"})).await, json!({"en": "one", "fr": "trois"}));
}

#[apply(both_databases)]
async fn refused_statements_define_nothing_and_voided_ones_still_do(server: &TestServer) {
    let admin = server.person("admin", "root");
    let id = "00000000-0000-4000-8000-000000000001";
    let first =
        statement_with_definition("urn:a", &definition_with_name(&json!({"en": "kept"}))).set("id", id);
    admin.post(STATEMENTS, &first).await.expect(200);
    let other = statement_with_definition("urn:a", &definition_with_name(&json!({"en": "refused"})))
        .set("id", id)
        .set("verb.id", "urn:other");
    admin.post(STATEMENTS, &other).await.expect(409);
    let bad = statement(json!({}), COMPLETED, "urn:a").json();
    admin
        .post(
            STATEMENTS,
            &[
                statement_with_definition("urn:a", &definition_with_name(&json!({"en": "refused"}))).json(),
                bad,
            ],
        )
        .await
        .expect(400);
    assert_eq!(get_definition(&admin, "urn:a").await, definition_with_name(&json!({"en": "kept"})));
    // An equal statement with another definition does not change the definition.
    admin
        .post(
            STATEMENTS,
            &statement_with_definition("urn:a", &definition_with_name(&json!({"en": "again"}))).set("id", id),
        )
        .await
        .expect(200);
    assert_eq!(get_definition(&admin, "urn:a").await, definition_with_name(&json!({"en": "kept"})));
    let voiding_statement = json!({"actor": mailbox("root@example.org"), "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}, "object": {"objectType": "StatementRef", "id": id}});
    admin.post(STATEMENTS, &voiding_statement).await.expect(200);
    assert_eq!(get_definition(&admin, "urn:a").await, definition_with_name(&json!({"en": "kept"})));
}

#[apply(both_databases)]
async fn registered_content_has_its_title_until_a_statement_defines_it(server: &TestServer) {
    let admin = server.person("admin", "root");
    let registered =
        content("fire", "quiz").set("iri", "http://example.org/fire").set("title", "Fire \"Safety\"");
    admin.put("/v1/contents/fire", &registered).await.expect(201);
    let learner = server.person("learner", "ada");
    assert_eq!(
        get_definition(&learner, "http://example.org/fire").await,
        definition_with_name(&json!({"und": "Fire \"Safety\""}))
    );
    admin.patch("/v1/contents/fire", &json!({"title": "Fire"})).await.expect(200);
    assert_eq!(
        get_definition(&learner, "http://example.org/fire").await,
        definition_with_name(&json!({"und": "Fire"}))
    );
    admin
        .post(
            STATEMENTS,
            &statement_with_definition(
                "http://example.org/fire",
                &definition_with_name(&json!({"de": "Feuer"})),
            ),
        )
        .await
        .expect(200);
    assert_eq!(
        get_definition(&learner, "http://example.org/fire").await,
        definition_with_name(&json!({"de": "Feuer"}))
    );
    // The statement does not change the title in the catalogue.
    assert_eq!(admin.get("/v1/contents/fire").await.expect(200).json()["title"], "Fire");
    // A definition from before the registration stays.
    admin
        .post(
            STATEMENTS,
            &statement_with_definition("urn:late", &definition_with_name(&json!({"en": "Late"}))),
        )
        .await
        .expect(200);
    admin.put("/v1/contents/late", &content("late", "item").set("iri", "urn:late")).await.expect(201);
    assert_eq!(get_definition(&learner, "urn:late").await, definition_with_name(&json!({"en": "Late"})));
}

#[apply(both_databases)]
async fn definitions_of_other_organisations_are_not_visible(server: &TestServer) {
    let (acme_admin, other_admin) =
        (server.person("admin", "root"), server.person_of("other", json!({"sub": "root", "role": "owner"})));
    acme_admin
        .post(STATEMENTS, &statement_with_definition("urn:a", &definition_with_name(&json!({"en": "Ours"}))))
        .await
        .expect(200);
    acme_admin
        .put("/v1/contents/fire", &content("fire", "quiz").set("iri", "http://example.org/fire"))
        .await
        .expect(201);
    assert_eq!(get_definition(&other_admin, "urn:a").await, Value::Null);
    other_admin
        .post(
            STATEMENTS,
            &statement_with_definition("urn:b", &definition_with_name(&json!({"en": "Theirs"}))),
        )
        .await
        .expect(200);
    assert_eq!(get_definition(&other_admin, "urn:a").await, Value::Null, "also if the organisation exists");
    other_admin
        .post(STATEMENTS, &statement_with_definition("urn:a", &definition_with_name(&json!({"de": "Ihres"}))))
        .await
        .expect(200);
    assert_eq!(get_definition(&other_admin, "urn:a").await, definition_with_name(&json!({"de": "Ihres"})));
    assert_eq!(get_definition(&acme_admin, "urn:a").await, definition_with_name(&json!({"en": "Ours"})));
    let all_scopes = server.credential("other", &["all", "catalogue"]).await;
    for iri in ["http://example.org/fire", "urn:none"] {
        assert_eq!(get_definition(&all_scopes, iri).await, Value::Null, "{iri}");
    }
}

#[apply(both_databases)]
async fn rebuild_keeps_definitions(server: &TestServer) {
    let admin = server.person("admin", "root");
    let without_define = server.credential("acme", &["statements/write"]).await;
    for (caller, name) in [
        (&admin, json!({"en": "1", "de": "1"})),
        (&admin, json!({"en": "2"})),
        (&without_define, json!({"en": "3"})),
        (&admin, json!({"fr": "4"})),
        (&admin, json!({"en": "1", "de": "1"})),
    ] {
        caller
            .post(STATEMENTS, &statement_with_definition("urn:a", &definition_with_name(&name)))
            .await
            .expect(200);
    }
    admin
        .put("/v1/contents/b", &content("b", "item").set("iri", "urn:b").set("title", "B"))
        .await
        .expect(201);
    let expected = definition_with_name(&json!({"en": "1", "de": "1", "fr": "4"}));
    assert_eq!(get_definition(&admin, "urn:a").await, expected);
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(get_definition(&admin, "urn:a").await, expected);
    assert_eq!(get_definition(&admin, "urn:b").await, definition_with_name(&json!({"und": "B"})));
    admin
        .post(STATEMENTS, &statement_with_definition("urn:a", &definition_with_name(&json!({"en": "5"}))))
        .await
        .expect(200);
    assert_eq!(get_definition(&admin, "urn:a").await["name"], json!({"en": "5", "de": "1", "fr": "4"}));
}

/// Two servers write definitions in turn. The latest recorded definition applies on both.
#[test]
fn two_servers_return_the_same_definition() {
    server::run(Database::postgres(), async |first| {
        let second = first.start_replica().await;
        let (one, other) = (first.person("admin", "root"), second.person("admin", "root"));
        let define = async |caller: &Caller, name: Value| {
            caller
                .post(STATEMENTS, &statement_with_definition("urn:a", &definition_with_name(&name)))
                .await
                .expect(200);
        };
        for (n, tag) in ["en", "de", "fr", "it", "es", "nl"].into_iter().enumerate() {
            let caller = if n % 2 == 0 { &one } else { &other };
            define(caller, json!({tag: tag})).await;
        }
        let union = json!({"en": "en", "de": "de", "fr": "fr", "it": "it", "es": "es", "nl": "nl"});
        for caller in [&one, &other] {
            assert_eq!(get_definition(caller, "urn:a").await, definition_with_name(&union));
        }
        // A definition that another server has overwritten applies again when it is sent again.
        for round in 0..3 {
            for (caller, name) in
                [(&one, "one"), (&other, "other"), (&one, "one"), (&other, "one"), (&one, "other")]
            {
                define(caller, json!({"en": name})).await;
                for reader in [&one, &other] {
                    assert_eq!(get_definition(reader, "urn:a").await["name"]["en"], *name, "round {round}");
                }
            }
        }
        // Concurrent definitions are all merged.
        let tags: Vec<String> = ('a'..='z').map(|letter| format!("x-{letter}")).collect();
        let definitions = tags
            .iter()
            .enumerate()
            .map(|(n, tag)| define(if n % 2 == 0 { &one } else { &other }, json!({tag: tag})));
        futures_util::future::join_all(definitions).await;
        let all = get_definition(&one, "urn:a").await;
        assert!(tags.iter().all(|tag| all["name"][tag] == *tag), "{all}");
        assert_eq!(all["name"].as_object().map(serde_json::Map::len), Some(6 + tags.len()));
        second.stop().await;
    });
}
