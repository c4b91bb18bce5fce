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

/// An activity as it is sent (contract section 6, *Short form*).
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
#[schema(example = json!({
    "user": "u1", "action": "completed", "content": "fire-safety", "happened_at": "2026-11-01T09:30:00Z",
    "result": {"success": true, "score": 92, "total_time": "PT5M"}
}))]
pub struct NewActivity {
    /// The sender's id for it: the same record twice is one record.
    id: Option<Uuid>,
    /// A user's id, `{"email"}`, or an xAPI agent.
    #[schema(value_type = Value)]
    user: Value,
    /// What they did; or `verb`.
    action: Option<Action>,
    /// The IRI of a verb, instead of `action`.
    verb: Option<String>,
    /// A content's id, or `{"id" or "iri", "title", "type", "content_type"}`; none for logins and the like.
    #[schema(value_type = Option<Value>)]
    content: Option<Value>,
    /// When it happened, RFC 3339; default: now.
    #[schema(format = DateTime)]
    happened_at: Option<String>,
    /// How it went.
    result: Option<NewActivityResult>,
    /// The answers to a quiz's questions.
    responses: Option<Vec<NewActivityResponse>>,
    /// The certificate that came with it.
    certificate: Option<NewActivityCertificate>,
    /// When what was achieved expires.
    #[schema(format = DateTime)]
    expired_at: Option<String>,
    /// The device.
    device_type: Option<String>,
    /// The content library or system that it comes from.
    source: Option<String>,
    /// What ties the records of one attempt together.
    registration: Option<Uuid>,
    /// Who did it to the user; from a credential only.
    recorded_by: Option<String>,
    /// What they said about it; from a credential only.
    comment: Option<String>,
}

/// The result of an activity as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityResult {
    /// Whether it succeeded.
    success: Option<bool>,
    /// Whether it was done to its end.
    completion: Option<bool>,
    /// A percentage, or `{"scaled", "raw", "min", "max"}`.
    #[schema(value_type = Option<Value>, example = 92)]
    score: Option<Value>,
    /// ISO 8601, SCORM 1.2's `HHHH:MM:SS.SS`, or plain seconds.
    #[schema(value_type = Option<Value>, example = "PT5M")]
    total_time: Option<Value>,
    /// What was answered.
    response: Option<String>,
}

/// The answer to one question as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityResponse {
    /// The question's id or number.
    question: String,
    /// What was asked.
    prompt: Option<String>,
    /// What was answered.
    response: String,
    /// Whether that is right.
    correct: Option<bool>,
    /// The points for it.
    score: Option<f64>,
    /// How long it took.
    seconds: Option<f64>,
}

/// The certificate of an activity as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityCertificate {
    /// What it is called.
    name: Option<String>,
    /// When it expires.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}
