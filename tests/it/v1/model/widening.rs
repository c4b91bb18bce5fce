//! Compares the rule for widening with the model: a report that is no widening shows no row that the report before does
//! not show, to any requester, now or later.

use chrono_tz::Tz;
use rollbook::base::clock::Timestamp;
use rollbook::log::{ParseContext, Query};
use uuid::Uuid;

use super::answers::{self, Expected};
use super::question::{self, DAY, Filter, Question};
use super::world::{Micros, Organisation};
use crate::support::random::Random;

/// Compares random changes of random questions. Returns how many are no widening and remove rows.
pub fn check_random_changes(seed: u64, organisation: &Organisation, now: Micros, cases: usize) -> usize {
    let mut random = Random::new(seed ^ 0x71de);
    let mut narrowings = 0;
    for _ in 0..cases {
        let before = random_report(&mut random, organisation, now);
        let mut after = before.clone();
        for _ in 0..=random.below(2) {
            change(&mut random, organisation, &mut after, now);
        }
        let (Some(parsed_before), Some(parsed_after)) =
            (parse(&before, organisation, now), parse(&after, organisation, now))
        else {
            continue;
        };
        if !parsed_after.is_within(&parsed_before, Timestamp::from_micros(now)) {
            continue;
        }
        let mut removed = false;
        for _ in 0..4 {
            let requester = question::random_requester(&mut random, organisation);
            let later = now + *random.pick(&[0, 1, 20, 200]) * DAY;
            let ids = |question: &Question| {
                let question = Question { requester: requester.clone(), ..question.clone() };
                shown_rows(organisation, &question, later)
            };
            let (Some(rows_before), Some(rows_after)) = (ids(&before), ids(&after)) else {
                continue;
            };
            let added = rows_after.iter().find(|id| !rows_before.contains(id));
            assert!(
                added.is_none(),
                "seed {seed}: {added:?} is shown after the change and not before it, to {requester:?}:\n{:?}\n{:?}",
                before.pairs(),
                after.pairs()
            );
            removed |= rows_after.len() < rows_before.len();
        }
        narrowings += usize::from(removed);
    }
    narrowings
}

/// A random question as a report has it.
fn random_report(random: &mut Random, organisation: &Organisation, now: Micros) -> Question {
    let requester = question::random_requester(random, organisation);
    let mut report = question::random_question(random, organisation, requester, now);
    report.person = None;
    report
}

/// Adds, removes or changes a filter, a value of a filter, or the scope.
fn change(random: &mut Random, organisation: &Organisation, report: &mut Question, now: Micros) {
    let other = random_report(random, organisation, now);
    match random.below(6) {
        0 => report.scope = other.scope,
        1 | 2 => {
            for filter in other.filters {
                if !report.filters.iter().any(|present| present.excludes(&filter)) {
                    report.filters.push(filter);
                }
            }
        }
        3 if !report.filters.is_empty() => {
            report.filters.remove(random.below(report.filters.len()));
        }
        _ => {
            for filter in &mut report.filters {
                change_values(random, filter);
            }
        }
    }
}

/// Removes a value of a filter, or turns a flag.
fn change_values(random: &mut Random, filter: &mut Filter) {
    match filter {
        Filter::Values(_, values) | Filter::Title(values) | Filter::Custom(_, values) if values.len() > 1 => {
            values.remove(random.below(values.len()));
        }
        Filter::Team { include_sub_teams, primary_team_only, teams } => match random.below(3) {
            0 => *include_sub_teams = !*include_sub_teams,
            1 => *primary_team_only = !*primary_team_only,
            _ if teams.len() > 1 => _ = teams.pop(),
            _ => {}
        },
        Filter::IncludeDeactivated(wanted) => *wanted = random.percent(50),
        _ => {}
    }
}

/// The question as the product reads it. `None` if it is refused.
fn parse(report: &Question, organisation: &Organisation, now: Micros) -> Option<Query> {
    let context = ParseContext::export(Timestamp::from_micros(now), organisation.time_zone, &[]);
    Query::parse(&report.pairs(), &context).ok()
}

/// The rows of the report. A schedule reads a period in its own time zone, so the zone of the report does not count for
/// it. `None` if the question is refused.
fn shown_rows(organisation: &Organisation, report: &Question, now: Micros) -> Option<Vec<Uuid>> {
    let mut report = report.clone();
    if report.filters.iter().any(|filter| matches!(filter, Filter::Period(_))) {
        report.filters.retain(|filter| !matches!(filter, Filter::TimeZone(_)));
        report.filters.push(Filter::TimeZone(Tz::Asia__Kolkata));
    }
    match answers::expected_answer(organisation, &report, now) {
        Expected::Rows(rows) => Some(rows.iter().map(|row| row.id()).collect()),
        Expected::Refused(_) => None,
    }
}
