//! Tests of `/v1/quizzes/{content}/responses`, `.csv` and `/questions`.

mod csv;
mod reach;
mod statistics;

use std::time::Duration;

use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};

use crate::support::builders::{Body, activity, content, mailbox, statement, team, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS, id, voiding_statement};
use crate::support::server::{ORG, run_with};
use crate::support::{Database, TestServer, apply, both_databases};

const RESPONSES: &str = "/v1/quizzes/fire/responses";
const QUIZ: &str = "https://rollbook.invalid/acme/contents/fire";
const ANSWERED: &str = "http://adlnet.gov/expapi/verbs/answered";

/// The account of a user.
fn account(user: &str) -> Value {
    json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": user}})
}

/// A definition of a question with two choices, of which `a` is correct.
fn choice(prompt: &str) -> Value {
    json!({
        "type": "http://adlnet.gov/expapi/activities/cmi.interaction", "interactionType": "choice",
        "description": {"en": prompt}, "correctResponsesPattern": ["a"],
        "choices": [{"id": "a", "description": {"en": "Alarm"}}, {"id": "b", "description": {"en": "Burn"}}]
    })
}

/// Statement number `n`: the user answers the question `q` of the quiz at a minute of 2026-03-01.
fn answered(n: usize, who: &str, question: &str, definition: Value, result: Value) -> Body {
    let minute = n % 60;
    statement(account(who), ANSWERED, &format!("urn:q:{question}"))
        .set("id", id(n))
        .set("object.definition", definition)
        .set("result", result)
        .set("context.contextActivities", json!({"parent": [{"id": QUIZ}]}))
        .set("timestamp", format!("2026-03-01T09:{minute:02}:00Z"))
}

/// Answers to a question with two choices.
fn chose(n: usize, who: &str, question: &str, response: &str) -> Body {
    answered(n, who, question, choice(&format!("Why {question}?")), json!({"response": response}))
}

async fn post(caller: &Caller, statements: &[Body]) {
    caller.post(STATEMENTS, statements).await.expect(200);
}

/// Creates users and the quiz `fire`. Returns an admin and a credential. `ada` manages `bo` and the deactivated `old`, `bo`
/// manages `dee`. The team `sales` contains `bo`.
async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    admin.put("/v1/teams/sales", &team("sales")).await.expect(201);
    let users = [
        user("ada").set("role", "manager"),
        user("bo").set("manager", "ada").set("primary_team", "sales").set("email", "bo@example.org"),
        user("dee").set("manager", "bo"),
        user("eve"),
        user("old").set("manager", "ada").set("active", false),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/fire", &content("fire", "quiz").set("title", "Fire Safety")).await.expect(201);
    let sender = server.credential(ORG, &["all", "define", "activities/write", "activities/read"]).await;
    (admin, sender)
}

/// The members of the elements as one text for each.
fn members(list: &[Value], names: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let to_text = |one: &Value| names.iter().map(|name| text(&one[name])).collect::<Vec<_>>().join(" | ");
    list.iter().map(to_text).collect()
}

async fn read(caller: &Caller, query: &str, names: &[&str]) -> Vec<String> {
    members(&caller.list(&format!("{RESPONSES}?{query}"), "responses").await, names)
}

