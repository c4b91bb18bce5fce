//! The rules of a session: what a unit may send, and in which order.

use reqwest::Method;
use serde_json::{Value, json};

use super::unit::{CMI5, MASTERY_SCORE, MOVE_ON, SESSION_ID, Unit, find, launch, launch_body, prepare};
use crate::support::{TestServer, apply, both_databases};

/// Checks that a statement is refused with a reason, and that nothing is stored.
async fn assert_refused(
    unit: &Unit,
    admin: &crate::support::http::Caller,
    statement: &Value,
    statuses: &[u16],
) {
    let refused = unit.send(statement).await.expect_one_of(statuses).json();
    assert!(refused["detail"].as_str().expect("a reason").len() > 20, "{refused}");
    let path = format!("/xapi/statements?statementId={}", statement["id"].as_str().expect("an id"));
    admin.get(&path).await.expect(404);
}

#[apply(both_databases)]
async fn whole_session_is_recorded(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    unit.report(&["initialized", "experienced", "completed", "passed", "terminated"]).await;
    for verb in ["launched", "initialized", "experienced", "completed", "passed", "terminated"] {
        let found = find(&admin, verb).await;
        assert_eq!(found.len(), 1, "{verb}");
        assert_eq!(found[0]["context"]["extensions"][SESSION_ID], unit.session());
    }
    let rows = admin.list("/v1/activities?user=bo&action=completed", "activities").await;
    assert!(rows.iter().any(|row| row["content"]["id"] == one.as_str()), "{rows:#?}");
}

#[apply(both_databases)]
async fn statements_of_one_request_are_taken_together_in_the_order_of_their_timestamps(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    let mut batch = ["initialized", "completed", "terminated"].map(|verb| unit.statement(verb)).to_vec();
    let mut wrong = batch.clone();
    wrong[1]["result"] = json!({"completion": false, "duration": "PT1S"});
    let refused = unit.caller.post("/xapi/statements", &wrong).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/result/completion"]);
    assert!(find(&admin, "initialized").await.is_empty());
    batch.reverse();
    unit.caller.post("/xapi/statements", &batch).await.expect(200);
    assert_eq!(find(&admin, "terminated").await.len(), 1);
}

#[apply(both_databases)]
async fn wrong_order_is_refused(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    for early in ["experienced", "completed", "passed", "terminated"] {
        assert_refused(&unit, &admin, &unit.statement(early), &[403]).await;
    }
    let before = unit.statement("experienced");
    unit.report(&["initialized"]).await;
    assert_refused(&unit, &admin, &before, &[403]).await;
    assert_refused(&unit, &admin, &unit.statement("initialized"), &[403]).await;
    unit.report(&["completed", "passed"]).await;
    for repeated in ["completed", "passed", "failed"] {
        assert_refused(&unit, &admin, &unit.statement(repeated), &[403]).await;
    }
    unit.report(&["terminated"]).await;
    for late in ["experienced", "terminated", "completed", "initialized"] {
        assert_refused(&unit, &admin, &unit.statement(late), &[403]).await;
    }
    // The rules of a registration hold over its sessions.
    let second = launch(server, &admin, &launch_body(&one)).await;
    second.report(&["initialized"]).await;
    for repeated in ["completed", "passed", "failed"] {
        assert_refused(&second, &admin, &second.statement(repeated), &[403]).await;
    }
    second.report(&["experienced", "terminated"]).await;
    // A new registration begins again.
    let mut body = launch_body(&one);
    body["registration"] = json!(crate::support::records::id(900));
    let third = launch(server, &admin, &body).await;
    third.report(&["initialized", "failed", "terminated"]).await;
}

#[apply(both_databases)]
async fn wrong_statements_are_refused(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    unit.report(&["initialized"]).await;
    let changed = |verb: &str, change: &dyn Fn(&mut Value)| {
        let mut statement = unit.statement(verb);
        change(&mut statement);
        statement
    };
    let categories = |list: &[&str]| json!(list.iter().map(|id| json!({"id": id})).collect::<Vec<_>>());
    let cases = [
        changed("passed", &|s| s["result"]["score"] = json!({"scaled": 0.79})),
        changed("failed", &|s| s["result"]["score"] = json!({"scaled": 0.8})),
        changed("passed", &|s| s["context"]["extensions"][MASTERY_SCORE] = json!(0.5)),
        changed("passed", &|s| s["result"]["success"] = json!(false)),
        changed("completed", &|s| s["result"]["completion"] = json!(false)),
        changed("completed", &|s| s["result"]["score"] = json!({"scaled": 1})),
        changed("completed", &|s| s["result"] = json!({"completion": true})),
        changed("terminated", &|s| s["result"] = json!({})),
        changed("completed", &|s| s["context"]["contextActivities"]["category"] = categories(&[CMI5])),
        changed("terminated", &|s| {
            s["context"]["contextActivities"]["category"] = categories(&[CMI5, MOVE_ON])
        }),
        changed("experienced", &|s| s["context"]["contextActivities"]["category"] = categories(&[CMI5])),
        changed("experienced", &|s| s["context"]["extensions"][SESSION_ID] = json!("other")),
        changed("experienced", &|s| s["context"]["contextActivities"]["grouping"] = json!([])),
        changed("experienced", &|s| s["context"]["registration"] = json!(crate::support::records::id(900))),
        changed("experienced", &|s| s["actor"]["account"]["name"] = json!("cy")),
        changed("experienced", &|s| s["timestamp"] = json!("2026-03-18T12:00:00+01:00")),
        changed("completed", &|s| s["object"]["id"] = json!("urn:one")),
        changed("satisfied", &|s| {
            s["verb"]["id"] = json!("https://w3id.org/xapi/adl/verbs/satisfied");
            s["context"]["contextActivities"]["category"] = categories(&[CMI5]);
        }),
        changed("waived", &|s| s["verb"]["id"] = json!("https://w3id.org/xapi/adl/verbs/waived")),
        changed("abandoned", &|s| s["verb"]["id"] = json!("https://w3id.org/xapi/adl/verbs/abandoned")),
        changed("launched", &|_| {}),
        changed("completed", &|s| s["context"]["contextActivities"]["category"] = json!([])),
        changed("passed", &|s| s["context"]["contextActivities"]["category"] = json!([])),
    ];
    for case in &cases {
        assert_refused(&unit, &admin, case, &[400, 403]).await;
    }
    let mut without_id = unit.statement("experienced");
    without_id.as_object_mut().expect("an object").remove("id");
    unit.send(&without_id).await.expect(400);
    let mut without_time = unit.statement("experienced");
    without_time.as_object_mut().expect("an object").remove("timestamp");
    assert_refused(&unit, &admin, &without_time, &[400]).await;
    // None of them has changed the session.
    unit.report(&["completed", "passed", "terminated"]).await;
}

