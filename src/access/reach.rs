//! The persons whose activities and statements a caller may see (`docs/specification.md#roles-and-reach`).
//!
//! The reach is resolved before any filter. [`crate::access::scope`] takes a part of it.

use uuid::Uuid;

use crate::access::claims::Reports;
use crate::access::credential::CredentialScope;
use crate::access::principal::{Person, Principal};
use crate::access::role::Role;
use crate::base::ids::UserId;

/// The settings of an organisation that a reach depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReachRules {
    /// Whether managers see their indirect reports without the permission `indirect_reports`.
    pub managers_see_indirect_reports: bool,
}

impl Default for ReachRules {
    /// The settings of a new organisation: managers see their indirect reports.
    fn default() -> Self {
        Self {
            managers_see_indirect_reports: true,
        }
    }
}

/// The persons whose activities a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every person of the organisation, including persons that belong to no user.
    Organisation,
    /// A manager and their reports.
    Reports {
        /// The manager. The manager's own activities are part of the reach.
        manager: UserId,
        /// Whether the reach includes the indirect reports.
        indirect: bool,
        /// The reports from the token. `None` if the directory's tree of managers decides.
        known: Option<Reports>,
    },
    /// One person.
    Only(UserId),
}

/// The statements that a caller may read at `/xapi/statements`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementReach {
    /// All statements of the organisation.
    Organisation,
    /// Statements with this person as the actor.
    ActorIs(UserId),
    /// Statements that the credential with this key sent (scope `statements/read/mine`).
    SentBy(String),
    /// Statements with this person as the actor and this registration (a launch).
    Attempt {
        /// The person.
        user: UserId,
        /// The registration.
        registration: Uuid,
    },
}

impl Principal {
    /// The caller's reach in the log. `None` for a credential without `activities/read`, a report key and a launch.
    ///
    /// - owner, admin, hr, reporter, learning designer: the organisation;
    /// - curator: the organisation with the permission `reporting`, otherwise the person;
    /// - manager: the person and the direct reports. The indirect reports too, with the permission `indirect_reports` or
    ///   if the organisation's setting allows it;
    /// - learner: the person;
    /// - credential: the organisation;
    /// - report key: none; see [`Principal::reader`];
    /// - launch: none.
    pub fn reach(&self, rules: &ReachRules) -> Option<Reach> {
        match self {
            Principal::Person(person) => Some(person.reach(rules)),
            Principal::Credential(credential) => credential
                .scopes
                .allows(CredentialScope::ActivitiesRead)
                .then_some(Reach::Organisation),
            Principal::ReportKey(_) | Principal::Launch(_) => None,
        }
    }

    /// The statements that the caller may read at `/xapi/statements`. `None` for a credential without a scope that reads
    /// statements and for a report key.
    ///
    /// A person with a reach of the organisation reads all statements. Any other person, a manager too, reads the
    /// statements with that person as the actor. A launch reads those of its person and registration.
    pub fn statement_reach(&self) -> Option<StatementReach> {
        match self {
            Principal::Person(person) if person.sees_organisation() => Some(StatementReach::Organisation),
            Principal::Person(person) => Some(StatementReach::ActorIs(person.user.clone())),
            Principal::Credential(credential) => {
                if credential.scopes.allows(CredentialScope::StatementsRead) {
                    Some(StatementReach::Organisation)
                } else if credential.scopes.allows(CredentialScope::StatementsReadMine) {
                    Some(StatementReach::SentBy(credential.key.clone()))
                } else {
                    None
                }
            }
            Principal::ReportKey(_) => None,
            Principal::Launch(launch) => Some(StatementReach::Attempt {
                user: launch.user.clone(),
                registration: launch.registration,
            }),
        }
    }
}

impl Person {
    /// Whether the person's reach is the organisation.
    pub fn sees_organisation(&self) -> bool {
        match self.role {
            Role::Owner | Role::Admin | Role::Hr | Role::Reporter | Role::LearningDesigner => true,
            Role::Curator => self.permissions.reporting,
            Role::Manager | Role::Learner => false,
        }
    }

    /// Whether the person may open saved reports: every role except learner, and a curator only with the permission
    /// `reporting`.
    pub fn has_reporting_access(&self) -> bool {
        self.sees_organisation() || self.role == Role::Manager
    }

