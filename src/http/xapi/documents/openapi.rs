//! The part of the OpenAPI document that describes a document resource.

use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{
    Content, ContentBuilder, Info, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, ResponsesBuilder,
};

use super::DocumentResource;
use crate::record::Version;
use crate::store::DefaultPrecondition;

/// The texts of a document resource.
pub(in crate::http::xapi) struct Texts {
    /// The end of the operation ids: `state` in `read_state`.
    pub operation: &'static str,
    /// What a document is called.
    pub document: &'static str,
    /// An id of a document.
    pub id_example: &'static str,
    /// A JSON document.
    pub document_example: fn() -> Value,
}

/// A query parameter that names a set of documents.
pub(in crate::http::xapi) struct SetParameter {
    /// The name of the parameter.
    pub name: &'static str,
    /// What it means.
    pub description: &'static str,
    /// A value.
    pub example: Option<&'static str>,
    /// Whether a request must have it.
    pub required: Required,
    /// The schema of its value.
    pub schema: RefOr<Schema>,
}

/// Returns the description of the resource's four operations.
pub(in crate::http::xapi) fn document<R: DocumentResource>() -> OpenApi {
    let mut item = PathItem::new(HttpMethod::Get, get_operation::<R>());
    item.put = Some(put_operation::<R>());
    item.post = Some(post_operation::<R>());
    item.delete = Some(delete_operation::<R>());
    let mut paths = Paths::new();
    paths.paths.insert(R::PATH.to_owned(), item);
    OpenApi::new(Info::new("", ""), paths)
}

fn get_operation<R: DocumentResource>() -> Operation {
    let document = R::TEXTS.document;
    let json = ContentBuilder::new().schema(Some(Value::schema())).build();
    let found = ResponseBuilder::new()
        .description("The document with its media type and ETag, or an array of ids.")
        .content("application/json", json)
        .content("*/*", bytes())
        .build();
    operation::<R>("read", format!("Read one {document}, or list the ids of all."))
        .description(Some(
            "A document has the media type with which it was stored. Its ETag serves `If-Match` and `If-None-Match`.",
        ))
        .parameters(Some(parameters::<R>([
            id_parameter::<R>(
                Required::False,
                "The id of one document. Without it, the answer is a list of ids.",
            ),
            ParameterBuilder::new()
                .name("since")
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some("List only documents that were written after this moment."))
                .schema(Some(date_time()))
                .build(),
            header(
                "If-None-Match",
                "ETags that the client has. The answer is 304 if one of them is current.",
            ),
        ])))
        .responses(
            ResponsesBuilder::new()
                .response("200", found)
                .response("304", response("The client has the current document."))
                .build(),
        )
        .build()
}

fn put_operation<R: DocumentResource>() -> Operation {
    let document = R::TEXTS.document;
    let (if_match, if_none_match) = match R::default_precondition(Version::V1) {
        DefaultPrecondition::Allowed => (
            "The ETag of the document that is replaced. xAPI 2.0.0 requires it if the document exists.",
            "`*`: write only if the document does not exist.",
        ),
        DefaultPrecondition::OnlyNew | DefaultPrecondition::Refused => (
            "The ETag of the document that is replaced. Required if the document exists.",
            "`*`: write only if the document does not exist. xAPI 1.0.3 requires it for a new document.",
        ),
    };
    operation::<R>(
        "put",
        format!("Store one {document}, and replace an existing one."),
    )
    .description(Some("The document may have any media type."))
    .parameters(Some(parameters::<R>([
        id_parameter::<R>(Required::True, "The id of the document."),
        header("If-Match", if_match),
        header("If-None-Match", if_none_match),
    ])))
    .request_body(Some(body::<R>("The document, of any media type.")))
    .response("204", response("The document is stored."))
    .build()
}

