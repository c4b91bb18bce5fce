//! The database commits, and its answer is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Server;
use crate::support::Database;
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::proxy::Proxy;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::run_with_database;

/// The time of happening of a short form, by which the test recognises it.
fn time(number: usize) -> String {
    format!("2026-01-01T00:{:02}:{:02}.000Z", number / 60, number % 60)
}

/// How often each time of happening is in the log.
async fn count_by_time(server: &Server) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in server.admin.list("/v1/activities?limit=500", "activities").await {
        let time = row["happened_at"].as_str().expect("a time").to_owned();
        *counts.entry(time).or_default() += 1;
    }
    counts
}

async fn start(database: &Database) -> (Proxy, Server) {
    let proxy = Proxy::start(database).await;
    let server = Server::start(&proxy.url(database));
    server.set_up().await;
    (proxy, server)
}

#[test]
fn records_without_ids_are_found_after_a_lost_commit() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        for number in 0..24 {
            proxy.lose_commits(1);
            let record = |offset: usize| {
                activity("bo", "viewed").set("content", "c1").set("happened_at", time(number + offset)).json()
            };
            if number % 2 == 0 {
                server.admin.post("/v1/activities", &record(0)).await.expect(201);
            } else {
                let answer =
                    server.admin.post("/v1/activities/batch", &json!([record(0), record(100)])).await;
                answer.expect(201);
            }
        }
        assert_eq!(proxy.lost_commits(), 24);
        let counts = count_by_time(&server).await;
        for number in (0..24).chain((1..24).step_by(2).map(|number| number + 100)) {
            assert_eq!(counts.get(&time(number)), Some(&1), "{}", time(number));
        }
    });
}

#[test]
fn statements_with_and_without_ids_are_stored_once_after_a_lost_commit() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        for number in 0..16 {
            proxy.lose_commits(1);
            let one = statement(mailbox("a@x.example"), COMPLETED, &format!("urn:lost:{number}"));
            if number % 2 == 0 {
                let ids = server.admin.post(STATEMENTS, &one).await.expect(200).json();
                let id = ids[0].as_str().expect("an id");
                let stored = server.admin.get(&format!("{STATEMENTS}?statementId={id}")).await.expect(200);
                assert_eq!(stored.json()["object"]["id"], format!("urn:lost:{number}"));
            } else {
                let path = format!("{STATEMENTS}?statementId={}", Uuid::from_u128(7_000 + number));
                server.admin.put(&path, &one).await.expect(204);
                server.admin.put(&path, &one).await.expect(204);
            }
            let stored =
                server.admin.get(&format!("{STATEMENTS}?activity=urn:lost:{number}")).await.expect(200);
            assert_eq!(stored.json()["statements"].as_array().map(Vec::len), Some(1), "{number}");
        }
        assert_eq!(proxy.lost_commits(), 16);
    });
}

#[test]
fn completion_is_reported_as_new_after_a_lost_commit() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        server.admin.put("/v1/users/cy", &user("cy")).await.expect(201);
        proxy.lose_commits(1);
        let mark = json!({"content": "c1", "users": ["bo", "cy"]});
        let first = server.admin.post("/v1/completions", &mark).await.expect(200).json();
        assert_eq!(proxy.lost_commits(), 1);
        let second = server.admin.post("/v1/completions", &mark).await.expect(200).json();
        assert_ne!(outcomes(&first), outcomes(&second), "{first} and {second}");
        let rows = server.admin.list("/v1/activities?action=completed", "activities").await;
        assert_eq!(rows.len(), 2);
    });
}

/// The outcomes of a list of completions.
fn outcomes(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().expect("results").iter();
    results.map(|result| result["outcome"].to_string()).collect()
}

#[test]
fn elements_with_ids_are_written_again_after_a_lost_commit() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        let (admin, second) = (&server.admin, content("c2", "quiz"));
        proxy.lose_commits(1);
        admin.put("/v1/users/cy", &user("cy")).await.expect(201);
        proxy.lose_commits(1);
        admin.put("/v1/users/cy", &user("cy").set("first_name", "Cyril")).await.expect(200);
        proxy.lose_commits(1);
        let patched = admin.patch("/v1/users/cy", &json!({"last_name": "Other"})).await.expect(200).json();
        assert_eq!((&patched["first_name"], &patched["last_name"]), (&json!("Cyril"), &json!("Other")));
        proxy.lose_commits(1);
        let counts = admin.post("/v1/contents/batch", &json!([second.json()])).await.expect(200).json();
        assert_eq!(counts["created"], 1, "{counts}");
        assert_eq!(proxy.lost_commits(), 4);
    });
}

