//! A lock or a long task of one organisation does not delay another organisation.

use std::time::{Duration, Instant};

use rollbook::base::clock::Clock;
use rollbook::base::ids::OrgId;
use rollbook::log::VerbTable;
use rollbook::store::{DatabaseSettings, Store};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::builders::{activity, content, group, mailbox, statement, team, user};
use crate::support::http::{Answer, Caller};
use crate::support::process::{Process, serve};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::{ORG, run, run_with_database, sign};
use crate::support::{Database, TestServer, apply, both_databases};

/// The organisation that must not notice anything of [`ORG`].
const OTHER: &str = "other";

/// The duration within which each request of the other organisation must be answered.
const AS_USUAL: Duration = Duration::from_secs(1);

/// A transaction that holds the lock of an organisation, as a writer of a replica that hangs does.
struct LedgerLock(PgConnection);

impl LedgerLock {
    async fn acquire(database: &Database, organisation: &str) -> Self {
        let mut connection = PgConnection::connect(&database.url()).await.expect("the cluster answers");
        let lock = format!(
            "BEGIN; SELECT l.seq FROM ledgers l JOIN organisations o ON o.key = l.org \
             WHERE o.id = '{organisation}' FOR UPDATE OF l"
        );
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.expect("the lock is free");
        Self(connection)
    }

    async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.expect("the transaction ends");
        self.0.close().await.expect("the connection closes");
    }
}

/// Sends requests to all write paths of an organisation, each as a task. Returns the tasks.
fn send_writes(admin: &Caller, xapi: &Caller, count: usize) -> Vec<tokio::task::JoinHandle<Answer>> {
    let tasks = (0..count).map(|number| {
        let (admin, xapi) = (admin.clone(), xapi.clone());
        tokio::spawn(async move {
            match number % 5 {
                0 => admin.put(&format!("/v1/users/w{number}"), &user(&format!("w{number}"))).await,
                1 => admin.post("/v1/activities", &activity("bo", "completed").set("content", "c1")).await,
                2 => xapi.post(STATEMENTS, &statement(mailbox("a@x.example"), COMPLETED, "urn:c")).await,
                3 => xapi.post(&document(number), &json!({"number": number})).await,
                _ => admin.patch("/v1/organisation", &json!({"name": format!("Name {number}")})).await,
            }
        })
    });
    tasks.collect()
}

/// The path of a state document.
fn document(number: usize) -> String {
    format!(
        "/xapi/activities/state?activityId=urn:c&stateId=s{number}&agent=%7B%22mbox%22%3A%22mailto%3Aa%40x.example%22%7D"
    )
}

/// Waits for an answer and checks the time that it took.
async fn in_time(name: &str, request: impl Future<Output = Answer>, status: u16) -> Answer {
    let begin = Instant::now();
    let answer = request.await.expect(status);
    let elapsed = begin.elapsed();
    assert!(elapsed < AS_USUAL, "{name} took {elapsed:?}");
    answer
}

async fn set_up(server: &TestServer, organisation: &str) -> (Caller, Caller) {
    let admin = server.person_of(organisation, json!({"sub": "ada", "role": "admin"}));
    admin.put("/v1/users/bo", &user("bo").set("email", "bo@x.example")).await.expect(201);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    admin.post("/v1/activities", &activity("bo", "completed").set("content", "c1")).await.expect(201);
    let xapi = server.credential(organisation, &["all"]).await;
    (admin, xapi)
}

/// Every kind of request, each in time.
async fn check_all_requests(admin: &Caller, xapi: &Caller) {
    let put = async |path: &str, body: &_| admin.put(path, body).await;
    in_time("a user", put("/v1/users/new", &user("new")), 201).await;
    in_time("a team", put("/v1/teams/new", &team("new")), 201).await;
    in_time("a group", put("/v1/groups/new", &group("new")), 201).await;
    in_time("a content", put("/v1/contents/new", &content("new", "quiz")), 201).await;
    let short = activity("bo", "completed").set("content", "c1");
    in_time("a short form", admin.post("/v1/activities", &short), 201).await;
    let full = statement(mailbox("a@x.example"), COMPLETED, "urn:c");
    in_time("a statement", xapi.post(STATEMENTS, &full), 200).await;
    in_time("a document", xapi.post(&document(1), &json!({"a": 1})), 204).await;
    let note = json!({"text": "Well done", "happened_at": "2026-01-01T09:00:00Z"});
    in_time("a note", admin.post("/v1/users/bo/notes", &note), 201).await;
    let completion = json!({"content": "new", "users": ["bo"]});
    in_time("a completion", admin.post("/v1/completions", &completion), 200).await;
    for path in [
        "/v1/users",
        "/v1/activities",
        "/v1/activities/summary?by=action",
        "/v1/activities/export.csv",
        "/v1/activities/export.ndjson",
    ] {
        in_time(path, admin.get(path), 200).await;
    }
    in_time("statements", xapi.get(STATEMENTS), 200).await;
    in_time("the document", xapi.get(&document(1)), 200).await;
}

