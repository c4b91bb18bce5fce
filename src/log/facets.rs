//! What a filter bar can offer: every filter's values, with the number of rows that each would find (product text,
//! section 7, "Facets").
//!
//! Rows are counted by the keys they hold ([`Fold`]); storage then says what the keys stand for, and
//! [`FacetValues`] puts each facet in its order.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::record::Origin;

use super::action::Action;
use super::filter::Filter;
use super::row::{ContentKey, PersonKey, VerbKey};

/// How many values of one facet are told.
pub const MOST_VALUES: usize = 1_000;

/// How many different texts of one facet are told apart while counting; a record says freely what its source and its
/// device are.
const MOST_TEXTS: usize = 100_000;

/// Every filter's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Facets {
    /// One for each filter, in the order of the filters; the organisation's own user fields by name at the end.
    pub facets: Vec<Facet>,
    /// When they were counted: now, or up to a minute ago where there was much to count.
    #[schema(value_type = String, format = DateTime, example = "2026-03-18T10:17:23.000Z")]
    pub as_of: Timestamp,
}

/// The values of one filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"name": "action", "truncated": false,
    "values": [{"value": "completed", "label": "Completed", "count": 812}]}))]
pub struct Facet {
    /// The filter's parameter, such as `action` or `custom[Region]`.
    pub name: String,
    /// The values that rows have, the most frequent ones first.
    pub values: Vec<FacetValue>,
    /// Whether there are more of them.
    pub truncated: bool,
}

/// A value of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FacetValue {
    /// What the parameter takes.
    pub value: String,
    /// What people read.
    pub label: String,
    /// How many rows the filter finds with this value alone.
    pub count: u64,
}

/// Of a filter, what says whose rows are counted: the scope's own team or group, and whether users who left count. All
/// else is passed over, so that a filter bar can send what it has and still be told what else there is. A report's own
/// filter is no part of a filter bar: it stays around them all.
pub fn population(filter: &Filter, scope: Option<AskedScope>) -> Filter {
    let kept = Filter {
        include_deactivated: filter.include_deactivated,
        within: filter.within.clone(),
        ..Filter::default()
    };
    match scope {
        Some(AskedScope::Team) => Filter {
            teams: filter.teams.clone(),
            include_sub_teams: filter.include_sub_teams,
            primary_team_only: filter.primary_team_only,
            ..kept
        },
        Some(AskedScope::Group) => Filter {
            groups: filter.groups.clone(),
            ..kept
        },
        None | Some(AskedScope::Company | AskedScope::Managed { .. } | AskedScope::Me) => kept,
    }
}

/// What is counted of a row.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Who it is about.
    pub person: PersonKey,
    /// What was learned.
    pub content: Option<ContentKey>,
    /// The verb of the record.
    pub verb: VerbKey,
    /// What was done.
    pub action: Action,
    /// How the record came in.
    pub origin: Origin,
    /// The device.
    pub device_type: Option<String>,
    /// What the record itself says of where it comes from.
    pub source: Option<String>,
    /// The bulk import that brought it.
    pub import: Option<Uuid>,
    /// Whether it is a completion.
    pub completed: bool,
    /// Whether it succeeded.
    pub success: Option<bool>,
    /// Whether a certificate comes with it.
    pub certified: bool,
    /// When what was achieved expires.
    pub expired_at: Option<Timestamp>,
}

/// How many rows of what: of one content, all of them and those without a source of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentCount {
    /// All rows.
    pub rows: u64,
    /// Those whose record doesn't say where it comes from, so that the content's library is it.
    pub without_source: u64,
}

/// How many rows there are for how many texts.
#[derive(Debug, Default)]
pub struct Texts {
    counts: HashMap<String, u64>,
    more: bool,
}

impl Texts {
    fn add(&mut self, text: &str) {
        if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
        } else if self.counts.len() < MOST_TEXTS {
            self.counts.insert(text.to_owned(), 1);
        } else {
            self.more = true;
        }
    }
}

/// Rows counted by the keys that they hold.
#[derive(Debug, Default)]
pub struct Fold {
    /// All rows.
    pub rows: u64,
    /// By who they are about.
    pub persons: HashMap<PersonKey, u64>,
    /// By what was learned.
    pub contents: HashMap<ContentKey, ContentCount>,
    /// By verb.
    pub verbs: HashMap<VerbKey, u64>,
    /// By action.
    pub actions: HashMap<Action, u64>,
    /// By how they came in.
    pub origins: HashMap<Origin, u64>,
    /// By device.
    pub device_types: Texts,
    /// By the record's own source.
    pub sources: Texts,
    /// By bulk import.
    pub imports: HashMap<Uuid, u64>,
    passed: u64,
    failed: u64,
    completed: u64,
    expired: u64,
    certified: u64,
    imported: u64,
}

