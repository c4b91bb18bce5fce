//! Parsing of a [`Query`] from a request's parameters (docs/specification.md#parameters).
//!
//! All faults are reported together: unknown parameters and values with those that exist, parameters with one value
//! that were sent twice, parameters that exclude each other. Nothing is ignored, so a misspelt filter never shows more
//! rows than the client wanted.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::parameter::{FilterSet, InReport, PAGE_PARAMETERS, Parameter, SCOPE_PARAMETERS, SORT_PARAMETERS};
use super::query::{Query, Sort, fingerprint};
use super::reader::ParameterReader;
use super::value::{FilterValue, Moment};
use super::{FILTER_PARAMETERS, Filter, ParameterFault};
use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::{CursorCipher, CursorKey};
use crate::log::cursor::Cursor;

/// The most different `custom[<field>]` of one request.
pub const MAX_CUSTOM_FIELDS: usize = 100;

/// The most different titles of one request.
///
/// Each word becomes a condition of the SQL statement, and databases limit the number of conditions.
pub const MAX_TITLES: usize = 100;

/// The most words of all titles of one request together.
pub const MAX_TITLE_WORDS: usize = 200;

/// What a resource knows before it parses a query.
#[derive(Debug, Clone, Copy)]
pub struct ParseContext<'a> {
    /// The moment of the request: "now" of a first page.
    pub now: Timestamp,
    /// The organisation's time zone.
    pub time_zone: Tz,
    /// The page size if the request has none.
    pub default_limit: u32,
    /// The largest page size.
    pub max_limit: u32,
    /// The filters of the resource.
    pub filters: FilterSet,
    /// Whether the resource has `scope` and `include_sub_managers`.
    pub scope: bool,
    /// Whether the resource has `sort`.
    pub sort: bool,
    /// Set if the resource has `limit`, `cursor` and `count`.
    pub paging: Option<Paging<'a>>,
    /// Whether the parameters are those of a saved report. They must be valid in every time zone or in none, since the
    /// organisation's can change.
    pub any_zone: bool,
    /// Whether `primary_team_only` has an effect without `team`, as in a summary by team.
    pub primary_team_alone: bool,
    /// Further parameters of the resource with one value each.
    pub extra: &'a [&'a str],
    /// Further parameters of the resource that may be repeated ([`Query::extras`]). Cursors are bound to their values.
    pub lists: &'a [&'a str],
    /// The query of a saved report, if one is opened. The request's parameters are added to it: a row has to pass both
    /// ([`Filter::within`]). The report's order and time zone apply unless the request has others. Parameters that could
    /// add rows are refused (docs/specification.md#opening-a-report). The caller applies the report's scope. Cursors are
    /// bound to the whole saved query.
    pub saved: Option<&'a Query>,
}

/// What a resource with pages knows about its cursors.
#[derive(Debug, Clone, Copy)]
pub struct Paging<'a> {
    /// The key that encrypts the cursors.
    pub key: &'a CursorKey,
    /// The organisation, the caller and the resource, as a text that cursors are bound to.
    pub binding: &'a str,
}

impl<'a> ParseContext<'a> {
    /// The context of a list with scopes, an order, and pages of 50 rows, at most 1,000.
    pub fn list(now: Timestamp, time_zone: Tz, paging: Option<Paging<'a>>) -> Self {
        Self {
            now,
            time_zone,
            default_limit: 50,
            max_limit: 1_000,
            filters: FilterSet::All,
            scope: true,
            sort: true,
            paging,
            any_zone: false,
            primary_team_alone: false,
            extra: &[],
            lists: &[],
            saved: None,
        }
    }

    /// The context of an export: all rows in order, with the further parameters `extra`.
    pub fn export(now: Timestamp, time_zone: Tz, extra: &'a [&'a str]) -> Self {
        Self {
            extra,
            ..Self::list(now, time_zone, None)
        }
    }

    /// The parameters of the resource, without the further ones.
    fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let options = [
            (self.scope, SCOPE_PARAMETERS),
            (self.sort, SORT_PARAMETERS),
            (self.paging.is_some(), PAGE_PARAMETERS),
        ];
        let options = options.into_iter().filter(|(has, _)| *has);
        self.filters
            .parameters()
            .chain(options.flat_map(|(_, parameters)| parameters))
    }
}

