//! `/v1/users/{id}/timeline`: one person's log and the notes about them as one list, for whom each is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::activities::{id, in_march, post_batch};
use super::notes::{note, set_up};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

const BO: &str = "/v1/users/bo/timeline";
const SCOPES: &[&str] = &["all", "activities/write", "activities/read", "directory", "catalogue"];

fn descriptions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["description"].as_str().expect("a description")).collect()
}

/// The names of the parameters that a problem document finds fault with.
fn parameters(answer: &Answer) -> BTreeSet<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["parameter"].as_str().expect("a parameter").to_owned()).collect()
}

fn numbered(n: usize, action: &str, happened_at: Value) -> Body {
    activity("bo", action).set("id", id(n)).set("happened_at", happened_at)
}

/// The total that the timeline gives, and the descriptions on all its pages, which are as many.
async fn told(caller: &Caller, query: &str) -> Vec<String> {
    let first = caller.get(&format!("{BO}?count=exact&limit=3&{query}")).await.expect(200).json();
    let entries = caller.list(&format!("{BO}?count=exact&limit=3&{query}"), "entries").await;
    assert_eq!(first["total"], entries.len(), "{query}");
    descriptions(&entries).into_iter().map(str::to_owned).collect()
}

#[apply(both_databases)]
async fn log_and_notes_are_one_list_the_newest_first(server: &TestServer) {
    let ada = set_up(server).await;
    let moment = "2026-03-02T09:00:00Z";
    // At one moment, one after the other by both doors; and one of each before and after it.
    post_batch(&ada, &[numbered(1, "logged_in", json!(moment))]).await;
    let first = note(&ada, "bo", "Second", moment).await;
    post_batch(&ada, &[numbered(3, "logged_out", json!(moment))]).await;
    note(&ada, "bo", "Fourth", moment).await;
    note(&ada, "bo", "Before", "2026-03-01T09:00:00Z").await;
    post_batch(&ada, &[numbered(6, "logged_in", in_march(3, 9))]).await;
    // Somebody else's are not there.
    note(&ada, "cy", "Elsewhere", moment).await;
    post_batch(&ada, &[activity("cy", "logged_in").set("happened_at", moment)]).await;
    let answer = server.person("hr", "hal").get(&format!("{BO}?count=exact")).await.expect(200).json();
    let entries = answer["entries"].as_array().expect("entries");
    assert_eq!(descriptions(entries), ["Logged in", "Fourth", "Logged out", "Second", "Logged in", "Before"]);
    assert_eq!((&answer["next"], &answer["total"]), (&Value::Null, &json!(6)));
    let activity = ada.get("/v1/users/bo/activities").await.expect(200).json()["activities"][1].clone();
    assert_eq!(
        entries[2],
        json!({
            "happened_at": "2026-03-02T09:00:00.000Z", "kind": "system", "description": "Logged out",
            "performed_by": {"id": "ada", "name": "ada Example"}, "activity": activity, "note": null
        })
    );
    let written = ada.get(&format!("/v1/notes/{first}")).await.expect(200).json();
    assert_eq!(
        entries[3],
        json!({
            "happened_at": "2026-03-02T09:00:00.000Z", "kind": "manual", "description": "Second",
            "performed_by": {"id": "ada", "name": "ada Example"}, "activity": null, "note": written
        })
    );
    // A changed note moves to where it belongs now, and says who did it, not who wrote it down.
    server
        .person("manager", "mo")
        .patch(&format!("/v1/notes/{first}"), &json!({"happened_at": "2026-03-04T00:00:00Z"}))
        .await
        .expect(200);
    let moved = ada.get(BO).await.expect(200).json()["entries"][0].clone();
    assert_eq!(
        (&moved["description"], &moved["performed_by"]["id"], &moved["note"]["updated_by"]["id"]),
        (&json!("Second"), &json!("ada"), &json!("mo"))
    );
    assert_eq!(ada.get(&format!("{BO}?limit=2")).await.expect(200).json().get("total"), None);
}

