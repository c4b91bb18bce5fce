//! The filter of a saved report: the log's parameters as a JSON object (product text, sections 7 and 9).
//!
//! It is judged by the log's own parser, so that no report can ask what the log could not be asked, and kept as it was
//! sent, so that it is given back as it was sent. Paging is no part of it. What is relative to now is resolved when the
//! report is opened, never here.

use chrono_tz::Tz;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::json::Node;
use crate::log::filter::{FILTER_PARAMETERS, Parameter, SCOPE_PARAMETERS, SORT_PARAMETERS};
use crate::log::{ParameterFault, ParseContext, Query};

/// The longest filter, in bytes of its JSON.
pub const MAX_FILTER_BYTES: usize = 64 * 1024;

/// The parameters that are true or false, and may be written as booleans.
const TRUTHS: &[&str] = &[
    "include_sub_managers",
    "include_sub_teams",
    "primary_team_only",
    "completed",
    "expired",
    "bulk_import",
    "has_certificate",
    "include_deactivated",
];

/// A filter that the log takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFilter {
    text: String,
}

impl SavedFilter {
    /// Reads the member `filter` of a report; a member of it that is `null` is not there.
    ///
    /// # Errors
    ///
    /// Every fault, each at the parameter that has it.
    pub fn read(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let Some(pairs) = pairs(node, place, &mut faults) else {
            return Err(faults);
        };
        // Nothing about a filter is wrong at one moment, or in one zone, and right in another.
        if let Err(wrong) = query(&pairs, Timestamp::default(), Tz::UTC) {
            let told: Vec<Fault> = wrong
                .into_iter()
                .map(|fault| place.member(&fault.parameter).fault(fault.detail))
                .filter(|fault| faults.iter().all(|other| other.pointer != fault.pointer))
                .collect();
            faults.extend(told);
        }
        let text = without_nulls(node).to_text();
        if text.len() > MAX_FILTER_BYTES {
            faults.push(place.fault(format!("a filter has at most {MAX_FILTER_BYTES} bytes of JSON")));
        }
        if faults.is_empty() {
            Ok(Self { text })
        } else {
            Err(faults)
        }
    }

    /// A filter that asks for nothing in particular.
    pub fn everything() -> Self {
        Self {
            text: "{}".to_owned(),
        }
    }

    /// A filter that was read before, as it was kept.
    pub(super) fn kept(text: String) -> Self {
        Self { text }
    }

    /// The filter as JSON.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter as JSON, to be kept.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// The question that a kept filter asks, in an organisation of that time zone; `now` is the question's own.
///
/// # Errors
///
/// What the log doesn't take: never of what [`SavedFilter::read`] read.
pub fn parse(node: &Node<'_>, now: Timestamp, time_zone: Tz) -> Result<Query, Vec<ParameterFault>> {
    let mut faults = Vec::new();
    let pairs = pairs(node, &Place::Root, &mut faults).filter(|_| faults.is_empty());
    let pairs = pairs.ok_or_else(|| {
        let told = faults.into_iter().map(|fault| ParameterFault {
            parameter: fault.pointer,
            detail: fault.detail,
        });
        told.collect::<Vec<_>>()
    })?;
    query(&pairs, now, time_zone)
}

fn query(pairs: &[(String, String)], now: Timestamp, time_zone: Tz) -> Result<Query, Vec<ParameterFault>> {
    Query::parse(pairs, &ParseContext::export(now, time_zone, &[]))
}

/// The members as parameters. Names are the log's parser's to judge, and so is a value that is a text.
fn pairs(node: &Node<'_>, place: &Place<'_>, faults: &mut Vec<Fault>) -> Option<Vec<(String, String)>> {
    let Some(members) = node.as_object() else {
        faults.push(place.fault(format!(
            "a filter is an object of parameters, not {}",
            node.kind()
        )));
        return None;
    };
    let mut pairs = Vec::new();
    for member in members {
        let name = member.key.value();
        let place = place.member(name);
        let kind = Kind::of(name);
        match &member.value {
            // The parser names it, whatever its value.
            _ if kind == Kind::Unknown => pairs.push((name.to_owned(), "?".to_owned())),
            Node::Null => {}
            Node::String(text) => pairs.push((name.to_owned(), text.value().to_owned())),
            Node::Bool(value) if kind == Kind::Truth => pairs.push((name.to_owned(), value.to_string())),
            Node::Array(elements) if kind == Kind::Many => {
                if elements.is_empty() {
                    faults.push(place.fault("has no values; leave it out, or give it one"));
                }
                for (index, element) in elements.iter().enumerate() {
                    match element.as_str() {
                        Some(text) => pairs.push((name.to_owned(), text.to_owned())),
                        None => faults.push(
                            place
                                .element(index)
                                .fault(format!("a value is a string, not {}", element.kind())),
                        ),
                    }
                }
            }
            other => faults.push(place.fault(format!("{}, not {}", kind.takes(), other.kind()))),
        }
    }
    Some(pairs)
}

/// What a parameter's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    Many,
    Truth,
    Unknown,
}

