//! Liveness and readiness of the process (`docs/specification.md#health-and-metrics`).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::problem::{Answer, Code, Problem, ProblemDocument};
use super::routes::routes;
use crate::store::SchemaState;

/// The time within which the database must answer for the server to be ready.
const DATABASE_TIME: Duration = Duration::from_secs(2);

routes! {
    "/health/live" => { get: read_liveness },
    "/health/ready" => { get: read_readiness },
}

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`. Every other state is a problem document.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The running version.
    pub version: &'static str,
}

fn healthy_response() -> HttpResponse {
    HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Check that the process runs. It does not check the database: restarting this process would not repair it.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operation",
    operation_id = "read_liveness",
    security(()),
    responses((status = 200, description = "The process runs.", body = Health))
)]
async fn read_liveness() -> HttpResponse {
    healthy_response()
}

/// Check that the server can answer requests: the database answers, its schema is the one of this version, and the
/// server is not stopping.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    operation_id = "read_readiness",
    security(()),
    responses(
        (status = 200, description = "The server is ready.", body = Health),
        (status = 503, description = "The server is not ready.", body = ProblemDocument,
            content_type = "application/problem+json")
    )
)]
async fn read_readiness(app_state: Data<AppState>) -> Answer {
    let unavailable = |detail| Problem::new(Code::Unavailable, detail);
    if app_state.is_stopping() {
        return Err(unavailable("the server is stopping"));
    }
    match tokio::time::timeout(DATABASE_TIME, app_state.store().schema_state()).await {
        Ok(Ok(SchemaState::Current)) => Ok(healthy_response()),
        Ok(Ok(SchemaState::Behind { .. })) => Err(unavailable(
            "the database's schema is older than this version: run `rollbook migrate`",
        )),
        Ok(Ok(SchemaState::Ahead { .. })) => Err(unavailable(
            "the database's schema is newer than this version: run a newer rollbook",
        )),
        Ok(Err(error)) => Err(unavailable("the database does not answer").caused_by(error)),
        Err(_) => Err(unavailable("the database does not answer in time")),
    }
}
