//! `/v1/contents/{id}/progress` and `.csv`: where everybody stands with a content, those who never started included,
//! and that nobody sees more of it than their reach.

mod many;

use std::collections::BTreeSet;

use reqwest::Method;
use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, group, mailbox, statement, team, user};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::server::{ORG, START};
use crate::support::{TestServer, apply, both_databases};

const FIRE: &str = "/v1/contents/fire/progress";
const FIRE_CSV: &str = "/v1/contents/fire/progress.csv";
const DAY: i64 = 86_400_000_000;

const HEADINGS: [&str; 25] = [
    "First name",
    "Last name",
    "Email address",
    "Role",
    "Job title",
    "Language",
    "Location",
    "Join date",
    "Manager name",
    "Primary team",
    "Secondary teams",
    "Status (at time of export)",
    "Deactivated",
    "Title",
    "Type",
    "Content Type",
    "Unique ID",
    "Progress",
    "Since",
    "Expires at",
    "E-learning / Quiz score",
    "Certificate name",
    "Certificate awarded at",
    "Certificate expires at",
    "User ID",
];

fn id(number: u32) -> String {
    format!("0190a000-0000-7000-8000-{number:012}")
}

/// A manager `ada` over `bo` and `cy`, `bo` over `dee`; `eve` has nobody, `old` (of ada) is deactivated. Teams: `sales`
/// has bo (primary) and cy, `north` below it dee; the group `aid` has eve. The quiz `fire`: 80 % pass, it expires after
/// a year, its certificate after two.
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

/// An activity on `fire`.
fn did(number: u32, user: &str, action: &str, at: &str) -> Body {
    activity(user, action).set("id", id(number)).set("content", "fire").set("happened_at", at)
}

async fn send(sender: &Caller, activities: &[Body]) {
    sender.post("/v1/activities/batch", activities).await.expect(201);
}

/// One of each state, and what makes it, among the users of [`set_up`]: ada completed, bo failed, cy in progress, dee
/// expired, eve not started; the deactivated old completed.
async fn one_of_each(server: &TestServer) -> (Caller, Caller) {
    let (admin, sender) = set_up(server).await;
    let scored = |body: Body, percent: f64| body.set("result", json!({"score": percent}));
    send(
        &sender,
        &[
            scored(did(1, "ada", "completed", "2026-03-01T09:00:00Z"), 92.5),
            scored(did(2, "bo", "completed", "2026-03-02T09:00:00Z"), 45.0),
            did(3, "cy", "started", "2026-03-03T09:00:00Z"),
            scored(did(4, "dee", "completed", "2025-03-04T09:00:00Z"), 80.0),
            did(5, "eve", "assigned", "2026-03-05T09:00:00Z"),
            did(6, "old", "completed", "2026-03-06T09:00:00Z"),
        ],
    )
    .await;
    (admin, sender)
}

/// The one line about a user.
async fn of(caller: &Caller, user: &str) -> Value {
    let page = caller.get(&format!("{FIRE}?user={user}")).await.expect(200).json();
    let people = page["progress"].as_array().expect("a list").clone();
    let [one] = people.as_slice() else { panic!("one line, not {page}") };
    assert_eq!(one["user"]["id"], user);
    one.clone()
}

/// State, since, expires_at, score and activity.
fn told(one: &Value) -> Value {
    json!([one["state"], one["since"], one["expires_at"], one["score"], one["activity"]])
}

/// The users of a list, `-` for persons whom nobody claims, with a space between them.
fn who(people: &[Value]) -> String {
    let ids: Vec<&str> = people.iter().map(|one| one["user"]["id"].as_str().unwrap_or("-")).collect();
    ids.join(" ")
}

async fn found(caller: &Caller, query: &str) -> String {
    who(&caller.list(&format!("{FIRE}?{query}"), "progress").await)
}

/// A table of a CSV's rows, one cell a line, empty cells left out: what a person would look through.
fn table(answer: &Answer) -> String {
    let (headings, rows) = answer.csv();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&format!("row {}\n", number + 1));
        for (heading, cell) in headings.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            text.push_str(&format!("  {heading}: {cell}\n"));
        }
    }
    text
}

fn advance_clock(server: &TestServer, days: i64) {
    server.clock.set(Timestamp::from_micros(START.micros() + days * DAY));
}

