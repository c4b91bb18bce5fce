//! The example receiver in `examples/webhooks`, in Node.js with the package `standardwebhooks`.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use super::processes::{admin_of, run, start_process};
use super::{create, path_of};
use crate::support::Database;
use crate::support::builders::{activity, user};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The receiver. Dropping it kills the process.
struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Receiver {
    fn start(folder: &std::path::Path) -> Self {
        let mut command = Command::new("node");
        command.arg("receiver.mjs").current_dir(folder).env("WEBHOOK_SECRET", SECRET).env("PORT", "0");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("node starts");
        let output = child.stdout.take().expect("the output is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { child, lines }
    }

    fn next_line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("the receiver prints a line")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies the example into a folder and installs its package. `None` without Node.js and npm.
fn install() -> Option<tempfile::TempDir> {
    for tool in ["node", "npm"] {
        let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
        if !found {
            println!("skipped: {tool} is not installed");
            return None;
        }
    }
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/webhooks");
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["package.json", "receiver.mjs"] {
        std::fs::copy(example.join(file), folder.path().join(file)).expect("a copy");
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]);
    let installed = npm.current_dir(folder.path()).status().expect("npm runs");
    assert!(installed.success(), "npm can't install the package");
    Some(folder)
}

#[test]
fn receiver_in_node_accepts_the_webhooks() {
    let Some(folder) = install() else { return };
    run(Database::sqlite(), async |database| {
        let receiver = Receiver::start(folder.path());
        let url = receiver.next_line();
        let process = start_process(database);
        let admin = admin_of(&process);
        admin.put("/v1/users/ada", &user("ada").set("last_name", "Obi")).await.expect(201);
        let subscription = create(&admin, json!({"name": "Example", "url": url, "secret": SECRET})).await;
        admin.post(&format!("{}/test", path_of(&subscription)), &json!({})).await.expect(200);
        assert_eq!(receiver.next_line(), "a test of the subscription \"Example\"");
        let created = admin.post("/v1/activities", &activity("ada", "viewed")).await.expect(201).json();
        let id = created["id"].as_str().expect("an id");
        let line = receiver.next_line();
        assert!(line.contains("Viewed") && line.ends_with(&format!("({id})")), "{line}");
        admin.delete(&format!("/v1/activities/{id}")).await.expect_one_of(&[200, 204]);
        // The voiding record is an activity of its own.
        let lines = [receiver.next_line(), receiver.next_line()];
        assert!(lines.iter().any(|line| line.ends_with(&format!("gone ({id})"))), "{lines:?}");
        // A webhook of anybody else is refused.
        let forged =
            reqwest::Client::new().post(&url).header("webhook-id", "x").header("webhook-timestamp", "1");
        let forged =
            forged.header("webhook-signature", "v1,AAAA").body("{}").send().await.expect("an answer");
        assert_eq!(forged.status(), 401);
    });
}
