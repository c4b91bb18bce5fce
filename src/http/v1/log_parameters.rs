//! The log's query parameters and the short form in the OpenAPI document.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{Ref, RefOr, Required};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::catalogue::{ContentFormat, LearningType};
use crate::log::Action;
use crate::log::filter::{self, FilterSet, PAGE_PARAMETERS, SCOPE_PARAMETERS, SORT_PARAMETERS};

/// The parameters that select a scope inside the reach (docs/specification.md#scopes).
pub struct LogScope;

/// The filters of activities (docs/specification.md#parameters).
pub struct LogFilter;

/// The filters of persons.
pub struct PeopleFilter;

/// The filters of the records of one content.
pub struct ContentFilter;

/// The parameters of order and pages (docs/specification.md#sorting-and-paging).
pub struct LogPage;

/// The parameters that may be added to a saved report: [`LogScope`] and [`LogFilter`], without those that could add
/// rows.
pub struct AddedFilter;

macro_rules! documented_parameters {
    ($($name:ty => $parameters:expr, custom: $custom:literal;)+) => {
        $(impl IntoParams for $name {
            fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let place = parameter_in().unwrap_or(ParameterIn::Query);
                $parameters.map(|parameter| document(parameter, place.clone())).chain($custom.then(custom_fields)).collect()
            }
        })+
    };
}

documented_parameters! {
    LogScope => SCOPE_PARAMETERS.iter(), custom: false;
    LogFilter => FilterSet::All.parameters(), custom: true;
    PeopleFilter => FilterSet::Persons.parameters(), custom: true;
    ContentFilter => FilterSet::OneContent.parameters(), custom: true;
    LogPage => SORT_PARAMETERS.iter().chain(PAGE_PARAMETERS), custom: false;
    AddedFilter => SCOPE_PARAMETERS
        .iter()
        .chain(FilterSet::All.parameters())
        .filter(|parameter| !parameter.always_widens()), custom: true;
}

/// `custom[<field>]=<value>`: a deep object with a member for each field.
fn custom_fields() -> Parameter {
    ParameterBuilder::new()
        .name("custom")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "`custom[<field>]=<value>`: users with this value of a custom field. A parameter may be repeated for several \
             values.",
        ))
        .style(Some(ParameterStyle::DeepObject))
        .explode(Some(true))
        .schema(Some(Ref::from_schema_name("CustomFields")))
        .example(Some(json!({"Region": "North"})))
        .build()
}

/// Values of custom fields. The `allOf` is for generators of Java, which have a class only for a composed schema.
pub struct CustomFields;

impl ToSchema for CustomFields {}

impl PartialSchema for CustomFields {
    fn schema() -> RefOr<Schema> {
        let map =
            ObjectBuilder::new().additional_properties(Some(AdditionalProperties::RefOr(String::schema())));
        AllOfBuilder::new()
            .item(map)
            .description(Some(
                "Values of custom fields of users, by the names of the fields.",
            ))
            .into()
    }
}

/// The description of one parameter.
fn document(parameter: &filter::Parameter, place: ParameterIn) -> Parameter {
    // An example is JSON, or a text that is not JSON.
    let example = parameter
        .traits
        .example
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(parameter.description))
        .schema(Some((parameter.schema)()))
        .example(example)
        .build()
}

/// A new activity in short form (docs/specification.md#short-form).
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
#[schema(example = json!({
    "user": "u1", "action": "completed", "content": "fire-safety", "happened_at": "2026-11-01T09:30:00Z",
    "result": {"success": true, "score": 92, "total_time": "PT5M"}
}))]
pub struct NewActivity {
    /// The id from the client. A repeated record with the same id is stored once.
    id: Option<Uuid>,
    /// A user's id, `{"email"}`, or an xAPI agent.
    #[schema(schema_with = user_schema)]
    user: Value,
    /// The action; required without `verb`.
    action: Option<Action>,
    /// The IRI of a verb, instead of `action`.
    verb: Option<String>,
    /// A content's id, or `{"id" or "iri", "title", "type", "content_type"}`; omitted for sessions, for example.
    #[schema(schema_with = content_schema, required = false)]
    content: Option<Value>,
    /// When the activity happened, as RFC 3339; default: now.
    #[schema(format = DateTime)]
    happened_at: Option<String>,
    /// The result.
    result: Option<NewActivityResult>,
    /// The answers to the questions of a quiz.
    responses: Option<Vec<NewActivityResponse>>,
    /// The certificate that was awarded.
    certificate: Option<NewActivityCertificate>,
    /// When the completion expires.
    #[schema(format = DateTime)]
    expired_at: Option<String>,
    /// The type of the device.
    device_type: Option<String>,
    /// The content library or system from which the activity comes.
    source: Option<String>,
    /// The registration, which all records of one attempt share.
    registration: Option<Uuid>,
    /// The user that recorded the activity; from credentials only.
    recorded_by: Option<String>,
    /// The comment of the recorder; from credentials only.
    comment: Option<String>,
}

