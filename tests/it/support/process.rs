//! `rollbook serve` in a process of its own: for what only a process can show, being killed above all.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Database;
use super::server::SECRET;

/// A running server.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub base: String,
}

/// The command that serves this database, on a free port.
pub fn serve(database: &Database) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command
        .args(["serve", "--migrate", "--listen", "127.0.0.1:0", "--log-format", "json", "--database"])
        .arg(database.url())
        .env("ROLLBOOK_JWT_SECRET", SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts what [`serve`] made, and waits until it says where it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let log = child.stderr.take().expect("the log is piped");
        let mut lines = BufReader::new(log).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let entry: Value = serde_json::from_str(&line).ok()?;
            let address = entry.pointer("/fields/address").or_else(|| entry.get("address"))?;
            address.as_str().map(str::to_owned)
        });
        let base = format!("http://{}", address.expect("the log says where it listens"));
        // Read on, or the server would wait for somebody to take its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}
