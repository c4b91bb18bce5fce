//! The caller that a verified token or credential proves (product text, section 4).

use std::fmt::Write;

use crate::access::claims::Reports;
use crate::access::credential::Credential;
use crate::access::permissions::Permissions;
use crate::access::role::Role;
use crate::clock::Timestamp;
use crate::ids::{OrgId, UserId};

/// A person, as a verified token names them.
///
/// Whether the directory has them as deactivated is not known here: the edge asks it and refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The organisation, from `org`.
    pub org: OrgId,
    /// The user, from `sub`.
    pub user: UserId,
    /// The role for this request, from `role`.
    pub role: Role,
    /// What is granted beyond the role, from `permissions`.
    pub permissions: Permissions,
    /// The person's reports as the platform knows them, from `reports`. `None`: the claim is absent, and
    /// the directory's manager tree answers.
    pub reports: Option<Reports>,
    /// When the token ends, from `exp`: a stream ends then too (product text, section 13).
    pub expires_at: Timestamp,
}

/// Who asks: a person with a token, or an integration with a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody with a verified token.
    Person(Person),
    /// An integration or content with a verified `key:secret`.
    Credential(Credential),
}

impl Principal {
    /// The organisation that the caller belongs to: nothing outside it exists for them.
    pub fn org(&self) -> &OrgId {
        match self {
            Principal::Person(person) => &person.org,
            Principal::Credential(credential) => &credential.org,
        }
    }

    /// The caller as stable text within the organisation, for cursors and recorders: `user:<id>` or
    /// `key:<key>`.
    pub fn caller_id(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = match self {
            Principal::Person(person) => write!(text, "user:{}", person.user),
            Principal::Credential(credential) => write!(text, "key:{}", credential.key),
        };
        text
    }

    /// The user, where a person asks.
    pub fn user(&self) -> Option<&UserId> {
        self.person().map(|person| &person.user)
    }

    /// The role, where a person asks; a credential has scopes instead.
    pub fn role(&self) -> Option<Role> {
        self.person().map(|person| person.role)
    }

    /// The person, where one asks.
    pub fn person(&self) -> Option<&Person> {
        match self {
            Principal::Person(person) => Some(person),
            Principal::Credential(_) => None,
        }
    }

    /// The credential, where one asks.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Principal::Person(_) => None,
            Principal::Credential(credential) => Some(credential),
        }
    }

    /// The person, where it is an owner or an admin: who may write the organisation's data (product
    /// text, section 4).
    pub fn administrator(&self) -> Option<&Person> {
        self.person().filter(|person| person.role.administers())
    }
}

impl From<Person> for Principal {
    fn from(person: Person) -> Self {
        Principal::Person(person)
    }
}

impl From<Credential> for Principal {
    fn from(credential: Credential) -> Self {
        Principal::Credential(credential)
    }
}

/// Callers for the tests of this room.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::access::credential::{CredentialScope, Scopes};

    pub(crate) fn user(id: &str) -> UserId {
        UserId::new(id).unwrap()
    }

    pub(crate) fn person(role: Role) -> Person {
        Person {
            org: OrgId::new("acme").unwrap(),
            user: user("ada"),
            role,
            permissions: Permissions::default(),
            reports: None,
            expires_at: Timestamp::from_micros(0),
        }
    }

    pub(crate) fn credential(scopes: &[CredentialScope]) -> Credential {
        Credential {
            org: OrgId::new("acme").unwrap(),
            key: "moodle".to_owned(),
            scopes: scopes.iter().copied().collect::<Scopes>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{credential, person};
    use super::*;

    #[test]
    fn a_caller_id_tells_people_from_keys() {
        assert_eq!(Principal::from(person(Role::Learner)).caller_id(), "user:ada");
        assert_eq!(Principal::from(credential(&[])).caller_id(), "key:moodle");
    }

    #[test]
    fn only_owner_and_admin_administer() {
        for role in Role::ALL {
            let administers = Principal::from(person(role)).administrator().is_some();
            assert_eq!(administers, matches!(role, Role::Owner | Role::Admin), "{role}");
        }
        assert!(
            Principal::from(credential(&crate::access::CredentialScope::ALL))
                .administrator()
                .is_none()
        );
    }
}
