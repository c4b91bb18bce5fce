//! `/v1/reports`: saved questions to the log. See `docs/specification.md#saved-reports`.
//!
//! Users with reporting access make reports, and open their own and shared ones. A private report of another user does not
//! exist for them (404). Only its owner, or an owner or admin of the organisation, changes or deletes a shared one. A
//! credential that reads activities opens shared reports and writes none. The file `report_rows` has the rows.

use std::collections::{HashMap, HashSet};

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::{ManageReports, ReadReports};
use crate::base::fault::Faults;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::{self, Listing};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::reports::change_plan::{ChangeContext, ChangePlan, parse_owner};
use crate::reports::report::{Report, ReportForm, ReportPatch, SuspendedSchedule, Visibility};
use crate::store::{ReportFilter, StoreError, StoredReport};

use super::report_resource::{self as resource, Change, ReportApi};

routes! {
    "/v1/reports" => { get: list_reports, post: create_report },
    "/v1/reports/{id}" => { get: read_report, put: put_report, patch: patch_report, delete: delete_report },
}

/// A page of reports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportList {
    /// The reports, the newest first.
    pub reports: Vec<Report>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the reports that the caller may open: their own and shared ones.
///
/// The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/reports",
    tag = "reports",
    operation_id = "list_reports",
    params(
        ("q" = Option<String>, Query, description = "Words. The name contains all of them."),
        ("visibility" = Option<Vec<Visibility>>, Query, description = "Private reports only, or shared reports only."),
        ("owner" = Option<Vec<String>>, Query, description = "Reports of these users only."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of reports of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = ReportList))
)]
async fn list_reports(caller: Caller<ReadReports>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, StoredReport::PATH, &pairs, &query).await?;
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
        .find_reports(&caller.reports()?, &filter, after, listing.limits())
        .await?;
    resource::page_response(&caller, &listing, "reports", page).await
}

/// Save a report. The caller owns it.
#[utoipa::path(
    post,
    path = "/v1/reports",
    tag = "reports",
    operation_id = "create_report",
    request_body = ReportForm,
    responses((status = 201, description = "Saved.", body = Report, headers(
        ("Location" = String, description = "The report's address."),
        ("ETag" = String, description = "The version, for `If-Match`."),
    )))
)]
async fn create_report(caller: Caller<ManageReports>, pairs: QueryPairs, body: JsonBody) -> Answer {
    pairs.refuse_any()?;
    let form = body.read(ReportForm::parse)?;
    let access = caller.reports()?;
    let report = caller.store().add_report(&access, form.into());
    resource::created_response(&caller, report.await??).await
}

