//! Progress in a large organisation: what a page costs doesn't grow with it, and nobody is lost or doubled.
//!
//! `ROLLBOOK_TEST_USERS=50000` asks of a larger one, and `--nocapture` shows how long each answer takes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{FIRE, FIRE_CSV, did, send, set_up};
use crate::support::http::{Answer, Caller};
use crate::support::{Database, TestServer, apply, both_databases};

const USERS: u32 = 5_000;
/// How often everybody did something with the content.
const ROWS_EACH: u32 = 5;

/// Copies of the user `eve` with an account each, which have the keys from 1,000,000 and 2,000,000 on, and of her two
/// rows; every tenth is a report of bo. One of ten has only completions, three of ten only beginnings, one of ten both, the others nothing.
const COPIES: [&str; 4] = [
    "INSERT INTO users (org, key, id, first_name, role, manager, active, custom, search) \
     SELECT u.org, 1000000 + s.n, 'u' || s.n, u.first_name, u.role, \
     CASE WHEN s.n % 10 = 0 THEN (SELECT b.key FROM users b WHERE b.id = 'bo') END, \
     s.n % 50 <> 0, u.custom, u.search FROM users u CROSS JOIN {series} s WHERE u.id = 'eve'",
    "INSERT INTO persons (org, key, kind, digest, value, name, named_at, named_by, contested, user_key, deactivated) \
     SELECT p.org, 2000000 + s.n, p.kind, {digest}, p.value, p.name, p.named_at, p.named_by, p.contested, 1000000 + s.n, \
     s.n % 50 = 0 FROM persons p CROSS JOIN {series} s WHERE p.kind = 4 AND p.user_key = (SELECT u.key FROM users u WHERE u.id = 'eve')",
    "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, success, certified) \
     SELECT a.org, 1000000 + 2 * s.n + CASE WHEN a.completed THEN 1 ELSE 0 END, {id}, a.happened_at + s.n, a.stored_at, 2000000 + s.n % {users} + 1, a.verb, a.content, a.action, \
     a.origin, a.completed, a.success, a.certified FROM activities a CROSS JOIN {rows} s \
     WHERE CASE WHEN a.completed THEN s.n % 10 IN (0, 4) ELSE s.n % 10 IN (1, 2, 3, 4) END",
    "{analyse}",
];

/// Makes so many users more, and their rows.
async fn multiply(server: &TestServer, users: u32) {
    let database = server.database();
    let (digest, analyse) = match database {
        Database::Sqlite { .. } => ("CAST('copy ' || s.n AS BLOB)", "SELECT 1"),
        Database::Postgres { .. } => ("convert_to('copy ' || s.n, 'UTF8')", "VACUUM ANALYZE"),
    };
    let series = |most: u32| format!("({})", database.series(most));
    for text in COPIES {
        let text = text
            .replace("{users}", &users.to_string())
            .replace("{series}", &series(users))
            .replace("{rows}", &series(users * ROWS_EACH))
            .replace("{digest}", digest)
            .replace("{id}", database.random_id())
            .replace("{analyse}", analyse);
        database.execute(&text).await;
    }
}

/// An answer, and how long it took.
async fn timed(caller: &Caller, path: &str) -> (Answer, Duration) {
    let begun = Instant::now();
    let answer = caller.get(path).await.expect(200);
    let took = begun.elapsed();
    println!("{took:>12.1?}  {path}");
    (answer, took)
}

#[apply(both_databases)]
async fn a_page_costs_the_same_in_a_large_organisation(server: &TestServer) {
    let users =
        std::env::var("ROLLBOOK_TEST_USERS").ok().map_or(USERS, |text| text.parse().expect("a number"));
    let (admin, sender) = set_up(server).await;
    send(
        &sender,
        &[
            did(1, "eve", "viewed", "2026-03-01T09:00:00Z"),
            did(2, "eve", "completed", "2026-03-01T09:00:00Z"),
        ],
    )
    .await;
    let (_, small) = timed(&admin, FIRE).await;
    multiply(server, users).await;
    let manager = server.person("manager", "ada");
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        for caller in [&admin, &manager] {
            let (page, took) = timed(caller, &format!("{FIRE}?limit=50")).await;
            slowest = slowest.max(took);
            let next = page.json()["next"].as_str().expect("a second page").to_owned();
            slowest = slowest.max(timed(caller, &next).await.1);
        }
        for query in ["user=u77", "team=sales", "group=aid", "scope=managed", "limit=1000"] {
            slowest = slowest.max(timed(&manager, &format!("{FIRE}?{query}")).await.1);
        }
    }
    println!("at first {small:.1?}, the slowest page of {users} users {slowest:.1?}");
    // Generous: an unoptimised server beside other tests. It was seconds where a page read all of the rows.
    assert!(slowest < Duration::from_secs(2), "a page took {slowest:?}");

    // Everybody is there once, by pages and in the file; what is counted is what is listed.
    let active = users - users / 50;
    let (counted, _) = timed(&admin, &format!("{FIRE}?count=exact&limit=1")).await;
    let counted = counted.json();
    assert_eq!(counted["total"], active + 5);
    let (csv, _) = timed(&admin, FIRE_CSV).await;
    let mut ids = csv.csv_column("User ID");
    let states = csv.csv_column("Progress");
    assert_eq!(ids.len(), active as usize + 5);
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), active as usize + 5);
    for (state, label) in
        [("not_started", "Not started"), ("in_progress", "In progress"), ("completed", "Completed")]
    {
        let labelled = states.iter().filter(|other| *other == label).count();
        assert!(labelled > 0, "{state}");
        assert_eq!(counted["states"][state], labelled, "{state}");
        let (page, _) = timed(&admin, &format!("{FIRE}?state={state}&limit=20&count=exact")).await;
        let page = page.json();
        assert_eq!(page["total"], labelled, "{state}");
        let people = page["progress"].as_array().expect("a list");
        assert!(people.len() == 20 && people.iter().all(|one| one["state"] == json!(state)), "{state}");
        let (file, _) = timed(&admin, &format!("{FIRE_CSV}?state={state}")).await;
        assert_eq!(file.csv().1.len(), labelled, "{state}");
    }
}
