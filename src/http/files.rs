//! `/files/{token}`: a file that is attached to a statement. See `docs/specification.md#attached-files`.
//!
//! The link itself is the right to the file: no `Authorization` is needed, because spreadsheets and browsers that follow a
//! link do not send one. The token is signed, belongs to the caller that got it, and expires. It opens nothing as soon as
//! that caller is deactivated or revoked, or the activity was voided.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::{self, Data};
use futures_util::TryStreamExt as _;

use super::AppState;
use super::auth::credential_cache::stored_scopes;
use super::openapi::Binary;
use super::problem::{Answer, Code, PROBLEM_JSON, Problem, ProblemDocument};
use super::query::QueryPairs;
use super::routes::routes;
use super::secret_links::{LinkAttempt, opened, without_stored_problems};
use super::v1::exports;
use crate::access::CredentialScope;
use crate::access::file_link::{FileLink, SignedFileLink};
use crate::base::ids::{OrgId, UserId};

routes! {
    "/files/{token}" => { get: read_file },
}

/// The name of a file without a title.
const NO_TITLE: &str = "file";
/// The extensions of frequent media types, for titles without one.
const EXTENSIONS: &[(&str, &str)] = &[
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/zip", "zip"),
    ("audio/mpeg", "mp3"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("text/csv", "csv"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
];
/// The most characters of a file name.
const MAX_NAME: usize = 200;

/// Follow a link to an attached file.
///
/// `GET /v1/exercises/{content}/attempts` gives these links. If the answer breaks off, the download failed.
#[utoipa::path(
    get,
    path = "/files/{token}",
    tag = "exercises",
    operation_id = "read_attached_file",
    security(()),
    params(("token" = String, Path, description = "The token of the link.")),
    responses(
        (status = 200, description = "The content of the file.", body = Binary, content_type = "*/*",
            headers(("Content-Disposition" = String, description = "A file name with the title of the file."))),
        (status = 404, description = "The link does not exist, or opens nothing any more: the activity was voided, or the \
            caller that got it was deactivated or revoked. The answer does not say which.",
            body = ProblemDocument, content_type = PROBLEM_JSON),
        (status = 410, description = "The link has expired.", body = ProblemDocument, content_type = PROBLEM_JSON),
    )
)]
async fn read_file(
    app_state: Data<AppState>,
    request: HttpRequest,
    token: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    without_stored_problems(follow(&app_state, &request, &token, &pairs).await)
}

async fn follow(app_state: &AppState, request: &HttpRequest, token: &str, pairs: &QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let (organisation, link) = verify(app_state, request, token).await?;
    let bearer = format!("{organisation}\n{}", link.caller);
    app_state
        .rate_limiter()
        .count_request(&bearer, Instant::now(), app_state.limits())?;
    if link.expires_at <= app_state.clock().now() {
        let detail = "the link has expired; read the attempts again to get a new one";
        return Err(Problem::new(Code::Expired, detail));
    }
    if !is_active(app_state, &organisation, &link.caller).await? {
        return Err(Problem::not_found());
    }
    let store = app_state.store();
    let file = store
        .find_file(&organisation, link.statement, link.index.into())
        .await?;
    let file = file.ok_or_else(Problem::not_found)?;
    let name = file_name(file.title.as_deref(), &file.content_type);
    let body = store
        .blob(file.blob)
        .inspect_err(|cause| tracing::error!(%cause, "the transfer of a file broke off"));
    Ok(opened()
        .insert_header((header::CONTENT_TYPE, file.content_type))
        .insert_header(exports::content_disposition(&name))
        // A browser must not run what a learner attached.
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(SizedStream::new(file.length, body)))
}

/// Verifies the signature of a token, within the limit on refusals of its address.
async fn verify(
    app_state: &AppState,
    request: &HttpRequest,
    token: &str,
) -> Result<(OrgId, FileLink), Problem> {
    let attempt = LinkAttempt::begin(app_state, request, token)?;
    if let Some(signed) = SignedFileLink::decode(token)
        && let Some((organisation, secret)) = app_state.store().find_link_key(signed.org()).await?
        && let Some(link) = signed.verify(&secret)
    {
        attempt.remember();
        return Ok((organisation, link));
    }
    attempt.refuse();
    Err(Problem::not_found())
}

/// Whether the caller of a link may still sign in: a user that is not deactivated, or a credential that is not revoked and
/// reads activities.
async fn is_active(app_state: &AppState, organisation: &OrgId, caller: &str) -> Result<bool, Problem> {
    let store = app_state.store();
    if let Some(user) = caller.strip_prefix("user:") {
        let Ok(user) = UserId::new(user) else {
            return Ok(false);
        };
        let facts = store.caller_facts(organisation, Some(&user)).await?;
        return Ok(facts.user_active != Some(false));
    }
    let Some(key) = caller.strip_prefix("key:") else {
        return Ok(false);
    };
    let stored = store.credential(key).await?;
    let stored = stored.filter(|stored| stored.revoked_at.is_none() && stored.org == *organisation);
    Ok(match stored {
        Some(stored) => stored_scopes(&stored)?.allows(CredentialScope::ActivitiesRead),
        None => false,
    })
}

/// The name of the downloaded file: its title, without characters that have a meaning in a path, and an extension that
/// follows from the media type.
fn file_name(title: Option<&str>, content_type: &str) -> String {
    let is_unsafe = |character: char| character.is_control() || "/\\:*?\"<>|".contains(character);
    let title: String = title
        .unwrap_or(NO_TITLE)
        .chars()
        .map(|character| if is_unsafe(character) { '_' } else { character })
        .take(MAX_NAME)
        .collect();
    let title = title.trim().trim_start_matches('.');
    let title = if title.is_empty() { NO_TITLE } else { title };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let extension = EXTENSIONS
        .iter()
        .find(|(media_type, _)| media_type.eq_ignore_ascii_case(essence));
    let has_extension = title.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    match extension.filter(|_| !has_extension) {
        Some((_, extension)) => format!("{title}.{extension}"),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_named_by_its_title_and_media_type() {
        for (title, content_type, expected) in [
            (Some("Essay"), "application/pdf", "Essay.pdf"),
            (Some("Essay.PDF"), "application/pdf", "Essay.PDF"),
            (Some("v1. Final"), "text/plain; charset=utf-8", "v1. Final.txt"),
            (
                Some("../../etc/passwd"),
                "application/x-unknown",
                "_.._etc_passwd",
            ),
            (Some("a\r\n\"b"), "image/png", "a___b.png"),
            (Some(" . "), "text/csv", "file.csv"),
            (None, "image/jpeg", "file.jpg"),
        ] {
            assert_eq!(file_name(title, content_type), expected);
        }
    }
}
