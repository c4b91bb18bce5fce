//! Tests of `/v1/users/{id}/notes` and `/v1/notes/{id}`: writing, history, and permissions. Notes are never
//! visible to their user, to credentials, or in any other resource.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use rollbook::access::permit::Notes;
use rollbook::access::{Permissions, Person, Principal, ReachRules, Role, Subjects};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::{OrgId, UserId};
use serde_json::{Value, json};

use super::activities::advance_clock;
use crate::support::builders::{Body, activity, content, user};
use crate::support::http::{Answer, Caller};
use crate::support::{Database, TestServer, apply, both_databases};

/// A text that occurs only in notes.
const SECRET: &str = "Parental leave, zebra-4711";
const NO_SUCH_NOTE: &str = "/v1/notes/00000000-0000-4000-8000-00000000000a";

/// Creates an admin `ada`, hr `hal`, the managers `top` over `mo` over `bo` over `cy`, and `dee` without a
/// manager.
pub async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "ada");
    admin.post("/v1/users/batch", &people()).await.expect(200);
    admin
}

fn people() -> Vec<Body> {
    vec![
        user("ada").set("role", "admin"),
        user("hal").set("role", "hr"),
        user("top").set("role", "manager"),
        user("mo").set("role", "manager").set("manager", "top"),
        user("bo").set("manager", "mo"),
        user("cy").set("manager", "bo"),
        user("dee"),
    ]
}

/// Creates a note about a user and returns its id.
pub async fn create_note(writer: &Caller, about: &str, text: &str, happened_at: &str) -> String {
    let body = json!({"text": text, "happened_at": happened_at});
    let created = writer.post(&format!("/v1/users/{about}/notes"), &body).await.expect(201).json();
    created["id"].as_str().expect("an id").to_owned()
}

fn texts(notes: &[Value]) -> Vec<&str> {
    notes.iter().map(|note| note["text"].as_str().expect("a text")).collect()
}

fn person_reference(id: &str) -> Value {
    json!({"id": id, "name": format!("{id} Example")})
}

/// Sends each kind of request about the notes of `bo`, one of which has this path. Returns the statuses.
async fn request_all(caller: &Caller, path: &str) -> BTreeSet<u16> {
    let body = json!({"text": "Knock"});
    let mut statuses = BTreeSet::new();
    for answer in [
        caller.get("/v1/users/bo/notes").await,
        caller.post("/v1/users/bo/notes", &body).await,
        caller.get(path).await,
        caller.patch(path, &body).await,
        caller.get(&format!("{path}/history")).await,
    ] {
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET) || answer.status == 200);
        statuses.insert(if answer.status == 201 { 200 } else { answer.status });
    }
    statuses
}

#[apply(both_databases)]
async fn note_is_created_and_returned(server: &TestServer) {
    set_up(server).await;
    let hal = server.person("hr", "hal");
    advance_clock(server, 60);
    let body = json!({"text": "Due dates extended:\n parental leave ", "happened_at": "2026-03-01T10:00:00.1239+01:00", "created_by": "ada"});
    let created = hal.post("/v1/users/bo/notes", &body).await.expect(201);
    let note = created.json();
    let path = format!("/v1/notes/{}", note["id"].as_str().expect("an id"));
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!(
        note,
        json!({
            "id": note["id"], "user": "bo", "text": "Due dates extended:\n parental leave ",
            "happened_at": "2026-03-01T09:00:00.123Z", "created_by": person_reference("ada"),
            "created_at": "2026-03-18T10:18:23.000Z", "updated_at": "2026-03-18T10:18:23.000Z", "updated_by": person_reference("hal")
        })
    );
    assert_eq!(hal.get(&path).await.expect(200).json(), note);
    assert_eq!(
        hal.get(&format!("{path}/history")).await.expect(200).json(),
        json!({"versions": [], "next": null})
    );
    assert_eq!(
        hal.get("/v1/users/bo/notes").await.expect(200).json(),
        json!({"notes": [note], "next": null})
    );
    // The defaults are the current time and the caller, even if the directory does not contain the caller.
    // The time may be in the future.
    let root = server.person("owner", "root");
    let created = root.post("/v1/users/bo/notes", &json!({"text": "a"})).await.expect(201).json();
    assert_eq!(
        (&created["happened_at"], &created["created_by"]),
        (&json!("2026-03-18T10:18:23.000Z"), &json!({"id": "root", "name": null}))
    );
    let future = root
        .post(
            "/v1/users/bo/notes",
            &json!({"text": "a", "happened_at": "2031-01-01T00:00:00Z", "created_by": null}),
        )
        .await;
    assert_eq!(future.expect(201).json()["happened_at"], "2031-01-01T00:00:00.000Z");
    // Names are the current ones.
    root.patch("/v1/users/ada", &json!({"first_name": "Ada", "last_name": "Obi"})).await.expect(200);
    assert_eq!(hal.get(&path).await.expect(200).json()["created_by"]["name"], "Ada Obi");
}

