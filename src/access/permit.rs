//! What a caller may do: one marker type for each thing, so that it can stand in the type of a
//! handler's argument (`Caller<ManageDirectory>`) and can't be forgotten.
//!
//! The sentences are those of the product text, section 4, "Who may see and do what". What a caller may
//! see *within* a permitted reading is the matter of [`crate::access::reach`].

use crate::access::credential::CredentialScope;
use crate::access::principal::{Person, Principal};
use crate::access::role::Role;

/// Something that a caller does, and whether they may.
pub trait Action {
    /// The action in words, for the refusal: `you may not {NAME}`.
    const NAME: &'static str;

    /// Whether this caller may do it. A refusal is 403.
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

        /// Every action with its rule, for tests that walk them all.
        #[cfg(test)]
        const EVERY: &[(&str, fn(&Principal) -> bool)] = &[$((stringify!($action), $action::allowed)),+];
    };
}

/// Whether the caller is a credential with the scope, by name or implied.
fn granted(principal: &Principal, scope: CredentialScope) -> bool {
    principal
        .credential()
        .is_some_and(|credential| credential.scopes.allows(scope))
}

/// Whether the caller is a credential that may at least read what the scope governs.
fn reads(principal: &Principal, scope: CredentialScope) -> bool {
    principal
        .credential()
        .is_some_and(|credential| credential.scopes.allows_reading(scope))
}

/// Whether the caller is an owner or an admin, or a credential with the scope.
fn administrator_or(principal: &Principal, scope: CredentialScope) -> bool {
    principal.administrator().is_some() || granted(principal, scope)
}

/// Whether the caller is a person with reporting access, or a credential that reads activities.
fn reads_reports(principal: &Principal) -> bool {
    principal.person().is_some_and(Person::has_reporting_access)
        || granted(principal, CredentialScope::ActivitiesRead)
}

