//! A report's key: the password that opens one report and nothing else. See `docs/specification.md#report-keys`.
//!
//! Its secret is shown once and stored as a digest, like a credential's. Its [`PREFIX`] distinguishes it from other
//! passwords, because any user name may come with it.

use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::AccessError;
use crate::access::credential::{has_secret_prefix, new_prefixed_secret};
use crate::base::Form;
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::store::StoredReportKey;

/// The prefix of each secret.
pub const PREFIX: &str = "rbk_";

/// Creates a secret.
///
/// # Errors
///
/// The system has no random bytes.
pub fn new_key_secret() -> Result<SecretString, AccessError> {
    new_prefixed_secret(PREFIX)
}

/// Whether a password has the format of a report key's secret.
pub fn is_key_secret(password: &SecretString) -> bool {
    has_secret_prefix(password, PREFIX)
}

/// A key to a report, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000c", "name": "Power BI", "created_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct ReportKey {
    /// The id in its path.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<StoredReportKey> for ReportKey {
    fn from(stored: StoredReportKey) -> Self {
        Self {
            id: stored.id,
            name: stored.name,
            created_at: stored.created_at,
        }
    }
}

/// A new key with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000c", "name": "Power BI", "created_at": "2026-03-02T08:30:00.000Z",
    "secret": "rbk_3v9QmZ0yJkq1TnX8wBzR5uCeLhPaGdYf2iVs7oMxE4A"
}))]
pub struct CreatedReportKey {
    /// The key.
    #[serde(flatten)]
    pub key: ReportKey,
    /// The password of HTTP Basic, with any user name or none. It is not stored and can't be shown again.
    pub secret: String,
}

/// The body with which a client makes a key.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = NewReportKey, example = json!({"name": "Power BI"}))]
pub struct KeyForm {
    /// The name: 1 to 255 characters on one line.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

impl KeyForm {
    /// Parses a body with at most `depth` nested objects and arrays.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, place, faults| {
            let mut form = Form::from_node(node, place, "a key", &["name"], faults)?;
            super::report::parse_name(&mut form, "name").map(|name| Self { name })
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secret_differs_from_other_passwords() {
        let secret = new_key_secret().unwrap();
        assert!(is_key_secret(&secret));
        assert_eq!(secret.expose_secret().len(), 47);
        assert_ne!(secret.expose_secret(), new_key_secret().unwrap().expose_secret());
        let random = "a".repeat(43);
        for other in [
            String::new(),
            "rbk_".to_owned(),
            random.clone(),
            format!("rbk_{random}a"),
            format!("RBK_{random}"),
            format!("rbk_{}+", &random[1..]),
        ] {
            assert!(!is_key_secret(&SecretString::from(other.clone())), "{other}");
        }
    }

    #[test]
    fn name_is_the_only_member() {
        assert_eq!(KeyForm::parse(r#"{"name":"BI"}"#, 8).unwrap().name, "BI");
        for (text, pointer) in [
            ("{}", "/name"),
            (r#"{"name":"a\tb"}"#, "/name"),
            (r#"{"name":" BI"}"#, "/name"),
            (r#"{"name":"BI","secret":"rbk_"}"#, "/secret"),
            ("7", ""),
        ] {
            assert_eq!(
                KeyForm::parse(text, 8).unwrap_err().listed()[0].pointer,
                pointer,
                "{text}"
            );
        }
    }
}
