//! `/v1/exercises/{content}/attempts` and `.csv`: what people submitted, and how it was graded.
//!
//! [`crate::log::attempts`] has the rule of attempts. The cost of a page depends neither on the records of other contents nor
//! on the number of attempts.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::export::attempts::{load_details, to_json};
use crate::export::{self, FileLinks};
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery};
use crate::http::pages::PageWriter;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::Paging;
use crate::log::activity::ActivityContent;
use crate::log::attempts::ExerciseAttempt;
use crate::log::period::local_date;
use crate::store::{ContentRecords, Lookups, RecordKind};

use super::content_query::{ContentPage, ContentQuery, CsvFormat, PagePlace};
use super::exports::{self, CSV, ExportOrder};
use super::log_parameters::{ContentFilter, LogPage, LogScope};

routes! {
    "/v1/exercises/{content}/attempts" => { get: list_attempts },
    "/v1/exercises/{content}/attempts.csv" => { get: export_attempts },
}

/// The attempts that are loaded at once.
const PIECE: usize = 50;

/// A page of attempts at an exercise.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "attempts": [{
        "user": {"id": "bo", "first_name": "Bo", "last_name": "Ek", "name": "Bo Ek", "email": "bo@example.org", "active": true, "identifier": null},
        "registration": "0190a000-0000-7000-8000-00000000000a", "status": "graded",
        "submitted": {"activity": "0190a000-0000-7000-8000-000000000001", "happened_at": "2026-03-01T09:00:00.000Z",
            "response": null, "comment": null,
            "files": [{"title": "Essay", "content_type": "application/pdf", "length": 48213,
                "sha2": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "url": "/files/AAAAAAAAAAc"}]},
        "graded": {"activity": "0190a000-0000-7000-8000-000000000002", "happened_at": "2026-03-03T15:00:00.000Z",
            "graded_by": {"id": "eve", "name": "Eve Lund"}, "success": true,
            "score": {"scaled": 0.85, "raw": null, "min": null, "max": null, "percent": 85},
            "comment": "Well argued.", "files": []}
    }],
    "next": null,
    "content": {"id": "essay", "iri": "https://example.org/essay", "title": "Essay", "type": "exercise",
        "content_type": null, "archived": false, "tags": [], "url": null}
}))]
pub struct ExerciseAttemptList {
    /// The attempts in the order of their `submitted`, else of their `graded`.
    pub attempts: Vec<ExerciseAttempt>,
    /// The relative address of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
    /// The content.
    pub content: ActivityContent,
    /// The number of attempts on all pages; only with `count=exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// Read the attempts at an exercise: each `submitted` with the last `graded` of its registration.
///
/// `from`, `to` and `period` select by the time of the `submitted`, `result` by the grade. The links to attached files need
/// no `Authorization`, belong to the caller and expire.
#[utoipa::path(
    get,
    path = "/v1/exercises/{content}/attempts",
    tag = "exercises",
    operation_id = "list_exercise_attempts",
    params(
        ("content" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "essay"),
        LogScope, ContentFilter, LogPage
    ),
    responses((status = 200, description = "A page of attempts.", body = ExerciseAttemptList))
)]
async fn list_attempts(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    content: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let caller = caller.on_replica().await;
    let key = caller.cursor_key().await?;
    let mut query = ContentQuery::parse(&caller, &pairs, Some(Paging { key, binding: "" }), &[])?;
    let path = format!("/v1/exercises/{content}/attempts");
    let mut place = PagePlace::parse(&caller, &path, &pairs, &mut query).await?;
    let records = query
        .find_records(&caller, &content, RecordKind::Submissions)
        .await?;
    let total = match query.query.count_exact {
        true => {
            let limit = &caller.app_state().concurrency().counts;
            let _permit = limit.acquire(&caller.sharer()).await?;
            let reader = records.read_submissions(query.query.sort, None, query.results.clone());
            Some(reader.count().await?)
        }
        false => None,
    };
    let mut writer = PageWriter::new("attempts", caller.app_state().limits());
    let has_more = write_attempts(&caller, &records, &query, &mut place, &mut writer).await?;
    let page = ContentPage {
        records: &records,
        writer,
        has_more,
        total,
        now: query.now,
    };
    place.respond(&request, &pairs, page)
}