#[apply(both_databases)]
async fn what_changes_outside_content_says_who_did_it(server: &TestServer) {
    let ada = set_up(server).await;
    ada.put("/v1/contents/plan", &content("plan", "learning_plan").set("title", "Forklift Training"))
        .await
        .expect(201);
    ada.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    let sender = server.credential("acme", &["activities/write"]).await;
    let by = |n: usize, action: &str, content: &str| {
        numbered(n, action, in_march(1, n as u32)).set("content", content).set("recorded_by", "mo")
    };
    post_batch(
        &sender,
        &[
            by(1, "assigned", "plan").set("comment", "New in the warehouse"),
            by(2, "unassigned", "plan"),
            by(3, "graded", "fire").set("result", json!({"score": 45})),
            by(4, "completed", "fire").set("comment", "IdentifierCache in person"),
            Body::default()
                .set("user", "bo")
                .set("id", id(5))
                .set("verb", "http://activitystrea.ms/schema/1.0/join")
                .set("happened_at", in_march(1, 5))
                .set("recorded_by", "mo")
                .set("comment", "First aiders"),
            numbered(6, "viewed", in_march(1, 6)).set("content", "fire"),
        ],
    )
    .await;
    post_batch(&ada, &[numbered(7, "completed", in_march(1, 7)).set("content", "fire")]).await;
    let entries = ada.list(BO, "entries").await;
    let seen: Vec<(&str, &Value, &str, &Value)> = entries
        .iter()
        .rev()
        .map(|entry| {
            assert_eq!(entry["kind"], "system", "{entry}");
            let row = &entry["activity"];
            (
                entry["description"].as_str().expect("a sentence"),
                &entry["performed_by"]["id"],
                row["origin"].as_str().expect("an origin"),
                &row["comment"],
            )
        })
        .collect();
    let (none, mo) = (&Value::Null, &json!("mo"));
    assert_eq!(
        seen[..4],
        [
            ("Assigned Forklift Training", mo, "api", &json!("New in the warehouse")),
            ("Unassigned Forklift Training", mo, "api", none),
            ("Graded Fire Safety scoring 45%", mo, "api", none),
            (
                "Completed Fire Safety, marked complete by mo Example",
                mo,
                "api",
                &json!("IdentifierCache in person")
            ),
        ]
    );
    assert_eq!(
        (seen[4].1, seen[4].2, seen[4].3),
        (mo, "api", &json!("First aiders")),
        "a group joined: {}",
        seen[4].0
    );
    assert_eq!(
        seen[5],
        ("Viewed Fire Safety", none, "api", none),
        "a change made through the API, by nobody in person"
    );
    assert_eq!(entries[1]["activity"]["device_type"], "api");
    assert_eq!(
        seen[6],
        ("Completed Fire Safety, marked complete by ada Example", &json!("ada"), "manual", none)
    );
}

#[apply(both_databases)]
async fn pages_give_every_entry_once(server: &TestServer) {
    let ada = set_up(server).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let day = 1 + (n * 7) % 4;
        if n % 3 == 1 {
            note(&ada, "bo", &format!("note {n}"), &format!("2026-03-0{day}T09:00:00Z")).await;
            expected.push((day, n, format!("note {n}")));
        } else {
            post_batch(
                &ada,
                &[numbered(n + 1, "started", in_march(day as u32, 9)).set(
                    "content",
                    json!({"id": format!("c{n}"), "title": format!("row {n}"), "type": "item"}),
                )],
            )
            .await;
            expected.push((day, n, format!("Started row {n}")));
        }
    }
    expected.sort_unstable_by(|one, other| other.cmp(one));
    let expected: Vec<String> = expected.into_iter().map(|(_, _, text)| text).collect();
    for limit in [1, 2, 3, 7, 20, 50] {
        let entries = ada.list(&format!("{BO}?limit={limit}"), "entries").await;
        assert_eq!(descriptions(&entries), expected, "{limit}");
    }
    // What comes between two pages moves nothing.
    let first = ada.get(&format!("{BO}?limit=5&count=exact")).await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert_eq!(first.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    assert_eq!(first.json()["total"], 20);
    note(&ada, "bo", "Later", "2026-03-09T09:00:00Z").await;
    let rest = ada.list(&next, "entries").await;
    assert_eq!(descriptions(&rest), expected[5..]);
    // A cursor belongs to its caller, its subject and its question.
    server.person("hr", "hal").get(&next).await.expect(400);
    for changed in [
        next.replace("/bo/", "/cy/"),
        format!("{next}&kind=manual"),
        format!("{next}&completed=true"),
        next.replace("/timeline", "/activities"),
    ] {
        ada.get(&changed).await.expect(400);
    }
    let manual = ada.get(&format!("{BO}?kind=manual&limit=1")).await.expect(200).json()["next"]
        .as_str()
        .expect("a next page")
        .to_owned();
    ada.get(&manual.replace("kind=manual", "kind=system")).await.expect(400);
    ada.get(&manual).await.expect(200);
}

