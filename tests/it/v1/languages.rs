//! Tests of labels, sentences, facets, summaries and files in the language of the reader.

use reqwest::Method;
use rollbook::texts::Language;
use serde_json::{Value, json};

use super::activities::id;
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

/// A pass with a score, and an enrolment. Returns an admin.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("custom", json!({"Rolle": "Leitung"}))).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let records: [Body; 2] = [
        activity("ada", "completed")
            .set("id", id(1))
            .set("content", "fire")
            .set("happened_at", "2026-03-02T09:00:00Z")
            .set("result", json!({"success": true, "score": 92.5, "total_time": "PT5M"})),
        activity("ada", "enrolled_for")
            .set("id", id(2))
            .set("content", "fire")
            .set("happened_at", "2026-03-01T09:00:00Z"),
    ];
    let sender = server.credential("acme", &["activities/write"]).await;
    sender.post("/v1/activities/batch", &records).await.expect(201);
    admin
}

/// The answer for a reader with this `Accept-Language`.
async fn get_in(caller: &Caller, accepted: &str, path: &str) -> Answer {
    caller.send(Method::GET, path, &[("accept-language", accepted)], Vec::new()).await
}

fn descriptions(list: &Value, member: &str) -> Vec<String> {
    let rows = list[member].as_array().expect("rows");
    rows.iter().map(|row| row["description"].as_str().expect("a sentence").to_owned()).collect()
}

fn labels(facets: &Value, name: &str) -> Vec<(String, String)> {
    let mut facets = facets["facets"].as_array().expect("facets").iter();
    let facet = facets.find(|facet| facet["name"] == name).expect("the facet");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let values = facet["values"].as_array().expect("values").iter();
    values.map(|value| (text(&value["value"]), text(&value["label"]))).collect()
}

#[apply(both_databases)]
async fn every_list_of_activities_is_in_the_language_of_the_reader(server: &TestServer) {
    let admin = set_up(server).await;
    let ada = server.person("learner", "ada");
    let report = json!({"name": "All", "filter": {"content": ["fire"]}});
    let report = admin.post("/v1/reports", &report).await.expect(201).json()["id"].clone();
    let report = format!("/v1/reports/{}/activities", report.as_str().expect("an id"));
    for (caller, path, member) in [
        (&admin, "/v1/activities", "activities"),
        (&admin, "/v1/users/ada/activities", "activities"),
        (&ada, "/v1/me/activities", "activities"),
        (&admin, "/v1/users/ada/timeline", "entries"),
        (&admin, report.as_str(), "activities"),
    ] {
        let title = content("fire", "quiz").json()["title"].as_str().expect("a title").to_owned();
        let english = caller.get(path).await.expect(200);
        assert_eq!(
            descriptions(&english.json(), member),
            [format!("Passed {title} scoring 92.5% in 5 minutes"), format!("Enrolled for {title}")],
            "{path}"
        );
        assert_eq!(english.header("content-language"), Some("en"), "{path}");
        let answer = get_in(caller, "sv, de-AT;q=0.8, en;q=0.5", path).await.expect(200);
        assert_eq!(
            descriptions(&answer.json(), member),
            [
                format!("{title} bestanden, Ergebnis: 92,5\u{a0}%, Dauer: 5 Minuten"),
                format!("Für {title} angemeldet")
            ],
            "{path}"
        );
        assert_eq!(answer.header("content-language"), Some("de"), "{path}");
        let vary: Vec<&str> =
            answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").to_lowercase().contains("accept-language"), "{path}: {vary:?}");
        // The parameter is stronger than the header, and belongs to the next page.
        let first = get_in(caller, "de", &format!("{path}?language=fr&limit=1")).await.expect(200);
        assert_eq!(first.header("content-language"), Some("fr"), "{path}");
        assert!(descriptions(&first.json(), member)[0].starts_with("A réussi "), "{path}");
        let next = first.json()["next"].as_str().expect("a next page").to_owned();
        let second = get_in(caller, "de", &next).await.expect(200);
        assert_eq!(descriptions(&second.json(), member), [format!("Inscription à {title}")], "{path}");
        // A page may be read on in another language: a cursor is bound to rows only.
        let other = next.replace("language=fr", "language=pl");
        let second = caller.get(&other).await.expect(200);
        assert_eq!(descriptions(&second.json(), member), [format!("Zapis na: {title}")], "{path}");
    }
}

#[apply(both_databases)]
async fn keys_and_numbers_are_the_same_in_each_language(server: &TestServer) {
    let admin = set_up(server).await;
    let path = format!("/v1/activities/{}", id(1));
    let english = admin.get(&path).await.expect(200).json();
    for language in Language::all() {
        let mut row = admin.get(&format!("{path}?language={language}")).await.expect(200).json();
        assert_eq!(
            row["description_parts"].as_array().map(|parts| {
                parts.iter().filter_map(|part| part["key"].as_str()).all(|key| key == "passed")
            }),
            Some(true)
        );
        for (place, member) in [
            ("", "description"),
            ("", "description_parts"),
            ("/action", "label"),
            ("/result/total_time", "text"),
        ] {
            row.pointer_mut(place).expect("a place")[member] =
                english.pointer(place).expect("a place")[member].clone();
        }
        assert_eq!(row, english, "{language}");
    }
}

