//! Facets: the values of each filter, with the number of activities that have them (docs/specification.md#facets).
//!
//! [`FacetCounter`] counts rows by the keys of the store. The store then finds labels for the keys, and [`FacetValues`]
//! orders the values of each facet.

pub(crate) mod columns;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::record::Origin;
use crate::texts::Language;

use super::action::Action;
use super::filter::Filter;
use super::row::{ContentKey, PersonKey, VerbKey};

/// The most values of a facet.
pub const MAX_VALUES: usize = 1_000;

/// The most different texts that are counted for a facet. Clients choose sources and device types freely.
const MAX_TEXTS: usize = 100_000;

/// The values of all filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Facets {
    /// One facet for each filter, in the order of the specification, then one for each custom field by name.
    pub facets: Vec<Facet>,
    /// The time of counting. If there are many activities, it can be up to a minute ago.
    #[schema(value_type = String, format = DateTime, example = "2026-03-18T10:17:23.000Z")]
    pub as_of: Timestamp,
}

/// The values of one filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"name": "action", "truncated": false,
    "values": [{"value": "completed", "label": "Completed", "count": 812}]}))]
pub struct Facet {
    /// The name of the parameter, such as `action` or `custom[Region]`.
    pub name: String,
    /// The values that activities have, the most frequent first.
    pub values: Vec<FacetValue>,
    /// Whether values are missing.
    pub truncated: bool,
}

/// A value of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FacetValue {
    /// The value of the parameter.
    pub value: String,
    /// The label for people.
    pub label: String,
    /// The number of activities with this value.
    pub count: u64,
}

/// The part of a filter that limits facets: the team or group of the scope, deactivated users, and the filter of a saved
/// report. A filter bar sends all its filters, and facets list the values without them.
pub fn facet_filter(filter: &Filter, scope: Option<AskedScope>) -> Filter {
    let base = Filter {
        include_deactivated: filter.include_deactivated,
        within: filter.within.clone(),
        ..Filter::default()
    };
    match scope {
        Some(AskedScope::Team) => Filter {
            teams: filter.teams.clone(),
            include_sub_teams: filter.include_sub_teams,
            primary_team_only: filter.primary_team_only,
            ..base
        },
        Some(AskedScope::Group) => Filter {
            groups: filter.groups.clone(),
            ..base
        },
        None | Some(AskedScope::Company | AskedScope::Managed { .. } | AskedScope::Me) => base,
    }
}

/// The counted values of a row.
#[derive(Debug, Clone)]
pub struct CountedActivity {
    /// The person.
    pub person: PersonKey,
    /// The content.
    pub content: Option<ContentKey>,
    /// The verb.
    pub verb: VerbKey,
    /// The action.
    pub action: Action,
    /// The way in which the record arrived.
    pub origin: Origin,
    /// The type of the device.
    pub device_type: Option<String>,
    /// The source of the record.
    pub source: Option<String>,
    /// The bulk import with the record.
    pub import: Option<Uuid>,
    /// Whether the activity is a completion.
    pub completed: bool,
    /// Whether the attempt succeeded.
    pub success: Option<bool>,
    /// Whether a certificate was awarded.
    pub certified: bool,
    /// When the completion expires.
    pub expired_at: Option<Timestamp>,
}

/// The number of rows of a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContentCount {
    /// All rows.
    pub rows: u64,
    /// Rows without a source in the record. The library of the content counts as their source.
    pub without_source: u64,
}

/// The number of rows for each text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    counts: HashMap<String, u64>,
    is_truncated: bool,
}

impl TextCounts {
    fn add(&mut self, text: &str) {
        self.add_rows(text, 1);
    }

    fn add_rows(&mut self, text: &str, rows: u64) {
        if let Some(count) = self.counts.get_mut(text) {
            *count += rows;
        } else if self.counts.len() < MAX_TEXTS {
            self.counts.insert(text.to_owned(), rows);
        } else {
            self.is_truncated = true;
        }
    }
}

/// A running count of rows by their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FacetCounter {
    /// All rows.
    pub rows: u64,
    /// Rows by person.
    pub persons: HashMap<PersonKey, u64>,
    /// Rows by user, over all persons of the user. `None` if only persons were counted.
    pub users: Option<HashMap<i64, u64>>,
    /// Rows by content.
    pub contents: HashMap<ContentKey, ContentCount>,
    /// Rows by verb.
    pub verbs: HashMap<VerbKey, u64>,
    /// Rows by action.
    pub actions: HashMap<Action, u64>,
    /// Rows by origin.
    pub origins: HashMap<Origin, u64>,
    /// Rows by device type.
    pub device_types: TextCounts,
    /// Rows by the source of the record.
    pub sources: TextCounts,
    /// Rows by bulk import.
    pub imports: HashMap<Uuid, u64>,
    passed: u64,
    failed: u64,
    completed: u64,
    expired: u64,
    certified: u64,
    imported: u64,
}

