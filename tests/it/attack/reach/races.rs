//! Many requests at the same moment for the same thing: exactly one of them creates, changes or deletes it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{activity, content, user};
use crate::support::http::{Answer, Caller};
use crate::support::records::{STATEMENTS, VOIDED, numbered_statement, voiding_statement};
use crate::support::{Database, TestServer, apply, both_databases};

/// The number of requests at the same moment.
const AT_ONCE: usize = 12;

/// The servers that get the requests in turn: on PostgreSQL two with the same database.
struct Servers<'s> {
    first: &'s TestServer,
    second: Option<TestServer>,
}

impl<'s> Servers<'s> {
    async fn start(first: &'s TestServer) -> Self {
        let second = match first.database() {
            Database::Sqlite { .. } => None,
            Database::Postgres { .. } => Some(first.start_replica().await),
        };
        Self { first, second }
    }

    /// A person of each server, in turn.
    fn persons(&self, role: &str, id: &str) -> Vec<Caller> {
        let servers = [Some(self.first), self.second.as_ref()];
        servers.into_iter().flatten().map(|server| server.person(role, id)).cycle().take(AT_ONCE).collect()
    }

    async fn stop(self) {
        if let Some(second) = self.second {
            second.stop().await;
        }
    }
}

/// Sends one request of each caller at the same moment. Returns the answers.
async fn at_once<F: Future<Output = Answer>>(
    callers: &[Caller],
    request: impl Fn(usize, Caller) -> F,
) -> Vec<Answer> {
    join_all(callers.iter().cloned().enumerate().map(|(number, caller)| request(number, caller))).await
}

/// Checks that one answer has the status `first`, and all others the status `others`.
#[track_caller]
fn assert_one(answers: &[Answer], first: u16, others: u16) {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    let mut expected = vec![others; answers.len() - 1];
    expected.push(first);
    expected.sort_unstable();
    assert_eq!(statuses, expected);
}

/// The number of voiding statements.
async fn count_voidings(admin: &Caller) -> usize {
    let verb: String = form_urlencoded::byte_serialize(VOIDED.as_bytes()).collect();
    let page = admin.get(&format!("{STATEMENTS}?verb={verb}&limit=500")).await.expect(200).json();
    page["statements"].as_array().expect("statements").len()
}

#[apply(both_databases)]
async fn activity_deleted_many_times_at_once_is_voided_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let admin = &admins[0];
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    for round in 1..=4 {
        let created = admin
            .post("/v1/activities", &activity("bo", "viewed").set("content", "c1"))
            .await
            .expect(201)
            .json();
        let path = format!("/v1/activities/{}", created["id"].as_str().expect("an id"));
        let answers = at_once(&admins, async |_, caller| caller.delete(&path).await).await;
        assert_one(&answers, 204, 404);
        assert_eq!(count_voidings(admin).await, round);
        admin.get(&path).await.expect(404);
    }
    servers.stop().await;
}

/// A voiding statement of a client is stored in any case, as xAPI demands. A deletion at the same moment writes no second
/// one after it.
#[apply(both_databases)]
async fn deletion_beside_voiding_statements_adds_at_most_one(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let admin = &admins[0];
    admin.post(STATEMENTS, &numbered_statement(1)).await.expect(200);
    let path = format!("/v1/activities/{}", crate::support::records::id(1));
    let answers = at_once(&admins, async |number, caller| match number % 2 {
        0 => caller.delete(&path).await,
        _ => caller.post(STATEMENTS, &voiding_statement(100 + number, 1)).await.expect(200),
    })
    .await;
    let deleted = answers.iter().filter(|answer| answer.status == 204).count();
    assert!(deleted <= 1, "{deleted} deletions succeeded");
    assert_eq!(count_voidings(admin).await, AT_ONCE / 2 + deleted);
    admin.get(&path).await.expect(404);
    servers.stop().await;
}

#[apply(both_databases)]
async fn element_created_many_times_at_once_is_new_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let bodies = [
        ("/v1/users/bo", json!({"id": "bo", "first_name": "Bo"})),
        ("/v1/teams/t1", json!({"id": "t1", "name": "Team"})),
        ("/v1/groups/g1", json!({"id": "g1", "name": "Group"})),
        ("/v1/contents/c1", json!({"id": "c1", "title": "Content", "type": "quiz"})),
    ];
    for (path, body) in bodies {
        let answers = at_once(&admins, async |_, caller| caller.put(path, &body).await).await;
        assert_one(&answers, 201, 200);
        let (list, _) = path.rsplit_once('/').expect("a path");
        let plural = list.trim_start_matches("/v1/");
        assert_eq!(admins[0].list(list, plural).await.len(), 1, "{list}");
    }
    servers.stop().await;
}

