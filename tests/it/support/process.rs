//! Runs `rollbook serve` in a child process, for tests that kill it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Database;
use super::server::SECRET;

/// A running server process. Dropping it kills the process.
pub struct Process {
    child: Child,
    /// The base URL, `http://ADDRESS`.
    pub base: String,
}

/// The command that serves this database on a free port.
pub fn serve(database: &Database) -> Command {
    let mut command = serve_at(&database.server_url());
    if database.pooler().is_some() {
        command.env("ROLLBOOK_DATABASE_POOLER", "transaction");
    }
    command
}

/// The command that serves the database with this address on a free port.
pub fn serve_at(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command
        .args(["serve", "--migrate", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--metrics-on-api", "--database"])
        .arg(url)
        .env("ROLLBOOK_JWT_SECRET", SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts the command from [`serve`] and waits until its log contains the address.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let log = child.stderr.take().expect("the log is piped");
        let mut lines = BufReader::new(log).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let entry: Value = serde_json::from_str(&line).ok()?;
            let address = entry.pointer("/fields/address").or_else(|| entry.get("address"))?;
            address.as_str().map(str::to_owned)
        });
        let base = format!("http://{}", address.expect("the log contains the address"));
        // Keep reading: the server blocks when the pipe of its log is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until the process ends.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("the process can be waited for")
    }
}

impl Drop for Process {
    /// Kills the process with SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill(); // the process may have ended already
        let _ = self.child.wait();
    }
}
