//! Tests of counting from columns in memory (`docs/specification.md#counting`): it answers what a scan of the log answers,
//! after every kind of change, for every caller.
//!
//! Another server on the same database counts by scans. Both write, so the columns also follow what other processes write.

use std::time::Duration;

use reqwest::Method;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::activities::post_batch;
use super::changes::replicas::random_operation;
use crate::support::builders::{Body, activity, content, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::random::Random;
use crate::support::records::{COMPLETED, STATEMENTS, id};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

/// Requests that count. A list is compared with its total.
const COUNTS: &[&str] = &[
    "activities?count=exact",
    "activities?count=exact&action=completed&include_deactivated=true",
    "activities?count=exact&action=visited,logged_in",
    "activities?count=exact&result=failed",
    "activities?count=exact&type=quiz",
    "activities?count=exact&type=quiz&completed=true&from=2026-01-10&to=2026-02-20",
    "activities?count=exact&verb=http%3A%2F%2Fadlnet.gov%2Fexpapi%2Fverbs%2Fpassed",
    "activities?count=exact&origin=api",
    "activities?count=exact&device_type=web",
    "activities?count=exact&source=library",
    "activities?count=exact&expired=true",
    "activities?count=exact&has_certificate=true",
    "activities?count=exact&latest=true",
    "activities?count=exact&stored_from=2026-01-01",
    "activities?count=exact&user=u0&user=u1",
    "activities?count=exact&team=t",
    "activities/summary?by=action",
    "activities/summary?by=day,action",
    "activities/summary?by=week",
    "activities/summary?by=month&tz=Pacific%2FAuckland",
    "activities/summary?by=user,content",
    "activities/summary?by=team,result&include_deactivated=true",
    "activities/summary?by=team&team=t&primary_team_only=true",
    "activities/summary?by=content,type",
    "activities/summary?by=content_type&completed=true",
    "activities/summary?by=user&team=t",
    "facets",
    "facets?include_deactivated=true",
];

fn organisation() -> OrgId {
    OrgId::new(ORG).expect("an id")
}

/// Counts once, and waits until the columns are loaded.
async fn load_columns(server: &TestServer, admin: &Caller) {
    for _ in 0..500 {
        admin.get("/v1/activities?count=exact&limit=1").await.expect(200);
        if server.store.counts_by_columns(&organisation()).await.expect("the database answers") {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the columns are not loaded");
}

/// The answer without what depends on the moment of the request.
fn comparable(mut answer: Value) -> Value {
    if let Some(facets) = answer.as_object_mut() {
        facets.remove("as_of");
        facets.remove("next");
    }
    answer
}

/// Compares the answers of a server with those of one that scans, for the same person.
async fn compare(by_columns: &Caller, by_scan: &Caller, what: &str) {
    for path in COUNTS {
        let path = format!("/v1/{path}");
        let counted = by_columns.get(&path).await.expect(200).json();
        let scanned = by_scan.get(&path).await.expect(200).json();
        assert_eq!(comparable(counted), comparable(scanned), "{what}: {path}");
    }
}

/// Users, a team, contents, and some records of all kinds.
async fn set_up(admin: &Caller) {
    admin.put("/v1/teams/t", &team("t")).await.expect(201);
    let users = [
        user("u0").set("email", "p0@example.org").set("primary_team", "t"),
        user("u1").set("email", "p1@example.org").set("manager", "u0"),
        user("u2").set("email", "p2@example.org").set("manager", "u1").set("teams", json!(["t"])),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let contents = [
        content("c0", "quiz").set("iri", "urn:c0").set("pass_mark", 50).set("source", "Library"),
        content("c1", "item").set("iri", "urn:c1").set("content_type", "video"),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    for n in 0..30 {
        let one = activity(&format!("u{}", n % 3), if n % 2 == 0 { "completed" } else { "viewed" })
            .set("id", id(900_000 + n))
            .set("content", format!("c{}", n % 2))
            .set("device_type", if n % 4 == 0 { "Web" } else { "ios" })
            .set("happened_at", format!("2026-0{}-{:02}T10:00:00Z", 1 + n % 3, 1 + n % 17))
            .set("registration", format!("0190a000-0000-4000-8000-0000000000{:02}", n % 6))
            .set("result", json!({"score": n * 3, "total_time": format!("PT{}S", n * 10)}));
        let one = if n % 5 == 0 { one.set("source", "library") } else { one };
        admin.post("/v1/activities", &one).await.expect_one_of(&[200, 201]);
    }
}

#[apply(both_databases)]
async fn columns_count_what_a_scan_counts_after_random_operations(server: &TestServer) {
    let scanning = server.start_scanning().await;
    let callers = |server: &TestServer| [server.person("admin", "root"), server.person("manager", "u0")];
    let [admin, _] = callers(server);
    set_up(&admin).await;
    load_columns(server, &admin).await;
    let mut random = Random::new(15);
    let mut sent = 0;
    for round in 0..12 {
        for _ in 0..15 {
            let (method, path, body) = random_operation(&mut random, &mut sent, 0);
            let writer = if random.percent(70) { server } else { &scanning };
            let body = if method == Method::DELETE { Vec::new() } else { body.to_string().into_bytes() };
            let headers = [("content-type", "application/json"), ("x-experience-api-version", "1.0.3")];
            let answer = writer.person("admin", "root").send(method, &path, &headers, body).await;
            assert!(answer.status < 500, "{path}: {}", answer.text());
        }
        if round == 6 {
            server.store.rebuild(&organisation()).await.expect("a rebuild");
        }
        for (by_columns, by_scan) in callers(server).iter().zip(&callers(&scanning)) {
            compare(by_columns, by_scan, &format!("round {round}")).await;
        }
        assert!(server.store.counts_by_columns(&organisation()).await.expect("the database answers"));
        assert!(!scanning.store.counts_by_columns(&organisation()).await.expect("the database answers"));
    }
    scanning.stop().await;
}

#[apply(both_databases)]
async fn each_kind_of_change_counts_at_once(server: &TestServer) {
    let scanning = server.start_scanning().await;
    let (admin, by_scan) = (server.person("admin", "root"), scanning.person("admin", "root"));
    set_up(&admin).await;
    load_columns(server, &admin).await;
    let total = async |filter: &str| {
        let page = admin.get(&format!("/v1/activities?count=exact&limit=1{filter}")).await.expect(200);
        page.json()["total"].as_u64().expect("a total")
    };
    let before = total("").await;
    let late = |n: usize, address: &str, time: &str| {
        statement(mailbox(address), COMPLETED, "urn:c0").set("id", id(n)).set("timestamp", time)
    };
    let late = [
        late(1, "p0@example.org", "2025-06-01T09:00:00Z"),
        late(2, "desk@example.org", "2026-01-05T09:00:00Z"),
        late(3, "desk@example.org", "2026-02-05T09:00:00Z"),
    ];
    admin.post(STATEMENTS, &late).await.expect(200);
    assert_eq!(total("").await, before + 3);
    assert_eq!(total("&to=2025-12-31").await, 1);
    admin.delete(&format!("/v1/activities/{}", id(1))).await.expect(204);
    assert_eq!(total("&to=2025-12-31").await, 0);
    compare(&admin, &by_scan, "voided").await;

    let failed = total("&result=failed").await;
    let stricter = json!({"pass_mark": 100, "effective_from": "2020-01-01T00:00:00Z"});
    admin.patch("/v1/contents/c0", &stricter).await.expect(200);
    assert!(total("&result=failed").await > failed, "the rows were projected again");
    admin.patch("/v1/contents/c1", &json!({"type": "quiz", "content_type": null})).await.expect(200);
    compare(&admin, &by_scan, "projected again").await;

    admin.put("/v1/users/desk", &user("desk").set("email", "desk@example.org")).await.expect(201);
    compare(&admin, &by_scan, "claimed").await;
    let divided = json!({"identifiers": [mailbox("desk@example.org")], "from": "2026-02-01T00:00:00Z"});
    admin.post("/v1/users/u2/identifiers", &divided).await.expect(200);
    compare(&admin, &by_scan, "divided").await;
    let active = total("").await;
    admin.patch("/v1/users/u0", &json!({"active": false})).await.expect(200);
    assert!(total("").await < active, "rows of deactivated users do not count");
    compare(&admin, &by_scan, "deactivated").await;
    admin.patch("/v1/users/u0", &json!({"active": true, "primary_team": null})).await.expect(200);
    compare(&admin, &by_scan, "another team").await;
    server.store.rebuild(&organisation()).await.expect("a rebuild");
    compare(&admin, &by_scan, "rebuilt").await;
    assert!(server.store.counts_by_columns(&organisation()).await.expect("the database answers"));
    scanning.stop().await;
}

#[apply(both_databases)]
async fn columns_of_a_lost_state_are_dropped(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    load_columns(server, &admin).await;
    // As after a fail-over that lost the last commits, in which the ledger is older, too.
    let last = "(SELECT max(seq) FROM activities)";
    server.database().execute(&format!("UPDATE ledgers SET seq = {last} - 1")).await;
    server.database().execute(&format!("DELETE FROM activities WHERE seq = {last}")).await;
    let total = async || {
        let page = admin.get("/v1/activities?count=exact&limit=1").await.expect(200);
        page.json()["total"].as_u64().expect("a total")
    };
    assert_eq!(total().await, 29);
    load_columns(server, &admin).await;
    assert_eq!(total().await, 29);
}

#[apply(both_databases)]
async fn counts_hold_what_was_acknowledged_while_others_write(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    load_columns(server, &admin).await;
    let writes = async {
        for n in 0..60 {
            let one = activity("u0", "viewed").set("id", id(n)).set("content", "c1");
            admin.post("/v1/activities", &one).await.expect(201);
        }
    };
    let counts = async {
        let mut last = 30;
        while last < 90 {
            let page = admin.get("/v1/activities?count=exact&limit=1").await.expect(200).json();
            let total = page["total"].as_u64().expect("a total");
            assert!(total >= last, "{total} after {last}");
            let summary = admin.get("/v1/activities/summary?by=action").await.expect(200).json();
            last = summary["total"]["rows"].as_u64().expect("rows");
            assert!(last >= total, "{last} after {total}");
            let groups: u64 = summary["groups"].as_array().expect("groups").iter().map(rows_of).sum();
            assert_eq!(groups, last);
        }
    };
    tokio::join!(writes, counts);
}

fn rows_of(group: &Value) -> u64 {
    group["rows"].as_u64().expect("rows")
}

#[apply(both_databases)]
async fn columns_show_nothing_outside_of_the_reach(server: &TestServer) {
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    load_columns(server, &admin).await;
    let other = server.person_of("umbra", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/u0", &user("u0")).await.expect(201);
    other.post("/v1/activities", &activity("u0", "logged_in")).await.expect(201);
    // More persons than are found by an index, so that the columns are used.
    let many: Vec<Body> = (10..30)
        .map(|n| user(&format!("m{n}")).set("email", format!("m{n}@example.org")).set("manager", "u1"))
        .collect();
    admin.post("/v1/users/batch", &many).await.expect(200);
    let records: Vec<Body> = (10..30)
        .map(|n| activity(&format!("m{n}"), "viewed").set("id", id(n)).set("content", "c1"))
        .collect();
    post_batch(&admin, &records).await;
    let total = async |caller: &Caller| {
        let page = caller.get("/v1/activities?count=exact&limit=1").await.expect(200).json();
        let summary = caller.get("/v1/activities/summary?by=user").await.expect(200).json();
        let facets = caller.get("/v1/facets").await.expect(200).json();
        let actions = facets["facets"][0]["values"].as_array().expect("values").iter();
        let actions: u64 = actions.map(|value| value["count"].as_u64().expect("a count")).sum();
        assert_eq!(page["total"], summary["total"]["rows"]);
        assert_eq!(page["total"], actions);
        actions
    };
    assert_eq!(total(&admin).await, 50);
    assert_eq!(total(&other).await, 1);
    assert_eq!(
        total(&server.person("manager", "u1")).await,
        20 + 20,
        "own rows, u2's and those of 20 others"
    );
    assert_eq!(total(&server.person("learner", "m10")).await, 1);
    admin.patch("/v1/users/m11", &json!({"manager": null})).await.expect(200);
    assert_eq!(total(&server.person("manager", "u1")).await, 39);
    let without_scope = server.credential(ORG, &["activities/write"]).await;
    for path in ["activities?count=exact", "activities/summary?by=action", "facets"] {
        without_scope.get(&format!("/v1/{path}")).await.expect(403);
    }
}
