//! The table between public xAPI activity types and what a content is.
//!
//! [`from_activity_type`] reads an activity type, [`to_activity_type`] gives the one to write.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::types::{ContentFormat, LearningType};

use ContentFormat as F;
use LearningType as T;

/// The type and format of a content that is not registered and that statements name with the activity type `iri`
/// (`docs/specification.md#unregistered-contents`).
///
/// An activity type that is not in the table gives an `item` of content type `other`. A trailing slash does not matter.
/// A content without an activity type has neither; this function is not called for it.
pub fn from_activity_type(iri: &str) -> (Option<LearningType>, Option<ContentFormat>) {
    match BY_IRI.get(iri.trim_end_matches('/')) {
        Some(&(learning_type, format)) => (Some(learning_type), format),
        None => (Some(LearningType::Item), Some(ContentFormat::Other)),
    }
}

/// Whether the activity type means a certificate, a badge or a credential, also in a vocabulary that the table lacks:
/// the last part of the IRI decides.
pub fn is_award(iri: &str) -> bool {
    const WORDS: &[&str] = &[
        "certificate",
        "certification",
        "badge",
        "credential",
        "diploma",
        "licence",
        "license",
    ];
    if from_activity_type(iri).0 == Some(T::Certification) {
        return true;
    }
    let last = iri
        .trim_end_matches('/')
        .rsplit(['/', '#', ':'])
        .next()
        .unwrap_or_default();
    let last_word = last.rsplit(['-', '_', '.']).next().unwrap_or_default();
    WORDS.iter().any(|word| last_word.eq_ignore_ascii_case(word))
}

/// The activity type to write in a statement about a content; `None` where no public activity type exists.
/// [`from_activity_type`] reads it back as the same pair.
pub fn to_activity_type(
    learning_type: Option<LearningType>,
    format: Option<ContentFormat>,
) -> Option<&'static str> {
    let learning_type = learning_type?;
    let exact = TABLE
        .iter()
        .find(|(_, row_type, row_format)| *row_type == learning_type && *row_format == format);
    // Activity types name the format of items only. A quiz that is a SCORM package is written as a quiz.
    let by_type = || {
        TABLE.iter().find(|(_, row_type, row_format)| {
            *row_type == learning_type && learning_type != LearningType::Item && row_format.is_none()
        })
    };
    exact.or_else(by_type).map(|(iri, _, _)| *iri)
}

static BY_IRI: LazyLock<HashMap<&'static str, (LearningType, Option<ContentFormat>)>> = LazyLock::new(|| {
    TABLE
        .iter()
        .map(|(iri, learning_type, format)| (*iri, (*learning_type, *format)))
        .collect()
});

