//! A copy that is built only from the feed equals the log, whatever happens: random operations of concurrent writers,
//! several servers on one database, commits that take long, and servers that are killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use super::copy::Copy;
use super::{LOGGED_IN, LOGGED_OUT};
use crate::support::builders::{content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::random::Random;
use crate::support::records::{COMPLETED, PASSED, VIEWED, id};
use crate::support::server::{ORG, sign};
use crate::support::{Database, TestServer, apply, both_databases};

/// The records of one writer have numbers from its first on.
const NUMBERS_OF_A_WRITER: usize = 10_000;

/// A random operation: method, path and body.
pub(in crate::v1) fn random_operation(
    random: &mut Random,
    sent: &mut usize,
    first: usize,
) -> (reqwest::Method, String, Value) {
    let email = |random: &mut Random| format!("p{}@example.org", random.below(4));
    let moment = |random: &mut Random| {
        format!("2026-0{}-{:02}T09:{:02}:00Z", 1 + random.below(2), 1 + random.below(28), random.below(60))
    };
    let pick = random.below(100);
    if pick < 60 {
        *sent += 1;
        let verb = *random.pick(&[COMPLETED, PASSED, VIEWED, LOGGED_IN, LOGGED_IN, LOGGED_OUT]);
        let object = match verb {
            LOGGED_IN | LOGGED_OUT => "https://rollbook.invalid/acme".to_owned(),
            _ => format!("urn:c{}", random.below(4)),
        };
        let one = statement(mailbox(&email(random)), verb, &object)
            .set("id", id(first + *sent))
            .set("timestamp", moment(random))
            .set("result", json!({"score": {"scaled": random.below(11) as f64 / 10.0}}));
        return (reqwest::Method::POST, "/xapi/statements".to_owned(), one.into());
    }
    if pick < 72 && *sent > 0 {
        let target = id(first + 1 + random.below(*sent));
        return (reqwest::Method::DELETE, format!("/v1/activities/{target}"), Value::Null);
    }
    let name = format!("u{}", random.below(3));
    match pick {
        72..80 => {
            let name = format!("c{}", random.below(4));
            let kind = *random.pick(&["quiz", "item"]);
            let body = content(&name, kind)
                .set("iri", format!("urn:{name}"))
                .set("pass_mark", random.below(10) * 10)
                .set("effective_from", "2020-01-01T00:00:00Z");
            (reqwest::Method::PUT, format!("/v1/contents/{name}"), body.into())
        }
        80..88 => {
            let body = user(&name).set("email", email(random)).set("active", random.percent(80));
            (reqwest::Method::PUT, format!("/v1/users/{name}"), body.into())
        }
        _ => {
            let mut body = json!({"identifiers": [mailbox(&email(random))]});
            match random.below(3) {
                0 => body["from"] = Value::Null,
                1 => body["from"] = json!(moment(random)),
                _ => {}
            }
            (reqwest::Method::POST, format!("/v1/users/{name}/identifiers"), body)
        }
    }
}

/// Sends an operation. An answer that the server did not give, because it was killed, is no fault.
async fn send_operation(client: &reqwest::Client, base: &str, operation: (reqwest::Method, String, Value)) {
    let (method, path, body) = operation;
    let token = sign(&json!({"sub": "root", "role": "admin", "org": ORG, "exp": 4_000_000_000_u64}));
    let request = client.request(method, format!("{base}{path}")).bearer_auth(token);
    let request = request.header("x-experience-api-version", "1.0.3");
    let request = request.header("content-type", "application/json");
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    if let Ok(answer) = request.send().await {
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        assert!(status < 500 || status == 503, "{path} {body}: {status} {text}");
    }
}

/// A writer of random operations. `bases` are the servers, of which each operation takes one.
async fn write_randomly(bases: Vec<String>, seed: u64, operations: usize) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client");
    let (mut random, mut sent) = (Random::new(seed), 0);
    for _ in 0..operations {
        let operation = random_operation(&mut random, &mut sent, seed as usize * NUMBERS_OF_A_WRITER);
        let base = random.pick(&bases).clone();
        send_operation(&client, &base, operation).await;
    }
}

