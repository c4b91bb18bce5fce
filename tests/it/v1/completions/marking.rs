//! Tests of outcomes and of the stored records.

use rollbook::base::clock::Timestamp;
use serde_json::{Value, json};

use super::{activities_of, ada, count_stored, expected_outcomes, mark, mark_request, outcomes, set_up};
use crate::support::builders::{Body, content, statement, team, user};
use crate::support::http::encode_segment;
use crate::support::{TestServer, apply, both_databases};
use crate::v1::activities::{member_values, read_log};

/// The people of [`set_up`].
const PEOPLE: &[&str] = &["ada", "bo", "gil", "cy", "dee", "eve"];

#[apply(both_databases)]
async fn each_user_is_reported_once(server: &TestServer) {
    let admin = set_up(server).await;
    let body = mark_request(&["eve", "ghost", "bo", "eve"])
        .set("teams", json!(["sales", "nowhere"]))
        .set("include_sub_teams", true)
        .set("groups", json!(["aid", "none"]));
    let report = admin.post("/v1/completions", &body).await.expect(200).json();
    // First the given users in the given order, then the members of teams and groups by id.
    assert_eq!(
        outcomes(&report),
        expected_outcomes(&[
            ("eve", "created"),
            ("ghost", "not_found"),
            ("bo", "created"),
            ("cy", "created"),
            ("dee", "deactivated"),
            ("gil", "created"),
        ])
    );
    for result in report["results"].as_array().expect("results") {
        assert_eq!(result.as_object().expect("an object").len(), 3, "{result}");
        match result["activity"].as_str() {
            Some(id) => {
                let row = admin.get(&format!("/v1/activities/{id}")).await.expect(200).json();
                assert_eq!((&row["user"]["id"], &row["content"]["id"]), (&result["user"], &json!("fire")));
                assert_eq!(result["outcome"], "created");
            }
            None => assert_ne!(result["outcome"], "created"),
        }
    }
    assert_eq!(count_stored(server, PEOPLE).await, (4, 4, 0));

    let second = admin.post("/v1/completions", &body).await.expect(200).json();
    assert_eq!(
        outcomes(&second),
        expected_outcomes(&[
            ("eve", "already_completed"),
            ("ghost", "not_found"),
            ("bo", "already_completed"),
            ("cy", "already_completed"),
            ("dee", "deactivated"),
            ("gil", "already_completed"),
        ])
    );
    assert!(
        second["results"].as_array().expect("results").iter().all(|result| result["activity"] == Value::Null)
    );
    assert_eq!(count_stored(server, PEOPLE).await, (4, 4, 0));
}

#[apply(both_databases)]
async fn team_includes_sub_teams_only_on_request(server: &TestServer) {
    let admin = set_up(server).await;
    let body =
        |team: &str| Body::default().set("content", "fire").set("teams", json!([team])).set("dry_run", true);
    assert_eq!(
        mark(&admin, &body("sales")).await,
        expected_outcomes(&[("bo", "created"), ("eve", "created")])
    );
    assert_eq!(
        mark(&admin, &body("north")).await,
        expected_outcomes(&[("cy", "created"), ("dee", "deactivated")])
    );
    assert_eq!(mark(&admin, &body("nowhere")).await, expected_outcomes(&[]));
    let group =
        Body::default().set("content", "fire").set("groups", json!(["aid"])).set("include_sub_teams", false);
    assert_eq!(
        mark(&admin, &group).await,
        expected_outcomes(&[("bo", "created"), ("eve", "created"), ("gil", "created")])
    );
}