    /// The person's reach in the log; see [`Principal::reach`].
    pub fn reach(&self, rules: &ReachRules) -> Reach {
        if self.sees_organisation() {
            return Reach::Organisation;
        }
        match self.role {
            Role::Manager => Reach::Reports {
                manager: self.user.clone(),
                indirect: self.permissions.indirect_reports || rules.managers_see_indirect_reports,
                known: self.reports.clone(),
            },
            _ => Reach::Only(self.user.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::launch::{LaunchMode, LaunchStandard};
    use crate::access::permissions::Permissions;
    use crate::access::principal::samples::{credential, launch, person, report_key, user};

    const STRICT: ReachRules = ReachRules {
        managers_see_indirect_reports: false,
    };

    fn manager(indirect: bool) -> Reach {
        Reach::Reports {
            manager: user("ada"),
            indirect,
            known: None,
        }
    }

    /// The table of the specification: role, permissions, rules, reach.
    #[test]
    fn each_role_has_the_reach_of_the_table() {
        let none = Permissions::default();
        let all = Permissions {
            reporting: true,
            mark_complete: true,
            indirect_reports: true,
        };
        let reporting = Permissions {
            reporting: true,
            ..none
        };
        let indirect = Permissions {
            indirect_reports: true,
            ..none
        };
        let only = Reach::Only(user("ada"));
        let open = ReachRules::default();
        let table = [
            (Role::Owner, none, STRICT, Reach::Organisation),
            (Role::Admin, none, STRICT, Reach::Organisation),
            (Role::Hr, none, STRICT, Reach::Organisation),
            (Role::Reporter, none, STRICT, Reach::Organisation),
            (Role::LearningDesigner, none, STRICT, Reach::Organisation),
            (Role::Curator, none, open, only.clone()),
            (Role::Curator, indirect, open, only.clone()),
            (Role::Curator, reporting, STRICT, Reach::Organisation),
            (Role::Manager, none, open, manager(true)),
            (Role::Manager, none, STRICT, manager(false)),
            (Role::Manager, indirect, STRICT, manager(true)),
            (Role::Manager, reporting, STRICT, manager(false)),
            (Role::Learner, none, open, only.clone()),
            (Role::Learner, all, open, only),
        ];
        for (role, permissions, rules, expected) in table {
            let caller = Principal::from(Person {
                permissions,
                ..person(role)
            });
            assert_eq!(
                caller.reach(&rules),
                Some(expected),
                "{role} {permissions:?} {rules:?}"
            );
        }
    }

    #[test]
    fn reports_claim_counts_for_managers_only() {
        let reports = Some(Reports::new(vec![user("bo")], vec![user("cy")]));
        for role in [Role::Learner, Role::Curator] {
            let caller = Principal::from(Person {
                reports: reports.clone(),
                ..person(role)
            });
            assert_eq!(
                caller.reach(&ReachRules::default()),
                Some(Reach::Only(user("ada")))
            );
        }
        let caller = Principal::from(Person {
            reports: reports.clone(),
            ..person(Role::Manager)
        });
        assert_eq!(
            caller.reach(&STRICT),
            Some(Reach::Reports {
                manager: user("ada"),
                indirect: false,
                known: reports
            })
        );
    }

    #[test]
    fn credential_needs_activities_read_for_the_log() {
        for scope in CredentialScope::ALL {
            let reach = Principal::from(credential(&[scope])).reach(&ReachRules::default());
            let expected = (scope == CredentialScope::ActivitiesRead).then_some(Reach::Organisation);
            assert_eq!(reach, expected, "{scope}");
        }
    }

    #[test]
    fn report_key_has_no_reach() {
        for role in Role::ALL {
            let key = Principal::from(report_key(role));
            for rules in [STRICT, ReachRules::default()] {
                assert_eq!(key.reach(&rules), None, "{role}");
            }
            assert_eq!(key.statement_reach(), None, "{role}");
        }
    }

    #[test]
    fn launch_reads_only_the_statements_of_its_attempt() {
        let caller = Principal::from(launch(LaunchStandard::Xapi, LaunchMode::Normal));
        assert_eq!(caller.reach(&ReachRules::default()), None);
        let expected = StatementReach::Attempt {
            user: user("ada"),
            registration: Uuid::from_u128(4),
        };
        assert_eq!(caller.statement_reach(), Some(expected));
    }

    #[test]
    fn statement_reach_follows_role_and_scope() {
        let statement_reach = |role| Principal::from(person(role)).statement_reach();
        assert_eq!(
            statement_reach(Role::Reporter),
            Some(StatementReach::Organisation)
        );
        for role in [Role::Manager, Role::Learner, Role::Curator] {
            assert_eq!(statement_reach(role), Some(StatementReach::ActorIs(user("ada"))));
        }
        for scope in CredentialScope::ALL {
            let expected = match scope {
                CredentialScope::StatementsRead | CredentialScope::AllRead | CredentialScope::All => {
                    Some(StatementReach::Organisation)
                }
                CredentialScope::StatementsReadMine => Some(StatementReach::SentBy("moodle".to_owned())),
                _ => None,
            };
            assert_eq!(
                Principal::from(credential(&[scope])).statement_reach(),
                expected,
                "{scope}"
            );
        }
    }
}
