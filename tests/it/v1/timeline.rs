//! Tests of `/v1/users/{id}/timeline`: the activities of a user and the notes about them in one list.

use serde_json::{Value, json};

use super::activities::{id, in_march, post_batch};
use super::notes::{create_note, set_up};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const BO: &str = "/v1/users/bo/timeline";
const SCOPES: &[&str] = &["all", "activities/write", "activities/read", "directory", "catalogue"];

fn descriptions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["description"].as_str().expect("a description")).collect()
}

fn activity_of_bo(n: usize, action: &str, happened_at: Value) -> Body {
    activity("bo", action).set("id", id(n)).set("happened_at", happened_at)
}

/// The descriptions of all pages. Checks that the total is their number.
async fn list_descriptions(caller: &Caller, query: &str) -> Vec<String> {
    let first = caller.get(&format!("{BO}?count=exact&limit=3&{query}")).await.expect(200).json();
    let entries = caller.list(&format!("{BO}?count=exact&limit=3&{query}"), "entries").await;
    assert_eq!(first["total"], entries.len(), "{query}");
    descriptions(&entries).into_iter().map(str::to_owned).collect()
}

#[apply(both_databases)]
async fn activities_and_notes_are_one_list_newest_first(server: &TestServer) {
    let ada = set_up(server).await;
    let time = "2026-03-02T09:00:00Z";
    // Activities and notes in turn at the same time, and one of each before and after it.
    post_batch(&ada, &[activity_of_bo(1, "logged_in", json!(time))]).await;
    let first = create_note(&ada, "bo", "Second", time).await;
    post_batch(&ada, &[activity_of_bo(3, "logged_out", json!(time))]).await;
    create_note(&ada, "bo", "Fourth", time).await;
    create_note(&ada, "bo", "Before", "2026-03-01T09:00:00Z").await;
    post_batch(&ada, &[activity_of_bo(6, "logged_in", in_march(3, 9))]).await;
    // Entries of another user are not in the list.
    create_note(&ada, "cy", "Elsewhere", time).await;
    post_batch(&ada, &[activity("cy", "logged_in").set("happened_at", time)]).await;
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
    let expected_note = ada.get(&format!("/v1/notes/{first}")).await.expect(200).json();
    assert_eq!(
        entries[3],
        json!({
            "happened_at": "2026-03-02T09:00:00.000Z", "kind": "manual", "description": "Second",
            "performed_by": {"id": "ada", "name": "ada Example"}, "activity": null, "note": expected_note
        })
    );
    // A note moves to its new time. The entry names the author of the note, not of the change.
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
async fn entry_names_the_person_who_performed_it(server: &TestServer) {
    let ada = set_up(server).await;
    ada.put("/v1/contents/plan", &content("plan", "learning_plan").set("title", "Forklift Training"))
        .await
        .expect(201);
    ada.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    let sender = server.credential("acme", &["activities/write"]).await;
    let by = |n: usize, action: &str, content: &str| {
        activity_of_bo(n, action, in_march(1, n as u32)).set("content", content).set("recorded_by", "mo")
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
            activity_of_bo(6, "viewed", in_march(1, 6)).set("content", "fire"),
        ],
    )
    .await;
    post_batch(&ada, &[activity_of_bo(7, "completed", in_march(1, 7)).set("content", "fire")]).await;
    let entries = ada.list(BO, "entries").await;
    let details: Vec<(&str, &Value, &str, &Value)> = entries
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
        details[..4],
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
        (details[4].1, details[4].2, details[4].3),
        (mo, "api", &json!("First aiders")),
        "joined a group: {}",
        details[4].0
    );
    assert_eq!(
        details[5],
        ("Viewed Fire Safety", none, "api", none),
        "a record of a credential without a person"
    );
    assert_eq!(entries[1]["activity"]["device_type"], "api");
    assert_eq!(
        details[6],
        ("Completed Fire Safety, marked complete by ada Example", &json!("ada"), "manual", none)
    );
}

