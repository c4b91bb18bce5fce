//! The filter of a saved report: the log's parameters as a JSON object (docs/specification.md#saved-reports).
//!
//! The log's parser checks it, so a report has exactly the parameters of the log, without those of pages. The object is
//! stored and returned with an array for each parameter that may be repeated and with booleans, in the order of the
//! client. Relative times are resolved when the report is opened.

use chrono_tz::Tz;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ArrayItems, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::flag::parse_flag;
use crate::base::json::Node;
use crate::log::filter::{FILTER_PARAMETERS, Parameter, SCOPE_PARAMETERS, SORT_PARAMETERS, ValueKind};
use crate::log::{ParameterFault, ParseContext, Query};

/// The longest filter, in bytes of its JSON.
pub const MAX_FILTER_BYTES: usize = 64 * 1024;

/// A valid filter of a report, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFilter {
    text: String,
}

impl SavedFilter {
    /// Parses the member `filter` of a report. Members without a value, `null` or an empty array, are dropped.
    ///
    /// # Errors
    ///
    /// All faults, each at its parameter.
    pub fn parse(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Faults> {
        let text = to_documented_text(node);
        if text.len() > MAX_FILTER_BYTES {
            let detail = format!("a filter has at most {MAX_FILTER_BYTES} bytes of JSON");
            return Err(place.fault(detail).into());
        }
        let mut faults = Faults::new();
        let Some(pairs) = to_pairs(node, place, &mut faults) else {
            return Err(faults);
        };
        // A filter is valid at every moment and in every zone, or never.
        if let Err(parameter_faults) = query_of(&pairs, Timestamp::default(), Tz::UTC) {
            for fault in parameter_faults {
                let fault = place.member(&fault.parameter).fault(fault.detail);
                if faults.iter().all(|other| other.pointer != fault.pointer) {
                    faults.push(fault);
                }
            }
        }
        if faults.is_empty() {
            Ok(Self { text })
        } else {
            Err(faults)
        }
    }

    /// The filter without any parameter.
    pub fn everything() -> Self {
        Self {
            text: "{}".to_owned(),
        }
    }

    /// A filter that was parsed before it was stored.
    pub(super) fn from_stored(text: String) -> Self {
        Self { text }
    }

    /// The filter as JSON.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter as JSON, for storage.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// The filter as JSON in the form of its schema: a parameter that may be repeated has an array, a flag has a boolean.
/// Members without a value are dropped: typed clients send `null` or an empty array for a parameter that is not set.
fn to_documented_text(node: &Node<'_>) -> String {
    let Some(members) = node.as_object() else {
        return node.without_nulls().to_text();
    };
    let members = members.iter().filter(|member| has_value(&member.value));
    let texts = members.map(|member| {
        let name = member.key.value();
        let value = match &member.value {
            Node::String(text) => to_documented_value(name, text.value()).to_string(),
            Node::Array(elements) if is_closed_set(name) => {
                let texts = elements.iter().filter_map(Node::as_str);
                texts.flat_map(split_keys).collect::<Value>().to_string()
            }
            value => value.to_text(),
        };
        format!("{}:{value}", Value::from(name))
    });
    format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
}

fn has_value(node: &Node<'_>) -> bool {
    match node {
        Node::Null => false,
        Node::Array(elements) => !elements.is_empty(),
        _ => true,
    }
}

fn to_documented_value(name: &str, text: &str) -> Value {
    match kind_of(name) {
        Some(ValueKind::Repeated) if is_closed_set(name) => split_keys(text).collect(),
        Some(ValueKind::Repeated) => Value::from(vec![text]),
        Some(ValueKind::Boolean) => parse_flag(text).map_or_else(|| Value::from(text), Value::from),
        _ => Value::from(text),
    }
}

fn split_keys(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
}

/// Whether the values of a parameter are keys, which one text may have several of, separated by commas.
fn is_closed_set(name: &str) -> bool {
    let parameter = parameters().find(|parameter| parameter.name == name);
    match parameter.map(|parameter| (parameter.schema)()) {
        Some(RefOr::T(Schema::Array(array))) => {
            matches!(array.items, ArrayItems::RefOrSchema(items) if matches!(*items, RefOr::Ref(_)))
        }
        _ => false,
    }
}

/// The query of a stored filter, in an organisation with this time zone.
///
/// # Errors
///
/// Parameters that the log does not have. A filter from [`SavedFilter::parse`] has none.
pub fn parse_query(node: &Node<'_>, now: Timestamp, time_zone: Tz) -> Result<Query, Faults<ParameterFault>> {
    let mut faults = Faults::new();
    match to_pairs(node, &Place::Root, &mut faults) {
        Some(pairs) if faults.is_empty() => query_of(&pairs, now, time_zone),
        _ => Err(faults.map(|fault| ParameterFault {
            parameter: fault.pointer,
            detail: fault.detail,
        })),
    }
}

fn query_of(
    pairs: &[(String, String)],
    now: Timestamp,
    time_zone: Tz,
) -> Result<Query, Faults<ParameterFault>> {
    let context = ParseContext {
        any_zone: true,
        ..ParseContext::export(now, time_zone, &[])
    };
    Query::parse(pairs, &context)
}

/// The members as parameters. The log's parser checks names and texts; this checks the JSON types.
fn to_pairs(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<(String, String)>> {
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
        let Some(kind) = kind_of(name) else {
            // The parser refuses the name with any value.
            pairs.push((name.to_owned(), "?".to_owned()));
            continue;
        };
        match &member.value {
            Node::Null => {}
            Node::String(text) => pairs.push((name.to_owned(), text.value().to_owned())),
            Node::Bool(value) if kind == ValueKind::Boolean => {
                pairs.push((name.to_owned(), value.to_string()));
            }
            Node::Array(elements) if kind == ValueKind::Repeated => {
                let texts = array_texts(elements, &place, faults);
                pairs.extend(texts.into_iter().map(|text| (name.to_owned(), text)));
            }
            other => faults.push(place.fault(format!("{}, not {}", expected_value(kind), other.kind()))),
        }
    }
    Some(pairs)
}

/// The texts of an array of values.
fn array_texts(elements: &[Node<'_>], place: &Place<'_>, faults: &mut Faults) -> Vec<String> {
    let mut texts = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        match element.as_str() {
            Some(text) => texts.push(text.to_owned()),
            None => faults.push(
                place
                    .element(index)
                    .fault(format!("a value is a string, not {}", element.kind())),
            ),
        }
    }
    texts
}

/// How the values of a parameter are written; `None` for a name that is not a parameter.
fn kind_of(name: &str) -> Option<ValueKind> {
    if name.starts_with("custom[") {
        return Some(ValueKind::Repeated);
    }
    parameters()
        .find(|parameter| parameter.name == name)
        .map(|parameter| parameter.kind)
}

fn expected_value(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Single => "has one value, a string",
        ValueKind::Repeated => "is a string or an array of strings",
        ValueKind::Boolean => "is `true` or `false`",
    }
}

/// Every parameter that a report may have.
fn parameters() -> impl Iterator<Item = &'static Parameter> {
    [SCOPE_PARAMETERS, FILTER_PARAMETERS, SORT_PARAMETERS]
        .into_iter()
        .flatten()
}

