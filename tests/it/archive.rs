//! Tests of `rollbook export` and `rollbook import`: an organisation moves to the other kind of database.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::features::{create_fixture, create_page_fixture};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::server::sign;
use crate::support::{Database, TestServer, apply, both_databases};
use crate::xapi::attachments::{declare_attachment, post_with_contents};

/// The tables without rows of an organisation.
const WITHOUT_ORGANISATION: [&str; 4] = ["organisations", "cursor_keys", "export_links", "write_probes"];

fn rollbook(arguments: &[&str], path: &Path, database: &Database) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(arguments).arg(path).args(["--database", &database.url()]);
    command.output().expect("the binary starts")
}

fn expect_success(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn expect_failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn export(database: &Database, folder: &Path) -> String {
    expect_success(&rollbook(&["export", "--org", "acme"], folder, database))
}

/// The lines of each table. `voided` of statements comes from the description of the archive.
fn read_tables(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let manifest = read_manifest(folder);
    let mut tables = BTreeMap::new();
    for table in manifest["tables"].as_array().expect("tables") {
        let name = table["name"].as_str().expect("a name");
        let columns = table["columns"].as_array().expect("columns");
        let voided = columns.iter().position(|column| column["name"] == "voided");
        let mut lines = Vec::new();
        for part in table["parts"].as_array().expect("parts") {
            let file = fs::File::open(folder.join(part["file"].as_str().expect("a file"))).expect("a part");
            let mut text = String::new();
            GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
            lines.extend(text.lines().map(|line| match voided {
                Some(position) => {
                    let mut row: Value = serde_json::from_str(line).expect("JSON");
                    row[position] = Value::Null;
                    row.to_string()
                }
                None => line.to_owned(),
            }));
        }
        lines.sort_unstable();
        tables.insert(name.to_owned(), lines);
    }
    tables.insert("voided".to_owned(), vec![manifest["voided_statements"].to_string()]);
    tables.insert("organisation".to_owned(), vec![manifest["organisation"].to_string()]);
    tables
}

fn read_manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).expect("a manifest")).expect("JSON")
}

/// The empty database of the other kind.
async fn other_database(database: &Database) -> Database {
    let other = match database {
        Database::Sqlite { .. } => Database::postgres(),
        Database::Postgres { .. } => Database::sqlite(),
    };
    other.create().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    let migrated = command.args(["migrate", "--database", &other.url()]).output().expect("the binary starts");
    expect_success(&migrated);
    other
}

/// An organisation with something in many tables.
async fn create_organisation(server: &TestServer) {
    let fixture = create_page_fixture(server).await.base;
    let owner = &fixture.callers["owner"];
    let content = b"\0\xff an attachment";
    let statement = json!({
        "id": "00000000-0000-4000-8000-000000000001",
        "actor": {"mbox": "mailto:bo@example.org"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": "https://example.org/q"},
        "result": {"score": {"scaled": 0.1, "raw": 0.30000000000000004}},
        "context": {"registration": "00000000-0000-4000-8000-00000000000a"},
        "attachments": [declare_attachment(content)],
    });
    let integration = server.credential("acme", &["all"]).await;
    post_with_contents(&integration, statement, &[content]).await;
    let state = "/xapi/activities/state?activityId=https://example.org/q&agent=%7B%22mbox%22:%22mailto:bo@example.org%22%7D&stateId=s";
    let headers = [("X-Experience-API-Version", "1.0.3"), ("Content-Type", "application/octet-stream")];
    integration.send(reqwest::Method::PUT, state, &headers, vec![0, 1, 2, 255]).await.expect(204);
    owner.delete(&format!("/v1/activities/{}?reason=wrong", fixture.mistake)).await.expect(204);
}

const ALL_STATEMENTS: &str = "/xapi/statements?ascending=true&limit=500&attachments=false";

/// All statements in the order of recording, from a server process.
async fn read_served(database: &Database) -> Vec<Value> {
    let process = Process::start(serve(database));
    let token = sign(&json!({"sub": "olu", "role": "owner", "org": "acme", "exp": 4_000_000_000_u64}));
    let owner = Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&token);
    read_statements(&owner).await
}

