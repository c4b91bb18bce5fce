//! Tests of each rule of the projection.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::testing::parse_time;
use crate::catalogue::CertificateRule;
use crate::record::{AwardedCertificate, CalendarDuration, Duration, Limits, Version, parse_statement};

const ADL: &str = "http://adlnet.gov/expapi/verbs/";

fn statement(verb: &str, result: Value) -> Statement {
    let value = json!({
        "actor": {"mbox": "mailto:ada@acme.example"}, "verb": {"id": verb}, "result": result,
        "object": {"id": "https://acme.example/fire"}, "timestamp": "2026-01-31T10:00:00Z",
        "context": {"registration": "0190a000-0000-7000-8000-000000000009"},
    });
    parse_statement(value.to_string().as_bytes(), Version::V1, &Limits::default()).unwrap()
}

fn project_with(verb: &str, result: Value, envelope: &Envelope, content: &ContentFacts) -> Projected {
    let statement = statement(verb, result);
    project(
        &VerbTable::standard(),
        &statement,
        envelope,
        parse_time("2026-02-02T00:00:00Z"),
        Some(content),
    )
}

fn activity_of(verb: &str, result: Value) -> Projected {
    project_with(verb, result, &Envelope::default(), &ContentFacts::default())
}

fn with_pass_mark(pass_mark: f64) -> ContentFacts {
    ContentFacts {
        demands: Demands {
            pass_mark: Some(pass_mark),
            ..Demands::default()
        },
        ..ContentFacts::default()
    }
}

fn with_format(content_type: ContentFormat) -> ContentFacts {
    ContentFacts {
        content_type: Some(content_type),
        ..ContentFacts::default()
    }
}

#[test]
fn timestamp_is_that_of_the_statement_else_of_storage() {
    let verb = format!("{ADL}completed");
    let mut statement = statement(&verb, json!({}));
    let stored = parse_time("2026-02-02T00:00:00Z");
    let project = |statement: &Statement| {
        project(
            &VerbTable::standard(),
            statement,
            &Envelope::default(),
            stored,
            None,
        )
    };
    assert_eq!(
        project(&statement).happened_at,
        parse_time("2026-01-31T10:00:00Z")
    );
    statement.timestamp = None;
    assert_eq!(project(&statement).happened_at, stored);
    assert!(project(&statement).registration.is_some());
}

#[test]
fn success_comes_from_verb_then_result_then_pass_mark() {
    let success = |verb: &str, result: Value, content: &ContentFacts| {
        project_with(&format!("{ADL}{verb}"), result, &Envelope::default(), content).success
    };
    let mark = with_pass_mark(80.0);
    let (none, low, high) = (
        json!({}),
        json!({"score": {"scaled": 0.79}}),
        json!({"score": {"scaled": 0.8}}),
    );
    assert_eq!(success("passed", json!({"success": false}), &mark), Some(true));
    assert_eq!(success("failed", json!({"success": true}), &mark), Some(false));
    assert_eq!(
        success(
            "completed",
            json!({"success": true, "score": {"scaled": 0.1}}),
            &mark
        ),
        Some(true)
    );
    assert_eq!(success("completed", low.clone(), &mark), Some(false));
    assert_eq!(success("completed", high.clone(), &mark), Some(true));
    assert_eq!(
        success("attended", low.clone(), &mark),
        Some(false),
        "attending completes too"
    );
    assert_eq!(
        success("answered", high.clone(), &mark),
        None,
        "answering completes nothing"
    );
    assert_eq!(success("completed", none, &mark), None);
    assert_eq!(success("completed", high, &ContentFacts::default()), None);
    assert_eq!(
        success("experienced", json!({"success": false}), &mark),
        Some(false)
    );
}

#[test]
fn pass_mark_is_compared_with_the_unrounded_score() {
    let verb = format!("{ADL}completed");
    let with = |scaled: f64, mark: f64| {
        project_with(
            &verb,
            json!({"score": {"scaled": scaled}}),
            &Envelope::default(),
            &with_pass_mark(mark),
        )
    };
    let close = with(0.79999, 80.0);
    assert_eq!(
        (close.success, close.score.percent),
        (Some(false), Some(Percent(8_000)))
    );
    // 0.57 × 100 is less than 57 in binary fractions.
    assert_eq!(with(0.57, 57.0).success, Some(true));
    assert_eq!(with(0.29, 29.0).success, Some(true));
}

