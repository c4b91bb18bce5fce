//! Real clients as launched content: `@xapi/xapi` under Node.js, and a page in Chromium.

use std::process::Command;

use rollbook::http::AppOptions;
use serde_json::{Value, json};

use super::{launch, set_up};
use crate::support::browser::{install_example, open_in_browser, output_of, serve_page};
use crate::support::http::Caller;
use crate::support::server::{run, run_with};
use crate::support::tools::is_installed;
use crate::support::{Database, TestServer};

const PAGE: &str = include_str!("../../../../examples/launch/xapi.html");

#[test]
fn published_client_is_content_within_the_bounds() {
    let Some(folder) = install_example("launch", &["package.json", "content.mjs"]) else {
        return;
    };
    run(Database::sqlite(), async |server: &TestServer| {
        let admin = set_up(server).await;
        let created = launch(&admin, "ada", "fire", json!({})).await;
        let url = created["url"].as_str().expect("an address");
        let text = output_of(Command::new("node").arg("content.mjs").arg(url).current_dir(folder.path()));
        assert!(text.ends_with("everything else is refused\n"), "{text}");
        let rows = admin.list("/v1/activities?user=ada&completed=true", "activities").await;
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (&rows[0]["content"]["id"], &rows[0]["result"]["score"]["percent"]),
            (&json!("fire"), &json!(90))
        );
    });
}

/// The activities of `ada` with the content `fire`, by action, the oldest first.
async fn actions(admin: &Caller) -> Vec<Value> {
    let rows = admin.list("/v1/activities?user=ada&content=fire&sort=happened_at", "activities").await;
    let mut actions: Vec<Value> = rows.iter().map(|row| row["action"]["key"].clone()).collect();
    actions.sort_by_key(ToString::to_string);
    actions
}

#[test]
fn page_of_another_origin_plays_and_resumes() {
    if !is_installed("chromium") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let origin = runtime.block_on(serve_page(PAGE));
    let options = AppOptions { cors_origins: vec![origin.clone()], ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = set_up(server).await;
        let url = |auto: u8| json!({"url": format!("{origin}/index.html?auto={auto}#/start")});
        admin.patch("/v1/contents/fire", &url(1)).await.expect(200);
        let first = launch(&admin, "ada", "fire", json!({"language": "de"})).await;
        let page = open_in_browser(first["url"].as_str().expect("an address"));
        assert!(page.contains("data-end=\"played\"") && page.contains("begins"), "{page}");
        assert_eq!(actions(&admin).await, [json!("started")]);

        admin.patch("/v1/contents/fire", &url(3)).await.expect(200);
        let second = launch(&admin, "ada", "fire", json!({"registration": first["registration"]})).await;
        let page = open_in_browser(second["url"].as_str().expect("an address"));
        assert!(page.contains("data-end=\"played\"") && page.contains("resumes at page 2"), "{page}");
        assert!(page.contains("reads 4 statements"), "{page}");
        assert_eq!(
            actions(&admin).await,
            ["answered", "completed", "started", "started"].map(|key| json!(key))
        );

        // A revoked launch is refused, and the page says why.
        let path = format!("/v1/launches/{}", second["id"].as_str().expect("an id"));
        admin.delete(&path).await.expect(204);
        let page = open_in_browser(second["url"].as_str().expect("an address"));
        assert!(page.contains("failed: 401"), "{page}");
    });
}

#[test]
fn page_of_an_origin_that_is_not_allowed_gets_no_answer() {
    if !is_installed("chromium") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let origin = runtime.block_on(serve_page(PAGE));
    let options =
        AppOptions { cors_origins: vec!["https://lms.example".to_owned()], ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = set_up(server).await;
        let url = json!({"url": format!("{origin}/index.html?auto=3")});
        admin.patch("/v1/contents/fire", &url).await.expect(200);
        let created = launch(&admin, "ada", "fire", json!({})).await;
        let page = open_in_browser(created["url"].as_str().expect("an address"));
        assert!(page.contains("data-end=\"failed\""), "{page}");
        assert_eq!(actions(&admin).await, Vec::<Value>::new());
    });
}
