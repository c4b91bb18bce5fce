//! The short form: an activity as an integration or a person sends it to `POST /v1/activities`
//! (product text, section 6), read with every fault at its place.
//!
//! [`ShortForm::read`] says what was sent; whoever knows the directory and the catalogue turns its user
//! and its content into what a statement names ([`Resolved`]); [`ShortForm::to_statement`] and
//! [`ShortForm::envelope`] (in `short_form/write.rs`) make the record of it, and
//! [`ShortForm::difference`] (in `short_form/compare.rs`) says whether the same was sent before.
//!
//! A member that is `null` counts as left out.

mod compare;
mod read;
mod write;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::{AwardedCertificate, Duration, Identifier, Iri, Response, Score};

use super::action::Action;

pub use read::{MAX_COMMENT, MAX_RESPONSES, MAX_TERM, MAX_TEXT, MAX_TITLE, ShortFormRules};
pub use write::{Resolved, ResolvedContent};

/// An activity as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortForm {
    /// The id that the sender chose.
    pub id: Option<StatementId>,
    /// Who it is about.
    pub user: UserRef,
    /// What they did.
    pub did: Did,
    /// What was learned.
    pub content: Option<ContentRef>,
    /// When it happened; `None`: now.
    pub happened_at: Option<Timestamp>,
    /// The result.
    pub result: ShortResult,
    /// The answers to a quiz's questions.
    pub responses: Vec<Response>,
    /// The certificate that came with it.
    pub certificate: Option<AwardedCertificate>,
    /// When what was achieved expires.
    pub expired_at: Option<Timestamp>,
    /// The device.
    pub device_type: Option<String>,
    /// The system or content library that it comes from.
    pub source: Option<String>,
    /// What ties the records of one attempt together.
    pub registration: Option<Uuid>,
    /// Who did it to the user; only from a credential.
    pub recorded_by: Option<UserId>,
    /// What they said about it; only from a credential.
    pub comment: Option<String>,
}

/// Who an activity is about, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// A user of the directory; an unknown one is refused.
    Id(UserId),
    /// An e-mail address; nobody needs to have it yet.
    Email {
        /// The address as it was sent.
        email: String,
        /// The identifier that it is.
        identifier: Identifier,
    },
    /// An xAPI agent; nobody needs to be it yet.
    Agent {
        /// What identifies it.
        identifier: Identifier,
        /// Its name.
        name: Option<String>,
    },
}

/// What somebody did, as it was sent: `action` or `verb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// One of Rollbook's actions.
    Action(Action),
    /// Any verb.
    Verb(Iri),
}

impl Did {
    /// The IRI of the verb that the statement is written with.
    pub fn verb(&self) -> String {
        match self {
            Self::Action(action) => action.written_verb(),
            Self::Verb(iri) => iri.as_str().to_owned(),
        }
    }
}

/// What was learned, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentRef {
    /// A content of the catalogue; an unknown one is refused.
    Id(ContentId),
    /// A content with what makes it where it is missing.
    Described {
        /// How it is named.
        name: ContentName,
        /// Its title.
        title: Option<String>,
        /// Its type.
        learning_type: Option<LearningType>,
        /// How an item is consumed.
        content_type: Option<ContentFormat>,
    },
}

/// How a described content is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentName {
    /// By the platform's own id; where that is unknown, title and type are needed to make it.
    Id(ContentId),
    /// By the IRI that statements name it by.
    Iri(Iri),
}

impl ContentRef {
    /// Whether it says enough to make the content where the catalogue doesn't have it: an IRI does by
    /// itself, an id with a title and a type.
    pub fn makes_content(&self) -> bool {
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

/// The result of an activity as it was sent; empty where none was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShortResult {
    /// Whether it succeeded.
    pub success: Option<bool>,
    /// Whether it was done to its end.
    pub completion: Option<bool>,
    /// The score; a bare percentage has become `scaled`.
    pub score: Option<Score>,
    /// The time it took.
    pub total_time: Option<Duration>,
    /// What was answered.
    pub response: Option<String>,
}