#[test]
fn completion_without_success_is_failed() {
    let failed = activity_of(
        &format!("{ADL}completed"),
        json!({"success": false, "completion": true}),
    );
    assert_eq!((failed.action, failed.completed), (Action::Failed, false));
    assert_eq!(
        failed.completion,
        Some(true),
        "the completion of the record is unchanged"
    );
    assert_eq!(
        activity_of(&format!("{ADL}mastered"), json!({"success": false})).action,
        Action::Failed
    );
    assert_eq!(
        activity_of(&format!("{ADL}passed"), json!({"success": false})).action,
        Action::Completed
    );
    assert_eq!(
        activity_of(&format!("{ADL}attended"), json!({"success": false})).action,
        Action::Attended
    );
    assert_eq!(
        activity_of(&format!("{ADL}answered"), json!({"success": false})).action,
        Action::Answered
    );
}

#[test]
fn action_of_a_completion_depends_on_the_format() {
    for (content_type, action) in [
        (ContentFormat::Video, Action::Watched),
        (ContentFormat::Article, Action::Read),
        (ContentFormat::Book, Action::Read),
        (ContentFormat::Document, Action::Read),
        (ContentFormat::Audio, Action::ListenedTo),
        (ContentFormat::Scorm, Action::Completed),
        (ContentFormat::Link, Action::Completed),
    ] {
        let activity_of = |verb: &str, result: Value| {
            project_with(verb, result, &Envelope::default(), &with_format(content_type))
        };
        let completed = activity_of(&format!("{ADL}completed"), json!({}));
        assert_eq!(
            (completed.action, completed.completed),
            (action, true),
            "{content_type}"
        );
        assert_eq!(activity_of(&format!("{ADL}passed"), json!({})).action, action);
        assert_eq!(
            activity_of(&format!("{ADL}completed"), json!({"success": false})).action,
            Action::Failed
        );
        assert_eq!(
            activity_of(&format!("{ADL}initialized"), json!({})).action,
            Action::Started
        );
    }
}

#[test]
fn completion_comes_from_action_or_result() {
    for (verb, result, completed) in [
        ("http://adlnet.gov/expapi/verbs/completed", json!({}), true),
        ("http://activitystrea.ms/schema/1.0/read", json!({}), true),
        ("http://activitystrea.ms/schema/1.0/watch", json!({}), true),
        ("http://activitystrea.ms/schema/1.0/listen", json!({}), true),
        (
            "http://activitystrea.ms/schema/1.0/attend",
            json!({"completion": false}),
            true,
        ),
        ("http://adlnet.gov/expapi/verbs/experienced", json!({}), false),
        (
            "http://adlnet.gov/expapi/verbs/experienced",
            json!({"completion": true}),
            true,
        ),
        (
            "https://example.com/verbs/finished",
            json!({"completion": true}),
            true,
        ),
        (
            "http://adlnet.gov/expapi/verbs/failed",
            json!({"completion": true}),
            false,
        ),
    ] {
        assert_eq!(
            activity_of(verb, result.clone()).completed,
            completed,
            "{verb} {result}"
        );
    }
}

#[test]
fn percentage_comes_from_scaled_else_from_raw() {
    for (score, percent) in [
        (json!({"scaled": 0.925}), Some("92.5")),
        (json!({"scaled": 0.92345}), Some("92.35")),
        (json!({"scaled": 0.9, "raw": 1, "min": 0, "max": 2}), Some("90")),
        (json!({"scaled": -0.5}), Some("-50")),
        (json!({"raw": 37, "min": 0, "max": 40}), Some("92.5")),
        (json!({"raw": 2, "min": 1, "max": 4}), Some("33.33")),
        (json!({"raw": 7}), None),
        (json!({"raw": 45}), None),
        (json!({"raw": 45, "min": 0}), None),
        (json!({"raw": 7, "max": 10}), Some("70")),
        (json!({"raw": 45, "max": 50}), Some("90")),
        (json!({"raw": 0, "max": 50}), Some("0")),
        (json!({"raw": -1, "max": 50}), None),
        (json!({"raw": 0, "max": 0}), None),
        (json!({"raw": 101}), None),
        (json!({"raw": -1}), None),
        (json!({"raw": 1e308, "min": -1e308, "max": 1.5e308}), Some("80")),
        (json!({"min": 0, "max": 50}), None),
        (json!({}), None),
    ] {
        let activity = activity_of(&format!("{ADL}completed"), json!({"score": score}));
        assert_eq!(
            activity
                .score
                .percent
                .map(|percent| percent.to_string())
                .as_deref(),
            percent,
            "{score}"
        );
    }
}

#[test]
fn percentage_has_at_most_two_decimals() {
    for (hundredths, text, json) in [
        (4_500, "45", "45"),
        (9_250, "92.5", "92.5"),
        (6_667, "66.67", "66.67"),
        (5, "0.05", "0.05"),
        (-1_250, "-12.5", "-12.5"),
        (-5, "-0.05", "-0.05"),
        (0, "0", "0"),
        (10_000, "100", "100"),
    ] {
        assert_eq!(Percent(hundredths).to_string(), text);
        assert_eq!(serde_json::to_string(&Percent(hundredths)).unwrap(), json);
    }
    assert_eq!(Percent::nearest(45.005), Percent(4_501));
    assert_eq!(Percent::nearest(-45.005), Percent(-4_501));
}

