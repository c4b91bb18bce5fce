//! `/v1/activities/export.csv`, `/v1/activities/export.ndjson`: all matching rows of the log in one response.
//!
//! `parquet_exports.rs` has the same rows as Parquet.
//!
//! The filters are the filters of the log. The response is sent while the database is read, so its status is sent before
//! the last row is known. A later error interrupts the transfer, and the client sees that the file is incomplete. HEAD
//! runs the same query as GET.

use actix_web::HttpResponse;
use actix_web::http::header::{
    self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue,
};
use actix_web::web::Bytes;
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use utoipa::IntoParams;

use crate::access::Scoped;
use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::flag::parse_flag;
use crate::export::{self, Blocks, ColumnSet, CsvOptions, ExportError, FileOptions, Transfer};
use crate::http::auth::Caller;
use crate::http::language::{FileLanguage, FileQuery, LanguageParameter, LocalQuery};
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::Activity;
use crate::log::period::local_date;
use crate::log::{Filter, ParseContext, Query, Sort};
use crate::texts::Language;

use super::activities::parse_context;
use super::log_parameters::{LogFilter, LogScope};

pub(in crate::http) const CSV: &str = "text/csv; charset=utf-8; header=present";
const NDJSON: &str = "application/x-ndjson";
#[cfg(feature = "parquet")]
const PARQUET: &str = "application/vnd.apache.parquet";

routes! {
    "/v1/activities/export.csv" => { get: export_csv },
    "/v1/activities/export.ndjson" => { get: export_ndjson },
}

/// The order of the rows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "the parser of the log reads it; this struct documents it"
)]
pub(super) struct ExportOrder {
    /// `-happened_at` (default) or `happened_at`.
    #[param(inline, example = "-happened_at")]
    sort: Option<Sort>,
}

/// The format of the CSV.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`csv_options` reads it; this struct documents it")]
struct CsvParameters {
    /// The set of columns. Default: `elearning`.
    #[param(inline, example = "elearning")]
    columns: Option<ColumnSet>,
    /// Begin the file with a byte order mark, for Excel.
    bom: Option<bool>,
    /// Do not escape texts that a spreadsheet would run as a formula. Otherwise they get a `'` before the sign of the formula.
    raw: Option<bool>,
}

/// Export the log as CSV.
///
/// The format is RFC 4180 in UTF-8 with times in UTC. The file always has a heading row. A larger set of `columns`
/// begins with the columns of the smaller sets, and the custom fields are always the last columns. If the transfer is
/// interrupted, the file is incomplete and must not be used.
#[utoipa::path(
    get,
    path = "/v1/activities/export.csv",
    tag = "exports",
    operation_id = "export_activities_csv",
    params(LogScope, LogFilter, ExportOrder, CsvParameters, FileLanguage),
    responses((status = 200, description = "All rows.", body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the time zone of the request.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Action,Title,Type,Content Type,\
            Unique ID,Happened at,Completed,Expired at,Tags,E-learning / Quiz result,E-learning / Quiz score,\
            E-learning / Quiz total time,Total time in seconds,Certificate expires at,Cost centre\r\n\
            Ada,Obi,ada.obi@example.org,Manager,Head of Safety,en,Leeds,2021-04-01,Eve Lund,Sales North,Safety,\
            Active,,Completed,Fire Safety,Quiz,,fire-safety,2026-03-01T09:00:00.000Z,Yes,,safety; fire,Pass,92%,\
            5 minutes,300,2027-03-01T09:00:00.000Z,4711\r\n"))
)]
pub(super) async fn export_csv(
    caller: Caller<ReadActivities>,
    FileQuery { language, pairs }: FileQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let query = parse_query(&caller, &pairs, &["columns", "bom", "raw"])?;
    let options = csv_options(&query, language)?;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let rows = FileRows::of_log(&question, &query);
    rows.respond(&caller, RowFormat::Csv(options)).await
}

/// Export the log as NDJSON.
///
/// Each line is one activity in the format of the log. If the transfer is interrupted, the file is incomplete and must
/// not be used.
#[utoipa::path(
    get,
    path = "/v1/activities/export.ndjson",
    tag = "exports",
    operation_id = "export_activities_ndjson",
    params(LogScope, LogFilter, ExportOrder, LanguageParameter),
    responses((status = 200, description = "All rows, one activity in each line.", body = Activity,
        content_type = "application/x-ndjson",
        headers(("Content-Disposition" = String, description = "A file name with today's date in the time zone of the request."))))
)]
pub(super) async fn export_ndjson(
    caller: Caller<ReadActivities>,
    LocalQuery { language, pairs }: LocalQuery,
) -> Answer {
    let caller = caller.on_replica().await;
    let query = parse_query(&caller, &pairs, &[])?;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let rows = FileRows::of_log(&question, &query);
    rows.respond(&caller, RowFormat::Ndjson(language)).await
}

/// The format of a file with rows of the log.
pub(super) enum RowFormat {
    Csv(CsvOptions),
    Ndjson(Language),
    #[cfg(feature = "parquet")]
    Parquet(ColumnSet, Language),
}

/// The rows of a file: those of the log or of a report.
pub(super) struct FileRows<'q> {
    pub(super) question: &'q Scoped<&'q Filter>,
    pub(super) sort: Sort,
    /// The time for which relative parameters are resolved. The file has its date in the name.
    pub(super) now: Timestamp,
    /// The beginning of the file's name.
    pub(super) stem: &'q str,
}

