//! The example receiver in `examples/webhooks`, in Node.js with the package `standardwebhooks`.

use std::process::Command;

use serde_json::json;

use super::processes::{admin_of, run, start_process};
use super::{create, path_of};
use crate::support::Database;
use crate::support::browser::{Program, install_example};
use crate::support::builders::{activity, user};
use crate::support::tools::is_installed;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn receiver_in_node_accepts_the_webhooks() {
    if !is_installed("node") || !is_installed("npm") {
        return;
    }
    let folder =
        install_example("webhooks", &["package.json", "receiver.mjs"]).expect("npm installs the package");
    run(Database::sqlite(), async |database| {
        let mut command = Command::new("node");
        command.arg("receiver.mjs").current_dir(folder.path()).env("WEBHOOK_SECRET", SECRET).env("PORT", "0");
        let mut receiver = Program::start(command);
        let url = receiver.next_line().await;
        let process = start_process(database);
        let admin = admin_of(&process);
        admin.put("/v1/users/ada", &user("ada").set("last_name", "Obi")).await.expect(201);
        let subscription = create(&admin, json!({"name": "Example", "url": url, "secret": SECRET})).await;
        admin.post(&format!("{}/test", path_of(&subscription)), &json!({})).await.expect(200);
        assert_eq!(receiver.next_line().await, "a test of the subscription \"Example\"");
        let created = admin.post("/v1/activities", &activity("ada", "viewed")).await.expect(201).json();
        let id = created["id"].as_str().expect("an id");
        let line = receiver.next_line().await;
        assert!(line.contains("Viewed") && line.ends_with(&format!("({id})")), "{line}");
        admin.delete(&format!("/v1/activities/{id}")).await.expect_one_of(&[200, 204]);
        // The voiding record is an activity of its own.
        let lines = [receiver.next_line().await, receiver.next_line().await];
        assert!(lines.iter().any(|line| line.ends_with(&format!("gone ({id})"))), "{lines:?}");
        // A webhook of anybody else is refused.
        let forged =
            reqwest::Client::new().post(&url).header("webhook-id", "x").header("webhook-timestamp", "1");
        let forged =
            forged.header("webhook-signature", "v1,AAAA").body("{}").send().await.expect("an answer");
        assert_eq!(forged.status(), 401);
    });
}