/// A user by e-mail address.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
#[schema(example = json!({"email": "ada@example.org"}))]
pub struct UserByEmail {
    /// The e-mail address.
    email: String,
}

/// A content by its id or its IRI, with what a new content is called. Exactly one of `id` and `iri` is required.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
#[schema(example = json!({"iri": "https://example.org/fire-safety", "title": "Fire Safety", "type": "quiz"}))]
pub struct ContentReference {
    /// The platform's own id.
    id: Option<String>,
    /// The IRI.
    iri: Option<String>,
    /// The title.
    title: Option<String>,
    /// The type.
    #[schema(rename = "type")]
    learning_type: Option<LearningType>,
    /// The content type of an item.
    content_type: Option<ContentFormat>,
}

/// A score as in xAPI.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
#[schema(example = json!({"raw": 7, "max": 10}))]
pub struct NewActivityScore {
    /// From -1 to 1.
    #[schema(minimum = -1, maximum = 1)]
    scaled: Option<f64>,
    /// The points.
    raw: Option<f64>,
    /// The lowest points that are possible.
    min: Option<f64>,
    /// The highest points that are possible.
    max: Option<f64>,
}

fn user_schema() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(String::schema())
        .item(Ref::from_schema_name("UserByEmail"))
        .item(Ref::from_schema_name("Agent"))
        .description(Some("A user's id, `{\"email\"}`, or an xAPI agent."))
        .into()
}

fn content_schema() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(String::schema())
        .item(Ref::from_schema_name("ContentReference"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(
            "A content's id, or an object with its `id` or `iri`; omitted for sessions, for example.",
        ))
        .into()
}

fn score_schema() -> RefOr<Schema> {
    let percent = ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
        .minimum(Some(0))
        .maximum(Some(100));
    OneOfBuilder::new()
        .item(percent)
        .item(Ref::from_schema_name("NewActivityScore"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(
            "A percentage, or an object with `scaled`, `raw`, `min` and `max`.",
        ))
        .examples([json!(92)])
        .into()
}

fn total_time_schema() -> RefOr<Schema> {
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
        .minimum(Some(0));
    OneOfBuilder::new()
        .item(String::schema())
        .item(seconds)
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(
            "A duration by ISO 8601, a time of SCORM 1.2 (`HHHH:MM:SS.SS`), or seconds.",
        ))
        .examples([json!("PT5M")])
        .into()
}

/// The result of a new activity.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
pub struct NewActivityResult {
    /// Whether the attempt succeeded.
    success: Option<bool>,
    /// Whether the attempt is complete.
    completion: Option<bool>,
    /// A percentage, or `{"scaled", "raw", "min", "max"}`.
    #[schema(schema_with = score_schema, required = false)]
    score: Option<Value>,
    /// ISO 8601, SCORM 1.2's `HHHH:MM:SS.SS`, or plain seconds.
    #[schema(schema_with = total_time_schema, required = false)]
    total_time: Option<Value>,
    /// The response.
    response: Option<String>,
}

/// The answer to a question of a new activity.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
pub struct NewActivityResponse {
    /// The id or number of the question.
    question: String,
    /// The text of the question.
    prompt: Option<String>,
    /// The answer.
    response: String,
    /// Whether the answer is correct.
    correct: Option<bool>,
    /// The points for the answer.
    score: Option<f64>,
    /// The duration in seconds.
    seconds: Option<f64>,
}

/// The certificate of a new activity.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
pub struct NewActivityCertificate {
    /// The name.
    name: Option<String>,
    /// When the certificate expires.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}
