//! Sentences and labels.

use super::*;
use crate::base::clock::Timestamp;
use crate::log::projection::Percent;
use crate::log::row::UserDetails;
use crate::log::testing;

mod languages;

fn fire_safety() -> ContentDetails {
    testing::content("fire-safety", "Fire Safety")
}

fn quiz() -> ContentDetails {
    testing::content("forklift-quiz", "Forklift Quiz")
}

fn sentence(activity: &Projected, content: Option<&ContentDetails>) -> String {
    Description::new(
        activity,
        &testing::person("ada"),
        content,
        &testing::verb("urn:x:verb", None),
        None,
        Language::ENGLISH,
    )
    .to_string()
}

fn done(action: Action) -> Projected {
    Projected {
        action,
        completed: action.completes(),
        ..testing::projected()
    }
}

#[test]
fn sentences_match_the_specification() {
    assert_eq!(
        sentence(&done(Action::Completed), Some(&fire_safety())),
        "Completed Fire Safety"
    );
    let mut failed = Projected {
        success: Some(false),
        seconds: Some(300),
        ..done(Action::Failed)
    };
    failed.score.percent = Some(Percent(4_500));
    assert_eq!(
        sentence(&failed, Some(&quiz())),
        "Failed Forklift Quiz scoring 45% in 5 minutes"
    );
    let mut passed = Projected {
        success: Some(true),
        ..done(Action::Completed)
    };
    passed.score.percent = Some(Percent(9_200));
    assert_eq!(
        sentence(&passed, Some(&quiz())),
        "Passed Forklift Quiz scoring 92%"
    );
    assert_eq!(sentence(&done(Action::LoggedIn), None), "Logged in");
    let first_aid = testing::content("first-aid", "First Aid");
    assert_eq!(
        sentence(&done(Action::EnrolledFor), Some(&first_aid)),
        "Enrolled for First Aid"
    );
    let received = done(Action::ReceivedCertificateFor);
    assert_eq!(
        sentence(&received, Some(&first_aid)),
        "Received certificate for First Aid"
    );
    let archived = ContentDetails {
        archived_at: Some(Timestamp::from_micros(0)),
        ..fire_safety()
    };
    assert_eq!(
        sentence(&done(Action::Completed), Some(&archived)),
        "Completed Fire Safety (Archived)"
    );
}

#[test]
fn completion_marked_by_another_user_names_the_recorder() {
    let ada_obi = Recorder {
        id: UserId::new("ada.obi").unwrap(),
        name: Some("Ada Obi".to_owned()),
    };
    let description = |activity: &Projected, person: &PersonDetails, recorder: &Recorder| {
        let verb = testing::verb("urn:x:verb", None);
        Description::new(
            activity,
            person,
            Some(&fire_safety()),
            &verb,
            Some(recorder),
            Language::ENGLISH,
        )
    };
    let completed = done(Action::Completed);
    let sentence = description(&completed, &testing::person("bob"), &ada_obi);
    assert_eq!(
        sentence.to_string(),
        "Completed Fire Safety, marked complete by Ada Obi"
    );
    let parts = serde_json::to_value(sentence.parts()).unwrap();
    let expected = serde_json::json!([
        {"text": "Completed ", "key": "completed"}, {"text": "Fire Safety", "content": "fire-safety"},
        {"text": ", marked complete by "}, {"text": "Ada Obi", "user": "ada.obi"},
    ]);
    assert_eq!(parts, expected);

    let unknown = Recorder {
        name: None,
        ..ada_obi.clone()
    };
    let actor = PersonDetails {
        user: None,
        ..testing::person("bob")
    };
    assert!(
        description(&completed, &actor, &unknown)
            .to_string()
            .ends_with("marked complete by ada.obi")
    );

    let recorder_herself = PersonDetails {
        user: Some(UserDetails::new(ada_obi.id.clone())),
        ..testing::person("bob")
    };
    assert_eq!(
        description(&completed, &recorder_herself, &ada_obi).to_string(),
        "Completed Fire Safety"
    );
    let assigned = done(Action::Assigned);
    assert_eq!(
        description(&assigned, &testing::person("bob"), &ada_obi).to_string(),
        "Assigned Fire Safety"
    );
}

#[test]
fn sentence_without_content_has_no_preposition() {
    assert_eq!(sentence(&done(Action::EnrolledFor), None), "Enrolled");
    assert_eq!(
        sentence(&done(Action::ReceivedCertificateFor), None),
        "Received certificate"
    );
    assert_eq!(sentence(&done(Action::ListenedTo), None), "Listened");
    assert_eq!(sentence(&done(Action::LoggedOut), None), "Logged out");
}

#[test]
fn content_without_title_is_named_by_its_id() {
    let untitled = ContentDetails {
        title: None,
        ..fire_safety()
    };
    assert_eq!(
        sentence(&done(Action::Viewed), Some(&untitled)),
        "Viewed fire-safety"
    );
}

