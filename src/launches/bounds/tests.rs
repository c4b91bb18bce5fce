use serde_json::{Value, json};

use super::*;
use crate::access::LaunchStandard;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};
use crate::record::{Limits, Version, parse_statement};

const CONTENT: &str = "https://acme.example/contents/fire-safety";
const REGISTRATION: &str = "00000000-0000-4000-8000-000000000004";

fn launch(mode: LaunchMode) -> Launch {
    Launch {
        org: OrgId::new("acme").unwrap(),
        id: Uuid::from_u128(3),
        user: UserId::new("ada").unwrap(),
        account_home_page: "https://acme.example".to_owned(),
        content: ContentId::new("fire-safety").unwrap(),
        activity: CONTENT.to_owned(),
        registration: REGISTRATION.parse().unwrap(),
        mode,
        standard: LaunchStandard::Xapi,
        expires_at: Timestamp::from_micros(0),
    }
}

fn ada() -> Value {
    json!({"account": {"homePage": "https://acme.example", "name": "ada"}, "name": "Ada"})
}

/// A statement that the launch may write.
fn statement() -> Value {
    json!({"actor": ada(), "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"}, "object": {"id": CONTENT},
        "context": {"registration": REGISTRATION}})
}

/// The pointers of the faults.
fn pointers(mode: LaunchMode, statement: &Value) -> Vec<String> {
    let parsed = parse_statement(statement.to_string().as_bytes(), Version::V2, &Limits::default());
    let parsed = parsed.unwrap_or_else(|fault| panic!("{statement}: {fault:?}"));
    match check_statement(&launch(mode), &VerbTable::standard(), &parsed) {
        Ok(()) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| fault.pointer.clone()).collect(),
    }
}

fn with(pointer: &str, value: Value) -> Value {
    let mut statement = statement();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() {
        &mut statement
    } else {
        statement.pointer_mut(parent).unwrap()
    };
    parent[member] = value;
    statement
}

#[test]
fn statement_of_the_launch_is_written() {
    assert_eq!(pointers(LaunchMode::Normal, &statement()), Vec::<String>::new());
    let instructor = with("/context/instructor", ada());
    assert_eq!(pointers(LaunchMode::Normal, &instructor), Vec::<String>::new());
}

#[test]
fn part_of_the_content_is_named_by_its_iri_or_its_context() {
    for (id, allowed) in [
        (format!("{CONTENT}/slide1"), true),
        (format!("{CONTENT}#2"), true),
        (format!("{CONTENT}?subContentId=1"), true),
        (format!("{CONTENT}-2"), false),
        (format!("{CONTENT}2/slide1"), false),
        ("https://acme.example/contents/".to_owned(), false),
        ("urn:question:1".to_owned(), false),
    ] {
        let expected: &[&str] = if allowed { &[] } else { &["/object/id"] };
        assert_eq!(
            pointers(LaunchMode::Normal, &with("/object", json!({"id": id}))),
            expected,
            "{id}"
        );
    }
    for (list, allowed) in [
        ("parent", true),
        ("grouping", true),
        ("category", false),
        ("other", false),
    ] {
        let mut named = with("/object", json!({"id": "urn:question:1"}));
        named["context"]["contextActivities"] = json!({list: [{"id": CONTENT}]});
        let expected: &[&str] = if allowed { &[] } else { &["/object/id"] };
        assert_eq!(pointers(LaunchMode::Normal, &named), expected, "{list}");
    }
}

#[test]
fn other_people_registrations_and_objects_are_refused() {
    let bo = json!({"account": {"homePage": "https://acme.example", "name": "bo"}});
    let group = |members: Value| json!({"objectType": "Group", "member": members});
    for (pointer, value, expected) in [
        ("/actor", bo.clone(), "/actor"),
        ("/actor", json!({"mbox": "mailto:ada@acme.example"}), "/actor"),
        (
            "/actor",
            json!({"account": {"homePage": "https://acme.example/", "name": "ada"}}),
            "/actor",
        ),
        ("/actor", group(json!([ada()])), "/actor"),
        ("/context/instructor", bo.clone(), "/context/instructor"),
        ("/context/team", group(json!([bo.clone()])), "/context/team"),
        (
            "/context/contextAgents",
            json!([{"objectType": "contextAgent", "agent": bo.clone()}]),
            "/context/contextAgents",
        ),
        (
            "/context/contextGroups",
            json!([{"objectType": "contextGroup", "group": group(json!([ada()]))}]),
            "/context/contextGroups",
        ),
        ("/context", json!({}), "/context/registration"),
        (
            "/context/registration",
            json!("00000000-0000-4000-8000-000000000005"),
            "/context/registration",
        ),
        (
            "/object",
            json!({"objectType": "Agent", "account": bo["account"]}),
            "/object",
        ),
        (
            "/object",
            json!({"objectType": "StatementRef", "id": REGISTRATION}),
            "/object",
        ),
    ] {
        assert_eq!(
            pointers(LaunchMode::Normal, &with(pointer, value.clone())),
            [expected],
            "{pointer} {value}"
        );
    }
    let mut voiding = with("/verb", json!({"id": "http://adlnet.gov/expapi/verbs/voided"}));
    voiding["object"] = json!({"objectType": "StatementRef", "id": REGISTRATION});
    assert_eq!(pointers(LaunchMode::Normal, &voiding), ["/object"]);
}

#[test]
fn browse_and_review_record_nothing_about_the_outcome() {
    for mode in [LaunchMode::Browse, LaunchMode::Review] {
        assert_eq!(pointers(mode, &statement()), Vec::<String>::new());
        for verb in ["completed", "passed", "failed", "answered"] {
            let verb = json!({"id": format!("http://adlnet.gov/expapi/verbs/{verb}")});
            assert_eq!(
                pointers(mode, &with("/verb", verb.clone())),
                ["/verb/id"],
                "{verb}"
            );
            assert_eq!(
                pointers(LaunchMode::Normal, &with("/verb", verb)),
                Vec::<String>::new()
            );
        }
        let result =
            json!({"completion": false, "success": true, "score": {"scaled": 1}, "duration": "PT1S"});
        assert_eq!(
            pointers(mode, &with("/result", result)),
            ["/result/completion", "/result/success", "/result/score"]
        );
    }
}

#[test]
fn states_are_those_of_the_attempt() {
    let check = |mode, activity: &str, agent: &Identifier, registration| {
        check_states(&launch(mode), activity, agent, registration, Some("bookmark")).is_ok()
    };
    let ada = actor_of(&launch(LaunchMode::Normal));
    let registration: Uuid = REGISTRATION.parse().unwrap();
    assert!(check(LaunchMode::Normal, CONTENT, &ada, Some(registration)));
    assert!(check(LaunchMode::Browse, CONTENT, &ada, Some(registration)));
    assert!(!check(LaunchMode::Review, CONTENT, &ada, Some(registration)));
    assert!(!check(LaunchMode::Normal, CONTENT, &ada, None));
    assert!(!check(
        LaunchMode::Normal,
        CONTENT,
        &ada,
        Some(Uuid::from_u128(5))
    ));
    assert!(!check(
        LaunchMode::Normal,
        "https://acme.example/contents/fire-safety/slide1",
        &ada,
        Some(registration)
    ));
    let bo = Identifier::Mbox("mailto:bo@acme.example".to_owned());
    assert!(!check(LaunchMode::Normal, CONTENT, &bo, Some(registration)));
}
