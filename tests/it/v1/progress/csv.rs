//! Tests of `progress.csv`.

use reqwest::Method;
use serde_json::json;

use super::{FIRE_CSV, set_up_with_every_state};
use crate::support::builders::{mailbox, statement};
use crate::support::{TestServer, apply, both_databases};

const HEADINGS: [&str; 25] = [
    "First name",
    "Last name",
    "Email address",
    "Role",
    "Job title",
    "Language",
    "Location",
    "Join date",
    "Manager name",
    "Primary team",
    "Secondary teams",
    "Status (at time of export)",
    "Deactivated",
    "Title",
    "Type",
    "Content Type",
    "Unique ID",
    "Progress",
    "Since",
    "Expires at",
    "E-learning / Quiz score",
    "Certificate name",
    "Certificate awarded at",
    "Certificate expires at",
    "User ID",
];

#[apply(both_databases)]
async fn csv_contains_every_user(server: &TestServer) {
    let (admin, sender) = set_up_with_every_state(server).await;
    let patch = json!({"first_name": "=Bo", "last_name": "Lee, \"B\"", "job_title": "-5", "manager": "ada", "email": "bo@example.org",
        "custom": {"=Grade": "+7", "Region": "North"}});
    admin.patch("/v1/users/bo", &patch).await.expect(200);
    let guest = statement(
        mailbox("guest@example.com"),
        "http://adlnet.gov/expapi/verbs/launched",
        "https://rollbook.invalid/acme/contents/fire",
    )
    .set("timestamp", "2026-03-09T09:00:00Z");
    sender.post("/xapi/statements", &guest.set("actor.name", "A. Guest")).await.expect(200);
    let answer = admin.get(&format!("{FIRE_CSV}?include_deactivated=true")).await.expect(200);
    insta::assert_snapshot!("progress", answer.csv_as_lines());
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"progress-2026-03-18.csv\"")
    );
    assert_eq!(answer.csv().0, [&HEADINGS[..], &["'=Grade", "Region"]].concat());

    let raw = admin.get(&format!("{FIRE_CSV}?raw=true&user=bo")).await.expect(200);
    assert_eq!(
        (raw.csv_column("First name"), raw.csv_column("=Grade")),
        (vec!["=Bo".to_owned()], vec!["+7".to_owned()])
    );
    let bom = admin.get(&format!("{FIRE_CSV}?bom=true&include_deactivated=true&raw=false")).await.expect(200);
    assert_eq!(bom.text(), format!("\u{feff}{}", answer.text()));
    let gzipped = [("accept-encoding", "gzip")];
    let gzipped = admin.send(Method::GET, FIRE_CSV, &gzipped, Vec::new()).await.expect(200);
    assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
    let head = admin.send(Method::HEAD, FIRE_CSV, &[], Vec::new()).await.expect(200);
    assert_eq!(head.header("content-disposition"), answer.header("content-disposition"));
    assert!(head.body.is_empty());
    // A file without rows has headings.
    let empty = admin.get(&format!("{FIRE_CSV}?user=nobody")).await.expect(200);
    assert_eq!(empty.text().matches("\r\n").count(), 1);
    assert!(empty.text().starts_with("First name,"));
}
