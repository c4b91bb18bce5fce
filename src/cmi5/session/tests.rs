use serde_json::json;

use super::*;
use crate::record::{Limits, Version, parse_statement};

const SESSION: Uuid = Uuid::from_u128(3);
const REGISTRATION: Uuid = Uuid::from_u128(2);
const ACTIVITY: &str = "https://lms.example/contents/au-1";
const PUBLISHER: &str = "https://publisher.example/au";
/// 2026-01-01T10:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_767_261_600_000_000);
const GRACE: i64 = 10_000_000;

fn terms(mode: LaunchMode) -> SessionTerms {
    SessionTerms {
        actor: Identifier::Account {
            home_page: "https://lms.example".to_owned(),
            name: "bo".to_owned(),
        },
        session: SESSION,
        registration: REGISTRATION,
        activity: ACTIVITY.to_owned(),
        publisher_id: PUBLISHER.to_owned(),
        mastery_score: Some(0.8),
        mode,
    }
}

/// A correct statement with this verb, `minute` minutes after nine.
fn statement(verb: &str, minute: u32) -> Value {
    let result = match verb {
        "passed" => json!({"success": true, "duration": "PT5M", "score": {"scaled": 0.9}}),
        "failed" => json!({"success": false, "duration": "PT5M", "score": {"scaled": 0.5}}),
        "completed" => json!({"completion": true, "duration": "PT5M"}),
        "terminated" => json!({"duration": "PT5M"}),
        _ => Value::Null,
    };
    let mut category = vec![json!({"id": CMI5_CATEGORY})];
    if ["passed", "failed", "completed"].contains(&verb) {
        category.push(json!({"id": MOVE_ON_CATEGORY}));
    }
    let mut statement = json!({
        "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee",
        "actor": {"account": {"homePage": "https://lms.example", "name": "bo"}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": ACTIVITY},
        "context": {
            "registration": REGISTRATION.to_string(),
            "contextActivities": {"grouping": [{"id": PUBLISHER}], "category": category},
            "extensions": {extension::SESSION_ID: SESSION.to_string()},
        },
        "timestamp": format!("2026-01-01T09:{minute:02}:00Z"),
    });
    if !result.is_null() {
        statement["result"] = result;
    }
    statement
}

/// A statement that cmi5 allows, but does not define.
fn allowed(minute: u32) -> Value {
    let mut statement = statement("experienced", minute);
    statement["context"]["contextActivities"]["category"] = json!([{"id": "urn:own"}]);
    statement["object"]["id"] = json!("https://lms.example/contents/au-1/page-2");
    statement
}

fn run_from(
    mode: LaunchMode,
    state: SessionState,
    statements: &[Value],
) -> Result<SessionState, (usize, RuleFault)> {
    let parsed: Vec<Statement> = statements
        .iter()
        .map(|text| {
            parse_statement(text.to_string().as_bytes(), Version::V1, &Limits::default())
                .expect("a statement")
        })
        .collect();
    let sent: Vec<(StatementId, bool, &Statement)> = parsed
        .iter()
        .map(|statement| (StatementId(Uuid::nil()), statement.id.is_some(), statement))
        .collect();
    SessionUpdate::new(&terms(mode), state, NOW, GRACE).check(&sent)
}

fn run(statements: &[Value]) -> Result<SessionState, (usize, RuleFault)> {
    run_from(LaunchMode::Normal, SessionState::default(), statements)
}

/// The pointer of a refusal because of the form.
fn form_fault(statement: Value) -> String {
    match run(&[self::statement("initialized", 0), statement.clone()]) {
        Err((1, RuleFault::Form(fault))) => fault.pointer,
        other => panic!("{statement}: {other:?}"),
    }
}

/// Whether the last statement, and no earlier one, is refused because of the order.
fn order_is_refused(statements: &[Value]) -> bool {
    matches!(run(statements), Err((index, RuleFault::Order(_))) if index + 1 == statements.len())
}

#[test]
fn whole_session_is_taken() {
    let state = run(&[
        statement("initialized", 0),
        allowed(1),
        statement("completed", 2),
        statement("passed", 3),
        statement("terminated", 4),
    ])
    .expect("taken");
    assert!(state.results.completed && state.results.passed && state.judged);
    assert!(state.initialized_at < state.terminated_at);
    assert_eq!(state.ended_at, Some(NOW));
}

#[test]
fn order_in_a_request_is_that_of_the_timestamps() {
    let state = run(&[
        statement("terminated", 4),
        statement("completed", 2),
        statement("initialized", 0),
    ]);
    assert!(state.is_ok(), "{state:?}");
}

#[test]
fn statements_before_initialized_are_refused() {
    for early in [allowed(1), statement("completed", 1), statement("terminated", 1)] {
        assert!(order_is_refused(&[early]));
    }
    assert!(order_is_refused(&[statement("initialized", 5), allowed(4)]));
    let state = run(&[statement("initialized", 5)]).expect("taken");
    assert!(run_from(LaunchMode::Normal, state, &[allowed(4)]).is_err());
}

#[test]
fn verbs_are_not_repeated_in_a_session() {
    let init = || statement("initialized", 0);
    assert!(order_is_refused(&[init(), statement("initialized", 1)]));
    assert!(order_is_refused(&[
        init(),
        statement("completed", 1),
        statement("completed", 2)
    ]));
    assert!(order_is_refused(&[
        init(),
        statement("passed", 1),
        statement("passed", 2)
    ]));
    assert!(order_is_refused(&[
        init(),
        statement("failed", 1),
        statement("failed", 2)
    ]));
    assert!(order_is_refused(&[
        init(),
        statement("failed", 1),
        statement("passed", 2)
    ]));
    assert!(order_is_refused(&[
        init(),
        statement("passed", 1),
        statement("failed", 2)
    ]));
    assert!(order_is_refused(&[
        init(),
        statement("terminated", 1),
        statement("terminated", 2)
    ]));
}

#[test]
fn results_are_not_repeated_in_a_registration() {
    let state = SessionState {
        results: UnitResults {
            completed: true,
            passed: true,
            waived: false,
        },
        ..SessionState::default()
    };
    for verb in ["completed", "passed", "failed"] {
        let refused = run_from(
            LaunchMode::Normal,
            state,
            &[statement("initialized", 0), statement(verb, 1)],
        );
        assert!(matches!(refused, Err((1, RuleFault::Order(_)))), "{verb}");
    }
}

#[test]
fn statements_after_terminated_are_refused() {
    let session = [statement("initialized", 0), statement("terminated", 5)];
    assert!(order_is_refused(
        &[session.clone().to_vec(), vec![allowed(6)]].concat()
    ));
    let state = run(&session).expect("taken");
    assert!(run_from(LaunchMode::Normal, state, &[allowed(6)]).is_err());
    // An earlier statement that arrives late is taken within the grace period only.
    assert!(run_from(LaunchMode::Normal, state, &[allowed(4)]).is_ok());
    let long_ago = SessionState {
        ended_at: Some(Timestamp::from_micros(NOW.micros() - GRACE - 1)),
        ..state
    };
    assert!(run_from(LaunchMode::Normal, long_ago, &[allowed(4)]).is_err());
    let abandoned = SessionState {
        abandoned: true,
        ..run(&[statement("initialized", 0)]).expect("taken")
    };
    assert!(run_from(LaunchMode::Normal, abandoned, &[allowed(4)]).is_err());
}

#[test]
fn statements_with_the_time_of_terminated_come_before_it() {
    let whole = [
        statement("terminated", 5),
        statement("completed", 5),
        statement("passed", 5),
        statement("initialized", 5),
    ];
    let state = run(&whole).expect("taken");
    assert!(state.results.completed && state.results.passed);
    let state = run(&[statement("initialized", 5), statement("terminated", 5)]).expect("taken");
    for verb in ["completed", "passed", "failed"] {
        let taken = run_from(LaunchMode::Normal, state, &[statement(verb, 5)]);
        assert!(taken.is_ok(), "{verb}: {taken:?}");
    }
    for verb in ["initialized", "terminated"] {
        assert!(run_from(LaunchMode::Normal, state, &[statement(verb, 5)]).is_err());
    }
}

#[test]
fn terminated_is_the_last_statement() {
    assert!(
        run(&[
            statement("initialized", 0),
            allowed(6),
            statement("terminated", 5)
        ])
        .is_err()
    );
}

#[test]
fn verbs_of_the_lms_are_refused() {
    let about = |object: &str| {
        let mut about = allowed(1);
        about["object"]["id"] = json!(object);
        about
    };
    for verb in Cmi5Verb::ALL.into_iter().filter(|verb| verb.is_of_lms()) {
        for mut forged in [statement("initialized", 1), about(ACTIVITY), about(PUBLISHER)] {
            forged["verb"]["id"] = json!(verb.iri());
            assert!(
                order_is_refused(&[statement("initialized", 0), forged]),
                "{verb:?}"
            );
        }
        // About another Activity, only those that the log counts are refused.
        let mut simulation = about("https://sim.example/1");
        simulation["verb"]["id"] = json!(verb.iri());
        let is_refused = order_is_refused(&[statement("initialized", 0), simulation]);
        let completes = matches!(verb, Cmi5Verb::Waived | Cmi5Verb::Satisfied);
        assert_eq!(is_refused, completes, "{verb:?}");
    }
}

#[test]
fn results_of_the_unit_need_the_category_cmi5() {
    for verb in ["completed", "passed", "failed"] {
        let mut bare = statement(verb, 1);
        bare["context"]["contextActivities"]["category"] = json!([{"id": "urn:own"}]);
        assert!(
            order_is_refused(&[statement("initialized", 0), bare.clone()]),
            "{verb}"
        );
        // A result of a page of the unit is not one of the unit.
        bare["object"]["id"] = json!("https://lms.example/contents/au-1/page-2");
        assert!(run(&[statement("initialized", 0), bare]).is_ok(), "{verb}");
    }
}

#[test]
fn context_template_is_needed() {
    let mut cases = Vec::new();
    for base in [statement("completed", 1), allowed(1)] {
        let mut wrong_session = base.clone();
        wrong_session["context"]["extensions"][extension::SESSION_ID] = json!("other");
        let mut no_session = base.clone();
        no_session["context"]["extensions"] = json!({});
        let mut wrong_registration = base.clone();
        wrong_registration["context"]["registration"] = json!(Uuid::from_u128(9).to_string());
        let mut no_publisher = base.clone();
        no_publisher["context"]["contextActivities"]["grouping"] = json!([]);
        let mut no_context = base.clone();
        no_context.as_object_mut().expect("an object").remove("context");
        cases.extend([
            wrong_session,
            no_session,
            wrong_registration,
            no_publisher,
            no_context,
        ]);
    }
    for case in cases {
        assert!(form_fault(case).starts_with("/context"));
    }
}

#[test]
fn id_actor_and_timestamp_are_needed() {
    let base = statement("completed", 1);
    for member in ["id", "timestamp"] {
        let mut without = base.clone();
        without.as_object_mut().expect("an object").remove(member);
        assert_eq!(form_fault(without), format!("/{member}"));
    }
    let mut local = base.clone();
    local["timestamp"] = json!("2026-01-01T11:01:00+02:00");
    assert_eq!(form_fault(local), "/timestamp");
    let mut other = base;
    other["actor"]["account"]["name"] = json!("cy");
    assert_eq!(form_fault(other), "/actor");
}

#[test]
fn defined_statements_have_a_verb_of_cmi5_and_the_unit_as_object() {
    let mut other_verb = statement("completed", 1);
    other_verb["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/experienced");
    assert_eq!(form_fault(other_verb), "/verb/id");
    let mut other_object = statement("completed", 1);
    other_object["object"]["id"] = json!(PUBLISHER);
    assert_eq!(form_fault(other_object), "/object/id");
}

#[test]
fn results_follow_the_verb() {
    let changed = |verb: &str, member: &str, value: Value| {
        let mut changed = statement(verb, 1);
        match value {
            Value::Null => {
                changed["result"]
                    .as_object_mut()
                    .expect("a result")
                    .remove(member);
            }
            value => changed["result"][member] = value,
        }
        form_fault(changed)
    };
    assert_eq!(changed("passed", "success", json!(false)), "/result/success");
    assert_eq!(changed("passed", "success", Value::Null), "/result/success");
    assert_eq!(changed("failed", "success", json!(true)), "/result/success");
    assert_eq!(changed("completed", "success", json!(true)), "/result/success");
    assert_eq!(
        changed("completed", "completion", json!(false)),
        "/result/completion"
    );
    assert_eq!(changed("passed", "completion", json!(true)), "/result/completion");
    assert_eq!(
        changed("completed", "score", json!({"scaled": 1})),
        "/result/score"
    );
    for verb in ["passed", "failed", "completed", "terminated"] {
        assert_eq!(changed(verb, "duration", Value::Null), "/result/duration");
    }
}

#[test]
fn score_agrees_with_the_mastery_score() {
    let scored = |verb: &str, score: Value| {
        let mut scored = statement(verb, 1);
        scored["result"]["score"] = score;
        run(&[statement("initialized", 0), scored])
    };
    for (verb, score, valid) in [
        ("passed", json!({"scaled": 0.8}), true),
        ("passed", json!({"scaled": 0.79}), false),
        ("passed", json!({"raw": 7, "min": 0, "max": 10}), true),
        ("passed", json!({"raw": 7}), false),
        ("passed", json!({"raw": 7.5, "min": 0, "max": 10}), false),
        ("failed", json!({"scaled": 0.79}), true),
        ("failed", json!({"scaled": 0.8}), false),
        ("failed", json!({"scaled": -0.1}), false),
    ] {
        assert_eq!(scored(verb, score.clone()).is_ok(), valid, "{verb} {score}");
    }
    let mut other = statement("passed", 1);
    other["context"]["extensions"][extension::MASTERY_SCORE] = json!(0.5);
    assert!(form_fault(other).starts_with("/context/extensions/"));
    let mut same = statement("passed", 1);
    same["context"]["extensions"][extension::MASTERY_SCORE] = json!(0.8);
    assert!(run(&[statement("initialized", 0), same]).is_ok());
}

#[test]
fn category_move_on_follows_the_result() {
    let mut without = statement("completed", 1);
    without["context"]["contextActivities"]["category"] = json!([{"id": CMI5_CATEGORY}]);
    assert_eq!(form_fault(without), "/context/contextActivities/category");
    let mut superfluous = statement("terminated", 1);
    superfluous["context"]["contextActivities"]["category"] =
        json!([{"id": CMI5_CATEGORY}, {"id": MOVE_ON_CATEGORY}]);
    assert_eq!(form_fault(superfluous), "/context/contextActivities/category");
    let mut in_allowed = allowed(1);
    in_allowed["context"]["contextActivities"]["category"] = json!([{"id": MOVE_ON_CATEGORY}]);
    assert_eq!(form_fault(in_allowed), "/context/contextActivities/category");
}

#[test]
fn progress_is_a_whole_percentage() {
    for (value, valid) in [
        (json!(50), true),
        (json!(101), false),
        (json!(0.5), false),
        (json!("5"), false),
    ] {
        let mut progressed = allowed(1);
        progressed["result"] = json!({"extensions": {extension::PROGRESS: value}});
        assert_eq!(run(&[statement("initialized", 0), progressed]).is_ok(), valid);
    }
}

#[test]
fn browse_and_review_take_no_results() {
    for mode in [LaunchMode::Browse, LaunchMode::Review] {
        let session = [
            statement("initialized", 0),
            allowed(1),
            statement("terminated", 2),
        ];
        assert!(run_from(mode, SessionState::default(), &session).is_ok());
        for verb in ["completed", "passed", "failed"] {
            let refused = run_from(
                mode,
                SessionState::default(),
                &[statement("initialized", 0), statement(verb, 1)],
            );
            assert!(
                matches!(refused, Err((1, RuleFault::Order(_)))),
                "{mode:?} {verb}"
            );
        }
    }
}
