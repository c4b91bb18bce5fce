//! The forms of texts in the bodies of requests, and of the elements of batches.
//!
//! A rule that follows from the name of a member is stated here once: ids are not empty wherever a client writes them, and
//! the parameters of a saved filter have values. A rule of one resource is beside the resource.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, Object, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Components, ObjectBuilder, OpenApi, Ref, RefOr};

use super::bodies::{body_of, referenced_name};
use super::{operations, parameters};

/// Members with a text, or with a list of texts, that is not empty in the bodies that clients write: ids and tags.
const NOT_EMPTY: [&str; 14] = [
    "id",
    "content",
    "cpd_labels",
    "created_by",
    "groups",
    "manager",
    "owner",
    "parent",
    "primary_team",
    "recipients",
    "tags",
    "teams",
    "user",
    "users",
];

/// A time of day.
const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
/// An address of the web.
const WEB_ADDRESS: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]";
/// The SHA-1 of an address.
const SHA1: &str = "^[0-9A-Fa-f]{40}$";

/// A duration as in ISO 8601 that is stored as it was sent, with any number of digits.
const STORED_DURATION: &str = concat!(
    "^P([0-9]+W|(?=[0-9T])([0-9]+Y)?([0-9]+M)?([0-9]+D)?",
    r"(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]+)?S)?)?)$"
);

/// The patterns of members by the name of their schema. An empty name stands for every schema.
const PATTERNS: [(&str, &str, &str); 16] = [
    ("", "expires_after", STORED_DURATION),
    ("", "homePage", parameters::IRI),
    ("", "mbox_sha1sum", SHA1),
    ("", "moreInfo", parameters::IRI),
    ("", "openid", parameters::IRI),
    ("", "time_limit", STORED_DURATION),
    ("", "usageType", parameters::IRI),
    ("Agent", "objectType", "^Agent$"),
    ("ActivityDefinition", "type", parameters::IRI),
    ("ContextActivity", "id", parameters::IRI),
    ("NewActivity", "verb", parameters::IRI),
    ("NewScheduleBody", "at", TIME_OF_DAY),
    ("NewSubscription", "url", WEB_ADDRESS),
    ("SchedulePatch", "at", TIME_OF_DAY),
    ("StatementVerb", "id", parameters::IRI),
    ("SubscriptionPatch", "url", WEB_ADDRESS),
];

/// The schemas of saved filters. Their further members are custom fields.
const FILTERS: [&str; 2] = ["ReportFilter", "ReportFilterPatch"];

/// The schema of the parameters `custom[<field>]`.
const CUSTOM_FIELDS: &str = "CustomFields";

/// Adds the forms to the schemas of bodies.
pub(super) fn add_forms(document: &mut OpenApi) {
    let Some(mut components) = document.components.take() else {
        return;
    };
    for (name, schema) in &mut components.schemas {
        match schema {
            RefOr::T(Schema::Object(object)) => add_to_object(name, object),
            RefOr::T(Schema::AllOf(all)) if name == CUSTOM_FIELDS => {
                all.items.iter_mut().for_each(require_values);
            }
            _ => {}
        }
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item).filter(|_| path.ends_with("/batch")) {
            if let Some(body) = body_of(operation) {
                for content in body.content.values_mut() {
                    if let RefOr::T(content) = content
                        && let Some(schema) = &mut content.schema
                    {
                        require_ids(schema, &mut components);
                    }
                }
            }
        }
    }
    document.components = Some(components);
}

fn add_to_object(name: &str, object: &mut Object) {
    for (schema, member, pattern) in PATTERNS {
        if (schema.is_empty() || schema == name)
            && let Some(RefOr::T(Schema::Object(text))) = object.properties.get_mut(member)
        {
            text.pattern = Some(pattern.to_owned());
        }
    }
    if name == "UserByEmail"
        && let Some(RefOr::T(Schema::Object(email))) = object.properties.get_mut("email")
    {
        email.format = Some(SchemaFormat::Custom("email".to_owned()));
    }
    if is_written(name) {
        for (member, schema) in &mut object.properties {
            if NOT_EMPTY.contains(&member.as_str()) {
                parameters::require_texts(schema);
            }
        }
    }
    if FILTERS.contains(&name) {
        add_to_filter(object);
    }
}

/// Each custom field of a filter has a value.
fn require_values(fields: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = fields
        && let Some(AdditionalProperties::RefOr(value)) = object.additional_properties.as_deref_mut()
    {
        parameters::require_texts(value);
        object.property_names = Some(names_of(r"^[^\[\]]+$".to_owned()));
    }
}

