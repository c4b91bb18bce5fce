//! What a caller asks of the log: one [`Filter`] for the query, the exports, the stream, the summary
//! and saved reports (product text, section 7).
//!
//! Filters combine with AND; several values of one filter with OR; an empty list asks nothing.
//! [`Query::parse`] (in `filter/parse.rs`) makes one from a request's parameters and refuses what it
//! doesn't know; [`Filter::to_pairs`] gives the parameters back in one canonical order, which is what a
//! cursor is bound to and what a saved report keeps.
//!
//! A filter knows no "now": `period`, `expired` and `certificate_expires_within` are resolved with the
//! moment that the reader hands in ([`Filter::window`], [`Filter::certificate_window`]), which for a
//! page after the first is the one inside its cursor ([`Query::now`]).

mod parse;

use std::collections::BTreeMap;

use chrono::{NaiveDate, SecondsFormat};
use chrono_tz::Tz;
use uuid::Uuid;

use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, GroupId, TeamId, UserId};
use crate::catalogue::{ContentKind, ContentType};
use crate::record::{CalendarDuration, Origin};

use super::action::Action;
use super::cursor::{Cursor, Fingerprint, Position};
use super::period::{Period, Window, start_of_day};

pub use parse::{
    MAX_CUSTOM_FIELDS, MAX_TITLE_WORDS, MAX_TITLES, MAX_VALUE_CHARACTERS, MAX_VALUES, ParseContext,
};

/// A parameter that is refused, and why: one entry of a 400's problem document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {detail}")]
pub struct ParameterFault {
    /// The parameter's name as it was sent.
    pub parameter: String,
    /// What has to change, in plain English.
    pub detail: String,
}

/// What a caller asks for inside their reach. Its fields are those of the product text's table.
///
/// What is added when a saved report is opened is a filter around which the report's own stands
/// ([`Filter::within`]): a row has to match both. Whoever applies a filter walks [`Filter::each`] of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// `team`: members of any of these teams.
    pub teams: Vec<TeamId>,
    /// `group`: members of any of these groups.
    pub groups: Vec<GroupId>,
    /// `include_sub_teams`: the teams below [`Filter::teams`] count as well.
    pub include_sub_teams: bool,
    /// `primary_team_only`: of a team's members only those whose primary team it is.
    pub primary_team_only: bool,
    /// `user`: activities of any of these users.
    pub users: Vec<UserId>,
    /// `action`. Empty: every action but [`Action::Visited`]; see [`Filter::hides_visited`].
    pub actions: Vec<Action>,
    /// `verb`: IRIs, exactly as in the records.
    pub verbs: Vec<String>,
    /// `type` of the content.
    pub types: Vec<ContentType>,
    /// `content_type` of the content.
    pub content_types: Vec<ContentKind>,
    /// `content`: ids.
    pub contents: Vec<ContentId>,
    /// `tag` of the content, exactly.
    pub tags: Vec<String>,
    /// `source`: the content library, exactly.
    pub sources: Vec<String>,
    /// `cpd_label` of the content, exactly.
    pub cpd_labels: Vec<String>,
    /// `device_type`, exactly.
    pub device_types: Vec<String>,
    /// `origin` of the record.
    pub origins: Vec<Origin>,
    /// `import`: ids of bulk imports.
    pub imports: Vec<Uuid>,
    /// `title`: any of these searches.
    pub titles: Vec<TitleSearch>,
    /// `completed`: the flag of rule 4.
    pub completed: Option<bool>,
    /// `expired`: true for what is set and past, false for everything else.
    pub expired: Option<bool>,
    /// `bulk_import`: whether a bulk import brought the record.
    pub bulk_import: Option<bool>,
    /// `has_certificate`: whether the activity comes with a certificate.
    pub has_certificate: Option<bool>,
    /// `include_deactivated`: without it the activities of deactivated users are left out.
    pub include_deactivated: bool,
    /// `result`: success known and true, or known and false.
    pub results: Vec<ResultFilter>,
    /// `from`, `to`, `period` and `tz` as they were asked; [`Filter::window`] resolves them.
    pub time: AskedTime,
    /// `certificate_expires_within`; [`Filter::certificate_window`] resolves it.
    pub certificate_expires_within: Option<CalendarDuration>,
    /// `custom[<field>]`: for each field any of its values, exactly; fields combine with AND.
    pub custom: BTreeMap<String, Vec<String>>,
    /// Another filter that must hold as well: a saved report's, around what is added when it is opened (product text,
    /// section 9, "intersect").
    pub within: Option<Box<Filter>>,
}

