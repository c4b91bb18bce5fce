//! `/v1/downloads`: links to exports for browsers (`docs/specification.md#links-to-exports`).
//!
//! A page sends its token in a header, and a browser that follows a link sends none. So a page that wants a file on the disk
//! would have to hold it in memory. Instead it gets a link for one use. Opening the link verifies the caller again, as the
//! request of the page would have been: a caller that lost a right in between gets nothing by it.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::export_table::Export;
use crate::access::export_link::{LinkSecret, LinkedRequest};
use crate::access::permit::SignedIn;
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::form::{Form, short_text};
use crate::http::AppState;
use crate::http::auth::{Caller, verify_for_link};
use crate::http::json::JsonBody;
use crate::http::middleware::is_head_request;
use crate::http::openapi::Binary;
use crate::http::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::http::secret_links::{LinkAttempt, mark_opened, without_stored_problems};
use crate::store::NewExportLink;

routes! {
    "/v1/downloads" => { post: create_download },
    "/downloads/once/{token}" => { get: open_download },
}

/// The longest path of an export, in characters.
const MAX_PATH: usize = 32 * 1024;

/// The export that a link opens.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the shape of a body that is read member by member")]
#[schema(example = json!({"path": "/v1/activities/export.csv?action=completed"}))]
pub struct NewDownload {
    /// The path of an export with its parameters.
    #[schema(min_length = 1, max_length = 32768)]
    path: String,
}

/// A link to an export.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "url": "https://rollbook.example.org/downloads/once/4Dq1-_x2mVYb0sS0x7cLrW5b0mYQ4Zs0f1zH2Q0mBzE",
    "expires_at": "2026-03-18T10:18:23.000Z"
}))]
pub struct Download {
    /// The address. It needs no authorisation, and works once.
    #[schema(format = "uri")]
    pub url: String,
    /// When it expires.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Create a link to an export, for one use within a minute.
///
/// A browser that opens the link saves the file to the disk. The request is refused as the export itself would be: a wrong
/// parameter is 400, and an export that the caller may not have is 403 or 404.
#[utoipa::path(
    post,
    path = "/v1/downloads",
    tag = "exports",
    operation_id = "create_download",
    request_body = NewDownload,
    responses((status = 201, description = "The link.", body = Download))
)]
async fn create_download(
    caller: Caller<SignedIn>,
    request: HttpRequest,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let path = body.read(parse_path)?;
    let path = without_base(&path, caller.app_state().base_path());
    let export = Export::find(path)?.ok_or_else(|| {
        let detail =
            "write the path of an export with its parameters, for example `/v1/activities/export.csv`";
        Problem::invalid_body("/path", detail)
    })?;
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let Some(authorization) = authorization.map(str::to_owned) else {
        return Err(Problem::internal(
            "a verified caller has no readable authorisation",
        ));
    };
    // The export is begun and dropped, so that the page and not the browser gets its problem.
    drop(export.respond(request.clone()).await?);
    let path = path.to_owned();
    let (secret, expires_at) = store_link(&caller, LinkedRequest { authorization, path }).await?;
    let address = caller.app_state().public_address(&request);
    Ok(HttpResponse::Created().json(Download {
        url: format!("{address}/downloads/once/{}", secret.to_token()),
        expires_at,
    }))
}

/// Stores a new link. It never outlives the caller's token.
async fn store_link(
    caller: &Caller<SignedIn>,
    request: LinkedRequest,
) -> Result<(LinkSecret, Timestamp), Problem> {
    let limits = caller.app_state().limits();
    let secret = LinkSecret::random()?;
    let lifetime = i64::try_from(limits.export_link.as_micros()).unwrap_or(i64::MAX);
    let expires_at = Timestamp::from_micros(caller.now().micros().saturating_add(lifetime));
    let expires_at = match caller.principal().person() {
        Some(person) => expires_at.min(person.expires_at),
        None => expires_at,
    };
    let link = NewExportLink {
        id: secret.id(),
        organisation: caller.org().clone(),
        caller: caller.principal().caller_id(),
        request: secret.encrypt(&request)?,
        expires_at,
    };
    let most = limits.export_links_per_caller;
    if caller.store().add_export_link(link, most).await? {
        return Ok((secret, expires_at));
    }
    let detail = format!(
        "you have {most} links to exports that you have not opened; open them, or wait until they expire"
    );
    Err(Problem::new(Code::TooManyRequests, detail).with_header(
        header::RETRY_AFTER,
        HeaderValue::from(whole_seconds(limits.export_link)),
    ))
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().max(1)
}

