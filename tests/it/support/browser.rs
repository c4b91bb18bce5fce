//! Programs outside of the tests: a browser, Node.js.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::tools::{is_installed, skip};

/// Copies files of `examples/<example>`, `package.json` among them, to a temporary folder and installs the packages there.
/// `None` if Node.js or npm is missing, or if npm cannot install them; then a test is skipped.
pub fn install_example(example: &str, files: &[&str]) -> Option<TempDir> {
    if !is_installed("node") || !is_installed("npm") {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in files {
        std::fs::copy(source.join(file), folder.path().join(file)).expect("the file can be copied");
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]);
    let installed = npm.current_dir(folder.path()).stdin(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        skip(&format!("npm cannot install the packages of examples/{example}"));
        return None;
    }
    Some(folder)
}

/// A running program and the lines that it prints. It is killed when it is dropped.
pub struct Program {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Program {
    /// Starts the program.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("the output is piped"));
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        Self { child, lines }
    }

    /// The next line that it prints.
    pub async fn next_line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await;
        line.expect("a line comes in time").expect("the program goes on")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// Serves the page at every path of another origin, and returns the origin.
pub async fn serve_page(page: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 16_384];
                let _ = connection.read(&mut request).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    page.len()
                );
                let _ = connection.write_all(format!("{head}{page}").as_bytes()).await;
                let _ = connection.shutdown().await;
            });
        }
    });
    format!("http://{address}")
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
