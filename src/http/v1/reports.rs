//! `/v1/reports`: saved questions to the log (contract section 9).
//!
//! Everybody with reporting access makes them, and opens their own and shared ones; somebody else's private one is 404,
//! whoever asks. Only its owner, or an owner or admin of the organisation, changes or deletes a shared one. A credential
//! that reads activities opens shared ones and writes none. What opening one shows is the matter of `report_rows`.

use std::collections::HashSet;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::{ManageReports, ReadReports};
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::conditions;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::report::{Report, ReportForm, ReportPatch, Visibility};
use crate::store::{KeptReport, ReportFilter, ReportRefusal, StoreError};

const PATH: &str = "/v1/reports";

routes! {
    "/v1/reports" => { get: list_reports, post: create_report },
    "/v1/reports/{id}" => { get: read_report, put: put_report, patch: patch_report, delete: delete_report },
}

/// A page of reports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportList {
    /// The reports, the one made last first.
    pub reports: Vec<Report>,
    /// The next page; null on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the reports that the caller may open: their own and shared ones.
#[utoipa::path(
    get,
    path = "/v1/reports",
    tag = "reports",
    operation_id = "list_reports",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the name."),
        ("visibility" = Option<Vec<Visibility>>, Query, description = "Private ones only, or shared ones only."),
        ("owner" = Option<Vec<String>>, Query, description = "Of any of these users."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Reports of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = ReportList))
)]
async fn list_reports(caller: Caller<ReadReports>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, PATH, &pairs, &query);
    let visibilities = keyed::choices(&query, "visibility", Visibility::ALL, Visibility::key);
    let filter = ReportFilter {
        words: keyed::search_words(&query),
        shared: match visibilities.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => {
                Some(*first == Visibility::Shared)
            }
            _ => None,
        },
        owners: query.values::<UserId>("owner"),
    };
    query.finish()?;
    let after = listing.after_key::<Uuid>()?;
    let page = caller
        .store()
        .reports(&caller.reports()?, &filter, after, listing.limit)
        .await?;
    let last = page.items.last().map(|report| report.id.to_string());
    let next = listing.next(page.more, last.as_deref());
    let reports = shown(&caller, page.items).await?;
    let body = ReportList { reports, next };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Save a report. It is the caller's.
#[utoipa::path(
    post,
    path = "/v1/reports",
    tag = "reports",
    operation_id = "create_report",
    request_body = ReportForm,
    responses((status = 201, description = "Saved.", body = Report, headers(
        ("Location" = String, description = "The report's address."),
        ("ETag" = String, description = "Names what it says now, for `If-Match`."),
    )))
)]
async fn create_report(caller: Caller<ManageReports>, pairs: QueryPairs, body: JsonBody) -> Answer {
    pairs.refuse_any()?;
    let form = body.read(ReportForm::parse)?;
    let kept = caller
        .store()
        .add_report(&caller.reports()?, form.into())
        .await??;
    created(&caller, PATH, kept).await
}

/// Read one report: what it asks, not its rows.
///
/// The ETag names what was written. The name of its owner is the directory's, and may change without it.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "read_report",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "The report.", body = Report,
        headers(("ETag" = String, description = "Names what was written, for `If-Match`."))))
)]
async fn read_report(caller: Caller<ReadReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let kept = found(&caller, &id).await?;
    told(&caller, kept).await
}

/// Replace a report. What is left out is as in a new one.
#[utoipa::path(
    put,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "put_report",
    params(
        ("id" = Uuid, Path, description = "The report's id. Nothing is made at an id that names no report."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what it replaces: 412 where it says something else by now."),
    ),
    request_body = ReportForm,
    responses((status = 200, description = "The report as it is now.", body = Report,
        headers(("ETag" = String, description = "Names what it says now, for `If-Match`."))))
)]
async fn put_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = report_id(&id)?;
    let expected = conditions::parse_if_match(&request)?;
    let form = body.read(ReportForm::parse)?;
    let kept = caller
        .store()
        .change_report(&caller.reports()?, id, expected.as_ref(), |_| Ok(form.into()))
        .await??;
    told(&caller, kept).await
}

