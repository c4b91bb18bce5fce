//! Linters of OpenAPI find no fault in the document.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::tools::report_skipped;

/// Redocly and Spectral have no errors and no warnings. The script passes over them where npm cannot be reached.
#[test]
fn linters_find_no_fault_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("bash").arg(root.join("scripts/lint-openapi")).stdin(Stdio::null()).output();
    let run = run.expect("bash runs");
    let output_text = String::from_utf8_lossy(&run.stdout);
    report_skipped(&output_text);
    assert!(run.status.success(), "{output_text}\n{}", String::from_utf8_lossy(&run.stderr));
}
