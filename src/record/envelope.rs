//! The envelope of a record: the data that Rollbook stores beside the statement.
//!
//! See `docs/specification.md#envelope`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::base::json::exact_number;
use crate::base::timestamp;

/// The data that Rollbook stores beside a statement, as JSON. Unknown values are left out.
///
/// No value comes from the statement itself. Unknown members are ignored when an envelope is read, because a newer
/// release may have written them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// The way in which the record came to Rollbook.
    pub origin: Origin,
    /// The type of the device, or `api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The user that entered the record, if it is not the user that the record is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_by: Option<UserId>,
    /// The comment of the user that entered the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The system or content library from which the record comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The bulk import that the record belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Uuid>,
    /// The time at which the completion expires, if the client sent one.
    #[serde(with = "timestamp::optional", skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
    /// The awarded certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<AwardedCertificate>,
    /// The answers to the questions of a quiz.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<Response>,
    /// Whether the definitions in the statement may change the catalogue.
    #[serde(skip_serializing_if = "is_false")]
    pub defines: bool,
    /// The IRIs of the Activities of which the definition counts although `defines` is false: the sender may add missing
    /// definitions, and they had none. The writer decides it, so that a rebuild has the same result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added_definitions: Vec<String>,
    /// The `sha2` of the attachments that were sent without their content, only with a `fileUrl`. A client that reads
    /// the statement gets no content for them, even if Rollbook has the content from another statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_content: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A certificate that was awarded with a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwardedCertificate {
    /// The name of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time at which the certificate expires.
    #[serde(with = "timestamp::optional", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The answer to one question of a quiz.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The id or number of the question.
    pub question: String,
    /// The text of the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The answer.
    pub response: String,
    /// Whether the answer is correct.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// The points for the answer.
    #[serde(with = "exact_number", skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The time to answer, in seconds.
    #[serde(with = "exact_number", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// The way in which a record came to Rollbook.
///
/// The key of a variant is its name in lower case. JSON, query parameters and exports use it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    utoipa::ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Origin {
    /// A statement sent to `/xapi/statements`.
    #[default]
    Xapi,
    /// A SCORM commit.
    Scorm,
    /// A short-form activity from an integration.
    Api,
    /// A short-form activity or a completion that a person entered.
    Manual,
    /// A bulk import.
    Import,
    /// A record that Rollbook itself wrote.
    System,
}

impl Origin {
    /// All origins, in the order of their codes.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The key in JSON, query parameters and exports.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The stored code. The code of a variant never changes.
    pub fn code(self) -> i16 {
        match self {
            Self::Xapi => 1,
            Self::Scorm => 2,
            Self::Api => 3,
            Self::Manual => 4,
            Self::Import => 5,
            Self::System => 6,
        }
    }

    /// The origin with this stored code.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|origin| origin.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unknown_values_are_left_out() {
        let text = serde_json::to_string(&Envelope::default()).unwrap();
        assert_eq!(text, r#"{"origin":"xapi"}"#);
    }

    #[test]
    fn envelope_is_equal_after_serialisation() {
        let at = timestamp::parse("2027-01-01T00:00:00.5Z").unwrap();
        let envelope = Envelope {
            origin: Origin::Manual,
            recorded_by: Some(UserId::new("ada").unwrap()),
            expired_at: Some(at),
            certificate: Some(AwardedCertificate {
                name: None,
                expires_at: Some(at),
            }),
            responses: vec![Response {
                question: "1".into(),
                correct: Some(false),
                ..Response::default()
            }],
            defines: true,
            without_content: vec!["ab".into()],
            ..Envelope::default()
        };
        let text = serde_json::to_string(&envelope).unwrap();
        assert!(
            text.contains(r#""expired_at":"2027-01-01T00:00:00.500Z""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
    }

    #[test]
    fn keys_and_codes_identify_their_origin() {
        for origin in Origin::ALL {
            assert_eq!(Origin::from_code(origin.code()), Some(*origin));
            assert_eq!(origin.key().parse(), Ok(*origin));
            assert_eq!(serde_json::to_string(origin).unwrap(), format!("\"{origin}\""));
        }
        assert_eq!(Origin::from_code(0), None);
    }

    fn times() -> impl Strategy<Value = Option<Timestamp>> {
        prop::option::of((Timestamp::MIN.micros()..=Timestamp::MAX.micros()).prop_map(Timestamp::from_micros))
    }

    proptest! {
        /// The stored text is read back exactly, also the last digit of a number and the last microsecond of a time.
        #[test]
        fn what_is_written_is_read_back(
            expired_at in times(), expires_at in times(), score in prop::num::f64::NORMAL | prop::num::f64::ZERO,
            seconds in 0.0f64..1e9, text in any::<String>(), defines in any::<bool>(), origin in 0..Origin::ALL.len(),
        ) {
            let envelope = Envelope {
                origin: Origin::ALL[origin],
                device_type: Some(text.clone()),
                comment: Some(text.clone()),
                source: None,
                import: Some(Uuid::from_u128(7)),
                recorded_by: UserId::new(text.clone()).ok(),
                expired_at,
                certificate: Some(AwardedCertificate { name: Some(text.clone()), expires_at }),
                responses: vec![Response {
                    question: text.clone(),
                    response: text.clone(),
                    score: Some(score),
                    seconds: Some(seconds),
                    ..Response::default()
                }],
                defines,
                added_definitions: vec![text.clone()],
                without_content: vec![text],
            };
            let text = serde_json::to_string(&envelope).unwrap();
            prop_assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
        }
    }
}