#[apply(both_databases)]
async fn everybody_is_there_with_where_they_stand(server: &TestServer) {
    let (admin, _) = one_of_each(server).await;
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    assert_eq!(
        page["content"],
        json!({
            "id": "fire", "iri": "https://rollbook.invalid/acme/contents/fire", "title": "Fire Safety", "type": "quiz",
            "content_type": null, "archived": false, "tags": ["safety"], "url": null
        })
    );
    let people = page["progress"].as_array().expect("a list");
    assert_eq!(who(people), "ada bo cy dee eve");
    let expected = [
        json!(["completed", "2026-03-01T09:00:00.000Z", "2027-03-01T09:00:00.000Z", 92.5, id(1)]),
        json!(["failed", "2026-03-02T09:00:00.000Z", null, 45, id(2)]),
        json!(["in_progress", "2026-03-03T09:00:00.000Z", null, null, null]),
        json!(["expired", "2026-03-04T09:00:00.000Z", "2026-03-04T09:00:00.000Z", 80, id(4)]),
        json!(["not_started", null, null, null, null]),
    ];
    assert_eq!(people.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(
        people[0]["certificate"],
        json!({
            "name": "Fire warden", "awarded_at": "2026-03-01T09:00:00.000Z", "expires_at": "2028-03-01T09:00:00.000Z"
        })
    );
    assert_eq!(people[1]["certificate"], Value::Null);
    // The award outlives the completion.
    assert_eq!(people[3]["certificate"]["expires_at"], "2027-03-04T09:00:00.000Z");
    assert_eq!(
        people[1]["user"],
        json!({
            "id": "bo", "first_name": "bo", "last_name": "Example", "name": "bo Example", "email": "bo@example.org", "active": true
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
async fn one_person_from_state_to_state(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let nothing = json!(["not_started", null, null, null, null]);
    assert_eq!(told(&of(&admin, "bo").await), nothing);
    for (number, action) in
        ["assigned", "enrolled_for", "unenrolled", "added", "arranged", "updated", "accepted", "unassigned"]
            .into_iter()
            .enumerate()
    {
        send(&sender, &[did(100 + number as u32, "bo", action, "2026-03-01T09:00:00Z")]).await;
        assert_eq!(told(&of(&admin, "bo").await), nothing, "{action} starts nothing");
    }
    send(&sender, &[did(1, "bo", "viewed", "2026-03-03T09:00:00Z")]).await;
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["in_progress", "2026-03-03T09:00:00.000Z", null, null, null])
    );
    // What comes late happened first.
    send(&sender, &[did(2, "bo", "downloaded", "2026-03-02T09:00:00Z")]).await;
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["in_progress", "2026-03-02T09:00:00.000Z", null, null, null])
    );

    let scored = |body: Body, percent: i64| body.set("result", json!({"score": percent}));
    send(
        &sender,
        &[
            scored(did(3, "bo", "completed", "2026-03-05T09:00:00Z"), 45),
            scored(did(4, "bo", "completed", "2026-03-04T09:00:00Z"), 50),
        ],
    )
    .await;
    assert_eq!(told(&of(&admin, "bo").await), json!(["failed", "2026-03-05T09:00:00.000Z", null, 45, id(3)]));
    send(&sender, &[scored(did(5, "bo", "completed", "2026-03-06T09:00:00Z"), 90)]).await;
    let completed = json!(["completed", "2026-03-06T09:00:00.000Z", "2027-03-06T09:00:00.000Z", 90, id(5)]);
    assert_eq!(told(&of(&admin, "bo").await), completed);
    // Neither a later failure nor a new start takes it away.
    send(
        &sender,
        &[
            scored(did(6, "bo", "failed", "2026-03-07T09:00:00Z"), 10),
            did(7, "bo", "started", "2026-03-08T09:00:00Z"),
        ],
    )
    .await;
    assert_eq!(told(&of(&admin, "bo").await), completed);
    // It does not hide an expiry either; the last moment belongs to the completion.
    server.clock.set(Timestamp::from_micros(1_804_323_600_000_000));
    assert_eq!(server.clock.now().to_string(), "2027-03-06T09:00:00.000Z");
    assert_eq!(told(&of(&admin, "bo").await), completed);
    server.clock.set(Timestamp::from_micros(1_804_323_600_000_001));
    let expired = json!(["expired", "2027-03-06T09:00:00.000Z", "2027-03-06T09:00:00.000Z", 90, id(5)]);
    assert_eq!(told(&of(&admin, "bo").await), expired);
    // A correction is a voiding.
    advance_clock(server, 0);
    assert_eq!(told(&of(&admin, "bo").await), completed);
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
        assert_eq!(told(&of(&admin, "bo").await), expected, "{number} voided");
    }
}