/// One `title` parameter: every word must be found in the content's title.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TitleSearch {
    /// The words as they were asked for, with single spaces between them.
    pub asked: String,
    /// The words, folded by [`fold`](crate::base::fold()): each must be contained in the folded title, anywhere.
    pub words: Vec<String>,
}

/// A value of the parameter `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultFilter {
    /// Success is known and true.
    Passed,
    /// Success is known and false.
    Failed,
}

impl ResultFilter {
    /// Both, in the order of the product text.
    pub const ALL: &'static [Self] = &[Self::Passed, Self::Failed];

    /// The value of the parameter.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }

    /// The success that a row must have.
    pub const fn success(self) -> bool {
        matches!(self, Self::Passed)
    }
}

/// `from`, `to`, `period` and `tz` as they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedTime {
    /// `from`: the first moment that counts.
    pub from: Option<Moment>,
    /// `to`: the first moment that counts no more.
    pub to: Option<Moment>,
    /// `period`, instead of both.
    pub period: Option<Period>,
    /// `tz` where it was asked for.
    pub asked_zone: Option<Tz>,
    /// The zone in which days begin: `tz`, else the organisation's.
    pub zone: Tz,
}

impl Default for AskedTime {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            period: None,
            asked_zone: None,
            zone: Tz::UTC,
        }
    }
}

/// A value of `from` or `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A moment, given as RFC 3339.
    At(Timestamp),
    /// The midnight at which a day begins.
    Day(NaiveDate),
}

impl Moment {
    fn resolve(self, zone: Tz) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Day(day) => start_of_day(day, zone),
        }
    }

    fn text(self) -> String {
        match self {
            Self::At(at) => at.to_datetime().to_rfc3339_opts(SecondsFormat::AutoSi, true),
            Self::Day(day) => day.to_string(),
        }
    }
}

impl AskedTime {
    fn window(&self, now: Timestamp) -> Window {
        match self.period {
            Some(period) => period.window(now, self.zone),
            None => Window {
                from: self.from.map(|at| at.resolve(self.zone)),
                to: self.to.map(|at| at.resolve(self.zone)),
            },
        }
    }
}

impl Filter {
    /// The filters that all must hold: this one, and those it is [within](Filter::within).
    pub fn each(&self) -> impl Iterator<Item = &Filter> {
        std::iter::successors(Some(self), |filter| filter.within.as_deref())
    }

    /// The `from ≤ happened_at < to` that is asked for, as it stands at `now`: what the windows of [`Filter::each`]
    /// share, each in its own zone.
    pub fn window(&self, now: Timestamp) -> Window {
        self.each().fold(Window::default(), |shared, filter| {
            shared.and(filter.time.window(now))
        })
    }

    /// The `from ≤ certificate.expires_at < to` that is asked for, as it stands at `now`: from now to
    /// then, both included, so that `to` is the first microsecond after it. Of several the shortest.
    pub fn certificate_window(&self, now: Timestamp) -> Option<Window> {
        let asked = self
            .each()
            .filter_map(|filter| filter.certificate_expires_within.as_ref());
        let then = asked.map(|within| within.add_to(now)).min()?;
        Some(Window {
            from: Some(now),
            to: Some(Timestamp::from_micros(then.micros().saturating_add(1))),
        })
    }