#[apply(both_databases)]
async fn history_keeps_former_versions_of_a_note(server: &TestServer) {
    let ada = set_up(server).await;
    let (hal, mo) = (server.person("hr", "hal"), server.person("manager", "mo"));
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
    let history = format!("{path}/history");
    advance_clock(server, 3600);
    let second = hal.patch(&path, &json!({"text": "Two"})).await.expect(200).json();
    assert_eq!(
        (&second["text"], &second["happened_at"]),
        (&json!("Two"), &json!("2026-03-01T09:00:00.000Z"))
    );
    assert_eq!(
        (&second["created_by"], &second["updated_by"]),
        (&person_reference("ada"), &person_reference("hal"))
    );
    assert_eq!(
        (&second["created_at"], &second["updated_at"]),
        (&json!("2026-03-18T10:17:23.000Z"), &json!("2026-03-18T11:17:23.000Z"))
    );
    advance_clock(server, 3600);
    // An equal text and time is no change.
    for same in [
        json!({}),
        json!({"text": "Two"}),
        json!({"text": "Two", "happened_at": "2026-03-01T10:00:00+01:00"}),
    ] {
        assert_eq!(mo.patch(&path, &same).await.expect(200).json(), second);
    }
    let body = serde_json::to_vec(&json!({"happened_at": "2026-02-28T09:00:00Z"})).expect("JSON");
    let third =
        mo.send(Method::PATCH, &path, &[("content-type", "application/json")], body).await.expect(200).json();
    assert_eq!(
        (&third["text"], &third["happened_at"], &third["updated_by"]),
        (&json!("Two"), &json!("2026-02-28T09:00:00.000Z"), &person_reference("mo"))
    );
    assert_eq!(hal.get(&path).await.expect(200).json(), third);
    assert_eq!(
        hal.get(&history).await.expect(200).json(),
        json!({"next": null, "versions": [
            {"version": 2, "text": "Two", "happened_at": "2026-03-01T09:00:00.000Z", "updated_by": person_reference("hal"), "updated_at": "2026-03-18T11:17:23.000Z"},
            {"version": 1, "text": "One", "happened_at": "2026-03-01T09:00:00.000Z", "updated_by": person_reference("ada"), "updated_at": "2026-03-18T10:17:23.000Z"},
        ]})
    );
    // A note cannot be deleted or replaced.
    for method in [Method::DELETE, Method::PUT] {
        hal.send(method, &path, &[], Vec::new()).await.expect(405);
    }
}

