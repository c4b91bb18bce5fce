//! Compares summaries with the model: counts the expected rows with loops.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Days, NaiveDate};
use serde_json::{Value, json};

use super::answers::{self, Expected};
use super::derivation::Row;
use super::question::{Filter, Question};
use super::tenant::bodies::agent;
use super::world::Micros;
use super::{CheckResult, Comparison, check, describe};
use crate::support::http::{Caller, query};
use crate::support::random::Random;

const DIMENSIONS: &[&str] =
    &["action", "day", "week", "month", "user", "team", "content", "type", "content_type", "result"];
const TIMES: &[&str] = &["day", "week", "month"];

/// The values of a group, one for each dimension.
type Key = Vec<GroupValue>;

/// A value of a dimension. The order is that of groups with equally many rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum GroupValue {
    Key(String),
    /// A person that no user claims: the name and the agent.
    Unclaimed(String, String),
    Absent,
}

impl From<Option<String>> for GroupValue {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Absent, Self::Key)
    }
}

impl GroupValue {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Unclaimed(..) | Self::Absent => None,
        }
    }
}

/// The dimensions of a summary.
struct Dimensions {
    by: Vec<&'static str>,
    /// Sends `primary_team_only` without a team. It still decides in which team a row counts.
    primary_alone: bool,
}