#[apply(both_databases)]
async fn kinds_and_filters_choose_entries(server: &TestServer) {
    let ada = set_up(server).await;
    ada.put(
        "/v1/contents/sec",
        &content("sec", "item").set("title", "Security").set("tags", json!(["safety"])),
    )
    .await
    .expect(201);
    post_batch(
        &ada,
        &[
            numbered(1, "completed", in_march(1, 9)).set("content", "sec"),
            numbered(2, "logged_in", in_march(10, 9)),
            numbered(3, "logged_in", in_march(18, 9)),
        ],
    )
    .await;
    for (text, moment) in [
        ("Note 1", "2026-03-02T09:00:00Z"),
        ("Note 11", "2026-03-11T23:30:00Z"),
        ("Note 18", "2026-03-18T09:30:00Z"),
        ("Ahead", "2026-04-01T00:00:00Z"),
    ] {
        note(&ada, "bo", text, moment).await;
    }
    let completed = "Completed Security, marked complete by ada Example";
    let everything = ["Ahead", "Note 18", "Note 11", "Logged in", "Note 1", completed];
    for (query, expected) in [
        ("", &everything[..]),
        ("kind=manual,system", &everything),
        ("kind=system&kind=manual", &everything),
        ("include_deactivated=false", &everything),
        ("user=bo&user=cy", &everything),
        ("include_sub_teams=true", &everything),
        ("kind=system", &["Logged in", completed]),
        ("kind=manual", &["Ahead", "Note 18", "Note 11", "Note 1"]),
        // A note has a time …
        ("from=2026-03-10&to=2026-03-18", &["Note 11", "Logged in"]),
        ("to=2026-03-12&tz=Europe%2FBerlin", &["Logged in", "Note 1", completed]),
        ("from=2026-03-18T09:30:00Z&to=2026-04-01T00:00:00Z", &["Note 18"]),
        ("period=today", &["Note 18"]),
        ("period=today&kind=system", &[]),
        // … and nothing else that a filter asks for.
        ("title=security", &[completed]),
        ("tag=safety&to=2026-07-01", &[completed]),
        ("completed=false", &["Logged in"]),
        ("expired=false", &["Logged in", completed]),
        ("action=logged_in,visited", &["Visited", "Logged in"]),
        ("origin=manual", &["Logged in", completed]),
        ("title=security&kind=manual", &[]),
        ("user=cy", &[]),
        ("user=cy&kind=manual", &[]),
        ("group=none", &[]),
    ] {
        assert_eq!(told(&ada, query).await, expected, "{query}");
    }
    for (query, wrong) in [
        ("kind=note", vec!["kind"]),
        ("kind=", vec!["kind"]),
        ("kind=system&kind=x&colour=red", vec!["kind", "colour"]),
        ("sort=happened_at", vec!["sort"]),
        ("scope=me&include_sub_managers=true", vec!["scope", "include_sub_managers"]),
        ("limit=0&from=soon", vec!["limit", "from"]),
        ("cursor=x", vec!["cursor"]),
    ] {
        let refused = ada.get(&format!("{BO}?{query}")).await.expect(400);
        assert_eq!(parameters(&refused), wrong.into_iter().map(str::to_owned).collect(), "{query}");
    }
}