impl Fold {
    /// Counts one more row, as it stands at `now`.
    pub fn add(&mut self, row: &Counted, now: Timestamp) {
        self.rows += 1;
        *self.persons.entry(row.person).or_default() += 1;
        *self.verbs.entry(row.verb).or_default() += 1;
        *self.actions.entry(row.action).or_default() += 1;
        *self.origins.entry(row.origin).or_default() += 1;
        if let Some(content) = row.content {
            let count = self.contents.entry(content).or_default();
            count.rows += 1;
            count.without_source += u64::from(row.source.is_none());
        }
        if let Some(device) = &row.device_type {
            self.device_types.add(device);
        }
        if let Some(source) = &row.source {
            self.sources.add(source);
        }
        if let Some(import) = row.import {
            *self.imports.entry(import).or_default() += 1;
        }
        match row.success {
            Some(true) => self.passed += 1,
            Some(false) => self.failed += 1,
            None => {}
        }
        self.completed += u64::from(row.completed);
        self.expired += u64::from(row.expired_at.is_some_and(|at| at < now));
        self.certified += u64::from(row.certified);
        self.imported += u64::from(row.import.is_some());
    }

    /// The facet `action`.
    pub fn actions(&self) -> FacetValues {
        values_of(&self.actions, |action| (action.key(), action.label()))
    }

    /// The facet `origin`.
    pub fn origins(&self) -> FacetValues {
        values_of(&self.origins, |origin| (origin.key(), origin_label(origin)))
    }

    /// The facet `device_type`.
    pub fn device_types(&self) -> FacetValues {
        FacetValues::of_texts(&self.device_types)
    }

    /// The facet `import`.
    pub fn imports(&self) -> FacetValues {
        let mut values = FacetValues::default();
        for (import, count) in &self.imports {
            let id = import.to_string();
            values.add(&id, &id, *count);
        }
        values
    }

    /// The facet `result`.
    pub fn results(&self) -> FacetValues {
        let mut values = FacetValues::default();
        values.add("passed", "Passed", self.passed);
        values.add("failed", "Failed", self.failed);
        values
    }

    /// The facet `completed`.
    pub fn completed(&self) -> FacetValues {
        self.truths(self.completed)
    }

    /// The facet `expired`.
    pub fn expired(&self) -> FacetValues {
        self.truths(self.expired)
    }

    /// The facet `has_certificate`.
    pub fn certified(&self) -> FacetValues {
        self.truths(self.certified)
    }

    /// The facet `bulk_import`.
    pub fn imported(&self) -> FacetValues {
        self.truths(self.imported)
    }

    fn truths(&self, of_which: u64) -> FacetValues {
        let mut values = FacetValues::default();
        values.add("true", "Yes", of_which);
        values.add("false", "No", self.rows - of_which);
        values
    }
}

fn values_of<K: Copy + Eq + Hash>(
    counts: &HashMap<K, u64>,
    named: impl Fn(K) -> (&'static str, &'static str),
) -> FacetValues {
    let mut values = FacetValues::default();
    for (key, count) in counts {
        let (value, label) = named(*key);
        values.add(value, label, *count);
    }
    values
}

fn origin_label(origin: Origin) -> &'static str {
    match origin {
        Origin::Xapi => "xAPI",
        Origin::Scorm => "SCORM",
        Origin::Api => "API",
        Origin::Manual => "Manual",
        Origin::Import => "Import",
        Origin::System => "System",
    }
}

/// The values of one facet, as they are found.
#[derive(Debug, Default)]
pub struct FacetValues {
    found: BTreeMap<String, (String, u64)>,
    more: bool,
}

impl FacetValues {
    /// The texts, which are their own labels.
    pub fn of_texts(texts: &Texts) -> Self {
        let mut values = Self::default();
        for (text, count) in &texts.counts {
            values.add(text, text, *count);
        }
        values.more = texts.more;
        values
    }

    /// So many rows more with this value; with none it isn't one.
    pub fn add(&mut self, value: &str, label: &str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some((_, counted)) = self.found.get_mut(value) {
            *counted += count;
        } else {
            self.found.insert(value.to_owned(), (label.to_owned(), count));
        }
    }