impl Comparison<'_> {
    /// Compares the summary of the request by one or two dimensions: groups, order, measures and total.
    pub(super) async fn compare_summary(
        &self,
        caller: &Caller,
        question: &Question,
        random: &mut Random,
    ) -> CheckResult {
        if question.person.is_some() {
            return Ok(()); // the log of one person has no summary
        }
        let names_teams = question.filters.iter().any(|filter| matches!(filter, Filter::Team { .. }));
        let by = random.some(DIMENSIONS, 2);
        // Without a team, the flag has an effect by team only.
        let primary_alone = !names_teams && by.contains(&"team") && random.percent(40);
        let dimensions = Dimensions { by, primary_alone };
        let mut pairs = question.pairs();
        pairs.retain(|(name, _)| name != "sort");
        if dimensions.primary_alone {
            pairs.push(("primary_team_only".to_owned(), "true".to_owned()));
        }
        match question.commas {
            true => pairs.push(("by".to_owned(), dimensions.by.join(","))),
            false => pairs.extend(dimensions.by.iter().map(|by| ("by".to_owned(), (*by).to_owned()))),
        }
        let path = format!("/v1/activities/summary{}", query(&pairs));
        let answer = caller.get(&path).await;
        let rows = match answers::expected_answer(&self.tenant.facts, question, self.now) {
            Expected::Refused(status) => {
                return check(answer.status == status, || {
                    format!("{path}: the status must be {status}, not {}", describe(&answer))
                });
            }
            Expected::Rows(rows) => rows,
        };
        check(answer.status == 200, || format!("{path}: the status must be 200, not {}", describe(&answer)))?;
        self.compare_groups(question, &dimensions, &rows, &answer.json())
            .map_err(|difference| format!("{path}\n{difference}"))
    }

    fn compare_groups(
        &self,
        question: &Question,
        dimensions: &Dimensions,
        rows: &[Row<'_>],
        found: &Value,
    ) -> CheckResult {
        let mut groups: BTreeMap<Key, Vec<&Row<'_>>> = BTreeMap::new();
        for row in rows {
            for key in self.group_keys(question, dimensions, row) {
                groups.entry(key).or_default().push(row);
            }
        }
        let mut groups: Vec<(Key, Vec<&Row<'_>>)> = groups.into_iter().collect();
        groups.sort_by_key(|(key, rows)| {
            let times: Vec<GroupValue> = key
                .iter()
                .zip(&dimensions.by)
                .filter(|(_, by)| TIMES.contains(*by))
                .map(|(value, _)| value.clone())
                .collect();
            (times, Reverse(rows.len()), key.clone())
        });
        let found_groups = found["groups"].as_array().cloned().unwrap_or_default();
        check(found_groups.len() == groups.len() && found["truncated"] == json!(false), || {
            let expected_groups: Vec<&Key> = groups.iter().map(|(key, _)| key).collect();
            format!("{} groups, not {}: {expected_groups:?}\n{found}", found_groups.len(), groups.len())
        })?;
        for ((key, rows), group) in groups.iter().zip(&found_groups) {
            let members = dimensions.by.iter().zip(key);
            let mut expected: Value =
                members.map(|(by, value)| ((*by).to_owned(), json!(value.key()))).collect();
            for value in key {
                if let GroupValue::Unclaimed(_, agent) = value {
                    expected["identifier"] = serde_json::from_str(agent).expect("an agent is JSON");
                }
            }
            check(group["key"] == expected, || format!("the group {expected} must not be\n{group}"))?;
            compare_measures(rows, group)?;
            for (by, value) in dimensions.by.iter().zip(key) {
                let label = group["label"][*by].as_str().unwrap_or_default();
                let expected = self.expected_label(by, value);
                check(expected.as_ref().map_or(!label.is_empty(), |expected| expected == label), || {
                    format!("the label must be {expected:?}, not {label:?}, in\n{group}")
                })?;
            }
        }
        compare_measures(&rows.iter().collect::<Vec<_>>(), &found["total"])
    }

    /// The groups of a row: several if the person is in several teams.
    fn group_keys(&self, question: &Question, dimensions: &Dimensions, row: &Row<'_>) -> Vec<Key> {
        let mut keys: Vec<Key> = vec![Vec::new()];
        for by in &dimensions.by {
            let values = self.group_values(question, dimensions, row, by);
            let longer = |key: &Key| -> Vec<Key> {
                values.iter().map(|value| [key.clone(), vec![value.clone()]].concat()).collect()
            };
            keys = keys.iter().flat_map(longer).collect();
        }
        keys
    }

    fn group_values(
        &self,
        question: &Question,
        dimensions: &Dimensions,
        row: &Row<'_>,
        by: &str,
    ) -> Vec<GroupValue> {
        let happened_at =
            DateTime::from_timestamp_micros(row.record.happened_at).expect("the model's times are in range");
        let day = happened_at.with_timezone(&question.tz(&self.tenant.facts)).date_naive();
        let some = |value: &str| Some(value.to_owned());
        let value = match by {
            "action" => some(row.action),
            "day" => Some(day.to_string()),
            "week" => Some(monday_of(day).to_string()),
            "month" => Some(format!("{:04}-{:02}", day.year(), day.month())),
            "user" if row.user.is_none() => {
                let agent = agent(&row.record.actor).to_string();
                return vec![GroupValue::Unclaimed(row.person_name(), agent)];
            }
            "user" => row.user.map(|user| user.id.clone()),
            "team" => return self.team_values(question, dimensions, row),
            "content" => row.content.map(|content| content.id.clone()),
            "type" => row.content.and_then(|content| content.kind.clone()),
            "content_type" => row.content.and_then(|content| content.content_type.clone()),
            "result" => row.success.and_then(|success| some(if success { "passed" } else { "failed" })),
            other => unreachable!("{other} is not a dimension"),
        };
        vec![value.into()]
    }

    fn team_values(&self, question: &Question, dimensions: &Dimensions, row: &Row<'_>) -> Vec<GroupValue> {
        let facts = &self.tenant.facts;
        let mut primary_only = dimensions.primary_alone;
        let mut wanted: Option<Vec<String>> = None;
        for filter in &question.filters {
            if let Filter::Team { teams, include_sub_teams, primary_team_only } = filter {
                primary_only |= *primary_team_only;
                wanted =
                    Some(teams.iter().flat_map(|team| facts.teams_under(team, *include_sub_teams)).collect());
            }
        }
        let mut teams: Vec<String> = match row.user {
            Some(user) if primary_only => user.primary_team.iter().cloned().collect(),
            Some(user) => user.teams.clone(),
            None => Vec::new(),
        };
        teams.retain(|team| wanted.as_ref().is_none_or(|wanted| wanted.contains(team)));
        match teams.is_empty() {
            true => vec![GroupValue::Absent],
            false => teams.into_iter().map(GroupValue::Key).collect(),
        }
    }

    /// The label of a value, if the model knows it.
    fn expected_label(&self, by: &str, value: &GroupValue) -> Option<String> {
        let facts = &self.tenant.facts;
        if let GroupValue::Unclaimed(name, _) = value {
            return Some(name.clone());
        }
        match (by, value.key()) {
            ("team", None) => Some("No team".to_owned()),
            ("content", None) => Some("No content".to_owned()),
            ("result", None) => Some("No result".to_owned()),
            ("type" | "content_type", None) => Some("None".to_owned()),
            ("user", Some(id)) => {
                facts.user(id).map(|user| format!("{} {}", user.first_name, user.last_name))
            }
            ("team", Some(id)) => Some(format!("Team {id}")),
            ("content", Some(id)) => facts.contents.iter().find(|content| content.id == id).map(|content| {
                let title = content.title.as_ref().unwrap_or(&content.id);
                format!("{title}{}", if content.archived { " (Archived)" } else { "" })
            }),
            _ => None,
        }
    }
}

fn monday_of(day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.weekday().num_days_from_monday()))
}

