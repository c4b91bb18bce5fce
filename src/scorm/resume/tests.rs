use serde_json::{Value, json};

use super::*;
use crate::base::testing::parse_time;
use crate::scorm::Commit;

const LEARNER: Opening<'_> = Opening {
    learner_id: "bo",
    learner_name: Some("Bo Ek"),
    mode: None,
};

fn after(bodies: &[&str]) -> AttemptState {
    let mut state = AttemptState::default();
    for body in bodies {
        let commit = Commit::parse(body, 32).expect(body);
        state.apply(&commit, None, parse_time("2026-03-18T10:00:00Z"));
    }
    state
}

fn tree(elements: &BTreeMap<String, String>) -> Value {
    serde_json::to_value(Tree::new(elements)).expect("JSON")
}

#[test]
fn next_session_has_the_data_and_the_total_time() {
    let state = after(&[
        "cmi.core.lesson_location=p3&cmi.suspend_data=x&cmi.core.exit=suspend&cmi.core.session_time=00:05:00.5\
         &cmi.core.student_name=&cmi.core.score.raw=7&cmi.core.total_time=00:05:00.5",
    ]);
    let expected = json!({"cmi": {"suspend_data": "x", "core": {
        "lesson_location": "p3", "score": {"raw": "7"}, "entry": "resume", "total_time": "0000:05:00.50",
        "student_id": "bo", "student_name": "Bo Ek", "lesson_mode": "normal", "credit": "credit",
    }}});
    assert_eq!(tree(&elements(&state, None, LEARNER)), expected);
}

#[test]
fn entry_follows_from_the_exit() {
    for (body, expected) in [
        (
            "cmi.exit=suspend&cmi.session_time=PT1S&cmi.total_time=PT1S",
            Some("resume"),
        ),
        (
            "cmi.exit=time-out&cmi.session_time=PT1S&cmi.total_time=PT1S",
            None,
        ),
        ("cmi.exit=normal&cmi.session_time=PT1S&cmi.total_time=PT1S", None),
        (
            "cmi.exit=&cmi.location=x&cmi.session_time=PT1S&cmi.total_time=PT1S",
            None,
        ),
        ("cmi.exit=&cmi.location=x&cmi.session_time=PT1S", Some("resume")),
    ] {
        let elements = elements(&after(&[body]), None, LEARNER);
        assert_eq!(elements.get("cmi.entry").map(String::as_str), expected, "{body}");
        assert_eq!(elements["cmi.total_time"], "PT1S");
        assert!(!elements.contains_key("cmi.exit") && !elements.contains_key("cmi.session_time"));
    }
}

#[test]
fn values_that_a_player_refuses_are_left_out_and_kept() {
    let long = "x".repeat(64_000);
    let odd = format!(
        "cmi.core.lesson_status=Finished&cmi.core.score.raw=-5&cmi.own.x=1&cmi.interactions.0.id=q\
         &cmi.interactions.0.result=odd&cmi.suspend_data={long}"
    );
    let state = after(&[&odd]);
    let found = elements(&state, None, LEARNER);
    for left_out in [
        "cmi.core.lesson_status",
        "cmi.core.score.raw",
        "cmi.own.x",
        "cmi.interactions.0.result",
    ] {
        assert!(!found.contains_key(left_out), "{left_out}");
    }
    assert_eq!(
        (
            found["cmi.suspend_data"].len(),
            found["cmi.interactions.0.id"].as_str()
        ),
        (64_000, "q")
    );
    let commit = last_commit(&state).expect("JSON");
    assert_eq!(
        commit["cmi"]["core"],
        json!({"lesson_status": "Finished", "score": {"raw": "-5"}})
    );
    let body = r#"{"runtimeData":{"cmi":{"location":"x"}},"globalObjectives":{"g":1}}"#;
    assert_eq!(
        last_commit(&after(&[body])).expect("JSON"),
        json!({"cmi": {"location": "x"}, "globalObjectives": {"g": 1}})
    );
}

#[test]
fn new_attempt_has_the_learner_if_the_version_is_known() {
    let none = AttemptState::default();
    assert_eq!(tree(&elements(&none, None, LEARNER)), json!({"cmi": {}}));
    let review = Opening {
        mode: Some("review"),
        learner_name: None,
        ..LEARNER
    };
    let expected = json!({"cmi": {
        "entry": "ab-initio", "learner_id": "bo", "mode": "review", "credit": "no-credit", "total_time": "PT0S",
    }});
    assert_eq!(tree(&elements(&none, Some(Version::V2004), review)), expected);
}

#[test]
fn deep_name_is_not_in_the_tree() {
    let deep = format!("adl{}", ".a".repeat(500_000));
    let elements = BTreeMap::from([(deep, "1".to_owned()), ("cmi.exit".to_owned(), String::new())]);
    assert_eq!(tree(&elements), json!({"cmi": {"exit": ""}}));
}

#[test]
fn id_and_type_of_an_interaction_come_first() {
    let state = after(&[
        "cmi.location=x&cmi.interactions.10.id=k&cmi.interactions.2.correct_responses.0.pattern=a\
         &cmi.interactions.2.type=choice&cmi.interactions.2.id=q",
    ]);
    let text = serde_json::to_string(&Tree::new(&elements(&state, None, LEARNER))).expect("JSON");
    let list = r#""interactions":{"2":{"id":"q","type":"choice","correct_responses":{"0":{"pattern":"a"}}},"10":{"id":"k"}}"#;
    assert!(text.contains(list), "{text}");
}
