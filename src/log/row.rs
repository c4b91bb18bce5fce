//! A row of the log as the store reads it, and the details of its person, content and verb.
//!
//! A [`Row`] contains keys and the projection of its record. Names, titles, teams and tags are in [`PersonDetails`],
//! [`ContentDetails`] and [`VerbDetails`], which are joined when the log is read. A renamed user or content therefore
//! shows its new name in old activities too.

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::Identifier;

use super::projection::Projected;
use super::subject::GroupMembers;

/// The store's key of a person, which is one actor of the records. A user can have several persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(pub i64);

/// The store's key of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentKey(pub i64);

/// The store's key of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerbKey(pub i64);

/// A row of the log: keys, and the projection of its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The id of the statement and of the activity.
    pub id: StatementId,
    /// The order of recording. It orders rows with the same [`Projected::happened_at`].
    pub seq: i64,
    /// When the record was stored.
    pub stored_at: Timestamp,
    /// The person that the record is about.
    pub person: PersonKey,
    /// The verb of the record.
    pub verb: VerbKey,
    /// The content; `None` for sessions, for example.
    pub content: Option<ContentKey>,
    /// The projection of the record. Its action can be [`Visited`](super::Action::Visited) because of earlier sessions
    /// (docs/specification.md#sessions-and-visits).
    pub projected: Projected,
}

impl Row {
    /// The bytes of the texts that clients choose. They have no common limit.
    pub fn text_bytes(&self) -> usize {
        let projected = &self.projected;
        let texts = [
            &projected.response,
            &projected.comment,
            &projected.source,
            &projected.device_type,
            &projected.part,
        ];
        let certificate = projected.certificate.as_ref();
        let texts = texts
            .into_iter()
            .chain(certificate.map(|certificate| &certificate.name));
        texts.flatten().map(String::len).sum()
    }
}

/// A person of the log: a user of the directory, or an actor that no user claims.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonDetails {
    /// The key in rows.
    pub key: PersonKey,
    /// The user that claims this person, if any.
    pub user: Option<UserDetails>,
    /// The name of the actor, for a person without a user.
    pub name: Option<String>,
    /// The identifier of the actor; `None` for an anonymous group.
    pub identifier: Option<Identifier>,
    /// The members of the actor, if it is an anonymous group.
    pub group: Option<GroupMembers>,
}

impl PersonDetails {
    /// The bytes of the texts that can be long: names, custom fields and teams.
    pub fn long_text_bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| {
            let custom = user.custom.iter().map(|(name, value)| name.len() + value.len());
            let teams = user.secondary_teams.iter().chain(&user.team_ids).map(String::len);
            custom.chain(teams).sum()
        });
        user + self.name.as_ref().map_or(0, String::len)
    }

    /// The name to display, which is never empty.
    ///
    /// A user is shown by the full name, else the id. A person without a user is shown by the name in the records, else
    /// by the [short name](Identifier::short_name) of the identifier, and an anonymous group by its members.
    pub fn display_name(&self) -> String {
        if let Some(user) = &self.user {
            return user.full_name().unwrap_or_else(|| user.id.to_string());
        }
        let named = self.name.as_deref().filter(|name| !name.trim().is_empty());
        let name = named.or_else(|| self.identifier.as_ref().map(Identifier::short_name));
        name.map_or_else(
            || self.group.clone().unwrap_or_default().to_string(),
            str::to_owned,
        )
    }

    /// The identifier, if no user claims the person. The identifiers of a user belong to the directory, and the log shows
    /// none of them.
    pub fn unclaimed_identifier(&self) -> Option<&Identifier> {
        self.identifier.as_ref().filter(|_| self.user.is_none())
    }
}

/// The details of a user in the log and its exports, as they are in the directory now.
#[derive(Debug, Clone, PartialEq)]
pub struct UserDetails {
    /// The id.
    pub id: UserId,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether the user is active.
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
    /// The manager's id.
    pub manager: Option<UserId>,
    /// The manager's full name.
    pub manager_name: Option<String>,
    /// The name of the primary team.
    pub primary_team: Option<String>,
    /// The names of all other teams.
    pub secondary_teams: Vec<String>,
    /// The ids of the primary team and of all other teams, in the order of their names.
    pub team_ids: Vec<String>,
    /// When the user was deactivated.
    pub deactivated_at: Option<Timestamp>,
    /// The custom fields: name and value.
    pub custom: Vec<(String, String)>,
}

