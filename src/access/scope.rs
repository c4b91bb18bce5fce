//! The part of their reach that a caller asks for: the parameter `scope` (product text, sections 4
//! and 7), and the one door to every query over activities, [`Scoped`].
//!
//! | asked | owner, admin, hr, reporter, learning designer, curator with `reporting` | manager | learner, curator | credential |
//! | --- | --- | --- | --- | --- |
//! | nothing, `team`, `group` | the reach | the reach | the reach | the reach |
//! | `company` | the organisation | 403 | 403 | the organisation |
//! | `managed` | own direct reports | direct reports | 403 | 403 |
//! | `managed` with `include_sub_managers` | all own reports | all reports where the reach has them, else 403 | 403 | 403 |
//! | `me` | oneself | oneself | oneself | 403 |
//!
//! A credential is nobody's manager and nobody's self, so `managed` and `me` have no meaning for it.

use crate::access::claims::Reports;
use crate::access::principal::Principal;
use crate::access::reach::{Reach, ReachRules};
use crate::ids::{OrgId, UserId};

/// What the parameter `scope` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedScope {
    /// `company`: the whole organisation.
    Company,
    /// `managed`: the caller's reports, without the caller.
    Managed {
        /// `include_sub_managers`: the indirect reports too. The parameter belongs to `managed`; beside
        /// any other scope it has nothing to widen and changes nothing.
        include_sub_managers: bool,
    },
    /// `team`: what the reach and the filter's teams share.
    Team,
    /// `group`: what the reach and the filter's groups share.
    Group,
    /// `me`: the caller alone.
    Me,
}

impl AskedScope {
    /// The value of the parameter.
    pub const fn key(self) -> &'static str {
        match self {
            AskedScope::Company => "company",
            AskedScope::Managed { .. } => "managed",
            AskedScope::Team => "team",
            AskedScope::Group => "group",
            AskedScope::Me => "me",
        }
    }
}

/// Why a caller can't have what they asked for: 403, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A credential without `activities/read` asks for activities.
    #[error("this credential may not read activities: it lacks the scope activities/read")]
    NoActivities,
    /// `company` from somebody whose reach is less.
    #[error(
        "scope=company is for those who may see the whole organisation; leave scope out to see all you may"
    )]
    CompanyNotAllowed,
    /// `managed` from a learner, or from a curator without reporting.
    #[error("scope=managed is for those who manage people or may see the whole organisation")]
    ManagedNotAllowed,
    /// `include_sub_managers` from a manager who may see direct reports only.
    #[error("include_sub_managers is not allowed: you may see your direct reports only")]
    IndirectNotAllowed,
    /// `managed` or `me` from a credential, which is nobody.
    #[error("scope={scope} has no meaning for a credential, which is no person", scope = .0.key())]
    NoPerson(AskedScope),
}

/// The part of the reach that counts for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The reach as it is.
    Whole,
    /// The caller's direct reports, without the caller.
    DirectReports,
    /// The caller's direct and indirect reports, without the caller.
    AllReports,
    /// The caller alone.
    Me,
}

/// The persons that a question is about, resolved as far as it can be without the directory.
///
/// This is what a store has to turn into rows; nothing outside it may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People<'a> {
    /// Everybody in the organisation, persons whom no user claims among them.
    Everyone,
    /// These users and nobody else; sorted, without repeats, and perhaps none.
    Users(Vec<&'a UserId>),
    /// The users under a manager in the directory's tree.
    Tree {
        /// The manager.
        manager: &'a UserId,
        /// Whether the manager belongs to it.
        manager_too: bool,
        /// Whether the reports of the reports do, all the way down.
        indirect: bool,
    },
}

/// A question about activities, bound to the organisation, the caller and the part of their reach that
/// it may touch.
///
/// It can only be made by [`Scoped::new`], from a [`Principal`]; whoever holds one has asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped<F> {
    org: OrgId,
    caller_id: String,
    user: Option<UserId>,
    reports: Option<Reports>,
    reach: Reach,
    part: Part,
    inner: F,
}

