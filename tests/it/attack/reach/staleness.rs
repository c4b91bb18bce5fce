//! The trees of managers and teams are cached. A change of the directory counts for the next request, at every server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::builders::{activity, content, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::random::Random;
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::{Database, TestServer, apply, both_databases};

/// The server that gets the changes, and the one that answers the questions: on PostgreSQL another one.
struct Servers<'s> {
    changed: &'s TestServer,
    other: Option<TestServer>,
}

impl<'s> Servers<'s> {
    async fn start(changed: &'s TestServer) -> Self {
        let other = match changed.database() {
            Database::Sqlite { .. } => None,
            Database::Postgres { .. } => Some(changed.start_replica().await),
        };
        Self { changed, other }
    }

    /// A person at the server that answers.
    fn reader(&self, role: &str, id: &str) -> Caller {
        self.other.as_ref().unwrap_or(self.changed).person(role, id)
    }

    async fn stop(self) {
        if let Some(other) = self.other {
            other.stop().await;
        }
    }
}

/// The users of the activities that the caller sees.
async fn users_of(caller: &Caller, parameters: &str) -> BTreeSet<String> {
    let path = format!("/v1/activities?limit=1000{parameters}");
    let activities = caller.list(&path, "activities").await;
    activities.iter().map(|one| one["user"]["id"].as_str().unwrap_or("nobody").to_owned()).collect()
}

