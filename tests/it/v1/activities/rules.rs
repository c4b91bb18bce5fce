//! Tests of the rules that derive an activity from a record
//! (`docs/specification.md#from-record-to-activity`).

use serde_json::{Value, json};

use super::{
    advance_clock, id, in_march, member_values, numbered_activity, post_batch, read_log, record_numbers,
    set_up,
};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::voiding_statement;
use crate::support::{TestServer, apply, both_databases};

fn adl_verb(name: &str) -> String {
    format!("http://adlnet.gov/expapi/verbs/{name}")
}

/// Creates the contents that the rules distinguish.
async fn put_contents(admin: &Caller) {
    let mut batch = vec![
        content("quiz", "quiz").set("pass_mark", 80).set("time_limit", "PT10M"),
        content("event", "event"),
        content("plain", "item"),
    ];
    for kind in ["video", "article", "book", "document", "audio", "course"] {
        batch.push(content(kind, "item").set("content_type", kind));
    }
    admin.post("/v1/contents/batch", &batch).await.expect(200);
}

async fn find_session_events(caller: &Caller) -> Vec<(usize, String)> {
    let rows = caller
        .list("/v1/activities?action=logged_in,logged_out,visited&sort=happened_at", "activities")
        .await;
    let keys = member_values(&rows, "action.key");
    record_numbers(&rows)
        .into_iter()
        .zip(keys.iter().map(|key| key.as_str().expect("a key").to_owned()))
        .collect()
}

fn describe_events(events: &[(usize, String)]) -> String {
    let words: Vec<String> = events.iter().map(|(n, key)| format!("{n} {key}")).collect();
    words.join(", ")
}

fn session_activity(n: usize, action: &str, hour: u32) -> Body {
    activity("ada", action).set("id", id(n)).set("happened_at", in_march(1, hour))
}

/// The rules for `action`, `success` and `completed`.
#[apply(both_databases)]
async fn verb_result_and_pass_mark_decide_the_action(server: &TestServer) {
    let admin = set_up(server).await;
    put_contents(&admin).await;
    let t = json!(true);
    let f = json!(false);
    let none = Value::Null;
    let cases = [
        // The verb decides before the result, and the result before the pass mark.
        (adl_verb("passed"), "quiz", json!({"success": false}), "completed", &t, true),
        (adl_verb("passed"), "quiz", json!({"score": 10}), "completed", &t, true),
        (adl_verb("failed"), "quiz", json!({"success": true, "score": 100}), "failed", &f, false),
        (adl_verb("completed"), "quiz", json!({"success": true, "score": 10}), "completed", &t, true),
        (adl_verb("completed"), "quiz", json!({"score": 80}), "completed", &t, true),
        (adl_verb("mastered"), "quiz", json!({"score": 79}), "failed", &f, false),
        ("https://w3id.org/xapi/adl/verbs/waived".to_owned(), "quiz", json!({}), "completed", &none, true),
        // The rules use the exact score: this one is shown as 80 percent.
        (adl_verb("completed"), "quiz", json!({"score": {"scaled": 0.79999}}), "failed", &f, false),
        (adl_verb("completed"), "plain", json!({"score": 10}), "completed", &none, true),
        (adl_verb("experienced"), "quiz", json!({"score": 90}), "viewed", &none, false),
        (adl_verb("answered"), "quiz", json!({"success": false}), "answered", &f, false),
        // A result without success is `failed`.
        (adl_verb("completed"), "plain", json!({"success": false}), "failed", &f, false),
        (adl_verb("completed"), "video", json!({"success": false}), "failed", &f, false),
        // A completion is named by the content type.
        (adl_verb("completed"), "video", json!({}), "watched", &none, true),
        (adl_verb("completed"), "article", json!({}), "read", &none, true),
        (adl_verb("completed"), "book", json!({}), "read", &none, true),
        (adl_verb("completed"), "document", json!({"success": true}), "read", &t, true),
        (adl_verb("passed"), "audio", json!({}), "listened_to", &t, true),
        (adl_verb("completed"), "course", json!({}), "completed", &none, true),
        // The flag `completed`.
        (adl_verb("attended"), "event", json!({}), "attended", &none, true),
        (adl_verb("attempted"), "quiz", json!({"completion": true}), "started", &none, true),
        (adl_verb("attempted"), "quiz", json!({"completion": false}), "started", &none, false),
        (adl_verb("failed"), "quiz", json!({"completion": true}), "failed", &f, false),
        (adl_verb("completed"), "plain", json!({"completion": false}), "completed", &none, true),
        ("http://activitystrea.ms/schema/1.0/watch".to_owned(), "event", json!({}), "watched", &none, true),
    ];
    let batch: Vec<Body> = cases
        .iter()
        .enumerate()
        .map(|(n, (verb, content, result, ..))| {
            Body::default()
                .set("id", id(n))
                .set("user", "ada")
                .set("verb", verb.as_str())
                .set("content", *content)
                .set("result", result.clone())
                .set("happened_at", in_march(1, 1))
        })
        .collect();
    post_batch(&admin, &batch).await;
    let rows = read_log(&admin).await;
    assert_eq!(rows.len(), cases.len());
    for (row, (verb, content, result, action, success, completed)) in rows.iter().zip(&cases) {
        let context = format!("{verb} {content} {result}: {row}");
        assert_eq!(row["action"]["key"], *action, "{context}");
        assert_eq!(row["result"].get("success").unwrap_or(&Value::Null), *success, "{context}");
        assert_eq!(row["completed"], *completed, "{context}");
    }
    assert_eq!(rows[7]["result"]["score"]["percent"], 80, "79.999 is shown as 80, but fails");
    // The filters find a completion by the derived action and by the flag.
    let found = async |query: &str| {
        record_numbers(&admin.list(&format!("/v1/activities?sort=happened_at&{query}"), "activities").await)
    };
    assert_eq!(found("action=watched").await, [13, 24]);
    assert_eq!(found("action=completed&content=video&content=audio").await, Vec::<usize>::new());
    let flagged: Vec<usize> = (0..cases.len()).filter(|n| cases[*n].5).collect();
    assert_eq!(found("completed=true").await, flagged);
    let passed: Vec<usize> = (0..cases.len()).filter(|n| *cases[*n].4 == t).collect();
    assert_eq!(found("result=passed").await, passed);
}