impl<F> Scoped<F> {
    /// Binds `inner` (a filter, an id) to what `principal` may see of what they `asked` for; nothing
    /// asked is the whole reach.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] where the caller can't have it (403).
    pub fn new(
        principal: &Principal,
        rules: &ReachRules,
        asked: Option<AskedScope>,
        inner: F,
    ) -> Result<Self, ScopeError> {
        let reach = principal.reach(rules).ok_or(ScopeError::NoActivities)?;
        let part = match asked {
            None | Some(AskedScope::Team | AskedScope::Group) => Part::Whole,
            Some(AskedScope::Company) if reach == Reach::Organisation => Part::Whole,
            Some(AskedScope::Company) => return Err(ScopeError::CompanyNotAllowed),
            Some(scope) if principal.user().is_none() => return Err(ScopeError::NoPerson(scope)),
            Some(AskedScope::Me) => Part::Me,
            Some(AskedScope::Managed { include_sub_managers }) => managed(&reach, include_sub_managers)?,
        };
        Ok(Self {
            org: principal.org().clone(),
            caller_id: principal.caller_id(),
            user: principal.user().cloned(),
            reports: principal.person().and_then(|person| person.reports.clone()),
            reach,
            part,
            inner,
        })
    }

    /// The organisation: no row of another one may come back.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The caller as stable text, which a cursor is bound to; see [`Principal::caller_id`].
    pub fn caller_id(&self) -> &str {
        &self.caller_id
    }

    /// The user who asks, where a person does.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The caller's whole reach.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The part of the reach that counts.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The question itself.
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// Another question under the same rights.
    pub fn map<G>(self, change: impl FnOnce(F) -> G) -> Scoped<G> {
        Scoped {
            org: self.org,
            caller_id: self.caller_id,
            user: self.user,
            reports: self.reports,
            reach: self.reach,
            part: self.part,
            inner: change(self.inner),
        }
    }

    /// The same rights around a reference to the question.
    pub fn as_ref(&self) -> Scoped<&F> {
        Scoped {
            org: self.org.clone(),
            caller_id: self.caller_id.clone(),
            user: self.user.clone(),
            reports: self.reports.clone(),
            reach: self.reach.clone(),
            part: self.part,
            inner: &self.inner,
        }
    }

    /// Whose activities may come back: the part of the reach, as persons.
    pub fn people(&self) -> People<'_> {
        match self.part {
            Part::Whole => self.reach.people(),
            Part::Me => People::Users(self.user.iter().collect()),
            Part::DirectReports => self.reports_of_caller(false),
            Part::AllReports => self.reports_of_caller(true),
        }
    }

    fn reports_of_caller(&self, indirect: bool) -> People<'_> {
        match (&self.user, &self.reports) {
            (None, _) => People::Users(Vec::new()),
            (Some(manager), None) => People::Tree {
                manager,
                manager_too: false,
                indirect,
            },
            (Some(manager), Some(reports)) => {
                let mut users = listed(reports, indirect);
                users.retain(|user| *user != manager);
                users.sort_unstable();
                People::Users(users)
            }
        }
    }
}

impl Reach {
    /// The reach as persons: what the directory's lists show, and the log when no scope is asked.
    pub fn people(&self) -> People<'_> {
        match self {
            Reach::Organisation => People::Everyone,
            Reach::Only(user) => People::Users(vec![user]),
            Reach::Reports {
                manager,
                indirect,
                known: None,
            } => People::Tree {
                manager,
                manager_too: true,
                indirect: *indirect,
            },
            Reach::Reports {
                manager,
                indirect,
                known: Some(reports),
            } => {
                let mut users = listed(reports, *indirect);
                users.push(manager);
                users.sort_unstable();
                users.dedup();
                People::Users(users)
            }
        }
    }
}

/// The part that `scope=managed` means for a person with this reach.
fn managed(reach: &Reach, include_sub_managers: bool) -> Result<Part, ScopeError> {
    match (reach, include_sub_managers) {
        (Reach::Only(_), _) => Err(ScopeError::ManagedNotAllowed),
        (Reach::Reports { indirect: false, .. }, true) => Err(ScopeError::IndirectNotAllowed),
        (Reach::Organisation | Reach::Reports { .. }, true) => Ok(Part::AllReports),
        (Reach::Organisation | Reach::Reports { .. }, false) => Ok(Part::DirectReports),
    }
}

