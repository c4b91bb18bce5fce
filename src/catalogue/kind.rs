//! What a content is: its [`ContentType`] (`item`, `quiz`, …) and, for what is consumed, its
//! [`ContentKind`] (`video`, `article`, …), as the product text lists them in section 5.
//!
//! The table between public xAPI activity types and these two is data, in one place at the end of
//! this file: [`from_activity_type`] reads it, [`to_activity_type`] gives the way back.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $key:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $key)] $variant,)+
        }

        impl $name {
            /// All of them, in the order of the product text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON and in parameters.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// The name that people read, as in the CSV.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The number that storage keeps; it never changes its meaning.
            pub const fn code(self) -> i16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The one with that number, if there is one.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The one with that key, exactly as written.
            pub fn from_key(key: &str) -> Option<Self> {
                match key { $($key => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.key())
            }
        }
    };
}

closed_list! {
    /// The type of a content: the field `type` of the product text, section 5.
    ContentType {
        /// A single thing to learn from: an article, a video, a course.
        Item = 1, "item", "Item";
        /// A list of items.
        Learnlist = 2, "learnlist", "Learnlist";
        /// A channel of contents.
        Channel = 3, "channel", "Channel";
        /// Something that takes place at a time.
        Event = 4, "event", "Event";
        /// Questions with a result.
        Quiz = 5, "quiz", "Quiz";
        /// Questions without a result.
        Survey = 6, "survey", "Survey";
        /// Work that is handed in and graded.
        Exercise = 7, "exercise", "Exercise";
        /// A plan that is assigned and worked through.
        LearningPlan = 8, "learning_plan", "Learning plan";
        /// A certification.
        Certification = 9, "certification", "Certification";
    }
}

closed_list! {
    /// How an item is consumed: the field `content_type` of the product text, section 5.
    ContentKind {
        /// Watched.
        Video = 1, "video", "Video";
        /// Read.
        Article = 2, "article", "Article";
        /// Read.
        Book = 3, "book", "Book";
        /// Read.
        Document = 4, "document", "Document";
        /// Listened to.
        Audio = 5, "audio", "Audio";
        /// A SCORM package.
        Scorm = 6, "scorm", "SCORM";
        /// A package that speaks xAPI, cmi5 among them.
        Xapi = 7, "xapi", "xAPI";
        /// A course of any other make.
        Course = 8, "course", "Course";
        /// A page elsewhere.
        Link = 9, "link", "Link";
        /// Anything else.
        Other = 10, "other", "Other";
    }
}

/// What a content is that a statement names with the activity type `iri` and that nobody has
/// registered (product text, section 5).
///
/// A type that is not in the table is an `item` of content type `other`: it is something that
/// somebody did something with, and no more is known. A trailing slash doesn't matter. Where a
/// definition has no type at all there is nothing to ask here, and the content has neither.
pub fn from_activity_type(iri: &str) -> (Option<ContentType>, Option<ContentKind>) {
    match BY_IRI.get(iri.trim_end_matches('/')) {
        Some(&(kind, content_type)) => (Some(kind), content_type),
        None => (Some(ContentType::Item), Some(ContentKind::Other)),
    }
}

/// The activity type that a statement about such a content is written with; `None` where no
/// public type says it. [`from_activity_type`] reads back the same pair.
pub fn to_activity_type(
    kind: Option<ContentType>,
    content_type: Option<ContentKind>,
) -> Option<&'static str> {
    let kind = kind?;
    let exact = TABLE.iter().find(|(_, k, c)| *k == kind && *c == content_type);
    // Only an item's content type has names of its own; a quiz that is a SCORM package is written as
    // the quiz it is.
    let by_type = || {
        TABLE
            .iter()
            .find(|(_, k, c)| *k == kind && kind != ContentType::Item && c.is_none())
    };
    exact.or_else(by_type).map(|(iri, _, _)| *iri)
}

