//! The table of all exports: what a link to an export can open. A test compares it with the OpenAPI document.

use actix_web::HttpRequest;
use actix_web::web;
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;

#[cfg(feature = "parquet")]
use super::parquet_exports;
use super::{exercises, exports, imports, progress, quizzes, report_rows};
use crate::http::auth::find_caller;
use crate::http::language::{FileQuery, LocalQuery};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;

/// An export with its ids and parameters.
pub(super) struct Export {
    answer: fn(HttpRequest, Target) -> LocalBoxFuture<'static, Answer>,
    target: Target,
}

/// What the path of an export names.
struct Target {
    /// The id in the path, or an empty text.
    id: String,
    pairs: QueryPairs,
}

/// Generates the table. A line has the path, the handler and its arguments.
macro_rules! exports {
    ($($(#[$condition:meta])* $path:literal => $handler:path, [$($argument:ident),+];)+) => {
        const TABLE: &[(&str, fn(HttpRequest, Target) -> LocalBoxFuture<'static, Answer>)] = &[$(
            $(#[$condition])* ($path, |request, target| Box::pin(async move {
                $handler($(argument!($argument, request, target)),+).await
            })),
        )+];
    };
}

macro_rules! argument {
    (caller, $request:ident, $target:ident) => {
        find_caller(&$request)?
    };
    (request, $request:ident, $target:ident) => {
        $request.clone()
    };
    (id, $request:ident, $target:ident) => {
        web::Path::from($target.id)
    };
    (pairs, $request:ident, $target:ident) => {
        $target.pairs
    };
    (file, $request:ident, $target:ident) => {
        FileQuery::read(&$request, $target.pairs)?
    };
    (local, $request:ident, $target:ident) => {
        LocalQuery::read(&$request, $target.pairs)?
    };
}

exports! {
    "/v1/activities/export.csv" => exports::export_csv, [caller, file];
    "/v1/activities/export.ndjson" => exports::export_ndjson, [caller, local];
    "/v1/reports/{id}/export.csv" => report_rows::export_report_csv, [caller, id, file];
    "/v1/reports/{id}/export.ndjson" => report_rows::export_report_ndjson, [caller, id, local];
    #[cfg(feature = "parquet")]
    "/v1/activities/export.parquet" => parquet_exports::export_activities_parquet, [caller, file];
    #[cfg(feature = "parquet")]
    "/v1/reports/{id}/export.parquet" => parquet_exports::export_report_parquet, [caller, id, file];
    "/v1/contents/{id}/progress.csv" => progress::export_progress, [caller, id, file];
    "/v1/quizzes/{content}/responses.csv" => quizzes::export_responses, [caller, id, file];
    "/v1/exercises/{content}/attempts.csv" => exercises::export_attempts, [caller, request, id, file];
    "/v1/imports/template.csv" => imports::read_import_template, [caller, pairs];
    "/v1/imports/{id}/errors.csv" => imports::export_import_errors, [caller, id, pairs];
}

impl Export {
    /// Finds the export of a path with its query. `None` if no export has this path.
    ///
    /// # Errors
    ///
    /// The query cannot be decoded.
    pub(super) fn find(path: &str) -> Result<Option<Self>, Problem> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let found = TABLE
            .iter()
            .find_map(|(pattern, answer)| Some((answer, match_path(pattern, path)?)));
        let Some((answer, id)) = found else {
            return Ok(None);
        };
        let pairs = QueryPairs::parse(query)?;
        Ok(Some(Self {
            answer: *answer,
            target: Target { id, pairs },
        }))
    }

    /// Answers a request for the export by its verified caller.
    ///
    /// # Errors
    ///
    /// The caller may not have the export, a parameter is wrong, or the server is busy.
    pub(super) async fn respond(self, request: HttpRequest) -> Answer {
        (self.answer)(request, self.target).await
    }
}

/// The id in a path that fits the pattern, or an empty text if the pattern has none.
fn match_path(pattern: &str, path: &str) -> Option<String> {
    let (patterns, segments) = (pattern.split('/'), path.split('/'));
    let mut id = String::new();
    if patterns.clone().count() != segments.clone().count() {
        return None;
    }
    for (pattern, segment) in patterns.zip(segments) {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        if pattern.starts_with('{') {
            id = Some(decoded.into_owned()).filter(|id| !id.is_empty())?;
        } else if pattern != decoded {
            return None;
        }
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    #[test]
    fn id_of_a_path_is_decoded() {
        let pattern = "/v1/contents/{id}/progress.csv";
        let path = "/v1/contents/https%3A%2F%2Fexample.org%2Fx+y/progress.csv";
        assert_eq!(
            match_path(pattern, path).as_deref(),
            Some("https://example.org/x+y")
        );
        for path in [
            "/v1/contents//progress.csv",
            "/v1/contents/a/b/progress.csv",
            "/v1/contents/a/progress",
            "/v1/contents/%FF/progress.csv",
            "v1/contents/a/progress.csv",
        ] {
            assert_eq!(match_path(pattern, path), None, "{path}");
        }
    }

    /// An export is an operation of `/v1` whose answer has the name of a file.
    #[test]
    fn table_has_every_export_of_the_document() {
        let text = openapi::document_text("").expect("the document");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut documented: Vec<&str> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .filter(|(path, item)| {
                let headers = &item["get"]["responses"]["200"]["headers"];
                path.starts_with("/v1/") && !headers["Content-Disposition"].is_null()
            })
            .map(|(path, _)| path.as_str())
            .collect();
        let mut listed: Vec<&str> = TABLE.iter().map(|(path, _)| *path).collect();
        documented.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, documented);
    }
}
