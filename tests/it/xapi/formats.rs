//! Tests of the parameter `format` (xAPI 1.0.3, Communication 2.1.3): `exact`, `ids` and `canonical`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, Caller};
use crate::support::records::{STATEMENTS as PATH, id};
use crate::support::{TestServer, apply, both_databases};

/// A statement with every member that a format may leave out, in every place.
fn full_statement() -> Value {
    let activity = |id: &str| {
        json!({"objectType": "Activity", "id": id, "definition": {
            "name": {"en-US": format!("{id} in English"), "de": format!("{id} auf Deutsch"), "fr": format!("{id} en français")},
            "description": {"de": "nur Deutsch"}, "type": "https://example.org/type", "moreInfo": "https://example.org/more",
            "interactionType": "choice", "correctResponsesPattern": ["a"],
            "choices": [{"id": "a", "description": {"en": "one", "de": "eins"}}, {"id": "b"}],
            "extensions": {"https://example.org/e": {"en": 1, "de": 2}}}})
    };
    let ada = json!({"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"});
    let crew = json!({"objectType": "Group", "name": "Crew", "account": {"homePage": "https://example.org", "name": "crew"}, "member": [ada]});
    let some = json!({"objectType": "Group", "name": "Some", "member": [ada, {"openid": "https://id.example.org/bo", "name": "Bo"}]});
    let verb = json!({"id": "https://example.org/did", "display": {"en": "did", "de": "tat"}});
    let context = json!({"instructor": crew, "team": some, "language": "de", "platform": "p",
        "contextActivities": {"parent": [activity("urn:parent")], "other": [activity("urn:o1"), activity("urn:o2")]},
        "contextAgents": [{"objectType": "contextAgent", "agent": ada, "relevantTypes": ["https://example.org/t"]}],
        "contextGroups": [{"objectType": "contextGroup", "group": some}],
        "extensions": {"https://example.org/e": {"name": {"en": "kept"}}}});
    json!({
        "id": id(1), "actor": some, "verb": verb,
        "object": {"objectType": "SubStatement", "actor": crew, "verb": verb, "object": activity("urn:within"), "context": context},
        "context": json!({"instructor": ada, "contextActivities": {"category": [activity("urn:category")]}}),
        "result": {"response": "a", "score": {"raw": 1.50}, "extensions": {"https://example.org/e": {"display": {"en": "a", "de": "b"}}}},
        "timestamp": "2026-03-01T00:00:00.000Z", "version": "2.0.0"
    })
}

async fn send(caller: &Caller, method: Method, path: &str, languages: Option<&str>, body: String) -> Answer {
    let mut headers = vec![("content-type", "application/json"), ("x-experience-api-version", "2.0.0")];
    headers.extend(languages.map(|languages| ("accept-language", languages)));
    caller.send(method, path, &headers, body.into_bytes()).await
}

async fn get_json(caller: &Caller, path: &str, languages: Option<&str>) -> Value {
    send(caller, Method::GET, path, languages, String::new()).await.expect(200).json()
}

/// Removes the members that the server adds.
fn without_server_members(mut statement: Value) -> Value {
    for name in ["stored", "authority"] {
        statement.as_object_mut().expect("an object").remove(name);
    }
    statement
}

/// Collects every language map of verbs and activities.
fn collect_language_maps<'v>(value: &'v mut Value, found: &mut Vec<&'v mut Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), &value) {
                    ("extensions", _) => {}
                    ("display" | "name" | "description", Value::Object(_)) => found.push(value),
                    _ => collect_language_maps(value, found),
                }
            }
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| collect_language_maps(element, found))
        }
        _ => {}
    }
}

#[apply(both_databases)]
async fn exact_format_is_the_sent_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, full_statement().to_string()).await.expect(200);
    for format_parameter in ["", "&format=exact"] {
        for languages in [None, Some("de"), Some("fr;q=0.1, *;q=0")] {
            let one =
                get_json(&admin, &format!("{PATH}?statementId={}{format_parameter}", id(1)), languages).await;
            assert_eq!(
                without_server_members(one.clone()),
                full_statement(),
                "{format_parameter} {languages:?}"
            );
            let page = get_json(&admin, &format!("{PATH}?limit=1{format_parameter}"), languages).await;
            assert_eq!(page["statements"][0], one);
        }
    }
}

