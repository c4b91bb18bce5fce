//! Tests of `export.parquet`: each value is that of the CSV, row groups, reach, and errors.

use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CSV, activity, copy_activity, set_up_with_every_column, user};
use crate::support::http::Answer;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const PARQUET: &str = "/v1/activities/export.parquet";

fn open(answer: &Answer) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(answer.body.clone())).expect("a complete file")
}

/// A value in the form of a cell of the CSV with `raw=true`.
fn to_cell(heading: &str, field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bool(value) => if *value { "Yes" } else { "No" }.to_owned(),
        Field::Long(number) => number.to_string(),
        Field::Double(number) if heading == "E-learning / Quiz score" => format!("{number}%"),
        Field::Double(number) => number.to_string(),
        Field::Date(days) => {
            let day = NaiveDate::from_num_days_from_ce_opt(days + 719_163).expect("a day");
            day.to_string()
        }
        Field::TimestampMicros(micros) => {
            let time = DateTime::from_timestamp_micros(*micros).expect("a time");
            time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        }
        Field::ListInternal(list) => {
            let texts = list.elements().iter().map(|element| to_cell(heading, element));
            texts.collect::<Vec<_>>().join("; ")
        }
        other => panic!("{heading} has another type: {other:?}"),
    }
}

/// The headings and rows of the file, as those of the CSV.
pub(super) fn to_csv(answer: &Answer) -> (Vec<String>, Vec<Vec<String>>) {
    let file = open(answer);
    let schema = file.metadata().file_metadata().schema_descr().root_schema().clone();
    let headings = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let rows = file.get_row_iter(None).expect("rows").map(|row| {
        let row = row.expect("a row");
        row.get_column_iter().map(|(heading, field)| to_cell(heading, field)).collect()
    });
    (headings, rows.collect())
}

fn ids(answer: &Answer) -> Vec<String> {
    let (headings, rows) = to_csv(answer);
    let index = headings.iter().position(|heading| heading == "Activity ID").expect("the column");
    rows.into_iter().map(|row| row[index].clone()).collect()
}

#[apply(both_databases)]
async fn file_has_the_columns_and_rows_of_the_csv(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    for query in [
        "columns=standard",
        "columns=elearning&sort=happened_at",
        "columns=full&include_deactivated=true",
        "columns=full&user=bo&action=completed",
        "columns=full&user=nobody",
    ] {
        let csv = admin.get(&format!("{CSV}?{query}&raw=true")).await.expect(200).csv();
        let answer = admin.get(&format!("{PARQUET}?{query}")).await.expect(200);
        assert_eq!(to_csv(&answer), csv, "{query}");
    }
    let german = admin.get(&format!("{PARQUET}?language=de")).await.expect(200);
    let csv = admin.get(&format!("{CSV}?language=de&raw=true")).await.expect(200).csv();
    assert_eq!(to_csv(&german).0, csv.0);
    assert_eq!(
        to_csv(&admin.get(PARQUET).await.expect(200)),
        admin.get(&format!("{CSV}?raw=true")).await.expect(200).csv()
    );
}

#[apply(both_databases)]
async fn file_is_an_attachment_that_is_not_compressed_again(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let path = format!("{PARQUET}?tz=Pacific%2FKiritimati");
    let accepts_gzip = [("accept-encoding", "gzip")];
    for method in [Method::GET, Method::HEAD] {
        let answer = admin.send(method.clone(), &path, &accepts_gzip, Vec::new()).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/vnd.apache.parquet"));
        assert_eq!(
            answer.header("content-disposition"),
            Some("attachment; filename=\"activities-2026-03-19.parquet\"")
        );
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.body.is_empty(), method == Method::HEAD);
    }
}

/// The copies have no records, but all columns have values.
#[apply(both_databases)]
async fn large_file_has_several_row_groups(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    copy_activity(server, 70_000).await;
    let answer = admin.get(&format!("{PARQUET}?columns=full&user=bo")).await.expect(200);
    let file = open(&answer);
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups.iter().sum::<i64>(), 70_002);
    assert!(groups.len() >= 2 && groups.iter().all(|rows| *rows <= 65_536), "{groups:?}");
}

#[apply(both_databases)]
async fn file_contains_only_rows_within_reach(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let path = format!("{PARQUET}?columns=full");
    let all = ids(&admin.get(&path).await.expect(200));
    assert_eq!(all.len(), 4, "all activities except those of the deactivated user");

    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/bo", &user("bo")).await.expect(201);
    let own = other.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201).json();
    assert_eq!(ids(&other.get(&path).await.expect(200)), [own["id"].as_str().expect("an id")]);

    let ada = server.person("manager", "ada");
    let bo = server.person("learner", "bo");
    for (caller, rows) in [
        (server.credential(ORG, &["activities/read"]).await, all.len()),
        (ada.clone(), 3),
        (bo, 2),
        (server.person("learner", "nobody"), 0),
    ] {
        assert_eq!(ids(&caller.get(&path).await.expect(200)).len(), rows);
    }
    assert!(ids(&ada.get(&format!("{path}&user=cy&include_deactivated=true")).await.expect(200)).is_empty());
    ada.get(&format!("{path}&scope=company")).await.expect(403);
    server.credential(ORG, &["activities/write"]).await.get(&path).await.expect(403);
    server.anonymous().get(&path).await.expect(401);
}

#[apply(both_databases)]
async fn report_is_exported_with_its_columns_and_within_reach(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    let report = json!({
        "name": "Done", "visibility": "shared", "columns": "full", "filter": {"action": ["completed", "failed"]},
    });
    let created = admin.post("/v1/reports", &report).await.expect(201);
    let report = created.header("location").expect("Location").to_owned();
    let path = format!("{report}/export.parquet");
    let answer = admin.get(&path).await.expect(200);
    let csv = admin.get(&format!("{report}/export.csv?raw=true")).await.expect(200).csv();
    assert_eq!(to_csv(&answer), csv);
    assert_eq!(ids(&answer).len(), 2);
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"done-2026-03-18.parquet\"")
    );
    assert_eq!(ids(&admin.get(&format!("{path}?user=bo")).await.expect(200)).len(), 1);
    let bo = server.person("learner", "bo");
    assert!(bo.get(&path).await.status >= 400 || ids(&bo.get(&path).await).len() == 1);
    server.person_of("other", json!({"sub": "root", "role": "admin"})).get(&path).await.expect(404);
}

#[apply(both_databases)]
async fn wrong_parameter_and_early_error_are_problems(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    for parameter in ["bom=true", "raw=true", "limit=10", "columns=all", "period=sometimes"] {
        let problem = admin.get(&format!("{PARQUET}?{parameter}")).await.expect(400).json();
        let name = parameter.split('=').next();
        assert_eq!(problem["errors"][0]["parameter"].as_str(), name, "{problem:#}");
    }
    admin.post(PARQUET, &json!({})).await.expect(405);
    // Nothing is sent before the first row group, so that an error is a problem document.
    server.database().execute("ALTER TABLE verbs RENAME TO no_verbs").await;
    let problem: Value = admin.get(PARQUET).await.expect(500).json();
    assert_eq!(problem["code"], "internal");
}
