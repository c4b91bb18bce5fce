//! The agents with a Person object that a caller may read (xAPI 1.0.3, Communication 2.4).

use crate::access::credential::CredentialScope;
use crate::access::principal::Principal;
use crate::access::reach::{Reach, StatementReach};
use crate::base::ids::OrgId;

/// The agents with identifiers and names that a caller may read. Only a [`Principal`] makes one, and every query for
/// agents takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReach {
    org: OrgId,
    agents: Option<Reach>,
}

impl AgentReach {
    /// The organisation. Nothing outside it exists for the caller.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// All agents or those of one user. `None`: no agent.
    pub fn agents(&self) -> Option<&Reach> {
        self.agents.as_ref()
    }
}

impl Principal {
    /// The agents with a Person object that the caller may read. For any other agent the answer contains only the
    /// identifier of the request.
    ///
    /// - A person that reads all statements: every agent. Any other person, a manager too: the person's own.
    /// - A credential that reads all statements or profiles: every agent. With only `statements/read/mine`: none.
    /// - A report key: none. A launch: its person.
    pub fn agent_reach(&self) -> AgentReach {
        let profiles = |principal: &Principal| {
            principal
                .credential()
                .is_some_and(|credential| credential.scopes.allows_reading(CredentialScope::Profile))
        };
        let agents = match self.statement_reach() {
            Some(StatementReach::Organisation) => Some(Reach::Organisation),
            Some(StatementReach::ActorIs(user) | StatementReach::Attempt { user, .. }) => {
                Some(Reach::Only(user))
            }
            Some(StatementReach::SentBy(_)) | None => profiles(self).then_some(Reach::Organisation),
        };
        AgentReach {
            org: self.org().clone(),
            agents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::permissions::Permissions;
    use crate::access::principal::Person;
    use crate::access::principal::samples::{credential, person, report_key, user};
    use crate::access::role::Role;

    #[test]
    fn person_reads_all_agents_or_the_own_one() {
        for role in Role::ALL {
            let reach = Principal::from(person(role)).agent_reach();
            let expected = match role {
                Role::Owner | Role::Admin | Role::Hr | Role::Reporter | Role::LearningDesigner => {
                    Reach::Organisation
                }
                Role::Curator | Role::Manager | Role::Learner => Reach::Only(user("ada")),
            };
            assert_eq!(reach.agents(), Some(&expected), "{role}");
            assert_eq!(reach.org().as_str(), "acme");
        }
        let permissions = Permissions {
            reporting: true,
            ..Permissions::default()
        };
        let curator = Person {
            permissions,
            ..person(Role::Curator)
        };
        let reach = Principal::from(curator).agent_reach();
        assert_eq!(reach.agents(), Some(&Reach::Organisation));
    }

    #[test]
    fn report_key_reads_no_agents() {
        assert_eq!(
            Principal::from(report_key(Role::Owner)).agent_reach().agents(),
            None
        );
    }

    #[test]
    fn credential_reads_all_agents_or_none() {
        for scope in CredentialScope::ALL {
            let all = matches!(
                scope,
                CredentialScope::StatementsRead
                    | CredentialScope::AllRead
                    | CredentialScope::All
                    | CredentialScope::Profile
            );
            let reach = Principal::from(credential(&[scope])).agent_reach();
            assert_eq!(reach.agents(), all.then_some(&Reach::Organisation), "{scope}");
        }
    }
}
