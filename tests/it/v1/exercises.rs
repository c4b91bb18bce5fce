//! Tests of `/v1/exercises/{content}/attempts`, `.csv` and of the links to attached files.

mod files;

use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::records::{STATEMENTS, id, voiding_statement};
use crate::support::server::{ORG, run_with};
use crate::support::{Database, TestServer, apply, both_databases};

const ATTEMPTS: &str = "/v1/exercises/essay/attempts";
const CSV: &str = "/v1/exercises/essay/attempts.csv";
const ESSAY: &str = "https://rollbook.invalid/acme/contents/essay";
const SUBMITTED: &str = "http://activitystrea.ms/schema/1.0/submit";
const GRADED: &str = "https://w3id.org/xapi/tla/verbs/scored";

fn registration(n: usize) -> String {
    format!("00000000-0000-4000-9000-{n:012}")
}

/// Activity number `n` about the exercise at a minute of 2026-03-01.
fn about_essay(n: usize, who: &str, action: &str, attempt: Option<usize>) -> Body {
    activity(who, action)
        .set("id", id(n))
        .set("content", "essay")
        .set("happened_at", format!("2026-03-01T09:{n:02}:00Z"))
        .set_option("registration", attempt.map(registration))
}

fn grade(n: usize, who: &str, attempt: Option<usize>, score: f64) -> Body {
    about_essay(n, who, "graded", attempt)
        .set("recorded_by", "ada")
        .set("comment", format!("Grade {n}"))
        .set("result", json!({"score": score, "success": score >= 50.0}))
}

/// Creates users and the exercise `essay`. Returns an admin and a credential. `ada` manages `bo` and the deactivated `old`.
async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    admin.put("/v1/teams/sales", &team("sales")).await.expect(201);
    let users = [
        user("ada").set("role", "manager"),
        user("bo").set("manager", "ada").set("primary_team", "sales").set("email", "bo@example.org"),
        user("dee"),
        user("old").set("manager", "ada").set("active", false),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/essay", &content("essay", "exercise").set("title", "Essay")).await.expect(201);
    let sender = server.credential(ORG, &["all", "activities/write", "activities/read"]).await;
    (admin, sender)
}

/// Each attempt as `user submitted/graded`, with the numbers of the records.
fn to_texts(attempts: &[Value]) -> Vec<String> {
    let number = |record: &Value| match record["activity"].as_str() {
        Some(id) => id[24..].trim_start_matches('0').to_owned(),
        None => "-".to_owned(),
    };
    let to_text = |one: &Value| {
        let user = one["user"]["id"].as_str().unwrap_or("?");
        format!("{user} {}/{}", number(&one["submitted"]), number(&one["graded"]))
    };
    attempts.iter().map(to_text).collect()
}

async fn read(caller: &Caller, query: &str) -> Vec<String> {
    to_texts(&caller.list(&format!("{ATTEMPTS}?{query}"), "attempts").await)
}

#[apply(both_databases)]
async fn attempt_is_a_submission_with_its_grade(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let records = [
        about_essay(1, "bo", "submitted", Some(1)).set("result", json!({"response": "My essay"})),
        about_essay(2, "bo", "submitted", Some(2)),
        grade(3, "bo", Some(2), 40.0),
        grade(4, "bo", Some(1), 90.0),
        about_essay(5, "dee", "submitted", Some(1)),
        about_essay(6, "dee", "submitted", None),
        grade(7, "dee", None, 10.0),
        grade(8, "dee", None, 60.0),
        grade(9, "ada", Some(9), 70.0),
        about_essay(10, "bo", "viewed", Some(1)),
    ];
    sender.post("/v1/activities/batch", &records).await.expect(201);
    let newest = ["ada -/9", "dee 6/8", "dee 5/-", "bo 2/3", "bo 1/4"];
    let oldest: Vec<&str> = newest.into_iter().rev().collect();
    for limit in 1..=6 {
        assert_eq!(read(&admin, &format!("limit={limit}")).await, newest, "{limit}");
        assert_eq!(read(&admin, &format!("limit={limit}&sort=happened_at")).await, oldest, "{limit}");
        assert_eq!(read(&admin, &format!("limit={limit}&result=failed")).await, ["bo 2/3"], "{limit}");
    }
    for (query, expected) in [
        ("result=passed", vec!["ada -/9", "dee 6/8", "bo 1/4"]),
        ("user=bo", vec!["bo 2/3", "bo 1/4"]),
        ("team=sales", vec!["bo 2/3", "bo 1/4"]),
        // The time is that of the submission; its grade can be later.
        ("to=2026-03-01T09:02:00Z", vec!["bo 1/4"]),
        ("from=2026-03-01T09:04:00Z&to=2026-03-01T09:06:00Z", vec!["dee 5/-"]),
    ] {
        assert_eq!(read(&admin, query).await, expected, "{query}");
    }
    let page = admin
        .get(&format!("{ATTEMPTS}?limit=2&count=exact&user=bo&sort=happened_at"))
        .await
        .expect(200)
        .json();
    assert_eq!((&page["total"], &page["content"]["id"]), (&json!(2), &json!("essay")));
    assert_eq!(
        page["attempts"][0],
        json!({
            "user": {"id": "bo", "first_name": "bo", "last_name": "Example", "name": "bo Example", "email": "bo@example.org", "active": true, "identifier": null},
            "registration": registration(1), "status": "graded",
            "submitted": {"activity": id(1), "happened_at": "2026-03-01T09:01:00.000Z", "response": "My essay", "comment": null, "files": []},
            "graded": {"activity": id(4), "happened_at": "2026-03-01T09:04:00.000Z", "graded_by": {"id": "ada", "name": "ada Example"},
                "success": true, "score": {"scaled": 0.9, "raw": null, "min": null, "max": null, "percent": 90}, "comment": "Grade 4", "files": []}
        })
    );
    let total = admin.get(&format!("{ATTEMPTS}?count=exact&limit=1&result=passed")).await.expect(200).json();
    assert_eq!(total["total"], 3);
    // A voided grade leaves its attempt without a grade.
    sender.post(STATEMENTS, &json!([voiding_statement(20, 4)])).await.expect(200);
    assert_eq!(read(&admin, "user=bo&sort=happened_at").await, ["bo 1/-", "bo 2/3"]);
    for (query, name) in [
        ("action=graded", "action"),
        ("type=exercise", "type"),
        ("shape=wide", "shape"),
        ("result=x", "result"),
    ] {
        let refused = admin.get(&format!("{ATTEMPTS}?{query}")).await.expect(400);
        assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), [name], "{query}");
    }
    admin.get("/v1/exercises/nothing/attempts").await.expect(404);
}

