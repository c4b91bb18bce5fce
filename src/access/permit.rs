//! The actions of callers and the rule that allows each (`docs/specification.md#callers-and-rights`).
//!
//! An action is a marker type. It is part of the type of a handler's argument (`Caller<ManageDirectory>`), so no handler
//! can forget the check. [`crate::access::reach`] decides what a caller sees within an allowed action.

use serde::Serialize;
use strum::VariantArray;
use utoipa::ToSchema;

use crate::access::credential::CredentialScope;
use crate::access::launch::LaunchStandard;
use crate::access::principal::{Person, Principal};
use crate::access::role::Role;

/// An action of a caller.
pub trait Action {
    /// The action in words, for the message `You may not {NAME}`.
    const NAME: &'static str;

    /// Whether the caller may do it. A refusal is answered with 403.
    fn allowed(principal: &Principal) -> bool;
}

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident, $name:literal, $allowed:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $action;

            impl Action for $action {
                const NAME: &'static str = $name;

                fn allowed(principal: &Principal) -> bool {
                    let allowed: fn(&Principal) -> bool = $allowed;
                    allowed(principal)
                }
            }
        )+

        /// An action by its name, for callers that ask what they may do. Its key never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, VariantArray)]
        #[serde(rename_all = "snake_case")]
        #[schema(as = AllowedAction)]
        pub enum ActionName {
            $($(#[$doc])* $action,)+
        }

        impl ActionName {
            /// Whether the caller may do it.
            pub fn is_allowed(self, principal: &Principal) -> bool {
                match self { $(Self::$action => $action::allowed(principal),)+ }
            }
        }

        /// Every action with its rule, for tests over all of them.
        #[cfg(test)]
        const EVERY: &[(&str, fn(&Principal) -> bool)] = &[$((stringify!($action), $action::allowed)),+];
    };
}

/// Whether the caller is a credential with the scope or with a scope that includes it.
fn has_scope(principal: &Principal, scope: CredentialScope) -> bool {
    principal
        .credential()
        .is_some_and(|credential| credential.scopes.allows(scope))
}

/// Whether the caller is a credential with a scope that at least reads what `scope` covers.
fn has_reading_scope(principal: &Principal, scope: CredentialScope) -> bool {
    principal
        .credential()
        .is_some_and(|credential| credential.scopes.allows_reading(scope))
}

/// Whether the caller is an owner or an admin, or a credential with the scope.
fn is_administrator_or_has_scope(principal: &Principal, scope: CredentialScope) -> bool {
    principal.administrator().is_some() || has_scope(principal, scope)
}

/// Whether the caller is a person with reporting access, or a credential that reads activities.
fn may_read_reports(principal: &Principal) -> bool {
    principal.person().is_some_and(Person::has_reporting_access)
        || has_scope(principal, CredentialScope::ActivitiesRead)
}

/// Whether the caller is a launch by a standard that uses `/xapi`. SCORM does not.
fn is_xapi_launch(principal: &Principal) -> bool {
    principal
        .launch()
        .is_some_and(|launch| matches!(launch.standard, LaunchStandard::Xapi | LaunchStandard::Cmi5))
}

/// Whether the caller may read statements at `/xapi`.
fn reads_statements(principal: &Principal) -> bool {
    match principal {
        Principal::Launch(_) => is_xapi_launch(principal),
        _ => principal.statement_reach().is_some(),
    }
}

