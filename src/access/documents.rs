//! The agents with documents, states and profiles of xAPI, that a caller may read.

use uuid::Uuid;

use crate::access::credential::CredentialScope;
use crate::access::principal::Principal;
use crate::base::ids::{OrgId, UserId};

/// The documents that a caller may read. Only a [`Principal`] makes one, and every query for documents takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentReach {
    org: OrgId,
    states: Option<Agents>,
    profiles: Option<Agents>,
    attempt: Option<Attempt>,
}

/// The Activity and the registration of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The Activity's IRI.
    pub activity: String,
    /// The registration.
    pub registration: Uuid,
}

/// Agents whose documents a caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agents {
    /// Every agent.
    All,
    /// The agents of one person: those that the directory binds to the user, and the user's account.
    Only {
        /// The person.
        user: UserId,
        /// The home page of the organisation's accounts.
        account_home_page: String,
    },
}

impl DocumentReach {
    /// The organisation. Nothing outside it exists for the caller.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The agents with readable states. `None` if the caller may read no state.
    pub fn states(&self) -> Option<&Agents> {
        self.states.as_ref()
    }

    /// The agents with readable profiles. `None` if the caller may read no profile at all. Otherwise the caller reads the
    /// profiles of all activities, since they contain nothing about a person, but those of one activity with an
    /// [`attempt`](Self::attempt).
    pub fn profiles(&self) -> Option<&Agents> {
        self.profiles.as_ref()
    }

    /// The only Activity and registration whose documents are readable. `None` if all are.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }
}

impl Principal {
    /// The documents that the caller may read.
    ///
    /// - A person with a reach of the organisation: all. Any other person, a manager too: the person's own.
    /// - A credential: all states with `state`, all profiles with `profile`, both with `all/read` and `all`.
    /// - A report key: none.
    /// - A launch: the states of its person, content and registration, the profile of its person, and that of its content.
    pub fn document_reach(&self, account_home_page: &str) -> DocumentReach {
        let (states, profiles) = match self {
            Principal::Person(person) => {
                let agents = if person.sees_organisation() {
                    Agents::All
                } else {
                    Agents::Only {
                        user: person.user.clone(),
                        account_home_page: account_home_page.to_owned(),
                    }
                };
                (Some(agents.clone()), Some(agents))
            }
            Principal::Credential(credential) => {
                let all = |scope| credential.scopes.allows_reading(scope).then_some(Agents::All);
                (all(CredentialScope::State), all(CredentialScope::Profile))
            }
            Principal::ReportKey(_) => (None, None),
            Principal::Launch(launch) => {
                let agents = Agents::Only {
                    user: launch.user.clone(),
                    account_home_page: launch.account_home_page.clone(),
                };
                (Some(agents.clone()), Some(agents))
            }
        };
        DocumentReach {
            org: self.org().clone(),
            states,
            profiles,
            attempt: self.launch().map(|launch| Attempt {
                activity: launch.activity.clone(),
                registration: launch.registration,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::launch::{LaunchMode, LaunchStandard};
    use crate::access::permissions::Permissions;
    use crate::access::principal::Person;
    use crate::access::principal::samples::{credential, launch, person, report_key, user};
    use crate::access::role::Role;

    const HOME: &str = "https://example.org";

    #[test]
    fn person_reads_all_documents_or_own_ones() {
        let own = Agents::Only {
            user: user("ada"),
            account_home_page: HOME.to_owned(),
        };
        for role in Role::ALL {
            let reach = Principal::from(person(role)).document_reach(HOME);
            let expected = match role {
                Role::Owner | Role::Admin | Role::Hr | Role::Reporter | Role::LearningDesigner => Agents::All,
                Role::Curator | Role::Manager | Role::Learner => own.clone(),
            };
            assert_eq!(reach.states(), Some(&expected), "{role}");
            assert_eq!(reach.profiles(), Some(&expected), "{role}");
            assert_eq!(reach.org().as_str(), "acme");
        }
        let curator = Principal::from(Person {
            permissions: Permissions {
                reporting: true,
                ..Permissions::default()
            },
            ..person(Role::Curator)
        });
        assert_eq!(curator.document_reach(HOME).states(), Some(&Agents::All));
    }

    #[test]
    fn launch_reads_the_documents_of_its_attempt() {
        let launch = launch(LaunchStandard::Xapi, LaunchMode::Normal);
        let reach = Principal::from(launch.clone()).document_reach(HOME);
        let own = Agents::Only {
            user: user("ada"),
            account_home_page: launch.account_home_page,
        };
        assert_eq!((reach.states(), reach.profiles()), (Some(&own), Some(&own)));
        let attempt = Attempt {
            activity: launch.activity,
            registration: launch.registration,
        };
        assert_eq!(reach.attempt(), Some(&attempt));
    }

    #[test]
    fn report_key_reads_no_documents() {
        let reach = Principal::from(report_key(Role::Owner)).document_reach(HOME);
        assert_eq!((reach.states(), reach.profiles()), (None, None));
    }

    #[test]
    fn credential_reads_documents_by_its_scopes() {
        for scope in CredentialScope::ALL {
            let reach = Principal::from(credential(&[scope])).document_reach(HOME);
            let all = matches!(scope, CredentialScope::All | CredentialScope::AllRead);
            assert_eq!(
                reach.states().is_some(),
                all || scope == CredentialScope::State,
                "{scope}"
            );
            assert_eq!(
                reach.profiles().is_some(),
                all || scope == CredentialScope::Profile,
                "{scope}"
            );
        }
    }
}
