//! The summary: the rows of the log counted in groups, by one or two dimensions (product text, sections 3, 7
//! and 13).
//!
//! A [`Fold`](fold::Fold) takes the rows one by one, in any order, and counts them under the storage's own keys;
//! what it gives is named ([`Names`]) and put in order here. It is a rule without a database: the same rows always
//! give the same [`Summary`], on whatever they are kept.
//!
//! Start at [`Dimension`] for what rows can be counted by, at [`Measures`] for what is counted. `fold` does the
//! counting; `calendar` knows on which day of a time zone something happened.

pub mod calendar;
pub mod fold;

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::catalogue::{ContentFormat, LearningType};

use super::action::Action;
use super::filter::{ParameterFault, ResultFilter};
use super::projection::Percent;
use fold::{ABSENT, Folded};

/// The most groups that a summary shows (product text, section 13).
pub const MOST_GROUPS: usize = 10_000;

/// The most dimensions that one summary counts by.
pub const MOST_DIMENSIONS: usize = 2;

/// What rows are counted by: a value of the parameter `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SummaryDimension)]
pub enum Dimension {
    /// What somebody did.
    Action,
    /// The day on which it happened, in the question's time zone.
    Day,
    /// Its week, which begins on Monday.
    Week,
    /// Its month.
    Month,
    /// Whom it is about.
    User,
    /// The teams of whom it is about, as they are now: a row counts in each of them.
    Team,
    /// What was learned.
    Content,
    /// The type of what was learned.
    Type,
    /// The content type of what was learned.
    ContentType,
    /// Passed, failed, or neither.
    Result,
}

impl Dimension {
    /// All of them, in the order of the product text.
    pub const ALL: &'static [Self] = &[
        Self::Action,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::User,
        Self::Team,
        Self::Content,
        Self::Type,
        Self::ContentType,
        Self::Result,
    ];

    /// The value of the parameter, and the member of a group's key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::User => "user",
            Self::Team => "team",
            Self::Content => "content",
            Self::Type => "type",
            Self::ContentType => "content_type",
            Self::Result => "result",
        }
    }

    /// Whether it is a stretch of time: groups are then in the order of time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Week | Self::Month)
    }

    /// Reads the values of the parameter `by`, repeated or separated by commas, in the order asked for.
    ///
    /// # Errors
    /// Where there is none, an unknown one, one twice, or more than [`MOST_DIMENSIONS`].
    pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, ParameterFault> {
        let fault = |detail: String| ParameterFault {
            parameter: "by".to_owned(),
            detail,
        };
        let all = || {
            let keys: Vec<&str> = Self::ALL.iter().map(|dimension| dimension.key()).collect();
            keys.join("`, `")
        };
        let mut asked = Vec::new();
        for value in values.into_iter().flat_map(|value| value.split(',')) {
            let dimension = Self::ALL.iter().copied().find(|one| one.key() == value);
            match dimension {
                Some(dimension) if asked.contains(&dimension) => {
                    return Err(fault(format!("names `{value}` twice; once is enough")));
                }
                Some(dimension) => asked.push(dimension),
                None => return Err(fault(format!("is one or two of `{}`", all()))),
            }
        }
        match asked.len() {
            0 => Err(fault(format!("is missing: say one or two of `{}`", all()))),
            1..=MOST_DIMENSIONS => Ok(asked),
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
    /// By time, where a dimension is one; then those with the most rows first; then by key, null last.
    pub groups: Vec<SummaryGroup>,
    /// Each row once, whatever groups there are.
    pub total: Measures,
    /// Whether there are more groups than the 10,000 with the most rows, which are shown.
    pub truncated: bool,
}

/// One group: what its rows have in common, and what they come to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SummaryGroup {
    /// What they have in common, as the log's parameters and rows have it.
    pub key: SummaryKey,
    /// The same in words.
    pub label: SummaryLabel,
    /// What they come to.
    #[serde(flatten)]
    pub measures: Measures,
}

/// What rows come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SummaryMeasures)]
pub struct Measures {
    /// How many there are.
    #[schema(example = 41)]
    pub rows: u64,
    /// How many different people they are about.
    #[schema(example = 12)]
    pub persons: u64,
    /// How many completions: a person, content and registration once.
    #[schema(example = 18)]
    pub completions: u64,
    /// Rows with success.
    #[schema(example = 15)]
    pub passed: u64,
    /// Rows with success known and false.
    #[schema(example = 3)]
    pub failed: u64,
    /// The mean percentage of those that have a score, to two decimals; null where none has.
    #[schema(required, value_type = Option<f64>, example = 81.25)]
    pub average_score: Option<Percent>,
    /// All the time that they took together.
    #[schema(example = 18340)]
    pub total_seconds: i64,
}

