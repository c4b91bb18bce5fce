//! What a content is: its [`LearningType`] (`item`, `quiz`, …) and its [`ContentFormat`] (`video`, `article`, …).
//!
//! JSON and parameters name the first `type` and the second `content_type`
//! (`docs/specification.md#types-and-content-types`).

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, FromRepr, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// What a content is for: the field `type`. The numbers are stored, so they never change their meaning.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    Display,
    EnumMessage,
    FromRepr,
    IntoStaticStr,
    VariantArray,
)]
#[repr(i16)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = ContentType)]
pub enum LearningType {
    /// A single thing to learn from: an article, a video, a course.
    #[strum(message = "Item")]
    Item = 1,
    /// A list of items.
    #[strum(message = "Learnlist")]
    Learnlist = 2,
    /// A channel of contents.
    #[strum(message = "Channel")]
    Channel = 3,
    /// Something that takes place at a time.
    #[strum(message = "Event")]
    Event = 4,
    /// Questions with a result.
    #[strum(message = "Quiz")]
    Quiz = 5,
    /// Questions without a result.
    #[strum(message = "Survey")]
    Survey = 6,
    /// Work that is handed in and graded.
    #[strum(message = "Exercise")]
    Exercise = 7,
    /// A plan that is assigned and worked through.
    #[strum(message = "Learning plan")]
    LearningPlan = 8,
    /// A certification.
    #[strum(message = "Certification")]
    Certification = 9,
}

/// How a content is consumed: the field `content_type`. The numbers are stored, so they never change their meaning.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    Display,
    EnumMessage,
    FromRepr,
    IntoStaticStr,
    VariantArray,
)]
#[repr(i16)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = ContentKind)]
pub enum ContentFormat {
    /// Watched.
    #[strum(message = "Video")]
    Video = 1,
    /// Read.
    #[strum(message = "Article")]
    Article = 2,
    /// Read.
    #[strum(message = "Book")]
    Book = 3,
    /// Read.
    #[strum(message = "Document")]
    Document = 4,
    /// Listened to.
    #[strum(message = "Audio")]
    Audio = 5,
    /// A SCORM package.
    #[strum(message = "SCORM")]
    Scorm = 6,
    /// A package that speaks xAPI, cmi5 among them.
    #[strum(message = "xAPI")]
    Xapi = 7,
    /// A course of any other make.
    #[strum(message = "Course")]
    Course = 8,
    /// A page elsewhere.
    #[strum(message = "Link")]
    Link = 9,
    /// Anything else.
    #[strum(message = "Other")]
    Other = 10,
}

/// The names and numbers of an enum that is stored by number and named by key.
macro_rules! names_and_codes {
    ($($name:ident),+) => {$(
        impl $name {
            /// All values, in the order of their numbers.
            pub const ALL: &'static [Self] = Self::VARIANTS;

            /// The name in JSON and in parameters.
            pub fn key(self) -> &'static str {
                self.into()
            }

            /// The name for people, as in the CSV.
            pub fn label(self) -> &'static str {
                self.get_message().unwrap_or_default()
            }

            /// The number that is stored.
            pub const fn code(self) -> i16 {
                self as i16
            }

            /// The value with that number.
            pub const fn from_code(code: i16) -> Option<Self> {
                Self::from_repr(code)
            }
        }
    )+};
}

names_and_codes!(LearningType, ContentFormat);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_keys_lead_back_to_the_value() {
        for value in LearningType::ALL {
            assert_eq!(LearningType::from_code(value.code()), Some(*value));
            assert_eq!(
                serde_json::to_string(value).unwrap(),
                format!("\"{}\"", value.key())
            );
            assert!(!value.label().is_empty());
        }
        for value in ContentFormat::ALL {
            assert_eq!(ContentFormat::from_code(value.code()), Some(*value));
            assert_eq!(
                serde_json::to_string(value).unwrap(),
                format!("\"{}\"", value.key())
            );
            assert!(!value.label().is_empty());
        }
        assert_eq!(LearningType::from_code(0), None);
        assert_eq!(LearningType::LearningPlan.label(), "Learning plan");
        assert_eq!(ContentFormat::Xapi.label(), "xAPI");
    }
}
