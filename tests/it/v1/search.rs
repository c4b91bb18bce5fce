//! Tests of text search: `q` and the text filters ignore case, accents and the Unicode form.

use serde_json::{Value, json};

use crate::support::builders::{activity, content, group, team, user};
use crate::support::http::{Caller, query};
use crate::support::{TestServer, apply, both_databases};

/// Stored texts, each with texts that find it.
const TEXTS: &[(&str, &[&str])] = &[
    ("Jos\u{e9}", &["jose", "JOSE", "jos\u{e9}", "JOSE\u{301}", "Jose\u{301}"]),
    ("Ange\u{301}lique", &["ang\u{e9}lique", "angelique", "ANG\u{c9}LIQUE"]),
    ("Stra\u{df}e", &["strasse", "STRASSE", "stra\u{df}e", "STRA\u{1e9e}E"]),
    ("\u{130}stanbul", &["istanbul", "\u{131}stanbul", "ISTANBUL", "\u{130}STANBUL"]),
    ("\u{fb01}re", &["fire", "FIRE", "\u{fb01}re"]),
    ("Οδυσσεύς", &["οδυσσευς", "ΟΔΥΣΣΕΎΣ", "οδυσσευσ"]),
    ("Nguyễn", &["nguyen", "Nguye\u{302}\u{303}n", "NGUYỄN"]),
    ("Đào", &["dao", "ĐÀO", "đa\u{300}o"]),
    ("Łódź", &["lodz", "LODZ", "ło\u{301}dz"]),
    ("Ёлка", &["елка", "ЁЛКА"]),
    ("ＡＢＣ", &["abc", "ａｂｃ"]),
    ("ガイド", &["カ\u{3099}イト\u{3099}"]),
];

async fn ids(caller: &Caller, path: &str, plural: &str, name: &str, text: &str) -> Vec<Value> {
    let path = format!("{path}{}", query(&[(name.to_owned(), text.to_owned())]));
    let found = caller.list(&path, plural).await;
    found.iter().map(|one| one["id"].clone()).collect()
}

#[apply(both_databases)]
async fn q_ignores_case_accents_and_form(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (number, (stored, _)) in TEXTS.iter().enumerate() {
        let id = format!("x{number}");
        admin.put(&format!("/v1/users/{id}"), &user(&id).set("last_name", *stored)).await.expect(201);
        admin.put(&format!("/v1/teams/{id}"), &team(&id).set("name", *stored)).await.expect(201);
        admin.put(&format!("/v1/groups/{id}"), &group(&id).set("name", *stored)).await.expect(201);
        admin
            .put(&format!("/v1/contents/{id}"), &content(&id, "quiz").set("title", *stored))
            .await
            .expect(201);
        admin.post("/v1/reports", &json!({"name": stored})).await.expect(201);
    }
    for (number, (stored, texts)) in TEXTS.iter().enumerate() {
        for text in texts.iter().chain([stored]) {
            for plural in ["users", "teams", "groups", "contents"] {
                let found = ids(&admin, &format!("/v1/{plural}"), plural, "q", text).await;
                assert_eq!(found, [json!(format!("x{number}"))], "{text} in {plural}");
            }
            let path = format!("/v1/reports{}", query(&[("q".to_owned(), (*text).to_owned())]));
            let reports = admin.list(&path, "reports").await;
            assert_eq!(reports.len(), 1, "{text} in reports");
            assert_eq!(reports[0]["name"], *stored);
        }
    }
    // A voicing mark and a vowel sign make another letter.
    assert_eq!(ids(&admin, "/v1/users", "users", "q", "カイト").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn text_filters_ignore_case_accents_and_form(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (number, (stored, _)) in TEXTS.iter().enumerate() {
        let id = format!("x{number}");
        let bo = user(&id).set("location", *stored).set("custom", json!({"Region": stored}));
        admin.put(&format!("/v1/users/{id}"), &bo).await.expect(201);
        let quiz = content(&id, "quiz")
            .set("title", *stored)
            .set("tags", json!([stored]))
            .set("cpd_labels", json!([stored]))
            .set("source", *stored);
        admin.put(&format!("/v1/contents/{id}"), &quiz).await.expect(201);
        admin.post("/v1/activities", &activity(&id, "viewed").set("content", id.as_str())).await.expect(201);
        // The source and the device of the record itself.
        let own = activity(&id, "clicked").set("source", *stored).set("device_type", *stored);
        admin.post("/v1/activities", &own.set("content", "x0")).await.expect(201);
    }
    for (number, (stored, texts)) in TEXTS.iter().enumerate() {
        let id = format!("x{number}");
        for text in texts.iter().chain([stored]) {
            for filter in ["title", "tag", "cpd_label", "location", "custom[Region]", "source", "device_type"]
            {
                // Only the first content has further activities.
                if number == 0 && !["location", "custom[Region]", "device_type"].contains(&filter) {
                    continue;
                }
                let pairs = [(filter.to_owned(), (*text).to_owned())];
                let rows = admin.list(&format!("/v1/activities{}", query(&pairs)), "activities").await;
                let users: Vec<&Value> = rows.iter().map(|row| &row["user"]["id"]).collect();
                let expected = match filter {
                    "location" | "custom[Region]" | "source" => 2,
                    _ => 1,
                };
                assert_eq!(users, vec![&json!(id); expected], "{filter}={text}");
            }
            let found = ids(&admin, "/v1/contents", "contents", "tag", text).await;
            assert_eq!(found, [json!(id)], "{text} in the tags of contents");
        }
    }
}

#[apply(both_databases)]
async fn facet_joins_the_spellings_of_a_text(server: &TestServer) {
    let admin = server.person("admin", "root");
    let spellings = [("a", "Jos\u{e9}"), ("b", "JOSE"), ("c", "Jos\u{e9}")];
    for (id, text) in spellings {
        let bo = user(id).set("custom", json!({"Region": text}));
        admin.put(&format!("/v1/users/{id}"), &bo).await.expect(201);
        let quiz = content(id, "quiz")
            .set("tags", json!([text, "Jose\u{301}"]))
            .set("cpd_labels", json!([text]))
            .set("source", text);
        admin.put(&format!("/v1/contents/{id}"), &quiz).await.expect(201);
        let row = activity(id, "viewed").set("content", id).set("device_type", text);
        admin.post("/v1/activities", &row).await.expect(201);
    }
    let facets = admin.get("/v1/facets").await.expect(200).json();
    for name in ["tag", "cpd_label", "source", "device_type", "custom[Region]"] {
        let facet = facets["facets"].as_array().expect("facets").iter().find(|facet| facet["name"] == name);
        let values = facet.expect("the facet")["values"].clone();
        assert_eq!(values, json!([{"value": "Jos\u{e9}", "label": "Jos\u{e9}", "count": 3}]), "{name}");
        let path = format!("/v1/activities{}", query(&[(name.to_owned(), "jose".to_owned())]));
        assert_eq!(admin.list(&path, "activities").await.len(), 3, "{name}");
    }
}
