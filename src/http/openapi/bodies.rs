//! The bodies of requests: merge patches have schemas of their own, batches may be NDJSON, and members that the server
//! refuses are not permitted.
//!
//! A merge patch has one media type here. The server takes `application/json` too, but `openapi-python-client` makes modules
//! that cannot be imported from two media types with one schema.

use std::collections::BTreeSet;

use utoipa::openapi::path::Operation;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object, Schema};
use utoipa::openapi::{Components, Content, OpenApi, Ref, RefOr};

use super::operations;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const NDJSON: &str = "application/x-ndjson";
/// Where references to schemas begin.
const SCHEMAS: &str = "#/components/schemas/";

/// Schemas of bodies with members that the server passes over: players of SCORM send members of their own.
const TOLERANT: [&str; 1] = ["ScormCommit"];

/// Completes the bodies of all operations.
pub(super) fn complete(document: &mut OpenApi) {
    let Some(mut components) = document.components.take() else {
        return;
    };
    let mut sent = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            let Some(body) = body_of(operation) else { continue };
            add_media_types(path, body, &mut components);
            // The statements of xAPI have strict schemas already, and documents have none.
            if !path.starts_with("/xapi/") {
                for content in body.content.values() {
                    if let RefOr::T(content) = content {
                        collect_names(content.schema.as_ref(), &components, &mut sent);
                    }
                }
            }
        }
    }
    for name in sent.iter().filter(|name| !TOLERANT.contains(&name.as_str())) {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            refuse_other_members(object);
        }
    }
    document.components = Some(components);
}

/// The body of an operation.
pub(super) fn body_of(operation: &mut Operation) -> Option<&mut RequestBody> {
    match &mut operation.request_body {
        Some(RefOr::T(body)) => Some(body),
        _ => None,
    }
}

fn add_media_types(path: &str, body: &mut RequestBody, components: &mut Components) {
    if let Some(RefOr::T(content)) = body.content.get_mut(MERGE_PATCH)
        && let Some(schema) = content.schema.as_mut()
    {
        use_patch_schema(schema, components);
    }
    if path.ends_with("/batch")
        && let Some(RefOr::T(content)) = body.content.get(JSON)
        && let Some(RefOr::T(Schema::Array(array))) = &content.schema
        && let ArrayItems::RefOrSchema(element) = &array.items
    {
        let lines = Content::new(Some((**element).clone()));
        body.content.insert(NDJSON.to_owned(), lines.into());
    }
}

/// Replaces a reference to the schema of a whole resource by one to the schema of its changes: nothing is required.
fn use_patch_schema(schema: &mut RefOr<Schema>, components: &mut Components) {
    let Some(name) = referenced_name(schema) else {
        return;
    };
    if name.ends_with("Patch") {
        return;
    }
    let patch_name = format!("{}Patch", name.trim_end_matches("Input"));
    if let Some(RefOr::T(Schema::Object(whole))) = components.schemas.get(name) {
        let mut patch = whole.clone();
        patch.required.clear();
        patch.example = None;
        patch.examples.clear();
        patch.description = Some(
            "The members to change. A member that is left out stays; `null` removes one that may be missing."
                .to_owned(),
        );
        components
            .schemas
            .insert(patch_name.clone(), RefOr::T(Schema::Object(patch)));
        *schema = Ref::from_schema_name(patch_name).into();
    }
}

/// The name of the component that a reference leads to.
pub(super) fn referenced_name(schema: &RefOr<Schema>) -> Option<&str> {
    match schema {
        RefOr::Ref(reference) => reference.ref_location.strip_prefix(SCHEMAS),
        RefOr::T(_) => None,
    }
}

/// Adds the names of the components that a schema uses, directly or through others.
fn collect_names(schema: Option<&RefOr<Schema>>, components: &Components, names: &mut BTreeSet<String>) {
    let Some(schema) = schema else { return };
    match schema {
        RefOr::Ref(_) => {
            if let Some(name) = referenced_name(schema)
                && names.insert(name.to_owned())
            {
                collect_names(components.schemas.get(name), components, names);
            }
        }
        RefOr::T(schema) => {
            for part in parts(schema) {
                collect_names(Some(part), components, names);
            }
        }
    }
}

/// The schemas of which a schema consists.
fn parts(schema: &Schema) -> Vec<&RefOr<Schema>> {
    match schema {
        Schema::Array(array) => match &array.items {
            ArrayItems::RefOrSchema(element) => vec![element],
            ArrayItems::False => Vec::new(),
        },
        Schema::Object(object) => object.properties.values().collect(),
        Schema::OneOf(one) => one.items.iter().collect(),
        Schema::AllOf(all) => all.items.iter().collect(),
        Schema::AnyOf(any) => any.items.iter().collect(),
        _ => Vec::new(),
    }
}

fn refuse_other_members(object: &mut Object) {
    if !object.properties.is_empty() && object.additional_properties.is_none() {
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
}