#[apply(both_databases)]
async fn mark_names_its_author(server: &TestServer) {
    let admin = set_up(server).await;
    let body = mark_request(&["bo"]).set("happened_at", "2026-02-14T10:00:00.5009+01:00");
    let report = ada(server).post("/v1/completions", &body).await.expect(200).json();
    let id = report["results"][0]["activity"].as_str().expect("an activity").to_owned();

    let row = admin.get(&format!("/v1/activities/{id}")).await.expect(200).json();
    assert_eq!(row["user"]["id"], "bo");
    assert_eq!((&row["action"]["key"], &row["completed"]), (&json!("completed"), &json!(true)));
    assert_eq!(row["happened_at"], "2026-02-14T09:00:00.500Z");
    assert_eq!((&row["origin"], &row["comment"]), (&json!("manual"), &Value::Null));
    assert_eq!(row["recorded_by"], json!({"id": "ada", "name": "Ada Obi"}));
    assert_eq!(row["description"], "Completed Fire Safety, marked complete by Ada Obi");
    // A mark has no score, and therefore no success.
    assert_eq!((&row["result"]["completion"], &row["result"]["success"]), (&json!(true), &Value::Null));
    assert_eq!(row["result"]["score"]["percent"], Value::Null);

    let account = |name: &str| json!({"homePage": "https://rollbook.invalid/acme", "name": name});
    let stored = admin.get(&format!("/xapi/statements?statementId={id}")).await.expect(200).json();
    assert_eq!(
        stored["actor"],
        json!({"objectType": "Agent", "name": "bo Example", "account": account("bo")})
    );
    assert_eq!(
        stored["verb"],
        json!({"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "Completed"}})
    );
    assert_eq!(stored["object"]["definition"], Value::Null);
    assert_eq!(stored["result"], json!({"completion": true}));
    assert_eq!(
        stored["context"],
        json!({"instructor": {"objectType": "Agent", "name": "Ada Obi", "account": account("ada")}})
    );
    assert_eq!(stored["authority"]["account"], account("ada"));
    assert_eq!(stored["timestamp"], "2026-02-14T09:00:00.500Z");
    // The instructor is found as a related agent, but has no activity.
    let agent = encode_segment(&json!({"account": account("ada")}).to_string());
    let activity =
        admin.get(&format!("/xapi/statements?related_agents=true&agent={agent}")).await.expect(200).json();
    assert_eq!(activity["statements"][0]["id"], json!(id));
    assert_eq!(activities_of(server, "ada").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn author_may_be_unknown_or_the_user_themselves(server: &TestServer) {
    let admin = set_up(server).await;
    mark(&admin, &mark_request(&["bo"])).await;
    let marked = activities_of(server, "bo").await;
    assert_eq!(marked[0]["recorded_by"], json!({"id": "root", "name": null}));
    assert_eq!(marked[0]["description"], "Completed Fire Safety, marked complete by root");
    // An administrator may mark themselves.
    let eve = server.person("owner", "eve");
    assert_eq!(mark(&eve, &mark_request(&["eve"])).await, expected_outcomes(&[("eve", "created")]));
    assert_eq!(activities_of(server, "eve").await[0]["description"], "Completed Fire Safety");
}

#[apply(both_databases)]
async fn demands_of_the_content_apply(server: &TestServer) {
    let admin = set_up(server).await;
    let contents = [
        content("film", "item").set("content_type", "video").set("title", "Ladders"),
        content("first-aid", "event")
            .set("title", "First Aid")
            .set("expires_after", "P1Y")
            .set("pass_mark", 80)
            .set("certificate", json!({"name": "First aider", "expires_after": "P2Y"})),
        content("old", "item").set("title", "Old").set("archived_at", "2025-01-01T00:00:00Z"),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let elsewhere = "https://elsewhere.example/course?a=1";
    let launched = statement(
        json!({"mbox": "mailto:x@example.org"}),
        "http://adlnet.gov/expapi/verbs/launched",
        elsewhere,
    );
    server.credential("acme", &["all"]).await.post("/xapi/statements", &launched).await.expect(200);
    for content in ["film", "first-aid", "old", elsewhere] {
        let body = mark_request(&["bo"]).set("content", content).set("happened_at", "2026-02-14T09:00:00Z");
        assert_eq!(mark(&admin, &body).await, expected_outcomes(&[("bo", "created")]), "{content}");
    }
    let rows = activities_of(server, "bo").await;
    assert_eq!(member_values(&rows, "action.key"), ["watched", "completed", "completed", "completed"]);
    assert_eq!(member_values(&rows, "completed"), vec![json!(true); 4]);
    assert_eq!(rows[0]["description"], "Watched Ladders, marked complete by root");
    assert_eq!(rows[1]["expired_at"], "2027-02-14T09:00:00.000Z");
    assert_eq!(
        rows[1]["certificate"],
        json!({
            "name": "First aider", "awarded_at": "2026-02-14T09:00:00.000Z", "expires_at": "2028-02-14T09:00:00.000Z"
        })
    );
    assert_eq!(rows[1]["result"]["success"], Value::Null);
    assert_eq!(rows[2]["description"], "Completed Old (Archived), marked complete by root");
    assert_eq!(rows[3]["content"]["iri"], elsewhere);
    assert_eq!(
        admin.get(&format!("/v1/contents/{}", encode_segment(elsewhere))).await.expect(200).json()["title"],
        Value::Null
    );
}

#[apply(both_databases)]
async fn dry_run_reports_outcomes_and_stores_nothing(server: &TestServer) {
    let admin = set_up(server).await;
    mark(&admin, &mark_request(&["gil"])).await;
    let before = count_stored(server, PEOPLE).await;
    let body = mark_request(&["ghost", "bo"])
        .set("teams", json!(["sales"]))
        .set("include_sub_teams", true)
        .set("groups", json!(["aid"]))
        .set("note", "Was there");
    let planned = admin.post("/v1/completions", &body.clone().set("dry_run", true)).await.expect(200).json();
    assert_eq!(count_stored(server, PEOPLE).await, before);
    let mut outcome_report = admin.post("/v1/completions", &body).await.expect(200).json();
    for result in outcome_report["results"].as_array_mut().expect("results") {
        assert_eq!(result["activity"].is_string(), result["outcome"] == "created", "{result}");
        result["activity"] = Value::Null;
    }
    assert_eq!(planned, outcome_report);
    assert_eq!(outcomes(&outcome_report).iter().filter(|(_, outcome)| outcome == "created").count(), 3);
    // The note is about the completed `gil` and the deactivated `dee` as well.
    assert_eq!(count_stored(server, PEOPLE).await, (before.0 + 3, before.1 + 3, before.2 + 5));
}

#[apply(both_databases)]
async fn note_is_visible_only_to_callers_who_may_read_notes(server: &TestServer) {
    let admin = set_up(server).await;
    let body = mark_request(&["bo"])
        .set("note", " Was at the live session ")
        .set("happened_at", "2026-02-14T09:00:00Z");
    assert_eq!(mark(&ada(server), &body).await, expected_outcomes(&[("bo", "created")]));
    let hr = server.person("hr", "helen");
    let notes = hr.list("/v1/users/bo/notes", "notes").await;
    assert_eq!(member_values(&notes, "text"), [" Was at the live session "]);
    assert_eq!(notes[0]["happened_at"], "2026-02-14T09:00:00.000Z");
    assert_eq!(notes[0]["created_by"], json!({"id": "ada", "name": "Ada Obi"}));
    assert_eq!(notes[0]["updated_by"], notes[0]["created_by"]);
    assert_eq!(notes[0]["created_at"], "2026-03-18T10:17:23.000Z");
    let timeline = hr.list("/v1/users/bo/timeline", "entries").await;
    assert_eq!(
        member_values(&timeline, "kind"),
        ["manual", "system"],
        "the note was recorded after the completion"
    );
    assert_eq!(member_values(&timeline, "performed_by.id"), ["ada", "ada"]);

    // The user reads the completion, but not the note. The log and the statements do not contain the note.
    let bo = server.person("learner", "bo");
    assert_eq!(member_values(&bo.list("/v1/users/bo/timeline", "entries").await, "kind"), ["system"]);
    for path in ["/v1/me/activities", "/v1/users/bo/timeline", "/xapi/statements"] {
        assert!(!bo.get(path).await.expect(200).text().contains("live session"), "{path}");
    }
    for path in [
        "/v1/activities",
        "/v1/activities/export.csv?columns=full",
        "/v1/activities/export.ndjson",
        "/xapi/statements",
    ] {
        assert!(!admin.get(path).await.expect(200).text().contains("live session"), "{path}");
    }
}

#[apply(both_databases)]
async fn note_is_kept_in_every_outcome_but_not_found(server: &TestServer) {
    let admin = set_up(server).await;
    mark(&admin, &mark_request(&["gil"]).set("happened_at", "2026-02-01T09:00:00Z")).await;
    let body = mark_request(&["bo", "gil", "dee", "ghost"])
        .set("note", "Was at the live session")
        .set("happened_at", "2026-02-14T09:00:00Z");
    let expected =
        [("bo", "created"), ("gil", "already_completed"), ("dee", "deactivated"), ("ghost", "not_found")];
    let before = count_stored(server, PEOPLE).await;
    assert_eq!(mark(&admin, &body.clone().set("dry_run", true)).await, expected_outcomes(&expected));
    assert_eq!(count_stored(server, PEOPLE).await, before);
    assert_eq!(mark(&admin, &body).await, expected_outcomes(&expected));
    let hr = server.person("hr", "helen");
    for person in ["bo", "gil", "dee"] {
        let notes = hr.list(&format!("/v1/users/{person}/notes"), "notes").await;
        assert_eq!(member_values(&notes, "text"), ["Was at the live session"], "{person}");
        assert_eq!(notes[0]["happened_at"], "2026-02-14T09:00:00.000Z", "{person}");
        assert_eq!(notes[0]["created_by"]["id"], "root", "{person}");
    }
    // A repeated request writes no note twice. Another note is a new one.
    mark(&admin, &body).await;
    assert_eq!(count_stored(server, PEOPLE).await.2, before.2 + 3);
    mark(&admin, &body.clone().set("note", "And at the second one")).await;
    assert_eq!(count_stored(server, PEOPLE).await, (before.0 + 1, before.1 + 1, before.2 + 6));
    // Without a time, a later repetition is the same request.
    let body = mark_request(&["bo", "dee"]).set("note", "Today");
    mark(&admin, &body).await;
    let before = count_stored(server, PEOPLE).await;
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 5_000));
    mark(&admin, &body).await;
    assert_eq!(count_stored(server, PEOPLE).await, before);
    // A manager leaves no note about other people.
    let answer = mark(&ada(server), &mark_request(&["eve", "gil"]).set("note", "Not mine")).await;
    assert_eq!(answer, expected_outcomes(&[("eve", "not_found"), ("gil", "already_completed")]));
    assert_eq!(hr.list("/v1/users/eve/notes", "notes").await, Vec::<Value>::new());
    assert_eq!(hr.list("/v1/users/gil/notes", "notes").await.len(), 3);
}

#[apply(both_databases)]
async fn deleted_mark_can_be_marked_again(server: &TestServer) {
    let admin = set_up(server).await;
    let report = admin.post("/v1/completions", &mark_request(&["bo"])).await.expect(200).json();
    let id = report["results"][0]["activity"].as_str().expect("an activity");
    admin.delete(&format!("/v1/activities/{id}")).await.expect(204);
    assert_eq!(mark(&admin, &mark_request(&["bo"])).await, expected_outcomes(&[("bo", "created")]));
    assert_eq!(mark(&admin, &mark_request(&["bo"])).await, expected_outcomes(&[("bo", "already_completed")]));
    assert_eq!(activities_of(server, "bo").await.len(), 1);
}

#[apply(both_databases)]
async fn invalid_requests_are_refused_and_store_nothing(server: &TestServer) {
    let admin = set_up(server).await;
    for (body, places) in [
        (json!([]), vec![""]),
        (json!({}), vec!["/content", ""]),
        (json!({"content": "fire"}), vec![""]),
        (json!({"content": "fire", "users": [], "teams": [], "groups": null}), vec![""]),
        (json!({"content": "fire", "users": "bo"}), vec!["/users"]),
        (json!({"content": "fire", "users": ["bo", "", 7]}), vec!["/users/1", "/users/2"]),
        (json!({"content": ["fire"], "users": ["bo"], "score": 5}), vec!["/score", "/content"]),
        (json!({"content": "fire", "users": ["bo"], "note": "  "}), vec!["/note"]),
        (json!({"content": "fire", "users": ["bo"], "note": "x".repeat(10_001)}), vec!["/note"]),
        (json!({"content": "fire", "users": ["bo"], "happened_at": "2026-02-14"}), vec!["/happened_at"]),
        // More than five minutes after the server's time.
        (
            json!({"content": "fire", "users": ["bo"], "happened_at": "2026-03-18T10:22:24Z"}),
            vec!["/happened_at"],
        ),
        (json!({"content": "water", "users": ["bo"]}), vec!["/content"]),
        (json!({"content": "water", "users": ["bo"], "dry_run": true}), vec!["/content"]),
        // The account home page is not a content, although a statement referred to it.
        (json!({"content": "https://rollbook.invalid/acme", "users": ["bo"]}), vec!["/content"]),
    ] {
        let answer = admin.post("/v1/completions", &body).await.expect(400);
        assert_eq!(answer.json()["code"], "invalid-body");
        assert_eq!(answer.error_pointers(), places, "{body}");
    }
    admin.post("/v1/completions?dry_run=true", &mark_request(&["bo"])).await.expect(400);
    admin.get("/v1/completions").await.expect(405);
    assert_eq!(count_stored(server, PEOPLE).await, (0, 0, 0));
    // Clocks may differ by five minutes.
    let body = mark_request(&["bo"]).set("happened_at", "2026-03-18T10:22:23Z");
    assert_eq!(mark(&admin, &body).await, expected_outcomes(&[("bo", "created")]));
}

#[apply(both_databases)]
async fn request_has_at_most_10000_people(server: &TestServer) {
    let admin = set_up(server).await;
    let unknown_users: Vec<String> = (0..9_999).map(|number| format!("ghost{number}")).collect();
    let body = |users: Vec<String>| Body::default().set("content", "fire").set("users", users);
    let with = |more: &[&str]| {
        body(unknown_users.iter().cloned().chain(more.iter().map(|id| (*id).to_owned())).collect())
    };
    for too_many in [
        with(&["bo", "gil"]),
        // A member of the group that is missing in the list of users.
        with(&["bo"]).set("groups", json!(["aid"])),
        with(&["bo"]).set("teams", json!(["sales"])).set("dry_run", true),
    ] {
        let answer = admin.post("/v1/completions", &too_many).await.expect(413);
        assert_eq!(answer.json()["code"], "batch-too-long");
    }
    admin.post("/v1/completions", &with(&["bo", "gil"]).set("content", "water")).await.expect(400);
    assert_eq!(read_log(&admin).await, Vec::<Value>::new());
    // A user given twice counts once.
    let outcomes_of_all =
        mark(&admin, &with(&["cy", "cy"]).set("teams", json!(["north"])).set("teams", json!([]))).await;
    assert_eq!(outcomes_of_all.len(), 10_000);
    assert_eq!(outcomes_of_all.last(), Some(&("cy".to_owned(), "created".to_owned())));
    assert_eq!(read_log(&admin).await.len(), 1);
}

#[apply(both_databases)]
async fn many_people_are_marked_in_one_request(server: &TestServer) {
    let admin = set_up(server).await;
    admin.put("/v1/teams/crowd", &team("crowd")).await.expect(201);
    let names: Vec<String> = (0..1_100).map(|number| format!("p{number:04}")).collect();
    for part in names.chunks(1_000) {
        let users: Vec<Body> = part.iter().map(|name| user(name).set("teams", json!(["crowd"]))).collect();
        admin.post("/v1/users/batch", &users).await.expect(200);
    }
    // One of them has completed it already.
    mark(&admin, &mark_request(&["p0600"])).await;
    let body = Body::default().set("content", "fire").set("teams", json!(["crowd"])).set("note", "Together");
    let report = admin.post("/v1/completions", &body).await.expect(200).json();
    let results = outcomes(&report);
    assert_eq!(results.iter().map(|(user, _)| user).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    assert_eq!(results.iter().filter(|(_, outcome)| outcome == "created").count(), 1_099);
    assert_eq!(results[600].1, "already_completed");
    let rows = admin.list("/v1/activities?sort=happened_at&limit=1000", "activities").await;
    let mut people: Vec<String> =
        member_values(&rows, "user.id").iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
    people.sort();
    assert_eq!(people, names, "one activity for each user");
    assert_eq!(count_stored(server, &["p0000", "p0499", "p0500", "p0600", "p1099"]).await, (1_100, 1_100, 5));
    let activity = report["results"][500]["activity"].as_str().expect("an activity");
    assert_eq!(
        admin.get(&format!("/v1/activities/{activity}")).await.expect(200).json()["user"]["id"],
        "p0500"
    );
}
