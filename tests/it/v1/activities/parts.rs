//! Tests of records about parts of a content and about attempts at it (`docs/specification.md#content`).

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use super::{id, in_march, member_values, read_log, set_up};
use crate::support::builders::{Body, content, mailbox, statement};
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

pub const QUESTION: &str = "http://adlnet.gov/expapi/activities/cmi.interaction";
const ATTEMPT: &str = "http://adlnet.gov/expapi/activities/attempt";
const QUIZ: &str = "https://lms.example/fire";

/// Registers the quiz `fire` with a pass mark, an expiry and a certificate. Returns an admin.
async fn set_up_quiz(server: &TestServer) -> Caller {
    let admin = set_up(server).await;
    let quiz = content("quiz", "quiz")
        .set("iri", QUIZ)
        .set("title", "Fire Quiz")
        .set("pass_mark", 80)
        .set("time_limit", "PT5M")
        .set("expires_after", "P1Y")
        .set("certificate", json!({"name": "Fire warden", "expires_after": "P2Y"}));
    admin.put("/v1/contents/quiz", &quiz).await.expect(201);
    admin
}

/// Statement number `n` of ada about an object with the quiz as its parent.
fn below(n: usize, verb: &str, definition: Value) -> Body {
    statement(mailbox("ada@example.org"), verb, &format!("{QUIZ}/{n}"))
        .set("id", id(n))
        .set("object.definition", definition)
        .set("timestamp", in_march(1, 1))
        .set("context.contextActivities.parent", json!([{"id": QUIZ}]))
}

pub fn adl(name: &str) -> String {
    format!("http://adlnet.gov/expapi/verbs/{name}")
}

/// Everything that follows from completions of the quiz, without the activities.
async fn read_consequences(admin: &Caller) -> Value {
    let get = async |path: &str| admin.get(path).await.expect(200).json();
    let progress = get("/v1/contents/quiz/progress?user=ada").await["progress"][0].clone();
    let mark = json!({"content": "quiz", "users": ["ada"], "dry_run": true});
    let marked = admin.post("/v1/completions", &mark).await.expect(200).json();
    let summary = get("/v1/activities/summary?by=content&content=quiz").await;
    let facets = get("/v1/facets").await;
    let trues = |name: &str| {
        let facet = facets["facets"].as_array().expect("facets").iter().find(|facet| facet["name"] == name);
        let values = facet.expect("the facet")["values"].as_array().expect("values").clone();
        values.into_iter().find(|value| value["value"] == "true").map(|value| value["count"].clone())
    };
    let total = async |filter: &str| {
        get(&format!("/v1/activities?count=exact&content=quiz&{filter}")).await["total"].clone()
    };
    json!({
        "state": progress["state"], "certificate": progress["certificate"], "activity": progress["activity"],
        "expires_at": progress["expires_at"], "score": progress["score"],
        "outcome": marked["results"][0]["outcome"], "completions": summary["total"]["completions"],
        "completed": trues("completed"), "certified": trues("has_certificate"),
        "found": [total("completed=true").await, total("has_certificate=true").await, total("expired=true").await,
            total("certificate_expires_within=P9Y").await],
    })
}

/// Questions with every verb and result that could complete or fail the quiz.
fn questions(first: usize) -> Vec<Body> {
    let verbs = [
        adl("answered"),
        adl("completed"),
        adl("passed"),
        adl("failed"),
        adl("mastered"),
        adl("attended"),
        "http://activitystrea.ms/schema/1.0/read".to_owned(),
        "https://w3id.org/xapi/adl/verbs/waived".to_owned(),
        "http://id.tincanapi.com/verb/earned".to_owned(),
        "http://activitystrea.ms/schema/1.0/receive".to_owned(),
    ];
    let results = [
        json!({"success": true, "completion": true, "score": {"scaled": 1}}),
        json!({"success": false, "completion": true, "score": {"scaled": 0.1}}),
        json!({"completion": true, "score": {"scaled": 0.9}, "duration": "PT10M"}),
    ];
    let definitions = [
        json!({"type": QUESTION, "interactionType": "choice"}),
        json!({"type": "http://adlnet.gov/expapi/activities/question"}),
        json!({"type": "http://adlnet.gov/expapi/activities/objective"}),
    ];
    let all = verbs.iter().flat_map(|verb| results.iter().map(move |result| (verb, result)));
    all.enumerate()
        .map(|(n, (verb, result))| {
            below(first + n, verb, definitions[n % definitions.len()].clone()).set("result", result.clone())
        })
        .collect()
}

