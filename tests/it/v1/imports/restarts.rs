//! Imports survive the end of a process: nothing is lost and nothing is recorded twice.

use std::process::Command;

use super::*;
use crate::support::Database;
use crate::support::process::{Process, serve};
use crate::support::server::sign;

/// The rows of the file.
const COUNT: usize = 6_000;

/// A caller of the process.
fn admin_of(process: &Process) -> Caller {
    let claims = json!({"sub": "root", "org": "acme", "role": "admin", "exp": 4_000_000_000_i64});
    Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&sign(&claims))
}

/// A file whose every tenth row is rejected.
fn file() -> String {
    let mut text = "user.email,action,content.iri,happened_at,result.response\n".to_owned();
    for number in 0..COUNT {
        let action = if number % 10 == 9 { "dance" } else { "started" };
        text.push_str(&format!(
            "u{}@example.org,{action},urn:c{},2026-01-01T{:02}:{:02}:{:02}Z,\"{number}\nö\"\n",
            number % 50,
            number % 7,
            number / 3_600,
            number / 60 % 60,
            number % 60
        ));
    }
    text
}

async fn check_outcome(caller: &Caller, done: &Value) {
    let rejected = COUNT / 10;
    let expected = [COUNT, COUNT - rejected, 0, rejected].map(|count| i64::try_from(count).expect("a count"));
    assert_eq!((done["status"].as_str(), counts(done)), (Some("done"), expected), "{done}");
    let page = caller.get("/v1/activities?count=exact&limit=1").await.expect(200).json();
    assert_eq!(page["total"].as_i64(), Some(expected[1]));
    let (_, rows) = errors(caller, done).await;
    let numbers: Vec<String> = rows.iter().map(|row| row[4].clone()).collect();
    let expected: Vec<String> =
        (0..COUNT).filter(|number| number % 10 == 9).map(|number| format!("{number}\nö")).collect();
    assert!(numbers == expected, "the rejected rows are listed once and in order");
    assert_eq!(rows[1][5], "40");
}

#[apply(both_databases)]
async fn killed_server_continues_its_import(database: &Database) {
    let start = || {
        let mut command = serve(database);
        command.env("ROLLBOOK_IMPORT_LEASE_SECONDS", "2");
        Process::start(command)
    };
    let mut process = start();
    let mut caller = admin_of(&process);
    let sent = send(&caller, "", "text/csv", file()).await.expect(202).json();
    let id = sent["id"].as_str().expect("an id").to_owned();
    let mut reached = 0;
    // Killed twice, each time in the middle of it.
    for _ in 0..2 {
        loop {
            let rows =
                caller.get(&format!("/v1/imports/{id}")).await.expect(200).json()["rows_read"].as_i64();
            let rows = rows.expect("a count");
            if rows > reached {
                reached = rows;
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.signal("KILL");
        process.wait();
        process = start();
        caller = admin_of(&process);
    }
    assert!(
        reached < i64::try_from(COUNT).expect("a count"),
        "the import ended before the server was killed"
    );
    let done = wait_until_ended(&caller, &id).await;
    check_outcome(&caller, &done).await;
}

#[apply(both_databases)]
async fn command_imports_without_a_server_and_beside_one(database: &Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, file()).expect("written");
    let errors_path = folder.path().join("errors.csv");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
        command
            .arg("import")
            .arg(&path)
            .args(["--org", "acme", "--database", &database.url()])
            .args(arguments);
        command.output().expect("the binary runs")
    };
    let migrated = Command::new(env!("CARGO_BIN_EXE_rollbook"))
        .args(["migrate", "--database", &database.url()])
        .output();
    assert!(migrated.expect("the binary runs").status.success());
    let errors_argument = errors_path.to_str().expect("a path").to_owned();
    let refused = run(&[]);
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && printed.contains("`acme` does not exist"), "{printed}");
    let first = run(&["--create", "--errors", &errors_argument]);
    let printed = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(
        first.status.success() && printed.contains("created: 5400, duplicates: 0, rejected: 600"),
        "{first:?}"
    );
    let text = std::fs::read_to_string(&errors_path).expect("the rejected rows");
    assert!(
        text.starts_with("user.email,action,content.iri,happened_at,result.response,line,column,reason\r\n")
    );
    // The import of another organisation is left to its server, which may have other limits.
    let other = "INSERT INTO organisations (id, name, time_zone, account_home_page, managers_see_indirect_reports, created_at) \
                 VALUES ('other', '', 'UTC', 'https://other.example', TRUE, 0)";
    database.execute(other).await;
    database.insert_waiting_import("SELECT key FROM organisations WHERE id = 'other'").await;
    std::fs::write(&path, "user.email,action\nbo@example.org,logged_in\n").expect("written");
    assert!(run(&[]).status.success());
    assert!(database.has_untouched_import().await);
    database.execute("DELETE FROM imports WHERE due = 1").await;
    std::fs::write(&path, file()).expect("written");
    let process = Process::start(serve(database));
    let caller = admin_of(&process);
    let second = run(&["--format", "csv"]);
    let printed = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(second.status.success() && printed.contains("created: 0, duplicates: 5400"), "{second:?}");
    let done = caller.get("/v1/imports").await.expect(200).json()["imports"][2].clone();
    assert_eq!(counts(&done)[3], 600);
    for (arguments, word) in [
        (&["--mapping", "nothing"][..], "there is no mapping"),
        (&["--time-zone", "UTC"], "--mapping"),
        (&["--format", "xml"], "xml"),
    ] {
        let refused = run(arguments);
        let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && printed.contains(word), "{arguments:?}: {printed}");
    }
}
