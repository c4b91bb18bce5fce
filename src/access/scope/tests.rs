//! Tests of the table of scopes, and of every way to narrow a question, against a naive model.

use super::*;
use crate::access::credential::CredentialScope;
use crate::access::permissions::Permissions;
use crate::access::principal::Person;
use crate::access::principal::samples::{credential, person, report_key, user};
use crate::access::role::Role;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};

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
    let scoped = Scoped::new(caller, rules, asked, ())?;
    assert_eq!(scoped.views.len(), 1, "one scope of one caller is one view");
    Ok(scoped.views[0].part)
}

/// The table of the module's documentation, cell by cell.
#[test]
fn each_caller_may_request_the_scopes_of_the_table() {
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
fn credential_without_activities_read_gets_no_scope() {
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
fn tree_of_managers_counts_without_the_claim() {
    let caller = Principal::from(person(Role::Manager));
    let people = |rules, asked| match Scoped::new(&caller, rules, asked, ())
        .unwrap()
        .people()
        .as_slice()
    {
        [
            People::Tree {
                manager,
                manager_too,
                indirect,
            },
        ] => ((*manager).clone(), *manager_too, *indirect),
        other => panic!("{other:?}"),
    };
    assert_eq!(people(&OPEN, None), (user("ada"), true, true));
    assert_eq!(people(&STRICT, None), (user("ada"), true, false));
    assert_eq!(people(&OPEN, Some(MANAGED)), (user("ada"), false, false));
    assert_eq!(people(&OPEN, Some(ALL_MANAGED)), (user("ada"), false, true));
}

#[test]
fn managed_scope_of_an_owner_is_the_owners_reports() {
    let reports = Some(Reports::new(vec![user("bo")], vec![user("cy")]));
    let caller = Principal::from(Person {
        reports,
        ..person(Role::Owner)
    });
    let scoped = Scoped::new(&caller, &STRICT, Some(MANAGED), ()).unwrap();
    assert_eq!(scoped.people(), [People::Users(vec![&user("bo")])]);
    let scoped = Scoped::new(&caller, &STRICT, None, ()).unwrap();
    assert_eq!(scoped.people(), []);
}

#[test]
fn mapping_keeps_the_reach() {
    let caller = Principal::from(person(Role::Learner));
    let scoped = Scoped::new(&caller, &OPEN, Some(AskedScope::Me), 1).unwrap();
    let mapped = scoped.clone().map(|number| number.to_string());
    assert_eq!(mapped.inner(), "1");
    assert_eq!((mapped.org(), mapped.caller_id()), (scoped.org(), "user:ada"));
    assert_eq!(mapped.views, scoped.as_ref().views);
    assert_eq!(mapped.people(), [People::Users(vec![&user("ada")])]);
}

/// The users of a small organisation that a question covers, by the rules of the specification.
fn expected_users(
    person: &Person,
    rules: &ReachRules,
    asked: Option<AskedScope>,
) -> Option<BTreeSet<UserId>> {
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

fn scopes() -> impl Strategy<Value = Option<AskedScope>> {
    select(vec![
        None,
        Some(AskedScope::Company),
        Some(MANAGED),
        Some(ALL_MANAGED),
        Some(AskedScope::Team),
        Some(AskedScope::Group),
        Some(AskedScope::Me),
    ])
}

proptest! {
    /// For every token a question covers exactly the users of the specification, and none outside the reach.
    #[test]
    fn question_covers_exactly_the_users_of_the_specification(
        role in select(Role::ALL.to_vec()),
        (reporting, mark_complete, indirect_reports, open) in any::<(bool, bool, bool, bool)>(),
        direct in proptest::collection::vec("[a-h]", 0..5),
        indirect in proptest::collection::vec("[a-h]", 0..5),
        asked in scopes(),
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
        let resolve = |asked| Scoped::new(&caller, &rules, asked, ()).ok().map(|scoped| match scoped.people()[..] {
            [] => ('a'..='h').map(|id| user(&id.to_string())).collect(),
            [People::Users(ref users)] => users.iter().map(|user| (*user).clone()).collect::<BTreeSet<_>>(),
            ref other => unreachable!("one list, since the token names the reports: {other:?}"),
        });
        let touched = resolve(asked);
        prop_assert_eq!(&touched, &expected_users(&person, &rules, asked));
        if let (Some(touched), Some(reach)) = (touched, resolve(None)) {
            prop_assert!(touched.is_subset(&reach));
        }
    }
}

#[test]
fn scope_of_a_report_is_clamped_to_the_opener() {
    let part = |caller: &Principal, rules: &ReachRules, asked: Option<AskedScope>| {
        let scoped = Scoped::clamped(caller, rules, asked, ())?;
        Ok::<_, ScopeError>(scoped.views[0].part)
    };
    let manager = Principal::from(person(Role::Manager));
    let learner = Principal::from(person(Role::Learner));
    let key = Principal::from(credential(&[CredentialScope::ActivitiesRead]));
    let company = Some(AskedScope::Company);
    for (caller, rules, asked, expected) in [
        (&manager, OPEN, company, Part::Whole),
        (&manager, OPEN, Some(ALL_MANAGED), Part::AllReports),
        (&manager, STRICT, Some(ALL_MANAGED), Part::DirectReports),
        (&learner, OPEN, company, Part::Whole),
        (&learner, OPEN, Some(MANAGED), Part::Nobody),
        (&key, OPEN, company, Part::Whole),
        (&key, OPEN, Some(MANAGED), Part::Nobody),
        (&key, OPEN, Some(AskedScope::Me), Part::Nobody),
    ] {
        assert_eq!(
            part(caller, &rules, asked),
            Ok(expected),
            "{caller:?} opens {asked:?}"
        );
    }
    for nobody in [
        Principal::from(credential(&[])),
        Principal::from(report_key(Role::Owner)),
    ] {
        assert_eq!(part(&nobody, &OPEN, None), Err(ScopeError::NoActivities));
    }
}

/// What is within another needs no second look at the directory: the query for it is that of the narrower one alone.
#[test]
fn view_within_another_replaces_it() {
    let manager = Principal::from(person(Role::Manager));
    let admin = Principal::from(Person {
        user: user("bo"),
        ..person(Role::Admin)
    });
    let ada = user("ada");
    let tree = |manager_too, indirect| People::Tree {
        manager: &ada,
        manager_too,
        indirect,
    };
    let whole = Scoped::clamped(&manager, &OPEN, Some(AskedScope::Company), ()).unwrap();
    assert_eq!(whole.people(), [tree(true, true)]);
    let twice = whole.clone().and_requested(&manager, &OPEN, None).unwrap();
    assert_eq!(twice.people(), [tree(true, true)]);
    let to_admin = whole.clone().shared_with(&admin, &OPEN).unwrap();
    assert_eq!(to_admin.people(), [tree(true, true)]);
    let managed = whole.and_requested(&manager, &OPEN, Some(MANAGED)).unwrap();
    assert_eq!(managed.people(), [tree(false, false)]);
    let all = managed.and_requested(&manager, &OPEN, Some(ALL_MANAGED)).unwrap();
    assert_eq!(all.people(), [tree(false, false)]);
    let both = all.and_requested(&manager, &OPEN, Some(AskedScope::Me)).unwrap();
    assert_eq!(both.people(), [tree(false, false), People::Users(vec![&ada])]);
    let everything = Scoped::new(&admin, &OPEN, None, ()).unwrap();
    assert_eq!(everything.people(), []);
    let sent = everything.shared_with(&manager, &OPEN).unwrap();
    assert_eq!(sent.people(), [tree(true, true)]);
}

/// The user of an activity. `None`: a person that belongs to no user.
type ActivityUser = Option<UserId>;

/// The managers of a small organisation.
type Managers = BTreeMap<UserId, UserId>;

fn all_persons() -> Vec<ActivityUser> {
    let users = ('a'..='h').map(|id| Some(user(&id.to_string())));
    users.chain([None]).collect()
}

/// The reports of a person: those of the claim, otherwise those below the person in the directory's tree.
fn managed_by(person: &Person, managers: &Managers, indirect: bool) -> BTreeSet<UserId> {
    let mut found = BTreeSet::new();
    match &person.reports {
        Some(claim) => {
            found.extend(claim.direct().iter().cloned());
            if indirect {
                found.extend(claim.indirect().iter().cloned());
            }
        }
        None => {
            for who in managers.keys() {
                let mut above = managers.get(who);
                while let Some(manager) = above {
                    if *manager == person.user {
                        found.insert(who.clone());
                    }
                    above = managers.get(manager).filter(|_| indirect);
                }
            }
        }
    }
    found.remove(&person.user);
    found
}

fn sees_all(person: &Person) -> bool {
    match person.role {
        Role::Curator => person.permissions.reporting,
        role => !matches!(role, Role::Manager | Role::Learner),
    }
}

fn sees_indirect(person: &Person, rules: &ReachRules) -> bool {
    person.permissions.indirect_reports || rules.managers_see_indirect_reports
}

/// Whether somebody is within a caller's reach; `None` where the caller reads no activities.
fn may_see(caller: &Principal, rules: &ReachRules, managers: &Managers, who: &ActivityUser) -> Option<bool> {
    match caller {
        Principal::Credential(credential) => credential
            .scopes
            .allows(CredentialScope::ActivitiesRead)
            .then_some(true),
        Principal::ReportKey(_) | Principal::Launch(_) => None,
        Principal::Person(person) if sees_all(person) => Some(true),
        Principal::Person(person) => Some(who.as_ref().is_some_and(|who| {
            *who == person.user
                || (person.role == Role::Manager
                    && managed_by(person, managers, sees_indirect(person, rules)).contains(who))
        })),
    }
}

/// Whether somebody is in what is asked for; the inner `None` where the caller can't have it.
fn in_scope(
    caller: &Principal,
    rules: &ReachRules,
    managers: &Managers,
    asked: Option<AskedScope>,
    who: &ActivityUser,
) -> Option<bool> {
    let person = caller.person();
    match asked {
        None | Some(AskedScope::Team | AskedScope::Group) => Some(true),
        Some(AskedScope::Company) => person.is_none_or(sees_all).then_some(true),
        Some(AskedScope::Me) => person.map(|person| who.as_ref() == Some(&person.user)),
        Some(AskedScope::Managed { include_sub_managers }) => {
            let person = person.filter(|person| sees_all(person) || person.role == Role::Manager)?;
            let allowed = !include_sub_managers || sees_all(person) || sees_indirect(person, rules);
            let managed = managed_by(person, managers, include_sub_managers);
            allowed.then(|| who.as_ref().is_some_and(|who| managed.contains(who)))
        }
    }
}

/// The same for a saved report's scope: what the opener can't have is clamped.
fn in_saved_scope(
    caller: &Principal,
    rules: &ReachRules,
    managers: &Managers,
    asked: Option<AskedScope>,
    who: &ActivityUser,
) -> bool {
    let had = |asked| in_scope(caller, rules, managers, asked, who);
    had(asked).unwrap_or_else(|| match asked {
        Some(AskedScope::Company) => true,
        Some(ALL_MANAGED) => had(Some(MANAGED)).unwrap_or(false),
        _ => false,
    })
}

/// The users in all of these sets, by walking the directory's tree.
fn resolve_people(people: &[People<'_>], managers: &Managers) -> BTreeSet<ActivityUser> {
    let is_in = |people: &People<'_>, who: &ActivityUser| match people {
        People::Everyone => true,
        People::Users(users) => who.as_ref().is_some_and(|who| users.contains(&who)),
        People::Tree {
            manager,
            manager_too,
            indirect,
        } => {
            let Some(who) = who else { return false };
            let above = |who: &UserId| managers.get(who).cloned();
            let mut line = std::iter::successors(above(who), |who| above(who).filter(|_| *indirect));
            line.any(|above| above == **manager) || (*manager_too && who == *manager)
        }
    };
    let everybody = all_persons().into_iter();
    everybody
        .filter(|who| people.iter().all(|people| is_in(people, who)))
        .collect()
}

/// A caller of any kind, of one of two organisations.
fn callers() -> impl Strategy<Value = Principal> {
    let ids = || proptest::collection::vec("[a-h]", 0..4);
    let people = (
        "[a-h]",
        select(Role::ALL.to_vec()),
        any::<(bool, bool, bool)>(),
        proptest::option::of((ids(), ids())),
        proptest::bool::weighted(0.9),
    );
    let people = people.prop_map(|(id, role, permissions, claim, at_home)| {
        let ids = |list: Vec<String>| list.iter().map(|id| user(id)).collect::<Vec<_>>();
        let claim = claim.map(|(direct, indirect)| Reports::new(ids(direct), ids(indirect)));
        let org = if at_home { "acme" } else { "umbra" };
        let (reporting, mark_complete, indirect_reports) = permissions;
        Principal::from(Person {
            org: OrgId::new(org).unwrap(),
            user: user(&id),
            permissions: Permissions {
                reporting,
                mark_complete,
                indirect_reports,
            },
            reports: claim.map(|claim| claim.without(&user(&id))),
            ..person(role)
        })
    });
    let scopes = proptest::sample::subsequence(CredentialScope::ALL.to_vec(), 0..=3);
    let credentials = scopes.prop_map(|scopes| Principal::from(credential(&scopes)));
    let keys = (select(Role::ALL.to_vec()), any::<bool>()).prop_map(|(role, as_reader)| {
        let key = Principal::from(report_key(role));
        if as_reader { key.reader().into_owned() } else { key }
    });
    prop_oneof![
        8 => people,
        1 => Just(Principal::from(credential(&[CredentialScope::ActivitiesRead]))),
        1 => credentials,
        1 => keys,
    ]
}

/// How a question is narrowed after it was made.
#[derive(Debug, Clone)]
enum Narrowing {
    /// Its caller asks for a scope beside it.
    Asked(Option<AskedScope>),
    /// ActivityUser has to see the rows too.
    Shared(Principal),
}

proptest! {
    /// Checks an opened report for random roles, claims, rules and directories. It shows exactly the persons that are in
    /// its scope for the caller that opens it, in every scope that the request adds, and in the reach of all its readers.
    #[test]
    fn opened_report_covers_users_that_all_readers_may_see(
        above in proptest::collection::vec(proptest::option::of(any::<proptest::sample::Index>()), 8),
        open in any::<bool>(),
        caller in callers(),
        saved in scopes(),
        narrowings in proptest::collection::vec(
            prop_oneof![scopes().prop_map(Narrowing::Asked), callers().prop_map(Narrowing::Shared)], 0..4),
    ) {
        let rules = ReachRules { managers_see_indirect_reports: open };
        let users: Vec<UserId> = all_persons().into_iter().flatten().collect();
        // Each is managed by nobody, or by somebody before them.
        let managers: Managers = (1..users.len())
            .filter_map(|who| Some((users[who].clone(), users[above[who]?.index(who)].clone())))
            .collect();

        let mut expected: BTreeSet<ActivityUser> = all_persons().into_iter().collect();
        let reads = may_see(&caller, &rules, &managers, &None).is_some();
        expected.retain(|who| {
            may_see(&caller, &rules, &managers, who) == Some(true)
                && in_saved_scope(&caller, &rules, &managers, saved, who)
        });
        let opened = Scoped::clamped(&caller, &rules, saved, ());
        prop_assert_eq!(opened.is_ok(), reads);
        let Ok(mut opened) = opened else {
            prop_assert_eq!(opened, Err(ScopeError::NoActivities));
            return Ok(());
        };
        prop_assert_eq!(resolve_people(&opened.people(), &managers), expected.clone());

        for narrowing in narrowings {
            let (narrowed, allowed) = match &narrowing {
                Narrowing::Asked(asked) => {
                    let had = |who: &ActivityUser| in_scope(&caller, &rules, &managers, *asked, who);
                    expected.retain(|who| had(who) == Some(true));
                    (opened.and_requested(&caller, &rules, *asked), had(&None).is_some())
                }
                Narrowing::Shared(other) => {
                    let sees = |who: &ActivityUser| may_see(other, &rules, &managers, who);
                    expected.retain(|who| sees(who) == Some(true) && other.org() == caller.org());
                    (opened.shared_with(other, &rules), sees(&None).is_some())
                }
            };
            prop_assert_eq!(narrowed.is_ok(), allowed, "{:?}", narrowing);
            let Ok(narrowed) = narrowed else { return Ok(()) };
            let caller_id = caller.caller_id();
            prop_assert_eq!((narrowed.org(), narrowed.caller_id()), (caller.org(), caller_id.as_str()));
            prop_assert_eq!(resolve_people(&narrowed.people(), &managers), expected.clone(), "{:?}", narrowing);
            opened = narrowed;
        }
    }
}
