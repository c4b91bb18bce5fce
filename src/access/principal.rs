//! The verified caller: a person, a credential, the key of a saved report, or a launch.

use std::borrow::Cow;

use uuid::Uuid;

use crate::access::claims::Reports;
use crate::access::credential::{Credential, DefinitionRight};
use crate::access::launch::{Launch, caller_of_launch};
use crate::access::permissions::Permissions;
use crate::access::role::Role;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

/// A person with a verified token.
///
/// The token does not say whether the user is deactivated. The authentication asks the directory and refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The organisation, from `org`.
    pub org: OrgId,
    /// The user, from `sub`.
    pub user: UserId,
    /// The role for this request, from `role`.
    pub role: Role,
    /// The permissions beyond the role, from `permissions`.
    pub permissions: Permissions,
    /// The manager's reports, from `reports`. `None` if the claim is absent: then the directory's tree of managers
    /// decides.
    pub reports: Option<Reports>,
    /// When the token expires, from `exp`.
    pub expires_at: Timestamp,
}

/// The key of one saved report (`docs/specification.md#report-keys`).
///
/// It has no reach of its own. It acts for the owner of the report only when that report is read
/// ([`Principal::reader`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportKey {
    /// The key's id, which is no secret.
    pub id: Uuid,
    /// The one report that it opens.
    pub report: Uuid,
    /// The owner of the report with the role in the directory at this moment; see [`Person::from_directory`].
    pub owner: Person,
}

/// A verified caller: a person with a token, an integration with a credential, a client with the key of a report, or
/// content with the token of its launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A person with a verified token.
    Person(Person),
    /// An integration or content with a verified `key:secret`.
    Credential(Credential),
    /// A client with the key of one report.
    ReportKey(ReportKey),
    /// Content with the token of its launch.
    Launch(Launch),
}

impl Person {
    /// A user without a token, as a schedule or a report key needs one. The role is that of the directory, there are no
    /// permissions, and the directory's tree of managers decides about reports. The code that calls this checks that
    /// the user is active.
    ///
    /// [`Person::expires_at`] is in the past, since there is no token.
    pub fn from_directory(org: OrgId, user: UserId, role: Role) -> Self {
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

/// The caller id of a user: `user:<id>`. See [`Principal::caller_id`].
pub fn caller_of_user(id: &str) -> String {
    format!("user:{id}")
}

/// The caller id of a credential: `key:<key>`. See [`Principal::caller_id`].
pub fn caller_of_key(key: &str) -> String {
    format!("key:{key}")
}

impl Principal {
    /// The caller's organisation. Nothing outside it exists for the caller.
    pub fn org(&self) -> &OrgId {
        match self {
            Principal::Person(person) => &person.org,
            Principal::Credential(credential) => &credential.org,
            Principal::ReportKey(key) => &key.owner.org,
            Principal::Launch(launch) => &launch.org,
        }
    }

    /// A text that identifies the caller within the organisation: `user:<id>`, `key:<key>`, `report-key:<id>` or
    /// `launch:<id>`. Cursors and senders of records are compared by it.
    pub fn caller_id(&self) -> String {
        match self {
            Principal::Person(person) => caller_of_user(person.user.as_str()),
            Principal::Credential(credential) => caller_of_key(&credential.key),
            Principal::ReportKey(key) => format!("report-key:{}", key.id),
            Principal::Launch(launch) => caller_of_launch(launch.id),
        }
    }

    /// The principal under which a report is read: the caller, or the owner of the report if the caller is a report key.
    /// Only the code that reads the report of a [`ReportAccess`](crate::access::ReportAccess) may use it.
    pub fn reader(&self) -> Cow<'_, Principal> {
        match self {
            Principal::Person(_) | Principal::Credential(_) | Principal::Launch(_) => Cow::Borrowed(self),
            Principal::ReportKey(key) => Cow::Owned(Principal::Person(key.owner.clone())),
        }
    }

    /// What the definitions in the records of this caller may do. Persons that may write are administrators. Launched
    /// content gives the titles of its own questions and slides.
    pub fn definition_right(&self) -> DefinitionRight {
        match self {
            Principal::Person(_) => DefinitionRight::Change,
            Principal::Credential(credential) => credential.scopes.definition_right(),
            Principal::ReportKey(_) => DefinitionRight::None,
            Principal::Launch(_) => DefinitionRight::Add,
        }
    }

    /// The user, if the caller is a person.
    pub fn user(&self) -> Option<&UserId> {
        self.person().map(|person| &person.user)
    }

    /// The role, if the caller is a person. A credential has scopes instead.
    pub fn role(&self) -> Option<Role> {
        self.person().map(|person| person.role)
    }

    /// The person, if the caller is one.
    pub fn person(&self) -> Option<&Person> {
        match self {
            Principal::Person(person) => Some(person),
            Principal::Credential(_) | Principal::ReportKey(_) | Principal::Launch(_) => None,
        }
    }

    /// The credential, if the caller is one.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Principal::Credential(credential) => Some(credential),
            Principal::Person(_) | Principal::ReportKey(_) | Principal::Launch(_) => None,
        }
    }

    /// The report key, if the caller is one.
    pub fn report_key(&self) -> Option<&ReportKey> {
        match self {
            Principal::ReportKey(key) => Some(key),
            Principal::Person(_) | Principal::Credential(_) | Principal::Launch(_) => None,
        }
    }

    /// The launch, if the caller is launched content.
    pub fn launch(&self) -> Option<&Launch> {
        match self {
            Principal::Launch(launch) => Some(launch),
            Principal::Person(_) | Principal::Credential(_) | Principal::ReportKey(_) => None,
        }
    }

    /// The person, if the caller is an owner or an admin of the organisation.
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

