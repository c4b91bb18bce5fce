//! `format` of the statements (xAPI 1.0.3, Communication 2.1.3): `exact` as they came, `ids` with what identifies,
//! `canonical` in one language.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, Caller};
use crate::support::records::{STATEMENTS as PATH, id};
use crate::support::{TestServer, apply, both_databases};

/// A statement in which everything that a format may leave out stands everywhere that it can.
fn rich() -> Value {
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

async fn get(caller: &Caller, path: &str, languages: Option<&str>) -> Value {
    send(caller, Method::GET, path, languages, String::new()).await.expect(200).json()
}

/// Without what the store adds.
fn own(mut statement: Value) -> Value {
    for name in ["stored", "authority"] {
        statement.as_object_mut().expect("an object").remove(name);
    }
    statement
}

/// Every language map of verbs and Activities, to be changed.
fn maps<'v>(value: &'v mut Value, found: &mut Vec<&'v mut Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), &value) {
                    ("extensions", _) => {}
                    ("display" | "name" | "description", Value::Object(_)) => found.push(value),
                    _ => maps(value, found),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| maps(element, found)),
        _ => {}
    }
}

#[apply(both_databases)]
async fn exact_is_what_came(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, rich().to_string()).await.expect(200);
    for asked in ["", "&format=exact"] {
        for languages in [None, Some("de"), Some("fr;q=0.1, *;q=0")] {
            let one = get(&admin, &format!("{PATH}?statementId={}{asked}", id(1)), languages).await;
            assert_eq!(own(one.clone()), rich(), "{asked} {languages:?}");
            let page = get(&admin, &format!("{PATH}?limit=1{asked}"), languages).await;
            assert_eq!(page["statements"][0], one);
        }
    }
}

#[apply(both_databases)]
async fn ids_are_what_identifies(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, rich().to_string()).await.expect(200);
    let some = json!({"objectType": "Group", "member": [{"objectType": "Agent", "mbox": "mailto:ada@example.org"}, {"openid": "https://id.example.org/bo"}]});
    let ada = json!({"objectType": "Agent", "mbox": "mailto:ada@example.org"});
    let crew = json!({"objectType": "Group", "account": {"homePage": "https://example.org", "name": "crew"}});
    let mut expected = rich();
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
    let one = get(&admin, &format!("{PATH}?statementId={}&format=ids", id(1)), Some("de")).await;
    assert_eq!(own(one.clone()), expected);
    assert_eq!(
        get(&admin, &format!("{PATH}?format=ids&related_agents=true"), None).await["statements"][0],
        one
    );
    // Who vouches for it is an agent like the others.
    let authority = one["authority"].as_object().expect("an agent");
    assert!(authority.contains_key("account") && !authority.contains_key("name"), "{authority:?}");
}

/// One language in each map, each map for itself: what one lacks, another may have.
#[apply(both_databases)]
async fn canonical_is_one_language_in_each_map(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, rich().to_string()).await.expect(200);
    // What is asked for, and in which order the languages of a map are looked through.
    let cases: [(Option<&str>, &[&str]); 6] = [
        (Some("de"), &["de"]),
        (Some("de-CH, en;q=0.9"), &["de"]),
        (Some("en"), &["en", "en-US", "de"]),
        (Some("fr, en-US;q=0.8, de;q=0.1"), &["fr", "en", "de"]),
        (Some("it"), &["en", "en-US", "de"]),
        (None, &["en", "en-US", "de"]),
    ];
    for (languages, order) in cases {
        let mut expected = rich();
        let mut found = Vec::new();
        maps(&mut expected, &mut found);
        assert_eq!(
            found.len(),
            2 + 5 * 3,
            "both displays; name, description and one choice of each Activity"
        );
        for map in found {
            let tag = *order.iter().find(|tag| map.get(*tag).is_some()).expect("one of them is there");
            let text = map[tag].clone();
            *map = json!({ (tag): text });
        }
        let one = get(&admin, &format!("{PATH}?statementId={}&format=canonical", id(1)), languages).await;
        assert_eq!(own(one.clone()), expected, "{languages:?}");
        assert_eq!(get(&admin, &format!("{PATH}?format=canonical"), languages).await["statements"][0], one);
    }
    // A header that says nothing is no reason to refuse.
    get(&admin, &format!("{PATH}?format=canonical"), Some("nonsense;;q=,,*")).await;
}

/// The format and its languages go on from page to page, whoever follows the address (Data 2.5).
#[apply(both_databases)]
async fn a_format_goes_on_over_pages(server: &TestServer) {
    let admin = server.person("admin", "root");
    for n in 1..=3 {
        let mut one = rich();
        one["id"] = json!(id(n));
        send(&admin, Method::POST, PATH, None, one.to_string()).await.expect(200);
    }
    for (format, display) in [
        ("ids", json!(null)),
        ("canonical", json!({"de": "tat"})),
        ("exact", json!({"en": "did", "de": "tat"})),
    ] {
        let mut page = get(&admin, &format!("{PATH}?limit=1&format={format}"), Some("de-AT, en;q=0.5")).await;
        for n in (1..=3).rev() {
            assert_eq!(
                (&page["statements"][0]["id"], &page["statements"][0]["verb"]["display"]),
                (&json!(id(n)), &display),
                "{format}"
            );
            let more = page["more"].as_str().expect("`more`").to_owned();
            assert_eq!(more.is_empty(), n == 1);
            if n > 1 {
                page = get(&admin, &more, None).await;
            }
        }
    }
}

/// What a statement is found by doesn't depend on how it is given back, nor what it is the next time.
#[apply(both_databases)]
async fn a_format_changes_nothing_that_is_kept(server: &TestServer) {
    let admin = server.person("admin", "root");
    send(&admin, Method::POST, PATH, None, rich().to_string()).await.expect(200);
    let exact = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text().to_owned();
    for format in ["ids", "canonical"] {
        let shown = get(&admin, &format!("{PATH}?statementId={}&format={format}", id(1)), Some("fr")).await;
        // What is shown is a statement: in `canonical` it says the same, so that it is known when it comes back.
        let again = send(&admin, Method::POST, PATH, None, shown.to_string()).await;
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
