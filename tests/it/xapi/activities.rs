//! `/xapi/activities`: what an Activity is, merged from all statements that name it.

use reqwest::Method;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use crate::support::builders::{Body, content, mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::{Database, TestServer, apply, both_databases, server};

const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const STATEMENTS: &str = "/xapi/statements";

fn path(iri: &str) -> String {
    format!("/xapi/activities?activityId={}", encode_segment(iri))
}

/// A statement about an Activity, with a definition of it.
fn defining(object: &str, definition: &Value) -> Body {
    statement(mailbox("ada@example.org"), COMPLETED, object).set("object.definition", definition.clone())
}

fn named(name: &Value) -> Value {
    json!({"name": name})
}

/// The definition that is answered; null where there is none.
async fn definition(caller: &Caller, iri: &str) -> Value {
    let answer = caller.get(&path(iri)).await.expect(200).json();
    assert_eq!((&answer["objectType"], &answer["id"]), (&json!("Activity"), &json!(iri)));
    answer["definition"].clone()
}

#[apply(both_databases)]
async fn an_activity_that_nobody_knows_is_answered_with_its_id(server: &TestServer) {
    let reader = server.person("learner", "ada");
    for version in ["1.0.3", "2.0.0"] {
        let headers = [("x-experience-api-version", version)];
        for iri in ["http://example.org/a?b=c&d=ü", "urn:x"] {
            let answer = reader.send(Method::GET, &path(iri), &headers, Vec::new()).await.expect(200);
            assert_eq!(answer.json(), json!({"objectType": "Activity", "id": iri}));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let head = reader.send(Method::HEAD, &path(iri), &headers, Vec::new()).await.expect(200);
            assert_eq!((head.body.len(), head.header("x-experience-api-version")), (0, Some(version)));
        }
    }
    // One that was only named is no other.
    server
        .person("admin", "root")
        .post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:x"))
        .await
        .expect(200);
    assert_eq!(
        reader.get(&path("urn:x")).await.expect(200).json(),
        json!({"objectType": "Activity", "id": "urn:x"})
    );
}

#[apply(both_databases)]
async fn bad_questions_are_400(server: &TestServer) {
    let reader = server.person("learner", "ada");
    for (asked, parameter) in [
        ("", "activityId"),
        ("?activityId=", "activityId"),
        ("?activityId=x", "activityId"),
        ("?activityId=true", "activityId"),
        ("?activityId=urn:a&activityId=urn:b", "activityId"),
        ("?activityId=urn:a&x=1", "x"),
        ("?activityId=urn:a&since=2026-01-01T00:00:00Z", "since"),
        ("?ActivityId=urn:a", "ActivityId"),
    ] {
        let refused = reader.get(&format!("/xapi/activities{asked}")).await.expect(400).json();
        let named =
            refused["errors"].as_array().expect("errors").iter().any(|error| error["parameter"] == parameter);
        assert!(named, "{asked}: {refused}");
    }
    reader
        .send(Method::GET, &path("urn:a"), &[("x-experience-api-version", "0.9")], Vec::new())
        .await
        .expect(400);
}

#[apply(both_databases)]
async fn what_was_said_once_comes_back_as_it_was_written(server: &TestServer) {
    let admin = server.person("admin", "root");
    let said = r#"{"type":"http://example.org/t","name":{"en-US":"F\u0069re","fr":"Feu"},"description":{"und":""},"extensions":{"urn:n":1.50e1,"urn:z":[null,{}]},"interactionType":"choice","correctResponsesPattern":["b"],"choices":[{"id":"b","description":{"en":"B"}},{"id":"a"}],"moreInfo":"http://example.org/more"}"#;
    let text = format!(
        r#"{{"actor":{{"mbox":"mailto:ada@example.org"}},"verb":{{"id":"urn:v"}},"object":{{"objectType":"Activity","id":"urn:a","definition":{said}}}}}"#
    );
    let headers = [("content-type", "application/json")];
    for _ in 0..2 {
        admin.send(Method::POST, STATEMENTS, &headers, text.clone().into_bytes()).await.expect(200);
        let answer = admin.get(&path("urn:a")).await.expect(200);
        assert_eq!(answer.text(), format!(r#"{{"objectType":"Activity","id":"urn:a","definition":{said}}}"#));
    }
    admin.post(STATEMENTS, &defining("urn:empty", &json!({}))).await.expect(200);
    assert_eq!(definition(&admin, "urn:empty").await, json!({}));
}

#[apply(both_databases)]
async fn definitions_are_merged_in_the_order_of_recording(server: &TestServer) {
    let admin = server.person("admin", "root");
    // What happened later was recorded first: for what an Activity is, the order of recording counts.
    let first = defining(
        "urn:a",
        &json!({"name": {"en": "Fire", "de": "Feuer"}, "type": "urn:t",
        "extensions": {"urn:x": {"deep": 1}, "urn:y": 2}}),
    )
    .set("timestamp", "2026-03-09T00:00:00Z");
    let second = defining(
        "urn:a",
        &json!({"name": {"fr": "Feu", "EN": "Fire Safety"}, "description": {"en": "How not to burn"},
        "extensions": {"urn:x": {"other": 1}}}),
    )
    .set("timestamp", "2026-03-01T00:00:00Z");
    admin.post(STATEMENTS, &[first.clone(), second]).await.expect(200);
    let merged = json!({"name": {"EN": "Fire Safety", "de": "Feuer", "fr": "Feu"}, "description": {"en": "How not to burn"}, "type": "urn:t",
        "extensions": {"urn:x": {"other": 1}, "urn:y": 2}});
    assert_eq!(definition(&admin, "urn:a").await, merged);
    // Without a definition nothing is said.
    admin.post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:a")).await.expect(200);
    assert_eq!(definition(&admin, "urn:a").await, merged);
    // What was overtaken counts again where it is said again.
    admin.post(STATEMENTS, &first).await.expect(200);
    let again = definition(&admin, "urn:a").await;
    assert_eq!(
        (&again["name"]["en"], &again["name"]["fr"], &again["extensions"]["urn:x"]),
        (&json!("Fire"), &json!("Feu"), &json!({"deep": 1}))
    );
}

#[apply(both_databases)]
async fn an_activity_is_defined_wherever_a_statement_names_it(server: &TestServer) {
    let admin = server.person("admin", "root");
    let activity = |iri: &str| json!({"id": iri, "definition": named(&json!({"en": iri}))});
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
        assert_eq!(definition(&admin, &iri).await["name"]["en"], json!(iri));
    }
    assert_eq!(definition(&admin, "urn:question").await["correctResponsesPattern"], json!(["true"]));
    // In one statement the object speaks first, then the context.
    let twice = defining("urn:twice", &named(&json!({"en": "object", "de": "Objekt"})))
        .set("context", json!({"contextActivities": {"other": [{"id": "urn:twice", "definition": named(&json!({"en": "context"}))}]}}));
    admin.post(STATEMENTS, &twice).await.expect(200);
    assert_eq!(definition(&admin, "urn:twice").await, named(&json!({"en": "context", "de": "Objekt"})));
}

#[apply(both_databases)]
async fn only_who_may_define_defines(server: &TestServer) {
    let admin = server.person("admin", "root");
    let quiet = server.credential("acme", &["statements/write"]).await;
    let defines = server.credential("acme", &["statements/write", "define"]).await;
    let all = server.credential("acme", &["all"]).await;
    let say = async |caller: &Caller, name: Value| {
        caller
            .post(
                STATEMENTS,
                &defining("urn:a", &named(&name)).set(
                    "context.contextActivities.parent",
                    json!([{"id": "urn:p", "definition": named(&name)}]),
                ),
            )
            .await
            .expect(200);
        let object = definition(&admin, "urn:a").await;
        assert_eq!(object, definition(&admin, "urn:p").await, "an object and a parent are alike");
        object["name"].clone()
    };
    assert_eq!(say(&quiet, json!({"en": "quiet"})).await, Value::Null);
    assert_eq!(say(&defines, json!({"en": "one"})).await, json!({"en": "one"}));
    assert_eq!(say(&quiet, json!({"en": "quiet", "de": "still"})).await, json!({"en": "one"}));
    assert_eq!(say(&all, json!({"fr": "deux"})).await, json!({"en": "one", "fr": "deux"}));
    assert_eq!(say(&admin, json!({"fr": "trois"})).await, json!({"en": "one", "fr": "trois"}));
    assert_eq!(say(&defines, json!({"en": "one"})).await, json!({"en": "one", "fr": "trois"}));
}

#[apply(both_databases)]
async fn what_is_not_kept_defines_nothing_and_what_is_voided_has_been_said(server: &TestServer) {
    let admin = server.person("admin", "root");
    let id = "00000000-0000-4000-8000-000000000001";
    let first = defining("urn:a", &named(&json!({"en": "kept"}))).set("id", id);
    admin.post(STATEMENTS, &first).await.expect(200);
    let other =
        defining("urn:a", &named(&json!({"en": "refused"}))).set("id", id).set("verb.id", "urn:other");
    admin.post(STATEMENTS, &other).await.expect(409);
    let bad = statement(json!({}), COMPLETED, "urn:a").json();
    admin
        .post(STATEMENTS, &[defining("urn:a", &named(&json!({"en": "refused"}))).json(), bad])
        .await
        .expect(400);
    assert_eq!(definition(&admin, "urn:a").await, named(&json!({"en": "kept"})));
    // The same statement with another definition is the same statement: what is kept is the first one's.
    admin
        .post(STATEMENTS, &defining("urn:a", &named(&json!({"en": "again"}))).set("id", id))
        .await
        .expect(200);
    assert_eq!(definition(&admin, "urn:a").await, named(&json!({"en": "kept"})));
    let voiding_statement = json!({"actor": mailbox("root@example.org"), "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}, "object": {"objectType": "StatementRef", "id": id}});
    admin.post(STATEMENTS, &voiding_statement).await.expect(200);
    assert_eq!(definition(&admin, "urn:a").await, named(&json!({"en": "kept"})));
}

#[apply(both_databases)]
async fn a_registered_content_has_its_title_until_a_statement_says_more(server: &TestServer) {
    let admin = server.person("admin", "root");
    let registered =
        content("fire", "quiz").set("iri", "http://example.org/fire").set("title", "Fire \"Safety\"");
    admin.put("/v1/contents/fire", &registered).await.expect(201);
    let learner = server.person("learner", "ada");
    assert_eq!(
        definition(&learner, "http://example.org/fire").await,
        named(&json!({"und": "Fire \"Safety\""}))
    );
    admin.patch("/v1/contents/fire", &json!({"title": "Fire"})).await.expect(200);
    assert_eq!(definition(&learner, "http://example.org/fire").await, named(&json!({"und": "Fire"})));
    admin
        .post(STATEMENTS, &defining("http://example.org/fire", &named(&json!({"de": "Feuer"}))))
        .await
        .expect(200);
    assert_eq!(definition(&learner, "http://example.org/fire").await, named(&json!({"de": "Feuer"})));
    // The catalogue's own title is not touched by it.
    assert_eq!(admin.get("/v1/contents/fire").await.expect(200).json()["title"], "Fire");
    // What was said before somebody registered it stays.
    admin.post(STATEMENTS, &defining("urn:late", &named(&json!({"en": "Late"})))).await.expect(200);
    admin.put("/v1/contents/late", &content("late", "item").set("iri", "urn:late")).await.expect(201);
    assert_eq!(definition(&learner, "urn:late").await, named(&json!({"en": "Late"})));
}

#[apply(both_databases)]
async fn nothing_crosses_between_organisations(server: &TestServer) {
    let (ours, theirs) =
        (server.person("admin", "root"), server.person_of("other", json!({"sub": "root", "role": "owner"})));
    ours.post(STATEMENTS, &defining("urn:a", &named(&json!({"en": "Ours"})))).await.expect(200);
    ours.put("/v1/contents/fire", &content("fire", "quiz").set("iri", "http://example.org/fire"))
        .await
        .expect(201);
    assert_eq!(definition(&theirs, "urn:a").await, Value::Null);
    theirs.post(STATEMENTS, &defining("urn:b", &named(&json!({"en": "Theirs"})))).await.expect(200);
    assert_eq!(definition(&theirs, "urn:a").await, Value::Null, "also where the organisation exists");
    theirs.post(STATEMENTS, &defining("urn:a", &named(&json!({"de": "Ihres"})))).await.expect(200);
    assert_eq!(definition(&theirs, "urn:a").await, named(&json!({"de": "Ihres"})));
    assert_eq!(definition(&ours, "urn:a").await, named(&json!({"en": "Ours"})));
    let everything = server.credential("other", &["all", "catalogue"]).await;
    for iri in ["http://example.org/fire", "urn:none"] {
        assert_eq!(definition(&everything, iri).await, Value::Null, "{iri}");
    }
}

#[apply(both_databases)]
async fn a_rebuild_gives_the_same_definitions(server: &TestServer) {
    let admin = server.person("admin", "root");
    let quiet = server.credential("acme", &["statements/write"]).await;
    for (caller, name) in [
        (&admin, json!({"en": "1", "de": "1"})),
        (&admin, json!({"en": "2"})),
        (&quiet, json!({"en": "3"})),
        (&admin, json!({"fr": "4"})),
        (&admin, json!({"en": "1", "de": "1"})),
    ] {
        caller.post(STATEMENTS, &defining("urn:a", &named(&name))).await.expect(200);
    }
    admin
        .put("/v1/contents/b", &content("b", "item").set("iri", "urn:b").set("title", "B"))
        .await
        .expect(201);
    let expected = named(&json!({"en": "1", "de": "1", "fr": "4"}));
    assert_eq!(definition(&admin, "urn:a").await, expected);
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(definition(&admin, "urn:a").await, expected);
    assert_eq!(definition(&admin, "urn:b").await, named(&json!({"und": "B"})));
    admin.post(STATEMENTS, &defining("urn:a", &named(&json!({"en": "5"})))).await.expect(200);
    assert_eq!(definition(&admin, "urn:a").await["name"], json!({"en": "5", "de": "1", "fr": "4"}));
}

/// Two servers on one database define by turns: the latest recorded counts, whoever wrote it, and nothing is lost.
#[test]
fn replicas_have_one_answer() {
    server::run(Database::postgres(), async |first| {
        let second = first.start_replica().await;
        let (one, other) = (first.person("admin", "root"), second.person("admin", "root"));
        let say = async |caller: &Caller, name: Value| {
            caller.post(STATEMENTS, &defining("urn:a", &named(&name))).await.expect(200);
        };
        for (n, tag) in ["en", "de", "fr", "it", "es", "nl"].into_iter().enumerate() {
            let caller = if n % 2 == 0 { &one } else { &other };
            say(caller, json!({tag: tag})).await;
        }
        let union = json!({"en": "en", "de": "de", "fr": "fr", "it": "it", "es": "es", "nl": "nl"});
        for caller in [&one, &other] {
            assert_eq!(definition(caller, "urn:a").await, named(&union));
        }
        // What the first one has just seen and the second one overtook counts again when it is said again.
        for round in 0..3 {
            for (caller, name) in
                [(&one, "one"), (&other, "other"), (&one, "one"), (&other, "one"), (&one, "other")]
            {
                say(caller, json!({"en": name})).await;
                for reader in [&one, &other] {
                    assert_eq!(definition(reader, "urn:a").await["name"]["en"], *name, "round {round}");
                }
            }
        }
        // At once: whatever the order, every language is there.
        let tags: Vec<String> = ('a'..='z').map(|letter| format!("x-{letter}")).collect();
        let saying = tags
            .iter()
            .enumerate()
            .map(|(n, tag)| say(if n % 2 == 0 { &one } else { &other }, json!({tag: tag})));
        futures_util::future::join_all(saying).await;
        let all = definition(&one, "urn:a").await;
        assert!(tags.iter().all(|tag| all["name"][tag] == *tag), "{all}");
        assert_eq!(all["name"].as_object().map(serde_json::Map::len), Some(6 + tags.len()));
        second.stop().await;
    });
}
