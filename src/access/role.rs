//! The roles of people (product text, section 4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is in their organisation: it decides whose activities they see and what they may
/// write (product text, section 4).
///
/// In JSON and in tokens it is its key, `learning_designer`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
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
    /// Curates content: sees the organisation where the permission `reporting` says so.
    Curator,
    /// Manages people: sees themselves and their reports.
    Manager,
    /// Learns: sees themselves. What a token without a role means.
    #[default]
    Learner,
}

/// Why a text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role; the roles are owner, admin, hr, reporter, learning_designer, curator, manager, learner")]
pub struct UnknownRole;

impl Role {
    /// Every role, in the order of the contract.
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

    /// The role as tokens, JSON and the database write it.
    pub const fn key(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Hr => "hr",
            Role::Reporter => "reporter",
            Role::LearningDesigner => "learning_designer",
            Role::Curator => "curator",
            Role::Manager => "manager",
            Role::Learner => "learner",
        }
    }

    /// The role as a person reads it, in a CSV cell for one (product text, section 8).
    pub const fn label(self) -> &'static str {
        match self {
            Role::Owner => "Owner",
            Role::Admin => "Admin",
            Role::Hr => "HR",
            Role::Reporter => "Reporter",
            Role::LearningDesigner => "Learning designer",
            Role::Curator => "Curator",
            Role::Manager => "Manager",
            Role::Learner => "Learner",
        }
    }

    /// Whether the role writes the organisation's data: owner and admin do (product text, section 4).
    pub const fn administers(self) -> bool {
        matches!(self, Role::Owner | Role::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Role::ALL
            .into_iter()
            .find(|role| role.key() == text)
            .ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_its_key_in_text_and_in_json() {
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
    fn keys_are_exact_and_the_refusal_names_them_all() {
        for text in ["", "Owner", "learning designer", "superuser"] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole));
        }
        for role in Role::ALL {
            assert!(UnknownRole.to_string().contains(role.key()));
        }
    }

    #[test]
    fn labels_are_for_people() {
        assert_eq!(Role::LearningDesigner.label(), "Learning designer");
        assert_eq!(Role::Hr.label(), "HR");
        assert_eq!(Role::default(), Role::Learner);
    }
}
