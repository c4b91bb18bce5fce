//! Tests of links to exports: `/v1/downloads` and `/downloads/once/{token}`.

use std::time::Duration;

use reqwest::Method;
use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::json;

use super::reports::create_report;
use crate::support::builders::{activity, content, user};
use crate::support::http::{Answer, Caller};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

/// The requests that a caller may send at once, in a server with a limit of one a second.
const BURST: u32 = 10;

#[test]
fn link_that_was_refused_by_a_limit_can_be_opened_again() {
    for database in [Database::sqlite(), Database::postgres()] {
        let limits = Limits { requests_per_second: 1, burst: BURST, ..Limits::default() };
        let options = AppOptions { limits, ..AppOptions::default() };
        run_with(database, options, async |server: &TestServer| {
            let reader = server.person("admin", "ada");
            let link = create_link(server, &reader, "/v1/activities/export.csv").await;
            let anonymous = server.anonymous();
            while reader.get("/v1/actions").await.status != 429 {}
            let refused = anonymous.get(&link).await.expect(429);
            let seconds = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            anonymous.get(&link).await.expect(200);
            anonymous.get(&link).await.expect(404);
        });
    }
}

/// Users with managers, and one activity of each.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    for id in ["root", "mo", "eve"] {
        admin.put(&format!("/v1/users/{id}"), &user(id).set("role", "owner")).await.expect(201);
    }
    for (id, manager) in [("bo", "mo"), ("cy", "mo"), ("dee", "eve")] {
        admin.put(&format!("/v1/users/{id}"), &user(id).set("manager", manager)).await.expect(201);
    }
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    for id in ["bo", "cy", "dee"] {
        let body = activity(id, "completed").set("content", "fire");
        admin.post("/v1/activities", &body).await.expect(201);
    }
    admin
}

async fn ask(caller: &Caller, path: &str) -> Answer {
    caller.post("/v1/downloads", &json!({"path": path})).await
}

/// The path of a new link.
async fn create_link(server: &TestServer, caller: &Caller, path: &str) -> String {
    let link = ask(caller, path).await.expect(201).json();
    let url = link["url"].as_str().expect("an address");
    url.strip_prefix(&server.base).expect("an address of this server").to_owned()
}

fn advance(server: &TestServer, seconds: i64) {
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + seconds * 1_000_000));
}

fn people(answer: &Answer) -> Vec<String> {
    let mut people = answer.csv_column("User ID");
    people.sort_unstable();
    people
}

