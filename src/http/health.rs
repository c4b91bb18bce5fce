//! Liveness and readiness of the process (`docs/specification.md#health-and-metrics`).

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use super::query::QueryPairs;
use super::request_id::RequestId;
use super::routes::routes;
use super::{AppState, base_path_of};
use crate::store::{SchemaState, Store, WriteFault};

/// The time within which the database must answer for the server to be ready.
const DATABASE_TIME: Duration = Duration::from_secs(2);

/// How long the result of a check is used again. Anybody can ask, so a request must not cost a query.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The value of `Retry-After` while the server is not ready, in seconds.
const RETRY_SECONDS: u16 = 5;

/// The state of reads or writes that work.
const OK: &str = "ok";

/// The state of reads or writes while the server cannot be used at all.
const UNAVAILABLE: &str = "unavailable";

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

/// The state of a server that is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always `ok`. A server that is not ready answers with a problem document.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The running version.
    pub version: &'static str,
    /// Always `ok`.
    #[schema(example = "ok")]
    pub reads: &'static str,
    /// `ok`; with `for=reads` also what prevents writes: `disk-full`, `disk-failed`, `read-only`, `file-replaced`
    /// or `locked`.
    #[schema(example = "ok")]
    pub writes: &'static str,
}

/// The problem document of a server that is not ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotReady {
    /// The problem.
    #[serde(flatten)]
    pub problem: ProblemDocument,
    /// `ok`, or `unavailable`.
    #[schema(example = "ok")]
    pub reads: &'static str,
    /// `unavailable`, or what prevents writes: `disk-full`, `disk-failed`, `read-only`, `file-replaced` or `locked`.
    #[schema(example = "disk-full")]
    pub writes: &'static str,
}

/// Why a server is not ready.
struct Obstacle {
    problem: Problem,
    reads: &'static str,
    writes: &'static str,
}

impl Obstacle {
    /// The server can neither read nor write.
    fn of_everything(problem: Problem) -> Self {
        Self {
            problem,
            reads: UNAVAILABLE,
            writes: UNAVAILABLE,
        }
    }

    fn of_writes(fault: WriteFault) -> Self {
        let detail = format!("nothing can be written because {fault}");
        Self {
            problem: Problem::new(Code::Unavailable, detail),
            // What is read may not be what is at the path of the database.
            reads: if fault == WriteFault::FileReplaced {
                UNAVAILABLE
            } else {
                OK
            },
            writes: fault.key(),
        }
    }

    fn into_response(self, request: &HttpRequest) -> Answer {
        if let Some(cause) = self.problem.cause() {
            tracing::warn!(cause, "the server is not ready");
        }
        let id = RequestId::from_request(request);
        let document = NotReady {
            problem: self
                .problem
                .to_document(base_path_of(request), id.as_ref().map(RequestId::as_str)),
            reads: self.reads,
            writes: self.writes,
        };
        let body = serde_json::to_vec(&document).map_err(Problem::internal)?;
        Ok(HttpResponse::ServiceUnavailable()
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .insert_header((header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS)))
            .body(body))
    }
}

/// Why the database cannot be read.
#[derive(Debug, Clone)]
struct ReadFault {
    detail: &'static str,
    cause: Option<String>,
}

impl ReadFault {
    fn new(detail: &'static str) -> Self {
        Self { detail, cause: None }
    }
}

impl From<ReadFault> for Problem {
    fn from(fault: ReadFault) -> Self {
        let problem = Problem::new(Code::Unavailable, fault.detail);
        match fault.cause {
            Some(cause) => problem.caused_by(cause),
            None => problem,
        }
    }
}

/// The last check of the database, which the next requests use again.
#[derive(Debug, Default)]
pub struct ReadCheck {
    /// The time and the result. The lock is held during a check, so that concurrent callers share one.
    last: tokio::sync::Mutex<Option<(Instant, Option<ReadFault>)>>,
}