/// Public activity types of ADL, the Tin Can registry, Activity Streams, cmi5, and the profiles video, audio, virtual
/// classroom, AcrossX, TLA and edlm. Where several rows have the same type and format, the first one is written. ADL's
/// `media` is left out, because it is as vague as `other`.
#[rustfmt::skip]
const TABLE: &[(&str, LearningType, Option<ContentFormat>)] = &[
    // An item without a format. No public activity type exists for it, so Rollbook defines one.
    ("urn:rollbook:type:item", T::Item, None),
    // Items, by format.
    ("https://w3id.org/xapi/video/activity-type/video", T::Item, Some(F::Video)),
    ("https://w3id.org/xapi/acrossx/activities/video", T::Item, Some(F::Video)),
    ("http://activitystrea.ms/schema/1.0/video", T::Item, Some(F::Video)),
    ("http://activitystrea.ms/video", T::Item, Some(F::Video)),
    ("http://activitystrea.ms/schema/1.0/article", T::Item, Some(F::Article)),
    ("http://activitystrea.ms/article", T::Item, Some(F::Article)),
    ("http://id.tincanapi.com/activitytype/blog", T::Item, Some(F::Article)),
    ("http://adlnet.gov/expapi/activities/lesson-content-page", T::Item, Some(F::Article)),
    ("http://id.tincanapi.com/activitytype/book", T::Item, Some(F::Book)),
    ("http://id.tincanapi.com/activitytype/chapter", T::Item, Some(F::Book)),
    ("http://adlnet.gov/expapi/activities/file", T::Item, Some(F::Document)),
    ("http://activitystrea.ms/schema/1.0/file", T::Item, Some(F::Document)),
    ("http://activitystrea.ms/file", T::Item, Some(F::Document)),
    ("http://id.tincanapi.com/activitytype/document", T::Item, Some(F::Document)),
    ("http://id.tincanapi.com/activitytype/slide-deck", T::Item, Some(F::Document)),
    ("http://id.tincanapi.com/activitytype/slide", T::Item, Some(F::Document)),
    ("https://w3id.org/xapi/audio/activity-type/audio", T::Item, Some(F::Audio)),
    ("http://activitystrea.ms/schema/1.0/audio", T::Item, Some(F::Audio)),
    ("http://activitystrea.ms/audio", T::Item, Some(F::Audio)),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/scorm-content-object", T::Item, Some(F::Scorm)),
    ("http://adlnet.gov/expapi/activities/module", T::Item, Some(F::Xapi)),
    ("http://adlnet.gov/expapi/activities/simulation", T::Item, Some(F::Xapi)),
    ("https://w3id.org/xapi/cmi5/activitytype/block", T::Item, Some(F::Xapi)),
    ("http://adlnet.gov/expapi/activities/course", T::Item, Some(F::Course)),
    ("https://w3id.org/xapi/cmi5/activitytype/course", T::Item, Some(F::Course)),
    ("http://adlnet.gov/expapi/activities/lesson", T::Item, Some(F::Course)),
    ("http://id.tincanapi.com/activitytype/lms/course", T::Item, Some(F::Course)),
    ("http://adlnet.gov/expapi/activities/link", T::Item, Some(F::Link)),
    ("https://w3id.org/xapi/acrossx/activities/webpage", T::Item, Some(F::Link)),
    ("https://w3id.org/xapi/acrossx/activities/page", T::Item, Some(F::Link)),
    ("http://activitystrea.ms/schema/1.0/page", T::Item, Some(F::Link)),
    ("http://activitystrea.ms/page", T::Item, Some(F::Link)),
    ("http://activitystrea.ms/schema/1.0/bookmark", T::Item, Some(F::Link)),
    ("http://id.tincanapi.com/activitytype/resource", T::Item, Some(F::Other)),
    // Collections of items.
    ("http://id.tincanapi.com/activitytype/playlist", T::Learnlist, None),
    ("http://activitystrea.ms/schema/1.0/collection", T::Learnlist, None),
    ("http://activitystrea.ms/collection", T::Learnlist, None),
    ("http://id.tincanapi.com/activitytype/category", T::Channel, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/course-category", T::Channel, None),
    ("http://id.tincanapi.com/activitytype/chat-channel", T::Channel, None),
    // Events.
    ("http://activitystrea.ms/schema/1.0/event", T::Event, None),
    ("http://activitystrea.ms/event", T::Event, None),
    ("http://adlnet.gov/expapi/activities/meeting", T::Event, None),
    ("http://id.tincanapi.com/activitytype/conference", T::Event, None),
    ("http://id.tincanapi.com/activitytype/conference-session", T::Event, None),
    ("https://w3id.org/xapi/virtual-classroom/activity-types/virtual-classroom", T::Event, None),
    ("https://w3id.org/xapi/acrossx/activities/face-to-face-discussion", T::Event, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/calendar-event", T::Event, None),
    // Quizzes and surveys.
    ("http://adlnet.gov/expapi/activities/assessment", T::Quiz, None),
    ("https://w3id.org/xapi/tla/activity-types/assessment", T::Quiz, None),
    ("http://id.tincanapi.com/activitytype/unit-test", T::Quiz, None),
    ("http://id.tincanapi.com/activitytype/survey", T::Survey, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/feedback", T::Survey, None),
    // Exercises.
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/assignment", T::Exercise, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/submission", T::Exercise, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/workshop", T::Exercise, None),
    ("http://id.tincanapi.com/activitytype/school-assignment", T::Exercise, None),
    ("http://adlnet.gov/expapi/activities/performance", T::Exercise, None),
    // Plans and certifications.
    ("http://id.tincanapi.com/activitytype/lms/program", T::LearningPlan, None),
    ("https://www.opigno.org/en/tincan_registry/activity_type/certificate", T::Certification, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/certificate", T::Certification, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/badge", T::Certification, None),
    ("https://w3id.org/xapi/tla/activity-types/badge", T::Certification, None),
    ("https://w3id.org/xapi/tla/activity-types/credential", T::Certification, None),
    ("http://activitystrea.ms/schema/1.0/badge", T::Certification, None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_each_activity_type_once() {
        assert_eq!(BY_IRI.len(), TABLE.len());
        assert!(TABLE.iter().all(|(iri, _, _)| !iri.ends_with('/')));
    }

    #[test]
    fn unknown_activity_type_is_an_item_of_format_other() {
        let video = "https://w3id.org/xapi/video/activity-type/video";
        assert_eq!(from_activity_type(video), (Some(T::Item), Some(F::Video)));
        assert_eq!(
            from_activity_type(&format!("{video}/")),
            (Some(T::Item), Some(F::Video))
        );
        assert_eq!(
            from_activity_type("http://adlnet.gov/expapi/activities/assessment"),
            (Some(T::Quiz), None)
        );
        assert_eq!(
            from_activity_type("https://example.com/thing"),
            (Some(T::Item), Some(F::Other))
        );
    }

    #[test]
    fn certificates_badges_and_credentials_are_awards() {
        for iri in [
            "https://w3id.org/xapi/tla/activity-types/badge",
            "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/certificate/",
            "https://example.org/types/open-badge",
            "urn:example:Credential",
        ] {
            assert!(is_award(iri), "{iri}");
        }
        for iri in [
            "http://id.tincanapi.com/activitytype/resource",
            "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/feedback",
            "https://example.org/types/badge-album",
        ] {
            assert!(!is_award(iri), "{iri}");
        }
    }

    #[test]
    fn written_activity_type_is_read_as_the_same_pair() {
        for learning_type in LearningType::ALL {
            let formats: Vec<Option<ContentFormat>> = match learning_type {
                T::Item => ContentFormat::ALL.iter().copied().map(Some).collect(),
                _ => vec![None],
            };
            for format in formats {
                let iri = to_activity_type(Some(*learning_type), format).unwrap();
                assert_eq!(from_activity_type(iri), (Some(*learning_type), format));
            }
        }
        assert_eq!(
            to_activity_type(Some(T::Quiz), Some(F::Scorm)),
            to_activity_type(Some(T::Quiz), None)
        );
        let item = to_activity_type(Some(T::Item), None).unwrap();
        assert_eq!(from_activity_type(item), (Some(T::Item), None));
        assert_eq!(to_activity_type(None, Some(F::Video)), None);
    }
}