#[apply(both_databases)]
async fn link_saves_each_export_once_as_its_caller_would_get_it(server: &TestServer) {
    let admin = set_up(server).await;
    let report = create_report(&admin, "All Ümläute", "shared", json!({"action": ["completed"]})).await;
    let started = admin
        .send(
            Method::POST,
            "/v1/imports?on_error=skip",
            &[("content-type", "text/csv")],
            b"user,action\nbo,finished\n".to_vec(),
        )
        .await;
    let import = started.json()["id"].as_str().map(|id| format!("/v1/imports/{id}/errors.csv"));
    let mut paths = vec![
        "/v1/activities/export.csv?action=completed&columns=full".to_owned(),
        "/v1/activities/export.ndjson".to_owned(),
        "/v1/activities/export.parquet?columns=full".to_owned(),
        "/v1/contents/fire/progress.csv?scope=company".to_owned(),
        "/v1/quizzes/fire/responses.csv".to_owned(),
        "/v1/exercises/fire/attempts.csv".to_owned(),
        "/v1/imports/template.csv".to_owned(),
        format!("{report}/export.csv?user=bo"),
        format!("{report}/export.ndjson"),
        format!("{report}/export.parquet"),
    ];
    paths.extend(import);
    for path in &paths {
        let direct = admin.get(path).await.expect(200);
        let link = create_link(server, &admin, path).await;
        let head = server.anonymous().send(Method::HEAD, &link, &[], Vec::new()).await.expect(200);
        let opened = server.anonymous().get(&link).await.expect(200);
        assert_eq!(opened.body, direct.body, "{path}");
        for name in ["content-type", "content-disposition"] {
            assert_eq!(opened.header(name), direct.header(name), "{path}");
            assert_eq!(head.header(name), direct.header(name), "{path}");
        }
        assert!(opened.header("content-disposition").is_some_and(|name| name.starts_with("attachment")));
        assert_eq!(opened.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(opened.header("referrer-policy"), Some("no-referrer"), "{path}");
        server.anonymous().get(&link).await.expect(404);
    }
    assert_eq!(server.database().query_number("SELECT count(*) FROM export_links").await, 0);
}

#[apply(both_databases)]
async fn link_expires_after_a_minute_and_with_the_token(server: &TestServer) {
    let admin = set_up(server).await;
    let path = "/v1/activities/export.csv";
    let link = create_link(server, &admin, path).await;
    let late = create_link(server, &admin, path).await;
    advance(server, 59);
    server.anonymous().get(&link).await.expect(200);
    advance(server, 1);
    let expired = server.anonymous().get(&late).await.expect(410);
    assert_eq!(
        (&expired.json()["code"], expired.header("cache-control")),
        (&json!("expired"), Some("no-store"))
    );
    // A link is not valid for longer than the token of its caller.
    let seconds = server.clock.now().micros() / 1_000_000;
    let claims = json!({"sub": "root", "role": "admin", "exp": seconds + 10});
    let short = server.person_of("acme", claims);
    let link = create_link(server, &short, path).await;
    advance(server, 10);
    server.anonymous().get(&link).await.expect(410);
    // A new link removes those that expired long ago.
    advance(server, 3_700);
    let link = create_link(server, &server.person("admin", "root"), path).await;
    assert_eq!(server.database().query_number("SELECT count(*) FROM export_links").await, 1);
    for wrong in [
        "/downloads/once/x",
        "/downloads/once/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &format!("{link}x"),
    ] {
        server.anonymous().get(wrong).await.expect(404);
    }
    server.anonymous().get(&format!("{link}?x=1")).await.expect(400);
    // Of several requests at the same moment, one gets the file.
    let anonymous = server.anonymous();
    let opened = futures_util::future::join_all((0..8).map(|_| anonymous.get(&link))).await;
    let mut statuses: Vec<u16> = opened.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
}

#[apply(both_databases)]
async fn link_opens_what_its_caller_may_see_at_that_moment(server: &TestServer) {
    let admin = set_up(server).await;
    let path = "/v1/activities/export.csv?columns=full";
    let manager = server.person("manager", "mo");
    let (before, after) =
        (create_link(server, &manager, path).await, create_link(server, &manager, path).await);
    let open = async |link: String| server.anonymous().get(&link).await;
    assert_eq!(people(&open(before).await.expect(200)), ["bo", "cy"]);
    admin.patch("/v1/users/cy", &json!({"manager": "eve"})).await.expect(200);
    assert_eq!(people(&open(after).await.expect(200)), ["bo"]);
    // A caller that may not sign in any more gets nothing.
    let link = create_link(server, &manager, path).await;
    admin.patch("/v1/users/mo", &json!({"active": false})).await.expect(200);
    let refused = open(link.clone()).await.expect(404);
    assert_eq!(refused.header("www-authenticate"), None);
    // A refusal does not use the link up.
    admin.patch("/v1/users/mo", &json!({"active": true})).await.expect(200);
    assert_eq!(people(&open(link.clone()).await.expect(200)), ["bo"]);
    open(link).await.expect(404);
    let reader = server.credential("acme", &["activities/read"]).await;
    let link = create_link(server, &reader, path).await;
    let listed = admin.list("/v1/credentials", "credentials").await;
    let id = listed[0]["id"].as_str().expect("an id");
    admin.delete(&format!("/v1/credentials/{id}")).await.expect(204);
    open(link).await.expect(404);
    // Another organisation sees its own rows, also by a link.
    let stranger = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    let link = create_link(server, &stranger, path).await;
    assert_eq!(people(&open(link).await.expect(200)), Vec::<String>::new());
}

#[apply(both_databases)]
async fn request_for_a_link_is_refused_as_the_export_would_be(server: &TestServer) {
    let admin = set_up(server).await;
    let foreign = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    foreign.put("/v1/users/root", &user("root").set("role", "owner")).await.expect(201);
    let report = create_report(&foreign, "Theirs", "shared", json!({})).await;
    for path in [
        "",
        "/",
        "/v1/activities",
        "/v1/me",
        "/v1/downloads",
        "/xapi/statements",
        "https://evil.example/x",
        "//v1/activities/export.csv",
        "/v1/activities/export.csv/",
        "v1/activities/export.csv",
        "/v1/contents//progress.csv",
        "/downloads/once/x",
        "/v1/activities/export.csv#x",
    ] {
        let refused = ask(&admin, path).await.expect(400).json();
        assert_eq!(
            (&refused["code"], &refused["pointer"]),
            (&json!("invalid-body"), &json!("/path")),
            "{path}"
        );
    }
    for (body, pointer) in [
        (json!({}), "/path"),
        (json!({"path": 7}), "/path"),
        (json!({"path": "/v1/activities/export.csv", "x": 1}), "/x"),
        (json!([]), ""),
    ] {
        let refused = admin.post("/v1/downloads", &body).await.expect(400).json();
        assert_eq!(refused["pointer"], pointer, "{body}");
    }
    for (caller, path, status) in [
        (&admin, "/v1/activities/export.csv?colour=red", 400),
        (&admin, "/v1/activities/export.csv?q=%FF", 400),
        (&admin, "/v1/contents/none/progress.csv", 404),
        (&admin, &format!("{report}/export.csv"), 404),
        (&server.person("learner", "bo"), "/v1/activities/export.csv?scope=company", 403),
        (&server.person("learner", "bo"), "/v1/imports/template.csv", 403),
        (&server.credential("acme", &["directory"]).await, "/v1/activities/export.csv", 403),
    ] {
        ask(caller, path).await.expect(status);
    }
    assert_eq!(server.database().query_number("SELECT count(*) FROM export_links").await, 0);
}

#[apply(both_databases)]
async fn caller_has_a_bounded_number_of_links(server: &TestServer) {
    let admin = set_up(server).await;
    let path = "/v1/activities/export.csv";
    let mut links = Vec::new();
    for _ in 0..20 {
        links.push(create_link(server, &admin, path).await);
    }
    let refused = ask(&admin, path).await.expect(429);
    assert_eq!(
        (refused.header("retry-after"), &refused.json()["code"]),
        (Some("60"), &json!("too-many-requests"))
    );
    // Other callers have links of their own, and a used one makes space.
    create_link(server, &server.person("hr", "eve"), path).await;
    server.anonymous().get(&links[0]).await.expect(200);
    create_link(server, &admin, path).await;
    ask(&admin, path).await.expect(429);
    advance(server, 60);
    create_link(server, &server.person("admin", "root"), path).await;
}
