//! Over whom a caller may do something that is done about people: notes, completions (product text, section 4).
//!
//! As [`Scoped`](crate::access::Scoped) for the log: a query that reads or writes notes takes a [`Subjects`], and only
//! a [`Principal`] who may can make one.

use std::marker::PhantomData;

use crate::access::permit::{Action, MarkComplete, Notes};
use crate::access::principal::Principal;
use crate::access::reach::{Reach, ReachRules};
use crate::access::scope::{People, listed};
use crate::base::ids::{OrgId, UserId};

/// An action about people.
pub trait OverPeople: Action {
    /// Whether those who do it may do it about themselves. A manager's own are never among their reports.
    const ONESELF: bool;
}

/// "Never by the subject of the note": whatever the role.
impl OverPeople for Notes {
    const ONESELF: bool = false;
}

/// An admin's own offline course is marked as anybody's is.
impl OverPeople for MarkComplete {
    const ONESELF: bool = true;
}

/// The people about whom a caller may do `A`.
#[derive(Debug, Clone)]
pub struct Subjects<A> {
    org: OrgId,
    caller: UserId,
    reach: Reach,
    action: PhantomData<fn() -> A>,
}

impl<A: OverPeople> Subjects<A> {
    /// `None` for who may not do it about anybody.
    pub fn of(principal: &Principal, rules: &ReachRules) -> Option<Self> {
        let person = principal.person().filter(|_| A::allowed(principal))?;
        Some(Self {
            org: person.org.clone(),
            caller: person.user.clone(),
            reach: person.reach(rules),
            action: PhantomData,
        })
    }

    /// The organisation: nobody outside it is meant.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// Who does it.
    pub fn caller(&self) -> &UserId {
        &self.caller
    }

    /// Managers: their reports, never themselves. Those who see the organisation: everybody, but for
    /// [`Subjects::never`]. Anyone else: nobody.
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
                let mut users = listed(reports, *indirect);
                users.retain(|user| *user != manager);
                users.sort_unstable();
                users.dedup();
                People::Users(users)
            }
        }
    }

    /// Who is never among them, whatever the reach.
    pub fn never(&self) -> Option<&UserId> {
        (!A::ONESELF).then_some(&self.caller)
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
    fn each_role_has_the_subjects_of_the_contract() {
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
                let notes = Subjects::<Notes>::of(&caller, &rules);
                let may = matches!(role, Role::Owner | Role::Admin | Role::Hr | Role::Manager);
                assert_eq!(notes.as_ref().map(Subjects::people), may.then(|| people.clone()));
                assert_eq!(notes.as_ref().and_then(Subjects::never), may.then_some(&ada));

                let marks = Subjects::<MarkComplete>::of(&caller, &rules);
                let may = role.administers() || (role == Role::Manager && mark_complete);
                assert_eq!(marks.as_ref().map(Subjects::people), may.then_some(people));
                assert_eq!(marks.as_ref().and_then(Subjects::never), None);
            }
        }
    }

    #[test]
    fn a_token_s_reports_are_taken_without_the_manager() {
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
            let notes = Subjects::<Notes>::of(&caller, &rules).expect("a manager");
            assert_eq!(notes.people(), expected);
            let marks = Subjects::<MarkComplete>::of(&caller, &rules).expect("with the permission");
            assert_eq!(marks.people(), expected);
        }
    }

    #[test]
    fn reports_in_a_token_make_nobody_else_a_manager() {
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
            assert!(Subjects::<Notes>::of(&caller, &OPEN).is_none(), "{role}");
            assert!(Subjects::<MarkComplete>::of(&caller, &OPEN).is_none(), "{role}");
        }
    }

    #[test]
    fn a_credential_has_no_subjects() {
        let caller = Principal::from(credential(&CredentialScope::ALL));
        assert!(Subjects::<Notes>::of(&caller, &OPEN).is_none());
        assert!(Subjects::<MarkComplete>::of(&caller, &OPEN).is_none());
    }
}
