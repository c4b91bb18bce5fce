//! The OpenAPI document in version 3.0.3, for generators that do not read 3.1.
//!
//! [`to_3_0`] rewrites the document of version 3.1. Schemas of 3.1 are JSON Schema; schemas of 3.0 have `nullable` in place of
//! the type `null`, one type for each schema, and no members beside `$ref`. A rule of 3.1 that 3.0 cannot express is
//! left out, so a body that is valid under 3.1 is valid under 3.0 too. What the generators for 3.0 refuse is left out as
//! well: the second media type of a body, parameters that are deep objects, and a second type among the errors of an
//! operation.

use serde_json::{Map, Value, json};

/// The version that the rewritten document states.
const VERSION: &str = "3.0.3";

/// Keywords of JSON Schema that version 3.0 does not have.
const KEYWORDS_OF_3_1: [&str; 16] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "patternProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Rewrites a document of version 3.1 into version 3.0.3.
pub fn to_3_0(mut document: Value) -> Value {
    document["openapi"] = json!(VERSION);
    if let Some(members) = document.as_object_mut() {
        members.remove("jsonSchemaDialect");
        members.remove("webhooks");
    }
    for (pointer, name) in [
        ("/info", "summary"),
        ("/info/license", "identifier"),
        ("/components", "pathItems"),
    ] {
        if let Some(members) = document.pointer_mut(pointer).and_then(Value::as_object_mut) {
            members.remove(name);
        }
    }
    for (name, part) in document
        .pointer_mut("/components")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        match part.as_object_mut() {
            Some(schemas) if name == "schemas" => schemas.values_mut().for_each(convert_schema),
            _ => convert_operations(part),
        }
    }
    if let Some(paths) = document.get_mut("paths") {
        convert_operations(paths);
    }
    document
}

/// Converts the schemas below paths, operations, parameters, bodies and answers, and leaves one media type in each body.
fn convert_operations(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "schema" => convert_schema(member),
                    "example" | "examples" => {}
                    "parameters" => {
                        convert_operations(member);
                        simplify_parameters(member);
                    }
                    "responses" => {
                        convert_operations(member);
                        unify_problems(member);
                    }
                    "content" => {
                        keep_one_media_type(member);
                        convert_operations(member);
                    }
                    _ => convert_operations(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(convert_operations),
        _ => {}
    }
}

/// Removes the parameters that generators of version 3.0 refuse, all of which are optional: those of the style `deepObject`,
/// such as `custom[<field>]`, and headers that become the same variable as another parameter. No parameter is `null`. The rules of texts are left out:
/// progenitor makes a type of each text with a rule and names it after the first parameter that has the rule, so programs would
/// break with other parameters.
fn simplify_parameters(parameters: &mut Value) {
    let Some(parameters) = parameters.as_array_mut() else {
        return;
    };
    let others: Vec<String> = parameters
        .iter()
        .filter(|parameter| parameter["in"] != "header")
        .map(variable_name)
        .collect();
    parameters.retain(|parameter| {
        let is_duplicate = parameter["in"] == "header" && others.contains(&variable_name(parameter));
        parameter["style"] != "deepObject" && !is_duplicate
    });
    for parameter in parameters {
        if let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) {
            schema.remove("nullable");
            remove_text_rules(schema);
            if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
                remove_text_rules(items);
            }
        }
    }
}

fn remove_text_rules(schema: &mut Map<String, Value>) {
    for rule in ["minLength", "maxLength", "pattern"] {
        schema.remove(rule);
    }
}

fn variable_name(parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap_or_default();
    name.to_ascii_lowercase().replace('-', "_")
}

/// Replaces the answer `default`, which stands for a problem, with one for each class of errors, and removes errors with
/// another type. Generators of version 3.0 take `default` for a success as well.
fn unify_problems(responses: &mut Value) {
    let Some(responses) = responses.as_object_mut() else {
        return;
    };
    let Some(problem) = responses.remove("default") else {
        return;
    };
    let content = problem["content"].clone();
    responses.retain(|status, answer| {
        let is_error = status.starts_with(['4', '5']);
        !is_error || answer.get("$ref").is_some() || answer["content"] == content
    });
    for class in ["4XX", "5XX"] {
        responses.entry(class).or_insert_with(|| problem.clone());
    }
}

/// Media types of which one is left, by preference.
const PREFERRED_TYPES: [&str; 2] = ["application/json", "application/octet-stream"];