impl Query {
    /// Parses the decoded parameters of a request, in any order.
    ///
    /// With a `cursor`, relative times are resolved for the moment of the first page.
    ///
    /// # Errors
    ///
    /// All faults, each with the parameter's name.
    pub fn parse(
        pairs: &[(String, String)],
        context: &ParseContext<'_>,
    ) -> Result<Self, Faults<ParameterFault>> {
        let mut reader = ParameterReader::new(pairs);
        refuse_unknown(&mut reader, context);

        let cursor = reader.text("cursor");
        // Other faults of these parameters would not help the client, so this comes first.
        if context.saved.is_some() {
            refuse_widening(&mut reader);
        }
        let filter = parse_filter(&mut reader, context);
        let asked_scope = parse_scope(&mut reader, &filter);
        let default_sort = context.saved.map_or_else(Sort::default, |saved| saved.sort);
        let sort = reader.key("sort", Sort::ALL, Sort::key).unwrap_or(default_sort);
        let limit = parse_limit(&mut reader, context.max_limit);
        let count_exact = reader.key("count", &["exact"], |value| value).is_some();
        let mut extra = Vec::new();
        for name in context.lists {
            let values = reader.many::<String>(name);
            extra.extend(values.into_iter().map(|value| ((*name).to_owned(), value)));
        }
        let scope = asked_scope.as_ref();
        let cipher = context.paging.map(|Paging { key, binding }| {
            let request = fingerprint(binding, &filter, scope, sort, &extra, context.saved);
            CursorCipher::new(key.clone(), request)
        });
        for name in context.extra {
            extra.extend(reader.text(name).map(|value| ((*name).to_owned(), value)));
        }
        // A cursor cannot belong to a request with faults. One more fault would not help the client.
        let cursor = match (cursor, &cipher) {
            (Some(text), Some(cipher)) if !reader.has_faults() => {
                reader.value_of("cursor", Cursor::decrypt(&text, cipher))
            }
            _ => None,
        };
        if reader.has_faults() {
            return Err(reader.into_faults());
        }
        Ok(Self {
            filter,
            asked_scope,
            sort,
            limit: limit.unwrap_or(context.default_limit),
            after: cursor.map(|cursor| cursor.last),
            count_exact,
            now: cursor.map_or(context.now, |cursor| cursor.now),
            extra,
            has_limit: limit.is_some(),
            default_sort,
            cipher,
        })
    }
}

/// Refuses every parameter that the resource does not have, and lists those that it has.
fn refuse_unknown(reader: &mut ParameterReader<'_>, context: &ParseContext<'_>) {
    let allowed: Vec<&str> = context
        .parameters()
        .map(|parameter| parameter.name)
        .chain(context.lists.iter().copied())
        .chain(context.extra.iter().copied())
        .collect();
    let listed = allowed.join("`, `");
    for name in reader.names() {
        if !allowed.contains(&name) && custom_field(name).is_none() {
            reader.remove(name);
            reader.fault(
                name,
                format_args!("is not a parameter here; the parameters are `{listed}` and `custom[<field>]`"),
            );
        }
    }
}

/// Refuses parameters that could add rows to the saved report to which they are added.
fn refuse_widening(reader: &mut ParameterReader<'_>) {
    const REMEDY: &str = "can't be added to a saved report; change it in the report itself";
    for parameter in SCOPE_PARAMETERS.iter().chain(FILTER_PARAMETERS) {
        let name = parameter.name;
        match parameter.traits.in_report {
            InReport::Narrows => {}
            // `false` is refused too: it does not undo the report's `true`.
            InReport::Widens if reader.has(name) => reader.fault(name, REMEDY),
            InReport::Widens => {}
            InReport::WidensWith(key) => {
                let mut keys = reader.raw(name).into_iter().flat_map(|value| value.split(','));
                if keys.any(|other| other == key) {
                    reader.fault(name, format_args!("`{key}` {REMEDY}"));
                }
            }
        }
    }
}

fn parse_filter(reader: &mut ParameterReader<'_>, context: &ParseContext<'_>) -> Filter {
    let time_zone = match context.saved {
        Some(saved) => saved.filter.zone(),
        None => context.time_zone,
    };
    let filter = Filter {
        custom: parse_custom(reader),
        default_zone: time_zone,
        within: context.saved.map(|saved| Box::new(saved.filter.clone())),
        ..Filter::parse_table(reader)
    };
    let words: usize = filter.titles.iter().map(|title| title.words.len()).sum();
    if filter.titles.len() > MAX_TITLES || words > MAX_TITLE_WORDS {
        reader.fault(
            "title",
            format_args!("at most {MAX_TITLES} titles are allowed, with {MAX_TITLE_WORDS} words together"),
        );
    }
    if filter.period.is_some() && (filter.from.is_some() || filter.to.is_some()) {
        reader.fault("period", "replaces `from` and `to`; send either it or them");
    }
    if is_empty_window(filter.from, filter.to, &filter, context) {
        reader.fault("from", "must be before `to`; no time is in between");
    }
    if is_empty_window(filter.stored_from, filter.stored_to, &filter, context) {
        reader.fault("stored_from", "must be before `stored_to`; no time is in between");
    }
    refuse_flags_without_team(reader, &filter, context);
    filter
}

