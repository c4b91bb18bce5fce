//! `/v1/reports/{id}/keys`: the passwords with which spreadsheets open one report. See
//! `docs/specification.md#report-keys`.
//!
//! Only the report's owner makes a key, because the key opens the report under the owner's rights. The owner, and an owner or
//! admin of the organisation that may open the report, sees and revokes keys. The secret is in the answer that creates the
//! key and nowhere else: its hash is stored. A revoked key is refused at once on every replica.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::SecretHash;
use crate::access::permit::ManageReports;
use crate::http::auth::Caller;
use crate::http::json::JsonBody;
use crate::http::pages;
use crate::http::problem::Answer;
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::key::{CreatedReportKey, KeyForm, ReportKey, new_key_secret};

use super::report_resource::parse_id;

routes! {
    "/v1/reports/{id}/keys" => { get: list_report_keys, post: create_report_key },
    "/v1/reports/{id}/keys/{key}" => { delete: revoke_report_key },
}

/// The keys of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportKeyList {
    /// The keys, the newest first.
    pub keys: Vec<ReportKey>,
    /// Always null: the list has one page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the keys of a report, without secrets.
///
/// The secret of a key is in the answer to its creation only.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/keys",
    tag = "reports",
    operation_id = "list_report_keys",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "All keys.", body = ReportKeyList))
)]
async fn list_report_keys(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let stored = caller
        .store()
        .find_report_keys(&caller.reports()?, parse_id(&id)?)
        .await??;
    let keys = stored.into_iter().map(ReportKey::from).collect();
    Ok(pages::list_response(&ReportKeyList { keys, next: None }, None))
}

/// Make a key of the caller's own report. Its secret is in this answer and nowhere else.
///
/// The secret is the password of HTTP Basic, with any user name or none. It opens this report's rows and exports, within the
/// owner's current rights, and nothing else.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/keys",
    tag = "reports",
    operation_id = "create_report_key",
    params(("id" = Uuid, Path, description = "The report's id.")),
    request_body = KeyForm,
    responses((status = 201, description = "Created. Keep the secret now.", body = CreatedReportKey,
        headers(("Location" = String, description = "The key's address, for revoking it."))))
)]
async fn create_report_key(
    caller: Caller<ManageReports>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(&id)?;
    let form = body.read(KeyForm::parse)?;
    let secret = new_key_secret()?;
    let hash = SecretHash::from_secret(&secret);
    let stored = caller
        .store()
        .add_report_key(&caller.reports()?, id, &form.name, hash.as_bytes())
        .await??;
    let location = format!("/v1/reports/{id}/keys/{}", stored.id);
    let created = CreatedReportKey {
        key: stored.into(),
        secret: secret.expose_secret().to_owned(),
    };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        // No cache may store the secret.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(created))
}

/// Revoke a key for ever.
///
/// Requests with its secret are refused from then on.
#[utoipa::path(
    delete,
    path = "/v1/reports/{id}/keys/{key}",
    tag = "reports",
    operation_id = "revoke_report_key",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("key" = Uuid, Path, description = "The key's id."),
    ),
    responses((status = 204, description = "Revoked. It opens nothing."))
)]
async fn revoke_report_key(
    caller: Caller<ManageReports>,
    path: web::Path<(String, String)>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let (id, key) = (parse_id(&path.0)?, parse_id(&path.1)?);
    caller
        .store()
        .remove_report_key(&caller.reports()?, id, key)
        .await??;
    Ok(HttpResponse::NoContent().finish())
}