#[apply(both_databases)]
async fn each_interaction_type_is_shown_for_people(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let of = |kind: &str, more: Value| {
        let mut definition = json!({"interactionType": kind, "name": {"en": kind}});
        definition.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        definition
    };
    let component = |id: &str, text: &str| json!({"id": id, "description": {"en": text}});
    let cases = [
        ("true-false", json!({"correctResponsesPattern": ["true"]}), "false", "false", Some(false)),
        (
            "choice",
            json!({"choices": [component("x", "Ex"), component("y", "Why"), component("z", "Zed")],
                "correctResponsesPattern": ["x[,]y"]}),
            "y[,]x",
            "Why; Ex",
            Some(true),
        ),
        (
            "fill-in",
            json!({"correctResponsesPattern": ["{case_matters=true}{lang=en}Oslo"]}),
            "{lang=en}oslo",
            "oslo",
            Some(false),
        ),
        ("long-fill-in", json!({}), "It [,] depends", "It [,] depends", None),
        (
            "matching",
            json!({"source": [component("f", "Fire"), component("s", "Smoke")],
                "target": [component("1", "Hot"), component("2", "Grey")],
                "correctResponsesPattern": ["f[.]1[,]s[.]2"]}),
            "s[.]2[,]f[.]1",
            "Smoke → Grey; Fire → Hot",
            Some(true),
        ),
        (
            "performance",
            json!({"steps": [component("run", "Run out")], "correctResponsesPattern": ["run[.]0[:]30"]}),
            "run[.]12",
            "Run out → 12",
            Some(true),
        ),
        (
            "sequencing",
            json!({"choices": [component("1", "Call"), component("2", "Leave")], "correctResponsesPattern": ["1[,]2"]}),
            "2[,]1",
            "Leave; Call",
            Some(false),
        ),
        ("likert", json!({"scale": [component("4", "Agree")]}), "4", "Agree", None),
        ("numeric", json!({"correctResponsesPattern": ["4[:]6"]}), "5", "5", Some(true)),
        ("other", json!({"correctResponsesPattern": ["(1,2)"]}), "(1,2)", "(1,2)", Some(true)),
    ];
    let statements: Vec<Body> = cases
        .iter()
        .enumerate()
        .map(|(n, (kind, more, response, ..))| {
            answered(
                n + 1,
                "bo",
                kind,
                of(kind, more.clone()),
                json!({"response": response, "duration": "PT2.5S"}),
            )
        })
        .collect();
    post(&sender, &statements).await;
    let found = admin.list(&format!("{RESPONSES}?sort=happened_at"), "responses").await;
    assert_eq!(found.len(), cases.len());
    for (one, (kind, _, recorded, shown, correct)) in found.iter().zip(&cases) {
        assert_eq!(
            json!([
                one["interaction_type"],
                one["prompt"],
                one["recorded_response"],
                one["response"],
                one["correct"]
            ]),
            json!([kind, kind, recorded, shown, correct])
        );
        assert_eq!((&one["seconds"], &one["user"]["id"]), (&json!(2.5), &json!("bo")), "{kind}");
    }
    assert_eq!(found[4]["correct_responses"], json!(["Fire → Hot; Smoke → Grey"]));
    assert_eq!(found[8]["correct_responses"], json!(["4 to 6"]));
}

#[apply(both_databases)]
async fn definition_of_the_catalogue_completes_a_statement(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    post(&sender, &[chose(1, "bo", "1", "a")]).await;
    let bare = statement(account("dee"), ANSWERED, "urn:q:1")
        .set("id", id(2))
        .set("result", json!({"response": "b"}))
        .set("context.contextActivities", json!({"parent": [{"id": QUIZ}]}));
    post(&sender, &[bare]).await;
    let names = ["prompt", "response", "correct"];
    assert_eq!(read(&admin, "user=dee", &names).await, ["Why 1? | Burn | false"]);
    // A learner can't change how the question reads for others, nor whether an answer is right.
    let mut forged = choice("Hacked?");
    forged["correctResponsesPattern"] = json!(["b"]);
    let learner = server.credential(ORG, &["statements/write"]).await;
    post(&learner, &[answered(3, "eve", "1", forged, json!({"response": "b"}))]).await;
    assert_eq!(read(&admin, "user=eve", &names).await, ["Why 1? | Burn | false"]);
    // The record says whether an answer is right, if it says anything.
    post(&sender, &[answered(4, "eve", "1", choice("Why 1?"), json!({"response": "b", "success": true}))])
        .await;
    assert_eq!(read(&admin, "user=eve&result=passed", &names).await, ["Why 1? | Burn | true"]);
}