fn parse_path(text: &str, depth: usize) -> Result<String, Faults> {
    parse_body(text, depth, |node, place, faults| {
        let mut form = Form::from_node(node, place, "a download", &["path"], faults)?;
        if form.get("path").is_none() {
            form.add_fault("path", "a download needs the path of an export");
        }
        form.read("path", |node, place| short_text(node, place, MAX_PATH))
    })
}

/// The path without `base`, the path of the server's public address, which other addresses of the API begin with.
fn without_base<'p>(path: &'p str, base: &str) -> &'p str {
    let rest = path.strip_prefix(base).filter(|rest| rest.starts_with("/v1/"));
    rest.unwrap_or(path)
}

/// Open a link to an export. It works once.
///
/// The rows are those that the caller of `POST /v1/downloads` may see now. If the answer breaks off, the download failed. HEAD
/// and a refusal do not use the link: after 429 or 503 it can be opened again.
#[utoipa::path(
    get,
    path = "/downloads/once/{token}",
    tag = "exports",
    operation_id = "open_download",
    security(()),
    params(("token" = String, Path, description = "The token of the link.")),
    responses(
        (status = 200, description = "The export.", body = Binary, content_type = "*/*",
            headers(("Content-Disposition" = String, description = "The file name of the export."))),
        (status = 404, description = "The link does not exist, was used, or its caller may not sign in any more. The answer does \
            not say which.", body = ProblemDocument, content_type = PROBLEM_JSON),
        (status = 410, description = "The link has expired.", body = ProblemDocument, content_type = PROBLEM_JSON),
    )
)]
async fn open_download(
    app_state: Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let answer = open(&app_state, &request, &token, &pairs).await;
    without_stored_problems(answer.map(mark_opened))
}

async fn open(app_state: &AppState, request: &HttpRequest, token: &str, pairs: &QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let attempt = LinkAttempt::begin(app_state, request, token)?;
    let Some((secret, (encrypted, expires_at))) = find_link(app_state, token).await? else {
        attempt.refuse();
        return Err(Problem::not_found());
    };
    if expires_at <= app_state.clock().now() {
        let detail = "the link has expired; ask for the export again";
        return Err(Problem::new(Code::Expired, detail));
    }
    let linked = secret.decrypt(&encrypted);
    let linked = linked.ok_or_else(|| Problem::internal("a stored link cannot be decrypted"))?;
    verify_for_link(app_state, request, &linked.authorization)
        .await
        .map_err(hide_caller)?;
    let export = Export::find(&linked.path)?.ok_or_else(Problem::not_found)?;
    let answer = export.respond(request.clone()).await?;
    // The link is used up last, so that a client that was refused can try again.
    if !is_head_request(request) && !app_state.store().use_export_link(&secret.id()).await? {
        return Err(Problem::not_found()); // another request was faster
    }
    Ok(answer)
}

/// Finds the stored request of a link.
async fn find_link(
    app_state: &AppState,
    token: &str,
) -> Result<Option<(LinkSecret, (String, Timestamp))>, Problem> {
    let Some(secret) = LinkSecret::from_token(token) else {
        return Ok(None);
    };
    let link = app_state.store().find_export_link(&secret.id()).await?;
    Ok(link.map(|link| (secret, link)))
}

/// The problem for a link whose caller may not sign in any more: it opens nothing.
fn hide_caller(problem: Problem) -> Problem {
    match problem.code() {
        Code::Unauthenticated | Code::TokenExpired | Code::TokenInvalid | Code::Deactivated => {
            Problem::not_found()
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_the_public_address_is_optional() {
        for (path, base, expected) in [
            ("/v1/x", "", "/v1/x"),
            ("/v1/x", "/rollbook", "/v1/x"),
            ("/rollbook/v1/x", "/rollbook", "/v1/x"),
            ("/rollbook/v1/x", "", "/rollbook/v1/x"),
        ] {
            assert_eq!(without_base(path, base), expected);
        }
    }
}
