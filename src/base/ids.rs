//! The names of things: identifiers as types, so that no two kinds can be mixed up.
//!
//! The ids that organisations choose themselves ([`OrgId`], [`UserId`], [`TeamId`], [`GroupId`],
//! [`ContentId`]) are text of 1 to 255 characters without control characters. [`StatementId`] is
//! the UUID of an xAPI statement (xAPI 1.0.3, Data 2.4.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id an organisation may choose, in characters.
pub const MAX_ID_CHARACTERS: usize = 255;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_CHARACTERS`].
    #[error("an id has at most {MAX_ID_CHARACTERS} characters")]
    TooLong,
    /// The text holds a control character, U+0000 among them.
    #[error("an id must not hold control characters")]
    ControlCharacter,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes the text as an id, if it is one.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if text.is_empty() {
                    return Err(IdError::Empty);
                }
                if text.chars().count() > MAX_ID_CHARACTERS {
                    return Err(IdError::TooLong);
                }
                if text.chars().any(char::is_control) {
                    return Err(IdError::ControlCharacter);
                }
                Ok(Self(text))
            }

            /// The id as its owner wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The tenant: the `org` claim of a token, the organisation of a credential.
    OrgId
}
text_id! {
    /// A user, by the platform's own id.
    UserId
}
text_id! {
    /// A team, by the platform's own id.
    TeamId
}
text_id! {
    /// A group, by the platform's own id.
    GroupId
}
text_id! {
    /// A content, by the platform's own id, or by its IRI while nobody has registered it.
    ContentId
}

/// The id of a statement, which is also the id of its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatementId(pub Uuid);

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl ContentId {
    /// The id as storage has it. A content that nobody registered has its IRI as id, which may be longer
    /// than an id that somebody chooses.
    pub fn kept(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
