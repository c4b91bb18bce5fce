//! Opened reports, naively: a row comes back where the saved question lets it through, and what was added, and where
//! whoever opens the report may see it, and whoever it is sent to (product text, section 9).
//!
//! The store is asked itself, as a report's resource and the sender ask it: in the log, its total, an export, the
//! summary, the facets and progress.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rollbook::access::{
    Credential, CredentialScope, Permissions, Person, Principal, ReachRules, Reports, Scoped,
};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::{OrgId, UserId};
use rollbook::log::facets::population;
use rollbook::log::summary::Dimension;
use rollbook::log::{Filter as AskedFilter, ParseContext, Position, Query};
use rollbook::store::{Detail, FacetCache, Page, Store};

use super::growth::Tenant;
use super::judge;
use super::question::{self, Filter, Question, Scope, Who};
use super::reading::{self, Row};
use super::world::{Micros, Organisation, User};
use super::{Judgement, must};
use crate::support::TestServer;
use crate::support::random::Random;

/// A report that is opened.
#[derive(Debug)]
struct Opened {
    /// Somebody's question, asked as who opens it.
    saved: Question,
    /// What they add to it.
    added: Question,
    /// Who has to see the rows as well.
    recipient: Option<Who>,
}

/// Opens random reports of both organisations.
pub async fn ask(server: &TestServer, seed: u64, stage: &str, tenants: [&Tenant; 2], cases: usize) {
    let mut random = Random::new(seed ^ ((stage.len() as u64) << 40));
    let now = server.clock.now().micros();
    let mut with_rows = 0;
    for case in 0..cases {
        let facts = &tenants[random.below(2)].facts;
        let opened = random_report(&mut random, facts, now);
        match run(&server.store, facts, &opened, now).await {
            Ok(rows) => with_rows += usize::from(rows > 0),
            Err(difference) => panic!(
                "seed {seed}, {stage}, report {case}, organisation {}:\n{opened:#?}\n{difference}\n\
                 Again: ROLLBOOK_TEST_SEED={seed}",
                facts.id
            ),
        }
    }
    // Reports in which nothing is found prove little.
    assert!(with_rows * 8 > cases, "seed {seed}: only {with_rows} of {cases} reports have rows");
}

fn random_report(random: &mut Random, facts: &Organisation, now: Micros) -> Opened {
    let mut who = question::who(random, facts);
    // Who sees little finds little: they open reports as well, but less often.
    if !judge::sees_everything(&who) && random.percent(50) {
        who = question::who(random, facts);
    }
    let most_added = random.below(2);
    let mut ask = |most: usize| {
        let mut question = question::question(random, facts, who.clone(), now);
        question.person = None;
        question.filters.truncate(most);
        let names = |wanted: fn(&Filter) -> bool| question.filters.iter().any(wanted);
        let incomplete = match question.scope {
            Some(Scope::Team) => !names(|filter| matches!(filter, Filter::Team { .. })),
            Some(Scope::Group) => !names(|filter| filter.is("group")),
            _ => false,
        };
        if incomplete {
            question.scope = None;
        }
        question
    };
    let saved = ask(2);
    let mut added = ask(most_added);
    // What would widen the report is refused where it is read; here is what may be added.
    added.filters.retain_mut(|filter| match filter {
        Filter::IncludeDeactivated(_) => false,
        Filter::Values(values, keys) if values.name == "action" => {
            keys.retain(|action| action != "visited");
            !keys.is_empty()
        }
        Filter::Team { include_sub_teams, .. } => {
            *include_sub_teams = false;
            true
        }
        _ => true,
    });
    if let Some(Scope::Managed { include_sub_managers }) = &mut added.scope {
        *include_sub_managers = false;
    }
    let recipient = random.maybe(40, |random| question::who(random, facts));
    Opened { saved, added, recipient }
}

// --- The naive reading ---------------------------------------------------------------------------------------

impl Opened {
    /// The report's scope as who opens it has it; the inner one may be none at all.
    fn clamped(&self, facts: &Organisation) -> Result<Question, NobodyAtAll> {
        let with = |scope| Question { scope, ..self.saved.clone() };
        let managed = Some(Scope::Managed { include_sub_managers: false });
        let allowed = |scope| judge::refusal(facts, &with(scope)).is_none();
        match self.saved.scope {
            scope if allowed(scope) => Ok(with(scope)),
            Some(Scope::Company) => Ok(with(None)),
            Some(Scope::Managed { .. }) if allowed(managed) => Ok(with(managed)),
            _ => Err(NobodyAtAll),
        }
    }