impl ReadCheck {
    /// Why the database cannot be read. Asks it at most once a second.
    async fn find_fault(&self, store: &Store) -> Option<ReadFault> {
        let mut last = self.last.lock().await;
        if let Some((at, fault)) = &*last
            && at.elapsed() < CHECK_EVERY
        {
            return fault.clone();
        }
        let fault = check_database(store).await.err();
        *last = Some((Instant::now(), fault.clone()));
        fault
    }
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
    HttpResponse::Ok().json(Health {
        status: OK,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Check that the server can answer requests: the database answers, its schema is the one of this version, records can be
/// written, and the server is not stopping.
///
/// With `for=reads` the check is for replicas that only read: what prevents writes is named, and is no failure.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    operation_id = "read_readiness",
    security(()),
    params((
        "for" = Option<String>, Query, example = "reads",
        description = "`reads`: the server is ready if it can answer reads. Without it, it must be able to write, too."
    )),
    responses(
        (status = 200, description = "The server is ready.", body = Readiness),
        (status = 503, description = "The server is not ready.", body = NotReady,
            content_type = "application/problem+json")
    )
)]
async fn read_readiness(app_state: Data<AppState>, pairs: QueryPairs, request: HttpRequest) -> Answer {
    // Other parameters are ignored: load balancers add some against caches.
    let for_reads = match pairs.as_slice().iter().find(|(name, _)| name == "for") {
        None => false,
        Some((_, value)) if value == "reads" => true,
        Some(_) => return Err(Problem::bad_parameter("for", "must be `reads`, or be left out")),
    };
    if app_state.is_stopping() {
        let problem = Problem::new(Code::Unavailable, "the server is stopping");
        return Obstacle::of_everything(problem).into_response(&request);
    }
    if let Some(fault) = app_state.read_check().find_fault(app_state.store()).await {
        return Obstacle::of_everything(fault.into()).into_response(&request);
    }
    let writes = match app_state.store().write_fault().await.map(Obstacle::of_writes) {
        Some(obstacle) if for_reads && obstacle.reads == OK => obstacle.writes,
        Some(obstacle) => return obstacle.into_response(&request),
        None => OK,
    };
    Ok(HttpResponse::Ok().json(Readiness {
        status: OK,
        version: env!("CARGO_PKG_VERSION"),
        reads: OK,
        writes,
    }))
}

/// The routes of a server that waits for its database.
pub fn waiting_routes(config: &mut ServiceConfig) {
    config
        .route("/health/live", web::get().to(read_liveness))
        .route("/health/ready", web::get().to(refuse_readiness))
        .default_service(web::to(refuse_while_waiting));
}

fn waiting_problem() -> Problem {
    Problem::new(
        Code::DatabaseUnavailable,
        "the server has started and waits for its database; try again in a few seconds",
    )
    .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS))
}

async fn refuse_readiness(request: HttpRequest) -> Answer {
    Obstacle::of_everything(waiting_problem()).into_response(&request)
}

async fn refuse_while_waiting(request: HttpRequest) -> HttpResponse {
    waiting_problem().to_response(base_path_of(&request), None)
}

/// Checks that the database answers with the schema of this version.
async fn check_database(store: &Store) -> Result<(), ReadFault> {
    match tokio::time::timeout(DATABASE_TIME, store.schema_state()).await {
        Ok(Ok(SchemaState::Current)) => Ok(()),
        Ok(Ok(SchemaState::Behind { .. })) => Err(ReadFault::new(
            "the database's schema is older than this version: run `rollbook migrate`",
        )),
        Ok(Ok(SchemaState::Ahead { .. })) => Err(ReadFault::new(
            "the database's schema is newer than this version: run a newer rollbook",
        )),
        Ok(Err(error)) => Err(ReadFault {
            cause: Some(error.to_string()),
            ..ReadFault::new("the database does not answer")
        }),
        Err(_) => Err(ReadFault::new("the database does not answer in time")),
    }
}
