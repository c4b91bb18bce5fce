use serde_json::{Value, json};

use super::*;
use crate::base::testing::parse_time;
use crate::record::{Limits, Version, parse_statement};

/// The statements of commits, which are valid and equal to what was built.
fn statements(bodies: &[&str]) -> Vec<Value> {
    let mut state = AttemptState::default();
    let mut statements = Vec::new();
    for body in bodies {
        let commit = AttemptCommit {
            user: UserId::new("bo").expect("an id"),
            content: 7,
            iri: "https://acme.example/contents/fire".to_owned(),
            registration: Uuid::from_u128(9),
            actor: Identifier::Account {
                home_page: "https://acme.example".to_owned(),
                name: "bo".to_owned(),
            },
            actor_name: Some("Bo Ek".to_owned()),
            commit: Some(Commit::parse(body, 32).expect(body)),
            session: None,
            now: parse_time("2026-03-18T10:00:00Z"),
            max_state_bytes: usize::MAX,
            envelope: Arc::default(),
        };
        for event in commit.apply_to(&mut state).expect("a new commit") {
            let built = commit
                .to_statement(StatementId(Uuid::from_u128(1)), &event)
                .expect("a statement");
            let text = built.to_json();
            let parsed = parse_statement(text.as_bytes(), Version::V1, &Limits::default()).expect(&text);
            assert_eq!(parsed, built);
            statements.push(serde_json::from_str(&text).expect("JSON"));
        }
    }
    statements
}

#[test]
fn events_have_the_verbs_of_adl() {
    let found = statements(&[
        "cmi.location=x&cmi.session_time=PT0S",
        "cmi.location=x&cmi.session_time=PT90.5S&cmi.completion_status=completed&cmi.success_status=failed&cmi.score.scaled=0.25",
        "cmi.location=x&cmi.session_time=PT100S&cmi.success_status=passed&cmi.score.scaled=&cmi.score.raw=8&cmi.score.min=0&cmi.score.max=10",
        "cmi.location=x&cmi.session_time=PT110S&cmi.exit=suspend&cmi.total_time=PT110S",
        "cmi.location=x&cmi.session_time=PT10M&cmi.entry=resume",
        "cmi.location=x&cmi.session_time=PT5S&cmi.entry=resume",
    ]);
    let verbs: Vec<&str> = found
        .iter()
        .filter_map(|one| one["verb"]["id"].as_str())
        .collect();
    assert_eq!(
        verbs,
        [
            "http://adlnet.gov/expapi/verbs/initialized",
            "http://adlnet.gov/expapi/verbs/completed",
            "http://adlnet.gov/expapi/verbs/failed",
            "http://adlnet.gov/expapi/verbs/passed",
            "http://adlnet.gov/expapi/verbs/suspended",
            "https://w3id.org/xapi/adl/verbs/abandoned",
        ]
    );
    assert!(found[0].get("result").is_none());
    assert_eq!(
        found[1]["result"],
        json!({"score": {"scaled": 0.25}, "completion": true, "duration": "PT90.50S"})
    );
    assert_eq!(found[2]["result"]["success"], false);
    assert_eq!(
        found[3]["result"]["score"],
        json!({"raw": 8, "min": 0, "max": 10})
    );
    for one in &found {
        assert_eq!(one["object"]["id"], "https://acme.example/contents/fire");
        assert_eq!(one["context"], json!({"registration": Uuid::from_u128(9)}));
        assert_eq!(one["actor"]["name"], "Bo Ek");
    }
}

#[test]
fn answer_is_about_a_question_of_the_content() {
    let found = statements(&[
        "cmi.location=x&cmi.interactions.0.id=a b/c&cmi.interactions.0.type=matching\
        &cmi.interactions.0.learner_response=1[.]a&cmi.interactions.0.result=incorrect&cmi.interactions.0.latency=PT3S\
        &cmi.interactions.0.weighting=2&cmi.interactions.0.description={lang=en}Match&cmi.interactions.0.objectives.0.id=o\
        &cmi.interactions.0.correct_responses.0.pattern=1[.]b&cmi.interactions.0.timestamp=2026-03-18T10:59:00+01:00",
    ]);
    let answered = &found[1];
    assert_eq!(answered["verb"]["id"], "http://adlnet.gov/expapi/verbs/answered");
    assert_eq!(answered["timestamp"], "2026-03-18T09:59:00.000Z");
    assert_eq!(
        answered["object"],
        json!({"objectType": "Activity", "id": "https://acme.example/contents/fire/interactions/a%20b%2Fc", "definition": {
            "name": {"und": "a b/c"}, "description": {"en": "Match"}, "interactionType": "matching",
            "type": "http://adlnet.gov/expapi/activities/cmi.interaction", "correctResponsesPattern": ["1[.]b"],
        }})
    );
    assert_eq!(
        answered["result"],
        json!({"success": false, "response": "1[.]a", "duration": "PT3S", "extensions": {
            "urn:rollbook:scorm:weighting": 2.0, "urn:rollbook:scorm:objectives": ["o"],
        }})
    );
    assert_eq!(
        answered["context"]["contextActivities"]["parent"],
        json!([{"objectType": "Activity", "id": "https://acme.example/contents/fire"}])
    );
}

#[test]
fn result_that_is_neither_right_nor_wrong_is_kept() {
    let body =
        |result: &str| format!("cmi.location=x&cmi.interactions.0.id=q&cmi.interactions.0.result={result}");
    assert_eq!(
        statements(&[&body("-1.5")])[1]["result"],
        json!({"score": {"raw": -1.5}})
    );
    let expected = json!({"extensions": {"urn:rollbook:scorm:result": "unanticipated"}});
    assert_eq!(statements(&[&body("unanticipated")])[1]["result"], expected);
}

#[test]
fn long_id_of_a_question_is_shortened() {
    let id = "x".repeat(4_000);
    let body = format!("cmi.location=x&cmi.interactions.0.id={id}&cmi.interactions.0.result=correct");
    let answered = &statements(&[&body])[1];
    let iri = answered["object"]["id"].as_str().expect("an IRI");
    assert_eq!(
        iri.len(),
        "https://acme.example/contents/fire/interactions/".len() + 64
    );
    assert_eq!(answered["object"]["definition"]["name"]["und"], id);
}
