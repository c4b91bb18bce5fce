//! Tests of pages and cursors.

use serde_json::{Value, json};

use super::{
    FIRE, activity_on_fire, find_users, post_batch, set_days_after_start, set_up, set_up_with_every_state,
    user_ids,
};
use crate::support::builders::{Body, content, mailbox, statement, user};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn all_pages_use_the_time_of_the_first_page(server: &TestServer) {
    let (admin, _) = set_up_with_every_state(server).await;
    for query in ["limit=1", "limit=1&state=completed,failed,in_progress", "limit=1&count=exact"] {
        set_days_after_start(server, 0);
        let first = admin.get(&format!("{FIRE}?{query}")).await.expect(200).json();
        assert_eq!(first["progress"][0]["state"], "completed", "{query}");
        let next = first["next"].as_str().expect("a second page");
        set_days_after_start(server, 400);
        let second = admin.get(next).await.expect(200).json();
        assert_eq!(second["states"], first["states"], "{query}");
        let rest = admin.list(next, "progress").await;
        let expected = if query.contains("state") { "bo cy" } else { "bo cy dee eve" };
        assert_eq!(user_ids(&rest), expected, "{query}");
    }
    // A new request uses the new time.
    assert_eq!(find_users(&admin, "state=completed").await, "");
    assert_eq!(find_users(&admin, "state=expired").await, "ada dee");
}

#[apply(both_databases)]
async fn pages_of_every_size_contain_every_user_once(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let users: Vec<Body> = (0..30).map(|n| user(&format!("u{n:02}"))).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let done: Vec<Body> = (0..30)
        .step_by(3)
        .map(|n| activity_on_fire(n, &format!("u{n:02}"), "viewed", "2026-03-01T09:00:00Z"))
        .collect();
    post_batch(&sender, &done).await;
    for n in 0..3 {
        let statement_of_guest = statement(
            mailbox(&format!("guest{n}@example.com")),
            "http://id.tincanapi.com/verb/viewed",
            "https://rollbook.invalid/acme/contents/fire",
        );
        sender.post("/xapi/statements", &statement_of_guest).await.expect(200);
    }
    let all_users = find_users(&admin, "limit=1000").await;
    assert_eq!(all_users.split(' ').count(), 5 + 30 + 3);
    assert!(all_users.starts_with("ada bo cy dee eve u00 u01") && all_users.ends_with("u29 - - -"));
    let guests = |people: &[Value]| -> Vec<String> {
        people
            .iter()
            .filter(|one| one["user"]["id"].is_null())
            .map(|one| one["user"]["email"].to_string())
            .collect()
    };
    for limit in [1, 2, 7, 35, 36, 37, 38, 39] {
        for query in [String::new(), "&count=exact".to_owned()] {
            let list = admin.list(&format!("{FIRE}?limit={limit}{query}"), "progress").await;
            assert_eq!(user_ids(&list), all_users, "{limit}{query}");
            assert_eq!(
                guests(&list),
                ["\"guest0@example.com\"", "\"guest1@example.com\"", "\"guest2@example.com\""]
            );
        }
        let started = admin.list(&format!("{FIRE}?limit={limit}&state=in_progress"), "progress").await;
        assert_eq!(user_ids(&started), "u00 u03 u06 u09 u12 u15 u18 u21 u24 u27 - - -", "{limit}");
        let rest = admin.list(&format!("{FIRE}?limit={limit}&state=not_started"), "progress").await;
        assert_eq!(rest.len(), 25, "{limit}");
    }
    let page =
        admin.get(&format!("{FIRE}?limit=2&count=exact&state=not_started&state=failed")).await.expect(200);
    let link = page.header("link").map(str::to_owned);
    let page = page.json();
    assert_eq!((&page["total"], &page["states"]["in_progress"]), (&json!(25), &json!(13)));
    let next = page["next"].as_str().expect("a next page");
    assert!(
        next.starts_with(
            "/v1/contents/fire/progress?limit=2&count=exact&state=not_started&state=failed&cursor="
        ),
        "{next}"
    );
    assert_eq!(link, Some(format!("<{next}>; rel=\"next\"")));
}

#[apply(both_databases)]
async fn cursor_is_valid_only_for_its_parameters_and_caller(server: &TestServer) {
    let (admin, _) = set_up_with_every_state(server).await;
    admin.put("/v1/contents/other", &content("other", "item")).await.expect(201);
    let page = admin.get(&format!("{FIRE}?limit=2")).await.expect(200).json();
    let next = page["next"].as_str().expect("a next page");
    admin.get(&next.replace("limit=2", "limit=3")).await.expect(200);
    server.person("admin", "other").get(next).await.expect(400);
    for changed in [
        next.replace("/fire/", "/other/"),
        format!("{next}&state=failed"),
        format!("{next}&include_deactivated=true"),
        format!("{next}&scope=me"),
        format!("{FIRE}?cursor=x"),
        format!("{FIRE}?cursor=AQ"),
    ] {
        let problem = admin.get(&changed).await.expect(400).json();
        assert_eq!(problem["code"], "bad-cursor", "{changed}");
    }
    // A cursor of another list of the same caller.
    let users = admin.get("/v1/users?limit=1").await.expect(200).json();
    let foreign =
        users["next"].as_str().expect("a next page").split("cursor=").last().expect("a cursor").to_owned();
    admin.get(&format!("{FIRE}?limit=2&cursor={foreign}")).await.expect(400);
}
