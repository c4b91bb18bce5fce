//! The OpenAPI document (3.1), collected from the resource files. `edition` rewrites it for version 3.0.
//!
//! A resource file describes its operations. This module adds what follows from a rule: `answers` adds the problems,
//! `bodies` the schemas of merge patches, NDJSON and the refusal of unknown members, `statements` the schemas of xAPI,
//! `parameters` and `forms` the forms of parameters and of texts in bodies, and `texts` divides the descriptions. A caller
//! must be authenticated unless the operation declares otherwise.

mod answers;
mod bodies;
mod edition;
mod forms;
mod parameters;
mod statements;
mod texts;

pub use statements::{ActivityDefinition, FoundStatements, LanguageMap, NewStatements, Statement};

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};
use utoipa::{Modify, OpenApi, ToSchema};

use super::problem::{ProblemDocument, ProblemError};
use super::v1::contents::ContentSort;
use super::v1::log_parameters::{ContentReference, CustomFields, NewActivityScore, UserByEmail};
use super::v1::users::UserSort;
use super::{cmi5_fetch, docs, downloads, files, health, metrics, v1, xapi};
use crate::directory::identity::AgentShape;
use crate::log::Sort;
use crate::log::filter::ResultFilter;
use crate::log::period::Period;
use crate::record::Origin;
use crate::reports::schedule::ScheduleStatus;

/// Title, tags and security.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rollbook",
        description = "A Learning Record Store with an Activity Log: clients write records as \
            xAPI statements or short-form activities, and read them as statements or as rows of the log, within \
            the caller's reach.",
        contact(name = "The contributors of Rollbook"),
    ),
    servers((url = "/", description = "The server that has this document.")),
    tags(
        (name = "activities", description = "The Activity Log: writing records and reading the log."),
        (name = "timelines", description = "The log of one user together with the notes about that user."),
        (name = "completions", description = "Marking content as complete, and the progress of persons."),
        (name = "imports", description = "Files of activities or statements, recorded in the background."),
        (name = "exports", description = "The log as CSV, NDJSON and Parquet, and links to files."),
        (name = "subscriptions", description = "Activities as signed webhooks, and statements for other record stores, as they come."),
        (name = "reports", description = "Saved reports, their schedules and deliveries, and report keys."),
        (name = "quizzes", description = "Answers to questions, and their statistics."),
        (name = "exercises", description = "Attempts at exercises, with grades and attached files."),
        (name = "directory", description = "Users, teams and groups."),
        (name = "catalogue", description = "Contents."),
        (name = "organisation", description = "The organisation's settings."),
        (name = "credentials", description = "Credentials of integrations and content."),
        (name = "launches", description = "Starting content for a user."),
        (name = "scorm", description = "Commits of SCORM players, and the data with which a learner goes on."),
        (name = "xapi", description = "The Learning Record Store: xAPI 1.0.3 and 2.0.0."),
        (name = "operation", description = "Health, metrics, this document.")
    ),
    components(schemas(
        ProblemDocument, ProblemError, ScheduleStatus, Origin, Period, ResultFilter, Sort, UserSort, ContentSort,
        UserByEmail, ContentReference, NewActivityScore, AgentShape, CustomFields
    )),
    security(("token" = []), ("credential" = [])),
    modifiers(&Schemes)
)]
struct Base;

/// Bytes of any media type in an answer.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Binary(pub Vec<u8>);

/// The two security schemes.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "A person's token: claims `sub`, `org`, `role`, `permissions`, `reports`, `exp`.",
            ));
        let credential = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some(
                "The key and secret of a credential; or the secret of a report key as the password, with any user name \
                 or none.",
            ));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        components.add_security_scheme("credential", SecurityScheme::Http(credential.build()));
    }
}

/// Returns the whole document.
pub fn document() -> Document {
    let mut document = Base::openapi();
    let operation_parts = [
        downloads::document(),
        cmi5_fetch::document(),
        files::document(),
        health::document(),
        metrics::document(),
        docs::document(),
    ];
    for part in v1::documents()
        .into_iter()
        .chain(xapi::documents())
        .chain(operation_parts)
    {
        document.merge(part);
    }
    if let Some(components) = &mut document.components {
        answers::add_components(components);
        statements::add_components(components);
        answers::permit_any_shape(components);
    }
    bodies::complete(&mut document);
    forms::add_forms(&mut document);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            answers::add_to_operation(operation);
            texts::split_summary(operation);
            parameters::add_bounds(operation);
        }
    }
    document
}

/// Returns the document as `rollbook openapi` prints it: indented, with a line break at its end. `base_path` is the path of the
/// server's public address, without a slash at its end.
///
/// # Errors
///
/// serde cannot write the document. This does not happen, since it contains strings and numbers only.
pub fn document_text(base_path: &str) -> Result<String, serde_json::Error> {
    indented(&document_below(base_path))
}

/// Returns the document in version 3.0.3, as `rollbook openapi --version 3.0` prints it.
///
/// # Errors
///
/// serde cannot write the document. This does not happen, since it contains strings and numbers only.
pub fn document_text_3_0(base_path: &str) -> Result<String, serde_json::Error> {
    indented(&edition::to_3_0(serde_json::to_value(document_below(base_path))?))
}

