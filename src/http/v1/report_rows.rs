//! `/v1/reports/{id}/activities` and its exports: a saved report opened (contract section 9).
//!
//! What is shown is within the reach of whoever opens it. Its own scope is clamped to what they can have; parameters that
//! are added narrow it, and those that would widen it are refused. Pages are those of the log: a cursor holds the first
//! page's "now" and what the report asked then, and is refused once the report asks something else.

use actix_web::{HttpRequest, web};
use utoipa::IntoParams;

use crate::access::permit::OpenReports;
use crate::export::{self, CsvOptions};
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::{Activity, ParseContext, Query};
use crate::reports::report::{self, Opened};
use crate::store::KeptReport;

use super::activities::{ActivityList, cursor_binding, page_of_log, parse_context};
use super::exports::{self, CSV, ExportOrder, NDJSON, csv_options};
use super::log_parameters::{AddedFilter, LogPage};
use super::reports::found;

routes! {
    "/v1/reports/{id}/activities" => { get: list_report_activities },
    "/v1/reports/{id}/export.csv" => { get: export_report_csv },
    "/v1/reports/{id}/export.ndjson" => { get: export_report_ndjson },
}

/// How the CSV looks; which columns it has, the report says.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `csv_options`; this describes it")]
struct ReportCsvParameters {
    /// A byte order mark at the beginning, for Excel.
    bom: Option<bool>,
    /// Leave cells as they are that a spreadsheet would run as a formula; without it they get a leading `'`.
    raw: Option<bool>,
}

/// Open a report: the rows that it asks for, within the caller's reach.
///
/// Parameters narrow it: rows must pass the report's filter and what is added. Those that would widen it (`include_…`,
/// `action=visited`) are refused.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/activities",
    tag = "reports",
    operation_id = "list_report_activities",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, LogPage),
    responses((status = 200, description = "A page of the report's rows.", body = ActivityList))
)]
async fn list_report_activities(
    caller: Caller<OpenReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let report = found(&caller, &id).await?;
    let binding = cursor_binding(&caller, &request);
    let (added, opened) = open(&caller, &report, &pairs, parse_context(&caller, &binding))?;
    page_of_log(&caller, &request, &opened.question.as_ref(), &added).await
}

/// Export a report as CSV, with the columns that it says.
///
/// As the log's own export: an answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/export.csv",
    tag = "reports",
    operation_id = "export_report_csv",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, ExportOrder, ReportCsvParameters),
    responses((status = 200, description = "All rows, as `/v1/activities/export.csv` has them.", body = String,
        content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with the report's name and today's date in UTC."))))
)]
async fn export_report_csv(caller: Caller<OpenReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    let report = found(&caller, &id).await?;
    let (added, opened) = open(&caller, &report, &pairs, all_rows(&caller, &["bom", "raw"]))?;
    let options = CsvOptions {
        columns: report::columns(&report)?,
        ..csv_options(&added)?
    };
    let turn = caller
        .app_state()
        .concurrency()
        .exports
        .acquire(caller.org())
        .await?;
    let question = opened.question.as_ref();
    let blocks = export::csv(caller.store(), &question, opened.sort, opened.now, options, turn).await?;
    let stem = report::file_stem(&report.name);
    Ok(exports::file_response(blocks, &stem, CSV, "csv", caller.now()))
}

/// Export a report as NDJSON.
///
/// One activity a line, as the log has it. An answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/export.ndjson",
    tag = "reports",
    operation_id = "export_report_ndjson",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, ExportOrder),
    responses((status = 200, description = "All rows: one activity a line.", body = Activity,
        content_type = "application/x-ndjson",
        headers(("Content-Disposition" = String, description = "A file name with the report's name and today's date in UTC."))))
)]
async fn export_report_ndjson(
    caller: Caller<OpenReports>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let report = found(&caller, &id).await?;
    let (_, opened) = open(&caller, &report, &pairs, all_rows(&caller, &[]))?;
    let turn = caller
        .app_state()
        .concurrency()
        .exports
        .acquire(caller.org())
        .await?;
    let question = opened.question.as_ref();
    let blocks = export::ndjson(caller.store(), &question, opened.sort, opened.now, turn).await?;
    let stem = report::file_stem(&report.name);
    Ok(exports::file_response(
        blocks,
        &stem,
        NDJSON,
        "ndjson",
        caller.now(),
    ))
}

/// Opens the report for the caller, with the parameters that they added, as `context` reads them.
fn open(
    caller: &Caller<OpenReports>,
    report: &KeptReport,
    pairs: &QueryPairs,
    context: ParseContext<'_>,
) -> Result<(Query, Opened), Problem> {
    let saved = report::saved_query(report, caller.now(), caller.organisation().zone())?;
    let context = ParseContext {
        saved: Some(&saved),
        ..context
    };
    let added = Query::parse(pairs.as_slice(), &context)?;
    let opened = report::open(
        &saved,
        Some(&added),
        &caller.principal().reader(),
        &caller.reach_rules(),
    )?;
    Ok((added, opened))
}

fn all_rows<'a>(caller: &Caller<OpenReports>, extra: &'a [&'a str]) -> ParseContext<'a> {
    ParseContext {
        paging: false,
        extra,
        ..parse_context(caller, "")
    }
}
