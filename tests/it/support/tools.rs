//! Programs that some tests need and that may be missing.

/// The variable by which a run demands all programs.
const REQUIRED: &str = "ROLLBOOK_TEST_REQUIRE_TOOLS";

/// Says why a test, or a part of it, is skipped.
///
/// # Panics
///
/// The run demands all programs.
pub fn skip(reason: &str) {
    note_missing(reason, std::env::var_os(REQUIRED).is_some_and(|value| value == "1"));
}

/// Says what a script has skipped. It writes a line that begins with `skipped: ` for each part.
pub fn report_skipped(output_text: &str) {
    output_text.lines().filter_map(|line| line.strip_prefix("skipped: ")).for_each(skip);
}

fn note_missing(reason: &str, is_required: bool) {
    assert!(!is_required, "{reason}, and {REQUIRED}=1 demands it");
    eprintln!("skipped: {reason}");
}

/// Whether the program can be started. Without it a test is skipped.
pub fn is_installed(program: &str) -> bool {
    let is_installed = std::process::Command::new(program).arg("--version").output().is_ok();
    if !is_installed {
        skip(&format!("`{program}` is not installed"));
    }
    is_installed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_only_noted() {
        note_missing("`xyz` is not installed", false);
    }

    #[test]
    #[should_panic(expected = "`xyz` is not installed, and ROLLBOOK_TEST_REQUIRE_TOOLS=1 demands it")]
    fn missing_program_fails_a_run_that_demands_all() {
        note_missing("`xyz` is not installed", true);
    }
}
