//! `/v1/activities/export.parquet`, `/v1/reports/{id}/export.parquet`: the columns of the CSV with the types of their
//! values, for DuckDB, pandas and other programs. See `docs/specification.md#parquet`.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};
use utoipa::IntoParams;

use crate::access::permit::{OpenReports, ReadActivities};
use crate::export::ColumnSet;
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery};
use crate::http::openapi::Binary;
use crate::http::problem::Answer;
use crate::http::routes::routes;
use crate::reports::report;

use super::exports::{ExportOrder, FileRows, RowFormat, csv_options, parse_query};
use super::log_parameters::{AddedFilter, LogFilter, LogScope};
use super::report_rows::{export_context, open, respond_with_report};
use super::reports::find_report;

routes! {
    "/v1/activities/export.parquet" => { get: export_activities_parquet },
    "/v1/reports/{id}/export.parquet" => { get: export_report_parquet },
}

/// The columns of the file.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`csv_options` reads it; this struct documents it")]
struct ParquetParameters {
    /// The set of columns. Default: `elearning`.
    #[param(inline, example = "elearning")]
    columns: Option<ColumnSet>,
}

/// Export the log as Parquet.
///
/// The columns are those of the CSV, with types: times in UTC with microseconds, days, whole numbers, numbers, booleans and
/// lists of texts. If the transfer is interrupted, the file has no end and cannot be read.
#[utoipa::path(
    get,
    path = "/v1/activities/export.parquet",
    tag = "exports",
    operation_id = "export_activities_parquet",
    params(LogScope, LogFilter, ExportOrder, ParquetParameters, FileLanguage),
    responses((status = 200, description = "All rows.", body = Binary, content_type = "application/vnd.apache.parquet",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the time zone of the request."))))
)]
pub(super) async fn export_activities_parquet(
    caller: Caller<ReadActivities>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let query = parse_query(&caller, &pairs, &["columns"])?;
    let columns = csv_options(&query, language)?.columns;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let rows = FileRows::of_log(&question, &query);
    let answer = rows
        .respond(&caller, RowFormat::Parquet(columns, language))
        .await?;
    Ok(without_encoding(answer))
}

/// Export a report as Parquet, with the report's columns.
///
/// If the transfer is interrupted, the file has no end and cannot be read.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/export.parquet",
    tag = "reports",
    operation_id = "export_report_parquet",
    params(("id" = Uuid, Path, description = "The report's id."), AddedFilter, ExportOrder, FileLanguage),
    responses((status = 200, description = "All rows, in the format of `/v1/activities/export.parquet`.", body = Binary,
        content_type = "application/vnd.apache.parquet",
        headers(("Content-Disposition" = String, description = "A file name with the report's name and today's date in the time zone of the request."))))
)]
pub(super) async fn export_report_parquet(
    caller: Caller<OpenReports>,
    id: web::Path<String>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let report = find_report(&caller, &id).await?;
    let (_, opened) = open(&caller, &report, &pairs, export_context(&caller, &[]))?;
    let columns = report::columns(&report)?;
    let format = RowFormat::Parquet(columns, language);
    let answer = respond_with_report(&caller, &report, &opened, format).await?;
    Ok(without_encoding(answer))
}

/// The file's pages are compressed already, so that a client gets the bytes as they are.
fn without_encoding(mut answer: HttpResponse) -> HttpResponse {
    let identity = HeaderValue::from_static("identity");
    answer.headers_mut().insert(header::CONTENT_ENCODING, identity);
    answer
}