/// The ids of the users that the caller sees.
async fn listed(caller: &Caller, parameters: &str) -> BTreeSet<String> {
    let users = caller.list(&format!("/v1/users?limit=1000{parameters}"), "users").await;
    users.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Everything that the manager `boss` sees, which must be `expected`, with all filters and on all read paths.
async fn assert_boss_sees(boss: &Caller, expected: &[&str]) {
    // The first request fills the cache, the second one uses it.
    for _ in 0..2 {
        let all: BTreeSet<String> = set(expected);
        assert_eq!(users_of(boss, "").await, all);
        assert_eq!(listed(boss, "").await, all);
        let facets = boss.get("/v1/facets").await.expect(200).text().to_owned();
        let summary = boss.get("/v1/activities/summary?by=user").await.expect(200).text().to_owned();
        let progress = boss.get("/v1/contents/c1/progress").await.expect(200).text().to_owned();
        let ndjson = boss.get("/v1/activities/export.ndjson").await.expect(200).text().to_owned();
        for id in ["mid", "low", "new"] {
            let is_visible = all.contains(id);
            let status = if is_visible { 200 } else { 404 };
            for path in ["", "/activities", "/timeline", "/notes"] {
                boss.get(&format!("/v1/users/{id}{path}")).await.expect(status);
            }
            let named = format!("\"{id}\"");
            for text in [&summary, &progress, &ndjson] {
                assert_eq!(text.contains(&named), is_visible, "{id} in {text}");
            }
            assert!(is_visible || !facets.contains(&named), "{facets}");
        }
    }
}

/// `boss` manages `mid`, and `mid` manages `low`. Each has an activity.
async fn set_up(admin: &Caller) {
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let users = [
        user("boss").set("role", "manager"),
        user("mid").set("manager", "boss"),
        user("low").set("manager", "mid").set("email", "low@example.org"),
        user("far"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    for id in ["boss", "mid", "low", "far"] {
        admin.post("/v1/activities", &activity(id, "viewed").set("content", "c1")).await.expect(201);
    }
}

#[apply(both_databases)]
async fn change_of_a_manager_counts_for_the_next_request(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let boss = servers.reader("manager", "boss");
    let change = async |path: &str, body: Value| {
        admin.patch(path, &body).await.expect(200);
    };
    assert_boss_sees(&boss, &["boss", "low", "mid"]).await;
    change("/v1/users/low", json!({"manager": "far"})).await;
    assert_boss_sees(&boss, &["boss", "mid"]).await;
    change("/v1/users/low", json!({"manager": "mid"})).await;
    change("/v1/users/mid", json!({"manager": null})).await;
    assert_boss_sees(&boss, &["boss"]).await;
    change("/v1/users/mid", json!({"manager": "boss"})).await;
    assert_boss_sees(&boss, &["boss", "low", "mid"]).await;
    change("/v1/organisation", json!({"managers_see_indirect_reports": false})).await;
    assert_boss_sees(&boss, &["boss", "mid"]).await;
    change("/v1/organisation", json!({"managers_see_indirect_reports": true})).await;
    admin.put("/v1/users/new", &user("new").set("manager", "low")).await.expect(201);
    admin.post("/v1/activities", &activity("new", "viewed").set("content", "c1")).await.expect(201);
    assert_boss_sees(&boss, &["boss", "low", "mid", "new"]).await;
    let batch = [user("new").set("manager", "far"), user("low").set("manager", "far")];
    admin.post("/v1/users/batch", &batch).await.expect(200);
    assert_boss_sees(&boss, &["boss", "mid"]).await;
    servers.stop().await;
}

#[apply(both_databases)]
async fn deactivation_counts_for_the_next_request(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let boss = servers.reader("manager", "boss");
    for _ in 0..2 {
        assert_eq!(users_of(&boss, "").await, set(&["boss", "low", "mid"]));
        admin.patch("/v1/users/low", &json!({"active": false})).await.expect(200);
        assert_eq!(users_of(&boss, "").await, set(&["boss", "mid"]));
        assert_eq!(users_of(&boss, "&include_deactivated=true").await, set(&["boss", "low", "mid"]));
        admin.patch("/v1/users/low", &json!({"active": true})).await.expect(200);
    }
    admin.patch("/v1/users/boss", &json!({"active": false})).await.expect(200);
    boss.get("/v1/activities").await.expect(403);
    servers.stop().await;
}

#[apply(both_databases)]
async fn moved_identifier_counts_for_the_next_request(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let boss = servers.reader("manager", "boss");
    let count = async || boss.list("/v1/activities?user=low&user=mid&limit=1000", "activities").await.len();
    assert_eq!(count().await, 2);
    for email in ["low@example.org", "later@example.org"] {
        admin.post(STATEMENTS, &statement(mailbox(email), COMPLETED, "urn:c2")).await.expect(200);
    }
    assert_eq!(count().await, 3);
    let identifiers = json!({"identifiers": [mailbox("low@example.org")], "from": "2000-01-01T00:00:00Z"});
    admin.post("/v1/users/far/identifiers", &identifiers).await.expect(200);
    assert_eq!(count().await, 2, "the record of the address belongs to another user now");
    admin.patch("/v1/users/mid", &json!({"email": "later@example.org"})).await.expect(200);
    assert_eq!(count().await, 3, "the record of the new address belongs to a report");
    servers.stop().await;
}

#[apply(both_databases)]
async fn change_of_a_team_or_group_counts_for_the_next_request(server: &TestServer) {
    let servers = Servers::start(server).await;
    let admin = server.person("admin", "root");
    set_up(&admin).await;
    let teams = [team("t1"), team("t2").set("parent", "t1"), team("t3").set("parent", "t2")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/g1", &json!({"id": "g1", "name": "Group"})).await.expect(201);
    let far = json!({"teams": ["t3"], "primary_team": "t3", "groups": ["g1"]});
    admin.patch("/v1/users/far", &far).await.expect(200);
    let reader = servers.reader("reporter", "rita");
    let in_teams = "&team=t1&include_sub_teams=true";
    let assert_far = async |is_visible: bool| {
        let expected = if is_visible { set(&["far"]) } else { set(&[]) };
        for _ in 0..2 {
            assert_eq!(users_of(&reader, in_teams).await, expected);
            assert_eq!(users_of(&reader, &format!("{in_teams}&primary_team_only=true")).await, expected);
            assert_eq!(listed(&reader, in_teams).await, expected);
            let summary = reader.get(&format!("/v1/activities/summary?by=team{in_teams}")).await.expect(200);
            assert_eq!(summary.text().contains("\"t3\""), is_visible);
            let path = format!("/v1/contents/c1/progress?{}", &in_teams[1..]);
            let progress = reader.get(&path).await.expect(200);
            assert_eq!(progress.text().contains("\"far\""), is_visible);
        }
    };
    assert_far(true).await;
    admin.patch("/v1/teams/t2", &json!({"parent": null})).await.expect(200);
    assert_far(false).await;
    admin.patch("/v1/teams/t2", &json!({"parent": "t1"})).await.expect(200);
    assert_far(true).await;
    admin.patch("/v1/users/far", &json!({"teams": [], "primary_team": null})).await.expect(200);
    assert_far(false).await;
    assert_eq!(users_of(&reader, "&group=g1").await, set(&["far"]));
    admin.patch("/v1/users/far", &json!({"groups": []})).await.expect(200);
    assert_eq!(users_of(&reader, "&group=g1").await, set(&[]));
    servers.stop().await;
}

/// The users below `boss`, found without the server.
fn below(managers: &[Option<usize>], boss: usize) -> BTreeSet<String> {
    let is_below = |start: usize| {
        let mut user = Some(start);
        std::iter::from_fn(|| {
            let current = user?;
            user = managers[current];
            Some(current)
        })
        .any(|user| user == boss)
    };
    (0..managers.len()).filter(|user| is_below(*user)).map(|user| format!("u{user}")).collect()
}

#[apply(both_databases)]
async fn random_changes_count_for_the_next_request(server: &TestServer) {
    const USERS: usize = 9;
    let servers = Servers::start(server).await;
    let admin = server.person("admin", "root");
    let users: Vec<_> = (0..USERS).map(|n| user(&format!("u{n}")).set("role", "manager")).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let mut random = Random::new(12);
    let mut managers = [None; USERS];
    for round in 0..60 {
        let (changed, manager) =
            (random.below(USERS), Some(random.below(USERS)).filter(|_| random.percent(85)));
        let name = manager.map(|manager| format!("u{manager}"));
        let body = json!({"manager": name});
        let makes_cycle =
            manager.is_some_and(|manager| below(&managers, changed).contains(&format!("u{manager}")));
        let answer = admin.patch(&format!("/v1/users/u{changed}"), &body).await;
        answer.expect(if makes_cycle { 400 } else { 200 });
        if !makes_cycle {
            managers[changed] = manager;
        }
        for boss in [0, random.below(USERS)] {
            let visible = listed(&servers.reader("manager", &format!("u{boss}")), "").await;
            assert_eq!(visible, below(&managers, boss), "round {round}, u{boss}, {managers:?}");
        }
    }
    servers.stop().await;
}
