//! Liveness and readiness, for whatever starts and watches the process (contract section 11).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::problem::{Answer, Code, Problem, ProblemDocument};
use super::routes::routes;
use crate::store::SchemaState;

/// How long the database may take to answer before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

routes! {
    "/health/live" => { get: read_liveness },
    "/health/ready" => { get: read_readiness },
}

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`; everything else is a problem document.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The running version.
    pub version: &'static str,
}

fn ok() -> HttpResponse {
    HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Is the process alive? It asks nothing else: a dead database is no reason to restart this process.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operation",
    operation_id = "read_liveness",
    security(()),
    responses((status = 200, description = "It is alive.", body = Health))
)]
async fn read_liveness() -> HttpResponse {
    ok()
}

/// Can the process serve? The database answers, its schema is the one that this version needs, and the
/// server isn't about to stop.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    operation_id = "read_readiness",
    security(()),
    responses(
        (status = 200, description = "It can serve.", body = Health),
        (status = 503, description = "Not now.", body = ProblemDocument,
            content_type = "application/problem+json")
    )
)]
async fn read_readiness(app_state: Data<AppState>) -> Answer {
    let unavailable = |detail| Problem::new(Code::Unavailable, detail);
    if app_state.is_stopping() {
        return Err(unavailable("the server is about to stop"));
    }
    match tokio::time::timeout(PATIENCE, app_state.store().schema_state()).await {
        Ok(Ok(SchemaState::Current)) => Ok(ok()),
        Ok(Ok(SchemaState::Behind { .. })) => Err(unavailable(
            "the database's schema is behind: run `rollbook migrate`",
        )),
        Ok(Ok(SchemaState::Ahead { .. })) => Err(unavailable(
            "the database's schema is ahead: run a newer rollbook",
        )),
        Ok(Err(error)) => Err(unavailable("the database doesn't answer").caused_by(error)),
        Err(_) => Err(unavailable("the database doesn't answer in time")),
    }
}
