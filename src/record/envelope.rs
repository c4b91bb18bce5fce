//! What Rollbook knows of a record besides its statement (product text, sections 1 and 6).

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::base::timestamp;

/// What Rollbook knows of a record besides its statement. It is kept as JSON beside the statement,
/// with what is unknown left out, and never comes from a statement's extensions. Members that are
/// not known here are passed over: a newer release may have written them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// By which door it came.
    pub origin: Origin,
    /// The kind of device that it was done on, or `api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// Who entered it, where that is not who it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_by: Option<UserId>,
    /// What they said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The system or content library that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The bulk import that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Uuid>,
    /// When what was completed expires, where the sender said so.
    #[serde(with = "timestamp::optional", skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
    /// The certificate that was awarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<AwardedCertificate>,
    /// The answers to a quiz's questions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<Response>,
    /// Whether the definitions in the statement may touch the catalogue (scope `define`).
    #[serde(skip_serializing_if = "is_false")]
    pub defines: bool,
    /// The `sha2` of attachments that came without their content, which lies at their `fileUrl`: whoever reads the
    /// statement gets none either, even where another statement brought it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_content: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A certificate as the record says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwardedCertificate {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends.
    #[serde(with = "timestamp::optional", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The answer to one question of a quiz.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The question's id or number.
    pub question: String,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What was answered.
    pub response: String,
    /// Whether that is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// The points for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// By which door a record came (product text, section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// `/xapi/statements`.
    #[default]
    Xapi,
    /// A SCORM commit.
    Scorm,
    /// A short-form activity from an integration.
    Api,
    /// Entered by a person: a short-form activity or a completion marked by hand.
    Manual,
    /// A bulk import.
    Import,
    /// Rollbook itself.
    System,
}

impl Origin {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::Xapi,
        Self::Scorm,
        Self::Api,
        Self::Manual,
        Self::Import,
        Self::System,
    ];

    /// The key in JSON, queries and exports.
    pub fn key(self) -> &'static str {
        match self {
            Self::Xapi => "xapi",
            Self::Scorm => "scorm",
            Self::Api => "api",
            Self::Manual => "manual",
            Self::Import => "import",
            Self::System => "system",
        }
    }

    /// The origin with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.key() == key)
    }

    /// The number by which it is stored; it never changes.
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

    /// The origin that is stored as this number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.code() == code)
    }
}

/// The key.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_left_out() {
        let text = serde_json::to_string(&Envelope::default()).unwrap();
        assert_eq!(text, r#"{"origin":"xapi"}"#);
    }

    #[test]
    fn an_envelope_reads_back_as_it_was_written() {
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
    fn keys_and_codes_lead_back() {
        for origin in Origin::ALL {
            assert_eq!(Origin::from_code(origin.code()), Some(origin));
            assert_eq!(Origin::from_key(origin.key()), Some(origin));
            assert_eq!(serde_json::to_string(&origin).unwrap(), format!("\"{origin}\""));
        }
        assert_eq!(Origin::from_code(0), None);
    }
}
