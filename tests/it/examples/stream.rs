//! Runs `examples/stream` with the published client.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rollbook::http::AppOptions;
use rollbook::live::LiveOptions;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::root;
use crate::support::builders::{activity, content, user};
use crate::support::proxy::Proxy;
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer};

/// Copies the example to the folder and installs its client. False without Node.js or the registry.
fn install(folder: &Path) -> bool {
    for file in ["package.json", "follow.mjs"] {
        let copied = std::fs::copy(root().join("examples/stream").join(file), folder.join(file));
        copied.expect("the example can be copied");
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
    npm.stdin(Stdio::null());
    matches!(npm.status(), Ok(status) if status.success())
}

/// A running program and its lines. It is killed when it is dropped.
struct Program {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("node runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        Self { child, lines }
    }

    async fn next_line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await;
        line.expect("a line comes in time").expect("the program goes on")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

async fn check_program(server: &TestServer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if !tokio::task::block_in_place(|| install(folder.path())) {
        eprintln!("skipped: npm is missing or cannot install the client");
        return;
    }
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
