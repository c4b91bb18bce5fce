//! `/v1/reports/{id}/keys`: the passwords by which spreadsheets open one report (contract section 9).
//!
//! Only the report's owner makes one, since it opens the report under their rights. They see and revoke them, and so does
//! an owner or admin of the organisation, of a report that they may open. The secret is shown once, in the answer that
//! made it; its hash alone is kept. Revoking is for ever, and counts at once on every replica.

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
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::key::{CreatedReportKey, KeyForm, ReportKey, new_key_secret};
use crate::store::KeyRefusal;

use super::reports::report_id;

routes! {
    "/v1/reports/{id}/keys" => { get: list_report_keys, post: create_report_key },
    "/v1/reports/{id}/keys/{key}" => { delete: revoke_report_key },
}

/// The keys to a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportKeyList {
    /// Those that are not revoked, the newest first.
    pub keys: Vec<ReportKey>,
    /// Always null: a report's keys fit on one page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the keys to a report, without secrets.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}/keys",
    tag = "reports",
    operation_id = "list_report_keys",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "All that are not revoked.", body = ReportKeyList))
)]
async fn list_report_keys(caller: Caller<ManageReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let kept = caller
        .store()
        .report_keys(&caller.reports()?, report_id(&id)?)
        .await??;
    let keys = kept.into_iter().map(ReportKey::from).collect();
    Ok(pages::list_response(&ReportKeyList { keys, next: None }, None))
}

/// Make a key to one's own report. Its secret is in this answer and nowhere else.
///
/// It is the password of HTTP Basic, with any user name or none, and opens this report's rows and exports and nothing
/// else, as far as its owner may see them at that moment.
#[utoipa::path(
    post,
    path = "/v1/reports/{id}/keys",
    tag = "reports",
    operation_id = "create_report_key",
    params(("id" = Uuid, Path, description = "The report's id.")),
    request_body = KeyForm,
    responses((status = 201, description = "Made; keep the secret now.", body = CreatedReportKey,
        headers(("Location" = String, description = "The key's address, for revoking it."))))
)]
async fn create_report_key(
    caller: Caller<ManageReports>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = report_id(&id)?;
    let form = body.read(KeyForm::parse)?;
    let secret = new_key_secret()?;
    let hash = SecretHash::from_secret(&secret);
    let kept = caller
        .store()
        .add_report_key(&caller.reports()?, id, &form.name, hash.as_bytes())
        .await??;
    let location = format!("/v1/reports/{id}/keys/{}", kept.id);
    let made = CreatedReportKey {
        key: kept.into(),
        secret: secret.expose_secret().to_owned(),
    };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        // The secret must not lie in any cache.
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(made))
}

/// Revoke a key, for ever.
#[utoipa::path(
    delete,
    path = "/v1/reports/{id}/keys/{key}",
    tag = "reports",
    operation_id = "revoke_report_key",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("key" = Uuid, Path, description = "The key's id."),
    ),
    responses((status = 204, description = "Revoked: it opens nothing any more."))
)]
async fn revoke_report_key(
    caller: Caller<ManageReports>,
    path: web::Path<(String, String)>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let (id, key) = (report_id(&path.0)?, report_id(&path.1)?);
    caller
        .store()
        .remove_report_key(&caller.reports()?, id, key)
        .await??;
    Ok(HttpResponse::NoContent().finish())
}

impl From<KeyRefusal> for Problem {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::NotFound => Problem::not_found(),
            KeyRefusal::NotTheOwner | KeyRefusal::NotYours => Problem::forbidden(refusal.to_string()),
            KeyRefusal::TooMany => Problem::conflict(refusal.to_string()),
        }
    }
}