impl Kind {
    fn of(name: &str) -> Self {
        if name.starts_with("custom[") {
            return Self::Many;
        }
        match parameters().find(|parameter| parameter.name == name) {
            Some(parameter) if parameter.repeats => Self::Many,
            Some(_) if TRUTHS.contains(&name) => Self::Truth,
            Some(_) => Self::One,
            None => Self::Unknown,
        }
    }

    fn takes(self) -> &'static str {
        match self {
            Self::One | Self::Unknown => "has one value, a string",
            Self::Many => "is a string or an array of strings",
            Self::Truth => "is `true` or `false`",
        }
    }
}

/// Every parameter that a report may keep.
fn parameters() -> impl Iterator<Item = &'static Parameter> {
    [SCOPE_PARAMETERS, FILTER_PARAMETERS, SORT_PARAMETERS]
        .into_iter()
        .flatten()
}

fn without_nulls<'n>(node: &Node<'n>) -> Node<'n> {
    match node.as_object() {
        Some(members) => {
            let said = members.iter().filter(|member| member.value != Node::Null);
            Node::Object(said.cloned().collect())
        }
        None => node.clone(),
    }
}

// --- How it stands in the OpenAPI document -----------------------------------------------------------------

impl ToSchema for SavedFilter {
    fn name() -> std::borrow::Cow<'static, str> {
        "ReportFilter".into()
    }
}

impl PartialSchema for SavedFilter {
    fn schema() -> RefOr<Schema> {
        let object = parameters().fold(ObjectBuilder::new(), |object, parameter| {
            object.property(
                parameter.name,
                described(Kind::of(parameter.name), parameter.description),
            )
        });
        let object = object
            .description(Some(
                "The log's parameters, but those of pages. They combine with AND; several values of one, as an array, \
                 with OR. Any other member is `custom[<field>]`: values of a user field of the organisation's own.",
            ))
            .additional_properties(Some(AdditionalProperties::RefOr(described(
                Kind::Many,
                "`custom[<field>]`: values of a user field of the organisation's own",
            ))))
            .examples([serde_json::json!({
                "scope": "managed", "type": ["quiz"], "result": "failed", "period": "previous_month",
                "custom[Region]": ["North", "South"]
            })]);
        object.build().into()
    }
}

