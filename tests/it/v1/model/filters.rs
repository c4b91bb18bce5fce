//! The filters of the model. A filter that compares values is one line here.

use std::fmt;

use rollbook::log::filter::FILTER_PARAMETERS;

use super::calendar::to_micros;
use super::derivation::{ACTIONS, OTHER_VERBS, Row};
use super::question::{DAY, Filter};
use super::text::is_same_text;
use super::world::{Content, Micros, Organisation, User};
use super::{CPD_LABELS, DEVICES, LOCATIONS, SOURCES, TAGS};
use crate::support::random::Random;

/// A filter with values. A row passes if it has one of the values.
pub struct ValueFilter {
    pub name: &'static str,
    /// The values are keys of a closed list, which can be separated by commas.
    pub has_keys: bool,
    /// The values are texts, which are compared without regard to case, accents and composition.
    pub has_texts: bool,
    /// The filter selects users, so lists of persons have it too.
    pub selects_persons: bool,
    /// All values of random questions.
    pub choices: fn(&Organisation) -> Vec<String>,
    /// The values of a row.
    pub values: for<'r> fn(&'r Row<'_>) -> Vec<&'r str>,
}

/// A filter with `true` or `false`.
pub struct FlagFilter {
    pub name: &'static str,
    /// Returns true if the row passes `true`. Other rows pass `false`.
    pub holds: fn(&Row<'_>, Micros) -> bool,
}

type Choices = fn(&Organisation) -> Vec<String>;
type Values = for<'r> fn(&'r Row<'_>) -> Vec<&'r str>;

const fn id_filter(name: &'static str, choices: Choices, values: Values) -> ValueFilter {
    ValueFilter { name, has_keys: false, has_texts: false, selects_persons: false, choices, values }
}

const fn person_filter(name: &'static str, choices: Choices, values: Values) -> ValueFilter {
    ValueFilter { selects_persons: true, ..id_filter(name, choices, values) }
}

const fn text_filter(name: &'static str, choices: Choices, values: Values) -> ValueFilter {
    ValueFilter { has_texts: true, ..id_filter(name, choices, values) }
}

const fn key_filter(name: &'static str, choices: Choices, values: Values) -> ValueFilter {
    ValueFilter { has_keys: true, ..id_filter(name, choices, values) }
}

const LOCATION: ValueFilter = ValueFilter {
    has_texts: true,
    ..person_filter("location", |_| to_strings(LOCATIONS), |row| user_values(row, |user| &user.location))
};

pub static VALUE_FILTERS: &[ValueFilter] = &[
    person_filter("group", |facts| facts.groups.clone(), |row| user_values(row, |user| &user.groups)),
    person_filter("user", user_ids, |row| user_values(row, |user| [&user.id])),
    LOCATION,
    key_filter("action", actions, |row| vec![row.action]),
    id_filter("verb", verbs, |row| vec![&row.record.verb]),
    key_filter("type", |_| to_strings(TYPES), |row| content_values(row, |content| &content.kind)),
    key_filter(
        "content_type",
        |_| to_strings(CONTENT_TYPES),
        |row| content_values(row, |content| &content.content_type),
    ),
    id_filter("content", content_ids, |row| content_values(row, |content| [&content.id])),
    text_filter("tag", |_| to_strings(TAGS), |row| content_values(row, |content| &content.tags)),
    text_filter("source", |_| to_strings(SOURCES), |row| row.source().into_iter().collect()),
    text_filter(
        "cpd_label",
        |_| to_strings(CPD_LABELS),
        |row| content_values(row, |content| &content.cpd_labels),
    ),
    text_filter("device_type", |_| to_strings(DEVICES), |row| row.device_type().into_iter().collect()),
    key_filter("origin", |_| to_strings(ORIGINS), |row| vec![row.origin()]),
    // Imports are planned.
    id_filter("import", |_| to_strings(&["ec531277-b57b-4c15-8d91-d292c5b2b8f7"]), |_| Vec::new()),
    key_filter("result", |_| to_strings(&["passed", "failed"]), |row| row.outcome().into_iter().collect()),
];

pub static FLAG_FILTERS: &[FlagFilter] = &[
    FlagFilter { name: "completed", holds: |row, _| row.completed },
    FlagFilter { name: "expired", holds: |row, now| row.expired_at.is_some_and(|at| at < now) },
    FlagFilter { name: "has_certificate", holds: |row, _| row.certificate.is_some() },
    FlagFilter { name: "bulk_import", holds: |_, _| false },
];

const TYPES: &[&str] = &[
    "item",
    "learnlist",
    "channel",
    "event",
    "quiz",
    "survey",
    "exercise",
    "learning_plan",
    "certification",
];
const CONTENT_TYPES: &[&str] =
    &["video", "article", "book", "document", "audio", "scorm", "xapi", "course", "link", "other"];
const ORIGINS: &[&str] = &["xapi", "scorm", "api", "manual", "import", "system"];

impl ValueFilter {
    fn find_filter(name: &str) -> &'static Self {
        VALUE_FILTERS.iter().find(|filter| filter.name == name).expect("a filter of the model")
    }