/// The document of a server whose public address has this path.
fn document_below(base_path: &str) -> Document {
    let mut document = document();
    if !base_path.is_empty() {
        for server in document.servers.iter_mut().flatten() {
            base_path.clone_into(&mut server.url);
        }
    }
    document
}

fn indented(document: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    use super::super::problem::PROBLEM_JSON;
    use super::*;

    fn json() -> serde_json::Value {
        serde_json::to_value(document()).expect("JSON")
    }

    #[test]
    fn document_and_routes_have_the_same_operations() {
        let document = json();
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeMap<&str, BTreeSet<&str>> = paths
            .iter()
            .map(|(path, item)| {
                (
                    path.as_str(),
                    item.as_object()
                        .expect("item")
                        .keys()
                        .map(String::as_str)
                        .collect(),
                )
            })
            .collect();
        let mut routed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (path, methods) in crate::http::table() {
            assert!(
                routed.insert(path, methods.iter().copied().collect()).is_none(),
                "{path} is routed twice"
            );
        }
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_a_unique_id_a_tag_and_a_problem() {
        let document = json();
        let tags: HashSet<&str> = document["tags"]
            .as_array()
            .expect("tags")
            .iter()
            .filter_map(|tag| tag["name"].as_str())
            .collect();
        let mut ids = HashSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("item") {
                let place = format!("{method} {path}");
                let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
                assert!(
                    !id.is_empty() && ids.insert(id),
                    "{place} needs a unique operation id"
                );
                assert!(
                    operation["tags"][0]
                        .as_str()
                        .is_some_and(|tag| tags.contains(tag)),
                    "{place} needs a tag"
                );
                let problem = &operation["responses"]["default"]["content"][PROBLEM_JSON]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{place}");
            }
        }
    }

    #[test]
    fn every_reference_has_a_target() {
        fn references(value: &serde_json::Value, found: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(members) => {
                    for (key, member) in members {
                        match member.as_str() {
                            Some(target) if key == "$ref" => found.push(target.to_owned()),
                            _ => references(member, found),
                        }
                    }
                }
                serde_json::Value::Array(elements) => elements.iter().for_each(|e| references(e, found)),
                _ => {}
            }
        }
        for document in [json(), edition::to_3_0(json())] {
            let mut found = Vec::new();
            references(&document, &mut found);
            assert!(found.len() > 500, "{} references", found.len());
            for target in found {
                let pointer = target.strip_prefix('#').expect("a local reference");
                let version = &document["openapi"];
                assert!(
                    document.pointer(pointer).is_some(),
                    "{target} has no target in {version}"
                );
            }
        }
    }

    #[test]
    fn answers_of_several_shapes_permit_any_of_them() {
        for (name, schema) in json()["components"]["schemas"].as_object().expect("schemas") {
            let alternatives = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
            let objects = alternatives
                .iter()
                .filter(|one| one["type"] == "object" || one["$ref"].is_string());
            assert!(objects.count() < 2, "{name} is `oneOf` several objects");
        }
    }

    #[test]
    fn merge_patches_have_one_media_type() {
        let document = json();
        let mut patches = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            if let Some(content) = item["patch"]["requestBody"]["content"].as_object() {
                patches += 1;
                let types: Vec<&String> = content.keys().collect();
                assert_eq!(types, ["application/merge-patch+json"], "{path}");
            }
        }
        assert!(patches > 5, "{patches}");
    }

    #[test]
    fn orders_of_lists_are_closed_sets() {
        let document = json();
        let operations = document["paths"].as_object().expect("paths").values();
        let operations = operations.flat_map(|item| item.as_object().expect("item").values());
        let parameters = operations.filter_map(|operation| operation["parameters"].as_array());
        let orders: Vec<_> = parameters
            .flatten()
            .filter(|parameter| parameter["name"] == "sort")
            .collect();
        assert!(orders.len() > 8, "{}", orders.len());
        for order in orders {
            let reference = order["schema"]["$ref"].as_str().unwrap_or_default();
            let named = document.pointer(reference.trim_start_matches('#'));
            let schema = named
                .filter(|_| !reference.is_empty())
                .unwrap_or(&order["schema"]);
            let values = schema["enum"].as_array().map_or(0, Vec::len);
            assert!(values > 1, "{order}");
        }
    }

    #[test]
    fn server_has_the_path_of_the_public_address() {
        for (base_path, expected) in [("", "/"), ("/a/rollbook", "/a/rollbook")] {
            for text in [document_text(base_path), document_text_3_0(base_path)] {
                let document: serde_json::Value =
                    serde_json::from_str(&text.expect("the text")).expect("JSON");
                assert_eq!(document["servers"][0]["url"], expected);
            }
        }
    }

    #[test]
    fn document_is_openapi_3_1_with_both_security_schemes() {
        let document = json();
        assert!(
            document["openapi"]
                .as_str()
                .is_some_and(|version| version.starts_with("3.1"))
        );
        assert_eq!(
            document["components"]["securitySchemes"]["token"]["scheme"],
            "bearer"
        );
        assert_eq!(
            document["components"]["securitySchemes"]["credential"]["scheme"],
            "basic"
        );
        assert!(document_text("").is_ok_and(|text| text.ends_with("}\n")));
    }
}
