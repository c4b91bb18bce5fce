//! The summary: the rows of the log counted in groups, by one or two dimensions (docs/specification.md#summary).
//!
//! A [`SummaryCounter`](counter::SummaryCounter) counts rows in any order by the keys of the store. [`Summary::new`] adds
//! keys and labels for clients ([`GroupNames`]) and orders the groups. [`Dimension`] has the dimensions, [`Measures`] the
//! measures, and `calendar` the days of a time zone.

pub mod calendar;
pub mod counter;

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::catalogue::{ContentFormat, LearningType};
use crate::directory::identity::AgentShape;
use crate::record::Identifier;
use crate::texts::Language;

use super::action::Action;
use super::filter::{ParameterFault, ResultFilter};
use super::projection::Percent;
use super::row::PersonDetails;
use counter::{CountedGroups, NO_VALUE};

/// The most groups of a summary.
pub const MOST_GROUPS: usize = 10_000;

/// The most dimensions of a summary.
pub const MOST_DIMENSIONS: usize = 2;

/// A dimension of a summary: a value of the parameter `by`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema, strum::IntoStaticStr, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = SummaryDimension)]
pub enum Dimension {
    /// The action.
    Action,
    /// The day in the time zone of the query.
    Day,
    /// The week, which begins on Monday.
    Week,
    /// The month.
    Month,
    /// The user.
    User,
    /// The current teams of the user. A row counts in each of them.
    Team,
    /// The content.
    Content,
    /// The type of the content.
    Type,
    /// The content type of the content.
    ContentType,
    /// Passed, failed or unknown.
    Result,
}

impl Dimension {
    /// All dimensions, in the order of the specification.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The value of the parameter, and the name of the member in a group's key.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// Whether the dimension is a time. Groups are then ordered by time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Week | Self::Month)
    }

    /// Parses the values of the parameter `by`, which are repeated or separated by commas.
    ///
    /// # Errors
    ///
    /// No value, an unknown value, a repeated value, or more than [`MOST_DIMENSIONS`] values.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ParameterFault> {
        let fault = |detail: String| ParameterFault {
            parameter: "by".to_owned(),
            detail,
        };
        let all = || {
            let keys: Vec<&str> = Self::ALL.iter().map(|dimension| dimension.key()).collect();
            keys.join("`, `")
        };
        let mut dimensions = Vec::new();
        for value in values.into_iter().flat_map(|value| value.split(',')) {
            let dimension = Self::ALL.iter().copied().find(|one| one.key() == value);
            match dimension {
                Some(dimension) if dimensions.contains(&dimension) => {
                    return Err(fault(format!("has the value `{value}` twice")));
                }
                Some(dimension) => dimensions.push(dimension),
                None => return Err(fault(format!("is one or two of `{}`", all()))),
            }
        }
        match dimensions.len() {
            0 => Err(fault(format!("is missing: give one or two of `{}`", all()))),
            1..=MOST_DIMENSIONS => Ok(dimensions),
            _ => Err(fault(format!("has at most {MOST_DIMENSIONS} values"))),
        }
    }
}

/// The log counted in groups.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "groups": [{
        "key": {"team": "sales", "month": "2026-03"}, "label": {"team": "Sales", "month": "March 2026"},
        "rows": 41, "persons": 12, "completions": 18, "passed": 15, "failed": 3, "average_score": 81.25,
        "total_seconds": 18340
    }],
    "total": {
        "rows": 41, "persons": 12, "completions": 18, "passed": 15, "failed": 3, "average_score": 81.25,
        "total_seconds": 18340
    },
    "truncated": false
}))]
pub struct Summary {
    /// The groups: by time if a dimension is one, then by `rows` descending, then by key with null last.
    pub groups: Vec<SummaryGroup>,
    /// The measures of all rows, each counted once.
    pub total: Measures,
    /// Whether groups are missing: only the 10,000 with the most rows are shown.
    pub truncated: bool,
}

/// A group of a summary.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SummaryGroup {
    /// The common values of its rows, as in parameters and activities.
    pub key: SummaryKey,
    /// The same values as text for people.
    pub label: SummaryLabel,
    /// The measures of its rows.
    #[serde(flatten)]
    pub measures: Measures,
}

