//! The filter of the log: one [`Filter`] for lists, exports, summaries, facets and saved reports
//! (docs/specification.md#parameters).
//!
//! The filters are the lines of one table, in `filter/table.rs`. [`Query::parse`] reads a request's parameters.
//! [`Filter::to_pairs`] gives them back in a canonical order: cursors are bound to it.
//!
//! A filter contains relative times, such as `period`. They are resolved when rows are read ([`Filter::window`],
//! [`Filter::certificate_window`]), for the moment of the first page ([`Query::now`]).

mod parameter;
mod parse;
mod query;
mod reader;
mod table;
mod value;
mod widening;

use chrono_tz::Tz;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;

use super::action::Action;
use super::period::Window;

pub use parameter::{
    CountMode, FilterSet, InReport, PAGE_PARAMETERS, Parameter, SCOPE_PARAMETERS, SORT_PARAMETERS, Subject,
    Traits,
};
pub use parse::{MAX_CUSTOM_FIELDS, MAX_TITLE_WORDS, MAX_TITLES, Paging, ParseContext};
pub use query::{Query, Sort};
pub use reader::{MAX_VALUE_CHARACTERS, MAX_VALUES};
pub use table::{FILTER_PARAMETERS, Filter};
pub use value::{Moment, ResultFilter, TitleSearch, ValueKind, VerbIri};

/// A parameter that is refused, and the reason: one entry of a 400's problem document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {detail}")]
pub struct ParameterFault {
    /// The parameter's name as it was sent.
    pub parameter: String,
    /// What has to change, in plain English.
    pub detail: String,
}

impl Filter {
    /// This filter, and the filter of the saved report to which it was added. A row must pass all of them.
    pub fn each(&self) -> impl Iterator<Item = &Filter> {
        std::iter::successors(Some(self), |filter| filter.within.as_deref())
    }

    /// The time zone of dates and periods.
    pub fn zone(&self) -> Tz {
        self.tz.unwrap_or(self.default_zone)
    }

    /// The window of `happened_at` at the moment `now`: the intersection of the windows of [`Filter::each`].
    pub fn window(&self, now: Timestamp) -> Window {
        self.each().fold(Window::default(), |shared, filter| {
            shared.intersection(filter.own_window(now))
        })
    }

    fn own_window(&self, now: Timestamp) -> Window {
        let zone = self.zone();
        match self.period {
            Some(period) => period.window(now, zone),
            None => Window {
                from: self.from.map(|from| from.resolve(zone)),
                to: self.to.map(|to| to.resolve(zone)),
            },
        }
    }

    /// The window of `stored_at`: the intersection of the windows of [`Filter::each`].
    pub fn stored_window(&self) -> Window {
        self.each().fold(Window::default(), |shared, filter| {
            shared.intersection(filter.own_stored_window())
        })
    }

    fn own_stored_window(&self) -> Window {
        let zone = self.zone();
        Window {
            from: self.stored_from.map(|from| from.resolve(zone)),
            to: self.stored_to.map(|to| to.resolve(zone)),
        }
    }

    /// The window of `certificate.expires_at` at the moment `now`, if the filter has one: from `now` to the end of the
    /// shortest duration, both included.
    pub fn certificate_window(&self, now: Timestamp) -> Option<Window> {
        let durations = self
            .each()
            .filter_map(|filter| filter.certificate_expires_within.as_ref());
        let last = durations.map(|duration| duration.add_to(now)).min()?;
        Some(Window::until(now, last))
    }

    /// Whether only the newest completions are shown: if one of [`Filter::each`] says so.
    pub fn shows_latest_only(&self) -> bool {
        self.each().any(|filter| filter.latest)
    }

    /// Whether rows with [`Action::Visited`] are hidden: unless one of [`Filter::each`] names the action
    /// (docs/specification.md#sessions-and-visits).
    pub fn hides_visited(&self) -> bool {
        self.each()
            .all(|filter| !filter.actions.contains(&Action::Visited))
    }

    /// Whether `primary_team_only` was added to the filter of a saved report. It then applies to the report's teams.
    pub fn adds_primary_team_only(&self) -> bool {
        self.each()
            .any(|filter| filter.primary_team_only && filter.teams.is_empty())
    }

    /// Whether activities of deactivated users are shown: if one of [`Filter::each`] includes them.
    pub fn shows_deactivated(&self) -> bool {
        self.each().any(|filter| filter.include_deactivated)
    }

    /// Whether one of [`Filter::each`] selects by person.
    pub fn selects_persons(&self) -> bool {
        self.each().any(|filter| {
            let mut parameters = filter.parameters_set();
            !filter.custom.is_empty()
                || parameters.any(|parameter| parameter.traits.subject == Subject::Person)
        })
    }

    /// Whether one of [`Filter::each`] selects by content.
    pub fn selects_contents(&self) -> bool {
        self.each().any(|filter| {
            let mut parameters = filter.parameters_set();
            parameters.any(|parameter| parameter.traits.subject == Subject::Content)
        })
    }

    /// Whether the filter selects by nothing but time and, perhaps, this user.
    pub fn selects_only_time_of(&self, user: &UserId) -> bool {
        let names_user = self.users.is_empty() || self.users.contains(user);
        let other = |parameter: &Parameter| match parameter.traits.subject {
            Subject::Time | Subject::PersonOption => false,
            Subject::Person => parameter.name != "user",
            Subject::Content | Subject::Activity => true,
        };
        names_user && self.custom.is_empty() && self.within.is_none() && !self.parameters_set().any(other)
    }

    /// The parameters that have a value, without those of [`Filter::within`].
    fn parameters_set(&self) -> impl Iterator<Item = &'static Parameter> {
        self.values()
            .filter(|(_, values)| !values.is_empty())
            .map(|(parameter, _)| parameter)
    }

    /// The filter as parameters in a canonical order, without [`Filter::within`]. Equal filters give equal pairs, and
    /// parsing them gives the filter again.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (parameter, values) in self.values() {
            pairs.extend(values.into_iter().map(|value| (parameter.name.to_owned(), value)));
        }
        for (field, values) in &self.custom {
            let name = format!("custom[{field}]");
            pairs.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        pairs
    }
}
