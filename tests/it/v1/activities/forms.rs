//! Tests of posting activities in the short form, one at a time and in batches.

use reqwest::Method;
use serde_json::{Value, json};

use super::{advance_clock, id, member_values, numbered_activity, post_batch, read_log, set_up};
use crate::support::builders::{Body, activity, content, mailbox};
use crate::support::http::{Caller, encode_segment};
use crate::support::{TestServer, apply, both_databases};

const WRITES: &[&str] = &["activities/write", "activities/read"];

/// An activity with every field that a credential may set.
fn full_activity(n: usize) -> Body {
    numbered_activity(n, "completed")
        .set("happened_at", "2026-03-01T10:00:00.123+01:00")
        .set(
            "result",
            json!({
                "success": true, "completion": true, "total_time": "PT1H5M59S", "response": "b",
                "score": {"scaled": 0.925, "raw": 37, "min": 0, "max": 40}
            }),
        )
        .set(
            "responses",
            json!([
                {"question": "q1", "prompt": "2 + 2?", "response": "4", "correct": true, "score": 1, "seconds": 12.5},
                {"question": "q2", "response": ""}
            ]),
        )
        .set("certificate", json!({"name": "Warden", "expires_at": "2027-03-01T00:00:00Z"}))
        .set("expired_at", "2026-03-02T00:00:00Z")
        .set("device_type", "kiosk")
        .set("source", "Library")
        .set("registration", "ec531277-b57b-4c15-8d91-d292c5b2b8f7")
        .set("recorded_by", "bo")
        .set("comment", "Sat it twice")
}

async fn post_lines(caller: &Caller, path: &str, text: &str) -> crate::support::http::Answer {
    let headers = [("content-type", "application/x-ndjson")];
    caller.send(Method::POST, path, &headers, text.as_bytes().to_vec()).await
}

#[apply(both_databases)]
async fn every_field_of_the_short_form_is_returned(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", WRITES).await;
    let created = sender.post("/v1/activities", &full_activity(1)).await.expect(201);
    let path = format!("/v1/activities/{}", id(1));
    assert_eq!(created.header("location"), Some(path.as_str()));
    let expected = json!({
        "id": id(1),
        "user": {"id": "ada", "first_name": "ada", "last_name": "Example", "name": "ada Example",
            "email": "Ada@Example.org", "active": true, "identifier": null},
        "action": {"key": "completed", "label": "Completed", "colour": "#1a7f37"},
        "verb": "http://adlnet.gov/expapi/verbs/completed",
        "description": "Passed Fire Safety scoring 92.5% in 1 hour 5 minutes, marked complete by bo Example",
        "description_parts": [
            {"text": "Passed ", "key": "passed"}, {"text": "Fire Safety", "content": "fire"},
            {"text": " scoring 92.5% in 1 hour 5 minutes, marked complete by "},
            {"text": "bo Example", "user": "bo"}
        ],
        "content": {"id": "fire", "iri": "https://rollbook.invalid/acme/contents/fire", "title": "Fire Safety",
            "type": "quiz", "content_type": null, "archived": false, "tags": [], "url": null},
        "happened_at": "2026-03-01T09:00:00.123Z",
        "stored_at": "2026-03-18T10:17:23.000Z",
        "completed": true,
        "expired_at": "2026-03-02T00:00:00.000Z",
        "expired": true,
        "result": {
            "success": true, "completion": true,
            "score": {"scaled": 0.925, "raw": 37, "min": 0, "max": 40, "percent": 92.5},
            "total_time": {"seconds": 3959, "text": "1 hour 5 minutes"},
            "time_limit": null, "time_limit_exceeded": null, "response": "b"
        },
        "certificate": {"name": "Warden", "awarded_at": "2026-03-01T09:00:00.123Z",
            "expires_at": "2027-03-01T00:00:00.000Z"},
        "device_type": "kiosk", "origin": "api", "recorded_by": {"id": "bo", "name": "bo Example"},
        "comment": "Sat it twice", "import_id": null, "source": "Library", "cpd_labels": [],
        "registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7"
    });
    let mut with_details = expected.clone();
    with_details["responses"] = json!([
        {"question": "q1", "prompt": "2 + 2?", "response": "4", "correct": true, "score": 1, "seconds": 12.5},
        {"question": "q2", "prompt": null, "response": "", "correct": null, "score": null, "seconds": null}
    ]);
    with_details["statement"] = json!(format!("/xapi/statements?statementId={}", id(1)));
    assert_eq!(created.json(), with_details);
    assert_eq!(admin.get(&path).await.expect(200).json(), with_details);
    assert_eq!(read_log(&admin).await, [expected]);

    // The same record is an xAPI statement.
    let statement = with_details["statement"].as_str().expect("a path");
    let statement = admin.get(statement).await.expect(200).json();
    assert_eq!(
        statement["actor"]["account"],
        json!({"homePage": "https://rollbook.invalid/acme", "name": "ada"})
    );
    assert_eq!(statement["verb"]["id"], "http://adlnet.gov/expapi/verbs/completed");
    assert_eq!(statement["object"]["id"], "https://rollbook.invalid/acme/contents/fire");
    assert_eq!(
        statement["result"],
        json!({
            "score": {"scaled": 0.925, "raw": 37, "min": 0, "max": 40}, "success": true, "completion": true,
            "response": "b", "duration": "PT1H5M59S"
        })
    );
    assert_eq!(statement["timestamp"], "2026-03-01T09:00:00.123Z");
    assert_eq!(statement["context"]["registration"], "ec531277-b57b-4c15-8d91-d292c5b2b8f7");
}

