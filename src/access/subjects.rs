//! The persons about whom a caller may do something: write notes, mark content as complete.
//!
//! A query that reads or writes notes takes a [`Subjects`], as a query over the log takes a
//! [`Scoped`](crate::access::Scoped). Only a [`Principal`] with the right makes one.

use std::marker::PhantomData;

use crate::access::permit::{Action, MarkComplete, Notes};
use crate::access::principal::Principal;
use crate::access::reach::{Reach, ReachRules};
use crate::access::scope::{People, list_reports};
use crate::base::ids::{OrgId, UserId};

/// An action about persons.
pub trait OverPeople: Action {
    /// Whether callers may do it about themselves. It is never allowed to managers: they are not among their reports.
    const INCLUDES_CALLER: bool;
}

/// The subject of a note never reads it, in any role.
impl OverPeople for Notes {
    const INCLUDES_CALLER: bool = false;
}

/// Administrators may mark their own offline courses.
impl OverPeople for MarkComplete {
    const INCLUDES_CALLER: bool = true;
}

/// The persons about whom a caller may do `A`.
#[derive(Debug, Clone)]
pub struct Subjects<A> {
    org: OrgId,
    caller: UserId,
    reach: Reach,
    action: PhantomData<fn() -> A>,
}

impl<A: OverPeople> Subjects<A> {
    /// The subjects of a caller. `None` if the caller may not do `A` at all.
    pub fn for_caller(principal: &Principal, rules: &ReachRules) -> Option<Self> {
        let person = principal.person().filter(|_| A::allowed(principal))?;
        Some(Self {
            org: person.org.clone(),
            caller: person.user.clone(),
            reach: person.reach(rules),
            action: PhantomData,
        })
    }

    /// The organisation of all subjects.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The user that acts.
    pub fn caller(&self) -> &UserId {
        &self.caller
    }

    /// The subjects. For a manager: the reports. For a caller with a reach of the organisation: every person except
    /// [`Subjects::excluded`]. For other callers: none.
    pub fn people(&self) -> People<'_> {
        match &self.reach {
            Reach::Organisation => People::Everyone,
            Reach::Only(_) => People::Users(Vec::new()),
            Reach::Reports {
                manager,
                indirect,
                known: None,
            } => People::Tree {
                manager,
                manager_too: false,
                indirect: *indirect,
            },
            Reach::Reports {
                manager,
                indirect,
                known: Some(reports),
            } => {
                let mut users = list_reports(reports, *indirect);
                users.retain(|user| *user != manager);
                users.sort_unstable();
                users.dedup();
                People::Users(users)
            }
        }
    }

    /// The user that is excluded whatever the reach is: the caller, for notes.
    pub fn excluded(&self) -> Option<&UserId> {
        (!A::INCLUDES_CALLER).then_some(&self.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::claims::Reports;
    use crate::access::credential::CredentialScope;
    use crate::access::permissions::Permissions;
    use crate::access::principal::Person;
    use crate::access::principal::samples::{credential, person, user};
    use crate::access::role::Role;

    const OPEN: ReachRules = ReachRules {
        managers_see_indirect_reports: true,
    };
    const STRICT: ReachRules = ReachRules {
        managers_see_indirect_reports: false,
    };

    fn permissions(mark_complete: bool, indirect_reports: bool) -> Permissions {
        Permissions {
            reporting: true,
            mark_complete,
            indirect_reports,
        }
    }

    #[test]
    fn each_role_has_the_subjects_of_the_specification() {
        for role in Role::ALL {
            for (mark_complete, indirect, rules) in [
                (false, false, STRICT),
                (false, false, OPEN),
                (true, false, STRICT),
                (true, true, STRICT),
                (true, true, OPEN),
            ] {
                let caller = Principal::from(Person {
                    permissions: permissions(mark_complete, indirect),
                    ..person(role)
                });
                let ada = user("ada");
                let people = match role {
                    Role::Manager => People::Tree {
                        manager: &ada,
                        manager_too: false,
                        indirect: indirect || rules.managers_see_indirect_reports,
                    },
                    _ => People::Everyone,
                };
                let notes = Subjects::<Notes>::for_caller(&caller, &rules);
                let may = matches!(role, Role::Owner | Role::Admin | Role::Hr | Role::Manager);
                assert_eq!(notes.as_ref().map(Subjects::people), may.then(|| people.clone()));
                assert_eq!(notes.as_ref().and_then(Subjects::excluded), may.then_some(&ada));

                let marks = Subjects::<MarkComplete>::for_caller(&caller, &rules);
                let may = role.administers() || (role == Role::Manager && mark_complete);
                assert_eq!(marks.as_ref().map(Subjects::people), may.then_some(people));
                assert_eq!(marks.as_ref().and_then(Subjects::excluded), None);
            }
        }
    }

    #[test]
    fn reports_claim_is_used_without_the_manager() {
        let ids = |text: &str| text.split(' ').map(user).collect::<Vec<_>>();
        for (indirect, rules, expected) in [
            (false, STRICT, "bo cy"),
            (true, STRICT, "bo cy dee"),
            (false, OPEN, "bo cy dee"),
        ] {
            let caller = Principal::from(Person {
                permissions: permissions(true, indirect),
                reports: Some(Reports::new(ids("cy ada bo"), ids("dee bo"))),
                ..person(Role::Manager)
            });
            let expected = ids(expected);
            let expected = People::Users(expected.iter().collect());
            let notes = Subjects::<Notes>::for_caller(&caller, &rules).expect("a manager");
            assert_eq!(notes.people(), expected);
            let marks = Subjects::<MarkComplete>::for_caller(&caller, &rules).expect("with the permission");
            assert_eq!(marks.people(), expected);
        }
    }

    #[test]
    fn reports_claim_gives_no_subjects_to_other_roles() {
        for role in [
            Role::Learner,
            Role::Curator,
            Role::Reporter,
            Role::LearningDesigner,
        ] {
            let caller = Principal::from(Person {
                permissions: permissions(true, true),
                reports: Some(Reports::new(vec![user("bo")], Vec::new())),
                ..person(role)
            });
            assert!(Subjects::<Notes>::for_caller(&caller, &OPEN).is_none(), "{role}");
            assert!(
                Subjects::<MarkComplete>::for_caller(&caller, &OPEN).is_none(),
                "{role}"
            );
        }
    }

    #[test]
    fn credential_has_no_subjects() {
        let caller = Principal::from(credential(&CredentialScope::ALL));
        assert!(Subjects::<Notes>::for_caller(&caller, &OPEN).is_none());
        assert!(Subjects::<MarkComplete>::for_caller(&caller, &OPEN).is_none());
    }
}
