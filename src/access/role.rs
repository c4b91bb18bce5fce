//! The roles of users (`docs/specification.md#roles-and-reach`).

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};
use utoipa::ToSchema;

use crate::texts::Language;

/// The role of a user in the organisation. It determines the reach and the actions that are allowed.
///
/// In JSON, in tokens and in the database a role is its key, for example `learning_designer`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Display,
    EnumString,
    IntoStaticStr,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(
    serialize_all = "snake_case",
    parse_err_ty = UnknownRole,
    parse_err_fn = unknown_role
)]
pub enum Role {
    /// Owns the organisation: sees all of it and writes all of it.
    Owner,
    /// Administers the organisation: as an owner.
    Admin,
    /// Human resources: sees the organisation, and writes notes.
    Hr,
    /// Reports on the organisation: sees all of it.
    Reporter,
    /// Designs learning: sees the organisation.
    LearningDesigner,
    /// Curates content: sees the organisation with the permission `reporting`.
    Curator,
    /// Manages people: sees the own activities and those of the reports.
    Manager,
    /// Learns: sees the own activities. The role of a token without the claim `role`.
    #[default]
    Learner,
}

/// The error of a text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role; the roles are owner, admin, hr, reporter, learning_designer, curator, manager, learner")]
pub struct UnknownRole;

impl Role {
    /// All roles, in the order of the specification.
    pub const ALL: [Role; 8] = [
        Role::Owner,
        Role::Admin,
        Role::Hr,
        Role::Reporter,
        Role::LearningDesigner,
        Role::Curator,
        Role::Manager,
        Role::Learner,
    ];

    /// The key of the role.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The name of the role in files.
    pub fn label_in(self, language: Language) -> &'static str {
        language.label("role", self.key())
    }

    /// Whether the role may write the organisation's data: owners and admins may.
    pub const fn administers(self) -> bool {
        matches!(self, Role::Owner | Role::Admin)
    }
}

fn unknown_role(_: &str) -> UnknownRole {
    UnknownRole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_the_text_and_the_json_of_a_role() {
        for role in Role::ALL {
            assert_eq!(role.key().parse(), Ok(role));
            assert_eq!(
                serde_json::to_string(&role).unwrap(),
                format!("\"{}\"", role.key())
            );
            assert_eq!(
                serde_json::from_str::<Role>(&format!("\"{}\"", role.key())).unwrap(),
                role
            );
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_all_roles_listed() {
        for text in ["", "Owner", "learning designer", "superuser"] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole));
        }
        for role in Role::ALL {
            assert!(UnknownRole.to_string().contains(role.key()));
        }
    }

    #[test]
    fn labels_are_readable_names() {
        assert_eq!(
            Role::LearningDesigner.label_in(Language::ENGLISH),
            "Learning designer"
        );
        assert_eq!(Role::Hr.label_in(Language::ENGLISH), "HR");
        assert_eq!(Role::default(), Role::Learner);
    }
}
