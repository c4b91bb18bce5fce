//! Tests of `/v1/quizzes/{content}/responses.csv`.

use std::io::Read as _;

use serde_json::json;

use super::{answered, chose, post, set_up};
use crate::support::{TestServer, apply, both_databases};

const CSV: &str = "/v1/quizzes/fire/responses.csv";

#[apply(both_databases)]
async fn each_answer_is_a_line(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    admin.patch("/v1/users/bo", &json!({"custom": {"Question": "x", "Team": "y"}})).await.expect(200);
    let formula = json!({"interactionType": "fill-in", "name": {"en": "=1+1"}, "correctResponsesPattern": ["x", "{lang=en}-y"]});
    let registration = "00000000-0000-4000-9000-000000000001";
    let statements = [
        chose(1, "bo", "1", "b[,]a").set("context.registration", registration),
        answered(
            2,
            "dee",
            "2",
            formula,
            json!({"response": "@SUM(A1)", "score": {"raw": -1.5}, "success": false}),
        ),
    ];
    post(&sender, &statements).await;
    let answer = admin.get(&format!("{CSV}?sort=happened_at")).await.expect(200);
    let lines = answer.csv_as_lines();
    insta::allow_duplicates! {
    insta::assert_snapshot!(lines, @r"
    row 1
      First name: bo
      Last name: Example
      Email address: bo@example.org
      Role: Learner
      Manager name: ada Example
      Primary team: Team sales
      Status (at time of export): Active
      Title: Fire Safety
      Type: Quiz
      Unique ID: fire
      Happened at: 2026-03-01T09:01:00.000Z
      Registration: 00000000-0000-4000-9000-000000000001
      Question: Why 1?
      Question ID: urn:q:1
      Question type: choice
      Response: Burn; Alarm
      Correct response: Alarm
      Correct: No
      Recorded response: b[,]a
      Activity ID: 00000000-0000-4000-8000-000000000001
      User ID: bo
      Question (custom): x
      Team: y
    row 2
      First name: dee
      Last name: Example
      Role: Learner
      Manager name: bo Example
      Status (at time of export): Active
      Title: Fire Safety
      Type: Quiz
      Unique ID: fire
      Happened at: 2026-03-01T09:02:00.000Z
      Question: '=1+1
      Question ID: urn:q:2
      Question type: fill-in
      Response: '@SUM(A1)
      Correct response: x | '-y
      Correct: No
      Score: -1.5
      Recorded response: '@SUM(A1)
      Activity ID: 00000000-0000-4000-8000-000000000002
      User ID: dee
    ");
    }
    let name = answer.header("content-disposition").expect("a name");
    assert!(name.starts_with("attachment; filename=\"responses-2026-"), "{name}");
    let raw = admin.get(&format!("{CSV}?raw=true&bom=true")).await.expect(200);
    assert!(raw.text().starts_with("\u{feff}First name,"));
    assert_eq!(raw.csv_column("Response"), ["@SUM(A1)", "Burn; Alarm"]);
    for parameter in ["raw", "bom"] {
        let refused = admin.get(&format!("{CSV}?{parameter}=1")).await.expect(400);
        assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), [parameter]);
    }
    let packed =
        admin.send(reqwest::Method::GET, CSV, &[("accept-encoding", "gzip")], Vec::new()).await.expect(200);
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).expect("gzip");
    assert!(text.starts_with("First name,") && text.contains("urn:q:2"));
}

#[apply(both_databases)]
async fn wide_shape_has_a_column_for_each_question(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let formula = json!({"interactionType": "fill-in", "name": {"en": "=1+1"}});
    let same = json!({"interactionType": "fill-in", "name": {"en": "Right"}});
    let registration = "00000000-0000-4000-9000-000000000001";
    let statements = [
        chose(1, "bo", "1", "b[,]a").set("context.registration", registration),
        answered(2, "bo", "2", formula, json!({"response": "+2"})).set("context.registration", registration),
        answered(3, "dee", "3", same, json!({"response": "x"})),
        chose(4, "dee", "1", "a"),
    ];
    post(&sender, &statements).await;
    let answer = admin.get(&format!("{CSV}?shape=wide")).await.expect(200);
    let (headings, rows) = answer.csv();
    assert_eq!(
        headings[17..],
        [
            "Registration",
            "Started at",
            "Ended at",
            "Answered",
            "Right",
            "Why 1?",
            "'=1+1",
            "Right (2)",
            "User ID"
        ]
    );
    let cells = |row: usize| rows[row][17..].to_vec();
    assert_eq!(
        cells(0),
        [
            registration,
            "2026-03-01T09:01:00.000Z",
            "2026-03-01T09:02:00.000Z",
            "2",
            "0",
            "Burn; Alarm",
            "'+2",
            "",
            "bo"
        ]
    );
    assert_eq!(
        cells(1),
        ["", "2026-03-01T09:03:00.000Z", "2026-03-01T09:04:00.000Z", "2", "1", "Alarm", "", "x", "dee"]
    );
    assert_eq!(rows.len(), 2);
    // A file without answers has its headings.
    let empty = admin.get(&format!("{CSV}?shape=wide&user=nobody")).await.expect(200);
    assert_eq!((empty.csv().0.len(), empty.csv().1.len()), (23, 0));
    // Too many questions for columns.
    let many: Vec<_> = (0..1_001).map(|n| chose(100 + n, "eve", &format!("many-{n}"), "a")).collect();
    for statements in many.chunks(500) {
        post(&sender, statements).await;
    }
    let refused = admin.get(&format!("{CSV}?shape=wide")).await.expect(400);
    assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), ["shape"]);
    let found = admin.get("/v1/quizzes/fire/questions").await.expect(200).json();
    assert_eq!(
        (found["questions"].as_array().map(Vec::len), &found["uncounted_answers"]),
        (Some(1_000), &json!(4))
    );
    assert_eq!(admin.get(CSV).await.expect(200).csv().1.len(), 1_005);
}