impl From<Launch> for Principal {
    fn from(launch: Launch) -> Self {
        Principal::Launch(launch)
    }
}

impl From<ReportKey> for Principal {
    fn from(key: ReportKey) -> Self {
        Principal::ReportKey(key)
    }
}

/// Callers for the tests of this module.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::access::credential::{CredentialScope, Scopes};
    use crate::access::launch::{LaunchMode, LaunchStandard};
    use crate::base::ids::ContentId;

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

    /// The key of a report. Its owner has this role in the directory.
    pub(crate) fn report_key(role: Role) -> ReportKey {
        ReportKey {
            id: Uuid::from_u128(1),
            report: Uuid::from_u128(2),
            owner: Person::from_directory(OrgId::new("acme").unwrap(), user("ada"), role),
        }
    }

    /// A launch for the user `ada`.
    pub(crate) fn launch(standard: LaunchStandard, mode: LaunchMode) -> Launch {
        Launch {
            org: OrgId::new("acme").unwrap(),
            id: Uuid::from_u128(3),
            user: user("ada"),
            account_home_page: "https://acme.example".to_owned(),
            content: ContentId::new("fire-safety").unwrap(),
            activity: "https://acme.example/contents/fire-safety".to_owned(),
            registration: Uuid::from_u128(4),
            mode,
            standard,
            expires_at: Timestamp::from_micros(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{credential, launch, person, report_key};
    use super::*;
    use crate::access::launch::{LaunchMode, LaunchStandard};

    #[test]
    fn caller_id_distinguishes_the_kinds_of_callers() {
        assert_eq!(Principal::from(person(Role::Learner)).caller_id(), "user:ada");
        assert_eq!(Principal::from(credential(&[])).caller_id(), "key:moodle");
        let key = Principal::from(report_key(Role::Owner));
        assert_eq!(key.caller_id(), "report-key:00000000-0000-0000-0000-000000000001");
        let launch = Principal::from(launch(LaunchStandard::Xapi, LaunchMode::Normal));
        assert_eq!(launch.caller_id(), "launch:00000000-0000-0000-0000-000000000003");
    }

    #[test]
    fn launch_is_no_person_and_no_credential() {
        let caller = Principal::from(launch(LaunchStandard::Scorm, LaunchMode::Normal));
        assert_eq!(
            (caller.user(), caller.role(), caller.person()),
            (None, None, None)
        );
        assert!(caller.credential().is_none() && caller.report_key().is_none());
        assert!(caller.administrator().is_none());
        assert_eq!(caller.org().as_str(), "acme");
        assert_eq!(*caller.reader(), caller);
    }

    #[test]
    fn report_key_is_a_person_only_as_the_reader_of_its_report() {
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
    fn person_from_the_directory_has_no_permissions() {
        let curator = report_key(Role::Curator).owner;
        assert!(!curator.has_reporting_access());
        assert_eq!(
            (curator.permissions, curator.reports),
            (Permissions::default(), None)
        );
    }

    #[test]
    fn only_owners_and_admins_are_administrators() {
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
