//! Tests of the start of the server and of commands: the environment, addresses, files, and keys that are loaded again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Database;
use crate::support::process::{Process, serve};
use crate::support::server::{SECRET, run_with_database, sign};

/// A folder that does not exist yet.
fn new_folder() -> PathBuf {
    let Database::Sqlite { folder } = Database::sqlite() else { unreachable!("an SQLite database") };
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn run_command(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(arguments).env("ROLLBOOK_JWT_SECRET", SECRET).envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn check_start(database: Database) {
    run_with_database(database, async |database: &Database| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
        command
            .args(["serve", "--migrate", "--listen", "localhost:0", "--log-format", "json", "--database"])
            .arg(database.url())
            .stderr(Stdio::piped())
            .env("ROLLBOOK_JWT_SECRET", SECRET)
            .env("ROLLBOOK_PORT", "tcp://10.0.0.1:8080")
            .env("ROLLBOOK_SERVICE_HOST", "10.0.0.1")
            .env("ROLLBOOK_SERVICE_PORT_HTTP", "8080")
            .env("ROLLBOOK_PORT_8080_TCP_ADDR", "10.0.0.1")
            .env("ROLLBOOK_COLOUR", "blue");
        let server = Process::start(command);
        assert!(server.base.starts_with("http://127.0.0.1:"), "{}", server.base);
        let answer = reqwest::get(format!("{}/health/ready", server.base)).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    });
}

#[test]
fn links_to_services_and_names_of_hosts_are_taken_on_sqlite() {
    check_start(Database::sqlite());
}

#[test]
fn links_to_services_and_names_of_hosts_are_taken_on_postgres() {
    check_start(Database::postgres());
}

#[test]
fn wrong_settings_are_refused_with_the_reason() {
    let folder = new_folder();
    let database = format!("sqlite:{}", folder.join("a.db").display());
    for (name, value, reason) in [
        ("ROLLBOOK_LOG", "verbose", "`verbose` is not one of off, error, warn"),
        ("ROLLBOOK_LOG", "info,loud", "`loud`"),
        ("ROLLBOOK_LISEN", "127.0.0.1:0", "did you mean ROLLBOOK_LISTEN?"),
        ("ROLLBOOK_LISTEN", "localhost", "and a port: 127.0.0.1:8080"),
        ("ROLLBOOK_LISTEN", "8080", "and a port: 127.0.0.1:8080"),
    ] {
        let output = run_command(&["serve", "--database", &database], &[(name, value)]);
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {text}");
        assert!(text.contains(reason), "{name}={value}: {text}");
    }
    assert!(!folder.join("a.db").exists());
    std::fs::remove_dir_all(folder).expect("the folder is deleted");
}

#[test]
fn missing_database_is_named_and_not_created() {
    let folder = new_folder();
    let path = folder.join("missing.db");
    let database = format!("sqlite:{}", path.display());
    let id = "00000000-0000-4000-8000-000000000001";
    let file = folder.join("acme.rollbook").display().to_string();
    for arguments in [
        vec!["credential", "list", "--org", "acme"],
        vec!["credential", "revoke", "--org", "acme", "--id", id],
        vec!["rebuild"],
        vec!["export", "--org", "acme", &file],
    ] {
        let output = run_command(&[&arguments[..], &["--database", &database]].concat(), &[]);
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(&path.display().to_string()), "{arguments:?}: {text}");
        assert!(!path.exists(), "{arguments:?}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is deleted");
}

#[test]
fn file_that_is_no_database_is_named() {
    let folder = new_folder();
    let junk = folder.join("junk.db");
    std::fs::write(&junk, vec![7; 5_000]).expect("a file");
    for path in [&junk, &folder] {
        let database = format!("sqlite:{}", path.display());
        let output = run_command(&["serve", "--listen", "127.0.0.1:0", "--database", &database], &[]);
        let text = error_text(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is deleted");
}

fn write_issuers(path: &Path, issuer: &str) {
    let entry =
        json!([{"issuer": issuer, "organisations": "*", "jwt_secret_env": "ROLLBOOK_SECRET_PLATFORM"}]);
    std::fs::write(path, entry.to_string()).expect("a file");
}

fn check_reload(database: Database) {
    let folder = new_folder();
    let issuers = folder.join("issuers.json");
    write_issuers(&issuers, "https://old.example.org");
    run_with_database(database, async |database: &Database| {
        let mut command = serve(database);
        command.env_remove("ROLLBOOK_JWT_SECRET").env("ROLLBOOK_SECRET_PLATFORM", SECRET);
        command.env("ROLLBOOK_JWT_ISSUERS", &issuers);
        let server = Process::start(command);
        let client = reqwest::Client::new();
        let status = async |issuer: &str| {
            let token = sign(
                &json!({"iss": issuer, "sub": "root", "org": "acme", "role": "owner", "exp": 4_000_000_000_u64}),
            );
            let request = client.get(format!("{}/v1/actions", server.base)).bearer_auth(token);
            request.send().await.expect("an answer").status().as_u16()
        };
        let wait_for = async |issuer: &str, expected: u16| {
            let began = Instant::now();
            while status(issuer).await != expected {
                assert!(began.elapsed() < Duration::from_secs(10), "{issuer} is not {expected}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert_eq!(status("https://old.example.org").await, 200);
        assert_eq!(status("https://new.example.org").await, 401);
        write_issuers(&issuers, "https://new.example.org");
        server.signal("HUP");
        wait_for("https://new.example.org", 200).await;
        assert_eq!(status("https://old.example.org").await, 401);
        // A file that cannot be read changes nothing.
        std::fs::write(&issuers, "[{").expect("a file");
        server.signal("HUP");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(status("https://new.example.org").await, 200);
        write_issuers(&issuers, "https://old.example.org");
        server.signal("HUP");
        wait_for("https://old.example.org", 200).await;
    });
    std::fs::remove_dir_all(folder).expect("the folder is deleted");
}

#[test]
fn keys_are_loaded_again_at_a_hangup_on_sqlite() {
    check_reload(Database::sqlite());
}

#[test]
fn keys_are_loaded_again_at_a_hangup_on_postgres() {
    check_reload(Database::postgres());
}

/// A wrong password will not become right by waiting, so that the server ends and says the reason.
#[test]
fn wrong_password_of_the_database_is_said_in_one_line() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let url = database.url();
        let (before, host) = url.split_once('@').expect("a user and a host");
        let (user, password) = before.rsplit_once(':').expect("a password");
        let wrong = format!("{user}:not-{password}@{host}");
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"]] {
            let output = run_command(arguments, &[("ROLLBOOK_DATABASE", &wrong)]);
            let text = error_text(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
            let reasons: Vec<_> = text.lines().filter(|line| line.contains("password")).collect();
            assert!(
                matches!(reasons.as_slice(), [one] if one.contains("ROLLBOOK_DATABASE")),
                "{arguments:?}: {text}"
            );
            assert!(!text.contains(password), "{arguments:?}: {text}");
        }
    });
}
