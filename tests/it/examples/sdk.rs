//! Runs the programs of `examples/sdk` on generated clients.

use std::process::Command;

use super::{root, run_command};
use crate::support::tools::skip;
use crate::support::{Database, apply, both_databases};

/// The clients are generated and compiled once, by the first of both runs. A client whose tools are missing is skipped.
#[apply(both_databases)]
async fn generated_clients_pass_their_journeys(database: &Database) {
    let (code, output_text) = run_command(
        Command::new("bash")
            .arg(root().join("examples/sdk/run.sh"))
            .env("ROLLBOOK_CLIENT_BINARY", env!("CARGO_BIN_EXE_rollbook"))
            .env("ROLLBOOK_CLIENT_DATABASE", database.url()),
    );
    assert_eq!(code, Some(0), "{output_text}");
    for name in CLIENTS {
        let folder = name.split('-').next().unwrap_or(name);
        let is_skipped = output_text.contains(&format!("{folder}: skipped, "));
        assert!(
            is_skipped || output_text.contains(&format!("{name}: passed\n")),
            "{name} is missing in\n{output_text}"
        );
        if is_skipped {
            skip(&format!("the tools of {folder} are missing"));
        }
    }
}

/// The programs, by the name that they print.
const CLIENTS: [&str; 6] =
    ["typescript-fetch", "typescript-hey", "python-client", "pydantic", "java", "rust"];
