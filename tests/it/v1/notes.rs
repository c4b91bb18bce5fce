//! `/v1/users/{id}/notes` and `/v1/notes/{id}`: written, changed with their history, and for nobody but those whom
//! the product text names: never for their subject, for a credential, or for any other way out.

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

/// A text that nothing but a note holds.
const SECRET: &str = "Parental leave, zebra-4711";
const NO_SUCH_NOTE: &str = "/v1/notes/00000000-0000-4000-8000-00000000000a";

/// An admin `ada`, hr `hal`, and a tree of managers: `top` over `mo` over `bo` over `cy`; `dee` is beside it.
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

/// Writes a note about a user and gives its id.
pub async fn note(writer: &Caller, about: &str, text: &str, happened_at: &str) -> String {
    let body = json!({"text": text, "happened_at": happened_at});
    let created = writer.post(&format!("/v1/users/{about}/notes"), &body).await.expect(201).json();
    created["id"].as_str().expect("an id").to_owned()
}

fn texts(notes: &[Value]) -> Vec<&str> {
    notes.iter().map(|note| note["text"].as_str().expect("a text")).collect()
}

fn named(id: &str) -> Value {
    json!({"id": id, "name": format!("{id} Example")})
}

/// Everything that can be asked of notes about `bo`, of whom there is the one at `path`: what each request is answered.
async fn knocking(caller: &Caller, path: &str) -> BTreeSet<u16> {
    let words = json!({"text": "Knock"});
    let mut statuses = BTreeSet::new();
    for answer in [
        caller.get("/v1/users/bo/notes").await,
        caller.post("/v1/users/bo/notes", &words).await,
        caller.get(path).await,
        caller.patch(path, &words).await,
        caller.get(&format!("{path}/history")).await,
    ] {
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET) || answer.status == 200);
        statuses.insert(if answer.status == 201 { 200 } else { answer.status });
    }
    statuses
}

#[apply(both_databases)]
async fn a_note_is_written_and_read_back(server: &TestServer) {
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
            "happened_at": "2026-03-01T09:00:00.123Z", "created_by": named("ada"),
            "created_at": "2026-03-18T10:18:23.000Z", "updated_at": "2026-03-18T10:18:23.000Z", "updated_by": named("hal")
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
    // Nothing said: now, and by the caller, who need not be in the directory. It may lie ahead as well.
    let root = server.person("owner", "root");
    let created = root.post("/v1/users/bo/notes", &json!({"text": "a"})).await.expect(201).json();
    assert_eq!(
        (&created["happened_at"], &created["created_by"]),
        (&json!("2026-03-18T10:18:23.000Z"), &json!({"id": "root", "name": null}))
    );
    let ahead = root
        .post(
            "/v1/users/bo/notes",
            &json!({"text": "a", "happened_at": "2031-01-01T00:00:00Z", "created_by": null}),
        )
        .await;
    assert_eq!(ahead.expect(201).json()["happened_at"], "2031-01-01T00:00:00.000Z");
    // Names are those of now.
    root.patch("/v1/users/ada", &json!({"first_name": "Ada", "last_name": "Obi"})).await.expect(200);
    assert_eq!(hal.get(&path).await.expect(200).json()["created_by"]["name"], "Ada Obi");
}

