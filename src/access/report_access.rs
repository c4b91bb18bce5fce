//! The saved reports that a caller may open (`docs/specification.md#saved-reports`).
//!
//! A query over reports takes a [`ReportAccess`], as a query over the log takes a [`Scoped`](crate::access::Scoped).
//! Only a [`Principal`] that may open reports makes one.
//!
//! | caller | private reports | shared reports | may change |
//! | --- | --- | --- | --- |
//! | person with reporting access | own | all | own |
//! | owner or admin of the organisation | own, and those of deactivated users | all | all visible ones |
//! | credential with `activities/read` | none | all | none |
//! | report key, while the owner has reporting access | its report | its report | none |

use uuid::Uuid;

use crate::access::permit::{Action, OpenReports};
use crate::access::principal::Principal;
use crate::base::ids::{OrgId, UserId};

/// The reports that exist for a caller. Private reports of other active users never do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAccess {
    org: OrgId,
    user: Option<UserId>,
    only: Option<Uuid>,
    administers: bool,
}

impl ReportAccess {
    /// The reports of a caller. `None` if the caller may not open reports.
    pub fn for_caller(principal: &Principal) -> Option<Self> {
        OpenReports::allowed(principal).then(|| Self {
            org: principal.org().clone(),
            user: principal.reader().user().cloned(),
            only: principal.report_key().map(|key| key.report),
            administers: principal.administrator().is_some(),
        })
    }

    /// The organisation. Reports of other organisations do not exist for the caller.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The user with access to private reports: the caller, or the owner of the report of a key. `None` for a
    /// credential.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The only report that exists, if the caller is a report key.
    pub fn only(&self) -> Option<Uuid> {
        self.only
    }

    /// Whether the caller is an owner or admin of the organisation: may change every visible report, and open the private
    /// reports of deactivated users.
    pub fn administers(&self) -> bool {
        self.administers
    }

    /// Whether the caller may change or delete a visible report of this owner. A report key may not.
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
    fn persons_change_their_own_reports_and_administrators_all() {
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
                let access = ReportAccess::for_caller(&Principal::from(caller));
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
    fn credential_owns_and_changes_no_report() {
        for scope in CredentialScope::ALL {
            let access = ReportAccess::for_caller(&Principal::from(credential(&[scope])));
            assert_eq!(
                access.is_some(),
                scope == CredentialScope::ActivitiesRead,
                "{scope}"
            );
        }
        let access = ReportAccess::for_caller(&Principal::from(credential(&CredentialScope::ALL))).unwrap();
        assert_eq!((access.user(), access.only()), (None, None));
        // A user may have the credential's key as their id.
        for id in ["ada", "moodle"] {
            assert!(!access.administers() && !access.may_change(&user(id)));
        }
    }

    #[test]
    fn report_key_opens_one_report_and_changes_none() {
        for role in Role::ALL {
            let key = report_key(role);
            let access = ReportAccess::for_caller(&Principal::from(key.clone()));
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
