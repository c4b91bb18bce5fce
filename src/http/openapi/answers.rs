//! Answers: the problems that every operation of a kind can answer with, and answers of several shapes.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOf, Schema, SchemaType, Type};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::super::problem::PROBLEM_JSON;

/// Which operations answer with a problem.
#[derive(Clone, Copy)]
enum Given {
    /// Those that read parameters or a body.
    Input,
    /// Those that need a caller.
    Caller,
    /// Those with an id in the path.
    Path,
    /// Those with a body.
    Body,
    /// Those that have no other problem.
    Nothing,
}

/// A status with the component that describes its answer.
struct Shared {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    given: Given,
}

const SHARED: [Shared; 9] = [
    Shared {
        status: "400",
        name: "BadRequest",
        description: "A parameter or the body is wrong. `errors` names each fault with its place.",
        given: Given::Input,
    },
    Shared {
        status: "401",
        name: "Unauthorized",
        description: "The token or credential is missing, wrong or expired.",
        given: Given::Caller,
    },
    Shared {
        status: "403",
        name: "Forbidden",
        description: "The caller may not do this.",
        given: Given::Caller,
    },
    Shared {
        status: "404",
        name: "NotFound",
        description: "The resource does not exist, or the caller may not see it.",
        given: Given::Path,
    },
    Shared {
        status: "413",
        name: "ContentTooLarge",
        description: "The body is larger than the server's limit.",
        given: Given::Body,
    },
    Shared {
        status: "415",
        name: "UnsupportedMediaType",
        description: "The operation does not take a body of this media type or content encoding.",
        given: Given::Body,
    },
    Shared {
        status: "429",
        name: "TooManyRequests",
        description: "The caller sends too many requests. `Retry-After` says when the next one is taken.",
        given: Given::Caller,
    },
    Shared {
        status: "503",
        name: "Unavailable",
        description: "The server is busy or has no database for the moment. Send the request again after `Retry-After`.",
        given: Given::Caller,
    },
    Shared {
        status: "4XX",
        name: "Refused",
        description: "The request is refused.",
        given: Given::Nothing,
    },
];

/// Adds the shared answers to the components.
pub(super) fn add_components(components: &mut Components) {
    for shared in &SHARED {
        components
            .responses
            .insert(shared.name.to_owned(), problem(shared.description).into());
    }
}

/// Adds the answers of an operation that its resource file does not describe.
pub(super) fn add_to_operation(operation: &mut Operation) {
    let has_parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty());
    let in_path = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in == utoipa::openapi::path::ParameterIn::Path,
            RefOr::Ref(_) => false,
        });
    let has_body = operation.request_body.is_some();
    let has_caller = operation.security.is_none();
    let responses = &mut operation.responses.responses;
    for shared in &SHARED {
        let applies = match shared.given {
            Given::Input => has_parameters || has_body,
            Given::Caller => has_caller,
            Given::Path => in_path,
            Given::Body => has_body,
            Given::Nothing => !responses.keys().any(|status| status.starts_with('4')),
        };
        if applies {
            responses
                .entry(shared.status.to_owned())
                .or_insert_with(|| Ref::from_response_name(shared.name).into());
        }
    }
    responses
        .entry("default".to_owned())
        .or_insert_with(|| problem("What is wrong and what to change (RFC 9457).").into());
}

/// Changes components that are one of several objects to `anyOf`. The larger shape comes first.
///
/// Clients of `openapi-generator` for Java read unknown members over, so the smaller shape matches an answer of the larger
/// one as well. With `oneOf` they refuse such an answer; with `anyOf` they take the first shape that matches.
pub(super) fn permit_any_shape(components: &mut Components) {
    for component in components.schemas.values_mut() {
        let RefOr::T(Schema::OneOf(one)) = component else {
            continue;
        };
        if one.items.iter().all(is_object) {
            let any = AnyOf {
                items: std::mem::take(&mut one.items),
                description: one.description.take(),
                example: one.example.take(),
                ..AnyOf::default()
            };
            *component = Schema::AnyOf(any).into();
        }
    }
}

/// Whether a schema is an object. All references in unions of answers are to objects.
fn is_object(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::Ref(_) | RefOr::T(Schema::AllOf(_)) => true,
        RefOr::T(Schema::Object(object)) => matches!(object.schema_type, SchemaType::Type(Type::Object)),
        RefOr::T(_) => false,
    }
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .build()
}