#[test]
fn duration_and_limit_are_whole_seconds() {
    let content = |limit: &str| ContentFacts {
        demands: Demands {
            time_limit: Some(Duration::parse(limit).unwrap()),
            ..Demands::default()
        },
        ..ContentFacts::default()
    };
    let activity_of = |result: Value, limit: &str| {
        project_with(
            &format!("{ADL}completed"),
            result,
            &Envelope::default(),
            &content(limit),
        )
    };
    let long = activity_of(json!({"duration": "PT5M0.9S"}), "PT4M");
    assert_eq!(
        (long.seconds, long.time_limit, long.time_limit_exceeded()),
        (Some(300), Some(240), Some(true))
    );
    assert_eq!(
        activity_of(json!({"duration": "PT5M"}), "PT5M").time_limit_exceeded(),
        Some(false)
    );
    let untimed = activity_of(json!({}), "PT5M");
    assert_eq!(
        (
            untimed.seconds,
            untimed.time_limit_exceeded(),
            untimed.has_result()
        ),
        (None, None, false)
    );
}

fn expiring() -> ContentFacts {
    let length = |text: &str| Some(CalendarDuration::parse(text).unwrap());
    let certificate = CertificateRule {
        name: Some("Warden".to_owned()),
        expires_after: length("P1M"),
    };
    ContentFacts {
        demands: Demands {
            expires_after: length("P1Y"),
            certificate: Some(certificate),
            ..Demands::default()
        },
        ..ContentFacts::default()
    }
}

#[test]
fn completion_expires_as_its_content_demands() {
    let activity_of = |verb: &str, envelope: &Envelope| {
        project_with(&format!("{ADL}{verb}"), json!({}), envelope, &expiring())
    };
    let completed = activity_of("completed", &Envelope::default());
    assert_eq!(completed.expired_at, Some(parse_time("2027-01-31T10:00:00Z")));
    let certificate = completed.certificate.clone().unwrap();
    assert_eq!(certificate.name.as_deref(), Some("Warden"));
    assert_eq!(certificate.expires_at, Some(parse_time("2026-02-28T10:00:00Z")));
    assert!(!completed.is_expired(parse_time("2027-01-31T10:00:00Z")));
    assert!(completed.is_expired(parse_time("2027-01-31T10:00:00.001Z")));

    for verb in ["failed", "experienced"] {
        let activity = activity_of(verb, &Envelope::default());
        assert_eq!(
            (activity.expired_at, activity.certificate),
            (None, None),
            "{verb} is no completion"
        );
    }
}

#[test]
fn expiry_of_the_record_replaces_that_of_the_content() {
    let own = parse_time("2030-01-01T00:00:00Z");
    let certificate = AwardedCertificate {
        name: Some("Guard".to_owned()),
        expires_at: None,
    };
    let envelope = Envelope {
        expired_at: Some(own),
        certificate: Some(certificate),
        ..Envelope::default()
    };
    let activity_of = |verb: &str| project_with(verb, json!({}), &envelope, &expiring());
    let completed = activity_of(&format!("{ADL}completed"));
    assert_eq!(completed.expired_at, Some(own));
    let certificate = completed.certificate.unwrap();
    assert_eq!(certificate.name.as_deref(), Some("Guard"));
    assert_eq!(
        certificate.expires_at,
        Some(parse_time("2026-02-28T10:00:00Z")),
        "the rule of the content fills in what the record omits"
    );
    let viewed = activity_of(&format!("{ADL}experienced"));
    assert_eq!(viewed.expired_at, Some(own));
    assert_eq!(
        viewed.certificate,
        Some(Certificate {
            name: Some("Guard".to_owned()),
            expires_at: None
        })
    );
}

#[test]
fn award_is_a_certificate_if_one_is_meant() {
    let none = Envelope::default();
    let award = |verb: &str, result: Value, envelope: &Envelope, content: &ContentFacts| {
        let activity = project_with(verb, result, envelope, content);
        (activity.action, activity.certificate)
    };
    let meant = |certificate| (Action::ReceivedCertificateFor, Some(certificate));
    let nothing = ContentFacts::default();
    for verb in Action::ReceivedCertificateFor.verbs() {
        assert_eq!(award(verb, json!({}), &none, &nothing), (Action::Other, None));
        assert_eq!(
            award(verb, json!({"success": false}), &none, &nothing),
            (Action::Failed, None)
        );
        let carried = Envelope {
            certificate: Some(AwardedCertificate::default()),
            ..Envelope::default()
        };
        assert_eq!(
            award(verb, json!({}), &carried, &nothing),
            meant(Certificate::default())
        );
        let certification = ContentFacts {
            learning_type: Some(LearningType::Certification),
            ..ContentFacts::default()
        };
        assert_eq!(
            award(verb, json!({"success": false}), &none, &certification),
            meant(Certificate::default())
        );
        let (action, certificate) = award(verb, json!({}), &none, &expiring());
        assert_eq!(action, Action::ReceivedCertificateFor);
        assert_eq!(
            certificate.unwrap().expires_at,
            Some(parse_time("2026-02-28T10:00:00Z"))
        );
        assert_eq!(project_with(verb, json!({}), &none, &expiring()).expired_at, None);
    }
    assert_eq!(
        award(
            "urn:rollbook:verb:received_certificate_for",
            json!({}),
            &none,
            &nothing
        ),
        meant(Certificate::default())
    );
}