/// The rules for scores and times.
#[apply(both_databases)]
async fn scores_and_times_are_normalised(server: &TestServer) {
    let admin = set_up(server).await;
    put_contents(&admin).await;
    let scores = [
        (json!(45), json!(45)),
        (json!(33.333), json!(33.33)),
        (json!(66.666), json!(66.67)),
        (json!(50.5), json!(50.5)),
        (json!({"scaled": -0.5}), json!(-50)),
        (json!({"scaled": 0.57}), json!(57)),
        (json!({"scaled": 1, "raw": 3, "min": 0, "max": 30}), json!(100)),
        (json!({"raw": 5, "min": 0, "max": 10}), json!(50)),
        (json!({"raw": -5, "min": -10, "max": 0}), json!(50)),
        (json!({"raw": 2, "min": 1, "max": 4}), json!(33.33)),
        (json!({"raw": 100}), Value::Null),
        (json!({"raw": 45, "min": 10}), Value::Null),
        (json!({"raw": 45, "max": 90}), json!(50)),
        (json!({"raw": 100.5}), Value::Null),
        (json!({"raw": -1}), Value::Null),
        (json!({"min": 0, "max": 10}), Value::Null),
    ];
    let batch: Vec<Body> = scores
        .iter()
        .enumerate()
        .map(|(n, (score, _))| {
            numbered_activity(n, "graded")
                .set("result", json!({"score": score}))
                .set("happened_at", in_march(1, 1))
        })
        .collect();
    post_batch(&admin, &batch).await;
    for (row, (score, percent)) in read_log(&admin).await.iter().zip(&scores) {
        assert_eq!(row["result"]["score"]["percent"], *percent, "{score}");
    }

    let times = [
        ("PT0S", 0, "0 seconds", false),
        ("PT45S", 45, "45 seconds", false),
        ("PT4M60.9S", 300, "5 minutes", false),
        ("PT10M", 600, "10 minutes", false),
        ("PT10M0.9S", 600, "10 minutes", false),
        ("PT10M1S", 601, "10 minutes 1 second", true),
        ("PT1H5M59S", 3959, "1 hour 5 minutes", true),
        ("P1DT1S", 86401, "1 day", true),
    ];
    for (n, (time, seconds, text, exceeded)) in times.into_iter().enumerate() {
        let body = numbered_activity(100 + n, "completed")
            .set("content", "quiz")
            .set("result", json!({"total_time": time}));
        let created = admin.post("/v1/activities", &body).await.expect(201).json();
        assert_eq!(created["result"]["total_time"], json!({"seconds": seconds, "text": text}), "{time}");
        assert_eq!(created["result"]["time_limit"], json!({"seconds": 600, "text": "10 minutes"}), "{time}");
        assert_eq!(created["result"]["time_limit_exceeded"], exceeded, "{time}");
    }
    let body =
        numbered_activity(200, "completed").set("content", "quiz").set("result", json!({"success": true}));
    let created = admin.post("/v1/activities", &body).await.expect(201).json();
    assert_eq!(
        (&created["result"]["total_time"], &created["result"]["time_limit_exceeded"]),
        (&Value::Null, &Value::Null)
    );
}

