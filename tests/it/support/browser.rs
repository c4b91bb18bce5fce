//! Programs outside of the tests: a browser, Node.js.

use std::process::Command;

/// Whether the program can be started. Without it a test is skipped.
pub fn is_installed(program: &str) -> bool {
    let is_installed = Command::new(program).arg("--version").output().is_ok();
    if !is_installed {
        eprintln!("skipped: `{program}` is not installed");
    }
    is_installed
}

/// Runs a command and returns its output. Panics if it fails. The server keeps running on other threads.
pub fn output_of(command: &mut Command) -> String {
    let run = tokio::task::block_in_place(|| command.output()).expect("the command can be started");
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    text
}

/// Opens an address in a new browser and returns the page when nothing happens in it any more.
pub fn open_in_browser(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ];
    let profile_flag = format!("--user-data-dir={}", profile.path().display());
    output_of(Command::new("chromium").args(flags).arg(profile_flag).arg(url))
}