    /// Whether [`Action::Visited`] is left out: always, unless one of [`Filter::each`] asks for it by name
    /// (product text, section 6, rule 8). What is added to a report never does.
    pub fn hides_visited(&self) -> bool {
        self.each()
            .all(|filter| !filter.actions.contains(&Action::Visited))
    }

    /// Whether activities of deactivated users come back: where one of [`Filter::each`] says so. What is added to a
    /// report never does.
    pub fn shows_deactivated(&self) -> bool {
        self.each().any(|filter| filter.include_deactivated)
    }

    /// The filter as parameters, in one canonical order: equal filters give equal pairs, and parsing
    /// them gives the filter again. The one it is within is not among them: it says its own.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Pairs(Vec::new());
        pairs.many("team", self.teams.iter().map(TeamId::as_str));
        pairs.flag("include_sub_teams", self.include_sub_teams);
        pairs.flag("primary_team_only", self.primary_team_only);
        pairs.many("group", self.groups.iter().map(GroupId::as_str));
        pairs.many("user", self.users.iter().map(UserId::as_str));
        pairs.many("action", self.actions.iter().map(|action| action.key()));
        pairs.many("verb", &self.verbs);
        pairs.many("type", self.types.iter().map(|kind| kind.key()));
        pairs.many("content_type", self.content_types.iter().map(|kind| kind.key()));
        pairs.many("content", self.contents.iter().map(ContentId::as_str));
        pairs.many("tag", &self.tags);
        pairs.many("source", &self.sources);
        pairs.many("cpd_label", &self.cpd_labels);
        pairs.many("device_type", &self.device_types);
        pairs.many("origin", self.origins.iter().map(|origin| origin.key()));
        pairs.many("import", self.imports.iter().map(Uuid::to_string));
        pairs.many("title", self.titles.iter().map(|title| &title.asked));
        pairs.truth("completed", self.completed);
        pairs.truth("expired", self.expired);
        pairs.truth("bulk_import", self.bulk_import);
        pairs.truth("has_certificate", self.has_certificate);
        pairs.flag("include_deactivated", self.include_deactivated);
        pairs.many("result", self.results.iter().map(|result| result.key()));
        pairs.many("from", self.time.from.map(Moment::text));
        pairs.many("to", self.time.to.map(Moment::text));
        pairs.many("period", self.time.period.map(Period::key));
        pairs.many("tz", self.time.asked_zone.map(Tz::name));
        let within = self.certificate_expires_within.as_ref();
        pairs.many("certificate_expires_within", within.map(CalendarDuration::as_str));
        for (field, values) in &self.custom {
            pairs.many(&format!("custom[{field}]"), values);
        }
        pairs.0
    }
}

/// Collects parameters.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn many(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        self.0.extend(
            values
                .into_iter()
                .map(|value| (name.to_owned(), value.as_ref().to_owned())),
        );
    }

    fn flag(&mut self, name: &str, set: bool) {
        self.many(name, set.then_some("true"));
    }

    fn truth(&mut self, name: &str, value: Option<bool>) {
        self.many(name, value.map(|value| if value { "true" } else { "false" }));
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// `-happened_at`: the newest first; of equals the one recorded last first.
    #[default]
    NewestFirst,
    /// `happened_at`: exactly the reverse.
    OldestFirst,
}

impl Sort {
    /// Both; the default one first.
    pub const ALL: &'static [Self] = &[Self::NewestFirst, Self::OldestFirst];

    /// The value of the parameter `sort`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::NewestFirst => "-happened_at",
            Self::OldestFirst => "happened_at",
        }
    }
}