#[apply(both_databases)]
async fn each_caller_reads_what_is_theirs_to_read(server: &TestServer) {
    let ada = set_up(server).await;
    post_batch(&ada, &[numbered(1, "logged_in", in_march(1, 9))]).await;
    note(&ada, "bo", "A note", "2026-03-02T09:00:00Z").await;
    let key = server.credential("acme", SCOPES).await;
    let claims = |claims: Value| server.person_of("acme", claims);
    let person = |role: &str, user: &str| server.person(role, user);
    let with =
        |user: &str, reports: Value| claims(json!({"sub": user, "role": "manager", "reports": reports}));
    const LOG: &[&str] = &["Logged in"];
    const BOTH: &[&str] = &["A note", "Logged in"];
    for indirect in [true, false] {
        ada.patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect})).await.expect(200);
        let (top, none) = (indirect.then_some(BOTH), None);
        for (caller, expected, who) in [
            (person("owner", "ada"), Some(BOTH), "an owner"),
            (person("admin", "ada"), Some(BOTH), "an admin"),
            (person("hr", "hal"), Some(BOTH), "hr"),
            (person("manager", "mo"), Some(BOTH), "the manager"),
            (person("manager", "top"), top, "the manager's manager"),
            (with("dee", json!({"direct": ["bo"]})), Some(BOTH), "who has the report by the token"),
            (with("dee", json!({"indirect": ["bo"]})), top, "who has the indirect report by the token"),
            (with("mo", json!({"direct": ["cy"]})), none, "the manager, whose token knows otherwise"),
            (person("manager", "cy"), none, "a report as a manager"),
            (person("learner", "cy"), none, "a colleague"),
            // Whoever reads the log only.
            (person("reporter", "dee"), Some(LOG), "a reporter"),
            (person("learning_designer", "dee"), Some(LOG), "a learning designer"),
            (
                claims(json!({"sub": "dee", "role": "curator", "permissions": ["reporting"]})),
                Some(LOG),
                "a curator with reporting",
            ),
            (person("curator", "dee"), none, "a curator"),
            (key.clone(), Some(LOG), "a credential of every scope"),
            // The subject, whatever the role.
            (person("learner", "bo"), Some(LOG), "the subject"),
            (person("manager", "bo"), Some(LOG), "the subject as a manager"),
            (
                with("bo", json!({"direct": ["bo"]})),
                Some(LOG),
                "the subject, who claims to be their own report",
            ),
            (person("hr", "bo"), Some(LOG), "the subject as hr"),
            (person("admin", "bo"), Some(LOG), "the subject as admin"),
            (person("owner", "bo"), Some(LOG), "the subject as owner"),
            (
                server.person_of("other", json!({"sub": "ada", "role": "owner"})),
                none,
                "another organisation's owner",
            ),
        ] {
            let Some(expected) = expected else {
                caller.get(BO).await.expect(404);
                caller.get(&format!("{BO}?kind=manual&count=exact")).await.expect(404);
                continue;
            };
            assert_eq!(told(&caller, "").await, expected, "{who}, indirect: {indirect}");
            assert_eq!(told(&caller, "kind=system").await, LOG, "{who}");
            assert_eq!(told(&caller, "kind=manual").await, expected[..expected.len() - 1], "{who}");
            assert_eq!(
                told(&caller, "user=bo&from=2026-03-02").await,
                expected[..expected.len() - 1],
                "{who}"
            );
        }
    }
    server.credential("acme", &["activities/write"]).await.get(BO).await.expect(403);
    ada.get("/v1/users/nobody/timeline").await.expect(404);
    server.person("manager", "mo").get("/v1/users/nobody/timeline").await.expect(404);
}

#[apply(both_databases)]
async fn a_timeline_is_of_one_user_whoever_they_were(server: &TestServer) {
    let ada = set_up(server).await;
    assert_eq!(told(&ada, "").await, Vec::<String>::new());
    // Two persons, one of whom turns out to be this user later.
    post_batch(&ada, &[numbered(1, "logged_in", in_march(1, 9))]).await;
    let key = server.credential("acme", SCOPES).await;
    let joined = statement(
        mailbox("bo@example.org"),
        "http://adlnet.gov/expapi/verbs/experienced",
        "https://example.org/handbook",
    )
    .set("timestamp", in_march(2, 9));
    key.post("/xapi/statements", &joined).await.expect(200);
    note(&ada, "bo", "A note", "2026-03-01T12:00:00Z").await;
    assert_eq!(told(&ada, "").await, ["A note", "Logged in"]);
    ada.put("/v1/users/bo", &user("bo").set("manager", "mo").set("email", "bo@example.org"))
        .await
        .expect(200);
    let whole = told(&ada, "").await;
    assert_eq!((whole.len(), &whole[1..]), (3, &["A note".to_owned(), "Logged in".to_owned()][..]));
    // Somebody who left is shown whole; what is voided is gone, and the notes stay.
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(told(&ada, "").await, whole);
    assert_eq!(told(&server.person("manager", "mo"), "").await, whole);
    ada.delete(&format!("/v1/activities/{}", id(1))).await.expect(204);
    assert_eq!(told(&ada, "").await, whole[..2]);
}
