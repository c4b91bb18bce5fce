//! Compares the store's queries for opened reports with the model.
//!
//! A row is expected if it passes the saved and the additional request and is within the reach of the
//! caller and of the recipient. The tests call the store as the resource and the sender do: log, total,
//! export, summary, facets and progress.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rollbook::access::{
    Credential, CredentialScope, Permissions, Person, Principal, ReachRules, Reports, Scoped,
};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::{OrgId, UserId};
use rollbook::log::facets::facet_filter;
use rollbook::log::progress::StatusFilter;
use rollbook::log::summary::Dimension;
use rollbook::log::{Filter as LogFilter, ParseContext, Position, Query};
use rollbook::store::{FacetCache, Page, SkippedRows, Store};
use rollbook::texts::Language;

use super::answers;
use super::derivation::{self, Row};
use super::question::{self, Filter, Question, Requester, Scope};
use super::tenant::Tenant;
use super::world::{Micros, Organisation, User};
use super::{CheckResult, check};
use crate::support::TestServer;
use crate::support::random::Random;

/// A report that a requester opens.
#[derive(Debug)]
struct OpenedReport {
    /// The saved request, with the requester that opens the report.
    saved: Question,
    /// The additional request.
    added: Question,
    /// A recipient. The recipient's reach also limits the rows.
    recipient: Option<Requester>,
}

/// Checks random reports of both organisations.
pub async fn check_random_requests(
    server: &TestServer,
    seed: u64,
    stage: &str,
    tenants: [&Tenant; 2],
    cases: usize,
) {
    let mut random = Random::new(seed ^ ((stage.len() as u64) << 40));
    let now = server.clock.now().micros();
    let mut with_rows = 0;
    for case in 0..cases {
        let facts = &tenants[random.below(2)].facts;
        let report = random_report(&mut random, facts, now);
        match check_report(&server.store, facts, &report, now).await {
            Ok(rows) => with_rows += usize::from(rows > 0),
            Err(difference) => panic!(
                "seed {seed}, {stage}, report {case}, organisation {}:\n{report:#?}\n{difference}\n\
                 Repeat with ROLLBOOK_TEST_SEED={seed}",
                facts.id
            ),
        }
    }
    // Reports without rows test little.
    assert!(with_rows * 8 > cases, "seed {seed}: only {with_rows} of {cases} reports have rows");
}

fn random_report(random: &mut Random, facts: &Organisation, now: Micros) -> OpenedReport {
    let mut requester = question::random_requester(random, facts);
    // Requesters with a small reach find few rows, so that they occur less often.
    if !answers::reads_everything(&requester) && random.percent(50) {
        requester = question::random_requester(random, facts);
    }
    let added_filters = random.below(2);
    let mut random_request = |maximum: usize| {
        let mut question = question::random_question(random, facts, requester.clone(), now);
        question.person = None;
        question.filters.truncate(maximum);
        let names = |wanted: fn(&Filter) -> bool| question.filters.iter().any(wanted);
        let incomplete = match question.scope {
            Some(Scope::Team) => !names(|filter| matches!(filter, Filter::Team { .. })),
            Some(Scope::Group) => !names(|filter| filter.has_name("group")),
            _ => false,
        };
        if incomplete {
            question.scope = None;
        }
        question
    };
    let saved = random_request(2);
    let mut added = random_request(added_filters);
    // Parameters that widen the report are refused when they are parsed, so that they do not occur here.
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
    let recipient = random.maybe(40, |random| question::random_requester(random, facts));
    OpenedReport { saved, added, recipient }
}

// --- The model ---------------------------------------------------------------------------------------

impl OpenedReport {
    /// The saved request with the scope that the requester may have, or an error if there is none.
    fn with_permitted_scope(&self, facts: &Organisation) -> Result<Question, NoPermittedScope> {
        let with = |scope| Question { scope, ..self.saved.clone() };
        let managed = Some(Scope::Managed { include_sub_managers: false });
        let allowed = |scope| answers::refusal(facts, &with(scope)).is_none();
        match self.saved.scope {
            scope if allowed(scope) => Ok(with(scope)),
            Some(Scope::Company) => Ok(with(None)),
            Some(Scope::Managed { .. }) if allowed(managed) => Ok(with(managed)),
            _ => Err(NoPermittedScope),
        }
    }

