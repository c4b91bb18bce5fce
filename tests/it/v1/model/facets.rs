//! Compares facets with the model: counts the rows of the scope under every value that they have.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answers::{self, Expected};
use super::derivation::Row;
use super::filters::{FLAG_FILTERS, VALUE_FILTERS};
use super::question::{Filter, Question, Scope};
use super::text::is_same_text;
use super::{CheckResult, Comparison, check, describe};
use crate::support::http::{Caller, query};
use crate::v1::facets::NAMES;

impl Comparison<'_> {
    /// Compares the facets for a caller. Only the filters that select people apply to facets.
    pub(super) async fn compare_facets(&self, caller: &Caller, question: &Question) -> CheckResult {
        if question.person.is_some() {
            return Ok(()); // the log of one person has no facets
        }
        let mut pairs = question.pairs();
        pairs.retain(|(name, _)| name != "sort");
        let path = format!("/v1/facets{}", query(&pairs));
        let answer = caller.get(&path).await;
        let mut population = question.clone();
        population.filters.retain(|filter| match filter {
            Filter::Team { .. } => question.scope == Some(Scope::Team),
            Filter::Values(filter, _) => filter.name == "group" && question.scope == Some(Scope::Group),
            Filter::IncludeDeactivated(_) => true,
            _ => false,
        });
        let rows = match answers::expected_answer(&self.tenant.facts, &population, self.now) {
            Expected::Refused(status) => {
                return check(answer.status == status, || {
                    format!("{path}: the status must be {status}, not {}", describe(&answer))
                });
            }
            Expected::Rows(rows) => rows,
        };
        check(answer.status == 200, || format!("{path}: the status must be 200, not {}", describe(&answer)))?;
        let found = answer.json();
        let expected = self.expected_facets(&rows);
        let mut facets = found["facets"].as_array().cloned().unwrap_or_default();
        for (expected_facet, found_facet) in expected.iter().zip(&mut facets) {
            if expected_facet["name"] == "verb" {
                // The model does not know which display of a verb is the latest.
                let values = found_facet["values"].as_array_mut();
                values.into_iter().flatten().for_each(|value| value["label"] = json!(""));
            }
            let found_facet = &*found_facet;
            check(expected_facet == found_facet, || {
                format!("{path}\nexpected facet:\n{expected_facet:#}\nfound:\n{found_facet:#}")
            })?;
        }
        check(expected.len() == facets.len(), || {
            format!("{path}\nexpected {} facets, found {}", expected.len(), facets.len())
        })
    }

    fn expected_facets(&self, rows: &[Row<'_>]) -> Vec<Value> {
        let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for row in rows {
            for (name, value) in self.values_of(row) {
                *counts.entry(name).or_default().entry(value).or_default() += 1;
            }
        }
        let fields: Vec<String> = counts.keys().filter(|name| name.starts_with("custom[")).cloned().collect();
        let names = NAMES.iter().map(|name| (*name).to_owned()).chain(fields);
        names
            .map(|name| {
                let found = counts.remove(&name).unwrap_or_default();
                let mut values: Vec<(String, u64)> = found.into_iter().collect();
                if has_texts(&name) {
                    values = merge_spellings(values);
                }
                values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
                let values: Vec<Value> = values
                    .into_iter()
                    .map(|(value, count)| json!({"label": self.facet_label(&name, &value), "value": value, "count": count}))
                    .collect();
                json!({"name": name, "values": values, "truncated": false})
            })
            .collect()
    }

    /// Every filter and value that finds the activity.
    fn values_of(&self, row: &Row<'_>) -> Vec<(String, String)> {
        let mut values: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: &str| values.push((name.to_owned(), value.to_owned()));
        for filter in VALUE_FILTERS {
            let mut values: Vec<&str> = Vec::new();
            for value in (filter.values)(row) {
                // A row counts once for texts that are the same.
                if !filter.has_texts || !values.iter().any(|other| is_same_text(other, value)) {
                    values.push(value);
                }
            }
            values.into_iter().for_each(|value| add(filter.name, value));
        }
        for filter in FLAG_FILTERS {
            add(filter.name, &(filter.holds)(row, self.now).to_string());
        }
        if let Some(user) = row.user {
            user.teams.iter().for_each(|team| add("team", team));
            user.custom.iter().for_each(|(field, value)| add(&format!("custom[{field}]"), value));
        }
        values
    }

    /// The label of a value. Labels of closed lists are derived from the key.
    fn facet_label(&self, name: &str, value: &str) -> String {
        let facts = &self.tenant.facts;
        match name {
            "user" => facts.user(value).map_or_else(String::new, |user| {
                let name = [user.first_name.as_str(), user.last_name.as_str()];
                let name: Vec<&str> = name.into_iter().filter(|part| !part.is_empty()).collect();
                name.join(" ")
            }),
            "content" => {
                let content = facts.contents.iter().find(|content| content.id == value);
                let title =
                    content.and_then(|content| content.title.clone()).unwrap_or_else(|| value.to_owned());
                match content.is_some_and(|content| content.archived) {
                    true => format!("{title} (Archived)"),
                    false => title,
                }
            }
            "team" => format!("Team {value}"),
            "group" => format!("Group {value}"),
            "completed" | "expired" | "has_certificate" | "bulk_import" => match value {
                "true" => "Yes".to_owned(),
                _ => "No".to_owned(),
            },
            "tag" | "source" | "cpd_label" | "device_type" => value.to_owned(),
            custom if custom.starts_with("custom[") => value.to_owned(),
            _ => label_of_key(name, value),
        }
    }
}

/// Whether the facet has texts as values.
fn has_texts(name: &str) -> bool {
    name.starts_with("custom[") || VALUE_FILTERS.iter().any(|filter| filter.name == name && filter.has_texts)
}

/// Adds the counts of texts that are the same. The most frequent spelling is the value.
fn merge_spellings(mut values: Vec<(String, u64)>) -> Vec<(String, u64)> {
    values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let mut merged: Vec<(String, u64)> = Vec::new();
    for (text, count) in values {
        match merged.iter_mut().find(|(spelling, _)| is_same_text(spelling, &text)) {
            Some((_, total)) => *total += count,
            None => merged.push((text, count)),
        }
    }
    merged
}

fn label_of_key(name: &str, value: &str) -> String {
    match (name, value) {
        ("origin" | "content_type", "xapi") => "xAPI".to_owned(),
        ("origin", "api") => "API".to_owned(),
        ("content_type", "scorm") => "SCORM".to_owned(),
        ("verb", _) => String::new(),
        _ => capitalised(&value.replace('_', " ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