/// The rules for expiry and certificates.
#[apply(both_databases)]
async fn completions_expire_and_award_certificates(server: &TestServer) {
    let admin = set_up(server).await;
    let c = content("c", "quiz")
        .set("expires_after", "P1M")
        .set("pass_mark", 50)
        .set("certificate", json!({"name": "Warden", "expires_after": "P1Y"}));
    admin.put("/v1/contents/c", &c).await.expect(201);
    let on = |n: usize, action: &str, when: Value| {
        numbered_activity(n, action).set("content", "c").set("happened_at", when)
    };
    post_batch(
        &admin,
        &[
            on(0, "completed", json!("2026-01-31T12:00:00Z")),
            on(1, "completed", in_march(1, 0)),
            on(2, "viewed", in_march(1, 0)),
            on(3, "completed", in_march(1, 0)).set("result", json!({"score": 10})),
            on(4, "completed", in_march(1, 0))
                .set("expired_at", in_march(18, 10))
                .set("certificate", json!({"name": "Chief"})),
            on(5, "completed", in_march(1, 0)).set("certificate", json!({"expires_at": in_march(20, 0)})),
            on(6, "received_certificate_for", in_march(1, 0)),
            numbered_activity(7, "received_certificate_for").set("happened_at", in_march(1, 0)),
            on(8, "viewed", in_march(1, 0)).set("expired_at", in_march(18, 11)),
        ],
    )
    .await;
    let rows = read_log(&admin).await;
    assert_eq!(rows.len(), 9, "a completion does not add a row for its certificate");
    let certificate = |name: Value, awarded: &str, expires: Value| json!({"name": name, "awarded_at": awarded, "expires_at": expires});
    let first = "2026-03-01T00:00:00.000Z";
    let expected = [
        (
            json!("2026-02-28T12:00:00.000Z"),
            true,
            certificate(json!("Warden"), "2026-01-31T12:00:00.000Z", json!("2027-01-31T12:00:00.000Z")),
        ),
        (
            json!("2026-04-01T00:00:00.000Z"),
            false,
            certificate(json!("Warden"), first, json!("2027-03-01T00:00:00.000Z")),
        ),
        (Value::Null, false, Value::Null),
        (Value::Null, false, Value::Null),
        (
            json!("2026-03-18T10:00:00.000Z"),
            true,
            certificate(json!("Chief"), first, json!("2027-03-01T00:00:00.000Z")),
        ),
        (
            json!("2026-04-01T00:00:00.000Z"),
            false,
            certificate(json!("Warden"), first, json!("2026-03-20T00:00:00.000Z")),
        ),
        (Value::Null, false, certificate(json!("Warden"), first, json!("2027-03-01T00:00:00.000Z"))),
        (Value::Null, false, certificate(Value::Null, first, Value::Null)),
        (json!("2026-03-18T11:00:00.000Z"), false, Value::Null),
    ];
    for (n, (row, (expired_at, expired, certificate))) in rows.iter().zip(&expected).enumerate() {
        assert_eq!((&row["expired_at"], &row["expired"]), (expired_at, &json!(expired)), "{n}");
        assert_eq!(&row["certificate"], certificate, "{n}");
    }
    assert_eq!(rows[3]["action"]["key"], "failed");
    let found = async |query: &str| {
        record_numbers(&admin.list(&format!("/v1/activities?sort=happened_at&{query}"), "activities").await)
    };
    assert_eq!(found("expired=true").await, [0, 4]);
    assert_eq!(found("expired=false").await, [1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(found("has_certificate=true").await, [0, 1, 4, 5, 6, 7]);
    assert_eq!(found("certificate_expires_within=P2D").await, [5]);
    assert_eq!(found("certificate_expires_within=P11M").await, [0, 5]);
    // An expiry time is past only after it, not at it.
    advance_clock(server, 42 * 60 + 37);
    assert_eq!(found("expired=true").await, [0, 4], "at exactly this time it has not expired");
    advance_clock(server, 1);
    assert_eq!(found("expired=true").await, [0, 4, 8]);
    assert_eq!(found("certificate_expires_within=P2D&expired=true").await, Vec::<usize>::new());
}

/// Each arrival can change the earlier and later logins of the user.
#[apply(both_databases)]
async fn repeated_login_is_a_visit(server: &TestServer) {
    let admin = set_up(server).await;
    post_batch(
        &admin,
        &[
            session_activity(1, "logged_in", 10),
            session_activity(2, "logged_in", 12),
            session_activity(3, "logged_in", 14),
        ],
    )
    .await;
    assert_eq!(describe_events(&find_session_events(&admin).await), "1 logged_in, 2 visited, 3 visited");
    assert_eq!(record_numbers(&read_log(&admin).await), [1], "visits are listed only on request");
    assert_eq!(admin.get("/v1/activities?count=exact").await.expect(200).json()["total"], 1);
    let visits = admin.list("/v1/activities?action=visited", "activities").await;
    assert_eq!(member_values(&visits, "description"), ["Visited", "Visited"]);
    admin.get(&format!("/v1/activities/{}", id(2))).await.expect(200);
    let own = server.person("learner", "ada");
    assert_eq!(record_numbers(&own.list("/v1/me/activities", "activities").await), [1]);
    // A late logout, a logout of another user, and an activity between two logins.
    post_batch(
        &admin,
        &[
            session_activity(4, "logged_out", 13),
            session_activity(5, "logged_out", 11).set("user", "bo"),
            numbered_activity(6, "viewed").set("happened_at", in_march(1, 11)),
        ],
    )
    .await;
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "1 logged_in, 5 logged_out, 2 visited, 4 logged_out, 3 logged_in"
    );
    // An earlier login turns the first login into a visit.
    post_batch(&admin, &[session_activity(7, "logged_in", 9)]).await;
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "7 logged_in, 1 visited, 5 logged_out, 2 visited, 4 logged_out, 3 logged_in"
    );
    // Voiding the first login and the logout restores the former actions.
    admin.post("/xapi/statements", &voiding_statement(20, 7)).await.expect(200);
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "1 logged_in, 5 logged_out, 2 visited, 4 logged_out, 3 logged_in"
    );
    admin.delete(&format!("/v1/activities/{}", id(4))).await.expect(204);
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "1 logged_in, 5 logged_out, 2 visited, 3 visited"
    );
    // Events with the same time are ordered by statement id: 9 comes after 2 and before 3, and 0 before 3.
    post_batch(&admin, &[session_activity(9, "logged_out", 12)]).await;
    assert_eq!(
        describe_events(&find_session_events(&admin).await)
            .replace("9 logged_out, 2", "2 visited, 9 logged_out")
            .matches("3 logged_in")
            .count(),
        1
    );
    post_batch(&admin, &[session_activity(0, "logged_out", 14)]).await;
    let row = admin.get(&format!("/v1/activities/{}", id(3))).await.expect(200).json();
    assert_eq!(row["action"]["key"], "logged_in");
}