/// Whether no moment is between `from` and `to`, which are values of the filter.
fn is_empty_window(
    from: Option<Moment>,
    to: Option<Moment>,
    filter: &Filter,
    context: &ParseContext<'_>,
) -> bool {
    let (Some(from), Some(to)) = (from, to) else {
        return false;
    };
    match (from, to) {
        (Moment::Day(from), Moment::Day(to)) => from >= to,
        (Moment::At(from), Moment::At(to)) => from >= to,
        // A date and a time cannot be compared without the zone.
        _ if context.any_zone && filter.tz.is_none() => false,
        _ => from.resolve(filter.zone()) >= to.resolve(filter.zone()),
    }
}

/// Refuses the flags that change the meaning of `team` if the request has no team.
fn refuse_flags_without_team(reader: &mut ParameterReader<'_>, filter: &Filter, context: &ParseContext<'_>) {
    const REMEDY: &str = "changes nothing without `team`; add a team, or leave this out";
    if !filter.teams.is_empty() {
        return;
    }
    // A fault of the parameter `team` itself comes first, and this one would follow from it.
    if filter.include_sub_teams && !reader.has("team") {
        reader.fault("include_sub_teams", REMEDY);
    }
    // It applies to the teams of the report to which it is added.
    let report_has_team = context.saved.is_some_and(|saved| !saved.filter.teams.is_empty());
    let has_effect = context.primary_team_alone || report_has_team;
    if filter.primary_team_only && !has_effect && !reader.has("team") {
        reader.fault("primary_team_only", REMEDY);
    }
}

fn parse_scope(reader: &mut ParameterReader<'_>, filter: &Filter) -> Option<AskedScope> {
    let include_sub_managers = bool::parse(reader, "include_sub_managers");
    let all = [
        AskedScope::Company,
        AskedScope::Managed { include_sub_managers },
        AskedScope::Team,
        AskedScope::Group,
        AskedScope::Me,
    ];
    let scope = reader.key("scope", &all, AskedScope::key);
    let is_managed = matches!(scope, Some(AskedScope::Managed { .. }));
    if include_sub_managers && !is_managed && (scope.is_some() || !reader.has("scope")) {
        reader.fault(
            "include_sub_managers",
            "changes nothing without `scope=managed`; use that scope, or leave this out",
        );
    }
    let scope = scope?;
    if scope == AskedScope::Team && filter.teams.is_empty() {
        reader.fault("scope", "`team` needs the parameter `team` with the id of a team");
    }
    if scope == AskedScope::Group && filter.groups.is_empty() {
        reader.fault(
            "scope",
            "`group` needs the parameter `group` with the id of a group",
        );
    }
    Some(scope)
}

fn parse_limit(reader: &mut ParameterReader<'_>, max_limit: u32) -> Option<u32> {
    reader.one("limit", |text| {
        // `parse` would accept a leading `+`.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| (1..=max_limit).contains(limit));
        limit
            .filter(|_| is_plain)
            .ok_or_else(|| format!("is a whole number from 1 to {max_limit}"))
    })
}

fn parse_custom(reader: &mut ParameterReader<'_>) -> BTreeMap<String, Vec<String>> {
    let names: Vec<&str> = reader
        .names()
        .into_iter()
        .filter(|name| custom_field(name).is_some())
        .collect();
    if names.len() > MAX_CUSTOM_FIELDS {
        reader.fault(
            "custom",
            format_args!("at most {MAX_CUSTOM_FIELDS} fields are allowed in one request"),
        );
        return BTreeMap::new();
    }
    let mut fields = BTreeMap::new();
    for name in names {
        let values = reader.many(name);
        fields.extend(custom_field(name).map(|field| (field.to_owned(), values)));
    }
    fields
}

/// The field of a parameter `custom[<field>]`.
fn custom_field(name: &str) -> Option<&str> {
    name.strip_prefix("custom[")?
        .strip_suffix(']')
        .filter(|field| !field.is_empty())
}

#[cfg(test)]
mod tests;
