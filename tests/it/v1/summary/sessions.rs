//! Tests of the measures that count sessions and attempts: `total_seconds` and `average_score`.

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use super::super::activities::{id, in_march, post_batch};
use super::{format_groups, format_measures, get_groups, get_summary};
use crate::support::builders::{Body, activity, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::{TestServer, apply, both_databases};

const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
const AU: &str = "https://example.org/geology/au";

/// A cmi5 statement of `ada`.
fn cmi5(n: usize, verb: &str, session: &str, time: &str) -> Body {
    statement(mailbox("ada@example.org"), &format!("http://adlnet.gov/expapi/verbs/{verb}"), AU)
        .set("id", id(n))
        .set("timestamp", in_march(2, 9))
        .set("result", json!({"duration": time}))
        .set("context.registration", id(90))
        .set("context.extensions", json!({SESSION_ID: session}))
}

async fn get_total(caller: &Caller, parameters: &str) -> String {
    format_measures("total", &get_summary(caller, &format!("by=action{parameters}")).await["total"])
}

#[apply(both_databases)]
async fn cmi5_session_counts_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let first = [
        cmi5(1, "initialized", "s-1", "PT0S"),
        cmi5(2, "completed", "s-1", "PT29M"),
        cmi5(3, "passed", "s-1", "PT29M30S"),
        cmi5(4, "terminated", "s-1", "PT30M"),
    ];
    admin.post("/xapi/statements", &first).await.expect(200);
    assert_eq!(get_total(&admin, "").await, "total: 4 1 1 1/0 null 1800");
    assert_eq!(get_total(&admin, "&result=passed").await, "total: 1 1 1 1/0 null 1770");
    // A second session of the same registration, under another identifier of the same user.
    let second = [cmi5(5, "completed", "s-2", "PT10M"), cmi5(6, "terminated", "s-2", "PT10M")].map(|body| {
        body.set("actor", json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}}))
    });
    admin.post("/xapi/statements", &second).await.expect(200);
    assert_eq!(get_total(&admin, "").await, "total: 6 1 1 1/0 null 2400");
    // The same session id with another registration, another content and another person.
    let others = [
        cmi5(7, "terminated", "s-1", "PT1M").set("context.registration", id(91)),
        cmi5(8, "terminated", "s-1", "PT2M").set("object.id", "https://example.org/other"),
        cmi5(9, "terminated", "s-1", "PT3M").set("actor", mailbox("bo@example.org")),
    ];
    admin.post("/xapi/statements", &others).await.expect(200);
    let total = get_total(&admin, "").await;
    assert_eq!(total, "total: 9 2 1 1/0 null 2760");
    assert_eq!(get_groups(&admin, "by=user").await, ["ada: 8 1 1 1/0 null 2580", "-: 1 1 0 0/0 null 180"]);
    // A session that is in several groups counts in each of them.
    let by_result = get_groups(&admin, "by=result&user=ada").await;
    assert_eq!(by_result, ["-: 7 1 1 0/0 null 2580", "passed: 1 1 1 1/0 null 1770"]);
    server.store.rebuild(&OrgId::new("acme").expect("an id")).await.expect("a rebuild");
    assert_eq!(get_total(&admin, "").await, total);
}

#[apply(both_databases)]
async fn records_without_registration_count_each(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let taken = |n: usize, score: i64, hour: u32| {
        activity("ada", "completed")
            .set("id", id(n))
            .set("content", "fire")
            .set("happened_at", in_march(2, hour))
            .set("result", json!({"score": score, "total_time": "PT5M"}))
    };
    post_batch(&admin, &[taken(1, 40, 9), taken(2, 60, 10), taken(3, 80, 11)]).await;
    assert_eq!(get_total(&admin, "").await, "total: 3 1 1 0/0 60 900");
    // A session id without a registration ties nothing together either.
    let alone = |n: usize| {
        let mut body = cmi5(n, "terminated", "s-1", "PT1M").json();
        body["context"].as_object_mut().expect("a context").remove("registration");
        body
    };
    admin.post("/xapi/statements", &json!([alone(4), alone(5)])).await.expect(200);
    assert_eq!(get_total(&admin, "&action=other").await, "total: 2 1 0 0/0 null 120");
}

#[apply(both_databases)]
async fn attempt_counts_with_its_last_score(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    admin.post("/v1/contents/batch", &[content("fire", "quiz"), content("water", "quiz")]).await.expect(200);
    let scored = |n: usize, verb: &str, attempt: usize, score: Value, hour: u32| {
        Body::default()
            .set("id", id(n))
            .set("user", "ada")
            .set("verb", format!("http://adlnet.gov/expapi/verbs/{verb}"))
            .set("content", "fire")
            .set("registration", id(attempt))
            .set("happened_at", in_march(2, hour))
            .set("result", json!({"score": score, "total_time": "PT5M"}))
    };
    // The later record of the first attempt arrives first.
    let batch = [
        scored(1, "passed", 80, json!(90), 12),
        scored(2, "completed", 80, json!(50), 11),
        scored(3, "completed", 81, json!(60), 13),
        scored(4, "completed", 81, json!({"raw": 7}), 14),
        scored(5, "completed", 80, json!(10), 9).set("content", "water"),
    ];
    post_batch(&admin, &batch).await;
    // 90 and 60 of `fire`, 10 of `water`. Points without a maximum are no percentage.
    assert_eq!(get_total(&admin, "").await, "total: 5 1 3 1/0 53.33 900");
    let by_content = get_groups(&admin, "by=content").await;
    assert_eq!(by_content, ["fire: 4 1 2 1/0 75 600", "water: 1 1 1 0/0 10 300"]);
    // In a group, the last score of the group counts.
    let by_result = format_groups(&get_summary(&admin, "by=result&content=fire").await);
    assert_eq!(by_result, ["-: 3 1 2 0/0 55 600", "passed: 1 1 1 1/0 90 300"]);
    // Of records at the same moment, the last recorded one counts.
    post_batch(&admin, &[scored(6, "completed", 81, json!(80), 13)]).await;
    assert_eq!(get_total(&admin, "&content=fire").await, "total: 5 1 2 1/0 85 600");
}
