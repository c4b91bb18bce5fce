//! The caller that a verified token, credential or report key proves (product text, sections 4 and 9).

use std::borrow::Cow;

use uuid::Uuid;

use crate::access::claims::Reports;
use crate::access::credential::Credential;
use crate::access::permissions::Permissions;
use crate::access::role::Role;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

/// A person, as a verified token names them.
///
/// Whether the directory has them as deactivated is not known here: the app_state asks it and refuses.
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

/// One saved report, as its owner may see it at this moment (product text, section 9, "Report key").
///
/// It is nobody: it has no reach of its own, and stands for its owner only where its one report is read
/// ([`Principal::reader`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportKey {
    /// The key's id, which is no secret.
    pub id: Uuid,
    /// The one report that it opens.
    pub report: Uuid,
    /// The owner of the report, as the directory has them now; see [`Person::of_directory`].
    pub owner: Person,
}

/// Who asks: a person with a token, an integration with a credential, or a spreadsheet with the key of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody with a verified token.
    Person(Person),
    /// An integration or content with a verified `key:secret`.
    Credential(Credential),
    /// Whoever has the key of one report.
    ReportKey(ReportKey),
}

impl Person {
    /// Somebody as the directory has them, where nobody is asking (product text, section 4, "the directory's role
    /// counts where nobody is asking"): the role is the directory's, it knows no permissions, and its tree of managers
    /// says whose reports are whose. Whether they are active is the directory's to say, and the reader's to ask.
    ///
    /// There is no token, so none lasts: [`Person::expires_at`] is long past.
    pub fn of_directory(org: OrgId, user: UserId, role: Role) -> Self {
        Self {
            org,
            user,
            role,
            permissions: Permissions::default(),
            reports: None,
            expires_at: Timestamp::default(),
        }
    }
}

/// A user as stable text beside other callers, as [`Principal::caller_id`] has it: `user:<id>`.
pub fn caller_of_user(id: &str) -> String {
    format!("user:{id}")
}

/// A credential as stable text beside other callers, as [`Principal::caller_id`] has it: `key:<key>`.
pub fn caller_of_key(key: &str) -> String {
    format!("key:{key}")
}

impl Principal {
    /// The organisation that the caller belongs to: nothing outside it exists for them.
    pub fn org(&self) -> &OrgId {
        match self {
            Principal::Person(person) => &person.org,
            Principal::Credential(credential) => &credential.org,
            Principal::ReportKey(key) => &key.owner.org,
        }
    }

    /// The caller as stable text within the organisation, for cursors and recorders: `user:<id>`, `key:<key>` or
    /// `report-key:<id>`.
    pub fn caller_id(&self) -> String {
        match self {
            Principal::Person(person) => caller_of_user(person.user.as_str()),
            Principal::Credential(credential) => caller_of_key(&credential.key),
            Principal::ReportKey(key) => format!("report-key:{}", key.id),
        }
    }

    /// In whose name a report is read: the caller's own, or that of the owner whose key it is. Nothing but reading the
    /// report that [`ReportAccess`](crate::access::ReportAccess) opens may ask for it.
    pub fn reader(&self) -> Cow<'_, Principal> {
        match self {
            Principal::Person(_) | Principal::Credential(_) => Cow::Borrowed(self),
            Principal::ReportKey(key) => Cow::Owned(Principal::Person(key.owner.clone())),
        }
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
            Principal::Credential(_) | Principal::ReportKey(_) => None,
        }
    }

    /// The credential, where one asks.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Principal::Credential(credential) => Some(credential),
            Principal::Person(_) | Principal::ReportKey(_) => None,
        }
    }

    /// The report's key, where one asks.
    pub fn report_key(&self) -> Option<&ReportKey> {
        match self {
            Principal::ReportKey(key) => Some(key),
            Principal::Person(_) | Principal::Credential(_) => None,
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

impl From<ReportKey> for Principal {
    fn from(key: ReportKey) -> Self {
        Principal::ReportKey(key)
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

    /// The key of a report whose owner has this role in the directory.
    pub(crate) fn report_key(role: Role) -> ReportKey {
        ReportKey {
            id: Uuid::from_u128(1),
            report: Uuid::from_u128(2),
            owner: Person::of_directory(OrgId::new("acme").unwrap(), user("ada"), role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{credential, person, report_key};
    use super::*;

    #[test]
    fn a_caller_id_tells_people_from_keys() {
        assert_eq!(Principal::from(person(Role::Learner)).caller_id(), "user:ada");
        assert_eq!(Principal::from(credential(&[])).caller_id(), "key:moodle");
        let key = Principal::from(report_key(Role::Owner));
        assert_eq!(key.caller_id(), "report-key:00000000-0000-0000-0000-000000000001");
    }

    #[test]
    fn a_report_key_is_nobody_but_as_the_reader_of_its_report() {
        for role in Role::ALL {
            let key = Principal::from(report_key(role));
            assert_eq!((key.user(), key.role(), key.person()), (None, None, None));
            assert!(key.credential().is_none() && key.administrator().is_none());
            assert_eq!(key.org().as_str(), "acme");
            let owner = key.report_key().map(|key| key.owner.clone());
            assert_eq!(key.reader().person(), owner.as_ref());
        }
        for caller in [
            Principal::from(person(Role::Manager)),
            Principal::from(credential(&[])),
        ] {
            assert_eq!(*caller.reader(), caller);
            assert!(caller.report_key().is_none());
        }
    }

    #[test]
    fn the_directory_knows_a_role_and_nothing_beyond_it() {
        let curator = report_key(Role::Curator).owner;
        assert!(!curator.has_reporting_access());
        assert_eq!(
            (curator.permissions, curator.reports),
            (Permissions::default(), None)
        );
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
