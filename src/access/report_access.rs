//! Which saved reports a caller may open (product text, section 9).
//!
//! As [`Scoped`](crate::access::Scoped) for the log: a query over reports takes a [`ReportAccess`], and only a
//! [`Principal`] who may open any can make one.
//!
//! | who | private ones | shared ones | changes |
//! | --- | --- | --- | --- |
//! | a person with reporting access | their own | all | their own |
//! | an owner or admin of the organisation | their own | all | what they see |
//! | a credential with `activities/read` | none | all | none |
//! | a report's key, its owner having reporting access | its one report | its one report | none |

use uuid::Uuid;

use crate::access::permit::{Action, OpenReports};
use crate::access::principal::Principal;
use crate::base::ids::{OrgId, UserId};

/// The reports that exist for a caller. A private one of somebody else's is not among them, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAccess {
    org: OrgId,
    user: Option<UserId>,
    only: Option<Uuid>,
    administers: bool,
}

impl ReportAccess {
    /// `None` for who may open no report.
    pub fn of(principal: &Principal) -> Option<Self> {
        OpenReports::allowed(principal).then(|| Self {
            org: principal.org().clone(),
            user: principal.reader().user().cloned(),
            only: principal.report_key().map(|key| key.report),
            administers: principal.administrator().is_some(),
        })
    }

    /// The organisation: no report of another one exists.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// Whose private reports are among them: the person's who asks, or the owner's whose key it is. A credential owns
    /// none.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The one report that there is, where a report's key asks; else `None`: no bound.
    pub fn only(&self) -> Option<Uuid> {
        self.only
    }

    /// Whether an owner or admin of the organisation asks, who may change what they see.
    pub fn administers(&self) -> bool {
        self.administers
    }

    /// Whether the caller may change or delete a report of this owner's, one that they see. A key changes nothing,
    /// its owner's neither.
    pub fn may_change(&self, owner: &UserId) -> bool {
        self.only.is_none() && (self.administers || self.user.as_ref() == Some(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::credential::CredentialScope;
    use crate::access::permissions::Permissions;
    use crate::access::principal::Person;
    use crate::access::principal::samples::{credential, person, report_key, user};
    use crate::access::role::Role;

    #[test]
    fn people_with_reporting_access_have_their_own_and_administrators_change_all() {
        for role in Role::ALL {
            for reporting in [false, true] {
                let caller = Person {
                    permissions: Permissions {
                        reporting,
                        mark_complete: true,
                        indirect_reports: true,
                    },
                    ..person(role)
                };
                let opens = match role {
                    Role::Learner => false,
                    Role::Curator => reporting,
                    _ => true,
                };
                let access = ReportAccess::of(&Principal::from(caller));
                assert_eq!(access.is_some(), opens, "{role} {reporting}");
                let Some(access) = access else { continue };
                let administers = matches!(role, Role::Owner | Role::Admin);
                assert_eq!(access.org().as_str(), "acme");
                assert_eq!((access.user(), access.only()), (Some(&user("ada")), None));
                assert_eq!(access.administers(), administers, "{role}");
                assert!(access.may_change(&user("ada")));
                assert_eq!(access.may_change(&user("bo")), administers, "{role}");
            }
        }
    }

    #[test]
    fn a_credential_owns_none_and_changes_none() {
        for scope in CredentialScope::ALL {
            let access = ReportAccess::of(&Principal::from(credential(&[scope])));
            assert_eq!(
                access.is_some(),
                scope == CredentialScope::ActivitiesRead,
                "{scope}"
            );
        }
        let access = ReportAccess::of(&Principal::from(credential(&CredentialScope::ALL))).unwrap();
        assert_eq!((access.user(), access.only()), (None, None));
        // A user may have the credential's key as their id.
        for id in ["ada", "moodle"] {
            assert!(!access.administers() && !access.may_change(&user(id)));
        }
    }

    #[test]
    fn a_key_has_one_report_and_changes_nothing() {
        for role in Role::ALL {
            let key = report_key(role);
            let access = ReportAccess::of(&Principal::from(key.clone()));
            let opens = !matches!(role, Role::Curator | Role::Learner);
            assert_eq!(access.is_some(), opens, "{role}");
            let Some(access) = access else { continue };
            assert_eq!(
                (access.user(), access.only()),
                (Some(&key.owner.user), Some(key.report))
            );
            assert!(!access.administers() && !access.may_change(&key.owner.user));
        }
    }
}