actions! {
    /// Any person and any credential: what is the same for all, `/v1/actions` for one. The key of a report opens that
    /// report "and nothing else".
    SignedIn, "use this service", |principal| principal.report_key().is_none();

    /// "The reach binds every way out": every person reads the log within their reach; a credential
    /// needs `activities/read`.
    ReadActivities, "read activities", |principal| {
        principal.person().is_some() || granted(principal, CredentialScope::ActivitiesRead)
    };

    /// "Owner and admin: all of the … activities (recorded by them, origin `manual`)"; a credential needs
    /// `activities/write`.
    WriteActivities, "write activities", |principal| {
        administrator_or(principal, CredentialScope::ActivitiesWrite)
    };

    /// "Owner and admin: … and voidings": a credential never voids by `/v1` (`DELETE` is "owner,
    /// admin"); at `/xapi` it does with `statements/write`.
    VoidActivities, "void activities", |principal| principal.administrator().is_some();

    /// "Roles with reporting access … : saved reports"; a credential reads shared ones with `activities/read`. Which
    /// ones is the matter of [`ReportAccess`](crate::access::ReportAccess).
    ReadReports, "read saved reports", reads_reports;

    /// "Roles with reporting access … : saved reports", and with them their schedules; no credential, which is nobody's
    /// owner.
    ManageReports, "make or change saved reports", |principal| {
        principal.person().is_some_and(Person::has_reporting_access)
    };

    /// The rows of one saved report: whoever reads reports, and the key of that report, as long as its owner has
    /// reporting access.
    OpenReports, "open saved reports", |principal| {
        reads_reports(principal)
            || principal.report_key().is_some_and(|key| key.owner.has_reporting_access())
    };

    /// "Owner, admin, hr, and managers for their reports: notes": reading them as well as writing. About whom is the
    /// matter of [`Subjects`](crate::access::Subjects).
    Notes, "read or write notes", |principal| {
        principal
            .person()
            .is_some_and(|person| matches!(person.role, Role::Owner | Role::Admin | Role::Hr | Role::Manager))
    };

    /// "Owner, admin, and managers with `mark_complete` for their reports: completions"; no credential, which sends
    /// activities instead.
    MarkComplete, "mark content as complete for others", |principal| {
        principal.person().is_some_and(|person| {
            person.role.administers() || (person.role == Role::Manager && person.permissions.mark_complete)
        })
    };

    /// "Users are listed within the caller's reach" (section 3): every person reads the directory, as far as that
    /// goes; a credential needs `directory`.
    ReadDirectory, "read the directory", |principal| {
        principal.person().is_some() || granted(principal, CredentialScope::Directory)
    };

    /// "Owner and admin: all of the directory"; a credential needs `directory`.
    ManageDirectory, "change the directory", |principal| {
        administrator_or(principal, CredentialScope::Directory)
    };

    /// "Claiming another's is 409, an owner or admin may move it" (section 5, of identifiers): no
    /// credential moves one.
    MoveIdentifiers, "move identifiers from one user to another", |principal| {
        principal.administrator().is_some()
    };

    /// "Contents for all of the organisation" (section 3, of lists): every person reads the catalogue; a
    /// credential needs `catalogue`.
    ReadCatalogue, "read the catalogue", |principal| {
        principal.person().is_some() || granted(principal, CredentialScope::Catalogue)
    };

    /// "Owner and admin: all of the … catalogue"; a credential needs `catalogue`.
    ManageCatalogue, "change the catalogue", |principal| {
        administrator_or(principal, CredentialScope::Catalogue)
    };

    /// "Owner and admin: all of the … credentials"; a credential "never … makes keys".
    ManageCredentials, "manage credentials", |principal| principal.administrator().is_some();

    /// Every person reads their organisation's name and time zone; so does a credential with any scope
    /// of `/v1`, whose dates depend on that zone.
    ReadOrganisation, "read the organisation's settings", |principal| {
        principal.person().is_some()
            || principal.credential().is_some_and(|credential| credential.scopes.iter().any(|scope| !scope.is_xapi()))
    };

    /// Owner and admin, whose is all that an organisation's people may write; no credential.
    ManageOrganisation, "change the organisation's settings", |principal| {
        principal.administrator().is_some()
    };

    /// Statements are activities by another door (section 2): owner and admin write them; a credential
    /// needs `statements/write`.
    WriteStatements, "write statements", |principal| {
        administrator_or(principal, CredentialScope::StatementsWrite)
    };

    /// "At `/xapi`, a person's token whose reach is the organisation reads all statements; any other reads
    /// only statements whose actor is that one person": see [`Principal::statement_reach`]. A
    /// credential needs a scope to read statements, `statements/read/mine` at least.
    ReadStatements, "read statements", |principal| principal.statement_reach().is_some();

    /// "Its own Person object", or any where the reach is the organisation: see [`Principal::agent_reach`]. Who
    /// asks for another's is answered what they asked for. A credential needs a scope to read statements or
    /// profiles.
    ReadAgents, "read agents", |principal| {
        principal.statement_reach().is_some() || reads(principal, CredentialScope::Profile)
    };

    /// What an activity is says nothing of a person: every person reads it, as they read the catalogue; a
    /// credential needs a scope to read statements or profiles, or `define`.
    ReadActivityObjects, "read what activities are", |principal| {
        principal.statement_reach().is_some()
            || reads(principal, CredentialScope::Profile)
            || granted(principal, CredentialScope::Define)
    };

    /// "Its own state and profile documents", or all where the reach is the organisation: see
    /// [`Principal::document_reach`]. A credential needs `state`, or `all/read`.
    ReadState, "read state documents", |principal| {
        principal.person().is_some() || reads(principal, CredentialScope::State)
    };

    /// Owner and admin, whose is all that people's tokens may write at `/xapi`; a credential needs `state`.
    WriteState, "write state documents", |principal| administrator_or(principal, CredentialScope::State);

    /// Profiles of agents as [`ReadState`], those of activities for every person; a credential needs `profile`,
    /// or `all/read`.
    ReadProfiles, "read profile documents", |principal| {
        principal.person().is_some() || reads(principal, CredentialScope::Profile)
    };

    /// As [`WriteState`]; a credential needs `profile`.
    WriteProfiles, "write profile documents", |principal| {
        administrator_or(principal, CredentialScope::Profile)
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::permissions::Permissions;
    use crate::access::principal::samples::{credential, person, report_key};

    /// What each single scope opens, written out; what is not here is refused.
    fn opened_by(scope: CredentialScope) -> &'static [&'static str] {
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
            CredentialScope::ActivitiesWrite => &["WriteActivities", "ReadOrganisation"],
            CredentialScope::ActivitiesRead => {
                &["ReadActivities", "ReadReports", "OpenReports", "ReadOrganisation"]
            }
            CredentialScope::Directory => &["ReadDirectory", "ManageDirectory", "ReadOrganisation"],
            CredentialScope::Catalogue => &["ReadCatalogue", "ManageCatalogue", "ReadOrganisation"],
        }
    }

    #[test]
    fn each_scope_opens_its_own_doors_only() {
        for scope in CredentialScope::ALL {
            let caller = Principal::from(credential(&[scope]));
            for (name, allowed) in EVERY {
                let expected = *name == "SignedIn" || opened_by(scope).contains(name);
                assert_eq!(allowed(&caller), expected, "{scope} and {name}");
            }
        }
    }

    #[test]
    fn no_scope_opens_what_is_for_people() {
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
                "ManageOrganisation"
            ]
        );
    }

    #[test]
    fn owner_and_admin_write_and_everybody_reads() {
        let everybody = [
            "SignedIn",
            "ReadActivities",
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
                let expected = administers || notes || reports || everybody.contains(name);
                assert_eq!(allowed(&caller), expected, "{role} and {name}");
            }
        }
    }

    /// Whoever made it, whatever they may do themselves.
    #[test]
    fn a_report_key_opens_its_report_and_nothing_else() {
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
    fn a_permission_opens_reports_to_curators_and_to_no_learner() {
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
    fn a_permission_lets_managers_mark_and_nobody_else() {
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