/// A whole question to the log: the filter, the scope it is asked in, and which page of it.
#[derive(Debug, Clone)]
pub struct Query {
    /// What is asked for.
    pub filter: Filter,
    /// `scope` with `include_sub_managers`; `None`: the whole reach.
    pub asked_scope: Option<AskedScope>,
    /// `sort`.
    pub sort: Sort,
    /// `limit`: how many rows a page has at most.
    pub limit: u32,
    /// The row after which the page begins; `None`: at the beginning.
    pub after: Option<Position>,
    /// `count=exact`: whether the total is asked for.
    pub count_exact: bool,
    /// The moment for which everything relative is resolved: that of the first page.
    pub now: Timestamp,
    /// Parameters of the resource's own: those of [`ParseContext::lists`], then those of [`ParseContext::extra`].
    pub extra: Vec<(String, String)>,
    limit_asked: bool,
    /// The order where none is asked for: the saved question's.
    default_sort: Sort,
    fingerprint: Fingerprint,
}

impl Query {
    /// The value of one of the resource's own parameters.
    pub fn extra(&self, name: &str) -> Option<&str> {
        self.extra
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of one of the resource's own parameters that may be repeated ([`ParseContext::lists`]), each once.
    pub fn extras<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.extra
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The cursor of the page that begins after the row at `last`.
    pub fn cursor_after(&self, last: Position) -> String {
        Cursor {
            sort: self.sort,
            last,
            now: self.now,
            fingerprint: self.fingerprint,
        }
        .encode()
    }

    /// All parameters of the page with this cursor: a list's `next` carries everything.
    pub fn next_pairs(&self, cursor: &str) -> Vec<(String, String)> {
        let mut pairs = self.to_pairs();
        if self.limit_asked {
            pairs.push(("limit".to_owned(), self.limit.to_string()));
        }
        if self.count_exact {
            pairs.push(("count".to_owned(), "exact".to_owned()));
        }
        pairs.extend(self.extra.iter().cloned());
        pairs.push(("cursor".to_owned(), cursor.to_owned()));
        pairs
    }

    /// Scope, filter and order as parameters, in one canonical order: what a saved report keeps. With
    /// [`ParseContext::saved`] they are what was added to it.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let sort = (self.sort != self.default_sort).then_some(self.sort);
        canonical_pairs(&self.filter, self.asked_scope.as_ref(), sort)
    }
}

fn canonical_pairs(filter: &Filter, scope: Option<&AskedScope>, sort: Option<Sort>) -> Vec<(String, String)> {
    let mut pairs = Pairs(Vec::new());
    pairs.many("scope", scope.map(|scope| scope.key()));
    pairs.flag(
        "include_sub_managers",
        matches!(
            scope,
            Some(AskedScope::Managed {
                include_sub_managers: true
            })
        ),
    );
    pairs.0.extend(filter.to_pairs());
    pairs.many("sort", sort.map(Sort::key));
    pairs.0
}

/// What a cursor is bound to: who asks which resource (`binding`), for what, in which order, and around which saved
/// question. The zone belongs to it where days matter, even where it is only the organisation's default.
fn fingerprint(
    binding: &str,
    filter: &Filter,
    scope: Option<&AskedScope>,
    sort: Sort,
    lists: &[(String, String)],
    saved: Option<&Query>,
) -> Fingerprint {
    let question = |filter: &Filter, scope, sort: Sort| {
        let mut pairs = canonical_pairs(filter, scope, Some(sort).filter(|sort| *sort != Sort::default()));
        pairs.push(("tz".to_owned(), filter.time.zone.name().to_owned()));
        pairs
    };
    let mut pairs = question(filter, scope, sort);
    pairs.extend_from_slice(lists);
    if let Some(saved) = saved {
        // No parameter has an empty name: what comes after it is the saved question, and nothing else can be.
        pairs.push((String::new(), String::new()));
        pairs.extend(question(&saved.filter, saved.asked_scope.as_ref(), saved.sort));
    }
    Fingerprint::of(
        std::iter::once(binding).chain(pairs.iter().flat_map(|(name, value)| [&**name, &**value])),
    )
}

