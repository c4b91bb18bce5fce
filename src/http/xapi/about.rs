//! `/xapi/about`: which versions are spoken here (xAPI 1.0.3, Communication 2.8; contract section 10).

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Answer;
use crate::http::query::QueryPairs;
use crate::http::routes::routes;

/// Every version spoken, by its full number. A statement of `1.0.x` is read by the rules of the last of them.
const VERSIONS: [&str; 5] = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"];

routes! {
    "/xapi/about" => { get: read_about },
}

/// What clients need to know before they say which version they speak.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"version": ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"], "extensions": {}}))]
pub struct About {
    /// The versions of xAPI that are spoken here.
    pub version: [&'static str; VERSIONS.len()],
    /// Nothing beyond the specification.
    #[schema(value_type = Object)]
    pub extensions: Extensions,
}

/// A map of extensions (xAPI 1.0.3, Data 4.1) that has none.
#[derive(Debug, Serialize)]
pub struct Extensions {}

/// Tell which versions of xAPI are spoken here. Anybody may ask, in any version or none.
#[utoipa::path(
    get,
    path = "/xapi/about",
    tag = "xapi",
    operation_id = "read_about",
    security(()),
    responses((status = 200, description = "The versions.", body = About))
)]
async fn read_about(query: QueryPairs) -> Answer {
    query.refuse_any()?;
    Ok(HttpResponse::Ok().json(About {
        version: VERSIONS,
        extensions: Extensions {},
    }))
}