#[apply(both_databases)]
async fn pages_contain_every_entry_once(server: &TestServer) {
    let ada = set_up(server).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let day = 1 + (n * 7) % 4;
        if n % 3 == 1 {
            create_note(&ada, "bo", &format!("note {n}"), &format!("2026-03-0{day}T09:00:00Z")).await;
            expected.push((day, n, format!("note {n}")));
        } else {
            post_batch(
                &ada,
                &[activity_of_bo(n + 1, "started", in_march(day as u32, 9)).set(
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
    // A new entry does not change the following pages.
    let first = ada.get(&format!("{BO}?limit=5&count=exact")).await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert_eq!(first.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    assert_eq!(first.json()["total"], 20);
    create_note(&ada, "bo", "Later", "2026-03-09T09:00:00Z").await;
    let rest = ada.list(&next, "entries").await;
    assert_eq!(descriptions(&rest), expected[5..]);
    // A cursor is valid only for its caller, its user and its parameters.
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
async fn kinds_and_filters_limit_entries(server: &TestServer) {
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
            activity_of_bo(1, "completed", in_march(1, 9)).set("content", "sec"),
            activity_of_bo(2, "logged_in", in_march(10, 9)),
            activity_of_bo(3, "logged_in", in_march(18, 9)),
        ],
    )
    .await;
    for (text, time) in [
        ("Note 1", "2026-03-02T09:00:00Z"),
        ("Note 11", "2026-03-11T23:30:00Z"),
        ("Note 18", "2026-03-18T09:30:00Z"),
        ("Ahead", "2026-04-01T00:00:00Z"),
    ] {
        create_note(&ada, "bo", text, time).await;
    }
    let completed = "Completed Security, marked complete by ada Example";
    let all_entries = ["Ahead", "Note 18", "Note 11", "Logged in", "Note 1", completed];
    for (query, expected) in [
        ("", &all_entries[..]),
        ("kind=manual,system", &all_entries),
        ("kind=system&kind=manual", &all_entries),
        ("include_deactivated=false", &all_entries),
        ("user=bo&user=cy", &all_entries),
        ("include_sub_teams=false", &all_entries),
        ("kind=system", &["Logged in", completed]),
        ("kind=manual", &["Ahead", "Note 18", "Note 11", "Note 1"]),
        // Filters of time also apply to notes.
        ("from=2026-03-10&to=2026-03-18", &["Note 11", "Logged in"]),
        ("to=2026-03-12&tz=Europe%2FBerlin", &["Logged in", "Note 1", completed]),
        ("from=2026-03-18T09:30:00Z&to=2026-04-01T00:00:00Z", &["Note 18"]),
        ("period=today", &["Note 18"]),
        ("period=today&kind=system", &[]),
        // Any other filter excludes notes.
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
        assert_eq!(list_descriptions(&ada, query).await, expected, "{query}");
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
        assert_eq!(refused.error_parameters(), wrong.into_iter().map(str::to_owned).collect(), "{query}");
    }
}

#[apply(both_databases)]
async fn each_caller_reads_only_permitted_entries(server: &TestServer) {
    let ada = set_up(server).await;
    post_batch(&ada, &[activity_of_bo(1, "logged_in", in_march(1, 9))]).await;
    create_note(&ada, "bo", "A note", "2026-03-02T09:00:00Z").await;
    let key = server.credential("acme", SCOPES).await;
    let claims = |claims: Value| server.person_of("acme", claims);
    let person = |role: &str, user: &str| server.person(role, user);
    let manager_with_reports =
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
            (manager_with_reports("dee", json!({"direct": ["bo"]})), Some(BOTH), "a manager by the token"),
            (
                manager_with_reports("dee", json!({"indirect": ["bo"]})),
                top,
                "an indirect manager by the token",
            ),
            (
                manager_with_reports("mo", json!({"direct": ["cy"]})),
                none,
                "the manager, but not by the token",
            ),
            (person("manager", "cy"), none, "a report of the user, as a manager"),
            (person("learner", "cy"), none, "a colleague"),
            // Callers that may read only the log.
            (person("reporter", "dee"), Some(LOG), "a reporter"),
            (person("learning_designer", "dee"), Some(LOG), "a learning designer"),
            (
                claims(json!({"sub": "dee", "role": "curator", "permissions": ["reporting"]})),
                Some(LOG),
                "a curator with reporting",
            ),
            (person("curator", "dee"), none, "a curator"),
            (key.clone(), Some(LOG), "a credential with every scope"),
            // The user, in every role.
            (person("learner", "bo"), Some(LOG), "the user"),
            (person("manager", "bo"), Some(LOG), "the user as a manager"),
            (
                manager_with_reports("bo", json!({"direct": ["bo"]})),
                Some(LOG),
                "the user as a manager of themselves by the token",
            ),
            (person("hr", "bo"), Some(LOG), "the user as hr"),
            (person("admin", "bo"), Some(LOG), "the user as admin"),
            (person("owner", "bo"), Some(LOG), "the user as owner"),
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
            assert_eq!(list_descriptions(&caller, "").await, expected, "{who}, indirect: {indirect}");
            assert_eq!(list_descriptions(&caller, "kind=system").await, LOG, "{who}");
            assert_eq!(
                list_descriptions(&caller, "kind=manual").await,
                expected[..expected.len() - 1],
                "{who}"
            );
            assert_eq!(
                list_descriptions(&caller, "user=bo&from=2026-03-02").await,
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
async fn timeline_contains_all_actors_of_the_user(server: &TestServer) {
    let ada = set_up(server).await;
    assert_eq!(list_descriptions(&ada, "").await, Vec::<String>::new());
    // The second actor becomes an identifier of the user later.
    post_batch(&ada, &[activity_of_bo(1, "logged_in", in_march(1, 9))]).await;
    let key = server.credential("acme", SCOPES).await;
    let statement_by_mail = statement(
        mailbox("bo@example.org"),
        "http://adlnet.gov/expapi/verbs/experienced",
        "https://example.org/handbook",
    )
    .set("timestamp", in_march(2, 9));
    key.post("/xapi/statements", &statement_by_mail).await.expect(200);
    create_note(&ada, "bo", "A note", "2026-03-01T12:00:00Z").await;
    assert_eq!(list_descriptions(&ada, "").await, ["A note", "Logged in"]);
    ada.put("/v1/users/bo", &user("bo").set("manager", "mo").set("email", "bo@example.org"))
        .await
        .expect(200);
    let complete = list_descriptions(&ada, "").await;
    assert_eq!((complete.len(), &complete[1..]), (3, &["A note".to_owned(), "Logged in".to_owned()][..]));
    // The timeline of a deactivated user is complete. A voided activity disappears and the notes stay.
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(list_descriptions(&ada, "").await, complete);
    assert_eq!(list_descriptions(&server.person("manager", "mo"), "").await, complete);
    ada.delete(&format!("/v1/activities/{}", id(1))).await.expect(204);
    assert_eq!(list_descriptions(&ada, "").await, complete[..2]);
}
