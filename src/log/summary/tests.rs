//! Tests of the parameter `by`, the order of groups, and the labels of each dimension.

use serde_json::{Value, json};

use super::counter::{CountedActivity, SummaryCounter};
use super::*;
use crate::base::clock::Timestamp;
use crate::log::testing;

#[test]
fn by_is_one_or_two_different_dimensions() {
    let parse = |values: &[&str]| Dimension::parse(values.iter().copied()).map_err(|fault| fault.to_string());
    for dimension in Dimension::ALL {
        assert_eq!(parse(&[dimension.key()]), Ok(vec![*dimension]));
        assert_eq!(serde_json::to_value(dimension).unwrap(), json!(dimension.key()));
    }
    let both = Ok(vec![Dimension::Team, Dimension::Month]);
    assert_eq!(parse(&["team,month"]), both);
    assert_eq!(parse(&["team", "month"]), both);
    let all = "`action`, `day`, `week`, `month`, `user`, `team`, `content`, `type`, `content_type`, `result`";
    assert_eq!(
        parse(&[]),
        Err(format!("by: is missing: give one or two of {all}"))
    );
    for unknown in ["", "team,", "Team", "year", "team, month"] {
        assert_eq!(
            parse(&[unknown]),
            Err(format!("by: is one or two of {all}")),
            "{unknown:?}"
        );
    }
    let twice = Err("by: has the value `team` twice".to_owned());
    assert_eq!(parse(&["team,team"]), twice);
    assert_eq!(parse(&["team", "team"]), twice);
    assert_eq!(
        parse(&["team,month", "user"]),
        Err("by: has at most 2 values".to_owned())
    );
}

/// A row of a user at this time.
fn row(at: i64, user: Option<i64>) -> CountedActivity<'static> {
    CountedActivity {
        happened_at: Timestamp::from_micros(at),
        seq: 0,
        person: user.unwrap_or(1),
        user,
        teams: &[],
        content: None,
        learning_type: None,
        content_type: None,
        action: Action::Other,
        completed: false,
        success: None,
        percent: None,
        is_part: false,
        seconds: None,
        registration: None,
        session: None,
    }
}