/// What the rows of a group have in common: one member for each dimension asked for, null where they have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryKey {
    /// The action's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Action>, nullable = false)]
    pub action: Option<Option<String>>,
    /// The date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false, example = "2026-03-18")]
    pub day: Option<Option<String>>,
    /// The date of its Monday.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false, example = "2026-03-16")]
    pub week: Option<Option<String>>,
    /// Year and month.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "2026-03")]
    pub month: Option<Option<String>>,
    /// The user's id; null: persons whom no user claims, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "ada")]
    pub user: Option<Option<String>>,
    /// The team's id; null: people in no team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "sales")]
    pub team: Option<Option<String>>,
    /// The content's id; null: logins and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "fire-safety")]
    pub content: Option<Option<String>>,
    /// The content's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LearningType>)]
    pub r#type: Option<Option<String>>,
    /// The content's content type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ContentFormat>)]
    pub content_type: Option<Option<String>>,
    /// `passed` or `failed`; null: no result is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "passed")]
    pub result: Option<Option<String>>,
}

/// A group's key in words: one member for each dimension asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryLabel {
    /// The action's label.
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
    /// The user's full name, else the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ada Obi")]
    pub user: Option<String>,
    /// The team's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Sales")]
    pub team: Option<String>,
    /// The content's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Fire Safety")]
    pub content: Option<String>,
    /// The type's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Quiz")]
    pub r#type: Option<String>,
    /// The content type's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Video")]
    pub content_type: Option<String>,
    /// The result in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Passed")]
    pub result: Option<String>,
}

/// What something is called: its key outside, and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The key; `None` where rows have none of it.
    pub key: Option<String>,
    /// What people read.
    pub label: String,
}

impl Named {
    /// Something with a key.
    pub fn new(key: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            label: label.into(),
        }
    }

    fn nothing(label: &str) -> Self {
        Self {
            key: None,
            label: label.to_owned(),
        }
    }
}

/// What the storage's keys are called: of users, teams and contents, as far as [`Folded::keys`] asks for them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Users: id and full name.
    pub users: HashMap<i64, Named>,
    /// Teams: id and name.
    pub teams: HashMap<i64, Named>,
    /// Contents: id and title.
    pub contents: HashMap<i64, Named>,
}

impl Names {
    /// What a value of the dimension is called; `None` where it should be known and isn't.
    fn of(&self, dimension: Dimension, value: i64) -> Option<Named> {
        let absent = value == ABSENT;
        let code = i16::try_from(value).ok();
        Some(match dimension {
            Dimension::Action => {
                let action = Action::from_code(code?)?;
                Named::new(action.key(), action.label())
            }
            Dimension::Day | Dimension::Week | Dimension::Month => calendar::named(dimension, value)?,
            Dimension::User if absent => Named::nothing("Not in the directory"),
            Dimension::User => self.users.get(&value)?.clone(),
            Dimension::Team if absent => Named::nothing("No team"),
            Dimension::Team => self.teams.get(&value)?.clone(),
            Dimension::Content if absent => Named::nothing("No content"),
            Dimension::Content => self.contents.get(&value)?.clone(),
            Dimension::Type | Dimension::ContentType if absent => Named::nothing("None"),
            Dimension::Type => {
                let kind = LearningType::from_code(code?)?;
                Named::new(kind.key(), kind.label())
            }
            Dimension::ContentType => {
                let kind = ContentFormat::from_code(code?)?;
                Named::new(kind.key(), kind.label())
            }
            Dimension::Result if absent => Named::nothing("No result"),
            Dimension::Result if value == fold::PASSED => Named::new(ResultFilter::Passed.key(), "Passed"),
            Dimension::Result => Named::new(ResultFilter::Failed.key(), "Failed"),
        })
    }
}

impl SummaryGroup {
    fn new(named: impl IntoIterator<Item = (Dimension, Named)>, measures: Measures) -> Self {
        let (mut key, mut label) = (SummaryKey::default(), SummaryLabel::default());
        for (dimension, named) in named {
            let (key, label) = match dimension {
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
            *key = Some(named.key);
            *label = Some(named.label);
        }
        Self { key, label, measures }
    }
}

impl Summary {
    /// Names what was counted and puts it in order; `None` where a name is missing.
    pub fn new(folded: Folded, names: &Names) -> Option<Self> {
        let dimensions = folded.dimensions();
        let mut groups = Vec::with_capacity(folded.groups.len());
        for (values, measures) in folded.groups {
            let mut named = Vec::with_capacity(dimensions.len());
            for (dimension, value) in dimensions.iter().zip(values) {
                named.push((*dimension, names.of(*dimension, value)?));
            }
            let times: Vec<i64> = dimensions
                .iter()
                .zip(values)
                .filter(|(dimension, _)| dimension.is_time())
                .map(|(_, value)| value)
                .collect();
            let keys: Vec<(bool, Option<String>)> = named
                .iter()
                .map(|(_, named)| (named.key.is_none(), named.key.clone()))
                .collect();
            let place = (times, Reverse(measures.rows), keys);
            groups.push((place, SummaryGroup::new(named, measures)));
        }
        groups.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Some(Self {
            groups: groups.into_iter().map(|(_, group)| group).collect(),
            total: folded.total,
            truncated: folded.truncated,
        })
    }
}

#[cfg(test)]
mod tests;