#[apply(both_databases)]
async fn concurrent_edits_are_all_in_the_history(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", "0", "2026-03-01T09:00:00Z").await);
    let edits: Vec<Value> = (1..=8).map(|n| json!({"text": n.to_string()})).collect();
    for answer in join_all(edits.iter().map(|edit| ada.patch(&path, edit))).await {
        answer.expect(200);
    }
    let versions = ada.get(&format!("{path}/history")).await.expect(200).json()["versions"].clone();
    let numbers: Vec<i64> =
        versions.as_array().expect("versions").iter().filter_map(|one| one["version"].as_i64()).collect();
    assert_eq!(numbers, [8, 7, 6, 5, 4, 3, 2, 1]);
    let mut all_texts: Vec<String> =
        texts(versions.as_array().expect("versions")).into_iter().map(str::to_owned).collect();
    all_texts.push(ada.get(&path).await.expect(200).json()["text"].as_str().expect("a text").to_owned());
    all_texts.sort_unstable();
    assert_eq!(all_texts, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[apply(both_databases)]
async fn note_has_at_most_1000_versions(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
    server.database().execute("UPDATE notes SET version = 999").await;
    ada.patch(&path, &json!({"text": "Two"})).await.expect(200);
    let refused = ada.patch(&path, &json!({"text": "Three"})).await.expect(409).json();
    assert_eq!(refused["code"], "conflict");
    assert_eq!(ada.patch(&path, &json!({"text": "Two"})).await.expect(200).json()["text"], "Two");
}

#[apply(both_databases)]
async fn invalid_member_is_reported_with_its_pointer(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
    let long = "ä".repeat(10_001);
    for (body, places) in [
        (json!({}), vec!["/text"]),
        (json!([]), vec![""]),
        (json!({"text": " \n"}), vec!["/text"]),
        (json!({"text": long}), vec!["/text"]),
        (
            json!({"text": 1, "happened_at": "yesterday", "created_by": {"id": "ada"}}),
            vec!["/text", "/happened_at", "/created_by"],
        ),
        (json!({"text": "a", "user": "cy"}), vec!["/user"]),
        (json!({"text": "a", "created_by": "nobody"}), vec!["/created_by"]),
    ] {
        let refused = ada.post("/v1/users/bo/notes", &body).await.expect(400);
        assert_eq!(
            (refused.json()["code"].clone(), refused.error_pointers()),
            (json!("invalid-body"), places.into_iter().map(str::to_owned).collect()),
            "{body}"
        );
    }
    for (body, places) in [
        (json!({"text": null, "happened_at": null}), vec!["/text", "/happened_at"]),
        (json!({"text": ""}), vec!["/text"]),
        (json!({"created_by": "hal"}), vec!["/created_by"]),
        (json!({"id": "x"}), vec!["/id"]),
        (json!("x"), vec![""]),
    ] {
        let refused = ada.patch(&path, &body).await.expect(400);
        assert_eq!(refused.error_pointers(), places, "{body}");
    }
    ada.post("/v1/users/bo/notes", &json!({"text": "ä".repeat(10_000)})).await.expect(201);
    for query in ["limit=0", "limit=1001", "cursor=x", "text=a", "from=2026-01-01"] {
        ada.get(&format!("/v1/users/bo/notes?{query}")).await.expect(400);
    }
    ada.get(&format!("{path}?x=1")).await.expect(400);
    for missing in ["/v1/notes/bo", NO_SUCH_NOTE, "/v1/notes/bo/history"] {
        ada.get(missing).await.expect(404);
    }
    for missing in ["/v1/notes/bo", NO_SUCH_NOTE] {
        ada.patch(missing, &json!({"text": "a"})).await.expect(404);
    }
    ada.get("/v1/users/nobody/notes").await.expect(404);
    ada.post("/v1/users/nobody/notes", &json!({"text": "a"})).await.expect(404);
    assert_eq!(ada.list("/v1/users/bo/notes", "notes").await.len(), 2, "refused notes must not be stored");
    assert_eq!(ada.get(&format!("{path}/history")).await.expect(200).json()["versions"], json!([]));
}

#[apply(both_databases)]
async fn notes_are_listed_newest_first_in_pages(server: &TestServer) {
    let ada = set_up(server).await;
    let mut written = Vec::new();
    for n in 0..7 {
        // Several notes have the same time, in another order than they were created.
        let day = [3, 1, 2, 2, 1, 2, 3][n];
        create_note(&ada, "bo", &n.to_string(), &format!("2026-03-0{day}T09:00:00Z")).await;
        written.push((day, n));
        create_note(&ada, "cy", "Elsewhere", "2026-03-02T09:00:00Z").await;
    }
    written.sort_unstable_by(|one, other| other.cmp(one));
    let expected: Vec<String> = written.iter().map(|(_, n)| n.to_string()).collect();
    for limit in [1, 2, 3, 7, 50] {
        let notes = ada.list(&format!("/v1/users/bo/notes?limit={limit}"), "notes").await;
        assert_eq!(texts(&notes), expected, "{limit}");
    }
    let first = ada.get("/v1/users/bo/notes?limit=2").await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert_eq!(first.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    // A cursor is valid only for its caller and its user.
    server.person("hr", "hal").get(&next).await.expect(400);
    ada.get(&next.replace("/bo/", "/cy/")).await.expect(400);
}

#[apply(both_databases)]
async fn each_role_reads_notes_only_within_its_reach(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    let person = |role: &str, user: &str| server.person(role, user);
    let claims = |claims: Value| server.person_of("acme", claims);
    let manager = |user: &str, more: Value| {
        let mut all = json!({"sub": user, "role": "manager"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        claims(all)
    };
    for indirect in [true, false] {
        ada.patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect})).await.expect(200);
        let status_for_top = if indirect { 200 } else { 404 };
        let all: Vec<&str> = vec!["reporting", "mark_complete", "indirect_reports"];
        for (caller, expected, who) in [
            (person("owner", "ada"), 200, "an owner"),
            (person("admin", "ada"), 200, "an admin"),
            (person("hr", "hal"), 200, "hr"),
            (person("hr", "stranger"), 200, "hr, unknown in the directory"),
            (person("manager", "mo"), 200, "the manager"),
            (person("manager", "top"), status_for_top, "the manager's manager"),
            (
                manager("top", json!({"permissions": ["indirect_reports"]})),
                200,
                "the manager's manager with the permission for indirect reports",
            ),
            (person("manager", "cy"), 404, "a report of the user, as a manager"),
            (person("manager", "dee"), 404, "a manager without reports"),
            (manager("dee", json!({"reports": {"direct": ["bo"]}})), 200, "a manager by the token"),
            (
                manager("dee", json!({"reports": {"indirect": ["bo"]}})),
                status_for_top,
                "an indirect manager by the token",
            ),
            (manager("mo", json!({"reports": {"direct": ["cy"]}})), 404, "the manager, but not by the token"),
            // The user of the note, in every role.
            (person("owner", "bo"), 404, "the user as owner"),
            (person("admin", "bo"), 404, "the user as admin"),
            (person("hr", "bo"), 404, "the user as hr"),
            (person("manager", "bo"), 404, "the user as a manager"),
            (
                manager("bo", json!({"reports": {"direct": ["bo", "cy"], "indirect": []}})),
                404,
                "the user as a manager of themselves by the token",
            ),
            (person("learner", "bo"), 403, "the user"),
            (person("reporter", "dee"), 403, "a reporter"),
            (person("learning_designer", "dee"), 403, "a learning designer"),
            (claims(json!({"sub": "dee", "role": "curator", "permissions": all})), 403, "a curator"),
            (
                claims(json!({"sub": "mo", "role": "learner", "permissions": all})),
                403,
                "the manager as a learner",
            ),
            (
                server.person_of("other", json!({"sub": "ada", "role": "owner"})),
                404,
                "another organisation's owner",
            ),
        ] {
            assert_eq!(
                request_all(&caller, &path).await,
                BTreeSet::from([expected]),
                "{who}, indirect: {indirect}"
            );
        }
    }
    let scopes = ["all", "activities/write", "activities/read", "directory", "catalogue"];
    let key = server.credential("acme", &scopes).await;
    assert_eq!(request_all(&key, &path).await, BTreeSet::from([403]));
    // The same ids in another organisation are other users.
    let other_admin = server.person_of("other", json!({"sub": "ada", "role": "owner"}));
    other_admin.post("/v1/users/batch", &people()).await.expect(200);
    assert_eq!(other_admin.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
    other_admin.get(&path).await.expect(404);
    other_admin.get(&format!("{path}/history")).await.expect(404);
    other_admin.patch(&path, &json!({"text": "Theirs"})).await.expect(404);
    let now = ada.list("/v1/users/bo/notes", "notes").await;
    assert!(texts(&now).iter().all(|text| [SECRET, "Knock"].contains(text)));
}

#[apply(both_databases)]
async fn notes_follow_the_manager_and_stay_after_deactivation(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    let (mo, dee) = (server.person("manager", "mo"), server.person("manager", "dee"));
    mo.get(&path).await.expect(200);
    dee.get(&path).await.expect(404);
    ada.patch("/v1/users/bo", &json!({"manager": "dee"})).await.expect(200);
    mo.get(&path).await.expect(404);
    mo.get("/v1/users/bo/notes").await.expect(404);
    assert_eq!(dee.get(&path).await.expect(200).json()["text"], SECRET);
    // The manager of a deactivated user still reads and writes notes.
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    dee.post("/v1/users/bo/notes", &json!({"text": "Left"})).await.expect(201);
    assert_eq!(texts(&dee.list("/v1/users/bo/notes", "notes").await), ["Left", SECRET]);
    dee.patch(&path, &json!({"text": "Corrected"})).await.expect(200);
    // A deactivated author cannot read the note any more.
    ada.patch("/v1/users/dee", &json!({"active": false})).await.expect(200);
    dee.get(&path).await.expect(403);
    assert_eq!(ada.get(&path).await.expect(200).json()["updated_by"], person_reference("dee"));
}

#[apply(both_databases)]
async fn author_of_a_note_must_be_within_reach(server: &TestServer) {
    let ada = set_up(server).await;
    let mo = server.person("manager", "mo");
    let write = async |caller: &Caller, by: &str| -> Answer {
        caller.post("/v1/users/bo/notes", &json!({"text": SECRET, "created_by": by})).await
    };
    // An unknown user and a user outside the reach get the same answer, which does not repeat the request.
    let (unknown, hidden) = (write(&mo, "nobody").await.expect(400), write(&mo, "ada").await.expect(400));
    let without_request_id_of = |answer: &Answer| {
        let mut without_request_id_of = answer.json();
        without_request_id_of["request_id"] = Value::Null;
        without_request_id_of
    };
    assert_eq!(without_request_id_of(&unknown), without_request_id_of(&hidden));
    assert!(!unknown.text().contains("nobody") && !unknown.text().contains("zebra"));
    for by in ["mo", "bo", "cy"] {
        assert_eq!(write(&mo, by).await.expect(201).json()["created_by"], person_reference(by));
    }
    for by in ["mo", "ada", "bo", "dee"] {
        assert_eq!(write(&ada, by).await.expect(201).json()["created_by"], person_reference(by));
    }
    let other_owner = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other_owner.put("/v1/users/bo", &user("bo")).await.expect(201);
    write(&other_owner, "ada").await.expect(400);
    assert_eq!(other_owner.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn no_other_resource_contains_a_note(server: &TestServer) {
    let ada = set_up(server).await;
    ada.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    ada.post("/v1/activities", &activity("bo", "completed").set("content", "fire")).await.expect(201);
    let before = ada.get("/v1/activities?count=exact").await.expect(200).json();
    let path = format!("/v1/notes/{}", create_note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    ada.patch(&path, &json!({"text": format!("{SECRET}, again")})).await.expect(200);
    assert_eq!(
        ada.get("/v1/activities?count=exact").await.expect(200).json(),
        before,
        "a note is not an activity"
    );
    let scopes = ["all", "activities/write", "activities/read", "directory", "catalogue"];
    let key = server.credential("acme", &scopes).await;
    let callers = [
        ada.clone(),
        server.person("reporter", "dee"),
        server.person("manager", "mo"),
        server.person("learner", "bo"),
        server.person("hr", "bo"),
        key.clone(),
    ];
    let mut answered = BTreeSet::new();
    for caller in &callers {
        for path in [
            "/v1/activities",
            "/v1/activities?action=visited,other&include_deactivated=true",
            "/v1/activities/export.csv?columns=full",
            "/v1/activities/export.csv?columns=standard&raw=true",
            "/v1/activities/export.ndjson",
            "/v1/activities/summary?by=user,action",
            "/v1/facets",
            "/v1/contents/fire/progress",
            "/v1/contents/fire/progress.csv",
            "/v1/users/bo",
            "/v1/users?q=zebra",
            "/v1/users/bo/activities",
            "/v1/contents",
            "/v1/organisation",
            "/xapi/statements",
            "/xapi/statements?format=canonical",
            "/openapi.json",
            "/metrics",
        ] {
            let answer = caller.get(path).await;
            if answer.status == 200 {
                answered.insert(path);
            }
            assert!(answer.status < 500, "{path}: {}", answer.status);
            assert!(!String::from_utf8_lossy(&answer.body).contains("zebra"), "{path}");
        }
    }
    assert_eq!(answered.len(), 18, "each path must succeed for at least one caller: {answered:?}");
    // Callers without the right to read notes do not see them in a timeline either.
    for caller in &callers[3..] {
        let timeline = caller.get("/v1/users/bo/timeline?count=exact").await.expect(200);
        assert!(!timeline.text().contains("zebra"));
        assert_eq!(timeline.json()["total"], 1);
    }
    assert!(
        callers[1].get("/v1/users/bo/timeline").await.expect(200).json()["entries"]
            .as_array()
            .is_some_and(|all| all.len() == 1)
    );
    // A rebuild does not change notes.
    let stored = ada.get(&path).await.expect(200).json();
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(ada.get(&path).await.expect(200).json(), stored);
    assert_eq!(ada.get("/v1/activities?count=exact").await.expect(200).json(), before);
}

#[apply(both_databases)]
async fn reading_and_refused_requests_create_no_organisation(server: &TestServer) {
    let owner = server.person("owner", "root");
    owner.get("/v1/users/bo/notes").await.expect(404);
    owner.post("/v1/users/bo/notes", &json!({"text": "a"})).await.expect(404);
    owner.get(NO_SUCH_NOTE).await.expect(404);
    owner.patch(NO_SUCH_NOTE, &json!({"text": "a"})).await.expect(404);
    assert_eq!(server.store.organisations().await.expect("a list").len(), 0);
}

#[apply(both_databases)]
async fn page_of_notes_uses_its_index(server: &TestServer) {
    let ada = set_up(server).await;
    create_note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await;
    let database = server.database();
    let (copy, series) = (database.random_id(), database.series(20_000));
    database.execute(&format!(
        "INSERT INTO notes SELECT org, 100000 + s.n, {copy}, user_key + s.n % 400, happened_at + s.n, text, created_by, created_at, 1, \
         written_by, written_at FROM notes CROSS JOIN ({series}) s"
    )).await;
    if matches!(database, Database::Postgres { .. }) {
        database.execute("ANALYZE notes").await;
    }
    let person = Person {
        org: OrgId::new("acme").expect("an id"),
        user: UserId::new("hal").expect("an id"),
        role: Role::Hr,
        permissions: Permissions::default(),
        reports: None,
        expires_at: Timestamp::default(),
    };
    let subjects = Subjects::<Notes>::for_caller(&Principal::from(person), &ReachRules::default())
        .expect("hr may read notes");
    let about = UserId::new("bo").expect("an id");
    let plan = server.store.explain_notes(&subjects, &about, 51).await.expect("a plan").join("\n");
    assert!(plan.contains("notes_user"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{plan}");
}
