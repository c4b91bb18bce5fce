//! Answers requests naively: reach, scope and filters as loops over lists (`docs/specification.md`).
//!
//! The code does not use the crate, so that the model does not repeat an error of the crate.
//! [`super::derivation`] derives the activities.

use super::calendar::{add_months, period_bounds, to_micros};
use super::derivation::{Row, derive_rows};
use super::question::{Filter, Question, Requester, Role, Scope};
use super::text::{is_same_text, plain_text};
use super::world::{Micros, Organisation, User};

// --- Reach ----------------------------------------------------------------------------------------------

/// The expected answer to a request.
#[derive(Debug)]
pub enum Expected<'a> {
    Rows(Vec<Row<'a>>),
    Refused(u16),
}

/// Returns true if the requester has full reach.
pub fn reads_everything(requester: &Requester) -> bool {
    match requester {
        Requester::Credential { .. } => true,
        Requester::Person { role, permissions, .. } => match role {
            Role::Owner | Role::Admin | Role::Hr | Role::Reporter | Role::LearningDesigner => true,
            Role::Curator => permissions.contains(&"reporting"),
            Role::Manager | Role::Learner => false,
        },
    }
}

/// The direct and indirect reports, from the token or the directory.
fn reports(organisation: &Organisation, requester: &Requester) -> (Vec<String>, Vec<String>) {
    match requester {
        Requester::Person { reports: Some(reports), .. } => {
            (reports.direct.clone(), reports.indirect.clone())
        }
        Requester::Person { user, .. } => {
            (organisation.direct_reports(user), organisation.indirect_reports(user))
        }
        Requester::Credential { .. } => (Vec::new(), Vec::new()),
    }
}

/// Returns true if the reach of the requester includes indirect reports.
pub fn reads_indirect_reports(organisation: &Organisation, requester: &Requester) -> bool {
    reads_everything(requester)
        || match requester {
            Requester::Person { role: Role::Manager, permissions, .. } => {
                organisation.managers_see_indirect_reports || permissions.contains(&"indirect_reports")
            }
            _ => false,
        }
}

/// Returns true if the user is within the reach of the requester.
pub fn is_within_reach(organisation: &Organisation, requester: &Requester, user: Option<&User>) -> bool {
    if reads_everything(requester) {
        return true;
    }
    let Some(user) = user else { return false };
    let Requester::Person { user: me, role, .. } = requester else {
        return true;
    };
    if user.id == *me {
        return true;
    }
    if *role != Role::Manager {
        return false;
    }
    let (direct, indirect) = reports(organisation, requester);
    direct.contains(&user.id)
        || (reads_indirect_reports(organisation, requester) && indirect.contains(&user.id))
}

/// Returns true if the requester may read activities at all.
pub fn may_query(organisation: &Organisation, requester: &Requester) -> bool {
    match requester {
        Requester::Credential { reads_activities } => *reads_activities,
        Requester::Person { user, .. } => organisation.user(user).is_none_or(|user| user.active),
    }
}

// --- Requests --------------------------------------------------------------------------------------------

/// The expected answer to a request, with rows in order.
pub fn expected_answer<'a>(organisation: &'a Organisation, question: &Question, now: Micros) -> Expected<'a> {
    let requester = &question.requester;
    if !may_query(organisation, requester) {
        return Expected::Refused(403);
    }
    if let Some(status) = refusal(organisation, question) {
        return Expected::Refused(status);
    }
    let mut found: Vec<Row<'a>> = Vec::new();
    for row in derive_rows(organisation) {
        if is_within_reach(organisation, requester, row.user)
            && is_within_scope(organisation, question, &row)
            && question.filters.iter().all(|filter| passes_filter(organisation, question, filter, &row, now))
            && (row.action != "visited" || requests_visits(question))
            && (question.shows_deactivated() || row.user.is_none_or(|user| user.active))
        {
            found.push(row);
        }
    }
    found.sort_by_key(|row| (row.record.happened_at, row.position));
    if !question.ascending {
        found.reverse();
    }
    Expected::Rows(found)
}