/// The reports that a token names, direct ones first.
pub(super) fn listed(reports: &Reports, indirect: bool) -> Vec<&UserId> {
    let further = if indirect { reports.indirect() } else { &[] };
    reports.direct().iter().chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::credential::CredentialScope;
    use crate::access::permissions::Permissions;
    use crate::access::principal::Person;
    use crate::access::principal::samples::{credential, person, user};
    use crate::access::role::Role;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const OPEN: ReachRules = ReachRules {
        managers_see_indirect_reports: true,
    };
    const STRICT: ReachRules = ReachRules {
        managers_see_indirect_reports: false,
    };
    const MANAGED: AskedScope = AskedScope::Managed {
        include_sub_managers: false,
    };
    const ALL_MANAGED: AskedScope = AskedScope::Managed {
        include_sub_managers: true,
    };

    fn part(caller: &Principal, rules: &ReachRules, asked: Option<AskedScope>) -> Result<Part, ScopeError> {
        Scoped::new(caller, rules, asked, ()).map(|scoped| scoped.part())
    }

    /// The table of the module's documentation, cell by cell.
    #[test]
    fn each_caller_may_ask_what_the_table_says() {
        use ScopeError::*;
        let reporting = Permissions {
            reporting: true,
            ..Permissions::default()
        };
        let wide: Vec<Principal> = [
            Role::Owner,
            Role::Admin,
            Role::Hr,
            Role::Reporter,
            Role::LearningDesigner,
        ]
        .map(person)
        .into_iter()
        .chain([Person {
            permissions: reporting,
            ..person(Role::Curator)
        }])
        .map(Principal::from)
        .collect();
        let narrow: Vec<Principal> = [Role::Learner, Role::Curator]
            .map(person)
            .map(Principal::from)
            .into();
        let manager = vec![Principal::from(person(Role::Manager))];
        let key = vec![Principal::from(credential(&[CredentialScope::ActivitiesRead]))];
        let columns = [
            (wide, OPEN),
            (manager.clone(), OPEN),
            (manager, STRICT),
            (narrow, OPEN),
            (key, OPEN),
        ];
        let me = AskedScope::Me;
        let table = [
            (None, [Ok(Part::Whole); 5]),
            (Some(AskedScope::Team), [Ok(Part::Whole); 5]),
            (Some(AskedScope::Group), [Ok(Part::Whole); 5]),
            (
                Some(AskedScope::Company),
                [
                    Ok(Part::Whole),
                    Err(CompanyNotAllowed),
                    Err(CompanyNotAllowed),
                    Err(CompanyNotAllowed),
                    Ok(Part::Whole),
                ],
            ),
            (
                Some(MANAGED),
                [
                    Ok(Part::DirectReports),
                    Ok(Part::DirectReports),
                    Ok(Part::DirectReports),
                    Err(ManagedNotAllowed),
                    Err(NoPerson(MANAGED)),
                ],
            ),
            (
                Some(ALL_MANAGED),
                [
                    Ok(Part::AllReports),
                    Ok(Part::AllReports),
                    Err(IndirectNotAllowed),
                    Err(ManagedNotAllowed),
                    Err(NoPerson(ALL_MANAGED)),
                ],
            ),
            (
                Some(me),
                [
                    Ok(Part::Me),
                    Ok(Part::Me),
                    Ok(Part::Me),
                    Ok(Part::Me),
                    Err(NoPerson(me)),
                ],
            ),
        ];
        for (asked, row) in table {
            for ((callers, rules), expected) in columns.iter().zip(row) {
                for caller in callers {
                    assert_eq!(part(caller, rules, asked), expected, "{caller:?} asks {asked:?}");
                }
            }
        }
    }

    #[test]
    fn a_credential_without_the_scope_gets_nothing_whatever_it_asks() {
        let caller = Principal::from(credential(&[
            CredentialScope::All,
            CredentialScope::ActivitiesWrite,
        ]));
        for asked in [
            None,
            Some(AskedScope::Company),
            Some(AskedScope::Me),
            Some(MANAGED),
        ] {
            assert_eq!(part(&caller, &OPEN, asked), Err(ScopeError::NoActivities));
        }
    }

    #[test]
    fn without_the_claim_the_tree_answers() {
        let caller = Principal::from(person(Role::Manager));
        let people = |rules, asked| match Scoped::new(&caller, rules, asked, ()).unwrap().people() {
            People::Tree {
                manager,
                manager_too,
                indirect,
            } => (manager.clone(), manager_too, indirect),
            other => panic!("{other:?}"),
        };
        assert_eq!(people(&OPEN, None), (user("ada"), true, true));
        assert_eq!(people(&STRICT, None), (user("ada"), true, false));
        assert_eq!(people(&OPEN, Some(MANAGED)), (user("ada"), false, false));
        assert_eq!(people(&OPEN, Some(ALL_MANAGED)), (user("ada"), false, true));
    }

    #[test]
    fn an_owner_asking_managed_gets_their_own_reports() {
        let reports = Some(Reports::new(vec![user("bo")], vec![user("cy")]));
        let caller = Principal::from(Person {
            reports,
            ..person(Role::Owner)
        });
        let scoped = Scoped::new(&caller, &STRICT, Some(MANAGED), ()).unwrap();
        assert_eq!(scoped.people(), People::Users(vec![&user("bo")]));
        let scoped = Scoped::new(&caller, &STRICT, None, ()).unwrap();
        assert_eq!(scoped.people(), People::Everyone);
    }

    #[test]
    fn mapping_keeps_the_rights() {
        let caller = Principal::from(person(Role::Learner));
        let scoped = Scoped::new(&caller, &OPEN, Some(AskedScope::Me), 1).unwrap();
        let mapped = scoped.clone().map(|number| number.to_string());
        assert_eq!(mapped.inner(), "1");
        assert_eq!((mapped.org(), mapped.caller_id()), (scoped.org(), "user:ada"));
        assert_eq!(
            (mapped.people(), mapped.part()),
            (scoped.as_ref().people(), Part::Me)
        );
    }

    /// Which users of a small organisation a question touches, by the contract's words alone.
    fn judge(person: &Person, rules: &ReachRules, asked: Option<AskedScope>) -> Option<BTreeSet<UserId>> {
        let everyone: BTreeSet<UserId> = ('a'..='h').map(|id| user(&id.to_string())).collect();
        let reports = person.reports.clone().unwrap_or_default();
        let direct: BTreeSet<UserId> = reports.direct().iter().cloned().collect();
        let all: BTreeSet<UserId> = direct.iter().chain(reports.indirect()).cloned().collect();
        let myself = BTreeSet::from([person.user.clone()]);
        let wide = !matches!(person.role, Role::Curator | Role::Manager | Role::Learner)
            || (person.role == Role::Curator && person.permissions.reporting);
        let deep = person.permissions.indirect_reports || rules.managers_see_indirect_reports;
        let manages = wide || person.role == Role::Manager;
        match asked {
            None | Some(AskedScope::Team | AskedScope::Group) if wide => Some(everyone),
            Some(AskedScope::Company) => wide.then_some(everyone),
            None | Some(AskedScope::Team | AskedScope::Group) => Some(match (person.role, deep) {
                (Role::Manager, true) => all.union(&myself).cloned().collect(),
                (Role::Manager, false) => direct.union(&myself).cloned().collect(),
                _ => myself,
            }),
            Some(AskedScope::Me) => Some(myself),
            Some(AskedScope::Managed {
                include_sub_managers: false,
            }) => manages.then_some(direct),
            Some(AskedScope::Managed {
                include_sub_managers: true,
            }) => (wide || (manages && deep)).then_some(all),
        }
    }

    proptest! {
        /// Whatever the token says, a question touches exactly the users that the contract's words
        /// give, and never one outside the reach.
        #[test]
        fn a_question_touches_exactly_whom_the_contract_says(
            role in proptest::sample::select(Role::ALL.to_vec()),
            (reporting, mark_complete, indirect_reports, open) in any::<(bool, bool, bool, bool)>(),
            direct in proptest::collection::vec("[a-h]", 0..5),
            indirect in proptest::collection::vec("[a-h]", 0..5),
            asked in proptest::sample::select(vec![
                None, Some(AskedScope::Company), Some(MANAGED), Some(ALL_MANAGED),
                Some(AskedScope::Team), Some(AskedScope::Group), Some(AskedScope::Me),
            ]),
        ) {
            let ids = |list: &[String]| list.iter().map(|id| user(id)).collect::<Vec<_>>();
            let person = Person {
                user: user("a"),
                permissions: Permissions { reporting, mark_complete, indirect_reports },
                reports: Some(Reports::new(ids(&direct), ids(&indirect)).without(&user("a"))),
                ..person(role)
            };
            let rules = ReachRules { managers_see_indirect_reports: open };
            let caller = Principal::from(person.clone());
            let resolve = |asked| Scoped::new(&caller, &rules, asked, ()).ok().map(|scoped| match scoped.people() {
                People::Everyone => ('a'..='h').map(|id| user(&id.to_string())).collect(),
                People::Users(users) => users.into_iter().cloned().collect::<BTreeSet<_>>(),
                People::Tree { .. } => unreachable!("the token names the reports"),
            });
            let touched = resolve(asked);
            prop_assert_eq!(&touched, &judge(&person, &rules, asked));
            if let (Some(touched), Some(reach)) = (touched, resolve(None)) {
                prop_assert!(touched.is_subset(&reach));
            }
        }
    }
}