#[apply(both_databases)]
async fn organisation_moves_to_the_other_database(server: &TestServer) {
    create_organisation(server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let printed = export(server.database(), &first);
    assert!(printed.contains("\nacme: "), "{printed}");

    let other = other_database(server.database()).await;
    expect_success(&rollbook(&["import"], &first, &other));
    export(&other, &second);
    let (before, after) = (read_tables(&first), read_tables(&second));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "{table}");
    }
    for table in [
        "statements",
        "activities",
        "blobs",
        "documents",
        "notes",
        "reports",
        "users",
        "contents",
        "launches",
        "imports",
        "subscriptions",
    ] {
        assert!(!before[table].is_empty(), "{table}");
    }
    // The other server has another clock, so it can end an attempt that has been idle.
    let moved = read_served(&other).await;
    let statements = read_statements(&server.person("owner", "olu")).await;
    assert!(statements.len() > 20);
    assert_eq!(moved.get(..statements.len()), Some(&statements[..]));

    // The organisation is there as a whole, so it is not imported twice.
    let error = expect_failure(&rollbook(&["import"], &first, &other));
    assert!(error.contains("exists in this database already"), "{error}");
    let error = expect_failure(&rollbook(&["export", "--org", "acme"], &first, server.database()));
    assert!(error.contains("complete archive"), "{error}");
    other.delete().await;
}

async fn read_statements(owner: &Caller) -> Vec<Value> {
    let page = owner.get(ALL_STATEMENTS).await.expect(200).json();
    page["statements"].as_array().expect("statements").clone()
}

/// A folder with the archive of an organisation, and the path of another archive beside it.
struct Archives {
    folder: TempDir,
    first: PathBuf,
    second: PathBuf,
}

/// Creates an organisation and exports it.
async fn export_organisation(server: &TestServer) -> Archives {
    create_organisation(server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    export(server.database(), &first);
    Archives { folder, first, second }
}

/// The first part of a table with rows that comes after others.
fn late_part(folder: &Path) -> PathBuf {
    let manifest = read_manifest(folder);
    let tables = manifest["tables"].as_array().expect("tables");
    let users = tables.iter().find(|table| table["name"] == "users").expect("users");
    folder.join(users["parts"][0]["file"].as_str().expect("a part"))
}

/// Checks that the workers of a server do not touch the rows of an unfinished import.
async fn check_server_leaves_it_alone(database: &Database) {
    database.insert_waiting_import("SELECT org FROM archive_imports").await;
    let process = Process::start(serve(database));
    let token = sign(&json!({"sub": "olu", "role": "owner", "org": "beta", "exp": 4_000_000_000_u64}));
    let owner = Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&token);
    // The workers take the import that waits for the longest time first. So they have looked at the other one.
    let headers = [("content-type", "text/csv")];
    let file = b"user.email,action\nbo@example.org,logged_in\n".to_vec();
    let sent = owner.send(reqwest::Method::POST, "/v1/imports", &headers, file).await.expect(202).json();
    let path = format!("/v1/imports/{}", sent["id"].as_str().expect("an id"));
    while owner.get(&path).await.expect(200).json()["status"] != "done" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(process);
    assert!(database.has_untouched_import().await);
    assert_eq!(database.query_number("SELECT count(*) FROM imports WHERE cleanup_at = 1").await, 1);
    database.execute("DELETE FROM imports WHERE due = 1").await;
}

#[apply(both_databases)]
async fn interrupted_import_continues_and_is_invisible_until_then(server: &TestServer) {
    let Archives { folder: _folder, first, second } = export_organisation(server).await;
    let other = other_database(server.database()).await;
    let part = late_part(&first);
    let bytes = fs::read(&part).expect("a part");
    let mut damaged = bytes.clone();
    damaged.truncate(bytes.len() - 1);
    fs::write(&part, damaged).expect("the file is written");
    let error = expect_failure(&rollbook(&["import"], &first, &other));
    assert!(error.contains("SHA-256"), "{error}");
    assert!(other.query_number("SELECT count(*) FROM statements").await > 0);
    assert_eq!(other.query_number("SELECT count(*) FROM organisations").await, 0);
    check_server_leaves_it_alone(&other).await;
    // Another archive of the organisation does not continue it.
    let another = first.with_file_name("another");
    export(server.database(), &another);
    let error = expect_failure(&rollbook(&["import"], &another, &other));
    assert!(error.contains("--restart"), "{error}");

    fs::write(&part, bytes).expect("the file is written");
    let printed = expect_success(&rollbook(&["import"], &first, &other));
    assert!(printed.contains("finished parts"), "{printed}");
    export(&other, &second);
    assert_eq!(read_tables(&first), read_tables(&second));
    assert_eq!(other.query_number("SELECT count(*) FROM archive_imports").await, 0);
    other.delete().await;
}

