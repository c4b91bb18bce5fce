//! What marking may not tell: who is there, and what they have completed, beyond the people whom the caller may mark.

use serde_json::{Value, json};

use super::{ada, fire, kept, mark, rows_of, set_up, told};
use crate::support::builders::{Body, content, user};
use crate::support::http::Answer;
use crate::support::{TestServer, apply, both_databases};

/// The answer without what differs between any two: the id of the request.
fn same(answer: Answer) -> Value {
    let mut told = answer.json();
    told["request_id"] = Value::Null;
    told
}

#[apply(both_databases)]
async fn a_manager_marks_their_reports_and_learns_of_nobody_else(server: &TestServer) {
    let admin = set_up(server).await;
    // Everybody stands completed, so that a leak would show.
    mark(&admin, &fire(&["ada", "eve"])).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other.put("/v1/users/zoe", &user("zoe")).await.expect(201);
    other.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let ada = ada(server);
    // A stranger, somebody of another organisation, nobody, and themselves: nothing tells them apart.
    for dry in [true, false] {
        for person in ["eve", "zoe", "ghost", "ada", "root"] {
            let answer = ada.post("/v1/completions", &fire(&[person]).set("dry_run", dry)).await.expect(200);
            let expected =
                format!(r#"{{"results":[{{"user":"{person}","outcome":"not_found","activity":null}}]}}"#);
            assert_eq!(answer.text(), expected);
        }
    }
    // Of the team sales bo is theirs and eve isn't; of the sub-team all are; of the group bo and gil are.
    let body = Body::default().set("content", "fire").set("teams", json!(["sales"])).set("dry_run", true);
    assert_eq!(mark(&ada, &body).await, told(&[("bo", "created")]));
    let body = body.set("include_sub_teams", true).set("groups", json!(["aid"]));
    let theirs = told(&[("bo", "created"), ("cy", "created"), ("dee", "deactivated"), ("gil", "created")]);
    assert_eq!(mark(&ada, &body).await, theirs);
    // Somebody with no reports: the team might as well not be there.
    let lonely = json!({"sub": "eve", "role": "manager", "permissions": ["mark_complete"]});
    let lonely = server.person_of("acme", lonely);
    for team in ["sales", "nowhere"] {
        let body =
            Body::default().set("content", "fire").set("teams", json!([team])).set("groups", json!(["aid"]));
        assert_eq!(
            lonely.post("/v1/completions", &body).await.expect(200).json(),
            json!({"results": []}),
            "{team}"
        );
    }
    assert_eq!(kept(server, &[]).await, (2, 2, 0));
    assert_eq!(mark(&ada, &body.set("dry_run", false)).await, theirs);
}

#[apply(both_databases)]
async fn indirect_reports_are_theirs_as_the_organisation_and_the_token_say(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/organisation", &json!({"managers_see_indirect_reports": false})).await.expect(200);
    let body = fire(&["bo", "cy", "eve", "gil"]).set("dry_run", true);
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
        told(&["bo", "cy", "eve", "gil"].map(|person| (person, outcome(person))))
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
        assert_eq!(mark(&caller, &fire(&["ada"])).await, told(&[("ada", "not_found")]));
    }
}

#[apply(both_databases)]
async fn who_may_not_mark_learns_nothing(server: &TestServer) {
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
            fire(&["bo"]),
            fire(&["bo"]).set("dry_run", true),
            fire(&["ghost"]),
            fire(&["ada"]),
            fire(&["bo"]).set("content", "water"),
            Body::default(),
        ] {
            answers.push(same(caller.post("/v1/completions", &body).await.expect(403)));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    assert_eq!(kept(server, &["bo"]).await, (0, 0, 0));
    server.anonymous().post("/v1/completions", &fire(&["bo"])).await.expect(401);
}

#[apply(both_databases)]
async fn nothing_crosses_organisations(server: &TestServer) {
    let admin = set_up(server).await;
    let other = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    // An organisation without anything has no content, and asking makes none.
    other.post("/v1/completions", &fire(&["bo"])).await.expect(400);
    other.put("/v1/users/bo", &user("bo")).await.expect(201);
    other.post("/v1/completions", &fire(&["bo"])).await.expect(400);
    other.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    assert_eq!(mark(&admin, &fire(&["bo"]).set("note", "Ours")).await, told(&[("bo", "created")]));
    assert_eq!(other.list("/v1/activities", "activities").await, Vec::<Value>::new());
    assert_eq!(other.list("/v1/users/bo/notes", "notes").await, Vec::<Value>::new());
    // The same ids, and nobody stands completed there.
    assert_eq!(mark(&other, &fire(&["bo", "gil"])).await, told(&[("bo", "created"), ("gil", "not_found")]));
    assert_eq!(rows_of(server, "bo").await.len(), 1);
}