#[apply(both_databases)]
async fn a_changed_note_keeps_what_stood_there(server: &TestServer) {
    let ada = set_up(server).await;
    let (hal, mo) = (server.person("hr", "hal"), server.person("manager", "mo"));
    let path = format!("/v1/notes/{}", note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
    let history = format!("{path}/history");
    advance_clock(server, 3600);
    let second = hal.patch(&path, &json!({"text": "Two"})).await.expect(200).json();
    assert_eq!(
        (&second["text"], &second["happened_at"]),
        (&json!("Two"), &json!("2026-03-01T09:00:00.000Z"))
    );
    assert_eq!((&second["created_by"], &second["updated_by"]), (&named("ada"), &named("hal")));
    assert_eq!(
        (&second["created_at"], &second["updated_at"]),
        (&json!("2026-03-18T10:17:23.000Z"), &json!("2026-03-18T11:17:23.000Z"))
    );
    advance_clock(server, 3600);
    // What is the same is no change, whoever sends it.
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
        (&json!("Two"), &json!("2026-02-28T09:00:00.000Z"), &named("mo"))
    );
    assert_eq!(hal.get(&path).await.expect(200).json(), third);
    assert_eq!(
        hal.get(&history).await.expect(200).json(),
        json!({"next": null, "versions": [
            {"version": 2, "text": "Two", "happened_at": "2026-03-01T09:00:00.000Z", "updated_by": named("hal"), "updated_at": "2026-03-18T11:17:23.000Z"},
            {"version": 1, "text": "One", "happened_at": "2026-03-01T09:00:00.000Z", "updated_by": named("ada"), "updated_at": "2026-03-18T10:17:23.000Z"},
        ]})
    );
    // It is never taken away, nor written anew.
    for method in [Method::DELETE, Method::PUT] {
        hal.send(method, &path, &[], Vec::new()).await.expect(405);
    }
}

