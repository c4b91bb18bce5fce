//! Tests of `/v1/completions`: marking content as complete for people.
//!
//! [`marking`] tests outcomes and stored records, [`rule`] for which people a mark is not needed, [`leaks`]
//! what the answer must not reveal. Permissions are tested in `access/routes.rs`, random marks in
//! `model/growth/marks.rs`.

mod leaks;
mod marking;
mod rule;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::{Body, content, group, team, user};
use crate::support::http::Caller;

/// A request that marks the content `fire` for these users.
fn mark_request(users: &[&str]) -> Body {
    Body::default().set("content", "fire").set("users", users)
}

/// Sends a request and returns each user with the outcome.
async fn mark(caller: &Caller, body: &Body) -> Vec<(String, String)> {
    outcomes(&caller.post("/v1/completions", body).await.expect(200).json())
}

/// Each user of a report with the outcome.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let results = report["results"].as_array().expect("results");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    results.iter().map(|result| (text(&result["user"]), text(&result["outcome"]))).collect()
}

/// The expected outcomes in the type of [`outcomes`].
fn expected_outcomes(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(user, outcome)| ((*user).to_owned(), (*outcome).to_owned())).collect()
}

/// The number of activities, of statements, and of notes about these people.
async fn count_stored(server: &TestServer, people: &[&str]) -> (usize, usize, usize) {
    let admin = server.person("admin", "root");
    let rows = admin.list("/v1/activities?include_deactivated=true&limit=1000", "activities").await;
    let mut statements = 0;
    let mut next = Some("/xapi/statements?limit=500".to_owned());
    while let Some(path) = next {
        let page = admin.get(&path).await.expect(200).json();
        statements += page["statements"].as_array().expect("statements").len();
        next = page["more"].as_str().filter(|more| !more.is_empty()).map(str::to_owned);
    }
    let mut notes = 0;
    for person in people {
        notes += admin.list(&format!("/v1/users/{person}/notes"), "notes").await.len();
    }
    (rows.len(), statements, notes)
}

/// The activities of one user.
async fn activities_of(server: &TestServer, person: &str) -> Vec<Value> {
    let path = format!("/v1/users/{person}/activities?sort=happened_at");
    server.person("admin", "root").list(&path, "activities").await
}

/// Creates an organisation with the quiz `fire` and returns an admin.
///
/// `ada` manages `bo`, `gil` and the deactivated `dee`. `bo` manages `cy`. `eve` has no manager. The team
/// `sales` contains `bo` and `eve`, its sub-team `north` contains `cy` and `dee`. The group `aid` contains
/// `bo`, `gil` and `eve`.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let teams = [team("sales"), team("north").set("parent", "sales")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    let users = [
        user("ada").set("first_name", "Ada").set("last_name", "Obi"),
        user("bo")
            .set("manager", "ada")
            .set("email", "bo@example.org")
            .set("teams", json!(["sales"]))
            .set("groups", json!(["aid"])),
        user("gil").set("manager", "ada").set("groups", json!(["aid"])),
        user("cy").set("manager", "bo").set("teams", json!(["north"])),
        user("dee").set("manager", "ada").set("teams", json!(["north"])).set("active", false),
        user("eve").set("teams", json!(["sales"])).set("groups", json!(["aid"])),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let fire = content("fire", "quiz").set("title", "Fire Safety");
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    admin
}

/// The manager `ada` with the permission `mark_complete`.
fn ada(server: &TestServer) -> Caller {
    server.person_of("acme", json!({"sub": "ada", "role": "manager", "permissions": ["mark_complete"]}))
}