#[apply(both_databases)]
async fn recurring_content_over_three_years(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let done =
        |number: u32, at: &str| did(number, "bo", "completed", at).set("result", json!({"success": true}));
    send(&sender, &[done(1, "2026-03-01T09:00:00Z")]).await;
    assert_eq!(of(&admin, "bo").await["state"], "completed");
    advance_clock(server, 400);
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["expired", "2027-03-01T09:00:00.000Z", "2027-03-01T09:00:00.000Z", null, id(1)])
    );
    send(&sender, &[done(2, "2027-04-01T09:00:00Z")]).await;
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["completed", "2027-04-01T09:00:00.000Z", "2028-04-01T09:00:00.000Z", null, id(2)])
    );
    advance_clock(server, 800);
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["expired", "2028-04-01T09:00:00.000Z", "2028-04-01T09:00:00.000Z", null, id(2)])
    );
    // What holds longest counts, not what came last.
    send(&sender, &[done(3, "2028-05-02T09:00:00Z"), done(4, "2028-05-01T09:00:00Z")]).await;
    assert_eq!(of(&admin, "bo").await["activity"], json!(id(3)));
    // Without an expiry from now on; what was demanded then still counts for then.
    admin.patch("/v1/contents/fire", &json!({"expires_after": null})).await.expect(200);
    assert_eq!(of(&admin, "bo").await["expires_at"], "2029-05-02T09:00:00.000Z");
    advance_clock(server, 1_500);
    assert_eq!(of(&admin, "bo").await["state"], "expired");
    send(&sender, &[done(5, "2030-04-01T09:00:00Z")]).await;
    assert_eq!(
        told(&of(&admin, "bo").await),
        json!(["completed", "2030-04-01T09:00:00.000Z", null, null, id(5)])
    );
    advance_clock(server, 3_000);
    assert_eq!(of(&admin, "bo").await["state"], "completed");
}

#[apply(both_databases)]
async fn all_pages_speak_of_one_now(server: &TestServer) {
    let (admin, _) = one_of_each(server).await;
    for query in ["limit=1", "limit=1&state=completed,failed,in_progress", "limit=1&count=exact"] {
        advance_clock(server, 0);
        let first = admin.get(&format!("{FIRE}?{query}")).await.expect(200).json();
        assert_eq!(first["progress"][0]["state"], "completed", "{query}");
        let next = first["next"].as_str().expect("a second page");
        advance_clock(server, 400);
        let second = admin.get(next).await.expect(200).json();
        assert_eq!(second["states"], first["states"], "{query}");
        let rest = admin.list(next, "progress").await;
        let expected = if query.contains("state") { "bo cy" } else { "bo cy dee eve" };
        assert_eq!(who(&rest), expected, "{query}");
    }
    // Asked anew, it is another question.
    assert_eq!(found(&admin, "state=completed").await, "");
    assert_eq!(found(&admin, "state=expired").await, "ada dee");
}