actions! {
    /// Use what is the same for all callers, for example `/v1/actions`. Every person and every credential may; a report key
    /// and a launch may not.
    SignedIn, "use this service", |principal| principal.person().is_some() || principal.credential().is_some();

    /// Read the log within the reach. Every person may; a credential needs `activities/read`.
    ReadActivities, "read activities", |principal| {
        principal.person().is_some() || has_scope(principal, CredentialScope::ActivitiesRead)
    };

    /// Write activities. Owners and admins may; a credential needs `activities/write`.
    WriteActivities, "write activities", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::ActivitiesWrite)
    };

    /// Send and read the commits of SCORM packages. Every person may, about themselves only; a credential needs
    /// `activities/write` and names the learner; a launch by SCORM may for its user, content and registration.
    CommitScorm, "send the commits of SCORM packages", |principal| {
        principal.person().is_some()
            || has_scope(principal, CredentialScope::ActivitiesWrite)
            || principal.launch().is_some_and(|launch| launch.standard == LaunchStandard::Scorm)
    };

    /// Void an activity by `DELETE`. Owners and admins may. A credential may not; at `/xapi` it voids with
    /// `statements/write`.
    VoidActivities, "void activities", |principal| principal.administrator().is_some();

    /// Read saved reports. Persons with reporting access may; a credential needs `activities/read` and reads shared reports.
    /// [`ReportAccess`](crate::access::ReportAccess) decides about each report.
    ReadReports, "read saved reports", may_read_reports;

    /// Write saved reports and their schedules. Persons with reporting access may; credentials may not, since they own
    /// nothing.
    ManageReports, "make or change saved reports", |principal| {
        principal.person().is_some_and(Person::has_reporting_access)
    };

    /// Read the rows of a saved report. Callers that read reports may, and the key of the report while its owner has
    /// reporting access.
    OpenReports, "open saved reports", |principal| {
        may_read_reports(principal)
            || principal.report_key().is_some_and(|key| key.owner.has_reporting_access())
    };

    /// Read and write notes. Owners, admins and HR may, and managers about their reports.
    /// [`Subjects`](crate::access::Subjects) decides about each person.
    Notes, "read or write notes", |principal| {
        principal
            .person()
            .is_some_and(|person| matches!(person.role, Role::Owner | Role::Admin | Role::Hr | Role::Manager))
    };

    /// Mark content as complete for others. Owners and admins may, and managers with the permission `mark_complete` for
    /// their reports. A credential may not: it sends activities instead.
    MarkComplete, "mark content as complete for others", |principal| {
        principal.person().is_some_and(|person| {
            person.role.administers() || (person.role == Role::Manager && person.permissions.mark_complete)
        })
    };

    /// Read the directory within the reach. Every person may; a credential needs `directory`.
    ReadDirectory, "read the directory", |principal| {
        principal.person().is_some() || has_scope(principal, CredentialScope::Directory)
    };

    /// Follow the changes of the directory and the catalogue. Persons may that see the organisation; a credential needs
    /// `directory` or `catalogue` and follows what the scope covers.
    ReadDirectoryChanges, "follow the changes of the directory", |principal| {
        principal.person().is_some_and(Person::sees_organisation)
            || has_scope(principal, CredentialScope::Directory)
            || has_scope(principal, CredentialScope::Catalogue)
    };

    /// Change the directory. Owners and admins may; a credential needs `directory`.
    ManageDirectory, "change the directory", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::Directory)
    };

    /// Move an identifier from one user to another. Owners and admins may; credentials may not.
    MoveIdentifiers, "move identifiers from one user to another", |principal| {
        principal.administrator().is_some()
    };

    /// Read the catalogue. Every person may; a credential needs `catalogue`.
    ReadCatalogue, "read the catalogue", |principal| {
        principal.person().is_some() || has_scope(principal, CredentialScope::Catalogue)
    };

    /// Change the catalogue. Owners and admins may; a credential needs `catalogue`.
    ManageCatalogue, "change the catalogue", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::Catalogue)
    };

    /// Create, list and revoke credentials. Owners and admins may; credentials may not.
    ManageCredentials, "manage credentials", |principal| principal.administrator().is_some();

    /// Create, list and revoke launches. Owners and admins may; a credential needs `activities/write`.
    ManageLaunches, "launch content", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::ActivitiesWrite)
    };

    /// Create, read and change subscriptions. Owners and admins may; credentials may not.
    ManageSubscriptions, "manage subscriptions", |principal| principal.administrator().is_some();

    /// Read the organisation's settings. Every person may, and every credential with a scope of `/v1`: dates depend on the
    /// time zone.
    ReadOrganisation, "read the organisation's settings", |principal| {
        principal.person().is_some()
            || principal.credential().is_some_and(|credential| credential.scopes.iter().any(|scope| !scope.is_xapi()))
    };

    /// Change the organisation's settings. Owners and admins may; credentials may not.
    ManageOrganisation, "change the organisation's settings", |principal| {
        principal.administrator().is_some()
    };

    /// Write statements. Owners and admins may; a credential needs `statements/write`. A launch may by xAPI and cmi5, within
    /// the bounds of [`launches::bounds`](crate::launches::bounds).
    WriteStatements, "write statements", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::StatementsWrite) || is_xapi_launch(principal)
    };

    /// Read statements. Every person may, within [`Principal::statement_reach`]; a credential needs a scope that reads
    /// statements.
    ReadStatements, "read statements", reads_statements;

    /// Read Person objects. Every person may, within [`Principal::agent_reach`]; a credential needs a scope that reads
    /// statements or profiles. For another agent the answer contains only the identifier of the request.
    ReadAgents, "read agents", |principal| {
        reads_statements(principal) || has_reading_scope(principal, CredentialScope::Profile)
    };

    /// Read the definitions of activities, which contain nothing about persons. Every person may; a credential needs a scope
    /// that reads statements or profiles, or `define`.
    ReadActivityObjects, "read what activities are", |principal| {
        reads_statements(principal)
            || has_reading_scope(principal, CredentialScope::Profile)
            || has_scope(principal, CredentialScope::Define)
    };

    /// Read state documents. Every person may, within [`Principal::document_reach`]; a credential needs `state` or
    /// `all/read`.
    ReadState, "read state documents", |principal| {
        principal.person().is_some()
            || has_reading_scope(principal, CredentialScope::State)
            || is_xapi_launch(principal)
    };

    /// Write state documents. Owners and admins may; a credential needs `state`. A launch by xAPI or cmi5 writes those of its
    /// person, content and registration.
    WriteState, "write state documents", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::State) || is_xapi_launch(principal)
    };

    /// Read profile documents: those of agents as for [`ReadState`], those of activities for every person. A credential
    /// needs `profile` or `all/read`.
    ReadProfiles, "read profile documents", |principal| {
        principal.person().is_some()
            || has_reading_scope(principal, CredentialScope::Profile)
            || is_xapi_launch(principal)
    };

    /// Write profile documents. Owners and admins may; a credential needs `profile`. A launch by cmi5 writes the preferences
    /// of its person.
    WriteProfiles, "write profile documents", |principal| {
        is_administrator_or_has_scope(principal, CredentialScope::Profile)
            || principal.launch().is_some_and(|launch| launch.standard == LaunchStandard::Cmi5)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::launch::LaunchMode;
    use crate::access::permissions::Permissions;
    use crate::access::principal::samples::{credential, launch, person, report_key};

    /// The actions that each scope allows. All others are refused.
    fn allowed_by(scope: CredentialScope) -> &'static [&'static str] {
        match scope {
            CredentialScope::StatementsWrite => &["WriteStatements"],
            CredentialScope::StatementsReadMine | CredentialScope::StatementsRead => {
                &["ReadStatements", "ReadAgents", "ReadActivityObjects"]
            }
            CredentialScope::AllRead => &[
                "ReadStatements",
                "ReadAgents",
                "ReadActivityObjects",
                "ReadState",
                "ReadProfiles",
            ],
            CredentialScope::All => &[
                "WriteStatements",
                "ReadStatements",
                "ReadAgents",
                "ReadActivityObjects",
                "ReadState",
                "WriteState",
                "ReadProfiles",
                "WriteProfiles",
            ],
            CredentialScope::State => &["ReadState", "WriteState"],
            CredentialScope::Profile => &[
                "ReadAgents",
                "ReadActivityObjects",
                "ReadProfiles",
                "WriteProfiles",
            ],
            CredentialScope::Define => &["ReadActivityObjects"],
            CredentialScope::ActivitiesWrite => &[
                "WriteActivities",
                "CommitScorm",
                "ManageLaunches",
                "ReadOrganisation",
            ],
            CredentialScope::ActivitiesRead => {
                &["ReadActivities", "ReadReports", "OpenReports", "ReadOrganisation"]
            }
            CredentialScope::Directory => &[
                "ReadDirectory",
                "ReadDirectoryChanges",
                "ManageDirectory",
                "ReadOrganisation",
            ],
            CredentialScope::Catalogue => &[
                "ReadDirectoryChanges",
                "ReadCatalogue",
                "ManageCatalogue",
                "ReadOrganisation",
            ],
        }
    }

    #[test]
    fn each_scope_allows_only_its_actions() {
        for scope in CredentialScope::ALL {
            let caller = Principal::from(credential(&[scope]));
            for (name, allowed) in EVERY {
                let expected = *name == "SignedIn" || allowed_by(scope).contains(name);
                assert_eq!(allowed(&caller), expected, "{scope} and {name}");
            }
        }
    }

    #[test]
    fn actions_of_persons_are_refused_to_credentials() {
        let caller = Principal::from(credential(&CredentialScope::ALL));
        let closed: Vec<&str> = EVERY
            .iter()
            .filter(|(_, allowed)| !allowed(&caller))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            closed,
            [
                "VoidActivities",
                "ManageReports",
                "Notes",
                "MarkComplete",
                "MoveIdentifiers",
                "ManageCredentials",
                "ManageSubscriptions",
                "ManageOrganisation"
            ]
        );
    }

    #[test]
    fn owners_and_admins_write_and_all_persons_read() {
        let everybody = [
            "SignedIn",
            "ReadActivities",
            "CommitScorm",
            "ReadDirectory",
            "ReadCatalogue",
            "ReadOrganisation",
            "ReadStatements",
            "ReadAgents",
            "ReadActivityObjects",
            "ReadState",
            "ReadProfiles",
        ];
        for role in Role::ALL {
            let caller = Principal::from(person(role));
            for (name, allowed) in EVERY {
                let administers = matches!(role, Role::Owner | Role::Admin);
                let notes = *name == "Notes" && matches!(role, Role::Hr | Role::Manager);
                let reports = ["ReadReports", "ManageReports", "OpenReports"].contains(name)
                    && !matches!(role, Role::Curator | Role::Learner);
                let feed = *name == "ReadDirectoryChanges"
                    && !matches!(role, Role::Curator | Role::Manager | Role::Learner);
                let expected = administers || notes || reports || feed || everybody.contains(name);
                assert_eq!(allowed(&caller), expected, "{role} and {name}");
            }
        }
    }

    #[test]
    fn report_key_opens_its_report_and_nothing_else() {
        for role in Role::ALL {
            let caller = Principal::from(report_key(role));
            let access = !matches!(role, Role::Curator | Role::Learner);
            for (name, allowed) in EVERY {
                let expected = *name == "OpenReports" && access;
                assert_eq!(allowed(&caller), expected, "a key of a {role} and {name}");
            }
        }
    }

    #[test]
    fn launch_uses_the_xapi_resources_of_its_standard_and_nothing_else() {
        let xapi: &[&str] = &[
            "WriteStatements",
            "ReadStatements",
            "ReadAgents",
            "ReadActivityObjects",
            "ReadState",
            "WriteState",
            "ReadProfiles",
        ];
        for standard in LaunchStandard::ALL {
            let caller = Principal::from(launch(standard, LaunchMode::Normal));
            for (name, allowed) in EVERY {
                let expected = standard != LaunchStandard::Scorm && xapi.contains(name)
                    || standard == LaunchStandard::Cmi5 && *name == "WriteProfiles"
                    || standard == LaunchStandard::Scorm && *name == "CommitScorm";
                assert_eq!(allowed(&caller), expected, "a launch by {standard} and {name}");
            }
        }
    }

    #[test]
    fn reporting_permission_counts_for_curators_only() {
        for (role, expected) in [(Role::Curator, true), (Role::Learner, false)] {
            let caller = Principal::from(Person {
                permissions: Permissions {
                    reporting: true,
                    ..Permissions::default()
                },
                ..person(role)
            });
            for allowed in [ReadReports::allowed, ManageReports::allowed, OpenReports::allowed] {
                assert_eq!(allowed(&caller), expected, "{role}");
            }
        }
    }

    #[test]
    fn mark_complete_permission_counts_for_managers_only() {
        for role in Role::ALL {
            let caller = Principal::from(Person {
                permissions: Permissions {
                    mark_complete: true,
                    ..Permissions::default()
                },
                ..person(role)
            });
            let expected = matches!(role, Role::Owner | Role::Admin | Role::Manager);
            assert_eq!(MarkComplete::allowed(&caller), expected, "{role}");
        }
    }
}