/// When a user gets the identifier of an actor, both have one sequence of sessions.
#[apply(both_databases)]
async fn identifier_moves_the_sessions_of_its_actor(server: &TestServer) {
    let admin = set_up(server).await;
    let unknown_actor = |n: usize, action: &str, hour: u32| {
        session_activity(n, action, hour).set("user", json!({"email": "cy@example.org"}))
    };
    post_batch(
        &admin,
        &[
            session_activity(1, "logged_in", 10),
            unknown_actor(2, "logged_in", 9),
            unknown_actor(3, "logged_out", 11),
            session_activity(4, "logged_in", 12),
        ],
    )
    .await;
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "2 logged_in, 1 logged_in, 3 logged_out, 4 visited"
    );
    let claim = json!({"identifiers": [mailbox("cy@example.org")]});
    admin.patch("/v1/users/ada", &claim).await.expect(200);
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "2 logged_in, 1 visited, 3 logged_out, 4 logged_in"
    );
    assert!(
        member_values(&read_log(&admin).await, "user.id").iter().all(|id| id == "ada"),
        "earlier activities belong to the user"
    );
    // Moving the identifier to another user changes the sessions of both users.
    let moved = json!({"identifiers": [mailbox("cy@example.org")], "from": null});
    admin.post("/v1/users/bo/identifiers", &moved).await.expect(200);
    assert_eq!(
        describe_events(&find_session_events(&admin).await),
        "2 logged_in, 1 logged_in, 3 logged_out, 4 visited"
    );
    assert_eq!(member_values(&read_log(&admin).await, "user.id"), ["bo", "ada", "bo"]);
}