#[apply(both_databases)]
async fn missing_members_are_null_and_the_origin_of_a_persons_record_is_manual(server: &TestServer) {
    let admin = set_up(server).await;
    admin.put("/v1/users/root", &json!({"first_name": "Ada", "last_name": "Obi"})).await.expect(201);
    let created = admin.post("/v1/activities", &activity("ada", "logged_in")).await.expect(201).json();
    for member in [
        "content",
        "expired_at",
        "result",
        "certificate",
        "device_type",
        "comment",
        "import_id",
        "source",
        "registration",
    ] {
        assert_eq!(created[member], Value::Null, "{member}");
    }
    assert_eq!(
        (&created["origin"], &created["recorded_by"]),
        (&json!("manual"), &json!({"id": "root", "name": "Ada Obi"}))
    );
    assert_eq!((&created["completed"], &created["expired"]), (&json!(false), &json!(false)));
    assert_eq!(created["happened_at"], "2026-03-18T10:17:23.000Z", "the default is the current time");
    for member in ["recorded_by", "comment"] {
        let activity = activity("ada", "logged_in").set(member, "bo");
        let refused = admin.post("/v1/activities", &activity).await.expect(400);
        assert_eq!(refused.error_pointers(), [format!("/{member}")], "only credentials may set it");
    }
    // A credential may set `recorded_by` and `device_type`; the default is the device type `api` and no
    // recorder.
    let sender = server.credential("acme", WRITES).await;
    let created = sender
        .post("/v1/activities", &activity("ada", "viewed").set("content", "fire"))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&created["origin"], &created["device_type"], &created["recorded_by"]),
        (&json!("api"), &json!("api"), &Value::Null)
    );
    assert_eq!(read_log(&admin).await.len(), 2);
}

#[apply(both_databases)]
async fn write_only_credential_receives_only_the_id(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", &["activities/write"]).await;
    let created = sender.post("/v1/activities", &numbered_activity(1, "viewed")).await.expect(201).json();
    assert_eq!(created, json!({"id": id(1)}));
    sender.get("/v1/activities").await.expect(403);
    sender.get(&format!("/v1/activities/{}", id(1))).await.expect(403);
    assert_eq!(read_log(&admin).await.len(), 1);
}