#[apply(both_databases)]
async fn responses_of_the_short_form_are_rows(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let response = |question: &str, text: &str, correct: bool| json!({"question": question, "prompt": format!("Why {question}?"), "response": text, "correct": correct, "score": 1, "seconds": 3});
    let quiz = |n: usize, who: &str, responses: Vec<Value>| {
        activity(who, "completed")
            .set("id", id(n))
            .set("content", "fire")
            .set("happened_at", format!("2026-03-01T09:{n:02}:00Z"))
            .set("responses", responses)
    };
    let first = quiz(
        1,
        "bo",
        vec![response("1", "a", true), response("2", "b", false), response("3", "c[,]d", true)],
    );
    let second = quiz(2, "dee", vec![response("1", "e", false), response("2", "f", true)]);
    sender.post("/v1/activities/batch", &[first, second]).await.expect(201);
    post(&sender, &[chose(3, "eve", "1", "a")]).await;
    let names = ["question", "response", "correct"];
    let newest = [
        "urn:q:1 | Alarm | true",
        "1 | e | false",
        "2 | f | true",
        "1 | a | true",
        "2 | b | false",
        "3 | c[,]d | true",
    ];
    for limit in 1..=7 {
        assert_eq!(read(&admin, &format!("limit={limit}"), &names).await, newest, "{limit}");
        let failed = read(&admin, &format!("limit={limit}&result=failed"), &names).await;
        assert_eq!(failed, ["1 | e | false", "2 | b | false"], "{limit}");
    }
    let oldest = read(&admin, "sort=happened_at&limit=2", &names).await;
    assert_eq!(oldest[..4], ["1 | a | true", "2 | b | false", "3 | c[,]d | true", "1 | e | false"]);
    for (query, total) in [
        ("", 6),
        ("&result=failed", 2),
        ("&result=passed", 4),
        ("&user=bo", 3),
        ("&to=2026-03-01T09:02:00Z", 3),
    ] {
        let page = admin.get(&format!("{RESPONSES}?count=exact&limit=1{query}")).await.expect(200).json();
        assert_eq!((&page["total"], &page["content"]["id"]), (&json!(total), &json!("fire")), "{query}");
    }
    let one = admin.get(&format!("{RESPONSES}?user=bo&limit=1")).await.expect(200).json();
    let answer = &one["responses"][0];
    assert_eq!(
        json!([
            answer["activity"],
            answer["prompt"],
            answer["score"],
            answer["seconds"],
            answer["interaction_type"]
        ]),
        json!([id(1), "Why 1?", 1, 3, null])
    );
}