    /// What was added, in the report's zone where it names none of its own.
    fn zoned(&self, facts: &Organisation) -> Question {
        let mut added = self.added.clone();
        if !added.filters.iter().any(|filter| matches!(filter, Filter::TimeZone(_))) {
            added.filters.push(Filter::TimeZone(self.saved.tz(facts)));
        }
        added
    }

    /// Whether the person of a row may come back at all.
    fn people(&self, facts: &Organisation, row: &Row<'_>) -> bool {
        let sees = |who: &Who| judge::within_reach(facts, who, row.user);
        let Ok(clamped) = self.clamped(facts) else {
            return false;
        };
        sees(&self.saved.who)
            && self.recipient.as_ref().is_none_or(sees)
            && judge::within_scope(facts, &clamped, row)
            && judge::within_scope(facts, &self.added, row)
            && (self.saved.shows_deactivated() || row.user.is_none_or(|user| user.active))
    }

    /// Whether a row passes the filters of which `counts` says that they count, the saved ones and the added ones.
    fn passes(
        &self,
        facts: &Organisation,
        row: &Row<'_>,
        now: Micros,
        counts: impl Fn(&Filter, bool) -> bool,
    ) -> bool {
        let added = self.zoned(facts);
        [(&self.saved, false), (&added, true)].into_iter().all(|(question, is_added)| {
            question
                .filters
                .iter()
                .filter(|filter| counts(filter, is_added))
                .all(|filter| judge::passes(facts, question, filter, row, now))
        })
    }

    fn shows(&self, row: &Row<'_>) -> bool {
        row.action != "visited" || judge::asks_for_visits(&self.saved)
    }

    fn rows<'a>(&self, facts: &'a Organisation, now: Micros) -> Vec<Row<'a>> {
        let mut rows = reading::rows(facts);
        rows.retain(|row| {
            self.people(facts, row) && self.shows(row) && self.passes(facts, row, now, |_, _| true)
        });
        rows.sort_by_key(|row| (row.record.happened_at, row.position));
        if !(self.added.ascending || self.saved.ascending) {
            rows.reverse();
        }
        rows
    }

    /// By action, the rows that a filter bar in the opened report tells of: the added filters are the bar's.
    fn bar(&self, facts: &Organisation, now: Micros) -> BTreeMap<String, u64> {
        let counts = |filter: &Filter, is_added: bool| match (filter, self.added.scope) {
            (Filter::Team { .. }, Some(Scope::Team)) => true,
            (filter, Some(Scope::Group)) if filter.is("group") => true,
            _ => !is_added,
        };
        let mut by_action = BTreeMap::new();
        for row in reading::rows(facts) {
            if self.people(facts, &row) && self.shows(&row) && self.passes(facts, &row, now, counts) {
                *by_action.entry(row.action.to_owned()).or_default() += 1;
            }
        }
        by_action
    }

    /// The teams that a row counts in: those of its user that every question about teams asks for.
    fn teams<'a>(&self, facts: &Organisation, user: &'a User) -> Vec<&'a str> {
        let asked: Vec<(&[String], bool, bool)> = [&self.saved, &self.added]
            .into_iter()
            .flat_map(|question| &question.filters)
            .filter_map(|filter| match filter {
                Filter::Team { teams, include_sub_teams, primary_team_only } => {
                    Some((teams.as_slice(), *include_sub_teams, *primary_team_only))
                }
                _ => None,
            })
            .collect();
        let primary_only = asked.iter().any(|(_, _, primary_only)| *primary_only);
        let theirs: Vec<&str> = match primary_only {
            true => user.primary_team.iter().map(String::as_str).collect(),
            false => user.teams.iter().map(String::as_str).collect(),
        };
        let is_asked = |team: &&str| {
            asked.iter().all(|(teams, below, _)| {
                teams.iter().any(|asked| facts.teams_under(asked, *below).iter().any(|other| other == *team))
            })
        };
        theirs.into_iter().filter(is_asked).collect()
    }
}

/// What is left of a scope that has no meaning for who opens the report.
struct NobodyAtAll;

// --- The store -----------------------------------------------------------------------------------------------