/// One parameter of section 7, for the description of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be repeated: any of its values then counts.
    pub repeats: bool,
    /// What it asks for.
    pub description: &'static str,
}

const fn parameter(name: &'static str, repeats: bool, description: &'static str) -> Parameter {
    Parameter {
        name,
        repeats,
        description,
    }
}

const TEAM: Parameter = parameter("team", true, "Id of a team: its members");
const INCLUDE_SUB_TEAMS: Parameter = parameter(
    "include_sub_teams",
    false,
    "The teams below the teams asked for count as well",
);
const PRIMARY_TEAM_ONLY: Parameter = parameter(
    "primary_team_only",
    false,
    "Only members whose primary team it is",
);
const GROUP: Parameter = parameter("group", true, "Id of a group: its members");
const USER: Parameter = parameter("user", true, "Id of a user");
const INCLUDE_DEACTIVATED: Parameter = parameter(
    "include_deactivated",
    false,
    "Show activities of deactivated users too",
);

/// The parameters of every [`Filter`], without `custom[<field>]`, whose names are the organisation's.
pub const FILTER_PARAMETERS: &[Parameter] = &[
    TEAM,
    INCLUDE_SUB_TEAMS,
    PRIMARY_TEAM_ONLY,
    GROUP,
    USER,
    parameter(
        "action",
        true,
        "Action; `visited` is shown only where it is asked for",
    ),
    parameter("verb", true, "IRI of a verb"),
    parameter("type", true, "Type of the content"),
    parameter("content_type", true, "Content type of an item"),
    parameter("content", true, "Id of a content"),
    parameter("tag", true, "Tag of the content"),
    parameter("source", true, "Content library"),
    parameter("cpd_label", true, "CPD label of the content"),
    parameter("device_type", true, "Device type"),
    parameter("origin", true, "How the record came in"),
    parameter("import", true, "Id of a bulk import"),
    parameter(
        "title",
        true,
        "Every word must be found in the content's title; at most 100 titles, with 200 words together",
    ),
    parameter("completed", false, "Whether it is a completion"),
    parameter("expired", false, "Whether it has expired"),
    parameter("bulk_import", false, "Whether a bulk import brought it"),
    parameter("has_certificate", false, "Whether a certificate comes with it"),
    INCLUDE_DEACTIVATED,
    parameter("result", true, "`passed` or `failed`"),
    parameter(
        "from",
        false,
        "First moment that counts: RFC 3339, or a date, which begins at midnight in `tz`",
    ),
    parameter(
        "to",
        false,
        "First moment that counts no more: RFC 3339, or a date",
    ),
    parameter("period", false, "Instead of `from` and `to`"),
    parameter(
        "tz",
        false,
        "IANA time zone of dates and periods; default: the organisation's",
    ),
    parameter(
        "certificate_expires_within",
        false,
        "ISO 8601 duration: the certificate expires within it from now",
    ),
];

/// The parameters of a filter that say who: for what lists people, not rows.
pub const PEOPLE_PARAMETERS: &[Parameter] = &[
    TEAM,
    INCLUDE_SUB_TEAMS,
    PRIMARY_TEAM_ONLY,
    GROUP,
    USER,
    INCLUDE_DEACTIVATED,
];

/// The parameters that choose a scope inside the reach.
pub const SCOPE_PARAMETERS: &[Parameter] = &[
    parameter("scope", false, "Part of the reach; default: all of it"),
    parameter(
        "include_sub_managers",
        false,
        "With `scope=managed`: the indirect reports too",
    ),
];

/// The parameter that orders.
pub const SORT_PARAMETERS: &[Parameter] = &[parameter(
    "sort",
    false,
    "`-happened_at` (default) or `happened_at`",
)];

/// The parameters that page.
pub const PAGE_PARAMETERS: &[Parameter] = &[
    parameter("limit", false, "Rows in a page"),
    parameter("cursor", false, "The page to give, from `next`"),
    parameter("count", false, "`exact`: give the total"),
];