/// Read one report: its question, not its rows.
///
/// The ETag changes when the report is written. The owner's name comes from the directory and may change without it.
#[utoipa::path(
    get,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "read_report",
    params(("id" = Uuid, Path, description = "The report's id.")),
    responses((status = 200, description = "The report.", body = Report,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn read_report(caller: Caller<ReadReports>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    resource::get::<StoredReport, _>(&caller, &id, &pairs).await
}

/// Replace a report. Members that are left out get their defaults. The owner stays.
///
/// The body may be the report as it was read: read-only members are ignored.
///
/// A change after which the report can show more rows or columns suspends the schedules that other users made and that
/// have a recipient outside the directory.
#[utoipa::path(
    put,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "put_report",
    params(
        ("id" = Uuid, Path, description = "The report's id. PUT does not create reports."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to replace. 412 if the report was changed since."),
    ),
    request_body = ReportForm,
    responses((status = 200, description = "The changed report.", body = Report,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn put_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    resource::put::<StoredReport>(&caller, &request, &id, &pairs, &body).await
}

/// Change members of a report by a merge patch (RFC 7396); `filter` is merged parameter by parameter.
///
/// `owner` hands the report over to another user: its keys are revoked, and the schedules of the former owner become those
/// of the new owner, suspended until the new owner resumes them. A change after which the report can show more rows or
/// columns suspends the schedules that other users made and that have a recipient outside the directory.
#[utoipa::path(
    patch,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "patch_report",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change. 412 if the report was changed since."),
    ),
    request_body(content = ReportPatch, content_type = "application/merge-patch+json",
        description = "The members to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The changed report.", body = Report,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn patch_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    resource::patch::<StoredReport>(&caller, &request, &id, &pairs, patch).await
}

/// Delete a report with its keys, its schedules and their deliveries.
///
/// Reports can be deleted by their owner, and by an owner or admin of the organisation.
#[utoipa::path(
    delete,
    path = "/v1/reports/{id}",
    tag = "reports",
    operation_id = "delete_report",
    params(
        ("id" = Uuid, Path, description = "The report's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete. 412 if the report was changed since."),
    ),
    responses((status = 204, description = "Deleted. Its keys open nothing, and nothing more is sent."))
)]
async fn delete_report(
    caller: Caller<ManageReports>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    resource::delete::<StoredReport>(&caller, &request, &id, &pairs).await
}

/// The report with this id.
///
/// # Errors
///
/// 404 if it does not exist for the caller.
pub(super) async fn find_report<A>(caller: &Caller<A>, id: &str) -> Result<StoredReport, Problem> {
    resource::find(caller, resource::parse_id(id)?).await
}

impl ReportApi for StoredReport {
    type Representation = Report;

    const PATH: &'static str = "/v1/reports";

    const KIND: &'static str = "report";

    fn id(&self) -> Uuid {
        self.id
    }

    fn position(&self) -> String {
        self.id.to_string()
    }

    fn user(&self) -> &UserId {
        &self.owner
    }

    fn represent(self, user_name: Option<String>) -> Result<Report, StoreError> {
        Report::new(self, user_name)
    }

    async fn add_details<A>(caller: &Caller<A>, reports: &mut [Report]) -> Result<(), Problem> {
        let ids: Vec<Uuid> = reports.iter().map(|report| report.id).collect();
        let suspended = caller.store().find_suspended(&caller.reports()?, &ids).await?;
        let makers: HashSet<UserId> = suspended.iter().map(|schedule| schedule.maker.clone()).collect();
        let makers: Vec<UserId> = makers.into_iter().collect();
        let names = caller.store().recorders(caller.org(), &makers).await?;
        let mut by_report: HashMap<Uuid, Vec<SuspendedSchedule>> = HashMap::new();
        for schedule in suspended {
            let name = names.get(&schedule.maker).and_then(|user| user.name.clone());
            let schedules = by_report.entry(schedule.report).or_default();
            schedules.push(SuspendedSchedule::new(schedule, name));
        }
        for report in reports {
            report.suspended_schedules = by_report.remove(&report.id).unwrap_or_default();
        }
        Ok(())
    }

    async fn parse_put(
        caller: &Caller<ManageReports>,
        id: Uuid,
        body: &JsonBody,
    ) -> Result<Change<Self>, Problem> {
        let form = body.read(ReportForm::parse_put)?;
        let stored = resource::find(caller, id).await?;
        let plan = plan_change(caller, &stored, &form, None).await?;
        Ok(Box::new(move |stored| Ok(plan.change(stored, form))))
    }

    async fn parse_patch(
        caller: &Caller<ManageReports>,
        id: Uuid,
        patch: MergePatch,
    ) -> Result<Change<Self>, Problem> {
        let stored = resource::find(caller, id).await?;
        let form = ReportForm::patched(&stored, patch.value(), patch.depth())?;
        let owner = parse_owner(&stored, patch.value()).map_err(Faults::from)?;
        let plan = plan_change(caller, &stored, &form, owner).await?;
        Ok(Box::new(move |stored| {
            let form = ReportForm::patched(stored, patch.value(), patch.depth())?;
            Ok(plan.change(stored, form))
        }))
    }
}

/// Plans a change of a report. `owner` is the user to which it is handed over.
async fn plan_change(
    caller: &Caller<ManageReports>,
    stored: &StoredReport,
    form: &ReportForm,
    owner: Option<UserId>,
) -> Result<ChangePlan, Problem> {
    let context = ChangeContext {
        now: caller.now(),
        zone: caller.organisation().zone(),
    };
    let access = caller.reports()?;
    let plan = ChangePlan::prepare(caller.store(), &access, context, stored, form, owner);
    Ok(plan.await??)
}
