//! Drives `examples/frontend` in Chromium.

use std::process::Command;

use rollbook::cli::demo::PAGES;
use rollbook::http::AppOptions;
use serde_json::{Value, json};

use super::run_command;
use crate::support::browser::install_example;
use crate::support::builders::{activity, content, user};
use crate::support::server::{run_with, sign};
use crate::support::tools::is_installed;
use crate::support::{Database, TestServer};

/// Signs a token of a person of the organisation.
fn sign_token(user: &str, role: &str, expires: i64) -> String {
    sign(&json!({"org": "acme", "sub": user, "role": role, "exp": expires}))
}

/// Creates three people and 40 activities.
async fn create_organisation(server: &TestServer) {
    let admin = server.person("admin", "root");
    for (id, first_name, last_name) in [("root", "Ada", "Obi"), ("bo", "Bo", "Ek"), ("cy", "Cy", "Lam")] {
        let person = user(id).set("first_name", first_name).set("last_name", last_name);
        admin.put(&format!("/v1/users/{id}"), &person).await.expect(201);
    }
    for (id, title, kind) in [("fire", "Fire Safety", "quiz"), ("ladders", "Ladders", "item")] {
        admin.put(&format!("/v1/contents/{id}"), &content(id, kind).set("title", title)).await.expect(201);
    }
    let activities: Vec<Value> = (0..40)
        .map(|number| {
            let person = ["bo", "cy"][number % 2];
            let (action, content) =
                [("failed", "fire"), ("viewed", "ladders"), ("completed", "fire")][number % 3];
            let happened_at = format!("2026-02-{:02}T09:00:00Z", number % 28 + 1);
            let mut sent = activity(person, action).set("content", content).set("happened_at", happened_at);
            if content == "fire" {
                sent = sent.set("result", json!({"score": {"raw": 40 + number, "min": 0, "max": 100}}));
            }
            json!(sent)
        })
        .collect();
    admin.post("/v1/activities/batch", &json!(activities)).await.expect(201);
}

/// Signs in, filters, pages, downloads and follows the log in the page. axe-core checks each view.
async fn check_in_browser(server: &TestServer) {
    let install = || install_example("frontend", &["package.json", "check.mjs"]);
    let Some(folder) = tokio::task::block_in_place(install) else {
        return;
    };
    create_organisation(server).await;
    let (code, output_text) = run_command(
        Command::new("node")
            .arg("check.mjs")
            .current_dir(folder.path())
            .env("ROLLBOOK_CLIENT_URL", &server.base)
            .env("ROLLBOOK_CLIENT_ADMIN_TOKEN", sign_token("root", "admin", 4_000_000_000))
            .env("ROLLBOOK_CLIENT_LEARNER_TOKEN", sign_token("bo", "learner", 4_000_000_000))
            .env("ROLLBOOK_CLIENT_EXPIRED_TOKEN", sign_token("bo", "learner", 1_600_000_000)),
    );
    assert_eq!(code, Some(0), "{output_text}");
    assert!(output_text.contains("the frontend works"), "{output_text}");
}

#[test]
fn frontend_is_used_in_a_browser() {
    if is_installed("chromium") {
        let options = AppOptions { pages: PAGES, ..AppOptions::default() };
        run_with(Database::sqlite(), options, check_in_browser);
    }
}

#[test]
fn frontend_on_postgres_is_used_in_a_browser() {
    if is_installed("chromium") {
        let options = AppOptions { pages: PAGES, ..AppOptions::default() };
        run_with(Database::postgres(), options, check_in_browser);
    }
}

/// Each file of the example is served with its type, and the page runs no script inside it.
#[test]
fn files_of_the_frontend_are_served_with_a_policy() {
    let options = AppOptions { pages: PAGES, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let page = open(server, "/example").await.text().await.expect("a text");
        assert_eq!(open(server, "/example/").await.text().await.expect("a text"), page);
        let folder = super::root().join("examples/frontend");
        for entry in std::fs::read_dir(&folder).expect("the folder of the example") {
            let name = entry.expect("a file").file_name().into_string().expect("a text");
            let content_type = match name.rsplit_once('.').map(|(_, ending)| ending) {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                _ => continue,
            };
            let answer = open(server, &format!("/example/{name}")).await;
            assert_eq!(answer.status(), 200, "{name}");
            assert_eq!(answer.headers()["content-type"], content_type, "{name}");
            let policy = answer.headers()["content-security-policy"].to_str().expect("a text");
            assert!(
                policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
        assert!(!page.contains(" onclick=") && !page.contains("javascript:"));
    });
    // Only the demo has the page.
    run_with(Database::sqlite(), AppOptions::default(), async |server: &TestServer| {
        assert_eq!(open(server, "/example").await.status(), 404);
    });
}

/// Reads a page, which is not part of the OpenAPI document.
async fn open(server: &TestServer, path: &str) -> reqwest::Response {
    reqwest::get(format!("{}{path}", server.base)).await.expect("an answer")
}
