//! Tests of placing records at contents, and of the words for parts.

use serde_json::{Value, json};

use crate::record::{Limits, Version, parse_statement};

use super::*;

const PLATFORM: &str = "https://acme.example";
const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const ANSWERED: &str = "http://adlnet.gov/expapi/verbs/answered";
const ATTEMPT: &str = "http://adlnet.gov/expapi/activities/attempt";
const ASSESSMENT: &str = "http://adlnet.gov/expapi/activities/assessment";

fn statement(verb: &str, object: &Value, context: &Value) -> Statement {
    let value = json!({
        "actor": {"mbox": "mailto:ada@acme.example"}, "verb": {"id": verb}, "object": object,
        "context": {"contextActivities": context},
    });
    parse_statement(value.to_string().as_bytes(), Version::V1, &Limits::default()).unwrap()
}

/// The candidates, by the last parts of their IRIs.
fn candidates(verb: &str, object: &Value, context: &Value) -> String {
    let statement = statement(verb, object, context);
    let found = find_content_candidates(&VerbTable::standard(), &statement, PLATFORM);
    let last = |activity: &&Activity| activity.id.as_str().rsplit('/').next().unwrap().to_owned();
    found.iter().map(last).collect::<Vec<_>>().join(" ")
}

fn activity(name: &str) -> Value {
    json!({ "id": format!("{PLATFORM}/{name}") })
}

fn typed(name: &str, activity_type: &str) -> Value {
    json!({"id": format!("{PLATFORM}/{name}"), "definition": {"type": activity_type}})
}

fn question() -> Value {
    json!({"id": "https://acme.example/q1", "definition": {"type": INTERACTION_TYPE, "interactionType": "other"}})
}

#[test]
fn object_is_the_content() {
    assert_eq!(candidates(COMPLETED, &activity("fire"), &json!({})), "fire");
    let parents = json!({"parent": [activity("course")]});
    assert_eq!(candidates(COMPLETED, &activity("fire"), &parents), "fire");
    assert_eq!(candidates(ANSWERED, &typed("fire", ASSESSMENT), &parents), "fire");
}

#[test]
fn sessions_the_platform_and_other_objects_have_no_content() {
    for verb in [
        "https://w3id.org/xapi/adl/verbs/logged-in",
        "urn:rollbook:verb:visited",
    ] {
        assert_eq!(candidates(verb, &activity("site"), &json!({})), "");
    }
    for object in [
        activity(""),
        json!({"objectType": "Agent", "mbox": "mailto:bob@acme.example"}),
        json!({"objectType": "StatementRef", "id": "a7c1f2de-3b44-4c1e-8a8e-111111111111"}),
    ] {
        assert_eq!(candidates(COMPLETED, &object, &json!({})), "");
    }
}

#[test]
fn content_of_a_question_is_above_it() {
    let (quiz, attempt, course) = (typed("quiz", ASSESSMENT), typed("9", ATTEMPT), activity("course"));
    let cases = [
        (json!({"parent": [attempt, quiz, course]}), "quiz"),
        (json!({"parent": [course, quiz]}), "quiz"),
        (json!({"parent": [attempt, course]}), "course"),
        (json!({"parent": [question(), course]}), "course"),
        (json!({"parent": [course], "grouping": [quiz]}), "course"),
        // Several in `grouping` are ordered.
        (
            json!({"parent": [attempt], "grouping": [course, quiz]}),
            "quiz course",
        ),
        (
            json!({"parent": [{"id": PLATFORM}], "grouping": [course]}),
            "course",
        ),
        // An attempt without the content that it is an attempt at.
        (json!({"parent": [attempt]}), "9"),
        (json!({"grouping": [question(), attempt]}), "9"),
        // Without a content above it, a question is its own content.
        (json!({"category": [course]}), "q1"),
        (json!({"parent": [question()]}), "q1"),
        (json!({"parent": [{"id": PLATFORM}]}), "q1"),
        (json!({}), "q1"),
    ];
    for (context, expected) in cases {
        assert_eq!(candidates(ANSWERED, &question(), &context), expected, "{context}");
        assert_eq!(
            candidates(COMPLETED, &question(), &context),
            expected,
            "{context}"
        );
    }
}

#[test]
fn other_parts_belong_to_the_content_above_them() {
    let above = json!({"parent": [activity("fire")]});
    for activity_type in [
        "http://adlnet.gov/expapi/activities/objective",
        "http://adlnet.gov/expapi/activities/question/",
    ] {
        assert_eq!(
            candidates(COMPLETED, &typed("part", activity_type), &above),
            "fire"
        );
    }
    let h5p = json!({"id": "https://acme.example/h5p?subContentId=1",
        "definition": {"extensions": {"http://h5p.org/x-api/h5p-subContentId": "1"}}});
    assert_eq!(candidates(COMPLETED, &h5p, &above), "fire");
    let without_a_question_mark = json!({"id": "https://acme.example/h5p",
        "definition": {"extensions": {"http://h5p.org/x-api/h5p-local-content-id": "1"}}});
    assert_eq!(candidates(COMPLETED, &without_a_question_mark, &above), "h5p");
    // What is answered is a question, unless its type is known to be something else.
    assert_eq!(candidates(ANSWERED, &activity("q"), &above), "fire");
    assert_eq!(
        candidates(ANSWERED, &typed("q", "https://example.org/item"), &above),
        "fire"
    );
    assert_eq!(candidates(ANSWERED, &activity("q"), &json!({})), "q");
}

fn named(id: &str, name: &str) -> Value {
    json!({"id": format!("{PLATFORM}/{id}"), "definition": {"name": {"en": name}}})
}