// --- The schema in the OpenAPI document --------------------------------------------------------------------

impl ToSchema for SavedFilter {
    fn name() -> std::borrow::Cow<'static, str> {
        "ReportFilter".into()
    }
}

impl PartialSchema for SavedFilter {
    fn schema() -> RefOr<Schema> {
        object_schema(|schema| schema)
            .description(Some(
                "The parameters of the log, without those of pages. Parameters combine with AND, several values of one \
                 parameter with OR. Any other member is `custom[<field>]`: values of a custom field of users. The server \
                 also takes one value that is not in an array. An empty array is the same as no value.",
            ))
            .examples([serde_json::json!({
                "scope": "managed", "type": ["quiz"], "result": ["failed"], "period": "previous_month",
                "custom[Region]": ["North", "South"]
            })])
            .into()
    }
}

/// A merge patch of a filter: `null` removes a parameter. Only its schema is used.
pub struct FilterPatch;

impl ToSchema for FilterPatch {
    fn name() -> std::borrow::Cow<'static, str> {
        "ReportFilterPatch".into()
    }
}

impl PartialSchema for FilterPatch {
    fn schema() -> RefOr<Schema> {
        object_schema(nullable)
            .description(Some(
                "The parameters to change. A parameter that is left out stays, and `null` removes one.",
            ))
            .into()
    }
}