#[apply(both_databases)]
async fn actions_facets_and_summary_have_labels_of_the_language(server: &TestServer) {
    let admin = set_up(server).await;
    let actions = get_in(&admin, "nl", "/v1/actions").await.expect(200);
    assert_eq!(actions.header("content-language"), Some("nl"));
    let actions = actions.json()["actions"].clone();
    assert_eq!(actions[4]["key"], "completed");
    assert_eq!(actions[4]["label"], "Afgerond");
    let facets = get_in(&admin, "es", "/v1/facets").await.expect(200).json();
    assert_eq!(labels(&facets, "type"), [("quiz".to_owned(), "Cuestionario".to_owned())]);
    assert_eq!(labels(&facets, "result"), [("passed".to_owned(), "Superado".to_owned())]);
    let completed = labels(&facets, "completed");
    assert!(completed.contains(&("true".to_owned(), "Sí".to_owned())), "{completed:?}");
    let path = "/v1/activities/summary?by=month&by=action&language=pl";
    let groups = admin.get(path).await.expect(200).json()["groups"].clone();
    assert_eq!(groups[0]["key"]["month"], "2026-03");
    assert_eq!(groups[0]["label"]["month"], "marzec 2026");
    let days = admin.get("/v1/activities/summary?by=day&language=fr").await.expect(200).json();
    assert_eq!(days["groups"][0]["label"]["day"], "1er mars 2026");
    let weeks = get_in(&admin, "pt-BR", "/v1/activities/summary?by=week").await.expect(200).json();
    assert_eq!(weeks["groups"][0]["label"]["week"], "Semana de 23 de fevereiro de 2026");
}

#[apply(both_databases)]
async fn unknown_language_is_refused_by_the_parameter_alone(server: &TestServer) {
    let admin = set_up(server).await;
    for path in ["/v1/activities", "/v1/actions", "/v1/facets", "/v1/activities/export.csv"] {
        for query in ["language=xx", "language=", "language=de&language=fr"] {
            let problem = admin.get(&format!("{path}?{query}")).await.expect(400).json();
            assert_eq!(problem["code"], "bad-parameter", "{path}?{query}");
            assert_eq!(problem["errors"][0]["parameter"], "language", "{path}?{query}");
        }
        let answer = get_in(&admin, "xx, *;q=0.1", path).await.expect(200);
        assert_eq!(answer.header("content-language"), Some("en"));
        let refused = get_in(&admin, "de", &format!("{path}?nonsense=1")).await.expect(400);
        assert_eq!(refused.header("content-language"), None, "a problem document is in English");
    }
}

#[apply(both_databases)]
async fn file_is_in_english_unless_the_parameter_names_a_language(server: &TestServer) {
    let admin = set_up(server).await;
    let english = admin.get("/v1/activities/export.csv").await.expect(200);
    let for_german = get_in(&admin, "de", "/v1/activities/export.csv").await.expect(200);
    assert!(english.body == for_german.body, "a program reads the file");
    assert_eq!(for_german.header("content-language"), Some("en"));
    let german = admin.get("/v1/activities/export.csv?language=de").await.expect(200);
    assert_eq!(german.header("content-language"), Some("de"));
    let (headings, rows) = german.csv();
    let cell = |heading: &str| {
        let column = headings.iter().position(|one| one == heading);
        rows[0][column.unwrap_or_else(|| panic!("no {heading} in {headings:?}"))].clone()
    };
    assert_eq!(cell("Aktion"), "Abgeschlossen");
    assert_eq!(cell("Abgeschlossen"), "Ja");
    assert_eq!(cell("Zeitpunkt"), "2026-03-02T09:00:00.000Z");
    assert_eq!(cell("Punktzahl E-Learning / Quiz"), "92.5%");
    assert_eq!(cell("Gesamtzeit E-Learning / Quiz"), "5 Minuten");
    assert_eq!(cell("Ergebnis E-Learning / Quiz"), "Bestanden");
    // The custom field has the name of a heading in this language.
    assert_eq!(cell("Rolle (custom)"), "Leitung");
    let progress = admin.get("/v1/contents/fire/progress.csv?language=fr").await.expect(200);
    let (headings, rows) = progress.csv();
    let column = headings.iter().position(|heading| heading == "Progression").expect("the column");
    assert_eq!(rows[0][column], "Terminé");
    let ndjson = get_in(&admin, "nl", "/v1/activities/export.ndjson").await.expect(200);
    assert_eq!(ndjson.header("content-language"), Some("nl"));
    assert!(ndjson.ndjson()[0]["description"].as_str().expect("a sentence").starts_with("Geslaagd voor "));
}