#[test]
fn content_of_an_attempt_is_above_it() {
    let above = json!({"parent": [named("quiz", "Fire Quiz"), named("course", "Safety")]});
    for activity_type in [
        ATTEMPT,
        "https://example.org/types/quiz-attempt",
        "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/lesson-session",
    ] {
        assert_eq!(candidates(COMPLETED, &typed("7", activity_type), &above), "quiz");
    }
    assert_eq!(candidates(COMPLETED, &typed("7", ATTEMPT), &json!({})), "7");
    assert_eq!(
        candidates(
            COMPLETED,
            &typed("7", ATTEMPT),
            &json!({"parent": [typed("8", ATTEMPT)]})
        ),
        "7"
    );
    assert_eq!(
        candidates(
            COMPLETED,
            &typed("7", "https://example.org/types/reattempt"),
            &above
        ),
        "7"
    );

    for name in [
        "Fire Quiz Attempt 1",
        "fire quiz (attempt #12)",
        "Attempt 3",
        "Fire Quiz - Attempt 2",
    ] {
        assert_eq!(candidates(COMPLETED, &named("7", name), &above), "quiz", "{name}");
    }
    for name in [
        "First Aid Attempt 1",
        "Fire Quiz",
        "Fire Quiz Attempt",
        "Fire Quiz Reattempt 2",
        "7",
    ] {
        assert_eq!(candidates(COMPLETED, &named("7", name), &above), "7", "{name}");
    }
    assert_eq!(candidates(COMPLETED, &named("7", "Attempt 3"), &json!({})), "7");
}

fn part(definition: &Value) -> Option<String> {
    let object = json!({"id": "urn:q", "definition": definition});
    name_part(&statement(
        ANSWERED,
        &object,
        &json!({"parent": [activity("quiz")]}),
    ))
}

#[test]
fn part_is_named_by_its_prompt_else_by_its_name_else_by_its_kind() {
    let question = |name: Value, description: Value| {
        part(&json!({"type": INTERACTION_TYPE, "name": name, "description": description})).unwrap()
    };
    let hazard = json!({"en": "What is a hazard?"});
    assert_eq!(question(hazard.clone(), json!({})), "\"What is a hazard?\"");
    assert_eq!(
        question(json!({"en": "Question 3"}), hazard.clone()),
        "\"What is a hazard?\""
    );
    assert_eq!(
        question(hazard.clone(), json!({"en": "Choose one."})),
        "\"What is a hazard?\""
    );
    assert_eq!(
        question(json!({"en": "True or false?"}), hazard),
        "\"What is a hazard?\""
    );
    assert_eq!(
        question(json!({"en": "Question 3"}), json!({"en": " "})),
        "question 3"
    );
    assert_eq!(question(json!({"en": "QUESTION #3."}), json!({})), "question 3");
    assert_eq!(
        question(json!({"en": "Question three"}), json!({})),
        "\"Question three\""
    );
    assert_eq!(
        question(json!({"en": "", "de": "Was ist \"Gefahr\"?"}), json!({})),
        "\"Was ist 'Gefahr'?\""
    );
    assert_eq!(question(json!({}), json!({"en": ""})), "a question");
    let html = json!({"en": "<p>Is <b>2 < 3</b>&nbsp;&amp; 4 > 3?</p>\n<br/>"});
    assert_eq!(question(json!({}), html), "\"Is 2 < 3 & 4 > 3?\"");

    let objective = |name: &str| {
        part(&json!({"type": "http://adlnet.gov/expapi/activities/objective",
            "name": {"en": name}, "description": {"en": "Long"}}))
    };
    assert_eq!(objective("Exits").as_deref(), Some("\"Exits\""));
    assert_eq!(
        part(&json!({"type": "http://adlnet.gov/expapi/activities/objective"})).as_deref(),
        Some("an objective")
    );
    assert_eq!(part(&json!({})).as_deref(), Some("a question"));
    assert_eq!(part(&json!({"type": ATTEMPT, "name": {"en": "Attempt 1"}})), None);
}

#[test]
fn long_prompts_are_cut_at_a_word() {
    let long = "word ".repeat(100);
    let named = part(&json!({"type": INTERACTION_TYPE, "description": {"en": long}})).unwrap();
    assert!(
        named.ends_with("word…\"") && named.chars().count() <= MAX_PART_TITLE + 3,
        "{named}"
    );
    let unbroken = "ü".repeat(500);
    let named = part(&json!({"type": INTERACTION_TYPE, "description": {"en": unbroken}})).unwrap();
    assert_eq!(named.chars().count(), MAX_PART_TITLE + 3);
}

#[test]
fn removing_markup_takes_linear_time() {
    let start = std::time::Instant::now();
    assert_eq!(without_markup(&"<a".repeat(500_000)).len(), 1_000_000);
    assert_eq!(without_markup(&"< ".repeat(500_000)).len(), 1_000_000);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn title_of_a_question_is_its_prompt() {
    let title = |definition: Value| {
        let object = json!({"id": "urn:q", "definition": definition});
        match statement(ANSWERED, &object, &json!({})).object {
            Object::Activity(activity) => title_of(&activity),
            _ => None,
        }
    };
    let both = json!({"name": {"en": "Q1"}, "description": {"en": "<p>What is a hazard?</p>"}});
    assert_eq!(title(both.clone()).as_deref(), Some("Q1"));
    let mut question = both;
    question["interactionType"] = json!("choice");
    assert_eq!(title(question).as_deref(), Some("What is a hazard?"));
    assert_eq!(
        title(json!({"interactionType": "choice", "name": {"en": "Q1"}})).as_deref(),
        Some("Q1")
    );
    assert_eq!(
        title(json!({"name": {"en": " \u{a0}", "fr": "Feu"}})).as_deref(),
        Some("Feu")
    );
    assert_eq!(title(json!({"name": {"en": "", "fr": "\u{200b}"}})), None);
}