#[apply(both_databases)]
async fn pages_of_every_size_give_everybody_once(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let users: Vec<Body> = (0..30).map(|n| user(&format!("u{n:02}"))).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let done: Vec<Body> =
        (0..30).step_by(3).map(|n| did(n, &format!("u{n:02}"), "viewed", "2026-03-01T09:00:00Z")).collect();
    send(&sender, &done).await;
    for n in 0..3 {
        let visited = statement(
            mailbox(&format!("guest{n}@example.com")),
            "http://id.tincanapi.com/verb/viewed",
            "https://rollbook.invalid/acme/contents/fire",
        );
        sender.post("/xapi/statements", &visited).await.expect(200);
    }
    let everybody = found(&admin, "limit=1000").await;
    assert_eq!(everybody.split(' ').count(), 5 + 30 + 3);
    assert!(everybody.starts_with("ada bo cy dee eve u00 u01") && everybody.ends_with("u29 - - -"));
    let guests = |people: &[Value]| -> Vec<String> {
        people
            .iter()
            .filter(|one| one["user"]["id"].is_null())
            .map(|one| one["user"]["email"].to_string())
            .collect()
    };
    for limit in [1, 2, 7, 35, 36, 37, 38, 39] {
        for query in [String::new(), "&count=exact".to_owned()] {
            let list = admin.list(&format!("{FIRE}?limit={limit}{query}"), "progress").await;
            assert_eq!(who(&list), everybody, "{limit}{query}");
            assert_eq!(
                guests(&list),
                ["\"guest0@example.com\"", "\"guest1@example.com\"", "\"guest2@example.com\""]
            );
        }
        let begun = admin.list(&format!("{FIRE}?limit={limit}&state=in_progress"), "progress").await;
        assert_eq!(who(&begun), "u00 u03 u06 u09 u12 u15 u18 u21 u24 u27 - - -", "{limit}");
        let rest = admin.list(&format!("{FIRE}?limit={limit}&state=not_started"), "progress").await;
        assert_eq!(rest.len(), 25, "{limit}");
    }
    let page =
        admin.get(&format!("{FIRE}?limit=2&count=exact&state=not_started&state=failed")).await.expect(200);
    let link = page.header("link").map(str::to_owned);
    let page = page.json();
    assert_eq!((&page["total"], &page["states"]["in_progress"]), (&json!(25), &json!(13)));
    let next = page["next"].as_str().expect("a next page");
    assert!(
        next.starts_with(
            "/v1/contents/fire/progress?limit=2&count=exact&state=not_started&state=failed&cursor="
        ),
        "{next}"
    );
    assert_eq!(link, Some(format!("<{next}>; rel=\"next\"")));
}

#[apply(both_databases)]
async fn a_cursor_is_bound_to_its_question_and_caller(server: &TestServer) {
    let (admin, _) = one_of_each(server).await;
    admin.put("/v1/contents/other", &content("other", "item")).await.expect(201);
    let page = admin.get(&format!("{FIRE}?limit=2")).await.expect(200).json();
    let next = page["next"].as_str().expect("a next page");
    admin.get(&next.replace("limit=2", "limit=3")).await.expect(200);
    server.person("admin", "other").get(next).await.expect(400);
    for changed in [
        next.replace("/fire/", "/other/"),
        format!("{next}&state=failed"),
        format!("{next}&include_deactivated=true"),
        format!("{next}&scope=me"),
        format!("{FIRE}?cursor=x"),
        format!("{FIRE}?cursor=AQ"),
    ] {
        let problem = admin.get(&changed).await.expect(400).json();
        assert_eq!(problem["code"], "bad-cursor", "{changed}");
    }
    // A cursor of another list, for the same caller.
    let users = admin.get("/v1/users?limit=1").await.expect(200).json();
    let foreign =
        users["next"].as_str().expect("a next page").split("cursor=").last().expect("a cursor").to_owned();
    admin.get(&format!("{FIRE}?limit=2&cursor={foreign}")).await.expect(400);
}