/// Leaves one media type: a preferred one, or the first. Generators of version 3.0 make one type for a body, and several of
/// them refuse a document with more.
fn keep_one_media_type(content: &mut Value) {
    let Some(types) = content.as_object_mut() else {
        return;
    };
    // The server takes a merge patch as JSON too.
    if let Some(patch) = types.remove("application/merge-patch+json") {
        types.entry("application/json").or_insert(patch);
    }
    let preferred = PREFERRED_TYPES
        .into_iter()
        .find(|name| types.contains_key(*name))
        .map(str::to_owned);
    let chosen = preferred.or_else(|| types.keys().next().cloned());
    types.retain(|name, _| Some(name) == chosen.as_ref());
    if let Some(bytes) = types.get_mut("application/octet-stream") {
        bytes["schema"] = json!({"type": "string", "format": "binary"});
    }
}

/// Converts one schema and the schemas within it.
fn convert_schema(schema: &mut Value) {
    if let Value::Bool(allows) = schema {
        *schema = if *allows { json!({}) } else { json!({"not": {}}) };
    }
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    convert_inner_schemas(members);
    convert_binary(members);
    for keyword in KEYWORDS_OF_3_1 {
        members.remove(keyword);
    }
    remove_small_bounds(members);
    if let Some(value) = members.remove("const") {
        members.insert("enum".to_owned(), json!([value]));
    }
    if let Some(Value::Array(examples)) = members.remove("examples")
        && let Some(example) = examples.into_iter().next()
    {
        members.entry("example").or_insert(example);
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if let Some(limit) = members.remove(exclusive) {
            members.insert(bound.to_owned(), limit);
            members.insert(exclusive.to_owned(), json!(true));
        }
    }
    convert_types(members);
    remove_null_alternative(members, "oneOf");
    remove_null_alternative(members, "anyOf");
    separate_reference(members);
    if members.get("type").is_some_and(|name| name == "array") {
        members.entry("items").or_insert_with(|| json!({}));
    }
}

/// Removes patterns, and the least length of a text without a greatest one. Generators of version 3.0 make a type of its own
/// of each text with a bound, and a client gains little from these.
fn remove_small_bounds(members: &mut Map<String, Value>) {
    members.remove("pattern");
    if !members.contains_key("maxLength") {
        members.remove("minLength");
    }
}

fn convert_inner_schemas(members: &mut Map<String, Value>) {
    // 3.0 has one schema for all elements of an array.
    if members.remove("prefixItems").is_some() {
        members.insert("items".to_owned(), json!({}));
    }
    for (keyword, member) in members {
        match keyword.as_str() {
            "properties" => {
                if let Some(properties) = member.as_object_mut() {
                    properties.values_mut().for_each(convert_schema);
                }
            }
            "oneOf" | "anyOf" | "allOf" => {
                if let Some(schemas) = member.as_array_mut() {
                    schemas.iter_mut().for_each(convert_schema);
                }
            }
            "items" | "not" => convert_schema(member),
            "additionalProperties" if member.is_object() => convert_schema(member),
            _ => {}
        }
    }
}

/// `contentMediaType` and `contentEncoding` become the formats of strings.
fn convert_binary(members: &mut Map<String, Value>) {
    let format = match members.get("contentEncoding").and_then(Value::as_str) {
        Some("base64") => "byte",
        Some(_) => return,
        None if members.contains_key("contentMediaType") => "binary",
        None => return,
    };
    members.entry("type").or_insert_with(|| json!("string"));
    members.insert("format".to_owned(), json!(format));
}

/// A list of types becomes one type, or alternatives of one type each; `null` among them becomes `nullable`.
fn convert_types(members: &mut Map<String, Value>) {
    let types = match members.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(Value::String(name)) if name == "null" => vec![json!("null")],
        _ => return,
    };
    let is_nullable = types.contains(&json!("null"));
    let mut names: Vec<Value> = types.into_iter().filter(|name| *name != json!("null")).collect();
    members.remove("type");
    match (names.len(), names.pop()) {
        (_, None) => {
            members.insert("enum".to_owned(), json!([null]));
        }
        (1, Some(name)) => {
            members.insert("type".to_owned(), name);
        }
        (_, Some(last)) => {
            names.push(last);
            let alternatives = names.into_iter().map(|name| {
                let mut alternative = json!({"type": name});
                convert_schema(&mut alternative);
                alternative
            });
            members.insert("anyOf".to_owned(), alternatives.collect());
        }
    }
    if is_nullable {
        members.insert("nullable".to_owned(), json!(true));
    }
}

