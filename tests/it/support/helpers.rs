//! Servers beside the PostgreSQL cluster of the test run, started by the scripts of the project: a pooler and a replica.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::database::POOLER;
use super::tools::skip;

/// The status of a script whose program is missing and cannot be installed.
const MISSING: i32 = 77;

/// The variable in which `scripts/with-replica` passes the address of its server.
const REPLICA: &str = "ROLLBOOK_TEST_REPLICA";

/// A running server. It ends when this is dropped.
pub struct Helper {
    script: Child,
    /// Its address.
    pub address: SocketAddr,
}

impl Helper {
    /// A real pgbouncer in transaction mode. `None`, with a message, where it is missing.
    pub fn pgbouncer() -> Option<Self> {
        Self::start("with-pgbouncer", POOLER, &[])
    }

    /// A streaming replica of the cluster.
    pub fn replica() -> Option<Self> {
        Self::start("with-replica", REPLICA, &[])
    }

    /// A streaming replica that takes TLS with a self-signed certificate of version 1.
    pub fn replica_with_old_certificate() -> Option<Self> {
        Self::start("with-replica", REPLICA, &["--old-certificate"])
    }

    /// Starts a script that runs a command beside a server, and passes the server's address in `variable`.
    fn start(script: &str, variable: &str, options: &[&str]) -> Option<Self> {
        let path = format!("{}/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
        // The inner command ends with its standard input, and the script with the inner command.
        let mut child = Command::new(path)
            .args(options)
            .args(["sh", "-c", &format!("echo ${variable}; exec cat")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("the output is piped");
        BufReader::new(output).read_line(&mut address).expect("the output can be read");
        if address.is_empty() {
            let status = child.wait().expect("the script ends");
            assert_eq!(status.code(), Some(MISSING), "scripts/{script} failed");
            skip(&format!("scripts/{script} cannot start its server here"));
            return None;
        }
        Some(Self { script: child, address: address.trim().parse().expect("an address") })
    }

    /// Stops the server.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait(); // the test has ended
    }
}