#[apply(both_databases)]
async fn ids_format_contains_only_identifiers(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, full_statement().to_string()).await.expect(200);
    let some = json!({"objectType": "Group", "member": [{"objectType": "Agent", "mbox": "mailto:ada@example.org"}, {"openid": "https://id.example.org/bo"}]});
    let ada = json!({"objectType": "Agent", "mbox": "mailto:ada@example.org"});
    let crew = json!({"objectType": "Group", "account": {"homePage": "https://example.org", "name": "crew"}});
    let mut expected = full_statement();
    expected["actor"] = some.clone();
    expected["verb"] = json!({"id": "https://example.org/did"});
    expected["context"]["instructor"] = ada.clone();
    expected["context"]["contextActivities"] = json!({"category": [{"id": "urn:category"}]});
    let within = &mut expected["object"];
    within["actor"] = crew.clone();
    within["verb"] = json!({"id": "https://example.org/did"});
    within["object"] = json!({"id": "urn:within"});
    within["context"]["instructor"] = crew;
    within["context"]["team"] = some.clone();
    within["context"]["contextActivities"] =
        json!({"parent": [{"id": "urn:parent"}], "other": [{"id": "urn:o1"}, {"id": "urn:o2"}]});
    within["context"]["contextAgents"][0]["agent"] = ada;
    within["context"]["contextGroups"][0]["group"] = some;
    let one = get_json(&admin, &format!("{PATH}?statementId={}&format=ids", id(1)), Some("de")).await;
    assert_eq!(without_server_members(one.clone()), expected);
    assert_eq!(
        get_json(&admin, &format!("{PATH}?format=ids&related_agents=true"), None).await["statements"][0],
        one
    );
    // The authority is an agent like the others.
    let authority = one["authority"].as_object().expect("an agent");
    assert!(authority.contains_key("account") && !authority.contains_key("name"), "{authority:?}");
}

/// Each map has one language, independent of the other maps.
#[apply(both_databases)]
async fn canonical_format_has_one_language_in_each_map(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, full_statement().to_string()).await.expect(200);
    // The requested languages, and the order in which the languages of a map are tried.
    let cases: [(Option<&str>, &[&str]); 6] = [
        (Some("de"), &["de"]),
        (Some("de-CH, en;q=0.9"), &["de"]),
        (Some("en"), &["en", "en-US", "de"]),
        (Some("fr, en-US;q=0.8, de;q=0.1"), &["fr", "en", "de"]),
        (Some("it"), &["en", "en-US", "de"]),
        (None, &["en", "en-US", "de"]),
    ];
    for (languages, order) in cases {
        let mut expected = full_statement();
        let mut found = Vec::new();
        collect_language_maps(&mut expected, &mut found);
        assert_eq!(
            found.len(),
            2 + 5 * 3,
            "two displays, and name, description and one choice of each activity"
        );
        for map in found {
            let tag = *order
                .iter()
                .find(|tag| map.get(*tag).is_some())
                .expect("the map has one of these languages");
            let text = map[tag].clone();
            *map = json!({ (tag): text });
        }
        let one =
            get_json(&admin, &format!("{PATH}?statementId={}&format=canonical", id(1)), languages).await;
        assert_eq!(without_server_members(one.clone()), expected, "{languages:?}");
        assert_eq!(
            get_json(&admin, &format!("{PATH}?format=canonical"), languages).await["statements"][0],
            one
        );
    }
    // An invalid header is ignored.
    get_json(&admin, &format!("{PATH}?format=canonical"), Some("nonsense;;q=,,*")).await;
}

/// All pages have the format and languages of the first request (Data 2.5).
#[apply(both_databases)]
async fn format_applies_to_all_pages(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=3 {
        let mut one = full_statement();
        one["id"] = json!(id(n));
        send(&admin, Method::POST, PATH, None, one.to_string()).await.expect(200);
    }
    for (format, display) in [
        ("ids", json!(null)),
        ("canonical", json!({"de": "tat"})),
        ("exact", json!({"en": "did", "de": "tat"})),
    ] {
        let mut page =
            get_json(&admin, &format!("{PATH}?limit=1&format={format}"), Some("de-AT, en;q=0.5")).await;
        for n in (1..=3).rev() {
            assert_eq!(
                (&page["statements"][0]["id"], &page["statements"][0]["verb"]["display"]),
                (&json!(id(n)), &display),
                "{format}"
            );
            let more = page["more"].as_str().expect("`more`").to_owned();
            assert_eq!(more.is_empty(), n == 1);
            if n > 1 {
                page = get_json(&admin, &more, None).await;
            }
        }
    }
}

/// The format changes neither the filters nor the stored statement.
#[apply(both_databases)]
async fn format_does_not_change_stored_statements(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, full_statement().to_string()).await.expect(200);
    let exact = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text().to_owned();
    for format in ["ids", "canonical"] {
        let formatted =
            get_json(&admin, &format!("{PATH}?statementId={}&format={format}", id(1)), Some("fr")).await;
        // A statement in the format `canonical` can be sent again.
        let again = send(&admin, Method::POST, PATH, None, formatted.to_string()).await;
        if format == "canonical" {
            again.expect(200);
        }
    }
    assert_eq!(admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text(), exact);
    for wrong in ["ID", "Exact", "full", "", "ids,exact"] {
        admin.get(&format!("{PATH}?format={wrong}")).await.expect(400);
        admin.get(&format!("{PATH}?statementId={}&format={wrong}", id(1))).await.expect(400);
    }
}