/// Statements with the same id, sent at the same moment: one is stored, and the others are the same or a conflict.
#[apply(both_databases)]
async fn statement_sent_many_times_at_once_is_stored_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let answers =
        at_once(&admins, async |_, caller| caller.post(STATEMENTS, &numbered_statement(1)).await).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let differing = at_once(&admins, async |number, caller| {
        let mut statement = numbered_statement(2);
        statement["object"]["id"] = json!(format!("urn:c{number}"));
        caller.post(STATEMENTS, &statement).await
    })
    .await;
    assert_one(&differing, 200, 409);
    let page = admins[0].get(&format!("{STATEMENTS}?limit=500")).await.expect(200).json();
    assert_eq!(page["statements"].as_array().expect("statements").len(), 2);
    servers.stop().await;
}

#[apply(both_databases)]
async fn document_that_must_be_new_is_written_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let path = "/xapi/activities/profile?activityId=urn:c&profileId=p";
    let answers = at_once(&admins, async |number, caller| {
        let headers = [("if-none-match", "*"), ("content-type", "application/json")];
        let body = json!({"number": number}).to_string().into_bytes();
        caller.send(Method::PUT, path, &headers, body).await
    })
    .await;
    assert_one(&answers, 204, 412);
    let tag = admins[0].get(path).await.expect(200).header("etag").expect("an ETag").to_owned();
    let answers = at_once(&admins, async |number, caller| {
        let headers = [("if-match", tag.as_str()), ("content-type", "application/json")];
        let body = json!({"again": number}).to_string().into_bytes();
        caller.send(Method::PUT, path, &headers, body).await
    })
    .await;
    assert_one(&answers, 204, 412);
    servers.stop().await;
}

#[apply(both_databases)]
async fn report_and_its_schedule_are_changed_and_deleted_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let admin = &admins[0];
    admin
        .put("/v1/users/root", &user("root").set("role", "admin").set("email", "r@example.org"))
        .await
        .expect(201);
    let report =
        location(&admin.post("/v1/reports", &json!({"name": "All", "filter": {}})).await.expect(201));
    let daily = json!({"frequency": "daily", "at": "08:00", "recipients": ["root"], "active": false});
    let schedule = location(&admin.post(&format!("{report}/schedules"), &daily).await.expect(201));
    for (path, change) in [(&schedule, json!({"active": true})), (&report, json!({"name": "Other"}))] {
        let tag = admin.get(path).await.expect(200).header("etag").expect("an ETag").to_owned();
        let answers = at_once(&admins, async |_, caller| {
            let headers = [("if-match", tag.as_str()), ("content-type", "application/merge-patch+json")];
            caller.send(Method::PATCH, path, &headers, change.to_string().into_bytes()).await
        })
        .await;
        assert_one(&answers, 200, 412);
    }
    for path in [&schedule, &report] {
        let answers = at_once(&admins, async |_, caller| caller.delete(path).await).await;
        assert_one(&answers, 204, 404);
    }
    servers.stop().await;
}

#[apply(both_databases)]
async fn credential_and_key_are_revoked_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let admin = &admins[0];
    let credential = json!({"name": "LMS", "scopes": ["statements/write"]});
    let credential = location(&admin.post("/v1/credentials", &credential).await.expect(201));
    let report =
        location(&admin.post("/v1/reports", &json!({"name": "All", "filter": {}})).await.expect(201));
    let key = admin.post(&format!("{report}/keys"), &json!({"name": "BI"})).await.expect(201).json();
    let key = format!("{report}/keys/{}", key["id"].as_str().expect("an id"));
    for path in [&credential, &key] {
        let answers = at_once(&admins, async |_, caller| caller.delete(path).await).await;
        assert_one(&answers, 204, 404);
    }
    servers.stop().await;
}

/// Marks of the same user at the same moment create one completion, and notes of them are not lost or doubled.
#[apply(both_databases)]
async fn completion_marked_many_times_at_once_is_created_once(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admins = servers.persons("admin", "root");
    let admin = &admins[0];
    admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let mark =
        json!({"content": "c1", "users": ["bo"], "happened_at": "2026-03-01T09:00:00Z", "note": "Seen"});
    let answers = at_once(&admins, async |_, caller| caller.post("/v1/completions", &mark).await).await;
    let outcomes: Vec<Value> =
        answers.iter().map(|answer| answer.json()["results"][0]["outcome"].clone()).collect();
    let created = outcomes.iter().filter(|outcome| **outcome == json!("created")).count();
    assert_eq!(created, 1, "{outcomes:?}");
    let notes = admin.get("/v1/users/bo/notes").await.expect(200).json();
    assert_eq!(notes["notes"].as_array().expect("notes").len(), 1);
    // A patch of the note at the same moment makes one version for each text.
    let note = format!("/v1/notes/{}", notes["notes"][0]["id"].as_str().expect("an id"));
    at_once(&admins, async |_, caller| caller.patch(&note, &json!({"text": "Changed"})).await.expect(200))
        .await;
    let history = admin.get(&format!("{note}/history")).await.expect(200).json();
    assert_eq!(history["versions"].as_array().expect("versions").len(), 1);
    servers.stop().await;
}

fn location(answer: &Answer) -> String {
    answer.header("location").expect("a location").to_owned()
}
