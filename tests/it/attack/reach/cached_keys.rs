//! Cached keys belong to one query of one organisation, also where numbers are equal.

use serde_json::json;

use crate::support::builders::{activity, content, team, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

/// The number of teams. The key of one of them is the 256th part of the key of a user.
const TEAMS: usize = 3;

/// The keys of a manager's tree and of the teams of a filter stand next to each other in a query. The lists [a, 256 k] and
/// [c] have the same bytes as [a] and [k, c], apart from their lengths.
#[apply(both_databases)]
async fn manager_never_receives_the_persons_of_another_manager(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    let teams: Vec<_> = (0..=TEAMS).map(|n| team(&format!("t{n}"))).collect();
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    let users: Vec<_> = (0..900).map(|n| user(&format!("u{n}"))).collect();
    for users in users.chunks(300) {
        admin.post("/v1/users/batch", &users.to_vec()).await.expect(200);
    }
    let mut tested = 0;
    for number in 0..TEAMS {
        let find = format!("SELECT 256 * key FROM teams WHERE id = 't{number}'");
        let same_bytes = server.database().query_number(&find).await;
        let find = format!("SELECT count(*) FROM users WHERE key = {same_bytes}");
        if server.database().query_number(&find).await == 0 {
            continue;
        }
        let find = format!("SELECT CAST(substr(id, 2) AS BIGINT) FROM users WHERE key = {same_bytes}");
        let boss = format!("u{}", server.database().query_number(&find).await);
        let last = format!("t{TEAMS}");
        let in_last = json!({"role": "manager", "teams": [last], "primary_team": last});
        admin.patch(&format!("/v1/users/{boss}"), &in_last).await.expect(200);
        admin.patch("/v1/users/u0", &json!({"manager": boss})).await.expect(200);
        admin.post("/v1/activities", &activity(&boss, "viewed").set("content", "c1")).await.expect(201);
        let (boss, report) = (server.person("manager", &boss), server.person("manager", "u0"));
        let path = format!("/v1/activities?team={last}");
        assert_eq!(boss.list(&path, "activities").await.len(), 1);
        let path = format!("/v1/activities?team=t{number}&team={last}");
        assert!(report.list(&path, "activities").await.is_empty(), "the record is the manager's");
        tested += 1;
    }
    assert!(tested > 0, "no user has such a key");
}

/// The ids of the users that the caller sees.
async fn listed(caller: &Caller) -> Vec<String> {
    let users = caller.list("/v1/users?limit=1000", "users").await;
    users.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

/// After a fail-over that lost commits, the key of a lost organisation belongs to another one.
#[apply(both_databases)]
async fn key_of_an_organisation_is_not_used_after_it_belongs_to_another(server: &TestServer) {
    let person = |organisation: &str| server.person_of(organisation, json!({"sub": "root", "role": "admin"}));
    let (first, second) = (person("first"), person("second"));
    first.put("/v1/users/of-first", &user("of-first")).await.expect(201);
    second.put("/v1/users/of-second", &user("of-second")).await.expect(201);
    assert_eq!(
        (listed(&first).await, listed(&second).await),
        (vec!["of-first".into()], vec!["of-second".into()])
    );
    for (before, after) in [("first", "third"), ("second", "first"), ("third", "second")] {
        let change = format!("UPDATE organisations SET id = '{after}' WHERE id = '{before}'");
        server.database().execute(&change).await;
    }
    assert_eq!(
        (listed(&first).await, listed(&second).await),
        (vec!["of-second".into()], vec!["of-first".into()])
    );
    first.put("/v1/users/x", &user("x")).await.expect(201);
    assert_eq!(listed(&first).await, ["of-second", "x"]);
    assert_eq!(listed(&second).await, ["of-first"]);
}