/// The measures of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SummaryMeasures)]
pub struct Measures {
    /// The number of activities.
    #[schema(example = 41)]
    pub rows: u64,
    /// The number of different persons.
    #[schema(example = 12)]
    pub persons: u64,
    /// The number of completions; equal person, content and registration count once.
    #[schema(example = 18)]
    pub completions: u64,
    /// The number of activities with success.
    #[schema(example = 15)]
    pub passed: u64,
    /// The number of activities with success known and false.
    #[schema(example = 3)]
    pub failed: u64,
    /// The mean percentage of attempts with a score, to two decimals; null if none has a score. Of the activities with
    /// equal person, content and registration, the last score counts. An activity without a registration is an attempt.
    #[schema(required, value_type = Option<f64>, example = 81.25)]
    pub average_score: Option<Percent>,
    /// The sum of the times of sessions in seconds. Of the activities with equal person, content, registration and cmi5
    /// session, the longest time counts. An activity without a registration is a session.
    #[schema(example = 18340)]
    pub total_seconds: i64,
}

/// The key of a group: one member for each dimension of the request; null if the rows have no value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryKey {
    /// The key of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Action>, nullable = false)]
    pub action: Option<Option<String>>,
    /// The date of the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false, example = "2026-03-18")]
    pub day: Option<Option<String>>,
    /// The date of the Monday.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false, example = "2026-03-16")]
    pub week: Option<Option<String>>,
    /// Year and month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "2026-03")]
    pub month: Option<Option<String>>,
    /// The id of the user; null for a person that no user claims. Each such person has a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ada")]
    pub user: Option<Option<String>>,
    /// The identifier of a person that no user claims, as an xAPI agent. Only beside a `user` that is null, and not for a
    /// group without an identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AgentShape>, nullable = false)]
    pub identifier: Option<Identifier>,
    /// The id of the team; null for users without a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "sales")]
    pub team: Option<Option<String>>,
    /// The id of the content; null for activities without content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "fire-safety")]
    pub content: Option<Option<String>>,
    /// The type of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LearningType>)]
    pub r#type: Option<Option<String>>,
    /// The content type of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ContentFormat>)]
    pub content_type: Option<Option<String>>,
    /// `passed` or `failed`; null if the result is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "passed")]
    pub result: Option<Option<String>>,
}

/// The key of a group as text for people: one member for each dimension of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryLabel {
    /// The label of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Completed")]
    pub action: Option<String>,
    /// The date in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "18 March 2026")]
    pub day: Option<String>,
    /// The week in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Week of 16 March 2026")]
    pub week: Option<String>,
    /// The month in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "March 2026")]
    pub month: Option<String>,
    /// The full name of the user, else the id. For a person that no user claims: the name, as in activities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ada Obi")]
    pub user: Option<String>,
    /// The name of the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Sales")]
    pub team: Option<String>,
    /// The title of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Fire Safety")]
    pub content: Option<String>,
    /// The label of the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Quiz")]
    pub r#type: Option<String>,
    /// The label of the content type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Video")]
    pub content_type: Option<String>,
    /// The label of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Passed")]
    pub result: Option<String>,
}

/// The key of a value for clients, and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAndLabel {
    /// The key; `None` if the rows have no value.
    pub key: Option<String>,
    /// The label for people.
    pub label: String,
    /// The identifier of a person that no user claims.
    pub identifier: Option<Identifier>,
}

impl KeyAndLabel {
    /// A value with a key.
    pub fn new(key: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            label: label.into(),
            identifier: None,
        }
    }

    fn without_key(label: &str) -> Self {
        Self {
            key: None,
            label: label.to_owned(),
            identifier: None,
        }
    }

    /// A person that no user claims.
    pub fn unclaimed(person: &PersonDetails) -> Self {
        Self {
            key: None,
            label: person.display_name(),
            identifier: person.unclaimed_identifier().cloned(),
        }
    }
}

/// Keys and labels of users, teams and contents, by the keys of the store. [`CountedGroups::keys`] has the required ones.
#[derive(Debug, Clone, Default)]
pub struct GroupNames {
    /// Id and full name of users, and the names of persons that no user claims.
    pub users: HashMap<i64, KeyAndLabel>,
    /// Id and name of teams.
    pub teams: HashMap<i64, KeyAndLabel>,
    /// Id and title of contents.
    pub contents: HashMap<i64, KeyAndLabel>,
    /// The language of the labels.
    pub language: Language,
}