#[apply(both_databases)]
async fn grade_of_a_statement_names_its_instructor(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let about = |n: usize, verb: &str, actor: Value| {
        statement(actor, verb, ESSAY)
            .set("id", id(n))
            .set("timestamp", format!("2026-03-01T09:{n:02}:00Z"))
            .set("context.registration", registration(1))
    };
    // The learner submits with one identifier and is graded with another.
    let submitted = about(1, SUBMITTED, mailbox("bo@example.org"));
    let account = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "bo"}});
    let graded = about(2, GRADED, account.clone())
        .set(
            "context.instructor",
            json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}}),
        )
        .set(
            "result",
            json!({"response": "Good", "score": {"raw": 8, "min": 0, "max": 10}, "success": true}),
        );
    sender.post(STATEMENTS, &[submitted, graded]).await.expect(200);
    let attempts = admin.list(ATTEMPTS, "attempts").await;
    assert_eq!(to_texts(&attempts), ["bo 1/2"]);
    let graded = &attempts[0]["graded"];
    assert_eq!(
        json!([graded["graded_by"], graded["comment"], graded["score"]["percent"], graded["score"]["raw"]]),
        json!([{"id": "ada", "name": "ada Example"}, "Good", 80, 8])
    );
    // An instructor that is no user.
    let regraded = about(3, GRADED, account)
        .set("context.instructor", json!({"mbox": "mailto:prof@uni.example", "name": "Prof"}));
    sender.post(STATEMENTS, &[regraded]).await.expect(200);
    let attempts = admin.list(ATTEMPTS, "attempts").await;
    assert_eq!(
        (to_texts(&attempts), &attempts[0]["graded"]["graded_by"]),
        (vec!["bo 1/3".to_owned()], &json!({"id": null, "name": "Prof"}))
    );
    // The submission of Moodle belongs to its assignment.
    let moodle = statement(mailbox("bo@example.org"), SUBMITTED, "https://moodle.example/assign?id=1#submission")
        .set("id", id(4))
        .set("object.definition", json!({"type": "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/submission", "name": {"en": "Essay Submission"}}))
        .set("context.contextActivities", json!({"parent": [{"id": ESSAY}]}));
    sender.post(STATEMENTS, &[moodle]).await.expect(200);
    assert_eq!(read(&admin, "").await, ["bo 4/-", "bo 1/3"]);
}

