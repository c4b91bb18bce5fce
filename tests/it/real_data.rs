//! Real statements of other systems: each statement is accepted, and each becomes one activity and one exported
//! line.
//!
//! The statements are not part of the repository. `ROLLBOOK_TEST_DATA` names the folder that contains them;
//! without it, these tests print `skipped` and do nothing.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::examples::load_statements;
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const ALL_SCOPES: &[&str] = &["all", "activities/read"];

/// The path of a file in the folder of real statements, or `None` when no folder is configured.
///
/// A configured folder without the file is an error.
fn real_data(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ROLLBOOK_TEST_DATA") else {
        // Not `eprintln!`: the test harness would hide its output.
        let _ = writeln!(std::io::stderr(), "skipped: ROLLBOOK_TEST_DATA is not set, so {name} is not read");
        return None;
    };
    let file = Path::new(&folder).join(name);
    assert!(file.exists(), "ROLLBOOK_TEST_DATA is set, but {} does not exist", file.display());
    Some(file)
}

/// The lines of a text file, which may be a gzip file.
fn read_lines(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    if file.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    }
    .expect("the file is text");
    text.lines().map(str::to_owned).collect()
}

#[apply(both_databases)]
async fn mooc_statements_become_activities(server: &TestServer) {
    let Some(file) = real_data("fun-mooc-statements.jsonl.gz") else {
        return;
    };
    let statements = read_lines(&file);
    let caller = server.credential("mooc", ALL_SCOPES).await;
    for batch in statements.chunks(500) {
        let body = format!("[{}]", batch.join(","));
        let ids = caller
            .send(
                reqwest::Method::POST,
                "/xapi/statements",
                &[("content-type", "application/json")],
                body.into_bytes(),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(ids.as_array().map(Vec::len), Some(batch.len()));
    }
    assert_log_has(&caller, statements.len()).await;

    // The server returns each member that was sent, and only adds others.
    let sent: Value = serde_json::from_str(&statements[0]).expect("JSON");
    let path = format!("/xapi/statements?statementId={}", sent["id"].as_str().expect("an id"));
    let stored = caller.get(&path).await.expect(200).json();
    for (member, value) in sent.as_object().expect("an object") {
        assert_eq!(&stored[member], value, "{member}");
    }
}

/// The file has 190 statements without ids and with about 50 verbs. The example loader adds ids, so that the second
/// run changes nothing.
#[apply(both_databases)]
async fn moodle_statements_become_activities(server: &TestServer) {
    let Some(file) = real_data("moodle-statements.jsonl") else {
        return;
    };
    let caller = server.credential(ORG, ALL_SCOPES).await;
    for _ in 0..2 {
        let (code, output) = load_statements(server, &["statements/write", "define"], &file).await;
        assert_eq!(code, Some(0), "{output}");
        assert!(output.starts_with("190 taken, 0 refused, in "), "{output}");
        assert_log_has(&caller, 190).await;
    }
}

/// Checks the number of activities: the total, all pages together, and the lines of each export.
async fn assert_log_has(caller: &Caller, rows: usize) {
    // A repeated login is a visit. The log contains visits only when the request names them.
    let total = async |query: &str| {
        let page = caller.get(&format!("/v1/activities?count=exact&limit=1{query}")).await.expect(200).json();
        page["total"].as_u64().expect("a total") as usize
    };
    let without_visits = total("").await;
    assert_eq!(without_visits + total("&action=visited").await, rows);
    assert_eq!(caller.list("/v1/activities?limit=1000", "activities").await.len(), without_visits);
    assert_eq!(caller.get("/v1/activities/export.ndjson").await.expect(200).ndjson().len(), without_visits);
    for columns in ["standard", "elearning", "full"] {
        let csv = caller.get(&format!("/v1/activities/export.csv?columns={columns}")).await.expect(200);
        assert_eq!(csv.csv().1.len(), without_visits, "{columns}");
    }
}