/// Removes the alternative `null` and marks the schema as nullable. A single alternative that remains is merged into the
/// schema, or referred to with `allOf`.
fn remove_null_alternative(members: &mut Map<String, Value>, keyword: &str) {
    let null = json!({"enum": [null], "nullable": true});
    let Some(alternatives) = members.get_mut(keyword).and_then(Value::as_array_mut) else {
        return;
    };
    let before = alternatives.len();
    alternatives.retain(|alternative| *alternative != null);
    if alternatives.len() == before {
        return;
    }
    if alternatives.len() == 1
        && let Some(Value::Array(mut last)) = members.remove(keyword)
    {
        match last.pop() {
            Some(Value::Object(only)) => only.into_iter().for_each(|(name, member)| {
                members.entry(name).or_insert(member);
            }),
            other => last.extend(other),
        }
    }
    // In 3.0 `nullable` counts only beside `type`; every generator also takes it beside `allOf` and `oneOf`.
    members.insert("nullable".to_owned(), json!(true));
}

/// Moves a reference with members beside it into `allOf`, since 3.0 ignores members beside `$ref`.
fn separate_reference(members: &mut Map<String, Value>) {
    if members.len() > 1
        && let Some(reference) = members.remove("$ref")
    {
        members.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::openapi::document;

    fn converted(schema: Value) -> Value {
        let mut schema = schema;
        convert_schema(&mut schema);
        schema
    }

    #[test]
    fn null_becomes_nullable() {
        for (schema, expected) in [
            (
                json!({"type": ["string", "null"]}),
                json!({"type": "string", "nullable": true}),
            ),
            (
                json!({"oneOf": [{"$ref": "#/a", "description": "An a."}, {"type": "null"}]}),
                json!({"allOf": [{"$ref": "#/a"}], "description": "An a.", "nullable": true}),
            ),
            (
                json!({"description": "Outside.", "oneOf": [{"$ref": "#/a"}, {"type": "null"}]}),
                json!({"description": "Outside.", "allOf": [{"$ref": "#/a"}], "nullable": true}),
            ),
            (
                json!({"oneOf": [{"$ref": "#/a"}, {"type": "string"}, {"type": "null"}]}),
                json!({"oneOf": [{"$ref": "#/a"}, {"type": "string"}], "nullable": true}),
            ),
            (
                json!({"type": ["string", "array", "null"]}),
                json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {}}], "nullable": true}),
            ),
        ] {
            assert_eq!(converted(schema.clone()), expected, "{schema}");
        }
    }

    #[test]
    fn other_keywords_are_converted_or_left_out() {
        for (schema, expected) in [
            (json!({"$ref": "#/a"}), json!({"$ref": "#/a"})),
            (json!({"const": "x"}), json!({"enum": ["x"]})),
            (
                json!({"type": "number", "exclusiveMinimum": 0}),
                json!({"type": "number", "minimum": 0, "exclusiveMinimum": true}),
            ),
            (
                json!({"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": ["string", "null"]}}),
                json!({"type": "object", "additionalProperties": {"type": "string", "nullable": true}}),
            ),
            (
                json!({"type": "object", "properties": {"const": {"const": 1}}, "additionalProperties": false}),
                json!({"type": "object", "properties": {"const": {"enum": [1]}}, "additionalProperties": false}),
            ),
            (
                json!({"contentMediaType": "text/csv"}),
                json!({"type": "string", "format": "binary"}),
            ),
            (
                json!({"type": "string", "examples": ["a", "b"]}),
                json!({"type": "string", "example": "a"}),
            ),
        ] {
            assert_eq!(converted(schema.clone()), expected, "{schema}");
        }
    }

    /// The keywords of a schema in version 3.0.3.
    const KEYWORDS: [&str; 35] = [
        "$ref",
        "title",
        "multipleOf",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "maxProperties",
        "minProperties",
        "required",
        "enum",
        "type",
        "allOf",
        "oneOf",
        "anyOf",
        "not",
        "items",
        "properties",
        "additionalProperties",
        "description",
        "format",
        "default",
        "nullable",
        "discriminator",
        "readOnly",
        "writeOnly",
        "example",
        "externalDocs",
        "deprecated",
    ];

    fn check_schema(schema: &Value, place: &str) {
        let members = schema.as_object().unwrap_or_else(|| panic!("{place}: {schema}"));
        if members.contains_key("$ref") {
            assert_eq!(members.len(), 1, "{place}: members beside a reference");
        }
        let types = ["string", "number", "integer", "boolean", "array", "object"];
        if let Some(name) = members.get("type") {
            assert!(
                name.as_str().is_some_and(|name| types.contains(&name)),
                "{place}: {name}"
            );
        }
        assert!(
            schema["type"] != "array" || members.contains_key("items"),
            "{place}: an array without `items`"
        );
        for (keyword, member) in members {
            let below = format!("{place}/{keyword}");
            assert!(KEYWORDS.contains(&keyword.as_str()), "{below} is not in 3.0");
            match keyword.as_str() {
                "properties" => {
                    for (name, property) in member.as_object().expect("properties") {
                        check_schema(property, &format!("{below}/{name}"));
                    }
                }
                "oneOf" | "anyOf" | "allOf" => {
                    for alternative in member.as_array().expect("schemas") {
                        check_schema(alternative, &below);
                    }
                }
                "items" | "not" => check_schema(member, &below),
                "additionalProperties" if !member.is_boolean() => check_schema(member, &below),
                "exclusiveMinimum" | "exclusiveMaximum" => assert!(member.is_boolean(), "{below}"),
                _ => {}
            }
        }
    }

    fn check_operations(value: &Value, place: &str, schemas: &mut usize) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let below = format!("{place}/{name}");
                    match name.as_str() {
                        "schema" => {
                            *schemas += 1;
                            check_schema(member, &below);
                        }
                        "content" => {
                            assert_eq!(member.as_object().map(Map::len), Some(1), "{below}");
                            check_operations(member, &below, schemas);
                        }
                        "example" | "examples" => {}
                        _ => check_operations(member, &below, schemas),
                    }
                }
            }
            Value::Array(elements) => {
                elements
                    .iter()
                    .for_each(|element| check_operations(element, place, schemas));
            }
            _ => {}
        }
    }

    #[test]
    fn deep_objects_and_further_media_types_are_left_out() {
        let mut operation = json!({
            "parameters": [
                {"name": "custom", "in": "query", "style": "deepObject"},
                {"name": "limit", "in": "query", "schema": {"type": ["integer", "null"]}},
                {"name": "user", "in": "query", "schema": {"type": "array", "items": {"type": "string", "minLength": 1}}},
                {"name": "from", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]"}},
                {"name": "last_event_id", "in": "query"},
                {"name": "Last-Event-ID", "in": "header"},
                {"name": "If-Match", "in": "header"}
            ],
            "requestBody": {"content": {"application/x-ndjson": {}, "application/json": {}}},
            "put": {"content": {"application/xml": {}, "application/octet-stream": {"schema": {"$ref": "#/Binary"}}}},
            "patch": {"content": {"application/merge-patch+json": {"schema": true}}},
            "responses": {"200": {"content": {"text/csv": {"schema": true}}}}
        });
        convert_operations(&mut operation);
        assert_eq!(
            operation,
            json!({
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                    {"name": "user", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "from", "in": "query", "schema": {"type": "string"}},
                    {"name": "last_event_id", "in": "query"},
                    {"name": "If-Match", "in": "header"}
                ],
                "requestBody": {"content": {"application/json": {}}},
                "put": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
                "patch": {"content": {"application/json": {"schema": {}}}},
                "responses": {"200": {"content": {"text/csv": {"schema": {}}}}}
            })
        );
    }

    #[test]
    fn errors_of_an_operation_have_one_type() {
        let content =
            |name: &str| json!({"content": {"application/problem+json": {"schema": {"$ref": name}}}});
        let mut operation = json!({"responses": {
            "200": content("#/Page"), "404": {"$ref": "#/NotFound"}, "409": content("#/Problem"),
            "503": content("#/NotReady"), "default": content("#/Problem")
        }});
        convert_operations(&mut operation);
        assert_eq!(
            operation,
            json!({"responses": {
                "200": content("#/Page"), "404": {"$ref": "#/NotFound"}, "409": content("#/Problem"),
                "4XX": content("#/Problem"), "5XX": content("#/Problem")
            }})
        );
    }

    #[test]
    fn whole_document_has_only_what_3_0_knows() {
        let original = serde_json::to_value(document()).expect("JSON");
        let converted = to_3_0(original.clone());
        assert_eq!(converted["openapi"], "3.0.3");
        let named = converted["components"]["schemas"].as_object().expect("schemas");
        for (name, schema) in named {
            check_schema(schema, name);
        }
        let mut schemas = 0;
        check_operations(&converted["paths"], "", &mut schemas);
        for part in ["parameters", "responses", "requestBodies", "headers"] {
            check_operations(&converted["components"][part], part, &mut schemas);
        }
        assert!(
            schemas > 500,
            "{schemas} schemas of parameters, bodies and answers"
        );
        let names = |document: &Value, pointer: &str| -> BTreeSet<String> {
            document
                .pointer(pointer)
                .and_then(Value::as_object)
                .expect("members")
                .keys()
                .cloned()
                .collect()
        };
        for pointer in ["/paths", "/components/schemas", "/components/securitySchemes"] {
            assert_eq!(names(&converted, pointer), names(&original, pointer));
        }
    }
}
