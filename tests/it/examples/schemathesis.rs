//! Runs `scripts/schemathesis`, which sends requests that are derived from the OpenAPI document.

use std::process::Command;

use super::{root, run_command};
use crate::support::tools::report_skipped;
use crate::support::{Database, apply, both_databases};

/// The time for the requests of each database, so that both take less than three minutes with their servers. A valid request
/// that is refused fails the test too.
const SECONDS: &str = "30";

#[apply(both_databases)]
async fn derived_requests_are_answered_as_documented(database: &Database) {
    let (code, output_text) = run_command(
        Command::new("bash")
            .arg(root().join("scripts/schemathesis"))
            .arg("--refusals")
            .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook"))
            .env("ROLLBOOK_CLIENT_DATABASE", database.url())
            .env("ROLLBOOK_CLIENT_SECONDS", SECONDS),
    );
    assert_eq!(code, Some(0), "{output_text}");
    if output_text.starts_with("skipped") {
        report_skipped(&output_text);
    } else {
        assert!(output_text.contains(" generated"), "{output_text}");
    }
}
