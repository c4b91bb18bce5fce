//! Tests that PUT takes the body that GET gives, for every resource, and changes nothing by it.

use std::collections::BTreeSet;

use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use serde_json::{Value, json};

use super::reports::location;
use super::schedules::set_up as create_people;
use crate::support::builders::{content, group, mailbox, statement, team, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::COMPLETED;
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

/// Sends the answer of GET back by PUT, and returns it. Neither the answer nor the version changes.
async fn send_back(caller: &Caller, path: &str) -> Value {
    let read = caller.get(path).await.expect(200);
    let body = read.json();
    let put = caller.put(path, &body).await.expect(200);
    assert_eq!(put.json(), body, "{path}");
    let again = caller.get(path).await.expect(200);
    assert_eq!((again.json(), again.header("etag")), (body.clone(), read.header("etag")), "{path}");
    body
}

/// The same in a batch.
async fn send_back_in_batch(caller: &Caller, collection: &str, body: &Value) {
    let outcome = caller.post(&format!("{collection}/batch"), std::slice::from_ref(body)).await.expect(200);
    assert_eq!(outcome.json(), json!({"created": 0, "updated": 0, "unchanged": 1}), "{body}");
}

#[test]
fn every_resource_with_put_is_sent_back_here() {
    let with_put: BTreeSet<&str> = rollbook::http::table()
        .into_iter()
        .filter(|(path, methods)| {
            path.starts_with("/v1/") && methods.contains(&"put") && methods.contains(&"get")
        })
        .map(|(path, _)| path)
        .collect();
    let tested = ["users", "teams", "groups", "contents", "reports", "schedules", "subscriptions"];
    let tested: Vec<String> = tested.iter().map(|name| format!("/v1/{name}/{{id}}")).collect();
    assert_eq!(with_put, tested.iter().map(String::as_str).collect());
}

#[apply(both_databases)]
async fn subscription_is_sent_back(server: &TestServer) {
    let admin = server.person("admin", "root");
    let body = json!({"name": "Payroll", "url": "https://payroll.example.org/hook"});
    let created = admin.post("/v1/subscriptions", &body).await.expect(201).json();
    send_back(&admin, &format!("/v1/subscriptions/{}", created["id"].as_str().expect("an id"))).await;
}

#[apply(both_databases)]
async fn directory_is_sent_back(server: &TestServer) {
    let admin = server.person("admin", "root");
    let teams = [team("sales"), team("north").set("parent", "sales")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    for path in ["/v1/teams/sales", "/v1/teams/north", "/v1/groups/aid"] {
        let body = send_back(&admin, path).await;
        let (collection, _) = path.rsplit_once('/').expect("a collection");
        send_back_in_batch(&admin, collection, &body).await;
    }
    let full = json!({
        "first_name": "Ada", "last_name": "Obi", "email": "Ada.Obi@Example.org", "role": "manager",
        "job_title": "Head", "language": "en", "location": "Leeds", "joined_on": "2021-04-01", "manager": "boss",
        "primary_team": "sales", "teams": ["north"], "groups": ["aid"], "custom": {"Region": "North"},
        "identifiers": [{"openid": "https://id.example.org/ada"}, {"mbox": "mailto:ada@home.example"}]
    });
    let deactivated = json!({"deactivated_at": "2026-01-01T10:00:00.123456Z"});
    for (id, body) in [("boss", json!({})), ("ada/1", full), ("dee", deactivated)] {
        admin.put(&format!("/v1/users/{}", encode_segment(id)), &body).await.expect(201);
    }
    admin.put("/v1/users/moved", &json!({"email": "old@example.org"})).await.expect(201);
    admin.patch("/v1/users/moved", &json!({"email": "new@example.org"})).await.expect(200);
    for id in ["boss", "ada/1", "dee", "moved"] {
        let body = send_back(&admin, &format!("/v1/users/{}", encode_segment(id))).await;
        send_back_in_batch(&admin, "/v1/users", &body).await;
    }
    // The id in the body must be that of the address.
    let body = admin.get("/v1/users/boss").await.expect(200).json();
    assert_eq!(admin.put("/v1/users/dee", &body).await.expect(400).error_pointers(), ["/id"]);
}

#[apply(both_databases)]
async fn user_with_many_identifiers_is_sent_back(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    for batch in 0..3 {
        let agents: Vec<Value> =
            (0..100).map(|n| json!({"openid": format!("https://id.example.org/{batch}/{n}")})).collect();
        admin.post("/v1/users/ada/identifiers", &json!({"identifiers": agents})).await.expect(200);
    }
    let body = send_back(&admin, "/v1/users/ada").await;
    assert!(body["identifiers"].as_array().expect("identifiers").len() > 300);
    send_back_in_batch(&admin, "/v1/users", &body).await;
    // Identifiers that the user does not have yet are limited.
    let agent = |n: i32| json!({"openid": format!("https://id.example.org/new/{n}")});
    for (new, status) in [(101, 400), (100, 200)] {
        let mut body = body.clone();
        let identifiers = body["identifiers"].as_array_mut().expect("identifiers");
        identifiers.extend((0..new).map(agent));
        let answer = admin.put("/v1/users/ada", &body).await.expect(status);
        if status == 400 {
            assert_eq!(answer.error_pointers(), ["/identifiers"]);
            let batch = admin.post("/v1/users/batch", &[json!({"id": "bo"}), body]).await.expect(400);
            assert_eq!(batch.error_pointers(), ["/1/identifiers"]);
        }
    }
}

#[apply(both_databases)]
async fn catalogue_is_sent_back(server: &TestServer) {
    let admin = server.person("admin", "root");
    let full = json!({
        "title": "Fire Safety", "type": "quiz", "content_type": "scorm", "tags": ["b", "a"],
        "cpd_labels": ["Health"], "source": "Library", "url": "https://example.org/x",
        "archived_at": "2026-01-01T00:00:00Z", "pass_mark": 72.5, "time_limit": "PT30M", "expires_after": "P1Y",
        "certificate": {"name": "Warden", "expires_after": "P2Y"}
    });
    admin.put("/v1/contents/full", &full).await.expect(201);
    admin.put("/v1/contents/minimal", &content("minimal", "item")).await.expect(201);
    // Demands that begin later are not in the answer, and stay.
    let later = json!({"title": "Later", "pass_mark": 80, "effective_from": "2027-01-01T00:00:00Z"});
    admin.put("/v1/contents/later", &json!({"title": "Later", "pass_mark": 60})).await.expect(201);
    admin.put("/v1/contents/later", &later).await.expect(200);
    for id in ["full", "minimal", "later"] {
        let body = send_back(&admin, &format!("/v1/contents/{id}")).await;
        send_back_in_batch(&admin, "/v1/contents", &body).await;
    }

    // Contents that only statements have named: with a title, without one, and with an IRI that is longer than an id.
    let long = format!("https://example.org/{}", "x".repeat(400));
    let long_title = long.repeat(3);
    for (iri, name, title) in [
        ("https://example.org/titled", "The Title", json!("The Title")),
        // Titles that the catalogue would not accept as they are.
        ("https://example.org/spaced", " The\u{200b}\nTitle\t", json!("The Title")),
        ("https://example.org/long", long_title.as_str(), json!(long_title[..1_000])),
        ("https://example.org/untitled?a=1&b=2", "", Value::Null),
        (long.as_str(), "", Value::Null),
    ] {
        let mut sent = statement(mailbox("ada@example.org"), COMPLETED, iri);
        if !name.is_empty() {
            sent = sent.set("object.definition", json!({"name": {"en": name}}));
        }
        admin.post("/xapi/statements", &sent).await.expect(200);
        let path = format!("/v1/contents/{}", encode_segment(iri));
        let mut expected = admin.get(&path).await.expect(200).json();
        assert_eq!((&expected["registered"], &expected["title"]), (&json!(false), &title), "{iri}");
        let put = admin.put(&path, &expected).await.expect(200).json();
        // PUT registers the content. Without a title, its IRI is its title, as in the log; a type has its default.
        expected["registered"] = json!(true);
        for (member, default) in [("title", json!(iri)), ("type", json!("item"))] {
            if expected[member].is_null() {
                expected[member] = default;
            }
        }
        assert_eq!(put, expected);
        send_back(&admin, &path).await;
    }
    assert_eq!(admin.put("/v1/contents/x", &json!({})).await.expect(400).error_pointers(), ["/title"]);
}

#[apply(both_databases)]
async fn reports_are_sent_back(server: &TestServer) {
    let root = create_people(server).await;
    let ada = server.person("manager", "ada");
    let stranger = server.person("reporter", "elsewhere");
    let filter = json!({"scope": "managed", "type": ["quiz"], "result": "failed", "period": "previous_month",
        "custom[Region]": ["North", "South"], "completed": true, "sort": "happened_at"});
    for (owner, body) in [
        (&ada, json!({"name": "All"})),
        (&ada, json!({"name": "Ours", "visibility": "shared", "filter": filter, "columns": "full"})),
        (&stranger, json!({"name": "Theirs", "visibility": "shared"})),
    ] {
        let created = owner.post("/v1/reports", &body).await.expect(201);
        let path = location(&created);
        send_back(owner, &path).await;
        if body["visibility"] == "shared" {
            let sent = send_back(&root, &path).await;
            assert_eq!(sent["owner"], created.json()["owner"]);
        }
    }
}

async fn check_schedules(server: &TestServer) {
    let root = create_people(server).await;
    let ada = server.person("manager", "ada");
    let report = location(
        &ada.post("/v1/reports", &json!({"name": "Ours", "visibility": "shared"})).await.expect(201),
    );
    let outside = "audit@partner.example";
    let mut paths = Vec::new();
    for body in [
        json!({"frequency": "daily", "at": "08:00", "recipients": ["ada"]}),
        json!({"frequency": "weekly", "at": "08:00", "recipients": ["hal", outside], "bom": false}),
        json!({"frequency": "monthly", "at": "23:59", "day_of_month": 31, "recipients": ["rita@example.org"]}),
        json!({"frequency": "quarterly", "at": "00:00", "recipients": ["mo"], "active": false}),
    ] {
        let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
        paths.push(location(&created));
    }
    ada.post(&format!("{}/run", paths[0]), &json!({})).await.expect(202);
    for path in &paths {
        send_back(&ada, path).await;
        assert_eq!(send_back(&root, path).await["maker"]["id"], "ada");
    }
    // A suspended schedule stays suspended.
    let suspend = "UPDATE schedules SET active = (1 = 0), next_run_at = NULL, suspended = 'no rights'";
    server.database().execute(suspend).await;
    for path in &paths {
        assert_eq!(send_back(&ada, path).await["suspended"], "no rights");
    }
    // Recipients that have lost their rights are not refused again, but new ones are.
    for id in ["rita", "mo", "hal"] {
        root.patch(&format!("/v1/users/{id}"), &json!({"active": false})).await.expect(200);
    }
    for path in &paths {
        // The administrator reaches all users. A manager would learn nothing about one outside their reach.
        let mut body = send_back(&root, path).await;
        body["recipients"].as_array_mut().expect("recipients").push(json!("dee"));
        let place = format!("/recipients/{}", body["recipients"].as_array().expect("recipients").len() - 1);
        assert_eq!(root.put(path, &body).await.expect(400).error_pointers(), [place]);
    }
}

fn options() -> AppOptions {
    let recipients = RecipientRules { domains: vec!["partner.example".to_owned()] };
    AppOptions { recipients, ..AppOptions::default() }
}

#[test]
fn schedules_are_sent_back_on_sqlite() {
    run_with(Database::sqlite(), options(), check_schedules);
}

#[test]
fn schedules_are_sent_back_on_postgres() {
    run_with(Database::postgres(), options(), check_schedules);
}

#[apply(both_databases)]
async fn settings_of_the_organisation_are_sent_back(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    let account = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}});
    admin.post("/xapi/statements", &statement(account, COMPLETED, "https://example.org/x")).await.expect(200);
    let read = admin.get("/v1/organisation").await.expect(200).json();
    assert_eq!(admin.patch("/v1/organisation", &read).await.expect(200).json(), read);
}