fn principal(facts: &Organisation, who: &Who) -> Principal {
    let org = OrgId::new(&facts.id).expect("an id");
    let user = |id: &String| UserId::new(id).expect("an id");
    match who {
        Who::Credential { reads_activities } => {
            let scopes = [CredentialScope::ActivitiesRead].into_iter().filter(|_| *reads_activities);
            Principal::from(Credential { org, key: "key".to_owned(), scopes: scopes.collect() })
        }
        Who::Person { user: id, role, permissions, reports } => Principal::from(Person {
            org,
            user: user(id),
            role: role.key().parse().expect("a role"),
            permissions: Permissions::from_keys(permissions.iter().copied()),
            reports: reports.as_ref().map(|reports| {
                let ids = |list: &[String]| list.iter().map(user).collect();
                Reports::new(ids(&reports.direct), ids(&reports.indirect)).without(&user(id))
            }),
            expires_at: Timestamp::default(),
        }),
    }
}

fn reads(who: &Who) -> bool {
    !matches!(who, Who::Credential { reads_activities: false })
}

/// Opens the report; how many rows it has.
async fn run(store: &Store, facts: &Organisation, opened: &Opened, now: Micros) -> Result<usize, String> {
    let at = Timestamp::from_micros(now);
    let context = ParseContext::list(at, facts.time_zone, "");
    let saved =
        Query::parse(&opened.saved.pairs(), &context).map_err(|faults| format!("saved: {faults:?}"))?;
    let context = ParseContext { saved: Some(&saved), ..context };
    let query =
        Query::parse(&opened.added.pairs(), &context).map_err(|faults| format!("added: {faults:?}"))?;
    let rules = ReachRules { managers_see_indirect_reports: facts.managers_see_indirect_reports };

    let opener = principal(facts, &opened.saved.who);
    let question = Scoped::clamped(&opener, &rules, saved.asked_scope, query.filter.clone());
    must(question.is_ok() == reads(&opened.saved.who), || format!("opening it is {question:?}"))?;
    let Ok(question) = question else { return Ok(0) };
    let question = question.and_asked(&opener, &rules, query.asked_scope);
    let refused = judge::refusal(facts, &opened.added);
    must(question.is_err() == refused.is_some(), || {
        format!("{refused:?} was expected of what is asked beside it, not {question:?}")
    })?;
    let Ok(mut question) = question else {
        return Ok(0);
    };
    if let Some(recipient) = &opened.recipient {
        let shared = question.shared_with(&principal(facts, recipient), &rules);
        must(shared.is_ok() == reads(recipient), || format!("to its recipient it is {shared:?}"))?;
        let Ok(shared) = shared else { return Ok(0) };
        question = shared;
    }

    let expected = opened.rows(facts, now);
    same_log(store, &question.as_ref(), &query, &expected).await?;
    same_teams(store, opened, facts, &question.as_ref(), &expected).await?;
    same_bar(store, opened, facts, &question, &query).await?;
    same_people(store, opened, facts, question, now).await?;
    Ok(expected.len())
}