/// Voiding works in any order of arrival.
#[apply(both_databases)]
async fn voided_record_is_removed_from_the_log(server: &TestServer) {
    let admin = set_up(server).await;
    post_batch(&admin, &[numbered_activity(1, "viewed"), numbered_activity(2, "completed")]).await;
    admin.post("/xapi/statements", &voiding_statement(11, 1)).await.expect(200);
    assert_eq!(record_numbers(&read_log(&admin).await), [2, 11], "the voiding is a record too");
    admin.get(&format!("/v1/activities/{}", id(1))).await.expect(404);
    // The voiding arrives first: the voided record is stored, but never appears in the log.
    admin.post("/xapi/statements", &voiding_statement(13, 3)).await.expect(200);
    let created = admin.post("/v1/activities", &numbered_activity(3, "viewed")).await.expect(201);
    assert_eq!(created.json(), json!({"id": id(3)}));
    admin.post("/v1/activities", &numbered_activity(3, "viewed")).await.expect(200);
    admin.get(&format!("/v1/activities/{}", id(3))).await.expect(404);
    assert_eq!(record_numbers(&read_log(&admin).await), [2, 11, 13]);
    // Both in one request, in either order.
    let target = |n: usize| {
        statement(mailbox("ada@example.org"), &adl_verb("completed"), "https://example.org/c")
            .set("id", id(n))
            .json()
    };
    admin.post("/xapi/statements", &json!([target(4), voiding_statement(14, 4)])).await.expect(200);
    admin.post("/xapi/statements", &json!([voiding_statement(15, 5), target(5)])).await.expect(200);
    assert_eq!(record_numbers(&read_log(&admin).await), [2, 11, 13, 14, 15]);
    // A voiding record cannot be voided, in any order.
    admin
        .post("/xapi/statements", &json!([voiding_statement(16, 11), voiding_statement(18, 17)]))
        .await
        .expect(200);
    admin.post("/xapi/statements", &voiding_statement(17, 2)).await.expect(200);
    assert_eq!(record_numbers(&read_log(&admin).await), [11, 13, 14, 15, 16, 18, 17]);
    // Voiding a record again changes nothing.
    admin.post("/xapi/statements", &voiding_statement(19, 2)).await.expect(200);
    assert_eq!(read_log(&admin).await.len(), 8);
}

