//! Reading a [`Query`] from a request's parameters (product text, sections 7 and 12).
//!
//! Everything that is wrong is named, not only the first: an unknown parameter or value with what is
//! allowed, a parameter sent twice that has one value, two that exclude each other. Nothing is
//! guessed and nothing is ignored, so that a misspelt filter never shows more than was asked for.

use std::collections::BTreeMap;
use std::fmt::Display;

use chrono::NaiveDate;
use chrono_tz::Tz;
use uuid::Uuid;

use super::{
    AskedTime, FILTER_PARAMETERS, Filter, Moment, PAGE_PARAMETERS, Parameter, ParameterFault, Query,
    ResultFilter, SCOPE_PARAMETERS, SORT_PARAMETERS, Sort, TitleSearch, fingerprint,
};
use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::base::fold::fold;
use crate::base::timestamp;
use crate::catalogue::{ContentKind, ContentType};
use crate::log::action::Action;
use crate::log::cursor::Cursor;
use crate::log::period::Period;
use crate::record::{CalendarDuration, Origin};

/// The most values that one parameter may have.
pub const MAX_VALUES: usize = 1_000;

/// The longest value of a parameter, in characters.
pub const MAX_VALUE_CHARACTERS: usize = 2_048;

/// The most different `custom[<field>]` that one question may ask for.
pub const MAX_CUSTOM_FIELDS: usize = 100;

/// The most different titles that one question may look for.
///
/// Each word is a condition of its own, and databases bound how many of those a statement may hold.
pub const MAX_TITLES: usize = 100;

/// The most words that the titles of one question may have together.
pub const MAX_TITLE_WORDS: usize = 200;

/// What a resource knows when it reads a question.
#[derive(Debug, Clone, Copy)]
pub struct ParseContext<'a> {
    /// The moment of the request: "now" of a first page.
    pub now: Timestamp,
    /// The organisation's time zone.
    pub time_zone: Tz,
    /// The page size where none is asked for.
    pub default_limit: u32,
    /// The largest page size that may be asked for.
    pub max_limit: u32,
    /// The filters that the resource has: [`FILTER_PARAMETERS`], or [`PEOPLE_PARAMETERS`](super::PEOPLE_PARAMETERS)
    /// for what lists people; `custom[<field>]` goes with both.
    pub filters: &'static [Parameter],
    /// Whether the resource has `scope` and `include_sub_managers`.
    pub scope: bool,
    /// Whether the resource has `sort`.
    pub sort: bool,
    /// Whether the resource has `limit`, `cursor` and `count`.
    pub paging: bool,
    /// Parameters of the resource's own, each with one value, which it reads itself.
    pub extra: &'a [&'a str],
    /// Parameters of the resource's own which may be repeated ([`Query::extras`]), and which cursors are bound to.
    pub lists: &'a [&'a str],
    /// Who asks which resource: text that cursors are bound to.
    pub binding: &'a str,
    /// The saved report's own question, where one is opened: what is sent is added to it, and a row has to match both
    /// ([`Filter::within`]). Order and zone are the saved ones where none is sent. What would widen it is refused by
    /// name (product text, section 9). Its scope is the caller's to apply; cursors are bound to all of it.
    pub saved: Option<&'a Query>,
}

impl<'a> ParseContext<'a> {
    /// A list with scopes, order and pages of 50, at most 1,000.
    pub fn list(now: Timestamp, time_zone: Tz, binding: &'a str) -> Self {
        Self {
            now,
            time_zone,
            default_limit: 50,
            max_limit: 1_000,
            filters: FILTER_PARAMETERS,
            scope: true,
            sort: true,
            paging: true,
            extra: &[],
            lists: &[],
            binding,
            saved: None,
        }
    }

    /// All rows at once, in their order: an export, with parameters of its own.
    pub fn export(now: Timestamp, time_zone: Tz, extra: &'a [&'a str]) -> Self {
        Self {
            paging: false,
            extra,
            ..Self::list(now, time_zone, "")
        }
    }
}