/// Whether clients write bodies of the schema with this name.
fn is_written(name: &str) -> bool {
    name.starts_with("New") || ["Input", "Patch"].iter().any(|end| name.ends_with(end))
}

/// The forms of single members of a filter.
const FILTER_PATTERNS: [(&str, &str); 5] = [
    ("from", parameters::TIME),
    ("to", parameters::TIME),
    ("stored_from", parameters::TIME),
    ("stored_to", parameters::TIME),
    ("certificate_expires_within", parameters::DURATION),
];

/// Each value of a filter has a character, and a member that is no parameter is a custom field.
fn add_to_filter(object: &mut Object) {
    for schema in object.properties.values_mut() {
        parameters::require_texts(schema);
    }
    for (member, pattern) in FILTER_PATTERNS {
        if let Some(RefOr::T(Schema::Object(text))) = object.properties.get_mut(member) {
            text.pattern = Some(pattern.to_owned());
        }
    }
    if let Some(RefOr::T(Schema::Array(verbs))) = object.properties.get_mut("verb")
        && let ArrayItems::RefOrSchema(verb) = &mut verbs.items
        && let RefOr::T(Schema::Object(verb)) = verb.as_mut()
    {
        verb.pattern = Some(parameters::IRI.to_owned());
    }
    if let Some(AdditionalProperties::RefOr(others)) = object.additional_properties.as_deref_mut() {
        parameters::require_texts(others);
    }
    let names: Vec<_> = object.properties.keys().map(String::as_str).collect();
    let pattern = format!("^({}|custom\\[[^\\[\\]]+\\])$", names.join("|"));
    object.property_names = Some(names_of(pattern));
}

/// The schema of names with a pattern.
fn names_of(pattern: String) -> Box<Schema> {
    let names = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern));
    Box::new(names.build().into())
}

/// Replaces the schema of an element with an optional id by one with a required id: the address of a batch has none.
fn require_ids(schema: &mut RefOr<Schema>, components: &mut Components) {
    if let RefOr::T(Schema::Array(array)) = schema {
        if let ArrayItems::RefOrSchema(element) = &mut array.items {
            require_ids(element, components);
        }
        return;
    }
    let Some(name) = referenced_name(schema).filter(|name| name.ends_with("Input")) else {
        return;
    };
    let Some(RefOr::T(Schema::Object(single))) = components.schemas.get(name) else {
        return;
    };
    let mut element = single.clone();
    let Some(RefOr::T(Schema::Object(id))) = element.properties.get_mut("id") else {
        return;
    };
    id.schema_type = SchemaType::Type(Type::String);
    element.required.push("id".to_owned());
    element.example = None;
    element.examples.clear();
    let element_name = format!("{}BatchElement", name.trim_end_matches("Input"));
    let element = RefOr::T(Schema::Object(element));
    components.schemas.insert(element_name.clone(), element);
    *schema = Ref::from_schema_name(element_name).into();
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::http::openapi::document;

    fn is_valid(schema: &str, value: &Value) -> bool {
        let mut document = serde_json::to_value(document()).expect("JSON");
        let components = document["components"].take();
        let schema = json!({"$ref": format!("#/components/schemas/{schema}"), "components": components});
        jsonschema::validator_for(&schema)
            .expect("a schema")
            .is_valid(value)
    }

    #[test]
    fn ids_are_not_empty_and_elements_of_batches_have_one() {
        let group = |id: Value| json!({"id": id, "name": "Group"});
        assert!(is_valid("GroupInput", &group(json!("g"))) && is_valid("GroupInput", &group(json!(null))));
        assert!(!is_valid("GroupInput", &group(json!(""))));
        assert!(is_valid("GroupBatchElement", &group(json!("g"))));
        assert!(!is_valid("GroupBatchElement", &group(json!(null))));
        assert!(!is_valid("GroupBatchElement", &json!({"name": "Group"})));
        let completion = |users: Value| json!({"content": "c", "users": users});
        assert!(is_valid("NewCompletion", &completion(json!(["u"]))));
        assert!(!is_valid("NewCompletion", &completion(json!(["u", ""]))));
    }

    #[test]
    fn filters_have_parameters_and_custom_fields_with_values() {
        assert!(is_valid(
            "ReportFilter",
            &json!({"team": ["t"], "custom[Cost centre]": ["4711"]})
        ));
        for wrong in [
            json!({"team": [""]}),
            json!({"colour": ["red"]}),
            json!({"custom[]": ["x"]}),
        ] {
            assert!(!is_valid("ReportFilter", &wrong), "{wrong}");
        }
    }
}