async fn rebuild(server: &TestServer) {
    server.store.rebuild(&OrgId::new(ORG).expect("an id")).await.expect("a rebuild");
}

#[apply(both_databases)]
async fn part_never_completes_its_content(server: &TestServer) {
    let admin = set_up_quiz(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let sent = questions(1);
    sender.post("/xapi/statements", &sent).await.expect(200);
    let rows = admin.list("/v1/activities?limit=100&content=quiz", "activities").await;
    assert_eq!(rows.len(), sent.len());
    for row in &rows {
        assert_eq!(
            (&row["completed"], &row["certificate"], &row["expired_at"], &row["expired"]),
            (&json!(false), &Value::Null, &Value::Null, &json!(false)),
            "{row}"
        );
        assert_eq!(row["result"]["time_limit"], Value::Null, "{row}");
    }
    let csv = admin.get("/v1/activities/export.csv?columns=full").await.expect(200);
    assert!(csv.csv_column("Completed").iter().all(|cell| cell == "No"), "{:?}", csv.csv());
    let nothing = json!({
        "state": "in_progress", "certificate": null, "activity": null, "expires_at": null, "score": null,
        "outcome": "created", "completions": 0, "completed": null, "certified": null, "found": [0, 0, 0, 0],
    });
    assert_eq!(read_consequences(&admin).await, nothing);
    // A content that becomes something else reads its parts again.
    admin.patch("/v1/contents/quiz", &json!({"type": "item", "content_type": "video"})).await.expect(200);
    let actions = member_values(&read_log(&admin).await, "action.key");
    assert!(!actions.contains(&json!("watched")), "{actions:?}");
    assert_eq!(read_consequences(&admin).await, nothing);
    let before = read_log(&admin).await;
    rebuild(server).await;
    assert_eq!(read_log(&admin).await, before);
    assert_eq!(read_consequences(&admin).await, nothing);
    assert_eq!(member_values(&admin.list("/v1/contents", "contents").await, "id"), ["fire", "quiz"]);
}

#[apply(both_databases)]
async fn part_changes_nothing_after_a_completion_or_a_failure(server: &TestServer) {
    let admin = set_up_quiz(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let attempt = |n: usize, score: f64| {
        statement(mailbox("ada@example.org"), &adl("completed"), QUIZ)
            .set("id", id(n))
            .set("timestamp", in_march(1, 0))
            .set("result.score.scaled", score)
    };
    sender.post("/xapi/statements", &attempt(101, 0.5)).await.expect(200);
    let failed = read_consequences(&admin).await;
    assert_eq!((&failed["state"], &failed["activity"]), (&json!("failed"), &json!(id(101))));
    sender.post("/xapi/statements", &questions(1)).await.expect(200);
    assert_eq!(read_consequences(&admin).await, failed);
    sender.post("/xapi/statements", &attempt(102, 0.9)).await.expect(200);
    let passed = read_consequences(&admin).await;
    assert_eq!(
        (&passed["state"], &passed["certificate"]["name"]),
        (&json!("completed"), &json!("Fire warden"))
    );
    sender.post("/xapi/statements", &questions(201)).await.expect(200);
    assert_eq!(read_consequences(&admin).await, passed);
}

#[apply(both_databases)]
async fn sentence_names_the_part(server: &TestServer) {
    let admin = set_up_quiz(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let hazard =
        json!({"type": QUESTION, "interactionType": "other", "name": {"en-US": "What is a hazard?"}});
    let prompt = json!({"interactionType": "other", "name": {"en": "Q 17"}, "description": {"en": "<p>What is a hazard?</p>\n"}});
    let numbered = json!({"type": QUESTION, "name": {"en": "Question 3"}});
    let untitled =
        json!({"type": QUESTION, "name": {"en": "", "fr": " "}, "description": {"en": "\u{200b}"}});
    let objective = json!({"type": "http://adlnet.gov/expapi/activities/objective", "name": {"en": "Exits"}});
    let zero = json!({"score": {"raw": 0, "min": 0, "max": 1}, "success": false});
    let one = json!({"score": {"scaled": 1}, "success": true, "duration": "PT5S"});
    let scored = "https://w3id.org/xapi/tla/verbs/scored";
    for (n, (verb, definition, result, expected)) in [
        (adl("answered"), &hazard, &zero, "Answered \"What is a hazard?\" in Fire Quiz scoring 0%"),
        (adl("answered"), &prompt, &json!({}), "Answered \"What is a hazard?\" in Fire Quiz"),
        (adl("completed"), &numbered, &json!({}), "Completed question 3 in Fire Quiz"),
        (adl("completed"), &numbered, &one, "Passed question 3 in Fire Quiz scoring 100% in 5 seconds"),
        (adl("failed"), &numbered, &zero, "Failed question 3 in Fire Quiz scoring 0%"),
        (adl("answered"), &untitled, &json!({}), "Answered a question in Fire Quiz"),
        (adl("answered"), &json!({}), &json!({}), "Answered a question in Fire Quiz"),
        (adl("mastered"), &objective, &json!({}), "Completed \"Exits\" in Fire Quiz"),
        (
            scored.to_owned(),
            &hazard,
            &one,
            "Graded \"What is a hazard?\" in Fire Quiz scoring 100% in 5 seconds",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = below(n, &verb, definition.clone()).set("result", result.clone());
        sender.post("/xapi/statements", &sent).await.expect(200);
        let row = admin.get(&format!("/v1/activities/{}", id(n))).await.expect(200).json();
        assert_eq!(row["description"], expected, "{row}");
        let parts = row["description_parts"].as_array().expect("parts");
        let whole: String = parts.iter().map(|part| part["text"].as_str().expect("a text")).collect();
        assert_eq!(whole, expected);
        assert_eq!(row["content"]["id"], "quiz");
        assert!(parts.iter().any(|part| part["content"] == "quiz"), "{row}");
        assert!(parts[0]["key"].is_string(), "{row}");
    }
}

#[apply(both_databases)]
async fn question_without_a_content_above_it_is_its_own_content(server: &TestServer) {
    let admin = set_up_quiz(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let definition =
        json!({"type": QUESTION, "name": {"en": "H5P 5"}, "description": {"en": "What is a hazard?\n"}});
    let alone = |verb: &str| {
        statement(mailbox("ada@example.org"), &adl(verb), "https://lms.example/q")
            .set("object.definition", definition.clone())
            .set(
                "context.contextActivities.category",
                json!([{"id": "http://h5p.org/libraries/H5P.MultiChoice-1.13"}]),
            )
            .set("timestamp", in_march(1, 1))
    };
    let completed = alone("answered").set("result", json!({"completion": true, "score": {"scaled": 0}}));
    sender.post("/xapi/statements", &[completed, alone("passed")]).await.expect(200);
    let rows = read_log(&admin).await;
    assert_eq!(
        member_values(&rows, "description"),
        ["Answered What is a hazard? scoring 0%", "Passed What is a hazard?"]
    );
    assert_eq!(member_values(&rows, "completed"), [true, true]);
    assert_eq!(rows[0]["content"]["title"], "What is a hazard?");
}

#[apply(both_databases)]
async fn attempt_counts_for_its_content(server: &TestServer) {
    let admin = set_up_quiz(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let attempt = json!({"type": ATTEMPT, "name": {"en": "Fire Quiz Attempt 1"}});
    let by_name = json!({"name": {"en": "Fire Quiz Attempt 2"}});
    let score = json!({"score": {"scaled": 0.9}, "completion": true, "duration": "PT2M"});
    let parent = json!([
        {"id": QUIZ, "definition": {"name": {"en": "Fire Quiz"}, "type": "http://adlnet.gov/expapi/activities/assessment"}},
        {"id": "https://lms.example/course", "definition": {"type": "http://adlnet.gov/expapi/activities/course"}},
    ]);
    let sent = [
        below(1, "http://activitystrea.ms/schema/1.0/start", attempt.clone()),
        below(2, &adl("completed"), attempt).set("result", score.clone()),
        below(3, &adl("completed"), by_name).set("result", json!({"score": {"scaled": 0.1}})),
    ]
    .map(|sent| sent.set("context.contextActivities.parent", parent.clone()));
    sender.post("/xapi/statements", &sent).await.expect(200);
    let rows = read_log(&admin).await;
    assert_eq!(
        member_values(&rows, "description"),
        ["Started Fire Quiz", "Passed Fire Quiz scoring 90% in 2 minutes", "Failed Fire Quiz scoring 10%"]
    );
    assert_eq!(member_values(&rows, "completed"), [false, true, false]);
    assert_eq!(rows[1]["certificate"]["name"], "Fire warden");
    assert_eq!(rows[1]["result"]["time_limit"]["seconds"], 300);
    let consequences = read_consequences(&admin).await;
    assert_eq!((&consequences["state"], &consequences["completions"]), (&json!("completed"), &json!(1)));
    assert_eq!(member_values(&admin.list("/v1/contents", "contents").await, "id"), ["fire", "quiz"]);
    rebuild(server).await;
    assert_eq!(read_log(&admin).await, rows);
}

/// cmi5 puts the publisher's id into `grouping`, often before the activity that was launched.
#[apply(both_databases)]
async fn best_known_activity_of_grouping_is_the_content(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let (publisher, launched, course) =
        ("https://publisher.example/au", "https://lms.example/au/7", "https://lms.example/course");
    let question = |n: usize, grouping: &[&str]| {
        let grouping: Vec<Value> = grouping.iter().map(|id| json!({ "id": id })).collect();
        statement(mailbox("ada@example.org"), &adl("completed"), &format!("https://publisher.example/q{n}"))
            .set("id", id(n))
            .set("object.definition.type", QUESTION)
            .set("timestamp", in_march(1, 1))
            .set("context.contextActivities.grouping", grouping)
    };
    let contents = async || {
        let rows = admin.list("/v1/activities?sort=happened_at&limit=100&verb=http%3A%2F%2Fadlnet.gov%2Fexpapi%2Fverbs%2Fcompleted", "activities").await;
        member_values(&rows, "content.iri")
            .iter()
            .map(|iri| iri.as_str().expect("an IRI").to_owned())
            .collect::<Vec<_>>()
    };
    let listed = async || {
        let listed = admin.list("/v1/contents", "contents").await;
        let mut iris: Vec<String> = member_values(&listed, "iri")
            .iter()
            .map(|iri| iri.as_str().expect("an IRI").to_owned())
            .collect();
        iris.retain(|iri| !iri.contains("/contents/"));
        iris.sort();
        iris
    };
    // Nothing is known yet: the first.
    admin
        .post("/xapi/statements", &[question(1, &[publisher, launched]), question(2, &[course, publisher])])
        .await
        .expect(200);
    assert_eq!(contents().await, [publisher, course]);
    assert_eq!(listed().await, [course, publisher]);
    // Then the activity is launched: it is known better than the publisher's id.
    let launch = statement(mailbox("ada@example.org"), &adl("launched"), launched).set("id", id(9));
    admin
        .post("/xapi/statements", &launch.set("object.definition.name", json!({"en": "Geology"})))
        .await
        .expect(200);
    sender.post("/xapi/statements", &question(3, &[publisher, launched, course])).await.expect(200);
    assert_eq!(contents().await, [launched, course, launched]);
    assert_eq!(listed().await, [launched, course], "no record belongs to the publisher's id any more");
    // What is registered is known best.
    let registered = json!({"iri": course, "title": "Course", "type": "item", "expires_after": "P1Y"});
    admin.put("/v1/contents/course", &registered).await.expect(201);
    assert_eq!(contents().await, [launched, course, course]);
    assert_eq!(listed().await, [launched, course]);
    // A parent comes before all others.
    let with_parent =
        question(4, &[course, launched]).set("context.contextActivities.parent", json!([{"id": publisher}]));
    sender.post("/xapi/statements", &with_parent).await.expect(200);
    assert_eq!(contents().await[3], publisher);
    let before = (read_log(&admin).await, listed().await);
    assert!(before.0.iter().all(|row| row["completed"] == false && row["expired_at"] == Value::Null));
    assert_eq!(before.0[0]["description"], "Completed a question in Geology");
    rebuild(server).await;
    assert_eq!((read_log(&admin).await, listed().await), before);
}

/// More records than are placed again at once.
#[apply(both_databases)]
async fn many_records_are_placed_again_in_the_background(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential(ORG, &["all"]).await;
    let (publisher, launched) = ("https://publisher.example/au", "https://lms.example/au/7");
    let grouping = json!([{"id": publisher}, {"id": launched}]);
    let question = statement(mailbox("ada@example.org"), &adl("answered"), "https://publisher.example/q")
        .set("object.definition.type", QUESTION)
        .set("timestamp", in_march(1, 1))
        .set("context.contextActivities.grouping", grouping);
    for _ in 0..3 {
        sender.post("/xapi/statements", &vec![question.clone(); 500]).await.expect(200);
    }
    admin
        .put("/v1/contents/au", &json!({"iri": launched, "title": "Geology", "type": "item"}))
        .await
        .expect(201);
    let total = async |content: &str| {
        admin.get(&format!("/v1/activities?count=exact&limit=1&content={content}")).await.expect(200).json()["total"].clone()
    };
    for _ in 0..400 {
        if admin.get("/v1/contents/au").await.expect(200).json()["reprojecting"] == false {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(total("au").await, 1_500);
    assert_eq!(total(&crate::support::http::encode_segment(publisher)).await, 0);
}
