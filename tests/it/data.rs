//! Real statements: what the specification allows is taken, and every one taken is a row and a line.
//!
//! They lie in a folder beside the project, `../shared/data` from its root, and are no part of it; where the
//! folder is missing, the tests say so and pass.

use std::io::Read as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::examples::load_statements;
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const ALL_SCOPES: &[&str] = &["all", "activities/read"];

/// A file of the folder of real statements beside the project.
fn real_data(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !file.exists() {
        eprintln!("skipped: there are no real statements at ../shared/data/{name}");
        return None;
    }
    Some(file)
}

/// The lines of a file, gzipped or not.
fn lines(file: &PathBuf) -> Vec<String> {
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    match file.extension().is_some_and(|extension| extension == "gz") {
        true => flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text),
        false => bytes.as_slice().read_to_string(&mut text),
    }
    .expect("the file is text");
    text.lines().map(str::to_owned).collect()
}

/// 22,000 statements of a MOOC's video player, every one allowed.
#[apply(both_databases)]
async fn every_statement_of_a_mooc_is_a_row(server: &TestServer) {
    let Some(file) = real_data("fun-mooc-statements.jsonl.gz") else {
        return;
    };
    let statements = lines(&file);
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
    the_log_has(&caller, statements.len()).await;

    // One of them comes back as it was sent, but for what the server adds.
    let sent: Value = serde_json::from_str(&statements[0]).expect("JSON");
    let path = format!("/xapi/statements?statementId={}", sent["id"].as_str().expect("an id"));
    let kept = caller.get(&path).await.expect(200).json();
    for (member, value) in sent.as_object().expect("an object") {
        assert_eq!(&kept[member], value, "{member}");
    }
}

/// 190 statements of Moodle's, of some fifty verbs, through the example loader. They come without ids; the
/// loader gives them some, so loading them once more changes nothing.
#[apply(both_databases)]
async fn every_statement_of_a_moodle_is_a_row(server: &TestServer) {
    let Some(file) = real_data("moodle-statements.jsonl") else {
        return;
    };
    let caller = server.credential(ORG, ALL_SCOPES).await;
    for _ in 0..2 {
        let (code, said) = load_statements(server, &["statements/write", "define"], &file).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("190 taken, 0 refused, in "), "{said}");
        the_log_has(&caller, 190).await;
    }
}

/// As many rows in the log, over its pages and by its total, as lines in both exports.
async fn the_log_has(caller: &Caller, rows: usize) {
    // A login after a login is a visit, which the log shows only where it is asked for; the total of both is
    // what was recorded.
    let total = async |query: &str| {
        let page = caller.get(&format!("/v1/activities?count=exact&limit=1{query}")).await.expect(200).json();
        page["total"].as_u64().expect("a total") as usize
    };
    let shown = total("").await;
    assert_eq!(shown + total("&action=visited").await, rows);
    assert_eq!(caller.list("/v1/activities?limit=1000", "activities").await.len(), shown);
    assert_eq!(caller.get("/v1/activities/export.ndjson").await.expect(200).ndjson().len(), shown);
    for columns in ["standard", "elearning", "full"] {
        let csv = caller.get(&format!("/v1/activities/export.csv?columns={columns}")).await.expect(200);
        assert_eq!(csv.csv().1.len(), shown, "{columns}");
    }
}