/// Change members of a report by a merge patch (RFC 7396); `filter` is merged parameter by parameter.
#[utoipa::path(
    patch,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "patch_report",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what it changes: 412 where it says something else by now."),
    ),
    request_body(content = ReportPatch, content_type = "application/merge-patch+json",
        description = "The members to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The report as it is now.", body = Report,
        headers(("ETag" = String, description = "Names what it says now, for `If-Match`."))))
)]
async fn patch_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let id = report_id(&id)?;
    let expected = conditions::parse_if_match(&request)?;
    let change = |kept: &KeptReport| ReportForm::patched(kept, patch.value(), patch.depth()).map(Into::into);
    let kept = caller
        .store()
        .change_report(&caller.reports()?, id, expected.as_ref(), change)
        .await??;
    told(&caller, kept).await
}

/// Delete a report, with its keys, its schedules and what became of them.
#[utoipa::path(
    delete,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "delete_report",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what is deleted: 412 where it says something else by now."),
    ),
    responses((status = 204, description = "Deleted: its keys open nothing any more, and nothing more is sent."))
)]
async fn delete_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let id = report_id(&id)?;
    let expected = conditions::parse_if_match(&request)?;
    caller
        .store()
        .delete_report(&caller.reports()?, id, expected.as_ref())
        .await??;
    Ok(HttpResponse::NoContent().finish())
}

/// The id in the address; what is no UUID names nothing, whoever asks with whatever method.
pub(super) fn report_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::not_found())
}

/// The report that is asked for.
///
/// # Errors
///
/// 404 where there is none, or none that the caller may open.
pub(super) async fn found<A>(caller: &Caller<A>, id: &str) -> Result<KeptReport, Problem> {
    let kept = caller.store().report(&caller.reports()?, report_id(id)?).await?;
    kept.ok_or_else(Problem::not_found)
}

/// 201 with what was made, and its address under `path`.
pub(super) async fn created<A, K: OfUser>(caller: &Caller<A>, path: &str, kept: K) -> Answer {
    let location = format!("{path}/{}", kept.id());
    let tag = conditions::format_etag(kept.version());
    let shown = shown_one(caller, kept).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, tag))
        .json(shown))
}

/// 200 with what it says now.
pub(super) async fn told<A, K: OfUser>(caller: &Caller<A>, kept: K) -> Answer {
    let tag = conditions::format_etag(kept.version());
    let shown = shown_one(caller, kept).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .json(shown))
}

/// What is kept with the id of a user, and shown with the name that the directory has for them now.
pub(super) trait OfUser {
    /// As it is shown.
    type Shown: Serialize;

    /// What its address names.
    fn id(&self) -> Uuid;

    /// How often it was written: its ETag.
    fn version(&self) -> i64;

    /// Whose it is.
    fn user(&self) -> &UserId;

    /// Shows it with the user's name.
    fn shown(self, name: Option<String>) -> Result<Self::Shown, StoreError>;
}

impl OfUser for KeptReport {
    type Shown = Report;

    fn id(&self) -> Uuid {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn user(&self) -> &UserId {
        &self.owner
    }

    fn shown(self, name: Option<String>) -> Result<Report, StoreError> {
        Report::new(self, name)
    }
}

async fn shown_one<A, K: OfUser>(caller: &Caller<A>, kept: K) -> Result<K::Shown, Problem> {
    let shown = shown(caller, vec![kept]).await?.pop();
    shown.ok_or_else(|| Problem::internal("something was lost while it was named"))
}

pub(super) async fn shown<A, K: OfUser>(caller: &Caller<A>, kept: Vec<K>) -> Result<Vec<K::Shown>, Problem> {
    let users: HashSet<UserId> = kept.iter().map(|kept| kept.user().clone()).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    let names = caller.store().recorders(caller.org(), &users).await?;
    let shown = kept.into_iter().map(|kept| {
        let name = names.get(kept.user()).and_then(|user| user.name.clone());
        kept.shown(name)
    });
    Ok(shown.collect::<Result<_, _>>()?)
}

impl From<ReportRefusal> for Problem {
    fn from(refusal: ReportRefusal) -> Self {
        match refusal {
            ReportRefusal::NotFound => Problem::not_found(),
            ReportRefusal::NotYours => Problem::forbidden(refusal.to_string()),
            ReportRefusal::Stale => Problem::new(Code::PreconditionFailed, refusal.to_string()),
            ReportRefusal::TooMany => Problem::conflict(refusal.to_string()),
            ReportRefusal::Faults(faults) => faults.into(),
        }
    }
}