#[apply(both_databases)]
async fn edits_at_once_are_all_in_the_history(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", note(&ada, "bo", "0", "2026-03-01T09:00:00Z").await);
    let edits: Vec<Value> = (1..=8).map(|n| json!({"text": n.to_string()})).collect();
    for answer in join_all(edits.iter().map(|edit| ada.patch(&path, edit))).await {
        answer.expect(200);
    }
    let versions = ada.get(&format!("{path}/history")).await.expect(200).json()["versions"].clone();
    let numbers: Vec<i64> =
        versions.as_array().expect("versions").iter().filter_map(|one| one["version"].as_i64()).collect();
    assert_eq!(numbers, [8, 7, 6, 5, 4, 3, 2, 1]);
    let mut said: Vec<String> =
        texts(versions.as_array().expect("versions")).into_iter().map(str::to_owned).collect();
    said.push(ada.get(&path).await.expect(200).json()["text"].as_str().expect("a text").to_owned());
    said.sort_unstable();
    assert_eq!(said, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[apply(both_databases)]
async fn a_note_has_at_most_a_thousand_versions(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
    server.database().execute("UPDATE notes SET version = 999").await;
    ada.patch(&path, &json!({"text": "Two"})).await.expect(200);
    let refused = ada.patch(&path, &json!({"text": "Three"})).await.expect(409).json();
    assert_eq!(refused["code"], "conflict");
    assert_eq!(ada.patch(&path, &json!({"text": "Two"})).await.expect(200).json()["text"], "Two");
}

#[apply(both_databases)]
async fn what_is_wrong_is_named_at_its_place(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await);
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
    assert_eq!(ada.list("/v1/users/bo/notes", "notes").await.len(), 2, "nothing else was kept");
    assert_eq!(ada.get(&format!("{path}/history")).await.expect(200).json()["versions"], json!([]));
}

#[apply(both_databases)]
async fn notes_are_listed_the_newest_first_page_by_page(server: &TestServer) {
    let ada = set_up(server).await;
    let mut written = Vec::new();
    for n in 0..7 {
        // Several at one moment, not in the order of their writing.
        let day = [3, 1, 2, 2, 1, 2, 3][n];
        note(&ada, "bo", &n.to_string(), &format!("2026-03-0{day}T09:00:00Z")).await;
        written.push((day, n));
        note(&ada, "cy", "Elsewhere", "2026-03-02T09:00:00Z").await;
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
    // A cursor is good for who got it, and for whom it was asked about.
    server.person("hr", "hal").get(&next).await.expect(400);
    ada.get(&next.replace("/bo/", "/cy/")).await.expect(400);
}

#[apply(both_databases)]
async fn each_role_reads_about_whom_the_contract_says(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    let person = |role: &str, user: &str| server.person(role, user);
    let claims = |claims: Value| server.person_of("acme", claims);
    let manager = |user: &str, more: Value| {
        let mut all = json!({"sub": user, "role": "manager"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        claims(all)
    };
    for indirect in [true, false] {
        ada.patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect})).await.expect(200);
        let seen_by_top = if indirect { 200 } else { 404 };
        let all: Vec<&str> = vec!["reporting", "mark_complete", "indirect_reports"];
        for (caller, expected, who) in [
            (person("owner", "ada"), 200, "an owner"),
            (person("admin", "ada"), 200, "an admin"),
            (person("hr", "hal"), 200, "hr"),
            (person("hr", "stranger"), 200, "hr whom the directory doesn't have"),
            (person("manager", "mo"), 200, "the manager"),
            (person("manager", "top"), seen_by_top, "the manager's manager"),
            (
                manager("top", json!({"permissions": ["indirect_reports"]})),
                200,
                "the same with the permission",
            ),
            (person("manager", "cy"), 404, "a report as a manager"),
            (person("manager", "dee"), 404, "a manager of nobody"),
            (manager("dee", json!({"reports": {"direct": ["bo"]}})), 200, "who has the report by the token"),
            (
                manager("dee", json!({"reports": {"indirect": ["bo"]}})),
                seen_by_top,
                "who has the indirect report by the token",
            ),
            (
                manager("mo", json!({"reports": {"direct": ["cy"]}})),
                404,
                "the manager, whose token knows otherwise",
            ),
            // The subject, whatever the role.
            (person("owner", "bo"), 404, "the subject as owner"),
            (person("admin", "bo"), 404, "the subject as admin"),
            (person("hr", "bo"), 404, "the subject as hr"),
            (person("manager", "bo"), 404, "the subject as a manager"),
            (
                manager("bo", json!({"reports": {"direct": ["bo", "cy"], "indirect": []}})),
                404,
                "the subject, who claims to be their own report",
            ),
            (person("learner", "bo"), 403, "the subject"),
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
                knocking(&caller, &path).await,
                BTreeSet::from([expected]),
                "{who}, indirect: {indirect}"
            );
        }
    }
    let scopes = ["all", "activities/write", "activities/read", "directory", "catalogue"];
    let key = server.credential("acme", &scopes).await;
    assert_eq!(knocking(&key, &path).await, BTreeSet::from([403]));
    // The same ids elsewhere are others.
    let theirs = server.person_of("other", json!({"sub": "ada", "role": "owner"}));
    theirs.post("/v1/users/batch", &people()).await.expect(200);
    assert_eq!(theirs.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
    theirs.get(&path).await.expect(404);
    theirs.get(&format!("{path}/history")).await.expect(404);
    theirs.patch(&path, &json!({"text": "Theirs"})).await.expect(404);
    let now = ada.list("/v1/users/bo/notes", "notes").await;
    assert!(texts(&now).iter().all(|text| [SECRET, "Knock"].contains(text)));
}

#[apply(both_databases)]
async fn notes_follow_the_tree_of_managers_and_stay_when_somebody_leaves(server: &TestServer) {
    let ada = set_up(server).await;
    let path = format!("/v1/notes/{}", note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    let (mo, dee) = (server.person("manager", "mo"), server.person("manager", "dee"));
    mo.get(&path).await.expect(200);
    dee.get(&path).await.expect(404);
    ada.patch("/v1/users/bo", &json!({"manager": "dee"})).await.expect(200);
    mo.get(&path).await.expect(404);
    mo.get("/v1/users/bo/notes").await.expect(404);
    assert_eq!(dee.get(&path).await.expect(200).json()["text"], SECRET);
    // Deactivated: their manager still reads, and notes why.
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    dee.post("/v1/users/bo/notes", &json!({"text": "Left"})).await.expect(201);
    assert_eq!(texts(&dee.list("/v1/users/bo/notes", "notes").await), ["Left", SECRET]);
    dee.patch(&path, &json!({"text": "Corrected"})).await.expect(200);
    // Who wrote may leave, too, and lose what they could read.
    ada.patch("/v1/users/dee", &json!({"active": false})).await.expect(200);
    dee.get(&path).await.expect(403);
    assert_eq!(ada.get(&path).await.expect(200).json()["updated_by"], named("dee"));
}

#[apply(both_databases)]
async fn whoever_did_it_is_named_within_the_reach(server: &TestServer) {
    let ada = set_up(server).await;
    let mo = server.person("manager", "mo");
    let write = async |caller: &Caller, by: &str| -> Answer {
        caller.post("/v1/users/bo/notes", &json!({"text": SECRET, "created_by": by})).await
    };
    // Nobody, and somebody whom the manager can't see: one answer, which repeats nothing that was sent.
    let (unknown, hidden) = (write(&mo, "nobody").await.expect(400), write(&mo, "ada").await.expect(400));
    let told = |answer: &Answer| {
        let mut told = answer.json();
        told["request_id"] = Value::Null;
        told
    };
    assert_eq!(told(&unknown), told(&hidden));
    assert!(!unknown.text().contains("nobody") && !unknown.text().contains("zebra"));
    for by in ["mo", "bo", "cy"] {
        assert_eq!(write(&mo, by).await.expect(201).json()["created_by"], named(by));
    }
    for by in ["mo", "ada", "bo", "dee"] {
        assert_eq!(write(&ada, by).await.expect(201).json()["created_by"], named(by));
    }
    let elsewhere = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    elsewhere.put("/v1/users/bo", &user("bo")).await.expect(201);
    write(&elsewhere, "ada").await.expect(400);
    assert_eq!(elsewhere.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn no_other_way_out_shows_a_note(server: &TestServer) {
    let ada = set_up(server).await;
    ada.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    ada.post("/v1/activities", &activity("bo", "completed").set("content", "fire")).await.expect(201);
    let before = ada.get("/v1/activities?count=exact").await.expect(200).json();
    let path = format!("/v1/notes/{}", note(&ada, "bo", SECRET, "2026-03-01T09:00:00Z").await);
    ada.patch(&path, &json!({"text": format!("{SECRET}, again")})).await.expect(200);
    assert_eq!(ada.get("/v1/activities?count=exact").await.expect(200).json(), before, "a note is no row");
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
    assert_eq!(answered.len(), 18, "each was answered to somebody: {answered:?}");
    // Those who may not read notes don't see them in a timeline, either.
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
    // Replaying the records leaves notes as they are.
    let stored = ada.get(&path).await.expect(200).json();
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(ada.get(&path).await.expect(200).json(), stored);
    assert_eq!(ada.get("/v1/activities?count=exact").await.expect(200).json(), before);
}

#[apply(both_databases)]
async fn reading_makes_no_organisation_nor_does_a_refusal(server: &TestServer) {
    let owner = server.person("owner", "root");
    owner.get("/v1/users/bo/notes").await.expect(404);
    owner.post("/v1/users/bo/notes", &json!({"text": "a"})).await.expect(404);
    owner.get(NO_SUCH_NOTE).await.expect(404);
    owner.patch(NO_SUCH_NOTE, &json!({"text": "a"})).await.expect(404);
    assert_eq!(server.store.organisations().await.expect("a list").len(), 0);
}

#[apply(both_databases)]
async fn a_page_of_notes_walks_its_index(server: &TestServer) {
    let ada = set_up(server).await;
    note(&ada, "bo", "One", "2026-03-01T09:00:00Z").await;
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
    let subjects = Subjects::<Notes>::of(&Principal::from(person), &ReachRules::default()).expect("hr may");
    let about = UserId::new("bo").expect("an id");
    let plan = server.store.explain_notes(&subjects, &about, 51).await.expect("a plan").join("\n");
    assert!(plan.contains("notes_user"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{plan}");
}
