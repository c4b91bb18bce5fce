//! Tests that no spreadsheet runs a text of a CSV as a formula, with any separator.
//!
//! The test with LibreOffice is skipped where `soffice` is not installed, and says so.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{CSV, activity, content, user};
use crate::support::http::Caller;
use crate::support::tools::is_installed;
use crate::support::{TestServer, apply, both_databases};

const PROGRESS_CSV: &str = "/v1/contents/fire/progress.csv";

/// Texts that hide a formula in every place of a cell.
const TEXTS: [&str; 16] = [
    "=1+1",
    " =1+1",
    "+1+1",
    "@SUM(1;1)",
    "Safety,=1+1",
    "Safety;=1+1",
    "Safety\t=1+1",
    "Safety\n=1+1",
    "Safety\r\n=1+1;=1+1\t=1+1",
    "Safety\";=1+1",
    "Safety\"=1+1",
    "\"=1+1\"",
    "Safety; \"\" =1+1",
    "Safety;;=1+1",
    "Safety;\"\n=1+1",
    "'=1+1",
];

/// Creates a user and a content with these texts in every member, and an activity for each text.
async fn set_up_with_formulas(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    for (number, text) in TEXTS.into_iter().enumerate() {
        // Ids, names and headings have no line breaks and no white space around them.
        let line = text.replace(['\t', '\r', '\n'], ";").trim().to_owned();
        let bo = user(&format!("{number}-{line}"))
            .set("first_name", line.as_str())
            .set("last_name", line.as_str())
            .set("job_title", text)
            .set("location", text)
            .set("custom", json!({line.as_str(): text}));
        let path = format!("/v1/users/{}", crate::support::http::encode_segment(&format!("{number}-{line}")));
        admin.put(&path, &bo).await.expect(201);
        let id = format!("content-{number}");
        let quiz = content(&id, "quiz")
            .set("title", line.as_str())
            .set("tags", json!([line, "plain"]))
            .set("source", text);
        admin.put(&format!("/v1/contents/{id}"), &quiz).await.expect(201);
        let done = activity(&format!("{number}-{line}"), "viewed").set("content", id.as_str());
        admin.post("/v1/activities", &done).await.expect(201);
    }
    admin
}

/// Whether a spreadsheet that ignores quotes could begin a formula: the text of a line after each separator, quotation
/// mark and line break. A number is no formula.
fn has_formula(file: &str) -> Option<&str> {
    let parts = file.split([',', ';', '\t', '\r', '\n', '"', '|']);
    let is_formula = |part: &&str| {
        part.trim_start().starts_with(['=', '+', '@', '-'])
            && part.trim_end_matches('%').parse::<f64>().is_err()
    };
    parts.into_iter().find(is_formula)
}

#[apply(both_databases)]
async fn no_text_begins_a_formula_after_any_separator(server: &TestServer) {
    let admin = set_up_with_formulas(server).await;
    for path in [CSV.to_owned(), format!("{CSV}?columns=full"), PROGRESS_CSV.to_owned()] {
        let answer = admin.get(&path).await.expect(200);
        assert!(answer.csv().1.len() >= TEXTS.len());
        assert_eq!(has_formula(answer.text()), None, "{path}");
        // The texts are complete: without apostrophes they are the originals.
        let mut jobs: Vec<String> =
            answer.csv_column("Job title").iter().map(|job| job.replace('\'', "")).collect();
        let mut originals: Vec<String> = TEXTS.iter().map(|text| text.replace('\'', "")).collect();
        jobs.sort();
        originals.sort();
        assert_eq!(jobs, originals, "{path}");
        let raw = admin.get(&format!("{path}{}raw=true", if path.contains('?') { '&' } else { '?' })).await;
        assert!(has_formula(raw.expect(200).text()).is_some(), "{path}");
    }
}

/// Opens the files with LibreOffice by each separator, with and without quotes, and counts the cells with a formula.
#[apply(both_databases)]
async fn libreoffice_finds_no_formula(server: &TestServer) {
    if !is_installed("soffice") {
        return; // Debian: libreoffice-calc
    }
    let admin = set_up_with_formulas(server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (name, path) in [
        ("log", format!("{CSV}?columns=full&bom=true")),
        ("progress", PROGRESS_CSV.to_owned()),
        ("raw", format!("{CSV}?raw=true")),
    ] {
        let file = folder.path().join(format!("{name}.csv"));
        std::fs::write(&file, admin.get(&path).await.expect(200).body).expect("a file");
        paths.push(file);
    }
    let mut raw_formulas = 0;
    // By comma, semicolon, tab, and all of them.
    for separator in ["44", "59", "9", "9/44/59"] {
        for quote in ["34", ""] {
            for (file, formulas) in
                paths.iter().zip(open_with_libreoffice(folder.path(), &paths, separator, quote))
            {
                let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
                if name == "raw" {
                    raw_formulas += formulas.len();
                } else {
                    assert_eq!(formulas, Vec::<String>::new(), "{name} by {:?}, quote {quote:?}", separator);
                }
            }
        }
    }
    assert!(raw_formulas > 0, "the test finds formulas in the file that is not escaped");
}

/// The formulas of each file, converted by LibreOffice to a flat spreadsheet.
fn open_with_libreoffice(
    folder: &Path,
    files: &[std::path::PathBuf],
    separator: &str,
    quote: &str,
) -> Vec<Vec<String>> {
    let output = folder.join("opened");
    // Separator, quote, UTF-8, from line 1, and at the end: evaluate formulas.
    let filter = format!("CSV:{separator},{quote},76,1,,0,false,true,false,false,true,-1,true");
    let status = Command::new("soffice")
        .arg(format!("-env:UserInstallation=file://{}", folder.join("profile").display()))
        .args(["--headless", "--norestore", "--convert-to", "fods"])
        .arg(format!("--infilter={filter}"))
        .arg("--outdir")
        .arg(&output)
        .args(files)
        .output()
        .expect("soffice runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let opened = files.iter().map(|file| {
        let name = file.file_stem().expect("a name");
        let text = std::fs::read_to_string(output.join(name).with_extension("fods")).expect("an opened file");
        assert!(text.contains("Safety"), "the file was read");
        let formulas = text.split("table:formula=\"").skip(1);
        formulas.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    });
    opened.collect()
}