fn summary(by: &[Dimension], rows: &[CountedActivity<'_>], names: &GroupNames) -> Value {
    let mut counter = SummaryCounter::new(by, chrono_tz::UTC);
    for row in rows {
        counter.add(row).unwrap();
    }
    serde_json::to_value(Summary::new(counter.finish(MOST_GROUPS), names).unwrap()).unwrap()
}

fn keys(summary: &Value) -> Vec<Value> {
    let groups = summary["groups"].as_array().unwrap();
    groups.iter().map(|group| group["key"].clone()).collect()
}

fn visitor(name: &str) -> PersonDetails {
    PersonDetails {
        user: None,
        name: Some(name.to_owned()),
        identifier: Identifier::from_email("visitor@example.com"),
        ..testing::person("bob")
    }
}

fn names() -> GroupNames {
    let users = [
        (1, KeyAndLabel::unclaimed(&visitor("V. One"))),
        (2, KeyAndLabel::unclaimed(&visitor("V. Two"))),
        (10, KeyAndLabel::new("cy", "Cy")),
        (11, KeyAndLabel::new("bo", "Bo Ek")),
        (12, KeyAndLabel::new("ada", "Ada")),
    ];
    GroupNames {
        users: users.into(),
        ..GroupNames::default()
    }
}

const DAY: i64 = 86_400_000_000;

#[test]
fn groups_are_ordered_by_time_then_rows_then_key_with_null_last() {
    let rows = [
        CountedActivity {
            person: 2,
            ..row(0, None)
        },
        row(0, None),
        row(0, Some(10)),
        row(0, Some(11)),
        row(0, Some(12)),
        row(0, Some(12)),
    ];
    let by_user = summary(&[Dimension::User], &rows, &names());
    let order = [
        json!({"user": "ada"}),
        json!({"user": "bo"}),
        json!({"user": "cy"}),
        json!({"user": null, "identifier": {"mbox": "mailto:visitor@example.com"}}),
        json!({"user": null, "identifier": {"mbox": "mailto:visitor@example.com"}}),
    ];
    assert_eq!(keys(&by_user), order);
    assert_eq!(by_user["groups"][1]["label"], json!({"user": "Bo Ek"}));
    assert_eq!(by_user["groups"][3]["label"], json!({"user": "V. One"}));
    assert_eq!(by_user["groups"][4]["label"], json!({"user": "V. Two"}));

    let rows = [
        row(DAY, Some(10)),
        row(DAY, Some(11)),
        row(DAY, Some(11)),
        row(0, Some(12)),
    ];
    let by_both = summary(&[Dimension::User, Dimension::Day], &rows, &names());
    let order = [
        json!({"user": "ada", "day": "1970-01-01"}),
        json!({"user": "bo", "day": "1970-01-02"}),
        json!({"user": "cy", "day": "1970-01-02"}),
    ];
    assert_eq!(keys(&by_both), order);
}

#[test]
fn every_dimension_has_a_key_and_a_label() {
    let content = CountedActivity {
        content: Some(7),
        learning_type: Some(LearningType::LearningPlan),
        content_type: Some(ContentFormat::Scorm),
        action: Action::EnrolledFor,
        success: Some(false),
        teams: &[5],
        ..row(-DAY, Some(12))
    };
    let names = GroupNames {
        teams: [(5, KeyAndLabel::new("t", "Team T"))].into(),
        contents: [(7, KeyAndLabel::new("c", "Content C"))].into(),
        ..names()
    };
    let describe = |dimension: Dimension, row: &CountedActivity<'_>| {
        let summary = summary(&[dimension], std::slice::from_ref(row), &names);
        let group = summary["groups"][0].clone();
        let value = |member: &str| {
            assert_eq!(group[member].as_object().unwrap().len(), 1, "{group}");
            group[member][dimension.key()].clone()
        };
        (value("key"), value("label"))
    };
    let values = [
        (Dimension::Action, json!("enrolled_for"), "Enrolled for"),
        (Dimension::Day, json!("1969-12-31"), "31 December 1969"),
        (Dimension::Week, json!("1969-12-29"), "Week of 29 December 1969"),
        (Dimension::Month, json!("1969-12"), "December 1969"),
        (Dimension::User, json!("ada"), "Ada"),
        (Dimension::Team, json!("t"), "Team T"),
        (Dimension::Content, json!("c"), "Content C"),
        (Dimension::Type, json!("learning_plan"), "Learning plan"),
        (Dimension::ContentType, json!("scorm"), "SCORM"),
        (Dimension::Result, json!("failed"), "Failed"),
    ];
    for (dimension, key, label) in values {
        assert_eq!(
            describe(dimension, &content),
            (key, json!(label)),
            "{dimension:?}"
        );
    }
    let none = [
        (Dimension::Team, "No team"),
        (Dimension::Content, "No content"),
        (Dimension::Type, "None"),
        (Dimension::ContentType, "None"),
        (Dimension::Result, "No result"),
    ];
    for (dimension, label) in none {
        assert_eq!(
            describe(dimension, &row(0, None)),
            (Value::Null, json!(label)),
            "{dimension:?}"
        );
    }
    assert_eq!(
        describe(Dimension::Action, &row(0, None)),
        (json!("other"), json!("Other"))
    );
    let passed = CountedActivity {
        success: Some(true),
        ..row(0, None)
    };
    assert_eq!(
        describe(Dimension::Result, &passed),
        (json!("passed"), json!("Passed"))
    );
}

#[test]
fn summary_with_a_missing_name_is_refused() {
    let mut counter = SummaryCounter::new(&[Dimension::User], chrono_tz::UTC);
    counter.add(&row(0, Some(99))).unwrap();
    let counted = counter.finish(MOST_GROUPS);
    assert_eq!(counted.keys(Dimension::User), [99]);
    assert_eq!(counted.keys(Dimension::Team), Vec::<i64>::new());
    assert_eq!(Summary::new(counted, &GroupNames::default()), None);
}

#[test]
fn summary_of_no_rows_has_a_total_of_zeros() {
    let expected = json!({"groups": [], "truncated": false, "total": {
        "rows": 0, "persons": 0, "completions": 0, "passed": 0, "failed": 0, "average_score": null,
        "total_seconds": 0}});
    assert_eq!(summary(&[Dimension::Week], &[], &GroupNames::default()), expected);
}