/// Pages, the total and an export.
async fn same_log(
    store: &Store,
    question: &Scoped<&AskedFilter>,
    query: &Query,
    expected: &[Row<'_>],
) -> Judgement {
    let ours: Vec<String> = expected.iter().map(|row| row.id().to_string()).collect();
    let mut page = Page { sort: query.sort, after: None, limit: query.limit.max(7), now: query.now };
    let mut theirs = Vec::new();
    loop {
        let rows = store.page(question, page).await.map_err(|error| error.to_string())?;
        theirs.extend(rows.iter().map(|row| row.id.to_string()));
        page.after = rows.last().map(|row| Position { happened_at: row.projected.happened_at, seq: row.seq });
        if page.after.is_none() {
            break;
        }
    }
    same_ids(&ours, &theirs, "the pages", expected)?;
    let count = store.count(question, query.now).await.map_err(|error| error.to_string())?;
    must(count == ours.len() as u64, || format!("the total is {count}, not {}", ours.len()))?;
    let rows = store.rows(question, query.sort, query.now, Detail::Whole).await;
    let rows = rows.map_err(|error| error.to_string())?.try_concat().await;
    let rows = rows.map_err(|error| error.to_string())?;
    let theirs: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    same_ids(&ours, &theirs, "the export", expected)
}

fn same_ids(ours: &[String], theirs: &[String], what: &str, expected: &[Row<'_>]) -> Judgement {
    must(ours == theirs, || {
        let missing = ours.iter().position(|id| !theirs.contains(id));
        let surplus = theirs.iter().find(|id| !ours.contains(id));
        let missing = missing.map(|place| &expected[place]);
        format!(
            "{what} have {} rows, not {}\nfirst missing: {missing:#?}\nfirst too many: {surplus:?}",
            theirs.len(),
            ours.len()
        )
    })
}

/// The summary by team.
async fn same_teams(
    store: &Store,
    opened: &Opened,
    facts: &Organisation,
    question: &Scoped<&AskedFilter>,
    expected: &[Row<'_>],
) -> Judgement {
    let mut ours: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for row in expected {
        let teams = row.user.map(|user| opened.teams(facts, user)).unwrap_or_default();
        let teams: Vec<Option<String>> = match teams.is_empty() {
            true => vec![None],
            false => teams.into_iter().map(|team| Some(team.to_owned())).collect(),
        };
        for team in teams {
            *ours.entry(team).or_default() += 1;
        }
    }
    let now = store.clock().now();
    let summary = store
        .summary(question, &[Dimension::Team], now)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|_| "there is little to count")?;
    let groups = summary.groups.into_iter();
    let theirs: BTreeMap<Option<String>, u64> =
        groups.map(|group| (group.key.team.flatten(), group.measures.rows)).collect();
    must(ours == theirs, || format!("by team there are {theirs:?}, not {ours:?}"))?;
    must(summary.total.rows == expected.len() as u64, || {
        format!("{} are counted, not {}", summary.total.rows, expected.len())
    })
}

/// The facet of actions: what was added is passed over, the report is not.
async fn same_bar(
    store: &Store,
    opened: &Opened,
    facts: &Organisation,
    question: &Scoped<AskedFilter>,
    query: &Query,
) -> Judgement {
    let bar = question.clone().map(|filter| population(&filter, query.asked_scope));
    let facets = store
        .facets(&FacetCache::default(), &bar.as_ref(), query.now)
        .await
        .map_err(|error| error.to_string())?;
    let actions = facets.facets.iter().find(|facet| facet.name == "action");
    let values = actions.into_iter().flat_map(|facet| &facet.values);
    let theirs: BTreeMap<String, u64> = values.map(|value| (value.value.clone(), value.count)).collect();
    let ours = opened.bar(facts, query.now.micros());
    must(ours == theirs, || format!("the facet of actions is {theirs:?}, not {ours:?}"))
}

/// Progress with a content: whose it tells. What no user claims is told where nobody is named or narrowed to.
async fn same_people(
    store: &Store,
    opened: &Opened,
    facts: &Organisation,
    question: Scoped<AskedFilter>,
    now: Micros,
) -> Judgement {
    let rows = reading::rows(facts);
    let Some((any, content)) = rows.iter().find_map(|row| row.content.map(|content| (row, content))) else {
        return Ok(());
    };
    let is_of_people = |filter: &Filter, _| filter.selects_persons();
    let passes = |user: Option<&User>| {
        let row = Row { user, ..any.clone() };
        opened.people(facts, &row) && opened.passes(facts, &row, now, is_of_people)
    };
    let mut ours: Vec<&str> =
        facts.users.iter().filter(|user| passes(Some(user))).map(|user| user.id.as_str()).collect();
    ours.sort_unstable();
    let asked = store.progress(question, &content.id, Timestamp::from_micros(now)).await;
    let Some(asked) = asked.map_err(|error| error.to_string())? else {
        return Err(format!("{} is in no catalogue", content.id));
    };
    let people = asked.everybody(Vec::new()).try_concat().await;
    let people = people.map_err(|error| error.to_string())?;
    let (users, strangers): (Vec<_>, Vec<_>) = people.iter().partition(|one| one.person.user.is_some());
    let mut theirs: Vec<&str> =
        users.iter().filter_map(|one| Some(one.person.user.as_ref()?.id.as_str())).collect();
    theirs.sort_unstable();
    must(ours == theirs, || format!("progress tells of {theirs:?}, not of {ours:?}"))?;
    must(strangers.is_empty() || passes(None), || {
        format!("progress tells of {} whom nobody claims", strangers.len())
    })
}
