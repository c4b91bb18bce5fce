//! `/downloads/{token}`: a scheduled report that was too large to be attached to its message (contract section 9).
//!
//! Whoever has the address has the file: there is no `Authorization`, as messages are read where nobody is signed in.
//! The token is signed and expires, and what it opens is what its recipient and the schedule's maker may see now.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes, Data};
use futures_util::TryStreamExt as _;

use super::Edge;
use super::problem::{Answer, Code, Problem};
use super::query::Pairs;
use super::routes::routes;
use super::turns::EXPORTS;
use super::v1::exports;
use crate::reports::link::{self, DeadLink};

routes! {
    "/downloads/{token}" => { get: download },
}

/// Follow a link to a scheduled report.
///
/// The rows are those of the run that the message was about, as they are now and as both the schedule's maker and the
/// recipient may see them now. 404 for what is no such link, and as soon as one of them may not have the file any
/// more; 410 past its time. An answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/downloads/{token}",
    tag = "exports",
    operation_id = "download_report",
    security(()),
    params(("token" = String, Path, description = "As it stands in the message.")),
    responses((status = 200, description = "All rows, as the report's own `export.csv` has them.", body = String,
        content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with the day of the run."))))
)]
async fn download(edge: Data<Edge>, token: web::Path<String>, pairs: Pairs) -> Answer {
    let answer = follow(&edge, &token, &pairs).await;
    answer.map_err(|problem| {
        problem.with_header(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-store"),
        )
    })
}

async fn follow(edge: &Edge, token: &str, pairs: &Pairs) -> Answer {
    pairs.none()?;
    let download = link::open(edge.store(), token, &edge.options().recipients).await?;
    let turn = EXPORTS.take().await?;
    let blocks = download.export(edge.store(), turn).await?;
    // The name is of letters, digits, `-` and `.` alone.
    let disposition = format!("attachment; filename=\"{}\"", download.file_name);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, exports::CSV))
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((ROBOTS, "noindex"))
        .streaming(blocks.map_ok(Bytes::from).inspect_err(exports::broken_off)))
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
