//! Secrets that an operator chooses: a server with one that can be guessed does not start.

use std::process::Output;
use std::time::Duration;

use crate::support::process::{Process, serve};
use crate::support::{Database, apply, both_databases};

/// What a server that must not start writes.
fn refuse(database: &Database, variable: &str, value: &str) -> Output {
    let mut command = serve(database);
    let mut child = command.env(variable, value).spawn().expect("the binary starts");
    for _ in 0..100 {
        if child.try_wait().expect("the process can be waited for").is_some() {
            return child.wait_with_output().expect("its output");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = child.kill();
    panic!("{variable}={value} is accepted");
}

#[apply(both_databases)]
async fn server_with_a_secret_that_can_be_guessed_does_not_start(database: &Database) {
    let (jwt, bootstrap) = ("ROLLBOOK_JWT_SECRET", "ROLLBOOK_BOOTSTRAP_CREDENTIAL");
    let cases = [
        (jwt, "x".repeat(31)),
        (jwt, "x".repeat(32)),
        (jwt, "ab".repeat(20)),
        (jwt, "secret".repeat(10)),
        (jwt, "1234567890".repeat(4)),
        (bootstrap, "acme:key:".to_owned()),
        (bootstrap, "acme:key:s".to_owned()),
        (bootstrap, "acme:key:fifteen-bytes-s".to_owned()),
        (bootstrap, format!("acme:key:{}", "s".repeat(16))),
        (bootstrap, format!("acme:key:{}", "pass".repeat(8))),
    ];
    for (variable, value) in cases {
        let output = refuse(database, variable, &value);
        assert!(!output.status.success(), "{variable}={value}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(variable), "{message}");
        let secret = value.rsplit(':').next().expect("a secret");
        assert!(secret.len() < 4 || !message.contains(secret), "{message}");
    }
    // Sixteen bytes are enough for a credential.
    let mut command = serve(database);
    command.env(bootstrap, "acme:key:sixteen-bytes-se");
    Process::start(command);
}