#[test]
fn part_of_a_content_completes_nothing() {
    let above = ContentFacts {
        is_above_object: true,
        content_type: Some(ContentFormat::Video),
        ..expiring()
    };
    let carried = Envelope {
        certificate: Some(AwardedCertificate::default()),
        expired_at: Some(parse_time("2026-03-01T00:00:00Z")),
        ..Envelope::default()
    };
    for verb in ["completed", "passed", "answered", "mastered", "attended"] {
        let result = json!({"completion": true, "score": {"scaled": 0.9}});
        let activity = project_with(&format!("{ADL}{verb}"), result, &carried, &above);
        assert_eq!(activity.part.as_deref(), Some("a question"));
        assert_eq!(
            (activity.completed, activity.certificate, activity.expired_at),
            (false, None, None)
        );
        assert_ne!(activity.action, Action::Watched);
    }
    let whole = project_with(&format!("{ADL}completed"), json!({}), &carried, &expiring());
    assert_eq!((whole.part, whole.completed), (None, true));
}

#[test]
fn waiver_is_a_completion_without_success() {
    let video = with_format(ContentFormat::Video);
    for success in [json!(true), json!(false), Value::Null] {
        let result = match success {
            Value::Null => json!({}),
            success => json!({ "success": success }),
        };
        let waived = project_with(WAIVED, result, &Envelope::default(), &video);
        assert_eq!(
            (waived.action, waived.success, waived.completed),
            (Action::Completed, None, true)
        );
    }
    let satisfied = "https://w3id.org/xapi/adl/verbs/satisfied";
    let satisfied = project_with(satisfied, json!({}), &Envelope::default(), &video);
    assert_eq!((satisfied.action, satisfied.completed), (Action::Completed, true));
}

#[test]
fn start_of_a_session_is_a_login() {
    assert_eq!(
        activity_of("https://w3id.org/xapi/adl/verbs/logged-in", json!({})).action,
        Action::LoggedIn
    );
    assert_eq!(
        activity_of("urn:rollbook:verb:visited", json!({})).action,
        Action::Visited
    );
}

#[test]
fn projection_copies_the_envelope() {
    let envelope = Envelope {
        origin: Origin::Manual,
        device_type: Some("mobile".to_owned()),
        recorded_by: Some(UserId::new("bob").unwrap()),
        comment: Some("in person".to_owned()),
        source: Some("library".to_owned()),
        import: Some(Uuid::nil()),
        ..Envelope::default()
    };
    let activity = project_with(
        &format!("{ADL}completed"),
        json!({"response": "b"}),
        &envelope,
        &ContentFacts::default(),
    );
    assert_eq!(activity.origin, Origin::Manual);
    assert_eq!(activity.device_type.as_deref(), Some("mobile"));
    assert_eq!(activity.recorded_by, envelope.recorded_by);
    assert_eq!(activity.comment.as_deref(), Some("in person"));
    assert_eq!(activity.source.as_deref(), Some("library"));
    assert_eq!(activity.import, Some(Uuid::nil()));
    assert_eq!(activity.response.as_deref(), Some("b"));
    assert!(activity.has_result());
}

proptest! {
    /// A percentage with up to four decimals, sent as `scaled`, is rounded exactly.
    #[test]
    fn percentages_are_rounded_exactly(ten_thousandths in 0i64..=1_000_000) {
        let text = format!("{}.{:06}", ten_thousandths / 1_000_000, ten_thousandths % 1_000_000);
        let scaled: f64 = text.parse().unwrap();
        let exact = (ten_thousandths + 50) / 100;
        prop_assert_eq!(Percent::nearest(without_float_error(scaled * 100.0)), Percent(exact));
    }

    #[test]
    fn text_of_a_percentage_parses_back(hundredths in -10_000i64..=10_000) {
        let text = Percent(hundredths).to_string();
        prop_assert!(!text.contains('.') || !text.ends_with('0'));
        prop_assert_eq!(Percent::nearest(text.parse().unwrap()), Percent(hundredths));
    }
}
