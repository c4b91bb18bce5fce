//! Marking must not reveal whether other people exist and what they have completed.

use serde_json::{Value, json};

use super::{activities_of, ada, count_stored, expected_outcomes, mark, mark_request, set_up};
use crate::support::builders::{Body, content, user};
use crate::support::http::Answer;
use crate::support::{TestServer, apply, both_databases};

/// The answer without the id of the request, which always differs.
fn without_request_id(answer: Answer) -> Value {
    let mut answer = answer.json();
    answer["request_id"] = Value::Null;
    answer
}

#[apply(both_databases)]
async fn manager_marks_reports_and_learns_nothing_about_others(server: &TestServer) {
    let admin = set_up(server).await;
    // Both have completed the content, so that a leak would be visible.
    mark(&admin, &mark_request(&["ada", "eve"])).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/zoe", &user("zoe")).await.expect(201);
    other.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let ada = ada(server);
    // The answer is the same for a user outside the reach, of another organisation, an unknown id, and the
    // caller.
    for dry in [true, false] {
        for person in ["eve", "zoe", "ghost", "ada", "root"] {
            let answer =
                ada.post("/v1/completions", &mark_request(&[person]).set("dry_run", dry)).await.expect(200);
            let expected =
                format!(r#"{{"results":[{{"user":"{person}","outcome":"not_found","activity":null}}]}}"#);
            assert_eq!(answer.text(), expected);
        }
    }
    // Of `sales` only `bo` is within the reach, of the sub-team everyone, and of the group `bo` and `gil`.
    let body = Body::default().set("content", "fire").set("teams", json!(["sales"])).set("dry_run", true);
    assert_eq!(mark(&ada, &body).await, expected_outcomes(&[("bo", "created")]));
    let body = body.set("include_sub_teams", true).set("groups", json!(["aid"]));
    let theirs = expected_outcomes(&[
        ("bo", "created"),
        ("cy", "created"),
        ("dee", "deactivated"),
        ("gil", "created"),
    ]);
    assert_eq!(mark(&ada, &body).await, theirs);
    // For a manager without reports, an existing team gives the same answer as an unknown team.
    let manager_without_reports = json!({"sub": "eve", "role": "manager", "permissions": ["mark_complete"]});
    let manager_without_reports = server.person_of("acme", manager_without_reports);
    for team in ["sales", "nowhere"] {
        let body =
            Body::default().set("content", "fire").set("teams", json!([team])).set("groups", json!(["aid"]));
        assert_eq!(
            manager_without_reports.post("/v1/completions", &body).await.expect(200).json(),
            json!({"results": []}),
            "{team}"
        );
    }
    assert_eq!(count_stored(server, &[]).await, (2, 2, 0));
    assert_eq!(mark(&ada, &body.set("dry_run", false)).await, theirs);
}

#[apply(both_databases)]
async fn settings_and_token_decide_about_indirect_reports(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    let body = mark_request(&["bo", "cy", "eve", "gil"]).set("dry_run", true);
    let manager = |permissions: Value, reports: Value| {
        let mut claims = json!({"sub": "ada", "role": "manager", "permissions": permissions});
        if !reports.is_null() {
            claims["reports"] = reports;
        }
        server.person_of("acme", claims)
    };
    let expected = |marked: &[&str]| {
        let outcome = |person| {
            if marked.contains(&person) { "created" } else { "not_found" }
        };
        expected_outcomes(&["bo", "cy", "eve", "gil"].map(|person| (person, outcome(person))))
    };
    let only = json!(["mark_complete"]);
    let both = json!(["mark_complete", "indirect_reports"]);
    let claimed = json!({"direct": ["eve", "ada"], "indirect": ["gil"]});
    for (permissions, reports, marked) in [
        (only.clone(), Value::Null, &["bo", "gil"][..]),
        (both.clone(), Value::Null, &["bo", "cy", "gil"][..]),
        (only.clone(), claimed.clone(), &["eve"][..]),
        (both, claimed, &["eve", "gil"][..]),
        (only, json!({}), &[][..]),
    ] {
        let caller = manager(permissions.clone(), reports.clone());
        assert_eq!(mark(&caller, &body).await, expected(marked), "{permissions} {reports}");
        assert_eq!(mark(&caller, &mark_request(&["ada"])).await, expected_outcomes(&[("ada", "not_found")]));
    }
}

#[apply(both_databases)]
async fn forbidden_request_reveals_nothing(server: &TestServer) {
    set_up(server).await;
    let permissions = json!(["mark_complete", "reporting", "indirect_reports"]);
    let mut callers = Vec::new();
    for role in ["hr", "reporter", "learning_designer", "curator", "learner"] {
        let claims = json!({"sub": "ada", "role": role, "permissions": permissions});
        callers.push(server.person_of("acme", claims));
    }
    callers.push(server.person("manager", "ada"));
    let scopes = ["all", "define", "activities/write", "activities/read", "directory", "catalogue"];
    callers.push(server.credential("acme", &scopes).await);
    for caller in callers {
        let mut answers = Vec::new();
        for body in [
            mark_request(&["bo"]),
            mark_request(&["bo"]).set("dry_run", true),
            mark_request(&["ghost"]),
            mark_request(&["ada"]),
            mark_request(&["bo"]).set("content", "water"),
            Body::default(),
        ] {
            answers.push(without_request_id(caller.post("/v1/completions", &body).await.expect(403)));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    assert_eq!(count_stored(server, &["bo"]).await, (0, 0, 0));
    server.anonymous().post("/v1/completions", &mark_request(&["bo"])).await.expect(401);
}

#[apply(both_databases)]
async fn marks_stay_within_the_organisation(server: &TestServer) {
    let admin = set_up(server).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    // An organisation without users has no content, and the request does not create it.
    other.post("/v1/completions", &mark_request(&["bo"])).await.expect(400);
    other.put("/v1/users/bo", &user("bo")).await.expect(201);
    other.post("/v1/completions", &mark_request(&["bo"])).await.expect(400);
    other.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    assert_eq!(
        mark(&admin, &mark_request(&["bo"]).set("note", "Ours")).await,
        expected_outcomes(&[("bo", "created")])
    );
    assert_eq!(other.list("/v1/activities", "activities").await, Vec::<Value>::new());
    assert_eq!(other.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
    // The other organisation has the same ids, but no completions.
    assert_eq!(
        mark(&other, &mark_request(&["bo", "gil"])).await,
        expected_outcomes(&[("bo", "created"), ("gil", "not_found")])
    );
    assert_eq!(activities_of(server, "bo").await.len(), 1);
}