impl Query {
    /// Reads the decoded parameters of a request, in any order.
    ///
    /// With a `cursor`, everything that is relative to now is resolved for the moment of the first page.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with the parameter's name.
    pub fn parse(
        pairs: &[(String, String)],
        context: &ParseContext<'_>,
    ) -> Result<Self, Vec<ParameterFault>> {
        let mut reader = Reader::new(pairs);
        reader.refuse_unknown(context);

        let cursor = reader
            .text("cursor")
            .and_then(|text| reader.keep("cursor", Cursor::open(&text)));
        let filter = filter(&mut reader, context);
        let asked_scope = scope(&mut reader, &filter);
        if context.saved.is_some() {
            refuse_widening(&mut reader, &filter);
        }
        let default_sort = context.saved.map_or_else(Sort::default, |saved| saved.sort);
        let sort = reader
            .choice("sort", Sort::ALL, |sort| sort.key())
            .unwrap_or(default_sort);
        let limit = limit(&mut reader, context);
        let count_exact = reader.choice("count", &["exact"], |value| value).is_some();
        let mut extra = Vec::new();
        for name in context.lists {
            let values = reader.many(name, any_text);
            extra.extend(values.into_iter().map(|value| ((*name).to_owned(), value)));
        }
        let scope = asked_scope.as_ref();
        let fingerprint = fingerprint(context.binding, &filter, scope, sort, &extra, context.saved);
        for name in context.extra {
            extra.extend(reader.text(name).map(|value| ((*name).to_owned(), value)));
        }
        // A question that is wrong anyway is another one; its cursor need not be said to be wrong too.
        if let Some(text) = reader
            .first("cursor")
            .filter(|_| cursor.is_some() && reader.faults.is_empty())
        {
            reader.keep("cursor", Cursor::decode(text, fingerprint));
        }
        if !reader.faults.is_empty() {
            return Err(reader.faults);
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
            limit_asked: limit.is_some(),
            default_sort,
            fingerprint,
        })
    }
}

fn filter(reader: &mut Reader<'_>, context: &ParseContext<'_>) -> Filter {
    Filter {
        teams: reader.many("team", |text| text.parse()),
        groups: reader.many("group", |text| text.parse()),
        include_sub_teams: reader.truth("include_sub_teams").unwrap_or(false),
        primary_team_only: reader.truth("primary_team_only").unwrap_or(false),
        users: reader.many("user", |text| text.parse()),
        actions: reader.choices("action", Action::ALL, |action| action.key()),
        verbs: reader.many("verb", iri),
        types: reader.choices("type", ContentType::ALL, |kind| kind.key()),
        content_types: reader.choices("content_type", ContentKind::ALL, |kind| kind.key()),
        contents: reader.many("content", |text| text.parse()),
        tags: reader.many("tag", any_text),
        sources: reader.many("source", any_text),
        cpd_labels: reader.many("cpd_label", any_text),
        device_types: reader.many("device_type", any_text),
        origins: reader.choices("origin", &Origin::ALL, |origin| origin.key()),
        imports: reader.many("import", |text| {
            Uuid::parse_str(text).map_err(|_| "the id of an import is a UUID")
        }),
        titles: titles(reader),
        completed: reader.truth("completed"),
        expired: reader.truth("expired"),
        bulk_import: reader.truth("bulk_import"),
        has_certificate: reader.truth("has_certificate"),
        include_deactivated: reader.truth("include_deactivated").unwrap_or(false),
        results: reader.choices("result", ResultFilter::ALL, |result| result.key()),
        time: time(reader, context),
        certificate_expires_within: reader.one("certificate_expires_within", CalendarDuration::parse),
        custom: custom(reader),
        within: context.saved.map(|saved| Box::new(saved.filter.clone())),
    }
}

/// Names what would show more than the saved report does, were it heard: those that include, with either value, since
/// they don't take away either; and visits, whose hiding is the report's to say.
fn refuse_widening(reader: &mut Reader<'_>, added: &Filter) {
    const REMEDY: &str = "it would have to be changed in the report itself";
    let including: Vec<&str> = reader
        .values
        .keys()
        .copied()
        .filter(|name| name.starts_with("include_"))
        .collect();
    for name in including {
        reader.fault(name, &format!("can't be added to a saved report; {REMEDY}"));
    }
    if added.actions.contains(&Action::Visited) {
        reader.fault(
            "action",
            &format!("`visited` can't be added to a saved report; {REMEDY}"),
        );
    }
}

fn time(reader: &mut Reader<'_>, context: &ParseContext<'_>) -> AskedTime {
    let asked_zone = reader.one("tz", zone);
    let asked = AskedTime {
        from: reader.one("from", moment),
        to: reader.one("to", moment),
        period: reader.choice("period", Period::ALL, |period| period.key()),
        asked_zone,
        zone: asked_zone.unwrap_or(
            context
                .saved
                .map_or(context.time_zone, |saved| saved.filter.time.zone),
        ),
    };
    if asked.period.is_some() && (asked.from.is_some() || asked.to.is_some()) {
        reader.fault("period", "is instead of `from` and `to`; send either it or them");
    }
    asked
}

