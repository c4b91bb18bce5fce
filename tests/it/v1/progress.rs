//! Tests of `/v1/contents/{id}/progress` and `/v1/contents/{id}/progress.csv`.

mod csv;
mod large_organisation;
mod paging;
mod people;
mod reach;

use reqwest::Method;
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, group, team, user};
use crate::support::http::Caller;
use crate::support::server::{ORG, START};
use crate::support::{TestServer, apply, both_databases};

const FIRE: &str = "/v1/contents/fire/progress";
const FIRE_CSV: &str = "/v1/contents/fire/progress.csv";
const DAY: i64 = 86_400_000_000;

fn id(number: u32) -> String {
    format!("0190a000-0000-7000-8000-{number:012}")
}

/// Creates users and the quiz `fire`. Returns an admin and a credential.
///
/// `ada` manages `bo`, `cy` and the deactivated `old`. `bo` manages `dee`. `eve` has no manager. The team
/// `sales` contains `bo` (primary) and `cy`, its sub-team `north` contains `dee`. The group `aid` contains
/// `eve`. The quiz is passed with 80 %, expires after one year, and awards a certificate for two years.
async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    let teams = [team("sales"), team("north").set("parent", "sales")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    let users = [
        user("ada").set("role", "manager"),
        user("bo")
            .set("email", "bo@example.org")
            .set("manager", "ada")
            .set("primary_team", "sales")
            .set("custom", json!({"Region": "North"})),
        user("cy").set("manager", "ada").set("teams", json!(["sales"])),
        user("dee")
            .set("manager", "bo")
            .set("teams", json!(["north"]))
            .set("custom", json!({"Region": "South"})),
        user("eve").set("groups", json!(["aid"])),
        user("old").set("manager", "ada").set("active", false),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let fire = content("fire", "quiz")
        .set("title", "Fire Safety")
        .set("pass_mark", 80)
        .set("expires_after", "P1Y")
        .set("certificate", json!({"name": "Fire warden", "expires_after": "P2Y"}))
        .set("tags", json!(["safety"]));
    admin.put("/v1/contents/fire", &fire).await.expect(201);
    let sender = server.credential(ORG, &["all", "activities/write", "activities/read"]).await;
    (admin, sender)
}

/// An activity on the content `fire`.
fn activity_on_fire(number: u32, user: &str, action: &str, at: &str) -> Body {
    activity(user, action).set("id", id(number)).set("content", "fire").set("happened_at", at)
}

async fn post_batch(sender: &Caller, activities: &[Body]) {
    sender.post("/v1/activities/batch", activities).await.expect(201);
}

/// Like [`set_up`], with one user in each state: `ada` completed, `bo` failed, `cy` in progress, `dee`
/// expired, `eve` not started. The deactivated `old` has completed.
async fn set_up_with_every_state(server: &TestServer) -> (Caller, Caller) {
    let (admin, sender) = set_up(server).await;
    let scored = |body: Body, percent: f64| body.set("result", json!({"score": percent}));
    post_batch(
        &sender,
        &[
            scored(activity_on_fire(1, "ada", "completed", "2026-03-01T09:00:00Z"), 92.5),
            scored(activity_on_fire(2, "bo", "completed", "2026-03-02T09:00:00Z"), 45.0),
            activity_on_fire(3, "cy", "started", "2026-03-03T09:00:00Z"),
            scored(activity_on_fire(4, "dee", "completed", "2025-03-04T09:00:00Z"), 80.0),
            activity_on_fire(5, "eve", "assigned", "2026-03-05T09:00:00Z"),
            activity_on_fire(6, "old", "completed", "2026-03-06T09:00:00Z"),
        ],
    )
    .await;
    (admin, sender)
}

/// The progress of one user.
async fn progress_of(caller: &Caller, user: &str) -> Value {
    let page = caller.get(&format!("{FIRE}?user={user}")).await.expect(200).json();
    let people = page["progress"].as_array().expect("a list").clone();
    let [one] = people.as_slice() else { panic!("one line, not {page}") };
    assert_eq!(one["user"]["id"], user);
    one.clone()
}

/// The members `state`, `since`, `expires_at`, `score` and `activity`.
fn state_fields(one: &Value) -> Value {
    json!([one["state"], one["since"], one["expires_at"], one["score"], one["activity"]])
}

/// The user ids of a list, separated by spaces. A person without a user is `-`.
fn user_ids(people: &[Value]) -> String {
    let ids: Vec<&str> = people.iter().map(|one| one["user"]["id"].as_str().unwrap_or("-")).collect();
    ids.join(" ")
}

async fn find_users(caller: &Caller, query: &str) -> String {
    user_ids(&caller.list(&format!("{FIRE}?{query}"), "progress").await)
}

fn set_days_after_start(server: &TestServer, days: i64) {
    server.clock.set(Timestamp::from_micros(START.micros() + days * DAY));
}

#[apply(both_databases)]
async fn every_user_is_listed_with_their_state(server: &TestServer) {
    let (admin, _) = set_up_with_every_state(server).await;
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    assert_eq!(
        page["content"],
        json!({
            "id": "fire", "iri": "https://rollbook.invalid/acme/contents/fire", "title": "Fire Safety", "type": "quiz",
            "content_type": null, "archived": false, "tags": ["safety"], "url": null
        })
    );
    let people = page["progress"].as_array().expect("a list");
    assert_eq!(user_ids(people), "ada bo cy dee eve");
    let expected = [
        json!(["completed", "2026-03-01T09:00:00.000Z", "2027-03-01T09:00:00.000Z", 92.5, id(1)]),
        json!(["failed", "2026-03-02T09:00:00.000Z", null, 45, id(2)]),
        json!(["in_progress", "2026-03-03T09:00:00.000Z", null, null, null]),
        json!(["expired", "2026-03-04T09:00:00.000Z", "2026-03-04T09:00:00.000Z", 80, id(4)]),
        json!(["not_started", null, null, null, null]),
    ];
    assert_eq!(people.iter().map(state_fields).collect::<Vec<_>>(), expected);
    assert_eq!(
        people[0]["certificate"],
        json!({
            "name": "Fire warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": "2028-03-01T09:00:00.000Z"
        })
    );
    assert_eq!(people[1]["certificate"], Value::Null);
    // The certificate is valid longer than the completion.
    assert_eq!(people[3]["certificate"]["expires_at"], "2027-03-04T09:00:00.000Z");
    assert_eq!(
        people[1]["user"],
        json!({
            "id": "bo", "first_name": "bo", "last_name": "Example", "name": "bo Example", "email": "bo@example.org", "active": true,
            "identifier": null
        })
    );
    assert_eq!((&page["next"], &page["total"]), (&Value::Null, &json!(5)));
    assert_eq!(
        page["states"],
        json!({"not_started": 1, "in_progress": 1, "failed": 1, "completed": 1, "expired": 1})
    );
    let plain = admin.get(FIRE).await.expect(200).json();
    assert!(plain.get("total").is_none() && plain.get("states").is_none(), "{plain}");
    assert_eq!(plain["progress"], page["progress"]);
    let head = admin.send(Method::HEAD, FIRE, &[], Vec::new()).await.expect(200);
    assert!(head.body.is_empty());
}

#[apply(both_databases)]
async fn activities_change_the_state_of_a_user(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let nothing = json!(["not_started", null, null, null, null]);
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), nothing);
    for (number, action) in
        ["assigned", "enrolled_for", "unenrolled", "added", "arranged", "updated", "accepted", "unassigned"]
            .into_iter()
            .enumerate()
    {
        post_batch(&sender, &[activity_on_fire(100 + number as u32, "bo", action, "2026-03-01T09:00:00Z")])
            .await;
        assert_eq!(
            state_fields(&progress_of(&admin, "bo").await),
            nothing,
            "{action} does not start the content"
        );
    }
    post_batch(&sender, &[activity_on_fire(1, "bo", "viewed", "2026-03-03T09:00:00Z")]).await;
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["in_progress", "2026-03-03T09:00:00.000Z", null, null, null])
    );
    // A late record with an earlier time.
    post_batch(&sender, &[activity_on_fire(2, "bo", "downloaded", "2026-03-02T09:00:00Z")]).await;
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["in_progress", "2026-03-02T09:00:00.000Z", null, null, null])
    );

    let scored = |body: Body, percent: i64| body.set("result", json!({"score": percent}));
    post_batch(
        &sender,
        &[
            scored(activity_on_fire(3, "bo", "completed", "2026-03-05T09:00:00Z"), 45),
            scored(activity_on_fire(4, "bo", "completed", "2026-03-04T09:00:00Z"), 50),
        ],
    )
    .await;
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["failed", "2026-03-05T09:00:00.000Z", null, 45, id(3)])
    );
    post_batch(&sender, &[scored(activity_on_fire(5, "bo", "completed", "2026-03-06T09:00:00Z"), 90)]).await;
    let completed = json!(["completed", "2026-03-06T09:00:00.000Z", "2027-03-06T09:00:00.000Z", 90, id(5)]);
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), completed);
    // A later failure or start does not change a completion.
    post_batch(
        &sender,
        &[
            scored(activity_on_fire(6, "bo", "failed", "2026-03-07T09:00:00Z"), 10),
            activity_on_fire(7, "bo", "started", "2026-03-08T09:00:00Z"),
        ],
    )
    .await;
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), completed);
    // They do not hide the expiry either. The completion is valid up to and including the last moment.
    server.clock.set(Timestamp::from_micros(1_804_323_600_000_000));
    assert_eq!(server.clock.now().to_string(), "2027-03-06T09:00:00.000Z");
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), completed);
    server.clock.set(Timestamp::from_micros(1_804_323_600_000_001));
    let expired = json!(["expired", "2027-03-06T09:00:00.000Z", "2027-03-06T09:00:00.000Z", 90, id(5)]);
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), expired);
    // Voiding records restores the former states.
    set_days_after_start(server, 0);
    assert_eq!(state_fields(&progress_of(&admin, "bo").await), completed);
    for (number, expected) in [
        (5, json!(["failed", "2026-03-07T09:00:00.000Z", null, 10, id(6)])),
        (6, json!(["failed", "2026-03-05T09:00:00.000Z", null, 45, id(3)])),
        (3, json!(["failed", "2026-03-04T09:00:00.000Z", null, 50, id(4)])),
        (4, json!(["in_progress", "2026-03-02T09:00:00.000Z", null, null, null])),
        (2, json!(["in_progress", "2026-03-03T09:00:00.000Z", null, null, null])),
        (1, json!(["in_progress", "2026-03-08T09:00:00.000Z", null, null, null])),
        (7, nothing),
    ] {
        admin.delete(&format!("/v1/activities/{}", id(number))).await.expect(204);
        assert_eq!(state_fields(&progress_of(&admin, "bo").await), expected, "{number} voided");
    }
}

