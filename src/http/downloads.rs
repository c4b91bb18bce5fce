//! `/downloads/{token}`: a scheduled report that was too large to be attached to its message (contract section 9).
//!
//! Whoever has the address has the file: there is no `Authorization`, as messages are read where nobody is signed in.
//! The token is signed and expires, and what it opens is what its recipient and the schedule's maker may see now.
//!
//! Downloads have few turns, and none of the exports' own. As one caller, for the limit of requests a second, counts each
//! recipient of a delivery: whoever holds the link.

use std::time::Instant;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{TryStreamExt as _, stream};

use super::AppState;
use super::middleware::is_head_request;
use super::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use super::query::QueryPairs;
use super::routes::routes;
use super::v1::exports;
use crate::export::ExportError;
use crate::reports::link::{self, DeadLink};

routes! {
    "/downloads/{token}" => { get: download },
}

/// Follow a link to a scheduled report.
///
/// The rows are those of the run that the message was about, as they are now and as both the schedule's maker and the
/// recipient may see them now. An answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/downloads/{token}",
    tag = "exports",
    operation_id = "download_report",
    security(()),
    params(("token" = String, Path, description = "As it stands in the message.")),
    responses(
        (status = 200, description = "All rows, as the report's own `export.csv` has them.", body = String,
            content_type = "text/csv",
            headers(("Content-Disposition" = String, description = "A file name with the day of the run."))),
        (status = 404, description = "No such link; or the schedule doesn't name its recipient any more, the report asks \
            something else than was sent or has other columns, either is gone, or maker or recipient may not have the file \
            any more. Which of them is not told.", body = ProblemDocument, content_type = PROBLEM_JSON),
        (status = 410, description = "It was good until the time that the message says.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    )
)]
async fn download(
    app_state: Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let answer = follow(&app_state, &request, &token, &pairs).await;
    answer.map_err(|problem| {
        problem.with_header(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-store"),
        )
    })
}

async fn follow(app_state: &AppState, request: &HttpRequest, token: &str, pairs: &QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let believed = link::read(app_state.store(), token).await?;
    let bearer = format!("download\n{}", believed.bearer());
    app_state
        .rate_limiter()
        .count_request(&bearer, Instant::now(), app_state.limits())?;
    let download = believed
        .open(app_state.store(), &app_state.options().recipients)
        .await?;
    let disposition = exports::content_disposition(&download.file_name);
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, exports::CSV))
        .insert_header(disposition)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((ROBOTS, "noindex"));
    if is_head_request(request) {
        // Mail programs look at links before anybody follows them. The body is of unknown length, as a download's.
        return Ok(answer.streaming(stream::empty::<Result<Bytes, ExportError>>()));
    }
    let turn = app_state
        .concurrency()
        .downloads
        .acquire(download.organisation())
        .await?;
    let blocks = download.export(app_state.store(), turn).await?;
    Ok(answer.streaming(blocks.map_ok(Bytes::from).inspect_err(exports::log_interruption)))
}

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

impl From<DeadLink> for Problem {
    fn from(dead: DeadLink) -> Self {
        match dead {
            DeadLink::NotFound => Problem::new(Code::NotFound, dead.to_string()),
            DeadLink::Expired(_) => Problem::new(Code::Expired, dead.to_string()),
            DeadLink::Store(error) => error.into(),
            DeadLink::Export(error) => error.into(),
        }
    }
}