#[test]
fn label_of_other_verbs_comes_from_display_or_iri() {
    for (iri, display, expected) in [
        ("urn:x:played", Some("played"), "Played"),
        ("urn:x:played", Some("  "), "Played"),
        ("https://w3id.org/xapi/adl/verbs/logged-in", None, "Logged in"),
        (
            "https://brindlewaye.com/xAPITerms/verbs/signedup/",
            None,
            "Signedup",
        ),
        ("http://example.com/verbs#dragAndDrop", None, "Drag and drop"),
        (
            "http://example.com/verbs/exported_to-PDF",
            None,
            "Exported to PDF",
        ),
        ("urn:rollbook:verb:other", None, "Other"),
        ("urn:x:-", None, "Other"),
        ("https://example.com/ü", None, "Ü"),
    ] {
        assert_eq!(
            label(Action::Other, &testing::verb(iri, display), Language::ENGLISH),
            expected,
            "{iri}"
        );
    }
    let verb = testing::verb("urn:x:played", Some("hat gespielt"));
    let sentence = Description::new(
        &done(Action::Other),
        &testing::person("ada"),
        Some(&quiz()),
        &verb,
        None,
        Language::ENGLISH,
    );
    assert_eq!(sentence.to_string(), "Hat gespielt Forklift Quiz");
    assert_eq!(label(Action::Completed, &verb, Language::ENGLISH), "Completed");
}

#[test]
fn known_public_verbs_have_a_label_of_their_own() {
    let table = crate::log::VerbTable::standard();
    for (iri, key) in VERBS {
        let known = &Language::ENGLISH.phrase(key).label;
        let action = match table.action(iri) {
            // The verb means another award than a certificate.
            Action::ReceivedCertificateFor => Action::Other,
            action => action,
        };
        assert!(
            action == Action::Other || has_own_words(iri),
            "{iri} has a label already"
        );
        for display in [None, Some("tat es"), Some("commented")] {
            let verb = testing::verb(iri, display);
            assert_eq!(label(action, &verb, Language::ENGLISH), *known);
        }
    }
    let commented = "http://adlnet.gov/expapi/verbs/commented";
    let describe = |iri, display, content: Option<&ContentDetails>| {
        let (person, verb) = (testing::person("ada"), testing::verb(iri, display));
        Description::new(
            &done(Action::Other),
            &person,
            content,
            &verb,
            None,
            Language::ENGLISH,
        )
        .to_string()
    };
    assert_eq!(
        describe(commented, Some("commented"), Some(&quiz())),
        "Commented on Forklift Quiz"
    );
    assert_eq!(describe(commented, None, None), "Commented");
    assert_eq!(describe("urn:x:on", Some("carried on"), None), "Carried on");
    assert_eq!(
        describe("http://id.tincanapi.com/verb/earned", None, Some(&quiz())),
        "Earned Forklift Quiz"
    );
}

#[test]
fn waived_and_satisfied_read_as_what_they_are() {
    for (iri, success, expected) in [
        (WAIVED, None, "Waived Fire Safety"),
        (SATISFIED, Some(true), "Satisfied Fire Safety"),
        (
            "http://adlnet.gov/expapi/verbs/mastered",
            Some(true),
            "Passed Fire Safety",
        ),
    ] {
        let activity = Projected {
            success,
            ..done(Action::Completed)
        };
        let (person, verb) = (testing::person("ada"), testing::verb(iri, Some("x")));
        let sentence = Description::new(
            &activity,
            &person,
            Some(&fire_safety()),
            &verb,
            None,
            Language::ENGLISH,
        );
        assert_eq!(sentence.to_string(), expected);
    }
}

#[test]
fn part_is_named_before_its_content() {
    let mut answered = Projected {
        part: Some("\"What is a hazard?\"".to_owned()),
        ..done(Action::Answered)
    };
    answered.score.percent = Some(Percent(0));
    let (person, verb) = (testing::person("ada"), testing::verb("urn:x:verb", None));
    let description = Description::new(&answered, &person, Some(&quiz()), &verb, None, Language::ENGLISH);
    assert_eq!(
        description.to_string(),
        "Answered \"What is a hazard?\" in Forklift Quiz scoring 0%"
    );
    let parts = serde_json::to_value(description.parts()).unwrap();
    let expected = serde_json::json!([
        {"text": "Answered ", "key": "answered"}, {"text": "\"What is a hazard?\" in "},
        {"text": "Forklift Quiz", "content": "forklift-quiz"}, {"text": " scoring 0%"},
    ]);
    assert_eq!(parts, expected);
}

#[test]
fn verbs_fit_their_objects() {
    let received = done(Action::ReceivedCertificateFor);
    let certificate = testing::content("c", "Certificate 4711");
    assert_eq!(
        sentence(&received, Some(&certificate)),
        "Received Certificate 4711"
    );
    assert_eq!(
        sentence(&done(Action::Unenrolled), Some(&quiz())),
        "Unenrolled from Forklift Quiz"
    );
    assert_eq!(sentence(&done(Action::Unenrolled), None), "Unenrolled");
}

#[test]
fn zero_duration_is_omitted() {
    let quick = Projected {
        seconds: Some(0),
        ..done(Action::Viewed)
    };
    assert_eq!(sentence(&quick, Some(&quiz())), "Viewed Forklift Quiz");
}
