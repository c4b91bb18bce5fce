//! Deep trees of managers and of teams: a request costs about what a flat tree of the same size costs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, team, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const MANAGERS: usize = 5_000;
const TEAMS: usize = 3_000;
/// What a request may take on a slow machine without optimised code, when nothing is cached.
const COLD: Duration = Duration::from_millis(800);
/// The same when the tree is cached.
const WARM: Duration = Duration::from_millis(300);
/// What a write may take that looks for cycles. A batch has 1,000 elements.
const WRITE: Duration = Duration::from_secs(8);

async fn timed<T>(request: impl Future<Output = T>) -> (T, Duration) {
    let begin = Instant::now();
    let answer = request.await;
    (answer, begin.elapsed())
}

/// Creates a chain: each element is below the one before. Every batch is a write of its own.
async fn create_chain(admin: &Caller, path: &str, elements: Vec<Body>) {
    for (number, batch) in elements.chunks(1_000).enumerate() {
        let (answer, took) = timed(admin.post(path, batch)).await;
        answer.expect(200);
        println!("measured: batch {number} of {path}: {took:?}");
        assert!(took < WRITE, "a batch of 1,000, each a level deeper, took {took:?}");
    }
}

/// Sends the request twice when nothing is cached, and three more times. The shortest time counts: other tests run beside it.
async fn measure(admin: &Caller, caller: &Caller, path: &str, name: &str) {
    let mut cold = Duration::MAX;
    for round in 0..2 {
        // A change of the directory makes what is cached outdated.
        admin.patch("/v1/users/other", &json!({"job_title": format!("{path} {round}")})).await.expect(200);
        let (answer, took) = timed(caller.get(path)).await;
        answer.expect(200);
        cold = cold.min(took);
    }
    let mut warm = Duration::MAX;
    for _ in 0..3 {
        let (answer, took) = timed(caller.get(path)).await;
        answer.expect(200);
        warm = warm.min(took);
    }
    println!("measured: {name} {path}: cold {cold:?}, warm {warm:?}");
    assert!(cold < COLD, "{path}: {cold:?}");
    assert!(warm < WARM, "{path}: {warm:?}");
}

#[apply(both_databases)]
async fn manager_above_a_long_chain_is_answered_quickly(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/other", &user("other")).await.expect(201);
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let chain = (0..MANAGERS).map(|n| {
        let above = n.checked_sub(1).map(|above| format!("m{above}"));
        user(&format!("m{n}")).set("role", "manager").set_option("manager", above)
    });
    create_chain(&admin, "/v1/users/batch", chain.collect()).await;
    let last = format!("m{}", MANAGERS - 1);
    admin.post("/v1/activities", &activity(&last, "completed").set("content", "c1")).await.expect(201);
    admin.post("/v1/activities", &activity("other", "completed").set("content", "c1")).await.expect(201);

    let boss = server.person("manager", "m0");
    let page = boss.get("/v1/activities").await.expect(200).json();
    let users: Vec<&Value> =
        page["activities"].as_array().expect("rows").iter().map(|row| &row["user"]["id"]).collect();
    assert_eq!(users, [&json!(last)], "the last of the chain is in the reach, and no other user");
    boss.get("/v1/users/other/activities").await.expect(404);
    for path in [
        "/v1/activities",
        "/v1/activities?scope=managed&include_sub_managers=true",
        "/v1/users?limit=10",
        &format!("/v1/users/{last}"),
        &format!("/v1/users/{last}/activities"),
        &format!("/v1/users/{last}/timeline"),
        &format!("/v1/users/{last}/notes"),
        "/v1/activities/summary?by=action",
        "/v1/facets",
        "/v1/contents/c1/progress",
        "/v1/activities/export.csv",
    ] {
        measure(&admin, &boss, path, "5,000 managers").await;
    }

    // A cycle through the whole chain is found by one query, and the message names a part of it.
    let (answer, took) = timed(admin.patch("/v1/users/m0", &json!({"manager": last}))).await;
    let problem = answer.expect(400);
    println!("measured: refused cycle of 5,000: {took:?}");
    assert!(took < COLD, "{took:?}");
    assert!(problem.body.len() < 2_000, "{}", problem.text());
    assert!(problem.text().contains("m0 → "), "{}", problem.text());
    // The middle of the chain moves below another user, with everything below it.
    let (answer, took) = timed(admin.patch("/v1/users/m2500", &json!({"manager": "other"}))).await;
    answer.expect(200);
    println!("measured: a write in a chain of 5,000: {took:?}");
    assert!(took < COLD, "{took:?}");
    boss.get(&format!("/v1/users/{last}")).await.expect(404);
    boss.get("/v1/users/m2499").await.expect(200);
}

#[apply(both_databases)]
async fn team_above_a_long_chain_is_answered_quickly(server: &TestServer) {
    let admin = server.person("admin", "root");
    let chain = (0..TEAMS).map(|n| {
        let above = n.checked_sub(1).map(|above| format!("t{above}"));
        team(&format!("t{n}")).set_option("parent", above)
    });
    create_chain(&admin, "/v1/teams/batch", chain.collect()).await;
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let last = format!("t{}", TEAMS - 1);
    for (id, teams) in [("deep", json!([last])), ("other", json!([]))] {
        admin.put(&format!("/v1/users/{id}"), &user(id).set("teams", teams)).await.expect(201);
        admin.post("/v1/activities", &activity(id, "completed").set("content", "c1")).await.expect(201);
    }
    let tree = "team=t0&include_sub_teams=true";
    let page = admin.get(&format!("/v1/activities?{tree}")).await.expect(200).json();
    let users: Vec<&Value> =
        page["activities"].as_array().expect("rows").iter().map(|row| &row["user"]["id"]).collect();
    assert_eq!(users, [&json!("deep")]);
    for path in [
        format!("/v1/activities?{tree}"),
        format!("/v1/users?{tree}"),
        format!("/v1/activities/summary?by=team&{tree}"),
        format!("/v1/facets?{tree}"),
        format!("/v1/contents/c1/progress?{tree}"),
    ] {
        measure(&admin, &admin, &path, "3,000 teams").await;
    }
    let mark = json!({"content": "c1", "teams": ["t0"], "include_sub_teams": true, "dry_run": true});
    let (answer, took) = timed(admin.post("/v1/completions", &mark)).await;
    assert_eq!(answer.expect(200).json()["results"].as_array().expect("results").len(), 1);
    println!("measured: 3,000 teams /v1/completions: {took:?}");
    assert!(took < COLD, "{took:?}");
    let (answer, took) = timed(admin.patch("/v1/teams/t0", &json!({"parent": last}))).await;
    answer.expect(400);
    println!("measured: refused cycle of 3,000 teams: {took:?}");
    assert!(took < COLD, "{took:?}");
}
