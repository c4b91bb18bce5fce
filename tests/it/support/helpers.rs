//! Servers beside the PostgreSQL cluster of the test run, started by the scripts of the project: a pooler,
//! a replica and a cluster of Patroni.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
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
        let (script, address) = start_script(script, variable, options)?;
        Some(Self { script, address: address.parse().expect("an address") })
    }

    /// Stops the server.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        end(&mut self.script);
    }
}

/// A cluster of Patroni: a primary and a synchronous standby. It ends when this is dropped.
pub struct PatroniCluster {
    script: Child,
    /// The name and the password of the superuser.
    user: String,
    /// The hosts of the nodes, with their ports.
    pub hosts: Vec<String>,
    /// The folder of the nodes.
    pub folder: PathBuf,
}

impl PatroniCluster {
    /// Starts a cluster. `None`, with a message, where Patroni or etcd is missing.
    pub fn start() -> Option<Self> {
        let (script, started) = start_script("with-patroni", "ROLLBOOK_TEST_PATRONI", &[])?;
        let parts = started.rsplit_once('@').and_then(|(user, rest)| {
            let (hosts, folder) = rest.split_once(' ')?;
            Some((user.to_owned(), hosts.split(',').map(str::to_owned).collect(), folder.into()))
        });
        let (user, hosts, folder) = parts.expect("the hosts and the folder");
        Some(Self { script, user, hosts, folder })
    }

    /// The address of a database on all hosts.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{}@{}/{name}", self.user, self.hosts.join(","))
    }

    /// The address of a database on one host.
    pub fn url_of(&self, node: usize, name: &str) -> String {
        format!("postgres://{}@{}/{name}", self.user, self.hosts[node])
    }
}

impl Drop for PatroniCluster {
    fn drop(&mut self) {
        end(&mut self.script);
    }
}

/// Starts a script that runs a command beside a server, and returns what it passes in `variable`. `None` where its program
/// is missing.
fn start_script(script: &str, variable: &str, options: &[&str]) -> Option<(Child, String)> {
    let path = format!("{}/scripts/{script}", env!("CARGO_MANIFEST_DIR"));
    // The inner command ends with its standard input, and the script with the inner command.
    let mut child = Command::new(path)
        .args(options)
        .args(["sh", "-c", &format!("echo ${variable}; exec cat")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("the output is piped");
    BufReader::new(output).read_line(&mut line).expect("the output can be read");
    if line.is_empty() {
        let status = child.wait().expect("the script ends");
        assert_eq!(status.code(), Some(MISSING), "scripts/{script} failed");
        skip(&format!("scripts/{script} cannot start its server here"));
        return None;
    }
    Some((child, line.trim().to_owned()))
}

fn end(script: &mut Child) {
    drop(script.stdin.take());
    let _ = script.wait(); // the test has ended
}
