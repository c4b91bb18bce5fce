//! `/v1/reports/{id}/activities` and its exports: the rows of a saved report. See `docs/specification.md#opening-a-report`.
//!
//! The caller sees rows within its reach only. The report's scope is clamped to the caller's. Added parameters narrow the
//! report; parameters that would widen it are refused. Pages are those of the log: a cursor contains the first page's time
//! and the report's question at that time, and is refused after the question has changed.

use actix_web::{HttpRequest, web};
use utoipa::IntoParams;

use crate::access::permit::OpenReports;
use crate::export::CsvOptions;
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery, LanguageParameter, LocalQuery};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::{Activity, ParseContext, Query};
use crate::reports::report::{self, Opened};
use crate::store::StoredReport;

use super::activities::{ActivityList, CursorBinding, page_of_log, parse_context};
use super::exports::{ExportOrder, FileRows, RowFormat, csv_options};
use super::log_parameters::{AddedFilter, LogPage};
use super::reports::find_report;

routes! {
    "/v1/reports/{id}/activities" => { get: list_report_activities },
    "/v1/reports/{id}/export.csv" => { get: export_report_csv },
    "/v1/reports/{id}/export.ndjson" => { get: export_report_ndjson },
}

/// The format of the CSV. Its columns are those of the report.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `csv_options`; this describes it")]
struct ReportCsvParameters {
    /// Begin with a byte order mark, for Excel.
    bom: Option<bool>,
    /// Do not change cells that a spreadsheet would run as a formula. Without it they get a leading `'`.
    raw: Option<bool>,
}

/// Open a report: its rows within the caller's reach.
///
/// Parameters narrow it: rows match the report's filter and the added parameters. Parameters that would widen it
/// (`include_…`, `action=visited`) are refused.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/activities",
    tag = "reports",
    operation_id = "list_report_activities",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, LogPage,
        LanguageParameter),
    responses((status = 200, description = "A page of the report's rows.", body = ActivityList))
)]
async fn list_report_activities(
    caller: Caller<OpenReports>,
    request: HttpRequest,
    id: web::Path<String>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let report = find_report(&caller, &id).await?;
    let binding = CursorBinding::new(&caller, &request).await?;
    let (added, opened) = open(
        &caller,
        &report,
        &pairs,
        parse_context(&caller, Some(binding.paging())),
    )?;
    page_of_log(&caller, &request, &opened.question.as_ref(), &added, language).await
}

/// Export a report as CSV, with the report's columns.
///
/// If the answer breaks off, the export failed. Do not use a part of it.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/export.csv",
    tag = "reports",
    operation_id = "export_report_csv",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, ExportOrder, ReportCsvParameters,
        FileLanguage),
    responses((status = 200, description = "All rows, in the format of `/v1/activities/export.csv`.", body = crate::http::openapi::Binary,
        content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with the report's name and today's date in the time zone of the request."))))
)]
pub(super) async fn export_report_csv(
    caller: Caller<OpenReports>,
    id: web::Path<String>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let report = find_report(&caller, &id).await?;
    let (added, opened) = open(&caller, &report, &pairs, export_context(&caller, &["bom", "raw"]))?;
    let options = CsvOptions {
        columns: report::columns(&report)?,
        ..csv_options(&added, language)?
    };
    respond_with_report(&caller, &report, &opened, RowFormat::Csv(options)).await
}

/// Export a report as NDJSON.
///
/// Each line is an activity. If the answer breaks off, the export failed. Do not use a part of it.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/export.ndjson",
    tag = "reports",
    operation_id = "export_report_ndjson",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, ExportOrder, LanguageParameter),
    responses((status = 200, description = "All rows. Each line is an activity.", body = Activity,
        content_type = "application/x-ndjson",
        headers(("Content-Disposition" = String, description = "A file name with the report's name and today's date in the time zone of the request."))))
)]
pub(super) async fn export_report_ndjson(
    caller: Caller<OpenReports>,
    id: web::Path<String>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let report = find_report(&caller, &id).await?;
    let (_, opened) = open(&caller, &report, &pairs, export_context(&caller, &[]))?;
    respond_with_report(&caller, &report, &opened, RowFormat::Ndjson(language)).await
}

/// A response with the rows of an opened report as a file.
pub(super) async fn respond_with_report(
    caller: &Caller<OpenReports>,
    report: &StoredReport,
    opened: &Opened,
    format: RowFormat,
) -> Answer {
    let rows = FileRows {
        question: &opened.question.as_ref(),
        sort: opened.sort,
        now: opened.now,
        stem: &report::file_stem(&report.name),
    };
    rows.respond(caller, format).await
}

/// Opens the report for the caller, with the added parameters.
pub(super) fn open(
    caller: &Caller<OpenReports>,
    report: &StoredReport,
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

pub(super) fn export_context<'a>(caller: &Caller<OpenReports>, extra: &'a [&'a str]) -> ParseContext<'a> {
    ParseContext {
        paging: None,
        extra,
        ..parse_context(caller, None)
    }
}
