//! `/v1/completions`: content marked as complete for people who did it elsewhere.
//!
//! [`marking`] is what is kept and told, [`rule`] who needs it no more, [`leaks`] what a caller may not learn by it. Who
//! may ask at all is in `access/routes.rs`; random marks against a naive model are in `model/growth/marks.rs`.

mod leaks;
mod marking;
mod rule;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::builders::{Body, content, group, team, user};
use crate::support::http::Caller;

/// A request for the content `fire`.
fn fire(users: &[&str]) -> Body {
    Body::default().set("content", "fire").set("users", users)
}

/// Marks, and gives each person with what became of them.
async fn mark(caller: &Caller, body: &Body) -> Vec<(String, String)> {
    outcomes(&caller.post("/v1/completions", body).await.expect(200).json())
}

/// Each person with what became of them; only what was created names an activity.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let results = report["results"].as_array().expect("results");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    results.iter().map(|result| (text(&result["user"]), text(&result["outcome"]))).collect()
}

/// What is expected, in the words of the answer.
fn told(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(user, outcome)| ((*user).to_owned(), (*outcome).to_owned())).collect()
}

/// How many rows and statements there are, and how many notes about these people.
async fn kept(server: &TestServer, people: &[&str]) -> (usize, usize, usize) {
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

/// The rows of one person.
async fn rows_of(server: &TestServer, person: &str) -> Vec<Value> {
    let path = format!("/v1/users/{person}/activities?sort=happened_at");
    server.person("admin", "root").list(&path, "activities").await
}

/// The admin of an organisation with the quiz `fire`: `ada` manages `bo` and `gil`, `bo` manages `cy`, nobody manages
/// `eve`; `dee`, of ada's people, has left. `sales` has `bo` and `eve`, its sub-team `north` has `cy` and `dee`; the
/// group `aid` has `bo`, `gil` and `eve`.
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

/// The manager `ada`, who may mark.
fn ada(server: &TestServer) -> Caller {
    server.person_of("acme", json!({"sub": "ada", "role": "manager", "permissions": ["mark_complete"]}))
}