fn scope(reader: &mut Reader<'_>, filter: &Filter) -> Option<AskedScope> {
    // Beside any other scope it has nothing to widen: the whole reach has the indirect reports already.
    let include_sub_managers = reader.truth("include_sub_managers").unwrap_or(false);
    let all = [
        AskedScope::Company,
        AskedScope::Managed { include_sub_managers },
        AskedScope::Team,
        AskedScope::Group,
        AskedScope::Me,
    ];
    let scope = reader.choice("scope", &all, |scope| scope.key())?;
    if scope == AskedScope::Team && filter.teams.is_empty() {
        reader.fault("scope", "`team` needs the parameter `team` with the id of one");
    }
    if scope == AskedScope::Group && filter.groups.is_empty() {
        reader.fault("scope", "`group` needs the parameter `group` with the id of one");
    }
    Some(scope)
}

fn limit(reader: &mut Reader<'_>, context: &ParseContext<'_>) -> Option<u32> {
    let most = context.max_limit;
    reader.one("limit", |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text
            .parse()
            .ok()
            .filter(|limit| plain && (1..=most).contains(limit));
        limit.ok_or_else(|| format!("is a whole number from 1 to {most}"))
    })
}

fn custom(reader: &mut Reader<'_>) -> BTreeMap<String, Vec<String>> {
    let names: Vec<&str> = reader
        .values
        .keys()
        .copied()
        .filter(|name| custom_field(name).is_some())
        .collect();
    if names.len() > MAX_CUSTOM_FIELDS {
        reader.fault(
            "custom",
            &format!("at most {MAX_CUSTOM_FIELDS} fields can be asked for at once"),
        );
        return BTreeMap::new();
    }
    let mut fields = BTreeMap::new();
    for name in names {
        let values = reader.many(name, any_text);
        fields.extend(custom_field(name).map(|field| (field.to_owned(), values)));
    }
    fields
}

/// The field that the parameter `custom[<field>]` asks for.
fn custom_field(name: &str) -> Option<&str> {
    name.strip_prefix("custom[")?
        .strip_suffix(']')
        .filter(|field| !field.is_empty())
}

fn any_text(text: &str) -> Result<String, &'static str> {
    Ok(text.to_owned())
}

fn iri(text: &str) -> Result<String, &'static str> {
    match oxiri::Iri::parse(text) {
        Ok(iri) => Ok(iri.into_inner().to_owned()),
        Err(_) => Err("is an absolute IRI, as in the records"),
    }
}

fn titles(reader: &mut Reader<'_>) -> Vec<TitleSearch> {
    let titles = reader.many("title", title);
    let words: usize = titles.iter().map(|title| title.words.len()).sum();
    if titles.len() > MAX_TITLES || words > MAX_TITLE_WORDS {
        reader.fault(
            "title",
            &format!(
                "at most {MAX_TITLES} titles can be looked for at once, with {MAX_TITLE_WORDS} words together"
            ),
        );
        return Vec::new();
    }
    titles
}

fn title(text: &str) -> Result<TitleSearch, &'static str> {
    let asked = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: Vec<String> = fold(&asked).split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        Err("has no word to look for")
    } else {
        Ok(TitleSearch { asked, words })
    }
}

fn zone(text: &str) -> Result<Tz, &'static str> {
    text.parse()
        .map_err(|_| "is the IANA name of a time zone, such as `Europe/London`")
}

fn moment(text: &str) -> Result<Moment, &'static str> {
    if text.len() == 10
        && let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
    {
        return Ok(Moment::Day(day));
    }
    match timestamp::parse(text) {
        // The cut is safe: what was read as a timestamp is ASCII, its date ten bytes long.
        Ok(_) if !text[10..].contains(['Z', '+', '-']) => Err(
            "says no offset, so `tz` or UTC may be meant; end it with `Z`, or with one such as `%2B02:00`",
        ),
        Ok(at) => Ok(Moment::At(at)),
        // What a form makes of `+02:00` that was not escaped.
        Err(_) if text.contains(' ') && timestamp::parse(&text.replace(' ', "+")).is_ok() => {
            Err("has a space where `+` was meant; write `%2B` in a URL")
        }
        Err(_) => Err("is a date such as `2026-01-31`, or RFC 3339 such as `2026-01-31T09:00:00Z`"),
    }
}

/// The parameters by name, and what was found wrong with them so far.
struct Reader<'a> {
    values: BTreeMap<&'a str, Vec<&'a str>>,
    faults: Vec<ParameterFault>,
}

