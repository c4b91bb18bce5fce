//! The log's query parameters and the short form in the OpenAPI document.

use serde_json::Value;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::log::Action;
use crate::log::filter::{self, FilterSet, PAGE_PARAMETERS, SCOPE_PARAMETERS, SORT_PARAMETERS};

/// The parameters that select a scope inside the reach (docs/specification.md#scopes).
pub struct LogScope;

/// The filters of activities (docs/specification.md#parameters), without `custom[<field>]`.
pub struct LogFilter;

/// The filters of persons, without `custom[<field>]`.
pub struct PeopleFilter;

/// The filters of the records of one content, without `custom[<field>]`.
pub struct ContentFilter;

/// The parameters of order and pages (docs/specification.md#sorting-and-paging).
pub struct LogPage;

/// The parameters that may be added to a saved report: [`LogScope`] and [`LogFilter`], without those that could add
/// rows.
pub struct AddedFilter;

macro_rules! documented_parameters {
    ($($name:ty => $parameters:expr;)+) => {
        $(impl IntoParams for $name {
            fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let place = parameter_in().unwrap_or(ParameterIn::Query);
                $parameters.map(|parameter| document(parameter, place.clone())).collect()
            }
        })+
    };
}

documented_parameters! {
    LogScope => SCOPE_PARAMETERS.iter();
    LogFilter => FilterSet::All.parameters();
    PeopleFilter => FilterSet::Persons.parameters();
    ContentFilter => FilterSet::OneContent.parameters();
    LogPage => SORT_PARAMETERS.iter().chain(PAGE_PARAMETERS);
    AddedFilter => SCOPE_PARAMETERS
        .iter()
        .chain(FilterSet::All.parameters())
        .filter(|parameter| !parameter.always_widens());
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
    #[schema(value_type = Value)]
    user: Value,
    /// The action; required without `verb`.
    action: Option<Action>,
    /// The IRI of a verb, instead of `action`.
    verb: Option<String>,
    /// A content's id, or `{"id" or "iri", "title", "type", "content_type"}`; omitted for sessions, for example.
    #[schema(value_type = Option<Value>)]
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

/// The result of a new activity.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
pub struct NewActivityResult {
    /// Whether the attempt succeeded.
    success: Option<bool>,
    /// Whether the attempt is complete.
    completion: Option<bool>,
    /// A percentage, or `{"scaled", "raw", "min", "max"}`.
    #[schema(value_type = Option<Value>, example = 92)]
    score: Option<Value>,
    /// ISO 8601, SCORM 1.2's `HHHH:MM:SS.SS`, or plain seconds.
    #[schema(value_type = Option<Value>, example = "PT5M")]
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
