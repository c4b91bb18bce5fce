//! A launch: the right of one started content to write about one person (`docs/specification.md#launches`).
//!
//! An LMS launches content for a user and gives the browser the token of the launch instead of a key of the organisation.
//! The token is bound to the user, the content and one registration. It is a [`Principal`](crate::access::Principal) of
//! its own, so what is not opened to it by name stays closed.

use secrecy::SecretString;
use serde::Serialize;
use strum::{Display, EnumString, IntoStaticStr};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::credential::secret::{has_secret_prefix, new_prefixed_secret};
use crate::access::error::AccessError;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};

/// The prefix of each token.
pub const LAUNCH_TOKEN_PREFIX: &str = "rbl_";

/// The prefix of each secret that is exchanged for a token of cmi5.
const FETCH_SECRET_PREFIX: &str = "rbf_";

/// The standard by which a content is launched.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LaunchStandard {
    /// xAPI content of an authoring tool: endpoint, authorisation and actor are in the query of the address.
    Xapi,
    /// An assignable unit of cmi5.
    Cmi5,
    /// A SCORM package in the player `scorm-again`.
    Scorm,
}

/// What a launch is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Display, EnumString, IntoStaticStr, Serialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LaunchMode {
    /// The user learns, and the results count.
    #[default]
    Normal,
    /// The user looks around. Nothing about the outcome is recorded.
    Browse,
    /// The user looks at a finished attempt again. Nothing about the outcome is recorded, and the states stay.
    Review,
}

impl LaunchStandard {
    /// All standards.
    pub const ALL: [Self; 3] = [Self::Xapi, Self::Cmi5, Self::Scorm];

    /// The key in JSON and in the database.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

impl LaunchMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Browse, Self::Review];

    /// The key in JSON and in the database.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

/// A launch with a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The organisation.
    pub org: OrgId,
    /// The launch's id, which is no secret.
    pub id: Uuid,
    /// The user for which the content was launched.
    pub user: UserId,
    /// The home page of the account by which statements name the user. The account's name is the user's id.
    pub account_home_page: String,
    /// The content's id in the catalogue.
    pub content: ContentId,
    /// The content's IRI, by which statements name it.
    pub activity: String,
    /// The attempt, or for cmi5 the enrolment.
    pub registration: Uuid,
    /// What the launch is for.
    pub mode: LaunchMode,
    /// The standard of the content.
    pub standard: LaunchStandard,
    /// The token is valid before this moment.
    pub expires_at: Timestamp,
}

/// Generates the token of a launch.
///
/// # Errors
///
/// [`AccessError::Random`] if the system provides no random bytes.
pub fn new_launch_token() -> Result<SecretString, AccessError> {
    new_prefixed_secret(LAUNCH_TOKEN_PREFIX)
}

/// Generates the secret in the address that returns the token of a unit of cmi5 once. It is no token.
///
/// # Errors
///
/// [`AccessError::Random`] if the system provides no random bytes.
pub fn new_fetch_secret() -> Result<SecretString, AccessError> {
    new_prefixed_secret(FETCH_SECRET_PREFIX)
}

/// Whether a password or token has the form of a launch's token.
pub fn is_launch_token(secret: &SecretString) -> bool {
    has_secret_prefix(secret, LAUNCH_TOKEN_PREFIX)
}

/// The caller id of a launch: `launch:<id>`. See [`Principal::caller_id`](crate::access::Principal::caller_id).
pub fn caller_of_launch(id: Uuid) -> String {
    format!("launch:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_differs_from_other_secrets() {
        assert!(is_launch_token(&new_launch_token().unwrap()));
        for other in [
            "",
            "rbl_",
            "rbk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "eyJhbGciOi.a.b",
        ] {
            assert!(!is_launch_token(&SecretString::from(other.to_owned())), "{other}");
        }
    }

    #[test]
    fn keys_parse_as_they_are_written() {
        for standard in LaunchStandard::ALL {
            assert_eq!(standard.key().parse(), Ok(standard));
        }
        for mode in LaunchMode::ALL {
            assert_eq!(mode.key().parse(), Ok(mode));
        }
    }
}
