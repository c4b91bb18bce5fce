//! `/downloads/{token}`: a scheduled report that was too large for its message. See `docs/specification.md#download-links`.
//!
//! The link itself is the right to the file: no `Authorization` is needed, because mail programs do not sign in. The token is
//! signed and expires. It opens the rows that its recipient and the schedule's maker may see now.
//!
//! Downloads have a concurrency limit of their own. For it and for the limit of requests per second, each recipient of a
//! delivery counts as one caller.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use futures_util::{TryStreamExt as _, stream};

use super::AppState;
use super::middleware::is_head_request;
use super::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use super::query::QueryPairs;
use super::routes::routes;
use super::secret_links::{LinkAttempt, opened, without_stored_problems};
use super::v1::exports;
use crate::base::fair_limit::Sharer;
use crate::export::ExportError;
use crate::reports::link::{self, DeadLink, VerifiedLink};

routes! {
    "/downloads/{token}" => { get: download },
}

/// Follow a link to a scheduled report.
///
/// The rows are those of the message's run, with their current values, that both the schedule's maker and the recipient may
/// see now. If the answer breaks off, the download failed. Do not use a part of it.
#[utoipa::path(
    get,
    path = "/downloads/{token}",
    tag = "exports",
    operation_id = "download_report",
    security(()),
    params(("token" = String, Path, description = "The token of the link in the message.")),
    responses(
        (status = 200, description = "All rows, in the format of the report's `export.csv`.", body = crate::http::openapi::Binary,
            content_type = "text/csv",
            headers(("Content-Disposition" = String, description = "A file name with the day of the run."))),
        (status = 404, description = "The link does not exist, or opens nothing any more: the recipient was removed from \
            the schedule, the report's filter or columns were changed, the report or schedule was deleted, or the maker or \
            the recipient lost the right. The answer does not say which.", body = ProblemDocument, content_type = PROBLEM_JSON),
        (status = 410, description = "The link has expired.", body = ProblemDocument,
            content_type = PROBLEM_JSON),
    )
)]
async fn download(
    app_state: Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    without_stored_problems(follow(&app_state, &request, &token, &pairs).await)
}

async fn follow(app_state: &AppState, request: &HttpRequest, token: &str, pairs: &QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let link = verify_link(app_state, request, token).await?;
    let bearer = format!("download\n{}", link.bearer());
    app_state
        .rate_limiter()
        .count_request(&bearer, Instant::now(), app_state.limits())?;
    let download = link
        .open(app_state.store(), &app_state.options().recipients)
        .await?;
    let disposition = exports::content_disposition(&download.file_name);
    let mut answer = opened();
    answer
        .insert_header((header::CONTENT_TYPE, exports::CSV))
        .insert_header(disposition);
    if is_head_request(request) {
        // Mail programs check links with HEAD. The body has no known length, like that of a download.
        return Ok(answer.streaming(stream::empty::<Result<Bytes, ExportError>>()));
    }
    let sharer = Sharer {
        organisation: download.organisation().clone(),
        caller: bearer,
    };
    let transfer = app_state.concurrency().downloads.acquire(&sharer).await?;
    let blocks = download.export(app_state.store(), transfer).await?;
    Ok(answer.streaming(blocks.map_ok(Bytes::from).inspect_err(exports::log_interruption)))
}

/// Verifies the token of a link, within the limit on refusals of its address.
async fn verify_link(
    app_state: &AppState,
    request: &HttpRequest,
    token: &str,
) -> Result<VerifiedLink, Problem> {
    let attempt = LinkAttempt::begin(app_state, request, token)?;
    match link::verify(app_state.store(), token).await {
        Ok(link) => {
            attempt.remember();
            Ok(link)
        }
        Err(dead) => {
            if matches!(dead, DeadLink::NotFound) {
                attempt.refuse();
            }
            Err(dead.into())
        }
    }
}

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