/// The user of a row, or else the actor.
fn person_key(row: &Row<'_>) -> String {
    match row.user {
        Some(user) => format!("user {}", user.id),
        None => format!("{:?}", row.record.actor),
    }
}

fn compare_measures(rows: &[&Row<'_>], found: &Value) -> CheckResult {
    let distinct = |values: Vec<String>| values.into_iter().collect::<BTreeSet<_>>().len();
    let attempt_key = |row: &Row<'_>| {
        let content = row.content.map(|content| &content.iri);
        format!("{} {content:?} {:?}", person_key(row), row.record.registration)
    };
    let completions = rows.iter().filter(|row| row.completed).map(|row| attempt_key(row));
    let measures = [
        ("rows", rows.len()),
        ("persons", distinct(rows.iter().map(|row| person_key(row)).collect())),
        ("completions", distinct(completions.collect())),
        ("passed", rows.iter().filter(|row| row.success == Some(true)).count()),
        ("failed", rows.iter().filter(|row| row.success == Some(false)).count()),
    ];
    for (measure, expected_groups) in measures {
        check(found[measure] == json!(expected_groups), || {
            format!("{measure} is {}, not {expected_groups}, in\n{found}", found[measure])
        })?;
    }
    // The longest time of each session. A record without a registration is a session.
    let mut sessions: BTreeMap<String, i64> = BTreeMap::new();
    // The last score of each attempt. A record without a registration is an attempt.
    let mut scores: BTreeMap<String, ((Micros, usize), i64)> = BTreeMap::new();
    let mut part_scores: Vec<i64> = Vec::new();
    for row in rows {
        let key = match row.record.registration {
            Some(_) => attempt_key(row),
            None => row.id().to_string(),
        };
        if let Some(seconds) = row.record.seconds {
            let longest = sessions.entry(format!("{key} {:?}", row.record.session)).or_default();
            *longest = seconds.max(*longest);
        }
        if let Some(percent) = row.shown_percent() {
            let at = (row.record.happened_at, row.position);
            let hundredths = (percent * 100.0).round() as i64;
            if row.record.is_about_part() {
                part_scores.push(hundredths);
                continue;
            }
            let last = scores.entry(key).or_insert((at, hundredths));
            *last = (at, hundredths).max(*last);
        }
    }
    let seconds: i64 = sessions.values().sum();
    check(found["total_seconds"] == json!(seconds), || {
        format!("total_seconds should be {seconds} in\n{found}")
    })?;

    // The mean of hundredths of percents is rounded half away from zero.
    // The scores of parts count only where no attempt has a score.
    let scores: Vec<i64> = match scores.is_empty() {
        true => part_scores,
        false => scores.into_values().map(|(_, hundredths)| hundredths).collect(),
    };
    let count = scores.len() as i64;
    let sum: i64 = scores.iter().sum();
    let mean = (count > 0).then(|| (2 * sum + sum.signum() * count) / (2 * count));
    let average = found["average_score"].as_f64();
    let same = match (mean, average) {
        (None, None) => found["average_score"].is_null(),
        (Some(mean), Some(average)) => (mean as f64 / 100.0 - average).abs() < 0.000_001,
        _ => false,
    };
    check(same, || format!("average_score should be {mean:?} hundredths in\n{found}"))
}