#[apply(both_databases)]
async fn restarted_import_leaves_nothing_of_the_interrupted_one(server: &TestServer) {
    let Archives { folder: _folder, first, second } = export_organisation(server).await;
    let other = other_database(server.database()).await;
    let part = late_part(&first);
    let away = first.with_file_name("away");
    fs::rename(&part, &away).expect("the file moves");
    expect_failure(&rollbook(&["import"], &first, &other));
    fs::rename(&away, &part).expect("the file moves");
    let printed = expect_success(&rollbook(&["import", "--restart"], &first, &other));
    assert!(!printed.contains("finished parts"), "{printed}");
    export(&other, &second);
    assert_eq!(read_tables(&first), read_tables(&second));
    assert_eq!(other.query_number("SELECT count(DISTINCT org) FROM statements").await, 1);
    other.delete().await;
}

#[apply(both_databases)]
async fn interrupted_export_continues_with_the_present_state(server: &TestServer) {
    let Archives { folder: _folder, first, second } = export_organisation(server).await;
    // As if the export had been killed after the statements.
    let mut manifest = read_manifest(&first);
    manifest["tables"].as_array_mut().expect("tables").truncate(2);
    fs::write(first.join("unfinished.json"), manifest.to_string()).expect("the file is written");
    fs::remove_file(first.join("manifest.json")).expect("the file is removed");
    let other = other_database(server.database()).await;
    let error = expect_failure(&rollbook(&["import"], &first, &other));
    assert!(error.contains("not complete"), "{error}");
    other.delete().await;

    let owner = server.person("owner", "olu");
    let more = json!({"user": "bo", "action": "viewed", "content": "handbook"});
    let created = server.credential("acme", &["activities/write"]).await;
    created.post("/v1/activities", &more).await.expect(201);
    let rows = owner.get("/v1/activities?user=ada&limit=1").await.expect(200).json();
    let id = rows["activities"][0]["id"].as_str().expect("an id").to_owned();
    owner.delete(&format!("/v1/activities/{id}?reason=wrong")).await.expect(204);

    let printed = export(server.database(), &first);
    assert!(printed.contains("finished parts"), "{printed}");
    export(server.database(), &second);
    assert_eq!(read_tables(&first), read_tables(&second));
}

#[apply(both_databases)]
async fn export_of_an_unknown_organisation_is_refused(server: &TestServer) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    let error = expect_failure(&rollbook(&["export", "--org", "acme"], &path, server.database()));
    assert!(error.contains("does not exist"), "{error}");
    fs::write(folder.path().join("other"), "").expect("a file");
    create_fixture(server).await;
    let error = expect_failure(&rollbook(&["export", "--org", "acme"], folder.path(), server.database()));
    assert!(error.contains("other files"), "{error}");
}

/// A table without an organisation is in no archive, so there must be a reason for each.
#[test]
fn every_table_has_the_organisation() {
    for engine in ["sqlite", "postgres"] {
        let path = format!("{}/migrations/{engine}/0001_initial.sql", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).expect("the schema");
        let tables: Vec<_> = text.split("\nCREATE TABLE ").skip(1).collect();
        assert!(tables.len() > 30);
        for table in tables {
            let (name, rest) = table.split_once(' ').expect("a name");
            let columns = rest.split("\n)").next().expect("columns");
            let has_org = columns.lines().any(|line| line.trim_start().starts_with("org "));
            assert_eq!(has_org, !WITHOUT_ORGANISATION.contains(&name), "{name}");
        }
    }
}
