//! The parameter `by`, the order of groups, and what every dimension is called.

use serde_json::{Value, json};

use super::fold::{Counted, Fold};
use super::*;
use crate::base::clock::Timestamp;

#[test]
fn by_is_one_or_two_different_dimensions() {
    let read = |values: &[&str]| Dimension::read(values.iter().copied()).map_err(|fault| fault.to_string());
    for dimension in Dimension::ALL {
        assert_eq!(read(&[dimension.key()]), Ok(vec![*dimension]));
        assert_eq!(serde_json::to_value(dimension).unwrap(), json!(dimension.key()));
    }
    let both = Ok(vec![Dimension::Team, Dimension::Month]);
    assert_eq!(read(&["team,month"]), both);
    assert_eq!(read(&["team", "month"]), both);
    let all = "`action`, `day`, `week`, `month`, `user`, `team`, `content`, `type`, `content_type`, `result`";
    assert_eq!(read(&[]), Err(format!("by: is missing: say one or two of {all}")));
    for unknown in ["", "team,", "Team", "year", "team, month"] {
        assert_eq!(
            read(&[unknown]),
            Err(format!("by: is one or two of {all}")),
            "{unknown:?}"
        );
    }
    let twice = Err("by: names `team` twice; once is enough".to_owned());
    assert_eq!(read(&["team,team"]), twice);
    assert_eq!(read(&["team", "team"]), twice);
    assert_eq!(
        read(&["team,month", "user"]),
        Err("by: has at most 2 values".to_owned())
    );
}

/// A row of that moment about a user.
fn row(at: i64, user: Option<i64>) -> Counted<'static> {
    Counted {
        happened_at: Timestamp::from_micros(at),
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
        seconds: None,
        registration: None,
    }
}

fn summary(by: &[Dimension], rows: &[Counted<'_>], names: &Names) -> Value {
    let mut fold = Fold::new(by, chrono_tz::UTC);
    for row in rows {
        fold.add(row).unwrap();
    }
    serde_json::to_value(Summary::new(fold.finish(MOST_GROUPS), names).unwrap()).unwrap()
}

fn keys(summary: &Value) -> Vec<Value> {
    let groups = summary["groups"].as_array().unwrap();
    groups.iter().map(|group| group["key"].clone()).collect()
}

fn names() -> Names {
    let users = [
        (10, Named::new("cy", "Cy")),
        (11, Named::new("bo", "Bo Ek")),
        (12, Named::new("ada", "Ada")),
    ];
    Names {
        users: users.into(),
        ..Names::default()
    }
}

const DAY: i64 = 86_400_000_000;

#[test]
fn groups_stand_by_time_then_rows_then_key_and_what_has_none_last() {
    let rows = [
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
        json!({"user": null}),
    ];
    assert_eq!(keys(&by_user), order);
    assert_eq!(by_user["groups"][1]["label"], json!({"user": "Bo Ek"}));
    assert_eq!(
        by_user["groups"][3]["label"],
        json!({"user": "Not in the directory"})
    );

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
    let content = Counted {
        content: Some(7),
        learning_type: Some(LearningType::LearningPlan),
        content_type: Some(ContentFormat::Scorm),
        action: Action::EnrolledFor,
        success: Some(false),
        teams: &[5],
        ..row(-DAY, Some(12))
    };
    let named = Names {
        teams: [(5, Named::new("t", "Team T"))].into(),
        contents: [(7, Named::new("c", "Content C"))].into(),
        ..names()
    };
    let told = |dimension: Dimension, row: &Counted<'_>| {
        let summary = summary(&[dimension], std::slice::from_ref(row), &named);
        let group = summary["groups"][0].clone();
        let of = |member: &str| {
            assert_eq!(group[member].as_object().unwrap().len(), 1, "{group}");
            group[member][dimension.key()].clone()
        };
        (of("key"), of("label"))
    };
    let there = [
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
    for (dimension, key, label) in there {
        assert_eq!(told(dimension, &content), (key, json!(label)), "{dimension:?}");
    }
    let none = [
        (Dimension::User, "Not in the directory"),
        (Dimension::Team, "No team"),
        (Dimension::Content, "No content"),
        (Dimension::Type, "None"),
        (Dimension::ContentType, "None"),
        (Dimension::Result, "No result"),
    ];
    for (dimension, label) in none {
        assert_eq!(
            told(dimension, &row(0, None)),
            (Value::Null, json!(label)),
            "{dimension:?}"
        );
    }
    assert_eq!(
        told(Dimension::Action, &row(0, None)),
        (json!("other"), json!("Other"))
    );
    let passed = Counted {
        success: Some(true),
        ..row(0, None)
    };
    assert_eq!(
        told(Dimension::Result, &passed),
        (json!("passed"), json!("Passed"))
    );
}

#[test]
fn a_name_that_is_missing_is_noticed() {
    let mut fold = Fold::new(&[Dimension::User], chrono_tz::UTC);
    fold.add(&row(0, Some(99))).unwrap();
    let folded = fold.finish(MOST_GROUPS);
    assert_eq!(folded.keys(Dimension::User), [99]);
    assert_eq!(folded.keys(Dimension::Team), Vec::<i64>::new());
    assert_eq!(Summary::new(folded, &Names::default()), None);
}

#[test]
fn nothing_to_count_is_a_total_of_zeros() {
    let expected = json!({"groups": [], "truncated": false, "total": {
        "rows": 0, "persons": 0, "completions": 0, "passed": 0, "failed": 0, "average_score": null,
        "total_seconds": 0}});
    assert_eq!(summary(&[Dimension::Week], &[], &Names::default()), expected);
}