#[test]
fn locked_organisation_delays_no_other() {
    run(Database::postgres(), async |server: &TestServer| {
        let (admin, xapi) = set_up(server, ORG).await;
        let (other_admin, other_xapi) = set_up(server, OTHER).await;
        let lock = LedgerLock::acquire(server.database(), ORG).await;
        let waiting = send_writes(&admin, &xapi, 40);
        tokio::time::sleep(Duration::from_millis(200)).await;
        check_all_requests(&other_admin, &other_xapi).await;
        assert!(waiting.iter().all(|task| !task.is_finished()), "all writers of {ORG} wait for the lock");
        lock.release().await;
        for task in waiting {
            let answer = task.await.expect("a client does not panic");
            answer.expect_one_of(&[200, 201, 204]);
        }
    });
}

#[test]
fn rows_are_projected_again_while_another_organisation_is_locked() {
    run(Database::postgres(), async |server: &TestServer| {
        set_up(server, ORG).await;
        let (other_admin, other_xapi) = set_up(server, OTHER).await;
        server.database().execute("UPDATE contents SET reprojecting = true WHERE registered").await;
        let lock = LedgerLock::acquire(server.database(), ORG).await;
        check_reprojection(&other_admin, &other_xapi).await;
        lock.release().await;
    });
}

/// Changes a content with so many rows that they are projected again in the background.
async fn check_reprojection(admin: &Caller, xapi: &Caller) {
    let iri = admin.get("/v1/contents/c1").await.expect(200).json()["iri"].clone();
    let iri = iri.as_str().expect("a content has an IRI");
    let rows: Vec<Value> =
        (0..1_100).map(|_| statement(mailbox("a@x.example"), COMPLETED, iri).json()).collect();
    for batch in rows.chunks(550) {
        xapi.post(STATEMENTS, &json!(batch)).await.expect(200);
    }
    let demands = json!({"pass_mark": 90});
    in_time("a change of demands", admin.patch("/v1/contents/c1", &demands), 200).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while admin.get("/v1/contents/c1").await.expect(200).json()["reprojecting"] == json!(true) {
        assert!(Instant::now() < deadline, "the rows are not projected again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn requests_of_a_locked_organisation_are_refused_in_time() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let mut command = serve(database);
        command.env("ROLLBOOK_DATABASE_WAIT", "1");
        let process = Process::start(command);
        let claims = |sub: &str| json!({"sub": sub, "role": "admin", "org": ORG, "exp": 4_000_000_000_u64});
        let anonymous = Caller::anonymous(reqwest::Client::new(), process.base.clone());
        let admin = anonymous.with_token(&sign(&claims("ada")));
        admin.put("/v1/users/bo", &user("bo")).await.expect(201);
        admin.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
        let lock = LedgerLock::acquire(database, ORG).await;
        let begin = Instant::now();
        let waiting: Vec<_> = (0..40)
            .map(|number| {
                let admin = admin.clone();
                tokio::spawn(async move {
                    if number % 2 == 0 {
                        admin.post("/v1/activities", &activity("bo", "logged_out")).await
                    } else {
                        admin.put(&format!("/v1/users/w{number}"), &user(&format!("w{number}"))).await
                    }
                })
            })
            .collect();
        for task in waiting {
            let answer = task.await.expect("a client does not panic").expect(503);
            assert!(answer.headers.contains_key("retry-after"));
        }
        let elapsed = begin.elapsed();
        assert!(elapsed < Duration::from_secs(5), "the answers took {elapsed:?}");
        lock.release().await;
        admin.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
        let rows = admin.get("/v1/activities").await.expect(200).json();
        assert_eq!(rows["activities"].as_array().map(Vec::len), Some(2), "refused records are not stored");
    });
}

#[apply(both_databases)]
async fn rebuild_delays_no_other_organisation(server: &TestServer) {
    let (_, xapi) = set_up(server, ORG).await;
    let (other_admin, other_xapi) = set_up(server, OTHER).await;
    for batch in 0..20 {
        let records: Vec<Value> = (0..1_000)
            .map(|number| {
                let actor = mailbox(&format!("u{}@x.example", number % 100));
                statement(actor, COMPLETED, &format!("urn:c{}", (batch + number) % 50)).json()
            })
            .collect();
        xapi.post(STATEMENTS, &json!(records)).await.expect(200);
    }
    let settings = DatabaseSettings::new(server.database().url());
    let store = Store::open(&settings, Clock::system(), VerbTable::standard()).await.expect("it opens");
    let rebuild = tokio::spawn({
        let (store, org) = (store.clone(), OrgId::new(ORG).expect("an id"));
        async move { store.rebuild(&org).await }
    });
    let mut durations = Vec::new();
    while !rebuild.is_finished() {
        let id = format!("u{}", durations.len());
        let begin = Instant::now();
        other_admin.put(&format!("/v1/users/{id}"), &user(&id)).await.expect(201);
        durations.push(begin.elapsed());
        let begin = Instant::now();
        let record = statement(mailbox("a@x.example"), COMPLETED, "urn:c");
        other_xapi.post(STATEMENTS, &record).await.expect(200);
        durations.push(begin.elapsed());
    }
    let records = rebuild.await.expect("the rebuild does not panic").expect("the rebuild ends well");
    assert_eq!(records, 20_001);
    store.close().await;
    assert!(durations.len() > 20, "the rebuild was too short to show anything");
    durations.sort_unstable();
    // On a busy machine a few requests are slow for other reasons. The whole rebuild takes longer than any of them.
    let most = durations[durations.len() * 19 / 20];
    let slowest = durations[durations.len() - 1];
    assert!(most < Duration::from_millis(500), "one of twenty requests took {most:?} or longer");
    assert!(slowest < Duration::from_secs(2), "a request of the other organisation took {slowest:?}");
}