#[apply(both_databases)]
async fn filters_select_answers(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let statements = [
        chose(1, "ada", "1", "a"),
        chose(2, "bo", "1", "b"),
        chose(3, "old", "1", "a"),
        chose(4, "dee", "1", "a"),
    ];
    post(&sender, &statements).await;
    let source = chose(5, "eve", "1", "a");
    server.credential(ORG, &["all", "define"]).await.post(STATEMENTS, &[source]).await.expect(200);
    let users = async |query: &str| {
        let found = admin.list(&format!("{RESPONSES}?sort=happened_at&{query}"), "responses").await;
        let ids: Vec<String> =
            found.iter().map(|one| one["user"]["id"].as_str().expect("an id").to_owned()).collect();
        ids.join(" ")
    };
    for (query, expected) in [
        ("", "ada bo dee eve"),
        ("include_deactivated=true", "ada bo old dee eve"),
        ("user=bo&user=eve", "bo eve"),
        ("team=sales", "bo"),
        ("result=passed", "ada dee eve"),
        ("result=failed", "bo"),
        ("result=failed,passed", "ada bo dee eve"),
        ("from=2026-03-01T09:02:00Z", "bo dee eve"),
        ("to=2026-03-01T09:04:00Z", "ada bo"),
        ("origin=xapi", "ada bo dee eve"),
        ("origin=api", ""),
        ("bulk_import=false", "ada bo dee eve"),
        ("period=this_month", "ada bo dee eve"),
        ("period=yesterday", ""),
        ("user=nobody", ""),
    ] {
        assert_eq!(users(query).await, expected, "{query}");
    }
    for (query, name) in [
        ("type=quiz", "type"),
        ("content=fire", "content"),
        ("latest=true", "latest"),
        ("shape=tall", "shape"),
        ("shape=wide&sort=happened_at", "sort"),
        ("result=maybe", "result"),
        ("limit=0", "limit"),
        ("cursor=abc&cursor=abc", "cursor"),
        ("columns=full", "columns"),
    ] {
        let refused = admin.get(&format!("{RESPONSES}?{query}")).await.expect(400);
        assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), [name], "{query}");
    }
    // A cursor belongs to its request.
    let next = admin.get(&format!("{RESPONSES}?limit=1")).await.expect(200).json();
    let next = next["next"].as_str().expect("a next page").to_owned();
    admin.get(&next).await.expect(200);
    for other in [
        next.replace("limit=1", "user=bo"),
        next.replace("fire", "other"),
        next.replace("limit=1", "shape=wide"),
    ] {
        admin.put("/v1/contents/other", &content("other", "quiz")).await.expect_one_of(&[200, 201]);
        admin.get(&other).await.expect(400);
    }
    server.person("admin", "other").get(&next).await.expect(400);
}

#[apply(both_databases)]
async fn attempts_are_persons_and_registrations(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let registration = |n: usize| format!("00000000-0000-4000-9000-{n:012}");
    let with = |body: Body, n: usize| body.set("context.registration", registration(n));
    // `bo` answers with two identifiers.
    let by_mail = |body: Body| body.set("actor", mailbox("bo@example.org"));
    let statements = [
        with(chose(1, "dee", "1", "b"), 1),
        with(chose(2, "bo", "1", "b"), 2),
        with(by_mail(chose(3, "bo", "2", "a")), 2),
        with(chose(4, "bo", "1", "a"), 2),
        with(chose(5, "bo", "1", "b"), 3),
        chose(6, "eve", "1", "a"),
        chose(7, "eve", "2", "b"),
        chose(8, "eve", "1", "b"),
    ];
    post(&sender, &statements).await;
    let expected = [
        "bo | 2 | 2 | 1=Alarm 2=Alarm",
        "bo | 1 | 0 | 1=Burn",
        "dee | 1 | 0 | 1=Burn",
        "eve | 2 | 1 | 1=Alarm 2=Burn",
        "eve | 1 | 0 | 1=Burn",
    ];
    let to_text = |one: &Value| {
        let answers = one["responses"].as_array().expect("a list").iter().map(|answer| {
            let question = answer["question"].as_str().expect("an id").trim_start_matches("urn:q:");
            format!("{question}={}", answer["response"].as_str().expect("a text"))
        });
        let answers = answers.collect::<Vec<_>>().join(" ");
        format!(
            "{} | {} | {} | {answers}",
            one["user"]["id"].as_str().expect("an id"),
            one["answered"],
            one["right"]
        )
    };
    for limit in 1..=6 {
        let found = admin.list(&format!("{RESPONSES}?shape=wide&limit={limit}"), "attempts").await;
        assert_eq!(found.iter().map(to_text).collect::<Vec<_>>(), expected, "{limit}");
    }
    let page = admin.get(&format!("{RESPONSES}?shape=wide&count=exact&user=bo")).await.expect(200).json();
    assert_eq!(page["total"], 2);
    let first = &page["attempts"][0];
    assert_eq!(
        json!([
            first["registration"],
            first["started_at"],
            first["ended_at"],
            first["responses"][0]["prompt"]
        ]),
        json!([registration(2), "2026-03-01T09:02:00.000Z", "2026-03-01T09:04:00.000Z", "Why 1?"])
    );
    let wrong = admin.list(&format!("{RESPONSES}?shape=wide&result=failed&user=bo"), "attempts").await;
    assert_eq!(wrong.iter().map(to_text).collect::<Vec<_>>(), ["bo | 1 | 0 | 1=Burn", "bo | 1 | 0 | 1=Burn"]);
}