/// A late record is judged by the demands that were in force at its time.
#[apply(both_databases)]
async fn demands_at_the_time_of_the_activity_apply(server: &TestServer) {
    let admin = set_up(server).await;
    let set = async |mark: Value, from: Value| {
        admin
            .patch("/v1/contents/fire", &json!({"pass_mark": mark, "effective_from": from}))
            .await
            .expect(200);
    };
    set(json!(50), in_march(10, 0)).await;
    set(json!(90), in_march(12, 0)).await;
    set(Value::Null, in_march(14, 0)).await;
    let attempt = |n: usize, day: u32| {
        numbered_activity(n, "completed")
            .set("result", json!({"score": 60}))
            .set("happened_at", in_march(day, 0))
    };
    post_batch(&admin, &[attempt(1, 1), attempt(2, 11), attempt(3, 12), attempt(4, 13), attempt(5, 14)])
        .await;
    let rows = read_log(&admin).await;
    assert_eq!(
        member_values(&rows, "action.key"),
        ["completed", "completed", "failed", "failed", "completed"]
    );
    assert_eq!(rows[4]["result"]["success"], Value::Null, "the content has no pass mark any more");
    // The current type of the content applies to all its activities.
    admin
        .patch("/v1/contents/fire", &json!({"type": "item", "content_type": "video", "title": "Hoses"}))
        .await
        .expect(200);
    let rows = read_log(&admin).await;
    assert_eq!(member_values(&rows, "action.key"), ["watched", "watched", "failed", "failed", "watched"]);
    assert_eq!(rows[0]["description"], "Watched Hoses scoring 60%, marked complete by root");
    assert_eq!(admin.list("/v1/activities?type=item&title=hoses", "activities").await.len(), 5);
    assert_eq!(admin.list("/v1/activities?type=quiz", "activities").await.len(), 0);
}

#[apply(both_databases)]
async fn description_is_a_sentence(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", &["activities/write", "activities/read"]).await;
    admin
        .put(
            "/v1/contents/gone",
            &content("gone", "item").set("title", "Old Hoses").set("archived_at", in_march(1, 0)),
        )
        .await
        .expect(201);
    let quiz = json!({"score": 45, "success": false, "total_time": 300});
    for (body, expected) in [
        (activity("ada", "completed").set("content", "fire"), "Completed Fire Safety"),
        (
            activity("ada", "failed").set("content", "fire").set("result", quiz),
            "Failed Fire Safety scoring 45% in 5 minutes",
        ),
        (
            activity("ada", "completed")
                .set("content", "fire")
                .set("result", json!({"success": true, "score": 92})),
            "Passed Fire Safety scoring 92%",
        ),
        (activity("ada", "logged_in"), "Logged in"),
        (activity("ada", "logged_out"), "Logged out"),
        (activity("ada", "enrolled_for").set("content", "fire"), "Enrolled for Fire Safety"),
        (
            activity("ada", "received_certificate_for").set("content", "fire"),
            "Received certificate for Fire Safety",
        ),
        (activity("ada", "listened_to").set("content", "gone"), "Listened to Old Hoses (Archived)"),
        (
            activity("ada", "completed").set("content", "fire").set("recorded_by", "bo"),
            "Completed Fire Safety, marked complete by bo Example",
        ),
        (
            activity("ada", "completed").set("content", "fire").set("recorded_by", "ada"),
            "Completed Fire Safety",
        ),
        (activity("ada", "assigned").set("content", "fire").set("recorded_by", "bo"), "Assigned Fire Safety"),
        (
            activity("ada", "completed").set("content", json!({"iri": "https://example.org/c"})),
            "Completed https://example.org/c",
        ),
    ] {
        let created = sender.post("/v1/activities", &body).await.expect(201).json();
        assert_eq!(created["description"], expected);
        let parts = created["description_parts"].as_array().expect("parts");
        assert_eq!(
            parts.iter().map(|part| part["text"].as_str().expect("a text")).collect::<String>(),
            expected
        );
    }
    // Descriptions use the current names.
    admin.patch("/v1/users/bo", &json!({"first_name": "Bo", "last_name": "Ek"})).await.expect(200);
    admin.patch("/v1/contents/fire", &json!({"title": "Flood Safety"})).await.expect(200);
    let rows = admin.list("/v1/activities?action=completed&content=fire", "activities").await;
    assert!(
        member_values(&rows, "description")
            .contains(&json!("Completed Flood Safety, marked complete by Bo Ek")),
        "{rows:#?}"
    );
    let without_names = user("cy").set("first_name", Value::Null).set("last_name", Value::Null);
    admin.put("/v1/users/cy", &without_names).await.expect(201);
    let created = sender
        .post("/v1/activities", &activity("ada", "completed").set("content", "fire").set("recorded_by", "cy"))
        .await;
    assert_eq!(created.expect(201).json()["description"], "Completed Flood Safety, marked complete by cy");
}
