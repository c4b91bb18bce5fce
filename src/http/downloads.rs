//! `/downloads/{token}`: a scheduled report that was too large for its message. See `docs/specification.md#download-links`.
//!
//! The link itself is the right to the file: no `Authorization` is needed, because mail programs do not sign in. The token is
//! signed and expires. It opens the rows that its recipient and the schedule's maker may see now.
//!
//! Downloads have a concurrency limit of their own. For it and for the limit of requests per second, each recipient of a
//! delivery counts as one caller.

use std::time::Instant;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{TryStreamExt as _, stream};

use sha2::{Digest as _, Sha256};

use super::AppState;
use super::client_address::find_client_address;
use super::middleware::is_head_request;
use super::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use super::query::QueryPairs;
use super::refusals::Attempt;
use super::routes::routes;
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
        (status = 200, description = "All rows, in the format of the report's `export.csv`.", body = String,
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
    let link = verify_link(app_state, request, token).await?;
    let bearer = format!("download\n{}", link.bearer());
    app_state
        .rate_limiter()
        .count_request(&bearer, Instant::now(), app_state.limits())?;
    let download = link
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
    let proxies = &app_state.options().trusted_proxies;
    let attempt = Attempt {
        address: find_client_address(request.peer_addr(), request.headers(), proxies),
        key: None,
    };
    let (refusals, now, limits) = (app_state.refusals(), Instant::now(), app_state.limits());
    let digest = Sha256::digest(token.as_bytes()).into();
    if !app_state.verified_secrets().contains(&digest, now) {
        refusals.check_address(attempt, now, limits)?;
    }
    match link::verify(app_state.store(), token).await {
        Ok(link) => {
            app_state.verified_secrets().insert(digest, now);
            Ok(link)
        }
        Err(dead) => {
            if matches!(dead, DeadLink::NotFound) {
                refusals.count(attempt, now, limits);
            }
            Err(dead.into())
        }
    }
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