#[apply(both_databases)]
async fn voided_moved_and_unregistered_records_are_followed(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    post(&sender, &[chose(1, "bo", "1", "a"), chose(2, "dee", "1", "b")]).await;
    sender.post(STATEMENTS, &json!([voiding_statement(9, 1)])).await.expect(200);
    let names = ["activity", "response"];
    assert_eq!(read(&admin, "", &names).await, [format!("{} | Burn", id(2))]);
    // The question of a content that is not registered, and a question without a content.
    let elsewhere = chose(3, "bo", "7", "b")
        .set("context.contextActivities", json!({"parent": [{"id": "https://quiz.example/a?x=1&y=%20"}]}));
    let alone = chose(4, "bo", "8", "b").set("context", json!({"language": "en"}));
    post(&sender, &[elsewhere, alone]).await;
    for (iri, question) in [("https://quiz.example/a?x=1&y=%20", "urn:q:7"), ("urn:q:8", "urn:q:8")] {
        let path = format!("/v1/quizzes/{}/responses", encode_segment(iri));
        assert_eq!(members(&admin.list(&path, "responses").await, &["question"]), [question], "{iri}");
    }
    // A rebuild and a change of the type keep the answers.
    admin.patch("/v1/contents/fire", &json!({"type": "survey"})).await.expect(200);
    assert_eq!(read(&admin, "", &names).await, [format!("{} | Burn", id(2))]);
    // A content without answers, and none.
    admin.put("/v1/contents/empty", &content("empty", "item")).await.expect(201);
    assert_eq!(admin.get("/v1/quizzes/empty/responses").await.expect(200).json()["responses"], json!([]));
    for path in ["responses", "responses.csv", "questions"] {
        admin.get(&format!("/v1/quizzes/nothing/{path}")).await.expect(404);
    }
}

/// A server whose pages end after the first rows without a match.
pub(super) fn impatient() -> AppOptions {
    AppOptions {
        limits: Limits { page_search: Duration::ZERO, ..Limits::default() },
        ..AppOptions::default()
    }
}

#[test]
fn page_without_a_match_ends_and_goes_on() {
    for database in [Database::sqlite(), Database::postgres()] {
        run_with(database, impatient(), check_short_pages);
    }
}

async fn check_short_pages(server: &TestServer) {
    let (admin, sender) = set_up(server).await;
    let mut statements = vec![chose(1, "eve", "1", "b")];
    statements.extend((2..=12).map(|n| chose(n, ["bo", "dee"][n % 2], &n.to_string(), "a")));
    post(&sender, &statements).await;
    let first = admin.get(&format!("{RESPONSES}?result=failed&limit=1")).await.expect(200).json();
    assert_eq!(first["responses"], json!([]));
    assert!(first["next"].is_string());
    for limit in [1, 2, 50] {
        let found = read(&admin, &format!("result=failed&limit={limit}"), &["activity"]).await;
        assert_eq!(found, [id(1)], "{limit}");
        let all = read(&admin, &format!("limit={limit}"), &["activity"]).await;
        assert_eq!(all, (1..=12).rev().map(id).collect::<Vec<_>>(), "{limit}");
        let query = format!("{RESPONSES}?shape=wide&result=failed&limit={limit}");
        assert_eq!(members(&admin.list(&query, "attempts").await, &["answered"]), ["1"], "{limit}");
        let attempts = admin.list(&format!("{RESPONSES}?shape=wide&limit={limit}"), "attempts").await;
        assert_eq!(members(&attempts, &["answered"]).len(), 3, "{limit}");
    }
}