impl<'a> Reader<'a> {
    /// Groups the parameters and refuses what no parameter may hold.
    fn new(pairs: &'a [(String, String)]) -> Self {
        let mut reader = Self {
            values: BTreeMap::new(),
            faults: Vec::new(),
        };
        for (name, value) in pairs {
            reader.values.entry(name).or_default().push(value);
        }
        for (name, values) in &mut reader.values {
            let detail = if name.contains('\0') || values.iter().any(|value| value.contains('\0')) {
                "holds U+0000, which is in no stored text".to_owned()
            } else if values.len() > MAX_VALUES {
                format!("has at most {MAX_VALUES} values")
            } else if values.iter().any(|value| value.is_empty()) {
                "is empty; leave it out or give it a value".to_owned()
            } else if values
                .iter()
                .any(|value| value.chars().nth(MAX_VALUE_CHARACTERS).is_some())
            {
                format!("has at most {MAX_VALUE_CHARACTERS} characters")
            } else {
                continue;
            };
            reader.faults.push(ParameterFault {
                parameter: name.replace('\0', "\u{fffd}"),
                detail,
            });
            values.clear();
        }
        reader
    }

    /// Names every parameter that the resource doesn't have, with those it has.
    fn refuse_unknown(&mut self, context: &ParseContext<'_>) {
        let groups = [
            (true, context.filters),
            (context.scope, SCOPE_PARAMETERS),
            (context.sort, SORT_PARAMETERS),
            (context.paging, PAGE_PARAMETERS),
        ];
        let tables = groups
            .iter()
            .filter(|(has, _)| *has)
            .flat_map(|(_, table)| *table);
        let allowed: Vec<&str> = tables
            .map(|parameter| parameter.name)
            .chain(context.lists.iter().copied())
            .chain(context.extra.iter().copied())
            .collect();
        let known = |name: &str| allowed.contains(&name) || custom_field(name).is_some();
        let unknown: Vec<&str> = self.values.keys().copied().filter(|name| !known(name)).collect();
        for name in unknown {
            self.values.remove(name);
            let allowed = allowed.join("`, `");
            self.fault(
                name,
                &format!("is not a parameter here; there are `{allowed}` and `custom[<field>]`"),
            );
        }
    }

    fn fault(&mut self, parameter: &str, detail: &str) {
        // One fault for a parameter is enough: what follows from it would only repeat it.
        if self.faults.iter().all(|fault| fault.parameter != parameter) {
            self.faults.push(ParameterFault {
                parameter: parameter.to_owned(),
                detail: detail.to_owned(),
            });
        }
    }

    fn keep<T>(&mut self, name: &str, read: Result<T, impl Display>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, &error.to_string());
                None
            }
        }
    }

    fn first(&self, name: &str) -> Option<&'a str> {
        self.values.get(name)?.first().copied()
    }

    /// The value of a parameter that has one.
    fn text(&mut self, name: &str) -> Option<String> {
        self.one(name, any_text)
    }

    /// The value of a parameter that has one, read by `read`.
    fn one<T, E: Display>(&mut self, name: &str, read: impl FnOnce(&'a str) -> Result<T, E>) -> Option<T> {
        match self.values.get(name).map(Vec::as_slice) {
            None | Some([]) => None,
            Some([value]) => self.keep(name, read(value)),
            Some(_) => {
                self.fault(name, "has one value; send it once");
                None
            }
        }
    }

    fn truth(&mut self, name: &str) -> Option<bool> {
        self.one(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("is `true` or `false`"),
        })
    }

    /// The value of a parameter that has one of a closed list.
    fn choice<T: Copy>(&mut self, name: &str, all: &[T], key: impl Fn(T) -> &'static str) -> Option<T> {
        self.one(name, |text| choose(text, all, key))
    }

    /// All values of a parameter that may be repeated, each once, in order.
    fn many<T: Ord, E: Display>(&mut self, name: &str, read: impl Fn(&'a str) -> Result<T, E>) -> Vec<T> {
        let values = self.values.get(name).cloned().unwrap_or_default();
        let mut read: Vec<T> = values
            .into_iter()
            .filter_map(|value| self.keep(name, read(value)))
            .collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// All values of a parameter with a closed list, repeated or separated by commas, each once, in order.
    fn choices<T: Copy + Ord>(
        &mut self,
        name: &str,
        all: &[T],
        key: impl Fn(T) -> &'static str + Copy,
    ) -> Vec<T> {
        let values = self.values.get(name).cloned().unwrap_or_default();
        let mut chosen = Vec::new();
        for value in values.into_iter().flat_map(|value| value.split(',')) {
            chosen.extend(self.keep(name, choose(value, all, key)));
        }
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

fn choose<T: Copy>(text: &str, all: &[T], key: impl Fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|value| key(*value) == text);
    found.ok_or_else(|| {
        let allowed: Vec<&str> = all.iter().map(|value| key(*value)).collect();
        format!(
            "`{}` is not a value of it; there are `{}`",
            shortened(text),
            allowed.join("`, `")
        )
    })
}

/// The text, cut where it is too long to repeat to its sender.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