#[apply(both_databases)]
async fn people_are_asked_for_as_in_the_log(server: &TestServer) {
    let (admin, _) = one_of_each(server).await;
    for (query, expected) in [
        ("", "ada bo cy dee eve"),
        ("include_deactivated=true", "ada bo cy dee eve old"),
        ("include_deactivated=true&state=completed", "ada old"),
        ("team=sales", "bo cy"),
        ("team=sales&include_sub_teams=true", "bo cy dee"),
        ("team=sales&primary_team_only=true", "bo"),
        ("scope=team&team=north", "dee"),
        ("group=aid", "eve"),
        ("scope=group&group=aid", "eve"),
        ("team=sales&group=aid", ""),
        ("user=cy&user=dee&user=nobody", "cy dee"),
        ("user=old", ""),
        ("custom%5BRegion%5D=North", "bo"),
        ("custom%5BRegion%5D=North&custom%5BRegion%5D=South", "bo dee"),
        ("custom%5BRegion%5D=South&team=sales", ""),
        ("state=completed", "ada"),
        ("state=failed", "bo"),
        ("state=in_progress", "cy"),
        ("state=expired", "dee"),
        ("state=not_started", "eve"),
        ("state=not_started,in_progress,failed,expired", "bo cy dee eve"),
        ("state=completed&state=expired", "ada dee"),
        ("state=completed,expired,failed,in_progress,not_started", "ada bo cy dee eve"),
        ("state=failed&team=sales", "bo"),
        ("state=not_started&team=sales", ""),
        ("scope=company", "ada bo cy dee eve"),
    ] {
        let pairs = if query.is_empty() { "limit=2".to_owned() } else { format!("{query}&limit=2") };
        assert_eq!(found(&admin, &pairs).await, expected, "{query}");
        assert_eq!(
            admin.get(&format!("{FIRE_CSV}?{query}")).await.expect(200).csv_column("User ID").join(" "),
            expected,
            "{query}"
        );
        let counted = admin.get(&format!("{FIRE}?{query}&count=exact&limit=1")).await.expect(200).json();
        assert_eq!(counted["total"], expected.split_whitespace().count(), "{query}");
    }
    let states = admin
        .get(&format!("{FIRE}?count=exact&state=failed&include_deactivated=true"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        states["states"],
        json!({"not_started": 1, "in_progress": 1, "failed": 1, "completed": 2, "expired": 1})
    );
}

#[apply(both_databases)]
async fn persons_whom_nobody_claims_come_last_for_those_who_see_all(server: &TestServer) {
    let (admin, sender) = one_of_each(server).await;
    let iri = "https://rollbook.invalid/acme/contents/fire";
    for (name, verb) in [
        ("zoe", "http://adlnet.gov/expapi/verbs/passed"),
        ("amy", "http://activitystrea.ms/schema/1.0/assign"),
    ] {
        let sent = statement(mailbox(&format!("{name}@example.com")), verb, iri)
            .set("actor.name", name)
            .set("timestamp", "2026-03-09T09:00:00Z");
        sender.post("/xapi/statements", &sent).await.expect(200);
    }
    // Somebody who did something else has no line.
    sender
        .post(
            "/xapi/statements",
            &statement(mailbox("stranger@example.com"), "http://id.tincanapi.com/verb/viewed", "urn:else"),
        )
        .await
        .expect(200);
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    let people = page["progress"].as_array().expect("a list");
    assert_eq!(who(people), "ada bo cy dee eve - -");
    assert_eq!(
        people[5]["user"],
        json!({
            "id": null, "first_name": null, "last_name": null, "name": "zoe", "email": "zoe@example.com", "active": null
        })
    );
    assert_eq!(
        (&people[5]["state"], &people[5]["since"]),
        (&json!("completed"), &json!("2026-03-09T09:00:00.000Z"))
    );
    assert_eq!(people[5]["certificate"]["name"], "Fire warden");
    assert_eq!((&people[6]["user"]["name"], &people[6]["state"]), (&json!("amy"), &json!("not_started")));
    assert_eq!(
        (&page["total"], &page["states"]["completed"], &page["states"]["not_started"]),
        (&json!(7), &json!(2), &json!(2))
    );
    for (query, expected) in [
        ("scope=company", "ada bo cy dee eve - -"),
        ("include_deactivated=true", "ada bo cy dee eve old - -"),
        ("state=completed", "ada -"),
        ("state=not_started", "eve -"),
        ("state=failed", "bo"),
        ("team=sales", "bo cy"),
        ("user=ada", "ada"),
        ("custom%5BRegion%5D=North", "bo"),
        ("group=aid", "eve"),
        ("scope=managed", ""),
        ("scope=me", ""),
    ] {
        assert_eq!(found(&admin, query).await, expected, "{query}");
        assert_eq!(
            admin.get(&format!("{FIRE_CSV}?{query}")).await.expect(200).csv().1.len(),
            expected.split_whitespace().count(),
            "{query}"
        );
    }
    let csv = admin.get(FIRE_CSV).await.expect(200);
    assert_eq!(csv.csv_column("First name")[5..], ["zoe", "amy"]);
    assert_eq!(csv.csv_column("Email address")[5..], ["zoe@example.com", "amy@example.com"]);
    for other in [server.person("manager", "ada"), server.person("learner", "bo")] {
        let page = other.get(&format!("{FIRE}?count=exact")).await.expect(200);
        assert!(!page.text().contains("zoe"), "{}", page.text());
    }
    // Claimed, they are the user's.
    admin.put("/v1/users/zed", &user("zed").set("email", "zoe@example.com")).await.expect(201);
    assert_eq!(found(&admin, "state=completed").await, "ada zed");
    assert_eq!(found(&admin, "limit=3").await, "ada bo cy dee eve zed -");
}

#[apply(both_databases)]
async fn what_all_of_a_users_persons_did_is_one_line(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let iri = "https://rollbook.invalid/acme/contents/fire";
    let by = |actor: Value, verb: &str, at: &str| {
        statement(actor, &format!("http://adlnet.gov/expapi/verbs/{verb}"), iri).set("timestamp", at)
    };
    let badge = json!({"account": {"homePage": "https://badge.example", "name": "4711"}});
    for sent in [
        by(mailbox("bo@example.org"), "launched", "2026-03-01T09:00:00Z"),
        by(badge.clone(), "passed", "2026-03-02T09:00:00Z"),
    ] {
        sender.post("/xapi/statements", &sent).await.expect(200);
    }
    send(&sender, &[did(1, "bo", "failed", "2026-03-03T09:00:00Z")]).await;
    assert_eq!(of(&admin, "bo").await["state"], "failed");
    admin.post("/v1/users/bo/identifiers", &json!({"identifiers": [badge]})).await.expect(200);
    let one = of(&admin, "bo").await;
    assert_eq!((&one["state"], &one["since"]), (&json!("completed"), &json!("2026-03-02T09:00:00.000Z")));
    let page = admin.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
    assert_eq!(
        (&page["total"], &page["states"]["completed"], &page["states"]["failed"]),
        (&json!(5), &json!(1), &json!(0))
    );
}

#[apply(both_databases)]
async fn archived_unregistered_and_unknown_contents(server: &TestServer) {
    let (admin, sender) = one_of_each(server).await;
    admin.patch("/v1/contents/fire", &json!({"archived_at": "2026-03-10T00:00:00Z"})).await.expect(200);
    let page = admin.get(FIRE).await.expect(200).json();
    assert_eq!(
        (&page["content"]["archived"], page["progress"].as_array().map(Vec::len)),
        (&json!(true), Some(5))
    );

    let iri = "http://example.org/course?x=1";
    let sent = statement(mailbox("bo@example.org"), "http://adlnet.gov/expapi/verbs/completed", iri);
    sender.post("/xapi/statements", &sent).await.expect(200);
    let address = format!("/v1/contents/{}/progress", encode_segment(iri));
    let people = admin.list(&format!("{address}?limit=1"), "progress").await;
    assert_eq!(who(&people), "ada bo cy dee eve");
    assert_eq!(people[1]["state"], "completed");
    assert_eq!(admin.get(&format!("{address}.csv?state=completed")).await.expect(200).csv().1.len(), 1);
    // Adopted under an id of its own, it is there with its history.
    admin.put("/v1/contents/course", &content("course", "item").set("iri", iri)).await.expect(201);
    admin.get(&address).await.expect(404);
    assert_eq!(admin.list("/v1/contents/course/progress?state=completed", "progress").await.len(), 1);

    for path in
        ["/v1/contents/nothing/progress", "/v1/contents/nothing/progress.csv", "/v1/contents/%20/progress"]
    {
        admin.get(path).await.expect(404);
    }
    // What only the LRS knows is not in the catalogue.
    let referring = sent.set("context", json!({"contextActivities": {"other": [{"id": "urn:mentioned"}]}}));
    sender.post("/xapi/statements", &referring).await.expect(200);
    admin.get("/v1/contents/urn%3Amentioned/progress").await.expect(404);
}

#[apply(both_databases)]
async fn a_csv_of_everybody(server: &TestServer) {
    let (admin, sender) = one_of_each(server).await;
    let odd = json!({"first_name": "=Bo", "last_name": "Lee, \"B\"", "job_title": "-5", "manager": "ada", "email": "bo@example.org",
        "custom": {"=Grade": "+7", "Region": "North"}});
    admin.patch("/v1/users/bo", &odd).await.expect(200);
    let guest = statement(
        mailbox("guest@example.com"),
        "http://adlnet.gov/expapi/verbs/launched",
        "https://rollbook.invalid/acme/contents/fire",
    )
    .set("timestamp", "2026-03-09T09:00:00Z");
    sender.post("/xapi/statements", &guest.set("actor.name", "A. Guest")).await.expect(200);
    let answer = admin.get(&format!("{FIRE_CSV}?include_deactivated=true")).await.expect(200);
    insta::assert_snapshot!("a_csv_of_everybody", table(&answer));
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"progress-2026-03-18.csv\"")
    );
    assert_eq!(answer.csv().0, [&HEADINGS[..], &["'=Grade", "Region"]].concat());

    let raw = admin.get(&format!("{FIRE_CSV}?raw=true&user=bo")).await.expect(200);
    assert_eq!(
        (raw.csv_column("First name"), raw.csv_column("=Grade")),
        (vec!["=Bo".to_owned()], vec!["+7".to_owned()])
    );
    let bom = admin.get(&format!("{FIRE_CSV}?bom=true&include_deactivated=true&raw=false")).await.expect(200);
    assert_eq!(bom.text(), format!("\u{feff}{}", answer.text()));
    let gzipped = [("accept-encoding", "gzip")];
    let gzipped = admin.send(Method::GET, FIRE_CSV, &gzipped, Vec::new()).await.expect(200);
    assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
    let head = admin.send(Method::HEAD, FIRE_CSV, &[], Vec::new()).await.expect(200);
    assert_eq!(head.header("content-disposition"), answer.header("content-disposition"));
    assert!(head.body.is_empty());
    // Without anybody there is the heading row.
    let empty = admin.get(&format!("{FIRE_CSV}?user=nobody")).await.expect(200);
    assert_eq!(empty.text().matches("\r\n").count(), 1);
    assert!(empty.text().starts_with("First name,"));
}

