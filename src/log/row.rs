//! One row of the log as storage reads it, and the cards of what it points to.
//!
//! A [`Row`] is narrow: keys, and what the projection made of the record. Names, titles, teams and
//! tags stand on cards ([`PersonDetails`], [`ContentDetails`], [`VerbDetails`]) that are joined when the log
//! is read, so that a renamed user or content shows its new name everywhere (product text, section 2).

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::Identifier;

use super::projection::Projected;

/// The storage's own key of a person: one actor as records name them. A user may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(pub i64);

/// The storage's own key of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentKey(pub i64);

/// The storage's own key of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerbKey(pub i64);

/// One row of the log: the keys, and the projection of its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The statement's id, which is the activity's.
    pub id: StatementId,
    /// The order of recording: larger is later. It breaks ties of [`Projected::happened_at`].
    pub seq: i64,
    /// When the record was stored.
    pub stored_at: Timestamp,
    /// Who it is about.
    pub person: PersonKey,
    /// The verb that the record gave.
    pub verb: VerbKey,
    /// What was learned; `None` for logins and the like.
    pub content: Option<ContentKey>,
    /// What the record says, read as person, action, content, time and result. The action is
    /// [`Visited`](super::Action::Visited) where rule 8 made it that.
    pub projected: Projected,
}

/// A person as the log shows them: a user of the directory, or an actor that nobody claims.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonDetails {
    /// The key that rows hold.
    pub key: PersonKey,
    /// The user who owns this person, if somebody does.
    pub user: Option<UserDetails>,
    /// The name that the actor gave, for a person without a user.
    pub name: Option<String>,
    /// The identifier that the actor gave; a group without one has none.
    pub identifier: Option<Identifier>,
}

impl PersonDetails {
    /// The name to show: first and last name of a user, else the name that the record gave.
    pub fn display_name(&self) -> Option<String> {
        match &self.user {
            Some(user) => user.full_name(),
            None => self.name.clone(),
        }
    }
}

/// What the log and its exports show of a user: facts of the directory as they are now
/// (product text, sections 5 and 8).
#[derive(Debug, Clone, PartialEq)]
pub struct UserDetails {
    /// The platform's own id.
    pub id: UserId,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the user is active, and not deactivated.
    pub active: bool,
    /// The key of the role in the directory, such as `learning_designer`.
    pub role: Option<String>,
    /// Job title.
    pub job_title: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Location.
    pub location: Option<String>,
    /// The day on which the user joined, as `YYYY-MM-DD`.
    pub joined_on: Option<String>,
    /// The manager's full name.
    pub manager_name: Option<String>,
    /// The name of the primary team.
    pub primary_team: Option<String>,
    /// The names of all other teams.
    pub secondary_teams: Vec<String>,
    /// When the user was deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// The organisation's own fields: name and value.
    pub custom: Vec<(String, String)>,
}

impl UserDetails {
    /// A card with nothing on it but an id: an active user.
    pub fn new(id: UserId) -> Self {
        Self {
            id,
            first_name: None,
            last_name: None,
            email: None,
            active: true,
            role: None,
            job_title: None,
            language: None,
            location: None,
            joined_on: None,
            manager_name: None,
            primary_team: None,
            secondary_teams: Vec::new(),
            deactivated_at: None,
            custom: Vec::new(),
        }
    }

    /// First and last name with a space between them; `None` where neither is known.
    pub fn full_name(&self) -> Option<String> {
        full_name(self.first_name.as_deref(), self.last_name.as_deref())
    }
}

/// First and last name with a space between them; `None` where neither is known.
pub fn full_name(first: Option<&str>, last: Option<&str>) -> Option<String> {
    let parts: Vec<&str> = [first, last]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        None
    } else {
        Some(parts.join(" "))
    }
}

/// What the log and its exports show of a content: facts of the catalogue as they are now.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentDetails {
    /// The key that rows hold.
    pub key: ContentKey,
    /// The platform's own id, or the IRI while nobody has registered it.
    pub id: ContentId,
    /// The IRI that statements name it by.
    pub iri: String,
    /// The title.
    pub title: Option<String>,
    /// The type: item, quiz, event, …
    pub learning_type: Option<LearningType>,
    /// How an item is consumed: video, article, …
    pub content_type: Option<ContentFormat>,
    /// When it was archived, if it was.
    pub archived_at: Option<Timestamp>,
    /// Tags.
    pub tags: Vec<String>,
    /// Labels for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// The content library that it comes from.
    pub source: Option<String>,
    /// Where it is.
    pub url: Option<String>,
}

impl ContentDetails {
    /// The title; the id where it has none.
    pub fn shown_title(&self) -> &str {
        self.title
            .as_deref()
            .filter(|title| !title.is_empty())
            .unwrap_or(self.id.as_str())
    }
}

/// A verb as the log shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct VerbDetails {
    /// The key that rows hold.
    pub key: VerbKey,
    /// The verb's IRI.
    pub iri: String,
    /// The display that statements gave it, English first.
    pub display: Option<String>,
}

/// Who recorded an activity about somebody, with the name that the directory has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// The user's id.
    pub id: UserId,
    /// Their full name; `None` where the directory doesn't have them.
    pub name: Option<String>,
}

impl Recorder {
    /// The name to show: the full name, else the id.
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }
}