static BY_IRI: LazyLock<HashMap<&'static str, (ContentType, Option<ContentKind>)>> = LazyLock::new(|| {
    TABLE
        .iter()
        .map(|(iri, kind, content_type)| (*iri, (*kind, *content_type)))
        .collect()
});

use ContentKind as K;
use ContentType as T;

/// Public activity types: those of ADL, the Tin Can registry, Activity Streams, cmi5, the video, audio,
/// virtual classroom, AcrossX, TLA and edlm profiles. Of several for one pair the first is the one that is
/// written. ADL's `media` is left out: it says as little as `other`.
#[rustfmt::skip]
const TABLE: &[(&str, ContentType, Option<ContentKind>)] = &[
    // An item of which no more is said: no public type says that, so it is Rollbook's own.
    ("urn:rollbook:type:item", T::Item, None),
    // Items, by how they are consumed.
    ("https://w3id.org/xapi/video/activity-type/video", T::Item, Some(K::Video)),
    ("https://w3id.org/xapi/acrossx/activities/video", T::Item, Some(K::Video)),
    ("http://activitystrea.ms/schema/1.0/video", T::Item, Some(K::Video)),
    ("http://activitystrea.ms/video", T::Item, Some(K::Video)),
    ("http://activitystrea.ms/schema/1.0/article", T::Item, Some(K::Article)),
    ("http://activitystrea.ms/article", T::Item, Some(K::Article)),
    ("http://id.tincanapi.com/activitytype/blog", T::Item, Some(K::Article)),
    ("http://adlnet.gov/expapi/activities/lesson-content-page", T::Item, Some(K::Article)),
    ("http://id.tincanapi.com/activitytype/book", T::Item, Some(K::Book)),
    ("http://id.tincanapi.com/activitytype/chapter", T::Item, Some(K::Book)),
    ("http://adlnet.gov/expapi/activities/file", T::Item, Some(K::Document)),
    ("http://activitystrea.ms/schema/1.0/file", T::Item, Some(K::Document)),
    ("http://activitystrea.ms/file", T::Item, Some(K::Document)),
    ("http://id.tincanapi.com/activitytype/document", T::Item, Some(K::Document)),
    ("http://id.tincanapi.com/activitytype/slide-deck", T::Item, Some(K::Document)),
    ("http://id.tincanapi.com/activitytype/slide", T::Item, Some(K::Document)),
    ("https://w3id.org/xapi/audio/activity-type/audio", T::Item, Some(K::Audio)),
    ("http://activitystrea.ms/schema/1.0/audio", T::Item, Some(K::Audio)),
    ("http://activitystrea.ms/audio", T::Item, Some(K::Audio)),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/scorm-content-object", T::Item, Some(K::Scorm)),
    ("http://adlnet.gov/expapi/activities/module", T::Item, Some(K::Xapi)),
    ("http://adlnet.gov/expapi/activities/simulation", T::Item, Some(K::Xapi)),
    ("https://w3id.org/xapi/cmi5/activitytype/block", T::Item, Some(K::Xapi)),
    ("http://adlnet.gov/expapi/activities/course", T::Item, Some(K::Course)),
    ("https://w3id.org/xapi/cmi5/activitytype/course", T::Item, Some(K::Course)),
    ("http://adlnet.gov/expapi/activities/lesson", T::Item, Some(K::Course)),
    ("http://id.tincanapi.com/activitytype/lms/course", T::Item, Some(K::Course)),
    ("http://adlnet.gov/expapi/activities/link", T::Item, Some(K::Link)),
    ("https://w3id.org/xapi/acrossx/activities/webpage", T::Item, Some(K::Link)),
    ("https://w3id.org/xapi/acrossx/activities/page", T::Item, Some(K::Link)),
    ("http://activitystrea.ms/schema/1.0/page", T::Item, Some(K::Link)),
    ("http://activitystrea.ms/page", T::Item, Some(K::Link)),
    ("http://activitystrea.ms/schema/1.0/bookmark", T::Item, Some(K::Link)),
    ("http://id.tincanapi.com/activitytype/resource", T::Item, Some(K::Other)),
    // What is more than one item.
    ("http://id.tincanapi.com/activitytype/playlist", T::Learnlist, None),
    ("http://activitystrea.ms/schema/1.0/collection", T::Learnlist, None),
    ("http://activitystrea.ms/collection", T::Learnlist, None),
    ("http://id.tincanapi.com/activitytype/category", T::Channel, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/course-category", T::Channel, None),
    ("http://id.tincanapi.com/activitytype/chat-channel", T::Channel, None),
    // What takes place at a time.
    ("http://activitystrea.ms/schema/1.0/event", T::Event, None),
    ("http://activitystrea.ms/event", T::Event, None),
    ("http://adlnet.gov/expapi/activities/meeting", T::Event, None),
    ("http://id.tincanapi.com/activitytype/conference", T::Event, None),
    ("http://id.tincanapi.com/activitytype/conference-session", T::Event, None),
    ("https://w3id.org/xapi/virtual-classroom/activity-types/virtual-classroom", T::Event, None),
    ("https://w3id.org/xapi/acrossx/activities/face-to-face-discussion", T::Event, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/calendar-event", T::Event, None),
    // What asks questions.
    ("http://adlnet.gov/expapi/activities/assessment", T::Quiz, None),
    ("https://w3id.org/xapi/tla/activity-types/assessment", T::Quiz, None),
    ("http://id.tincanapi.com/activitytype/unit-test", T::Quiz, None),
    ("http://id.tincanapi.com/activitytype/survey", T::Survey, None),
    ("https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/feedback", T::Survey, None),
    // What is handed in.
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
    fn codes_and_keys_lead_back() {
        for kind in ContentType::ALL {
            assert_eq!(ContentType::from_code(kind.code()), Some(*kind));
            assert_eq!(ContentType::from_key(kind.key()), Some(*kind));
            assert_eq!(
                serde_json::to_string(kind).unwrap(),
                format!("\"{}\"", kind.key())
            );
        }
        for kind in ContentKind::ALL {
            assert_eq!(ContentKind::from_code(kind.code()), Some(*kind));
            assert_eq!(ContentKind::from_key(kind.key()), Some(*kind));
        }
        assert_eq!(ContentType::from_code(0), None);
        assert_eq!(ContentType::LearningPlan.label(), "Learning plan");
    }

    #[test]
    fn the_table_names_each_type_once() {
        assert_eq!(BY_IRI.len(), TABLE.len());
        assert!(TABLE.iter().all(|(iri, _, _)| !iri.ends_with('/')));
    }

    #[test]
    fn a_known_type_is_read_and_an_unknown_one_is_another_item() {
        let video = "https://w3id.org/xapi/video/activity-type/video";
        assert_eq!(from_activity_type(video), (Some(T::Item), Some(K::Video)));
        assert_eq!(
            from_activity_type(&format!("{video}/")),
            (Some(T::Item), Some(K::Video))
        );
        assert_eq!(
            from_activity_type("http://adlnet.gov/expapi/activities/assessment"),
            (Some(T::Quiz), None)
        );
        assert_eq!(
            from_activity_type("https://example.com/thing"),
            (Some(T::Item), Some(K::Other))
        );
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for kind in ContentType::ALL {
            let kinds: Vec<Option<ContentKind>> = match kind {
                T::Item => ContentKind::ALL.iter().copied().map(Some).collect(),
                _ => vec![None],
            };
            for content_type in kinds {
                let iri = to_activity_type(Some(*kind), content_type).unwrap();
                assert_eq!(from_activity_type(iri), (Some(*kind), content_type));
            }
        }
        assert_eq!(
            to_activity_type(Some(T::Quiz), Some(K::Scorm)),
            to_activity_type(Some(T::Quiz), None)
        );
        let item = to_activity_type(Some(T::Item), None).unwrap();
        assert_eq!(from_activity_type(item), (Some(T::Item), None));
        assert_eq!(to_activity_type(None, Some(K::Video)), None);
    }
}