#[apply(both_databases)]
async fn what_is_no_parameter_here_is_refused_by_name(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    for (query, parameter) in [
        ("from=2026-01-01", "from"),
        ("tz=Europe%2FBerlin", "tz"),
        ("action=completed", "action"),
        ("content=fire", "content"),
        ("sort=happened_at", "sort"),
        ("states=failed", "states"),
        ("state=finished", "state"),
        ("state=failed,", "state"),
        ("state=", "state"),
        ("user=", "user"),
        ("include_deactivated=yes", "include_deactivated"),
        ("scope=all", "scope"),
        ("scope=team", "scope"),
    ] {
        for path in [FIRE, FIRE_CSV] {
            let problem = admin.get(&format!("{path}?{query}")).await.expect(400).json();
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}?{query}");
        }
    }
    for (path, query, parameter) in [
        (FIRE, "limit=0", "limit"),
        (FIRE, "limit=1001", "limit"),
        (FIRE, "limit=%2B5", "limit"),
        (FIRE, "limit=5&limit=5", "limit"),
        (FIRE, "count=all", "count"),
        (FIRE, "cursor=x&cursor=y", "cursor"),
        (FIRE, "bom=true", "bom"),
        (FIRE_CSV, "limit=5", "limit"),
        (FIRE_CSV, "cursor=x", "cursor"),
        (FIRE_CSV, "count=exact", "count"),
        (FIRE_CSV, "columns=full", "columns"),
        (FIRE_CSV, "raw=1", "raw"),
        (FIRE_CSV, "bom=yes", "bom"),
    ] {
        let problem = admin.get(&format!("{path}?{query}")).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}?{query}");
    }
    let both = admin.get(&format!("{FIRE}?limit=x&count=all")).await.expect(400).json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    let both = admin.get(&format!("{FIRE_CSV}?bom=x&state=x&state=y")).await.expect(400).json();
    assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    admin.post(FIRE, &json!({})).await.expect(405);
    server.anonymous().get(FIRE).await.expect(401);
    server
        .credential(ORG, &["all", "activities/write", "catalogue", "directory"])
        .await
        .get(FIRE)
        .await
        .expect(403);
}