/// Makes every commit on PostgreSQL wait for a random time, after everything else. Distributed tables have no such
/// triggers; their commits take a while by themselves.
async fn delay_commits(database: &Database) {
    if database.is_single_postgres() {
        let delay = "CREATE FUNCTION delay_commit() RETURNS trigger LANGUAGE plpgsql AS \
            $$ BEGIN PERFORM pg_sleep(random() * 0.01); RETURN NULL; END $$; \
            CREATE CONSTRAINT TRIGGER delay_commit AFTER UPDATE ON ledgers DEFERRABLE INITIALLY DEFERRED \
            FOR EACH ROW EXECUTE FUNCTION delay_commit();";
        database.execute(delay).await;
    }
}

#[apply(both_databases)]
async fn copy_equals_the_log_after_random_operations(server: &TestServer) {
    let second = match server.database() {
        Database::Postgres { .. } => Some(server.start_replica().await),
        Database::Sqlite { .. } => None,
    };
    delay_commits(server.database()).await;
    let admin = server.person("admin", "root");
    for seed in [1, 2] {
        let mut bases = vec![server.base.clone()];
        bases.extend(second.iter().map(|second| second.base.clone()));
        let writers: Vec<_> = (0..3)
            .map(|writer| tokio::spawn(write_randomly(bases.clone(), seed * 10 + writer, 60)))
            .collect();
        let (mut log, mut directory) = (Copy::of_log(), Copy::of_directory());
        log.next = "/v1/activities/changes?limit=7".to_owned();
        let mut pages = 0;
        while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
            log.read_page(&admin).await;
            directory.read_page(&admin).await;
            pages += 1;
            if pages % 40 == 0 {
                // Another rebuild may have begun.
                let _ = server.store.rebuild(&OrgId::new(ORG).expect("an id")).await;
            }
        }
        for writer in writers {
            writer.await.expect("a writer");
        }
        log.follow_until_equal(&admin).await;
        directory.follow(&admin).await;
        let mut late = Copy::of_log();
        late.follow_until_equal(&admin).await;
        for (kind, plural) in [("user", "users"), ("content", "contents")] {
            let stored = admin.list(&format!("/v1/{plural}?limit=1000"), plural).await;
            let copied = directory.entries.keys().filter(|key| key.starts_with(&format!("{kind} "))).count();
            assert_eq!(copied, stored.len(), "{plural}");
            for element in stored {
                let key = format!("{kind} {}", element["id"].as_str().expect("an id"));
                assert_eq!(directory.entries.get(&key), Some(&element), "seed {seed}");
            }
        }
    }
    if let Some(second) = second {
        second.stop().await;
    }
}

fn admin_of(process: &Process) -> Caller {
    let token = sign(&json!({"sub": "root", "role": "admin", "org": ORG, "exp": 4_000_000_000_u64}));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    Caller::anonymous(client, process.base.clone()).with_token(&token)
}

#[apply(both_databases)]
async fn copy_equals_the_log_after_servers_were_killed(database: &Database) {
    let mut survivor = Process::start(serve(database));
    delay_commits(database).await;
    let mut random = Random::new(7);
    let (mut log, running) = (Copy::of_log(), Arc::new(AtomicBool::new(true)));
    for round in 0..3 {
        // SQLite has one server, which is killed itself.
        let victim = match database {
            Database::Postgres { .. } => Some(Process::start(serve(database))),
            Database::Sqlite { .. } => None,
        };
        let mut bases = vec![survivor.base.clone()];
        bases.extend(victim.iter().map(|victim| victim.base.clone()));
        running.store(true, Ordering::Relaxed);
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (bases, running) = (bases.clone(), Arc::clone(&running));
                tokio::spawn(async move {
                    let mut part = 0;
                    while running.load(Ordering::Relaxed) {
                        write_randomly(bases.clone(), 1_000 + (round * 3 + writer) * 1_000 + part, 5).await;
                        part += 1;
                    }
                })
            })
            .collect();
        let admin = admin_of(&survivor);
        for _ in 0..10 + random.below(30) {
            log.read_page(&admin).await;
        }
        match victim {
            Some(victim) => drop(victim),
            None => {
                drop(survivor);
                survivor = Process::start(serve(database));
            }
        }
        let admin = admin_of(&survivor);
        for _ in 0..10 {
            log.read_page(&admin).await;
        }
        running.store(false, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("a writer");
        }
        log.follow_until_equal(&admin).await;
    }
    let mut late = Copy::of_log();
    late.follow_until_equal(&admin_of(&survivor)).await;
    assert!(late.entries.len() > 5, "only {} activities", late.entries.len());
}