    /// The additional request, in the zone of the report unless it has another.
    fn added_in_zone(&self, facts: &Organisation) -> Question {
        let mut added = self.added.clone();
        if !added.filters.iter().any(|filter| matches!(filter, Filter::TimeZone(_))) {
            added.filters.push(Filter::TimeZone(self.saved.tz(facts)));
        }
        added
    }

    /// Returns true if the person of a row may occur in the report.
    fn passes_people(&self, facts: &Organisation, row: &Row<'_>) -> bool {
        let may_read = |requester: &Requester| answers::is_within_reach(facts, requester, row.user);
        let Ok(clamped) = self.with_permitted_scope(facts) else {
            return false;
        };
        may_read(&self.saved.requester)
            && self.recipient.as_ref().is_none_or(may_read)
            && answers::is_within_scope(facts, &clamped, row)
            && answers::is_within_scope(facts, &self.added, row)
            && (self.saved.shows_deactivated() || row.user.is_none_or(|user| user.active))
    }

    /// Returns true if the row passes the saved and additional filters that `counts` selects.
    fn passes_filters(
        &self,
        facts: &Organisation,
        row: &Row<'_>,
        now: Micros,
        counts: impl Fn(&Filter, bool) -> bool,
    ) -> bool {
        let added = self.added_in_zone(facts);
        [(&self.saved, false), (&added, true)].into_iter().all(|(question, is_added)| {
            question
                .filters
                .iter()
                .filter(|filter| counts(filter, is_added))
                .all(|filter| answers::passes_filter(facts, question, filter, row, now))
        })
    }

    fn passes_visits(&self, row: &Row<'_>) -> bool {
        row.action != "visited" || answers::requests_visits(&self.saved)
    }

    fn expected_rows<'a>(&self, facts: &'a Organisation, now: Micros) -> Vec<Row<'a>> {
        let mut rows = derivation::derive_rows(facts);
        rows.retain(|row| {
            self.passes_people(facts, row)
                && self.passes_visits(row)
                && self.passes_filters(facts, row, now, |_, _| true)
        });
        rows.sort_by_key(|row| (row.record.happened_at, row.position));
        if !(self.added.ascending || self.saved.ascending) {
            rows.reverse();
        }
        rows
    }

    /// The rows for each action in the facets of the report: additional filters do not count.
    fn expected_actions(&self, facts: &Organisation, now: Micros) -> BTreeMap<String, u64> {
        let counts = |filter: &Filter, is_added: bool| match (filter, self.added.scope) {
            (Filter::Team { .. }, Some(Scope::Team)) => true,
            (filter, Some(Scope::Group)) if filter.has_name("group") => true,
            _ => !is_added,
        };
        let mut by_action = BTreeMap::new();
        for row in derivation::derive_rows(facts) {
            if self.passes_people(facts, &row)
                && self.passes_visits(&row)
                && self.passes_filters(facts, &row, now, counts)
            {
                *by_action.entry(row.action.to_owned()).or_default() += 1;
            }
        }
        by_action
    }

    /// The teams in which a row counts: those of its user that every filter of teams contains.
    fn counted_teams<'a>(&self, facts: &Organisation, user: &'a User) -> Vec<&'a str> {
        let team_filters: Vec<(&[String], bool, bool)> = [&self.saved, &self.added]
            .into_iter()
            .flat_map(|question| &question.filters)
            .filter_map(|filter| match filter {
                Filter::Team { teams, include_sub_teams, primary_team_only } => {
                    Some((teams.as_slice(), *include_sub_teams, *primary_team_only))
                }
                _ => None,
            })
            .collect();
        let primary_only = team_filters.iter().any(|(_, _, primary_only)| *primary_only);
        let found_value: Vec<&str> = match primary_only {
            true => user.primary_team.iter().map(String::as_str).collect(),
            false => user.teams.iter().map(String::as_str).collect(),
        };
        let is_selected = |team: &&str| {
            team_filters.iter().all(|(teams, below, _)| {
                teams
                    .iter()
                    .any(|parent| facts.teams_under(parent, *below).iter().any(|other| other == *team))
            })
        };
        found_value.into_iter().filter(is_selected).collect()
    }
}

/// No part of the scope is available to the requester.
struct NoPermittedScope;

// --- The store -----------------------------------------------------------------------------------------