#[apply(both_databases)]
async fn everybody_sees_exactly_the_people_within_their_reach(server: &TestServer) {
    let (admin, _) = one_of_each(server).await;
    // Another organisation with the same ids, and a content that only it has.
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.post("/v1/users/batch", &[user("ada"), user("bo"), user("zoe")]).await.expect(200);
    other.put("/v1/contents/fire", &content("fire", "item")).await.expect(201);
    other.put("/v1/contents/theirs", &content("theirs", "item")).await.expect(201);
    for who in ["ada", "bo", "zoe"] {
        other.post("/v1/activities", &activity(who, "completed").set("content", "fire")).await.expect(201);
    }
    admin.get("/v1/contents/theirs/progress").await.expect(404);
    admin.get("/v1/contents/theirs/progress.csv").await.expect(404);

    let nobodys = json!({"direct": [], "indirect": []});
    let claimed = json!({"direct": ["eve"], "indirect": ["dee"]});
    let callers = [
        ("owner", server.person("owner", "x")),
        ("hr", server.person("hr", "cy")),
        ("reporter", server.person("reporter", "cy")),
        ("learning designer", server.person("learning_designer", "cy")),
        ("curator", server.person("curator", "cy")),
        (
            "curator with reporting",
            server.person_of(ORG, json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]})),
        ),
        ("manager ada", server.person("manager", "ada")),
        ("manager bo", server.person("manager", "bo")),
        (
            "manager of nobody",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": nobodys})),
        ),
        (
            "manager by claim",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": claimed})),
        ),
        ("learner", server.person("learner", "eve")),
        ("learner of no directory", server.person("learner", "zoe")),
    ];
    for indirect in [true, false] {
        admin
            .patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect}))
            .await
            .expect(200);
        for (name, caller) in &callers {
            let directory = caller.list("/v1/users?active=true", "users").await;
            let ids: BTreeSet<&str> =
                directory.iter().map(|user| user["id"].as_str().expect("an id")).collect();
            let ids = ids.into_iter().collect::<Vec<_>>().join(" ");
            assert_eq!(found(caller, "limit=1").await, ids, "{name}, {indirect}");
            assert_eq!(
                caller.get(FIRE_CSV).await.expect(200).csv_column("User ID").join(" "),
                ids,
                "{name}, {indirect}"
            );
            let counted = caller.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
            assert_eq!(counted["total"], directory.len(), "{name}, {indirect}");
            let sum: u64 =
                counted["states"].as_object().expect("states").values().filter_map(Value::as_u64).sum();
            assert_eq!(sum as usize, directory.len(), "{name}, {indirect}");
            // Each line is the line that an admin sees.
            for one in counted["progress"].as_array().expect("a list") {
                let id = one["user"]["id"].as_str().expect("an id");
                assert_eq!(*one, of(&admin, id).await, "{name}, {indirect}");
            }
            // One by one, too: who is outside is as unknown as who is nowhere.
            for id in ["ada", "bo", "cy", "dee", "eve", "nobody"] {
                let inside = ids.split(' ').any(|other| other == id);
                let page = caller.get(&format!("{FIRE}?user={id}&count=exact")).await.expect(200).json();
                assert_eq!(page["total"], usize::from(inside), "{name} asks for {id}");
            }
        }
    }
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": true})).await.expect(200);
    let ada = server.person("manager", "ada");
    for (query, expected) in [
        ("", "ada bo cy dee"),
        ("scope=managed", "bo cy"),
        ("scope=managed&include_sub_managers=true", "bo cy dee"),
        ("scope=me", "ada"),
        ("scope=team&team=sales", "bo cy"),
        ("group=aid", ""),
        ("state=not_started", ""),
        ("state=completed&include_deactivated=true", "ada old"),
    ] {
        assert_eq!(found(&ada, query).await, expected, "{query}");
    }
    for path in [FIRE, FIRE_CSV] {
        ada.get(&format!("{path}?scope=company")).await.expect(403);
        server.person("learner", "bo").get(&format!("{path}?scope=managed")).await.expect(403);
        let key = server.credential(ORG, &["activities/read"]).await;
        key.get(&format!("{path}?scope=me")).await.expect(403);
        key.get(path).await.expect(200);
    }
}

#[apply(both_databases)]
async fn what_happens_outside_the_reach_changes_nothing(server: &TestServer) {
    let (_, sender) = one_of_each(server).await;
    let bo = server.person("manager", "bo");
    let ask = async || {
        let page = bo.get(&format!("{FIRE}?count=exact")).await.expect(200).body;
        let csv = bo.get(FIRE_CSV).await.expect(200).body;
        (page, bo.get(&format!("{FIRE}?state=not_started,completed&count=exact")).await.expect(200).body, csv)
    };
    let before = ask().await;
    send(
        &sender,
        &[
            did(50, "cy", "completed", "2026-03-10T09:00:00Z").set("result", json!({"success": true})),
            did(51, "eve", "failed", "2026-03-10T09:00:00Z"),
            did(52, "ada", "failed", "2026-03-10T09:00:00Z"),
        ],
    )
    .await;
    let guest = statement(
        mailbox("guest@example.com"),
        "http://adlnet.gov/expapi/verbs/passed",
        "https://rollbook.invalid/acme/contents/fire",
    );
    sender.post("/xapi/statements", &guest).await.expect(200);
    assert_eq!(ask().await, before);
}