impl<'q> FileRows<'q> {
    /// The rows of the log.
    pub(super) fn of_log(question: &'q Scoped<&'q Filter>, query: &Query) -> Self {
        Self {
            question,
            sort: query.sort,
            now: query.now,
            stem: "activities",
        }
    }

    /// A response with the rows as a file of this format.
    pub(super) async fn respond<A>(self, caller: &Caller<A>, format: RowFormat) -> Answer {
        let transfer = begin_transfer(caller).await?;
        let store = caller.store();
        let Self {
            question,
            sort,
            now,
            stem,
        } = self;
        let (blocks, content_type, extension) = match format {
            RowFormat::Csv(options) => {
                let blocks = export::csv(store, question, sort, now, options, transfer).await?;
                (blocks, CSV, "csv")
            }
            RowFormat::Ndjson(language) => {
                let blocks = export::ndjson(store, question, sort, now, language, transfer).await?;
                (blocks, NDJSON, "ndjson")
            }
            #[cfg(feature = "parquet")]
            RowFormat::Parquet(columns, language) => {
                let blocks = export::parquet(store, question, sort, now, columns, language, transfer).await?;
                (blocks, PARQUET, "parquet")
            }
        };
        let date = local_date(now, question.inner().zone());
        Ok(file_response(blocks, stem, content_type, extension, date))
    }
}

/// Waits until the caller may start another export.
///
/// # Errors
///
/// 503 with `Retry-After` if it may not in time.
pub(super) async fn begin_transfer<A>(caller: &Caller<A>) -> Result<Transfer, Problem> {
    let exports = &caller.app_state().concurrency().exports;
    exports.acquire(&caller.sharer()).await
}

/// Parses the parameters of the log without the parameters of pages. `extra` names further parameters.
pub(super) fn parse_query(
    caller: &Caller<ReadActivities>,
    pairs: &QueryPairs,
    extra: &[&str],
) -> Result<Query, Problem> {
    let context = ParseContext {
        paging: None,
        extra,
        ..parse_context(caller, None)
    };
    Ok(Query::parse(pairs.as_slice(), &context)?)
}

/// Parses the parameters `columns`, `bom` and `raw`. A resource without one of them uses its default.
pub(super) fn csv_options(query: &Query, language: Language) -> Result<CsvOptions, Problem> {
    let mut faults = Faults::new();
    let FileOptions { bom, raw, language } = file_options(query, language, &mut faults);
    let columns = match query.extra("columns") {
        None => Some(ColumnSet::default()),
        Some(key) => key.parse().ok(),
    };
    if columns.is_none() {
        let keys: Vec<&str> = ColumnSet::ALL.iter().map(|set| set.key()).collect();
        faults.push(ProblemError::in_parameter(
            "columns",
            format!("must be one of `{}`", keys.join("`, `")),
        ));
    }
    match columns {
        Some(columns) if faults.is_empty() => Ok(CsvOptions {
            columns,
            bom,
            raw,
            language,
        }),
        _ => Err(Problem::with_errors(Code::BadParameter, faults)),
    }
}

/// Parses the parameters `bom` and `raw`. A value that is not a flag is added to the faults.
pub(super) fn file_options(
    query: &Query,
    language: Language,
    faults: &mut Faults<ProblemError>,
) -> FileOptions {
    let mut flag = |name: &str| {
        query.extra(name).is_some_and(|text| {
            parse_flag(text).unwrap_or_else(|| {
                faults.push(ProblemError::in_parameter(name, "must be `true` or `false`"));
                false
            })
        })
    };
    FileOptions {
        bom: flag("bom"),
        raw: flag("raw"),
        language,
    }
}

/// A response with the blocks as a file. The name of the file consists of `stem`, the date and the extension.
pub(super) fn file_response(
    blocks: Blocks,
    stem: &str,
    content_type: &str,
    extension: &str,
    date: NaiveDate,
) -> HttpResponse {
    let disposition = content_disposition(&format!("{stem}-{date}.{extension}"));
    let body = blocks.map_ok(Bytes::from).inspect_err(log_interruption);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(disposition)
        .streaming(body)
}

/// The header with the file name. A name that is not ASCII is encoded as RFC 6266 specifies, and an ASCII name is added
/// for old clients.
pub(in crate::http) fn content_disposition(file_name: &str) -> ContentDisposition {
    let plain = file_name
        .chars()
        .map(|char| if char.is_ascii() { char } else { '_' });
    let mut parameters = vec![DispositionParam::Filename(plain.collect())];
    if !file_name.is_ascii() {
        parameters.push(DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: file_name.as_bytes().to_vec(),
        }));
    }
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters,
    }
}

/// Logs why a transfer was interrupted. The client cannot receive the reason.
pub(in crate::http) fn log_interruption(error: &ExportError) {
    match error {
        ExportError::Stalled(_) | ExportError::TooLong(_) | ExportError::NoSpace(_) => {
            tracing::warn!(cause = %error, "an export was stopped");
        }
        ExportError::Store(_)
        | ExportError::Json(_)
        | ExportError::Parquet(_)
        | ExportError::Spool(_)
        | ExportError::Interrupted => {
            tracing::error!(cause = %error, "an export was interrupted");
        }
    }
}

impl From<ExportError> for Problem {
    /// Converts an error that occurred before the response began. It is never an error of the client.
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Json(_)
            | ExportError::Parquet(_)
            | ExportError::Stalled(_)
            | ExportError::TooLong(_)
            | ExportError::NoSpace(_)
            | ExportError::Spool(_)
            | ExportError::Interrupted => Problem::internal(error),
        }
    }
}