#[apply(both_databases)]
async fn recurring_content_expires_and_is_completed_again(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let done = |number: u32, at: &str| {
        activity_on_fire(number, "bo", "completed", at).set("result", json!({"success": true}))
    };
    post_batch(&sender, &[done(1, "2026-03-01T09:00:00Z")]).await;
    assert_eq!(progress_of(&admin, "bo").await["state"], "completed");
    set_days_after_start(server, 400);
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["expired", "2027-03-01T09:00:00.000Z", "2027-03-01T09:00:00.000Z", null, id(1)])
    );
    post_batch(&sender, &[done(2, "2027-04-01T09:00:00Z")]).await;
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["completed", "2027-04-01T09:00:00.000Z", "2028-04-01T09:00:00.000Z", null, id(2)])
    );
    set_days_after_start(server, 800);
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["expired", "2028-04-01T09:00:00.000Z", "2028-04-01T09:00:00.000Z", null, id(2)])
    );
    // The completion that expires last counts, not the one that arrived last.
    post_batch(&sender, &[done(3, "2028-05-02T09:00:00Z"), done(4, "2028-05-01T09:00:00Z")]).await;
    assert_eq!(progress_of(&admin, "bo").await["activity"], json!(id(3)));
    // A completion without expiry from now on. Earlier completions still expire.
    admin.patch("/v1/contents/fire", &json!({"expires_after": null})).await.expect(200);
    assert_eq!(progress_of(&admin, "bo").await["expires_at"], "2029-05-02T09:00:00.000Z");
    set_days_after_start(server, 1_500);
    assert_eq!(progress_of(&admin, "bo").await["state"], "expired");
    post_batch(&sender, &[done(5, "2030-04-01T09:00:00Z")]).await;
    assert_eq!(
        state_fields(&progress_of(&admin, "bo").await),
        json!(["completed", "2030-04-01T09:00:00.000Z", null, null, id(5)])
    );
    set_days_after_start(server, 3_000);
    assert_eq!(progress_of(&admin, "bo").await["state"], "completed");
}