/// A change without an id of its own cannot be found again. The answer says so.
#[test]
fn other_changes_say_that_their_outcome_is_unknown() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        let note = json!({"text": "Well done", "happened_at": "2026-01-01T09:00:00Z"});
        let document = "/xapi/activities/state?activityId=urn:c&stateId=s&agent=%7B%22mbox%22%3A%22mailto%3Aa%40x.example%22%7D";
        for round in 0..3 {
            let admin = &server.admin;
            proxy.lose_commits(1);
            check_unknown(admin.post("/v1/users/bo/notes", &note).await);
            proxy.lose_commits(1);
            check_unknown(admin.post(document, &json!({"round": round})).await);
            // It was stored.
            assert_eq!(admin.get(document).await.expect(200).json()["round"], round);
        }
    });
}

/// The database stays away after it has stored the records. The answer names their ids, so they can be sent again.
#[test]
fn records_of_unknown_outcome_can_be_sent_again_with_their_ids() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        proxy.lose_commits(1);
        let refuse = async {
            while proxy.lost_commits() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            proxy.refuse(true);
            proxy.cut();
        };
        let mut records: Vec<Value> = (0..2)
            .map(|number| {
                statement(mailbox("a@x.example"), COMPLETED, &format!("urn:unknown:{number}")).json()
            })
            .collect();
        let body = json!(records);
        let (answer, ()) = tokio::join!(server.admin.post(STATEMENTS, &body), refuse);
        let answer = answer.expect(503);
        assert!(!answer.headers.contains_key("retry-after"));
        let problem = answer.json();
        assert_eq!(problem["code"], "outcome-unknown");
        let ids = problem["ids"].as_array().expect("the ids");
        assert_eq!(ids.len(), 2);
        proxy.refuse(false);
        server.wait_until_it_works(4, Duration::from_secs(10)).await;
        for (record, id) in records.iter_mut().zip(ids) {
            record["id"] = id.clone();
        }
        server.admin.post(STATEMENTS, &json!(records)).await.expect(200);
        for number in 0..2 {
            let path = format!("{STATEMENTS}?activity=urn:unknown:{number}");
            let stored = server.admin.get(&path).await.expect(200).json();
            assert_eq!(stored["statements"].as_array().map(Vec::len), Some(1), "{number}");
        }
    });
}

fn check_unknown(answer: crate::support::http::Answer) {
    let answer = answer.expect(503);
    assert!(!answer.headers.contains_key("retry-after"), "a client would repeat it by itself");
    assert_eq!(answer.json()["code"], "outcome-unknown");
}

#[test]
fn records_are_stored_once_when_connections_are_cut_at_random() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let (proxy, server) = start(database).await;
        let (server, proxy) = (&server, &proxy);
        let writers = (0..8).map(|writer| async move {
            let mut answers = Vec::new();
            for round in 0..30 {
                let number = writer * 30 + round;
                let record =
                    activity("bo", "viewed").set("content", "c1").set("happened_at", time(number)).json();
                let answer = server.admin.post("/v1/activities", &record).await;
                answers.push((number, answer.expect_one_of(&[201, 503]).status));
            }
            answers
        });
        let cuts = async {
            for round in 0..12_u64 {
                tokio::time::sleep(Duration::from_millis(20 + round * 13 % 60)).await;
                match round % 3 {
                    0 => proxy.lose_commits(3),
                    _ => proxy.cut(),
                }
            }
        };
        let (answers, ()) = tokio::join!(join_all(writers), cuts);
        let counts = count_by_time(server).await;
        let (mut acknowledged, mut refused) = (0, 0);
        for (number, status) in answers.into_iter().flatten() {
            let stored = counts.get(&time(number)).copied().unwrap_or(0);
            if status == 201 {
                acknowledged += 1;
                assert_eq!(stored, 1, "record {number} was acknowledged");
            } else {
                refused += 1;
                assert!(stored <= 1, "record {number} is stored {stored} times");
            }
        }
        println!(
            "measured: connections cut at random: {acknowledged} acknowledged, {refused} answered with 503, \
             {} commits lost",
            proxy.lost_commits()
        );
        assert!(acknowledged > 200, "{acknowledged}");
    });
}