fn described(kind: Kind, description: &'static str) -> RefOr<Schema> {
    let text = || {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .build()
    };
    let either = |one: Object, other: Schema| {
        let either = OneOfBuilder::new().item(Schema::Object(one)).item(other);
        RefOr::T(Schema::OneOf(either.description(Some(description)).build()))
    };
    match kind {
        Kind::One | Kind::Unknown => ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some(description))
            .build()
            .into(),
        Kind::Many => either(
            text(),
            Schema::Array(ArrayBuilder::new().items(text()).min_items(Some(1)).build()),
        ),
        Kind::Truth => {
            let words = ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .enum_values(Some(["true", "false"]));
            let truth = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Boolean));
            either(truth.build(), Schema::Object(words.build()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AskedScope;
    use crate::base::json;
    use crate::log::Sort;

    fn read(text: &str) -> Result<SavedFilter, Vec<(String, String)>> {
        let node = json::parse(text, 8).unwrap();
        let place = Place::Root;
        SavedFilter::read(&node, &place.member("filter")).map_err(|faults| {
            let told = faults.into_iter().map(|fault| (fault.pointer, fault.detail));
            told.collect()
        })
    }

    fn pointers(text: &str) -> Vec<String> {
        let faults = read(text).unwrap_err();
        faults.into_iter().map(|(pointer, _)| pointer).collect()
    }

    fn asked(text: &str) -> Query {
        let kept = read(text).unwrap().into_text();
        let zone = Tz::Europe__Berlin;
        parse(&json::parse(&kept, 8).unwrap(), Timestamp::default(), zone).unwrap()
    }

    #[test]
    fn values_are_texts_lists_and_truths() {
        let query = asked(
            r#"{"tag":["a","b"],"title":"fire","completed":true,"include_deactivated":"true","sort":"happened_at",
                "custom[Region]":"North","custom[Cost centre]":["1","2"],"scope":"managed","include_sub_managers":true,
                "action":"completed,failed","type":["quiz"],"from":"2026-01-01"}"#,
        );
        let filter = &query.filter;
        assert_eq!(
            (filter.tags.len(), filter.titles.len(), filter.actions.len()),
            (2, 1, 2)
        );
        assert_eq!((filter.completed, filter.include_deactivated), (Some(true), true));
        assert_eq!(filter.custom["Cost centre"], ["1", "2"]);
        assert_eq!(query.sort, Sort::OldestFirst);
        let scope = AskedScope::Managed {
            include_sub_managers: true,
        };
        assert_eq!(query.asked_scope, Some(scope));
        assert_eq!(filter.time.zone, Tz::Europe__Berlin);
        assert_eq!(
            asked(r#"{"tz":"Asia/Kolkata"}"#).filter.time.zone,
            Tz::Asia__Kolkata
        );
    }

    #[test]
    fn it_is_kept_as_it_was_sent_but_for_nulls() {
        let text = r#"{ "tag" : ["b","a"], "period":null, "type":"quiz,item", "completed":"true" }"#;
        let kept = read(text).unwrap();
        assert_eq!(
            kept.as_str(),
            r#"{"tag":["b","a"],"type":"quiz,item","completed":"true"}"#
        );
        assert_eq!(read("{}").unwrap(), SavedFilter::everything());
    }

    #[test]
    fn every_fault_is_at_its_parameter() {
        for (text, expected) in [
            ("[]", "/filter"),
            ("null", "/filter"),
            (r#"{"limit":"50"}"#, "/filter/limit"),
            (r#"{"limit":50}"#, "/filter/limit"),
            (r#"{"cursor":"x"}"#, "/filter/cursor"),
            (r#"{"count":"exact"}"#, "/filter/count"),
            (r#"{"columns":"full"}"#, "/filter/columns"),
            (r#"{"Tag":"x"}"#, "/filter/Tag"),
            (r#"{"Tag":null}"#, "/filter/Tag"),
            (r#"{"a/b~c":{}}"#, "/filter/a~1b~0c"),
            (r#"{"tag":7}"#, "/filter/tag"),
            (r#"{"tag":true}"#, "/filter/tag"),
            (r#"{"tag":[]}"#, "/filter/tag"),
            (r#"{"tag":["a",7]}"#, "/filter/tag/1"),
            (r#"{"tag":[["a"]]}"#, "/filter/tag/0"),
            (r#"{"tag":""}"#, "/filter/tag"),
            (r#"{"custom[Region]":{"is":"North"}}"#, "/filter/custom[Region]"),
            (r#"{"custom[]":"North"}"#, "/filter/custom[]"),
            (r#"{"from":["2026-01-01"]}"#, "/filter/from"),
            (r#"{"from":"soon"}"#, "/filter/from"),
            (r#"{"from":"2026-01-01","period":"today"}"#, "/filter/period"),
            (r#"{"period":"tomorrow"}"#, "/filter/period"),
            (r#"{"completed":1}"#, "/filter/completed"),
            (r#"{"completed":"yes"}"#, "/filter/completed"),
            (r#"{"completed":[true]}"#, "/filter/completed"),
            (r#"{"sort":"name"}"#, "/filter/sort"),
            (r#"{"scope":"world"}"#, "/filter/scope"),
            (r#"{"scope":"team"}"#, "/filter/scope"),
            (r#"{"tz":"Mars/Olympus"}"#, "/filter/tz"),
            (r#"{"action":"danced"}"#, "/filter/action"),
            (
                r#"{"certificate_expires_within":"a month"}"#,
                "/filter/certificate_expires_within",
            ),
        ] {
            assert_eq!(pointers(text), [expected], "{text}");
        }
        assert_eq!(
            pointers(r#"{"tag":7,"period":"tomorrow","nonsense":1}"#),
            ["/filter/tag", "/filter/nonsense", "/filter/period"]
        );
        let long = format!(r#"{{"user":["{}"]}}"#, vec!["u".repeat(200); 400].join("\",\""));
        assert_eq!(pointers(&long), ["/filter"]);
    }

    #[test]
    fn truths_are_those_that_the_log_reads_as_truths() {
        for parameter in parameters() {
            let faults = read(&format!(r#"{{"{}":"maybe"}}"#, parameter.name))
                .err()
                .unwrap_or_default();
            let truth = faults.iter().any(|(_, detail)| detail == "is `true` or `false`");
            assert_eq!(truth, TRUTHS.contains(&parameter.name), "{}", parameter.name);
        }
    }

    #[test]
    fn every_parameter_is_described() {
        let schema = serde_json::to_value(SavedFilter::schema()).unwrap();
        for parameter in parameters() {
            let described = &schema["properties"][parameter.name];
            assert_eq!(described["description"], parameter.description);
            assert_eq!(
                described["oneOf"].is_array(),
                parameter.repeats || TRUTHS.contains(&parameter.name)
            );
        }
        assert!(schema["additionalProperties"].is_object());
    }
}
