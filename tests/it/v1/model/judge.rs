//! The naive judge of questions: the product text's sections 4 and 7 as loops over lists.
//!
//! Written from the text alone. It shares nothing with the crate, so that an error of the one is not repeated
//! by the other. The rows come from [`super::reading`], section 6.

use super::calendar::{add_months, instant, period_bounds};
use super::question::{Filter, Question, Role, Scope, Who};
use super::reading::{Row, rows};
use super::world::{Micros, Organisation, User};

// --- Section 4: who may see what ---------------------------------------------------------------------------

/// What the model expects of a question.
#[derive(Debug)]
pub enum Expected<'a> {
    Rows(Vec<Row<'a>>),
    Refused(u16),
}

/// Whether the caller may see the activities of the whole organisation.
pub fn sees_everything(who: &Who) -> bool {
    match who {
        Who::Credential { .. } => true,
        Who::Person { role, permissions, .. } => match role {
            Role::Owner | Role::Admin | Role::Hr | Role::Reporter | Role::LearningDesigner => true,
            Role::Curator => permissions.contains(&"reporting"),
            Role::Manager | Role::Learner => false,
        },
    }
}

/// Direct and indirect reports of the caller, wherever they are known from.
fn reports(organisation: &Organisation, who: &Who) -> (Vec<String>, Vec<String>) {
    match who {
        Who::Person { reports: Some(reports), .. } => (reports.direct.clone(), reports.indirect.clone()),
        Who::Person { user, .. } => (organisation.direct_reports(user), organisation.indirect_reports(user)),
        Who::Credential { .. } => (Vec::new(), Vec::new()),
    }
}

/// Whether the caller's indirect reports are open to them.
pub fn sees_indirect_reports(organisation: &Organisation, who: &Who) -> bool {
    sees_everything(who)
        || match who {
            Who::Person { role: Role::Manager, permissions, .. } => {
                organisation.managers_see_indirect_reports || permissions.contains(&"indirect_reports")
            }
            _ => false,
        }
}

/// Whether the person of the row is within the caller's reach.
pub fn within_reach(organisation: &Organisation, who: &Who, user: Option<&User>) -> bool {
    if sees_everything(who) {
        return true;
    }
    let Some(user) = user else { return false };
    let Who::Person { user: me, role, .. } = who else {
        return true;
    };
    if user.id == *me {
        return true;
    }
    if *role != Role::Manager {
        return false;
    }
    let (direct, indirect) = reports(organisation, who);
    direct.contains(&user.id) || (sees_indirect_reports(organisation, who) && indirect.contains(&user.id))
}

/// Whether the caller is let in at all.
pub fn admitted(organisation: &Organisation, who: &Who) -> bool {
    match who {
        Who::Credential { reads_activities } => *reads_activities,
        Who::Person { user, .. } => organisation.user(user).is_none_or(|user| user.active),
    }
}

// --- Section 7: the question -------------------------------------------------------------------------------

/// The answer to a question, rows in their order.
pub fn answer<'a>(organisation: &'a Organisation, question: &Question, now: Micros) -> Expected<'a> {
    let who = &question.who;
    if !admitted(organisation, who) {
        return Expected::Refused(403);
    }
    if let Some(status) = refusal(organisation, question) {
        return Expected::Refused(status);
    }
    let mut found: Vec<Row<'a>> = Vec::new();
    for row in rows(organisation) {
        if within_reach(organisation, who, row.user)
            && within_scope(organisation, question, &row)
            && question.filters.iter().all(|filter| passes(organisation, question, filter, &row, now))
            && (row.action != "visited" || asks_for_visits(question))
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

/// The status that a question is refused with, whatever rows there are.
pub fn refusal(organisation: &Organisation, question: &Question) -> Option<u16> {
    let who = &question.who;
    if let Some(subject) = &question.person {
        let subject = organisation.user(subject);
        return (subject.is_none() || !within_reach(organisation, who, subject)).then_some(404);
    }
    let is_person = matches!(who, Who::Person { .. });
    let has_reports = sees_everything(who) || matches!(who, Who::Person { role: Role::Manager, .. });
    match question.scope? {
        Scope::Company => (!sees_everything(who)).then_some(403),
        Scope::Managed { include_sub_managers } => {
            let granted = !include_sub_managers || sees_indirect_reports(organisation, who);
            (!is_person || !has_reports || !granted).then_some(403)
        }
        Scope::Me => (!is_person).then_some(403),
        Scope::Team => {
            (!question.filters.iter().any(|filter| matches!(filter, Filter::Team { .. }))).then_some(400)
        }
        Scope::Group => (!question.filters.iter().any(|filter| filter.is("group"))).then_some(400),
    }
}

/// Whether the row's person is in the part of the reach that is asked for.
pub fn within_scope(organisation: &Organisation, question: &Question, row: &Row<'_>) -> bool {
    if let Some(subject) = &question.person {
        return row.user.is_some_and(|user| user.id == *subject);
    }
    let Who::Person { user: me, .. } = &question.who else {
        return true;
    };
    match question.scope {
        None | Some(Scope::Company | Scope::Team | Scope::Group) => true,
        Some(Scope::Me) => row.user.is_some_and(|user| user.id == *me),
        Some(Scope::Managed { include_sub_managers }) => {
            let (direct, indirect) = reports(organisation, &question.who);
            row.user.is_some_and(|user| {
                user.id != *me
                    && (direct.contains(&user.id) || (include_sub_managers && indirect.contains(&user.id)))
            })
        }
    }
}

pub fn asks_for_visits(question: &Question) -> bool {
    question.filters.iter().any(Filter::names_visited)
}

/// Whether the row passes the filter.
pub fn passes(
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
        Filter::Values(filter, wanted) => filter.passes(row, wanted),
        Filter::Flag(filter, wanted) => (filter.holds)(row, now) == *wanted,
        Filter::Title(titles) => content.and_then(|content| content.title.as_deref()).is_some_and(|title| {
            let title = title.to_lowercase();
            titles
                .iter()
                .any(|words| words.split_whitespace().all(|word| title.contains(&word.to_lowercase())))
        }),
        Filter::IncludeDeactivated(_) => true,
        Filter::From(when) => instant(*when, question.tz(organisation)) <= record.happened_at,
        Filter::To(when) => record.happened_at < instant(*when, question.tz(organisation)),
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
            user.custom.iter().any(|(name, value)| name == field && values.contains(value))
        }),
    }
}