#[apply(both_databases)]
async fn each_attempt_is_a_line(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let records = [
        about_essay(1, "bo", "submitted", Some(1)).set("result", json!({"response": "=cmd"})),
        grade(2, "bo", Some(1), 84.5).set("comment", "+1, good"),
        about_essay(3, "dee", "submitted", None).set("comment", "late"),
    ];
    sender.post("/v1/activities/batch", &records).await.expect(201);
    let answer = admin.get(&format!("{CSV}?sort=happened_at&user=bo")).await.expect(200);
    insta::allow_duplicates! {
    insta::assert_snapshot!(answer.csv_as_lines(), @r"
    row 1
      First name: bo
      Last name: Example
      Email address: bo@example.org
      Role: Learner
      Manager name: ada Example
      Primary team: Team sales
      Status (at time of export): Active
      Title: Essay
      Type: Exercise
      Unique ID: essay
      Registration: 00000000-0000-4000-9000-000000000001
      Status: Graded
      Submitted at: 2026-03-01T09:01:00.000Z
      Submitted text: '=cmd
      Graded at: 2026-03-01T09:02:00.000Z
      Graded by: ada Example
      Grader ID: ada
      Result: Pass
      Score: 84.5%
      Grader comment: '+1, good
      Submission ID: 00000000-0000-4000-8000-000000000001
      Grade ID: 00000000-0000-4000-8000-000000000002
      User ID: bo
    ");
    }
    let all = admin.get(&format!("{CSV}?bom=true&raw=true")).await.expect(200);
    assert!(all.text().starts_with("\u{feff}First name,"));
    assert_eq!(all.csv_column("Status"), ["Submitted", "Graded"]);
    assert_eq!(all.csv_column("Submission comment"), ["late", ""]);
    assert_eq!(all.csv_column("Submitted text"), ["", "=cmd"]);
}

#[apply(both_databases)]
async fn caller_reads_attempts_within_reach_only(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let people = ["ada", "bo", "dee", "old"];
    let mut records: Vec<Body> = Vec::new();
    for (n, who) in people.into_iter().enumerate() {
        // All people share one registration.
        records.push(about_essay(2 * n + 1, who, "submitted", Some(1)));
        records.push(grade(2 * n + 2, who, Some(1), 90.0));
    }
    sender.post("/v1/activities/batch", &records).await.expect(201);
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/contents/essay", &content("essay", "exercise").set("iri", ESSAY)).await.expect(201);
    for (name, caller, expected) in [
        ("owner", server.person("owner", "x"), vec!["dee 5/6", "bo 3/4", "ada 1/2"]),
        ("curator", server.person("curator", "bo"), vec!["bo 3/4"]),
        ("manager", server.person("manager", "ada"), vec!["bo 3/4", "ada 1/2"]),
        ("learner", server.person("learner", "dee"), vec!["dee 5/6"]),
        ("learner without attempts", server.person("learner", "zoe"), vec![]),
        (
            "credential",
            server.credential(ORG, &["activities/read"]).await,
            vec!["dee 5/6", "bo 3/4", "ada 1/2"],
        ),
        ("other organisation", other, vec![]),
    ] {
        assert_eq!(read(&caller, "limit=1").await, expected, "{name}");
        let page = caller.get(&format!("{ATTEMPTS}?count=exact")).await.expect(200).json();
        assert_eq!(page["total"], expected.len(), "{name}");
        let csv = caller.get(CSV).await.expect(200).csv_column("User ID");
        let ids: Vec<&str> = expected.iter().map(|text| text.split(' ').next().expect("a user")).collect();
        assert_eq!(csv, ids, "{name}");
    }
    let ada = server.person("manager", "ada");
    for (query, expected) in [
        ("scope=managed", vec!["bo 3/4"]),
        ("scope=me", vec!["ada 1/2"]),
        ("user=dee", vec![]),
        ("include_deactivated=true&scope=managed", vec!["old 7/8", "bo 3/4"]),
    ] {
        assert_eq!(read(&ada, query).await, expected, "{query}");
    }
    for path in [ATTEMPTS, CSV] {
        ada.get(&format!("{path}?scope=company")).await.expect(403);
        server.person("learner", "old").get(path).await.expect(403);
        for scopes in [&["all"][..], &["activities/write"], &["catalogue"], &["statements/read"]] {
            server.credential(ORG, scopes).await.get(path).await.expect(403);
        }
        server.anonymous().get(path).await.expect(401);
    }
    let report = admin.post("/v1/reports", &json!({"name": "All", "filter": {}})).await.expect(201).json();
    let keys = format!("/v1/reports/{}/keys", report["id"].as_str().expect("an id"));
    let key = admin.post(&keys, &json!({"name": "BI"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", key["secret"].as_str().expect("a secret"));
    for path in [ATTEMPTS, CSV] {
        key.get(path).await.expect_one_of(&[401, 403]);
    }
}

#[test]
fn page_without_a_match_ends_and_goes_on() {
    for database in [Database::sqlite(), Database::postgres()] {
        run_with(database, super::quizzes::impatient(), check_short_pages);
    }
}

async fn check_short_pages(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    // More than are read at once. The grade belongs to the first one after it, which the newest first order reaches last.
    let mut records = vec![grade(0, "bo", None, 10.0).set("id", id(90))];
    records.extend((1..=59).map(|n| about_essay(n, "bo", "submitted", None)));
    sender.post("/v1/activities/batch", &records).await.expect(201);
    let first = admin.get(&format!("{ATTEMPTS}?result=failed")).await.expect(200).json();
    assert_eq!(first["attempts"], json!([]));
    assert!(first["next"].is_string());
    for limit in [1, 50] {
        assert_eq!(read(&admin, &format!("result=failed&limit={limit}")).await, ["bo 1/90"], "{limit}");
        assert_eq!(read(&admin, &format!("limit={limit}")).await.len(), 59, "{limit}");
    }
    let counted = admin.get(&format!("{ATTEMPTS}?result=failed&count=exact")).await.expect(200).json();
    assert_eq!(counted["total"], 1);
}