/// Adds attempts to the page, and moves its place on. Returns whether there are more.
async fn write_attempts(
    caller: &Caller<ReadActivities>,
    records: &ContentRecords,
    query: &ContentQuery,
    place: &mut PagePlace,
    writer: &mut PageWriter,
) -> Result<bool, Problem> {
    let limit = query.query.limit as usize;
    let after = place.end.map(|(position, _)| position);
    let reader = records.read_submissions(query.query.sort, after, query.results.clone());
    let mut reader = reader.until(query.deadline);
    let mut lookups = Lookups::new(caller.store(), caller.org());
    let mut links = file_links(caller, "");
    loop {
        let piece = limit.saturating_sub(writer.len()).saturating_add(1).min(PIECE);
        let attempts = reader.next_attempts(piece).await?;
        if attempts.is_empty() {
            let stopped_at = reader.stopped_at();
            place.end = stopped_at.map(|position| (position, 1)).or(place.end);
            return Ok(stopped_at.is_some());
        }
        load_details(caller.store(), &mut lookups, &mut links, &attempts).await?;
        for attempt in &attempts {
            let is_full = writer.len() >= limit;
            if is_full || !writer.push(&to_json(&lookups, &links, attempt)?)? {
                return Ok(true);
            }
            place.end = Some((attempt.position, 1));
        }
    }
}

/// Links to files for the caller. An address begins with `base`.
fn file_links(caller: &Caller<ReadActivities>, base: &str) -> FileLinks {
    let seconds = caller.app_state().limits().file_link.as_secs();
    let micros = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    let expires_at = Timestamp::from_micros(caller.now().micros().saturating_add(micros));
    FileLinks::new(caller.org(), caller.principal().caller_id(), expires_at, base)
}

/// Export the attempts at an exercise as CSV.
///
/// The files are absolute links, several of them joined with `; `. If the transfer is interrupted, the file is incomplete
/// and must not be used.
#[utoipa::path(
    get,
    path = "/v1/exercises/{content}/attempts.csv",
    tag = "exercises",
    operation_id = "export_exercise_attempts_csv",
    params(
        ("content" = String, Path, description = "The content's id, or its IRI if the content is not registered.",
            example = "essay"),
        LogScope, ContentFilter, ExportOrder, CsvFormat, FileLanguage
    ),
    responses((status = 200, description = "All attempts.", body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the time zone of the request.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Title,Type,Content Type,Unique ID,\
            Registration,Status,Submitted at,Submitted text,Submitted files,Graded at,Graded by,Grader ID,Result,Score,\
            Points,Greatest points,Submission comment,Grader comment,Grader files,Submission ID,Grade ID,User ID,Cost centre\r\n\
            Bo,Ek,bo@example.org,Learner,,en,Leeds,2021-04-01,Ada Obi,Sales North,,Active,,Essay,Exercise,,essay,\
            0190a000-0000-7000-8000-00000000000a,Graded,2026-03-01T09:00:00.000Z,,https://rollbook.example.org/files/AAAA,\
            2026-03-03T15:00:00.000Z,Eve Lund,eve,Pass,85%,,,,Well argued.,,0190a000-0000-7000-8000-000000000001,\
            0190a000-0000-7000-8000-000000000002,bo,4711\r\n"))
)]
pub(super) async fn export_attempts(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    content: web::Path<String>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let mut query = ContentQuery::parse(&caller, &pairs, None, &["bom", "raw"])?;
    let options = query.file_options(language)?;
    let date = local_date(query.now, query.query.filter.zone());
    let records = query
        .find_records(&caller, &content, RecordKind::Submissions)
        .await?;
    let transfer = exports::begin_transfer(&caller).await?;
    let links = file_links(&caller, &caller.app_state().public_address(&request));
    let (sort, results) = (query.query.sort, query.results);
    let blocks =
        export::attempts_csv(caller.store(), records, sort, results, links, options, transfer).await?;
    Ok(exports::file_response(blocks, "attempts", CSV, "csv", date))
}