impl GroupNames {
    /// Key and label of a value; `None` if they are missing.
    fn find(&self, dimension: Dimension, value: i64) -> Option<KeyAndLabel> {
        let is_absent = value == NO_VALUE;
        let language = self.language;
        let none = |what: &str| KeyAndLabel::without_key(language.label("none", what));
        let code = i16::try_from(value).ok();
        Some(match dimension {
            Dimension::Action => {
                let action = Action::from_code(code?)?;
                KeyAndLabel::new(action.key(), action.label_in(language))
            }
            Dimension::Day | Dimension::Week | Dimension::Month => {
                calendar::key_and_label(dimension, value, language)?
            }
            Dimension::User => self.users.get(&value)?.clone(),
            Dimension::Team if is_absent => none("team"),
            Dimension::Team => self.teams.get(&value)?.clone(),
            Dimension::Content if is_absent => none("content"),
            Dimension::Content => self.contents.get(&value)?.clone(),
            Dimension::Type | Dimension::ContentType if is_absent => none("type"),
            Dimension::Type => {
                let kind = LearningType::from_code(code?)?;
                KeyAndLabel::new(kind.key(), kind.label_in(language))
            }
            Dimension::ContentType => {
                let kind = ContentFormat::from_code(code?)?;
                KeyAndLabel::new(kind.key(), kind.label_in(language))
            }
            Dimension::Result if is_absent => none("result"),
            Dimension::Result => {
                let result = match value {
                    counter::PASSED => ResultFilter::Passed,
                    _ => ResultFilter::Failed,
                };
                KeyAndLabel::new(result.key(), language.label("result", result.key()))
            }
        })
    }
}

impl SummaryGroup {
    fn new(named: impl IntoIterator<Item = (Dimension, KeyAndLabel)>, measures: Measures) -> Self {
        let (mut key, mut label) = (SummaryKey::default(), SummaryLabel::default());
        let mut identifier = None;
        for (dimension, named) in named {
            let (target_key, target_label) = match dimension {
                Dimension::Action => (&mut key.action, &mut label.action),
                Dimension::Day => (&mut key.day, &mut label.day),
                Dimension::Week => (&mut key.week, &mut label.week),
                Dimension::Month => (&mut key.month, &mut label.month),
                Dimension::User => (&mut key.user, &mut label.user),
                Dimension::Team => (&mut key.team, &mut label.team),
                Dimension::Content => (&mut key.content, &mut label.content),
                Dimension::Type => (&mut key.r#type, &mut label.r#type),
                Dimension::ContentType => (&mut key.content_type, &mut label.content_type),
                Dimension::Result => (&mut key.result, &mut label.result),
            };
            *target_key = Some(named.key);
            *target_label = Some(named.label);
            identifier = identifier.or(named.identifier);
        }
        key.identifier = identifier;
        Self { key, label, measures }
    }
}

impl Summary {
    /// The summary of the counted groups; `None` if a name is missing.
    pub fn new(counted: CountedGroups, names: &GroupNames) -> Option<Self> {
        let dimensions = counted.dimensions();
        let mut groups = Vec::with_capacity(counted.groups.len());
        for (values, measures) in counted.groups {
            let mut named = Vec::with_capacity(dimensions.len());
            for (dimension, value) in dimensions.iter().zip(values) {
                named.push((*dimension, names.find(*dimension, value)?));
            }
            let times: Vec<i64> = dimensions
                .iter()
                .zip(values)
                .filter(|(dimension, _)| dimension.is_time())
                .map(|(_, value)| value)
                .collect();
            // Persons without a user have no key. They are ordered by their names, and persons of one name by the order in
            // which they were first recorded.
            let keys: Vec<(bool, Option<String>, Option<String>, i64)> = named
                .iter()
                .zip(values)
                .map(|((_, named), value)| match &named.key {
                    Some(key) => (false, Some(key.clone()), None, 0),
                    None => (true, None, Some(named.label.clone()), value),
                })
                .collect();
            let order = (times, Reverse(measures.rows), keys);
            groups.push((order, SummaryGroup::new(named, measures)));
        }
        groups.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Some(Self {
            groups: groups.into_iter().map(|(_, group)| group).collect(),
            total: counted.total,
            truncated: counted.truncated,
        })
    }
}

#[cfg(test)]
mod tests;