    pub fn matches(&self, row: &Row<'_>, wanted: &[String]) -> bool {
        let is_same = |value: &str, wanted: &str| match self.has_texts {
            true => is_same_text(value, wanted),
            false => value == wanted,
        };
        (self.values)(row).iter().any(|value| wanted.iter().any(|wanted| is_same(value, wanted)))
    }
}

impl Filter {
    /// A filter of [`VALUE_FILTERS`].
    pub fn with_values(name: &str, values: Vec<String>) -> Self {
        Self::Values(ValueFilter::find_filter(name), values)
    }

    /// Returns true if this is the filter of [`VALUE_FILTERS`] with this name.
    pub fn has_name(&self, name: &str) -> bool {
        matches!(self, Self::Values(filter, _) if filter.name == name)
    }

    /// Returns true if the filter contains the action `visited`.
    pub fn names_visited(&self) -> bool {
        self.has_name("action")
            && matches!(self, Self::Values(_, keys) if keys.iter().any(|key| key == "visited"))
    }

    /// Returns true if the filter selects users.
    pub fn selects_persons(&self) -> bool {
        match self {
            Self::Team { .. } | Self::Custom(..) => true,
            Self::Values(filter, _) => filter.selects_persons,
            _ => false,
        }
    }

    /// Returns true if a request can contain only one of the two filters.
    pub fn excludes(&self, other: &Self) -> bool {
        let bound = |filter: &Self| matches!(filter, Self::From(_) | Self::To(_));
        let period = |filter: &Self| matches!(filter, Self::Period(_));
        let same_kind = match (self, other) {
            (Self::Values(one, _), Self::Values(other, _)) => one.name == other.name,
            (Self::Flag(one, _), Self::Flag(other, _)) => one.name == other.name,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        };
        same_kind
            || (bound(self) && period(other))
            || (period(self) && bound(other))
            || is_empty_window(self, other)
            || is_empty_window(other, self)
    }
}

/// Returns true if `from` might not be before `to` in some time zone. Such a request is refused.
fn is_empty_window(from: &Filter, to: &Filter) -> bool {
    match (from, to) {
        (Filter::From(from), Filter::To(to)) => {
            to_micros(*from, chrono_tz::UTC) + 2 * DAY >= to_micros(*to, chrono_tz::UTC)
        }
        _ => false,
    }
}

/// A random filter of [`VALUE_FILTERS`].
pub fn random_values(random: &mut Random, organisation: &Organisation) -> Filter {
    let filter = random.pick(VALUE_FILTERS);
    let choices = (filter.choices)(organisation);
    // Enough values that some rows match.
    let most = choices.len().div_ceil(3).clamp(2, 12);
    Filter::Values(filter, random.some(&choices, most))
}

/// A random filter of [`FLAG_FILTERS`].
pub fn random_flag(random: &mut Random) -> Filter {
    Filter::Flag(random.pick(FLAG_FILTERS), random.percent(60))
}

fn user_values<'r, I>(row: &'r Row<'_>, values: fn(&'r User) -> I) -> Vec<&'r str>
where
    I: IntoIterator<Item = &'r String>,
{
    row.user.into_iter().flat_map(values).map(String::as_str).collect()
}

fn content_values<'r, I>(row: &'r Row<'_>, values: fn(&'r Content) -> I) -> Vec<&'r str>
where
    I: IntoIterator<Item = &'r String>,
{
    row.content.into_iter().flat_map(values).map(String::as_str).collect()
}

fn user_ids(organisation: &Organisation) -> Vec<String> {
    organisation.users.iter().map(|user| user.id.clone()).collect()
}

fn content_ids(organisation: &Organisation) -> Vec<String> {
    organisation.contents.iter().map(|content| content.id.clone()).collect()
}

fn actions(_: &Organisation) -> Vec<String> {
    let keys = ACTIONS.iter().map(|(action, _)| *action);
    let often = ["other", "visited", "watched", "read", "failed", "logged_in"];
    keys.chain(often).map(str::to_owned).collect()
}

fn verbs(_: &Organisation) -> Vec<String> {
    let verbs = ACTIONS.iter().flat_map(|(_, verbs)| *verbs);
    verbs.chain(OTHER_VERBS).map(|verb| (*verb).to_owned()).collect()
}

fn to_strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

impl fmt::Debug for ValueFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for FlagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The parameters with a variant of [`Filter`] of their own.
const OTHER_PARAMETERS: &[&str] = &[
    "team",
    "include_sub_teams",
    "primary_team_only",
    "title",
    "include_deactivated",
    "latest",
    "from",
    "to",
    "period",
    "tz",
    "certificate_expires_within",
    // The model does not know when records arrive. `activities/arrival.rs` compares them.
    "stored_from",
    "stored_to",
];

#[test]
fn model_has_every_filter_of_the_log() {
    let values = VALUE_FILTERS.iter().map(|filter| filter.name);
    let flags = FLAG_FILTERS.iter().map(|filter| filter.name);
    let known: Vec<&str> = values.chain(flags).chain(OTHER_PARAMETERS.iter().copied()).collect();
    for parameter in FILTER_PARAMETERS {
        assert!(known.contains(&parameter.name), "the model does not know `{}`", parameter.name);
    }
}
