//! What a content is: its [`LearningType`] (`item`, `quiz`, …) and its [`ContentFormat`] (`video`, `article`, …).
//!
//! JSON and parameters name the first `type` and the second `content_type`
//! (`docs/specification.md#types-and-content-types`).

use serde::{Deserialize, Serialize};
use strum::{Display, FromRepr, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::texts::Language;

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
    Item = 1,
    /// A list of items.
    Learnlist = 2,
    /// A channel of contents.
    Channel = 3,
    /// Something that takes place at a time.
    Event = 4,
    /// Questions with a result.
    Quiz = 5,
    /// Questions without a result.
    Survey = 6,
    /// Work that is handed in and graded.
    Exercise = 7,
    /// A plan that is assigned and worked through.
    LearningPlan = 8,
    /// A certification.
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
    Video = 1,
    /// Read.
    Article = 2,
    /// Read.
    Book = 3,
    /// Read.
    Document = 4,
    /// Listened to.
    Audio = 5,
    /// A SCORM package.
    Scorm = 6,
    /// A package that speaks xAPI, cmi5 among them.
    Xapi = 7,
    /// A course of any other make.
    Course = 8,
    /// A page elsewhere.
    Link = 9,
    /// Anything else.
    Other = 10,
}

/// The names and numbers of an enum that is stored by number and named by key. `$group` has its labels.
macro_rules! names_and_codes {
    ($($name:ident: $group:literal),+) => {$(
        impl $name {
            /// All values, in the order of their numbers.
            pub const ALL: &'static [Self] = Self::VARIANTS;

            /// The name in JSON and in parameters.
            pub fn key(self) -> &'static str {
                self.into()
            }

            /// The English name for people.
            pub fn label(self) -> &'static str {
                self.label_in(Language::ENGLISH)
            }

            /// The name for people, as in the CSV.
            pub fn label_in(self, language: Language) -> &'static str {
                language.label($group, self.key())
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

names_and_codes!(LearningType: "type", ContentFormat: "content-type");

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