/// The status of a refused request, independent of the rows.
pub fn refusal(organisation: &Organisation, question: &Question) -> Option<u16> {
    let requester = &question.requester;
    if let Some(subject) = &question.person {
        let subject = organisation.user(subject);
        return (subject.is_none() || !is_within_reach(organisation, requester, subject)).then_some(404);
    }
    let is_person = matches!(requester, Requester::Person { .. });
    let has_reports =
        reads_everything(requester) || matches!(requester, Requester::Person { role: Role::Manager, .. });
    match question.scope? {
        Scope::Company => (!reads_everything(requester)).then_some(403),
        Scope::Managed { include_sub_managers } => {
            let granted = !include_sub_managers || reads_indirect_reports(organisation, requester);
            (!is_person || !has_reports || !granted).then_some(403)
        }
        Scope::Me => (!is_person).then_some(403),
        Scope::Team => {
            (!question.filters.iter().any(|filter| matches!(filter, Filter::Team { .. }))).then_some(400)
        }
        Scope::Group => (!question.filters.iter().any(|filter| filter.has_name("group"))).then_some(400),
    }
}

/// Returns true if the person of the row is in the requested scope.
pub fn is_within_scope(organisation: &Organisation, question: &Question, row: &Row<'_>) -> bool {
    if let Some(subject) = &question.person {
        return row.user.is_some_and(|user| user.id == *subject);
    }
    let Requester::Person { user: me, .. } = &question.requester else {
        return true;
    };
    match question.scope {
        None | Some(Scope::Company | Scope::Team | Scope::Group) => true,
        Some(Scope::Me) => row.user.is_some_and(|user| user.id == *me),
        Some(Scope::Managed { include_sub_managers }) => {
            let (direct, indirect) = reports(organisation, &question.requester);
            row.user.is_some_and(|user| {
                user.id != *me
                    && (direct.contains(&user.id) || (include_sub_managers && indirect.contains(&user.id)))
            })
        }
    }
}

pub fn requests_visits(question: &Question) -> bool {
    question.filters.iter().any(Filter::names_visited)
}

/// Returns true if the row passes the filter.
pub fn passes_filter(
    organisation: &Organisation,
    question: &Question,
    filter: &Filter,
    row: &Row<'_>,
    now: Micros,
) -> bool {
    let record = row.record;
    let content = row.content;
    match filter {
        Filter::Team { teams, include_sub_teams, primary_team_only } => row.user.is_some_and(|user| {
            teams.iter().any(|team| {
                let teams = organisation.teams_under(team, *include_sub_teams);
                match primary_team_only {
                    true => user.primary_team.as_ref().is_some_and(|primary| teams.contains(primary)),
                    false => user.teams.iter().any(|team| teams.contains(team)),
                }
            })
        }),
        Filter::Values(filter, wanted) => filter.matches(row, wanted),
        Filter::Flag(filter, wanted) => (filter.holds)(row, now) == *wanted,
        Filter::Title(titles) => content.and_then(|content| content.title.as_deref()).is_some_and(|title| {
            let title = plain_text(title);
            titles.iter().any(|words| words.split_whitespace().all(|word| title.contains(&plain_text(word))))
        }),
        Filter::IncludeDeactivated(_) => true,
        Filter::Latest(wanted) => !wanted || row.latest,
        Filter::From(when) => to_micros(*when, question.tz(organisation)) <= record.happened_at,
        Filter::To(when) => record.happened_at < to_micros(*when, question.tz(organisation)),
        Filter::Period(period) => {
            let (from, to) = period_bounds(*period, question.tz(organisation), now);
            from <= record.happened_at && record.happened_at < to
        }
        Filter::TimeZone(_) => true,
        Filter::CertificateExpiresWithin(months) => {
            let expires_at = row.certificate.as_ref().and_then(|(_, expires_at)| *expires_at);
            expires_at.is_some_and(|at| now <= at && at <= add_months(now, *months))
        }
        Filter::Custom(field, values) => row.user.is_some_and(|user| {
            let is_wanted = |value: &String| values.iter().any(|wanted| is_same_text(value, wanted));
            user.custom.iter().any(|(name, value)| name == field && is_wanted(value))
        }),
    }
}
