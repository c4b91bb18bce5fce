//! Ids as types: the compiler rejects an id of one kind where another kind is expected.
//!
//! An organisation chooses the ids of its users, teams, groups and contents. Such an id is text of 1 to 255
//! characters, as [`check_naming`] accepts it. [`StatementId`] is the UUID of an xAPI statement (xAPI 1.0.3, Data
//! 2.4.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::naming::{NamingError, check_naming};

/// The length of the longest id that an organisation may choose, in characters.
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
    /// The text contains a control character.
    #[error("an id must not contain control characters")]
    ControlCharacter,
    /// The text has white space around it, or a character that is not visible.
    #[error("an id {0}")]
    Naming(#[from] NamingError),
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and makes it an id.
            ///
            /// # Errors
            ///
            /// The text is empty or too long, or has characters that an id must not have.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if text.is_empty() {
                    return Err(IdError::Empty);
                }
                if text.chars().count() > MAX_ID_CHARACTERS {
                    return Err(IdError::TooLong);
                }
                $check(&text)?;
                Ok(Self(text))
            }

            /// The id as text.
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
    /// The id of an organisation: the `org` claim of a token, the organisation of a credential.
    OrgId, check_naming
}
text_id! {
    /// The id of a user.
    UserId, check_naming
}
text_id! {
    /// The id of a team.
    TeamId, check_naming
}
text_id! {
    /// The id of a group.
    GroupId, check_naming
}
text_id! {
    /// The id of a content. A content that is not registered has its IRI as id, which may contain characters that
    /// [`check_naming`] refuses. So an id is checked where a client chooses it.
    ContentId, refuse_control_characters
}

fn refuse_control_characters(text: &str) -> Result<(), IdError> {
    match text.chars().any(char::is_control) {
        true => Err(IdError::ControlCharacter),
        false => Ok(()),
    }
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
    /// The id as it is stored, without a check. The IRI of a content that is not registered may be longer than
    /// [`MAX_ID_CHARACTERS`].
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