fn post_operation<R: DocumentResource>() -> Operation {
    let document = R::TEXTS.document;
    operation::<R>(
        "post",
        format!("Store one {document}, or merge it into an existing one."),
    )
    .description(Some(
        "A merge needs two JSON objects. The members of the new one replace those of the existing one.",
    ))
    .parameters(Some(parameters::<R>([
        id_parameter::<R>(Required::True, "The id of the document."),
        header("If-Match", "The ETag of the existing document."),
        header("If-None-Match", "`*`: write only if the document does not exist."),
    ])))
    .request_body(Some(body::<R>(
        "The document; a JSON object if the document already exists.",
    )))
    .response("204", response("The document is stored or merged."))
    .build()
}

fn body<R: DocumentResource>(description: &str) -> RequestBody {
    let json = ContentBuilder::new()
        .schema(Some(Value::schema()))
        .example(Some((R::TEXTS.document_example)()))
        .build();
    RequestBodyBuilder::new()
        .description(Some(description))
        .content("application/json", json)
        .content("*/*", bytes())
        .required(Some(Required::True))
        .build()
}

fn date_time() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .build()
}

/// Bytes of any media type.
fn bytes() -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Binary")))
        .build()
}

fn delete_operation<R: DocumentResource>() -> Operation {
    let document = R::TEXTS.document;
    let (summary, id) = if R::CAN_DELETE_ALL {
        (
            format!("Delete one {document}, or all."),
            id_parameter::<R>(
                Required::False,
                "The id of one document. Without it, all documents are deleted.",
            ),
        )
    } else {
        (
            format!("Delete one {document}."),
            id_parameter::<R>(Required::True, "The id of the document."),
        )
    };
    operation::<R>("delete", summary)
        .description(Some("The answer is the same if there is no document."))
        .parameters(Some(parameters::<R>([
            id,
            header("If-Match", "The ETag of the existing document."),
        ])))
        .response("204", response("The document does not exist any more."))
        .build()
}

fn operation<R: DocumentResource>(verb: &str, summary: String) -> OperationBuilder {
    OperationBuilder::new()
        .tag("xapi")
        .operation_id(Some(format!("{verb}_{}", R::TEXTS.operation)))
        .summary(Some(summary))
}

/// Returns the parameters of an operation: those of the set, `own` ones, and the version.
fn parameters<R: DocumentResource>(own: impl IntoIterator<Item = Parameter>) -> Vec<Parameter> {
    let version = ParameterBuilder::new()
        .name("X-Experience-API-Version")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("`1.0.3` or `2.0.0`."))
        .schema(Some(String::schema()))
        .example(Some(json!("1.0.3")))
        .build();
    R::set_parameters()
        .into_iter()
        .map(|parameter| {
            ParameterBuilder::new()
                .name(parameter.name)
                .parameter_in(ParameterIn::Query)
                .required(parameter.required)
                .description(Some(parameter.description))
                .schema(Some(parameter.schema))
                .example(parameter.example.map(Value::from))
                .build()
        })
        .chain(own)
        .chain([version])
        .collect()
}

fn id_parameter<R: DocumentResource>(required: Required, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(R::ID_PARAMETER)
        .parameter_in(ParameterIn::Query)
        .required(required)
        .description(Some(description))
        .schema(Some(String::schema()))
        .example(Some(json!(R::TEXTS.id_example)))
        .build()
}

fn header(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(String::schema()))
        .build()
}

fn response(description: &str) -> Response {
    ResponseBuilder::new().description(description).build()
}

impl SetParameter {
    /// The parameter `activityId`.
    pub(in crate::http::xapi) fn activity() -> Self {
        Self {
            name: "activityId",
            description: "The Activity's IRI.",
            example: Some("https://example.com/fire-safety"),
            required: Required::True,
            schema: String::schema(),
        }
    }

    /// The parameter `agent`.
    pub(in crate::http::xapi) fn agent() -> Self {
        Self {
            name: "agent",
            description: "The Agent as JSON.",
            example: Some(r#"{"mbox":"mailto:ada@example.com"}"#),
            required: Required::True,
            schema: String::schema(),
        }
    }

    /// The parameter `registration`.
    pub(in crate::http::xapi) fn registration() -> Self {
        Self {
            name: "registration",
            description: "The registration of the attempt. Without it, a list of ids and the deletion of all documents \
                          cover every registration.",
            example: None,
            required: Required::False,
            schema: ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
                .into(),
        }
    }
}
