//! Runs `examples/stream` with the published client.

use std::process::Command;
use std::time::Duration;

use rollbook::http::AppOptions;
use rollbook::live::LiveOptions;
use serde_json::json;

use crate::support::browser::{Program, install_example};
use crate::support::builders::{activity, content, user};
use crate::support::proxy::Proxy;
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer};

async fn check_program(server: &TestServer) {
    let files = ["package.json", "follow.mjs"];
    let Some(folder) = tokio::task::block_in_place(|| install_example("stream", &files)) else {
        return;
    };
    let admin = server.person("admin", "root");
    let person = user("bo").set("first_name", "Bo").set("last_name", "Ek");
    admin.put("/v1/users/bo", &person).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    let record = async |action: &str| {
        admin.post("/v1/activities", &activity("bo", action).set("content", "fire")).await.expect(201);
    };
    let proxy = Proxy::before(server.base.trim_start_matches("http://").to_owned()).await;
    let token = sign(&json!({"org": "acme", "sub": "root", "role": "admin", "exp": 4_000_000_000_i64}));
    let mut command = Command::new("node");
    command
        .arg("follow.mjs")
        .current_dir(folder.path())
        .env("ROLLBOOK_CLIENT_URL", format!("http://{}", proxy.address()))
        .env("ROLLBOOK_CLIENT_AUTHORIZATION", format!("Bearer {token}"))
        .env("ROLLBOOK_CLIENT_FILTER", "action=completed&action=failed");
    let mut program = Program::start(command);
    assert!(program.next_line().await.starts_with("ready at "));
    // The connection breaks before the first event, and then after one.
    for action in ["completed", "failed", "completed"] {
        // If a connection breaks in the same moment in which data comes, `fetch` of Node.js 20 never ends.
        tokio::time::sleep(Duration::from_millis(400)).await;
        proxy.refuse(true);
        proxy.cut();
        record(action).await;
        record("viewed").await;
        proxy.refuse(false);
        let line = program.next_line().await;
        let verb = if action == "failed" { "Failed" } else { "Completed" };
        assert!(line.contains(&format!(" Bo Ek: {verb} Fire Safety")), "{line}");
    }
    record("completed").await;
    assert!(program.next_line().await.contains(" Bo Ek: Completed Fire Safety"));
}

#[test]
fn program_follows_the_stream_over_interruptions() {
    let streams = LiveOptions { retry: Duration::from_millis(100), ..LiveOptions::default() };
    let options = AppOptions { streams, ..AppOptions::default() };
    run_with(Database::sqlite(), options, check_program);
}