impl FacetCounter {
    /// Counts a row. `now` decides whether it has expired.
    pub fn add(&mut self, row: &CountedActivity, now: Timestamp) {
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
    pub fn actions(&self, language: Language) -> FacetValues {
        keyed_values(&self.actions, |action| (action.key(), action.label_in(language)))
    }

    /// The facet `origin`.
    pub fn origins(&self, language: Language) -> FacetValues {
        keyed_values(&self.origins, |origin| {
            (origin.key(), language.label("origin", origin.key()))
        })
    }

    /// The facet `device_type`.
    pub fn device_types(&self) -> FacetValues {
        FacetValues::from_texts(&self.device_types)
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
    pub fn results(&self, language: Language) -> FacetValues {
        let mut values = FacetValues::default();
        for (key, count) in [("passed", self.passed), ("failed", self.failed)] {
            values.add(key, language.label("result", key), count);
        }
        values
    }

    /// The facet `completed`.
    pub fn completed(&self, language: Language) -> FacetValues {
        self.boolean_values(self.completed, language)
    }

    /// The facet `expired`.
    pub fn expired(&self, language: Language) -> FacetValues {
        self.boolean_values(self.expired, language)
    }

    /// The facet `has_certificate`.
    pub fn certified(&self, language: Language) -> FacetValues {
        self.boolean_values(self.certified, language)
    }

    /// The facet `bulk_import`.
    pub fn imported(&self, language: Language) -> FacetValues {
        self.boolean_values(self.imported, language)
    }

    fn boolean_values(&self, count: u64, language: Language) -> FacetValues {
        let mut values = FacetValues::default();
        values.add("true", language.label("answer", "yes"), count);
        values.add("false", language.label("answer", "no"), self.rows - count);
        values
    }
}

fn keyed_values<K: Copy + Eq + Hash>(
    counts: &HashMap<K, u64>,
    key_and_label: impl Fn(K) -> (&'static str, &'static str),
) -> FacetValues {
    let mut values = FacetValues::default();
    for (key, count) in counts {
        let (value, label) = key_and_label(*key);
        values.add(value, label, *count);
    }
    values
}

/// The values of a facet during counting.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FacetValues {
    values: BTreeMap<String, (String, u64)>,
    is_truncated: bool,
}

impl FacetValues {
    /// The values of texts, which have themselves as labels.
    pub fn from_texts(texts: &TextCounts) -> Self {
        let mut values = Self::default();
        for (text, count) in &texts.counts {
            values.add(text, text, *count);
        }
        values.is_truncated = texts.is_truncated;
        values
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds rows to a value. Zero rows add no value.
    pub fn add(&mut self, value: &str, label: &str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some((_, counted)) = self.values.get_mut(value) {
            *counted += count;
        } else {
            self.values.insert(value.to_owned(), (label.to_owned(), count));
        }
    }

    /// The facet of a filter that compares folded texts. Texts that [fold](fold()) to the same are one value, with the
    /// spelling that most rows have.
    pub fn into_text_facet(self, name: impl Into<String>) -> Facet {
        // The most frequent spelling and its rows, and the rows of all spellings.
        let mut merged: HashMap<String, (String, u64, u64)> = HashMap::new();
        for (text, (_, count)) in self.values {
            match merged.entry(fold(&text)) {
                Entry::Vacant(new) => {
                    new.insert((text, count, count));
                }
                Entry::Occupied(mut known) => {
                    let (spelling, most, total) = known.get_mut();
                    *total += count;
                    if count > *most {
                        (*spelling, *most) = (text, count);
                    }
                }
            }
        }
        let mut values = Self {
            is_truncated: self.is_truncated,
            ..Self::default()
        };
        for (spelling, _, total) in merged.into_values() {
            values.add(&spelling, &spelling, total);
        }
        values.into_facet(name)
    }

    /// The facet: the most frequent values first, then in the order of the values.
    pub fn into_facet(self, name: impl Into<String>) -> Facet {
        let mut values: Vec<FacetValue> = self
            .values
            .into_iter()
            .map(|(value, (label, count))| FacetValue { value, label, count })
            .collect();
        // The sort is stable, and the map is in the order of the values.
        values.sort_by_key(|value| std::cmp::Reverse(value.count));
        let truncated = self.is_truncated || values.len() > MAX_VALUES;
        values.truncate(MAX_VALUES);
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

    fn row() -> CountedActivity {
        CountedActivity {
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

    fn counts(values: FacetValues) -> Vec<(String, u64)> {
        let facet = values.into_facet("x");
        assert!(!facet.truncated);
        let pairs = facet.values.into_iter();
        pairs.map(|value| (value.value, value.count)).collect()
    }

    #[test]
    fn rows_count_for_each_of_their_values() {
        let now = Timestamp::from_micros(1_000);
        let at = |micros| Some(Timestamp::from_micros(micros));
        let mut counter = FacetCounter::default();
        let rows = [
            row(),
            CountedActivity {
                expired_at: at(999),
                ..row()
            },
            // An expiry at this moment is not past, as in the filter.
            CountedActivity {
                expired_at: at(1_000),
                certified: true,
                ..row()
            },
            CountedActivity {
                action: Action::LoggedIn,
                content: None,
                completed: false,
                success: None,
                device_type: None,
                ..row()
            },
            CountedActivity {
                source: Some("Library".to_owned()),
                success: Some(false),
                import: Some(Uuid::from_u128(7)),
                ..row()
            },
        ];
        for row in &rows {
            counter.add(row, now);
        }
        let pairs = |pairs: &[(&str, u64)]| -> Vec<(String, u64)> {
            pairs
                .iter()
                .map(|(value, count)| ((*value).to_owned(), *count))
                .collect()
        };
        assert_eq!(
            counts(counter.actions(Language::ENGLISH)),
            pairs(&[("completed", 4), ("logged_in", 1)])
        );
        assert_eq!(counts(counter.origins(Language::ENGLISH)), pairs(&[("api", 5)]));
        assert_eq!(counts(counter.device_types()), pairs(&[("api", 4)]));
        assert_eq!(
            counts(counter.completed(Language::ENGLISH)),
            pairs(&[("true", 4), ("false", 1)])
        );
        assert_eq!(
            counts(counter.expired(Language::ENGLISH)),
            pairs(&[("false", 4), ("true", 1)])
        );
        assert_eq!(
            counts(counter.certified(Language::ENGLISH)),
            pairs(&[("false", 4), ("true", 1)])
        );
        assert_eq!(
            counts(counter.results(Language::ENGLISH)),
            pairs(&[("passed", 3), ("failed", 1)])
        );
        assert_eq!(
            counts(counter.imported(Language::ENGLISH)),
            pairs(&[("false", 4), ("true", 1)])
        );
        assert_eq!(
            counts(counter.imports()),
            pairs(&[("00000000-0000-0000-0000-000000000007", 1)])
        );
        assert_eq!(
            counter.contents[&ContentKey(2)],
            ContentCount {
                rows: 4,
                without_source: 3
            }
        );
        assert_eq!(
            (
                counter.rows,
                counter.persons[&PersonKey(1)],
                counter.verbs[&VerbKey(3)]
            ),
            (5, 5, 5)
        );
    }

    #[test]
    fn values_are_ordered_by_count_and_truncated() {
        let mut values = FacetValues::default();
        for (value, count) in [("b", 1), ("a", 1), ("c", 1), ("c", 2), ("none", 0)] {
            values.add(value, value, count);
        }
        let expected = [("c", 3), ("a", 1), ("b", 1)].map(|(value, count)| (value.to_owned(), count));
        assert_eq!(counts(values), expected);

        let mut values = FacetValues::default();
        for number in 0..=MAX_VALUES {
            values.add(&format!("{number:04}"), "", 1 + u64::from(number == MAX_VALUES));
        }
        let facet = values.into_facet("user");
        assert!(facet.truncated);
        assert_eq!(facet.values.len(), MAX_VALUES);
        assert_eq!(
            facet.values[0].value, "1000",
            "the most frequent value is never dropped"
        );
        assert_eq!(facet.values.last().map(|value| &*value.value), Some("0998"));
    }

    #[test]
    fn texts_that_fold_to_the_same_are_one_value() {
        let mut values = FacetValues::default();
        for (text, count) in [
            ("Jose", 1),
            ("José", 3),
            ("Jose\u{301}", 2),
            ("Ana", 5),
            ("ana", 5),
        ] {
            values.add(text, text, count);
        }
        let facet = values.into_text_facet("tag");
        let counts: Vec<(&str, &str, u64)> = facet
            .values
            .iter()
            .map(|value| (value.value.as_str(), value.label.as_str(), value.count))
            .collect();
        assert_eq!(counts, [("Ana", "Ana", 10), ("José", "José", 6)]);
    }

    #[test]
    fn too_many_texts_are_truncated() {
        let mut texts = TextCounts::default();
        for number in 0..=MAX_TEXTS {
            texts.add(&number.to_string());
        }
        texts.add("0");
        assert_eq!((texts.counts.len(), texts.counts["0"]), (MAX_TEXTS, 2));
        assert!(FacetValues::from_texts(&texts).into_facet("source").truncated);
    }

    #[test]
    fn facet_filter_keeps_only_the_team_or_group_of_the_scope() {
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
        let base = Filter {
            include_deactivated: true,
            ..Filter::default()
        };
        for scope in [None, Some(AskedScope::Company), Some(AskedScope::Me)] {
            assert_eq!(facet_filter(&filter, scope), base);
        }
        let team = Filter {
            teams: filter.teams.clone(),
            include_sub_teams: true,
            primary_team_only: true,
            ..base.clone()
        };
        assert_eq!(facet_filter(&filter, Some(AskedScope::Team)), team);
        let group = Filter {
            groups: filter.groups.clone(),
            ..base
        };
        assert_eq!(facet_filter(&filter, Some(AskedScope::Group)), group);
    }
}
