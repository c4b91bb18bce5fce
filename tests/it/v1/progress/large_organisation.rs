//! Tests of progress in a large organisation: the cost of a page does not grow with the number of users,
//! and each user is listed once.
//!
//! `ROLLBOOK_TEST_USERS=50000` sets the number of users, and `--nocapture` shows the time of each answer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{FIRE, FIRE_CSV, activity_on_fire, post_batch, set_up};
use crate::support::http::{Answer, Caller};
use crate::support::server::ORG;
use crate::support::{Database, TestServer, apply, both_databases};

const USERS: u32 = 5_000;
/// The number of activities of each user.
const ROWS_EACH: u32 = 5;

/// SQL that copies the user `eve`, with an account each, and her two activities.
///
/// The copies have keys from 1,000,000 and 2,000,000. One of ten is a report of `bo`. One of ten has only
/// completions, three of ten only starts, one of ten both, and the others nothing. The organisation is a value in each query,
/// so that a cluster can run it.
const COPIES: [&str; 4] = [
    "INSERT INTO users (org, key, id, first_name, role, manager, active, custom, search, \
     name_order, last_name_order, email_order) \
     SELECT u.org, 1000000 + s.n, 'u' || s.n, u.first_name, u.role, \
     CASE WHEN s.n % 10 = 0 THEN (SELECT b.key FROM users b WHERE b.org = {org} AND b.id = 'bo') END, \
     s.n % 50 <> 0, u.custom, u.search, \
     u.name_order, u.last_name_order, u.email_order FROM users u CROSS JOIN {series} s WHERE u.org = {org} AND u.id = 'eve'",
    "INSERT INTO persons (org, key, kind, digest, value, valid_from, name, named_at, named_by, tracked, user_key, deactivated, moving) \
     SELECT p.org, 2000000 + s.n, p.kind, {digest}, p.value, p.valid_from, p.name, p.named_at, p.named_by, p.tracked, 1000000 + s.n, \
     s.n % 50 = 0, p.moving FROM persons p CROSS JOIN {series} s WHERE p.org = {org} AND p.kind = 4 \
     AND p.user_key = (SELECT u.key FROM users u WHERE u.org = {org} AND u.id = 'eve')",
    "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, success, certified) \
     SELECT a.org, 1000000 + 2 * s.n + CASE WHEN a.completed THEN 1 ELSE 0 END, {id}, a.happened_at + s.n, a.stored_at, 2000000 + s.n % {users} + 1, a.verb, a.content, a.action, \
     a.origin, a.completed, a.success, a.certified FROM activities a CROSS JOIN {rows} s \
     WHERE a.org = {org} AND CASE WHEN a.completed THEN s.n % 10 IN (0, 4) ELSE s.n % 10 IN (1, 2, 3, 4) END",
    "{analyse}",
];

/// Adds this many copies of the user `eve` and her activities.
async fn copy_user(server: &TestServer, users: u32) {
    let database = server.database();
    let (digest, analyse) = match database {
        Database::Sqlite { .. } => ("CAST('copy ' || s.n AS BLOB)", "SELECT 1"),
        Database::Postgres { .. } => ("convert_to('copy ' || s.n, 'UTF8')", "VACUUM ANALYZE"),
    };
    let org = database.organisation_key(ORG).await;
    let series = |most: u32| format!("({})", database.series(most));
    for text in COPIES {
        let text = text
            .replace("{users}", &users.to_string())
            .replace("{series}", &series(users))
            .replace("{rows}", &series(users * ROWS_EACH))
            .replace("{org}", &org.to_string())
            .replace("{digest}", digest)
            .replace("{id}", database.random_id())
            .replace("{analyse}", analyse);
        database.execute(&text).await;
    }
}

/// Sends a request and measures the time to the answer.
async fn get_timed(caller: &Caller, path: &str) -> (Answer, Duration) {
    let start = Instant::now();
    let answer = caller.get(path).await.expect(200);
    let elapsed = start.elapsed();
    println!("{elapsed:>12.1?}  {path}");
    (answer, elapsed)
}

#[apply(both_databases)]
async fn cost_of_a_page_does_not_grow_with_the_organisation(server: &TestServer) {
    let users =
        std::env::var("ROLLBOOK_TEST_USERS").ok().map_or(USERS, |text| text.parse().expect("a number"));
    let (admin, sender) = set_up(server).await;
    post_batch(
        &sender,
        &[
            activity_on_fire(1, "eve", "viewed", "2026-03-01T09:00:00Z"),
            activity_on_fire(2, "eve", "completed", "2026-03-01T09:00:00Z"),
        ],
    )
    .await;
    let (_, small) = get_timed(&admin, FIRE).await;
    copy_user(server, users).await;
    let manager = server.person("manager", "ada");
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        for caller in [&admin, &manager] {
            let (page, elapsed) = get_timed(caller, &format!("{FIRE}?limit=50")).await;
            slowest = slowest.max(elapsed);
            let next = page.json()["next"].as_str().expect("a second page").to_owned();
            slowest = slowest.max(get_timed(caller, &next).await.1);
        }
        for query in ["user=u77", "team=sales", "group=aid", "scope=managed", "limit=1000"] {
            slowest = slowest.max(get_timed(&manager, &format!("{FIRE}?{query}")).await.1);
        }
    }
    println!("first page before copying: {small:.1?}; slowest page with {users} users: {slowest:.1?}");
    // This limit allows for an unoptimised server beside other tests. A page that reads all activities
    // takes seconds.
    assert!(slowest < Duration::from_secs(2), "a page took {slowest:?}");

    // Each user is listed once on the pages and in the file, and the counts match the lists.
    let active = users - users / 50;
    let (counted, _) = get_timed(&admin, &format!("{FIRE}?count=exact&limit=1")).await;
    let counted = counted.json();
    assert_eq!(counted["total"], active + 5);
    let (csv, _) = get_timed(&admin, FIRE_CSV).await;
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
        let (page, _) = get_timed(&admin, &format!("{FIRE}?state={state}&limit=20&count=exact")).await;
        let page = page.json();
        assert_eq!(page["total"], labelled, "{state}");
        let people = page["progress"].as_array().expect("a list");
        assert!(people.len() == 20 && people.iter().all(|one| one["state"] == json!(state)), "{state}");
        let (file, _) = get_timed(&admin, &format!("{FIRE_CSV}?state={state}")).await;
        assert_eq!(file.csv().1.len(), labelled, "{state}");
    }
}
