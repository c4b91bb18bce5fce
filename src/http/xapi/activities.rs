//! `/xapi/activities`: the definition of an Activity, merged from all records (xAPI 1.0.3, Communication 2.5;
//! `docs/specification.md#activities-and-agents`).
//!
//! Every definition of a sender that may define counts, wherever a statement names the Activity;
//! [`crate::record::definition`] has the rules of the merge. An Activity without a definition has the title of the
//! catalogue, in the language `und`. An unknown Activity has its id only.

pub mod profile;
pub mod state;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::access::permit::ReadActivityObjects;
use crate::http::auth::Caller;
use crate::http::openapi::ActivityDefinition;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;

use super::{XapiVersion, documents};

routes! {
    "/xapi/activities" => { get: read_activity_object },
}

/// An Activity with its definition (xAPI 1.0.3, Data 2.4.4.1).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"objectType": "Activity", "id": "https://example.com/fire-safety",
    "definition": {"name": {"en": "Fire Safety", "de": "Brandschutz"}}}))]
pub struct ActivityObject {
    /// Always `Activity`.
    pub object_type: &'static str,
    /// The IRI.
    pub id: String,
    /// The definition. It is left out if it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ActivityDefinition>, nullable = false)]
    pub definition: Option<Box<RawValue>>,
}

/// Read the definition of an Activity, merged from all statements that name it.
///
/// An Activity that no statement names has its id only.
#[utoipa::path(
    get,
    path = "/xapi/activities",
    tag = "xapi",
    operation_id = "read_activity_object",
    params(
        ("activityId" = String, Query, description = "The Activity's IRI.", example = "https://example.com/fire-safety"),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The Activity, also if it is unknown.", body = ActivityObject))
)]
async fn read_activity_object(
    caller: Caller<ReadActivityObjects>,
    _version: XapiVersion,
    query: QueryPairs,
) -> Answer {
    let reader = query.reader();
    let id = documents::parse_activity(&reader);
    reader.finish()?;
    let definition = caller.store().find_definition(caller.org(), &id).await?;
    let definition = definition.map(RawValue::from_string).transpose();
    Ok(HttpResponse::Ok().json(ActivityObject {
        object_type: "Activity",
        id,
        definition: definition.map_err(Problem::internal)?,
    }))
}
