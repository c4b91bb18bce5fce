//! Tests of `/v1/imports`.

mod access;
mod files;
mod hostile;
mod mappings;
mod restarts;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{content, user};
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

/// Sends a file.
async fn send(caller: &Caller, query: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let headers = [("content-type", media_type)];
    caller.send(Method::POST, &format!("/v1/imports{query}"), &headers, body.into()).await
}

/// Waits until the import has ended, and returns it.
async fn wait_until_ended(caller: &Caller, id: &str) -> Value {
    // The importer has no event that a client can wait for.
    for _ in 0..3_000 {
        let import = caller.get(&format!("/v1/imports/{id}")).await.expect(200).json();
        if !["queued", "running"].contains(&import["status"].as_str().expect("a status")) {
            return import;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the import {id} does not end");
}

/// Sends a file and waits until its import has ended.
async fn import(caller: &Caller, query: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Value {
    let sent = send(caller, query, media_type, body).await.expect_one_of(&[200, 202]);
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(sent.header("location"), Some(format!("/v1/imports/{id}").as_str()));
    wait_until_ended(caller, &id).await
}

/// The counts of an import: rows read, created, duplicates, rejected.
fn counts(import: &Value) -> [i64; 4] {
    ["rows_read", "created", "duplicates", "rejected"].map(|name| import[name].as_i64().expect(name))
}

/// The rejected rows of an import: the headings and the cells.
async fn errors(caller: &Caller, import: &Value) -> (Vec<String>, Vec<Vec<String>>) {
    caller.get(import["errors"].as_str().expect("rejected rows")).await.expect(200).csv()
}

/// An admin of an organisation with the users `bo` and `cy` and the content `fire`.
async fn admin_of_some(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    for id in ["bo", "cy"] {
        admin
            .put(&format!("/v1/users/{id}"), &user(id).set("email", format!("{id}@example.org")))
            .await
            .expect(201);
    }
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    admin
}

const ROWS: &str = "user,action,content,happened_at,result.score,result.success\n\
    bo,completed,fire,2026-01-02T03:04:05Z,90,true\n\
    cy,failed,fire,2026-01-02T04:04:05+01:00,45.5,FALSE\n";

#[apply(both_databases)]
async fn good_rows_are_recorded_and_others_listed(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let text = format!(
        "{ROWS}nobody,completed,fire,2026-01-02T03:04:05Z,,\n\
        bo,completed,fire,02/01/2026,,\n\n\
        bo,dance,none,2026-01-02T03:04:05Z,101,maybe\n\
        bo,started,fire,2026-01-02T03:00:00Z,,,too,many\n\
        cy,started,fire,2026-01-03T03:00:00Z\n"
    );
    let done = import(&admin, "", "text/csv", text).await;
    assert_eq!((done["status"].as_str(), counts(&done)), (Some("done"), [7, 3, 0, 4]), "{done}");
    let (headings, rows) = errors(&admin, &done).await;
    assert_eq!(
        headings.join(","),
        "user,action,content,happened_at,result.score,result.success,line,column,reason"
    );
    let found: Vec<String> = rows.iter().map(|row| format!("{} {} {}", row[0], row[6], row[7])).collect();
    assert_eq!(found, ["nobody 4 user", "bo 5 happened_at", "bo 7 result.success", "bo 8 "]);
    assert!(rows[0][8].contains("does not exist"), "{rows:?}");
    assert!(rows[1][8].contains("mapping"), "{rows:?}");

    let id = done["id"].as_str().expect("an id");
    for query in [format!("import={id}"), "bulk_import=true".to_owned(), "origin=import".to_owned()] {
        let found = admin.list(&format!("/v1/activities?{query}"), "activities").await;
        let texts: Vec<&str> = found.iter().filter_map(|row| row["happened_at"].as_str()).collect();
        assert_eq!(
            texts,
            ["2026-01-03T03:00:00.000Z", "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.000Z"],
            "{query}"
        );
        assert!(found.iter().all(|row| row["import_id"] == id && row["origin"] == "import"));
        assert_eq!(found[2]["result"]["score"]["percent"], json!(90));
    }
    assert_eq!(admin.list("/v1/activities?bulk_import=false", "activities").await, Vec::<Value>::new());
    let list = admin.list("/v1/imports?limit=1", "imports").await;
    assert_eq!(list, [done]);
}

#[apply(both_databases)]
async fn repeated_files_and_rows_are_counted_once(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let first = import(&admin, "", "text/csv", ROWS).await;
    assert_eq!(counts(&first), [2, 2, 0, 0]);
    let again = send(&admin, "", "text/csv", ROWS).await.expect(200).json();
    assert_eq!(again, first);
    // The same rows in another order, notation and format, with a new one.
    let text = r#"{"user":"cy","action":"failed","content":"fire","happened_at":"2026-01-02T03:04:05.000Z","result":{"score":45.50,"success":false}}
{"action":"started","user":{"email":"bo@example.org"},"content":"fire","happened_at":"2026-01-01T00:00Z"}

{"user":"bo","action":"completed","content":{"id":"fire"},"happened_at":"2026-01-02T03:04:05Z","result":{"score":90,"success":true}}
"#;
    let other = import(&admin, "", "application/x-ndjson", text).await;
    assert_eq!(counts(&other), [3, 1, 2, 0]);
    assert_eq!(other["format"], "ndjson");
    // A file with rejected rows can be sent again after the directory has changed.
    let text = "user,action,content,happened_at\ndi,started,fire,2026-01-01T00:00:00Z\nbo,started,fire,2026-01-05T00:00:00Z\n";
    let rejected = import(&admin, "", "text/csv", text).await;
    assert_eq!(counts(&rejected), [2, 1, 0, 1]);
    admin.put("/v1/users/di", &user("di")).await.expect(201);
    let repeated = import(&admin, "", "text/csv", text).await;
    assert_ne!(repeated["id"], rejected["id"]);
    assert_eq!(counts(&repeated), [2, 1, 1, 0]);
    assert_eq!(admin.list("/v1/activities", "activities").await.len(), 5);
}

#[apply(both_databases)]
async fn corrected_file_of_rejected_rows_is_taken(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let text = "user;action;content;happened_at;comment;result.response\n\
        bo;begun;fire;2026-01-02T03:04:05Z;;\"=1+1\"\n\
        bo;started;fire;2026-01-02T03:04:05Z;;ok\n";
    let first = import(&admin, "", "text/csv", text).await;
    assert_eq!(counts(&first), [2, 1, 0, 1], "{first}");
    let file = admin.get(first["errors"].as_str().expect("errors")).await.expect(200);
    assert!(file.text().contains("'=1+1"), "{}", file.text());
    let corrected = file.text().replace("begun", "completed");
    let second = import(&admin, "", "text/csv", corrected).await;
    assert_eq!(counts(&second), [1, 1, 0, 0]);
    let id = second["id"].as_str().expect("an id");
    let rows = admin.list(&format!("/v1/activities?import={id}"), "activities").await;
    assert_eq!(rows[0]["result"]["response"], "=1+1");
}

#[apply(both_databases)]
async fn statements_keep_their_ids_and_times(server: &TestServer) {
    let admin = server.person("admin", "root");
    let statement = |id: &str, more: &str| {
        format!(
            r#"{{{id}"actor":{{"mbox":"mailto:bo@example.org"}},"verb":{{"id":"http://adlnet.gov/expapi/verbs/completed"}},"object":{{"id":"urn:c"}}{more}}}"#
        )
    };
    let id = "0190a000-0000-4000-8000-000000000001";
    let rows = [
        statement(&format!(r#""id":"{id}","#), r#","timestamp":"2020-01-02T03:04:05Z""#),
        statement("", r#","stored":"2020-02-02T03:04:05Z""#),
        statement("", r#","stored":"2020-02-02T03:04:05Z","version":"1.0.0""#),
        statement(
            "",
            r#","timestamp":"2020-01-02T03:04:05Z","attachments":[{"usageType":"urn:u","display":{"en":"a"},"contentType":"a/b","length":1,"sha2":"495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a"}]"#,
        ),
        "{\"actor\":7}".to_owned(),
        "nonsense".to_owned(),
    ];
    let done = import(&admin, "", "application/json", format!("[{}]", rows.join(",\n"))).await;
    assert_eq!(counts(&done), [6, 2, 1, 3], "{done}");
    let (headings, errors) = errors(&admin, &done).await;
    assert_eq!(headings.join(" "), "line column reason row");
    assert_eq!(errors.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["4", "5", "6"]);
    let stored = admin.get(&format!("/xapi/statements?statementId={id}")).await.expect(200).json();
    assert_eq!(stored["authority"]["account"]["name"], "root");
    let times = admin.list("/v1/activities", "activities").await;
    let times: Vec<&str> = times.iter().filter_map(|row| row["happened_at"].as_str()).collect();
    assert_eq!(times, ["2020-02-02T03:04:05.000Z", "2020-01-02T03:04:05.000Z"]);
    // The same id with another content is a rejected row.
    let other = statement(&format!(r#""id":"{id}","#), r#","timestamp":"2021-01-02T03:04:05Z""#);
    let conflict = import(&admin, "", "application/x-ndjson", format!("{other}\n{}", rows[0])).await;
    assert_eq!(counts(&conflict), [2, 0, 1, 1]);
}