impl UserDetails {
    /// The details of an active user, without any but the id.
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
            manager: None,
            manager_name: None,
            primary_team: None,
            secondary_teams: Vec::new(),
            team_ids: Vec::new(),
            deactivated_at: None,
            custom: Vec::new(),
        }
    }

    /// First and last name with a space between them; `None` if both are unknown.
    pub fn full_name(&self) -> Option<String> {
        full_name(self.first_name.as_deref(), self.last_name.as_deref())
    }
}

/// First and last name with a space between them; `None` if both are unknown.
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

/// The details of a content in the log and its exports, as they are in the catalogue now.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentDetails {
    /// The key in rows.
    pub key: ContentKey,
    /// The id; the IRI for an unregistered content.
    pub id: ContentId,
    /// The IRI in statements.
    pub iri: String,
    /// The title.
    pub title: Option<String>,
    /// The type: item, quiz, event, …
    pub learning_type: Option<LearningType>,
    /// The format of an item: video, article, …
    pub content_type: Option<ContentFormat>,
    /// When the content was archived.
    pub archived_at: Option<Timestamp>,
    /// Tags.
    pub tags: Vec<String>,
    /// Labels for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// The content library.
    pub source: Option<String>,
    /// The address of the content.
    pub url: Option<String>,
}

impl ContentDetails {
    /// The bytes of the texts that can be long: title, tags and labels.
    pub fn long_text_bytes(&self) -> usize {
        let lists = self.tags.iter().chain(&self.cpd_labels).map(String::len);
        lists.sum::<usize>() + self.title.as_ref().map_or(0, String::len)
    }

    /// The title; the id if the content has no title.
    pub fn title_or_id(&self) -> &str {
        self.title
            .as_deref()
            .filter(|title| !title.trim().is_empty())
            .unwrap_or(self.id.as_str())
    }
}

/// The details of a verb in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct VerbDetails {
    /// The key in rows.
    pub key: VerbKey,
    /// The verb's IRI.
    pub iri: String,
    /// The display from statements, in English if possible.
    pub display: Option<String>,
}

/// The user that recorded an activity, with the current name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// The user's id.
    pub id: UserId,
    /// The full name; `None` if the user is not in the directory.
    pub name: Option<String>,
}

impl Recorder {
    /// The full name, else the id.
    pub fn name_or_id(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing;

    fn unclaimed(name: Option<&str>, identifier: Option<Identifier>) -> PersonDetails {
        PersonDetails {
            user: None,
            name: name.map(str::to_owned),
            identifier,
            ..testing::person("bob")
        }
    }

    #[test]
    fn every_person_has_a_name() {
        let mbox = || Some(Identifier::Mbox("mailto:visitor@example.com".to_owned()));
        assert_eq!(unclaimed(Some("A. Visitor"), mbox()).display_name(), "A. Visitor");
        for blank in [None, Some(""), Some(" \t")] {
            assert_eq!(unclaimed(blank, mbox()).display_name(), "visitor@example.com");
        }
        assert_eq!(unclaimed(None, None).display_name(), "Group without members");
        let user = testing::person("bob");
        assert_eq!(user.display_name(), "Bob Lee");
        let unnamed = PersonDetails {
            user: Some(UserDetails::new(UserId::new("bob").unwrap())),
            ..user
        };
        assert_eq!(unnamed.display_name(), "bob");
    }

    #[test]
    fn identifiers_of_users_are_not_shown() {
        let person = unclaimed(None, Some(Identifier::OpenId("http://id.example".to_owned())));
        assert!(person.unclaimed_identifier().is_some());
        let user = PersonDetails {
            user: testing::person("bob").user,
            ..person
        };
        assert_eq!(user.unclaimed_identifier(), None);
    }
}
