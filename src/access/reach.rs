//! Whose activities and statements a caller may see at all (product text, section 4).
//!
//! The reach is resolved before any filter is applied; [`crate::access::scope`] takes a part of it.

use crate::access::claims::Reports;
use crate::access::credential::CredentialScope;
use crate::access::principal::{Person, Principal};
use crate::access::role::Role;
use crate::base::ids::UserId;

/// The organisation's settings that a reach depends on (product text, sections 3 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReachRules {
    /// Whether managers see their indirect reports without the permission `indirect_reports`.
    pub managers_see_indirect_reports: bool,
}

impl Default for ReachRules {
    /// As an organisation is until it says otherwise: managers see their indirect reports.
    fn default() -> Self {
        Self {
            managers_see_indirect_reports: true,
        }
    }
}

/// The persons whose activities a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every person of the organisation, those whom no user claims among them.
    Organisation,
    /// A manager and their reports.
    Reports {
        /// The manager, who always belongs to their own reach.
        manager: UserId,
        /// Whether the indirect reports belong to it, beside the direct ones.
        indirect: bool,
        /// The reports as the token names them; `None`: the directory's manager tree answers.
        known: Option<Reports>,
    },
    /// One person alone.
    Only(UserId),
}

/// The statements that a caller may read at `/xapi/statements` (product text, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementReach {
    /// All statements of the organisation.
    Organisation,
    /// Statements whose actor is this one person.
    ActorIs(UserId),
    /// Statements that the credential with this key sent (scope `statements/read/mine`).
    SentBy(String),
}

impl Principal {
    /// The caller's reach in the log, or `None` for a credential without `activities/read` and for a report's key.
    ///
    /// - owner, admin, hr, reporter, learning designer: the organisation;
    /// - curator: the organisation with the permission `reporting`, else only itself;
    /// - manager: itself and its direct reports, and its indirect ones where the permission
    ///   `indirect_reports` or the organisation says so;
    /// - learner: only itself;
    /// - credential: the organisation;
    /// - a report's key: none of its own, whoever owns it; see [`Principal::reader`].
    pub fn reach(&self, rules: &ReachRules) -> Option<Reach> {
        match self {
            Principal::Person(person) => Some(person.reach(rules)),
            Principal::Credential(credential) => credential
                .scopes
                .allows(CredentialScope::ActivitiesRead)
                .then_some(Reach::Organisation),
            Principal::ReportKey(_) => None,
        }
    }

    /// What the caller may read at `/xapi/statements`, or `None` for a credential without a scope to
    /// read statements and for a report's key.
    ///
    /// A person whose reach is the organisation reads all; any other person, managers among them,
    /// only statements whose actor they are.
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

    /// Whether the person has reporting access: every role but learner, and a curator only with the
    /// permission `reporting` (product text, section 4). It opens saved reports.
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
    use crate::access::permissions::Permissions;
    use crate::access::principal::samples::{credential, person, report_key, user};

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

    /// The contract's table, row by row: role, permissions, rules, reach.
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
    fn reports_in_a_token_widen_nobody_but_a_manager() {
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
    fn a_credential_reads_the_log_with_one_scope_only() {
        for scope in CredentialScope::ALL {
            let reach = Principal::from(credential(&[scope])).reach(&ReachRules::default());
            let expected = (scope == CredentialScope::ActivitiesRead).then_some(Reach::Organisation);
            assert_eq!(reach, expected, "{scope}");
        }
    }

    #[test]
    fn a_report_key_reaches_nobody_whoever_owns_it() {
        for role in Role::ALL {
            let key = Principal::from(report_key(role));
            for rules in [STRICT, ReachRules::default()] {
                assert_eq!(key.reach(&rules), None, "{role}");
            }
            assert_eq!(key.statement_reach(), None, "{role}");
        }
    }

    #[test]
    fn statements_are_read_whole_own_or_sent() {
        let of = |role| Principal::from(person(role)).statement_reach();
        assert_eq!(of(Role::Reporter), Some(StatementReach::Organisation));
        for role in [Role::Manager, Role::Learner, Role::Curator] {
            assert_eq!(of(role), Some(StatementReach::ActorIs(user("ada"))));
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