/// An object with a member for each parameter, and `custom[<field>]`.
fn object_schema(change: fn(RefOr<Schema>) -> RefOr<Schema>) -> ObjectBuilder {
    let custom = ArrayBuilder::new()
        .items(String::schema())
        .description(Some("`custom[<field>]`: values of a custom field of users."));
    let object = parameters().fold(ObjectBuilder::new(), |object, parameter| {
        let schema = with_description((parameter.schema)(), parameter.description);
        object.property(parameter.name, change(schema))
    });
    object.additional_properties(Some(AdditionalProperties::RefOr(change(custom.into()))))
}

/// The schema, and `null`.
fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
            RefOr::T(Schema::Array(array))
        }
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Type(one) = object.schema_type {
                object.schema_type = SchemaType::from_iter([one, Type::Null]);
            }
            RefOr::T(Schema::Object(object))
        }
        other => OneOfBuilder::new()
            .item(other)
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .into(),
    }
}

/// The schema of a parameter with its description.
fn with_description(schema: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    let description = description.to_owned();
    match schema {
        RefOr::Ref(mut reference) => {
            reference.description = description;
            RefOr::Ref(reference)
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.description = Some(description);
            RefOr::T(Schema::Array(array))
        }
        RefOr::T(Schema::Object(mut object)) => {
            object.description = Some(description);
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AskedScope;
    use crate::base::json;
    use crate::log::Sort;

    fn parse(text: &str) -> Result<SavedFilter, Vec<(String, String)>> {
        let node = json::parse(text, 8).unwrap();
        let place = Place::Root;
        SavedFilter::parse(&node, &place.member("filter")).map_err(|faults| {
            faults
                .into_iter()
                .map(|fault| (fault.pointer, fault.detail))
                .collect()
        })
    }

    fn pointers(text: &str) -> Vec<String> {
        let faults = parse(text).unwrap_err();
        faults.into_iter().map(|(pointer, _)| pointer).collect()
    }

    fn saved_query(text: &str) -> Query {
        let stored = parse(text).unwrap().into_text();
        let zone = Tz::Europe__Berlin;
        parse_query(&json::parse(&stored, 8).unwrap(), Timestamp::default(), zone).unwrap()
    }

    #[test]
    fn values_are_texts_arrays_and_booleans() {
        let query = saved_query(
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
        assert_eq!(filter.zone(), Tz::Europe__Berlin);
        assert_eq!(
            saved_query(r#"{"tz":"Asia/Kolkata"}"#).filter.zone(),
            Tz::Asia__Kolkata
        );
    }

    #[test]
    fn filter_is_stored_with_arrays_and_booleans_and_without_empty_members() {
        let text = r#"{ "tag" : ["b","a"], "period":null, "type":"quiz,item", "completed":"true", "user":[],
            "action":[], "custom[Region]":[] }"#;
        let stored = parse(text).unwrap();
        assert_eq!(
            stored.as_str(),
            r#"{"tag":["b","a"],"type":["quiz","item"],"completed":true}"#
        );
        let text = r#"{"completed":"True","include_deactivated":"FALSE"}"#;
        let stored = parse(text).unwrap();
        assert_eq!(
            stored.as_str(),
            r#"{"completed":true,"include_deactivated":false}"#
        );
        assert_eq!(parse("{}").unwrap(), SavedFilter::everything());
    }

    #[test]
    fn each_fault_points_to_its_parameter() {
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
            (r#"{"Tag":[]}"#, "/filter/Tag"),
            (r#"{"period":[]}"#, "/filter/period"),
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
    fn kind_is_the_one_that_the_log_reads() {
        for parameter in parameters() {
            let faults = parse(&format!(r#"{{"{}":"maybe"}}"#, parameter.name))
                .err()
                .unwrap_or_default();
            let boolean = faults.iter().any(|(_, detail)| detail == "is `true` or `false`");
            assert_eq!(
                boolean,
                parameter.kind == ValueKind::Boolean,
                "{}",
                parameter.name
            );
        }
    }

    #[test]
    fn schema_describes_every_parameter() {
        let schema = serde_json::to_value(SavedFilter::schema()).unwrap();
        for parameter in parameters() {
            let property = &schema["properties"][parameter.name];
            assert_eq!(property["description"], parameter.description);
            assert_eq!(property["type"] == "array", parameter.kind == ValueKind::Repeated);
            assert_eq!(
                property["type"] == "boolean",
                parameter.kind == ValueKind::Boolean
            );
        }
        assert!(schema["additionalProperties"].is_object());
    }
}
