//! Tests that a caller sees only the progress of users within the reach.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FIRE, FIRE_CSV, activity_on_fire, find_users, post_batch, progress_of, set_up_with_every_state};
use crate::support::builders::{activity, content, mailbox, statement, user};
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn caller_sees_exactly_the_users_within_reach(server: &TestServer) {
    let (admin, _) = set_up_with_every_state(server).await;
    // Another organisation with the same ids, and with a content that only it has.
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.post("/v1/users/batch", &[user("ada"), user("bo"), user("zoe")]).await.expect(200);
    other.put("/v1/contents/fire", &content("fire", "item")).await.expect(201);
    other.put("/v1/contents/theirs", &content("theirs", "item")).await.expect(201);
    for who in ["ada", "bo", "zoe"] {
        other.post("/v1/activities", &activity(who, "completed").set("content", "fire")).await.expect(201);
    }
    admin.get("/v1/contents/theirs/progress").await.expect(404);
    admin.get("/v1/contents/theirs/progress.csv").await.expect(404);

    let no_reports = json!({"direct": [], "indirect": []});
    let claimed = json!({"direct": ["eve"], "indirect": ["dee"]});
    let callers = [
        ("owner", server.person("owner", "x")),
        ("hr", server.person("hr", "cy")),
        ("reporter", server.person("reporter", "cy")),
        ("learning designer", server.person("learning_designer", "cy")),
        ("curator", server.person("curator", "cy")),
        (
            "curator with reporting",
            server.person_of(ORG, json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]})),
        ),
        ("manager ada", server.person("manager", "ada")),
        ("manager bo", server.person("manager", "bo")),
        (
            "manager of nobody",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": no_reports})),
        ),
        (
            "manager by claim",
            server.person_of(ORG, json!({"sub": "ada", "role": "manager", "reports": claimed})),
        ),
        ("learner", server.person("learner", "eve")),
        ("learner of no directory", server.person("learner", "zoe")),
    ];
    for indirect in [true, false] {
        admin
            .patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect}))
            .await
            .expect(200);
        for (name, caller) in &callers {
            let directory = caller.list("/v1/users?active=true", "users").await;
            let ids: BTreeSet<&str> =
                directory.iter().map(|user| user["id"].as_str().expect("an id")).collect();
            let ids = ids.into_iter().collect::<Vec<_>>().join(" ");
            assert_eq!(find_users(caller, "limit=1").await, ids, "{name}, {indirect}");
            assert_eq!(
                caller.get(FIRE_CSV).await.expect(200).csv_column("User ID").join(" "),
                ids,
                "{name}, {indirect}"
            );
            let counted = caller.get(&format!("{FIRE}?count=exact")).await.expect(200).json();
            assert_eq!(counted["total"], directory.len(), "{name}, {indirect}");
            let sum: u64 =
                counted["states"].as_object().expect("states").values().filter_map(Value::as_u64).sum();
            assert_eq!(sum as usize, directory.len(), "{name}, {indirect}");
            // Each entry is the same as for an admin.
            for one in counted["progress"].as_array().expect("a list") {
                let id = one["user"]["id"].as_str().expect("an id");
                assert_eq!(*one, progress_of(&admin, id).await, "{name}, {indirect}");
            }
            // A request for a user outside the reach gives the same answer as for an unknown user.
            for id in ["ada", "bo", "cy", "dee", "eve", "nobody"] {
                let inside = ids.split(' ').any(|other| other == id);
                let page = caller.get(&format!("{FIRE}?user={id}&count=exact")).await.expect(200).json();
                assert_eq!(page["total"], usize::from(inside), "{name} asks for {id}");
            }
        }
    }
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": true})).await.expect(200);
    let ada = server.person("manager", "ada");
    for (query, expected) in [
        ("", "ada bo cy dee"),
        ("scope=managed", "bo cy"),
        ("scope=managed&include_sub_managers=true", "bo cy dee"),
        ("scope=me", "ada"),
        ("scope=team&team=sales", "bo cy"),
        ("group=aid", ""),
        ("state=not_started", ""),
        ("state=completed&include_deactivated=true", "ada old"),
    ] {
        assert_eq!(find_users(&ada, query).await, expected, "{query}");
    }
    for path in [FIRE, FIRE_CSV] {
        ada.get(&format!("{path}?scope=company")).await.expect(403);
        server.person("learner", "bo").get(&format!("{path}?scope=managed")).await.expect(403);
        let key = server.credential(ORG, &["activities/read"]).await;
        key.get(&format!("{path}?scope=me")).await.expect(403);
        key.get(path).await.expect(200);
    }
}

#[apply(both_databases)]
async fn activities_outside_the_reach_change_nothing(server: &TestServer) {
    let (_, sender) = set_up_with_every_state(server).await;
    let bo = server.person("manager", "bo");
    let ask = async || {
        let page = bo.get(&format!("{FIRE}?count=exact")).await.expect(200).body;
        let csv = bo.get(FIRE_CSV).await.expect(200).body;
        (page, bo.get(&format!("{FIRE}?state=not_started,completed&count=exact")).await.expect(200).body, csv)
    };
    let before = ask().await;
    post_batch(
        &sender,
        &[
            activity_on_fire(50, "cy", "completed", "2026-03-10T09:00:00Z")
                .set("result", json!({"success": true})),
            activity_on_fire(51, "eve", "failed", "2026-03-10T09:00:00Z"),
            activity_on_fire(52, "ada", "failed", "2026-03-10T09:00:00Z"),
        ],
    )
    .await;
    let guest = statement(
        mailbox("guest@example.com"),
        "http://adlnet.gov/expapi/verbs/passed",
        "https://rollbook.invalid/acme/contents/fire",
    );
    sender.post("/xapi/statements", &guest).await.expect(200);
    assert_eq!(ask().await, before);
}
