//! The short form: an activity as clients send it to `POST /v1/activities` (docs/specification.md#short-form).
//!
//! [`ShortForm::parse`] reads a body. The store resolves its user and content ([`Resolved`]).
//! [`ShortForm::to_statement`] and [`ShortForm::envelope`] make the record. [`ShortForm::difference`] compares a repeated
//! activity with the stored record.
//!
//! A member with the value `null` counts as omitted.

mod compare;
mod derived_id;
mod parse;
mod write;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::{AwardedCertificate, Duration, Identifier, Iri, Response, Score};

use super::action::Action;

pub use parse::{MAX_COMMENT, MAX_RESPONSES, MAX_TERM, MAX_TEXT, MAX_TITLE, ShortFormRules};
pub use write::{Resolved, ResolvedContent};

/// An activity in short form.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortForm {
    /// The id from the client.
    pub id: Option<StatementId>,
    /// The user.
    pub user: UserRef,
    /// The action or verb.
    pub action: ActionOrVerb,
    /// The content.
    pub content: Option<ContentRef>,
    /// When the activity happened; `None`: now.
    pub happened_at: Option<Timestamp>,
    /// The result.
    pub result: ShortResult,
    /// The answers to the questions of a quiz.
    pub responses: Vec<Response>,
    /// The certificate that was awarded.
    pub certificate: Option<AwardedCertificate>,
    /// When the completion expires.
    pub expired_at: Option<Timestamp>,
    /// The type of the device.
    pub device_type: Option<String>,
    /// The system or content library from which the activity comes.
    pub source: Option<String>,
    /// The registration, which all records of one attempt share.
    pub registration: Option<Uuid>,
    /// The user that recorded the activity; from credentials only.
    pub recorded_by: Option<UserId>,
    /// The comment of the recorder; from credentials only.
    pub comment: Option<String>,
}

/// A reference to the user of an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// The id of a user. An unknown user is refused.
    Id(UserId),
    /// An e-mail address. No user needs to have it.
    Email {
        /// The address from the client.
        email: String,
        /// The identifier of the address.
        identifier: Identifier,
    },
    /// An xAPI agent. No user needs to claim it.
    Agent {
        /// The identifier.
        identifier: Identifier,
        /// The name.
        name: Option<String>,
    },
}

/// The member `action` or `verb` of an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionOrVerb {
    /// An action.
    Action(Action),
    /// Any verb.
    Verb(Iri),
}

impl ActionOrVerb {
    /// The IRI of the statement's verb.
    pub fn verb_iri(&self) -> String {
        match self {
            Self::Action(action) => action.written_verb(),
            Self::Verb(iri) => iri.as_str().to_owned(),
        }
    }
}

/// A reference to the content of an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentRef {
    /// The id of a content. An unknown content is refused.
    Id(ContentId),
    /// A content with its description. It is created if it does not exist.
    Described {
        /// The id or IRI.
        name: ContentName,
        /// The title.
        title: Option<String>,
        /// The type.
        learning_type: Option<LearningType>,
        /// The format of an item.
        content_type: Option<ContentFormat>,
    },
}

/// The id or IRI of a described content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentName {
    /// The id. An unknown content needs a title and a type.
    Id(ContentId),
    /// The IRI in statements.
    Iri(Iri),
}

impl ContentRef {
    /// Whether an unknown content can be created from this reference: an IRI is enough; an id needs a title and a type.
    pub fn can_create_content(&self) -> bool {
        match self {
            Self::Id(_) => false,
            Self::Described {
                name: ContentName::Iri(_),
                ..
            } => true,
            Self::Described {
                title,
                learning_type: kind,
                ..
            } => title.is_some() && kind.is_some(),
        }
    }
}

/// The result of an activity; empty if none was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShortResult {
    /// Whether the attempt succeeded.
    pub success: Option<bool>,
    /// Whether the attempt is complete.
    pub completion: Option<bool>,
    /// The score. A percentage is stored as `scaled`.
    pub score: Option<Score>,
    /// The duration.
    pub total_time: Option<Duration>,
    /// The response.
    pub response: Option<String>,
}