#[apply(both_databases)]
async fn user_is_given_by_id_email_or_agent(server: &TestServer) {
    let admin = set_up(server).await;
    let sha1 = "6aeb2ddbd7d29dc96fbb8e8cf4d4a9c8dd2b2df2";
    for reference in [
        json!("ada"),
        json!({"email": "ada@EXAMPLE.org"}),
        json!({"email": "Ada@Example.org"}),
        json!({"mbox": "mailto:Ada@Example.org"}),
        json!({"objectType": "Agent", "account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}}),
    ] {
        let sent = Body::default().set("user", reference.clone()).set("action", "logged_in");
        let created = admin.post("/v1/activities", &sent).await.expect(201).json();
        assert_eq!(created["user"]["id"], "ada", "{reference}");
    }
    // An actor that no user has as an identifier becomes a person with the data of the record.
    for (reference, name, email) in [
        (json!({"email": "new@example.org"}), "new@example.org", json!("new@example.org")),
        (json!({"mbox": "mailto:cy@example.org", "name": "Cy"}), "Cy", json!("cy@example.org")),
        (json!({"mbox_sha1sum": sha1, "name": "Somebody"}), "Somebody", Value::Null),
        (json!({"openid": "https://id.example.org/x"}), "https://id.example.org/x", Value::Null),
    ] {
        let sent = Body::default().set("user", reference.clone()).set("action", "logged_in");
        let created = admin.post("/v1/activities", &sent).await.expect(201).json();
        let mut identifier = match &reference["email"] {
            Value::String(address) => mailbox(address),
            _ => reference.clone(),
        };
        identifier.as_object_mut().expect("an object").remove("name");
        let expected = json!({
            "id": null, "first_name": null, "last_name": null, "name": name, "email": email, "active": null,
            "identifier": identifier
        });
        assert_eq!(created["user"], expected, "{reference}");
    }
    for (reference, pointer) in [
        (json!("nobody"), "/user"),
        (json!({"email": "no address"}), "/user/email"),
        (json!({"name": "Cy"}), "/user"),
        (json!({"objectType": "Group", "member": [mailbox("a@example.org")]}), "/user/objectType"),
    ] {
        let sent = Body::default().set("user", reference.clone()).set("action", "logged_in");
        let refused = admin.post("/v1/activities", &sent).await.expect(400);
        assert_eq!(refused.error_pointers(), [pointer], "{reference}");
    }
}

#[apply(both_databases)]
async fn content_is_given_by_id_or_iri_and_created_if_possible(server: &TestServer) {
    let admin = set_up(server).await;
    for bad in [
        json!("none"),
        json!({"id": "none"}),
        json!({"id": "none", "title": "T"}),
        json!({"id": "none", "type": "item"}),
    ] {
        let refused = admin
            .post("/v1/activities", &numbered_activity(1, "viewed").set("content", bad.clone()))
            .await
            .expect(400);
        assert_eq!(refused.error_pointers(), ["/content"], "{bad}");
        admin.get("/v1/contents/none").await.expect(404);
    }
    let rows = [
        (
            json!({"id": "v1", "title": "Hoses", "type": "item", "content_type": "video"}),
            "v1",
            json!("Hoses"),
            json!("item"),
            json!("video"),
        ),
        (
            json!({"id": "q1", "title": "Hose Quiz", "type": "quiz"}),
            "q1",
            json!("Hose Quiz"),
            json!("quiz"),
            Value::Null,
        ),
        (
            json!({"id": "i1", "title": "A Thing", "type": "item"}),
            "i1",
            json!("A Thing"),
            json!("item"),
            Value::Null,
        ),
        (
            json!({"id": "l1", "title": "A List", "type": "learnlist"}),
            "l1",
            json!("A List"),
            json!("learnlist"),
            Value::Null,
        ),
        (
            json!({"iri": "https://example.org/c"}),
            "https://example.org/c",
            Value::Null,
            Value::Null,
            Value::Null,
        ),
        (
            json!({"iri": "https://example.org/d", "title": "Dee", "type": "event"}),
            "https://example.org/d",
            json!("Dee"),
            json!("event"),
            Value::Null,
        ),
    ];
    for (reference, expected, title, kind, content_type) in rows {
        let created = admin
            .post("/v1/activities", &activity("ada", "viewed").set("content", reference.clone()))
            .await
            .expect(201)
            .json();
        let content = &created["content"];
        assert_eq!(
            (&content["id"], &content["title"], &content["type"], &content["content_type"]),
            (&json!(expected), &title, &kind, &content_type),
            "{reference}"
        );
        let stored =
            admin.get(&format!("/v1/contents/{}", encode_segment(expected))).await.expect(200).json();
        assert_eq!((&stored["title"], &stored["registered"]), (&title, &json!(false)), "{reference}");
        // The content exists now, so that its id is enough.
        let activity_by_id = admin
            .post("/v1/activities", &activity("ada", "viewed").set("content", expected))
            .await
            .expect(201)
            .json();
        assert_eq!(activity_by_id["content"]["id"], expected);
    }
    // The title in an activity does not change a registered content.
    let renamed = numbered_activity(9, "viewed")
        .set("content", json!({"id": "fire", "title": "Water", "type": "event"}));
    let created = admin.post("/v1/activities", &renamed).await.expect(201).json();
    assert_eq!(
        (&created["content"]["title"], &created["content"]["type"]),
        (&json!("Fire Safety"), &json!("quiz"))
    );
}

#[apply(both_databases)]
async fn equal_record_is_stored_once_and_a_different_one_is_a_conflict(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", WRITES).await;
    let first = sender.post("/v1/activities", &full_activity(1)).await.expect(201).json();
    advance_clock(server, 3_600);
    assert_eq!(sender.post("/v1/activities", &full_activity(1)).await.expect(200).json(), first);
    // Only the members that the request contains are compared.
    let fewer_members = Body::default().set("id", id(1)).set("user", "ada").set("action", "completed");
    assert_eq!(sender.post("/v1/activities", &fewer_members).await.expect(200).json(), first);
    let other = json!({
        "user": "bo", "action": "failed", "content": {"iri": "https://example.org/c"}, "happened_at": "2026-03-01T10:00:00.124+01:00",
        "result.success": false, "result.completion": false, "result.score": 92.4, "result.total_time": 3960,
        "result.response": "c", "responses": [{"question": "q1", "response": "4"}], "certificate": {"name": "Warder"},
        "expired_at": "2026-03-02T00:00:01Z", "device_type": "api", "source": "library",
        "registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f8", "recorded_by": "ada", "comment": "Sat it"
    });
    for (member, value) in other.as_object().expect("members") {
        let changed = sender
            .post("/v1/activities", &full_activity(1).set(member, value.clone()))
            .await
            .expect(409)
            .json();
        assert_eq!(changed["pointer"], "/id", "{member}");
    }
    // A missing `happened_at` means the time of the first request, not of the second.
    sender.post("/v1/activities", &numbered_activity(2, "viewed")).await.expect(201);
    advance_clock(server, 3_600);
    sender.post("/v1/activities", &numbered_activity(2, "viewed")).await.expect(200);
    assert_eq!(read_log(&admin).await.len(), 2);
    // Another organisation may use the same id.
    let theirs = server.person_of("other", json!({"sub": "x", "role": "owner"}));
    theirs
        .post(
            "/v1/activities",
            &Body::default()
                .set("id", id(1))
                .set("user", mailbox("x@example.org"))
                .set("action", "logged_in"),
        )
        .await
        .expect(201);
    assert_eq!(read_log(&admin).await.len(), 2);
}

#[apply(both_databases)]
async fn batch_is_all_or_nothing_and_every_bad_element_is_reported(server: &TestServer) {
    let admin = set_up(server).await;
    let valid = numbered_activity(1, "viewed");
    let batch = [
        valid.json(),
        valid.clone().set("id", id(2)).set("user", "nobody").json(),
        valid.clone().set("id", "x").set("colour", "red").json(),
        json!(7),
        valid.clone().set("id", id(3)).set("result", json!({"score": 101})).json(),
    ];
    let refused = admin.post("/v1/activities/batch", &batch).await.expect(400);
    let found = refused.error_pointers();
    for expected in ["/2/id", "/2/colour", "/3", "/4/result/score"] {
        assert!(found.iter().any(|pointer| pointer == expected), "{expected} is missing in {found:?}");
    }
    // Users and contents are looked up after all elements have passed validation. Each unknown one is
    // reported.
    let batch = [
        valid.json(),
        valid.clone().set("id", id(2)).set("user", "nobody").json(),
        valid.clone().set("id", id(3)).set("content", "none").set("user", "no").json(),
    ];
    let refused = admin.post("/v1/activities/batch", &batch).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/user", "/2/user", "/2/content"]);
    let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
    let refused = post_lines(&admin, "/v1/activities/batch", &lines.join("\n")).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/user", "/2/user", "/2/content"]);
    let broken = format!("{}\n{{\"user\": \n\n{}\n", lines[0], lines[0].replace("viewed", "vew"));
    let refused = post_lines(&admin, "/v1/activities/batch", &broken).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1", "/2/action"]);
    assert!(read_log(&admin).await.is_empty(), "the log must be empty");

    let ids = |n: usize| json!({"ids": (1..=n).map(id).collect::<Vec<_>>()});
    let batch =
        [numbered_activity(1, "viewed"), numbered_activity(2, "started"), numbered_activity(3, "completed")];
    assert_eq!(admin.post("/v1/activities/batch", &batch[..2]).await.expect(201).json(), ids(2));
    let text: String = batch.iter().map(|body| format!("{}\r\n", body.json())).collect();
    assert_eq!(
        post_lines(&admin, "/v1/activities/batch", &text).await.expect(201).json(),
        ids(3),
        "one element was new"
    );
    assert_eq!(
        post_lines(&admin, "/v1/activities/batch", &text).await.expect(200).json(),
        ids(3),
        "no element was new"
    );
    // A conflict rejects the whole batch.
    let batch = [numbered_activity(4, "viewed"), numbered_activity(2, "completed")];
    let refused = admin.post("/v1/activities/batch", &batch).await.expect(409).json();
    assert_eq!(refused["pointer"], "/1/id");
    // Two equal elements with one id are one activity. Two different elements with one id are a conflict.
    let twice = [numbered_activity(5, "viewed"), numbered_activity(5, "viewed")];
    assert_eq!(
        admin.post("/v1/activities/batch", &twice).await.expect(201).json(),
        json!({"ids": [id(5), id(5)]})
    );
    let refused = admin
        .post("/v1/activities/batch", &[numbered_activity(6, "viewed"), numbered_activity(6, "started")])
        .await
        .expect(409);
    assert_eq!(refused.json()["pointer"], "/1/id");
    assert_eq!(read_log(&admin).await.len(), 4);
}

#[apply(both_databases)]
async fn batch_has_at_most_1000_elements(server: &TestServer) {
    let admin = set_up(server).await;
    let batch: Vec<Body> = (0..1001).map(|n| numbered_activity(n, "viewed")).collect();
    admin.post("/v1/activities/batch", &batch).await.expect(413);
    assert!(read_log(&admin).await.is_empty());
    post_batch(&admin, &batch[..1000]).await;
    assert_eq!(admin.get("/v1/activities?count=exact&limit=1").await.expect(200).json()["total"], 1000);
    assert_eq!(admin.post("/v1/activities/batch", &json!([])).await.expect(201).json(), json!({"ids": []}));
    admin.post("/v1/activities/batch", &json!({"user": "ada"})).await.expect(400);
}

#[apply(both_databases)]
async fn total_time_is_accepted_in_every_format(server: &TestServer) {
    let admin = set_up(server).await;
    let forms = [
        json!("PT5M30S"),
        json!("0000:05:30.00"),
        json!("00:05:30"),
        json!("330"),
        json!(330),
        json!("PT330.99S"),
    ];
    let batch: Vec<Body> = forms
        .iter()
        .enumerate()
        .map(|(n, time)| numbered_activity(n, "completed").set("result", json!({"total_time": time})))
        .collect();
    post_batch(&admin, &batch).await;
    for row in read_log(&admin).await {
        assert_eq!(
            row["result"]["total_time"],
            json!({"seconds": 330, "text": "5 minutes 30 seconds"}),
            "{}",
            row["id"]
        );
    }
}

#[apply(both_databases)]
async fn verb_determines_the_action(server: &TestServer) {
    let admin = set_up(server).await;
    let verb = |verb: &str| Body::default().set("user", "ada").set("verb", verb).set("content", "fire");
    let created = admin
        .post("/v1/activities", &verb("https://w3id.org/xapi/adl/verbs/satisfied"))
        .await
        .expect(201)
        .json();
    assert_eq!(created["action"]["key"], "completed");
    assert_eq!(created["verb"], "https://w3id.org/xapi/adl/verbs/satisfied");
    let created =
        admin.post("/v1/activities", &verb("http://example.org/verbs/juggled-with")).await.expect(201).json();
    assert_eq!(
        (&created["action"]["key"], &created["action"]["label"]),
        (&json!("other"), &json!("Juggled with"))
    );
    assert_eq!(created["description"], "Juggled with Fire Safety");
    let found = admin
        .list(
            &format!("/v1/activities?verb={}", encode_segment("http://example.org/verbs/juggled-with")),
            "activities",
        )
        .await;
    assert_eq!(member_values(&found, "action.key"), ["other"]);
    admin.post("/v1/activities", &verb("http://adlnet.gov/expapi/verbs/voided")).await.expect(400);
    admin.post("/v1/activities", &verb("juggled")).await.expect(400);
    admin.post("/v1/activities", &verb("http://example.org/x").set("action", "viewed")).await.expect(400);
    let neither = Body::default().set("user", "ada");
    assert_eq!(admin.post("/v1/activities", &neither).await.expect(400).error_pointers(), ["/action"]);
}

#[apply(both_databases)]
async fn session_actions_cannot_have_a_content(server: &TestServer) {
    let admin = set_up(server).await;
    for action in ["logged_in", "logged_out", "visited"] {
        let refused = admin.post("/v1/activities", &numbered_activity(1, action)).await.expect(400);
        assert_eq!(refused.error_pointers(), ["/content"], "{action}");
    }
    admin.put("/v1/contents/x", &content("x", "item")).await.expect(201);
    admin.post("/v1/activities?dry_run=true", &numbered_activity(1, "viewed")).await.expect(400);
    assert!(read_log(&admin).await.is_empty());
}
