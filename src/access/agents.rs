//! Whose Person object a caller may see: everything that identifies an agent (xAPI 1.0.3, Communication 2.4;
//! product text, section 4).

use crate::access::credential::CredentialScope;
use crate::access::principal::Principal;
use crate::access::reach::{Reach, StatementReach};
use crate::base::ids::OrgId;

/// The agents of whom a caller may learn more than they know. Only a [`Principal`] makes one, and what is
/// known of an agent is read by nothing else, so that organisation and reach travel with the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReach {
    org: OrgId,
    agents: Option<Reach>,
}

impl AgentReach {
    /// The organisation: nothing outside it exists for the caller.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// Whose agents: everybody's or one user's. `None`: nobody's.
    pub fn agents(&self) -> Option<&Reach> {
        self.agents.as_ref()
    }
}

impl Principal {
    /// The agents of whom the caller may learn more than they know.
    ///
    /// - A person who reads all statements: every agent; any other, managers among them, "its own Person
    ///   object".
    /// - A credential that reads all statements, or profiles: every agent. With `statements/read/mine` alone
    ///   none: it knows whom it named itself, and learns nothing of who they are besides.
    /// - A report's key: none.
    pub fn agent_reach(&self) -> AgentReach {
        let profiles = |principal: &Principal| {
            principal
                .credential()
                .is_some_and(|credential| credential.scopes.allows_reading(CredentialScope::Profile))
        };
        let agents = match self.statement_reach() {
            Some(StatementReach::Organisation) => Some(Reach::Organisation),
            Some(StatementReach::ActorIs(user)) => Some(Reach::Only(user)),
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
    fn a_person_learns_of_all_or_of_themselves() {
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
    fn a_report_key_learns_of_nobody() {
        assert_eq!(
            Principal::from(report_key(Role::Owner)).agent_reach().agents(),
            None
        );
    }

    #[test]
    fn a_credential_learns_of_all_or_of_nobody() {
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
