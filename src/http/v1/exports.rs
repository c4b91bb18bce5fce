//! `/v1/activities/export.csv`, `/v1/activities/export.ndjson`: the log, all of it at once, as it comes
//! (contract section 8).
//!
//! The filters are those of the log. An answer is sent in pieces while the database is read, so its status stands
//! before its end is known: what fails midway breaks the transfer off, so that no client takes a part for
//! the whole. HEAD asks the database as GET does.

use actix_web::HttpResponse;
use actix_web::http::header::{
    self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue,
};
use actix_web::web::Bytes;
use futures_util::TryStreamExt;
use utoipa::IntoParams;

use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::export::{self, Blocks, ColumnSet, CsvOptions, ExportError};
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::activity::Activity;
use crate::log::{ParseContext, Query};

use super::activities::context;
use super::log_parameters::{LogFilter, LogScope};

pub(in crate::http) const CSV: &str = "text/csv; charset=utf-8; header=present";
pub(super) const NDJSON: &str = "application/x-ndjson";

routes! {
    "/v1/activities/export.csv" => { get: export_csv },
    "/v1/activities/export.ndjson" => { get: export_ndjson },
}

/// In which order (contract section 7).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by the log's parser; this describes it")]
pub(super) struct ExportOrder {
    /// `-happened_at` (default) or `happened_at`.
    #[param(example = "-happened_at")]
    sort: Option<String>,
}

/// How the CSV looks (contract section 8).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by `csv_options`; this describes it")]
struct CsvParameters {
    /// Which columns; default: `elearning`.
    #[param(inline, example = "elearning")]
    columns: Option<ColumnSet>,
    /// A byte order mark at the beginning, for Excel.
    bom: Option<bool>,
    /// Leave cells as they are that a spreadsheet would run as a formula; without it they get a leading `'`.
    raw: Option<bool>,
}

/// Export the log as CSV.
///
/// RFC 4180, UTF-8, a heading row even when empty; times in UTC. `columns` adds columns at the end, before the
/// organisation's own fields: a file of a larger set begins with the columns of the smaller one. An answer
/// that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/v1/activities/export.csv",
    tag = "exports",
    operation_id = "export_activities_csv",
    params(LogScope, LogFilter, ExportOrder, CsvParameters),
    responses((status = 200, description = "All rows.", body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with today's date in UTC.")),
        example = "First name,Last name,Email address,Role,Job title,Language,Location,Join date,Manager name,\
            Primary team,Secondary teams,Status (at time of export),Deactivated,Action,Title,Type,Content Type,\
            Unique ID,Happened at,Completed,Expired at,Tags,E-learning / Quiz result,E-learning / Quiz score,\
            E-learning / Quiz total time,Total time in seconds,Certificate expires at,Cost centre\r\n\
            Ada,Obi,ada.obi@example.org,Manager,Head of Safety,en,Leeds,2021-04-01,Eve Lund,Sales North,Safety,\
            Active,,Completed,Fire Safety,Quiz,,fire-safety,2026-03-01T09:00:00.000Z,Yes,,safety; fire,Pass,92%,\
            5 minutes,300,2027-03-01T09:00:00.000Z,4711\r\n"))
)]
async fn export_csv(caller: Caller<ReadActivities>, pairs: QueryPairs) -> Answer {
    let query = read(&caller, &pairs, &["columns", "bom", "raw"])?;
    let options = csv_options(&query)?;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let turn = caller.app_state().concurrency().exports.acquire().await?;
    let blocks = export::csv(caller.store(), &question, query.sort, query.now, options, turn).await?;
    Ok(answer(blocks, "activities", CSV, "csv", caller.now()))
}

/// Export the log as NDJSON.
///
/// One activity a line, as the log has it. An answer that breaks off failed, and must not be used.
#[utoipa::path(
    get,
    path = "/v1/activities/export.ndjson",
    tag = "exports",
    operation_id = "export_activities_ndjson",
    params(LogScope, LogFilter, ExportOrder),
    responses((status = 200, description = "All rows: one activity a line.", body = Activity,
        content_type = "application/x-ndjson",
        headers(("Content-Disposition" = String, description = "A file name with today's date in UTC."))))
)]
async fn export_ndjson(caller: Caller<ReadActivities>, pairs: QueryPairs) -> Answer {
    let query = read(&caller, &pairs, &[])?;
    let question = caller.scoped(query.asked_scope, &query.filter)?;
    let turn = caller.app_state().concurrency().exports.acquire().await?;
    let blocks = export::ndjson(caller.store(), &question, query.sort, query.now, turn).await?;
    Ok(answer(blocks, "activities", NDJSON, "ndjson", caller.now()))
}

/// The log's parameters, but those of pages, and `extra` ones.
fn read(caller: &Caller<ReadActivities>, pairs: &QueryPairs, extra: &[&str]) -> Result<Query, Problem> {
    let context = ParseContext {
        paging: false,
        extra,
        ..context(caller, "")
    };
    Ok(Query::parse(pairs.as_slice(), &context)?)
}

/// The parameters `columns`, `bom` and `raw`, as far as the resource has them.
pub(super) fn csv_options(query: &Query) -> Result<CsvOptions, Problem> {
    let mut faults = Vec::new();
    let mut flag = |name: &str| match query.extra(name) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            faults.push(ProblemError::in_parameter(name, "is `true` or `false`"));
            false
        }
    };
    let (bom, raw) = (flag("bom"), flag("raw"));
    let columns = match query.extra("columns") {
        None => Some(ColumnSet::default()),
        Some(key) => ColumnSet::from_key(key),
    };
    if columns.is_none() {
        let keys: Vec<&str> = ColumnSet::ALL.iter().map(|set| set.key()).collect();
        faults.push(ProblemError::in_parameter(
            "columns",
            format!("is one of `{}`", keys.join("`, `")),
        ));
    }
    match columns {
        Some(columns) if faults.is_empty() => Ok(CsvOptions { columns, bom, raw }),
        _ => Err(Problem::with_errors(Code::BadParameter, faults)),
    }
}

/// The blocks as a file that is named after what it holds and the day.
pub(super) fn answer(
    blocks: Blocks,
    what: &str,
    content_type: &str,
    extension: &str,
    now: Timestamp,
) -> HttpResponse {
    let date = now.to_datetime().format("%Y-%m-%d");
    let disposition = disposition(&format!("{what}-{date}.{extension}"));
    let body = blocks.map_ok(Bytes::from).inspect_err(broken_off);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(disposition)
        .streaming(body)
}

/// The header that gives the answer's file its name: as it is where it is ASCII, else encoded as RFC 6266 says, with
/// something like it for clients that don't read that.
pub(in crate::http) fn disposition(file_name: &str) -> ContentDisposition {
    let plain = file_name.chars().map(|letter| if letter.is_ascii() { letter } else { '_' });
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

/// The client sees a transfer that breaks off; why, the log alone tells.
pub(in crate::http) fn broken_off(error: &ExportError) {
    match error {
        ExportError::Stalled => tracing::warn!(cause = %error, "an export was given up"),
        ExportError::Store(_) | ExportError::Json(_) | ExportError::BrokeOff => {
            tracing::error!(cause = %error, "an export broke off");
        }
    }
}

impl From<ExportError> for Problem {
    /// What went wrong before the answer began; never the client's doing.
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Json(_) | ExportError::Stalled | ExportError::BrokeOff => Problem::internal(error),
        }
    }
}
