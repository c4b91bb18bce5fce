//! `/xapi/about`: the versions of xAPI that the server supports (xAPI 1.0.3, Communication 2.8).

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Answer;
use crate::http::query::QueryPairs;
use crate::http::routes::routes;

/// The supported versions. The rules of 1.0.3 apply to every statement of 1.0.x.
const VERSIONS: [&str; 5] = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"];

routes! {
    "/xapi/about" => { get: read_about },
}

/// The supported versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"version": ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"], "extensions": {}}))]
pub struct About {
    /// The supported versions of xAPI.
    pub version: [&'static str; VERSIONS.len()],
    /// Extensions of the specification; none.
    #[schema(value_type = Object)]
    pub extensions: Extensions,
}

/// An empty map of extensions (xAPI 1.0.3, Data 4.1).
#[derive(Debug, Serialize)]
pub struct Extensions {}

/// Read the supported versions of xAPI. No authorisation and no version are needed.
#[utoipa::path(
    get,
    path = "/xapi/about",
    tag = "xapi",
    operation_id = "read_about",
    security(()),
    responses((status = 200, description = "The supported versions.", body = About))
)]
async fn read_about(query: QueryPairs) -> Answer {
    query.refuse_any()?;
    Ok(HttpResponse::Ok().json(About {
        version: VERSIONS,
        extensions: Extensions {},
    }))
}
