use serde_json::json;

use super::*;

/// What `scorm-again` 3.4 sends for one session of SCORM 1.2 in each format, without the elements that are equal.
const JSON: &str = r#"{"cmi":{"suspend_data":"a&b=c%20d+e","comments":"","core":{"lesson_status":"passed","exit":"suspend",
    "session_time":"00:05:00","score":{"raw":"80","min":"","max":"100"}},"objectives":{},
    "interactions":{"0":{"id":"q1","objectives":{},"correct_responses":{"0":{"pattern":"a,b"}}}}}}"#;
const FLATTENED: &str = r#"{"cmi.suspend_data":"a&b=c%20d+e","cmi.comments":"","cmi.core.lesson_status":"passed",
    "cmi.core.exit":"suspend","cmi.core.session_time":"00:05:00","cmi.core.score.raw":"80","cmi.core.score.min":"",
    "cmi.core.score.max":"100","cmi.objectives":{},"cmi.interactions.0.id":"q1","cmi.interactions.0.objectives":{},
    "cmi.interactions.0.correct_responses.0.pattern":"a,b"}"#;
const PARAMS: &str = "cmi.suspend_data=a&b=c%20d+e&cmi.comments=&cmi.core.lesson_status=passed&cmi.core.exit=suspend\
    &cmi.core.session_time=00:05:00&cmi.core.score.raw=80&cmi.core.score.min=&cmi.core.score.max=100\
    &cmi.objectives=[object Object]&cmi.interactions.0.id=q1&cmi.interactions.0.objectives=[object Object]\
    &cmi.interactions.0.correct_responses.0.pattern=a,b";

fn parse(text: &str) -> Commit {
    Commit::parse(text, 32).expect(text)
}

#[test]
fn each_format_has_the_same_elements() {
    let commit = parse(JSON);
    assert_eq!(commit.get("cmi.suspend_data"), Some("a&b=c%20d+e"));
    assert_eq!(
        commit.get("cmi.interactions.0.correct_responses.0.pattern"),
        Some("a,b")
    );
    assert_eq!(commit.get("cmi.core.score.min"), None, "it is empty");
    assert_eq!(commit.version(), Some(Version::V12));
    assert_eq!(commit.times(Version::V12), (30_000, None));
    assert_eq!(parse(FLATTENED), commit);
    assert_eq!(parse(PARAMS), commit);
    assert_eq!(commit.find_notices(Version::V12), []);
}

#[test]
fn data_of_structured_commits_is_read_in_each_format() {
    let pairs: Vec<String> = split_pairs(PARAMS);
    for data in [
        json!(pairs),
        serde_json::from_str(JSON).unwrap(),
        serde_json::from_str(FLATTENED).unwrap(),
    ] {
        let body = json!({"completionStatus": "completed", "totalTimeSeconds": 0, "runtimeData": data, "score": {"raw": 80},
            "globalObjectives": {"g": {"id": "g"}}, "commitSequence": 3, "final": true});
        let commit = parse(&body.to_string());
        assert_eq!(commit.elements, parse(JSON).elements);
        assert_eq!((commit.is_final, commit.sequence), (true, Some(3)));
        assert_eq!(commit.others["globalObjectives"]["g"]["id"], "g");
        assert_eq!(commit.others["completionStatus"], "completed");
    }
}

#[test]
fn members_beside_the_data_are_read_in_each_format() {
    for body in [
        r#"{"cmi":{"location":"x"},"commitSequence":7,"final":true,"sharedData":{"a":"b"}}"#,
        r#"{"cmi.location":"x","commitSequence":7,"final":true,"sharedData":{"a":"b"}}"#,
        "cmi.location=x&commitSequence=7&final=true",
    ] {
        let commit = parse(body);
        assert_eq!((commit.is_final, commit.sequence), (true, Some(7)), "{body}");
        assert_eq!(commit.elements.len(), 1, "{body}");
    }
}

#[test]
fn values_of_other_types_become_texts() {
    let commit = parse(
        "\u{feff} {\"cmi\":{\"score\":{\"raw\":-2.50,\"scaled\":null},\"objectives\":[{\"id\":true}]}}",
    );
    assert_eq!(commit.get("cmi.score.raw"), Some("-2.5"));
    assert_eq!(commit.elements["cmi.score.scaled"], "");
    assert_eq!(commit.get("cmi.objectives.0.id"), Some("true"));
}

#[test]
fn bodies_without_elements_are_refused() {
    for body in [
        "",
        "{}",
        "[]",
        "nonsense",
        "a=b",
        r#"{"core":{"exit":""}}"#,
        r#"{"cmi":{}}"#,
        r#"{"runtimeData":"x"}"#,
        "{\"cmi\"",
        "[1]",
        r#"{"cmi":{"location":"a\u0000"}}"#,
    ] {
        assert!(
            matches!(Commit::parse(body, 32), Err(CommitFault::Body(_))),
            "{body}"
        );
    }
    let deep = format!("{}{}", "{\"cmi\":".repeat(40), "}".repeat(40));
    assert!(Commit::parse(&deep, 32).is_err());
    let many: Vec<String> = (0..=MAX_ELEMENTS)
        .map(|number| format!("cmi.interactions.{number}.id=x"))
        .collect();
    assert!(matches!(
        Commit::parse(&many.join("&"), 32),
        Err(CommitFault::TooManyElements)
    ));
}

#[test]
fn long_and_deep_names_are_refused() {
    let deep = format!("cmi.core.exit=&adl{}=1", ".a".repeat(500_000));
    let long = "x".repeat(800_000);
    let members: Vec<String> = (0..20_000).map(|number| format!("\"{number}\":1")).collect();
    let below_long = format!("{{\"cmi\":{{\"{long}\":{{{}}}}}}}", members.join(","));
    for body in [
        deep,
        below_long,
        format!("{{\"cmi.{long}\":1}}"),
        format!("cmi.{long}=1"),
    ] {
        assert!(matches!(Commit::parse(&body, 32), Err(CommitFault::Body(_))));
    }
    let longest = format!("cmi.a.b.c.d.e.f.g.h.{}", "i".repeat(235));
    assert_eq!(parse(&format!("{longest}=1")).elements[&longest], "1");
}

#[test]
fn odd_values_are_named_and_kept() {
    let commit =
        parse(r#"{"cmi":{"core":{"lesson_status":"Completed","score":{"raw":"-5"}},"own":{"x":"1"}}}"#);
    let notices = commit.find_notices(Version::V12);
    let elements: Vec<&str> = notices.iter().map(|notice| notice.element.as_str()).collect();
    assert_eq!(
        elements,
        ["cmi.core.lesson_status", "cmi.core.score.raw", "cmi.own.x"]
    );
    assert_eq!(commit.get("cmi.own.x"), Some("1"));
    let long = parse(&format!("cmi.core.exit=&cmi.suspend_data={}", "é".repeat(64_000)));
    let [notice] = &long.find_notices(Version::V12)[..] else {
        panic!("one notice")
    };
    assert_eq!(notice.value.chars().count(), MAX_NOTICE_VALUE);
}

#[test]
fn digest_depends_on_every_value_and_the_session() {
    let commit = parse(JSON);
    assert_eq!(commit.digest(None), parse(PARAMS).digest(None));
    assert_ne!(commit.digest(None), commit.digest(Some("s")));
    assert_ne!(
        parse("cmi.location=ab&cmi.mode=c").digest(None),
        parse("cmi.location=a&cmi.mode=bc").digest(None)
    );
}