    /// The facet: the most frequent values first, equals in the order of the values.
    pub fn named(self, name: impl Into<String>) -> Facet {
        let mut values: Vec<FacetValue> = self
            .found
            .into_iter()
            .map(|(value, (label, count))| FacetValue { value, label, count })
            .collect();
        // A stable sort of what is in the order of the values.
        values.sort_by_key(|value| std::cmp::Reverse(value.count));
        let truncated = self.more || values.len() > MOST_VALUES;
        values.truncate(MOST_VALUES);
        Facet {
            name: name.into(),
            values,
            truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Counted {
        Counted {
            person: PersonKey(1),
            content: Some(ContentKey(2)),
            verb: VerbKey(3),
            action: Action::Completed,
            origin: Origin::Api,
            device_type: Some("api".to_owned()),
            source: None,
            import: None,
            completed: true,
            success: Some(true),
            certified: false,
            expired_at: None,
        }
    }

    fn told(values: FacetValues) -> Vec<(String, u64)> {
        let facet = values.named("x");
        assert!(!facet.truncated);
        let pairs = facet.values.into_iter();
        pairs.map(|value| (value.value, value.count)).collect()
    }

    #[test]
    fn rows_are_counted_under_everything_they_have() {
        let now = Timestamp::from_micros(1_000);
        let at = |micros| Some(Timestamp::from_micros(micros));
        let mut fold = Fold::default();
        let rows = [
            row(),
            Counted {
                expired_at: at(999),
                ..row()
            },
            // What expires at this very moment has not expired yet, as in the filter.
            Counted {
                expired_at: at(1_000),
                certified: true,
                ..row()
            },
            Counted {
                action: Action::LoggedIn,
                content: None,
                completed: false,
                success: None,
                device_type: None,
                ..row()
            },
            Counted {
                source: Some("Library".to_owned()),
                success: Some(false),
                import: Some(Uuid::from_u128(7)),
                ..row()
            },
        ];
        for row in &rows {
            fold.add(row, now);
        }
        let pairs = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
            pairs
                .iter()
                .map(|(value, count)| ((*value).to_owned(), *count))
                .collect()
        };
        assert_eq!(told(fold.actions()), pairs(&[("completed", 4), ("logged_in", 1)]));
        assert_eq!(told(fold.origins()), pairs(&[("api", 5)]));
        assert_eq!(told(fold.device_types()), pairs(&[("api", 4)]));
        assert_eq!(told(fold.completed()), pairs(&[("true", 4), ("false", 1)]));
        assert_eq!(told(fold.expired()), pairs(&[("false", 4), ("true", 1)]));
        assert_eq!(told(fold.certified()), pairs(&[("false", 4), ("true", 1)]));
        assert_eq!(told(fold.results()), pairs(&[("passed", 3), ("failed", 1)]));
        assert_eq!(told(fold.imported()), pairs(&[("false", 4), ("true", 1)]));
        assert_eq!(
            told(fold.imports()),
            pairs(&[("00000000-0000-0000-0000-000000000007", 1)])
        );
        assert_eq!(
            fold.contents[&ContentKey(2)],
            ContentCount {
                rows: 4,
                without_source: 3
            }
        );
        assert_eq!(
            (fold.rows, fold.persons[&PersonKey(1)], fold.verbs[&VerbKey(3)]),
            (5, 5, 5)
        );
    }

    #[test]
    fn values_stand_by_count_then_by_themselves_and_end_at_a_thousand() {
        let mut values = FacetValues::default();
        for (value, count) in [("b", 1), ("a", 1), ("c", 1), ("c", 2), ("none", 0)] {
            values.add(value, value, count);
        }
        let expected = [("c", 3), ("a", 1), ("b", 1)].map(|(value, count)| (value.to_owned(), count));
        assert_eq!(told(values), expected);

        let mut values = FacetValues::default();
        for number in 0..=MOST_VALUES {
            values.add(&format!("{number:04}"), "", 1 + u64::from(number == MOST_VALUES));
        }
        let facet = values.named("user");
        assert!(facet.truncated);
        assert_eq!(facet.values.len(), MOST_VALUES);
        assert_eq!(
            facet.values[0].value, "1000",
            "the most frequent one is never cut off"
        );
        assert_eq!(facet.values.last().map(|value| &*value.value), Some("0998"));
    }

    #[test]
    fn of_too_many_texts_the_first_are_counted_and_it_is_said() {
        let mut texts = Texts::default();
        for number in 0..=MOST_TEXTS {
            texts.add(&number.to_string());
        }
        texts.add("0");
        assert_eq!((texts.counts.len(), texts.counts["0"]), (MOST_TEXTS, 2));
        assert!(FacetValues::of_texts(&texts).named("source").truncated);
    }

    #[test]
    fn a_scope_keeps_what_it_is_made_of_and_nothing_else() {
        let filter = Filter {
            teams: vec!["t".parse().unwrap()],
            groups: vec!["g".parse().unwrap()],
            users: vec!["u".parse().unwrap()],
            include_sub_teams: true,
            primary_team_only: true,
            include_deactivated: true,
            actions: vec![Action::Visited],
            completed: Some(true),
            ..Filter::default()
        };
        let kept = Filter {
            include_deactivated: true,
            ..Filter::default()
        };
        for scope in [None, Some(AskedScope::Company), Some(AskedScope::Me)] {
            assert_eq!(population(&filter, scope), kept);
        }
        let team = Filter {
            teams: filter.teams.clone(),
            include_sub_teams: true,
            primary_team_only: true,
            ..kept.clone()
        };
        assert_eq!(population(&filter, Some(AskedScope::Team)), team);
        let group = Filter {
            groups: filter.groups.clone(),
            ..kept
        };
        assert_eq!(population(&filter, Some(AskedScope::Group)), group);
    }
}