fn principal(facts: &Organisation, requester: &Requester) -> Principal {
    let org = OrgId::new(&facts.id).expect("an id");
    let user = |id: &String| UserId::new(id).expect("an id");
    match requester {
        Requester::Credential { reads_activities } => {
            let scopes = [CredentialScope::ActivitiesRead].into_iter().filter(|_| *reads_activities);
            Principal::from(Credential { org, key: "key".to_owned(), scopes: scopes.collect() })
        }
        Requester::Person { user: id, role, permissions, reports } => Principal::from(Person {
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

fn may_open_reports(requester: &Requester) -> bool {
    !matches!(requester, Requester::Credential { reads_activities: false })
}

/// Compares one report and returns the number of rows.
async fn check_report(
    store: &Store,
    facts: &Organisation,
    report: &OpenedReport,
    now: Micros,
) -> Result<usize, String> {
    let at = Timestamp::from_micros(now);
    let context = ParseContext::list(at, facts.time_zone, None);
    let saved =
        Query::parse(&report.saved.pairs(), &context).map_err(|faults| format!("saved: {faults:?}"))?;
    let context = ParseContext { saved: Some(&saved), ..context };
    let query =
        Query::parse(&report.added.pairs(), &context).map_err(|faults| format!("added: {faults:?}"))?;
    let rules = ReachRules { managers_see_indirect_reports: facts.managers_see_indirect_reports };

    let opener = principal(facts, &report.saved.requester);
    let question = Scoped::clamped(&opener, &rules, saved.asked_scope, query.filter.clone());
    check(question.is_ok() == may_open_reports(&report.saved.requester), || {
        format!("the result of opening is {question:?}")
    })?;
    let Ok(question) = question else { return Ok(0) };
    let question = question.and_requested(&opener, &rules, query.asked_scope);
    let refused = answers::refusal(facts, &report.added);
    check(question.is_err() == refused.is_some(), || {
        format!("the additional request must be {refused:?}, not {question:?}")
    })?;
    let Ok(mut question) = question else {
        return Ok(0);
    };
    if let Some(recipient) = &report.recipient {
        let shared = question.shared_with(&principal(facts, recipient), &rules);
        check(shared.is_ok() == may_open_reports(recipient), || {
            format!("the result for the recipient is {shared:?}")
        })?;
        let Ok(shared) = shared else { return Ok(0) };
        question = shared;
    }

    let expected = report.expected_rows(facts, now);
    compare_log(store, &question.as_ref(), &query, &expected).await?;
    compare_teams(store, report, facts, &question.as_ref(), &expected).await?;
    compare_facet_of_actions(store, report, facts, &question, &query).await?;
    compare_progress(store, report, facts, question, now).await?;
    Ok(expected.len())
}

/// Compares pages, the total and an export.
async fn compare_log(
    store: &Store,
    question: &Scoped<&LogFilter>,
    query: &Query,
    expected: &[Row<'_>],
) -> CheckResult {
    let expected_value: Vec<String> = expected.iter().map(|row| row.id().to_string()).collect();
    let mut page = Page { sort: query.sort, after: None, limit: query.limit.max(7), now: query.now };
    let mut found_value = Vec::new();
    loop {
        // A small byte budget ends many pages before their limit.
        let found = store.find_rows(question, page, 200).await.map_err(|error| error.to_string())?;
        let rows = found.items;
        check(rows.len() <= page.limit as usize && (!found.more || !rows.is_empty()), || {
            format!("a page has {} rows", rows.len())
        })?;
        found_value.extend(rows.iter().map(|row| row.id.to_string()));
        page.after = rows.last().map(|row| Position { happened_at: row.projected.happened_at, seq: row.seq });
        if !found.more {
            break;
        }
    }
    compare_ids(&expected_value, &found_value, "the pages", expected)?;
    let count = store.count_rows(question, query.now).await.map_err(|error| error.to_string())?;
    check(count == expected_value.len() as u64, || {
        format!("the total is {count}, not {}", expected_value.len())
    })?;
    let rows = store.stream_rows(question, query.sort, query.now, &SkippedRows::default()).await;
    let rows = rows.map_err(|error| error.to_string())?.try_concat().await;
    let rows = rows.map_err(|error| error.to_string())?;
    let found_value: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    compare_ids(&expected_value, &found_value, "the export", expected)
}

fn compare_ids(
    expected_value: &[String],
    found_value: &[String],
    what: &str,
    expected: &[Row<'_>],
) -> CheckResult {
    check(expected_value == found_value, || {
        let missing = expected_value.iter().position(|id| !found_value.contains(id));
        let surplus = found_value.iter().find(|id| !expected_value.contains(id));
        let missing = missing.map(|place| &expected[place]);
        format!(
            "{what} have {} rows, not {}\nfirst missing: {missing:#?}\nfirst unexpected: {surplus:?}",
            found_value.len(),
            expected_value.len()
        )
    })
}

/// Compares the summary by team.
async fn compare_teams(
    store: &Store,
    report: &OpenedReport,
    facts: &Organisation,
    question: &Scoped<&LogFilter>,
    expected: &[Row<'_>],
) -> CheckResult {
    let mut expected_value: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for row in expected {
        let teams = row.user.map(|user| report.counted_teams(facts, user)).unwrap_or_default();
        let teams: Vec<Option<String>> = match teams.is_empty() {
            true => vec![None],
            false => teams.into_iter().map(|team| Some(team.to_owned())).collect(),
        };
        for team in teams {
            *expected_value.entry(team).or_default() += 1;
        }
    }
    let now = store.clock().now();
    let summary = store
        .summarise(question, &[Dimension::Team], now, Language::ENGLISH)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|_| "the summary is refused")?;
    let groups = summary.groups.into_iter();
    let found_value: BTreeMap<Option<String>, u64> =
        groups.map(|group| (group.key.team.flatten(), group.measures.rows)).collect();
    check(expected_value == found_value, || {
        format!("the teams are {found_value:?}, not {expected_value:?}")
    })?;
    check(summary.total.rows == expected.len() as u64, || {
        format!("the total is {}, not {}", summary.total.rows, expected.len())
    })
}

/// Compares the facet of actions, which ignores additional filters, but not the report.
async fn compare_facet_of_actions(
    store: &Store,
    report: &OpenedReport,
    facts: &Organisation,
    question: &Scoped<LogFilter>,
    query: &Query,
) -> CheckResult {
    let bar = question.clone().map(|filter| facet_filter(&filter, query.asked_scope));
    let facets = store
        .count_facets(&FacetCache::default(), &bar.as_ref(), query.now, Language::ENGLISH)
        .await
        .map_err(|error| error.to_string())?;
    let actions = facets.facets.iter().find(|facet| facet.name == "action");
    let values = actions.into_iter().flat_map(|facet| &facet.values);
    let found_value: BTreeMap<String, u64> = values.map(|value| (value.value.clone(), value.count)).collect();
    let expected_value = report.expected_actions(facts, query.now.micros());
    check(expected_value == found_value, || {
        format!("the facet of actions is {found_value:?}, not {expected_value:?}")
    })
}

/// Compares the people in the progress of a content. Persons without a user occur only without filters of
/// people.
async fn compare_progress(
    store: &Store,
    report: &OpenedReport,
    facts: &Organisation,
    question: Scoped<LogFilter>,
    now: Micros,
) -> CheckResult {
    let rows = derivation::derive_rows(facts);
    let Some((any, content)) = rows.iter().find_map(|row| row.content.map(|content| (row, content))) else {
        return Ok(());
    };
    let is_of_people = |filter: &Filter, _| filter.selects_persons();
    let passes = |user: Option<&User>| {
        let row = Row { user, ..any.clone() };
        report.passes_people(facts, &row) && report.passes_filters(facts, &row, now, is_of_people)
    };
    let mut expected_value: Vec<&str> =
        facts.users.iter().filter(|user| passes(Some(user))).map(|user| user.id.as_str()).collect();
    expected_value.sort_unstable();
    let progress = store.content_progress(question, &content.id, Timestamp::from_micros(now)).await;
    let Some(progress) = progress.map_err(|error| error.to_string())? else {
        return Err(format!("{} is not in the catalogue", content.id));
    };
    let people = progress.stream_people(StatusFilter::default()).try_concat().await;
    let people = people.map_err(|error| error.to_string())?;
    let (users, strangers): (Vec<_>, Vec<_>) = people.iter().partition(|one| one.person.user.is_some());
    let mut found_value: Vec<&str> =
        users.iter().filter_map(|one| Some(one.person.user.as_ref()?.id.as_str())).collect();
    found_value.sort_unstable();
    check(expected_value == found_value, || {
        format!("the users are {found_value:?}, not {expected_value:?}")
    })?;
    check(strangers.is_empty() || passes(None), || {
        format!("progress contains {} persons without a user", strangers.len())
    })
}