#[apply(both_databases)]
async fn unit_reports_what_it_launches_itself(server: &TestServer) {
    let (admin, course, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    unit.report(&["initialized"]).await;
    let launched_about = |object: &str| {
        let mut launched = unit.statement("launched");
        launched["object"]["id"] = json!(object);
        launched
    };
    unit.send(&launched_about("https://sim.example/1")).await.expect(200);
    let course_iri = format!("https://rollbook.invalid/acme/contents/{course}");
    assert_refused(&unit, &admin, &launched_about(&course_iri), &[403]).await;
    assert_eq!(find(&admin, "launched").await.len(), 2);
}

#[apply(both_databases)]
async fn result_with_the_time_of_terminated_is_taken_after_it(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    unit.report(&["initialized", "terminated"]).await;
    let terminated = find(&admin, "terminated").await;
    let mut completed = unit.statement("completed");
    completed["timestamp"] = terminated[0]["timestamp"].clone();
    unit.send(&completed).await.expect(200);
    assert_refused(&unit, &admin, &unit.statement("passed"), &[403]).await;
}

#[apply(both_databases)]
async fn units_write_nothing_outside_of_their_session(server: &TestServer) {
    let (admin, _, [one, two, _]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    unit.report(&["initialized"]).await;
    let launched = find(&admin, "launched").await[0]["id"].clone();
    let mut voiding = unit.statement("voided");
    voiding["object"] = json!({"objectType": "StatementRef", "id": launched});
    unit.send(&voiding).await.expect_one_of(&[400, 403]);
    let state = |id: &str| format!("/xapi/activities/state?{}&stateId={id}", unit.state_query());
    let headers = [("content-type", "application/json")];
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        unit.caller.send(method, &state("LMS.LaunchData"), &headers, b"{}".to_vec()).await.expect(403);
    }
    unit.caller.delete(&format!("/xapi/activities/state?{}", unit.state_query())).await.expect(403);
    unit.caller.send(Method::PUT, &state("bookmark"), &headers, b"{}".to_vec()).await.expect(204);
    unit.caller.delete(&state("bookmark")).await.expect(204);
    let other_session = launch(server, &admin, &launch_body(&two)).await;
    // The first session was abandoned by the second one.
    unit.send(&unit.statement("experienced")).await.expect(403);
    let mut borrowed = other_session.statement("initialized");
    borrowed["context"]["extensions"][SESSION_ID] = json!(unit.session());
    other_session.send(&borrowed).await.expect(400);
    for path in ["/v1/activities", "/v1/courses", "/v1/users"] {
        other_session.caller.get(path).await.expect(403);
    }
}

#[apply(both_databases)]
async fn browsing_and_reviewing_record_no_results(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    for mode in ["browse", "review"] {
        let mut body = launch_body(&one);
        body["mode"] = json!(mode);
        let unit = launch(server, &admin, &body).await;
        unit.report(&["initialized", "experienced"]).await;
        for verb in ["completed", "passed", "failed"] {
            unit.send(&unit.statement(verb)).await.expect_one_of(&[400, 403]);
        }
        unit.report(&["terminated"]).await;
    }
    assert!(find(&admin, "completed").await.is_empty());
}

#[apply(both_databases)]
async fn repeated_request_changes_nothing(server: &TestServer) {
    let (admin, _, [_, two, _]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&two)).await;
    unit.report(&["initialized"]).await;
    let completed = unit.statement("completed");
    for _ in 0..3 {
        unit.send(&completed).await.expect(200);
    }
    assert_eq!(find(&admin, "completed").await.len(), 1);
    let terminated = unit.statement("terminated");
    for _ in 0..2 {
        unit.send(&terminated).await.expect(200);
    }
}

#[apply(both_databases)]
async fn only_one_of_several_completions_at_the_same_time_is_recorded(server: &TestServer) {
    let (admin, _, [_, two, _]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&two)).await;
    unit.report(&["initialized"]).await;
    let statements: Vec<Value> = (0..6).map(|_| unit.statement("completed")).collect();
    let answers =
        futures_util::future::join_all(statements.iter().map(|statement| unit.send(statement))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 1);
    assert_eq!(find(&admin, "completed").await.len(), 1);
}
